/* A sum of what a product or another sum reads goes along with it (Nest.carried): the gradient of a bias with that of
 * the weights, that of beta with that of gamma. Values are those of the tensor interpreter, bits the same for any
 * number of threads. It does not where the first cache holds what is read, where registers are few, where the product
 * waits for the sum, or where two axes are left. */
#include "codegen/kir/nest.h"
#include "ir/build.h"
#include "tests/codegen/kernel_compare.h"
#include "test.h"
#include <stdio.h>

typedef enum { WEIGHTS, HEADS, GAMMA, PRODUCT_WAITS, TWO_AXES } Kind;

typedef struct {
    const char *name, *target;
    Kind kind;
    int64_t samples, rows, columns;
    bool carried;
} Case;

static const Case cases[] = {
    {"weights and bias", "x86-64-v4", WEIGHTS, 40, 24, 64, true},
    {"a tile for all rows", "x86-64-v4", WEIGHTS, 40, 8, 64, true},
    {"rows and columns that are left", "x86-64-v4", WEIGHTS, 40, 27, 75, true},
    {"heads", "x86-64-v4", HEADS, 40, 24, 64, true},
    {"gamma and beta", "x86-64-v4", GAMMA, 40, 24, 64, true},
    {"part of a vector", "x86-64-v4", GAMMA, 40, 24, 75, true},
    {"in the first cache", "x86-64-v4", WEIGHTS, 8, 24, 64, false},
    {"few registers", "x86-64-v3", WEIGHTS, 40, 24, 64, false},
    {"no vectors", "generic", WEIGHTS, 40, 24, 64, false},
    {"the product waits", "x86-64-v4", PRODUCT_WAITS, 40, 24, 64, false},
    {"two axes", "x86-64-v4", TWO_AXES, 40, 24, 64, false},
};

enum { STEPS = 12, HEAD_COUNT = 3 };

static Value *argument(Func *func, const char *name, const Dim *dims, int rank) {
    return func_add_arg(func, ARG_INPUT, type_get(func->module, DTYPE_F32, rank, dims), name);
}

/* A result that takes arithmetic, as an optimizer's does. */
static void add_result(Builder *b, Value *sum, const char *name) {
    func_add_result(b->func, build_add(b, build_map1(b, FN_tanh, sum), sum), name);
}

static Module *make_module(Arena *arena, Diag *diag, const Case *c) {
    Module *module = module_new(arena, diag, "carry", c->samples);
    Func *func = module_func(module, "train_step");
    Builder b = builder_at_end(func);
    bool heads = c->kind == HEADS, waits = c->kind == PRODUCT_WAITS;
    Dim wide[] = {dim_batch(1), dim_static(STEPS), dim_static(c->rows), dim_static(2)};
    Dim dims[] = {dim_batch(1), dim_static(STEPS), dim_static(heads ? HEAD_COUNT : c->columns), dim_static(c->columns)};
    Value *x = argument(func, "x", c->kind == GAMMA ? dims : wide, c->kind == TWO_AXES ? 4 : 3);
    Value *dy = argument(func, "dy", dims, heads ? 4 : 3);
    b.layer = "one";
    Value *bias = build_sum(&b, dy, (int[]){0, 1}, 2), *weights;
    if (waits)
        x = build_mul(&b, x, build_broadcast(&b, build_sum_all(&b, build_map1(&b, FN_tanh, bias)), x->type, NULL));
    if (c->kind == GAMMA)
        weights = build_sum(&b, build_mul(&b, dy, x), (int[]){0, 1}, 2);
    else
        weights = build_einsum(&b,
                               heads                 ? "btk,bthn->khn"
                               : c->kind == TWO_AXES ? "btki,btn->kin"
                                                     : "btk,btn->kn",
                               x, dy);
    add_result(&b, weights, "weights");
    add_result(&b, bias, "bias");
    return module;
}

static bool carries(const KProgram *p) {
    for (int k = 0; k < p->sequences[0]->count; k++)
        for (int i = 0; i < p->sequences[0]->kernels[k]->nest_count; i++)
            if (p->sequences[0]->kernels[k]->nests[i]->carried.nest)
                return true;
    return false;
}

static void check_case(const Case *c) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *module = make_module(arena, diag, c), *oracle = kernel_oracle(arena, diag, module);
    KProgram *p = oracle ? kernel_program(arena, diag, module, c->target, true, c->name) : NULL;
    CHECK(p != NULL);
    if (p) {
        CHECK(carries(p) == c->carried);
        CHECK(kernel_right_with_threads(arena, p, oracle, c->samples, c->name));
        CHECK(kernel_right_with_threads(arena, p, oracle, 3, c->name));
    }
    if (test_failed)
        printf("after %s\n", c->name);
    arena_free(arena);
}

int main(void) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_case(&cases[i]);
    return test_report();
}
