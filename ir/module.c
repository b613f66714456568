/* Modules, their functions and variables, and deep copies. */
#include <string.h>
#include "ir/ir.h"

Module *module_new(Arena *arena, Diag *diag, const char *name, int64_t batch_max) {
    Module *module = ARENA_NEW(arena, Module);
    module->arena = arena;
    module->names = interner_new(arena);
    module->variables_by_name = map_new(arena);
    module->diag = diag;
    module->name = intern(module->names, name);
    module->batch_max = batch_max;
    return module;
}

Func *module_func(Module *module, const char *name) {
    Func *func = ARENA_NEW(module->arena, Func);
    func->name = intern(module->names, name);
    func->module = module;
    ARENA_PUSH(module->arena, module->funcs, module->func_count, module->func_capacity, func);
    return func;
}

Func *module_find_func(const Module *module, const char *name) {
    for (int i = 0; i < module->func_count; i++)
        if (strcmp(module->funcs[i]->name, name) == 0)
            return module->funcs[i];
    return NULL;
}

Variable *module_variable(Module *module, const char *name, const Type *type, VariableRole role, Init init, Span span) {
    Variable *variable = ARENA_NEW(module->arena, Variable);
    *variable = (Variable){
        .id = module->variable_count,
        .name = intern(module->names, name),
        .type = type,
        .role = role,
        .init = init,
        .span = span,
    };
    if (!module_find_variable(module, name)) /* of two with one name the first is found */
        map_put(module->variables_by_name, variable->name, variable);
    ARENA_PUSH(module->arena, module->variables, module->variable_count, module->variable_capacity, variable);
    return variable;
}

Variable *module_find_variable(const Module *module, const char *name) {
    Variable *found = map_get(module->variables_by_name, name);
    bool is_there = found && found->id < module->variable_count && module->variables[found->id] == found;
    return is_there ? found : NULL; /* the last ones may have been taken back */
}

/* ---- deep copies ---- */

typedef struct {
    Module *to;
    Func *func;
    Value **values; /* copy of each value of the function, by id */
} Clone;

static const char *clone_name(Clone *clone, const char *name) {
    return name ? intern(clone->to->names, name) : NULL;
}

static const Type *clone_type(Clone *clone, const Type *type) {
    return type_get(clone->to, type->dtype, type->rank, type->dims);
}

static Value *clone_value(Clone *clone, const Value *value, Op *def) {
    Value *copy = ARENA_NEW(clone->to->arena, Value);
    *copy = (Value){value->id, clone_type(clone, value->type), def, clone_name(clone, value->name)};
    clone->values[value->id] = copy;
    return copy;
}

static Value **clone_uses(Clone *clone, Value *const *values, int count) {
    Value **copies = ARENA_ARRAY(clone->to->arena, Value *, count);
    for (int i = 0; i < count; i++)
        copies[i] = clone->values[values[i]->id];
    return copies;
}

static void clone_region(Clone *clone, const Region *from, Region *to);

static Op *clone_op(Clone *clone, const Op *op) {
    Arena *arena = clone->to->arena;
    Op *copy = arena_copy(arena, op, sizeof *op);
    copy->layer = clone_name(clone, op->layer);
    copy->previous = copy->next = NULL;
    copy->parent = NULL;
    copy->inputs = clone_uses(clone, op->inputs, op->input_count);
    if (op_infos[op->code].attr == ATTR_variable)
        copy->attr.variable = clone->to->variables[op->attr.variable->id];
    if (op->region) {
        copy->region = ARENA_NEW(arena, Region);
        copy->region->owner = copy;
        clone_region(clone, op->region, copy->region);
    }
    copy->results = ARENA_ARRAY(arena, Value *, op->result_count);
    for (int i = 0; i < op->result_count; i++)
        copy->results[i] = clone_value(clone, op->results[i], copy);
    return copy;
}

static void clone_region(Clone *clone, const Region *from, Region *to) {
    to->arg_count = from->arg_count;
    to->args = ARENA_ARRAY(clone->to->arena, Value *, from->arg_count);
    for (int i = 0; i < from->arg_count; i++)
        to->args[i] = clone_value(clone, from->args[i], NULL);
    for (const Op *op = from->first; op; op = op->next)
        op_append(to, clone_op(clone, op));
    to->yield_count = from->yield_count;
    to->yields = clone_uses(clone, from->yields, from->yield_count);
}

static const char **clone_names(Clone *clone, const char *const *names, int count) {
    const char **copies = ARENA_ARRAY(clone->to->arena, const char *, count);
    for (int i = 0; i < count; i++)
        copies[i] = clone_name(clone, names[i]);
    return copies;
}

static void clone_func(Module *to, const Func *from) {
    Func *func = module_func(to, from->name);
    Clone clone = {to, func, ARENA_ARRAY(to->arena, Value *, from->value_count)};
    func->value_count = from->value_count;
    clone_region(&clone, &from->body, &func->body);
    func->arg_kinds = arena_copy(to->arena, from->arg_kinds, sizeof *from->arg_kinds * (size_t)from->body.arg_count);
    func->arg_names = clone_names(&clone, from->arg_names, from->body.arg_count);
    func->result_names = clone_names(&clone, from->result_names, from->body.yield_count);
}

Module *module_clone(Arena *arena, const Module *from) {
    Module *to = module_new(arena, from->diag, from->name, from->batch_max);
    to->random_streams = from->random_streams;
    for (int i = 0; i < from->variable_count; i++) {
        const Variable *variable = from->variables[i];
        const Type *type = type_get(to, variable->type->dtype, variable->type->rank, variable->type->dims);
        Variable *copy = module_variable(to, variable->name, type, variable->role, variable->init, variable->span);
        copy->fit = variable->fit;
    }
    for (int i = 0; i < from->func_count; i++)
        clone_func(to, from->funcs[i]);
    return to;
}
