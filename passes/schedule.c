/* Orders the ops of each function for little memory: greedily the op next that frees most and allocates least.
 *
 * A kernel that writes a variable comes after all other kernels that read it, so that the update may happen in place;
 * where such an order would go in a circle it is given up (lowering then writes a copy). */
#include "passes/pass.h"
#include <string.h>

typedef struct {
    Op **ops;
    int count;
    int *made_by;      /* by Value.id: op, -1 */
    char *before;      /* count * count: before[i * count + j]: i must come before j */
    int *waiting;      /* by op: how many must still come before */
    int *readers_left; /* by Value.id: reading ops not placed yet */
    int64_t batch;
    char *done;
} Schedule;

static bool reads_variable(const Op *op, const Variable *variable) {
    if (op->code == OP_VARIABLE)
        return op->attr.variable == variable;
    if (op->region)
        for (const Op *inner = op->region->first; inner; inner = inner->next)
            if (reads_variable(inner, variable))
                return true;
    return false;
}

static bool comes_before(const Schedule *s, int from, int to, char *seen) {
    if (s->before[from * s->count + to])
        return true;
    seen[from] = 1;
    for (int i = 0; i < s->count; i++)
        if (s->before[from * s->count + i] && !seen[i] && comes_before(s, i, to, seen))
            return true;
    return false;
}

static void order_by_data(Schedule *s) {
    for (int j = 0; j < s->count; j++)
        for (int k = 0; k < s->ops[j]->input_count; k++) {
            int i = s->made_by[s->ops[j]->inputs[k]->id];
            if (i >= 0)
                s->before[i * s->count + j] = 1;
        }
}

/* Readers of a variable: fusions that hold it, and those fed by a view of it. */
static void order_writers(Schedule *s, Arena *arena) {
    char *seen = ARENA_ARRAY(arena, char, s->count + 1);
    for (int a = 0; a < s->count; a++) {
        const Op *assign = s->ops[a];
        int writer = assign->code == OP_ASSIGN ? s->made_by[assign->inputs[0]->id] : -1;
        if (writer < 0)
            continue;
        for (int r = 0; r < s->count; r++) {
            bool reads = reads_variable(s->ops[r], assign->attr.variable) && s->ops[r]->code != OP_VARIABLE;
            for (int k = 0; k < s->ops[r]->input_count && !reads; k++) {
                const Op *from = s->ops[r]->inputs[k]->def;
                while (from && from->code == OP_RESHAPE)
                    from = from->inputs[0]->def;
                reads = from && from->code == OP_VARIABLE && from->attr.variable == assign->attr.variable &&
                        s->ops[r]->code != OP_RESHAPE;
            }
            memset(seen, 0, (size_t)s->count);
            if (reads && r != writer && r != a && !comes_before(s, writer, r, seen))
                s->before[r * s->count + writer] = 1;
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
        if (s->readers_left[op->inputs[i]->id] == 1 && s->made_by[op->inputs[i]->id] >= 0)
            bytes -= value_bytes(s, op->inputs[i]);
    return bytes;
}

static void place(Schedule *s, Region *body, int i) {
    s->done[i] = 1;
    op_append(body, s->ops[i]);
    for (int k = 0; k < s->ops[i]->input_count; k++)
        s->readers_left[s->ops[i]->inputs[k]->id]--;
    for (int j = 0; j < s->count; j++)
        s->waiting[j] -= s->before[i * s->count + j];
}

static bool schedule_func(Func *func, Arena *arena) {
    Schedule s = {.batch = func->module->batch_max};
    for (Op *op = func->body.first; op; op = op->next)
        s.count++;
    s.ops = ARENA_ARRAY(arena, Op *, s.count + 1);
    s.made_by = ARENA_ARRAY(arena, int, func->value_count + 1);
    s.readers_left = func_count_uses(func, arena);
    s.before = ARENA_ARRAY(arena, char, (size_t)s.count *(size_t)s.count + 1);
    s.waiting = ARENA_ARRAY(arena, int, s.count + 1);
    s.done = ARENA_ARRAY(arena, char, s.count + 1);
    for (int i = 0; i < func->value_count; i++)
        s.made_by[i] = -1;
    int n = 0;
    for (Op *op = func->body.first; op; op = op->next, n++) {
        s.ops[n] = op;
        for (int i = 0; i < op->result_count; i++)
            s.made_by[op->results[i]->id] = n;
    }
    order_by_data(&s);
    order_writers(&s, arena);
    for (int i = 0; i < s.count; i++)
        for (int j = 0; j < s.count; j++)
            s.waiting[j] += s.before[i * s.count + j];
    func->body.first = func->body.last = NULL;
    bool changed = false;
    for (int placed = 0; placed < s.count; placed++) {
        int best = -1;
        int64_t best_cost = 0;
        for (int i = 0; i < s.count; i++)
            if (!s.done[i] && s.waiting[i] == 0) {
                int64_t c = cost(&s, s.ops[i]);
                if (best < 0 || c < best_cost) {
                    best = i;
                    best_cost = c;
                }
            }
        if (best < 0) { /* cannot happen: data order has no circle and none was added */
            for (int i = 0; i < s.count; i++)
                if (!s.done[i])
                    best = best < 0 ? i : best;
        }
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
