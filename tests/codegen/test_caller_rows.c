/* Products of a training step read the caller's samples where they lie: no copy of the batch, also of rows that lie a
 * multiple of a page apart; only a block of their columns at a time, which are many panels' operand, lies on the stack.
 * Whole and partial batches give the right numbers. */
#include "tests/codegen/kernel_compare.h"
#include "ir/build.h"
#include "test.h"
#include <string.h>

static Module *model_of(Arena *arena, Diag *diag, int64_t features, int64_t units, int64_t samples) {
    Module *module = module_new(arena, diag, "pages", samples);
    Func *func = module_func(module, "train_step");
    Dim rows[2] = {dim_batch(1), dim_static(features)}, sides[2] = {dim_static(features), dim_static(units)};
    Value *x = func_add_arg(func, ARG_INPUT, type_get(module, DTYPE_F32, 2, rows), "x");
    Variable *kernel = module_variable(module, "kernel", type_get(module, DTYPE_F32, 2, sides), VARIABLE_TRAINABLE,
                                       (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0});
    Builder b = builder_at_end(func);
    Value *weights = build_variable(&b, kernel), *gradient;
    Value *y = build_map1(&b, FN_tanh, build_einsum(&b, "bk,kn->bn", x, weights));
    Value *loss = build_mean_all(&b, build_mul(&b, y, y));
    build_grad(&b, loss, &weights, 1, &gradient);
    build_assign(&b, kernel, build_sub(&b, weights, gradient));
    func_add_result(func, loss, "loss");
    return module;
}

static bool has_copy(const KProgram *p) {
    for (int i = 0; i < p->buffer_count; i++)
        if (p->buffers[i]->space == SPACE_ARENA && strncmp(p->buffers[i]->name, "x", 1) == 0)
            return true;
    return false;
}

static void count_packed(void *count, const KStmt *s) {
    *(int *)count += s->kind == KS_ALLOC && strcmp(s->alloc->name, "packed") == 0;
}

static int packed_blocks(const KProgram *p) {
    const KSequence *sequence = kernel_sequence(p, "train_step");
    int count = 0;
    for (int i = 0; sequence && i < sequence->count; i++)
        kstmt_visit(sequence->kernels[i]->body, &(KVisitor){.statement = count_packed, .context = &count});
    return count;
}

static void check(int64_t features, int64_t units, int64_t samples, int blocks) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *model = model_of(arena, diag, features, units, samples), *oracle = kernel_oracle(arena, diag, model);
    KProgram *p = oracle ? kernel_program(arena, diag, model, "x86-64-v4", true, "pages") : NULL;
    CHECK(p != NULL);
    for (int64_t batch = 3; batch <= samples && p; batch += samples - 3) {
        Text why = {0};
        KernelExpected e = kernel_expect(arena, oracle, oracle->funcs[0], 1, batch, 2);
        KernelValues values = kernel_run(arena, p, &e, (KInterpOptions){.threads = 2}, &why);
        bool right = values.ran && kernel_check(&e, &values, &why);
        CHECK(right);
        if (!right)
            printf("%d features, batch %d: %s\n", (int)features, (int)batch, why.data ? why.data : "");
        text_free(&why);
    }
    CHECK(p && !has_copy(p) && packed_blocks(p) == blocks);
    arena_free(arena);
}

int main(void) {
    check(1024, 32, 8, 0);
    check(1000, 32, 8, 0);
    check(1024, 128, 32, 1);
    check(1000, 128, 32, 0);
    return test_report();
}
