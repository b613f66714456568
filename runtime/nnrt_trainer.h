/* One call of a trainer: options, model memory, terminal; and the commands. nnrt_main makes one and runs it. */
#ifndef NNRT_TRAINER_H
#define NNRT_TRAINER_H
#include "nnrt_callbacks.h"
#include "nnrt_dataset.h"
#include "nnrt_options.h"
#include "nnrt_progress.h"
#include "nnrt_team.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    const nnrt_program *program;
    nnrt_options options;
    void *model;
    void *device; /* of programs that run on one, from nnrt_trainer_device on; NULL: none */
    FILE *out, *err;
    nnrt_terminal terminal;
    nnrt_team training, measuring; /* threads of training steps, and of others */
    int verbose;
    nnrt_vocabulary vocabulary; /* of the columns, from the weights file or the training data */
    bool fitted;                /* preprocessing variables have their values */
    /* Names and order of metrics in displays: sorted, those of validation with val_. */
    int *sorted;
    char (*validation_names)[128];
} nnrt_trainer;

/* nnrt_main with its surroundings given: where to write, and the terminal behind `out`. */
int nnrt_main_with(const nnrt_program *program, int argc, char **argv, FILE *out, FILE *err,
                   const nnrt_terminal *terminal);

/* The commands. They return an error code with nnrt_error_text. */
int nnrt_run_init(nnrt_trainer *trainer);
int nnrt_run_fit(nnrt_trainer *trainer);
int nnrt_run_evaluate(nnrt_trainer *trainer);
int nnrt_run_predict(nnrt_trainer *trainer);
int nnrt_run_generate(nnrt_trainer *trainer);
int nnrt_run_summary(nnrt_trainer *trainer);

void nnrt_trainer_warn(const nnrt_trainer *trainer, const char *text);
/* Reads the weights of evaluate and predict, with the vocabulary. */
int nnrt_trainer_load(nnrt_trainer *trainer);
/* For a program whose data are text: an error if the weights that were read have no characters. */
int nnrt_trainer_check_characters(const nnrt_trainer *trainer);
/* Opens the device that steps run on, where the program wants one and it is not open. */
int nnrt_trainer_device(nnrt_trainer *trainer);
/* What a sum stands for: mean or root of the mean. */
double nnrt_metric_value(const nnrt_metric *metric, const double totals[2]);
/* Appends the metrics of `totals` in sorted order. */
void nnrt_trainer_logs(const nnrt_trainer *trainer, const double *totals, bool validation, nnrt_logs *logs);

/* Measures samples into totals. `progress` may be NULL. NNRT_ERROR_INTERRUPTED after a signal. */
int nnrt_measure(nnrt_trainer *trainer, const nnrt_samples *samples, const int32_t *rows, nnrt_progress *progress,
                 nnrt_logs *logs, double *totals);

/* 0, 1, 2, ...: the order of samples without shuffling. malloc'ed. */
int32_t *nnrt_identity_rows(int64_t count);

/* SIGINT, SIGTERM and SIGHUP only set a flag from begin to end; the second one has its default action. */
void nnrt_interrupt_begin(void);
void nnrt_interrupt_end(void);
bool nnrt_interrupted(void);

#ifdef __cplusplus
}
#endif
#endif
