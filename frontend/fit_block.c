/* The fit block: how a run goes. fit_finish checks what needs the compiled model: callbacks and class weights. */
#include <math.h>
#include <string.h>
#include "frontend/analyse.h"
#include "frontend/constants.h"

static void check_entries(Model *m) {
    for (int i = 0; i < m->fit->body.count; i++) {
        const Entry *entry = m->fit->body.entries[i];
        if (entry->kind == ENTRY_BLOCK && entry->name) {
            diag_error(m->diag, entry->name_span, "`step { ... }` is not built yet");
            diag_help(m->diag, "leave it out: the ordinary step minimises the loss of the compile block");
        } else if (entry->kind != ENTRY_ASSIGN) {
            diag_error(m->diag, entry->span, "fit has settings only: `name = value`");
        }
    }
}

void fit_read(Model *m) {
    Fit *fit = &m->program->fit;
    *fit = (Fit){.epochs = 1, .batch_size = 32, .validation_freq = 1, .shuffle = true};
    if (!m->fit)
        return;
    check_entries(m);
    const Args *args = m->fit_args = block_bind(m, m->fit);
    fit->epochs = (int)arg_int(args, "epochs");
    if (!arg_is_none(args, "batch_size"))
        fit->batch_size = (int)arg_int(args, "batch_size");
    fit->initial_epoch = (int)arg_int(args, "initial_epoch");
    fit->validation_freq = (int)arg_int(args, "validation_freq");
    fit->shuffle = arg_bool(args, "shuffle");
    fit->seed = (uint64_t)arg_int(args, "seed");
    if (!arg_get(args, "class_weight")->is_none)
        m->program->has_sample_weight = true;
}

static void read_split(Model *m) {
    const Arg *split = arg_get(m->fit_args, "validation_split");
    const Arg *other = m->data_args ? arg_get(m->data_args, "validation_split") : NULL;
    if (!split->given || split->is_none)
        return;
    if (split->number >= 1)
        diag_error(m->diag, split->span, "validation_split must be less than 1: something must be left to train on");
    if (other && other->given) {
        diag_error(m->diag, split->span, "validation_split is given twice");
        diag_note(m->diag, other->span, "the other one");
    }
    m->program->fit.validation_split = split->number;
}

static int64_t classes_of(const Program *program) {
    if (program->class_count > 0)
        return program->class_count;
    int64_t last = program->output->dims[program->output->rank - 1].n;
    return last == 1 ? 2 : last;
}

static void read_class_weight(Model *m) {
    const Arg *arg = arg_get(m->fit_args, "class_weight");
    if (arg->is_none)
        return;
    if (arg->expr->kind != EXPR_DICT) {
        diag_error(m->diag, arg->span, "class_weight must be a table from class to weight");
        diag_help(m->diag, "for example `class_weight = {0: 1.0, 1: 2.5}`");
        return;
    }
    Fit *fit = &m->program->fit;
    int64_t classes = classes_of(m->program);
    if (classes > MAX_CLASSES) {
        diag_error(m->diag, arg->span, "class_weight takes at most %d classes, but the model has %lld", MAX_CLASSES,
                   (long long)classes);
        return;
    }
    fit->class_weight = ARENA_ARRAY(m->arena, double, classes);
    fit->class_weight_count = (int)classes;
    for (int64_t i = 0; i < classes; i++)
        fit->class_weight[i] = 1;
    for (int i = 0; i + 1 < arg->expr->list.count; i += 2) {
        const Expr *class = arg->expr->list.items[i], *weight = arg->expr->list.items[i + 1];
        bool whole = class->kind == EXPR_NUMBER && class->number.is_integer;
        if (!whole || class->number.value < 0 || class->number.value >= (double)classes)
            diag_error(m->diag, class->span, "the model has the classes 0 to %lld", (long long)classes - 1);
        else if (weight->kind != EXPR_NUMBER || weight->number.value < 0)
            diag_error(m->diag, weight->span, "the weight of a class must be a number that is not negative");
        else
            fit->class_weight[(int64_t) class->number.value] = weight->number.value;
    }
}

/* What a callback can watch: loss, the metrics, and the same of the validation data. */
static void check_monitor(Model *m, const Args *args) {
    const Arg *monitor = arg_find(args, "monitor");
    if (!monitor || monitor->is_none || !m->program->target)
        return;
    const Program *program = m->program;
    const char **names = ARENA_ARRAY(m->arena, const char *, 2 * program->metric_count);
    const char *list = "";
    for (int i = 0; i < program->metric_count; i++) {
        names[2 * i] = program->metrics[i].name;
        names[2 * i + 1] = arena_format(m->arena, "val_%s", program->metrics[i].name);
        if (strcmp(names[2 * i], monitor->text) == 0 || strcmp(names[2 * i + 1], monitor->text) == 0)
            return;
        list = arena_format(m->arena, "%s%s%s and %s", list, i ? ", " : "", names[2 * i], names[2 * i + 1]);
    }
    diag_error(m->diag, monitor->span, "there is no `%s` to watch", monitor->text);
    const char *nearest = text_nearest(monitor->text, names, 2 * program->metric_count);
    if (nearest)
        diag_help(m->diag, "did you mean `%s`?", nearest);
    else
        diag_help(m->diag, "there are %s", list);
}

static void warn_no_validation(Model *m, const Args *args) {
    const Arg *monitor = arg_find(args, "monitor");
    const Program *program = m->program;
    if (!monitor || monitor->is_none || strncmp(monitor->text, "val_", 4) != 0 || program->train.kind == DATA_NONE ||
        program->validation.kind != DATA_NONE || program->fit.validation_split > 0)
        return;
    diag_warning(m->diag, monitor->given ? monitor->span : args->span,
                 "%s watches `%s`, but there is no validation data", args->component->name, monitor->text);
    diag_help(m->diag, "add `validation_split = 0.1` to the data block");
}

static void read_callback(Model *m, const Expr *item, int *capacity) {
    const Expr *expr = constants_fold(m->arena, m->diag, item, m->constants);
    Arg part = {0};
    Span span;
    if (!expr)
        return;
    if (!expr_callee(expr, &span)) {
        diag_error(m->diag, expr->span, "a callback is written as a call: EarlyStopping(patience=3)");
        return;
    }
    if (!args_part(m->arena, m->diag, COMPONENT_CALLBACK, expr, m->constants, &part))
        return;
    Callback callback = {0};
    if (!part.part.component->build.callback(part.part.args, m->diag, &callback))
        return;
    check_monitor(m, part.part.args);
    warn_no_validation(m, part.part.args);
    if (callback.kind == CALLBACK_REDUCE_LR_ON_PLATEAU && m->compile.schedule) {
        diag_error(m->diag, expr->span, "%s cannot change a learning rate that is a schedule",
                   part.part.component->name);
        diag_help(m->diag, "give the optimizer a number as learning_rate");
    }
    Fit *fit = &m->program->fit;
    ARENA_PUSH(m->arena, fit->callbacks, fit->callback_count, *capacity, callback);
}

static void read_callbacks(Model *m) {
    const Arg *arg = arg_get(m->fit_args, "callbacks");
    int capacity = 0;
    if (arg->is_none)
        return;
    if (arg->expr->kind != EXPR_LIST && arg->expr->kind != EXPR_TUPLE) {
        read_callback(m, arg->expr, &capacity);
        return;
    }
    for (int i = 0; i < arg->expr->list.count; i++)
        read_callback(m, arg->expr->list.items[i], &capacity);
}

/* Keras: validation data goes before a split. */
static void warn_split_unused(Model *m) {
    const Arg *in_fit = m->fit_args ? arg_get(m->fit_args, "validation_split") : NULL;
    const Arg *in_data = m->data_args ? arg_get(m->data_args, "validation_split") : NULL;
    const Arg *split = in_fit && in_fit->given ? in_fit : in_data;
    if (!split || !split->given || m->program->fit.validation_split <= 0 || m->program->validation.kind == DATA_NONE)
        return;
    diag_warning(m->diag, split->span, "validation_split is not used: there is validation data");
    diag_note(m->diag, m->program->validation.span, "here");
    diag_help(m->diag, "leave out one of the two");
}

void fit_finish(Model *m) {
    if (m->fit_args)
        read_split(m);
    warn_split_unused(m);
    if (!m->fit_args)
        return;
    read_callbacks(m);
    if (m->program->target)
        read_class_weight(m);
    if (!m->compile_block) {
        diag_error(m->diag, m->fit->keyword_span, "a model cannot be fitted without a compile block");
        diag_help(m->diag, "add `compile { loss = ... }`");
    }
}
