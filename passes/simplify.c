/* Rewrites ops by the rules of simplify_*.c until none applies, then removes what became dead. The normal form:
 *
 *   - constants are folded, stand right of commutative functions, and are merged along chains;
 *   - divisors that are constant or repeated are inverted once, and multiply;
 *   - a broadcast or reshape stands as late as possible (elementwise ops run on the small tensor); a broadcast repeats
 *     over whole axes only (axes of extent 1 are dropped by a reshape), and is no broadcast or transpose of another;
 *   - neighbouring reshapes, transposes, reverses, slices and paddings are one; what changes nothing is gone;
 *   - factors that a sum does not run over stand outside of it; transposes at an einsum are in its labels;
 *   - increasing functions stand behind a max pooling, what keeps zeros before an unpool, which a sum over all space
 *     does not see;
 *   - where dropout stands behind a relu, the gradient asks what dropout left, not both masks.
 *
 * Reassociates sums and products of constants and of scalars, so the last bits of a float may differ; NaN survives. */
#include "passes/dce.h"
#include "passes/simplify.h"

enum { MAX_SWEEPS = 200 };

const Op *defined_by(const Value *value, OpCode code) {
    return value->def && value->def->code == code ? value->def : NULL;
}

const Op *defined_by_map(const Value *value, ScalarFn fn) {
    const Op *op = defined_by(value, OP_MAP);
    return op && op->attr.scalar == fn ? op : NULL;
}

bool is_const(const Value *value, double *number) {
    const Op *op = defined_by(value, OP_CONST);
    if (op)
        *number = op->attr.constant;
    return op != NULL;
}

bool is_number(const Value *value, double number) {
    double found;
    return is_const(value, &found) && found == number;
}

bool used_once(const Simplify *simplify, const Value *value) {
    return value->id >= simplify->value_count || simplify->uses[value->id] <= 1;
}

bool is_unit(Dim dim) {
    return dim_equal(dim, dim_static(1));
}

const Type *type_of_dims(Simplify *simplify, Dtype dtype, int rank, const Dim *dims) {
    return type_get(simplify->build.module, dtype, rank, dims);
}

static Value *apply_rules(Simplify *simplify, const Op *op, const SimplifyRule *rules, int count) {
    for (int i = 0; i < count; i++) {
        Value *value = rules[i].code == op->code ? rules[i].apply(simplify, op) : NULL;
        if (value && value != op->results[0])
            return value;
    }
    return NULL;
}

static Value *simplify_op(Simplify *simplify, const Op *op) {
    Value *value = apply_rules(simplify, op, simplify_map_rules, simplify_map_rule_count);
    if (!value)
        value = apply_rules(simplify, op, simplify_shape_rules, simplify_shape_rule_count);
    if (!value)
        value = apply_rules(simplify, op, simplify_reduce_rules, simplify_reduce_rule_count);
    if (!value)
        value = apply_rules(simplify, op, simplify_window_rules, simplify_window_rule_count);
    if (!value)
        value = apply_rules(simplify, op, simplify_mask_rules, simplify_mask_rule_count);
    return value;
}

typedef struct {
    Func *func;
    PassContext *context;
    Simplify rules;
    Replacements replacements;
    Op **dead;
    int dead_count;
} Sweep;

/* Replaced ops stay until the end, when nobody reads them any more. */
static bool sweep_region(Sweep *s, Region *region) {
    for (Op *op = region->first, *next; op; op = next) {
        next = op->next;
        values_replace(op->inputs, op->input_count, &s->replacements);
        if (op->code == OP_SCAN && !sweep_region(s, op->region))
            return false;
        if (op->result_count != 1 || op->region)
            continue;
        s->rules.build = builder_before(s->func, op);
        Value *value = simplify_op(&s->rules, op), *old = op->results[0];
        if (!value)
            continue;
        if (value->type != old->type) {
            diag_internal(s->context->diag, op->span, "simplify changed the type of %s", op_infos[op->code].name);
            return false;
        }
        if (!value->name && value->def)
            value->name = old->name;
        s->replacements.by_id[old->id] = value;
        s->dead[s->dead_count++] = op;
    }
    values_replace(region->yields, region->yield_count, &s->replacements);
    return true;
}

static const bool *find_multiplied(const Func *func, Arena *arena) {
    bool *multiplied = ARENA_ARRAY(arena, bool, func->value_count + 1);
    for (const Op *op = func->body.first; op; op = op->next)
        for (int i = 0; op->code == OP_EINSUM && i < op->input_count; i++)
            multiplied[op->inputs[i]->id] = true;
    return multiplied;
}

/* One pass over the ops in order. */
static bool sweep(Func *func, PassContext *context, bool has_grad) {
    Sweep s = {.func = func, .context = context, .replacements = replacements_new(func, context->arena)};
    s.rules = (Simplify){.has_grad = has_grad, .value_count = func->value_count};
    s.rules.uses = func_count_uses(func, context->arena);
    s.rules.multiplied = find_multiplied(func, context->arena);
    s.dead = ARENA_ARRAY(context->arena, Op *, func->value_count + 1);
    bool ok = sweep_region(&s, &func->body);
    for (int i = 0; ok && i < s.dead_count; i++)
        op_remove(s.dead[i]);
    return ok && s.dead_count > 0;
}

static bool has_grad_op(const Func *func) {
    for (const Op *op = func->body.first; op; op = op->next)
        if (op->code == OP_GRAD)
            return true;
    return false;
}

bool pass_simplify(Module *module, PassContext *context) {
    bool changed = false;
    for (int i = 0; i < module->func_count; i++) {
        Func *func = module->funcs[i];
        bool has_grad = has_grad_op(func);
        int errors = diag_errors(context->diag);
        for (int j = 0; j < MAX_SWEEPS && sweep(func, context, has_grad); j++) {
            changed = true;
            func_remove_dead(func, context->arena);
            if (diag_errors(context->diag) > errors)
                return true;
        }
    }
    return changed;
}
