/* Internal to the CSV reader: rows of cells, and numbers. */
#ifndef NNRT_CSV_SCAN_H
#define NNRT_CSV_SCAN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *text; /* without the outer quotes */
    size_t length;
    bool escaped; /* holds doubled quotes */
} nnrt_csv_cell;

typedef struct {
    const char *file, *at, *end;
    char separator;
    int64_t line; /* of the next row, from 1 */
    /* the row read last */
    nnrt_csv_cell *cells;
    int64_t count, capacity;
    int64_t row_line;
} nnrt_csv_scanner;

/* Starts at the beginning of a text, behind its byte order mark. */
int nnrt_csv_open(nnrt_csv_scanner *, const char *text, size_t bytes, const char *file, char separator);
/* The next row that is not empty: 1, at the end 0, on error -1. */
int nnrt_csv_row(nnrt_csv_scanner *);
void nnrt_csv_close(nnrt_csv_scanner *);

/* The words of a cell, doubled quotes made single; malloc'ed, NULL if there is no memory. */
char *nnrt_csv_word(const nnrt_csv_cell *);

typedef enum { NNRT_CSV_NUMBER, NNRT_CSV_EMPTY, NNRT_CSV_TEXT, NNRT_CSV_NOT_FINITE, NNRT_CSV_TOO_LARGE } nnrt_csv_kind;
/* A decimal number with spaces around it. The locale does not matter. */
nnrt_csv_kind nnrt_csv_number(const nnrt_csv_cell *, double *value);
#endif
