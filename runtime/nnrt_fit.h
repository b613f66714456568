/* Everything of one fit: made ready by nnrt_fit_setup.c, worked off by nnrt_fit.c. */
#ifndef NNRT_FIT_H
#define NNRT_FIT_H
#include "nnrt_feed.h"
#include "nnrt_random.h"
#include "nnrt_run.h"
#include "nnrt_trainer.h"

typedef struct {
    nnrt_trainer *trainer;
    nnrt_dataset train_data, validation_data;
    nnrt_samples train, validation; /* validation.count == 0: none */
    nnrt_feed feed;                 /* of the training samples */
    nnrt_run run;
    nnrt_callbacks callbacks;
    nnrt_progress progress;
    nnrt_logs logs;
    int32_t *rows, *identity; /* order of training, order of validation */
    double *validation_totals;
    int64_t steps;         /* of an epoch */
    int64_t done;          /* steps of the last call of train_steps */
    int64_t stopped_after; /* steps after which that call was asked to stop; 0: it was not */
    bool stop_on_nan, not_finite, save_warned;
    bool changed; /* a step has been done */
    bool broken;  /* train_steps failed: the model is in the middle of a step */
    double last_save, save_seconds;
} FitRun;

/* The epochs that are left, and the last save. */
int nnrt_fit_loop(FitRun *fit);

#endif
