/* Variables of a model to memory and file and back: panels, errors that change nothing, the summary's table. */
#include "runtime/nnrt_model.h"
#include "runtime/nnrt_error.h"
#include "runtime/nnrt_init.h"
#include "runtime/nnrt_storage.h"
#include "runtime/nnrt_summary.h"
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

/* A (3, 5) kernel stored as panels of 4 columns: order (1, 0), so panel, row, place; and a (2, 3, 4) one permuted. */
typedef struct {
    float kernel[2 * 3 * 4];
    float permuted[24];
    float bias[5];
    float momentum[2 * 3 * 4];
    int32_t iteration;
    float mean[3];
    float arena[64];
} TestModel;

#define AT(field) offsetof(TestModel, field)
static nnrt_variable variables[] = {
    {"dense/kernel",
     NNRT_TRAINABLE,
     NNRT_F32,
     2,
     {3, 5},
     AT(kernel),
     {{1, 0}, 1, 4},
     {NNRT_INIT_UNIFORM, -1, 1, -1},
     NNRT_FIT_NONE},
    {"permuted",
     NNRT_NON_TRAINABLE,
     NNRT_F32,
     3,
     {2, 3, 4},
     AT(permuted),
     {{2, 0, 1}, 0, 0},
     {NNRT_INIT_NORMAL, 0, 1, -1},
     NNRT_FIT_NONE},
    {"dense/bias",
     NNRT_TRAINABLE,
     NNRT_F32,
     1,
     {5},
     AT(bias),
     {{0}, 0, 0},
     {NNRT_INIT_CONSTANT, 0.5, 0, -1},
     NNRT_FIT_NONE},
    {"adam/dense_kernel_momentum",
     NNRT_OPTIMIZER,
     NNRT_F32,
     2,
     {3, 5},
     AT(momentum),
     {{1, 0}, 1, 4},
     {NNRT_INIT_CONSTANT, 0, 0, -1},
     NNRT_FIT_NONE},
    {"adam/iteration",
     NNRT_OPTIMIZER,
     NNRT_I32,
     0,
     {0},
     AT(iteration),
     {{0}, 0, 0},
     {NNRT_INIT_CONSTANT, 3, 0, -1},
     NNRT_FIT_NONE},
    {"normalization/mean",
     NNRT_PREPROCESS,
     NNRT_F32,
     1,
     {3},
     AT(mean),
     {{0}, 0, 0},
     {NNRT_INIT_CONSTANT, 0, 0, -1},
     NNRT_FIT_MEAN},
};

static nnrt_program test_program(void) {
    nnrt_program program = {.name = "test",
                            .compiler = "nnc 0.1.0",
                            .model_bytes = sizeof(TestModel),
                            .model_alignment = 64,
                            .arena_offset = AT(arena),
                            .arena_bytes = sizeof(((TestModel *)0)->arena),
                            .variables = variables,
                            .variable_count = 6};
    return program;
}

static char path[64];

static void test_storage(void) {
    TestModel model;
    float values[15], back[15];
    memset(&model, 0xFF, sizeof model);
    for (int i = 0; i < 15; i++)
        values[i] = (float)(i + 1);
    CHECK(nnrt_storage_elements(&variables[0]) == 24 && nnrt_variable_elements(&variables[0]) == 15);
    CHECK(!nnrt_storage_is_plain(&variables[0]) && nnrt_storage_is_plain(&variables[2]));
    nnrt_storage_scatter(&variables[0], values, model.kernel);
    /* Element (row 1, column 2) in panel 0; (2, 4) at the start of panel 1's third row; the rest of it is padding. */
    CHECK_NEAR(model.kernel[1 * 4 + 2], 8, 0);
    CHECK_NEAR(model.kernel[12 + 2 * 4 + 0], 15, 0);
    for (int row = 0; row < 3; row++)
        for (int place = 1; place < 4; place++)
            CHECK_NEAR(model.kernel[12 + row * 4 + place], 0, 0);
    nnrt_storage_gather(&variables[0], model.kernel, 0, 7, back);
    nnrt_storage_gather(&variables[0], model.kernel, 7, 8, back + 7);
    CHECK(memcmp(values, back, sizeof values) == 0);
    /* order (2, 0, 1): element (i, j, k) of (2, 3, 4) lies at k * 6 + i * 3 + j. */
    float cube[24];
    for (int i = 0; i < 24; i++)
        cube[i] = (float)i;
    nnrt_storage_scatter(&variables[1], cube, model.permuted);
    CHECK_NEAR(model.permuted[3 * 6 + 1 * 3 + 2], 1 * 12 + 2 * 4 + 3, 0);
}

/* The same seed gives the same values wherever they lie. */
static void test_init(void) {
    nnrt_program program = test_program();
    TestModel model, other;
    float kernel[15], in_file_order[15];
    memset(&model, 0xFF, sizeof model);
    nnrt_model_init(&program, &model, 42);
    nnrt_init_fill(&variables[0].init, 42, 0, 2, variables[0].dims, kernel);
    nnrt_storage_gather(&variables[0], model.kernel, 0, 15, in_file_order);
    CHECK(memcmp(kernel, in_file_order, sizeof kernel) == 0);
    CHECK_NEAR(model.kernel[13], 0, 0);
    CHECK_NEAR(model.bias[4], 0.5, 0);
    CHECK(model.iteration == 3);
    program.arena_bytes = 0; /* no room there for a permuted variable: memory is taken elsewhere */
    program.arena_offset = sizeof(TestModel);
    nnrt_model_init(&program, &other, 42);
    CHECK(memcmp(&model, &other, AT(arena)) == 0);
    nnrt_model_init(&program, &other, 43);
    CHECK(memcmp(&model, &other, AT(arena)) != 0);
}

static void test_save_and_load(void) {
    nnrt_program program = test_program();
    TestModel model, loaded;
    nnrt_safetensors file = {0};
    nnrt_model_init(&program, &model, 7);
    model.iteration = 77;
    model.mean[1] = 2.5f;
    CHECK(nnrt_model_save(&program, &model, path) == NNRT_OK);
    nnrt_model_init(&program, &loaded, 8);
    CHECK(nnrt_model_load(&program, &loaded, path) == NNRT_OK);
    CHECK(memcmp(&model, &loaded, AT(arena)) == 0);
    CHECK(nnrt_safetensors_read(path, &file) == NNRT_OK);
    const nnrt_tensor *kernel = nnrt_safetensors_find(&file, "dense/kernel");
    CHECK(kernel && kernel->rank == 2 && kernel->dims[0] == 3 && kernel->dims[1] == 5 && kernel->bytes == 60);
    float second;
    memcpy(&second, (const char *)kernel->data + 4, 4);
    CHECK_NEAR(second, model.kernel[1], 0);
    CHECK_TEXT(nnrt_safetensors_metadata(&file, "optimizer"), "adam");
    CHECK_TEXT(nnrt_safetensors_metadata(&file, "model"), "test");
    nnrt_safetensors_free(&file);
}

/* A program without training reads the file of one with it; the other way round the optimizer starts fresh. */
static void test_inference(void) {
    nnrt_program program = test_program(), inference = test_program();
    static nnrt_variable without[4];
    for (int i = 0, k = 0; i < 6; i++)
        if (variables[i].role != NNRT_OPTIMIZER)
            without[k++] = variables[i];
    TestModel model, loaded;
    inference.variables = without;
    inference.variable_count = 4;
    nnrt_model_init(&program, &model, 7);
    CHECK(nnrt_model_save(&program, &model, path) == NNRT_OK);
    nnrt_model_init(&inference, &loaded, 1);
    CHECK(nnrt_model_load(&inference, &loaded, path) == NNRT_OK);
    CHECK(memcmp(loaded.kernel, model.kernel, sizeof model.kernel) == 0);
    CHECK(nnrt_model_save(&inference, &loaded, path) == NNRT_OK);
    loaded.iteration = 9;
    CHECK(nnrt_model_load(&program, &loaded, path) == NNRT_OK);
    CHECK(loaded.iteration == 9);
}

static void check_rejected(const nnrt_tensor *tensors, int64_t count, const char *message) {
    nnrt_program program = test_program();
    TestModel model, before;
    char expected[600];
    CHECK(nnrt_safetensors_write(path, tensors, count, NULL, 0) == NNRT_OK);
    memset(&model, 0, sizeof model);
    nnrt_model_init(&program, &model, 7);
    before = model;
    CHECK(nnrt_model_load(&program, &model, path) == NNRT_ERROR_DATA);
    snprintf(expected, sizeof expected, "%s: this file holds another model: %s", path, message);
    CHECK_TEXT(nnrt_error_text(), expected);
    CHECK(memcmp(&model, &before, sizeof model) == 0);
}

static void test_rejected(void) {
    static float zeros[100];
    nnrt_tensor good[] = {{"dense/kernel", NNRT_TENSOR_F32, 2, {3, 5}, zeros, 60},
                          {"permuted", NNRT_TENSOR_F32, 3, {2, 3, 4}, zeros, 96},
                          {"dense/bias", NNRT_TENSOR_F32, 1, {5}, zeros, 20},
                          {"normalization/mean", NNRT_TENSOR_F32, 1, {3}, zeros, 12},
                          {"extra", NNRT_TENSOR_F32, 1, {2}, zeros, 8}};
    nnrt_tensor bad[5];
    memcpy(bad, good, sizeof good);
    bad[0].dims[0] = 4;
    check_rejected(bad, 4, "expected dense/kernel (3, 5), found (4, 5)");
    memcpy(bad, good, sizeof good);
    bad[2].dtype = NNRT_TENSOR_F16;
    check_rejected(bad, 4, "expected dense/bias as F32, found F16");
    check_rejected(good, 5, "extra (2,) is unexpected");
    check_rejected(good, 3, "normalization/mean (3,) is missing");
    check_rejected(good, 1,
                   "dense/bias (5,) is missing; permuted (2, 3, 4) is missing; normalization/mean (3,) is "
                   "missing");
    memcpy(bad, good, sizeof good);
    bad[4] = (nnrt_tensor){"adam/iteration", NNRT_TENSOR_I32, 0, {0}, zeros, 4};
    check_rejected(bad, 5, "adam/dense_kernel_momentum (3, 5) is missing");
    bad[0].name = "a";
    bad[1].name = "b";
    check_rejected(bad, 2,
                   "dense/kernel (3, 5) is missing; dense/bias (5,) is missing; permuted (2, 3, 4) is "
                   "missing; normalization/mean (3,) is missing; and 2 more");
}

/* A file that cannot be written leaves the old one. */
static void test_unwritable(void) {
    nnrt_program program = test_program();
    TestModel model;
    nnrt_model_init(&program, &model, 7);
    CHECK(nnrt_model_save(&program, &model, "/nonexistent/folder/w.safetensors") == NNRT_ERROR_FILE);
    CHECK(nnrt_model_load(&program, &model, "/nonexistent/folder/w.safetensors") == NNRT_ERROR_FILE);
}

static void test_summary_table(void) {
    static const nnrt_layer layers[] = {{"conv2d", "Conv2D", "(None, 26, 26, 32)", 320},
                                        {"batch_normalization", "BatchNormalization", "(None, 26, 26, 32)", 128},
                                        {"dense", "Dense", "(None, 10)", 1234567}};
    nnrt_summary summary = {.name = "net",
                            .layers = layers,
                            .layer_count = 3,
                            .trainable = 1234951,
                            .non_trainable = 64,
                            .arena_bytes = 41472};
    nnrt_summary_style style = {.columns = 60, .utf8 = true};
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    nnrt_summary_print(out, &summary, &style);
    fclose(out);
    CHECK_TEXT(text, "Model: \"net\"\n"
                     "┏━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━┓\n"
                     "┃ Layer (type)           ┃ Output Shape    ┃   Param # ┃\n"
                     "┡━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━┩\n"
                     "│ conv2d (Conv2D)        │ (None, 26, 26,  │       320 │\n"
                     "│                        │ 32)             │           │\n"
                     "├────────────────────────┼─────────────────┼───────────┤\n"
                     "│ batch_normalization    │ (None, 26, 26,  │       128 │\n"
                     "│ (BatchNormalization)   │ 32)             │           │\n"
                     "├────────────────────────┼─────────────────┼───────────┤\n"
                     "│ dense (Dense)          │ (None, 10)      │ 1,234,567 │\n"
                     "└────────────────────────┴─────────────────┴───────────┘\n"
                     " Total params: 1,235,015 (4.71 MB)\n"
                     " Trainable params: 1,234,951 (4.71 MB)\n"
                     " Non-trainable params: 64 (256.00 B)\n"
                     " Arena bytes: 41,472 (40.50 KB)\n");
    free(text);
    text = NULL;
    style.utf8 = false;
    style.columns = 100;
    summary.layer_count = 1;
    out = open_memstream(&text, &size);
    nnrt_summary_print(out, &summary, &style);
    fclose(out);
    CHECK(strstr(text, "| conv2d (Conv2D)                      | (None, 26, 26, 32)          |             320 |\n"));
    for (const char *c = text; *c; c++)
        CHECK((unsigned char)*c < 128);
    free(text);
    CHECK_TEXT(nnrt_grouped_number((char[32]){0}, -1234567), "-1,234,567");
    CHECK_TEXT(nnrt_grouped_number((char[32]){0}, -123), "-123");
}

/* Bytes of memory for which large pages were asked for, by the flags that the system keeps; -1: it keeps none. */
static long large_bytes(const char *memory, size_t bytes) {
    FILE *file = fopen("/proc/self/smaps", "r");
    char line[512];
    unsigned long start, stop, from = 0, to = 0, first = (unsigned long)(uintptr_t)memory, end = first + bytes;
    long found = -1;
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%lx-%lx ", &start, &stop) == 2) {
            from = start < first ? first : start;
            to = stop > end ? end : stop;
        } else if (strncmp(line, "VmFlags:", 8) == 0)
            found += (found < 0) + (from < to && strstr(line, " hg") ? (long)(to - from) : 0);
    }
    if (file)
        fclose(file);
    return found;
}

/* Whole large pages inside of the memory, nothing beside them; what lies there stays. */
static void test_large_pages(void) {
    size_t bytes = 4 * NNRT_LARGE_PAGE, used = 3 * NNRT_LARGE_PAGE;
    char *memory = aligned_alloc(NNRT_LARGE_PAGE, bytes);
    if (!memory)
        return;
    memory[0] = memory[NNRT_LARGE_PAGE] = 1;
    nnrt_model_large_pages(memory + 64, 100);
    nnrt_model_large_pages(memory + 64, NNRT_LARGE_PAGE);
    CHECK(large_bytes(memory, bytes) <= 0);
    nnrt_model_large_pages(memory + 64, used);
    long large = large_bytes(memory, bytes); /* 0: the system refuses them, or has none */
    CHECK(large <= 0 || large == (long)(used - NNRT_LARGE_PAGE));
    CHECK(large <= 0 || large_bytes(memory, NNRT_LARGE_PAGE) == 0);
    CHECK(memory[0] == 1 && memory[NNRT_LARGE_PAGE] == 1);
    free(memory);
}

int main(void) {
    snprintf(path, sizeof path, "%s", "/tmp/nnrt_model_XXXXXX");
    int descriptor = mkstemp(path);
    if (descriptor < 0)
        return 1;
    close(descriptor);
    test_storage();
    test_init();
    test_save_and_load();
    test_inference();
    test_rejected();
    test_unwritable();
    test_summary_table();
    test_large_pages();
    unlink(path);
    return test_report();
}
