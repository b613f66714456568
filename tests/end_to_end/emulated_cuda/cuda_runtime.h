/* For tests on machines without a GPU: as much of CUDA as generated programs use, on the CPU. Device memory is the
 * heap, blocks run one after the other, the threads of a block are coroutines that change places at __syncthreads(). A
 * barrier that not all threads reach ends the program.
 *
 * kernel<<<grid, block, 0, stream>>>(args) must have been rewritten to emulated_launch(grid, block, stream, [=] {
 * kernel(args); }). */
#ifndef EMULATED_CUDA_RUNTIME_H
#define EMULATED_CUDA_RUNTIME_H
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>
#include <ucontext.h>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
using std::max;
using std::min;

/* ---- the device's memory */
typedef int cudaError_t;
typedef struct emulated_graph *cudaGraph_t, *cudaGraphExec_t, *cudaStream_t;
typedef void *cudaEvent_t;
enum {
    cudaSuccess,
    cudaErrorMemoryAllocation,
    cudaErrorNoDevice,
    cudaErrorInsufficientDriver,
    cudaErrorNoKernelImageForDevice,
    cudaErrorUnknown,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaStreamCaptureModeThreadLocal
};

/* EMULATED_MEMORY: bytes that the device has. */
static size_t emulated_used;
static inline size_t emulated_memory(void) {
    const char *bytes = getenv("EMULATED_MEMORY");
    return bytes ? (size_t)atoll(bytes) : (size_t)1 << 30;
}
static inline cudaError_t cudaMemGetInfo(size_t *available, size_t *all) {
    *all = emulated_memory();
    *available = *all - emulated_used;
    return cudaSuccess;
}
/* EMULATED_DEVICES: how many there are. */
static inline cudaError_t cudaGetDeviceCount(int *count) {
    const char *devices = getenv("EMULATED_DEVICES");
    *count = devices ? atoi(devices) : 1;
    return *count < 0 ? cudaErrorInsufficientDriver : cudaSuccess;
}
static inline cudaError_t cudaGetDevice(int *number) {
    *number = 0;
    return cudaSuccess;
}
static inline cudaError_t cudaDriverGetVersion(int *version) {
    *version = 12000;
    return cudaSuccess;
}
static inline cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = 13000;
    return cudaSuccess;
}

static inline cudaError_t cudaMalloc(void **memory, size_t bytes) {
    size_t room = (bytes + 255) / 256 * 256 + 256; /* its size in front */
    char *block = emulated_used + room <= emulated_memory() ? (char *)aligned_alloc(256, room) : NULL;
    if (!block)
        return cudaErrorMemoryAllocation;
    emulated_used += room;
    memcpy(block, &room, sizeof room);
    *memory = block + 256;
    memset(*memory, 0xFF, bytes); /* nobody counts on zeros */
    return cudaSuccess;
}
template <typename T> static inline cudaError_t cudaMalloc(T **memory, size_t bytes) {
    return cudaMalloc((void **)memory, bytes);
}
static inline cudaError_t cudaFree(void *memory) {
    char *block = (char *)memory - 256;
    size_t room = 0;
    if (!memory)
        return cudaSuccess;
    memcpy(&room, block, sizeof room);
    emulated_used -= room;
    memset(memory, 0xFF, room - 256);
    free(block);
    return cudaSuccess;
}
static inline cudaError_t cudaMallocHost(void **memory, size_t bytes) {
    *memory = malloc(bytes);
    return *memory ? cudaSuccess : cudaErrorMemoryAllocation;
}
static inline cudaError_t cudaFreeHost(void *memory) {
    free(memory);
    return cudaSuccess;
}
static inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, int, cudaStream_t) {
    memcpy(to, from, bytes);
    return cudaSuccess;
}
static inline cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t) {
    memset(to, value, bytes);
    return cudaSuccess;
}
/* A stream does at once what it is told, or keeps it for a graph. */
struct emulated_graph {
    bool recording;
    std::vector<std::function<void()>> launches;
};
static inline cudaError_t cudaStreamCreate(cudaStream_t *stream) {
    *stream = new emulated_graph();
    return cudaSuccess;
}
static inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    delete stream;
    return cudaSuccess;
}
static inline cudaError_t cudaStreamBeginCapture(cudaStream_t stream, int) {
    stream->recording = true;
    return cudaSuccess;
}
static inline cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    stream->recording = false;
    *graph = new emulated_graph();
    (*graph)->launches.swap(stream->launches);
    return cudaSuccess;
}
static inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t *run, cudaGraph_t graph, unsigned) {
    *run = new emulated_graph(*graph);
    return cudaSuccess;
}
static inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
static inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
    delete graph;
    return cudaSuccess;
}
static inline cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t) {
    for (auto &launch : graph->launches)
        launch();
    return cudaSuccess;
}
static inline cudaError_t cudaEventCreate(cudaEvent_t *event) {
    *event = malloc(1);
    return cudaSuccess;
}
static inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
    free(event);
    return cudaSuccess;
}
static inline cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) {
    return cudaSuccess;
}
static inline cudaError_t cudaEventSynchronize(cudaEvent_t) {
    return cudaSuccess;
}
static inline cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
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

/* ---- fragments of matrices: the threads of a warp lay their elements down, meet, and take their elements of the sum. Two
 * places in turn, so that nobody lays down what others still read. */
#define NNRT_MMA
static float emulated_operands[2][EMULATED_THREADS][12];
static unsigned emulated_turn[EMULATED_THREADS];

static inline float emulated_round(float x, unsigned half, unsigned even, unsigned mask) {
    unsigned bits;
    if (x != x || x - x != x - x)
        return x;
    memcpy(&bits, &x, 4);
    bits = (bits + half + (even ? bits >> even & 1 : 0)) & mask;
    memcpy(&x, &bits, 4);
    return x;
}

/* width: 1 of tf32, 2 of bf16; which thread has which element says the PTX ISA. */
static inline void emulated_mma(float *sum, const float *own, int width) {
    unsigned me = emulated_now, turn = emulated_turn[me]++ & 1, lane = me % 32, group = lane / 4, place = lane % 4;
    float(*warp)[12] = emulated_operands[turn] + (me - lane);
    for (int i = 0; i < 6 * width; i++)
        emulated_operands[turn][me][i] =
            width == 1 ? emulated_round(own[i], 0x1000, 0, ~0x1fffu) : emulated_round(own[i], 0x7fff, 16, ~0xffffu);
    __syncthreads();
    for (int e = 0; e < 4; e++) {
        int row = group + 8 * (e / 2), column = 2 * place + e % 2;
        for (int k = 0; k < 8 * width; k++) {
            int part = k % (4 * width) / width, h = k % width, high = k / (4 * width);
            float a = warp[row % 8 * 4 + part][width * (row / 8 + 2 * high) + h];
            float b = warp[column * 4 + part][4 * width + width * high + h];
            sum[e] = fmaf(a, b, sum[e]);
        }
    }
}
static inline void nnrt_mma_tf32(float *sum, float a0, float a1, float a2, float a3, float b0, float b1) {
    const float own[] = {a0, a1, a2, a3, b0, b1};
    emulated_mma(sum, own, 1);
}
static inline void nnrt_mma_bf16(float *sum, float a0, float a1, float a2, float a3, float a4, float a5, float a6,
                                 float a7, float b0, float b1, float b2, float b3) {
    const float own[] = {a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3};
    emulated_mma(sum, own, 2);
}

static inline void emulated_launch(dim3 grid, dim3 block, cudaStream_t stream, std::function<void()> kernel) {
    if (stream->recording) {
        stream->launches.push_back([=] {
            emulated_graph now = {false, {}};
            emulated_launch(grid, block, &now, kernel);
        });
        return;
    }
    emulated_kernel = kernel;
    for (unsigned y = 0; y < grid.y; y++)
        for (unsigned x = 0; x < grid.x; x++) {
            blockIdx = dim3(x, y);
            emulated_block(block);
        }
}
#endif
