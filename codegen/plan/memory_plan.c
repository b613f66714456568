/* Places buffers in the arena, the largest first, each at the lowest offset where it meets no neighbour in time; where
 * that leaves gaps, in other orders too, and the least is kept. Sequences do not overlap in time, so each starts at
 * offset 0.
 *
 * Large buffers do not end at whole pages: what starts behind the next one would lie on the same few sets of the
 * caches, and a kernel that walks through many of them alike (the step of a recurrence) would lose lines before it uses
 * them. */
#include "codegen/plan/memory_plan.h"
#include <stdlib.h>

static int64_t aligned(int64_t bytes) {
    return (bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
}

enum { LARGE = 1 << 16, PAGE = 4096, BEYOND_PAGES = 2112 };

/* What a buffer takes. */
static int64_t room(const KBuffer *b) {
    int64_t bytes = aligned(b->bytes);
    return bytes < LARGE ? bytes : bytes + (BEYOND_PAGES + PAGE - bytes % PAGE) % PAGE;
}

/* By kernel: the first and the last one between the same two barriers, for threads may be at any of them. */
typedef struct {
    int start, end;
} Between;

static const Between *find_between(const KProgram *p, const KSequence *sequence) {
    Between *between = ARENA_ARRAY(p->arena, Between, sequence->count + 1);
    for (int k = 0; k < sequence->count; k++)
        between[k].start = k > 0 && !sequence->kernels[k]->needs_barrier_before ? between[k - 1].start : k;
    for (int k = sequence->count - 1; k >= 0; k--) {
        bool same = k + 1 < sequence->count && !sequence->kernels[k + 1]->needs_barrier_before;
        between[k].end = same ? between[k + 1].end : k;
    }
    return between;
}

int memory_lifetimes(const KProgram *p, const KSequence *sequence, Lifetime **lifetimes) {
    int *at = ARENA_ARRAY(p->arena, int, p->buffer_count + 1), count = 0;
    *lifetimes = ARENA_ARRAY(p->arena, Lifetime, p->buffer_count + 1);
    const Between *between = find_between(p, sequence);
    for (int i = 0; i < p->buffer_count; i++)
        at[i] = -1;
    for (int k = 0; k < sequence->count; k++) {
        const KUse *uses;
        int n = kkernel_uses(p, sequence->kernels[k], &uses);
        for (int i = 0; i < n; i++) {
            KBuffer *b = kbuffer_owner(uses[i].buffer);
            if (b->space != SPACE_ARENA || !(uses[i].read || uses[i].written))
                continue;
            if (at[b->id] < 0) {
                at[b->id] = count;
                (*lifetimes)[count++] = (Lifetime){b, between[k].start, k, k, k};
            }
            (*lifetimes)[at[b->id]].last = between[k].end;
            (*lifetimes)[at[b->id]].last_use = k;
        }
    }
    return count;
}

static int by_size(const Lifetime *x, const Lifetime *y) {
    if (x->buffer->bytes != y->buffer->bytes)
        return x->buffer->bytes < y->buffer->bytes ? 1 : -1;
    return x->buffer->id - y->buffer->id;
}

static int larger_first(const void *a, const void *b) {
    return by_size(a, b);
}

static int longer_first(const void *a, const void *b) {
    const Lifetime *x = a, *y = b;
    int longer = (y->last - y->first) - (x->last - x->first);
    return longer ? longer : by_size(x, y);
}

static int earlier_first(const void *a, const void *b) {
    const Lifetime *x = a, *y = b;
    return x->first != y->first ? x->first - y->first : by_size(x, y);
}

static int later_first(const void *a, const void *b) {
    const Lifetime *x = a, *y = b;
    return x->last != y->last ? y->last - x->last : by_size(x, y);
}

/* What can lie where another buffer ends piece by piece leaves free places to those that cannot. */
static int followers_last(const void *a, const void *b) {
    const KBuffer *x = ((const Lifetime *)a)->buffer, *y = ((const Lifetime *)b)->buffer;
    int follows = (x->begins.bytes > 0) - (y->begins.bytes > 0);
    return follows && x->bytes == y->bytes ? follows : by_size(a, b);
}

/* The first one is the best for most models. */
static int (*const orders[])(const void *, const void *) = {larger_first, followers_last, longer_first, earlier_first,
                                                            later_first};
enum { ORDERS = sizeof orders / sizeof *orders, NEAR = 20 }; /* a twentieth above the bound is near it */

static bool are_alike(const KPieces *a, const KPieces *b) {
    return a->bytes > 0 && a->bytes == b->bytes && kexpr_equal(a->units, b->units);
}

/* What a thread does in one of them comes after what the same thread did in the other: in the phase where one life ends
 * and the other begins. */
static bool follow_piecewise(const Lifetime *a, const Lifetime *b, int64_t offset) {
    const Lifetime *first = a->last_use < b->first_use ? a : b, *second = first == a ? b : a;
    return first->last_use < second->first_use && offset == a->buffer->offset &&
           are_alike(&first->buffer->ends, &second->buffer->begins);
}

/* A buffer that has its place: what all others are compared with lies side by side. */
typedef struct {
    int64_t offset, end;
    int first, last; /* of its life */
    const Lifetime *life;
} Placed;

/* They live at the same time, and b, from this offset on, would take bytes of a. */
static bool overlap(const Placed *a, const Lifetime *b, int64_t offset, int64_t bytes) {
    return a->first <= b->last && b->first <= a->last && offset < a->end && a->offset < offset + bytes;
}

/* The lowest offset at which `wanted` overlaps nothing of `placed`, sorted by offsets, that lives at the same time.
 * What it can follow piece by piece at one offset may be in the way from the next one: such are kept in `passed`, which
 * has room for all. */
static int64_t lowest_place(const Placed *placed, int count, const Lifetime *wanted, const Placed **passed) {
    int64_t offset = 0, bytes = room(wanted->buffer);
    int passed_count = 0;
    for (int i = 0; i < count && placed[i].offset < offset + bytes; i++) {
        if (!overlap(&placed[i], wanted, offset, bytes))
            continue;
        if (follow_piecewise(placed[i].life, wanted, offset)) {
            passed[passed_count++] = &placed[i];
            continue;
        }
        offset = placed[i].end;
        for (int k = 0; k < passed_count; k++)
            if (overlap(passed[k], wanted, offset, bytes) && !follow_piecewise(passed[k]->life, wanted, offset)) {
                offset = passed[k]->end;
                k = -1;
            }
    }
    return offset;
}

static void insert_by_offset(Placed *placed, int count, const Lifetime *next) {
    int64_t offset = next->buffer->offset;
    for (; count > 0 && placed[count - 1].offset > offset; count--)
        placed[count] = placed[count - 1];
    placed[count] = (Placed){offset, offset + room(next->buffer), next->first, next->last, next};
}

/* The most bytes that live in one kernel. */
static int64_t lower_bound(const KProgram *p, const KSequence *sequence, const Lifetime *lifetimes, int count) {
    int64_t *change = ARENA_ARRAY(p->arena, int64_t, sequence->count + 1), most = 0, alive = 0; /* at each kernel */
    for (int i = 0; i < count; i++) {
        const Lifetime *l = &lifetimes[i];
        change[l->buffer->begins.bytes > 0 ? l->first_use : l->first] += aligned(l->buffer->bytes);
        change[(l->buffer->ends.bytes > 0 ? l->last_use : l->last) + 1] -= aligned(l->buffer->bytes);
    }
    for (int k = 0; k < sequence->count; k++) {
        alive += change[k];
        most = alive > most ? alive : most;
    }
    return most;
}

/* In the order of `lifetimes`; the bytes that they take. */
static int64_t place_all(const Lifetime *lifetimes, int count, Placed *placed, const Placed **passed, bool planned) {
    int64_t end = 0;
    for (int i = 0; i < count; i++) {
        KBuffer *b = lifetimes[i].buffer;
        b->offset = planned ? lowest_place(placed, i, &lifetimes[i], passed) : end;
        insert_by_offset(placed, i, &lifetimes[i]);
        int64_t after = b->offset + room(b);
        end = after > end ? after : end;
    }
    return end;
}

static void plan_sequence(KProgram *p, const KSequence *sequence, bool planned) {
    Lifetime *lifetimes;
    int count = memory_lifetimes(p, sequence, &lifetimes), best = 0;
    for (int i = 0; i < count; i++) {
        KBuffer *b = lifetimes[i].buffer;
        b->bytes = kbuffer_elements(b, p->module->batch_max) * kbase_bytes(b->base);
    }
    int64_t bound = lower_bound(p, sequence, lifetimes, count), ends[ORDERS];
    p->arena_lower_bound = bound > p->arena_lower_bound ? bound : p->arena_lower_bound;
    Placed *placed = ARENA_ARRAY(p->arena, Placed, count);
    const Placed **passed = ARENA_ARRAY(p->arena, const Placed *, count);
    int tried = 0;
    do {
        qsort(lifetimes, (size_t)count, sizeof *lifetimes, orders[tried]);
        ends[tried] = place_all(lifetimes, count, placed, passed, planned);
        best = ends[tried] < ends[best] ? tried : best;
        tried++;
    } while (planned && tried < ORDERS && ends[best] > bound + bound / NEAR);
    if (best != tried - 1) {
        qsort(lifetimes, (size_t)count, sizeof *lifetimes, orders[best]);
        place_all(lifetimes, count, placed, passed, planned);
    }
    p->arena_bytes = ends[best] > p->arena_bytes ? ends[best] : p->arena_bytes;
}

void memory_plan(KProgram *p, bool planned) {
    p->arena_bytes = p->arena_lower_bound = 0;
    for (int s = 0; s < p->sequence_count; s++)
        plan_sequence(p, p->sequences[s], planned);
    for (int i = 0; i < p->buffer_count; i++)
        if (p->buffers[i]->alias) {
            p->buffers[i]->offset = p->buffers[i]->alias->offset;
            p->buffers[i]->bytes = p->buffers[i]->alias->bytes;
        }
}
