/* C11 with the vector extensions of gcc and clang; functions from the runtime's nnrt_math.h and nnrt_kernel.h. */
#include "codegen/emit/dialect.h"

static const char *spelling(ScalarFn fn) {
    return scalar_infos[fn].c;
}

#define SELECT(base)                                                                                                   \
    { FN_select, base, "%1 ? %2 : %3" }
static const DialectScalar scalars[] = {
    SELECT(KBASE_F32),
    SELECT(KBASE_I32),
    SELECT(KBASE_BOOL),
    SELECT(KBASE_INDEX),
    {FN_and, KBASE_BOOL, "%1 && %2"},
    {FN_or, KBASE_BOOL, "%1 || %2"},
    {FN_not, KBASE_BOOL, "!%1"},
};

/* A product that is added is one operation with one rounding wherever it stands, as in the runtime: results do not
 * depend on what a compiler would contract. at_least and at_most are max and min for a bound that is a number. */
static const DialectFused fused[] = {
    {FN_add, 0, FN_mul, false, "nnrt_fma_%t(%1, %2, %3)"},
    {FN_add, 1, FN_mul, false, "nnrt_fma_%t(%2, %3, %1)"},
    {FN_sub, 0, FN_mul, false, "nnrt_fma_%t(%1, %2, -%3)"},
    {FN_sub, 1, FN_mul, false, "nnrt_fma_%t(-%2, %3, %1)"},
    {FN_max, 1, FUSE_CONSTANT, false, "nnrt_at_least_%t(%1, %2)"},
    {FN_max, 0, FUSE_CONSTANT, false, "nnrt_at_least_%t(%2, %1)"},
    {FN_min, 1, FUSE_CONSTANT, false, "nnrt_at_most_%t(%1, %2)"},
    {FN_min, 0, FUSE_CONSTANT, false, "nnrt_at_most_%t(%2, %1)"},
    {FN_select, 0, FN_lt, true, "nnrt_select_lt_%t(%1, %2, %3, %4)"},
    {FN_select, 0, FN_gt, true, "nnrt_select_lt_%t(%2, %1, %3, %4)"},
    {FN_select, 0, FN_le, true, "nnrt_select_le_%t(%1, %2, %3, %4)"},
    {FN_select, 0, FN_ge, true, "nnrt_select_le_%t(%2, %1, %3, %4)"},
    {FN_select, 0, FN_eq, true, "nnrt_select_eq_%t(%1, %2, %3, %4)"},
};

/* OpenBLAS by the standard interface of C. */
static const DialectGemm gemm = {
    .call = {"cblas_sgemm(%1, %2, %3, %4, %5, %6, 1.0f, %7, %8, 0.0f, %9);",
             "cblas_sgemm(%1, %2, %3, %4, %5, %6, 1.0f, %7, %8, 1.0f, %9);"},
    .order = {"CblasRowMajor", "CblasColMajor"},
    .transpose = {"CblasNoTrans", "CblasTrans"},
    .size = "(int)(%1)",
};

const Dialect dialect_c = {
    .name = "c",
    .memory_types = {"float", "int32_t", "uint8_t", "int64_t"},
    .value_types = {"float", "int32_t", "bool", "int64_t"},
    .vector_type = "nnrt_%t",
    .restrict_word = "restrict",
    .kernel = "static void",
    .inline_kernel = "static inline void",
    .local = "_Alignas(64) ",
    .prefetch = "__builtin_prefetch(%1, 1);",
    .prefetch_read = "__builtin_prefetch(%1);",
    .forget = "nnrt_forget_registers();",
    .has_shares = true,
    .void_converts = true,
    .unroll = "NNRT_UNROLL(%d)",
    .minimum = "nnrt_min_index(%1, %2)",
    .maximum = "nnrt_max_index(%1, %2)",
    .spelling = spelling,
    .scalars = scalars,
    .scalar_count = sizeof scalars / sizeof *scalars,
    .fused = fused,
    .fused_count = sizeof fused / sizeof *fused,
    .gemm = &gemm,
    .uniform = "nnrt_uniform",
    .normal = "nnrt_normal",
    .uniforms = "nnrt_uniforms",
};
