/* For tests on machines without a GPU: as much of CUDA as generated programs use, on the CPU. Device memory is the
 * heap, blocks run one after the other, the threads of a block are coroutines that change places at __syncthreads(). A
 * barrier that not all threads reach ends the program.
 *
 * kernel<<<grid, block, 0, stream>>>(args) must have been rewritten to emulated_launch(grid, block, [=] { kernel(args);
 * }). */
#ifndef EMULATED_CUDA_RUNTIME_H
#define EMULATED_CUDA_RUNTIME_H
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <ucontext.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
using std::max;
using std::min;

/* ---- the device's memory */
typedef int cudaError_t;
typedef void *cudaStream_t;
enum { cudaSuccess, cudaErrorMemoryAllocation, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost };

static inline cudaError_t cudaMalloc(void **memory, size_t bytes) {
    *memory = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (*memory)
        memset(*memory, 0xFF, bytes); /* nobody counts on zeros */
    return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}
static inline cudaError_t cudaFree(void *memory) {
    free(memory);
    return cudaSuccess;
}
static inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, int, cudaStream_t) {
    memcpy(to, from, bytes);
    return cudaSuccess;
}
static inline cudaError_t cudaStreamCreate(cudaStream_t *stream) {
    *stream = malloc(1);
    return cudaSuccess;
}
static inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    free(stream);
    return cudaSuccess;
}
static inline cudaError_t cudaStreamSynchronize(cudaStream_t) {
    return cudaSuccess;
}
static inline cudaError_t cudaGetLastError(void) {
    return cudaSuccess;
}
static inline const char *cudaGetErrorString(cudaError_t) {
    return "no memory";
}

/* ---- threads of a block */
struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
static dim3 threadIdx, blockIdx;

enum { EMULATED_THREADS = 1024, EMULATED_STACK = 1 << 16 };
static ucontext_t emulated_main, emulated_threads[EMULATED_THREADS];
static bool emulated_live[EMULATED_THREADS];
static unsigned emulated_now;
static std::function<void()> emulated_kernel;

static inline void emulated_thread(void) {
    emulated_kernel();
    emulated_live[emulated_now] = false;
}

static inline void __syncthreads(void) {
    unsigned me = emulated_now;
    dim3 place = threadIdx;
    swapcontext(&emulated_threads[me], &emulated_main);
    threadIdx = place;
}

static inline void emulated_start(unsigned thread) {
    static char *stacks = (char *)malloc((size_t)EMULATED_THREADS * EMULATED_STACK);
    getcontext(&emulated_threads[thread]);
    emulated_threads[thread].uc_stack.ss_sp = stacks + (size_t)thread * EMULATED_STACK;
    emulated_threads[thread].uc_stack.ss_size = EMULATED_STACK;
    emulated_threads[thread].uc_link = &emulated_main;
    makecontext(&emulated_threads[thread], emulated_thread, 0);
    emulated_live[thread] = true;
}

/* From barrier to barrier, until all threads have ended; the last thread runs first. */
static inline void emulated_block(dim3 block) {
    unsigned count = block.x * block.y, live = count;
    for (unsigned i = 0; i < count; i++)
        emulated_start(i);
    while (live > 0) {
        unsigned before = live;
        live = 0;
        for (unsigned i = count; i-- > 0;) {
            if (!emulated_live[i])
                continue;
            emulated_now = i;
            threadIdx = dim3(i % block.x, i / block.x);
            swapcontext(&emulated_main, &emulated_threads[i]);
            live += emulated_live[i];
        }
        if (before != count || (live > 0 && live < count)) {
            fprintf(stderr, "a barrier that only %u of %u threads reach\n", live, count);
            abort();
        }
    }
}

static inline void emulated_launch(dim3 grid, dim3 block, std::function<void()> kernel) {
    emulated_kernel = kernel;
    for (unsigned y = 0; y < grid.y; y++)
        for (unsigned x = 0; x < grid.x; x++) {
            blockIdx = dim3(x, y);
            emulated_block(block);
        }
}
#endif
