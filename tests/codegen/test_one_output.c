/* The last layer of a network with one output: its sum lies on the lanes, and what is computed from it, activation,
 * loss and gradient, is a nest of its own with vectors of results, where it is long; the gradient of its weights has
 * vectors although they end with an axis of one place, and adds up all taps side by side. Values are those of the
 * tensor interpreter and bits the same for any number of threads; short epilogues stay, and many outputs. */
#include "codegen/kir/nest.h"
#include "ir/build.h"
#include "passes/pass.h"
#include "test.h"
#include "tests/codegen/kernel_compare.h"
#include "tests/codegen/windows.h"
#include <stdio.h>
#include <string.h>

typedef struct {
    const char *name, *target;
    WindowAttr window; /* spatial 0: a dense layer */
    int64_t extent[3], channels, filters;
    bool is_long; /* the epilogue */
    bool apart;   /* it becomes a nest of its own */
    bool bounded; /* the gradient of the weights leaves out what taps would multiply with zeros */
} Case;

static const Case cases[] = {
    {"one filter", "x86-64-v4", TWO(3, 1, 1, 1, 1), {20, 20}, 16, 1, true, true, false},
    {"odd extents", "x86-64-v4", TWO(3, 1, 1, 1, 1), {7, 19}, 5, 1, true, true, false},
    {"4 lanes", "generic", TWO(3, 1, 1, 1, 1), {9, 6}, 8, 1, true, true, false},
    {"one tap", "x86-64-v4", TWO(1, 1, 1, 0, 0), {12, 10}, 24, 1, true, true, false},
    {"line", "x86-64-v4", ONE(5, 1, 1, 2, 2), {33}, 16, 1, true, true, false},
    {"three filters", "x86-64-v4", TWO(3, 1, 1, 1, 1), {12, 10}, 16, 3, true, true, false},
    {"a short epilogue", "x86-64-v4", TWO(3, 1, 1, 1, 1), {12, 10}, 16, 1, false, false, false},
    {"many filters", "x86-64-v4", TWO(3, 1, 1, 1, 1), {11, 9}, 16, 16, true, false, true},
    {"dense", "x86-64-v4", {.spatial = 0}, {0}, 64, 1, true, true, false},
    {"a GPU has threads", "cuda", TWO(3, 1, 1, 1, 1), {20, 20}, 16, 1, true, false, false},
};

/* A step along the gradients of the mean of softplus(y) sigmoid(y), or of y, by weights and bias of a layer. */
static Module *make_module(Arena *arena, Diag *diag, const Case *c, int64_t batch) {
    Module *module = module_new(arena, diag, "one", batch);
    Func *func = module_func(module, "train_step");
    Builder b = builder_at_end(func);
    int spatial = c->window.spatial;
    Dim dims[MAX_RANK] = {dim_batch(1)}, taps[MAX_RANK], filters = dim_static(c->filters);
    for (int s = 0; s < spatial; s++) {
        dims[s + 1] = dim_static(c->extent[s]);
        taps[s] = dim_static(c->window.size[s]);
    }
    dims[spatial + 1] = taps[spatial] = dim_static(c->channels);
    taps[spatial + 1] = filters;
    b.layer = "layer";
    Value *x = func_add_arg(func, ARG_INPUT, type_get(module, DTYPE_F32, spatial + 2, dims), "x"), *gradients[2];
    Init init = {INIT_UNIFORM, -1, 1, -1};
    Variable *variables[] = {
        module_variable(module, "kernel", type_get(module, DTYPE_F32, spatial + 2, taps), VARIABLE_TRAINABLE, init,
                        (Span){0}),
        module_variable(module, "bias", type_get(module, DTYPE_F32, 1, &filters), VARIABLE_TRAINABLE, init, (Span){0})};
    Value *by[] = {build_variable(&b, variables[0]), build_variable(&b, variables[1])};
    Value *y = spatial ? build_conv(&b, x, by[0], &c->window) : build_einsum(&b, "bk,kn->bn", x, by[0]);
    y = build_map2(&b, FN_add, y, build_broadcast_to(&b, by[1], y->type));
    Value *loss = c->is_long ? build_mul(&b, build_map1(&b, FN_softplus, y), build_map1(&b, FN_sigmoid, y)) : y;
    loss = build_mean_all(&b, loss);
    build_grad(&b, loss, by, 2, gradients);
    for (int i = 0; i < 2; i++)
        build_assign(&b, variables[i], build_map2(&b, FN_sub, by[i], gradients[i]));
    func_add_result(func, loss, "loss");
    return module;
}

/* ---- what became of it */
typedef struct {
    int scalar; /* long functions of single numbers */
    bool apart, bounded, without_lanes;
} Found;

static void look_at(void *context, const KExpr *e) {
    enum { LONG = 12 };
    Found *found = context;
    found->scalar += e->kind == KE_FN && e->type.lanes == 1 && scalar_infos[e->fn.fn].cost >= LONG;
}

static Found look_for(const KProgram *p) {
    Found found = {0};
    for (int k = 0; k < p->sequences[0]->count; k++) {
        const KKernel *kernel = p->sequences[0]->kernels[k];
        kstmt_visit(kernel->body, &(KVisitor){NULL, look_at, &found, NULL});
        found.apart |= strstr(kernel->name, "_sums") != NULL;
        for (int n = 0; n < kernel->nest_count; n++) {
            const Nest *nest = kernel->nests[n];
            found.without_lanes |= nest->reduction_count && nest->vector_axis < 0;
            for (int i = nest->parallel_count; i < nest->axis_count; i++)
                found.bounded |= !strstr(kernel->name, "forward") && nest->axes[i].from && !nest->axes[i].extent.batch;
        }
    }
    return found;
}

static void check_case(const Case *c) {
    enum { BATCH = 16 };
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *module = make_module(arena, diag, c, BATCH), *oracle = kernel_oracle(arena, diag, module);
    KProgram *p = oracle ? kernel_program(arena, diag, module, c->target, true, c->name) : NULL;
    CHECK(p != NULL);
    if (p) {
        Found found = look_for(p);
        bool on_gpu = p->isa.gpu != NULL;
        CHECK(found.apart == c->apart);
        CHECK(!c->apart || found.scalar == 0);
        CHECK(on_gpu || !found.without_lanes);
        CHECK(found.bounded == c->bounded);
        CHECK(kernel_right_with_threads(arena, p, oracle, BATCH, c->name));
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
