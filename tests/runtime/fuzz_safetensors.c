/* Fuzzer of the .safetensors reader: every byte of every accepted tensor and every string is touched. */
#include "nnrt_safetensors.h"
#include "nnrt_table.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    nnrt_safetensors file;
    nnrt_vocabulary vocabulary;
    unsigned sum = 0;
    if (nnrt_safetensors_parse(data, size, "f", &file) != 0)
        return 0;
    for (int64_t i = 0; i < file.count; i++) {
        const unsigned char *bytes = file.tensors[i].data;
        for (size_t k = 0; k < file.tensors[i].bytes; k++)
            sum += bytes[k];
        if (nnrt_safetensors_find(&file, file.tensors[i].name) != &file.tensors[i])
            __builtin_trap();
    }
    for (int64_t i = 0; i < file.metadata_count; i++) {
        sum += (unsigned)strlen(file.metadata[i].key);
        if (nnrt_vocabulary_parse(file.metadata[i].value, "f", &vocabulary) == 0)
            nnrt_vocabulary_free(&vocabulary);
    }
    __asm__ volatile("" : : "r"(sum)); /* the sum counts as used */
    nnrt_safetensors_free(&file);
    return 0;
}
