/* The functions of the header: init, load, save, predict, and with training train_batch, evaluate, fit, adapt. They are
 * thin: batches are worked off by the loops of host_steps.c, files and initial values are the runtime's. */
#include "codegen/emit/host_parts.h"

static void print_basics(const Host *h, Text *out) {
    host_text(h, out,
              "/* ---- The functions of the header. */\n\n"
              "const char *$n_error(void) {\n    return nnrt_error_text();\n}\n\n"
              "int $n_init($n *model, uint64_t seed) {\n"
              "    nnrt_model_init(&$n_program, model, seed);\n"
              "    model->seed = seed;\n"
              "    model->threads = 1;\n"
              "    return NNRT_OK;\n}\n\n"
              "int $n_load($n *model, const char *path) {\n"
              "    return nnrt_model_load(&$n_program, model, path);\n}\n\n"
              "int $n_save(const $n *model, const char *path) {\n"
              "    return nnrt_model_save(&$n_program, model, path);\n}\n\n");
    host_prototype_predict(h, out);
    host_text(h, out,
              " {\n"
              "    if (n < 0)\n"
              "        return nnrt_error(NNRT_ERROR_ARGUMENT, \"$n_predict: n is negative\");\n"
              "    return $n_predict_rows(model, (const float *)x, n, (float *)output, model->threads);\n}\n\n");
}

void host_api_means(const Host *h, Text *out) {
    for (int i = 0; i < h->info->metric_count; i++) {
        bool root = h->info->metrics[i].root_mean;
        host_line(out, 1, "metrics->%s = totals[%d] != 0 ? %stotals[%d] / totals[%d]%s : 0;", host_metric(h, i),
                  2 * i + 1, root ? "sqrt(" : "", 2 * i, 2 * i + 1, root ? ")" : "");
    }
}

static void print_means(const Host *h, Text *out) {
    host_text(h, out,
              "static void $n_means(const double *totals, $n_metrics *metrics) {\n"
              "    if (!metrics)\n        return;\n");
    host_api_means(h, out);
    text_add(out, "}\n\n");
}

/* With preprocessing a batch is copied as it goes through it, so that it lies in the order of its steps. */
static void print_choose(const Host *h, Text *out) {
    long long raw = (long long)host_sample_size(h->info->raw_input), size = (long long)host_sample_size(h->info->input);
    long long target = (long long)host_sample_size(h->info->target);
    const char *type = h->info->target->dtype == DTYPE_F32 ? "float" : "int32_t";
    host_text(h, out,
              "/* Prepares `count` samples of a batch: rows[at], .. or, without rows, those from `at` on. */\n"
              "static void $n_choose(void *samples, int64_t at, int64_t count) {\n"
              "    const nnrt_steps *from = (const nnrt_steps *)samples;\n"
              "    $n *model = ($n *)from->context;\n"
              "    if (!from->rows)\n");
    text_format(out,
                "        %s_preprocess(model, from->x + at * %lld, count, model->prepared);\n"
                "    for (int64_t i = 0; i < count; i++) {\n"
                "        int64_t row = from->rows ? from->rows[at + i] : at + i;\n"
                "        if (from->rows)\n"
                "            %s_preprocess(model, from->x + row * %lld, 1, model->prepared + i * %lld);\n"
                "        memcpy(model->chosen_y + i * %lld, (const %s *)from->y + row * %lld, %lld * sizeof(%s));\n",
                h->name, raw, h->name, raw, size, target, type, target, target, type);
    if (h->info->has_sample_weight)
        text_add(out, "        model->chosen_w[i] = from->w[row];\n");
    text_add(out, "    }\n}\n\n");
}

/* A class that the model does not have would be learned from in silence. */
static void print_class_check(const Host *h, Text *out) {
    if (h->info->class_count <= 0 || h->info->target->dtype == DTYPE_F32)
        return;
    long long size = (long long)host_sample_size(h->info->target), last = (long long)h->info->class_count - 1;
    char count[32] = "n", sample[32] = "i";
    if (size > 1) {
        snprintf(count, sizeof count, "n * %lld", size);
        snprintf(sample, sizeof sample, "(i / %lld)", size);
    }
    text_format(
        out,
        "    for (int64_t i = 0; i < %s; i++) {\n"
        "        int32_t class_of = %s[i];\n"
        "        if (class_of < 0 || class_of > %lld)\n"
        "            return nnrt_error(NNRT_ERROR_ARGUMENT, \"%s: sample %%lld has the class %%d; there are 0 to "
        "%lld\",\n"
        "                              (long long)%s, (int)class_of);\n"
        "    }\n",
        count, size > 1 ? "((const int32_t *)y)" : "y", last, h->name, last, sample);
}

/* What follows the samples in a call of steps. */
static void print_rest(const Host *h, Text *out, const char *count, int depth) {
    text_format(out,
                "%*s.samples = %s,\n"
                "%*s.batch_size = %s_BATCH,\n"
                "%*s.threads = model->threads,\n"
                "%*s.seed = model->seed,\n"
                "%*s.totals = totals",
                depth, "", count, depth, "", h->upper, depth, "", depth, "", depth, "");
}

/* All batches in one call. */
static void print_call(const Host *h, Text *out) {
    bool prepare = host_has_preprocess(h), weights = h->info->has_sample_weight;
    enum { DEPTH = 22 };
    text_add(out, prepare ? "    nnrt_steps all = {.x = model->prepared,\n"
                          : "    nnrt_steps all = {.x = (const float *)x,\n");
    text_format(out, "%*s.y = %s,\n", DEPTH, "", prepare ? "model->chosen_y" : "y");
    if (weights)
        text_format(out, "%*s.w = %s,\n", DEPTH, "", prepare ? "model->chosen_w" : "w");
    if (!prepare)
        text_format(out, "%*s.rows = order,\n", DEPTH, "");
    print_rest(h, out, "n", DEPTH);
    if (prepare)
        text_format(out, ",\n%*s.before_step = %s_choose,\n%*s.context = &samples", DEPTH, "", h->name, DEPTH, "");
    text_add(out, "};\n    return steps(model, &all);\n}\n\n");
}

/* A device wants the rows of what lies in order, too. */
static void print_calls(const Host *h, Text *out) {
    bool prepare = host_has_preprocess(h), weights = h->info->has_sample_weight;
    text_add(out, "    int code = NNRT_OK;\n"
                  "    for (int64_t at = 0, count; at < n && code == NNRT_OK; at += count) {\n");
    host_text(h, out,
              prepare ? "        count = nnrt_min_index(n - at, $N_BATCH);\n"
                        "        $n_choose(&samples, at, count);\n"
                      : "        count = order ? n : nnrt_min_index(n - at, $N_BATCH);\n");
    const char *samples[2][2] = {{".x = (const float *)(order ? x : x + at),\n"
                                  "                            .y = order ? y : y + at,\n",
                                  "                            .w = order ? w : w + at,\n"},
                                 {".x = model->prepared,\n"
                                  "                            .y = model->chosen_y,\n",
                                  "                            .w = model->chosen_w,\n"}};
    host_text(h, out, "        nnrt_steps batch = {");
    host_text(h, out, samples[prepare][0]);
    text_add(out, weights ? samples[prepare][1] : "");
    host_text(h, out,
              prepare ? "                            .rows = $n_in_order,\n"
                      : "                            .rows = order ? order : $n_in_order,\n");
    print_rest(h, out, "count", 28);
    text_add(out, "};\n"
                  "        code = steps(model, &batch);\n"
                  "    }\n"
                  "    return code;\n}\n\n");
}

static void print_run(const Host *h, Text *out) {
    bool weights = h->info->has_sample_weight;
    Text head = {0};
    text_format(&head, "static int %s_run(%s *model, int (*steps)(void *model, const nnrt_steps *steps), ", h->name,
                h->name);
    host_samples(h, &head);
    text_add(out, "/* Works off n samples, batch by batch: in `order`, or as they lie. */\n");
    host_line(out, 0, "%s, int64_t n, const int32_t *order, double *totals) {", head.data);
    text_free(&head);
    text_format(out,
                "    if (n < 0)\n"
                "        return nnrt_error(NNRT_ERROR_ARGUMENT, \"%s: the number of samples is negative\");\n",
                h->name);
    if (weights)
        text_format(
            out,
            "    if (!w)\n"
            "        return nnrt_error(NNRT_ERROR_ARGUMENT, \"%s: w is missing: one weight for each sample\");\n",
            h->name);
    print_class_check(h, out);
    if (host_has_preprocess(h))
        text_format(out,
                    "    nnrt_steps samples = {.x = (const float *)x, .y = y, %s.rows = order, .context = model};\n",
                    weights ? ".w = w, " : "");
    if (h->target->device)
        print_calls(h, out);
    else
        print_call(h, out);
}

static void print_measured(const Host *h, Text *out, const char *verb, const char *steps) {
    host_prototype(h, out, verb, ", int64_t n, $n_metrics *metrics) {");
    text_format(out,
                "    double totals[%d] = {0};\n"
                "    int code = %s_run(model, %s_%s, x, y, %sn, NULL, totals);\n"
                "    if (code == NNRT_OK)\n"
                "        %s_means(totals, metrics);\n"
                "    return code;\n}\n\n",
                2 * h->info->metric_count, h->name, h->name, steps, h->info->has_sample_weight ? "w, " : "", h->name);
}

static const char *iteration_member(const Host *h) {
    for (int i = 0; i < h->program->buffer_count; i++) {
        const KBuffer *b = h->program->buffers[i];
        if (b->space == SPACE_VARIABLE && !b->alias && b->variable == h->info->iteration)
            return b->name;
    }
    return NULL;
}

/* The order of an epoch is that of the trainer: it follows from the seed and the number of epochs done. */
static void print_fit(const Host *h, Text *out) {
    host_prototype(h, out, "fit", ", int64_t n, int epochs, int32_t *order, $n_metrics *metrics) {");
    text_format(out, "    double totals[%d] = {0};\n", 2 * h->info->metric_count);
    host_text(
        h, out,
        "    int code = NNRT_OK;\n"
        "    int64_t steps = n / $N_BATCH + (n % $N_BATCH != 0);\n"
        "    if (order && n > INT32_MAX)\n"
        "        return nnrt_error(NNRT_ERROR_ARGUMENT, \"$n_fit: more than 2^31 - 1 samples cannot be shuffled\");\n"
        "    for (int epoch = 0; epoch < epochs && code == NNRT_OK; epoch++) {\n"
        "        memset(totals, 0, sizeof totals);\n"
        "        if (order && steps > 0)\n");
    text_format(out,
                "            nnrt_permutation(model->seed, model->%s / steps, order, n);\n"
                "        code = %s_run(model, %s_train_steps, x, y, %sn, order, totals);\n"
                "    }\n"
                "    if (code == NNRT_OK)\n"
                "        %s_means(totals, metrics);\n"
                "    return code;\n}\n\n",
                iteration_member(h), h->name, h->name, h->info->has_sample_weight ? "w, " : "", h->name);
}

void host_api_adapt(const Host *h, Text *out) {
    long long size = (long long)host_sample_size(h->info->raw_input);
    host_prototype_adapt(h, out);
    host_text(h, out,
              " {\n"
              "    if (n < 1)\n"
              "        return nnrt_error(NNRT_ERROR_ARGUMENT, \"$n_adapt: there are no rows\");\n");
    text_format(out, "    nnrt_raw_rows raw = {(const float *)x, n, %lld, %lld};\n", size, size);
    host_text(h, out, "    return nnrt_adapt(&$n_program, model, &raw);\n}\n\n");
}

void host_api(Host *h, Text *out) {
    print_basics(h, out);
    if (host_has_fitted(h))
        host_api_adapt(h, out);
    if (!host_has_training(h))
        return;
    if (h->target->device)
        host_in_order(h, out);
    print_means(h, out);
    if (host_has_preprocess(h))
        print_choose(h, out);
    print_run(h, out);
    print_measured(h, out, "train_batch", "train_steps");
    print_measured(h, out, "evaluate", "evaluate_steps");
    print_fit(h, out);
}
