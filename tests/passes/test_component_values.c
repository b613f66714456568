/* Values of components against formulas written here a second time: all activations over a wide range, and what the
 * fixtures of Keras do not reach (merging, dropout, top-k metrics, amsgrad, axes other than the last, preprocessing).
 */
#include "component_harness.h"
#include "frontend/component.h"
#include "passes/pass.h"
#include "test.h"

static double number(double x) {
    return x;
}
static double relu(double x) {
    return x > 0 ? x : 0;
}
static double relu_all(double x) {
    double y = x > 0.5 ? (x < 2 ? x : 2) : 0;
    return x > 0.5 ? y : y - 0.1 * (0.5 - x);
}
static double relu_negative_threshold(double x) {
    return x > -1 ? x : 0;
}
static double relu6(double x) {
    return x < 0 ? 0 : x < 6 ? x : 6;
}
static double leaky(double x) {
    return x > 0 ? x : 0.2 * x;
}
static double elu(double x) {
    return x > 0 ? x : 0.7 * (exp(x) - 1);
}
static double selu(double x) {
    return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * (exp(x) - 1));
}
static double celu(double x) {
    return x > 0 ? x : 0.6 * (exp(x / 0.6) - 1);
}
static double gelu(double x) {
    return x * 0.5 * erfc(-x / sqrt(2));
}
static double gelu_tanh(double x) {
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}
static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}
static double hard_sigmoid(double x) {
    return relu6(x + 3) / 6;
}
static double softplus(double x) {
    return x > 30 ? x : log(1 + exp(x));
}
static double softsign(double x) {
    return x / (1 + fabs(x));
}
static double silu(double x) {
    return x * sigmoid(x);
}
static double hard_silu(double x) {
    return x * hard_sigmoid(x);
}
static double mish(double x) {
    return x * tanh(softplus(x));
}
static double log_sigmoid(double x) {
    return log(sigmoid(x));
}
static double hard_tanh(double x) {
    return x < -1 ? -1 : x < 1 ? x : 1;
}
static double tanh_shrink(double x) {
    return x - tanh(x);
}
static double soft_shrink(double x) {
    return x > 0.3 ? x - 0.3 : x < -0.3 ? x + 0.3 : 0;
}
static double hard_shrink(double x) {
    return fabs(x) > 0.3 ? x : 0;
}
static double threshold(double x) {
    return x > 0.1 ? x : -5;
}
static double squareplus(double x) {
    return (x + sqrt(x * x + 2)) / 2;
}
static double sparse_plus(double x) {
    return x <= -1 ? 0 : x < 1 ? (x + 1) * (x + 1) / 4 : x;
}
static double sparse_sigmoid(double x) {
    return x <= -1 ? 0 : x < 1 ? (x + 1) / 2 : 1;
}

static const struct {
    const char *call;
    double (*meaning)(double);
} activations[] = {
    {"linear", number},
    {"relu", relu},
    {"relu(negative_slope=0.1, max_value=2, threshold=0.5)", relu_all},
    {"relu(threshold=-1)", relu_negative_threshold},
    {"relu6", relu6},
    {"leaky_relu", leaky},
    {"elu(alpha=0.7)", elu},
    {"selu", selu},
    {"celu(0.6)", celu},
    {"gelu", gelu},
    {"gelu(approximate=true)", gelu_tanh},
    {"sigmoid", sigmoid},
    {"hard_sigmoid", hard_sigmoid},
    {"tanh", tanh},
    {"softplus", softplus},
    {"softsign", softsign},
    {"silu", silu},
    {"swish", silu},
    {"hard_silu", hard_silu},
    {"hard_swish", hard_silu},
    {"mish", mish},
    {"exponential", exp},
    {"log_sigmoid", log_sigmoid},
    {"hard_tanh", hard_tanh},
    {"tanh_shrink", tanh_shrink},
    {"soft_shrink(0.3)", soft_shrink},
    {"hard_shrink(0.3)", hard_shrink},
    {"threshold(0.1, -5)", threshold},
    {"squareplus(2)", squareplus},
    {"sparse_plus", sparse_plus},
    {"sparse_sigmoid", sparse_sigmoid},
};

enum { CAPACITY = 512 };

/* Compiles, runs one function on `batch` rows and copies its result; false if anything goes wrong. `training` removes
 * grad first. Variables start as their initializers say where these are constants, else as given by `variables`. */
typedef struct {
    Compiled compiled;
    Interp *interp;
    const Func *func;
    Tensor results[HARNESS_RESULTS];
    HarnessData data;
} Example;

static bool begin(Example *e, const char *text, const char *function, int batch) {
    static const char *const names[] = {"simplify", "autodiff"};
    *e = (Example){.compiled = harness_compile("example", text)};
    bool good = e->compiled.program != NULL;
    Module *module = good ? e->compiled.program->module : NULL;
    PassContext context = pass_context(e->compiled.diag, NULL, NULL);
    good = good && passes_run(module, &context, names, 2) && (e->func = module_find_func(module, function)) != NULL;
    CHECK(good);
    if (!good)
        return false;
    e->interp = interp_new(e->compiled.arena, module, batch);
    for (int i = 0; i < module->variable_count; i++)
        for (int64_t k = 0; k < e->interp->variables[i].count; k++)
            e->interp->variables[i].data[k] = module->variables[i]->init.a;
    for (int i = 0; i < e->func->body.arg_count; i++) {
        Tensor t = interp_tensor(e->interp, e->func->body.args[i]->type);
        if (e->func->arg_kinds[i] == ARG_TARGET)
            e->data.y = t;
        else if (e->func->arg_kinds[i] == ARG_INPUT || e->func->arg_kinds[i] == ARG_RAW_INPUT)
            e->data.x = t;
    }
    return true;
}

static bool go(Example *e) {
    bool good = harness_run(e->interp, e->func, &e->data, e->results);
    CHECK(good);
    return good;
}

static void end(Example *e) {
    CHECK(harness_complaints(&e->compiled, "example") == 0);
    harness_free(&e->compiled);
}

static void set(Tensor *t, const double *values) {
    memcpy(t->data, values, sizeof(double) * (size_t)t->count);
}

static void check_values(const Tensor *got, const double *expected, int64_t count, double tolerance) {
    CHECK(got->count == count);
    for (int64_t i = 0; i < count && i < got->count; i++)
        CHECK_NEAR(got->data[i], expected[i], tolerance);
}

static double *variable(Example *e, const char *name) {
    const Variable *v = module_find_variable(e->compiled.program->module, name);
    CHECK(v != NULL);
    static double nothing[CAPACITY];
    return v ? e->interp->variables[v->id].data : nothing;
}

/* forward of layers on given rows, against expected values. */
static void forward(const char *layers, int batch, const double *x, const double *expected, int64_t count) {
    char text[1024];
    snprintf(text, sizeof text, "model m {\n%s\n}\n", layers);
    Example e;
    if (begin(&e, text, "forward", batch)) {
        set(&e.data.x, x);
        if (go(&e))
            check_values(&e.results[0], expected, count, 1e-12);
    }
    end(&e);
}

static void test_activations(void) {
    enum { POINTS = 241 };
    double x[POINTS], y[POINTS];
    for (int i = 0; i < POINTS; i++)
        x[i] = (i - 120) * 0.0625 + (i == 120 ? 0 : 0.003);
    for (size_t k = 0; k < sizeof activations / sizeof *activations; k++) {
        char layers[256];
        snprintf(layers, sizeof layers, "Input(%d)\nActivation(%s)", POINTS, activations[k].call);
        for (int i = 0; i < POINTS; i++)
            y[i] = activations[k].meaning(x[i]);
        int failed = test_failed;
        forward(layers, 1, x, y, POINTS);
        if (test_failed > failed)
            printf("  in activation %s\n", activations[k].call);
    }
}

/* NaN must come out as NaN, and infinities must not become NaN where the function has a limit. */
static void test_special_values(void) {
    for (size_t k = 0; k < sizeof activations / sizeof *activations; k++) {
        char text[256];
        snprintf(text, sizeof text, "model m {\nInput(3)\nActivation(%s)\n}\n", activations[k].call);
        Example e;
        if (begin(&e, text, "forward", 1)) {
            set(&e.data.x, (double[]){NAN, 700, -700});
            if (go(&e)) {
                bool nan = isnan(e.results[0].data[0]) && !isnan(e.results[0].data[1]) && !isnan(e.results[0].data[2]);
                if (!nan)
                    printf("  in activation %s\n", activations[k].call);
                CHECK(nan);
            }
        }
        end(&e);
    }
}

static void test_softmax(void) {
    double e1 = exp(1), e2 = exp(2), e3 = exp(3), sum = e1 + e2 + e3;
    const double p[] = {e1 / sum, e2 / sum, e3 / sum}, log_p[] = {1 - log(sum), 2 - log(sum), 3 - log(sum)};
    forward("Input(3)\nActivation(softmax)", 1, (double[]){1, 2, 3}, p, 3);
    forward("Input(3)\nSoftmax()", 1, (double[]){1001, 1002, 1003}, p, 3);
    forward("Input(3)\nActivation(log_softmax)", 1, (double[]){-999, -998, -997}, log_p, 3);
    forward("Input((3, 1))\nActivation(softmax(axis=1))", 1, (double[]){1, 2, 3}, p, 3);
    forward("Input((3, 1))\nSoftmax(axis=(1, 2))", 1, (double[]){1, 2, 3}, p, 3);
    forward("Input(4)\nActivation(glu)", 1, (double[]){2, -3, 0.5, 1}, (double[]){2 * sigmoid(0.5), -3 * sigmoid(1)},
            2);
}

static void test_shapes_and_merging(void) {
    forward("Input((2, 2))\nReshape((-1, 1))\nFlatten()\nRescaling(2, offset=1)", 1, (double[]){1, 2, 3, 4},
            (double[]){3, 5, 7, 9}, 4);
    forward("Input(2)\nAdd {\n{ Rescaling(2) }\n{ }\n{ Rescaling(10) }\n}", 1, (double[]){1, 2}, (double[]){13, 26}, 2);
    forward("Input(2)\nAverage {\n{ Rescaling(2) }\n{ }\n}", 1, (double[]){1, 2}, (double[]){1.5, 3}, 2);
    forward("Input(2)\nMultiply {\n{ Rescaling(2) }\n{ }\n}", 1, (double[]){3, -2}, (double[]){18, 8}, 2);
    forward("Input(2)\nMaximum {\n{ Rescaling(2) }\n{ }\n}", 1, (double[]){3, -2}, (double[]){6, -2}, 2);
    forward("Input(2)\nMinimum {\n{ Rescaling(2) }\n{ }\n}", 1, (double[]){3, -2}, (double[]){3, -4}, 2);
    forward("Input(2)\nConcatenate {\n{ Rescaling(2) }\n{ }\n}", 2, (double[]){1, 2, 3, 4},
            (double[]){2, 4, 1, 2, 6, 8, 3, 4}, 8);
    forward("Input((2, 1))\nConcatenate(axis=1) {\n{ Rescaling(2) }\n{ }\n}", 1, (double[]){1, 2},
            (double[]){2, 4, 1, 2}, 4);
    forward("Input(2)\nResidual { Rescaling(3) }", 1, (double[]){1, 2}, (double[]){4, 8}, 2);
    forward("Input(2)\nRepeat(3) { Rescaling(2) }", 1, (double[]){1, 2}, (double[]){8, 16}, 2);
    /* (B, 2, 1) + (B, 2): the lower rank gets an axis of 1 after the batch, (B, 1, 2), as in Keras */
    forward("Input((2, 1))\nAdd {\n{ }\n{ Flatten(), Rescaling(10) }\n}", 1, (double[]){1, 2},
            (double[]){11, 21, 12, 22}, 4);
}

static void test_normalisation(void) {
    /* axis=1 of (B, 2, 2): statistics over batch and last axis; frozen: moving averages even in training */
    double r = 1 / sqrt(1.25 + 0.001);
    const char *text = "model m {\nInput((2, 2))\nBatchNormalization(axis=1, momentum=0.5)\n}\ncompile {\nloss = mse\n"
                       "optimizer = SGD(0.0)\n}\nfit { batch_size = 2 }\n";
    Example e;
    if (begin(&e, text, "train_step", 2)) {
        set(&e.data.x, (double[]){1, 2, 10, 10, 3, 4, 10, 10});
        if (go(&e)) {
            check_values(&(Tensor){.count = 2, .data = variable(&e, "batch_normalization/moving_mean")},
                         (double[]){1.25, 5}, 2, 1e-12);
            check_values(&(Tensor){.count = 2, .data = variable(&e, "batch_normalization/moving_variance")},
                         (double[]){1.125, 0.5}, 2, 1e-12);
            double square = 2 * (1.5 * r * 1.5 * r + 0.5 * r * 0.5 * r) / 8; /* y against targets of 0 */
            CHECK_NEAR(e.results[0].data[0] / e.results[1].data[0], square, 1e-12);
        }
    }
    end(&e);
    forward("Input((2, 2))\nLayerNormalization(axis=(1, 2))", 1, (double[]){1, 2, 3, 4},
            (double[]){-1.5 * r, -0.5 * r, 0.5 * r, 1.5 * r}, 4);
    double one = 1 / sqrt(1 + 0.001);
    forward("Input(2)\nBatchNormalization()", 1, (double[]){1, 2}, (double[]){one, 2 * one}, 2);
    if (begin(&e,
              "model m {\nInput(2)\nBatchNormalization(trainable=false)\nDense(1)\n}\ncompile {\nloss = mse\n}\n"
              "fit { batch_size = 2 }\n",
              "train_step", 2)) {
        set(&e.data.x, (double[]){1, 2, 3, 4});
        if (go(&e)) {
            CHECK_NEAR(variable(&e, "batch_normalization/moving_mean")[0], 0, 0);
            CHECK_NEAR(variable(&e, "batch_normalization/gamma")[0], 1, 0);
        }
    }
    end(&e);
}

/* The loss of 400 ones in each of 4 rows against targets of 0: the mean square of what dropout leaves of them. */
static double dropout_loss(const char *layer, double seed) {
    char text[512];
    double loss = NAN;
    snprintf(text, sizeof text,
             "model m {\nInput(400)\n%s\nDense(400, kernel_initializer=identity)\n}\ncompile {\nloss = mse\n"
             "optimizer = SGD(0)\n}\nfit { batch_size = 4 }\n",
             layer);
    Example e;
    if (begin(&e, text, "train_step", 4)) {
        double *kernel = variable(&e, "dense/kernel");
        for (int i = 0; i < 400; i++)
            for (int k = 0; k < 400; k++)
                kernel[400 * i + k] = i == k;
        for (int64_t i = 0; i < e.data.x.count; i++)
            e.data.x.data[i] = 1;
        e.data.seed = seed;
        if (go(&e))
            loss = e.results[0].data[0] / e.results[1].data[0];
    }
    end(&e);
    return loss;
}

/* At rate 0.75 a quarter of the elements is left, as 4: the mean square is 16 / 4. */
static void test_dropout(void) {
    double first = dropout_loss("Dropout(0.75)", 1), second = dropout_loss("Dropout(0.75)", 2);
    CHECK_NEAR((first + second) / 2, 4, 0.5);
    CHECK(first != second);
    CHECK(first == dropout_loss("Dropout(0.75)", 1));
    CHECK(dropout_loss("Dropout(0.75, seed=5)", 1) == dropout_loss("Dropout(0.75, seed=5)", 2));
    CHECK_NEAR(dropout_loss("Dropout(0)", 1), 1, 0);
    CHECK_NEAR(dropout_loss("Dropout(1)", 1), 0, 0);
    double rows = 0; /* one number per row: a row is left as a whole, as 2, or not at all */
    for (int seed = 1; seed <= 8; seed++) {
        double loss = dropout_loss("Dropout(0.5, noise_shape=(none, 1))", seed);
        CHECK(loss == floor(loss) && loss >= 0 && loss <= 4);
        rows += loss;
    }
    CHECK(rows > 0 && rows < 32);
    forward("Input(2)\nDropout(0.5)", 1, (double[]){1, 2}, (double[]){1, 2}, 2);
}

static void metric(const char *layers, const char *compile, int batch, const double *x, const double *y,
                   const char *name, double expected) {
    char text[1024], total[64];
    snprintf(text, sizeof text, "model m {\n%s\n}\ncompile {\n%s\n}\nfit { batch_size = 8 }\n", layers, compile);
    snprintf(total, sizeof total, "%s.total", name);
    Example e;
    if (begin(&e, text, "evaluate_step", batch)) {
        set(&e.data.x, x);
        set(&e.data.y, y);
        int index = harness_result(e.func, total);
        CHECK(index >= 0);
        if (go(&e) && index >= 0)
            CHECK_NEAR(e.results[index].data[0] / e.results[index + 1].data[0], expected, 1e-12);
    }
    end(&e);
}

static void test_metrics(void) {
    const double scores[] = {0.1, 0.5, 0.2, 0.4, 0.5, 0.1, 0.4, 0.2, 0.3, 0.3, 0.3, 0.1};
    const double classes[] = {3, 1, 2}, one_hot[] = {0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0};
    const char *sparse = "loss = SparseCategoricalCrossentropy(from_logits=true)\nmetrics = "
                         "[SparseTopKCategoricalAccuracy(k=%d, name=\"top\")]";
    const char *dense = "loss = mse\nmetrics = [TopKCategoricalAccuracy(k=%d, name=\"top\")]";
    const double expected[] = {0, 1.0 / 3, 2.0 / 3, 2.0 / 3, 1}; /* ranks 2, 4, 1: the tie counts as the best rank */
    for (int k = 1; k <= 4; k++) {
        char text[256];
        snprintf(text, sizeof text, sparse, k);
        metric("Input(4)\nIdentity()", text, 3, scores, classes, "top", expected[k]);
        snprintf(text, sizeof text, dense, k);
        metric("Input(4)\nIdentity()", text, 3, scores, one_hot, "top", expected[k]);
    }
    metric("Input(2)\nIdentity()", "loss = mse\nmetrics = [RootMeanSquaredError()]", 2, (double[]){1, 2, 3, 4},
           (double[]){0, 0, 0, 0}, "root_mean_squared_error",
           7.5); /* the mean of squares; the root is taken of the epoch's */
    metric("Input(2)\nIdentity()", "loss = mse\nmetrics = [Accuracy(name=\"equal\")]", 2, (double[]){1, 2, 3, 4},
           (double[]){1, 0, 3, 4}, "equal", 0.75);
    metric("Input(2)\nIdentity()", "loss = mse\nmetrics = [BinaryCrossentropy(name=\"b\", from_logits=true)]", 1,
           (double[]){0, 2}, (double[]){1, 0}, "b", (log(2) + softplus(2)) / 2);
}

/* Losses at extreme values: from logits they stay exact where probabilities would be 0 or 1. */
static void test_losses(void) {
    metric("Input(1)\nActivation(sigmoid)", "loss = bce", 2, (double[]){50, -50}, (double[]){0, 1}, "loss", 50);
    metric("Input(2)\nSoftmax()", "loss = sparse_categorical_crossentropy", 1, (double[]){100, 0}, (double[]){1},
           "loss", 100);
    metric("Input(1)\nIdentity()", "loss = bce", 1, (double[]){0}, (double[]){1}, "loss", -log(1e-7));
    metric("Input(2)\nIdentity()", "loss = categorical_crossentropy", 1, (double[]){3, 1}, (double[]){0, 1}, "loss",
           log(4));
    metric("Input((2, 2))\nIdentity()", "loss = CategoricalCrossentropy(axis=1)", 1, (double[]){3, 1, 1, 3},
           (double[]){0, 1, 1, 0}, "loss", log(4));
    metric("Input(2)\nIdentity()", "loss = Huber(delta=0.5)", 1, (double[]){0.25, 3}, (double[]){0, 0}, "loss",
           (0.5 * 0.0625 + 0.5 * 3 - 0.125) / 2);
    metric("Input(2)\nActivation(linear)\nDense(2, kernel_initializer=ones, activity_regularizer=L2(0.5))",
           "loss = mse", 2, (double[]){1, 2, 0, 1}, (double[]){3, 3, 1, 1}, "loss", 0.5 * 20 / 2);
}

/* Two steps of amsgrad by hand on one weight: y = w, target 0, gradient 2 w. */
static void test_amsgrad(void) {
    Example e;
    const char *text =
        "model m {\nInput(1)\nDense(1, kernel_initializer=ones, use_bias=false)\n}\ncompile {\nloss = mse\n"
        "optimizer = Adam(0.5, beta_1=0.5, beta_2=0.25, epsilon=0.125, amsgrad=true)\n}\nfit { batch_size = 1 }\n";
    if (begin(&e, text, "train_step", 1)) {
        double w = 1, m = 0, v = 0, largest = 0;
        e.data.x.data[0] = 1;
        for (int t = 1; t <= 4; t++) {
            double g = 2 * w;
            m = 0.5 * m + 0.5 * g;
            v = 0.25 * v + 0.75 * g * g;
            largest = fmax(largest, v);
            w -= 0.5 * sqrt(1 - pow(0.25, t)) / (1 - pow(0.5, t)) * m / (sqrt(largest) + 0.125);
            if (!go(&e))
                break;
            CHECK_NEAR(variable(&e, "dense/kernel")[0], w, 1e-12);
        }
        CHECK(largest > v); /* else the test would not tell amsgrad from Adam */
        CHECK_NEAR(variable(&e, "adam/dense_kernel_velocity_hat")[0], largest, 1e-12);
    }
    end(&e);
}

static void preprocess(const char *input, const char *steps, const char *state, const double *values, int count,
                       const double *x, const double *expected, int64_t expected_count) {
    char text[512];
    snprintf(text, sizeof text, "model m {\nInput(%s)\nDense(1)\n}\ndata {\n%s\n}\n", input, steps);
    Example e;
    if (begin(&e, text, "preprocess", 1)) {
        char name[64];
        for (int i = 0; i < count; i++) {
            snprintf(name, sizeof name, "%.*s", (int)strcspn(state, "|"), state);
            state += strcspn(state, "|") + (strchr(state, '|') != NULL);
            memcpy(variable(&e, name), values + 2 * i, 2 * sizeof(double));
        }
        set(&e.data.x, x);
        if (go(&e))
            check_values(&e.results[0], expected, expected_count, 1e-12);
    }
    end(&e);
}

static void test_preprocessing(void) {
    preprocess("2", "standardize()", "standardize/mean|standardize/variance", (double[]){1, 2, 4, 0}, 2,
               (double[]){2, 2}, (double[]){0.5, 0}, 2);
    preprocess("2", "minmax(low=-1, high=1)", "minmax/minimum|minmax/maximum", (double[]){0, 5, 4, 5}, 2,
               (double[]){3, 5}, (double[]){0.5, -1}, 2);
    preprocess("2", "scale(0.5, offset=1)\nscale(10)", "", NULL, 0, (double[]){2, 4}, (double[]){20, 30}, 2);
    preprocess("5", "one_hot(1, classes=3)", "", NULL, 0, (double[]){7, 2, 9}, (double[]){7, 0, 0, 1, 9}, 5);
}

/* What the front end and the record make of shapes: limits by fan_in and fan_out. */
static void test_initial_limits(void) {
    Compiled c = harness_compile("limits", "model m {\nInput((5, 5, 3))\nConv2D(4, (2, 3))\nFlatten()\nDense(7)\n"
                                           "Dense(2, kernel_initializer=RandomUniform(-0.5, 0.25, seed=9))\n}\n");
    CHECK(c.program != NULL);
    if (c.program) {
        const Module *module = c.program->module;
        Variable *conv = module_find_variable(module, "conv2d/kernel"),
                 *dense = module_find_variable(module, "dense/kernel");
        Variable *last = module_find_variable(module, "dense_1/kernel");
        CHECK(conv && dense && last);
        if (conv && dense && last) {
            CHECK_NEAR(conv->init.b, sqrt(6.0 / (2 * 3 * 3 + 2 * 3 * 4)), 1e-15);
            CHECK_NEAR(dense->init.b, sqrt(6.0 / (4 * 3 * 4 + 7)), 1e-15);
            CHECK(dense->init.a == -dense->init.b && dense->init.seed == -1);
            CHECK(last->init.a == -0.5 && last->init.b == 0.25 && last->init.seed == 9);
        }
    }
    harness_complaints(&c, "limits");
    harness_free(&c);
}

int main(void) {
    test_activations();
    test_special_values();
    test_softmax();
    test_shapes_and_merging();
    test_normalisation();
    test_dropout();
    test_metrics();
    test_losses();
    test_amsgrad();
    test_preprocessing();
    test_initial_limits();
    return test_report();
}
