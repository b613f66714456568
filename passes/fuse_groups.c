/* Decides which ops share a kernel.
 *
 * Every op that computes starts as its own group; then readers are merged with what they read, in program order:
 * - same space: pointwise ops join the group whose single nest runs over the same index space (bias, activation and
 *   mask behind a contraction, an optimizer behind a weight gradient);
 * - prologue: a pointwise group that one reduction alone reads is computed inside it;
 * - rows: ops that keep the rows of the batch apart share a kernel over rows (softmax with its loss and gradient);
 * - small: what is too little for threads shares a kernel, to save barriers.
 * A merge must not close a cycle through a third group (passes/fuse_order.c). */
#include "passes/fuse_groups.h"
#include <string.h>

enum { SMALL_WORK = 4096 };
enum { MOST_TERMS = 256, LEAST_TANGLED = 8 }; /* ops in the expression of a sum; and that can make it so long */
enum { MOST_STEPS = 4 };                      /* of cheap ops behind each other */
enum { CHEAP = 1 }; /* cost of an elementwise op that is made where it is read rather than stored */

/* Reshapes that change the memory form, assigns and scans (kernels by themselves) stay outside. */
static bool is_outside(const Op *op) {
    return op->code == OP_ASSIGN || op->code == OP_RESHAPE || op->code == OP_FUSION || op->code == OP_SCAN;
}
static bool is_map(const Op *op) {
    return op->code == OP_MAP || op->code == OP_COPY;
}
static bool is_contraction(const Op *op) {
    return op_infos[op->code].op_class == CLASS_CONTRACT;
}

static int64_t op_work(const FuseGroups *g, const Op *op) {
    int64_t most = 1, batch = g->func->module->batch_max;
    for (int i = 0; i < op->result_count; i++) {
        int64_t n = type_count(op->results[i]->type, batch);
        most = n > most ? n : most;
    }
    for (int i = 0; i < op->input_count; i++) {
        int64_t n = type_count(op->inputs[i]->type, batch);
        most = n > most ? n : most;
    }
    int64_t inner = is_contraction(op) ? type_count(op->inputs[0]->type, batch) : 1;
    return most * (op->code == OP_MAP ? scalar_infos[op->attr.scalar].cost : inner);
}

/* ---- rows */
static bool has_batch_rows(const Type *type) {
    return type->rank > 0 && type->dims[0].batch;
}

static bool einsum_keeps_rows(const Op *op) {
    const EinsumAttr *e = &op->attr.einsum;
    const Type *a = op->inputs[0]->type, *b = op->inputs[1]->type;
    if (!has_batch_rows(op->results[0]->type))
        return false;
    bool a_rows = has_batch_rows(a) && e->a[0] == e->out[0], b_rows = has_batch_rows(b) && e->b[0] == e->out[0];
    return (a_rows || !has_batch_rows(a)) && (b_rows || !has_batch_rows(b));
}

/* Row r of the result needs only row r of the inputs. */
static bool keeps_rows(const Op *op) {
    const Type *result = op->results[0]->type;
    switch (op_infos[op->code].op_class) {
    case CLASS_MAP:
        return has_batch_rows(result);
    case CLASS_REDUCE:
        if (!has_batch_rows(op->inputs[0]->type))
            return false;
        if (op->code == OP_ARGMAX)
            return op->attr.axis != 0;
        for (int i = 0; i < op->attr.reduce.over.count; i++)
            if (op->attr.reduce.over.axes[i] == 0)
                return false;
        return true;
    case CLASS_CONTRACT:
        return op->code == OP_EINSUM && einsum_keeps_rows(op);
    default:
        return false;
    }
}

static int64_t row_elements(const Type *type) {
    int64_t n = 1;
    for (int i = 0; i < type->rank; i++)
        n *= type->dims[i].n;
    return n;
}

/* ---- groups */
static int find(const FuseGroups *g, int op) {
    while (g->group[op] != op)
        op = g->group[op];
    return op;
}

static bool same_space(const Type *a, const Type *b) {
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (!dim_equal(a->dims[i], b->dims[i]))
            return false;
    return true;
}

/* The op of the group that sums over axes, if it is the only root; else -1. */
static int only_sum(const FuseGroups *g, int group) {
    int found = -1, roots = 0;
    for (int i = group; i >= 0; i = g->next[i])
        if (!is_map(g->ops[i])) {
            roots++;
            found = op_infos[g->ops[i]->code].op_class == CLASS_REDUCE ? i : -1;
        }
    return roots == 1 ? found : -1;
}

enum { MOST_CELLS = 9 }; /* of a window whose cells are all computed in one tile */

static bool is_pooling(const Op *op) {
    return op->code == OP_POOL || op->code == OP_POOL_ARGMAX;
}

/* Windows that do not overlap, and lie inside: a contraction can be computed window by window. */
static bool can_be_cells(const Op *pool) {
    const WindowAttr *w = &pool->attr.window;
    int64_t cells = 1;
    for (int s = 0; s < w->spatial; s++) {
        int64_t end = (pool->results[0]->type->dims[s + 1].n - 1) * w->stride[s] + w->size[s] - w->low[s];
        if (w->low[s] > 0 || end > pool->inputs[0]->type->dims[s + 1].n)
            return false;
        cells *= w->size[s];
    }
    return window_is_disjoint(w) && cells > 1 && cells <= MOST_CELLS;
}

/* The pooling of the group whose input is made in the group: its nest is one of windows; NULL: none. */
static const Op *windows_of(const FuseGroups *g, int group) {
    for (int i = group; i >= 0; i = g->next[i]) {
        int made_by = is_pooling(g->ops[i]) ? g->index[g->ops[i]->inputs[0]->id] : -1;
        if (made_by >= 0 && g->group[made_by] >= 0 && find(g, made_by) == group)
            return g->ops[i];
    }
    return NULL;
}

/* Would a sum that reads the ops of the group before `end` have an expression of very many ops, because each reader of
 * a value makes that again? */
static bool is_tangled(const FuseGroups *g, int group, int end) {
    int first = end, last = -1, members = 0, *terms = g->terms;
    for (int i = group; i >= 0; i = g->next[i])
        if (i < end) {
            first = i < first ? i : first;
            last = i > last ? i : last;
            members++;
        }
    if (members < LEAST_TANGLED)
        return false;
    for (int op = first; op <= last; op++) {
        terms[op] = 1;
        if (fuse_owner(g, op) != group && !fuse_is_inline(g->ops[op]))
            continue;
        for (int k = 0; k < g->ops[op]->input_count && terms[op] <= MOST_TERMS; k++) {
            int made_by = g->index[g->ops[op]->inputs[k]->id];
            terms[op] += made_by >= first ? terms[made_by] : 1;
        }
        if (terms[op] > MOST_TERMS)
            return true;
    }
    return false;
}

static GroupFacts find_facts(const FuseGroups *g, int group) {
    GroupFacts f = {.known = true, .maps_only = true, .rows = true, .single_space = true};
    int sum = only_sum(g, group);
    if (sum >= 0 && is_tangled(g, group, sum))
        sum = -1; /* nothing is computed inside it */
    f.windows = windows_of(g, group);
    f.space = f.windows ? f.windows->results[0]->type : NULL;
    for (int i = group; i >= 0; i = g->next[i]) {
        const Op *op = g->ops[i];
        const Type *result = op->results[0]->type;
        f.work += op_work(g, op);
        f.rows = f.rows && keeps_rows(op);
        f.contractions += is_contraction(op);
        if (row_elements(result) > f.row_elements)
            f.row_elements = row_elements(result);
        if (!is_map(op)) {
            f.maps_only = false;
            f.roots += !(f.windows && is_pooling(op));
        }
        if (sum >= 0 && i < sum && same_space(result, g->ops[sum]->inputs[0]->type))
            continue; /* computed inside the sum */
        if (f.windows && type_equal_dims(result, f.windows->inputs[0]->type))
            continue; /* cells */
        if (!f.space)
            f.space = result;
        else if (!same_space(f.space, result))
            f.single_space = false;
    }
    if (f.roots > 1 || fuse_needs_other_places(g, group, group))
        f.single_space = false;
    f.small = f.work <= SMALL_WORK;
    return f;
}

static GroupFacts group_facts(const FuseGroups *g, int group) {
    if (!g->facts[group].known)
        g->facts[group] = find_facts(g, group);
    return g->facts[group];
}

int fuse_owner(const FuseGroups *g, int op) {
    return g->group[op] >= 0 ? find(g, op) : op;
}

static void merge(FuseGroups *g, int a, int b) {
    int low = a < b ? a : b, high = a < b ? b : a;
    fuse_join_places(g, a, b, low);
    g->group[high] = low;
    g->next[g->last[low]] = high;
    g->last[low] = g->last[high];
    g->facts[low].known = false;
}

/* ---- rules */

/* All readers of the group are in `reader`, and they read it once. */
static bool read_once_by(const FuseGroups *g, int group, int reader) {
    int readers = 0;
    for (int i = group; i >= 0; i = g->next[i])
        for (int r = 0; r < g->readers[i].count; r++) {
            int by = g->group[g->readers[i].items[r]] >= 0 ? find(g, g->readers[i].items[r]) : -1;
            if (by == group)
                continue;
            if (by != reader)
                return false;
            readers++;
        }
    return readers == 1;
}

static bool is_plain_reduction(const FuseGroups *g, int group, const GroupFacts *f, const Type *space) {
    if (f->roots != 1)
        return false;
    for (int i = group; i >= 0; i = g->next[i])
        if (!is_map(g->ops[i]))
            return op_infos[g->ops[i]->code].op_class == CLASS_REDUCE && same_space(g->ops[i]->inputs[0]->type, space);
    return false;
}

static bool is_yielded(const FuseGroups *g, const Value *value) {
    for (int i = 0; i < g->func->body.yield_count; i++)
        if (g->func->body.yields[i] == value)
            return true;
    return false;
}

/* ---- values that are cheaper to compute where they are read */
static bool reads_directly(const Op *reader, const Op *made_by) {
    for (int i = 0; i < reader->input_count; i++)
        if (reader->inputs[i] == made_by->results[0])
            return true;
    return false;
}

/* Does `to` wait for a sum over what `from` makes, or for other places of it? Then they are never in one nest. */
static bool waits_for_sum(const FuseGroups *g, int from, int to) {
    enum { REACHED = 1, SUMMED = 2 };
    char *state = g->ways;
    memset(state + from, 0, (size_t)(to - from + 1));
    state[from] = REACHED;
    for (int i = from; i < to; i++)
        for (int r = 0; state[i] && r < g->readers[i].count; r++) {
            int reader = g->readers[i].items[r];
            if (reader > to)
                continue;
            bool summed = (i != from && !is_map(g->ops[i])) || fuse_reads_elsewhere(g, i, reader);
            state[reader] |= state[i] | (summed ? REACHED | SUMMED : REACHED);
        }
    return (state[to] & SUMMED) != 0;
}

/* A cheap value that only one op reads, which can make it itself and never runs in the nest of `producer`; or leaves it
 * to its own reader, if it is as cheap. Returns the op whose result that reader reads, -1: it is no such value. */
static int left_at(const FuseGroups *g, int producer, int op) {
    for (int steps = 0; steps < MOST_STEPS; steps++) {
        const Op *map = g->ops[op];
        if (map->code != OP_MAP || scalar_infos[map->attr.scalar].cost > CHEAP || g->readers[op].count != 1 ||
            is_yielded(g, map->results[0]))
            return -1;
        int by = g->readers[op].items[0];
        const Op *reader = g->ops[by];
        if (!reads_directly(reader, map))
            return -1;
        if (op_infos[reader->code].op_class == CLASS_REDUCE ||
            (reader->code == OP_MAP && waits_for_sum(g, producer, by)))
            return op;
        op = by;
    }
    return -1;
}

/* Memory is written for this value in any case: a reader that is no elementwise op, or two that make something else of
 * it (what they make together could be stored in its place). */
static bool is_stored_anyway(const FuseGroups *g, int op) {
    int first = -1;
    for (int r = 0; r < g->readers[op].count; r++) {
        const Op *reader = g->ops[g->readers[op].items[r]];
        if ((!is_map(reader) && reads_directly(reader, g->ops[op])) ||
            fuse_reads_elsewhere(g, op, g->readers[op].items[r]))
            return true;
        int left = left_at(g, op, g->readers[op].items[r]);
        if (left >= 0 && first >= 0 && left != first)
            return true;
        first = left >= 0 ? left : first;
    }
    return is_yielded(g, g->ops[op]->results[0]);
}

/* The one op of a group of cheap values that others read; -1: there are several, or some are not cheap. */
static int only_exit(const FuseGroups *g, int group) {
    int found = -1;
    for (int i = group; i >= 0; i = g->next[i]) {
        if (g->ops[i]->code != OP_MAP || scalar_infos[g->ops[i]->attr.scalar].cost > CHEAP)
            return -1;
        for (int r = 0; r < g->readers[i].count; r++)
            if (fuse_owner(g, g->readers[i].items[r]) != group) {
                if (found >= 0 && found != i)
                    return -1;
                found = i;
            }
    }
    return found;
}

/* Written beside what it is computed from, the value would cost a store more than where it is read. */
static bool is_left_to_reader(const FuseGroups *g, int producer, int consumer) {
    int left = only_exit(g, consumer);
    for (int i = consumer; i >= 0 && left >= 0; i = g->next[i])
        for (int k = 0; k < g->ops[i]->input_count; k++) {
            int made_by = g->index[g->ops[i]->inputs[k]->id];
            if (made_by >= 0 && g->group[made_by] >= 0 && find(g, made_by) == producer)
                return left_at(g, made_by, left) >= 0 && is_stored_anyway(g, made_by);
        }
    return false;
}

/* Everybody else who reads what the group makes pools it with the windows of `pool`. */
static bool is_pooled_only(const FuseGroups *g, int group, const Op *pool) {
    for (int i = group; i >= 0; i = g->next[i])
        for (int r = 0; r < g->readers[i].count; r++) {
            const Op *reader = g->ops[g->readers[i].items[r]];
            if (g->group[g->readers[i].items[r]] >= 0 && find(g, g->readers[i].items[r]) == group)
                continue;
            WindowAttr w = reader->attr.window;
            if (!is_pooling(reader) || reader->inputs[0] != pool->inputs[0] ||
                memcmp(&w.size, &pool->attr.window.size, sizeof w.size) != 0 ||
                memcmp(&w.stride, &pool->attr.window.stride, sizeof w.stride) != 0 ||
                memcmp(&w.low, &pool->attr.window.low, sizeof w.low) != 0)
                return false;
        }
    return true;
}

/* Pooling joins the contraction whose result it is of: its cells then never lie in memory. Two poolings at most: a
 * maximum and its cell. */
static bool merges_in_windows(const FuseGroups *g, int producer, int consumer) {
    const Op *pool = g->ops[consumer];
    GroupFacts p = group_facts(g, producer);
    if (!is_pooling(pool) || g->next[consumer] >= 0 || !p.single_space || p.contractions != 1 || p.roots != 1 ||
        !can_be_cells(pool) || is_yielded(g, pool->inputs[0]))
        return false;
    int made_by = g->index[pool->inputs[0]->id];
    if (made_by < 0 || g->group[made_by] < 0 || find(g, made_by) != producer)
        return false;
    return p.windows ? p.windows->code != pool->code && p.windows->inputs[0] == pool->inputs[0]
                     : same_space(p.space, pool->inputs[0]->type) && is_pooled_only(g, producer, pool);
}

static bool merges_in_space(const FuseGroups *g, int producer, int consumer) {
    GroupFacts p = group_facts(g, producer), c = group_facts(g, consumer);
    if (merges_in_windows(g, producer, consumer))
        return true;
    if (p.single_space && c.single_space && c.maps_only && same_space(p.space, c.space))
        return !is_left_to_reader(g, producer, consumer) && !fuse_needs_other_places(g, producer, consumer);
    return p.maps_only && p.single_space && c.single_space && is_plain_reduction(g, consumer, &c, p.space) &&
           read_once_by(g, producer, consumer) && !is_tangled(g, producer, g->count);
}

static bool merges_in_rows(const FuseGroups *g, int producer, int consumer) {
    GroupFacts p = group_facts(g, producer), c = group_facts(g, consumer);
    return p.rows && c.rows && c.contractions == 0 && p.row_elements <= ROW_ELEMENTS && c.row_elements <= ROW_ELEMENTS;
}

static bool merges_in_long_rows(const FuseGroups *g, int producer, int consumer) {
    GroupFacts p = group_facts(g, producer), c = group_facts(g, consumer);
    return p.rows && c.rows && p.contractions + c.contractions == 0 &&
           (p.row_elements > ROW_ELEMENTS || c.row_elements > ROW_ELEMENTS) &&
           fuse_share_rows(g, producer, consumer, ROW_ELEMENTS);
}

/* ---- readers, through inline ops */
static void add_reader(FuseGroups *g, int from, int to) {
    IndexList *readers = &g->readers[from], *producers = &g->producers[to];
    if (readers->count && readers->items[readers->count - 1] == to)
        return; /* readers come one after the other */
    ARENA_PUSH(g->arena, readers->items, readers->count, readers->capacity, to);
    ARENA_PUSH(g->arena, producers->items, producers->count, producers->capacity, from);
    for (int i = producers->count - 1; i > 0 && producers->items[i - 1] < from; i--) {
        producers->items[i] = producers->items[i - 1];
        producers->items[i - 1] = from;
    }
}

static void collect(FuseGroups *g, const Value *value, int reader) {
    int made_by = g->index[value->id];
    if (made_by < 0)
        return;
    const Op *op = g->ops[made_by];
    if (!fuse_is_inline(op)) {
        add_reader(g, made_by, reader);
        return;
    }
    for (int i = 0; i < op->input_count; i++)
        collect(g, op->inputs[i], reader);
}

static FuseGroups *groups_start(Func *func, Arena *arena) {
    FuseGroups *g = ARENA_NEW(arena, FuseGroups);
    g->func = func;
    g->arena = arena;
    for (Op *op = func->body.first; op; op = op->next)
        g->count++;
    g->ops = ARENA_ARRAY(arena, Op *, g->count);
    g->group = ARENA_ARRAY(arena, int, g->count);
    g->next = ARENA_ARRAY(arena, int, g->count);
    g->last = ARENA_ARRAY(arena, int, g->count);
    g->place = ARENA_ARRAY(arena, int, g->count);
    g->at = ARENA_ARRAY(arena, int, g->count);
    g->stack = ARENA_ARRAY(arena, int, 2 * g->count + 1); /* room for two */
    g->seen = ARENA_ARRAY(arena, int, g->count);
    g->ways = ARENA_ARRAY(arena, char, g->count);
    g->terms = ARENA_ARRAY(arena, int, g->count);
    g->facts = ARENA_ARRAY(arena, GroupFacts, g->count);
    g->readers = ARENA_ARRAY(arena, IndexList, g->count);
    g->producers = ARENA_ARRAY(arena, IndexList, g->count);
    g->moves = ARENA_ARRAY(arena, bool, g->count);
    g->index = ARENA_ARRAY(arena, int, func->value_count);
    for (int i = 0; i < func->value_count; i++)
        g->index[i] = -1;
    int n = 0;
    for (Op *op = func->body.first; op; op = op->next, n++) {
        g->ops[n] = op;
        g->group[n] = fuse_is_inline(op) || is_outside(op) ? -1 : n;
        g->next[n] = -1;
        g->last[n] = g->place[n] = g->at[n] = n;
        g->moves[n] = fuse_moves(op, NULL);
        for (int i = 0; i < op->result_count; i++)
            g->index[op->results[i]->id] = n;
    }
    for (int i = 0; i < g->count; i++)
        if (!fuse_is_inline(g->ops[i]))
            for (int k = 0; k < g->ops[i]->input_count; k++)
                collect(g, g->ops[i]->inputs[k], i);
    return g;
}

typedef bool (*MergeRule)(const FuseGroups *, int producer, int consumer);

static void merge_with_producers(FuseGroups *g, MergeRule rule) {
    for (int c = 0; c < g->count; c++)
        for (int i = 0; i < g->producers[c].count && g->group[c] >= 0; i++) {
            int p = g->producers[c].items[i];
            if (g->group[p] < 0)
                continue;
            int from = find(g, p), to = find(g, c);
            if (from != to && rule(g, from, to) && !fuse_reaches(g, from, to))
                merge(g, from, to);
        }
}

static bool may_be_small(const FuseGroups *g, int group) {
    if (g->group[group] != group)
        return false;
    GroupFacts f = group_facts(g, group);
    return f.small && f.contractions == 0;
}

/* The first of these small groups that group b may be merged with; -1: there is none. */
static int small_partner(FuseGroups *g, const int *small, int count, int b) {
    bool marked = false;
    int64_t work = group_facts(g, b).work;
    for (int k = 0; k < count; k++) {
        int a = small[k];
        if (!may_be_small(g, a) || group_facts(g, a).work + work > SMALL_WORK)
            continue;
        if (!marked)
            fuse_mark_tied(g, b);
        marked = true;
        if (g->seen[a] != g->walk)
            return a;
    }
    return -1;
}

static void merge_small(FuseGroups *g) {
    int *small = ARENA_ARRAY(g->arena, int, g->count), count = 0; /* merging makes none small */
    for (int i = 0; i < g->count; i++)
        if (may_be_small(g, i))
            small[count++] = i;
    for (int n = 0; n < count; n++) {
        int partner = may_be_small(g, small[n]) ? small_partner(g, small, n, small[n]) : -1;
        if (partner >= 0)
            merge(g, partner, small[n]);
    }
}

/* Members in the order of ops; the representative is the first of them. */
static void sort_members(FuseGroups *g) {
    int *later = ARENA_ARRAY(g->arena, int, g->count); /* by representative: 1 + the member found last */
    for (int i = g->count - 1; i >= 0; i--)
        if (g->group[i] >= 0) {
            int group = find(g, i);
            g->next[i] = later[group] - 1;
            later[group] = i + 1;
        }
}

FuseGroups *fuse_groups(Func *func, Arena *arena) {
    FuseGroups *g = groups_start(func, arena);
    merge_with_producers(g, merges_in_space);
    merge_with_producers(g, merges_in_rows);
    merge_with_producers(g, merges_in_long_rows);
    merge_small(g);
    sort_members(g);
    return g;
}

FusionKind fuse_group_kind(const FuseGroups *g, int group) {
    GroupFacts f = group_facts(g, group);
    bool reduction_first = false;
    if (f.single_space && f.roots <= 1)
        reduction_first = true;
    if (reduction_first || (f.roots == 1 && !f.rows && !f.small))
        return FUSION_NEST;
    if (f.rows)
        return f.contractions == 0 && f.row_elements > ROW_ELEMENTS ? FUSION_LONG_ROWS : FUSION_ROWS;
    return FUSION_SMALL;
}

const char *fuse_why_apart(FuseGroups *g, int producer, int consumer) {
    GroupFacts p = group_facts(g, producer), c = group_facts(g, consumer);
    if (c.contractions > 0)
        return "a contraction reads its operands from memory";
    if (c.maps_only && fuse_needs_other_places(g, producer, consumer))
        return "it reads other places than its own";
    if (fuse_reaches(g, producer, consumer))
        return "a third kernel stands between them";
    if (p.rows && c.rows)
        return "a row is too long to stay in the cache";
    if (p.small != c.small)
        return "one of them is too little for threads, the other is shared by them";
    if (c.roots > 0 && !c.rows)
        return "it sums over what the first one computes in parallel";
    if (c.maps_only && p.single_space && !same_space(p.space, c.space))
        return "another index space";
    return "it has several loop nests and too much work for one thread";
}
