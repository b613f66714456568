/* Products of matrices for a library (--blas): the statement on its interpreter and before the verifier; which nests
 * become one; and whole models, where all products that may are left to the library, against the tensor interpreter. */
#include "codegen/nests/gemm.h"
#include "hand_kernels.h"
#include "ir/build.h"
#include "tests/codegen/kernel_compare.h"
#include "tests/passes/random_model.h"
#include "test.h"
#include <string.h>

/* ---- the statement: rows 5, columns 6, terms 7, in every orientation */

enum { ROWS = 5, COLUMNS = 6, TERMS = 7 };

static KMatrix matrix(Hand *h, KBuffer *b, bool turned) {
    KExpr **zeros = ARENA_ARRAY(h->arena, KExpr *, 2);
    zeros[0] = zeros[1] = hi(h, 0);
    return (KMatrix){b, zeros, 2, {turned, !turned}};
}

static KBuffer *sides(Hand *h, const char *name, int64_t rows, int64_t columns, bool turned) {
    return hbuffer(h, SPACE_ARENA, name, KBASE_F32, 2, dim_static(turned ? columns : rows),
                   dim_static(turned ? rows : columns));
}

typedef struct {
    KBuffer *a, *b, *c;
    KGemm gemm;
} Product;

static Product product(Hand *h, int turns) {
    Product t = {.a = sides(h, "a", ROWS, TERMS, turns & 1),
                 .b = sides(h, "b", TERMS, COLUMNS, turns & 2),
                 .c = sides(h, "c", ROWS, COLUMNS, turns & 4)};
    t.gemm = (KGemm){.a = matrix(h, t.a, turns & 1),
                     .b = matrix(h, t.b, turns & 2),
                     .c = matrix(h, t.c, turns & 4),
                     .row_from = hi(h, 0),
                     .row_to = hi(h, ROWS),
                     .column_from = hi(h, 0),
                     .column_to = hi(h, COLUMNS),
                     .sum = hi(h, TERMS)};
    hand_kernel(h, "product");
    return t;
}

static void fill(KInterp *in, const KBuffer *b, int count) {
    double values[64];
    for (int i = 0; i < count; i++)
        values[i] = i % 11 - 4;
    CHECK(kinterp_set(in, b, values, count));
}

/* Element [i][j] of what fill() gave a matrix. */
static double element(int i, int j, int rows, int columns, bool turned) {
    return (turned ? j * rows + i : i * columns + j) % 11 - 4;
}

/* Rows in blocks of 2, shared by the threads. */
static void share_rows(Hand *h, Product *t) {
    KVar *m = hloopvar(h, "m", ROWS);
    KExpr *next = hplus(h, hv(h, m), hi(h, 2));
    KStmt *body = hfor(h, h->k->body, m, AXIS_PARALLEL, hi(h, 0), hi(h, ROWS), 2);
    t->gemm.row_from = hv(h, m);
    t->gemm.row_to = kexpr_binary(h->p, 'm', next, hi(h, ROWS));
    kstmt_add(body, kstmt_gemm(h->p, &t->gemm));
}

static void check_product(int turns, bool accumulate) {
    Hand h = hand_new(4);
    Product t = product(&h, turns);
    t.gemm.accumulate = accumulate;
    share_rows(&h, &t);
    CHECK(kprogram_verify(h.p, "test"));
    KInterp *in = kinterp_new(h.p, 4, (KInterpOptions){.threads = 2, .reverse = turns & 1});
    double got[ROWS * COLUMNS];
    int wrong = 0;
    fill(in, t.a, ROWS * TERMS);
    fill(in, t.b, TERMS * COLUMNS);
    if (accumulate)
        fill(in, t.c, ROWS * COLUMNS);
    CHECK(kinterp_run(in, h.sequence));
    kinterp_get(in, t.c, got);
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++) {
            double sum = accumulate ? element(i, j, ROWS, COLUMNS, turns & 4) : 0;
            for (int k = 0; k < TERMS; k++)
                sum += element(i, k, ROWS, TERMS, turns & 1) * element(k, j, TERMS, COLUMNS, turns & 2);
            wrong += got[turns & 4 ? j * ROWS + i : i * COLUMNS + j] != sum;
        }
    CHECK(wrong == 0);
    kinterp_free(in);
    hand_free(&h);
}

/* ---- faults */

static void check_refused(int what, const char *part) {
    Hand h = hand_new(4);
    Product t = product(&h, 0);
    if (what == 0)
        t.gemm.row_to = hi(&h, ROWS + 1);
    else if (what == 1)
        t.gemm.b.index[0] = hi(&h, 1);
    else if (what == 2)
        t.gemm.c = t.gemm.a;
    else if (what == 3)
        t.c->space = SPACE_ARGUMENT;
    else if (what == 4)
        t.gemm.a.along[1] = 0;
    else
        t.gemm.sum = hv(&h, hvar(&h, "free", KBASE_INDEX, 1, false));
    kstmt_add(h.k->body, kstmt_gemm(h.p, &t.gemm));
    CHECK(hand_refused(&h, part));
    hand_free(&h);
}

static void check_fault(bool race, const char *part) {
    Hand h = hand_new(4);
    Product t = product(&h, 0);
    if (race) { /* every thread writes all rows */
        KStmt *body = hfor(&h, h.k->body, hloopvar(&h, "m", 2), AXIS_PARALLEL, hi(&h, 0), hi(&h, 2), 1);
        kstmt_add(body, kstmt_gemm(h.p, &t.gemm));
    } else
        kstmt_add(h.k->body, kstmt_gemm(h.p, &t.gemm));
    KInterp *in = kinterp_new(h.p, 4, (KInterpOptions){.threads = 2});
    fill(in, t.a, ROWS * TERMS);
    if (race)
        fill(in, t.b, TERMS * COLUMNS);
    bool refused = !kinterp_run(in, h.sequence) && strstr(kinterp_error(in), part);
    if (!refused)
        printf("expected `%s`, got: %s\n", part, kinterp_error(in));
    CHECK(refused);
    kinterp_free(in);
    hand_free(&h);
}

static void check_faults(void) {
    check_refused(0, "a matrix in a reaches element 41 of 35");
    check_refused(1, "a matrix in b reaches element 47 of 42");
    check_refused(2, "which it writes");
    check_refused(3, "the argument c is written");
    check_refused(4, "a is no matrix of f32 with rows and columns");
    check_refused(5, "used where it is not declared");
    check_fault(false, "comes from memory of b that nobody wrote");
    check_fault(true, "race: thread 1 writes c");
}

/* ---- models */

typedef struct {
    int products, in_loops; /* KS_GEMM, and those added to what is there */
} Count;

static void count_products(void *context, const KStmt *s) {
    Count *count = context;
    if (s->kind == KS_GEMM) {
        count->products++;
        count->in_loops += s->gemm->accumulate;
    }
}

static Count count_of(const KProgram *p) {
    Count count = {0};
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            kstmt_visit(p->sequences[s]->kernels[k]->body, &(KVisitor){.statement = count_products, .context = &count});
    return count;
}

/* Right numbers for whole and partial batches, and the same bits for any number of threads. */
static void check_runs(Arena *arena, const Module *oracle, KProgram *p, int64_t batch, int classes, const char *what) {
    for (int i = 0; i < oracle->func_count; i++) {
        Text why = {0};
        KernelExpected e = kernel_expect(arena, oracle, oracle->funcs[i], 3, batch, classes);
        KernelValues one = kernel_run(arena, p, &e, (KInterpOptions){.threads = 1}, &why);
        bool right = one.ran && kernel_check(&e, &one, &why);
        KernelValues more = kernel_run(arena, p, &e, (KInterpOptions){.threads = 3, .reverse = true}, &why);
        right = right && more.ran && kernel_same_bits(&e, &one, &more, &why);
        CHECK(right);
        if (!right)
            printf("%s, batch %d, @%s: %s\n", what, (int)batch, oracle->funcs[i]->name, why.data ? why.data : "");
        text_free(&why);
    }
}

static Count check_model(Arena *arena, Diag *diag, const Module *model, int classes, const char *what) {
    Module *oracle = kernel_oracle(arena, diag, model);
    KProgram *p = oracle ? kernel_program(arena, diag, model, "blas", true, what) : NULL;
    CHECK(p != NULL);
    for (int64_t batch = model->batch_max; batch >= 1 && p; batch -= model->batch_max - 1)
        check_runs(arena, oracle, p, batch, classes, what);
    return p ? count_of(p) : (Count){0};
}

/* x of so many axes and a product with weights of their last two, an activation, and the gradient. */
static Module *layer_of(Arena *arena, Diag *diag, const char *equation, int rank, const int64_t *extents, int64_t out) {
    Module *module = module_new(arena, diag, "layer", 6);
    Func *func = module_func(module, "train_step");
    Dim dims[MAX_RANK] = {dim_batch(1)}, weights[2] = {dim_static(extents[rank - 1]), dim_static(out)};
    for (int i = 1; i < rank; i++)
        dims[i] = dim_static(extents[i]);
    Value *x = func_add_arg(func, ARG_INPUT, type_get(module, DTYPE_F32, rank, dims), "x");
    Variable *kernel = module_variable(module, "kernel", type_get(module, DTYPE_F32, 2, weights), VARIABLE_TRAINABLE,
                                       (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0});
    Builder b = builder_at_end(func);
    Value *w = build_variable(&b, kernel), *gradient;
    Value *y = build_map1(&b, FN_tanh, build_einsum(&b, equation, build_map1(&b, FN_exp, x), w));
    Value *loss = build_mean_all(&b, build_mul(&b, y, y));
    build_grad(&b, loss, &w, 1, &gradient);
    build_assign(&b, kernel, build_sub(&b, w, gradient));
    func_add_result(func, loss, "loss");
    return module;
}

/* Scores and means of values as in attention: batch and heads stay apart. */
static Module *attention_of(Arena *arena, Diag *diag) {
    Module *module = module_new(arena, diag, "attention", 4);
    Func *func = module_func(module, "forward");
    Dim dims[] = {dim_batch(1), dim_static(6), dim_static(2), dim_static(8)};
    Value *x = func_add_arg(func, ARG_INPUT, type_get(module, DTYPE_F32, 4, dims), "x");
    Builder b = builder_at_end(func);
    Value *q = build_map1(&b, FN_tanh, x), *k = build_map1(&b, FN_exp, x);
    Value *scores = build_map1(&b, FN_sigmoid, build_einsum(&b, "bthd,bshd->bhts", q, k));
    func_add_result(func, build_einsum(&b, "bhts,bshd->bthd", scores, q), "output");
    return module;
}

static void check_models(void) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const int64_t flat[] = {0, 70}, steps[] = {0, 5, 12};
    Count dense = check_model(arena, diag, layer_of(arena, diag, "bk,kn->bn", 2, flat, 150), 2, "dense");
    CHECK(dense.products == 2 && dense.in_loops == 0); /* forward, and the weight gradient; x has none */
    Count each = check_model(arena, diag, layer_of(arena, diag, "btk,kn->btn", 3, steps, 24), 2, "each step");
    CHECK(each.products == 2 && each.in_loops == 0); /* samples and steps run on into each other */
    Count attention = check_model(arena, diag, attention_of(arena, diag), 2, "attention");
    CHECK(attention.products == 2);
    arena_free(arena);
}

static void check_random_models(void) {
    int products = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        Arena *arena = arena_new();
        Diag *diag = diag_new(arena);
        char what[32];
        snprintf(what, sizeof what, "seed %d", (int)seed);
        products += check_model(arena, diag, random_model(arena, diag, seed), RANDOM_MODEL_CLASSES, what).products;
        arena_free(arena);
    }
    printf("%d products in 60 random models\n", products);
    CHECK(products > 60);
}

int main(void) {
    for (int turns = 0; turns < 8; turns++) {
        check_product(turns, false);
        check_product(turns, true);
    }
    check_faults();
    check_models();
    check_random_models();
    return test_report();
}
