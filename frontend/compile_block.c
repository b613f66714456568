/* Reads the compile block: loss, optimizer with its learning rate, metrics. What depends on the shape of the output is
 * resolved in target.c. */
#include <string.h>
#include <strings.h>
#include "frontend/analyse.h"
#include "frontend/constants.h"

/* Words whose meaning depends on the shape of the output: target.c. In any case of letters, as in Keras. A loss takes
 * those of crossentropy alone. */
static const char *const later_names[] = {"crossentropy", "ce", "accuracy", "acc"};
enum { LATER_LOSSES = 2, LATER_NAMES = sizeof later_names / sizeof *later_names };

/* A call of a class, such as Accuracy(), means that class. */
static bool resolved_later(Model *m, ComponentKind kind, const Expr *expr, const char *name) {
    bool call = expr->kind == EXPR_CALL, found = false;
    for (int i = 0; i < (kind == COMPONENT_LOSS ? LATER_LOSSES : LATER_NAMES); i++)
        found = found || strcasecmp(later_names[i], name) == 0;
    if (!found || (call && component_find(kind, name)))
        return false;
    if (call && expr->call.count) {
        diag_error(m->diag, expr->span, "`%s` takes the form that fits the output, and no arguments", name);
        diag_help(m->diag, "call the form itself: Binary..., Categorical... or SparseCategorical...");
    }
    return true;
}

static void read_loss(Model *m, const Args *args) {
    const Arg *arg = arg_get(args, "loss");
    Span span;
    m->compile.loss_span = arg->span;
    m->compile.loss_wrong = true;
    if (arg->is_none && !arg->expr) /* reported */
        return;
    const char *name = expr_callee(arg->expr, &span);
    Arg part = {0};
    if (!name) {
        diag_error(m->diag, arg->span, "`loss` of compile must be a loss: a name or a call");
        return;
    }
    m->compile.loss_wrong = false;
    if (resolved_later(m, COMPONENT_LOSS, arg->expr, name))
        return;
    if (args_part(m->arena, m->diag, COMPONENT_LOSS, arg->expr, m->constants, &part)) {
        m->compile.loss = part.part.component;
        m->compile.loss_args = part.part.args;
    } else {
        m->compile.loss_wrong = true;
    }
}

static void read_learning_rate(Model *m) {
    const Arg *rate = arg_find(m->compile.optimizer_args, "learning_rate");
    Span span;
    if (!rate || rate->is_none || !rate->expr) {
        diag_error(m->diag, rate ? rate->span : m->compile_block->keyword_span, "the optimizer needs a learning rate");
        return;
    }
    if (rate->expr->kind == EXPR_NUMBER) {
        m->compile.learning_rate = rate->expr->number.value;
        if (m->compile.learning_rate < 0)
            diag_error(m->diag, rate->span, "the learning rate must not be negative");
        return;
    }
    Arg part = {0};
    if (!expr_callee(rate->expr, &span)) {
        diag_error(m->diag, rate->span, "`learning_rate` must be a number or a schedule");
        return;
    }
    if (args_part(m->arena, m->diag, COMPONENT_SCHEDULE, rate->expr, m->constants, &part)) {
        m->compile.schedule = part.part.component;
        m->compile.schedule_args = part.part.args;
    }
}

static void check_clips(Model *m) {
    static const char *const names[] = {"clipnorm", "clipvalue", "global_clipnorm"};
    const Arg *first = NULL;
    for (int i = 0; i < 3; i++) {
        const Arg *arg = arg_find(m->compile.optimizer_args, names[i]);
        if (!arg || arg->is_none)
            continue;
        if (first) {
            diag_error(m->diag, arg->span, "only one of clipnorm, clipvalue and global_clipnorm may be given");
            diag_note(m->diag, first->span, "the other one");
        }
        first = arg;
    }
}

static void read_optimizer(Model *m, const Args *args) {
    const Arg *arg = arg_get(args, "optimizer");
    if (arg->is_none || !arg->part.component)
        return;
    m->compile.optimizer = arg->part.component;
    m->compile.optimizer_args = arg->part.args;
    const Arg *name = arg_find(arg->part.args, "name");
    bool named = name && !name->is_none;
    m->compile.optimizer_name = named ? name->text : component_snake(m->arena, arg->part.component->name);
    if (named && strpbrk(name->text, "/ \t\n\"@"))
        diag_error(m->diag, name->span, "a name has letters, digits and _ only");
    read_learning_rate(m);
    check_clips(m);
}

static void name_metric(Model *m, MetricChoice *metric, const Expr *expr) {
    const Arg *name = metric->args ? arg_find(metric->args, "name") : NULL;
    if (name && !name->is_none && (name->given || expr->kind == EXPR_CALL))
        metric->name = name->text;
    else if (expr->kind == EXPR_CALL && metric->component)
        metric->name = component_snake(m->arena, metric->component->name);
    bool taken = strcmp(metric->name, "loss") == 0;
    for (int i = 0; i < m->compile.metric_count; i++)
        taken = taken || strcmp(m->compile.metrics[i].name, metric->name) == 0;
    if (taken || strncmp(metric->name, "val_", 4) == 0 || strpbrk(metric->name, ".\n\"")) {
        diag_error(m->diag, expr->span, "a metric cannot be called `%s`%s", metric->name,
                   taken ? ": the name is taken" : "");
        diag_help(m->diag, "give it a name: `name=\"...\"`");
    }
}

static void read_metric(Model *m, const Expr *expr) {
    Span span;
    const char *name = expr_callee(expr, &span);
    if (!name) {
        diag_error(m->diag, expr->span, "`metrics` of compile must be a list of metrics: names or calls");
        return;
    }
    MetricChoice metric = {.name = name, .span = expr->span};
    if (!resolved_later(m, COMPONENT_METRIC, expr, name)) {
        Arg part = {0};
        if (!component_find(COMPONENT_METRIC, name)) {
            component_unknown(m->diag, COMPONENT_METRIC, name, span, later_names, LATER_NAMES);
            return;
        }
        if (!args_part(m->arena, m->diag, COMPONENT_METRIC, expr, m->constants, &part))
            return;
        metric.component = part.part.component;
        metric.args = part.part.args;
    }
    name_metric(m, &metric, expr);
    ARENA_PUSH(m->arena, m->compile.metrics, m->compile.metric_count, m->compile.metric_capacity, metric);
}

static void read_metrics(Model *m, const Args *args) {
    const Arg *arg = arg_get(args, "metrics");
    if (arg->is_none)
        return;
    if (arg->expr->kind != EXPR_LIST && arg->expr->kind != EXPR_TUPLE) {
        read_metric(m, arg->expr);
        return;
    }
    for (int i = 0; i < arg->expr->list.count; i++) {
        const Expr *item = constants_fold(m->arena, m->diag, arg->expr->list.items[i], m->constants);
        if (item)
            read_metric(m, item);
    }
}

void compile_read(Model *m) {
    const Block *block = m->compile_block;
    if (!block)
        return;
    for (int i = 0; i < block->body.count; i++)
        if (block->body.entries[i]->kind != ENTRY_ASSIGN) {
            diag_error(m->diag, block->body.entries[i]->span, "compile has settings only: `name = value`");
            diag_help(m->diag, "`loss = ...`, `optimizer = ...`, `metrics = [...]`");
        }
    Args *args = block_bind(m, block);
    read_loss(m, args);
    read_optimizer(m, args);
    read_metrics(m, args);
}
