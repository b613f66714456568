/* Kernels of several nests that are too much for one thread, or need too much stack, become one kernel per nest: with
 * the same results, and each nest shared out among the threads. */
#include "ir/build.h"
#include "tests/codegen/kernel_compare.h"
#include "test.h"

static const Type *rows_type(Module *module, int64_t columns) {
    Dim dims[] = {dim_batch(1), dim_static(columns)};
    return type_get(module, DTYPE_F32, 2, dims);
}

/* tanh of x and 2 x side by side: a nest for each part, and one for what follows. */
static Module *join(Arena *arena, Diag *diag, int64_t columns) {
    Module *module = module_new(arena, diag, "join", 6);
    Func *func = module_func(module, "forward");
    Builder b = builder_at_end(func);
    Value *x = func_add_arg(func, ARG_INPUT, rows_type(module, columns), "x"), *twice = build_scale(&b, x, 2);
    Value *y = build_map1(&b, FN_tanh, build_concat(&b, (Value *[]){x, twice}, 2, 1));
    func_add_result(func, y, "output");
    return module;
}

typedef struct {
    int kernels, local_buffers, shared_out;
} Shape;

static Shape check_join(const char *target, int64_t columns) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *module = join(arena, diag, columns), *oracle = kernel_oracle(arena, diag, module);
    KProgram *p = oracle ? kernel_program(arena, diag, module, target, true, target) : NULL;
    Shape shape = {0};
    CHECK(p != NULL);
    for (int i = 0; p && i < p->sequences[0]->count; i++) {
        shape.kernels++;
        shape.local_buffers += p->sequences[0]->kernels[i]->local_count;
        shape.shared_out += kkernel_parallel(p->sequences[0]->kernels[i]) != NULL;
    }
    for (int64_t batch = 6; p && batch >= 5; batch--) {
        Text why = {0};
        KernelExpected e = kernel_expect(arena, oracle, oracle->funcs[0], 1, batch, 0);
        KernelValues values = kernel_run(arena, p, &e, (KInterpOptions){.threads = 3, .reverse = true}, &why);
        bool right = values.ran && kernel_check(&e, &values, &why);
        CHECK(right);
        if (!right)
            printf("%s: %s\n", target, why.data);
        text_free(&why);
    }
    arena_free(arena);
    return shape;
}

int main(void) {
    static const char *const targets[] = {"generic", "x86-64-v3", "x86-64-v4"};
    for (int i = 0; i < 3; i++) {
        Shape small = check_join(targets[i], 20), large = check_join(targets[i], 20000);
        CHECK(small.local_buffers > 0 && small.shared_out < small.kernels);
        CHECK(large.local_buffers == 0 && large.shared_out == large.kernels && large.kernels > small.kernels);
    }
    CHECK(check_join("cuda", 20000).kernels > check_join("cuda", 20).kernels);
    return test_report();
}
