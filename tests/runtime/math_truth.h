/* The functions of nnrt_math.h that have a vector form of their own, with what is promised of them: the error, and
 * where the result is the end of its range. test_math.c samples them, long_math.c takes all 2^32 arguments. */
#ifndef NNC_TESTS_MATH_TRUTH_H
#define NNC_TESTS_MATH_TRUTH_H
#include <math.h>
#include <stdint.h>
#include <string.h>

/* name, truth in double, error in units of the last place, and the saturated ends: the result is exactly `low` for
 * finite and infinite x <= low_from, and `high` for x >= high_from; NAN: there is no such end. */
#define MATH_FUNCTIONS(X)                                                                                              \
    X(exp, exp, 1.5, -104.0f, 0.0f, 88.73f, INFINITY)                                                                  \
    X(log, log, 3, NAN, 0.0f, INFINITY, INFINITY)                                                                      \
    X(expm1, expm1, 3, -17.4f, -1.0f, 88.73f, INFINITY)                                                                \
    X(log1p, log1p, 3, NAN, 0.0f, INFINITY, INFINITY)                                                                  \
    X(tanh, tanh, 3, -9.02f, -1.0f, 9.02f, 1.0f)                                                                       \
    X(sigmoid, true_sigmoid, 3, -104.0f, 0.0f, 17.4f, 1.0f)                                                            \
    X(erf, erf, 3, -4.0f, -1.0f, 4.0f, 1.0f)                                                                           \
    X(erfcx, true_erfcx, 20, NAN, 0.0f, INFINITY, 0.0f)                                                                \
    X(sqrt, sqrt, 0.5, NAN, 0.0f, INFINITY, INFINITY)                                                                  \
    X(rsqrt, true_rsqrt, 1.5, NAN, 0.0f, INFINITY, 0.0f)

static inline double true_sigmoid(double x) {
    return 1.0 / (1.0 + exp(-x));
}
/* Of |x|; far out by its series. */
static inline double true_erfcx(double x) {
    double size = fabs(x), half = 0.5 / (size * size);
    return size < 20 ? exp(size * size) * erfc(size)
                     : 0.56418958354775629 / size * (1 - half * (1 - 3 * half * (1 - 5 * half)));
}
static inline double true_rsqrt(double x) {
    return 1.0 / sqrt(x);
}

/* The error in units of the last place of the true result; 0 or infinite where either is no finite float. */
static inline double ulp_error(float got, double truth) {
    float nearest = (float)truth;
    uint32_t bits;
    uint64_t unit;
    double per_unit;
    if (isnan(truth) || isnan(got))
        return isnan(truth) && isnan(got) ? 0 : INFINITY;
    if (isinf(nearest) || isinf(got))
        return got == nearest ? 0 : INFINITY;
    memcpy(&bits, &nearest, 4);
    uint64_t exponent = bits >> 23 & 255;
    unit = 1023 + 150 - (exponent ? exponent : 1); /* of 1 / 2^(exponent - 150) */
    unit <<= 52;
    memcpy(&per_unit, &unit, 8);
    return fabs((double)got - truth) * per_unit;
}
#endif
