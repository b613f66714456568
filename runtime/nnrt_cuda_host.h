/* What the host side of a generated CUDA program uses: a device with its stream, memory by name, and errors.
 *
 *   nnrt_device *device = nnrt_device_use(steps->device);          the caller's, or one for this call
 *   float *x = (float *)nnrt_device_data(device, "x", host, bytes, constant);
 *   kernel<<<grid, block, 0, device->stream>>>(x);
 *   nnrt_device_launched(device, "dense forward");
 *   nnrt_device_fetch(device, host, x, bytes);                     waits
 *   return nnrt_device_done(device, steps->device);
 *
 * Memory is kept under its name until the device is closed, so that a second call finds it. The first error is kept
 * and everything after it does nothing; nnrt_device_done gives it as a code with a message. A device that was opened by
 * nnrt_device_open serves all calls of its thread that bring none. */
#ifndef NNRT_CUDA_HOST_H
#define NNRT_CUDA_HOST_H
#include "nnrt_error.h"
#include <cuda_runtime.h>
#include <mutex>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NNRT_DEVICE_BLOCKS = 32,
    NNRT_DEVICE_PINNED = 16,
    NNRT_DEVICE_GRAPHS = 4,
    NNRT_GRAPH_KEYS = 16,
    NNRT_DEVICE_LIBRARIES = 4,
    NNRT_DEVICES = 16
};

typedef struct {
    const char *name;
    void *memory;
    size_t bytes;
    const void *host; /* whose copy it is, while that stays as it is; NULL: none */
} nnrt_device_block;

/* Steps that were recorded once, for the addresses and numbers of `keys`. */
typedef struct {
    cudaGraphExec_t run;
    uint64_t keys[NNRT_GRAPH_KEYS];
} nnrt_device_graph;

/* What a library that the program calls keeps for a device. */
typedef struct {
    void *opened;
    void (*close)(void *opened); /* also tells the libraries apart; NULL: a free place */
} nnrt_device_library;

typedef struct {
    cudaStream_t stream;
    cudaError_t error;
    const char *where;   /* the kernel whose launch failed, or NULL */
    const char *library; /* which has refused to work, or NULL; and what it says */
    const char *said;
    nnrt_device_library libraries[NNRT_DEVICE_LIBRARIES];
    bool borrowed;      /* the stream is a caller's, for one call: libraries keep what they need elsewhere */
    size_t refused;     /* bytes that there was no memory for */
    const char *wanted; /* and what for */
    nnrt_device_block blocks[NNRT_DEVICE_BLOCKS], pinned[NNRT_DEVICE_PINNED]; /* on the device; on the host */
    int count, pinned_count;
    /* Of nnrt_cuda_steps.h, made by the first call that needs them: results are there; samples were sent. */
    cudaStream_t copies;
    cudaEvent_t ready[2], sent;
    bool blocking; /* CUDA_LAUNCH_BLOCKING: kernels are launched one by one, so that an error names one */
    nnrt_device_graph graphs[NNRT_DEVICE_GRAPHS];
    int graph_count;
} nnrt_device;

static inline bool nnrt_device_check(nnrt_device *device, cudaError_t error) {
    if (error != cudaSuccess)
        cudaGetLastError(); /* it is told here, and not once more behind a launch that has nothing to do with it */
    if (device->error == cudaSuccess)
        device->error = error;
    return device->error == cudaSuccess;
}

/* An error of a library, in its words. */
static inline void nnrt_device_refused(nnrt_device *device, const char *library, const char *said) {
    if (device->error != cudaSuccess)
        return;
    device->error = cudaErrorUnknown;
    device->library = library;
    device->said = said;
}

/* The begin of a call on a stream of the caller: an error that is there already would be taken for one of the first
 * launch. */
static inline void nnrt_device_begin(nnrt_device *device) {
    cudaError_t earlier = cudaPeekAtLastError();
    if (earlier != cudaSuccess)
        nnrt_device_refused(device, "a call of this thread has failed before, and nobody has asked cudaGetLastError()",
                            cudaGetErrorString(earlier));
}

/* The place of the library with this function to close it. */
static inline nnrt_device_library *nnrt_device_find_library(nnrt_device *device, void (*close)(void *)) {
    int i = 0;
    while (i + 1 < NNRT_DEVICE_LIBRARIES && device->libraries[i].close && device->libraries[i].close != close)
        i++;
    device->libraries[i].close = close;
    return &device->libraries[i];
}

/* What a library keeps for calls on streams of the caller: one for each GPU, as long as the process lives. */
typedef struct {
    std::mutex mutex;
    void *opened[NNRT_DEVICES];
} nnrt_kept_library;

/* What the library keeps for this device, made by the first call; NULL after an error. */
static inline void *nnrt_device_open_library(nnrt_device *device, const char *name, nnrt_kept_library *kept,
                                             void *(*open)(nnrt_device *), void (*close)(void *)) {
    int number = 0;
    if (device->error != cudaSuccess)
        return NULL;
    if (!device->borrowed) {
        nnrt_device_library *place = nnrt_device_find_library(device, close);
        place->opened = place->opened ? place->opened : open(device);
        return place->opened;
    }
    if (!nnrt_device_check(device, cudaGetDevice(&number)))
        return NULL;
    if (number >= NNRT_DEVICES) {
        nnrt_device_refused(device, name, "a device with this number is not supported");
        return NULL;
    }
    std::lock_guard<std::mutex> lock(kept->mutex);
    kept->opened[number] = kept->opened[number] ? kept->opened[number] : open(device);
    return kept->opened[number];
}

/* ---- messages */

/* The `count` largest blocks, as "x 12.0 MiB, model 3.1 MiB". */
static inline void nnrt_device_largest(const nnrt_device *device, int count, char *text, size_t size) {
    bool told[NNRT_DEVICE_BLOCKS] = {false};
    size_t used = 0;
    text[0] = 0;
    for (int n = 0; n < count; n++) {
        int best = -1;
        for (int i = 0; i < device->count; i++)
            if (!told[i] && (best < 0 || device->blocks[i].bytes > device->blocks[best].bytes))
                best = i;
        if (best < 0 || used >= size)
            return;
        told[best] = true;
        used += (size_t)snprintf(text + used, size - used, "%s%s %.1f MiB", n > 0 ? ", " : "",
                                 device->blocks[best].name, (double)device->blocks[best].bytes / 1048576);
    }
}

static inline int nnrt_device_no_memory(const nnrt_device *device) {
    size_t available = 0, all = 0, held = 0;
    char largest[256];
    cudaMemGetInfo(&available, &all);
    for (int i = 0; i < device->count; i++)
        held += device->blocks[i].bytes;
    nnrt_device_largest(device, 3, largest, sizeof largest);
    return nnrt_error(NNRT_ERROR_MEMORY,
                      "CUDA: too little memory on the device: %.1f MiB are needed for %s, %.1f of %.1f MiB are free. "
                      "This program holds %.1f MiB%s%s. Use a smaller --batch-size or less data.",
                      (double)device->refused / 1048576, device->wanted, (double)available / 1048576,
                      (double)all / 1048576, (double)held / 1048576, largest[0] ? ": " : "", largest);
}

static inline int nnrt_device_message(const nnrt_device *device) {
    int driver = 0, runtime = 0;
    switch (device->error) {
    case cudaSuccess:
        return NNRT_OK;
    case cudaErrorMemoryAllocation:
        if (device->wanted)
            return nnrt_device_no_memory(device);
        break;
    case cudaErrorNoDevice:
        return nnrt_error(NNRT_ERROR_UNSUPPORTED, "CUDA: there is no device. Compile the model without --target=cuda "
                                                  "to run it on the processor.");
    case cudaErrorInsufficientDriver:
        cudaDriverGetVersion(&driver);
        cudaRuntimeGetVersion(&runtime);
        if (driver == 0)
            return nnrt_error(NNRT_ERROR_UNSUPPORTED, "CUDA: there is no NVIDIA driver. Compile the model without "
                                                      "--target=cuda to run it on the processor.");
        return nnrt_error(NNRT_ERROR_UNSUPPORTED,
                          "CUDA: the driver is too old: it knows CUDA %d.%d, this program needs %d.%d. Update the "
                          "driver, or compile with an older toolkit.",
                          driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    case cudaErrorNoKernelImageForDevice:
        return nnrt_error(NNRT_ERROR_UNSUPPORTED, "CUDA: the program holds no code for this device. Compile it with "
                                                  "nvcc -arch=native, or with the architecture of the device.");
    default:
        break;
    }
    if (device->library)
        return nnrt_error(NNRT_ERROR_UNSUPPORTED, "CUDA: %s%s%s: %s", device->where ? device->where : "",
                          device->where ? ", by " : "", device->library, device->said);
    if (device->where)
        return nnrt_error(NNRT_ERROR_UNSUPPORTED, "CUDA: kernel %s: %s", device->where,
                          cudaGetErrorString(device->error));
    return nnrt_error(NNRT_ERROR_UNSUPPORTED,
                      "CUDA: %s. With CUDA_LAUNCH_BLOCKING=1 in the environment, this message "
                      "names the kernel.",
                      cudaGetErrorString(device->error));
}

/* ---- devices */

/* The device that this thread has open; NULL: none. */
static inline nnrt_device **nnrt_device_of_thread(void) {
    static thread_local nnrt_device *opened;
    return &opened;
}

/* Until nothing is under way any more, whatever has failed. */
static inline void nnrt_device_wait(nnrt_device *device) {
    if (device->stream)
        nnrt_device_check(device, cudaStreamSynchronize(device->stream));
    if (device->copies)
        nnrt_device_check(device, cudaStreamSynchronize(device->copies));
}

/* Ends work, gives all memory back. */
static inline void nnrt_device_close(void *opened) {
    nnrt_device *device = (nnrt_device *)opened;
    if (!device)
        return;
    if (*nnrt_device_of_thread() == device) /* its thread closes it */
        *nnrt_device_of_thread() = NULL;
    nnrt_device_wait(device);
    for (int i = 0; i < device->graph_count; i++)
        cudaGraphExecDestroy(device->graphs[i].run);
    for (int i = 0; i < NNRT_DEVICE_LIBRARIES; i++)
        if (device->libraries[i].opened)
            device->libraries[i].close(device->libraries[i].opened);
    for (int i = 0; i < device->count; i++)
        cudaFree(device->blocks[i].memory);
    for (int i = 0; i < device->pinned_count; i++)
        cudaFreeHost(device->pinned[i].memory);
    for (int side = 0; side < 2; side++)
        if (device->ready[side])
            cudaEventDestroy(device->ready[side]);
    if (device->sent)
        cudaEventDestroy(device->sent);
    if (device->copies)
        cudaStreamDestroy(device->copies);
    if (device->stream)
        cudaStreamDestroy(device->stream);
    free(device);
}

/* The first device of the machine, with a stream. NULL without memory for its description; other errors are kept in
 * it. */
static inline nnrt_device *nnrt_device_new(void) {
    nnrt_device *device = (nnrt_device *)calloc(1, sizeof(nnrt_device));
    const char *blocking = getenv("CUDA_LAUNCH_BLOCKING");
    int count = 0;
    if (!device)
        return NULL;
    device->blocking = blocking && atoi(blocking) != 0;
    if (nnrt_device_check(device, cudaGetDeviceCount(&count)) && count == 0)
        device->error = cudaErrorNoDevice;
    if (device->error == cudaSuccess)
        nnrt_device_check(device, cudaStreamCreateWithFlags(&device->stream, cudaStreamNonBlocking));
    return device;
}

/* The device that the caller brings, or its thread has open; else one for this call. NULL and a message without memory.
 */
static inline nnrt_device *nnrt_device_use(void *opened) {
    nnrt_device *device = opened ? (nnrt_device *)opened : *nnrt_device_of_thread();
    device = device ? device : nnrt_device_new();
    if (!device)
        nnrt_error(NNRT_ERROR_MEMORY, "out of memory");
    return device;
}

/* For nnrt_program.open_device. */
static inline int nnrt_device_open(void **opened) {
    nnrt_device *device = nnrt_device_new();
    if (!device)
        return nnrt_error(NNRT_ERROR_MEMORY, "out of memory");
    int code = nnrt_device_message(device);
    *opened = device;
    if (code == NNRT_OK) {
        *nnrt_device_of_thread() = device;
        return code;
    }
    nnrt_device_close(device);
    *opened = NULL;
    return code;
}

/* The end of a call: closes the device if it is of this call alone. */
static inline int nnrt_device_done(nnrt_device *device, const void *opened) {
    int code = nnrt_device_message(device);
    if (!opened && device != *nnrt_device_of_thread())
        nnrt_device_close(device);
    return code;
}

/* ---- memory */

static inline nnrt_device_block *nnrt_device_find(nnrt_device *device, const char *name, const void *host) {
    for (int i = 0; i < device->count; i++)
        if (device->blocks[i].host == host && strcmp(device->blocks[i].name, name) == 0)
            return &device->blocks[i];
    return NULL;
}

static inline void nnrt_device_forget(nnrt_device *device, nnrt_device_block *block) {
    cudaStreamSynchronize(device->stream);
    cudaFree(block->memory);
    *block = device->blocks[--device->count];
}

static inline nnrt_device_block *nnrt_device_add(nnrt_device *device, const char *name, const void *host,
                                                 size_t bytes) {
    void *memory = NULL;
    nnrt_device_block *block = nnrt_device_find(device, name, host);
    if (block && block->bytes >= bytes)
        return block;
    if (block)
        nnrt_device_forget(device, block);
    if (device->count == NNRT_DEVICE_BLOCKS)
        nnrt_device_refused(device, "memory", "too many data sets for one device; close it and open it again");
    if (device->error != cudaSuccess)
        return NULL;
    cudaError_t error = cudaMalloc(&memory, bytes > 0 ? bytes : 1);
    if (error == cudaErrorMemoryAllocation) {
        device->refused = bytes;
        device->wanted = name;
    }
    if (!nnrt_device_check(device, error))
        return NULL;
    device->blocks[device->count] = (nnrt_device_block){name, memory, bytes, host};
    return &device->blocks[device->count++];
}

/* Memory of this name, with what a call before has left in it. NULL after an error. */
static inline void *nnrt_device_alloc(nnrt_device *device, const char *name, size_t bytes) {
    nnrt_device_block *block = nnrt_device_add(device, name, NULL, bytes);
    return block ? block->memory : NULL;
}

/* Memory of the host by this name, from and to which copies run while the host goes on. NULL after an error. */
static inline void *nnrt_device_pin(nnrt_device *device, const char *name, size_t bytes) {
    void *memory = NULL;
    int i = 0;
    while (i < device->pinned_count && strcmp(device->pinned[i].name, name) != 0)
        i++;
    if (i < device->pinned_count && device->pinned[i].bytes >= bytes)
        return device->pinned[i].memory;
    if (i < device->pinned_count) {
        nnrt_device_wait(device);
        cudaFreeHost(device->pinned[i].memory);
        device->pinned[i] = device->pinned[--device->pinned_count];
    }
    if (device->error != cudaSuccess)
        return NULL;
    cudaError_t error = device->pinned_count == NNRT_DEVICE_PINNED ? cudaErrorMemoryAllocation
                                                                   : cudaMallocHost(&memory, bytes > 0 ? bytes : 1);
    if (error == cudaErrorMemoryAllocation)
        nnrt_device_refused(device, "memory of the host for copies", cudaGetErrorString(error));
    if (!nnrt_device_check(device, error))
        return NULL;
    device->pinned[device->pinned_count++] = (nnrt_device_block){name, memory, bytes, NULL};
    return memory;
}

static inline void nnrt_device_send(nnrt_device *device, void *to, const void *from, size_t bytes) {
    if (device->error == cudaSuccess && bytes > 0)
        nnrt_device_check(device, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, device->stream));
}

/* A copy of `from`, which may be NULL if there are no bytes. What stays `constant` while the device is open is sent
 * once. */
static inline void *nnrt_device_data(nnrt_device *device, const char *name, const void *from, size_t bytes,
                                     bool constant) {
    const void *host = constant ? from : NULL;
    nnrt_device_block *block = host ? nnrt_device_find(device, name, host) : NULL;
    if (block && block->bytes >= bytes)
        return block->memory;
    block = nnrt_device_add(device, name, host, bytes);
    if (!block)
        return NULL;
    nnrt_device_send(device, block->memory, from, bytes);
    return block->memory;
}

/* After a launch: keeps which one failed. Errors while a kernel runs show here only under CUDA_LAUNCH_BLOCKING=1. */
static inline void nnrt_device_launched(nnrt_device *device, const char *kernel) {
    if (device->library && !device->where)
        device->where = kernel;
    if (device->error == cudaSuccess && !nnrt_device_check(device, cudaGetLastError()))
        device->where = kernel;
}

/* Waits for all that was launched, and for the copy. */
static inline void nnrt_device_fetch(nnrt_device *device, void *to, const void *from, size_t bytes) {
    if (device->error == cudaSuccess)
        nnrt_device_check(device, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, device->stream));
    if (device->error == cudaSuccess)
        nnrt_device_check(device, cudaStreamSynchronize(device->stream));
}

/* Rows of a data set that the order names: one more than the largest. */
static inline int64_t nnrt_device_rows(const int32_t *rows, int64_t count) {
    int64_t end = 0;
    for (int64_t i = 0; i < count; i++)
        end = rows[i] >= end ? (int64_t)rows[i] + 1 : end;
    return end;
}
#endif
