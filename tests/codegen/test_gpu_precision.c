/* Contractions with operands of tf32 and bfloat16: the kernels on their interpreter are as near to the tensor
 * interpreter as the rounding of the operands allows, for products, batched products and convolutions in tiles of every
 * shape, and not nearer than it must be. The rules of fragments are checked by the verifier and by the interpreter. */
#include "codegen/kir/isa.h"
#include "codegen/kir/kir_interp_parts.h"
#include "codegen/map/map.h"
#include "ir/build.h"
#include "tests/codegen/hand_kernels.h"
#include "tests/codegen/kernel_compare.h"
#include "tests/passes/random_model.h"
#include "test.h"
#include <stdlib.h>

/* ---- how far from exact values */

typedef struct {
    const char *name;
    double operand; /* relative error of rounding one: half a unit in the last place of 11 and 8 bits */
} Precision;
static const Precision precisions[] = {{"tf32", 0x1p-11}, {"bfloat16", 0x1p-8}};
static const char *const shapes[] = {"14", "18x3", "22", "24", "28", "41", "42x2", "44", "48", "81", "82", "84", "88"};

typedef struct {
    Arena *arena;
    Diag *diag;
    Module *module;
    Builder b;
    Func *func;
    Value *x, *w;
} Form;

static Form form_new(int64_t batch_max, int x_rank, const int64_t *x, int w_rank, const int64_t *w) {
    Form f = {.arena = arena_new()};
    Dim dims[MAX_RANK];
    f.diag = diag_new(f.arena);
    f.module = module_new(f.arena, f.diag, "precision", batch_max);
    f.func = module_func(f.module, "forward");
    f.b = builder_at_end(f.func);
    for (int i = 0; i < x_rank; i++)
        dims[i] = i ? dim_static(x[i]) : dim_batch(x[0]);
    f.x = func_add_arg(f.func, ARG_INPUT, type_get(f.module, DTYPE_F32, x_rank, dims), "x");
    for (int i = 0; i < w_rank; i++)
        dims[i] = dim_static(w[i]);
    f.w = f.x;
    if (w_rank)
        f.w = build_variable(&f.b, module_variable(f.module, "w", type_get(f.module, DTYPE_F32, w_rank, dims),
                                                   VARIABLE_TRAINABLE, (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0}));
    return f;
}

typedef Value *Product(Builder *, Value *x, Value *w);

static Value *dense(Builder *b, Value *x, Value *w) {
    return build_einsum(b, "bk,kn->bn", x, w);
}
static Value *batched(Builder *b, Value *x, Value *w) {
    return build_einsum(b, "bik,bjk->bij", x, w);
}
static Value *convolution(Builder *b, Value *x, Value *w) {
    WindowAttr window = {
        .spatial = 2, .size = {3, 3}, .stride = {2, 1}, .dilation = {1, 1}, .low = {1, 1}, .high = {1, 1}};
    return build_conv(b, x, w, &window);
}

/* The largest error as a share of what is allowed: every product is off by 2 u + u * u of its size at most, and the sum
 * by a rounding in f32 for each term. Result 1 is the sum of the sizes of the products. */
static double worst_share(const KernelExpected *e, const KernelValues *values, double u, int64_t terms) {
    const Tensor *exact = &e->results[0], *sizes = &e->results[1];
    double worst = 0, allowed = 2 * u + u * u + (double)(terms + 1) * 0x1p-23;
    for (int64_t i = 0; i < exact->count; i++) {
        double error = fabs(values->results[0][i] - exact->data[i]), most = allowed * sizes->data[i];
        worst = fmax(worst, error > 0 ? error / most : 0);
    }
    return worst;
}

static void check_form(Form f, Product *product, int64_t terms) {
    func_add_result(f.func, product(&f.b, f.x, f.w), "output");
    Value *x = build_map1(&f.b, FN_abs, f.x), *w = f.w == f.x ? x : build_map1(&f.b, FN_abs, f.w);
    func_add_result(f.func, product(&f.b, x, w), "sizes");
    const Module *oracle = kernel_oracle(f.arena, f.diag, f.module);
    KernelExpected e = kernel_expect(f.arena, oracle, oracle->funcs[0], 5, f.module->batch_max, 0);
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++)
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
            const char *target = arena_format(f.arena, "cuda:%s:%s", shapes[k], precisions[i].name);
            KProgram *p = kernel_program(f.arena, f.diag, f.module, target, true, target);
            Text why = {0};
            CHECK(p != NULL);
            KernelValues values = kernel_run(f.arena, p, &e, (KInterpOptions){.reverse = k % 2}, &why);
            CHECK(values.ran);
            double share = values.ran ? worst_share(&e, &values, precisions[i].operand, terms) : 2;
            CHECK(share <= 1 && share > 0.001); /* they are rounded indeed: float32 would be 1e-4 of it at most */
            if (!values.ran || share > 1 || share <= 0.001)
                printf("%s: %g of the bound. %s\n", target, share, why.data ? why.data : "");
            text_free(&why);
        }
    arena_free(f.arena);
}

/* ---- whole models: nothing is refused, and the order of blocks and threads changes no bit */

enum { MODELS = 24 };

typedef struct {
    int fragments;
} Counted;

static void count_fragments(void *context, const KStmt *s) {
    ((Counted *)context)->fragments += s->kind == KS_MMA;
}

static int check_model(uint64_t seed, const char *target) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Counted counted = {0};
    Module *model = random_model(arena, diag, seed), *oracle = kernel_oracle(arena, diag, model);
    KProgram *p = oracle ? kernel_program(arena, diag, model, target, true, target) : NULL;
    CHECK(p != NULL);
    for (int i = 0; p && i < oracle->func_count; i++) {
        Text why = {0};
        KernelExpected e = kernel_expect(arena, oracle, oracle->funcs[i], seed, model->batch_max, RANDOM_MODEL_CLASSES);
        KernelValues first = kernel_run(arena, p, &e, (KInterpOptions){.threads = 1}, &why);
        KernelValues reverse = kernel_run(arena, p, &e, (KInterpOptions){.threads = 1, .reverse = true}, &why);
        bool right = first.ran && reverse.ran && kernel_same_bits(&e, &first, &reverse, &why);
        CHECK(right);
        if (!right)
            printf("seed %d, %s: %s\n", (int)seed, target, why.data);
        text_free(&why);
        const KSequence *sequence = kernel_sequence(p, oracle->funcs[i]->name);
        for (int k = 0; k < sequence->count; k++)
            kstmt_visit(sequence->kernels[k]->body, &(KVisitor){.statement = count_fragments, .context = &counted});
    }
    arena_free(arena);
    return counted.fragments;
}

static void test_models(void) {
    int fragments = 0;
    for (uint64_t seed = 0; seed < MODELS; seed++)
        fragments += check_model(seed, seed % 2 ? "cuda:22:bfloat16" : "cuda:14:tf32");
    CHECK(fragments > MODELS / 2);
}

/* ---- rounding */

static void test_rounding(void) {
    const float one = 1;
    CHECK(interp_round(PRECISION_TF32, one + 0x1p-11f) == one + 0x1p-10f); /* a tie: away from zero */
    CHECK(interp_round(PRECISION_TF32, -one - 0x1p-11f) == -one - 0x1p-10f);
    CHECK(interp_round(PRECISION_TF32, one + 0x1.fep-12f) == one);
    CHECK(interp_round(PRECISION_BFLOAT16, one + 0x1p-8f) == one); /* a tie: to even */
    CHECK(interp_round(PRECISION_BFLOAT16, one + 0x1.8p-7f) == one + 0x1p-6f);
    CHECK(interp_round(PRECISION_BFLOAT16, -one - 0x1.02p-8f) == -one - 0x1p-7f);
    CHECK(isinf(interp_round(PRECISION_TF32, INFINITY)) && isnan(interp_round(PRECISION_BFLOAT16, NAN)));
    CHECK(interp_round(PRECISION_FLOAT32, one + 0x1p-23f) == one + 0x1p-23f);
}

/* ---- the rules, on a kernel of one warp that multiplies identity by numbers */

typedef struct {
    Hand h;
    KBuffer *out, *sums;
    KStmt *mma;
    KVar *lane;
} Warp;

static Warp warp_new(int threads) {
    Warp w = {.h = hand_new(1)};
    Hand *h = &w.h;
    Dim dims[] = {dim_static(32), dim_static(4)};
    w.out = kbuffer_new(h->p, SPACE_RESULT, "out", KBASE_F32, 2, dims);
    hand_kernel(h, "warp");
    w.sums = kbuffer_local(h->p, h->k, SPACE_LOCAL, "sums", KBASE_F32, 1, dims + 1);
    w.sums->zeroed = true;
    KVar *block = hloopvar(h, "block", 1);
    w.lane = hloopvar(h, "lane", threads);
    KStmt *body = hfor(h, h->k->body, block, AXIS_GRID_X, hi(h, 0), hi(h, 1), 1);
    body = hfor(h, body, w.lane, AXIS_THREAD_X, hi(h, 0), hi(h, threads), 1);
    KExpr *zero = hi(h, 0), *lane = hv(h, w.lane);
    KExpr *group = kexpr_binary(h->p, '/', lane, hi(h, 4)), *place = kexpr_binary(h->p, '%', lane, hi(h, 4));
    KMma m = {.precision = PRECISION_TF32, .sum = w.sums, .index = &zero, .index_count = 1};
    for (int e = 0; e < 4; e++) { /* a[row][term] is 1 where row and term are equal */
        KExpr *row = hplus(h, group, hi(h, 8 * (e % 2))), *term = hplus(h, place, hi(h, 4 * (e / 2)));
        m.a[e] = hselect(h, hfn(h, FN_eq, row, term), hf(h, 1), hf(h, 0));
    }
    for (int e = 0; e < 2; e++) /* b[term][column] is 8 * term + column */
        m.b[e] = kexpr_cast(h->p, KBASE_F32,
                            hplus(h, kexpr_binary(h->p, '*', hplus(h, place, hi(h, 4 * e)), hi(h, 8)), group));
    kstmt_add(body, kstmt_alloc(h->p, w.sums));
    w.mma = kstmt_mma(h->p, &m);
    kstmt_add(body, w.mma);
    KVar *e = hloopvar(h, "e", 4);
    KStmt *inner = hfor(h, body, e, AXIS_UNROLL, hi(h, 0), hi(h, 4), 1);
    hstore2(h, inner, w.out, lane, hv(h, e), hload1(h, w.sums, hv(h, e)));
    return w;
}

static void test_identity(void) {
    Warp w = warp_new(32);
    CHECK(kprogram_verify(w.h.p, "test"));
    KInterp *in = kinterp_new(w.h.p, 1, (KInterpOptions){.threads = 1});
    double got[128];
    CHECK(kinterp_run(in, w.h.sequence) && kinterp_get(in, w.out, got) == 128);
    for (int i = 0; i < 128; i++) {
        int lane = i / 4, e = i % 4, row = lane / 4 + 8 * (e / 2), column = 2 * (lane % 4) + e % 2;
        CHECK(got[i] == (row < 8 ? 8 * row + column : 0));
    }
    kinterp_free(in);
    hand_free(&w.h);
}

static bool is_refused(Warp *w, const char *part) {
    KInterp *in = kinterp_new(w->h.p, 1, (KInterpOptions){.threads = 1});
    bool refused = !kinterp_run(in, w->h.sequence) && strstr(kinterp_error(in), part);
    if (!refused)
        printf("expected \"%s\", got \"%s\"\n", part, kinterp_error(in));
    kinterp_free(in);
    return refused;
}

static bool fails_verification(Warp *w, const char *part) {
    Text text = {0};
    bool found = !kprogram_verify(w->h.p, "test");
    diag_print(w->h.diag, &text, false);
    found = found && text.data && strstr(text.data, part);
    if (!found)
        printf("expected \"%s\", got \"%s\"\n", part, text.data ? text.data : "");
    text_free(&text);
    return found;
}

static void test_rules(void) {
    Warp w = warp_new(32); /* a thread stays away */
    KStmt *next = w.mma->next, *inner = kstmt_mma(w.h.p, w.mma->mma);
    *w.mma = *kstmt_if(w.h.p, hfn(&w.h, FN_lt, hv(&w.h, w.lane), hi(&w.h, 31)), inner, NULL);
    w.mma->next = next;
    CHECK(is_refused(&w, "thread 31 of a warp does not come by"));
    CHECK(fails_verification(&w, "where not all threads of a warp come by"));
    hand_free(&w.h);
    w = warp_new(24);
    CHECK(is_refused(&w, "no whole warps"));
    CHECK(fails_verification(&w, "no whole warps"));
    hand_free(&w.h);
    w = warp_new(32);
    w.mma->mma->precision = PRECISION_FLOAT32;
    CHECK(fails_verification(&w, "there are no fragments of float32"));
    hand_free(&w.h);
    w = warp_new(32);
    w.mma->mma->index[0] = hi(&w.h, 1);
    CHECK(is_refused(&w, "index 0 of sums is 1 and on"));
    CHECK(fails_verification(&w, "index 0 of sums runs from 1 to 4"));
    hand_free(&w.h);
    w = warp_new(32);
    w.sums->zeroed = false;
    CHECK(is_refused(&w, "nobody wrote"));
    hand_free(&w.h);
}

/* A mapping for a GPU that has no such tensor cores. */
static void test_refused(void) {
    static const struct {
        const char *gpu;
        KPrecision precision;
        bool right;
    } cases[] = {{"sm_75", PRECISION_FLOAT32, true},
                 {"sm_80", PRECISION_TF32, true},
                 {"sm_90", PRECISION_BFLOAT16, true},
                 {"sm_75", PRECISION_TF32, false},
                 {"native", PRECISION_BFLOAT16, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Arena *arena = arena_new();
        KProgram p = {.arena = arena, .diag = diag_new(arena), .precision = cases[i].precision};
        CHECK(isa_of_gpu(cases[i].gpu, &p.isa));
        CHECK(map_gpu(&p) == cases[i].right && (diag_errors(p.diag) == 0) == cases[i].right);
        arena_free(arena);
    }
}

int main(void) {
    test_refused();
    test_models();
    test_rounding();
    test_identity();
    test_rules();
    check_form(form_new(70, 2, (int64_t[]){1, 37}, 2, (int64_t[]){37, 41}), dense, 37);
    check_form(form_new(3, 3, (int64_t[]){1, 18, 9}, 0, NULL), batched, 9);
    check_form(form_new(2, 4, (int64_t[]){1, 9, 8, 3}, 4, (int64_t[]){3, 3, 3, 6}), convolution, 27);
    return test_report();
}
