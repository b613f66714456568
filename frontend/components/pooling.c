/* Pooling layers on channels-last images. Cells of the padding never count: neither as a maximum nor in a mean. */
#include "frontend/components/windows.h"

static bool pool_window(LayerContext *ctx, Value *x, WindowAttr *w) {
    if (!layer_channels_last(ctx) || !window_rank(ctx, x->type, SPATIAL_2D))
        return false;
    const Arg *size = arg_get(ctx->args, "pool_size"), *strides = arg_get(ctx->args, "strides");
    for (int i = 0; i < SPATIAL_2D; i++) {
        w->size[i] = size->ints.items[i];
        w->stride[i] = strides->is_none ? w->size[i] : strides->ints.items[i];
        w->dilation[i] = 1;
    }
    return window_fit(ctx, x->type, arg_text(ctx->args, "padding"), "pool_size", w);
}

static Value *max_pooling2d(LayerContext *ctx, Value *x) {
    WindowAttr w = {.spatial = SPATIAL_2D, .kind = REDUCE_MAX};
    return pool_window(ctx, x, &w) ? build_pool(ctx->builder, x, &w) : NULL;
}

/* How many cells of the input lie in window i of an axis: min(i s - low + size, n) - max(i s - low, 0), as a vector
 * shaped to broadcast against (B, h, w, C). Nothing of it needs data. */
static Value *real_cells(Builder *b, const WindowAttr *w, int axis, int64_t input) {
    Dim dims[3] = {dim_static(1), dim_static(1), dim_static(1)};
    dims[axis] = dim_static(window_extent(w, axis, input));
    const Type *type = type_get(b->module, DTYPE_F32, 3, dims);
    Value *start =
        build_shift(b, build_scale(b, build_iota(b, type, axis), (double)w->stride[axis]), (double)-w->low[axis]);
    Value *end = build_min(b, build_shift(b, start, (double)w->size[axis]), build_const(b, type, (double)input));
    return build_sub(b, end, build_max(b, start, build_const(b, type, 0)));
}

static Value *average_pooling2d(LayerContext *ctx, Value *x) {
    WindowAttr w = {.spatial = SPATIAL_2D, .kind = REDUCE_SUM};
    if (!pool_window(ctx, x, &w))
        return NULL;
    Builder *b = ctx->builder;
    Value *sum = build_pool(b, x, &w);
    double area = 1;
    bool padded = false;
    Value *cells = NULL;
    for (int i = 0; i < SPATIAL_2D; i++) {
        if (w.low[i] == 0 && w.high[i] == 0) {
            area *= (double)w.size[i];
            continue;
        }
        Value *here = real_cells(b, &w, i, x->type->dims[i + 1].n);
        cells = padded ? build_mul(b, cells, here) : here;
        padded = true;
    }
    sum = build_scale(b, sum, 1 / area);
    return padded ? build_div(b, sum, cells) : sum;
}

#define POOL_CHECK(text) CHECK_LAYERS("Input((5, 4, 2))\nConv2D(2, 1)\n" text "\nFlatten()\nDense(2)")
#define POOL_CHECKS(name)                                                                                              \
    LINES(POOL_CHECK(name "(2)"), POOL_CHECK(name "((2, 3), strides=1)"),                                              \
          POOL_CHECK(name "(2, strides=(1, 2), padding=same)"), POOL_CHECK(name "(3, strides=2, padding=same)"),       \
          POOL_CHECK(name "(2, strides=3)"))
#define POOL_PARAMETERS(SIZE)                                                                                          \
    INTS("pool_size", SIZE, 2, 1, LARGE, "height and width of the window; one number for both"),                       \
        INTS("strides", "none", 2, 1, LARGE, "cells from one window to the next; none: pool_size"),                    \
        CHOICE("padding", "valid", "valid|same",                                                                       \
               "valid: windows lie inside; same: as many windows as fit when the edge is padded"),                     \
        DATA_FORMAT, LAYER_COMMON, END
static const Parameter max_parameters[] = {POOL_PARAMETERS("2")};
static const Parameter average_parameters[] = {POOL_PARAMETERS(NULL)};
const Component component_max_pooling2d = {.kind = COMPONENT_LAYER,
                                           .name = "MaxPooling2D",
                                           .aliases = "MaxPool2D",
                                           .parameters = max_parameters,
                                           .summary = "The largest value of each window of an image, per channel.",
                                           .examples =
                                               LINES("MaxPooling2D()", "MaxPooling2D((3, 3), strides=2, padding=same)"),
                                           .checks = POOL_CHECKS("MaxPooling2D"),
                                           .build.layer = max_pooling2d};
const Component component_average_pooling2d = {
    .kind = COMPONENT_LAYER,
    .name = "AveragePooling2D",
    .aliases = "AvgPool2D",
    .parameters = average_parameters,
    .summary = "The mean of each window of an image, per channel; padding does not count.",
    .examples = LINES("AveragePooling2D(2)", "AveragePooling2D((2, 2), padding=same)"),
    .checks = POOL_CHECKS("AveragePooling2D"),
    .build.layer = average_pooling2d};

static Value *global_average_pooling2d(LayerContext *ctx, Value *x) {
    if (!layer_channels_last(ctx) || !window_rank(ctx, x->type, SPATIAL_2D))
        return NULL;
    const int axes[2] = {1, 2};
    double cells = (double)(x->type->dims[1].n * x->type->dims[2].n);
    Value *sum = arg_bool(ctx->args, "keepdims") ? build_reduce_keep(ctx->builder, REDUCE_SUM, x, axes, 2)
                                                 : build_sum(ctx->builder, x, axes, 2);
    return build_scale(ctx->builder, sum, 1 / cells);
}
static const Parameter global_parameters[] = {
    DATA_FORMAT, BOOLEAN("keepdims", "false", "true: height and width stay, with extent 1"), LAYER_COMMON, END};
const Component component_global_average_pooling2d = {
    .kind = COMPONENT_LAYER,
    .name = "GlobalAveragePooling2D",
    .aliases = "GlobalAvgPool2D",
    .parameters = global_parameters,
    .summary = "The mean of each channel of an image.",
    .formula = "(B, height, width, channels) -> (B, channels)",
    .examples = LINES("GlobalAveragePooling2D()"),
    .checks = LINES(
        CHECK_LAYERS("Input((3, 2, 2))\nConv2D(3, 1)\nGlobalAveragePooling2D()\nDense(2)"),
        CHECK_LAYERS("Input((3, 2, 2))\nConv2D(3, 1)\nGlobalAveragePooling2D(keepdims=true)\nFlatten()\nDense(2)")),
    .build.layer = global_average_pooling2d};
