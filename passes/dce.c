/* Dead code elimination: removes pure ops whose results nobody reads, inside regions too. Ops with an effect stay. */
#include "passes/dce.h"
#include "passes/pass.h"

static void forget_inputs(const Op *op, int *uses) {
    for (int i = 0; i < op->input_count; i++)
        uses[op->inputs[i]->id]--;
    if (!op->region)
        return;
    for (const Op *inner = op->region->first; inner; inner = inner->next)
        forget_inputs(inner, uses);
    for (int i = 0; i < op->region->yield_count; i++)
        uses[op->region->yields[i]->id]--;
}

static bool is_dead(const Op *op, const int *uses) {
    if (!(op_infos[op->code].flags & OP_PURE))
        return false;
    for (int i = 0; i < op->result_count; i++)
        if (uses[op->results[i]->id] > 0)
            return false;
    return true;
}

/* Backwards, so that the users of an op are gone before it is looked at. */
static bool remove_dead(Region *region, int *uses) {
    bool changed = false;
    for (Op *op = region->last, *previous; op; op = previous) {
        previous = op->previous;
        if (is_dead(op, uses)) {
            forget_inputs(op, uses);
            op_remove(op);
            changed = true;
        } else if (op->region) {
            changed |= remove_dead(op->region, uses);
        }
    }
    return changed;
}

bool func_remove_dead(Func *func, Arena *scratch) {
    return remove_dead(&func->body, func_count_uses(func, scratch));
}

bool pass_dce(Module *module, PassContext *context) {
    bool changed = false;
    for (int i = 0; i < module->func_count; i++)
        changed |= func_remove_dead(module->funcs[i], context->arena);
    return changed;
}
