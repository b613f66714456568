/* Times generated code the way bench/peers/common.py times the peers: training, or with `predict` the forward pass.
 * Needs: macros HEADER ("seed.h"), MODEL (seed), BATCH (SEED_BATCH), OUTPUTS (floats of one sample's output), and the
 * library; with DEVICE, nnc_device.cu. Usage: nnc_steps FOLDER THREADS SECONDS [predict], the folder with x.npy, y.npy,
 * weights.safetensors. SECONDS `-`: a number of seconds on each line of standard input, in turn. Leaves: one line of
 * JSON on standard output, in turns one for each. */
#define _POSIX_C_SOURCE 200809L
#include HEADER
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(suffix) JOIN(MODEL, suffix)

enum { EPOCHS = 4, MOST_EPOCHS = 40, FEWEST_REPEATS = 3, MOST_REPEATS = 100000, HEAD = 10 };
#define REPEAT_SECONDS 0.25

#ifdef DEVICE
int device_fit(MODEL *model, const void *x, const void *y, int64_t samples, int epochs, double *loss);
void device_close(void);
#endif

typedef struct {
    const void *x, *y;
    int64_t samples;
} Data;

static MODEL model;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "nnc_steps: %s: %s\n", what, NAME(_error)());
    exit(1);
}

/* Values of an .npy file of 4-byte numbers (version 1 header), 64-byte aligned; the number of rows in *rows. */
static void *read_npy(const char *folder, const char *name, int64_t *rows) {
    char path[4096], header[65536];
    unsigned char head[HEAD];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file || fread(head, 1, HEAD, file) != HEAD || memcmp(head, "\x93NUMPY\x01", 7) != 0)
        fail(path);
    size_t length = head[8] + 256u * head[9];
    if (fread(header, 1, length, file) != length)
        fail(path);
    header[length] = 0;
    const char *shape = strstr(header, "'shape': (");
    *rows = shape ? strtoll(shape + strlen("'shape': ("), NULL, 10) : 0;
    fseek(file, 0, SEEK_END);
    size_t bytes = (size_t)ftell(file) - HEAD - length;
    void *data = aligned_alloc(64, (bytes + 63) / 64 * 64);
    fseek(file, (long)(HEAD + length), SEEK_SET);
    if (!data || fread(data, 1, bytes, file) != bytes)
        fail(path);
    fclose(file);
    return data;
}

/* Initial weights, fresh optimizer. */
static void restore(const char *folder, int threads) {
    char path[4096];
    snprintf(path, sizeof path, "%s/weights.safetensors", folder);
    if (NAME(_init)(&model, 1) || NAME(_load)(&model, path))
        fail(path);
    model.threads = threads;
}

/* Whole epochs; *loss: the mean of the last one, if it is asked for. */
static void train(const Data *data, int epochs, double *loss) {
#ifdef DEVICE
    int code = device_fit(&model, data->x, data->y, data->samples, epochs, loss);
#else
    NAME(_metrics) metrics;
    int code = NAME(_fit)(&model, data->x, data->y, data->samples, epochs, NULL, &metrics);
    if (loss && code == 0)
        *loss = metrics.loss;
#endif
    if (code)
        fail("fit");
}

static int compare(const void *a, const void *b) {
    double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

/* Most memory this process had at a time, in bytes. */
static long peak_memory(void) {
    char line[256];
    long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        sscanf(line, "VmHWM: %ld", &kilobytes);
    if (file)
        fclose(file);
    return kilobytes * 1024;
}

static void report(double first, double *times, int count, double loss) {
    qsort(times, (size_t)count, sizeof *times, compare);
    printf("{\"program\": \"nnc\", \"first\": %.9f, \"loss\": %.9g, \"memory\": %ld", first, loss, peak_memory());
    if (count)
        printf(", \"best\": %.3f, \"median\": %.3f", times[0], times[count / 2]);
    printf("}\n");
    fflush(stdout);
}

static double *room_for_times(void) {
    double *times = malloc(MOST_REPEATS * sizeof *times);
    if (!times)
        fail("memory");
    return times;
}

static bool enough(int count, double seconds, double end) {
    return seconds <= 0 || count == MOST_REPEATS || (count >= FEWEST_REPEATS && now() >= end);
}

/* The seconds of the next turn; false: there is none. */
static bool next_turn(const char *seconds, int turn, double *wanted) {
    char line[64];
    bool asked = strcmp(seconds, "-") == 0, more = asked ? fgets(line, sizeof line, stdin) != NULL : turn == 0;
    *wanted = atof(asked && more ? line : seconds);
    return more;
}

static void measure_training(const char *folder, int threads, const char *seconds) {
    Data data;
    int64_t targets;
    data.x = read_npy(folder, "x.npy", &data.samples);
    data.y = read_npy(folder, "y.npy", &targets);
    restore(folder, threads);
    train(&data, 1, NULL);
    double first = now(), loss = 0, turn_seconds;
    restore(folder, threads);
    double start = now();
    train(&data, EPOCHS, &loss);
    double wanted = REPEAT_SECONDS * EPOCHS / (now() - start), *times = room_for_times();
    int epochs = wanted < 1 ? 1 : wanted > MOST_EPOCHS ? MOST_EPOCHS : (int)wanted;
    for (int turn = 0; next_turn(seconds, turn, &turn_seconds); turn++) {
        int count = 0;
        double end = now() + turn_seconds;
        while (!enough(count, turn_seconds, end)) {
            restore(folder, threads);
            start = now();
            train(&data, epochs, NULL);
            times[count++] = (now() - start) * 1e6 / (double)((data.samples + BATCH - 1) / BATCH * epochs);
        }
        report(first, times, count, loss);
    }
    free(times), free((void *)data.x), free((void *)data.y);
}

/* Microseconds of a forward pass of BATCH samples; CALLS of them are timed together. */
static void measure_prediction(const char *folder, int threads, const char *wanted) {
    enum { CALLS = 100 };
    int64_t samples;
    double seconds = atof(wanted);
    void *x = read_npy(folder, "x.npy", &samples);
    static _Alignas(64) float output[BATCH * OUTPUTS];
    restore(folder, threads);
    if (NAME(_predict)(&model, x, BATCH, (void *)output))
        fail("predict");
    double *times = room_for_times(), sum = 0, first = now(), end = first + seconds;
    int count = 0;
    for (int i = 0; i < BATCH * OUTPUTS; i++)
        sum += (double)output[i] * (i + 1);
    while (!enough(count, seconds, end)) {
        double start = now();
        for (int i = 0; i < CALLS; i++)
            NAME(_predict)(&model, x, BATCH, (void *)output);
        times[count++] = (now() - start) * 1e6 / CALLS;
    }
    report(first, times, count, sum);
    free(times), free(x);
}

int main(int argc, char **argv) {
    if (argc < 4)
        return 2;
    (argc > 4 ? measure_prediction : measure_training)(argv[1], atoi(argv[2]), argv[3]);
#ifdef DEVICE
    device_close();
#endif
    return 0;
}
