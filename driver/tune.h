/* `nnc tune FILE`: measured choices for the tiles of a model's contractions, and the file beside the model that holds
 * them. */
#ifndef NNC_DRIVER_TUNE_H
#define NNC_DRIVER_TUNE_H
#include "codegen/plan/tuning.h"
#include "driver/driver.h"

typedef struct {
    TileChoice choice;
    int default_rows, default_vectors;
    double nanoseconds, default_nanoseconds; /* of the kernels that hold the contraction, in a step */
    const char *kernel;                      /* one of them */
} TuneLine;

/* digits.tune beside digits.nn, digits.gpu.tune for a GPU; NULL: the program comes from standard input. */
const char *tune_path(Arena *, const char *input, bool on_gpu);
/* Writes FILE anew and then renames it: an interrupted run leaves the old one. */
Status tune_write(Arena *, Diag *, const char *path, const char *input, const char *isa, const TuneLine *, int count);

/* What stands in the file beside the model, for the program that is about to be mapped; NULL: no file, another
 * instruction set (a warning), or errors in it, with their places. */
Tuning *tune_read(Pipeline *, const KIsa *);
/* Warns of lines that fit no contraction of the program. */
void tune_check(Pipeline *);

Status tune_program(const Options *, Arena *, Diag *);
#endif
