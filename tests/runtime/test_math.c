/* nnrt_math.h: error in units of the last place against double libm, sampled over all exponents (long_math.c takes
 * every float); scalar and all widths to the same bits; special values. The test compiles itself again with other
 * compilers and flags (MATH_CHILD) and compares a hash of all results, so that "same bits" holds for them too. */
#define NNRT_MATH_WIDTH 16
#include "math_truth.h"
#include "nnrt_math.h"
#include "test.h"
#include <stdlib.h>

typedef float (*Scalar)(float);

/* Applies one function at one width to 16 values. */
#define APPLY(name)                                                                                                    \
    static float name##_1(float x) {                                                                                   \
        return nnrt_##name##_f32(x);                                                                                   \
    }                                                                                                                  \
    static void name##_all(const float *x, float *y4, float *y8, float *y16) {                                         \
        for (int i = 0; i < 16; i += 4)                                                                                \
            nnrt_store_f32x4(y4 + i, nnrt_##name##_f32x4(nnrt_load_f32x4(x + i)));                                     \
        for (int i = 0; i < 16; i += 8)                                                                                \
            nnrt_store_f32x8(y8 + i, nnrt_##name##_f32x8(nnrt_load_f32x8(x + i)));                                     \
        nnrt_store_f32x16(y16, nnrt_##name##_f32x16(nnrt_load_f32x16(x)));                                             \
    }
APPLY(exp)
APPLY(log)
APPLY(expm1)
APPLY(log1p)
APPLY(tanh)
APPLY(sigmoid)
APPLY(erf)
APPLY(erfcx)
APPLY(sqrt)
APPLY(rsqrt)
APPLY(abs)
APPLY(floor)
APPLY(ceil)
APPLY(round)
APPLY(neg)
APPLY(sin)
APPLY(cos)

static double true_neg(double x) {
    return -x;
}

static const struct {
    const char *name;
    Scalar scalar;
    void (*all)(const float *, float *, float *, float *);
    double (*truth)(double);
    double bound;                         /* in units of the last place */
    int hashed;                           /* the same bits everywhere */
    float low_from, low, high_from, high; /* math_truth.h */
} functions[] = {
#define PROMISED(name, true_name, bound, low_from, low, high_from, high)                                               \
    {#name, name##_1, name##_all, true_name, bound, 1, low_from, low, high_from, high},
#define OTHER(name, true_name, bound, hashed)                                                                          \
    { #name, name##_1, name##_all, true_name, bound, hashed, NAN, 0, NAN, 0 }
    MATH_FUNCTIONS(PROMISED) /**/
    OTHER(abs, fabs, 0, 1),
    OTHER(floor, floor, 0, 1),
    OTHER(ceil, ceil, 0, 1),
    OTHER(round, nearbyint, 0, 1),
    OTHER(neg, true_neg, 0, 1),
    OTHER(sin, sin, 1, 0),
    OTHER(cos, cos, 1, 0),
};
#define FUNCTION_COUNT ((int)(sizeof functions / sizeof *functions))

static int32_t bits_of(float x) {
    return isnan(x) ? 0x7FC00000 : nnrt_bits_f32(x); /* one NaN is like another */
}

static uint32_t random_bits(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 32);
}

/* Value `i` of the sample: special values, then every exponent and sign, then what networks see. */
#define SAMPLES (1 << 16)
static float sample(int i, uint64_t *state) {
    static const float special[] = {0.0f,     -0.0f,     INFINITY,  -INFINITY, NAN,          1.0f,
                                    -1.0f,    0.5f,      -0.5f,     1e-45f,    -1e-45f,      3.4e38f,
                                    -3.4e38f, 88.7228f,  88.72284f, -87.3365f, -103.97f,     -104.5f,
                                    89.5f,    8388607.f, 8388609.f, 0.92773f,  0.927734375f, 2.5f};
    uint32_t bits = random_bits(state);
    float x;
    if (i < (int)(sizeof special / sizeof *special))
        return special[i];
    if (i < SAMPLES / 2) {
        bits = (bits & 0x807FFFFFu) | (uint32_t)(i & 255) << 23;
        memcpy(&x, &bits, 4);
        return x;
    }
    return ((float)(bits >> 8) * 5.9604645e-8f - 0.5f) * (i & 1 ? 200.0f : i & 2 ? 20.0f : 2.0f);
}

static uint64_t check_function(int f) {
    uint64_t state = 12345, hash = 14695981039346656037u;
    double worst = 0;
    float worst_at = 0;
    int differing = 0, wrong_ends = 0;
    for (int i = 0; i < SAMPLES; i += 16) {
        float x[16], y4[16], y8[16], y16[16];
        for (int k = 0; k < 16; k++)
            x[k] = sample(i + k, &state);
        functions[f].all(x, y4, y8, y16);
        for (int k = 0; k < 16; k++) {
            float y = functions[f].scalar(x[k]);
            int32_t bits = bits_of(y);
            double error = ulp_error(y, functions[f].truth((double)x[k]));
            if (!(error <= worst)) {
                worst = error;
                worst_at = x[k];
            }
            wrong_ends += (x[k] <= functions[f].low_from && y != functions[f].low) ||
                          (x[k] >= functions[f].high_from && y != functions[f].high);
            differing += bits != bits_of(y4[k]) || bits != bits_of(y8[k]) || bits != bits_of(y16[k]);
            hash = (hash ^ (uint32_t)bits) * 1099511628211u;
        }
    }
    printf("%-8s %.3f ulp at %.9g\n", functions[f].name, worst, (double)worst_at);
    CHECK(worst <= functions[f].bound);
    CHECK(differing == 0);
    CHECK(wrong_ends == 0);
    return functions[f].hashed ? hash : 0;
}

#define CHECK_WIDTH(W)                                                                                                 \
    static void check_lanes_##W(void) {                                                                                \
        float from[W * (W + 3)], to[W * (W + 5)], part[W + 2], sums[W];                                                \
        nnrt_f32x##W v;                                                                                                \
        int bad = 0;                                                                                                   \
        for (int i = 0; i < W * (W + 3); i++)                                                                          \
            from[i] = (float)i * 1.1f;                                                                                 \
        nnrt_transpose_f32x##W(from, W + 3, to, W + 5);                                                                \
        for (int i = 0; i < W; i++)                                                                                    \
            for (int k = 0; k < W; k++)                                                                                \
                bad += to[k * (W + 5) + i] != from[i * (W + 3) + k];                                                   \
        CHECK(bad == 0);                                                                                               \
        for (int count = 0; count <= W; count++) {                                                                     \
            for (int i = 0; i < W + 2; i++)                                                                            \
                part[i] = -7.0f;                                                                                       \
            v = nnrt_load_part_f32x##W(from + 1, count);                                                               \
            for (int i = 0; i < W; i++)                                                                                \
                bad += v[i] != (i < count ? from[1 + i] : 0.0f);                                                       \
            nnrt_store_part_f32x##W(part + 1, nnrt_load_f32x##W(from + 1), count);                                     \
            for (int i = 0; i < W + 2; i++)                                                                            \
                bad += part[i] != (i >= 1 && i <= count ? from[i] : -7.0f);                                            \
        }                                                                                                              \
        CHECK(bad == 0);                                                                                               \
        memcpy(sums, from + 1, sizeof sums);                                                                           \
        for (int half = W / 2; half > 0; half /= 2)                                                                    \
            for (int i = 0; i < half; i++)                                                                             \
                sums[i] += sums[i + half];                                                                             \
        v = nnrt_load_f32x##W(from + 1);                                                                               \
        CHECK(nnrt_reduce_add_f32x##W(v) == sums[0]);                                                                  \
        CHECK(nnrt_reduce_max_f32x##W(v) == from[W] && nnrt_reduce_min_f32x##W(v) == from[1]);                         \
        v[W - 2] = NAN;                                                                                                \
        CHECK(isnan(nnrt_reduce_max_f32x##W(v)) && isnan(nnrt_reduce_min_f32x##W(v)));                                 \
        CHECK(nnrt_bits_f32x##W(nnrt_splat_f32x##W(-0.0f))[W - 1] == INT32_MIN);                                       \
    }                                                                                                                  \
    static void check_pair_##W(float a, float b) {                                                                     \
        nnrt_f32x##W x = nnrt_splat_f32x##W(a), y = nnrt_splat_f32x##W(b), c = nnrt_splat_f32x##W(1.25f);              \
        nnrt_i32x##W mask = (nnrt_i32x##W)(x < y);                                                                     \
        nnrt_f32x##W got[] = {nnrt_max_f32x##W(x, y),                                                                  \
                              nnrt_min_f32x##W(x, y),                                                                  \
                              nnrt_at_least_f32x##W(x, y),                                                             \
                              nnrt_at_most_f32x##W(x, y),                                                              \
                              nnrt_fma_f32x##W(x, y, c),                                                               \
                              nnrt_copysign_f32x##W(x, y),                                                             \
                              nnrt_select_f32x##W(mask, x, c),                                                         \
                              nnrt_select_lt_f32x##W(x, y, x, c),                                                      \
                              nnrt_select_le_f32x##W(x, y, x, c),                                                      \
                              nnrt_select_eq_f32x##W(x, y, x, c)};                                                     \
        float want[] = {nnrt_max_f32(a, b),                                                                            \
                        nnrt_min_f32(a, b),                                                                            \
                        nnrt_at_least_f32(a, b),                                                                       \
                        nnrt_at_most_f32(a, b),                                                                        \
                        nnrt_fma_f32(a, b, 1.25f),                                                                     \
                        nnrt_copysign_f32(a, b),                                                                       \
                        nnrt_select_f32(a < b, a, 1.25f),                                                              \
                        nnrt_select_lt_f32(a, b, a, 1.25f),                                                            \
                        nnrt_select_le_f32(a, b, a, 1.25f),                                                            \
                        nnrt_select_eq_f32(a, b, a, 1.25f)};                                                           \
        int bad = 0;                                                                                                   \
        for (int f = 0; f < 10; f++)                                                                                   \
            for (int i = 0; i < W; i++)                                                                                \
                bad += bits_of(got[f][i]) != bits_of(want[f]);                                                         \
        if (bad)                                                                                                       \
            printf("width " #W ": a %g b %g\n", (double)a, (double)b);                                                 \
        CHECK(bad == 0);                                                                                               \
    }
CHECK_WIDTH(4)
CHECK_WIDTH(8)
CHECK_WIDTH(16)

static void check_pairs(void) {
    static const float values[] = {0.0f, -0.0f, 1.0f, -1.0f, 2.5f, 1e-40f, INFINITY, -INFINITY, NAN, 3.1f};
    for (int i = 0; i < 10; i++) {
        for (int k = 0; k < 10; k++) {
            float a = values[i], b = values[k];
            check_pair_4(a, b);
            check_pair_8(a, b);
            check_pair_16(a, b);
            CHECK(isnan(nnrt_max_f32(a, b)) == (isnan(a) || isnan(b)));
            CHECK(isnan(nnrt_min_f32(a, b)) == (isnan(a) || isnan(b)));
            CHECK(isnan(nnrt_at_least_f32(a, 0.0f)) == (isnan(a) != 0));
            if (!isnan(a) && !isnan(b)) {
                CHECK(nnrt_max_f32(a, b) == fmaxf(a, b));
                CHECK(nnrt_min_f32(a, b) == fminf(a, b));
            }
        }
    }
    CHECK(nnrt_at_least_f32(-3.0f, 0.0f) == 0.0f && nnrt_at_least_f32(3.0f, 0.0f) == 3.0f);
    CHECK(nnrt_at_most_f32(9.0f, 6.0f) == 6.0f && nnrt_at_most_f32(-3.0f, 6.0f) == -3.0f);
    CHECK(nnrt_from_i32_f32x4((nnrt_i32x4){-3, 2, 7, 0})[0] == -3.0f);
    CHECK(nnrt_to_i32_f32x8(nnrt_splat_f32x8(-2.75f))[7] == -2);
    CHECK(nnrt_pow_f32x4(nnrt_splat_f32x4(2.0f), nnrt_splat_f32x4(10.0f))[3] == 1024.0f);
}

/* 1 + erf(x) as programs compute it, beside its derivative. */
static void check_erfcx(void) {
    double worst = 0;
    for (int i = -200000; i <= 200000; i++) {
        float x = (float)i * 5e-5f, tail = nnrt_exp_f32(-(x * x)) * nnrt_erfcx_f32(x);
        worst = fmax(worst, fabs((double)(x < 0 ? tail : 2.0f - tail) - erfc(-(double)x)));
    }
    printf("1 + erf  %.3g\n", worst);
    CHECK(worst <= 2.5e-7);
    CHECK(nnrt_erfcx_f32(0.0f) == 1.0f && nnrt_erfcx_f32(-INFINITY) == 0.0f);
}

#ifndef MATH_CHILD
/* The results of this very file, compiled otherwise: "fma hash". False if that compiler or flag is not there. */
static int run_child(const char *compiler, const char *flags, int *fma, unsigned long long *hash) {
    char command[2000];
    FILE *output;
    int got;
    snprintf(command, sizeof command,
             "d=$(mktemp -d) && %s -std=gnu11 -DMATH_CHILD -D_GNU_SOURCE %s -I%s/runtime -I%s/tests "
             "%s/tests/runtime/test_math.c "
             "-o $d/child -lm 2>/dev/null && $d/child | tail -n 1; rm -rf $d",
             compiler, flags, NNC_SOURCE_DIR, NNC_SOURCE_DIR, NNC_SOURCE_DIR);
    output = popen(command, "r");
    got = output ? fscanf(output, "bits %d %llx", fma, hash) : 0;
    if (output)
        pclose(output);
    return got == 2;
}

static void check_children(unsigned long long own) {
    static const char *const compilers[] = {"gcc", "clang"};
    static const char *const flags[] = {"-O2 -march=native -ffp-contract=fast", "-O3 -march=native -ffp-contract=off",
                                        "-O1 -ffp-contract=fast", "-O3 -mavx2 -mfma -ffp-contract=fast"};
    unsigned long long with[2] = {0, 0}, hash;
    with[NNRT_HAVE_FMA] = own;
    for (int c = 0; c < 2; c++) {
        for (int f = 0; f < 4; f++) {
            int fma;
            if (!run_child(compilers[c], flags[f], &fma, &hash)) {
                printf("%s %s: not run\n", compilers[c], flags[f]);
                continue;
            }
            printf("%s %s: fma %d bits %llx\n", compilers[c], flags[f], fma, hash);
            if (with[fma] == 0)
                with[fma] = hash;
            CHECK(with[fma] == hash);
        }
    }
    /* On any other machine too. A change of an algorithm changes these. */
    CHECK(with[0] == 0 || with[0] == 0xc90c0a19fdc3a01au);
    CHECK(with[1] == 0 || with[1] == 0xc93591075612f1ddu);
}
#endif

int main(void) {
    unsigned long long hash = 0;
    for (int f = 0; f < FUNCTION_COUNT; f++)
        hash = hash * 31 + check_function(f);
    check_lanes_4();
    check_lanes_8();
    check_lanes_16();
    check_pairs();
    check_erfcx();
#ifdef MATH_CHILD
    printf("bits %d %llx\n", NNRT_HAVE_FMA, test_failed ? 0x0BADull : hash);
    return 0;
#else
    check_children(hash);
    return test_report();
#endif
}
