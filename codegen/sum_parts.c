/* Long sums over the samples of which all results fit in one tile, as the gradient of a convolution's kernel where it
 * has one channel: one thread would do all of it. The samples are cut in fixed parts, each summed by itself; the kernel
 * that the sum was for adds the parts, in their order. So bits do not depend on the number of threads. Works on nests,
 * after lowering; leaves a kernel more for each such sum. */
#include "codegen/lower.h"

enum { PARTS = 4, LEAST_SAMPLES = 8 * PARTS, LEAST_BARRIERS = 16 /* that the sum takes as long as */ };

static int axis_of_samples(const Nest *nest) {
    for (int i = nest->parallel_count; i < nest->axis_count; i++)
        if (nest->axes[i].extent.batch && !nest->axes[i].from)
            return i;
    return -1;
}

/* A tile has two vectors of the last axis, and rows of another one or of several that follow each other. */
static bool fits_in_a_tile(const KProgram *p, const Nest *nest) {
    int64_t results = 1, last = 1;
    for (int i = 0; i < nest->parallel_count; i++) {
        if (nest->axes[i].extent.batch)
            return false;
        last = nest->axes[i].extent.n;
        results *= last;
    }
    return last <= 2 * (int64_t)p->isa.lanes && results <= (int64_t)p->isa.registers * p->isa.lanes;
}

static bool is_for_parts(const KProgram *p, const KKernel *kernel) {
    const Nest *nest = kernel->nests[0];
    if (kernel->nest_count != 1 || kernel->steps || nest->reduction_count != 1 || nest->ordered || nest->each ||
        nest->cell_count || nest->part.below || nest->parallel_count + 1 > MAX_RANK ||
        nest->axis_count + 1 > NEST_MAX_AXES)
        return false;
    const NestReduction *r = &nest->reductions[0];
    return r->kind == REDUCE_SUM && !r->argument && r->expr->type.base == KBASE_F32 && axis_of_samples(nest) >= 0 &&
           fits_in_a_tile(p, nest) && p->module->batch_max >= LEAST_SAMPLES &&
           nest_slots(nest, p->module->batch_max) / p->isa.lanes >= (int64_t)LEAST_BARRIERS * p->isa.barrier_work;
}

static KBuffer *room_for_parts(KProgram *p, KSequence *sequence, const KKernel *kernel, const Nest *nest) {
    Dim dims[MAX_RANK] = {dim_static(PARTS)};
    for (int i = 0; i < nest->parallel_count; i++)
        dims[i + 1] = nest->axes[i].extent;
    const char *name = arena_format(p->arena, "%s_part_sums", nest->layer ? nest->layer : kernel->name);
    KBuffer *b = kbuffer_new(p, SPACE_ARENA, name, KBASE_F32, nest->parallel_count + 1, dims);
    b->sequence = sequence;
    b->layer = nest->layer;
    return b;
}

/* A kernel before the one at `at`; it has the same variables. */
static KKernel *kernel_before(KProgram *p, KSequence *sequence, int at) {
    KKernel *whole = sequence->kernels[at];
    KKernel *kernel = kkernel_new(p, sequence, arena_format(p->arena, "%s_parts", whole->name));
    for (int i = sequence->count - 1; i > at; i--)
        sequence->kernels[i] = sequence->kernels[i - 1];
    sequence->kernels[at] = kernel;
    kernel->comment = "parts of a sum over the samples";
    kernel->span = whole->span;
    kernel->layer = whole->layer;
    kernel->role = whole->role ? arena_format(p->arena, "%s_parts", whole->role) : NULL;
    kernel->func = whole->func;
    kernel->var_count = whole->var_count;
    kernel->needs_barrier_before = whole->needs_barrier_before;
    whole->needs_barrier_before = true;
    return kernel;
}

static KVar *new_axis(KProgram *p, KKernel *kernel, NestAxis *axis, bool reduce) {
    KVar *var = kvar_new(p, kernel, "part", (KType){KBASE_INDEX, 1}, false);
    var->limit = PARTS;
    *axis = (NestAxis){.var = var, .extent = dim_static(PARTS), .reduce = reduce};
    return var;
}

static KExpr *begin_of_part(KProgram *p, const KVar *part, int next, Dim samples) {
    KExpr *number = kexpr_binary(p, '+', kexpr_var(p, (KVar *)part), kexpr_index(p, next));
    return kexpr_binary(p, '/', kexpr_binary(p, '*', number, kexpr_dim(p, samples)), kexpr_index(p, PARTS));
}

/* The sum of each part of the samples, to memory. */
static void sum_parts(KProgram *p, KKernel *kernel, const Nest *whole, KBuffer *parts) {
    Nest *nest = ARENA_NEW(p->arena, Nest);
    KExpr *index[NEST_MAX_AXES];
    *nest = *whole;
    nest->kernel = kernel;
    nest->axis_count++;
    nest->parallel_count++;
    for (int i = nest->axis_count - 1; i > 0; i--)
        nest->axes[i] = whole->axes[i - 1];
    KVar *part = new_axis(p, kernel, &nest->axes[0], false);
    NestAxis *samples = &nest->axes[axis_of_samples(whole) + 1];
    samples->from = begin_of_part(p, part, 0, samples->extent);
    samples->to = begin_of_part(p, part, 1, samples->extent);
    samples->parts = PARTS;
    for (int i = 0; i < nest->parallel_count; i++)
        index[i] = kexpr_var(p, nest->axes[i].var);
    nest->epilogue = kstmt_block(p);
    kstmt_add(nest->epilogue,
              kstmt_store(p, parts, index, nest->parallel_count, kexpr_var(p, nest->reductions[0].result), NULL));
    ARENA_PUSH(p->arena, kernel->nests, kernel->nest_count, kernel->nest_capacity, nest);
}

static void add_parts(KProgram *p, KKernel *kernel, Nest *nest, KBuffer *parts) {
    KExpr *index[NEST_MAX_AXES];
    nest->axis_count = nest->parallel_count + 1;
    index[0] = kexpr_var(p, new_axis(p, kernel, &nest->axes[nest->parallel_count], true));
    for (int i = 0; i < nest->parallel_count; i++)
        index[i + 1] = kexpr_var(p, nest->axes[i].var);
    nest->reductions[0].expr = kexpr_load(p, parts, index, nest->parallel_count + 1);
    nest->reductions[0].guard = NULL;
}

void sum_parts_program(KProgram *p) {
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++) {
            KSequence *sequence = p->sequences[s];
            KKernel *whole = sequence->kernels[k];
            if (!whole->nest_count || !is_for_parts(p, whole))
                continue;
            KBuffer *parts = room_for_parts(p, sequence, whole, whole->nests[0]);
            KKernel *kernel = kernel_before(p, sequence, k++);
            sum_parts(p, kernel, whole->nests[0], parts);
            kernel->work = whole->work;
            add_parts(p, whole, whole->nests[0], parts);
            whole->work = nest_slots(whole->nests[0], p->module->batch_max);
        }
}
