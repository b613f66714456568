/* What printed CUDA kernels use beside CUDA's own functions: maximum and minimum that keep NaN, and the functions that
 * CUDA does not have. Random numbers come from nnrt_random.h, which is CUDA too. */
#ifndef NNRT_CUDA_H
#define NNRT_CUDA_H
#include "nnrt_random.h"

#define NNRT_DEVICE static __device__ __forceinline__

/* Of addresses and loops. */
NNRT_FUNCTION int64_t nnrt_max_index(int64_t a, int64_t b) {
    return a > b ? a : b;
}
NNRT_FUNCTION int64_t nnrt_min_index(int64_t a, int64_t b) {
    return a < b ? a : b;
}
NNRT_FUNCTION int64_t nnrt_abs_index(int64_t a) {
    return a < 0 ? -a : a;
}

NNRT_DEVICE float nnrt_max(float a, float b) {
    return a != a || a > b ? a : b;
}
NNRT_DEVICE float nnrt_min(float a, float b) {
    return a != a || a < b ? a : b;
}
NNRT_DEVICE float nnrt_sign(float x) {
    return (float)((x > 0.0f) - (x < 0.0f));
}
NNRT_DEVICE int32_t nnrt_sign(int32_t x) {
    return (x > 0) - (x < 0);
}
/* e^-|x| is never large: no accuracy is lost on either side. */
NNRT_DEVICE float nnrt_sigmoid(float x) {
    float e = expf(-fabsf(x));
    return (x < 0.0f ? e : 1.0f) / (e + 1.0f);
}
NNRT_DEVICE float nnrt_softplus(float x) {
    return nnrt_max(x, 0.0f) + log1pf(expf(-fabsf(x)));
}
#endif
