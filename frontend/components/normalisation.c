/* Normalisation layers. All of them use the biased (population) variance. */
#include "frontend/components/components.h"

static Value *sum_over(Builder *b, Value *x, const AxesAttr *over) {
    return build_reduce_keep(b, REDUCE_SUM, x, over->axes, over->count);
}

/* How many elements are summed over the axes: a number, or with the batch among them a value. */
static Value *elements_over(Builder *b, const Value *x, const AxesAttr *over, double *count) {
    bool batch = false;
    *count = 1;
    for (int i = 0; i < over->count; i++) {
        Dim d = x->type->dims[over->axes[i]];
        *count *= (double)d.n;
        batch |= d.batch;
    }
    return batch ? build_scale(b, build_batch_size(b), *count) : NULL;
}

/* x's mean and variance over the axes, which stay with extent 1. */
static void moments(Builder *b, Value *x, const AxesAttr *over, Value **mean, Value **variance) {
    double count;
    Value *divisor = elements_over(b, x, over, &count), *sum = sum_over(b, x, over);
    *mean = divisor ? build_div(b, sum, divisor) : build_scale(b, sum, 1 / count);
    sum = sum_over(b, build_square(b, build_sub(b, x, *mean)), over);
    *variance = divisor ? build_div(b, sum, divisor) : build_scale(b, sum, 1 / count);
}

/* The same of the steps that the mask, of one axis less than x, leaves; Keras adds its epsilon to their number. */
static void masked_moments(Builder *b, Value *x, Value *mask, const AxesAttr *over, Value **mean, Value **variance) {
    Dim dims[MAX_RANK];
    memcpy(dims, mask->type->dims, sizeof dims);
    dims[x->type->rank - 1] = dim_static(1);
    Value *here = build_reshape(b, mask, type_get(b->module, DTYPE_BOOL, x->type->rank, dims));
    Value *zero = build_like(b, x, 0);
    Value *ones = build_map3(b, FN_select, here, build_like(b, x, 1), zero);
    Value *divisor = build_shift(b, sum_over(b, ones, over), KERAS_EPSILON);
    *mean = build_div(b, sum_over(b, build_map3(b, FN_select, here, x, zero), over), divisor);
    Value *difference = build_map3(b, FN_select, here, build_sub(b, x, *mean), zero);
    *variance = build_div(b, sum_over(b, build_square(b, difference), over), divisor);
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
    Value *mask = layer_mask(ctx);
    if (mask && mask->type->rank == rank - 1)
        masked_moments(b, x, mask, &over, &mean, &variance);
    else
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
    .build.layer = batch_normalization,
    .flags = COMPONENT_KEEPS_MASK};

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
    .build.layer = layer_normalization,
    .flags = COMPONENT_KEEPS_MASK};

static Value *rms_normalization(LayerContext *ctx, Value *x) {
    Builder *b = ctx->builder;
    AxesAttr over;
    if (!axes_of(ctx->diag, arg_get(ctx->args, "axis"), x->type->rank, &over))
        return NULL;
    Dim dims[MAX_RANK], wide_dims[MAX_RANK];
    double count = 1;
    for (int i = 0; i < x->type->rank; i++)
        wide_dims[i] = dim_static(1);
    for (int i = 0; i < over.count; i++) {
        wide_dims[over.axes[i]] = dims[i] = x->type->dims[over.axes[i]];
        count *= (double)dims[i].n;
    }
    Value *scale = layer_weight_with(ctx, "scale", layer_type(ctx, over.count, dims),
                                     (Init){.kind = INIT_CONSTANT, .a = 1, .seed = -1});
    Value *mean = build_scale(b, sum_over(b, build_square(b, x), &over), 1 / count);
    Value *length = build_map1(b, FN_rsqrt, build_shift(b, mean, arg_float(ctx->args, "epsilon")));
    return build_mul(b, build_mul(b, x, length), build_reshape(b, scale, layer_type(ctx, x->type->rank, wide_dims)));
}
static const Parameter rms_parameters[] = {
    INTS("axis", "-1", 0, 0, 0, "axis or axes of one sample that are normalised together"),
    FLOAT_IN("epsilon", "1e-6", 0, LARGE, "added to the mean of squares"), LAYER_COMMON, END};
const Component component_rms_normalization = {
    .kind = COMPONENT_LAYER,
    .name = "RMSNormalization",
    .parameters = rms_parameters,
    .summary = "Root mean square 1 over the features of each sample; the mean stays.",
    .formula = "x / sqrt(mean(x^2) + epsilon) * scale  (Zhang, Sennrich 2019)",
    .examples = LINES("RMSNormalization()", "RMSNormalization(epsilon=1e-5)"),
    .checks = LINES(CHECK_LAYERS("Input(3)\nDense(4)\nRMSNormalization()\nDense(2)"),
                    CHECK_LAYERS("Input((2, 3))\nDense(3)\nRMSNormalization(axis=(1, 2), epsilon=0.1)\nDense(2)"),
                    CHECK_LAYERS("Input((3, 2))\nDense(3)\nRMSNormalization(axis=1)\nDense(2)")),
    .build.layer = rms_normalization};
