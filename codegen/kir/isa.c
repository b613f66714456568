/* The table of instruction sets. */
#include "codegen/kir/isa.h"
#include "codegen/kir/gpu_arch.h"
#include <string.h>

/* name, f32 lanes, vector registers, cheap masks, elements of a row from which it is cut in panels, multiply-adds per
 * lane in the time of a barrier (a microsecond at 3 GHz), advice to the compiler, how to see that it was followed */
static const KIsa isas[] = {
    {"generic", 4, 16, false, 256, 3000, "", NULL, NULL},
    {"x86-64-v3", 8, 16, false, 256, 3000, "-march=x86-64-v3", "defined __AVX2__ && defined __FMA__", NULL},
    {"x86-64-v4", 16, 32, true, 128, 3000, "-march=x86-64-v4",
     "defined __AVX512BW__ && defined __AVX512DQ__ && defined __AVX512VL__", NULL},
    {"neon", 4, 32, false, 256, 3000, "", NULL, NULL},
};

/* Without a name of --gpu: what every one has. */
const KIsa isa_cuda = {.name = "cuda", .lanes = 1, .registers = 255, .c_flags = "-arch=native", .gpu = gpu_archs};

bool isa_of_gpu(const char *name, KIsa *isa) {
    const GpuArch *arch = gpu_arch_find(name);
    if (!arch)
        return false;
    *isa = isa_cuda;
    isa->registers = arch->registers_thread;
    isa->c_flags = arch->flag;
    isa->gpu = arch;
    return true;
}

const char *const isa_names[] = {"native", "generic", "x86-64-v3", "x86-64-v4", "neon"};
const int isa_count = 5;

static const char *native_name(void) {
#if defined __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return "x86-64-v4";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return "x86-64-v3";
    return "generic";
#elif defined __aarch64__
    return "neon";
#else
    return "generic";
#endif
}

bool isa_find(const char *name, KIsa *isa) {
    bool native = strcmp(name, "native") == 0;
    const char *wanted = native ? native_name() : name;
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
        if (strcmp(isas[i].name, wanted) == 0) {
            *isa = isas[i];
            if (native)
                isa->c_flags = "-march=native";
            return true;
        }
    return false;
}
