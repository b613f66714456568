/* From a source file to mapped kernels with a memory plan, stage by stage. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "codegen/plan/cost.h"
#include "codegen/nests/gemm.h"
#include "codegen/kir/isa.h"
#include "codegen/emit/kernel_share.h"
#include "codegen/lower/lower.h"
#include "codegen/plan/memory_plan.h"
#include "codegen/nests/winograd.h"
#include "driver/tune.h"

static bool has_errors(Pipeline *p) {
    if (diag_errors(p->diag) == 0)
        return false;
    p->status = STATUS_PROGRAM;
    return true;
}

/* A trainer's --batch-size may be larger than fit's batch_size: memory is planned for ROOM_BATCH samples where all
 * values of a step together take at most ROOM_BYTES (less is needed, because they share memory). A library, what --emit
 * shows and what `nnc run` makes are exact; so is --max-batch. */
enum { ROOM_BATCH = 128, ROOM_BYTES = 256 << 20 };

/* What a library may use of its own while it computes a convolution: an engine is taken that it is enough for. */
enum { CONVOLUTION_SCRATCH = 32 << 20 };

static bool gives_room(const Pipeline *p) {
    const Options *o = p->options;
    return o->command == COMMAND_COMPILE && (o->emit == EMIT_CODE || o->emit == EMIT_HEADER) && !o->library &&
           !o->max_batch && p->program->target;
}

static bool build_program(Pipeline *p) {
    const Options *o = p->options;
    FrontendOptions frontend = {o->defines, o->define_count, o->model};
    p->program = frontend_program(p->arena, p->diag, p->ast, &frontend);
    if (!p->program || has_errors(p)) {
        p->status = STATUS_PROGRAM;
        return false;
    }
    Module *module = p->program->module;
    if (o->batch_size) {
        module->batch_max = o->batch_size;
        p->program->fit.batch_size = (int)o->batch_size;
    }
    if (!o->max_batch || o->max_batch >= module->batch_max)
        return true;
    diag_error(p->diag, (Span){0}, "--max-batch=%lld is less than the %lld samples of a training step",
               (long long)o->max_batch, (long long)module->batch_max);
    p->status = STATUS_USAGE;
    return false;
}

/* A product over all steps is better in one piece where it is shared by a whole GPU, or left to a library. */
static PassOptions passes_for_target(const Pipeline *p) {
    const Options *o = p->options;
    PassOptions passes = o->passes;
    if (o->products || target_find(o->target)->on_gpu)
        passes.skip = passes.skip ? arena_format(p->arena, "%s,sink", passes.skip) : "sink";
    return passes;
}

static bool run_passes(Pipeline *p) {
    const PassOptions options = passes_for_target(p);
    PassContext context = pass_context(p->diag, &p->log, &options);
    bool ok = passes_run(p->program->module, &context, pass_pipeline, pass_pipeline_count) && !has_errors(p);
    p->stopped = context.stopped;
    p->dumps = context.passes_run;
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

static bool dump_kernels(Pipeline *p, const char *stage) {
    Text text = {0};
    const char *path = arena_format(p->arena, "%s/%02d-%s.kernels", p->options->passes.dump_dir, ++p->dumps, stage);
    kprogram_print(&text, p->kernels);
    bool ok = text_write_file(path, text.data, text.length) == 0;
    if (!ok) {
        diag_error(p->diag, (Span){0}, "cannot write %s: %s", path, strerror(errno));
        p->status = STATUS_FILE;
    }
    text_free(&text);
    return ok;
}

/* What the options want to know of a stage of code generation. False: an error, or the end. */
static bool after_stage(Pipeline *p, KernelStage stage, double *start) {
    const PassOptions *o = &p->options->passes;
    double now = milliseconds();
    if (o->time_passes)
        text_format(&p->log, "%-12s %8.3f ms\n", kernel_stages[stage], now - *start);
    if (options_list_has(o->print_after, kernel_stages[stage])) {
        text_format(&p->log, "# after %s\n", kernel_stages[stage]);
        kprogram_print(&p->log, p->kernels);
    }
    if (o->dump_dir && !dump_kernels(p, kernel_stages[stage]))
        return false;
    *start = milliseconds();
    p->stopped = o->stop_after && strcmp(o->stop_after, kernel_stages[stage]) == 0;
    return !p->stopped;
}

static bool map_kernels(Pipeline *p, const Target *target) {
    if (!target->map(p->kernels))
        return false;
    return !p->options->verify || kprogram_verify(p->kernels, "mapping");
}

static int64_t most_bytes(const KProgram *k, int64_t batch) {
    int64_t most = 0;
    for (int i = 0; i < k->sequence_count; i++) {
        int64_t bytes = 0;
        for (int n = 0; n < k->buffer_count; n++) {
            const KBuffer *b = k->buffers[n];
            if (b->space == SPACE_ARENA && !b->scratch && b->sequence == k->sequences[i])
                bytes += kbuffer_elements(b, batch) * kbase_bytes(b->base);
        }
        most = bytes > most ? bytes : most;
    }
    return most;
}

/* Passes and layout have decided for the batches of a training step, so a program computes the same bits whatever its
 * room is; only tiles and memory are made for more samples. */
static void make_room(Pipeline *p) {
    bool fits = gives_room(p) && most_bytes(p->kernels, ROOM_BATCH) <= ROOM_BYTES;
    int64_t room = fits ? ROOM_BATCH : p->options->max_batch;
    if (room > p->program->module->batch_max)
        p->program->module->batch_max = room;
}

static bool find_tuning(Pipeline *p) {
    const Options *o = p->options;
    if (o->tuning)
        p->kernels->tuning = o->tuning;
    else if (!o->no_tune && o->command != COMMAND_TUNE && (p->kernels->isa.lanes > 1 || p->kernels->isa.gpu))
        p->kernels->tuning = tune_read(p, &p->kernels->isa);
    return !diag_errors(p->diag);
}

/* A library computes convolutions or products as they are. */
static bool filters_may_be_transformed(const Pipeline *p, const Target *target) {
    const Options *o = p->options;
    return !target->on_gpu && !o->products && !o->convolutions && !o->direct_convolutions;
}

static bool make_kernels(Pipeline *p) {
    const Target *target = target_find(p->options->target);
    KIsa isa;
    double start = milliseconds();
    if (!target_isa(p->options, &isa)) {
        diag_internal(p->diag, (Span){0}, "no instruction set %s", target->on_gpu ? p->options->gpu : p->options->cpu);
        return false;
    }
    p->source->name = base_name(p->source->name);
    p->kernels =
        lower_for_library(p->arena, p->diag, p->program, isa, p->options->convolutions ? CONVOLUTION_SCRATCH : 0);
    if (!p->kernels) {
        p->status = STATUS_PROGRAM;
        return false;
    }
    p->kernels->precision = p->options->precision;
    p->kernels->products = p->options->products;
    if (p->options->products && !target->on_gpu)
        gemm_program(p->kernels, GEMM_LEAST);
    if (filters_may_be_transformed(p, target))
        winograd_program(p->kernels, WINOGRAD_CHEAPER);
    if (!after_stage(p, KERNELS_LOWER, &start))
        return p->stopped;
    target->layout(p->kernels);
    if (!after_stage(p, KERNELS_LAYOUT, &start))
        return p->stopped;
    make_room(p);
    if (!find_tuning(p) || !map_kernels(p, target))
        return false;
    tune_check(p);
    if (diag_errors(p->diag))
        return false;
    if (p->kernels->isa.lanes > 1)
        cost_program(p->kernels);
    if (!after_stage(p, KERNELS_MAP, &start))
        return p->stopped;
    memory_plan(p->kernels, !p->options->no_memory_plan);
    kernel_share(p->kernels);
    if (!after_stage(p, KERNELS_MEMORY_PLAN, &start))
        return p->stopped;
    return !diag_errors(p->diag);
}

/* The folder of --dump-dir is made where it is missing. */
static bool make_dump_folder(Pipeline *p) {
    const char *path = p->options->passes.dump_dir;
    if (!path || mkdir(path, 0777) == 0 || errno == EEXIST)
        return true;
    diag_error(p->diag, (Span){0}, "cannot make the folder %s: %s", path, strerror(errno));
    p->status = STATUS_FILE;
    return false;
}

bool pipeline_run(Pipeline *p, const Options *options, Arena *arena, Diag *diag, Stage last) {
    *p = (Pipeline){.options = options, .arena = arena, .diag = diag, .status = STATUS_INTERNAL};
    if (!pipeline_read(p))
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
    if (!make_dump_folder(p) || !run_passes(p))
        return false;
    return last == STAGE_PASSES || p->stopped || make_kernels(p);
}

void pipeline_free(Pipeline *p) {
    text_free(&p->log);
}
