/* Windows of tests: one or two axes of space with the same size, stride, dilation, and padding before and behind. */
#ifndef NNC_TESTS_CODEGEN_WINDOWS_H
#define NNC_TESTS_CODEGEN_WINDOWS_H
#include "ir/ir.h"

#define ONE(SIZE, STRIDE, DILATION, LOW, HIGH)                                                                         \
    {                                                                                                                  \
        .spatial = 1, .size = {SIZE}, .stride = {STRIDE}, .dilation = {DILATION}, .low = {LOW}, .high = { HIGH }       \
    }
#define TWO(SIZE, STRIDE, DILATION, LOW, HIGH)                                                                         \
    {                                                                                                                  \
        .spatial = 2, .size = {SIZE, SIZE}, .stride = {STRIDE, STRIDE}, .dilation = {DILATION, DILATION},              \
        .low = {LOW, LOW}, .high = {                                                                                   \
            HIGH,                                                                                                      \
            HIGH                                                                                                       \
        }                                                                                                              \
    }
#endif
