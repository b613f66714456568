/* The gradient of a scan is a scan the other way round. Its region holds the gradients of the ops of one step; what
 * they read of the step itself becomes an output of the scan and a sequence of the reverse one, unless it is cheap to
 * make again. The gradient of a value that all steps read is a sum over the steps: where the sum can be moved behind
 * the loop, into the reduction that makes the summands, it is one contraction over the batch and time. */
#include "passes/autodiff.h"
#include <string.h>

typedef struct {
    Gradient *gradient;
    Func *func;
    Op *forward, *reverse;
    int known;      /* ids from here on were made for the reverse scan */
    Value **inside; /* by Value.id: this value of a step, in the region of the reverse scan */
} ScanGradient;

/* ---- dependence inside of the region */
static bool mark_region(Gradient *gradient, const Op *scan) {
    const Region *region = scan->region;
    bool changed = false;
    for (const Op *op = region->first; op; op = op->next)
        gradient_mark(gradient, op);
    for (int i = 0; i < scan->attr.scan.carried; i++)
        if (gradient->depends[region->yields[i]->id] && !gradient->depends[region->args[i]->id])
            changed = gradient->depends[region->args[i]->id] = true;
    return changed;
}

static void mark_dependence(Gradient *gradient, const Op *scan) {
    for (int i = 0; i < scan->input_count; i++)
        if (gradient->depends[scan->inputs[i]->id])
            gradient->depends[scan->region->args[i]->id] = true;
    while (mark_region(gradient, scan))
        continue;
}

/* ---- values of the step in the reverse region */
static bool is_cheap(const Op *op) {
    switch (op_infos[op->code].op_class) {
    case CLASS_LEAF:
        return op->code != OP_RANDOM;
    case CLASS_SHAPE:
        return op->code != OP_CONCAT && op->code != OP_COPY;
    case CLASS_MAP:
        return op->code != OP_MAP || scalar_infos[op->attr.scalar].gives_bool;
    default:
        return false;
    }
}

static int arg_number(const Op *scan, const Value *value) {
    for (int i = 0; i < scan->region->arg_count; i++)
        if (scan->region->args[i] == value)
            return i;
    return -1;
}

/* Is it in the reverse region already, or does it need no memory of its own? */
static bool is_kept(const ScanGradient *s, const Value *value) {
    const ScanAttr *scan = &s->forward->attr.scan;
    if (value->id >= s->known || s->inside[value->id])
        return true;
    if (!value->def)
        return arg_number(s->forward, value) >= scan->carried + scan->sequences;
    bool kept = is_cheap(value->def);
    for (int i = 0; i < value->def->input_count && kept; i++)
        kept = is_kept(s, value->def->inputs[i]);
    return kept;
}

/* Is it made again rather than kept? A part is kept in place of a whole that nobody needs; 1 - x costs less than a
 * sequence of it beside that of x. */
static bool is_repeated(const ScanGradient *s, const Op *op) {
    int kept = 0;
    for (int i = 0; i < op->input_count; i++)
        kept += is_kept(s, op->inputs[i]);
    if (op->code == OP_SLICE)
        return kept || !op->inputs[0]->def;
    return is_cheap(op) ||
           (op->code == OP_MAP && scalar_infos[op->attr.scalar].cost <= 1 && kept + 1 >= op->input_count);
}

static Value *bring(ScanGradient *, Value *, Op *before);

static Value *repeat(ScanGradient *s, const Op *op, Op *before) {
    Value **inputs = ARENA_ARRAY(s->gradient->context->arena, Value *, op->input_count + 1);
    for (int i = 0; i < op->input_count; i++)
        inputs[i] = bring(s, op->inputs[i], before);
    const Type *types[1] = {op->results[0]->type};
    Op *copy = op_new(s->func, op->code, inputs, op->input_count, types, 1, op->span);
    copy->attr = op->attr;
    copy->layer = op->layer;
    copy->gradient = true;
    op_insert_before(before, copy);
    return copy->results[0];
}

static Value *bring_arg(ScanGradient *s, int number) {
    const ScanAttr *scan = &s->forward->attr.scan;
    if (number >= scan->carried + scan->sequences)
        return scan_add_whole(s->func, s->reverse, s->forward->inputs[number]);
    Value *sequence = number < scan->carried ? scan_add_output(s->func, s->forward, s->forward->region->args[number])
                                             : s->forward->inputs[number];
    return scan_add_sequence(s->func, s->reverse, sequence);
}

static Value *bring(ScanGradient *s, Value *value, Op *before) {
    if (value->id >= s->known)
        return value;
    Value **inside = &s->inside[value->id];
    if (*inside)
        return *inside;
    if (!value->def)
        return *inside = bring_arg(s, arg_number(s->forward, value));
    if (is_repeated(s, value->def))
        return *inside = repeat(s, value->def, before);
    return *inside = scan_add_sequence(s->func, s->reverse, scan_add_output(s->func, s->forward, value));
}

static void bring_all(ScanGradient *s) {
    for (Op *op = s->reverse->region->first; op; op = op->next)
        for (int i = 0; i < op->input_count; i++)
            op->inputs[i] = bring(s, op->inputs[i], op);
}

/* ---- sums over the steps, made behind the reverse scan */

/* The value of all steps; NULL: it is the same in every step, and `*same` is that value. */
static Value *of_all_steps(ScanGradient *s, Value *value, Value **same) {
    const ScanAttr *scan = &s->reverse->attr.scan;
    int number = value->def ? -1 : arg_number(s->reverse, value);
    *same = NULL;
    if (number >= scan->carried + scan->sequences)
        *same = s->reverse->inputs[number];
    else if (number >= scan->carried)
        return s->reverse->inputs[number];
    else if (value->def && value->def->code == OP_CONST)
        *same = build_const(&s->gradient->build, value->type, value->def->attr.constant);
    return *same ? NULL : scan_add_output(s->func, s->reverse, value);
}

static Value *sum_over_time(ScanGradient *s, Value *sequence, const Type *step) {
    return build_sum(&s->gradient->build, sequence, (int[]){scan_time_axis(step)}, 1);
}

static void insert_label(int8_t *labels, int rank, int at, int label) {
    memmove(labels + at + 1, labels + at, (size_t)(rank - at));
    labels[at] = (int8_t)label;
}

static int free_label(const Op *einsum) {
    int last = 0;
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < einsum->inputs[k]->type->rank; i++) {
            int label = k ? einsum->attr.einsum.b[i] : einsum->attr.einsum.a[i];
            last = label > last ? label : last;
        }
    return last + 1;
}

/* ---- the state before a step is the one after the step before it */

static bool is_read(const Region *region, const Value *value) {
    for (const Op *op = region->first; op; op = op->next)
        for (int i = 0; i < op->input_count; i++)
            if (op->inputs[i] == value)
                return true;
    for (int i = 0; i < region->yield_count; i++)
        if (region->yields[i] == value)
            return true;
    return false;
}

/* Which state of the forward scan a value of the reverse region is, if nothing but products whose sum is made behind
 * the loop reads it; -1: none. */
static int state_only_summed(const ScanGradient *s, const Value *value) {
    const ScanAttr *scan = &s->forward->attr.scan;
    int number = value->def ? -1 : arg_number(s->reverse, value), state = -1;
    for (int i = scan->carried; number >= 0 && i < s->forward->result_count; i++)
        if (s->forward->results[i] == s->reverse->inputs[number])
            state = arg_number(s->forward, s->forward->region->yields[i]);
    for (const Op *op = s->reverse->region->first; op; op = op->next)
        for (int i = 0; i < op->input_count; i++)
            if (op->inputs[i] == value && (op->code != OP_EINSUM || is_read(s->reverse->region, op->results[0])))
                return -1;
    return state < scan->carried ? state : -1;
}

/* All steps of a sequence but its first or its last. */
static Value *all_but_one(ScanGradient *s, Value *sequence, bool first) {
    int time = scan_time_axis(scan_step_type(s->func->module, sequence->type));
    int64_t start[MAX_RANK] = {0}, stride[MAX_RANK];
    Dim dims[MAX_RANK];
    for (int i = 0; i < sequence->type->rank; i++) {
        stride[i] = 1;
        dims[i] = sequence->type->dims[i];
    }
    start[time] = first;
    dims[time].n--;
    return build_slice(&s->gradient->build, sequence, start, stride,
                       type_get(s->func->module, sequence->type->dtype, sequence->type->rank, dims));
}

/* Operands of a sum over the steps, one of them a state that starts as zero: the sequence of the states after the steps
 * is kept anyhow, and the first step adds nothing. */
static void shift_states(ScanGradient *s, const Op *op, Value **all) {
    const ScanAttr *scan = &s->forward->attr.scan;
    for (int i = 0; i < 2; i++) {
        int state = state_only_summed(s, op->inputs[i]);
        const Op *start = state < 0 ? NULL : s->forward->inputs[state]->def;
        if (!start || start->code != OP_CONST || start->attr.constant != 0 || scan->steps < 2)
            continue;
        Value *after = scan_add_output(s->func, s->forward, s->forward->region->yields[state]);
        all[i] = all_but_one(s, after, scan->reverse);
        all[1 - i] = all_but_one(s, all[1 - i], !scan->reverse);
        return;
    }
}

/* Time becomes one more axis of the contraction. NULL: that is not possible. */
static Value *sum_einsum(ScanGradient *s, const Op *op) {
    Builder *b = &s->gradient->build;
    const Type *left = op->inputs[0]->type, *right = op->inputs[1]->type;
    int label = free_label(op);
    if (left->rank == MAX_RANK || right->rank == MAX_RANK || label >= MAX_LABELS)
        return NULL;
    Value *same[2], *all[2];
    for (int i = 0; i < 2; i++)
        all[i] = of_all_steps(s, op->inputs[i], &same[i]);
    OpAttr attr = op->attr;
    if (all[0] && all[1]) {
        shift_states(s, op, all);
        insert_label(attr.einsum.a, left->rank, scan_time_axis(left), label);
        insert_label(attr.einsum.b, right->rank, scan_time_axis(right), label);
        return build_op(b, OP_EINSUM, &attr, all, 2, op->results[0]->type);
    }
    for (int i = 0; i < 2; i++)
        if (all[i])
            all[i] = sum_over_time(s, all[i], op->inputs[i]->type);
    bool neither = !all[0] && !all[1];
    Value *inputs[2] = {all[0] ? all[0] : same[0], all[1] ? all[1] : same[1]};
    Value *sum = build_op(b, OP_EINSUM, &attr, inputs, 2, op->results[0]->type);
    return neither ? build_scale(b, sum, s->forward->attr.scan.steps) : sum;
}

static Value *sum_reduce(ScanGradient *s, const Op *op) {
    const AxesAttr *over = &op->attr.reduce.over;
    const Type *step = op->inputs[0]->type;
    Value *same, *all = of_all_steps(s, op->inputs[0], &same);
    int time = scan_time_axis(step), axes[MAX_RANK + 1], count = 0;
    if (!all)
        return NULL;
    for (int i = 0; i <= step->rank; i++) {
        bool reduced = i == time;
        for (int k = 0; k < over->count; k++)
            reduced = reduced || over->axes[k] + (over->axes[k] >= time) == i;
        if (reduced)
            axes[count++] = i;
    }
    return build_sum(&s->gradient->build, all, axes, count);
}

static bool is_linear_view(const Op *op) {
    return op_infos[op->code].op_class == CLASS_SHAPE && op->code != OP_CONCAT;
}

static Value *sum_over_steps(ScanGradient *s, Value *value) {
    const Op *op = value->def;
    Value *sum = NULL;
    if (op && op->code == OP_MAP && op->attr.scalar == FN_add) {
        Value *left = sum_over_steps(s, op->inputs[0]), *right = sum_over_steps(s, op->inputs[1]);
        return build_add(&s->gradient->build, left, right);
    }
    if (op && is_linear_view(op)) {
        Value *inner = sum_over_steps(s, op->inputs[0]);
        return build_op(&s->gradient->build, op->code, &op->attr, &inner, 1, value->type);
    }
    if (op && op->code == OP_EINSUM)
        sum = sum_einsum(s, op);
    if (op && op->code == OP_REDUCE && op->attr.reduce.kind == REDUCE_SUM)
        sum = sum_reduce(s, op);
    if (sum)
        return sum;
    Value *same, *all = of_all_steps(s, value, &same);
    return all ? sum_over_time(s, all, value->type)
               : build_scale(&s->gradient->build, same, s->forward->attr.scan.steps);
}

/* ---- the reverse scan */

/* The gradients by `of`, a value per state, for the states that have one; zeros where nothing reads the value. */
static Value **state_gradients(ScanGradient *s, Value *const *of, int *count) {
    Gradient *gradient = s->gradient;
    int carried = s->forward->attr.scan.carried;
    Value **states = ARENA_ARRAY(gradient->context->arena, Value *, carried + 1);
    *count = 0;
    for (int i = 0; i < carried; i++)
        if (gradient->depends[s->forward->region->args[i]->id]) {
            Value *by = gradient->adjoint[of[i]->id];
            states[(*count)++] = by ? by : build_const(&gradient->build, of[i]->type, 0);
        }
    return states;
}

static void begin_reverse(ScanGradient *s) {
    ScanInputs in = {.steps = s->forward->attr.scan.steps, .reverse = !s->forward->attr.scan.reverse};
    in.states = state_gradients(s, s->forward->results, &in.state_count);
    s->reverse = build_scan_begin(&s->gradient->build, &in);
}

/* What reaches the yields of a step: from the step after it, and from the readers of its outputs. */
static void seed_yields(ScanGradient *s, int outputs) {
    Gradient *gradient = s->gradient;
    const Region *region = s->forward->region;
    int carried = s->forward->attr.scan.carried, state = 0;
    for (int i = 0; i < outputs; i++) {
        Value *yield = region->yields[i], *part = NULL;
        if (i < carried && gradient->depends[region->args[i]->id])
            part = s->reverse->region->args[state++];
        if (i >= carried && gradient->adjoint[s->forward->results[i]->id])
            part = scan_add_sequence(s->func, s->reverse, gradient->adjoint[s->forward->results[i]->id]);
        if (part && gradient->depends[yield->id])
            gradient_accumulate(gradient, s->forward, yield, part);
    }
}

static void end_reverse(ScanGradient *s) {
    Gradient *gradient = s->gradient;
    int count;
    Value **states = state_gradients(s, s->forward->region->args, &count);
    if (!build_scan_end(&gradient->build, s->reverse, states, NULL, 0))
        gradient->failed = true;
}

static void collect(ScanGradient *s, const bool *wanted, Value **out) {
    const ScanAttr *scan = &s->forward->attr.scan;
    const Region *region = s->forward->region;
    int state = 0;
    for (int i = 0; i < s->forward->input_count; i++) {
        bool is_state = i < scan->carried && s->gradient->depends[region->args[i]->id];
        Value *last = is_state ? s->reverse->results[state++] : NULL;
        Value *step = s->gradient->adjoint[region->args[i]->id];
        if (!wanted[i])
            continue;
        if (i < scan->carried)
            out[i] = last;
        else if (step)
            out[i] = i < scan->carried + scan->sequences ? scan_add_output(s->func, s->reverse, step)
                                                         : sum_over_steps(s, step);
    }
}

void gradient_SCAN(Gradient *gradient, const Op *op, Value *g, const bool *wanted, Value **out) {
    (void)g; /* of one result; all are looked up */
    Func *func = gradient->build.func;
    ScanGradient s = {.gradient = gradient, .func = func, .forward = (Op *)op, .known = func->value_count};
    s.inside = ARENA_ARRAY(gradient->context->arena, Value *, func->value_count + 1);
    int outputs = op->result_count;
    mark_dependence(gradient, op);
    begin_reverse(&s);
    seed_yields(&s, outputs);
    for (const Op *inner = op->region->last; inner && !gradient->failed; inner = inner->previous)
        gradient_differentiate(gradient, inner);
    if (gradient->failed)
        return;
    gradient->build.span = op->span;
    gradient->build.layer = op->layer;
    bring_all(&s);
    end_reverse(&s);
    if (!gradient->failed)
        collect(&s, wanted, out);
}
