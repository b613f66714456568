/* Which ops read what others make at other places than their own, through a padding, slice, reverse, transpose or
 * gather that is inline, as the cells of a window are read. Such an op is never in one nest with what it reads: each
 * element would be computed again for every reader. */
#include "passes/fuse_groups.h"

static bool moves_elements(const Op *op, int input) {
    return op->code == OP_PAD || op->code == OP_SLICE || op->code == OP_REVERSE || op->code == OP_TRANSPOSE ||
           (op->code == OP_GATHER && input == 0);
}

/* From `read` back through inline ops to `value`, NULL: to any. */
static bool is_moved(const Value *read, const Value *value, bool moved) {
    if (moved && (!value || read == value))
        return true;
    const Op *view = read->def;
    if (!view || read == value || !fuse_is_inline(view))
        return false;
    for (int i = 0; i < view->input_count; i++)
        if (is_moved(view->inputs[i], value, moved || moves_elements(view, i)))
            return true;
    return false;
}

bool fuse_moves(const Op *op, const Value *value) {
    for (int i = 0; i < op->input_count; i++)
        if (is_moved(op->inputs[i], value, false))
            return true;
    return false;
}

bool fuse_reads_elsewhere(const FuseGroups *g, int from, int to) {
    return g->moves[to] && fuse_moves(g->ops[to], g->ops[from]->results[0]);
}

bool fuse_needs_other_places(const FuseGroups *g, int producer, int consumer) {
    for (int i = consumer; i >= 0; i = g->next[i])
        for (int k = 0; g->moves[i] && k < g->producers[i].count; k++) {
            int made_by = g->producers[i].items[k];
            if (fuse_owner(g, made_by) == producer && fuse_reads_elsewhere(g, made_by, i))
                return true;
        }
    return false;
}
