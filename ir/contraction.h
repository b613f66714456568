/* Every contraction (einsum, conv, both gradients of conv) as one sum of products over affine accesses:
 *
 *   out[o0, o1, ..] = sum over r0, r1, .. of a[f(o, r)] * b[g(o, r)]
 *
 * Axes 0..out_rank-1 are the axes of the result in order, the others are summed. The index of each operand axis is
 * (sum of coefficient[axis] * axis + constant) / divisor; where the division leaves a rest or the index lies outside
 * the operand, the factor is zero. */
#ifndef NNC_IR_CONTRACTION_H
#define NNC_IR_CONTRACTION_H
#include "ir/ir.h"

enum { MAX_AXES = 12 };

typedef struct {
    int64_t coefficient[MAX_AXES];
    int64_t constant, divisor; /* divisor >= 1 */
    bool may_miss;             /* can leave a rest or the operand: a test (or a halo) is needed */
} AffineIndex;

typedef struct {
    int out_rank, axis_count;
    Dim extent[MAX_AXES];
    int a_rank, b_rank;
    AffineIndex a[MAX_RANK], b[MAX_RANK];
} Contraction;

/* The op must be of class CONTRACT. */
Contraction contraction_of(const Op *);
/* Multiply-adds for a batch. */
int64_t contraction_work(const Contraction *, int64_t batch);
#endif
