/* What the component files share: words of schemas, check programs, and small compositions on the IR builder.
 * Needs: frontend/component.h. The parameters that every layer, loss, metric or optimizer has are in the record's own
 * schema through the macros below, at the end, so that help shows them and positional order stays Keras'. */
#ifndef NNC_FRONTEND_COMPONENTS_H
#define NNC_FRONTEND_COMPONENTS_H
#include <math.h>
#include <string.h>
#include "frontend/component.h"

#define X(record) extern const Component record;
#include "frontend/components/components.def"
#undef X

/* Keras' fuzz factor: probabilities are kept this far from 0 and 1. */
#define KERAS_EPSILON 1e-7

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Check programs: tiny shapes, any batch of up to three samples. */
#define CHECK_FIT "\nfit { batch_size = 3 }\n"
#define CHECK_PROGRAM(layers, compile) "model check {\n" layers "\n}\ncompile {\n" compile "\n}" CHECK_FIT
#define CHECK_LAYERS(layers) CHECK_PROGRAM(layers, "loss = mean_squared_error\noptimizer = SGD(0.1)")
#define CHECK_LOSS(layers, loss) CHECK_PROGRAM(layers, "loss = " loss "\noptimizer = SGD(0.1)")
#define CHECK_OPTIMIZER(text)                                                                                          \
    CHECK_PROGRAM("Input(3)\nDense(4, activation=tanh)\nDense(2)", "loss = mean_squared_error\noptimizer = " text)
#define CHECK_METRIC(layers, loss, metric)                                                                             \
    CHECK_PROGRAM(layers, "loss = " loss "\noptimizer = SGD(0.1)\nmetrics = [" metric "]")

/* Parameters. Last field: what `nnc help` says. */
#define INT(NAME, DEFAULT, LOW, HIGH, DOC)                                                                             \
    { .name = NAME, .type = PARAMETER_INT, .default_text = DEFAULT, .minimum = LOW, .maximum = HIGH, .doc = DOC }
#define FLOAT(NAME, DEFAULT, DOC)                                                                                      \
    { .name = NAME, .type = PARAMETER_FLOAT, .default_text = DEFAULT, .doc = DOC }
#define FLOAT_IN(NAME, DEFAULT, LOW, HIGH, DOC)                                                                        \
    { .name = NAME, .type = PARAMETER_FLOAT, .default_text = DEFAULT, .minimum = LOW, .maximum = HIGH, .doc = DOC }
#define FLOAT_ABOVE(NAME, DEFAULT, LOW, HIGH, DOC)                                                                     \
    {                                                                                                                  \
        .name = NAME, .type = PARAMETER_FLOAT, .default_text = DEFAULT, .minimum = LOW, .maximum = HIGH,               \
        .above_minimum = true, .doc = DOC                                                                              \
    }
#define BOOLEAN(NAME, DEFAULT, DOC)                                                                                    \
    { .name = NAME, .type = PARAMETER_BOOL, .default_text = DEFAULT, .doc = DOC }
#define STRING(NAME, DEFAULT, DOC)                                                                                     \
    { .name = NAME, .type = PARAMETER_STRING, .default_text = DEFAULT, .doc = DOC }
#define CHOICE(NAME, DEFAULT, CHOICES, DOC)                                                                            \
    { .name = NAME, .type = PARAMETER_CHOICE, .default_text = DEFAULT, .choices = CHOICES, .doc = DOC }
#define INTS(NAME, DEFAULT, LENGTH, LOW, HIGH, DOC)                                                                    \
    {                                                                                                                  \
        .name = NAME, .type = PARAMETER_INTS, .default_text = DEFAULT, .length = LENGTH, .minimum = LOW,               \
        .maximum = HIGH, .doc = DOC                                                                                    \
    }
#define PART(NAME, DEFAULT, KIND, DOC)                                                                                 \
    { .name = NAME, .type = PARAMETER_COMPONENT, .default_text = DEFAULT, .component = KIND, .doc = DOC }
#define ANY(NAME, DEFAULT, DOC)                                                                                        \
    { .name = NAME, .type = PARAMETER_ANY, .default_text = DEFAULT, .doc = DOC }
#define END                                                                                                            \
    { .name = NULL }
#define LARGE 2147483647.0

#define ACTIVATION(DEFAULT)                                                                                            \
    PART("activation", DEFAULT, COMPONENT_ACTIVATION, "elementwise function of the result, or softmax; none: linear")
#define INITIALIZER(LEAF, DEFAULT)                                                                                     \
    PART(LEAF "_initializer", DEFAULT, COMPONENT_INITIALIZER, "initial values of `" LEAF "`")
#define REGULARIZER(LEAF)                                                                                              \
    PART(LEAF "_regularizer", "none", COMPONENT_REGULARIZER, "penalty on `" LEAF "`, added to the loss")
#define CONSTRAINT(LEAF) ANY(LEAF "_constraint", "none", "constraint on `" LEAF "`; not built yet, only none")
#define ACTIVITY_REGULARIZER                                                                                           \
    PART("activity_regularizer", "none", COMPONENT_REGULARIZER,                                                        \
         "penalty on the result, divided by the batch size, added to the loss")
#define DATA_FORMAT                                                                                                    \
    CHOICE("data_format", "none", "channels_last|channels_first", "order of the axes; channels_first is not built yet")

#define LAYER_COMMON                                                                                                   \
    STRING("name", "none", "name of the layer and of its weights in files; none: made from the kind of layer"),        \
        BOOLEAN("trainable", "true", "false: the weights stay as they are")
#define LOSS_COMMON                                                                                                    \
    CHOICE("reduction", "sum_over_batch_size", "sum_over_batch_size|mean|sum|mean_with_sample_weight",                 \
           "how the values of a batch become one number: their mean, their sum, or the mean that divides by the sum "  \
           "of the sample weights"),                                                                                   \
        STRING("name", "none", "name of the loss")
#define METRIC_NAME STRING("name", "none", "name under which it is shown; none: its own")
#define WEIGHT_DECAY(DEFAULT)                                                                                          \
    FLOAT_IN("weight_decay", DEFAULT, 0, LARGE, "weights shrink by weight_decay * learning_rate before each update")
#define OPTIMIZER_CLIPS                                                                                                \
    FLOAT_ABOVE("clipnorm", "none", 0, LARGE, "largest norm of the gradient of one weight tensor"),                    \
        FLOAT_ABOVE("clipvalue", "none", 0, LARGE, "largest absolute value of a gradient element"),                    \
        FLOAT_ABOVE("global_clipnorm", "none", 0, LARGE, "largest norm of all gradients together"),                    \
        STRING("name", "none", "name of the optimizer and of its state in files")
#define OPTIMIZER_COMMON WEIGHT_DECAY("none"), OPTIMIZER_CLIPS
/* A number, or a schedule: read by the front end. */
#define LEARNING_RATE(DEFAULT)                                                                                         \
    {                                                                                                                  \
        .name = "learning_rate", .type = PARAMETER_ANY, .default_text = DEFAULT, .component = COMPONENT_SCHEDULE,      \
        .doc = "step size: a number, or a schedule such as CosineDecay(0.1, 1000)"                                     \
    }

/* common.c: false (or NULL) after an error in diag */

/* Errors for each of the '|'-separated arguments (of type ANY) that was given and is not none or false: "... is not
 * built yet".
 */
bool layer_not_built(LayerContext *, const char *names);
bool layer_channels_last(LayerContext *);
bool layer_weight_fits(LayerContext *, const char *leaf, int rank, const Dim *);
/* Axis argument of a tensor of this rank as 1..rank-1; negative ones count from the end. -1 after an error. */
int axis_of(Diag *, Span, int64_t axis, int rank);
bool axes_of(Diag *, const Arg *, int rank, AxesAttr *);
/* y + bias over the last axis, if use_bias; then the activation and the activity regularizer. */
Value *layer_finish(LayerContext *, Value *y, int64_t features);
Value *layer_penalise_activity(LayerContext *, Value *y);
/* Initial values as the initializer argument of that name says for these fans; and layer_weight (trainable) with
 * initial values that do not follow from its name and shape. */
Init layer_init(LayerContext *, const char *argument, double fan_in, double fan_out);
Value *layer_weight_with(LayerContext *, const char *leaf, const Type *, Init);
/* Inverted dropout in training, else x. noise: shape of the random numbers, NULL: that of x. The argument `seed`, if
 * the schema has it and it was given, takes the place of the run's. */
Value *layer_drop(LayerContext *, Value *x, double rate, const Type *noise);
/* x's type as readers write it, (B, 8, 8, 3): for messages. */
const char *type_words(Arena *, const Type *);
/* The same dtype and dims but for one axis. */
const Type *type_with_axis(Module *, const Type *, int axis, Dim);
Value *build_clip(Builder *, Value *, double low, double high);
Value *build_square(Builder *, Value *);
Value *build_where(Builder *, ScalarFn compare, Value *x, double than, Value *yes,
                   Value *no); /* x compare than ? yes : no */
/* Over the given axes, safe against overflow. */
Value *build_softmax(Builder *, Value *, const AxesAttr *);
Value *build_log_softmax(Builder *, Value *, const AxesAttr *);
Value *build_relu(Builder *, Value *, double negative_slope, double max_value /* NAN: none */, double threshold);
Value *build_leaky(Builder *, Value *, double slope);
Value *build_elu(Builder *, Value *, double alpha);
#endif
