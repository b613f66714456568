/* Rules for elementwise ops: constant folding, algebra, and moving work to before a broadcast. */
#include <math.h>
#include "passes/simplify.h"

/* Numbers that a const op of this dtype can hold. */
static bool can_hold(Dtype dtype, double number) {
    if (!isfinite(number))
        return false;
    return dtype == DTYPE_F32 || (number == floor(number) && fabs(number) <= 2147483647);
}

static Value *fold_constants(Simplify *simplify, const Op *op) {
    double number[3] = {0};
    for (int i = 0; i < op->input_count; i++)
        if (!is_const(op->inputs[i], &number[i]))
            return NULL;
    const Type *type = op->results[0]->type;
    double value = scalar_eval(op->attr.scalar, number[0], number[1], number[2]);
    return can_hold(type->dtype, value) ? build_const(&simplify->build, type, value) : NULL;
}

static Value *fold_cast(Simplify *simplify, const Op *op) {
    const Type *type = op->results[0]->type;
    double number;
    if (op->inputs[0]->type == type)
        return op->inputs[0];
    if (!is_const(op->inputs[0], &number))
        return NULL;
    number = type->dtype == DTYPE_BOOL ? number != 0 : type->dtype == DTYPE_I32 ? trunc(number) : number;
    return can_hold(type->dtype, number) ? build_const(&simplify->build, type, number) : NULL;
}

static Value *drop_stop_gradient(Simplify *simplify, const Op *op) {
    return simplify->has_grad ? NULL : op->inputs[0];
}

/* add and mul: the constant on the right. */
static Value *constant_right(Simplify *simplify, const Op *op) {
    double number;
    ScalarFn fn = op->attr.scalar;
    if ((fn != FN_add && fn != FN_mul) || !is_const(op->inputs[0], &number) || is_const(op->inputs[1], &number))
        return NULL;
    return build_map2(&simplify->build, fn, op->inputs[1], op->inputs[0]);
}

/* x + 0, x - 0, x * 1, x / 1. */
static Value *drop_neutral(Simplify *simplify, const Op *op) {
    (void)simplify;
    switch (op->attr.scalar) {
    case FN_add:
    case FN_sub:
        return is_number(op->inputs[1], 0) ? op->inputs[0] : NULL;
    case FN_mul:
    case FN_div:
        return is_number(op->inputs[1], 1) ? op->inputs[0] : NULL;
    default:
        return NULL;
    }
}

/* x - c is x + (-c), 0 - x is -x, x * -1 is -x, x / c is x * (1 / c), x + x is x * 2. */
static Value *use_simpler_function(Simplify *simplify, const Op *op) {
    Value *x = op->inputs[0];
    double number;
    if (op->attr.scalar == FN_sub && is_number(x, 0))
        return build_map1(&simplify->build, FN_neg, op->inputs[1]);
    if (op->attr.scalar == FN_add && x == op->inputs[1])
        return build_scale(&simplify->build, x, 2);
    if (op->input_count != 2 || !is_const(op->inputs[1], &number))
        return NULL;
    if (op->attr.scalar == FN_sub && can_hold(x->type->dtype, -number))
        return build_shift(&simplify->build, x, -number);
    if (op->attr.scalar == FN_mul && number == -1)
        return build_map1(&simplify->build, FN_neg, x);
    if (op->attr.scalar == FN_div && fabs(number) > 1e-30 && fabs(number) < 1e30)
        return build_scale(&simplify->build, x, 1 / number);
    return NULL;
}

/* (x + c) + d, (x * c) * d with constants. */
static Value *merge_constants(Simplify *simplify, const Op *op) {
    ScalarFn fn = op->attr.scalar;
    double outer, inner;
    if ((fn != FN_add && fn != FN_mul) || op->results[0]->type->dtype != DTYPE_F32)
        return NULL;
    const Op *first = defined_by_map(op->inputs[0], fn);
    if (!first || !is_const(op->inputs[1], &outer) || !is_const(first->inputs[1], &inner))
        return NULL;
    double merged = scalar_eval(fn, inner, outer, 0);
    if (!isfinite(merged) || fabs(merged) > 1e30 || (fn == FN_mul && fabs(merged) < 1e-30))
        return NULL;
    return build_map2(&simplify->build, fn, first->inputs[0], build_like(&simplify->build, op->inputs[0], merged));
}

/* (x c) y and y (x c) with a constant c are (x y) c, which may meet another constant. Only behind the gradients, as
 * x c may be what value and gradient share. */
static Value *constant_outside(Simplify *simplify, const Op *op) {
    Builder *build = &simplify->build;
    double number;
    if (simplify->has_grad || op->attr.scalar != FN_mul || op->results[0]->type->dtype != DTYPE_F32 ||
        op->results[0]->type->rank == 0 || op->inputs[0] == op->inputs[1] || is_const(op->inputs[1], &number))
        return NULL;
    for (int i = 0; i < 2; i++) {
        const Op *product = defined_by_map(op->inputs[i], FN_mul);
        if (product && used_once(simplify, op->inputs[i]) && is_const(product->inputs[1], &number))
            return build_scale(build, build_mul(build, product->inputs[0], op->inputs[1 - i]), number);
    }
    return NULL;
}

/* (c / x) * d with constants. */
static Value *merge_numerator(Simplify *simplify, const Op *op) {
    const Op *quotient = defined_by_map(op->inputs[0], FN_div);
    double outer, inner;
    if (op->attr.scalar != FN_mul || !quotient || !used_once(simplify, op->inputs[0]) ||
        !is_const(op->inputs[1], &outer) || !is_const(quotient->inputs[0], &inner) || fabs(inner * outer) > 1e30)
        return NULL;
    return build_div(&simplify->build, build_like(&simplify->build, op->inputs[0], inner * outer), quotient->inputs[1]);
}

/* Signs move outwards into additions, and into constant factors. */
static Value *move_sign(Simplify *simplify, const Op *op) {
    Builder *build = &simplify->build;
    const Op *left = defined_by_map(op->inputs[0], FN_neg);
    const Op *right = op->input_count > 1 ? defined_by_map(op->inputs[1], FN_neg) : NULL;
    double number;
    switch (op->attr.scalar) {
    case FN_neg: {
        const Op *product = defined_by_map(op->inputs[0], FN_mul), *difference = defined_by_map(op->inputs[0], FN_sub);
        if (left)
            return left->inputs[0];
        if (product && is_const(product->inputs[1], &number))
            return build_scale(build, product->inputs[0], -number);
        if (difference && used_once(simplify, op->inputs[0]))
            return build_sub(build, difference->inputs[1], difference->inputs[0]);
        return NULL;
    }
    case FN_add:
        return right  ? build_sub(build, op->inputs[0], right->inputs[0])
               : left ? build_sub(build, op->inputs[1], left->inputs[0])
                      : NULL;
    case FN_sub:
        return right ? build_add(build, op->inputs[0], right->inputs[0]) : NULL;
    case FN_mul:
        if (left && is_const(op->inputs[1], &number))
            return build_scale(build, left->inputs[0], -number);
        return left && right ? build_mul(build, left->inputs[0], right->inputs[0]) : NULL;
    default:
        return NULL;
    }
}

static Value *simplify_power(Simplify *simplify, const Op *op) {
    Builder *build = &simplify->build;
    Value *x = op->inputs[0];
    double power;
    if (op->attr.scalar != FN_pow || !is_const(op->inputs[1], &power))
        return NULL;
    if (power == 0)
        return build_like(build, x, 1);
    if (power == 1)
        return x;
    if (power == 2)
        return build_mul(build, x, x);
    if (power == 3 && !simplify->has_grad) /* its derivative is simpler than that of two products */
        return build_mul(build, build_mul(build, x, x), x);
    if (power == 0.5)
        return build_map1(build, FN_sqrt, x);
    if (power == -0.5)
        return build_map1(build, FN_rsqrt, x);
    if (power == -1)
        return build_div(build, build_like(build, x, 1), x);
    return NULL;
}

/* select of a known or negated condition, or of one value twice. */
static Value *simplify_select(Simplify *simplify, const Op *op) {
    double condition;
    if (op->attr.scalar != FN_select)
        return NULL;
    if (op->inputs[1] == op->inputs[2])
        return op->inputs[1];
    if (is_const(op->inputs[0], &condition))
        return condition != 0 ? op->inputs[1] : op->inputs[2];
    const Op *negation = defined_by_map(op->inputs[0], FN_not);
    if (negation)
        return build_map3(&simplify->build, FN_select, negation->inputs[0], op->inputs[2], op->inputs[1]);
    return NULL;
}

/* max(x, x), min(x, x), and(x, x), or(x, x), not(not x). */
static Value *drop_repetition(Simplify *simplify, const Op *op) {
    (void)simplify;
    const Op *inner;
    switch (op->attr.scalar) {
    case FN_max:
    case FN_min:
    case FN_and:
    case FN_or:
        return op->inputs[0] == op->inputs[1] ? op->inputs[0] : NULL;
    case FN_not:
        inner = defined_by_map(op->inputs[0], FN_not);
        return inner ? inner->inputs[0] : NULL;
    default:
        return NULL;
    }
}

static Value *repeated_scalar(const Value *value) {
    const Op *op = defined_by(value, OP_BROADCAST);
    return op && op->inputs[0]->type->rank == 0 ? op->inputs[0] : NULL;
}

/* A constant or repeated scalar, as a tensor of this type. */
static Value *scalar_as(Simplify *simplify, const Value *value, const Type *type) {
    double number;
    if (is_const(value, &number))
        return build_const(&simplify->build, type, number);
    return build_broadcast_to(&simplify->build, repeated_scalar(value), type);
}

/* f of a repeated f, where a product with a scalar joins other work on f: it is a scalar, or computed elementwise. */
static Value *repeated_factor(Simplify *simplify, const Value *value, const Value *scale) {
    const Op *broadcast = defined_by(value, OP_BROADCAST);
    double number;
    if (broadcast)
        return broadcast->inputs[0]->type->rank == 0 || defined_by(broadcast->inputs[0], OP_MAP) ? broadcast->inputs[0]
                                                                                                 : NULL;
    if (is_const(value, &number) && repeated_scalar(scale))
        return scalar_as(simplify, value, repeated_scalar(scale)->type);
    return NULL;
}

/* (x * f) * s, where s is a constant or a repeated scalar, and f is repeated: x * (f * s), with the small product
 * computed before f is repeated. */
static Value *merge_scalars(Simplify *simplify, const Op *op) {
    Builder *build = &simplify->build;
    double number;
    if (op->attr.scalar != FN_mul || op->results[0]->type->rank == 0)
        return NULL;
    for (int i = 0; i < 2; i++) {
        const Value *scale = op->inputs[i];
        const Op *inner = defined_by_map(op->inputs[1 - i], FN_mul);
        bool is_scalar = is_const(scale, &number) || repeated_scalar(scale);
        if (!inner || !is_scalar || !used_once(simplify, op->inputs[1 - i]))
            continue;
        for (int j = 0; j < 2; j++) {
            const Op *broadcast = defined_by(inner->inputs[j], OP_BROADCAST);
            Value *factor = repeated_factor(simplify, inner->inputs[j], scale);
            if (!factor)
                continue;
            factor = build_mul(build, factor, scalar_as(simplify, scale, factor->type));
            factor = build_broadcast(build, factor, op->results[0]->type, broadcast ? broadcast->attr.axes.axes : NULL);
            return build_mul(build, inner->inputs[1 - j], factor);
        }
    }
    return NULL;
}

/* x / f, where f is repeated over whole axes: one division per element of f, then products. */
static Value *divide_before_broadcast(Simplify *simplify, const Op *op) {
    if (op->attr.scalar != FN_div)
        return NULL;
    const Op *broadcast = defined_by(op->inputs[1], OP_BROADCAST);
    if (!broadcast)
        return NULL;
    Value *one = build_like(&simplify->build, broadcast->inputs[0], 1);
    Value *inverse = build_div(&simplify->build, one, broadcast->inputs[0]);
    inverse = build_broadcast(&simplify->build, inverse, op->results[0]->type, broadcast->attr.axes.axes);
    return build_mul(&simplify->build, op->inputs[0], inverse);
}

/* The broadcast whose input all inputs of the op can be computed on: each is a constant, a repeated scalar, or a
 * broadcast of the same type along the same axes. */
static const Op *common_broadcast(const Op *op) {
    const Op *common = NULL;
    double number;
    for (int i = 0; i < op->input_count; i++) {
        const Op *broadcast = defined_by(op->inputs[i], OP_BROADCAST);
        if (broadcast && (!common || broadcast->inputs[0]->type->rank > common->inputs[0]->type->rank))
            common = broadcast;
    }
    for (int i = 0; common && i < op->input_count; i++) {
        const Op *broadcast = defined_by(op->inputs[i], OP_BROADCAST);
        if (is_const(op->inputs[i], &number) || repeated_scalar(op->inputs[i]))
            continue;
        if (!broadcast || !type_equal_dims(broadcast->inputs[0]->type, common->inputs[0]->type))
            return NULL;
        for (int j = 0; j < common->attr.axes.count; j++)
            if (broadcast->attr.axes.axes[j] != common->attr.axes.axes[j])
                return NULL;
    }
    return common;
}

static Value *compute_before_broadcast(Simplify *simplify, const Op *op) {
    Builder *build = &simplify->build;
    const Op *common = common_broadcast(op);
    if (!common)
        return NULL;
    const Type *small = common->inputs[0]->type;
    Value *inputs[3] = {NULL};
    for (int i = 0; i < op->input_count; i++) {
        Value *input = op->inputs[i];
        double number;
        if (is_const(input, &number))
            inputs[i] = build_const(build, type_with_dtype(build->module, small, input->type->dtype), number);
        else
            inputs[i] = build_broadcast_to(build, input->def->inputs[0], small);
    }
    const Type *type = type_with_dtype(build->module, small, op->results[0]->type->dtype);
    Value *value = build_op(build, op->code, &op->attr, inputs, op->input_count, type);
    return value ? build_broadcast(build, value, op->results[0]->type, common->attr.axes.axes) : NULL;
}

/* All inputs are reshapes of one type, constants or repeated scalars: the reshape comes after. */
static Value *compute_before_reshape(Simplify *simplify, const Op *op) {
    Builder *build = &simplify->build;
    const Type *type = NULL;
    Value *inputs[3] = {NULL};
    double number;
    for (int i = 0; i < op->input_count; i++) {
        const Op *reshape = defined_by(op->inputs[i], OP_RESHAPE);
        if (reshape && type && !type_equal_dims(type, reshape->inputs[0]->type))
            return NULL;
        if (reshape)
            type = reshape->inputs[0]->type;
        else if (!is_const(op->inputs[i], &number) && !repeated_scalar(op->inputs[i]))
            return NULL;
    }
    if (!type)
        return NULL;
    for (int i = 0; i < op->input_count; i++) {
        const Type *wanted = type_with_dtype(build->module, type, op->inputs[i]->type->dtype);
        if (is_const(op->inputs[i], &number))
            inputs[i] = build_const(build, wanted, number);
        else
            inputs[i] = build_broadcast_to(build, op->inputs[i]->def->inputs[0], wanted);
    }
    type = type_with_dtype(build->module, type, op->results[0]->type->dtype);
    Value *value = build_op(build, op->code, &op->attr, inputs, op->input_count, type);
    return value ? build_reshape(build, value, op->results[0]->type) : NULL;
}

/* ---- sums of products with a common factor */
enum { MOST_PARTS = 16 };

/* The product and the products that it is made of, the larger ones first. */
static bool collect_parts(Value *value, Value **parts, int *count) {
    if (*count == MOST_PARTS)
        return false;
    parts[(*count)++] = value;
    const Op *product = defined_by_map(value, FN_mul);
    return !product ||
           (collect_parts(product->inputs[0], parts, count) && collect_parts(product->inputs[1], parts, count));
}

/* The product with one occurrence of this part less; NULL: nothing is left. */
static Value *product_without(Simplify *simplify, Value *value, const Value *part, bool *removed) {
    if (value == part && !*removed) {
        *removed = true;
        return NULL;
    }
    const Op *product = defined_by_map(value, FN_mul);
    if (!product)
        return value;
    Value *left = product_without(simplify, product->inputs[0], part, removed);
    Value *right = product_without(simplify, product->inputs[1], part, removed);
    if (left == product->inputs[0] && right == product->inputs[1])
        return value;
    return !left ? right : !right ? left : build_mul(&simplify->build, left, right);
}

/* g a + g b = g (a + b), and the same with minus. A part that others read too counts, and may be taken apart: where a
 * function reads its argument several times, the products of the incoming gradient with what is common to its parts are
 * such, and go when all are. */
static Value *pull_factor(Simplify *simplify, ScalarFn fn, Value *left, Value *right) {
    Value *of_left[MOST_PARTS], *of_right[MOST_PARTS];
    int left_count = 0, right_count = 0;
    double number;
    if (!used_once(simplify, left) || !used_once(simplify, right) || !collect_parts(left, of_left, &left_count) ||
        !collect_parts(right, of_right, &right_count))
        return NULL;
    for (int i = 1; i < left_count; i++)
        for (int k = 1; k < right_count; k++)
            if (of_left[i] == of_right[k] && !is_const(of_left[i], &number)) {
                bool from_left = false, from_right = false;
                Value *a = product_without(simplify, left, of_left[i], &from_left);
                Value *b = product_without(simplify, right, of_left[i], &from_right);
                return build_mul(&simplify->build, of_left[i], build_map2(&simplify->build, fn, a, b));
            }
    return NULL;
}

/* The gradient of a product of functions of one value is then one derivative, which the forward kernel can make, times
 * the gradient that comes in. Also (p + g a) + g b = p + g (a + b). */
static Value *common_factor(Simplify *simplify, const Op *op) {
    ScalarFn fn = op->attr.scalar;
    if ((fn != FN_add && fn != FN_sub) || op->results[0]->type->rank == 0)
        return NULL;
    Value *pulled = pull_factor(simplify, fn, op->inputs[0], op->inputs[1]);
    for (int i = 0; i < 2 && !pulled && fn == FN_add; i++) {
        const Op *sum = defined_by_map(op->inputs[i], FN_add);
        for (int k = 0; k < 2 && sum && !pulled && used_once(simplify, op->inputs[i]); k++) {
            pulled = pull_factor(simplify, fn, sum->inputs[k], op->inputs[1 - i]);
            if (pulled)
                return build_add(&simplify->build, sum->inputs[1 - k], pulled);
        }
    }
    return pulled;
}

/* 1 + erf(x), as a Gaussian has it, is 2 - e^(-x x) erfcx(x), below 0 its second term: the exponential is that of the
 * derivative too. Only behind the gradients, which are simpler of erf. */
static Value *share_exponential(Simplify *simplify, const Op *op) {
    Builder *build = &simplify->build;
    const Op *erf = defined_by_map(op->inputs[0], FN_erf);
    if (simplify->has_grad || op->attr.scalar != FN_add || !erf || !is_number(op->inputs[1], 1) ||
        !used_once(simplify, op->inputs[0]))
        return NULL;
    Value *x = erf->inputs[0], *zero = build_like(build, x, 0);
    Value *bell = build_map1(build, FN_exp, build_map1(build, FN_neg, build_mul(build, x, x)));
    Value *tail = build_mul(build, bell, build_map1(build, FN_erfcx, x));
    Value *above = build_sub(build, build_like(build, x, 2), tail);
    return build_map3(build, FN_select, build_map2(build, FN_lt, x, zero), tail, above);
}

const SimplifyRule simplify_map_rules[] = {
    {OP_MAP, common_factor},
    {OP_MAP, fold_constants},
    {OP_MAP, constant_right},
    {OP_MAP, drop_neutral},
    {OP_MAP, use_simpler_function},
    {OP_MAP, merge_constants},
    {OP_MAP, constant_outside},
    {OP_MAP, merge_numerator},
    {OP_MAP, move_sign},
    {OP_MAP, simplify_power},
    {OP_MAP, share_exponential},
    {OP_MAP, simplify_select},
    {OP_MAP, drop_repetition},
    {OP_MAP, merge_scalars},
    {OP_MAP, compute_before_broadcast},
    {OP_MAP, divide_before_broadcast},
    {OP_MAP, compute_before_reshape},
    {OP_CAST, fold_cast},
    {OP_CAST, compute_before_broadcast},
    {OP_CAST, compute_before_reshape},
    {OP_STOP_GRADIENT, drop_stop_gradient},
};
const int simplify_map_rule_count = sizeof simplify_map_rules / sizeof *simplify_map_rules;
