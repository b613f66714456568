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
