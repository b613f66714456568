/* Reads the source file of nnc; where it cannot be read, says which file may have been meant. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "driver/driver.h"

enum { MOST_FILES = 256 };

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The .nn files of a folder, sorted. */
static int list_programs(Arena *arena, const char *folder, const char **names) {
    DIR *directory = opendir(folder);
    int count = 0;
    for (struct dirent *entry; directory && count < MOST_FILES && (entry = readdir(directory));) {
        size_t length = strlen(entry->d_name);
        if (length > 3 && strcmp(entry->d_name + length - 3, ".nn") == 0)
            names[count++] = arena_strdup(arena, entry->d_name);
    }
    if (directory)
        closedir(directory);
    qsort(names, (size_t)count, sizeof *names, compare_names);
    return count;
}

/* A folder instead of a file: the first program in it. */
static void suggest_in_folder(Pipeline *p, const char *folder) {
    const char *names[MOST_FILES];
    int count = list_programs(p->arena, folder, names);
    size_t length = strlen(folder);
    const char *slash = length && folder[length - 1] == '/' ? "" : "/";
    bool here = strcmp(folder, ".") == 0 || strcmp(folder, "./") == 0;
    if (count)
        diag_help(p->diag, "name a file: nnc %s%s%s", here ? "" : folder, here ? "" : slash, names[0]);
    else
        diag_help(p->diag, "there is no .nn file in it; nnc new NAME writes one to start from");
}

/* A file that is not there: one that is called so, or nearly so. */
static void suggest_beside(Pipeline *p, const char *path) {
    const char *names[MOST_FILES], *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *folder = slash ? arena_format(p->arena, "%.*s", (int)(slash - path) + 1, path) : "";
    int count = list_programs(p->arena, slash ? folder : ".", names);
    size_t length = strlen(base);
    bool whole = length > 3 && strcmp(base + length - 3, ".nn") == 0;
    const char *nearest = text_nearest(whole ? base : arena_format(p->arena, "%s.nn", base), names, count);
    if (nearest)
        diag_help(p->diag, "did you mean %s%s?", folder, nearest);
    else
        diag_help(p->diag, "nnc new NAME writes a program to start from");
}

bool pipeline_read(Pipeline *p) {
    const char *path = p->options->input;
    size_t length = 0;
    char *text = text_read_file(path, &length);
    if (!text) {
        int reason = errno;
        diag_error(p->diag, (Span){0}, "cannot read %s: %s", path, strerror(reason));
        if (reason == EISDIR)
            suggest_in_folder(p, path);
        else if (reason == ENOENT)
            suggest_beside(p, path);
        p->status = STATUS_FILE;
        return false;
    }
    p->source = ARENA_NEW(p->arena, SourceFile); /* messages point to it */
    *p->source = (SourceFile){.name = strcmp(path, "-") == 0 ? "<stdin>" : path,
                              .text = arena_copy(p->arena, text, length + 1),
                              .length = length};
    free(text);
    return true;
}
