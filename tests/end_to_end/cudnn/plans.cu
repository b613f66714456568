/* Does cuDNN itself have engines for what a program asks of it? It makes plans without a device, for a description of
 * one: each convolution of the program in EMITTED, listed in SHAPES, for each number of samples, as nnrt_cudnn.h builds
 * it and by the engines that it lets pass. Runs nothing. Status 77: this cuDNN makes no plans without a device. */
#define main emitted_main
#include EMITTED
#undef main
#include <string>

static const struct {
    const char *name;
    const nnrt_convolution *shape;
} shapes[] = {
#include SHAPES
};

static std::string read_file(const char *path) {
    std::string text;
    FILE *file = fopen(path, "r");
    for (int c; file && (c = fgetc(file)) != EOF;)
        text += (char)c;
    if (file)
        fclose(file);
    return text;
}

static void need(cudnnStatus_t status, const char *what) {
    if (status == CUDNN_STATUS_SUCCESS)
        return;
    printf("%s: %s\n", what, cudnnGetErrorString(status));
    exit(1);
}

static cudnnBackendDescriptor_t create(cudnnBackendDescriptorType_t type) {
    cudnnBackendDescriptor_t d = NULL;
    need(cudnnBackendCreateDescriptor(type, &d), "a descriptor");
    return d;
}

static void set(cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t value) {
    need(cudnnBackendSetAttribute(d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value), "an attribute");
}

/* Bytes that the first plan wants that may be taken; -1: there is none. */
static int64_t first_plan(cudnnBackendDescriptor_t device, cudnnBackendDescriptor_t graph, cudnnBackendHeurMode_t mode,
                          const nnrt_convolution *shape, int64_t *number) {
    cudnnBackendDescriptor_t heuristic = create(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR), configs[NNRT_CUDNN_CONFIGS];
    int64_t count = 0, bytes = -1, one = 0;
    set(heuristic, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    set(heuristic, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, device);
    need(cudnnBackendSetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode), "the mode");
    need(cudnnBackendFinalize(heuristic), "the heuristic");
    for (auto &config : configs)
        config = create(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    need(cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                  NNRT_CUDNN_CONFIGS, &count, configs),
         "its results");
    for (*number = 0; *number < count; ++*number) {
        if (!nnrt_cudnn_suits(shape, configs[*number]))
            continue;
        cudnnBackendDescriptor_t run = create(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
        set(run, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configs[*number]);
        set(run, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, device);
        if (cudnnBackendFinalize(run) == CUDNN_STATUS_SUCCESS)
            need(cudnnBackendGetAttribute(run, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &one,
                                          &bytes),
                 "its workspace");
        if (bytes >= 0 && bytes <= shape->workspace)
            return bytes;
        bytes = -1;
    }
    return -1;
}

static bool has_plan(cudnnBackendDescriptor_t device, const char *name, const nnrt_convolution *shape,
                     int64_t samples) {
    nnrt_device errors = {};
    nnrt_cudnn_plan plan = {};
    int64_t number, bytes = -1;
    plan.shape = *shape;
    plan.samples = samples;
    plan.alignment = NNRT_CUDNN_ALIGNMENT;
    cudnnBackendDescriptor_t operation = nnrt_cudnn_operation(&errors, &plan);
    cudnnBackendDescriptor_t graph = create(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (errors.error != cudaSuccess) {
        printf("%s: %s: %s\n", name, errors.library, errors.said);
        return false;
    }
    set(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
    need(cudnnBackendFinalize(graph), "the graph");
    for (cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK})
        if (bytes < 0)
            bytes = first_plan(device, graph, mode, shape, &number);
    printf("%s, %lld samples: configuration %lld, %lld bytes\n", name, (long long)samples, (long long)number,
           (long long)bytes);
    return bytes >= 0;
}

/* plans DEVICE.json SAMPLES.. */
int main(int argc, char **argv) {
    std::string text = read_file(argv[1]);
    cudnnBackendDescriptor_t device = create(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
    bool good = true;
    if (cudnnBackendSetAttribute(device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                 (int64_t)text.size(), text.data()) != CUDNN_STATUS_SUCCESS ||
        cudnnBackendFinalize(device) != CUDNN_STATUS_SUCCESS)
        return 77;
    for (auto &shape : shapes)
        for (int i = 2; i < argc; i++)
            good = has_plan(device, shape.name, shape.shape, atoll(argv[i])) && good;
    return good ? 0 : 1;
}
