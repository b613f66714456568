/* Which contractions are products of matrices, and their separation from what is computed from them. */
#include "codegen/nests/gemm.h"
#include "codegen/nests/sequence.h"

/* ---- what is a product of matrices */

const KExpr *gemm_operand(const Nest *nest, int which) {
    return nest->reductions[0].expr->fn.args[which];
}

GemmRole gemm_role(const Nest *nest, int axis) {
    const KVar *var = nest->axes[axis].var;
    bool a = kexpr_uses(gemm_operand(nest, 0), var), b = kexpr_uses(gemm_operand(nest, 1), var);
    if (nest->axes[axis].reduce)
        return a && b ? GEMM_SUM : GEMM_NONE;
    return a && b ? GEMM_EACH : a ? GEMM_ROWS : b ? GEMM_COLUMNS : GEMM_NONE;
}

/* Samples of a step: memory may be planned for more, and the choice must not depend on that. */
static int64_t step_batch(const KProgram *p) {
    int64_t most = p->module->batch_max, step = p->info ? p->info->fit.batch_size : 0;
    return step > 0 && step < most ? step : most;
}

int64_t gemm_extent(const KProgram *p, const Nest *nest, GemmRole role) {
    int64_t extent = 1;
    for (int i = 0; i < nest->axis_count; i++)
        if (gemm_role(nest, i) == role)
            extent *= dim_size(nest->axes[i].extent, step_batch(p));
    return extent;
}

/* Each axis of the buffer is one axis of the nest. */
static bool is_plain_load(const Nest *nest, const KExpr *e, int least_axes) {
    if (e->kind != KE_LOAD || e->type.base != KBASE_F32 || e->load.buffer->space == SPACE_LOCAL ||
        e->load.index_count < least_axes)
        return false;
    int met[NEST_MAX_AXES] = {0};
    for (int i = 0; i < e->load.index_count; i++)
        for (int axis = 0; axis <= nest->axis_count; axis++) {
            if (axis == nest->axis_count)
                return false;
            if (e->load.index[i]->kind == KE_VAR && e->load.index[i]->var == nest->axes[axis].var) {
                if (met[axis]++)
                    return false;
                break;
            }
        }
    return true;
}

bool gemm_is_product(const KKernel *kernel, const Nest *nest) {
    const NestReduction *r = &nest->reductions[0];
    if (nest->reduction_count != 1 || nest->ordered || nest->convolution || r->kind != REDUCE_SUM || r->guard ||
        r->argument || r->expr->kind != KE_FN || r->expr->fn.fn != FN_mul || nest->parallel_count > MAX_RANK)
        return false;
    for (int i = 0; i < 2; i++)
        if (!is_plain_load(nest, r->expr->fn.args[i], 2) || nests_write(kernel, r->expr->fn.args[i]->load.buffer))
            return false;
    for (int i = 0; i < nest->axis_count; i++)
        if (nest->axes[i].from || gemm_role(nest, i) == GEMM_NONE ||
            (i > 0 && i < nest->parallel_count && nest->axes[i].extent.batch))
            return false;
    return true;
}

static bool is_large(const KProgram *p, const Nest *nest, int64_t least) {
    return gemm_extent(p, nest, GEMM_ROWS) >= least && gemm_extent(p, nest, GEMM_COLUMNS) >= least &&
           gemm_extent(p, nest, GEMM_SUM) >= least;
}

/* ---- what is computed from the sums */

/* To a place for each point of the parallel axes. */
static bool is_whole_store(const Nest *nest, const KStmt *store) {
    if (store->store.index_count != nest->parallel_count)
        return false;
    for (int i = 0; i < nest->parallel_count; i++)
        if (store->store.index[i]->kind != KE_VAR || store->store.index[i]->var != nest->axes[i].var)
            return false;
    return true;
}

/* A column's bias: loaded by the axes of columns alone. */
static bool is_bias(const Nest *nest, const KExpr *e) {
    if (!is_plain_load(nest, e, 1) || e->load.buffer->indirect)
        return false;
    for (int i = 0; i < nest->parallel_count; i++)
        if (kexpr_uses(e, nest->axes[i].var) != (gemm_role(nest, i) == GEMM_COLUMNS))
            return false;
    return true;
}

/* Adds what the expression does with `value` to the epilogue; false: more than that. */
static bool follow_value(const Nest *nest, const KExpr *e, const KVar *value, GemmEpilogue *epilogue) {
    if (e->kind == KE_VAR)
        return e->var == value;
    if (e->kind != KE_FN)
        return false;
    KExpr *const *args = e->fn.args;
    if (e->fn.fn == FN_relu && !epilogue->relu && follow_value(nest, args[0], value, epilogue))
        return epilogue->relu = true;
    for (int i = 0; i < 2 && e->fn.fn == FN_add; i++)
        if (is_bias(nest, args[i]) && follow_value(nest, args[1 - i], value, epilogue) && !epilogue->bias &&
            !epilogue->relu) {
            epilogue->bias = args[i];
            return true;
        }
    return false;
}

static bool follow_block(const Nest *nest, const KStmt *block, const KVar **value, GemmEpilogue *epilogue) {
    for (const KStmt *s = block->block.first; s; s = s->next) {
        const KExpr *e = s->kind == KS_LET ? s->let.value : s->kind == KS_STORE ? s->store.value : NULL;
        if (s->kind == KS_BLOCK ? !follow_block(nest, s, value, epilogue)
                                : !e || epilogue->store || !follow_value(nest, e, *value, epilogue))
            return false;
        if (s->kind == KS_LET)
            *value = s->let.var;
        else if (s->kind == KS_STORE)
            epilogue->store = s;
    }
    return true;
}

bool gemm_epilogue(const Nest *nest, GemmEpilogue *epilogue) {
    const KVar *value = nest->reductions[0].result;
    *epilogue = (GemmEpilogue){NULL, false, NULL};
    return follow_block(nest, nest->epilogue, &value, epilogue) && epilogue->store &&
           is_whole_store(nest, epilogue->store);
}

const KStmt *gemm_store(const Nest *nest) {
    GemmEpilogue e;
    bool alone = gemm_epilogue(nest, &e) && !e.bias && !e.relu && e.store->store.buffer->space == SPACE_ARENA;
    return alone ? e.store : NULL;
}

/* Its buffers are not cut in panels. */
static void leave_to_library(Nest *nest) {
    nest->gemm = true;
    gemm_operand(nest, 0)->load.buffer->whole = true;
    gemm_operand(nest, 1)->load.buffer->whole = true;
    gemm_store(nest)->store.buffer->whole = true;
}

/* The products of one kernel; returns how many kernels now stand before it. */
static int leave_kernel(KProgram *p, KSequence *sequence, int at, int64_t least) {
    KKernel *kernel = sequence->kernels[at];
    int before = 0;
    for (int n = 0; n < kernel->nest_count && !kernel->steps; n++) {
        Nest *nest = kernel->nests[n];
        if (!gemm_is_product(kernel, nest) || !is_large(p, nest, least))
            continue;
        bool alone = kernel->nest_count == 1 && gemm_store(nest);
        leave_to_library(alone ? nest
                               : nest_sums_apart(p, sequence, at + before++, n, 1,
                                                 (SumsApart){"product", "sums", "matrix product, by the library"}));
    }
    return before;
}

void gemm_program(KProgram *p, int64_t least) {
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            k += leave_kernel(p, p->sequences[s], k, least);
}
