/* Rules for dropout behind a relu. Of y, what the relu left, dropout leaves d: y times a number where the random mask
 * is set, else zero. So d is positive exactly where y is and the mask is set, and the gradient, which passes both, asks
 * d: the mask is not drawn again, and y need not be kept beside d, which the layer behind reads. */
#include "passes/simplify.h"

static Value *without_reshape(Value *value) {
    const Op *op;
    while ((op = defined_by(value, OP_RESHAPE)))
        value = op->inputs[0];
    return value;
}

/* x * number? */
static const Op *scaled(const Value *value, double least) {
    double number;
    const Op *op = defined_by_map(value, FN_mul);
    return op && is_const(op->inputs[1], &number) && number >= least ? op : NULL;
}

static bool is_drawn(const Value *condition) {
    const Op *op = defined_by(condition, OP_MAP);
    for (int i = 0; op && i < op->input_count; i++)
        if (defined_by(op->inputs[i], OP_RANDOM))
            return true;
    return false;
}

/* select(drawn condition, x, 0) */
static const Op *masked(const Value *value) {
    const Op *op = defined_by_map(value, FN_select);
    return op && is_number(op->inputs[2], 0) && is_drawn(op->inputs[0]) ? op : NULL;
}

/* Is it y, as it lies or in another shape, perhaps times a number that makes no zero of it? */
static bool comes_from(Value *value, const Value *y) {
    const Op *op = scaled(value = without_reshape(value), 1);
    return (op ? without_reshape(op->inputs[0]) : value) == y;
}

/* What the mask leaves of y, before `op`. */
static Value *left_of(const Value *y, const Value *condition, const Op *op) {
    for (const Op *before = op->parent->first; before != op; before = before->next) {
        const Op *select = before->result_count == 1 ? masked(before->results[0]) : NULL;
        if (select && select->inputs[0] == condition && comes_from(select->inputs[1], y))
            return select->results[0];
    }
    return NULL;
}

/* The select with the mask that g has passed, and only reshapes and factors behind it. */
static const Op *mask_of(const Value *g) {
    const Op *op;
    while (!(op = masked(g)) && ((op = defined_by(g, OP_RESHAPE)) || (op = scaled(g, 0))))
        g = op->inputs[0];
    return op;
}

/* g as it would be without that select. */
static Value *without_mask(Simplify *simplify, const Value *g, const Op *mask) {
    const Op *op = g->def;
    if (op == mask)
        return op->inputs[1];
    Value *inner = without_mask(simplify, op->inputs[0], mask);
    if (op->code == OP_RESHAPE)
        return build_reshape(&simplify->build, inner, g->type);
    return build_mul(&simplify->build, inner, op->inputs[1]);
}

/* select(y > 0, g, 0) */
static Value *ask_what_is_left(Simplify *simplify, const Op *op) {
    Builder *build = &simplify->build;
    if (simplify->has_grad || op->attr.scalar != FN_select || !is_number(op->inputs[2], 0))
        return NULL;
    const Op *positive = defined_by_map(op->inputs[0], FN_gt), *mask = mask_of(op->inputs[1]);
    if (!positive || !is_number(positive->inputs[1], 0) || !mask)
        return NULL;
    Value *left = left_of(without_reshape(positive->inputs[0]), mask->inputs[0], op);
    if (!left)
        return NULL;
    Value *d = build_reshape(build, left, positive->inputs[0]->type);
    Value *condition = build_map2(build, FN_gt, d, positive->inputs[1]);
    return build_map3(build, FN_select, condition, without_mask(simplify, op->inputs[1], mask), op->inputs[2]);
}

const SimplifyRule simplify_mask_rules[] = {{OP_MAP, ask_what_is_left}};
const int simplify_mask_rule_count = sizeof simplify_mask_rules / sizeof *simplify_mask_rules;
