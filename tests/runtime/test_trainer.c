/* The trainer around a hand-written program: semantics of fit, resume to the same bits, errors that lose nothing. */
#include "fake_program.h"
#include "runtime/nnrt_processors.h"
#include "runtime/nnrt_random.h"
#include "runtime/nnrt_safetensors.h"
#include "test.h"

static char folder[64];

/* A command line with every @ replaced by the test's folder. */
static int run(const nnrt_program *program, const char *pattern) {
    char line[4096];
    size_t used = 0;
    for (; *pattern && used + sizeof folder < sizeof line; pattern++) {
        if (*pattern == '@')
            used += (size_t)snprintf(line + used, sizeof line - used, "%s", folder);
        else
            line[used++] = *pattern;
    }
    line[used] = 0;
    return fake_run(program, line);
}

static const char *path_of(const char *name) {
    static char paths[4][128];
    static int next;
    next = (next + 1) % 4;
    snprintf(paths[next], sizeof paths[next], "%s/%s", folder, name);
    return paths[next];
}

static void write_text(const char *name, const char *text) {
    FILE *file = fopen(path_of(name), "w");
    fputs(text, file);
    fclose(file);
}

static char *read_text(const char *name) {
    static char texts[2][65536];
    static int next;
    next = !next;
    FILE *file = fopen(path_of(name), "r");
    size_t size = file ? fread(texts[next], 1, sizeof texts[next] - 1, file) : 0;
    texts[next][size] = 0;
    if (file)
        fclose(file);
    return texts[next];
}

static bool same_files(const char *a, const char *b) {
    nnrt_bytes left = {0}, right = {0};
    bool read = nnrt_file_read(path_of(a), &left) == NNRT_OK && nnrt_file_read(path_of(b), &right) == NNRT_OK;
    bool same = read && left.size == right.size && memcmp(left.data, right.data, left.size) == 0;
    nnrt_bytes_free(&left);
    nnrt_bytes_free(&right);
    return same;
}

/* Rows of y = 2a - b + 0.5c + 1 and a little noise. */
static void write_rows(const char *name, int rows) {
    FILE *file = fopen(path_of(name), "w");
    fprintf(file, "a,b,c,y\n");
    for (int i = 0; i < rows; i++) {
        double a = (i * 7 % 50) / 10.0, b = (i * 13 % 50) / 5.0 - 3, c = (i * 29 % 50) / 25.0;
        fprintf(file, "%g,%g,%g,%g\n", a, b, c, 2 * a - b + 0.5 * c + 1 + 0.1 * sin(i));
    }
    fclose(file);
}

static void write_data(void) {
    write_rows("train.csv", 50);
    write_text("test.csv", "a,b,c,y\n1,2,3,2.5\n4,5,6,7\n0,0,0,1\n");
}

static void reset(void) {
    memset(&fake, 0, sizeof fake);
}

static float tensor_value(const char *file, const char *name, int index) {
    nnrt_safetensors tensors = {0};
    float value = NAN;
    if (nnrt_safetensors_read(path_of(file), &tensors) == NNRT_OK && nnrt_safetensors_find(&tensors, name))
        memcpy(&value, (const char *)nnrt_safetensors_find(&tensors, name)->data + 4 * index, 4);
    nnrt_safetensors_free(&tensors);
    return value;
}

static void test_fit(void) {
    nnrt_program program = fake_program();
    reset();
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/w.safetensors --epochs=30 --seed=7") == 0);
    CHECK(fake.steps == 30 * 7);
    CHECK(fake.padding_errors == 0);
    /* Each epoch takes every row once, in the order of the run's permutation; the last batch is partial. */
    int32_t order[50];
    for (int epoch = 0; epoch < 30; epoch++) {
        nnrt_permutation(7, epoch, order, 50);
        CHECK(memcmp(order, fake.rows + 50 * epoch, sizeof order) == 0);
    }
    /* Least squares of the data, solved elsewhere, are near (2, -1, 0.5) times the deviations of the columns. */
    CHECK_NEAR(tensor_value("w.safetensors", "dense/kernel", 0) /
                   sqrt((double)tensor_value("w.safetensors", "normalization/variance", 0)),
               2, 0.05);
    CHECK_NEAR(tensor_value("w.safetensors", "dense/kernel", 1) /
                   sqrt((double)tensor_value("w.safetensors", "normalization/variance", 1)),
               -1, 0.05);
    CHECK(strstr(fake_out, "Epoch 1/30\n7/7 - 0s - 0s/step - error: ") == fake_out);
    CHECK(strstr(fake_out, "Weights are in ") != NULL);
    /* The values of an epoch are of this epoch alone: the last one has no part of the first. */
    const char *last = strstr(fake_out, "Epoch 30/30\n"), *loss = last ? strstr(last, " - loss: ") : NULL;
    CHECK(loss && atof(loss + 9) > 0 && atof(loss + 9) < 0.05);
    CHECK_TEXT(fake_err, "");
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/w.safetensors --epochs=1 --verbose=0") == 0);
    CHECK_TEXT(fake_out, "");
}

static void test_same_seed_same_bits(void) {
    nnrt_program program = fake_program();
    reset();
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/s1.safetensors --seed=3") == 0);
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/s2.safetensors --seed=3") == 0);
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/s3.safetensors --seed=4") == 0);
    CHECK(same_files("s1.safetensors", "s2.safetensors"));
    CHECK(!same_files("s1.safetensors", "s3.safetensors"));
}

/* The last part of the original order validates; it is not shuffled in, and preprocessing does not see it. */
static void test_validation_split(void) {
    nnrt_program program = fake_program();
    double mean = 0;
    reset();
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/v.safetensors --validation-split=0.25 --epochs=2 "
                        "--validation-freq=2") == 0);
    CHECK(fake.row_count == 2 * 37); /* floor(50 * 0.75) */
    for (int i = 0; i < fake.row_count; i++)
        CHECK(fake.rows[i] >= 0 && fake.rows[i] < 37);
    CHECK(fake.evaluations == 1);
    for (int i = 0; i < 37; i++)
        mean += (i * 7 % 50) / 10.0 / 37;
    CHECK_NEAR(tensor_value("v.safetensors", "normalization/mean", 0), mean, 1e-6);
    CHECK(strstr(fake_out, "val_loss") != NULL);
    /* Validation data of its own overrides a split that the program declares. */
    nnrt_program declared = program;
    declared.fit.validation_split = 0.25;
    reset();
    CHECK(run(&declared, "fit --train=@/train.csv --validation=@/test.csv --weights=@/v.safetensors --epochs=1 "
                         "--shuffle=false") == 0);
    CHECK(fake.row_count == 50 && fake.rows[0] == 0 && fake.rows[49] == 49);
    CHECK(strstr(fake_out, "Epoch 1/1") == NULL);
    /* A split on the command line overrides validation data that the program declares, also when the run goes on. */
    declared.validation = declared.train;
    declared.validation.file = path_of("test.csv");
    reset();
    CHECK(run(&declared, "fit --train=@/train.csv --weights=@/v.safetensors --epochs=1 --validation-split=0.2") == 0);
    CHECK(fake.row_count == 40);
    CHECK(run(&declared, "fit --train=@/train.csv --weights=@/v.safetensors --resume --epochs=2") == 0);
    CHECK(fake.row_count == 80);
    reset();
    CHECK(run(&declared, "fit --train=@/train.csv --weights=@/v.safetensors --epochs=1") == 0);
    CHECK(fake.row_count == 50 && strstr(fake_out, "val_loss") != NULL);
    CHECK(run(&declared, "fit --train=@/train.csv --weights=@/v.safetensors --resume --epochs=2") == 0);
    CHECK(fake.row_count == 100);
    CHECK(run(&program, "fit --train=@/test.csv --weights=@/v.safetensors --validation-split=0.9") == 1);
    CHECK_TEXT(fake_err, "fake: 3 rows are not enough to hold back a part of 0.9 for validation\n");
}

/* Totals that come out of the log line must be those of the steps. */
static void test_epoch_loss(void) {
    nnrt_program program = fake_program();
    reset();
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/e.safetensors --epochs=1 --shuffle=false") == 0);
    FakeModel model;
    double totals[4] = {0};
    float x[50 * FAKE_STRIDE] = {0}, y[50], raw[150];
    for (int i = 0; i < 50; i++) {
        double a = (i * 7 % 50) / 10.0, b = (i * 13 % 50) / 5.0 - 3, c = (i * 29 % 50) / 25.0;
        raw[3 * i] = (float)a;
        raw[3 * i + 1] = (float)b;
        raw[3 * i + 2] = (float)c;
        char text[32];
        snprintf(text, sizeof text, "%g", 2 * a - b + 0.5 * c + 1 + 0.1 * sin(i));
        y[i] = (float)strtod(text, NULL);
    }
    nnrt_model_init(&program, &model, 0);
    for (int k = 0; k < 3; k++) {
        model.mean[k] = tensor_value("e.safetensors", "normalization/mean", k);
        model.variance[k] = tensor_value("e.safetensors", "normalization/variance", k);
    }
    fake_preprocess(&model, raw, 50, x);
    int32_t rows[50];
    for (int i = 0; i < 50; i++)
        rows[i] = i;
    nnrt_steps steps = {
        .x = x, .y = y, .rows = rows, .samples = 50, .batch_size = FAKE_BATCH, .totals = totals, .threads = 1};
    fake_train_steps(&model, &steps);
    char expected[200];
    snprintf(expected, sizeof expected, "7/7 - 0s - 0s/step - error: %.4f - loss: %.4f\n", totals[2] / totals[3],
             totals[0] / totals[1]);
    CHECK(strncmp(fake_out, expected, strlen(expected)) == 0);
    CHECK(model.kernel[0] - tensor_value("e.safetensors", "dense/kernel", 0) == 0);
    CHECK(model.kernel[2] - tensor_value("e.safetensors", "dense/kernel", 2) == 0);
}

/* Interrupt a run after each of its steps and in each validation; resumed, it must end in the same bytes. */
static void check_resume(nnrt_program *program, bool silent, int steps, int evaluations) {
    reset();
    fake.silent_last_step = silent;
    CHECK(run(program, "fit --train=@/train.csv --weights=@/whole.safetensors --seed=11 --epochs=4 "
                       "--validation-split=0.2") == 0);
    rename(path_of("log.csv"), path_of("whole.csv"));
    for (int at = 1; at <= steps + evaluations; at++) {
        unlink(path_of("log.csv"));
        unlink(path_of("part.safetensors"));
        reset();
        fake.silent_last_step = silent;
        if (at <= steps)
            fake.interrupt_at = at;
        else
            fake.interrupt_in_validation = at - steps;
        int status = run(program, "fit --train=@/train.csv --weights=@/part.safetensors --seed=11 --epochs=4 "
                                  "--validation-split=0.2");
        CHECK(status == 130 || (status == 0 && at == steps && silent));
        CHECK(status == 0 || strstr(fake_err, "fake: interrupted in epoch ") == fake_err);
        CHECK(status == 0 || strstr(fake_err, "; go on with: fake fit --resume --weights=") != NULL);
        reset();
        fake.silent_last_step = silent;
        if (status == 130)
            CHECK(run(program, "fit --resume --train=@/train.csv --weights=@/part.safetensors") == 0);
        CHECK(same_files("whole.safetensors", "part.safetensors"));
        CHECK(same_files("whole.csv", "log.csv"));
    }
}

static void test_resume(void) {
    static char log[128], checkpoint[128];
    nnrt_program program = fake_program();
    nnrt_callback callbacks[4] = {fake_callback(NNRT_EARLY_STOPPING), fake_callback(NNRT_REDUCE_LR_ON_PLATEAU),
                                  fake_callback(NNRT_CSV_LOGGER), fake_callback(NNRT_MODEL_CHECKPOINT)};
    snprintf(log, sizeof log, "%s/log.csv", folder);
    snprintf(checkpoint, sizeof checkpoint, "%s/steps/{epoch}-{batch}.safetensors", folder);
    callbacks[0].patience = 10;
    callbacks[0].restore_best_weights = true;
    callbacks[1].patience = 1;
    callbacks[1].min_delta = 20; /* nothing is that much better, so the rate falls */
    callbacks[1].factor = 0.5;
    callbacks[2].file = log;
    callbacks[3].file = checkpoint;
    callbacks[3].save_freq = 3;
    program.fit.callbacks = callbacks;
    program.fit.callback_count = 4;
    /* 40 rows: 5 steps in each of 4 epochs. An interrupt in the last validation leaves nothing but the end. */
    check_resume(&program, false, 20, 4);
    check_resume(&program, true, 20, 4);
    CHECK(tensor_value("whole.safetensors", "sgd/learning_rate", 0) < 0.01f);
    CHECK(!isnan(tensor_value("steps/1-3.safetensors", "dense/kernel", 0)));
    CHECK(!isnan(tensor_value("steps/2-1.safetensors", "dense/kernel", 0)));
}

/* Every way in which a run is told to end saves it; what the process was told to ignore (nohup) does not end it. */
static void test_signals(void) {
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    nnrt_program program = fake_program();
    for (int i = 0; i < 6; i++) {
        void (*before)(int) = i < 3 ? NULL : signal(signals[i % 3], SIG_IGN);
        reset();
        fake.signal = signals[i % 3];
        fake.interrupt_at = 3;
        CHECK(run(&program, "fit --train=@/train.csv --weights=@/signal.safetensors") == (i < 3 ? 130 : 0));
        if (i >= 3)
            signal(signals[i % 3], before);
    }
}

/* More epochs after a finished run are the same as all of them at once. */
static void test_resume_finished(void) {
    nnrt_program program = fake_program();
    reset();
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/a.safetensors --epochs=6") == 0);
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/b.safetensors --epochs=2") == 0);
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/b.safetensors --resume") == 0);
    CHECK(strstr(fake_out, "All 2 epochs of the run in ") == fake_out);
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/b.safetensors --resume --epochs=6") == 0);
    CHECK(strstr(fake_out, "Epoch 3/6\n") == fake_out);
    CHECK(same_files("a.safetensors", "b.safetensors"));
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/b.safetensors --resume --seed=99") == 2);
    CHECK_TEXT(fake_err, "fake: --seed differs from the interrupted run's; leave it out, or leave out --resume\n");
    CHECK(run(&program, "fit --train=@/test.csv --weights=@/b.safetensors --resume --epochs=9") == 1);
    CHECK_TEXT(fake_err, "fake: the interrupted run had 50 rows to train on, now there are 3\n");
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/none.safetensors --resume") == 1);
    CHECK(strstr(fake_err, "; without --resume a new run starts\n") != NULL);
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/b.safetensors --initial-epoch=6 --epochs=6") == 2);
    CHECK_TEXT(fake_err,
               "fake: --initial-epoch=6 leaves nothing to train before --epochs=6; the weights file stays as it "
               "is\n");
    CHECK(same_files("a.safetensors", "b.safetensors"));
    CHECK(run(&program, "init --weights=@/fresh.safetensors") == 0);
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/fresh.safetensors --resume") == 1);
    CHECK(strstr(fake_err, "holds no run to go on with; --initial-weights=") != NULL);
}

/* init writes unfitted preprocessing; fit from it fits. A trained file brings its own. */
static void test_initial_weights(void) {
    nnrt_program program = fake_program();
    reset();
    CHECK(run(&program, "init --seed=5 --weights=@/i.safetensors") == 0);
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/j.safetensors --initial-weights=@/i.safetensors") == 0);
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/k.safetensors --seed=5") == 0);
    CHECK(tensor_value("j.safetensors", "normalization/mean", 0) > 1);
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/j.safetensors --initial-weights=@/i.safetensors "
                        "--shuffle=false") == 0);
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/k.safetensors --seed=5 --shuffle=false") == 0);
    CHECK(tensor_value("j.safetensors", "dense/kernel", 0) - tensor_value("k.safetensors", "dense/kernel", 0) == 0);
    CHECK(run(&program, "fit --train=@/test.csv --weights=@/l.safetensors --initial-weights=@/k.safetensors") == 0);
    CHECK(tensor_value("l.safetensors", "normalization/mean", 0) -
              tensor_value("k.safetensors", "normalization/mean", 0) ==
          0);
}

static void test_weights_of_samples(void) {
    nnrt_program program = fake_program();
    static const double class_weight[] = {3, 5};
    write_text("weighted.csv", "a,b,c,y,importance\n1,2,3,0,0.5\n4,5,7,1,2\n9,8,1,2,1\n");
    program.has_sample_weight = true;
    program.train.weight = "importance";
    reset();
    CHECK(run(&program, "fit --train=@/weighted.csv --weights=@/w.safetensors --epochs=1") == 0);
    CHECK_NEAR(fake.weight_sum, 3.5, 1e-9);
    program.train.weight = NULL;
    program.fit.class_weight = class_weight;
    program.fit.class_count = 2;
    write_text("classes.csv", "a,b,c,y\n1,2,3,0\n4,5,7,1\n9,8,1,2\n2,3,2,1\n");
    reset();
    CHECK(run(&program, "fit --train=@/classes.csv --weights=@/w.safetensors --epochs=1") == 0);
    CHECK_NEAR(fake.weight_sum, 3 + 5 + 1 + 5, 1e-9);
    /* The validation part keeps weight 1: its loss does not know the classes' weights. */
    reset();
    CHECK(run(&program, "fit --train=@/classes.csv --weights=@/w.safetensors --epochs=1 --validation-split=0.5") == 0);
    CHECK_NEAR(fake.weight_sum, 3 + 5, 1e-9);
}

static void test_nan(void) {
    nnrt_program program = fake_program();
    nnrt_callback callbacks[2] = {fake_callback(NNRT_TERMINATE_ON_NAN), fake_callback(NNRT_EARLY_STOPPING)};
    program.fit.callbacks = callbacks;
    program.fit.callback_count = 1;
    reset();
    fake.nan_at = 10;
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/nan.safetensors --epochs=4") == 1);
    CHECK(access(path_of("nan.safetensors"), F_OK) != 0); /* a save would have cost more than the epoch did */
    reset();
    fake.slow_at = 7;
    fake.nan_at = 10;
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/nan.safetensors --epochs=4") == 1);
    CHECK(strstr(fake_out, "Batch 2: Invalid loss, terminating training\n3/7 - ") != NULL);
    CHECK(strstr(fake_err, "the loss is no longer a number") != NULL);
    CHECK(fake.steps == 10);
    CHECK(!isnan(tensor_value("nan.safetensors", "dense/kernel", 0))); /* the weights after epoch 1 */
    /* With best weights to put back, they are saved. */
    callbacks[1].restore_best_weights = true;
    callbacks[1].monitor = "loss";
    callbacks[1].patience = 9;
    program.fit.callback_count = 2;
    reset();
    fake.nan_at = 10;
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/nan2.safetensors --epochs=4") == 0);
    CHECK(!isnan(tensor_value("nan2.safetensors", "dense/kernel", 0)));
}

static void test_failures(void) {
    nnrt_program program = fake_program();
    reset();
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/f.safetensors --epochs=1") == 0);
    char before[65536];
    memcpy(before, read_text("f.safetensors"), sizeof before);
    fake.fail_at = fake.steps + 3;
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/f.safetensors --epochs=1") == 1);
    CHECK_TEXT(fake_err, "fake: the fake step failed\n");
    CHECK(memcmp(before, read_text("f.safetensors"), sizeof before) == 0);
    fake.interrupt_at = fake.steps + 1;
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/nowhere/f.safetensors --epochs=1") == 1);
    CHECK(strstr(fake_err, "the weights cannot be written there: No such file or directory") != NULL);
    CHECK(run(&program, "fit --weights=@/f.safetensors") == 2);
    CHECK(strstr(fake_err, "there is no training data: name a file with --train=FILE") != NULL);
    CHECK(run(&program, "fit --train=@/missing.csv --weights=@/f.safetensors") == 1);
    CHECK(run(&program, "evaluate --test=@/test.csv --weights=@/missing.safetensors") == 1);
    CHECK(strstr(fake_err, "'fake fit' makes the weights, --weights=FILE names others") != NULL);
    setenv("NNC_PROGRAM", "nnc run fake.nn", 1); /* under nnc run */
    CHECK(run(&program, "evaluate --test=@/test.csv --weights=@/missing.safetensors") == 1);
    CHECK(strstr(fake_err, "'nnc run fake.nn fit' makes the weights, --weights=FILE names others") != NULL);
    unsetenv("NNC_PROGRAM");
    write_text("foreign.safetensors", "not a weights file at all");
    CHECK(run(&program, "evaluate --test=@/test.csv --weights=@/foreign.safetensors") == 1);
    program.train_steps = NULL;
    CHECK(run(&program, "fit --train=@/train.csv") == 1);
}

static void test_evaluate_and_predict(void) {
    nnrt_program program = fake_program();
    reset();
    CHECK(run(&program, "fit --train=@/train.csv --weights=@/p.safetensors --epochs=20") == 0);
    CHECK(run(&program, "evaluate --test=@/test.csv --weights=@/p.safetensors --verbose=0") == 0);
    double loss = NAN, error = NAN;
    CHECK(sscanf(fake_out, "loss: %lf\nerror: %lf\n", &loss, &error) == 2);
    CHECK(run(&program, "evaluate --test=@/test.csv --weights=@/p.safetensors") == 0);
    char expected[200];
    snprintf(expected, sizeof expected, "1/1 - 0s - 0s/step - error: %.4f - loss: %.4f\n", error, loss);
    CHECK_TEXT(fake_out, expected);
    /* With the target column and without it; the numbers explain the loss. */
    CHECK(run(&program, "predict --input=@/test.csv --weights=@/p.safetensors") == 0);
    double p[3] = {0};
    CHECK(sscanf(fake_out, "%lf\n%lf\n%lf\n", &p[0], &p[1], &p[2]) == 3);
    CHECK_NEAR((pow(p[0] - 2.5, 2) + pow(p[1] - 7, 2) + pow(p[2] - 1, 2)) / 3, loss, 1e-4);
    char *with_target = strdup(fake_out);
    write_text("inputs.csv", "a,b,c\n1,2,3\n4,5,6\n0,0,0\n");
    CHECK(run(&program, "predict --input=@/inputs.csv --weights=@/p.safetensors --output=@/out.csv") == 0);
    CHECK_TEXT(fake_out, "");
    CHECK_TEXT(read_text("out.csv"), with_target);
    free(with_target);
    CHECK(run(&program, "predict --input=@/test.csv --weights=@/p.safetensors --show=2") == 0);
    char left[80];
    snprintf(left, sizeof left, "predicted %.4g, is 2.5", p[0]);
    snprintf(expected, sizeof expected, "%-27spredicted %.4g, is 7\n\n", left, p[1]);
    CHECK_TEXT(fake_out, expected);
    CHECK(run(&program, "predict --weights=@/p.safetensors") == 2);
    CHECK(strstr(fake_err, "nothing to predict") != NULL);
    CHECK(run(&program, "predict --input=@/test.csv --weights=@/p.safetensors --show=2 --output=-") == 2);
}

/* Columns in another order, and a test file that no source is declared for: the weights file knows the names, the
 * training source the rest. */
/* What `command` does on a machine where a step takes so many seconds with one and with two threads. */
static void run_team(const nnrt_program *program, const char *command, double one, double two) {
    reset();
    fake.step_seconds[1] = one;
    fake.step_seconds[2] = two;
    CHECK(run(program, command) == 0);
}

/* The number of threads changes within epochs and evaluations: each row is taken once, in its order, to the same bits.
 */
static void test_team(void) {
    enum { EPOCHS = 80, STEPS = 7 };
    static int32_t rows[FAKE_MOST_ROWS];
    nnrt_program program = fake_program();
    program.default_threads = 2;
    if (nnrt_processors() < 2) {
        printf("skipped: threads that change need two processors\n");
        return;
    }
    const char *fixed = "fit --train=@/train.csv --weights=@/fixed.safetensors --epochs=80 --threads=2 --verbose=0";
    const char *own = "fit --train=@/train.csv --weights=@/own.safetensors --epochs=80 --verbose=0";
    run_team(&program, fixed, 0.01, 0.03);
    CHECK(fake.steps_with[2] == EPOCHS * STEPS && fake.calls == EPOCHS);
    memcpy(rows, fake.rows, sizeof rows);
    run_team(&program, own, 0.01, 0.03);
    CHECK(fake.steps_with[1] > EPOCHS * STEPS / 2 && fake.steps_with[2] > 0);
    CHECK(fake.steps_with[1] + fake.steps_with[2] == EPOCHS * STEPS);
    CHECK(fake.calls > EPOCHS && fake.row_count == EPOCHS * 50 && memcmp(rows, fake.rows, sizeof rows) == 0);
    CHECK(same_files("fixed.safetensors", "own.safetensors"));
    run_team(&program, own, 0.02, 0.01); /* two threads are better: one is tried, once */
    CHECK(fake.steps_with[1] > 0 && fake.steps_with[1] <= 2 && fake.calls <= EPOCHS + 2);
    CHECK(same_files("fixed.safetensors", "own.safetensors"));

    static char alone[1000];
    write_rows("many.csv", 400);
    const char *evaluate = "evaluate --test=@/many.csv --weights=@/own.safetensors --batch-size=1 --verbose=0";
    run_team(&program, evaluate, 0, 0);
    CHECK(fake.evaluated_with_one == 0);
    snprintf(alone, sizeof alone, "%s", fake_out);
    run_team(&program, evaluate, 0.1, 0.2);
    CHECK(fake.evaluated_with_one > 100 && fake.evaluated_with_one < 400);
    CHECK_TEXT(fake_out, alone);
}

static void test_columns_by_name(void) {
    nnrt_program program = fake_program();
    nnrt_safetensors file = {0};
    program.train.separator = ';';
    write_text("semicolons.csv", "a;b;c;y\n1;2;3;2.5\n4;5;6;7\n0;0;0;1\n9;1;4;2\n");
    write_text("reordered.csv", "y;c;a;b\n2.5;3;1;2\n7;6;4;5\n1;0;0;0\n2;4;9;1\n");
    write_text("renamed.csv", "y;c;a;bb\n2.5;3;1;2\n");
    reset();
    CHECK(run(&program, "fit --train=@/semicolons.csv --validation=@/reordered.csv --weights=@/n.safetensors "
                        "--shuffle=false --epochs=1") == 0);
    CHECK(nnrt_safetensors_read(path_of("n.safetensors"), &file) == NNRT_OK);
    CHECK_TEXT(nnrt_safetensors_metadata(&file, "columns"), "[\"a\",\"b\",\"c\"]");
    nnrt_safetensors_free(&file);
    program.test = (nnrt_data_source){.kind = NNRT_DATA_NONE};
    CHECK(run(&program, "evaluate --test=@/semicolons.csv --weights=@/n.safetensors --verbose=0") == 0);
    char *as_trained = strdup(fake_out);
    CHECK(strncmp(as_trained, "loss: ", 6) == 0);
    CHECK(run(&program, "evaluate --test=@/reordered.csv --weights=@/n.safetensors --verbose=0") == 0);
    CHECK_TEXT(fake_out, as_trained);
    free(as_trained);
    CHECK(run(&program, "predict --input=@/semicolons.csv --weights=@/n.safetensors") == 0);
    as_trained = strdup(fake_out);
    CHECK(run(&program, "predict --input=@/reordered.csv --weights=@/n.safetensors") == 0);
    CHECK_TEXT(fake_out, as_trained);
    free(as_trained);
    CHECK(run(&program, "predict --input=@/renamed.csv --weights=@/n.safetensors") == 1);
    CHECK(strstr(fake_err, "renamed.csv:1: there is no column 'b' for the inputs; the columns are y, c, a, bb\n") !=
          NULL);
}

/* "-" is standard input. */
static void test_predict_from_pipe(void) {
    nnrt_program program = fake_program();
    int saved = dup(0);
    reset();
    CHECK(run(&program, "predict --input=@/inputs.csv --weights=@/p.safetensors") == 0);
    char *from_file = strdup(fake_out);
    CHECK(freopen(path_of("inputs.csv"), "r", stdin) != NULL);
    CHECK(run(&program, "predict --input=- --weights=@/p.safetensors") == 0);
    CHECK_TEXT(fake_out, from_file);
    free(from_file);
    dup2(saved, 0);
    close(saved);
}

/* One-line checks of what a user first sees. */
static void test_summary(void) {
    nnrt_program program = fake_program();
    CHECK(run(&program, "summary") == 0);
    CHECK_TEXT(fake_out, "Model: \"fake\"\n"
                         "┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓\n"
                         "┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃\n"
                         "┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩\n"
                         "│ dense (Dense)                   │ (None, 1)              │             4 │\n"
                         "└─────────────────────────────────┴────────────────────────┴───────────────┘\n"
                         " Total params: 16 (64.00 B)\n"
                         " Trainable params: 4 (16.00 B)\n"
                         " Non-trainable params: 0 (0.00 B)\n"
                         " Preprocessing params: 6 (24.00 B)\n"
                         " Optimizer params: 6 (24.00 B)\n"
                         " Arena bytes: 32 (32.00 B)\n"
                         " Bytes in all: 104 (104.00 B)\n");
}

int main(void) {
    snprintf(folder, sizeof folder, "%s", "/tmp/nnrt_trainer_XXXXXX");
    if (!mkdtemp(folder))
        return 1;
    unsetenv("NNC_PROGRAM");
    write_data();
    test_fit();
    test_same_seed_same_bits();
    test_validation_split();
    test_epoch_loss();
    test_resume();
    test_signals();
    test_resume_finished();
    test_initial_weights();
    test_weights_of_samples();
    test_nan();
    test_failures();
    test_evaluate_and_predict();
    test_team();
    test_columns_by_name();
    test_predict_from_pipe();
    test_summary();
    free(fake_out);
    free(fake_err);
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0)
        printf("could not remove %s\n", folder);
    return test_report();
}
