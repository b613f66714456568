/* The state of a training run between two steps, and its checkpoint: a .safetensors file with the model, the state of
 * the callbacks, and in the metadata what `fit --resume` needs to go on to the same bits. */
#ifndef NNRT_RUN_H
#define NNRT_RUN_H
#include "nnrt_callbacks.h"
#include "nnrt_table.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int epoch;    /* epochs done */
    int64_t step; /* batches done of the next one */
    int epochs;   /* goal */
    uint64_t seed;
    int batch_size;
    bool shuffle, stopped; /* stopped: a callback has ended the run */
    int64_t samples;       /* rows to train on */
    double validation_split;
    double *totals; /* of the unfinished epoch: total and count of each metric */
} nnrt_run;

/* Whether the preprocessing variables mean anything yet. */
typedef enum { NNRT_NOT_FITTED, NNRT_FITTED } nnrt_fitted;

/* Writes the model; with a run also its state and that of the callbacks. Vocabulary, run and callbacks may be NULL. */
int nnrt_checkpoint_save(const nnrt_program *program, const void *model, const char *path, nnrt_fitted fitted,
                         const nnrt_vocabulary *vocabulary, const nnrt_run *run, const nnrt_callbacks *callbacks);
/* Reads the state of a run; totals has room for the metrics of the program. */
int nnrt_run_load(const nnrt_program *program, const nnrt_safetensors *file, const char *path, nnrt_run *run,
                  nnrt_callbacks *callbacks);
/* The words of text columns and the names of inputs that the file holds; empty if it holds none. */
int nnrt_checkpoint_vocabulary(const nnrt_safetensors *file, const char *path, nnrt_vocabulary *vocabulary);

#ifdef __cplusplus
}
#endif
#endif
