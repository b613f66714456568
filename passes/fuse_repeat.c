/* Cheap values that several ops read become one op for each of them, if what they are computed from lies in memory
 * anyway: x minus the mean of its row is not stored beside x. Each of the ops then finds its place in the kernel of its
 * reader. Only long values of samples: short ones stay in the cache from nest to nest. */
#include "passes/fuse_groups.h"

enum { CHEAP = 1, MOST_READERS = 8, MOST_OPERANDS = 2 };

typedef struct {
    Op *items[MOST_READERS + 1];
    int count;   /* distinct ops, one more than MOST_READERS at most */
    bool stored; /* read by something that reads memory, or a result of the function */
    bool by_views;
} ValueReaders;

typedef struct {
    Func *func;
    ValueReaders *readers; /* by Value.id */
    int known;             /* values from here on are copies, each for one reader */
} Repeat;

static void add_reader(Repeat *r, const Value *value, Op *op) {
    ValueReaders *readers = &r->readers[value->id];
    bool map = op->code == OP_MAP && !fuse_is_inline(op);
    readers->stored = readers->stored || (!map && !fuse_is_inline(op));
    readers->by_views = readers->by_views || !(map || op->code == OP_REDUCE);
    for (int i = 0; i < readers->count; i++)
        if (readers->items[i] == op)
            return;
    if (readers->count <= MOST_READERS)
        readers->items[readers->count++] = op;
}

static void find_readers(Repeat *r) {
    for (Op *op = r->func->body.first; op; op = op->next)
        for (int i = 0; i < op->input_count; i++)
            add_reader(r, op->inputs[i], op);
    for (int i = 0; i < r->func->body.yield_count; i++)
        r->readers[r->func->body.yields[i]->id].stored = r->readers[r->func->body.yields[i]->id].by_views = true;
}

/* Along some axes all of it is the same. */
static bool is_narrow(const Value *value) {
    const Op *def = value->def;
    return def && (def->code == OP_BROADCAST || def->code == OP_CONST ||
                   (def->code == OP_MAP && value->type->dtype == DTYPE_F32 && fuse_is_inline(def)));
}

static bool is_in_memory(const Repeat *r, const Value *value) {
    return value->def && !fuse_is_inline(value->def) && value->def->code != OP_RESHAPE && r->readers[value->id].stored;
}

static bool is_cheap(const Repeat *r, const Op *op) {
    const Type *type = op->results[0]->type;
    int whole = 0;
    if (op->code != OP_MAP || type->dtype != DTYPE_F32 || type->rank < 2 || !type->dims[0].batch ||
        type_count(type, 1) <= ROW_ELEMENTS || scalar_infos[op->attr.scalar].cost > CHEAP || fuse_is_inline(op))
        return false;
    for (int i = 0; i < op->input_count; i++) {
        if (is_narrow(op->inputs[i]))
            continue;
        if (op->inputs[i]->id < r->known && !is_in_memory(r, op->inputs[i]))
            return false;
        whole++;
    }
    return whole > 0 && whole <= MOST_OPERANDS;
}

static bool is_worth_it(const Repeat *r, const Op *op) {
    const ValueReaders *readers = &r->readers[op->results[0]->id];
    return is_cheap(r, op) && !readers->by_views && readers->count > 1 && readers->count <= MOST_READERS;
}

static Value *copy_before(const Repeat *r, Op *place, const Op *op) {
    Value *inputs[3];
    for (int i = 0; i < op->input_count; i++)
        inputs[i] = op->inputs[i]->id >= r->known ? copy_before(r, place, op->inputs[i]->def) : op->inputs[i];
    const Type *types[1] = {op->results[0]->type};
    Op *copy = op_new(r->func, op->code, inputs, op->input_count, types, 1, op->span);
    copy->attr = op->attr;
    copy->layer = op->layer;
    copy->gradient = op->gradient;
    op_insert_before(place, copy);
    return copy->results[0];
}

static void give_copies(const Repeat *r, Op *op) {
    const ValueReaders *readers = &r->readers[op->results[0]->id];
    for (int i = 0; i < readers->count; i++) {
        Value *copy = copy_before(r, readers->items[i], op);
        for (int k = 0; k < readers->items[i]->input_count; k++)
            if (readers->items[i]->inputs[k] == op->results[0])
                readers->items[i]->inputs[k] = copy;
    }
    for (int i = 0; i < op->input_count; i++)
        if (op->inputs[i]->id >= r->known)
            op_remove(op->inputs[i]->def);
    op_remove(op);
}

bool fuse_repeat(Func *func, Arena *arena) {
    Repeat r = {.func = func, .known = func->value_count};
    bool changed = false;
    r.readers = ARENA_ARRAY(arena, ValueReaders, func->value_count + 1);
    find_readers(&r);
    for (Op *op = func->body.first, *next; op; op = next) {
        next = op->next;
        if (op->result_count != 1 || op->results[0]->id >= r.known || !is_worth_it(&r, op))
            continue;
        give_copies(&r, op);
        changed = true;
    }
    return changed;
}
