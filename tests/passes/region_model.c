#include "tests/passes/region_model.h"
#include "tests/passes/interp_compare.h"
#include <stdio.h>

enum { REGION_TIPS = 5, REGION_OUTPUTS = 3 };

typedef struct {
    Builder b;
    Module *module;
    TestRandom random;
    Value *seed; /* NULL: not training */
    int layer, streams;
    Value *tips[REGION_TIPS]; /* values that lead to the output */
    int tip_count;
} RegionModel;

static int region_pick(RegionModel *m, int bound) {
    return test_random_below(&m->random, bound);
}

static int region_spatial(const Value *x) {
    return x->type->rank - 2;
}

static int64_t region_channels(const Value *x) {
    return x->type->dims[x->type->rank - 1].n;
}

static Value *region_parameter(RegionModel *m, int rank, const int64_t *extents) {
    char name[32];
    Dim dims[MAX_RANK];
    snprintf(name, sizeof name, "layer_%d/kernel", m->layer);
    for (int i = 0; i < rank; i++)
        dims[i] = dim_static(extents[i]);
    Variable *variable = module_find_variable(m->module, name);
    if (!variable)
        variable = module_variable(m->module, name, type_get(m->module, DTYPE_F32, rank, dims), VARIABLE_TRAINABLE,
                                   (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0});
    return build_variable(&m->b, variable);
}

/* Strides, dilations, zeros around and cells left out, as far as the extents allow. */
static WindowAttr region_window(RegionModel *m, const Value *x, bool conv) {
    WindowAttr window = {.spatial = region_spatial(x), .kind = region_pick(m, 2) ? REDUCE_SUM : REDUCE_MAX};
    for (int i = 0; i < window.spatial; i++) {
        int extent = (int)x->type->dims[i + 1].n, most = extent < 3 ? extent : 3;
        window.size[i] = 1 + region_pick(m, most);
        window.stride[i] = 1 + region_pick(m, 3);
        window.dilation[i] = conv && window.size[i] * 2 - 1 <= extent ? 1 + region_pick(m, 2) : 1;
        int64_t reach = (window.size[i] - 1) * window.dilation[i] + 1, slack = extent - reach;
        int choice = region_pick(m, 4);
        if (choice == 0) { /* padding; windows that hold no cell at all are not allowed */
            window.low[i] = region_pick(m, (int)window.size[i]);
            window.high[i] = region_pick(m, (int)window.size[i]);
        } else if (choice == 1) {
            window.low[i] = -region_pick(m, (int)slack + 1);
            window.high[i] = -region_pick(m, (int)(slack + window.low[i]) + 1);
        }
    }
    return window;
}

static Value *region_conv(RegionModel *m, Value *x) {
    WindowAttr window = region_window(m, x, true);
    int64_t extents[MAX_RANK];
    for (int i = 0; i < window.spatial; i++)
        extents[i] = window.size[i];
    extents[window.spatial] = region_channels(x);
    extents[window.spatial + 1] = 1 + region_pick(m, 3);
    return build_scale(&m->b, build_conv(&m->b, x, region_parameter(m, x->type->rank, extents), &window), 0.5);
}

static Value *region_pool(RegionModel *m, Value *x) {
    WindowAttr window = region_window(m, x, false);
    return build_pool(&m->b, x, &window);
}

static Value *region_slice(RegionModel *m, Value *x) {
    int64_t start[MAX_RANK] = {0}, stride[MAX_RANK] = {1};
    Dim dims[MAX_RANK] = {x->type->dims[0]};
    for (int i = 1; i < x->type->rank; i++) {
        int64_t extent = x->type->dims[i].n;
        start[i] = region_pick(m, extent > 2 ? 3 : 1);
        stride[i] = 1 + region_pick(m, 2);
        int64_t most = (extent - 1 - start[i]) / stride[i] + 1, fewer = most > 3 ? region_pick(m, 3) : 0;
        dims[i] = dim_static(most - fewer);
    }
    return build_slice(&m->b, x, start, stride, type_get(m->module, x->type->dtype, x->type->rank, dims));
}

static Value *region_pad(RegionModel *m, Value *x) {
    PadAttr pad = {{0}, {0}, {0}};
    for (int i = 1; i < x->type->rank; i++) {
        int64_t extent = x->type->dims[i].n;
        pad.interior[i] = region_pick(m, 4) == 0;
        int most = extent > 3 ? 3 : 1;
        pad.low[i] = region_pick(m, most + 2) - (most - 1);
        pad.high[i] = region_pick(m, most + 2) - (most - 1);
    }
    return build_pad(&m->b, x, &pad);
}

static Value *region_activation(RegionModel *m, Value *x) {
    Builder *b = &m->b;
    switch (region_pick(m, 3)) {
    case 0:
        return build_map1(b, FN_tanh, x);
    case 1:
        return build_mul(b, x, build_map1(b, FN_sigmoid, x));
    default:
        return build_max(b, x, build_like(b, x, 0));
    }
}

static Value *region_bias(RegionModel *m, Value *x) {
    int64_t units = region_channels(x);
    return build_add(&m->b, x, region_parameter(m, 1, &units));
}

/* A weight for every place, and the place itself. */
static Value *region_places(RegionModel *m, Value *x) {
    int64_t extents[MAX_RANK];
    for (int i = 1; i < x->type->rank; i++)
        extents[i - 1] = x->type->dims[i].n;
    Value *scaled = build_mul(&m->b, x, region_parameter(m, x->type->rank - 1, extents));
    int axis = 1 + region_pick(m, region_spatial(x));
    return build_add(&m->b, scaled, build_scale(&m->b, build_iota(&m->b, x->type, axis), 0.1));
}

static Value *region_mask(RegionModel *m, Value *x) {
    if (!m->seed)
        return x;
    Value *step = build_const(&m->b, type_scalar(m->module, DTYPE_I32), 3);
    Value *numbers = build_random(&m->b, RANDOM_UNIFORM, x->type, m->streams++, m->seed, step);
    Value *kept = build_map2(&m->b, FN_ge, numbers, build_like(&m->b, x, 0.3));
    return build_mul(&m->b, x, build_cast(&m->b, kept, DTYPE_F32));
}

/* Minus its mean over space: a reader of everything beside one of a part. */
static Value *region_centre(RegionModel *m, Value *x) {
    int axes[2] = {1, 2}, count = region_spatial(x);
    double cells = 1;
    for (int i = 1; i <= count; i++)
        cells *= (double)x->type->dims[i].n;
    return build_sub(&m->b, x, build_scale(&m->b, build_reduce_keep(&m->b, REDUCE_SUM, x, axes, count), 1 / cells));
}

/* Over one axis of two; the other one stays open to later crops. */
static Value *region_reduce(RegionModel *m, Value *x) {
    int axis = 1 + region_pick(m, 2);
    return build_reduce(&m->b, REDUCE_SUM, x, &axis, 1);
}

static Value *region_join(RegionModel *m, Value *x) {
    Value *other = build_map1(&m->b, FN_tanh, x);
    return build_concat(&m->b, (Value *[]){x, other}, 2, 1 + region_pick(m, x->type->rank - 1));
}

/* The overlap of a window of 1 and its input, as in a residual block without padding. */
static Value *region_residual(RegionModel *m, Value *x) {
    int64_t extents[MAX_RANK], start[MAX_RANK] = {0}, stride[MAX_RANK] = {1, 1, 1, 1, 1, 1};
    WindowAttr window = {.spatial = region_spatial(x)};
    for (int i = 0; i < window.spatial; i++) {
        extents[i] = window.size[i] = x->type->dims[i + 1].n > 2 ? 2 : 1;
        window.stride[i] = window.dilation[i] = 1;
    }
    extents[window.spatial] = extents[window.spatial + 1] = region_channels(x);
    Value *y = build_conv(&m->b, x, region_parameter(m, x->type->rank, extents), &window);
    return y ? build_add(&m->b, y, build_slice(&m->b, x, start, stride, y->type)) : NULL;
}

static Value *region_layer(RegionModel *m, Value *x) {
    static Value *(*const layers[])(RegionModel *, Value *) = {
        region_conv, region_conv,   region_conv,  region_conv,   region_pool,       region_pool,
        region_pool, region_slice,  region_slice, region_pad,    region_activation, region_activation,
        region_bias, region_places, region_mask,  region_centre, region_join,       region_residual};
    int choice = region_pick(m, (int)(sizeof layers / sizeof *layers) + 1);
    if (choice == (int)(sizeof layers / sizeof *layers))
        return x->type->rank == 4 ? region_reduce(m, x) : region_activation(m, x);
    return layers[choice](m, x);
}

static bool region_is_small(const Value *x) {
    for (int i = 1; i < x->type->rank; i++)
        if (x->type->dims[i].n > 16)
            return false;
    return true;
}

static Value *region_network(RegionModel *m, Value *x) {
    m->tips[0] = x;
    m->tip_count = 1;
    for (int count = 5 + region_pick(m, 6); count > 0; count--, m->layer++) {
        int at = region_pick(m, m->tip_count);
        Value *next = region_layer(m, m->tips[at]);
        if (!next || !region_is_small(next))
            continue;
        bool branches = m->tip_count < REGION_TIPS && region_pick(m, 4) == 0;
        m->tips[branches ? m->tip_count++ : at] = next;
    }
    Value *output = NULL;
    for (int i = 0; i < m->tip_count; i++, m->layer++) {
        Value *flat = build_flatten(&m->b, build_map1(&m->b, FN_tanh, m->tips[i]));
        Value *kernel = region_parameter(m, 2, (int64_t[]){region_channels(flat), REGION_OUTPUTS});
        Value *part = build_einsum(&m->b, "bk,kn->bn", flat, kernel);
        output = output ? build_add(&m->b, output, part) : part;
    }
    return output;
}

static void region_gradients(RegionModel *m, Value *x, Value *output) {
    Builder *b = &m->b;
    Value **by = ARENA_ARRAY(m->module->arena, Value *, m->module->variable_count + 1);
    Value **gradients = ARENA_ARRAY(m->module->arena, Value *, m->module->variable_count + 1);
    int count = 0;
    Value *loss = build_mean_all(b, build_mul(b, output, output));
    by[count++] = x;
    for (int i = 0; i < m->module->variable_count; i++)
        by[count++] = build_variable(b, m->module->variables[i]);
    build_grad(b, loss, by, count, gradients);
    func_add_result(b->func, loss, "loss");
    for (int i = 0; i < count; i++)
        func_add_result(b->func, gradients[i], i ? m->module->variables[i - 1]->name : "x");
}

static void region_func(RegionModel *m, const char *name, uint64_t seed, const Type *input) {
    Func *func = module_func(m->module, name);
    bool training = name[0] == 'g';
    m->b = builder_at_end(func);
    m->random = (TestRandom){seed * 31337 + 1};
    m->layer = m->streams = 0;
    Value *x = func_add_arg(func, ARG_INPUT, input, "x");
    m->seed = training ? func_add_arg(func, ARG_SEED, type_scalar(m->module, DTYPE_I32), "seed") : NULL;
    Value *output = region_network(m, x);
    if (!output)
        return;
    if (training)
        region_gradients(m, x, output);
    else
        func_add_result(func, output, "output");
}

Module *region_model(Arena *arena, Diag *diag, uint64_t seed) {
    char name[32];
    snprintf(name, sizeof name, "region_%d", (int)seed);
    RegionModel m = {.module = module_new(arena, diag, name, 4), .random = {seed}};
    Dim dims[4] = {dim_batch(1)};
    int rank = 3 + region_pick(&m, 2);
    for (int i = 1; i < rank; i++)
        dims[i] = dim_static(i + 1 < rank ? 8 + region_pick(&m, 8) : 1 + region_pick(&m, 2));
    const Type *input = type_get(m.module, DTYPE_F32, rank, dims);
    region_func(&m, "forward", seed, input);
    region_func(&m, "gradients", seed, input);
    m.module->random_streams = m.streams;
    return m.module;
}
