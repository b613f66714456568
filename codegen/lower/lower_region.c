/* One fusion region to nests: reductions and contractions open a nest, pointwise ops join the last nest over their
 * index space, or stay expressions of their readers, or open a nest of their own. */
#include "codegen/lower/lower.h"

enum { MOST_TERMS = 64, MANY_TERMS = 1 << 20 }; /* of a value that each of several readers has in its expression */
enum { CHEAP = 3 }; /* cost up to which a pointwise value is computed again by each reader */

static const char *axis_name(int position, int rank, Dim dim) {
    static const char *const inner[] = {"y", "x", "i", "j", "l"};
    if (dim.batch)
        return "m";
    if (position == rank - 1)
        return "n";
    if (rank == 2)
        return "k";
    return inner[position == 0 ? 2 : position - 1];
}

void lower_add_axis(LowerRegion *r, Nest *nest, const char *name, Dim extent, bool reduce) {
    KVar *var = kvar_new(r->lower->program, r->kernel, name, (KType){KBASE_INDEX, 1}, false);
    nest->axes[nest->axis_count++] = (NestAxis){.var = var, .extent = extent, .reduce = reduce};
    nest->parallel_count += !reduce;
}

Nest *lower_nest(LowerRegion *r, const Op *op, const Type *space) {
    KProgram *p = r->lower->program;
    Nest *nest = ARENA_NEW(p->arena, Nest);
    nest->kernel = r->kernel;
    nest->op = (Op *)op;
    nest->layer = op->layer;
    nest->epilogue = kstmt_block(p);
    for (int i = 0; i < space->rank; i++)
        lower_add_axis(r, nest, axis_name(i, space->rank, space->dims[i]), space->dims[i], false);
    ARENA_PUSH(p->arena, r->kernel->nests, r->kernel->nest_count, r->kernel->nest_capacity, nest);
    return nest;
}

static int nest_position(const LowerRegion *r, const Nest *nest) {
    for (int i = 0; i < r->kernel->nest_count; i++)
        if (r->kernel->nests[i] == nest)
            return i;
    return -1;
}

void lower_store(LowerRegion *r, Nest *nest, KBuffer *buffer, KExpr *const *index, int count, KExpr *value) {
    KProgram *p = r->lower->program;
    int at = nest_position(r, nest);
    if (!r->stores[at])
        r->stores[at] = kstmt_block(p);
    kstmt_add(r->stores[at], kstmt_store(p, buffer, index, count, value, NULL));
}

static void add_store(LowerRegion *r, Nest *nest, KBuffer *buffer, KExpr *value) {
    KExpr *index[MAX_RANK];
    for (int i = 0; i < nest->parallel_count; i++)
        index[i] = kexpr_var(r->lower->program, nest->axes[i].var);
    lower_store(r, nest, buffer, index, nest->parallel_count, value);
}

KBuffer *lower_ensure_memory(LowerRegion *r, const Value *value) {
    KProgram *p = r->lower->program;
    int id = value->id;
    if (r->memory[id])
        return r->memory[id];
    const Type *type = value->type;
    KBuffer *wanted = r->wanted[id];
    if (wanted && (wanted->space == SPACE_ARENA || wanted->space == SPACE_RESULT)) {
        r->memory[id] = wanted;
        add_store(r, r->home[id], wanted, kexpr_var(p, r->var[id]));
        return wanted;
    }
    const char *name = value->name ? value->name : value->def->layer ? value->def->layer : "part";
    r->memory[id] = kbuffer_local(p, r->kernel, SPACE_LOCAL, name, lower_base(type->dtype), type->rank, type->dims);
    add_store(r, r->home[id], r->memory[id], kexpr_var(p, r->var[id]));
    return r->memory[id];
}

static bool keeps_place(const Op *op) {
    return op->code == OP_MAP || op->code == OP_CAST || op->code == OP_COPY || op->code == OP_STOP_GRADIENT;
}

/* What the walk with this number has found, by 1 + Value.id; `walk` of the first item counts the walks. */
struct LowerNeed {
    int walk, nest;
};

static int need_of(const LowerRegion *r, const Value *value, int walk) {
    struct LowerNeed *need = &r->needs[1 + value->id];
    if (need->walk == walk)
        return need->nest;
    if (r->home[value->id]) /* what lies in memory only is there when its nest is done */
        return nest_position(r, r->home[value->id]) + !r->var[value->id];
    if (!value->def || !value->def->parent || value->def->parent != r->fusion->region)
        return -1;
    int last = -1;
    for (int i = 0; i < value->def->input_count; i++) {
        int n = need_of(r, value->def->inputs[i], walk);
        last = n > last ? n : last;
    }
    *need = (struct LowerNeed){walk, last >= 0 && !keeps_place(value->def) ? last + 1 : last};
    return need->nest;
}

/* The first nest in which an expression of this value can be computed: that of its operands, or a later one where an
 * operand is read at another place than it is made at; -1: any. */
static int needs_nest(const LowerRegion *r, const Value *value) {
    return need_of(r, value, ++r->needs[0].walk);
}

static bool same_space(const Nest *nest, const Type *type) {
    if (nest->point && type_equal_dims(nest->op->results[0]->type, type))
        return true;
    if (nest->parallel_count != type->rank)
        return false;
    for (int i = 0; i < type->rank; i++)
        if (!dim_equal(nest->axes[i].extent, type->dims[i]))
            return false;
    return true;
}

bool lower_point(LowerRegion *r, const Nest *nest, const Type *type, KExpr **index) {
    bool cells = nest->point && type_equal_dims(nest->op->results[0]->type, type);
    for (int i = 0; i < nest->parallel_count; i++)
        index[i] = cells ? nest->point[i] : kexpr_var(r->lower->program, nest->axes[i].var);
    return cells;
}

KVar *lower_let(LowerRegion *r, Nest *nest, const Value *value) {
    KProgram *p = r->lower->program;
    KExpr *index[MAX_RANK];
    bool cells = lower_point(r, nest, value->type, index);
    KExpr *expr = lower_expr(r, nest, value, index);
    const char *name = value->name ? value->name : "v";
    KVar *var = kvar_new(p, r->kernel, name, expr->type, false);
    kstmt_add(cells ? nest->cell : nest->epilogue, kstmt_let(p, var, expr));
    r->var[value->id] = var;
    r->home[value->id] = nest;
    return var;
}

/* Readers inside the region, and as yields. */
static int count_readers(const LowerRegion *r, const Value *value, bool *reduced) {
    const Region *region = r->fusion->region;
    int readers = 0;
    *reduced = false;
    for (const Op *op = region->first; op; op = op->next)
        for (int i = 0; i < op->input_count; i++)
            if (op->inputs[i] == value) {
                readers++;
                *reduced = *reduced || lower_is_root(op) || op->code == OP_BROADCAST;
            }
    return readers;
}

/* Shifted by several paddings, as the cells of a window are: each reader would compute all of it again. */
static bool is_padded_often(const LowerRegion *r, const Value *value) {
    int paddings = 0;
    for (const Op *op = r->fusion->region->first; op; op = op->next)
        paddings += op->code == OP_PAD && op->inputs[0] == value;
    return paddings > 1;
}

static bool is_yield(const LowerRegion *r, const Value *value) {
    const Region *region = r->fusion->region;
    for (int i = 0; i < region->yield_count; i++)
        if (region->yields[i] == value)
            return true;
    return false;
}

Nest *lower_find_nest(LowerRegion *r, const Value *value) {
    int after = needs_nest(r, value);
    for (int i = r->kernel->nest_count - 1; i >= after && i >= r->kernel->step_first; i--)
        if (!r->kernel->nests[i]->ordered && same_space(r->kernel->nests[i], value->type))
            return r->kernel->nests[i];
    return NULL;
}

static void note_terms(LowerRegion *r, const Op *op) {
    int terms = 1;
    for (int i = 0; i < op->input_count && terms < MANY_TERMS; i++) {
        int id = op->inputs[i]->id;
        terms += r->var[id] || r->memory[id] ? 1 : r->terms[id];
    }
    for (int i = 0; i < op->result_count; i++)
        r->terms[op->results[i]->id] = terms < MANY_TERMS ? terms : MANY_TERMS;
}

static bool has_root(const LowerRegion *r) {
    for (const Op *op = r->fusion->region->first; op; op = op->next)
        if (lower_is_root(op))
            return true;
    return false;
}

static void lower_pointwise(LowerRegion *r, const Op *op) {
    const Value *value = op->results[0];
    Nest *nest = lower_find_nest(r, value);
    if (nest) {
        lower_let(r, nest, value);
        return;
    }
    bool reduced;
    int readers = count_readers(r, value, &reduced);
    int cost = op->code == OP_MAP ? scalar_infos[op->attr.scalar].cost : 0;
    bool many = !r->single && ((cost > CHEAP && (readers > 1 || reduced)) || is_padded_often(r, value));
    /* x + tanh(x), again and again: expressions without names would double each time */
    bool large = readers > 1 && r->terms[value->id] > MOST_TERMS && !(r->single && has_root(r));
    if (is_yield(r, value) || many || large)
        lower_let(r, lower_nest(r, op, value->type), value);
}

static bool is_pointwise(const Op *op) {
    return op->code == OP_MAP || op->code == OP_COPY;
}

/* A variable that another nest of this kernel may still read is written at the very end, from a local copy. */
static void store_results(LowerRegion *r, KBuffer *const *results) {
    KProgram *p = r->lower->program;
    const Region *region = r->fusion->region;
    bool several = r->kernel->nest_count > 1;
    int made = r->kernel->nest_count;
    for (int i = 0; i < region->yield_count; i++) {
        const Value *value = region->yields[i];
        if (r->memory[value->id] == results[i])
            continue; /* its nests have stored it */
        if (!r->var[value->id])
            lower_let(r, lower_nest(r, value->def, value->type), value);
        Nest *home = r->home[value->id];
        if (several && results[i]->space == SPACE_VARIABLE && nest_position(r, home) < made - 1) {
            KBuffer *memory = lower_ensure_memory(r, value);
            Nest *last = lower_nest(r, value->def, value->type);
            KExpr *index[MAX_RANK];
            for (int k = 0; k < last->parallel_count; k++)
                index[k] = kexpr_var(p, last->axes[k].var);
            add_store(r, last, results[i], kexpr_load(p, memory, index, last->parallel_count));
        } else
            add_store(r, home, results[i], kexpr_var(p, r->var[value->id]));
    }
}

LowerRegion lower_region_before(LowerRegion *outer, const Op *op, const char *suffix) {
    KSequence *sequence = outer->lower->sequence;
    LowerRegion inner = *outer;
    inner.kernel = lower_kernel(outer->lower, op, suffix);
    sequence->kernels[sequence->count - 1] = outer->kernel;
    sequence->kernels[sequence->count - 2] = inner.kernel;
    return inner;
}

KBuffer *lower_buffer(LowerRegion *r, const Op *op, const char *what, int rank, const Dim *dims) {
    Lower *lower = r->lower;
    KBuffer *b = kbuffer_new(lower->program, SPACE_ARENA, lower_name(lower, op->layer, what), KBASE_F32, rank, dims);
    b->sequence = lower->sequence;
    b->layer = op->layer;
    return b;
}

const LowerRegion *lower_region_blank(Lower *lower) {
    Arena *arena = lower->program->arena;
    int values = lower->func->value_count;
    LowerRegion *r = ARENA_NEW(arena, LowerRegion);
    r->lower = lower;
    r->memory = ARENA_ARRAY(arena, KBuffer *, values);
    r->step = ARENA_ARRAY(arena, KExpr *, values);
    r->var = ARENA_ARRAY(arena, KVar *, values);
    r->home = ARENA_ARRAY(arena, Nest *, values);
    r->terms = ARENA_ARRAY(arena, int, values);
    r->needs = ARENA_ARRAY(arena, struct LowerNeed, values + 1);
    r->wanted = ARENA_ARRAY(arena, KBuffer *, values);
    r->sequence = ARENA_ARRAY(arena, KBuffer *, values);
    return r;
}

LowerRegion lower_region_start(Lower *lower, const Op *fusion, KBuffer *const *results) {
    Arena *arena = lower->program->arena;
    LowerRegion r = *lower->blank;
    r.fusion = fusion;
    int nests = fusion->region->yield_count * 2 + fusion->input_count + 2;
    for (const Op *op = fusion->region->first; op; op = op->next)
        nests += op->input_count > 2 ? op->input_count : 2;
    r.stores = ARENA_ARRAY(arena, KStmt *, nests);
    for (int i = 0; i < fusion->input_count; i++)
        r.memory[fusion->region->args[i]->id] = lower->memory[fusion->inputs[i]->id];
    for (int i = 0; i < fusion->region->yield_count; i++)
        r.wanted[fusion->region->yields[i]->id] = results[i];
    return r;
}

void lower_region_ops(LowerRegion *r) {
    for (const Op *op = r->fusion->region->first; op && !r->failed; op = op->next) {
        note_terms(r, op);
        if (lower_is_root(op))
            lower_root(r, op);
        else if (is_pointwise(op) && op->results[0]->type->dtype != DTYPE_BOOL)
            lower_pointwise(r, op);
    }
}

void lower_region_end(LowerRegion *r) {
    for (int i = 0; i < r->kernel->nest_count; i++)
        if (r->stores[i])
            kstmt_add(r->kernel->nests[i]->epilogue, r->stores[i]);
}

/* Pooling of what this kernel computes: the windows that its tiles are made of. */
static const Op *find_windows(const Lower *lower, const Op *fusion) {
    if (fusion->attr.fusion.kind != FUSION_NEST || lower->program->isa.lanes <= 1)
        return NULL;
    for (const Op *op = fusion->region->first; op; op = op->next)
        if ((op->code == OP_POOL || op->code == OP_POOL_ARGMAX) && op->inputs[0]->def &&
            op->inputs[0]->def->parent == fusion->region)
            return op;
    return NULL;
}

void lower_fusion(Lower *lower, const Op *fusion, KBuffer *const *results) {
    KProgram *p = lower->program;
    LowerRegion r = lower_region_start(lower, fusion, results);
    r.single = fusion->attr.fusion.kind == FUSION_NEST;
    r.kernel = lower_kernel(lower, fusion, "");
    r.kernel->why = fusion->note;
    r.windows = find_windows(lower, fusion);
    lower_region_ops(&r);
    store_results(&r, results);
    lower_region_end(&r);
    if (r.kernel->nest_count == 0) /* a library has stored all of it */
        lower->sequence->count--;
    bool long_rows = fusion->attr.fusion.kind == FUSION_LONG_ROWS;
    r.kernel->rows = (fusion->attr.fusion.kind == FUSION_ROWS || long_rows || r.by_rows) && r.kernel->nest_count > 1;
    r.kernel->row_axes = r.kernel->rows && long_rows ? nests_shared_axes(r.kernel) : 1;
    for (int i = 0; i < r.kernel->nest_count; i++)
        r.kernel->work += nest_slots(r.kernel->nests[i], p->module->batch_max);
}
