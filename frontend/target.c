/* What the model is trained towards: the type of the target, classes, and the loss and metrics whose meaning depends on
 * the shape of the output (Keras' rules). Needs the model's output; leaves program->target and the resolved choices. */
#include <string.h>
#include <strings.h>
#include "frontend/analyse.h"
#include "frontend/components/components.h"

typedef enum { FORM_BINARY, FORM_SPARSE, FORM_CATEGORICAL } Form;

/* Words that stand for one of three components. */
static const struct {
    const char *names[2];
    ComponentKind kind;
    const char *forms[3];
} resolved_names[] = {
    {{"accuracy", "acc"}, COMPONENT_METRIC, {"binary_accuracy", "sparse_categorical_accuracy", "categorical_accuracy"}},
    {{"crossentropy", "ce"},
     COMPONENT_METRIC,
     {"binary_crossentropy", "sparse_categorical_crossentropy", "categorical_crossentropy"}},
    {{"crossentropy", "ce"},
     COMPONENT_LOSS,
     {"binary_crossentropy", "sparse_categorical_crossentropy", "categorical_crossentropy"}},
};

static int64_t last_extent(const Type *type) {
    return type->dims[type->rank - 1].n;
}

/* The component that the word stands for; arguments as in a call of it without any. */
static const Component *resolve(Model *m, ComponentKind kind, const char *word, Form form, Span span, Args **args) {
    for (size_t i = 0; i < sizeof resolved_names / sizeof *resolved_names; i++) {
        if (resolved_names[i].kind != kind ||
            (strcasecmp(resolved_names[i].names[0], word) != 0 && strcasecmp(resolved_names[i].names[1], word) != 0))
            continue;
        Expr *name = ARENA_NEW(m->arena, Expr);
        *name = (Expr){.kind = EXPR_NAME, .depth = 1, .span = span, .text = resolved_names[i].forms[form]};
        Arg part = {0};
        if (!args_part(m->arena, m->diag, kind, name, NULL, &part))
            return NULL;
        *args = part.part.args;
        return part.part.component;
    }
    diag_internal(m->diag, span, "`%s` stands for no component", word);
    return NULL;
}

/* The target's type and, of an index, its classes. */
static void target_type(Model *m) {
    Program *program = m->program;
    const Type *output = program->output;
    if (!(m->compile.loss->flags & COMPONENT_SPARSE_TARGET)) {
        program->target = output;
        return;
    }
    program->target = type_get(m->module, DTYPE_I32, output->rank - 1, output->dims);
    program->class_count = last_extent(output);
}

/* A file with one class index per sample. */
static bool holds_class_index(const DataSource *source) {
    return source->kind == DATA_IDX || (source->kind == DATA_CSV && source->target && source->target_count < 2);
}

static const DataSource *any_source(const Program *program) {
    return program->train.kind != DATA_NONE  ? &program->train
           : program->test.kind != DATA_NONE ? &program->test
                                             : &program->validation;
}

static bool check_sparse(Model *m) {
    const Type *output = m->program->output;
    const char *loss = component_snake(m->arena, m->compile.loss->name);
    if (output->rank < 2 || last_extent(output) < 2) {
        diag_error(m->diag, m->compile.loss_span, "%s needs one output per class, but the model gives %s", loss,
                   shape_words(m, output));
        diag_help(m->diag,
                  "end the model with Dense(CLASSES, activation=softmax), or use binary_crossentropy for yes or no");
        return false;
    }
    if (output->rank > 2 && holds_class_index(any_source(m->program))) {
        diag_error(m->diag, m->compile.loss_span,
                   "the model gives %s, a class for each position, but the data has one class per sample",
                   shape_words(m, output));
        diag_help(m->diag, "put Flatten() or GlobalAveragePooling2D() before the last Dense");
        return false;
    }
    return true;
}

static bool check_loss(Model *m) {
    const Component *loss = m->compile.loss;
    const Type *output = m->program->output;
    if (loss->flags & COMPONENT_SPARSE_TARGET)
        return check_sparse(m);
    if ((loss->flags & COMPONENT_ONE_HOT_TARGET) && last_extent(output) < 2) {
        diag_error(m->diag, m->compile.loss_span, "%s needs one output per class, but the model gives %s",
                   component_snake(m->arena, loss->name), shape_words(m, output));
        diag_help(m->diag,
                  "end the model with Dense(CLASSES, activation=softmax), or use binary_crossentropy for yes or no");
        return false;
    }
    bool binary = strcmp(component_snake(m->arena, loss->name), "binary_crossentropy") == 0;
    if (binary && m->logits && m->logits_kind == -1) {
        diag_warning(m->diag, m->compile.loss_span,
                     "binary_crossentropy after a softmax: each output is judged as a yes or no of its own");
        diag_help(m->diag, "use categorical_crossentropy, or activation=sigmoid");
    }
    return true;
}

static void warn_logits(Model *m) {
    const Arg *from_logits = arg_find(m->compile.loss_args, "from_logits");
    if (!from_logits || !from_logits->given || !from_logits->boolean || !m->logits ||
        m->logits_output->type != m->program->output)
        return;
    diag_warning(m->diag, from_logits->span, "from_logits=true, but the model ends in a %s: it is applied twice",
                 m->logits_kind == -1 ? "softmax" : "sigmoid");
    diag_help(m->diag, "leave one of the two out");
}

static bool resolve_loss(Model *m) {
    if (!m->compile.loss) { /* crossentropy: files have one column for the target unless the output has one value */
        Form form = last_extent(m->program->output) == 1 ? FORM_BINARY : FORM_SPARSE;
        m->compile.loss = resolve(m, COMPONENT_LOSS, "crossentropy", form, m->compile.loss_span, &m->compile.loss_args);
    }
    return m->compile.loss && check_loss(m);
}

static Form target_form(const Program *program) {
    if (last_extent(program->output) == 1)
        return FORM_BINARY;
    return program->target->rank < program->output->rank ? FORM_SPARSE : FORM_CATEGORICAL;
}

static bool resolve_metric(Model *m, MetricChoice *metric) {
    Program *program = m->program;
    if (!metric->component)
        metric->component =
            resolve(m, COMPONENT_METRIC, metric->name, target_form(program), metric->span, &metric->args);
    if (!metric->component)
        return false;
    bool wants_index = (metric->component->flags & COMPONENT_SPARSE_TARGET) != 0;
    bool has_index = program->target->rank < program->output->rank;
    if (wants_index == has_index)
        return true;
    diag_error(m->diag, metric->span, "%s wants a target of shape %s, but with this loss it is %s",
               metric->component->name, wants_index ? "(B,), the class" : shape_words(m, program->output),
               has_index ? arena_format(m->arena, "%s, the class", shape_words(m, program->target))
                         : shape_words(m, program->target));
    if (metric->component->flags & COMPONENT_HIGHER_IS_BETTER)
        diag_help(m->diag, "the metric `accuracy` takes the form that fits");
    else
        diag_help(m->diag, "use %s",
                  wants_index ? "the form without Sparse" : "a metric of classes, such as `accuracy`");
    return false;
}

static void list_metrics(Model *m) {
    Program *program = m->program;
    program->metric_count = 1 + m->compile.metric_count;
    program->metrics = ARENA_ARRAY(m->arena, Metric, program->metric_count);
    program->metrics[0] = (Metric){"loss", false, false};
    for (int i = 0; i < m->compile.metric_count; i++) {
        const MetricChoice *choice = &m->compile.metrics[i];
        unsigned flags = choice->component ? choice->component->flags : 0;
        program->metrics[i + 1] =
            (Metric){choice->name, (flags & COMPONENT_ROOT_MEAN) != 0, (flags & COMPONENT_HIGHER_IS_BETTER) != 0};
    }
}

/* A list of target columns has one for each output. */
static void check_target_list(Model *m, const DataSource *source) {
    const Type *target = m->program->target;
    int64_t wanted = target->rank == 2 && target->dtype == DTYPE_F32 ? last_extent(target) : 1;
    if (source->kind != DATA_CSV || source->target_count < 2 || source->target_count == wanted)
        return;
    diag_error(m->diag, source->span, "the target has %d columns, but the model and its loss take %lld",
               source->target_count, (long long)wanted);
}

bool target_resolve(Model *m) {
    Program *program = m->program;
    if (program->output->rank < 1 || !program->output->dims[0].batch || program->output->rank < 2) {
        diag_error(m->diag, m->compile.loss_span, "a loss needs an output of shape (B, ...), but the model gives %s",
                   shape_words(m, program->output));
        return false;
    }
    if (!resolve_loss(m))
        return false;
    target_type(m);
    warn_logits(m);
    const DataSource *source = any_source(program);
    program->target_one_hot = (m->compile.loss->flags & COMPONENT_ONE_HOT_TARGET) && holds_class_index(source);
    if (program->target_one_hot)
        program->class_count = last_extent(program->output);
    int errors = diag_errors(m->diag);
    check_target_list(m, &program->train);
    check_target_list(m, &program->test);
    check_target_list(m, &program->validation);
    bool good = diag_errors(m->diag) == errors;
    for (int i = 0; i < m->compile.metric_count; i++)
        good = resolve_metric(m, &m->compile.metrics[i]) && good;
    list_metrics(m);
    return good;
}
