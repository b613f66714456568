/* The rows of ops.def and scalar.def as arrays, and scalar functions evaluated in double precision. */
#include <math.h>
#include <string.h>
#include "ir/ir.h"

enum { P = OP_PURE, E = OP_EFFECT, N = OP_NO_GRADIENT, X = OP_REFUSES_GRADIENT };

const OpInfo op_infos[OP_COUNT] = {
#define OP(code, text, inputs, results, op_class, attributes, flags)                                                   \
    [OP_##code] = {text, inputs, results, CLASS_##op_class, flags, ATTR_##attributes},
#include "ir/ops.def"
#undef OP
};

#define RESULT_S false
#define RESULT_B true
#define D(...)                                                                                                         \
    { __VA_ARGS__ }
const ScalarInfo scalar_infos[FN_COUNT] = {
#define SCALAR(name, arity, result, meaning, c, cuda, llvm, derivatives, cost)                                         \
    [FN_##name] = {#name, arity, RESULT_##result, c, cuda, llvm, derivatives, cost},
#include "ir/scalar.def"
#undef SCALAR
};

/* NaN passes through, as in the programs. */
static double scalar_max(double a, double b) {
    return isnan(a) ? a : isnan(b) ? b : a >= b ? a : b;
}

static double scalar_min(double a, double b) {
    return isnan(a) ? a : isnan(b) ? b : a <= b ? a : b;
}

/* exp(a a) erfc(|a|); far out, where the factors leave the range, by its series. */
static double scalar_erfcx(double a) {
    double size = fabs(a), half = 0.5 / (size * size);
    return size < 20 ? exp(size * size) * erfc(size)
                     : 0.56418958354775629 / size * (1 - half * (1 - 3 * half * (1 - 5 * half)));
}

#define SCALAR(name, arity, result, meaning, ...)                                                                      \
    static double eval_##name(double a, double b, double c) {                                                          \
        (void)a, (void)b, (void)c;                                                                                     \
        return meaning;                                                                                                \
    }
#include "ir/scalar.def"
#undef SCALAR

static double (*const evaluators[FN_COUNT])(double, double, double) = {
#define SCALAR(name, ...) [FN_##name] = eval_##name,
#include "ir/scalar.def"
#undef SCALAR
};

double scalar_eval(ScalarFn fn, double a, double b, double c) {
    return evaluators[fn](a, b, c);
}

ScalarFn scalar_find(const char *name) {
    for (int fn = 0; fn < FN_COUNT; fn++)
        if (strcmp(scalar_infos[fn].name, name) == 0)
            return (ScalarFn)fn;
    return FN_COUNT;
}
