/* Numbers and file names as text; see nnrt_text.h. Leaves: text in the caller's memory, or an error. */
#include "nnrt_text.h"
#include "nnrt_error.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A field of a template: {name:0W.Pk}. */
typedef struct {
    char name[96];
    bool zero;
    int width, precision; /* -1: not given */
    char kind;            /* d f e g, or 0 */
} TemplateField;

char *nnrt_shortest_number(char *text, size_t size, double value) {
    char number[32] = "nan";
    for (int digits = 1; digits <= 17 && !isnan(value); digits++) {
        snprintf(number, sizeof number, "%.*g", digits, value);
        if (strtod(number, NULL) == value)
            break;
    }
    snprintf(text, size, "%s", number);
    return text;
}

/* `count` digits of `whole` with a point behind the first `before`, without zeros at the end. */
static size_t put_digits(char *text, uint32_t whole, int count, int before) {
    char digits[NNRT_FLOAT_DIGITS];
    size_t used = 0;
    for (int i = count; i-- > 0; whole /= 10)
        digits[i] = (char)('0' + whole % 10);
    while (count > before && count > 1 && digits[count - 1] == '0')
        count--;
    for (int i = before; i <= 0; i++) { /* 0.00ddd */
        text[used++] = '0';
        if (i == before)
            text[used++] = '.';
    }
    for (int i = 0; i < count; i++) {
        if (i == before && before > 0)
            text[used++] = '.';
        text[used++] = digits[i];
    }
    text[used] = 0;
    return used;
}

size_t nnrt_float_text(char *text, float value) {
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13};
    enum { SMALLEST = -4, POINT_LAST = NNRT_FLOAT_DIGITS - 1 };
    double size = fabs((double)value);
    if (size >= 1.001e-4 && size < 999999999) {
        int exponent = SMALLEST; /* of the first digit */
        while (exponent < POINT_LAST && size >= (exponent + 1 < 0 ? 1 / powers[-exponent - 1] : powers[exponent + 1]))
            exponent++;
        /* A product of a float and an exact power of ten is off by 2^-53 of itself, 1e-7 at most: only next to a half
         * does that decide, and next to a power of ten. */
        double scaled = size * powers[POINT_LAST - exponent], rounded = floor(scaled + 0.5);
        if (fabs(fabs(scaled - rounded) - 0.5) > 1e-6 && rounded >= 100000000 && rounded <= 999999999) {
            size_t sign = value < 0;
            text[0] = '-';
            return sign + put_digits(text + sign, (uint32_t)rounded, NNRT_FLOAT_DIGITS, exponent + 1);
        }
    }
    return (size_t)snprintf(text, NNRT_FLOAT_TEXT, "%.*g", NNRT_FLOAT_DIGITS, (double)value);
}

/* Levenshtein's distance; long words are never near. */
static int edit_distance(const char *a, const char *b) {
    enum { LONGEST = 60 };
    int row[LONGEST + 1];
    size_t m = strlen(a), n = strlen(b);
    if (m > LONGEST || n > LONGEST)
        return INT_MAX;
    for (size_t j = 0; j <= n; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= m; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= n; j++) {
            int best = diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
            diagonal = row[j];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
        }
    }
    return row[n];
}

void nnrt_nearest_consider(nnrt_nearest *nearest, const char *name) {
    int edits = edit_distance(nearest->word, name);
    if (edits >= nearest->edits || edits >= (int)strlen(nearest->word) || edits >= (int)strlen(name))
        return;
    nearest->edits = edits;
    nearest->name = name;
}

void nnrt_list_names(const nnrt_log *logs, int count, char *text, size_t size) {
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", logs[i].name);
}

/* Parses what stands between the braces. */
static bool template_parse(const char *from, size_t length, TemplateField *field) {
    char text[160], *spec;
    if (length >= sizeof text)
        return false;
    memcpy(text, from, length);
    text[length] = 0;
    *field = (TemplateField){.width = -1, .precision = -1};
    spec = strchr(text, ':');
    if (spec)
        *spec++ = 0;
    if (!*text || strlen(text) >= sizeof field->name)
        return false;
    memcpy(field->name, text, strlen(text) + 1);
    if (!spec || !*spec)
        return true;
    field->zero = *spec == '0';
    if (*spec >= '0' && *spec <= '9')
        field->width = (int)strtol(spec, &spec, 10);
    if (*spec == '.') {
        if (spec[1] < '0' || spec[1] > '9')
            return false;
        field->precision = (int)strtol(spec + 1, &spec, 10);
    }
    if (*spec && strchr("dfeg", *spec))
        field->kind = *spec++;
    return *spec == 0 && field->width < 100 && field->precision < 100;
}

static const nnrt_log *template_find(const nnrt_log *logs, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(logs[i].name, name) == 0)
            return &logs[i];
    return NULL;
}

static bool template_print(const TemplateField *field, double value, bool integer, char *text, size_t size) {
    int width = field->width > 0 ? field->width : 0, precision = field->precision >= 0 ? field->precision : 6;
    if (integer ? (field->kind != 0 && field->kind != 'd') || field->precision >= 0 : field->kind == 'd')
        return false;
    if (integer) {
        snprintf(text, size, field->zero ? "%0*lld" : "%*lld", width, (long long)value);
        return true;
    }
    if (field->kind == 0 && field->precision < 0) {
        char shortest[40];
        snprintf(text, size, "%*s", width, nnrt_shortest_number(shortest, sizeof shortest, value));
        return true;
    }
    switch (field->kind) {
    case 'f':
        snprintf(text, size, field->zero ? "%0*.*f" : "%*.*f", width, precision, value);
        break;
    case 'e':
        snprintf(text, size, field->zero ? "%0*.*e" : "%*.*e", width, precision, value);
        break;
    default:
        snprintf(text, size, field->zero ? "%0*.*g" : "%*.*g", width, precision, value);
        break;
    }
    return true;
}

static int template_unknown(const char *pattern, const char *name, const nnrt_template_values *values) {
    char integers[200], numbers[800];
    nnrt_list_names(values->integers, values->integer_count, integers, sizeof integers);
    nnrt_list_names(values->numbers, values->number_count, numbers, sizeof numbers);
    return nnrt_error(NNRT_ERROR_ARGUMENT, "file name \"%s\": {%s} is not available; available are %s%s%s", pattern,
                      name, integers, values->number_count ? ", " : "", numbers);
}

/* One field at pattern[0] == '{'; appends to text and returns the length of the field in the pattern, 0 on error. */
static size_t template_field(const char *whole, const char *at, const nnrt_template_values *values, char *text,
                             size_t size) {
    TemplateField field;
    size_t length = strcspn(at, "}");
    if (!at[length] || !template_parse(at + 1, length - 1, &field)) {
        nnrt_error(NNRT_ERROR_ARGUMENT, "file name \"%s\": expected {name} or {name:.2f} at \"%s\"", whole, at);
        return 0;
    }
    const nnrt_log *integer = template_find(values->integers, values->integer_count, field.name);
    const nnrt_log *number = template_find(values->numbers, values->number_count, field.name);
    if (!integer && !number) {
        template_unknown(whole, field.name, values);
        return 0;
    }
    if (!template_print(&field, integer ? integer->value : number->value, integer != NULL, text, size)) {
        nnrt_error(NNRT_ERROR_ARGUMENT, "file name \"%s\": '%c' does not print {%s}", whole, field.kind, field.name);
        return 0;
    }
    return length + 1;
}

int nnrt_template_format(const char *pattern, const nnrt_template_values *values, char *text, size_t size) {
    size_t used = 0;
    for (const char *at = pattern; *at;) {
        char piece[256] = {*at, 0};
        size_t length = 1;
        if ((*at == '{' || *at == '}') && at[1] == *at)
            length = 2;
        else if (*at == '{')
            length = template_field(pattern, at, values, piece, sizeof piece);
        if (length == 0)
            return NNRT_ERROR_ARGUMENT;
        size_t bytes = strlen(piece);
        if (used + bytes >= size)
            return nnrt_error(NNRT_ERROR_ARGUMENT, "file name \"%s\": too long", pattern);
        memcpy(text + used, piece, bytes + 1);
        used += bytes;
        at += length;
    }
    text[used] = 0;
    return NNRT_OK;
}
