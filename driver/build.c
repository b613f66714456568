/* The user's compilers: of C ($CC, else cc) and of CUDA ($NVCC, else nvcc); and where the runtime's headers and library
 * lie: where nnc was built or installed. */
#include "driver/build.h"
#include "codegen/kir/library.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- where things are */

static bool is_file(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

/* The folder of this executable; "." if the system does not say. */
static const char *own_folder(Arena *arena) {
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length <= 0)
        return ".";
    path[length] = '\0';
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    return arena_strdup(arena, path);
}

const char *build_folder(Arena *arena, Diag *diag, const char *purpose) {
    const char *given = getenv("TMPDIR"), *parent = given && *given ? given : "/tmp";
    char *folder = arena_format(arena, "%s/nnc-%s-XXXXXX", parent, purpose);
    if (mkdtemp(folder))
        return folder;
    diag_error(diag, (Span){0}, "cannot make a folder in %s: %s", parent, strerror(errno));
    diag_help(diag, "name another place: TMPDIR=FOLDER nnc ..");
    return NULL;
}

/* In the build folder, or installed; else the compiler's own search has to do. */
static void find_runtime(CBuild *build) {
    static const char *const libraries[] = {"%s/../runtime/libnnrt.a", "%s/../" NNC_LIBDIR "/libnnrt.a",
                                            "%s/../lib/libnnrt.a"};
    const char *own = own_folder(build->arena), *installed = arena_format(build->arena, "%s/../include", own);
    for (int i = 0; i < 3 && !build->library; i++) {
        Text path = {0};
        text_format(&path, "%s%s", own, libraries[i] + 2);
        if (is_file(path.data))
            build->library = arena_strdup(build->arena, path.data);
        text_free(&path);
    }
    if (is_file(NNC_SOURCE_INCLUDE "/nnrt.h"))
        build->include = NNC_SOURCE_INCLUDE;
    if (is_file(arena_format(build->arena, "%s/nnrt.h", installed)))
        build->include = installed;
}

/* ---- the compiler */

/* The toolkit's compiler: on the search path, or where CUDA is installed. */
static const char *find_nvcc(Arena *arena) {
    const char *path = getenv("PATH"), *homes[] = {getenv("CUDA_HOME"), getenv("CUDA_PATH"), "/usr/local/cuda"};
    for (const char *at = path; at && *at;) {
        int length = (int)strcspn(at, ":");
        const char *found = arena_format(arena, "%.*s/nvcc", length, at);
        if (length > 0 && is_file(found))
            return found;
        at += length + (at[length] == ':');
    }
    for (int i = 0; i < 3; i++) {
        const char *found = homes[i] ? arena_format(arena, "%s/bin/nvcc", homes[i]) : NULL;
        if (found && is_file(found))
            return found;
    }
    return "nvcc";
}

static const char *find_compiler(const Target *target, Arena *arena) {
    const char *given = getenv(target->on_gpu ? "NVCC" : "CC");
    if (given && *given)
        return given;
    return target->on_gpu ? find_nvcc(arena) : "cc";
}

/* Words of the compiler and its flags as an argument vector; paths stay whole. */
static int split_words(const CBuild *build, const char *text, const char **words, int limit) {
    char *copy = arena_strdup(build->arena, text);
    int count = 0;
    for (char *word = strtok(copy, " "); word && count < limit; word = strtok(NULL, " "))
        words[count++] = word;
    return count;
}

/* The exit status of a command whose messages go to `log`; -1: it could not be started. */
static int run_command(const char *const *words, const char *log) {
    pid_t child = fork();
    if (child == 0) {
        if (!freopen(log, "w", stderr) || !freopen("/dev/null", "w", stdout))
            _exit(126);
        execvp(words[0], (char *const *)(uintptr_t)words);
        _exit(127);
    }
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

enum { MOST_WORDS = 64 };

/* Compiler, flags, source and result. */
static int compile_words(const CBuild *build, const char *source, const char *result, const char **words) {
    int n = split_words(build, build->compiler, words, 32);
    n += split_words(build, build->flags, words + n, 16);
    if (build->include) {
        words[n++] = "-I";
        words[n++] = build->include;
    }
    words[n++] = source;
    words[n++] = "-o";
    words[n++] = result;
    return n;
}

static int compile_with(const CBuild *build, const char *source, const char *program, bool openmp, const char *log) {
    const char *words[MOST_WORDS];
    int n = compile_words(build, source, program, words);
    if (openmp)
        words[n++] = "-fopenmp";
    words[n++] = build->library ? build->library : "-lnnrt";
    if (*build->zlib)
        words[n++] = build->zlib;
    if (build->link)
        n += split_words(build, build->link, words + n, 8);
    words[n++] = "-lm";
    words[n] = NULL;
    return run_command(words, log);
}

/* The library that a program wants and that the messages say is not there; NULL: it is something else. */
static const Library *missing_library(const CBuild *build, const char *messages) {
    for (int i = 0; i < library_count && build->link && messages; i++)
        for (int k = 0; k < 2 && strstr(build->link, library_infos[i].link); k++)
            if (library_infos[i].missing[k] && strstr(messages, library_infos[i].missing[k]))
                return &library_infos[i];
    return NULL;
}

static void compile_failed(const CBuild *build, const char *source, int status, const char *log) {
    size_t length = 0;
    char *messages = text_read_file(log, &length);
    const Library *library = missing_library(build, messages);
    if (build->target->on_gpu && (status == 127 || status < 0)) {
        diag_error(build->diag, (Span){0}, "cannot start nvcc, which makes a program of CUDA (%s)", build->compiler);
        diag_help(build->diag,
                  "install the CUDA toolkit, name its compiler (NVCC=/usr/local/cuda/bin/nvcc nnc run ..), "
                  "or leave --target=cuda out to run on the processor");
    } else if (status == 127 || status < 0) {
        diag_error(build->diag, (Span){0}, "cannot start the C compiler %s", build->compiler);
        diag_help(build->diag, "install gcc or clang, or name one in the environment: CC=clang nnc ...");
    } else if (library) {
        diag_error(build->diag, (Span){0}, "%s finds no %s, which --%s=%s needs", build->compiler, library->title,
                   library->option, library->name);
        diag_help(build->diag, "%s, or leave --%s out", library->install, library->option);
    } else {
        diag_error(build->diag, (Span){0}, "%s could not compile %s (exit code %d)", build->compiler, source, status);
        diag_help(build->diag, "what it said:\n%s", messages ? messages : "nothing");
    }
    free(messages);
}

CBuild build_start(const Options *options, Arena *arena, Diag *diag) {
    const Target *target = target_find(options->target);
    CBuild build = {.arena = arena, .diag = diag, .target = target, .zlib = NNC_ZLIB};
    KIsa isa;
    bool advice = target_isa(options, &isa) && *isa.c_flags; /* kernels and compiler must agree */
    build.compiler = find_compiler(target, arena);
    build.flags = arena_format(arena, "%s%s%s", host_flags(target->host), advice ? " " : "", advice ? isa.c_flags : "");
    find_runtime(&build);
    return build;
}

Status build_program(const CBuild *build, const char *source, const char *program, bool openmp) {
    const char *log = arena_format(build->arena, "%s.log", program);
    openmp = openmp && !build->target->on_gpu;
    int status = compile_with(build, source, program, openmp, log);
    if (openmp && status != 0 && status != 127)
        status = compile_with(build, source, program, false, log);
    if (status != 0) {
        compile_failed(build, source, status, log);
        unlink(program);
    }
    unlink(log);
    return status == 0 ? STATUS_OK : status == 127 ? STATUS_FILE : STATUS_INTERNAL;
}

Status build_resources(const CBuild *build, const char *source, const char *object, Text *said) {
    const char *words[MOST_WORDS], *log = arena_format(build->arena, "%s.log", object);
    int n = compile_words(build, source, object, words);
    words[n++] = "-cubin";
    words[n++] = "-Xptxas";
    words[n++] = "-v";
    words[n] = NULL;
    int status = run_command(words, log);
    if (status != 0)
        compile_failed(build, source, status, log);
    size_t length = 0;
    char *text = status == 0 ? text_read_file(log, &length) : NULL;
    if (text)
        text_add_length(said, text, length);
    free(text);
    unlink(log);
    unlink(object);
    return status == 0 ? STATUS_OK : status == 127 ? STATUS_FILE : STATUS_INTERNAL;
}

int build_run(const char *program, const char *argument, Text *out) {
    int ends[2], status = 0;
    if (pipe(ends) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execl(program, program, argument, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    char piece[4096];
    ssize_t length;
    while (child > 0 && ((length = read(ends[0], piece, sizeof piece)) > 0 || (length < 0 && errno == EINTR)))
        if (length > 0)
            text_add_length(out, piece, (size_t)length);
    close(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
