/* The list of callbacks: monitors, the state that a checkpoint keeps, and the calls to each kind
 * (nnrt_callback_kinds.c). Needs: a host. Leaves: changed states, saved files, callbacks->stop. */
#include "nnrt_callbacks.h"
#include "nnrt_error.h"
#include "nnrt_storage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *nnrt_callback_name(const nnrt_callback_state *state) {
    return nnrt_callback_table[state->callback->kind].name;
}

const nnrt_log *nnrt_logs_find(const nnrt_logs *logs, const char *name) {
    for (int i = 0; i < logs->count; i++)
        if (strcmp(logs->items[i].name, name) == 0)
            return &logs->items[i];
    return NULL;
}

/* Keras: the value must beat the reference by more than min_delta; nothing to compare with counts as better. */
bool nnrt_callback_improves(const nnrt_callback_state *state, double current, bool has_reference, double reference) {
    bool exact = state->callback->kind == NNRT_MODEL_CHECKPOINT || isnan(state->callback->min_delta);
    double delta = exact ? 0 : fabs(state->callback->min_delta);
    if (!has_reference)
        return true;
    return state->higher ? current - delta > reference : current + delta < reference;
}

/* Best weights: all trainable and non-trainable variables, one after the other in file order. */

static bool callbacks_is_weight(const nnrt_variable *variable) {
    return variable->role == NNRT_TRAINABLE || variable->role == NNRT_NON_TRAINABLE;
}

static int64_t callbacks_weight_elements(const nnrt_program *program) {
    int64_t elements = 0;
    for (int i = 0; i < program->variable_count; i++)
        elements += callbacks_is_weight(&program->variables[i]) ? nnrt_variable_elements(&program->variables[i]) : 0;
    return elements;
}

static int callbacks_reserve_best(const nnrt_callbacks *callbacks, nnrt_callback_state *state) {
    if (!state->best_weights)
        state->best_weights = malloc(4 * (size_t)callbacks_weight_elements(callbacks->host.program) + 4);
    return state->best_weights ? NNRT_OK : nnrt_error(NNRT_ERROR_MEMORY, "no memory to keep the best weights");
}

int nnrt_callback_keep_best(nnrt_callbacks *callbacks, nnrt_callback_state *state) {
    const nnrt_program *program = callbacks->host.program;
    if (callbacks_reserve_best(callbacks, state) != NNRT_OK)
        return NNRT_ERROR_MEMORY;
    float *to = state->best_weights;
    for (int i = 0; i < program->variable_count; i++) {
        const nnrt_variable *variable = &program->variables[i];
        if (!callbacks_is_weight(variable))
            continue;
        nnrt_storage_gather(variable, (const char *)callbacks->host.model + variable->offset, 0,
                            nnrt_variable_elements(variable), to);
        to += nnrt_variable_elements(variable);
    }
    return NNRT_OK;
}

void nnrt_callback_restore_best(nnrt_callbacks *callbacks, const nnrt_callback_state *state) {
    const nnrt_program *program = callbacks->host.program;
    const float *from = state->best_weights;
    for (int i = 0; i < program->variable_count; i++) {
        const nnrt_variable *variable = &program->variables[i];
        if (!callbacks_is_weight(variable))
            continue;
        nnrt_storage_scatter(variable, from, (char *)callbacks->host.model + variable->offset);
        from += nnrt_variable_elements(variable);
    }
}

/* Life of the list. */

int nnrt_callbacks_create(nnrt_callbacks *callbacks, const nnrt_callback_host *host) {
    const nnrt_fit_defaults *fit = &host->program->fit;
    *callbacks = (nnrt_callbacks){.host = *host};
    if (fit->callback_count == 0)
        return NNRT_OK;
    callbacks->states = calloc((size_t)fit->callback_count, sizeof *callbacks->states);
    if (!callbacks->states)
        return nnrt_error(NNRT_ERROR_MEMORY, "no memory for callbacks");
    callbacks->count = fit->callback_count;
    for (int i = 0; i < callbacks->count; i++) {
        nnrt_callback_state *state = &callbacks->states[i];
        state->callback = &fit->callbacks[i];
        double threshold = state->callback->initial_value_threshold;
        if (state->callback->kind == NNRT_MODEL_CHECKPOINT && !isnan(threshold)) {
            state->has_best = true;
            state->best = threshold;
        }
    }
    return NNRT_OK;
}

void nnrt_callbacks_free(nnrt_callbacks *callbacks) {
    for (int i = 0; i < callbacks->count; i++) {
        free(callbacks->states[i].keys);
        free(callbacks->states[i].best_weights);
        if (callbacks->states[i].csv)
            fclose(callbacks->states[i].csv);
    }
    free(callbacks->states);
    *callbacks = (nnrt_callbacks){.count = 0};
}

/* Keras' mode=auto: the loss is better low, a metric knows its own direction, anything else is an error. */
static int callbacks_set_direction(const nnrt_callbacks *callbacks, nnrt_callback_state *state,
                                   const nnrt_logs *names) {
    const nnrt_program *program = callbacks->host.program;
    const char *metric = state->callback->monitor;
    state->higher = state->callback->mode > 0;
    if (state->callback->mode != 0)
        return NNRT_OK;
    if (strncmp(metric, "val_", 4) == 0)
        metric += 4;
    for (int i = 0; i < program->metric_count; i++)
        if (strcmp(program->metrics[i].name, metric) == 0) {
            state->higher = program->metrics[i].higher_is_better;
            return NNRT_OK;
        }
    if (strcmp(metric, "loss") == 0)
        return NNRT_OK;
    char list[600];
    size_t used = 0;
    list[0] = 0;
    for (int i = 0; i < names->count && used < sizeof list; i++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names->items[i].name);
    return nnrt_error(NNRT_ERROR_ARGUMENT,
                      "%s: cannot tell whether monitor=%s is better high or low; write mode=min or mode=max, or one of "
                      "%s",
                      nnrt_callback_name(state), state->callback->monitor, list);
}

/* The names that an epoch's values will have: metrics, those of validation, and later learning_rate. */
static int callbacks_names(const nnrt_program *program, bool validation, nnrt_logs *names, char (*text)[128]) {
    for (int i = 0; i < program->metric_count; i++)
        names->items[names->count++] = (nnrt_log){.name = program->metrics[i].name};
    for (int i = 0; validation && i < program->metric_count; i++) {
        snprintf(text[i], sizeof text[i], "val_%s", program->metrics[i].name);
        names->items[names->count++] = (nnrt_log){.name = text[i]};
    }
    return names->count;
}

int nnrt_callbacks_begin(nnrt_callbacks *callbacks, bool validation, bool resumed) {
    const nnrt_program *program = callbacks->host.program;
    size_t capacity = 2 * (size_t)program->metric_count + 1;
    char(*text)[128] = calloc((size_t)program->metric_count + 1, sizeof *text);
    nnrt_logs names = {.items = calloc(capacity, sizeof *names.items), .capacity = (int)capacity};
    int code = text && names.items ? NNRT_OK : nnrt_error(NNRT_ERROR_MEMORY, "no memory for callbacks");
    if (code == NNRT_OK)
        callbacks_names(program, validation, &names, text);
    for (int i = 0; code == NNRT_OK && i < callbacks->count; i++) {
        nnrt_callback_state *state = &callbacks->states[i];
        const nnrt_callback_behaviour *behaviour = &nnrt_callback_table[state->callback->kind];
        if (behaviour->monitors)
            code = callbacks_set_direction(callbacks, state, &names);
        if (code == NNRT_OK && behaviour->begin)
            code = behaviour->begin(callbacks, state, &names, resumed);
        if (state->callback->kind == NNRT_REDUCE_LR_ON_PLATEAU && !nnrt_logs_find(&names, "learning_rate"))
            names.items[names.count++] = (nnrt_log){.name = "learning_rate"};
    }
    free(text);
    free(names.items);
    return code;
}

int64_t nnrt_callbacks_next_batch(const nnrt_callbacks *callbacks) {
    int64_t next = INT64_MAX;
    for (int i = 0; i < callbacks->count; i++) {
        const nnrt_callback_state *state = &callbacks->states[i];
        if (state->callback->kind != NNRT_MODEL_CHECKPOINT || state->callback->save_freq <= 0)
            continue;
        int64_t here = state->callback->save_freq - state->batches;
        here = here < 1 ? 1 : here;
        next = here < next ? here : next;
    }
    return next;
}

int nnrt_callbacks_batch_end(nnrt_callbacks *callbacks, int epoch, int64_t batch, int64_t batches,
                             const nnrt_logs *logs) {
    for (int i = 0; i < callbacks->count; i++) {
        nnrt_callback_state *state = &callbacks->states[i];
        if (state->callback->kind != NNRT_MODEL_CHECKPOINT || state->callback->save_freq <= 0)
            continue;
        state->batches += batches;
        if (state->batches < state->callback->save_freq)
            continue;
        state->batches = 0;
        int code = nnrt_checkpoint_batch_end(callbacks, state, epoch, batch, logs);
        if (code != NNRT_OK)
            return code;
    }
    return NNRT_OK;
}

bool nnrt_callbacks_stop_on_nan(const nnrt_callbacks *callbacks) {
    for (int i = 0; i < callbacks->count; i++)
        if (callbacks->states[i].callback->kind == NNRT_TERMINATE_ON_NAN)
            return true;
    return false;
}

int nnrt_callbacks_epoch_end(nnrt_callbacks *callbacks, int epoch, nnrt_logs *logs) {
    for (int i = 0; i < callbacks->count; i++) {
        nnrt_callback_state *state = &callbacks->states[i];
        const nnrt_callback_behaviour *behaviour = &nnrt_callback_table[state->callback->kind];
        int code = behaviour->epoch_end ? behaviour->epoch_end(callbacks, state, epoch, logs) : NNRT_OK;
        if (code != NNRT_OK)
            return code;
    }
    return NNRT_OK;
}

int nnrt_callbacks_end(nnrt_callbacks *callbacks) {
    int result = NNRT_OK;
    for (int i = 0; i < callbacks->count; i++) {
        nnrt_callback_state *state = &callbacks->states[i];
        const nnrt_callback_behaviour *behaviour = &nnrt_callback_table[state->callback->kind];
        int code = behaviour->end ? behaviour->end(callbacks, state) : NNRT_OK;
        result = result == NNRT_OK ? code : result;
    }
    return result;
}

/* State in a checkpoint. */

void nnrt_callback_state_text(const nnrt_callback_state *state, char *text, size_t size) {
    snprintf(
        text, size,
        "wait=%d cooldown=%d best_epoch=%d stopped_epoch=%d batches=%lld has_best=%d best=%.17g log_bytes=%lld keys=%s",
        state->wait, state->cooldown, state->best_epoch, state->stopped_epoch, (long long)state->batches,
        state->has_best, state->best, (long long)state->log_bytes, state->keys ? state->keys : "");
}

int nnrt_callback_state_parse(nnrt_callback_state *state, const char *text, const char *path) {
    nnrt_callback_state read = *state;
    long long batches, log_bytes;
    int has_best, keys_at = -1;
    int fields = sscanf(text,
                        "wait=%d cooldown=%d best_epoch=%d stopped_epoch=%d batches=%lld has_best=%d best=%lf "
                        "log_bytes=%lld keys=%n",
                        &read.wait, &read.cooldown, &read.best_epoch, &read.stopped_epoch, &batches, &has_best,
                        &read.best, &log_bytes, &keys_at);
    if (fields != 8 || keys_at < 0)
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: the saved state of a callback cannot be read: \"%s\"", path, text);
    read.batches = batches;
    read.log_bytes = log_bytes;
    read.has_best = has_best != 0;
    if (text[keys_at]) {
        free(read.keys);
        read.keys = malloc(strlen(text + keys_at) + 1);
        if (!read.keys)
            return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory", path);
        memcpy(read.keys, text + keys_at, strlen(text + keys_at) + 1);
    }
    *state = read;
    return NNRT_OK;
}

int64_t nnrt_callbacks_tensor_count(const nnrt_callbacks *callbacks) {
    const nnrt_program *program = callbacks->host.program;
    int64_t count = 0;
    for (int i = 0; i < callbacks->count; i++)
        for (int k = 0; callbacks->states[i].best_weights && k < program->variable_count; k++)
            count += callbacks_is_weight(&program->variables[k]);
    return count;
}

static void callbacks_tensor_name(char *name, int index, const nnrt_variable *variable) {
    snprintf(name, NNRT_TENSOR_NAME, NNRT_CALLBACK_PREFIX "%d/%s", index, variable->name);
}

void nnrt_callbacks_tensors(const nnrt_callbacks *callbacks, nnrt_tensor *tensors, char (*names)[NNRT_TENSOR_NAME]) {
    const nnrt_program *program = callbacks->host.program;
    int64_t count = 0;
    for (int i = 0; i < callbacks->count; i++) {
        const float *values = callbacks->states[i].best_weights;
        for (int k = 0; values && k < program->variable_count; k++) {
            const nnrt_variable *variable = &program->variables[k];
            if (!callbacks_is_weight(variable))
                continue;
            callbacks_tensor_name(names[count], i, variable);
            nnrt_tensor_dtype dtype = variable->dtype == NNRT_I32 ? NNRT_TENSOR_I32 : NNRT_TENSOR_F32;
            tensors[count] =
                (nnrt_tensor){.name = names[count], .dtype = dtype, .rank = variable->rank, .data = values};
            memcpy(tensors[count].dims, variable->dims, (size_t)variable->rank * sizeof variable->dims[0]);
            values += nnrt_variable_elements(variable);
            count++;
        }
    }
}

static int callbacks_load_best(nnrt_callbacks *callbacks, int index, const nnrt_safetensors *file, const char *path) {
    const nnrt_program *program = callbacks->host.program;
    int64_t done = 0;
    for (int k = 0; k < program->variable_count; k++) {
        const nnrt_variable *variable = &program->variables[k];
        char name[NNRT_TENSOR_NAME];
        if (!callbacks_is_weight(variable))
            continue;
        callbacks_tensor_name(name, index, variable);
        const nnrt_tensor *tensor = nnrt_safetensors_find(file, name);
        size_t bytes = 4 * (size_t)nnrt_variable_elements(variable);
        if (!tensor && done == 0)
            return NNRT_OK; /* no best weights were kept yet */
        if (!tensor || tensor->bytes != bytes)
            return nnrt_error(NNRT_ERROR_DATA, "%s: the saved best weights are incomplete: %s", path, name);
        if (callbacks_reserve_best(callbacks, &callbacks->states[index]) != NNRT_OK)
            return NNRT_ERROR_MEMORY;
        memcpy(callbacks->states[index].best_weights + done, tensor->data, bytes);
        done += nnrt_variable_elements(variable);
    }
    return NNRT_OK;
}

int nnrt_callbacks_load_tensors(nnrt_callbacks *callbacks, const nnrt_safetensors *file, const char *path) {
    for (int i = 0; i < callbacks->count; i++) {
        int code = callbacks_load_best(callbacks, i, file, path);
        if (code != NNRT_OK)
            return code;
    }
    return NNRT_OK;
}
