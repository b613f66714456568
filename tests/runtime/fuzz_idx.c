/* Fuzzer of the IDX reader. */
#include "nnrt_idx.h"
#include "fuzz_array.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_array(data, size, NNRT_DATA_IDX, nnrt_idx_parse);
}
