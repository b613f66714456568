/* The command line: values, defaults, every kind of mistake, and help that fits 80 columns. */
#include "fake_program.h"
#include "runtime/nnrt_processors.h"
#include "test.h"

static nnrt_program program;
static nnrt_options options;

static int parse(const char *line) {
    static char text[1000];
    char *words[32] = {(char *)"fake"};
    int count = 1;
    snprintf(text, sizeof text, "%s", line);
    for (char *word = strtok(text, " "); word && count < 31; word = strtok(NULL, " "))
        words[count++] = word;
    return nnrt_options_parse(&program, count, words, &options);
}

static void test_values(void) {
    CHECK(parse("fit") == NNRT_OK);
    CHECK(options.verb == NNRT_VERB_FIT && options.epochs == 3 && options.batch_size == 8 && options.shuffle);
    CHECK(options.verbose == -1 && options.threads == 0 && options.given == 0);
    CHECK_TEXT(options.weights, "fake.safetensors");
    CHECK(parse("fit --epochs=7 --batch-size 4 --shuffle=false --seed=18446744073709551615 --validation-split=0.25 "
                "--initial-epoch=2 --validation-freq 3 --resume=false --threads=2 --verbose 0 --weights=w "
                "--train a --train-target=b --initial-weights=e") == NNRT_OK);
    CHECK(options.epochs == 7 && options.batch_size == 4 && !options.shuffle && options.seed == UINT64_MAX);
    CHECK_NEAR(options.validation_split, 0.25, 0);
    CHECK(options.initial_epoch == 2 && options.validation_freq == 3 && options.threads == 2 && options.verbose == 0);
    CHECK_TEXT(options.weights, "w");
    CHECK_TEXT(options.train, "a");
    CHECK_TEXT(options.train_target, "b");
    CHECK_TEXT(options.initial_weights, "e");
    CHECK(options.given == (NNRT_GIVEN_EPOCHS | NNRT_GIVEN_BATCH_SIZE | NNRT_GIVEN_SHUFFLE | NNRT_GIVEN_SEED |
                            NNRT_GIVEN_VALIDATION_SPLIT | NNRT_GIVEN_INITIAL_EPOCH));
    CHECK(parse("fit --validation=c --validation-target=d --validation-split=0") == NNRT_OK);
    CHECK_TEXT(options.validation, "c");
    CHECK_TEXT(options.validation_target, "d");
    CHECK(parse("fit --epochs=0") == NNRT_OK && options.epochs == 0);
    CHECK(parse("fit --shuffle --resume") == NNRT_OK && options.shuffle && options.resume);
    CHECK(parse("predict --input - --output=- --show=5") == NNRT_OK && options.show == 5);
    CHECK(parse("evaluate --test=t --test-target=u") == NNRT_OK);
    CHECK(parse("--version") == NNRT_OK && options.version);
    CHECK(parse("help fit") == NNRT_OK && options.help && options.verb == NNRT_VERB_FIT);
}

static void test_mistakes(void) {
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"", "expected a command: init, fit, evaluate, predict or summary; 'fake --help' says more"},
        {"ft", "unknown command 'ft'; did you mean 'fit'?"},
        {"evalute", "unknown command 'evalute'; did you mean 'evaluate'?"},
        {"dance", "unknown command 'dance'; 'fake --help' lists the commands"},
        {"--epochs=3 fit", "expected a command before --epochs=3; 'fake --help' lists them"},
        {"fit --epoch=3", "unknown option --epoch; did you mean --epochs?"},
        {"fit --batchsize=3", "unknown option --batchsize; did you mean --batch-size?"},
        {"fit --frobnicate", "unknown option --frobnicate; 'fake fit --help' lists the options"},
        {"predict --epochs=3", "'predict' has no option --epochs; 'fake predict --help' lists those it has"},
        {"fit --epochs", "--epochs: expected N"},
        {"fit --epochs=-1", "--epochs=-1: expected a whole number from 0 to 2147483647"},
        {"fit --epochs=3x", "--epochs=3x: expected a whole number from 0 to 2147483647"},
        {"fit --batch-size=0", "--batch-size=0: expected a whole number from 1 to 2147483647"},
        {"fit --epochs=99999999999999999999",
         "--epochs=99999999999999999999: expected a whole number from 0 to 2147483647"},
        {"fit --shuffle=maybe", "--shuffle=maybe: expected true or false"},
        {"fit --seed=-1", "--seed=-1: expected a whole number from 0 to 2^64 - 1"},
        {"fit --validation-split=1", "--validation-split=1: expected a number from 0 to less than 1"},
        {"fit --validation-split=nan", "--validation-split=nan: expected a number from 0 to less than 1"},
        {"fit --verbose=3", "--verbose=3: expected a whole number from 0 to 2"},
        {"fit --weights=", "--weights: expected FILE after '='"},
        {"fit now", "unexpected argument 'now' after 'fit'"},
        {"fit -e", "unknown option -e; options begin with --"},
        {"fit --batch-size=64",
         "--batch-size=64 is more than the 8 samples that this program was compiled for; compile it again with "
         "nnc --max-batch=64 fake.nn, or do so in one go: nnc run fake.nn fit --batch-size=64"},
        {"fit --validation=v --validation-split=0.1",
         "--validation names the validation data, --validation-split takes them from the training data; leave out one "
         "of the two"},
        {"fit --resume --initial-weights=w",
         "--resume goes on from --weights; it cannot be combined with --initial-weights"},
        {"fit --resume --initial-epoch=3", "--resume knows the epoch it goes on from; leave out --initial-epoch"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK(parse(cases[i].line) == NNRT_ERROR_ARGUMENT);
        CHECK_TEXT(nnrt_error_text(), cases[i].message);
        CHECK(fake_run(&program, cases[i].line) == 2);
    }
}

static void test_threads(void) {
    int threads;
    bool given;
    program.default_threads = 1;
    unsetenv("NNC_THREADS");
    unsetenv("OMP_NUM_THREADS");
    parse("fit");
    CHECK(nnrt_options_threads(&program, &options, &threads, &given) == NNRT_OK && threads == 1 && !given);
    setenv("OMP_NUM_THREADS", "3,2", 1);
    CHECK(nnrt_options_threads(&program, &options, &threads, &given) == NNRT_OK && threads == 3 && given);
    setenv("NNC_THREADS", "5", 1);
    CHECK(nnrt_options_threads(&program, &options, &threads, &given) == NNRT_OK && threads == 5 && given);
    parse("fit --threads=7");
    CHECK(nnrt_options_threads(&program, &options, &threads, &given) == NNRT_OK && threads == 7 && given);
    parse("fit");
    setenv("NNC_THREADS", "many", 1);
    CHECK(nnrt_options_threads(&program, &options, &threads, &given) == NNRT_ERROR_ARGUMENT);
    CHECK_TEXT(nnrt_error_text(), "NNC_THREADS=many: expected a whole number from 1 to 256");
    unsetenv("NNC_THREADS");
    unsetenv("OMP_NUM_THREADS");
    program.default_threads = 100000;
    CHECK(nnrt_options_threads(&program, &options, &threads, &given) == NNRT_OK);
    CHECK(threads == nnrt_processors() && !given);
    program.default_threads = 1;
}

static void test_help(void) {
    static const char *const calls[] = {"--help",      "init --help",    "fit --help",
                                        "evaluate -h", "predict --help", "summary --help"};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        CHECK(fake_run(&program, calls[i]) == 0);
        size_t lines = 0;
        for (const char *line = fake_out; *line; lines++) {
            size_t length = strcspn(line, "\n");
            CHECK(length <= 80);
            CHECK(length == 0 || line[length - 1] != ' ');
            line += length + (line[length] == '\n');
        }
        CHECK(lines >= 2);
        CHECK_TEXT(fake_err, "");
    }
    CHECK(fake_run(&program, "--help") == 0);
    static const char *const words[] = {"--epochs=N", "--validation-split=SHARE", "--weights=FILE",
                                        "--show=N",   "[fake.safetensors]",       "Exit status: 0 done"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        CHECK(strstr(fake_out, words[i]) != NULL);
    CHECK(fake_run(&program, "--version") == 0);
    CHECK_TEXT(fake_out, "fake (fake.nn), compiled by nnc 0.1.0\n");
}

int main(void) {
    program = fake_program();
    test_values();
    test_mistakes();
    test_threads();
    test_help();
    free(fake_out);
    free(fake_err);
    return test_report();
}
