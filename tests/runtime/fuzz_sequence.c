/* Fuzzer of the readers of text and time series. The first byte chooses which, and how it is declared; the rest is the
 * file. Every window that they promise is gone through, so that a sanitizer sees what lies outside. */
#include "nnrt_characters.h"
#include "nnrt_windows.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void go_through(const nnrt_table *table) {
    volatile float sum = 0;
    for (int64_t row = 0; row < table->rows; row++) {
        for (int64_t k = 0; k < table->columns; k++)
            sum = sum + table->x[row * table->x_stride + k];
        for (int64_t k = 0; k < table->target_size; k++) {
            int64_t place = nnrt_table_target_place(table, row) + k;
            sum = sum + (table->target_i32 ? (float)table->target_i32[place] : 0) +
                  (table->target_f32 ? table->target_f32[place] : 0);
        }
    }
}

static void text(uint8_t choice, const char *file, size_t size) {
    nnrt_data_source source = {.kind = NNRT_DATA_TEXT, .file = "f", .count = -1};
    source.window = 1 + (choice >> 1 & 3);
    source.stride = choice >> 3 & 3;
    source.first = choice & 32 ? 2 : 0;
    source.count = choice & 64 ? 9 : -1;
    nnrt_table_request request = {.input_size = source.window, .need_target = (choice & 128) == 0};
    request.target_dtype = NNRT_I32;
    request.target_size = choice & 32 ? source.window : 1;
    nnrt_table table, again;
    if (nnrt_characters_parse(file, size, "f", &source, &request, &table) != 0)
        return;
    go_through(&table);
    /* The same file with the characters it has just taught must give the same numbers. */
    request.vocabulary = &table.vocabulary;
    if (nnrt_characters_parse(file, size, "f", &source, &request, &again) != 0 || again.rows != table.rows ||
        memcmp(again.x, table.x, (size_t)table.columns * sizeof(float)) != 0)
        __builtin_trap();
    nnrt_table_free(&again);
    nnrt_table_free(&table);
}

static void series(uint8_t choice, const char *file, size_t size) {
    static const char *const columns[] = {"t", "#0"}, *const targets[] = {"p", "#1"};
    nnrt_data_source source = {.kind = NNRT_DATA_WINDOWS, .file = "f", .separator = ',', .count = -1};
    source.window = 1 + (choice >> 1 & 3);
    source.horizon = 1 + (choice >> 3 & 1);
    source.stride = 1 + (choice >> 4 & 1);
    source.header_auto = true;
    source.columns = choice & 32 ? columns : columns + 1;
    source.column_count = choice & 64 ? 1 : 0;
    source.targets = choice & 32 ? targets : targets + 1;
    source.target_count = choice & 16 ? 1 : 0;
    nnrt_table_request request = {.need_target = (choice & 128) == 0, .target_size = 1};
    request.target_dtype = choice & 8 ? NNRT_I32 : NNRT_F32;
    request.class_count = choice & 8 ? 10 : 0;
    nnrt_table table;
    if (nnrt_windows_parse(file, size, "f", &source, &request, &table) != 0)
        return;
    go_through(&table);
    nnrt_table_free(&table);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t choice = size > 0 ? data[0] : 0;
    const char *file = (const char *)data + (size > 0);
    (choice & 1 ? series : text)(choice, file, size - (size > 0));
    return 0;
}
