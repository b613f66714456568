/* The functions train_step and evaluate_step: model, loss with weights and penalties, metrics, and in training the
 * optimizer and moving averages. Needs everything resolved; docs/architecture.md has the names. */
#include <string.h>
#include "frontend/analyse.h"

static bool draws_random(const Region *region) {
    for (const Op *op = region->first; op; op = op->next)
        if (op->code == OP_RANDOM || (op->region && draws_random(op->region)))
            return true;
    return false;
}

/* Values [B, ...] times the weight of their sample. */
static Value *weighted(Model *m, Value *values, Value *weight) {
    if (!weight || !values)
        return values;
    Dim dims[MAX_RANK];
    for (int i = 0; i < values->type->rank; i++)
        dims[i] = i == 0 ? values->type->dims[0] : dim_static(1);
    weight = build_reshape(&m->builder, weight, type_get(m->module, DTYPE_F32, values->type->rank, dims));
    return build_mul(&m->builder, values, weight);
}

/* The mask of the prediction as numbers with the rank of the values, NULL: it has none. */
static Value *mask_weights(Model *m, const Value *values, const Value *prediction) {
    Value *mask = model_mask(m, prediction);
    Dim dims[MAX_RANK];
    if (!mask || !values || mask->type->rank > values->type->rank || values->type->rank > MAX_RANK)
        return NULL;
    for (int i = 0; i < values->type->rank; i++)
        dims[i] = i < mask->type->rank ? mask->type->dims[i] : dim_static(1);
    mask = build_cast(&m->builder, mask, DTYPE_F32);
    return build_reshape(&m->builder, mask, type_get(m->module, DTYPE_F32, values->type->rank, dims));
}

static LossContext loss_context(Model *m, const Args *args, const Value *prediction) {
    LossContext ctx = {.builder = &m->builder, .args = args};
    if (m->logits && m->logits_output == prediction) {
        ctx.logits = m->logits;
        ctx.logits_kind = m->logits_kind;
    }
    return ctx;
}

/* Number of values: a batch has `each` per sample. */
static Value *value_count(Model *m, const Value *values) {
    int64_t each = values->type->rank ? type_count(values->type, 1) : 1;
    return build_scale(&m->builder, build_batch_size(&m->builder), (double)each);
}

/* The mean of the values that the mask leaves; none left: 0. */
static Value *masked_mean(Model *m, Value *values, Value *mask) {
    Builder *b = &m->builder;
    double rest = 1; /* values for each element of the mask */
    for (int i = 0; i < values->type->rank; i++)
        if (!dim_equal(mask->type->dims[i], values->type->dims[i]))
            rest *= (double)values->type->dims[i].n;
    Value *count = build_scale(b, build_sum_all(b, mask), rest);
    return build_div(b, build_sum_all(b, build_mul(b, values, mask)), build_max(b, count, build_number(b, 1)));
}

/* sum(values) / sum(weights), both of all values; no weight at all: 0 */
static Value *weighted_mean(Model *m, Value *values, Value *weight, Value *mask) {
    Builder *b = &m->builder;
    Value *weights = weighted(m, build_like(b, values, 1), weight), *zero = build_number(b, 0);
    if (mask)
        weights = build_mul(b, weights, mask);
    Value *divisor = build_sum_all(b, weights), *none = build_map2(b, FN_eq, divisor, zero);
    Value *sum = build_sum_all(b, mask ? build_mul(b, values, mask) : values);
    return build_div(b, sum, build_map3(b, FN_select, none, build_number(b, 1), divisor));
}

/* The divisor of a mean is the number of values, not the sum of the sample weights, unless one asks for that. */
static Value *reduced(Model *m, Value *values, Value *weight, Value *mask) {
    const char *way = arg_text(m->compile.loss_args, "reduction");
    if (strcmp(way, "sum") == 0)
        return build_sum_all(&m->builder, mask ? build_mul(&m->builder, values, mask) : values);
    if (strcmp(way, "mean_with_sample_weight") == 0 && (weight || mask))
        return weighted_mean(m, values, weight, mask);
    return mask ? masked_mean(m, values, mask) : build_mean_all(&m->builder, values);
}

static Value *build_loss(Model *m, Value *y, Value *prediction, Value *weight) {
    LossContext ctx = loss_context(m, m->compile.loss_args, prediction);
    m->builder.span = m->compile.loss_span;
    m->builder.layer = "loss";
    Value *values = weighted(m, m->compile.loss->build.loss(&ctx, y, prediction), weight);
    if (!values)
        return NULL;
    Value *loss = reduced(m, values, weight, mask_weights(m, values, prediction));
    for (int i = 0; i < m->loss_count; i++)
        loss = build_add(&m->builder, loss, m->losses[i]);
    return loss;
}

static void add_total(Model *m, Func *func, const char *name, Value *total, Value *count) {
    if (!total || !count)
        return;
    func_add_result(func, total, arena_format(m->arena, "%s.total", name));
    func_add_result(func, count, arena_format(m->arena, "%s.count", name));
}

static void add_metric(Model *m, Func *func, const MetricChoice *metric, Value *y, Value *prediction) {
    LossContext ctx = loss_context(m, metric->args, prediction);
    m->builder.span = metric->span;
    m->builder.layer = metric->name;
    Value *values = metric->component->build.metric(&ctx, y, prediction);
    if (!values)
        return;
    /* Keras' metrics that count answers take no notice of masks. */
    Value *mask = ctx.counts ? NULL : mask_weights(m, values, prediction);
    Value *count = ctx.counts ? build_sum_all(&m->builder, ctx.counts) : value_count(m, values);
    if (mask) {
        values = build_mul(&m->builder, values, mask);
        count = build_sum_all(&m->builder, build_broadcast_to(&m->builder, mask, values->type));
    }
    add_total(m, func, metric->name, build_sum_all(&m->builder, values), count);
}

static void apply_assignments(Model *m) {
    for (int i = 0; i < m->assignment_count; i++)
        build_assign(&m->builder, m->assignments[i].variable, m->assignments[i].value);
}

/* Seed and step counter are there while layers are built; a seed that nobody used is not an argument. */
static void begin_training(Model *m, Func *func) {
    const Type *integer = type_scalar(m->module, DTYPE_I32);
    m->seed = func_add_arg(func, ARG_SEED, integer, "seed");
    m->step = build_variable(&m->builder, m->program->iteration);
}

static void drop_unused_seed(Func *func) {
    if (draws_random(&func->body))
        return;
    func->body.arg_count--;
    func_renumber(func);
}

void step_build(Model *m, bool training) {
    Program *program = m->program;
    int errors = diag_errors(m->diag);
    Func *func = module_func(m->module, training ? "train_step" : "evaluate_step");
    Value *x = func_add_arg(func, ARG_INPUT, program->input, "x");
    Value *y = func_add_arg(func, ARG_TARGET, program->target, "y"), *weight = NULL;
    if (program->has_sample_weight) {
        Dim batch = dim_batch(1);
        weight = func_add_arg(func, ARG_SAMPLE_WEIGHT, type_get(m->module, DTYPE_F32, 1, &batch), "w");
    }
    model_begin(m, func, training);
    if (training)
        begin_training(m, func);
    Value *prediction = model_walk(m, x);
    Value *loss = prediction ? build_loss(m, y, prediction, weight) : NULL;
    if (!loss) {
        if (diag_errors(m->diag) == errors)
            diag_internal(m->diag, m->compile.loss_span, "%s was not built", func->name);
        return;
    }
    Value *batch = build_batch_size(&m->builder);
    add_total(m, func, "loss", build_mul(&m->builder, loss, batch), batch);
    for (int i = 0; i < m->compile.metric_count; i++)
        add_metric(m, func, &m->compile.metrics[i], y, prediction);
    if (!training)
        return;
    optimizer_apply(m, loss);
    m->builder.layer = NULL;
    apply_assignments(m);
    drop_unused_seed(func);
}
