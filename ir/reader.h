/* Inside of the reader of the text form: tokens (read_tokens.c), attributes (read_attr.c), the rest (read.c). */
#ifndef NNC_IR_READER_H
#define NNC_IR_READER_H
#include "ir/ir.h"

typedef enum {
    TOKEN_END,
    TOKEN_WORD,   /* f32 */
    TOKEN_NUMBER, /* -0.28 */
    TOKEN_STRING, /* "output" */
    TOKEN_VALUE,  /* %x, %0, %"a b" */
    TOKEN_SYMBOL, /* @dense/kernel */
    TOKEN_ARROW,  /* -> */
    TOKEN_MARK,   /* one of ( ) [ ] { } , : = * */
    TOKEN_BAD     /* reported already */
} TokenKind;

typedef struct {
    TokenKind kind;
    Span span;
    const char *text; /* without % and @ and quotes */
    bool unnamed;     /* %0 */
    bool starts_line;
    char mark;
    double number;
    bool is_integer; /* and fits: */
    int64_t integer;
} Token;

typedef struct {
    Arena *arena;
    Diag *diag;
    const SourceFile *file;
    Module *module;
    Func *func;
    uint32_t at;       /* next byte */
    Token token;       /* not consumed yet */
    uint32_t last_end; /* of the token consumed last */
    bool failed;       /* an error was reported */
    int depth;         /* of regions */
    bool *assigned;    /* in this function, by Variable.id */
} Reader;

/* What is known of an op while it is read. */
typedef struct {
    OpCode code;
    OpAttr attr;
    Value **inputs;
    int input_count, input_capacity;
    bool poisoned; /* an input is the result of an op with an error */
} OpText;

/* read_tokens.c. Functions that return bool report an error and return false. */
void reader_advance(Reader *);
bool reader_error(Reader *, Span, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* "expected WHAT, found ..." */
bool reader_expected(Reader *, const char *what);
bool reader_at_mark(const Reader *, char);
bool reader_at_word(const Reader *, const char *);
bool reader_accept_mark(Reader *, char);
bool reader_accept_word(Reader *, const char *);
bool reader_mark(Reader *, char);
bool reader_integer(Reader *, int64_t low, int64_t high, int64_t *);
bool reader_number(Reader *, double *); /* nan, inf and -inf too */
/* KEY = integer */
bool reader_keyed_integer(Reader *, const char *key, int64_t low, int64_t high, int64_t *);
/* One of the words, as index. */
bool reader_choice(Reader *, const char *what, const char *const *names, int count, int *);
bool reader_type(Reader *, const Type **);
bool reader_variable(Reader *, Variable **);

/* read_attr.c */
bool reader_attr(Reader *, OpText *);
#endif
