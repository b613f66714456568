/* As much of cuBLASLt as nnrt_cublaslt.h calls, on the CPU, and strict: what the library's documents forbid ends the
 * program, and so do descriptors that are not destroyed. Handles may stay where EMULATED_KEPT=1 says so: of a library
 * that works on a caller's stream. EMULATED_CUBLASLT=handle and =product refuse to make a handle, to know an algorithm.
 */
#ifndef EMULATED_CUBLASLT_H
#define EMULATED_CUBLASLT_H
#include "cuda_runtime.h"
#include <cstdint>

typedef enum { CUBLAS_STATUS_SUCCESS, CUBLAS_STATUS_NOT_INITIALIZED, CUBLAS_STATUS_NOT_SUPPORTED } cublasStatus_t;
typedef enum { CUBLAS_OP_N, CUBLAS_OP_T } cublasOperation_t;
typedef enum {
    CUBLAS_COMPUTE_32F = 68,
    CUBLAS_COMPUTE_32F_FAST_16BF = 75,
    CUBLAS_COMPUTE_32F_FAST_TF32 = 77
} cublasComputeType_t;
typedef enum { CUDA_R_32F } cudaDataType_t;
typedef enum {
    CUBLASLT_EPILOGUE_DEFAULT = 1,
    CUBLASLT_EPILOGUE_RELU = 2,
    CUBLASLT_EPILOGUE_BIAS = 4,
    CUBLASLT_EPILOGUE_RELU_BIAS = CUBLASLT_EPILOGUE_RELU | CUBLASLT_EPILOGUE_BIAS
} cublasLtEpilogue_t;
typedef enum {
    CUBLASLT_MATMUL_DESC_TRANSA,
    CUBLASLT_MATMUL_DESC_TRANSB,
    CUBLASLT_MATMUL_DESC_EPILOGUE,
    CUBLASLT_MATMUL_DESC_BIAS_POINTER
} cublasLtMatmulDescAttributes_t;
enum { CUBLASLT_REDUCTION_SCHEME_INPLACE = 1, CUBLASLT_REDUCTION_SCHEME_MASK = 7 };
typedef enum {
    CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
    CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
    CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES
} cublasLtMatmulPreferenceAttributes_t;

struct emulated_lt_operation {
    cublasComputeType_t compute;
    uint32_t transposed[2], epilogue;
    const float *bias;
};
struct emulated_lt_layout {
    uint64_t rows, columns;
    int64_t distance;
};
struct emulated_lt_preference {
    uint64_t scratch;
    uint32_t reductions, alignment[4];
};
typedef struct emulated_lt_handle {
    int live;
} * cublasLtHandle_t;
typedef emulated_lt_operation *cublasLtMatmulDesc_t;
typedef emulated_lt_layout *cublasLtMatrixLayout_t;
typedef emulated_lt_preference *cublasLtMatmulPreference_t;
/* Of which product it is. */
typedef struct {
    uint64_t sizes[3], scratch;
    uint32_t alignment[4], epilogue, known;
} cublasLtMatmulAlgo_t;
typedef struct {
    cublasLtMatmulAlgo_t algo;
    size_t workspaceSize;
    cublasStatus_t state;
    float wavesCount;
} cublasLtMatmulHeuristicResult_t;

static inline void emulated_lt_demand(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "emulated cuBLASLt: %s\n", what);
        abort();
    }
}
#define EMULATED_LT_DEMAND(what) emulated_lt_demand(what, #what)

static int emulated_lt_handles, emulated_lt_descriptors;
static inline void emulated_lt_end(void) {
    if (emulated_lt_descriptors || (emulated_lt_handles && !getenv("EMULATED_KEPT"))) {
        fprintf(stderr, "emulated cuBLASLt: %d descriptors and %d handles are not destroyed\n", emulated_lt_descriptors,
                emulated_lt_handles);
        _Exit(9);
    }
}
static inline bool emulated_lt_refuses(const char *what) {
    const char *refused = getenv("EMULATED_CUBLASLT");
    return refused && strcmp(refused, what) == 0;
}
template <typename T> static inline cublasStatus_t emulated_lt_destroy(T *what, int *live) {
    EMULATED_LT_DEMAND(what && *live > 0);
    --*live;
    delete what;
    return CUBLAS_STATUS_SUCCESS;
}

static inline const char *cublasLtGetStatusString(cublasStatus_t status) {
    return status == CUBLAS_STATUS_NOT_INITIALIZED ? "the library was not initialized" : "not supported";
}
static inline cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle) {
    static bool watched = false;
    if (emulated_lt_refuses("handle"))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!watched)
        atexit(emulated_lt_end);
    watched = true;
    emulated_lt_handles++;
    *handle = new emulated_lt_handle{1};
    return CUBLAS_STATUS_SUCCESS;
}
static inline cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    return emulated_lt_destroy(handle, &emulated_lt_handles);
}

/* ---- descriptors */
static inline cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *operation, cublasComputeType_t compute,
                                                      cudaDataType_t scale) {
    EMULATED_LT_DEMAND(scale == CUDA_R_32F);
    emulated_lt_descriptors++;
    *operation = new emulated_lt_operation{compute, {CUBLAS_OP_N, CUBLAS_OP_N}, CUBLASLT_EPILOGUE_DEFAULT, NULL};
    return CUBLAS_STATUS_SUCCESS;
}
static inline cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation,
                                                            cublasLtMatmulDescAttributes_t attribute, const void *value,
                                                            size_t bytes) {
    bool pointer = attribute == CUBLASLT_MATMUL_DESC_BIAS_POINTER;
    void *target = pointer ? (void *)&operation->bias
                   : attribute == CUBLASLT_MATMUL_DESC_EPILOGUE
                       ? &operation->epilogue
                       : &operation->transposed[attribute == CUBLASLT_MATMUL_DESC_TRANSB];
    EMULATED_LT_DEMAND(bytes == (pointer ? sizeof(void *) : sizeof(uint32_t)));
    memcpy(target, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}
static inline cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
    return emulated_lt_destroy(operation, &emulated_lt_descriptors);
}
static inline cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType_t type,
                                                        uint64_t rows, uint64_t columns, int64_t distance) {
    EMULATED_LT_DEMAND(type == CUDA_R_32F && rows > 0 && columns > 0 && distance >= (int64_t)rows);
    emulated_lt_descriptors++;
    *layout = new emulated_lt_layout{rows, columns, distance};
    return CUBLAS_STATUS_SUCCESS;
}
static inline cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    return emulated_lt_destroy(layout, &emulated_lt_descriptors);
}
static inline cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference) {
    emulated_lt_descriptors++;
    *preference = new emulated_lt_preference{0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}};
    return CUBLAS_STATUS_SUCCESS;
}
static inline cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                                  cublasLtMatmulPreferenceAttributes_t attribute,
                                                                  const void *value, size_t bytes) {
    bool scratch = attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
    void *target = scratch ? (void *)&preference->scratch
                   : attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK
                       ? &preference->reductions
                       : &preference->alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES];
    EMULATED_LT_DEMAND(bytes == (scratch ? sizeof(uint64_t) : sizeof(uint32_t)));
    memcpy(target, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}
static inline cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    return emulated_lt_destroy(preference, &emulated_lt_descriptors);
}

/* ---- products */

/* Rows, columns and terms of op(a) op(b) = d. */
static inline void emulated_lt_sizes(const emulated_lt_operation *o, const emulated_lt_layout *a,
                                     const emulated_lt_layout *b, const emulated_lt_layout *d, uint64_t sizes[3]) {
    bool at = o->transposed[0] == CUBLAS_OP_T, bt = o->transposed[1] == CUBLAS_OP_T;
    sizes[0] = at ? a->columns : a->rows;
    sizes[1] = bt ? b->rows : b->columns;
    sizes[2] = at ? a->rows : a->columns;
    EMULATED_LT_DEMAND(sizes[2] == (bt ? b->columns : b->rows));
    EMULATED_LT_DEMAND(sizes[0] == d->rows && sizes[1] == d->columns);
    EMULATED_LT_DEMAND(!(o->epilogue & CUBLASLT_EPILOGUE_BIAS) == !o->bias);
}

/* What could add to one place in any order is not asked for. */
static inline cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                                            cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                                            cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                                            cublasLtMatmulPreference_t preference, int wanted,
                                                            cublasLtMatmulHeuristicResult_t *found, int *count) {
    EMULATED_LT_DEMAND(handle && handle->live && wanted == 1 && c == d);
    EMULATED_LT_DEMAND(!(preference->reductions & CUBLASLT_REDUCTION_SCHEME_INPLACE));
    *count = 0;
    if (emulated_lt_refuses("product"))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    *found = {};
    emulated_lt_sizes(operation, a, b, d, found->algo.sizes);
    memcpy(found->algo.alignment, preference->alignment, sizeof preference->alignment);
    found->algo.scratch = found->workspaceSize = preference->scratch;
    found->algo.epilogue = operation->epilogue;
    found->algo.known = 1;
    *count = 1;
    return CUBLAS_STATUS_SUCCESS;
}

static inline float emulated_lt_operand(cublasComputeType_t compute, float x) {
    return compute == CUBLAS_COMPUTE_32F             ? x
           : compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? emulated_round(x, 0x1000, 0, ~0x1fffu)
                                                     : emulated_round(x, 0x7fff, 16, ~0xffffu);
}

typedef struct {
    emulated_lt_operation operation;
    emulated_lt_layout layouts[3];
    uint64_t sizes[3];
    const float *a, *b;
    float *d;
    char *scratch;
    size_t scratch_bytes;
} emulated_lt_product;

static inline void emulated_lt_run(const emulated_lt_product *p) {
    bool at = p->operation.transposed[0] == CUBLAS_OP_T, bt = p->operation.transposed[1] == CUBLAS_OP_T;
    const emulated_lt_layout *a = &p->layouts[0], *b = &p->layouts[1], *d = &p->layouts[2];
    memset(p->scratch, 0xFF, p->scratch_bytes);
    for (uint64_t i = 0; i < p->sizes[0]; i++)
        for (uint64_t j = 0; j < p->sizes[1]; j++) {
            float sum = 0;
            for (uint64_t k = 0; k < p->sizes[2]; k++)
                sum = fmaf(emulated_lt_operand(p->operation.compute,
                                               at ? p->a[k + i * a->distance] : p->a[i + k * a->distance]),
                           emulated_lt_operand(p->operation.compute,
                                               bt ? p->b[j + k * b->distance] : p->b[k + j * b->distance]),
                           sum);
            sum += p->operation.bias ? p->operation.bias[i] : 0;
            p->d[i + j * d->distance] = p->operation.epilogue & CUBLASLT_EPILOGUE_RELU && sum < 0 ? 0 : sum;
        }
}

static inline void emulated_lt_check_places(const cublasLtMatmulAlgo_t *algorithm, const void *const places[4]) {
    for (int i = 0; i < 4; i++)
        EMULATED_LT_DEMAND((uintptr_t)places[i] % algorithm->alignment[i] == 0);
}

static inline cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void *alpha,
                                            const void *a, cublasLtMatrixLayout_t a_layout, const void *b,
                                            cublasLtMatrixLayout_t b_layout, const void *beta, const void *c,
                                            cublasLtMatrixLayout_t c_layout, void *d, cublasLtMatrixLayout_t d_layout,
                                            const cublasLtMatmulAlgo_t *algorithm, void *scratch, size_t scratch_bytes,
                                            cudaStream_t stream) {
    const void *const places[] = {a, b, c, d};
    emulated_lt_product p = {*operation,
                             {*a_layout, *b_layout, *d_layout},
                             {},
                             (const float *)a,
                             (const float *)b,
                             (float *)d,
                             (char *)scratch,
                             scratch_bytes};
    emulated_lt_sizes(operation, a_layout, b_layout, d_layout, p.sizes);
    EMULATED_LT_DEMAND(handle && handle->live && c == d && c_layout == d_layout && d != a && d != b);
    EMULATED_LT_DEMAND(*(const float *)alpha == 1 && *(const float *)beta == 0);
    EMULATED_LT_DEMAND(algorithm->known == 1 && memcmp(algorithm->sizes, p.sizes, sizeof p.sizes) == 0);
    EMULATED_LT_DEMAND(algorithm->epilogue == operation->epilogue && scratch_bytes >= algorithm->scratch);
    EMULATED_LT_DEMAND(scratch_bytes == 0 || (scratch && (uintptr_t)scratch % 256 == 0));
    EMULATED_LT_DEMAND(!operation->bias || (uintptr_t)operation->bias % algorithm->alignment[3] == 0);
    emulated_lt_check_places(algorithm, places);
    emulated_arguments(a, b, d, operation->bias, (const void *)scratch);
    emulated_run(stream, [=] { emulated_lt_run(&p); });
    return CUBLAS_STATUS_SUCCESS;
}
#endif
