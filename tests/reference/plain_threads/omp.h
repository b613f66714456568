/* Stands in for OpenMP where ThreadSanitizer watches, which does not see the synchronisation inside OpenMP's own
 * library and would report every parallel region. The emitted line `work(job, omp_get_thread_num(),
 * omp_get_num_threads());` becomes: start all threads but the first, be the first, wait for the others. Compile with
 * -D_OPENMP=201511. */
#ifndef NNC_TESTS_PLAIN_THREADS_H
#define NNC_TESTS_PLAIN_THREADS_H
#include <pthread.h>
#include <stdlib.h>

struct Job;
typedef struct PlainThread {
    pthread_t thread;
    void (*work)(struct Job *job, int thread, int threads);
    struct Job *job;
    int index, threads;
} PlainThread;

static PlainThread plain_threads[16];

static inline void *plain_threads_work(void *argument) {
    PlainThread *t = argument;
    t->work(t->job, t->index, t->threads);
    return NULL;
}

static inline int plain_threads_start(void (*work)(struct Job *, int, int), struct Job *job, int threads) {
    for (int i = 1; i < threads && i < 16; i++) {
        plain_threads[i] = (PlainThread){.work = work, .job = job, .index = i, .threads = threads};
        if (pthread_create(&plain_threads[i].thread, NULL, plain_threads_work, &plain_threads[i]))
            abort();
    }
    return 0;
}

static inline void plain_threads_join(int threads) {
    for (int i = 1; i < threads && i < 16; i++)
        pthread_join(plain_threads[i].thread, NULL);
}

#define omp_get_thread_num() plain_threads_start(work, job, threads)
#define omp_get_num_threads() threads), plain_threads_join(threads
#endif
