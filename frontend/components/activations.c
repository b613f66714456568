/* Activation functions, as an argument (`activation=relu`, `activation=leaky_relu(0.1)`) or as the layer Activation.
 * Formulas and defaults: keras.activations of Keras 3. */
#include "frontend/components/components.h"

#define CHECK_ACTIVATION(call)                                                                                         \
    CHECK_LAYERS("Input(3)\nDense(4, activation=" call ")\nDense(2)"),                                                 \
        CHECK_LAYERS("Input(3)\nDense(4)\nActivation(" call ")\nDense(2)")
#define ACTIVATION_RECORD(RECORD, NAME, ALIASES, BUILD, PARAMETERS, SUMMARY, FORMULA, EXAMPLE, ...)                    \
    const Component component_activation_##RECORD = {                                                                  \
        .kind = COMPONENT_ACTIVATION,                                                                                  \
        .name = NAME,                                                                                                  \
        .aliases = ALIASES,                                                                                            \
        .parameters = PARAMETERS,                                                                                      \
        .summary = SUMMARY,                                                                                            \
        .formula = FORMULA,                                                                                            \
        .examples = LINES("Dense(64, activation=" EXAMPLE ")", "Activation(" EXAMPLE ")"),                             \
        .checks = LINES(CHECK_ACTIVATION(EXAMPLE), ##__VA_ARGS__),                                                     \
        .build.activation = BUILD}

static const Parameter no_parameters[] = {END};
static const Parameter axis_parameters[] = {INT("axis", "-1", 0, 0, "axis that sums to 1"), END};
static const Parameter alpha_parameters[] = {FLOAT("alpha", "1.0", "limit for very negative x is -alpha"), END};

static Value *linear(Builder *b, const Args *args, Value *x) {
    (void)b, (void)args;
    return x;
}
ACTIVATION_RECORD(linear, "linear", NULL, linear, no_parameters, "The value itself.", "x", "linear");

static Value *relu(Builder *b, const Args *args, Value *x) {
    double largest = arg_is_none(args, "max_value") ? NAN : arg_float(args, "max_value");
    return build_relu(b, x, arg_float(args, "negative_slope"), largest, arg_float(args, "threshold"));
}
static const Parameter relu_parameters[] = {FLOAT("negative_slope", "0.0", "slope below the threshold"),
                                            FLOAT("max_value", "none", "largest value; none: no limit"),
                                            FLOAT("threshold", "0.0", "values up to it count as negative"), END};
ACTIVATION_RECORD(relu, "relu", NULL, relu, relu_parameters, "Rectified linear unit.",
                  "x if x > threshold, at most max_value; else negative_slope * (x - threshold)", "relu",
                  CHECK_ACTIVATION("relu(negative_slope=0.2, max_value=0.5, threshold=0.1)"));

static Value *relu6(Builder *b, const Args *args, Value *x) {
    (void)args;
    return build_relu(b, x, 0, 6, 0);
}
ACTIVATION_RECORD(relu6, "relu6", NULL, relu6, no_parameters, "Rectified linear unit that ends at 6.",
                  "min(max(x, 0), 6)", "relu6");

static Value *leaky_relu(Builder *b, const Args *args, Value *x) {
    return build_leaky(b, x, arg_float(args, "negative_slope"));
}
static const Parameter leaky_relu_parameters[] = {
    FLOAT("negative_slope", "0.2", "slope below 0 (the layer LeakyReLU has 0.3)"), END};
ACTIVATION_RECORD(leaky_relu, "leaky_relu", NULL, leaky_relu, leaky_relu_parameters,
                  "Rectified linear unit with a small slope below 0.", "x if x > 0, else negative_slope * x",
                  "leaky_relu", CHECK_ACTIVATION("leaky_relu(0.1)"));

static Value *elu(Builder *b, const Args *args, Value *x) {
    return build_elu(b, x, arg_float(args, "alpha"));
}
ACTIVATION_RECORD(elu, "elu", NULL, elu, alpha_parameters, "Exponential linear unit.",
                  "x if x > 0, else alpha * (exp(x) - 1)  (Clevert et al. 2015)", "elu",
                  CHECK_ACTIVATION("elu(alpha=0.7)"));

static Value *selu(Builder *b, const Args *args, Value *x) {
    (void)args;
    return build_scale(b, build_elu(b, x, 1.6732632423543772), 1.0507009873554805);
}
ACTIVATION_RECORD(selu, "selu", NULL, selu, no_parameters, "Scaled exponential linear unit.",
                  "1.0507009873554805 * (x if x > 0, else 1.6732632423543772 * (exp(x) - 1))  (Klambauer et al. 2017)",
                  "selu");

/* max(x, 0) + alpha * expm1(min(x, 0) / alpha); the min comes first so that exp never overflows. */
static Value *celu(Builder *b, const Args *args, Value *x) {
    if (!x)
        return NULL;
    double alpha = arg_float(args, "alpha");
    Value *zero = build_like(b, x, 0);
    Value *below = build_map1(b, FN_expm1, build_scale(b, build_min(b, x, zero), 1 / alpha));
    return build_add(b, build_max(b, zero, x), build_scale(b, below, alpha));
}
static const Parameter celu_parameters[] = {
    FLOAT_ABOVE("alpha", "1.0", 0, LARGE, "limit for very negative x is -alpha"), END};
ACTIVATION_RECORD(celu, "celu", NULL, celu, celu_parameters, "Continuously differentiable exponential linear unit.",
                  "max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1)  (Barron 2017)", "celu",
                  CHECK_ACTIVATION("celu(alpha=0.6)"));

static Value *gelu(Builder *b, const Args *args, Value *x) {
    if (!x)
        return NULL;
    if (arg_bool(args, "approximate")) { /* 1/2 (1 + tanh(y)) = sigmoid(2 y) */
        double slope = 1.5957691216057308; /* 2 sqrt(2 / pi) */
        Value *cube = build_map2(b, FN_pow, x, build_like(b, x, 3));
        Value *y = build_add(b, build_scale(b, x, slope), build_scale(b, cube, 0.044715 * slope));
        return build_mul(b, x, build_map1(b, FN_sigmoid, y));
    }
    Value *erf = build_map1(b, FN_erf, build_scale(b, x, 0.7071067811865476)); /* 1 / sqrt(2) */
    return build_mul(b, x, build_scale(b, build_shift(b, erf, 1), 0.5));
}
static const Parameter gelu_parameters[] = {BOOLEAN("approximate", "false", "true: the form with tanh instead of erf"),
                                            END};
ACTIVATION_RECORD(gelu, "gelu", NULL, gelu, gelu_parameters, "Gaussian error linear unit.",
                  "0.5 x (1 + erf(x / sqrt(2))); approximate: 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))  "
                  "(Hendrycks, Gimpel 2016)",
                  "gelu", CHECK_ACTIVATION("gelu(approximate=true)"));

static Value *sigmoid(Builder *b, const Args *args, Value *x) {
    (void)args;
    return build_map1(b, FN_sigmoid, x);
}
ACTIVATION_RECORD(sigmoid, "sigmoid", NULL, sigmoid, no_parameters, "Between 0 and 1: a probability.",
                  "1 / (1 + exp(-x))", "sigmoid");

static Value *tanh_(Builder *b, const Args *args, Value *x) {
    (void)args;
    return build_map1(b, FN_tanh, x);
}
ACTIVATION_RECORD(tanh, "tanh", NULL, tanh_, no_parameters, "Hyperbolic tangent, between -1 and 1.", "tanh(x)", "tanh");

static Value *exponential(Builder *b, const Args *args, Value *x) {
    (void)args;
    return build_map1(b, FN_exp, x);
}
ACTIVATION_RECORD(exponential, "exponential", NULL, exponential, no_parameters, "Exponential function.", "exp(x)",
                  "exponential");

static Value *softplus(Builder *b, const Args *args, Value *x) {
    (void)args;
    return build_map1(b, FN_softplus, x);
}
ACTIVATION_RECORD(softplus, "softplus", NULL, softplus, no_parameters, "Smooth form of relu.", "log(1 + exp(x))",
                  "softplus");

static Value *softsign(Builder *b, const Args *args, Value *x) {
    (void)args;
    return build_div(b, x, build_shift(b, build_map1(b, FN_abs, x), 1));
}
ACTIVATION_RECORD(softsign, "softsign", NULL, softsign, no_parameters, "Between -1 and 1, with slow tails.",
                  "x / (1 + |x|)", "softsign");

static Value *silu(Builder *b, const Args *args, Value *x) {
    (void)args;
    return build_mul(b, x, build_map1(b, FN_sigmoid, x));
}
ACTIVATION_RECORD(silu, "silu", "swish", silu, no_parameters, "Sigmoid linear unit, also called swish.",
                  "x * sigmoid(x)  (Ramachandran et al. 2017)", "silu");

static Value *hard_sigmoid_of(Builder *b, Value *x) {
    return build_scale(b, build_relu(b, build_shift(b, x, 3), 0, 6, 0), 1.0 / 6);
}
static Value *hard_sigmoid(Builder *b, const Args *args, Value *x) {
    (void)args;
    return hard_sigmoid_of(b, x);
}
ACTIVATION_RECORD(hard_sigmoid, "hard_sigmoid", NULL, hard_sigmoid, no_parameters, "Sigmoid made of straight lines.",
                  "relu6(x + 3) / 6", "hard_sigmoid");

static Value *hard_silu(Builder *b, const Args *args, Value *x) {
    (void)args;
    return build_mul(b, x, hard_sigmoid_of(b, x));
}
ACTIVATION_RECORD(hard_silu, "hard_silu", "hard_swish", hard_silu, no_parameters, "silu made of straight lines.",
                  "x * relu6(x + 3) / 6", "hard_silu");

static Value *mish(Builder *b, const Args *args, Value *x) {
    (void)args;
    return build_mul(b, x, build_map1(b, FN_tanh, build_map1(b, FN_softplus, x)));
}
ACTIVATION_RECORD(mish, "mish", NULL, mish, no_parameters, "Smooth and not monotonic.",
                  "x * tanh(softplus(x))  (Misra 2019)", "mish");

static Value *log_sigmoid(Builder *b, const Args *args, Value *x) {
    (void)args;
    return build_map1(b, FN_neg, build_map1(b, FN_softplus, build_map1(b, FN_neg, x)));
}
ACTIVATION_RECORD(log_sigmoid, "log_sigmoid", NULL, log_sigmoid, no_parameters, "Logarithm of sigmoid.",
                  "-softplus(-x)", "log_sigmoid");

static Value *hard_tanh(Builder *b, const Args *args, Value *x) {
    (void)args;
    return build_clip(b, x, -1, 1);
}
ACTIVATION_RECORD(hard_tanh, "hard_tanh", NULL, hard_tanh, no_parameters, "tanh made of straight lines.",
                  "min(max(x, -1), 1)", "hard_tanh");

static Value *tanh_shrink(Builder *b, const Args *args, Value *x) {
    (void)args;
    return build_sub(b, x, build_map1(b, FN_tanh, x));
}
ACTIVATION_RECORD(tanh_shrink, "tanh_shrink", NULL, tanh_shrink, no_parameters, "x without its bounded part.",
                  "x - tanh(x)", "tanh_shrink");

static Value *soft_shrink(Builder *b, const Args *args, Value *x) {
    if (!x)
        return NULL;
    double t = arg_float(args, "threshold");
    return build_sub(b, x, build_clip(b, x, -t, t));
}
static const Parameter shrink_parameters[] = {FLOAT_IN("threshold", "0.5", 0, LARGE, "values nearer to 0 become 0"),
                                              END};
ACTIVATION_RECORD(soft_shrink, "soft_shrink", NULL, soft_shrink, shrink_parameters,
                  "Moves x towards 0 by the threshold.", "sign(x) * max(|x| - threshold, 0)", "soft_shrink",
                  CHECK_ACTIVATION("soft_shrink(0.2)"));

static Value *hard_shrink(Builder *b, const Args *args, Value *x) {
    if (!x)
        return NULL;
    return build_where(b, FN_le, build_map1(b, FN_abs, x), arg_float(args, "threshold"), build_like(b, x, 0), x);
}
ACTIVATION_RECORD(hard_shrink, "hard_shrink", NULL, hard_shrink, shrink_parameters, "0 near 0, else the value itself.",
                  "x if |x| > threshold, else 0", "hard_shrink", CHECK_ACTIVATION("hard_shrink(0.2)"));

static Value *threshold(Builder *b, const Args *args, Value *x) {
    if (!x)
        return NULL;
    return build_where(b, FN_le, x, arg_float(args, "threshold"), build_like(b, x, arg_float(args, "default_value")),
                       x);
}
static const Parameter threshold_parameters[] = {FLOAT("threshold", NULL, "values up to it are replaced"),
                                                 FLOAT("default_value", NULL, "what replaces them"), END};
ACTIVATION_RECORD(threshold, "threshold", NULL, threshold, threshold_parameters, "Replaces small values.",
                  "x if x > threshold, else default_value", "threshold(0.1, 0.5)");

static Value *squareplus(Builder *b, const Args *args, Value *x) {
    Value *root = build_map1(b, FN_sqrt, build_shift(b, build_square(b, x), arg_float(args, "b")));
    return build_scale(b, build_add(b, x, root), 0.5);
}
static const Parameter squareplus_parameters[] = {FLOAT_ABOVE("b", "4", 0, LARGE, "width of the bend"), END};
ACTIVATION_RECORD(squareplus, "squareplus", NULL, squareplus, squareplus_parameters, "Smooth form of relu without exp.",
                  "(x + sqrt(x^2 + b)) / 2  (Barron 2021)", "squareplus", CHECK_ACTIVATION("squareplus(b=2)"));

/* On [-1, 1] the parabola; the clip keeps it there, the relu of what lies above adds the line. */
static Value *sparse_plus(Builder *b, const Args *args, Value *x) {
    (void)args;
    if (!x)
        return NULL;
    Value *parabola = build_scale(b, build_square(b, build_shift(b, build_clip(b, x, -1, 1), 1)), 0.25);
    return build_add(b, parabola, build_relu(b, build_shift(b, x, -1), 0, NAN, 0));
}
ACTIVATION_RECORD(sparse_plus, "sparse_plus", NULL, sparse_plus, no_parameters,
                  "Smooth form of relu that is exactly 0 below -1.", "0 if x <= -1, (x + 1)^2 / 4 if x < 1, else x",
                  "sparse_plus");

static Value *sparse_sigmoid(Builder *b, const Args *args, Value *x) {
    (void)args;
    return build_clip(b, build_scale(b, build_shift(b, x, 1), 0.5), 0, 1);
}
ACTIVATION_RECORD(sparse_sigmoid, "sparse_sigmoid", NULL, sparse_sigmoid, no_parameters, "Derivative of sparse_plus.",
                  "min(max((x + 1) / 2, 0), 1)", "sparse_sigmoid");

static bool one_axis(Builder *b, const Args *args, Value *x, AxesAttr *over) {
    if (!x)
        return false;
    over->count = 1;
    over->axes[0] = axis_of(b->module->diag, arg_get(args, "axis")->span, arg_int(args, "axis"), x->type->rank);
    return over->axes[0] >= 0;
}

static Value *softmax(Builder *b, const Args *args, Value *x) {
    AxesAttr over;
    return one_axis(b, args, x, &over) ? build_softmax(b, x, &over) : NULL;
}
ACTIVATION_RECORD(softmax, "softmax", NULL, softmax, axis_parameters, "Probabilities of classes: positive, with sum 1.",
                  "exp(x - max(x)) / sum(exp(x - max(x)))", "softmax",
                  CHECK_LAYERS("Input((2, 3))\nDense(3, activation=softmax(axis=1))\nDense(2)"));

static Value *log_softmax(Builder *b, const Args *args, Value *x) {
    AxesAttr over;
    return one_axis(b, args, x, &over) ? build_log_softmax(b, x, &over) : NULL;
}
ACTIVATION_RECORD(log_softmax, "log_softmax", NULL, log_softmax, axis_parameters, "Logarithm of softmax.",
                  "x - max(x) - log(sum(exp(x - max(x))))", "log_softmax",
                  CHECK_LAYERS("Input((2, 3))\nDense(3, activation=log_softmax(axis=1))\nDense(2)"));

static Value *glu_half(Builder *b, Value *x, int axis, int half) {
    int64_t start[MAX_RANK] = {0}, stride[MAX_RANK];
    for (int i = 0; i < MAX_RANK; i++)
        stride[i] = 1;
    int64_t extent = x->type->dims[axis].n / 2;
    start[axis] = half * extent;
    return build_slice(b, x, start, stride, type_with_axis(b->module, x->type, axis, dim_static(extent)));
}

static Value *glu(Builder *b, const Args *args, Value *x) {
    AxesAttr over;
    if (!one_axis(b, args, x, &over))
        return NULL;
    int axis = over.axes[0];
    if (x->type->dims[axis].n % 2) {
        diag_error(b->module->diag, b->span, "glu halves axis %d, but its extent is odd: input %s", axis,
                   type_words(b->module->arena, x->type));
        return NULL;
    }
    return build_mul(b, glu_half(b, x, axis, 0), build_map1(b, FN_sigmoid, glu_half(b, x, axis, 1)));
}
static const Parameter glu_parameters[] = {INT("axis", "-1", 0, 0, "axis that is halved"), END};
ACTIVATION_RECORD(glu, "glu", NULL, glu, glu_parameters, "Gated linear unit: one half of the features opens the other.",
                  "a * sigmoid(b), where x = [a, b] along the axis  (Dauphin et al. 2017)", "glu");
