/* Walks the layers of a model and builds them one after the other. Needs bound blocks and a function to build in
 * (model_begin); leaves the ops in the function, and in the first walk the list of layers. After a mistake in one layer
 * the arguments of the others are still checked, but nothing more is built: shapes are not known. */
#include <ctype.h>
#include <string.h>
#include "frontend/analyse.h"
#include "frontend/components/components.h"

const char *shape_words(Model *m, const Type *type) {
    return type_words(m->arena, type);
}

bool type_is_huge(const Type *type) {
    double elements = 1;
    for (int i = 0; i < type->rank; i++)
        elements *= (double)type->dims[i].n;
    return elements > MAX_ELEMENTS;
}

void model_begin(Model *m, Func *func, bool training) {
    m->builder = builder_at_end(func);
    m->training = training;
    m->recording = func == m->module->funcs[0];
    m->trainable = true;
    m->scope = NULL;
    m->use = NULL;
    m->layers = m->streams = m->hidden = 0;
    m->seed = m->step = NULL;
    m->losses = NULL;
    m->loss_count = m->loss_capacity = 0;
    m->regularised = map_new(m->arena);
    m->assignments = NULL;
    m->assignment_count = m->assignment_capacity = 0;
    m->masks = NULL;
    m->mask_count = m->mask_capacity = 0;
    m->logits = m->logits_output = NULL;
    m->parameters = 0;
}

/* Arguments are bound once per expression, so that their mistakes and values are the same in all functions. */
static Args *bound_args(Model *m, const Component *component, const Expr *expr) {
    static Args mistake;
    const char *key = arena_format(m->arena, "%p", (const void *)expr);
    Args *args = map_get(m->bound, key);
    if (!args) {
        args = args_bind(m->arena, m->diag, component, expr, m->constants);
        map_put(m->bound, key, args ? args : &mistake);
    }
    return args == &mistake ? NULL : args;
}

static bool plain_name(const char *name) {
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("_-.", *c))
            return false;
    return *name != '\0';
}

static bool name_taken(Model *m, const char *name, Span span, bool given) {
    const Span *first = map_get(m->scope->spans, name);
    if (first && given) {
        diag_error(m->diag, span, "two layers have the name `%s`", name);
        if (first->start != span.start)
            diag_note(m->diag, *first, "the other one");
        else
            diag_help(m->diag, "this layer is built several times: leave `name` out");
    }
    return first != NULL;
}

/* The argument `name`; NULL: not given, or wrong. */
static const char *given_name(Model *m, const Args *args, Span *span) {
    const Arg *given = args ? arg_find(args, "name") : NULL;
    const char *name = given && given->given && !given->is_none ? given->text : NULL;
    *span = given ? given->span : (Span){0};
    if (!name || plain_name(name))
        return name;
    diag_error(m->diag, *span, "a layer's name has letters, digits, `_`, `-` and `.` only");
    return NULL;
}

/* Keras' automatic name: dense, dense_1, ... */
static const char *next_name(Model *m, const Component *component) {
    const char *snake = component_snake(m->arena, component->name);
    int *count = map_get(m->scope->counts, snake);
    if (!count)
        map_put(m->scope->counts, snake, count = ARENA_NEW(m->arena, int));
    int number = (*count)++;
    return number ? arena_format(m->arena, "%s_%d", snake, number) : snake;
}

/* Layers that are arguments have names too, and those are given first, as Python makes arguments first. Only their own
 * wrapper knows them, so they may equal others. */
static void name_parts(Model *m, const Args *args) {
    for (int i = 0; args && args->component->parameters[i].name; i++) {
        const Parameter *parameter = &args->component->parameters[i];
        Arg *arg = &args->values[i];
        if (parameter->type != PARAMETER_COMPONENT || parameter->component != COMPONENT_LAYER || arg->is_none)
            continue;
        Span span;
        name_parts(m, arg->part.args);
        arg->part.name = given_name(m, arg->part.args, &span);
        if (!arg->part.name)
            arg->part.name = next_name(m, arg->part.component);
    }
}

/* The layer's path: its `name` argument or Keras' automatic name, after the prefix of its model. */
static const char *layer_path(Model *m, const Component *component, const Args *args, const Expr *expr) {
    Span span;
    name_parts(m, args);
    const char *name = given_name(m, args, &span);
    if (name && name_taken(m, name, span, true))
        name = NULL; /* an automatic name, so that the mistake has no consequences */
    if (!name) {
        span = expr->span;
        do
            name = next_name(m, component);
        while (name_taken(m, name, span, false));
    }
    map_put(m->scope->spans, name, arena_copy(m->arena, &span, sizeof(Span)));
    return arena_format(m->arena, "%s%s", m->scope->prefix, name);
}

/* Lists the layer in the summary; in a model that is used as a layer only its total counts. */
static void record_layer(Model *m, const char *name, const char *type, const Value *y, Span span, int64_t outer) {
    if (m->hidden) {
        m->parameters += outer;
        return;
    }
    if (m->recording && y) {
        Program *program = m->program;
        int capacity = program->layer_count;
        Layer layer = {name, type, y->type, m->parameters, span};
        if ((program->layer_count & (program->layer_count - 1)) == 0) { /* full at powers of two */
            Layer *grown = ARENA_ARRAY(m->arena, Layer, capacity ? 2 * capacity : 1);
            if (capacity)
                memcpy(grown, program->layers, sizeof(Layer) * (size_t)capacity);
            program->layers = grown;
        }
        program->layers[program->layer_count++] = layer;
    }
    m->parameters = outer;
}

static void check_bodies(Model *m, const Expr *expr) {
    for (int i = 0; expr->kind == EXPR_CALL && i < expr->call.body_count; i++)
        model_body(m, &expr->call.bodies[i], NULL);
}

Value *model_mask(const Model *m, const Value *value) {
    for (int i = m->mask_count - 1; i >= 0; i--)
        if (m->masks[i].value == value)
            return m->masks[i].mask;
    return NULL;
}

void model_set_mask(Model *m, const Value *value, Value *mask) {
    Mask entry = {value, mask};
    if (value && (mask || model_mask(m, value)))
        ARENA_PUSH(m->arena, m->masks, m->mask_count, m->mask_capacity, entry);
}

/* What becomes of the input's mask, where the layer does not say so itself. */
static void pass_mask(LayerContext *ctx, const Component *component, Value *y) {
    Model *m = ctx->model;
    if (!y || !ctx->mask || component->kind == COMPONENT_COMBINATOR || (component->flags & COMPONENT_USES_MASK))
        return;
    bool keeps = (component->flags & COMPONENT_KEEPS_MASK) != 0;
    model_set_mask(m, y, keeps ? ctx->mask : NULL);
    if (keeps || !m->recording)
        return;
    diag_warning(m->diag, ctx->args->span, "%s drops the mask of its input: what follows sees masked steps like others",
                 component->name);
}

typedef Value *BuildLayer(LayerContext *, Value *);

static Value *build_layer(Model *m, const Args *args, BuildLayer *build, Span span, const char *name, Value *x) {
    const Component *component = args->component;
    const Arg *trainable = arg_find(args, "trainable");
    LayerContext ctx = {.builder = &m->builder,
                        .diag = m->diag,
                        .name = name,
                        .training = m->training,
                        .seed = m->seed,
                        .step = m->step,
                        .mask = model_mask(m, x),
                        .model = m,
                        .args = args};
    bool outer_trainable = m->trainable;
    ctx.trainable = m->trainable = outer_trainable && (!trainable || trainable->is_none || trainable->boolean);
    Span outer_span = m->builder.span;
    const char *outer_layer = m->builder.layer;
    int64_t outer_parameters = m->parameters;
    int errors = diag_errors(m->diag);
    m->builder.span = span;
    m->builder.layer = name;
    m->parameters = 0;
    Value *y = build(&ctx, x);
    if (!y && diag_errors(m->diag) == errors)
        diag_internal(m->diag, span, "%s was not built and gave no reason", component->name);
    if (y && type_is_huge(y->type)) {
        diag_error(m->diag, span, "one sample of the result %s has too many elements", shape_words(m, y->type));
        y = NULL;
    }
    if (y && !y->name)
        y->name = name;
    pass_mask(&ctx, component, y);
    record_layer(m, name, component->name, y, span, outer_parameters);
    m->trainable = outer_trainable;
    m->builder.span = outer_span;
    m->builder.layer = outer_layer;
    return diag_errors(m->diag) == errors ? y : NULL;
}

Value *layer_part(LayerContext *ctx, const Arg *arg, const char *part, Value *x, BuildLayer *build) {
    Model *m = ctx->model;
    const Args *args = arg->part.args;
    if (!x || !model_count_layer(m, arg->span))
        return NULL;
    m->hidden++; /* its weights count for the layer around it */
    Value *y = build_layer(m, args, build ? build : args->component->build.layer, args->span,
                           arena_format(m->arena, "%s/%s", ctx->name, part), x);
    m->hidden--;
    return y;
}

/* Input says what shape the model takes; it makes nothing. */
static Value *check_input(Model *m, const Args *args, const Expr *expr, Value *x, bool first) {
    if (!first) {
        diag_error(m->diag, expr->span, "Input must be the first layer of its model");
        return NULL;
    }
    const Type *wanted = model_input_type(m, m->use->block, 0);
    if (!args || !x || !wanted || wanted == x->type)
        return args && wanted ? x : NULL;
    diag_error(m->diag, m->use->span, "`%s` takes %s, but gets %s", m->use->block->name, shape_words(m, wanted),
               shape_words(m, x->type));
    diag_note(m->diag, expr->span, "its input is given here");
    return NULL;
}

/* False when there are too many: empty bodies and models count, so that every walk ends soon. */
bool model_count_layer(Model *m, Span span) {
    if (++m->layers == MAX_LAYERS + 1)
        diag_error(m->diag, span, "the model has more than %d layers", MAX_LAYERS);
    return m->layers <= MAX_LAYERS;
}

static Value *walk_layer(Model *m, const Component *component, const Expr *expr, Value *x, bool first) {
    Args *args = bound_args(m, component, expr);
    if (strcmp(component->name, "Input") == 0)
        return check_input(m, args, expr, x, first);
    if (!model_count_layer(m, expr->span))
        return NULL;
    const char *name = layer_path(m, component, args, expr);
    if (args && x)
        return build_layer(m, args, component->build.layer, expr->span, name, x);
    check_bodies(m, expr);
    return NULL;
}

/* A model of the file as a layer: its names begin with the model's, so its weights are the same at every use. */
static Value *walk_model(Model *m, const Block *block, const Expr *expr, Value *x) {
    if (expr->kind == EXPR_CALL && (expr->call.count || expr->call.body_count)) {
        diag_error(m->diag, expr->span, "the model `%s` takes no arguments", block->name);
        return NULL;
    }
    for (const Use *use = m->use; use; use = use->outer)
        if (use->block == block) {
            diag_error(m->diag, expr->span, "the model `%s` contains itself", block->name);
            if (m->use->block != block)
                diag_note(m->diag, m->use->span, "by way of `%s`", m->use->block->name);
            return NULL;
        }
    if (!model_count_layer(m, expr->span))
        return NULL;
    Use use = {block, expr->span, m->use};
    Scope scope = {arena_format(m->arena, "%s/", block->name), map_new(m->arena), map_new(m->arena)};
    Scope *outer_scope = m->scope;
    int64_t outer_parameters = m->parameters;
    m->use = &use;
    m->scope = &scope;
    m->parameters = 0;
    m->hidden++;
    map_put(m->visited, block->name, (void *)block);
    Value *y = model_body(m, &block->body, x);
    m->hidden--;
    m->use = use.outer;
    m->scope = outer_scope;
    record_layer(m, block->name, "Sequential", y, expr->span, outer_parameters);
    return y;
}

static Value *walk_entry(Model *m, const Entry *entry, Value *x, bool first) {
    if (entry->kind != ENTRY_EXPR) {
        bool assign = entry->kind == ENTRY_ASSIGN;
        diag_error(m->diag, assign ? entry->name_span : entry->span,
                   assign                       ? "a model has layers, not settings like `%s = ...`"
                   : entry->kind == ENTRY_BLOCK ? "a `{ ... }` that belongs to no layer"
                                                : "`minimize` belongs into `step { ... }` of a fit block",
                   entry->name);
        if (assign)
            diag_help(m->diag, "a constant is written `let %s = ...` outside of the blocks", entry->name);
        else if (entry->kind == ENTRY_BLOCK)
            diag_help(m->diag, "branches are written inside of a combinator: `Add { {...} {...} }`");
        return NULL;
    }
    Span span;
    const char *name = expr_callee(entry->value, &span);
    const Component *component = component_find(COMPONENT_LAYER, name);
    if (!component)
        component = component_find(COMPONENT_COMBINATOR, name);
    if (component)
        return walk_layer(m, component, entry->value, x, first);
    const Block *block = block_find_model(m, name);
    if (block)
        return walk_model(m, block, entry->value, x);
    component_unknown(m->diag, COMPONENT_LAYER, name, span, m->model_names, m->model_count);
    check_bodies(m, entry->value);
    return NULL;
}

Value *model_body(Model *m, const Body *body, Value *x) {
    if (m->layers > MAX_LAYERS)
        return NULL;
    bool top = m->use && body == &m->use->block->body;
    for (int i = 0; i < body->count; i++)
        x = walk_entry(m, body->entries[i], x, top && i == 0);
    return x;
}

Value *model_walk(Model *m, Value *x) {
    Use use = {m->block, m->block->keyword_span, NULL};
    Scope scope = {"", map_new(m->arena), map_new(m->arena)};
    m->use = &use;
    m->scope = &scope;
    if (m->block->name)
        map_put(m->visited, m->block->name, (void *)m->block);
    Value *y = model_body(m, &m->block->body, x);
    m->use = NULL;
    m->scope = NULL;
    return y;
}

static const Type *shape_type(Model *m, const Args *args, Span span) {
    const Arg *shape = arg_get(args, "shape");
    Dim dims[MAX_RANK] = {dim_batch(1)};
    if (shape->ints.count + 1 > MAX_RANK) {
        diag_error(m->diag, span, "Input has at most %d axes beside the batch", MAX_RANK - 1);
        return NULL;
    }
    double elements = 1;
    for (int i = 0; i < shape->ints.count; i++) {
        dims[i + 1] = dim_static(shape->ints.items[i]);
        elements *= (double)shape->ints.items[i];
    }
    if (elements > 2147483647.0) {
        diag_error(m->diag, span, "one sample of this shape has more than 2147483647 elements");
        return NULL;
    }
    return type_get(m->module, DTYPE_F32, shape->ints.count + 1, dims);
}

const Type *model_input_type(Model *m, const Block *block, int depth) {
    const Entry *entry = block->body.count ? block->body.entries[0] : NULL;
    Span span;
    const char *name = entry && entry->kind == ENTRY_EXPR ? expr_callee(entry->value, &span) : NULL;
    const Component *component = name ? component_find(COMPONENT_LAYER, name) : NULL;
    if (component && strcmp(component->name, "Input") == 0) {
        Args *args = bound_args(m, component, entry->value);
        return args ? shape_type(m, args, entry->value->span) : NULL;
    }
    const Block *inner = name && !component ? block_find_model(m, name) : NULL;
    if (inner && depth < m->model_count)
        return model_input_type(m, inner, depth + 1);
    Span place = block->name ? block->name_span : block->keyword_span;
    diag_error(m->diag, entry && !inner ? entry->span : place,
               "the first layer of a model must be Input: the shape of one sample");
    diag_help(m->diag, "for example `Input(64)`, or `Input((28, 28, 1))` for pictures");
    return NULL;
}

void model_check_unused(Model *m) {
    for (int i = 0; i < m->ast->block_count; i++) {
        const Block *block = &m->ast->blocks[i];
        if (block->kind != BLOCK_MODEL || !block->name || map_get(m->visited, block->name))
            continue;
        Use use = {block, block->keyword_span, NULL};
        Scope scope = {"", map_new(m->arena), map_new(m->arena)};
        m->use = &use;
        m->scope = &scope;
        map_put(m->visited, block->name, (void *)block);
        m->layers = 0;
        model_body(m, &block->body, NULL);
    }
    m->use = NULL;
    m->scope = NULL;
}
