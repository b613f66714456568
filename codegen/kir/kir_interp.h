/* Runs mapped kernels on memory of its own: CPU kernels with their threads, GPU kernels with grid, blocks, shared
 * memory and barriers. Arithmetic is that of the emitted program: f32 in float, a * b + c with one rounding if
 * `fused_multiply_add` (scalar functions beyond + - * / and sqrt go through double and are rounded).
 *
 * It refuses, with a text: indices outside a buffer, reads of memory that nobody wrote, races between threads, a
 * barrier that not all threads of a block reach, results that depend on an undefined order.
 *
 *   KInterp *in = kinterp_new(program, batch, (KInterpOptions){.threads = 2});
 *   kinterp_set(in, x, data, rows); kinterp_set_rows(in, rows);
 *   if (!kinterp_run(in, sequence)) puts(kinterp_error(in));
 *   kinterp_get(in, y, result);
 *   kinterp_free(in); */
#ifndef NNC_KIR_INTERP_H
#define NNC_KIR_INTERP_H
#include "codegen/kir/kir.h"

typedef struct {
    int threads;              /* shares of AXIS_PARALLEL loops; 0: 1 */
    bool reverse;             /* last thread or block first */
    bool fused_multiply_add;  /* as a processor with FMA */
    bool allow_uninitialised; /* reads of memory that nobody wrote give a NaN instead of an error */
    bool allow_races;
    bool strict_arena; /* a read of an arena buffer must find what was written through the same buffer */
} KInterpOptions;

typedef struct KInterp KInterp;
KInterp *kinterp_new(KProgram *, int64_t batch, KInterpOptions);
void kinterp_free(KInterp *);

/* Values of a buffer in logical row-major order, whatever its layout. `count` is the number of values given: for
 * arguments it decides how many samples there are (a data set may have more rows than the batch). false with an error:
 * a local buffer, a wrong count. */
bool kinterp_set(KInterp *, const KBuffer *, const double *values, int64_t count);
/* As many as the buffer has at this batch; values that nobody wrote come as NaN. Returns their number. */
int64_t kinterp_get(KInterp *, const KBuffer *, double *values);
void kinterp_set_rows(KInterp *, const int32_t *rows); /* batch entries; without: 0, 1, 2, .. */

bool kinterp_run(KInterp *, const KSequence *);
const char *kinterp_error(const KInterp *); /* "" if none */
#endif
