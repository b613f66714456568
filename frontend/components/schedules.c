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
