/* Threads of one parallel region: a barrier with one flag per thread, and the static share of each thread.
 *
 * A thread raises its own flag and waits for the flags of all others: no shared counter, one cache line per thread.
 * It spins about 200 times, then yields, so that more threads than cores still make progress. A wait costs about
 * 0.2 microseconds on two cores. What any thread wrote before the barrier is seen by all after it.
 *
 *     nnrt_barrier barrier;
 *     nnrt_barrier_init(&barrier, threads);
 *     each thread: nnrt_barrier_wait(&barrier, thread, threads);                                           */
#ifndef NNRT_BARRIER_H
#define NNRT_BARRIER_H
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#define NNRT_MAX_THREADS 256
#define NNRT_BARRIER_SPINS 200

typedef struct {
    _Alignas(128) atomic_uint epoch; /* barriers that this thread has reached */
} nnrt_barrier_flag;

typedef struct {
    nnrt_barrier_flag flags[NNRT_MAX_THREADS];
} nnrt_barrier;

static inline void nnrt_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Before the threads start. 1 <= threads <= NNRT_MAX_THREADS. */
static inline void nnrt_barrier_init(nnrt_barrier *barrier, int threads) {
    for (int i = 0; i < threads; i++)
        atomic_init(&barrier->flags[i].epoch, 0u);
}

static inline void nnrt_barrier_wait(nnrt_barrier *barrier, int thread, int threads) {
    atomic_uint *own = &barrier->flags[thread].epoch;
    unsigned epoch;
    if (threads == 1)
        return;
    epoch = atomic_load_explicit(own, memory_order_relaxed) + 1;
    atomic_store_explicit(own, epoch, memory_order_release);
    for (int i = 0; i < threads; i++) {
        const atomic_uint *other = &barrier->flags[i].epoch;
        int spins = 0;
        /* The difference is signed: another thread may already be at the next barrier, and epochs wrap around. */
        while ((int)(atomic_load_explicit(other, memory_order_acquire) - epoch) < 0) {
            if (++spins > NNRT_BARRIER_SPINS)
                sched_yield();
            else
                nnrt_pause();
        }
    }
}

/* Where the share of thread `thread` of `threads` begins in `total` pieces, and that of the one before ends; shares
 * differ by at most one piece. */
static inline int64_t nnrt_share_start(int64_t total, int thread, int threads) {
    int64_t share = total / threads, rest = total % threads;
    return share * thread + (thread < rest ? thread : rest);
}
#endif
