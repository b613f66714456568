/* Convolution layers: cross-correlation on channels-last tensors, kernels of shape (window..., channels, filters). */
#include "frontend/components/windows.h"

/* One convolution for each group of channels, side by side; one group is the whole. */
static Value *conv_groups(LayerContext *ctx, Value *x, Value *kernel, const WindowAttr *window, int64_t groups) {
    if (groups == 1 || !kernel)
        return build_conv(ctx->builder, x, kernel, window);
    Module *module = ctx->builder->module;
    int last = window->spatial + 1;
    int64_t channels = kernel->type->dims[last - 1].n, filters = kernel->type->dims[last].n / groups;
    int64_t start[MAX_RANK] = {0}, stride[MAX_RANK];
    for (int i = 0; i < MAX_RANK; i++)
        stride[i] = 1;
    const Type *some = type_with_axis(module, x->type, last, dim_static(channels));
    const Type *weights = type_with_axis(module, kernel->type, last, dim_static(filters));
    Value **parts = ARENA_ARRAY(module->arena, Value *, groups);
    for (int64_t i = 0; i < groups; i++) {
        start[last] = i * channels;
        Value *part = build_slice(ctx->builder, x, start, stride, some);
        start[last] = i * filters;
        parts[i] = build_conv(ctx->builder, part, build_slice(ctx->builder, kernel, start, stride, weights), window);
        if (!parts[i])
            return NULL;
    }
    return build_concat(ctx->builder, parts, (int)groups, last);
}

static bool groups_fit(LayerContext *ctx, int64_t channels, int64_t filters) {
    const Arg *groups = arg_get(ctx->args, "groups");
    if (channels % groups->integer == 0 && filters % groups->integer == 0)
        return true;
    diag_error(ctx->diag, groups->span, "%s: groups must divide the %lld channels of the input and the %lld filters",
               ctx->args->component->name, (long long)channels, (long long)filters);
    return false;
}

static Value *conv(LayerContext *ctx, Value *x, int spatial) {
    if (!layer_channels_last(ctx) || !layer_not_built(ctx, "kernel_constraint|bias_constraint") ||
        !window_rank(ctx, x->type, spatial))
        return NULL;
    const Args *args = ctx->args;
    WindowAttr window = {.spatial = spatial};
    bool strided = false, dilated = false;
    for (int i = 0; i < spatial; i++) {
        window.size[i] = arg_get(args, "kernel_size")->ints.items[i];
        window.stride[i] = arg_get(args, "strides")->ints.items[i];
        window.dilation[i] = arg_get(args, "dilation_rate")->ints.items[i];
        strided |= window.stride[i] > 1;
        dilated |= window.dilation[i] > 1;
    }
    if (strided && dilated) {
        diag_error(ctx->diag, arg_get(args, "dilation_rate")->span,
                   "%s: strides > 1 and dilation_rate > 1 together are not allowed, as in Keras",
                   args->component->name);
        return NULL;
    }
    if (!window_fit(ctx, x->type, arg_text(args, "padding"), "kernel_size", &window))
        return NULL;
    int64_t filters = arg_int(args, "filters"), groups = arg_int(args, "groups");
    int64_t channels = x->type->dims[spatial + 1].n;
    if (!groups_fit(ctx, channels, filters))
        return NULL;
    Dim dims[MAX_RANK] = {{0}};
    for (int i = 0; i < spatial; i++)
        dims[i] = dim_static(window.size[i]);
    dims[spatial] = dim_static(channels / groups);
    dims[spatial + 1] = dim_static(filters);
    if (!layer_weight_fits(ctx, "kernel", spatial + 2, dims))
        return NULL;
    Value *kernel = layer_weight(ctx, "kernel", layer_type(ctx, spatial + 2, dims), true);
    return layer_finish(ctx, conv_groups(ctx, x, kernel, &window, groups), filters);
}

static Value *conv1d(LayerContext *ctx, Value *x) {
    return conv(ctx, x, SPATIAL_1D);
}
static Value *conv2d(LayerContext *ctx, Value *x) {
    return conv(ctx, x, SPATIAL_2D);
}

#define CONV_PARAMETERS(SPATIAL, SIZE, PADDINGS, PADDING_DOC)                                                          \
    INT("filters", NULL, 1, LARGE, "number of channels of the result"),                                                \
        INTS("kernel_size", NULL, SPATIAL, 1, LARGE, SIZE),                                                            \
        INTS("strides", "1", SPATIAL, 1, LARGE, "cells from one window to the next"),                                  \
        CHOICE("padding", "valid", PADDINGS, PADDING_DOC), DATA_FORMAT,                                                \
        INTS("dilation_rate", "1", SPATIAL, 1, LARGE, "distance of the cells of a window"),                            \
        INT("groups", "1", 1, LARGE, "groups of channels, each convolved by itself"), ACTIVATION("none"),              \
        BOOLEAN("use_bias", "true", "add a bias per filter"), INITIALIZER("kernel", "glorot_uniform"),                 \
        INITIALIZER("bias", "zeros"), REGULARIZER("kernel"), REGULARIZER("bias"), ACTIVITY_REGULARIZER,                \
        CONSTRAINT("kernel"), CONSTRAINT("bias"), LAYER_COMMON, END
#define PADDING_WORDS "valid: windows lie inside; same: zeros around, so that stride 1 keeps the shape"

#define CONV_CHECK_1D(arguments) CHECK_LAYERS("Input((6, 2))\nConv1D(3, " arguments ")\nFlatten()\nDense(2)")
static const Parameter conv1d_parameters[] = {
    CONV_PARAMETERS(1, "length of the window", "valid|same|causal",
                    PADDING_WORDS "; causal: zeros before, so that no step reads a later one")};
const Component component_conv1d = {
    .kind = COMPONENT_LAYER,
    .name = "Conv1D",
    .aliases = "Convolution1D",
    .parameters = conv1d_parameters,
    .summary = "Convolution over sequences (batch, steps, channels).",
    .formula = "y[i, f] = activation(sum over u, c of x[i s + u d, c] W[u, c, f] + b[f])",
    .examples = LINES("Conv1D(32, 3, activation=relu)", "Conv1D(64, 5, padding=causal, dilation_rate=2)"),
    .checks = LINES(CONV_CHECK_1D("3, activation=tanh"), CONV_CHECK_1D("2, padding=same"),
                    CONV_CHECK_1D("3, padding=causal, dilation_rate=2"), CONV_CHECK_1D("3, strides=2, padding=same"),
                    CONV_CHECK_1D("2, strides=2, padding=causal, use_bias=false"),
                    CHECK_LAYERS("Input((5, 1))\nConv1D(2, 2, activation=tanh, kernel_regularizer=L2(0.01))\n"
                                 "Conv1D(2, 3, padding=causal)\nFlatten()\nDense(2)")),
    .build.layer = conv1d};

#define CONV_CHECK_2D(arguments) CHECK_LAYERS("Input((5, 4, 2))\nConv2D(3, " arguments ")\nFlatten()\nDense(2)")
static const Parameter conv2d_parameters[] = {
    CONV_PARAMETERS(2, "height and width of the window; one number for both", "valid|same", PADDING_WORDS)};
const Component component_conv2d = {
    .kind = COMPONENT_LAYER,
    .name = "Conv2D",
    .aliases = "Convolution2D",
    .parameters = conv2d_parameters,
    .summary = "Convolution over images (batch, height, width, channels).",
    .formula = "y[i, j, f] = activation(sum over u, v, c of x[i s + u d, j s + v d, c] W[u, v, c, f] + b[f])",
    .examples = LINES("Conv2D(32, 3, activation=relu)", "Conv2D(64, (3, 3), strides=2, padding=same)"),
    .checks = LINES(
        CONV_CHECK_2D("3, activation=tanh"), CONV_CHECK_2D("(2, 3), padding=same"), CONV_CHECK_2D("2, strides=(2, 1)"),
        CONV_CHECK_2D("3, strides=2, padding=same"), CONV_CHECK_2D("2, dilation_rate=2, use_bias=false"),
        CONV_CHECK_2D("(3, 2), dilation_rate=(1, 2), padding=same"),
        CHECK_LAYERS("Input((3, 4, 4))\nDense(4)\nConv2D(6, 2, groups=2, activation=tanh)\nFlatten()\nDense(2)"),
        CONV_CHECK_2D("2, kernel_regularizer=L2(0.01), activity_regularizer=L2(0.02)"),
        CHECK_LAYERS(
            "Input((4, 4, 1))\nConv2D(2, 3, padding=same, activation=tanh)\nConv2D(2, 2)\nFlatten()\nDense(2)")),
    .build.layer = conv2d};
