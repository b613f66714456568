/* What a generated program needs to know beside the tensor IR: where data comes from, how a run goes, what is shown.
 * The front end fills it, the host-code emitter prints it (as the nnrt_program table of the runtime). Plain data. */
#ifndef NNC_IR_PROGRAM_H
#define NNC_IR_PROGRAM_H
#include "ir/ir.h"

typedef enum { DATA_NONE, DATA_CSV, DATA_IDX, DATA_NPY, DATA_TEXT, DATA_WINDOWS } DataKind;
typedef enum { TEXT_ERROR, TEXT_ONE_HOT, TEXT_INDEX } TextMode;
typedef struct {
    const char *column; /* name, or "#3" */
    TextMode mode;
} TextColumn;

typedef struct {
    DataKind kind;
    const char *file, *target_file, *target, *weight; /* see nnrt_data_source */
    int header;                                       /* 0 no, 1 yes, -1 decide from the first row */
    char separator;
    TextColumn *text;
    int text_count;
    int64_t first, count;           /* count -1: to the end */
    int64_t window, stride, horizon; /* text, windows; window and stride 0: from the model's Input */
    const char **columns, **targets; /* csv, windows: "name" or "#3" */
    int column_count, target_count;
    Span span;
} DataSource;

typedef enum {
    CALLBACK_EARLY_STOPPING,
    CALLBACK_MODEL_CHECKPOINT,
    CALLBACK_REDUCE_LR_ON_PLATEAU,
    CALLBACK_CSV_LOGGER,
    CALLBACK_TERMINATE_ON_NAN
} CallbackKind;
typedef struct {
    CallbackKind kind;
    const char *monitor, *file, *separator;
    int mode; /* 0 auto, -1 min, 1 max */
    int patience, cooldown, start_from_epoch, verbose;
    double min_delta, baseline, factor, min_lr, initial_value_threshold; /* NAN: not given */
    bool restore_best_weights, save_best_only, save_weights_only, append;
    int64_t save_freq; /* 0: each epoch */
} Callback;

typedef struct {
    const char *name; /* accuracy */
    bool root_mean, higher_is_better;
} Metric; /* results "<name>.total" and "<name>.count" of train_step and evaluate_step; index 0 is loss */

typedef struct {
    const char *name, *type;  /* dense, Dense */
    const Type *output;
    int64_t parameters;
    Span span;
} Layer;

typedef struct {
    int epochs, batch_size, initial_epoch, validation_freq;
    bool shuffle;
    double validation_split;
    uint64_t seed;
    double *class_weight; /* class_weight_count values, or NULL */
    int class_weight_count;
    Callback *callbacks;
    int callback_count;
} Fit;

typedef struct {
    int64_t column, classes;
} ClassColumn; /* of raw rows: holds 0 to classes - 1 (the data step one_hot) */

typedef struct Program {
    Module *module;             /* funcs: preprocess (if any), forward, train_step, evaluate_step (if compiled) */
    const SourceFile *source;
    const char *name;           /* C identifier: the model's name */
    const Type *raw_input;      /* of one batch: f32[B, ...] as in the data file */
    const Type *input;          /* after preprocessing */
    const Type *output, *target; /* target NULL: not compiled for training */
    int64_t class_count;        /* > 0: target is a class index below it */
    bool target_one_hot;        /* data files hold a class index, the loss wants one-hot floats */
    bool has_sample_weight;
    Layer *layers;
    int layer_count;
    Metric *metrics;
    int metric_count;
    DataSource train, test, validation;
    Fit fit;
    Variable *learning_rate;    /* settable; NULL: a schedule */
    Variable *iteration;        /* i32 step counter; NULL: not compiled */
    int preprocess_count;       /* variables to be fitted */
    ClassColumn *class_columns; /* raw columns that one_hot steps read; the runtime checks them */
    int class_column_count, class_column_capacity;
} Program;
#endif
