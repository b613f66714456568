/* The builder: one call per operation, appended at the cursor. Shapes are inferred and checked; a mistake is reported
 * in diag with the builder's current span and gives NULL; calls with a NULL input give NULL, so that the front end may
 * go on. Every call tags the op with builder->span, layer and gradient. */
#ifndef NNC_IR_BUILD_H
#define NNC_IR_BUILD_H
#include "ir/ir.h"

typedef struct {
    Module *module;
    Func *func;
    Region *region;
    Op *before; /* insert before this op; NULL: append to region */
    Span span;
    const char *layer;
    bool gradient; /* as Op has it */
} Builder;

Builder builder_at_end(Func *);
Builder builder_before(Func *, Op *);

Value *build_const(Builder *, const Type *, double);
Value *build_number(Builder *, double);                       /* f32 scalar */
Value *build_like(Builder *, Value *, double);                /* const of the same type */
Value *build_iota(Builder *, const Type *, int axis);
Value *build_variable(Builder *, Variable *);
Value *build_batch_size(Builder *);
Value *build_random(Builder *, RandomKind, const Type *, int stream, Value *seed, Value *step);

Value *build_map(Builder *, ScalarFn, Value **inputs, int count);
/* Inputs of different shapes are broadcast as NumPy does (trailing axes aligned; B stays on axis 0: a tensor without a
 * batch axis is aligned to the trailing axes of one with it). */
Value *build_map1(Builder *, ScalarFn, Value *);
Value *build_map2(Builder *, ScalarFn, Value *, Value *);
Value *build_map3(Builder *, ScalarFn, Value *, Value *, Value *);
#define build_add(b, x, y) build_map2(b, FN_add, x, y)
#define build_sub(b, x, y) build_map2(b, FN_sub, x, y)
#define build_mul(b, x, y) build_map2(b, FN_mul, x, y)
#define build_div(b, x, y) build_map2(b, FN_div, x, y)
#define build_max(b, x, y) build_map2(b, FN_max, x, y)
#define build_min(b, x, y) build_map2(b, FN_min, x, y)
Value *build_scale(Builder *, Value *, double);               /* x * number */
Value *build_shift(Builder *, Value *, double);               /* x + number */
Value *build_cast(Builder *, Value *, Dtype);

Value *build_reshape(Builder *, Value *, const Type *);
Value *build_flatten(Builder *, Value *);                     /* [B, ...] -> [B, product] */
Value *build_transpose(Builder *, Value *, const int *axes);
Value *build_broadcast(Builder *, Value *, const Type *, const int *axes); /* axes[i]: result axis of input axis i */
Value *build_broadcast_to(Builder *, Value *, const Type *);  /* NumPy alignment */
Value *build_slice(Builder *, Value *, const int64_t *start, const int64_t *stride, const Type *);
Value *build_pad(Builder *, Value *, const PadAttr *);
Value *build_concat(Builder *, Value **, int count, int axis);
Value *build_reverse(Builder *, Value *, const int *axes, int count);
Value *build_copy(Builder *, Value *);

Value *build_reduce(Builder *, ReduceKind, Value *, const int *axes, int count);
Value *build_reduce_keep(Builder *, ReduceKind, Value *, const int *axes, int count); /* axes stay, with extent 1 */
Value *build_sum(Builder *, Value *, const int *axes, int count);
Value *build_mean(Builder *, Value *, const int *axes, int count); /* divides by B where axis 0 is reduced */
Value *build_sum_all(Builder *, Value *);                     /* to a scalar */
Value *build_mean_all(Builder *, Value *);
Value *build_argmax(Builder *, Value *, int axis);

/* labels: "mk,kn->mn"; letters are axes */
Value *build_einsum(Builder *, const char *labels, Value *, Value *);
Value *build_conv(Builder *, Value *x, Value *kernel, const WindowAttr *);
Value *build_pool(Builder *, Value *x, const WindowAttr *);
Value *build_gather(Builder *, Value *table, Value *ids);

/* Recurrence (ScanAttr in ir/ir.h). Between begin and end the builder stands in the region of the scan: the step is built
 * from scan->region->args (states, one step of each sequence, whole values, in this order) and reads nothing else from
 * outside; random numbers are drawn outside. After end the results are scan->results: the last states, then the outputs of
 * all steps. begin gives NULL after a mistake; end then does nothing and gives false. */
typedef struct {
    int steps;
    bool reverse;
    Value *const *states, *const *sequences, *const *whole;
    int state_count, sequence_count, whole_count;
} ScanInputs;
Op *build_scan_begin(Builder *, const ScanInputs *);
bool build_scan_end(Builder *, Op *scan, Value *const *next_states, Value *const *outputs, int output_count);

Value *build_stop_gradient(Builder *, Value *);
void build_grad(Builder *, Value *loss, Value **by, int count, Value **gradients);
void build_assign(Builder *, Variable *, Value *);
/* Any op by code, for passes that copy ops: infers, creates, inserts, returns result 0 (NULL for none). */
Value *build_op(Builder *, OpCode, const OpAttr *, Value *const *inputs, int count, const Type *wanted);
#endif
