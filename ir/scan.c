/* Scans: how the types of a scan and its region belong together, and how passes let a scan grow. */
#include <string.h>
#include "ir/ir.h"

int scan_time_axis(const Type *step) {
    return step->rank > 0 && step->dims[0].batch ? 1 : 0;
}

const Type *scan_sequence_type(Module *module, const Type *step, int64_t steps) {
    Dim dims[MAX_RANK];
    int axis = scan_time_axis(step), rank = 0;
    if (step->rank == MAX_RANK)
        return NULL;
    for (int i = 0; i <= step->rank; i++)
        dims[rank++] = i == axis ? dim_static(steps) : step->dims[i - (i > axis)];
    return type_get(module, step->dtype, rank, dims);
}

const Type *scan_step_type(Module *module, const Type *sequence) {
    Dim dims[MAX_RANK];
    int axis = scan_time_axis(sequence), rank = 0;
    if (axis >= sequence->rank)
        return NULL;
    for (int i = 0; i < sequence->rank; i++)
        if (i != axis)
            dims[rank++] = sequence->dims[i];
    return type_get(module, sequence->dtype, rank, dims);
}

/* ---- rules */
static const char *bad_sequence(Module *module, Arena *arena, const Value *sequence, const Value *step, int64_t steps,
                                const char *what, int number) {
    const Type *wanted = scan_sequence_type(module, step->type, steps);
    if (wanted == sequence->type)
        return NULL;
    return arena_format(arena, "%s %d is %s, and a step of it %s", what, number + 1, type_text(arena, sequence->type),
                        type_text(arena, step->type));
}

static const char *bad_equal(Arena *arena, const Value *a, const Value *b, const char *what, int number) {
    if (a->type == b->type)
        return NULL;
    return arena_format(arena, "%s %d is %s outside of the region and %s inside", what, number + 1,
                        type_text(arena, a->type), type_text(arena, b->type));
}

const char *scan_mistake(Module *module, Arena *arena, const Op *op) {
    const ScanAttr *scan = &op->attr.scan;
    const Region *region = op->region;
    if (scan->steps < 1 || scan->carried < 0 || scan->sequences < 0 ||
        scan->carried + scan->sequences > op->input_count || scan->carried > op->result_count)
        return "more states and sequences are announced than there are";
    if (region->arg_count != op->input_count)
        return arena_format(arena, "the region takes %d values and is given %d", region->arg_count, op->input_count);
    if (region->yield_count != op->result_count)
        return arena_format(arena, "the region yields %d values for %d results", region->yield_count, op->result_count);
    const char *mistake = NULL;
    for (int i = 0; !mistake && i < op->input_count; i++)
        mistake = i >= scan->carried && i < scan->carried + scan->sequences
                      ? bad_sequence(module, arena, op->inputs[i], region->args[i], scan->steps, "sequence", i)
                      : bad_equal(arena, op->inputs[i], region->args[i], "input", i);
    for (int i = 0; !mistake && i < op->result_count; i++)
        mistake = i < scan->carried
                      ? bad_equal(arena, op->results[i], region->yields[i], "result", i)
                      : bad_sequence(module, arena, op->results[i], region->yields[i], scan->steps, "result", i);
    for (int i = 0; !mistake && i < scan->carried; i++)
        mistake = bad_equal(arena, op->inputs[i], region->yields[i], "state", i);
    return mistake;
}

/* ---- growth */
static Value **with_value(Arena *arena, Value *const *values, int count, int at, Value *added) {
    Value **grown = ARENA_ARRAY(arena, Value *, count + 1);
    for (int i = 0; i <= count; i++)
        grown[i] = i == at ? added : values[i - (i > at)];
    return grown;
}

static Value *add_input(Func *func, Op *scan, Value *input, const Type *inside, int at) {
    Arena *arena = func->module->arena;
    Region *region = scan->region;
    Value *arg = value_new(func, inside, input->name);
    scan->inputs = with_value(arena, scan->inputs, scan->input_count++, at, input);
    region->args = with_value(arena, region->args, region->arg_count++, at, arg);
    return arg;
}

Value *scan_add_sequence(Func *func, Op *scan, Value *sequence) {
    int first = scan->attr.scan.carried, end = first + scan->attr.scan.sequences;
    for (int i = first; i < end; i++)
        if (scan->inputs[i] == sequence)
            return scan->region->args[i];
    scan->attr.scan.sequences++;
    return add_input(func, scan, sequence, scan_step_type(func->module, sequence->type), end);
}

Value *scan_add_whole(Func *func, Op *scan, Value *whole) {
    for (int i = scan->attr.scan.carried + scan->attr.scan.sequences; i < scan->input_count; i++)
        if (scan->inputs[i] == whole)
            return scan->region->args[i];
    return add_input(func, scan, whole, whole->type, scan->input_count);
}

Value *scan_append_output(Func *func, Op *scan, Value *inside) {
    const Type *type = scan_sequence_type(func->module, inside->type, scan->attr.scan.steps);
    Value *result = value_new(func, type, inside->name);
    result->def = scan;
    region_add_yield(func, scan->region, inside);
    scan->results = with_value(func->module->arena, scan->results, scan->result_count, scan->result_count, result);
    scan->result_count++;
    return result;
}

Value *scan_add_output(Func *func, Op *scan, Value *inside) {
    for (int i = scan->attr.scan.carried; i < scan->result_count; i++)
        if (scan->region->yields[i] == inside)
            return scan->results[i];
    return scan_append_output(func, scan, inside);
}
