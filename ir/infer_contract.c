/* Result types of contractions and windows: einsum, conv and its gradients, pool and its gradient. */
#include <stdlib.h>
#include "ir/infer.h"

enum { FAR = 1 << 30 }; /* bound on strides, dilations and paddings: sums and products of them cannot overflow */

/* ---- einsum ---- */

typedef struct {
    const char *letters; /* of the labels, for messages */
    bool in_a[MAX_LABELS], in_b[MAX_LABELS], in_out[MAX_LABELS];
    Dim extent[MAX_LABELS];
} Labels;

static bool check_label(const Infer *infer, int label) {
    return (label >= 0 && label < MAX_LABELS) || infer_fail(infer, "label %d is out of range", label);
}

static bool scan_operand(const Infer *infer, Labels *labels, int operand) {
    const Type *type = infer_input(infer, operand);
    const int8_t *axes = operand ? infer->attr->einsum.b : infer->attr->einsum.a;
    bool *here = operand ? labels->in_b : labels->in_a;
    for (int i = 0; i < type->rank; i++) {
        int label = axes[i];
        if (!check_label(infer, label))
            return false;
        if (here[label])
            return infer_fail(infer, "axis %c occurs twice on the %s", labels->letters[label],
                              operand ? "right" : "left");
        here[label] = true;
        if (operand && labels->in_a[label] && !dim_equal(labels->extent[label], type->dims[i]))
            return infer_fail(infer, "axis %c is %s on the left and %s on the right (%s and %s)",
                              labels->letters[label], infer_dim(infer, labels->extent[label]),
                              infer_dim(infer, type->dims[i]), infer_type(infer, infer_input(infer, 0)),
                              infer_type(infer, type));
        labels->extent[label] = type->dims[i];
    }
    return true;
}

bool infer_einsum_named(const Infer *infer, const char *letters) {
    const EinsumAttr *attr = &infer->attr->einsum;
    Labels labels = {.letters = letters};
    if (!infer_expect_dtype(infer, 0, DTYPE_F32) || !infer_expect_dtype(infer, 1, DTYPE_F32) ||
        !scan_operand(infer, &labels, 0) || !scan_operand(infer, &labels, 1))
        return false;
    Dim dims[MAX_RANK];
    int rank = infer->wanted ? infer->wanted->rank : attr->out_rank;
    if (rank < 0 || rank > MAX_RANK)
        return infer_fail(infer, "the result would have %d axes", rank);
    for (int i = 0; i < rank; i++) {
        int label = attr->out[i];
        if (!check_label(infer, label))
            return false;
        if (labels.in_out[label])
            return infer_fail(infer, "axis %c occurs twice in the result", letters[label]);
        if (!labels.in_a[label] && !labels.in_b[label])
            return infer_fail(infer, "axis %c of the result is in neither input", letters[label]);
        labels.in_out[label] = true;
        dims[i] = labels.extent[label];
    }
    for (int label = 0; label < MAX_LABELS; label++)
        if (labels.in_a[label] != labels.in_b[label] && !labels.in_out[label])
            return infer_fail(infer, "axis %c of the %s is neither in the other input nor in the result",
                              letters[label], labels.in_a[label] ? "left" : "right");
    return infer_give(infer, DTYPE_F32, rank, dims);
}

bool infer_EINSUM(const Infer *infer) {
    return infer_einsum_named(infer, "abcdefghijklmnop");
}

/* ---- windows ---- */

static bool check_window(const Infer *infer, const Type *type) {
    const WindowAttr *window = &infer->attr->window;
    if (window->spatial < 1 || window->spatial > 3)
        return infer_fail(infer, "windows over %d axes are not possible", window->spatial);
    if (type->rank != window->spatial + 2)
        return infer_fail(infer, "a window over %d axes needs %d axes (batch, space, channels), not %s",
                          window->spatial, window->spatial + 2, infer_type(infer, type));
    for (int i = 0; i < window->spatial; i++) {
        int64_t size = window->size[i], stride = window->stride[i], dilation = window->dilation[i];
        int64_t low = window->low[i], high = window->high[i];
        bool positive = size >= 1 && stride >= 1 && dilation >= 1;
        bool small = size < FAR && stride < FAR && dilation < FAR && llabs(low) < FAR && llabs(high) < FAR;
        if (!positive || !small)
            return infer_fail(infer, "size %lld, stride %lld, dilation %lld, padding %lld and %lld are not possible",
                              (long long)size, (long long)stride, (long long)dilation, (long long)low, (long long)high);
    }
    return true;
}

/* Extents of the spatial axes after the window went over type. Negative padding leaves cells out at the border. */
static bool slide(const Infer *infer, const Type *type, Dim *dims) {
    const WindowAttr *window = &infer->attr->window;
    for (int i = 0; i < window->spatial; i++) {
        int64_t reach = window->dilation[i] * (window->size[i] - 1) + 1;
        int64_t room = type->dims[i + 1].n + window->low[i] + window->high[i];
        if (room < reach)
            return infer_fail(infer, "a window of %lld does not fit into the %lld cells of axis %d of %s",
                              (long long)reach, (long long)room, i + 1, infer_type(infer, type));
        if (window->low[i] >= reach || window->high[i] >= reach)
            return infer_fail(infer, "padding %lld and %lld of axis %d leaves windows of %lld empty",
                              (long long)window->low[i], (long long)window->high[i], i + 1, (long long)reach);
        dims[i + 1] = dim_static((room - reach) / window->stride[i] + 1);
    }
    return true;
}

/* The type of conv(x, kernel), NULL after a message. */
static const Type *conv_type(const Infer *infer, const Type *x, const Type *kernel) {
    const WindowAttr *window = &infer->attr->window;
    int spatial = window->spatial, last = spatial + 1;
    Dim dims[MAX_RANK];
    if (!check_window(infer, x))
        return NULL;
    bool fits = kernel->rank == x->rank;
    for (int i = 0; fits && i < spatial; i++)
        fits = dim_equal(kernel->dims[i], dim_static(window->size[i]));
    if (!fits || x->dtype != DTYPE_F32 || kernel->dtype != DTYPE_F32) {
        infer_fail(infer, "the kernel %s does not fit %s and the window", infer_type(infer, kernel),
                   infer_type(infer, x));
        return NULL;
    }
    if (!dim_equal(kernel->dims[spatial], x->dims[last])) {
        infer_fail(infer, "the input %s has %s channels, the kernel %s takes %s", infer_type(infer, x),
                   infer_dim(infer, x->dims[last]), infer_type(infer, kernel), infer_dim(infer, kernel->dims[spatial]));
        return NULL;
    }
    dims[0] = x->dims[0];
    dims[last] = kernel->dims[last];
    if (!slide(infer, x, dims))
        return NULL;
    return type_get(infer->module, DTYPE_F32, x->rank, dims);
}

bool infer_CONV(const Infer *infer) {
    const Type *type = conv_type(infer, infer_input(infer, 0), infer_input(infer, 1));
    return type && infer_give(infer, type->dtype, type->rank, type->dims);
}

/* The gradient g must have the type of the forward op's result. */
static bool check_gradient(const Infer *infer, const Type *forward, const Type *g) {
    if (forward && forward != g)
        return infer_fail(infer, "the gradient is %s, the result was %s", infer_type(infer, g),
                          infer_type(infer, forward));
    return forward != NULL;
}

bool infer_CONV_GRAD_INPUT(const Infer *infer) {
    const Type *x = infer->wanted;
    return infer_needs_wanted(infer) &&
           check_gradient(infer, conv_type(infer, x, infer_input(infer, 1)), infer_input(infer, 0)) &&
           infer_give(infer, DTYPE_F32, x->rank, x->dims);
}

bool infer_CONV_GRAD_KERNEL(const Infer *infer) {
    const Type *kernel = infer->wanted;
    return infer_needs_wanted(infer) &&
           check_gradient(infer, conv_type(infer, infer_input(infer, 0), kernel), infer_input(infer, 1)) &&
           infer_give(infer, DTYPE_F32, kernel->rank, kernel->dims);
}

/* The type of a pool of x, NULL after a message. */
static const Type *pool_type(const Infer *infer, const Type *x) {
    ReduceKind kind = infer->attr->window.kind;
    Dim dims[MAX_RANK];
    if (!check_window(infer, x))
        return NULL;
    if (x->dtype != DTYPE_F32) {
        infer_fail(infer, "windows go over f32, not %s", infer_type(infer, x));
        return NULL;
    }
    if (kind != REDUCE_SUM && kind != REDUCE_MAX) {
        infer_fail(infer, "only sum and max of a window are possible");
        return NULL;
    }
    dims[0] = x->dims[0];
    dims[x->rank - 1] = x->dims[x->rank - 1];
    return slide(infer, x, dims) ? type_get(infer->module, DTYPE_F32, x->rank, dims) : NULL;
}

bool infer_POOL(const Infer *infer) {
    const Type *type = pool_type(infer, infer_input(infer, 0));
    return type && infer_give(infer, type->dtype, type->rank, type->dims);
}

static bool expect_kind(const Infer *infer, ReduceKind kind, const char *message) {
    return infer->attr->window.kind == kind || infer_fail(infer, "%s", message);
}

bool infer_POOL_ARGMAX(const Infer *infer) {
    const Type *type = pool_type(infer, infer_input(infer, 0));
    return type && expect_kind(infer, REDUCE_MAX, "it is of a maximum") &&
           infer_give(infer, DTYPE_I32, type->rank, type->dims);
}

bool infer_POOL_GRAD(const Infer *infer) {
    return check_gradient(infer, pool_type(infer, infer_input(infer, 0)), infer_input(infer, 1)) &&
           expect_kind(infer, REDUCE_SUM, "the gradient of a maximum is unpool") && infer_same(infer);
}

bool infer_UNPOOL(const Infer *infer) {
    const Type *x = infer->wanted;
    return infer_needs_wanted(infer) && check_gradient(infer, pool_type(infer, x), infer_input(infer, 1)) &&
           expect_kind(infer, REDUCE_MAX, "it is of a maximum") && infer_expect_dtype(infer, 0, DTYPE_I32) &&
           (type_equal_dims(infer_input(infer, 0), infer_input(infer, 1)) ||
            infer_fail(infer, "%s cells for %s windows", infer_type(infer, infer_input(infer, 0)),
                       infer_type(infer, infer_input(infer, 1)))) &&
           infer_give(infer, x->dtype, x->rank, x->dims);
}
