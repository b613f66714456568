/* Pooling layers on channels-last sequences and images. Cells of the padding never count: neither as a maximum nor in a
 * mean. */
#include "frontend/components/windows.h"

static bool pool_window(LayerContext *ctx, Value *x, WindowAttr *w) {
    if (!layer_channels_last(ctx) || !window_rank(ctx, x->type, w->spatial))
        return false;
    const Arg *size = arg_get(ctx->args, "pool_size"), *strides = arg_get(ctx->args, "strides");
    for (int i = 0; i < w->spatial; i++) {
        w->size[i] = size->ints.items[i];
        w->stride[i] = strides->is_none ? w->size[i] : strides->ints.items[i];
        w->dilation[i] = 1;
    }
    return window_fit(ctx, x->type, arg_text(ctx->args, "padding"), "pool_size", w);
}

static Value *max_pooling(LayerContext *ctx, Value *x, int spatial) {
    WindowAttr w = {.spatial = spatial, .kind = REDUCE_MAX};
    return pool_window(ctx, x, &w) ? build_pool(ctx->builder, x, &w) : NULL;
}
static Value *max_pooling1d(LayerContext *ctx, Value *x) {
    return max_pooling(ctx, x, SPATIAL_1D);
}
static Value *max_pooling2d(LayerContext *ctx, Value *x) {
    return max_pooling(ctx, x, SPATIAL_2D);
}

/* How many cells of the input lie in window i of an axis: min(i s - low + size, n) - max(i s - low, 0), as a vector
 * shaped to broadcast against (B, cells.., C). Nothing of it needs data. */
static Value *real_cells(Builder *b, const WindowAttr *w, int axis, int64_t input) {
    Dim dims[3] = {dim_static(1), dim_static(1), dim_static(1)};
    dims[axis] = dim_static(window_extent(w, axis, input));
    const Type *type = type_get(b->module, DTYPE_F32, w->spatial + 1, dims);
    Value *start =
        build_shift(b, build_scale(b, build_iota(b, type, axis), (double)w->stride[axis]), (double)-w->low[axis]);
    Value *end = build_min(b, build_shift(b, start, (double)w->size[axis]), build_const(b, type, (double)input));
    return build_sub(b, end, build_max(b, start, build_const(b, type, 0)));
}

static Value *average_pooling(LayerContext *ctx, Value *x, int spatial) {
    WindowAttr w = {.spatial = spatial, .kind = REDUCE_SUM};
    if (!pool_window(ctx, x, &w))
        return NULL;
    Builder *b = ctx->builder;
    Value *sum = build_pool(b, x, &w);
    double area = 1;
    bool padded = false;
    Value *cells = NULL;
    for (int i = 0; i < spatial; i++) {
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

static Value *average_pooling1d(LayerContext *ctx, Value *x) {
    return average_pooling(ctx, x, SPATIAL_1D);
}
static Value *average_pooling2d(LayerContext *ctx, Value *x) {
    return average_pooling(ctx, x, SPATIAL_2D);
}

#define POOL_PARAMETERS(SIZE, SPATIAL, SIZE_DOC)                                                                       \
    INTS("pool_size", SIZE, SPATIAL, 1, LARGE, SIZE_DOC),                                                              \
        INTS("strides", "none", SPATIAL, 1, LARGE, "cells from one window to the next; none: pool_size"),              \
        CHOICE("padding", "valid", "valid|same",                                                                       \
               "valid: windows lie inside; same: as many windows as fit when the edge is padded"),                     \
        DATA_FORMAT, LAYER_COMMON, END
#define SIZE_1D "length of the window"
#define SIZE_2D "height and width of the window; one number for both"

#define POOL_CHECK_1D(text) CHECK_LAYERS("Input((7, 2))\nConv1D(3, 1)\n" text "\nFlatten()\nDense(2)")
#define POOL_CHECKS_1D(name)                                                                                           \
    LINES(POOL_CHECK_1D(name "(2)"), POOL_CHECK_1D(name "(3, strides=1)"),                                             \
          POOL_CHECK_1D(name "(3, strides=2, padding=same)"), POOL_CHECK_1D(name "(2, strides=3)"))
static const Parameter max1d_parameters[] = {POOL_PARAMETERS("2", 1, SIZE_1D)};
static const Parameter average1d_parameters[] = {POOL_PARAMETERS(NULL, 1, SIZE_1D)};
const Component component_max_pooling1d = {.kind = COMPONENT_LAYER,
                                           .name = "MaxPooling1D",
                                           .aliases = "MaxPool1D",
                                           .parameters = max1d_parameters,
                                           .summary = "The largest value of each window of a sequence, per channel.",
                                           .examples =
                                               LINES("MaxPooling1D()", "MaxPooling1D(3, strides=2, padding=same)"),
                                           .checks = POOL_CHECKS_1D("MaxPooling1D"),
                                           .build.layer = max_pooling1d};
const Component component_average_pooling1d = {
    .kind = COMPONENT_LAYER,
    .name = "AveragePooling1D",
    .aliases = "AvgPool1D",
    .parameters = average1d_parameters,
    .summary = "The mean of each window of a sequence, per channel; padding does not count.",
    .examples = LINES("AveragePooling1D(2)", "AveragePooling1D(3, padding=same)"),
    .checks = POOL_CHECKS_1D("AveragePooling1D"),
    .build.layer = average_pooling1d};

#define POOL_CHECK_2D(text) CHECK_LAYERS("Input((5, 4, 2))\nConv2D(2, 1)\n" text "\nFlatten()\nDense(2)")
#define POOL_CHECKS_2D(name)                                                                                           \
    LINES(POOL_CHECK_2D(name "(2)"), POOL_CHECK_2D(name "((2, 3), strides=1)"),                                        \
          POOL_CHECK_2D(name "(2, strides=(1, 2), padding=same)"), POOL_CHECK_2D(name "(3, strides=2, padding=same)"), \
          POOL_CHECK_2D(name "(2, strides=3)"))
static const Parameter max_parameters[] = {POOL_PARAMETERS("2", 2, SIZE_2D)};
static const Parameter average_parameters[] = {POOL_PARAMETERS(NULL, 2, SIZE_2D)};
const Component component_max_pooling2d = {.kind = COMPONENT_LAYER,
                                           .name = "MaxPooling2D",
                                           .aliases = "MaxPool2D",
                                           .parameters = max_parameters,
                                           .summary = "The largest value of each window of an image, per channel.",
                                           .examples =
                                               LINES("MaxPooling2D()", "MaxPooling2D((3, 3), strides=2, padding=same)"),
                                           .checks = POOL_CHECKS_2D("MaxPooling2D"),
                                           .build.layer = max_pooling2d};
const Component component_average_pooling2d = {
    .kind = COMPONENT_LAYER,
    .name = "AveragePooling2D",
    .aliases = "AvgPool2D",
    .parameters = average_parameters,
    .summary = "The mean of each window of an image, per channel; padding does not count.",
    .examples = LINES("AveragePooling2D(2)", "AveragePooling2D((2, 2), padding=same)"),
    .checks = POOL_CHECKS_2D("AveragePooling2D"),
    .build.layer = average_pooling2d};

/* Without its spatial axes, unless keepdims: (B, 1.., C) -> (B, C). */
static Value *drop_axes(LayerContext *ctx, Value *pooled) {
    return !pooled || arg_bool(ctx->args, "keepdims") ? pooled : build_flatten(ctx->builder, pooled);
}

static Value *global_average(LayerContext *ctx, Value *x, int spatial) {
    static const int axes[] = {1, 2};
    Builder *b = ctx->builder;
    if (!layer_channels_last(ctx) || !window_rank(ctx, x->type, spatial))
        return NULL;
    double cells = 1;
    for (int i = 0; i < spatial; i++)
        cells *= (double)x->type->dims[i + 1].n;
    return drop_axes(ctx, build_scale(b, build_reduce_keep(b, REDUCE_SUM, x, axes, spatial), 1 / cells));
}

/* The mean of the steps that the mask leaves; of none it is 0 / 0, as in Keras. */
static Value *masked_average(LayerContext *ctx, Value *x, Value *mask) {
    static const int steps[] = {1};
    Builder *b = ctx->builder;
    Dim dims[3] = {mask->type->dims[0], mask->type->dims[1], dim_static(1)};
    Value *here = build_reshape(b, mask, type_get(b->module, DTYPE_BOOL, 3, dims));
    Value *sum = build_reduce_keep(b, REDUCE_SUM, build_map3(b, FN_select, here, x, build_like(b, x, 0)), steps, 1);
    Value *number = build_reduce_keep(b, REDUCE_SUM, build_cast(b, here, DTYPE_F32), steps, 1);
    return drop_axes(ctx, build_div(b, sum, number));
}

/* The maximum over axes has no gradient of its own. In training it is written as the mean of the cells that hold it:
 * the same value, and its gradient is shared by equal cells, as in Keras. */
static Value *global_max(LayerContext *ctx, Value *x, int spatial) {
    static const int axes[] = {1, 2};
    Builder *b = ctx->builder;
    if (!layer_channels_last(ctx) || !window_rank(ctx, x->type, spatial))
        return NULL;
    Value *largest = build_reduce_keep(b, REDUCE_MAX, x, axes, spatial);
    if (!ctx->training)
        return drop_axes(ctx, largest);
    Value *here = build_map2(b, FN_eq, x, build_stop_gradient(b, largest));
    Value *sum =
        build_reduce_keep(b, REDUCE_SUM, build_map3(b, FN_select, here, x, build_like(b, x, 0)), axes, spatial);
    Value *number = build_reduce_keep(b, REDUCE_SUM, build_cast(b, here, DTYPE_F32), axes, spatial);
    return drop_axes(ctx, build_div(b, sum, number));
}

#define GLOBAL_LAYER(function, core, SPATIAL)                                                                          \
    static Value *function(LayerContext *ctx, Value *x) {                                                              \
        return core(ctx, x, SPATIAL);                                                                                  \
    }
static Value *global_average_pooling1d(LayerContext *ctx, Value *x) {
    Value *mask = layer_mask(ctx);
    if (!mask || mask->type->rank != 2 || x->type->rank != 3)
        return global_average(ctx, x, SPATIAL_1D);
    return layer_channels_last(ctx) ? masked_average(ctx, x, mask) : NULL;
}
GLOBAL_LAYER(global_average_pooling2d, global_average, SPATIAL_2D)
GLOBAL_LAYER(global_max_pooling1d, global_max, SPATIAL_1D)
GLOBAL_LAYER(global_max_pooling2d, global_max, SPATIAL_2D)

#define GLOBAL_PARAMETERS(KEEPDIMS_DOC) DATA_FORMAT, BOOLEAN("keepdims", "false", KEEPDIMS_DOC), LAYER_COMMON, END
static const Parameter global1d_parameters[] = {GLOBAL_PARAMETERS("true: the steps stay, with extent 1")};
static const Parameter global2d_parameters[] = {GLOBAL_PARAMETERS("true: height and width stay, with extent 1")};
#define GLOBAL_CHECKS_1D(name)                                                                                         \
    LINES(CHECK_LAYERS("Input((4, 2))\nConv1D(3, 1)\n" name "()\nDense(2)"),                                           \
          CHECK_LAYERS("Input((4, 2))\nConv1D(3, 1)\n" name "(keepdims=true)\nFlatten()\nDense(2)"))
#define GLOBAL_CHECKS_2D(name)                                                                                         \
    LINES(CHECK_LAYERS("Input((3, 2, 2))\nConv2D(3, 1)\n" name "()\nDense(2)"),                                        \
          CHECK_LAYERS("Input((3, 2, 2))\nConv2D(3, 1)\n" name "(keepdims=true)\nFlatten()\nDense(2)"))
#define GLOBAL_RECORD(RECORD, NAME, ALIAS, PARAMETERS, SUMMARY, SHAPE, CHECKS, FLAGS)                                  \
    const Component component_##RECORD = {.kind = COMPONENT_LAYER,                                                     \
                                          .name = NAME,                                                                \
                                          .aliases = ALIAS,                                                            \
                                          .parameters = PARAMETERS,                                                    \
                                          .summary = SUMMARY,                                                          \
                                          .formula = SHAPE " -> (B, channels)",                                        \
                                          .examples = LINES(NAME "()"),                                                \
                                          .checks = CHECKS(NAME),                                                      \
                                          .build.layer = RECORD,                                                       \
                                          .flags = FLAGS}
GLOBAL_RECORD(global_average_pooling1d, "GlobalAveragePooling1D", "GlobalAvgPool1D", global1d_parameters,
              "The mean of each channel of a sequence.", "(B, steps, channels)", GLOBAL_CHECKS_1D, COMPONENT_USES_MASK);
GLOBAL_RECORD(global_average_pooling2d, "GlobalAveragePooling2D", "GlobalAvgPool2D", global2d_parameters,
              "The mean of each channel of an image.", "(B, height, width, channels)", GLOBAL_CHECKS_2D, 0);
GLOBAL_RECORD(global_max_pooling1d, "GlobalMaxPooling1D", "GlobalMaxPool1D", global1d_parameters,
              "The largest value of each channel of a sequence.", "(B, steps, channels)", GLOBAL_CHECKS_1D, 0);
GLOBAL_RECORD(global_max_pooling2d, "GlobalMaxPooling2D", "GlobalMaxPool2D", global2d_parameters,
              "The largest value of each channel of an image.", "(B, height, width, channels)", GLOBAL_CHECKS_2D, 0);
