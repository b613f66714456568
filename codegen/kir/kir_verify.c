/* The rules of kernel IR: statements of mapped kernels, and nests before mapping. Reports the first broken rule of each
 * kernel as an internal error. Expressions are checked in kir_verify_expr.c. */
#include "codegen/kir/kir_verify.h"
#include "codegen/kir/gpu_arch.h"
#include "codegen/kir/nest.h"
#include <string.h>

void verify_fail(Verifier *v, const char *format, ...) {
    if (v->failed)
        return;
    v->failed = true;
    va_list arguments;
    Text text = {0};
    va_start(arguments, format);
    text_vformat(&text, format, arguments);
    va_end(arguments);
    diag_internal(v->program->diag, v->kernel->span, "after %s, kernel %s: %s", v->after, v->kernel->name, text.data);
    text_free(&text);
}

static void verify_stmt(Verifier *v, const KStmt *s);

static void declare(Verifier *v, const KVar *var, VarFacts facts) {
    if (var->id < 0 || var->id >= v->kernel->var_count)
        verify_fail(v, "variable %s belongs to another kernel", var->name);
    else if (v->facts[var->id].var)
        verify_fail(v, "variable %s is declared twice", var->name);
    else {
        facts.var = var;
        v->facts[var->id] = facts;
    }
}

/* Ends a scope: what it declared is forgotten. */
static void verify_block(Verifier *v, const KStmt *s) {
    for (const KStmt *child = s->block.first; child && !v->failed; child = child->next)
        verify_stmt(v, child);
    for (const KStmt *child = s->block.first; child && !v->failed; child = child->next) {
        if (child->kind == KS_LET)
            v->facts[child->let.var->id].var = NULL;
        if (child->kind == KS_ALLOC)
            v->allocated[child->alloc->id] = false;
    }
}

static bool is_grid(AxisKind axis) {
    return axis == AXIS_GRID_X || axis == AXIS_GRID_Y;
}
static bool is_thread(AxisKind axis) {
    return axis == AXIS_THREAD_X || axis == AXIS_THREAD_Y;
}

static void verify_axis(Verifier *v, const KStmt *s) {
    AxisKind axis = s->loop.axis;
    if (axis == AXIS_PARALLEL && (kkernel_parallel(v->kernel) != s || v->parallel_loops++))
        verify_fail(v, "the parallel loop over %s is not the only and outermost one", s->loop.var->name);
    if ((is_grid(axis) || is_thread(axis)) && v->depth_serial)
        verify_fail(v, "the %s loop over %s lies inside another loop or condition", kaxis_names[axis],
                    s->loop.var->name);
}

static void note_barrier(void *context, const KStmt *s) {
    if (s->kind == KS_BARRIER || s->kind == KS_MMA)
        *(bool *)context = true;
}
static bool contains_barrier(const KStmt *s) { /* or a product of fragments */
    bool found = false;
    kstmt_visit(s, &(KVisitor){.statement = note_barrier, .context = &found});
    return found;
}

static void note_mma(void *context, const KStmt *s) {
    if (s->kind == KS_MMA)
        *(bool *)context = true;
}
static bool contains_mma(const KStmt *s) {
    bool found = false;
    kstmt_visit(s, &(KVisitor){.statement = note_mma, .context = &found});
    return found;
}

/* The loop variable's ends: exact if the bounds are, and if the loop runs at least once at the full batch. */
static VarFacts loop_facts(Verifier *v, const KStmt *s) {
    VarFacts facts = {.differs = is_thread(s->loop.axis) || verify_differs(v, s->loop.from)};
    int64_t low, high, factor = 1;
    int64_t batch_max = v->program->module ? v->program->module->batch_max : 1;
    const KExpr *to = s->loop.to;
    if (to->kind == KE_INDEX && to->index.op == '*' && kexpr_constant(to->index.right, &factor))
        to = to->index.left;
    bool known = true;
    if (to->kind == KE_BATCH)
        high = batch_max * factor;
    else
        known = kexpr_constant(s->loop.to, &high);
    if (known && kexpr_constant(s->loop.from, &low) && low < high) {
        facts.exact = v->conditions == 0;
        facts.low = low;
        facts.high = low + (high - 1 - low) / s->loop.step * s->loop.step;
    }
    return facts;
}

static void verify_for(Verifier *v, const KStmt *s) {
    AxisKind axis = s->loop.axis;
    if (s->loop.step < 1 || s->loop.var->is_mutable || s->loop.var->type.base != KBASE_INDEX ||
        s->loop.var->type.lanes != 1)
        verify_fail(v, "the loop over %s has a bad variable or step", s->loop.var->name);
    verify_index(v, s->loop.from);
    verify_index(v, s->loop.to);
    verify_axis(v, s);
    if (v->failed)
        return;
    bool differs = verify_differs(v, s->loop.from) || verify_differs(v, s->loop.to);
    bool serial = !is_grid(axis) && !is_thread(axis);
    declare(v, s->loop.var, loop_facts(v, s));
    v->divergent += differs;
    v->depth_serial += serial;
    verify_stmt(v, s->loop.body);
    v->depth_serial -= serial;
    v->divergent -= differs;
    v->facts[s->loop.var->id].var = NULL;
}

static void verify_if(Verifier *v, const KStmt *s) {
    if (s->branch.condition->type.base != KBASE_BOOL || s->branch.condition->type.lanes != 1)
        verify_fail(v, "a condition is no scalar bool");
    verify_expr(v, s->branch.condition);
    if (v->failed)
        return;
    bool differs = verify_differs(v, s->branch.condition);
    v->conditions++;
    v->depth_serial++;
    v->divergent += differs;
    verify_stmt(v, s->branch.then);
    verify_stmt(v, s->branch.otherwise);
    v->divergent -= differs;
    v->depth_serial--;
    v->conditions--;
}

static void verify_let(Verifier *v, const KStmt *s) {
    const KVar *var = s->let.var;
    verify_expr(v, s->let.value);
    if (s->let.value->type.base != var->type.base || s->let.value->type.lanes != var->type.lanes)
        verify_fail(v, "%s is %s, %d lanes; its value is %s, %d lanes", var->name, kbase_names[var->type.base],
                    var->type.lanes, kbase_names[s->let.value->type.base], s->let.value->type.lanes);
    if (v->failed)
        return;
    bool differs = v->divergent || verify_differs(v, s->let.value);
    if (s->kind == KS_LET) {
        VarFacts facts = {.differs = differs};
        facts.exact = !var->is_mutable && verify_exact_range(v, s->let.value, &facts.low, &facts.high);
        declare(v, var, facts);
    } else if (v->facts[var->id].var != var || !var->is_mutable)
        verify_fail(v, "%s is set, but it is not a mutable variable in scope", var->name);
    else
        v->facts[var->id].differs |= differs;
}

static void verify_store(Verifier *v, const KStmt *s) {
    const KBuffer *b = s->store.buffer;
    const KExpr *value = s->store.value;
    verify_place(v, b, s->store.index, s->store.index_count, verify_lanes(s->store.count, value->type.lanes));
    verify_expr(v, value);
    if (value->type.base != b->base)
        verify_fail(v, "%s is stored to %s of %s", kbase_names[value->type.base], b->name, kbase_names[b->base]);
    if (b->space == SPACE_ARGUMENT)
        verify_fail(v, "the argument %s is written", b->name);
    if (s->store.count) {
        verify_index(v, s->store.count);
        if (value->type.lanes == 1)
            verify_fail(v, "a scalar store to %s has a count", b->name);
    }
    if (value->type.lanes > 1 && s->store.index_count == 0)
        verify_fail(v, "a vector is stored to the scalar %s", b->name);
}

static void verify_transpose(Verifier *v, const KStmt *s) {
    int lanes = s->transpose.lanes;
    verify_place(v, s->transpose.from, s->transpose.from_index, s->transpose.from_count, (int)s->transpose.columns);
    verify_place(v, s->transpose.to, s->transpose.to_index, s->transpose.to_count, (int)s->transpose.rows);
    if (s->transpose.from_count < 2 || s->transpose.to_count < 2 || lanes < 1 || s->transpose.rows % lanes ||
        s->transpose.columns % lanes || s->transpose.from->base != KBASE_F32 || s->transpose.to->base != KBASE_F32)
        verify_fail(v, "the transpose of %s to %s is not made of whole %d x %d blocks of f32", s->transpose.from->name,
                    s->transpose.to->name, lanes, lanes);
}

/* From the first element to the last: a row may run on over axes, so what counts is the place in memory. */
static void verify_inside(Verifier *v, const KMatrix *m, const KExpr *rows, const KExpr *columns) {
    const KBuffer *b = m->buffer;
    int64_t batch_max = v->program->module ? v->program->module->batch_max : 1;
    int64_t stride[MAX_RANK + 1], end = 0, least, most;
    kbuffer_strides(b, batch_max, stride);
    for (int i = 0; i < kbuffer_axes(b); i++) {
        if (!kexpr_range(v->program, m->index[i], &least, &most))
            verify_fail(v, "the place of a matrix in %s has no bound", b->name);
        end += most * stride[i];
    }
    for (int i = 0; i < 2; i++) {
        if (!kexpr_range(v->program, i ? columns : rows, &least, &most))
            verify_fail(v, "a matrix in %s has no bound", b->name);
        end += (most - 1) * kmatrix_stride(v->program, m, i);
    }
    if (!v->failed && end >= kbuffer_elements(b, batch_max))
        verify_fail(v, "a matrix in %s reaches element %lld of %lld", b->name, (long long)end,
                    (long long)kbuffer_elements(b, batch_max));
}

/* least_row: -1 where all rows may be the same. */
static void verify_matrix(Verifier *v, const KMatrix *m, int least_row, const KExpr *rows, const KExpr *columns) {
    const KBuffer *b = m->buffer;
    int axes = kbuffer_axes(b);
    verify_place(v, b, m->index, m->index_count, 1);
    if (b->base != KBASE_F32 || b->indirect || b->lanes > 1 || b->block > 0 || m->along[0] == m->along[1] ||
        m->along[0] < least_row || m->along[0] >= axes || m->along[1] < 0 || m->along[1] >= axes)
        verify_fail(v, "%s is no matrix of f32 with rows and columns", b->name);
    if (v->failed)
        return;
    if (kmatrix_stride(v->program, m, 0) != 1 && kmatrix_stride(v->program, m, 1) != 1)
        verify_fail(v, "neither rows nor columns of %s lie side by side", b->name);
    verify_inside(v, m, rows, columns);
}

/* What it reads it does not write, nor does anything lie in what the library may spoil. */
static void verify_gemm_buffers(Verifier *v, const KGemm *g) {
    KBuffer *read[3];
    for (int i = kgemm_reads(g, read); i-- > 0;)
        if (g->c.buffer == read[i] || g->scratch == read[i])
            verify_fail(v, "a matrix product reads %s, which it writes", read[i]->name);
    if (g->c.buffer->space == SPACE_ARGUMENT)
        verify_fail(v, "the argument %s is written", g->c.buffer->name);
    if (g->scratch && (!g->scratch->scratch || g->scratch == g->c.buffer || g->scratch->space != SPACE_ARENA))
        verify_fail(v, "%s is no memory that a library may use", g->scratch->name);
}

static void verify_gemm(Verifier *v, const KGemm *g) {
    const KExpr *bounds[] = {g->row_from, g->row_to, g->column_from, g->column_to, g->sum};
    for (int i = 0; i < 5; i++)
        verify_index(v, bounds[i]);
    verify_matrix(v, &g->a, 0, g->row_to, g->sum);
    verify_matrix(v, &g->b, 0, g->sum, g->column_to);
    verify_matrix(v, &g->c, 0, g->row_to, g->column_to);
    if (g->bias.buffer)
        verify_matrix(v, &g->bias, -1, g->row_to, g->column_to);
    verify_gemm_buffers(v, g);
}

static void verify_mma(Verifier *v, const KMma *m) {
    int depth = kmma_depth(m->precision), a = depth / 2;
    const KBuffer *b = m->sum;
    if (m->precision != PRECISION_TF32 && m->precision != PRECISION_BFLOAT16)
        verify_fail(v, "there are no fragments of %s", kprecision_names[m->precision]);
    for (int i = 0; i < a + depth / 4 && !v->failed; i++) {
        const KExpr *e = i < a ? m->a[i] : m->b[i - a];
        if (!e || e->type.base != KBASE_F32 || e->type.lanes != 1)
            verify_fail(v, "an element of a fragment is no scalar f32");
        else
            verify_expr(v, e);
    }
    verify_place(v, b, m->index, m->index_count, MMA_SUMS);
    if (b->space != SPACE_LOCAL || b->base != KBASE_F32 || b->lanes > 1 || m->index_count < 1)
        verify_fail(v, "the sums of a fragment lie in %s, not in f32 registers of a thread", b->name);
    if (v->divergent)
        verify_fail(v, "a fragment is multiplied where not all threads of a warp come by");
}

static void verify_alloc(Verifier *v, const KBuffer *b) {
    bool local = b->space == SPACE_LOCAL || b->space == SPACE_SHARED;
    if (!local || b->id >= v->kernel->local_count || v->kernel->locals[b->id] != b)
        verify_fail(v, "%s is allocated, but is no local buffer of this kernel", b->name);
    else if (v->allocated[b->id])
        verify_fail(v, "%s is allocated twice", b->name);
    else
        v->allocated[b->id] = true;
}

static void verify_stmt(Verifier *v, const KStmt *s) {
    if (!s || v->failed)
        return;
    switch (s->kind) {
    case KS_BLOCK:
        verify_block(v, s);
        break;
    case KS_FOR:
        verify_for(v, s);
        break;
    case KS_IF:
        verify_if(v, s);
        break;
    case KS_LET:
    case KS_SET:
        verify_let(v, s);
        break;
    case KS_STORE:
        verify_store(v, s);
        break;
    case KS_TRANSPOSE:
        verify_transpose(v, s);
        break;
    case KS_GEMM:
        verify_gemm(v, s->gemm);
        break;
    case KS_MMA:
        verify_mma(v, s->mma);
        break;
    case KS_CONVOLUTION:
        verify_convolution(v, s->convolution);
        break;
    case KS_ALLOC:
        verify_alloc(v, s->alloc);
        break;
    case KS_BARRIER:
        if (v->divergent)
            verify_fail(v, "a barrier stands where not all threads of a block come by");
        break;
    case KS_PREFETCH:
    case KS_FORGET:
    case KS_COMMENT:
        break;
    }
}

/* Thread loops with fewer turns than the block has threads leave some out: no barrier may lie in them. */
typedef struct {
    Verifier *verifier;
    KLaunch launch;
} LaunchCheck;

static void verify_thread_loop(void *context, const KStmt *s) {
    LaunchCheck *check = context;
    int64_t low, high;
    if (s->kind != KS_FOR || !is_thread(s->loop.axis))
        return;
    KExpr *count = kloop_count((KProgram *)check->verifier->program, s);
    if (!kexpr_range(check->verifier->program, count, &low, &high))
        verify_fail(check->verifier, "the thread loop over %s has no bound", s->loop.var->name);
    else if (contains_barrier(s->loop.body) &&
             (low != high || high != check->launch.block[s->loop.axis - AXIS_THREAD_X]))
        verify_fail(check->verifier, "a barrier stands in the loop over %s, which not all threads run",
                    s->loop.var->name);
}

/* What every device can launch: blocks, threads of a block, shared memory without asking for more. */
static void verify_launch(Verifier *v, const KLaunch *launch) {
    const int64_t most[2] = {INT32_MAX, GPU_MOST_BLOCKS_Y};
    int64_t low, high, shared = 0;
    for (int i = 0; i < 2; i++)
        if (kexpr_range(v->program, launch->grid[i], &low, &high) && high > most[i])
            verify_fail(v, "a launch has %lld blocks along %c, more than %lld", (long long)high, "xy"[i],
                        (long long)most[i]);
    if (launch->block[0] * launch->block[1] > GPU_MOST_THREADS)
        verify_fail(v, "a block has %lld threads, more than %d", (long long)(launch->block[0] * launch->block[1]),
                    GPU_MOST_THREADS);
    for (int i = 0; i < v->kernel->local_count; i++)
        if (v->kernel->locals[i]->space == SPACE_SHARED)
            shared += kbuffer_elements(v->kernel->locals[i], 1) * kbase_bytes(v->kernel->locals[i]->base);
    if (shared > GPU_SHARED_BYTES)
        verify_fail(v, "a block has %lld bytes of shared memory, more than %d", (long long)shared, GPU_SHARED_BYTES);
}

static void verify_body(Verifier *v) {
    v->physical = true;
    verify_stmt(v, v->kernel->body);
    LaunchCheck check = {.verifier = v};
    bool warps = contains_mma(v->kernel->body);
    if (v->failed)
        return;
    bool on_device = kkernel_launch((KProgram *)v->program, v->kernel, &check.launch);
    if (warps && (!on_device || check.launch.block[0] * check.launch.block[1] % 32))
        verify_fail(v, "a fragment is multiplied, but the threads are no whole warps");
    if (v->failed || !on_device)
        return;
    verify_launch(v, &check.launch);
    kstmt_visit(v->kernel->body, &(KVisitor){.statement = verify_thread_loop, .context = &check});
}

static void verify_nest(Verifier *v, const Nest *nest) {
    for (int i = 0; i < nest->axis_count; i++) {
        int64_t extent = dim_size(nest->axes[i].extent, v->program->module ? v->program->module->batch_max : 1);
        declare(v, nest->axes[i].var, (VarFacts){.exact = extent > 0, .high = extent - 1});
        if (nest->axes[i].reduce != (i >= nest->parallel_count))
            verify_fail(v, "axis %d of a nest is out of order", i);
    }
    for (int i = 0; i < nest->reduction_count && !v->failed; i++) {
        const NestReduction *r = &nest->reductions[i];
        v->conditions += r->guard != NULL;
        verify_expr(v, r->expr);
        if (r->guard)
            verify_expr(v, r->guard);
        v->conditions -= r->guard != NULL;
        if (r->result->type.base != (r->argument ? KBASE_I32 : r->expr->type.base))
            verify_fail(v, "the reduction to %s has another type than its operand", r->result->name);
        declare(v, r->result, (VarFacts){.exact = false});
    }
    for (int i = nest->parallel_count; i < nest->axis_count && !v->failed; i++)
        v->facts[nest->axes[i].var->id].var = NULL;
    verify_stmt(v, nest->epilogue);
    memset(v->facts, 0, sizeof *v->facts * (size_t)v->kernel->var_count);
}

static bool verify_kernel(const KProgram *p, const KKernel *k, const char *after) {
    Verifier v = {.program = p, .kernel = k, .after = after};
    v.facts = ARENA_ARRAY(p->arena, VarFacts, k->var_count + 1);
    v.allocated = ARENA_ARRAY(p->arena, bool, k->local_count + 1);
    if (k->body)
        verify_body(&v);
    for (int i = 0; i < k->local_count && k->body && !v.failed; i++)
        if (kkernel_namesake(p, k, i))
            verify_fail(&v, "local buffer %s has the name of another buffer", k->locals[i]->name);
    for (int i = 0; i < k->nest_count && !k->body && !v.failed; i++)
        verify_nest(&v, k->nests[i]);
    return !v.failed;
}

bool kprogram_verify(const KProgram *p, const char *after) {
    bool good = true;
    for (int i = 0; i < p->sequence_count; i++)
        for (int j = 0; j < p->sequences[i]->count; j++)
            good &= verify_kernel(p, p->sequences[i]->kernels[j], after);
    return good;
}
