/* Gradients of shape ops and of indexing: each is the op that moves the elements back. */
#include "passes/autodiff.h"

void gradient_RESHAPE(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    (void)wanted;
    out[0] = build_reshape(&gradient->build, g, op->inputs[0]->type);
}

void gradient_COPY(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    (void)gradient, (void)op, (void)wanted;
    out[0] = g;
}

void gradient_TRANSPOSE(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    (void)wanted;
    int inverse[MAX_RANK];
    for (int i = 0; i < g->type->rank; i++)
        inverse[op->attr.axes.axes[i]] = i;
    out[0] = build_transpose(&gradient->build, g, inverse);
}

void gradient_REVERSE(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    (void)wanted;
    out[0] = build_reverse(&gradient->build, g, op->attr.axes.axes, op->attr.axes.count);
}

/* Every element was repeated: sum over the new axes and over the stretched ones. */
void gradient_BROADCAST(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    (void)wanted;
    const Type *type = op->inputs[0]->type;
    bool kept[MAX_RANK] = {false};
    for (int i = 0; i < type->rank; i++) {
        int axis = op->attr.axes.axes[i];
        kept[axis] = dim_equal(type->dims[i], g->type->dims[axis]);
    }
    int over[MAX_RANK], count = 0;
    for (int i = 0; i < g->type->rank; i++)
        if (!kept[i])
            over[count++] = i;
    Value *sum = count ? build_reduce(&gradient->build, REDUCE_SUM, g, over, count) : g;
    out[0] = build_reshape(&gradient->build, sum, type);
}

void gradient_SLICE(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    (void)wanted;
    const Type *in = op->inputs[0]->type;
    const SliceAttr *slice = &op->attr.slice;
    PadAttr pad = {{0}, {0}, {0}};
    for (int i = 0; i < in->rank; i++) {
        if (in->dims[i].batch)
            continue; /* taken whole */
        pad.low[i] = slice->start[i];
        pad.high[i] = in->dims[i].n - 1 - slice->start[i] - (g->type->dims[i].n - 1) * slice->stride[i];
        pad.interior[i] = slice->stride[i] - 1;
    }
    out[0] = build_pad(&gradient->build, g, &pad);
}

/* What was cropped gets zeros; then the elements of the input are picked out. One padding does both where an axis is
 * moved: cropped at one end, padded at the other. */
void gradient_PAD(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    (void)wanted;
    const Type *in = op->inputs[0]->type;
    PadAttr grow = {{0}, {0}, {0}}, back = {{0}, {0}, {0}};
    int64_t start[MAX_RANK] = {0}, stride[MAX_RANK];
    bool grows = false, shrinks = false, spreads = false;
    for (int i = 0; i < in->rank; i++) {
        int64_t low = op->attr.pad.low[i], high = op->attr.pad.high[i];
        grow.low[i] = low < 0 ? -low : 0;
        grow.high[i] = high < 0 ? -high : 0;
        back.low[i] = -low;
        back.high[i] = -high;
        grows = grows || low < 0 || high < 0;
        shrinks = shrinks || low > 0 || high > 0;
        spreads = spreads || op->attr.pad.interior[i] > 0;
        start[i] = low > 0 ? low : 0;
        stride[i] = op->attr.pad.interior[i] + 1;
    }
    if (grows && shrinks && !spreads) {
        out[0] = build_pad(&gradient->build, g, &back);
        return;
    }
    Value *whole = grows ? build_pad(&gradient->build, g, &grow) : g;
    out[0] = build_slice(&gradient->build, whole, start, stride, in);
}

void gradient_CONCAT(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    int64_t start[MAX_RANK] = {0}, stride[MAX_RANK];
    int axis = op->attr.axis;
    if (g->type->dims[axis].batch) {
        gradient_refuse(gradient, op, "it joins batches", NULL);
        return;
    }
    for (int i = 0; i < MAX_RANK; i++)
        stride[i] = 1;
    for (int i = 0; i < op->input_count; i++) {
        const Type *type = op->inputs[i]->type;
        if (wanted[i])
            out[i] = build_slice(&gradient->build, g, start, stride, type);
        start[axis] += type->dims[axis].n;
    }
}

void gradient_GATHER(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    Value *inputs[] = {op->inputs[1], g};
    if (wanted[0])
        out[0] = build_op(&gradient->build, OP_SCATTER_ADD, &(OpAttr){0}, inputs, 2, op->inputs[0]->type);
}

void gradient_SCATTER_ADD(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    if (wanted[1])
        out[1] = build_gather(&gradient->build, g, op->inputs[0]);
}
