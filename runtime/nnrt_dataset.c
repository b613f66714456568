/* Reading, preprocessing and weighing of a data set; see nnrt_dataset.h. */
#include "nnrt_dataset.h"
#include "nnrt_adapt.h"
#include "nnrt_error.h"

#include <stdlib.h>
#include <string.h>

static bool dataset_ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

static nnrt_data_kind dataset_kind_of(const char *file, nnrt_data_kind declared) {
    if (declared == NNRT_DATA_TEXT)
        return declared;
    if (declared != NNRT_DATA_WINDOWS && (dataset_ends_with(file, ".csv") || dataset_ends_with(file, ".csv.gz")))
        return NNRT_DATA_CSV;
    if (dataset_ends_with(file, ".npy") || dataset_ends_with(file, ".npy.gz"))
        return NNRT_DATA_NPY;
    return declared == NNRT_DATA_NONE ? NNRT_DATA_CSV : declared;
}

nnrt_data_source nnrt_source_with(const nnrt_data_source *declared, const char *file, const char *target_file) {
    nnrt_data_source source = *declared;
    if (file) {
        nnrt_data_kind kind = dataset_kind_of(file, declared->kind);
        if (kind != declared->kind)
            source = (nnrt_data_source){.kind = kind, .header_auto = true, .separator = ',', .count = -1};
        source.file = file;
    }
    if (target_file)
        source.target_file = target_file;
    return source;
}

nnrt_data_source nnrt_source_like(const nnrt_data_source *declared, const nnrt_data_source *train, const char *file,
                                  const char *target_file) {
    if (declared->kind != NNRT_DATA_NONE || !file)
        return nnrt_source_with(declared, file, target_file);
    nnrt_data_source pattern = *train;
    pattern.target_file = NULL;
    pattern.first = 0;
    pattern.count = -1;
    return nnrt_source_with(&pattern, file, target_file);
}

nnrt_table_request nnrt_table_request_of(const nnrt_program *program, const nnrt_vocabulary *vocabulary) {
    int64_t size = 1; /* a step such as one_hot makes other rows of the raw ones */
    for (int i = 0; i < program->input_rank; i++)
        size *= program->input_dims[i];
    return (nnrt_table_request){.input_size = program->raw_input_size,
                                .input_rank = size == program->raw_input_size ? program->input_rank : 0,
                                .input_dims = program->input_dims,
                                .target_dtype = program->target_dtype,
                                .target_size = program->target_size,
                                .class_count = program->class_count,
                                .target_one_hot = program->target_one_hot,
                                .class_columns = program->class_columns,
                                .class_column_count = program->class_column_count,
                                .vocabulary = vocabulary};
}

int nnrt_dataset_read(nnrt_dataset *dataset, const nnrt_program *program, const nnrt_data_source *source,
                      const nnrt_vocabulary *vocabulary) {
    nnrt_table_request request = nnrt_table_request_of(program, vocabulary);
    request.x_stride = program->preprocess ? 0 : program->input_stride;
    request.need_target = true;
    request.need_weight = program->has_sample_weight && source->weight;
    *dataset = (nnrt_dataset){.rows = 0};
    int code = nnrt_table_read(source, &request, &dataset->table);
    if (code != NNRT_OK)
        return code;
    dataset->rows = dataset->table.rows;
    if (dataset->rows > INT32_MAX) {
        nnrt_dataset_free(dataset);
        return nnrt_error(NNRT_ERROR_DATA, "%s: more than 2^31 - 1 rows", source->file);
    }
    dataset->weight = dataset->table.weight;
    dataset->table.weight = NULL;
    if (!program->has_sample_weight || dataset->weight)
        return NNRT_OK;
    dataset->weight = malloc((size_t)dataset->rows * sizeof(float) + 64);
    if (!dataset->weight) {
        nnrt_dataset_free(dataset);
        return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for sample weights", source->file);
    }
    for (int64_t i = 0; i < dataset->rows; i++)
        dataset->weight[i] = 1;
    return NNRT_OK;
}

void nnrt_dataset_free(nnrt_dataset *dataset) {
    nnrt_table_free(&dataset->table);
    free(dataset->prepared);
    free(dataset->weight);
    dataset->prepared = dataset->weight = NULL;
    dataset->rows = 0;
}

int nnrt_dataset_fit_preprocessing(const nnrt_dataset *dataset, const nnrt_program *program, void *model,
                                   int64_t rows) {
    const nnrt_table *table = &dataset->table;
    nnrt_raw_rows raw = {table->x, rows, table->columns, table->x_stride};
    return nnrt_adapt(program, model, &raw);
}

int nnrt_dataset_prepare(nnrt_dataset *dataset, const nnrt_program *program, void *model) {
    if (!program->preprocess || dataset->table.windows)
        return NNRT_OK;
    size_t bytes = (size_t)dataset->rows * (size_t)program->input_stride * sizeof(float) + 64;
    bytes = (bytes + 63) / 64 * 64;
    dataset->prepared = aligned_alloc(64, bytes);
    if (!dataset->prepared)
        return nnrt_error(NNRT_ERROR_MEMORY, "no memory for %lld preprocessed samples", (long long)dataset->rows);
    memset(dataset->prepared, 0, bytes);
    int code = program->preprocess(model, dataset->table.x, dataset->rows, dataset->prepared);
    free(dataset->table.x);
    dataset->table.x = NULL;
    return code;
}

/* The class of a target: its value, or the place of the greatest of several. */
static int64_t dataset_class_of(const nnrt_table *table, int64_t row) {
    if (table->target_i32)
        return table->target_i32[nnrt_table_target_place(table, row)];
    const float *target = table->target_f32 + nnrt_table_target_place(table, row);
    if (table->target_size == 1)
        return (int64_t)target[0];
    int64_t best = 0;
    for (int64_t k = 1; k < table->target_size; k++)
        best = target[k] > target[best] ? k : best;
    return best;
}

int nnrt_dataset_weigh_classes(nnrt_dataset *dataset, const nnrt_program *program, int64_t rows) {
    const nnrt_fit_defaults *fit = &program->fit;
    if (!fit->class_weight)
        return NNRT_OK;
    if (!dataset->weight)
        return nnrt_error(NNRT_ERROR_ARGUMENT, "class_weight: this program was compiled without sample weights");
    if (dataset->table.target_i32 && dataset->table.target_size > 1)
        return nnrt_error(NNRT_ERROR_UNSUPPORTED, "class_weight is for one class per sample, but a target has %lld",
                          (long long)dataset->table.target_size);
    for (int64_t i = 0; i < rows; i++) {
        int64_t class_index = dataset_class_of(&dataset->table, i);
        if (class_index >= 0 && class_index < fit->class_count)
            dataset->weight[i] *= (float)fit->class_weight[class_index];
    }
    return NNRT_OK;
}

nnrt_samples nnrt_dataset_samples(const nnrt_dataset *dataset, const nnrt_program *program, int64_t first,
                                  int64_t count) {
    const float *x = dataset->prepared ? dataset->prepared : dataset->table.x;
    const char *y = nnrt_table_target(&dataset->table);
    const float *w = dataset->weight ? dataset->weight + first : NULL;
    if (dataset->table.windows)
        return (nnrt_samples){.w = w, .count = count, .windows = &dataset->table, .first = first};
    nnrt_samples samples = {.x = x + first * program->input_stride,
                            .y = y + 4 * first * dataset->table.target_size,
                            .w = w,
                            .count = count};
    return samples;
}
