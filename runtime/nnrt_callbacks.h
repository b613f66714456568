/* The callbacks of fit, with the rules of Keras: EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, CSVLogger,
 * TerminateOnNaN.
 *
 * The epoch loop calls begin, then batch_end and epoch_end in time, then end. A host gives them the model, a way to
 * save it and a way to speak. Their state is text and tensors of the checkpoint, so that --resume can restore it. */
#ifndef NNRT_CALLBACKS_H
#define NNRT_CALLBACKS_H
#include "nnrt_model.h"
#include "nnrt_progress.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const nnrt_program *program;
    void *model;
    void *context;
    int (*save)(void *context, const char *path);
    void (*say)(void *context, const char *text);  /* a line of output */
    void (*warn)(void *context, const char *text); /* a warning */
} nnrt_callback_host;

/* The values of an epoch in the order of display. */
typedef struct {
    nnrt_log *items;
    int count, capacity;
} nnrt_logs;
const nnrt_log *nnrt_logs_find(const nnrt_logs *logs, const char *name);

typedef struct {
    const nnrt_callback *callback;
    /* What a checkpoint keeps. */
    bool has_best;
    double best;
    int wait, cooldown, best_epoch, stopped_epoch;
    int64_t batches;     /* ModelCheckpoint: since the last save by batches */
    char *keys;          /* CSVLogger: its columns, separated by commas */
    int64_t log_bytes;   /* CSVLogger: how long its file is */
    float *best_weights; /* EarlyStopping: all weights in file order, or NULL */
    /* What it does not. */
    bool higher, warned;
    FILE *csv;
} nnrt_callback_state;

typedef struct {
    nnrt_callback_host host;
    nnrt_callback_state *states;
    int count;
    bool stop; /* a callback asks to stop training */
} nnrt_callbacks;

/* Memory for the states of the program's callbacks, all fresh. nnrt_callbacks_free is right at any time after. */
int nnrt_callbacks_create(nnrt_callbacks *callbacks, const nnrt_callback_host *host);
void nnrt_callbacks_free(nnrt_callbacks *callbacks);
/* Checks monitors and file names against the values that epochs will have; opens log files. `resumed`: the states
 * come from a checkpoint, log files are continued. */
int nnrt_callbacks_begin(nnrt_callbacks *callbacks, bool validation, bool resumed);
/* Batches from now until a callback must see the model, or INT64_MAX. */
int64_t nnrt_callbacks_next_batch(const nnrt_callbacks *callbacks);
/* After `batches` further batches, the last of them `batch` (from 0) of `epoch` (from 0). */
int nnrt_callbacks_batch_end(nnrt_callbacks *callbacks, int epoch, int64_t batch, int64_t batches,
                             const nnrt_logs *logs);
/* True if a loss that is not finite ends training. */
bool nnrt_callbacks_stop_on_nan(const nnrt_callbacks *callbacks);
/* May add learning_rate to the logs, and set callbacks->stop. */
int nnrt_callbacks_epoch_end(nnrt_callbacks *callbacks, int epoch, nnrt_logs *logs);
int nnrt_callbacks_end(nnrt_callbacks *callbacks);

/* State of callback `index` as text, and back. */
void nnrt_callback_state_text(const nnrt_callback_state *state, char *text, size_t size);
int nnrt_callback_state_parse(nnrt_callback_state *state, const char *text, const char *path);
/* Best weights as tensors callback.INDEX/NAME: how many, and filling them (names point into `names`). */
int64_t nnrt_callbacks_tensor_count(const nnrt_callbacks *callbacks);
void nnrt_callbacks_tensors(const nnrt_callbacks *callbacks, nnrt_tensor *tensors, char (*names)[NNRT_TENSOR_NAME]);
int nnrt_callbacks_load_tensors(nnrt_callbacks *callbacks, const nnrt_safetensors *file, const char *path);

/* For nnrt_callback_kinds.c. */
const char *nnrt_callback_name(const nnrt_callback_state *state);
bool nnrt_callback_improves(const nnrt_callback_state *state, double current, bool has_reference, double reference);
int nnrt_callback_keep_best(nnrt_callbacks *callbacks, nnrt_callback_state *state);
void nnrt_callback_restore_best(nnrt_callbacks *callbacks, const nnrt_callback_state *state);

/* What one kind of callback does; NULL: nothing. */
typedef struct {
    const char *name;
    bool monitors; /* has a value to watch */
    int (*begin)(nnrt_callbacks *callbacks, nnrt_callback_state *state, const nnrt_logs *names, bool resumed);
    int (*epoch_end)(nnrt_callbacks *callbacks, nnrt_callback_state *state, int epoch, nnrt_logs *logs);
    int (*end)(nnrt_callbacks *callbacks, nnrt_callback_state *state);
} nnrt_callback_behaviour;
extern const nnrt_callback_behaviour nnrt_callback_table[NNRT_TERMINATE_ON_NAN + 1];
int nnrt_checkpoint_batch_end(nnrt_callbacks *callbacks, nnrt_callback_state *state, int epoch, int64_t batch,
                              const nnrt_logs *logs);

#ifdef __cplusplus
}
#endif
#endif
