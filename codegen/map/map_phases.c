/* Puts the kernels of each function in an order with few barriers, and says where threads must meet.
 *
 * Two kernels that touch the same buffer (one of them writing) keep their order. Threads need not meet between them if
 * thread 0 runs both, or if every thread finds there only what it wrote itself (codegen/kir/kernel_parts.h). So each
 * kernel has an earliest phase, the phases being what lies between barriers. What little work thread 0 does alone where
 * that saves a barrier. */
#include "codegen/kir/kernel_parts.h"
#include "codegen/map/map.h"
#include <string.h>

/* Another kernel that touches the same buffers. */
typedef struct {
    int kernel;
    PartsMeeting meeting;
} Neighbour;

typedef struct {
    Neighbour *items;
    int count, capacity;
} Neighbours;

typedef struct {
    KProgram *p;
    KSequence *sequence;
    int count;
    Neighbours *before, *behind; /* by kernel */
    KernelParts *parts;
    int *phase;
    bool *early; /* by kernel: in the order of `schedule` it stands before the last barrier */
    int last_phase;
    int *first, *last;     /* by buffer: phases in which it lives */
    int64_t *size, *bytes; /* of arena buffers; of phases */
} Phases;

/* A kernel with no more work may as well run alone. */
static int64_t barrier_work(const KProgram *p) {
    return (int64_t)p->isa.barrier_work * p->isa.lanes;
}

static bool has_one_unit(KProgram *p, const KKernel *kernel) {
    int64_t low, high;
    const KStmt *loop = kkernel_parallel(kernel);
    return !loop || (kexpr_range(p, kloop_count(p, loop), &low, &high) && high <= 1);
}

static bool need_barrier(const Phases *s, int kernel, const Neighbour *other) {
    const KKernel *a = s->sequence->kernels[kernel], *b = s->sequence->kernels[other->kernel];
    return !(a->alone && b->alone) && (other->meeting == PARTS_MIXED || a->alone != b->alone);
}

/* The earliest phase of kernel j, if the others have theirs and it is not before `least`. */
static int earliest_phase(const Phases *s, int j, int least) {
    for (int n = 0; n < s->before[j].count; n++) {
        const Neighbour *other = &s->before[j].items[n];
        int next = s->phase[other->kernel] + need_barrier(s, j, other);
        least = next > least ? next : least;
    }
    return least;
}

/* As few phases as can be. Returns the last one. */
static int fewest_phases(const Phases *s) {
    int last = 0;
    for (int j = 0; j < s->count; j++) {
        s->phase[j] = earliest_phase(s, j, 0);
        last = s->phase[j] > last ? s->phase[j] : last;
    }
    return last;
}

/* In the order that `schedule` has found for little memory. After much work a barrier costs nothing to speak of, and
 * memory can be used again behind it. */
static int phases_in_order(const Phases *s, int64_t much) {
    int last = 0;
    int64_t work = 0;
    for (int j = 0; j < s->count; j++) {
        int before = s->early[j] && last > 0 ? earliest_phase(s, j, last - 1) : last;
        s->phase[j] = before < last ? before : earliest_phase(s, j, last + (work > much));
        work = (s->phase[j] > last ? 0 : work) + s->sequence->kernels[j]->work;
        last = s->phase[j] > last ? s->phase[j] : last;
    }
    return last;
}

/* A kernel that the one behind it waits for, as that of a twin, goes before the barrier that is there already. */
static int choose_early(const Phases *s, int64_t much) {
    int least = phases_in_order(s, much);
    for (int i = 0; i < s->count; i++) {
        s->early[i] = true;
        int last = phases_in_order(s, much);
        s->early[i] = last < least;
        least = last < least ? last : least;
    }
    return phases_in_order(s, much);
}

/* ---- memory */

/* The phases in which buffers live. */
static void find_lives(const Phases *s) {
    for (int b = 0; b < s->p->buffer_count; b++)
        s->first[b] = -1; /* so far no kernel */
    for (int k = 0; k < s->count; k++)
        for (int i = 0; i < s->parts[k].count; i++) {
            int b = kbuffer_owner(s->parts[k].parts[i].buffer)->id, phase = s->phase[k];
            bool known = s->first[b] >= 0;
            s->first[b] = !known || phase < s->first[b] ? phase : s->first[b];
            s->last[b] = !known || phase > s->last[b] ? phase : s->last[b];
        }
}

/* Bytes that are alive in the fullest phase, and in all phases together. */
typedef struct {
    int64_t peak, total;
} Fullness;

static Fullness fullness(const Phases *s) {
    Fullness f = {0, 0};
    memset(s->bytes, 0, sizeof *s->bytes * (size_t)s->count);
    find_lives(s);
    for (int b = 0; b < s->p->buffer_count; b++)
        for (int phase = s->first[b]; s->size[b] && phase >= 0 && phase <= s->last[b]; phase++) {
            s->bytes[phase] += s->size[b];
            f.total += s->size[b];
            f.peak = s->bytes[phase] > f.peak ? s->bytes[phase] : f.peak;
        }
    return f;
}

static bool is_less(Fullness a, Fullness b) {
    return a.peak != b.peak ? a.peak < b.peak : a.total < b.total;
}

static int latest_phase(const Phases *s, int i) {
    int latest = s->phase[i];
    bool found = false;
    for (int n = 0; n < s->behind[i].count; n++) {
        const Neighbour *other = &s->behind[i].items[n];
        int last = s->phase[other->kernel] - need_barrier(s, i, other);
        latest = !found || last < latest ? last : latest;
        found = true;
    }
    return found ? latest : s->last_phase;
}

/* A kernel waits, as long as it holds up no other, where less memory is needed then: that of a twin, for instance. */
static void wait_for_memory(const Phases *s) {
    Fullness least = fullness(s);
    for (int i = s->count - 1; i >= 0; i--) {
        int best = s->phase[i], latest = latest_phase(s, i);
        for (s->phase[i]++; s->phase[i] <= latest; s->phase[i]++) {
            Fullness f = fullness(s);
            if (is_less(f, least)) {
                least = f;
                best = s->phase[i];
            }
        }
        s->phase[i] = best;
    }
}

/* A kernel of the phase touches the buffer: pieces stay if they are those of the kernels before. */
static void note_pieces(KPieces *pieces, KExpr *units, int64_t bytes) {
    bool first = pieces->bytes < 0, same = bytes == pieces->bytes && bytes && kexpr_equal(pieces->units, units);
    *pieces = (KPieces){first || same ? bytes : 0, units};
}

/* Buffers of which each iteration of every kernel of a phase has a piece of its own can follow each other in memory
 * without a barrier between, if their pieces are alike. */
static void find_pieces(const Phases *s) {
    const KProgram *p = s->p;
    find_lives(s);
    for (int b = 0; b < p->buffer_count; b++)
        if (s->first[b] >= 0)
            p->buffers[b]->begins.bytes = p->buffers[b]->ends.bytes = -1; /* so far no kernel */
    for (int k = 0; k < s->count; k++)
        for (int i = 0; i < s->parts[k].count; i++) {
            const KernelPart *part = &s->parts[k].parts[i];
            KBuffer *b = kbuffer_owner(part->buffer);
            int64_t stride[MAX_RANK + 1], piece = 0;
            kbuffer_strides(part->buffer, p->module->batch_max, stride);
            if (part->axis == 0 && !s->sequence->kernels[k]->alone)
                piece = part->size * stride[0] * kbase_bytes(b->base);
            if (s->phase[k] == s->first[b->id])
                note_pieces(&b->begins, s->parts[k].units, piece);
            if (s->phase[k] == s->last[b->id])
                note_pieces(&b->ends, s->parts[k].units, piece);
        }
}

/* ---- order */

/* All kernels with little work run alone, but those that cost no barrier when they are shared. */
static void choose_alone(const Phases *s) {
    int64_t most = barrier_work(s->p);
    for (int i = 0; i < s->count; i++) {
        KKernel *kernel = s->sequence->kernels[i];
        kernel->alone = has_one_unit(s->p, kernel) || kernel->work <= most;
    }
    int least = fewest_phases(s);
    for (int i = 0; i < s->count; i++) {
        KKernel *kernel = s->sequence->kernels[i];
        if (!kernel->alone || has_one_unit(s->p, kernel))
            continue;
        kernel->alone = false;
        kernel->alone = fewest_phases(s) > least;
    }
}

static void put_in_order(const Phases *s) {
    KKernel **ordered = ARENA_ARRAY(s->p->arena, KKernel *, s->count + 1);
    int placed = 0;
    for (int phase = 0; placed < s->count; phase++) {
        int before = placed;
        for (int i = 0; i < s->count; i++)
            if (s->phase[i] == phase)
                ordered[placed++] = s->sequence->kernels[i];
        for (int i = before; i < placed; i++)
            ordered[i]->needs_barrier_before = i == before && i > 0;
    }
    for (int i = 0; i < s->count; i++)
        s->sequence->kernels[i] = ordered[i];
}

/* A barrier after much work, in phases that are longer. */
static void cut_phases(Phases *s, int64_t much) {
    int *cut = ARENA_ARRAY(s->p->arena, int, s->count + 1), now = 0;
    for (int phase = 0; phase <= s->last_phase; phase++, now++) {
        int64_t work = 0;
        for (int i = 0; i < s->count; i++)
            if (s->phase[i] == phase) {
                now += work > much;
                work = (work > much ? 0 : work) + s->sequence->kernels[i]->work;
                cut[i] = now;
            }
    }
    s->phase = cut;
}

/* The order of `schedule` stays where barriers that another order would save take less than half a hundredth of the
 * time of eight threads. If they take more, what may go before the barrier that is there goes there. A whole other
 * order must save a hundredth: it fetches from farther memory, which costs as much. */
static void choose_phases(Phases *s) {
    enum { THREADS = 8, PART = 200, MORE = 2 };
    int64_t work = 0, much = barrier_work(s->p) * THREADS * PART;
    for (int i = 0; i < s->count; i++)
        work += s->sequence->kernels[i]->work;
    int least = fewest_phases(s);
    s->last_phase = phases_in_order(s, much);
    if ((s->last_phase - least) * much < work)
        return;
    s->last_phase = choose_early(s, much);
    if ((s->last_phase - least) * much < MORE * work)
        return;
    s->last_phase = fewest_phases(s);
    wait_for_memory(s);
    cut_phases(s, much);
}

static void make_room(Phases *s) {
    KProgram *p = s->p;
    s->first = ARENA_ARRAY(p->arena, int, p->buffer_count + 1);
    s->last = ARENA_ARRAY(p->arena, int, p->buffer_count + 1);
    s->size = ARENA_ARRAY(p->arena, int64_t, p->buffer_count + 1);
    s->bytes = ARENA_ARRAY(p->arena, int64_t, s->count + 1);
    s->phase = ARENA_ARRAY(p->arena, int, s->count + 1);
    s->early = ARENA_ARRAY(p->arena, bool, s->count + 1);
    s->before = ARENA_ARRAY(p->arena, Neighbours, s->count + 1);
    s->behind = ARENA_ARRAY(p->arena, Neighbours, s->count + 1);
    s->parts = ARENA_ARRAY(p->arena, KernelParts, s->count + 1);
    for (int b = 0; b < p->buffer_count; b++)
        if (p->buffers[b]->space == SPACE_ARENA && !p->buffers[b]->alias)
            s->size[b] = kbuffer_elements(p->buffers[b], p->module->batch_max) * kbase_bytes(p->buffers[b]->base);
}

typedef struct {
    int *items;
    int count, capacity;
} Kernels;

static void add_neighbours(Phases *s, int i, int j) {
    Arena *arena = s->p->arena;
    Neighbour before = {i, kernel_parts_meeting(s->p, &s->parts[i], &s->parts[j])}, behind = {j, before.meeting};
    if (before.meeting == PARTS_APART)
        return;
    ARENA_PUSH(arena, s->before[j].items, s->before[j].count, s->before[j].capacity, before);
    ARENA_PUSH(arena, s->behind[i].items, s->behind[i].count, s->behind[i].capacity, behind);
}

static void meet_all(Phases *s, const Kernels *others, int j, int *seen) {
    for (int k = 0; k < others->count; k++)
        if (others->items[k] != j && seen[others->items[k]] != j + 1) {
            seen[others->items[k]] = j + 1;
            add_neighbours(s, others->items[k], j);
        }
}

static void note_kernel(Phases *s, Kernels *list, int j) {
    if (!list->count || list->items[list->count - 1] != j)
        ARENA_PUSH(s->p->arena, list->items, list->count, list->capacity, j);
}

/* Kernels that meet at some buffer, which one of them writes. */
static void find_neighbours(Phases *s) {
    KProgram *p = s->p;
    Kernels *readers = ARENA_ARRAY(p->arena, Kernels, p->buffer_count + 1); /* by buffer: those that do not write it */
    Kernels *writers = ARENA_ARRAY(p->arena, Kernels, p->buffer_count + 1);
    int *seen = ARENA_ARRAY(p->arena, int, s->count + 1); /* by kernel: 1 + the last one it was met by */
    for (int j = 0; j < s->count; j++) {
        s->parts[j] = kernel_parts(p, s->sequence->kernels[j]);
        for (int n = 0; n < s->parts[j].count; n++) {
            const KernelPart *part = &s->parts[j].parts[n];
            int b = kbuffer_owner(part->buffer)->id;
            meet_all(s, &writers[b], j, seen);
            if (part->written)
                meet_all(s, &readers[b], j, seen);
            note_kernel(s, part->written ? &writers[b] : &readers[b], j);
        }
    }
}

static void order_sequence(KProgram *p, KSequence *sequence) {
    Phases s = {.p = p, .sequence = sequence, .count = sequence->count};
    make_room(&s);
    find_neighbours(&s);
    choose_alone(&s);
    choose_phases(&s);
    find_pieces(&s);
    put_in_order(&s);
}

void map_phases(KProgram *p) {
    for (int i = 0; i < p->sequence_count; i++)
        order_sequence(p, p->sequences[i]);
}
