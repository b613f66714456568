/* Orders that follow from how loops run, after the vector axes are chosen: sequences of a recurrence lie step by step
 * in memory, and the loops of a sum run through memory as it lies. */
#include "codegen/layout.h"

/* ---- sequences: [B, T, ..] as [T, B, ..] where a recurrence runs over T, and where a nest reads or makes such a
 * sequence from another one, so that both are walked through alike */
typedef struct {
    const KProgram *p;
    const KVar *time, *row; /* the axes of the nest that stand for T and B; time: the step of a recurrence */
    bool changed;
} TimeUse;

static bool is_time_first(const KBuffer *b) {
    return b->rank >= 3 && b->order[0] == 1;
}

static void put_time_first(TimeUse *use, KBuffer *b, KExpr *const *index) {
    if (b->space != SPACE_ARENA || b->rank < 3 || !b->dims[0].batch || layout_is_aliased(use->p, b) ||
        is_time_first(b) || !kexpr_uses(index[1], use->time) ||
        (use->row && (index[0]->kind != KE_VAR || index[0]->var != use->row)))
        return;
    for (int p = 0; p < b->rank; p++)
        b->order[p] = (int8_t)(p == 0 ? 1 : p == 1 ? 0 : p);
    use->changed = true;
}

static void find_time(TimeUse *use, const KBuffer *b, KExpr *const *index) {
    if (is_time_first(b) && index[0]->kind == KE_VAR && index[1]->kind == KE_VAR) {
        use->row = index[0]->var;
        use->time = index[1]->var;
    }
}

static void put_load(void *context, const KExpr *e) {
    if (e->kind == KE_LOAD)
        put_time_first(context, e->load.buffer, e->load.index);
}
static void put_store(void *context, const KStmt *s) {
    if (s->kind == KS_STORE)
        put_time_first(context, s->store.buffer, s->store.index);
}
static void find_in_load(void *context, const KExpr *e) {
    if (e->kind == KE_LOAD)
        find_time(context, e->load.buffer, e->load.index);
}
static void find_in_store(void *context, const KStmt *s) {
    if (s->kind == KS_STORE)
        find_time(context, s->store.buffer, s->store.index);
}

static void visit_nest(const Nest *nest, const KVisitor *visitor) {
    for (int r = 0; r < nest->reduction_count; r++)
        kexpr_visit(nest->reductions[r].expr, visitor);
    if (nest->cell)
        kstmt_visit(nest->cell, visitor);
    kstmt_visit(nest->epilogue, visitor);
}

static bool agree_in_nest(const KProgram *p, const KKernel *kernel, const Nest *nest) {
    TimeUse use = {.p = p, .time = kernel->step};
    KVisitor find = {.statement = find_in_store, .expression = find_in_load, .context = &use};
    KVisitor put = {.statement = put_store, .expression = put_load, .context = &use};
    if (!kernel->steps)
        visit_nest(nest, &find);
    if (use.time)
        visit_nest(nest, &put);
    return use.changed;
}

void layout_sequences(KProgram *p) {
    bool changed = true;
    while (changed) {
        changed = false;
        for (int s = 0; s < p->sequence_count; s++)
            for (int k = 0; k < p->sequences[s]->count; k++)
                for (int n = 0; n < p->sequences[s]->kernels[k]->nest_count; n++)
                    changed |= agree_in_nest(p, p->sequences[s]->kernels[k], p->sequences[s]->kernels[k]->nests[n]);
    }
}

/* ---- loops of sums */

/* How far all loads of a sum together move in memory when the axis moves by one. */
typedef struct {
    const KProgram *p;
    const KVar *axis;
    int64_t distance;
} Movement;

static void add_movement(void *context, const KExpr *e) {
    Movement *m = context;
    int64_t stride[MAX_RANK + 1], coefficient;
    if (e->kind != KE_LOAD)
        return;
    const KBuffer *b = e->load.buffer;
    kbuffer_strides(b, m->p->module->batch_max, stride);
    for (int p = 0; p < b->rank; p++)
        if (kexpr_uses(e->load.index[b->order[p]], m->axis) &&
            kexpr_coefficient(e->load.index[b->order[p]], m->axis, &coefficient))
            m->distance += (coefficient < 0 ? -coefficient : coefficient) * stride[p];
}

static int64_t movement(const KProgram *p, const Nest *nest, int axis) {
    Movement m = {p, nest->axes[axis].var, 0};
    KVisitor visitor = {.expression = add_movement, .context = &m};
    for (int r = 0; r < nest->reduction_count; r++)
        kexpr_visit(nest->reductions[r].expr, &visitor);
    return m.distance;
}

static void order_sum(const KProgram *p, Nest *nest) {
    for (int r = 0; r < nest->reduction_count; r++)
        if (nest->reductions[r].argument) /* the first extremum: in the order of its axis */
            return;
    int first = nest->ordered ? nest->sum_from : nest->parallel_count;
    for (int i = first; i < nest->axis_count && !(nest->ordered && !nest->reduction_count); i++)
        for (int j = nest->axis_count - 1; j > i; j--) {
            if (j == nest->vector_axis || j - 1 == nest->vector_axis || nest_bounds_use(nest, j - 1) ||
                movement(p, nest, j - 1) >= movement(p, nest, j))
                continue;
            NestAxis moved = nest->axes[j];
            nest->axes[j] = nest->axes[j - 1];
            nest->axes[j - 1] = moved;
        }
}

void layout_sums(KProgram *p) {
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            for (int n = 0; n < p->sequences[s]->kernels[k]->nest_count; n++)
                order_sum(p, p->sequences[s]->kernels[k]->nests[n]);
}
