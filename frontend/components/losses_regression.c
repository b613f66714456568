/* Losses of numbers and of distributions beside the squared error and the cross-entropies, each also a metric. Values
 * per sample, the mean (or sum) over the last axis taken. Formulas: keras.losses of Keras 3. */
#include "frontend/components/losses.h"

static Value *floor_at_epsilon(Builder *b, Value *v) {
    return v ? build_max(b, v, build_like(b, v, KERAS_EPSILON)) : NULL;
}

static Value *percentage_error(LossContext *ctx, Value *y_true, Value *y_pred) {
    Builder *b = ctx->builder;
    Value *t = loss_like_prediction(b, y_true, y_pred);
    Value *size = floor_at_epsilon(b, build_map1(b, FN_abs, t));
    Value *share = build_map1(b, FN_abs, build_div(b, build_sub(b, t, y_pred), size));
    return build_scale(b, loss_mean_last(b, share), 100);
}

/* log(max(v, epsilon) + 1) */
static Value *log_of(Builder *b, Value *v) {
    return build_map1(b, FN_log1p, floor_at_epsilon(b, v));
}

static Value *logarithmic_error(LossContext *ctx, Value *y_true, Value *y_pred) {
    Builder *b = ctx->builder;
    Value *error = build_sub(b, log_of(b, y_pred), log_of(b, loss_like_prediction(b, y_true, y_pred)));
    return loss_mean_last(b, build_square(b, error));
}

/* log(cosh(e)) = |e| + softplus(-2 |e|) - log(2): no sum of large numbers that cancel. */
static Value *log_cosh(LossContext *ctx, Value *y_true, Value *y_pred) {
    Builder *b = ctx->builder;
    Value *size = build_map1(b, FN_abs, build_sub(b, y_pred, loss_like_prediction(b, y_true, y_pred)));
    Value *rest = build_map1(b, FN_softplus, build_scale(b, size, -2));
    return loss_mean_last(b, build_shift(b, build_add(b, size, rest), -log(2)));
}

static Value *kl_divergence(LossContext *ctx, Value *y_true, Value *y_pred) {
    Builder *b = ctx->builder;
    Value *t = loss_like_prediction(b, y_true, y_pred);
    if (!t || !y_pred)
        return NULL;
    const int axis = y_pred->type->rank - 1;
    t = build_clip(b, t, KERAS_EPSILON, 1);
    Value *p = build_clip(b, y_pred, KERAS_EPSILON, 1);
    return build_sum(b, build_mul(b, t, build_map1(b, FN_log, build_div(b, t, p))), &axis, 1);
}

static Value *poisson(LossContext *ctx, Value *y_true, Value *y_pred) {
    Builder *b = ctx->builder;
    Value *t = loss_like_prediction(b, y_true, y_pred);
    Value *log_p = build_map1(b, FN_log, build_shift(b, y_pred, KERAS_EPSILON));
    return loss_mean_last(b, build_sub(b, y_pred, build_mul(b, t, log_p)));
}

/* v / max(|v|, epsilon) along the axis */
static Value *with_length_one(Builder *b, Value *v, int axis) {
    Value *squares = build_reduce_keep(b, REDUCE_SUM, build_square(b, v), &axis, 1);
    return squares ? build_mul(b, v,
                               build_map1(b, FN_rsqrt,
                                          build_max(b, squares, build_like(b, squares, KERAS_EPSILON * KERAS_EPSILON))))
                   : NULL;
}

static Value *cosine(LossContext *ctx, Value *y_true, Value *y_pred, double sign) {
    Builder *b = ctx->builder;
    const Arg *arg = arg_get(ctx->args, "axis");
    Value *t = loss_like_prediction(b, y_true, y_pred);
    int axis = t && y_pred ? axis_of(b->module->diag, arg->span, arg->integer, y_pred->type->rank) : -1;
    if (axis < 0)
        return NULL;
    Value *products = build_mul(b, with_length_one(b, t, axis), with_length_one(b, y_pred, axis));
    return build_scale(b, build_sum(b, products, &axis, 1), sign);
}
static Value *cosine_loss(LossContext *ctx, Value *y_true, Value *y_pred) {
    return cosine(ctx, y_true, y_pred, -1);
}
static Value *cosine_metric(LossContext *ctx, Value *y_true, Value *y_pred) {
    return cosine(ctx, y_true, y_pred, 1);
}

#define REAL "Input(3)\nDense(4, activation=tanh)\nDense(2)"
#define POSITIVE "Input(3)\nDense(4, activation=tanh)\nDense(2, activation=softplus)"
#define SHARES "Input(3)\nDense(4, activation=tanh)\nDense(3, activation=softmax)"
#define AXIS INT("axis", "-1", 0, 0, "axis along which the vectors lie")
static const Parameter plain_parameters[] = {LOSS_COMMON, END};
static const Parameter plain_metric_parameters[] = {METRIC_NAME, END};
static const Parameter log_cosh_metric_parameters[] = {STRING("name", "logcosh", "name under which it is shown"), END};
static const Parameter cosine_parameters[] = {AXIS, LOSS_COMMON, END};
static const Parameter cosine_metric_parameters[] = {METRIC_NAME, AXIS, END};

LOSS(mean_absolute_percentage_error, "MeanAbsolutePercentageError", "mean_absolute_percentage_error|mape|MAPE",
     plain_parameters, plain_metric_parameters, "Mean error in percent of the target.",
     "100 mean(|t - y| / max(|t|, 1e-7))", 0, percentage_error, "mape", CHECK_METRIC(REAL, "mse", "mape"),
     CHECK_LOSS(REAL, "mape"));
LOSS(mean_squared_logarithmic_error, "MeanSquaredLogarithmicError", "mean_squared_logarithmic_error|msle|MSLE",
     plain_parameters, plain_metric_parameters, "Squared error of logarithms: for targets of very different sizes.",
     "mean((log(1 + max(t, 1e-7)) - log(1 + max(y, 1e-7)))^2)", 0, logarithmic_error, "msle",
     CHECK_METRIC(POSITIVE, "mse", "msle"), CHECK_LOSS(POSITIVE, "msle"));
LOSS(kl_divergence, "KLDivergence", "kl_divergence|kld|KLD", plain_parameters, plain_metric_parameters,
     "Distance of the predicted distribution from the target's.",
     "sum(t log(t / y)), t and y within [1e-7, 1]  (Kullback, Leibler 1951)", 0, kl_divergence, "kl_divergence",
     CHECK_METRIC(SHARES, "mse", "kld"), CHECK_LOSS(SHARES, "kl_divergence"));
LOSS(poisson, "Poisson", "poisson", plain_parameters, plain_metric_parameters,
     "For counts, with a positive prediction of their mean.", "mean(y - t log(y + 1e-7))", 0, poisson, "poisson",
     CHECK_METRIC(POSITIVE, "mse", "poisson"), CHECK_LOSS(POSITIVE, "poisson"));

const Component component_loss_log_cosh = {.kind = COMPONENT_LOSS,
                                           .name = "LogCosh",
                                           .aliases = "log_cosh",
                                           .parameters = plain_parameters,
                                           .summary = "Squared error for small errors, absolute error for large ones, "
                                                      "smooth between them.",
                                           .formula = "mean(log(cosh(y - t)))",
                                           .examples = LINES("loss = log_cosh"),
                                           .checks = LINES(CHECK_LOSS(REAL, "log_cosh")),
                                           .build.loss = log_cosh};
const Component component_metric_log_cosh = {.kind = COMPONENT_METRIC,
                                             .name = "LogCoshError",
                                             .aliases = "log_cosh_error",
                                             .parameters = log_cosh_metric_parameters,
                                             .summary = "Mean of the logarithms of the hyperbolic cosines of errors.",
                                             .formula = "mean(log(cosh(y - t)))",
                                             .examples = LINES("metrics = [LogCoshError()]"),
                                             .checks = LINES(CHECK_METRIC(REAL, "mse", "LogCoshError()")),
                                             .build.metric = log_cosh};
const Component component_loss_cosine_similarity = {
    .kind = COMPONENT_LOSS,
    .name = "CosineSimilarity",
    .aliases = "cosine_similarity",
    .parameters = cosine_parameters,
    .summary = "Minus the cosine of the angle between target and prediction: the length does not count.",
    .formula = "-sum(t y) / (|t| |y|)",
    .examples = LINES("loss = cosine_similarity"),
    .checks =
        LINES(CHECK_LOSS(REAL, "cosine_similarity"), CHECK_LOSS("Input((2, 3))\nDense(4)", "CosineSimilarity(axis=1)")),
    .build.loss = cosine_loss};
const Component component_metric_cosine_similarity = {.kind = COMPONENT_METRIC,
                                                      .name = "CosineSimilarity",
                                                      .aliases = "cosine_similarity",
                                                      .parameters = cosine_metric_parameters,
                                                      .summary = "Cosine of the angle between target and prediction.",
                                                      .formula = "sum(t y) / (|t| |y|)",
                                                      .examples = LINES("metrics = [CosineSimilarity()]"),
                                                      .checks = LINES(CHECK_METRIC(REAL, "mse", "CosineSimilarity()")),
                                                      .build.metric = cosine_metric,
                                                      .flags = COMPONENT_HIGHER_IS_BETTER};
