/* Metrics that are not also losses: the accuracy family, precision and recall, and the root mean squared error. Values
 * per sample, averaged over all samples of an epoch by the front end. `accuracy` as a bare word is resolved by the
 * front end. */
#include "frontend/components/components.h"

static Value *as_number(Builder *b, Value *truth) {
    return build_cast(b, truth, DTYPE_F32);
}

static Value *mean_last(Builder *b, Value *v) {
    if (!v || v->type->rank < 2)
        return v;
    const int axis = v->type->rank - 1;
    return build_mean(b, v, &axis, 1);
}

/* y_true (class indices, perhaps with a trailing axis of 1) with the shape of y_pred without its last axis. */
static Value *class_index(Builder *b, Value *y_true, Value *y_pred) {
    if (!y_true || !y_pred)
        return NULL;
    Value *index = build_cast(b, y_true, DTYPE_I32);
    return build_reshape(b, index, type_get(b->module, DTYPE_I32, y_pred->type->rank - 1, y_pred->type->dims));
}

static Value *with_shape_of(Builder *b, Value *v, Value *shape) {
    return v && shape && v->type->rank != shape->type->rank
               ? build_reshape(b, v, type_with_dtype(b->module, shape->type, v->type->dtype))
               : v;
}

static Value *accuracy(LossContext *ctx, Value *y_true, Value *y_pred) {
    Builder *b = ctx->builder;
    Value *t = build_cast(b, with_shape_of(b, y_true, y_pred), DTYPE_F32);
    return mean_last(b, as_number(b, build_map2(b, FN_eq, t, y_pred)));
}

static Value *binary_accuracy(LossContext *ctx, Value *y_true, Value *y_pred) {
    Builder *b = ctx->builder;
    if (!y_true || !y_pred)
        return NULL;
    Value *t = build_cast(b, with_shape_of(b, y_true, y_pred), DTYPE_F32);
    Value *yes = as_number(b, build_map2(b, FN_gt, y_pred, build_like(b, y_pred, arg_float(ctx->args, "threshold"))));
    return mean_last(b, as_number(b, build_map2(b, FN_eq, t, yes)));
}

static Value *categorical_accuracy(LossContext *ctx, Value *y_true, Value *y_pred) {
    Builder *b = ctx->builder;
    if (!y_true || !y_pred)
        return NULL;
    int axis = y_pred->type->rank - 1;
    return as_number(b, build_map2(b, FN_eq, build_argmax(b, y_true, axis), build_argmax(b, y_pred, axis)));
}

static Value *sparse_categorical_accuracy(LossContext *ctx, Value *y_true, Value *y_pred) {
    Builder *b = ctx->builder;
    Value *index = class_index(b, y_true, y_pred);
    return index ? as_number(b, build_map2(b, FN_eq, index, build_argmax(b, y_pred, y_pred->type->rank - 1))) : NULL;
}

/* 1 if fewer than k classes have a larger prediction than the true one. */
static Value *in_top_k(LossContext *ctx, Value *index, Value *y_pred) {
    Builder *b = ctx->builder;
    if (!index)
        return NULL;
    int axis = y_pred->type->rank - 1;
    Dim column[MAX_RANK], row[MAX_RANK];
    for (int i = 0; i <= axis; i++) {
        column[i] = i == axis ? dim_static(1) : y_pred->type->dims[i];
        row[i] = i == axis ? y_pred->type->dims[i] : dim_static(1);
    }
    Value *wide = build_reshape(b, index, type_get(b->module, DTYPE_I32, axis + 1, column));
    Value *mask = build_map2(b, FN_eq, wide, build_iota(b, type_get(b->module, DTYPE_I32, axis + 1, row), axis));
    Value *chosen =
        build_reduce_keep(b, REDUCE_SUM, build_map3(b, FN_select, mask, y_pred, build_like(b, y_pred, 0)), &axis, 1);
    Value *larger = build_sum(b, as_number(b, build_map2(b, FN_gt, y_pred, chosen)), &axis, 1);
    return larger ? as_number(b, build_map2(b, FN_lt, larger, build_like(b, larger, (double)arg_int(ctx->args, "k"))))
                  : NULL;
}

static Value *top_k(LossContext *ctx, Value *y_true, Value *y_pred) {
    return y_true && y_pred ? in_top_k(ctx, build_argmax(ctx->builder, y_true, y_pred->type->rank - 1), y_pred) : NULL;
}

static Value *sparse_top_k(LossContext *ctx, Value *y_true, Value *y_pred) {
    return in_top_k(ctx, class_index(ctx->builder, y_true, y_pred), y_pred);
}

static Value *squared_error(LossContext *ctx, Value *y_true, Value *y_pred) {
    Builder *b = ctx->builder;
    Value *error = build_sub(b, y_pred, with_shape_of(b, y_true, y_pred));
    return mean_last(b, build_mul(b, error, error));
}

/* Numbers that are 1 where the prediction, or the target, says yes: of all classes, or of class_id alone. */
static bool yes_of(LossContext *ctx, Value *y_true, Value *y_pred, Value **said, Value **is) {
    Builder *b = ctx->builder;
    const Arg *class = arg_get(ctx->args, "class_id"), *top = arg_get(ctx->args, "top_k");
    Value *t = y_true && y_pred ? with_shape_of(b, y_true, y_pred) : NULL;
    if (!t)
        return false;
    if (!top->is_none || (!class->is_none && class->integer >= y_pred->type->dims[y_pred->type->rank - 1].n)) {
        diag_error(b->module->diag, top->is_none ? class->span : top->span, "%s: %s", ctx->args->component->name,
                   top->is_none ? "class_id is not a class of the output" : "`top_k` is not built yet");
        return false;
    }
    double threshold = arg_is_none(ctx->args, "thresholds") ? 0.5 : arg_float(ctx->args, "thresholds");
    *said = as_number(b, build_map2(b, FN_gt, y_pred, build_like(b, y_pred, threshold)));
    *is = as_number(b, build_map2(b, FN_ne, t, build_like(b, t, 0)));
    if (class->is_none)
        return true;
    Value *index = build_iota(b, type_get(b->module, DTYPE_I32, 1, &y_pred->type->dims[y_pred->type->rank - 1]), 0);
    Value *chosen = as_number(b, build_map2(b, FN_eq, index, build_like(b, index, (double)class->integer)));
    *said = build_mul(b, *said, chosen);
    *is = build_mul(b, *is, chosen);
    return true;
}

static Value *precision(LossContext *ctx, Value *y_true, Value *y_pred) {
    Value *said, *is;
    if (!yes_of(ctx, y_true, y_pred, &said, &is))
        return NULL;
    ctx->counts = said;
    return build_mul(ctx->builder, said, is);
}

static Value *recall(LossContext *ctx, Value *y_true, Value *y_pred) {
    Value *said, *is;
    if (!yes_of(ctx, y_true, y_pred, &said, &is))
        return NULL;
    ctx->counts = is;
    return build_mul(ctx->builder, said, is);
}

#define MODEL(units, activation) "Input(3)\nDense(4, activation=tanh)\nDense(" units ", activation=" activation ")"
#define METRIC(RECORD, NAME, ALIASES, PARAMETERS, SUMMARY, FORMULA, FLAGS, BUILD, EXAMPLE, ...)                        \
    const Component component_metric_##RECORD = {.kind = COMPONENT_METRIC,                                             \
                                                 .name = NAME,                                                         \
                                                 .aliases = ALIASES,                                                   \
                                                 .parameters = PARAMETERS,                                             \
                                                 .summary = SUMMARY,                                                   \
                                                 .formula = FORMULA,                                                   \
                                                 .examples = LINES("metrics = [" EXAMPLE "]"),                         \
                                                 .checks = LINES(__VA_ARGS__),                                         \
                                                 .build.metric = BUILD,                                                \
                                                 .flags = FLAGS}

static const Parameter plain_parameters[] = {METRIC_NAME, END};
static const Parameter threshold_parameters[] = {METRIC_NAME,
                                                 FLOAT("threshold", "0.5", "predictions above it count as 1"), END};
static const Parameter top_k_parameters[] = {INT("k", "5", 1, LARGE, "how many of the best predictions count"),
                                             METRIC_NAME, END};

METRIC(accuracy, "Accuracy", NULL, plain_parameters,
       "How often the prediction equals the target. The word accuracy (or acc) picks the binary, categorical or sparse "
       "form by shape, as in Keras.",
       "mean(t == y)", COMPONENT_HIGHER_IS_BETTER, accuracy, "accuracy",
       CHECK_METRIC(MODEL("1", "sigmoid"), "bce", "accuracy, Accuracy(name=\"equal\")"));
METRIC(binary_accuracy, "BinaryAccuracy", "binary_accuracy", threshold_parameters,
       "How often a yes/no prediction is right.", "mean(t == (y > threshold))", COMPONENT_HIGHER_IS_BETTER,
       binary_accuracy, "BinaryAccuracy(threshold=0.6)",
       CHECK_METRIC(MODEL("2", "sigmoid"), "bce", "binary_accuracy, BinaryAccuracy(name=\"strict\", threshold=0.6)"));
METRIC(categorical_accuracy, "CategoricalAccuracy", "categorical_accuracy", plain_parameters,
       "How often the largest prediction is the one-hot target's class.", "mean(argmax(t) == argmax(y))",
       COMPONENT_HIGHER_IS_BETTER, categorical_accuracy, "categorical_accuracy",
       CHECK_METRIC(MODEL("3", "softmax"), "categorical_crossentropy", "categorical_accuracy"));
METRIC(sparse_categorical_accuracy, "SparseCategoricalAccuracy", "sparse_categorical_accuracy", plain_parameters,
       "How often the largest prediction is the class index.", "mean(t == argmax(y))",
       COMPONENT_HIGHER_IS_BETTER | COMPONENT_SPARSE_TARGET, sparse_categorical_accuracy, "sparse_categorical_accuracy",
       CHECK_METRIC(MODEL("3", "softmax"), "sparse_categorical_crossentropy", "sparse_categorical_accuracy"));
METRIC(top_k_categorical_accuracy, "TopKCategoricalAccuracy", "top_k_categorical_accuracy", top_k_parameters,
       "How often the one-hot target's class is among the k largest predictions.", "mean(rank(y[argmax(t)]) <= k)",
       COMPONENT_HIGHER_IS_BETTER, top_k, "TopKCategoricalAccuracy(k=3)",
       CHECK_METRIC(MODEL("4", "softmax"), "categorical_crossentropy", "TopKCategoricalAccuracy(k=2)"));
METRIC(sparse_top_k_categorical_accuracy, "SparseTopKCategoricalAccuracy", "sparse_top_k_categorical_accuracy",
       top_k_parameters, "How often the class index is among the k largest predictions.", "mean(rank(y[t]) <= k)",
       COMPONENT_HIGHER_IS_BETTER | COMPONENT_SPARSE_TARGET, sparse_top_k, "SparseTopKCategoricalAccuracy(k=3)",
       CHECK_METRIC(MODEL("4", "softmax"), "sparse_categorical_crossentropy", "SparseTopKCategoricalAccuracy(k=2)"));
static const Parameter yes_parameters[] = {
    FLOAT_IN("thresholds", "none", 0, 1, "predictions above it count as 1; none: 0.5; Keras' lists are not built yet"),
    INT("top_k", "none", 1, LARGE, "not built yet, only none"),
    INT("class_id", "none", 0, LARGE, "the class that counts; none: all"), METRIC_NAME, END};
METRIC(precision, "Precision", "precision", yes_parameters, "How many of the predictions that say yes are right.",
       "sum(t and y > threshold) / sum(y > threshold), over all samples, masked steps too; 0 where nothing is said",
       COMPONENT_HIGHER_IS_BETTER, precision, "Precision()",
       CHECK_METRIC(MODEL("2", "sigmoid"), "bce",
                    "Precision(), Precision(name=\"first\", thresholds=0.4, class_id=0)"));
METRIC(recall, "Recall", "recall", yes_parameters, "How many of the targets that say yes are found.",
       "sum(t and y > threshold) / sum(t), over all samples, masked steps too; 0 where there are none",
       COMPONENT_HIGHER_IS_BETTER, recall, "Recall()",
       CHECK_METRIC(MODEL("2", "sigmoid"), "bce", "Recall(), Recall(name=\"first\", thresholds=0.4, class_id=0)"));
METRIC(root_mean_squared_error, "RootMeanSquaredError", "root_mean_squared_error", plain_parameters,
       "Root of the mean squared error of all samples.", "sqrt(mean((t - y)^2))", COMPONENT_ROOT_MEAN, squared_error,
       "RootMeanSquaredError()", CHECK_METRIC("Input(3)\nDense(2)", "mse", "RootMeanSquaredError()"));
