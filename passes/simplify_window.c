/* Rules for max pooling and its gradient. The largest of what an increasing function gives (a bias added, a relu) is
 * what it gives for the largest: it is computed per window, behind the pooling. `unpool` puts one number per window
 * into its cell and zeros into the others: what follows and keeps zeros (the gradient of a relu) is computed per
 * window, of the value in that cell, which is the maximum. What was pooled then need not be kept. */
#include "passes/simplify.h"

enum { DEEPEST = 6 }; /* functions behind each other that are looked through */

static bool moves_along_space(const Op *broadcast, int last) {
    for (int i = 0; i < broadcast->attr.axes.count; i++)
        if (broadcast->attr.axes.axes[i] != 0 && broadcast->attr.axes.axes[i] != last)
            return true;
    return false;
}

/* Can at_window compute it? */
static bool is_known(const Value *value, const Op *unpool, int depth) {
    const Op *cells = defined_by(unpool->inputs[0], OP_POOL_ARGMAX), *op = value->def;
    double number;
    if (value == unpool->results[0] || (cells && value == cells->inputs[0]) || is_const(value, &number))
        return true;
    if (defined_by(value, OP_BROADCAST))
        return !moves_along_space(op, unpool->inputs[1]->type->rank - 1);
    if (!defined_by(value, OP_MAP) || depth == DEEPEST)
        return false;
    for (int i = 0; i < op->input_count; i++)
        if (!is_known(op->inputs[i], unpool, depth + 1))
            return false;
    return true;
}

/* A value of the space that was pooled, in the cell that each window has its maximum from. */
static Value *at_window(Simplify *simplify, const Value *value, const Op *unpool) {
    Builder *build = &simplify->build;
    const Op *cells = defined_by(unpool->inputs[0], OP_POOL_ARGMAX), *op = value->def;
    const Type *windows = unpool->inputs[1]->type;
    const Type *type = type_of_dims(simplify, value->type->dtype, windows->rank, windows->dims);
    Value *inputs[3] = {NULL};
    double number;
    if (value == unpool->results[0])
        return unpool->inputs[1];
    if (cells && value == cells->inputs[0])
        return build_pool(build, cells->inputs[0], &unpool->attr.window);
    if (is_const(value, &number))
        return build_const(build, type, number);
    if (op->code == OP_BROADCAST)
        return build_broadcast(build, op->inputs[0], type, op->attr.axes.axes);
    for (int i = 0; i < op->input_count; i++)
        inputs[i] = at_window(simplify, op->inputs[i], unpool);
    return build_map(build, op->attr.scalar, inputs, op->input_count);
}

/* Does the function never fall where input i rises? */
static bool increases(const Op *op, int input) {
    double factor;
    switch (op->attr.scalar) {
    case FN_add:
    case FN_max:
    case FN_min:
    case FN_relu:
    case FN_exp:
    case FN_expm1:
    case FN_tanh:
    case FN_sigmoid:
    case FN_erf:
    case FN_softplus:
        return true;
    case FN_sub:
        return input == 0;
    case FN_mul:
        return is_const(op->inputs[1 - input], &factor) && factor > 0;
    default:
        return false;
    }
}

/* An operand that the cells of a window share. */
static bool is_same_in_window(const Value *value, int last) {
    double number;
    return is_const(value, &number) || (defined_by(value, OP_BROADCAST) && !moves_along_space(value->def, last));
}

/* Has every window a cell, and are there fewer windows than cells? */
static bool windows_are_fewer(const WindowAttr *w) {
    int64_t cells = 1;
    for (int s = 0; s < w->spatial; s++) {
        cells *= w->stride[s];
        if (w->low[s] >= w->size[s] || w->high[s] >= w->size[s])
            return false;
    }
    return cells > 1;
}

static Value *pool_before_increasing(Simplify *simplify, const Op *pool) {
    Builder *build = &simplify->build;
    const Op *op = defined_by(pool->inputs[0], OP_MAP);
    const Type *windows = pool->results[0]->type;
    Value *inputs[3] = {NULL};
    if (pool->attr.window.kind != REDUCE_MAX || !op || !used_once(simplify, pool->inputs[0]) ||
        !windows_are_fewer(&pool->attr.window))
        return NULL;
    int moving = -1;
    for (int i = 0; i < op->input_count; i++)
        if (!is_same_in_window(op->inputs[i], windows->rank - 1)) {
            if (moving >= 0 || !increases(op, i))
                return NULL;
            moving = i;
        }
    if (moving < 0)
        return NULL;
    for (int i = 0; i < op->input_count; i++) {
        const Value *input = op->inputs[i];
        double number;
        inputs[i] = i == moving ? build_pool(build, op->inputs[i], &pool->attr.window)
                    : is_const(input, &number)
                        ? build_const(build, windows, number)
                        : build_broadcast(build, input->def->inputs[0], windows, input->def->attr.axes.axes);
    }
    return build_map(build, op->attr.scalar, inputs, op->input_count);
}

/* Input i of the function: zero gives zero, whatever finite numbers the others are. */
static bool keeps_zero(const Op *op, int input) {
    switch (op->attr.scalar) {
    case FN_neg:
    case FN_mul:
        return true;
    case FN_div:
        return input == 0;
    case FN_select:
        return input > 0 && is_number(op->inputs[3 - input], 0);
    default:
        return false;
    }
}

static Value *compute_before_unpool(Simplify *simplify, const Op *op) {
    for (int i = 0; i < op->input_count; i++) {
        const Op *unpool = defined_by(op->inputs[i], OP_UNPOOL);
        if (!unpool || !keeps_zero(op, i) || !used_once(simplify, op->inputs[i]) ||
            !is_known(op->results[0], unpool, 0))
            continue;
        Value *inputs[] = {unpool->inputs[0], at_window(simplify, op->results[0], unpool)};
        return build_op(&simplify->build, OP_UNPOOL, &unpool->attr, inputs, 2, op->results[0]->type);
    }
    return NULL;
}

/* A sum over all space: each window gives its number. */
static Value *reduce_of_unpool(Simplify *simplify, const Op *op) {
    const Op *unpool = defined_by(op->inputs[0], OP_UNPOOL);
    bool over[MAX_RANK] = {false};
    if (!unpool || op->attr.reduce.kind != REDUCE_SUM)
        return NULL;
    const AxesAttr *axes = &op->attr.reduce.over;
    for (int i = 0; i < axes->count; i++)
        over[axes->axes[i]] = true;
    for (int s = 0; s < unpool->attr.window.spatial; s++)
        if (!over[s + 1])
            return NULL;
    return build_reduce(&simplify->build, REDUCE_SUM, unpool->inputs[1], axes->axes, axes->count);
}

const SimplifyRule simplify_window_rules[] = {
    {OP_POOL, pool_before_increasing},
    {OP_MAP, compute_before_unpool},
    {OP_REDUCE, reduce_of_unpool},
};
const int simplify_window_rule_count = sizeof simplify_window_rules / sizeof *simplify_window_rules;
