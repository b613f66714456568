/* The .safetensors format: an 8-byte length, a JSON header, the tensors' bytes; little-endian.
 * Reading is strict: every offset is in bounds, nothing overlaps, nothing is left over. */
#ifndef NNRT_SAFETENSORS_H
#define NNRT_SAFETENSORS_H
#include "nnrt_file.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NNRT_TENSOR_MAX_RANK 8

typedef enum {
    NNRT_TENSOR_BOOL,
    NNRT_TENSOR_U8,
    NNRT_TENSOR_I8,
    NNRT_TENSOR_U16,
    NNRT_TENSOR_I16,
    NNRT_TENSOR_F16,
    NNRT_TENSOR_BF16,
    NNRT_TENSOR_U32,
    NNRT_TENSOR_I32,
    NNRT_TENSOR_F32,
    NNRT_TENSOR_U64,
    NNRT_TENSOR_I64,
    NNRT_TENSOR_F64,
    NNRT_TENSOR_DTYPES
} nnrt_tensor_dtype;

typedef struct {
    const char *name;
    nnrt_tensor_dtype dtype;
    int rank;
    int64_t dims[NNRT_TENSOR_MAX_RANK];
    const void *data; /* row-major; after reading: at any alignment, use memcpy */
    size_t bytes;     /* set by the reader; the writer computes it */
} nnrt_tensor;

typedef struct {
    const char *key, *value; /* UTF-8, zero-terminated */
} nnrt_metadata;

typedef struct {
    nnrt_tensor *tensors; /* in the order of their data */
    int64_t count;
    nnrt_metadata *metadata;
    int64_t metadata_count;
    nnrt_bytes storage; /* the file's bytes, if nnrt_safetensors_read read them */
    char *text;         /* names, keys and values */
} nnrt_safetensors;

const char *nnrt_tensor_dtype_name(nnrt_tensor_dtype); /* "F32" */
size_t nnrt_tensor_dtype_size(nnrt_tensor_dtype);

int nnrt_safetensors_read(const char *path, nnrt_safetensors *);
/* The same from memory, which must outlive the result; `file` is the name used in messages. */
int nnrt_safetensors_parse(const void *data, size_t bytes, const char *file, nnrt_safetensors *);
void nnrt_safetensors_free(nnrt_safetensors *);
const nnrt_tensor *nnrt_safetensors_find(const nnrt_safetensors *, const char *name); /* NULL: not there */
const char *nnrt_safetensors_metadata(const nnrt_safetensors *, const char *key);     /* NULL: not there */

/* Writes all tensors from their `data`. */
int nnrt_safetensors_write(const char *path, const nnrt_tensor *, int64_t count, const nnrt_metadata *,
                           int64_t metadata_count);

/* The same piecewise and without allocation: begin writes the header (`data` is not looked at), append takes the
 * tensors' bytes in order, in pieces of any size, finish checks that all came, and renames. */
typedef struct {
    nnrt_file_writer file;
    uint64_t end; /* size of the whole file */
} nnrt_safetensors_writer;
int nnrt_safetensors_begin(nnrt_safetensors_writer *, const char *path, const nnrt_tensor *, int64_t count,
                           const nnrt_metadata *, int64_t metadata_count);
int nnrt_safetensors_append(nnrt_safetensors_writer *, const void *data, size_t bytes);
int nnrt_safetensors_finish(nnrt_safetensors_writer *);
void nnrt_safetensors_abandon(nnrt_safetensors_writer *);

#ifdef __cplusplus
}
#endif
#endif
