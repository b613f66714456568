/* Expressions of kernels in the words of a dialect, with no more parentheses than needed. */
#include "codegen/emit/c_printer_parts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- small texts */

void c_float_text(char out[32], double value) {
    float f = (float)value;
    if (isnan(f) || isinf(f)) {
        strcpy(out, isnan(f) ? "NAN" : f > 0 ? "INFINITY" : "-INFINITY");
        return;
    }
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(out, 32, "%.*g", digits, (double)f);
        if (strtof(out, NULL) == f)
            break;
    }
    strcat(out, strpbrk(out, ".e") ? "f" : ".0f");
}

void c_suffix(char out[32], KType type) {
    if (type.lanes > 1)
        snprintf(out, 32, "%sx%d", kbase_names[type.base], type.lanes);
    else
        snprintf(out, 32, "%s", kbase_names[type.base]);
}

void c_template(CPrinter *p, Text *out, const char *template, KType type, const char *const *texts, int count) {
    char suffix[32];
    c_suffix(suffix, type);
    for (const char *c = template; *c; c++) {
        if (*c != '%')
            text_add_length(out, c, 1);
        else if (*++c == 't')
            text_add(out, suffix);
        else if (*c >= '1' && *c < '1' + count)
            text_add(out, texts[*c - '1']);
        else
            c_fail(p, "a spelling asks for operand %c", *c);
    }
}

void c_value_type(CPrinter *p, Text *out, KType type) {
    KType lanes = {type.base == KBASE_BOOL ? KBASE_I32 : type.base, type.lanes}; /* masks: 0 or -1 per lane */
    if (type.lanes == 1)
        text_add(out, p->dialect->value_types[type.base]);
    else if (!p->dialect->vector_type)
        c_fail(p, "%s has no vectors", p->dialect->name);
    else
        c_template(p, out, p->dialect->vector_type, lanes, NULL, 0);
}

/* ---- operators */

typedef struct {
    const char *text;
    int precedence, left, right; /* its own, and the least that its operands must have without parentheses */
} COperator;

/* Compilers warn about && within ||, and about comparisons beside & and |: those get parentheses. */
static const COperator operators[] = {
    {"+", PRECEDENCE_SUM, PRECEDENCE_SUM, PRECEDENCE_PRODUCT},
    {"-", PRECEDENCE_SUM, PRECEDENCE_SUM, PRECEDENCE_PRODUCT},
    {"*", PRECEDENCE_PRODUCT, PRECEDENCE_PRODUCT, PRECEDENCE_UNARY},
    {"/", PRECEDENCE_PRODUCT, PRECEDENCE_PRODUCT, PRECEDENCE_UNARY},
    {"%", PRECEDENCE_PRODUCT, PRECEDENCE_UNARY, PRECEDENCE_UNARY},
    {"<", PRECEDENCE_LESS, PRECEDENCE_SUM, PRECEDENCE_SUM},
    {"<=", PRECEDENCE_LESS, PRECEDENCE_SUM, PRECEDENCE_SUM},
    {">", PRECEDENCE_LESS, PRECEDENCE_SUM, PRECEDENCE_SUM},
    {">=", PRECEDENCE_LESS, PRECEDENCE_SUM, PRECEDENCE_SUM},
    {"==", PRECEDENCE_EQUAL, PRECEDENCE_SUM, PRECEDENCE_SUM},
    {"!=", PRECEDENCE_EQUAL, PRECEDENCE_SUM, PRECEDENCE_SUM},
    {"&", PRECEDENCE_BIT_AND, PRECEDENCE_UNARY, PRECEDENCE_UNARY},
    {"|", PRECEDENCE_BIT_OR, PRECEDENCE_UNARY, PRECEDENCE_UNARY},
    {"&&", PRECEDENCE_AND, PRECEDENCE_EQUAL, PRECEDENCE_EQUAL},
    {"||", PRECEDENCE_OR, PRECEDENCE_EQUAL, PRECEDENCE_EQUAL},
};

static const COperator *find_operator(const char *text, size_t length) {
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (strlen(operators[i].text) == length && memcmp(operators[i].text, text, length) == 0)
            return &operators[i];
    return NULL;
}

/* The operator of a template of the form "%1 + %2", or NULL. */
static const COperator *infix_of(const char *template) {
    size_t length = strlen(template);
    if (length < 7 || memcmp(template, "%1 ", 3) != 0 || memcmp(template + length - 3, " %2", 3) != 0)
        return NULL;
    return find_operator(template + 3, length - 6);
}

/* a + b and a * b may stand without parentheses on the left of their own kind only: that is the order of operations. */
static int print_infix(CPrinter *p, Text *out, const COperator *op, const KExpr *left, const KExpr *right) {
    c_expr(p, out, left, op->left);
    text_format(out, " %s ", op->text);
    c_expr(p, out, right, op->right);
    return op->precedence;
}

/* A vector operator takes a scalar beside a vector: the splat need not be written. */
static const KExpr *without_splat(const KExpr *e, const KExpr *other) {
    bool mixes = e->kind == KE_SPLAT && other->kind != KE_SPLAT && e->type.base != KBASE_BOOL;
    return mixes ? e->operand : e;
}

/* What precedence the place %n of a template asks for. */
static int place_of(const char *template, int operand) {
    char wanted[] = {'%', (char)('1' + operand), '\0'};
    const char *at = strstr(template, wanted);
    if (!at)
        return PRECEDENCE_ANY;
    if (at > template && (at[-1] == '-' || at[-1] == '!' || at[-1] == '~' || (at[-1] == ')' && at - template > 1)))
        return PRECEDENCE_UNARY;
    if (strstr(template, " ? "))
        return PRECEDENCE_OR;
    bool closed_before = at > template + 1 && (at[-1] == '(' || strncmp(at - 2, ", ", 2) == 0);
    bool closed_after = at[2] == ',' || at[2] == ')';
    return closed_before && closed_after ? PRECEDENCE_ANY : PRECEDENCE_UNARY;
}

static int precedence_of(const char *template) {
    if (strchr("-!~", template[0]))
        return PRECEDENCE_UNARY;
    if (template[0] == '(') /* a cast binds like a unary operator; "(.. ? .. : ..)" is closed */
        return template[strlen(template) - 1] == ')' ? PRECEDENCE_POSTFIX : PRECEDENCE_UNARY;
    return strstr(template, " ? ") ? PRECEDENCE_CONDITIONAL : PRECEDENCE_POSTFIX;
}

/* "-%1" before a text that begins with a minus would read as a decrement. */
static bool minus_meets_minus(const char *template, int operand, const char *text) {
    const char wanted[] = {'-', '%', (char)('1' + operand), '\0'};
    return text[0] == '-' && strstr(template, wanted);
}

static int print_template(CPrinter *p, Text *out, const char *template, KType type, KExpr *const *operands, int count) {
    const COperator *infix = infix_of(template);
    if (infix && count >= 2)
        return print_infix(p, out, infix, without_splat(operands[0], operands[1]),
                           without_splat(operands[1], operands[0]));
    Text texts[4] = {{0}};
    const char *finished[4] = {NULL};
    for (int i = 0; i < count; i++) {
        c_expr(p, &texts[i], operands[i], place_of(template, i));
        if (minus_meets_minus(template, i, texts[i].data)) {
            text_clear(&texts[i]);
            text_add(&texts[i], "(");
            c_expr(p, &texts[i], operands[i], PRECEDENCE_ANY);
            text_add(&texts[i], ")");
        }
        finished[i] = texts[i].data;
    }
    c_template(p, out, template, type, finished, count);
    for (int i = 0; i < count; i++)
        text_free(&texts[i]);
    return precedence_of(template);
}

/* ---- functions */

static bool is_number(const KExpr *e) {
    return e->kind == KE_CONST ? !isnan(e->number) : e->kind == KE_SPLAT && is_number(e->operand);
}

static bool fits(const DialectFused *row, const KExpr *e) {
    if (row->outer != (int)e->fn.fn || (row->vectors_only && e->type.lanes == 1) || e->type.base != KBASE_F32)
        return false;
    const KExpr *inner = e->fn.args[row->place];
    if (row->inner == FUSE_CONSTANT)
        return is_number(inner);
    return inner->kind == KE_FN && row->inner == (int)inner->fn.fn && inner->fn.args[0]->type.base == KBASE_F32;
}

/* The operands of both functions: the inner one's in its place, those after it moved on. */
static int fused_operands(const DialectFused *row, const KExpr *e, KExpr **operands) {
    int count = 0;
    for (int i = 0; i < scalar_infos[e->fn.fn].arity; i++) {
        KExpr *arg = e->fn.args[i];
        if (i != row->place || row->inner == FUSE_CONSTANT)
            operands[count++] = arg;
        else
            for (int j = 0; j < scalar_infos[arg->fn.fn].arity; j++)
                operands[count++] = arg->fn.args[j];
    }
    return count;
}

static const DialectFused *find_fused(const Dialect *d, const KExpr *e) {
    for (int i = 0; i < d->fused_count; i++)
        if (fits(&d->fused[i], e))
            return &d->fused[i];
    return NULL;
}

bool c_is_fused(const CPrinter *p, const KExpr *e) {
    return e->kind == KE_FN && find_fused(p->dialect, e);
}

static const char *find_scalar(const Dialect *d, const KExpr *e, KBase base) {
    for (int i = 0; i < d->scalar_count && e->type.lanes == 1; i++)
        if (d->scalars[i].fn == e->fn.fn && d->scalars[i].base == base)
            return d->scalars[i].template;
    return NULL;
}

static int print_fn(CPrinter *p, Text *out, const KExpr *e) {
    KExpr *operands[4];
    const DialectFused *fused = find_fused(p->dialect, e);
    if (fused) {
        int count = fused_operands(fused, e, operands);
        return print_template(p, out, fused->template, e->type, operands, count);
    }
    KType type = {e->fn.args[e->fn.fn == FN_select]->type.base, e->type.lanes};
    const char *template = find_scalar(p->dialect, e, type.base);
    if (!template)
        template = p->dialect->spelling(e->fn.fn);
    return print_template(p, out, template, type, e->fn.args, scalar_infos[e->fn.fn].arity);
}

/* ---- conversions */

static int print_vector_cast(CPrinter *p, Text *out, const KExpr *e) {
    static const char *const templates[4][4] = {
        /* to f32, i32, bool from .. */
        [KBASE_F32] = {[KBASE_I32] = "nnrt_from_i32_%t(%1)", [KBASE_BOOL] = "nnrt_from_i32_%t(-%1)"},
        [KBASE_I32] = {[KBASE_F32] = "nnrt_to_i32_%t(%1)", [KBASE_BOOL] = "-%1"},
        [KBASE_BOOL] = {[KBASE_F32] = "(%1 != 0.0f)", [KBASE_I32] = "(%1 != 0)"},
    };
    KBase to = e->type.base, from = e->operand->type.base;
    const char *template = templates[to][from];
    if (!template) {
        c_fail(p, "no conversion of vectors from %s to %s", kbase_names[from], kbase_names[to]);
        return PRECEDENCE_POSTFIX;
    }
    KType floats = {KBASE_F32, e->type.lanes};
    return print_template(p, out, template, floats, &e->operand, 1);
}

static int print_cast(CPrinter *p, Text *out, const KExpr *e) {
    if (e->type.lanes > 1)
        return print_vector_cast(p, out, e);
    if (e->type.base == KBASE_BOOL) {
        c_expr(p, out, e->operand, PRECEDENCE_SUM);
        text_add(out, e->operand->type.base == KBASE_F32 ? " != 0.0f" : " != 0");
        return PRECEDENCE_EQUAL;
    }
    text_format(out, "(%s)", p->dialect->value_types[e->type.base]);
    c_expr(p, out, e->operand, PRECEDENCE_UNARY);
    return PRECEDENCE_UNARY;
}

/* ---- the kinds */

static int print_number(Text *out, const KExpr *e) {
    char digits[32];
    if (e->type.base == KBASE_F32)
        c_float_text(digits, e->number);
    else if (e->type.base == KBASE_BOOL)
        strcpy(digits, e->number != 0 ? "true" : "false");
    else
        snprintf(digits, sizeof digits, "%lld", (long long)e->number);
    text_add(out, digits);
    return digits[0] == '-' ? PRECEDENCE_UNARY : PRECEDENCE_POSTFIX;
}

static int print_index(CPrinter *p, Text *out, const KExpr *e) {
    KExpr *operands[] = {e->index.left, e->index.right};
    if (e->index.op == 'm' || e->index.op == 'M')
        return print_template(p, out, e->index.op == 'm' ? p->dialect->minimum : p->dialect->maximum, e->type, operands,
                              2);
    COperator op = *find_operator(&e->index.op, 1);
    if (op.precedence == PRECEDENCE_PRODUCT && operands[0]->kind == KE_INDEX && operands[0]->index.op != '*')
        op.left = PRECEDENCE_UNARY; /* (a / b) * c: correct without, but harder to read */
    return print_infix(p, out, &op, operands[0], operands[1]);
}

static int print_load(CPrinter *p, Text *out, const KExpr *e) {
    bool in_registers = e->load.buffer->lanes > 1; /* an array of vectors */
    if (in_registers || e->type.lanes == 1)
        return c_access(p, out, e->load.buffer, e->load.index, e->load.index_count - in_registers);
    const char *rest = e->load.stride && e->load.count ? "strided_part_%t(%1, %2, %3)"
                       : e->load.stride                ? "strided_%t(%1, %2)"
                       : e->load.count                 ? "part_%t(%1, %3)"
                                                       : "%t(%1)";
    char template[64];
    snprintf(template, sizeof template, "nnrt_load_%s", rest);
    Text texts[3] = {{0}};
    c_address(p, &texts[0], e->load.buffer, e->load.index, e->load.index_count);
    if (e->load.stride)
        c_expr(p, &texts[1], e->load.stride, PRECEDENCE_ANY);
    if (e->load.count)
        c_expr(p, &texts[2], e->load.count, PRECEDENCE_ANY);
    c_template(p, out, template, e->type, (const char *const[]){texts[0].data, texts[1].data, texts[2].data}, 3);
    for (int i = 0; i < 3; i++)
        text_free(&texts[i]);
    return PRECEDENCE_POSTFIX;
}

static int print_random(CPrinter *p, Text *out, const KExpr *e) {
    bool uniform = e->random.kind == RANDOM_UNIFORM;
    const char *name = uniform ? p->dialect->uniform : p->dialect->normal, *stream = c_stream(p, e->random.stream);
    KExpr *operands[] = {e->random.seed, e->random.step, e->random.index};
    Text template = {0};
    text_format(&template, e->type.lanes > 1 ? "%s_%%t(" : "%s(", name);
    text_format(&template, "(uint32_t)%%1, %s, (uint32_t)%%2, (uint64_t)%%3)", stream);
    int precedence = print_template(p, out, template.data, e->type, operands, 3);
    text_free(&template);
    return precedence;
}

static int print_across(CPrinter *p, Text *out, const KExpr *e) {
    static const char *const templates[] = {[REDUCE_SUM] = "nnrt_reduce_add_%t(%1)",
                                            [REDUCE_MAX] = "nnrt_reduce_max_%t(%1)",
                                            [REDUCE_MIN] = "nnrt_reduce_min_%t(%1)"};
    KExpr *operand = e->across.operand;
    return print_template(p, out, templates[e->across.kind], operand->type, &operand, 1);
}

/* Returns the precedence of what was printed. */
static int print_expr(CPrinter *p, Text *out, const KExpr *e) {
    switch (e->kind) {
    case KE_CONST:
        return print_number(out, e);
    case KE_VAR:
        text_add(out, p->names && p->names[e->var->id] ? p->names[e->var->id] : e->var->name);
        return PRECEDENCE_POSTFIX;
    case KE_BATCH:
        text_add(out, "batch");
        return PRECEDENCE_POSTFIX;
    case KE_LOAD:
        return print_load(p, out, e);
    case KE_FN:
        return print_fn(p, out, e);
    case KE_INDEX:
        return print_index(p, out, e);
    case KE_CAST:
        return print_cast(p, out, e);
    case KE_SPLAT:
        return print_template(p, out, "nnrt_splat_%t(%1)", e->type, &e->operand, 1);
    case KE_LANES:
        c_template(p, out, "nnrt_lanes_%t()", e->type, NULL, 0);
        return PRECEDENCE_POSTFIX;
    case KE_ACROSS:
        return print_across(p, out, e);
    case KE_RANDOM:
        return print_random(p, out, e);
    }
    return PRECEDENCE_POSTFIX;
}

void c_expr(CPrinter *p, Text *out, const KExpr *e, int least) {
    Text text = {0};
    bool parentheses = print_expr(p, &text, e) < least;
    text_add(out, parentheses ? "(" : "");
    text_add(out, text.data ? text.data : "");
    text_add(out, parentheses ? ")" : "");
    text_free(&text);
}
