/* Text goldens: golden/NAME.ir, whose first line names passes, becomes golden/NAME.out.ir; with gradients expanded the
 * interpreter computes the same before and after. NNC_UPDATE_GOLDENS=1 in the environment writes the outputs anew. */
#include "tests/passes/interp_compare.h"
#include <dirent.h>
#include <stdlib.h>
#include "passes/pass.h"
#include "test.h"

#define FOLDER NNC_SOURCE_DIR "/tests/passes/golden/"
enum { MAX_NAMES = 16 };

static Module *read_module(Arena *arena, Diag *diag, const char *path, const char *text, size_t length) {
    SourceFile *file = ARENA_NEW(arena, SourceFile);
    *file = (SourceFile){path, text, length};
    Module *module = module_read(arena, diag, file);
    if (module && module_verify(module, "the reader"))
        return module;
    Text messages = {0};
    diag_print(diag, &messages, false);
    printf("%s\n", messages.data ? messages.data : "");
    text_free(&messages);
    return NULL;
}

/* "# passes: a b c" */
static int read_passes(Arena *arena, const char *text, const char **names) {
    const char *start = strchr(text, ':');
    int count = 0;
    if (!start)
        return 0;
    char *line = arena_strdup(arena, start + 1), *rest = NULL;
    line[strcspn(line, "\n")] = '\0';
    for (char *name = strtok_r(line, " ", &rest); name && count < MAX_NAMES; name = strtok_r(NULL, " ", &rest))
        names[count++] = name;
    return count;
}

static void compare_with_file(const char *path, const Module *module) {
    Text got = {0};
    size_t length = 0;
    module_print(&got, module);
    if (getenv("NNC_UPDATE_GOLDENS"))
        CHECK(text_write_file(path, got.data, got.length) == 0);
    char *expected = text_read_file(path, &length);
    CHECK(expected != NULL);
    if (expected)
        CHECK_TEXT(got.data, expected);
    free(expected);
    text_free(&got);
}

static bool run_passes(Module *module, Diag *diag, const char *const *names, int count) {
    const PassOptions options = {.verify_all = true};
    PassContext context = pass_context(diag, NULL, &options);
    bool ok = passes_run(module, &context, names, count);
    Text text = {0};
    diag_print(diag, &text, false);
    if (text.length)
        printf("%s\n", text.data);
    text_free(&text);
    return ok;
}

static void compare_results(Arena *arena, Diag *diag, Module *before, const Module *after) {
    CompareOptions options = {.seed = 3, .batch = 3, .tolerance = 1e-12};
    Module *plain = module_clone(arena, before);
    Text why = {0};
    CHECK(run_passes(plain, diag, (const char *[]){"autodiff"}, 1));
    CHECK(test_compare_modules(plain, after, &options, &why));
    if (why.length)
        printf("%s\n", why.data);
    text_free(&why);
}

static void test_file(const char *name) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    size_t length = 0;
    const char *path = arena_format(arena, FOLDER "%s", name), *names[MAX_NAMES];
    char *text = text_read_file(path, &length);
    CHECK(text != NULL);
    Module *before = text ? read_module(arena, diag, path, text, length) : NULL;
    CHECK(before != NULL);
    if (before) {
        Module *after = module_clone(arena, before);
        int count = read_passes(arena, text, names);
        CHECK(count > 0);
        CHECK(run_passes(after, diag, names, count));
        compare_results(arena, diag, before, after);
        compare_with_file(arena_format(arena, FOLDER "%.*s.out.ir", (int)strlen(name) - 3, name), after);
    }
    free(text);
    arena_free(arena);
}

static bool ends_with(const char *name, const char *end) {
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

int main(void) {
    DIR *folder = opendir(FOLDER);
    int count = 0;
    CHECK(folder != NULL);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (ends_with(entry->d_name, ".ir") && !ends_with(entry->d_name, ".out.ir")) {
            printf("%s\n", entry->d_name);
            test_file(entry->d_name);
            count++;
        }
    if (folder)
        closedir(folder);
    CHECK(count >= 7);
    return test_report();
}
