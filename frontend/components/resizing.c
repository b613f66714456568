/* Layers that make a sequence or an image longer or shorter without weights: ZeroPadding, Cropping, UpSampling. */
#include "frontend/components/windows.h"

/* A whole number of at least 0 from an expression; -1: it is none. */
static int64_t cells(const Expr *e) {
    bool whole = e && e->kind == EXPR_NUMBER && e->number.value == floor(e->number.value);
    return whole && e->number.value >= 0 && e->number.value <= LARGE ? (int64_t)e->number.value : -1;
}

static const Expr *item(const Expr *e, int i) {
    bool list = e->kind == EXPR_LIST || e->kind == EXPR_TUPLE;
    return !list ? e : e->list.count == 2 ? e->list.items[i] : NULL;
}

/* Keras' three ways for images: 1, (height, width), ((top, bottom), (left, right)). */
static bool image_sides(LayerContext *ctx, const Arg *arg, int64_t low[2], int64_t high[2]) {
    bool fits = true;
    for (int i = 0; i < 2 && fits; i++) {
        const Expr *side = item(arg->expr, i);
        low[i] = side ? cells(item(side, 0)) : -1;
        high[i] = side ? cells(item(side, 1)) : -1;
        fits = low[i] >= 0 && high[i] >= 0;
    }
    if (fits)
        return true;
    diag_error(ctx->diag, arg->span, "%s takes one whole number, (height, width), or ((top, bottom), (left, right))",
               ctx->args->component->name);
    return false;
}

static Value *zero_padding1d(LayerContext *ctx, Value *x) {
    const Arg *padding = arg_get(ctx->args, "padding");
    if (!layer_channels_last(ctx) || !window_rank(ctx, x->type, SPATIAL_1D))
        return NULL;
    PadAttr pad = {.low = {0, padding->ints.items[0]}, .high = {0, padding->ints.items[1]}};
    return build_pad(ctx->builder, x, &pad);
}
static const Parameter padding_parameters[] = {
    INTS("padding", "1", 2, 0, LARGE, "zero steps before and after; one number for both"), DATA_FORMAT, LAYER_COMMON,
    END};
const Component component_zero_padding1d = {
    .kind = COMPONENT_LAYER,
    .name = "ZeroPadding1D",
    .parameters = padding_parameters,
    .summary = "Zeros before and after a sequence.",
    .formula = "(B, steps, channels) -> (B, before + steps + after, channels)",
    .examples = LINES("ZeroPadding1D(2)", "ZeroPadding1D((3, 0))"),
    .checks = LINES(CHECK_LAYERS("Input((3, 2))\nDense(3)\nZeroPadding1D()\nConv1D(2, 3)\nFlatten()\nDense(2)"),
                    CHECK_LAYERS("Input((3, 2))\nDense(3)\nZeroPadding1D((2, 0))\nFlatten()\nDense(2)")),
    .build.layer = zero_padding1d};

static Value *cropping1d(LayerContext *ctx, Value *x) {
    const Arg *cropping = arg_get(ctx->args, "cropping");
    if (!layer_channels_last(ctx) || !window_rank(ctx, x->type, SPATIAL_1D))
        return NULL;
    int64_t before = cropping->ints.items[0], left = x->type->dims[1].n - before - cropping->ints.items[1];
    if (left < 1) {
        diag_error(ctx->diag, cropping->span, "Cropping1D: nothing is left of the input %s",
                   type_words(ctx->builder->module->arena, x->type));
        return NULL;
    }
    const Type *type = type_with_axis(ctx->builder->module, x->type, 1, dim_static(left));
    return build_slice(ctx->builder, x, (int64_t[]){0, before, 0}, (int64_t[]){1, 1, 1}, type);
}
static const Parameter cropping_parameters[] = {
    INTS("cropping", "1", 2, 0, LARGE, "steps left out before and after; one number for both"), DATA_FORMAT,
    LAYER_COMMON, END};
const Component component_cropping1d = {
    .kind = COMPONENT_LAYER,
    .name = "Cropping1D",
    .parameters = cropping_parameters,
    .summary = "A sequence without its first and last steps.",
    .formula = "(B, steps, channels) -> (B, steps - before - after, channels)",
    .examples = LINES("Cropping1D(1)", "Cropping1D((0, 2))"),
    .checks = LINES(CHECK_LAYERS("Input((4, 2))\nDense(3)\nCropping1D()\nFlatten()\nDense(2)"),
                    CHECK_LAYERS("Input((4, 2))\nConv1D(3, 2)\nCropping1D((2, 0))\nFlatten()\nDense(2)")),
    .build.layer = cropping1d};

static Value *up_sampling1d(LayerContext *ctx, Value *x) {
    if (!window_rank(ctx, x->type, SPATIAL_1D))
        return NULL;
    Builder *b = ctx->builder;
    int64_t size = arg_int(ctx->args, "size");
    Dim steps = x->type->dims[1], dims[4] = {x->type->dims[0], steps, dim_static(size), x->type->dims[2]};
    const Type *apart = type_get(b->module, x->type->dtype, 4, dims);
    const Type *together = type_with_axis(b->module, x->type, 1, dim_static(steps.n * size));
    return build_reshape(b, build_broadcast(b, x, apart, (int[]){0, 1, 3}), together);
}
static const Parameter up_sampling_parameters[] = {
    INT("size", "2", 1, LARGE, "how often each step stands in the result"), LAYER_COMMON, END};
const Component component_up_sampling1d = {
    .kind = COMPONENT_LAYER,
    .name = "UpSampling1D",
    .parameters = up_sampling_parameters,
    .summary = "Each step of a sequence several times.",
    .formula = "(B, steps, channels) -> (B, size * steps, channels)",
    .examples = LINES("UpSampling1D(2)"),
    .checks = LINES(
        CHECK_LAYERS("Input((3, 2))\nDense(3, activation=tanh)\nUpSampling1D()\nConv1D(2, 3)\nFlatten()\nDense(2)"),
        CHECK_LAYERS("Input((2, 2))\nUpSampling1D(3)\nDense(2)")),
    .build.layer = up_sampling1d};

static Value *zero_padding2d(LayerContext *ctx, Value *x) {
    int64_t low[2], high[2];
    if (!layer_channels_last(ctx) || !window_rank(ctx, x->type, SPATIAL_2D) ||
        !image_sides(ctx, arg_get(ctx->args, "padding"), low, high))
        return NULL;
    PadAttr pad = {.low = {0, low[0], low[1]}, .high = {0, high[0], high[1]}};
    return build_pad(ctx->builder, x, &pad);
}
static const Parameter padding2d_parameters[] = {
    ANY("padding", "1", "rows and columns of zeros: 1, (height, width), or ((top, bottom), (left, right))"),
    DATA_FORMAT, LAYER_COMMON, END};
const Component component_zero_padding2d = {
    .kind = COMPONENT_LAYER,
    .name = "ZeroPadding2D",
    .parameters = padding2d_parameters,
    .summary = "Zeros around an image.",
    .formula = "(B, height, width, channels) -> (B, top + height + bottom, left + width + right, channels)",
    .examples = LINES("ZeroPadding2D(1)", "ZeroPadding2D(((1, 0), (2, 2)))"),
    .checks = LINES(CHECK_LAYERS("Input((3, 2, 2))\nDense(3)\nZeroPadding2D()\nConv2D(2, 3)\nFlatten()\nDense(2)"),
                    CHECK_LAYERS("Input((2, 3, 1))\nDense(3)\nZeroPadding2D(((2, 0), (0, 1)))\nFlatten()\nDense(2)")),
    .build.layer = zero_padding2d};

static Value *cropping2d(LayerContext *ctx, Value *x) {
    const Arg *cropping = arg_get(ctx->args, "cropping");
    int64_t low[2], high[2], start[4] = {0}, stride[4] = {1, 1, 1, 1};
    if (!layer_channels_last(ctx) || !window_rank(ctx, x->type, SPATIAL_2D) || !image_sides(ctx, cropping, low, high))
        return NULL;
    const Type *type = x->type;
    for (int i = 0; i < 2; i++) {
        int64_t left = x->type->dims[i + 1].n - low[i] - high[i];
        if (left < 1) {
            diag_error(ctx->diag, cropping->span, "Cropping2D: nothing is left of the input %s",
                       type_words(ctx->builder->module->arena, x->type));
            return NULL;
        }
        start[i + 1] = low[i];
        type = type_with_axis(ctx->builder->module, type, i + 1, dim_static(left));
    }
    return build_slice(ctx->builder, x, start, stride, type);
}
static const Parameter cropping2d_parameters[] = {
    ANY("cropping", "0", "rows and columns left out: 1, (height, width), or ((top, bottom), (left, right))"),
    DATA_FORMAT, LAYER_COMMON, END};
const Component component_cropping2d = {
    .kind = COMPONENT_LAYER,
    .name = "Cropping2D",
    .parameters = cropping2d_parameters,
    .summary = "An image without its border.",
    .formula = "(B, height, width, channels) -> (B, height - top - bottom, width - left - right, channels)",
    .examples = LINES("Cropping2D(1)", "Cropping2D(((1, 0), (2, 2)))"),
    .checks = LINES(CHECK_LAYERS("Input((4, 3, 2))\nDense(3)\nCropping2D(1)\nFlatten()\nDense(2)"),
                    CHECK_LAYERS("Input((4, 4, 1))\nConv2D(3, 2)\nCropping2D(((2, 0), (0, 1)))\nFlatten()\nDense(2)")),
    .build.layer = cropping2d};

static Value *up_sampling2d(LayerContext *ctx, Value *x) {
    if (!layer_channels_last(ctx) || !window_rank(ctx, x->type, SPATIAL_2D))
        return NULL;
    Builder *b = ctx->builder;
    const Arg *size = arg_get(ctx->args, "size");
    const Dim *from = x->type->dims;
    Dim rows = dim_static(size->ints.items[0]), columns = dim_static(size->ints.items[1]);
    Dim apart[6] = {from[0], from[1], rows, from[2], columns, from[3]};
    Dim together[4] = {from[0], dim_static(from[1].n * rows.n), dim_static(from[2].n * columns.n), from[3]};
    Value *copies = build_broadcast(b, x, type_get(b->module, x->type->dtype, 6, apart), (int[]){0, 1, 3, 5});
    return build_reshape(b, copies, type_get(b->module, x->type->dtype, 4, together));
}
static const Parameter up_sampling2d_parameters[] = {
    INTS("size", "2", 2, 1, LARGE, "how often each row and each column stands in the result; one number for both"),
    DATA_FORMAT,
    CHOICE("interpolation", "nearest", "nearest", "what new cells are: copies; Keras' other ways are not built yet"),
    LAYER_COMMON, END};
const Component component_up_sampling2d = {
    .kind = COMPONENT_LAYER,
    .name = "UpSampling2D",
    .parameters = up_sampling2d_parameters,
    .summary = "Each cell of an image several times.",
    .formula = "(B, height, width, channels) -> (B, size * height, size * width, channels)",
    .examples = LINES("UpSampling2D()", "UpSampling2D((2, 3))"),
    .checks =
        LINES(CHECK_LAYERS("Input((2, 3, 2))\nDense(3, activation=tanh)\nUpSampling2D()\nConv2D(2, 3)\nFlatten()\n"
                           "Dense(2)"),
              CHECK_LAYERS("Input((2, 2, 1))\nUpSampling2D((1, 3))\nDense(2)")),
    .build.layer = up_sampling2d};
