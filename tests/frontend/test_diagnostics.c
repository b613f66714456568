/* Every diagnostic of the language with its place, caret, notes and help: each diagnostics/NAME.nn is compiled and what
 * the user is told is compared with diagnostics/NAME.txt. A first line `# options: -D a=1 --model b` gives options.
 * NNC_UPDATE_GOLDENS=1 in the environment writes the expected texts anew, for review. */
#include "test.h"
#include <dirent.h>
#include <stdlib.h>
#include "frontend/frontend.h"

#define FOLDER NNC_SOURCE_DIR "/tests/frontend/diagnostics/"

static void read_options(Arena *arena, const char *text, FrontendOptions *options) {
    static const char opening[] = "# options:";
    if (strncmp(text, opening, sizeof opening - 1) != 0)
        return;
    char *line = arena_strdup(arena, text + sizeof opening - 1), *rest;
    line[strcspn(line, "\n")] = '\0';
    const char **defines = ARENA_ARRAY(arena, const char *, strlen(line) + 1);
    options->defines = defines;
    for (char *word = strtok_r(line, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        const char *value = strtok_r(NULL, " ", &rest);
        if (strcmp(word, "-D") == 0 && value)
            defines[options->define_count++] = value;
        else if (strcmp(word, "--model") == 0)
            options->model = value;
    }
}

static void check_case(const char *file_name) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    SourceFile source = {file_name, text_read_file(arena_format(arena, FOLDER "%s", file_name), &(size_t){0}), 0};
    CHECK(source.text != NULL);
    source.length = strlen(source.text);
    FrontendOptions options = {0};
    read_options(arena, source.text, &options);
    Ast *ast = ast_parse(arena, interner_new(arena), diag, &source);
    Program *program = frontend_program(arena, diag, ast, &options);
    CHECK(diag_errors(diag) + diag_warnings(diag) > 0);
    CHECK((program == NULL) == (diag_errors(diag) > 0));
    Text told = {0};
    diag_print(diag, &told, false);
    CHECK(told.data && !strstr(told.data, "internal error"));
    char *expected_name = arena_format(arena, FOLDER "%.*s.txt", (int)strlen(file_name) - 3, file_name);
    if (getenv("NNC_UPDATE_GOLDENS"))
        CHECK(text_write_file(expected_name, told.data, told.length) == 0);
    char *expected = text_read_file(expected_name, &(size_t){0});
    CHECK(expected != NULL);
    CHECK_TEXT(told.data, expected ? expected : "");
    free(expected);
    free((char *)source.text);
    text_free(&told);
    arena_free(arena);
}

int main(void) {
    DIR *folder = opendir(FOLDER);
    int cases = 0;
    CHECK(folder != NULL);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        size_t length = strlen(entry->d_name);
        if (length > 3 && strcmp(entry->d_name + length - 3, ".nn") == 0) {
            check_case(entry->d_name);
            cases++;
        }
    }
    if (folder)
        closedir(folder);
    CHECK(cases >= 60);
    return test_report();
}
