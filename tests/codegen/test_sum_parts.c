/* A long sum over the samples with few results is cut in parts, which threads share: the gradient of a convolution's
 * kernel with one channel. Its values are those of the tensor interpreter and its bits the same for any number of
 * threads, also where a batch has fewer samples than parts; short sums and those with more results stay whole. */
#include "codegen/kir/isa.h"
#include "ir/build.h"
#include "passes/pass.h"
#include "tests/codegen/kernel_compare.h"
#include "test.h"
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name, *target;
    int64_t samples, extent, channels, filters;
    bool parts;
} Case;

static const Case cases[] = {
    {"few results", "x86-64-v4", 64, 20, 1, 16, true},    {"a vector in part", "x86-64-v4", 64, 20, 1, 11, true},
    {"short", "x86-64-v4", 32, 3, 1, 4, false},           {"few samples", "x86-64-v4", 16, 20, 1, 16, false},
    {"more results", "x86-64-v4", 64, 13, 16, 16, false}, /* odd: not by Winograd, whose sums have parts too */
    {"many filters", "x86-64-v4", 64, 20, 1, 64, false},  {"a GPU, by its own rule", "cuda", 64, 20, 1, 16, true},
};

static Module *make_module(Arena *arena, Diag *diag, const Case *c) {
    static const WindowAttr window = {
        .spatial = 2, .size = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}, .kind = REDUCE_SUM};
    Module *module = module_new(arena, diag, "parts", c->samples);
    Func *func = module_func(module, "train_step");
    Builder b = builder_at_end(func);
    Dim dims[] = {dim_batch(1), dim_static(c->extent), dim_static(c->extent), dim_static(c->channels)};
    Dim taps[] = {dim_static(3), dim_static(3), dim_static(c->channels), dim_static(c->filters)};
    Value *x = func_add_arg(func, ARG_INPUT, type_get(module, DTYPE_F32, 4, dims), "x"), *gradient;
    Variable *kernel = module_variable(module, "kernel", type_get(module, DTYPE_F32, 4, taps), VARIABLE_TRAINABLE,
                                       (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0});
    b.layer = "one";
    Value *y = build_conv(&b, x, build_variable(&b, kernel), &window), *by = build_variable(&b, kernel);
    build_grad(&b, build_mean_all(&b, build_mul(&b, y, y)), &by, 1, &gradient);
    func_add_result(func, gradient, "gradient");
    return module;
}

static bool has_parts(const KProgram *p) {
    for (int k = 0; k < p->sequences[0]->count; k++)
        if (strstr(p->sequences[0]->kernels[k]->name, "_parts"))
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
        CHECK(has_parts(p) == c->parts);
        CHECK(kernel_right_with_threads(arena, p, oracle, 3, c->name));
        if (c->parts)
            CHECK(kernel_right_with_threads(arena, p, oracle, 10, c->name));
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
