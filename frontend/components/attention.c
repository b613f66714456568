/* Self-attention of the sequential language: query, key and value are projections of the layer's one input. Everything
 * is a contraction with labels, so that batched products stay visible; the masks are comparisons of positions and have
 * no memory. */
#include "frontend/components/components.h"

/* Labels of the contractions: b samples, q and s steps that ask and are asked, d features, h heads, k and v extents of
 * a head, o, p, r, t axes of the result. */
typedef struct {
    LayerContext *ctx;
    Builder *b;
    Value *x; /* (B, steps, features) */
    int64_t heads, key_dim, value_dim, steps, features;
} Attention;

static double extent_product(const Dim *dims, int count) {
    double product = 1;
    for (int i = 0; i < count; i++)
        product *= (double)dims[i].n;
    return product;
}

/* x times the kernel NAME/kernel, plus NAME/bias. The first `bound` axes of the kernel are summed over, the others are
 * the new last axes. Keras counts the fans by these two groups. */
static Value *project(const Attention *a, Value *x, const char *name, const char *labels, const Dim *dims, int rank,
                      int bound) {
    LayerContext *ctx = a->ctx;
    Arena *arena = a->b->module->arena;
    const char *leaf = arena_format(arena, "%s/kernel", name);
    if (!x || !layer_weight_fits(ctx, leaf, rank, dims))
        return NULL;
    Init init =
        layer_init(ctx, "kernel_initializer", extent_product(dims, bound), extent_product(dims + bound, rank - bound));
    Value *kernel = layer_weight_with(ctx, leaf, layer_type(ctx, rank, dims), init);
    Value *y = build_einsum(a->b, labels, x, kernel);
    if (arg_bool(ctx->args, "use_bias")) {
        const Type *type = layer_type(ctx, rank - bound, dims + bound);
        y = build_add(a->b, y, layer_weight(ctx, arena_format(arena, "%s/bias", name), type, true));
    }
    return layer_penalise_activity(ctx, y);
}

static Value *project_heads(const Attention *a, const char *name, int64_t extent) {
    Dim dims[3] = {dim_static(a->features), dim_static(a->heads), dim_static(extent)};
    return project(a, a->x, name, "bqd,dhk->bqhk", dims, 3, 1);
}

static Value *both(Builder *b, Value *mask, Value *other) {
    return mask && other ? build_map2(b, FN_and, mask, other) : mask ? mask : other;
}

/* The mask of the input as one of the steps that ask (axis 2 of the scores) or are asked (axis 3). */
static Value *steps_mask(const Attention *a, Value *mask, int axis) {
    Dim dims[4] = {mask->type->dims[0], dim_static(1), dim_static(1), dim_static(1)};
    dims[axis] = mask->type->dims[1];
    return build_reshape(a->b, mask, type_get(a->b->module, DTYPE_BOOL, 4, dims));
}

/* true where query step q may read step s, to broadcast against (B, heads, steps, steps); NULL: everywhere. */
static Value *scores_mask(const Attention *a) {
    Builder *b = a->b;
    const Arg *window = arg_get(a->ctx->args, "sliding_window");
    Dim dims[2] = {dim_static(a->steps), dim_static(a->steps)};
    const Type *type = type_get(b->module, DTYPE_I32, 2, dims);
    Value *query = build_iota(b, type, 0), *key = build_iota(b, type, 1), *mask = layer_mask(a->ctx);
    if (mask && mask->type->rank != 2)
        mask = NULL; /* of whole samples, not of steps */
    if (mask)
        mask = both(b, steps_mask(a, mask, 2), steps_mask(a, mask, 3));
    if (arg_bool(a->ctx->args, "use_causal_mask"))
        mask = both(b, mask, build_map2(b, FN_ge, query, key));
    if (window->is_none)
        return mask;
    Value *distance = build_map1(b, FN_abs, build_cast(b, build_sub(b, query, key), DTYPE_F32));
    return both(b, mask, build_map2(b, FN_lt, distance, build_like(b, distance, (double)window->integer)));
}

/* Scores that may not be read become Keras' large negative number, and their probabilities exactly 0. */
static Value *masked(Builder *b, Value *scores, Value *mask) {
    if (!mask || !scores)
        return scores;
    return build_map3(b, FN_select, mask, scores, build_like(b, scores, -1e9));
}

/* A step of the padding may read nothing: its probabilities are all the same, but with dropout Keras makes them 0. */
static Value *drop(LayerContext *ctx, Value *probabilities, Value *mask) {
    double rate = arg_float(ctx->args, "dropout");
    if (rate > 0 && probabilities && mask && layer_mask(ctx))
        probabilities =
            build_map3(ctx->builder, FN_select, mask, probabilities, build_like(ctx->builder, probabilities, 0));
    return layer_drop(ctx, probabilities, rate, NULL);
}

static Value *attend(const Attention *a) {
    Builder *b = a->b;
    Value *query = project_heads(a, "query", a->key_dim);
    if (!query)
        return NULL;
    Value *key = project_heads(a, "key", a->key_dim);
    Value *gate = arg_bool(a->ctx->args, "use_gate") ? project_heads(a, "gate", a->value_dim) : NULL;
    Value *value = project_heads(a, "value", a->value_dim);
    query = build_scale(b, query, 1 / sqrt((double)a->key_dim));
    Value *mask = scores_mask(a), *scores = masked(b, build_einsum(b, "bqhk,bshk->bhqs", query, key), mask);
    const AxesAttr last = {{3}, 1};
    Value *probabilities = scores ? build_softmax(b, scores, &last) : NULL;
    probabilities = drop(a->ctx, probabilities, mask);
    Value *y = build_einsum(b, "bhqs,bshv->bqhv", probabilities, value);
    return gate ? build_mul(b, y, build_map1(b, FN_sigmoid, gate)) : y;
}

/* Back to output_shape; none: as wide as the input. */
static Value *project_output(const Attention *a, Value *y) {
    static const char *const labels[] = {"bqhv,hvo->bqo", "bqhv,hvop->bqop", "bqhv,hvopr->bqopr",
                                         "bqhv,hvoprt->bqoprt"};
    enum { MOST = sizeof labels / sizeof *labels };
    const Arg *shape = arg_get(a->ctx->args, "output_shape");
    Dim dims[MAX_RANK] = {dim_static(a->heads), dim_static(a->value_dim), dim_static(a->features)};
    int count = shape->is_none ? 1 : shape->ints.count;
    if (count < 1 || count > MOST) {
        diag_error(a->ctx->diag, shape->span, "MultiHeadAttention: output_shape has %d axes, but 1 to %d are possible",
                   count, MOST);
        return NULL;
    }
    for (int i = 0; i < count && !shape->is_none; i++)
        dims[i + 2] = dim_static(shape->ints.items[i]);
    return project(a, y, "attention_output", labels[count - 1], dims, count + 2, 2);
}

static Value *multi_head_attention(LayerContext *ctx, Value *x) {
    const Args *args = ctx->args;
    if (!layer_not_built(ctx, "attention_axes|flash_attention|kernel_constraint|bias_constraint"))
        return NULL;
    if (x->type->rank != 3) {
        diag_error(ctx->diag, args->span, "%s needs an input of shape (batch, steps, features), but it is %s",
                   args->component->name, type_words(ctx->builder->module->arena, x->type));
        diag_help(ctx->diag, "give the sequence its axes with Input((steps, features)) or Reshape((steps, features))");
        return NULL;
    }
    Attention a = {.ctx = ctx, .b = ctx->builder, .x = x, .steps = x->type->dims[1].n, .features = x->type->dims[2].n};
    a.heads = arg_int(args, "num_heads");
    a.key_dim = arg_int(args, "key_dim");
    a.value_dim = arg_is_none(args, "value_dim") ? a.key_dim : arg_int(args, "value_dim");
    Value *y = project_output(&a, attend(&a));
    layer_set_mask(ctx, y, layer_mask(ctx));
    return y;
}

#define ATTENTION_CHECK(arguments) CHECK_LAYERS("Input((4, 3))\nMultiHeadAttention(" arguments ")\nFlatten()\nDense(2)")
static const Parameter attention_parameters[] = {
    INT("num_heads", NULL, 1, LARGE, "number of heads"),
    INT("key_dim", NULL, 1, LARGE, "extent of query and key of a head"),
    INT("value_dim", "none", 1, LARGE, "extent of the value of a head; none: key_dim"),
    FLOAT_IN("dropout", "0.0", 0, 1, "probability that a probability becomes 0 in training"),
    BOOLEAN("use_bias", "true", "add biases to the projections"),
    INTS("output_shape", "none", 0, 1, LARGE, "last axis or axes of the result; none: that of the input"),
    ANY("attention_axes", "none", "axes that are attended over; not built yet, only none"),
    INT("sliding_window", "none", 1, LARGE, "only steps nearer than this are attended to; none: all"),
    ANY("flash_attention", "none", "a kernel of Keras' backends; not built yet, only none or false"),
    INITIALIZER("kernel", "glorot_uniform"),
    INITIALIZER("bias", "zeros"),
    REGULARIZER("kernel"),
    REGULARIZER("bias"),
    PART("activity_regularizer", "none", COMPONENT_REGULARIZER,
         "penalty on the result of each projection, divided by the batch size, added to the loss"),
    CONSTRAINT("kernel"),
    CONSTRAINT("bias"),
    BOOLEAN("use_gate", "false", "multiply the heads by a sigmoid of a fourth projection"),
    INT("seed", "none", 0, LARGE, "seed of the dropout instead of the run's"),
    BOOLEAN("use_causal_mask", "false", "each step attends only to itself and the steps before; in Keras of the call"),
    LAYER_COMMON,
    END};
const Component component_multi_head_attention = {
    .kind = COMPONENT_LAYER,
    .name = "MultiHeadAttention",
    .parameters = attention_parameters,
    .summary = "Self-attention: each step of a sequence reads the steps that resemble what it asks for.",
    .formula = "softmax(q k^T / sqrt(key_dim)) v per head, then a product over heads and values; q, k, v = x W + b  "
               "(Vaswani et al. 2017)",
    .examples = LINES("MultiHeadAttention(4, 32)", "MultiHeadAttention(num_heads=4, key_dim=32, use_causal_mask=true)"),
    .checks = LINES(ATTENTION_CHECK("2, 3"), ATTENTION_CHECK("2, 2, use_causal_mask=true"),
                    ATTENTION_CHECK("1, 2, value_dim=3, use_bias=false, output_shape=5"),
                    ATTENTION_CHECK("2, 2, dropout=0.3, use_causal_mask=true, seed=5"),
                    ATTENTION_CHECK("2, 2, output_shape=(2, 3), use_gate=true, sliding_window=2, "
                                    "kernel_initializer=he_normal, kernel_regularizer=L2(0.01), "
                                    "bias_regularizer=L2(0.02), activity_regularizer=L2(0.03)")),
    .build.layer = multi_head_attention,
    .flags = COMPONENT_USES_MASK};
