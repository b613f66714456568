/* Losses: values per sample, the mean (or sum) over the last axis taken. The mean over the batch, sample weights and
 * regularisation are the front end's. Formulas: keras.losses of Keras 3.
 * Cross-entropies of a model that ends in softmax or sigmoid are computed from its logits, which is exact for every
 * value (what Keras does on TensorFlow); probabilities of other origin are clipped to [1e-7, 1 - 1e-7]. */
#include "frontend/components/losses.h"

Value *loss_mean_last(Builder *b, Value *v) {
    if (!v)
        return NULL;
    const int axis = v->type->rank - 1;
    return build_mean(b, v, &axis, 1);
}

static Value *sum_over(Builder *b, Value *v, int axis) {
    return build_sum(b, v, &axis, 1);
}

Value *loss_like_prediction(Builder *b, Value *y_true, Value *y_pred) {
    if (!y_true || !y_pred || y_true->type->rank == y_pred->type->rank)
        return y_true;
    Dim dims[MAX_RANK];
    int rank = y_true->type->rank;
    memcpy(dims, y_true->type->dims, sizeof dims);
    if (rank + 1 == y_pred->type->rank)
        dims[rank++] = dim_static(1);
    else if (rank == y_pred->type->rank + 1 && dims[rank - 1].n == 1)
        rank--;
    return build_reshape(b, y_true, type_get(b->module, y_true->type->dtype, rank, dims));
}

static Value *error_of(LossContext *ctx, Value *y_true, Value *y_pred) {
    return build_sub(ctx->builder, y_pred, loss_like_prediction(ctx->builder, y_true, y_pred));
}

static Value *mean_squared_error(LossContext *ctx, Value *y_true, Value *y_pred) {
    return loss_mean_last(ctx->builder, build_square(ctx->builder, error_of(ctx, y_true, y_pred)));
}

static Value *mean_absolute_error(LossContext *ctx, Value *y_true, Value *y_pred) {
    return loss_mean_last(ctx->builder, build_map1(ctx->builder, FN_abs, error_of(ctx, y_true, y_pred)));
}

static Value *huber(LossContext *ctx, Value *y_true, Value *y_pred) {
    Builder *b = ctx->builder;
    double delta = arg_float(ctx->args, "delta");
    Value *error = error_of(ctx, y_true, y_pred);
    Value *size = build_map1(b, FN_abs, error);
    Value *square = build_scale(b, build_square(b, error), 0.5);
    Value *line = build_shift(b, build_scale(b, size, delta), -0.5 * delta * delta);
    return loss_mean_last(b, build_where(b, FN_le, size, delta, square, line));
}

/* The axis argument, or -1 after an error. */
static int class_axis(LossContext *ctx, Value *y_pred) {
    const Arg *arg = arg_get(ctx->args, "axis");
    return y_pred ? axis_of(ctx->builder->module->diag, arg->span, arg->integer, y_pred->type->rank) : -1;
}

/* What to use as logits: y_pred itself, the input of the model's final activation, or NULL: only probabilities. */
static Value *logits_of(LossContext *ctx, Value *y_pred, int kind, int axis) {
    if (arg_bool(ctx->args, "from_logits"))
        return y_pred;
    bool matches = ctx->logits && ctx->logits_kind == kind && ctx->logits->type == y_pred->type;
    return matches && (kind != -1 || axis == y_pred->type->rank - 1) ? ctx->logits : NULL;
}

/* From logits z: max(z, 0) - z t + log(1 + exp(-|z|)) = softplus(z) - z t. */
static Value *binary_crossentropy(LossContext *ctx, Value *y_true, Value *y_pred) {
    Builder *b = ctx->builder;
    int axis = class_axis(ctx, y_pred);
    Value *t = loss_like_prediction(b, y_true, y_pred);
    if (axis < 0 || !t)
        return NULL;
    double smoothing = arg_float(ctx->args, "label_smoothing");
    if (smoothing != 0)
        t = build_shift(b, build_scale(b, t, 1 - smoothing), smoothing / 2);
    Value *z = logits_of(ctx, y_pred, FN_sigmoid, axis), *values;
    if (z) {
        values = build_sub(b, build_map1(b, FN_softplus, z), build_mul(b, z, t));
    } else {
        Value *p = build_clip(b, y_pred, KERAS_EPSILON, 1 - KERAS_EPSILON), *one = build_like(b, y_pred, 1);
        Value *yes = build_mul(b, t, build_map1(b, FN_log, p));
        Value *no = build_mul(b, build_sub(b, one, t), build_map1(b, FN_log, build_sub(b, one, p)));
        values = build_map1(b, FN_neg, build_add(b, yes, no));
    }
    return build_mean(b, values, &axis, 1);
}

/* Logarithms of the class probabilities along the axis. */
static Value *log_probabilities(LossContext *ctx, Value *y_pred, int axis) {
    Builder *b = ctx->builder;
    AxesAttr over = {.axes = {axis}, .count = 1};
    Value *z = logits_of(ctx, y_pred, -1, axis);
    if (z)
        return build_log_softmax(b, z, &over);
    Value *p = build_div(b, y_pred, build_reduce_keep(b, REDUCE_SUM, y_pred, &axis, 1));
    return build_map1(b, FN_log, build_clip(b, p, KERAS_EPSILON, 1 - KERAS_EPSILON));
}

static Value *categorical_crossentropy(LossContext *ctx, Value *y_true, Value *y_pred) {
    Builder *b = ctx->builder;
    int axis = class_axis(ctx, y_pred);
    if (axis < 0 || !y_true)
        return NULL;
    double smoothing = arg_float(ctx->args, "label_smoothing");
    if (smoothing != 0)
        y_true = build_shift(b, build_scale(b, y_true, 1 - smoothing), smoothing / (double)y_pred->type->dims[axis].n);
    Value *products = build_mul(b, y_true, log_probabilities(ctx, y_pred, axis));
    return build_map1(b, FN_neg, sum_over(b, products, axis));
}

/* class index == position along the axis, as bool with y_pred's shape. A trailing axis of 1 of y_true is the class. */
static Value *class_mask(Builder *b, Value *y_true, Value *y_pred, int axis) {
    const Type *type = y_pred->type;
    Dim column[MAX_RANK], row[MAX_RANK];
    for (int i = 0; i < type->rank; i++) {
        column[i] = i == axis ? dim_static(1) : type->dims[i];
        row[i] = i == axis ? type->dims[i] : dim_static(1);
    }
    Value *index = build_cast(b, y_true, DTYPE_I32);
    index = build_reshape(b, index, type_get(b->module, DTYPE_I32, type->rank, column));
    return build_map2(b, FN_eq, index, build_iota(b, type_get(b->module, DTYPE_I32, type->rank, row), axis));
}

static Value *sparse_categorical_crossentropy(LossContext *ctx, Value *y_true, Value *y_pred) {
    Builder *b = ctx->builder;
    int axis = class_axis(ctx, y_pred);
    const Arg *ignored = arg_get(ctx->args, "ignore_class");
    if (ignored->given && !ignored->is_none && ignored->expr && ignored->expr->kind != EXPR_NONE) {
        diag_error(b->module->diag, ignored->span, "SparseCategoricalCrossentropy: `ignore_class` is not built yet");
        return NULL;
    }
    if (axis < 0 || !y_true)
        return NULL;
    Value *log_p = log_probabilities(ctx, y_pred, axis);
    if (!log_p)
        return NULL;
    Value *chosen = build_map3(b, FN_select, class_mask(b, y_true, y_pred, axis), log_p, build_like(b, log_p, 0));
    return build_map1(b, FN_neg, sum_over(b, chosen, axis));
}

#define REAL "Input(3)\nDense(4, activation=tanh)\nDense(2)"
#define ENDS_IN(units, activation) "Input(3)\nDense(4, activation=tanh)\nDense(" units ", activation=" activation ")"
#define FROM_LOGITS BOOLEAN("from_logits", "false", "true: the model's output is logits, before softmax or sigmoid")
#define SMOOTHING FLOAT_IN("label_smoothing", "0.0", 0, 1, "how far targets are moved from 0 and 1")
#define AXIS INT("axis", "-1", 0, 0, "axis of the classes")

static const Parameter plain_parameters[] = {LOSS_COMMON, END};
static const Parameter huber_parameters[] = {FLOAT_ABOVE("delta", "1.0", 0, LARGE, "errors beyond it count linearly"),
                                             LOSS_COMMON, END};
static const Parameter crossentropy_parameters[] = {FROM_LOGITS, SMOOTHING, AXIS, LOSS_COMMON, END};
static const Parameter sparse_parameters[] = {
    FROM_LOGITS, ANY("ignore_class", "none", "class that is left out; not built yet, only none"), AXIS, LOSS_COMMON,
    END};
/* The same functions as metrics: means of the same values. */
static const Parameter plain_metric_parameters[] = {METRIC_NAME, END};
static const Parameter crossentropy_metric_parameters[] = {METRIC_NAME, FROM_LOGITS, SMOOTHING, AXIS, END};
static const Parameter sparse_metric_parameters[] = {
    METRIC_NAME, FROM_LOGITS, ANY("ignore_class", "none", "class that is left out; not built yet, only none"), AXIS,
    END};

LOSS(mean_squared_error, "MeanSquaredError", "mean_squared_error|mse|MSE", plain_parameters, plain_metric_parameters,
     "Mean squared error, for regression.", "mean((t - y)^2)", 0, mean_squared_error, "mean_squared_error",
     CHECK_METRIC(REAL, "mae", "mse, MeanSquaredError(name=\"again\")"), CHECK_LOSS(REAL, "mse"),
     CHECK_LOSS("Input((2, 3))\nDense(2)", "MeanSquaredError()"), CHECK_LOSS(REAL, "MeanSquaredError(reduction=sum)"),
     CHECK_LOSS("Input((3, 2))\nMasking()\nDense(2)", "MeanSquaredError(reduction=mean_with_sample_weight)"));

LOSS(mean_absolute_error, "MeanAbsoluteError", "mean_absolute_error|mae|MAE", plain_parameters, plain_metric_parameters,
     "Mean absolute error, for regression with outliers.", "mean(|t - y|)", 0, mean_absolute_error,
     "mean_absolute_error", CHECK_METRIC(REAL, "mse", "mae"), CHECK_LOSS(REAL, "mae"),
     CHECK_LOSS("Input((2, 3))\nDense(2)", "MeanAbsoluteError()"));

const Component component_loss_huber = {
    .kind = COMPONENT_LOSS,
    .name = "Huber",
    .aliases = "huber|huber_loss",
    .parameters = huber_parameters,
    .summary = "Squared error for small errors, absolute error for large ones.",
    .formula = "mean(e^2 / 2 if |e| <= delta, else delta |e| - delta^2 / 2), e = t - y  (Huber 1964)",
    .examples = LINES("loss = Huber(delta=1.5)"),
    .checks = LINES(CHECK_LOSS(REAL, "huber"), CHECK_LOSS(REAL, "Huber(delta=0.4)")),
    .build.loss = huber};

LOSS(binary_crossentropy, "BinaryCrossentropy", "binary_crossentropy|bce|BCE", crossentropy_parameters,
     crossentropy_metric_parameters, "Cross-entropy of yes/no targets (0 or 1), for models that end in sigmoid.",
     "-mean(t log(p) + (1 - t) log(1 - p)); from logits z: mean(softplus(z) - z t)", 0, binary_crossentropy,
     "binary_crossentropy",
     CHECK_METRIC(ENDS_IN("2", "sigmoid"), "mse", "bce, BinaryCrossentropy(name=\"smooth\", label_smoothing=0.2)"),
     CHECK_LOSS(ENDS_IN("1", "sigmoid"), "bce"),
     CHECK_LOSS(ENDS_IN("2", "sigmoid"), "BinaryCrossentropy(label_smoothing=0.1)"),
     CHECK_LOSS(REAL, "BinaryCrossentropy(from_logits=true)"),
     CHECK_LOSS(ENDS_IN("2", "sigmoid") "\nRescaling(0.9)", "BinaryCrossentropy(label_smoothing=0.1)"));

LOSS(categorical_crossentropy, "CategoricalCrossentropy", "categorical_crossentropy", crossentropy_parameters,
     crossentropy_metric_parameters, "Cross-entropy of one-hot targets, for models that end in softmax.",
     "-sum(t log(p)), p = y / sum(y); from logits z: p = softmax(z)", COMPONENT_ONE_HOT_TARGET,
     categorical_crossentropy, "categorical_crossentropy",
     CHECK_METRIC(ENDS_IN("3", "softmax"), "mse", "categorical_crossentropy"),
     CHECK_LOSS(ENDS_IN("3", "softmax"), "categorical_crossentropy"),
     CHECK_LOSS(ENDS_IN("3", "softmax"), "CategoricalCrossentropy(label_smoothing=0.1)"),
     CHECK_LOSS(REAL, "CategoricalCrossentropy(from_logits=true)"),
     CHECK_LOSS(ENDS_IN("3", "sigmoid"), "CategoricalCrossentropy()"),
     CHECK_LOSS("Input((3, 2))\nDense(2)", "CategoricalCrossentropy(from_logits=true, axis=1)"));

LOSS(sparse_categorical_crossentropy, "SparseCategoricalCrossentropy", "sparse_categorical_crossentropy",
     sparse_parameters, sparse_metric_parameters, "Cross-entropy of class indices, for models that end in softmax.",
     "-log(p[t]), p = y / sum(y); from logits z: p = softmax(z)", COMPONENT_SPARSE_TARGET,
     sparse_categorical_crossentropy, "sparse_categorical_crossentropy",
     CHECK_METRIC(ENDS_IN("3", "softmax"), "sparse_categorical_crossentropy", "sparse_categorical_crossentropy"),
     CHECK_LOSS(ENDS_IN("3", "softmax"), "sparse_categorical_crossentropy"),
     CHECK_LOSS(REAL, "SparseCategoricalCrossentropy(from_logits=true)"),
     CHECK_LOSS(ENDS_IN("3", "sigmoid"), "SparseCategoricalCrossentropy()"),
     CHECK_LOSS("Input((2, 3))\nDense(3, activation=softmax)", "sparse_categorical_crossentropy"));
