/* Finds the triangles of codegen/nests/triangle.h: zeros forwards through each sequence, needs backwards. Needs nests
 * as lowering has made them; leaves Nest.part. */
#include "codegen/nests/triangle.h"

enum { SMALLER = -1000000000 }; /* what masked scores are set to, or less: the exponential of a difference is zero */

/* By logical axes of a buffer. */
typedef struct {
    bool known;
    int above, below;
    int64_t distance;
} BufferPart;

typedef enum { ASKED_NOWHERE, ASKED_IN_PART, ASKED_EVERYWHERE } Asked;

typedef struct {
    BufferPart zero;           /* zero outside */
    BufferPart small;          /* at most SMALLER outside */
    const KBuffer *largest_of; /* the largest of the elements of that buffer along one axis; NULL: it is not */
    int axis_of[MAX_RANK];     /* its axis for each of this buffer's */
    int writers;
    Asked asked;
    BufferPart asked_part;
} BufferFacts;

typedef struct {
    KTriangle zero;
    KTriangle asked;
    Asked state;
} VarFacts;

typedef struct {
    KProgram *p;
    BufferFacts *buffers; /* by id */
    BufferFacts *locals;  /* of the kernel at hand, by id */
    VarFacts *vars;       /* of the kernel at hand, by id */
} Triangles;

static const KTriangle everywhere = {NULL, NULL, 0};

static bool same(KTriangle a, KTriangle b) {
    return a.above == b.above && a.below == b.below && a.distance == b.distance;
}

/* Buffers that pass values on within one function and have their memory alone. */
static BufferFacts *facts_of(const Triangles *t, const KBuffer *b) {
    if (b->space == SPACE_LOCAL)
        return &t->locals[b->id];
    return b->space == SPACE_ARENA && !b->alias ? &t->buffers[b->id] : NULL;
}

/* ---- places */
static int axis_with(KExpr *const *index, int count, const KVar *var) {
    for (int i = 0; i < count; i++)
        if (index[i]->kind == KE_VAR && index[i]->var == var)
            return i;
    return -1;
}

static BufferPart at_axes(KTriangle part, KExpr *const *index, int count) {
    BufferPart at = {.known = false};
    if (!part.above)
        return at;
    at.above = axis_with(index, count, part.above);
    at.below = axis_with(index, count, part.below);
    at.distance = part.distance;
    at.known = at.above >= 0 && at.below >= 0;
    return at;
}

static KTriangle at_index(BufferPart part, KExpr *const *index) {
    if (!part.known || index[part.above]->kind != KE_VAR || index[part.below]->kind != KE_VAR)
        return everywhere;
    return (KTriangle){index[part.above]->var, index[part.below]->var, part.distance};
}

/* ---- zeros */
static KVar *index_variable(const KExpr *e) {
    while (e->kind == KE_CAST)
        e = e->operand;
    return e->kind == KE_VAR && e->var->type.base == KBASE_INDEX ? e->var : NULL;
}

/* Where a comparison of two indices is true. */
static KTriangle condition(const KExpr *e) {
    if (e->kind != KE_FN || scalar_infos[e->fn.fn].arity != 2)
        return everywhere;
    KVar *a = index_variable(e->fn.args[0]), *b = index_variable(e->fn.args[1]);
    if (!a || !b || a == b)
        return everywhere;
    switch (e->fn.fn) {
    case FN_ge:
        return (KTriangle){a, b, 0};
    case FN_gt:
        return (KTriangle){a, b, -1};
    case FN_le:
        return (KTriangle){b, a, 0};
    case FN_lt:
        return (KTriangle){b, a, -1};
    default:
        return everywhere;
    }
}

static bool is_number_at_most(const KExpr *e, double most) {
    return e->kind == KE_CONST && e->number <= most;
}

static bool has_one_place(const KBuffer *b, int axis) {
    return dim_equal(b->dims[axis], dim_static(1));
}

/* Does one buffer hold the largest elements of the rows of the other, at these places? */
static bool is_largest_of(const BufferFacts *facts, const KExpr *largest, const KExpr *row) {
    if (facts->largest_of != row->load.buffer)
        return false;
    for (int i = 0; i < largest->load.index_count; i++)
        if (!has_one_place(largest->load.buffer, i) &&
            !kexpr_equal(largest->load.index[i], row->load.index[facts->axis_of[i]]))
            return false;
    return true;
}

/* exp(x - largest of the row of x) */
static KTriangle zero_of_exponential(const Triangles *t, const KExpr *e) {
    if (e->kind != KE_FN || e->fn.fn != FN_sub || e->fn.args[0]->kind != KE_LOAD || e->fn.args[1]->kind != KE_LOAD)
        return everywhere;
    const KExpr *row = e->fn.args[0], *largest = e->fn.args[1];
    const BufferFacts *of_row = facts_of(t, row->load.buffer), *of_largest = facts_of(t, largest->load.buffer);
    if (!of_row || !of_largest || !is_largest_of(of_largest, largest, row))
        return everywhere;
    return at_index(of_row->small, row->load.index);
}

static KTriangle zero_of(const Triangles *t, const KExpr *e) {
    const BufferFacts *facts;
    KTriangle part;
    switch (e->kind) {
    case KE_LOAD:
        facts = facts_of(t, e->load.buffer);
        return facts && facts->writers == 1 ? at_index(facts->zero, e->load.index) : everywhere;
    case KE_VAR:
        return t->vars[e->var->id].zero;
    case KE_FN:
        break;
    default:
        return everywhere;
    }
    switch (e->fn.fn) {
    case FN_select:
        if (e->fn.args[2]->kind != KE_CONST || e->fn.args[2]->number != 0)
            return everywhere;
        part = condition(e->fn.args[0]);
        return part.above ? part : zero_of(t, e->fn.args[1]);
    case FN_mul:
        part = zero_of(t, e->fn.args[0]);
        return part.above ? part : zero_of(t, e->fn.args[1]);
    case FN_div:
    case FN_neg:
        return zero_of(t, e->fn.args[0]);
    case FN_exp:
        return zero_of_exponential(t, e->fn.args[0]);
    default:
        return everywhere;
    }
}

/* A value that a select has set to the least there is outside of its triangle. */
static KTriangle small_of(const KExpr *e) {
    bool small = e->kind == KE_FN && e->fn.fn == FN_select && is_number_at_most(e->fn.args[2], SMALLER);
    return small ? condition(e->fn.args[0]) : everywhere;
}

/* Every row has an element in the triangle, whichever of the two axes it runs along. */
static bool rows_meet(const KBuffer *b, BufferPart part, int along) {
    int64_t others = b->dims[part.above].n, row = b->dims[part.below].n;
    return along == part.below ? part.distance >= 0 : others - 1 + part.distance >= row - 1;
}

/* The nest stores the largest elements of rows, of a buffer that is small outside of its triangle. */
static void note_largest(const Triangles *t, const Nest *nest, const KStmt *store) {
    BufferFacts *facts = facts_of(t, store->store.buffer);
    const NestReduction *reduction = &nest->reductions[0];
    const KExpr *load = reduction->expr;
    if (nest->reduction_count != 1 || reduction->kind != REDUCE_MAX || reduction->argument || load->kind != KE_LOAD ||
        store->store.value->kind != KE_VAR || store->store.value->var != reduction->result ||
        nest->axis_count != nest->parallel_count + 1)
        return;
    const BufferFacts *row = facts_of(t, load->load.buffer);
    int along = axis_with(load->load.index, load->load.index_count, nest->axes[nest->parallel_count].var);
    if (!row || row->writers != 1 || !row->small.known || along < 0 || !rows_meet(load->load.buffer, row->small, along))
        return;
    for (int i = 0; i < store->store.index_count; i++) {
        const KExpr *index = store->store.index[i];
        facts->axis_of[i] =
            index->kind == KE_VAR ? axis_with(load->load.index, load->load.index_count, index->var) : -1;
        if (facts->axis_of[i] < 0 && !has_one_place(store->store.buffer, i))
            return;
    }
    facts->largest_of = load->load.buffer;
}

/* ---- forwards */
static bool is_plain(const Nest *nest) {
    return !nest->ordered && !nest->each && !nest->cell_count && !nest->point && !nest->kernel->steps;
}

static const KExpr *value_of_variable(const KStmt *block, const KExpr *e) {
    if (e->kind != KE_VAR)
        return e;
    for (const KStmt *s = block->block.first; s; s = s->next)
        if (s->kind == KS_LET && s->let.var == e->var)
            return s->let.value;
    return e;
}

static void note_store(const Triangles *t, const Nest *nest, const KStmt *s, bool again) {
    BufferFacts *facts = facts_of(t, s->store.buffer);
    if (!facts || (again && s->store.buffer->space != SPACE_LOCAL))
        return;
    facts->writers++;
    if (!is_plain(nest) || facts->writers > 1)
        return;
    facts->zero = at_axes(zero_of(t, s->store.value), s->store.index, s->store.index_count);
    facts->small =
        at_axes(small_of(value_of_variable(nest->epilogue, s->store.value)), s->store.index, s->store.index_count);
    note_largest(t, nest, s);
}

static void find_zeros(Triangles *t, const Nest *nest, const KStmt *block, bool again) {
    for (const KStmt *s = block->block.first; s; s = s->next)
        if (s->kind == KS_BLOCK)
            find_zeros(t, nest, s, again);
        else if (s->kind == KS_LET)
            t->vars[s->let.var->id].zero = zero_of(t, s->let.value);
        else if (s->kind == KS_STORE)
            note_store(t, nest, s, again);
}

/* ---- backwards */
static void ask(Triangles *t, const KExpr *e, KTriangle part);

static void ask_buffer(Triangles *t, const KExpr *load, KTriangle part) {
    BufferFacts *facts = facts_of(t, load->load.buffer);
    for (int i = 0; i < load->load.index_count; i++)
        ask(t, load->load.index[i], everywhere);
    if (!facts)
        return;
    BufferPart at = at_axes(part, load->load.index, load->load.index_count), *old = &facts->asked_part;
    bool fits = facts->asked == ASKED_NOWHERE ||
                (old->above == at.above && old->below == at.below && old->distance == at.distance);
    facts->asked = at.known && fits && facts->asked != ASKED_EVERYWHERE ? ASKED_IN_PART : ASKED_EVERYWHERE;
    *old = at;
}

static void ask_variable(Triangles *t, const KVar *var, KTriangle part) {
    VarFacts *facts = &t->vars[var->id];
    bool fits = facts->state == ASKED_NOWHERE || same(facts->asked, part);
    facts->state = part.above && fits && facts->state != ASKED_EVERYWHERE ? ASKED_IN_PART : ASKED_EVERYWHERE;
    facts->asked = facts->state == ASKED_IN_PART ? part : everywhere;
}

static void ask_function(Triangles *t, const KExpr *e, KTriangle part) {
    KTriangle other[3] = {part, part, part};
    if (e->fn.fn == FN_mul)
        for (int i = 0; i < 2 && !part.above; i++)
            other[i] = zero_of(t, e->fn.args[1 - i]);
    if (e->fn.fn == FN_select) {
        KTriangle where = condition(e->fn.args[0]);
        other[0] = everywhere;
        if (where.above)
            other[1] = where;
    }
    for (int i = 0; i < scalar_infos[e->fn.fn].arity; i++)
        ask(t, e->fn.args[i], other[i]);
}

static void ask(Triangles *t, const KExpr *e, KTriangle part) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_LOAD) {
        ask_buffer(t, e, part);
    } else if (e->kind == KE_VAR) {
        ask_variable(t, e->var, part);
    } else if (e->kind == KE_FN) {
        ask_function(t, e, part);
    } else {
        int count = kexpr_operands(e, operands);
        for (int i = 0; i < count; i++)
            ask(t, operands[i], e->kind == KE_CAST ? part : everywhere);
    }
}

/* The last statement first. */
static void ask_block(Triangles *t, const Nest *nest, const KStmt *s) {
    if (!s)
        return;
    ask_block(t, nest, s->next);
    if (s->kind == KS_BLOCK) {
        ask_block(t, nest, s->block.first);
    } else if (s->kind == KS_LET) {
        const VarFacts *facts = &t->vars[s->let.var->id];
        ask(t, s->let.value, is_plain(nest) && facts->state == ASKED_IN_PART ? facts->asked : everywhere);
    } else if (s->kind == KS_STORE) {
        const BufferFacts *facts = facts_of(t, s->store.buffer);
        bool part = is_plain(nest) && facts && facts->asked == ASKED_IN_PART;
        ask(t, s->store.value, part ? at_index(facts->asked_part, s->store.index) : everywhere);
        for (int i = 0; i < s->store.index_count; i++)
            ask(t, s->store.index[i], everywhere);
    }
}

static bool is_static_axis(const Nest *nest, const KVar *var) {
    for (int i = 0; i < nest->axis_count; i++)
        if (nest->axes[i].var == var)
            return !nest->axes[i].extent.batch;
    return false;
}

static bool is_static_part(const Nest *nest, KTriangle part) {
    return part.above && is_static_axis(nest, part.above) && is_static_axis(nest, part.below);
}

/* Where a reduction takes in more than what changes nothing. */
static KTriangle part_of(const Triangles *t, const Nest *nest, KTriangle asked) {
    const NestReduction *reduction = &nest->reductions[0];
    const KExpr *e = reduction->expr;
    if (reduction->kind == REDUCE_SUM)
        return asked.above ? asked : zero_of(t, e);
    const BufferFacts *facts = e->kind == KE_LOAD ? facts_of(t, e->load.buffer) : NULL;
    KTriangle part = facts && facts->writers == 1 ? at_index(facts->small, e->load.index) : everywhere;
    bool largest = reduction->kind == REDUCE_MAX && !reduction->argument && part.above &&
                   nest->axis_count == nest->parallel_count + 1;
    int along = largest ? axis_with(e->load.index, e->load.index_count, nest->axes[nest->parallel_count].var) : -1;
    return along >= 0 && rows_meet(e->load.buffer, facts->small, along) ? part : everywhere;
}

static void find_part(Triangles *t, Nest *nest) {
    for (int i = 0; i < nest->reduction_count; i++) {
        NestReduction *reduction = &nest->reductions[i];
        const VarFacts *result = &t->vars[reduction->result->id];
        KTriangle asked = is_plain(nest) && result->state == ASKED_IN_PART ? result->asked : everywhere;
        ask(t, reduction->expr, asked);
        if (reduction->guard)
            ask(t, reduction->guard, everywhere);
        KTriangle part = is_plain(nest) && nest->reduction_count == 1 ? part_of(t, nest, asked) : everywhere;
        if (is_static_part(nest, part))
            nest->part = part;
    }
}

/* A constant outside of a triangle. */
static KTriangle constant_outside(const Triangles *t, const KExpr *e, double *number) {
    bool chosen = e->kind == KE_FN && e->fn.fn == FN_select && e->fn.args[2]->kind == KE_CONST;
    KTriangle where = chosen ? condition(e->fn.args[0]) : everywhere;
    *number = where.above ? e->fn.args[2]->number : 0;
    return where.above ? where : zero_of(t, e);
}

/* The stores of the block with what they store outside of one triangle; false: not all are constant there. */
static bool add_outside(const Triangles *t, const Nest *nest, const KStmt *block, KTriangle *part, KStmt *outside) {
    for (const KStmt *s = block->block.first; s; s = s->next) {
        if (s->kind == KS_BLOCK && !add_outside(t, nest, s, part, outside))
            return false;
        if (s->kind != KS_STORE)
            continue;
        double number;
        KTriangle where = constant_outside(t, value_of_variable(nest->epilogue, s->store.value), &number);
        *part = part->above ? *part : where;
        if (!where.above || !same(where, *part))
            return false;
        KExpr *value = kexpr_number(t->p, s->store.value->type.base, number);
        kstmt_add(outside,
                  kstmt_store(t->p, s->store.buffer, s->store.index, s->store.index_count, value, s->store.count));
    }
    return true;
}

/* Where all that is stored outside of the part is constant, nothing is computed there. */
static void find_outside(const Triangles *t, Nest *nest) {
    KStmt *outside = kstmt_block(t->p);
    KTriangle part = nest->part;
    bool may_be = is_plain(nest) && (part.above || !nest->reduction_count);
    if (!may_be || !add_outside(t, nest, nest->epilogue, &part, outside) || !is_static_part(nest, part))
        return;
    nest->part = part;
    nest->outside = outside;
}

static void ask_nest(Triangles *t, Nest *nest) {
    ask_block(t, nest, nest->epilogue->block.first);
    if (nest->cell)
        ask_block(t, nest, nest->cell->block.first);
    if (nest->each)
        ask_block(t, nest, nest->each->block.first);
    for (int i = 0; i < nest->pool_count; i++)
        ask(t, nest->pools[i].expr, everywhere);
    for (int i = nest->parallel_count; i < nest->axis_count; i++)
        if (nest->axes[i].from) {
            ask(t, nest->axes[i].from, everywhere);
            ask(t, nest->axes[i].to, everywhere);
        }
    find_part(t, nest);
    find_outside(t, nest);
}

/* ---- kernels */
static void find_kernel_zeros(Triangles *t, const KKernel *kernel, bool again) {
    t->vars = ARENA_ARRAY(t->p->arena, VarFacts, kernel->var_count + 1);
    t->locals = ARENA_ARRAY(t->p->arena, BufferFacts, kernel->local_count + 1);
    for (int i = 0; i < kernel->nest_count; i++)
        find_zeros(t, kernel->nests[i], kernel->nests[i]->epilogue, again);
}

void triangle_program(KProgram *p) {
    Triangles t = {.p = p};
    t.buffers = ARENA_ARRAY(p->arena, BufferFacts, p->buffer_count + 1);
    for (int i = 0; i < p->buffer_count; i++)
        if (p->buffers[i]->alias) /* seen under two names */
            t.buffers[kbuffer_owner(p->buffers[i])->id] = (BufferFacts){.writers = 1, .asked = ASKED_EVERYWHERE};
    for (int s = 0; s < p->sequence_count; s++) {
        const KSequence *sequence = p->sequences[s];
        for (int i = 0; i < sequence->count; i++)
            find_kernel_zeros(&t, sequence->kernels[i], false);
        for (int i = sequence->count - 1; i >= 0; i--) {
            const KKernel *kernel = sequence->kernels[i];
            find_kernel_zeros(&t, kernel, true); /* what it names */
            for (int n = kernel->nest_count - 1; n >= 0; n--)
                ask_nest(&t, kernel->nests[n]);
        }
    }
}
