/* For tests on machines without a GPU: as much of cuDNN's backend API as nnrt_cudnn.h uses, on the CPU, and strict
 * about it: whatever cuDNN would refuse, or does not promise, ends the program with a message. Among the engines that
 * it offers are some that must not be taken.
 *
 * EMULATED_CUDNN=none: there is no engine that may be taken; =fails: plans do not run. */
#ifndef EMULATED_CUDNN_BACKEND_H
#define EMULATED_CUDNN_BACKEND_H
#include <cuda_runtime.h>
#include <map>

typedef enum {
    CUDNN_STATUS_SUCCESS = 0,
    CUDNN_STATUS_NOT_SUPPORTED = 3000,
    CUDNN_STATUS_EXECUTION_FAILED = 5000
} cudnnStatus_t;
typedef enum { CUDNN_DATA_FLOAT = 0 } cudnnDataType_t;
typedef enum { CUDNN_CONVOLUTION = 0, CUDNN_CROSS_CORRELATION = 1 } cudnnConvolutionMode_t;
typedef enum { CUDNN_HEUR_MODE_FALLBACK = 2, CUDNN_HEUR_MODE_A = 3 } cudnnBackendHeurMode_t;
typedef enum {
    CUDNN_NUMERICAL_NOTE_TENSOR_CORE = 0,
    CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS = 1,
    CUDNN_NUMERICAL_NOTE_FFT = 3,
    CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC = 4,
    CUDNN_NUMERICAL_NOTE_WINOGRAD = 5,
    CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP = 9,
    CUDNN_NUMERICAL_NOTE_TYPE_COUNT = 10
} cudnnBackendNumericalNote_t;
typedef enum {
    CUDNN_TYPE_HANDLE = 0,
    CUDNN_TYPE_DATA_TYPE = 1,
    CUDNN_TYPE_INT64 = 3,
    CUDNN_TYPE_FLOAT = 4,
    CUDNN_TYPE_VOID_PTR = 6,
    CUDNN_TYPE_CONVOLUTION_MODE = 7,
    CUDNN_TYPE_HEUR_MODE = 8,
    CUDNN_TYPE_NUMERICAL_NOTE = 11,
    CUDNN_TYPE_BACKEND_DESCRIPTOR = 15
} cudnnBackendAttributeType_t;
typedef enum {
    CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR = 1,
    CUDNN_BACKEND_ENGINE_DESCRIPTOR = 2,
    CUDNN_BACKEND_ENGINECFG_DESCRIPTOR = 3,
    CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR = 4,
    CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR = 5,
    CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR = 10,
    CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR = 11,
    CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR = 12,
    CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR = 15,
    CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR = 16,
    CUDNN_BACKEND_TENSOR_DESCRIPTOR = 17
} cudnnBackendDescriptorType_t;
typedef enum {
    CUDNN_ATTR_CONVOLUTION_COMP_TYPE = 100,
    CUDNN_ATTR_CONVOLUTION_CONV_MODE,
    CUDNN_ATTR_CONVOLUTION_DILATIONS,
    CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES,
    CUDNN_ATTR_CONVOLUTION_POST_PADDINGS,
    CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS,
    CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS,
    CUDNN_ATTR_ENGINEHEUR_MODE = 200,
    CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
    CUDNN_ATTR_ENGINEHEUR_RESULTS,
    CUDNN_ATTR_ENGINECFG_ENGINE = 300,
    CUDNN_ATTR_EXECUTION_PLAN_HANDLE = 400,
    CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
    CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA = 700,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
    CUDNN_ATTR_OPERATIONGRAPH_HANDLE = 800,
    CUDNN_ATTR_OPERATIONGRAPH_OPS,
    CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT = 900,
    CUDNN_ATTR_TENSOR_DATA_TYPE,
    CUDNN_ATTR_TENSOR_DIMENSIONS,
    CUDNN_ATTR_TENSOR_STRIDES,
    CUDNN_ATTR_TENSOR_UNIQUE_ID = 906,
    CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS = 1000,
    CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
    CUDNN_ATTR_VARIANT_PACK_WORKSPACE = 1003,
    CUDNN_ATTR_ENGINE_NUMERICAL_NOTE = 1303
} cudnnBackendAttributeName_t;

/* ---- descriptors */

struct emulated_values {
    int type;
    int64_t count;
    std::vector<char> bytes;
    template <typename T> T at(int64_t i) const {
        T value;
        memcpy(&value, bytes.data() + (size_t)i * sizeof value, sizeof value);
        return value;
    }
};
struct emulated_descriptor {
    int type;
    bool finished;
    int engine;
    std::map<int, emulated_values> values;
};
struct emulated_cudnn {
    cudaStream_t stream;
};
typedef emulated_descriptor *cudnnBackendDescriptor_t;
typedef emulated_cudnn *cudnnHandle_t;
static int emulated_descriptors;

static inline void emulated_cudnn_need(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "cuDNN: %s\n", what);
        abort();
    }
}
static inline const char *cudnnGetErrorString(cudnnStatus_t status) {
    return status == CUDNN_STATUS_SUCCESS ? "CUDNN_STATUS_SUCCESS" : "CUDNN_STATUS_EXECUTION_FAILED";
}
static inline cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
    *handle = new emulated_cudnn();
    return CUDNN_STATUS_SUCCESS;
}
static inline cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
    emulated_cudnn_need(emulated_descriptors == 0, "descriptors are left");
    delete handle;
    return CUDNN_STATUS_SUCCESS;
}
static inline cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}
static inline cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                                         cudnnBackendDescriptor_t *d) {
    *d = new emulated_descriptor{(int)type, false, -1, {}};
    emulated_descriptors++;
    return CUDNN_STATUS_SUCCESS;
}
static inline cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t d) {
    emulated_descriptors--;
    delete d;
    return CUDNN_STATUS_SUCCESS;
}

static inline size_t emulated_size(int type) {
    return type == CUDNN_TYPE_FLOAT || type == CUDNN_TYPE_DATA_TYPE || type == CUDNN_TYPE_CONVOLUTION_MODE ||
                   type == CUDNN_TYPE_HEUR_MODE
               ? 4
               : 8;
}
/* What an attribute holds; descriptors must be finished. */
static inline int emulated_type(int name) {
    switch (name) {
    case CUDNN_ATTR_CONVOLUTION_COMP_TYPE:
    case CUDNN_ATTR_TENSOR_DATA_TYPE:
        return CUDNN_TYPE_DATA_TYPE;
    case CUDNN_ATTR_CONVOLUTION_CONV_MODE:
        return CUDNN_TYPE_CONVOLUTION_MODE;
    case CUDNN_ATTR_ENGINEHEUR_MODE:
        return CUDNN_TYPE_HEUR_MODE;
    case CUDNN_ATTR_EXECUTION_PLAN_HANDLE:
    case CUDNN_ATTR_OPERATIONGRAPH_HANDLE:
        return CUDNN_TYPE_HANDLE;
    case CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA:
    case CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA:
    case CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA:
    case CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA:
    case CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA:
    case CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA:
        return CUDNN_TYPE_FLOAT;
    case CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS:
    case CUDNN_ATTR_VARIANT_PACK_WORKSPACE:
        return CUDNN_TYPE_VOID_PTR;
    case CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH:
    case CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG:
    case CUDNN_ATTR_OPERATIONGRAPH_OPS:
        return CUDNN_TYPE_BACKEND_DESCRIPTOR;
    default:
        return name >= 700 && name < 800 ? CUDNN_TYPE_BACKEND_DESCRIPTOR : CUDNN_TYPE_INT64;
    }
}
static inline cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                                                     cudnnBackendAttributeType_t type, int64_t count,
                                                     const void *values) {
    emulated_cudnn_need(!d->finished, "a descriptor is changed that is finished");
    emulated_cudnn_need((int)type == emulated_type(name), "an attribute has another type");
    emulated_values v = {(int)type, count, {}};
    v.bytes.assign((const char *)values, (const char *)values + (size_t)count * emulated_size(type));
    for (int64_t i = 0; type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < count; i++)
        emulated_cudnn_need(v.at<cudnnBackendDescriptor_t>(i)->finished, "a descriptor is used that is not finished");
    d->values[name] = v;
    return CUDNN_STATUS_SUCCESS;
}
static inline const emulated_values &emulated_get(const emulated_descriptor *d, int name) {
    auto found = d->values.find(name);
    emulated_cudnn_need(found != d->values.end(), "an attribute is missing");
    return found->second;
}
static inline emulated_descriptor *emulated_part(const emulated_descriptor *d, int name) {
    return emulated_get(d, name).at<emulated_descriptor *>(0);
}

/* ---- engines: what they say of themselves, the bytes that they want, and whether a plan can be made */

static const struct {
    std::vector<int> notes;
    int64_t bytes;
    bool works;
} emulated_engines[] = {
    {{CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}, 0, true},
    {{CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS}, 0, true},
    {{CUDNN_NUMERICAL_NOTE_WINOGRAD}, 0, true},
    {{}, (int64_t)1 << 40, true},
    {{}, 0, false},
    {{CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, 4096, true},
    {{CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP}, 1000, true},
};
enum { EMULATED_TENSOR_CORES = 5, EMULATED_EXACT = 6, EMULATED_ENGINES = 7 };

static inline bool emulated_cudnn_is(const char *what) {
    const char *told = getenv("EMULATED_CUDNN");
    return told && strcmp(told, what) == 0;
}
/* Mode A offers the first engines, the fallback the last one. */
static inline void emulated_offer(const emulated_descriptor *heuristic, int *from, int *to) {
    bool fallback =
        emulated_get(heuristic, CUDNN_ATTR_ENGINEHEUR_MODE).at<cudnnBackendHeurMode_t>(0) == CUDNN_HEUR_MODE_FALLBACK;
    *from = fallback ? EMULATED_EXACT : 0;
    *to = emulated_cudnn_is("none") ? 5 : fallback ? EMULATED_ENGINES : EMULATED_EXACT;
}
static inline cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                                                     cudnnBackendAttributeType_t type, int64_t wanted, int64_t *count,
                                                     void *values) {
    if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS && type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        int from, to;
        emulated_offer(d, &from, &to);
        *count = to > from ? to - from : 0;
        for (int64_t i = 0; i < wanted && i < *count; i++) {
            emulated_descriptor *config = ((emulated_descriptor **)values)[i];
            emulated_cudnn_need(config->type == CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "a result is no configuration");
            config->engine = from + (int)i;
            config->finished = true;
            config->values = d->values;
        }
    } else if (name == CUDNN_ATTR_ENGINECFG_ENGINE && type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        (*(emulated_descriptor **)values)->engine = d->engine;
        *count = 1;
    } else if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE && type == CUDNN_TYPE_NUMERICAL_NOTE) {
        const std::vector<int> &notes = emulated_engines[d->engine].notes;
        *count = (int64_t)notes.size();
        for (int64_t i = 0; i < wanted && i < *count; i++)
            ((cudnnBackendNumericalNote_t *)values)[i] = (cudnnBackendNumericalNote_t)notes[(size_t)i];
    } else if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && type == CUDNN_TYPE_INT64) {
        *(int64_t *)values = emulated_engines[d->engine].bytes;
        *count = 1;
    } else
        emulated_cudnn_need(false, "an attribute that cannot be asked for");
    return CUDNN_STATUS_SUCCESS;
}

/* ---- a convolution */

struct emulated_tensor {
    int64_t rank, dims[5], strides[5];
    float *memory;
    float *at(const int64_t *place) const {
        int64_t element = 0;
        for (int64_t i = 0; i < rank; i++)
            element += place[i] * strides[i];
        return memory + element;
    }
};
struct emulated_convolution {
    int type, engine;
    int64_t spatial, stride[3], dilation[3], low[3];
    emulated_tensor image, weights, result;
    void *workspace;
};

/* Channels last in memory, without gaps: what all engines take. */
static inline emulated_tensor emulated_tensor_of(const emulated_descriptor *d) {
    emulated_tensor t = {};
    const emulated_values &dims = emulated_get(d, CUDNN_ATTR_TENSOR_DIMENSIONS),
                          &strides = emulated_get(d, CUDNN_ATTR_TENSOR_STRIDES);
    t.rank = dims.count;
    emulated_cudnn_need(t.rank == strides.count && (t.rank == 4 || t.rank == 5), "a tensor has no 4 or 5 axes");
    emulated_cudnn_need(emulated_get(d, CUDNN_ATTR_TENSOR_DATA_TYPE).at<int>(0) == CUDNN_DATA_FLOAT,
                        "a tensor is not float");
    int64_t step = dims.at<int64_t>(1);
    for (int64_t i = 0; i < t.rank; i++) {
        t.dims[i] = dims.at<int64_t>(i);
        t.strides[i] = strides.at<int64_t>(i);
        emulated_cudnn_need(t.dims[i] > 0, "a tensor is empty");
    }
    for (int64_t i = t.rank - 1; i > 1; i--) {
        emulated_cudnn_need(t.strides[i] == step, "a tensor has not its channels last, without gaps");
        step *= t.dims[i];
    }
    emulated_cudnn_need(t.strides[1] == 1 && t.strides[0] == step, "a tensor has not its channels last, without gaps");
    return t;
}

static inline emulated_convolution emulated_operation(const emulated_descriptor *op) {
    static const int names[3][4] = {
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY}};
    static const int scales[3] = {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                                  CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA};
    int kind = op->type - CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
    emulated_cudnn_need(kind >= 0 && kind < 3, "the operation is no convolution");
    emulated_convolution c = {};
    const emulated_descriptor *window = emulated_part(op, names[kind][0]);
    c.type = op->type;
    c.spatial = emulated_get(window, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS).at<int64_t>(0);
    emulated_cudnn_need(emulated_get(window, CUDNN_ATTR_CONVOLUTION_CONV_MODE).at<int>(0) == CUDNN_CROSS_CORRELATION &&
                            emulated_get(window, CUDNN_ATTR_CONVOLUTION_COMP_TYPE).at<int>(0) == CUDNN_DATA_FLOAT,
                        "the convolution is of another kind");
    emulated_cudnn_need(emulated_get(op, scales[kind]).at<float>(0) == 1 &&
                            emulated_get(op, scales[kind] + 1).at<float>(0) == 0,
                        "alpha is not one, or beta not zero");
    c.image = emulated_tensor_of(emulated_part(op, names[kind][1]));
    c.weights = emulated_tensor_of(emulated_part(op, names[kind][2]));
    c.result = emulated_tensor_of(emulated_part(op, names[kind][3]));
    emulated_cudnn_need(c.image.rank == c.spatial + 2 && c.weights.rank == c.image.rank &&
                            c.result.rank == c.image.rank && c.image.dims[0] == c.result.dims[0] &&
                            c.image.dims[1] == c.weights.dims[1] && c.weights.dims[0] == c.result.dims[1],
                        "samples or channels differ");
    for (int64_t s = 0; s < c.spatial; s++) {
        c.stride[s] = emulated_get(window, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES).at<int64_t>(s);
        c.dilation[s] = emulated_get(window, CUDNN_ATTR_CONVOLUTION_DILATIONS).at<int64_t>(s);
        c.low[s] = emulated_get(window, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS).at<int64_t>(s);
        emulated_cudnn_need(c.low[s] >= 0 &&
                                c.low[s] == emulated_get(window, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS).at<int64_t>(s),
                            "the padding is not the same before and behind");
        int64_t room = c.image.dims[s + 2] + 2 * c.low[s] - c.dilation[s] * (c.weights.dims[s + 2] - 1) - 1;
        emulated_cudnn_need(room >= 0 && room / c.stride[s] + 1 == c.result.dims[s + 2],
                            "the extents of the result are others");
    }
    return c;
}

static inline float emulated_operand(const emulated_convolution &c, float x) {
    return c.engine == EMULATED_TENSOR_CORES ? emulated_round(x, 0x1000, 0, ~0x1fffu) : x;
}

/* All products, one after the other, each added where it belongs. */
static inline void emulated_products(const emulated_convolution &c, int64_t *x, int64_t *w, int64_t *y, int64_t axis) {
    if (axis == c.image.rank) {
        if (c.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
            *c.result.at(y) =
                fmaf(emulated_operand(c, *c.image.at(x)), emulated_operand(c, *c.weights.at(w)), *c.result.at(y));
        else if (c.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
            *c.image.at(x) =
                fmaf(emulated_operand(c, *c.result.at(y)), emulated_operand(c, *c.weights.at(w)), *c.image.at(x));
        else
            *c.weights.at(w) =
                fmaf(emulated_operand(c, *c.image.at(x)), emulated_operand(c, *c.result.at(y)), *c.weights.at(w));
        return;
    }
    if (axis == 0)
        for (x[0] = y[0] = 0; x[0] < c.image.dims[0]; y[0] = ++x[0])
            emulated_products(c, x, w, y, 1);
    else if (axis == 1)
        for (w[0] = y[1] = 0; w[0] < c.weights.dims[0]; y[1] = ++w[0])
            for (x[1] = w[1] = 0; x[1] < c.image.dims[1]; w[1] = ++x[1])
                emulated_products(c, x, w, y, 2);
    else
        for (y[axis] = 0; y[axis] < c.result.dims[axis]; y[axis]++)
            for (w[axis] = 0; w[axis] < c.weights.dims[axis]; w[axis]++) {
                int64_t s = axis - 2;
                x[axis] = y[axis] * c.stride[s] + w[axis] * c.dilation[s] - c.low[s];
                if (x[axis] >= 0 && x[axis] < c.image.dims[axis])
                    emulated_products(c, x, w, y, axis + 1);
            }
}
static inline void emulated_convolve(const emulated_convolution &c) {
    const emulated_tensor &written = c.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR ? c.result
                                     : c.type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR
                                         ? c.image
                                         : c.weights;
    int64_t x[5], w[5], y[5];
    memset(c.workspace, 0xFF, (size_t)emulated_engines[c.engine].bytes);
    memset(written.memory, 0, (size_t)(written.dims[0] * written.strides[0]) * sizeof(float));
    emulated_products(c, x, w, y, 0);
}

static inline cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t d) {
    emulated_cudnn_need(!d->finished, "a descriptor is finished twice");
    if (d->type == CUDNN_BACKEND_TENSOR_DESCRIPTOR) {
        emulated_tensor_of(d);
        emulated_get(d, CUDNN_ATTR_TENSOR_UNIQUE_ID);
        emulated_get(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
    } else if (d->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
        cudnnHandle_t handle = emulated_get(d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE).at<cudnnHandle_t>(0);
        d->engine = emulated_part(d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)->engine;
        emulated_cudnn_need(handle->stream, "there is no stream");
        emulated_cudnn_need(!handle->stream->recording, "a plan is made while the stream is recorded");
        if (!emulated_engines[d->engine].works)
            return CUDNN_STATUS_NOT_SUPPORTED;
    } else if (d->type >= CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR &&
               d->type <= CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
        emulated_operation(d);
    d->finished = true;
    return CUDNN_STATUS_SUCCESS;
}

/* The memory of the tensor with the id of an operand. */
static inline void emulated_bind(emulated_tensor *t, const emulated_descriptor *tensor,
                                 const emulated_descriptor *pack) {
    const emulated_values &ids = emulated_get(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    const emulated_values &pointers = emulated_get(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    int64_t id = emulated_get(tensor, CUDNN_ATTR_TENSOR_UNIQUE_ID).at<int64_t>(0);
    emulated_cudnn_need(ids.count == 3 && pointers.count == 3, "there are not three tensors");
    for (int64_t i = 0; i < 3; i++)
        if (ids.at<int64_t>(i) == id)
            t->memory = pointers.at<float *>(i);
    int64_t alignment = emulated_get(tensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT).at<int64_t>(0);
    emulated_cudnn_need(t->memory && (int64_t)(size_t)t->memory % alignment == 0,
                        "a tensor is not there, or not aligned");
}

static inline cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                                cudnnBackendDescriptor_t pack) {
    emulated_cudnn_need(plan->finished && pack->finished, "a plan or its tensors are not finished");
    const emulated_descriptor *config = emulated_part(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    const emulated_descriptor *op =
        emulated_part(emulated_part(config, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH), CUDNN_ATTR_OPERATIONGRAPH_OPS);
    emulated_convolution c = emulated_operation(op);
    bool data = op->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
    bool forward = op->type == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
    c.engine = plan->engine;
    emulated_cudnn_need(c.engine >= EMULATED_TENSOR_CORES, "an engine was taken that must not be");
    emulated_bind(&c.image,
                  emulated_part(op, forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X
                                    : data  ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX
                                            : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X),
                  pack);
    emulated_bind(&c.weights,
                  emulated_part(op, forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W
                                    : data  ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W
                                            : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW),
                  pack);
    emulated_bind(&c.result,
                  emulated_part(op, forward ? CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y
                                    : data  ? CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY
                                            : CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY),
                  pack);
    c.workspace = emulated_get(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE).at<void *>(0);
    if (emulated_cudnn_is("fails"))
        return CUDNN_STATUS_EXECUTION_FAILED;
    emulated_arguments(c.image.memory, c.weights.memory, c.result.memory, c.workspace);
    emulated_run(handle->stream, [=] { emulated_convolve(c); });
    return CUDNN_STATUS_SUCCESS;
}
#endif
