/* The FMA peak of a core (or of several together), in GFLOPS: the yardstick of the bench, measured in the same run.
 * Needs: the compiler's vector extensions, POSIX threads. Usage: peak [threads]. Leaves: one number on standard output.
 * Sixteen independent accumulators of the widest vector type, so that latency hides on every current core. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef __AVX512F__
enum { LANES = 16 };
#elif defined(__AVX__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
typedef float Vector __attribute__((vector_size(LANES * sizeof(float))));

enum { ROUNDS = 200000, ACCUMULATORS = 16, REPEATS = 10, MAXIMUM_THREADS = 64 };

#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) DO(13) DO(14) DO(15)
#define DECLARE(i) Vector a##i = (Vector){0} + (float)(i);
#define MULTIPLY_ADD(i) a##i = a##i * x + y;
#if defined(__x86_64__)
#define KEEP(i) __asm__ volatile("" : "+v"(a##i));
#else
#define KEEP(i) __asm__ volatile("" : "+w"(a##i));
#endif
#define ADD(i) sum += a##i;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *work(void *result) {
    EACH(DECLARE)
    volatile float factor = 0.999f, offset = 0.001f;
    Vector x = (Vector){0} + factor, y = (Vector){0} + offset;
    for (int i = 0; i < ROUNDS; i++) {
        EACH(MULTIPLY_ADD)
        EACH(KEEP)
    }
    Vector sum = {0};
    EACH(ADD)
    *(volatile float *)result = sum[0];
    return NULL;
}

static double run(int threads) {
    pthread_t id[MAXIMUM_THREADS];
    float result[MAXIMUM_THREADS];
    double start = now();
    for (int i = 1; i < threads; i++) {
        if (pthread_create(&id[i], NULL, work, &result[i])) {
            exit(1);
        }
    }
    work(&result[0]);
    for (int i = 1; i < threads; i++) {
        pthread_join(id[i], NULL);
    }
    return 2.0 * ROUNDS * ACCUMULATORS * LANES * threads / (now() - start) * 1e-9;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    double best = 0;
    if (threads < 1 || threads > MAXIMUM_THREADS) {
        return 1;
    }
    for (int i = 0; i < REPEATS; i++) {
        double value = run(threads);
        best = value > best ? value : best;
    }
    printf("%.1f\n", best);
    return 0;
}
