/* The IDX reader: header, then the common way of arrays into tables. */
#include "nnrt_idx.h"
#include "nnrt_array.h"
#include "nnrt_error.h"
#include <string.h>

static int parse_header(const unsigned char *data, size_t bytes, const char *file, nnrt_array *array) {
    static const struct {
        unsigned char code;
        nnrt_array_type type;
    } types[] = {{0x08, NNRT_ARRAY_U8},  {0x09, NNRT_ARRAY_I8},  {0x0B, NNRT_ARRAY_I16},
                 {0x0C, NNRT_ARRAY_I32}, {0x0D, NNRT_ARRAY_F32}, {0x0E, NNRT_ARRAY_F64}};
    size_t known = sizeof types / sizeof *types, i = 0;
    memset(array, 0, sizeof *array);
    if (bytes >= 4)
        while (i < known && types[i].code != data[2])
            i++;
    if (bytes < 4 || data[0] != 0 || data[1] != 0 || i == known)
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: is not an IDX file: it must begin with two zero bytes and a type",
                          file);
    array->file = file;
    array->type = types[i].type;
    array->big_endian = true;
    array->rank = data[3];
    if (array->rank < 1 || array->rank > 4)
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: has %d axes; IDX files of 1 to 4 axes can be read", file,
                          array->rank);
    if (bytes < 4 + 4 * (size_t)array->rank)
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: is cut off within its header; copy it again", file);
    for (int axis = 0; axis < array->rank; axis++) {
        const unsigned char *p = data + 4 + 4 * axis;
        array->dims[axis] = (int64_t)p[0] << 24 | (int64_t)p[1] << 16 | (int64_t)p[2] << 8 | (int64_t)p[3];
    }
    array->data = data + 4 + 4 * (size_t)array->rank;
    return nnrt_array_check_size(array, bytes - 4 - 4 * (size_t)array->rank);
}

int nnrt_idx_parse(const void *data, size_t bytes, const void *target, size_t target_bytes,
                   const nnrt_data_source *source, const nnrt_table_request *request, nnrt_table *table) {
    return nnrt_array_parse(parse_header, data, bytes, target, target_bytes, source, request, table);
}

int nnrt_idx_read(const nnrt_data_source *source, const nnrt_table_request *request, nnrt_table *table) {
    return nnrt_array_read(parse_header, source, request, table);
}
