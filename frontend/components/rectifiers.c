/* Elementwise activations that Keras has as layers with arguments of their own: ReLU, LeakyReLU, ELU. */
#include "frontend/components/components.h"

static Value *relu(LayerContext *ctx, Value *x) {
    double largest = arg_is_none(ctx->args, "max_value") ? NAN : arg_float(ctx->args, "max_value");
    return build_relu(ctx->builder, x, arg_float(ctx->args, "negative_slope"), largest,
                      arg_float(ctx->args, "threshold"));
}
static const Parameter relu_parameters[] = {FLOAT_IN("max_value", "none", 0, LARGE, "largest value; none: no limit"),
                                            FLOAT_IN("negative_slope", "0.0", 0, LARGE, "slope below the threshold"),
                                            FLOAT_IN("threshold", "0.0", 0, LARGE, "values up to it count as negative"),
                                            LAYER_COMMON, END};
const Component component_relu = {
    .kind = COMPONENT_LAYER,
    .name = "ReLU",
    .parameters = relu_parameters,
    .summary = "Rectified linear unit as a layer.",
    .formula = "x if x > threshold, at most max_value; else negative_slope * (x - threshold)",
    .examples = LINES("ReLU()", "ReLU(max_value=6)"),
    .checks =
        LINES(CHECK_LAYERS("Input(3)\nDense(4)\nReLU()\nDense(2)"),
              CHECK_LAYERS("Input(3)\nDense(6)\nReLU(max_value=0.8, negative_slope=0.1, threshold=0.2)\nDense(2)")),
    .build.layer = relu,
    .flags = COMPONENT_KEEPS_MASK};

static Value *leaky_relu(LayerContext *ctx, Value *x) {
    return build_leaky(ctx->builder, x, arg_float(ctx->args, "negative_slope"));
}
static const Parameter leaky_relu_parameters[] = {
    FLOAT_IN("negative_slope", "0.3", 0, LARGE, "slope below 0 (the activation leaky_relu has 0.2)"), LAYER_COMMON,
    END};
const Component component_leaky_relu = {
    .kind = COMPONENT_LAYER,
    .name = "LeakyReLU",
    .parameters = leaky_relu_parameters,
    .summary = "Rectified linear unit with a small slope below 0, as a layer.",
    .formula = "x if x > 0, else negative_slope * x",
    .examples = LINES("LeakyReLU()", "LeakyReLU(negative_slope=0.1)"),
    .checks = LINES(CHECK_LAYERS("Input(3)\nDense(4)\nLeakyReLU()\nDense(2)"),
                    CHECK_LAYERS("Input(3)\nDense(4)\nLeakyReLU(negative_slope=0.1)\nDense(2)")),
    .build.layer = leaky_relu,
    .flags = COMPONENT_KEEPS_MASK};

static Value *elu(LayerContext *ctx, Value *x) {
    return build_elu(ctx->builder, x, arg_float(ctx->args, "alpha"));
}
static const Parameter elu_parameters[] = {FLOAT("alpha", "1.0", "limit for very negative x is -alpha"), LAYER_COMMON,
                                           END};
const Component component_elu = {.kind = COMPONENT_LAYER,
                                 .name = "ELU",
                                 .parameters = elu_parameters,
                                 .summary = "Exponential linear unit as a layer.",
                                 .formula = "x if x > 0, else alpha * (exp(x) - 1)",
                                 .examples = LINES("ELU()", "ELU(alpha=0.5)"),
                                 .checks = LINES(CHECK_LAYERS("Input(3)\nDense(4)\nELU()\nDense(2)"),
                                                 CHECK_LAYERS("Input(3)\nDense(4)\nELU(alpha=0.6)\nDense(2)")),
                                 .build.layer = elu,
                                 .flags = COMPONENT_KEEPS_MASK};
