/* Gradients against central differences in double: every scalar function, every op that has a gradient, sums over
 * fan-out, gradients of gradients, and the refusals. */
#include "tests/passes/interp_compare.h"
#include "ir/build.h"
#include "ir/interp.h"
#include "passes/pass.h"
#include "test.h"

enum { MAX_ARGS = 3, BATCH = 2 };

typedef struct {
    Arena *arena;
    Diag *diag;
    Module *module;
    Func *func;
    Builder b;
    Value *args[MAX_ARGS];
    int arg_count;
    double low[MAX_ARGS], high[MAX_ARGS];
    TestRandom random;
} Case;

static int covered[OP_COUNT]; /* ops that a gradient flowed through */

static Case case_new(void) {
    Case c = {.arena = arena_new(), .random = {7}};
    c.diag = diag_new(c.arena);
    c.module = module_new(c.arena, c.diag, "case", BATCH);
    c.func = module_func(c.module, "f");
    c.b = builder_at_end(c.func);
    return c;
}

static const Type *type_of(Case *c, Dtype dtype, int rank, const int *extents) {
    Dim dims[MAX_RANK];
    for (int i = 0; i < rank; i++)
        dims[i] = extents[i] ? dim_static(extents[i]) : dim_batch(1);
    return type_get(c->module, dtype, rank, dims);
}
#define EXTENTS(...)                                                                                                   \
    (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]) {                                                       \
        __VA_ARGS__                                                                                                    \
    }

/* An extent of 0 is the batch. */
static Value *arg_between(Case *c, double low, double high, int rank, const int *extents) {
    int i = c->arg_count++;
    c->low[i] = low;
    c->high[i] = high;
    return c->args[i] = func_add_arg(c->func, ARG_PLAIN, type_of(c, DTYPE_F32, rank, extents),
                                     (const char *[]){"first", "second", "third"}[i]);
}

static Value *arg(Case *c, int rank, const int *extents) {
    return arg_between(c, -1, 1, rank, extents);
}

/* Different weights for all elements, so that no wrong permutation is overlooked. */
static Value *weigh(Case *c, Value *x) {
    const Type *flat = type_get(c->module, DTYPE_F32, 1, (Dim[]){dim_static(1)});
    if (x->type->rank == 0)
        x = build_reshape(&c->b, x, flat);
    Value *phase = build_like(&c->b, x, 0.3);
    for (int i = 0; i < x->type->rank; i++)
        phase = build_add(&c->b, phase, build_scale(&c->b, build_iota(&c->b, x->type, i), 0.7 + i));
    return build_sum_all(&c->b, build_mul(&c->b, x, build_map1(&c->b, FN_cos, phase)));
}

static bool expand(Case *c, const char *name) {
    const PassOptions options = {.verify_all = true};
    PassContext context = pass_context(c->diag, NULL, &options);
    bool ok = module_verify(c->module, name) && passes_run(c->module, &context, (const char *[]){"autodiff"}, 1);
    Text text = {0};
    diag_print(c->diag, &text, false);
    if (!ok)
        printf("%s: %s\n", name, text.data ? text.data : "");
    text_free(&text);
    CHECK(ok);
    return ok;
}

/* Result 0 of the function by every element of every argument, against results 1, 2, ... */
static void check_differences(Case *c, const char *name) {
    Interp *interp = interp_new(c->arena, c->module, BATCH);
    Tensor args[MAX_ARGS];
    for (int i = 0; i < c->arg_count; i++) {
        args[i] = interp_tensor(interp, c->args[i]->type);
        test_fill_tensor(&args[i], &c->random, c->low[i], c->high[i], 2);
    }
    CHECK(test_differences(interp, c->func, args, c->arg_count, name));
}

/* `order` 1: the gradients of a weighted sum of y; 2: the gradients of a weighted sum of its gradients. */
static void finish(Case *c, Value *y, int order, const char *name) {
    Value *loss = y ? weigh(c, y) : NULL, *gradients[MAX_ARGS];
    if (loss && order == 2) {
        build_grad(&c->b, loss, c->args, c->arg_count, gradients);
        loss = weigh(c, gradients[0]);
        for (int i = 1; i < c->arg_count; i++)
            loss = build_add(&c->b, loss, weigh(c, gradients[i]));
    }
    if (loss) {
        func_add_result(c->func, loss, "loss");
        build_grad(&c->b, loss, c->args, c->arg_count, gradients);
        for (int i = 0; i < c->arg_count; i++)
            func_add_result(c->func, gradients[i], (const char *[]){"by first", "by second", "by third"}[i]);
        for (Op *op = c->func->body.first; op; op = op->next)
            covered[op->code]++;
    }
    CHECK(loss != NULL);
    if (expand(c, name))
        check_differences(c, name);
    arena_free(c->arena);
}

/* ---- scalar functions ---- */

static void test_scalar(ScalarFn fn, double low, double high, int order) {
    const ScalarInfo *info = &scalar_infos[fn];
    Case c = case_new();
    Value *inputs[MAX_ARGS];
    bool logic = fn == FN_and || fn == FN_or || fn == FN_not;
    for (int i = 0; i < info->arity; i++)
        inputs[i] = arg_between(&c, low, high, EXTENTS(0, 3));
    for (int i = 0; i < info->arity; i++)
        if (logic || (fn == FN_select && i == 0)) {
            Value *limit = build_like(&c.b, inputs[i], (low + high) / 2);
            inputs[i] = build_map2(&c.b, FN_gt, inputs[i], limit);
        }
    finish(&c, build_cast(&c.b, build_map(&c.b, fn, inputs, info->arity), DTYPE_F32), order, info->name);
}

static void test_scalars(void) {
    for (int fn = 0; fn < FN_COUNT; fn++)
        for (int order = 1; order <= 2; order++) {
            test_scalar((ScalarFn)fn, 0.2, 1.4, order);
            if (fn != FN_log && fn != FN_sqrt && fn != FN_rsqrt && fn != FN_pow)
                test_scalar((ScalarFn)fn, -0.9, -0.1, order);
        }
}

/* ---- ops ---- */

static Value *make_reshape(Case *c) {
    return build_reshape(&c->b, arg(c, EXTENTS(0, 2, 3)), type_of(c, DTYPE_F32, EXTENTS(0, 6)));
}
static Value *make_transpose(Case *c) {
    return build_transpose(&c->b, arg(c, EXTENTS(0, 2, 3, 2)), (int[]){0, 3, 1, 2});
}
static Value *make_reverse(Case *c) {
    return build_reverse(&c->b, arg(c, EXTENTS(0, 2, 3, 2)), (int[]){3, 1}, 2);
}
static Value *make_copy(Case *c) {
    return build_copy(&c->b, arg(c, EXTENTS(0, 2)));
}
static Value *make_cast(Case *c) {
    Value *x = arg(c, EXTENTS(0, 2)); /* build_cast would drop it */
    return build_op(&c->b, OP_CAST, NULL, &x, 1, x->type);
}

static Value *make_broadcast(Case *c) {
    Value *x = arg(c, EXTENTS(3)), *y = arg(c, EXTENTS(1, 2)), *z = arg(c, 0, NULL);
    const Type *type = type_of(c, DTYPE_F32, EXTENTS(0, 3, 2));
    Value *sum =
        build_add(&c->b, build_broadcast(&c->b, x, type, (int[]){1}), build_broadcast(&c->b, y, type, (int[]){1, 2}));
    return build_mul(&c->b, sum, build_broadcast(&c->b, z, type, NULL));
}

static Value *make_slice(Case *c) {
    return build_slice(&c->b, arg(c, EXTENTS(0, 7, 5)), (int64_t[]){0, 1, 2}, (int64_t[]){1, 3, 1},
                       type_of(c, DTYPE_F32, EXTENTS(0, 2, 2)));
}

static Value *make_pad(Case *c) {
    PadAttr grow = {.low = {0, 2, 0}, .high = {0, 1, 0}, .interior = {0, 1, 2}};
    PadAttr crop = {.low = {0, -1, 1}, .high = {0, 1, -2}, .interior = {0, 0, 1}};
    return build_pad(&c->b, build_pad(&c->b, arg(c, EXTENTS(0, 3, 2)), &grow), &crop);
}

static Value *make_concat(Case *c) {
    Value *parts[] = {arg(c, EXTENTS(0, 2, 2)), arg(c, EXTENTS(0, 1, 2)), NULL};
    parts[2] = parts[0];
    return build_concat(&c->b, parts, 3, 1);
}

static Value *make_reduce(Case *c) {
    Value *x = arg(c, EXTENTS(0, 3, 2)), *squares = build_mul(&c->b, x, x);
    Value *rows = build_sum(&c->b, squares, (int[]){1}, 1), *all = build_sum(&c->b, squares, (int[]){0, 1, 2}, 3);
    return build_mul(&c->b, rows, build_broadcast(&c->b, all, rows->type, NULL));
}

static Value *make_einsum(Case *c) {
    return build_einsum(&c->b, "bk,kn->bn", arg(c, EXTENTS(0, 3)), arg(c, EXTENTS(3, 2)));
}
static Value *make_batched_einsum(Case *c) {
    return build_einsum(&c->b, "bik,bjk->jbi", arg(c, EXTENTS(2, 2, 3)), arg(c, EXTENTS(2, 3, 3)));
}
static Value *make_outer_einsum(Case *c) {
    return build_einsum(&c->b, "i,j->ji", arg(c, EXTENTS(3)), arg(c, EXTENTS(2)));
}

static WindowAttr window_1d(void) {
    return (WindowAttr){.spatial = 1, .size = {3}, .stride = {2}, .dilation = {2}, .low = {1}, .high = {2}};
}
static WindowAttr window_2d(void) {
    return (WindowAttr){
        .spatial = 2, .size = {2, 3}, .stride = {2, 1}, .dilation = {1, 1}, .low = {1, 0}, .high = {0, 2}};
}

static Value *make_conv_1d(Case *c) {
    WindowAttr window = window_1d();
    return build_conv(&c->b, arg(c, EXTENTS(0, 6, 2)), arg(c, EXTENTS(3, 2, 2)), &window);
}
static Value *make_conv_2d(Case *c) {
    WindowAttr window = window_2d();
    return build_conv(&c->b, arg(c, EXTENTS(0, 4, 4, 2)), arg(c, EXTENTS(2, 3, 2, 2)), &window);
}
/* The gradient ops by themselves; the first order of these is the second of conv. */
static Value *make_conv_grad_input(Case *c) {
    OpAttr attr = {.window = window_1d()};
    Value *inputs[] = {arg(c, EXTENTS(0, 3, 2)), arg(c, EXTENTS(3, 1, 2))};
    return build_op(&c->b, OP_CONV_GRAD_INPUT, &attr, inputs, 2, type_of(c, DTYPE_F32, EXTENTS(0, 6, 1)));
}
static Value *make_conv_grad_kernel(Case *c) {
    OpAttr attr = {.window = window_1d()};
    Value *inputs[] = {arg(c, EXTENTS(0, 6, 2)), arg(c, EXTENTS(0, 3, 2))};
    return build_op(&c->b, OP_CONV_GRAD_KERNEL, &attr, inputs, 2, type_of(c, DTYPE_F32, EXTENTS(3, 2, 2)));
}

static Value *pool_of(Case *c, ReduceKind kind) {
    WindowAttr window = window_2d();
    window.kind = kind;
    return build_pool(&c->b, arg(c, EXTENTS(0, 4, 4, 2)), &window);
}
static Value *make_pool_sum(Case *c) {
    return pool_of(c, REDUCE_SUM);
}
static Value *make_pool_max(Case *c) {
    return pool_of(c, REDUCE_MAX);
}
static Value *make_pool_grad(Case *c) {
    OpAttr attr = {.window = window_1d()};
    attr.window.kind = REDUCE_SUM;
    Value *inputs[] = {arg(c, EXTENTS(0, 6, 2)), arg(c, EXTENTS(0, 3, 2))};
    return build_op(&c->b, OP_POOL_GRAD, &attr, inputs, 2, NULL);
}

static Value *make_unpool(Case *c) {
    OpAttr attr = {.window = {.spatial = 1, .size = {2}, .stride = {3}, .dilation = {1}, .low = {1}, .high = {1}}};
    Value *x = arg(c, EXTENTS(0, 6, 2)), *g = arg(c, EXTENTS(0, 3, 2));
    attr.window.kind = REDUCE_MAX;
    Value *cells = build_op(&c->b, OP_POOL_ARGMAX, &attr, &x, 1, NULL);
    return build_mul(&c->b, build_op(&c->b, OP_UNPOOL, &attr, (Value *[]){cells, g}, 2, x->type), x);
}

/* Row numbers 0, 1, 2, 0, .. of the result's first axis, with one that is out of range. */
static Value *some_ids(Case *c, int count) {
    const Type *type = type_of(c, DTYPE_I32, EXTENTS(count));
    Value *ids = build_iota(&c->b, type, 0);
    return build_sub(&c->b, build_mul(&c->b, ids, ids), build_like(&c->b, ids, 1));
}
static Value *make_gather(Case *c) {
    return build_gather(&c->b, arg(c, EXTENTS(4, 2)), some_ids(c, 5));
}
static Value *make_scatter_add(Case *c) {
    Value *inputs[] = {some_ids(c, 5), arg(c, EXTENTS(5, 2))};
    return build_op(&c->b, OP_SCATTER_ADD, NULL, inputs, 2, type_of(c, DTYPE_F32, EXTENTS(4, 2)));
}

/* tests/passes/test_scan.c has more of them. */
static Value *make_scan(Case *c) {
    Value *x = arg(c, EXTENTS(0, 3, 2)), *state = arg(c, EXTENTS(0, 2)), *factor = arg(c, EXTENTS(2));
    ScanInputs in = {3, false, &state, &x, &factor, 1, 1, 1};
    Op *scan = build_scan_begin(&c->b, &in);
    Value **args = scan->region->args;
    Value *next = build_add(&c->b, build_mul(&c->b, args[0], args[2]), args[1]);
    build_scan_end(&c->b, scan, &next, &next, 1);
    return scan->results[1];
}

/* One value used by three ops, one of them twice, and a path that stop_gradient cuts. */
static Value *make_fan_out(Case *c) {
    Value *x = build_map1(&c->b, FN_sin, arg(c, EXTENTS(0, 3))), *square = build_mul(&c->b, x, x);
    Value *sum = build_add(&c->b, build_map1(&c->b, FN_tanh, x), build_mul(&c->b, square, x));
    return build_add(&c->b, sum, build_stop_gradient(&c->b, build_like(&c->b, sum, 0.5)));
}

static void test_ops(void) {
    static const struct {
        const char *name;
        Value *(*make)(Case *);
        int orders;
    } cases[] = {
        {"reshape", make_reshape, 1},
        {"transpose", make_transpose, 1},
        {"reverse", make_reverse, 1},
        {"copy", make_copy, 1},
        {"cast", make_cast, 1},
        {"broadcast", make_broadcast, 2},
        {"slice", make_slice, 1},
        {"pad", make_pad, 1},
        {"concat", make_concat, 1},
        {"reduce", make_reduce, 2},
        {"einsum", make_einsum, 2},
        {"batched einsum", make_batched_einsum, 2},
        {"outer einsum", make_outer_einsum, 2},
        {"conv 1d", make_conv_1d, 2},
        {"conv 2d", make_conv_2d, 2},
        {"conv_grad_input", make_conv_grad_input, 2},
        {"conv_grad_kernel", make_conv_grad_kernel, 2},
        {"sum pool", make_pool_sum, 1},
        {"max pool", make_pool_max, 1},
        {"pool_grad", make_pool_grad, 1},
        {"unpool", make_unpool, 2},
        {"gather", make_gather, 1},
        {"scatter_add", make_scatter_add, 1},
        {"scan", make_scan, 2},
        {"fan-out", make_fan_out, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int order = 1; order <= cases[i].orders; order++) {
            Case c = case_new();
            Value *y = cases[i].make(&c);
            if (order == 2) /* else the gradient of a linear op would not depend on its arguments */
                y = build_mul(&c.b, y, build_map1(&c.b, FN_sin, y));
            finish(&c, y, order, cases[i].name);
        }
    for (int code = 0; code < OP_COUNT; code++) {
        bool has_gradient =
            !(op_infos[code].flags & (OP_NO_GRADIENT | OP_REFUSES_GRADIENT)) && op_infos[code].op_class != CLASS_LEAF;
        CHECK(!has_gradient || covered[code] > 0);
    }
}

/* ---- what is not computed, and what is refused ---- */

static int count_ops(const Func *func, OpCode code) {
    int count = 0;
    for (const Op *op = func->body.first; op; op = op->next)
        count += op->code == code;
    return count;
}

/* Of two layers, the gradient of the first one's input is not wanted: three more contractions, not four. */
static void test_activity(void) {
    Case c = case_new();
    Value *x = arg(&c, EXTENTS(0, 3)), *k1 = arg(&c, EXTENTS(3, 4)), *k2 = arg(&c, EXTENTS(4, 2)), *gradients[2];
    Value *hidden = build_map1(&c.b, FN_tanh, build_einsum(&c.b, "bk,kn->bn", x, k1));
    Value *loss = weigh(&c, build_einsum(&c.b, "bk,kn->bn", hidden, k2));
    build_grad(&c.b, loss, (Value *[]){k1, k2}, 2, gradients);
    func_add_result(c.func, gradients[0], "k1");
    func_add_result(c.func, gradients[1], "k2");
    CHECK(expand(&c, "activity"));
    CHECK(count_ops(c.func, OP_EINSUM) == 5);
    CHECK(count_ops(c.func, OP_GRAD) == 0);
    arena_free(c.arena);
}

/* No path to the loss: zeros. The loss by itself: one. */
static void test_no_path(void) {
    Case c = case_new();
    Value *x = arg(&c, EXTENTS(2)), *y = arg(&c, EXTENTS(2)), *gradients[2];
    Value *loss = build_sum_all(&c.b, build_stop_gradient(&c.b, x));
    build_grad(&c.b, loss, (Value *[]){y, loss}, 2, gradients);
    func_add_result(c.func, gradients[0], "y");
    func_add_result(c.func, gradients[1], "loss");
    CHECK(expand(&c, "no path"));
    Interp *interp = interp_new(c.arena, c.module, 1);
    Tensor args[2] = {interp_tensor(interp, x->type), interp_tensor(interp, y->type)}, results[2];
    CHECK(interp_run(interp, c.func, args, results));
    CHECK(results[0].data[0] == 0 && results[0].data[1] == 0 && results[1].data[0] == 1);
    arena_free(c.arena);
}

static Value *make_refused_max(Case *c) {
    return build_reduce(&c->b, REDUCE_MAX, arg(c, EXTENTS(0, 3)), (int[]){1}, 1);
}
static Value *make_refused_second(Case *c) {
    Value *gradient, *y = make_pool_max(c), *loss = build_sum_all(&c->b, build_mul(&c->b, y, y));
    build_grad(&c->b, loss, c->args, 1, &gradient);
    return gradient;
}
static Value *make_refused_batches(Case *c) {
    Value *x = arg(c, EXTENTS(0, 2));
    return build_concat(&c->b, (Value *[]){x, x}, 2, 0);
}

static void test_refusals(void) {
    static const struct {
        Value *(*make)(Case *);
        const char *says;
    } cases[] = {
        {make_refused_max, "reduce has no gradient: only the gradient of a sum is defined everywhere"},
        {make_refused_second, "the second derivative of max pooling with windows that overlap is not built"},
        {make_refused_batches, "concat has no gradient: it joins batches"},
    };
    static const char source[] = "Layer(1)\nMax(2)\n";
    SourceFile file = {"model.nn", source, sizeof source - 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Case c = case_new();
        Value *gradient;
        c.b.span = (Span){&file, 9, 12};
        c.b.layer = "max_1";
        Value *loss = weigh(&c, cases[i].make(&c));
        build_grad(&c.b, loss, c.args, 1, &gradient);
        func_add_result(c.func, gradient, "gradient");
        PassContext context = pass_context(c.diag, NULL, NULL);
        CHECK(!passes_run(c.module, &context, (const char *[]){"autodiff"}, 1));
        Text text = {0};
        diag_print(c.diag, &text, false);
        CHECK(text.data && strstr(text.data, "model.nn:2:1: error: "));
        CHECK(text.data && strstr(text.data, cases[i].says));
        CHECK(text.data && strstr(text.data, "max_1"));
        text_free(&text);
        arena_free(c.arena);
    }
}

int main(void) {
    test_scalars();
    test_ops();
    test_activity();
    test_no_path();
    test_refusals();
    return test_report();
}
