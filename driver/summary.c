/* --emit=summary: Keras' table, drawn by the runtime. */
#include <stdlib.h>
#include "codegen/emit/host.h"
#include "driver/driver.h"
#include "runtime/nnrt_summary.h"

static const char *output_shape(const Pipeline *p, const Type *type) {
    Text text = {0};
    text_add(&text, "(None");
    for (int i = 1; type && i < type->rank; i++)
        text_format(&text, ", %lld", (long long)type->dims[i].n);
    text_add(&text, type && type->rank > 1 ? ")" : ",)");
    const char *copy = arena_strdup(p->arena, text.data);
    text_free(&text);
    return copy;
}

Status emit_summary(Text *out, const Pipeline *p, int columns, bool utf8, bool color) {
    const Program *program = p->program;
    nnrt_layer *layers = ARENA_ARRAY(p->arena, nnrt_layer, program->layer_count + 1);
    for (int i = 0; i < program->layer_count; i++) {
        const Layer *layer = &program->layers[i];
        layers[i] = (nnrt_layer){layer->name, layer->type, output_shape(p, layer->output), layer->parameters};
    }
    int64_t sums[VARIABLE_PREPROCESS + 1] = {0};
    for (int i = 0; i < program->module->variable_count; i++)
        sums[program->module->variables[i]->role] += type_count(program->module->variables[i]->type, 1);
    nnrt_summary summary = {.name = program->name,
                            .layers = layers,
                            .layer_count = program->layer_count,
                            .trainable = sums[VARIABLE_TRAINABLE],
                            .non_trainable = sums[VARIABLE_NON_TRAINABLE],
                            .preprocessing = sums[VARIABLE_PREPROCESS],
                            .optimizer = sums[VARIABLE_OPTIMIZER],
                            .arena_bytes = (size_t)p->kernels->arena_bytes};
    nnrt_summary_style style = {columns, utf8, color};
    char *data = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&data, &length);
    if (!file)
        return STATUS_INTERNAL;
    nnrt_summary_print(file, &summary, &style);
    fclose(file);
    text_add_length(out, data, length);
    free(data);
    return STATUS_OK;
}
