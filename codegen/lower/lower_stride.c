/* The gradient of a convolution with strides by its input, which a transposed convolution is too, as a sum without
 * zeros: a cell meets only each stride-th tap,
 *
 *   (cell + low) = stride * position + first:   taps first + stride * t meet positions position - t
 *
 * so the sum runs over t, and where it ends depends on the cell by its rest. Cells with the same rest are rows of a
 * tile (nest_period). Needs a CPU; leaves a nest whose indices have the quotient and the rest in them. */
#include "codegen/lower/lower.h"

/* One axis of space. */
typedef struct {
    int64_t stride, dilation, taps, cells, positions;
    int64_t whole; /* strides that are added to cells, so that nothing is negative */
    int64_t start; /* low with them */
} StridedAxis;

static StridedAxis strided_axis(const Op *op, int s) {
    const WindowAttr *w = &op->attr.window;
    StridedAxis a = {.stride = w->stride[s], .dilation = w->dilation[s], .taps = op->inputs[1]->type->dims[s].n};
    a.cells = op->results[0]->type->dims[s + 1].n;
    a.positions = op->inputs[0]->type->dims[s + 1].n;
    a.whole = w->low[s] < 0 ? (-w->low[s] + a.stride - 1) / a.stride : 0;
    a.start = w->low[s] + a.whole * a.stride;
    return a;
}

static int64_t taps_at(const StridedAxis *a, int64_t cell) {
    return (a->taps - (cell + a->start) % a->stride + a->stride - 1) / a->stride;
}

/* The positions that cells meet, those that do not exist too. */
static LowerReach reach_of(const StridedAxis *a) {
    LowerReach reach = {.low = a->positions, .high = -1, .divisor = 1};
    for (int64_t cell = 0; cell < a->cells; cell++) {
        int64_t taps = taps_at(a, cell), last = (cell + a->start) / a->stride - a->whole;
        int64_t first = last - (taps - 1) * a->dilation;
        if (taps > 0) {
            reach.low = first < reach.low ? first : reach.low;
            reach.high = last > reach.high ? last : reach.high;
        }
    }
    if (reach.low >= 0 && reach.high < a->positions)
        reach.divisor = 0;
    return reach;
}

/* Terms of the sum, and where it ends, where that is not the same for all cells. */
static void add_taps(LowerRegion *r, Nest *nest, const StridedAxis *a, KExpr *first) {
    KProgram *p = r->lower->program;
    int64_t met = 0;
    lower_add_axis(r, nest, "k", dim_static((a->taps + a->stride - 1) / a->stride), true);
    NestAxis *axis = &nest->axes[nest->axis_count - 1];
    if (a->taps % a->stride == 0)
        return;
    KExpr *left = kexpr_binary(p, '-', lower_index(r, a->taps + a->stride - 1), first);
    axis->from = lower_index(r, 0);
    axis->to = kexpr_binary(p, '/', left, lower_index(r, a->stride));
    for (int64_t cell = 0; cell < a->cells; cell++)
        met += taps_at(a, cell);
    axis->part = (double)met / (double)(a->cells * axis->extent.n);
}

static bool is_strided(const LowerRegion *r, const Op *op) {
    const WindowAttr *w = &op->attr.window;
    bool strided = false;
    if (op->code != OP_CONV_GRAD_INPUT || r->lower->program->isa.gpu || r->windows)
        return false;
    for (int s = 0; s < w->spatial; s++) {
        strided = strided || w->stride[s] > 1;
        if (w->stride[s] > 1 && w->dilation[s] > 1)
            return false;
    }
    return strided;
}

/* The operand's own memory, or what a kernel before makes of it; NULL: it is computed where it is read. */
static KBuffer *whole_operand(LowerRegion *r, const Op *op, const LowerReach *reach, const Op *unpool) {
    bool misses = false;
    for (int i = 0; i < op->inputs[0]->type->rank; i++)
        misses = misses || reach[i].divisor;
    if (misses)
        return lower_halo(r, op, 0, reach);
    return unpool && !lower_unpool_inline(r, op, unpool) ? lower_unpool_whole(r, unpool) : NULL;
}

bool lower_strided(LowerRegion *r, const Op *op, const Op *unpool) {
    KProgram *p = r->lower->program;
    LowerReach reach[MAX_RANK] = {{0}};
    KExpr *g[MAX_RANK], *w[MAX_RANK];
    int spatial = op->attr.window.spatial;
    if (!is_strided(r, op))
        return false;
    for (int s = 0; s < spatial; s++) {
        StridedAxis a = strided_axis(op, s);
        reach[s + 1] = reach_of(&a);
    }
    KBuffer *whole = whole_operand(r, op, reach, unpool);
    Nest *nest = lower_nest(r, op, op->results[0]->type);
    for (int s = 0; s < spatial; s++) {
        StridedAxis a = strided_axis(op, s);
        KExpr *cell = kexpr_binary(p, '+', lower_axis(r, nest, s + 1), lower_index(r, a.start));
        KExpr *stride = lower_index(r, a.stride), *first = kexpr_binary(p, '%', cell, stride);
        int64_t origin = a.whole + (reach[s + 1].divisor ? reach[s + 1].low : 0);
        KExpr *position = kexpr_binary(p, '-', kexpr_binary(p, '/', cell, stride), lower_index(r, origin));
        add_taps(r, nest, &a, first);
        KExpr *t = lower_axis(r, nest, nest->axis_count - 1);
        g[s + 1] = kexpr_binary(p, '-', position, kexpr_binary(p, '*', t, lower_index(r, a.dilation)));
        w[s] = kexpr_binary(p, '+', first, kexpr_binary(p, '*', t, stride));
    }
    lower_add_axis(r, nest, "k", op->inputs[0]->type->dims[spatial + 1], true);
    g[0] = lower_axis(r, nest, 0);
    g[spatial + 1] = w[spatial + 1] = lower_axis(r, nest, nest->axis_count - 1);
    w[spatial] = lower_axis(r, nest, spatial + 1);
    KExpr *a = whole ? kexpr_load(p, whole, g, spatial + 2) : lower_expr(r, nest, op->inputs[0], g);
    KExpr *b = lower_expr(r, nest, op->inputs[1], w);
    lower_reduction(r, nest, op->results[0], REDUCE_SUM, kexpr_fn(p, FN_mul, a, b, NULL));
    return true;
}
