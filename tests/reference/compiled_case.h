/* For tests: one way to call every generated library. test_compiled.c writes a file with a CASE_FUNCTIONS line and a
 * CASE row per model; compiled_main.c runs them. The wrappers are typed by the generated headers. */
#ifndef NNC_TESTS_COMPILED_CASE_H
#define NNC_TESTS_COMPILED_CASE_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const char *name;
    size_t bytes; /* of the model struct */
    int64_t batch, outputs;
    int metrics;
    const char *(*error)(void);
    int (*init)(void *model, uint64_t seed);
    int (*load)(void *model, const char *path);
    int (*save)(const void *model, const char *path);
    void (*set_threads)(void *model, int threads);
    int (*adapt)(void *model, const void *x, int64_t n); /* NULL: no preprocessing to be fitted */
    int (*predict)(void *model, const void *x, int64_t n, void *output);
    int (*train)(void *model, const void *x, const void *y, const float *w, int64_t n, double *metrics);
    int (*evaluate)(void *model, const void *x, const void *y, const float *w, int64_t n, double *metrics);
    int (*fit)(void *model, const void *x, const void *y, const float *w, int64_t n);
} CompiledCase;

extern const CompiledCase compiled_cases[];
extern const int compiled_case_count;

/* Second argument of CASE_FUNCTIONS: is `w` among the parameters? */
#define WITH_WEIGHTS , w
#define NO_WEIGHTS

#define CASE_FUNCTIONS(NAME, W)                                                                                        \
    static int NAME##_case_init(void *model, uint64_t seed) {                                                          \
        return NAME##_init(model, seed);                                                                               \
    }                                                                                                                  \
    static int NAME##_case_load(void *model, const char *path) {                                                       \
        return NAME##_load(model, path);                                                                               \
    }                                                                                                                  \
    static int NAME##_case_save(const void *model, const char *path) {                                                 \
        return NAME##_save(model, path);                                                                               \
    }                                                                                                                  \
    static void NAME##_case_threads(void *model, int threads) {                                                        \
        ((NAME *)model)->threads = threads;                                                                            \
    }                                                                                                                  \
    static int NAME##_case_predict(void *model, const void *x, int64_t n, void *output) {                              \
        return NAME##_predict(model, x, n, output);                                                                    \
    }                                                                                                                  \
    static int NAME##_case_train(void *model, const void *x, const void *y, const float *w, int64_t n,                 \
                                 double *metrics) {                                                                    \
        NAME##_metrics means;                                                                                          \
        (void)w;                                                                                                       \
        int code = NAME##_train_batch(model, x, y W, n, &means);                                                       \
        memcpy(metrics, &means, sizeof means);                                                                         \
        return code;                                                                                                   \
    }                                                                                                                  \
    static int NAME##_case_evaluate(void *model, const void *x, const void *y, const float *w, int64_t n,              \
                                    double *metrics) {                                                                 \
        NAME##_metrics means;                                                                                          \
        (void)w;                                                                                                       \
        int code = NAME##_evaluate(model, x, y W, n, &means);                                                          \
        memcpy(metrics, &means, sizeof means);                                                                         \
        return code;                                                                                                   \
    }                                                                                                                  \
    static int NAME##_case_fit(void *model, const void *x, const void *y, const float *w, int64_t n) {                 \
        (void)w;                                                                                                       \
        return NAME##_fit(model, x, y W, n, 1, NULL, NULL);                                                            \
    }

#define ADAPT_FUNCTION(NAME)                                                                                           \
    static int NAME##_case_adapt(void *model, const void *x, int64_t n) {                                              \
        return NAME##_adapt(model, x, n);                                                                              \
    }

/* ADAPT: NAME##_case_adapt or NULL; OUTPUTS: numbers of one sample's output */
#define CASE(NAME, BATCH, OUTPUTS, ADAPT)                                                                              \
    {                                                                                                                  \
#NAME, sizeof(NAME), BATCH, OUTPUTS, (int)(sizeof(NAME##_metrics) / sizeof(double)), NAME##_error,             \
            NAME##_case_init, NAME##_case_load, NAME##_case_save, NAME##_case_threads, ADAPT, NAME##_case_predict,     \
            NAME##_case_train, NAME##_case_evaluate, NAME##_case_fit                                                   \
    }
#endif
