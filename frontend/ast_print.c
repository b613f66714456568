/* The syntax tree as text: a program in one canonical form that parses to the same tree. */
#include <string.h>
#include "frontend/ast.h"

static void indent(Text *out, int depth) {
    for (int i = 0; i < depth; i++)
        text_add(out, "    ");
}

static void print_string(Text *out, const char *text) {
    text_add(out, "\"");
    for (const char *c = text; *c; c++) {
        if (*c == '\n' || *c == '\t')
            text_add(out, *c == '\n' ? "\\n" : "\\t");
        else
            text_format(out, *c == '"' || *c == '\\' ? "\\%c" : "%c", *c);
    }
    text_add(out, "\"");
}

static void print_number(Text *out, const Expr *expr) {
    char digits[32];
    text_number(digits, expr->number.value);
    /* an integer is written out in full: 1e+20 would be a float */
    if (expr->number.is_integer)
        text_format(out, "%.0f", expr->number.value);
    else
        text_format(out, "%s%s", digits, strpbrk(digits, ".en") ? "" : ".0");
}

static void print_expr(Text *out, const Expr *expr, int depth);
static void print_body(Text *out, const Body *body, int depth);

static void print_operation(Text *out, const Expr *expr, int depth) {
    int op = expr->operation.op;
    text_add(out, "(");
    if (expr->operation.left) {
        print_expr(out, expr->operation.left, depth);
        text_add(out, " ");
    }
    if (op == 'q' || op == '^')
        text_add(out, op == 'q' ? "//" : "**");
    else
        text_format(out, "%c", op);
    if (expr->operation.left)
        text_add(out, " ");
    print_expr(out, expr->operation.right, depth);
    text_add(out, ")");
}

static void print_items(Text *out, const Expr *expr, int depth) {
    bool dict = expr->kind == EXPR_DICT;
    text_add(out, dict ? "{" : expr->kind == EXPR_LIST ? "[" : "(");
    for (int i = 0; i < expr->list.count; i++) {
        text_add(out, i == 0 ? "" : dict && i % 2 ? ": " : ", ");
        print_expr(out, expr->list.items[i], depth);
    }
    if (expr->kind == EXPR_TUPLE && expr->list.count == 1)
        text_add(out, ",");
    text_add(out, dict ? "}" : expr->kind == EXPR_LIST ? "]" : ")");
}

/* A body of bare { .. } only would be read as branches. */
static bool looks_like_branches(const Body *body) {
    for (int i = 0; i < body->count; i++)
        if (body->entries[i]->kind != ENTRY_BLOCK || body->entries[i]->name)
            return false;
    return body->count > 0;
}

static void print_call(Text *out, const Expr *expr, int depth) {
    text_add(out, expr->call.name);
    if (expr->call.count || !expr->call.body_count) {
        text_add(out, "(");
        for (int i = 0; i < expr->call.count; i++) {
            const Argument *argument = &expr->call.arguments[i];
            text_format(out, "%s%s%s", i ? ", " : "", argument->name ? argument->name : "", argument->name ? "=" : "");
            print_expr(out, argument->value, depth);
        }
        text_add(out, ")");
    }
    if (expr->call.body_count == 1 && !looks_like_branches(&expr->call.bodies[0])) {
        text_add(out, " ");
        print_body(out, &expr->call.bodies[0], depth);
    } else if (expr->call.body_count) {
        text_add(out, " {\n");
        for (int i = 0; i < expr->call.body_count; i++) {
            indent(out, depth + 1);
            print_body(out, &expr->call.bodies[i], depth + 1);
            text_add(out, "\n");
        }
        indent(out, depth);
        text_add(out, "}");
    }
}

static void print_expr(Text *out, const Expr *expr, int depth) {
    switch (expr->kind) {
    case EXPR_NUMBER:
        print_number(out, expr);
        break;
    case EXPR_STRING:
        print_string(out, expr->text);
        break;
    case EXPR_BOOL:
        text_add(out, expr->boolean ? "true" : "false");
        break;
    case EXPR_NONE:
        text_add(out, "none");
        break;
    case EXPR_NAME:
        text_add(out, expr->text);
        break;
    case EXPR_LIST:
    case EXPR_TUPLE:
    case EXPR_DICT:
        print_items(out, expr, depth);
        break;
    case EXPR_UNARY:
    case EXPR_BINARY:
        print_operation(out, expr, depth);
        break;
    case EXPR_CALL:
        print_call(out, expr, depth);
        break;
    }
}

static void print_entry(Text *out, const Entry *entry, int depth) {
    if (entry->kind == ENTRY_ASSIGN)
        text_format(out, "%s = ", entry->name);
    if (entry->kind == ENTRY_MINIMIZE)
        text_add(out, "minimize ");
    if (entry->value)
        print_expr(out, entry->value, depth);
    if (entry->kind == ENTRY_MINIMIZE)
        text_format(out, " over %s", entry->name);
    if (entry->kind == ENTRY_BLOCK) {
        text_format(out, "%s%s", entry->name ? entry->name : "", entry->name ? " " : "");
        print_body(out, &entry->body, depth);
    }
}

static void print_body(Text *out, const Body *body, int depth) {
    text_add(out, "{\n");
    for (int i = 0; i < body->count; i++) {
        indent(out, depth + 1);
        print_entry(out, body->entries[i], depth + 1);
        text_add(out, "\n");
    }
    indent(out, depth);
    text_add(out, "}");
}

void expr_print(Text *out, const Expr *expr) {
    print_expr(out, expr, 0);
}

void ast_print(Text *out, const Ast *ast) {
    static const char *const keywords[] = {"model", "data", "compile", "fit"};
    for (int i = 0; i < ast->let_count; i++) {
        text_format(out, "let %s = ", ast->lets[i].name);
        print_expr(out, ast->lets[i].value, 0);
        text_add(out, "\n");
    }
    for (int i = 0; i < ast->block_count; i++) {
        const Block *block = &ast->blocks[i];
        text_format(out, "%s%s%s%s ", ast->let_count || i ? "\n" : "", keywords[block->kind], block->name ? " " : "",
                    block->name ? block->name : "");
        print_body(out, &block->body, 0);
        text_add(out, "\n");
    }
}
