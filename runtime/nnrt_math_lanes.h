/* Template of nnrt_math.h: the primitives of a vector of NNRT_W floats, in portable form and, where the instruction
 * set has them, as intrinsics with the same meaning. Leaves NNRT_SUFFIX, NNRT_V, NNRT_I, NNRT_U for the functions. */
#define NNRT_SUFFIX NNRT_JOIN(f32x, NNRT_W)
#define NNRT_V NNRT_JOIN(nnrt_f32x, NNRT_W)
#define NNRT_I NNRT_JOIN(nnrt_i32x, NNRT_W)
#define NNRT_U NNRT_JOIN(nnrt_u32x, NNRT_W)
#define NNRT_F(name) NNRT_JOIN(nnrt_##name##_, NNRT_SUFFIX)

/* NNRT_OP(add) is the intrinsic of this width: _mm512_add_ps. NNRT_ISA: 2 with mask registers, 1 without, 0 none. */
#if NNRT_W == 16 && defined(__AVX512F__)
#define NNRT_ISA 2
#define NNRT_OP(name) _mm512_##name
#define NNRT_M __mmask16
#define NNRT_R __m512
#elif NNRT_W == 8 && defined(__AVX512VL__)
#define NNRT_ISA 2
#define NNRT_OP(name) _mm256_##name
#define NNRT_M __mmask8
#define NNRT_R __m256
#elif NNRT_W == 8 && defined(__AVX__)
#define NNRT_ISA 1
#define NNRT_OP(name) _mm256_##name
#define NNRT_R __m256
#elif NNRT_W == 4 && defined(__AVX512VL__)
#define NNRT_ISA 2
#define NNRT_OP(name) _mm_##name
#define NNRT_M __mmask8
#define NNRT_R __m128
#elif NNRT_W == 4 && defined(__SSE__)
#define NNRT_ISA 1
#define NNRT_OP(name) _mm_##name
#define NNRT_R __m128
#else
#define NNRT_ISA 0
#endif

NNRT_MATH NNRT_I NNRT_F(bits)(NNRT_V x) {
    return (NNRT_I)x;
}
NNRT_MATH NNRT_V NNRT_F(of_bits)(NNRT_I bits) {
    return (NNRT_V)bits;
}
NNRT_MATH NNRT_V NNRT_F(splat)(float s) {
    return s - (NNRT_V){0}; /* minus, so that -0 stays */
}
NNRT_MATH NNRT_V NNRT_F(load)(const float *p) {
    return *(const NNRT_JOIN(NNRT_V, u) *)p;
}
NNRT_MATH void NNRT_F(store)(float *p, NNRT_V v) {
    *(NNRT_JOIN(NNRT_V, u) *)p = v;
}
NNRT_MATH NNRT_V NNRT_F(from_i32)(NNRT_I v) {
    return __builtin_convertvector(v, NNRT_V);
}
NNRT_MATH NNRT_I NNRT_F(to_i32)(NNRT_V x) {
    return __builtin_convertvector(x, NNRT_I);
}
NNRT_MATH NNRT_V NNRT_F(select)(NNRT_I mask, NNRT_V a, NNRT_V b) {
    return (NNRT_V)((mask & (NNRT_I)a) | (~mask & (NNRT_I)b));
}

NNRT_MATH NNRT_V NNRT_F(fma)(NNRT_V a, NNRT_V b, NNRT_V c) {
#if NNRT_ISA && NNRT_HAVE_FMA
    return (NNRT_V)NNRT_OP(fmadd_ps)((NNRT_R)a, (NNRT_R)b, (NNRT_R)c);
#elif NNRT_HAVE_FMA
    NNRT_V r;
    for (int i = 0; i < NNRT_W; i++)
        r[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return r;
#else
    return a * b + c;
#endif
}

NNRT_MATH NNRT_V NNRT_F(sqrt)(NNRT_V x) {
#if NNRT_ISA
    return (NNRT_V)NNRT_OP(sqrt_ps)((NNRT_R)x);
#else
    NNRT_V r;
    for (int i = 0; i < NNRT_W; i++)
        r[i] = nnrt_sqrt_f32(x[i]);
    return r;
#endif
}

/* The x86 maximum and minimum give their second operand when either is NaN or both are zero. */
NNRT_MATH NNRT_V NNRT_F(at_least)(NNRT_V x, NNRT_V bound) {
#if NNRT_ISA
    return (NNRT_V)NNRT_OP(max_ps)((NNRT_R)bound, (NNRT_R)x);
#else
    return NNRT_F(select)((NNRT_I)(bound > x), bound, x);
#endif
}
NNRT_MATH NNRT_V NNRT_F(at_most)(NNRT_V x, NNRT_V bound) {
#if NNRT_ISA
    return (NNRT_V)NNRT_OP(min_ps)((NNRT_R)bound, (NNRT_R)x);
#else
    return NNRT_F(select)((NNRT_I)(bound < x), bound, x);
#endif
}

#if NNRT_ISA == 2
#define NNRT_CHOOSE(a, b, x, y, sign, compare)                                                                         \
    return (NNRT_V)NNRT_OP(mask_blend_ps)(NNRT_OP(cmp_ps_mask)((NNRT_R)a, (NNRT_R)b, compare), (NNRT_R)y, (NNRT_R)x)
#else
#define NNRT_CHOOSE(a, b, x, y, sign, compare) return NNRT_F(select)((NNRT_I)(a sign b), x, y)
#endif
NNRT_MATH NNRT_V NNRT_F(select_lt)(NNRT_V a, NNRT_V b, NNRT_V x, NNRT_V y) {
    NNRT_CHOOSE(a, b, x, y, <, _CMP_LT_OQ);
}
NNRT_MATH NNRT_V NNRT_F(select_le)(NNRT_V a, NNRT_V b, NNRT_V x, NNRT_V y) {
    NNRT_CHOOSE(a, b, x, y, <=, _CMP_LE_OQ);
}
NNRT_MATH NNRT_V NNRT_F(select_eq)(NNRT_V a, NNRT_V b, NNRT_V x, NNRT_V y) {
    NNRT_CHOOSE(a, b, x, y, ==, _CMP_EQ_OQ);
}
#undef NNRT_CHOOSE

/* The first `count` lanes, 0 <= count <= width; the others are 0, and their memory is not touched. */
NNRT_MATH NNRT_V NNRT_F(load_part)(const float *p, int count) {
#if NNRT_ISA == 2
    return (NNRT_V)NNRT_OP(maskz_loadu_ps)((NNRT_M)((1u << count) - 1u), p);
#else
    NNRT_V v = {0};
    for (int i = 0; i < count; i++)
        v[i] = p[i];
    return v;
#endif
}
NNRT_MATH void NNRT_F(store_part)(float *p, NNRT_V v, int count) {
#if NNRT_ISA == 2
    NNRT_OP(mask_storeu_ps)(p, (NNRT_M)((1u << count) - 1u), (NNRT_R)v);
#else
    for (int i = 0; i < count; i++)
        p[i] = v[i];
#endif
}

/* Lane i meets lane i + W/2, then i + W/4, ...: the order belongs to the width. */
#if NNRT_W == 4
NNRT_MATH float NNRT_F(reduce_add)(NNRT_V x) {
    return (x[0] + x[2]) + (x[1] + x[3]);
}
NNRT_MATH float NNRT_F(reduce_max)(NNRT_V x) {
    return nnrt_max_f32(nnrt_max_f32(x[0], x[2]), nnrt_max_f32(x[1], x[3]));
}
NNRT_MATH float NNRT_F(reduce_min)(NNRT_V x) {
    return nnrt_min_f32(nnrt_min_f32(x[0], x[2]), nnrt_min_f32(x[1], x[3]));
}
#else
#if NNRT_W == 8
#define NNRT_HALF(name) nnrt_##name##f32x4
#else
#define NNRT_HALF(name) nnrt_##name##f32x8
#endif
typedef union {
    NNRT_V whole;
    NNRT_HALF() half[2];
} NNRT_F(halves);
NNRT_MATH float NNRT_F(reduce_add)(NNRT_V x) {
    NNRT_F(halves) u = {x};
    return NNRT_HALF(reduce_add_)(u.half[0] + u.half[1]);
}
NNRT_MATH float NNRT_F(reduce_max)(NNRT_V x) {
    NNRT_F(halves) u = {x};
    return NNRT_HALF(reduce_max_)(NNRT_HALF(max_)(u.half[0], u.half[1]));
}
NNRT_MATH float NNRT_F(reduce_min)(NNRT_V x) {
    NNRT_F(halves) u = {x};
    return NNRT_HALF(reduce_min_)(NNRT_HALF(min_)(u.half[0], u.half[1]));
}
#undef NNRT_HALF
#endif

NNRT_MATH NNRT_V NNRT_F(sin)(NNRT_V x) {
    for (int i = 0; i < NNRT_W; i++)
        x[i] = sinf(x[i]);
    return x;
}
NNRT_MATH NNRT_V NNRT_F(cos)(NNRT_V x) {
    for (int i = 0; i < NNRT_W; i++)
        x[i] = cosf(x[i]);
    return x;
}
NNRT_MATH NNRT_V NNRT_F(pow)(NNRT_V x, NNRT_V y) {
    for (int i = 0; i < NNRT_W; i++)
        x[i] = powf(x[i], y[i]);
    return x;
}

/* x 2^n by one instruction. Spelled out: it is expanded in the functions, when NNRT_OP is gone. */
#if NNRT_ISA == 2 && NNRT_W == 16
#define NNRT_SCALE(x, n) ((NNRT_V)_mm512_scalef_ps((__m512)(x), (__m512)(n)))
#elif NNRT_ISA == 2 && NNRT_W == 8
#define NNRT_SCALE(x, n) ((NNRT_V)_mm256_scalef_ps((__m256)(x), (__m256)(n)))
#elif NNRT_ISA == 2
#define NNRT_SCALE(x, n) ((NNRT_V)_mm_scalef_ps((__m128)(x), (__m128)(n)))
#endif

#undef NNRT_F
#undef NNRT_ISA
#undef NNRT_OP
#undef NNRT_M
#undef NNRT_R
