/* The pass manager: the table of passes, the order of a compilation, and the checks after every pass. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "passes/pass.h"

const PassInfo pass_infos[] = {
#define PASS(name, first, last, out, help) {#name, pass_##name, first, last, out, help},
#include "passes/passes.def"
#undef PASS
};
const int pass_count = sizeof pass_infos / sizeof *pass_infos;

const char *const pass_pipeline[] = {"simplify", "needed_region", "autodiff", "cse", "simplify", "cse",
                                     "sink",     "dce",           "fuse",     "dce", "schedule"};
const int pass_pipeline_count = sizeof pass_pipeline / sizeof *pass_pipeline;

const PassInfo *pass_find(const char *name) {
    for (int i = 0; i < pass_count; i++)
        if (strcmp(pass_infos[i].name, name) == 0)
            return &pass_infos[i];
    return NULL;
}

PassLevel module_level(const Module *module) {
    PassLevel level = LEVEL_PRIMITIVES;
    for (int i = 0; i < module->func_count; i++)
        for (const Op *op = module->funcs[i]->body.first; op; op = op->next) {
            if (op->code == OP_GRAD)
                return LEVEL_GRADIENTS;
            if (op->code == OP_FUSION)
                level = LEVEL_FUSED;
        }
    return level;
}

/* Steps through a comma-separated list: the next name and its length, NULL at the end. */
static const char *list_next(const char **list, size_t *length) {
    if (!*list || !**list)
        return NULL;
    const char *name = *list;
    *length = strcspn(name, ",");
    *list = name + *length + (name[*length] == ',');
    return name;
}

static bool list_has(const char *list, const char *name) {
    const char *item;
    size_t length;
    while ((item = list_next(&list, &length)))
        if ((length == strlen(name) && strncmp(item, name, length) == 0) ||
            (length == 3 && strncmp(item, "all", 3) == 0))
            return true;
    return false;
}

static bool list_check(const char *list, const char *option, bool takes_all, Diag *diag) {
    const char *item, *names[sizeof pass_infos / sizeof *pass_infos];
    size_t length;
    bool ok = true;
    for (int i = 0; i < pass_count; i++)
        names[i] = pass_infos[i].name;
    while ((item = list_next(&list, &length))) {
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)length, item);
        if (pass_find(word) || (takes_all && strcmp(word, "all") == 0))
            continue;
        ok = false;
        diag_error(diag, (Span){0}, "%s: there is no pass `%s`", option, word);
        const char *nearest = text_nearest(word, names, pass_count);
        if (nearest)
            diag_help(diag, "did you mean `%s`?", nearest);
    }
    return ok;
}

bool pass_options_check(const PassOptions *options, Diag *diag) {
    bool print_after = list_check(options->print_after, "--print-after", true, diag);
    bool skip = list_check(options->skip, "--skip", false, diag);
    bool stop_after = list_check(options->stop_after, "--stop-after", false, diag);
    if (stop_after && options->stop_after && strchr(options->stop_after, ',')) {
        diag_error(diag, (Span){0}, "--stop-after takes one pass, not `%s`", options->stop_after);
        stop_after = false;
    }
    return print_after && skip && stop_after;
}

PassContext pass_context(Diag *diag, Text *log, const PassOptions *options) {
    return (PassContext){.diag = diag, .log = log, .options = options};
}

static bool verify_all(const PassContext *context) {
#ifndef NDEBUG
    (void)context;
    return true;
#else
    return context->options->verify_all;
#endif
}

/* The text form must say everything: read back and printed again it is the same. */
static bool check_round_trip(const char *text, const char *pass, PassContext *context) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    SourceFile file = {.name = "<printed>", .text = text, .length = strlen(text)};
    Module *again = module_read(arena, diag, &file);
    Text printed = {0};
    if (again)
        module_print(&printed, again);
    bool same = again && strcmp(printed.data, text) == 0;
    if (!same) {
        Text messages = {0};
        diag_print(diag, &messages, false);
        diag_internal(context->diag, (Span){0}, "after the pass %s the module %s%s%s", pass,
                      again ? "prints differently when it is read back" : "cannot be read back",
                      messages.length ? ": " : "", messages.length ? messages.data : "");
        text_free(&messages);
    }
    text_free(&printed);
    arena_free(arena);
    return same;
}

static bool check_after(Module *module, const PassInfo *pass, bool changed, const char *before, PassContext *context) {
    if (!module_verify(module, pass->name))
        return false;
    if (pass->out != LEVEL_ANY && module_level(module) > pass->out) {
        diag_internal(context->diag, (Span){0}, "the pass %s left ops of a later level", pass->name);
        return false;
    }
    if (!before)
        return true;
    Text after = {0};
    module_print(&after, module);
    bool ok = check_round_trip(after.data ? after.data : "", pass->name, context);
    if (ok && !changed && strcmp(before, after.data) != 0) {
        diag_internal(context->diag, (Span){0}, "the pass %s changed the module and said that it did not", pass->name);
        ok = false;
    }
    text_free(&after);
    return ok;
}

static bool dump(const Module *module, const PassInfo *pass, PassContext *context) {
    Text text = {0}, path = {0};
    module_print(&text, module);
    text_format(&path, "%s/%02d-%s.ir", context->options->dump_dir, context->passes_run, pass->name);
    bool ok = text_write_file(path.data, text.data, text.length) == 0;
    if (!ok)
        diag_error(context->diag, (Span){0}, "cannot write %s: %s", path.data, strerror(errno));
    text_free(&text);
    text_free(&path);
    return ok;
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool report(Module *module, const PassInfo *pass, bool changed, double seconds, PassContext *context) {
    const PassOptions *options = context->options;
    if (options->time_passes)
        text_format(context->log, "%-12s %8.3f ms%s\n", pass->name, seconds * 1e3, changed ? "" : "  (unchanged)");
    if (list_has(options->print_after, pass->name)) {
        text_format(context->log, "# after %s\n", pass->name);
        module_print(context->log, module);
    }
    return !options->dump_dir || dump(module, pass, context);
}

/* The order of passes is the user's too (--skip): this is no bug. */
static bool check_level(const Module *module, const PassInfo *pass, PassContext *context) {
    PassLevel level = module_level(module);
    if (level < pass->first)
        diag_error(context->diag, (Span){0}, "the pass %s needs the gradients expanded: run autodiff before it",
                   pass->name);
    else if (level > pass->last)
        diag_error(context->diag, (Span){0}, "the pass %s does not take a module with fusions", pass->name);
    return level >= pass->first && level <= pass->last;
}

static bool run_pass(Module *module, const PassInfo *pass, PassContext *context) {
    if (!check_level(module, pass, context))
        return false;
    Text before = {0};
    if (verify_all(context))
        module_print(&before, module);
    int errors = diag_errors(context->diag);
    context->arena = arena_new();
    double start = seconds_now();
    bool changed = pass->run(module, context);
    double seconds = seconds_now() - start;
    arena_free(context->arena);
    context->arena = NULL;
    context->passes_run++;
    bool ok = diag_errors(context->diag) == errors && check_after(module, pass, changed, before.data, context) &&
              report(module, pass, changed, seconds, context);
    text_free(&before);
    return ok;
}

static bool run_list(Module *module, PassContext *context, const char *const *names, int count) {
    for (int i = 0; i < count && !context->stopped; i++) {
        const PassInfo *pass = pass_find(names[i]);
        if (!pass) {
            diag_internal(context->diag, (Span){0}, "there is no pass %s", names[i]);
            return false;
        }
        if (!list_has(context->options->skip, pass->name) && !run_pass(module, pass, context))
            return false;
        const char *stop = context->options->stop_after;
        context->stopped = stop && strcmp(stop, pass->name) == 0;
    }
    return true;
}

bool passes_run(Module *module, PassContext *context, const char *const *names, int count) {
    static const PassOptions no_options;
    Text unread = {0};
    PassContext inner = *context;
    inner.log = context->log ? context->log : &unread;
    inner.options = context->options ? context->options : &no_options;
    bool ok = run_list(module, &inner, names, count);
    context->stopped = inner.stopped;
    context->passes_run = inner.passes_run;
    text_free(&unread);
    return ok;
}
