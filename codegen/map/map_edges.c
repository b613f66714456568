/* A nest that copies with something constant around it, as a padded image: the loops end where a condition changes, so
 * that in the middle nothing is tested and no index is clamped, and C compilers make rows of it. Needs a nest without
 * sums whose conditions are each of one axis, and whose innermost rows are narrower than a vector (wider ones wait for
 * memory alone); leaves loops over what is before, inside and behind along each of these axes.
 */
#include "codegen/map/map.h"

enum { MOST_POINTS = 1 << 16 };

/* From `low` on, `count` places of an axis where the conditions hold. */
typedef struct {
    int64_t low, count;
} Inside;

typedef struct {
    const MapNest *m;
    const Nest *nest;
    const KStmt *store;
    const KExpr *value, *around; /* inside, outside */
    int axis[MAX_RANK];          /* of the nest, by loop from outside */
    int count;
    Inside inside[NEST_MAX_AXES];
    bool split[NEST_MAX_AXES];
    KExpr *place[NEST_MAX_AXES];
} Edges;

/* ---- where the conditions hold */
/* The expression where this variable has a value; other variables, other kinds: false. */
static bool evaluate(const KExpr *e, const KVar *var, int64_t at, int64_t *value) {
    int64_t a, b;
    if (e->kind == KE_CONST) {
        *value = (int64_t)e->number;
        return true;
    }
    if (e->kind == KE_VAR) {
        *value = at;
        return e->var == var;
    }
    if (e->kind == KE_FN && scalar_infos[e->fn.fn].arity == 2) {
        if (!evaluate(e->fn.args[0], var, at, &a) || !evaluate(e->fn.args[1], var, at, &b))
            return false;
        *value = e->fn.fn == FN_ge ? a >= b : a < b;
        return e->fn.fn == FN_ge || e->fn.fn == FN_lt;
    }
    return e->kind == KE_INDEX && evaluate(e->index.left, var, at, &a) && evaluate(e->index.right, var, at, &b) &&
           kindex_value(e->index.op, a, b, value);
}

/* The only axis that a condition is about; -1: none, several, or one of samples. */
static int axis_of(const Nest *nest, const KExpr *test) {
    int found = -1;
    for (int i = 0; i < nest->axis_count; i++)
        if (kexpr_uses(test, nest->axes[i].var)) {
            if (found >= 0 || nest->axes[i].extent.batch || nest->axes[i].extent.n > MOST_POINTS)
                return -1;
            found = i;
        }
    return found;
}

/* Takes a condition in; false: it does not hold in one piece of its axis. */
static bool take_test(Edges *e, const KExpr *test) {
    if (test->kind == KE_FN && test->fn.fn == FN_and)
        return take_test(e, test->fn.args[0]) && take_test(e, test->fn.args[1]);
    int axis = axis_of(e->nest, test);
    if (axis < 0)
        return false;
    int64_t low = -1, end = -1, holds;
    for (int64_t i = 0; i < e->nest->axes[axis].extent.n; i++) {
        if (!evaluate(test, e->nest->axes[axis].var, i, &holds))
            return false;
        if (holds && end >= 0 && end < i)
            return false;
        low = holds && low < 0 ? i : low;
        end = holds ? i + 1 : end;
    }
    Inside *inside = &e->inside[axis];
    int64_t last = inside->low + inside->count;
    low = low > inside->low ? low : inside->low;
    end = end < last ? end : last;
    *inside = (Inside){low, end - low};
    e->split[axis] = true;
    return end > low;
}

/* ---- the nest */
/* The loops follow memory; one over samples can only be the outermost. */
static bool take_order(Edges *e) {
    const KBuffer *to = e->store->store.buffer;
    if (to->rank != e->nest->parallel_count || to->rank < 2 || to->block > 0)
        return false;
    for (int i = 0; i < to->rank; i++)
        e->axis[e->count++] = nest_parallel_axis(e->nest, e->store->store.index[to->order[i]]);
    for (int i = 0; i < e->count; i++)
        if (e->axis[i] < 0 || (i > 0 && e->nest->axes[e->axis[i]].extent.batch))
            return false;
    const NestAxis *inner = &e->nest->axes[e->axis[e->count - 1]];
    return inner->extent.n < e->m->program->isa.lanes && !e->split[e->axis[e->count - 1]] && !e->split[e->axis[0]];
}

static bool take_nest(Edges *e) {
    const Nest *nest = e->nest;
    const KExpr *value = NULL;
    e->store = nest->axis_count == nest->parallel_count && !nest->reduction_count && !nest->each && !nest->part.above
                   ? map_only_store(nest->epilogue, &value)
                   : NULL;
    if (!e->store || value->kind != KE_FN || value->fn.fn != FN_select || value->fn.args[2]->kind != KE_CONST)
        return false;
    for (int i = 0; i < nest->axis_count; i++)
        e->inside[i] = (Inside){0, nest->axes[i].extent.n};
    e->value = value->fn.args[1];
    e->around = value->fn.args[2];
    return take_test(e, value->fn.args[0]) && take_order(e);
}

/* ---- loops */
static void emit(Edges *e, int level, bool inside, KStmt *out);

/* Places `low` .. `low + count` of the axis of this level. */
static void emit_range(Edges *e, int level, int64_t low, int64_t count, bool inside, KStmt *out) {
    KProgram *p = e->m->program;
    int axis = e->axis[level];
    KVar *var = kvar_new(p, e->m->kernel, e->nest->axes[axis].var->name, (KType){KBASE_INDEX, 1}, false);
    KStmt *body = kstmt_block(p);
    if (count <= 0)
        return;
    if (count == 1)
        e->place[axis] = kexpr_index(p, low);
    else {
        var->limit = count;
        e->place[axis] = kexpr_binary(p, '+', kexpr_var(p, var), kexpr_index(p, low));
    }
    emit(e, level + 1, inside, count == 1 ? out : body);
    if (count > 1)
        kstmt_add(out, kstmt_for(p, var, AXIS_SERIAL, kexpr_index(p, 0), kexpr_index(p, count), 1, body));
}

static void emit_store(Edges *e, bool inside, KStmt *out) {
    KProgram *p = e->m->program;
    const KStmt *store = e->store;
    MapLoads loads = {.count = 0};
    MapPlace place = {.program = p, .kernel = e->m->kernel, .nest = e->nest, .lanes = 1, .out = out, .outer = out};
    place.loads = &loads;
    for (int i = 0; i < e->nest->axis_count; i++)
        map_bind(&place, e->nest->axes[i].var, e->place[i]);
    KExpr *value = (KExpr *)(inside ? e->value : e->around);
    map_store(&place, kstmt_store(p, store->store.buffer, store->store.index, store->store.index_count, value, NULL));
}

static void emit(Edges *e, int level, bool inside, KStmt *out) {
    int axis = level < e->count ? e->axis[level] : -1;
    if (axis < 0)
        emit_store(e, inside, out);
    else {
        const Inside *in = &e->inside[axis];
        int64_t extent = e->nest->axes[axis].extent.n, end = in->low + in->count;
        bool split = inside && e->split[axis];
        if (split)
            emit_range(e, level, 0, in->low, false, out);
        emit_range(e, level, split ? in->low : 0, split ? in->count : extent, inside, out);
        if (split)
            emit_range(e, level, end, extent - end, false, out);
    }
}

bool map_edges(const MapNest *m, const Nest *nest, bool parallel, KStmt *out) {
    KProgram *p = m->program;
    Edges e = {.m = m, .nest = nest};
    if (m->rows_from || m->row_axis || m->kernel->steps || !take_nest(&e))
        return false;
    const NestAxis *outer = &nest->axes[e.axis[0]];
    KVar *var = kvar_new(p, m->kernel, outer->var->name, (KType){KBASE_INDEX, 1}, false);
    KStmt *body = kstmt_block(p);
    e.place[e.axis[0]] = kexpr_var(p, var);
    emit(&e, 1, true, body);
    kstmt_add(out, kstmt_for(p, var, parallel ? AXIS_PARALLEL : AXIS_SERIAL, kexpr_index(p, 0),
                             kexpr_dim(p, outer->extent), 1, body));
    return true;
}
