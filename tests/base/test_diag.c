/* What the user is told: places, carets, order, limits. */
#include "test.h"
#include "ir/base/diag.h"
#include <stdlib.h>

static Arena *arena;

static SourceFile source(const char *text) {
    return (SourceFile){"digits.nn", text, strlen(text)};
}

static Span span_of(const SourceFile *file, const char *part) {
    const char *found = strstr(file->text, part);
    uint32_t start = (uint32_t)(found - file->text);
    return (Span){file, start, start + (uint32_t)strlen(part)};
}

static void check_print(Diag *diag, const char *expected) {
    Text text = {0};
    text_add(&text, "");
    diag_print(diag, &text, false);
    CHECK_TEXT(text.data, expected);
    text_free(&text);
}

static void test_plain(void) {
    SourceFile file = source("model digits {\n    Input(64)\n    Dense(64, activaton=relu)\n}\n");
    Diag *diag = diag_new(arena);
    diag_error(diag, span_of(&file, "activaton"), "Dense has no argument `%s`", "activaton");
    diag_help(diag, "did you mean `activation`?");
    diag_note(diag, span_of(&file, "Input"), "the model begins here");
    CHECK(diag_errors(diag) == 1 && diag_warnings(diag) == 0);
    check_print(diag, "digits.nn:3:15: error: Dense has no argument `activaton`\n"
                      "    3 |     Dense(64, activaton=relu)\n"
                      "      |               ^~~~~~~~~\n"
                      "help: did you mean `activation`?\n"
                      "digits.nn:2:5: note: the model begins here\n"
                      "    2 |     Input(64)\n"
                      "      |     ^~~~~\n");
    CHECK(diag_errors(diag) == 1);
    check_print(diag, "");
}

static void test_tabs_and_utf8(void) {
    SourceFile file = source("\ta\tb = \"größe 数字\" + c\r\nd\xff\x01 = 1");
    Diag *diag = diag_new(arena);
    diag_error(diag, span_of(&file, "b"), "tab");
    diag_error(diag, span_of(&file, "\"größe 数字\""), "letters");
    diag_error(diag, span_of(&file, "c\r\n"), "end");
    diag_error(diag, span_of(&file, "= 1"), "bytes");
    check_print(diag, "digits.nn:1:4: error: tab\n"
                      "    1 |     a   b = \"größe 数字\" + c\n"
                      "      |         ^\n"
                      "digits.nn:1:8: error: letters\n"
                      "    1 |     a   b = \"größe 数字\" + c\n"
                      "      |             ^~~~~~~~~~~~\n"
                      "digits.nn:1:21: error: end\n"
                      "    1 |     a   b = \"größe 数字\" + c\n"
                      "      |                            ^\n"
                      "digits.nn:2:5: error: bytes\n"
                      "    2 | d?? = 1\n"
                      "      |     ^~~\n");
}

static void test_many_lines(void) {
    SourceFile file = source("let a = (1 +\n    2 +\n    3)\nlet b = (4 +\n    5)\n");
    Diag *diag = diag_new(arena);
    diag_error(diag, span_of(&file, "(1 +\n    2 +\n    3)"), "three");
    diag_error(diag, span_of(&file, "(4 +\n    5)"), "two");
    check_print(diag, "digits.nn:1:9: error: three\n"
                      "    1 | let a = (1 +\n"
                      "      |         ^~~~\n"
                      "  ... |\n"
                      "    3 |     3)\n"
                      "      |     ^~\n"
                      "digits.nn:4:9: error: two\n"
                      "    4 | let b = (4 +\n"
                      "      |         ^~~~\n"
                      "    5 |     5)\n"
                      "      |     ^~\n");
}

static void test_edges(void) {
    SourceFile file = source("ab"), empty = source("");
    Diag *diag = diag_new(arena);
    diag_error(diag, (Span){&file, 2, 2}, "at the end");
    diag_error(diag, (Span){&file, 90, 99}, "far away");
    diag_error(diag, (Span){&file, 1, 0}, "backwards");
    diag_error(diag, (Span){&empty, 0, 0}, "nothing");
    diag_error(diag, (Span){0}, "nowhere");
    check_print(diag, "digits.nn:1:1: error: nothing\n"
                      "    1 | \n"
                      "      | ^\n"
                      "digits.nn:1:2: error: backwards\n"
                      "    1 | ab\n"
                      "      |  ^\n"
                      "digits.nn:1:3: error: at the end\n"
                      "    1 | ab\n"
                      "      |   ^\n"
                      "digits.nn:1:3: error: far away\n"
                      "    1 | ab\n"
                      "      |   ^\n"
                      "error: nowhere\n");
}

static void test_long_line(void) {
    char text[2001];
    memset(text, 'x', 2000);
    memcpy(text + 1000, "HERE", 4);
    text[2000] = '\0';
    SourceFile file = source(text);
    Diag *diag = diag_new(arena);
    diag_error(diag, span_of(&file, "HERE"), "long");
    Text out = {0};
    diag_print(diag, &out, false);
    const char *line = strchr(out.data, '\n') + 1, *carets = strchr(line, '\n') + 1;
    CHECK(strncmp(line, "    1 | ...x", 12) == 0);
    CHECK((strstr(line, "HERE") - line) == (strchr(carets, '^') - carets));
    CHECK(strstr(carets, "^~~~\n") != NULL);
    CHECK(out.length < 600);
    text_free(&out);
}

static void test_order_and_limit(void) {
    char text[401];
    for (int i = 0; i < 100; i++)
        memcpy(text + 4 * i, "abc\n", 5);
    SourceFile file = source(text);
    Diag *diag = diag_new(arena);
    for (int i = 99; i >= 0; i--)
        diag_error(diag, (Span){&file, (uint32_t)i * 4, (uint32_t)i * 4 + 1}, "number %d", i);
    diag_error(diag, (Span){&file, 0, 1}, "number 0"); /* said already */
    diag_warning(diag, (Span){&file, 1, 2}, "careful");
    CHECK(diag_errors(diag) == 100 && diag_warnings(diag) == 1);
    Text out = {0};
    diag_print(diag, &out, false);
    CHECK(strncmp(out.data, "digits.nn:1:1: error: number 0\n", 31) == 0);
    CHECK(strstr(out.data, "digits.nn:1:2: warning: careful\n") != NULL);
    CHECK(strstr(out.data, "number 19\n") != NULL);
    CHECK(strstr(out.data, "number 20\n") == NULL);
    CHECK_TEXT(out.data + out.length - strlen("and 80 more errors\n"), "and 80 more errors\n");
    text_free(&out);
}

static void test_internal_and_color(void) {
    SourceFile file = source("x");
    Diag *diag = diag_new(arena);
    diag_internal(diag, (Span){&file, 0, 1}, "op %d is lost", 7);
    Text out = {0};
    diag_print(diag, &out, true);
    CHECK(strstr(out.data, "internal error: op 7 is lost") != NULL);
    CHECK(strstr(out.data, "report") != NULL);
    CHECK(strstr(out.data, "\033[1;31merror:\033[0m") != NULL);
    text_free(&out);
}

static void test_spans(void) {
    SourceFile file = source("one\ntwo\n"), other = source("x");
    Span joined = span_join(span_of(&file, "ne"), span_of(&file, "tw"));
    CHECK(joined.start == 1 && joined.end == 6);
    joined = span_join(span_of(&file, "two"), span_of(&file, "one"));
    CHECK(joined.start == 0 && joined.end == 7);
    CHECK(span_join((Span){0}, joined).end == 7);
    CHECK(span_join(joined, (Span){&other, 0, 1}).end == 7);
    int line, column;
    span_locate(span_of(&file, "wo"), &line, &column);
    CHECK(line == 2 && column == 2);
}

int main(void) {
    arena = arena_new();
    test_plain();
    test_tabs_and_utf8();
    test_many_lines();
    test_edges();
    test_long_line();
    test_order_and_limit();
    test_internal_and_color();
    test_spans();
    arena_free(arena);
    return test_report();
}
