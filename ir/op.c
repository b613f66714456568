/* Raw construction and surgery of functions: values, ops, regions. No rule is checked here; ir/verify.c does. */
#include "ir/ir.h"
#include <string.h>

static Arena *arena_of(const Func *func) {
    return func->module->arena;
}

/* A copy of the array with one more item: arrays of a region have no capacity, and are short. */
static void *array_with(Arena *arena, const void *items, int count, const void *item, size_t bytes) {
    char *grown = arena_alloc(arena, bytes * ((size_t)count + 1));
    if (count)
        memcpy(grown, items, bytes * (size_t)count);
    memcpy(grown + bytes * (size_t)count, item, bytes);
    return grown;
}

Value *value_new(Func *func, const Type *type, const char *name) {
    Value *value = ARENA_NEW(arena_of(func), Value);
    *value = (Value){.id = func->value_count++, .type = type};
    value->name = name ? intern(func->module->names, name) : NULL;
    return value;
}

Op *op_new(Func *func, OpCode code, Value *const *inputs, int input_count, const Type *const *result_types,
           int result_count, Span span) {
    Arena *arena = arena_of(func);
    Op *op = ARENA_NEW(arena, Op);
    op->code = code;
    op->span = span;
    op->input_count = input_count;
    op->inputs = arena_copy(arena, inputs, sizeof *inputs * (size_t)input_count);
    op->result_count = result_count;
    op->results = ARENA_ARRAY(arena, Value *, result_count);
    for (int i = 0; i < result_count; i++) {
        op->results[i] = value_new(func, result_types[i], NULL);
        op->results[i]->def = op;
    }
    return op;
}

static void forget_variables(Region *region, const Op *moved, const Op *before) {
    if (moved->code == OP_VARIABLE || (before && before->code == OP_VARIABLE))
        region->variables = NULL;
}

void op_append(Region *region, Op *op) {
    forget_variables(region, op, NULL);
    op->parent = region;
    op->next = NULL;
    op->previous = region->last;
    if (region->last)
        region->last->next = op;
    else
        region->first = op;
    region->last = op;
}

void op_insert_before(Op *place, Op *op) {
    forget_variables(place->parent, op, place);
    op->parent = place->parent;
    op->next = place;
    op->previous = place->previous;
    if (place->previous)
        place->previous->next = op;
    else
        place->parent->first = op;
    place->previous = op;
}

void op_remove(Op *op) {
    forget_variables(op->parent, op, NULL);
    if (op->previous)
        op->previous->next = op->next;
    else
        op->parent->first = op->next;
    if (op->next)
        op->next->previous = op->previous;
    else
        op->parent->last = op->previous;
    op->previous = op->next = NULL;
    op->parent = NULL;
}

Region *region_new(Func *func, Op *owner) {
    Region *region = ARENA_NEW(arena_of(func), Region);
    region->owner = owner;
    if (owner)
        owner->region = region;
    return region;
}

Value *region_add_arg(Func *func, Region *region, const Type *type, const char *name) {
    Value *value = value_new(func, type, name);
    region->args = array_with(arena_of(func), region->args, region->arg_count++, &value, sizeof value);
    return value;
}

void region_add_yield(Func *func, Region *region, Value *value) {
    region->yields = array_with(arena_of(func), region->yields, region->yield_count++, &value, sizeof(Value *));
}

Value *func_add_arg(Func *func, ArgKind kind, const Type *type, const char *name) {
    Arena *arena = arena_of(func);
    const char *interned = intern(func->module->names, name);
    int count = func->body.arg_count;
    func->arg_kinds = array_with(arena, func->arg_kinds, count, &kind, sizeof kind);
    func->arg_names = array_with(arena, func->arg_names, count, &interned, sizeof interned);
    return region_add_arg(func, &func->body, type, name);
}

void func_add_result(Func *func, Value *value, const char *name) {
    const char *interned = intern(func->module->names, name);
    func->result_names =
        array_with(arena_of(func), func->result_names, func->body.yield_count, &interned, sizeof interned);
    region_add_yield(func, &func->body, value);
}

Replacements replacements_new(const Func *func, Arena *arena) {
    return (Replacements){ARENA_ARRAY(arena, Value *, func->value_count + 1), func->value_count};
}

Value *replacement_of(const Replacements *replacements, Value *value) {
    Value *other = value->id < replacements->known ? replacements->by_id[value->id] : NULL;
    return other ? other : value;
}

void values_replace(Value **values, int count, const Replacements *replacements) {
    for (int i = 0; i < count; i++)
        values[i] = replacement_of(replacements, values[i]);
}

void region_replace(Region *region, const Replacements *replacements) {
    for (Op *op = region->first; op; op = op->next) {
        values_replace(op->inputs, op->input_count, replacements);
        if (op->region)
            region_replace(op->region, replacements);
    }
    values_replace(region->yields, region->yield_count, replacements);
}

static void region_count_uses(const Region *region, int *uses) {
    for (const Op *op = region->first; op; op = op->next) {
        for (int i = 0; i < op->input_count; i++)
            uses[op->inputs[i]->id]++;
        if (op->region)
            region_count_uses(op->region, uses);
    }
    for (int i = 0; i < region->yield_count; i++)
        uses[region->yields[i]->id]++;
}

int *func_count_uses(Func *func, Arena *arena) {
    int *uses = ARENA_ARRAY(arena, int, func->value_count);
    region_count_uses(&func->body, uses);
    return uses;
}

static void region_renumber(Region *region, int *next) {
    for (int i = 0; i < region->arg_count; i++)
        region->args[i]->id = (*next)++;
    for (Op *op = region->first; op; op = op->next) {
        if (op->region)
            region_renumber(op->region, next);
        for (int i = 0; i < op->result_count; i++)
            op->results[i]->id = (*next)++;
    }
}

void func_renumber(Func *func) {
    int next = 0;
    region_renumber(&func->body, &next);
    func->value_count = next;
}
