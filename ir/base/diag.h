/* Source files, spans, and what the user is told about them.
 *
 *   digits.nn:3:11: error: Dense has no argument `activaton`
 *       3 |     Dense(64, activaton=relu)
 *         |               ^~~~~~~~~
 *   help: did you mean `activation`?
 *
 * All errors of a file are collected (at most DIAG_LIMIT are kept), then printed in source order. */
#ifndef NNC_BASE_DIAG_H
#define NNC_BASE_DIAG_H
#include <stdbool.h>
#include <stdint.h>
#include "ir/base/arena.h"
#include "ir/base/text.h"

enum { DIAG_LIMIT = 20 };

typedef struct {
    const char *name; /* as the user wrote it; "<stdin>" */
    const char *text; /* '\0'-terminated */
    size_t length;
} SourceFile;

/* Bytes [start, end) of a file; file == NULL: no place known. */
typedef struct {
    const SourceFile *file;
    uint32_t start, end;
} Span;

typedef enum { DIAG_ERROR, DIAG_WARNING, DIAG_NOTE, DIAG_HELP } DiagKind;

typedef struct Diag Diag;
Diag *diag_new(Arena *);
/* Each returns nothing; notes and helps belong to the last error or warning. */
void diag_error(Diag *, Span, const char *format, ...) __attribute__((format(printf, 3, 4)));
void diag_warning(Diag *, Span, const char *format, ...) __attribute__((format(printf, 3, 4)));
void diag_note(Diag *, Span, const char *format, ...) __attribute__((format(printf, 3, 4)));
void diag_help(Diag *, const char *format, ...) __attribute__((format(printf, 2, 3)));
int diag_errors(const Diag *);
int diag_warnings(const Diag *);
/* Appends everything collected, sorted by place. `color`: ANSI colours. Clears the collection, keeps the counts. */
void diag_print(Diag *, Text *out, bool color);

Span span_join(Span first, Span last);
/* 1-based line and column (in UTF-8 characters) of a span's start. */
void span_locate(Span, int *line, int *column);

/* A bug of the compiler: remembered in `diag` as an error "internal error: ..." that asks for a report; the caller
 * gives up what it was doing. */
void diag_internal(Diag *, Span, const char *format, ...) __attribute__((format(printf, 3, 4)));
#endif
