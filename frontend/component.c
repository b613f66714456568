/* Finding components by name, and what is said of names that are none. Needs the records; leaves nothing. */
#include "frontend/component.h"
#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>
#include "frontend/args.h"

const KindWords component_kind_words[COMPONENT_KINDS] = {
    [COMPONENT_LAYER] = {"a layer", "layers"},
    [COMPONENT_COMBINATOR] = {"a combinator of layers", "combinators"},
    [COMPONENT_ACTIVATION] = {"an activation", "activations"},
    [COMPONENT_LOSS] = {"a loss", "losses"},
    [COMPONENT_METRIC] = {"a metric", "metrics"},
    [COMPONENT_OPTIMIZER] = {"an optimizer", "optimizers"},
    [COMPONENT_SCHEDULE] = {"a learning-rate schedule", "schedules"},
    [COMPONENT_INITIALIZER] = {"an initializer", "initializers"},
    [COMPONENT_REGULARIZER] = {"a regularizer", "regularizers"},
    [COMPONENT_CALLBACK] = {"a callback", "callbacks"},
    [COMPONENT_DATA_SOURCE] = {"a data source", "data sources"},
    [COMPONENT_DATA_STEP] = {"a data step", "data steps"},
};

static const struct {
    ComponentKind kind;
    const char *name;
} not_built[] = {
#define NOT_BUILT(kind, name) {COMPONENT_##kind, #name},
#include "frontend/not_built.def"
#undef NOT_BUILT
};
enum { NOT_BUILT_COUNT = sizeof not_built / sizeof *not_built };

static bool in_list(const char *list, const char *name) {
    size_t length = strlen(name);
    while (list && *list) {
        size_t item = strcspn(list, "|");
        if (item == length && strncmp(list, name, length) == 0)
            return true;
        list += item + (list[item] == '|');
    }
    return false;
}

/* Keras takes the name of an optimizer in any case. */
static bool has_name(const Component *component, const char *name) {
    return component->kind == COMPONENT_OPTIMIZER ? strcasecmp(component->name, name) == 0
                                                  : strcmp(component->name, name) == 0;
}

const Component *component_find(ComponentKind kind, const char *name) {
    for (int i = 0; components[i]; i++)
        if (components[i]->kind == kind && (has_name(components[i], name) || in_list(components[i]->aliases, name)))
            return components[i];
    return NULL;
}

int component_parameter(const Component *component, const char *name) {
    for (int i = 0; component->parameters[i].name; i++)
        if (strcmp(component->parameters[i].name, name) == 0)
            return i;
    return -1;
}

static void signature_parameter(Text *out, const Parameter *parameter, const char *separator) {
    text_format(out, "%s%s", separator, parameter->name);
    if (parameter->default_text)
        text_format(out, "=%s", parameter->default_text);
}

void component_signature(Text *out, const Component *component, int limit) {
    text_format(out, "%s(", component->name);
    const char *separator = "";
    for (const Parameter *p = component->parameters; p->name; p++) {
        if (p->default_text && limit-- <= 0) {
            text_format(out, "%s...", separator);
            break;
        }
        signature_parameter(out, p, separator);
        separator = ", ";
    }
    text_add(out, ")");
}

/* A layer may be asked for where combinators do as well. */
static bool kind_fits(ComponentKind kind, ComponentKind wanted) {
    return kind == wanted || (wanted == COMPONENT_LAYER && kind == COMPONENT_COMBINATOR);
}

/* `best`, or the candidate if it is nearer. */
static void nearer(const char **best, const char *name, const char *candidate) {
    const char *candidates[2] = {*best ? *best : candidate, candidate};
    const char *found = text_nearest(name, candidates, 2);
    if (found)
        *best = found;
}

static const char *nearest_name(ComponentKind kind, const char *name, const char *const *others, int other_count,
                                char alias[64]) {
    const char *best = NULL;
    for (int i = 0; i < other_count; i++)
        nearer(&best, name, others[i]);
    for (int i = 0; components[i]; i++) {
        if (!kind_fits(components[i]->kind, kind))
            continue;
        nearer(&best, name, components[i]->name);
        for (const char *list = components[i]->aliases; list && *list;) {
            size_t length = strcspn(list, "|");
            char one[64] = "";
            if (length < sizeof one)
                memcpy(one, list, length);
            nearer(&best, name, one);
            if (best == one)
                best = memcpy(alias, one, sizeof one);
            list += length + (list[length] == '|');
        }
    }
    return best;
}

static bool report_not_built(Diag *diag, ComponentKind kind, const char *name, Span span) {
    for (int i = 0; i < NOT_BUILT_COUNT; i++)
        if (kind_fits(not_built[i].kind, kind) && strcmp(not_built[i].name, name) == 0) {
            diag_error(diag, span, "`%s` is not built yet", name);
            diag_help(diag, "`nnc help` lists the %s that are", component_kind_words[kind].many);
            return true;
        }
    return false;
}

static bool report_other_kind(Diag *diag, ComponentKind kind, const char *name, Span span) {
    for (int other = 0; other < COMPONENT_KINDS; other++) {
        if (kind_fits((ComponentKind)other, kind) || !component_find((ComponentKind)other, name))
            continue;
        diag_error(diag, span, "`%s` is %s, not %s", name, component_kind_words[other].one,
                   component_kind_words[kind].one);
        if (other == COMPONENT_ACTIVATION && kind == COMPONENT_LAYER)
            diag_help(diag, "as a layer it is written `Activation(%s)`", name);
        return true;
    }
    return false;
}

void component_unknown(Diag *diag, ComponentKind kind, const char *name, Span span, const char *const *others,
                       int other_count) {
    char alias[64];
    if (report_not_built(diag, kind, name, span) || report_other_kind(diag, kind, name, span))
        return;
    diag_error(diag, span, "`%s` is not %s", name, component_kind_words[kind].one);
    const char *nearest = nearest_name(kind, name, others, other_count, alias);
    if (nearest)
        diag_help(diag, "did you mean `%s`?", nearest);
    else
        diag_help(diag, "`nnc help` lists all %s", component_kind_words[kind].many);
}

const char *component_snake(Arena *arena, const char *name) {
    char *out = arena_alloc(arena, 2 * strlen(name) + 1), *end = out;
    for (size_t i = 0; name[i]; i++) {
        bool upper = isupper((unsigned char)name[i]) != 0;
        bool before_lower = upper && islower((unsigned char)name[i + 1]);
        bool after_lower = upper && i && islower((unsigned char)name[i - 1]);
        if (i && (before_lower || after_lower) && end[-1] != '_')
            *end++ = '_';
        *end++ = (char)tolower((unsigned char)name[i]);
    }
    return out;
}

const Arg *arg_find(const Args *args, const char *name) {
    int index = component_parameter(args->component, name);
    return index < 0 ? NULL : &args->values[index];
}

/* What an accessor may ask for: a parameter of the schema, and of a type that it reads. */
static const Arg missing = {.is_none = true};

static const Arg *arg_of_type(const Args *args, const char *name, unsigned types) {
    int index = component_parameter(args->component, name);
    if (index >= 0 && types >> args->component->parameters[index].type & 1)
        return &args->values[index];
    diag_internal(args->diag, args->span, "%s asks for `%s`, which its schema %s", args->component->name, name,
                  index < 0 ? "does not have" : "declares with another type");
    return &missing;
}

const Arg *arg_get(const Args *args, const char *name) {
    return arg_of_type(args, name, ~0u);
}

int64_t arg_int(const Args *args, const char *name) {
    const Arg *arg = arg_of_type(args, name, 1u << PARAMETER_INT);
    return arg->is_none ? 0 : arg->integer;
}

double arg_float(const Args *args, const char *name) {
    const Arg *arg = arg_of_type(args, name, 1u << PARAMETER_FLOAT);
    return arg->is_none ? NAN : arg->number;
}

bool arg_bool(const Args *args, const char *name) {
    const Arg *arg = arg_of_type(args, name, 1u << PARAMETER_BOOL);
    return !arg->is_none && arg->boolean;
}

const char *arg_text(const Args *args, const char *name) {
    const Arg *arg = arg_of_type(args, name, 1u << PARAMETER_STRING | 1u << PARAMETER_CHOICE);
    return arg->is_none ? NULL : arg->text;
}

bool arg_is_none(const Args *args, const char *name) {
    return arg_get(args, name)->is_none;
}
