/* Tensors of which only a triangle counts, as the scores of causal attention: where one index is at least another one.
 *
 * A comparison of two indices is all that this starts from. What a `select` by it makes zero, and what is multiplied by
 * that, is zero outside the triangle; the exponential of what a select has made small there is zero once the largest
 * of the row is subtracted. A value is asked for in the triangle only, where its readers multiply it by such zeros or
 * select by the comparison. Both facts pass through the program's buffers from kernel to kernel; a nest learns that its
 * sum is needed only there (Nest.part), and its tiles leave out the rest. As products with zero are left out, they give
 * 0 where the other factor is infinite or NaN. */
#ifndef NNC_CODEGEN_TRIANGLE_H
#define NNC_CODEGEN_TRIANGLE_H
#include "codegen/kir/nest.h"

void triangle_program(KProgram *);
#endif
