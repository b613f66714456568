/* --bundle: the runtime as one text, to stand inside an emitted file.
 *
 * Headers come first, each where it is first included, then the sources. Two things change on the way: declarations in
 * headers become static (a later definition of a function inherits that), so that several bundled models fit into one
 * program; and a private name that two sources share gets the source's name in front. */
#include <ctype.h>
#include <string.h>
#include "driver/driver.h"
#include "driver/embedded.h"

/* What a library needs: initial values, files with weights, statistics for preprocessing. */
static const char *const library_sources[] = {"nnrt_error.c",   "nnrt_random.c",      "nnrt_init.c",
                                              "nnrt_storage.c", "nnrt_json.c",        "nnrt_gzip.c",
                                              "nnrt_file.c",    "nnrt_safetensors.c", "nnrt_safetensors_write.c",
                                              "nnrt_model.c",   "nnrt_adapt.c"};
enum { LIBRARY_SOURCES = sizeof library_sources / sizeof *library_sources };

typedef struct {
    Arena *arena;
    Text *out;
    Map *done;     /* headers that are in */
    Map *privates; /* name that a source keeps to itself: the first source that has it */
    bool failed;
} Bundle;

static const EmbeddedFile *find_file(const char *name) {
    for (const EmbeddedFile *file = embedded_files; file->name; file++)
        if (strcmp(file->name, name) == 0)
            return file;
    return NULL;
}

static bool begins(const char *text, const char *word) {
    return strncmp(text, word, strlen(word)) == 0;
}

static bool is_header(const char *name) {
    return name[strlen(name) - 1] == 'h';
}

/* A template is included again and again; a header has a guard. */
static bool has_guard(const char *text) {
    const char *at = strstr(text, "#ifndef NNRT_");
    const char *include = strstr(text, "#include"), *define = strstr(text, "#define");
    return at && (!include || at < include) && (!define || at < define);
}

/* int nnrt_error(..);  const char *nnrt_error_text(void); */
static bool is_function_declaration(const char *line, size_t length) {
    static const char *const others[] = {"typedef", "static", "extern", "enum", "union"};
    if (!islower((unsigned char)line[0]) || !memchr(line, '(', length))
        return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (begins(line, others[i]))
            return false;
    return true;
}

/* The file of an #include "..", or NULL. */
static const EmbeddedFile *included(Bundle *b, const char *line, size_t length) {
    static const char word[] = "#include \"";
    if (!begins(line, word) || length < sizeof word)
        return NULL;
    const char *name = line + sizeof word - 1;
    const EmbeddedFile *file = find_file(arena_format(b->arena, "%.*s", (int)strcspn(name, "\"\n"), name));
    b->failed |= !file;
    return file;
}

static void add_file(Bundle *b, const EmbeddedFile *file) {
    bool header = is_header(file->name);
    if (header && has_guard(file->text)) {
        if (map_get(b->done, file->name))
            return;
        map_put(b->done, file->name, b);
    }
    for (const char *line = file->text; *line;) {
        size_t length = strcspn(line, "\n");
        const EmbeddedFile *inner = included(b, line, length);
        if (inner) {
            add_file(b, inner);
        } else {
            if (header && is_function_declaration(line, length))
                text_add(b->out, "static ");
            text_add_length(b->out, line, length);
            text_add(b->out, "\n");
        }
        line += length + (line[length] == '\n');
    }
}

/* ---- names that two sources share */

/* The name of the static function that is defined or declared on this line, or of the type: "} Reader;". Or NULL. */
static const char *private_name(Bundle *b, const char *line, size_t length) {
    if (begins(line, "} ") && line[length - 1] == ';')
        return arena_format(b->arena, "%.*s", (int)length - 3, line + 2);
    const char *parenthesis = memchr(line, '(', length);
    if (!begins(line, "static ") || !parenthesis || memchr(line, '=', (size_t)(parenthesis - line)))
        return NULL;
    const char *first = parenthesis;
    while (isalnum((unsigned char)first[-1]) || first[-1] == '_')
        first--;
    return arena_format(b->arena, "%.*s", (int)(parenthesis - first), first);
}

/* Calls `each` for every name that a source keeps to itself. */
static void each_private(Bundle *b, const EmbeddedFile *file,
                         void (*each)(Bundle *, const EmbeddedFile *, const char *)) {
    for (const char *line = file->text; *line;) {
        size_t length = strcspn(line, "\n");
        const char *name = private_name(b, line, length);
        if (name && *name)
            each(b, file, name);
        line += length + (line[length] == '\n');
    }
}

static void note_private(Bundle *b, const EmbeddedFile *file, const char *name) {
    if (!map_get(b->privates, name))
        map_put(b->privates, name, (void *)(uintptr_t)file);
}

static bool is_shared(const Bundle *b, const EmbeddedFile *file, const char *name) {
    return map_get(b->privates, name) != file;
}

static void define_private(Bundle *b, const EmbeddedFile *file, const char *name) {
    if (is_shared(b, file, name))
        text_format(b->out, "#undef %s\n#define %s %.*s_%s\n", name, name, (int)strlen(file->name) - 2, file->name,
                    name);
}

static void undefine_private(Bundle *b, const EmbeddedFile *file, const char *name) {
    if (is_shared(b, file, name))
        text_format(b->out, "#undef %s\n", name);
}

static void add_source(Bundle *b, const EmbeddedFile *file) {
    text_format(b->out, "\n/* ======== %s */\n", file->name);
    each_private(b, file, define_private);
    add_file(b, file);
    each_private(b, file, undefine_private);
}

/* ---- the whole */

static bool is_wanted(const EmbeddedFile *file, bool library) {
    if (is_header(file->name))
        return false;
    for (int i = 0; i < LIBRARY_SOURCES && library; i++)
        if (strcmp(file->name, library_sources[i]) == 0)
            return true;
    return !library;
}

bool bundle_runtime(Text *out, bool library) {
    static const char *const first[] = {"nnrt.h", "nnrt_kernel.h", "nnrt_adapt.h"};
    Arena *arena = arena_new();
    Bundle b = {arena, out, map_new(arena), map_new(arena), false};
    text_add(out, "\n/* ======== The runtime of nnc begins here. It is the same in every program. */\n"
                  "#if defined(__GNUC__)\n"
                  "#pragma GCC diagnostic ignored \"-Wunused-function\" /* a model needs some of it */\n"
                  "#endif\n");
    for (const EmbeddedFile *file = embedded_files; file->name; file++)
        if (is_wanted(file, library))
            each_private(&b, file, note_private);
    for (int i = 0; i < 3; i++) {
        const EmbeddedFile *file = find_file(first[i]);
        if (file)
            add_file(&b, file);
        b.failed |= !file;
    }
    for (const EmbeddedFile *file = embedded_files; file->name; file++)
        if (is_wanted(file, library))
            add_source(&b, file);
    text_add(out, "/* ======== The runtime of nnc ends here. */\n\n");
    arena_free(arena);
    return !b.failed;
}
