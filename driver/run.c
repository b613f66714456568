/* `nnc run FILE VERB ..`: compiles FILE to a program in a cache folder, unless it is there already, and becomes it.
 *
 * The name of a program in the cache is a hash of everything that it is made of: the emitted file, the compiler and its
 * flags, the runtime library. Needs: a compiler (build.c), and the runtime's headers and library, which lie where nnc
 * was built or installed. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "driver/build.h"

static const char *const verbs[] = {"init", "fit", "evaluate", "predict", "generate", "summary"};
enum { VERB_COUNT = sizeof verbs / sizeof *verbs };

typedef struct {
    const Options *options;
    Diag *diag;
    Arena *arena;
    CBuild build;
    const char *cache, *stem; /* folder; CACHE/digits-0123456789abcdef */
    Status status;
} Run;

static bool run_fail(Run *run, Status status) {
    run->status = status;
    return false;
}

/* ---- where things are */

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

/* The device loop stands in headers of the runtime; `native` is another architecture on another machine. */
static void hash_gpu(uint64_t *hash, const Run *run) {
    static const char *const headers[] = {"nnrt_cuda.h",   "nnrt_cuda_host.h", "nnrt_cuda_steps.h",
                                          "nnrt_random.h", "nnrt_cublaslt.h",  "nnrt_cudnn.h"};
    static const char folder[] = "/proc/driver/nvidia/gpus";
    for (size_t i = 0; i < sizeof headers / sizeof *headers && run->build.include; i++)
        hash_file(hash, arena_format(run->arena, "%s/%s", run->build.include, headers[i]));
    DIR *gpus = opendir(folder);
    for (struct dirent *gpu; gpus && (gpu = readdir(gpus));)
        if (gpu->d_name[0] != '.')
            hash_file(hash, arena_format(run->arena, "%s/%s/information", folder, gpu->d_name));
    if (gpus)
        closedir(gpus);
}

/* `native` is another processor on another machine that has the same home: what it can do stands in these lines. */
static void hash_processor(uint64_t *hash) {
    static const char *const keys[] = {"model name", "flags", "Features"};
    char *info = text_read_file("/proc/cpuinfo", &(size_t){0});
    for (int i = 0; info && i < 3; i++) {
        const char *line = strstr(info, keys[i]);
        if (line)
            hash_bytes(hash, line, strcspn(line, "\n"));
    }
    free(info);
}

/* ---- the compiler */

/* Compiles beside the final name, then renames: two runs at the same time do not disturb each other. */
static bool compile(Run *run, const Text *source) {
    const char *c = arena_format(run->arena, "%s%s", run->stem, run->build.target->extension);
    const char *fresh = arena_format(run->arena, "%s.new-%ld", run->stem, (long)getpid());
    if (write_output(run->diag, c, source) != STATUS_OK)
        return run_fail(run, STATUS_FILE);
    Status status = build_program(&run->build, c, fresh, true);
    if (status != STATUS_OK)
        return run_fail(run, status);
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

/* For --check: nothing that writes files or that is not training. */
static void only_train(Program *program) {
    program->fit.callback_count = 0;
    program->fit.validation_split = 0;
    program->validation.kind = DATA_NONE;
}

/* The program takes the place of this process: what is to be said is said before. */
static void print_warnings(const Run *run) {
    Text text = {0};
    diag_print(run->diag, &text, false);
    if (text.length)
        fputs(text.data, stderr);
    text_free(&text);
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
    if (ok)
        print_warnings(run);
    if (!ok)
        run_fail(run, p.status);
    else if (p.stopped) {
        diag_error(run->diag, (Span){0}, "run needs what comes after --stop-after=%s", options.passes.stop_after);
        ok = run_fail(run, STATUS_USAGE);
    } else {
        *name = p.program->name;
        run->build.link = host_link(p.kernels);
        place_data(run, &p.program->train);
        place_data(run, &p.program->test);
        place_data(run, &p.program->validation);
        if (options.check)
            only_train(p.program);
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
        hash_bytes(&hash, source.data, source.length);
        hash_bytes(&hash, run->build.compiler, strlen(run->build.compiler));
        hash_bytes(&hash, run->build.flags, strlen(run->build.flags));
        hash_file(&hash, run->build.library);
        if (strstr(run->build.flags, "native"))
            hash_processor(&hash);
        if (run->build.target->on_gpu)
            hash_gpu(&hash, run);
        run->stem = arena_format(run->arena, "%s/%s-%016llx", run->cache, name, (unsigned long long)hash);
        ok = access(run->stem, X_OK) == 0 || compile(run, &source);
    }
    text_free(&source);
    return ok;
}

Status run_prepare(const Options *options, Arena *arena, Diag *diag, const char **program) {
    Run run = {.options = options, .diag = diag, .arena = arena, .build = build_start(options, arena, diag)};
    bool ok = prepare(&run);
    *program = run.stem;
    return ok ? STATUS_OK : run.status;
}

Status run_program(const Options *options, Arena *arena, Diag *diag) {
    Run run = {.options = options, .diag = diag, .arena = arena, .build = build_start(options, arena, diag)};
    if (options->check)
        return check_program(options, arena, diag);
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
