/* What the files of autodiff share. A gradient rule is written once per op, in the file of its class, and is found
 * through ops.def: an op without one does not compile.
 *
 * A rule gets `g`, the gradient of the loss by result 0, and leaves in out[i] the gradient by input i for each i that
 * is wanted; NULL stands for zero. It appends what it needs at `gradient->build`. */
#ifndef NNC_PASSES_AUTODIFF_H
#define NNC_PASSES_AUTODIFF_H
#include "ir/build.h"
#include "passes/pass.h"

typedef struct {
    PassContext *context;
    Builder build;   /* inserts before the grad op */
    bool *depends;   /* by Value.id: depends on a value whose gradient was asked for */
    Value **adjoint; /* by Value.id: gradient of the loss, NULL: zero so far */
    bool failed;
} Gradient;

typedef void (*GradientRule)(Gradient *, const Op *, Value *g, const bool *wanted, Value **out);
#define OP(code, ...) void gradient_##code(Gradient *, const Op *, Value *g, const bool *wanted, Value **out);
#include "ir/ops.def"
#undef OP

/* For rules of ops with a region: the dependence of an op's results on its inputs; one more part of the gradient by a
 * value; the gradients by the inputs of an op, from those by its results. */
void gradient_mark(Gradient *, const Op *);
void gradient_accumulate(Gradient *, const Op *, const Value *, Value *part);
void gradient_differentiate(Gradient *, const Op *);

/* Tells the user that the gradient of `op` does not exist, and what to do about it. */
void gradient_refuse(Gradient *, const Op *, const char *why, const char *remedy);
#endif
