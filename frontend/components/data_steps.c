/* Preprocessing: part of the function `preprocess`, so that it travels with the model. Statistics are fitted on the
 * raw training rows and saved with the weights. */
#include "frontend/analyse.h"
#include "frontend/components/components.h"

/* As Keras' Normalization: the deviation is kept above 1e-7. */
static Value *standardize(DataContext *ctx) {
    Builder *b = ctx->builder;
    Value *mean = data_state(ctx, "mean", FIT_MEAN), *variance = data_state(ctx, "variance", FIT_VARIANCE);
    Value *deviation = build_map1(b, FN_sqrt, variance);
    if (!deviation)
        return NULL;
    return build_div(b, build_sub(b, ctx->x, mean), build_max(b, deviation, build_like(b, deviation, KERAS_EPSILON)));
}

static Value *minmax(DataContext *ctx) {
    Builder *b = ctx->builder;
    double low = arg_float(ctx->args, "low"), high = arg_float(ctx->args, "high");
    if (!(high > low)) {
        diag_error(b->module->diag, ctx->args->span, "minmax: high must be above low");
        return NULL;
    }
    Value *smallest = data_state(ctx, "minimum", FIT_MINIMUM), *largest = data_state(ctx, "maximum", FIT_MAXIMUM);
    Value *width = build_sub(b, largest, smallest);
    if (!width)
        return NULL;
    Value *share =
        build_div(b, build_sub(b, ctx->x, smallest), build_max(b, width, build_like(b, width, KERAS_EPSILON)));
    return low == 0 && high == 1 ? share : build_shift(b, build_scale(b, share, high - low), low);
}

static Value *scale(DataContext *ctx) {
    double offset = arg_float(ctx->args, "offset");
    Value *y = build_scale(ctx->builder, ctx->x, arg_float(ctx->args, "factor"));
    return offset == 0 ? y : build_shift(ctx->builder, y, offset);
}

static Value *columns(Builder *b, Value *x, int64_t first, int64_t count) {
    const int64_t start[2] = {0, first}, stride[2] = {1, 1};
    return build_slice(b, x, start, stride, type_with_axis(b->module, x->type, 1, dim_static(count)));
}

/* The raw column that lies at place `at` after the one_hot steps so far; -1: one of them has made it. */
static int64_t raw_column(const Program *program, int64_t at) {
    int64_t raw = 0;
    for (;; raw++, at--) {
        int64_t classes = 1;
        for (int i = 0; i < program->class_column_count; i++)
            if (program->class_columns[i].column == raw)
                classes = program->class_columns[i].classes;
        if (at < classes)
            return classes == 1 ? raw : -1;
        at -= classes - 1;
    }
}

/* The runtime checks the classes where the data is read, so the column must hold what the file holds. */
static bool note_classes(DataContext *ctx, int64_t at, int64_t classes) {
    Diag *diag = ctx->builder->module->diag;
    Program *program = ctx->model->program;
    if (ctx->step != program->class_column_count) {
        diag_error(diag, ctx->args->span, "one_hot reads the class numbers of the data: it stands before other steps");
        diag_help(diag, "of a CSV file, one_hot=[COLUMN] of the source does the same and goes with every step");
        return false;
    }
    ClassColumn column = {raw_column(program, at), classes};
    if (column.column < 0) {
        diag_error(diag, ctx->args->span, "one_hot: column %lld was made by another one_hot", (long long)at);
        return false;
    }
    ARENA_PUSH(ctx->model->arena, program->class_columns, program->class_column_count, program->class_column_capacity,
               column);
    return true;
}

/* Column c of class numbers becomes `classes` columns in its place; a number outside gives only zeros, and is refused
 * where a file is read. */
static Value *one_hot(DataContext *ctx) {
    Builder *b = ctx->builder;
    if (!ctx->x)
        return NULL;
    const Type *type = ctx->x->type;
    int64_t column = arg_int(ctx->args, "column"), classes = arg_int(ctx->args, "classes");
    int64_t width = type->rank == 2 ? type->dims[1].n : 0, at = column < 0 ? column + width : column;
    if (at < 0 || at >= width) {
        diag_error(b->module->diag, ctx->args->span, "one_hot: there is no column %lld in rows of shape %s",
                   (long long)column, type_words(b->module->arena, type));
        return NULL;
    }
    if (!note_classes(ctx, at, classes))
        return NULL;
    Dim row[2] = {dim_static(1), dim_static(classes)};
    Value *number = build_iota(b, type_get(b->module, DTYPE_F32, 2, row), 1);
    Value *parts[3];
    int count = 0;
    if (at > 0)
        parts[count++] = columns(b, ctx->x, 0, at);
    parts[count++] = build_cast(b, build_map2(b, FN_eq, columns(b, ctx->x, at, 1), number), DTYPE_F32);
    if (at + 1 < width)
        parts[count++] = columns(b, ctx->x, at + 1, width - at - 1);
    return count == 1 ? parts[0] : build_concat(b, parts, count, 1);
}

static const Parameter no_parameters[] = {END};
static const Parameter minmax_parameters[] = {FLOAT("low", "0.0", "what the smallest value becomes"),
                                              FLOAT("high", "1.0", "what the largest value becomes"), END};
static const Parameter scale_parameters[] = {FLOAT("factor", NULL, "factor"), FLOAT("offset", "0.0", "added after it"),
                                             END};
static const Parameter one_hot_parameters[] = {
    INT("column", NULL, 0, 0, "position of the column, counted from 0; negative: from the end"),
    INT("classes", NULL, 2, 1e6, "how many classes: the column holds 0 to classes - 1"), END};

#define STEP_CHECK(inputs, text)                                                                                       \
    "model check {\nInput(" inputs                                                                                     \
    ")\nDense(4, activation=tanh)\nDense(2)\n}\ndata {\ntrain = csv(\"check.csv\", target=\"y\")\n" text               \
    "\n}\ncompile {\nloss = mse\noptimizer = SGD(0.1)\n}" CHECK_FIT
#define STEP(RECORD, NAME, PARAMETERS, SUMMARY, FORMULA, BUILD, EXAMPLE, ...)                                          \
    const Component component_##RECORD = {.kind = COMPONENT_DATA_STEP,                                                 \
                                          .name = NAME,                                                                \
                                          .parameters = PARAMETERS,                                                    \
                                          .summary = SUMMARY,                                                          \
                                          .formula = FORMULA,                                                          \
                                          .examples =                                                                  \
                                              LINES("data {", "    train = csv(\"train.csv\")", "    " EXAMPLE, "}"),  \
                                          .checks = LINES(__VA_ARGS__),                                                \
                                          .build.data_step = BUILD}
STEP(standardize, "standardize", no_parameters, "Mean 0 and deviation 1 per input, as on the training rows.",
     "(x - mean) / max(sqrt(variance), 1e-7)", standardize, "standardize()", STEP_CHECK("3", "standardize()"));
STEP(minmax, "minmax", minmax_parameters, "Brings each input of the training rows into a range.",
     "low + (high - low) (x - min) / max(max - min, 1e-7)", minmax, "minmax()", STEP_CHECK("3", "minmax()"),
     STEP_CHECK("3", "minmax(low=-1, high=1)"));
STEP(scale, "scale", scale_parameters, "Multiplies by a constant: 1/255 for pictures.", "x * factor + offset", scale,
     "scale(1/255)", STEP_CHECK("3", "scale(0.5)"), STEP_CHECK("3", "scale(0.25, offset=-1)\nscale(2)"));
STEP(one_hot, "one_hot", one_hot_parameters, "A column of class numbers as one input per class.",
     "x[column] == 0, 1, ..., classes - 1", one_hot, "one_hot(2, classes=5)", STEP_CHECK("5", "one_hot(1, classes=3)"),
     STEP_CHECK("4", "one_hot(-1, classes=2)\none_hot(0, classes=2)"));
