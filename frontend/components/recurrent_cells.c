/* SimpleRNN, LSTM, GRU: what one step makes of the gates, and their records. Keras 3: layers/rnn. */
#include "frontend/components/recurrent.h"

#define RECURRENT_WEIGHTS                                                                                              \
    BOOLEAN("use_bias", "true", "add a bias"), INITIALIZER("kernel", "glorot_uniform"),                                \
        PART("recurrent_initializer", "orthogonal", COMPONENT_INITIALIZER, "initial values of `recurrent_kernel`"),    \
        INITIALIZER("bias", "zeros")
#define RECURRENT_PENALTIES(ACTIVITY)                                                                                  \
    REGULARIZER("kernel"),                                                                                             \
        PART("recurrent_regularizer", "none", COMPONENT_REGULARIZER,                                                   \
             "penalty on `recurrent_kernel`, added to the loss"),                                                      \
        REGULARIZER("bias"), ACTIVITY, CONSTRAINT("kernel"), CONSTRAINT("recurrent"), CONSTRAINT("bias"),              \
        FLOAT_IN("dropout", "0.0", 0, 1,                                                                               \
                 "probability that a feature of the input becomes 0 in training, in all steps"),                       \
        FLOAT_IN("recurrent_dropout", "0.0", 0, 1, "the same for the state that a step starts from")
#define RECURRENT_SEED INT("seed", "none", 0, LARGE, "seed of dropout; none: the run's")
#define RECURRENT_SEQUENCE                                                                                             \
    BOOLEAN("return_sequences", "false", "the outputs of all steps instead of the last one"),                          \
        ANY("return_state", "false", "the states as further results; not built yet, only false"),                      \
        BOOLEAN("go_backwards", "false",                                                                               \
                "from the last step to the first; outputs of all steps come in that order too"),                       \
        ANY("stateful", "false", "states that stay from batch to batch; not built yet, only false"),                   \
        BOOLEAN("unroll", "false", "accepted; the code is the same")
#define RECURRENT_CUDNN ANY("use_cudnn", "auto", "accepted; changes nothing")

static Value *recurrent(LayerContext *ctx, Value *x) {
    return recurrent_layer(ctx, x, &(RecurrentOptions){.backwards = arg_bool(ctx->args, "go_backwards")});
}

/* h = activation(x W + b + h U) */
static void simple_step(RecurrentStep *step, Value *const *states, Value **next) {
    Value *sum;
    recurrent_gates(step, states[0], 0, 1, true, &sum);
    next[0] = recurrent_apply(step, "activation", sum);
}
static Value *simple_rnn(LayerContext *ctx, Value *x) {
    return layer_not_built(ctx, "activity_regularizer") ? recurrent(ctx, x) : NULL;
}
static const Parameter simple_parameters[] = {
    INT("units", NULL, 1, LARGE, "size of the state, number of features of the result"),
    PART("activation", "tanh", COMPONENT_ACTIVATION, "function that makes the new state; none: linear"),
    RECURRENT_WEIGHTS,
    RECURRENT_PENALTIES(ANY("activity_regularizer", "none", "without effect in Keras; only none")),
    RECURRENT_SEQUENCE,
    RECURRENT_SEED,
    LAYER_COMMON,
    END};
const Component component_simple_rnn = {
    .kind = COMPONENT_LAYER,
    .name = "SimpleRNN",
    .parameters = simple_parameters,
    .summary = "Recurrent layer: the state of a step is a dense layer of the input and of the state before.",
    .formula = "h = activation(x W + b + h_before U)",
    .examples = LINES("SimpleRNN(32)", "SimpleRNN(32, return_sequences=true, activation=relu)"),
    .checks = LINES(
        CHECK_LAYERS("Input((3, 2))\nSimpleRNN(4)\nDense(2)"),
        CHECK_LAYERS("Input((3, 2))\nSimpleRNN(3, return_sequences=true, use_bias=false)\nSimpleRNN(2, "
                     "activation=sigmoid, go_backwards=true)"),
        CHECK_LAYERS("Input((4, 2))\nSimpleRNN(3, return_sequences=true, go_backwards=true, "
                     "recurrent_regularizer=L2(0.01), kernel_regularizer=L2(0.02), bias_initializer=ones)\nDense(2)"),
        CHECK_LAYERS("Input((3, 4))\nDense(4)\nSimpleRNN(4, dropout=0.3, recurrent_dropout=0.4)\nDense(2)")),
    .build.layer = simple_rnn,
    .flags = COMPONENT_USES_MASK};

/* c = f c + i a(g); h = o a(c), gates in Keras' order: i, f, g, o */
static void lstm_step(RecurrentStep *step, Value *const *states, Value **next) {
    Builder *b = step->builder;
    Value *z[4];
    recurrent_gates(step, states[0], 0, 4, true, z);
    Value *input = recurrent_apply(step, "recurrent_activation", z[0]);
    Value *forget = recurrent_apply(step, "recurrent_activation", z[1]);
    Value *output = recurrent_apply(step, "recurrent_activation", z[3]);
    Value *added = build_mul(b, input, recurrent_apply(step, "activation", z[2]));
    next[1] = build_add(b, build_mul(b, forget, states[1]), added);
    next[0] = build_mul(b, output, recurrent_apply(step, "activation", next[1]));
}
#define RECURRENT_ACTIVATIONS                                                                                          \
    PART("activation", "tanh", COMPONENT_ACTIVATION, "function of the candidate state; none: linear"),                 \
        PART("recurrent_activation", "sigmoid", COMPONENT_ACTIVATION, "function of the gates")
static const Parameter lstm_parameters[] = {
    INT("units", NULL, 1, LARGE, "size of the state, number of features of the result"),
    RECURRENT_ACTIVATIONS,
    RECURRENT_WEIGHTS,
    BOOLEAN("unit_forget_bias", "true", "the bias of the forget gate starts at 1"),
    RECURRENT_PENALTIES(ACTIVITY_REGULARIZER),
    RECURRENT_SEED,
    RECURRENT_SEQUENCE,
    RECURRENT_CUDNN,
    LAYER_COMMON,
    END};
const Component component_lstm = {
    .kind = COMPONENT_LAYER,
    .name = "LSTM",
    .parameters = lstm_parameters,
    .summary = "Long short-term memory: a recurrent layer whose gates say what is kept.",
    .formula = "i, f, g, o = x W + b + h U; c = s(f) c + s(i) tanh(g); h = s(o) tanh(c), s: recurrent_activation  "
               "(Hochreiter, Schmidhuber 1997)",
    .examples = LINES("LSTM(64)", "LSTM(64, return_sequences=true, dropout=0.2)"),
    .checks = LINES(
        CHECK_LAYERS("Input((3, 2))\nLSTM(3)\nDense(2)"),
        CHECK_LAYERS("Input((3, 2))\nLSTM(2, return_sequences=true, use_bias=false)\nLSTM(2, activation=softsign, "
                     "recurrent_activation=hard_sigmoid, unit_forget_bias=false)"),
        CHECK_LAYERS("Input((3, 2))\nLSTM(3, return_sequences=true, go_backwards=true, recurrent_regularizer=L2(0.01), "
                     "activity_regularizer=L2(0.02))\nDense(2)"),
        CHECK_LAYERS("Input((3, 4))\nDense(4)\nLSTM(3, dropout=0.3)\nDense(2)"),
        CHECK_LAYERS("Input((3, 4))\nDense(4)\nLSTM(3, dropout=0.3, recurrent_dropout=0.4, seed=5)\nDense(2)"),
        CHECK_LAYERS("Input((4, 2))\nMasking(0.3)\nDense(2)\nLSTM(3, return_sequences=true)\nLSTM(2)\nDense(2)")),
    .build.layer = recurrent,
    .flags = COMPONENT_USES_MASK};

static int gru_reset(const Args *args) {
    return arg_bool(args, "reset_after") ? 0 : 2;
}

/* h = z h + (1 - z) a(candidate), gates in Keras' order: z, r, candidate; r is applied to the product with the state,
 * or to the state before it. */
static void gru_step(RecurrentStep *step, Value *const *states, Value **next) {
    Builder *b = step->builder;
    Value *h = states[0], *gates[2], *products[3], *candidate;
    if (arg_bool(step->args, "reset_after")) {
        recurrent_gates(step, h, 0, 3, false, products);
        for (int i = 0; i < 2; i++)
            gates[i] = build_add(b, recurrent_input(step, i), products[i]);
    } else {
        recurrent_gates(step, h, 0, 2, true, gates);
    }
    Value *update = recurrent_apply(step, "recurrent_activation", gates[0]);
    Value *reset = recurrent_apply(step, "recurrent_activation", gates[1]);
    if (arg_bool(step->args, "reset_after"))
        candidate = build_add(b, recurrent_input(step, 2), build_mul(b, reset, products[2]));
    else
        recurrent_gates(step, build_mul(b, reset, h), 2, 1, true, &candidate);
    candidate = recurrent_apply(step, "activation", candidate);
    Value *rest = update ? build_sub(b, build_like(b, update, 1), update) : NULL;
    next[0] = build_add(b, build_mul(b, update, h), build_mul(b, rest, candidate));
}
static const Parameter gru_parameters[] = {
    INT("units", NULL, 1, LARGE, "size of the state, number of features of the result"),
    RECURRENT_ACTIVATIONS,
    RECURRENT_WEIGHTS,
    RECURRENT_PENALTIES(ACTIVITY_REGULARIZER),
    RECURRENT_SEED,
    RECURRENT_SEQUENCE,
    BOOLEAN("reset_after", "true",
            "the reset gate is applied after the product with the state, which has its own bias"),
    RECURRENT_CUDNN,
    LAYER_COMMON,
    END};
const Component component_gru = {
    .kind = COMPONENT_LAYER,
    .name = "GRU",
    .parameters = gru_parameters,
    .summary = "Gated recurrent unit: a recurrent layer with two gates and one state.",
    .formula = "z, r = s(x W + b + h U + rb); g = tanh(x W_g + b_g + r (h U_g + rb_g)); h = z h + (1 - z) g, s: "
               "recurrent_activation  (Cho et al. 2014)",
    .examples = LINES("GRU(64)", "GRU(64, return_sequences=true, reset_after=false)"),
    .checks =
        LINES(CHECK_LAYERS("Input((3, 2))\nGRU(3)\nDense(2)"),
              CHECK_LAYERS("Input((3, 2))\nGRU(3, reset_after=false, return_sequences=true)\nGRU(2, use_bias=false)"),
              CHECK_LAYERS("Input((3, 2))\nGRU(3, activation=softsign, recurrent_activation=hard_sigmoid, "
                           "go_backwards=true, bias_regularizer=L2(0.01), bias_initializer=random_uniform)\nDense(2)"),
              CHECK_LAYERS("Input((3, 4))\nDense(4)\nGRU(3, dropout=0.3, recurrent_dropout=0.4)\nDense(2)"),
              CHECK_LAYERS(
                  "Input((3, 4))\nDense(4)\nGRU(3, dropout=0.3, recurrent_dropout=0.4, reset_after=false)\nDense(2)"),
              CHECK_LAYERS("Input((4, 2))\nMasking(0.3)\nDense(2)\nGRU(3, return_sequences=true)\nGRU(2)\nDense(2)")),
    .build.layer = recurrent,
    .flags = COMPONENT_USES_MASK};

const RecurrentCell recurrent_cells[RECURRENT_CELLS] = {
    {&component_simple_rnn, 1, 1, true, NULL, simple_step},
    {&component_lstm, 4, 2, false, NULL, lstm_step},
    {&component_gru, 3, 1, false, gru_reset, gru_step},
};
