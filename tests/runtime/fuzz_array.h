/* Fuzzer of a reader of arrays, IDX or NPY. The first byte says how many bytes at the end are the file of the targets.
 */
#include "nnrt_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int fuzz_array(const uint8_t *data, size_t size, nnrt_data_kind kind,
                      int (*parse)(const void *data, size_t bytes, const void *target, size_t target_bytes,
                                   const nnrt_data_source *, const nnrt_table_request *, nnrt_table *)) {
    nnrt_data_source source = {.kind = kind, .file = "x", .target_file = "y", .count = -1};
    nnrt_table_request request = {0};
    nnrt_table table;
    size_t targets;
    if (size == 0)
        return 0;
    targets = data[0] < size - 1 ? data[0] : 0;
    data++;
    size -= 1 + targets;
    request.need_target = targets > 0;
    request.target_dtype = targets & 1 ? NNRT_I32 : NNRT_F32;
    request.class_count = 10;
    request.x_stride = 16;
    parse(data, size, targets ? data + size : NULL, targets, &source, &request, &table);
    nnrt_table_free(&table);
    return 0;
}
