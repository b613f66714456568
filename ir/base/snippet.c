/* Draws source lines with carets. Tabs go to the next multiple of four columns, wide characters take two columns,
 * combining marks none; bytes that are not UTF-8 and control characters are drawn as '?', so that no source file can
 * send commands to a terminal. Long lines are cut around the span. */
#include "ir/base/snippet.h"
#include <string.h>

enum { TAB_WIDTH = 4, LINE_WIDTH = 160, LEFT_OF_SPAN = 60 };

typedef struct {
    uint32_t start, end; /* bytes; the end is before the line break */
} Line;

static Span clamp(Span span) {
    uint32_t length = span.file && span.file->text ? (uint32_t)span.file->length : 0;
    if (span.start > length)
        span.start = length;
    if (span.end > length)
        span.end = length;
    if (span.end < span.start)
        span.end = span.start;
    return span;
}

Span span_join(Span first, Span last) {
    if (!first.file)
        return last;
    if (last.file != first.file)
        return first;
    if (last.start < first.start)
        first.start = last.start;
    if (last.end > first.end)
        first.end = last.end;
    return first;
}

/* Length in bytes and code point of the character at `at`; one byte and -1 for what is not UTF-8. */
static int decode(const char *text, uint32_t at, uint32_t end, int *code) {
    unsigned char first = (unsigned char)text[at];
    int length = first < 0x80                    ? 1
                 : first >= 0xc2 && first < 0xe0 ? 2
                 : first >= 0xe0 && first < 0xf0 ? 3
                 : first >= 0xf0 && first < 0xf5 ? 4
                                                 : 0;
    *code = length == 1 ? first : first & (0x7f >> length);
    for (int i = 1; i < length; i++) {
        if (at + (uint32_t)i >= end || ((unsigned char)text[at + (uint32_t)i] & 0xc0) != 0x80)
            length = 0;
        else
            *code = *code << 6 | ((unsigned char)text[at + (uint32_t)i] & 0x3f);
    }
    if (length == 0)
        *code = -1;
    return length ? length : 1;
}

void span_locate(Span span, int *line, int *column) {
    span = clamp(span);
    *line = *column = 1;
    const char *text = span.file ? span.file->text : NULL, *newline;
    uint32_t at = 0;
    while (at < span.start && (newline = memchr(text + at, '\n', span.start - at))) {
        at = (uint32_t)(newline - text) + 1;
        ++*line;
    }
    for (int code; at < span.start; ++*column)
        at += (uint32_t)decode(text, at, span.start, &code);
}

static Line line_at(const SourceFile *file, uint32_t at) {
    Line line = {at, at};
    while (line.start > 0 && file->text[line.start - 1] != '\n')
        line.start--;
    while (line.end < file->length && file->text[line.end] != '\n')
        line.end++;
    if (line.end > line.start && file->text[line.end - 1] == '\r')
        line.end--;
    return line;
}

static int code_width(int code) {
    static const int wide[][3] = {
        {0x0300, 0x036f, 0}, {0x200b, 0x200f, 0}, {0xfe00, 0xfe0f, 0}, {0x1100, 0x115f, 2}, {0x2e80, 0xa4cf, 2},
        {0xac00, 0xd7a3, 2}, {0xf900, 0xfaff, 2}, {0xfe30, 0xfe6f, 2}, {0xff00, 0xff60, 2}, {0x1f300, 0x1faff, 2},
    };
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (code >= wide[i][0] && code <= wide[i][1])
            return wide[i][2];
    return 1;
}

/* The columns of a line that are drawn, and those with carets. */
typedef struct {
    int first, last;            /* drawn: [first, last) */
    int caret_first, caret_end; /* underlined: [caret_first, caret_end) */
} Window;

/* Draws the columns of the window into `out` (NULL: only measures); gives the column of byte `until`. */
static int draw_columns(Text *out, const char *text, Line line, uint32_t until, const Window *window) {
    int column = 0;
    for (uint32_t at = line.start; at < until;) {
        int code, bytes = decode(text, at, line.end, &code);
        int width = code == '\t' ? TAB_WIDTH - column % TAB_WIDTH : code_width(code);
        bool printable = code >= 0x20 && code != 0x7f && !(code >= 0x80 && code < 0xa0);
        if (out && column >= window->first && column + width <= window->last) {
            if (code == '\t')
                text_format(out, "%*s", width, "");
            else if (printable)
                text_add_length(out, text + at, (size_t)bytes);
            else
                text_add(out, "?");
        }
        at += (uint32_t)bytes;
        column += width;
    }
    return column;
}

static Window window_of(const char *text, Line line, Span span) {
    uint32_t from = span.start < line.start ? line.start : span.start > line.end ? line.end : span.start;
    uint32_t until = span.end > line.end ? line.end : span.end < from ? from : span.end;
    if (span.start < line.start) /* a later line of the span: its indentation is not underlined */
        while (from < until && (text[from] == ' ' || text[from] == '\t'))
            from++;
    Window window = {0};
    window.caret_first = draw_columns(NULL, text, line, from, NULL);
    window.caret_end = draw_columns(NULL, text, line, until, NULL);
    if (window.caret_end <= window.caret_first)
        window.caret_end = window.caret_first + 1;
    int width = draw_columns(NULL, text, line, line.end, NULL);
    if (width > LINE_WIDTH && window.caret_first > LEFT_OF_SPAN)
        window.first = window.caret_first - LEFT_OF_SPAN;
    window.last = width > window.first + LINE_WIDTH ? window.first + LINE_WIDTH : width;
    if (window.caret_end > window.last && window.caret_first < window.last)
        window.caret_end = window.last;
    return window;
}

static void print_line(Text *out, Span span, Line line, int number, const char *paint, const char *plain) {
    const char *text = span.file->text;
    Window window = window_of(text, line, span);
    const char *cut = window.first > 0 ? "..." : "";
    int width = draw_columns(NULL, text, line, line.end, NULL);
    text_format(out, "%5d | %s", number, cut);
    draw_columns(out, text, line, line.end, &window);
    text_format(out, "%s\n      | %*s%s^", width > window.last ? "..." : "",
                window.caret_first - window.first + (int)strlen(cut), "", paint);
    for (int i = window.caret_first + 1; i < window.caret_end; i++)
        text_add(out, "~");
    text_format(out, "%s\n", plain);
}

void snippet_print(Text *out, Span span, const char *paint, const char *plain) {
    if (!span.file || !span.file->text)
        return;
    span = clamp(span);
    int number, last_number, column;
    span_locate(span, &number, &column);
    uint32_t last_byte = span.end > span.start ? span.end - 1 : span.start;
    while (last_byte > span.start && strchr(" \t\r\n", span.file->text[last_byte]))
        last_byte--; /* a span that ends with blanks and line breaks ends before them */
    span.end = span.end > span.start ? last_byte + 1 : span.end;
    span_locate((Span){span.file, last_byte, last_byte}, &last_number, &column);
    print_line(out, span, line_at(span.file, span.start), number, paint, plain);
    if (last_number == number)
        return;
    if (last_number > number + 1)
        text_add(out, "  ... |\n");
    print_line(out, span, line_at(span.file, last_byte), last_number, paint, plain);
}
