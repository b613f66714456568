/* Fuzzer of the CSV reader. The first byte chooses how the file is declared; the rest is the file. */
#include "nnrt_csv.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const nnrt_text_column named[] = {{"color", NNRT_TEXT_ONE_HOT}, {"kind", NNRT_TEXT_INDEX}};
    static const nnrt_text_column counted[] = {{"#0", NNRT_TEXT_ONE_HOT}, {"#2", NNRT_TEXT_INDEX}};
    static const char *const targets[] = {NULL, "y", "#1", "kind"};
    static const char *const columns[] = {"a", "#0"};
    nnrt_data_source source = {.kind = NNRT_DATA_CSV, .file = "f", .count = -1};
    nnrt_table_request request = {0};
    nnrt_table table, again;
    uint8_t choice = size > 0 ? data[0] : 0;
    const char *text = (const char *)data + (size > 0);
    size -= size > 0;
    source.target = targets[choice & 3];
    source.separator = choice & 4 ? ';' : ',';
    source.header_auto = (choice & 8) != 0;
    source.header = (choice & 16) != 0;
    source.text = choice & 32 ? named : counted;
    source.text_count = choice & 64 ? 2 : 0;
    source.columns = columns;
    source.column_count = (choice & 96) == 32 ? 2 : 0;
    request.need_target = (choice & 128) != 0;
    request.target_dtype = choice & 1 ? NNRT_I32 : NNRT_F32;
    request.class_count = choice & 1 ? 10 : 0;
    if (nnrt_csv_parse(text, size, "f", &source, &request, &table) == 0) {
        /* The same file with the words it has just taught must give the same table. */
        request.vocabulary = source.text_count ? &table.vocabulary : NULL;
        if (nnrt_csv_parse(text, size, "f", &source, &request, &again) != 0 || again.columns != table.columns ||
            memcmp(again.x, table.x, (size_t)(table.rows * table.x_stride) * sizeof(float)) != 0)
            __builtin_trap();
        nnrt_table_free(&again);
        nnrt_table_free(&table);
    }
    return 0;
}
