/* Evaluators of reductions, contractions and windows. */
#include <math.h>
#include "ir/contraction.h"
#include "ir/interp_ops.h"

static const struct {
    ScalarFn fn;
    double start;
} reductions[] = {
    [REDUCE_SUM] = {FN_add, 0},
    [REDUCE_MAX] = {FN_max, -INFINITY},
    [REDUCE_MIN] = {FN_min, INFINITY},
};

static double reduce_step(ReduceKind kind, double sum, double x) {
    return scalar_eval(reductions[kind].fn, sum, x, 0);
}

static void fill(Tensor *tensor, double x) {
    for (int64_t i = 0; i < tensor->count; i++)
        tensor->data[i] = x;
}

bool eval_REDUCE(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    const ReduceAttr *reduce = &op->attr.reduce;
    Grid from = grid_of(in[0].type, run->batch), to = grid_of(out[0].type, run->batch);
    int64_t step[MAX_RANK] = {0}, index[MAX_RANK] = {0}, i = 0;
    bool over[MAX_RANK] = {false};
    for (int j = 0; j < reduce->over.count; j++)
        over[reduce->over.axes[j]] = true;
    for (int axis = 0, kept = 0; axis < from.rank; axis++)
        if (!over[axis])
            step[axis] = to.stride[kept++];
    fill(&out[0], reductions[reduce->kind].start);
    do {
        int64_t offset = 0;
        for (int axis = 0; axis < from.rank; axis++)
            offset += index[axis] * step[axis];
        out[0].data[offset] = reduce_step(reduce->kind, out[0].data[offset], in[0].data[i++]);
    } while (grid_next(&from, index));
    return true;
}

bool eval_ARGMAX(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    Grid from = grid_of(in[0].type, run->batch);
    int64_t extent = from.extent[op->attr.axis], stride = from.stride[op->attr.axis];
    for (int64_t i = 0; i < out[0].count; i++) {
        const double *cell = in[0].data + i / stride * stride * extent + i % stride;
        int64_t best = 0;
        for (int64_t j = 1; j < extent; j++)
            if (cell[j * stride] > cell[best * stride])
                best = j;
        out[0].data[i] = (double)best;
    }
    return true;
}

/* One factor of a contraction: the numerators of its indices at the current point of the loop. */
typedef struct {
    const Tensor *tensor;
    Grid grid;
    const AffineIndex *indices;
    int64_t at[MAX_RANK];
} Factor;

static Factor factor_new(const Tensor *tensor, const AffineIndex *indices, int64_t batch) {
    Factor factor = {.tensor = tensor, .grid = grid_of(tensor->type, batch), .indices = indices};
    for (int i = 0; i < factor.grid.rank; i++)
        factor.at[i] = indices[i].constant;
    return factor;
}

static void factor_move(Factor *factor, int axis, int64_t steps) {
    for (int i = 0; i < factor->grid.rank; i++)
        factor->at[i] += factor->indices[i].coefficient[axis] * steps;
}

/* 0 where the indices miss the tensor. */
static double factor_value(const Factor *factor) {
    int64_t offset = 0;
    for (int i = 0; i < factor->grid.rank; i++) {
        int64_t at = factor->at[i], divisor = factor->indices[i].divisor;
        if (at < 0 || (divisor > 1 && at % divisor) || (at /= divisor) >= factor->grid.extent[i])
            return 0;
        offset += at * factor->grid.stride[i];
    }
    return factor->tensor->data[offset];
}

/* All contractions: one loop over all axes, the summed ones innermost. */
static bool eval_contraction(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    Contraction c = contraction_of(op);
    Factor a = factor_new(&in[0], c.a, run->batch), b = factor_new(&in[1], c.b, run->batch);
    int64_t at[MAX_AXES] = {0}, work = contraction_work(&c, run->batch);
    int64_t summed = out[0].count ? work / out[0].count : 0;
    for (int64_t i = 0; i < work; i++) {
        out[0].data[i / summed] += factor_value(&a) * factor_value(&b);
        for (int axis = c.axis_count - 1; axis >= 0; axis--) {
            int64_t extent = dim_size(c.extent[axis], run->batch);
            bool more = ++at[axis] < extent;
            factor_move(&a, axis, more ? 1 : 1 - extent);
            factor_move(&b, axis, more ? 1 : 1 - extent);
            if (more)
                break;
            at[axis] = 0;
        }
    }
    return true;
}

bool eval_EINSUM(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    return eval_contraction(run, op, in, out);
}

bool eval_CONV(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    return eval_contraction(run, op, in, out);
}

bool eval_CONV_GRAD_INPUT(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    return eval_contraction(run, op, in, out);
}

bool eval_CONV_GRAD_KERNEL(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    return eval_contraction(run, op, in, out);
}

/* The cells of a window: steps `cell` (the place in the window) and gives the offset in x, -1 for padding. */
typedef struct {
    Grid x, cells;
    const WindowAttr *window;
} WindowWalk;

static WindowWalk window_walk(const WindowAttr *window, const Type *x, int64_t batch) {
    WindowWalk walk = {.x = grid_of(x, batch), .window = window};
    walk.cells.rank = window->spatial;
    for (int s = 0; s < window->spatial; s++)
        walk.cells.extent[s] = window->size[s];
    return walk;
}

static int64_t window_offset(const WindowWalk *walk, const int64_t *out_index, const int64_t *cell) {
    const WindowAttr *w = walk->window;
    int64_t place[MAX_RANK];
    for (int i = 0; i < walk->x.rank; i++)
        place[i] = out_index[i];
    for (int s = 0; s < w->spatial; s++) {
        place[s + 1] = out_index[s + 1] * w->stride[s] + cell[s] * w->dilation[s] - w->low[s];
        if (place[s + 1] < 0 || place[s + 1] >= walk->x.extent[s + 1])
            return -1;
    }
    return grid_offset(&walk->x, place);
}

bool eval_POOL(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    WindowWalk walk = window_walk(&op->attr.window, in[0].type, run->batch);
    Grid to = grid_of(out[0].type, run->batch);
    int64_t index[MAX_RANK] = {0}, i = 0;
    fill(&out[0], reductions[op->attr.window.kind].start);
    do {
        int64_t cell[MAX_RANK] = {0};
        do {
            int64_t offset = window_offset(&walk, index, cell);
            if (offset >= 0)
                out[0].data[i] = reduce_step(op->attr.window.kind, out[0].data[i], in[0].data[offset]);
        } while (grid_next(&walk.cells, cell));
        i++;
    } while (grid_next(&to, index));
    return true;
}

/* The first largest cell that is no padding. */
bool eval_POOL_ARGMAX(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    WindowWalk walk = window_walk(&op->attr.window, in[0].type, run->batch);
    Grid to = grid_of(out[0].type, run->batch);
    int64_t index[MAX_RANK] = {0}, i = 0;
    do {
        int64_t cell[MAX_RANK] = {0}, number = 0, best = -1;
        do {
            int64_t offset = window_offset(&walk, index, cell);
            if (offset >= 0 && (best < 0 || in[0].data[offset] > in[0].data[best])) {
                best = offset;
                out[0].data[i] = (double)number;
            }
            number++;
        } while (grid_next(&walk.cells, cell));
        i++;
    } while (grid_next(&to, index));
    return true;
}

bool eval_POOL_GRAD(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    WindowWalk walk = window_walk(&op->attr.window, in[0].type, run->batch);
    Grid pooled = grid_of(in[1].type, run->batch);
    int64_t index[MAX_RANK] = {0}, i = 0;
    do {
        double g = in[1].data[i++];
        int64_t cell[MAX_RANK] = {0};
        do {
            int64_t offset = window_offset(&walk, index, cell);
            if (offset >= 0)
                out[0].data[offset] += g;
        } while (grid_next(&walk.cells, cell));
    } while (grid_next(&pooled, index));
    return true;
}

bool eval_UNPOOL(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    WindowWalk walk = window_walk(&op->attr.window, out[0].type, run->batch);
    Grid pooled = grid_of(in[1].type, run->batch);
    int64_t index[MAX_RANK] = {0}, i = 0;
    do {
        int64_t cell[MAX_RANK] = {0}, number = 0;
        do {
            int64_t offset = window_offset(&walk, index, cell);
            if (offset >= 0 && (double)number == in[0].data[i])
                out[0].data[offset] += in[1].data[i];
            number++;
        } while (grid_next(&walk.cells, cell));
        i++;
    } while (grid_next(&pooled, index));
    return true;
}
