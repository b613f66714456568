/* Convolution, activation, max pooling, twice; and the gradients. Kernels for CPU and GPU agree with the tensor
 * interpreter on the module as the front end leaves it, whichever form the gradient of the pooling takes: lists of what
 * is not zero, computed inline, or all cells in memory. The names of the kernels tell the form. */
#include "codegen/kir/isa.h"
#include "codegen/lower/lower.h"
#include "codegen/kir/nest.h"
#include "ir/build.h"
#include "passes/pass.h"
#include "tests/codegen/kernel_compare.h"
#include "tests/passes/interp_compare.h"
#include "test.h"
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name;
    int64_t extent, channels, middle, filters; /* x; features of both convolutions */
    WindowAttr conv, pool;                     /* of the second layer; the first has 3 x 3 and the same pooling */
    ScalarFn activation;
    bool lists, whole, windows; /* x86-64-v4: the second layer's gradients; its forward nest is one of windows */
} Form;

#define WINDOW(SIZE, STRIDE, LOW, HIGH)                                                                                \
    {                                                                                                                  \
        .spatial = 2, .size = {SIZE, SIZE}, .stride = {STRIDE, STRIDE}, .dilation = {1, 1}, .low = {LOW, LOW},         \
        .high = {HIGH, HIGH}, .kind = REDUCE_MAX                                                                       \
    }
#define SIDES(SIZE_Y, SIZE_X, STRIDE_Y, STRIDE_X)                                                                      \
    { .spatial = 2, .size = {SIZE_Y, SIZE_X}, .stride = {STRIDE_Y, STRIDE_X}, .dilation = {1, 1}, .kind = REDUCE_MAX }

static const Form forms[] = {
    {"lists", 10, 1, 16, 3, WINDOW(3, 1, 0, 0), WINDOW(2, 2, 0, 0), FN_relu, true, false, true},
    {"half the lanes", 9, 2, 8, 17, WINDOW(2, 1, 0, 0), WINDOW(2, 2, 0, 0), FN_relu, true, false, true},
    {"strided", 14, 1, 32, 5, WINDOW(3, 2, 0, 0), WINDOW(2, 2, 0, 0), FN_relu, true, false, true},
    {"few channels", 10, 3, 4, 16, WINDOW(3, 1, 0, 0), WINDOW(2, 2, 0, 0), FN_relu, false, true, true},
    {"padded", 8, 1, 16, 4, WINDOW(3, 1, 1, 1), WINDOW(2, 2, 0, 0), FN_relu, true, false, true},
    {"large", 28, 1, 16, 1, WINDOW(3, 1, 0, 0), WINDOW(2, 2, 0, 0), FN_relu, true, false, true},
    {"padded on one side", 8, 1, 16, 4, WINDOW(3, 2, 0, 1), WINDOW(2, 2, 0, 0), FN_relu, true, false, true},
    {"tanh", 10, 1, 16, 6, WINDOW(3, 1, 0, 0), WINDOW(2, 2, 0, 0), FN_tanh, true, false, true},
    {"behind the pooling", 10, 1, 16, 6, WINDOW(3, 1, 0, 0), WINDOW(2, 2, 0, 0), FN_softplus, true, false, true},
    {"not increasing", 10, 1, 16, 6, WINDOW(3, 1, 0, 0), WINDOW(2, 2, 0, 0), FN_sin, false, false, false},
    {"overlapping", 9, 1, 16, 4, WINDOW(3, 1, 0, 0), WINDOW(3, 2, 0, 0), FN_relu, false, false, false},
    {"gaps", 12, 1, 16, 4, WINDOW(2, 1, 0, 0), WINDOW(2, 3, 0, 0), FN_relu, true, false, true},
    {"sides differ", 14, 1, 16, 3, SIDES(3, 3, 1, 2), SIDES(2, 3, 3, 3), FN_relu, true, false, true},
    {"one cell wide", 14, 1, 16, 3, WINDOW(3, 1, 0, 0), SIDES(4, 1, 4, 1), FN_relu, true, false, true},
    {"cropped", 11, 1, 16, 4, WINDOW(3, 1, -1, 0), WINDOW(2, 2, 0, 0), FN_relu, true, false, true},
};

static Value *layer(Builder *b, Value *x, Variable *kernel, const WindowAttr *conv, const Form *f, bool pooled) {
    WindowAttr sum = *conv;
    sum.kind = REDUCE_SUM;
    Value *y = build_map1(b, f->activation, build_conv(b, x, build_variable(b, kernel), &sum));
    return pooled ? build_pool(b, y, &f->pool) : y;
}

static Variable *kernel_of(Module *module, const char *name, int64_t size, int64_t in, int64_t out) {
    Dim dims[] = {dim_static(size), dim_static(size), dim_static(in), dim_static(out)};
    return module_variable(module, name, type_get(module, DTYPE_F32, 4, dims), VARIABLE_TRAINABLE,
                           (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0});
}

static Module *make_module(Arena *arena, Diag *diag, const Form *f) {
    static const WindowAttr first = WINDOW(3, 1, 0, 0);
    Module *module = module_new(arena, diag, "unpool", 9);
    Func *func = module_func(module, "train_step");
    Builder b = builder_at_end(func);
    Dim dims[] = {dim_batch(1), dim_static(f->extent), dim_static(f->extent), dim_static(f->channels)};
    Value *x = func_add_arg(func, ARG_INPUT, type_get(module, DTYPE_F32, 4, dims), "x"), *gradient[3];
    Variable *kernels[] = {kernel_of(module, "first", 3, f->channels, f->middle),
                           kernel_of(module, "second", f->conv.size[0], f->middle, f->filters)};
    b.layer = "one";
    Value *y = layer(&b, x, kernels[0], &first, f, false);
    b.layer = "two";
    Value *pooled = layer(&b, y, kernels[1], &f->conv, f, true);
    Value *by[] = {build_variable(&b, kernels[0]), build_variable(&b, kernels[1]), x};
    build_grad(&b, build_mean_all(&b, build_mul(&b, pooled, pooled)), by, 3, gradient);
    func_add_result(func, pooled, "output");
    for (int i = 0; i < 3; i++)
        func_add_result(func, gradient[i], i == 0 ? "first" : i == 1 ? "second" : "by_x");
    return module;
}

static bool has_kernel(const KProgram *p, const char *part) {
    for (int k = 0; k < p->sequences[0]->count; k++)
        if (strstr(p->sequences[0]->kernels[k]->name, part))
            return true;
    return false;
}

static bool has_windows(const KProgram *p) {
    for (int k = 0; k < p->sequences[0]->count; k++)
        for (int n = 0; n < p->sequences[0]->kernels[k]->nest_count; n++)
            if (p->sequences[0]->kernels[k]->nests[n]->cell_count)
                return true;
    return false;
}

static void check_values(Arena *arena, KProgram *p, const Module *oracle, int64_t batch, const char *what) {
    Text why = {0};
    KernelExpected e = kernel_expect(arena, oracle, oracle->funcs[0], 7, batch, 2);
    KernelValues one = kernel_run(arena, p, &e, (KInterpOptions){.threads = 1}, &why);
    bool right = one.ran && kernel_check(&e, &one, &why);
    if (right) {
        KernelValues other = kernel_run(arena, p, &e, (KInterpOptions){.threads = 3, .reverse = true}, &why);
        right = other.ran && kernel_same_bits(&e, &one, &other, &why);
    }
    CHECK(right);
    if (!right)
        printf("%s, batch %d: %s\n", what, (int)batch, why.data ? why.data : "");
    text_free(&why);
}

static void check_form(const Form *f, const char *target) {
    char what[80];
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *module = make_module(arena, diag, f), *oracle = kernel_oracle(arena, diag, module);
    snprintf(what, sizeof what, "%s, %s", f->name, target);
    KProgram *p = oracle ? kernel_program(arena, diag, module, target, true, what) : NULL;
    CHECK(p != NULL);
    if (p) {
        check_values(arena, p, oracle, strcmp(target, "x86-64-v4") == 0 ? 9 : 2, what);
    }
    if (p && strcmp(target, "x86-64-v4") == 0) {
        CHECK(has_kernel(p, "two_list") == f->lists);
        CHECK(has_kernel(p, "two_unpool") == f->whole);
        CHECK(has_windows(p) == (f->windows && !has_kernel(p, "two_forward_weights"))); /* by F(2x2, 3x3): no cells */
    }
    if (p && strcmp(target, "cuda") == 0) {
        CHECK(!has_kernel(p, "two_list"));
        CHECK(!has_windows(p));
    }
    if (test_failed)
        printf("after %s\n", what);
    arena_free(arena);
}

int main(void) {
    static const char *const targets[] = {"generic", "panels", "x86-64-v4", "cuda"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (size_t t = 0; t < sizeof targets / sizeof *targets; t++)
            check_form(&forms[i], targets[t]);
    return test_report();
}
