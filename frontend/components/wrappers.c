/* Layers that take a layer as argument: Bidirectional and TimeDistributed. */
#include "frontend/components/recurrent.h"

/* ---- Bidirectional ---- */

static Value *build_forward(LayerContext *ctx, Value *x) {
    return recurrent_layer(ctx, x, &(RecurrentOptions){.zero_masked = arg_bool(ctx->args, "return_sequences")});
}

/* Keras reverses the outputs of this layer, which come from the last step to the first: they are in order here. */
static Value *build_backward(LayerContext *ctx, Value *x) {
    return recurrent_layer(ctx, x,
                           &(RecurrentOptions){.backwards = true,
                                               .in_time_order = true,
                                               .zero_masked = arg_bool(ctx->args, "return_sequences")});
}

static bool is_recurrent(LayerContext *ctx, const Arg *layer) {
    const char *name = layer->part.component->name;
    if (recurrent_cell(layer->part.component))
        return true;
    diag_error(ctx->diag, layer->span, "Bidirectional needs a recurrent layer, but %s is none", name);
    diag_help(ctx->diag, "for example Bidirectional(LSTM(64))");
    return false;
}

/* Whether the two layers can be one's two directions. */
static bool directions_fit(LayerContext *ctx, const Arg *forward, const Arg *backward) {
    if (!is_recurrent(ctx, forward) || (!backward->is_none && !is_recurrent(ctx, backward)))
        return false;
    const Args *f = forward->part.args, *b = backward->is_none ? NULL : backward->part.args;
    if (arg_bool(f, "go_backwards")) {
        diag_error(ctx->diag, arg_get(f, "go_backwards")->span,
                   "the layer of Bidirectional must not go backwards itself");
        diag_help(ctx->diag, "leave `go_backwards` out: one of the two layers goes backwards");
        return false;
    }
    if (b && !arg_bool(b, "go_backwards")) {
        diag_error(ctx->diag, backward->span, "`backward_layer` of Bidirectional needs go_backwards=true");
        return false;
    }
    if (b && arg_bool(b, "return_sequences") != arg_bool(f, "return_sequences")) {
        diag_error(ctx->diag, backward->span, "both layers of Bidirectional need the same `return_sequences`");
        diag_note(ctx->diag, forward->span, "the other one");
        return false;
    }
    return true;
}

/* Keras' names: forward_lstm, backward_lstm; a prefix that is there stays. */
static const char *direction_name(LayerContext *ctx, const char *prefix, const char *name) {
    bool there = strncmp(name, prefix, strlen(prefix)) == 0;
    return there ? name : arena_format(ctx->builder->module->arena, "%s%s", prefix, name);
}

static Value *merge(LayerContext *ctx, Value *forward, Value *backward) {
    Builder *b = ctx->builder;
    const char *mode = arg_text(ctx->args, "merge_mode");
    if (strcmp(mode, "concat") == 0)
        return build_concat(b, (Value *[]){forward, backward}, 2, -1);
    if (forward->type != backward->type) {
        diag_error(ctx->diag, ctx->args->span,
                   "Bidirectional: merge_mode=%s needs two results of one shape, not %s and %s", mode,
                   type_words(b->module->arena, forward->type), type_words(b->module->arena, backward->type));
        return NULL;
    }
    if (strcmp(mode, "mul") == 0)
        return build_mul(b, forward, backward);
    Value *sum = build_add(b, forward, backward);
    return strcmp(mode, "ave") == 0 ? build_scale(b, sum, 0.5) : sum;
}

static Value *bidirectional(LayerContext *ctx, Value *x) {
    const Arg *layer = arg_get(ctx->args, "layer"), *other = arg_get(ctx->args, "backward_layer");
    if (!layer_not_built(ctx, "weights") || !directions_fit(ctx, layer, other))
        return NULL;
    const Arg *backward = other->is_none ? layer : other;
    const char *name = other->is_none ? direction_name(ctx, "backward_", layer->part.name) : other->part.name;
    Value *y = layer_part(ctx, layer, direction_name(ctx, "forward_", layer->part.name), x, build_forward);
    Value *z = y ? layer_part(ctx, backward, name, x, build_backward) : NULL;
    Value *merged = z ? merge(ctx, y, z) : NULL;
    if (merged && arg_bool(layer->part.args, "return_sequences"))
        layer_set_mask(ctx, merged, layer_mask(ctx));
    return merged;
}
static const Parameter bidirectional_parameters[] = {
    PART("layer", NULL, COMPONENT_LAYER, "the recurrent layer: SimpleRNN, LSTM or GRU"),
    CHOICE("merge_mode", "concat", "concat|sum|mul|ave", "how the two results become one"),
    ANY("weights", "none", "initial weights; not built yet, only none"),
    PART("backward_layer", "none", COMPONENT_LAYER,
         "another recurrent layer, with go_backwards=true, for the way back"),
    LAYER_COMMON,
    END};
const Component component_bidirectional = {
    .kind = COMPONENT_LAYER,
    .name = "Bidirectional",
    .parameters = bidirectional_parameters,
    .summary = "A recurrent layer twice, with weights of its own each: from the first step on, and from the last one.",
    .examples = LINES("Bidirectional(LSTM(64))", "Bidirectional(GRU(32, return_sequences=true), merge_mode=sum)"),
    .checks = LINES(
        CHECK_LAYERS("Input((3, 2))\nBidirectional(LSTM(2))\nDense(2)"),
        CHECK_LAYERS("Input((3, 2))\nBidirectional(GRU(2, return_sequences=true), merge_mode=mul)\nDense(2)"),
        CHECK_LAYERS("Input((3, 2))\nBidirectional(SimpleRNN(3, return_sequences=true), merge_mode=ave)\nDense(2)"),
        CHECK_LAYERS("Input((4, 2))\nMasking(0.3)\nDense(2)\nBidirectional(SimpleRNN(2, return_sequences=true), "
                     "merge_mode=sum, backward_layer=GRU(2, return_sequences=true, go_backwards=true))\nDense(2)")),
    .build.layer = bidirectional,
    .flags = COMPONENT_USES_MASK};

/* ---- TimeDistributed ---- */

static bool can_be_distributed(LayerContext *ctx, const Arg *layer, const Value *x) {
    const char *name = layer->part.component->name;
    if (x->type->rank < 3) {
        diag_error(ctx->diag, ctx->args->span,
                   "TimeDistributed needs an input of shape (batch, steps, ...), but it is %s",
                   type_words(ctx->builder->module->arena, x->type));
        diag_help(ctx->diag, "without a time axis the layer stands alone: %s(...)", name);
        return false;
    }
    if (strcmp(name, "Input") == 0) {
        diag_error(ctx->diag, layer->span, "Input is no layer that could be applied to each step");
        return false;
    }
    if (strcmp(name, "BatchNormalization") == 0) { /* Keras: statistics of one step after the other */
        diag_error(ctx->diag, layer->span, "BatchNormalization inside of TimeDistributed is not built yet");
        diag_help(ctx->diag, "BatchNormalization by itself takes sequences: its statistics are those of all steps");
        return false;
    }
    if (component_parameter(layer->part.component, "activity_regularizer") >= 0 &&
        arg_get(layer->part.args, "activity_regularizer")->given) {
        diag_error(ctx->diag, layer->span, "`activity_regularizer` inside of TimeDistributed is not built yet");
        return false;
    }
    return true;
}

/* The type with the first two axes as one, batch fastest to change last: step t of sample b is row b * steps + t. */
static const Type *folded(LayerContext *ctx, const Type *type) {
    Dim dims[MAX_RANK];
    for (int i = 1; i < type->rank; i++)
        dims[i - 1] = type->dims[i];
    dims[0] = dim_batch(type->dims[0].n * type->dims[1].n);
    return type_get(ctx->builder->module, type->dtype, type->rank - 1, dims);
}

static const Type *unfolded(LayerContext *ctx, const Type *type, const Type *outer) {
    Dim dims[MAX_RANK];
    if (type->rank == MAX_RANK) {
        diag_error(ctx->diag, ctx->args->span, "the result of TimeDistributed would have more than %d axes", MAX_RANK);
        return NULL;
    }
    dims[0] = outer->dims[0];
    dims[1] = outer->dims[1];
    for (int i = 1; i < type->rank; i++)
        dims[i + 1] = type->dims[i];
    return type_get(ctx->builder->module, type->dtype, type->rank + 1, dims);
}

static Value *time_distributed(LayerContext *ctx, Value *x) {
    const Arg *layer = arg_get(ctx->args, "layer");
    Value *mask = layer_mask(ctx);
    if (!can_be_distributed(ctx, layer, x))
        return NULL;
    Value *rows = build_reshape(ctx->builder, x, folded(ctx, x->type));
    if (mask && mask->type->rank > 2)
        layer_set_mask(ctx, rows, build_reshape(ctx->builder, mask, folded(ctx, mask->type)));
    Value *results = layer_part(ctx, layer, layer->part.name, rows, NULL);
    Value *y = results ? build_reshape(ctx->builder, results, unfolded(ctx, results->type, x->type)) : NULL;
    layer_keep_logits(ctx, results, y);
    return y;
}
static const Parameter time_distributed_parameters[] = {
    PART("layer", NULL, COMPONENT_LAYER, "the layer that every step goes through, with the same weights"), LAYER_COMMON,
    END};
const Component component_time_distributed = {
    .kind = COMPONENT_LAYER,
    .name = "TimeDistributed",
    .parameters = time_distributed_parameters,
    .summary = "A layer applied to each step of a sequence by itself.",
    .formula = "y[b, t] = layer(x[b, t])",
    .examples = LINES("TimeDistributed(Dense(10))", "TimeDistributed(Conv2D(8, 3))"),
    .checks =
        LINES(CHECK_LAYERS("Input((3, 2))\nTimeDistributed(Dense(4, activation=tanh))\nDense(2)"),
              CHECK_LAYERS("Input((2, 3, 3, 1))\nTimeDistributed(Conv2D(2, 2))\nTimeDistributed(Flatten())\nDense(2)"),
              CHECK_LAYERS("Input((2, 3, 2))\nTimeDistributed(TimeDistributed(Dense(2)))\nTimeDistributed(LSTM(2))"),
              CHECK_LOSS("Input((3, 2))\nDense(3)\nTimeDistributed(Dense(4, activation=softmax))",
                         "sparse_categorical_crossentropy")),
    .build.layer = time_distributed,
    .flags = COMPONENT_KEEPS_MASK};
