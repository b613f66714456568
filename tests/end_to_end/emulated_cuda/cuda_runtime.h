/* For tests on machines without a GPU: as much of CUDA as generated programs use, on the CPU, and as strict as a device
 * may be. Blocks run one after the other, the threads of a block are coroutines that change places at __syncthreads().
 * What CUDA forbids ends the program: a barrier that not all threads reach, the host in the device's memory, a kernel
 * that is given an address of the host, a call that must not be while a stream is recorded. The environment says more:
 *
 *   EMULATED_DEVICES=N    how many there are; -1: the driver is too old
 *   EMULATED_MEMORY=N     bytes that the device has
 *   EMULATED_ASYNC=1      streams work as late as they may: when somebody waits for them. Else at once
 *   EMULATED_ORDER=N      blocks, and threads between barriers, run in an order drawn by N. Else the last thread first
 *   EMULATED_FAIL=N       the call number N fails; with EMULATED_STICKY=1 all behind it too
 *   EMULATED_BREAK=N      the kernel number N breaks: whoever waits is told, as is every call behind it; with
 *                         CUDA_LAUNCH_BLOCKING=1 its launch
 *   EMULATED_TELL=1       the program tells at its end how many streams it has made
 *   EMULATED_LEFT=1       the program ends with an error if anything was not given back
 *
 * kernel<<<grid, block, 0, stream>>>(args) must have been rewritten to emulated_launch(grid, block, stream,
 * emulated_arguments(args), [=] { kernel(args); }). */
#ifndef EMULATED_CUDA_RUNTIME_H
#define EMULATED_CUDA_RUNTIME_H
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <type_traits>
#include <vector>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(place, bytes) ((void)(place), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(place, bytes) ((void)(place), (void)(bytes))
#endif

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __shared__ static __attribute__((section("emulated_shared")))
#define __align__(bytes) __attribute__((aligned(bytes)))
using std::max;
using std::min;

typedef int cudaError_t;
typedef struct emulated_stream *cudaStream_t;
typedef struct emulated_graph *cudaGraph_t, *cudaGraphExec_t;
typedef struct emulated_event *cudaEvent_t;
enum {
    cudaSuccess,
    cudaErrorMemoryAllocation,
    cudaErrorNoDevice,
    cudaErrorInsufficientDriver,
    cudaErrorNoKernelImageForDevice,
    cudaErrorInvalidConfiguration,
    cudaErrorLaunchFailure,
    cudaErrorUnknown,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaStreamCaptureModeThreadLocal,
    cudaStreamCaptureModeGlobal,
    cudaStreamNonBlocking,
    cudaEventDisableTiming
};

inline long emulated_setting(const char *name, long otherwise) {
    const char *value = getenv(name);
    return value ? atol(value) : otherwise;
}

inline void emulated_demand(bool holds, const char *broken) {
    if (holds)
        return;
    fprintf(stderr, "emulated CUDA: %s\n", broken);
    abort();
}

/* ---- errors */
inline cudaError_t emulated_last;
inline long emulated_calls, emulated_kernels;
inline bool emulated_broken;

inline cudaError_t emulated_error(cudaError_t error) {
    emulated_last = error != cudaSuccess ? error : emulated_last;
    return error;
}
/* Is this the call that fails? */
inline bool emulated_fails(void) {
    long fail = emulated_setting("EMULATED_FAIL", 0);
    emulated_calls++;
    return emulated_broken || emulated_calls == fail ||
           (fail > 0 && emulated_calls > fail && emulated_setting("EMULATED_STICKY", 0));
}
#define EMULATED_CALL()                                                                                                \
    if (emulated_fails())                                                                                              \
    return emulated_error(cudaErrorLaunchFailure)

inline cudaError_t cudaGetLastError(void) {
    cudaError_t error = emulated_last;
    emulated_last = cudaSuccess;
    return error;
}
inline cudaError_t cudaPeekAtLastError(void) {
    return emulated_last;
}
inline const char *cudaGetErrorString(cudaError_t error) {
    return error == cudaErrorInvalidConfiguration ? "invalid configuration argument"
           : error == cudaErrorMemoryAllocation   ? "out of memory"
           : error == cudaErrorLaunchFailure      ? "unspecified launch failure"
                                                  : "unknown error";
}

/* ---- the device's memory: one piece of the address space, which the host may not touch */
enum { EMULATED_UNIT = 256 };
inline size_t emulated_used;
inline char *emulated_base;
inline std::map<size_t, size_t> emulated_blocks; /* place, bytes with a gap behind */
inline int emulated_inside;                      /* the device is at work */
inline long emulated_left[5];                    /* pinned, streams, events, graphs, programs of graphs */

inline size_t emulated_memory(void) {
    return (size_t)emulated_setting("EMULATED_MEMORY", 1L << 30);
}
inline size_t emulated_end(void) {
    return emulated_blocks.empty() ? 0 : emulated_blocks.rbegin()->first + emulated_blocks.rbegin()->second;
}
inline void emulated_protect(int rights) {
    if (emulated_base && emulated_end() > 0)
        mprotect(emulated_base, emulated_end(), rights);
}
inline void emulated_enter(void) {
    if (emulated_inside++ == 0)
        emulated_protect(PROT_READ | PROT_WRITE);
}
inline void emulated_leave(void) {
    if (--emulated_inside == 0)
        emulated_protect(PROT_NONE);
}
/* Is it in a block that was allocated and not freed? */
inline bool emulated_on_device(const void *place) {
    size_t at = (size_t)((const char *)place - emulated_base);
    auto next = emulated_blocks.upper_bound(at);
    if (!emulated_base || (const char *)place < emulated_base || next == emulated_blocks.begin())
        return false;
    --next;
    return at < next->first + next->second - EMULATED_UNIT || at == next->first;
}
template <typename T> inline bool emulated_argument(T value) {
    if constexpr (std::is_pointer_v<T>)
        emulated_demand(!value || emulated_on_device((const void *)value), "a kernel is given an address of the host");
    return true;
}
template <typename... Ts> inline bool emulated_arguments(Ts... values) {
    (emulated_argument(values), ...);
    return true;
}

/* ---- streams: work in their order, at once or when somebody waits */
typedef std::function<void()> emulated_work;
struct emulated_stream {
    bool recording;
    std::vector<emulated_work> launches; /* recorded */
    std::deque<emulated_work> queue;
    size_t issued, finished;
};
struct emulated_graph {
    std::vector<emulated_work> launches;
};
struct emulated_event {
    emulated_stream *stream;
    size_t at;
};
inline int emulated_recordings;
inline std::vector<emulated_stream *> emulated_streams; /* all there ever were: events may name them later */

inline emulated_stream *emulated_of(cudaStream_t stream) {
    static emulated_stream *legacy = NULL;
    if (!stream && !legacy)
        emulated_streams.push_back(legacy = new emulated_stream());
    return stream ? stream : legacy;
}
inline void emulated_drain(emulated_stream *stream, size_t until) {
    while (stream->finished < until) {
        emulated_work work = stream->queue.front();
        stream->queue.pop_front();
        work();
        stream->finished++;
    }
}
inline void emulated_drain_all(void) {
    for (size_t i = 0; i < emulated_streams.size(); i++)
        emulated_drain(emulated_streams[i], emulated_streams[i]->issued);
}
inline void emulated_issue(cudaStream_t of, emulated_work work) {
    emulated_stream *stream = emulated_of(of);
    stream->queue.push_back(work);
    stream->issued++;
    if (!emulated_setting("EMULATED_ASYNC", 0))
        emulated_drain(stream, stream->issued);
}
/* Work of the device: kernels and calls of libraries, which a stream may record. */
inline void emulated_run(cudaStream_t of, emulated_work work) {
    emulated_stream *stream = emulated_of(of);
    emulated_work alone = [=] {
        emulated_enter();
        work();
        emulated_leave();
    };
    if (stream->recording)
        stream->launches.push_back(alone);
    else
        emulated_issue(of, alone);
}
/* What the thread that records may not do meanwhile. */
inline void emulated_unsafe(void) {
    emulated_demand(emulated_recordings == 0, "a call that must not be while a stream is recorded");
}

inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
    EMULATED_CALL();
    emulated_streams.push_back(*stream = new emulated_stream());
    emulated_left[1]++;
    return cudaSuccess;
}
inline cudaError_t cudaStreamCreate(cudaStream_t *stream) {
    return cudaStreamCreateWithFlags(stream, 0);
}
inline cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    emulated_drain(stream, stream->issued);
    emulated_left[1]--;
    return cudaSuccess;
}
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    emulated_unsafe();
    EMULATED_CALL();
    emulated_drain(emulated_of(stream), emulated_of(stream)->issued);
    return emulated_broken ? emulated_error(cudaErrorLaunchFailure) : cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize(void) {
    emulated_unsafe();
    EMULATED_CALL();
    emulated_drain_all();
    return cudaSuccess;
}
inline cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) {
    EMULATED_CALL();
    *event = new emulated_event();
    emulated_left[2]++;
    return cudaSuccess;
}
inline cudaError_t cudaEventCreate(cudaEvent_t *event) {
    return cudaEventCreateWithFlags(event, 0);
}
inline cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    emulated_left[2]--;
    return cudaSuccess;
}
inline cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    EMULATED_CALL();
    emulated_demand(!emulated_of(stream)->recording, "an event is recorded in a graph, for which it is no use");
    event->stream = emulated_of(stream);
    event->at = event->stream->issued;
    return cudaSuccess;
}
inline cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    emulated_unsafe();
    EMULATED_CALL();
    if (event->stream)
        emulated_drain(event->stream, event->at);
    return emulated_broken ? emulated_error(cudaErrorLaunchFailure) : cudaSuccess;
}
inline cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    EMULATED_CALL();
    emulated_demand(!emulated_of(stream)->recording, "a recorded stream waits for one that is not");
    emulated_stream *other = event->stream;
    size_t at = event->at;
    if (other)
        emulated_issue(stream, [=] { emulated_drain(other, at); });
    return cudaSuccess;
}

/* ---- graphs */
inline cudaError_t cudaStreamBeginCapture(cudaStream_t stream, int) {
    EMULATED_CALL();
    emulated_demand(stream && !stream->recording, "a stream that cannot be recorded");
    stream->recording = true;
    emulated_recordings++;
    return cudaSuccess;
}
inline cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    emulated_demand(stream->recording, "the end of a record that was not begun");
    stream->recording = false;
    emulated_recordings--;
    std::vector<emulated_work> launches;
    launches.swap(stream->launches);
    EMULATED_CALL();
    *graph = new emulated_graph{launches};
    emulated_left[3]++;
    return cudaSuccess;
}
inline cudaError_t cudaGraphInstantiate(cudaGraphExec_t *run, cudaGraph_t graph, unsigned) {
    EMULATED_CALL();
    *run = new emulated_graph(*graph);
    emulated_left[4]++;
    return cudaSuccess;
}
inline cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    emulated_left[3]--;
    return cudaSuccess;
}
inline cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
    delete graph;
    emulated_left[4]--;
    return cudaSuccess;
}
inline cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
    EMULATED_CALL();
    for (auto &launch : graph->launches)
        emulated_issue(stream, launch);
    return cudaSuccess;
}

/* ---- devices */
inline cudaError_t cudaMemGetInfo(size_t *available, size_t *all) {
    *all = emulated_memory();
    *available = *all - emulated_used;
    return cudaSuccess;
}
inline cudaError_t cudaGetDeviceCount(int *count) {
    EMULATED_CALL();
    *count = (int)emulated_setting("EMULATED_DEVICES", 1);
    return *count < 0 ? emulated_error(cudaErrorInsufficientDriver) : cudaSuccess;
}
inline cudaError_t cudaGetDevice(int *number) {
    *number = 0;
    return cudaSuccess;
}
inline cudaError_t cudaDriverGetVersion(int *version) {
    *version = 12000;
    return cudaSuccess;
}
inline cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = 13000;
    return cudaSuccess;
}

/* ---- memory */

/* Says what was not given back, where it is asked for. */
struct emulated_census {
    ~emulated_census() {
        if (emulated_setting("EMULATED_TELL", 0))
            fprintf(stderr, "emulated CUDA: %zu streams made\n", emulated_streams.size());
        if (!emulated_setting("EMULATED_LEFT", 0) || emulated_setting("EMULATED_FAIL", 0) || emulated_broken)
            return;
        long count = (long)emulated_blocks.size();
        for (long left : emulated_left)
            count += left;
        if (count == 0)
            return;
        fprintf(stderr,
                "emulated CUDA: left are %zu blocks of memory, %ld pinned, %ld streams, %ld events, %ld graphs\n",
                emulated_blocks.size(), emulated_left[0], emulated_left[1], emulated_left[2],
                emulated_left[3] + emulated_left[4]);
        fflush(NULL);
        _exit(9);
    }
};
inline emulated_census emulated_census_at_the_end;

/* The first gap that is large enough: what was freed is used again soon. */
inline size_t emulated_gap(size_t room) {
    size_t at = 0;
    for (auto &block : emulated_blocks) {
        if (at + room <= block.first)
            break;
        at = block.first + block.second;
    }
    return at;
}
inline cudaError_t cudaMalloc(void **memory, size_t bytes) {
    size_t room = (bytes + EMULATED_UNIT - 1) / EMULATED_UNIT * EMULATED_UNIT + EMULATED_UNIT, most = (size_t)1 << 36;
    emulated_unsafe();
    EMULATED_CALL();
    if (emulated_used + room > emulated_memory())
        return emulated_error(cudaErrorMemoryAllocation);
    if (!emulated_base) {
        void *base = mmap(NULL, most, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        emulated_demand(base != MAP_FAILED, "no address space for the device");
        emulated_base = (char *)base;
    }
    size_t at = emulated_gap(room);
    emulated_blocks[at] = room;
    emulated_used += room;
    *memory = emulated_base + at;
    emulated_enter();
    ASAN_UNPOISON_MEMORY_REGION(*memory, room);
    memset(*memory, 0xFF, room); /* nobody counts on zeros */
    ASAN_POISON_MEMORY_REGION((char *)*memory + bytes, room - bytes);
    emulated_leave();
    return cudaSuccess;
}
template <typename T> inline cudaError_t cudaMalloc(T **memory, size_t bytes) {
    return cudaMalloc((void **)memory, bytes);
}
inline cudaError_t cudaFree(void *memory) {
    if (!memory)
        return cudaSuccess;
    auto block = emulated_blocks.find((size_t)((char *)memory - emulated_base));
    emulated_unsafe();
    emulated_demand(emulated_base && block != emulated_blocks.end(), "what is freed was not allocated");
    emulated_drain_all();
    emulated_enter();
    ASAN_UNPOISON_MEMORY_REGION(memory, block->second);
    memset(memory, 0xFF, block->second);
    ASAN_POISON_MEMORY_REGION(memory, block->second);
    emulated_leave();
    emulated_used -= block->second;
    emulated_blocks.erase(block);
    return cudaSuccess;
}
inline cudaError_t cudaMallocHost(void **memory, size_t bytes) {
    emulated_unsafe();
    EMULATED_CALL();
    *memory = malloc(bytes);
    emulated_left[0]++;
    return *memory ? cudaSuccess : emulated_error(cudaErrorMemoryAllocation);
}
/* Does not wait: what is copied there later meets freed memory. */
inline cudaError_t cudaFreeHost(void *memory) {
    emulated_unsafe();
    emulated_left[0] -= memory != NULL;
    free(memory);
    return cudaSuccess;
}
inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, cudaStream_t stream) {
    EMULATED_CALL();
    emulated_demand(!emulated_of(stream)->recording, "a copy is recorded");
    emulated_demand(emulated_on_device(kind == cudaMemcpyHostToDevice ? to : from), "a copy that is not of the device");
    emulated_run(stream, [=] { memcpy(to, from, bytes); });
    return cudaSuccess;
}
/* As CUDA's: on the legacy stream, which waits for all. */
inline cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, int kind) {
    emulated_unsafe();
    emulated_drain_all();
    cudaError_t error = cudaMemcpyAsync(to, from, bytes, kind, NULL);
    emulated_drain_all();
    return error;
}
inline cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) {
    EMULATED_CALL();
    emulated_demand(emulated_on_device(to), "memory that is not of the device is set");
    emulated_run(stream, [=] { memset(to, value, bytes); });
    return cudaSuccess;
}

/* ---- functions that the host does not have */
inline float erfcxf(float x) {
    double d = x;
    return (float)(d > 25 ? 1 / (d * sqrt(M_PI)) : exp(d * d) * erfc(d));
}

/* ---- threads of a block */
struct dim3 {
    long long x, y, z;
    dim3(long long x_ = 1, long long y_ = 1, long long z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct emulated_place {
    unsigned x, y;
};
inline emulated_place threadIdx, blockIdx;

enum { EMULATED_THREADS = 1024, EMULATED_STACK = 1 << 16 };
inline ucontext_t emulated_main, emulated_threads[EMULATED_THREADS];
inline bool emulated_live[EMULATED_THREADS];
inline unsigned emulated_now;
inline emulated_work emulated_kernel;

inline void emulated_thread(void) {
    emulated_kernel();
    emulated_live[emulated_now] = false;
}

inline void __syncthreads(void) {
    unsigned me = emulated_now;
    auto place = threadIdx;
    swapcontext(&emulated_threads[me], &emulated_main);
    threadIdx = place;
}

inline void emulated_start(unsigned thread) {
    static char *stacks = (char *)malloc((size_t)EMULATED_THREADS * EMULATED_STACK);
    getcontext(&emulated_threads[thread]);
    emulated_threads[thread].uc_stack.ss_sp = stacks + (size_t)thread * EMULATED_STACK;
    emulated_threads[thread].uc_stack.ss_size = EMULATED_STACK;
    emulated_threads[thread].uc_link = &emulated_main;
    makecontext(&emulated_threads[thread], emulated_thread, 0);
    emulated_live[thread] = true;
}

/* The numbers below count in the order of EMULATED_ORDER; else the last first. */
inline std::vector<long long> emulated_order(long long count) {
    static uint64_t drawn = (uint64_t)emulated_setting("EMULATED_ORDER", 0);
    std::vector<long long> order;
    for (long long i = count; i-- > 0;)
        order.push_back(i);
    for (long long i = count; drawn && i > 1; i--) {
        drawn = drawn * 6364136223846793005u + 1442695040888963407u;
        std::swap(order[(size_t)i - 1], order[(size_t)((drawn >> 33) % (uint64_t)i)]);
    }
    return order;
}

/* Nobody counts on what another block has left in shared memory. */
extern char __start_emulated_shared[] __attribute__((weak)), __stop_emulated_shared[] __attribute__((weak));
inline void emulated_spoil_shared(void) {
    char *volatile from = __start_emulated_shared;
    if (from)
        memset(from, 0xFF, (size_t)(__stop_emulated_shared - __start_emulated_shared));
}

/* From barrier to barrier, until all threads have ended. */
inline void emulated_block(dim3 block) {
    unsigned count = (unsigned)(block.x * block.y), live = count;
    emulated_spoil_shared();
    for (unsigned i = 0; i < count; i++)
        emulated_start(i);
    while (live > 0) {
        unsigned before = live;
        live = 0;
        for (long long i : emulated_order(count)) {
            if (!emulated_live[i])
                continue;
            emulated_now = (unsigned)i;
            threadIdx = {(unsigned)(i % block.x), (unsigned)(i / block.x)};
            swapcontext(&emulated_main, &emulated_threads[i]);
            live += emulated_live[i];
        }
        if (before != count || (live > 0 && live < count)) {
            fprintf(stderr, "a barrier that only %u of %u threads reach\n", live, count);
            abort();
        }
    }
}

#include "fragments.h"

/* The limits of all devices from compute capability 3.0 on. */
inline bool emulated_fits(dim3 grid, dim3 block) {
    return grid.x >= 1 && grid.x <= 0x7fffffff && grid.y >= 1 && grid.y <= 65535 && grid.z == 1 && block.x >= 1 &&
           block.y >= 1 && block.z == 1 && block.x * block.y <= EMULATED_THREADS;
}

inline void emulated_launch(dim3 grid, dim3 block, cudaStream_t stream, bool, emulated_work kernel) {
    if (emulated_fails() || !emulated_fits(grid, block)) {
        emulated_error(emulated_fits(grid, block) ? cudaErrorLaunchFailure : cudaErrorInvalidConfiguration);
        return;
    }
    emulated_run(stream, [=] {
        emulated_broken = emulated_broken || ++emulated_kernels == emulated_setting("EMULATED_BREAK", 0);
        if (emulated_broken)
            return;
        emulated_kernel = kernel;
        for (long long i : emulated_order(grid.x * grid.y)) {
            blockIdx = {(unsigned)(i % grid.x), (unsigned)(i / grid.x)};
            emulated_block(block);
        }
    });
    if (emulated_setting("CUDA_LAUNCH_BLOCKING", 0) && !emulated_of(stream)->recording) {
        emulated_drain(emulated_of(stream), emulated_of(stream)->issued);
        emulated_error(emulated_broken ? cudaErrorLaunchFailure : cudaSuccess);
    }
}
#endif
