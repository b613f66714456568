/* Attention masked by a comparison of two indices: sums run over the triangle only, forward and in the gradients, and
 * agree with the tensor interpreter; where a row might have nothing in the triangle, its weights are no zeros. Layer
 * normalisation and softmax go through rows within samples; where scores are large, with the products around them. */
#include "codegen/kir/isa.h"
#include "codegen/lower/lower.h"
#include "codegen/map/map.h"
#include "ir/build.h"
#include "passes/pass.h"
#include "tests/codegen/kernel_compare.h"
#include "tests/passes/interp_compare.h"
#include "test.h"

/* A GPU and a library join no products. */
static const struct {
    const char *name;
    bool joins;
} targets[] = {{"generic", true}, {"x86-64-v4", true}, {"panels", true}, {"cuda", false}, {"blas", false}};

typedef struct {
    const char *name;
    ScalarFn comparison; /* of the indices of query and key; FN_COUNT: none */
    int64_t length, heads, width;
    int parts;   /* nests over a part, of a training step */
    bool joined; /* scores are larger than a cache: they stay in blocks of rows */
    int turned; /* products that turn a factor piece by piece, with 16 lanes: scores the keys, their gradient the values
                 */
} Form;

/* Scores, the largest of a row, weights and their sums, their product with the values, and four gradients; where
 * weights may be other than zero outside of the triangle, the scores and their gradient, and the two products with
 * that. */
static const Form forms[] = {
    {"causal", FN_ge, 19, 2, 5, 9, false, 1},
    {"causal, whole tiles", FN_ge, 64, 2, 32, 9, false, 2},
    {"reverse", FN_le, 32, 1, 16, 9, false, 1},
    {"shorter than lanes", FN_ge, 4, 2, 2, 9, false, 1},
    {"strictly causal", FN_gt, 24, 2, 8, 4, false, 1},
    {"strictly reverse", FN_lt, 17, 1, 4, 4, false, 1},
    {"long, causal", FN_ge, 216, 2, 3, 9, true, 0},
    {"long, all", FN_COUNT, 224, 2, 4, 0, true, 0},
    {"long, no tiles of rows", FN_ge, 211, 2, 2, 9, false, 0},
};

static Value *sequence(Builder *b, Module *module, Func *f, const char *name, const Form *form) {
    Dim dims[] = {dim_batch(1), dim_static(form->length), dim_static(form->heads), dim_static(form->width)};
    Value *x = func_add_arg(f, ARG_INPUT, type_get(module, DTYPE_F32, 4, dims), name);
    Variable *scale = module_variable(module, name, type_get(module, DTYPE_F32, 1, &dims[3]), VARIABLE_TRAINABLE,
                                      (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0});
    return build_mul(b, x, build_variable(b, scale));
}

static Value *softmax(Builder *b, Value *x) {
    int last = 3;
    Value *most = build_stop_gradient(b, build_reduce_keep(b, REDUCE_MAX, x, &last, 1));
    Value *e = build_map1(b, FN_exp, build_sub(b, x, most));
    return build_div(b, e, build_reduce_keep(b, REDUCE_SUM, e, &last, 1));
}

static Module *attention(Arena *arena, Diag *diag, const Form *form) {
    Module *module = module_new(arena, diag, "triangle", 3);
    Func *f = module_func(module, "train_step");
    Builder b = builder_at_end(f);
    Value *x[3], *gradients[3];
    const char *names[] = {"query", "key", "value"};
    for (int i = 0; i < 3; i++)
        x[i] = sequence(&b, module, f, names[i], form);
    const Type *square = type_get(module, DTYPE_I32, 2, (Dim[]){dim_static(form->length), dim_static(form->length)});
    Value *scores = build_einsum(&b, "bqhd,bkhd->bhqk", x[0], x[1]);
    if (form->comparison != FN_COUNT) {
        Value *mask = build_map2(&b, form->comparison, build_iota(&b, square, 0), build_iota(&b, square, 1));
        scores = build_map3(&b, FN_select, mask, scores, build_like(&b, scores, -1e9));
    }
    Value *y = build_einsum(&b, "bhqk,bkhd->bqhd", softmax(&b, scores), x[2]);
    build_grad(&b, build_mean_all(&b, build_mul(&b, y, y)), x, 3, gradients);
    func_add_result(f, y, "output");
    for (int i = 0; i < 3; i++)
        func_add_result(f, gradients[i], names[i]);
    return module;
}

/* Do products stand in kernels over rows, and the scores in no memory of the program? */
static bool is_joined(const KProgram *p) {
    bool local = false, product = false;
    for (int k = 0; k < p->sequences[0]->count; k++) {
        const KKernel *kernel = p->sequences[0]->kernels[k];
        if (kernel->row_axes < 2 || !map_rows_hold_product(kernel))
            continue;
        product = true;
        for (int i = 0; i < kernel->local_count; i++)
            local = local || kernel->locals[i]->rank == 4;
    }
    return product && local;
}

static int count_turned(const KProgram *p) {
    int turned = 0;
    for (int k = 0; k < p->sequences[0]->count; k++)
        for (int i = 0; i < p->sequences[0]->kernels[k]->nest_count; i++)
            turned += p->sequences[0]->kernels[k]->nests[i]->turned != NULL;
    return turned;
}

static void check_values(Arena *arena, Diag *diag, Module *module, const Form *form, const char *target, bool joins) {
    Module *oracle = kernel_oracle(arena, diag, module);
    KProgram *p = kernel_program(arena, diag, module, target, true, form->name);
    Text why = {0};
    CHECK(p && oracle);
    if (p && oracle) {
        KernelExpected e = kernel_expect(arena, oracle, oracle->funcs[0], 7, 2, 2);
        KernelValues first = kernel_run(arena, p, &e, (KInterpOptions){.threads = 1}, &why);
        bool right = first.ran && kernel_check(&e, &first, &why);
        if (right) {
            KernelValues other = kernel_run(arena, p, &e, (KInterpOptions){.threads = 3, .reverse = true}, &why);
            right = other.ran && kernel_same_bits(&e, &first, &other, &why);
        }
        CHECK(right);
        CHECK(is_joined(p) == (form->joined && joins));
        int turned = p->isa.lanes == 16 ? count_turned(p) : form->turned;
        CHECK(turned == form->turned);
        if (turned != form->turned)
            printf("%s, %s: %d are turned\n", form->name, target, turned);
        if (!right)
            printf("%s, %s: %s\n", form->name, target, why.data ? why.data : "");
    }
    text_free(&why);
}

/* Passes and lowering; `rows`: kernels over rows within samples. */
static int count_parts(Arena *arena, Diag *diag, Module *module, int *rows) {
    PassContext context = pass_context(diag, NULL, NULL);
    Program info = {.module = module, .name = module->name};
    KIsa isa;
    bool ok = isa_find("x86-64-v4", &isa) && passes_run(module, &context, pass_pipeline, pass_pipeline_count);
    KProgram *p = ok ? lower_program(arena, diag, &info, isa) : NULL;
    int parts = 0;
    *rows = 0;
    for (int k = 0; p && k < p->sequences[0]->count; k++) {
        const KKernel *kernel = p->sequences[0]->kernels[k];
        *rows += kernel->row_axes > 1;
        for (int i = 0; i < kernel->nest_count; i++)
            parts += kernel->nests[i]->part.above != NULL;
    }
    return p ? parts : -1;
}

static void check_form(const Form *form) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *module = attention(arena, diag, form);
    int rows;
    for (size_t t = 0; t < sizeof targets / sizeof *targets; t++)
        if (!form->joined || targets[t].joins) /* long ones take long */
            check_values(arena, diag, module, form, targets[t].name, targets[t].joins);
    int parts = count_parts(arena, diag, module, &rows);
    CHECK(parts == form->parts);
    if (parts != form->parts)
        printf("%s: %d nests over a part\n", form->name, parts);
    CHECK((rows > 0) == (form->length * form->length * form->heads > 2048));
    arena_free(arena);
}

int main(void) {
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        check_form(&forms[i]);
    return test_report();
}
