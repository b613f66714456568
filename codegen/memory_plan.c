/* Places buffers in the arena, the largest first, each at the lowest offset where it meets no neighbour in time.
 * Sequences do not overlap in time, so each starts at offset 0. */
#include "codegen/memory_plan.h"
#include <stdlib.h>

static int64_t aligned(int64_t bytes) {
    return (bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
}

static KBuffer *owner(KBuffer *b) {
    return b->alias ? b->alias : b;
}

int memory_lifetimes(const KProgram *p, const KSequence *sequence, Lifetime **lifetimes) {
    int *at = ARENA_ARRAY(p->arena, int, p->buffer_count + 1), count = 0;
    *lifetimes = ARENA_ARRAY(p->arena, Lifetime, p->buffer_count + 1);
    for (int i = 0; i < p->buffer_count; i++)
        at[i] = -1;
    for (int k = 0; k < sequence->count; k++) {
        const KUse *uses;
        int n = kkernel_uses(p, sequence->kernels[k], &uses);
        for (int i = 0; i < n; i++) {
            KBuffer *b = owner(uses[i].buffer);
            if (b->space != SPACE_ARENA)
                continue;
            if (at[b->id] < 0) {
                at[b->id] = count;
                (*lifetimes)[count++] = (Lifetime){b, k, k};
            }
            (*lifetimes)[at[b->id]].last = k;
        }
    }
    return count;
}

static int larger_first(const void *a, const void *b) {
    const Lifetime *x = a, *y = b;
    if (x->buffer->bytes != y->buffer->bytes)
        return x->buffer->bytes < y->buffer->bytes ? 1 : -1;
    return x->buffer->id - y->buffer->id;
}

static bool meet_in_time(const Lifetime *a, const Lifetime *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest offset at which `wanted` overlaps nothing of `placed`, sorted by offsets, that lives at the same time. */
static int64_t lowest_place(const Lifetime *const *placed, int count, const Lifetime *wanted) {
    int64_t offset = 0, bytes = aligned(wanted->buffer->bytes);
    for (int i = 0; i < count && placed[i]->buffer->offset < offset + bytes; i++) {
        int64_t end = placed[i]->buffer->offset + aligned(placed[i]->buffer->bytes);
        if (end > offset && meet_in_time(placed[i], wanted))
            offset = end;
    }
    return offset;
}

static void insert_by_offset(const Lifetime **placed, int count, const Lifetime *next) {
    for (; count > 0 && placed[count - 1]->buffer->offset > next->buffer->offset; count--)
        placed[count] = placed[count - 1];
    placed[count] = next;
}

/* The most bytes that live in one kernel. */
static int64_t lower_bound(const KProgram *p, const KSequence *sequence, const Lifetime *lifetimes, int count) {
    int64_t *change = ARENA_ARRAY(p->arena, int64_t, sequence->count + 1), most = 0, alive = 0; /* at each kernel */
    for (int i = 0; i < count; i++) {
        change[lifetimes[i].first] += aligned(lifetimes[i].buffer->bytes);
        change[lifetimes[i].last + 1] -= aligned(lifetimes[i].buffer->bytes);
    }
    for (int k = 0; k < sequence->count; k++) {
        alive += change[k];
        most = alive > most ? alive : most;
    }
    return most;
}

static void plan_sequence(KProgram *p, const KSequence *sequence, bool planned) {
    Lifetime *lifetimes;
    int count = memory_lifetimes(p, sequence, &lifetimes);
    int64_t end = 0;
    for (int i = 0; i < count; i++) {
        KBuffer *b = lifetimes[i].buffer;
        b->bytes = kbuffer_elements(b, p->module->batch_max) * kbase_bytes(b->base);
    }
    int64_t bound = lower_bound(p, sequence, lifetimes, count);
    p->arena_lower_bound = bound > p->arena_lower_bound ? bound : p->arena_lower_bound;
    qsort(lifetimes, (size_t)count, sizeof *lifetimes, larger_first);
    const Lifetime **placed = ARENA_ARRAY(p->arena, const Lifetime *, count);
    for (int i = 0; i < count; i++) {
        KBuffer *b = lifetimes[i].buffer;
        b->offset = planned ? lowest_place(placed, i, &lifetimes[i]) : end;
        insert_by_offset(placed, i, &lifetimes[i]);
        int64_t after = b->offset + aligned(b->bytes);
        end = after > end ? after : end;
    }
    p->arena_bytes = end > p->arena_bytes ? end : p->arena_bytes;
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
