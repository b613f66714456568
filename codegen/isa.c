/* The table of instruction sets. */
#include "codegen/isa.h"
#include <string.h>

static const KIsa isas[] = {
    {"generic", 4, 16, false, ""},
    {"x86-64-v3", 8, 16, false, "-march=x86-64-v3"},
    {"x86-64-v4", 16, 32, true, "-march=x86-64-v4"},
    {"neon", 4, 32, false, ""},
};

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
