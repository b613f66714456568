/* Machines: a table row of assumed figures for each instruction set, and what can be found out about this machine in
 * less than a millisecond: its clock, its FMA peak and the sizes of its caches. */
#include "codegen/plan/cost.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

/* name, GHz; FMA, loads, stores, operations in a cycle; latency; bytes of L1, L2, L3; bytes in a nanosecond from L1,
 * L2, L3, memory. A desktop or server core of the years from 2020 on. */
static const CostMachine machines[] = {
    {"generic", 3.0, 2, 2, 1, 6, 4, {32 << 10, 512 << 10, 16 << 20}, {96, 64, 40, 20}, false},
    {"x86-64-v3", 3.5, 2, 2, 1, 6, 4, {32 << 10, 512 << 10, 16 << 20}, {224, 110, 60, 25}, false},
    {"x86-64-v4", 3.8, 2, 2, 1, 8, 4, {48 << 10, 1 << 20, 32 << 20}, {480, 150, 100, 40}, false},
    {"neon", 3.0, 4, 3, 2, 8, 4, {64 << 10, 1 << 20, 16 << 20}, {144, 80, 50, 25}, false},
};

CostMachine cost_machine(const KIsa *isa) {
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++)
        if (strcmp(machines[i].isa, isa->name) == 0)
            return machines[i];
    return machines[0];
}

double cost_peak(const CostMachine *m, const KIsa *isa) {
    return m->gigahertz * m->fma * isa->lanes * 2;
}

static double nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e9 * (double)now.tv_sec + (double)now.tv_nsec;
}

#if defined __x86_64__ && defined __GNUC__
enum { CHAIN = 4000, TRIES = 12 };

/* A chain of additions takes a cycle each. */
static double chain_time(void) {
    long sum = 0;
    double start = nanoseconds();
    for (int i = 0; i < CHAIN / 8; i++)
        __asm__ volatile("add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n"
                         "add $1, %0\n add $1, %0\n add $1, %0\n add $1, %0\n"
                         : "+r"(sum));
    return nanoseconds() - start;
}

#define FMA8(R)                                                                                                        \
    "vfmadd231ps %%" R "8, %%" R "9, %%" R "0\n vfmadd231ps %%" R "8, %%" R "9, %%" R "1\n"                            \
    "vfmadd231ps %%" R "8, %%" R "9, %%" R "2\n vfmadd231ps %%" R "8, %%" R "9, %%" R "3\n"                            \
    "vfmadd231ps %%" R "8, %%" R "9, %%" R "4\n vfmadd231ps %%" R "8, %%" R "9, %%" R "5\n"                            \
    "vfmadd231ps %%" R "8, %%" R "9, %%" R "6\n vfmadd231ps %%" R "8, %%" R "9, %%" R "7\n"
#define USED                                                                                                           \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",         \
        "xmm13", "xmm14", "xmm15"

__attribute__((target("avx512f"))) static double fma_time_v4(void) {
    __asm__ volatile("vzeroall" : : : USED); /* no denormal numbers */
    double start = nanoseconds();
    for (int i = 0; i < CHAIN / 8; i++)
        __asm__ volatile(FMA8("zmm") : : : USED);
    return nanoseconds() - start;
}

__attribute__((target("avx2,fma"))) static double fma_time_v3(void) {
    __asm__ volatile("vzeroall" : : : USED); /* no denormal numbers */
    double start = nanoseconds();
    for (int i = 0; i < CHAIN / 8; i++)
        __asm__ volatile(FMA8("ymm") : : : USED);
    return nanoseconds() - start;
}

/* What else the machine does takes time from some of the tries. */
static double least_of(double (*time)(void)) {
    double least = time();
    for (int i = 1; i < TRIES; i++) {
        double t = time();
        least = t < least ? t : least;
    }
    return least;
}

static void measure_clock(CostMachine *m, const KIsa *isa) {
    double (*fma)(void) = strcmp(isa->name, "x86-64-v4") == 0   ? fma_time_v4
                          : strcmp(isa->name, "x86-64-v3") == 0 ? fma_time_v3
                                                                : NULL;
    m->gigahertz = CHAIN / least_of(chain_time);
    if (fma)
        m->fma = CHAIN / least_of(fma) / m->gigahertz;
    m->measured = true;
}
#else
static void measure_clock(CostMachine *m, const KIsa *isa) {
    (void)m;
    (void)isa;
}
#endif

/* Linux says what lies in front of the first core. */
static void measure_caches(CostMachine *m) {
    for (int i = 0; i < 8; i++) {
        char path[80], kind[16] = "";
        int level = 0;
        long size = 0;
        static const char *const names[] = {"level", "type", "size"};
        for (int k = 0; k < 3; k++) {
            snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", i, names[k]);
            FILE *file = fopen(path, "r");
            if (!file)
                return;
            int read = k == 0   ? fscanf(file, "%d", &level)
                       : k == 1 ? fscanf(file, "%15s", kind)
                                : fscanf(file, "%ldK", &size);
            fclose(file);
            if (read != 1)
                return;
        }
        if (strcmp(kind, "Instruction") != 0 && level >= 1 && level <= COST_MEMORY && size > 0)
            m->bytes[level - 1] = (int64_t)size << 10;
    }
}

void cost_measure(CostMachine *m, const KIsa *isa) {
    measure_caches(m);
    measure_clock(m, isa);
}
