/* The variables of a model: initial values, and the way from and to a .safetensors file.
 *
 * Needs: the variable table of the program. Leaves: a filled model struct or a complete file; on error neither the
 * model nor the old file has changed, and nnrt_error_text says what is missing, unexpected or of another shape. */
#define _DEFAULT_SOURCE /* madvise */
#include "nnrt_model.h"
#include "nnrt_error.h"
#include "nnrt_init.h"
#include "nnrt_storage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MODEL_LISTED_PROBLEMS = 4, MODEL_LOCAL_TENSORS = 64, MODEL_PIECE = 1024 };

char *nnrt_shape_text(char *text, size_t size, int rank, const int64_t *dims) {
    size_t used = (size_t)snprintf(text, size, "(");
    for (int i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, i ? ", %lld" : "%lld", (long long)dims[i]);
    if (used < size)
        snprintf(text + used, size - used, rank == 1 ? ",)" : ")");
    return text;
}

/* Initial values. */

/* Values of a permuted variable are made in file order first: in the arena, which is free now, if they fit there. */
static int model_fill_permuted(const nnrt_program *program, const nnrt_variable *variable, int index, char *model,
                               uint64_t seed) {
    size_t bytes = 4 * (size_t)nnrt_variable_elements(variable);
    bool fits = bytes <= program->arena_bytes && program->arena_offset % sizeof(float) == 0;
    float *values = fits ? (float *)(void *)(model + program->arena_offset) : malloc(bytes + 4);
    if (!values)
        return nnrt_error(NNRT_ERROR_MEMORY, "no memory to initialise %s", variable->name);
    nnrt_init_fill(&variable->init, seed, (uint32_t)index, variable->rank, variable->dims, values);
    nnrt_storage_scatter(variable, values, model + variable->offset);
    if (!fits)
        free(values);
    return NNRT_OK;
}

static int model_fill_variable(const nnrt_program *program, int index, char *model, uint64_t seed) {
    const nnrt_variable *variable = &program->variables[index];
    char *memory = model + variable->offset;
    if (variable->dtype == NNRT_F32 && !nnrt_storage_is_plain(variable))
        return model_fill_permuted(program, variable, index, model, seed);
    if (variable->dtype == NNRT_F32) {
        nnrt_init_fill(&variable->init, seed, (uint32_t)index, variable->rank, variable->dims, (float *)(void *)memory);
        return NNRT_OK;
    }
    int32_t value = (int32_t)variable->init.a;
    for (int64_t i = 0; i < nnrt_storage_elements(variable); i++)
        memcpy(memory + 4 * i, &value, 4);
    return NNRT_OK;
}

void nnrt_model_large_pages(void *model, size_t bytes) {
#ifdef MADV_HUGEPAGE
    uintptr_t mask = NNRT_LARGE_PAGE - 1;
    uintptr_t first = ((uintptr_t)model + mask) & ~mask, end = ((uintptr_t)model + bytes) & ~mask;
    if (first < end)
        madvise((char *)model + (first - (uintptr_t)model), end - first, MADV_HUGEPAGE); /* refused: small pages */
#else
    (void)model, (void)bytes;
#endif
}

/* Everything but the arena starts as zero, so that a struct from any memory behaves the same. */
int nnrt_model_fill(const nnrt_program *program, void *model, uint64_t seed) {
    char *bytes = model;
    size_t arena_end = program->arena_offset + program->arena_bytes;
    nnrt_model_large_pages(model, program->model_bytes);
    memset(bytes, 0, program->arena_offset);
    memset(bytes + arena_end, 0, program->model_bytes - arena_end);
    for (int i = 0; i < program->variable_count; i++) {
        int code = model_fill_variable(program, i, bytes, seed);
        if (code != NNRT_OK)
            return code;
    }
    return NNRT_OK;
}

void nnrt_model_init(const nnrt_program *program, void *model, uint64_t seed) {
    nnrt_model_fill(program, model, seed);
}

/* Loading. */

/* What does not fit between a file and the program: the first few are named, the others counted. */
typedef struct {
    char text[1400];
    size_t length;
    int count;
} ModelProblems;

static void model_problem(ModelProblems *problems, const char *format, ...) NNRT_PRINTF(2, 3);
static void model_problem(ModelProblems *problems, const char *format, ...) {
    if (problems->count++ >= MODEL_LISTED_PROBLEMS)
        return;
    char text[320];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    int used = snprintf(problems->text + problems->length, sizeof problems->text - problems->length, "%s%s",
                        problems->count > 1 ? "; " : "", text);
    if (used > 0 && problems->length + (size_t)used < sizeof problems->text)
        problems->length += (size_t)used;
}

static nnrt_tensor_dtype model_dtype(const nnrt_variable *variable) {
    return variable->dtype == NNRT_I32 ? NNRT_TENSOR_I32 : NNRT_TENSOR_F32;
}

static void model_compare(const nnrt_variable *variable, const nnrt_tensor *tensor, ModelProblems *problems) {
    char expected[160], found[160];
    bool same = tensor->rank == variable->rank;
    for (int i = 0; same && i < variable->rank; i++)
        same = tensor->dims[i] == variable->dims[i];
    nnrt_shape_text(expected, sizeof expected, variable->rank, variable->dims);
    nnrt_shape_text(found, sizeof found, tensor->rank, tensor->dims);
    if (!same)
        model_problem(problems, "expected %s %s, found %s", variable->name, expected, found);
    else if (tensor->dtype != model_dtype(variable))
        model_problem(problems, "expected %s as %s, found %s", variable->name,
                      nnrt_tensor_dtype_name(model_dtype(variable)), nnrt_tensor_dtype_name(tensor->dtype));
}

static bool model_file_is_fitted(const nnrt_safetensors *file) {
    const char *state = nnrt_safetensors_metadata(file, NNRT_KEY_PREPROCESSING);
    return !state || strcmp(state, "fitted") == 0;
}

/* All variables of one role: compared where they are there; `required` or half there: the absent ones are missing. */
static bool model_check_role(const nnrt_program *program, const nnrt_safetensors *file, nnrt_role role, bool required,
                             ModelProblems *problems) {
    int there = 0, wanted = 0;
    for (int i = 0; i < program->variable_count; i++) {
        const nnrt_variable *variable = &program->variables[i];
        const nnrt_tensor *tensor = variable->role == role ? nnrt_safetensors_find(file, variable->name) : NULL;
        wanted += variable->role == role;
        there += tensor != NULL;
        if (tensor)
            model_compare(variable, tensor, problems);
    }
    for (int i = 0; i < program->variable_count && there < wanted && (required || there > 0); i++) {
        const nnrt_variable *variable = &program->variables[i];
        char shape[160];
        if (variable->role == role && !nnrt_safetensors_find(file, variable->name))
            model_problem(problems, "%s %s is missing", variable->name,
                          nnrt_shape_text(shape, sizeof shape, variable->rank, variable->dims));
    }
    return wanted > 0 && there == wanted;
}

static bool model_knows(const nnrt_program *program, const char *name) {
    for (int i = 0; i < program->variable_count; i++)
        if (strcmp(program->variables[i].name, name) == 0)
            return true;
    return false;
}

/* The state of callbacks, and of an optimizer that this program does not have, may be there. */
static void model_check_unexpected(const nnrt_program *program, const nnrt_safetensors *file, ModelProblems *problems) {
    const char *optimizer = nnrt_safetensors_metadata(file, NNRT_KEY_OPTIMIZER);
    size_t length = optimizer ? strlen(optimizer) : 0;
    for (int64_t i = 0; i < file->count; i++) {
        const nnrt_tensor *tensor = &file->tensors[i];
        bool of_callback = strncmp(tensor->name, NNRT_CALLBACK_PREFIX, strlen(NNRT_CALLBACK_PREFIX)) == 0;
        bool of_optimizer = length > 0 && strncmp(tensor->name, optimizer, length) == 0 && tensor->name[length] == '/';
        char shape[160];
        if (!of_callback && !of_optimizer && !model_knows(program, tensor->name))
            model_problem(problems, "%s %s is unexpected", tensor->name,
                          nnrt_shape_text(shape, sizeof shape, tensor->rank, tensor->dims));
    }
}

static void model_copy_role(const nnrt_program *program, void *model, const nnrt_safetensors *file, nnrt_role role) {
    for (int i = 0; i < program->variable_count; i++) {
        const nnrt_variable *variable = &program->variables[i];
        const nnrt_tensor *tensor = variable->role == role ? nnrt_safetensors_find(file, variable->name) : NULL;
        if (tensor)
            nnrt_storage_scatter(variable, tensor->data, (char *)model + variable->offset);
    }
}

int nnrt_model_load_from(const nnrt_program *program, void *model, const nnrt_safetensors *file, const char *path,
                         nnrt_model_strictness strictness, nnrt_model_found *found) {
    ModelProblems problems = {.length = 0};
    bool required = strictness == NNRT_PREPROCESSING_REQUIRED;
    model_check_role(program, file, NNRT_TRAINABLE, true, &problems);
    model_check_role(program, file, NNRT_NON_TRAINABLE, true, &problems);
    found->optimizer = model_check_role(program, file, NNRT_OPTIMIZER, false, &problems);
    found->preprocessing = model_check_role(program, file, NNRT_PREPROCESS, required, &problems);
    model_check_unexpected(program, file, &problems);
    if (problems.count > MODEL_LISTED_PROBLEMS)
        return nnrt_error(NNRT_ERROR_DATA, "%s: this file holds another model: %s; and %d more", path, problems.text,
                          problems.count - MODEL_LISTED_PROBLEMS);
    if (problems.count > 0)
        return nnrt_error(NNRT_ERROR_DATA, "%s: this file holds another model: %s", path, problems.text);
    for (int role = NNRT_TRAINABLE; role <= NNRT_PREPROCESS; role++)
        model_copy_role(program, model, file, (nnrt_role)role);
    found->preprocessing = found->preprocessing && model_file_is_fitted(file);
    return NNRT_OK;
}

int nnrt_model_load(const nnrt_program *program, void *model, const char *path) {
    nnrt_safetensors file = {.count = 0};
    nnrt_model_found found;
    int code = nnrt_safetensors_read(path, &file);
    if (code == NNRT_OK)
        code = nnrt_model_load_from(program, model, &file, path, NNRT_PREPROCESSING_REQUIRED, &found);
    nnrt_safetensors_free(&file);
    return code;
}

/* Saving. */

/* The first part of the optimizer's names: "adam" of adam/dense_kernel_momentum. "": there is no optimizer state. */
static void model_optimizer_name(const nnrt_program *program, char *name, size_t size) {
    name[0] = 0;
    for (int i = 0; i < program->variable_count; i++)
        if (program->variables[i].role == NNRT_OPTIMIZER) {
            snprintf(name, size, "%.*s", (int)strcspn(program->variables[i].name, "/"), program->variables[i].name);
            return;
        }
}

/* No allocation: elements that do not lie in file order pass through a piece on the stack. */
static int model_append_variable(nnrt_safetensors_writer *writer, const nnrt_variable *variable, const char *memory) {
    int64_t elements = nnrt_variable_elements(variable);
    if (nnrt_storage_is_plain(variable))
        return nnrt_safetensors_append(writer, memory, 4 * (size_t)elements);
    float piece[MODEL_PIECE];
    for (int64_t first = 0; first < elements; first += MODEL_PIECE) {
        int64_t count = elements - first < MODEL_PIECE ? elements - first : MODEL_PIECE;
        nnrt_storage_gather(variable, memory, first, count, piece);
        int code = nnrt_safetensors_append(writer, piece, 4 * (size_t)count);
        if (code != NNRT_OK)
            return code;
    }
    return NNRT_OK;
}

static void model_list_tensors(const nnrt_program *program, const nnrt_model_extra *extra, nnrt_tensor *tensors) {
    for (int i = 0; i < program->variable_count; i++) {
        const nnrt_variable *variable = &program->variables[i];
        tensors[i] = (nnrt_tensor){.name = variable->name, .dtype = model_dtype(variable), .rank = variable->rank};
        for (int axis = 0; axis < variable->rank; axis++)
            tensors[i].dims[axis] = variable->dims[axis];
    }
    for (int64_t i = 0; i < extra->tensor_count; i++)
        tensors[program->variable_count + i] = extra->tensors[i];
}

static int model_write(const nnrt_program *program, const void *model, const char *path, const nnrt_model_extra *extra,
                       const nnrt_tensor *tensors, const nnrt_metadata *metadata, int64_t metadata_count) {
    nnrt_safetensors_writer writer;
    int code = nnrt_safetensors_begin(&writer, path, tensors, program->variable_count + extra->tensor_count, metadata,
                                      metadata_count);
    if (code != NNRT_OK)
        return code;
    for (int i = 0; code == NNRT_OK && i < program->variable_count; i++)
        code =
            model_append_variable(&writer, &program->variables[i], (const char *)model + program->variables[i].offset);
    for (int64_t i = 0; code == NNRT_OK && i < extra->tensor_count; i++) {
        size_t elements = 1;
        for (int axis = 0; axis < extra->tensors[i].rank; axis++)
            elements *= (size_t)extra->tensors[i].dims[axis];
        code = nnrt_safetensors_append(&writer, extra->tensors[i].data,
                                       elements * nnrt_tensor_dtype_size(extra->tensors[i].dtype));
    }
    if (code == NNRT_OK)
        return nnrt_safetensors_finish(&writer);
    nnrt_safetensors_abandon(&writer);
    return code;
}

int nnrt_model_save_with(const nnrt_program *program, const void *model, const char *path,
                         const nnrt_model_extra *extra) {
    nnrt_metadata metadata[MODEL_LOCAL_TENSORS];
    char optimizer[128];
    int64_t own = 0;
    if (extra->metadata_count > MODEL_LOCAL_TENSORS - 3)
        return nnrt_error(NNRT_ERROR_ARGUMENT, "%s: too many callbacks to save their state", path);
    metadata[own++] = (nnrt_metadata){NNRT_KEY_MODEL, program->name};
    metadata[own++] = (nnrt_metadata){"compiler", program->compiler ? program->compiler : "nnc"};
    model_optimizer_name(program, optimizer, sizeof optimizer);
    if (optimizer[0])
        metadata[own++] = (nnrt_metadata){NNRT_KEY_OPTIMIZER, optimizer};
    for (int64_t i = 0; i < extra->metadata_count; i++)
        metadata[own++] = extra->metadata[i];

    nnrt_tensor local[MODEL_LOCAL_TENSORS], *tensors = local;
    int64_t count = program->variable_count + extra->tensor_count;
    if (count > MODEL_LOCAL_TENSORS && !(tensors = malloc((size_t)count * sizeof *tensors)))
        return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory to save", path);
    model_list_tensors(program, extra, tensors);
    int code = model_write(program, model, path, extra, tensors, metadata, own);
    if (tensors != local)
        free(tensors);
    return code;
}

int nnrt_model_save(const nnrt_program *program, const void *model, const char *path) {
    nnrt_model_extra nothing = {.tensor_count = 0};
    return nnrt_model_save_with(program, model, path, &nothing);
}
