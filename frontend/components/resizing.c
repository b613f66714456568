/* Layers that make a sequence longer or shorter without weights: ZeroPadding1D, Cropping1D, UpSampling1D. */
#include "frontend/components/windows.h"

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
