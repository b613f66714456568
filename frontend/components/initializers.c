/* Initial values of weights. fan_in and fan_out come from the shape of the weight, as Keras counts them. */
#include "frontend/components/components.h"

#define SEED INT("seed", "none", 0, LARGE, "seed of its own; none: from the run's seed")
#define INITIALIZED(text) CHECK_LAYERS("Input(3)\nDense(4, activation=tanh, kernel_initializer=" text ")\nDense(2)")
#define INITIALIZER_RECORD(RECORD, NAME, ALIASES, PARAMETERS, SUMMARY, FORMULA, BUILD, EXAMPLE, ...)                   \
    const Component component_initializer_##RECORD = {.kind = COMPONENT_INITIALIZER,                                   \
                                                      .name = NAME,                                                    \
                                                      .aliases = ALIASES,                                              \
                                                      .parameters = PARAMETERS,                                        \
                                                      .summary = SUMMARY,                                              \
                                                      .formula = FORMULA,                                              \
                                                      .examples = LINES("Dense(64, kernel_initializer=" EXAMPLE ")"),  \
                                                      .checks = LINES(__VA_ARGS__),                                    \
                                                      .build.initializer = BUILD}

static Init init_of(const Args *args, InitKind kind, double a, double b) {
    return (Init){.kind = kind, .a = a, .b = b, .seed = arg_is_none(args, "seed") ? -1 : arg_int(args, "seed")};
}
static Init constant_init(double value) {
    return (Init){.kind = INIT_CONSTANT, .a = value, .seed = -1};
}

static Init zeros(const Args *args, double fan_in, double fan_out) {
    (void)args, (void)fan_in, (void)fan_out;
    return constant_init(0);
}
static Init ones(const Args *args, double fan_in, double fan_out) {
    (void)args, (void)fan_in, (void)fan_out;
    return constant_init(1);
}
static Init constant(const Args *args, double fan_in, double fan_out) {
    (void)fan_in, (void)fan_out;
    return constant_init(arg_float(args, "value"));
}
static Init random_normal(const Args *args, double fan_in, double fan_out) {
    (void)fan_in, (void)fan_out;
    return init_of(args, INIT_NORMAL, arg_float(args, "mean"), arg_float(args, "stddev"));
}
static Init truncated_normal(const Args *args, double fan_in, double fan_out) {
    (void)fan_in, (void)fan_out;
    return init_of(args, INIT_TRUNCATED_NORMAL, arg_float(args, "mean"), arg_float(args, "stddev"));
}
static Init random_uniform(const Args *args, double fan_in, double fan_out) {
    (void)fan_in, (void)fan_out;
    return init_of(args, INIT_UNIFORM, arg_float(args, "minval"), arg_float(args, "maxval"));
}
static Init orthogonal(const Args *args, double fan_in, double fan_out) {
    (void)fan_in, (void)fan_out;
    return init_of(args, INIT_ORTHOGONAL, arg_float(args, "gain"), 0);
}
static Init identity(const Args *args, double fan_in, double fan_out) {
    (void)fan_in, (void)fan_out;
    return (Init){.kind = INIT_IDENTITY, .a = arg_float(args, "gain"), .seed = -1};
}

/* Variance scale / max(1, n). A normal distribution cut at two deviations has the deviation 0.8796... of the uncut one.
 */
static Init scaled(const Args *args, double scale, double n, const char *distribution) {
    double variance = scale / (n > 1 ? n : 1);
    if (strcmp(distribution, "uniform") == 0)
        return init_of(args, INIT_UNIFORM, -sqrt(3 * variance), sqrt(3 * variance));
    if (strcmp(distribution, "untruncated_normal") == 0)
        return init_of(args, INIT_NORMAL, 0, sqrt(variance));
    return init_of(args, INIT_TRUNCATED_NORMAL, 0, sqrt(variance) / 0.87962566103423978);
}
static Init variance_scaling(const Args *args, double fan_in, double fan_out) {
    const char *mode = arg_text(args, "mode");
    double n = strcmp(mode, "fan_in") == 0 ? fan_in : strcmp(mode, "fan_out") == 0 ? fan_out : (fan_in + fan_out) / 2;
    return scaled(args, arg_float(args, "scale"), n, arg_text(args, "distribution"));
}

static const Parameter no_parameters[] = {END};
static const Parameter seed_parameters[] = {SEED, END};
static const Parameter constant_parameters[] = {FLOAT("value", "0.0", "the value"), END};
static const Parameter normal_parameters[] = {FLOAT("mean", "0.0", "mean"),
                                              FLOAT_IN("stddev", "0.05", 0, LARGE, "standard deviation"), SEED, END};
static const Parameter uniform_parameters[] = {FLOAT("minval", "-0.05", "smallest value"),
                                               FLOAT("maxval", "0.05", "largest value (not reached)"), SEED, END};
static const Parameter orthogonal_parameters[] = {FLOAT("gain", "1.0", "factor"), SEED, END};
static const Parameter identity_parameters[] = {FLOAT("gain", "1.0", "value on the diagonal"), END};
static const Parameter scaling_parameters[] = {
    FLOAT_ABOVE("scale", "1.0", 0, LARGE, "factor of the variance"),
    CHOICE("mode", "fan_in", "fan_in|fan_out|fan_avg", "what the variance is divided by"),
    CHOICE("distribution", "truncated_normal", "truncated_normal|untruncated_normal|uniform",
           "distribution of the values"),
    SEED, END};

INITIALIZER_RECORD(zeros, "Zeros", "zeros|zero", no_parameters, "All 0.", "0", zeros, "zeros",
                   CHECK_LAYERS("Input(3)\nDense(4, activation=tanh, bias_initializer=zeros)\nDense(2)"));
INITIALIZER_RECORD(ones, "Ones", "ones|one", no_parameters, "All 1.", "1", ones, "ones", INITIALIZED("ones"));
INITIALIZER_RECORD(constant, "Constant", "constant", constant_parameters, "All the same value.", "value", constant,
                   "Constant(0.1)", INITIALIZED("Constant(0.3)"));
INITIALIZER_RECORD(random_normal, "RandomNormal", "random_normal|normal", normal_parameters, "Normal distribution.",
                   "N(mean, stddev^2)", random_normal, "RandomNormal(stddev=0.02)", INITIALIZED("random_normal"),
                   INITIALIZED("RandomNormal(mean=0.1, stddev=0.5, seed=7)"));
INITIALIZER_RECORD(random_uniform, "RandomUniform", "random_uniform|uniform", uniform_parameters,
                   "Uniform distribution.", "U[minval, maxval)", random_uniform, "RandomUniform(-0.1, 0.1)",
                   INITIALIZED("uniform"), INITIALIZED("RandomUniform(-0.5, 0.7, seed=3)"));
INITIALIZER_RECORD(truncated_normal, "TruncatedNormal", "truncated_normal", normal_parameters,
                   "Normal distribution; values beyond two deviations are drawn again.",
                   "N(mean, stddev^2) within 2 stddev", truncated_normal, "TruncatedNormal(stddev=0.02)",
                   INITIALIZED("truncated_normal"), INITIALIZED("TruncatedNormal(stddev=0.5)"));
INITIALIZER_RECORD(variance_scaling, "VarianceScaling", "variance_scaling", scaling_parameters,
                   "The family that Glorot, He and Lecun belong to.",
                   "variance = scale / n, n = fan_in, fan_out or their mean", variance_scaling,
                   "VarianceScaling(2.0, mode=fan_out)",
                   INITIALIZED("VarianceScaling(2.0, mode=fan_out, distribution=uniform)"),
                   INITIALIZED("VarianceScaling(mode=fan_avg, distribution=untruncated_normal)"));
INITIALIZER_RECORD(orthogonal, "Orthogonal", "orthogonal|OrthogonalInitializer", orthogonal_parameters,
                   "Orthonormal columns (or rows), by QR of a random normal matrix.", "gain * Q", orthogonal,
                   "Orthogonal()", INITIALIZED("orthogonal"), INITIALIZED("Orthogonal(gain=1.5, seed=2)"));
INITIALIZER_RECORD(identity, "Identity", "identity|IdentityInitializer", identity_parameters,
                   "gain on the diagonal, else 0; for matrices.", "gain * I", identity, "Identity()",
                   INITIALIZED("Identity(gain=0.5)"));

#define SCALED(RECORD, NAME, SNAKE, SUMMARY, FORMULA, SCALE, N, DISTRIBUTION)                                          \
    static Init RECORD(const Args *args, double fan_in, double fan_out) {                                              \
        (void)fan_in, (void)fan_out;                                                                                   \
        return scaled(args, SCALE, N, DISTRIBUTION);                                                                   \
    }                                                                                                                  \
    INITIALIZER_RECORD(RECORD, NAME, SNAKE, seed_parameters, SUMMARY, FORMULA, RECORD, SNAKE, INITIALIZED(SNAKE),      \
                       INITIALIZED(NAME "(seed=5)"))
SCALED(glorot_uniform, "GlorotUniform", "glorot_uniform", "Keras' default; for tanh and softmax.",
       "U[-l, l), l = sqrt(6 / (fan_in + fan_out))  (Glorot, Bengio 2010)", 1, (fan_in + fan_out) / 2, "uniform");
SCALED(glorot_normal, "GlorotNormal", "glorot_normal", "Glorot's rule with a normal distribution.",
       "truncated N, deviation sqrt(2 / (fan_in + fan_out))  (Glorot, Bengio 2010)", 1, (fan_in + fan_out) / 2,
       "truncated_normal");
SCALED(he_uniform, "HeUniform", "he_uniform", "For relu, uniform.", "U[-l, l), l = sqrt(6 / fan_in)  (He et al. 2015)",
       2, fan_in, "uniform");
SCALED(he_normal, "HeNormal", "he_normal", "For relu, normal.",
       "truncated N, deviation sqrt(2 / fan_in)  (He et al. 2015)", 2, fan_in, "truncated_normal");
SCALED(lecun_uniform, "LecunUniform", "lecun_uniform", "For selu, uniform.",
       "U[-l, l), l = sqrt(3 / fan_in)  (LeCun et al. 1998)", 1, fan_in, "uniform");
SCALED(lecun_normal, "LecunNormal", "lecun_normal", "For selu, normal.",
       "truncated N, deviation sqrt(1 / fan_in)  (LeCun et al. 1998)", 1, fan_in, "truncated_normal");
