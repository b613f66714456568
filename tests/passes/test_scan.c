/* Scans: values of the interpreter against loops written here, gradients against central differences in double (states,
 * sequences, values that all steps read; both directions; gradients of gradients), and what the passes make of them. */
#include <math.h>
#include <string.h>
#include "ir/build.h"
#include "ir/interp.h"
#include "passes/pass.h"
#include "test.h"
#include "tests/passes/interp_compare.h"

enum { BATCH = 2, STEPS = 4, UNITS = 3, MOST_ARGS = 4 };

typedef struct {
    Arena *arena;
    Diag *diag;
    Module *module;
    Func *func;
    Builder b;
    Value *args[MOST_ARGS];
    int arg_count;
} Case;

static Case case_new(void) {
    Case c = {.arena = arena_new()};
    c.diag = diag_new(c.arena);
    c.module = module_new(c.arena, c.diag, "case", BATCH);
    c.func = module_func(c.module, "f");
    c.b = builder_at_end(c.func);
    return c;
}

/* An extent of 0 is the batch. */
static Value *arg(Case *c, int rank, const int *extents) {
    static const char *const names[] = {"first", "second", "third", "fourth"};
    Dim dims[MAX_RANK];
    for (int i = 0; i < rank; i++)
        dims[i] = extents[i] ? dim_static(extents[i]) : dim_batch(1);
    const Type *type = type_get(c->module, DTYPE_F32, rank, dims);
    Value *value = func_add_arg(c->func, ARG_PLAIN, type, names[c->arg_count]);
    return c->args[c->arg_count++] = value;
}

static bool run_passes(Case *c, const char *const *names, int count) {
    const PassOptions options = {.verify_all = true};
    PassContext context = pass_context(c->diag, NULL, &options);
    bool ok = module_verify(c->module, "test") && passes_run(c->module, &context, names, count);
    Text text = {0};
    diag_print(c->diag, &text, false);
    if (!ok)
        printf("%s\n", text.data ? text.data : "");
    text_free(&text);
    CHECK(ok);
    return ok;
}

/* ---- models: (x[B, T, 2 U], h0[B, U], U[U, 2 U], b[U]) */
typedef Value *Step(Builder *, Value *x, Value *h, Value *kernel, Value *bias, Value **second_state);

static Value *half(Builder *b, Value *x, int which) {
    Dim dims[2] = {dim_batch(1), dim_static(UNITS)};
    return build_slice(b, x, (int64_t[]){0, which * UNITS}, (int64_t[]){1, 1}, type_get(b->module, DTYPE_F32, 2, dims));
}

/* A gate and a candidate, as in recurrent networks: slices of one product. */
static Value *gated(Builder *b, Value *x, Value *h, Value *kernel, Value *bias, Value **second) {
    Value *z = build_add(b, x, build_einsum(b, "bk,kn->bn", h, kernel));
    Value *gate = build_map1(b, FN_sigmoid, half(b, z, 0));
    Value *candidate = build_map1(b, FN_tanh, build_add(b, half(b, z, 1), bias));
    *second = build_add(b, *second, build_mul(b, gate, candidate));
    return build_add(b, build_mul(b, gate, h), build_mul(b, build_map1(b, FN_tanh, *second), candidate));
}

/* Relu takes the derivative from its argument, which is then kept as a mask. */
static Value *rectified(Builder *b, Value *x, Value *h, Value *kernel, Value *bias, Value **second) {
    Value *z = build_add(b, half(b, x, 0), half(b, build_einsum(b, "bk,kn->bn", h, kernel), 1));
    *second = build_scale(b, build_add(b, *second, h), 0.5);
    return build_map1(b, FN_relu, build_add(b, build_sub(b, z, *second), bias));
}

/* As in GRU: the gate works on a part of the product, and what it leaves is 1 - gate. */
static Value *reset(Builder *b, Value *x, Value *h, Value *kernel, Value *bias, Value **second) {
    Value *product = build_einsum(b, "bk,kn->bn", h, kernel), *one = build_like(b, h, 1);
    Value *gate = build_map1(b, FN_sigmoid, build_add(b, half(b, x, 0), half(b, product, 0)));
    Value *part = build_mul(b, gate, build_add(b, half(b, product, 1), bias));
    Value *candidate = build_map1(b, FN_tanh, build_add(b, half(b, x, 1), part));
    *second = build_scale(b, *second, 0.5);
    return build_add(b, build_mul(b, gate, h), build_mul(b, build_sub(b, one, gate), candidate));
}

static Op *make_scan_from(Case *c, Step *step, bool reverse, bool zero) {
    Builder *b = &c->b;
    Value *x = arg(c, 3, (int[]){0, STEPS, 2 * UNITS}), *h = arg(c, 2, (int[]){0, UNITS});
    Value *kernel = arg(c, 2, (int[]){UNITS, 2 * UNITS}), *bias = arg(c, 1, (int[]){UNITS});
    Value *states[] = {zero ? build_like(b, h, 0) : h, build_like(b, h, 0.25)}, *whole[] = {kernel, bias};
    ScanInputs in = {STEPS, reverse, states, &x, whole, 2, 1, 2};
    Op *scan = build_scan_begin(b, &in);
    if (!scan)
        return NULL;
    Value **args = scan->region->args, *second = args[1];
    Value *next = step(b, args[2], args[0], args[3], args[4], &second);
    bool ok = build_scan_end(b, scan, (Value *[]){next, second}, (Value *[]){next, build_scale(b, second, 2)}, 2);
    return ok ? scan : NULL;
}

static Op *make_scan(Case *c, Step *step, bool reverse) {
    return make_scan_from(c, step, reverse, false);
}

static Value *weigh(Case *c, Value *x) {
    Value *phase = build_like(&c->b, x, 0.3);
    for (int i = 0; i < x->type->rank; i++)
        phase = build_add(&c->b, phase, build_scale(&c->b, build_iota(&c->b, x->type, i), 0.7 + i));
    return build_sum_all(&c->b, build_mul(&c->b, x, build_map1(&c->b, FN_cos, phase)));
}

/* ---- values */
static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

static void test_values(bool reverse) {
    Case c = case_new();
    Op *scan = make_scan(&c, gated, reverse);
    CHECK(scan != NULL);
    func_add_result(c.func, scan->results[0], "last");
    func_add_result(c.func, scan->results[2], "all");
    CHECK(module_verify(c.module, "test"));
    Interp *interp = interp_new(c.arena, c.module, BATCH);
    Tensor args[MOST_ARGS], results[2];
    TestRandom random = {3};
    for (int i = 0; i < MOST_ARGS; i++) {
        args[i] = interp_tensor(interp, c.args[i]->type);
        test_fill_tensor(&args[i], &random, -1, 1, 2);
    }
    CHECK(interp_run(interp, c.func, args, results));
    for (int row = 0; row < BATCH; row++) {
        double h[UNITS], second[UNITS] = {0.25, 0.25, 0.25}, next[UNITS];
        memcpy(h, args[1].data + row * UNITS, sizeof h);
        for (int s = 0; s < STEPS; s++) {
            int t = reverse ? STEPS - 1 - s : s;
            for (int u = 0; u < UNITS; u++) {
                const double *x = args[0].data + (row * STEPS + t) * 2 * UNITS;
                double z[2] = {x[u], x[UNITS + u]};
                for (int k = 0; k < 2 * UNITS; k++)
                    z[k / UNITS] += h[k % UNITS] * args[2].data[k % UNITS * 2 * UNITS + k / UNITS * UNITS + u];
                double gate = sigmoid(z[0]), candidate = tanh(z[1] + args[3].data[u]);
                second[u] += gate * candidate;
                next[u] = gate * h[u] + tanh(second[u]) * candidate;
                CHECK_NEAR(results[1].data[(row * STEPS + t) * UNITS + u], next[u], 1e-12);
            }
            memcpy(h, next, sizeof h);
        }
        for (int u = 0; u < UNITS; u++)
            CHECK_NEAR(results[0].data[row * UNITS + u], h[u], 1e-12);
    }
    arena_free(c.arena);
}

/* ---- gradients */
static void check_differences(Case *c) {
    Interp *interp = interp_new(c->arena, c->module, BATCH);
    Tensor args[MOST_ARGS];
    TestRandom random = {11};
    for (int i = 0; i < c->arg_count; i++) {
        args[i] = interp_tensor(interp, c->args[i]->type);
        test_fill_tensor(&args[i], &random, -1, 1, 2);
    }
    CHECK(test_differences(interp, c->func, args, c->arg_count, "scan"));
}

static void with_gradients(Case *c, Op *scan, int order) {
    static const char *const names[] = {"by first", "by second", "by third", "by fourth"};
    Value *loss = weigh(c, scan->results[0]), *gradients[MOST_ARGS];
    for (int i = 1; i < scan->result_count; i++)
        loss = build_add(&c->b, loss, weigh(c, scan->results[i]));
    if (order == 2) {
        build_grad(&c->b, loss, c->args, c->arg_count, gradients);
        loss = weigh(c, gradients[0]);
        for (int i = 1; i < c->arg_count; i++)
            loss = build_add(&c->b, loss, weigh(c, gradients[i]));
    }
    func_add_result(c->func, loss, "loss");
    build_grad(&c->b, loss, c->args, c->arg_count, gradients);
    for (int i = 0; i < c->arg_count; i++)
        func_add_result(c->func, gradients[i], names[i]);
}

static const Op *find_scan(const Func *func, bool reverse) {
    for (const Op *op = func->body.first; op; op = op->next)
        if (op->code == OP_SCAN && op->attr.scan.reverse == reverse)
            return op;
    return NULL;
}

static int count_in(const Region *region, OpCode code) {
    int count = 0;
    for (const Op *op = region->first; op; op = op->next)
        count += op->code == code;
    return count;
}

static void test_gradient(Step *step, bool reverse, bool zero, int order) {
    static const char *const passes[] = {"simplify", "autodiff", "cse", "simplify", "cse", "dce"};
    for (int count = 2; count <= 6; count += 4) { /* autodiff alone, and with what cleans up behind it */
        Case c = case_new();
        Op *scan = make_scan_from(&c, step, reverse, zero);
        CHECK(scan != NULL);
        with_gradients(&c, scan, order);
        if (run_passes(&c, passes, count))
            check_differences(&c);
        arena_free(c.arena);
    }
}

/* The gradient of the kernel is one contraction over samples and steps, none of the steps makes it; the gates'
 * gradients are joined for one product with the kernel. */
static void test_sum_leaves_the_loop(void) {
    static const char *const passes[] = {"simplify", "autodiff", "cse", "simplify", "cse", "dce"};
    Case c = case_new();
    Op *scan = make_scan(&c, gated, false);
    with_gradients(&c, scan, 1);
    CHECK(run_passes(&c, passes, 6));
    const Op *reverse = find_scan(c.func, true);
    CHECK(reverse != NULL);
    CHECK(count_in(reverse->region, OP_EINSUM) == 1);
    CHECK(count_in(reverse->region, OP_CONCAT) == 1);
    CHECK(count_in(reverse->region, OP_PAD) == 0);
    CHECK(count_in(reverse->region, OP_REDUCE) == 0);
    CHECK(count_in(&c.func->body, OP_EINSUM) == 1);
    arena_free(c.arena);
}

/* What a step gives to its gradient: of a state that starts as zero and that only the product reads, nothing, as the
 * sequence of the states is there; of a part, the part; and not 1 - x beside x. */
static void test_kept(void) {
    static const char *const passes[] = {"simplify", "autodiff", "cse", "simplify", "cse", "dce"};
    for (int zero = 0; zero < 2; zero++) {
        Case c = case_new();
        Op *scan = make_scan_from(&c, rectified, false, zero);
        with_gradients(&c, scan, 1);
        CHECK(run_passes(&c, passes, 6));
        const Op *forward = find_scan(c.func, false);
        CHECK(forward != NULL);
        bool kept = false;
        for (int i = 0; forward && i < forward->result_count; i++)
            kept = kept || forward->region->yields[i] == forward->region->args[0];
        CHECK(kept == !zero);
        arena_free(c.arena);
    }
    Case c = case_new();
    with_gradients(&c, make_scan(&c, reset, false), 1);
    CHECK(run_passes(&c, passes, 6));
    const Op *forward = find_scan(c.func, false);
    CHECK(forward != NULL);
    for (int i = 0; forward && i < forward->result_count; i++) {
        const Value *yield = forward->region->yields[i];
        CHECK(yield->type->dims[1].n == UNITS);
        CHECK(!yield->def || yield->def->code != OP_MAP || yield->def->attr.scalar != FN_sub);
    }
    arena_free(c.arena);
}

/* Outputs, states and inputs that nobody reads are gone; the text form keeps the scan. */
static void test_unread(void) {
    Case c = case_new();
    Op *scan = make_scan(&c, rectified, false);
    Value *unread[] = {scan->results[2]};
    func_add_result(c.func, unread[0], "all");
    CHECK(run_passes(&c, (const char *[]){"dce"}, 1));
    CHECK(scan->result_count == 3 && scan->region->yield_count == 3);
    Text before = {0}, after = {0};
    module_print(&before, c.module);
    SourceFile file = {"scan.ir", before.data, before.length};
    Module *again = module_read(c.arena, c.diag, &file);
    CHECK(again != NULL);
    if (again)
        module_print(&after, again);
    CHECK(again && strcmp(before.data, after.data) == 0);
    text_free(&before);
    text_free(&after);
    arena_free(c.arena);
}

static void test_mistakes(void) {
    Case c = case_new();
    Value *x = arg(&c, 3, (int[]){0, STEPS + 1, UNITS}), *h = arg(&c, 2, (int[]){0, UNITS});
    ScanInputs in = {.steps = STEPS, .states = &h, .sequences = &x, .state_count = 1, .sequence_count = 1};
    CHECK(build_scan_begin(&c.b, &in) == NULL);
    in.steps = STEPS + 1;
    Op *scan = build_scan_begin(&c.b, &in);
    CHECK(scan != NULL);
    Value *scalar = build_number(&c.b, 1);
    CHECK(!build_scan_end(&c.b, scan, &scalar, NULL, 0));
    CHECK(diag_errors(c.diag) == 2);
    arena_free(c.arena);
}

int main(void) {
    for (int reverse = 0; reverse < 2; reverse++) {
        test_values(reverse);
        for (int order = 1; order <= 2; order++) {
            test_gradient(gated, reverse, false, order);
            test_gradient(reset, reverse, true, order);
            for (int zero = 0; zero < 2; zero++)
                test_gradient(rectified, reverse, zero, order);
        }
    }
    test_sum_leaves_the_loop();
    test_kept();
    test_unread();
    test_mistakes();
    return test_report();
}
