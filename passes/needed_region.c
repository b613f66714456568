/* Computes values only where somebody reads them: pooling whose windows leave out the last rows, cropping and slices
 * say which box of a value they need, and that need flows back through ops whose elements come from a box of their
 * operands. What more than one op reads is computed on the smallest box that holds all that they need.
 *
 * Runs before autodiff: the gradients of smaller ops are smaller. Ops without a rule, arguments and variables are
 * whole; a reader takes its part of them by a slice, conv and pool by padding, which may become negative. */
#include "ir/build.h"
#include "passes/pass.h"

/* The cells low <= i < high of every axis; the batch axis is always whole. */
typedef struct {
    int64_t low[MAX_RANK], high[MAX_RANK];
} Box;

static Box box_whole(const Type *type) {
    Box box = {{0}, {0}};
    for (int i = 0; i < type->rank; i++)
        box.high[i] = type->dims[i].n;
    return box;
}

static bool box_is_equal(const Box *a, const Box *b, int rank) {
    for (int i = 0; i < rank; i++)
        if (a->low[i] != b->low[i] || a->high[i] != b->high[i])
            return false;
    return true;
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* The part of a range that lies in 0 <= i < extent, at least one cell. */
static void clamp_range(Box *box, int axis, int64_t low, int64_t high, int64_t extent) {
    box->low[axis] = smaller(larger(low, 0), extent - 1);
    box->high[axis] = larger(smaller(high, extent), box->low[axis] + 1);
}

/* ---- what a box of the result needs of an input ---- */

static Box needs_same(const Op *op, int input, const Box *part) {
    (void)op, (void)input;
    return *part;
}

static Box needs_broadcast(const Op *op, int input, const Box *part) {
    const Type *from = op->inputs[input]->type, *to = op->results[0]->type;
    Box box = box_whole(from);
    for (int i = 0; i < from->rank; i++) {
        int axis = op->attr.axes.axes[i];
        if (!dim_equal(from->dims[i], to->dims[axis]))
            continue;
        box.low[i] = part->low[axis];
        box.high[i] = part->high[axis];
    }
    return box;
}

static Box needs_reduce(const Op *op, int input, const Box *part) {
    const Type *from = op->inputs[input]->type;
    const AxesAttr *over = &op->attr.reduce.over;
    Box box = box_whole(from);
    for (int i = 0, kept = 0; i < from->rank; i++) {
        bool reduced = false;
        for (int k = 0; k < over->count; k++)
            reduced = reduced || over->axes[k] == i;
        if (reduced)
            continue;
        box.low[i] = part->low[kept];
        box.high[i] = part->high[kept++];
    }
    return box;
}

static Box needs_concat(const Op *op, int input, const Box *part) {
    Box box = *part;
    int axis = op->attr.axis;
    box.low[axis] = 0;
    box.high[axis] = op->inputs[input]->type->dims[axis].n;
    return box;
}

static Box needs_slice(const Op *op, int input, const Box *part) {
    const SliceAttr *slice = &op->attr.slice;
    Box box = box_whole(op->inputs[input]->type);
    for (int i = 0; i < op->results[0]->type->rank; i++) {
        if (op->results[0]->type->dims[i].batch)
            continue;
        box.low[i] = slice->start[i] + part->low[i] * slice->stride[i];
        box.high[i] = slice->start[i] + (part->high[i] - 1) * slice->stride[i] + 1;
    }
    return box;
}

/* Smallest integer not below a / b, for b > 0. */
static int64_t divide_up(int64_t a, int64_t b) {
    return a > 0 ? (a + b - 1) / b : -(-a / b);
}

static Box needs_pad(const Op *op, int input, const Box *part) {
    const PadAttr *pad = &op->attr.pad;
    const Type *from = op->inputs[input]->type;
    Box box = box_whole(from);
    for (int i = 0; i < from->rank; i++) {
        int64_t step = pad->interior[i] + 1;
        if (!from->dims[i].batch)
            clamp_range(&box, i, divide_up(part->low[i] - pad->low[i], step),
                        divide_up(part->high[i] - pad->low[i], step), from->dims[i].n);
    }
    return box;
}

static int64_t window_reach(const WindowAttr *window, int s) {
    return window->dilation[s] * (window->size[s] - 1) + 1;
}

static Box needs_window(const Op *op, int input, const Box *part) {
    const WindowAttr *window = &op->attr.window;
    const Type *from = op->inputs[input]->type;
    Box box = box_whole(from);
    if (input > 0)
        return box; /* the kernel */
    for (int s = 0; s < window->spatial; s++) {
        int64_t first = part->low[s + 1] * window->stride[s] - window->low[s];
        int64_t last = (part->high[s + 1] - 1) * window->stride[s] - window->low[s] + window_reach(window, s) - 1;
        clamp_range(&box, s + 1, first, last + 1, from->dims[s + 1].n);
    }
    return box;
}

/* ---- attributes of an op on a box of its result, which reads a box `have` of its input 0 ---- */

static void adjust_slice(const Op *op, const Box *part, const Box *have, OpAttr *attr) {
    for (int i = 0; i < op->results[0]->type->rank; i++)
        if (!op->results[0]->type->dims[i].batch)
            attr->slice.start[i] += part->low[i] * attr->slice.stride[i] - have->low[i];
}

static void adjust_pad(const Op *op, const Box *part, const Box *have, OpAttr *attr) {
    PadAttr *pad = &attr->pad;
    for (int i = 0; i < op->results[0]->type->rank; i++) {
        int64_t step = pad->interior[i] + 1, inside = (have->high[i] - have->low[i] - 1) * step + 1;
        if (op->results[0]->type->dims[i].batch)
            continue;
        pad->low[i] += have->low[i] * step - part->low[i];
        pad->high[i] = part->high[i] - part->low[i] - pad->low[i] - inside;
    }
}

static void adjust_window(const Op *op, const Box *part, const Box *have, OpAttr *attr) {
    (void)op;
    WindowAttr *window = &attr->window;
    for (int s = 0; s < window->spatial; s++) {
        int64_t cells = (part->high[s + 1] - part->low[s + 1] - 1) * window->stride[s] + window_reach(window, s);
        window->low[s] += have->low[s + 1] - part->low[s + 1] * window->stride[s];
        window->high[s] = cells - window->low[s] - (have->high[s + 1] - have->low[s + 1]);
    }
}

/* ---- axes that cannot be cut ---- */

static void keep_axis(const Op *op, int axis, Box *part) {
    part->low[axis] = 0;
    part->high[axis] = op->results[0]->type->dims[axis].n;
}

static void keep_features(const Op *op, Box *part) {
    keep_axis(op, op->results[0]->type->rank - 1, part);
}

static void keep_joined(const Op *op, Box *part) {
    keep_axis(op, op->attr.axis, part);
}

/* It counts from 0. */
static void keep_start(const Op *op, Box *part) {
    part->low[op->attr.axis] = 0;
}

/* ---- the rules ---- */

/* An op on a box of its result is the same op on smaller inputs: cut to what it needs, or, with `adjust`, as they are,
 * with other attributes. */
typedef struct {
    Box (*needs)(const Op *, int input, const Box *part);
    void (*keep)(const Op *, Box *part);
    void (*adjust)(const Op *, const Box *part, const Box *have, OpAttr *);
    bool pointwise;
} Rule;

static const Rule rules[OP_COUNT] = {
    [OP_CONST] = {.needs = needs_same},
    [OP_IOTA] = {.needs = needs_same, .keep = keep_start},
    [OP_MAP] = {.needs = needs_same, .pointwise = true},
    [OP_CAST] = {.needs = needs_same, .pointwise = true},
    [OP_COPY] = {.needs = needs_same, .pointwise = true},
    [OP_STOP_GRADIENT] = {.needs = needs_same, .pointwise = true},
    [OP_BROADCAST] = {.needs = needs_broadcast},
    [OP_REDUCE] = {.needs = needs_reduce},
    [OP_CONCAT] = {.needs = needs_concat, .keep = keep_joined},
    [OP_SLICE] = {.needs = needs_slice, .adjust = adjust_slice},
    [OP_PAD] = {.needs = needs_pad, .adjust = adjust_pad},
    [OP_POOL] = {.needs = needs_window, .adjust = adjust_window, .keep = keep_features},
    [OP_CONV] = {.needs = needs_window, .adjust = adjust_window, .keep = keep_features},
};

static const Rule *rule_of(const Op *op) {
    return rules[op->code].needs ? &rules[op->code] : NULL;
}

/* ---- finding the needs ---- */

typedef struct {
    Func *func;
    Box *need; /* this and what follows by Value.id */
    bool *read;
    bool *is_free; /* to take a part of it costs nothing: a leaf, an argument, a broadcast, or pointwise over such */
    Replacements replacements; /* on the box `need` */
} Needs;

static void add_need(Needs *n, const Value *value, const Box *box) {
    Box *need = &n->need[value->id];
    for (int i = 0; i < value->type->rank; i++) {
        need->low[i] = n->read[value->id] ? smaller(need->low[i], box->low[i]) : box->low[i];
        need->high[i] = n->read[value->id] ? larger(need->high[i], box->high[i]) : box->high[i];
    }
    n->read[value->id] = true;
}

static void need_whole(Needs *n, const Value *value) {
    Box box = box_whole(value->type);
    add_need(n, value, &box);
}

static void need_region(Needs *n, const Region *region) {
    for (const Op *op = region->first; op; op = op->next) {
        for (int i = 0; i < op->input_count; i++)
            need_whole(n, op->inputs[i]);
        if (op->region)
            need_region(n, op->region);
    }
    for (int i = 0; i < region->yield_count; i++)
        need_whole(n, region->yields[i]);
}

static void need_inputs(Needs *n, const Op *op) {
    const Rule *rule = rule_of(op);
    for (int i = 0; i < op->result_count; i++)
        if (!rule || !n->read[op->results[i]->id]) /* what nobody reads is left to dce */
            need_whole(n, op->results[i]);
    if (rule && rule->keep)
        rule->keep(op, &n->need[op->results[0]->id]);
    for (int i = 0; i < op->input_count; i++) {
        if (!rule) {
            need_whole(n, op->inputs[i]);
            continue;
        }
        Box box = rule->needs(op, i, &n->need[op->results[0]->id]);
        add_need(n, op->inputs[i], &box);
    }
    if (op->region)
        need_region(n, op->region);
}

static void sweep_back(Needs *n) {
    const Region *body = &n->func->body;
    for (int i = 0; i < body->yield_count; i++)
        need_whole(n, body->yields[i]);
    for (int i = 0; i < body->arg_count; i++)
        need_whole(n, body->args[i]);
    for (const Op *op = body->last; op; op = op->previous)
        need_inputs(n, op);
}

/* Where the operands of a pointwise op are computed on one larger box, because others read more of them, it stays
 * there too: it belongs into the kernel that makes them. */
static void widen_pointwise(Needs *n, const Op *op) {
    const Value *first = NULL, *result = op->results[0];
    bool same = true;
    for (int i = 0; i < op->input_count; i++) {
        const Value *input = op->inputs[i];
        if (n->is_free[input->id])
            continue;
        first = first ? first : input;
        same = same && box_is_equal(&n->need[input->id], &n->need[first->id], result->type->rank);
    }
    n->is_free[result->id] = !first;
    if (first && same)
        add_need(n, result, &n->need[first->id]);
}

static bool is_free(const Needs *n, const Op *op) {
    return op_infos[op->code].op_class == CLASS_LEAF || op->code == OP_BROADCAST ||
           (op->code == OP_SLICE && n->is_free[op->inputs[0]->id]);
}

static void sweep_forward(Needs *n) {
    for (int i = 0; i < n->func->body.arg_count; i++)
        n->is_free[n->func->body.args[i]->id] = true;
    for (const Op *op = n->func->body.first; op; op = op->next)
        if (rule_of(op) && rule_of(op)->pointwise)
            widen_pointwise(n, op);
        else if (op->result_count == 1)
            n->is_free[op->results[0]->id] = is_free(n, op);
}

/* ---- rewriting ---- */

static bool is_whole(const Needs *n, const Value *value) {
    Box whole = box_whole(value->type);
    return box_is_equal(&n->need[value->id], &whole, value->type->rank);
}

static bool is_as_it_was(const Needs *n, const Op *op) {
    for (int i = 0; i < op->input_count; i++)
        if (!is_whole(n, op->inputs[i]))
            return false;
    return !rule_of(op) || is_whole(n, op->results[0]);
}

static const Type *part_type(Module *module, const Type *type, const Box *part) {
    Dim dims[MAX_RANK];
    for (int i = 0; i < type->rank; i++)
        dims[i] = type->dims[i].batch ? type->dims[i] : dim_static(part->high[i] - part->low[i]);
    return type_get(module, type->dtype, type->rank, dims);
}

/* A box of a value that exists on a larger one. */
static Value *part_of(const Needs *n, Builder *b, Value *value, const Box *part) {
    const Box *have = &n->need[value->id];
    int64_t start[MAX_RANK] = {0}, stride[MAX_RANK];
    for (int i = 0; i < value->type->rank; i++) {
        start[i] = value->type->dims[i].batch ? 0 : part->low[i] - have->low[i];
        stride[i] = 1;
    }
    if (box_is_equal(part, have, value->type->rank))
        return replacement_of(&n->replacements, value);
    return build_slice(b, replacement_of(&n->replacements, value), start, stride,
                       part_type(b->module, value->type, part));
}

/* A slice or padding that does nothing any more. */
static bool does_nothing(const Op *op, const OpAttr *attr, const Value *input, const Type *type) {
    bool moved = (op->code != OP_SLICE && op->code != OP_PAD) || input->type != type;
    for (int i = 0; i < type->rank && !moved; i++)
        moved = op->code == OP_SLICE ? attr->slice.start[i] != 0 : attr->pad.low[i] != 0 || attr->pad.high[i] != 0;
    return !moved;
}

static Value *rebuild(Needs *n, Arena *scratch, Op *op) {
    const Rule *rule = rule_of(op);
    const Box *part = &n->need[op->results[0]->id];
    Builder b = builder_before(n->func, op);
    OpAttr attr = op->attr;
    Value **inputs = ARENA_ARRAY(scratch, Value *, op->input_count + 1);
    for (int i = 0; i < op->input_count; i++) {
        Box box = rule->needs(op, i, part);
        inputs[i] = i == 0 && rule->adjust ? replacement_of(&n->replacements, op->inputs[0])
                                           : part_of(n, &b, op->inputs[i], &box);
    }
    if (rule->adjust)
        rule->adjust(op, part, &n->need[op->inputs[0]->id], &attr);
    const Type *type = part_type(b.module, op->results[0]->type, part);
    Value *value = does_nothing(op, &attr, inputs[0], type)
                       ? inputs[0]
                       : build_op(&b, op->code, &attr, inputs, op->input_count, type);
    if (value && value->def && !value->name)
        value->name = op->results[0]->name;
    return value;
}

/* Old ops stay until the end, with their old inputs: the rules look at them. */
static bool rewrite(Needs *n, Arena *scratch) {
    Op **dead = ARENA_ARRAY(scratch, Op *, n->replacements.known + 1);
    int dead_count = 0;
    for (Op *op = n->func->body.first, *next; op; op = next) {
        next = op->next;
        if (is_as_it_was(n, op) || !rule_of(op))
            continue;
        Value *value = rebuild(n, scratch, op);
        if (!value)
            return true; /* the error is in diag */
        n->replacements.by_id[op->results[0]->id] = value;
        dead[dead_count++] = op;
    }
    for (int i = 0; i < dead_count; i++)
        op_remove(dead[i]);
    region_replace(&n->func->body, &n->replacements);
    return dead_count > 0;
}

bool pass_needed_region(Module *module, PassContext *context) {
    bool changed = false;
    for (int i = 0; i < module->func_count; i++) {
        Needs n = {.func = module->funcs[i], .replacements = replacements_new(module->funcs[i], context->arena)};
        n.need = ARENA_ARRAY(context->arena, Box, n.replacements.known + 1);
        n.read = ARENA_ARRAY(context->arena, bool, n.replacements.known + 1);
        n.is_free = ARENA_ARRAY(context->arena, bool, n.replacements.known + 1);
        sweep_back(&n);
        sweep_forward(&n);
        sweep_back(&n);
        changed = rewrite(&n, context->arena) || changed;
    }
    return changed;
}
