/* Convolution layers made of other operations than one convolution: transposed ones are the gradient of a convolution
 * by its input, depthwise ones a sum over the cells of the window. */
#include "frontend/components/windows.h"

/* window: sizes, strides and dilation from the arguments. False after an error. */
static bool read_window(LayerContext *ctx, const Type *x, int spatial, const char *constraints, WindowAttr *window) {
    const Args *args = ctx->args;
    if (!layer_channels_last(ctx) || !layer_not_built(ctx, constraints) || !window_rank(ctx, x, spatial))
        return false;
    bool strided = false, dilated = false;
    *window = (WindowAttr){.spatial = spatial};
    for (int i = 0; i < spatial; i++) {
        window->size[i] = arg_get(args, "kernel_size")->ints.items[i];
        window->stride[i] = arg_get(args, "strides")->ints.items[i];
        window->dilation[i] = arg_get(args, "dilation_rate")->ints.items[i];
        strided |= window->stride[i] > 1;
        dilated |= window->dilation[i] > 1;
    }
    if (strided && dilated)
        diag_error(ctx->diag, arg_get(args, "dilation_rate")->span,
                   "%s: strides > 1 and dilation_rate > 1 together are not allowed, as in Keras",
                   args->component->name);
    return !strided || !dilated;
}

static int64_t window_reach(const WindowAttr *w, int i) {
    return (w->size[i] - 1) * w->dilation[i] + 1;
}

/* The whole result of n cells has (n - 1) strides + reach cells; Keras takes `extent` of them from `low` on, for `same`
 * the middle. output_padding, where it is given, says how many lie behind. */
static int64_t transposed_extent(LayerContext *ctx, int64_t n, int i, WindowAttr *w) {
    const Arg *padding = arg_get(ctx->args, "output_padding");
    bool same = strcmp(arg_text(ctx->args, "padding"), "same") == 0, given = !padding->is_none;
    int64_t reach = window_reach(w, i), stride = w->stride[i], extra = given ? padding->ints.items[i] : 0, extent;
    if (given && extra >= stride) {
        diag_error(ctx->diag, padding->span, "%s: output_padding must be less than strides, as in Keras",
                   ctx->args->component->name);
        return 0;
    }
    if (same) {
        int64_t room = given ? reach + reach % 2 - 2 + extra : stride + reach - 2, before = (room + 1) / 2;
        before = before < reach - 1 ? before : reach - 1;
        w->low[i] = reach - 1 - before;
        extent = (n - 1) * stride + room - reach + 2;
    } else {
        extent = (n - 1) * stride + reach + (given ? extra : stride > reach ? stride - reach : 0);
    }
    w->high[i] = (n - 1) * stride + reach - w->low[i] - extent;
    return extent;
}

static Value *transposed(LayerContext *ctx, Value *x, int spatial) {
    WindowAttr window;
    if (!read_window(ctx, x->type, spatial, "kernel_constraint|bias_constraint", &window))
        return NULL;
    int64_t filters = arg_int(ctx->args, "filters");
    Dim shape[MAX_RANK] = {x->type->dims[0]}, dims[MAX_RANK] = {{0}};
    for (int i = 0; i < spatial; i++) {
        int64_t extent = transposed_extent(ctx, x->type->dims[i + 1].n, i, &window);
        if (extent < 1)
            return NULL;
        shape[i + 1] = dim_static(extent);
        dims[i] = dim_static(window.size[i]);
    }
    shape[spatial + 1] = dims[spatial] = dim_static(filters);
    dims[spatial + 1] = x->type->dims[spatial + 1];
    if (!layer_weight_fits(ctx, "kernel", spatial + 2, dims))
        return NULL;
    Value *kernel = layer_weight(ctx, "kernel", layer_type(ctx, spatial + 2, dims), true);
    if (!kernel)
        return NULL;
    OpAttr attr = {.window = window};
    Value *inputs[] = {x, kernel};
    const Type *type = layer_type(ctx, spatial + 2, shape);
    return layer_finish(ctx, build_op(ctx->builder, OP_CONV_GRAD_INPUT, &attr, inputs, 2, type), filters);
}
static Value *conv1d_transpose(LayerContext *ctx, Value *x) {
    return transposed(ctx, x, SPATIAL_1D);
}
static Value *conv2d_transpose(LayerContext *ctx, Value *x) {
    return transposed(ctx, x, SPATIAL_2D);
}

/* What one cell of the window reads of x, zeros where it lies outside: [B, o.., C]. */
static Value *read_cell(Builder *b, Value *x, const WindowAttr *w, const int64_t *cell, const Type *type) {
    int64_t start[MAX_RANK] = {0}, stride[MAX_RANK] = {1, 1, 1, 1};
    PadAttr pad = {.low = {0}};
    for (int i = 0; i < w->spatial; i++) {
        int64_t reach = (type->dims[i + 1].n - 1) * w->stride[i] + 1;
        pad.low[i + 1] = w->low[i] - cell[i] * w->dilation[i];
        pad.high[i + 1] = reach - x->type->dims[i + 1].n - pad.low[i + 1];
        stride[i + 1] = w->stride[i];
    }
    return build_slice(b, build_pad(b, x, &pad), start, stride, type);
}

/* The weights of one cell: [C] of [k.., C]. */
static Value *weights_of_cell(Builder *b, Value *kernel, int spatial, const int64_t *cell) {
    int64_t start[MAX_RANK] = {0}, stride[MAX_RANK] = {1, 1, 1};
    Dim dims[MAX_RANK];
    for (int i = 0; i <= spatial; i++) {
        start[i] = i < spatial ? cell[i] : 0;
        dims[i] = i < spatial ? dim_static(1) : kernel->type->dims[i];
    }
    Value *one = build_slice(b, kernel, start, stride, type_get(b->module, DTYPE_F32, spatial + 1, dims));
    return build_reshape(b, one, type_get(b->module, DTYPE_F32, 1, dims + spatial));
}

/* Each channel as often as it has results: x of [B, .., C], channel c m + k is channel c. */
static Value *repeat_channels(LayerContext *ctx, Value *x, int64_t times) {
    Dim dims[MAX_RANK], wide[MAX_RANK];
    int axes[MAX_RANK], rank = x->type->rank;
    for (int i = 0; i < rank; i++) {
        axes[i] = i;
        dims[i] = wide[i] = x->type->dims[i];
    }
    dims[rank] = dim_static(times);
    wide[rank - 1].n *= times;
    x = build_broadcast(ctx->builder, x, layer_type(ctx, rank + 1, dims), axes);
    return build_reshape(ctx->builder, x, layer_type(ctx, rank, wide));
}

/* Channel c m + k of the result is the k-th of channel c: sum over the window of x[.., c] kernel[.., c, k]. */
static Value *depthwise(LayerContext *ctx, Value *x, Value *kernel, const WindowAttr *w) {
    Builder *b = ctx->builder;
    int spatial = w->spatial;
    int64_t cells = 1, multiplier = arg_int(ctx->args, "depth_multiplier");
    Dim dims[MAX_RANK] = {x->type->dims[0]}, weights[MAX_RANK];
    if (!kernel)
        return NULL;
    for (int i = 0; i < spatial; i++) {
        cells *= w->size[i];
        weights[i] = dim_static(w->size[i]);
        dims[i + 1] = dim_static(window_extent(w, i, x->type->dims[i + 1].n));
    }
    dims[spatial + 1] = weights[spatial] = dim_static(x->type->dims[spatial + 1].n * multiplier);
    kernel = build_reshape(b, kernel, layer_type(ctx, spatial + 1, weights));
    x = multiplier > 1 ? repeat_channels(ctx, x, multiplier) : x;
    Value *sum = NULL;
    for (int64_t i = 0; i < cells; i++) {
        int64_t cell[2] = {spatial == 2 ? i / w->size[1] : i, spatial == 2 ? i % w->size[1] : 0};
        Value *read = read_cell(b, x, w, cell, layer_type(ctx, spatial + 2, dims));
        Value *product = build_mul(b, read, weights_of_cell(b, kernel, spatial, cell));
        sum = sum ? build_add(b, sum, product) : product;
    }
    return sum;
}

enum { MOST_CELLS = 121 };

/* Both depthwise steps: the weight and the sum. */
static Value *depthwise_step(LayerContext *ctx, Value *x, int spatial, const char *leaf, const char *constraints) {
    WindowAttr window;
    Dim dims[MAX_RANK] = {{0}};
    int64_t cells = 1;
    if (!read_window(ctx, x->type, spatial, constraints, &window) ||
        !window_fit(ctx, x->type, arg_text(ctx->args, "padding"), "kernel_size", &window))
        return NULL;
    for (int i = 0; i < spatial; i++) {
        dims[i] = dim_static(window.size[i]);
        cells = window.size[i] > MOST_CELLS ? MOST_CELLS + 1 : cells * window.size[i];
    }
    if (cells > MOST_CELLS) {
        diag_error(ctx->diag, arg_get(ctx->args, "kernel_size")->span,
                   "%s: windows of more than %d cells are not built yet", ctx->args->component->name, MOST_CELLS);
        return NULL;
    }
    dims[spatial] = x->type->dims[spatial + 1];
    dims[spatial + 1] = dim_static(arg_int(ctx->args, "depth_multiplier"));
    if (!layer_weight_fits(ctx, "kernel", spatial + 2, dims))
        return NULL;
    Value *kernel = layer_weight(ctx, leaf, layer_type(ctx, spatial + 2, dims), true);
    return depthwise(ctx, x, kernel, &window);
}

static Value *depthwise_conv(LayerContext *ctx, Value *x, int spatial) {
    Value *y = depthwise_step(ctx, x, spatial, "kernel", "depthwise_constraint|bias_constraint");
    return y ? layer_finish(ctx, y, y->type->dims[spatial + 1].n) : NULL;
}
static Value *depthwise_conv1d(LayerContext *ctx, Value *x) {
    return depthwise_conv(ctx, x, SPATIAL_1D);
}
static Value *depthwise_conv2d(LayerContext *ctx, Value *x) {
    return depthwise_conv(ctx, x, SPATIAL_2D);
}

static Value *separable_conv(LayerContext *ctx, Value *x, int spatial) {
    static const char constraints[] = "depthwise_constraint|pointwise_constraint|bias_constraint";
    Value *y = depthwise_step(ctx, x, spatial, "depthwise_kernel", constraints);
    if (!y)
        return NULL;
    int64_t filters = arg_int(ctx->args, "filters");
    WindowAttr one = {.spatial = spatial, .size = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
    Dim dims[MAX_RANK] = {dim_static(1), dim_static(1)};
    dims[spatial] = y->type->dims[spatial + 1];
    dims[spatial + 1] = dim_static(filters);
    if (!layer_weight_fits(ctx, "pointwise_kernel", spatial + 2, dims))
        return NULL;
    Value *kernel = layer_weight(ctx, "pointwise_kernel", layer_type(ctx, spatial + 2, dims), true);
    return layer_finish(ctx, build_conv(ctx->builder, y, kernel, &one), filters);
}
static Value *separable_conv1d(LayerContext *ctx, Value *x) {
    return separable_conv(ctx, x, SPATIAL_1D);
}
static Value *separable_conv2d(LayerContext *ctx, Value *x) {
    return separable_conv(ctx, x, SPATIAL_2D);
}

#define KERNEL_SIZE(SPATIAL) INTS("kernel_size", NULL, SPATIAL, 1, LARGE, "extents of the window; one number for all")
#define STRIDES(SPATIAL, DOC) INTS("strides", "1", SPATIAL, 1, LARGE, DOC)
#define DILATION(SPATIAL) INTS("dilation_rate", "1", SPATIAL, 1, LARGE, "distance of the cells of a window")
#define FILTERS INT("filters", NULL, 1, LARGE, "number of channels of the result")
#define USE_BIAS BOOLEAN("use_bias", "true", "add a bias per channel of the result")
#define MULTIPLIER INT("depth_multiplier", "1", 1, LARGE, "results of each channel")
#define PADDING(CHOICES, DOC) CHOICE("padding", "valid", CHOICES, DOC)
#define INSIDE "valid: windows lie inside; same: zeros around, so that stride 1 keeps the shape"
#define TRANSPOSED(SPATIAL)                                                                                            \
    FILTERS, KERNEL_SIZE(SPATIAL), STRIDES(SPATIAL, "cells of the result from one cell of the input to the next"),     \
        PADDING("valid|same", "valid: all that a window reaches; same: strides times the extents of the input"),       \
        INTS("output_padding", "none", SPATIAL, 0, LARGE, "cells behind, less than strides; none: by padding"),        \
        DATA_FORMAT, DILATION(SPATIAL), ACTIVATION("none"), USE_BIAS, INITIALIZER("kernel", "glorot_uniform"),         \
        INITIALIZER("bias", "zeros"), REGULARIZER("kernel"), REGULARIZER("bias"), ACTIVITY_REGULARIZER,                \
        CONSTRAINT("kernel"), CONSTRAINT("bias"), LAYER_COMMON, END
#define DEPTHWISE(SPATIAL)                                                                                             \
    KERNEL_SIZE(SPATIAL), STRIDES(SPATIAL, "cells from one window to the next"), PADDING("valid|same", INSIDE),        \
        MULTIPLIER, DATA_FORMAT, DILATION(SPATIAL), ACTIVATION("none"), USE_BIAS,                                      \
        INITIALIZER("depthwise", "glorot_uniform"), INITIALIZER("bias", "zeros"), REGULARIZER("depthwise"),            \
        REGULARIZER("bias"), ACTIVITY_REGULARIZER, CONSTRAINT("depthwise"), CONSTRAINT("bias"), LAYER_COMMON, END
#define SEPARABLE(SPATIAL)                                                                                             \
    FILTERS, KERNEL_SIZE(SPATIAL), STRIDES(SPATIAL, "cells from one window to the next"),                              \
        PADDING("valid|same", INSIDE), DATA_FORMAT, DILATION(SPATIAL), MULTIPLIER, ACTIVATION("none"), USE_BIAS,       \
        INITIALIZER("depthwise", "glorot_uniform"), INITIALIZER("pointwise", "glorot_uniform"),                        \
        INITIALIZER("bias", "zeros"), REGULARIZER("depthwise"), REGULARIZER("pointwise"), REGULARIZER("bias"),         \
        ACTIVITY_REGULARIZER, CONSTRAINT("depthwise"), CONSTRAINT("pointwise"), CONSTRAINT("bias"), LAYER_COMMON, END

static const Parameter conv1d_transpose_parameters[] = {TRANSPOSED(1)};
static const Parameter conv2d_transpose_parameters[] = {TRANSPOSED(2)};
static const Parameter depthwise_conv1d_parameters[] = {DEPTHWISE(1)};
static const Parameter depthwise_conv2d_parameters[] = {DEPTHWISE(2)};
static const Parameter separable_conv1d_parameters[] = {SEPARABLE(1)};
static const Parameter separable_conv2d_parameters[] = {SEPARABLE(2)};

#define ON_STEPS(LAYER) CHECK_LAYERS("Input((5, 2))\nDense(2, activation=tanh)\n" LAYER "\nFlatten()\nDense(2)")
#define ON_IMAGE(LAYER) CHECK_LAYERS("Input((3, 4, 2))\nDense(2, activation=tanh)\n" LAYER "\nFlatten()\nDense(2)")
#define KIND(RECORD, NAME, ALIASES, SUMMARY, FORMULA, EXAMPLE, ...)                                                    \
    const Component component_##RECORD = {.kind = COMPONENT_LAYER,                                                     \
                                          .name = NAME,                                                                \
                                          .aliases = ALIASES,                                                          \
                                          .parameters = RECORD##_parameters,                                           \
                                          .summary = SUMMARY,                                                          \
                                          .formula = FORMULA,                                                          \
                                          .examples = LINES(EXAMPLE),                                                  \
                                          .checks = LINES(__VA_ARGS__),                                                \
                                          .build.layer = RECORD}
#define TRANSPOSED_FORMULA "y[i s + u d, f] += x[i, c] W[u, f, c], then bias and activation"
KIND(conv1d_transpose, "Conv1DTranspose", "Convolution1DTranspose",
     "A convolution turned around: each step of a sequence becomes a window.", TRANSPOSED_FORMULA,
     "Conv1DTranspose(32, 3, strides=2, padding=same)", ON_STEPS("Conv1DTranspose(3, 3, strides=2)"),
     ON_STEPS("Conv1DTranspose(3, 2, strides=3, padding=same)"),
     ON_STEPS("Conv1DTranspose(2, 3, dilation_rate=2, use_bias=false)"));
KIND(conv2d_transpose, "Conv2DTranspose", "Convolution2DTranspose",
     "A convolution turned around: each cell of an image becomes a window.", TRANSPOSED_FORMULA,
     "Conv2DTranspose(32, 3, strides=2, padding=same)", ON_IMAGE("Conv2DTranspose(3, 3, strides=2, padding=same)"),
     ON_IMAGE("Conv2DTranspose(2, (2, 3), strides=(1, 2), output_padding=(0, 1))"));
#define DEPTHWISE_FORMULA "y[i, c m + k] = sum over u of x[i s + u d, c] W[u, c, k], then bias and activation"
KIND(depthwise_conv1d, "DepthwiseConv1D", NULL, "Each channel of a sequence convolved by itself.", DEPTHWISE_FORMULA,
     "DepthwiseConv1D(3, padding=same)", ON_STEPS("DepthwiseConv1D(3, padding=same, dilation_rate=2)"),
     ON_STEPS("DepthwiseConv1D(2, strides=2, depth_multiplier=3)"));
KIND(depthwise_conv2d, "DepthwiseConv2D", NULL, "Each channel of an image convolved by itself.", DEPTHWISE_FORMULA,
     "DepthwiseConv2D(3, padding=same)", ON_IMAGE("DepthwiseConv2D(3, padding=same, depthwise_regularizer=L2(0.1))"),
     ON_IMAGE("DepthwiseConv2D((2, 3), depth_multiplier=2, use_bias=false)"),
     ON_IMAGE("DepthwiseConv2D(3, padding=same)\nDepthwiseConv2D(2, strides=2, padding=same, depth_multiplier=2)"));
#define SEPARABLE_FORMULA "a depthwise convolution without bias, then a convolution of size 1"
KIND(separable_conv1d, "SeparableConv1D", "SeparableConvolution1D",
     "Channels of a sequence convolved each by itself, then mixed.", SEPARABLE_FORMULA,
     "SeparableConv1D(32, 3, padding=same)", ON_STEPS("SeparableConv1D(3, 2, padding=same, activation=tanh)"));
KIND(separable_conv2d, "SeparableConv2D", "SeparableConvolution2D",
     "Channels of an image convolved each by itself, then mixed.", SEPARABLE_FORMULA,
     "SeparableConv2D(32, 3, padding=same)", ON_IMAGE("SeparableConv2D(3, 2, strides=2, padding=same)"),
     ON_IMAGE("SeparableConv2D(2, (1, 3), depth_multiplier=2, pointwise_regularizer=L2(0.1))"));
