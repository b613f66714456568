/* Derivatives of scalar functions as small trees, parsed from the texts of scalar.def. */
#ifndef NNC_IR_SCALAR_H
#define NNC_IR_SCALAR_H
#include "ir/ir.h"

typedef struct ScalarTree {
    ScalarFn fn; /* FN_COUNT: leaf */
    char leaf;   /* a, b, c: arguments; y: result; g: gradient of the result; '#': number */
    double number;
    int child_count;
    struct ScalarTree *children[3];
} ScalarTree;

/* What argument 0, 1 or 2 receives of the gradient g; NULL: zero. */
const ScalarTree *scalar_derivative(Arena *, ScalarFn, int argument);
/* Parses "mul(g, b)"; NULL if it is not such a text. */
const ScalarTree *scalar_parse(Arena *, const char *text);
double scalar_tree_eval(const ScalarTree *, double a, double b, double c, double y, double g);
#endif
