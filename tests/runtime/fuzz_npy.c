/* Fuzzer of the NPY reader. */
#include "nnrt_npy.h"
#include "fuzz_array.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    return fuzz_array(data, size, NNRT_DATA_NPY, nnrt_npy_parse);
}
