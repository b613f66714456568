/* Layers with bodies: branches and repetition inside a sequential model. */
#include "frontend/components/components.h"

/* Builds each body on x; false if one of them failed or there are fewer than two. */
static bool branches(LayerContext *ctx, Value *x, Value ***results) {
    const Args *args = ctx->args;
    const char *name = args->component->name;
    if (args->body_count < 2) {
        diag_error(ctx->diag, args->span, "%s needs two or more bodies, but it has %s", name,
                   args->body_count ? "one" : "none");
        diag_help(
            ctx->diag,
            "write one pair of braces per branch: %s { { Dense(8) } { Dense(8) } }; an empty one is the input itself",
            name);
        return false;
    }
    *results = ARENA_ARRAY(ctx->builder->module->arena, Value *, args->body_count);
    bool fine = true;
    for (int i = 0; i < args->body_count; i++)
        fine &= ((*results)[i] = layer_body(ctx, &args->bodies[i], x)) != NULL;
    return fine;
}

static bool one_body(LayerContext *ctx) {
    if (ctx->args->body_count == 1)
        return true;
    diag_error(ctx->diag, ctx->args->span, "%s needs exactly one body, but it has %d", ctx->args->component->name,
               ctx->args->body_count);
    diag_help(ctx->diag, "write its layers in braces: %s { Dense(8) }", ctx->args->component->name);
    return false;
}

static void report_shapes(LayerContext *ctx, int branch, const Type *first, const Type *other, const char *help) {
    Arena *arena = ctx->builder->module->arena;
    diag_error(ctx->diag, ctx->args->bodies[branch].span, "%s: branch 1 gives %s, but branch %d gives %s",
               ctx->args->component->name, type_words(arena, first), branch + 1, type_words(arena, other));
    diag_help(ctx->diag, "%s", help);
}

/* Keras' merging layers: a step counts where it does in any of the branches, and everywhere if one has no mask. */
static Value *with_merged_mask(LayerContext *ctx, Value *const *results, int count, Value *y) {
    Value *mask = layer_mask_of(ctx, results[0]);
    for (int i = 1; i < count && mask; i++) {
        Value *other = layer_mask_of(ctx, results[i]);
        bool fits = other && other->type == mask->type;
        mask = fits ? build_map2(ctx->builder, FN_or, mask, other) : NULL;
    }
    layer_set_mask(ctx, y, mask);
    return y;
}

static Value *residual(LayerContext *ctx, Value *x) {
    Value *y = one_body(ctx) ? layer_body(ctx, &ctx->args->bodies[0], x) : NULL;
    if (!y)
        return NULL;
    if (y->type != x->type) {
        Arena *arena = ctx->builder->module->arena;
        diag_error(ctx->diag, ctx->args->bodies[0].span, "Residual: the body turns %s into %s, so they cannot be added",
                   type_words(arena, x->type), type_words(arena, y->type));
        diag_help(ctx->diag, "end the body with a layer that gives the input's shape, or use Add { {...} {...} } with "
                             "a layer in both branches");
        return NULL;
    }
    return with_merged_mask(ctx, (Value *[]){x, y}, 2, build_add(ctx->builder, x, y));
}
static const Parameter named[] = {STRING("name", "none", "name of the layer"), END};
const Component component_residual = {
    .kind = COMPONENT_COMBINATOR,
    .name = "Residual",
    .parameters = named,
    .summary = "Adds the input to what the body makes of it.",
    .formula = "x + body(x)  (He et al. 2015)",
    .examples = LINES("Residual {", "    Dense(64, activation=relu)", "    Dense(64)", "}"),
    .checks = LINES(CHECK_LAYERS("Input(3)\nDense(4)\nResidual {\nDense(5, activation=tanh)\nDense(4)\n}\nDense(2)"),
                    CHECK_LAYERS("Input(3)\nResidual {\nResidual {\nDense(3, activation=tanh)\n}\n}\nDense(2)")),
    .build.layer = residual};

static Value *repeat(LayerContext *ctx, Value *x) {
    if (!one_body(ctx))
        return NULL;
    for (int64_t n = arg_int(ctx->args, "n"); x && n > 0; n--)
        x = layer_body(ctx, &ctx->args->bodies[0], x);
    return x;
}
static const Parameter repeat_parameters[] = {
    INT("n", NULL, 1, 10000, "how many times; each time has weights of its own"),
    STRING("name", "none", "name of the layer"), END};
const Component component_repeat = {
    .kind = COMPONENT_COMBINATOR,
    .name = "Repeat",
    .parameters = repeat_parameters,
    .summary = "Builds the body n times, one after the other, each with its own weights.",
    .formula = "body_n(... body_2(body_1(x)))",
    .examples = LINES("Repeat(4) {", "    Dense(64, activation=relu)", "}"),
    .checks = LINES(CHECK_LAYERS("Input(3)\nRepeat(2) {\nDense(4, activation=tanh)\n}\nDense(2)"),
                    CHECK_LAYERS("Input(3)\nRepeat(2) {\nResidual {\nDense(3, activation=tanh)\n}\n}\nDense(2)")),
    .build.layer = repeat};

/* Along the features a step counts where it does in any branch; along an axis that masks have they are joined too. */
static Value *with_joined_mask(LayerContext *ctx, Value *const *results, int axis, Value *y) {
    Builder *b = ctx->builder;
    int count = ctx->args->body_count, rank = 0;
    for (int i = 0; i < count; i++) {
        const Value *mask = layer_mask_of(ctx, results[i]);
        rank = mask && mask->type->rank > rank ? mask->type->rank : rank;
    }
    if (axis >= rank)
        return with_merged_mask(ctx, results, count, y);
    Value **masks = ARENA_ARRAY(b->module->arena, Value *, count);
    for (int i = 0; i < count; i++) {
        masks[i] = layer_mask_of(ctx, results[i]);
        if (!masks[i])
            masks[i] = build_const(b, type_get(b->module, DTYPE_BOOL, rank, results[i]->type->dims), 1);
    }
    layer_set_mask(ctx, y, build_concat(b, masks, count, axis));
    return y;
}

static Value *concatenate(LayerContext *ctx, Value *x) {
    Value **results;
    if (!branches(ctx, x, &results))
        return NULL;
    const Type *first = results[0]->type;
    int axis = axis_of(ctx->diag, arg_get(ctx->args, "axis")->span, arg_int(ctx->args, "axis"), first->rank);
    if (axis < 0)
        return NULL;
    for (int i = 1; i < ctx->args->body_count; i++) {
        const Type *type = results[i]->type;
        bool fits = type->rank == first->rank;
        for (int k = 0; fits && k < type->rank; k++)
            fits = k == axis || dim_equal(type->dims[k], first->dims[k]);
        if (!fits) {
            report_shapes(ctx, i, first, type, "all axes but the one that is concatenated must agree");
            return NULL;
        }
    }
    Value *y = build_concat(ctx->builder, results, ctx->args->body_count, axis);
    return with_joined_mask(ctx, results, axis, y);
}
static const Parameter concatenate_parameters[] = {INT("axis", "-1", 0, 0, "axis along which the results are joined"),
                                                   STRING("name", "none", "name of the layer"), END};
const Component component_concatenate = {
    .kind = COMPONENT_COMBINATOR,
    .name = "Concatenate",
    .parameters = concatenate_parameters,
    .summary = "Joins the results of several branches along an axis.",
    .examples = LINES("Concatenate {", "    { Dense(32, activation=relu) }", "    { }", "}"),
    .checks = LINES(
        CHECK_LAYERS("Input(3)\nConcatenate {\n{ Dense(4, activation=tanh) }\n{ Dense(2) }\n{ }\n}\nDense(2)"),
        CHECK_LAYERS("Input((2, 3))\nConcatenate(axis=1) {\n{ Dense(4) }\n{ Dense(4, activation=tanh) }\n}\nDense(2)")),
    .build.layer = concatenate};

/* Lower ranks get axes of extent 1 after the batch, as in Keras. */
static Value *with_rank(Builder *b, Value *v, int rank) {
    const Type *type = v->type;
    if (type->rank >= rank)
        return v;
    Dim dims[MAX_RANK];
    int added = rank - type->rank;
    for (int i = 0; i < rank && i < MAX_RANK; i++)
        dims[i] = i == 0 ? type->dims[0] : i <= added ? dim_static(1) : type->dims[i - added];
    return build_reshape(b, v, type_get(b->module, type->dtype, rank, dims));
}

static bool broadcasts(const Type *a, const Type *b) {
    for (int i = 0; i < a->rank; i++) {
        bool one = (a->dims[i].n == 1 && !a->dims[i].batch) || (b->dims[i].n == 1 && !b->dims[i].batch);
        if (!one && !dim_equal(a->dims[i], b->dims[i]))
            return false;
    }
    return true;
}

static Value *merge(LayerContext *ctx, Value *x, ScalarFn fn) {
    Value **results;
    if (!branches(ctx, x, &results))
        return NULL;
    int rank = 0;
    for (int i = 0; i < ctx->args->body_count; i++) {
        rank = results[i]->type->rank > rank ? results[i]->type->rank : rank;
        if ((fn == FN_max || fn == FN_min) && layer_mask_of(ctx, results[i])) {
            diag_error(ctx->diag, ctx->args->span, "%s of masked branches is not built yet",
                       ctx->args->component->name);
            return NULL;
        }
    }
    Value *y = with_rank(ctx->builder, results[0], rank);
    for (int i = 1; y && i < ctx->args->body_count; i++) {
        Value *other = with_rank(ctx->builder, results[i], rank);
        if (!other || !broadcasts(y->type, other->type)) {
            report_shapes(ctx, i, results[0]->type, results[i]->type,
                          "the branches must give the same shape (an extent of 1 is repeated)");
            return NULL;
        }
        y = build_map2(ctx->builder, fn, y, other);
    }
    return with_merged_mask(ctx, results, ctx->args->body_count, y);
}

static Value *add(LayerContext *ctx, Value *x) {
    return merge(ctx, x, FN_add);
}
static Value *subtract(LayerContext *ctx, Value *x) {
    if (ctx->args->body_count <= 2)
        return merge(ctx, x, FN_sub);
    diag_error(ctx->diag, ctx->args->span, "Subtract needs exactly two bodies, but it has %d", ctx->args->body_count);
    return NULL;
}
static Value *multiply(LayerContext *ctx, Value *x) {
    return merge(ctx, x, FN_mul);
}
static Value *maximum(LayerContext *ctx, Value *x) {
    return merge(ctx, x, FN_max);
}
static Value *minimum(LayerContext *ctx, Value *x) {
    return merge(ctx, x, FN_min);
}
static Value *average(LayerContext *ctx, Value *x) {
    Value *sum = merge(ctx, x, FN_add);
    Value *mean = sum ? build_scale(ctx->builder, sum, 1.0 / ctx->args->body_count) : NULL;
    layer_set_mask(ctx, mean, sum ? layer_mask_of(ctx, sum) : NULL);
    return mean;
}

#define MERGE(RECORD, NAME, BUILD, SUMMARY, FORMULA)                                                                   \
    const Component component_##RECORD = {                                                                             \
        .kind = COMPONENT_COMBINATOR,                                                                                  \
        .name = NAME,                                                                                                  \
        .parameters = named,                                                                                           \
        .summary = SUMMARY,                                                                                            \
        .formula = FORMULA,                                                                                            \
        .examples = LINES(NAME " {", "    { Dense(32, activation=tanh) }", "    { Dense(32) }", "}"),                  \
        .checks = LINES(                                                                                               \
            CHECK_LAYERS("Input(3)\n" NAME " {\n{ Dense(4, activation=tanh) }\n{ Dense(4) }\n}\nDense(2)"),            \
            CHECK_LAYERS("Input((2, 3))\n" NAME                                                                        \
                         " {\n{ Dense(4, activation=tanh) }\n{ Dense(1) }\n{ Flatten(); Dense(4) }\n}\nDense(2)")),    \
        .build.layer = BUILD}
MERGE(add, "Add", add, "The sum of the results of several branches.", "y1 + y2 + ...");
const Component component_subtract = {
    .kind = COMPONENT_COMBINATOR,
    .name = "Subtract",
    .parameters = named,
    .summary = "The result of the first branch less that of the second.",
    .formula = "y1 - y2",
    .examples = LINES("Subtract {", "    { Dense(32, activation=tanh) }", "    { Dense(32) }", "}"),
    .checks = LINES(CHECK_LAYERS("Input(3)\nSubtract {\n{ Dense(4, activation=tanh) }\n{ Dense(4) }\n}\nDense(2)"),
                    CHECK_LAYERS("Input((2, 3))\nSubtract {\n{ Dense(4) }\n{ Dense(1) }\n}\nDense(2)")),
    .build.layer = subtract};
MERGE(multiply, "Multiply", multiply, "The product of the results of several branches.", "y1 * y2 * ...");
MERGE(average, "Average", average, "The mean of the results of several branches.", "(y1 + y2 + ...) / n");
MERGE(maximum, "Maximum", maximum, "The larger of the results of several branches, element by element.",
      "max(y1, y2, ...)");
MERGE(minimum, "Minimum", minimum, "The smaller of the results of several branches, element by element.",
      "min(y1, y2, ...)");
