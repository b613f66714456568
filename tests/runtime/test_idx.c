/* The IDX reader: every element type, ranks, gzip, and broken files. */
#include "nnrt_error.h"
#include "nnrt_file.h"
#include "nnrt_gzip.h"
#include "nnrt_idx.h"
#include "test.h"
#include <stdlib.h>
#include <unistd.h>

static nnrt_table table;
static const nnrt_data_source source = {.kind = NNRT_DATA_IDX, .file = "images", .target_file = "labels", .count = -1};
#define CLASSES                                                                                                        \
    (nnrt_table_request) {                                                                                             \
        .need_target = true, .target_dtype = NNRT_I32, .class_count = 3                                                \
    }

static int parse(const void *x, size_t bytes, const void *y, size_t y_bytes, nnrt_table_request request) {
    nnrt_table_free(&table);
    return nnrt_idx_parse(x, bytes, y, y_bytes, &source, &request, &table);
}
#define BYTES(...) (const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__})

static void expect_error(int code, const char *message) {
    CHECK(code != NNRT_OK);
    CHECK_TEXT(nnrt_error_text(), message);
    CHECK(table.x == NULL);
}

#define IMAGES 0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 1, 2, 253, 254, 255

static void check_good(void) {
    CHECK(parse(BYTES(IMAGES), BYTES(0, 0, 8, 1, 0, 0, 0, 2, 2, 0), CLASSES) == 0);
    CHECK(table.rows == 2 && table.columns == 3 && table.rank == 2 && table.dims[0] == 1 && table.dims[1] == 3);
    CHECK(memcmp(table.x, (float[]){0, 1, 2, 253, 254, 255}, 24) == 0);
    CHECK(table.target_i32[0] == 2 && table.target_i32[1] == 0);
    CHECK(parse(BYTES(IMAGES), NULL, 0, (nnrt_table_request){.x_stride = 16}) == 0);
    CHECK(table.x[16] == 253 && table.x[3] == 0 && table.target_i32 == NULL);
}

static void check_types(void) {
    CHECK(parse(BYTES(0, 0, 9, 1, 0, 0, 0, 2, 0xFF, 0x80), NULL, 0, (nnrt_table_request){0}) == 0);
    CHECK(table.x[0] == -1 && table.x[1] == -128 && table.rank == 1 && table.columns == 1);
    CHECK(parse(BYTES(0, 0, 0x0B, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0x80, 0, 1, 2), NULL, 0, (nnrt_table_request){0}) == 0);
    CHECK(table.x[0] == -32768 && table.x[1] == 258);
    CHECK(parse(BYTES(0, 0, 0x0C, 1, 0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFE), NULL, 0, (nnrt_table_request){0}) == 0);
    CHECK(table.x[0] == -2);
    CHECK(parse(BYTES(0, 0, 0x0D, 1, 0, 0, 0, 1, 0x3F, 0xC0, 0, 0), NULL, 0, (nnrt_table_request){0}) == 0);
    CHECK(table.x[0] == 1.5f);
    CHECK(parse(BYTES(0, 0, 0x0E, 1, 0, 0, 0, 1, 0xBF, 0xF8, 0, 0, 0, 0, 0, 0), NULL, 0, (nnrt_table_request){0}) == 0);
    CHECK(table.x[0] == -1.5f);
    expect_error(
        parse(BYTES(0, 0, 0x0D, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0x7F, 0xC0, 0, 0), NULL, 0, (nnrt_table_request){0}),
        "images[1]: it is not a finite 32-bit float; replace it, or leave out the sample");
}

static void check_broken(void) {
    expect_error(parse(BYTES(0, 0, 8), NULL, 0, CLASSES),
                 "images: is not an IDX file: it must begin with two zero bytes and a type");
    expect_error(parse("PK\3\4....", 8, NULL, 0, CLASSES),
                 "images: is not an IDX file: it must begin with two zero bytes and a type");
    expect_error(parse(BYTES(0, 0, 7, 1, 0, 0, 0, 0), NULL, 0, CLASSES),
                 "images: is not an IDX file: it must begin with two zero bytes and a type");
    expect_error(parse(BYTES(0, 0, 8, 9), NULL, 0, CLASSES),
                 "images: has 9 axes; IDX files of 1 to 4 axes can be read");
    expect_error(parse(BYTES(0, 0, 8, 3, 0, 0), NULL, 0, CLASSES),
                 "images: is cut off within its header; copy it again");
    expect_error(parse(BYTES(0, 0, 8, 1, 0, 0, 0, 5, 1, 2), NULL, 0, CLASSES),
                 "images: is cut off: the header needs 5 bytes of data, there are 2; copy it again");
    expect_error(parse(BYTES(0, 0, 8, 1, 0, 0, 0, 1, 1, 2, 3), NULL, 0, CLASSES),
                 "images: there are 2 bytes behind the data; the file is damaged, or holds several arrays");
    expect_error(
        parse(BYTES(0, 0, 0x0E, 3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255), NULL, 0, CLASSES),
        "images: the shape in its header is impossibly large; the file is damaged");
    expect_error(parse(BYTES(0, 0, 8, 1, 0, 0, 0, 0), NULL, 0, CLASSES), "images: there are no samples in the file");
    expect_error(parse(BYTES(IMAGES), BYTES(0, 0, 8, 1, 0, 0, 0, 3, 0, 1, 2), CLASSES),
                 "labels: has 3 targets, but images has 2 samples; do the files belong together?");
    expect_error(parse(BYTES(IMAGES), BYTES(0, 0, 8, 1, 0, 0, 0, 2, 0, 3), CLASSES),
                 "labels[1]: the class is 3, but the model has classes 0 to 2; change the data, or the last layer");
    expect_error(parse(BYTES(IMAGES), BYTES(0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 1, 0, 1), CLASSES),
                 "labels: a target has 2 values, the model's loss takes 1");
    expect_error(parse(BYTES(IMAGES), NULL, 0, (nnrt_table_request){.input_size = 784}),
                 "images: a sample has 1 x 3 values, the model takes 784; take another file, or change Input(...)");
}

/* gzip -9n of an IDX file with the labels 7, 8, 9 */
static const unsigned char packed[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x63,
                                       0x60, 0xe0, 0x60, 0x64, 0x60, 0x60, 0x60, 0x66, 0xe7, 0xe0, 0x04,
                                       0x00, 0xad, 0x98, 0x0a, 0xba, 0x0b, 0x00, 0x00, 0x00};

static void check_gzip(void) {
    char path[] = "/tmp/nnrt-test-idx-XXXXXX", message[200];
    int descriptor = mkstemp(path);
    nnrt_data_source file = {.kind = NNRT_DATA_IDX, .file = path, .count = -1};
    nnrt_table_request request = {0};
    int code;
    CHECK(descriptor >= 0 && write(descriptor, packed, sizeof packed) == sizeof packed);
    nnrt_table_free(&table);
    code = nnrt_table_read(&file, &request, &table);
    if (code == NNRT_ERROR_UNSUPPORTED) { /* built without zlib: it must say what to do */
        CHECK(strstr(nnrt_error_text(), "run gunzip on it") != NULL);
    } else {
        CHECK(code == 0 && table.rows == 3 && table.x[0] == 7 && table.x[2] == 9);
        CHECK(ftruncate(descriptor, sizeof packed - 10) == 0);
        nnrt_table_free(&table);
        CHECK(nnrt_table_read(&file, &request, &table) == NNRT_ERROR_FORMAT);
        snprintf(message, sizeof message, "%s: the gzip data is cut off; fetch the file again", path);
        CHECK_TEXT(nnrt_error_text(), message);
        CHECK(pwrite(descriptor, "\377\377\377\377", 4, 10) == 4);
        CHECK(nnrt_table_read(&file, &request, &table) == NNRT_ERROR_FORMAT);
        snprintf(message, sizeof message, "%s: the gzip data is damaged; fetch the file again", path);
        CHECK_TEXT(nnrt_error_text(), message);
    }
    close(descriptor);
    unlink(path);
    request.need_target = true;
    CHECK(nnrt_table_read(&file, &request, &table) == NNRT_ERROR_ARGUMENT);
}

int main(void) {
    check_good();
    check_types();
    check_broken();
    check_gzip();
    nnrt_table_free(&table);
    return test_report();
}
