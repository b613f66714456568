/* Splits kernels; what passes on from one part to the next goes to the arena.
 *
 * A kernel of several nests becomes one kernel per nest, so that each can be shared out among all threads: where there
 * is too much work for one thread or block, or too much local memory. And the sums of a nest become a kernel of their
 * own, before the one that computes from them: for a library of matrix products, or in parts. */
#include "codegen/nests/sequence.h"

enum { SMALL_WORK = 1 << 16 };

int64_t kkernel_local_bytes(const KProgram *p, const KKernel *kernel, int64_t rows) {
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
    if (kkernel_local_bytes(p, kernel, rows) > most_bytes)
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

static KKernel *new_part(KProgram *p, KSequence *sequence, const KKernel *whole, int at, const char *name) {
    KKernel *kernel = kkernel_new(p, sequence, name);
    ksequence_move(sequence, sequence->count - 1, at);
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

void kkernel_apart(KProgram *p, KSequence *sequence, int at) {
    KKernel *whole = sequence->kernels[at];
    int nests = whole->nest_count;
    move_locals(p, sequence, whole);
    for (int n = 1; n < nests; n++) {
        KKernel *part = new_part(p, sequence, whole, at + n, whole->name);
        part->comment = arena_format(p->arena, "%s (part %d)", whole->comment ? whole->comment : "", n + 1);
        part->work = whole->work / nests;
        ARENA_PUSH(p->arena, part->nests, part->nest_count, part->nest_capacity, whole->nests[n]);
    }
    whole->work /= nests;
    whole->nest_count = 1;
    whole->rows = false;
    whole->row_axes = 0;
}

/* The steps of a recurrence stay together: only its local memory moves. */
void kkernel_fit(KProgram *p, KSequence *sequence, int at, int64_t rows, int64_t most_bytes) {
    KKernel *kernel = sequence->kernels[at];
    if (kernel->steps) {
        if (kkernel_local_bytes(p, kernel, rows) > most_bytes)
            move_locals(p, sequence, kernel);
    } else if (is_too_big(p, kernel, rows, most_bytes))
        kkernel_apart(p, sequence, at);
}

/* ---- sums apart from what is computed from them */

static KBuffer *room_for_sums(KProgram *p, KSequence *sequence, const char *name, const Nest *nest) {
    Dim dims[MAX_RANK];
    for (int i = 0; i < nest->parallel_count; i++)
        dims[i] = nest->axes[i].extent;
    KBuffer *b = kbuffer_new(p, SPACE_ARENA, name, KBASE_F32, nest->parallel_count, dims);
    b->sequence = sequence;
    b->layer = nest->layer;
    return b;
}

/* A kernel before the one at `at`; it has the same variables. */
static KKernel *kernel_before(KProgram *p, KSequence *sequence, int at, SumsApart apart) {
    KKernel *whole = sequence->kernels[at];
    KKernel *kernel = new_part(p, sequence, whole, at, arena_format(p->arena, "%s_%s", whole->name, apart.suffix));
    kernel->comment = apart.comment;
    kernel->role = whole->role ? arena_format(p->arena, "%s_%s", whole->role, apart.suffix) : NULL;
    kernel->needs_barrier_before = whole->needs_barrier_before;
    whole->needs_barrier_before = true;
    return kernel;
}

/* One more axis, in front: the parts of the sum. */
static void add_part_axis(Nest *nest, KVar *part, int parts) {
    for (int i = nest->axis_count++; i > 0; i--)
        nest->axes[i] = nest->axes[i - 1];
    nest->axes[0] = (NestAxis){.var = part, .extent = dim_static(parts)};
    nest->parallel_count++;
    nest->sum_parts = parts;
}

static int sums_index(KProgram *p, const Nest *nest, KExpr **index) {
    for (int i = 0; i < nest->parallel_count; i++)
        index[i] = kexpr_var(p, nest->axes[i].var);
    return nest->parallel_count;
}

/* The nest takes its sums, or adds their parts, from memory. */
static void read_sums(KProgram *p, Nest *nest, KVar *part, int parts, KExpr *sums) {
    nest->axis_count = nest->parallel_count;
    if (part) {
        nest->axes[nest->axis_count++] = (NestAxis){.var = part, .extent = dim_static(parts), .reduce = true};
        nest->reductions[0].expr = sums;
        nest->reductions[0].guard = NULL;
        return;
    }
    KStmt *epilogue = kstmt_block(p);
    nest->reduction_count = 0;
    kstmt_add(epilogue, kstmt_let(p, nest->reductions[0].result, sums));
    kstmt_add(epilogue, nest->epilogue);
    nest->epilogue = epilogue;
}

Nest *nest_sums_apart(KProgram *p, KSequence *sequence, int at, int number, int parts, SumsApart apart) {
    KKernel *whole = sequence->kernels[at];
    Nest *rest = whole->nests[number], *nest = ARENA_NEW(p->arena, Nest);
    KVar *part = parts > 1 ? kvar_new(p, whole, "part", (KType){KBASE_INDEX, 1}, false) : NULL;
    if (part)
        part->limit = parts;
    KExpr *index[NEST_MAX_AXES];
    const char *name = arena_format(p->arena, "%s_%s", whole->name, apart.sums);
    KKernel *kernel = kernel_before(p, sequence, at, apart);
    int64_t work = nest_slots(rest, p->module->batch_max);
    *nest = *rest;
    nest->kernel = kernel;
    if (part)
        add_part_axis(nest, part, parts);
    KBuffer *sums = room_for_sums(p, sequence, name, nest);
    int count = sums_index(p, nest, index);
    nest->epilogue = kstmt_block(p);
    kstmt_add(nest->epilogue, kstmt_store(p, sums, index, count, kexpr_var(p, rest->reductions[0].result), NULL));
    ARENA_PUSH(p->arena, kernel->nests, kernel->nest_count, kernel->nest_capacity, nest);
    kernel->work = nest_slots(nest, p->module->batch_max);
    read_sums(p, rest, part, parts, kexpr_load(p, sums, index, count));
    work -= nest_slots(rest, p->module->batch_max);
    whole->work -= work < whole->work ? work : 0;
    return nest;
}
