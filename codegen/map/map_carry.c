/* A gradient of a bias adds up what the gradient of the weights beside it reads anyway, without the axis of the other
 * factor: it goes along with the first tile along that axis, and nothing is read for it. So does a gradient of beta
 * with that of gamma, in each tile. The terms are added in the order in which they were. Needs layouts and vector axes;
 * leaves nests that carry another one (Nest.carried). */
#include "codegen/map/map.h"

enum { REGISTERS = 32 };        /* that hold two sums more than a tile */
enum { LEAST_BYTES = 1 << 15 }; /* what the first cache holds costs nothing to read again */

static bool is_plain_sum(const KKernel *kernel) {
    if (kernel->nest_count != 1 || kernel->rows || kernel->steps || kernel->local_count)
        return false;
    const Nest *nest = kernel->nests[0];
    for (int i = 0; i < nest->axis_count; i++)
        if (nest->axes[i].from)
            return false;
    return nest->reduction_count == 1 && nest->reductions[0].kind == REDUCE_SUM && !nest->reductions[0].guard &&
           !nest->reductions[0].argument && !nest->ordered && !nest->each && !nest->cell_count && !nest->gemm &&
           !nest->part.above && nest->sum_parts <= 1 && !nest->carried.nest && nest->vector_axis >= 0 &&
           !nest->axes[nest->vector_axis].reduce;
}

/* Do both loads name the same elements, by axes of the same kind? Fills in which ones. */
static bool same_elements(const Nest *sum, const KExpr *a, const Nest *product, const KExpr *b, int *axis) {
    if (b->kind != KE_LOAD || a->load.buffer != b->load.buffer)
        return false;
    for (int i = 0; i < sum->axis_count; i++)
        axis[i] = -1;
    for (int i = 0; i < a->load.index_count; i++) {
        int mine = nest_axis(sum, a->load.index[i]), other = nest_axis(product, b->load.index[i]);
        if (mine < 0 || other < 0 || axis[mine] >= 0 || sum->axes[mine].reduce != product->axes[other].reduce ||
            !dim_equal(sum->axes[mine].extent, product->axes[other].extent))
            return false;
        axis[mine] = other;
    }
    for (int i = 0; i < sum->axis_count; i++)
        if (axis[i] < 0 || (i > sum->parallel_count && axis[i] < axis[i - 1])) /* the order of the terms */
            return false;
    return true;
}

/* Has the product the parallel axes of the sum, at most one more, and the same one on the lanes? */
static bool covers(const Nest *sum, const Nest *product, NestCarried *carried) {
    int more = product->parallel_count - sum->parallel_count;
    if (product->axis_count - product->parallel_count != sum->axis_count - sum->parallel_count || more < 0 ||
        more > 1 || carried->axis[sum->vector_axis] != product->vector_axis)
        return false;
    carried->lacks = -1;
    if (!more)
        return true;
    int left = product->parallel_count * (product->parallel_count - 1) / 2;
    for (int i = 0; i < sum->parallel_count; i++)
        left -= carried->axis[i];
    carried->lacks = left;
    const NestAxis *axis = &product->axes[left];
    return !axis->extent.batch && axis->extent.n > 1;
}

/* Is something in the product's sum what the other one adds up? */
static bool reads_terms(const Nest *sum, const Nest *product, const KExpr *e, NestCarried *carried) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_LOAD)
        return same_elements(sum, sum->reductions[0].expr, product, e, carried->axis) && covers(sum, product, carried);
    int count = kexpr_operands(e, operands);
    for (int i = 0; i < count; i++)
        if (reads_terms(sum, product, operands[i], carried))
            return true;
    return false;
}

static bool may_carry(const KKernel *kernel, const KKernel *other, NestCarried *carried) {
    const Nest *sum = other->nests[0];
    *carried = (NestCarried){.nest = sum};
    return kernel != other && is_plain_sum(kernel) &&
           reads_terms(sum, kernel->nests[0], kernel->nests[0]->reductions[0].expr, carried);
}

static void carry(KProgram *p, KSequence *sequence, int sum, int product, const NestCarried *carried) {
    KKernel *to = sequence->kernels[product], *from = sequence->kernels[sum];
    kkernel_take_variables(to, from->nests[0]);
    from->nests[0]->kernel = to;
    to->nests[0]->carried = *carried;
    to->work += from->work;
    if (to->comment && from->comment)
        to->comment = arena_format(p->arena, "%s; %s", to->comment, from->comment);
    ksequence_remove(sequence, sum);
}

static bool is_worth_it(const KProgram *p, const KExpr *e) {
    return e->kind == KE_LOAD &&
           kbuffer_elements(e->load.buffer, p->module->batch_max) * kbase_bytes(e->load.buffer->base) > LEAST_BYTES;
}

static bool carry_along(KProgram *p, KSequence *sequence, int at) {
    const KKernel *kernel = sequence->kernels[at];
    NestCarried carried;
    if (!is_plain_sum(kernel) || !is_worth_it(p, kernel->nests[0]->reductions[0].expr))
        return false;
    for (int k = 0; k < sequence->count; k++)
        if (may_carry(sequence->kernels[k], kernel, &carried) &&
            !ksequence_in_the_way(p, sequence, kernel, k < at ? k - 1 : at, k < at ? at : k + 1)) {
            carry(p, sequence, at, k, &carried);
            return true;
        }
    return false;
}

void map_carry(KProgram *p, KSequence *sequence) {
    for (int i = 0; i < sequence->count && p->isa.registers >= REGISTERS; i++)
        if (carry_along(p, sequence, i))
            i--;
}
