/* Kernels of modules of which only a part is computed: random models with crops, negative padding and slack, for CPU
 * and GPU, agree with the tensor interpreter on the whole module with its gradients. Windows that stay inside what they
 * read have neither tests nor padded copies, windows that do not have them. */
#include "passes/pass.h"
#include "codegen/kir/isa.h"
#include "codegen/lower/lower.h"
#include "tests/codegen/kernel_compare.h"
#include "tests/passes/interp_compare.h"
#include "tests/passes/region_model.h"
#include "codegen/kir/nest.h"
#include "test.h"
#include <stdlib.h>

enum { MODELS = 100 };
static const char *const targets[] = {"generic", "x86-64-v4", "cuda"};

/* ---- random models ---- */

static void check_func(Arena *arena, KProgram *p, const KernelExpected *e, const char *what) {
    Text why = {0};
    KernelValues first = kernel_run(arena, p, e, (KInterpOptions){.threads = 1}, &why);
    bool right = first.ran && kernel_check(e, &first, &why);
    CHECK(right);
    if (right) {
        KernelValues other = kernel_run(arena, p, e, (KInterpOptions){.threads = 3, .reverse = true}, &why);
        right = other.ran && kernel_same_bits(e, &first, &other, &why);
        CHECK(right);
    }
    if (!right)
        printf("%s, batch %d, @%s: %s\n", what, (int)e->batch, e->func->name, why.data ? why.data : "");
    text_free(&why);
}

static void check_model(uint64_t seed) {
    Arena *arena = arena_new();
    Module *model = region_model(arena, diag_new(arena), seed);
    Diag *diag = model->diag = diag_new(arena); /* without the layers that the generator could not build */
    Module *oracle = kernel_oracle(arena, diag, model);
    for (size_t t = 0; t < sizeof targets / sizeof *targets && oracle; t++) {
        char what[64];
        snprintf(what, sizeof what, "seed %d, %s", (int)seed, targets[t]);
        KProgram *p = kernel_program(arena, diag, model, targets[t], true, what);
        CHECK(p != NULL);
        int64_t batch = (seed + t) % 2 ? model->batch_max : 1 + (int64_t)(seed % 3);
        for (int i = 0; i < oracle->func_count && p; i++) {
            KernelExpected e = kernel_expect(arena, oracle, oracle->funcs[i], seed, batch, 2);
            check_func(arena, p, &e, what);
        }
    }
    CHECK(oracle != NULL);
    arena_free(arena);
}

/* ---- tests and copies in kernels ---- */

typedef struct {
    int copies, guards, comparisons;
} Cost;

static void count_comparison(void *context, const KExpr *e) {
    Cost *cost = context;
    cost->comparisons += e->kind == KE_FN && (e->fn.fn == FN_ge || e->fn.fn == FN_lt);
}

/* conv of size 3, relu, pooling of size 2, mean over the rest; the gradients by x and the kernel in @gradients. */
static Cost cost_of(int64_t extent, const WindowAttr *conv, const WindowAttr *pool, const char *func) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *module = module_new(arena, diag, "windows", 4);
    Func *f = module_func(module, func);
    Builder b = builder_at_end(f);
    const Type *type = type_get(module, DTYPE_F32, 3, (Dim[]){dim_batch(1), dim_static(extent), dim_static(2)});
    const Type *filter = type_get(module, DTYPE_F32, 3, (Dim[]){dim_static(3), dim_static(2), dim_static(5)});
    Variable *kernel =
        module_variable(module, "kernel", filter, VARIABLE_TRAINABLE, (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0});
    Value *x = func_add_arg(f, ARG_INPUT, type, "x"), *gradient[1];
    Value *y = build_conv(&b, x, build_variable(&b, kernel), conv);
    Value *pooled = build_pool(&b, build_map1(&b, FN_tanh, y), pool);
    func_add_result(f, pooled, "output");
    if (strcmp(func, "gradients") == 0) {
        build_grad(&b, build_mean_all(&b, pooled), (Value *[]){build_variable(&b, kernel)}, 1, gradient);
        func_add_result(f, gradient[0], "kernel");
    }
    PassContext context = pass_context(diag, NULL, NULL);
    Program info = {.module = module, .name = module->name};
    KIsa isa;
    Cost cost = {0};
    bool ok = isa_find("generic", &isa) && passes_run(module, &context, pass_pipeline, pass_pipeline_count);
    KProgram *p = ok ? lower_program(arena, diag, &info, isa) : NULL;
    CHECK(p != NULL);
    for (int k = 0; p && k < p->sequences[0]->count; k++) {
        const KKernel *made = p->sequences[0]->kernels[k];
        cost.copies += strstr(made->name, "_pad") != NULL;
        for (int i = 0; i < made->nest_count; i++) {
            for (int r = 0; r < made->nests[i]->reduction_count; r++)
                cost.guards += made->nests[i]->reductions[r].guard != NULL;
            kstmt_visit(made->nests[i]->epilogue, &(KVisitor){.expression = count_comparison, .context = &cost});
        }
    }
    arena_free(arena);
    return cost;
}

static WindowAttr window(int64_t size, int64_t stride, int64_t low, int64_t high) {
    return (WindowAttr){.spatial = 1,
                        .size = {size},
                        .stride = {stride},
                        .dilation = {1},
                        .low = {low},
                        .high = {high},
                        .kind = REDUCE_MAX};
}

static void check_cost(int64_t extent, WindowAttr conv, WindowAttr pool, Cost forward, Cost gradients) {
    Cost f = cost_of(extent, &conv, &pool, "forward"), g = cost_of(extent, &conv, &pool, "gradients");
    CHECK(f.copies == forward.copies && f.guards == forward.guards && f.comparisons == forward.comparisons);
    CHECK(g.copies == gradients.copies && g.guards == gradients.guards && g.comparisons == gradients.comparisons);
    if (test_failed)
        printf("%d cells: %d copies, %d guards, %d comparisons; gradients %d, %d, %d\n", (int)extent, f.copies,
               f.guards, f.comparisons, g.copies, g.guards, g.comparisons);
}

static void test_costs(void) {
    const Cost none = {0};
    check_cost(13, window(3, 1, 0, 0), window(2, 2, 0, 0), none, none);   /* 11 cells, 10 of them pooled */
    check_cost(13, window(3, 1, -2, -1), window(2, 2, 0, 0), none, none); /* a crop of what is read */
    check_cost(13, window(3, 1, 0, 0), window(2, 2, -3, -1), none, none); /* a crop of what is pooled */
    check_cost(12, window(3, 1, 0, 0), window(2, 2, 0, 1), none, none);   /* padding that no window reaches */
    check_cost(13, window(3, 1, 1, 1), window(2, 2, 0, 0), (Cost){.copies = 1, .comparisons = 2},
               (Cost){.copies = 2, .comparisons = 4}); /* zeros around x, for y and for the gradient */
    check_cost(13, window(3, 1, 0, 0), window(2, 2, 0, 1), (Cost){.guards = 1}, (Cost){.guards = 2});
}

int main(int argc, char **argv) {
    uint64_t from = argc > 1 ? strtoull(argv[1], NULL, 10) : 0, to = argc > 2 ? strtoull(argv[2], NULL, 10) : MODELS;
    test_costs();
    for (uint64_t seed = from; seed < to; seed++)
        check_model(seed);
    return test_report();
}
