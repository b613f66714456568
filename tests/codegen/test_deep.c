/* A network of many elementwise layers compiles at all, to about as many statements as it has layers, and is right. */
#include "frontend/frontend.h"
#include "test.h"
#include "tests/codegen/kernel_compare.h"

enum { BATCH = 4, LAYERS = 180, MOST_LETS = 40 /* for a layer, in a step */ };

static void count_statement(void *context, const KStmt *s) {
    *(int64_t *)context += s->kind == KS_LET || s->kind == KS_SET || s->kind == KS_STORE;
}

static void count_expression(void *context, const KExpr *e) {
    *(int64_t *)context += e->kind == KE_FN;
}

static int64_t size_of(const KSequence *sequence) {
    int64_t size = 0;
    for (int i = 0; i < sequence->count; i++)
        kstmt_visit(sequence->kernels[i]->body, &(KVisitor){count_statement, count_expression, &size, NULL});
    return size;
}

static void check_target(const char *target) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Program *program = kernel_source(arena, diag, "tests/codegen/deep.nn", NULL);
    const Module *oracle = program ? kernel_oracle(arena, diag, program->module) : NULL;
    KProgram *p = oracle ? kernel_program(arena, diag, program->module, target, true, target) : NULL;
    CHECK(p != NULL);
    if (p) {
        CHECK(size_of(kernel_sequence(p, "train_step")) < LAYERS * MOST_LETS);
        CHECK(kernel_function_right(arena, p, oracle, "forward", BATCH, 4));
        CHECK(kernel_function_right(arena, p, oracle, "train_step", BATCH, 4));
    }
    kernel_report(diag, target);
    arena_free(arena);
}

int main(void) {
    check_target("generic");
    check_target("x86-64-v4");
    check_target("cuda");
    return test_report();
}
