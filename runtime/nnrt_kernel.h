/* What printed kernels use beside nnrt_math.h: i32 and bool in vectors, elements at a distance, random vectors.
 *
 * A bool in memory is one byte, 0 or 1; in a vector it is an int32 lane, 0 or -1 (a mask); a scalar is C's bool.
 *
 *   nnrt_min_index nnrt_max_index nnrt_abs_index       int64_t of loops and addresses
 *   nnrt_max_i32 min abs sign                          int32_t
 *   sign relu softplus                                 (x) f32, all widths
 *   load_strided load_strided_part                     (p, distance of lanes[, count]) f32, i32, bool
 *   load load_part store store_part splat select       for i32xW and boolxW as nnrt_math.h has them for f32xW
 *   max min abs sign, lanes, not, reduce_add/max/min   i32xW; lanes is 0, 1, 2, ..; not takes a boolxW
 *   nnrt_uniform_f32xW, nnrt_normal_f32xW              (seed, stream, step, index): index, index + 1, ..
 *   nnrt_uniforms_f32xW                                (seed, stream, step, index, vectors, out): so many at once */
#ifndef NNRT_KERNEL_H
#define NNRT_KERNEL_H
#include "nnrt_math.h"
#include "nnrt_random.h"
#include <stdbool.h>

/* In front of a loop: so many turns as straight code. */
#define NNRT_UNROLL(turns) NNRT_PRAGMA(GCC unroll turns)
#define NNRT_PRAGMA(text) _Pragma(#text)

/* No vector register keeps its value across this place, so that the sum behind it has all of them: compilers like to
 * keep the constants of what follows the sum in registers, and spill the operands of its products for them. And what
 * was stored before is stored: between the steps of a recurrence gcc 12 at -O1 moved a load before the store that it
 * reads. */
NNRT_MATH void nnrt_forget_registers(void) {
#if defined __x86_64__ && defined __AVX512F__
    __asm__ volatile("" ::
                         : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                           "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19",
                           "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29",
                           "xmm30", "xmm31");
#elif defined __x86_64__
    __asm__ volatile("" ::
                         : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                           "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
#elif defined __GNUC__
    __asm__ volatile("" ::: "memory");
#endif
}

NNRT_MATH int64_t nnrt_min_index(int64_t a, int64_t b) {
    return a < b ? a : b;
}
NNRT_MATH int64_t nnrt_max_index(int64_t a, int64_t b) {
    return a > b ? a : b;
}
NNRT_MATH int64_t nnrt_abs_index(int64_t a) {
    return a < 0 ? -a : a;
}
NNRT_MATH int64_t nnrt_sign_index(int64_t a) {
    return (a > 0) - (a < 0);
}
NNRT_MATH int32_t nnrt_min_i32(int32_t a, int32_t b) {
    return a < b ? a : b;
}
NNRT_MATH int32_t nnrt_max_i32(int32_t a, int32_t b) {
    return a > b ? a : b;
}
NNRT_MATH int32_t nnrt_abs_i32(int32_t a) {
    return a < 0 ? -a : a;
}
NNRT_MATH int32_t nnrt_sign_i32(int32_t a) {
    return (a > 0) - (a < 0);
}
NNRT_MATH float nnrt_sign_f32(float x) {
    return (float)((x > 0) - (x < 0));
}
NNRT_MATH float nnrt_relu_f32(float x) {
    return nnrt_at_least_f32(x, 0.0f);
}
NNRT_MATH float nnrt_softplus_f32(float x) {
    return nnrt_at_least_f32(x, 0.0f) + nnrt_log1p_f32(nnrt_exp_f32(-nnrt_abs_f32(x)));
}

/* Loads and stores of one element type: M in memory, V in registers; `read` and `write` convert one lane. */
#define NNRT_KERNEL_MEMORY(W, suffix, M, V, read, write)                                                               \
    NNRT_MATH V nnrt_load_strided_part_##suffix(const M *p, int64_t distance, int64_t count) {                         \
        V v = {0};                                                                                                     \
        for (int i = 0; i < W && i < count; i++)                                                                       \
            v[i] = read(p[i * distance]);                                                                              \
        return v;                                                                                                      \
    }                                                                                                                  \
    NNRT_MATH V nnrt_load_strided_##suffix(const M *p, int64_t distance) {                                             \
        return nnrt_load_strided_part_##suffix(p, distance, W);                                                        \
    }
#define NNRT_KERNEL_CONTIGUOUS(W, suffix, M, V, read, write)                                                           \
    NNRT_MATH V nnrt_load_part_##suffix(const M *p, int64_t count) {                                                   \
        return nnrt_load_strided_part_##suffix(p, 1, count);                                                           \
    }                                                                                                                  \
    NNRT_MATH void nnrt_store_part_##suffix(M *p, V v, int64_t count) {                                                \
        for (int i = 0; i < W && i < count; i++)                                                                       \
            p[i] = (M)write(v[i]);                                                                                     \
    }                                                                                                                  \
    NNRT_MATH V nnrt_select_##suffix(nnrt_i32x##W mask, V a, V b) {                                                    \
        return (mask & a) | (~mask & b);                                                                               \
    }
/* Whole vectors: as they lie in memory, or lane by lane. */
#define NNRT_KERNEL_WHOLE(W)                                                                                           \
    NNRT_MATH nnrt_i32x##W nnrt_load_i32x##W(const int32_t *p) {                                                       \
        return *(const nnrt_i32x##W##u *)p;                                                                            \
    }                                                                                                                  \
    NNRT_MATH void nnrt_store_i32x##W(int32_t *p, nnrt_i32x##W v) {                                                    \
        *(nnrt_i32x##W##u *)p = v;                                                                                     \
    }                                                                                                                  \
    NNRT_MATH nnrt_i32x##W nnrt_load_boolx##W(const uint8_t *p) {                                                      \
        return nnrt_load_part_boolx##W(p, W);                                                                          \
    }                                                                                                                  \
    NNRT_MATH void nnrt_store_boolx##W(uint8_t *p, nnrt_i32x##W v) {                                                   \
        nnrt_store_part_boolx##W(p, v, W);                                                                             \
    }
#define NNRT_AS_IT_IS(x) (x)
#define NNRT_MASK_OF_BYTE(x) (-(x))

/* The lanes of a vector are combined as nnrt_math.h does: lane i with lane i + W / 2, and so on. */
#define NNRT_KERNEL_REDUCE(W, name, combine)                                                                           \
    NNRT_MATH int32_t nnrt_reduce_##name##_i32x##W(nnrt_i32x##W x) {                                                   \
        for (int half = W / 2; half > 0; half /= 2)                                                                    \
            for (int i = 0; i < half; i++)                                                                             \
                x[i] = combine(x[i], x[i + half]);                                                                     \
        return x[0];                                                                                                   \
    }
#define NNRT_KERNEL_ADD(a, b) ((a) + (b))

/* One block of Philox gives four numbers; an aligned vector of 16 is computed side by side. */
#define NNRT_KERNEL_RANDOM(W)                                                                                          \
    NNRT_MATH nnrt_f32x##W nnrt_uniform_f32x##W(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index) {       \
        float numbers[16] = {0};                                                                                       \
        uint32_t words[4];                                                                                             \
        if (W == 16 && index % 16 == 0)                                                                                \
            nnrt_uniform_16(seed, stream, step, index / 16, numbers);                                                  \
        else                                                                                                           \
            for (int i = 0; i < W; i++) {                                                                              \
                uint64_t at = index + (uint64_t)i;                                                                     \
                if (i == 0 || at % 4 == 0)                                                                             \
                    nnrt_random_block(seed, stream, step, at / 4, words);                                              \
                numbers[i] = nnrt_uniform_of_word(words[at % 4]);                                                      \
            }                                                                                                          \
        return nnrt_load_f32x##W(numbers);                                                                             \
    }                                                                                                                  \
    NNRT_MATH void nnrt_uniforms_f32x##W(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index, int vectors,   \
                                         nnrt_f32x##W *out) {                                                          \
        float numbers[64];                                                                                             \
        if (W == 16 && vectors == 4 && index % 16 == 0) {                                                              \
            nnrt_uniform_64(seed, stream, step, index / 16, numbers);                                                  \
            for (int i = 0; i < 4; i++)                                                                                \
                out[i] = nnrt_load_f32x##W(numbers + W * i);                                                           \
        } else                                                                                                         \
            for (int i = 0; i < vectors; i++)                                                                          \
                out[i] = nnrt_uniform_f32x##W(seed, stream, step, index + (uint64_t)(W * i));                          \
    }                                                                                                                  \
    NNRT_MATH nnrt_f32x##W nnrt_normal_f32x##W(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index) {        \
        nnrt_f32x##W v;                                                                                                \
        for (int i = 0; i < W; i++)                                                                                    \
            v[i] = nnrt_normal(seed, stream, step, index + (uint64_t)i);                                               \
        return v;                                                                                                      \
    }

#define NNRT_KERNEL_LANES(W)                                                                                           \
    NNRT_KERNEL_MEMORY(W, f32x##W, float, nnrt_f32x##W, NNRT_AS_IT_IS, NNRT_AS_IT_IS)                                  \
    NNRT_KERNEL_MEMORY(W, i32x##W, int32_t, nnrt_i32x##W, NNRT_AS_IT_IS, NNRT_AS_IT_IS)                                \
    NNRT_KERNEL_MEMORY(W, boolx##W, uint8_t, nnrt_i32x##W, NNRT_MASK_OF_BYTE, NNRT_MASK_OF_BYTE)                       \
    NNRT_KERNEL_CONTIGUOUS(W, i32x##W, int32_t, nnrt_i32x##W, NNRT_AS_IT_IS, NNRT_AS_IT_IS)                            \
    NNRT_KERNEL_CONTIGUOUS(W, boolx##W, uint8_t, nnrt_i32x##W, NNRT_MASK_OF_BYTE, NNRT_MASK_OF_BYTE)                   \
    NNRT_KERNEL_WHOLE(W)                                                                                               \
    NNRT_KERNEL_REDUCE(W, add, NNRT_KERNEL_ADD)                                                                        \
    NNRT_KERNEL_REDUCE(W, max, nnrt_max_i32)                                                                           \
    NNRT_KERNEL_REDUCE(W, min, nnrt_min_i32)                                                                           \
    NNRT_KERNEL_RANDOM(W)                                                                                              \
    NNRT_MATH nnrt_i32x##W nnrt_splat_i32x##W(int32_t s) {                                                             \
        return s + (nnrt_i32x##W){0};                                                                                  \
    }                                                                                                                  \
    NNRT_MATH nnrt_i32x##W nnrt_splat_boolx##W(bool s) {                                                               \
        return nnrt_splat_i32x##W(-(int32_t)s);                                                                        \
    }                                                                                                                  \
    NNRT_MATH nnrt_i32x##W nnrt_lanes_i32x##W(void) {                                                                  \
        nnrt_i32x##W v;                                                                                                \
        for (int i = 0; i < W; i++)                                                                                    \
            v[i] = i;                                                                                                  \
        return v;                                                                                                      \
    }                                                                                                                  \
    NNRT_MATH nnrt_i32x##W nnrt_not_boolx##W(nnrt_i32x##W mask) {                                                      \
        return ~mask;                                                                                                  \
    }                                                                                                                  \
    NNRT_MATH nnrt_i32x##W nnrt_max_i32x##W(nnrt_i32x##W a, nnrt_i32x##W b) {                                          \
        return nnrt_select_i32x##W(a > b, a, b);                                                                       \
    }                                                                                                                  \
    NNRT_MATH nnrt_i32x##W nnrt_min_i32x##W(nnrt_i32x##W a, nnrt_i32x##W b) {                                          \
        return nnrt_select_i32x##W(a < b, a, b);                                                                       \
    }                                                                                                                  \
    NNRT_MATH nnrt_i32x##W nnrt_abs_i32x##W(nnrt_i32x##W a) {                                                          \
        return nnrt_max_i32x##W(a, -a);                                                                                \
    }                                                                                                                  \
    NNRT_MATH nnrt_i32x##W nnrt_sign_i32x##W(nnrt_i32x##W a) {                                                         \
        return (a < 0) - (a > 0);                                                                                      \
    }                                                                                                                  \
    NNRT_MATH nnrt_f32x##W nnrt_sign_f32x##W(nnrt_f32x##W x) {                                                         \
        return nnrt_from_i32_f32x##W((nnrt_i32x##W)(x < 0.0f) - (nnrt_i32x##W)(x > 0.0f));                             \
    }                                                                                                                  \
    NNRT_MATH nnrt_f32x##W nnrt_relu_f32x##W(nnrt_f32x##W x) {                                                         \
        return nnrt_at_least_f32x##W(x, nnrt_splat_f32x##W(0.0f));                                                     \
    }                                                                                                                  \
    NNRT_MATH nnrt_f32x##W nnrt_softplus_f32x##W(nnrt_f32x##W x) {                                                     \
        nnrt_f32x##W tail = nnrt_log1p_f32x##W(nnrt_exp_f32x##W(-nnrt_abs_f32x##W(x)));                                \
        return nnrt_at_least_f32x##W(x, nnrt_splat_f32x##W(0.0f)) + tail;                                              \
    }

/* gcc unrolls the loops up to `count` and then warns of lanes that a small array does not have. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Warray-bounds"
#endif
NNRT_KERNEL_LANES(4)
#if NNRT_MATH_WIDTH >= 8
NNRT_KERNEL_LANES(8)
#endif
#if NNRT_MATH_WIDTH >= 16
NNRT_KERNEL_LANES(16)
#endif
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#endif
