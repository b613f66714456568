/* Lines of the printed text, none wider than it should be: broken where they read best, filled, or a comment. Needs the
 * printer's depth; leaves the lines in its text. */
#include "codegen/emit/c_printer_parts.h"
#include <string.h>

enum { LINE_WIDTH = 120, INDENT = 4 };

/* Where a line may be broken: after a comma or a semicolon, before an operator. Better places lie less deep. */
static int break_quality(const char *text, int at, int depth) {
    if (text[at] != ' ' || at == 0)
        return -1;
    bool after = strchr(",;", text[at - 1]) != NULL;
    bool before = strchr("+-*/%&|?:<>=", text[at + 1]) && strchr(" =&|<>", text[at + 2]);
    if (!after && !before)
        return -1;
    return 100 - 10 * depth - (text[at + 1] == '=' && text[at + 2] == ' ' ? 9 : 0) - (after ? 0 : 1);
}

/* The best place to break a text that is wider than `width`; 0: none. `*column` comes in as the column of what stands
 * in no bracket of this text, and leaves as that of the text after the break. */
static int find_break(const char *text, int width, int *column) {
    int depth = 0, best = 0, best_quality = -1, outside = *column, open[16] = {0};
    for (int i = 0; text[i] && (i <= width || best == 0); i++) {
        if (strchr("([{", text[i]) && depth < 15)
            open[++depth] = i + 1;
        if (strchr(")]}", text[i]) && depth > 0)
            depth--;
        int quality = break_quality(text, i, depth);
        if (quality >= best_quality && quality >= 0) {
            best = i;
            best_quality = quality;
            *column = depth > 0 && open[depth] <= LINE_WIDTH / 2 ? open[depth] : outside;
        }
    }
    return best;
}

void c_line(CPrinter *p, const char *text) {
    int start = p->depth * INDENT, shift = 0, column = INDENT;
    for (;;) {
        int indent = start + shift, length = (int)strlen(text);
        int at = indent + length > LINE_WIDTH ? find_break(text, LINE_WIDTH - indent, &column) : 0;
        if (at == 0) {
            text_format(p->out, "%*s%s\n", indent, "", text);
            return;
        }
        text_format(p->out, "%*s%.*s\n", indent, "", at, text);
        text += at + 1;
        shift = column;
    }
}

void c_fill(Text *out, int column, int indent, const char *text) {
    for (bool first = true; *text; first = false) {
        const char *comma = strstr(text, ", ");
        int length = comma ? (int)(comma + 1 - text) : (int)strlen(text);
        if (!first && column + 1 + length > LINE_WIDTH) {
            text_format(out, "\n%*s", indent, "");
            column = indent;
        } else if (!first) {
            text_add(out, " ");
            column++;
        }
        text_add_length(out, text, (size_t)length);
        column += length;
        text += length + (comma != NULL);
    }
}

static int count_lines(const char *text) {
    int lines = 0;
    while ((text = strchr(text, '\n'))) {
        lines++;
        text++;
    }
    return lines;
}

void c_line_short(CPrinter *p, const char *text) {
    Text aligned = {0}, filled = {0}, *out = p->out;
    p->out = &aligned;
    c_line(p, text);
    p->out = out;
    c_fill(&filled, 0, 2 * INDENT, text);
    text_add(&filled, "\n");
    text_add(out, count_lines(filled.data) < count_lines(aligned.data) ? filled.data : aligned.data);
    text_free(&aligned);
    text_free(&filled);
}

void c_line_format(CPrinter *p, const char *format, ...) {
    va_list arguments;
    Text text = {0};
    va_start(arguments, format);
    text_vformat(&text, format, arguments);
    va_end(arguments);
    c_line(p, text.data);
    text_free(&text);
}

void c_comment(CPrinter *p, const char *comment) {
    int indent = p->depth * INDENT, column;
    text_format(p->out, "%*s/* ", indent, "");
    column = indent + 3;
    for (const char *c = comment; *c;) {
        int word = (int)strcspn(c, " \n");
        if (column + word + 4 > LINE_WIDTH || (c > comment && c[-1] == '\n')) {
            text_format(p->out, "\n%*s * ", indent, "");
            column = indent + 3;
        } else if (c > comment && column > indent + 3) {
            text_add(p->out, " ");
            column++;
        }
        for (int i = 0; i < word; i++) /* the comment must not end itself */
            text_format(p->out, c[i] == '*' && c[i + 1] == '/' ? "%c " : "%c", c[i]);
        column += word;
        c += word + (c[word] != '\0');
    }
    text_add(p->out, " */\n");
}
