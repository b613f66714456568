/* Tables of samples: allocation with checked sizes, targets, the choice of rows, and the call of the right reader. */
#include "nnrt_table.h"
#include "nnrt_characters.h"
#include "nnrt_csv.h"
#include "nnrt_error.h"
#include "nnrt_file.h"
#include "nnrt_idx.h"
#include "nnrt_npy.h"
#include "nnrt_windows.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int read_kind(const nnrt_data_source *source, const nnrt_table_request *request, nnrt_table *table) {
    if (!source->file || !*source->file)
        return nnrt_error(NNRT_ERROR_ARGUMENT,
                          "no data file is given; name one in the data block or on the command line");
    switch (source->kind) {
    case NNRT_DATA_CSV:
        return nnrt_csv_read(source, request, table);
    case NNRT_DATA_IDX:
        return nnrt_idx_read(source, request, table);
    case NNRT_DATA_NPY:
        return nnrt_npy_read(source, request, table);
    case NNRT_DATA_TEXT:
        return nnrt_characters_read(source, request, table);
    case NNRT_DATA_WINDOWS:
        return nnrt_windows_read(source, request, table);
    case NNRT_DATA_NONE:
        break;
    }
    return nnrt_error(NNRT_ERROR_ARGUMENT, "%s: the program declares no data of this kind", source->file);
}

static int check_classes(const nnrt_data_source *, const nnrt_table_request *, const nnrt_table *);

int nnrt_table_read(const nnrt_data_source *source, const nnrt_table_request *request, nnrt_table *table) {
    memset(table, 0, sizeof *table);
    int code = read_kind(source, request, table);
    if (code == NNRT_OK && (code = check_classes(source, request, table)) != NNRT_OK)
        nnrt_table_free(table);
    return code;
}

void nnrt_table_free(nnrt_table *table) {
    free(table->x);
    free(table->target_f32);
    free(table->target_i32);
    free(table->weight);
    nnrt_vocabulary_free(&table->vocabulary);
    memset(table, 0, sizeof *table);
}

const void *nnrt_table_target(const nnrt_table *table) {
    return table->target_f32 ? (const void *)table->target_f32 : (const void *)table->target_i32;
}

void *nnrt_table_memory(const char *file, int64_t rows, int64_t width, int *code) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t bytes = 0, memory = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : SIZE_MAX / 2;
    void *block = NULL;
    bool fits = !__builtin_mul_overflow((size_t)rows, (size_t)width, &bytes) &&
                !__builtin_mul_overflow(bytes, (size_t)4, &bytes) && bytes <= memory && bytes < SIZE_MAX / 2;
    if (fits) {
        bytes = (bytes + 127) / 64 * 64;
        block = aligned_alloc(64, bytes);
    }
    if (block)
        memset(block, 0, bytes);
    else
        *code = nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for %lld rows of %lld values; take fewer rows or columns",
                           file, (long long)rows, (long long)width);
    return block;
}

int64_t nnrt_table_target_place(const nnrt_table *table, int64_t row) {
    return table->windows ? table->target_first + row * table->target_stride : row * table->target_size;
}

int64_t nnrt_table_file_targets(const nnrt_table_request *request) {
    return request->target_one_hot || request->target_size < 1 ? 1 : request->target_size;
}

int nnrt_table_allocate(nnrt_table *table, const nnrt_table_request *request, const char *file, int64_t rows,
                        int64_t columns) {
    int code = NNRT_OK;
    if (request->input_size > 0 && columns != request->input_size)
        return nnrt_error(NNRT_ERROR_DATA, "%s: a sample has %lld input value%s, the model takes %lld; %s", file,
                          (long long)columns, columns == 1 ? "" : "s", (long long)request->input_size,
                          columns > request->input_size ? "leave out columns, or change Input(...)"
                                                        : "columns are missing, or change Input(...)");
    table->rows = rows;
    table->columns = columns;
    table->x_stride = request->x_stride > columns ? request->x_stride : columns;
    table->x = nnrt_table_memory(file, rows, table->x_stride, &code);
    if (!code && request->need_target) {
        table->target_dtype = request->target_dtype;
        table->target_size = request->target_size > 0 ? request->target_size : 1;
        if (request->target_dtype == NNRT_I32)
            table->target_i32 = nnrt_table_memory(file, rows, table->target_size, &code);
        else
            table->target_f32 = nnrt_table_memory(file, rows, table->target_size, &code);
    }
    if (!code && request->need_weight)
        table->weight = nnrt_table_memory(file, rows, 1, &code);
    return code;
}

int nnrt_table_check_class(const nnrt_table_request *request, int64_t column, double value) {
    for (int i = 0; i < request->class_column_count; i++) {
        const nnrt_class_column *of = &request->class_columns[i];
        if (of->column == column && !(value >= 0 && value < (double)of->classes && value == floor(value)))
            return nnrt_error(NNRT_ERROR_DATA,
                              "the class is %.9g, but one_hot takes whole numbers from 0 to %lld; correct the data, or "
                              "the classes of one_hot",
                              value, (long long)of->classes - 1);
    }
    return NNRT_OK;
}

/* Input columns of a file without cells of text, such as NumPy's. */
static int check_classes(const nnrt_data_source *source, const nnrt_table_request *request, const nnrt_table *table) {
    int64_t first = source->first > 0 ? source->first : 0;
    for (int i = 0; i < request->class_column_count; i++)
        for (int64_t row = 0, column = request->class_columns[i].column; row < table->rows; row++) {
            if (column < table->columns &&
                nnrt_table_check_class(request, column, (double)table->x[row * table->x_stride + column])) {
                return nnrt_error(NNRT_ERROR_DATA, "%s: row %lld, column %lld: %s", source->file,
                                  (long long)(first + row + 1), (long long)column + 1, nnrt_error_text());
            }
        }
    return NNRT_OK;
}

/* A class index must be whole and in [0, class_count); an integer target must fit. */
static int check_index(const nnrt_table_request *request, double value) {
    int64_t limit = request->class_count > 0  ? request->class_count
                    : request->target_one_hot ? request->target_size
                                              : 0;
    if (value != floor(value))
        return nnrt_error(NNRT_ERROR_DATA, "the class is %.9g, which is not a whole number; classes count from 0",
                          value);
    if (limit > 0 && (value < 0 || value >= (double)limit))
        return nnrt_error(NNRT_ERROR_DATA,
                          "the class is %.9g, but the model has classes 0 to %lld; change the data, or the last layer",
                          value, (long long)(limit - 1));
    if (value < -2147483648.0 || value > 2147483647.0)
        return nnrt_error(NNRT_ERROR_DATA, "the target %.9g does not fit in 32 bits", value);
    return NNRT_OK;
}

int nnrt_table_set_target(nnrt_table *table, const nnrt_table_request *request, int64_t row, int64_t k, double value) {
    int64_t place = row * table->target_size + k;
    bool index = request->target_dtype == NNRT_I32 || request->target_one_hot;
    int code = NNRT_OK;
    if (!isfinite(value) || fabs(value) > 3.4028235677973366e38)
        return nnrt_error(NNRT_ERROR_DATA, "the target is not a finite number; remove the row, or put a value in");
    if (index && (code = check_index(request, value)) != 0)
        return code;
    if (request->target_one_hot) {
        if (request->target_dtype == NNRT_I32)
            table->target_i32[row * table->target_size + (int64_t)value] = 1;
        else
            table->target_f32[row * table->target_size + (int64_t)value] = 1.0f;
    } else if (index) {
        table->target_i32[place] = (int32_t)value;
    } else {
        table->target_f32[place] = (float)value;
    }
    return NNRT_OK;
}

int nnrt_table_choose_rows(const nnrt_data_source *source, const char *file, int64_t present, int64_t *first,
                           int64_t *rows) {
    int64_t start = source->first > 0 ? source->first : 0;
    if (present == 0)
        return nnrt_error(NNRT_ERROR_DATA, "%s: there are no samples in the file", file);
    if (start >= present || source->count == 0)
        return nnrt_error(NNRT_ERROR_DATA, "%s: rows from %lld on are asked for, but there are only %lld", file,
                          (long long)start, (long long)present);
    *first = start;
    *rows = present - start;
    if (source->count > 0 && source->count < *rows)
        *rows = source->count;
    return NNRT_OK;
}

int nnrt_table_read_text(nnrt_table_parser *parse, const nnrt_data_source *source, const nnrt_table_request *request,
                         nnrt_table *table) {
    const char *name = strcmp(source->file, "-") == 0 ? "standard input" : source->file;
    nnrt_bytes bytes;
    int code;
    memset(table, 0, sizeof *table);
    code = nnrt_file_read_data(source->file, &bytes);
    if (!code)
        code = parse((const char *)bytes.data, bytes.size, name, source, request, table);
    nnrt_bytes_free(&bytes);
    return code;
}
