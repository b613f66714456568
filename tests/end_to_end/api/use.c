/* Uses the library of one model as another program would. MODEL and HEADER name it: 4 numbers in, 3 classes out.
 * Usage: use fit DATA WEIGHTS | compare FILE FILE | counts DATA | threads DATA | errors DATA | steady DATA TIMES */
#define _POSIX_C_SOURCE 200809L
#include HEADER
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(suffix) JOIN(MODEL, suffix)
typedef MODEL Model;
typedef NAME(_metrics) Metrics;

enum { ROWS = 203, EPOCHS = 3, SEED = 5, INSTANCES = 4 };
static float x[ROWS][4];
static int32_t y[ROWS];
static Model model, other;

static int fail(const char *what) {
    fprintf(stderr, "use: %s: %s\n", what, NAME(_error)());
    return 1;
}

static int read_data(const char *path) {
    FILE *file = fopen(path, "r");
    char line[256];
    int rows = 0;
    if (!file || !fgets(line, sizeof line, file))
        return 1;
    while (rows < ROWS && fgets(line, sizeof line, file)) {
        char *at = line;
        for (int j = 0; j < 4; j++, at++)
            x[rows][j] = strtof(at, &at);
        y[rows++] = (int32_t)strtol(at, NULL, 10);
    }
    fclose(file);
    return rows != ROWS;
}

static int begin(Model *m, uint64_t seed) {
    int code = NAME(_init)(m, seed);
#ifdef FITTED
    code = code ? code : NAME(_adapt)(m, x, ROWS);
#endif
    return code;
}

static int use_fit(char **words) {
    static int32_t order[ROWS];
    Metrics metrics;
    if (begin(&model, SEED) || NAME(_fit)(&model, x, y, ROWS, EPOCHS, order, &metrics))
        return fail("fit");
    printf("loss %g accuracy %g\n", metrics.loss, metrics.accuracy);
    return NAME(_save)(&model, words[1]) ? fail("save") : 0;
}

/* The same weights, and the same predictions to the bit. */
static int use_compare(char **words) {
    static float a[ROWS][3], b[ROWS][3];
    if (NAME(_load)(&model, words[0]) || NAME(_predict)(&model, x, ROWS, a))
        return fail(words[0]);
    if (NAME(_load)(&other, words[1]) || NAME(_predict)(&other, x, ROWS, b))
        return fail(words[1]);
    return memcmp(a, b, sizeof a) ? fail("the predictions differ") : 0;
}

/* Samples one by one, a few, all: the same predictions; a training step with any number of samples. */
static int use_counts(char **words) {
    static float all[ROWS][3], one[ROWS][3];
    Metrics metrics = {0}, parts = {0};
    double total = 0;
    (void)words;
    if (begin(&model, 1) || NAME(_predict)(&model, x, ROWS, all))
        return fail("predict");
    for (int i = 0; i < ROWS; i++)
        if (NAME(_predict)(&model, x + i, 1, one + i))
            return fail("predict one");
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < 3; j++)
            if (!(fabsf(all[i][j] - one[i][j]) <= 1e-5f * (1 + fabsf(all[i][j]))))
                return fail("one by one is not as all at once");
    if (NAME(_evaluate)(&model, x, y, ROWS, &metrics))
        return fail("evaluate");
    for (int i = 0; i < ROWS; i += 7) {
        int n = ROWS - i < 7 ? ROWS - i : 7;
        if (NAME(_evaluate)(&model, x + i, y + i, n, &parts))
            return fail("evaluate some");
        total += parts.loss * n;
    }
    if (!(fabs(total / ROWS - metrics.loss) < 1e-5))
        return fail("the loss in parts is not the loss");
    for (int n = 0; n <= 70; n++)
        if (NAME(_train_batch)(&model, x, y, n, &parts) || !isfinite(parts.loss))
            return fail("train_batch");
    if (NAME(_evaluate)(&model, x, y, ROWS, &parts) || !(parts.loss < 0.8 * metrics.loss))
        return fail("it did not learn");
    return NAME(_predict)(&model, x, 0, all) ? fail("no samples") : 0;
}

static Model instances[INSTANCES], alone[INSTANCES];
static void *train_instance(void *number) {
    Model *m = &instances[*(int *)number];
    int code = begin(m, (uint64_t) * (int *)number);
    for (int i = 0; i < 20 && !code; i++)
        code = NAME(_train_batch)(m, x, y, ROWS, NULL);
    return code ? m : NULL;
}

static int use_threads(char **words) {
    pthread_t threads[INSTANCES];
    static float a[ROWS][3], b[ROWS][3];
    int numbers[INSTANCES];
    (void)words;
    for (int i = 0; i < INSTANCES; i++)
        if (numbers[i] = i, train_instance(&numbers[i]))
            return fail("alone");
    memcpy(alone, instances, sizeof alone);
    memset(instances, 0, sizeof instances);
    for (int i = 0; i < INSTANCES; i++)
        pthread_create(&threads[i], NULL, train_instance, &numbers[i]);
    for (int i = 0; i < INSTANCES; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < INSTANCES; i++)
        if (NAME(_predict)(&instances[i], x, ROWS, a) || NAME(_predict)(&alone[i], x, ROWS, b) ||
            memcmp(a, b, sizeof a))
            return fail("an instance was disturbed");
    return 0;
}

static int use_errors(char **words) {
    (void)words;
    if (begin(&model, 1))
        return fail("init");
    memcpy(&other, &model, sizeof model);
    if (NAME(_load)(&model, "no-such-file.safetensors") != 1 || !strstr(NAME(_error)(), "no-such-file"))
        return fail("a missing file");
    FILE *file = fopen("foreign.safetensors", "w");
    fputs("this is not a weights file", file);
    fclose(file);
    if (NAME(_load)(&model, "foreign.safetensors") != 2)
        return fail("a foreign file");
    if (memcmp(&other, &model, sizeof model))
        return fail("a failed load changed the model");
    if (NAME(_save)(&model, "no/such/folder/x.safetensors") != 1)
        return fail("a folder that is not there");
    if (NAME(_train_batch)(&model, x, y, -1, NULL) != 5 || NAME(_predict)(&model, x, -1, NULL) != 5)
        return fail("a negative number of samples");
    return 0;
}

/* Everything but load and save, again and again. */
static int use_steady(char **words) {
    static int32_t order[ROWS];
    static float out[ROWS][3];
    if (begin(&model, 1))
        return fail("init");
    for (int i = 0; i < atoi(words[0]); i++)
        if (NAME(_train_batch)(&model, x, y, ROWS, NULL) || NAME(_evaluate)(&model, x, y, 100, NULL) ||
            NAME(_fit)(&model, x, y, 77, 2, order, NULL) || NAME(_predict)(&model, x, ROWS, out))
            return fail("steady");
    return 0;
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        int words;
        int (*run)(char **words);
    } verbs[] = {{"fit", 2, use_fit},
                 {"counts", 1, use_counts},
                 {"threads", 1, use_threads},
                 {"errors", 1, use_errors},
                 {"steady", 2, use_steady}};
    if (argc == 4 && strcmp(argv[1], "compare") == 0)
        return read_data("train.csv") ? fail("train.csv") : use_compare(argv + 2);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (argc == verbs[i].words + 2 && strcmp(argv[1], verbs[i].name) == 0) {
            if (read_data(argv[2]))
                return fail(argv[2]);
            /* fit gets DATA WEIGHTS, steady gets TIMES */
            return verbs[i].run(strcmp(argv[1], "steady") == 0 ? argv + 3 : argv + 2);
        }
    fprintf(stderr, "use: wrong usage\n");
    return 2;
}
