/* The syntax tree: what was written and where, nothing more. The parser builds it, frontend/analyse.c reads it. */
#ifndef NNC_FRONTEND_AST_H
#define NNC_FRONTEND_AST_H
#include "ir/base/diag.h"

typedef enum { EXPR_NUMBER, EXPR_STRING, EXPR_BOOL, EXPR_NONE, EXPR_NAME, EXPR_LIST, EXPR_TUPLE, EXPR_DICT, EXPR_UNARY, EXPR_BINARY, EXPR_CALL } ExprKind;

typedef struct Expr Expr;
typedef struct Entry Entry;

typedef struct {
    Entry **entries;
    int count, capacity;
    int depth; /* of the deepest expression in it */
    Span span;
} Body; /* { ... } */

typedef struct {
    const char *name; /* NULL: positional */
    Span name_span;
    Expr *value;
} Argument;

struct Expr {
    ExprKind kind;
    int depth; /* of nested operations, calls and lists: bounded, so that every walk may recurse */
    Span span;
    union {
        struct { double value; bool is_integer; } number;
        bool boolean;
        const char *text;                                   /* STRING, NAME (dotted names allowed) */
        struct { Expr **items; int count, capacity; } list; /* LIST, TUPLE; DICT: key, value, key, value */
        struct { int op; Expr *left, *right; } operation;   /* op: '+' '-' '*' '/' '%' '^' and '-' unary; '/' is true division, 'q' is // */
        struct {
            const char *name;
            Span name_span;
            Argument *arguments;
            int count, capacity;
            Body *bodies; /* Residual { .. }, Concatenate { {..} {..} } */
            int body_count, body_capacity;
        } call;
    };
};

typedef enum { ENTRY_EXPR, ENTRY_ASSIGN, ENTRY_MINIMIZE, ENTRY_BLOCK } EntryKind; /* ENTRY_BLOCK without a name: a bare { .. } */
struct Entry {
    EntryKind kind;
    Span span;
    const char *name; /* ASSIGN: left side; MINIMIZE: model after `over`; NULL else */
    Span name_span;
    Expr *value;      /* ASSIGN, EXPR, MINIMIZE */
    Body body;        /* BLOCK (step { .. } inside fit) */
};

typedef enum { BLOCK_MODEL, BLOCK_DATA, BLOCK_COMPILE, BLOCK_FIT } BlockKind;
typedef struct {
    BlockKind kind;
    const char *name; /* of the model; NULL: not given */
    Span span, keyword_span, name_span;
    Body body;
} Block;

typedef struct {
    const char *name;
    Span name_span;
    Expr *value;
} Let;

typedef struct {
    const SourceFile *source;
    Let *lets;
    int let_count, let_capacity;
    Block *blocks;
    int block_count, block_capacity;
} Ast;

/* Whole file, errors in diag; NULL only if nothing at all could be made of it. */
Ast *ast_parse(Arena *, Interner *, Diag *, const SourceFile *);
/* One expression from text that stands nowhere in a file (a default, -D): errors and spans are at `place`. */
Expr *ast_parse_expr(Arena *, Interner *, Diag *, const char *text, Span place);
/* The tree as a program that parses to the same tree. */
void ast_print(Text *, const Ast *);
void expr_print(Text *, const Expr *);
#endif
