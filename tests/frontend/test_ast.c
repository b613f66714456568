/* The syntax tree in its canonical text: ast/NAME.nn against ast/NAME.ast, and the printed text parses to the same.
 * NNC_UPDATE_GOLDENS=1 writes the expected texts anew, for review. */
#include "test.h"
#include <dirent.h>
#include <stdlib.h>
#include "frontend/ast.h"

#define FOLDER NNC_SOURCE_DIR "/tests/frontend/ast/"

static void print_parsed(Arena *arena, Text *out, const char *name, const char *text) {
    Diag *diag = diag_new(arena);
    SourceFile source = {name, text, strlen(text)};
    ast_print(out, ast_parse(arena, interner_new(arena), diag, &source));
    Text told = {0};
    text_add(&told, "");
    diag_print(diag, &told, false);
    CHECK_TEXT(told.data, "");
    text_free(&told);
}

static void check_case(const char *file_name) {
    Arena *arena = arena_new();
    size_t length;
    char *source = text_read_file(arena_format(arena, FOLDER "%s", file_name), &length);
    CHECK(source != NULL);
    Text printed = {0}, again = {0};
    print_parsed(arena, &printed, file_name, source ? source : "");
    print_parsed(arena, &again, "printed", printed.data);
    CHECK_TEXT(again.data, printed.data);
    char *golden = arena_format(arena, FOLDER "%.*s.ast", (int)strlen(file_name) - 3, file_name);
    if (getenv("NNC_UPDATE_GOLDENS"))
        CHECK(text_write_file(golden, printed.data, printed.length) == 0);
    char *expected = text_read_file(golden, &length);
    CHECK_TEXT(printed.data, expected ? expected : "");
    free(expected);
    free(source);
    text_free(&printed);
    text_free(&again);
    arena_free(arena);
}

static void check_spans(void) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const char text[] = "model net {\n    Dense(2 + 3, name=\"x\")\n}\n";
    SourceFile source = {"spans.nn", text, sizeof text - 1};
    Ast *ast = ast_parse(arena, interner_new(arena), diag, &source);
    CHECK(ast->block_count == 1 && ast->blocks[0].body.count == 1);
    const Expr *call = ast->blocks[0].body.entries[0]->value;
    CHECK(call->span.start == 16 && call->span.end == 38);
    CHECK(call->call.name_span.start == 16 && call->call.name_span.end == 21);
    CHECK(call->call.arguments[0].value->span.start == 22 && call->call.arguments[0].value->span.end == 27);
    CHECK(call->call.arguments[1].name_span.start == 29);
    int line, column;
    span_locate(call->span, &line, &column);
    CHECK(line == 2 && column == 5);
    arena_free(arena);
}

int main(void) {
    DIR *folder = opendir(FOLDER);
    int cases = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        size_t length = strlen(entry->d_name);
        if (length > 3 && strcmp(entry->d_name + length - 3, ".nn") == 0) {
            check_case(entry->d_name);
            cases++;
        }
    }
    if (folder)
        closedir(folder);
    CHECK(cases >= 4);
    check_spans();
    return test_report();
}
