/* The NPY reader: the header (a Python dictionary of three keys), then the common way of arrays into tables. */
#include "nnrt_npy.h"
#include "nnrt_array.h"
#include "nnrt_error.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *at, *end;
} Header;

static void skip_space(Header *header) {
    while (header->at < header->end && strchr(" \t\r\n", *header->at) && *header->at)
        header->at++;
}

static bool take(Header *header, const char *word) {
    size_t length = strlen(word);
    skip_space(header);
    if ((size_t)(header->end - header->at) < length || memcmp(header->at, word, length) != 0)
        return false;
    header->at += length;
    return true;
}

/* A quoted string without escapes. */
static bool take_string(Header *header, char *out, size_t room) {
    char quote;
    size_t length = 0;
    skip_space(header);
    if (header->at == header->end || (*header->at != '\'' && *header->at != '"'))
        return false;
    quote = *header->at++;
    while (header->at < header->end && *header->at != quote && length + 1 < room)
        out[length++] = *header->at++;
    out[length] = 0;
    return take(header, (char[]){quote, 0});
}

static int take_type(Header *header, nnrt_array *array) {
    static const struct {
        const char *name;
        nnrt_array_type type;
    } types[] = {{"f4", NNRT_ARRAY_F32}, {"f8", NNRT_ARRAY_F64}, {"u1", NNRT_ARRAY_U8},  {"i1", NNRT_ARRAY_I8},
                 {"u2", NNRT_ARRAY_U16}, {"i2", NNRT_ARRAY_I16}, {"u4", NNRT_ARRAY_U32}, {"i4", NNRT_ARRAY_I32},
                 {"u8", NNRT_ARRAY_U64}, {"i8", NNRT_ARRAY_I64}, {"b1", NNRT_ARRAY_U8}};
    char name[32] = "";
    if (take_string(header, name, sizeof name) && name[0] && strchr("<>|=", name[0])) {
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            if (strcmp(name + 1, types[i].name) != 0)
                continue;
            array->type = types[i].type;
            array->big_endian = name[0] == '>';
            return NNRT_OK;
        }
    }
    return nnrt_error(NNRT_ERROR_FORMAT, "%s: its element type '%s' cannot be read; save it with astype('float32')",
                      array->file, name[0] ? name : "(a structure)");
}

static bool take_shape(Header *header, nnrt_array *array) {
    if (!take(header, "("))
        return false;
    while (!take(header, ")")) {
        int64_t n = 0;
        bool any = false;
        skip_space(header);
        for (; header->at < header->end && *header->at >= '0' && *header->at <= '9'; header->at++, any = true)
            if (__builtin_mul_overflow(n, (int64_t)10, &n) ||
                __builtin_add_overflow(n, (int64_t)(*header->at - '0'), &n))
                return false;
        if (!any || array->rank == NNRT_MAX_RANK)
            return false;
        array->dims[array->rank++] = n;
        if (!take(header, ","))
            return take(header, ")");
    }
    return true;
}

static int parse_dictionary(Header *header, nnrt_array *array) {
    enum { TYPE = 1, ORDER = 2, SHAPE = 4, ALL = 7 };
    int seen = 0, code;
    char key[20];
    bool good = take(header, "{");
    while (good && !take(header, "}")) {
        int which;
        good = take_string(header, key, sizeof key) && take(header, ":");
        which = strcmp(key, "descr") == 0           ? TYPE
                : strcmp(key, "fortran_order") == 0 ? ORDER
                : strcmp(key, "shape") == 0         ? SHAPE
                                                    : 0;
        good = good && which && !(seen & which);
        seen |= which;
        if (good && which == TYPE && (code = take_type(header, array)) != 0)
            return code;
        if (good && which == ORDER) {
            array->fortran = take(header, "True");
            good = array->fortran || take(header, "False");
        }
        if (good && which == SHAPE)
            good = take_shape(header, array);
        if (good && !take(header, ","))
            good = header->at < header->end && *header->at == '}';
    }
    skip_space(header);
    if (!good || seen != ALL || header->at != header->end)
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: its header cannot be read (at most %d axes); the file is damaged",
                          array->file, NNRT_MAX_RANK);
    if (array->rank == 0)
        return nnrt_error(NNRT_ERROR_DATA, "%s: holds a single number; the first axis must count the samples",
                          array->file);
    return NNRT_OK;
}

static int parse_header(const unsigned char *data, size_t bytes, const char *file, nnrt_array *array) {
    size_t prefix, length;
    Header header;
    int code;
    memset(array, 0, sizeof *array);
    array->file = file;
    if (bytes < 10 || memcmp(data, "\x93NUMPY", 6) != 0)
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: is not an NPY file%s", file,
                          bytes >= 4 && memcmp(data, "PK\3\4", 4) == 0
                              ? " but an archive of them (npz); save one array by np.save"
                              : "; write one by np.save");
    if (data[6] < 1 || data[6] > 3)
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: is of NPY version %d; 1 to 3 can be read", file, data[6]);
    prefix = data[6] == 1 ? 10 : 12;
    if (bytes < prefix)
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: is cut off within its header; copy it again", file);
    length = (size_t)data[8] | (size_t)data[9] << 8;
    if (prefix == 12)
        length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (length > bytes - prefix)
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: is cut off within its header; copy it again", file);
    header.at = (const char *)data + prefix;
    header.end = header.at + length;
    code = parse_dictionary(&header, array);
    array->data = data + prefix + length;
    return code ? code : nnrt_array_check_size(array, bytes - prefix - length);
}

int nnrt_npy_parse(const void *data, size_t bytes, const void *target, size_t target_bytes,
                   const nnrt_data_source *source, const nnrt_table_request *request, nnrt_table *table) {
    return nnrt_array_parse(parse_header, data, bytes, target, target_bytes, source, request, table);
}

int nnrt_npy_read(const nnrt_data_source *source, const nnrt_table_request *request, nnrt_table *table) {
    return nnrt_array_read(parse_header, source, request, table);
}
