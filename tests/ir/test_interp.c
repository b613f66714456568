/* The interpreter against numbers made by hand and by independent loops: every op, integers, state, regions, batches,
 * random numbers (known answers of Philox and the runtime's own generator), and the contraction description. */
#include "ir/build.h"
#include "ir/contraction.h"
#include "ir/interp.h"
#include "runtime/nnrt_random.h"
#include "test.h"

typedef struct {
    Arena *arena;
    Diag *diag;
    Module *module;
    Func *func;
    Builder b;
    Interp *interp;
    Tensor args[4], results[4];
} Case;

static Case case_new(void) {
    Case c = {.arena = arena_new()};
    c.diag = diag_new(c.arena);
    c.module = module_new(c.arena, c.diag, "case", 8);
    c.func = module_func(c.module, "f");
    c.b = builder_at_end(c.func);
    return c;
}

/* An extent of 0 is the batch. */
static const Type *type_of(Case *c, Dtype dtype, int rank, const int *extents) {
    Dim dims[MAX_RANK];
    for (int i = 0; i < rank; i++)
        dims[i] = extents[i] ? dim_static(extents[i]) : dim_batch(1);
    return type_get(c->module, dtype, rank, dims);
}
#define TYPE(c, dtype, ...)                                                                                            \
    type_of(c, DTYPE_##dtype, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__})

static Value *arg(Case *c, const Type *type) {
    static const char *const names[] = {"a", "b", "c", "d"};
    return func_add_arg(c->func, ARG_PLAIN, type, names[c->func->body.arg_count]);
}

static void result(Case *c, Value *value) {
    static const char *const names[] = {"p", "q", "r", "s"};
    CHECK(value != NULL);
    if (value)
        func_add_result(c->func, value, names[c->func->body.yield_count]);
}

static void start(Case *c, int64_t batch) {
    c->interp = interp_new(c->arena, c->module, batch);
    for (int i = 0; i < c->func->body.arg_count; i++)
        c->args[i] = interp_tensor(c->interp, c->func->body.args[i]->type);
}

static void set(Tensor *tensor, const double *numbers, int count) {
    CHECK(tensor->count == count);
    memcpy(tensor->data, numbers, sizeof(double) * (size_t)count);
}
#define SET(tensor, ...) set(tensor, (double[]){__VA_ARGS__}, (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)))

static bool run(Case *c) {
    bool ok = interp_run(c->interp, c->func, c->args, c->results);
    CHECK(ok);
    return ok;
}

static void expect(const Tensor *tensor, const double *numbers, int count, int line) {
    bool same = tensor->data && tensor->count == count;
    for (int i = 0; same && i < count; i++)
        same = fabs(tensor->data[i] - numbers[i]) <= 1e-12 || (isnan(tensor->data[i]) && isnan(numbers[i]));
    CHECK(same);
    if (same)
        return;
    printf("line %d: got", line);
    for (int64_t i = 0; tensor->data && i < tensor->count; i++)
        printf(" %g", tensor->data[i]);
    printf("\n");
}
#define EXPECT(tensor, ...)                                                                                            \
    expect(tensor, (double[]){__VA_ARGS__}, (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), __LINE__)

/* One function of one argument, run on these numbers. */
#define UNARY(dtype, extents, numbers, expression, expected)                                                           \
    do {                                                                                                               \
        Case c = case_new();                                                                                           \
        Value *x = arg(&c, TYPE(&c, dtype, UNPACK extents));                                                           \
        (void)x;                                                                                                       \
        result(&c, expression);                                                                                        \
        start(&c, 2);                                                                                                  \
        SET(&c.args[0], UNPACK numbers);                                                                               \
        if (run(&c))                                                                                                   \
            EXPECT(&c.results[0], UNPACK expected);                                                                    \
        arena_free(c.arena);                                                                                           \
    } while (0)
#define UNPACK(...) __VA_ARGS__

static void test_leaves(void) {
    UNARY(F32, (2), (0, 0), build_const(&c.b, x->type, 1.5), (1.5, 1.5));
    UNARY(F32, (2, 3), (0, 0, 0, 0, 0, 0), build_iota(&c.b, x->type, 1), (0, 1, 2, 0, 1, 2));
    UNARY(F32, (0, 2), (0, 0, 0, 0), build_iota(&c.b, x->type, 0), (0, 0, 1, 1));
    UNARY(F32, (0), (0, 0), build_batch_size(&c.b), (2));
    UNARY(F32, (3), (-1, 0, 2), build_map2(&c.b, FN_max, x, build_like(&c.b, x, 0)), (0, 0, 2));
    UNARY(F32, (2), (NAN, 1), build_map2(&c.b, FN_max, build_like(&c.b, x, 0), x), (NAN, 1));
    UNARY(F32, (3), (-1.7, 2.7, 0), build_cast(&c.b, x, DTYPE_I32), (-1, 2, 0));
    UNARY(F32, (3), (-1.7, NAN, 0), build_cast(&c.b, x, DTYPE_BOOL), (1, 1, 0));
    UNARY(I32, (2), (2147483647, -2147483648.0), build_add(&c.b, x, x), (-2, 0));
    UNARY(I32, (2), (65536, 3), build_mul(&c.b, x, x), (0, 9));
    UNARY(F32, (1), (3), build_stop_gradient(&c.b, x), (3));
}

static void test_shapes(void) {
    UNARY(F32, (2, 3), (1, 2, 3, 4, 5, 6), build_reshape(&c.b, x, TYPE(&c, F32, 3, 2)), (1, 2, 3, 4, 5, 6));
    UNARY(F32, (2, 3), (1, 2, 3, 4, 5, 6), build_transpose(&c.b, x, (int[]){1, 0}), (1, 4, 2, 5, 3, 6));
    UNARY(F32, (1, 2, 3), (1, 2, 3, 4, 5, 6), build_transpose(&c.b, x, (int[]){2, 0, 1}), (1, 4, 2, 5, 3, 6));
    UNARY(F32, (2, 3), (1, 2, 3, 4, 5, 6), build_reverse(&c.b, x, (int[]){1}, 1), (3, 2, 1, 6, 5, 4));
    UNARY(F32, (2, 3), (1, 2, 3, 4, 5, 6), build_reverse(&c.b, x, (int[]){0, 1}, 2), (6, 5, 4, 3, 2, 1));
    UNARY(F32, (2), (1, 2), build_broadcast(&c.b, x, TYPE(&c, F32, 0, 2), (int[]){1}), (1, 2, 1, 2));
    UNARY(F32, (2, 1), (1, 2), build_broadcast(&c.b, x, TYPE(&c, F32, 2, 3), (int[]){0, 1}), (1, 1, 1, 2, 2, 2));
    UNARY(F32, (0, 4), (1, 2, 3, 4, 5, 6, 7, 8),
          build_slice(&c.b, x, (int64_t[]){0, 1}, (int64_t[]){1, 2}, TYPE(&c, F32, 0, 2)), (2, 4, 6, 8));
    PadAttr pad = {.low = {0, 1}, .high = {0, -1}, .interior = {0, 1}};
    UNARY(F32, (0, 2), (1, 2, 3, 4), build_pad(&c.b, x, &pad), (0, 1, 0, 0, 3, 0));
    UNARY(F32, (0, 2), (1, 2, 3, 4), build_concat(&c.b, (Value *[]){x, x}, 2, 1), (1, 2, 1, 2, 3, 4, 3, 4));
    UNARY(F32, (0), (1, 2), build_concat(&c.b, (Value *[]){x, x}, 2, 0), (1, 2, 1, 2));
    UNARY(F32, (2), (1, 2), build_copy(&c.b, x), (1, 2));
}

static void test_reductions(void) {
    UNARY(F32, (2, 3), (1, 2, 3, 4, 5, 6), build_sum(&c.b, x, (int[]){0}, 1), (5, 7, 9));
    UNARY(F32, (2, 3), (1, 2, 3, 4, 5, 6), build_sum(&c.b, x, (int[]){1}, 1), (6, 15));
    UNARY(F32, (0, 3), (1, 2, 3, 4, 5, 6), build_mean_all(&c.b, x), (3.5));
    UNARY(F32, (2, 2), (-1, NAN, -3, -2), build_reduce(&c.b, REDUCE_MAX, x, (int[]){1}, 1), (NAN, -2));
    UNARY(F32, (2, 2), (-1, 1, -3, -2), build_reduce(&c.b, REDUCE_MIN, x, (int[]){0}, 1), (-3, -2));
    UNARY(F32, (2, 3), (1, 3, 3, -2, -4, -5), build_argmax(&c.b, x, 1), (1, 0));
    UNARY(F32, (2, 3), (1, 3, 3, -2, 4, 5), build_argmax(&c.b, x, 0), (0, 1, 1));
    WindowAttr window = {.spatial = 1, .size = {3}, .stride = {2}, .dilation = {1}, .low = {1}, .high = {1}};
    UNARY(F32, (1, 4, 1), (-1, -2, -3, -4), build_pool(&c.b, x, &window), (-3, -9));
    window.kind = REDUCE_MAX;
    UNARY(F32, (1, 4, 1), (-1, -2, -3, -4), build_pool(&c.b, x, &window), (-1, -2));
    window.low[0] = window.high[0] = -1;
    UNARY(F32, (1, 6, 1), (9, 1, 2, 3, 4, 9), build_pool(&c.b, x, &window), (3));
}

static void test_indexing(void) {
    Case c = case_new();
    Value *table = arg(&c, TYPE(&c, F32, 3, 2)), *ids = arg(&c, TYPE(&c, I32, 0)), *inputs[2] = {ids, NULL};
    inputs[1] = build_gather(&c.b, table, ids);
    result(&c, inputs[1]);
    result(&c, build_op(&c.b, OP_SCATTER_ADD, NULL, inputs, 2, table->type));
    start(&c, 4);
    SET(&c.args[0], 1, 2, 3, 4, 5, 6);
    SET(&c.args[1], 2, 0, 9, -1);
    if (run(&c)) {
        EXPECT(&c.results[0], 5, 6, 1, 2, 5, 6, 1, 2);
        EXPECT(&c.results[1], 2, 4, 0, 0, 10, 12);
    }
    arena_free(c.arena);
}

static void test_pool_grad(void) {
    for (int kind = REDUCE_SUM; kind <= REDUCE_MAX; kind++) {
        Case c = case_new();
        OpAttr attr = {.window = {1, {2}, {1}, {1}, {0}, {0}, (ReduceKind)kind}};
        Value *inputs[] = {arg(&c, TYPE(&c, F32, 1, 4, 1)), arg(&c, TYPE(&c, F32, 1, 3, 1))};
        const Type *x = inputs[0]->type;
        if (kind == REDUCE_MAX)
            inputs[0] = build_op(&c.b, OP_POOL_ARGMAX, &attr, inputs, 1, NULL);
        result(&c, build_op(&c.b, kind == REDUCE_MAX ? OP_UNPOOL : OP_POOL_GRAD, &attr, inputs, 2, x));
        start(&c, 1);
        SET(&c.args[0], 1, 5, 5, 2);
        SET(&c.args[1], 10, 20, 30);
        if (run(&c) && kind == REDUCE_SUM)
            EXPECT(&c.results[0], 10, 30, 50, 30);
        else
            EXPECT(&c.results[0], 0, 30, 30, 0); /* of equals, the first */
        arena_free(c.arena);
    }
}

/* ---- contractions ---- */

static void fill(Tensor *tensor, int salt) {
    for (int64_t i = 0; i < tensor->count; i++)
        tensor->data[i] = (double)((i * 7 + salt * 5) % 11) - 4;
}

static void test_einsum(void) {
    Case c = case_new();
    Value *x = arg(&c, TYPE(&c, F32, 2, 3)), *k = arg(&c, TYPE(&c, F32, 3, 2));
    result(&c, build_einsum(&c.b, "bk,kn->bn", x, k));
    result(&c, build_einsum(&c.b, "bk,kn->nb", x, k));
    start(&c, 2);
    SET(&c.args[0], 1, 2, 3, 4, 5, 6);
    SET(&c.args[1], 1, 0, 0, 1, 1, 1);
    if (run(&c)) {
        EXPECT(&c.results[0], 4, 5, 10, 11);
        EXPECT(&c.results[1], 4, 10, 5, 11);
    }
    arena_free(c.arena);
}

static void test_batched_einsum(void) {
    Case c = case_new();
    Value *x = arg(&c, TYPE(&c, F32, 2, 2, 3)), *y = arg(&c, TYPE(&c, F32, 2, 4, 3));
    result(&c, build_einsum(&c.b, "bik,bjk->jbi", x, y));
    start(&c, 2);
    fill(&c.args[0], 1);
    fill(&c.args[1], 2);
    bool ok = run(&c);
    for (int j = 0; ok && j < 4; j++)
        for (int b = 0; b < 2; b++)
            for (int i = 0; i < 2; i++) {
                double sum = 0;
                for (int k = 0; k < 3; k++)
                    sum += c.args[0].data[(b * 2 + i) * 3 + k] * c.args[1].data[(b * 4 + j) * 3 + k];
                CHECK_NEAR(c.results[0].data[(j * 2 + b) * 2 + i], sum, 1e-12);
            }
    arena_free(c.arena);
}

/* x[1, 5, 4, 2] by kernel[3, 2, 2, 3], stride (2, 1), dilation (1, 2), padding (1..1, 0..1) -> [1, 3, 3, 3] */
static const WindowAttr conv_window = {2, {3, 2}, {2, 1}, {1, 2}, {1, 0}, {1, 1}, REDUCE_SUM};

static double conv_by_hand(const double *x, const double *kernel, int oh, int ow, int f) {
    double sum = 0;
    for (int kh = 0; kh < 3; kh++)
        for (int kw = 0; kw < 2; kw++)
            for (int ch = 0; ch < 2; ch++) {
                int h = oh * 2 + kh - 1, w = ow + kw * 2;
                if (h >= 0 && h < 5 && w < 4)
                    sum += x[(h * 4 + w) * 2 + ch] * kernel[((kh * 2 + kw) * 2 + ch) * 3 + f];
            }
    return sum;
}

static double dot(const Tensor *a, const Tensor *b) {
    double sum = 0;
    CHECK(a->count == b->count);
    for (int64_t i = 0; i < a->count; i++)
        sum += a->data[i] * b->data[i];
    return sum;
}

/* conv by loops; its gradients by <conv(x, k), g> = <x, grad_input(g, k)> = <k, grad_kernel(x, g)>. */
static void test_conv(void) {
    Case c = case_new();
    OpAttr attr = {.window = conv_window};
    Value *x = arg(&c, TYPE(&c, F32, 0, 5, 4, 2)), *k = arg(&c, TYPE(&c, F32, 3, 2, 2, 3));
    Value *g = arg(&c, TYPE(&c, F32, 0, 3, 3, 3));
    result(&c, build_conv(&c.b, x, k, &conv_window));
    result(&c, build_op(&c.b, OP_CONV_GRAD_INPUT, &attr, (Value *[]){g, k}, 2, x->type));
    result(&c, build_op(&c.b, OP_CONV_GRAD_KERNEL, &attr, (Value *[]){x, g}, 2, k->type));
    start(&c, 2);
    for (int i = 0; i < 3; i++)
        fill(&c.args[i], i);
    if (run(&c)) {
        for (int i = 0; i < 2 * 27; i++)
            CHECK_NEAR(c.results[0].data[i],
                       conv_by_hand(c.args[0].data + i / 27 * 40, c.args[1].data, i % 27 / 9, i % 9 / 3, i % 3), 1e-12);
        double expected = dot(&c.results[0], &c.args[2]);
        CHECK(expected != 0);
        CHECK_NEAR(dot(&c.results[1], &c.args[0]), expected, 1e-9);
        CHECK_NEAR(dot(&c.results[2], &c.args[1]), expected, 1e-9);
    }
    arena_free(c.arena);
}

static void test_contraction_description(void) {
    Case c = case_new();
    Value *x = arg(&c, TYPE(&c, F32, 0, 5, 4, 2)), *k = arg(&c, TYPE(&c, F32, 3, 2, 2, 3));
    Value *conv = build_conv(&c.b, x, k, &conv_window);
    Contraction d = contraction_of(conv->def);
    CHECK(d.out_rank == 4 && d.axis_count == 7 && d.a_rank == 4 && d.b_rank == 4);
    CHECK(contraction_work(&d, 2) == 2 * 3 * 3 * 3 * 12);
    CHECK(!d.a[0].may_miss && d.a[1].may_miss && d.a[2].may_miss && !d.a[3].may_miss);
    CHECK(d.a[1].coefficient[1] == 2 && d.a[1].coefficient[4] == 1 && d.a[1].constant == -1 && d.a[1].divisor == 1);
    WindowAttr plain = {.spatial = 2, .size = {3, 2}, .stride = {1, 1}, .dilation = {1, 1}};
    d = contraction_of(build_conv(&c.b, x, k, &plain)->def);
    CHECK(!d.a[1].may_miss && !d.a[2].may_miss);
    arena_free(c.arena);
}

/* ---- state, regions, errors ---- */

static void test_assign(void) {
    Case c = case_new();
    Variable *v = module_variable(c.module, "v", TYPE(&c, F32, 2), VARIABLE_TRAINABLE, (Init){0}, (Span){0});
    Value *x = arg(&c, v->type);
    build_assign(&c.b, v, build_add(&c.b, build_variable(&c.b, v), x));
    result(&c, build_variable(&c.b, v)); /* as it was on entry */
    start(&c, 1);
    SET(&c.args[0], 1, 2);
    SET(&c.interp->variables[0], 10, 20);
    if (run(&c)) {
        EXPECT(&c.results[0], 10, 20);
        EXPECT(&c.interp->variables[0], 11, 22);
    }
    if (run(&c))
        EXPECT(&c.interp->variables[0], 12, 24);
    arena_free(c.arena);
}

static void test_fusion(void) {
    Case c = case_new();
    Value *x = arg(&c, TYPE(&c, F32, 2));
    Op *fusion = op_new(c.func, OP_FUSION, &x, 1, &x->type, 1, (Span){0});
    op_append(&c.func->body, fusion);
    Region *region = region_new(c.func, fusion);
    Value *inner = region_add_arg(c.func, region, x->type, "inner");
    Builder b = {.module = c.module, .func = c.func, .region = region};
    region_add_yield(c.func, region, build_mul(&b, inner, inner));
    result(&c, fusion->results[0]);
    start(&c, 1);
    SET(&c.args[0], 3, -2);
    if (run(&c))
        EXPECT(&c.results[0], 9, 4);
    arena_free(c.arena);
}

static void expect_error(Case *c, const char *says) {
    Text text = {0};
    CHECK(!interp_run(c->interp, c->func, c->args, c->results));
    diag_print(c->diag, &text, false);
    CHECK(text.data && strstr(text.data, says));
    text_free(&text);
    arena_free(c->arena);
}

static void test_errors(void) {
    Case c = case_new();
    Value *x = arg(&c, type_scalar(c.module, DTYPE_F32)), *gradient;
    build_grad(&c.b, x, &x, 1, &gradient);
    result(&c, gradient);
    start(&c, 1);
    expect_error(&c, "grad: the pass autodiff has to expand it first");

    c = case_new();
    result(&c, build_const(&c.b, TYPE(&c, F32, 1 << 20, 1 << 12), 1));
    start(&c, 1);
    expect_error(&c, "needs more memory than the interpreter may use");

    c = case_new();
    result(&c, arg(&c, TYPE(&c, F32, 3)));
    start(&c, 1);
    c.args[0].count = 2;
    expect_error(&c, "argument 0 of @f has 2 elements, not 3");
}

static void test_round_to_float(void) {
    Case c = case_new();
    Value *x = arg(&c, TYPE(&c, F32, 1));
    result(&c, build_shift(&c.b, build_shift(&c.b, x, 1e-9), -1));
    start(&c, 1);
    SET(&c.args[0], 1);
    if (run(&c))
        CHECK(c.results[0].data[0] != 0);
    c.interp->round_to_float = true;
    if (run(&c))
        CHECK(c.results[0].data[0] == 0);
    arena_free(c.arena);
}

/* ---- random numbers ---- */

/* The generator's published answers: key and counter all zero. */
static void test_philox(void) {
    const uint32_t words[] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    for (int i = 0; i < 4; i++)
        CHECK(interp_random(RANDOM_UNIFORM, 0, 0, 0, (uint64_t)i) == (words[i] >> 8) * 0x1p-24);
    for (int i = 0; i < 400; i++) {
        uint64_t seed = (uint64_t)i * 0x123456789ABCDEFull, index = (uint64_t)i * i * (i % 5 ? 1 : 1ull << 33);
        int stream = 65536 + i % 7;
        uint32_t step = (uint32_t)i * 2654435761u;
        CHECK(interp_random(RANDOM_UNIFORM, seed, stream, step, index) ==
              nnrt_uniform(seed, (uint32_t)stream, step, index));
        CHECK_NEAR(interp_random(RANDOM_NORMAL, seed, stream, step, index),
                   nnrt_normal(seed, (uint32_t)stream, step, index), 1e-6);
    }
}

/* The op draws by element index, so the first rows do not depend on the size of the batch. */
static void test_random_op(void) {
    double first[6] = {0};
    for (int batch = 2; batch <= 5; batch += 3) {
        Case c = case_new();
        Value *seed = arg(&c, type_scalar(c.module, DTYPE_I32)), *step = arg(&c, seed->type);
        result(&c, build_random(&c.b, RANDOM_NORMAL, TYPE(&c, F32, 0, 3), 65536, seed, step));
        start(&c, batch);
        SET(&c.args[0], -5);
        SET(&c.args[1], 9);
        if (run(&c))
            for (int i = 0; i < 6; i++) {
                first[i] = batch == 2 ? c.results[0].data[i] : first[i];
                CHECK(c.results[0].data[i] == first[i]);
                CHECK(first[i] == interp_random(RANDOM_NORMAL, (uint32_t)-5, 65536, 9, (uint64_t)i));
            }
        arena_free(c.arena);
    }
}

int main(void) {
    test_leaves();
    test_shapes();
    test_reductions();
    test_indexing();
    test_pool_grad();
    test_einsum();
    test_batched_einsum();
    test_conv();
    test_contraction_description();
    test_assign();
    test_fusion();
    test_errors();
    test_round_to_float();
    test_philox();
    test_random_op();
    return test_report();
}
