/* A program that times each kernel of its training step (of a prediction, without training): the least time of many
 * steps on one thread. It prints a line "kernel nanoseconds" for each, and "bits hash" of what four
 * steps have computed. */
#include "codegen/emit/host_parts.h"

HostStepKind host_profiled(const Host *h) {
    return host_has_training(h) ? HOST_TRAIN : HOST_FORWARD;
}

/* A mark stands behind each kernel: what has passed since the mark before belongs to it. */
void host_profile_begin(Host *h, Text *out) {
    int count = h->steps[host_profiled(h)].sequence->count;
    text_format(out,
                "/* ---- Times of the kernels, in nanoseconds. */\n\n"
                "#include <stdio.h>\n#include <stdlib.h>\n#include <time.h>\n\n"
                "static double profile_least[%d], profile_last;\n"
                "static uint64_t profile_bits = 0xcbf29ce484222325u;\n"
                "static int profile_steps;\n\n"
                "static double profile_now(void) {\n"
                "    struct timespec now;\n"
                "    clock_gettime(CLOCK_MONOTONIC, &now);\n"
                "    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;\n"
                "}\n\n"
                "static void profile_mark(int kernel) {\n"
                "    double passed = profile_now() - profile_last;\n"
                "    if (profile_least[kernel] <= 0 || passed < profile_least[kernel])\n"
                "        profile_least[kernel] = passed > 0 ? passed : 1;\n"
                "    profile_last = profile_now();\n"
                "}\n\n",
                count);
}

/* Zeros and ones are numbers, indices and classes alike. */
static const char data_function[] = "static void *profile_data(size_t count, int32_t one) {\n"
                                    "    int32_t *data = malloc(count * sizeof *data + 64);\n"
                                    "    uint32_t state = 1;\n"
                                    "    for (size_t i = 0; data && i < count; i++)\n"
                                    "        data[i] = (state = state * 1664525u + 1013904223u) >> 31 ? one : 0;\n"
                                    "    return data;\n"
                                    "}\n\n"
                                    "static void profile_hash(const void *data, size_t count) {\n"
                                    "    const unsigned char *bytes = data;\n"
                                    "    for (size_t i = 0; i < count && profile_steps < 4; i++)\n"
                                    "        profile_bits = (profile_bits ^ bytes[i]) * 0x100000001b3u;\n"
                                    "}\n\n";

static const char training[] =
    "static void profile_step(void) {\n"
    "    static void *x, *y, *w;\n"
    "    static int32_t rows[$N_BATCH];\n"
    "    double totals[PROFILE_RESULTS] = {0};\n"
    "    const nnrt_program *p = &$n_program;\n"
    "    int32_t one = 0x3f800000, target = p->target_dtype == NNRT_I32 ? p->class_count != 1 : one;\n"
    "    if (!x)\n"
    "        x = profile_data((size_t)(p->input_stride * $N_BATCH), one);\n"
    "    if (!y)\n"
    "        y = profile_data((size_t)(p->target_size * $N_BATCH), target);\n"
    "    if (!w)\n"
    "        w = profile_data($N_BATCH, one);\n"
    "    if (!x || !y || !w)\n"
    "        exit(1);\n"
    "    for (int i = 0; i < $N_BATCH; i++)\n"
    "        rows[i] = i;\n"
    "    nnrt_steps steps = {.x = x, .y = y, .w = p->has_sample_weight ? w : NULL, .rows = rows, .samples = $N_BATCH,\n"
    "                        .batch_size = $N_BATCH, .threads = 1, .seed = 1, .totals = totals};\n"
    "    profile_last = profile_now();\n"
    "    $n_train_steps(&profile_model, &steps);\n"
    "    profile_hash(totals, sizeof totals);\n"
    "    profile_hash(&profile_model, p->arena_offset);\n"
    "}\n\n";

static const char prediction[] = "static void profile_step(void) {\n"
                                 "    static float *raw, *output;\n"
                                 "    const nnrt_program *p = &$n_program;\n"
                                 "    if (!raw)\n"
                                 "        raw = profile_data((size_t)(p->raw_input_size * $N_BATCH), 0x3f800000);\n"
                                 "    if (!output)\n"
                                 "        output = profile_data((size_t)(p->output_size * $N_BATCH), 0);\n"
                                 "    if (!raw || !output)\n"
                                 "        exit(1);\n"
                                 "    profile_last = profile_now();\n"
                                 "    $n_predict_rows(&profile_model, raw, $N_BATCH, output, 1);\n"
                                 "    profile_hash(output, (size_t)(p->output_size * $N_BATCH) * sizeof *output);\n"
                                 "}\n\n";

static const char main_function[] =
    "/* The milliseconds that it may take. */\n"
    "int main(int argc, char **argv) {\n"
    "    double budget = 1e6 * (argc > 1 ? atof(argv[1]) : 200), start = 0, clock = 1e9;\n"
    "    for (int i = 0; i < 1000; i++) {\n"
    "        double now = profile_now(), passed = profile_now() - now;\n"
    "        clock = passed < clock ? passed : clock;\n"
    "    }\n"
    "    for (; profile_steps < 4 || profile_now() - start < budget; profile_steps++) {\n"
    "        if (profile_steps % 256 == 0)\n"
    "            nnrt_model_init(&$n_program, &profile_model, 1);\n"
    "        profile_step();\n"
    "        if (profile_steps < 4)\n"
    "            start = profile_now();\n"
    "    }\n"
    "    for (int i = 0; i < (int)(sizeof profile_least / sizeof *profile_least); i++)\n"
    "        printf(\"%d %.1f\\n\", i, profile_least[i] > clock ? profile_least[i] - clock : 0);\n"
    "    printf(\"bits %016llx\\n\", (unsigned long long)profile_bits);\n"
    "    return fflush(stdout) != 0;\n"
    "}\n";

void host_profile_main(Host *h, Text *out) {
    const KSequence *sequence = h->steps[host_profiled(h)].sequence;
    text_add(out, "\n/* ---- The kernels of a step, timed. */\n\n");
    text_format(out, "enum { PROFILE_RESULTS = %d };\n", sequence->func->body.yield_count);
    host_text(h, out, "static $n profile_model;\n\n");
    text_add(out, data_function);
    host_text(h, out, host_has_training(h) ? training : prediction);
    host_text(h, out, main_function);
}
