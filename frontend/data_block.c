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
        bool series = m->program->train.kind == DATA_WINDOWS; /* the rows of a window have their columns in common */
        int first = series ? type->rank - 1 : 1;
        const Type *state = type_get(m->module, DTYPE_F32, type->rank - first, type->dims + first);
        Init init = {.kind = INIT_CONSTANT, .a = fit == FIT_VARIANCE || fit == FIT_MAXIMUM, .seed = -1};
        variable = module_variable(m->module, path, state, VARIABLE_PREPROCESS, init, ctx->args->span);
        variable->fit = fit;
        m->program->preprocess_count++;
    }
    return build_variable(ctx->builder, variable);
}

static Value *apply_step(Model *m, const Entry *entry, Value *x, int step) {
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
    DataContext ctx = {.builder = &m->builder, .args = part.part.args, .x = x, .step = step, .model = m};
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
    m->program->class_column_count = 0;
    for (int i = 0, step = 0; i < m->data->body.count; i++)
        if (m->data->body.entries[i]->kind == ENTRY_EXPR)
            x = apply_step(m, m->data->body.entries[i], x, step++);
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
static void build_preprocess(Model *m) {
    Program *program = m->program;
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

/* ---- windows of characters or rows: their length is that of the model's Input */

/* The model's input must be a window; length and stride that are not given follow from it. */
static bool check_window(Model *m, DataSource *source) {
    const Type *raw = m->program->raw_input;
    bool text = source->kind == DATA_TEXT;
    const char *what = text ? "text" : "windows", *length = text ? "window" : "length";
    if (raw->rank != (text ? 2 : 3)) {
        diag_error(m->diag, source->span, "%s gives samples of shape %s, but the model takes %s", what,
                   text ? "(B, window)" : "(B, length, columns)", shape_words(m, raw));
        diag_help(m->diag, text ? "begin the model with Input(N), the number of characters in a window"
                                : "begin the model with Input((length, columns)); Flatten() makes one row of it");
        return false;
    }
    int64_t wanted = raw->dims[1].n;
    source->window = source->window ? source->window : wanted;
    source->stride = source->stride ? source->stride : source->window;
    if (source->window != wanted) {
        diag_error(m->diag, source->span, "%s gives windows of %lld, but the model takes %s", what,
                   (long long)source->window, shape_words(m, raw));
        diag_help(m->diag, "leave out `%s`, which then follows the model", length);
        return false;
    }
    if (!text && source->column_count && source->column_count != raw->dims[2].n) {
        diag_error(m->diag, source->span, "windows has %d input columns, but the model takes %s", source->column_count,
                   shape_words(m, raw));
        diag_help(m->diag, "write Input((%lld, %d))", (long long)wanted, source->column_count);
        return false;
    }
    return true;
}

/* csv with listed inputs, each of them one number: as many as the model takes. */
static void check_listed_columns(Model *m, const DataSource *source) {
    const Type *raw = m->program->raw_input;
    int64_t wanted = 1;
    for (int i = 1; i < raw->rank; i++)
        wanted *= raw->dims[i].n;
    for (int i = 0; i < source->text_count; i++)
        if (source->text[i].mode == TEXT_ONE_HOT)
            return;
    if (source->column_count == 0 || source->column_count == wanted)
        return;
    diag_error(m->diag, source->span, "csv has %d input columns, but the model takes %s", source->column_count,
               shape_words(m, raw));
}

static void check_window_output(Model *m, const DataSource *source) {
    const Type *output = m->program->output;
    if (!m->compile.optimizer || (output->rank == 2 && output->dims[0].batch))
        return;
    if (source->kind == DATA_WINDOWS) {
        diag_error(m->diag, source->span, "windows gives one target for each window, but the model gives %s",
                   shape_words(m, output));
        diag_help(m->diag, "end the model with (B, outputs): the last recurrent layer without return_sequences");
    } else if (output->rank != 3 || output->dims[1].n != source->window) {
        diag_error(m->diag, source->span,
                   "text gives the next character for each position or for the window, but the model gives %s",
                   shape_words(m, output));
        diag_help(m->diag, "end the model with (B, %lld, C) or (B, C), C at least the number of different characters",
                  (long long)source->window);
    }
}

static void check_character_loss(Model *m, const DataSource *source) {
    const Component *loss = m->compile.loss;
    if (!loss || (loss->flags & COMPONENT_SPARSE_TARGET))
        return;
    diag_error(m->diag, m->compile.loss_span,
               "text(...) gives the number of the next character, which %s does not take",
               component_snake(m->arena, loss->name));
    diag_note(m->diag, source->span, "the text");
    diag_help(m->diag, "use sparse_categorical_crossentropy, and one output for each different character");
}

/* An Embedding of the characters must know as many as the last layer. */
static void check_character_rows(Model *m) {
    const Func *forward = module_find_func(m->module, "forward");
    const Type *output = m->program->output;
    int64_t classes = output->dims[output->rank - 1].n;
    for (const Op *op = forward ? forward->body.first : NULL; op; op = op->next) {
        const Op *cast = op->code == OP_GATHER ? op->inputs[1]->def : NULL;
        if (!cast || cast->code != OP_CAST || cast->inputs[0] != forward->body.args[0] ||
            op->inputs[0]->type->dims[0].n >= classes)
            continue;
        diag_warning(m->diag, op->span, "Embedding has rows for %lld characters, but the model has %lld classes",
                     (long long)op->inputs[0]->type->dims[0].n, (long long)classes);
        diag_help(m->diag,
                  "both are the number of different characters: characters beyond the rows share the last one");
    }
}

static void check_sources(Model *m) {
    Program *program = m->program;
    DataSource *const sources[] = {&program->train, &program->test, &program->validation};
    bool checked = false;
    for (int i = 0; i < 3 && program->raw_input && program->output; i++) {
        if (sources[i]->kind == DATA_CSV)
            check_listed_columns(m, sources[i]);
        bool text = sources[i]->kind == DATA_TEXT;
        if ((!text && sources[i]->kind != DATA_WINDOWS) || !check_window(m, sources[i]) || checked)
            continue;
        checked = true;
        check_window_output(m, sources[i]);
        if (text && m->compile.optimizer)
            check_character_loss(m, sources[i]);
        if (text)
            check_character_rows(m);
    }
}

void data_preprocess(Model *m) {
    m->program->raw_input = m->program->input;
    build_preprocess(m);
    check_sources(m);
}
