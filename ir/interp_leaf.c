/* Evaluators of leaves, elementwise ops, state and regions. */
#include <string.h>
#include "ir/interp_ops.h"

static bool copy_first(const Tensor *in, Tensor *out) {
    memcpy(out[0].data, in[0].data, sizeof(double) * (size_t)out[0].count);
    return true;
}

bool eval_CONST(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    (void)run, (void)in;
    for (int64_t i = 0; i < out[0].count; i++)
        out[0].data[i] = op->attr.constant;
    return true;
}

bool eval_IOTA(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    (void)in;
    Grid grid = grid_of(out[0].type, run->batch);
    int64_t index[MAX_RANK] = {0}, i = 0;
    do
        out[0].data[i++] = (double)index[op->attr.axis];
    while (grid_next(&grid, index));
    return true;
}

bool eval_VARIABLE(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    (void)in;
    const Tensor *variable = &run->interp->variables[op->attr.variable->id];
    if (!variable->data)
        return eval_error(run, op, "the variable needs more memory than the interpreter may use");
    return copy_first(variable, out);
}

bool eval_BATCH_SIZE(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    (void)op, (void)in;
    out[0].data[0] = (double)run->batch;
    return true;
}

/* Seed and step are i32: their bits are taken as they are, without a sign. */
bool eval_RANDOM(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    (void)run;
    uint32_t seed = (uint32_t)(int64_t)in[0].data[0], step = (uint32_t)(int64_t)in[1].data[0];
    for (int64_t i = 0; i < out[0].count; i++)
        out[0].data[i] = interp_random(op->attr.random.kind, seed, op->attr.random.stream, step, (uint64_t)i);
    return true;
}

bool eval_MAP(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    (void)run;
    for (int64_t i = 0; i < out[0].count; i++) {
        double argument[3] = {0};
        for (int j = 0; j < op->input_count; j++)
            argument[j] = in[j].data[i];
        out[0].data[i] = scalar_eval(op->attr.scalar, argument[0], argument[1], argument[2]);
    }
    return true;
}

bool eval_CAST(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    (void)run, (void)op;
    return copy_first(in, out); /* the caller holds the result as its dtype */
}

bool eval_STOP_GRADIENT(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    (void)run, (void)op;
    return copy_first(in, out);
}

bool eval_GRAD(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    (void)in, (void)out;
    return eval_error(run, op, "the pass autodiff has to expand it first");
}

bool eval_ASSIGN(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    (void)out;
    run->assigned[op->attr.variable->id] = in[0];
    return true;
}

/* One step of a sequence, cut out of it or put into it: [B, steps, ..] or [steps, ..]. */
static void copy_step(const Tensor *sequence, const Tensor *one, int step, int steps, bool out_of) {
    int64_t rows = scan_time_axis(one->type) ? dim_size(one->type->dims[0], one->count / type_count(one->type, 1)) : 1;
    int64_t size = rows ? one->count / rows : 0;
    for (int64_t row = 0; row < rows; row++) {
        double *inside = sequence->data + (row * steps + step) * size, *alone = one->data + row * size;
        memcpy(out_of ? alone : inside, out_of ? inside : alone, sizeof(double) * (size_t)size);
    }
}

bool eval_SCAN(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    const ScanAttr *scan = &op->attr.scan;
    const Region *region = op->region;
    Tensor *args = ARENA_ARRAY(run->scratch, Tensor, region->arg_count + 1);
    Tensor *yields = ARENA_ARRAY(run->scratch, Tensor, region->yield_count + 1);
    memcpy(args, in, sizeof *in * (size_t)region->arg_count);
    for (int s = 0; s < scan->steps; s++) {
        int step = scan->reverse ? scan->steps - 1 - s : s;
        for (int i = scan->carried; i < scan->carried + scan->sequences; i++) {
            args[i] = run_tensor(run, region->args[i]->type); /* a state may keep it for the next step */
            copy_step(&in[i], &args[i], step, scan->steps, true);
        }
        if (!eval_region(run, region, args, yields))
            return false;
        for (int i = scan->carried; i < region->yield_count; i++)
            copy_step(&out[i], &yields[i], step, scan->steps, false);
        memcpy(args, yields, sizeof *args * (size_t)scan->carried);
    }
    for (int i = 0; i < scan->carried; i++)
        out[i] = args[i];
    return true;
}

bool eval_FUSION(Run *run, const Op *op, const Tensor *in, Tensor *out) {
    return eval_region(run, op->region, in, out);
}
