/* Evaluators of shape ops and of indexing. */
#include <string.h>
#include "ir/interp_ops.h"

bool eval_RESHAPE(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    if (in[0].count != out[0].count)
        return eval_error(run, op, "the number of elements changes");
    memcpy(out[0].data, in[0].data, sizeof(double) * (size_t)out[0].count);
    return true;
}

bool eval_COPY(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    return eval_RESHAPE(run, op, in, out);
}

/* out[index] = in[sum of index[i] * step[i] + start]: what transpose, broadcast, slice and reverse come to. */
static void read_strided(const Grid *grid, const int64_t *step, int64_t start, const Tensor *in, Tensor *out) {
    int64_t index[MAX_RANK] = {0}, i = 0;
    do {
        int64_t offset = start;
        for (int axis = 0; axis < grid->rank; axis++)
            offset += index[axis] * step[axis];
        out->data[i++] = in->data[offset];
    } while (grid_next(grid, index));
}

bool eval_TRANSPOSE(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    Grid to = grid_of(out[0].type, run->batch), from = grid_of(in[0].type, run->batch);
    int64_t step[MAX_RANK];
    for (int i = 0; i < to.rank; i++)
        step[i] = from.stride[op->attr.axes.axes[i]];
    read_strided(&to, step, 0, in, out);
    return true;
}

bool eval_BROADCAST(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    Grid to = grid_of(out[0].type, run->batch), from = grid_of(in[0].type, run->batch);
    int64_t step[MAX_RANK] = {0};
    for (int i = 0; i < from.rank; i++)
        if (from.extent[i] > 1)
            step[op->attr.axes.axes[i]] = from.stride[i];
    read_strided(&to, step, 0, in, out);
    return true;
}

bool eval_SLICE(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    const SliceAttr *slice = &op->attr.slice;
    Grid to = grid_of(out[0].type, run->batch), from = grid_of(in[0].type, run->batch);
    int64_t step[MAX_RANK], start = 0;
    for (int i = 0; i < to.rank; i++) {
        int64_t last = slice->start[i] + (to.extent[i] - 1) * slice->stride[i];
        if (slice->start[i] < 0 || slice->start[i] >= from.extent[i] || last < 0 || last >= from.extent[i])
            return eval_error(run, op, "leaves its input");
        step[i] = slice->stride[i] * from.stride[i];
        start += slice->start[i] * from.stride[i];
    }
    read_strided(&to, step, start, in, out);
    return true;
}

bool eval_REVERSE(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    const AxesAttr *axes = &op->attr.axes;
    Grid grid = grid_of(out[0].type, run->batch);
    int64_t step[MAX_RANK], start = 0;
    memcpy(step, grid.stride, sizeof step);
    for (int i = 0; i < axes->count; i++) {
        start += (grid.extent[axes->axes[i]] - 1) * step[axes->axes[i]];
        step[axes->axes[i]] *= -1;
    }
    read_strided(&grid, step, start, in, out);
    return true;
}

bool eval_PAD(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    const PadAttr *pad = &op->attr.pad;
    Grid to = grid_of(out[0].type, run->batch), from = grid_of(in[0].type, run->batch);
    int64_t index[MAX_RANK] = {0}, i = 0;
    do {
        int64_t place[MAX_RANK] = {0};
        bool inside = true;
        for (int axis = 0; axis < to.rank; axis++) {
            place[axis] = pad->low[axis] + index[axis] * (pad->interior[axis] + 1);
            inside = inside && place[axis] >= 0 && place[axis] < to.extent[axis];
        }
        if (inside)
            out[0].data[grid_offset(&to, place)] = in[0].data[i];
        i++;
    } while (grid_next(&from, index));
    return true;
}

bool eval_CONCAT(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    Grid to = grid_of(out[0].type, run->batch);
    int64_t first = 0;
    for (int j = 0; j < op->input_count; j++) {
        Grid from = grid_of(in[j].type, run->batch);
        int64_t index[MAX_RANK] = {0}, i = 0;
        do
            out[0].data[grid_offset(&to, index) + first * to.stride[op->attr.axis]] = in[j].data[i++];
        while (grid_next(&from, index));
        first += from.extent[op->attr.axis];
    }
    return true;
}

static int64_t clamp_row(double id, int64_t rows) {
    return id < 0 ? 0 : id >= (double)rows ? rows - 1 : (int64_t)id;
}

bool eval_GATHER(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    (void)op;
    int64_t rows = dim_size(in[0].type->dims[0], run->batch), row = in[0].count / rows;
    for (int64_t i = 0; i < in[1].count; i++)
        memcpy(out[0].data + i * row, in[0].data + clamp_row(in[1].data[i], rows) * row, sizeof(double) * (size_t)row);
    return true;
}

bool eval_SCATTER_ADD(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    (void)op;
    int64_t rows = dim_size(out[0].type->dims[0], run->batch), row = out[0].count / rows;
    for (int64_t i = 0; i < in[0].count; i++)
        for (int64_t j = 0; j < row; j++)
            out[0].data[clamp_row(in[0].data[i], rows) * row + j] += in[1].data[i * row + j];
    return true;
}
