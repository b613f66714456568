/* The examples, and programs of short and of narrow rows, through the whole compiler to kernels, for CPU and GPU, on
 * the kernel-IR interpreter: results and variables agree with the tensor interpreter for a whole and a partial batch;
 * threads and the order of blocks change no bit. Batches are small: interpreters are slow. */
#include "tests/codegen/kernel_compare.h"
#include "tests/passes/interp_compare.h"
#include "frontend/frontend.h"
#include "test.h"
#include <stdlib.h>

enum { MOST_DEFINES = 3 };
typedef struct {
    const char *file;
    int64_t batch;
    const char *defines[MOST_DEFINES]; /* sequences are shorter */
} Example;

static const Example examples[] = {
    {"examples/digits.nn", 4, {NULL}},
    {"examples/digits-cnn.nn", 1, {NULL}},
    {"examples/keras-intro.nn", 9, {NULL}},
    {"examples/diabetes.nn", 9, {NULL}},
    {"examples/breast-cancer.nn", 9, {NULL}},
    {"examples/autoencoder.nn", 2, {NULL}},
    {"examples/series-gru.nn", 3, {"years=5"}},
    {"examples/shakespeare-gpt.nn", 2, {"context=6", "width=32", "blocks=2"}},
    {"examples/shakespeare-lstm.nn", 3, {"context=5", "width=24"}},
    {"tests/codegen/short-rows.nn", 33, {NULL}},
    {"tests/codegen/narrow.nn", 7, {NULL}},
};
static const char *const targets[] = {"x86-64-v4", "x86-64-v3", "cuda"};

static void check_func(Arena *arena, KProgram *p, const KernelExpected *e, const char *file, const char *target) {
    static const KInterpOptions orders[] = {{.threads = 1}, {.threads = 3, .reverse = true}};
    KernelValues values[2];
    Text why = {0};
    bool right = true;
    for (int i = 0; i < 2 && right; i++) {
        values[i] = kernel_run(arena, p, e, orders[i], &why);
        right = values[i].ran && kernel_check(e, &values[i], &why);
    }
    right = right && kernel_same_bits(e, &values[0], &values[1], &why);
    CHECK(right);
    if (!right)
        printf("%s, %s, batch %d, @%s: %s\n", file, target, (int)e->batch, e->func->name, why.data ? why.data : "");
    text_free(&why);
}

static void check_example(const Example *example) {
    enum { TARGETS = sizeof targets / sizeof *targets };
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    int defines = 0;
    while (defines < MOST_DEFINES && example->defines[defines])
        defines++;
    Program *program = kernel_source_with(arena, diag, example->file, example->defines, defines);
    if (program)
        program->module->batch_max = example->batch;
    CHECK(program != NULL);
    Module *oracle = program ? kernel_oracle(arena, diag, program->module) : NULL;
    KProgram *p[TARGETS] = {NULL};
    for (int t = 0; t < TARGETS && oracle; t++) {
        p[t] = kernel_program(arena, diag, program->module, targets[t], true, example->file);
        CHECK(p[t] != NULL);
    }
    for (int i = 0; oracle && i < oracle->func_count; i++)
        for (int64_t batch = example->batch; batch > 0; batch = batch == example->batch ? batch / 2 : 0) {
            KernelExpected e = kernel_expect(arena, oracle, oracle->funcs[i], 3, batch, (int)program->class_count);
            for (int t = 0; t < TARGETS; t++)
                if (p[t])
                    check_func(arena, p[t], &e, example->file, targets[t]);
        }
    arena_free(arena);
}

int main(int argc, char **argv) {
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        if (argc < 2 || strcmp(argv[1], examples[i].file) == 0)
            check_example(&examples[i]);
    return test_report();
}
