/* Rows of cells of a CSV text (RFC 4180), and the reading of numbers. */
#include "nnrt_csv_scan.h"
#include "nnrt_error.h"
#include <stdlib.h>
#include <string.h>

int nnrt_csv_open(nnrt_csv_scanner *scanner, const char *text, size_t bytes, const char *file, char separator) {
    memset(scanner, 0, sizeof *scanner);
    scanner->file = file;
    scanner->at = text;
    scanner->end = text + bytes;
    scanner->separator = separator ? separator : ',';
    scanner->line = 1;
    if (bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        scanner->at += 3;
    if (bytes >= 2 && (memcmp(text, "\xFF\xFE", 2) == 0 || memcmp(text, "\xFE\xFF", 2) == 0))
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: is UTF-16; save it as UTF-8", file);
    if (bytes >= 2 && memcmp(text, "\x1F\x8B", 2) == 0)
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: is gzip; run gunzip on it", file);
    if (bytes >= 4 && memcmp(text, "PK\003\004", 4) == 0)
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: is a zip archive, as spreadsheets are; export it as CSV", file);
    if (bytes && memchr(text, 0, bytes))
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: is no text: it has a zero byte; export it as CSV", file);
    return NNRT_OK;
}

void nnrt_csv_close(nnrt_csv_scanner *scanner) {
    free(scanner->cells);
    scanner->cells = NULL;
    scanner->count = scanner->capacity = 0;
}

static nnrt_csv_cell *add_cell(nnrt_csv_scanner *scanner) {
    if (scanner->count == scanner->capacity) {
        int64_t capacity = scanner->capacity * 2 + 32;
        nnrt_csv_cell *grown = realloc(scanner->cells, (size_t)capacity * sizeof *grown);
        if (!grown)
            return NULL;
        scanner->cells = grown;
        scanner->capacity = capacity;
    }
    return &scanner->cells[scanner->count++];
}

/* Behind the opening quote. Leaves `at` behind the closing one. */
static int quoted_cell(nnrt_csv_scanner *scanner, nnrt_csv_cell *cell) {
    int64_t opened = scanner->line;
    cell->text = scanner->at;
    for (; scanner->at < scanner->end; scanner->at++) {
        if (*scanner->at == '\n')
            scanner->line++;
        if (*scanner->at != '"')
            continue;
        if (scanner->at + 1 < scanner->end && scanner->at[1] == '"') {
            cell->escaped = true;
            scanner->at++;
            continue;
        }
        cell->length = (size_t)(scanner->at - cell->text);
        scanner->at++;
        return NNRT_OK;
    }
    return nnrt_error(NNRT_ERROR_FORMAT, "%s:%lld:%lld: a quote is opened and never closed; close it, or double it",
                      scanner->file, (long long)opened, (long long)scanner->count);
}

static void bare_cell(nnrt_csv_scanner *scanner, nnrt_csv_cell *cell) {
    const char *at = scanner->at, *end = scanner->end;
    char separator = scanner->separator;
    cell->text = at;
    while (at < end && *at != separator && *at != '\n')
        at++;
    scanner->at = at;
    cell->length = (size_t)(at - cell->text);
    if (cell->length > 0 && at[-1] == '\r' && (at == end || *at == '\n'))
        cell->length--;
}

/* Takes the end of a row, if it is here. */
static bool at_row_end(nnrt_csv_scanner *scanner) {
    if (scanner->at < scanner->end && *scanner->at == '\r' &&
        (scanner->at + 1 == scanner->end || scanner->at[1] == '\n'))
        scanner->at++;
    if (scanner->at == scanner->end)
        return true;
    if (*scanner->at != '\n')
        return false;
    scanner->at++;
    scanner->line++;
    return true;
}

int nnrt_csv_row(nnrt_csv_scanner *scanner) {
    while (scanner->at < scanner->end && at_row_end(scanner)) /* empty lines */
        ;
    scanner->count = 0;
    scanner->row_line = scanner->line;
    if (scanner->at == scanner->end)
        return 0;
    for (;;) {
        nnrt_csv_cell *cell = add_cell(scanner);
        if (!cell)
            return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for its columns", scanner->file), -1;
        cell->escaped = false;
        if (scanner->at < scanner->end && *scanner->at == '"') {
            scanner->at++;
            if (quoted_cell(scanner, cell))
                return -1;
        } else {
            bare_cell(scanner, cell);
        }
        if (at_row_end(scanner))
            return 1;
        if (*scanner->at != scanner->separator)
            return nnrt_error(NNRT_ERROR_FORMAT,
                              "%s:%lld:%lld: there is text behind the closing quote; double the quotes within a cell",
                              scanner->file, (long long)scanner->line, (long long)scanner->count),
                   -1;
        scanner->at++;
    }
}

char *nnrt_csv_word(const nnrt_csv_cell *cell) {
    char *word = malloc(cell->length + 1), *out = word;
    if (!word)
        return NULL;
    for (size_t i = 0; i < cell->length; i++) {
        *out++ = cell->text[i];
        if (cell->escaped && cell->text[i] == '"')
            i++;
    }
    *out = 0;
    return word;
}

static bool equals(const char *at, const char *end, const char *word) {
    for (; at < end && *word; at++, word++)
        if ((*at | 0x20) != *word)
            return false;
    return at == end && !*word;
}

static nnrt_csv_kind no_number(const char *at, const char *end) {
    bool finite = !equals(at, end, "nan") && !equals(at, end, "inf") && !equals(at, end, "infinity");
    return finite ? NNRT_CSV_TEXT : NNRT_CSV_NOT_FINITE;
}

/* mantissa * 10^exponent. Exact for what people write (15 digits, |exponent| <= 22), else within a few units in the
 * last place of a double, far below the float it becomes. */
static double decimal(uint64_t mantissa, int64_t exponent) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    double value = (double)mantissa;
    if (mantissa == 0 || exponent < -400)
        return 0.0;
    if (exponent > 400)
        return 1e300 * 1e300;
    for (; exponent > 22; exponent -= 22)
        value *= 1e22;
    for (; exponent < -22; exponent += 22)
        value /= 1e22;
    return exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
}

/* Digits with one point; leaves `at` behind them. False if there are none. */
static bool take_digits(const char **at, const char *end, uint64_t *mantissa, int64_t *exponent) {
    const char *p = *at;
    bool point = false, any = false;
    for (; p < end; p++) {
        unsigned digit = (unsigned)(unsigned char)*p - '0';
        if (*p == '.' && !point) {
            point = true;
            continue;
        }
        if (digit > 9)
            break;
        any = true;
        if (*mantissa < 1000000000000000000u) {
            *mantissa = *mantissa * 10 + digit;
            *exponent -= point;
        } else {
            *exponent += !point; /* digits beyond the 19th do not count */
        }
    }
    *at = p;
    return any;
}

static bool take_exponent(const char **at, const char *end, int64_t *exponent) {
    const char *p = *at + 1;
    bool negative = p < end && *p == '-';
    int64_t value = 0;
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p == end)
        return false;
    for (; p < end; p++) {
        if (*p < '0' || *p > '9')
            return false;
        value = value < 100000 ? value * 10 + (*p - '0') : value;
    }
    *exponent += negative ? -value : value;
    *at = p;
    return true;
}

nnrt_csv_kind nnrt_csv_number(const nnrt_csv_cell *cell, double *value) {
    const char *at = cell->text, *end = at + cell->length;
    uint64_t mantissa = 0;
    int64_t exponent = 0;
    bool negative;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (at == end)
        return NNRT_CSV_EMPTY;
    negative = *at == '-';
    if (*at == '-' || *at == '+')
        at++;
    if (!take_digits(&at, end, &mantissa, &exponent))
        return no_number(at, end);
    if (at < end && (*at == 'e' || *at == 'E') && !take_exponent(&at, end, &exponent))
        return NNRT_CSV_TEXT;
    if (at != end)
        return NNRT_CSV_TEXT;
    *value = decimal(mantissa, exponent);
    if (*value > 3.4028235677973366e38) /* would round to an infinite float */
        return NNRT_CSV_TOO_LARGE;
    if (negative)
        *value = -*value;
    return NNRT_CSV_NUMBER;
}
