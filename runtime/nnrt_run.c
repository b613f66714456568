/* Checkpoints of a run; see nnrt_run.h. Numbers are text that reads back to the same bits. */
#include "nnrt_run.h"
#include "nnrt_error.h"

#include <stdlib.h>
#include <string.h>

enum { RUN_TEXT = 320, RUN_NUMBER = 32, RUN_CALLBACK_TEXT = 2048, RUN_KEY = 32 };

/* All memory of the extra contents of one checkpoint, allocated at once for a number of callbacks and metrics. */
typedef struct {
    char run[RUN_TEXT];
    char *totals, *vocabulary, *columns;
    char (*callback_texts)[RUN_CALLBACK_TEXT];
    char (*callback_keys)[RUN_KEY];
    nnrt_metadata *metadata;
    int64_t metadata_count;
    nnrt_tensor *tensors;
    char (*tensor_names)[NNRT_TENSOR_NAME];
    int64_t tensor_count;
} RunContents;

static void run_contents_free(RunContents *contents) {
    free(contents->totals);
    free(contents->vocabulary);
    free(contents->columns);
    free(contents->callback_texts);
    free(contents->callback_keys);
    free(contents->metadata);
    free(contents->tensors);
    free(contents->tensor_names);
}

static void run_add(RunContents *contents, const char *key, const char *value) {
    contents->metadata[contents->metadata_count++] = (nnrt_metadata){key, value};
}

static void run_describe(const nnrt_run *run, int metric_count, RunContents *contents) {
    snprintf(contents->run, sizeof contents->run,
             "epoch=%d step=%lld epochs=%d seed=%llu batch_size=%d shuffle=%d stopped=%d samples=%lld "
             "validation_split=%.17g",
             run->epoch, (long long)run->step, run->epochs, (unsigned long long)run->seed, run->batch_size,
             run->shuffle, run->stopped, (long long)run->samples, run->validation_split);
    char *at = contents->totals;
    *at = 0;
    for (int i = 0; i < 2 * metric_count; i++)
        at += snprintf(at, RUN_NUMBER, "%s%.17g", i ? " " : "", run->totals[i]);
    run_add(contents, "run", contents->run);
    run_add(contents, "run.totals", contents->totals);
}

static void run_describe_callbacks(const nnrt_callbacks *callbacks, RunContents *contents) {
    for (int i = 0; i < callbacks->count; i++) {
        nnrt_callback_state_text(&callbacks->states[i], contents->callback_texts[i], RUN_CALLBACK_TEXT);
        snprintf(contents->callback_keys[i], RUN_KEY, NNRT_CALLBACK_PREFIX "%d", i);
        run_add(contents, contents->callback_keys[i], contents->callback_texts[i]);
    }
    nnrt_callbacks_tensors(callbacks, contents->tensors, contents->tensor_names);
}

static bool run_contents_reserve(RunContents *contents, int metric_count, int callback_count, int64_t tensors) {
    *contents = (RunContents){.tensor_count = tensors};
    contents->totals = malloc(RUN_NUMBER * 2 * ((size_t)metric_count + 1));
    contents->callback_texts = malloc(sizeof *contents->callback_texts * ((size_t)callback_count + 1));
    contents->callback_keys = malloc(sizeof *contents->callback_keys * ((size_t)callback_count + 1));
    contents->metadata = malloc(sizeof *contents->metadata * ((size_t)callback_count + 5));
    contents->tensors = malloc(sizeof *contents->tensors * ((size_t)tensors + 1));
    contents->tensor_names = malloc(sizeof *contents->tensor_names * ((size_t)tensors + 1));
    return contents->totals && contents->callback_texts && contents->callback_keys && contents->metadata &&
           contents->tensors && contents->tensor_names;
}

int nnrt_checkpoint_save(const nnrt_program *program, const void *model, const char *path, nnrt_fitted fitted,
                         const nnrt_vocabulary *vocabulary, const nnrt_run *run, const nnrt_callbacks *callbacks) {
    RunContents contents;
    int callback_count = callbacks ? callbacks->count : 0;
    bool reserved = run_contents_reserve(&contents, program->metric_count, callback_count,
                                         callbacks ? nnrt_callbacks_tensor_count(callbacks) : 0);
    if (reserved && vocabulary && vocabulary->count > 0)
        reserved = (contents.vocabulary = nnrt_vocabulary_text(vocabulary)) != NULL;
    if (reserved && vocabulary && vocabulary->input_count > 0)
        reserved = (contents.columns = nnrt_vocabulary_inputs_text(vocabulary)) != NULL;
    int code = reserved ? NNRT_OK : nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory to save", path);
    if (code == NNRT_OK) {
        run_add(&contents, NNRT_KEY_PREPROCESSING, fitted == NNRT_FITTED ? "fitted" : "not fitted");
        if (contents.vocabulary)
            run_add(&contents, NNRT_KEY_VOCABULARY, contents.vocabulary);
        if (contents.columns)
            run_add(&contents, NNRT_KEY_COLUMNS, contents.columns);
        if (run)
            run_describe(run, program->metric_count, &contents);
        if (callbacks)
            run_describe_callbacks(callbacks, &contents);
        nnrt_model_extra extra = {contents.tensors, contents.tensor_count, contents.metadata, contents.metadata_count};
        code = nnrt_model_save_with(program, model, path, &extra);
    }
    run_contents_free(&contents);
    return code;
}

static int run_load_totals(const char *text, int metric_count, const char *path, nnrt_run *run) {
    for (int i = 0; i < 2 * metric_count; i++) {
        char *end;
        run->totals[i] = strtod(text, &end);
        if (end == text)
            return nnrt_error(NNRT_ERROR_FORMAT, "%s: the saved totals of the run are incomplete", path);
        text = end;
    }
    return NNRT_OK;
}

static int run_load_callbacks(const nnrt_safetensors *file, const char *path, nnrt_callbacks *callbacks) {
    for (int i = 0; i < callbacks->count; i++) {
        char key[RUN_KEY];
        snprintf(key, sizeof key, NNRT_CALLBACK_PREFIX "%d", i);
        const char *text = nnrt_safetensors_metadata(file, key);
        int code = text ? nnrt_callback_state_parse(&callbacks->states[i], text, path) : NNRT_OK;
        if (code != NNRT_OK)
            return code;
    }
    return nnrt_callbacks_load_tensors(callbacks, file, path);
}

int nnrt_run_load(const nnrt_program *program, const nnrt_safetensors *file, const char *path, nnrt_run *run,
                  nnrt_callbacks *callbacks) {
    const char *text = nnrt_safetensors_metadata(file, "run");
    const char *totals = nnrt_safetensors_metadata(file, "run.totals");
    long long step, samples;
    unsigned long long seed;
    int shuffle, stopped;
    if (!text || !totals)
        return nnrt_error(NNRT_ERROR_DATA,
                          "%s holds no run to go on with; --initial-weights=%s starts a new one from "
                          "its weights",
                          path, path);
    int fields = sscanf(text,
                        "epoch=%d step=%lld epochs=%d seed=%llu batch_size=%d shuffle=%d stopped=%d samples=%lld "
                        "validation_split=%lf",
                        &run->epoch, &step, &run->epochs, &seed, &run->batch_size, &shuffle, &stopped, &samples,
                        &run->validation_split);
    if (fields != 9 || run->epoch < 0 || step < 0 || run->batch_size < 1 || samples < 1)
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: the saved run cannot be read: \"%s\"", path, text);
    run->step = step;
    run->samples = samples;
    run->seed = seed;
    run->shuffle = shuffle != 0;
    run->stopped = stopped != 0;
    int code = run_load_totals(totals, program->metric_count, path, run);
    return code == NNRT_OK ? run_load_callbacks(file, path, callbacks) : code;
}

int nnrt_checkpoint_vocabulary(const nnrt_safetensors *file, const char *path, nnrt_vocabulary *vocabulary) {
    const char *text = nnrt_safetensors_metadata(file, NNRT_KEY_VOCABULARY);
    const char *inputs = nnrt_safetensors_metadata(file, NNRT_KEY_COLUMNS);
    *vocabulary = (nnrt_vocabulary){.count = 0};
    int code = text ? nnrt_vocabulary_parse(text, path, vocabulary) : NNRT_OK;
    return code == NNRT_OK && inputs ? nnrt_vocabulary_inputs_parse(inputs, path, vocabulary) : code;
}
