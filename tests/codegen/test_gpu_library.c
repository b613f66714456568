/* Products of matrices by a library on a GPU (--blas=cublaslt): whole models, where every product that one call can do
 * is the library's, against the tensor interpreter; what is done in the call and what behind it; which products are
 * wide enough; and the rules for the call's bias and scratch memory. */
#include "codegen/nests/gemm.h"
#include "codegen/kir/isa.h"
#include "codegen/kir/library.h"
#include "codegen/gpu/map_gpu_tile.h"
#include "hand_kernels.h"
#include "ir/build.h"
#include "tests/codegen/kernel_compare.h"
#include "tests/passes/random_model.h"
#include "test.h"
#include <string.h>

/* ---- what becomes a call */

typedef struct {
    int products, biased, relu, kernels;
} Count;

static void count_statement(void *context, const KStmt *s) {
    Count *count = context;
    if (s->kind != KS_GEMM)
        return;
    count->products++;
    count->biased += s->gemm->bias.buffer != NULL;
    count->relu += s->gemm->relu;
}

static Count count_of(const KSequence *sequence) {
    Count count = {.kernels = sequence->count};
    for (int k = 0; k < sequence->count; k++)
        kstmt_visit(sequence->kernels[k]->body, &(KVisitor){.statement = count_statement, .context = &count});
    return count;
}

typedef struct {
    Arena *arena;
    Diag *diag;
    Module *module;
    Func *func;
    Builder b;
} Form;

static Form form_new(const char *function) {
    Form f = {.arena = arena_new()};
    f.diag = diag_new(f.arena);
    f.module = module_new(f.arena, f.diag, "library", 6);
    f.func = module_func(f.module, function);
    f.b = builder_at_end(f.func);
    return f;
}

static Value *input(Form *f, int rank, int64_t a, int64_t b) {
    Dim dims[] = {dim_batch(1), dim_static(a), dim_static(b)};
    return func_add_arg(f->func, ARG_INPUT, type_get(f->module, DTYPE_F32, rank, dims), "x");
}

static Variable *weight(Form *f, const char *name, int rank, int64_t a, int64_t b) {
    Dim dims[] = {dim_static(a), dim_static(b)};
    return module_variable(f->module, name, type_get(f->module, DTYPE_F32, rank, dims), VARIABLE_TRAINABLE,
                           (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0});
}

/* Right numbers for whole and partial batches; the order of blocks changes no bit, nor does the memory plan. */
static bool runs(Arena *arena, Diag *diag, const Module *model, const char *target, uint64_t seed) {
    Module *oracle = kernel_oracle(arena, diag, model);
    KProgram *p = oracle ? kernel_program(arena, diag, model, target, true, target) : NULL;
    KProgram *unplanned = p ? kernel_program(arena, diag, model, target, false, target) : NULL;
    bool exact = p && p->precision == PRECISION_FLOAT32, right = unplanned != NULL;
    for (int i = 0; right && i < oracle->func_count; i++)
        for (int64_t batch = model->batch_max; right && batch >= 1; batch -= model->batch_max - 1) {
            Text why = {0};
            KernelExpected e = kernel_expect(arena, oracle, oracle->funcs[i], seed, batch, RANDOM_MODEL_CLASSES);
            KernelValues one = kernel_run(arena, p, &e, (KInterpOptions){.threads = 1, .strict_arena = true}, &why);
            right = one.ran && (!exact || kernel_check(&e, &one, &why));
            KernelValues other = kernel_run(arena, p, &e, (KInterpOptions){.threads = 1, .reverse = true}, &why);
            right = right && other.ran && kernel_same_bits(&e, &one, &other, &why);
            other = kernel_run(arena, unplanned, &e, (KInterpOptions){.threads = 1}, &why);
            right = right && other.ran && kernel_same_bits(&e, &one, &other, &why);
            if (!right)
                printf("%s, batch %d, @%s: %s\n", target, (int)batch, oracle->funcs[i]->name, why.data ? why.data : "");
            text_free(&why);
        }
    return right;
}

static Count form_count(Form *f, const char *target) {
    KProgram *p = kernel_program(f->arena, f->diag, f->module, target, true, target);
    CHECK(p && runs(f->arena, f->diag, f->module, target, 3));
    return p ? count_of(p->sequences[0]) : (Count){0};
}

/* act(x w + bias), stored, and read by nobody else */
static Count dense(int activation, bool biased, const char *target) {
    Form f = form_new("forward");
    Value *x = build_map1(&f.b, FN_tanh, input(&f, 2, 20, 0));
    Value *y = build_einsum(&f.b, "bk,kn->bn", x, build_variable(&f.b, weight(&f, "w", 2, 20, 9)));
    if (biased)
        y = build_add(&f.b, y, build_broadcast_to(&f.b, build_variable(&f.b, weight(&f, "c", 1, 9, 0)), y->type));
    y = activation >= 0 ? build_map1(&f.b, activation, y) : y;
    func_add_result(f.func, y, "output");
    Count count = form_count(&f, target);
    arena_free(f.arena);
    return count;
}

static void check_count(Count count, int kernels, int products, int biased, int relu) {
    bool right = count.kernels == kernels && count.products == products && count.biased == biased && count.relu == relu;
    CHECK(right);
    if (!right)
        printf("%d kernels, %d products, %d with a bias, %d with relu\n", count.kernels, count.products, count.biased,
               count.relu);
}

/* A first kernel makes x; what is more than a bias and relu is a kernel behind. */
static void test_epilogues(void) {
    check_count(dense(-1, false, "cuda:library"), 2, 1, 0, 0);
    check_count(dense(-1, true, "cuda:library"), 2, 1, 1, 0);
    check_count(dense(FN_relu, false, "cuda:library"), 2, 1, 0, 1);
    check_count(dense(FN_relu, true, "cuda:library"), 2, 1, 1, 1);
    check_count(dense(FN_relu, true, "cuda:library:tf32"), 2, 1, 1, 1);
    check_count(dense(FN_relu, true, "cuda:library:bfloat16"), 2, 1, 1, 1);
    check_count(dense(FN_tanh, true, "cuda:library"), 3, 1, 0, 0);
    check_count(dense(FN_relu, true, "cuda"), 2, 0, 0, 0);
}

/* The rows of samples and steps are one axis; weights with two axes of columns are one matrix. */
static void test_axes(void) {
    Form f = form_new("forward");
    Value *x = build_map1(&f.b, FN_tanh, input(&f, 3, 5, 12));
    Dim dims[] = {dim_static(12), dim_static(2), dim_static(4)};
    Variable *w = module_variable(f.module, "w", type_get(f.module, DTYPE_F32, 3, dims), VARIABLE_TRAINABLE,
                                  (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0});
    Variable *c = module_variable(f.module, "c", type_get(f.module, DTYPE_F32, 2, dims + 1), VARIABLE_TRAINABLE,
                                  (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0});
    Value *y = build_einsum(&f.b, "btk,khd->bthd", x, build_variable(&f.b, w));
    y = build_add(&f.b, y, build_broadcast_to(&f.b, build_variable(&f.b, c), y->type));
    func_add_result(f.func, y, "output");
    check_count(form_count(&f, "cuda:library"), 2, 1, 1, 0);
    arena_free(f.arena);
}

/* A training step reads its samples by rows: they are gathered once, for the layer and for its weight gradient. */
static void test_gathered(void) {
    Form f = form_new("train_step");
    Value *x = input(&f, 2, 20, 0), *w, *gradient;
    Variable *kernel = weight(&f, "w", 2, 20, 9);
    w = build_variable(&f.b, kernel);
    Value *y = build_map1(&f.b, FN_tanh, build_einsum(&f.b, "bk,kn->bn", x, w));
    Value *loss = build_mean_all(&f.b, build_mul(&f.b, y, y));
    build_grad(&f.b, loss, &w, 1, &gradient);
    build_assign(&f.b, kernel, build_sub(&f.b, w, gradient));
    func_add_result(f.func, loss, "loss");
    KProgram *p = kernel_program(f.arena, f.diag, f.module, "cuda:library", true, "gathered");
    CHECK(p && runs(f.arena, f.diag, f.module, "cuda:library", 5));
    int gathers = 0;
    for (int k = 0; p && k < p->sequences[0]->count; k++)
        gathers += strncmp(p->sequences[0]->kernels[k]->name, "gather_", 7) == 0;
    CHECK(gathers == 1 && count_of(p->sequences[0]).products == 2);
    arena_free(f.arena);
}

/* Products within each head are as many calls as there are samples: they stay tiles. */
static void test_attention(void) {
    Form f = form_new("forward");
    Dim dims[] = {dim_batch(1), dim_static(6), dim_static(2), dim_static(8)};
    Value *x = func_add_arg(f.func, ARG_INPUT, type_get(f.module, DTYPE_F32, 4, dims), "x");
    Value *q = build_map1(&f.b, FN_tanh, x), *k = build_map1(&f.b, FN_exp, x);
    func_add_result(f.func, build_einsum(&f.b, "bthd,bshd->bhts", q, k), "output");
    CHECK(form_count(&f, "cuda:library").products == 0);
    arena_free(f.arena);
}

static void test_random_models(void) {
    int products = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        Arena *arena = arena_new();
        Diag *diag = diag_new(arena);
        const char *target = seed % 10 == 8   ? "cuda:library:tf32"
                             : seed % 10 == 9 ? "cuda:library:bfloat16"
                                              : "cuda:library";
        Module *model = random_model(arena, diag, seed);
        bool right = runs(arena, diag, model, target, seed);
        CHECK(right);
        if (!right)
            printf("seed %d\n", (int)seed);
        KProgram *p = kernel_program(arena, diag, model, target, true, target);
        for (int s = 0; p && s < p->sequence_count; s++)
            products += count_of(p->sequences[s]).products;
        arena_free(arena);
    }
    printf("%d products in 60 random models\n", products);
    CHECK(products > 60);
}

/* ---- which products are wide enough */

static bool is_worth(const char *gpu, KPrecision precision, int64_t rows, int64_t columns, int64_t depth) {
    Arena *arena = arena_new();
    KProgram p = {.arena = arena, .precision = precision};
    GpuContraction c = {.rows = rows,
                        .columns = columns,
                        .planes = 1,
                        .depth = depth,
                        .epilogue = 1,
                        .parts = 1,
                        .along = {true, false}};
    const char *why = NULL;
    CHECK(isa_of_gpu(gpu, &p.isa));
    bool worth = gpu_library_is_worth(&p, &c, &why);
    CHECK(why && strstr(why, "multiprocessors") && strstr(why, worth ? " and the time" : "is"));
    arena_free(arena);
    return worth;
}

static void test_worth(void) {
    CHECK(is_worth("sm_90", PRECISION_FLOAT32, 4096, 1024, 1024));
    CHECK(is_worth("sm_90", PRECISION_TF32, 4096, 4096, 4096));
    CHECK(!is_worth("sm_90", PRECISION_FLOAT32, 32, 64, 100));     /* neither wide nor long */
    CHECK(!is_worth("sm_90", PRECISION_FLOAT32, 4096, 1024, 8));   /* wide, soon over */
    CHECK(!is_worth("sm_90", PRECISION_FLOAT32, 64, 64, 1000000)); /* one tile */
    CHECK(is_worth("sm_75", PRECISION_FLOAT32, 512, 512, 1024));   /* fills 40 multiprocessors, not 132 */
    CHECK(!is_worth("sm_90", PRECISION_FLOAT32, 512, 512, 1024));
}

/* ---- the rules of the call */

typedef struct {
    Hand h;
    KBuffer *a, *b, *c, *bias, *scratch;
    KGemm gemm;
} Call;

enum { ROWS = 3, COLUMNS = 4, TERMS = 5, SCRATCH = 16 };

static KMatrix matrix_at(Hand *h, KBuffer *b) {
    KExpr **zeros = ARENA_ARRAY(h->arena, KExpr *, 2);
    zeros[0] = zeros[1] = hi(h, 0);
    return (KMatrix){b, zeros, b->rank, {b->rank == 2 ? 0 : -1, b->rank - 1}};
}

static Call call_new(void) {
    Call t = {.h = hand_new(1)};
    Hand *h = &t.h;
    CHECK(isa_of_gpu("sm_90", &h->p->isa));
    t.a = hbuffer(h, SPACE_VARIABLE, "a", KBASE_F32, 2, dim_static(ROWS), dim_static(TERMS));
    t.b = hbuffer(h, SPACE_VARIABLE, "b", KBASE_F32, 2, dim_static(TERMS), dim_static(COLUMNS));
    t.c = hbuffer(h, SPACE_VARIABLE, "c", KBASE_F32, 2, dim_static(ROWS), dim_static(COLUMNS));
    t.bias = hbuffer(h, SPACE_VARIABLE, "bias", KBASE_F32, 1, dim_static(COLUMNS), dim_static(1));
    t.scratch = hbuffer(h, SPACE_ARENA, "scratch", KBASE_F32, 1, dim_static(SCRATCH), dim_static(1));
    t.scratch->scratch = true;
    hand_kernel(h, "call");
    t.gemm = (KGemm){.a = matrix_at(h, t.a),
                     .b = matrix_at(h, t.b),
                     .c = matrix_at(h, t.c),
                     .row_from = hi(h, 0),
                     .row_to = hi(h, ROWS),
                     .column_from = hi(h, 0),
                     .column_to = hi(h, COLUMNS),
                     .sum = hi(h, TERMS),
                     .bias = matrix_at(h, t.bias),
                     .relu = true,
                     .scratch = t.scratch};
    return t;
}

static void fill(KInterp *in, const KBuffer *b, int count, int shift) {
    double values[32];
    for (int i = 0; i < count; i++)
        values[i] = i % 7 - shift;
    CHECK(kinterp_set(in, b, values, count));
}

/* Scratch memory that lies over something that is alive spoils it; elsewhere it is no harm. */
static void check_call(bool overlaps) {
    Call t = call_new();
    Hand *h = &t.h;
    KBuffer *alive = hbuffer(h, SPACE_ARENA, "alive", KBASE_F32, 1, dim_static(8), dim_static(1));
    KBuffer *out = hbuffer(h, SPACE_VARIABLE, "out", KBASE_F32, 1, dim_static(8), dim_static(1));
    alive->offset = overlaps ? 0 : 4 * SCRATCH;
    h->p->arena_bytes = 4 * SCRATCH + 32;
    KStmt *before = h->k->body, *body;
    KVar *i = hloopvar(h, "i", 8);
    KExpr *at = hv(h, i);
    body = hfor(h, before, i, AXIS_SERIAL, hi(h, 0), hi(h, 8), 1);
    kstmt_add(body, kstmt_store(h->p, alive, &at, 1, hf(h, 2), NULL));
    kstmt_add(before, kstmt_gemm(h->p, &t.gemm));
    i = hloopvar(h, "i", 8);
    at = hv(h, i);
    body = hfor(h, before, i, AXIS_SERIAL, hi(h, 0), hi(h, 8), 1);
    kstmt_add(body, kstmt_store(h->p, out, &at, 1, kexpr_load(h->p, alive, &at, 1), NULL));
    KInterp *in = kinterp_new(h->p, 1, (KInterpOptions){.threads = 1, .strict_arena = true});
    double got[ROWS * COLUMNS];
    fill(in, t.a, ROWS * TERMS, 3);
    fill(in, t.b, TERMS * COLUMNS, 2);
    fill(in, t.bias, COLUMNS, 5);
    CHECK(kprogram_verify(h->p, "test"));
    CHECK(kinterp_run(in, h->sequence) == !overlaps);
    kinterp_get(in, t.c, got);
    for (int r = 0; r < ROWS && !overlaps; r++)
        for (int n = 0; n < COLUMNS; n++) {
            double sum = n % 7 - 5;
            for (int k = 0; k < TERMS; k++)
                sum += ((r * TERMS + k) % 7 - 3) * ((k * COLUMNS + n) % 7 - 2);
            CHECK(got[r * COLUMNS + n] == (sum > 0 ? sum : 0));
        }
    kinterp_free(in);
    hand_free(h);
}

static void check_refused(int what, const char *part) {
    Call t = call_new();
    Text text = {0};
    if (what == 0)
        t.gemm.scratch = t.c;
    else if (what == 1)
        t.gemm.c = t.gemm.bias;
    else if (what == 2)
        t.gemm.bias.along[0] = -2;
    else
        t.gemm.column_to = hi(&t.h, COLUMNS + 1);
    kstmt_add(t.h.k->body, kstmt_gemm(t.h.p, &t.gemm));
    bool good = kprogram_verify(t.h.p, "test");
    diag_print(t.h.diag, &text, false);
    CHECK(!good && text.data && strstr(text.data, part));
    if (good || !text.data || !strstr(text.data, part))
        printf("expected `%s`, got: %s\n", part, text.data ? text.data : "nothing");
    text_free(&text);
    hand_free(&t.h);
}

int main(void) {
    test_epilogues();
    test_axes();
    test_gathered();
    test_attention();
    test_worth();
    check_call(false);
    check_call(true);
    check_refused(0, "c is no memory that a library may use");
    check_refused(1, "bias is no matrix of f32 with rows and columns");
    check_refused(2, "bias is no matrix of f32 with rows and columns");
    check_refused(3, "a matrix in b reaches element");
    test_random_models();
    return test_report();
}
