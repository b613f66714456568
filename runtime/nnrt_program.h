/* The description of one generated program, as the trainer of the runtime sees it.
 *
 * A generated file defines one `nnrt_program` table and hands it to nnrt_main(); the library form (--lib) uses the
 * same table for load and save. Everything here is constant data: sizes, names, and the generated functions. */
#ifndef NNRT_PROGRAM_H
#define NNRT_PROGRAM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NNRT_MAX_RANK 6

typedef enum { NNRT_F32, NNRT_I32 } nnrt_dtype;

/* What a stored variable is for; decides what is counted, saved, reset. */
typedef enum {
    NNRT_TRAINABLE,     /* weights that the optimizer changes */
    NNRT_NON_TRAINABLE, /* weights that it does not: moving averages, frozen layers */
    NNRT_OPTIMIZER,     /* momentum, velocity, iteration, learning_rate */
    NNRT_PREPROCESS     /* fitted on the training set */
} nnrt_role;

/* Initial values. `a`, `b`: constant a; forget: a, in the second quarter (the forget gate of an LSTM) b; uniform in [a,
 * b); normal and truncated normal (redrawn beyond two deviations) with mean a and deviation b; orthogonal with gain a
 * over the matrix [product of all but last, last]. */
typedef enum {
    NNRT_INIT_CONSTANT,
    NNRT_INIT_UNIFORM,
    NNRT_INIT_NORMAL,
    NNRT_INIT_TRUNCATED_NORMAL,
    NNRT_INIT_ORTHOGONAL,
    NNRT_INIT_IDENTITY,
    NNRT_INIT_FORGET
} nnrt_init_kind;

typedef struct {
    nnrt_init_kind kind;
    double a, b;
    int64_t seed; /* -1: derived from the run's seed and the variable's index */
} nnrt_init;

/* Which statistic of the raw training column fills a NNRT_PREPROCESS variable. */
typedef enum { NNRT_FIT_NONE, NNRT_FIT_MEAN, NNRT_FIT_VARIANCE, NNRT_FIT_MINIMUM, NNRT_FIT_MAXIMUM } nnrt_fit_kind;

/* How the elements lie in the model struct. The file always holds row-major `dims`; memory may hold the axes in
 * another order, one axis split into panels of `block` elements that lie innermost, padded to a whole panel.
 * Physical order: axes in order[0..rank), with `block_axis` replaced by its panel number, then the place in the panel.
 * block == 0: no panels. */
typedef struct {
    int8_t order[NNRT_MAX_RANK];
    int8_t block_axis;
    int32_t block;
} nnrt_storage;

typedef struct {
    const char *name; /* Keras' path: dense/kernel, batch_normalization/moving_mean, adam/dense_kernel_momentum */
    nnrt_role role;
    nnrt_dtype dtype;
    int rank;
    int64_t dims[NNRT_MAX_RANK];
    size_t offset; /* bytes from the start of the model struct */
    nnrt_storage storage;
    nnrt_init init;
    nnrt_fit_kind fit;
} nnrt_variable;

/* One row of summary(). */
typedef struct {
    const char *name, *type;  /* dense, Dense */
    const char *output_shape; /* (None, 64) */
    int64_t parameters;
} nnrt_layer;

/* A value that a step sums up. total and count are added over the batches of an epoch; shown is total/count, or the
 * square root of it. Index 0 is always "loss" (total = mean loss * samples, count = samples). */
typedef enum { NNRT_SHOW_MEAN, NNRT_SHOW_ROOT_MEAN } nnrt_show;
typedef struct {
    const char *name;
    nnrt_show show;
    bool higher_is_better; /* direction for monitor with mode=auto */
} nnrt_metric;

/* Where samples come from. */
typedef enum {
    NNRT_DATA_NONE,
    NNRT_DATA_CSV,
    NNRT_DATA_IDX,
    NNRT_DATA_NPY,
    NNRT_DATA_TEXT,   /* windows of characters; the target is what follows */
    NNRT_DATA_WINDOWS /* windows of the rows of a CSV file; the target is in a later row */
} nnrt_data_kind;
typedef enum { NNRT_TEXT_ERROR, NNRT_TEXT_ONE_HOT, NNRT_TEXT_INDEX } nnrt_text_mode;
typedef struct {
    const char *column; /* name, or "#3" for index 3 */
    nnrt_text_mode mode;
} nnrt_text_column;
typedef struct {
    nnrt_data_kind kind;
    const char *file;         /* csv: the file; idx, npy: the file of the inputs */
    const char *target_file;  /* idx, npy: labels */
    const char *target;       /* csv: name, "#index", or NULL for the last column */
    const char *weight;       /* csv: column of sample weights, or NULL; not an input */
    bool header, header_auto; /* header_auto: decide from the first row */
    char separator;
    const nnrt_text_column *text; /* categorical text columns */
    int text_count;
    int64_t first, count; /* rows (text: characters) taken: [first, first + count); count -1: to the end */
    /* text and windows: characters or rows of one sample, and from the beginning of one sample to that of the next */
    int64_t window, stride;
    int64_t horizon;            /* windows: the target is so many rows behind the last one of the window */
    const char *const *columns; /* csv, windows: those of the inputs, by name or "#3"; none: all of the file */
    int column_count;
    const char *const *targets; /* columns of the target; windows: none: the last of the inputs */
    int target_count;
} nnrt_data_source;

typedef enum {
    NNRT_EARLY_STOPPING,
    NNRT_MODEL_CHECKPOINT,
    NNRT_REDUCE_LR_ON_PLATEAU,
    NNRT_CSV_LOGGER,
    NNRT_TERMINATE_ON_NAN
} nnrt_callback_kind;
typedef struct {
    nnrt_callback_kind kind;
    const char *monitor; /* val_loss */
    const char *file;    /* ModelCheckpoint, CSVLogger */
    const char *separator;
    int mode; /* 0 auto, -1 min, 1 max */
    int patience, cooldown, start_from_epoch, verbose;
    double min_delta, baseline, factor, min_lr, initial_value_threshold; /* NAN: not given */
    bool restore_best_weights, save_best_only, save_weights_only, append;
    int64_t save_freq; /* 0: each epoch; n: every n batches */
} nnrt_callback;

typedef struct {
    int epochs, batch_size, initial_epoch;
    bool shuffle;
    double validation_split;
    int validation_freq;
    uint64_t seed;
    const double *class_weight; /* class_count values, or NULL */
    int class_count;
    const nnrt_callback *callbacks;
    int callback_count;
} nnrt_fit_defaults;

/* A column of raw rows that holds whole numbers from 0 to classes - 1 (the data step one_hot). */
typedef struct {
    int64_t column, classes;
} nnrt_class_column;

/* Consecutive batches of one data set, worked off by one call (one parallel region). Sample i of the run is row
 * rows[i] of x, y and w, without `rows` (not on a device) row i. The last batch may be partial. `before_step`, if given
 * (then without `rows`), is called by one thread and puts samples first .. first + count into x, y and w, which then
 * hold one batch. totals[2*m], totals[2*m+1] receive sum and count of metric m.
 * `after_step`, if given, is called between steps by one thread with the number of batches done; non-zero stops. Where
 * steps run ahead of the caller (on a device), it is called for those that were under way, too. */
typedef struct {
    const float *x;
    const void *y;  /* float[..] or int32_t, see target_dtype */
    const float *w; /* NULL unless the program has_sample_weight */
    const int32_t *rows;
    int64_t samples;
    int batch_size;
    int threads;
    uint64_t seed; /* of the random numbers of training steps */
    double *totals;
    void (*before_step)(void *context, int64_t first, int64_t count);
    int (*after_step)(void *context, int64_t steps_done);
    void *context;
    void *device;  /* of open_device; NULL: one for this call, if the program runs on a device */
    bool constant; /* x, y and w stay as they are while the device is open */
} nnrt_steps;

typedef struct nnrt_program {
    const char *name, *source_file, *compiler; /* digits, digits.nn, "nnc 0.1.0" */
    size_t model_bytes, model_alignment;       /* the struct: weights, optimizer state, arena */
    size_t arena_offset, arena_bytes;
    const nnrt_variable *variables;
    int variable_count;
    const nnrt_layer *layers;
    int layer_count;
    int64_t raw_input_size; /* floats of one raw sample */
    int64_t input_size;     /* floats of one preprocessed sample (what train_steps reads) */
    int64_t input_stride;   /* distance of samples in x of nnrt_steps, >= input_size (avoids 4 KB multiples) */
    int input_rank;
    int64_t input_dims[NNRT_MAX_RANK];
    int64_t output_size;
    nnrt_dtype target_dtype;                /* NNRT_I32: class index */
    int64_t target_size;                    /* values of one target: 1 for a class index */
    int64_t class_count;                    /* > 0: targets are checked to be in [0, class_count) */
    bool target_one_hot;                    /* the data file holds a class index, the loss wants target_size floats */
    const nnrt_class_column *class_columns; /* checked when a file is read */
    int class_column_count;
    bool has_preprocess, has_sample_weight, has_training;
    int maximum_batch;          /* memory is planned for this many samples */
    int learning_rate_variable; /* index of a settable learning rate, or -1 (a schedule) */
    int iteration_variable;     /* index of the int32 step counter, or -1 */
    const nnrt_metric *metrics;
    int metric_count;
    nnrt_data_source train, test, validation;
    nnrt_fit_defaults fit;
    int default_threads; /* as many as pay for the work per phase; the machine may give fewer (nnrt_team.h) */
    /* Generated functions. They return 0, or a non-zero code with a message in nnrt_error_text(). */
    int (*train_steps)(void *model, const nnrt_steps *);
    int (*evaluate_steps)(void *model, const nnrt_steps *);
    int (*predict)(void *model, const float *raw, int64_t samples, float *output, int threads);
    int (*preprocess)(void *model, const float *raw, int64_t samples, float *prepared); /* NULL: none */
    /* The device that steps run on, for several calls; NULL: the processor. */
    int (*open_device)(void **device);
    void (*close_device)(void *device);
} nnrt_program;

/* The trainer: init, fit, evaluate, predict, summary, --help. Returns the process' exit status. */
int nnrt_main(const nnrt_program *, int argc, char **argv);

/* Fresh values for every variable. Same seed, same bits, on every machine. */
void nnrt_model_init(const nnrt_program *, void *model, uint64_t seed);
/* Weights and optimizer state from and to a .safetensors file; saving writes a new file, then renames.
 * Return 0 or an error code; nothing of the model or the old file is changed on error. */
int nnrt_model_load(const nnrt_program *, void *model, const char *path);
int nnrt_model_save(const nnrt_program *, const void *model, const char *path);

#ifdef __cplusplus
}
#endif
#endif
