/* Kernel IR: visiting all statements and expressions of a kernel, and the facts that are found that way. */
#include "codegen/kir/kir.h"
#include <stdlib.h>

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

static void visit_gemm(const KGemm *g, const KVisitor *v) {
    const KExpr *bounds[] = {g->row_from, g->row_to, g->column_from, g->column_to, g->sum};
    visit_indices(g->a.index, g->a.index_count, v);
    visit_indices(g->b.index, g->b.index_count, v);
    visit_indices(g->c.index, g->c.index_count, v);
    visit_indices(g->bias.index, g->bias.index_count, v);
    for (int i = 0; i < 5; i++)
        kexpr_visit(bounds[i], v);
}

static void visit_mma(const KMma *m, const KVisitor *v) {
    visit_indices(m->a, kmma_depth(m->precision) / 2, v);
    visit_indices(m->b, kmma_depth(m->precision) / 4, v);
    visit_indices(m->index, m->index_count, v);
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
    case KS_GEMM:
        visit_gemm(s->gemm, v);
        break;
    case KS_MMA:
        visit_mma(s->mma, v);
        break;
    case KS_PREFETCH:
        kexpr_visit(s->prefetch, v);
        break;
    case KS_CONVOLUTION:
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

static const bool *find_live(const KProgram *p, const KKernel *k) {
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

/* ---- facts */

struct KFacts {
    const KStmt *body;
    const bool *live;
    KUse *uses;
    int use_count, use_capacity;
    bool rows;
    unsigned calls; /* of libraries: a bit for each kind of statement */
    int batches;    /* how often B is read, but as the end of a loop that the caller hands out */
};

typedef struct {
    const KProgram *program;
    KFacts *facts;
    const KExpr *advice; /* the place of the prefetch that was seen last */
} FactFinder;

static void add_use(const FactFinder *finder, KUse use) {
    KFacts *f = finder->facts;
    const KBuffer *b = use.buffer;
    if (b->space != SPACE_LOCAL && b->space != SPACE_SHARED)
        ARENA_PUSH(finder->program->arena, f->uses, f->use_count, f->use_capacity, use);
}

static void note_use(const FactFinder *finder, KBuffer *b, bool written) {
    add_use(finder, (KUse){b, !written, written});
}

static void note_expression(void *context, const KExpr *e) {
    const FactFinder *finder = context;
    finder->facts->batches += e->kind == KE_BATCH;
    if (e->kind != KE_LOAD)
        return;
    add_use(finder, (KUse){e->load.buffer, e != finder->advice, false});
    finder->facts->rows |= e->load.buffer->indirect;
}

static void count_batch(void *context, const KExpr *e) {
    *(int *)context += e->kind == KE_BATCH;
}

/* The caller knows where these loops end: it hands out shares, or launches so many blocks. */
static int batches_of_caller(const KStmt *s) {
    int ends = 0;
    if (s->kind == KS_FOR &&
        (s->loop.axis == AXIS_PARALLEL || s->loop.axis == AXIS_GRID_X || s->loop.axis == AXIS_GRID_Y))
        kexpr_visit(s->loop.to, &(KVisitor){.expression = count_batch, .context = &ends});
    return ends;
}

/* It needs to know B. */
static void note_convolution(FactFinder *finder, const KConvolution *c) {
    KBuffer *const operands[] = {c->image, c->weights, c->result};
    for (int i = 0; i < 3; i++)
        note_use(finder, operands[i], operands[i] == kconvolution_written(c));
    note_use(finder, c->scratch, true);
    finder->facts->batches++;
    finder->facts->calls |= 1u << KS_CONVOLUTION;
}

static void note_statement(void *context, const KStmt *s) {
    FactFinder *finder = context;
    if (s->kind == KS_PREFETCH)
        finder->advice = s->prefetch;
    finder->facts->batches -= batches_of_caller(s);
    if (s->kind == KS_STORE)
        note_use(finder, s->store.buffer, true);
    if (s->kind == KS_TRANSPOSE) {
        note_use(finder, s->transpose.from, false);
        note_use(finder, s->transpose.to, true);
    }
    if (s->kind == KS_CONVOLUTION)
        note_convolution(finder, s->convolution);
    if (s->kind == KS_GEMM) {
        KBuffer *read[3];
        for (int i = kgemm_reads(s->gemm, read); i-- > 0;)
            note_use(finder, read[i], false);
        note_use(finder, s->gemm->c.buffer, true);
        if (s->gemm->accumulate)
            note_use(finder, s->gemm->c.buffer, false);
        if (s->gemm->scratch)
            note_use(finder, s->gemm->scratch, true);
        finder->facts->calls |= 1u << s->kind;
    }
}

static int by_id(const void *a, const void *b) {
    const KUse *x = a, *y = b;
    return x->buffer->id - y->buffer->id;
}

/* Each buffer once. */
static void merge_uses(KFacts *f) {
    int count = 0;
    if (f->use_count)
        qsort(f->uses, (size_t)f->use_count, sizeof *f->uses, by_id);
    for (int i = 0; i < f->use_count; i++) {
        if (count == 0 || f->uses[count - 1].buffer != f->uses[i].buffer)
            f->uses[count++] = f->uses[i];
        f->uses[count - 1].read |= f->uses[i].read;
        f->uses[count - 1].written |= f->uses[i].written;
    }
    f->use_count = count;
}

static const KFacts *facts_of(const KProgram *p, const KKernel *k) {
    if (*k->facts && (*k->facts)->body == k->body)
        return *k->facts;
    KFacts *f = *k->facts = ARENA_NEW(p->arena, KFacts);
    *f = (KFacts){.body = k->body, .live = find_live(p, k)};
    kstmt_visit(k->body, &(KVisitor){note_statement, note_expression, &(FactFinder){p, f, NULL}, f->live});
    merge_uses(f);
    return f;
}

const bool *kkernel_live(const KProgram *p, const KKernel *k) {
    return facts_of(p, k)->live;
}

int kkernel_uses(const KProgram *p, const KKernel *k, const KUse **uses) {
    const KFacts *f = facts_of(p, k);
    *uses = f->uses;
    return f->use_count;
}

bool kkernel_uses_rows(const KProgram *p, const KKernel *k) {
    return facts_of(p, k)->rows;
}

bool kkernel_calls(const KProgram *p, const KKernel *k, KStmtKind kind) {
    return facts_of(p, k)->calls >> kind & 1;
}

bool kkernel_uses_batch(const KProgram *p, const KKernel *k) {
    return facts_of(p, k)->batches > 0;
}

/* ---- loops */

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
