/* A module that holds every op of ops.def and every scalar function, built with the builder. It computes
 * nothing sensible; tests of the text form and of the verifier use it. */
#ifndef NNC_TESTS_IR_EVERY_OP_H
#define NNC_TESTS_IR_EVERY_OP_H
#include <math.h>
#include "ir/build.h"

typedef struct {
    Builder build;
    Module *module;
    Variable *kernel, *count;
    Value *x, *images, *ids, *seed;
} EveryOp;

static inline const Type *every_type(EveryOp *e, Dtype dtype, int rank, int64_t a, int64_t b, int64_t c, int64_t d) {
    Dim dims[4] = {a == 0 ? dim_batch(1) : dim_static(a), dim_static(b), dim_static(c), dim_static(d)};
    return type_get(e->module, dtype, rank, dims);
}

static inline void every_leaf(EveryOp *e) {
    Builder *b = &e->build;
    build_iota(b, every_type(e, DTYPE_I32, 2, 3, 4, 0, 0), 1);
    build_const(b, every_type(e, DTYPE_BOOL, 1, 3, 0, 0, 0), 1);
    build_number(b, INFINITY);
    build_number(b, -INFINITY);
    build_number(b, NAN);
    build_number(b, 1.0 / 3);
    build_batch_size(b);
    Value *step = build_variable(b, e->count);
    Value *noise = build_random(b, RANDOM_UNIFORM, e->x->type, 65536, e->seed, step);
    noise->name = intern(e->module->names, "noise");
    build_random(b, RANDOM_NORMAL, every_type(e, DTYPE_F32, 2, 2, 3, 0, 0), 65537, e->seed, step)->name = noise->name;
}

static inline void every_map(EveryOp *e) {
    Builder *b = &e->build;
    Value *truth = build_map2(b, FN_gt, e->x, build_number(b, 0));
    for (int fn = 0; fn < FN_COUNT; fn++) {
        bool logic = fn == FN_and || fn == FN_or || fn == FN_not;
        Value *inputs[3] = {logic || fn == FN_select ? truth : e->x, logic ? truth : e->x, e->x};
        build_map(b, (ScalarFn)fn, inputs, scalar_infos[fn].arity);
    }
    build_cast(b, e->ids, DTYPE_F32);
    build_stop_gradient(b, e->x);
}

static inline void every_shape(EveryOp *e) {
    Builder *b = &e->build;
    Value *flat = build_flatten(b, e->images);
    flat->name = intern(e->module->names, "flat \"quoted\"\n");
    build_transpose(b, e->images, (int[]){0, 3, 1, 2});
    build_broadcast(b, build_variable(b, e->kernel), every_type(e, DTYPE_F32, 3, 2, 4, 3, 0), (int[]){1, 2});
    build_slice(b, e->images, (int64_t[]){0, 1, 0, 0}, (int64_t[]){1, 2, 1, 1},
                every_type(e, DTYPE_F32, 4, 0, 2, 5, 2));
    build_pad(b, e->images, &(PadAttr){.low = {0, 1, -1}, .high = {0, 0, 2}, .interior = {0, 1, 0}});
    build_concat(b, (Value *[]){e->x, flat, e->x}, 3, -1);
    build_concat(b, (Value *[]){e->x, e->x}, 2, 0); /* 2*B rows */
    build_reverse(b, e->images, (int[]){-1, 1}, 2);
    build_copy(b, e->x);
}

static inline void every_contraction(EveryOp *e) {
    Builder *b = &e->build;
    WindowAttr window = {2, {3, 3}, {2, 1}, {1, 1}, {1, 1}, {1, 1}, REDUCE_MAX};
    build_einsum(b, "xy,yz->xz", e->x, build_variable(b, e->kernel));
    Value *pooled = build_pool(b, e->images, &window);
    Value *cells = build_op(b, OP_POOL_ARGMAX, &(OpAttr){.window = window}, &e->images, 1, NULL);
    build_op(b, OP_UNPOOL, &(OpAttr){.window = window}, (Value *[]){cells, pooled}, 2, e->images->type);
    window.kind = REDUCE_SUM;
    build_op(b, OP_POOL_GRAD, &(OpAttr){.window = window}, (Value *[]){e->images, pooled}, 2, NULL);
    build_pool(b, e->images, &window);
    Value *filter = build_const(b, every_type(e, DTYPE_F32, 4, 3, 3, 2, 7), 0.5);
    Value *y = build_conv(b, e->images, filter, &window);
    OpAttr attr = {.window = window};
    build_op(b, OP_CONV_GRAD_INPUT, &attr, (Value *[]){y, filter}, 2, e->images->type);
    build_op(b, OP_CONV_GRAD_KERNEL, &attr, (Value *[]){e->images, y}, 2, filter->type);
}

static inline Value *every_reduction(EveryOp *e) {
    Builder *b = &e->build;
    build_reduce(b, REDUCE_MAX, e->images, (int[]){-1, 1}, 2);
    build_reduce_keep(b, REDUCE_MIN, e->x, (int[]){1}, 1);
    build_argmax(b, e->x, -1);
    Value *rows = build_gather(b, build_variable(b, e->kernel), e->ids);
    build_op(b, OP_SCATTER_ADD, NULL, (Value *[]){e->ids, rows}, 2, e->kernel->type);
    return build_mean_all(b, e->x);
}

static inline void every_fusion(EveryOp *e) {
    Func *func = e->build.func;
    Value *inputs[1] = {e->x};
    Op *op = op_new(func, OP_FUSION, inputs, 1, &e->x->type, 1, (Span){0});
    op->attr.fusion.kind = 1;
    op->layer = intern(e->module->names, "dense");
    Region *region = region_new(func, op);
    Value *arg = region_add_arg(func, region, e->x->type, "x");
    Op *map = op_new(func, OP_MAP, &arg, 1, &e->x->type, 1, (Span){0});
    map->attr.scalar = FN_tanh;
    op_append(region, map);
    region_add_yield(func, region, map->results[0]);
    op_append(&func->body, op);
}

static inline void every_scan(EveryOp *e) {
    Builder *b = &e->build;
    Value *state = build_sum(b, e->images, (int[]){1, 2}, 2), *sequence = build_sum(b, e->images, (int[]){2}, 1);
    ScanInputs in = {4, true, &state, &sequence, &sequence, 1, 1, 1};
    Op *scan = build_scan_begin(b, &in);
    Value **args = scan->region->args;
    Value *next = build_add(b, build_add(b, args[0], args[1]), build_sum(b, args[2], (int[]){1}, 1));
    build_scan_end(b, scan, &next, &args[0], 1);
}

static inline Module *every_op_module(Arena *arena, Diag *diag) {
    EveryOp e = {.module = module_new(arena, diag, "every op", 32)};
    e.module->random_streams = 2;
    e.kernel = module_variable(e.module, "dense/kernel", every_type(&e, DTYPE_F32, 2, 4, 3, 0, 0), VARIABLE_TRAINABLE,
                               (Init){INIT_UNIFORM, -0.28, 0.28, 17}, (Span){0});
    e.count = module_variable(e.module, "adam/iteration", type_scalar(e.module, DTYPE_I32), VARIABLE_OPTIMIZER,
                              (Init){INIT_CONSTANT, 0, 0, -1}, (Span){0});
    Variable *mean = module_variable(e.module, "the \"mean\" of 100 %", every_type(&e, DTYPE_F32, 1, 4, 0, 0, 0),
                                     VARIABLE_PREPROCESS, (Init){INIT_TRUNCATED_NORMAL, 0, 1e-07, -1}, (Span){0});
    mean->fit = FIT_MEAN;
    Func *func = module_func(e.module, "train_step");
    e.x = func_add_arg(func, ARG_INPUT, every_type(&e, DTYPE_F32, 2, 0, 4, 0, 0), "x");
    e.images = func_add_arg(func, ARG_PLAIN, every_type(&e, DTYPE_F32, 4, 0, 4, 5, 2), "2 images");
    e.ids = func_add_arg(func, ARG_TARGET, every_type(&e, DTYPE_I32, 1, 0, 0, 0, 0), "ids");
    e.seed = func_add_arg(func, ARG_SEED, type_scalar(e.module, DTYPE_I32), "seed");
    e.build = builder_at_end(func);
    e.build.layer = intern(e.module->names, "layer_1");
    every_leaf(&e);
    every_map(&e);
    every_shape(&e);
    every_contraction(&e);
    Value *loss = every_reduction(&e), *gradients[2];
    build_grad(&e.build, loss, (Value *[]){e.x, build_variable(&e.build, e.kernel)}, 2, gradients);
    e.build.layer = NULL;
    build_assign(&e.build, e.kernel, gradients[1]);
    every_fusion(&e);
    every_scan(&e);
    func_add_result(func, loss, "loss.total");
    func_add_result(func, gradients[0], "gradient");
    module_func(e.module, "empty");
    return e.module;
}
#endif
