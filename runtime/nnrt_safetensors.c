/* Reading .safetensors files. Needs the file's bytes; leaves tensors that point into them, checked one by one. */
#include "nnrt_safetensors.h"
#include "nnrt_error.h"
#include "nnrt_json.h"
#include <stdlib.h>
#include <string.h>

#define LARGEST_HEADER 100000000u /* as in the reference implementation */

static const struct {
    const char *name;
    size_t size;
} dtypes[NNRT_TENSOR_DTYPES] = {
    [NNRT_TENSOR_BOOL] = {"BOOL", 1}, [NNRT_TENSOR_U8] = {"U8", 1},   [NNRT_TENSOR_I8] = {"I8", 1},
    [NNRT_TENSOR_U16] = {"U16", 2},   [NNRT_TENSOR_I16] = {"I16", 2}, [NNRT_TENSOR_F16] = {"F16", 2},
    [NNRT_TENSOR_BF16] = {"BF16", 2}, [NNRT_TENSOR_U32] = {"U32", 4}, [NNRT_TENSOR_I32] = {"I32", 4},
    [NNRT_TENSOR_F32] = {"F32", 4},   [NNRT_TENSOR_U64] = {"U64", 8}, [NNRT_TENSOR_I64] = {"I64", 8},
    [NNRT_TENSOR_F64] = {"F64", 8},
};

const char *nnrt_tensor_dtype_name(nnrt_tensor_dtype dtype) {
    return dtypes[dtype].name;
}

size_t nnrt_tensor_dtype_size(nnrt_tensor_dtype dtype) {
    return dtypes[dtype].size;
}

typedef struct {
    nnrt_json json;
    nnrt_safetensors *result;
    char *text; /* where the next string goes */
    const unsigned char *data;
    uint64_t data_size;
    int64_t tensor_capacity, metadata_capacity;
} Reader;

static bool fail(Reader *reader, const char *error) {
    if (!reader->json.error)
        reader->json.error = error;
    return false;
}

/* The next string, kept in the result. */
static const char *take_string(Reader *reader) {
    char *start = reader->text, *after = nnrt_json_string(&reader->json, start);
    if (!after)
        return NULL;
    reader->text = after;
    return start;
}

/* Room for one more element of an array that doubles. */
static void *make_room(Reader *reader, void *array, int64_t count, int64_t *capacity, size_t size) {
    void *grown;
    if (count < *capacity)
        return array;
    grown = realloc(array, (size_t)(*capacity * 2 + 16) * size);
    if (grown)
        *capacity = *capacity * 2 + 16;
    else
        fail(reader, "there is no memory for its header");
    return grown;
}

static bool read_metadata(Reader *reader) {
    nnrt_safetensors *result = reader->result;
    if (!nnrt_json_expect(&reader->json, '{'))
        return false;
    if (nnrt_json_take(&reader->json, '}'))
        return true;
    do {
        nnrt_metadata entry, *grown = make_room(reader, result->metadata, result->metadata_count,
                                                &reader->metadata_capacity, sizeof *result->metadata);
        if (!grown)
            return false;
        result->metadata = grown;
        if (!(entry.key = take_string(reader)) || !nnrt_json_expect(&reader->json, ':') ||
            !(entry.value = take_string(reader)))
            return false;
        if (nnrt_safetensors_metadata(result, entry.key))
            return fail(reader, "a metadata key stands twice");
        result->metadata[result->metadata_count++] = entry;
        if (result->metadata_count > 10000)
            return fail(reader, "there are more than 10000 metadata keys");
    } while (nnrt_json_take(&reader->json, ','));
    return nnrt_json_expect(&reader->json, '}');
}

static bool read_dtype(Reader *reader, nnrt_tensor *tensor) {
    char *kept = reader->text;
    const char *name = take_string(reader);
    reader->text = kept;
    for (int i = 0; name && i < NNRT_TENSOR_DTYPES; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            tensor->dtype = (nnrt_tensor_dtype)i;
            return true;
        }
    }
    return fail(reader, "a dtype is unknown");
}

static bool read_shape(Reader *reader, nnrt_tensor *tensor) {
    if (!nnrt_json_expect(&reader->json, '['))
        return false;
    if (nnrt_json_take(&reader->json, ']'))
        return true;
    do {
        uint64_t n;
        if (tensor->rank == NNRT_TENSOR_MAX_RANK)
            return fail(reader, "a tensor has more than 8 axes");
        if (!nnrt_json_integer(&reader->json, &n))
            return false;
        if (n > INT64_MAX)
            return fail(reader, "an axis is too long");
        tensor->dims[tensor->rank++] = (int64_t)n;
    } while (nnrt_json_take(&reader->json, ','));
    return nnrt_json_expect(&reader->json, ']');
}

static bool read_offsets(Reader *reader, nnrt_tensor *tensor) {
    uint64_t begin, end;
    nnrt_json *json = &reader->json;
    if (!nnrt_json_expect(json, '[') || !nnrt_json_integer(json, &begin) || !nnrt_json_expect(json, ',') ||
        !nnrt_json_integer(json, &end) || !nnrt_json_expect(json, ']'))
        return false;
    if (begin > end || end > reader->data_size)
        return fail(reader, "a tensor lies outside the file; it is cut off or damaged");
    tensor->data = reader->data + begin;
    tensor->bytes = (size_t)(end - begin);
    return true;
}

static bool check_size(Reader *reader, const nnrt_tensor *tensor) {
    uint64_t bytes = dtypes[tensor->dtype].size;
    for (int i = 0; i < tensor->rank; i++)
        if (__builtin_mul_overflow(bytes, (uint64_t)tensor->dims[i], &bytes))
            return fail(reader, "a tensor is too large");
    return bytes == tensor->bytes || fail(reader, "a tensor's shape and its place in the file disagree");
}

static bool read_tensor(Reader *reader, nnrt_tensor *tensor) {
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4, ALL = 7 };
    int seen = 0;
    if (!nnrt_json_expect(&reader->json, '{'))
        return false;
    do {
        char *kept = reader->text;
        const char *key = take_string(reader);
        int which = !key                               ? 0
                    : strcmp(key, "dtype") == 0        ? DTYPE
                    : strcmp(key, "shape") == 0        ? SHAPE
                    : strcmp(key, "data_offsets") == 0 ? OFFSETS
                                                       : 0;
        reader->text = kept;
        if (!key || !nnrt_json_expect(&reader->json, ':'))
            return false;
        if (which == 0 || (seen & which))
            return fail(reader, "a tensor has an unknown or doubled key");
        seen |= which;
        if (!(which == DTYPE   ? read_dtype(reader, tensor)
              : which == SHAPE ? read_shape(reader, tensor)
                               : read_offsets(reader, tensor)))
            return false;
    } while (nnrt_json_take(&reader->json, ','));
    if (!nnrt_json_expect(&reader->json, '}'))
        return false;
    return seen == ALL ? check_size(reader, tensor) : fail(reader, "a tensor lacks dtype, shape or data_offsets");
}

static bool read_header(Reader *reader) {
    nnrt_safetensors *result = reader->result;
    bool metadata = false;
    if (!nnrt_json_expect(&reader->json, '{'))
        return false;
    if (nnrt_json_take(&reader->json, '}'))
        return true;
    do {
        nnrt_tensor tensor, *grown;
        memset(&tensor, 0, sizeof tensor);
        if (!(tensor.name = take_string(reader)) || !nnrt_json_expect(&reader->json, ':'))
            return false;
        if (strcmp(tensor.name, "__metadata__") == 0) {
            if (metadata)
                return fail(reader, "__metadata__ stands twice");
            metadata = true;
            if (!read_metadata(reader))
                return false;
            continue;
        }
        if (!read_tensor(reader, &tensor))
            return false;
        grown = make_room(reader, result->tensors, result->count, &reader->tensor_capacity, sizeof *grown);
        if (!grown)
            return false;
        result->tensors = grown;
        result->tensors[result->count++] = tensor;
    } while (nnrt_json_take(&reader->json, ','));
    return nnrt_json_expect(&reader->json, '}');
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const nnrt_tensor *)a)->name, ((const nnrt_tensor *)b)->name);
}

static int compare_places(const void *a, const void *b) {
    const nnrt_tensor *x = a, *y = b;
    const unsigned char *from_x = x->data, *from_y = y->data;
    if (from_x != from_y)
        return from_x < from_y ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); /* empty ones first */
}

/* No name twice, no byte of the data in two tensors or in none. Leaves the tensors in the order of their data. */
static bool check_layout(Reader *reader) {
    nnrt_safetensors *result = reader->result;
    const unsigned char *expected = reader->data;
    if (result->count > 0)
        qsort(result->tensors, (size_t)result->count, sizeof *result->tensors, compare_names);
    for (int64_t i = 1; i < result->count; i++)
        if (strcmp(result->tensors[i - 1].name, result->tensors[i].name) == 0)
            return fail(reader, "a tensor's name stands twice");
    if (result->count > 0)
        qsort(result->tensors, (size_t)result->count, sizeof *result->tensors, compare_places);
    for (int64_t i = 0; i < result->count; i++) {
        if (result->tensors[i].data != expected)
            return fail(reader, "tensors overlap, or there is a gap between them");
        expected += result->tensors[i].bytes;
    }
    return expected == reader->data + reader->data_size || fail(reader, "there are bytes after the last tensor");
}

int nnrt_safetensors_parse(const void *data, size_t bytes, const char *file, nnrt_safetensors *result) {
    const unsigned char *start = data;
    uint64_t length = 0;
    Reader reader = {.result = result};
    memset(result, 0, sizeof *result);
    for (int i = 0; i < 8 && bytes >= 8; i++)
        length |= (uint64_t)start[i] << (8 * i);
    if (bytes < 8 || length > LARGEST_HEADER || bytes < 9 || start[8] != '{')
        return nnrt_error(NNRT_ERROR_FORMAT,
                          "%s: is not a .safetensors file; give a file that was saved by this program", file);
    if (length > bytes - 8)
        return nnrt_error(NNRT_ERROR_FORMAT,
                          "%s: is cut off: the header needs %llu bytes, there are %llu; save or copy it again", file,
                          (unsigned long long)length, (unsigned long long)bytes - 8);
    result->text = malloc((size_t)length + 1);
    if (!result->text)
        return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for its header", file);
    reader.text = result->text;
    reader.json.at = (const char *)start + 8;
    reader.json.end = reader.json.at + length;
    reader.data = start + 8 + length;
    reader.data_size = bytes - 8 - length;
    if (read_header(&reader) && !nnrt_json_at_end(&reader.json))
        fail(&reader, "there is text after its header");
    if (!reader.json.error && check_layout(&reader))
        return NNRT_OK;
    nnrt_safetensors_free(result);
    return nnrt_error(NNRT_ERROR_FORMAT, "%s: is not a sound .safetensors file: %s (byte %lld)", file,
                      reader.json.error, (long long)(reader.json.at - (const char *)start));
}

int nnrt_safetensors_read(const char *path, nnrt_safetensors *result) {
    nnrt_bytes bytes;
    int code;
    memset(result, 0, sizeof *result);
    code = nnrt_file_read(path, &bytes);
    if (code)
        return code;
    code = nnrt_safetensors_parse(bytes.data, bytes.size, path, result);
    if (code)
        nnrt_bytes_free(&bytes);
    else
        result->storage = bytes;
    return code;
}

void nnrt_safetensors_free(nnrt_safetensors *file) {
    free(file->tensors);
    free(file->metadata);
    free(file->text);
    nnrt_bytes_free(&file->storage);
    memset(file, 0, sizeof *file);
}

const nnrt_tensor *nnrt_safetensors_find(const nnrt_safetensors *file, const char *name) {
    for (int64_t i = 0; i < file->count; i++)
        if (strcmp(file->tensors[i].name, name) == 0)
            return &file->tensors[i];
    return NULL;
}

const char *nnrt_safetensors_metadata(const nnrt_safetensors *file, const char *key) {
    for (int64_t i = 0; i < file->metadata_count; i++)
        if (strcmp(file->metadata[i].key, key) == 0)
            return file->metadata[i].value;
    return NULL;
}
