/* The beginning of fit: starting weights, data, split, preprocessing, class weights, the state of an interrupted run.
 * Needs: options. Leaves: a FitRun for nnrt_fit_loop. Everything that can be wrong is found before the first step. */
#include "nnrt_error.h"
#include "nnrt_fit.h"
#include "nnrt_model.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void setup_say(void *context, const char *text) {
    FitRun *fit = context;
    nnrt_progress_break_line(&fit->progress);
    fprintf(fit->trainer->out, "%s\n", text);
    fflush(fit->trainer->out);
}

static void setup_warn(void *context, const char *text) {
    FitRun *fit = context;
    nnrt_progress_break_line(&fit->progress);
    nnrt_trainer_warn(fit->trainer, text);
}

/* ModelCheckpoint's file: the model without the state of the run. */
static int setup_save(void *context, const char *path) {
    FitRun *fit = context;
    return nnrt_checkpoint_save(fit->trainer->program, fit->trainer->model, path, NNRT_FITTED,
                                &fit->trainer->vocabulary, NULL, NULL);
}

/* A place that cannot be written is better known now than after hours. */
static int setup_check_writable(const char *path) {
    char folder[1024];
    struct stat status;
    const char *slash = strrchr(path, '/');
    if (!slash)
        snprintf(folder, sizeof folder, ".");
    else
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    bool exists = stat(path, &status) == 0;
    if (exists && S_ISDIR(status.st_mode))
        return nnrt_error(NNRT_ERROR_FILE, "%s: is a folder; --weights=FILE names a file in it", path);
    if (access(folder, W_OK) == 0 && (!exists || access(path, W_OK) == 0))
        return NNRT_OK;
    return nnrt_error(NNRT_ERROR_FILE,
                      "%s: the weights cannot be written there: %s; --weights=FILE names another place", path,
                      strerror(errno));
}

/* Values of the command line that would make a resumed run another run. */
static int setup_check_resume(const FitRun *fit) {
    const nnrt_options *options = &fit->trainer->options;
    const nnrt_run *run = &fit->run;
    static const char *const text = "--%s differs from the interrupted run's; leave it out, or leave out --resume";
    if ((options->given & NNRT_GIVEN_SEED) && options->seed != run->seed)
        return nnrt_error(NNRT_ERROR_ARGUMENT, text, "seed");
    if ((options->given & NNRT_GIVEN_BATCH_SIZE) && options->batch_size != run->batch_size)
        return nnrt_error(NNRT_ERROR_ARGUMENT, text, "batch-size");
    if ((options->given & NNRT_GIVEN_SHUFFLE) && options->shuffle != run->shuffle)
        return nnrt_error(NNRT_ERROR_ARGUMENT, text, "shuffle");
    if ((options->given & NNRT_GIVEN_VALIDATION_SPLIT) && fabs(options->validation_split - run->validation_split) > 0)
        return nnrt_error(NNRT_ERROR_ARGUMENT, text, "validation-split");
    if (run->batch_size > fit->trainer->program->maximum_batch)
        return nnrt_error(
            NNRT_ERROR_DATA,
            "%s: the run used batches of %d samples, this program is compiled for %d; compile it again with "
            "nnc --max-batch=%d",
            options->weights, run->batch_size, fit->trainer->program->maximum_batch, run->batch_size);
    return NNRT_OK;
}

static int setup_load(FitRun *fit, const char *path, bool resume) {
    nnrt_trainer *trainer = fit->trainer;
    nnrt_safetensors file = {.count = 0};
    nnrt_model_found found = {false, false};
    nnrt_model_strictness strictness = resume ? NNRT_PREPROCESSING_REQUIRED : NNRT_PREPROCESSING_OPTIONAL;
    int code = nnrt_safetensors_read(path, &file);
    if (code != NNRT_OK)
        return resume ? nnrt_error(code, "%s; without --resume a new run starts", nnrt_error_text()) : code;
    if (resume)
        code = nnrt_run_load(trainer->program, &file, path, &fit->run, &fit->callbacks);
    if (code == NNRT_OK)
        code = nnrt_model_load_from(trainer->program, trainer->model, &file, path, strictness, &found);
    if (code == NNRT_OK)
        code = nnrt_checkpoint_vocabulary(&file, path, &trainer->vocabulary);
    trainer->fitted = found.preprocessing;
    nnrt_safetensors_free(&file);
    if (code == NNRT_OK && resume)
        code = setup_check_resume(fit);
    return code;
}

/* Fresh weights, then what a file says. */
static int setup_start(FitRun *fit) {
    nnrt_trainer *trainer = fit->trainer;
    const nnrt_options *options = &trainer->options;
    if (!options->resume && options->initial_epoch > 0 && options->initial_epoch >= options->epochs)
        return nnrt_error(
            NNRT_ERROR_ARGUMENT,
            "--initial-epoch=%d leaves nothing to train before --epochs=%d; the weights file stays as it is",
            options->initial_epoch, options->epochs);
    fit->run.epoch = options->initial_epoch;
    fit->run.epochs = options->epochs;
    fit->run.seed = options->seed;
    fit->run.batch_size = options->batch_size;
    fit->run.shuffle = options->shuffle;
    fit->run.validation_split = options->validation_split;
    int code = nnrt_model_fill(trainer->program, trainer->model, options->seed);
    if (code == NNRT_OK && options->resume)
        code = setup_load(fit, options->weights, true);
    else if (code == NNRT_OK && options->initial_weights)
        code = setup_load(fit, options->initial_weights, false);
    if (options->given & NNRT_GIVEN_EPOCHS)
        fit->run.epochs = options->epochs;
    trainer->options.batch_size = fit->run.batch_size; /* validation uses it too */
    return code;
}

static int setup_read_train(FitRun *fit) {
    nnrt_trainer *trainer = fit->trainer;
    nnrt_data_source source =
        nnrt_source_with(&trainer->program->train, trainer->options.train, trainer->options.train_target);
    if (!source.file || source.kind == NNRT_DATA_NONE)
        return nnrt_error(NNRT_ERROR_ARGUMENT, "there is no training data: name a file with --train=FILE, or declare "
                                               "train = ... in data { }");
    const nnrt_vocabulary *known = nnrt_vocabulary_known(&trainer->vocabulary);
    int code = nnrt_dataset_read(&fit->train_data, trainer->program, &source, known);
    if (code == NNRT_OK && !known)
        code = nnrt_vocabulary_copy(&fit->train_data.table.vocabulary, &trainer->vocabulary);
    return code;
}

/* Keras' rule: the last part in the original order, before any shuffling. Returns the rows to train on. */
static int setup_split(const FitRun *fit, int64_t *train_rows) {
    int64_t rows = fit->train_data.rows;
    double split = fit->run.validation_split;
    *train_rows = rows;
    if (!(split > 0))
        return NNRT_OK;
    *train_rows = (int64_t)floor((double)rows * (1.0 - split));
    if (*train_rows > 0 && *train_rows < rows)
        return NNRT_OK;
    return nnrt_error(NNRT_ERROR_DATA, "%lld rows are not enough to hold back a part of %g for validation",
                      (long long)rows, split);
}

static int setup_read_validation(FitRun *fit, const nnrt_data_source *source) {
    nnrt_trainer *trainer = fit->trainer;
    int code =
        nnrt_dataset_read(&fit->validation_data, trainer->program, source, nnrt_vocabulary_known(&trainer->vocabulary));
    if (code == NNRT_OK)
        code = nnrt_dataset_prepare(&fit->validation_data, trainer->program, trainer->model);
    if (code == NNRT_OK)
        fit->validation = nnrt_dataset_samples(&fit->validation_data, trainer->program, 0, fit->validation_data.rows);
    return code;
}

/* The command line before the file; in the file, as in Keras, validation data before a split. A resumed run goes on
 * with what it began with. */
static bool setup_is_separate(FitRun *fit, const nnrt_data_source *validation) {
    const nnrt_options *options = &fit->trainer->options;
    bool declared = validation->file && validation->kind != NNRT_DATA_NONE;
    bool split = options->resume || (options->given & NNRT_GIVEN_VALIDATION_SPLIT);
    bool separate = declared && (options->validation || !(split && fit->run.validation_split > 0));
    if (separate && !options->resume)
        fit->run.validation_split = 0;
    return separate;
}

static int setup_data(FitRun *fit) {
    nnrt_trainer *trainer = fit->trainer;
    const nnrt_program *program = trainer->program;
    const nnrt_options *options = &trainer->options;
    nnrt_data_source validation =
        nnrt_source_like(&program->validation, &program->train, options->validation, options->validation_target);
    bool separate = setup_is_separate(fit, &validation);
    int64_t rows = 0;
    int code = setup_read_train(fit);
    if (code == NNRT_OK && separate)
        rows = fit->train_data.rows;
    else if (code == NNRT_OK)
        code = setup_split(fit, &rows);
    if (code == NNRT_OK && fit->run.samples > 0 && fit->run.samples != rows)
        return nnrt_error(NNRT_ERROR_DATA, "the interrupted run had %lld rows to train on, now there are %lld",
                          (long long)fit->run.samples, (long long)rows);
    if (code == NNRT_OK && !trainer->fitted)
        code = nnrt_dataset_fit_preprocessing(&fit->train_data, program, trainer->model, rows);
    if (code == NNRT_OK)
        code = nnrt_trainer_device(trainer);
    if (code == NNRT_OK)
        code = nnrt_dataset_prepare(&fit->train_data, program, trainer->model);
    if (code == NNRT_OK)
        code = nnrt_dataset_weigh_classes(&fit->train_data, program, rows);
    if (code == NNRT_OK && separate)
        code = setup_read_validation(fit, &validation);
    if (code != NNRT_OK)
        return code;
    fit->run.samples = rows;
    fit->train = nnrt_dataset_samples(&fit->train_data, program, 0, rows);
    if (!separate)
        fit->validation = nnrt_dataset_samples(&fit->train_data, program, rows, fit->train_data.rows - rows);
    return NNRT_OK;
}

static int setup_memory(FitRun *fit) {
    size_t metrics = (size_t)fit->trainer->program->metric_count;
    fit->run.totals = calloc(2 * metrics + 1, sizeof(double));
    fit->validation_totals = calloc(2 * metrics + 1, sizeof(double));
    fit->logs.capacity = (int)(2 * metrics + 1);
    fit->logs.items = calloc((size_t)fit->logs.capacity, sizeof *fit->logs.items);
    if (fit->run.totals && fit->validation_totals && fit->logs.items)
        return NNRT_OK;
    return nnrt_error(NNRT_ERROR_MEMORY, "no memory to train");
}

static int setup_rows(FitRun *fit) {
    fit->rows = nnrt_identity_rows(fit->train.count);
    fit->identity = nnrt_identity_rows(fit->validation.count);
    fit->steps = (fit->train.count + fit->run.batch_size - 1) / fit->run.batch_size;
    if (fit->run.step > fit->steps)
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: the saved run is at step %lld of %lld", fit->trainer->options.weights,
                          (long long)fit->run.step, (long long)fit->steps);
    int most = fit->trainer->options.steps;
    fit->steps = most > 0 && most < fit->steps ? most : fit->steps;
    return fit->rows && fit->identity ? NNRT_OK : nnrt_error(NNRT_ERROR_MEMORY, "no memory to train");
}

static void setup_free(FitRun *fit) {
    nnrt_feed_end(&fit->feed);
    nnrt_dataset_free(&fit->train_data);
    nnrt_dataset_free(&fit->validation_data);
    nnrt_callbacks_free(&fit->callbacks);
    free(fit->run.totals);
    free(fit->validation_totals);
    free(fit->logs.items);
    free(fit->rows);
    free(fit->identity);
}

/* A resumed run that is done already: says so. */
static bool setup_nothing_to_do(const FitRun *fit) {
    const nnrt_trainer *trainer = fit->trainer;
    if (!trainer->options.resume)
        return false;
    if (fit->run.stopped)
        fprintf(trainer->out, "The run in %s was stopped by a callback in epoch %d; there is nothing to go on with.\n",
                trainer->options.weights, fit->run.epoch);
    else if (fit->run.epoch >= fit->run.epochs)
        fprintf(trainer->out, "All %d epochs of the run in %s are done; --epochs=N adds more.\n", fit->run.epoch,
                trainer->options.weights);
    return fit->run.stopped || fit->run.epoch >= fit->run.epochs;
}

static int setup_and_loop(FitRun *fit) {
    int code = setup_check_writable(fit->trainer->options.weights);
    if (code == NNRT_OK)
        code = setup_memory(fit);
    if (code == NNRT_OK)
        code = setup_start(fit);
    if (code != NNRT_OK || setup_nothing_to_do(fit))
        return code;
    code = setup_data(fit);
    if (code == NNRT_OK)
        code = setup_rows(fit);
    if (code == NNRT_OK)
        code =
            nnrt_feed_begin(&fit->feed, fit->trainer->program, fit->trainer->model, &fit->train, fit->run.batch_size);
    if (code == NNRT_OK)
        code = nnrt_trainer_device(fit->trainer);
    if (code == NNRT_OK)
        code = nnrt_callbacks_begin(&fit->callbacks, fit->validation.count > 0, fit->trainer->options.resume);
    if (code != NNRT_OK)
        return code;
    nnrt_interrupt_begin(); /* before this, an interrupt just ends the process: nothing is lost */
    code = nnrt_fit_loop(fit);
    nnrt_interrupt_end();
    return code;
}

int nnrt_run_fit(nnrt_trainer *trainer) {
    FitRun fit = {.trainer = trainer};
    nnrt_callback_host host = {trainer->program, trainer->model, &fit, setup_save, setup_say, setup_warn};
    if (!trainer->program->train_steps)
        return nnrt_error(NNRT_ERROR_UNSUPPORTED, "this program was compiled without compile { }; it cannot train");
    int code = nnrt_callbacks_create(&fit.callbacks, &host);
    if (code == NNRT_OK)
        code = setup_and_loop(&fit);
    setup_free(&fit);
    return code;
}
