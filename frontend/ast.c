/* Construction of the syntax tree, called by the parser's actions. Keeps every expression shallow enough to recurse on.
 */
#include <string.h>
#include "frontend/parse.h"

Expr *expr_new(Parse *p, ExprKind kind, Span span) {
    Expr *expr = ARENA_NEW(p->arena, Expr);
    expr->kind = kind;
    expr->span = span;
    expr->depth = 1;
    return expr;
}

Expr *expr_number(Parse *p, Span span, double value, bool is_integer) {
    Expr *expr = expr_new(p, EXPR_NUMBER, span);
    expr->number.value = value;
    expr->number.is_integer = is_integer;
    return expr;
}

Expr *expr_text(Parse *p, ExprKind kind, Span span, const char *text) {
    Expr *expr = expr_new(p, kind, span);
    expr->text = text;
    return expr;
}

/* What is too deep becomes a number, so that the tree above may grow on. */
static Expr *expr_limit(Parse *p, Expr *expr) {
    if (expr->depth <= MAX_EXPR_DEPTH)
        return expr;
    diag_error(p->diag, expr->span, "this expression is nested too deeply");
    p->failed = true;
    return expr_number(p, expr->span, 0, true);
}

static void expr_deepen(Expr *expr, int depth) {
    if (expr->depth <= depth)
        expr->depth = depth + 1;
}

Expr *expr_operation(Parse *p, Span span, int op, Expr *left, Expr *right) {
    Expr *expr = expr_new(p, left ? EXPR_BINARY : EXPR_UNARY, span);
    expr->operation.op = op;
    expr->operation.left = left;
    expr->operation.right = right;
    if (left)
        expr_deepen(expr, left->depth);
    expr_deepen(expr, right->depth);
    return expr_limit(p, expr);
}

Expr *expr_push(Parse *p, Expr *list, Expr *item) {
    if (!list)
        list = expr_new(p, EXPR_LIST, item->span);
    expr_deepen(list, item->depth);
    ARENA_PUSH(p->arena, list->list.items, list->list.count, list->list.capacity, item);
    return list;
}

Expr *expr_list(Parse *p, ExprKind kind, Span span, Expr *items) {
    Expr *expr = items ? items : expr_new(p, kind, span);
    expr->kind = kind;
    expr->span = span;
    return expr_limit(p, expr);
}

ArgumentList *argument_push(Parse *p, ArgumentList *list, const char *name, Span name_span, Expr *value) {
    if (!list)
        list = ARENA_NEW(p->arena, ArgumentList);
    Argument argument = {name, name_span, value};
    ARENA_PUSH(p->arena, list->items, list->count, list->capacity, argument);
    return list;
}

/* { {..} {..} } is several bodies, anything else is one. */
static void call_bodies(Parse *p, Expr *expr, Body *body) {
    bool branches = body->count > 0;
    for (int i = 0; i < body->count; i++)
        branches = branches && body->entries[i]->kind == ENTRY_BLOCK && !body->entries[i]->name;
    expr_deepen(expr, body->depth);
    for (int i = 0; i < (branches ? body->count : 1); i++)
        ARENA_PUSH(p->arena, expr->call.bodies, expr->call.body_count, expr->call.body_capacity,
                   branches ? body->entries[i]->body : *body);
}

Expr *expr_call(Parse *p, Span span, const char *name, Span name_span, ArgumentList *arguments, Body *body) {
    Expr *expr = expr_new(p, EXPR_CALL, span);
    expr->call.name = name;
    expr->call.name_span = name_span;
    if (arguments) {
        expr->call.arguments = arguments->items;
        expr->call.count = arguments->count;
        expr->call.capacity = arguments->capacity;
        for (int i = 0; i < arguments->count; i++)
            expr_deepen(expr, arguments->items[i].value->depth);
    }
    if (body)
        call_bodies(p, expr, body);
    return expr_limit(p, expr);
}

Body *body_new(Parse *p) {
    return ARENA_NEW(p->arena, Body);
}

void body_push(Parse *p, Body *body, EntryKind kind, Span span, const char *name, Span name_span, Expr *value,
               Body *inner) {
    Entry *entry = ARENA_NEW(p->arena, Entry);
    *entry = (Entry){.kind = kind, .span = span, .name = name, .name_span = name_span, .value = value};
    if (inner)
        entry->body = *inner;
    int depth = value ? value->depth : entry->body.depth + 1;
    if (depth > MAX_EXPR_DEPTH) {
        diag_error(p->diag, span, "this body is nested too deeply");
        p->failed = true;
        return;
    }
    if (body->depth < depth)
        body->depth = depth;
    ARENA_PUSH(p->arena, body->entries, body->count, body->capacity, entry);
}

void body_push_element(Parse *p, Body *body, Span span, Expr *element) {
    bool is_step = element->kind == EXPR_CALL && strcmp(element->call.name, "step") == 0 && !element->call.count &&
                   element->call.body_count == 1;
    if (is_step)
        body_push(p, body, ENTRY_BLOCK, span, element->call.name, element->call.name_span, NULL,
                  &element->call.bodies[0]);
    else
        body_push(p, body, ENTRY_EXPR, span, NULL, span, element, NULL);
}

void ast_push_let(Parse *p, const char *name, Span name_span, Expr *value) {
    Let let = {name, name_span, value};
    ARENA_PUSH(p->arena, p->ast->lets, p->ast->let_count, p->ast->let_capacity, let);
}

void ast_push_block(Parse *p, BlockKind kind, Span keyword, const char *name, Span name_span, Body *body, Span span) {
    Block block = {.kind = kind, .name = name, .span = span, .keyword_span = keyword, .name_span = name_span};
    block.body = *body;
    ARENA_PUSH(p->arena, p->ast->blocks, p->ast->block_count, p->ast->block_capacity, block);
}

void ast_unknown_block(Parse *p, const char *word, Span word_span) {
    static const char *const words[] = {"model", "data", "compile", "fit"};
    diag_error(p->diag, word_span, "there is no block `%s`", word);
    const char *nearest = text_nearest(word, words, 4);
    if (nearest)
        diag_help(p->diag, "did you mean `%s`?", nearest);
    else
        diag_help(p->diag, "the blocks are `model`, `data`, `compile` and `fit`");
}

void ast_let_without_keyword(Parse *p, const char *name, Span name_span, Expr *value) {
    diag_error(p->diag, name_span, "`%s = ...` stands outside of the blocks", name);
    diag_help(p->diag, "a constant is written `let %s = ...`", name);
    ast_push_let(p, name, name_span, value);
}

void ast_call_outside(Parse *p, const char *name, Span span) {
    diag_error(p->diag, span, "`%s(...)` stands outside of the blocks", name);
    diag_help(p->diag, "layers are written inside of `model { ... }`");
}
