/* Barriers: a training step of each measured model has no more than it had, each of those of the seed model is needed
 * (without it the interpreter finds a race), and none is missing. Two threads share the work of a step evenly. Kernels
 * that share large buffers stay together. */
#include "codegen/kir/kir_interp.h"
#include "codegen/kir/nest.h"
#include "frontend/frontend.h"
#include "test.h"
#include "tests/codegen/kernel_compare.h"
#include <stdlib.h>
#include <string.h>

/* Barriers between the kernels of a step at most; one more stands at its end. And how much longer than half of the work
 * two threads take at most. */
typedef struct {
    const char *file;
    int most;
    double waste;
} Row;
static const Row rows[] = {{"seed", 3, 0.04},  {"mnist", 2, 0.02}, {"mlp512", 5, 0.01},   {"wide", 11, 0.01},
                           {"conv", 10, 0.03}, {"gru", 13, 0.01},  {"charrnn", 18, 0.01}, {"gpt", 34, 0.01}};

static int barriers_of(const KSequence *sequence) {
    int count = 0;
    for (int i = 1; i < sequence->count; i++)
        count += sequence->kernels[i]->needs_barrier_before;
    return count;
}

/* How often so many kernels with sums over a triangle follow each other. */
static int runs_of_triangles(const KSequence *sequence, int length) {
    int runs = 0, here = 0;
    for (int i = 0; i < sequence->count; i++) {
        here = sequence->kernels[i]->nests[0]->part.above ? here + 1 : 0;
        runs += here == length;
    }
    return runs;
}

static KProgram *map_row(Arena *arena, Diag *diag, const Program *program, int barrier_work) {
    Program *copy = ARENA_NEW(arena, Program);
    *copy = *program;
    copy->module = module_clone(arena, program->module);
    return kernel_compile(arena, diag, copy, "x86-64-v4", barrier_work, true);
}

static void check_count(const Row *row) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const Program *program = kernel_source(arena, diag, arena_format(arena, "bench/rows/%s.nn", row->file), NULL);
    KProgram *p = program ? map_row(arena, diag, program, 0) : NULL;
    int barriers = p ? barriers_of(kernel_sequence(p, "train_step")) : -1;
    CHECK(barriers > 0 && barriers <= row->most);
    if (barriers > row->most)
        printf("%s: %d barriers in a step\n", row->file, barriers);
    arena_free(arena);
}

/* How much longer than half of the work two threads take, which share whole iterations of each kernel. */
static double waste_of_two(KProgram *p, const KSequence *sequence) {
    double work = 0, longest = 0;
    for (int i = 0; i < sequence->count; i++) {
        const KKernel *kernel = sequence->kernels[i];
        const KStmt *loop = kkernel_parallel(kernel);
        int64_t low, units = 1;
        if (loop)
            CHECK(kexpr_range(p, kloop_count(p, loop), &low, &units));
        work += (double)kernel->work;
        longest += (double)kernel->work * (double)((units + 1) / 2) / (double)units;
    }
    return 2 * longest / work - 1;
}

static void check_shares(const Row *row) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const Program *program = kernel_source(arena, diag, arena_format(arena, "bench/rows/%s.nn", row->file), NULL);
    KProgram *p = program ? map_row(arena, diag, program, 0) : NULL;
    double waste = p ? waste_of_two(p, kernel_sequence(p, "train_step")) : 1;
    CHECK(waste >= 0 && waste < row->waste);
    if (waste >= row->waste)
        printf("%s: two threads take %.3f of half the work\n", row->file, 1 + waste);
    arena_free(arena);
}

/* The four gradients of attention in each of four blocks: all read the weights, or their gradient. */
static void check_together(void) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const Program *program = kernel_source(arena, diag, "bench/rows/gpt.nn", NULL);
    KProgram *p = program ? map_row(arena, diag, program, 0) : NULL;
    CHECK(p && runs_of_triangles(kernel_sequence(p, "train_step"), 4) == 4);
    arena_free(arena);
}

/* ---- each barrier is needed, no other is */
static bool runs(Arena *arena, KProgram *p, const KernelExpected *e, int threads, bool reverse, Text *why) {
    text_clear(why);
    return kernel_run(arena, p, e, (KInterpOptions){.threads = threads, .reverse = reverse}, why).ran;
}

static void check_needed(const char *name, int64_t batch, int barrier_work) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const Program *program = kernel_source(arena, diag, arena_format(arena, "bench/rows/%s.nn", name), NULL);
    program->module->batch_max = batch;
    Module *oracle = kernel_oracle(arena, diag, program->module);
    KProgram *p = map_row(arena, diag, program, barrier_work);
    KSequence *sequence = kernel_sequence(p, "train_step");
    KernelExpected e =
        kernel_expect(arena, oracle, module_find_func(oracle, "train_step"), 1, batch, (int)program->class_count);
    Text why = {0};
    for (int threads = 2; threads <= 8; threads += 3)
        CHECK(runs(arena, p, &e, threads, threads == 2, &why));
    for (int i = 1; i < sequence->count; i++) {
        KKernel *kernel = sequence->kernels[i];
        if (!kernel->needs_barrier_before)
            continue;
        kernel->needs_barrier_before = false;
        bool passed = runs(arena, p, &e, 3, false, &why);
        CHECK(!passed && why.data && strstr(why.data, "race"));
        if (passed)
            printf("%s: nobody misses the barrier before %s\n", name, kernel->name);
        kernel->needs_barrier_before = true;
    }
    CHECK(runs(arena, p, &e, 3, false, &why));
    text_free(&why);
    arena_free(arena);
}

int main(void) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_count(&rows[i]);
        check_shares(&rows[i]);
    }
    check_together();
    check_needed("seed", 32, 0);
    check_needed("seed", 32, 200); /* small kernels are shared too */
    check_needed("seed", 9, 200);
    return test_report();
}
