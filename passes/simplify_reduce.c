/* Rules for reductions and contractions: reductions run over less, factors leave sums, transposes become labels. */
#include "passes/simplify.h"
#include <math.h>

/* Which axes of the input a reduction runs over. */
typedef struct {
    bool over[MAX_RANK];
} AxisSet;

static AxisSet reduced_axes(const Op *op) {
    AxisSet set = {{false}};
    for (int i = 0; i < op->attr.reduce.over.count; i++)
        set.over[op->attr.reduce.over.axes[i]] = true;
    return set;
}

/* Reduces over the axes of the set; no op if there are none. */
static Value *reduce_over(Simplify *simplify, ReduceKind kind, Value *x, const AxisSet *set) {
    int axes[MAX_RANK], count = 0;
    for (int i = 0; i < x->type->rank; i++)
        if (set->over[i])
            axes[count++] = i;
    return count ? build_reduce(&simplify->build, kind, x, axes, count) : x;
}

static Value *reduce_of_units(Simplify *simplify, const Op *op) {
    AxisSet set = reduced_axes(op);
    for (int i = 0; i < op->inputs[0]->type->rank; i++)
        if (set.over[i] && !is_unit(op->inputs[0]->type->dims[i]))
            return NULL;
    return build_reshape(&simplify->build, op->inputs[0], op->results[0]->type);
}

static Value *merge_reductions(Simplify *simplify, const Op *op) {
    const Op *inner = defined_by(op->inputs[0], OP_REDUCE);
    if (!inner || inner->attr.reduce.kind != op->attr.reduce.kind)
        return NULL;
    AxisSet outer = reduced_axes(op), merged = reduced_axes(inner), first = merged;
    for (int i = 0, kept = 0; i < inner->inputs[0]->type->rank; i++)
        if (!first.over[i])
            merged.over[i] = outer.over[kept++];
    return reduce_over(simplify, op->attr.reduce.kind, inner->inputs[0], &merged);
}

/* value * (product of the extents of these axes), the batch read at run time. */
static Value *scale_by_extents(Simplify *simplify, Value *value, const Type *type, const AxisSet *set) {
    double factor = 1;
    bool batch = false;
    for (int i = 0; i < type->rank; i++) {
        factor *= set->over[i] ? (double)type->dims[i].n : 1;
        batch = batch || (set->over[i] && type->dims[i].batch);
    }
    if (batch)
        value = build_mul(&simplify->build, value,
                          build_cast(&simplify->build, build_batch_size(&simplify->build), value->type->dtype));
    return factor == 1 ? value : build_scale(&simplify->build, value, factor);
}

/* A reduction over repeated elements: the sum multiplies, the others pick one. */
static Value *reduce_of_broadcast(Simplify *simplify, const Op *op) {
    const Op *inner = defined_by(op->inputs[0], OP_BROADCAST);
    if (!inner)
        return NULL;
    const Type *type = op->inputs[0]->type, *small = inner->inputs[0]->type;
    AxisSet set = reduced_axes(op), repeated = set, rest = {{false}};
    int place[MAX_RANK] = {0}, axes[MAX_RANK] = {0}, kept = 0;
    for (int i = 0; i < type->rank; i++)
        place[i] = set.over[i] ? -1 : kept++;
    kept = 0;
    for (int i = 0; i < small->rank; i++) {
        int axis = inner->attr.axes.axes[i];
        if (!dim_equal(small->dims[i], type->dims[axis]))
            return NULL;
        repeated.over[axis] = false;
        rest.over[i] = set.over[axis];
        if (!set.over[axis])
            axes[kept++] = place[axis];
    }
    bool any = false;
    for (int i = 0; i < type->rank; i++)
        any = any || repeated.over[i];
    if (!any)
        return NULL;
    Value *value = reduce_over(simplify, op->attr.reduce.kind, inner->inputs[0], &rest);
    if (op->attr.reduce.kind == REDUCE_SUM)
        value = scale_by_extents(simplify, value, type, &repeated);
    return build_broadcast(&simplify->build, value, op->results[0]->type, axes);
}

static Value *reduce_of_constant(Simplify *simplify, const Op *op) {
    double number;
    if (!is_const(op->inputs[0], &number) || op->results[0]->type->dtype != DTYPE_F32)
        return NULL;
    AxisSet set = reduced_axes(op);
    Value *value = build_const(&simplify->build, op->results[0]->type, number);
    return op->attr.reduce.kind == REDUCE_SUM ? scale_by_extents(simplify, value, op->inputs[0]->type, &set) : value;
}

/* Where the order of the remaining axes does not change, the transpose is not needed. */
static Value *reduce_of_transpose(Simplify *simplify, const Op *op) {
    const Op *inner = defined_by(op->inputs[0], OP_TRANSPOSE);
    if (!inner)
        return NULL;
    AxisSet set = reduced_axes(op), moved = {{false}};
    int last = -1;
    for (int i = 0; i < inner->attr.axes.count; i++) {
        int axis = inner->attr.axes.axes[i];
        moved.over[axis] = set.over[i];
        if (set.over[i])
            continue;
        if (axis < last)
            return NULL;
        last = axis;
    }
    return reduce_over(simplify, op->attr.reduce.kind, inner->inputs[0], &moved);
}

/* Is it the mean of x over the axes of the set, of which none is the batch? */
static bool is_mean(const Value *mean, const Value *x, const AxisSet *set) {
    const Op *scaled = defined_by_map(mean, FN_mul);
    for (int i = 0; scaled && i < 2; i++) {
        const Op *sum = defined_by(scaled->inputs[i], OP_REDUCE);
        double factor, count = 1;
        if (!sum || sum->attr.reduce.kind != REDUCE_SUM || sum->inputs[0] != x ||
            !is_const(scaled->inputs[1 - i], &factor))
            continue;
        AxisSet over = reduced_axes(sum);
        for (int k = 0; k < x->type->rank; k++) {
            if (over.over[k] != set->over[k] || (set->over[k] && x->type->dims[k].batch))
                return false;
            count *= set->over[k] ? (double)x->type->dims[k].n : 1;
        }
        return fabs(factor * count - 1) < 1e-6;
    }
    return false;
}

/* sum(x - mean(x)) */
static bool is_sum_of_deviations(const Op *sum) {
    const Op *deviation = sum ? defined_by_map(sum->inputs[0], FN_sub) : NULL;
    const Op *repeated = deviation ? defined_by(deviation->inputs[1], OP_BROADCAST) : NULL;
    if (!repeated || sum->attr.reduce.kind != REDUCE_SUM)
        return false;
    AxisSet set = reduced_axes(sum);
    for (int i = 0, kept = 0; i < sum->inputs[0]->type->rank; i++)
        if (!set.over[i] && (kept >= repeated->attr.axes.count || repeated->attr.axes.axes[kept++] != i))
            return false;
    return is_mean(repeated->inputs[0], deviation->inputs[0], &set);
}

/* sum(x - mean(x)) * f = 0: what a variance hands to the gradient of the mean. */
static Value *product_of_deviations(Simplify *simplify, const Op *op) {
    const Type *type = op->results[0]->type;
    if (op->attr.scalar != FN_mul || type->dtype != DTYPE_F32)
        return NULL;
    return is_sum_of_deviations(defined_by(op->inputs[0], OP_REDUCE)) ||
                   is_sum_of_deviations(defined_by(op->inputs[1], OP_REDUCE))
               ? build_const(&simplify->build, type, 0)
               : NULL;
}

/* The factor with the reduced axes taken away, as the type of the sum; NULL if the sum runs over it. */
static Value *factor_outside(Simplify *simplify, const Op *op, const Value *factor) {
    const Op *broadcast = defined_by(factor, OP_BROADCAST);
    AxisSet set = reduced_axes(op);
    int place[MAX_RANK] = {0}, axes[MAX_RANK] = {0}, kept = 0;
    double number;
    if (is_const(factor, &number))
        return build_const(&simplify->build, op->results[0]->type, number);
    if (!broadcast)
        return NULL;
    for (int i = 0; i < factor->type->rank; i++)
        place[i] = set.over[i] ? -1 : kept++;
    for (int i = 0; i < broadcast->attr.axes.count; i++) {
        axes[i] = place[broadcast->attr.axes.axes[i]];
        if (axes[i] < 0)
            return NULL;
    }
    return build_broadcast(&simplify->build, broadcast->inputs[0], op->results[0]->type, axes);
}

/* Is x, the result of a contraction, made for x f alone, and others read x f too? It lies in memory once then, as x f.
 */
static bool is_read_scaled(const Simplify *simplify, const Value *scaled, const Value *x) {
    return !used_once(simplify, scaled) && used_once(simplify, x) && x->def &&
           op_infos[x->def->code].op_class == CLASS_CONTRACT;
}

/* sum(x * f) = sum(x) * f, sum(x / f) = sum(x) / f, sum(-x) = -sum(x), where f is the same along the summed axes. */
static Value *move_factor_outside(Simplify *simplify, const Op *op) {
    const Op *inner = defined_by(op->inputs[0], OP_MAP);
    if (op->attr.reduce.kind != REDUCE_SUM || !inner || op->results[0]->type->dtype != DTYPE_F32)
        return NULL;
    AxisSet set = reduced_axes(op);
    ScalarFn fn = inner->attr.scalar;
    if (fn == FN_neg)
        return build_map1(&simplify->build, FN_neg, reduce_over(simplify, REDUCE_SUM, inner->inputs[0], &set));
    if (fn != FN_mul && fn != FN_div)
        return NULL;
    for (int i = fn == FN_div; i < 2; i++) {
        if (is_read_scaled(simplify, op->inputs[0], inner->inputs[1 - i]))
            continue;
        Value *factor = factor_outside(simplify, op, inner->inputs[i]);
        if (factor)
            return build_map2(&simplify->build, fn, reduce_over(simplify, REDUCE_SUM, inner->inputs[1 - i], &set),
                              factor);
    }
    return NULL;
}

/* ---- einsum ---- */

static void labels_before_transpose(const Op *transpose, const int8_t *labels, int8_t *before) {
    for (int i = 0; i < transpose->attr.axes.count; i++)
        before[transpose->attr.axes.axes[i]] = labels[i];
}

static Value *einsum_of_transpose(Simplify *simplify, const Op *op) {
    const Op *a = defined_by(op->inputs[0], OP_TRANSPOSE), *b = defined_by(op->inputs[1], OP_TRANSPOSE);
    OpAttr attr = op->attr;
    if (!a && !b)
        return NULL;
    if (a)
        labels_before_transpose(a, op->attr.einsum.a, attr.einsum.a);
    if (b)
        labels_before_transpose(b, op->attr.einsum.b, attr.einsum.b);
    Value *inputs[] = {a ? a->inputs[0] : op->inputs[0], b ? b->inputs[0] : op->inputs[1]};
    return build_op(&simplify->build, OP_EINSUM, &attr, inputs, 2, op->results[0]->type);
}

static Value *transpose_of_einsum(Simplify *simplify, const Op *op) {
    const Op *inner = defined_by(op->inputs[0], OP_EINSUM);
    if (!inner || !used_once(simplify, op->inputs[0]))
        return NULL;
    OpAttr attr = inner->attr;
    for (int i = 0; i < op->attr.axes.count; i++)
        attr.einsum.out[i] = inner->attr.einsum.out[op->attr.axes.axes[i]];
    return build_op(&simplify->build, OP_EINSUM, &attr, inner->inputs, 2, op->results[0]->type);
}

static bool has_label(const int8_t *labels, int rank, int8_t label) {
    for (int i = 0; i < rank; i++)
        if (labels[i] == label)
            return true;
    return false;
}

/* Of rows that are looked up several times, the product is made for the table, and looked up. */
static Value *product_of_gather(Simplify *simplify, const Op *op) {
    const Op *gather = defined_by(op->inputs[0], OP_GATHER);
    const Value *right = op->inputs[1];
    if (!gather || gather->inputs[1]->type->rank == 0)
        return NULL;
    const Type *table = gather->inputs[0]->type, *ids = gather->inputs[1]->type, *out = op->results[0]->type;
    if (2 * table->dims[0].n > type_count(ids, simplify->build.module->batch_max))
        return NULL;
    OpAttr attr = op->attr;
    for (int i = 0; i < ids->rank; i++)
        if (op->attr.einsum.out[i] != op->attr.einsum.a[i] ||
            has_label(op->attr.einsum.b, right->type->rank, op->attr.einsum.a[i]))
            return NULL;
    Dim dims[MAX_RANK] = {table->dims[0]};
    for (int i = 1; i < table->rank; i++)
        attr.einsum.a[i] = op->attr.einsum.a[ids->rank + i - 1];
    int rank = out->rank - ids->rank + 1;
    for (int i = 1; i < rank; i++) {
        attr.einsum.out[i] = op->attr.einsum.out[ids->rank + i - 1];
        dims[i] = out->dims[ids->rank + i - 1];
    }
    Value *inputs[] = {gather->inputs[0], op->inputs[1]};
    const Type *type = type_of_dims(simplify, out->dtype, rank, dims);
    Value *product = build_op(&simplify->build, OP_EINSUM, &attr, inputs, 2, type);
    return build_gather(&simplify->build, product, gather->inputs[1]);
}

/* f repeated over the axes of an einsum's operand, as the type of the result; NULL if the einsum sums over it. */
static Value *factor_of_result(Simplify *simplify, const Op *op, const int8_t *labels, const Value *factor) {
    const Op *broadcast = defined_by(factor, OP_BROADCAST);
    const Type *type = op->results[0]->type;
    int order[MAX_RANK] = {0}, axes[MAX_RANK] = {0}, kept = 0; /* axes of f in the order of the result's */
    for (int k = 0; broadcast && k < type->rank; k++)
        for (int i = 0; i < broadcast->attr.axes.count; i++)
            if (op->attr.einsum.out[k] == labels[broadcast->attr.axes.axes[i]]) {
                order[kept] = i;
                axes[kept++] = k;
            }
    if (!broadcast || kept < broadcast->attr.axes.count)
        return NULL;
    return build_broadcast(&simplify->build, build_transpose(&simplify->build, broadcast->inputs[0], order), type,
                           axes);
}

/* sum (a f) b = f sum a b, where the result has fewer elements than a: the weights of attention need not be divided
 * by their sums one by one. */
static Value *factor_outside_einsum(Simplify *simplify, const Op *op) {
    const Type *type = op->results[0]->type;
    int64_t batch = simplify->build.module->batch_max;
    for (int side = 0; side < 2; side++) {
        const Op *product = defined_by_map(op->inputs[side], FN_mul);
        if (!product || !used_once(simplify, op->inputs[side]) ||
            type_count(type, batch) >= type_count(op->inputs[side]->type, batch))
            continue;
        const int8_t *labels = side ? op->attr.einsum.b : op->attr.einsum.a;
        for (int i = 0; i < 2; i++) {
            Value *factor = factor_of_result(simplify, op, labels, product->inputs[i]);
            if (!factor)
                continue;
            Value *inputs[] = {op->inputs[0], op->inputs[1]};
            inputs[side] = product->inputs[1 - i];
            return build_mul(&simplify->build, build_op(&simplify->build, OP_EINSUM, &op->attr, inputs, 2, type),
                             factor);
        }
    }
    return NULL;
}

const SimplifyRule simplify_reduce_rules[] = {
    {OP_REDUCE, reduce_of_units},     {OP_REDUCE, reduce_of_constant},    {OP_REDUCE, merge_reductions},
    {OP_REDUCE, reduce_of_broadcast}, {OP_REDUCE, reduce_of_transpose},   {OP_REDUCE, move_factor_outside},
    {OP_MAP, product_of_deviations},  {OP_EINSUM, einsum_of_transpose},   {OP_TRANSPOSE, transpose_of_einsum},
    {OP_EINSUM, product_of_gather},   {OP_EINSUM, factor_outside_einsum},
};
const int simplify_reduce_rule_count = sizeof simplify_reduce_rules / sizeof *simplify_reduce_rules;
