/* Products of matrices by cuBLASLt, for generated CUDA programs that call it (--blas=cublaslt). In order:
 *
 *   nnrt_lt_open(device);             makes a handle, before a graph is recorded; later calls find it
 *   nnrt_lt_multiply(device, ..);     on the stream of the device, which may be recording
 *   nnrt_device_launched(device, "dense forward");
 *
 * The algorithm is the first that cuBLASLt's heuristic names for the sizes, places and scratch memory, of those that
 * reduce without adding to one place: asked once and kept, so that a program computes the same bits step after step and
 * run after run, on one kind of device and with one version of cuBLASLt. */
#ifndef NNRT_CUBLASLT_H
#define NNRT_CUBLASLT_H
#include "nnrt_cuda_host.h"
#include <cublasLt.h>
#include <mutex>
#include <new>

/* c's rows lie apart, each without a gap; or its columns. */
typedef enum { NNRT_LT_BY_ROWS, NNRT_LT_BY_COLUMNS } nnrt_lt_order;

enum { NNRT_LT_PRODUCTS = 256, NNRT_LT_ALIGNMENT = 256 };

/* All that an algorithm depends on. As cuBLASLt sees it: columns lie apart, c is rows x columns. */
typedef struct {
    int64_t rows, columns, terms, distance[3]; /* of a, b, c */
    int64_t transposed[2], alignment[3];       /* alignment of c: of the bias too */
    int64_t epilogue, compute, scratch_bytes;
} nnrt_lt_form;

typedef struct {
    cublasLtHandle_t handle;
    std::mutex mutex; /* threads of the caller may use one handle */
    int count;
    nnrt_lt_form forms[NNRT_LT_PRODUCTS];
    cublasLtMatmulAlgo_t algorithms[NNRT_LT_PRODUCTS];
} nnrt_lt;

static inline bool nnrt_lt_check(nnrt_device *device, cublasStatus_t status) {
    if (status != CUBLAS_STATUS_SUCCESS)
        nnrt_device_refused(device, "cuBLASLt", cublasLtGetStatusString(status));
    return device->error == cudaSuccess;
}

/* ---- the handle */

static inline void nnrt_lt_close(void *opened) {
    nnrt_lt *lt = (nnrt_lt *)opened;
    cublasLtDestroy(lt->handle);
    delete lt;
}

static inline void *nnrt_lt_new(nnrt_device *device) {
    nnrt_lt *lt = device->error == cudaSuccess ? new (std::nothrow) nnrt_lt() : NULL;
    if (!lt) {
        nnrt_device_check(device, cudaErrorMemoryAllocation);
        return NULL;
    }
    if (nnrt_lt_check(device, cublasLtCreate(&lt->handle)))
        return lt;
    delete lt;
    return NULL;
}

/* Opened by the first call; NULL after an error. */
static inline nnrt_lt *nnrt_lt_open(nnrt_device *device) {
    static nnrt_kept_library kept;
    return (nnrt_lt *)nnrt_device_open_library(device, "cuBLASLt", &kept, nnrt_lt_new, nnrt_lt_close);
}

/* ---- one product */

typedef struct {
    nnrt_lt_form form;
    const void *a, *b, *bias;
    void *c, *scratch;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t layouts[3];
    cublasLtMatmulPreference_t preference;
} nnrt_lt_call;

/* The power of two that the address is a multiple of, as far as it matters. */
static inline int64_t nnrt_lt_alignment(const void *address) {
    uintptr_t place = (uintptr_t)address | NNRT_LT_ALIGNMENT;
    return (int64_t)(place & (~place + 1));
}

/* c by columns is a b; by rows it is, seen by columns, the transpose: b' a'. */
static inline nnrt_lt_call nnrt_lt_describe(nnrt_lt_order order, cublasOperation_t transpose_a,
                                            cublasOperation_t transpose_b, int64_t rows, int64_t columns, int64_t terms,
                                            const float *a, int64_t a_distance, const float *b, int64_t b_distance,
                                            float *c, int64_t c_distance) {
    nnrt_lt_call call = {};
    bool swapped = order == NNRT_LT_BY_ROWS;
    call.a = swapped ? b : a;
    call.b = swapped ? a : b;
    call.c = c;
    call.form.rows = swapped ? columns : rows;
    call.form.columns = swapped ? rows : columns;
    call.form.terms = terms;
    call.form.distance[0] = swapped ? b_distance : a_distance;
    call.form.distance[1] = swapped ? a_distance : b_distance;
    call.form.distance[2] = c_distance;
    call.form.transposed[0] = swapped ? transpose_b : transpose_a;
    call.form.transposed[1] = swapped ? transpose_a : transpose_b;
    call.form.alignment[0] = nnrt_lt_alignment(call.a);
    call.form.alignment[1] = nnrt_lt_alignment(call.b);
    call.form.alignment[2] = nnrt_lt_alignment(c);
    return call;
}

/* What is behind the product, and the part of the scratch memory that begins at a multiple of 256 bytes. */
static inline void nnrt_lt_finish_form(nnrt_lt_call *call, const float *bias, bool relu, cublasComputeType_t compute,
                                       void *scratch, int64_t scratch_bytes) {
    nnrt_lt_form *form = &call->form;
    int64_t skipped = (int64_t)(-(uintptr_t)scratch % NNRT_LT_ALIGNMENT);
    form->epilogue = bias   ? relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS
                     : relu ? CUBLASLT_EPILOGUE_RELU
                            : CUBLASLT_EPILOGUE_DEFAULT;
    form->compute = compute;
    call->bias = bias;
    if (bias && nnrt_lt_alignment(bias) < form->alignment[2])
        form->alignment[2] = nnrt_lt_alignment(bias);
    if (scratch_bytes >= 2 * NNRT_LT_ALIGNMENT) {
        call->scratch = (char *)scratch + skipped;
        form->scratch_bytes = scratch_bytes - NNRT_LT_ALIGNMENT;
    }
}

static inline bool nnrt_lt_set(nnrt_device *device, nnrt_lt_call *call, cublasLtMatmulDescAttributes_t attribute,
                               const void *value, size_t bytes) {
    return nnrt_lt_check(device, cublasLtMatmulDescSetAttribute(call->operation, attribute, value, bytes));
}

static inline bool nnrt_lt_make_operation(nnrt_device *device, nnrt_lt_call *call) {
    const nnrt_lt_form *form = &call->form;
    cublasOperation_t a = (cublasOperation_t)form->transposed[0], b = (cublasOperation_t)form->transposed[1];
    cublasLtEpilogue_t epilogue = (cublasLtEpilogue_t)form->epilogue;
    return nnrt_lt_check(device,
                         cublasLtMatmulDescCreate(&call->operation, (cublasComputeType_t)form->compute, CUDA_R_32F)) &&
           nnrt_lt_set(device, call, CUBLASLT_MATMUL_DESC_TRANSA, &a, sizeof a) &&
           nnrt_lt_set(device, call, CUBLASLT_MATMUL_DESC_TRANSB, &b, sizeof b) &&
           nnrt_lt_set(device, call, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue) &&
           (!call->bias ||
            nnrt_lt_set(device, call, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &call->bias, sizeof call->bias));
}

static inline bool nnrt_lt_make_layouts(nnrt_device *device, nnrt_lt_call *call) {
    const nnrt_lt_form *f = &call->form;
    bool a = f->transposed[0] == CUBLAS_OP_T, b = f->transposed[1] == CUBLAS_OP_T;
    const int64_t rows[] = {a ? f->terms : f->rows, b ? f->columns : f->terms, f->rows};
    const int64_t columns[] = {a ? f->rows : f->terms, b ? f->terms : f->columns, f->columns};
    for (int i = 0; i < 3 && device->error == cudaSuccess; i++)
        nnrt_lt_check(device, cublasLtMatrixLayoutCreate(&call->layouts[i], CUDA_R_32F, (uint64_t)rows[i],
                                                         (uint64_t)columns[i], f->distance[i]));
    return device->error == cudaSuccess;
}

static inline bool nnrt_lt_prefer(nnrt_device *device, nnrt_lt_call *call,
                                  cublasLtMatmulPreferenceAttributes_t attribute, const void *value, size_t bytes) {
    return nnrt_lt_check(device, cublasLtMatmulPreferenceSetAttribute(call->preference, attribute, value, bytes));
}

static inline bool nnrt_lt_make_preference(nnrt_device *device, nnrt_lt_call *call) {
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    uint64_t bytes = (uint64_t)call->form.scratch_bytes;
    uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK & ~(uint32_t)CUBLASLT_REDUCTION_SCHEME_INPLACE;
    nnrt_lt_check(device, cublasLtMatmulPreferenceCreate(&call->preference));
    if (device->error == cudaSuccess)
        nnrt_lt_prefer(device, call, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes);
    if (device->error == cudaSuccess)
        nnrt_lt_prefer(device, call, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions);
    for (int i = 0; i < 4 && device->error == cudaSuccess; i++) {
        uint32_t alignment = (uint32_t)call->form.alignment[i < 3 ? i : 2];
        nnrt_lt_prefer(device, call, alignments[i], &alignment, sizeof alignment);
    }
    return device->error == cudaSuccess;
}

/* Asks for an algorithm of this form, and keeps it while there is room. */
static inline void nnrt_lt_ask(nnrt_device *device, nnrt_lt *lt, nnrt_lt_call *call, cublasLtMatmulAlgo_t *algorithm) {
    cublasLtMatmulHeuristicResult_t found = {};
    int count = 0;
    if (!nnrt_lt_make_preference(device, call) ||
        !nnrt_lt_check(device, cublasLtMatmulAlgoGetHeuristic(lt->handle, call->operation, call->layouts[0],
                                                              call->layouts[1], call->layouts[2], call->layouts[2],
                                                              call->preference, 1, &found, &count)))
        return;
    if (count < 1 || found.state != CUBLAS_STATUS_SUCCESS) {
        nnrt_device_refused(device, "cuBLASLt", "it has no algorithm for this product");
        return;
    }
    *algorithm = found.algo;
    if (lt->count == NNRT_LT_PRODUCTS)
        return;
    lt->forms[lt->count] = call->form;
    lt->algorithms[lt->count++] = found.algo;
}

static inline cublasLtMatmulAlgo_t nnrt_lt_algorithm(nnrt_device *device, nnrt_lt *lt, nnrt_lt_call *call) {
    cublasLtMatmulAlgo_t algorithm = {};
    std::lock_guard<std::mutex> lock(lt->mutex);
    for (int i = 0; i < lt->count; i++)
        if (memcmp(&lt->forms[i], &call->form, sizeof call->form) == 0)
            return lt->algorithms[i];
    nnrt_lt_ask(device, lt, call, &algorithm);
    return algorithm;
}

static inline void nnrt_lt_run(nnrt_device *device, nnrt_lt *lt, nnrt_lt_call *call) {
    const float one = 1.0f, zero = 0.0f;
    if (nnrt_lt_make_operation(device, call) && nnrt_lt_make_layouts(device, call)) {
        cublasLtMatmulAlgo_t algorithm = nnrt_lt_algorithm(device, lt, call);
        if (device->error == cudaSuccess)
            nnrt_lt_check(device,
                          cublasLtMatmul(lt->handle, call->operation, &one, call->a, call->layouts[0], call->b,
                                         call->layouts[1], &zero, call->c, call->layouts[2], call->c, call->layouts[2],
                                         &algorithm, call->scratch, (size_t)call->form.scratch_bytes, device->stream));
    }
    if (call->preference)
        cublasLtMatmulPreferenceDestroy(call->preference);
    for (int i = 0; i < 3; i++)
        if (call->layouts[i])
            cublasLtMatrixLayoutDestroy(call->layouts[i]);
    if (call->operation)
        cublasLtMatmulDescDestroy(call->operation);
}

/* c = relu(a b + bias), rows x columns of `terms` terms each; distances are those of rows, or of columns where these
 * lie apart. bias: an element for each column of c, whose rows lie apart then; NULL: none. */
static inline void nnrt_lt_multiply(nnrt_device *device, nnrt_lt_order order, cublasOperation_t transpose_a,
                                    cublasOperation_t transpose_b, int64_t rows, int64_t columns, int64_t terms,
                                    const float *a, int64_t a_distance, const float *b, int64_t b_distance, float *c,
                                    int64_t c_distance, const float *bias, bool relu, cublasComputeType_t compute,
                                    void *scratch, int64_t scratch_bytes) {
    nnrt_lt *lt = nnrt_lt_open(device);
    if (!lt)
        return;
    nnrt_lt_call call = nnrt_lt_describe(order, transpose_a, transpose_b, rows, columns, terms, a, a_distance, b,
                                         b_distance, c, c_distance);
    nnrt_lt_finish_form(&call, bias, relu, compute, scratch, scratch_bytes);
    nnrt_lt_run(device, lt, &call);
}
#endif
