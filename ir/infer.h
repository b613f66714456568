/* Result types of ops, one function per row of ops.def (infer_CONST, ...), in infer_<class>.c. */
#ifndef NNC_IR_INFER_H
#define NNC_IR_INFER_H
#include "ir/ir.h"

typedef struct {
    Module *module;
    OpCode code;
    const OpAttr *attr;
    Value *const *inputs;
    int input_count;
    const Type *wanted; /* NULL: none */
    Span span;
    const Type **result;
} Infer;

typedef bool InferFn(const Infer *);

#define OP(code, ...) InferFn infer_##code;
#include "ir/ops.def"
#undef OP

/* Reports "NAME: message" and returns false. */
bool infer_fail(const Infer *, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline const Type *infer_input(const Infer *infer, int i) {
    return infer->inputs[i]->type;
}
/* A type as text, for messages. */
const char *infer_type(const Infer *, const Type *);
const char *infer_dim(const Infer *, Dim);
/* The result; checks it against `wanted` if there is one. */
bool infer_give(const Infer *, Dtype, int rank, const Dim *dims);
/* For ops that need it. */
bool infer_needs_wanted(const Infer *);
/* The input's type as result. */
bool infer_same(const Infer *);
/* "must be f32[B]" if input i is not of this dtype. */
bool infer_expect_dtype(const Infer *, int i, Dtype);
/* infer_EINSUM whose messages call label i letters[i]. */
bool infer_einsum_named(const Infer *, const char *letters);
#endif
