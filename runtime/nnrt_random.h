/* Random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011), a pure function of its arguments.
 *
 * key = {seed low, seed high ^ stream}, counter = {index / 4 low, index / 4 high, step, 0}, word = index % 4.
 * `stream` says who draws (a variable, an op), `step` when (a training step, an epoch), `index` which element. So
 * any element can be drawn by any thread in any order. Plain C, C++ and CUDA.
 *
 * Same bits everywhere: integers; and floating point of which every product that is added goes through fma(). */
#ifndef NNRT_RANDOM_H
#define NNRT_RANDOM_H
#include <math.h>
#include <stdint.h>

#ifndef NNRT_FUNCTION
#if defined(__CUDACC__)
#define NNRT_FUNCTION static __host__ __device__ __forceinline__
#elif defined(__GNUC__)
#define NNRT_FUNCTION static inline __attribute__((always_inline, unused))
#else
#define NNRT_FUNCTION static inline
#endif
#endif

/* The bijection itself. */
NNRT_FUNCTION void nnrt_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* The four words of indices 4 * block .. 4 * block + 3. */
NNRT_FUNCTION void nnrt_random_block(uint64_t seed, uint32_t stream, uint32_t step, uint64_t block, uint32_t out[4]) {
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32) ^ stream};
    uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), step, 0};
    nnrt_philox(counter, key, out);
}

NNRT_FUNCTION uint32_t nnrt_random_word(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index) {
    uint32_t words[4];
    nnrt_random_block(seed, stream, step, index / 4, words);
    return words[index % 4];
}

/* [0, 1), a multiple of 2^-24. */
NNRT_FUNCTION float nnrt_uniform_of_word(uint32_t word) {
    return (float)(word >> 8) * 5.9604644775390625e-8f;
}

NNRT_FUNCTION float nnrt_uniform(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index) {
    return nnrt_uniform_of_word(nnrt_random_word(seed, stream, step, index));
}

/* The uniform numbers of 16 neighbouring indices, 16 * group .. 16 * group + 15, for a quarter of the work of 16 single
 * calls or less: four blocks side by side. */
#if defined __AVX512F__ && !defined __CUDACC__
#include <immintrin.h>
/* Of four blocks c0 and c2 stand in the even 32-bit lanes of the halves of a vector, so that one instruction multiplies
 * both; what stands in the odd lanes is not read. From round to round they change halves: what a product leaves for c0
 * and c2 stays where it is, and only its low words, which the next round needs later, go to the other half. */
NNRT_FUNCTION void nnrt_uniform_16(uint64_t seed, uint32_t stream, uint32_t step, uint64_t group, float out[16]) {
    const long long first = (uint32_t)(4 * group), high = (long long)(4 * group >> 32), m0 = 0xD2511F53,
                    m1 = 0xCD9E8D57;
    const __m512i factors[2] = {_mm512_set_epi64(m1, m1, m1, m1, m0, m0, m0, m0),
                                _mm512_set_epi64(m0, m0, m0, m0, m1, m1, m1, m1)};
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32) ^ stream;
    __m512i even = _mm512_add_epi64(_mm512_set1_epi64(first), _mm512_set_epi64(0, 0, 0, 0, 3, 2, 1, 0)), product;
    __m512i odd = _mm512_maskz_set1_epi64(0xF0, high); /* c3 beside c0, c1 beside c2 */
    even = _mm512_mask_set1_epi64(even, 0xF0, step);
    for (int round = 0; round < 10; round++) {
        __m512i key = _mm512_mask_set1_epi64(_mm512_set1_epi64(k1), round % 2 ? 0x0F : 0xF0, k0);
        product = _mm512_mul_epu32(even, factors[round % 2]);
        even = _mm512_ternarylogic_epi64(_mm512_srli_epi64(product, 32), odd, key, 0x96); /* the xor of the three */
        odd = _mm512_shuffle_i64x2(product, product, 0x4E);
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    /* c0 | c1 << 32 below, c2 | c3 << 32 above: their 64-bit lanes in turn are the words in order */
    __m512i pairs = _mm512_mask_shuffle_epi32(even, 0xAAAA, product, _MM_PERM_CCAA);
    __m512i words = _mm512_permutexvar_epi64(_mm512_set_epi64(7, 3, 6, 2, 5, 1, 4, 0), pairs);
    __m512 numbers = _mm512_cvtepi32_ps(_mm512_srli_epi32(words, 8));
    _mm512_storeu_ps(out, _mm512_mul_ps(numbers, _mm512_set1_ps(5.9604644775390625e-8f)));
}

/* Those of 64 neighbouring indices, 16 * group .. 16 * group + 63: the words c0 and c2 of eight blocks each have a
 * vector of their own, so nothing moves between the rounds; and two such chains go side by side, for the processor
 * does not look far enough ahead to begin with the second. The empty asm keeps their instructions mixed. */
NNRT_FUNCTION void nnrt_uniform_64(uint64_t seed, uint32_t stream, uint32_t step, uint64_t group, float out[64]) {
    const __m512i m0 = _mm512_set1_epi64(0xD2511F53), m1 = _mm512_set1_epi64(0xCD9E8D57);
    const __m512i first = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0),
                  last = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32) ^ stream;
    __m512i c0[2], c1[2], c2[2], c3[2];
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        c0[i] = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
        c0[i] = _mm512_add_epi64(_mm512_set1_epi64((long long)(4 * group + 8 * (uint64_t)i)), c0[i]);
        c1[i] = _mm512_srli_epi64(c0[i], 32);
        c2[i] = _mm512_set1_epi64(step);
        c3[i] = _mm512_setzero_si512();
    }
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
        const __m512i key0 = _mm512_set1_epi64(k0), key1 = _mm512_set1_epi64(k1);
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            __m512i a = _mm512_mul_epu32(c0[i], m0), b = _mm512_mul_epu32(c2[i], m1);
            c0[i] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(b, 32), c1[i], key0, 0x96);
            c2[i] = _mm512_ternarylogic_epi64(_mm512_srli_epi64(a, 32), c3[i], key1, 0x96);
            c1[i] = b;
            c3[i] = a;
        }
        __asm__ volatile("" : "+v"(c0[0]), "+v"(c2[0]), "+v"(c0[1]), "+v"(c2[1]));
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        __m512i low = _mm512_mask_shuffle_epi32(c0[i], 0xAAAA, c1[i], _MM_PERM_CCAA);
        __m512i high = _mm512_mask_shuffle_epi32(c2[i], 0xAAAA, c3[i], _MM_PERM_CCAA);
#pragma GCC unroll 2
        for (int half = 0; half < 2; half++) {
            __m512i words = _mm512_permutex2var_epi64(low, half ? last : first, high);
            __m512 numbers = _mm512_cvtepi32_ps(_mm512_srli_epi32(words, 8));
            numbers = _mm512_mul_ps(numbers, _mm512_set1_ps(5.9604644775390625e-8f));
            _mm512_storeu_ps(out + 32 * i + 16 * half, numbers);
        }
    }
}
#else
NNRT_FUNCTION void nnrt_uniform_16(uint64_t seed, uint32_t stream, uint32_t step, uint64_t group, float out[16]) {
    uint32_t c0[4], c1[4], c2[4], c3[4], k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32) ^ stream;
    for (uint32_t i = 0; i < 4; i++) {
        c0[i] = (uint32_t)(4 * group) + i; /* 4 * group is a multiple of 4: no carry */
        c1[i] = (uint32_t)(4 * group >> 32);
        c2[i] = step;
        c3[i] = 0;
    }
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 4; i++) {
            uint64_t a = (uint64_t)0xD2511F53u * c0[i], b = (uint64_t)0xCD9E8D57u * c2[i];
            c0[i] = (uint32_t)(b >> 32) ^ c1[i] ^ k0;
            c2[i] = (uint32_t)(a >> 32) ^ c3[i] ^ k1;
            c1[i] = (uint32_t)b;
            c3[i] = (uint32_t)a;
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    for (int i = 0; i < 4; i++) {
        out[4 * i] = nnrt_uniform_of_word(c0[i]);
        out[4 * i + 1] = nnrt_uniform_of_word(c1[i]);
        out[4 * i + 2] = nnrt_uniform_of_word(c2[i]);
        out[4 * i + 3] = nnrt_uniform_of_word(c3[i]);
    }
}

NNRT_FUNCTION void nnrt_uniform_64(uint64_t seed, uint32_t stream, uint32_t step, uint64_t group, float out[64]) {
    for (uint64_t i = 0; i < 4; i++)
        nnrt_uniform_16(seed, stream, step, group + i, out + 16 * i);
}
#endif

/* ln(m * 2^-24) for 1 <= m <= 2^24. */
NNRT_FUNCTION double nnrt_random_log(uint32_t m) {
    double z = (double)m, s, q, p;
    int k = -24;
    /* z becomes m / 2^(k + 24), in [0.707, 1.414]; the steps are exact. */
    while (z > 65536.0) {
        z *= 1.52587890625e-05;
        k += 16;
    }
    while (z > 1.4142135623730951) {
        z *= 0.5;
        k++;
    }
    s = (z - 1.0) / (z + 1.0);
    q = s * s;
    p = fma(q, 1.479819860511658591e-01, 1.531383769920937332e-01);
    p = fma(q, p, 1.818357216161805012e-01);
    p = fma(q, p, 2.222219843214978396e-01);
    p = fma(q, p, 2.857142874366239149e-01);
    p = fma(q, p, 3.999999999940941908e-01);
    p = fma(q, p, 6.666666666666735130e-01);
    return fma((double)k, 0.69314718055994530942, fma(s * q, p, 2.0 * s));
}

/* cos (or sin) of 2 pi m / 2^24. */
NNRT_FUNCTION double nnrt_random_turn(uint32_t m, int want_sin) {
    uint32_t quarter = (m + (1u << 21)) >> 22; /* nearest multiple of a quarter turn */
    double x = ((double)m - (double)quarter * 4194304.0) * (1.5707963267948966192 / 4194304.0), q = x * x, p;
    uint32_t turn = (quarter + (want_sin ? 3u : 0u)) & 3u; /* sin(x) = cos(x - a quarter) */
    if (turn & 1u) {
        p = fma(q, 1.58969099521155010221e-10, -2.50507602534068634195e-08);
        p = fma(q, p, 2.75573137070700676789e-06);
        p = fma(q, p, -1.98412698298579493134e-04);
        p = fma(q, p, 8.33333333332248946124e-03);
        p = fma(q, p, -1.66666666666666324348e-01);
        p = fma(x * q, p, x);
        return turn == 1u ? -p : p;
    }
    p = fma(q, -1.13596475577881948265e-11, 2.08757232129817482790e-09);
    p = fma(q, p, -2.75573143513906633035e-07);
    p = fma(q, p, 2.48015872894767294178e-05);
    p = fma(q, p, -1.38888888888741095749e-03);
    p = fma(q, p, 4.16666666666666019037e-02);
    p = fma(q, fma(q, p, -0.5), 1.0);
    return turn == 2u ? -p : p;
}

/* Standard normal, by Box and Muller: two words make two numbers, so `index & ~1` and `index | 1` belong together. */
NNRT_FUNCTION float nnrt_normal(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index) {
    uint32_t words[4], a, b;
    nnrt_random_block(seed, stream, step, index / 4, words);
    a = words[index & 2u] >> 8;
    b = words[(index & 2u) + 1u] >> 8;
    return (float)(sqrt(-2.0 * nnrt_random_log(a + 1u)) * nnrt_random_turn(b, (int)(index & 1u)));
}

#ifdef __cplusplus
extern "C" {
#endif

/* The order of the samples in an epoch: a permutation of 0 .. n - 1, every one equally likely, the same everywhere. */
void nnrt_permutation(uint64_t seed, int64_t epoch, int32_t *order, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
