/* The index of who uses what. */
#include "ir/uses.h"

const Variable *value_variable(const Value *value) {
    const Op *op = value->def;
    while (op && op->code == OP_RESHAPE)
        op = op->inputs[0]->def;
    return op && op->code == OP_VARIABLE ? op->attr.variable : NULL;
}

static void note_reader(FuncUses *uses, const Variable *variable, Reader reader, Arena *arena) {
    Readers *r = &uses->readers[variable->id];
    if (r->count == 0 || r->items[r->count - 1].op != reader.op)
        ARENA_PUSH(arena, r->items, r->count, r->capacity, reader);
}

static void note_region(FuncUses *uses, const Region *region, Reader reader, Arena *arena) {
    for (const Op *op = region->first; op; op = op->next) {
        if (op->code == OP_VARIABLE)
            note_reader(uses, op->attr.variable, reader, arena);
        if (op->region)
            note_region(uses, op->region, reader, arena);
    }
}

static void note_op(FuncUses *uses, const Op *op, int place, Arena *arena) {
    Reader reader = {op, place};
    for (int i = 0; i < op->result_count; i++)
        uses->place[op->results[i]->id] = place;
    if (op->code == OP_ASSIGN && !uses->assign[op->inputs[0]->id])
        uses->assign[op->inputs[0]->id] = op;
    if (op->region)
        note_region(uses, op->region, reader, arena);
    for (int i = 0; i < op->input_count && op->code != OP_RESHAPE; i++) {
        const Variable *variable = value_variable(op->inputs[i]);
        if (variable)
            note_reader(uses, variable, reader, arena);
    }
}

FuncUses func_uses(const Func *func, Arena *arena) {
    int values = func->value_count, place = 0;
    FuncUses uses = {ARENA_ARRAY(arena, int, values), ARENA_ARRAY(arena, const Op *, values),
                     ARENA_ARRAY(arena, int, values), ARENA_ARRAY(arena, Readers, func->module->variable_count)};
    for (int i = 0; i < values; i++)
        uses.place[i] = uses.result[i] = -1;
    for (int i = func->body.yield_count - 1; i >= 0; i--)
        uses.result[func->body.yields[i]->id] = i;
    for (const Op *op = func->body.first; op; op = op->next)
        note_op(&uses, op, place++, arena);
    return uses;
}
