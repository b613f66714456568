/* What lexer, parser and tree construction share: the state of one parse. Private to them. */
#ifndef NNC_FRONTEND_PARSE_H
#define NNC_FRONTEND_PARSE_H
#include "frontend/ast.h"

enum { MAX_EXPR_DEPTH = 200 };

typedef struct {
    char kind; /* ( [ { */
    Span span;
} Bracket;

typedef struct {
    Arena *arena;
    Interner *names; /* NULL: texts are copied */
    Diag *diag;
    const SourceFile *source;
    bool placed; /* `place` is the span of every token */
    Span place;
    size_t offset;   /* first byte of the current token */
    size_t end;      /* first byte after it */
    int start_token; /* sent first: chooses what is parsed; 0 once sent */
    int last_token, previous_token;
    Bracket *brackets; /* that are open; the parser sees them always balanced */
    int bracket_count, bracket_capacity;
    int open_of_kind[3];           /* how many of them are ( [ { */
    size_t blank_start, blank_end; /* nothing but blanks and comments stands between */
    bool unclosed_told;            /* for the brackets being closed now */
    const char *item_word;         /* the item at the top began with this name, and nothing but names came since */
    Span item_span;                /* of that name */
    int closed_early;              /* brackets closed for the user whose real end may still come */
    bool failed;                   /* an expression was given up: nothing to return */
    Ast *ast;
    Expr *result; /* of ast_parse_expr */
} Parse;

typedef struct {
    Argument *items;
    int count, capacity;
} ArgumentList;

/* lexer.l (token numbers and value type: parser.h) */
const char *parse_text(Parse *, const char *text, size_t length); /* interned */
Span parse_span(const Parse *);

/* ast.c: construction */
Expr *expr_new(Parse *, ExprKind, Span);
Expr *expr_number(Parse *, Span, double value, bool is_integer);
Expr *expr_text(Parse *, ExprKind, Span, const char *);
Expr *expr_operation(Parse *, Span, int op, Expr *left, Expr *right); /* left NULL: unary */
Expr *expr_list(Parse *, ExprKind, Span, Expr *items);                /* items: a list under construction, or NULL */
Expr *expr_push(Parse *, Expr *list, Expr *item);                     /* list NULL: begins one */
Expr *expr_call(Parse *, Span, const char *name, Span name_span, ArgumentList *, Body *);
ArgumentList *argument_push(Parse *, ArgumentList *, const char *name, Span name_span, Expr *value);
Body *body_new(Parse *);
void body_push(Parse *, Body *, EntryKind, Span, const char *name, Span name_span, Expr *value, Body *body);
/* A call named step with one body and no arguments is the block of that name. */
void body_push_element(Parse *, Body *, Span, Expr *);
void ast_push_let(Parse *, const char *name, Span name_span, Expr *value);
void ast_push_block(Parse *, BlockKind, Span keyword, const char *name, Span name_span, Body *, Span);
void ast_call_outside(Parse *, const char *name, Span);
void ast_unknown_block(Parse *, const char *word, Span word_span);
void ast_let_without_keyword(Parse *, const char *name, Span name_span, Expr *value);
#endif
