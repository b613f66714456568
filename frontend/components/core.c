/* Layers without a family: Input, Dense, Activation, Softmax, Flatten, Reshape, Permute, RepeatVector, Dropout,
 * Identity, Rescaling. */
#include "frontend/components/windows.h"

/* The front end makes the argument of the functions from `shape`; the layer itself changes nothing. */
static Value *identity(LayerContext *ctx, Value *x) {
    (void)ctx;
    return x;
}
static const Parameter input_parameters[] = {
    INTS("shape", NULL, 0, 1, LARGE, "shape of one sample, without the batch: 64 or (28, 28, 1)"),
    CHOICE("batch_size", "none", "none", "always none: batches may have any size up to batch_size of the fit block"),
    CHOICE("dtype", "float32", "float32", "type of the values; others are not built yet"),
    STRING("name", "none", "name of the layer"), END};
const Component component_input = {
    .kind = COMPONENT_LAYER,
    .name = "Input",
    .aliases = "InputLayer",
    .parameters = input_parameters,
    .summary = "The shape of one sample. First line of a model.",
    .examples = LINES("Input(64)", "Input((28, 28, 1))"),
    .checks = LINES(CHECK_LAYERS("Input(3)\nDense(2)"), CHECK_LAYERS("Input(shape=(2, 3))\nDense(2)")),
    .build.layer = identity};

/* A product over the last axis of any rank. */
static Value *dense(LayerContext *ctx, Value *x) {
    if (!layer_not_built(ctx, "kernel_constraint|bias_constraint|lora_rank|lora_alpha|quantization_config"))
        return NULL;
    int last = x->type->rank - 1;
    if (last < 1) {
        diag_error(ctx->diag, ctx->args->span, "Dense needs an input with a feature axis, but it is %s",
                   type_words(ctx->builder->module->arena, x->type));
        diag_help(ctx->diag, "put Reshape((1,)) before it");
        return NULL;
    }
    int64_t units = arg_int(ctx->args, "units");
    Dim dims[2] = {x->type->dims[last], dim_static(units)};
    static const char *const labels[MAX_RANK] = {
        "", "ak,kn->an", "abk,kn->abn", "abck,kn->abcn", "abcdk,kn->abcdn", "abcdek,kn->abcden"};
    if (!layer_weight_fits(ctx, "kernel", 2, dims))
        return NULL;
    Value *kernel = layer_weight(ctx, "kernel", layer_type(ctx, 2, dims), true);
    return layer_finish(ctx, build_einsum(ctx->builder, labels[last], x, kernel), units);
}
static const Parameter dense_parameters[] = {
    INT("units", NULL, 1, LARGE, "number of features of the result"),
    ACTIVATION("none"),
    BOOLEAN("use_bias", "true", "add a bias"),
    INITIALIZER("kernel", "glorot_uniform"),
    INITIALIZER("bias", "zeros"),
    REGULARIZER("kernel"),
    REGULARIZER("bias"),
    ACTIVITY_REGULARIZER,
    CONSTRAINT("kernel"),
    CONSTRAINT("bias"),
    ANY("lora_rank", "none", "low-rank adaptation; not built yet, only none"),
    ANY("lora_alpha", "none", "low-rank adaptation; not built yet, only none"),
    ANY("quantization_config", "none", "quantization; not built yet, only none"),
    LAYER_COMMON,
    END};
const Component component_dense = {
    .kind = COMPONENT_LAYER,
    .name = "Dense",
    .parameters = dense_parameters,
    .summary = "Fully connected layer over the last axis.",
    .formula = "activation(x W + b), W of shape (features, units)",
    .examples = LINES("Dense(64, activation=relu)", "Dense(1, kernel_regularizer=L2(0.001), use_bias=false)"),
    .checks =
        LINES(CHECK_LAYERS("Input(4)\nDense(3, activation=tanh)\nDense(2)"),
              CHECK_LAYERS("Input(4)\nDense(2, use_bias=false)"),
              CHECK_LAYERS("Input((2, 3))\nDense(4, activation=sigmoid)\nDense(2)"),
              CHECK_LAYERS("Input((2, 2, 3))\nDense(2)"),
              CHECK_LAYERS(
                  "Input(3)\nDense(4, activation=tanh, kernel_initializer=he_normal, bias_initializer=ones, "
                  "kernel_regularizer=L2(0.01), bias_regularizer=L2(0.02), activity_regularizer=L2(0.03))\nDense(2)")),
    .build.layer = dense,
    .flags = COMPONENT_KEEPS_MASK};

static Value *activation(LayerContext *ctx, Value *x) {
    return layer_activation(ctx, x);
}
static const Parameter activation_parameters[] = {
    PART("activation", NULL, COMPONENT_ACTIVATION, "the function: relu, leaky_relu(0.1), ..."), LAYER_COMMON, END};
const Component component_activation = {.kind = COMPONENT_LAYER,
                                        .name = "Activation",
                                        .parameters = activation_parameters,
                                        .summary = "An activation function as a layer of its own.",
                                        .formula = "activation(x)",
                                        .examples = LINES("Activation(relu)", "Activation(gelu(approximate=true))"),
                                        .checks = LINES(CHECK_LAYERS("Input(3)\nDense(4)\nActivation(tanh)\nDense(2)")),
                                        .build.layer = activation,
                                        .flags = COMPONENT_KEEPS_MASK};

static Value *softmax(LayerContext *ctx, Value *x) {
    AxesAttr over;
    if (!axes_of(ctx->diag, arg_get(ctx->args, "axis"), x->type->rank, &over))
        return NULL;
    if (layer_mask(ctx)) {
        diag_error(ctx->diag, ctx->args->span, "Softmax of a masked input is not built yet");
        diag_help(ctx->diag, "Activation(softmax) takes no notice of the mask");
        return NULL;
    }
    Value *y = build_softmax(ctx->builder, x, &over);
    if (y && over.count == 1 && over.axes[0] == x->type->rank - 1)
        layer_logits(ctx, y, x, -1);
    return y;
}
static const Parameter softmax_parameters[] = {
    INTS("axis", "-1", 0, 0, 0, "axis or axes over which the result sums to 1"), LAYER_COMMON, END};
const Component component_softmax = {.kind = COMPONENT_LAYER,
                                     .name = "Softmax",
                                     .parameters = softmax_parameters,
                                     .summary = "Softmax as a layer of its own.",
                                     .formula = "exp(x - max(x)) / sum(exp(x - max(x)))",
                                     .examples = LINES("Softmax()", "Softmax(axis=1)"),
                                     .checks =
                                         LINES(CHECK_LAYERS("Input(3)\nDense(3)\nSoftmax()\nDense(2)"),
                                               CHECK_LAYERS("Input((2, 3))\nDense(2)\nSoftmax(axis=1)\nDense(2)"),
                                               CHECK_LAYERS("Input((2, 3))\nDense(2)\nSoftmax(axis=(1, 2))\nDense(2)")),
                                     .build.layer = softmax,
                                     .flags = COMPONENT_KEEPS_MASK};

static Value *flatten(LayerContext *ctx, Value *x) {
    return layer_channels_last(ctx) ? build_flatten(ctx->builder, x) : NULL;
}
static const Parameter flatten_parameters[] = {DATA_FORMAT, LAYER_COMMON, END};
const Component component_flatten = {.kind = COMPONENT_LAYER,
                                     .name = "Flatten",
                                     .parameters = flatten_parameters,
                                     .summary = "All axes of a sample in one, last axis fastest.",
                                     .formula = "(B, d1, d2, ...) -> (B, d1 * d2 * ...)",
                                     .examples = LINES("Flatten()"),
                                     .checks = LINES(CHECK_LAYERS("Input((2, 3))\nFlatten()\nDense(2)"),
                                                     CHECK_LAYERS("Input((2, 2, 2))\nDense(2)\nFlatten()\nDense(2)")),
                                     .build.layer = flatten};

/* Fills in the one -1, if any; false: the elements do not fit. */
static bool reshape_dims(const Type *from, const Arg *target, Dim *dims) {
    int64_t have = 1, known = 1;
    int unknown = -1;
    for (int i = 1; i < from->rank; i++)
        have *= from->dims[i].n;
    for (int i = 0; i < target->ints.count; i++) {
        int64_t n = target->ints.items[i];
        if (n == -1 && unknown < 0)
            unknown = i;
        else if (n < 1 || n > have)
            return false;
        else if ((known *= n) > have)
            return false;
        dims[i + 1] = dim_static(n);
    }
    dims[0] = from->dims[0];
    if (unknown >= 0) {
        dims[unknown + 1] = dim_static(have / known);
        known *= have / known;
    }
    return known == have;
}
static Value *reshape(LayerContext *ctx, Value *x) {
    const Arg *target = arg_get(ctx->args, "target_shape");
    Module *module = ctx->builder->module;
    Dim dims[MAX_RANK + 1];
    if (target->ints.count >= MAX_RANK) {
        diag_error(ctx->diag, target->span, "Reshape: at most %d axes beside the batch, but target_shape has %d",
                   MAX_RANK - 1, target->ints.count);
        return NULL;
    }
    if (!reshape_dims(x->type, target, dims)) {
        const char *wanted = "";
        for (int i = 0; i < target->ints.count; i++)
            wanted = arena_format(module->arena, "%s%s%lld", wanted, i ? ", " : "", (long long)target->ints.items[i]);
        diag_error(ctx->diag, target->span, "Reshape: a sample of %s does not have as many elements as (%s)",
                   type_words(module->arena, x->type), wanted);
        diag_help(ctx->diag, "the product of the extents must stay the same; one of them may be -1");
        return NULL;
    }
    return build_reshape(ctx->builder, x, type_get(module, x->type->dtype, target->ints.count + 1, dims));
}
static const Parameter reshape_parameters[] = {
    INTS("target_shape", NULL, 0, -1, LARGE, "shape of one sample; one extent may be -1: what is left"), LAYER_COMMON,
    END};
const Component component_reshape = {.kind = COMPONENT_LAYER,
                                     .name = "Reshape",
                                     .parameters = reshape_parameters,
                                     .summary = "The same elements in another shape.",
                                     .examples = LINES("Reshape((7, 7, 16))", "Reshape((-1, 3))"),
                                     .checks =
                                         LINES(CHECK_LAYERS("Input(6)\nReshape((2, 3))\nDense(2)"),
                                               CHECK_LAYERS("Input((2, 6))\nDense(6)\nReshape((-1, 3))\nDense(2)")),
                                     .build.layer = reshape};

static Value *permute(LayerContext *ctx, Value *x) {
    const Arg *wanted = arg_get(ctx->args, "dims");
    int rank = x->type->rank, axes[MAX_RANK] = {0};
    bool used[MAX_RANK] = {false}, fits = wanted->ints.count == rank - 1;
    for (int i = 1; i < rank && fits; i++) {
        int64_t axis = wanted->ints.items[i - 1];
        fits = axis < rank && !used[axis];
        axes[i] = fits ? (int)axis : 0;
        used[axes[i]] = true;
    }
    if (fits)
        return build_transpose(ctx->builder, x, axes);
    diag_error(ctx->diag, wanted->span, "Permute: dims must name each axis of the input %s once, from 1 on",
               type_words(ctx->builder->module->arena, x->type));
    return NULL;
}
static const Parameter permute_parameters[] = {
    INTS("dims", NULL, 0, 1, MAX_RANK - 1, "the axes of the input in their new order; the first beside the batch is 1"),
    LAYER_COMMON, END};
const Component component_permute = {
    .kind = COMPONENT_LAYER,
    .name = "Permute",
    .parameters = permute_parameters,
    .summary = "The axes of a sample in another order.",
    .formula = "y[b, i, j] = x[b, j, i] for (2, 1)",
    .examples = LINES("Permute((2, 1))"),
    .checks = LINES(CHECK_LAYERS("Input((2, 3))\nDense(4)\nPermute((2, 1))\nDense(2)"),
                    CHECK_LAYERS("Input((2, 3, 2))\nDense(4, activation=tanh)\nPermute((3, 1, 2))\nDense(2)")),
    .build.layer = permute};

static Value *repeat_vector(LayerContext *ctx, Value *x) {
    if (x->type->rank != 2) {
        diag_error(ctx->diag, ctx->args->span, "RepeatVector needs an input of shape (batch, features), but it is %s",
                   type_words(ctx->builder->module->arena, x->type));
        return NULL;
    }
    Dim dims[3] = {x->type->dims[0], dim_static(arg_int(ctx->args, "n")), x->type->dims[1]};
    return build_broadcast(ctx->builder, x, type_get(ctx->builder->module, x->type->dtype, 3, dims), (int[]){0, 2});
}
static const Parameter repeat_vector_parameters[] = {INT("n", NULL, 1, LARGE, "number of steps"), LAYER_COMMON, END};
const Component component_repeat_vector = {.kind = COMPONENT_LAYER,
                                           .name = "RepeatVector",
                                           .parameters = repeat_vector_parameters,
                                           .summary = "A vector as each step of a sequence.",
                                           .formula = "(B, features) -> (B, n, features)",
                                           .examples = LINES("RepeatVector(10)"),
                                           .checks =
                                               LINES(CHECK_LAYERS("Input(3)\nDense(4)\nRepeatVector(3)\nSimpleRNN(2)"),
                                                     CHECK_LAYERS("Input(3)\nRepeatVector(2)\nDense(2)")),
                                           .build.layer = repeat_vector};

/* Keeps each element with probability 1 - rate and scales it by 1 / (1 - rate); entries of 1 in noise_shape share one
 * random number along their axis. A given seed takes the place of the run's. */
static const Type *noise_type(LayerContext *ctx, const Type *type) {
    const Arg *shape = arg_get(ctx->args, "noise_shape");
    if (shape->is_none || !shape->expr || shape->expr->kind == EXPR_NONE)
        return type;
    const Expr *e = shape->expr;
    Dim dims[MAX_RANK];
    bool fits = (e->kind == EXPR_LIST || e->kind == EXPR_TUPLE) && e->list.count == type->rank;
    for (int i = 0; fits && i < type->rank; i++) {
        const Expr *item = e->list.items[i];
        bool one = item->kind == EXPR_NUMBER && item->number.value == 1;
        fits = one || item->kind == EXPR_NONE ||
               (item->kind == EXPR_NUMBER && !type->dims[i].batch && item->number.value == (double)type->dims[i].n);
        dims[i] = one ? dim_static(1) : type->dims[i];
    }
    if (fits)
        return type_get(ctx->builder->module, type->dtype, type->rank, dims);
    diag_error(ctx->diag, shape->span, "Dropout: noise_shape does not fit the input %s",
               type_words(ctx->builder->module->arena, type));
    diag_help(ctx->diag, "one entry per axis: none keeps the axis (the batch too), 1 shares the number along it");
    return NULL;
}
static Value *dropout(LayerContext *ctx, Value *x) {
    const Type *type = noise_type(ctx, x->type);
    return type ? layer_drop(ctx, x, arg_float(ctx->args, "rate"), type) : NULL;
}
#define DROPOUT_SEED INT("seed", "none", 0, LARGE, "seed of its own instead of the run's")
static const Parameter dropout_parameters[] = {
    FLOAT_IN("rate", NULL, 0, 1, "probability that an element becomes 0 in training"),
    ANY("noise_shape", "none",
        "shape of the random numbers, batch first; 1 shares a number along its axis: (none, 1, 1, 8)"),
    DROPOUT_SEED, LAYER_COMMON, END};
const Component component_dropout = {
    .kind = COMPONENT_LAYER,
    .name = "Dropout",
    .parameters = dropout_parameters,
    .summary = "In training sets random elements to 0; otherwise changes nothing.",
    .formula = "x * (u >= rate) / (1 - rate), u uniform in [0, 1)  (Srivastava et al. 2014)",
    .examples = LINES("Dropout(0.2)", "Dropout(0.5, seed=7)"),
    .checks =
        LINES(CHECK_LAYERS("Input(3)\nDense(8, activation=tanh)\nDropout(0.4)\nDense(2)"),
              CHECK_LAYERS(
                  "Input((2, 3))\nDense(4, activation=tanh)\nDropout(0.5, noise_shape=(none, 1, 4), seed=3)\nDense(2)"),
              CHECK_LAYERS("Input(3)\nDense(4)\nDropout(0)\nDropout(1)\nDense(2)")),
    .build.layer = dropout,
    .flags = COMPONENT_KEEPS_MASK};

/* Whole channels: one random number for all steps, or cells, of a channel. */
static Value *spatial_dropout(LayerContext *ctx, Value *x, int spatial) {
    if ((spatial == SPATIAL_2D && !layer_channels_last(ctx)) || !window_rank(ctx, x->type, spatial))
        return NULL;
    const Type *noise = x->type;
    for (int i = 1; i <= spatial; i++)
        noise = type_with_axis(ctx->builder->module, noise, i, dim_static(1));
    return layer_drop(ctx, x, arg_float(ctx->args, "rate"), noise);
}
static Value *spatial_dropout1d(LayerContext *ctx, Value *x) {
    return spatial_dropout(ctx, x, SPATIAL_1D);
}
static Value *spatial_dropout2d(LayerContext *ctx, Value *x) {
    return spatial_dropout(ctx, x, SPATIAL_2D);
}
#define CHANNEL_RATE FLOAT_IN("rate", NULL, 0, 1, "probability that a channel becomes 0 in training")
static const Parameter spatial_dropout1d_parameters[] = {CHANNEL_RATE, DROPOUT_SEED, LAYER_COMMON, END};
static const Parameter spatial_dropout2d_parameters[] = {CHANNEL_RATE, DATA_FORMAT, DROPOUT_SEED, LAYER_COMMON, END};
const Component component_spatial_dropout1d = {
    .kind = COMPONENT_LAYER,
    .name = "SpatialDropout1D",
    .parameters = spatial_dropout1d_parameters,
    .summary = "In training sets random channels of a sequence to 0, in all steps.",
    .formula = "x * (u >= rate) / (1 - rate), one u for each sample and channel  (Tompson et al. 2014)",
    .examples = LINES("SpatialDropout1D(0.2)"),
    .checks = LINES(CHECK_LAYERS("Input((3, 2))\nDense(4, activation=tanh)\nSpatialDropout1D(0.4)\nDense(2)")),
    .build.layer = spatial_dropout1d,
    .flags = COMPONENT_KEEPS_MASK};
const Component component_spatial_dropout2d = {
    .kind = COMPONENT_LAYER,
    .name = "SpatialDropout2D",
    .parameters = spatial_dropout2d_parameters,
    .summary = "In training sets random channels of an image to 0.",
    .formula = "x * (u >= rate) / (1 - rate), one u for each sample and channel  (Tompson et al. 2014)",
    .examples = LINES("SpatialDropout2D(0.2)"),
    .checks =
        LINES(CHECK_LAYERS("Input((2, 3, 2))\nDense(4, activation=tanh)\nSpatialDropout2D(0.4, seed=3)\nDense(2)")),
    .build.layer = spatial_dropout2d,
    .flags = COMPONENT_KEEPS_MASK};

static const Parameter identity_parameters[] = {LAYER_COMMON, END};
const Component component_identity = {.kind = COMPONENT_LAYER,
                                      .name = "Identity",
                                      .parameters = identity_parameters,
                                      .summary = "Changes nothing: an empty branch.",
                                      .formula = "x",
                                      .examples = LINES("Identity()"),
                                      .checks = LINES(CHECK_LAYERS("Input(3)\nIdentity()\nDense(2)")),
                                      .build.layer = identity,
                                      .flags = COMPONENT_KEEPS_MASK};

static Value *rescaling(LayerContext *ctx, Value *x) {
    return build_shift(ctx->builder, build_scale(ctx->builder, x, arg_float(ctx->args, "scale")),
                       arg_float(ctx->args, "offset"));
}
static const Parameter rescaling_parameters[] = {FLOAT("scale", NULL, "factor"),
                                                 FLOAT("offset", "0.0", "added after it"), LAYER_COMMON, END};
const Component component_rescaling = {.kind = COMPONENT_LAYER,
                                       .name = "Rescaling",
                                       .parameters = rescaling_parameters,
                                       .summary = "Multiplies by a constant and adds one.",
                                       .formula = "x * scale + offset",
                                       .examples = LINES("Rescaling(1/255)", "Rescaling(1/127.5, offset=-1)"),
                                       .checks = LINES(CHECK_LAYERS("Input(3)\nRescaling(0.5, offset=-1)\nDense(2)")),
                                       .build.layer = rescaling,
                                       .flags = COMPONENT_KEEPS_MASK};
