/* Weight and activity penalties: a scalar added to the loss. */
#include "frontend/components/components.h"

static Value *absolute(Builder *b, Value *w, double factor) {
    return build_scale(b, build_sum_all(b, build_map1(b, FN_abs, w)), factor);
}
static Value *squared(Builder *b, Value *w, double factor) {
    return build_scale(b, build_sum_all(b, build_square(b, w)), factor);
}

static Value *l1(Builder *b, const Args *args, Value *w) {
    return absolute(b, w, arg_float(args, "l1"));
}
static Value *l2(Builder *b, const Args *args, Value *w) {
    return squared(b, w, arg_float(args, "l2"));
}
static Value *l1_l2(Builder *b, const Args *args, Value *w) {
    double first = arg_float(args, "l1"), second = arg_float(args, "l2");
    if (second == 0)
        return absolute(b, w, first);
    return first == 0 ? squared(b, w, second) : build_add(b, absolute(b, w, first), squared(b, w, second));
}

#define FACTOR(NAME, DEFAULT, OF) FLOAT_IN(NAME, DEFAULT, 0, LARGE, "factor of the sum of " OF)
#define REGULARIZED(text)                                                                                              \
    CHECK_LAYERS("Input(3)\nDense(4, activation=tanh, kernel_regularizer=" text                                        \
                 ")\nDense(2, activity_regularizer=" text ")")
#define REGULARIZER_RECORD(RECORD, NAME, ALIASES, PARAMETERS, SUMMARY, FORMULA, BUILD, EXAMPLE, ...)                   \
    const Component component_regularizer_##RECORD = {.kind = COMPONENT_REGULARIZER,                                   \
                                                      .name = NAME,                                                    \
                                                      .aliases = ALIASES,                                              \
                                                      .parameters = PARAMETERS,                                        \
                                                      .summary = SUMMARY,                                              \
                                                      .formula = FORMULA,                                              \
                                                      .examples = LINES("Dense(64, kernel_regularizer=" EXAMPLE ")"),  \
                                                      .checks = LINES(__VA_ARGS__),                                    \
                                                      .build.regularizer = BUILD}

static const Parameter l1_parameters[] = {FACTOR("l1", "0.01", "absolute values"), END};
static const Parameter l2_parameters[] = {FACTOR("l2", "0.01", "squares"), END};
static const Parameter l1_l2_parameters[] = {FACTOR("l1", "0.0", "absolute values"), FACTOR("l2", "0.0", "squares"),
                                             END};
REGULARIZER_RECORD(l1, "L1", "l1", l1_parameters, "Penalty on absolute values: drives weights to 0.", "l1 * sum(|w|)",
                   l1, "L1(0.001)", REGULARIZED("l1"), REGULARIZED("L1(0.02)"));
REGULARIZER_RECORD(l2, "L2", "l2", l2_parameters, "Penalty on squares: keeps weights small.",
                   "l2 * sum(w^2)  (no factor 1/2)", l2, "L2(0.001)", REGULARIZED("l2"), REGULARIZED("L2(0.02)"));
REGULARIZER_RECORD(l1_l2, "L1L2", "l1_l2", l1_l2_parameters, "Penalty on absolute values and squares.",
                   "l1 * sum(|w|) + l2 * sum(w^2)", l1_l2, "L1L2(l1=0.001, l2=0.002)",
                   REGULARIZED("L1L2(l1=0.01, l2=0.02)"), REGULARIZED("L1L2(l2=0.02)"), REGULARIZED("L1L2()"));
