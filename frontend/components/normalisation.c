/* Normalisation layers. All of them use the biased (population) variance. */
#include "frontend/components/components.h"

/* x's mean and variance over the axes, which stay with extent 1. */
static void moments(Builder *b, Value *x, const AxesAttr *over, Value **mean, Value **variance) {
    double count = 1;
    bool batch = false;
    for (int i = 0; i < over->count; i++) {
        Dim d = x->type->dims[over->axes[i]];
        count *= (double)d.n;
        batch |= d.batch;
    }
    Value *divisor = batch ? build_scale(b, build_batch_size(b), count) : NULL;
#define MEAN_OF(v)                                                                                                     \
    (batch ? build_div(b, build_reduce_keep(b, REDUCE_SUM, v, over->axes, over->count), divisor)                       \
           : build_scale(b, build_reduce_keep(b, REDUCE_SUM, v, over->axes, over->count), 1 / count))
    *mean = MEAN_OF(x);
    *variance = MEAN_OF(build_square(b, build_sub(b, x, *mean)));
#undef MEAN_OF
}

/* gamma and beta, each NULL if the arguments leave it out. Made once per build and in Keras' order. */
typedef struct {
    bool scaled, centered;
    Value *gamma, *beta;
} Affine;

static Affine affine_weights(LayerContext *ctx, const Type *type, const Type *wide) {
    Affine affine = {arg_bool(ctx->args, "scale"), arg_bool(ctx->args, "center"), NULL, NULL};
    if (affine.scaled)
        affine.gamma = build_reshape(ctx->builder, layer_weight(ctx, "gamma", type, true), wide);
    if (affine.centered)
        affine.beta = build_reshape(ctx->builder, layer_weight(ctx, "beta", type, true), wide);
    return affine;
}

/* (x - mean) / sqrt(variance + epsilon) * gamma + beta */
static Value *normalise(LayerContext *ctx, Value *x, Value *mean, Value *variance, const Affine *affine) {
    Builder *b = ctx->builder;
    Value *scale = build_map1(b, FN_rsqrt, build_shift(b, variance, arg_float(ctx->args, "epsilon")));
    if (affine->scaled)
        scale = build_mul(b, scale, affine->gamma);
    Value *y = build_mul(b, build_sub(b, x, mean), scale);
    return affine->centered ? build_add(b, y, affine->beta) : y;
}

static void update_average(LayerContext *ctx, const char *leaf, Value *average, Value *batch, const Type *type) {
    Builder *b = ctx->builder;
    double momentum = arg_float(ctx->args, "momentum");
    Value *now = build_reshape(b, build_stop_gradient(b, batch), type);
    layer_assign(ctx, leaf, build_add(b, build_scale(b, average, momentum), build_scale(b, now, 1 - momentum)));
}

static Value *batch_normalization(LayerContext *ctx, Value *x) {
    if (!layer_not_built(ctx, "beta_constraint|gamma_constraint|renorm|renorm_clipping|renorm_momentum|synchronized"))
        return NULL;
    int rank = x->type->rank,
        axis = axis_of(ctx->diag, arg_get(ctx->args, "axis")->span, arg_int(ctx->args, "axis"), rank);
    if (axis < 0)
        return NULL;
    AxesAttr over = {.count = 0};
    Dim wide_dims[MAX_RANK], features = x->type->dims[axis];
    for (int i = 0; i < rank && i < MAX_RANK; i++) {
        wide_dims[i] = i == axis ? features : dim_static(1);
        if (i != axis)
            over.axes[over.count++] = i;
    }
    const Type *type = layer_type(ctx, 1, &features), *wide = layer_type(ctx, rank, wide_dims);
    Affine affine = affine_weights(ctx, type, wide);
    Value *moving_mean = layer_weight(ctx, "moving_mean", type, false);
    Value *moving_variance = layer_weight(ctx, "moving_variance", type, false);
    Builder *b = ctx->builder;
    if (!ctx->training || !ctx->trainable)
        return normalise(ctx, x, build_reshape(b, moving_mean, wide), build_reshape(b, moving_variance, wide), &affine);
    Value *mean, *variance;
    moments(b, x, &over, &mean, &variance);
    update_average(ctx, "moving_mean", moving_mean, mean, type);
    update_average(ctx, "moving_variance", moving_variance, variance, type);
    return normalise(ctx, x, mean, variance, &affine);
}
static const Parameter batch_parameters[] = {
    INT("axis", "-1", 0, 0, "the feature axis; statistics are taken over all others"),
    FLOAT_IN("momentum", "0.99", 0, 1, "share of the old value in the moving averages"),
    FLOAT_IN("epsilon", "0.001", 0, LARGE, "added to the variance"),
    BOOLEAN("center", "true", "add beta"),
    BOOLEAN("scale", "true", "multiply by gamma"),
    INITIALIZER("beta", "zeros"),
    INITIALIZER("gamma", "ones"),
    INITIALIZER("moving_mean", "zeros"),
    INITIALIZER("moving_variance", "ones"),
    REGULARIZER("beta"),
    REGULARIZER("gamma"),
    CONSTRAINT("beta"),
    CONSTRAINT("gamma"),
    ANY("renorm", "none", "batch renormalization; not built yet, only none"),
    ANY("renorm_clipping", "none", "batch renormalization; not built yet, only none"),
    ANY("renorm_momentum", "none", "batch renormalization; not built yet, only none"),
    ANY("synchronized", "none", "statistics over several devices; not built yet, only none"),
    LAYER_COMMON,
    END};
const Component component_batch_normalization = {
    .kind = COMPONENT_LAYER,
    .name = "BatchNormalization",
    .parameters = batch_parameters,
    .summary = "Mean 0 and deviation 1 per feature over the batch; moving averages outside training.",
    .formula = "gamma * (x - mean) / sqrt(variance + epsilon) + beta; moving = momentum * moving + (1 - momentum) * "
               "batch  (Ioffe, Szegedy 2015)",
    .examples = LINES("BatchNormalization()", "BatchNormalization(momentum=0.9)"),
    .checks =
        LINES(CHECK_LAYERS("Input(3)\nDense(4)\nBatchNormalization()\nDense(2)"),
              CHECK_LAYERS("Input(3)\nDense(4)\nBatchNormalization(momentum=0.8, epsilon=0.1, "
                           "center=false)\nActivation(tanh)\nDense(2)"),
              CHECK_LAYERS("Input((3, 2, 2))\nConv2D(3, 1)\nBatchNormalization(scale=false)\nFlatten()\nDense(2)"),
              CHECK_LAYERS("Input((3, 2))\nDense(4)\nBatchNormalization(axis=1, gamma_initializer=random_uniform(0.5, "
                           "1.5), gamma_regularizer=L2(0.01))\nDense(2)"),
              CHECK_LAYERS("Input(3)\nDense(4)\nBatchNormalization(trainable=false)\nDense(2)")),
    .build.layer = batch_normalization};

static Value *layer_normalization(LayerContext *ctx, Value *x) {
    AxesAttr over;
    if (!layer_not_built(ctx, "beta_constraint|gamma_constraint") ||
        !axes_of(ctx->diag, arg_get(ctx->args, "axis"), x->type->rank, &over))
        return NULL;
    Dim dims[MAX_RANK], wide_dims[MAX_RANK];
    for (int i = 0; i < x->type->rank; i++)
        wide_dims[i] = dim_static(1);
    for (int i = 0; i < over.count; i++)
        wide_dims[over.axes[i]] = dims[i] = x->type->dims[over.axes[i]];
    Affine affine = affine_weights(ctx, layer_type(ctx, over.count, dims), layer_type(ctx, x->type->rank, wide_dims));
    Value *mean, *variance;
    moments(ctx->builder, x, &over, &mean, &variance);
    return normalise(ctx, x, mean, variance, &affine);
}
static const Parameter layer_parameters[] = {
    INTS("axis", "-1", 0, 0, 0, "axis or axes of one sample that are normalised together"),
    FLOAT_IN("epsilon", "0.001", 0, LARGE, "added to the variance"),
    BOOLEAN("center", "true", "add beta"),
    BOOLEAN("scale", "true", "multiply by gamma"),
    INITIALIZER("beta", "zeros"),
    INITIALIZER("gamma", "ones"),
    REGULARIZER("beta"),
    REGULARIZER("gamma"),
    CONSTRAINT("beta"),
    CONSTRAINT("gamma"),
    LAYER_COMMON,
    END};
const Component component_layer_normalization = {
    .kind = COMPONENT_LAYER,
    .name = "LayerNormalization",
    .parameters = layer_parameters,
    .summary = "Mean 0 and deviation 1 over the features of each sample.",
    .formula = "gamma * (x - mean) / sqrt(variance + epsilon) + beta  (Ba et al. 2016)",
    .examples = LINES("LayerNormalization()", "LayerNormalization(epsilon=1e-5)"),
    .checks = LINES(CHECK_LAYERS("Input(3)\nDense(4)\nLayerNormalization()\nDense(2)"),
                    CHECK_LAYERS("Input((2, 3))\nDense(4)\nLayerNormalization(epsilon=0.1, scale=false)\nDense(2)"),
                    CHECK_LAYERS("Input((2, 3))\nDense(3)\nLayerNormalization(axis=(1, 2), "
                                 "gamma_initializer=random_uniform(0.5, 1.5), beta_initializer=ones)\nDense(2)"),
                    CHECK_LAYERS("Input((3, 2))\nDense(3)\nLayerNormalization(axis=1, center=false)\nDense(2)")),
    .build.layer = layer_normalization};
