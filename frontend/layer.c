/* The services that components get while they are built: weights, activations, losses, random streams, bodies. */
#include <string.h>
#include "frontend/analyse.h"
#include "frontend/components/components.h"

const Type *layer_type(LayerContext *ctx, int rank, const Dim *dims) {
    return type_get(ctx->builder->module, DTYPE_F32, rank, dims);
}

/* Keras: rank 1 counts its elements twice; higher ranks are a matrix times the receptive field. */
static void weight_fans(const Type *type, double *fan_in, double *fan_out) {
    double field = 1;
    for (int i = 0; i < type->rank - 2; i++)
        field *= (double)type->dims[i].n;
    *fan_out = type->rank ? field * (double)type->dims[type->rank - 1].n : 1;
    *fan_in = type->rank > 1 ? field * (double)type->dims[type->rank - 2].n : *fan_out;
}

/* Of query/kernel the argument is kernel_initializer, of recurrent_kernel recurrent_initializer; the kernel of a
 * depthwise convolution has depthwise_initializer. */
static const Arg *leaf_part(LayerContext *ctx, const char *leaf, const char *suffix) {
    const char *slash = strrchr(leaf, '/'), *name = slash ? slash + 1 : leaf, *kernel = strstr(name, "_kernel");
    const Arg *arg = arg_find(ctx->args, arena_format(ctx->model->arena, "%s_%s", name, suffix));
    if (!arg && kernel)
        arg = arg_find(ctx->args, arena_format(ctx->model->arena, "%.*s_%s", (int)(kernel - name), name, suffix));
    if (!arg && strcmp(name, "kernel") == 0)
        arg = arg_find(ctx->args, arena_format(ctx->model->arena, "depthwise_%s", suffix));
    return arg && !arg->is_none && arg->part.component ? arg : NULL;
}

static Init weight_init(LayerContext *ctx, const char *leaf, const Type *type) {
    const Arg *arg = leaf_part(ctx, leaf, "initializer");
    double fan_in, fan_out;
    weight_fans(type, &fan_in, &fan_out);
    if (!arg)
        return (Init){.kind = INIT_CONSTANT, .seed = -1};
    return arg->part.component->build.initializer(arg->part.args, fan_in, fan_out);
}

static Variable *weight_variable(LayerContext *ctx, const char *leaf, const Type *type, bool trainable) {
    Model *m = ctx->model;
    const char *path = arena_format(m->arena, "%s/%s", ctx->name, leaf);
    Variable *variable = module_find_variable(m->module, path);
    if (!variable && type_is_huge(type)) {
        diag_error(m->diag, ctx->args->span, "the weight `%s` of shape %s has too many elements", path,
                   shape_words(m, type));
        return NULL;
    }
    if (!variable) {
        VariableRole role = trainable && ctx->trainable ? VARIABLE_TRAINABLE : VARIABLE_NON_TRAINABLE;
        return module_variable(m->module, path, type, role, weight_init(ctx, leaf, type), ctx->args->span);
    }
    if (variable->type == type)
        return variable;
    diag_error(m->diag, ctx->args->span,
               "the weight `%s` is shared by two uses of its model, but would have the shapes %s and %s", path,
               shape_words(m, variable->type), shape_words(m, type));
    diag_help(m->diag, "give the model an Input, and inputs of the same shape at each use");
    return NULL;
}

static void weight_penalty(LayerContext *ctx, const char *leaf, Variable *variable, Value *value) {
    Model *m = ctx->model;
    const Arg *arg = leaf_part(ctx, leaf, "regularizer");
    if (m->recording) /* forward has no loss */
        return;
    if (!arg || variable->role != VARIABLE_TRAINABLE || map_get(m->regularised, variable->name))
        return;
    map_put(m->regularised, variable->name, variable);
    layer_add_loss(ctx, arg->part.component->build.regularizer(ctx->builder, arg->part.args, value));
}

/* What was assigned earlier in this function, when a model is used twice. */
static Value *assigned_value(Model *m, const Variable *variable) {
    for (int i = m->assignment_count - 1; i >= 0; i--)
        if (m->assignments[i].variable == variable)
            return m->assignments[i].value;
    return NULL;
}

Value *layer_weight(LayerContext *ctx, const char *leaf, const Type *type, bool trainable) {
    Model *m = ctx->model;
    Variable *variable = type ? weight_variable(ctx, leaf, type, trainable) : NULL;
    if (!variable)
        return NULL;
    m->parameters += type_count(type, 1);
    Value *value = assigned_value(m, variable);
    if (!value)
        value = build_variable(ctx->builder, variable);
    weight_penalty(ctx, leaf, variable, value);
    return value;
}

Variable *layer_variable(LayerContext *ctx, const char *leaf) {
    Model *m = ctx->model;
    return module_find_variable(m->module, arena_format(m->arena, "%s/%s", ctx->name, leaf));
}

void layer_assign(LayerContext *ctx, const char *leaf, Value *value) {
    Model *m = ctx->model;
    Assignment assignment = {layer_variable(ctx, leaf), value};
    if (!ctx->training || !value)
        return;
    if (!assignment.variable) {
        diag_internal(m->diag, ctx->args->span, "`%s` of %s is assigned but was not made", leaf, ctx->name);
        return;
    }
    for (int i = 0; i < m->assignment_count; i++)
        if (m->assignments[i].variable == assignment.variable) {
            m->assignments[i].value = value;
            return;
        }
    ARENA_PUSH(m->arena, m->assignments, m->assignment_count, m->assignment_capacity, assignment);
}

void layer_logits(LayerContext *ctx, Value *output, Value *logits, int kind) {
    ctx->model->logits_output = output;
    ctx->model->logits = logits;
    ctx->model->logits_kind = kind;
}

void layer_keep_logits(LayerContext *ctx, Value *from, Value *to) {
    Model *m = ctx->model;
    if (from && to && m->logits && m->logits_output == from)
        layer_logits(ctx, to, build_reshape(ctx->builder, m->logits, to->type), m->logits_kind);
}

Value *layer_mask(LayerContext *ctx) {
    return ctx->mask;
}

Value *layer_mask_of(LayerContext *ctx, const Value *value) {
    return model_mask(ctx->model, value);
}

void layer_set_mask(LayerContext *ctx, Value *value, Value *mask) {
    model_set_mask(ctx->model, value, mask);
}

Value *layer_activation(LayerContext *ctx, Value *x) {
    const Arg *arg = arg_find(ctx->args, "activation");
    if (!x || !arg || arg->is_none || !arg->part.component)
        return x;
    const Component *activation = arg->part.component;
    Value *y = activation->build.activation(ctx->builder, arg->part.args, x);
    if (y && strcmp(activation->name, "sigmoid") == 0)
        layer_logits(ctx, y, x, FN_sigmoid);
    if (y && strcmp(activation->name, "softmax") == 0) {
        int64_t axis = arg_int(arg->part.args, "axis");
        if (axis == -1 || axis == x->type->rank - 1)
            layer_logits(ctx, y, x, -1);
    }
    return y;
}

void layer_add_loss(LayerContext *ctx, Value *scalar) {
    Model *m = ctx->model;
    if (scalar)
        ARENA_PUSH(m->arena, m->losses, m->loss_count, m->loss_capacity, scalar);
}

int layer_random_stream(LayerContext *ctx) {
    Model *m = ctx->model;
    int stream = FIRST_STREAM + m->streams++;
    if (m->module->random_streams < m->streams)
        m->module->random_streams = m->streams;
    return stream;
}

Value *layer_body(LayerContext *ctx, const Body *body, Value *x) {
    if (body && !model_count_layer(ctx->model, body->span))
        return NULL;
    return body && x ? model_body(ctx->model, body, x) : NULL;
}
