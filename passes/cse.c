/* Common subexpression elimination: of pure ops with the same code, attributes, inputs and types in a function's body
 * only the first is kept; the order of the inputs of a commutative function does not count. Random numbers are pure:
 * same stream, seed and step, same numbers. The region of a scan is a body of its own; fusions are left alone. */
#include "passes/pass.h"

typedef struct {
    Op **slots; /* open addressing; a power of two, at most half full */
    unsigned mask;
} Table;

static unsigned mix(unsigned hash, uint64_t word) {
    return (hash ^ (unsigned)(word ^ word >> 32)) * 0x9E3779B1u;
}

static bool is_commutative(const Op *op) {
    static const bool commutative[FN_COUNT] = {
        [FN_add] = true, [FN_mul] = true, [FN_eq] = true, [FN_ne] = true, [FN_and] = true, [FN_or] = true,
    };
    return op->code == OP_MAP && commutative[op->attr.scalar];
}

static unsigned hash_op(const Op *op) {
    unsigned hash = mix(0x811C9DC5u, op->code);
    bool swap = is_commutative(op) && op->inputs[0]->id > op->inputs[1]->id;
    for (int i = 0; i < op->input_count; i++)
        hash = mix(hash, (uint64_t)op->inputs[swap ? 1 - i : i]->id);
    for (int i = 0; i < op->result_count; i++)
        hash = mix(hash, (uintptr_t)op->results[i]->type >> 4);
    if (op->code == OP_MAP)
        hash = mix(hash, op->attr.scalar);
    if (op->code == OP_VARIABLE)
        hash = mix(hash, (uint64_t)op->attr.variable->id);
    if (op->code == OP_RANDOM)
        hash = mix(hash, (uint64_t)op->attr.random.stream);
    return hash ^ hash >> 15;
}

static bool same_op(const Op *a, const Op *b) {
    if (a->code != b->code || a->input_count != b->input_count || a->result_count != b->result_count)
        return false;
    bool swapped = is_commutative(a) && a->inputs[0] == b->inputs[1] && a->inputs[1] == b->inputs[0];
    for (int i = 0; !swapped && i < a->input_count; i++)
        if (a->inputs[i] != b->inputs[i])
            return false;
    for (int i = 0; i < a->result_count; i++)
        if (a->results[i]->type != b->results[i]->type)
            return false;
    return op_attr_equal(a, b);
}

/* The first op like this one; the op itself if it is the first. */
static Op *find_or_add(Table *table, Op *op) {
    unsigned at = hash_op(op) & table->mask;
    while (table->slots[at] && !same_op(table->slots[at], op))
        at = (at + 1) & table->mask;
    if (!table->slots[at])
        table->slots[at] = op;
    return table->slots[at];
}

static Table table_new(const Region *region, Arena *arena) {
    unsigned size = 16;
    int ops = 0;
    for (const Op *op = region->first; op; op = op->next)
        ops++;
    while (size < 2u * (unsigned)ops + 1)
        size *= 2;
    return (Table){ARENA_ARRAY(arena, Op *, size), size - 1};
}

static bool cse_region(Region *region, Replacements *replacements, Arena *arena) {
    Table table = table_new(region, arena);
    bool changed = false;
    for (Op *op = region->first, *next; op; op = next) {
        next = op->next;
        values_replace(op->inputs, op->input_count, replacements);
        if (op->code == OP_SCAN)
            changed |= cse_region(op->region, replacements, arena);
        else if (op->region)
            region_replace(op->region, replacements);
        if (!(op_infos[op->code].flags & OP_PURE) || op->region)
            continue;
        Op *first = find_or_add(&table, op);
        if (first == op)
            continue;
        for (int i = 0; i < op->result_count; i++)
            replacements->by_id[op->results[i]->id] = first->results[i];
        op_remove(op);
        changed = true;
    }
    values_replace(region->yields, region->yield_count, replacements);
    return changed;
}

bool pass_cse(Module *module, PassContext *context) {
    bool changed = false;
    for (int i = 0; i < module->func_count; i++) {
        Func *func = module->funcs[i];
        Replacements replacements = replacements_new(func, context->arena);
        changed |= cse_region(&func->body, &replacements, context->arena);
    }
    return changed;
}
