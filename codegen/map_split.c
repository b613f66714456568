/* Splits a kernel of several nests into one kernel per nest: what passes on between them goes to the arena, so that
 * each can be shared out among all threads. For kernels with too much work for one thread or block, or too much local
 * memory. */
#include "codegen/map.h"

enum { SMALL_WORK = 1 << 16 };

int64_t map_local_bytes(const KProgram *p, const KKernel *kernel, int64_t rows) {
    int64_t bytes = 0;
    for (int i = 0; i < kernel->local_count; i++) {
        const KBuffer *b = kernel->locals[i];
        int64_t size = kbase_bytes(b->base);
        for (int k = 0; k < b->rank; k++) {
            bool before = kernel->rows && k < kernel->row_axes - 1, row = kernel->rows && k == kernel->row_axes - 1;
            size *= before ? 1 : row && (k > 0 || b->dims[0].batch) ? rows : dim_size(b->dims[k], p->module->batch_max);
        }
        bytes += size;
    }
    return bytes;
}

static int64_t nest_work(const KProgram *p, const Nest *nest) {
    int64_t work = 1;
    for (int i = 0; i < nest->axis_count; i++)
        work *= dim_size(nest->axes[i].extent, p->module->batch_max);
    return work;
}

static bool is_too_big(const KProgram *p, const KKernel *kernel, int64_t rows, int64_t most_bytes) {
    if (kernel->nest_count < 2)
        return false;
    if (map_local_bytes(p, kernel, rows) > most_bytes)
        return true;
    for (int i = 0; i < kernel->nest_count && !kernel->rows; i++)
        if (nest_work(p, kernel->nests[i]) > SMALL_WORK)
            return true;
    return false;
}

/* The buffer stays the same object: expressions point to it. */
static void move_to_arena(KProgram *p, KSequence *sequence, KBuffer *b) {
    KBuffer *fresh = kbuffer_new(p, SPACE_ARENA, b->name, b->base, b->rank, b->dims);
    b->id = fresh->id;
    b->name = fresh->name;
    b->space = SPACE_ARENA;
    b->sequence = sequence;
    p->buffers[b->id] = b;
}

static KKernel *new_part(KProgram *p, KSequence *sequence, const KKernel *whole, int at, int part) {
    KKernel *kernel = kkernel_new(p, sequence, whole->name);
    for (int i = sequence->count - 1; i > at; i--)
        sequence->kernels[i] = sequence->kernels[i - 1];
    sequence->kernels[at] = kernel;
    kernel->comment = arena_format(p->arena, "%s (part %d)", whole->comment ? whole->comment : "", part);
    kernel->span = whole->span;
    kernel->layer = whole->layer;
    kernel->role = whole->role;
    kernel->func = whole->func;
    kernel->var_count = whole->var_count;
    kernel->needs_barrier_before = true;
    return kernel;
}

static void move_locals(KProgram *p, KSequence *sequence, KKernel *kernel) {
    for (int i = 0; i < kernel->local_count; i++)
        move_to_arena(p, sequence, kernel->locals[i]);
    kernel->local_count = 0;
}

void map_apart(KProgram *p, KSequence *sequence, int at) {
    KKernel *whole = sequence->kernels[at];
    int nests = whole->nest_count;
    move_locals(p, sequence, whole);
    for (int n = 1; n < nests; n++) {
        KKernel *part = new_part(p, sequence, whole, at + n, n + 1);
        part->work = whole->work / nests;
        ARENA_PUSH(p->arena, part->nests, part->nest_count, part->nest_capacity, whole->nests[n]);
    }
    whole->work /= nests;
    whole->nest_count = 1;
    whole->rows = false;
    whole->row_axes = 0;
}

/* The steps of a recurrence stay together: only its local memory moves. */
void map_fit(KProgram *p, KSequence *sequence, int at, int64_t rows, int64_t most_bytes) {
    KKernel *kernel = sequence->kernels[at];
    if (kernel->steps) {
        if (map_local_bytes(p, kernel, rows) > most_bytes)
            move_locals(p, sequence, kernel);
    } else if (is_too_big(p, kernel, rows, most_bytes))
        map_apart(p, sequence, at);
}
