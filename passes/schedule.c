/* Orders the ops of each function for little memory: greedily the op next that frees most and allocates least.
 *
 * A kernel that writes a variable comes after all other kernels that read it, so that the update may happen in place;
 * where such an order would go in a circle it is given up (lowering then writes a copy). */
#include "ir/uses.h"
#include "passes/pass.h"

typedef struct {
    int *items, count, capacity;
} Edges;

typedef struct {
    Op **ops;
    int count;
    Arena *arena;
    FuncUses uses;
    Edges *later;      /* by op: which must come after it; one may be there twice */
    int *waiting;      /* by op: how many edges lead to it from ops not placed yet */
    int *readers_left; /* by Value.id: reading ops not placed yet */
    int *ready, ready_count;
    int *seen, walk; /* by op: the last search that came by */
    int64_t batch;
} Schedule;

static void add_edge(Schedule *s, int from, int to) {
    Edges *e = &s->later[from];
    ARENA_PUSH(s->arena, e->items, e->count, e->capacity, to);
    s->waiting[to]++;
}

static bool search(Schedule *s, int from, int to) {
    s->seen[from] = s->walk;
    for (int i = 0; i < s->later[from].count; i++) {
        int next = s->later[from].items[i];
        if (next == to || (s->seen[next] != s->walk && search(s, next, to)))
            return true;
    }
    return false;
}

static bool comes_before(Schedule *s, int from, int to) {
    s->walk++;
    return search(s, from, to);
}

static void order_by_data(Schedule *s) {
    for (int j = 0; j < s->count; j++)
        for (int k = 0; k < s->ops[j]->input_count; k++) {
            int i = s->uses.place[s->ops[j]->inputs[k]->id];
            if (i >= 0)
                add_edge(s, i, j);
        }
}

/* Each writer of a variable after the readers of the old value. */
static void order_writers(Schedule *s) {
    for (int a = 0; a < s->count; a++) {
        const Op *assign = s->ops[a];
        int writer = assign->code == OP_ASSIGN ? s->uses.place[assign->inputs[0]->id] : -1;
        if (writer < 0)
            continue;
        const Readers *readers = &s->uses.readers[assign->attr.variable->id];
        for (int i = 0; i < readers->count; i++) {
            int r = readers->items[i].place;
            if (r != writer && r != a && !comes_before(s, writer, r))
                add_edge(s, r, writer);
        }
    }
}

static int64_t value_bytes(const Schedule *s, const Value *value) {
    return type_count(value->type, s->batch) * (value->type->dtype == DTYPE_BOOL ? 1 : 4);
}

/* Bytes that placing the op adds, less those it frees. */
static int64_t cost(const Schedule *s, const Op *op) {
    int64_t bytes = 0;
    for (int i = 0; i < op->result_count; i++)
        bytes += value_bytes(s, op->results[i]);
    for (int i = 0; i < op->input_count; i++)
        if (s->readers_left[op->inputs[i]->id] == 1 && s->uses.place[op->inputs[i]->id] >= 0)
            bytes -= value_bytes(s, op->inputs[i]);
    return bytes;
}

static void place(Schedule *s, Region *body, int i) {
    op_append(body, s->ops[i]);
    for (int k = 0; k < s->ops[i]->input_count; k++)
        s->readers_left[s->ops[i]->inputs[k]->id]--;
    for (int k = 0; k < s->later[i].count; k++)
        if (--s->waiting[s->later[i].items[k]] == 0)
            s->ready[s->ready_count++] = s->later[i].items[k];
}

/* Takes from what is ready the op that costs least, of several the first. There always is one: data has no circle, and
 * no edge was added that closes one. */
static int take_best(Schedule *s) {
    int best = 0;
    int64_t best_cost = 0;
    for (int n = 0; n < s->ready_count; n++) {
        int64_t c = cost(s, s->ops[s->ready[n]]);
        if (n == 0 || c < best_cost || (c == best_cost && s->ready[n] < s->ready[best])) {
            best = n;
            best_cost = c;
        }
    }
    int op = s->ready[best];
    s->ready[best] = s->ready[--s->ready_count];
    return op;
}

static bool schedule_func(Func *func, Arena *arena) {
    Schedule s = {.arena = arena, .batch = func->module->batch_max};
    for (Op *op = func->body.first; op; op = op->next)
        s.count++;
    s.ops = ARENA_ARRAY(arena, Op *, s.count);
    s.uses = func_uses(func, arena);
    s.readers_left = func_count_uses(func, arena);
    s.later = ARENA_ARRAY(arena, Edges, s.count);
    s.waiting = ARENA_ARRAY(arena, int, s.count);
    s.ready = ARENA_ARRAY(arena, int, s.count);
    s.seen = ARENA_ARRAY(arena, int, s.count);
    int n = 0;
    for (Op *op = func->body.first; op; op = op->next)
        s.ops[n++] = op;
    order_by_data(&s);
    order_writers(&s);
    for (int i = 0; i < s.count; i++)
        if (s.waiting[i] == 0)
            s.ready[s.ready_count++] = i;
    func->body.first = func->body.last = NULL;
    bool changed = false;
    for (int placed = 0; placed < s.count; placed++) {
        int best = take_best(&s);
        changed = changed || best != placed;
        place(&s, &func->body, best);
    }
    return changed;
}

bool pass_schedule(Module *module, PassContext *context) {
    bool changed = false;
    for (int i = 0; i < module->func_count; i++) {
        bool moved = schedule_func(module->funcs[i], context->arena);
        if (moved)
            func_renumber(module->funcs[i]);
        changed = moved || changed;
    }
    return changed;
}
