/* Convolutions by cuDNN's graph API, for programs that nnc writes with --dnn=cudnn (link them with -lcudnn).
 *
 *   nnrt_convolution_prepare(device, &shape, samples);            makes a plan, which is kept
 *   nnrt_convolve(device, &shape, samples, written, a, b, workspace);
 *
 * Images lie as [samples][cells..][channels], weights as [features][taps..][channels], results as
 * [samples][positions..][features]. An engine is taken in the order of cuDNN's heuristics, the first one that gives the
 * same bits each time, sums products as they are (no transforms, and no tensor cores unless the shape allows them) and
 * fits the workspace. Plans are made when a shape is met first, which must not be while a stream is recorded. An error
 * is kept in the device, as any other. */
#ifndef NNRT_CUDNN_H
#define NNRT_CUDNN_H
#include "nnrt_cuda_host.h"
#include <cudnn_backend.h>
#include <mutex>
#include <new>

enum { NNRT_CONVOLUTION_FORWARD, NNRT_CONVOLUTION_BY_IMAGE, NNRT_CONVOLUTION_BY_WEIGHTS, NNRT_CONVOLUTIONS };

/* All but the number of samples. */
typedef struct {
    int64_t kind, spatial;
    int64_t tensor_cores; /* 1: operands may be rounded to tf32 */
    int64_t workspace;    /* bytes */
    int64_t channels, features;
    int64_t cells[3], taps[3], positions[3]; /* extents of image, weights and result */
    int64_t stride[3], dilation[3], low[3];
} nnrt_convolution;

enum { NNRT_CUDNN_ALIGNMENT = 16, NNRT_CUDNN_PARTS = 12, NNRT_CUDNN_CONFIGS = 64, NNRT_CUDNN_RANK = 5 };

/* A convolution of so many samples, in memory of this alignment; `parts` are the descriptors that it is made of, which
 * live as long. */
typedef struct {
    nnrt_convolution shape;
    int64_t samples, alignment;
    cudnnBackendDescriptor_t run, parts[NNRT_CUDNN_PARTS];
    int part_count;
} nnrt_cudnn_plan;

typedef struct {
    cudnnHandle_t handle;
    std::mutex mutex; /* threads of the caller may use one handle */
    nnrt_cudnn_plan *plans;
    int count, capacity;
} nnrt_cudnn;

/* ---- errors */

static inline bool nnrt_cudnn_check(nnrt_device *device, cudnnStatus_t status, const char *what) {
    if (device->error == cudaSuccess && status != CUDNN_STATUS_SUCCESS)
        nnrt_device_refused(device, what, cudnnGetErrorString(status));
    return device->error == cudaSuccess;
}

static inline bool nnrt_cudnn_set(nnrt_device *device, cudnnBackendDescriptor_t descriptor,
                                  cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
                                  const void *values, const char *what) {
    return device->error == cudaSuccess &&
           nnrt_cudnn_check(device, cudnnBackendSetAttribute(descriptor, name, type, count, values), what);
}

/* ---- the library */

static inline void nnrt_cudnn_forget(nnrt_cudnn_plan *plan) {
    while (plan->part_count > 0)
        cudnnBackendDestroyDescriptor(plan->parts[--plan->part_count]);
}

static inline void nnrt_cudnn_close(void *opened) {
    nnrt_cudnn *library = (nnrt_cudnn *)opened;
    for (int i = 0; i < library->count; i++)
        nnrt_cudnn_forget(&library->plans[i]);
    cudnnDestroy(library->handle);
    free(library->plans);
    delete library;
}

static inline void *nnrt_cudnn_new(nnrt_device *device) {
    nnrt_cudnn *library = device->error == cudaSuccess ? new (std::nothrow) nnrt_cudnn() : NULL;
    if (!library) {
        nnrt_device_check(device, cudaErrorMemoryAllocation);
        return NULL;
    }
    if (nnrt_cudnn_check(device, cudnnCreate(&library->handle), "cuDNN (start)"))
        return library;
    delete library;
    return NULL;
}

/* Opened by the first call; NULL after an error. */
static inline nnrt_cudnn *nnrt_cudnn_open(nnrt_device *device) {
    static nnrt_kept_library kept;
    return (nnrt_cudnn *)nnrt_device_open_library(device, "cuDNN", &kept, nnrt_cudnn_new, nnrt_cudnn_close);
}

/* ---- descriptors of a plan */

static inline cudnnBackendDescriptor_t nnrt_cudnn_part(nnrt_device *device, nnrt_cudnn_plan *plan,
                                                       cudnnBackendDescriptorType_t type, const char *what) {
    cudnnBackendDescriptor_t part = NULL;
    if (device->error == cudaSuccess && nnrt_cudnn_check(device, cudnnBackendCreateDescriptor(type, &part), what))
        plan->parts[plan->part_count++] = part;
    return part;
}

static inline void nnrt_cudnn_finish(nnrt_device *device, cudnnBackendDescriptor_t part, const char *what) {
    if (device->error == cudaSuccess)
        nnrt_cudnn_check(device, cudnnBackendFinalize(part), what);
}

/* Values along the spatial axes, of which cuDNN wants two or three. */
static inline int64_t nnrt_cudnn_spatial(const nnrt_convolution *shape, const int64_t *values, int64_t fill,
                                         int64_t *all) {
    int64_t added = shape->spatial == 1 ? 1 : 0;
    all[0] = fill;
    for (int64_t s = 0; s < shape->spatial; s++)
        all[added + s] = values[s];
    return added + shape->spatial;
}

/* [outer][extents..][channels] in memory; cuDNN names the channels second. */
static inline cudnnBackendDescriptor_t nnrt_cudnn_tensor(nnrt_device *device, nnrt_cudnn_plan *plan, int64_t id,
                                                         int64_t outer, int64_t channels, const int64_t *extents) {
    static const char what[] = "cuDNN (a tensor)";
    int64_t dims[NNRT_CUDNN_RANK] = {outer, channels}, strides[NNRT_CUDNN_RANK] = {0, 1};
    int64_t rank = 2 + nnrt_cudnn_spatial(&plan->shape, extents, 1, dims + 2), step = channels;
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnBackendDescriptor_t part = nnrt_cudnn_part(device, plan, CUDNN_BACKEND_TENSOR_DESCRIPTOR, what);
    for (int64_t i = rank - 1; i > 1; i--) {
        strides[i] = step;
        step *= dims[i];
    }
    strides[0] = step;
    nnrt_cudnn_set(device, part, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id, what);
    nnrt_cudnn_set(device, part, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type, what);
    nnrt_cudnn_set(device, part, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &plan->alignment, what);
    nnrt_cudnn_set(device, part, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, rank, dims, what);
    nnrt_cudnn_set(device, part, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, rank, strides, what);
    nnrt_cudnn_finish(device, part, what);
    return part;
}

static inline cudnnBackendDescriptor_t nnrt_cudnn_window(nnrt_device *device, nnrt_cudnn_plan *plan) {
    static const char what[] = "cuDNN (strides, dilations, padding)";
    const nnrt_convolution *shape = &plan->shape;
    cudnnBackendDescriptor_t part = nnrt_cudnn_part(device, plan, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, what);
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    int64_t stride[3], dilation[3], low[3], spatial = nnrt_cudnn_spatial(shape, shape->stride, 1, stride);
    nnrt_cudnn_spatial(shape, shape->dilation, 1, dilation);
    nnrt_cudnn_spatial(shape, shape->low, 0, low);
    nnrt_cudnn_set(device, part, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &spatial, what);
    nnrt_cudnn_set(device, part, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type, what);
    nnrt_cudnn_set(device, part, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode, what);
    nnrt_cudnn_set(device, part, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, spatial, stride, what);
    nnrt_cudnn_set(device, part, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, spatial, dilation, what);
    nnrt_cudnn_set(device, part, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, spatial, low, what);
    nnrt_cudnn_set(device, part, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, spatial, low, what);
    nnrt_cudnn_finish(device, part, what);
    return part;
}

enum { NNRT_CUDNN_IMAGE, NNRT_CUDNN_WEIGHTS, NNRT_CUDNN_RESULT, NNRT_CUDNN_TENSORS };

/* Names of the same things in the three operations. */
typedef struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t window, alpha, beta, tensors[NNRT_CUDNN_TENSORS];
} nnrt_cudnn_names;

static inline const nnrt_cudnn_names *nnrt_cudnn_names_of(int64_t kind) {
    static const nnrt_cudnn_names names[NNRT_CONVOLUTIONS] = {
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
         {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y}},
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
         {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY}},
        {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
         {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY}},
    };
    return &names[kind];
}

static inline cudnnBackendDescriptor_t nnrt_cudnn_operation(nnrt_device *device, nnrt_cudnn_plan *plan) {
    static const char what[] = "cuDNN (the operation)";
    const nnrt_convolution *shape = &plan->shape;
    const nnrt_cudnn_names *names = nnrt_cudnn_names_of(shape->kind);
    cudnnBackendDescriptor_t tensors[NNRT_CUDNN_TENSORS] = {
        nnrt_cudnn_tensor(device, plan, NNRT_CUDNN_IMAGE, plan->samples, shape->channels, shape->cells),
        nnrt_cudnn_tensor(device, plan, NNRT_CUDNN_WEIGHTS, shape->features, shape->channels, shape->taps),
        nnrt_cudnn_tensor(device, plan, NNRT_CUDNN_RESULT, plan->samples, shape->features, shape->positions)};
    cudnnBackendDescriptor_t window = nnrt_cudnn_window(device, plan);
    cudnnBackendDescriptor_t part = nnrt_cudnn_part(device, plan, names->type, what);
    float alpha = 1, beta = 0;
    nnrt_cudnn_set(device, part, names->window, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &window, what);
    for (int i = 0; i < NNRT_CUDNN_TENSORS; i++)
        nnrt_cudnn_set(device, part, names->tensors[i], CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &tensors[i], what);
    nnrt_cudnn_set(device, part, names->alpha, CUDNN_TYPE_FLOAT, 1, &alpha, what);
    nnrt_cudnn_set(device, part, names->beta, CUDNN_TYPE_FLOAT, 1, &beta, what);
    nnrt_cudnn_finish(device, part, what);
    return part;
}

/* A graph of this one operation. */
static inline cudnnBackendDescriptor_t nnrt_cudnn_graph(nnrt_device *device, nnrt_cudnn_plan *plan,
                                                        cudnnHandle_t handle) {
    static const char what[] = "cuDNN (its graph)";
    cudnnBackendDescriptor_t part = nnrt_cudnn_operation(device, plan);
    cudnnBackendDescriptor_t graph = nnrt_cudnn_part(device, plan, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, what);
    nnrt_cudnn_set(device, graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle, what);
    nnrt_cudnn_set(device, graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &part, what);
    nnrt_cudnn_finish(device, graph, what);
    return graph;
}

/* ---- engines */

static inline bool nnrt_cudnn_forbids(const nnrt_convolution *shape, cudnnBackendNumericalNote_t note) {
    return note != CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP &&
           !(note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE && shape->tensor_cores);
}

/* Does the engine of this configuration compute what is wanted? One that does not say so does not. */
static inline bool nnrt_cudnn_suits(const nnrt_convolution *shape, cudnnBackendDescriptor_t config) {
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    cudnnBackendDescriptor_t engine = NULL;
    int64_t count = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) != CUDNN_STATUS_SUCCESS)
        return false;
    bool suits = cudnnBackendGetAttribute(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                          &engine) == CUDNN_STATUS_SUCCESS &&
                 cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                          CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes) == CUDNN_STATUS_SUCCESS &&
                 count <= CUDNN_NUMERICAL_NOTE_TYPE_COUNT;
    for (int64_t i = 0; i < count && suits; i++)
        suits = !nnrt_cudnn_forbids(shape, notes[i]);
    cudnnBackendDestroyDescriptor(engine);
    return suits;
}

/* The plan by this configuration, if cuDNN can make one and its workspace is there; NULL: not. */
static inline cudnnBackendDescriptor_t nnrt_cudnn_run(const nnrt_convolution *shape, cudnnHandle_t handle,
                                                      cudnnBackendDescriptor_t config) {
    cudnnBackendDescriptor_t run = NULL;
    int64_t bytes = 0, count = 0;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &run) != CUDNN_STATUS_SUCCESS)
        return NULL;
    if (cudnnBackendSetAttribute(run, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle) ==
            CUDNN_STATUS_SUCCESS &&
        cudnnBackendSetAttribute(run, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                 &config) == CUDNN_STATUS_SUCCESS &&
        cudnnBackendFinalize(run) == CUDNN_STATUS_SUCCESS &&
        cudnnBackendGetAttribute(run, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count, &bytes) ==
            CUDNN_STATUS_SUCCESS &&
        bytes <= shape->workspace)
        return run;
    cudnnBackendDestroyDescriptor(run);
    return NULL;
}

/* Configurations in the order of a heuristic; returns how many there are. */
static inline int64_t nnrt_cudnn_configs(nnrt_device *device, cudnnBackendDescriptor_t graph,
                                         cudnnBackendHeurMode_t mode, cudnnBackendDescriptor_t *configs) {
    static const char what[] = "cuDNN (the choice of an engine)";
    cudnnBackendDescriptor_t heuristic = NULL;
    int64_t made = 0, count = 0;
    if (!nnrt_cudnn_check(device, cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &heuristic), what))
        return 0;
    nnrt_cudnn_set(device, heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &graph,
                   what);
    nnrt_cudnn_set(device, heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode, what);
    bool found = device->error == cudaSuccess && cudnnBackendFinalize(heuristic) == CUDNN_STATUS_SUCCESS;
    for (; found && made < NNRT_CUDNN_CONFIGS; made++)
        if (!nnrt_cudnn_check(device, cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &configs[made]),
                              what))
            break;
    if (made > 0)
        nnrt_cudnn_check(device,
                         cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                                  CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &count, configs),
                         what);
    count = count < made ? count : made;
    while (made > count)
        cudnnBackendDestroyDescriptor(configs[--made]);
    cudnnBackendDestroyDescriptor(heuristic);
    return count;
}

/* Looks for an engine; the configuration that is taken stays with the plan. */
static inline void nnrt_cudnn_choose(nnrt_device *device, nnrt_cudnn_plan *plan, cudnnHandle_t handle,
                                     cudnnBackendDescriptor_t graph) {
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    for (int m = 0; m < 2 && !plan->run && device->error == cudaSuccess; m++) {
        cudnnBackendDescriptor_t configs[NNRT_CUDNN_CONFIGS];
        int64_t count = nnrt_cudnn_configs(device, graph, modes[m], configs);
        for (int64_t i = 0; i < count; i++) {
            if (!plan->run && device->error == cudaSuccess && nnrt_cudnn_suits(&plan->shape, configs[i]))
                plan->run = nnrt_cudnn_run(&plan->shape, handle, configs[i]);
            if (plan->run && plan->parts[plan->part_count - 1] != plan->run) {
                plan->parts[plan->part_count++] = configs[i];
                plan->parts[plan->part_count++] = plan->run;
            } else
                cudnnBackendDestroyDescriptor(configs[i]);
        }
    }
    if (!plan->run && device->error == cudaSuccess)
        nnrt_device_refused(device, "cuDNN",
                            "it has no engine that gives the same bits each time, sums products as they are and needs "
                            "no more than the scratch memory there is");
}

/* ---- plans */

static inline nnrt_cudnn_plan *nnrt_cudnn_add(nnrt_device *device, nnrt_cudnn *library) {
    if (library->count == library->capacity) {
        int capacity = library->capacity ? 2 * library->capacity : 16;
        nnrt_cudnn_plan *plans = (nnrt_cudnn_plan *)realloc(library->plans, (size_t)capacity * sizeof *plans);
        if (!plans) {
            nnrt_device_check(device, cudaErrorMemoryAllocation);
            return NULL;
        }
        library->plans = plans;
        library->capacity = capacity;
    }
    memset(&library->plans[library->count], 0, sizeof *library->plans);
    return &library->plans[library->count++];
}

/* On the device's stream. NULL after an error. */
static inline const nnrt_cudnn_plan *nnrt_cudnn_find(nnrt_device *device, nnrt_cudnn *library,
                                                     const nnrt_convolution *shape, int64_t samples,
                                                     int64_t alignment) {
    if (!nnrt_cudnn_check(device, cudnnSetStream(library->handle, device->stream), "cuDNN (the stream)"))
        return NULL;
    for (int i = 0; i < library->count; i++)
        if (library->plans[i].samples == samples && library->plans[i].alignment == alignment &&
            memcmp(&library->plans[i].shape, shape, sizeof *shape) == 0)
            return &library->plans[i];
    nnrt_cudnn_plan *plan = nnrt_cudnn_add(device, library);
    if (!plan)
        return NULL;
    plan->shape = *shape;
    plan->samples = samples;
    plan->alignment = alignment;
    cudnnBackendDescriptor_t graph = nnrt_cudnn_graph(device, plan, library->handle);
    if (device->error == cudaSuccess)
        nnrt_cudnn_choose(device, plan, library->handle, graph);
    if (device->error == cudaSuccess)
        return plan;
    nnrt_cudnn_forget(plan);
    library->count--;
    return NULL;
}

/* For tensors as they lie in the memory of a step. */
static inline void nnrt_convolution_prepare(nnrt_device *device, const nnrt_convolution *shape, int64_t samples) {
    nnrt_cudnn *library = nnrt_cudnn_open(device);
    if (!library)
        return;
    std::lock_guard<std::mutex> lock(library->mutex);
    nnrt_cudnn_find(device, library, shape, samples, NNRT_CUDNN_ALIGNMENT);
}

static inline void nnrt_cudnn_execute(nnrt_device *device, nnrt_cudnn *library, const nnrt_cudnn_plan *plan,
                                      void **tensors, void *workspace) {
    static const char what[] = "cuDNN (the tensors of a plan)";
    int64_t ids[] = {NNRT_CUDNN_IMAGE, NNRT_CUDNN_WEIGHTS, NNRT_CUDNN_RESULT};
    cudnnBackendDescriptor_t pack = NULL;
    if (!nnrt_cudnn_check(device, cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack), what))
        return;
    nnrt_cudnn_set(device, pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, NNRT_CUDNN_TENSORS, ids, what);
    nnrt_cudnn_set(device, pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, NNRT_CUDNN_TENSORS,
                   tensors, what);
    nnrt_cudnn_set(device, pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace, what);
    nnrt_cudnn_finish(device, pack, what);
    if (device->error == cudaSuccess)
        nnrt_cudnn_check(device, cudnnBackendExecute(library->handle, plan->run, pack), "cuDNN (execution)");
    cudnnBackendDestroyDescriptor(pack);
}

/* a and b: what is read, in the order image, weights, result. */
static inline void nnrt_convolve(nnrt_device *device, const nnrt_convolution *shape, int64_t samples, void *written,
                                 const void *a, const void *b, void *workspace) {
    void *read[] = {(void *)a, (void *)b}, *tensors[NNRT_CUDNN_TENSORS];
    int64_t alignment = NNRT_CUDNN_ALIGNMENT;
    int at = shape->kind == NNRT_CONVOLUTION_FORWARD    ? NNRT_CUDNN_RESULT
             : shape->kind == NNRT_CONVOLUTION_BY_IMAGE ? NNRT_CUDNN_IMAGE
                                                        : NNRT_CUDNN_WEIGHTS;
    nnrt_cudnn *library = nnrt_cudnn_open(device);
    if (!library)
        return;
    for (int i = 0, next = 0; i < NNRT_CUDNN_TENSORS; i++) {
        tensors[i] = i == at ? written : read[next++];
        while ((uintptr_t)tensors[i] % (uintptr_t)alignment)
            alignment /= 2;
    }
    std::lock_guard<std::mutex> lock(library->mutex);
    const nnrt_cudnn_plan *plan = nnrt_cudnn_find(device, library, shape, samples, alignment);
    if (plan)
        nnrt_cudnn_execute(device, library, plan, tensors, workspace);
}
#endif
