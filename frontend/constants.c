/* Constants: reads the `let`s in order and folds expressions. Needs the syntax tree; leaves a map of folded values. */
#include "frontend/constants.h"
#include <math.h>
#include <string.h>

/* The list of names stands in the map too, under a key that no name can have. */
static const char names_key[] = "";
typedef struct {
    const char **items;
    int count, capacity;
} NameList;

const char *constants_nearest(Map *constants, const char *word) {
    NameList *names = constants ? map_get(constants, names_key) : NULL;
    return names ? text_nearest(word, names->items, names->count) : NULL;
}

/* Stands for a constant whose value is a mistake that was reported: its uses are none. */
static const Expr mistake;

static Expr *expr_copy(Arena *arena, const Expr *expr, Span span) {
    Expr *copy = arena_copy(arena, expr, sizeof *expr);
    copy->span = span;
    return copy;
}

static void unknown_constant(Diag *diag, const Expr *name, Map *constants) {
    diag_error(diag, name->span, "`%s` is not a constant", name->text);
    const char *nearest = constants_nearest(constants, name->text);
    if (nearest)
        diag_help(diag, "did you mean `%s`?", nearest);
    else
        diag_help(diag, "constants are named by `let %s = ...` before they are used", name->text);
}

static bool operand(Diag *diag, const Expr *expr, Map *constants) {
    if (!expr || expr->kind == EXPR_NUMBER)
        return expr != NULL;
    if (expr->kind == EXPR_NAME)
        unknown_constant(diag, expr, constants);
    else
        diag_error(diag, expr->span, "arithmetic needs numbers on both sides");
    return false;
}

static double floored_remainder(double a, double b) {
    double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static double operate(int op, double a, double b) {
    switch (op) {
    case '+':
        return a + b;
    case '-':
        return a - b;
    case '*':
        return a * b;
    case '/':
        return a / b;
    case 'q':
        return floor(a / b);
    case '%':
        return floored_remainder(a, b);
    default:
        return pow(a, b);
    }
}

static const Expr *fold_operation(Arena *arena, Diag *diag, const Expr *expr, Map *constants) {
    const Expr *left = expr->operation.left ? constants_fold(arena, diag, expr->operation.left, constants) : NULL;
    const Expr *right = constants_fold(arena, diag, expr->operation.right, constants);
    bool good = !expr->operation.left || operand(diag, left, constants);
    if (!operand(diag, right, constants) || !good)
        return NULL;
    int op = expr->operation.op;
    double a = left ? left->number.value : 0, b = right->number.value;
    if ((op == '/' || op == 'q' || op == '%') && b == 0) {
        diag_error(diag, expr->operation.right->span, "division by zero");
        return NULL;
    }
    Expr *result = expr_copy(arena, right, expr->span);
    result->number.value = operate(op, a, b);
    bool whole = (!left || left->number.is_integer) && right->number.is_integer;
    result->number.is_integer = whole && op != '/' && !(op == '^' && b < 0);
    if (!isfinite(result->number.value) ||
        (result->number.is_integer && fabs(result->number.value) > 9007199254740992.0)) {
        diag_error(diag, expr->span, "the result of this is not a number, or too large");
        return NULL;
    }
    return result;
}

static const Expr *fold_items(Arena *arena, Diag *diag, const Expr *expr, Map *constants) {
    Expr *copy = expr_copy(arena, expr, expr->span);
    copy->list.items = ARENA_ARRAY(arena, Expr *, expr->list.count);
    bool good = true;
    for (int i = 0; i < expr->list.count; i++) {
        copy->list.items[i] = (Expr *)constants_fold(arena, diag, expr->list.items[i], constants);
        good = good && copy->list.items[i];
    }
    return good ? copy : NULL;
}

const Expr *constants_fold(Arena *arena, Diag *diag, const Expr *expr, Map *constants) {
    switch (expr->kind) {
    case EXPR_NAME: {
        const Expr *value = constants ? map_get(constants, expr->text) : NULL;
        if (value == &mistake)
            return NULL;
        return value ? expr_copy(arena, value, expr->span) : expr;
    }
    case EXPR_UNARY:
    case EXPR_BINARY:
        return fold_operation(arena, diag, expr, constants);
    case EXPR_LIST:
    case EXPR_TUPLE:
    case EXPR_DICT:
        return fold_items(arena, diag, expr, constants);
    default:
        return expr;
    }
}

static void constant_put(Arena *arena, Diag *diag, Map *constants, const Let *let, bool good) {
    NameList *names = map_get(constants, names_key);
    const Expr *value = good ? constants_fold(arena, diag, let->value, constants) : NULL;
    map_put(constants, let->name, (void *)(value ? value : &mistake));
    ARENA_PUSH(arena, names->items, names->count, names->capacity, let->name);
}

static const Let *let_find(const Ast *ast, const char *name, int before) {
    for (int i = 0; i < before; i++)
        if (strcmp(ast->lets[i].name, name) == 0)
            return &ast->lets[i];
    return NULL;
}

/* Values of -D by name; each must name a `let` of the file. */
static Map *defines_read(Arena *arena, Interner *names, Diag *diag, const Ast *ast, const char *const *defines,
                         int count) {
    Map *values = map_new(arena);
    NameList lets = {0};
    for (int i = 0; i < ast->let_count; i++)
        ARENA_PUSH(arena, lets.items, lets.count, lets.capacity, ast->lets[i].name);
    for (int i = 0; i < count; i++) {
        SourceFile *file = ARENA_NEW(arena, SourceFile);
        *file = (SourceFile){"<command line>", arena_strdup(arena, defines[i]), strlen(defines[i])};
        Span span = {file, 0, (uint32_t)file->length};
        const char *equals = strchr(defines[i], '=');
        if (!equals || equals == defines[i]) {
            diag_error(diag, span, "-D wants `name=value`");
            continue;
        }
        const char *name = intern_length(names, defines[i], (size_t)(equals - defines[i]));
        if (!let_find(ast, name, ast->let_count)) {
            diag_error(diag, span, "the program has no constant `%s`", name);
            const char *nearest = text_nearest(name, lets.items, lets.count);
            diag_help(diag, nearest ? "did you mean `%s`?" : "add `let %s = ...` to the program",
                      nearest ? nearest : name);
            continue;
        }
        Expr *value = ast_parse_expr(arena, names, diag, equals + 1, span);
        if (value)
            map_put(values, name, value);
    }
    return values;
}

static bool used_early(Diag *diag, const Expr *expr, const Ast *ast, int from, Map *constants);

static bool body_used_early(Diag *diag, const Body *body, const Ast *ast, int from, Map *constants) {
    bool found = false;
    for (int i = 0; i < body->count; i++) {
        const Entry *entry = body->entries[i];
        found = (entry->value && used_early(diag, entry->value, ast, from, constants)) || found;
        found = body_used_early(diag, &entry->body, ast, from, constants) || found;
    }
    return found;
}

/* A constant may use those above it only: so none is made of itself. */
static bool used_early(Diag *diag, const Expr *expr, const Ast *ast, int from, Map *constants) {
    bool found = false;
    if (expr->kind == EXPR_NAME && !map_get(constants, expr->text)) {
        for (int i = from; i < ast->let_count && !found; i++)
            found = strcmp(ast->lets[i].name, expr->text) == 0;
        if (found)
            diag_error(diag, expr->span, "the constant `%s` is used before it is defined", expr->text);
    } else if (expr->kind == EXPR_UNARY || expr->kind == EXPR_BINARY) {
        found = expr->operation.left && used_early(diag, expr->operation.left, ast, from, constants);
        found = used_early(diag, expr->operation.right, ast, from, constants) || found;
    } else if (expr->kind == EXPR_LIST || expr->kind == EXPR_TUPLE || expr->kind == EXPR_DICT) {
        for (int i = 0; i < expr->list.count; i++)
            found = used_early(diag, expr->list.items[i], ast, from, constants) || found;
    } else if (expr->kind == EXPR_CALL) {
        for (int i = 0; i < expr->call.count; i++)
            found = used_early(diag, expr->call.arguments[i].value, ast, from, constants) || found;
        for (int i = 0; i < expr->call.body_count; i++)
            found = body_used_early(diag, &expr->call.bodies[i], ast, from, constants) || found;
    }
    return found;
}

/* A number of the program can be given another number, by name too; a word in its place is a slip of the hand. */
static bool fits_let(Diag *diag, const Let *let, const Expr *value, Map *constants) {
    ExprKind kind = let->value->kind;
    bool number = kind == EXPR_NUMBER || kind == EXPR_UNARY || kind == EXPR_BINARY;
    bool word = value->kind == EXPR_STRING || (value->kind == EXPR_NAME && !map_get(constants, value->text));
    if (!number || !word)
        return true;
    Span span = value->span;
    span.start += (uint32_t)strlen(let->name) + 1;
    diag_error(diag, span, "`%s` is a number in the program", let->name);
    diag_note(diag, let->value->span, "here");
    return false;
}

Map *constants_read(Arena *arena, Interner *names, Diag *diag, const Ast *ast, const char *const *defines, int count) {
    Map *constants = map_new(arena);
    map_put(constants, names_key, ARENA_NEW(arena, NameList));
    Map *values = defines_read(arena, names, diag, ast, defines, count);
    for (int i = 0; i < ast->let_count; i++) {
        Let let = ast->lets[i];
        const Let *first = let_find(ast, let.name, i);
        if (first) {
            diag_error(diag, let.name_span, "the constant `%s` is defined twice", let.name);
            diag_note(diag, first->name_span, "first here");
            continue;
        }
        const Expr *given = map_get(values, let.name);
        bool good = !given || fits_let(diag, &let, given, constants);
        if (given)
            let.value = (Expr *)given;
        good = !used_early(diag, let.value, ast, i, constants) && good;
        constant_put(arena, diag, constants, &let, good);
    }
    return constants;
}
