/* Orders that nothing is weighed for. Before the vector axes are chosen: axes with one place lie outside of longer
 * ones. After that, as loops run: sequences of a recurrence lie step by step in memory, heads of attention head by
 * head, and the loops of a sum run through memory as it lies. */
#include "codegen/nests/layout.h"

/* ---- axes with one place: [B, 28, 28, 1] as [B, 28, 1, 28], the same memory, of which the innermost axis is one that
 * vectors can move along */

static void put_longer_innermost(KBuffer *b) {
    bool of_caller = b->space == SPACE_ARGUMENT || b->space == SPACE_RESULT;
    int last = b->rank - 1;
    while (last > 0 && dim_equal(b->dims[b->order[last]], dim_static(1)))
        last--;
    if (last < 0 || (b->dims[b->order[last]].batch && of_caller))
        return;
    int8_t longer = b->order[last];
    for (int p = last; p < b->rank - 1; p++)
        b->order[p] = b->order[p + 1];
    b->order[b->rank - 1] = longer;
}

void layout_single_places(KProgram *p) {
    for (int i = 0; i < p->buffer_count; i++)
        put_longer_innermost(p->buffers[i]);
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            for (int n = 0; n < p->sequences[s]->kernels[k]->local_count; n++)
                put_longer_innermost(p->sequences[s]->kernels[k]->locals[n]);
}

/* The buffers, by KBuffer.id, along whose innermost axis vectors move. */
typedef struct {
    const KVar *vector;
    bool *moves;
} Moves;

static void note_move(Moves *m, const KBuffer *b, KExpr *const *index) {
    bool local = b->space == SPACE_LOCAL || b->space == SPACE_SHARED;
    if (!local && b->rank > 0 && kexpr_uses(index[kbuffer_innermost(b)], m->vector))
        m->moves[b->id] = true;
}

static void note_load(void *context, const KExpr *e) {
    if (e->kind == KE_LOAD)
        note_move(context, e->load.buffer, e->load.index);
}

static void note_store(void *context, const KStmt *s) {
    if (s->kind == KS_STORE)
        note_move(context, s->store.buffer, s->store.index);
}

/* Only an axis with one place is not where it was declared, and no order was chosen that needs whole vectors. */
static bool is_longer_innermost(const KBuffer *b) {
    KBuffer plain = *b;
    if (b->pad > 1)
        return false;
    for (int i = 0; i < b->rank; i++)
        plain.order[i] = (int8_t)i;
    put_longer_innermost(&plain);
    for (int i = 0; i < b->rank; i++)
        if (plain.order[i] != b->order[i])
            return false;
    return true;
}

void layout_declared_places(KProgram *p) {
    Moves m = {.moves = ARENA_ARRAY(p->arena, bool, p->buffer_count + 1)};
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            for (int n = 0; n < p->sequences[s]->kernels[k]->nest_count; n++) {
                const Nest *nest = p->sequences[s]->kernels[k]->nests[n];
                m.vector = nest->vector_axis < 0 ? NULL : nest->axes[nest->vector_axis].var;
                if (m.vector)
                    nest_visit(nest, &(KVisitor){note_store, note_load, &m, NULL});
            }
    for (int i = 0; i < p->buffer_count; i++)
        if (!m.moves[i] && is_longer_innermost(p->buffers[i]))
            for (int axis = 0; axis < p->buffers[i]->rank; axis++)
                p->buffers[i]->order[axis] = (int8_t)axis;
}

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
    if (b->space != SPACE_ARENA || b->rank < 3 || !b->dims[0].batch || layout_is_aliased(b) || b->order[0] != 0 ||
        b->order[1] != 1 || !kexpr_uses(index[1], use->time) ||
        (use->row && (index[0]->kind != KE_VAR || index[0]->var != use->row)))
        return;
    b->order[0] = 1;
    b->order[1] = 0;
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

static bool agree_in_nest(const KProgram *p, const KKernel *kernel, const Nest *nest) {
    TimeUse use = {.p = p, .time = kernel->step};
    KVisitor find = {.statement = find_in_store, .expression = find_in_load, .context = &use};
    KVisitor put = {.statement = put_store, .expression = put_load, .context = &use};
    if (!kernel->steps)
        nest_visit(nest, &find);
    if (use.time)
        nest_visit(nest, &put);
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

/* ---- heads: an axis over which a product is batched, as the heads of attention are, lies outside of the axes of one
 * product: [B, T, H, D] as [B, H, T, D]. What a product of one head reads is then one stream;
 * so is the share of a head in the kernels that are used at the same place of a nest. */
typedef struct {
    const KProgram *p;
    const KVar *head; /* NULL: any buffer whose heads lie outside tells */
    bool changed;
} HeadUse;

static bool is_var(const KExpr *index, const KVar *var) {
    return index->kind == KE_VAR && index->var == var;
}

/* Where the heads go in memory: behind the samples. */
static int head_place(const KBuffer *b) {
    return b->dims[0].batch ? 1 : 0;
}

static bool is_head_first(const KBuffer *b) {
    return b->rank >= 3 && b->rank - 2 > head_place(b) && b->order[head_place(b)] == b->rank - 2;
}

static void put_head_first(HeadUse *use, KBuffer *b, KExpr *const *index) {
    int head = b->rank - 2;
    bool own = b->space == SPACE_ARENA || b->space == SPACE_VARIABLE;
    if (!own || b->rank < 3 || b->base != KBASE_F32 || layout_is_aliased(b) || !is_var(index[head], use->head))
        return;
    for (int p = 0; p < b->rank; p++)
        if (b->order[p] != p)
            return;
    for (int p = head; p > head_place(b); p--)
        b->order[p] = b->order[p - 1];
    b->order[head_place(b)] = (int8_t)head;
    use->changed = use->changed || head > head_place(b);
}

static void head_of(HeadUse *use, const KBuffer *b, KExpr *const *index) {
    if (is_head_first(b) && index[b->rank - 2]->kind == KE_VAR)
        use->head = index[b->rank - 2]->var;
}

static void put_head_load(void *context, const KExpr *e) {
    if (e->kind == KE_LOAD)
        put_head_first(context, e->load.buffer, e->load.index);
}
static void put_head_store(void *context, const KStmt *s) {
    if (s->kind == KS_STORE)
        put_head_first(context, s->store.buffer, s->store.index);
}
static void head_of_load(void *context, const KExpr *e) {
    if (e->kind == KE_LOAD)
        head_of(context, e->load.buffer, e->load.index);
}
static void head_of_store(void *context, const KStmt *s) {
    if (s->kind == KS_STORE)
        head_of(context, s->store.buffer, s->store.index);
}

static bool has_index(const KExpr *load, const KVar *var) {
    for (int i = 1; i < load->load.index_count; i++)
        if (is_var(load->load.index[i], var))
            return true;
    return false;
}

/* The parallel axis behind the batch that both factors of a product have and the lanes are not on; NULL: none. */
static const KVar *batched_axis(const Nest *nest) {
    const KExpr *e = nest->reduction_count == 1 ? nest->reductions[0].expr : NULL;
    if (!e || e->kind != KE_FN || e->fn.fn != FN_mul || e->fn.args[0]->kind != KE_LOAD ||
        e->fn.args[1]->kind != KE_LOAD || !nest->axes[0].extent.batch)
        return NULL;
    for (int i = 1; i < nest->parallel_count; i++)
        if (i != nest->vector_axis && has_index(e->fn.args[0], nest->axes[i].var) &&
            has_index(e->fn.args[1], nest->axes[i].var))
            return nest->axes[i].var;
    return NULL;
}

static bool heads_in_nest(const KProgram *p, const Nest *nest) {
    HeadUse use = {.p = p, .head = batched_axis(nest)};
    KVisitor find = {.statement = head_of_store, .expression = head_of_load, .context = &use};
    KVisitor put = {.statement = put_head_store, .expression = put_head_load, .context = &use};
    if (!use.head)
        nest_visit(nest, &find);
    if (use.head)
        nest_visit(nest, &put);
    return use.changed;
}

void layout_heads(KProgram *p) {
    bool changed = true;
    while (changed) {
        changed = false;
        for (int s = 0; s < p->sequence_count; s++)
            for (int k = 0; k < p->sequences[s]->count; k++)
                for (int n = 0; n < p->sequences[s]->kernels[k]->nest_count && !p->sequences[s]->kernels[k]->steps; n++)
                    changed |= heads_in_nest(p, p->sequences[s]->kernels[k]->nests[n]);
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
