/* Nests that only copy, from one memory order to another: square blocks are turned in registers. */
#include "codegen/map/map.h"

const KStmt *map_only_store(const KStmt *block, const KExpr **value) {
    const KStmt *let = NULL, *store = NULL;
    for (const KStmt *s = block->block.first; s; s = s->next) {
        if (s->kind == KS_LET && !let)
            let = s;
        else if (s->kind == KS_STORE && !store)
            store = s;
        else
            return NULL;
    }
    if (!let || !store || store->store.value->kind != KE_VAR || store->store.value->var != let->let.var)
        return NULL;
    *value = let->let.value;
    return store;
}

static bool is_plain(const Nest *nest, KExpr *const *index, int count) {
    for (int i = 0; i < count; i++)
        if (index[i]->kind != KE_VAR || index[i]->var != nest->axes[i].var)
            return false;
    return count == nest->parallel_count;
}

static bool is_own(const KBuffer *b) {
    return (b->space == SPACE_ARENA || b->space == SPACE_VARIABLE) && b->base == KBASE_F32;
}

typedef struct {
    KProgram *p;
    KKernel *kernel;
    const Nest *nest;
    KBuffer *from, *to;
    int from_inner, to_inner; /* logical axes that are innermost here and there */
    KExpr *index[NEST_MAX_AXES];
    int axis[MAX_RANK];   /* of the nest, by logical axis of `from` */
    bool fixed[MAX_RANK]; /* one place of this axis is turned; there is none of it in `to` */
} Turn;

static KVar *axis_var(Turn *t, int axis) {
    return kvar_new(t->p, t->kernel, t->nest->axes[t->axis[axis]].var->name, (KType){KBASE_INDEX, 1}, false);
}

static KStmt *turn_block(Turn *t, int64_t rows, int64_t columns) {
    KExpr *to[MAX_RANK + 1], *from[MAX_RANK + 1], *kept[MAX_RANK];
    for (int i = 0, n = 0; i < t->from->rank; i++)
        if (!t->fixed[i])
            kept[n++] = t->index[i];
    kbuffer_physical_index(t->p, t->to, kept, to);
    kbuffer_physical_index(t->p, t->from, t->index, from);
    int lanes = t->p->isa.lanes; /* a smaller block at the edge is turned element by element */
    return kstmt_transpose(t->p, t->to, to, t->from, from, rows, columns,
                           rows == lanes && columns == lanes ? lanes : 1);
}

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Where memory is planned for more samples than a step has, what lies beyond the batch is not turned. */
static bool may_lie_beyond(const Turn *t, int axis, int64_t from) {
    const Program *info = t->p->info;
    Dim dim = t->from->dims[axis];
    return dim.batch && info && info->fit.batch_size > 0 && from >= dim_size(dim, info->fit.batch_size);
}

static KExpr *extent_of(const Turn *t, int axis) {
    return kexpr_binary(t->p, '*', kexpr_index(t->p, t->from->dims[axis].n), kexpr_batch(t->p));
}

static KStmt *turn_if_there(Turn *t, int axis, int64_t from, KStmt *block) {
    if (!may_lie_beyond(t, axis, from))
        return block;
    return kstmt_if(t->p, kexpr_fn(t->p, FN_lt, kexpr_index(t->p, from), extent_of(t, axis), NULL), block, NULL);
}

/* Blocks below each other, of `columns` columns from t->index on. */
static void turn_rows(Turn *t, int64_t columns, KStmt *out) {
    KProgram *p = t->p;
    int64_t lanes = p->isa.lanes, rows = dim_size(t->from->dims[t->to_inner], p->module->batch_max), row = 0;
    int64_t whole = rows / lanes * lanes;
    if (whole > lanes && !may_lie_beyond(t, t->to_inner, rows - 1)) {
        KVar *var = axis_var(t, t->to_inner);
        var->limit = whole;
        var->multiple = lanes;
        t->index[t->to_inner] = kexpr_var(p, var);
        KStmt *block = turn_block(t, lanes, columns);
        kstmt_add(out, kstmt_for(p, var, AXIS_SERIAL, kexpr_index(p, 0), kexpr_index(p, whole), lanes, block));
        row = whole;
    }
    for (; row < rows; row += lanes) {
        int64_t first = row + lanes > rows && whole ? rows - lanes : row; /* the last block overlaps the one before */
        t->index[t->to_inner] = kexpr_index(p, first);
        kstmt_add(out, turn_if_there(t, t->to_inner, row, turn_block(t, least(lanes, rows - first), columns)));
    }
}

/* Blocks of lanes x lanes along both innermost axes; the last ones are smaller. The whole batch of a step is turned. */
static void turn_blocks(Turn *t, AxisKind kind, KStmt *out) {
    KProgram *p = t->p;
    int64_t lanes = p->isa.lanes;
    int64_t columns = dim_size(t->from->dims[t->from_inner], p->module->batch_max), whole = columns / lanes * lanes;
    KExpr *end = kexpr_index(p, whole);
    if (may_lie_beyond(t, t->from_inner, columns - 1))
        end = kexpr_binary(p, 'm', extent_of(t, t->from_inner), end);
    if (whole) {
        KVar *column = axis_var(t, t->from_inner);
        KStmt *body = kstmt_block(p);
        column->multiple = lanes;
        t->index[t->from_inner] = kexpr_var(p, column);
        turn_rows(t, lanes, body);
        kstmt_add(out, kstmt_for(p, column, kind, kexpr_index(p, 0), end, lanes, body));
    }
    if (whole < columns) {
        KStmt *body = kstmt_block(p);
        t->index[t->from_inner] = kexpr_index(p, whole);
        turn_rows(t, columns - whole, body);
        kstmt_add(out, turn_if_there(t, t->from_inner, whole, body));
    }
}

/* Around the blocks, loops over the axes that are innermost neither here nor there. */
static void turn_all(Turn *t, int axis, AxisKind kind, KStmt *out) {
    KProgram *p = t->p;
    while (axis == t->from_inner || axis == t->to_inner || (axis < t->from->rank && t->fixed[axis]))
        axis++;
    if (axis >= t->from->rank) {
        turn_blocks(t, kind, out);
        return;
    }
    KVar *var = axis_var(t, axis);
    KStmt *body = kstmt_block(p);
    t->index[axis] = kexpr_var(p, var);
    turn_all(t, axis + 1, AXIS_SERIAL, body);
    kstmt_add(out, kstmt_for(p, var, kind, kexpr_index(p, 0), kexpr_dim(p, t->from->dims[axis]), 1, body));
}

/* Rows of the blocks lie one after the other: the axis lies next to the innermost one. */
static bool lies_inside(const KBuffer *b, int axis) {
    int last = b->block > 0 ? b->rank - 1 : b->rank - 2;
    return b->order[last] == axis;
}

bool map_is_turn(const KProgram *p, const Nest *nest, KBuffer **from, KBuffer **to) {
    const KExpr *value = NULL;
    const KStmt *store = nest->reduction_count ? NULL : map_only_store(nest->epilogue, &value);
    if (!store || value->kind != KE_LOAD || nest->parallel_count < 2 || p->isa.lanes < 4)
        return false;
    *from = value->load.buffer;
    *to = store->store.buffer;
    if (!is_plain(nest, value->load.index, value->load.index_count) ||
        !is_plain(nest, store->store.index, store->store.index_count) || !is_own(*from) || !is_own(*to) ||
        (*from)->rank != nest->parallel_count)
        return false;
    int from_inner = kbuffer_innermost(*from), to_inner = kbuffer_innermost(*to);
    return from_inner != to_inner && lies_inside(*from, to_inner) && lies_inside(*to, from_inner);
}

bool map_turn(const MapNest *m, const Nest *nest, bool parallel, KStmt *out) {
    Turn t = {.p = m->program, .kernel = m->kernel, .nest = nest};
    if (m->rows_from || !map_is_turn(m->program, nest, &t.from, &t.to))
        return false;
    for (int i = 0; i < t.from->rank; i++)
        t.axis[i] = i;
    t.from_inner = kbuffer_innermost(t.from);
    t.to_inner = kbuffer_innermost(t.to);
    int64_t columns = dim_size(t.from->dims[t.from_inner], m->program->module->batch_max);
    bool shared = parallel && (t.from->rank > 2 || columns % m->program->isa.lanes == 0);
    turn_all(&t, 0, shared ? AXIS_PARALLEL : AXIS_SERIAL, out);
    return true;
}

void map_turn_piece(const MapNest *m, const Nest *nest, KExpr *const *place, KStmt *out) {
    Turn t = {.p = m->program, .kernel = m->kernel, .nest = nest, .from = nest->turned->load.buffer, .to = nest->piece};
    int inner = kbuffer_innermost(t.to);
    t.from_inner = kbuffer_innermost(t.from);
    for (int i = 0, kept = 0; i < t.from->rank; i++) {
        int axis = 0;
        while (nest->axes[axis].var != nest->turned->load.index[i]->var)
            axis++;
        t.axis[i] = axis;
        t.fixed[i] = nest_leads_to_piece(nest, axis);
        t.index[i] = t.fixed[i] ? place[axis] : NULL;
        if (!t.fixed[i] && kept++ == inner)
            t.to_inner = i;
    }
    turn_all(&t, 0, AXIS_SERIAL, out);
}
