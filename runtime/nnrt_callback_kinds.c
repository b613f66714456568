/* What each kind of callback does, rule for rule as in keras/src/callbacks. Needs: the list of nnrt_callbacks.c.
 * Leaves: lines said to the host, files, a changed learning rate, weights put back. */
#include "nnrt_callbacks.h"
#include "nnrt_error.h"
#include "nnrt_text.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CALLBACK_LINE = 1600, CALLBACK_PATH = 1024 };

static void callback_say(const nnrt_callbacks *callbacks, const char *format, ...) NNRT_PRINTF(2, 3);
static void callback_say(const nnrt_callbacks *callbacks, const char *format, ...) {
    char line[CALLBACK_LINE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    callbacks->host.say(callbacks->host.context, line);
}

/* The monitored value. Where it is missing: a warning, once, that names what there is. */
static const nnrt_log *callback_monitored(const nnrt_callbacks *callbacks, nnrt_callback_state *state,
                                          const nnrt_logs *logs, const char *consequence) {
    const nnrt_log *log = nnrt_logs_find(logs, state->callback->monitor);
    if (log || state->warned)
        return log;
    char names[600], line[CALLBACK_LINE];
    nnrt_list_names(logs->items, logs->count, names, sizeof names);
    snprintf(line, sizeof line, "%s: %s is not available, so %s; available are %s", nnrt_callback_name(state),
             state->callback->monitor, consequence, names);
    callbacks->host.warn(callbacks->host.context, line);
    state->warned = true;
    return NULL;
}

/* EarlyStopping */

static int early_stopping_epoch_end(nnrt_callbacks *callbacks, nnrt_callback_state *state, int epoch, nnrt_logs *logs) {
    const nnrt_callback *callback = state->callback;
    const nnrt_log *log = callback_monitored(callbacks, state, logs, "it cannot stop training");
    if (!log || epoch < callback->start_from_epoch)
        return NNRT_OK;
    if (callback->restore_best_weights && !state->best_weights) {
        state->best_epoch = epoch;
        if (nnrt_callback_keep_best(callbacks, state) != NNRT_OK)
            return NNRT_ERROR_MEMORY;
    }
    state->wait++;
    if (nnrt_callback_improves(state, log->value, state->has_best, state->best)) {
        state->has_best = true;
        state->best = log->value;
        state->best_epoch = epoch;
        if (nnrt_callback_improves(state, log->value, !isnan(callback->baseline), callback->baseline))
            state->wait = 0;
        return callback->restore_best_weights ? nnrt_callback_keep_best(callbacks, state) : NNRT_OK;
    }
    if (state->wait >= callback->patience && epoch > 0) {
        state->stopped_epoch = epoch;
        callbacks->stop = true;
    }
    return NNRT_OK;
}

static int early_stopping_end(nnrt_callbacks *callbacks, nnrt_callback_state *state) {
    bool speaks = state->callback->verbose > 0;
    if (speaks && state->stopped_epoch > 0)
        callback_say(callbacks, "Epoch %d: early stopping", state->stopped_epoch + 1);
    if (!state->callback->restore_best_weights || !state->best_weights)
        return NNRT_OK;
    if (speaks)
        callback_say(callbacks, "Restoring model weights from the end of the best epoch: %d.", state->best_epoch + 1);
    nnrt_callback_restore_best(callbacks, state);
    return NNRT_OK;
}

/* ModelCheckpoint */

static int checkpoint_path(const nnrt_callback_state *state, int epoch, int64_t batch, const nnrt_logs *logs,
                           char *path) {
    nnrt_log integers[] = {{"epoch", epoch + 1}, {"batch", (double)batch + 1}};
    nnrt_template_values values = {integers, batch >= 0 ? 2 : 1, logs->items, logs->count};
    int code = nnrt_template_format(state->callback->file, &values, path, CALLBACK_PATH);
    return code == NNRT_OK ? NNRT_OK : nnrt_error(code, "ModelCheckpoint: %s", nnrt_error_text());
}

/* Tries the file name before training, with the names that will be there. */
static int checkpoint_begin(nnrt_callbacks *callbacks, nnrt_callback_state *state, const nnrt_logs *names,
                            bool resumed) {
    char path[CALLBACK_PATH];
    bool batches = state->callback->save_freq > 0;
    nnrt_logs known = *names;
    if (batches && known.count > callbacks->host.program->metric_count)
        known.count = callbacks->host.program->metric_count;
    (void)resumed;
    return checkpoint_path(state, 0, batches ? 0 : -1, &known, path);
}

static int checkpoint_make_folders(const char *path) {
    char folder[CALLBACK_PATH];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash = strchr(folder + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(folder, 0777) != 0 && errno != EEXIST)
            return nnrt_error(NNRT_ERROR_FILE, "%s: %s", folder, strerror(errno));
        *slash = '/';
    }
    return NNRT_OK;
}

static bool checkpoint_is_due(nnrt_callbacks *callbacks, nnrt_callback_state *state, int epoch, const nnrt_logs *logs,
                              const char *path) {
    const nnrt_callback *callback = state->callback;
    if (!callback->save_best_only) {
        if (callback->verbose > 0)
            callback_say(callbacks, "Epoch %d: saving model to %s", epoch + 1, path);
        return true;
    }
    const nnrt_log *log = callback_monitored(callbacks, state, logs, "every model is saved");
    if (!log)
        return true;
    char best[64] = "None";
    if (state->has_best)
        snprintf(best, sizeof best, "%.5f", state->best);
    bool better = nnrt_callback_improves(state, log->value, state->has_best, state->best);
    if (callback->verbose > 0 && better)
        callback_say(callbacks, "Epoch %d: %s improved from %s to %.5f, saving model to %s", epoch + 1,
                     callback->monitor, best, log->value, path);
    else if (callback->verbose > 0)
        callback_say(callbacks, "Epoch %d: %s did not improve from %s", epoch + 1, callback->monitor, best);
    if (better) {
        state->has_best = true;
        state->best = log->value;
    }
    return better;
}

int nnrt_checkpoint_batch_end(nnrt_callbacks *callbacks, nnrt_callback_state *state, int epoch, int64_t batch,
                              const nnrt_logs *logs) {
    char path[CALLBACK_PATH];
    int code = checkpoint_path(state, epoch, batch, logs, path);
    if (code != NNRT_OK || !checkpoint_is_due(callbacks, state, epoch, logs, path))
        return code;
    code = checkpoint_make_folders(path);
    if (code == NNRT_OK)
        code = callbacks->host.save(callbacks->host.context, path);
    if (code == NNRT_OK && state->callback->verbose > 0)
        callback_say(callbacks, "Epoch %d: finished saving model to %s", epoch + 1, path);
    return code == NNRT_OK ? NNRT_OK : nnrt_error(code, "ModelCheckpoint: %s", nnrt_error_text());
}

static int checkpoint_epoch_end(nnrt_callbacks *callbacks, nnrt_callback_state *state, int epoch, nnrt_logs *logs) {
    return state->callback->save_freq > 0 ? NNRT_OK : nnrt_checkpoint_batch_end(callbacks, state, epoch, -1, logs);
}

/* ReduceLROnPlateau */

static float *plateau_learning_rate(const nnrt_callbacks *callbacks) {
    const nnrt_program *program = callbacks->host.program;
    size_t offset = program->variables[program->learning_rate_variable].offset;
    return (float *)(void *)((char *)callbacks->host.model + offset);
}

static int plateau_begin(nnrt_callbacks *callbacks, nnrt_callback_state *state, const nnrt_logs *names, bool resumed) {
    (void)names;
    (void)resumed;
    if (callbacks->host.program->learning_rate_variable >= 0)
        return NNRT_OK;
    return nnrt_error(NNRT_ERROR_ARGUMENT,
                      "%s: the learning rate follows a schedule and cannot be set; give the "
                      "optimizer a number",
                      nnrt_callback_name(state));
}

static bool plateau_reduce(const nnrt_callbacks *callbacks, const nnrt_callback *callback, int epoch) {
    float *rate = plateau_learning_rate(callbacks);
    double least = isnan(callback->min_lr) ? 0 : callback->min_lr;
    if (!((double)*rate > (double)(float)least))
        return false;
    double reduced = (double)*rate * callback->factor;
    reduced = reduced > least ? reduced : least;
    *rate = (float)reduced;
    char text[40];
    if (callback->verbose > 0)
        callback_say(callbacks, "Epoch %d: ReduceLROnPlateau reducing learning rate to %s.", epoch + 1,
                     nnrt_shortest_number(text, sizeof text, reduced));
    return true;
}

static int plateau_epoch_end(nnrt_callbacks *callbacks, nnrt_callback_state *state, int epoch, nnrt_logs *logs) {
    nnrt_log *shown = (nnrt_log *)nnrt_logs_find(logs, "learning_rate");
    if (!shown && logs->count < logs->capacity) {
        shown = &logs->items[logs->count++];
        shown->name = "learning_rate";
    }
    if (shown)
        shown->value = *plateau_learning_rate(callbacks);
    const nnrt_log *log = callback_monitored(callbacks, state, logs, "the learning rate stays");
    if (!log)
        return NNRT_OK;
    if (state->cooldown > 0) {
        state->cooldown--;
        state->wait = 0;
    }
    if (nnrt_callback_improves(state, log->value, state->has_best, state->best)) {
        state->has_best = true;
        state->best = log->value;
        state->wait = 0;
    } else if (state->cooldown == 0 && ++state->wait >= state->callback->patience &&
               plateau_reduce(callbacks, state->callback, epoch)) {
        state->cooldown = state->callback->cooldown;
        state->wait = 0;
    }
    return NNRT_OK;
}

/* CSVLogger */

static int64_t csv_logger_size(const nnrt_callback_state *state) {
    return fseek(state->csv, 0, SEEK_END) == 0 ? ftell(state->csv) : -1;
}

/* A run that was killed has logged epochs after the checkpoint from which it goes on: they come again, so their rows
 * go. */
static int csv_logger_begin(nnrt_callbacks *callbacks, nnrt_callback_state *state, const nnrt_logs *names,
                            bool resumed) {
    const char *path = state->callback->file;
    bool continues = state->callback->append || (resumed && state->keys);
    (void)callbacks;
    (void)names;
    state->csv = fopen(path, continues ? "a" : "w");
    if (!state->csv)
        return nnrt_error(NNRT_ERROR_FILE, "CSVLogger: %s: cannot write: %s%s", path, strerror(errno),
                          errno == ENOENT ? "; make its folder first" : "");
    if (continues && resumed && csv_logger_size(state) > state->log_bytes &&
        ftruncate(fileno(state->csv), (off_t)state->log_bytes) != 0)
        return nnrt_error(NNRT_ERROR_FILE, "CSVLogger: %s: cannot take back the rows of epochs that come again: %s",
                          path, strerror(errno));
    state->log_bytes = csv_logger_size(state);
    return NNRT_OK;
}

static int csv_logger_compare(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Keras: the sorted names of the first epoch; without validation in it, val_ columns are added for later ones. */
static int csv_logger_choose_keys(nnrt_callback_state *state, const nnrt_logs *logs) {
    const char **names = calloc((size_t)logs->count + 1, sizeof *names);
    bool validation = false;
    size_t bytes = 1;
    for (int i = 0; names && i < logs->count; i++) {
        names[i] = logs->items[i].name;
        validation |= strncmp(names[i], "val_", 4) == 0;
        bytes += 2 * (strlen(names[i]) + 6);
    }
    state->keys = malloc(bytes);
    if (!names || !state->keys) {
        free(names);
        return nnrt_error(NNRT_ERROR_MEMORY, "CSVLogger: no memory");
    }
    qsort(names, (size_t)logs->count, sizeof *names, csv_logger_compare);
    char *at = state->keys;
    *at = 0;
    for (int pass = 0; pass < (validation ? 1 : 2); pass++)
        for (int i = 0; i < logs->count; i++)
            at += sprintf(at, "%s%s%s", at == state->keys ? "" : ",", pass ? "val_" : "", names[i]);
    free(names);
    return NNRT_OK;
}

/* Calls for each column: the header if `logs` is NULL, else the values. */
static void csv_logger_row(const nnrt_callback_state *state, const nnrt_logs *logs) {
    const char *separator = state->callback->separator ? state->callback->separator : ",";
    for (const char *key = state->keys; *key;) {
        char name[160], value[64];
        int length = (int)strcspn(key, ",");
        snprintf(name, sizeof name, "%.*s", length, key);
        const nnrt_log *log = logs ? nnrt_logs_find(logs, name) : NULL;
        const char *text = !logs ? name : log ? nnrt_shortest_number(value, sizeof value, log->value) : "NA";
        fprintf(state->csv, "%s%s", separator, text);
        key += length + (key[length] == ',');
    }
    fputc('\n', state->csv);
}

static int csv_logger_epoch_end(nnrt_callbacks *callbacks, nnrt_callback_state *state, int epoch, nnrt_logs *logs) {
    if (!state->keys) {
        int code = csv_logger_choose_keys(state, logs);
        if (code != NNRT_OK)
            return code;
        if (csv_logger_size(state) == 0) {
            fputs("epoch", state->csv);
            csv_logger_row(state, NULL);
        }
    }
    fprintf(state->csv, "%d", epoch);
    csv_logger_row(state, logs);
    if ((fflush(state->csv) != 0 || ferror(state->csv)) && !state->warned) {
        char line[CALLBACK_LINE];
        snprintf(line, sizeof line, "CSVLogger: %s: %s", state->callback->file, strerror(errno));
        callbacks->host.warn(callbacks->host.context, line);
        state->warned = true;
    }
    state->log_bytes = csv_logger_size(state);
    return NNRT_OK;
}

static int csv_logger_end(nnrt_callbacks *callbacks, nnrt_callback_state *state) {
    (void)callbacks;
    int failed = state->csv ? fclose(state->csv) : 0;
    state->csv = NULL;
    return failed ? nnrt_error(NNRT_ERROR_FILE, "CSVLogger: %s: %s", state->callback->file, strerror(errno)) : NNRT_OK;
}

const nnrt_callback_behaviour nnrt_callback_table[NNRT_TERMINATE_ON_NAN + 1] = {
    [NNRT_EARLY_STOPPING] = {"EarlyStopping", true, NULL, early_stopping_epoch_end, early_stopping_end},
    [NNRT_MODEL_CHECKPOINT] = {"ModelCheckpoint", true, checkpoint_begin, checkpoint_epoch_end, NULL},
    [NNRT_REDUCE_LR_ON_PLATEAU] = {"ReduceLROnPlateau", true, plateau_begin, plateau_epoch_end, NULL},
    [NNRT_CSV_LOGGER] = {"CSVLogger", false, csv_logger_begin, csv_logger_epoch_end, csv_logger_end},
    [NNRT_TERMINATE_ON_NAN] = {"TerminateOnNaN", false, NULL, NULL, NULL},
};
