/* Kernel IR: visiting all statements and expressions of a kernel, and the facts that are found that way. */
#include "codegen/kir.h"

void kexpr_visit(const KExpr *e, const KVisitor *v) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (!e)
        return;
    if (v->expression)
        v->expression(v->context, e);
    int count = kexpr_operands(e, operands);
    for (int i = 0; i < count; i++)
        kexpr_visit(operands[i], v);
}

static void visit_indices(KExpr *const *index, int count, const KVisitor *v) {
    for (int i = 0; i < count; i++)
        kexpr_visit(index[i], v);
}

void kstmt_visit(const KStmt *s, const KVisitor *v) {
    if (!s || (v->live && (s->kind == KS_LET || s->kind == KS_SET) && !v->live[s->let.var->id]))
        return;
    if (v->statement)
        v->statement(v->context, s);
    switch (s->kind) {
    case KS_BLOCK:
        for (const KStmt *child = s->block.first; child; child = child->next)
            kstmt_visit(child, v);
        break;
    case KS_FOR:
        kexpr_visit(s->loop.from, v);
        kexpr_visit(s->loop.to, v);
        kstmt_visit(s->loop.body, v);
        break;
    case KS_IF:
        kexpr_visit(s->branch.condition, v);
        kstmt_visit(s->branch.then, v);
        kstmt_visit(s->branch.otherwise, v);
        break;
    case KS_LET:
    case KS_SET:
        kexpr_visit(s->let.value, v);
        break;
    case KS_STORE:
        visit_indices(s->store.index, s->store.index_count, v);
        kexpr_visit(s->store.value, v);
        kexpr_visit(s->store.count, v);
        break;
    case KS_TRANSPOSE:
        visit_indices(s->transpose.to_index, s->transpose.to_count, v);
        visit_indices(s->transpose.from_index, s->transpose.from_count, v);
        break;
    case KS_PREFETCH:
        kexpr_visit(s->prefetch, v);
        break;
    case KS_ALLOC:
    case KS_BARRIER:
    case KS_FORGET:
    case KS_COMMENT:
        break;
    }
}

/* ---- liveness */

typedef struct {
    bool *live;
    bool changed;
} Liveness;

static void mark_variable(void *context, const KExpr *e) {
    Liveness *l = context;
    if (e->kind == KE_VAR && !l->live[e->var->id])
        l->live[e->var->id] = l->changed = true;
}

const bool *kkernel_live(const KProgram *p, const KKernel *k) {
    Liveness l = {ARENA_ARRAY(p->arena, bool, k->var_count + 1), true};
    /* Nothing is live at first, so the first round sees what stands outside LET and SET; each further one follows the
     * values of what the round before found. */
    KVisitor visitor = {.expression = mark_variable, .context = &l, .live = l.live};
    while (l.changed) {
        l.changed = false;
        kstmt_visit(k->body, &visitor);
    }
    return l.live;
}

/* ---- buffers */

typedef struct {
    const KProgram *program;
    KUse *uses; /* by buffer id */
} UseFinder;

static void note_use(UseFinder *finder, KBuffer *b, bool written) {
    if (b->space == SPACE_LOCAL || b->space == SPACE_SHARED)
        return;
    KUse *use = &finder->uses[b->id];
    use->buffer = b;
    *(written ? &use->written : &use->read) = true;
}

static void use_of_expression(void *context, const KExpr *e) {
    if (e->kind == KE_LOAD)
        note_use(context, e->load.buffer, false);
}

static void use_of_statement(void *context, const KStmt *s) {
    if (s->kind == KS_STORE)
        note_use(context, s->store.buffer, true);
    if (s->kind == KS_TRANSPOSE) {
        note_use(context, s->transpose.from, false);
        note_use(context, s->transpose.to, true);
    }
}

int kkernel_uses(const KProgram *p, const KKernel *k, KUse **uses) {
    UseFinder finder = {p, ARENA_ARRAY(p->arena, KUse, p->buffer_count + 1)};
    KVisitor visitor = {use_of_statement, use_of_expression, &finder, kkernel_live(p, k)};
    kstmt_visit(k->body, &visitor);
    int count = 0;
    for (int i = 0; i < p->buffer_count; i++)
        if (finder.uses[i].buffer)
            finder.uses[count++] = finder.uses[i];
    *uses = finder.uses;
    return count;
}

static void find_rows(void *context, const KExpr *e) {
    if (e->kind == KE_LOAD && e->load.buffer->indirect)
        *(bool *)context = true;
}

bool kkernel_uses_rows(const KProgram *p, const KKernel *k) {
    bool found = false;
    kstmt_visit(k->body, &(KVisitor){NULL, find_rows, &found, kkernel_live(p, k)});
    return found;
}

/* ---- loops */

static void count_batch(void *context, const KExpr *e) {
    *(int *)context += e->kind == KE_BATCH;
}

/* The caller knows where these loops end: it hands out shares, or launches so many blocks. */
static void discount_batch(void *context, const KStmt *s) {
    int ends = 0;
    if (s->kind != KS_FOR)
        return;
    if (s->loop.axis == AXIS_PARALLEL || s->loop.axis == AXIS_GRID_X || s->loop.axis == AXIS_GRID_Y)
        kexpr_visit(s->loop.to, &(KVisitor){.expression = count_batch, .context = &ends});
    *(int *)context -= ends;
}

bool kkernel_uses_batch(const KProgram *p, const KKernel *k) {
    int uses = 0;
    kstmt_visit(k->body, &(KVisitor){discount_batch, count_batch, &uses, kkernel_live(p, k)});
    return uses > 0;
}

const KStmt *kkernel_parallel(const KKernel *k) {
    const KStmt *s = k->body && k->body->kind == KS_BLOCK ? k->body->block.first : k->body;
    while (s && !(s->kind == KS_FOR && s->loop.axis == AXIS_PARALLEL))
        s = s->next;
    return s;
}

KExpr *kloop_count(KProgram *p, const KStmt *loop) {
    KExpr *extent = kexpr_binary(p, '-', loop->loop.to, loop->loop.from);
    KExpr *rounded = kexpr_binary(p, '+', extent, kexpr_index(p, loop->loop.step - 1));
    return kexpr_binary(p, '/', rounded, kexpr_index(p, loop->loop.step));
}

typedef struct {
    KProgram *program;
    KLaunch *launch;
    bool found;
} LaunchFinder;

static void launch_axis(void *context, const KStmt *s) {
    LaunchFinder *finder = context;
    int64_t low, high;
    if (s->kind != KS_FOR || s->loop.axis < AXIS_GRID_X)
        return;
    KExpr *count = kloop_count(finder->program, s);
    int axis = s->loop.axis;
    if (axis == AXIS_GRID_X || axis == AXIS_GRID_Y) {
        finder->launch->grid[axis - AXIS_GRID_X] = count;
        finder->found = true;
    } else if (kexpr_range(finder->program, count, &low, &high) && high > finder->launch->block[axis - AXIS_THREAD_X])
        finder->launch->block[axis - AXIS_THREAD_X] = high;
}

bool kkernel_launch(KProgram *p, const KKernel *k, KLaunch *launch) {
    KExpr *one = kexpr_index(p, 1);
    *launch = (KLaunch){{one, one}, {1, 1}};
    LaunchFinder finder = {p, launch, false};
    kstmt_visit(k->body, &(KVisitor){.statement = launch_axis, .context = &finder});
    return finder.found;
}
