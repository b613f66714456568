/* Update rules: the new value of one weight from its gradient. Clipping, decoupled weight decay and the step counter
 * come from the front end, in Keras' order. Formulas: keras.optimizers of Keras 3. */
#include "frontend/components/components.h"

/* old + (new - old) * (1 - decay): one product less than the sum of two shares. */
static Value *running_mean(Builder *b, Value *old, Value *value, double decay) {
    return build_add(b, old, build_scale(b, build_sub(b, value, old), 1 - decay));
}

static Value *sgd(OptimizerContext *ctx, Variable *weight, Value *value, Value *gradient) {
    Builder *b = ctx->builder;
    double momentum = arg_float(ctx->args, "momentum");
    Value *move = build_mul(b, gradient, ctx->learning_rate);
    if (momentum == 0)
        return build_sub(b, value, move);
    Value *velocity = build_sub(b, build_scale(b, optimizer_slot(ctx, weight, "momentum", 0), momentum), move);
    optimizer_set(ctx, weight, "momentum", velocity);
    if (arg_bool(ctx->args, "nesterov"))
        velocity = build_sub(b, build_scale(b, velocity, momentum), move);
    return build_add(b, value, velocity);
}

/* 1 - decay^step. The difference would lose half of the digits of float: decay is near 1. */
static Value *share_of_new(OptimizerContext *ctx, double decay) {
    Builder *b = ctx->builder;
    if (decay == 0)
        return build_number(b, 1);
    return build_map1(b, FN_neg, build_map1(b, FN_expm1, build_scale(b, ctx->step, log(decay))));
}

/* Epsilon stands outside the root and is not corrected for the bias (the "epsilon hat" form of the paper). */
static Value *adam(OptimizerContext *ctx, Variable *weight, Value *value, Value *gradient) {
    Builder *b = ctx->builder;
    const Args *args = ctx->args;
    double beta_1 = arg_float(args, "beta_1"), beta_2 = arg_float(args, "beta_2");
    Value *root_2 = build_map1(b, FN_sqrt, share_of_new(ctx, beta_2));
    Value *alpha = build_div(b, build_mul(b, ctx->learning_rate, root_2), share_of_new(ctx, beta_1));
    Value *m = running_mean(b, optimizer_slot(ctx, weight, "momentum", 0), gradient, beta_1);
    Value *v = running_mean(b, optimizer_slot(ctx, weight, "velocity", 0), build_square(b, gradient), beta_2);
    optimizer_set(ctx, weight, "momentum", m);
    optimizer_set(ctx, weight, "velocity", v);
    if (arg_bool(args, "amsgrad")) {
        v = build_max(b, optimizer_slot(ctx, weight, "velocity_hat", 0), v);
        optimizer_set(ctx, weight, "velocity_hat", v);
    }
    Value *root = build_shift(b, build_map1(b, FN_sqrt, v), arg_float(args, "epsilon"));
    return build_sub(b, value, build_div(b, build_mul(b, m, alpha), root));
}

/* Epsilon stands inside the root. */
static Value *rmsprop(OptimizerContext *ctx, Variable *weight, Value *value, Value *gradient) {
    Builder *b = ctx->builder;
    const Args *args = ctx->args;
    double rho = arg_float(args, "rho"), momentum = arg_float(args, "momentum");
    Value *v = running_mean(b, optimizer_slot(ctx, weight, "velocity", 0), build_square(b, gradient), rho);
    optimizer_set(ctx, weight, "velocity", v);
    if (arg_bool(args, "centered")) {
        Value *average = running_mean(b, optimizer_slot(ctx, weight, "average_gradient", 0), gradient, rho);
        optimizer_set(ctx, weight, "average_gradient", average);
        v = build_sub(b, v, build_square(b, average));
    }
    Value *root = build_map1(b, FN_sqrt, build_shift(b, v, arg_float(args, "epsilon")));
    Value *move = build_div(b, build_mul(b, gradient, ctx->learning_rate), root);
    if (momentum != 0) {
        move = build_add(b, build_scale(b, optimizer_slot(ctx, weight, "momentum", 0), momentum), move);
        optimizer_set(ctx, weight, "momentum", move);
    }
    return build_sub(b, value, move);
}

static Value *adagrad(OptimizerContext *ctx, Variable *weight, Value *value, Value *gradient) {
    Builder *b = ctx->builder;
    Value *old = optimizer_slot(ctx, weight, "accumulator", arg_float(ctx->args, "initial_accumulator_value"));
    Value *sum = build_add(b, old, build_square(b, gradient));
    optimizer_set(ctx, weight, "accumulator", sum);
    Value *root = build_map1(b, FN_sqrt, build_shift(b, sum, arg_float(ctx->args, "epsilon")));
    return build_sub(b, value, build_div(b, build_mul(b, gradient, ctx->learning_rate), root));
}

static Value *adadelta(OptimizerContext *ctx, Variable *weight, Value *value, Value *gradient) {
    Builder *b = ctx->builder;
    double rho = arg_float(ctx->args, "rho"), epsilon = arg_float(ctx->args, "epsilon");
    Value *moves = optimizer_slot(ctx, weight, "accumulated_delta_var", 0);
    Value *squares =
        running_mean(b, optimizer_slot(ctx, weight, "accumulated_grad", 0), build_square(b, gradient), rho);
    optimizer_set(ctx, weight, "accumulated_grad", squares);
    Value *upper = build_map1(b, FN_sqrt, build_shift(b, moves, epsilon));
    Value *lower = build_map1(b, FN_sqrt, build_shift(b, squares, epsilon));
    Value *move = build_div(b, build_mul(b, upper, gradient), lower);
    optimizer_set(ctx, weight, "accumulated_delta_var", running_mean(b, moves, build_square(b, move), rho));
    return build_sub(b, value, build_mul(b, move, ctx->learning_rate));
}

static Value *adamax(OptimizerContext *ctx, Variable *weight, Value *value, Value *gradient) {
    Builder *b = ctx->builder;
    double beta_1 = arg_float(ctx->args, "beta_1"), beta_2 = arg_float(ctx->args, "beta_2");
    Value *m = running_mean(b, optimizer_slot(ctx, weight, "momentum", 0), gradient, beta_1);
    Value *old = build_scale(b, optimizer_slot(ctx, weight, "norm", 0), beta_2);
    Value *norm = build_max(b, old, build_map1(b, FN_abs, gradient));
    optimizer_set(ctx, weight, "momentum", m);
    optimizer_set(ctx, weight, "norm", norm);
    Value *alpha = build_div(b, ctx->learning_rate, share_of_new(ctx, beta_1));
    return build_sub(b, value,
                     build_div(b, build_mul(b, m, alpha), build_shift(b, norm, arg_float(ctx->args, "epsilon"))));
}

static Value *lion(OptimizerContext *ctx, Variable *weight, Value *value, Value *gradient) {
    Builder *b = ctx->builder;
    Value *m = optimizer_slot(ctx, weight, "momentum", 0);
    Value *way = build_map1(b, FN_sign, running_mean(b, m, gradient, arg_float(ctx->args, "beta_1")));
    optimizer_set(ctx, weight, "momentum", running_mean(b, m, gradient, arg_float(ctx->args, "beta_2")));
    return build_sub(b, value, build_mul(b, way, ctx->learning_rate));
}

#define BETA(NAME, DEFAULT, OF) FLOAT_IN(NAME, DEFAULT, 0, 1, "share of the old value in the running mean of " OF)
#define EPSILON FLOAT_IN("epsilon", "1e-7", 0, LARGE, "keeps the divisor away from 0")
static const Parameter sgd_parameters[] = {
    LEARNING_RATE("0.01"), FLOAT_IN("momentum", "0.0", 0, 1, "share of the last move that is kept"),
    BOOLEAN("nesterov", "false", "look ahead along the momentum"), OPTIMIZER_COMMON, END};
#define ADAM_MEANS                                                                                                     \
    BETA("beta_1", "0.9", "gradients"), BETA("beta_2", "0.999", "squared gradients"), EPSILON,                         \
        BOOLEAN("amsgrad", "false", "divide by the largest mean so far (Reddi et al. 2018)")
static const Parameter adam_parameters[] = {LEARNING_RATE("0.001"), ADAM_MEANS, OPTIMIZER_COMMON, END};
static const Parameter adam_w_parameters[] = {LEARNING_RATE("0.001"), WEIGHT_DECAY("0.004"), ADAM_MEANS,
                                              OPTIMIZER_CLIPS, END};
static const Parameter rmsprop_parameters[] = {
    LEARNING_RATE("0.001"),
    BETA("rho", "0.9", "squared gradients"),
    FLOAT_IN("momentum", "0.0", 0, 1, "share of the last move that is kept"),
    EPSILON,
    BOOLEAN("centered", "false", "divide by the estimated deviation instead of the root of the mean square"),
    OPTIMIZER_COMMON,
    END};

const Component component_sgd = {
    .kind = COMPONENT_OPTIMIZER,
    .name = "SGD",
    .aliases = "sgd",
    .parameters = sgd_parameters,
    .summary = "Stochastic gradient descent, with momentum if wanted.",
    .formula = "w -= lr g; with momentum: m = momentum m - lr g, w += m; nesterov: w += momentum m - lr g",
    .examples = LINES("optimizer = SGD(0.01)", "optimizer = SGD(learning_rate=0.01, momentum=0.9, nesterov=true)"),
    .checks = LINES(CHECK_OPTIMIZER("sgd"), CHECK_OPTIMIZER("SGD(0.1, momentum=0.9)"),
                    CHECK_OPTIMIZER("SGD(0.1, momentum=0.8, nesterov=true)"),
                    CHECK_OPTIMIZER("SGD(0.1, weight_decay=0.1, clipnorm=0.5)"),
                    CHECK_OPTIMIZER("SGD(0.1, clipvalue=0.1)"), CHECK_OPTIMIZER("SGD(0.1, global_clipnorm=0.5)")),
    .build.optimizer = sgd};
const Component component_adam = {
    .kind = COMPONENT_OPTIMIZER,
    .name = "Adam",
    .aliases = "adam",
    .parameters = adam_parameters,
    .summary = "Running means of the gradient and of its square.",
    .formula = "m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; w -= lr sqrt(1-b2^t)/(1-b1^t) m / (sqrt(v) + epsilon)  "
               "(Kingma, Ba 2014)",
    .examples = LINES("optimizer = adam", "optimizer = Adam(learning_rate=0.001)",
                      "optimizer = Adam(CosineDecay(0.002, 10000))"),
    .checks = LINES(CHECK_OPTIMIZER("adam"), CHECK_OPTIMIZER("Adam(0.02, beta_1=0.8, beta_2=0.9, epsilon=0.01)"),
                    CHECK_OPTIMIZER("Adam(0.02, epsilon=0.01, amsgrad=true)"),
                    CHECK_OPTIMIZER("Adam(0.02, epsilon=0.01, weight_decay=0.1, global_clipnorm=0.5)")),
    .build.optimizer = adam};
const Component component_adam_w = {.kind = COMPONENT_OPTIMIZER,
                                    .name = "AdamW",
                                    .aliases = "adamw",
                                    .parameters = adam_w_parameters,
                                    .summary = "Adam with weight decay.",
                                    .formula = "w -= lr weight_decay w; then as Adam  (Loshchilov, Hutter 2019)",
                                    .examples = LINES("optimizer = AdamW(0.001, weight_decay=0.01)"),
                                    .checks = LINES(CHECK_OPTIMIZER("AdamW(0.02, epsilon=0.01)"),
                                                    CHECK_OPTIMIZER("AdamW(0.02, 0.1, epsilon=0.01, amsgrad=true)")),
                                    .build.optimizer = adam};
const Component component_rmsprop = {
    .kind = COMPONENT_OPTIMIZER,
    .name = "RMSprop",
    .aliases = "rmsprop",
    .parameters = rmsprop_parameters,
    .summary = "Divides by the root of a running mean of squared gradients. Keras' default.",
    .formula = "v = rho v + (1-rho) g^2; w -= lr g / sqrt(v + epsilon)  (Tieleman, Hinton 2012)",
    .examples = LINES("optimizer = rmsprop", "optimizer = RMSprop(0.001, momentum=0.9, centered=true)"),
    .checks = LINES(CHECK_OPTIMIZER("RMSprop(0.01, epsilon=0.01)"),
                    CHECK_OPTIMIZER("RMSprop(0.01, rho=0.8, momentum=0.7, epsilon=0.01)"),
                    CHECK_OPTIMIZER("RMSprop(0.01, epsilon=0.01, centered=true)"),
                    CHECK_OPTIMIZER("RMSprop(0.01, momentum=0.5, epsilon=0.01, centered=true)")),
    .build.optimizer = rmsprop};

static const Parameter adagrad_parameters[] = {
    LEARNING_RATE("0.001"), FLOAT_IN("initial_accumulator_value", "0.1", 0, LARGE, "value that the sums start from"),
    EPSILON, OPTIMIZER_COMMON, END};
static const Parameter adadelta_parameters[] = {
    LEARNING_RATE("0.001"), BETA("rho", "0.95", "squared gradients and squared moves"), EPSILON, OPTIMIZER_COMMON, END};
static const Parameter adamax_parameters[] = {
    LEARNING_RATE("0.001"),
    BETA("beta_1", "0.9", "gradients"),
    FLOAT_IN("beta_2", "0.999", 0, 1, "share of the old value in the largest gradient so far"),
    EPSILON,
    OPTIMIZER_COMMON,
    END};
static const Parameter lion_parameters[] = {
    LEARNING_RATE("0.001"), FLOAT_IN("beta_1", "0.9", 0, 1, "share of the old mean in the direction of a move"),
    BETA("beta_2", "0.99", "gradients"), OPTIMIZER_COMMON, END};

const Component component_adagrad = {
    .kind = COMPONENT_OPTIMIZER,
    .name = "Adagrad",
    .aliases = "adagrad",
    .parameters = adagrad_parameters,
    .summary = "Divides by the root of the sum of all squared gradients.",
    .formula = "a += g^2; w -= lr g / sqrt(a + epsilon)  (Duchi et al. 2011)",
    .examples = LINES("optimizer = Adagrad(0.01)"),
    .checks = LINES(CHECK_OPTIMIZER("Adagrad(0.1)"),
                    CHECK_OPTIMIZER("Adagrad(0.1, initial_accumulator_value=0.5, epsilon=0.01, weight_decay=0.1)")),
    .build.optimizer = adagrad};
const Component component_adadelta = {
    .kind = COMPONENT_OPTIMIZER,
    .name = "Adadelta",
    .aliases = "adadelta",
    .parameters = adadelta_parameters,
    .summary = "Moves as large as earlier ones were; the paper's form has a learning rate of 1.",
    .formula = "G = rho G + (1-rho) g^2; d = g sqrt(D + epsilon) / sqrt(G + epsilon); D = rho D + (1-rho) d^2; "
               "w -= lr d  (Zeiler 2012)",
    .examples = LINES("optimizer = Adadelta(1.0)"),
    .checks =
        LINES(CHECK_OPTIMIZER("Adadelta(1.0, epsilon=0.01)"), CHECK_OPTIMIZER("Adadelta(0.5, rho=0.8, epsilon=0.1)")),
    .build.optimizer = adadelta};
const Component component_adamax = {
    .kind = COMPONENT_OPTIMIZER,
    .name = "Adamax",
    .aliases = "adamax",
    .parameters = adamax_parameters,
    .summary = "Adam with the largest gradient, slowly forgotten, in place of the mean of squares.",
    .formula = "m = b1 m + (1-b1) g; u = max(b2 u, |g|); w -= lr / (1-b1^t) m / (u + epsilon)  (Kingma, Ba 2014)",
    .examples = LINES("optimizer = Adamax(0.002)"),
    .checks = LINES(CHECK_OPTIMIZER("Adamax(0.01, epsilon=0.01)"),
                    CHECK_OPTIMIZER("Adamax(0.01, beta_1=0.8, beta_2=0.9, epsilon=0.1, clipnorm=0.5)")),
    .build.optimizer = adamax};
const Component component_lion = {
    .kind = COMPONENT_OPTIMIZER,
    .name = "Lion",
    .aliases = "lion",
    .parameters = lion_parameters,
    .summary = "Moves of one size, by the sign of a running mean of gradients.",
    .formula = "w -= lr sign(b1 m + (1-b1) g); m = b2 m + (1-b2) g  (Chen et al. 2023)",
    .examples = LINES("optimizer = Lion(0.0001, weight_decay=0.1)"),
    .checks =
        LINES(CHECK_OPTIMIZER("Lion(0.01)"), CHECK_OPTIMIZER("Lion(0.01, beta_1=0.8, beta_2=0.7, weight_decay=0.1)")),
    .build.optimizer = lion};
