/* Arrays of numbers from files: element types, byte orders, axis orders, into tables of floats. */
#include "nnrt_array.h"
#include "nnrt_error.h"
#include "nnrt_file.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const unsigned char sizes[] = {
    [NNRT_ARRAY_U8] = 1,  [NNRT_ARRAY_I8] = 1,  [NNRT_ARRAY_U16] = 2, [NNRT_ARRAY_I16] = 2, [NNRT_ARRAY_U32] = 4,
    [NNRT_ARRAY_I32] = 4, [NNRT_ARRAY_U64] = 8, [NNRT_ARRAY_I64] = 8, [NNRT_ARRAY_F32] = 4, [NNRT_ARRAY_F64] = 8};

int nnrt_array_check_size(const nnrt_array *array, size_t bytes) {
    uint64_t expected = sizes[array->type];
    bool fits = true;
    for (int i = 0; i < array->rank; i++)
        fits = fits && !__builtin_mul_overflow(expected, (uint64_t)array->dims[i], &expected);
    if (!fits || expected > INT64_MAX)
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: the shape in its header is impossibly large; the file is damaged",
                          array->file);
    if (bytes < expected)
        return nnrt_error(NNRT_ERROR_FORMAT,
                          "%s: is cut off: the header needs %llu bytes of data, there are %llu; copy it again",
                          array->file, (unsigned long long)expected, (unsigned long long)bytes);
    if (bytes > expected)
        return nnrt_error(NNRT_ERROR_FORMAT,
                          "%s: there are %llu bytes behind the data; the file is damaged, or holds several arrays",
                          array->file, (unsigned long long)(bytes - expected));
    return NNRT_OK;
}

static uint64_t raw_bits(const nnrt_array *array, int64_t element) {
    int size = sizes[array->type];
    const unsigned char *p = array->data + element * size;
    uint64_t bits = 0;
    for (int i = 0; i < size; i++)
        bits |= (uint64_t)p[array->big_endian ? size - 1 - i : i] << (8 * i);
    return bits;
}

static double value_at(const nnrt_array *array, int64_t element) {
    uint64_t bits = raw_bits(array, element);
    uint32_t low = (uint32_t)bits;
    float single;
    double real;
    switch (array->type) {
    case NNRT_ARRAY_I8:
        return (int8_t)(uint8_t)bits;
    case NNRT_ARRAY_I16:
        return (int16_t)(uint16_t)bits;
    case NNRT_ARRAY_I32:
        return (int32_t)low;
    case NNRT_ARRAY_I64:
        return (double)(int64_t)bits;
    case NNRT_ARRAY_F32:
        memcpy(&single, &low, 4);
        return (double)single;
    case NNRT_ARRAY_F64:
        memcpy(&real, &bits, 8);
        return real;
    case NNRT_ARRAY_U8:
    case NNRT_ARRAY_U16:
    case NNRT_ARRAY_U32:
    case NNRT_ARRAY_U64:
        break;
    }
    return (double)bits;
}

/* Values of one sample; at least 1 where no axis is empty. */
static int64_t sample_size(const nnrt_array *array) {
    int64_t size = 1;
    for (int i = 1; i < array->rank; i++)
        size *= array->dims[i];
    return size;
}

/* Where value `k` (row-major) of a sample lies. */
static int64_t element_of(const nnrt_array *array, int64_t sample, int64_t k, int64_t size) {
    int64_t place = 0, stride = array->dims[0];
    int64_t index[NNRT_MAX_RANK];
    if (!array->fortran)
        return sample * size + k;
    for (int i = array->rank - 1; i > 0; i--) {
        index[i] = k % array->dims[i];
        k /= array->dims[i];
    }
    for (int i = 1; i < array->rank; i++) {
        place += index[i] * stride;
        stride *= array->dims[i];
    }
    return place + sample;
}

/* The place as NumPy writes it, which counts from 0: FILE[sample, row, column]. */
static int place_error(const nnrt_array *array, int64_t sample, int64_t k, const char *message) {
    char kept[600], place[24 * NNRT_MAX_RANK];
    int64_t index[NNRT_MAX_RANK] = {sample};
    size_t used = 0;
    strncpy(kept, message, sizeof kept - 1);
    kept[sizeof kept - 1] = 0;
    for (int i = array->rank - 1; i > 0; i--) {
        index[i] = k % array->dims[i];
        k /= array->dims[i];
    }
    for (int i = 0; i < array->rank; i++)
        used += (size_t)snprintf(place + used, sizeof place - used, "%s%lld", i ? ", " : "", (long long)index[i]);
    return nnrt_error(NNRT_ERROR_DATA, "%s[%s]: %s", array->file, place, kept);
}

/* `count` values of type T that lie behind each other, as floats. */
#define ARRAY_RUN(T)                                                                                                   \
    do {                                                                                                               \
        for (int64_t i = 0; i < count; i++) {                                                                          \
            T value;                                                                                                   \
            memcpy(&value, array->data + (first + i) * (int64_t)sizeof value, sizeof value);                           \
            out[i] = (float)(double)value;                                                                             \
        }                                                                                                              \
    } while (0)

/* Values from `first` on, in the order of the file. Numbers are those of value_at, but nothing is checked. */
static void read_run(const nnrt_array *array, int64_t first, int64_t count, float *out) {
    switch (array->type) {
    case NNRT_ARRAY_U8:
        ARRAY_RUN(uint8_t);
        return;
    case NNRT_ARRAY_I8:
        ARRAY_RUN(int8_t);
        return;
    case NNRT_ARRAY_U16:
        ARRAY_RUN(uint16_t);
        return;
    case NNRT_ARRAY_I16:
        ARRAY_RUN(int16_t);
        return;
    case NNRT_ARRAY_U32:
        ARRAY_RUN(uint32_t);
        return;
    case NNRT_ARRAY_I32:
        ARRAY_RUN(int32_t);
        return;
    case NNRT_ARRAY_U64:
        ARRAY_RUN(uint64_t);
        return;
    case NNRT_ARRAY_I64:
        ARRAY_RUN(int64_t);
        return;
    case NNRT_ARRAY_F32:
        memcpy(out, array->data + first * (int64_t)sizeof *out, (size_t)count * sizeof *out);
        return;
    case NNRT_ARRAY_F64:
        ARRAY_RUN(double);
        return;
    }
}

/* Exponents of ones only are infinities and what is no number. */
static bool all_finite(const float *x, int64_t count) {
    const uint32_t exponent = 0x7f800000u;
    uint32_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        found |= (bits & exponent) == exponent;
    }
    return !found;
}

/* One sample value by value: other byte and axis orders, and where a value is not finite. */
static int fill_sample(const nnrt_array *array, int64_t sample, int64_t size, float *x) {
    for (int64_t k = 0; k < size; k++) {
        double value = value_at(array, element_of(array, sample, k, size));
        if (!(fabs(value) <= 3.4028235677973366e38))
            return place_error(array, sample, k,
                               "it is not a finite 32-bit float; replace it, or leave out the sample");
        x[k] = (float)value;
    }
    return NNRT_OK;
}

static bool is_little_endian(void) {
    const uint16_t one = 1;
    uint8_t low;
    memcpy(&low, &one, 1);
    return low == 1;
}

static int fill_inputs(const nnrt_array *array, int64_t first, nnrt_table *table) {
    bool as_it_lies = !array->fortran && (sizes[array->type] == 1 || array->big_endian == !is_little_endian());
    int code = NNRT_OK;
    for (int64_t n = 0; n < table->rows && !code; n++) {
        float *x = table->x + n * table->x_stride;
        if (as_it_lies)
            read_run(array, (first + n) * table->columns, table->columns, x);
        if (!as_it_lies || !all_finite(x, table->columns))
            code = fill_sample(array, first + n, table->columns, x);
    }
    return code;
}

static int fill_targets(const nnrt_array *array, int64_t first, const nnrt_table_request *request, nnrt_table *table) {
    int64_t size = nnrt_table_file_targets(request);
    for (int64_t n = 0; n < table->rows; n++)
        for (int64_t k = 0; k < size; k++)
            if (nnrt_table_set_target(table, request, n, k, value_at(array, element_of(array, first + n, k, size))))
                return place_error(array, first + n, k, nnrt_error_text());
    return NNRT_OK;
}

static void shape_words(char *text, size_t size, int rank, const int64_t *dims) {
    size_t used = 0;
    snprintf(text, size, "1");
    for (int i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i > 0 ? " x " : "", (long long)dims[i]);
}

/* Axes of one element say nothing. */
static int long_axes(int rank, const int64_t *dims, int64_t *kept) {
    int count = 0;
    for (int i = 0; i < rank; i++)
        if (dims[i] != 1)
            kept[count++] = dims[i];
    return count;
}

/* In the file or for the model a sample may lie flat; two shapes of the same size are a mistake. */
static bool same_axes(const nnrt_array *x, const nnrt_table_request *request) {
    int64_t found[NNRT_MAX_RANK], wanted[NNRT_MAX_RANK];
    int count = long_axes(x->rank - 1, x->dims + 1, found);
    int other = long_axes(request->input_rank, request->input_dims, wanted);
    return count < 2 || other < 2 || (count == other && memcmp(found, wanted, (size_t)count * sizeof *found) == 0);
}

static int check_inputs(const nnrt_array *x, const nnrt_table_request *request) {
    char shape[24 * NNRT_MAX_RANK], model[24 * NNRT_MAX_RANK];
    if (sample_size(x) == 0)
        return nnrt_error(NNRT_ERROR_DATA, "%s: its samples are empty", x->file);
    shape_words(shape, sizeof shape, x->rank - 1, x->dims + 1);
    shape_words(model, sizeof model, request->input_rank, request->input_dims);
    if (request->input_size > 0 && sample_size(x) != request->input_size)
        return nnrt_error(NNRT_ERROR_DATA,
                          "%s: a sample has %s values, the model takes %lld; take another file, or change "
                          "Input(...)",
                          x->file, shape, (long long)request->input_size);
    if (request->input_size > 0 && !same_axes(x, request))
        return nnrt_error(
            NNRT_ERROR_DATA,
            "%s: a sample is %s, the model takes %s; transpose the array (channels are the last axis), or "
            "change Input(...)",
            x->file, shape, model);
    return NNRT_OK;
}

static int check_targets(const nnrt_array *x, const nnrt_array *target, const nnrt_table_request *request) {
    int64_t expected = nnrt_table_file_targets(request);
    if (target->dims[0] != x->dims[0])
        return nnrt_error(NNRT_ERROR_DATA,
                          "%s: has %lld targets, but %s has %lld samples; do the files belong together?", target->file,
                          (long long)target->dims[0], x->file, (long long)x->dims[0]);
    if (sample_size(target) != expected)
        return nnrt_error(NNRT_ERROR_DATA, "%s: a target has %lld values, the model's loss takes %lld", target->file,
                          (long long)sample_size(target), (long long)expected);
    return NNRT_OK;
}

static int array_to_table(const nnrt_array *x, const nnrt_array *target, const nnrt_data_source *source,
                          const nnrt_table_request *request, nnrt_table *table) {
    int64_t first = 0, rows = 0;
    int code = nnrt_table_choose_rows(source, x->file, x->dims[0], &first, &rows);
    if (!code && request->need_weight)
        code = nnrt_error(NNRT_ERROR_UNSUPPORTED, "%s: sample weights are read from CSV files only", x->file);
    if (!code)
        code = check_inputs(x, request);
    if (!code && target)
        code = check_targets(x, target, request);
    if (!code)
        code = nnrt_table_allocate(table, request, x->file, rows, sample_size(x));
    if (!code)
        code = fill_inputs(x, first, table);
    if (!code && target)
        code = fill_targets(target, first, request, table);
    table->rank = x->rank > 1 ? x->rank - 1 : 1;
    for (int i = 0; i < table->rank; i++)
        table->dims[i] = x->rank > 1 ? x->dims[i + 1] : 1;
    if (code)
        nnrt_table_free(table);
    return code;
}

int nnrt_array_parse(nnrt_array_header *header, const void *data, size_t bytes, const void *target, size_t target_bytes,
                     const nnrt_data_source *source, const nnrt_table_request *request, nnrt_table *table) {
    nnrt_array x, y;
    int code = header(data, bytes, source->file, &x);
    memset(table, 0, sizeof *table);
    if (!code && target)
        code = header(target, target_bytes, source->target_file, &y);
    return code ? code : array_to_table(&x, target ? &y : NULL, source, request, table);
}

int nnrt_array_read(nnrt_array_header *header, const nnrt_data_source *source, const nnrt_table_request *request,
                    nnrt_table *table) {
    nnrt_bytes x = {0}, target = {0};
    int code;
    memset(table, 0, sizeof *table);
    if (request->need_target && (!source->target_file || !*source->target_file))
        return nnrt_error(NNRT_ERROR_ARGUMENT,
                          "%s: no file is given for its targets; name it second, in the program or as --train-target=, "
                          "--validation-target= or --test-target=",
                          source->file);
    code = nnrt_file_read_data(source->file, &x);
    if (!code && request->need_target)
        code = nnrt_file_read_data(source->target_file, &target);
    if (!code)
        code = nnrt_array_parse(header, x.data, x.size, target.data, target.size, source, request, table);
    nnrt_bytes_free(&x);
    nnrt_bytes_free(&target);
    return code;
}
