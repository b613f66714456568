/* Times training epochs of a generated library the way bench/peers/common.py times the peers.
 * Needs: HEADER, the generated header ("seed.h"), and MODEL, the model's name (seed), as macros; its object or source
 * beside this file. Usage: nnc_steps FOLDER (x.npy, y.npy, weights.safetensors). Leaves one line: name, best and median
 * microseconds a step, last loss. */
#define _POSIX_C_SOURCE 200809L
#include HEADER
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(suffix) JOIN(MODEL, suffix)
/* The only lines that know the generated API: adapt them here. */
typedef MODEL Model;
typedef NAME(_metrics) Metrics;
#define MODEL_INIT(model) NAME(_init)(model, 1)
#define MODEL_LOAD(model, path) NAME(_load)(model, path)
#define MODEL_TRAIN(model, x, y, n, metrics) NAME(_train_batch)(model, x, y, n, metrics)
#define METRICS_LOSS(metrics) ((double)(metrics).loss) /* mean over the batch */

enum { INPUTS = 100, OUTPUTS = 10, BATCH = 32, EPOCHS = 10, REPEATS = 40 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "nnc_steps: %s\n", what);
    exit(1);
}

/* Little-endian float32 rows of an .npy file (version 1 header), 64-byte aligned; the number of rows in *rows. */
static float *read_npy(const char *folder, const char *name, int columns, int64_t *rows) {
    char path[4096];
    unsigned char head[10];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file || fread(head, 1, 10, file) != 10 || memcmp(head, "\x93NUMPY\x01", 7) != 0) {
        fail(path);
    }
    long start = 10 + head[8] + 256 * head[9];
    fseek(file, 0, SEEK_END);
    size_t bytes = (size_t)(ftell(file) - start);
    float *data = aligned_alloc(64, (bytes + 63) / 64 * 64);
    fseek(file, start, SEEK_SET);
    if (!data || fread(data, 1, bytes, file) != bytes) {
        fail(path);
    }
    fclose(file);
    *rows = (int64_t)(bytes / sizeof(float)) / columns;
    return data;
}

static double train_epoch(Model *model, const float (*x)[INPUTS], const float (*y)[OUTPUTS], int64_t rows) {
    double total = 0;
    for (int64_t i = 0; i < rows; i += BATCH) {
        int64_t n = rows - i < BATCH ? rows - i : BATCH;
        Metrics metrics;
        if (MODEL_TRAIN(model, x + i, y + i, n, &metrics)) {
            fail("training failed");
        }
        total += METRICS_LOSS(metrics) * (double)n;
    }
    return total / (double)rows;
}

static int compare(const void *a, const void *b) {
    double p = *(const double *)a, q = *(const double *)b;
    return (p > q) - (p < q);
}

int main(int argc, char **argv) {
    char path[4096];
    int64_t rows, targets;
    if (argc != 2) {
        fail("usage: nnc_steps FOLDER");
    }
    float *x = read_npy(argv[1], "x.npy", INPUTS, &rows), *y = read_npy(argv[1], "y.npy", OUTPUTS, &targets);
    size_t size = (sizeof(Model) + 63) / 64 * 64;
    Model *model = aligned_alloc(64, size), *start = aligned_alloc(64, size);
    snprintf(path, sizeof path, "%s/weights.safetensors", argv[1]);
    if (rows != targets || !model || !start || MODEL_INIT(model) || MODEL_LOAD(model, path)) {
        fail("cannot start from these data and weights");
    }
    memcpy(start, model, sizeof(Model));
    double times[REPEATS], loss = 0;
    for (int r = -1; r < REPEATS; r++) { /* repeat -1 warms up */
        memcpy(model, start, sizeof(Model));
        double begin = now();
        for (int e = 0; e < EPOCHS; e++) {
            loss = train_epoch(model, (const float(*)[INPUTS])x, (const float(*)[OUTPUTS])y, rows);
        }
        double steps = EPOCHS * (double)((rows + BATCH - 1) / BATCH);
        if (r >= 0) {
            times[r] = (now() - begin) / steps * 1e6;
        }
    }
    qsort(times, REPEATS, sizeof *times, compare);
    printf("nnc %.3f %.3f %.7f\n", times[0], times[REPEATS / 2], loss);
    free(x), free(y), free(model), free(start);
    return 0;
}
