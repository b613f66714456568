/* args_bind: which argument goes to which parameter. The schema's order is the positional order, as in Keras. */
#include <string.h>
#include "frontend/args.h"
#include "frontend/constants.h"

const char *expr_callee(const Expr *expr, Span *span) {
    *span = expr->kind == EXPR_CALL ? expr->call.name_span : expr->span;
    if (expr->kind == EXPR_CALL)
        return expr->call.name;
    return expr->kind == EXPR_NAME || expr->kind == EXPR_STRING ? expr->text : NULL;
}

bool parameter_not_built(const Parameter *parameter) {
    return parameter->doc && strncmp(parameter->doc, NOT_BUILT_YET, strlen(NOT_BUILT_YET)) == 0;
}

/* Of a block: those that are built. */
static void list_settings(Text *out, const Component *block) {
    text_format(out, "%s has", block->name);
    const char *separator = " ";
    for (const Parameter *p = block->parameters; p->name; p++)
        if (!parameter_not_built(p)) {
            text_format(out, "%s%s", separator, p->name);
            separator = ", ";
        }
}

static void unknown_argument(Diag *diag, const Component *component, const Argument *argument) {
    enum { MOST = 64 };
    const char *names[MOST];
    int count = 0;
    for (const Parameter *p = component->parameters; p->name && count < MOST; p++)
        names[count++] = p->name;
    const char *what = component->kind == COMPONENT_KINDS ? "setting" : "argument";
    diag_error(diag, argument->name_span, "%s has no %s `%s`", component->name, what, argument->name);
    const char *nearest = text_nearest(argument->name, names, count);
    if (nearest) {
        diag_help(diag, "did you mean `%s`?", nearest);
    } else if (count) {
        Text text = {0};
        if (component->kind == COMPONENT_KINDS)
            list_settings(&text, component);
        else
            component_signature(&text, component, 6);
        diag_help(diag, "%s", text.data);
        text_free(&text);
    }
}

/* Index of the parameter that the argument is for; -1 after an error. `position` counts the positional ones. */
static int argument_place(Diag *diag, const Component *component, const Expr *call, const Argument *argument,
                          int *position) {
    if (argument->name) {
        int index = component_parameter(component, argument->name);
        if (index < 0)
            unknown_argument(diag, component, argument);
        return index;
    }
    if (argument > call->call.arguments && argument[-1].name) {
        diag_error(diag, argument->value->span, "an argument without a name after one with a name");
        diag_help(diag, "arguments by position come first, then those by name");
        return -1;
    }
    int index = (*position)++, count = 0;
    while (component->parameters[count].name)
        count++;
    if (index < count)
        return index;
    if (index == count) {
        diag_error(diag, argument->value->span, count ? "%s takes at most %d argument%s" : "%s takes no arguments",
                   component->name, count, count == 1 ? "" : "s");
    }
    return -1;
}

/* `misplaced`: there was an argument that fits no parameter, perhaps meant for one that is now missing. */
static bool bind_given(Binder *binder, Args *args, const Expr *call, bool *misplaced) {
    bool good = true;
    int position = 0;
    for (int i = 0; i < call->call.count; i++) {
        const Argument *argument = &call->call.arguments[i];
        int index = argument_place(binder->diag, binder->component, call, argument, &position);
        if (index < 0) {
            *misplaced = true;
            continue;
        }
        Arg *arg = &args->values[index];
        Span place = argument->name ? argument->name_span : argument->value->span;
        if (arg->given) {
            diag_error(binder->diag, place, "`%s` of %s is given twice", binder->component->parameters[index].name,
                       binder->component->name);
            diag_note(binder->diag, arg->span, "first here");
            good = false;
            continue;
        }
        arg->given = true;
        arg->span = argument->value->span;
        const Expr *value = constants_fold(binder->arena, binder->diag, argument->value, binder->constants);
        if (!value || !arg_read(binder, &binder->component->parameters[index], value, arg)) {
            *arg = (Arg){.given = true, .is_none = true, .span = arg->span};
            good = false;
        }
    }
    return good && !*misplaced;
}

static void report_missing(Binder *binder, const char *names, Span span) {
    diag_error(binder->diag, span, "%s needs %s", binder->component->name, names);
    if (binder->component->kind == COMPONENT_KINDS) /* a block, not a call */
        return;
    Text text = {0};
    component_signature(&text, binder->component, 3);
    diag_help(binder->diag, "%s", text.data);
    text_free(&text);
}

static bool bind_defaults(Binder *binder, Args *args, Span span, bool misplaced) {
    const char *missing = "";
    int missing_count = 0;
    bool good = true;
    Binder plain = *binder;
    plain.constants = NULL; /* constants of the file do not change defaults */
    for (int i = 0; binder->component->parameters[i].name; i++) {
        const Parameter *p = &binder->component->parameters[i];
        if (args->values[i].given)
            continue;
        args->values[i].span = args->span;
        if (!p->default_text) {
            args->values[i].is_none = true;
            missing = arena_format(binder->arena, "%s%s`%s`", missing, missing_count++ ? ", " : "", p->name);
            continue;
        }
        const Expr *value = ast_parse_expr(binder->arena, NULL, binder->diag, p->default_text, args->span);
        value = value ? constants_fold(binder->arena, binder->diag, value, NULL) : NULL;
        if (!value || !arg_read(&plain, p, value, &args->values[i])) {
            diag_internal(binder->diag, span, "default of `%s` of %s", p->name, binder->component->name);
            good = false;
        }
    }
    if (missing_count && !misplaced)
        report_missing(binder, missing, span);
    return good && !missing_count;
}

Args *args_bind(Arena *arena, Diag *diag, const Component *component, const Expr *call, Map *constants) {
    bool good;
    Args *args = args_bind_most(arena, diag, component, call, constants, &good);
    return good ? args : NULL;
}

Args *args_bind_most(Arena *arena, Diag *diag, const Component *component, const Expr *call, Map *constants,
                     bool *good) {
    Binder binder = {arena, diag, constants, component};
    int count = 0;
    while (component->parameters[count].name)
        count++;
    Args *args = ARENA_NEW(arena, Args);
    args->component = component;
    args->diag = diag;
    args->span = call->span;
    args->values = ARENA_ARRAY(arena, Arg, count + 1);
    bool misplaced = false;
    *good = true;
    Span name_span;
    expr_callee(call, &name_span);
    if (call->kind == EXPR_CALL) {
        args->bodies = call->call.bodies;
        args->body_count = call->call.body_count;
        *good = bind_given(&binder, args, call, &misplaced);
        if (call->call.body_count && component->kind != COMPONENT_COMBINATOR && component->kind != COMPONENT_KINDS) {
            diag_error(diag, call->call.bodies[0].span, "%s takes no { ... }", component->name);
            *good = false;
        }
    }
    *good = bind_defaults(&binder, args, name_span, misplaced) && *good;
    return args;
}

bool args_part(Arena *arena, Diag *diag, ComponentKind kind, const Expr *expr, Map *constants, Arg *out) {
    Span span;
    const char *name = expr_callee(expr, &span);
    const Component *component = component_find(kind, name);
    if (!component && kind == COMPONENT_LAYER && component_find(COMPONENT_COMBINATOR, name)) {
        diag_error(diag, span, "`%s` with its { ... } cannot be an argument of a layer", name);
        return false;
    }
    if (!component) {
        component_unknown(diag, kind, name, span, NULL, 0);
        return false;
    }
    out->span = expr->span;
    out->part.component = component;
    out->part.args = args_bind(arena, diag, component, expr, constants);
    return out->part.args != NULL;
}
