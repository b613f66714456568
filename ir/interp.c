/* The interpreter: runs the ops of a function one after the other. Needs verified IR without `grad`; leaves results in
 * the interpreter's arena and assigned variables in place. The evaluators of the classes are in interp_*.c. */
#include <math.h>
#include <string.h>
#include "ir/interp_ops.h"

enum { GIGABYTE = 1 << 30, MEMORY_GIGABYTES = 4 };

static const Evaluator evaluators[OP_COUNT] = {
#define OP(code, ...) [OP_##code] = eval_##code,
#include "ir/ops.def"
#undef OP
};

Grid grid_of(const Type *type, int64_t batch) {
    Grid grid = {.rank = type->rank};
    int64_t stride = 1;
    for (int i = type->rank - 1; i >= 0; i--) {
        grid.extent[i] = dim_size(type->dims[i], batch);
        grid.stride[i] = stride;
        stride *= grid.extent[i];
    }
    return grid;
}

bool grid_next(const Grid *grid, int64_t *index) {
    for (int i = grid->rank - 1; i >= 0; i--) {
        if (++index[i] < grid->extent[i])
            return true;
        index[i] = 0;
    }
    return false;
}

int64_t grid_offset(const Grid *grid, const int64_t *index) {
    int64_t offset = 0;
    for (int i = 0; i < grid->rank; i++)
        offset += index[i] * grid->stride[i];
    return offset;
}

bool eval_error(Run *run, const Op *op, const char *message) {
    diag_error(run->interp->module->diag, op->span, "interpreter: %s: %s", op_infos[op->code].name, message);
    return false;
}

/* Allocates a tensor unless memory runs out of bounds: then data is NULL. */
static Tensor tensor_new(Arena *arena, const Type *type, int64_t batch) {
    Tensor tensor = {.type = type, .count = type_count(type, batch)};
    double bytes = (double)tensor.count * sizeof(double) + (double)arena_used(arena);
    if (tensor.count >= 0 && bytes <= (double)MEMORY_GIGABYTES * GIGABYTE)
        tensor.data = ARENA_ARRAY(arena, double, tensor.count ? tensor.count : 1);
    return tensor;
}

Interp *interp_new(Arena *arena, const Module *module, int64_t batch) {
    Interp *interp = ARENA_NEW(arena, Interp);
    *interp = (Interp){.arena = arena, .module = module, .batch = batch};
    interp->variables = ARENA_ARRAY(arena, Tensor, module->variable_count + 1);
    for (int i = 0; i < module->variable_count; i++)
        interp->variables[i] = tensor_new(arena, module->variables[i]->type, batch);
    return interp;
}

Tensor interp_tensor(Interp *interp, const Type *type) {
    return tensor_new(interp->arena, type, interp->batch);
}

Tensor run_tensor(Run *run, const Type *type) {
    return tensor_new(run->scratch, type, run->batch);
}

/* What a number becomes when it is held as the dtype: integers truncate and wrap around in 32 bits, NaN is 0. */
static double hold_as(Dtype dtype, double x, bool round_to_float) {
    if (dtype == DTYPE_BOOL)
        return x != 0;
    if (dtype == DTYPE_F32)
        return round_to_float ? (double)(float)x : x;
    if (isnan(x))
        return 0;
    x = trunc(x);
    if (x >= -2147483648.0 && x <= 2147483647.0)
        return x;
    x -= floor(x / 4294967296.0) * 4294967296.0;
    return x >= 2147483648.0 ? x - 4294967296.0 : x;
}

static void hold_tensor(Tensor *tensor, bool round_to_float) {
    if (tensor->type->dtype == DTYPE_F32 && !round_to_float)
        return;
    for (int64_t i = 0; i < tensor->count; i++)
        tensor->data[i] = hold_as(tensor->type->dtype, tensor->data[i], round_to_float);
}

static bool eval_op(Run *run, const Op *op) {
    Tensor *in = ARENA_ARRAY(run->scratch, Tensor, op->input_count + op->result_count + 1);
    Tensor *out = in + op->input_count;
    for (int i = 0; i < op->input_count; i++) {
        in[i] = run->values[op->inputs[i]->id];
        if (!in[i].data)
            return eval_error(run, op, "an input is used before it is computed");
    }
    for (int i = 0; i < op->result_count; i++) {
        out[i] = tensor_new(run->scratch, op->results[i]->type, run->batch);
        if (!out[i].data)
            return eval_error(run, op, "needs more memory than the interpreter may use");
    }
    if (!evaluators[op->code](run, op, in, out))
        return false;
    for (int i = 0; i < op->result_count; i++) {
        hold_tensor(&out[i], run->interp->round_to_float);
        run->values[op->results[i]->id] = out[i];
    }
    return true;
}

bool eval_region(Run *run, const Region *region, const Tensor *in, Tensor *out) {
    for (int i = 0; i < region->arg_count; i++)
        run->values[region->args[i]->id] = in[i];
    for (const Op *op = region->first; op; op = op->next)
        if (!eval_op(run, op))
            return false;
    for (int i = 0; i < region->yield_count; i++)
        out[i] = run->values[region->yields[i]->id];
    return true;
}

static bool check_args(Interp *interp, const Func *func, const Tensor *args) {
    for (int i = 0; i < func->body.arg_count; i++) {
        const Type *type = func->body.args[i]->type;
        if (args[i].data && args[i].count == type_count(type, interp->batch))
            continue;
        diag_internal(interp->module->diag, (Span){0}, "interpreter: argument %d of @%s has %lld elements, not %lld", i,
                      func->name, (long long)args[i].count, (long long)type_count(type, interp->batch));
        return false;
    }
    return true;
}

static void write_back(Run *run) {
    Interp *interp = run->interp;
    for (int i = 0; i < interp->module->variable_count; i++)
        if (run->assigned[i].data)
            memcpy(interp->variables[i].data, run->assigned[i].data, sizeof(double) * (size_t)run->assigned[i].count);
}

bool interp_run(Interp *interp, const Func *func, const Tensor *args, Tensor *results) {
    if (!check_args(interp, func, args))
        return false;
    Arena *scratch = arena_new();
    Run run = {.interp = interp, .scratch = scratch, .batch = interp->batch};
    run.values = ARENA_ARRAY(scratch, Tensor, func->value_count + 1);
    run.assigned = ARENA_ARRAY(scratch, Tensor, interp->module->variable_count + 1);
    Tensor *yields = ARENA_ARRAY(scratch, Tensor, func->body.yield_count + 1);
    bool ok = eval_region(&run, &func->body, args, yields);
    for (int i = 0; ok && i < func->body.yield_count; i++) {
        results[i] = yields[i];
        results[i].data = arena_copy(interp->arena, yields[i].data, sizeof(double) * (size_t)yields[i].count);
    }
    if (ok)
        write_back(&run);
    arena_free(scratch);
    return ok;
}
