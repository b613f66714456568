/* Initial values of variables. The same seed gives the same bits on every machine. */
#ifndef NNRT_INIT_H
#define NNRT_INIT_H
#include "nnrt_program.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fills `values` (row-major, product of dims floats) by `init`, from the random stream `stream` (the variable's
 * index) of `seed`, or of init->seed if that is not -1. Takes no memory and cannot fail. ORTHOGONAL and IDENTITY see
 * the matrix [product of all dims but the last, last]; rank 0 and 1 count as one row. */
void nnrt_init_fill(const nnrt_init *init, uint64_t seed, uint32_t stream, int rank, const int64_t *dims,
                    float *values);

#ifdef __cplusplus
}
#endif
#endif
