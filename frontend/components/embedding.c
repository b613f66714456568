/* Embedding and Masking: where sequences and their masks begin. */
#include "frontend/components/components.h"

/* Ids are the numbers of the input without their fraction; those outside of the table mean its first or last row. */
static Value *embedding(LayerContext *ctx, Value *x) {
    Builder *b = ctx->builder;
    if (!layer_not_built(ctx, "embeddings_constraint|weights|lora_rank|lora_alpha|quantization_config"))
        return NULL;
    if (x->type->rank >= MAX_RANK) {
        diag_error(ctx->diag, ctx->args->span, "the result of Embedding would have more than %d axes", MAX_RANK);
        return NULL;
    }
    Dim dims[2] = {dim_static(arg_int(ctx->args, "input_dim")), dim_static(arg_int(ctx->args, "output_dim"))};
    if (!layer_weight_fits(ctx, "embeddings", 2, dims))
        return NULL;
    Value *table = layer_weight(ctx, "embeddings", layer_type(ctx, 2, dims), true);
    Value *y = build_gather(b, table, build_cast(b, x, DTYPE_I32));
    if (y && arg_bool(ctx->args, "mask_zero"))
        layer_set_mask(ctx, y, build_map2(b, FN_ne, x, build_like(b, x, 0)));
    return y;
}
static const Parameter embedding_parameters[] = {
    INT("input_dim", NULL, 1, LARGE, "number of rows: the largest id plus 1"),
    INT("output_dim", NULL, 1, LARGE, "number of features of a row"),
    INITIALIZER("embeddings", "uniform"),
    REGULARIZER("embeddings"),
    CONSTRAINT("embeddings"),
    BOOLEAN("mask_zero", "false", "id 0 is padding: its steps are masked for the layers that follow, loss and metrics"),
    ANY("weights", "none", "initial values; not built yet, only none"),
    ANY("lora_rank", "none", "low-rank adaptation; not built yet, only none"),
    ANY("lora_alpha", "none", "low-rank adaptation; not built yet, only none"),
    ANY("quantization_config", "none", "quantization; not built yet, only none"),
    LAYER_COMMON,
    END};
const Component component_embedding = {
    .kind = COMPONENT_LAYER,
    .name = "Embedding",
    .parameters = embedding_parameters,
    .summary = "A row of a trained table for each id. Ids outside of the table mean its first or last row.",
    .formula = "y[..., :] = embeddings[id, :]",
    .examples = LINES("Embedding(10000, 64)", "Embedding(5000, 32, mask_zero=true)"),
    .checks = LINES(
        CHECK_LAYERS("Input(4)\nRescaling(3, offset=2.5)\nEmbedding(5, 3)\nDense(2)"),
        CHECK_LAYERS("Input((2, 3))\nRescaling(4, offset=0.5)\nEmbedding(4, 2, embeddings_initializer=ones, "
                     "embeddings_regularizer=L2(0.01))\nFlatten()\nDense(2)"),
        CHECK_LAYERS("Input(4)\nReLU()\nEmbedding(3, 2, mask_zero=true)\nLSTM(2, return_sequences=true)\nDense(2)")),
    .build.layer = embedding,
    .flags = COMPONENT_USES_MASK};

static Value *masking(LayerContext *ctx, Value *x) {
    Builder *b = ctx->builder;
    const Type *type = x->type;
    const int last = type->rank - 1;
    if (last < 1) {
        diag_error(ctx->diag, ctx->args->span, "Masking needs an input with a feature axis, but it is %s",
                   type_words(b->module->arena, type));
        return NULL;
    }
    Value *differs = build_map2(b, FN_ne, x, build_like(b, x, arg_float(ctx->args, "mask_value")));
    Value *any = build_reduce(b, REDUCE_MAX, build_cast(b, differs, DTYPE_F32), &last, 1);
    if (!any)
        return NULL;
    Value *mask = build_map2(b, FN_gt, any, build_like(b, any, 0));
    Value *wide = build_reshape(
        b, mask,
        type_get(b->module, DTYPE_BOOL, type->rank, type_with_axis(b->module, type, last, dim_static(1))->dims));
    Value *y = build_map3(b, FN_select, wide, x, build_like(b, x, 0));
    layer_set_mask(ctx, y, mask);
    return y;
}
static const Parameter masking_parameters[] = {
    FLOAT("mask_value", "0.0", "a step all of whose features are this number is masked"), LAYER_COMMON, END};
const Component component_masking = {
    .kind = COMPONENT_LAYER,
    .name = "Masking",
    .parameters = masking_parameters,
    .summary = "Marks the steps that are padding; the layers that follow, loss and metrics pass over them.",
    .formula = "y = x where any(x != mask_value) over the features, else 0",
    .examples = LINES("Masking()", "Masking(mask_value=-1)"),
    .checks = LINES(CHECK_LAYERS("Input((3, 1))\nReLU()\nMasking()\nDense(3)\nGRU(2)\nDense(2)"),
                    CHECK_LAYERS("Input((3, 1))\nReLU()\nMasking()\nDense(2)")),
    .build.layer = masking,
    .flags = COMPONENT_USES_MASK};
