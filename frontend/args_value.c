/* One argument: reads a folded expression as the parameter's type says, with a diagnostic for each way to be wrong. */
#include <math.h>
#include <string.h>
#include "frontend/args.h"
#include "frontend/constants.h"

/* Numbers at or beyond it are no limits worth telling. */
static const double no_limit = 2147483647.0;

static const char *shown(Binder *binder, const Expr *expr) {
    Text text = {0};
    expr_print(&text, expr);
    const char *words = text.length <= 40 ? arena_strdup(binder->arena, text.data) : "this";
    text_free(&text);
    return words;
}

static bool wrong(Binder *binder, const Parameter *parameter, const Expr *expr, const char *wanted) {
    diag_error(binder->diag, expr->span, "`%s` of %s must be %s, not `%s`", parameter->name, binder->component->name,
               wanted, shown(binder, expr));
    if (expr->kind == EXPR_NAME) {
        const char *nearest = constants_nearest(binder->constants, expr->text);
        if (nearest)
            diag_help(binder->diag, "did you mean the constant `%s`?", nearest);
    }
    return false;
}

/* The limits in words: "at least 0 and at most 1". */
static const char *limits(Binder *binder, const Parameter *p) {
    char low[32], high[32];
    text_number(low, p->minimum);
    text_number(high, p->maximum);
    const char *from = p->above_minimum ? "greater than" : "at least";
    if (p->maximum >= no_limit || p->maximum < p->minimum)
        return arena_format(binder->arena, "%s %s", from, low);
    if (p->minimum <= -no_limit)
        return arena_format(binder->arena, "at most %s", high);
    return arena_format(binder->arena, "%s %s and at most %s", from, low, high);
}

static bool in_range(Binder *binder, const Parameter *p, const Expr *expr, double value) {
    if (p->minimum == 0 && p->maximum == 0)
        return true;
    bool low = p->above_minimum ? value > p->minimum : value >= p->minimum;
    bool high = p->maximum >= no_limit || p->maximum < p->minimum || value <= p->maximum;
    if (p->type != PARAMETER_FLOAT)
        high = high && value <= no_limit;
    if (low && high)
        return true;
    char number[32];
    text_number(number, value);
    if (low && p->maximum >= no_limit)
        diag_error(binder->diag, expr->span, "`%s` of %s is too large", p->name, binder->component->name);
    else
        diag_error(binder->diag, expr->span, "`%s` of %s must be %s, not %s", p->name, binder->component->name,
                   limits(binder, p), number);
    return false;
}

static bool read_integer(Binder *binder, const Parameter *p, const Expr *expr, int64_t *out) {
    if (expr->kind != EXPR_NUMBER || !expr->number.is_integer) {
        wrong(binder, p, expr, "a whole number");
        if (expr->kind == EXPR_NUMBER && expr->number.value == floor(expr->number.value))
            diag_help(binder->diag, "write it without a point; a whole quotient is `a // b`");
        return false;
    }
    *out = (int64_t)expr->number.value;
    return in_range(binder, p, expr, expr->number.value);
}

static bool read_int(Binder *binder, const Parameter *p, const Expr *expr, Arg *arg) {
    return read_integer(binder, p, expr, &arg->integer);
}

static bool read_float(Binder *binder, const Parameter *p, const Expr *expr, Arg *arg) {
    if (expr->kind != EXPR_NUMBER)
        return wrong(binder, p, expr, "a number");
    arg->number = expr->number.value;
    return in_range(binder, p, expr, expr->number.value);
}

static bool read_bool(Binder *binder, const Parameter *p, const Expr *expr, Arg *arg) {
    if (expr->kind != EXPR_BOOL)
        return wrong(binder, p, expr, "true or false");
    arg->boolean = expr->boolean;
    return true;
}

static bool read_string(Binder *binder, const Parameter *p, const Expr *expr, Arg *arg) {
    if (expr->kind != EXPR_STRING && expr->kind != EXPR_NAME)
        return wrong(binder, p, expr, "a string");
    arg->text = expr->text;
    return true;
}

static bool read_choice(Binder *binder, const Parameter *p, const Expr *expr, Arg *arg) {
    enum { MOST = 16 };
    const char *names[MOST];
    int count = 0;
    char *list = arena_strdup(binder->arena, p->choices);
    while (*list && count < MOST) {
        size_t length = strcspn(list, "|");
        bool last = list[length] == '\0';
        list[length] = '\0';
        names[count++] = list;
        list += length + !last;
    }
    const char *words = "";
    bool text = expr->kind == EXPR_STRING || expr->kind == EXPR_NAME;
    for (int i = 0; i < count; i++) {
        if (text && strcmp(names[i], expr->text) == 0) {
            arg->text = names[i];
            return true;
        }
        words = arena_format(binder->arena, "%s%s`%s`", words, i == 0 ? "" : i + 1 == count ? " or " : ", ", names[i]);
    }
    wrong(binder, p, expr, words);
    const char *nearest = text ? text_nearest(expr->text, names, count) : NULL;
    if (nearest)
        diag_help(binder->diag, "did you mean `%s`?", nearest);
    return false;
}

static bool read_ints(Binder *binder, const Parameter *p, const Expr *expr, Arg *arg) {
    bool list = expr->kind == EXPR_LIST || expr->kind == EXPR_TUPLE;
    if (!list && expr->kind != EXPR_NUMBER)
        return wrong(binder, p, expr, "a whole number or a list of them");
    int count = list ? expr->list.count : p->length ? p->length : 1;
    if (count > MAX_RANK || (p->length && count != p->length) || count == 0) {
        const char *wanted = p->length ? arena_format(binder->arena, "%d whole numbers", p->length)
                                       : arena_format(binder->arena, "1 to %d whole numbers", (int)MAX_RANK);
        return wrong(binder, p, expr, wanted);
    }
    arg->ints.count = count;
    for (int i = 0; i < count; i++)
        if (!read_integer(binder, p, list ? expr->list.items[i] : expr, &arg->ints.items[i]))
            return false;
    return true;
}

static bool read_component(Binder *binder, const Parameter *p, const Expr *expr, Arg *arg) {
    Span span;
    if (!expr_callee(expr, &span))
        return wrong(binder, p, expr, component_kind_words[p->component].one);
    return args_part(binder->arena, binder->diag, p->component, expr, binder->constants, arg);
}

static bool read_any(Binder *binder, const Parameter *p, const Expr *expr, Arg *arg) {
    (void)binder, (void)p;
    arg->expr = expr;
    return true;
}

bool arg_read(Binder *binder, const Parameter *p, const Expr *expr, Arg *arg) {
    static bool (*const readers[])(Binder *, const Parameter *, const Expr *, Arg *) = {
        [PARAMETER_INT] = read_int,
        [PARAMETER_FLOAT] = read_float,
        [PARAMETER_BOOL] = read_bool,
        [PARAMETER_STRING] = read_string,
        [PARAMETER_CHOICE] = read_choice,
        [PARAMETER_INTS] = read_ints,
        [PARAMETER_COMPONENT] = read_component,
        [PARAMETER_ANY] = read_any,
    };
    arg->span = expr->span;
    bool may_be_none = (p->default_text && strcmp(p->default_text, "none") == 0) ||
                       p->component == COMPONENT_ACTIVATION || p->type == PARAMETER_ANY;
    if (expr->kind == EXPR_NONE && may_be_none) {
        arg->is_none = true;
        arg->expr = expr;
        return true;
    }
    return readers[p->type](binder, p, expr, arg);
}
