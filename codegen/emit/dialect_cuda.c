/* CUDA C++: one thread is one lane; functions from the runtime's nnrt_cuda.h. */
#include "codegen/emit/dialect.h"

static const char *spelling(ScalarFn fn) {
    return scalar_infos[fn].cuda;
}

static const DialectScalar scalars[] = {
    {FN_max, KBASE_I32, "max(%1, %2)"},   {FN_max, KBASE_INDEX, "max(%1, %2)"}, {FN_min, KBASE_I32, "min(%1, %2)"},
    {FN_min, KBASE_INDEX, "min(%1, %2)"}, {FN_abs, KBASE_I32, "abs(%1)"},
};

/* The same products are fused as in C, so that both targets agree. */
static const DialectFused fused[] = {
    {FN_add, 0, FN_mul, false, "fmaf(%1, %2, %3)"},
    {FN_add, 1, FN_mul, false, "fmaf(%2, %3, %1)"},
    {FN_sub, 0, FN_mul, false, "fmaf(%1, %2, -%3)"},
    {FN_sub, 1, FN_mul, false, "fmaf(-%2, %3, %1)"},
};

/* cuBLASLt, by the runtime's nnrt_cublaslt.h. */
static const DialectGemm gemm = {
    .call = {"nnrt_lt_multiply(device, %1, %2, %3, %4, %5, %6, %7, %8, %9);"},
    .order = {"NNRT_LT_BY_ROWS", "NNRT_LT_BY_COLUMNS"},
    .transpose = {"CUBLAS_OP_N", "CUBLAS_OP_T"},
    .size = "%1",
    .precision = {[PRECISION_FLOAT32] = "CUBLAS_COMPUTE_32F",
                  [PRECISION_TF32] = "CUBLAS_COMPUTE_32F_FAST_TF32",
                  [PRECISION_BFLOAT16] = "CUBLAS_COMPUTE_32F_FAST_16BF"},
};

/* cuDNN, by the runtime's nnrt_cudnn.h. */
static const DialectConvolution convolution = {
    .shape = "nnrt_convolution",
    .kinds = {[CONVOLUTION_FORWARD] = "NNRT_CONVOLUTION_FORWARD",
              [CONVOLUTION_BY_IMAGE] = "NNRT_CONVOLUTION_BY_IMAGE",
              [CONVOLUTION_BY_WEIGHTS] = "NNRT_CONVOLUTION_BY_WEIGHTS"},
    .call = "nnrt_convolve(device, &%1, %2, %3, %4, %5, %6);",
    .prepare = "nnrt_convolution_prepare(device, &%1, %2);",
};

const Dialect dialect_cuda = {
    .name = "cuda",
    .memory_types = {"float", "int32_t", "uint8_t", "int64_t"},
    .value_types = {"float", "int32_t", "bool", "int64_t"},
    .restrict_word = "__restrict__",
    .kernel = "__global__ static void",
    .inline_kernel = "__global__ static void",
    .host_kernel = "static void",
    .device = "nnrt_device *device",
    .local = "",
    .shared = "__shared__ ",
    .aligned = "__align__(%d) ",
    .barrier = "__syncthreads();",
    .mma = {[PRECISION_TF32] = "nnrt_mma_tf32", [PRECISION_BFLOAT16] = "nnrt_mma_bf16"},
    .axis_index = {[AXIS_GRID_X] = "(int64_t)blockIdx.x",
                   [AXIS_GRID_Y] = "(int64_t)blockIdx.y",
                   [AXIS_THREAD_X] = "threadIdx.x",
                   [AXIS_THREAD_Y] = "threadIdx.y"},
    .unroll = "#pragma unroll %d",
    .minimum = "nnrt_min_index(%1, %2)",
    .maximum = "nnrt_max_index(%1, %2)",
    .spelling = spelling,
    .scalars = scalars,
    .scalar_count = sizeof scalars / sizeof *scalars,
    .fused = fused,
    .fused_count = sizeof fused / sizeof *fused,
    .gemm = &gemm,
    .convolution = &convolution,
    .uniform = "nnrt_uniform",
    .normal = "nnrt_normal",
};
