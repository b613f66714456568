/* Internal to the IDX and NPY readers: an array as it lies in a file, and its way into a table. */
#ifndef NNRT_ARRAY_H
#define NNRT_ARRAY_H
#include "nnrt_table.h"

typedef enum {
    NNRT_ARRAY_U8,
    NNRT_ARRAY_I8,
    NNRT_ARRAY_U16,
    NNRT_ARRAY_I16,
    NNRT_ARRAY_U32,
    NNRT_ARRAY_I32,
    NNRT_ARRAY_U64,
    NNRT_ARRAY_I64,
    NNRT_ARRAY_F32,
    NNRT_ARRAY_F64
} nnrt_array_type;

typedef struct {
    const char *file;
    nnrt_array_type type;
    bool big_endian, fortran; /* fortran: the first axis lies innermost */
    int rank;                 /* >= 1; the first axis counts the samples */
    int64_t dims[NNRT_MAX_RANK];
    const unsigned char *data;
} nnrt_array;

/* The data must be exactly `bytes` long: else "cut off", or too long. */
int nnrt_array_check_size(const nnrt_array *, size_t bytes);
/* What is known of a file from its first bytes: reads and checks them into the array. */
typedef int nnrt_array_header(const unsigned char *data, size_t bytes, const char *file, nnrt_array *);
/* Two files in memory, the second (NULL: none) with the targets: the chosen rows become the table. */
int nnrt_array_parse(nnrt_array_header *, const void *data, size_t bytes, const void *target, size_t target_bytes,
                     const nnrt_data_source *, const nnrt_table_request *, nnrt_table *);
/* The same from source->file, and source->target_file if a target is needed. */
int nnrt_array_read(nnrt_array_header *, const nnrt_data_source *, const nnrt_table_request *, nnrt_table *);
#endif
