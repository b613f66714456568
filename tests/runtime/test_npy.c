/* The NPY reader: versions, element types, byte orders, Fortran order, targets, and broken files. */
#include "nnrt_error.h"
#include "nnrt_npy.h"
#include "test.h"

static nnrt_table table;
static const nnrt_data_source source = {.kind = NNRT_DATA_NPY, .file = "x.npy", .target_file = "y.npy", .count = -1};

typedef struct {
    unsigned char bytes[400];
    size_t size;
} File;

/* A file as np.save writes it: the header is filled with spaces to a multiple of 64 and ends with a newline. */
static File npy(int version, const char *dictionary, const void *data, size_t size) {
    File file = {.bytes = "\x93NUMPY"};
    size_t prefix = version == 1 ? 10 : 12, length = (prefix + strlen(dictionary) + 64) / 64 * 64 - prefix;
    file.bytes[6] = (unsigned char)version;
    file.bytes[8] = (unsigned char)length;
    memset(file.bytes + prefix, ' ', length);
    memcpy(file.bytes + prefix, dictionary, strlen(dictionary));
    file.bytes[prefix + length - 1] = '\n';
    memcpy(file.bytes + prefix + length, data, size);
    file.size = prefix + length + size;
    return file;
}

static int parse(File x, const File *y, nnrt_table_request request) {
    nnrt_table_free(&table);
    return nnrt_npy_parse(x.bytes, x.size, y ? y->bytes : NULL, y ? y->size : 0, &source, &request, &table);
}
#define ANY                                                                                                            \
    (nnrt_table_request) {                                                                                             \
        0                                                                                                              \
    }

static void check_good(void) {
    float floats[6] = {1, 2, 3, 4, 5, 6.5f};
    double doubles[6] = {1, 2, 3, 4, 5, 6.5};
    File y = npy(1, "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }", (int64_t[]){1, 0}, 16);
    for (int version = 1; version <= 3; version++) {
        CHECK(parse(npy(version, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", floats, 24), NULL,
                    ANY) == 0);
        CHECK(table.rows == 2 && table.columns == 3 && table.rank == 1 && memcmp(table.x, floats, 24) == 0);
    }
    CHECK(parse(npy(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2, 3), }", doubles, 48), &y, ANY) != 0);
    CHECK(parse(npy(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3, 1), }", doubles, 48), &y,
                (nnrt_table_request){.need_target = true, .target_dtype = NNRT_I32, .class_count = 2}) == 0);
    CHECK(table.rank == 2 && table.dims[0] == 3 && table.dims[1] == 1 && memcmp(table.x, floats, 24) == 0);
    CHECK(table.target_i32[0] == 1 && table.target_i32[1] == 0);
    CHECK(parse(npy(1, "{'descr':'<f4','fortran_order':False,'shape':(6,)}", floats, 24), NULL, ANY) ==
          0); /* less space */
    CHECK(table.rows == 6 && table.columns == 1 && table.dims[0] == 1);
}

static void check_types(void) {
    static const struct {
        const char *type;
        unsigned char bytes[8];
        size_t size;
        float value;
    } cases[] = {
        {"|u1", {200}, 1, 200},
        {"|i1", {200}, 1, -56},
        {"|b1", {1}, 1, 1},
        {"<u2", {1, 2}, 2, 513},
        {">u2", {1, 2}, 2, 258},
        {"<i2", {0, 0x80}, 2, -32768},
        {">i4", {255, 255, 255, 253}, 4, -3},
        {"<u4", {0, 0, 0, 0x80}, 4, 2147483648.0f},
        {">i2", {0xFF, 0xFE}, 2, -2},
        {"<i4", {253, 255, 255, 255}, 4, -3},
        {"<u8", {0, 0, 0, 0, 1, 0, 0, 0}, 8, 4294967296.0f},
        {"<f4", {0, 0, 0xC0, 0x3F}, 4, 1.5f},
        {"<f8", {0, 0, 0, 0, 0, 0, 0xF8, 0xBF}, 8, -1.5f},
        {"<i8", {254, 255, 255, 255, 255, 255, 255, 255}, 8, -2},
        {">u8", {0, 0, 0, 0, 0, 0, 1, 0}, 8, 256},
        {">f4", {0x3F, 0xC0, 0, 0}, 4, 1.5f},
        {">f8", {0xBF, 0xF8}, 8, -1.5f},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char dictionary[120];
        snprintf(dictionary, sizeof dictionary, "{'descr': '%s', 'fortran_order': False, 'shape': (1,), }",
                 cases[i].type);
        CHECK(parse(npy(1, dictionary, cases[i].bytes, cases[i].size), NULL, ANY) == 0);
        CHECK(table.x && table.x[0] == cases[i].value);
    }
}

/* A[s][i][j] = 100 s + 10 i + j of shape (2, 3, 4), stored with the first axis innermost. */
static void check_fortran(void) {
    float data[24];
    int bad = 0;
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 4; j++)
                data[s + 2 * (i + 3 * j)] = (float)(100 * s + 10 * i + j);
    CHECK(parse(npy(1, "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3, 4), }", data, 96), NULL, ANY) == 0);
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < 3; i++)
            for (int j = 0; j < 4; j++)
                bad += table.x[s * 12 + i * 4 + j] != (float)(100 * s + 10 * i + j);
    CHECK(bad == 0 && table.rank == 2);
}

static void expect_error(int code, const char *message) {
    CHECK(code != NNRT_OK);
    CHECK_TEXT(nnrt_error_text(), message);
    CHECK(table.x == NULL);
}

static void check_broken(void) {
    float data[6] = {1, 2, 3, 4, 5, NAN};
    File good = npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", data, 24), cut = good;
    File three = npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", data, 12);
    expect_error(parse(good, NULL, ANY), "x.npy[1, 2]: it is not a finite 32-bit float; replace it, or leave out the "
                                         "sample");
    File large = npy(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }", (double[]){1, -1e39}, 16);
    expect_error(parse(large, NULL, ANY), "x.npy[0, 1]: it is not a finite 32-bit float; replace it, or leave out the "
                                          "sample");
    expect_error(parse((File){"hello, world", 12}, NULL, ANY), "x.npy: is not an NPY file; write one by np.save");
    expect_error(parse((File){"PK\3\4        ", 12}, NULL, ANY),
                 "x.npy: is not an NPY file but an archive of them (npz); save one array by np.save");
    cut.size -= 5;
    expect_error(parse(cut, NULL, ANY),
                 "x.npy: is cut off: the header needs 24 bytes of data, there are 19; copy it again");
    cut.size = 40;
    expect_error(parse(cut, NULL, ANY), "x.npy: is cut off within its header; copy it again");
    cut.bytes[6] = 4;
    expect_error(parse(cut, NULL, ANY), "x.npy: is of NPY version 4; 1 to 3 can be read");
    expect_error(parse(npy(1, "{'descr': '<f2', 'fortran_order': False, 'shape': (2,), }", data, 4), NULL, ANY),
                 "x.npy: its element type '<f2' cannot be read; save it with astype('float32')");
    expect_error(parse(npy(1, "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", data, 4), NULL, ANY),
                 "x.npy: its element type '|O' cannot be read; save it with astype('float32')");
    expect_error(
        parse(npy(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", data, 8), NULL, ANY),
        "x.npy: its element type '(a structure)' cannot be read; save it with astype('float32')");
    static const int64_t last[] = {2, 1, 3}, flat[] = {6};
    nnrt_table_request shaped = {.input_size = 6, .input_rank = 3, .input_dims = last};
    static const char *const dictionaries[] = {"{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 3), }",
                                               "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 2, 3), }",
                                               "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 6), }",
                                               "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 3, 2), }"};
    for (int i = 0; i < 3; i++)
        CHECK(parse(npy(1, dictionaries[i], "\1\2\3\4\5\6", 6), NULL, shaped) == 0);
    expect_error(
        parse(npy(1, dictionaries[3], "\1\2\3\4\5\6", 6), NULL, shaped),
        "x.npy: a sample is 3 x 2, the model takes 2 x 1 x 3; transpose the array (channels are the last axis), "
        "or change Input(...)");
    shaped.input_rank = 1;
    shaped.input_dims = flat;
    CHECK(parse(npy(1, dictionaries[3], "\1\2\3\4\5\6", 6), NULL, shaped) == 0);
    expect_error(parse(npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (), }", data, 4), NULL, ANY),
                 "x.npy: holds a single number; the first axis must count the samples");
    expect_error(parse(npy(1, "{'descr': '<f4', 'shape': (2,), }", data, 8), NULL, ANY),
                 "x.npy: its header cannot be read (at most 6 axes); the file is damaged");
    expect_error(
        parse(npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2,1,1,1,1,1,1), }", data, 8), NULL, ANY),
        "x.npy: its header cannot be read (at most 6 axes); the file is damaged");
    expect_error(parse(npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", data, 8), NULL, ANY),
                 "x.npy: its header cannot be read (at most 6 axes); the file is damaged");
    expect_error(parse(npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 4), }", data, 8),
                       NULL, ANY),
                 "x.npy: the shape in its header is impossibly large; the file is damaged");
    expect_error(parse(npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 0), }", data, 0), NULL, ANY),
                 "x.npy: its samples are empty");
    data[5] = 0;
    expect_error(parse(npy(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", data, 24), &three,
                       (nnrt_table_request){.need_target = true}),
                 "y.npy: has 3 targets, but x.npy has 2 samples; do the files belong together?");
}

int main(void) {
    check_good();
    check_types();
    check_fortran();
    check_broken();
    nnrt_table_free(&table);
    return test_report();
}
