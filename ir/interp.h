/* The oracle: runs a function in double precision, naively. i32 and bool values are held as doubles too. */
#ifndef NNC_IR_INTERP_H
#define NNC_IR_INTERP_H
#include "ir/ir.h"

typedef struct {
    const Type *type;
    int64_t count;
    double *data; /* row-major */
} Tensor;

typedef struct {
    Arena *arena;
    const Module *module;
    int64_t batch;       /* B of this run */
    Tensor *variables;   /* by Variable.id; assigned values are written back when the function returns */
    bool round_to_float; /* round every f32 result to float, as a program would */
} Interp;

Interp *interp_new(Arena *, const Module *, int64_t batch);
Tensor interp_tensor(Interp *, const Type *); /* zeroed */
/* Runs func on args, results into `results` (one per yield). false with an error in diag (out of memory bounds, an op
 * that autodiff should have removed). */
bool interp_run(Interp *, const Func *, const Tensor *args, Tensor *results);
/* Philox4x32-10: word 0..3 of counter {index / 4, step}; see runtime/nnrt_random.h, written independently. */
double interp_random(RandomKind, uint64_t seed, int stream, uint64_t step, uint64_t index);
#endif
