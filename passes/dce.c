/* Dead code elimination: removes pure ops whose results nobody reads, inside regions too, and of scans the outputs,
 * states and inputs that nobody reads. Ops with an effect stay. */
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

static bool remove_dead(Region *region, int *uses);

static void drop(Value **values, int *count, int at) {
    --*count;
    for (int i = at; i < *count; i++)
        values[i] = values[i + 1];
}

static bool drop_outputs(Op *scan, int *uses) {
    bool changed = false;
    for (int i = scan->result_count - 1; i >= scan->attr.scan.carried; i--) {
        if (uses[scan->results[i]->id] || scan->result_count == 1)
            continue;
        uses[scan->region->yields[i]->id]--;
        drop(scan->results, &scan->result_count, i);
        drop(scan->region->yields, &scan->region->yield_count, i);
        changed = true;
    }
    return changed;
}

static bool drop_inputs(Op *scan, int *uses) {
    ScanAttr *attr = &scan->attr.scan;
    Region *region = scan->region;
    bool changed = false;
    for (int i = scan->input_count - 1; i >= 0; i--) {
        bool is_state = i < attr->carried;
        if (uses[region->args[i]->id] || (is_state && (uses[scan->results[i]->id] || scan->result_count == 1)))
            continue;
        uses[scan->inputs[i]->id]--;
        drop(scan->inputs, &scan->input_count, i);
        drop(region->args, &region->arg_count, i);
        if (is_state) {
            uses[region->yields[i]->id]--;
            drop(scan->results, &scan->result_count, i);
            drop(region->yields, &region->yield_count, i);
            attr->carried--;
        } else
            attr->sequences -= i < attr->carried + attr->sequences;
        changed = true;
    }
    return changed;
}

static bool trim_scan(Op *scan, int *uses) {
    bool changed = drop_outputs(scan, uses);
    changed |= remove_dead(scan->region, uses);
    return drop_inputs(scan, uses) || changed;
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
        } else if (op->code == OP_SCAN) {
            changed |= trim_scan(op, uses);
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
