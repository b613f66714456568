/* --lib of a CUDA program: its functions take memory of the device and a stream of the caller, launch the kernels of
 * the steps there, and return at once. The struct of the model lies on the device too; it brings what the steps need
 * beside the caller's memory: row numbers and the results of a step. */
#include <string.h>
#include "codegen/emit/host_parts.h"

static bool draws(const Host *h) {
    const HostStep *step = &h->steps[HOST_TRAIN];
    for (int i = 0; i < step->sequence->func->body.arg_count; i++)
        if (step->arguments[i] && step->sequence->func->arg_kinds[i] == ARG_SEED)
            return true;
    return false;
}

static int result_count(const Host *h) {
    return h->steps[HOST_TRAIN].sequence->func->body.yield_count;
}

/* ---- header */

void host_cuda_library_members(const Host *h, Text *out) {
    if (host_has_preprocess(h))
        text_format(out, "    %s_ALIGNED float prepared[%s_BATCH * %lld]; /* scratch: rows after preprocessing */\n",
                    h->upper, h->upper, (long long)host_sample_size(h->info->input));
    if (!host_has_training(h))
        return;
    host_text(h, out, "    int32_t in_order[$N_BATCH]; /* 0, 1, .., set by $n_init and $n_load */\n");
    text_format(out, "    float results[%d]; /* scratch: loss and metrics of a step */\n", result_count(h));
}

static void prototype_predict(const Host *h, Text *out, const char *x, const char *output, const char *end) {
    Text line = {0};
    host_text(h, &line, "int $n_predict($n *model, ");
    host_pointer(&line, h->info->raw_input, true, x);
    text_add(&line, ", int64_t n, ");
    host_pointer(&line, h->info->output, false, output);
    text_format(&line, ", cudaStream_t stream)%s", end);
    host_line(out, 0, "%s", line.data);
    text_free(&line);
}

/* names: of samples, targets, weights and the seed. */
static void prototype_steps(const Host *h, Text *out, const char *verb, const char *const *names, const char *end) {
    bool seed = strcmp(verb, "train_batch") == 0 && draws(h);
    Text line = {0};
    text_format(&line, "int %s_%s(%s *model, ", h->name, verb, h->name);
    host_pointer(&line, h->info->raw_input, true, names[0]);
    text_add(&line, ", ");
    host_pointer(&line, h->info->target, true, names[1]);
    if (h->info->has_sample_weight)
        text_format(&line, ", const float *%s", names[2]);
    text_format(&line, ", int64_t n, %s_totals *totals, ", h->name);
    if (seed)
        text_format(&line, "uint64_t %s, ", names[3]);
    text_format(&line, "cudaStream_t stream)%s", end);
    host_line(out, 0, "%s", line.data);
    text_free(&line);
}

static const char *const header_names[] = {"x", "y", "w", "seed"};

static void training_header(const Host *h, Text *out) {
    host_text(h, out,
              "/* Sums over samples, in memory of the device; all zero at the start (cudaMemsetAsync). Copied to the "
              "host,\n"
              " * $n_means makes the metrics of them. */\n");
    text_format(out, "typedef struct %s_totals {\n    double sums[%d];\n} %s_totals;\n", h->name,
                2 * h->info->metric_count, h->name);
    host_text(h, out, "void $n_means(const $n_totals *totals, $n_metrics *metrics);\n\n");
    text_format(
        out,
        "/* Training: one step for every %s_BATCH samples, the last step with those that are left, in the order "
        "in which\n"
        " * they lie.   x: %s%s   y: %s, which nobody checks%s.\n",
        h->upper, host_shape_text(h, h->info->raw_input), host_has_preprocess(h) ? ", raw rows" : "",
        h->info->class_count > 0
            ? arena_format(h->program->arena, "class of each sample, 0 to %lld", (long long)h->info->class_count - 1)
            : arena_format(h->program->arena, "targets, %s", host_shape_text(h, h->info->target)),
        h->info->has_sample_weight ? "   w: weight of each sample" : "");
    text_add(out, " * What the samples give before each step changes the weights is added to `totals`; NULL: it is not "
                  "wanted.");
    text_add(out, draws(h) ? "\n * `seed`: of the random numbers, the same for a whole training run. */\n" : " */\n");
    prototype_steps(h, out, "train_batch", header_names, ";");
    text_add(out, "\n/* Loss and metrics of n samples are added to `totals`; changes no weights. */\n");
    prototype_steps(h, out, "evaluate", header_names, ";");
    text_add(out, "\n");
}

void host_cuda_library_header(const Host *h, Text *out) {
    host_text(
        h, out,
        "/* For a CUDA program. Functions return 0, or an error code; $n_error then says in words what is wrong.\n"
        " *\n"
        " * These work on a struct in memory of the host: */\n"
        "const char *$n_error(void);\n\n"
        "/* Fresh weights. Same seed, same weights, on every machine. */\n"
        "int $n_init($n *model, uint64_t seed);\n\n"
        "/* Weights and optimizer state from and to a .safetensors file, the one of programs in C. */\n"
        "int $n_load($n *model, const char *path);\nint $n_save(const $n *model, const char *path);\n\n");
    if (host_has_fitted(h)) {
        text_add(
            out,
            "/* Fits the preprocessing to n raw rows, which lie on the host. A weights file brings it along. */\n");
        host_prototype_adapt(h, out);
        text_add(out, ";\n\n");
    }
    host_text(h, out,
              "/* These work on the device. The struct holds no pointers: cudaMemcpy takes it there, and back to save "
              "it. It, samples\n"
              " * and results are memory of the device, all work goes to `stream`, in its order, and a call returns "
              "before it is done.\n"
              " * A stream may record them as a graph. Any n is right. Different structs may be used on different "
              "streams. */\n\n");
    host_predict_comment(h, out);
    prototype_predict(h, out, "x", "output", ";");
    text_add(out, "\n");
    if (host_has_training(h))
        training_header(h, out);
}

/* ---- functions */

/* Names that no argument of a step has. */
static const char *const function_names[] = {"samples", "targets", "weights", "random"};

static void print_init(const Host *h, Text *out) {
    bool training = host_has_training(h);
    if (training)
        host_text(h, out,
                  "static void $n_count($n *model) {\n"
                  "    for (int32_t i = 0; i < $N_BATCH; i++)\n"
                  "        model->in_order[i] = i;\n}\n\n");
    host_text(h, out,
              "const char *$n_error(void) {\n    return nnrt_error_text();\n}\n\n"
              "int $n_init($n *model, uint64_t seed) {\n"
              "    nnrt_model_init(&$n_program, model, seed);\n");
    host_text(h, out, training ? "    $n_count(model);\n" : "");
    host_text(h, out, "    return NNRT_OK;\n}\n\nint $n_load($n *model, const char *path) {\n");
    host_text(h, out, training ? "    $n_count(model);\n" : "");
    host_text(h, out,
              "    return nnrt_model_load(&$n_program, model, path);\n}\n\n"
              "int $n_save(const $n *model, const char *path) {\n"
              "    return nnrt_model_save(&$n_program, model, path);\n}\n\n");
}

/* The loop over batches; `stream` and n are parameters of the function. */
static void print_loop(const Host *h, Text *out, const char *verb) {
    text_format(out,
                "    nnrt_device own = {}, *device = &own;\n"
                "    device->stream = stream;\n"
                "    if (n < 0)\n"
                "        return nnrt_error(NNRT_ERROR_ARGUMENT, \"%s_%s: the number of samples is negative\");\n",
                h->name, verb);
    if (host_link(h->program))
        host_line(out, 1, "device->borrowed = true;");
    host_line(out, 1, "nnrt_device_begin(device);");
    host_prepare(h, out, 1);
    host_text(h, out,
              "    for (int64_t at = 0; at < n && device->error == cudaSuccess; at += $N_BATCH) {\n"
              "        int64_t batch = nnrt_min_index(n - at, $N_BATCH);\n");
}

/* Declares the sample argument of a step: raw rows, or what preprocessing makes of them. */
static void print_input(Host *h, Text *out, const HostStep *step) {
    const HostStep *prepare = &h->steps[HOST_PREPROCESS];
    bool through = host_has_preprocess(h);
    if (through) {
        if (prepare->arguments[0])
            host_cuda_declare(h, out, 2, prepare->arguments[0], false, "(samples + at)");
        host_cuda_declare(h, out, 2, prepare->results[0], true, "model->prepared");
        host_cuda_step_call(h, out, HOST_PREPROCESS, "batch", NULL, NULL, 2);
    }
    for (int i = 0; i < step->sequence->func->body.arg_count; i++) {
        ArgKind kind = step->sequence->func->arg_kinds[i];
        if (step->arguments[i] && kind == ARG_INPUT)
            host_cuda_declare(h, out, 2, step->arguments[i], false, through ? "model->prepared" : "(samples + at)");
        else if (step->arguments[i] && kind == ARG_TARGET)
            host_cuda_declare(h, out, 2, step->arguments[i], false, "(targets + at)");
        else if (step->arguments[i] && kind == ARG_SAMPLE_WEIGHT)
            host_cuda_declare(h, out, 2, step->arguments[i], false, "(weights + at)");
        else if (step->arguments[i] && kind == ARG_SEED)
            host_line(out, 2, "int32_t %s = (int32_t)(uint32_t)(random ^ random >> 32);", step->arguments[i]->name);
    }
}

static void print_predict(Host *h, Text *out) {
    const HostStep *step = &h->steps[HOST_FORWARD];
    prototype_predict(h, out, "samples", "predictions", " {");
    print_loop(h, out, "predict");
    print_input(h, out, step);
    host_cuda_declare(h, out, 2, step->results[0], true, "(predictions + at)");
    host_cuda_step_call(h, out, HOST_FORWARD, "batch", NULL, NULL, 2);
    text_add(out, "    }\n    return nnrt_device_message(device);\n}\n\n");
}

static void print_steps(Host *h, Text *out, HostStepKind kind, const char *verb) {
    prototype_steps(h, out, verb, function_names, " {");
    if (h->info->has_sample_weight)
        text_format(
            out,
            "    if (!weights)\n"
            "        return nnrt_error(NNRT_ERROR_ARGUMENT, \"%s: w is missing: one weight for each sample\");\n",
            h->name);
    print_loop(h, out, verb);
    print_input(h, out, &h->steps[kind]);
    host_cuda_step_call(h, out, kind, "batch", "model->in_order", "model->results", 2);
    host_text(h, out,
              "        if (totals) {\n"
              "            $n_add<<<dim3(1), dim3(1), 0, device->stream>>>(model->results, totals);\n"
              "            nnrt_device_launched(device, \"$n_add\");\n"
              "        }\n"
              "    }\n    return nnrt_device_message(device);\n}\n\n");
}

/* Where each result of a step is found: equal ones are computed once. */
static void print_add(const Host *h, Text *out) {
    host_text(h, out,
              "/* The results of a step, added to the caller's totals. */\n"
              "__global__ static void $n_add(const float *results, $n_totals *totals) {\n");
    for (int i = 0; i < result_count(h); i++)
        host_line(out, 1, "totals->sums[%d] += results[%d];", i, h->steps[HOST_TRAIN].results[i]->argument);
    text_add(out, "}\n\n");
}

void host_cuda_library_api(Host *h, Text *out) {
    text_add(out, "/* ---- The functions of the header. */\n\n");
    print_init(h, out);
    if (host_has_fitted(h))
        host_api_adapt(h, out);
    print_predict(h, out);
    if (!host_has_training(h))
        return;
    host_text(h, out,
              "void $n_means(const $n_totals *all, $n_metrics *metrics) {\n    const double *totals = all->sums;\n");
    host_api_means(h, out);
    text_add(out, "}\n\n");
    print_add(h, out);
    print_steps(h, out, HOST_TRAIN, "train_batch");
    print_steps(h, out, HOST_EVALUATE, "evaluate");
}
