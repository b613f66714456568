/* Images of few channels that are copied with zeros around: nothing is tested or clamped inside their loops, and a
 * training step is that of the tensor interpreter with the same bits for any number of threads. */
#include "codegen/kir/nest.h"
#include "test.h"
#include "tests/codegen/kernel_compare.h"

enum { BATCH = 5 };

static void count_tests(void *tests, const KExpr *e) {
    if ((e->kind == KE_FN && (e->fn.fn == FN_select || e->fn.fn == FN_and)) ||
        (e->kind == KE_INDEX && (e->index.op == 'm' || e->index.op == 'M')))
        ++*(int *)tests;
}

static void check_loops(const KProgram *p, const char *function, int least) {
    const KSequence *sequence = kernel_sequence(p, function);
    int copies = 0;
    for (int k = 0; sequence && k < sequence->count; k++) {
        const KKernel *kernel = sequence->kernels[k];
        int tests = 0;
        const Nest *nest = kernel->nest_count ? kernel->nests[0] : NULL;
        if (!nest || !kernel->role || strcmp(kernel->role, "pad") != 0 ||
            nest->axes[nest->parallel_count - 1].extent.n >= p->isa.lanes)
            continue;
        copies++;
        kstmt_visit(kernel->body, &(KVisitor){.expression = count_tests, .context = &tests});
        CHECK(tests == 0);
    }
    CHECK(copies >= least);
}

static void check_side(const char *side) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const char *defines[] = {side, "batch=5"};
    Program *program = kernel_source_with(arena, diag, "tests/codegen/flatten.nn", defines, 2);
    const Module *oracle = program ? kernel_oracle(arena, diag, program->module) : NULL;
    KProgram *p = oracle ? kernel_program(arena, diag, program->module, "x86-64-v4", true, side) : NULL;
    CHECK(p != NULL);
    if (p) {
        check_loops(p, "forward", 1);
        check_loops(p, "train_step", 2);
        CHECK(kernel_function_right(arena, p, oracle, "forward", BATCH, 10));
        CHECK(kernel_function_right(arena, p, oracle, "train_step", BATCH, 10));
    }
    kernel_report(diag, side);
    arena_free(arena);
}

int main(void) {
    check_side("side=14");
    check_side("side=17");
    return test_report();
}
