/* What the files of simplify share. A rule is a row of a table: the op it looks at and a function that gives the value
 * which result 0 is replaced by, or NULL where the rule does not apply. Replacements have the type of what they
 * replace. A rule leads towards the normal form that simplify.c describes; no rule may lead back. */
#ifndef NNC_PASSES_SIMPLIFY_H
#define NNC_PASSES_SIMPLIFY_H
#include "ir/build.h"
#include "passes/pass.h"

typedef struct {
    Builder build;   /* inserts before the op under consideration */
    const int *uses; /* by Value.id, as of the start of the sweep */
    const bool *multiplied; /* likewise: an einsum reads it, so it lies in memory */
    int value_count; /* of `uses`; younger values are taken as used once */
    bool has_grad;   /* the function has `grad` ops: stop_gradient means something */
} Simplify;

typedef struct {
    OpCode code;
    Value *(*apply)(Simplify *, const Op *);
} SimplifyRule;

extern const SimplifyRule simplify_map_rules[], simplify_shape_rules[], simplify_reduce_rules[],
    simplify_window_rules[], simplify_mask_rules[];
extern const int simplify_map_rule_count, simplify_shape_rule_count, simplify_reduce_rule_count,
    simplify_window_rule_count, simplify_mask_rule_count;

/* The op that computes a value, if it has this code, else NULL. */
const Op *defined_by(const Value *, OpCode);
const Op *defined_by_map(const Value *, ScalarFn);
bool is_const(const Value *, double *number);
bool is_number(const Value *, double number); /* a const of this value */
/* Used by one op input or yield only. */
bool used_once(const Simplify *, const Value *);
bool is_unit(Dim); /* an axis of extent 1, not the batch */
const Type *type_of_dims(Simplify *, Dtype, int rank, const Dim *);
#endif
