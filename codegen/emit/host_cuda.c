/* Host code of a CUDA program: the same functions of the runtime's table as in C, with kernels launched on one stream.
 *
 * A call brings the model's variables to the device, works off all batches there in groups of steps
 * (nnrt_cuda_steps.h), and brings the variables back: for training that is once per epoch. The trainer opens the device
 * for a whole run, so that samples and recorded steps stay there between epochs; without that, a call has a device of
 * its own. */
#include "codegen/emit/host_parts.h"

static const char *const step_comments[HOST_STEPS] = {
    "Raw rows to rows as the model reads them.",
    "The model's output for a batch of rows.",
    "One training step over the samples rows[0 .. batch).",
    "Loss and metrics of the samples rows[0 .. batch).",
};

/* ---- one step: launches */

static void print_step(Host *h, Text *out, HostStepKind kind) {
    const HostStep *step = &h->steps[kind];
    Text signature = {0};
    text_format(&signature, "static void %s_%s(%s *model, ", h->name, host_step_functions[kind], h->name);
    host_step_parameters(h, &signature, step);
    text_format(&signature, "%sint64_t batch, %snnrt_device *device) {",
                host_measures(kind) ? "const int32_t *rows, " : "", host_measures(kind) ? "float *results, " : "");
    text_format(out, "/* %s All is on the device. */\n", step_comments[kind]);
    host_line(out, 0, "%s", signature.data);
    for (int i = 0; i < step->sequence->func->body.yield_count; i++)
        if (host_is_scalar(step, i) && step->results[i]->argument == i)
            host_line(out, 1, "float *%s = results + %d;", step->results[i]->name, i);
    for (int k = 0; k < step->sequence->count; k++) {
        Text call = {0};
        c_print_launch(&call, h->program, h->dialect, step->sequence->kernels[k], (CallNames){.device = "device"},
                       "device->stream");
        host_line(out, 1, "%s;", call.data);
        host_line(out, 1, "nnrt_device_launched(device, \"%s\");", step->sequence->kernels[k]->name);
        text_free(&call);
    }
    text_add(out, "}\n\n");
    text_free(&signature);
}

static bool calls_library(const Host *h, const HostStep *step) {
    Text ignored = {0};
    bool calls = false;
    for (int k = 0; k < step->sequence->count && !calls; k++)
        calls = c_print_prepare(&ignored, h->program, h->dialect, step->sequence->kernels[k]);
    text_free(&ignored);
    return calls;
}

/* Plans are made before steps of this size are recorded. */
static void print_prepare(Host *h, Text *out, HostStepKind kind) {
    const HostStep *step = &h->steps[kind];
    if (!calls_library(h, step))
        return;
    text_format(out, "static void %s_%s_prepare(int64_t batch, nnrt_device *device) {\n", h->name,
                host_step_functions[kind]);
    for (int k = 0; k < step->sequence->count; k++) {
        Text call = {0};
        if (c_print_prepare(&call, h->program, h->dialect, step->sequence->kernels[k])) {
            host_line(out, 1, "%s", call.data);
            host_line(out, 1, "nnrt_device_launched(device, \"%s\");", step->sequence->kernels[k]->name);
        }
        text_free(&call);
    }
    text_add(out, "}\n\n");
}

/* `rows` and `results` as the step has them; NULL: it has none. */
void host_cuda_step_call(Host *h, Text *out, HostStepKind kind, const char *batch, const char *rows,
                         const char *results, int depth) {
    const HostStep *step = &h->steps[kind];
    const Func *func = step->sequence->func;
    Text call = {0};
    text_format(&call, "%s_%s(model, ", h->name, host_step_functions[kind]);
    for (int i = 0; i < func->body.arg_count; i++)
        if (step->arguments[i])
            text_format(&call, "%s, ", step->arguments[i]->name);
    for (int i = 0; i < func->body.yield_count; i++)
        if (!host_is_scalar(step, i))
            text_format(&call, "%s, ", step->results[i]->name);
    if (rows)
        text_format(&call, "%s, ", rows);
    text_format(&call, "%s, ", batch);
    if (results)
        text_format(&call, "%s, ", results);
    text_add(&call, "device);");
    host_line(out, depth, "%s", call.data);
    text_free(&call);
}

/* ---- memory */

/* "const float (*x)[64] = (const float (*)[64])VALUE;" */
void host_cuda_declare(Host *h, Text *out, int depth, const KBuffer *b, bool written, const char *value) {
    Text declaration = {0};
    c_print_parameter(&declaration, h->program, h->dialect, b, written);
    host_line(out, depth, "%s = (decltype(%s))%s;", declaration.data, b->name, value);
    text_free(&declaration);
}

static int64_t sample_bytes(const KBuffer *b) {
    int64_t elements = 1;
    for (int i = 1; i < b->rank; i++)
        elements *= b->dims[i].n;
    return (b->row_stride > 0 ? b->row_stride : elements) * kbase_bytes(b->base);
}

/* Everything but the arena, which holds nothing between two steps. */
static const char *model_bytes(const Host *h) {
    const char *format = h->program->arena_bytes > 0 ? "offsetof(%s, arena)" : "sizeof(%s)";
    return arena_format(h->program->arena, format, h->name);
}

static void print_begin(const Host *h, Text *out, const char *opened) {
    text_format(out,
                "    nnrt_device *device = nnrt_device_use(%s);\n"
                "    if (!device)\n"
                "        return NNRT_ERROR_MEMORY;\n"
                "    %s *model = (%s *)nnrt_device_alloc(device, \"model\", sizeof(%s));\n"
                "    nnrt_device_send(device, model, host_model, %s);\n",
                opened, h->name, h->name, h->name, model_bytes(h));
    host_prepare(h, out, 1);
}

/* ---- training and evaluation */

static const char *const step_members[] = {[ARG_INPUT] = "x", [ARG_TARGET] = "y", [ARG_SAMPLE_WEIGHT] = "w"};

/* A table of the arguments that have an element per sample, in the order of the step's parameters. */
static int print_samples(Text *out, const HostStep *step) {
    int count = 0;
    Text table = {0};
    for (int i = 0; i < step->sequence->func->body.arg_count; i++) {
        const KBuffer *b = step->arguments[i];
        ArgKind kind = step->sequence->func->arg_kinds[i];
        if (b && kind == ARG_SEED)
            host_line(out, 1, "int32_t %s = (int32_t)(uint32_t)(steps->seed ^ steps->seed >> 32);", b->name);
        else if (b)
            text_format(&table, "%s{\"%s\", steps->%s, %lld, {}, {}}", count++ > 0 ? ", " : "", step_members[kind],
                        step_members[kind], (long long)sample_bytes(b));
    }
    if (count > 0)
        host_line(out, 1, "nnrt_group_samples samples[] = {%s};", table.data);
    text_free(&table);
    return count;
}

static void print_arguments(Host *h, Text *out, const HostStep *step) {
    int count = 0;
    for (int i = 0; i < step->sequence->func->body.arg_count; i++)
        if (step->arguments[i] && step->sequence->func->arg_kinds[i] != ARG_SEED)
            host_cuda_declare(h, out, 2, step->arguments[i], false,
                              arena_format(h->program->arena, "nnrt_group_argument(&group, %d)", count++));
}

/* Where each result of a step is found: equal ones are computed once. */
static void print_results_of(Text *out, const HostStep *step, int count) {
    text_format(out, "    static const int results[%d] = {", count);
    for (int i = 0; i < count; i++)
        text_format(out, "%s%d", i > 0 ? ", " : "", step->results[i]->argument);
    text_add(out, "};\n");
}

static void print_measuring(Host *h, Text *out, HostStepKind kind) {
    const HostStep *step = &h->steps[kind];
    print_prepare(h, out, kind);
    int count = step->sequence->func->body.yield_count;
    const char *name = kind == HOST_TRAIN ? "train" : "evaluate";
    text_format(out, "static int %s_%s_steps(void *host_model, const nnrt_steps *steps) {\n", h->name, name);
    print_begin(h, out, "steps->device");
    int samples = print_samples(out, step);
    print_results_of(out, step, count);
    host_text(h, out,
              arena_format(h->program->arena,
                           "    nnrt_group group = nnrt_group_begin(device, steps, \"%s\", %s, %d, results, %d, $M);\n"
                           "%s    while (nnrt_group_next(&group)) {\n",
                           name, samples > 0 ? "samples" : "NULL", samples, count,
                           calls_library(h, step)
                               ? arena_format(h->program->arena, "    $n_%s_prepare(group.size, device);\n",
                                              host_step_functions[kind])
                               : ""));
    print_arguments(h, out, step);
    host_line(out, 2, "for (int64_t i = 0; i < group.launches; i++)");
    host_cuda_step_call(h, out, kind, "nnrt_group_batch(&group, i)", "group.rows + i * group.size",
                        arena_format(h->program->arena, "group.results + i * %d", count), 3);
    text_add(out, "        nnrt_group_end(&group);\n    }\n");
    if (kind == HOST_TRAIN)
        text_format(out, "    nnrt_device_fetch(device, host_model, model, %s);\n", model_bytes(h));
    text_add(out, "    int code = nnrt_device_done(device, steps->device);\n"
                  "    return code != NNRT_OK ? code : group.stop;\n}\n\n");
}

/* ---- rows that go through a function: preprocessing and prediction */

static void print_rows_begin(Host *h, Text *out, const HostStep *step, const char *source, int64_t size) {
    if (step->arguments[0])
        host_cuda_declare(h, out, 1, step->arguments[0], false,
                          arena_format(h->program->arena, "nnrt_device_alloc(device, \"raw rows\", %lld)",
                                       (long long)(size * 4 * h->program->module->batch_max)));
    host_text(h, out,
              "    for (int64_t at = 0; at < samples && device->error == cudaSuccess; at += $N_BATCH) {\n"
              "        int64_t batch = nnrt_min_index(samples - at, $N_BATCH);\n");
    if (step->arguments[0])
        host_line(out, 2, "nnrt_device_send(device, (void *)%s, %s + at * %lld, (size_t)batch * %lld);",
                  step->arguments[0]->name, source, (long long)size, (long long)size * 4);
}

static void print_rows_end(Text *out, const char *result, const char *target, int64_t size) {
    text_format(out,
                "        nnrt_device_fetch(device, %s + at * %lld, %s, (size_t)batch * %lld);\n"
                "    }\n"
                "    return nnrt_device_done(device, NULL);\n}\n\n",
                target, (long long)size, result, (long long)size * 4);
}

static void declare_result(Host *h, Text *out, const KBuffer *b, int64_t size) {
    host_cuda_declare(h, out, 1, b, true,
                      arena_format(h->program->arena, "nnrt_device_alloc(device, \"%s\", %lld)", b->name,
                                   (long long)(size * 4 * h->program->module->batch_max)));
}

static void print_preprocess(Host *h, Text *out) {
    const HostStep *step = &h->steps[HOST_PREPROCESS];
    int64_t size = host_sample_size(h->info->input);
    host_text(
        h, out,
        "static int $n_preprocess(void *host_model, const float *raw_rows, int64_t samples, float *prepared) {\n");
    print_begin(h, out, "NULL");
    declare_result(h, out, step->results[0], size);
    print_rows_begin(h, out, step, "raw_rows", host_sample_size(h->info->raw_input));
    host_cuda_step_call(h, out, HOST_PREPROCESS, "batch", NULL, NULL, 2);
    print_rows_end(out, step->results[0]->name, "prepared", size);
}

static void print_predict(Host *h, Text *out) {
    const HostStep *step = &h->steps[HOST_FORWARD], *prepare = &h->steps[HOST_PREPROCESS];
    const HostStep *first = host_has_preprocess(h) ? prepare : step;
    int64_t size = host_sample_size(h->info->output);
    host_text(h, out,
              "static int $n_predict_rows(void *host_model, const float *raw_rows, int64_t samples, float *predicted, "
              "int) {\n");
    print_begin(h, out, "NULL");
    declare_result(h, out, step->results[0], size);
    if (first == prepare) {
        declare_result(h, out, prepare->results[0], host_sample_size(h->info->input));
        if (step->arguments[0])
            host_cuda_declare(h, out, 1, step->arguments[0], false, prepare->results[0]->name);
    }
    print_rows_begin(h, out, first, "raw_rows", host_sample_size(h->info->raw_input));
    if (first == prepare)
        host_cuda_step_call(h, out, HOST_PREPROCESS, "batch", NULL, NULL, 2);
    host_cuda_step_call(h, out, HOST_FORWARD, "batch", NULL, NULL, 2);
    print_rows_end(out, step->results[0]->name, "predicted", size);
}

void host_steps_cuda(Host *h, Text *out) {
    text_add(out, "/* ---- Steps as launches of kernels. */\n\n");
    for (int i = 0; i < HOST_STEPS; i++)
        if (h->steps[i].sequence && (i < HOST_TRAIN || host_has_training(h)))
            print_step(h, out, i);
    if (host_is_on_stream(h))
        return;
    if (host_has_training(h)) {
        print_measuring(h, out, HOST_TRAIN);
        print_measuring(h, out, HOST_EVALUATE);
    }
    if (host_has_preprocess(h))
        print_preprocess(h, out);
    print_predict(h, out);
}

const HostTarget host_cuda = {
    .language = "CUDA",
    .extension = ".cu",
    .dialect = &dialect_cuda,
    .compile = "nvcc -O3 -std=c++20",
    .includes = "#include \"nnrt_program.h\"\n#include \"nnrt_cuda.h\"\n#include \"nnrt_cuda_host.h\"\n"
                "#include \"nnrt_cuda_steps.h\"\n",
    .system_includes = "#include <math.h>\n#include <stddef.h>\n#include <string.h>\n\n",
    .steps = host_steps_cuda,
    .device = "    .open_device = nnrt_device_open,\n    .close_device = nnrt_device_close,\n",
    .library_members = host_cuda_library_members,
    .library_header = host_cuda_library_header,
    .library_api = host_cuda_library_api,
};
