/* Puts every op that computes into a `fusion` region (passes/fuse.h), one per kernel.
 *
 * First every value that a kernel can only read from memory is given memory by a copy; then the groups of
 * passes/fuse_groups.c become regions, in an order in which each comes after what it reads. */
#include "passes/fuse.h"
#include "ir/build.h"
#include "passes/fuse_groups.h"
#include "passes/pass.h"
#include <string.h>

/* ---- values that must lie in memory */
static bool has_memory(const Value *value) {
    return !value->def || value->def->code == OP_VARIABLE || !fuse_is_inline(value->def);
}

/* Readable by plain indexing of something in memory. */
static bool is_plain(const Value *value) {
    if (has_memory(value))
        return true;
    switch (value->def->code) {
    case OP_BROADCAST:
    case OP_TRANSPOSE:
    case OP_SLICE:
    case OP_REVERSE:
    case OP_RESHAPE:
    case OP_STOP_GRADIENT:
        return is_plain(value->def->inputs[0]);
    default:
        return false;
    }
}

static bool wants_plain(const Op *op, int input) {
    OpClass c = op_infos[op->code].op_class;
    return c == CLASS_CONTRACT || c == CLASS_WINDOW || op->code == OP_SCATTER_ADD ||
           (op->code == OP_GATHER && input == 0);
}

/* A sequence in memory that a scan walks through from the other end. */
static bool is_reversed_sequence(const Op *scan, int input) {
    const Op *reverse = scan->inputs[input]->def;
    int first = scan->attr.scan.carried;
    return reverse && reverse->code == OP_REVERSE && input >= first && input < first + scan->attr.scan.sequences &&
           reverse->attr.axes.count == 1 &&
           reverse->attr.axes.axes[0] == scan_time_axis(scan->region->args[input]->type) &&
           has_memory(reverse->inputs[0]);
}

static bool wants_memory(const Op *op, int input) {
    if (op->code == OP_SCAN && is_reversed_sequence(op, input))
        return false;
    if (op->code == OP_SCAN) /* initial states may be numbers */
        return !op->inputs[input]->def || op->inputs[input]->def->code != OP_CONST || input >= op->attr.scan.carried;
    return op->code == OP_RESHAPE && !fuse_is_unit_reshape(op);
}

static Value *copy_before(Func *func, Op *place, Value *value) {
    Builder b = place ? builder_before(func, place) : builder_at_end(func);
    b.layer = place ? place->layer : value->def ? value->def->layer : NULL;
    b.span = place ? place->span : (Span){0};
    return build_copy(&b, value);
}

/* Stored results are written by the kernel that makes them, once: an argument, a view, or a value that is stored
 * elsewhere already is copied. */
static bool can_be_stored(const Value *value) {
    return value->def && !fuse_is_inline(value->def) && value->def->code != OP_RESHAPE;
}

/* What the caller passes is read sample by sample: other rows than samples need memory of the program's own. */
static bool merges_rows(const Op *op, int input) {
    const Value *from = op->inputs[input];
    return op->code == OP_RESHAPE && !from->def && !fuse_is_unit_reshape(op) && from->type->rank > 0 &&
           from->type->dims[0].batch &&
           (op->results[0]->type->rank == 0 || !dim_equal(from->type->dims[0], op->results[0]->type->dims[0]));
}

/* Gradients of a convolution know what to do with mostly zeros. */
static bool takes_unpool(const Op *op, int input) {
    const Op *unpool = op->inputs[input]->def;
    bool takes = op->code == OP_CONV_GRAD_INPUT ? input == 0 : op->code == OP_CONV_GRAD_KERNEL && input == 1;
    return takes && !op->parent->owner && unpool && unpool->code == OP_UNPOOL && fuse_is_inline(unpool);
}

static bool needs_copy(const Op *op, int input) {
    if (takes_unpool(op, input))
        return false;
    return (wants_plain(op, input) && !is_plain(op->inputs[input])) ||
           (wants_memory(op, input) && (!has_memory(op->inputs[input]) || merges_rows(op, input)));
}

/* One copy serves all readers of its region. */
static bool materialise_operands(Func *func, Region *region, Map *copies) {
    bool changed = false;
    for (Op *op = region->first; op; op = op->next) {
        if (op->code == OP_SCAN)
            changed = materialise_operands(func, op->region, copies) || changed;
        for (int i = 0; i < op->input_count && op->code != OP_ASSIGN; i++)
            if (needs_copy(op, i)) {
                const char *key = arena_format(func->module->arena, "%p", (void *)op->inputs[i]);
                Value *copy = map_get(copies, key);
                if (!copy)
                    map_put(copies, key, copy = copy_before(func, op, op->inputs[i]));
                op->inputs[i] = copy;
                changed = true;
            }
    }
    return changed;
}

static bool materialise(Func *func, Arena *arena) {
    bool changed = materialise_operands(func, &func->body, map_new(arena));
    char *stored = ARENA_ARRAY(arena, char, func->value_count + func->body.yield_count + 1);
    int known = func->value_count;
    for (Op *op = func->body.first; op; op = op->next) {
        if (op->code != OP_ASSIGN)
            continue;
        Value *value = op->inputs[0];
        if (!can_be_stored(value) || (value->id < known && stored[value->id])) {
            op->inputs[0] = copy_before(func, op, value);
            changed = true;
        } else
            stored[value->id] = 1;
    }
    for (int i = 0; i < func->body.yield_count; i++) {
        Value *value = func->body.yields[i];
        if (!can_be_stored(value) || (value->id < known && stored[value->id])) {
            func->body.yields[i] = copy_before(func, NULL, value);
            changed = true;
        } else
            stored[value->id] = 1;
    }
    return changed;
}

/* ---- rewriting */
typedef struct {
    Value *value;
    int group;
} Inside;

typedef struct {
    FuseGroups *g;
    Func *func;
    char *emitted;       /* by op: its group, or itself, stands in the new body */
    int *visited;        /* by op: group + 1 whose needs have been emitted through it */
    int *told;           /* by op: group + 1 whose note names it */
    Inside *inside;      /* by old Value.id: the value in the region of group + 1 */
    Value **replacement; /* by Value.id of the old body */
} Rewrite;

typedef struct {
    Rewrite *r;
    int group;
    Region *region;
    Value **inputs;
    int input_count, input_capacity;
} GroupRewrite;

static Value *find_inside(const GroupRewrite *w, const Value *old) {
    const Inside *inside = &w->r->inside[old->id];
    return inside->group == w->group + 1 ? inside->value : NULL;
}

static Value *set_inside(const GroupRewrite *w, const Value *old, Value *value) {
    w->r->inside[old->id] = (Inside){value, w->group + 1};
    return value;
}

static Value *inside_value(GroupRewrite *, Value *old);

static void clone_into(GroupRewrite *w, const Op *old) {
    Arena *arena = w->r->g->arena;
    Func *func = w->r->func;
    Value **inputs = ARENA_ARRAY(arena, Value *, old->input_count + 1);
    for (int i = 0; i < old->input_count; i++)
        inputs[i] = inside_value(w, old->inputs[i]);
    const Type *types[1] = {old->results[0]->type};
    Op *op = op_new(func, old->code, inputs, old->input_count, types, 1, old->span);
    op->attr = old->attr;
    op->layer = old->layer;
    op->gradient = old->gradient;
    op->results[0]->name = old->results[0]->name;
    op_append(w->region, op);
    set_inside(w, old->results[0], op->results[0]);
}

/* The value inside the region: already there, an inline op cloned into it, or a new argument. */
static Value *inside_value(GroupRewrite *w, Value *old) {
    if (find_inside(w, old))
        return find_inside(w, old);
    int made_by = w->r->g->index[old->id];
    if (made_by >= 0 && fuse_is_inline(w->r->g->ops[made_by])) {
        clone_into(w, w->r->g->ops[made_by]);
        return find_inside(w, old);
    }
    Value *outside = w->r->replacement[old->id] ? w->r->replacement[old->id] : old;
    ARENA_PUSH(w->r->g->arena, w->inputs, w->input_count, w->input_capacity, outside);
    return set_inside(w, old, region_add_arg(w->r->func, w->region, old->type, old->name));
}

static bool leaves_group(const FuseGroups *g, int op, int group) {
    for (int r = 0; r < g->readers[op].count; r++)
        if (fuse_owner(g, g->readers[op].items[r]) != group)
            return true;
    const Region *body = &g->func->body;
    for (int i = 0; i < body->yield_count; i++)
        if (body->yields[i] == g->ops[op]->results[0])
            return true;
    return false;
}

/* "dense_1 (a contraction reads its operands from memory); .." for each reader that became another kernel. */
static const char *why_not_more(const Rewrite *rewrite, int group) {
    FuseGroups *g = rewrite->g;
    const char *text = NULL;
    for (int i = group; i >= 0; i = g->next[i])
        for (int r = 0; r < g->readers[i].count; r++) {
            int reader = g->readers[i].items[r], other = fuse_owner(g, reader);
            if (g->group[reader] < 0 || other == group || rewrite->told[other] == group + 1)
                continue;
            rewrite->told[other] = group + 1;
            const char *layer = g->ops[reader]->layer ? g->ops[reader]->layer : op_infos[g->ops[reader]->code].name;
            const char *why = fuse_why_apart(g, group, other);
            const char *more = arena_format(g->arena, "%s (%s)", layer, why);
            if (!text || !strstr(text, more))
                text = text ? arena_format(g->arena, "%s; %s", text, more) : more;
        }
    return text;
}

static void emit_group(Rewrite *r, int group) {
    FuseGroups *g = r->g;
    GroupRewrite w = {.r = r, .group = group};
    w.region = region_new(r->func, NULL);
    Value **leaving = NULL;
    int count = 0, capacity = 0;
    const Op *named = NULL;
    for (int i = group; i >= 0; i = g->next[i]) {
        clone_into(&w, g->ops[i]);
        if (!named || op_infos[g->ops[i]->code].op_class == CLASS_CONTRACT)
            named = g->ops[i];
        if (leaves_group(g, i, group))
            ARENA_PUSH(g->arena, leaving, count, capacity, g->ops[i]->results[0]);
    }
    const Type **types = ARENA_ARRAY(g->arena, const Type *, count);
    for (int i = 0; i < count; i++) {
        region_add_yield(r->func, w.region, find_inside(&w, leaving[i]));
        types[i] = leaving[i]->type;
    }
    Op *fusion = op_new(r->func, OP_FUSION, w.inputs, w.input_count, types, count, named->span);
    fusion->attr.fusion.kind = fuse_group_kind(g, group);
    fusion->layer = named->layer;
    fusion->gradient = named->gradient;
    const char *why = why_not_more(r, group);
    fusion->note = why ? arena_strdup(r->func->module->arena, why) : NULL;
    fusion->region = w.region;
    w.region->owner = fusion;
    op_append(&r->func->body, fusion);
    for (int i = 0; i < count; i++) {
        fusion->results[i]->name = leaving[i]->name;
        r->replacement[leaving[i]->id] = fusion->results[i];
    }
}

static void emit(Rewrite *r, int op);

/* The op that stands for it in the new body: a copy of an inline one, which groups may clone later. */
static Op *op_outside(Rewrite *r, Op *old) {
    if (!fuse_is_inline(old) || old->input_count == 0)
        return old;
    const Type *types[1] = {old->results[0]->type};
    Op *op = op_new(r->func, old->code, old->inputs, old->input_count, types, 1, old->span);
    op->attr = old->attr;
    op->layer = old->layer;
    op->gradient = old->gradient;
    r->replacement[old->results[0]->id] = op->results[0];
    return op;
}

/* What a group reads through inline ops comes first; the inline ops themselves are cloned into the group. */
static void emit_before_group(Rewrite *r, const Op *op, int group) {
    FuseGroups *g = r->g;
    for (int i = 0; i < op->input_count; i++) {
        int made_by = g->index[op->inputs[i]->id];
        if (made_by < 0 || r->visited[made_by] == group + 1 || fuse_owner(g, made_by) == group)
            continue;
        r->visited[made_by] = group + 1;
        if (fuse_is_inline(g->ops[made_by]))
            emit_before_group(r, g->ops[made_by], group);
        else
            emit(r, made_by);
    }
}

/* Emits a group, or an op that stays outside, after everything that it reads. */
static void emit(Rewrite *r, int op) {
    FuseGroups *g = r->g;
    int owner = fuse_owner(g, op);
    if (r->emitted[owner])
        return;
    r->emitted[owner] = 1;
    if (g->group[op] >= 0) {
        for (int i = owner; i >= 0; i = g->next[i])
            emit_before_group(r, g->ops[i], owner);
        emit_group(r, owner);
        return;
    }
    Op *moved = op_outside(r, g->ops[op]);
    for (int i = 0; i < moved->input_count; i++) {
        int input = g->ops[op]->inputs[i]->id;
        if (g->index[input] >= 0)
            emit(r, g->index[input]);
        if (r->replacement[input])
            moved->inputs[i] = r->replacement[input];
    }
    op_append(&r->func->body, moved);
}

static void fuse_func(Func *func, Arena *arena) {
    FuseGroups *g = fuse_groups(func, arena);
    Rewrite r = {.g = g, .func = func};
    r.emitted = ARENA_ARRAY(arena, char, g->count + 1);
    r.visited = ARENA_ARRAY(arena, int, g->count + 1);
    r.told = ARENA_ARRAY(arena, int, g->count + 1);
    r.inside = ARENA_ARRAY(arena, Inside, func->value_count + 1);
    r.replacement = ARENA_ARRAY(arena, Value *, func->value_count + 1);
    func->body.first = func->body.last = NULL;
    for (int i = 0; i < g->count; i++)
        if (!fuse_is_inline(g->ops[i]))
            emit(&r, i);
    for (int i = 0; i < func->body.yield_count; i++)
        if (r.replacement[func->body.yields[i]->id])
            func->body.yields[i] = r.replacement[func->body.yields[i]->id];
    func_renumber(func);
}

bool pass_fuse(Module *module, PassContext *context) {
    bool changed = false;
    for (int i = 0; i < module->func_count; i++) {
        Func *func = module->funcs[i];
        bool fused = false;
        for (Op *op = func->body.first; op; op = op->next)
            fused = fused || op->code == OP_FUSION;
        if (fused)
            continue;
        changed = materialise(func, context->arena) || changed;
        changed = fuse_repeat(func, context->arena) || changed;
        for (Op *op = func->body.first; op; op = op->next)
            changed = changed || !fuse_is_inline(op);
        fuse_func(func, context->arena);
    }
    return changed;
}
