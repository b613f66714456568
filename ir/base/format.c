/* vsnprintf for the conversions that nearly all texts of a compiler are made of; the C library does the others. A
 * compilation formats a hundred thousand short texts, and most of what the C library takes for one goes into its
 * stream. Needs nothing. */
#include <string.h>
#include "ir/base/text.h"

typedef struct {
    char *out;
    size_t room, length; /* the length goes on where there is no room */
} Sink;

static void put(Sink *sink, const char *bytes, size_t length) {
    size_t left = sink->length < sink->room ? sink->room - sink->length : 0;
    if (left)
        memcpy(sink->out + sink->length, bytes, length < left ? length : left);
    sink->length += length;
}

static void put_blanks(Sink *sink, size_t count) {
    static const char blanks[] = "                                ";
    for (; count >= sizeof blanks; count -= sizeof blanks - 1)
        put(sink, blanks, sizeof blanks - 1);
    put(sink, blanks, count);
}

static void put_integer(Sink *sink, long long value) {
    char digits[24], *end = digits + sizeof digits, *at = end;
    unsigned long long left = value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value;
    do
        *--at = (char)('0' + left % 10);
    while (left /= 10);
    if (value < 0)
        *--at = '-';
    put(sink, at, (size_t)(end - at));
}

static void put_padded(Sink *sink, int width, const char *string) {
    if (!string)
        string = "(null)";
    size_t length = strlen(string), wanted = (size_t)(width < 0 ? -(long)width : width);
    size_t blanks = wanted > length ? wanted - length : 0;
    if (width > 0)
        put_blanks(sink, blanks);
    put(sink, string, length);
    if (width < 0)
        put_blanks(sink, blanks);
}

static void put_start(Sink *sink, int most, const char *string) {
    const char *end = most < 0 ? NULL : memchr(string, '\0', (size_t)most);
    put(sink, string, most < 0 ? strlen(string) : end ? (size_t)(end - string) : (size_t)most);
}

/* One conversion; gives what follows it, or NULL if it is another than these. */
static const char *put_conversion(Sink *sink, const char *at, va_list *arguments) {
    char c = '%';
    int number;
    switch (*at) {
    case 's':
        put_padded(sink, 0, va_arg(*arguments, const char *));
        return at + 1;
    case 'd':
        put_integer(sink, va_arg(*arguments, int));
        return at + 1;
    case 'c':
        c = (char)va_arg(*arguments, int);
        put(sink, &c, 1);
        return at + 1;
    case '%':
        put(sink, &c, 1);
        return at + 1;
    case 'l':
        if (at[1] != 'l' || at[2] != 'd')
            return NULL;
        put_integer(sink, va_arg(*arguments, long long));
        return at + 3;
    case '*':
        number = va_arg(*arguments, int);
        if (at[1] != 's')
            return NULL;
        put_padded(sink, number, va_arg(*arguments, const char *));
        return at + 2;
    case '.':
        if (at[1] != '*' || at[2] != 's')
            return NULL;
        number = va_arg(*arguments, int);
        put_start(sink, number, va_arg(*arguments, const char *));
        return at + 3;
    default:
        return NULL;
    }
}

int text_print(char *out, size_t room, const char *format, va_list given) {
    Sink sink = {out, room ? room - 1 : 0, 0};
    va_list arguments;
    va_copy(arguments, given);
    for (const char *at = format; at && *at;) {
        const char *plain = at;
        while (*at && *at != '%')
            at++;
        put(&sink, plain, (size_t)(at - plain));
        if (*at && !(at = put_conversion(&sink, at + 1, &arguments))) {
            va_end(arguments);
            return vsnprintf(out, room, format, given);
        }
    }
    va_end(arguments);
    if (room)
        out[sink.length < room ? sink.length : room - 1] = '\0';
    return (int)sink.length;
}
