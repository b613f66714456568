/* The reader of time series: all columns that are wanted as rows of one table, of which the inputs stay and the targets
 * are copied out; then the geometry of the windows. */
#include "nnrt_windows.h"
#include "nnrt_csv.h"
#include "nnrt_error.h"
#include "nnrt_file.h"
#include "nnrt_text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *file;
    const nnrt_data_source *source;
    const nnrt_table_request *request;
    nnrt_table *table;
    const char **columns; /* to be read: the inputs that are listed, then the targets that are not among them */
    int column_count;
    int64_t inputs;
    int64_t *targets; /* place of each target in a row */
    int64_t target_count;
} WindowReader;

static int list_columns(WindowReader *reader) {
    const nnrt_data_source *source = reader->source;
    int targets = reader->request->need_target ? source->target_count : 0;
    reader->columns = calloc((size_t)source->column_count + (size_t)targets + 1, sizeof *reader->columns);
    if (!reader->columns)
        return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for its columns", reader->file);
    for (int i = 0; i < source->column_count; i++)
        reader->columns[reader->column_count++] = source->columns[i];
    for (int i = 0; i < targets && source->column_count > 0; i++) {
        bool listed = false;
        for (int k = 0; k < reader->column_count; k++)
            listed = listed || strcmp(reader->columns[k], source->targets[i]) == 0;
        if (!listed)
            reader->columns[reader->column_count++] = source->targets[i];
    }
    return NNRT_OK;
}

/* Where a target stands in a row as it was read: among the listed columns, or by the names of the training data. */
static int64_t find_target(const WindowReader *reader, const char *name) {
    const nnrt_vocabulary *given = reader->request->vocabulary;
    const nnrt_vocabulary *names = given && given->input_count ? given : &reader->table->vocabulary;
    nnrt_nearest nearest = {name, NULL, 3};
    for (int i = 0; i < reader->column_count; i++)
        if (strcmp(reader->columns[i], name) == 0)
            return i;
    if (name[0] == '#') {
        char *end;
        long long place = strtoll(name + 1, &end, 10);
        if (!*end && place < reader->table->columns)
            return place;
    }
    for (int64_t i = 0; i < names->input_count; i++) {
        if (strcmp(names->inputs[i], name) == 0)
            return i;
        nnrt_nearest_consider(&nearest, names->inputs[i]);
    }
    nnrt_error(NNRT_ERROR_DATA, "%s: there is no column %s%.70s%s for the target%s%s%.70s%s", reader->file,
               name[0] == '#' ? "" : "'", name, name[0] == '#' ? "" : "'",
               names->input_count ? "" : " (the columns have no names, or not distinct ones)",
               nearest.name ? "; did you mean '" : "", nearest.name ? nearest.name : "", nearest.name ? "'?" : "");
    return -1;
}

static int find_targets(WindowReader *reader) {
    const nnrt_data_source *source = reader->source;
    int64_t wanted = nnrt_table_file_targets(reader->request);
    if (!reader->request->need_target)
        return NNRT_OK;
    reader->target_count = source->target_count > 0 ? source->target_count : wanted;
    if (reader->target_count != wanted || (source->target_count == 0 && wanted > reader->inputs))
        return nnrt_error(NNRT_ERROR_DATA, "%s: the target takes %lld columns, there are %lld", reader->file,
                          (long long)wanted,
                          (long long)(source->target_count > 0 ? source->target_count : reader->inputs));
    reader->targets = calloc((size_t)wanted, sizeof *reader->targets);
    if (!reader->targets)
        return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for its columns", reader->file);
    for (int64_t k = 0; k < wanted; k++) {
        reader->targets[k] =
            source->target_count > 0 ? find_target(reader, source->targets[k]) : reader->inputs - wanted + k;
        if (reader->targets[k] < 0)
            return NNRT_ERROR_DATA;
    }
    return NNRT_OK;
}

static int check_shape(const WindowReader *reader) {
    const nnrt_data_source *source = reader->source;
    int64_t expected = reader->request->input_size, rows = reader->table->rows;
    int64_t needed = source->window + (reader->request->need_target ? source->horizon : 0);
    if (source->window < 1 || source->horizon < 1)
        return nnrt_error(NNRT_ERROR_ARGUMENT, "%s: length and horizon of windows are at least 1", reader->file);
    if (expected > 0 && reader->inputs * source->window != expected)
        return nnrt_error(NNRT_ERROR_DATA,
                          "%s: a row has %lld input column%s, the model takes windows of %lld rows and %lld columns; "
                          "list the columns, or change Input((%lld, %lld))",
                          reader->file, (long long)reader->inputs, reader->inputs == 1 ? "" : "s",
                          (long long)source->window, (long long)(expected / source->window), (long long)source->window,
                          (long long)reader->inputs);
    if (rows < needed)
        return nnrt_error(NNRT_ERROR_DATA,
                          "%s: a window of %lld rows%s needs %lld, but there are only %lld; take more rows, or shorter "
                          "windows",
                          reader->file, (long long)source->window,
                          reader->request->need_target ? " and the row to be predicted" : "", (long long)needed,
                          (long long)rows);
    return NNRT_OK;
}

static int copy_targets(const WindowReader *reader) {
    nnrt_table *table = reader->table;
    const nnrt_table_request *request = reader->request;
    int code = NNRT_OK;
    if (!request->need_target)
        return NNRT_OK;
    table->target_dtype = request->target_dtype;
    table->target_size = request->target_size > 0 ? request->target_size : 1;
    if (request->target_dtype == NNRT_I32)
        table->target_i32 = nnrt_table_memory(reader->file, table->rows, table->target_size, &code);
    else
        table->target_f32 = nnrt_table_memory(reader->file, table->rows, table->target_size, &code);
    for (int64_t row = 0; row < table->rows && !code; row++)
        for (int64_t k = 0; k < reader->target_count && !code; k++)
            if (nnrt_table_set_target(table, request, row, k,
                                      (double)table->x[row * table->x_stride + reader->targets[k]]) != NNRT_OK)
                code = nnrt_error(NNRT_ERROR_DATA, "%s: row %lld of the data: %s", reader->file, (long long)row + 1,
                                  nnrt_error_text());
    return code;
}

/* Columns that are a target and no input move out of the rows. */
static void pack_inputs(const WindowReader *reader) {
    nnrt_table *table = reader->table;
    for (int64_t row = 0; row < table->rows && reader->inputs < table->x_stride; row++)
        memmove(table->x + row * reader->inputs, table->x + row * table->x_stride,
                (size_t)reader->inputs * sizeof(float));
}

static void lay_windows(const WindowReader *reader) {
    nnrt_table *table = reader->table;
    const nnrt_data_source *source = reader->source;
    int64_t stride = source->stride > 0 ? source->stride : 1;
    int64_t needed = source->window + (reader->request->need_target ? source->horizon : 0);
    table->windows = true;
    table->rows = (table->rows - needed) / stride + 1;
    table->rank = 2;
    table->dims[0] = source->window;
    table->dims[1] = reader->inputs;
    table->columns = source->window * reader->inputs;
    table->x_stride = stride * reader->inputs;
    table->target_first = (source->window - 1 + source->horizon) * table->target_size;
    table->target_stride = stride * table->target_size;
}

static int read_windows(WindowReader *reader, const char *text, size_t bytes) {
    nnrt_data_source rows = *reader->source;
    nnrt_table_request request = {.all_inputs = true, .vocabulary = reader->request->vocabulary};
    int code = list_columns(reader);
    rows.kind = NNRT_DATA_CSV;
    rows.target = NULL;
    rows.columns = reader->columns;
    rows.column_count = reader->column_count;
    if (!code)
        code = nnrt_csv_parse(text, bytes, reader->file, &rows, &request, reader->table);
    reader->inputs = reader->source->column_count > 0 ? reader->source->column_count : reader->table->columns;
    if (!code)
        code = check_shape(reader);
    if (!code)
        code = find_targets(reader);
    if (!code)
        code = copy_targets(reader);
    if (code)
        return code;
    pack_inputs(reader);
    lay_windows(reader);
    return NNRT_OK;
}

int nnrt_windows_parse(const char *text, size_t bytes, const char *file, const nnrt_data_source *source,
                       const nnrt_table_request *request, nnrt_table *table) {
    WindowReader reader = {.file = file, .source = source, .request = request, .table = table};
    memset(table, 0, sizeof *table);
    int code = read_windows(&reader, text, bytes);
    free(reader.columns);
    free(reader.targets);
    if (code)
        nnrt_table_free(table);
    return code;
}

int nnrt_windows_read(const nnrt_data_source *source, const nnrt_table_request *request, nnrt_table *table) {
    return nnrt_table_read_text(nnrt_windows_parse, source, request, table);
}
