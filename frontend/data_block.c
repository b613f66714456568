/* The data block: where samples come from, and the function `preprocess` made of its steps. */
#include <string.h>
#include "frontend/analyse.h"
#include "frontend/components/components.h"

static void read_source(Model *m, const char *name, DataSource *source) {
    const Arg *arg = arg_get(m->data_args, name);
    source->count = -1;
    if (arg->is_none || !arg->part.component)
        return;
    source->span = arg->span;
    if (!arg->part.component->build.source(arg->part.args, m->arena, m->diag, source))
        source->kind = DATA_NONE;
}

static void check_split(Model *m, const Arg *split) {
    if (!split->is_none && split->number >= 1)
        diag_error(m->diag, split->span, "validation_split must be less than 1: something must be left to train on");
}

void data_read(Model *m) {
    Program *program = m->program;
    program->train.count = program->test.count = program->validation.count = -1;
    if (!m->data)
        return;
    for (int i = 0; i < m->data->body.count; i++) {
        const Entry *entry = m->data->body.entries[i];
        if (entry->kind == ENTRY_BLOCK || entry->kind == ENTRY_MINIMIZE)
            diag_error(m->diag, entry->span,
                       "a data block has sources (`train = csv(...)`) and steps (`standardize()`)");
    }
    m->data_args = block_bind(m, m->data);
    read_source(m, "train", &program->train);
    read_source(m, "test", &program->test);
    read_source(m, "validation", &program->validation);
    const Arg *split = arg_get(m->data_args, "validation_split");
    program->fit.validation_split = split->is_none ? 0 : split->number;
    check_split(m, split);
    program->has_sample_weight =
        program->has_sample_weight || program->train.weight || program->test.weight || program->validation.weight;
}

Value *data_state(DataContext *ctx, const char *name, FitKind fit) {
    Model *m = ctx->model;
    const Type *type = ctx->x->type;
    const char *step = component_snake(m->arena, ctx->args->component->name);
    if (ctx->x->def) {
        diag_error(m->diag, ctx->args->span,
                   "%s must be the first step: what it learns from the training data is of the raw columns", step);
        diag_help(m->diag, "put steps with fixed numbers, such as scale(...), after it");
        return NULL;
    }
    int *count = map_get(m->step_counts, step);
    const char *unique = count && *count > 1 ? arena_format(m->arena, "%s_%d", step, *count - 1) : step;
    const char *path = arena_format(m->arena, "%s/%s", unique, name);
    Variable *variable = module_find_variable(m->module, path);
    if (!variable) {
        const Type *state = type_get(m->module, DTYPE_F32, type->rank - 1, type->dims + 1);
        Init init = {.kind = INIT_CONSTANT, .a = fit == FIT_VARIANCE || fit == FIT_MAXIMUM, .seed = -1};
        variable = module_variable(m->module, path, state, VARIABLE_PREPROCESS, init, ctx->args->span);
        variable->fit = fit;
        m->program->preprocess_count++;
    }
    return build_variable(ctx->builder, variable);
}

static Value *apply_step(Model *m, const Entry *entry, Value *x) {
    Arg part = {0};
    Span span;
    const char *name = expr_callee(entry->value, &span);
    if (!name || !args_part(m->arena, m->diag, COMPONENT_DATA_STEP, entry->value, m->constants, &part))
        return NULL;
    const char *snake = component_snake(m->arena, part.part.component->name);
    int *count = map_get(m->step_counts, snake);
    if (!count)
        map_put(m->step_counts, snake, count = ARENA_NEW(m->arena, int));
    ++*count;
    if (!x)
        return NULL;
    m->builder.span = entry->span;
    m->builder.layer = snake;
    DataContext ctx = {.builder = &m->builder, .args = part.part.args, .x = x, .model = m};
    int errors = diag_errors(m->diag);
    Value *y = part.part.component->build.data_step(&ctx);
    if (!y && diag_errors(m->diag) == errors)
        diag_internal(m->diag, entry->span, "the step %s was not built and gave no reason", name);
    return y;
}

/* Builds the steps on raw rows of the type; NULL after an error. */
static Value *build_steps(Model *m, const Type *raw) {
    Func *func = module_func(m->module, "preprocess");
    Value *x = func_add_arg(func, ARG_RAW_INPUT, raw, "raw");
    m->builder = builder_at_end(func);
    m->step_counts = map_new(m->arena);
    for (int i = 0; i < m->data->body.count; i++)
        if (m->data->body.entries[i]->kind == ENTRY_EXPR)
            x = apply_step(m, m->data->body.entries[i], x);
    if (x)
        func_add_result(func, x, "output");
    return x;
}

static bool has_steps(const Model *m) {
    for (int i = 0; m->data && i < m->data->body.count; i++)
        if (m->data->body.entries[i]->kind == ENTRY_EXPR)
            return true;
    return false;
}

/* Steps such as one_hot change the number of columns; the raw rows must be so wide that the model's input comes out. */
void data_preprocess(Model *m) {
    Program *program = m->program;
    program->raw_input = program->input;
    if (!has_steps(m) || !program->input)
        return;
    int errors = diag_errors(m->diag), variables = m->module->variable_count, funcs = m->module->func_count;
    Value *y = build_steps(m, program->input);
    if (y && y->type != program->input && y->type->rank == 2 && program->input->rank == 2) {
        int64_t wanted = program->input->dims[1].n, width = 2 * wanted - y->type->dims[1].n;
        m->module->variable_count = variables;
        m->module->func_count = funcs;
        program->preprocess_count = 0;
        if (width >= 1) {
            program->raw_input = type_with_axis(m->module, program->input, 1, dim_static(width));
            y = build_steps(m, program->raw_input);
        }
    }
    if (diag_errors(m->diag) == errors && (!y || y->type != program->input)) {
        diag_error(m->diag, m->data->keyword_span, "the steps of the data give %s, but the model takes %s",
                   y ? shape_words(m, y->type) : "nothing", shape_words(m, program->input));
        diag_help(m->diag, "write the shape after the steps into the model's Input");
    }
}
