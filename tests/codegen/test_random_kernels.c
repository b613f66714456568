/* 200 random models, and some larger ones, through the whole compiler to CPU kernels, for three widths of vectors: the
 * kernel-IR interpreter agrees with the tensor interpreter, for whole and partial batches with rows in any order;
 * threads in any number and order, and the memory plan, change no bit. */
#include "tests/codegen/kernel_compare.h"
#include "tests/passes/interp_compare.h"
#include "tests/passes/random_model.h"
#include "test.h"
#include <stdlib.h>

enum { MODELS = 200, LARGE_MODELS = 28 };
static const char *const targets[] = {"generic", "x86-64-v3", "x86-64-v4", "panels", "winograd"};

typedef struct {
    uint64_t seed;
    const char *target;
    const Module *oracle;
    Arena *arena;
    int64_t batch;
} Case;

static void note(const Case *c, const Func *func, const char *what, Text *why) {
    printf("seed %d, %s, batch %d, @%s, %s: %s\n", (int)c->seed, c->target, (int)c->batch, func->name, what,
           why->data ? why->data : "");
    text_clear(why);
}

static void check_func(const Case *c, KProgram *planned, KProgram *unplanned, const Func *func) {
    static const KInterpOptions variants[] = {
        {.threads = 2, .reverse = true}, {.threads = 3}, {.threads = 8, .reverse = true}};
    Text why = {0};
    KernelExpected e = kernel_expect(c->arena, c->oracle, func, c->seed, c->batch, RANDOM_MODEL_CLASSES);
    KernelValues first = kernel_run(c->arena, planned, &e, (KInterpOptions){.threads = 1}, &why);
    bool right = first.ran && kernel_check(&e, &first, &why);
    CHECK(right);
    if (!right)
        note(c, func, "one thread", &why);
    for (size_t i = 0; i < sizeof variants / sizeof *variants && right; i++) {
        KernelValues other = kernel_run(c->arena, planned, &e, variants[i], &why);
        right = other.ran && kernel_same_bits(&e, &first, &other, &why);
        CHECK(right);
        if (!right)
            note(c, func, "several threads", &why);
    }
    if (right) {
        KernelValues other = kernel_run(c->arena, unplanned, &e, (KInterpOptions){.threads = 1}, &why);
        right = other.ran && kernel_same_bits(&e, &first, &other, &why);
        CHECK(right);
        if (!right)
            note(c, func, "without a memory plan", &why);
    }
    text_free(&why);
}

static void check_model(uint64_t seed, const char *target, bool large) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *model = large ? random_large_model(arena, diag, seed) : random_model(arena, diag, seed);
    Module *oracle = kernel_oracle(arena, diag, model);
    char what[64];
    snprintf(what, sizeof what, "seed %d%s, %s", (int)seed, large ? " of large models" : "", target);
    KProgram *planned = oracle ? kernel_program(arena, diag, model, target, true, what) : NULL;
    KProgram *unplanned = planned ? kernel_program(arena, diag, model, target, false, what) : NULL;
    CHECK(unplanned != NULL);
    for (int partial = 0; partial < 2 && unplanned; partial++)
        for (int i = 0; i < oracle->func_count; i++) {
            int64_t batch = partial ? 1 + (int64_t)(seed % 7) : model->batch_max;
            Case c = {seed, target, oracle, arena, batch};
            check_func(&c, planned, unplanned, oracle->funcs[i]);
        }
    arena_free(arena);
}

/* test_random_kernels [FROM TO [large]] */
int main(int argc, char **argv) {
    uint64_t from = argc > 1 ? strtoull(argv[1], NULL, 10) : 0, to = argc > 2 ? strtoull(argv[2], NULL, 10) : MODELS;
    for (uint64_t seed = from; seed < to && argc < 4; seed++)
        for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
            check_model(seed, targets[i], false);
    for (uint64_t seed = argc < 2 ? 0 : from; (argc < 2 && seed < LARGE_MODELS) || (argc > 3 && seed < to); seed++)
        check_model(seed, targets[seed % (sizeof targets / sizeof *targets)], true);
    return test_report();
}
