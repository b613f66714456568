/* Callbacks against sequences worked out by hand from the rules of Keras. */
#include "fake_program.h"
#include "test.h"

/* What the callbacks did: one line for each thing said, warned, saved. */
static char journal[4096];
static FakeModel model;

static void note(void *context, const char *text) {
    (void)context;
    strncat(journal, text, sizeof journal - strlen(journal) - 2);
    strcat(journal, "\n");
}

static int note_save(void *context, const char *path) {
    char line[400];
    snprintf(line, sizeof line, "SAVE %s", path);
    note(context, line);
    return NNRT_OK;
}

static nnrt_program program;
static nnrt_callbacks callbacks;

static void begin_with(const nnrt_callback *list, int count, bool validation) {
    nnrt_callback_host host = {&program, &model, NULL, note_save, note, note};
    journal[0] = 0;
    program = fake_program();
    program.fit.callbacks = list;
    program.fit.callback_count = count;
    nnrt_model_init(&program, &model, 1);
    CHECK(nnrt_callbacks_create(&callbacks, &host) == NNRT_OK);
    CHECK(nnrt_callbacks_begin(&callbacks, validation, false) == NNRT_OK);
}

/* Runs epochs with these values of val_loss; returns the number of epochs until a callback stops the run. */
static int run_epochs(const double *values, int count) {
    for (int epoch = 0; epoch < count; epoch++) {
        nnrt_log items[8] = {{"error", 0.5}, {"loss", 0.25}, {"val_error", 0.75}, {"val_loss", values[epoch]}};
        nnrt_logs logs = {items, 4, 8};
        model.kernel[0] = (float)epoch;
        CHECK(nnrt_callbacks_epoch_end(&callbacks, epoch, &logs) == NNRT_OK);
        if (callbacks.stop)
            return epoch + 1;
    }
    return count;
}

static void end(void) {
    CHECK(nnrt_callbacks_end(&callbacks) == NNRT_OK);
    nnrt_callbacks_free(&callbacks);
}

static void test_early_stopping(void) {
    static const double values[] = {5, 4, 4.5, 3.95, 3.9, 4, 4, 4, 4};
    nnrt_callback callback = fake_callback(NNRT_EARLY_STOPPING);
    callback.patience = 3;
    callback.min_delta = 0.1;
    callback.verbose = 1;
    callback.restore_best_weights = true;
    begin_with(&callback, 1, true);
    /* best 5, 4; 4.5 waits 1; 3.95 is not 0.1 better: waits 2; 3.9 is not strictly below 4 - 0.1: waits 3, stops. */
    CHECK(run_epochs(values, 9) == 5);
    CHECK(callbacks.states[0].best_epoch == 1);
    end();
    CHECK_NEAR(model.kernel[0], 1, 0);
    CHECK_TEXT(journal, "Epoch 5: early stopping\nRestoring model weights from the end of the best epoch: 2.\n");
}

static void test_early_stopping_rules(void) {
    static const double rising[] = {1, 2, 3, 4, 5, 6, 7, 8}, falling[] = {8, 7, 6, 5, 4, 3, 2, 1};
    nnrt_callback callback = fake_callback(NNRT_EARLY_STOPPING);
    /* patience 0: the first epoch without improvement stops, but never the very first epoch. */
    begin_with(&callback, 1, true);
    CHECK(run_epochs(rising, 8) == 2);
    end();
    callback.mode = 1; /* higher is better */
    begin_with(&callback, 1, true);
    CHECK(run_epochs(rising, 8) == 8);
    end();
    callback.mode = 0;
    callback.start_from_epoch = 3; /* epoch 4 is the first to be seen, and sets the best */
    callback.patience = 2;
    begin_with(&callback, 1, true);
    CHECK(run_epochs(rising, 8) == 6);
    end();
    callback.start_from_epoch = 0;
    callback.baseline = 4.5; /* improving, but waiting until the baseline is beaten: 8, 7 and 6 wait, 3 is late */
    callback.patience = 3;
    begin_with(&callback, 1, true);
    CHECK(run_epochs(falling, 8) == 8); /* an epoch that improves on the best never stops */
    CHECK(callbacks.states[0].wait == 0);
    end();
    /* Without a stop the best weights come back too. */
    callback = fake_callback(NNRT_EARLY_STOPPING);
    callback.patience = 50;
    callback.restore_best_weights = true;
    begin_with(&callback, 1, true);
    CHECK(run_epochs(rising, 8) == 8);
    end();
    CHECK_NEAR(model.kernel[0], 0, 0);
}

static void test_missing_monitor(void) {
    static const double values[] = {1, 2, 3};
    nnrt_callback callback = fake_callback(NNRT_EARLY_STOPPING);
    begin_with(&callback, 1, false);
    for (int epoch = 0; epoch < 3; epoch++) {
        nnrt_log items[8] = {{"error", values[epoch]}, {"loss", values[epoch]}};
        nnrt_logs logs = {items, 2, 8};
        CHECK(nnrt_callbacks_epoch_end(&callbacks, epoch, &logs) == NNRT_OK);
    }
    CHECK(!callbacks.stop);
    end();
    CHECK_TEXT(journal, "EarlyStopping: val_loss is not available, so it cannot stop training; available are error, "
                        "loss\n");
    /* A name that no epoch will have, without a mode, is an error before training. */
    nnrt_callback_host host = {&program, &model, NULL, note_save, note, note};
    callback.monitor = "val_acc";
    CHECK(nnrt_callbacks_create(&callbacks, &host) == NNRT_OK);
    CHECK(nnrt_callbacks_begin(&callbacks, true, false) == NNRT_ERROR_ARGUMENT);
    CHECK_TEXT(nnrt_error_text(), "EarlyStopping: cannot tell whether monitor=val_acc is better high or low; write "
                                  "mode=min or mode=max, or one of loss, error, val_loss, val_error");
    nnrt_callbacks_free(&callbacks);
}

static void test_reduce_on_plateau(void) {
    /* Epoch:                        1  2  3  4  5  6  7  8  9  10 */
    static const double values[] = {5, 5, 5, 4, 4, 4, 4, 4, 4, 4};
    nnrt_callback list[2] = {fake_callback(NNRT_REDUCE_LR_ON_PLATEAU), fake_callback(NNRT_CSV_LOGGER)};
    nnrt_callback *callback = &list[0];
    callback->factor = 0.5;
    callback->patience = 2;
    callback->cooldown = 1;
    callback->min_delta = 1e-4;
    callback->min_lr = 0.15;
    callback->verbose = 1;
    char path[] = "/tmp/nnrt_plateau_XXXXXX";
    int descriptor = mkstemp(path);
    list[1].file = path;
    begin_with(list, 2, true);
    model.learning_rate = 0.8f;
    CHECK(run_epochs(values, 10) == 10);
    end();
    /* 2, 3 wait: halved, cooldown 1. 4 improves. 5, 6 wait: halved. 7 ends the cooldown and waits 1; 8 waits 2: 0.15
     * is the least. 9, 10: at the least already, nothing to say. */
    CHECK_TEXT(journal, "Epoch 3: ReduceLROnPlateau reducing learning rate to 0.4000000059604645.\n"
                        "Epoch 6: ReduceLROnPlateau reducing learning rate to 0.20000000298023224.\n"
                        "Epoch 8: ReduceLROnPlateau reducing learning rate to 0.15.\n");
    CHECK_NEAR(model.learning_rate, 0.15, 1e-7);
    char log[2000];
    FILE *file = fdopen(descriptor, "r");
    log[fread(log, 1, sizeof log - 1, file)] = 0;
    fclose(file);
    unlink(path);
    /* The rate of an epoch is the one it was trained with. */
    CHECK(strstr(log, "epoch,error,learning_rate,loss,val_error,val_loss\n0,0.5,0.800000011920929,0.25,0.75,5\n") ==
          log);
    CHECK(strstr(log, "\n2,0.5,0.800000011920929,0.25,0.75,5\n3,0.5,0.4000000059604645,") != NULL);
}

static void test_checkpoint(void) {
    static const double values[] = {5, 6, 4.123};
    nnrt_callback callback = fake_callback(NNRT_MODEL_CHECKPOINT);
    callback.file = "w-{epoch:02d}-{val_loss:.2f}.safetensors";
    begin_with(&callback, 1, true);
    run_epochs(values, 3);
    end();
    CHECK_TEXT(journal, "SAVE w-01-5.00.safetensors\nSAVE w-02-6.00.safetensors\nSAVE w-03-4.12.safetensors\n");
    callback.file = "best.safetensors";
    callback.save_best_only = true;
    callback.verbose = 1;
    begin_with(&callback, 1, true);
    run_epochs(values, 3);
    end();
    CHECK_TEXT(journal, "Epoch 1: val_loss improved from None to 5.00000, saving model to best.safetensors\n"
                        "SAVE best.safetensors\n"
                        "Epoch 1: finished saving model to best.safetensors\n"
                        "Epoch 2: val_loss did not improve from 5.00000\n"
                        "Epoch 3: val_loss improved from 5.00000 to 4.12300, saving model to best.safetensors\n"
                        "SAVE best.safetensors\n"
                        "Epoch 3: finished saving model to best.safetensors\n");
    callback.initial_value_threshold = 4.5;
    callback.verbose = 0;
    begin_with(&callback, 1, true);
    run_epochs(values, 3);
    end();
    CHECK_TEXT(journal, "SAVE best.safetensors\n");
    /* A name that no epoch will have is found before the first step. */
    callback.file = "{accuracy}.safetensors";
    nnrt_callback_host host = {&program, &model, NULL, note_save, note, note};
    CHECK(nnrt_callbacks_create(&callbacks, &host) == NNRT_OK);
    CHECK(nnrt_callbacks_begin(&callbacks, true, false) == NNRT_ERROR_ARGUMENT);
    CHECK(strstr(nnrt_error_text(),
                 "{accuracy} is not available; available are epoch, loss, error, val_loss, val_error"));
    nnrt_callbacks_free(&callbacks);
}

static void test_checkpoint_by_batches(void) {
    nnrt_callback callback = fake_callback(NNRT_MODEL_CHECKPOINT);
    nnrt_log items[2] = {{"error", 1}, {"loss", 2}};
    nnrt_logs logs = {items, 2, 2};
    callback.file = "{epoch}-{batch:02d}";
    callback.save_freq = 4;
    begin_with(&callback, 1, true);
    /* Epochs of 6 batches: saves after batches 4, 8 (2 of epoch 2), 12 (6 of epoch 2). */
    for (int epoch = 0; epoch < 2; epoch++)
        for (int64_t batch = 0; batch < 6;) {
            int64_t step = nnrt_callbacks_next_batch(&callbacks);
            step = step < 6 - batch ? step : 6 - batch;
            batch += step;
            CHECK(nnrt_callbacks_batch_end(&callbacks, epoch, batch - 1, step, &logs) == NNRT_OK);
        }
    end();
    CHECK_TEXT(journal, "SAVE 1-04\nSAVE 2-02\nSAVE 2-06\n");
}

static void test_csv_logger(void) {
    nnrt_callback callback = fake_callback(NNRT_CSV_LOGGER);
    char path[] = "/tmp/nnrt_logger_XXXXXX", log[1000];
    int descriptor = mkstemp(path);
    callback.file = path;
    callback.separator = ";";
    begin_with(&callback, 1, true);
    for (int epoch = 0; epoch < 2; epoch++) {
        nnrt_log items[4] = {{"loss", 0.5 + epoch}, {"error", 0.1}, {"val_loss", 3}};
        nnrt_logs logs = {items, epoch == 0 ? 2 : 3, 4};
        CHECK(nnrt_callbacks_epoch_end(&callbacks, epoch, &logs) == NNRT_OK);
    }
    end();
    callback.append = true;
    begin_with(&callback, 1, true);
    nnrt_log items[2] = {{"error", NAN}, {"loss", 1e-7}};
    nnrt_logs logs = {items, 2, 2};
    CHECK(nnrt_callbacks_epoch_end(&callbacks, 0, &logs) == NNRT_OK);
    end();
    FILE *file = fdopen(descriptor, "r");
    log[fread(log, 1, sizeof log - 1, file)] = 0;
    fclose(file);
    unlink(path);
    CHECK_TEXT(log, "epoch;error;loss;val_error;val_loss\n0;0.1;0.5;NA;NA\n1;0.1;1.5;NA;3\n0;nan;1e-07;NA;NA\n");
}

/* Killed after epoch 4, but saved after epoch 2: the run goes on from there, and so does its log. */
static void test_csv_logger_goes_on(void) {
    static const double values[] = {5, 4, 3, 2};
    nnrt_callback callback = fake_callback(NNRT_CSV_LOGGER);
    nnrt_callback_host host = {&program, &model, NULL, note_save, note, note};
    char path[] = "/tmp/nnrt_logger_XXXXXX", whole[1000], log[1000], saved[400];
    int descriptor = mkstemp(path);
    callback.file = path;
    begin_with(&callback, 1, true);
    run_epochs(values, 2);
    nnrt_callback_state_text(&callbacks.states[0], saved, sizeof saved);
    run_epochs(values, 2);
    end();
    whole[pread(descriptor, whole, sizeof whole - 1, 0)] = 0;
    CHECK(nnrt_callbacks_create(&callbacks, &host) == NNRT_OK);
    CHECK(nnrt_callback_state_parse(&callbacks.states[0], saved, "file") == NNRT_OK);
    CHECK(nnrt_callbacks_begin(&callbacks, true, true) == NNRT_OK);
    run_epochs(values, 2);
    end();
    log[pread(descriptor, log, sizeof log - 1, 0)] = 0;
    close(descriptor);
    unlink(path);
    CHECK_TEXT(log, whole);
}

/* State as text comes back whole. */
static void test_state(void) {
    nnrt_callback callback = fake_callback(NNRT_EARLY_STOPPING);
    char text[400], again[400];
    nnrt_callback_state state = {.callback = &callback,
                                 .has_best = true,
                                 .best = 0.1 + 0.2,
                                 .wait = 3,
                                 .cooldown = 2,
                                 .best_epoch = 5,
                                 .stopped_epoch = 1,
                                 .batches = 12345678901,
                                 .log_bytes = 98765432109,
                                 .keys = "a,val_a"};
    nnrt_callback_state read = {.callback = &callback};
    nnrt_callback_state_text(&state, text, sizeof text);
    CHECK(nnrt_callback_state_parse(&read, text, "file") == NNRT_OK);
    nnrt_callback_state_text(&read, again, sizeof again);
    CHECK_TEXT(again, text);
    CHECK(read.best - (0.1 + 0.2) == 0);
    free(read.keys);
    CHECK(nnrt_callback_state_parse(&read, "wait=x", "file") == NNRT_ERROR_FORMAT);
}

int main(void) {
    test_early_stopping();
    test_early_stopping_rules();
    test_missing_monitor();
    test_reduce_on_plateau();
    test_checkpoint();
    test_checkpoint_by_batches();
    test_csv_logger();
    test_csv_logger_goes_on();
    test_state();
    return test_report();
}
