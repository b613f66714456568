/* The header of an emitted file: the model as a struct of fixed size, and its functions for C and C++. */
#include "codegen/emit/host_parts.h"
#include <string.h>

/* Arrays that a vector could hold begin on a cache line. gcc 12 reads smaller ones, where they are not aligned, with
 * instructions that want them so. */
enum { ALIGNED_ELEMENTS = 4 };

const char *host_shape_text(const Host *h, const Type *type) {
    Text text = {0};
    text_add(&text, "(");
    for (int i = 0; i < type->rank; i++)
        text_format(&text, i ? ", %s" : "%s", type->dims[i].batch ? "n" : dim_text(h->program->arena, type->dims[i]));
    text_add(&text, type->rank == 1 ? ",)" : ")");
    const char *copy = arena_strdup(h->program->arena, text.data);
    text_free(&text);
    return copy;
}

static void member(const Host *h, Text *out, const KBuffer *b) {
    const char *align =
        kbuffer_elements(b, 1) >= ALIGNED_ELEMENTS ? arena_format(h->program->arena, "%s_ALIGNED ", h->upper) : "";
    text_format(out, "    %s", align);
    c_print_member(out, h->program, h->dialect, b);
    text_format(out, "; /* %s", b->variable->name);
    if (b->rank > 0)
        text_format(out, " %s", host_shape_text(h, b->variable->type));
    if (b->block > 0)
        text_format(out, ", axis %d in panels of %d", b->block_axis, b->block);
    else if (b->rank == 2 && b->order[0] == 1)
        text_add(out, ", turned");
    text_add(out, " */\n");
}

static void members_of_host(const Host *h, Text *out) {
    host_text(
        h, out,
        "    uint64_t seed;   /* of random numbers in training, set by $n_init */\n"
        "    int32_t threads; /* used if compiled with -fopenmp; 1 after $n_init, same results for any number */\n");
    if (host_has_preprocess(h)) {
        text_format(out, "    %s_ALIGNED float prepared[%s_BATCH * %lld]; /* scratch: rows after preprocessing */\n",
                    h->upper, h->upper, (long long)host_sample_size(h->info->input));
        if (host_has_training(h)) {
            const Type *y = h->info->target;
            text_format(out, "    %s chosen_y[%s_BATCH * %lld]; /* scratch: their targets */\n",
                        y->dtype == DTYPE_F32 ? "float" : "int32_t", h->upper, (long long)host_sample_size(y));
            if (h->info->has_sample_weight)
                host_text(h, out, "    float chosen_w[$N_BATCH];\n");
        }
    }
}

static void model_struct(const Host *h, Text *out) {
    KProgram *p = h->program;
    host_text(h, out,
              "/* The whole state: weights, optimizer, scratch memory. Its owner is the caller; it holds no pointers "
              "and may\n"
              " * be copied. Needs alignment 64 (a variable has it; from the heap: aligned_alloc). */\n"
              "typedef struct $n {\n");
    for (int i = 0; i < p->buffer_count; i++)
        if (p->buffers[i]->space == SPACE_VARIABLE && !p->buffers[i]->alias)
            member(h, out, p->buffers[i]);
    (host_is_on_stream(h) ? h->target->library_members : members_of_host)(h, out);
    if (p->arena_bytes > 0)
        host_text(h, out, "    $N_ALIGNED unsigned char arena[$N_ARENA_BYTES]; /* scratch: intermediate values */\n");
    host_text(h, out, "} $n;\n\n");
}

void host_metrics_struct(const Host *h, Text *out) {
    host_text(h, out, "/* Means over the samples of one call. */\ntypedef struct $n_metrics {\n");
    for (int i = 0; i < h->info->metric_count; i++)
        text_format(out, "    double %s;%s\n", host_metric(h, i),
                    i == 0 ? " /* with regularisation, averaged over batches */" : "");
    host_text(h, out, "} $n_metrics;\n\n");
}

/* "const float (*x)[64], const int32_t *y, const float *w" */
void host_samples(const Host *h, Text *out) {
    host_pointer(out, h->info->raw_input, true, "x");
    text_add(out, ", ");
    host_pointer(out, h->info->target, true, "y");
    if (h->info->has_sample_weight)
        text_add(out, ", const float *w");
}

void host_predict_comment(const Host *h, Text *out) {
    text_format(out, "/* Prediction for n samples. x: %s%s   output: %s */\n", host_shape_text(h, h->info->raw_input),
                host_has_preprocess(h) ? ", raw rows" : "", host_shape_text(h, h->info->output));
}

void host_prototype_predict(const Host *h, Text *out) {
    host_text(h, out, "int $n_predict($n *model, ");
    host_pointer(out, h->info->raw_input, true, "x");
    text_add(out, ", int64_t n, ");
    host_pointer(out, h->info->output, false, "output");
    text_add(out, ")");
}

void host_prototype_adapt(const Host *h, Text *out) {
    host_text(h, out, "int $n_adapt($n *model, ");
    host_pointer(out, h->info->raw_input, true, "x");
    text_add(out, ", int64_t n)");
}

void host_prototype(const Host *h, Text *out, const char *verb, const char *rest) {
    Text line = {0};
    text_format(&line, "int %s_%s(%s *model, ", h->name, verb, h->name);
    host_samples(h, &line);
    host_text(h, &line, rest);
    host_line(out, 0, "%s", line.data);
    text_free(&line);
}

static void training_functions(const Host *h, Text *out) {
    Text y = {0};
    const Program *info = h->info;
    if (info->class_count > 0)
        text_format(&y, "class of each sample, 0 to %lld", (long long)info->class_count - 1);
    else
        text_format(&y, "targets, %s", host_shape_text(h, info->target));
    text_format(out,
                "/* Training: one step for every %s_BATCH samples, the last step with those that are left.\n"
                " *   x: %s%s   y: %s%s\n",
                h->upper, host_shape_text(h, info->raw_input), host_has_preprocess(h) ? ", raw rows" : "", y.data,
                info->has_sample_weight ? "   w: weight of each sample" : "");
    text_add(
        out,
        " * `metrics` (may be NULL) gets the means over these n samples, before each step changed the weights. */\n");
    host_prototype(h, out, "train_batch", ", int64_t n, $n_metrics *metrics);");
    text_add(out, "\n/* Loss and metrics of n samples; changes no weights. */\n");
    host_prototype(h, out, "evaluate", ", int64_t n, $n_metrics *metrics);");
    text_add(out, "\n/* Whole epochs over n samples; `metrics` (may be NULL) gets the means of the last epoch. With "
                  "`order`, memory\n"
                  " * for n numbers, the samples are shuffled for each epoch, as the trainer does; NULL: they are "
                  "taken as they lie. */\n");
    host_prototype(h, out, "fit", ", int64_t n, int epochs, int32_t *order, $n_metrics *metrics);");
    text_add(out, "\n");
    text_free(&y);
}

static void functions(const Host *h, Text *out) {
    host_text(
        h, out,
        "/* Functions return 0, or an error code; $n_error then says in words what is wrong (one message per thread).\n"
        " *   1 a file cannot be opened, read or written      2 it is not a .safetensors file, or cut off\n"
        " *   3 its contents do not fit this model            4 no memory (only load and save ask for some)\n"
        " *   5 an argument is wrong\n"
        " * Any n is right. Different structs may be used by different threads at the same time. */\n"
        "const char *$n_error(void);\n\n"
        "/* Fresh weights. Same seed, same weights, on every machine. */\n"
        "int $n_init($n *model, uint64_t seed);\n\n"
        "/* Weights and optimizer state from and to a .safetensors file. On an error nothing has changed; saving "
        "writes\n"
        " * a new file, then renames it. */\n"
        "int $n_load($n *model, const char *path);\nint $n_save(const $n *model, const char *path);\n\n");
    host_predict_comment(h, out);
    host_prototype_predict(h, out);
    text_add(out, ";\n\n");
    if (host_has_fitted(h)) {
        text_add(out, "/* Fits the preprocessing to n raw rows, before training. A weights file brings it along. */\n");
        host_prototype_adapt(h, out);
        text_add(out, ";\n\n");
    }
    if (host_has_training(h))
        training_functions(h, out);
}

void host_header(Host *h, Text *out) {
    host_text(h, out, "/* The model $n");
    text_format(out, " of %s, by %s. Its functions are in the C file of the same name. */\n", h->options->source_file,
                h->options->compiler);
    host_text(h, out, "#ifndef $N_H\n#define $N_H\n#include <stdint.h>\n");
    host_text(h, out, host_is_on_stream(h) ? "#include <cuda_runtime_api.h>\n\n" : "\n");
    host_text(h, out,
              "#ifdef __cplusplus\n#define $N_ALIGNED alignas(64)\nextern \"C\" {\n"
              "#else\n#define $N_ALIGNED _Alignas(64)\n#endif\n\n");
    host_text(h, out,
              host_has_room(h)
                  ? "#define $N_BATCH $b /* samples of a training step */\n"
                  : "#define $N_BATCH $b /* samples of a training step; memory is planned for so many */\n");
    if (host_has_room(h))
        text_format(out,
                    "#define %s_MAX_BATCH %lld /* of the trainer's --batch-size; memory is planned for so many */\n",
                    h->upper, (long long)h->program->module->batch_max);
    text_format(out, "#define %s_ARENA_BYTES %lld\n\n", h->upper, (long long)h->program->arena_bytes);
    model_struct(h, out);
    if (host_has_training(h))
        host_metrics_struct(h, out);
    (host_is_on_stream(h) ? h->target->library_header : functions)(h, out);
    host_text(h, out, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
}
