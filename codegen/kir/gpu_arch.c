/* The table of GPU architectures, from the technical specifications by compute capability in NVIDIA's CUDA programming
 * guide. */
#include "codegen/kir/gpu_arch.h"
#include <string.h>

#define KIB *1024
#define ARCH(name) #name, "-arch=" #name

/* name, flag, title, version, shared memory of a block, of a multiprocessor; threads and blocks of a multiprocessor;
 * registers of a multiprocessor, of a thread; tensor cores; scratch memory of libraries */
const GpuArch gpu_archs[] = {
    {ARCH(native), "the GPU of this machine", 75, 64 KIB, 64 KIB, 1024, 16, 65536, 255, false, 4 * 1024 KIB},
    {ARCH(sm_75), "Turing (T4, RTX 20)", 75, 64 KIB, 64 KIB, 1024, 16, 65536, 255, false, 4 * 1024 KIB},
    {ARCH(sm_80), "Ampere (A100)", 80, 163 KIB, 164 KIB, 2048, 32, 65536, 255, true, 4 * 1024 KIB},
    {ARCH(sm_86), "Ampere (A10, RTX 30)", 86, 99 KIB, 100 KIB, 1536, 16, 65536, 255, true, 4 * 1024 KIB},
    {ARCH(sm_87), "Ampere (Orin)", 87, 163 KIB, 164 KIB, 1536, 16, 65536, 255, true, 4 * 1024 KIB},
    {ARCH(sm_89), "Ada (L4, L40, RTX 40)", 89, 99 KIB, 100 KIB, 1536, 24, 65536, 255, true, 4 * 1024 KIB},
    {ARCH(sm_90), "Hopper (H100, H200)", 90, 227 KIB, 228 KIB, 2048, 32, 65536, 255, true, 32 * 1024 KIB},
    {ARCH(sm_100), "Blackwell (B200)", 100, 227 KIB, 228 KIB, 2048, 32, 65536, 255, true, 32 * 1024 KIB},
    {ARCH(sm_103), "Blackwell (B300)", 103, 227 KIB, 228 KIB, 2048, 32, 65536, 255, true, 32 * 1024 KIB},
    {ARCH(sm_120), "Blackwell (RTX 50)", 120, 99 KIB, 100 KIB, 1536, 24, 65536, 255, true, 32 * 1024 KIB},
    {ARCH(sm_121), "Blackwell (Spark)", 121, 99 KIB, 100 KIB, 1536, 24, 65536, 255, true, 32 * 1024 KIB},
};
const int gpu_arch_count = sizeof gpu_archs / sizeof *gpu_archs;

const GpuArch *gpu_arch_find(const char *name) {
    for (int i = 0; i < gpu_arch_count; i++)
        if (strcmp(gpu_archs[i].name, name) == 0)
            return &gpu_archs[i];
    return NULL;
}
