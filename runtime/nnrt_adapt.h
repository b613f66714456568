/* Fitting of preprocessing: the statistics of raw rows that NNRT_PREPROCESS variables hold. Needs: rows in memory.
 * Leaves: the variables of the model filled. */
#ifndef NNRT_ADAPT_H
#define NNRT_ADAPT_H
#include "nnrt_program.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const float *x;
    int64_t rows, columns, stride; /* floats of a row that are used, and from one row to the next */
} nnrt_raw_rows;

int nnrt_adapt(const nnrt_program *program, void *model, const nnrt_raw_rows *raw);

#ifdef __cplusplus
}
#endif
#endif
