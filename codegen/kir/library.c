/* The table of libraries. */
#include "codegen/kir/library.h"
#include <string.h>

const Library library_infos[] = {
    {
        .option = "blas",
        .name = "openblas",
        .title = "OpenBLAS",
        .call = KS_GEMM,
        .declarations =
            "/* Of OpenBLAS, as its cblas.h declares them. Its threads stay out: those of this program share the work. "
            "*/\n"
            "enum { CblasRowMajor = 101, CblasColMajor = 102, CblasNoTrans = 111, CblasTrans = 112 };\n"
            "void cblas_sgemm(int order, int transpose_a, int transpose_b, int rows, int columns, int terms, float "
            "alpha,\n"
            "                 const float *a, int a_distance, const float *b, int b_distance, float beta, float *c,\n"
            "                 int c_distance);\n"
            "void openblas_set_num_threads(int threads);\n\n",
        .prepare = "openblas_set_num_threads(1);", /* its own threads would compete with those of the program */
        .link = "-lopenblas",
        .missing = {"openblas"},
        .install = "install libopenblas-dev (Debian, Ubuntu), openblas-devel (Fedora) or openblas (Arch, Homebrew)",
    },
    {
        .option = "blas",
        .name = "cublaslt",
        .title = "cuBLASLt",
        .on_gpu = true,
        .call = KS_GEMM,
        .declarations = "#include \"nnrt_cublaslt.h\"\n\n",
        .prepare = "nnrt_lt_open(device);", /* before a graph is recorded */
        .link = "-lcublasLt",
        .missing = {"cublasLt.h", "-lcublasLt"},
        .install = "install cuBLAS of the CUDA toolkit (libcublas-dev-13-0 and the like)",
    },
    {
        .option = "dnn",
        .name = "cudnn",
        .title = "cuDNN",
        .on_gpu = true,
        .call = KS_CONVOLUTION,
        .declarations = "#include \"nnrt_cudnn.h\"\n\n",
        .link = "-lcudnn",
        .missing = {"cudnn_backend.h", "-lcudnn"},
        .install = "install cuDNN 9 (libcudnn9-dev-cuda-13, cudnn9-cuda-13 and the like)",
    },
};
const int library_count = sizeof library_infos / sizeof *library_infos;

const Library *library_find(const char *option, const char *name) {
    for (int i = 0; i < library_count; i++)
        if (strcmp(library_infos[i].option, option) == 0 && strcmp(library_infos[i].name, name) == 0)
            return &library_infos[i];
    return NULL;
}

const Library *library_of(KStmtKind call, bool on_gpu) {
    for (int i = 0; i < library_count; i++)
        if (library_infos[i].call == call && library_infos[i].on_gpu == on_gpu)
            return &library_infos[i];
    return NULL;
}

bool library_is_used(const KProgram *p, const Library *library) {
    if (library->on_gpu != (p->isa.gpu != NULL))
        return false;
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            if (kkernel_calls(p, p->sequences[s]->kernels[k], library->call))
                return true;
    return false;
}
