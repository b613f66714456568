/* Ops that are repeated in every kernel that reads them (passes/fuse.h). */
#include "passes/fuse.h"

enum { CHEAP = 1 }; /* cost of an elementwise op that is made where it is read rather than stored */

bool fuse_is_unit_reshape(const Op *op) {
    if (op->code != OP_RESHAPE)
        return false;
    const Type *from = op->inputs[0]->type, *to = op->results[0]->type;
    int i = 0, j = 0;
    for (;;) {
        while (i < from->rank && dim_equal(from->dims[i], dim_static(1)))
            i++;
        while (j < to->rank && dim_equal(to->dims[j], dim_static(1)))
            j++;
        if (i == from->rank || j == to->rank)
            return i == from->rank && j == to->rank;
        if (!dim_equal(from->dims[i++], to->dims[j++]))
            return false;
    }
}

static bool is_comparison(const Op *op) {
    return op->code == OP_MAP && op->results[0]->type->dtype == DTYPE_BOOL;
}

/* A number that follows from constants and the size of the batch: cheaper to compute again than to pass on. */
static bool is_uniform(const Op *op) {
    if (op->code == OP_CONST || op->code == OP_BATCH_SIZE)
        return true;
    if ((op->code != OP_MAP && op->code != OP_CAST) || op->results[0]->type->rank != 0)
        return false;
    for (int i = 0; i < op->input_count; i++)
        if (!op->inputs[i]->def || !is_uniform(op->inputs[i]->def))
            return false;
    return true;
}

/* Made of narrower values along some axes each: to read those again takes less memory than to pass the product on. */
static bool is_outer_product(const Op *op) {
    if (op->code != OP_MAP || scalar_infos[op->attr.scalar].cost > CHEAP || op->input_count < 2)
        return false;
    for (int i = 0; i < op->input_count; i++) {
        const Op *from = op->inputs[i]->def;
        if (!from || from->code != OP_BROADCAST || from->inputs[0]->type->rank >= op->results[0]->type->rank)
            return false;
    }
    return true;
}

bool fuse_is_inline(const Op *op) {
    switch (op->code) {
    case OP_CONST:
    case OP_IOTA:
    case OP_VARIABLE:
    case OP_BATCH_SIZE:
    case OP_RANDOM:
    case OP_BROADCAST:
    case OP_TRANSPOSE:
    case OP_SLICE:
    case OP_REVERSE:
    case OP_PAD:
    case OP_CAST:
    case OP_STOP_GRADIENT:
    case OP_GATHER:
        return true;
    case OP_RESHAPE:
        return fuse_is_unit_reshape(op);
    case OP_UNPOOL:
        return window_is_disjoint(&op->attr.window);
    default:
        return is_comparison(op) || is_uniform(op) || is_outer_product(op);
    }
}
