/* Rows within samples: axes that come first in all values of two groups, and which no sum of theirs runs over. What the
 * groups compute for one place on these axes needs of each other only what is computed for the same place, so that a
 * row can go through all their nests while it is in the cache. */
#include "passes/fuse_groups.h"

/* How many axes the op keeps apart, from the first on. */
static int kept_axes(const Op *op) {
    if (op->code == OP_MAP || op->code == OP_COPY)
        return op->results[0]->type->rank;
    if (op->code != OP_REDUCE)
        return 0;
    int first = op->inputs[0]->type->rank;
    for (int i = 0; i < op->attr.reduce.over.count; i++)
        if (op->attr.reduce.over.axes[i] < first)
            first = op->attr.reduce.over.axes[i];
    return first;
}

/* The space that the op runs through. */
static const Type *space_of(const Op *op) {
    return op->code == OP_REDUCE ? op->inputs[0]->type : op->results[0]->type;
}

static int common_axes(const Type *a, const Type *b, int most) {
    int n = 0;
    while (n < most && n < a->rank && n < b->rank && dim_equal(a->dims[n], b->dims[n]))
        n++;
    return n;
}

/* Axes that all members of the group keep apart and have in common with this type. */
static int group_axes(const FuseGroups *g, int group, const Type *type, int most) {
    for (int i = group; i >= 0 && most > 0; i = g->next[i]) {
        int kept = kept_axes(g->ops[i]);
        most = common_axes(space_of(g->ops[i]), type, most < kept ? most : kept);
    }
    return most;
}

static bool keeps_axes(const Op *view, int axes) {
    switch (view->code) {
    case OP_MAP:
    case OP_CAST:
    case OP_STOP_GRADIENT:
        return true;
    case OP_BROADCAST:
    case OP_TRANSPOSE:
        for (int i = 0; i < axes; i++)
            if (i >= view->attr.axes.count || view->attr.axes.axes[i] != i)
                return false;
        return true;
    default:
        return false;
    }
}

/* Does the value come from the group without its rows in their places? */
static bool is_misplaced(const FuseGroups *g, const Value *value, int group, int axes, bool kept) {
    int made_by = g->index[value->id];
    if (made_by < 0)
        return false;
    const Op *op = g->ops[made_by];
    if (!fuse_is_inline(op))
        return !kept && fuse_owner(g, made_by) == group;
    kept = kept && keeps_axes(op, axes);
    for (int i = 0; i < op->input_count; i++)
        if (is_misplaced(g, op->inputs[i], group, axes, kept))
            return true;
    return false;
}

static bool reads_in_place(const FuseGroups *g, int reader, int group, int axes) {
    for (int i = reader; i >= 0; i = g->next[i])
        for (int k = 0; k < g->ops[i]->input_count; k++)
            if (is_misplaced(g, g->ops[i]->inputs[k], group, axes, true))
                return false;
    return true;
}

static int64_t longest_row(const FuseGroups *g, int group, int axes) {
    int64_t most = 1;
    for (int i = group; i >= 0; i = g->next[i]) {
        const Type *type = space_of(g->ops[i]);
        int64_t elements = 1;
        for (int k = axes; k < type->rank; k++)
            elements *= type->dims[k].n;
        most = elements > most ? elements : most;
    }
    return most;
}

bool fuse_share_rows(const FuseGroups *g, int producer, int consumer, int64_t most_elements) {
    const Type *type = space_of(g->ops[producer]);
    int axes = group_axes(g, producer, type, type->rank);
    axes = group_axes(g, consumer, type, axes);
    if (axes < 2 || longest_row(g, producer, axes) > most_elements || longest_row(g, consumer, axes) > most_elements)
        return false;
    return reads_in_place(g, consumer, producer, axes) && reads_in_place(g, consumer, consumer, axes) &&
           reads_in_place(g, producer, producer, axes);
}
