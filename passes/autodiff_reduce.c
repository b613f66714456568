/* Gradients of reductions, contractions and windows. A contraction is linear in each operand: its gradients are
 * contractions again, so second derivatives come by themselves. */
#include "passes/autodiff.h"

void gradient_REDUCE(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    (void)wanted;
    const ReduceAttr *reduce = &op->attr.reduce;
    if (reduce->kind != REDUCE_SUM) {
        gradient_refuse(gradient, op, "only the gradient of a sum is defined everywhere",
                        "wrap it in stop_gradient, if its gradient does not matter (as in softmax)");
        return;
    }
    const Type *type = op->inputs[0]->type;
    bool over[MAX_RANK] = {false};
    int axes[MAX_RANK] = {0}, count = 0;
    for (int i = 0; i < reduce->over.count; i++)
        over[reduce->over.axes[i]] = true;
    for (int i = 0; i < type->rank; i++)
        if (!over[i])
            axes[count++] = i;
    out[0] = build_broadcast(&gradient->build, g, type, axes);
}

/* out = sum a b: the gradient of a is the sum of g b over the labels that a lacks. */
void gradient_EINSUM(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    const EinsumAttr *e = &op->attr.einsum;
    OpAttr by_a = {.einsum = *e}, by_b = {.einsum = *e};
    for (int i = 0; i < MAX_RANK; i++) {
        by_a.einsum.a[i] = by_b.einsum.a[i] = e->out[i];
        by_a.einsum.b[i] = e->b[i];
        by_a.einsum.out[i] = e->a[i];
        by_b.einsum.b[i] = e->a[i];
        by_b.einsum.out[i] = e->b[i];
    }
    Value *a = op->inputs[0], *b = op->inputs[1];
    by_a.einsum.out_rank = (int8_t)a->type->rank;
    by_b.einsum.out_rank = (int8_t)b->type->rank;
    if (wanted[0])
        out[0] = build_op(&gradient->build, OP_EINSUM, &by_a, (Value *[]){g, b}, 2, a->type);
    if (wanted[1])
        out[1] = build_op(&gradient->build, OP_EINSUM, &by_b, (Value *[]){g, a}, 2, b->type);
}

/* The three forms of a convolution, each with the attributes of the original. */
static Value *window_op(Gradient *gradient, const Op *op, OpCode code, Value *first, Value *second,
                        const Type *result) {
    return build_op(&gradient->build, code, &op->attr, (Value *[]){first, second}, 2, result);
}

void gradient_CONV(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    Value *x = op->inputs[0], *kernel = op->inputs[1];
    if (wanted[0])
        out[0] = window_op(gradient, op, OP_CONV_GRAD_INPUT, g, kernel, x->type);
    if (wanted[1])
        out[1] = window_op(gradient, op, OP_CONV_GRAD_KERNEL, x, g, kernel->type);
}

void gradient_CONV_GRAD_INPUT(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    Value *y = op->inputs[0], *kernel = op->inputs[1];
    if (wanted[0])
        out[0] = window_op(gradient, op, OP_CONV, g, kernel, y->type);
    if (wanted[1])
        out[1] = window_op(gradient, op, OP_CONV_GRAD_KERNEL, g, y, kernel->type);
}

void gradient_CONV_GRAD_KERNEL(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    Value *x = op->inputs[0], *y = op->inputs[1];
    if (wanted[0])
        out[0] = window_op(gradient, op, OP_CONV_GRAD_INPUT, y, g, x->type);
    if (wanted[1])
        out[1] = window_op(gradient, op, OP_CONV, x, g, y->type);
}

/* A maximum passes its gradient on to the cell that it comes from. */
void gradient_POOL(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    (void)wanted;
    Value *x = op->inputs[0];
    if (op->attr.window.kind == REDUCE_SUM) {
        out[0] = window_op(gradient, op, OP_POOL_GRAD, x, g, x->type);
        return;
    }
    Value *cells = build_op(&gradient->build, OP_POOL_ARGMAX, &op->attr, &x, 1, NULL);
    out[0] = window_op(gradient, op, OP_UNPOOL, cells, g, x->type);
}

/* Its value does not depend on x. */
void gradient_POOL_GRAD(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    if (wanted[1])
        out[1] = build_pool(&gradient->build, g, &op->attr.window);
}

/* Each window takes the gradient of its cell: where windows do not overlap, a sum over it of what lies there. */
void gradient_UNPOOL(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    Builder *build = &gradient->build;
    if (!wanted[1])
        return;
    if (window_is_disjoint(&op->attr.window)) {
        WindowAttr sum = op->attr.window;
        Value *here = window_op(gradient, op, OP_UNPOOL, op->inputs[0], build_like(build, op->inputs[1], 1), g->type);
        sum.kind = REDUCE_SUM;
        out[1] = build_pool(build, build_mul(build, g, here), &sum);
        return;
    }
    gradient_refuse(gradient, op, "the second derivative of max pooling with windows that overlap is not built",
                    "use average pooling where a gradient is differentiated again");
}
