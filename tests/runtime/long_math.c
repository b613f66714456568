/* nnrt_math.h over all 2^32 floats, in the vectors of the instruction set that this file is compiled for: errors
 * against double libm, NaN, infinities, subnormals, ends of the range, and steps against the direction of the function.
 *
 *   runtime_long_math [FUNCTION..]    all processors; NNC_TEST_THREADS=1: one */
#include "math_truth.h"
#include "nnrt_math.h"
#include "test.h"
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { WIDTH = NNRT_MATH_WIDTH, CHUNK = 1 << 16, CHUNKS = 1 << 16, MAX_THREADS = 64 };
#define LANES NNRT_JOIN(f32x, NNRT_MATH_WIDTH)
#define LOAD NNRT_JOIN(nnrt_load_, LANES)
#define STORE NNRT_JOIN(nnrt_store_, LANES)

typedef struct {
    double worst;
    float worst_at;
    double worst_turn; /* the largest step down between neighbours, of an increasing function, in units */
    float turn_at;
    int64_t wrong_ends, turns;
    float wrong_at;
} Findings;

typedef struct {
    const char *name;
    void (*chunk)(const float *x, float *y, double *truth);
    double bound;
    float low_from, low, high_from, high;
} Function;

#define CHUNK_OF(name, true_name, bound, low_from, low, high_from, high)                                               \
    static void name##_chunk(const float *x, float *y, double *truth) {                                                \
        for (int i = 0; i < CHUNK; i += WIDTH)                                                                         \
            STORE(y + i, NNRT_JOIN(nnrt_##name##_, LANES)(LOAD(x + i)));                                               \
        for (int i = 0; i < CHUNK; i++)                                                                                \
            truth[i] = true_name((double)x[i]);                                                                        \
    }
#define FUNCTION_OF(name, true_name, bound, low_from, low, high_from, high)                                            \
    {#name, name##_chunk, bound, low_from, low, high_from, high},
MATH_FUNCTIONS(CHUNK_OF)
static const Function functions[] = {MATH_FUNCTIONS(FUNCTION_OF)};
enum { FUNCTION_COUNT = sizeof functions / sizeof *functions };

/* ---- one chunk: floats of neighbouring bits, so that their order is that of their bits */

static void check_value(const Function *f, Findings *found, float x, float y, double truth) {
    double error = ulp_error(y, truth);
    if (!(error <= found->worst)) {
        found->worst = error;
        found->worst_at = x;
    }
    if ((x <= f->low_from && y != f->low) || (x >= f->high_from && y != f->high)) {
        found->wrong_ends++;
        found->wrong_at = x;
    }
}

/* y after before, where the true results do not fall (or do not rise, if `sign` is -1). */
static void check_step(Findings *found, float x, float before, float y, double true_before, double truth) {
    float step = truth > true_before ? before - y : truth < true_before ? y - before : fabsf(y - before);
    if (!(step > 0))
        return;
    double units = ulp_error((float)(truth + (double)step), truth);
    found->turns++;
    if (units > found->worst_turn) {
        found->worst_turn = units;
        found->turn_at = x;
    }
}

static void check_chunk(const Function *f, Findings *found, uint32_t chunk, float *x, float *y, double *truth) {
    for (int i = 0; i < CHUNK; i++) {
        uint32_t bits = chunk * (uint32_t)CHUNK + (uint32_t)i;
        memcpy(&x[i], &bits, 4);
    }
    f->chunk(x, y, truth);
    for (int i = 0; i < CHUNK; i++)
        check_value(f, found, x[i], y[i], truth[i]);
    for (int i = 1; i < CHUNK; i++)
        check_step(found, x[i], y[i - 1], y[i], truth[i - 1], truth[i]);
}

/* ---- all chunks, shared by threads */

typedef struct {
    const Function *function;
    int first, step;
    Findings found;
} Share;

static void *check_share(void *argument) {
    Share *share = argument;
    float *x = malloc(CHUNK * sizeof *x), *y = malloc(CHUNK * sizeof *y);
    double *truth = malloc(CHUNK * sizeof *truth);
    if (x && y && truth)
        for (int chunk = share->first; chunk < CHUNKS; chunk += share->step)
            check_chunk(share->function, &share->found, (uint32_t)chunk, x, y, truth);
    else
        share->found.worst = INFINITY;
    free(x);
    free(y);
    free(truth);
    return NULL;
}

static int thread_count(void) {
    const char *asked = getenv("NNC_TEST_THREADS");
    long count = asked ? strtol(asked, NULL, 10) : sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > MAX_THREADS ? MAX_THREADS : (int)count;
}

static void add_findings(Findings *all, const Findings *part) {
    if (!(part->worst <= all->worst)) {
        all->worst = part->worst;
        all->worst_at = part->worst_at;
    }
    if (part->worst_turn > all->worst_turn) {
        all->worst_turn = part->worst_turn;
        all->turn_at = part->turn_at;
    }
    if (part->wrong_ends)
        all->wrong_at = part->wrong_at;
    all->wrong_ends += part->wrong_ends;
    all->turns += part->turns;
}

static void check_function(const Function *f) {
    Share shares[MAX_THREADS];
    pthread_t threads[MAX_THREADS];
    Findings all = {0};
    int count = thread_count();
    for (int i = 0; i < count; i++) {
        shares[i] = (Share){.function = f, .first = i, .step = count};
        if (pthread_create(&threads[i], NULL, check_share, &shares[i]) != 0) {
            printf("cannot start a thread\n");
            exit(1);
        }
    }
    for (int i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        add_findings(&all, &shares[i].found);
    }
    printf("%-8s %.4f ulp at %.9g (promised: %g)", f->name, all.worst, (double)all.worst_at, f->bound);
    printf("; %lld steps back, the largest of %.2f ulp at %.9g\n", (long long)all.turns, all.worst_turn,
           (double)all.turn_at);
    if (all.wrong_ends)
        printf("%-8s does not end at %g and %g: %lld values, such as %.9g\n", f->name, (double)f->low, (double)f->high,
               (long long)all.wrong_ends, (double)all.wrong_at);
    fflush(stdout);
    CHECK(all.worst <= f->bound);
    CHECK(all.worst_turn <= f->bound);
    CHECK(all.wrong_ends == 0);
}

/* ---- the instruction set that this file was compiled for */

static int processor_has_it(void) {
#if defined(__AVX512F__)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
#elif defined(__AVX2__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return 1;
#endif
}

static int is_asked_for(const char *name, int count, char **names) {
    for (int i = 1; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return 1;
    return count < 2;
}

int main(int argc, char **argv) {
    if (!processor_has_it()) {
        printf("skipped: this processor does not have the instructions\n");
        return 0;
    }
    printf("%d lanes, %s\n", WIDTH, NNRT_HAVE_FMA ? "with FMA" : "without FMA");
    for (int i = 0; i < FUNCTION_COUNT; i++)
        if (is_asked_for(functions[i].name, argc, argv))
            check_function(&functions[i]);
    return test_report();
}
