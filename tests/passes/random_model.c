#include "tests/passes/random_model.h"
#include <stdio.h>
#include "tests/passes/interp_compare.h"

typedef struct {
    Builder b;
    Module *module;
    TestRandom random;
    Value *seed, *step; /* of the random ops; NULL: not training, no dropout */
    int layer, stream;
    bool large;
    Value *penalty; /* sum of squares of kernels */
} Model;

static int pick(Model *m, int bound) {
    return test_random_below(&m->random, bound);
}

/* Units, features, channels: from `least` on, `choices` numbers; in a large model around whole vectors. */
static int64_t pick_width(Model *m, int least, int choices) {
    static const int widths[] = {1, 1, 2, 4, 7, 16, 16, 33};
    int n = pick(m, m->large ? (int)(sizeof widths / sizeof *widths) : choices);
    return m->large ? widths[n] : least + n;
}

static const Type *model_type(Model *m, Dtype dtype, int rank, const int64_t *extents, bool batch) {
    Dim dims[MAX_RANK];
    for (int i = 0; i < rank; i++)
        dims[i] = i == 0 && batch ? dim_batch(extents[0]) : dim_static(extents[i]);
    return type_get(m->module, dtype, rank, dims);
}

static Value *parameter(Model *m, const char *suffix, int rank, const int64_t *extents) {
    char name[64];
    snprintf(name, sizeof name, "layer_%d/%s", m->layer, suffix);
    Variable *variable = module_find_variable(m->module, name);
    if (!variable)
        variable = module_variable(m->module, name, model_type(m, DTYPE_F32, rank, extents, false), VARIABLE_TRAINABLE,
                                   (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0});
    return build_variable(&m->b, variable);
}

static int64_t last_extent(const Value *x) {
    return x->type->dims[x->type->rank - 1].n;
}

/* ---- layers ---- */

static Value *bounded(Model *m, Value *x) {
    return build_map1(&m->b, FN_tanh, x);
}

static Value *square_plus(Model *m, Value *x, double number) {
    return build_shift(&m->b, build_mul(&m->b, x, x), number);
}

static Value *activation(Model *m, Value *x) {
    Builder *b = &m->b;
    Value *zero = build_like(b, x, 0), *positive = build_map2(b, FN_gt, x, zero);
    switch (pick(m, 16)) {
    case 0:
        return build_map1(b, FN_tanh, x);
    case 1:
        return build_map1(b, FN_sigmoid, x);
    case 2:
        return build_map3(b, FN_select, positive, x, zero);
    case 3:
        return build_map1(b, FN_softplus, x);
    case 4:
        return build_map2(b, FN_max, zero, x);
    case 5:
        return build_map1(b, FN_sin, build_map1(b, FN_cos, x));
    case 6:
        return build_mul(b, build_scale(b, x, 0.5), build_shift(b, build_map1(b, FN_erf, build_scale(b, x, 0.7)), 1));
    case 7:
        return build_div(b, x, build_shift(b, build_map1(b, FN_abs, x), 1));
    case 8:
        return build_map3(b, FN_select, positive, x, build_map1(b, FN_expm1, build_min(b, x, zero)));
    case 9:
        return build_map1(b, FN_log1p, square_plus(m, x, 0));
    case 10:
        return build_mul(b, x, build_map1(b, FN_rsqrt, square_plus(m, x, 0.5)));
    case 11:
        return build_map2(b, FN_pow, square_plus(m, x, 0.5), build_like(b, x, 0.7));
    case 12:
        return build_map1(b, FN_sqrt, square_plus(m, x, 0.1));
    case 13:
        return build_map1(b, FN_log, square_plus(m, x, 1.5));
    case 14:
        return build_map1(b, FN_exp, bounded(m, x));
    default:
        return build_mul(b, x, build_cast(b, positive, DTYPE_F32));
    }
}

static Value *dense(Model *m, Value *x, int64_t units) {
    int64_t in = last_extent(x);
    Value *kernel = parameter(m, "kernel", 2, (int64_t[]){in, units});
    Value *bias = parameter(m, "bias", 1, &units);
    Value *sum = build_sum_all(&m->b, build_mul(&m->b, kernel, kernel));
    m->penalty = m->penalty ? build_add(&m->b, m->penalty, sum) : sum;
    const char *labels = x->type->rank == 2 ? "bk,kn->bn" : "btk,kn->btn";
    Value *y = pick(m, 4) ? build_einsum(&m->b, labels, x, kernel) : NULL;
    if (!y) { /* the same, by a transposed kernel */
        Value *turned = build_transpose(&m->b, build_transpose(&m->b, kernel, (int[]){1, 0}), (int[]){1, 0});
        y = build_einsum(&m->b, labels, x, turned);
    }
    return build_scale(&m->b, build_add(&m->b, y, bias), 0.4);
}

static Value *normalise(Model *m, Value *x, const int *axes, int count) {
    Builder *b = &m->b;
    int64_t units = last_extent(x);
    Value *mean = build_reduce_keep(b, REDUCE_SUM, x, axes, count);
    Value *ones = build_reduce_keep(b, REDUCE_SUM, build_like(b, x, 1), axes, count);
    mean = build_div(b, mean, ones);
    Value *centred = build_sub(b, x, mean);
    Value *variance = build_div(b, build_reduce_keep(b, REDUCE_SUM, build_mul(b, centred, centred), axes, count), ones);
    Value *scaled = build_mul(b, centred, build_map1(b, FN_rsqrt, build_shift(b, variance, 0.01)));
    Value *gamma = parameter(m, "gamma", 1, &units), *beta = parameter(m, "beta", 1, &units);
    return build_add(b, build_mul(b, scaled, gamma), beta);
}

static Value *softmax(Model *m, Value *x) {
    Builder *b = &m->b;
    int last = x->type->rank - 1;
    Value *largest = build_stop_gradient(b, build_reduce_keep(b, REDUCE_MAX, x, &last, 1));
    Value *exponential = build_map1(b, FN_exp, build_sub(b, x, largest));
    return build_div(b, exponential, build_reduce_keep(b, REDUCE_SUM, exponential, &last, 1));
}

static Value *dropout(Model *m, Value *x) {
    Builder *b = &m->b;
    RandomKind kind = pick(m, 2) ? RANDOM_UNIFORM : RANDOM_NORMAL;
    if (!m->seed)
        return x;
    Value *noise = build_random(b, kind, x->type, 65536 + m->stream++, m->seed, m->step);
    Value *keep = build_map2(b, FN_ge, noise, build_like(b, noise, 0.2));
    return build_scale(b, build_map3(b, FN_select, keep, x, build_like(b, x, 0)), 1.25);
}

/* Splits the last axis in two, changes one part, joins them in another order. */
static Value *split_and_join(Model *m, Value *x) {
    int last = x->type->rank - 1;
    int64_t extent = last_extent(x), start[MAX_RANK] = {0}, stride[MAX_RANK];
    if (extent < 2)
        return x;
    for (int i = 0; i < MAX_RANK; i++)
        stride[i] = 1;
    Type left = *x->type, right = *x->type;
    left.dims[last].n = extent / 2;
    right.dims[last].n = extent - extent / 2;
    Value *a = build_slice(&m->b, x, start, stride, type_get(m->module, left.dtype, left.rank, left.dims));
    start[last] = extent / 2;
    Value *c = build_slice(&m->b, x, start, stride, type_get(m->module, right.dtype, right.rank, right.dims));
    return build_concat(&m->b, (Value *[]){bounded(m, c), a}, 2, last);
}

static Value *pad_and_stride(Model *m, Value *x) {
    int last = x->type->rank - 1;
    PadAttr pad = {{0}, {0}, {0}};
    pad.low[last] = pick(m, 3);
    pad.high[last] = 1;
    pad.interior[last] = pick(m, 2);
    Value *wide = build_pad(&m->b, x, &pad);
    int64_t start[MAX_RANK] = {0}, stride[MAX_RANK];
    Type type = *wide->type;
    for (int i = 0; i < MAX_RANK; i++)
        stride[i] = 1;
    stride[last] = 2;
    type.dims[last].n = (type.dims[last].n + 1) / 2;
    return build_slice(&m->b, wide, start, stride, type_get(m->module, type.dtype, type.rank, type.dims));
}

/* Along one axis, or all but the batch; of what another op makes, or beside it. */
static Value *reversed(Model *m, Value *x) {
    int axes[MAX_RANK], last = x->type->rank - 1;
    for (int i = 0; i < last; i++)
        axes[i] = i + 1;
    Value *y = pick(m, 2) ? build_reverse(&m->b, bounded(m, x), axes, last) : build_reverse(&m->b, x, &last, 1);
    return pick(m, 2) ? build_sub(&m->b, x, y) : y;
}

/* Rows of a table, by the index of the largest feature: no gradient by x, one by the table. */
static Value *embedding(Model *m, Value *x) {
    int last = x->type->rank - 1;
    int64_t extents[] = {last_extent(x) - 1 > 0 ? last_extent(x) - 1 : 1, last_extent(x)};
    Value *ids = build_argmax(&m->b, x, last);
    return build_add(&m->b, x, build_gather(&m->b, parameter(m, "table", 2, extents), ids));
}

/* What passes should find to be nothing, or less. */
static Value *clumsy(Model *m, Value *x) {
    Builder *b = &m->b;
    const Type *scalar = type_scalar(m->module, DTYPE_F32);
    switch (pick(m, 8)) {
    case 0:
        return build_shift(b, build_scale(b, x, 1), 0);
    case 1:
        return build_map1(b, FN_neg, build_map1(b, FN_neg, x));
    case 2:
        return build_scale(b, build_scale(b, x, 3), 0.25);
    case 3: {
        Value *flat = build_flatten(b, x);
        return build_reshape(b, flat, x->type);
    }
    case 4: {
        Value *s = build_map1(b, FN_cos, build_const(b, scalar, 0.3)), *t = build_div(b, s, build_batch_size(b));
        return build_mul(b, build_mul(b, x, build_map1(b, FN_sin, s)), build_shift(b, t, 0.5));
    }
    case 5:
        return build_sub(b, x, build_map1(b, FN_neg, build_shift(b, x, -2)));
    case 6:
        return build_copy(b, build_map2(b, FN_pow, bounded(m, x), build_number(b, 2)));
    default:
        return build_mul(b, x,
                         build_map3(b, FN_select, build_const(b, type_scalar(m->module, DTYPE_BOOL), 1),
                                    build_number(b, 0.5), build_number(b, 7)));
    }
}

static Value *vector_layer(Model *m, Value *x) {
    int last = x->type->rank - 1;
    switch (pick(m, 12)) {
    case 0:
        return normalise(m, x, &last, 1);
    case 1:
        return normalise(m, x, (int[]){0, 1}, last > 1 ? 2 : 1);
    case 2:
        return softmax(m, x);
    case 3:
        return dropout(m, x);
    case 4:
        return split_and_join(m, x);
    case 5:
        return pad_and_stride(m, x);
    case 6:
        return embedding(m, x);
    case 7:
        return clumsy(m, x);
    case 8:
        return build_add(&m->b, x, activation(m, dense(m, x, last_extent(x))));
    case 9:
        return activation(m, x);
    case 10:
        return reversed(m, x);
    default:
        return activation(m, dense(m, x, pick_width(m, 2, 5)));
    }
}

static WindowAttr random_window(Model *m, const Value *x, bool conv) {
    WindowAttr window = {.spatial = x->type->rank - 2, .kind = pick(m, 2) ? REDUCE_SUM : REDUCE_MAX};
    for (int i = 0; i < window.spatial; i++) {
        int64_t extent = x->type->dims[i + 1].n;
        window.size[i] = 1 + pick(m, extent < 3 ? (int)extent : 3);
        window.stride[i] = 1 + pick(m, 2);
        window.dilation[i] = conv && window.size[i] * 2 - 1 <= extent ? 1 + pick(m, 2) : 1;
        window.low[i] = pick(m, (int)window.size[i]);
        window.high[i] = pick(m, (int)window.size[i]);
    }
    return window;
}

/* 3 x 3 taps, stride 1, an even number of results on each side. */
static void make_plain(WindowAttr *window, const Value *x) {
    for (int i = 0; i < window->spatial; i++) {
        window->size[i] = 3;
        window->stride[i] = window->dilation[i] = 1;
        window->low[i] %= 2;
        window->high[i] = (x->type->dims[i + 1].n + window->low[i]) % 2;
    }
}

static Value *image_layer(Model *m, Value *x) {
    int choice = pick(m, 5);
    if (choice == 0)
        return activation(m, x);
    if (choice == 1)
        return normalise(m, x, (int[]){0, 1, 2, 3}, x->type->rank - 1);
    WindowAttr window = random_window(m, x, choice > 2);
    if (choice == 2)
        return build_scale(&m->b, build_pool(&m->b, x, &window), 0.5);
    int64_t extents[MAX_RANK], features = pick_width(m, 1, 4);
    if (choice == 4 && window.spatial == 2 && x->type->dims[1].n > 2 && x->type->dims[2].n > 2)
        make_plain(&window, x);
    for (int i = 0; i < window.spatial; i++)
        extents[i] = window.size[i];
    extents[window.spatial] = last_extent(x);
    extents[window.spatial + 1] = features;
    Value *y = build_conv(&m->b, x, parameter(m, "kernel", window.spatial + 2, extents), &window);
    return activation(m, build_scale(&m->b, build_add(&m->b, y, parameter(m, "bias", 1, &features)), 0.4));
}

/* Attention of a sequence with itself: batched products and a softmax. */
static Value *attention(Model *m, Value *x) {
    Builder *b = &m->b;
    Value *scores = build_einsum(b, "bik,bjk->bij", dense(m, x, last_extent(x)), x);
    return build_einsum(b, "bij,bjk->bik", softmax(m, scores), x);
}

static Value *gate(Model *m, Value *z, int64_t units, int which) {
    int64_t extents[] = {1, units};
    return build_slice(&m->b, z, (int64_t[]){0, which * units}, (int64_t[]){1, 1},
                       model_type(m, DTYPE_F32, 2, extents, true));
}

/* A recurrence over the second axis with two states, one of them read by a product; the projection of the input inside
 * of the step or before it, the sequence forward or backward, from either end, the last state or none added to the
 * outputs. */
static Value *recurrence(Model *m, Value *x) {
    Builder *b = &m->b;
    int64_t units = 2 + pick(m, 4), features = last_extent(x);
    bool inside = pick(m, 2), softly = pick(m, 2), both = pick(m, 2), reverse = pick(m, 2);
    Value *kernel = parameter(m, "recurrent", 2, (int64_t[]){units, 2 * units});
    Value *offset = parameter(m, "offset", 1, &units);
    Value *input = parameter(m, "input", 2, (int64_t[]){features, 2 * units});
    Value *sequence = inside ? x : build_einsum(b, "btk,kn->btn", x, input);
    if (pick(m, 3) == 0)
        sequence = build_reverse(b, sequence, (int[]){1}, 1);
    int64_t extents[] = {1, units};
    const Type *state = model_type(m, DTYPE_F32, 2, extents, true);
    Value *start = build_broadcast(b, offset, state, (int[]){1});
    Value *states[] = {pick(m, 2) ? build_const(b, state, 0) : start, build_const(b, state, 0.5)};
    Value *whole[] = {kernel, offset, input};
    ScanInputs in = {(int)x->type->dims[1].n, reverse, states, &sequence, whole, 2, 1, inside ? 3 : 2};
    Op *scan = build_scan_begin(b, &in);
    Value **args = scan->region->args;
    Value *step = inside ? build_einsum(b, "bk,kn->bn", args[2], args[5]) : args[2];
    Value *z = build_add(b, build_scale(b, build_einsum(b, "bk,kn->bn", args[0], args[3]), 0.4), step);
    Value *open = build_map1(b, FN_sigmoid, gate(m, z, units, 0));
    Value *candidate = build_add(b, gate(m, z, units, 1), args[4]);
    candidate = softly ? softmax(m, candidate) : bounded(m, candidate);
    Value *second = build_add(b, build_mul(b, open, candidate), build_scale(b, args[1], 0.5));
    Value *next = build_mul(b, open, build_map1(b, FN_tanh, build_add(b, second, args[0])));
    build_scan_end(b, scan, (Value *[]){next, second}, (Value *[]){next, build_mul(b, second, args[1])}, 2);
    Value *other = pick(m, 2) ? build_reverse(b, scan->results[3], (int[]){1}, 1) : scan->results[3];
    Value *y = build_add(b, scan->results[2], other);
    return both ? build_add(b, y, build_broadcast(b, scan->results[1], y->type, (int[]){0, 2})) : y;
}

static Value *network(Model *m, Value *x) {
    if (x->type->rank == 3 && pick(m, 2)) {
        x = attention(m, x);
        m->layer++;
    }
    if (x->type->rank == 3 && pick(m, 2)) {
        x = recurrence(m, x);
        m->layer++;
    }
    for (int count = x->type->rank > 2 ? 1 + pick(m, 3) : 0; count > 0; count--, m->layer++)
        x = x->type->rank == 3 && pick(m, 2) ? vector_layer(m, x) : image_layer(m, x);
    if (x->type->rank > 2) {
        int axes[3] = {1, 2, 3};
        x = pick(m, 2) ? build_flatten(&m->b, x) : build_mean(&m->b, x, axes, x->type->rank - 2);
    }
    for (int count = 1 + pick(m, 4); count > 0; count--, m->layer++)
        x = vector_layer(m, x);
    return dense(m, x, RANDOM_MODEL_CLASSES);
}

/* ---- the functions ---- */

static Value *loss_of(Model *m, Value *output, Value *y) {
    Builder *b = &m->b;
    Value *loss;
    int last = 1;
    if (y->type->dtype == DTYPE_I32) {
        const Type *indices = type_with_dtype(m->module, output->type, DTYPE_I32);
        Value *target = build_broadcast(b, y, indices, (int[]){0});
        Value *one_hot = build_cast(b, build_map2(b, FN_eq, target, build_iota(b, indices, 1)), DTYPE_F32);
        Value *logarithm = build_map1(b, FN_log, build_shift(b, softmax(m, output), 1e-7));
        loss = build_map1(b, FN_neg, build_sum(b, build_mul(b, one_hot, logarithm), &last, 1));
    } else {
        Value *error = build_sub(b, output, y);
        loss = build_mean(b, build_mul(b, error, error), &last, 1);
    }
    return build_add(b, build_mean_all(b, loss), build_scale(b, m->penalty, 0.01));
}

static Variable *slot(Model *m, const Variable *of, const char *suffix) {
    char name[128];
    snprintf(name, sizeof name, "optimizer/%s_%s", of->name, suffix);
    return module_variable(m->module, name, of->type, VARIABLE_OPTIMIZER, (Init){INIT_CONSTANT, 0, 0, -1}, (Span){0});
}

static Value *update_step(Model *m, Variable *variable, Value *g, int kind, Value *iteration) {
    Builder *b = &m->b;
    if (kind == 0)
        return build_scale(b, g, 0.1);
    Variable *first = slot(m, variable, "momentum");
    Value *momentum = build_add(b, build_scale(b, build_variable(b, first), 0.9), build_scale(b, g, 0.1));
    build_assign(b, first, momentum);
    if (kind == 1)
        return build_scale(b, momentum, 0.05);
    Variable *second = slot(m, variable, "velocity");
    Value *velocity =
        build_add(b, build_scale(b, build_variable(b, second), 0.99), build_scale(b, build_mul(b, g, g), 0.01));
    build_assign(b, second, velocity);
    Value *power = build_map2(b, FN_pow, build_number(b, 0.9), build_cast(b, iteration, DTYPE_F32));
    Value *rate = build_div(b, build_number(b, 0.01), build_sub(b, build_number(b, 1), power));
    return build_div(b, build_mul(b, momentum, rate), build_shift(b, build_map1(b, FN_sqrt, velocity), 1e-3));
}

static int trainables(const Module *module, Variable **variables) {
    int count = 0;
    for (int i = 0; i < module->variable_count; i++)
        if (module->variables[i]->role == VARIABLE_TRAINABLE)
            variables[count++] = module->variables[i];
    return count;
}

enum { MAX_TRAINABLES = 128 };

static Value *loss_and_gradients(Model *m, Value *output, Value *y, Variable **variables, int *count,
                                 Value **gradients) {
    Value *loss = loss_of(m, output, y), *by[MAX_TRAINABLES];
    *count = trainables(m->module, variables);
    for (int i = 0; i < *count; i++)
        by[i] = build_variable(&m->b, variables[i]);
    build_grad(&m->b, loss, by, *count, gradients);
    return loss;
}

static void finish_train_step(Model *m, Value *output, Value *y) {
    Builder *b = &m->b;
    Variable *variables[MAX_TRAINABLES];
    Value *gradients[MAX_TRAINABLES], *iteration;
    int count, kind = pick(m, 3);
    Value *loss = loss_and_gradients(m, output, y, variables, &count, gradients);
    Variable *step = module_find_variable(m->module, "optimizer/iteration");
    iteration = build_add(b, build_variable(b, step), build_like(b, build_variable(b, step), 1));
    for (int i = 0; i < count; i++)
        build_assign(
            b, variables[i],
            build_sub(b, build_variable(b, variables[i]), update_step(m, variables[i], gradients[i], kind, iteration)));
    build_assign(b, step, iteration);
    func_add_result(m->b.func, build_mul(b, loss, build_batch_size(b)), "loss.total");
    func_add_result(m->b.func, build_batch_size(b), "loss.count");
}

static void finish_gradients(Model *m, Value *output, Value *y) {
    Variable *variables[MAX_TRAINABLES];
    Value *gradients[MAX_TRAINABLES];
    int count;
    func_add_result(m->b.func, loss_and_gradients(m, output, y, variables, &count, gradients), "loss");
    for (int i = 0; i < count; i++)
        func_add_result(m->b.func, gradients[i], variables[i]->name);
}

static void build_func(Model *m, const char *name, uint64_t seed, const Type *input, bool classes) {
    Func *func = module_func(m->module, name);
    bool training = name[0] != 'f';
    m->b = builder_at_end(func);
    m->random = (TestRandom){seed * 977 + 5};
    m->layer = m->stream = 0;
    m->penalty = m->seed = m->step = NULL;
    Value *x = func_add_arg(func, ARG_INPUT, input, "x"), *y = NULL;
    if (training) {
        int64_t extents[] = {1, RANDOM_MODEL_CLASSES};
        y = func_add_arg(func, ARG_TARGET,
                         model_type(m, classes ? DTYPE_I32 : DTYPE_F32, classes ? 1 : 2, extents, true), "y");
        m->seed = func_add_arg(func, ARG_SEED, type_scalar(m->module, DTYPE_I32), "seed");
        m->step = build_variable(&m->b, module_find_variable(m->module, "optimizer/iteration"));
    }
    Value *output = network(m, x);
    if (!training)
        func_add_result(func, output, "output");
    else if (name[0] == 't')
        finish_train_step(m, output, y);
    else
        finish_gradients(m, output, y);
}

/* Samples of 1 to 3 axes. */
static const Type *input_type(Model *m) {
    int64_t extents[4] = {1, 3 + pick(m, 4), 3 + pick(m, 4), 1 + pick(m, 3)};
    int rank = 2 + pick(m, 3);
    if (m->large && rank > 2) {
        extents[1] = rank == 3 ? 64 << pick(m, 2) : 6 + pick(m, 5);
        extents[2] = rank == 3 ? 1 + pick(m, 3) : 4 + pick(m, 5);
    }
    return model_type(m, DTYPE_F32, rank, extents, true);
}

static Module *model_of(Arena *arena, Diag *diag, uint64_t seed, bool large) {
    static const int batches[] = {7, 9, 11, 13};
    char name[32];
    snprintf(name, sizeof name, "random_%d", (int)seed);
    Model m = {.random = {seed}, .large = large};
    m.module = module_new(arena, diag, name, large ? batches[seed % 4] : 8);
    module_variable(m.module, "optimizer/iteration", type_scalar(m.module, DTYPE_I32), VARIABLE_OPTIMIZER,
                    (Init){INIT_CONSTANT, 0, 0, -1}, (Span){0});
    const Type *input = input_type(&m);
    bool classes = pick(&m, 2);
    build_func(&m, "forward", seed, input, classes);
    build_func(&m, "gradients", seed, input, classes);
    build_func(&m, "train_step", seed, input, classes);
    m.module->random_streams = m.stream;
    return m.module;
}

Module *random_model(Arena *arena, Diag *diag, uint64_t seed) {
    return model_of(arena, diag, seed, false);
}

Module *random_large_model(Arena *arena, Diag *diag, uint64_t seed) {
    return model_of(arena, diag, seed, true);
}
