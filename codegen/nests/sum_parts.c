/* Long sums over the samples of which all results fit in one tile, as the gradient of a convolution's kernel where it
 * has one channel: one thread would do all of it. The samples are cut in fixed parts, each summed by itself; the kernel
 * that the sum was for adds the parts, in their order. So bits do not depend on the number of threads. Works on nests,
 * after lowering; leaves a kernel more for each such sum. */
#include "codegen/nests/sequence.h"

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

static KExpr *begin_of_part(KProgram *p, KVar *part, int next, Dim samples) {
    KExpr *number = kexpr_binary(p, '+', kexpr_var(p, part), kexpr_index(p, next));
    return kexpr_binary(p, '/', kexpr_binary(p, '*', number, kexpr_dim(p, samples)), kexpr_index(p, PARTS));
}

void sum_parts_program(KProgram *p) {
    static const SumsApart apart = {"parts", "part_sums", "parts of a sum over the samples"};
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++) {
            KSequence *sequence = p->sequences[s];
            KKernel *whole = sequence->kernels[k];
            if (!whole->nest_count || !is_for_parts(p, whole))
                continue;
            Nest *parts = nest_sums_apart(p, sequence, k++, 0, PARTS, apart);
            NestAxis *samples = &parts->axes[axis_of_samples(parts)];
            samples->from = begin_of_part(p, parts->axes[0].var, 0, samples->extent);
            samples->to = begin_of_part(p, parts->axes[0].var, 1, samples->extent);
        }
}
