/* fit: Keras' training loop with a checkpoint from which an interrupted run goes on to the same bits.
 *
 * Needs: training data, and weights where --resume or --initial-weights asks for them. Leaves: the weights file, lines
 * of progress, what callbacks write. The file is written when training ends or is interrupted, and after epochs as
 * often as it costs less than a twentieth of the time. */
#include "nnrt_error.h"
#include "nnrt_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double fit_save_share = 0.05;
static const double fit_save_guess = 0.01; /* seconds that the first one is taken to cost */

static const char *fit_epoch_break(const FitRun *fit, char *text, size_t size) {
    snprintf(text, size, "epoch %d after %lld of %lld steps", fit->run.epoch + 1, (long long)fit->run.step,
             (long long)fit->steps);
    return text;
}

/* Between two steps, called by one thread of the generated loop. */
static int fit_after_step(void *context, int64_t steps_done) {
    FitRun *fit = context;
    int64_t step = fit->run.step + steps_done;
    fit->not_finite = fit->stop_on_nan && !isfinite(fit->run.totals[0]);
    if (fit->not_finite || nnrt_interrupted()) {
        fit->stopped_after = steps_done;
        return fit->not_finite ? NNRT_ERROR_NUMBER : NNRT_ERROR_INTERRUPTED;
    }
    if (nnrt_progress_step(&fit->progress, step)) {
        fit->logs.count = 0;
        nnrt_trainer_logs(fit->trainer, fit->run.totals, false, &fit->logs);
        nnrt_progress_draw(&fit->progress, step, fit->logs.items, fit->logs.count);
    }
    if (nnrt_team_step(&fit->trainer->training, steps_done)) {
        fit->stopped_after = steps_done;
        return NNRT_TEAM_CHANGED;
    }
    return 0;
}

/* At most `count` steps in one call of the generated loop; fewer if the number of threads changes. run.step says how
 * many were done. */
static int fit_steps(FitRun *fit, int64_t count) {
    int64_t first = fit->run.step * fit->run.batch_size, samples = count * fit->run.batch_size;
    if (samples > fit->train.count - first)
        samples = fit->train.count - first;
    nnrt_steps steps = {.batch_size = fit->run.batch_size,
                        .threads = fit->trainer->training.threads,
                        .seed = fit->run.seed,
                        .totals = fit->run.totals,
                        .after_step = fit_after_step,
                        .context = fit,
                        .device = fit->trainer->device};
    fit->stopped_after = 0;
    int code = nnrt_feed_next(&fit->feed, fit->rows + first, samples, &steps);
    if (code != NNRT_OK)
        return code;
    nnrt_team_enter(&fit->trainer->training);
    code = fit->trainer->program->train_steps(fit->trainer->model, &steps);
    nnrt_team_leave(&fit->trainer->training);
    fit->broken = code != 0 && fit->stopped_after == 0;
    fit->done = fit->stopped_after > 0 ? fit->stopped_after : count;
    if (!fit->broken)
        fit->run.step += fit->done;
    fit->changed = true;
    return fit->broken ? code : NNRT_OK;
}

static int fit_train_epoch(FitRun *fit) {
    while (fit->run.step < fit->steps && !fit->not_finite && !nnrt_interrupted()) {
        int64_t count = nnrt_callbacks_next_batch(&fit->callbacks), most = nnrt_feed_steps(&fit->feed);
        count = count < most ? count : most;
        count = count < fit->steps - fit->run.step ? count : fit->steps - fit->run.step;
        int code = fit_steps(fit, count);
        if (code != NNRT_OK)
            return code;
        fit->logs.count = 0;
        nnrt_trainer_logs(fit->trainer, fit->run.totals, false, &fit->logs);
        code = nnrt_callbacks_batch_end(&fit->callbacks, fit->run.epoch, fit->run.step - 1, fit->done, &fit->logs);
        if (code != NNRT_OK)
            return code;
    }
    if (fit->stop_on_nan && !fit->not_finite && !isfinite(fit->run.totals[0]))
        fit->not_finite = true;
    if (fit->not_finite) {
        char text[96];
        snprintf(text, sizeof text, "Batch %lld: Invalid loss, terminating training", (long long)fit->run.step - 1);
        fit->callbacks.host.say(fit->callbacks.host.context, text);
        fit->callbacks.stop = true;
    }
    return NNRT_OK;
}

/* The values of the epoch, and validation where it is due. */
static int fit_epoch_logs(FitRun *fit) {
    fit->logs.count = 0;
    nnrt_trainer_logs(fit->trainer, fit->run.totals, false, &fit->logs);
    if (fit->validation.count == 0 || (fit->run.epoch + 1) % fit->trainer->options.validation_freq != 0)
        return NNRT_OK;
    int code = nnrt_measure(fit->trainer, &fit->validation, fit->identity, NULL, NULL, fit->validation_totals);
    if (code == NNRT_OK)
        nnrt_trainer_logs(fit->trainer, fit->validation_totals, true, &fit->logs);
    return code;
}

static void fit_begin_epoch(FitRun *fit) {
    const nnrt_trainer *trainer = fit->trainer;
    if (fit->run.shuffle)
        nnrt_permutation(fit->run.seed, fit->run.epoch, fit->rows, fit->train.count);
    if (trainer->verbose > 0 && fit->run.epochs > 1)
        fprintf(trainer->out, "Epoch %d/%d\n", fit->run.epoch + 1, fit->run.epochs);
    nnrt_progress_begin(&fit->progress, trainer->out, &trainer->terminal, trainer->verbose, fit->steps, fit->run.step);
}

static int fit_epoch(FitRun *fit) {
    fit_begin_epoch(fit);
    int code = fit_train_epoch(fit);
    if (code == NNRT_OK && nnrt_interrupted() && !fit->not_finite)
        code = nnrt_error(NNRT_ERROR_INTERRUPTED, "interrupted");
    if (code == NNRT_OK)
        code = fit_epoch_logs(fit);
    if (code == NNRT_OK)
        code = nnrt_callbacks_epoch_end(&fit->callbacks, fit->run.epoch, &fit->logs);
    if (code != NNRT_OK) {
        nnrt_progress_break_line(&fit->progress);
        return code;
    }
    nnrt_progress_finish(&fit->progress, fit->run.step, fit->logs.items, fit->logs.count);
    memset(fit->run.totals, 0, 2 * (size_t)fit->trainer->program->metric_count * sizeof(double));
    fit->run.epoch++;
    fit->run.step = 0;
    fit->run.stopped = fit->callbacks.stop;
    return NNRT_OK;
}

static int fit_save(FitRun *fit) {
    const nnrt_trainer *trainer = fit->trainer;
    return nnrt_checkpoint_save(trainer->program, trainer->model, trainer->options.weights, NNRT_FITTED,
                                &trainer->vocabulary, &fit->run, &fit->callbacks);
}

/* A save that fails here is only a warning: training goes on, and there is time to make room on the disk. */
static void fit_save_now_and_then(FitRun *fit) {
    double now = fit->trainer->terminal.clock();
    if (now - fit->last_save < fit->save_seconds / fit_save_share)
        return;
    if (fit_save(fit) != NNRT_OK && !fit->save_warned) {
        nnrt_trainer_warn(fit->trainer, nnrt_error_text());
        fit->save_warned = true;
    }
    fit->last_save = fit->trainer->terminal.clock();
    fit->save_seconds = fit->last_save - now;
}

static int fit_interrupted(FitRun *fit) {
    const nnrt_options *options = &fit->trainer->options;
    char where[96];
    if (!fit->changed)
        return nnrt_error(NNRT_ERROR_INTERRUPTED, "interrupted before the first step; nothing was written");
    if (fit_save(fit) != NNRT_OK)
        return nnrt_error(NNRT_ERROR_FILE, "interrupted in %s; saving failed: %s",
                          fit_epoch_break(fit, where, sizeof where), nnrt_error_text());
    bool elsewhere = options->weights != options->default_weights;
    return nnrt_error(NNRT_ERROR_INTERRUPTED, "interrupted in %s; saved in %s; go on with: %s fit --resume%s%s",
                      fit_epoch_break(fit, where, sizeof where), options->weights, nnrt_command(fit->trainer->program),
                      elsewhere ? " --weights=" : "", elsewhere ? options->weights : "");
}

/* A callback or the generated code failed: what was learnt is saved, unless a step broke off in its middle. The first
 * message stays. */
static int fit_failed(FitRun *fit, int code) {
    char text[1800];
    snprintf(text, sizeof text, "%.*s", (int)sizeof text - 1, nnrt_error_text());
    if (fit->changed && !fit->broken && fit_save(fit) == NNRT_OK)
        return nnrt_error(code, "%s (the state before this is saved in %s)", text, fit->trainer->options.weights);
    return nnrt_error(code, "%s", text);
}

/* After a loss that is not finite, weights are only worth a file if a callback has put good ones back. */
static bool fit_weights_are_lost(const FitRun *fit) {
    if (!fit->not_finite)
        return false;
    for (int i = 0; i < fit->callbacks.count; i++)
        if (fit->callbacks.states[i].best_weights)
            return false;
    return true;
}

static int fit_finish(FitRun *fit) {
    const nnrt_trainer *trainer = fit->trainer;
    int code = nnrt_callbacks_end(&fit->callbacks);
    if (code != NNRT_OK)
        return fit_failed(fit, code);
    if (fit_weights_are_lost(fit))
        return nnrt_error(NNRT_ERROR_NUMBER, "the loss is no longer a number; %s was not written with these weights",
                          trainer->options.weights);
    for (int i = 0; i < fit->callbacks.count; i++) {
        free(fit->callbacks.states[i].best_weights); /* they are in the model now */
        fit->callbacks.states[i].best_weights = NULL;
    }
    code = fit_save(fit);
    if (code == NNRT_OK && trainer->verbose > 0)
        fprintf(trainer->out, "Weights are in %s.\n", trainer->options.weights);
    return code;
}

int nnrt_fit_loop(FitRun *fit) {
    int code = NNRT_OK;
    fit->last_save = fit->trainer->terminal.clock();
    fit->save_seconds = fit_save_guess;
    fit->stop_on_nan = nnrt_callbacks_stop_on_nan(&fit->callbacks);
    while (code == NNRT_OK && fit->run.epoch < fit->run.epochs && !fit->run.stopped) {
        code = fit_epoch(fit);
        if (code == NNRT_OK && !fit->not_finite && !fit->run.stopped && fit->run.epoch < fit->run.epochs)
            fit_save_now_and_then(fit);
    }
    if (code == NNRT_ERROR_INTERRUPTED)
        return fit_interrupted(fit);
    return code == NNRT_OK ? fit_finish(fit) : fit_failed(fit, code);
}
