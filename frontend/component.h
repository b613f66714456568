/* Components: everything that a user can name in a .nn file. One record holds the name, the parameters, the words for
 * `nnc help`, what it builds, and its own check cases; components of one family share a file in frontend/components/.
 *
 * To add one: write its record, and list it in frontend/components/components.def. Nothing else knows its name. */
#ifndef NNC_FRONTEND_COMPONENT_H
#define NNC_FRONTEND_COMPONENT_H
#include "frontend/ast.h"
#include "ir/build.h"
#include "ir/program.h"

typedef enum {
    COMPONENT_LAYER,
    COMPONENT_COMBINATOR, /* layers with bodies: Residual, Add, Concatenate, Repeat, ... */
    COMPONENT_ACTIVATION,
    COMPONENT_LOSS,
    COMPONENT_METRIC,
    COMPONENT_OPTIMIZER,
    COMPONENT_SCHEDULE,
    COMPONENT_INITIALIZER,
    COMPONENT_REGULARIZER,
    COMPONENT_CALLBACK,
    COMPONENT_DATA_SOURCE,
    COMPONENT_DATA_STEP,
    COMPONENT_KINDS
} ComponentKind;

typedef enum {
    PARAMETER_INT,
    PARAMETER_FLOAT, /* accepts integers too */
    PARAMETER_BOOL,
    PARAMETER_STRING,
    PARAMETER_CHOICE,    /* one of `choices`, bare or quoted */
    PARAMETER_INTS,      /* an int (repeated `length` times) or a list/tuple; length 0: any number */
    PARAMETER_COMPONENT, /* of `component` kind: a name, a string or a call; or none */
    PARAMETER_ANY        /* left as Expr: the component reads it itself (class_weight dict, text columns) */
} ParameterType;

typedef struct {
    const char *name;
    ParameterType type;
    const char *default_text; /* as one would write it: "glorot_uniform", "1", "none"; NULL: required */
    const char *doc;
    double minimum, maximum; /* numbers; both 0: not checked */
    bool above_minimum;      /* minimum itself is not allowed */
    const char *choices;     /* "valid|same" */
    int length;              /* INTS */
    ComponentKind component;
} Parameter;

typedef struct Component Component;
typedef struct Args Args;

/* A bound argument. `given` is false for a default. */
typedef struct {
    bool given, is_none;
    Span span;
    union {
        int64_t integer;
        double number;
        bool boolean;
        const char *text;
        struct {
            int64_t items[MAX_RANK];
            int count;
        } ints;
        struct {
            const Component *component;
            Args *args;
            const char *name; /* of a layer: its own or Keras' automatic one, given anew in each walk */
        } part;
        const Expr *expr;
    };
} Arg;

struct Args {
    const Component *component;
    Diag *diag;         /* for mistakes of the component's own file */
    Span span;          /* of the whole call */
    Arg *values;        /* one per parameter, in the schema's order */
    const Body *bodies; /* combinators */
    int body_count;
};

/* The bound value of a parameter. Of one that is none: 0, NAN, false, NULL. A name that the schema does not have, or
 * has with another type, is an internal error and none. */
int64_t arg_int(const Args *, const char *name);
double arg_float(const Args *, const char *name); /* PARAMETER_FLOAT */
bool arg_bool(const Args *, const char *name);
const char *arg_text(const Args *, const char *name); /* PARAMETER_STRING, PARAMETER_CHOICE */
const Arg *arg_get(const Args *, const char *name);   /* of any type */
bool arg_is_none(const Args *, const char *name);

/* What a layer sees while it is built. The same layer is built once per function (forward, train_step, evaluate_step);
 * its weights are made at the first call and found again by name at the others. */
typedef struct LayerContext {
    Builder *builder;
    Diag *diag;
    const char *name; /* dense_1 */
    bool training;
    bool trainable;
    Value *seed, *step;  /* for random numbers in training; NULL otherwise */
    Value *mask;         /* of the input: layer_mask */
    struct Model *model; /* frontend/analyse.c's own state */
    const Args *args;
} LayerContext;

/* A weight NAME/leaf of the layer, initialised and regularised as the arguments named `leaf_initializer` and
 * `leaf_regularizer` say (if the schema has them). Fans follow Keras (rank 2: rows, columns; higher: times the
 * receptive field). NULL after an error. */
Value *layer_weight(LayerContext *, const char *leaf, const Type *, bool trainable);
/* The same variable, to be assigned (moving averages). */
Variable *layer_variable(LayerContext *, const char *leaf);
void layer_assign(LayerContext *, const char *leaf, Value *); /* only when training */
/* Applies the activation argument `activation`, and remembers the input of a final softmax or sigmoid for the loss. */
Value *layer_activation(LayerContext *, Value *);
void layer_add_loss(LayerContext *, Value *scalar);
int layer_random_stream(LayerContext *); /* the same in every build of this layer */
/* For layers that end in a softmax over the last axis (kind -1) or a sigmoid (kind FN_sigmoid) without an `activation`
 * argument (Softmax): `output` was made from `logits`. layer_activation does it by itself. */
void layer_logits(LayerContext *, Value *output, Value *logits, int kind);
/* The same for a layer that passes on what another one made, in another shape. */
void layer_keep_logits(LayerContext *, Value *from, Value *to);
/* Builds a nested body (combinators) on x. */
Value *layer_body(LayerContext *, const Body *, Value *x);
/* Builds a layer that is an argument of this one (Bidirectional, TimeDistributed) on x, as NAME/part; `build` takes the
 * place of its record's, NULL: that one. */
Value *layer_part(LayerContext *, const Arg *, const char *part, Value *x, Value *(*build)(LayerContext *, Value *));

/* Masks, as in Keras: bool[B] or bool[B, T, ...], true where a step counts; they belong to a value. A layer whose record
 * has COMPONENT_KEEPS_MASK gives its result the mask of its input; one with COMPONENT_USES_MASK sees to it by itself; any
 * other drops it with a warning. */
Value *layer_mask(LayerContext *); /* of the input; NULL: none */
Value *layer_mask_of(LayerContext *, const Value *);
void layer_set_mask(LayerContext *, Value *, Value *mask);
const Type *layer_type(LayerContext *, int rank, const Dim *);

typedef struct {
    Builder *builder;
    const Args *args;
    Value *logits;   /* input of the final softmax or sigmoid that made y_pred, NULL: none */
    int logits_kind; /* FN_sigmoid: sigmoid; -1: softmax over the last axis */
    Value *counts;   /* set by a metric that is no mean: what each value counts in the divisor; NULL: 1 */
} LossContext;

typedef struct OptimizerContext {
    Builder *builder;
    const Args *args;
    Value *learning_rate; /* f32 scalar, after the schedule */
    Value *step;          /* f32 scalar: iterations + 1 */
    struct Model *model;
    const char *optimizer_name; /* adam */
} OptimizerContext;
/* The state "<optimizer>/<weight path with _>_<slot>" of a weight: value on entry. optimizer_set writes it. */
Value *optimizer_slot(OptimizerContext *, Variable *weight, const char *slot, double initial);
void optimizer_set(OptimizerContext *, Variable *weight, const char *slot, Value *);

typedef struct {
    Builder *builder;
    const Args *args;
    Value *x; /* raw or so-far preprocessed batch */
    int step; /* steps before this one */
    struct Model *model;
} DataContext;
/* State of a preprocessing step, fitted per feature on the training rows: "standardize/mean". */
Value *data_state(DataContext *, const char *name, FitKind);

struct Component {
    ComponentKind kind;
    const char *name;            /* Dense, relu, Adam, csv */
    const char *aliases;         /* "swish|SiLU", or NULL */
    const Parameter *parameters; /* ends with name == NULL */
    const char *summary;         /* one line */
    const char *formula;         /* with its source, or NULL */
    const char *const *examples; /* whole lines for help, NULL-terminated */
    const char *const *checks;   /* whole .nn programs for the gradient and execution tests, NULL-terminated */
    union {
        Value *(*layer)(LayerContext *, Value *x);
        Value *(*activation)(Builder *, const Args *, Value *x);
        /* per-sample values, [B] or [B, ..]: already the mean over the last axis as Keras does; not weighted */
        Value *(*loss)(LossContext *, Value *y_true, Value *y_pred);
        Value *(*metric)(LossContext *, Value *y_true, Value *y_pred);
        Value *(*optimizer)(OptimizerContext *, Variable *weight, Value *value, Value *gradient); /* the new value */
        Value *(*schedule)(Builder *, const Args *, Value *iterations); /* f32 scalar, before the increment */
        Init (*initializer)(const Args *, double fan_in, double fan_out);
        Value *(*regularizer)(Builder *, const Args *, Value *weight); /* scalar */
        bool (*callback)(const Args *, Diag *, Callback *);
        bool (*source)(const Args *, Arena *, Diag *, DataSource *);
        Value *(*data_step)(DataContext *);
    } build;
    unsigned flags; /* COMPONENT_SPARSE_TARGET: y is a class index */
};
enum {
    COMPONENT_SPARSE_TARGET = 1,
    COMPONENT_HIGHER_IS_BETTER = 2,
    COMPONENT_ROOT_MEAN = 4,
    COMPONENT_ONE_HOT_TARGET = 8, /* y is one-hot (categorical losses): data files may hold the class index */
    COMPONENT_KEEPS_MASK = 16,    /* layers: the mask of the input is that of the result */
    COMPONENT_USES_MASK = 32      /* layers: reads the mask and says itself whether the result has one */
};

extern const Component *const components[];                                /* ends with NULL */
const Component *component_find(ComponentKind, const char *name_or_alias); /* NULL: none */
/* Checks and binds the arguments of a call (or a bare name, or a string) against the schema; every mistake is one
 * diagnostic with its span and the nearest name. NULL if there was an error. */
Args *args_bind(Arena *, Diag *, const Component *, const Expr *call, Map *constants);
#endif
