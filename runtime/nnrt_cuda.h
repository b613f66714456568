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

/* Products of fragments on tensor cores, from compute capability 8.0 on: sum, 16 x 8, += a times b; the elements of the
 * threads of a warp are those of mma.sync in the PTX ISA. All of them must come by. */
#ifndef NNRT_MMA
NNRT_DEVICE unsigned nnrt_tf32(float x) {
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
    return bits;
}
NNRT_DEVICE unsigned nnrt_bf16x2(float low, float high) {
    unsigned bits;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
}
NNRT_DEVICE void nnrt_mma_tf32(float *sum, float a0, float a1, float a2, float a3, float b0, float b1) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(nnrt_tf32(a0)), "r"(nnrt_tf32(a1)), "r"(nnrt_tf32(a2)), "r"(nnrt_tf32(a3)), "r"(nnrt_tf32(b0)),
                   "r"(nnrt_tf32(b1)));
}
NNRT_DEVICE void nnrt_mma_bf16(float *sum, float a0, float a1, float a2, float a3, float a4, float a5, float a6,
                               float a7, float b0, float b1, float b2, float b3) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(nnrt_bf16x2(a0, a1)), "r"(nnrt_bf16x2(a2, a3)), "r"(nnrt_bf16x2(a4, a5)),
                   "r"(nnrt_bf16x2(a6, a7)), "r"(nnrt_bf16x2(b0, b1)), "r"(nnrt_bf16x2(b2, b3)));
}
#endif
#endif
