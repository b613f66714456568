/* The analysis of one model of a file: the state that its parts share. Private to frontend/.
 *
 * A model is walked once per function (forward, train_step, evaluate_step). Names, random streams and variables come
 * out the same each time, because they are given in the order of the walk. Mistakes are reported in the first walk;
 * later functions are built only when there were none. */
#ifndef NNC_FRONTEND_ANALYSE_H
#define NNC_FRONTEND_ANALYSE_H
#include "frontend/args.h"
#include "frontend/frontend.h"

enum { MAX_LAYERS = 10000, MAX_CLASSES = 1000000, FIRST_STREAM = 65536 };
#define MAX_ELEMENTS 1099511627776.0 /* 2^40: sums over a model stay within 64 bits */

/* Layer names of one model: the compiled one (prefix "") or one that is used as a layer ("encoder/"). */
typedef struct Scope {
    const char *prefix;
    Map *counts; /* class in snake case -> int: how many had this name */
    Map *spans;  /* name -> Span of its layer */
} Scope;

/* The models being walked, innermost first: a model must not contain itself. */
typedef struct Use {
    const Block *block;
    Span span;
    struct Use *outer;
} Use;

typedef struct {
    Variable *variable;
    Value *value;
} Assignment;

typedef struct {
    const Value *value;
    Value *mask;
} Mask;

typedef struct {
    const char *name; /* as the user wrote it: what logs call it */
    Span span;
    const Component *component;
    Args *args;
} MetricChoice;

/* What the compile block says. */
typedef struct {
    const Component *loss; /* NULL: crossentropy, until it is resolved, or loss_wrong */
    bool loss_wrong;
    Args *loss_args;
    Span loss_span;
    const Component *optimizer, *schedule; /* schedule NULL: a number */
    Args *optimizer_args, *schedule_args;
    double learning_rate;
    const char *optimizer_name;
    MetricChoice *metrics;
    int metric_count, metric_capacity;
} Compile;

typedef struct Model {
    Arena *arena;
    Interner *names;
    Diag *diag;
    const Ast *ast;
    const FrontendOptions *options;
    Map *constants;
    const Block *block, *data, *compile_block, *fit; /* NULL: the file has none for this model */
    const char **model_names;
    int model_count;
    Program *program;
    Module *module;
    Compile compile;
    Args *fit_args, *data_args; /* settings of the blocks; NULL: no block */
    Map *bound;                 /* Args by expression: bound once, whatever the number of functions */
    Map *step_counts;           /* names of data steps */
    Map *visited;               /* names of models that were walked */
    /* of the function being built */
    Builder builder;
    bool training, recording; /* recording: first walk, layers are listed */
    bool trainable;
    Scope *scope;
    Use *use;
    int layers, streams, hidden; /* hidden > 0: inside a model used as a layer */
    Value *seed, *step;
    Value **losses;
    int loss_count, loss_capacity;
    Map *regularised; /* names of weights whose penalty was added */
    Assignment *assignments;
    int assignment_count, assignment_capacity;
    Mask *masks; /* of values; the last entry of a value counts */
    int mask_count, mask_capacity;
    Value *logits, *logits_output;
    int logits_kind;
    int64_t parameters; /* of the layer being built */
} Model;

/* blocks.c: the settings of the blocks as schemas; kind is COMPONENT_KINDS. Index: BlockKind. */
extern const Component *const block_components[4];
/* Binds the assignments of a block; entries of other kinds are left to the caller. Settings with a mistake are none. */
Args *block_bind(Model *, const Block *);
/* Picks the model and the blocks that belong to it. False after an error. */
bool blocks_choose(Model *);
const Block *block_find_model(const Model *, const char *name);
bool c_name_taken(const char *name); /* c_names.c: a C file could not have a model of this name */

/* model.c */
void model_begin(Model *, Func *, bool training);
Value *model_body(Model *, const Body *, Value *x); /* x NULL: arguments are checked, nothing is built */
Value *model_walk(Model *, Value *x);               /* the whole model */
const Type *model_input_type(Model *, const Block *, int depth);
void model_check_unused(Model *); /* models that the compiled one does not contain: their arguments only */
const char *shape_words(Model *, const Type *);
Value *model_mask(const Model *, const Value *); /* NULL: none */
void model_set_mask(Model *, const Value *, Value *mask);
bool model_count_layer(Model *, Span); /* false, with an error the first time: more than MAX_LAYERS */
bool type_is_huge(const Type *);       /* more than MAX_ELEMENTS for one sample */

/* compile_block.c, target.c, step.c, optimizer.c */
void compile_read(Model *);
/* With the model's output known: target, classes, the metrics that depend on shapes. False after an error. */
bool target_resolve(Model *);
void step_build(Model *, bool training);
void optimizer_apply(Model *, Value *loss);

/* data_block.c, fit_block.c */
void data_read(Model *);
void data_preprocess(Model *);
void fit_read(Model *);
void fit_finish(Model *); /* what needs metrics and classes: callbacks, class_weight */
#endif
