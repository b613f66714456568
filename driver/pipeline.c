/* From a source file to mapped kernels with a memory plan, stage by stage. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "codegen/isa.h"
#include "codegen/lower.h"
#include "codegen/memory_plan.h"
#include "driver/driver.h"

static bool read_source(Pipeline *p) {
    const char *path = p->options->input;
    size_t length = 0;
    char *text = text_read_file(path, &length);
    if (!text) {
        diag_error(p->diag, (Span){0}, "cannot read %s: %s", path, strerror(errno));
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

static bool has_errors(Pipeline *p) {
    if (diag_errors(p->diag) == 0)
        return false;
    p->status = STATUS_PROGRAM;
    return true;
}

static bool build_program(Pipeline *p) {
    const Options *o = p->options;
    FrontendOptions frontend = {o->defines, o->define_count, o->model};
    p->program = frontend_program(p->arena, p->diag, p->ast, &frontend);
    if (!p->program || has_errors(p)) {
        p->status = STATUS_PROGRAM;
        return false;
    }
    if (o->batch_size) {
        p->program->module->batch_max = o->batch_size;
        p->program->fit.batch_size = (int)o->batch_size;
    }
    return true;
}

static bool run_passes(Pipeline *p) {
    PassContext context = pass_context(p->diag, &p->log, &p->options->passes);
    bool ok = passes_run(p->program->module, &context, pass_pipeline, pass_pipeline_count) && !has_errors(p);
    p->stopped = context.stopped;
    if (!ok)
        p->status = STATUS_PROGRAM;
    return ok;
}

/* Emitted files name the source without its folders: they do not depend on where it was compiled. */
static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static void time_stage(Pipeline *p, const char *name, double *start) {
    double now = milliseconds();
    if (p->options->passes.time_passes)
        text_format(&p->log, "%-12s %8.3f ms\n", name, now - *start);
    *start = now;
}

static bool make_kernels(Pipeline *p) {
    const Target *target = target_find(p->options->target);
    KIsa isa;
    double start = milliseconds();
    if (target->isa)
        isa = *target->isa;
    else if (!isa_find(p->options->cpu, &isa)) {
        diag_internal(p->diag, (Span){0}, "no instruction set %s", p->options->cpu);
        return false;
    }
    p->source->name = base_name(p->source->name);
    p->kernels = lower_program(p->arena, p->diag, p->program, isa);
    time_stage(p, "lower", &start);
    if (!p->kernels) {
        p->status = STATUS_PROGRAM;
        return false;
    }
    target->layout(p->kernels);
    time_stage(p, "layout", &start);
    bool ok = target->map(p->kernels);
    time_stage(p, "map", &start);
    if (ok && p->options->verify)
        ok = kprogram_verify(p->kernels, "mapping");
    memory_plan(p->kernels, !p->options->no_memory_plan);
    time_stage(p, "memory_plan", &start);
    return ok && !diag_errors(p->diag);
}

bool pipeline_run(Pipeline *p, const Options *options, Arena *arena, Diag *diag, Stage last) {
    *p = (Pipeline){.options = options, .arena = arena, .diag = diag, .status = STATUS_INTERNAL};
    if (!read_source(p))
        return false;
    p->ast = ast_parse(arena, interner_new(arena), diag, p->source);
    if (!p->ast || has_errors(p)) {
        p->status = STATUS_PROGRAM;
        return false;
    }
    if (last == STAGE_AST)
        return true;
    if (!build_program(p))
        return false;
    if (last == STAGE_PROGRAM)
        return true;
    if (!run_passes(p))
        return false;
    if (last == STAGE_PASSES || p->stopped)
        return true;
    return make_kernels(p);
}

void pipeline_free(Pipeline *p) {
    text_free(&p->log);
}
