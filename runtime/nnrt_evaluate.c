/* evaluate: loss and metrics on the test data; and the measurement that validation shares.
 * Needs: weights, a test source. Leaves: Keras' bar or line, or with --verbose=0 one "name: value" for each metric. */
#include "nnrt_error.h"
#include "nnrt_feed.h"
#include "nnrt_trainer.h"

#include <stdlib.h>
#include <string.h>

/* What the steps of a measurement see between two batches. */
typedef struct {
    nnrt_trainer *trainer;
    nnrt_progress *progress;
    nnrt_logs *logs;
    const double *totals;
    int64_t before; /* steps of earlier calls */
    int64_t done;   /* steps of a call that ended since the number of threads has changed; else 0 */
} EvaluateContext;

static int evaluate_after_step(void *context, int64_t steps_done) {
    EvaluateContext *evaluate = context;
    int64_t steps = evaluate->before + steps_done;
    if (nnrt_interrupted())
        return NNRT_ERROR_INTERRUPTED;
    if (evaluate->progress && nnrt_progress_step(evaluate->progress, steps)) {
        evaluate->logs->count = 0;
        nnrt_trainer_logs(evaluate->trainer, evaluate->totals, false, evaluate->logs);
        nnrt_progress_draw(evaluate->progress, steps, evaluate->logs->items, evaluate->logs->count);
    }
    evaluate->done = nnrt_team_step(&evaluate->trainer->measuring, steps_done) ? steps_done : 0;
    return evaluate->done > 0 ? NNRT_TEAM_CHANGED : 0;
}

/* One call of the generated loop; *count becomes the number of samples that it has measured. */
static int measure_call(EvaluateContext *context, nnrt_steps *steps, int64_t *count) {
    nnrt_trainer *trainer = context->trainer;
    steps->threads = trainer->measuring.threads;
    context->done = 0;
    nnrt_team_enter(&trainer->measuring);
    int code = trainer->program->evaluate_steps(trainer->model, steps);
    nnrt_team_leave(&trainer->measuring);
    if (code == NNRT_TEAM_CHANGED && context->done > 0) {
        int64_t samples = context->done * steps->batch_size;
        *count = samples < *count ? samples : *count;
        return NNRT_OK;
    }
    return code;
}

int nnrt_measure(nnrt_trainer *trainer, const nnrt_samples *samples, const int32_t *rows, nnrt_progress *progress,
                 nnrt_logs *logs, double *totals) {
    EvaluateContext context = {trainer, progress, logs, totals, 0, 0};
    memset(totals, 0, 2 * (size_t)trainer->program->metric_count * sizeof *totals);
    nnrt_steps steps = {.batch_size = trainer->options.batch_size,
                        .totals = totals,
                        .after_step = evaluate_after_step,
                        .context = &context};
    nnrt_feed feed;
    int code = nnrt_feed_begin(&feed, trainer->program, trainer->model, samples, steps.batch_size);
    if (code == NNRT_OK)
        code = nnrt_trainer_device(trainer);
    steps.device = trainer->device;
    int64_t most = nnrt_feed_steps(&feed), count;
    for (int64_t at = 0; at < samples->count && code == NNRT_OK; at += count) {
        count = samples->count - at;
        if (most < INT64_MAX && count > most * steps.batch_size)
            count = most * steps.batch_size;
        context.before = at / steps.batch_size;
        code = nnrt_feed_next(&feed, rows + at, count, &steps);
        if (code == NNRT_OK)
            code = measure_call(&context, &steps, &count);
    }
    nnrt_feed_end(&feed);
    if (nnrt_interrupted())
        return nnrt_error(NNRT_ERROR_INTERRUPTED, "interrupted");
    return code;
}

static void evaluate_print_values(const nnrt_trainer *trainer, const double *totals) {
    for (int i = 0; i < trainer->program->metric_count; i++)
        fprintf(trainer->out, "%s: %.9g\n", trainer->program->metrics[i].name,
                nnrt_metric_value(&trainer->program->metrics[i], totals + 2 * i));
}

static int evaluate_dataset(nnrt_trainer *trainer, const nnrt_dataset *data) {
    const nnrt_program *program = trainer->program;
    size_t metrics = (size_t)program->metric_count + 1;
    nnrt_logs logs = {.items = calloc(metrics, sizeof *logs.items), .capacity = (int)metrics};
    double *totals = calloc(2 * metrics, sizeof *totals);
    int32_t *rows = nnrt_identity_rows(data->rows);
    int code = logs.items && totals && rows ? NNRT_OK : nnrt_error(NNRT_ERROR_MEMORY, "no memory to evaluate");
    if (code == NNRT_OK) {
        nnrt_samples samples = nnrt_dataset_samples(data, program, 0, data->rows);
        int64_t steps = (data->rows + trainer->options.batch_size - 1) / trainer->options.batch_size;
        nnrt_progress progress;
        nnrt_progress_begin(&progress, trainer->out, &trainer->terminal, trainer->verbose, steps, 0);
        code = nnrt_measure(trainer, &samples, rows, &progress, &logs, totals);
        logs.count = 0;
        nnrt_trainer_logs(trainer, totals, false, &logs);
        if (code == NNRT_OK)
            nnrt_progress_finish(&progress, steps, logs.items, logs.count);
        if (code == NNRT_OK && trainer->verbose == 0)
            evaluate_print_values(trainer, totals);
        nnrt_progress_break_line(&progress);
    }
    free(logs.items);
    free(totals);
    free(rows);
    return code;
}

int nnrt_run_evaluate(nnrt_trainer *trainer) {
    const nnrt_program *program = trainer->program;
    const nnrt_options *options = &trainer->options;
    nnrt_data_source source = nnrt_source_like(&program->test, &program->train, options->test, options->test_target);
    nnrt_dataset data = {.rows = 0};
    if (!program->evaluate_steps)
        return nnrt_error(NNRT_ERROR_UNSUPPORTED, "this program was compiled without a loss; only predict works");
    if (!source.file || source.kind == NNRT_DATA_NONE)
        return nnrt_error(NNRT_ERROR_ARGUMENT, "there is no test data: name a file with --test=FILE, or declare "
                                               "test = ... in data { }");
    int code = nnrt_trainer_load(trainer);
    if (code == NNRT_OK)
        code = nnrt_trainer_check_characters(trainer);
    if (code == NNRT_OK)
        code = nnrt_dataset_read(&data, program, &source, nnrt_vocabulary_known(&trainer->vocabulary));
    if (code == NNRT_OK)
        code = nnrt_trainer_device(trainer);
    if (code == NNRT_OK)
        code = nnrt_dataset_prepare(&data, program, trainer->model);
    if (code == NNRT_OK)
        code = evaluate_dataset(trainer, &data);
    nnrt_dataset_free(&data);
    return code;
}
