/* Counts parallel regions: one for all batches of a call, one for an epoch of fit, none with one thread; and the
 * numbers are those of one thread. Linked with --wrap=GOMP_parallel. MODEL and HEADER as in use.c. */
#include HEADER
#include <stdio.h>
#include <string.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define NAME(suffix) JOIN(MODEL, suffix)

enum { ROWS = 203, EPOCHS = 2 };
static MODEL model;
static float x[ROWS][4];
static int32_t y[ROWS];
static int regions;

void __real_GOMP_parallel(void (*work)(void *), void *data, unsigned threads, unsigned flags);
void __wrap_GOMP_parallel(void (*work)(void *), void *data, unsigned threads, unsigned flags);
void __wrap_GOMP_parallel(void (*work)(void *), void *data, unsigned threads, unsigned flags) {
    regions++;
    __real_GOMP_parallel(work, data, threads, flags);
}

static int counted(const char *what, int expected) {
    int found = regions;
    regions = 0;
    if (found != (model.threads > 1 ? expected : 0))
        return fprintf(stderr, "%s: %d regions with %d threads\n", what, found, model.threads), 1;
    return 0;
}

static int use(int threads, float output[ROWS][3], NAME(_metrics) metrics[3]) {
    static int32_t order[ROWS];
    int wrong = NAME(_init)(&model, 4);
#ifdef FITTED
    wrong = wrong || NAME(_adapt)(&model, x, ROWS);
#endif
    model.threads = threads;
    wrong = wrong || NAME(_train_batch)(&model, x, y, ROWS, &metrics[0]) || counted("train_batch", 1);
    wrong = wrong || NAME(_fit)(&model, x, y, ROWS, EPOCHS, NULL, NULL) || counted("fit as they lie", EPOCHS);
    wrong = wrong || NAME(_fit)(&model, x, y, ROWS, EPOCHS, order, &metrics[1]) || counted("fit", EPOCHS);
    wrong = wrong || NAME(_evaluate)(&model, x, y, ROWS, &metrics[2]) || counted("evaluate", 1);
    return wrong || NAME(_predict)(&model, x, ROWS, output) || counted("predict", 1);
}

int main(void) {
    static float alone[ROWS][3], together[ROWS][3];
    NAME(_metrics) metrics[2][3];
    memset(metrics, 0, sizeof metrics);
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < 4; j++)
            x[i][j] = (float)((i * 7919 + j * 104729) % 2003) / 1000 - 1;
        y[i] = (x[i][0] > 0) + (x[i][1] > 0);
    }
    if (use(1, alone, metrics[0]))
        return fprintf(stderr, "regions: %s\n", NAME(_error)()), 1;
    for (int threads = 2; threads <= 3; threads++)
        if (use(threads, together, metrics[1]) || memcmp(alone, together, sizeof alone) != 0 ||
            memcmp(metrics[0], metrics[1], sizeof metrics[0]) != 0)
            return fprintf(stderr, "regions: wrong with %d threads %s\n", threads, NAME(_error)()), 1;
    return 0;
}
