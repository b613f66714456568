/* A program as the compiler would write it, by hand: linear regression of three standardized inputs, SGD with momentum,
 * loss and mean absolute error. The kernel lies in panels of two. Hooks let a test interrupt or spoil a step, and see
 * what the trainer handed over. */
#ifndef NNC_TESTS_FAKE_PROGRAM_H
#define NNC_TESTS_FAKE_PROGRAM_H
#include "runtime/nnrt_error.h"
#include "runtime/nnrt_trainer.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FAKE_INPUTS = 3, FAKE_STRIDE = 4, FAKE_BATCH = 8, FAKE_MOST_ROWS = 4096 };

typedef struct {
    float kernel[4], bias[1]; /* kernel: (3, 1) in two panels of two */
    float kernel_momentum[4], bias_momentum[1];
    float learning_rate;
    int32_t iteration;
    float mean[FAKE_INPUTS], variance[FAKE_INPUTS];
    float arena[8];
} FakeModel;

/* What a test asks for, and what it gets to see. */
static struct {
    int interrupt_at;            /* raise a signal in this training step, counted from 1 over all calls; 0: never */
    int signal;                  /* which; 0: SIGINT */
    int interrupt_in_validation; /* raise it in this call of evaluate_steps */
    int nan_at;                  /* the loss of this iteration is NaN */
    int slow_at;                 /* this iteration takes a second on the fake clock */
    int fail_at;                 /* train_steps fails in this step */
    bool silent_last_step;       /* no after_step after the last step of a call */
    int steps, evaluations;
    int evaluated_with_one;       /* steps of evaluation with one thread */
    int32_t rows[FAKE_MOST_ROWS]; /* rows of the training steps, in order */
    int row_count;
    double weight_sum, seconds;
    double step_seconds[3];   /* what a step takes on the fake clock, by the number of threads */
    int steps_with[3], calls; /* training steps by the number of threads; calls of train_steps */
    int padding_errors;
} fake;

static float fake_output(const FakeModel *model, const float *x) {
    return model->kernel[0] * x[0] + model->kernel[1] * x[1] + model->kernel[2] * x[2] + model->bias[0];
}

static void fake_sum(const FakeModel *model, const nnrt_steps *steps, int64_t i, double *totals) {
    const float *x = steps->x + (int64_t)steps->rows[i] * FAKE_STRIDE;
    float error = fake_output(model, x) - ((const float *)steps->y)[steps->rows[i]];
    float weight = steps->w ? steps->w[steps->rows[i]] : 1;
    fake.padding_errors += fabsf(x[FAKE_INPUTS]) > 0;
    totals[0] += weight * error * error;
    totals[1] += 1;
    totals[2] += weight * fabsf(error);
    totals[3] += weight;
}

static void fake_update(float *weight, float *momentum, float gradient, float rate) {
    *momentum = 0.9f * *momentum - rate * gradient;
    *weight += *momentum;
}

static void fake_train_batch(FakeModel *model, const nnrt_steps *steps, int64_t first, int64_t count) {
    float gradient[FAKE_INPUTS + 1] = {0};
    for (int64_t i = first; i < first + count; i++) {
        const float *x = steps->x + (int64_t)steps->rows[i] * FAKE_STRIDE;
        float weight = steps->w ? steps->w[steps->rows[i]] : 1;
        float error = fake_output(model, x) - ((const float *)steps->y)[steps->rows[i]];
        for (int k = 0; k < FAKE_INPUTS; k++)
            gradient[k] += 2 * weight * error * x[k] / (float)count;
        gradient[FAKE_INPUTS] += 2 * weight * error / (float)count;
        fake_sum(model, steps, i, steps->totals);
        if (fake.row_count < FAKE_MOST_ROWS)
            fake.rows[fake.row_count++] = steps->rows[i];
        fake.weight_sum += weight;
    }
    for (int k = 0; k < FAKE_INPUTS; k++)
        fake_update(&model->kernel[k], &model->kernel_momentum[k], gradient[k], model->learning_rate);
    fake_update(&model->bias[0], &model->bias_momentum[0], gradient[FAKE_INPUTS], model->learning_rate);
    model->iteration++;
    if (fake.slow_at == model->iteration)
        fake.seconds++;
    if (fake.nan_at == model->iteration) {
        steps->totals[0] = NAN;
        model->kernel[0] = NAN;
    }
}

static int fake_train_steps(void *memory, const nnrt_steps *steps) {
    int64_t done = 0;
    fake.calls++;
    for (int64_t first = 0; first < steps->samples; first += steps->batch_size) {
        int64_t count = steps->samples - first < steps->batch_size ? steps->samples - first : steps->batch_size;
        bool last = first + count >= steps->samples;
        fake.seconds += fake.step_seconds[steps->threads % 3];
        fake.steps_with[steps->threads % 3]++;
        if (++fake.steps == fake.interrupt_at)
            raise(fake.signal ? fake.signal : SIGINT);
        if (fake.steps == fake.fail_at)
            return nnrt_error(NNRT_ERROR_DATA, "the fake step failed");
        fake_train_batch(memory, steps, first, count);
        done++;
        if (last && fake.silent_last_step)
            continue;
        int stop = steps->after_step ? steps->after_step(steps->context, done) : 0;
        if (stop)
            return stop;
    }
    return 0;
}

static int fake_evaluate_steps(void *memory, const nnrt_steps *steps) {
    int64_t done = 0;
    if (++fake.evaluations == fake.interrupt_in_validation)
        raise(SIGINT);
    for (int64_t first = 0; first < steps->samples; first += steps->batch_size) {
        fake.seconds += fake.step_seconds[steps->threads % 3];
        fake.evaluated_with_one += steps->threads == 1;
        for (int64_t i = first; i < first + steps->batch_size && i < steps->samples; i++)
            fake_sum(memory, steps, i, steps->totals);
        int stop = steps->after_step ? steps->after_step(steps->context, ++done) : 0;
        if (stop)
            return stop;
    }
    return 0;
}

static int fake_preprocess(void *memory, const float *raw, int64_t samples, float *prepared) {
    const FakeModel *model = memory;
    for (int64_t i = 0; i < samples; i++)
        for (int k = 0; k < FAKE_INPUTS; k++)
            prepared[i * FAKE_STRIDE + k] = (raw[i * FAKE_INPUTS + k] - model->mean[k]) / sqrtf(model->variance[k]);
    return 0;
}

static int fake_predict(void *memory, const float *raw, int64_t samples, float *output, int threads) {
    (void)threads;
    for (int64_t i = 0; i < samples; i++) {
        float x[FAKE_STRIDE];
        fake_preprocess(memory, raw + i * FAKE_INPUTS, 1, x);
        output[i] = fake_output(memory, x);
    }
    return 0;
}

#define FAKE_AT(field) offsetof(FakeModel, field)
static const nnrt_variable fake_variables[] = {
    {"dense/kernel",
     NNRT_TRAINABLE,
     NNRT_F32,
     2,
     {FAKE_INPUTS, 1},
     FAKE_AT(kernel),
     {{1, 0}, 0, 2},
     {NNRT_INIT_UNIFORM, -0.5, 0.5, -1},
     NNRT_FIT_NONE},
    {"dense/bias",
     NNRT_TRAINABLE,
     NNRT_F32,
     1,
     {1},
     FAKE_AT(bias),
     {{0}, 0, 0},
     {NNRT_INIT_CONSTANT, 0, 0, -1},
     NNRT_FIT_NONE},
    {"sgd/dense_kernel_momentum",
     NNRT_OPTIMIZER,
     NNRT_F32,
     2,
     {FAKE_INPUTS, 1},
     FAKE_AT(kernel_momentum),
     {{1, 0}, 0, 2},
     {NNRT_INIT_CONSTANT, 0, 0, -1},
     NNRT_FIT_NONE},
    {"sgd/dense_bias_momentum",
     NNRT_OPTIMIZER,
     NNRT_F32,
     1,
     {1},
     FAKE_AT(bias_momentum),
     {{0}, 0, 0},
     {NNRT_INIT_CONSTANT, 0, 0, -1},
     NNRT_FIT_NONE},
    {"sgd/learning_rate",
     NNRT_OPTIMIZER,
     NNRT_F32,
     0,
     {0},
     FAKE_AT(learning_rate),
     {{0}, 0, 0},
     {NNRT_INIT_CONSTANT, 0.01, 0, -1},
     NNRT_FIT_NONE},
    {"sgd/iteration",
     NNRT_OPTIMIZER,
     NNRT_I32,
     0,
     {0},
     FAKE_AT(iteration),
     {{0}, 0, 0},
     {NNRT_INIT_CONSTANT, 0, 0, -1},
     NNRT_FIT_NONE},
    {"normalization/mean",
     NNRT_PREPROCESS,
     NNRT_F32,
     1,
     {FAKE_INPUTS},
     FAKE_AT(mean),
     {{0}, 0, 0},
     {NNRT_INIT_CONSTANT, 0, 0, -1},
     NNRT_FIT_MEAN},
    {"normalization/variance",
     NNRT_PREPROCESS,
     NNRT_F32,
     1,
     {FAKE_INPUTS},
     FAKE_AT(variance),
     {{0}, 0, 0},
     {NNRT_INIT_CONSTANT, 1, 0, -1},
     NNRT_FIT_VARIANCE},
};
static const nnrt_metric fake_metrics[] = {{"loss", NNRT_SHOW_MEAN, false}, {"error", NNRT_SHOW_MEAN, false}};
static const nnrt_layer fake_layers[] = {{"dense", "Dense", "(None, 1)", 4}};

/* A fresh description, for a test to change. */
static inline nnrt_program fake_program(void) {
    nnrt_program program = {.name = "fake",
                            .source_file = "fake.nn",
                            .compiler = "nnc 0.1.0",
                            .model_bytes = sizeof(FakeModel),
                            .model_alignment = 64,
                            .arena_offset = FAKE_AT(arena),
                            .arena_bytes = sizeof(((FakeModel *)0)->arena),
                            .variables = fake_variables,
                            .variable_count = sizeof fake_variables / sizeof fake_variables[0],
                            .layers = fake_layers,
                            .layer_count = 1,
                            .raw_input_size = FAKE_INPUTS,
                            .input_size = FAKE_INPUTS,
                            .input_stride = FAKE_STRIDE,
                            .input_rank = 1,
                            .input_dims = {FAKE_INPUTS},
                            .output_size = 1,
                            .target_dtype = NNRT_F32,
                            .target_size = 1,
                            .has_preprocess = true,
                            .has_training = true,
                            .maximum_batch = FAKE_BATCH,
                            .learning_rate_variable = 4,
                            .iteration_variable = 5,
                            .metrics = fake_metrics,
                            .metric_count = 2,
                            .fit = {.epochs = 3, .batch_size = FAKE_BATCH, .shuffle = true, .validation_freq = 1},
                            .default_threads = 1,
                            .train_steps = fake_train_steps,
                            .evaluate_steps = fake_evaluate_steps,
                            .predict = fake_predict,
                            .preprocess = fake_preprocess};
    nnrt_data_source csv = {.kind = NNRT_DATA_CSV, .header = true, .separator = ',', .target = "y", .count = -1};
    program.train = csv;
    program.test = csv;
    return program;
}

/* A callback with Keras' defaults. */
static inline nnrt_callback fake_callback(nnrt_callback_kind kind) {
    nnrt_callback callback = {.kind = kind,
                              .monitor = "val_loss",
                              .separator = ",",
                              .baseline = NAN,
                              .factor = 0.1,
                              .min_lr = 0,
                              .initial_value_threshold = NAN};
    return callback;
}

static inline double fake_clock(void) {
    return 100 + fake.seconds;
}

/* Runs a command line of words separated by blanks; what it wrote is in fake_out and fake_err until the next call. */
static char *fake_out, *fake_err;
static inline int fake_run(const nnrt_program *program, const char *command_line) {
    char text[4096], *words[64] = {(char *)"fake"};
    int count = 1;
    nnrt_terminal terminal = {.columns = 80, .utf8 = true, .clock = fake_clock};
    snprintf(text, sizeof text, "%s", command_line);
    for (char *word = strtok(text, " "); word && count < 63; word = strtok(NULL, " "))
        words[count++] = word;
    free(fake_out);
    free(fake_err);
    size_t out_size, err_size;
    FILE *out = open_memstream(&fake_out, &out_size), *err = open_memstream(&fake_err, &err_size);
    int status = nnrt_main_with(program, count, words, out, err, &terminal);
    fclose(out);
    fclose(err);
    return status;
}
#endif
