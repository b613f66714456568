/* The verb `generate`, and training on text, with programs written by hand whose output is known: what the model is
 * given, what is drawn from its answer, and what is refused. */
#include "nnrt_characters.h"
#include "nnrt_error.h"
#include "nnrt_trainer.h"
#include "test.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { WINDOW = 4, CLASSES = 6, BATCH = 8, MOST = 64 };

typedef struct {
    float kernel[1];
} FakeModel;

/* How the fake model answers, and what it was asked. */
static struct {
    bool each, probabilities, broken;
    float odds[CLASSES]; /* not all zero: the answer is always this */
    float asked[MOST][WINDOW];
    int calls, trained;
    float trained_x[MOST][WINDOW];
    int32_t trained_y[MOST][WINDOW];
} fake;

static char folder[] = "/tmp/nnc-generate-XXXXXX";
static char *out, *err;

/* Number 1 follows number 0, and so on in a circle of the classes 0 to 4. */
static void answer(float id, float *scores) {
    float sum = 0;
    for (int k = 0; k < CLASSES; k++) {
        scores[k] = k == ((int)id + 1) % 5 ? 9.0f : 0;
        if (fake.odds[0] + fake.odds[1] > 0)
            scores[k] = fake.odds[k];
        sum += scores[k];
    }
    for (int k = 0; k < CLASSES && fake.probabilities; k++)
        scores[k] /= sum;
    if (fake.broken)
        scores[2] = NAN;
}

static int fake_predict(void *model, const float *raw, int64_t samples, float *output, int threads) {
    (void)model, (void)threads;
    for (int64_t i = 0; i < samples; i++, fake.calls++) {
        if (fake.calls < MOST)
            memcpy(fake.asked[fake.calls], raw + i * WINDOW, sizeof fake.asked[0]);
        int first = fake.each ? 0 : WINDOW - 1;
        for (int k = first; k < WINDOW; k++)
            answer(raw[i * WINDOW + k], output + (i * (WINDOW - first) + k - first) * CLASSES);
    }
    return 0;
}

static int fake_steps(void *model, const nnrt_steps *steps) {
    (void)model;
    int64_t values = fake.each ? WINDOW : 1;
    for (int64_t i = 0; i < steps->samples; i++, fake.trained++)
        if (fake.trained < MOST) {
            memcpy(fake.trained_x[fake.trained], steps->x + steps->rows[i] * WINDOW, sizeof fake.trained_x[0]);
            memcpy(fake.trained_y[fake.trained], (const int32_t *)steps->y + steps->rows[i] * values,
                   (size_t)values * 4);
        }
    steps->totals[0] += 1;
    steps->totals[1] += 1;
    return 0;
}

static double fake_clock(void) {
    return 1;
}

static const nnrt_variable variables[] = {{.name = "dense/kernel", .rank = 1, .dims = {1}}};
static const nnrt_metric metrics[] = {{"loss", NNRT_SHOW_MEAN, false}};
static const nnrt_layer layers[] = {{"dense", "Dense", "(None, 6)", 1}};

static nnrt_program program_of(bool each) {
    nnrt_program program = {.name = "poet",
                            .source_file = "poet.nn",
                            .model_bytes = sizeof(FakeModel),
                            .arena_offset = sizeof(FakeModel),
                            .variables = variables,
                            .variable_count = 1,
                            .layers = layers,
                            .layer_count = 1,
                            .raw_input_size = WINDOW,
                            .input_size = WINDOW,
                            .input_stride = WINDOW,
                            .input_rank = 1,
                            .input_dims = {WINDOW},
                            .output_size = each ? WINDOW * CLASSES : CLASSES,
                            .target_dtype = NNRT_I32,
                            .target_size = each ? WINDOW : 1,
                            .class_count = CLASSES,
                            .has_training = true,
                            .maximum_batch = BATCH,
                            .learning_rate_variable = -1,
                            .iteration_variable = -1,
                            .metrics = metrics,
                            .metric_count = 1,
                            .fit = {.epochs = 1, .batch_size = BATCH, .validation_freq = 1},
                            .default_threads = 1,
                            .train_steps = fake_steps,
                            .evaluate_steps = fake_steps,
                            .predict = fake_predict};
    program.train = (nnrt_data_source){.kind = NNRT_DATA_TEXT, .window = WINDOW, .stride = WINDOW, .count = -1};
    program.train.file = "play.txt";
    fake.each = each;
    return program;
}

/* Words are separated by blanks; _ stands for a blank within a word. */
static int run(const nnrt_program *program, const char *command_line) {
    char text[1024], *words[32] = {(char *)"poet"};
    int count = 1;
    nnrt_terminal terminal = {.columns = 80, .utf8 = true, .clock = fake_clock};
    snprintf(text, sizeof text, "%s", command_line);
    for (char *word = strtok(text, " "); word && count < 31; word = strtok(NULL, " "))
        words[count++] = word;
    for (int i = 1; i < count; i++)
        for (char *c = words[i]; (c = strchr(c, '_')) != NULL;)
            *c = ' ';
    free(out);
    free(err);
    size_t out_size, err_size;
    FILE *out_stream = open_memstream(&out, &out_size), *err_stream = open_memstream(&err, &err_size);
    int status = nnrt_main_with(program, count, words, out_stream, err_stream, &terminal);
    fclose(out_stream);
    fclose(err_stream);
    return status;
}

static void write_file(const char *name, const char *text) {
    FILE *file = fopen(name, "w");
    CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static bool asked_is(int call, float a, float b, float c, float d) {
    const float expected[WINDOW] = {a, b, c, d};
    return memcmp(fake.asked[call], expected, sizeof expected) == 0;
}

/* Characters: ' ' 0, 'a' 1, 'b' 2, 'c' 3, 'd' 4. */
static void check_training(void) {
    nnrt_program program = program_of(true);
    write_file("play.txt", "abcd abcd abcd ab");
    CHECK(run(&program, "fit --verbose=0") == 0);
    CHECK_TEXT(err, "");
    CHECK(fake.trained == 4);
    CHECK(memcmp(fake.trained_x[1], (float[]){0, 1, 2, 3}, 16) == 0);
    CHECK(memcmp(fake.trained_y[1], (int32_t[]){1, 2, 3, 4}, 16) == 0);
    program.train.stride = 1;
    program.fit.validation_split = 0.5;
    fake.trained = 0;
    CHECK(run(&program, "fit --verbose=0") == 0);
    CHECK(fake.trained == 13); /* 6 windows to learn from, then 7 that judge */
    CHECK(memcmp(fake.trained_x[6], (float[]){2, 3, 4, 0}, 16) == 0);
    CHECK(memcmp(fake.trained_y[6], (int32_t[]){3, 4, 0, 1}, 16) == 0);
    fake.trained = 0;
    write_file("other.txt", "ddddd");
    CHECK(run(&program, "evaluate --test=other.txt --verbose=0") == 0);
    CHECK(fake.trained == 1 && fake.trained_y[0][0] == 4); /* numbers of the training text */
    write_file("other.txt", "dd\xC3\xA9"
                            "dd");
    CHECK(run(&program, "evaluate --test=other.txt") == 1);
    CHECK_TEXT(err,
               "poet: other.txt:1:3: the character '\xC3\xA9' (U+00E9) is not in the text that the model was trained "
               "on; replace it, or train with it\n");
    write_file("rich.txt", "abcdefghij");
    CHECK(run(&program, "fit --train=rich.txt --weights=rich.safetensors") == 1);
    CHECK_TEXT(err, "poet: rich.txt: the text has 10 different characters, but the model has 6 classes; the last layer "
                    "needs at least 10 units\n");
}

static void check_each_position(void) {
    nnrt_program program = program_of(true);
    for (int probabilities = 0; probabilities < 2; probabilities++) {
        fake.probabilities = probabilities;
        fake.calls = 0;
        CHECK(run(&program, "generate --prompt=bc --length=6 --temperature=0") == 0);
        CHECK_TEXT(out, "bcd abcd\n");
        CHECK(fake.calls == 6);
        CHECK(asked_is(0, 2, 3, 0, 0)); /* the prompt stands at the beginning */
        CHECK(asked_is(2, 2, 3, 4, 0) && asked_is(3, 3, 4, 0, 1) && asked_is(4, 4, 0, 1, 2));
        CHECK(run(&program, "generate --prompt=abcdabc --length=1 --temperature=0") == 0);
        CHECK_TEXT(out, "abcdabcd\n");
        CHECK(asked_is(6, 4, 1, 2, 3)); /* its last characters */
    }
    fake.probabilities = false;
    fake.calls = 0;
    CHECK(run(&program, "generate --length=3 --temperature=0") == 0); /* begins after a blank, which is not shown */
    CHECK_TEXT(out, "abc\n");
    CHECK(asked_is(0, 0, 0, 0, 0));
}

static void check_after_window(void) {
    nnrt_program program = program_of(false);
    fake.calls = 0;
    CHECK(run(&program, "generate --prompt=c --length=3 --temperature=0") == 0);
    CHECK_TEXT(out, "cd a\n");
    CHECK(asked_is(0, 0, 0, 0, 3) && asked_is(1, 0, 0, 3, 4)); /* the prompt stands at the end */
}

static int count_of(const char *text, char c) {
    int count = 0;
    for (; *text; text++)
        count += *text == c;
    return count;
}

static void check_sampling(void) {
    nnrt_program program = program_of(false);
    memcpy(fake.odds, (float[CLASSES]){0.5f, 0.25f, 0.25f, 0, 0, 0}, sizeof fake.odds);
    fake.probabilities = true;
    CHECK(run(&program, "generate --prompt=a --length=4000 --seed=7") == 0);
    char *first = strdup(out + 1);
    CHECK(strlen(first) == 4001);
    CHECK_NEAR(count_of(first, ' ') / 4000.0, 0.5, 0.03);
    CHECK_NEAR(count_of(first, 'a') / 4000.0, 0.25, 0.03);
    CHECK(count_of(first, 'c') == 0 && count_of(first, 'd') == 0);
    CHECK(run(&program, "generate --prompt=a --length=4000 --seed=7") == 0);
    CHECK_TEXT(out + 1, first);
    CHECK(run(&program, "generate --prompt=a --length=4000 --seed=8") == 0);
    CHECK(strcmp(out + 1, first) != 0);
    CHECK(run(&program, "generate --prompt=a --length=4000 --temperature=0.5") == 0); /* squares: 4 : 1 : 1 */
    CHECK_NEAR(count_of(out + 1, ' ') / 4000.0, 2.0 / 3, 0.03);
    CHECK(run(&program, "generate --prompt=a --length=4000 --temperature=0") == 0);
    CHECK(count_of(out + 1, ' ') == 4000);
    fake.probabilities = false; /* the same as logarithms, beside which class 5 stands for no character */
    memcpy(fake.odds, (float[CLASSES]){3, 3 - 0.6931472f, 3 - 0.6931472f, -80, -80, 9}, sizeof fake.odds);
    CHECK(run(&program, "generate --prompt=a --length=4000") == 0);
    CHECK(strlen(out) == 4002);
    CHECK_NEAR(count_of(out + 1, ' ') / 4000.0, 0.5, 0.03);
    CHECK(run(&program, "generate --prompt=a --length=4000 --temperature=0") == 0);
    CHECK(count_of(out + 1, ' ') == 4000);
    memset(fake.odds, 0, sizeof fake.odds);
    free(first);
}

static void refused(const nnrt_program *program, const char *command_line, int status, const char *message) {
    CHECK(run(program, command_line) == status);
    CHECK_TEXT(err, message);
}

static void check_refusals(void) {
    nnrt_program program = program_of(true);
    refused(
        &program, "generate --prompt=ab\xC3\xA9", 1,
        "poet: --prompt: the character '\xC3\xA9' (U+00E9) (number 3) is not in the text that the model was trained "
        "on; leave it out\n");
    refused(&program, "generate --prompt=ab\xC3", 2, "poet: --prompt: the text is not UTF-8\n");
    refused(&program, "generate --prompt=", 2, "poet: --prompt: expected TEXT after '='\n");
    refused(&program, "generate --temperature=-1", 2, "poet: --temperature=-1: expected a number from 0 on\n");
    refused(&program, "generate --temperature=nan", 2, "poet: --temperature=nan: expected a number from 0 on\n");
    refused(&program, "generate --length=0", 2, "poet: --length=0: expected a whole number from 1 to 100000000\n");
    refused(&program, "fit --prompt=a", 2,
            "poet: 'fit' has no option --prompt; 'poet fit --help' lists those it has\n");
    fake.broken = true;
    refused(&program, "generate --prompt=a", 1, "poet: the model's output is not a finite number; train it again\n");
    fake.broken = false;
    CHECK(run(&program, "init --weights=new.safetensors") == 0);
    const char *untrained =
        "poet: new.safetensors: holds no list of characters: these weights were not trained on text; "
        "'poet fit' trains them\n";
    refused(&program, "generate --weights=new.safetensors", 1, untrained);
    refused(&program, "evaluate --test=play.txt --weights=new.safetensors", 1, untrained);
    refused(&program, "predict --input=play.txt --weights=new.safetensors", 1, untrained);
    CHECK(run(&program, "--help") == 0 && strstr(out, "generate [options]") && strstr(out, "--temperature=T"));
    program.train.kind = NNRT_DATA_CSV;
    refused(&program, "generate", 1,
            "poet: generate is for models of text, whose data are text(...); this model's are not\n");
    CHECK(run(&program, "--help") == 0 && !strstr(out, "generate [options]"));
}

/* predict: one line for each window, the last window needs nothing behind it. */
static void check_predict(void) {
    nnrt_program program = program_of(false);
    program.train.stride = 1;
    write_file("five.txt", "abcda");
    CHECK(run(&program, "predict --input=five.txt") == 0);
    CHECK_TEXT(out, "9,0,0,0,0,0\n0,0,9,0,0,0\n");
}

int main(void) {
    CHECK(mkdtemp(folder) && chdir(folder) == 0);
    unsetenv("NNC_PROGRAM");
    check_training();
    check_each_position();
    check_after_window();
    check_sampling();
    check_refusals();
    check_predict();
    static const char *const files[] = {"play.txt", "other.txt",        "rich.txt",
                                        "five.txt", "poet.safetensors", "new.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        CHECK(remove(files[i]) == 0);
    CHECK(chdir("/") == 0 && rmdir(folder) == 0);
    free(out);
    free(err);
    return test_report();
}
