/* Vector and scalar mathematics of generated C: GCC vector extensions, gcc and clang, C11.
 *
 * Widths: scalar (suffix _f32), 4, 8 and 16 lanes (_f32x4, _f32x8, _f32x16), each with the same functions; those that
 * fit the processor's registers, or up to NNRT_MATH_WIDTH, if that is defined before. Any width compiles for any
 * processor; the compiler splits what the registers cannot hold. Intrinsics stand under the macro of their
 * instruction set, and give the same bits as the portable form next to them.
 *
 *   exp log expm1 log1p tanh sigmoid erf             (x)        exp within 1.5 ulp, the others within 3;
 *                                                               tested with every float (tests/runtime/long_math.c)
 *   erfcx                                            (x)        e^(x x) erfc(|x|) within 20 ulp; times e^(-x x),
 *                                                               for erfc, within 2.5e-7
 *   sqrt rsqrt abs floor ceil round neg              (x)        rsqrt is 1 / sqrt(x); round: ties to even
 *   sin cos  pow                                     (x) (x, y) lane by lane from libm
 *   max min                                          (a, b)     NaN if either is NaN
 *   at_least at_most                                 (x, bound) one instruction; NaN in x stays: relu, clip
 *   fma                                              (a, b, c)  a * b + c, one rounding where the processor has it
 *   copysign                                         (x, sign)
 *   select                                           (mask, a, b)   mask: int32 lanes, 0 or -1
 *   select_lt select_le select_eq                    (a, b, x, y)   a < b ? x : y, cheaper than a mask
 *   splat load store load_part store_part            (s) (p) (p, v) (p, count) (p, v, count)
 *   reduce_add reduce_max reduce_min                 (x)        halves added pairwise: fixed order for a width
 *   from_i32 to_i32                                  (v)        conversion; to_i32 truncates, in range only
 *   nnrt_transpose_f32x4/8/16                        (s, ls, d, ld)
 *
 * Bits. Every product that is added goes through nnrt_fma, so nothing is left for -ffp-contract to decide: results
 * are the same for scalar and all widths, for -ffp-contract=off, on and fast, for gcc and clang, at all levels of
 * optimisation. They differ between a processor with FMA and one without. sin, cos and pow are libm's. */
#ifndef NNRT_MATH_H
#define NNRT_MATH_H
#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

/* The widest vectors that are defined: those of the processor, or what the including file asks for. */
#ifndef NNRT_MATH_WIDTH
#if defined(__AVX512F__)
#define NNRT_MATH_WIDTH 16
#elif defined(__AVX__)
#define NNRT_MATH_WIDTH 8
#else
#define NNRT_MATH_WIDTH 4
#endif
#endif
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpsabi" /* vectors pass between inlined functions only, whatever their width */
#elif defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wpsabi" /* gcc says one note that obeys -Wno-psabi only */
#endif

#define NNRT_MATH static inline __attribute__((always_inline, unused))
#define NNRT_JOIN2(a, b) a##b
#define NNRT_JOIN(a, b) NNRT_JOIN2(a, b)

#if defined(__FMA__) || defined(__AVX512F__) || defined(__ARM_FEATURE_FMA) || defined(__FP_FAST_FMAF)
#define NNRT_HAVE_FMA 1
#else
#define NNRT_HAVE_FMA 0
#endif

/* vector_size types: aligned for registers and arrays; the "u" forms for memory at any float. */
#define NNRT_VECTOR_TYPES(W)                                                                                           \
    typedef float nnrt_f32x##W __attribute__((vector_size(4 * W)));                                                    \
    typedef int32_t nnrt_i32x##W __attribute__((vector_size(4 * W)));                                                  \
    typedef uint32_t nnrt_u32x##W __attribute__((vector_size(4 * W)));                                                 \
    typedef float nnrt_f32x##W##u __attribute__((vector_size(4 * W), aligned(4), may_alias));                          \
    typedef int32_t nnrt_i32x##W##u __attribute__((vector_size(4 * W), aligned(4), may_alias));
NNRT_VECTOR_TYPES(4)
#if NNRT_MATH_WIDTH >= 8
NNRT_VECTOR_TYPES(8)
#endif
#if NNRT_MATH_WIDTH >= 16
NNRT_VECTOR_TYPES(16)
#endif

/* ---- width 1: the primitives */
NNRT_MATH int32_t nnrt_bits_f32(float x) {
    int32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}
NNRT_MATH float nnrt_of_bits_f32(int32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
NNRT_MATH float nnrt_splat_f32(float s) {
    return s;
}
NNRT_MATH float nnrt_fma_f32(float a, float b, float c) {
#if NNRT_HAVE_FMA
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}
NNRT_MATH float nnrt_from_i32_f32(int32_t v) {
    return (float)v;
}
NNRT_MATH int32_t nnrt_to_i32_f32(float x) {
    return (int32_t)x;
}
NNRT_MATH float nnrt_select_f32(int32_t mask, float a, float b) {
    return mask ? a : b;
}
NNRT_MATH float nnrt_select_lt_f32(float a, float b, float x, float y) {
    return a < b ? x : y;
}
NNRT_MATH float nnrt_select_le_f32(float a, float b, float x, float y) {
    return a <= b ? x : y;
}
NNRT_MATH float nnrt_select_eq_f32(float a, float b, float x, float y) {
    return a == b ? x : y;
}
NNRT_MATH float nnrt_at_least_f32(float x, float bound) {
    return bound > x ? bound : x;
}
NNRT_MATH float nnrt_at_most_f32(float x, float bound) {
    return bound < x ? bound : x;
}
NNRT_MATH float nnrt_sqrt_f32(float x) {
#if defined(__SSE__)
    return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); /* no call for errno's sake */
#else
    return sqrtf(x);
#endif
}
NNRT_MATH float nnrt_sin_f32(float x) {
    return sinf(x);
}
NNRT_MATH float nnrt_cos_f32(float x) {
    return cosf(x);
}
NNRT_MATH float nnrt_pow_f32(float x, float y) {
    return powf(x, y);
}

/* ---- the functions, once for each width. These two headers are templates: they are included again and again. */
#define NNRT_SUFFIX f32
#define NNRT_V float
#define NNRT_I int32_t
#define NNRT_U uint32_t
#include "nnrt_math_functions.h"

#define NNRT_W 4
#include "nnrt_math_lanes.h"
#include "nnrt_math_functions.h"
#if NNRT_MATH_WIDTH >= 8
#define NNRT_W 8
#include "nnrt_math_lanes.h"
#include "nnrt_math_functions.h"
#endif
#if NNRT_MATH_WIDTH >= 16
#define NNRT_W 16
#include "nnrt_math_lanes.h"
#include "nnrt_math_functions.h"
#endif

/* ---- transposes in registers: d[j * ld + i] = s[i * ls + j] for i, j < W; d may be s only if ls == ld */
#define NNRT_LANES(...) (__VA_ARGS__)
#define NNRT_BARE(...) __VA_ARGS__
#if defined(__clang__) || __GNUC__ >= 12
#define NNRT_SHUFFLE(W, a, b, lanes) NNRT_SHUFFLE2(a, b, NNRT_BARE lanes)
#define NNRT_SHUFFLE2(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define NNRT_SHUFFLE(W, a, b, lanes) __builtin_shuffle(a, b, (nnrt_i32x##W){NNRT_BARE lanes})
#endif
/* Rows i and j of r become two rows with the given lanes of both. */
#define NNRT_SWAP(W, i, j, low, high)                                                                                  \
    do {                                                                                                               \
        nnrt_f32x##W a_ = r[i], b_ = r[j];                                                                             \
        r[i] = NNRT_SHUFFLE(W, a_, b_, low);                                                                           \
        r[j] = NNRT_SHUFFLE(W, a_, b_, high);                                                                          \
    } while (0)

/* Blocks of half the width change places, then of a quarter, down to single lanes. */
NNRT_MATH void nnrt_transpose_f32x4(const float *s, int64_t ls, float *d, int64_t ld) {
    nnrt_f32x4 r[4];
    for (int i = 0; i < 4; i++)
        r[i] = nnrt_load_f32x4(s + i * ls);
    for (int i = 0; i < 2; i++)
        NNRT_SWAP(4, i, i + 2, NNRT_LANES(0, 1, 4, 5), NNRT_LANES(2, 3, 6, 7));
    for (int i = 0; i < 4; i += 2)
        NNRT_SWAP(4, i, i + 1, NNRT_LANES(0, 4, 2, 6), NNRT_LANES(1, 5, 3, 7));
    for (int i = 0; i < 4; i++)
        nnrt_store_f32x4(d + i * ld, r[i]);
}

#if NNRT_MATH_WIDTH >= 8
NNRT_MATH void nnrt_transpose_f32x8(const float *s, int64_t ls, float *d, int64_t ld) {
    nnrt_f32x8 r[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        r[i] = nnrt_load_f32x8(s + i * ls);
#pragma GCC unroll 8
    for (int i = 0; i < 4; i++)
        NNRT_SWAP(8, i, i + 4, NNRT_LANES(0, 1, 2, 3, 8, 9, 10, 11), NNRT_LANES(4, 5, 6, 7, 12, 13, 14, 15));
#pragma GCC unroll 8
    for (int k = 0; k < 4; k++)
        NNRT_SWAP(8, k + (k & 2), k + (k & 2) + 2, NNRT_LANES(0, 1, 8, 9, 4, 5, 12, 13),
                  NNRT_LANES(2, 3, 10, 11, 6, 7, 14, 15));
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 2)
        NNRT_SWAP(8, i, i + 1, NNRT_LANES(0, 8, 2, 10, 4, 12, 6, 14), NNRT_LANES(1, 9, 3, 11, 5, 13, 7, 15));
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        nnrt_store_f32x8(d + i * ld, r[i]);
}

#endif
#if NNRT_MATH_WIDTH >= 16
NNRT_MATH void nnrt_transpose_f32x16(const float *s, int64_t ls, float *d, int64_t ld) {
    nnrt_f32x16 r[16];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        r[i] = nnrt_load_f32x16(s + i * ls);
#pragma GCC unroll 16
    for (int i = 0; i < 8; i++)
        NNRT_SWAP(16, i, i + 8, NNRT_LANES(0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23),
                  NNRT_LANES(8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31));
#pragma GCC unroll 16
    for (int k = 0; k < 8; k++)
        NNRT_SWAP(16, k + (k & 4), k + (k & 4) + 4,
                  NNRT_LANES(0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27),
                  NNRT_LANES(4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31));
#pragma GCC unroll 16
    for (int k = 0; k < 8; k++)
        NNRT_SWAP(16, k + (k & 6), k + (k & 6) + 2,
                  NNRT_LANES(0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29),
                  NNRT_LANES(2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31));
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 2)
        NNRT_SWAP(16, i, i + 1, NNRT_LANES(0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30),
                  NNRT_LANES(1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31));
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        nnrt_store_f32x16(d + i * ld, r[i]);
}
#endif
#endif
