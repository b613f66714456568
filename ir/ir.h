/* Tensor IR: a module of functions over static shapes in SSA form. Text form: ir/print.c and ir/read.c.
 *
 *   module @digits batch_max=32 random_streams=0
 *   variable @dense/kernel : f32[64, 10] trainable init=uniform(-0.28, 0.28)
 *   func @forward(%x : f32[B, 64] input) -> (%0 "output") {
 *     %w = variable @dense/kernel : f32[64, 10]
 *     %0 = einsum %x, %w "ab,bc->ac" : f32[B, 10] layer "dense"
 *   }
 *
 * A dimension is a number, or a multiple of the batch symbol B (1 <= B <= module->batch_max), which may stand on
 * axis 0 only. Functions read variables as they were on entry; assigns take effect when the function returns. */
#ifndef NNC_IR_H
#define NNC_IR_H
#include <stdbool.h>
#include <stdint.h>
#include "ir/base/arena.h"
#include "ir/base/diag.h"
#include "ir/base/text.h"

enum { MAX_RANK = 6, MAX_LABELS = 16 };

typedef enum { DTYPE_F32, DTYPE_I32, DTYPE_BOOL } Dtype;

typedef struct {
    int64_t n;  /* extent, or multiple of the batch */
    bool batch; /* extent is n * B */
} Dim;

typedef struct Type { /* interned in the module: compare by pointer */
    Dtype dtype;
    int rank;
    Dim dims[MAX_RANK];
} Type;

typedef enum {
#define SCALAR(name, ...) FN_##name,
#include "ir/scalar.def"
#undef SCALAR
    FN_COUNT
} ScalarFn;

typedef enum {
#define OP(code, ...) OP_##code,
#include "ir/ops.def"
#undef OP
    OP_COUNT
} OpCode;

typedef enum { CLASS_LEAF, CLASS_MAP, CLASS_SHAPE, CLASS_REDUCE, CLASS_CONTRACT, CLASS_WINDOW, CLASS_INDEX, CLASS_STATE, CLASS_REGION } OpClass;
typedef enum { REDUCE_SUM, REDUCE_MAX, REDUCE_MIN } ReduceKind;
typedef enum { RANDOM_UNIFORM, RANDOM_NORMAL } RandomKind;

typedef enum { VARIABLE_TRAINABLE, VARIABLE_NON_TRAINABLE, VARIABLE_OPTIMIZER, VARIABLE_PREPROCESS } VariableRole;
typedef enum { INIT_CONSTANT, INIT_UNIFORM, INIT_NORMAL, INIT_TRUNCATED_NORMAL, INIT_ORTHOGONAL, INIT_IDENTITY, INIT_FORGET } InitKind;
typedef struct {
    InitKind kind;
    /* constant a; uniform [a,b); normal mean a, deviation b; orthogonal gain a; forget: a, and b in the second quarter
     * (the forget gate of an LSTM) */
    double a, b;
    int64_t seed;  /* -1: from the run's seed and the variable's index */
} Init;
typedef enum { FIT_NONE, FIT_MEAN, FIT_VARIANCE, FIT_MINIMUM, FIT_MAXIMUM } FitKind;

typedef struct Variable {
    int id;            /* index in the module */
    const char *name;  /* Keras' path: dense/kernel, adam/dense_kernel_momentum */
    const Type *type;
    VariableRole role;
    Init init;
    FitKind fit;       /* statistic of the raw training column, for VARIABLE_PREPROCESS */
    Span span;
} Variable;

typedef struct Value Value;
typedef struct Op Op;
typedef struct Region Region;

struct Value {
    int id; /* dense in the function: side tables of passes are arrays by id */
    const Type *type;
    Op *def;          /* NULL: argument of a region */
    const char *name; /* hint for printed names: dense_1; may be NULL */
};

/* Attributes, one typed struct per kind; the op's row names the member. */
typedef struct { int axes[MAX_RANK]; int count; } AxesAttr;
typedef struct { int64_t start[MAX_RANK], stride[MAX_RANK]; } SliceAttr;
typedef struct { int64_t low[MAX_RANK], high[MAX_RANK], interior[MAX_RANK]; } PadAttr;
typedef struct { ReduceKind kind; AxesAttr over; } ReduceAttr;
typedef struct { RandomKind kind; int stream; } RandomAttr; /* stream: distinct per use in the module */
/* einsum: label numbers per input axis and per result axis; out_rank labels of the result count (op_infer takes the
 * rank of `wanted` where that is given). */
typedef struct { int8_t a[MAX_RANK], b[MAX_RANK], out[MAX_RANK], out_rank; } EinsumAttr;
/* Windows over `spatial` axes (axis 1..spatial): size of the window, strides, dilation, zero padding before and after
 * (negative: so many cells at the border are not read). pool uses kind (sum or max). */
typedef struct {
    int spatial;
    int64_t size[3], stride[3], dilation[3], low[3], high[3];
    ReduceKind kind;
} WindowAttr;
/* scan: the inputs are `carried` initial states, `sequences` values with a time axis of `steps`, and values that every
 * step reads whole; the region takes the states before the step, one step of each sequence, and the whole values, and
 * yields the states after the step and any number of outputs. Results: the states after the last step, and the outputs
 * of all steps. The time axis is 1 where axis 0 is the batch, else 0. reverse: from the last step to the first. */
typedef struct { int steps; int carried, sequences; bool reverse; } ScanAttr;
typedef enum {
    FUSION_NEST, /* one loop nest: at most one reduction or contraction, and what is pointwise over its result */
    FUSION_ROWS, /* several nests over the same rows of the batch */
    FUSION_SMALL, /* several nests, too little work for more than one thread */
    FUSION_LONG_ROWS /* several nests over the same rows within samples */
} FusionKind;
typedef struct { FusionKind kind; } FusionAttr;
typedef union {
    double constant;
    int axis;
    Variable *variable;
    ScalarFn scalar;
    AxesAttr axes;
    SliceAttr slice;
    PadAttr pad;
    ReduceAttr reduce;
    RandomAttr random;
    EinsumAttr einsum;
    WindowAttr window;
    ScanAttr scan;
    FusionAttr fusion;
} OpAttr;

struct Op {
    OpCode code;
    Span span;         /* the source that asked for it */
    const char *layer; /* name of the layer it belongs to, for comments and explain; may be NULL */
    bool gradient;     /* autodiff made it, for names of kernels; not part of the text form */
    const char *note;  /* why a pass made it so, for explain; not part of the text form; may be NULL */
    int input_count, result_count;
    Value **inputs;
    Value **results;
    OpAttr attr;
    Region *region; /* scan, fusion: else NULL */
    Op *previous, *next; /* order in the region */
    Region *parent;
};

/* The variable ops of a body by Variable.id, and the last of those that it begins with: for the builder (ir/build.c).
 * It holds until one of these ops changes its place; op.c then forgets it. */
typedef struct RegionVariables RegionVariables;

struct Region {
    int arg_count, yield_count;
    Value **args;
    Value **yields;
    Op *first, *last;
    Op *owner; /* NULL: body of a function */
    RegionVariables *variables; /* NULL: not known */
};

/* What a function's argument is to the generated program. */
typedef enum { ARG_INPUT, ARG_TARGET, ARG_SAMPLE_WEIGHT, ARG_RAW_INPUT, ARG_SEED, ARG_PLAIN } ArgKind;

typedef struct Func {
    const char *name; /* preprocess, forward, train_step, evaluate_step (see docs/architecture.md) */
    Region body;
    ArgKind *arg_kinds;         /* per body.args */
    const char **arg_names;
    const char **result_names;  /* per body.yields: "output", "loss", "accuracy.total", "accuracy.count" */
    int value_count;            /* ids given so far */
    struct Module *module;
} Func;

typedef struct Module {
    Arena *arena;
    Interner *names;
    Diag *diag;
    const char *name; /* of the model */
    int64_t batch_max;
    Variable **variables;
    int variable_count, variable_capacity;
    Map *variables_by_name; /* for module_find_variable */
    Func **funcs;
    int func_count, func_capacity;
    int random_streams;
    void *types; /* intern table of ir/type.c */
} Module;

/* Which member of OpAttr an op uses: the attributes column of ops.def. */
typedef enum {
    ATTR_none, ATTR_constant, ATTR_axis, ATTR_variable, ATTR_scalar, ATTR_axes, ATTR_slice, ATTR_pad, ATTR_reduce,
    ATTR_random, ATTR_einsum, ATTR_window, ATTR_scan, ATTR_fusion
} AttrKind;

typedef struct {
    const char *name; /* text form */
    int inputs, results;
    OpClass op_class;
    unsigned flags;
    AttrKind attr;
} OpInfo;
enum { OP_PURE = 1, OP_EFFECT = 2, OP_NO_GRADIENT = 4, OP_REFUSES_GRADIENT = 8 };
extern const OpInfo op_infos[OP_COUNT];

typedef struct {
    const char *name;
    int arity;
    bool gives_bool;
    const char *c, *cuda, *llvm;
    const char *derivatives[3];
    int cost;
} ScalarInfo;
extern const ScalarInfo scalar_infos[FN_COUNT];
double scalar_eval(ScalarFn, double a, double b, double c);
ScalarFn scalar_find(const char *name); /* FN_COUNT: none */

/* module.c, type.c */
Module *module_new(Arena *, Diag *, const char *name, int64_t batch_max);
Func *module_func(Module *, const char *name);               /* adds an empty one */
Func *module_find_func(const Module *, const char *name);    /* NULL: none */
Variable *module_variable(Module *, const char *name, const Type *, VariableRole, Init, Span);
Variable *module_find_variable(const Module *, const char *name);
Module *module_clone(Arena *, const Module *);
const Type *type_get(Module *, Dtype, int rank, const Dim *dims);
const Type *type_with_dtype(Module *, const Type *, Dtype);
const Type *type_scalar(Module *, Dtype);
int64_t type_count(const Type *, int64_t batch);             /* elements when B == batch */
void type_print(Text *, const Type *);                       /* f32[B, 64]; multiples of the batch: 3*B */
const char *type_text(Arena *, const Type *);                /* the same as a string */
const char *dim_text(Arena *, Dim);                          /* 64, B, 3*B */
bool type_equal_dims(const Type *, const Type *);
/* A shape that programs can have: 1 <= extents, B on axis 0 only, at most MAX_ELEMENTS for the largest batch. */
bool type_is_valid(const Module *, const Type *);
enum { MAX_ELEMENTS_LOG2 = 40 };
extern const char *const dtype_names[3];                     /* f32, i32, bool */
static inline Dim dim_static(int64_t n) { return (Dim){n, false}; }
static inline Dim dim_batch(int64_t n) { return (Dim){n, true}; }
static inline int64_t dim_size(Dim d, int64_t batch) { return d.batch ? d.n * batch : d.n; }
static inline bool dim_equal(Dim a, Dim b) { return a.n == b.n && a.batch == b.batch; }

/* op.c: raw construction and surgery, used by the builder, the reader and the passes */
Op *op_new(Func *, OpCode, Value *const *inputs, int input_count, const Type *const *result_types, int result_count, Span);
void op_append(Region *, Op *);
void op_insert_before(Op *place, Op *);
void op_remove(Op *);                                        /* unlink; its results must be unused */
Value *value_new(Func *, const Type *, const char *name);
Region *region_new(Func *, Op *owner);                       /* becomes owner->region */
Value *region_add_arg(Func *, Region *, const Type *, const char *name);
void region_add_yield(Func *, Region *, Value *);
bool window_is_disjoint(const WindowAttr *);                 /* no cell lies in two windows */
bool op_attr_equal(const Op *, const Op *);                  /* of the same code: the same attributes */
Value *func_add_arg(Func *, ArgKind, const Type *, const char *name);
void func_add_result(Func *, Value *, const char *name);
/* What stands in for values of a function, by Value.id; NULL: the value stays. Values made later have ids from `known` on. */
typedef struct {
    Value **by_id;
    int known;
} Replacements;
Replacements replacements_new(const Func *, Arena *);        /* all stay */
Value *replacement_of(const Replacements *, Value *);        /* or the value itself */
void values_replace(Value **, int count, const Replacements *);
void region_replace(Region *, const Replacements *);         /* everywhere inside, yields included */
int *func_count_uses(Func *, Arena *);                       /* array by Value.id */
void func_renumber(Func *);                                  /* dense ids in order of definition */
/* Result types from inputs and attributes; false with an error in diag if they do not fit. For CONST, IOTA, RANDOM,
 * CAST, RESHAPE, BROADCAST, SLICE, SCATTER_ADD, UNPOOL, CONV_GRAD_*: the wanted result type is given in `wanted` and checked;
 * for the others `wanted` may be NULL, else it must be what is inferred. `result` has room for every result (GRAD has
 * input_count - 1). Ops with regions are not inferred here. */
bool op_infer(Module *, OpCode, const OpAttr *, Value *const *inputs, int input_count, const Type *wanted, Span, const Type **result);

/* scan.c: the shape of scans, and their growth by passes */
int scan_time_axis(const Type *step);                        /* of the sequence whose steps have this type */
const Type *scan_sequence_type(Module *, const Type *step, int64_t steps);
const Type *scan_step_type(Module *, const Type *sequence);  /* without its time axis */
const char *scan_mistake(Module *, Arena *, const Op *);     /* which rule of ScanAttr it breaks; NULL: none */
Value *scan_add_sequence(Func *, Op *scan, Value *sequence); /* the argument of the region: one step of it */
Value *scan_add_whole(Func *, Op *scan, Value *);            /* the argument of the region; an equal one is found again */
Value *scan_add_output(Func *, Op *scan, Value *in_region);  /* the result: this value of all steps; found again too */
Value *scan_append_output(Func *, Op *scan, Value *in_region); /* the same, always a new result */

/* verify.c: every rule above; on failure describes the op in diag as an internal error and returns false */
bool module_verify(Module *, const char *after);
/* print.c, read.c: text without loss (names, spans excepted); the reader reports errors in diag and returns NULL */
void module_print(Text *, const Module *);
void func_print(Text *, const Func *);
void op_print(Text *, const Op *);
Module *module_read(Arena *, Diag *, const SourceFile *);
#endif
