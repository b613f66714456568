/* Random models as printed C, compiled by gcc and clang with all warnings as errors, and run: the results agree with
 * the tensor interpreter, and the number of shares of parallel loops changes no bit. */
#include "tests/codegen/kernel_compare.h"
#include "tests/codegen/compiled_kernels.h"
#include "tests/passes/interp_compare.h"
#include "tests/passes/random_model.h"
#include "test.h"
#include <unistd.h>
#include <stdlib.h>

/* Some that were hard: 14 small arrays between large ones, 30 few rows on the lanes, 44 and 124 twins. */
static const uint64_t seeds[] = {3, 14, 30, 44, 124};

typedef struct {
    const char *compiler, *options, *target;
} Build;

static const Build builds[] = {
    {"gcc", "-O3 -march=native", "native"},
    {"gcc", "-O2 -march=native", "native"},
    {"clang", "-O2 -march=native", "native"},
    {"gcc", "-O1 -fsanitize=undefined -fno-sanitize-recover=all", "generic"},
    {"gcc", "-O1 -fsanitize=undefined -fno-sanitize-recover=all", "blas"},
};

static void check_func(Arena *arena, const Compiled *c, const Module *oracle, const Func *func, uint64_t seed,
                       int64_t batch, const Build *build) {
    Text why = {0};
    KernelExpected e = kernel_expect(arena, oracle, func, seed, batch, RANDOM_MODEL_CLASSES);
    KernelValues one = compiled_run(arena, c, &e, 1), several = compiled_run(arena, c, &e, 3);
    bool right = one.ran && several.ran && kernel_check(&e, &one, &why) && kernel_same_bits(&e, &one, &several, &why);
    CHECK(right);
    if (!right)
        printf("seed %d, %s %s, batch %d, @%s: %s\n", (int)seed, build->compiler, build->target, (int)batch, func->name,
               why.data ? why.data : "");
    text_free(&why);
}

static void check_model(uint64_t seed, const Build *build, const char *folder) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *model = random_model(arena, diag, seed), *oracle = kernel_oracle(arena, diag, model);
    char command[256], stem[256];
    snprintf(command, sizeof command, "%s %s", build->compiler, build->options);
    snprintf(stem, sizeof stem, "%s/model_%d_%d", folder, (int)seed, (int)(build - builds));
    KProgram *p = oracle ? kernel_program(arena, diag, model, build->target, true, "compiled kernels") : NULL;
    Compiled c = p ? compiled_build(p, command, stem) : (Compiled){NULL, NULL};
    CHECK(c.handle != NULL);
    for (int i = 0; c.handle && i < oracle->func_count; i++) {
        check_func(arena, &c, oracle, oracle->funcs[i], seed, model->batch_max, build);
        check_func(arena, &c, oracle, oracle->funcs[i], seed, 1 + (int64_t)(seed % 7), build);
    }
    compiled_close(&c);
    arena_free(arena);
}

int main(void) {
    char folder[] = "/tmp/nnc-compiled-XXXXXX", command[256];
    if (!mkdtemp(folder)) {
        printf("no folder for the compiled files\n");
        return 1;
    }
    for (size_t i = 0; i < sizeof builds / sizeof *builds; i++) {
        if (!compiled_has(builds[i].compiler)) {
            printf("skipped: there is no %s\n", builds[i].compiler);
            continue;
        }
        for (size_t s = 0; s < sizeof seeds / sizeof *seeds; s++)
            check_model(seeds[s], &builds[i], folder);
    }
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK(getenv("NNC_KEEP") || system(command) == 0);
    return test_report();
}
