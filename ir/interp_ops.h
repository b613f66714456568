/* What the files of the interpreter share. An evaluator finds its inputs in `in`, and its results in `out`: zeroed, of
 * the right size, not yet rounded to their dtype (the caller does that). */
#ifndef NNC_IR_INTERP_OPS_H
#define NNC_IR_INTERP_OPS_H
#include "ir/interp.h"

typedef struct {
    Interp *interp;
    Arena *scratch;   /* everything of this run */
    Tensor *values;   /* by Value.id; data NULL: not computed */
    Tensor *assigned; /* by Variable.id; data NULL: not assigned */
    int64_t batch;
} Run;

typedef bool (*Evaluator)(Run *, const Op *, const Tensor *in, Tensor *out);
#define OP(code, ...) bool eval_##code(Run *, const Op *, const Tensor *in, Tensor *out);
#include "ir/ops.def"
#undef OP

/* The extents of a tensor and the distance of neighbours along each axis. */
typedef struct {
    int rank;
    int64_t extent[MAX_RANK], stride[MAX_RANK];
} Grid;

Grid grid_of(const Type *, int64_t batch);
/* Steps `index` through the grid in row-major order; false after the last one, which leaves it at zero. */
bool grid_next(const Grid *, int64_t *index);
int64_t grid_offset(const Grid *, const int64_t *index);

Tensor run_tensor(Run *, const Type *); /* zeros that live as long as the run; data NULL: no memory */
bool eval_region(Run *, const Region *, const Tensor *in, Tensor *out);
/* Reports an error at the op; returns false. */
bool eval_error(Run *, const Op *, const char *message);
#endif
