/* Moves the products that make a sequence into the recurrence that alone reads it.
 *
 * Made for all steps before the loop, a sequence of x W + b is written to far memory and read again, and threads that
 * share it by time read what others have made when they go through the samples. Made in the step it stays in the cache,
 * and each thread has its own samples from the first layer to the last. That pays where the weights are read from a
 * near cache in every step, and where there are samples enough to fill a tile. */
#include "ir/ir.h"
#include "passes/pass.h"

enum { LEAST_SAMPLES = 4, MOST_WEIGHTS = 1 << 16 }; /* elements */

typedef struct {
    Func *func;
    Op *scan, *place; /* new ops of the step go before `place` */
    const int *uses;
} Sink;

/* ---- what can be made step by step */
static bool has_time(const Value *value, const Sink *s) {
    const Type *type = value->type;
    return type->rank > 1 && type->dims[0].batch && dim_equal(type->dims[1], dim_static(s->scan->attr.scan.steps));
}

static bool is_view(const Op *op) {
    return op && (op->code == OP_SLICE || op->code == OP_RESHAPE);
}

/* A variable, or a part of one. */
static bool is_parameter(const Value *value) {
    while (is_view(value->def))
        value = value->def->inputs[0];
    return value->def && value->def->code == OP_VARIABLE;
}

static int label_place(const int8_t *labels, int rank, int label) {
    for (int i = 0; i < rank; i++)
        if (labels[i] == label)
            return i;
    return -1;
}

static int64_t width(const Value *sequence) {
    return type_count(sequence->type, 1);
}

/* One operand has the time of the result, at the place of a sequence, and is no wider; the other is a small weight. */
static bool is_product(const Sink *s, const Op *op) {
    const EinsumAttr *labels = &op->attr.einsum;
    if (op->code != OP_EINSUM || !has_time(op->results[0], s))
        return false;
    for (int i = 0; i < 2; i++) {
        const Value *sequence = op->inputs[i], *weight = op->inputs[1 - i];
        const int8_t *own = i ? labels->b : labels->a, *others = i ? labels->a : labels->b;
        if (has_time(sequence, s) && own[1] == labels->out[1] && own[0] == labels->out[0] &&
            width(sequence) <= width(op->results[0]) && label_place(others, weight->type->rank, labels->out[1]) < 0 &&
            is_parameter(weight) && type_count(weight->type, 1) <= MOST_WEIGHTS)
            return true;
    }
    return false;
}

static bool is_repeated_parameter(const Op *op) {
    return op->code == OP_BROADCAST && is_parameter(op->inputs[0]) &&
           (op->attr.axes.count == 0 || op->attr.axes.axes[0] > 1);
}

/* Is it a sequence in memory anyhow? */
static bool is_sequence(const Sink *s, const Value *value) {
    const Op *op = value->def;
    if (!has_time(value, s))
        return false;
    return !op || op->code == OP_SCAN || op_infos[op->code].op_class == CLASS_CONTRACT;
}

/* Is it the sum, or another function, of products that nothing else needs, and of what each step can have anyhow? */
static bool is_made_of_products(const Sink *s, const Value *value) {
    const Op *op = value->def;
    bool products = false;
    if (!op || s->uses[value->id] != 1)
        return false;
    if (op->code != OP_MAP)
        return is_product(s, op);
    for (int i = 0; i < op->input_count; i++) {
        const Value *input = op->inputs[i];
        bool made = is_made_of_products(s, input);
        if (!made && !is_sequence(s, input) && !(input->def && is_repeated_parameter(input->def)))
            return false;
        products = products || made;
    }
    return products;
}

/* ---- the same in the step */
static Value *add_op(const Sink *s, const Op *of, Value *const *inputs, const OpAttr *attr, const Type *type) {
    Op *op = op_new(s->func, of->code, inputs, of->input_count, &type, 1, of->span);
    op->attr = *attr;
    op->layer = of->layer;
    op->gradient = of->gradient;
    op_insert_before(s->place, op);
    return op->results[0];
}

static Value *parameter_in_step(const Sink *s, Value *value) {
    if (!is_view(value->def))
        return scan_add_whole(s->func, s->scan, value);
    Value *from = parameter_in_step(s, value->def->inputs[0]);
    return add_op(s, value->def, &from, &value->def->attr, value->type);
}

static void remove_time(int8_t *labels, int rank) {
    for (int i = 1; i + 1 < rank; i++)
        labels[i] = labels[i + 1];
}

static Value *product_in_step(const Sink *s, const Op *op, const Type *step) {
    OpAttr attr = op->attr;
    Value *inputs[2];
    for (int i = 0; i < 2; i++) {
        bool is_sequence = has_time(op->inputs[i], s) && !is_parameter(op->inputs[i]);
        inputs[i] = is_sequence ? scan_add_sequence(s->func, s->scan, op->inputs[i])
                                : scan_add_whole(s->func, s->scan, op->inputs[i]);
        if (is_sequence)
            remove_time(i ? attr.einsum.b : attr.einsum.a, op->inputs[i]->type->rank);
    }
    remove_time(attr.einsum.out, attr.einsum.out_rank--);
    return add_op(s, op, inputs, &attr, step);
}

static Value *in_step(const Sink *s, Value *value) {
    const Op *op = value->def;
    const Type *step = scan_step_type(s->func->module, value->type);
    bool made = is_made_of_products(s, value);
    if (made && op->code == OP_EINSUM)
        return product_in_step(s, op, step);
    if (op && is_repeated_parameter(op)) {
        Value *parameter = parameter_in_step(s, op->inputs[0]);
        OpAttr attr = op->attr;
        for (int i = 0; i < attr.axes.count; i++)
            attr.axes.axes[i]--;
        return add_op(s, op, &parameter, &attr, step);
    }
    if (!made)
        return scan_add_sequence(s->func, s->scan, value);
    Value *inputs[3];
    for (int i = 0; i < op->input_count; i++)
        inputs[i] = in_step(s, op->inputs[i]);
    return add_op(s, op, inputs, &op->attr, step);
}

/* ---- the pass. Sequences that are made in the step now are left to dce. */
static bool sink_into(Func *func, Op *scan, const int *uses, Arena *arena) {
    Sink s = {func, scan, scan->region->first, uses};
    const ScanAttr *attr = &scan->attr.scan;
    int first = attr->carried, count = attr->sequences;
    Replacements arguments = replacements_new(func, arena);
    bool changed = false;
    for (int i = first; i < first + count; i++) {
        Value *sequence = scan->inputs[i], *arg = scan->region->args[i];
        if (!has_time(sequence, &s) || !s.place || !is_made_of_products(&s, sequence))
            continue;
        arguments.by_id[arg->id] = in_step(&s, sequence);
        changed = true;
    }
    if (changed)
        region_replace(scan->region, &arguments);
    return changed;
}

bool pass_sink(Module *module, PassContext *context) {
    bool changed = false;
    if (module->batch_max < LEAST_SAMPLES)
        return false;
    for (int i = 0; i < module->func_count; i++) {
        Func *func = module->funcs[i];
        const int *uses = func_count_uses(func, context->arena);
        for (Op *op = func->body.first; op; op = op->next)
            if (op->code == OP_SCAN)
                changed |= sink_into(func, op, uses, context->arena);
    }
    return changed;
}
