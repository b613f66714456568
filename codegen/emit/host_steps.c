/* Steps: each function of the module as a sequence of kernel calls, shared out over threads, and the loops over the
 * batches of a call in one parallel region.
 *
 * Every thread runs the same sequence. A kernel gives each thread a fixed share of its parallel loop's iterations, or
 * runs on thread 0 alone. Threads meet where a kernel needs what others have written (codegen/map/map_phases.c). */
#include "codegen/emit/host_parts.h"
#include <ctype.h>
#include <string.h>

static bool uses_word(const char *text, const char *word) {
    size_t length = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at += length) {
        bool begins = at == text || !(isalnum((unsigned char)at[-1]) || at[-1] == '_');
        bool ends = !(isalnum((unsigned char)at[length]) || at[length] == '_');
        if (begins && ends)
            return true;
    }
    return false;
}

static const char *units_of(Host *h, const KKernel *kernel) {
    Text units = {0};
    c_print_units(&units, h->program, h->dialect, kernel);
    const char *copy = arena_strdup(h->program->arena, units.data);
    text_free(&units);
    return copy;
}

/* "SYNC(); kernel(a, b, SHARE(batch));" with further lines a little further in: arguments are many, names are long. */
static void print_kernel_call(Host *h, Text *out, const KKernel *kernel) {
    enum { INDENT = 4 };
    const char *before = kernel->needs_barrier_before ? "SYNC(); " : "", *units = units_of(h, kernel);
    bool alone = kernel->alone;
    Text call = {0};
    c_print_call(&call, h->program, h->dialect, kernel,
                 alone ? (CallNames){.first = "0", .last = units}
                       : (CallNames){.share = arena_format(h->program->arena, "SHARE(%s)", units)});
    text_add(&call, ";");
    if (alone)
        host_line(out, 1, "%sif (thread == 0)", before);
    text_format(out, "%*s%s", alone ? 2 * INDENT : INDENT, "", alone ? "" : before);
    c_fill(out, alone ? 2 * INDENT : INDENT + (int)strlen(before), alone ? 3 * INDENT : 2 * INDENT, call.data);
    text_add(out, "\n");
    text_free(&call);
}

/* The calls in order. */
static void print_calls(Host *h, Text *out, const HostStep *step) {
    for (int k = 0; k < step->sequence->count; k++) {
        print_kernel_call(h, out, step->sequence->kernels[k]);
        if (h->options->profile && step == &h->steps[host_profiled(h)])
            host_line(out, 1, "profile_mark(%d);", k);
    }
}

/* Pointers to the results by the names that kernels have for them; copies of those that are the same value. */
static void print_results(Text *out, const HostStep *step, int count, bool copies) {
    for (int i = 0; i < count; i++) {
        bool own = step->results[i]->argument == i;
        if (host_is_scalar(step, i) && own && !copies)
            host_line(out, 1, "float *%s = &results[%d];", step->results[i]->name, i);
        if (host_is_scalar(step, i) && !own && copies)
            host_line(out, 1, "if (thread == 0)\n        results[%d] = results[%d];", i, step->results[i]->argument);
    }
}

static const char *const step_comments[HOST_STEPS] = {
    "Raw rows to rows as the model reads them, by one of `threads` threads.",
    "The model's output for a batch of rows, by one of `threads` threads.",
    "One training step over the samples rows[0 .. batch), by one of `threads` threads.",
    "Loss and metrics of the samples rows[0 .. batch), by one of `threads` threads.",
};

/* Parameters that every step has, and the macros that read them. */
typedef struct {
    const char *name, *macros[2];
} Fixed;
static const Fixed fixed[] = {
    {"model", {"AT"}},
    {"rows", {0}},
    {"batch", {0}},
    {"barrier", {"SYNC"}},
    {"thread", {"SYNC", "SHARE"}},
    {"threads", {"SYNC", "SHARE"}},
};

static bool is_used(const char *body, const Fixed *parameter) {
    bool used = uses_word(body, parameter->name);
    for (int i = 0; i < 2 && parameter->macros[i]; i++)
        used |= uses_word(body, parameter->macros[i]);
    return used;
}

static void print_macros(Text *out) {
    text_add(out, "/* All threads have come here, and each sees what the others have written. */\n"
                  "#define SYNC() nnrt_barrier_wait(barrier, thread, threads)\n"
                  "/* Which of so many units of work this thread does: the first, and the one behind the last. */\n"
                  "#define SHARE(units) nnrt_share_start(units, thread, threads), "
                  "nnrt_share_start(units, thread + 1, threads)\n\n");
}

static void print_step(Host *h, Text *out, HostStepKind kind) {
    const HostStep *step = &h->steps[kind];
    bool measures = host_measures(kind);
    Text signature = {0}, body = {0};
    text_format(&signature, "static inline void %s_%s(%s *restrict model, ", h->name, host_step_functions[kind],
                h->name);
    host_step_parameters(h, &signature, step);
    text_format(&signature, "%sint64_t batch, %snnrt_barrier *barrier, int thread, int threads) {",
                measures ? "const int32_t *restrict rows, " : "", measures ? "float *restrict results, " : "");
    print_calls(h, &body, step);
    print_results(&body, step, step->sequence->func->body.yield_count, true);
    text_format(out, "/* %s */\n", step_comments[kind]);
    host_line(out, 0, "%s", signature.data);
    print_results(out, step, step->sequence->func->body.yield_count, false);
    for (int i = 0; i < step->sequence->func->body.arg_count; i++)
        if (step->arguments[i] && !uses_word(body.data, step->arguments[i]->name))
            host_line(out, 1, "(void)%s;", step->arguments[i]->name);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (!is_used(body.data, &fixed[i]) && (measures || strcmp(fixed[i].name, "rows") != 0))
            host_line(out, 1, "(void)%s;", fixed[i].name);
    text_add(out, body.data);
    text_add(out, "}\n\n");
    text_free(&signature);
    text_free(&body);
}

/* ---- loops over batches */

/* What the threads of one call share. Results have two places, so that the next step may begin while thread 0 adds up
 * those of the last one. */
static void print_job(Host *h, Text *out) {
    int results = 0;
    if (host_has_training(h))
        results = h->steps[HOST_TRAIN].sequence->func->body.yield_count;
    host_text(h, out,
              "/* What the threads of one call share. */\n"
              "typedef struct Job {\n"
              "    $n *model;\n"
              "    nnrt_barrier *barrier;\n");
    if (results)
        text_format(out,
                    "    const nnrt_steps *steps;\n"
                    "    float results[2][%d]; /* of the steps in turn: one is added up while the next begins */\n",
                    results);
    text_add(out, "    const float *raw; /* prediction */\n"
                  "    float *output;\n"
                  "    int64_t samples;\n"
                  "    int stop;\n"
                  "} Job;\n\n"
                  "/* Runs `work` on all threads, in one parallel region. */\n"
                  "static void run_job(void (*work)(Job *job, int thread, int threads), Job *job, int threads) {\n"
                  "    nnrt_barrier barrier;\n"
                  "    threads = threads < 1 ? 1 : threads > NNRT_MAX_THREADS ? NNRT_MAX_THREADS : threads;\n"
                  "    job->barrier = &barrier;\n"
                  "    nnrt_barrier_init(&barrier, threads);\n");
    host_prepare(h, out, 1);
    text_add(out, "#ifdef _OPENMP\n"
                  "    if (threads > 1) {\n"
                  "#pragma omp parallel num_threads(threads)\n"
                  "        work(job, omp_get_thread_num(), omp_get_num_threads());\n"
                  "        return;\n"
                  "    }\n"
                  "#endif\n"
                  "    work(job, 0, 1);\n"
                  "}\n\n");
}

/* The expression that an argument of a step is given in the loop over batches. */
static void declare_argument(Host *h, Text *out, const HostStep *step, int i) {
    static const char *const members[] = {[ARG_INPUT] = "x", [ARG_TARGET] = "y", [ARG_SAMPLE_WEIGHT] = "w"};
    KBuffer *b = step->arguments[i];
    ArgKind kind = step->sequence->func->arg_kinds[i];
    Text declaration = {0};
    c_print_parameter(&declaration, h->program, h->dialect, b, false);
    if (kind == ARG_SEED)
        host_line(out, 1, "%s = (int32_t)(uint32_t)(steps->seed ^ steps->seed >> 32);", declaration.data);
    else
        host_line(out, 1, "%s = (void *)steps->%s;", declaration.data, members[kind]);
    text_free(&declaration);
}

/* The step of a batch; samples without rows begin at `first`. */
static void print_step_call(Host *h, Text *out, HostStepKind kind, int depth, const char *batch) {
    const HostStep *step = &h->steps[kind];
    const Func *func = step->sequence->func;
    bool measures = host_measures(kind);
    Text call = {0};
    text_format(&call, "%s_%s(job->model, ", h->name, host_step_functions[kind]);
    for (int i = 0; i < func->body.arg_count; i++)
        if (step->arguments[i])
            text_format(&call, "%s%s, ", step->arguments[i]->name,
                        measures && func->arg_kinds[i] != ARG_SEED ? " + first" : "");
    for (int i = 0; i < func->body.yield_count; i++)
        if (!host_is_scalar(step, i))
            text_format(&call, "%s, ", step->results[i]->name);
    text_format(&call, "%s%s, %sjob->barrier, thread, threads);", measures ? "rows, " : "", batch,
                measures ? "results, " : "");
    host_line(out, depth, "%s", call.data);
    text_free(&call);
}

/* A full batch has a constant size, which the compiler can build upon. */
static void print_both_calls(Host *h, Text *out, HostStepKind kind, const char *full) {
    host_line(out, 2, "if (batch == %s)", full);
    print_step_call(h, out, kind, 3, full);
    host_line(out, 2, "else");
    print_step_call(h, out, kind, 3, "batch");
}

/* Row numbers 0, 1, .. of a batch that lies as it is used. */
void host_in_order(const Host *h, Text *out) {
    Text line = {0};
    host_text(h, out,
              "/* Samples in the order in which they lie. */\nstatic const int32_t $n_in_order[$N_BATCH] = {\n");
    for (int64_t i = 0; i < host_batch(h); i++) {
        text_format(&line, "%s%lld,", i % 16 ? " " : "", (long long)i);
        if (i % 16 == 15 || i + 1 == host_batch(h)) {
            host_line(out, 1, "%s", line.data);
            text_clear(&line);
        }
    }
    text_add(out, "};\n\n");
    text_free(&line);
}

static const char *full_batch(const Host *h) {
    return arena_format(h->program->arena, "%s_BATCH", h->upper);
}

static void print_measuring_loop(Host *h, Text *out, HostStepKind kind) {
    const HostStep *step = &h->steps[kind];
    const Func *func = step->sequence->func;
    const char *verb = kind == HOST_TRAIN ? "train" : "evaluate";
    text_format(out,
                "static void %s_%s_thread(Job *job, int thread, int threads) {\n"
                "    const nnrt_steps *steps = job->steps;\n",
                h->name, verb);
    for (int i = 0; i < func->body.arg_count; i++)
        if (step->arguments[i])
            declare_argument(h, out, step, i);
    host_text(h, out,
              "    int64_t size = nnrt_min_index(nnrt_max_index(steps->batch_size, 1), $M), done = 0;\n"
              "    for (int64_t at = 0; at < steps->samples && !job->stop; at += size) {\n"
              "        int64_t batch = nnrt_min_index(size, steps->samples - at);\n"
              "        const int32_t *rows = steps->rows ? steps->rows + at : $n_in_order;\n");
    host_text(h, out,
              host_has_preprocess(h) ? "        int64_t first = steps->rows || steps->before_step ? 0 : at;\n"
                                       "        float *results = job->results[done++ & 1];\n"
                                       "        if (steps->before_step) {\n"
                                       "            if (thread == 0)\n"
                                       "                steps->before_step(steps->context, at, batch);\n"
                                       "            nnrt_barrier_wait(job->barrier, thread, threads);\n"
                                       "        }\n"
                                     : "        int64_t first = steps->rows ? 0 : at;\n"
                                       "        float *results = job->results[done++ & 1];\n");
    print_both_calls(h, out, kind, full_batch(h));
    text_format(out,
                "        nnrt_barrier_wait(job->barrier, thread, threads);\n"
                "        if (thread == 0)\n"
                "            for (int i = 0; i < %d; i++)\n"
                "                steps->totals[i] += results[i];\n"
                "        if (steps->after_step) {\n"
                "            if (thread == 0)\n"
                "                job->stop = steps->after_step(steps->context, done);\n"
                "            nnrt_barrier_wait(job->barrier, thread, threads);\n"
                "        }\n"
                "    }\n"
                "}\n\n",
                func->body.yield_count);
    text_format(out,
                "static int %s_%s_steps(void *model, const nnrt_steps *steps) {\n"
                "    Job job = {.model = model, .steps = steps};\n"
                "    run_job(%s_%s_thread, &job, steps->threads);\n"
                "    return job.stop;\n"
                "}\n\n",
                h->name, verb, h->name, verb);
}

/* ---- preprocessing and prediction */

static void declare_rows(Host *h, Text *out, KBuffer *b, bool written, const char *value) {
    Text declaration = {0};
    c_print_parameter(&declaration, h->program, h->dialect, b, written);
    host_line(out, 2, "%s = (void *)(%s);", declaration.data, value);
    text_free(&declaration);
}

static void print_preprocess(Host *h, Text *out) {
    const HostStep *step = &h->steps[HOST_PREPROCESS];
    Arena *arena = h->program->arena;
    host_text(h, out,
              "static int $n_preprocess(void *model, const float *raw_rows, int64_t samples, float *prepared) {\n"
              "    nnrt_barrier barrier;\n"
              "    Job alone = {.model = model, .barrier = &barrier}, *job = &alone;\n"
              "    int thread = 0, threads = 1;\n"
              "    for (int64_t at = 0; at < samples; at += $N_BATCH) {\n"
              "        int64_t batch = nnrt_min_index(samples - at, $N_BATCH);\n");
    if (step->arguments[0])
        declare_rows(h, out, step->arguments[0], false,
                     arena_format(arena, "raw_rows + at * %lld", (long long)host_sample_size(h->info->raw_input)));
    declare_rows(h, out, step->results[0], true,
                 arena_format(arena, "prepared + at * %lld", (long long)host_sample_size(h->info->input)));
    print_both_calls(h, out, HOST_PREPROCESS, full_batch(h));
    text_add(out, "    }\n    return NNRT_OK;\n}\n\n");
}

static void print_prepare_batch(Host *h, Text *out) {
    const HostStep *step = &h->steps[HOST_PREPROCESS];
    text_add(out, "        {\n");
    Text block = {0};
    if (step->arguments[0])
        declare_rows(
            h, &block, step->arguments[0], false,
            arena_format(h->program->arena, "job->raw + at * %lld", (long long)host_sample_size(h->info->raw_input)));
    declare_rows(h, &block, step->results[0], true, "job->model->prepared");
    print_step_call(h, &block, HOST_PREPROCESS, 2, "batch");
    host_line(&block, 2, "nnrt_barrier_wait(job->barrier, thread, threads);");
    for (char *line = strtok(block.data, "\n"); line; line = strtok(NULL, "\n"))
        text_format(out, "    %s\n", line);
    text_add(out, "        }\n");
    text_free(&block);
}

static void print_predict(Host *h, Text *out) {
    const HostStep *step = &h->steps[HOST_FORWARD];
    Arena *arena = h->program->arena;
    int64_t samples = host_piece(h);
    const char *piece = samples < host_batch(h) ? "PIECE" : full_batch(h);
    host_text(h, out, "static void $n_predict_thread(Job *job, int thread, int threads) {\n");
    if (samples < host_batch(h))
        host_line(out, 1, "enum { PIECE = %lld }; /* samples at once: what a kernel leaves stays in the cache */",
                  (long long)samples);
    text_format(out,
                "    for (int64_t at = 0; at < job->samples; at += %s) {\n"
                "        int64_t batch = nnrt_min_index(job->samples - at, %s);\n",
                piece, piece);
    if (host_has_preprocess(h))
        print_prepare_batch(h, out);
    if (step->arguments[0])
        declare_rows(h, out, step->arguments[0], false,
                     host_has_preprocess(h)
                         ? "job->model->prepared"
                         : arena_format(arena, "job->raw + at * %lld", (long long)host_sample_size(h->info->input)));
    declare_rows(h, out, step->results[0], true,
                 arena_format(arena, "job->output + at * %lld", (long long)host_sample_size(h->info->output)));
    print_both_calls(h, out, HOST_FORWARD, piece);
    text_add(out, "        nnrt_barrier_wait(job->barrier, thread, threads);\n    }\n}\n\n");
    host_text(
        h, out,
        "static int $n_predict_rows(void *model, const float *raw, int64_t samples, float *output, int threads) {\n"
        "    Job job = {.model = model, .raw = raw, .output = output, .samples = samples};\n"
        "    run_job($n_predict_thread, &job, threads);\n"
        "    return NNRT_OK;\n}\n\n");
}

void host_steps_c(Host *h, Text *out) {
    text_add(out, "/* ---- Steps as sequences of kernels. */\n\n");
    c_print_places(out, h->program, h->dialect);
    print_macros(out);
    if (h->options->profile)
        host_profile_begin(h, out);
    for (int i = 0; i < HOST_STEPS; i++)
        if (h->steps[i].sequence && (i < HOST_TRAIN || host_has_training(h)))
            print_step(h, out, i);
    print_job(h, out);
    if (host_has_training(h)) {
        host_in_order(h, out);
        print_measuring_loop(h, out, HOST_TRAIN);
        print_measuring_loop(h, out, HOST_EVALUATE);
    }
    if (host_has_preprocess(h))
        print_preprocess(h, out);
    print_predict(h, out);
}
