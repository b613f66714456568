/* What the host side of a generated CUDA program uses: memory on the device for the length of one call, and its errors.
 *
 *   nnrt_device device = nnrt_device_begin();
 *   float *x = (float *)nnrt_device_copy(&device, host, bytes);
 *   kernel<<<grid, block, 0, device.stream>>>(x);
 *   nnrt_device_fetch(&device, host, x, bytes);          waits
 *   return nnrt_device_end(&device);
 *
 * The first error is kept and everything after it does nothing; nnrt_device_end gives it as a code with a message. */
#ifndef NNRT_CUDA_HOST_H
#define NNRT_CUDA_HOST_H
#include "nnrt_error.h"
#include <cuda_runtime.h>
#include <stddef.h>
#include <stdint.h>

enum { NNRT_DEVICE_BLOCKS = 16 };

typedef struct {
    cudaStream_t stream;
    cudaError_t error;
    void *blocks[NNRT_DEVICE_BLOCKS];
    int count;
} nnrt_device;

static inline bool nnrt_device_check(nnrt_device *device, cudaError_t error) {
    if (device->error == cudaSuccess)
        device->error = error;
    return device->error == cudaSuccess;
}

static inline nnrt_device nnrt_device_begin(void) {
    nnrt_device device = {};
    nnrt_device_check(&device, cudaStreamCreate(&device.stream));
    return device;
}

static inline void *nnrt_device_alloc(nnrt_device *device, size_t bytes) {
    void *block = NULL;
    if (device->count == NNRT_DEVICE_BLOCKS)
        nnrt_device_check(device, cudaErrorMemoryAllocation);
    if (device->error == cudaSuccess && nnrt_device_check(device, cudaMalloc(&block, bytes > 0 ? bytes : 1)))
        device->blocks[device->count++] = block;
    return block;
}

static inline void nnrt_device_send(nnrt_device *device, void *to, const void *from, size_t bytes) {
    if (device->error == cudaSuccess && bytes > 0)
        nnrt_device_check(device, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, device->stream));
}

/* New memory with a copy of `from`, which may be NULL if there are no bytes. */
static inline void *nnrt_device_copy(nnrt_device *device, const void *from, size_t bytes) {
    void *to = nnrt_device_alloc(device, bytes);
    nnrt_device_send(device, to, from, bytes);
    return to;
}

/* Waits for all that was launched, and for the copy. */
static inline void nnrt_device_fetch(nnrt_device *device, void *to, const void *from, size_t bytes) {
    nnrt_device_check(device, cudaGetLastError()); /* of launches */
    if (device->error == cudaSuccess)
        nnrt_device_check(device, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, device->stream));
    if (device->error == cudaSuccess)
        nnrt_device_check(device, cudaStreamSynchronize(device->stream));
}

static inline int nnrt_device_end(nnrt_device *device) {
    for (int i = 0; i < device->count; i++)
        cudaFree(device->blocks[i]);
    if (device->stream)
        cudaStreamDestroy(device->stream);
    if (device->error == cudaSuccess)
        return NNRT_OK;
    return nnrt_error(device->error == cudaErrorMemoryAllocation ? NNRT_ERROR_MEMORY : NNRT_ERROR_UNSUPPORTED,
                      "CUDA: %s", cudaGetErrorString(device->error));
}

/* Rows of a data set that the order names: one more than the largest. */
static inline int64_t nnrt_device_rows(const int32_t *rows, int64_t count) {
    int64_t end = 0;
    for (int64_t i = 0; i < count; i++)
        end = rows[i] >= end ? (int64_t)rows[i] + 1 : end;
    return end;
}
#endif
