/* Gradients of leaves (none), elementwise ops, state and regions. */
#include "ir/scalar.h"
#include "passes/autodiff.h"

/* Leaves have no inputs, and the driver never asks ops that let no gradient through or refuse it. */
#define WITHOUT_GRADIENT(op_code)                                                                                      \
    void gradient_##op_code(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {             \
        (void)g, (void)wanted, (void)out;                                                                              \
        gradient->failed = true;                                                                                       \
        diag_internal(gradient->context->diag, op->span, "%s was differentiated", op_infos[op->code].name);            \
    }
WITHOUT_GRADIENT(CONST)
WITHOUT_GRADIENT(IOTA)
WITHOUT_GRADIENT(VARIABLE)
WITHOUT_GRADIENT(BATCH_SIZE)
WITHOUT_GRADIENT(RANDOM)
WITHOUT_GRADIENT(ARGMAX)
WITHOUT_GRADIENT(POOL_ARGMAX)
WITHOUT_GRADIENT(STOP_GRADIENT)
WITHOUT_GRADIENT(GRAD)
WITHOUT_GRADIENT(ASSIGN)
WITHOUT_GRADIENT(FUSION)

/* Builds the expression of scalar.def for one argument. */
static Value *build_tree(Gradient *gradient, const ScalarTree *tree, const Op *op, Value *g) {
    if (tree->fn == FN_COUNT) {
        switch (tree->leaf) {
        case 'a':
        case 'b':
        case 'c':
            return op->inputs[tree->leaf - 'a'];
        case 'y':
            return op->results[0];
        case 'g':
            return g;
        default:
            return build_const(&gradient->build, g->type, tree->number);
        }
    }
    Value *children[3] = {NULL};
    for (int i = 0; i < tree->child_count; i++)
        children[i] = build_tree(gradient, tree->children[i], op, g);
    return build_map(&gradient->build, tree->fn, children, tree->child_count);
}

void gradient_MAP(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    for (int i = 0; i < op->input_count; i++) {
        const ScalarTree *tree = wanted[i] ? scalar_derivative(gradient->context->arena, op->attr.scalar, i) : NULL;
        if (tree)
            out[i] = build_tree(gradient, tree, op, g);
    }
}

/* Only floats depend on anything, and there is one float type: the cast did nothing. */
void gradient_CAST(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    (void)gradient, (void)op, (void)wanted;
    out[0] = g;
}
