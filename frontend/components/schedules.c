/* Learning rates that change with the number of updates done so far. */
#include "frontend/components/components.h"

static Value *as_float(Builder *b, Value *step) {
    return step && step->type->dtype != DTYPE_F32 ? build_cast(b, step, DTYPE_F32) : step;
}

static Value *exponential_decay(Builder *b, const Args *args, Value *iterations) {
    Value *periods = build_div(b, as_float(b, iterations), build_number(b, arg_float(args, "decay_steps")));
    if (arg_bool(args, "staircase"))
        periods = build_map1(b, FN_floor, periods);
    Value *factor = build_map2(b, FN_pow, build_number(b, arg_float(args, "decay_rate")), periods);
    return build_scale(b, factor, arg_float(args, "initial_learning_rate"));
}

/* from * ((1 - alpha) * (1 + cos(pi step / steps)) / 2 + alpha) */
static Value *cosine(Builder *b, Value *step, double steps, double from, double alpha) {
    Value *angle = build_scale(b, build_div(b, step, build_number(b, steps)), 3.14159265358979323846);
    Value *half = build_scale(b, build_shift(b, build_map1(b, FN_cos, angle), 1), 0.5);
    return build_scale(b, build_shift(b, build_scale(b, half, 1 - alpha), alpha), from);
}

static Value *cosine_decay(Builder *b, const Args *args, Value *iterations) {
    double from = arg_float(args, "initial_learning_rate"), steps = arg_float(args, "decay_steps"),
           alpha = arg_float(args, "alpha");
    Value *step = as_float(b, iterations);
    if (arg_is_none(args, "warmup_target"))
        return cosine(b, build_min(b, step, build_number(b, steps)), steps, from, alpha);
    double target = arg_float(args, "warmup_target"), warmup = arg_float(args, "warmup_steps");
    Value *after = build_shift(b, build_min(b, step, build_number(b, steps + warmup)), -warmup);
    Value *decayed = cosine(b, after, steps, target, alpha);
    if (warmup == 0)
        return decayed;
    Value *part = build_div(b, step, build_number(b, warmup));
    Value *rising = build_shift(b, build_scale(b, part, target - from), from);
    return build_map3(b, FN_select, build_map2(b, FN_lt, step, build_number(b, warmup)), rising, decayed);
}

static Value *inverse_time_decay(Builder *b, const Args *args, Value *iterations) {
    Value *periods = build_div(b, as_float(b, iterations), build_number(b, arg_float(args, "decay_steps")));
    if (arg_bool(args, "staircase"))
        periods = build_map1(b, FN_floor, periods);
    Value *divisor = build_shift(b, build_scale(b, periods, arg_float(args, "decay_rate")), 1);
    return build_div(b, build_number(b, arg_float(args, "initial_learning_rate")), divisor);
}

/* With `cycle` the steps are stretched to the next multiple of decay_steps: -floor(-x) rounds up. */
static Value *polynomial_decay(Builder *b, const Args *args, Value *iterations) {
    double from = arg_float(args, "initial_learning_rate"), end = arg_float(args, "end_learning_rate");
    Value *part = build_div(b, as_float(b, iterations), build_number(b, arg_float(args, "decay_steps")));
    Value *one = build_number(b, 1);
    if (arg_bool(args, "cycle")) {
        Value *up = build_map1(b, FN_neg, build_map1(b, FN_floor, build_map1(b, FN_neg, part)));
        part = build_div(b, part, build_max(b, up, one));
    } else {
        part = build_min(b, part, one);
    }
    Value *left = build_map2(b, FN_pow, build_sub(b, one, part), build_number(b, arg_float(args, "power")));
    return build_shift(b, build_scale(b, left, from - end), end);
}

/* Restart i is t_mul times as long as the one before: after i of them (t_mul^i - 1) / (t_mul - 1) lengths are over. */
static Value *cosine_decay_restarts(Builder *b, const Args *args, Value *iterations) {
    double t = arg_float(args, "t_mul"), alpha = arg_float(args, "alpha");
    Value *part = build_div(b, as_float(b, iterations), build_number(b, arg_float(args, "first_decay_steps")));
    Value *restart = build_map1(b, FN_floor, part), *within = build_sub(b, part, restart);
    if (t != 1) {
        Value *lengths = build_map1(b, FN_log, build_shift(b, build_scale(b, part, t - 1), 1));
        restart = build_map1(b, FN_floor, build_scale(b, lengths, 1 / log(t)));
        Value *length = build_map2(b, FN_pow, build_number(b, t), restart);
        Value *over = build_scale(b, build_shift(b, length, -1), 1 / (t - 1));
        within = build_div(b, build_sub(b, part, over), length);
    }
    Value *height = build_map2(b, FN_pow, build_number(b, arg_float(args, "m_mul")), restart);
    Value *wave = build_map1(b, FN_cos, build_scale(b, within, 3.14159265358979323846));
    Value *half = build_mul(b, height, build_scale(b, build_shift(b, wave, 1), 0.5));
    return build_scale(b, build_shift(b, build_scale(b, half, 1 - alpha), alpha),
                       arg_float(args, "initial_learning_rate"));
}

#define RATE FLOAT_ABOVE("initial_learning_rate", NULL, 0, LARGE, "learning rate of the first update")
#define STEPS FLOAT_ABOVE("decay_steps", NULL, 0, 1e18, "updates until the decay is done once")
#define NAME STRING("name", "none", "name of the schedule")
static const Parameter exponential_parameters[] = {
    RATE,
    STEPS,
    FLOAT_ABOVE("decay_rate", NULL, 0, LARGE, "factor per decay_steps updates"),
    BOOLEAN("staircase", "false", "true: change only every decay_steps updates"),
    NAME,
    END};
static const Parameter cosine_parameters[] = {
    FLOAT_IN("initial_learning_rate", NULL, 0, LARGE, "learning rate of the first update"),
    STEPS,
    FLOAT_IN("alpha", "0.0", 0, 1, "last learning rate as a share of the first"),
    NAME,
    FLOAT_ABOVE("warmup_target", "none", 0, LARGE, "learning rate after the warm-up; none: no warm-up"),
    FLOAT_IN("warmup_steps", "0", 0, 1e18, "updates of the linear warm-up, before the decay_steps"),
    END};

const Component component_exponential_decay = {
    .kind = COMPONENT_SCHEDULE,
    .name = "ExponentialDecay",
    .parameters = exponential_parameters,
    .summary = "Shrinks the learning rate by a constant factor.",
    .formula = "initial_learning_rate * decay_rate^(step / decay_steps)",
    .examples = LINES("optimizer = SGD(ExponentialDecay(0.1, decay_steps=1000, decay_rate=0.96))"),
    .checks = LINES(
        CHECK_OPTIMIZER("SGD(ExponentialDecay(0.1, decay_steps=3, decay_rate=0.5))"),
        CHECK_OPTIMIZER(
            "Adam(learning_rate=ExponentialDecay(0.1, decay_steps=2, decay_rate=0.5, staircase=true), epsilon=0.01)")),
    .build.schedule = exponential_decay};
const Component component_cosine_decay = {
    .kind = COMPONENT_SCHEDULE,
    .name = "CosineDecay",
    .parameters = cosine_parameters,
    .summary = "Half a cosine down to alpha times the learning rate, after a linear warm-up if wanted.",
    .formula = "lr * ((1 - alpha) * (1 + cos(pi step / decay_steps)) / 2 + alpha)  (Loshchilov, Hutter 2016)",
    .examples = LINES("optimizer = Adam(CosineDecay(0.001, 10000))",
                      "optimizer = Adam(CosineDecay(0.0, 9000, warmup_target=0.002, warmup_steps=1000))"),
    .checks = LINES(CHECK_OPTIMIZER("SGD(CosineDecay(0.1, 4))"),
                    CHECK_OPTIMIZER("SGD(CosineDecay(0.01, 3, alpha=0.1, warmup_target=0.1, warmup_steps=2))"),
                    CHECK_OPTIMIZER("SGD(CosineDecay(0.01, 3, warmup_target=0.1))")),
    .build.schedule = cosine_decay};

static const Parameter inverse_time_parameters[] = {
    RATE,
    STEPS,
    FLOAT_IN("decay_rate", NULL, 0, LARGE, "added to the divisor per decay_steps updates"),
    BOOLEAN("staircase", "false", "true: change only every decay_steps updates"),
    NAME,
    END};
const Component component_inverse_time_decay = {
    .kind = COMPONENT_SCHEDULE,
    .name = "InverseTimeDecay",
    .parameters = inverse_time_parameters,
    .summary = "Divides the learning rate by a number that grows with the updates.",
    .formula = "initial_learning_rate / (1 + decay_rate * step / decay_steps)",
    .examples = LINES("optimizer = SGD(InverseTimeDecay(0.1, decay_steps=1000, decay_rate=0.5))"),
    .checks = LINES(CHECK_OPTIMIZER("SGD(InverseTimeDecay(0.1, decay_steps=2, decay_rate=0.5))"),
                    CHECK_OPTIMIZER("SGD(InverseTimeDecay(0.1, 2, 0.5, staircase=true))")),
    .build.schedule = inverse_time_decay};

static const Parameter polynomial_parameters[] = {
    RATE,
    STEPS,
    FLOAT_IN("end_learning_rate", "0.0001", 0, LARGE, "learning rate after decay_steps updates"),
    FLOAT_ABOVE("power", "1.0", 0, LARGE, "exponent; 1: a straight line"),
    BOOLEAN("cycle", "false", "true: rises again after each decay_steps updates"),
    NAME,
    END};
const Component component_polynomial_decay = {
    .kind = COMPONENT_SCHEDULE,
    .name = "PolynomialDecay",
    .parameters = polynomial_parameters,
    .summary = "Down to end_learning_rate along a power of the updates that are left.",
    .formula = "(initial_learning_rate - end) * (1 - min(step / decay_steps, 1))^power + end",
    .examples = LINES("optimizer = SGD(PolynomialDecay(0.1, 10000, 0.01, power=0.5))"),
    .checks = LINES(CHECK_OPTIMIZER("SGD(PolynomialDecay(0.1, 3))"),
                    CHECK_OPTIMIZER("SGD(PolynomialDecay(0.1, 2, 0.01, power=2, cycle=true))")),
    .build.schedule = polynomial_decay};

static const Parameter restarts_parameters[] = {
    RATE,
    FLOAT_ABOVE("first_decay_steps", NULL, 0, 1e18, "updates of the first decay"),
    FLOAT_IN("t_mul", "2.0", 1, LARGE, "how much longer each decay is than the one before"),
    FLOAT_ABOVE("m_mul", "1.0", 0, LARGE, "factor of the learning rate that each decay starts from"),
    FLOAT_IN("alpha", "0.0", 0, 1, "smallest learning rate as a share of the first"),
    NAME,
    END};
const Component component_cosine_decay_restarts = {
    .kind = COMPONENT_SCHEDULE,
    .name = "CosineDecayRestarts",
    .parameters = restarts_parameters,
    .summary = "Half a cosine down, again and again.",
    .formula = "lr * ((1 - alpha) * m_mul^i * (1 + cos(pi s)) / 2 + alpha), s: share of restart i  "
               "(Loshchilov, Hutter 2016)",
    .examples = LINES("optimizer = SGD(CosineDecayRestarts(0.1, 1000))"),
    .checks = LINES(CHECK_OPTIMIZER("SGD(CosineDecayRestarts(0.1, 2))"),
                    CHECK_OPTIMIZER("SGD(CosineDecayRestarts(0.1, 1, t_mul=1.0, m_mul=0.5, alpha=0.1))")),
    .build.schedule = cosine_decay_restarts};
