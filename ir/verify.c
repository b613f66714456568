/* Checks every rule of ir/ir.h. Stops at the first broken one: what follows may not even be safe to look at. */
#include "ir/ir.h"
#include <string.h>
#include "ir/names.h"

typedef struct {
    Module *module;
    const char *after;       /* the pass that ran; may be NULL */
    const Func *func;        /* NULL: outside functions */
    Arena *arena;            /* for the run of the verifier */
    bool *seen;              /* ids given to a value */
    const Region **defined;  /* by Value.id: the region that sees the value, once it is defined */
    bool *assigned;          /* by Variable.id */
    Diag *inferred;          /* where op_infer may complain; NULL: one is to be made */
    const Type *checked[64]; /* types that were found valid, by their address: most are met again soon */
} Verifier;

static bool broken(Verifier *verifier, const Op *op, const char *format, ...) __attribute__((format(printf, 3, 4)));

static bool broken(Verifier *verifier, const Op *op, const char *format, ...) {
    Text message = {0}, op_text = {0};
    va_list arguments;
    if (verifier->after)
        text_format(&message, "after %s: ", verifier->after);
    if (verifier->func)
        text_format(&message, "in @%s: ", verifier->func->name);
    va_start(arguments, format);
    text_vformat(&message, format, arguments);
    va_end(arguments);
    if (op) {
        op_print(&op_text, op);
        text_format(&message, " (%.*s)", (int)strcspn(op_text.data, "\n"), op_text.data);
    }
    diag_internal(verifier->module->diag, op ? op->span : (Span){0}, "%s", message.data);
    text_free(&op_text);
    text_free(&message);
    return false;
}

static bool type_ok(Verifier *verifier, const Type *type) {
    size_t slots = sizeof verifier->checked / sizeof *verifier->checked;
    const Type **checked = &verifier->checked[(uintptr_t)type / sizeof *type % slots];
    if (type && *checked == type)
        return true;
    if (!type || type->rank < 0 || type->rank > MAX_RANK || type->dtype > DTYPE_BOOL ||
        !type_is_valid(verifier->module, type) ||
        type_get(verifier->module, type->dtype, type->rank, type->dims) != type)
        return false;
    *checked = type;
    return true;
}

/* ---- values ---- */

static bool verify_definition(Verifier *verifier, const Region *region, const Value *value, const Op *def,
                              const Op *shown) {
    if (!value)
        return broken(verifier, NULL, "a result or argument is missing");
    if (value->id < 0 || value->id >= verifier->func->value_count)
        return broken(verifier, NULL, "a value has the id %d of %d", value->id, verifier->func->value_count);
    if (verifier->seen[value->id])
        return broken(verifier, NULL, "two values have the id %d", value->id);
    verifier->seen[value->id] = true;
    if (value->def != def)
        return broken(verifier, shown, "value %d names another op as its definition", value->id);
    if (!type_ok(verifier, value->type))
        return broken(verifier, NULL, "value %d has no valid type of this module", value->id);
    verifier->defined[value->id] = region;
    return true;
}

static bool verify_use(Verifier *verifier, const Region *region, const Value *value, const Op *op, const char *what) {
    if (!value)
        return broken(verifier, op, "%s is missing", what);
    if (value->id < 0 || value->id >= verifier->func->value_count)
        return broken(verifier, op, "%s has the id %d of %d", what, value->id, verifier->func->value_count);
    if (verifier->defined[value->id] != region)
        return broken(verifier, op, "%s is not defined before its use in the same region", what);
    return true;
}

/* ---- ops ---- */

static bool attr_in_range(const Op *op) {
    switch (op_infos[op->code].attr) {
    case ATTR_scalar:
        return op->attr.scalar < FN_COUNT;
    case ATTR_reduce:
        return op->attr.reduce.kind <= REDUCE_MIN && op->attr.reduce.over.count >= 0 &&
               op->attr.reduce.over.count <= MAX_RANK;
    case ATTR_axes:
        return op->attr.axes.count >= 0 && op->attr.axes.count <= MAX_RANK;
    case ATTR_random:
        return op->attr.random.kind <= RANDOM_NORMAL;
    case ATTR_window:
        return op->attr.window.kind <= REDUCE_MIN && op->attr.window.spatial >= 1 && op->attr.window.spatial <= 3;
    default:
        return true;
    }
}

static bool verify_shape(Verifier *verifier, const Region *region, const Op *op) {
    if (op->code >= OP_COUNT)
        return broken(verifier, NULL, "there is no op with code %d", (int)op->code);
    const OpInfo *info = &op_infos[op->code];
    for (int i = 0; i < op->input_count; i++)
        if (!verify_use(verifier, region, op->inputs[i], NULL, "an input"))
            return false;
    if (info->inputs >= 0 ? op->input_count != info->inputs : op->input_count < (info->op_class != CLASS_REGION))
        return broken(verifier, NULL, "%s has %d inputs", info->name, op->input_count);
    if (info->results >= 0 && op->result_count != info->results)
        return broken(verifier, NULL, "%s has %d results", info->name, op->result_count);
    for (int i = 0; i < op->result_count; i++)
        if (!op->results[i] || !type_ok(verifier, op->results[i]->type))
            return broken(verifier, NULL, "a result of %s has no valid type of this module", info->name);
    if (!attr_in_range(op))
        return broken(verifier, NULL, "an attribute of %s is out of range", info->name);
    if ((op->region != NULL) != (info->op_class == CLASS_REGION))
        return broken(verifier, NULL, "%s has %s region", info->name, op->region ? "a" : "no");
    if (info->attr == ATTR_variable) {
        const Variable *variable = op->attr.variable;
        const Module *module = verifier->module;
        if (!variable || variable->id < 0 || variable->id >= module->variable_count ||
            module->variables[variable->id] != variable)
            return broken(verifier, NULL, "%s has no variable of this module", info->name);
    }
    return true;
}

/* What op_infer reports about the op, without its "error: "; NULL: nothing. */
static const char *inference_error(Verifier *verifier, const Op *op, const Type **types) {
    Module *module = verifier->module;
    Diag *kept = module->diag, *own = verifier->inferred ? verifier->inferred : diag_new(verifier->arena);
    Text text = {0};
    const char *message = NULL;
    const Type *wanted = op_infos[op->code].results == 1 ? op->results[0]->type : NULL;
    module->diag = own;
    bool ok = op_infer(module, op->code, &op->attr, op->inputs, op->input_count, wanted, (Span){0}, types);
    module->diag = kept;
    verifier->inferred = ok ? own : NULL;
    if (!ok) {
        const size_t prefix = strlen("error: ");
        diag_print(own, &text, false);
        message = arena_format(verifier->arena, "%.*s", (int)strcspn(text.data + prefix, "\n"), text.data + prefix);
    }
    text_free(&text);
    return message;
}

static bool verify_types(Verifier *verifier, const Op *op) {
    int wanted = op->code == OP_GRAD ? op->input_count - 1 : op_infos[op->code].results;
    if (op->result_count != wanted)
        return broken(verifier, op, "%s has %d results, not %d", op_infos[op->code].name, op->result_count, wanted);
    const Type **types = ARENA_ARRAY(verifier->arena, const Type *, wanted + 1);
    const char *error = inference_error(verifier, op, types);
    if (error)
        return broken(verifier, op, "%s", error);
    for (int i = 0; i < op->result_count; i++)
        if (types[i] != op->results[i]->type)
            return broken(verifier, op, "result %d is %s, not %s", i, type_text(verifier->arena, types[i]),
                          type_text(verifier->arena, op->results[i]->type));
    return true;
}

static bool verify_region(Verifier *verifier, const Region *region, const Op *owner);

static bool same_types(Value *const *a, int a_count, Value *const *b, int b_count) {
    bool same = a_count == b_count;
    for (int i = 0; same && i < a_count; i++)
        same = a[i] && b[i] && a[i]->type == b[i]->type;
    return same;
}

static bool verify_region_op(Verifier *verifier, const Op *op) {
    const Region *region = op->region;
    if (op->result_count < 1)
        return broken(verifier, NULL, "%s gives nothing", op_infos[op->code].name);
    if (!verify_region(verifier, region, op))
        return false;
    const char *mistake = op->code == OP_SCAN ? scan_mistake(verifier->module, verifier->arena, op) : NULL;
    if (op->code == OP_SCAN)
        return !mistake || broken(verifier, op, "scan: %s", mistake);
    if (!same_types(region->args, region->arg_count, op->inputs, op->input_count))
        return broken(verifier, op, "the arguments of the region differ from the inputs");
    if (!same_types(region->yields, region->yield_count, op->results, op->result_count))
        return broken(verifier, op, "the region yields other types than the results");
    return true;
}

static bool verify_assign(Verifier *verifier, const Region *region, const Op *op) {
    const Variable *variable = op->attr.variable;
    if (region->owner)
        return broken(verifier, op, "assign stands in a region");
    if (verifier->assigned[variable->id])
        return broken(verifier, op, "@%s is assigned twice", variable->name);
    verifier->assigned[variable->id] = true;
    return true;
}

static bool verify_op(Verifier *verifier, const Region *region, const Op *op) {
    if (!verify_shape(verifier, region, op))
        return false;
    bool ok = op->region ? verify_region_op(verifier, op) : verify_types(verifier, op);
    if (ok && op->code == OP_ASSIGN)
        ok = verify_assign(verifier, region, op);
    for (int i = 0; ok && i < op->result_count; i++)
        ok = verify_definition(verifier, region, op->results[i], op, op);
    return ok;
}

static bool verify_region(Verifier *verifier, const Region *region, const Op *owner) {
    const Op *previous = NULL;
    if (region->owner != owner)
        return broken(verifier, NULL, "a region names another owner");
    for (int i = 0; i < region->arg_count; i++)
        if (!verify_definition(verifier, region, region->args[i], NULL, NULL))
            return false;
    for (const Op *op = region->first; op; previous = op, op = op->next) {
        if (op->previous != previous || op->parent != region)
            return broken(verifier, NULL, "the list of ops is broken");
        if (!verify_op(verifier, region, op))
            return false;
    }
    if (region->last != previous)
        return broken(verifier, NULL, "the list of ops has another end");
    for (int i = 0; i < region->yield_count; i++)
        if (!verify_use(verifier, region, region->yields[i], NULL, "a result"))
            return false;
    return true;
}

/* ---- functions and variables ---- */

static bool verify_names(Verifier *verifier, const char *const *names, int count, const char *what) {
    Map *seen = map_new(verifier->arena);
    for (int i = 0; i < count; i++) {
        if (!names || !names[i] || !*names[i])
            return broken(verifier, NULL, "%s %d has no name", what, i);
        if (map_get(seen, names[i]))
            return broken(verifier, NULL, "two %ss are named %s", what, names[i]);
        map_put(seen, names[i], verifier);
    }
    return true;
}

static bool verify_func(Verifier *verifier, const Func *func) {
    verifier->func = func;
    if (func->module != verifier->module)
        return broken(verifier, NULL, "the function belongs to another module");
    if (func->value_count < 0)
        return broken(verifier, NULL, "the function has %d values", func->value_count);
    verifier->seen = ARENA_ARRAY(verifier->arena, bool, func->value_count);
    verifier->defined = ARENA_ARRAY(verifier->arena, const Region *, func->value_count);
    verifier->assigned = ARENA_ARRAY(verifier->arena, bool, verifier->module->variable_count);
    for (int i = 0; i < func->body.arg_count; i++)
        if (func->arg_kinds[i] > ARG_PLAIN)
            return broken(verifier, NULL, "argument %d is of no known kind", i);
    return verify_names(verifier, func->arg_names, func->body.arg_count, "argument") &&
           verify_names(verifier, func->result_names, func->body.yield_count, "result") &&
           verify_region(verifier, &func->body, NULL);
}

static bool verify_variable(Verifier *verifier, const Variable *variable, int id) {
    if (!variable || variable->id != id)
        return broken(verifier, NULL, "variable %d has another id", id);
    if (!type_ok(verifier, variable->type))
        return broken(verifier, NULL, "@%s has no valid type of this module", variable->name);
    if (variable->type->rank > 0 && variable->type->dims[0].batch)
        return broken(verifier, NULL, "the type of @%s depends on the batch", variable->name);
    if (variable->role > VARIABLE_PREPROCESS || (int)variable->init.kind >= INIT_KINDS || variable->fit > FIT_MAXIMUM)
        return broken(verifier, NULL, "an attribute of @%s is out of range", variable->name);
    return true;
}

static bool verify_module(Verifier *verifier) {
    const Module *module = verifier->module;
    const char **variables = ARENA_ARRAY(verifier->arena, const char *, module->variable_count);
    const char **funcs = ARENA_ARRAY(verifier->arena, const char *, module->func_count);
    if (module->batch_max < 1)
        return broken(verifier, NULL, "the largest batch is %lld", (long long)module->batch_max);
    for (int i = 0; i < module->variable_count; i++) {
        if (!verify_variable(verifier, module->variables[i], i))
            return false;
        variables[i] = module->variables[i]->name;
    }
    for (int i = 0; i < module->func_count; i++)
        funcs[i] = module->funcs[i]->name;
    if (!verify_names(verifier, variables, module->variable_count, "variable") ||
        !verify_names(verifier, funcs, module->func_count, "function"))
        return false;
    bool ok = true;
    for (int i = 0; i < module->func_count; i++)
        ok &= verify_func(verifier, module->funcs[i]);
    return ok;
}

bool module_verify(Module *module, const char *after) {
    Verifier verifier = {.module = module, .after = after, .arena = arena_new()};
    bool ok = verify_module(&verifier);
    arena_free(verifier.arena);
    return ok;
}
