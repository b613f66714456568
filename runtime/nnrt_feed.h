/* Samples on their way to train_steps and evaluate_steps.
 *
 * Where they lie as the steps want them, steps see the data set itself. Windows of one array (nnrt_table.windows) are
 * taken out and preprocessed piece by piece: a data set of windows needs the memory of the array and of one piece,
 * however much the windows overlap. Needs: the samples. Leaves: nnrt_steps with samples and their order filled in. */
#ifndef NNRT_FEED_H
#define NNRT_FEED_H
#include "nnrt_dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const nnrt_program *program;
    void *model;
    nnrt_samples samples;
    int64_t capacity; /* samples of one piece; 0: no pieces */
    int64_t batch_size;
    float *raw, *x, *w;
    char *y;
    int32_t *rows; /* 0, 1, 2, ... */
} nnrt_feed;

/* On error, too, nnrt_feed_end gives back what there is. */
int nnrt_feed_begin(nnrt_feed *, const nnrt_program *, void *model, const nnrt_samples *, int batch_size);
/* Most steps that one call can take. */
int64_t nnrt_feed_steps(const nnrt_feed *);
/* The samples rows[0 .. count): count is no more than nnrt_feed_steps allow. They hold until the next call. */
int nnrt_feed_next(nnrt_feed *, const int32_t *rows, int64_t count, nnrt_steps *);
void nnrt_feed_end(nnrt_feed *);

/* Sample `row` of a table of windows, as raw_input_size neighbouring floats. */
void nnrt_feed_window(const nnrt_table *, int64_t row, float *raw);

#ifdef __cplusplus
}
#endif
#endif
