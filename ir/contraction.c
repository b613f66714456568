/* Makes a Contraction (ir/contraction.h) of an op of class CONTRACT. Needs a verified op: its operand types, its result
 * type and its attributes. */
#include "ir/contraction.h"

typedef struct {
    Contraction result;
    const Type *a, *b, *out;
    const WindowAttr *window;
} Maker;

static int add_axis(Contraction *c, Dim extent) {
    c->extent[c->axis_count] = extent;
    return c->axis_count++;
}

/* The operand's axis is one axis of the contraction, unchanged. */
static void index_plain(AffineIndex *index, int axis) {
    index->coefficient[axis] += 1;
    index->divisor = 1;
}

static Maker maker_new(const Op *op) {
    Maker m = {.a = op->inputs[0]->type, .b = op->inputs[1]->type, .out = op->results[0]->type};
    Contraction *c = &m.result;
    c->out_rank = m.out->rank;
    c->a_rank = m.a->rank;
    c->b_rank = m.b->rank;
    for (int i = 0; i < m.out->rank; i++)
        add_axis(c, m.out->dims[i]);
    for (int i = 0; i < MAX_RANK; i++)
        c->a[i].divisor = c->b[i].divisor = 1;
    m.window = &op->attr.window;
    return m;
}

static void einsum_operand(Contraction *c, AffineIndex *indices, const Type *type, const int8_t *labels,
                           int *axis_of_label) {
    for (int i = 0; i < type->rank; i++) {
        int *axis = &axis_of_label[labels[i]];
        if (*axis < 0)
            *axis = add_axis(c, type->dims[i]);
        index_plain(&indices[i], *axis);
    }
}

static Contraction make_einsum(const Op *op) {
    Maker m = maker_new(op);
    const EinsumAttr *e = &op->attr.einsum;
    int axis_of_label[MAX_LABELS];
    for (int i = 0; i < MAX_LABELS; i++)
        axis_of_label[i] = -1;
    for (int i = 0; i < m.out->rank; i++)
        axis_of_label[e->out[i]] = i;
    einsum_operand(&m.result, m.result.a, m.a, e->a, axis_of_label);
    einsum_operand(&m.result, m.result.b, m.b, e->b, axis_of_label);
    return m.result;
}

/* Whether an index of divisor 1 can leave 0 <= index < extent; the batch never takes part in windows. */
static bool index_can_leave(const Contraction *c, const AffineIndex *index, int64_t extent) {
    int64_t low = index->constant, high = index->constant;
    for (int i = 0; i < c->axis_count; i++) {
        int64_t reach = index->coefficient[i] * (c->extent[i].n - 1);
        low += reach < 0 ? reach : 0;
        high += reach > 0 ? reach : 0;
    }
    return low < 0 || high >= extent;
}

/* x = o * stride + k * dilation - low */
static void index_window(Contraction *c, AffineIndex *index, const WindowAttr *w, int s, int o_axis, int k_axis,
                         const Type *x) {
    index->coefficient[o_axis] = w->stride[s];
    index->coefficient[k_axis] = w->dilation[s];
    index->constant = -w->low[s];
    index->divisor = 1;
    index->may_miss = index_can_leave(c, index, x->dims[s + 1].n);
}

static Contraction make_conv(const Op *op) {
    Maker m = maker_new(op);
    Contraction *c = &m.result;
    int spatial = m.window->spatial, features = spatial + 1, kernel_axis[3];
    for (int s = 0; s < spatial; s++)
        kernel_axis[s] = add_axis(c, m.b->dims[s]);
    int channels = add_axis(c, m.b->dims[spatial]);
    index_plain(&c->a[0], 0);
    for (int s = 0; s < spatial; s++) {
        index_window(c, &c->a[s + 1], m.window, s, s + 1, kernel_axis[s], m.a);
        index_plain(&c->b[s], kernel_axis[s]);
    }
    index_plain(&c->a[spatial + 1], channels);
    index_plain(&c->b[spatial], channels);
    index_plain(&c->b[spatial + 1], features);
    return m.result;
}

/* g's index is (x + low - k * dilation) / stride. */
static Contraction make_conv_grad_input(const Op *op) {
    Maker m = maker_new(op);
    Contraction *c = &m.result;
    const WindowAttr *w = m.window;
    int spatial = w->spatial, channels = spatial + 1, kernel_axis[3];
    for (int s = 0; s < spatial; s++)
        kernel_axis[s] = add_axis(c, m.b->dims[s]);
    int features = add_axis(c, m.b->dims[spatial + 1]);
    index_plain(&c->a[0], 0);
    for (int s = 0; s < spatial; s++) {
        AffineIndex *index = &c->a[s + 1];
        index->coefficient[s + 1] = 1;
        index->coefficient[kernel_axis[s]] = -w->dilation[s];
        index->constant = w->low[s];
        index->divisor = w->stride[s];
        index->may_miss = w->stride[s] > 1 || index_can_leave(c, index, m.a->dims[s + 1].n);
        index_plain(&c->b[s], kernel_axis[s]);
    }
    index_plain(&c->a[spatial + 1], features);
    index_plain(&c->b[spatial], channels);
    index_plain(&c->b[spatial + 1], features);
    return m.result;
}

static Contraction make_conv_grad_kernel(const Op *op) {
    Maker m = maker_new(op);
    Contraction *c = &m.result;
    int spatial = m.window->spatial, position_axis[3];
    int batch = add_axis(c, m.b->dims[0]);
    for (int s = 0; s < spatial; s++)
        position_axis[s] = add_axis(c, m.b->dims[s + 1]);
    index_plain(&c->a[0], batch);
    index_plain(&c->b[0], batch);
    for (int s = 0; s < spatial; s++) {
        index_window(c, &c->a[s + 1], m.window, s, position_axis[s], s, m.a);
        index_plain(&c->b[s + 1], position_axis[s]);
    }
    index_plain(&c->a[spatial + 1], spatial);
    index_plain(&c->b[spatial + 1], spatial + 1);
    return m.result;
}

Contraction contraction_of(const Op *op) {
    switch (op->code) {
    case OP_EINSUM:
        return make_einsum(op);
    case OP_CONV:
        return make_conv(op);
    case OP_CONV_GRAD_INPUT:
        return make_conv_grad_input(op);
    case OP_CONV_GRAD_KERNEL:
        return make_conv_grad_kernel(op);
    default:
        return (Contraction){0}; /* no contraction: no axes */
    }
}

int64_t contraction_work(const Contraction *c, int64_t batch) {
    int64_t work = 1;
    for (int i = 0; i < c->axis_count; i++)
        work *= dim_size(c->extent[i], batch);
    return work;
}
