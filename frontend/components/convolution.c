/* Convolution layers: cross-correlation on channels-last tensors, kernels of shape (height, width, channels, filters).
 */
#include "frontend/components/windows.h"

static bool conv_supported(LayerContext *ctx) {
    bool fine = layer_channels_last(ctx) && layer_not_built(ctx, "kernel_constraint|bias_constraint");
    const Arg *groups = arg_get(ctx->args, "groups");
    if (groups->integer != 1) {
        diag_error(ctx->diag, groups->span, "Conv2D: groups > 1 is not built yet");
        fine = false;
    }
    return fine;
}

static Value *conv2d(LayerContext *ctx, Value *x) {
    if (!conv_supported(ctx) || !window_rank(ctx, x->type, SPATIAL_2D))
        return NULL;
    const Args *args = ctx->args;
    WindowAttr window = {.spatial = SPATIAL_2D};
    bool strided = false, dilated = false;
    for (int i = 0; i < SPATIAL_2D; i++) {
        window.size[i] = arg_get(args, "kernel_size")->ints.items[i];
        window.stride[i] = arg_get(args, "strides")->ints.items[i];
        window.dilation[i] = arg_get(args, "dilation_rate")->ints.items[i];
        strided |= window.stride[i] > 1;
        dilated |= window.dilation[i] > 1;
    }
    if (strided && dilated) {
        diag_error(ctx->diag, arg_get(args, "dilation_rate")->span,
                   "Conv2D: strides > 1 and dilation_rate > 1 together are not allowed, as in Keras");
        return NULL;
    }
    if (!window_fit(ctx, x->type, arg_text(args, "padding"), "kernel_size", &window))
        return NULL;
    int64_t filters = arg_int(args, "filters");
    Dim dims[4] = {dim_static(window.size[0]), dim_static(window.size[1]), x->type->dims[3], dim_static(filters)};
    if (!layer_weight_fits(ctx, "kernel", 4, dims))
        return NULL;
    Value *kernel = layer_weight(ctx, "kernel", layer_type(ctx, 4, dims), true);
    return layer_finish(ctx, build_conv(ctx->builder, x, kernel, &window), filters);
}

#define CONV_CHECK(arguments) CHECK_LAYERS("Input((5, 4, 2))\nConv2D(3, " arguments ")\nFlatten()\nDense(2)")
static const Parameter conv2d_parameters[] = {
    INT("filters", NULL, 1, LARGE, "number of channels of the result"),
    INTS("kernel_size", NULL, 2, 1, LARGE, "height and width of the window; one number for both"),
    INTS("strides", "1", 2, 1, LARGE, "cells from one window to the next"),
    CHOICE("padding", "valid", "valid|same",
           "valid: windows lie inside; same: zeros around, so that stride 1 keeps the shape"),
    DATA_FORMAT,
    INTS("dilation_rate", "1", 2, 1, LARGE, "distance of the cells of a window"),
    INT("groups", "1", 1, LARGE, "groups of channels; more than 1 is not built yet"),
    ACTIVATION("none"),
    BOOLEAN("use_bias", "true", "add a bias per filter"),
    INITIALIZER("kernel", "glorot_uniform"),
    INITIALIZER("bias", "zeros"),
    REGULARIZER("kernel"),
    REGULARIZER("bias"),
    ACTIVITY_REGULARIZER,
    CONSTRAINT("kernel"),
    CONSTRAINT("bias"),
    LAYER_COMMON,
    END};
const Component component_conv2d = {
    .kind = COMPONENT_LAYER,
    .name = "Conv2D",
    .aliases = "Convolution2D",
    .parameters = conv2d_parameters,
    .summary = "Convolution over images (batch, height, width, channels).",
    .formula = "y[i, j, f] = activation(sum over u, v, c of x[i s + u d, j s + v d, c] W[u, v, c, f] + b[f])",
    .examples = LINES("Conv2D(32, 3, activation=relu)", "Conv2D(64, (3, 3), strides=2, padding=same)"),
    .checks =
        LINES(CONV_CHECK("3, activation=tanh"), CONV_CHECK("(2, 3), padding=same"), CONV_CHECK("2, strides=(2, 1)"),
              CONV_CHECK("3, strides=2, padding=same"), CONV_CHECK("2, dilation_rate=2, use_bias=false"),
              CONV_CHECK("(3, 2), dilation_rate=(1, 2), padding=same"),
              CONV_CHECK("2, kernel_regularizer=L2(0.01), activity_regularizer=L2(0.02)"),
              CHECK_LAYERS(
                  "Input((4, 4, 1))\nConv2D(2, 3, padding=same, activation=tanh)\nConv2D(2, 2)\nFlatten()\nDense(2)")),
    .build.layer = conv2d};
