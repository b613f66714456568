/* The optimizer's part of train_step, in Keras' order: gradients, clipping, decoupled weight decay, update, iteration
 * + 1. */
#include <math.h>
#include <string.h>
#include "frontend/analyse.h"

typedef struct {
    Variable **weights;
    Value **values, **gradients;
    int count;
} Training;

static Value *squared_norm(Builder *b, Value *gradient) {
    return build_sum_all(b, build_mul(b, gradient, gradient));
}

/* g * c / max(norm, c) */
static Value *clip_norm(Builder *b, Value *gradient, double limit) {
    Value *norm = build_map1(b, FN_sqrt, squared_norm(b, gradient));
    Value *largest = build_max(b, norm, build_number(b, limit));
    return build_mul(b, gradient, build_div(b, build_number(b, limit), largest));
}

static Value *clip_value(Builder *b, Value *gradient, double limit) {
    Value *low = build_max(b, gradient, build_like(b, gradient, -limit));
    return build_min(b, low, build_like(b, gradient, limit));
}

/* all * c * min(1 / norm, 1 / c), norm over all gradients */
static void clip_global(Builder *b, Training *t, double limit) {
    Value *sum = NULL;
    for (int i = 0; i < t->count; i++) {
        Value *square = squared_norm(b, t->gradients[i]);
        sum = sum ? build_add(b, sum, square) : square;
    }
    Value *norm = build_map1(b, FN_sqrt, sum);
    Value *inverse = build_div(b, build_number(b, 1), norm);
    Value *factor = build_scale(b, build_min(b, inverse, build_number(b, 1 / limit)), limit);
    for (int i = 0; i < t->count; i++)
        t->gradients[i] = build_mul(b, t->gradients[i], factor);
}

/* NAN: not given. */
static double option(const Args *args, const char *name) {
    const Arg *arg = arg_find(args, name);
    return arg && !arg->is_none ? arg->number : NAN;
}

static void clip(Model *m, Training *t) {
    const Args *args = m->compile.optimizer_args;
    double norm = option(args, "clipnorm"), value = option(args, "clipvalue"), global = option(args, "global_clipnorm");
    for (int i = 0; i < t->count; i++) {
        if (!isnan(norm))
            t->gradients[i] = clip_norm(&m->builder, t->gradients[i], norm);
        if (!isnan(value))
            t->gradients[i] = clip_value(&m->builder, t->gradients[i], value);
    }
    if (!isnan(global))
        clip_global(&m->builder, t, global);
}

static Training find_weights(Model *m) {
    Training t = {0};
    t.weights = ARENA_ARRAY(m->arena, Variable *, m->module->variable_count + 1);
    t.values = ARENA_ARRAY(m->arena, Value *, m->module->variable_count + 1);
    t.gradients = ARENA_ARRAY(m->arena, Value *, m->module->variable_count + 1);
    for (int i = 0; i < m->module->variable_count; i++)
        if (m->module->variables[i]->role == VARIABLE_TRAINABLE)
            t.weights[t.count++] = m->module->variables[i];
    for (int i = 0; i < t.count; i++)
        t.values[i] = build_variable(&m->builder, t.weights[i]);
    return t;
}

static Value *learning_rate(Model *m, Value *iterations) {
    if (m->compile.schedule)
        return m->compile.schedule->build.schedule(&m->builder, m->compile.schedule_args, iterations);
    return build_variable(&m->builder, m->program->learning_rate);
}

static void update_weights(Model *m, Training *t, OptimizerContext *ctx) {
    Builder *b = &m->builder;
    double decay = option(m->compile.optimizer_args, "weight_decay");
    for (int i = 0; i < t->count; i++) {
        Value *value = t->values[i];
        b->span = t->weights[i]->span;
        if (!isnan(decay) && decay != 0)
            value = build_sub(b, value, build_mul(b, value, build_scale(b, ctx->learning_rate, decay)));
        value = m->compile.optimizer->build.optimizer(ctx, t->weights[i], value, t->gradients[i]);
        if (value)
            build_assign(b, t->weights[i], value);
    }
}

void optimizer_apply(Model *m, Value *loss) {
    Builder *b = &m->builder;
    b->layer = m->compile.optimizer_name;
    Training t = find_weights(m);
    if (t.count) {
        build_grad(b, loss, t.values, t.count, t.gradients);
        clip(m, &t);
    }
    Value *iteration = build_variable(b, m->program->iteration);
    Value *done = build_cast(b, iteration, DTYPE_F32);
    OptimizerContext ctx = {.builder = b, .args = m->compile.optimizer_args, .model = m};
    ctx.optimizer_name = m->compile.optimizer_name;
    ctx.learning_rate = learning_rate(m, done);
    ctx.step = build_shift(b, done, 1);
    update_weights(m, &t, &ctx);
    Value *one = build_const(b, type_scalar(m->module, DTYPE_I32), 1);
    build_assign(b, m->program->iteration, build_add(b, iteration, one));
}

static Variable *slot_variable(OptimizerContext *ctx, Variable *weight, const char *slot, double initial) {
    Model *m = ctx->model;
    char *path = arena_strdup(m->arena, weight->name);
    for (char *c = path; *c; c++)
        if (*c == '/')
            *c = '_';
    const char *name = arena_format(m->arena, "%s/%s_%s", ctx->optimizer_name, path, slot);
    Variable *variable = module_find_variable(m->module, name);
    if (!variable) {
        Init init = {.kind = INIT_CONSTANT, .a = initial, .seed = -1};
        variable = module_variable(m->module, name, weight->type, VARIABLE_OPTIMIZER, init, weight->span);
    }
    return variable;
}

Value *optimizer_slot(OptimizerContext *ctx, Variable *weight, const char *slot, double initial) {
    return build_variable(ctx->builder, slot_variable(ctx, weight, slot, initial));
}

void optimizer_set(OptimizerContext *ctx, Variable *weight, const char *slot, Value *value) {
    Variable *variable = slot_variable(ctx, weight, slot, 0);
    if (value)
        build_assign(ctx->builder, variable, value);
}
