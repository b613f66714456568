/* Bytes: what the loops of a kernel touch, what of it is still in a cache when it is touched again, and where it lies
 * when the kernel begins. */
#include "codegen/plan/cost.h"
#include <math.h>

const char *const cost_level_names[COST_LEVELS] = {
    [COST_L1] = "L1", [COST_L2] = "L2", [COST_L3] = "L3", [COST_MEMORY] = "memory"};

/* Part of a cache that serves what is touched in turns; of the third level, which other cores use too. */
static const double used_part[COST_MEMORY] = {0.75, 0.75, 0.3};
/* A line written beyond L2 is read before and goes back after. */
static const double write_price = 2;
/* Part of the shorter one of arithmetic and memory that is not hidden behind the other where each step of a recurrence
 * waits for the one before. */
static const double step_wait = 0.5;
enum { LINE = 64 };

/* ---- in a kernel */
static double whole_bytes(const CostWalk *w, const KBuffer *b) {
    return (double)(kbuffer_elements(b, cost_batch(w->program)) * kbase_bytes(b->base));
}

/* Whole lines along the last axis, every line of the others. */
static double touched_bytes(const CostWalk *w, const CostAccess *a) {
    double outer = 1, element = (double)kbase_bytes(a->buffer->base);
    for (int i = 0; i + 1 < a->axes; i++)
        outer *= a->span[i];
    double row = a->axes ? a->span[a->axes - 1] * element : element;
    double bytes = outer * a->rows * ceil(row / LINE) * LINE, all = whole_bytes(w, a->buffer);
    return a->buffer->space == SPACE_ARGUMENT || bytes < all ? bytes : all;
}

CostAccess cost_access(const CostWalk *w, const KBuffer *buffer, KExpr *const *index, int axes, double width,
                       double rows, bool store) {
    CostAccess a = {.buffer = buffer, .index = index, .axes = axes, .store = store, .rows = rows, .group = w->groups};
    for (int i = 0; i < axes; i++)
        a.span[i] = 1;
    if (axes)
        a.span[axes - 1] = width;
    a.bytes = a.beyond[0] = a.beyond[1] = touched_bytes(w, &a);
    return a;
}

/* How far the access moves along its axes in the loop. */
static bool widen(const CostWalk *w, CostAccess *a, const KVar *var, double trips, double step) {
    int64_t extent[MAX_RANK + 1], coefficient;
    bool uses = false;
    int axes = kbuffer_physical(a->buffer, cost_batch(w->program), extent);
    for (int i = 0; i < a->axes; i++)
        if (kexpr_uses(a->index[i], var)) {
            uses = true;
            if (kexpr_coefficient(a->index[i], var, &coefficient)) {
                double distance = fabs((double)coefficient) * step;
                a->span[i] += distance >= LINE / 4 && i + 1 == a->axes && a->span[i] < distance
                                  ? (trips - 1) * a->span[i] /* what lies between stays untouched */
                                  : (trips - 1) * distance;
            } else
                a->span[i] *= trips;
            if (i < axes && a->span[i] > (double)extent[i])
                a->span[i] = (double)extent[i];
        }
    return uses;
}

/* Accesses side by side touch different bytes of a buffer; those of other statements the same ones. */
double cost_distinct(const CostWalk *w, int first) {
    double all = 0;
    for (int i = first; i < w->access_count; i++) {
        const KBuffer *b = w->accesses[i].buffer;
        bool met = false;
        double most = 0, sum = 0;
        for (int k = first; k < i && !met; k++)
            met = w->accesses[k].buffer == b;
        if (met)
            continue;
        for (int k = i, group = w->accesses[i].group; k < w->access_count; k++) {
            if (w->accesses[k].buffer != b)
                continue;
            sum = w->accesses[k].group == group ? sum + w->accesses[k].bytes : w->accesses[k].bytes;
            group = w->accesses[k].group;
            most = fmax(most, sum);
        }
        all += most;
    }
    return all;
}

void cost_repeat(CostWalk *w, int first, const KVar *var, double trips, double step) {
    double once = cost_distinct(w, first);
    for (int i = first; i < w->access_count; i++) {
        CostAccess *a = &w->accesses[i];
        double before = a->bytes;
        bool moves = widen(w, a, var, trips, step);
        a->bytes = touched_bytes(w, a);
        for (int k = 0; k < 2; k++)
            if (moves)
                a->beyond[k] *= a->bytes / before;
            else if (once > used_part[k] * (double)w->machine->bytes[k])
                a->beyond[k] *= trips;
    }
}

/* ---- in a step */
typedef struct {
    int buffer;
    double read, written, beyond[2], more;
    int group;
} Touched;

typedef struct {
    Touched *items;
    int count;
} KernelTouches;

/* What was touched so far, by the time of the kernels, those of two runs of the step one after the other.
 *
 * Of a buffer that several kernels have touched since some time the most counts that one of them did. `marks` has an
 * item for each time from which on there is more than from the next one on, and `bytes` the difference, as sums over
 * powers of two (Fenwick, "A New Data Structure for Cumulative Frequency Tables", 1994): what all buffers together had
 * touched since a time is a sum of a logarithm of summands. */
typedef struct {
    int time, before; /* before: the number of the mark at the next smaller time; 0: none */
    double most;
} Mark;

enum { IN_ARENA, ELSEWHERE, PLACES };

typedef struct {
    const KProgram *p;
    const KSequence *sequence;
    KernelTouches *kernels;
    Mark *marks; /* number 0 is none */
    int mark_count, mark_capacity;
    int *newest;           /* by buffer: its last mark; 0: none */
    int *touched_at;       /* by buffer: 1 + the time; 0: never */
    double *bytes[PLACES]; /* by time */
    int times;
} Step;

static Touched *touched_in(KernelTouches *k, int buffer) {
    for (int i = 0; i < k->count; i++)
        if (k->items[i].buffer == buffer)
            return &k->items[i];
    k->items[k->count] = (Touched){.buffer = buffer};
    return &k->items[k->count++];
}

static void gather(const Step *s, KernelTouches *k, const CostWalk *w) {
    k->items = ARENA_ARRAY(s->p->arena, Touched, w->access_count + 1);
    for (int i = 0; i < w->access_count; i++) {
        const CostAccess *a = &w->accesses[i];
        if (a->buffer->space == SPACE_LOCAL || a->buffer->space == SPACE_SHARED)
            continue;
        Touched *t = touched_in(k, kbuffer_owner(a->buffer)->id);
        t->more = a->group == t->group ? t->more + a->bytes : a->bytes; /* as cost_distinct */
        t->group = a->group;
        *(a->store ? &t->written : &t->read) = fmax(t->more, a->store ? t->written : t->read);
        for (int n = 0; n < 2; n++)
            t->beyond[n] += fmax(a->beyond[n] - a->bytes, 0);
    }
    for (int i = 0; i < k->count; i++) { /* the same bytes by several accesses */
        double all = whole_bytes(w, s->p->buffers[k->items[i].buffer]);
        k->items[i].read = fmin(k->items[i].read, all);
        k->items[i].written = fmin(k->items[i].written, all);
    }
}

static double distinct(const Touched *t) {
    return fmax(t->read, t->written);
}

static void add_at(const Step *s, int place, int time, double bytes) {
    for (int i = s->times - time; i <= s->times; i += i & -i)
        s->bytes[place][i] += bytes;
}

static double bytes_since(const Step *s, int place, int time) {
    double all = 0;
    for (int i = s->times - time; i > 0; i -= i & -i)
        all += s->bytes[place][i];
    return all;
}

static void touch(Step *s, const Touched *t, int time) {
    int place = s->p->buffers[t->buffer]->space == SPACE_ARENA ? IN_ARENA : ELSEWHERE, below = s->newest[t->buffer];
    double most = distinct(t), more = 0; /* of the mark below than of those above it */
    for (; below && s->marks[below].most <= most; below = s->marks[below].before) {
        add_at(s, place, s->marks[below].time, more - s->marks[below].most);
        more = s->marks[below].most;
    }
    if (below)
        add_at(s, place, s->marks[below].time, more - most);
    add_at(s, place, time, most);
    ARENA_PUSH(s->p->arena, s->marks, s->mark_count, s->mark_capacity, ((Mark){time, below, most}));
    s->newest[t->buffer] = s->mark_count - 1;
}

static void touch_all(Step *s, int time) {
    const KernelTouches *k = &s->kernels[time % s->sequence->count];
    for (int i = 0; i < k->count; i++)
        touch(s, &k->items[i], time);
}

static void note_time(Step *s, int time) {
    const KernelTouches *k = &s->kernels[time % s->sequence->count];
    for (int i = 0; i < k->count; i++)
        s->touched_at[k->items[i].buffer] = time + 1;
}

/* Bytes that the step has touched since it touched this buffer last, those of this kernel included. Buffers in the
 * arena share memory. */
static double since(const Step *s, int buffer, int time) {
    int from = time - s->sequence->count + 1, last = s->touched_at[buffer] - 1;
    from = last > from ? last : from;
    double arena = bytes_since(s, IN_ARENA, from),
           planned = s->p->arena_bytes > 0 ? (double)s->p->arena_bytes : INFINITY;
    return fmin(arena, planned) + bytes_since(s, ELSEWHERE, from);
}

static CostLevel level_of(const CostMachine *m, double distance) {
    for (int level = COST_L1; level < COST_MEMORY; level++)
        if (distance <= used_part[level] * (double)m->bytes[level])
            return (CostLevel)level;
    return COST_MEMORY;
}

static void add_bytes(const Step *s, int kernel, const CostMachine *m, Cost *cost) {
    for (int i = 0; i < s->kernels[kernel].count; i++) {
        const Touched *t = &s->kernels[kernel].items[i];
        CostLevel level = level_of(m, since(s, t->buffer, s->sequence->count + kernel));
        cost->read += t->read;
        cost->written += t->written;
        cost->from[level] += distinct(t);
        cost->memory += level > COST_L2 ? t->written * (write_price - 1) / m->bytes_per_nanosecond[level] : 0;
        cost->from[COST_L2] += fmax(t->beyond[0] - t->beyond[1], 0); /* again, because L1 was too small */
        cost->from[level > COST_L3 ? level : COST_L3] += t->beyond[1];
    }
}

static void finish(const CostMachine *m, const CostWalk *w, bool steps, Cost *cost) {
    cost->sums = w->sums / m->gigahertz;
    cost->points = w->points / m->gigahertz;
    cost->loads = w->loads / m->gigahertz;
    for (int level = COST_L2; level < COST_LEVELS; level++)
        cost->memory += cost->from[level] / m->bytes_per_nanosecond[level];
    double core = cost->sums + cost->points + cost->loads;
    cost->time = fmax(core, cost->memory) + (steps ? step_wait * fmin(core, cost->memory) : 0);
    cost->bound = cost->memory > core                                       ? COST_BY_MEMORY
                  : cost->sums >= cost->points && cost->sums >= cost->loads ? COST_BY_SUMS
                  : cost->points >= cost->loads                             ? COST_BY_POINTS
                                                                            : COST_BY_LOADS;
}

static Step step_new(const KProgram *p, const KSequence *sequence) {
    Step s = {.p = p, .sequence = sequence, .times = 2 * sequence->count};
    s.kernels = ARENA_ARRAY(p->arena, KernelTouches, sequence->count + 1);
    s.newest = ARENA_ARRAY(p->arena, int, p->buffer_count + 1);
    s.touched_at = ARENA_ARRAY(p->arena, int, p->buffer_count + 1);
    for (int i = 0; i < PLACES; i++)
        s.bytes[i] = ARENA_ARRAY(p->arena, double, s.times + 1);
    ARENA_PUSH(p->arena, s.marks, s.mark_count, s.mark_capacity, (Mark){0});
    return s;
}

void cost_memory(const KProgram *p, const CostMachine *m, const KSequence *sequence, const CostWalk *walks,
                 Cost *costs) {
    Step s = step_new(p, sequence);
    for (int k = 0; k < sequence->count; k++)
        gather(&s, &s.kernels[k], &walks[k]);
    for (int time = 0; time < s.times; time++) {
        int k = time % sequence->count;
        touch_all(&s, time);
        if (time >= sequence->count) {
            add_bytes(&s, k, m, &costs[k]);
            finish(m, &walks[k], sequence->kernels[k]->steps > 0, &costs[k]);
        }
        note_time(&s, time);
    }
}
