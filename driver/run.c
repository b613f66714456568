/* `nnc run FILE VERB ..`: compiles FILE to a program in a cache folder, unless it is there already, and becomes it.
 *
 * The name of a program in the cache is a hash of everything that it is made of: the emitted C, the compiler and its
 * flags, the runtime library. Needs: a C compiler ($CC, else cc), and the runtime's headers and library, which lie
 * where nnc was built or installed. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "driver/driver.h"

static const char *const verbs[] = {"init", "fit", "evaluate", "predict", "generate", "summary"};
enum { VERB_COUNT = sizeof verbs / sizeof *verbs };

typedef struct {
    const Options *options;
    Diag *diag;
    Arena *arena;
    const char *compiler;          /* the words of $CC */
    const char *include, *library; /* folder of nnrt.h, libnnrt.a; NULL: left to the compiler */
    const char *cache, *stem;      /* folder; CACHE/digits-0123456789abcdef */
    const char *zlib;              /* -lz, or nothing */
    const char *blas;              /* -lopenblas, or NULL */
    Status status;
} Run;

static bool run_fail(Run *run, Status status) {
    run->status = status;
    return false;
}

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

/* In the build folder, or installed; else the compiler's own search has to do. */
static void find_runtime(Run *run) {
    static const char *const libraries[] = {"%s/../runtime/libnnrt.a", "%s/../" NNC_LIBDIR "/libnnrt.a",
                                            "%s/../lib/libnnrt.a"};
    const char *own = own_folder(run->arena), *installed = arena_format(run->arena, "%s/../include", own);
    for (int i = 0; i < 3 && !run->library; i++) {
        Text path = {0};
        text_format(&path, "%s%s", own, libraries[i] + 2);
        if (is_file(path.data))
            run->library = arena_strdup(run->arena, path.data);
        text_free(&path);
    }
    if (is_file(NNC_SOURCE_INCLUDE "/nnrt.h"))
        run->include = NNC_SOURCE_INCLUDE;
    if (is_file(arena_format(run->arena, "%s/nnrt.h", installed)))
        run->include = installed;
}

static bool make_folder(const char *path) {
    return mkdir(path, 0777) == 0 || errno == EEXIST;
}

static bool find_cache(Run *run) {
    const char *given = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const char *base = given && given[0] == '/' ? given
                       : home && *home          ? arena_format(run->arena, "%s/.cache", home)
                                                : NULL;
    if (!base) {
        diag_error(run->diag, (Span){0}, "no folder for compiled programs: neither HOME nor XDG_CACHE_HOME is set");
        return run_fail(run, STATUS_FILE);
    }
    run->cache = arena_format(run->arena, "%s/nnc", base);
    if (make_folder(base) && make_folder(run->cache))
        return true;
    diag_error(run->diag, (Span){0}, "cannot make the folder %s: %s", run->cache, strerror(errno));
    return run_fail(run, STATUS_FILE);
}

/* ---- hash: FNV-1a, 64 bits */

static void hash_bytes(uint64_t *hash, const char *data, size_t length) {
    for (size_t i = 0; i < length; i++)
        *hash = (*hash ^ (unsigned char)data[i]) * 0x100000001b3u;
}

static void hash_file(uint64_t *hash, const char *path) {
    size_t length = 0;
    char *data = path ? text_read_file(path, &length) : NULL;
    if (data)
        hash_bytes(hash, data, length);
    free(data);
}

/* ---- the C compiler */

static const char *compiler_flags(const Run *run) {
    /* a generic CPU needs no flag; for another one kernels and compiler must agree */
    const char *cpu = run->options->cpu;
    if (strcmp(cpu, "native") == 0)
        return "-O3 -march=native";
    if (strncmp(cpu, "x86-64", 6) == 0)
        return arena_format(run->arena, "-O3 -march=%s", cpu);
    return "-O3";
}

/* Words of $CC and flags as an argument vector; paths stay whole. */
static int split_words(Run *run, const char *text, const char **words, int limit) {
    char *copy = arena_strdup(run->arena, text);
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

static int compile_with(Run *run, const char *source, const char *program, bool openmp, const char *log) {
    const char *words[64];
    int n = split_words(run, run->compiler, words, 32);
    n += split_words(run, compiler_flags(run), words + n, 8);
    if (openmp)
        words[n++] = "-fopenmp";
    if (run->include) {
        words[n++] = "-I";
        words[n++] = run->include;
    }
    words[n++] = source;
    words[n++] = "-o";
    words[n++] = program;
    words[n++] = run->library ? run->library : "-lnnrt";
    if (*run->zlib)
        words[n++] = run->zlib;
    if (run->blas)
        words[n++] = run->blas;
    words[n++] = "-lm";
    words[n] = NULL;
    return run_command(words, log);
}

static void compile_failed(Run *run, int status, const char *log) {
    size_t length = 0;
    char *messages = text_read_file(log, &length);
    if (status == 127 || status < 0) {
        diag_error(run->diag, (Span){0}, "cannot start the C compiler %s", run->compiler);
        diag_help(run->diag, "install gcc or clang, or name one: CC=clang nnc run ..");
    } else if (run->blas && messages && strstr(messages, "openblas")) {
        diag_error(run->diag, (Span){0}, "%s finds no OpenBLAS, which --blas=openblas needs", run->compiler);
        diag_help(run->diag, "install libopenblas-dev (Debian, Ubuntu), openblas-devel (Fedora) or openblas (Arch, "
                             "Homebrew), or leave --blas out");
    } else {
        diag_error(run->diag, (Span){0}, "%s could not compile %s.c (exit code %d)", run->compiler, run->stem, status);
        diag_help(run->diag, "what it said:\n%s", messages ? messages : "nothing");
    }
    free(messages);
}

/* Compiles beside the final name, then renames: two runs at the same time do not disturb each other. */
static bool compile(Run *run, const Text *source) {
    const char *c = arena_format(run->arena, "%s.c", run->stem);
    const char *fresh = arena_format(run->arena, "%s.new-%ld", run->stem, (long)getpid());
    const char *log = arena_format(run->arena, "%s.log", fresh);
    if (write_output(run->diag, c, source) != STATUS_OK)
        return run_fail(run, STATUS_FILE);
    int status = compile_with(run, c, fresh, true, log);
    if (status != 0 && status != 127)
        status = compile_with(run, c, fresh, false, log); /* without OpenMP */
    if (status != 0)
        compile_failed(run, status, log);
    unlink(log);
    if (status != 0) {
        unlink(fresh);
        return run_fail(run, status == 127 ? STATUS_FILE : STATUS_INTERNAL);
    }
    if (rename(fresh, run->stem) == 0)
        return true;
    diag_error(run->diag, (Span){0}, "cannot write %s: %s", run->stem, strerror(errno));
    return run_fail(run, STATUS_FILE);
}

/* ---- options of the program that change what is compiled */

/* The value of --batch-size=N or --batch-size N among the program's options, else 0. */
static int64_t asked_batch_size(const Options *options) {
    static const char name[] = "--batch-size";
    int64_t size = 0;
    for (int i = 0; i < options->rest_count; i++) {
        const char *word = options->rest[i], *value = NULL;
        if (strncmp(word, name, sizeof name - 1) != 0)
            continue;
        if (word[sizeof name - 1] == '=')
            value = word + sizeof name;
        else if (!word[sizeof name - 1] && i + 1 < options->rest_count)
            value = options->rest[i + 1];
        char *end;
        long long number = value ? strtoll(value, &end, 10) : 0;
        if (value && end != value && !*end && number > 0 && number <= 1 << 24)
            size = number;
    }
    return size; /* a value that is no number is the program's to refuse */
}

static bool check_verb(Run *run) {
    const Options *o = run->options;
    if (o->rest_count == 0) {
        diag_error(run->diag, (Span){0}, "what shall be run? nnc run %s fit", o->input);
        diag_help(run->diag, "there are: init, fit, evaluate, predict, generate, summary");
        return run_fail(run, STATUS_USAGE);
    }
    if (strcmp(o->target, "c") != 0) {
        diag_error(run->diag, (Span){0}, "run makes C programs: --target=%s is for nnc alone", o->target);
        return run_fail(run, STATUS_USAGE);
    }
    if (o->rest[0][0] == '-')
        return true;
    for (int i = 0; i < VERB_COUNT; i++)
        if (strcmp(o->rest[0], verbs[i]) == 0)
            return true;
    diag_error(run->diag, (Span){0}, "a program has no verb %s", o->rest[0]);
    const char *nearest = text_nearest(o->rest[0], verbs, VERB_COUNT);
    if (nearest)
        diag_help(run->diag, "did you mean %s?", nearest);
    else
        diag_help(run->diag, "there are: init, fit, evaluate, predict, generate, summary");
    return run_fail(run, STATUS_USAGE);
}

/* ---- the whole */

/* Paths in a .nn file are relative to that file: seen from here its folder stands before them. */
static void place_data(const Run *run, DataSource *data) {
    const char *input = run->options->input, *slash = strrchr(input, '/');
    const char **paths[] = {&data->file, &data->target_file};
    for (int i = 0; slash && i < 2; i++)
        if (*paths[i] && (*paths[i])[0] != '/' && strcmp(*paths[i], "-") != 0)
            *paths[i] = arena_format(run->arena, "%.*s/%s", (int)(slash - input), input, *paths[i]);
}

/* The source; its batches are as large as the program's options ask for. */
static bool make_source(Run *run, Text *source, const char **name) {
    Pipeline p;
    Options options = *run->options;
    int64_t asked = asked_batch_size(&options);
    Text header = {0};
    bool ok = pipeline_run(&p, &options, run->arena, run->diag, STAGE_KERNELS);
    if (ok && asked > p.program->module->batch_max) {
        pipeline_free(&p);
        options.batch_size = asked;
        ok = pipeline_run(&p, &options, run->arena, run->diag, STAGE_KERNELS);
    }
    if (p.log.length)
        fputs(p.log.data, stderr);
    if (!ok)
        run_fail(run, p.status);
    else if (p.stopped) {
        diag_error(run->diag, (Span){0}, "run needs what comes after --stop-after=%s", options.passes.stop_after);
        ok = run_fail(run, STATUS_USAGE);
    } else {
        *name = p.program->name;
        run->blas = host_link(p.kernels);
        place_data(run, &p.program->train);
        place_data(run, &p.program->test);
        place_data(run, &p.program->validation);
        ok = emit_code(source, &header, &p, *name, false) || run_fail(run, STATUS_PROGRAM);
    }
    text_free(&header);
    pipeline_free(&p);
    return ok;
}

static bool prepare(Run *run) {
    Text source = {0};
    const char *name = NULL;
    bool ok = check_verb(run) && make_source(run, &source, &name) && find_cache(run);
    if (ok) {
        uint64_t hash = 0xcbf29ce484222325u;
        find_runtime(run);
        hash_bytes(&hash, source.data, source.length);
        hash_bytes(&hash, run->compiler, strlen(run->compiler));
        const char *flags = compiler_flags(run);
        hash_bytes(&hash, flags, strlen(flags));
        hash_file(&hash, run->library);
        run->stem = arena_format(run->arena, "%s/%s-%016llx", run->cache, name, (unsigned long long)hash);
        ok = access(run->stem, X_OK) == 0 || compile(run, &source);
    }
    text_free(&source);
    return ok;
}

Status run_program(const Options *options, Arena *arena, Diag *diag) {
    const char *compiler = getenv("CC");
    Run run = {.options = options, .diag = diag, .arena = arena, .zlib = NNC_ZLIB};
    run.compiler = compiler && *compiler ? compiler : "cc";
    if (!prepare(&run))
        return run.status;
    char **words = ARENA_ARRAY(run.arena, char *, options->rest_count + 2);
    words[0] = (char *)(uintptr_t)run.stem;
    for (int i = 0; i < options->rest_count; i++)
        words[i + 1] = options->rest[i];
    /* what its hints call it: nnc run digits.nn */
    setenv("NNC_PROGRAM", arena_format(run.arena, "nnc run %s", options->input), 1);
    fflush(NULL);
    execv(run.stem, words);
    diag_error(diag, (Span){0}, "cannot run %s: %s", run.stem, strerror(errno));
    return STATUS_FILE;
}
