/* A data set in memory, as train_steps and evaluate_steps want it: read once, preprocessed once, rows at the stride
 * of the program, 64-byte aligned. (Windows of one array stay raw; nnrt_feed.h prepares them.) Needs: a data source of
 * the program. Leaves: rows, targets, sample weights. */
#ifndef NNRT_DATASET_H
#define NNRT_DATASET_H
#include "nnrt_table.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    nnrt_table table;
    float *prepared; /* rows after preprocessing, or NULL: table.x has the program's stride already */
    float *weight;   /* one for each row, or NULL */
    int64_t rows;
} nnrt_dataset;

/* Consecutive rows of a data set. */
typedef struct {
    const float *x;
    const void *y;
    const float *w;
    int64_t count;
    const nnrt_table *windows; /* not NULL: the samples are its windows from number `first` on; x and y are NULL */
    int64_t first;
} nnrt_samples;

/* `declared` with another file; its kind follows the name (.csv, .npy), else it stays; text stays text, and a CSV file
 * is read in windows where the declared one is. File and target may be NULL. */
nnrt_data_source nnrt_source_with(const nnrt_data_source *declared, const char *file, const char *target_file);

/* The same, and where nothing is declared but a file is given, its columns are those of the training data. */
nnrt_data_source nnrt_source_like(const nnrt_data_source *declared, const nnrt_data_source *train, const char *file,
                                  const char *target_file);

/* What the model asks of every table: inputs alone, packed. `vocabulary`: as below. */
nnrt_table_request nnrt_table_request_of(const nnrt_program *program, const nnrt_vocabulary *vocabulary);
/* Reads a source whole. `vocabulary`: words known to the model, or NULL (then table.vocabulary is new). */
int nnrt_dataset_read(nnrt_dataset *dataset, const nnrt_program *program, const nnrt_data_source *source,
                      const nnrt_vocabulary *vocabulary);
/* Fills the preprocessing variables of the model from the first `rows` raw rows. */
int nnrt_dataset_fit_preprocessing(const nnrt_dataset *dataset, const nnrt_program *program, void *model, int64_t rows);
/* Replaces the raw rows by preprocessed ones. */
int nnrt_dataset_prepare(nnrt_dataset *dataset, const nnrt_program *program, void *model);
/* Turns class_weight into weights of the first `rows` samples (a class that is not listed: 1). */
int nnrt_dataset_weigh_classes(nnrt_dataset *dataset, const nnrt_program *program, int64_t rows);
nnrt_samples nnrt_dataset_samples(const nnrt_dataset *dataset, const nnrt_program *program, int64_t first,
                                  int64_t count);
void nnrt_dataset_free(nnrt_dataset *dataset);

#ifdef __cplusplus
}
#endif
#endif
