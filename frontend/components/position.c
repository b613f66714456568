/* Learned positions of a sequence, as keras_hub has them; in a model that is a sequence of layers they are added. */
#include "frontend/components/components.h"

static Value *position_embedding(LayerContext *ctx, Value *x) {
    Builder *b = ctx->builder;
    const Arg *length = arg_get(ctx->args, "sequence_length");
    if (x->type->rank != 3) {
        diag_error(ctx->diag, ctx->args->span,
                   "PositionEmbedding needs an input of shape (batch, steps, features), but it is %s",
                   type_words(b->module->arena, x->type));
        diag_help(ctx->diag, "give the sequence its axes with Embedding, Input((steps, features)) or Reshape");
        return NULL;
    }
    Dim steps = x->type->dims[1], dims[2] = {dim_static(length->integer), x->type->dims[2]};
    if (steps.n > length->integer) {
        diag_error(ctx->diag, length->span,
                   "PositionEmbedding: the input %s has %lld steps, but there are %lld positions",
                   type_words(b->module->arena, x->type), (long long)steps.n, (long long)length->integer);
        diag_help(ctx->diag, "make sequence_length %lld or more", (long long)steps.n);
        return NULL;
    }
    if (!layer_weight_fits(ctx, "embeddings", 2, dims))
        return NULL;
    Init init = layer_init(ctx, "initializer", (double)dims[0].n, (double)dims[1].n);
    Value *positions = layer_weight_with(ctx, "embeddings", layer_type(ctx, 2, dims), init);
    dims[0] = steps;
    if (steps.n < length->integer)
        positions = build_slice(b, positions, (int64_t[]){0, 0}, (int64_t[]){1, 1}, layer_type(ctx, 2, dims));
    return build_add(b, x, positions);
}
#define POSITION_CHECK(arguments)                                                                                      \
    CHECK_LAYERS("Input((3, 2))\nDense(4)\nPositionEmbedding(" arguments ")\nDense(2, activation=tanh)")
static const Parameter position_parameters[] = {
    INT("sequence_length", NULL, 1, LARGE, "number of positions that are learned; the input has at most as many steps"),
    PART("initializer", "glorot_uniform", COMPONENT_INITIALIZER, "initial values of `embeddings`"), LAYER_COMMON, END};
const Component component_position_embedding = {
    .kind = COMPONENT_LAYER,
    .name = "PositionEmbedding",
    .parameters = position_parameters,
    .summary =
        "Adds a learned vector to each step of a sequence. (keras_hub's layer gives the vectors, without adding.)",
    .formula = "x[t] + embeddings[t]",
    .examples = LINES("PositionEmbedding(64)", "PositionEmbedding(sequence_length=64, initializer=random_normal)"),
    .checks = LINES(POSITION_CHECK("3"), POSITION_CHECK("5, initializer=random_normal(0, 0.5)")),
    .build.layer = position_embedding,
    .flags = COMPONENT_KEEPS_MASK};
