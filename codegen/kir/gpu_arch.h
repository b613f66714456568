/* GPU architectures: what --gpu names, and what a mapping may count on there (codegen/kir/gpu_arch.c). */
#ifndef NNC_CODEGEN_GPU_ARCH_H
#define NNC_CODEGEN_GPU_ARCH_H
#include <stdbool.h>
#include <stdint.h>

/* What every device takes, unless a kernel asks for more shared memory; kprogram_verify holds launches to it. */
enum { GPU_MOST_BLOCKS_Y = 65535, GPU_MOST_THREADS = 1024, GPU_SHARED_BYTES = 48 * 1024 };

typedef struct GpuArch {
    const char *name;     /* sm_80; native: any GPU, compiled for the one of the machine where nvcc runs */
    const char *flag;     /* of nvcc: -arch=sm_80 */
    const char *title;    /* for people: Ampere (A100) */
    int version;          /* 80; of native that of the oldest row: code for it may use nothing newer */
    int64_t shared_block; /* bytes of shared memory that a block may have, if it asks for more than GPU_SHARED_BYTES */
    int64_t shared_sm;    /* that all blocks of one multiprocessor share; each takes 1 KiB more from sm_80 on */
    int threads_sm;       /* threads of all blocks on one multiprocessor */
    int blocks_sm;        /* blocks on one multiprocessor */
    int registers_sm;     /* 32-bit registers of a multiprocessor, which are also those of a block */
    int registers_thread; /* of a thread at most */
    bool tensor_tf32;     /* mma.sync with tf32 and bf16 operands */
    int64_t library_scratch; /* bytes that a product of a library may use, as cuBLAS advises */
} GpuArch;

/* native first, then from the oldest on. */
extern const GpuArch gpu_archs[];
extern const int gpu_arch_count;
const GpuArch *gpu_arch_find(const char *name); /* NULL: unknown */
#endif
