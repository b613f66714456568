/* How much a nest does, in FMA-slot units: the currency of the cost models, of the thread count and of explain. */
#include "codegen/kir/nest.h"

bool nest_bounds_use(const Nest *nest, int axis) {
    for (int i = nest->parallel_count; i < nest->axis_count; i++)
        if (nest->axes[i].from && (i == axis || kexpr_uses(nest->axes[i].from, nest->axes[axis].var) ||
                                   kexpr_uses(nest->axes[i].to, nest->axes[axis].var)))
            return true;
    return false;
}

/* The divisor by which an expression takes the rest of the variable; 0: none. */
static int64_t rest_divisor(const KExpr *e, const KVar *var) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    int64_t divisor = 0, coefficient;
    if (e->kind == KE_INDEX && e->index.op == '%' && kexpr_constant(e->index.right, &divisor) &&
        kexpr_coefficient(e->index.left, var, &coefficient) && coefficient == 1)
        return divisor;
    int count = kexpr_operands(e, operands);
    for (int i = 0; i < count; i++)
        if ((divisor = rest_divisor(operands[i], var)) > 0)
            return divisor;
    return 0;
}

bool nest_uses_beyond_rest(const KExpr *e, const KVar *var, int64_t period) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_VAR)
        return e->var == var;
    if (e->kind == KE_INDEX && e->index.op == '%' && period > 1 && rest_divisor(e, var) == period)
        return false;
    int count = kexpr_operands(e, operands);
    for (int i = 0; i < count; i++)
        if (nest_uses_beyond_rest(operands[i], var, period))
            return true;
    return false;
}

int64_t nest_period(const Nest *nest, int axis) {
    const KVar *var = nest->axes[axis].var;
    int64_t period = 0;
    for (int i = 0; i < nest->reduction_count && !period; i++)
        period = rest_divisor(nest->reductions[i].expr, var);
    for (int i = nest->parallel_count; i < nest->axis_count; i++)
        if (nest->axes[i].from && (nest_uses_beyond_rest(nest->axes[i].from, var, period) ||
                                   nest_uses_beyond_rest(nest->axes[i].to, var, period)))
            return 0;
    return period;
}

int nest_axis(const Nest *nest, const KExpr *index) {
    for (int i = 0; index->kind == KE_VAR && i < nest->axis_count; i++)
        if (nest->axes[i].var == index->var)
            return i;
    return -1;
}

int nest_parallel_axis(const Nest *nest, const KExpr *index) {
    int axis = nest_axis(nest, index);
    return axis < nest->parallel_count ? axis : -1;
}

bool nest_leads_to_piece(const Nest *nest, int axis) {
    return nest->turned && axis < nest->parallel_count && axis != nest->vector_axis &&
           kexpr_uses(nest->turned, nest->axes[axis].var);
}

static void visit_reductions(const NestReduction *reductions, int count, const KVisitor *visitor) {
    for (int i = 0; i < count; i++) {
        kexpr_visit(reductions[i].expr, visitor);
        kexpr_visit(reductions[i].guard, visitor);
    }
}

void nest_visit(const Nest *nest, const KVisitor *visitor) {
    visit_reductions(nest->reductions, nest->reduction_count, visitor);
    kstmt_visit(nest->cell, visitor);
    visit_reductions(nest->pools, nest->pool_count, visitor);
    kstmt_visit(nest->each, visitor);
    kstmt_visit(nest->epilogue, visitor);
    if (nest->carried.nest)
        nest_visit(nest->carried.nest, visitor);
}

int64_t largest_divisor(int64_t all, int64_t most) {
    int64_t rows = most < 1 ? 1 : most < all ? most : all;
    while (all % rows)
        rows--;
    return rows;
}

int nest_cells(const Nest *nest) {
    int64_t n = 1;
    for (int i = 0; i < nest->cell_count; i++)
        n *= nest->cells[i].extent.n;
    return (int)n;
}

bool nest_has_shares(const Nest *nest, bool reduced) {
    return nest->sum_parts && (reduced || nest->axes[1].from);
}

static int64_t points(const Nest *nest, int64_t batch, bool reduced) {
    int64_t n = 1;
    for (int i = 0; i < nest->axis_count; i++)
        if (reduced || !nest->axes[i].reduce)
            n *= dim_size(nest->axes[i].extent, batch);
    for (int i = 0; i < nest->axis_count && reduced; i++)
        if (nest->axes[i].part > 0)
            n = (int64_t)((double)n * nest->axes[i].part);
    return nest_has_shares(nest, reduced) ? n / nest->sum_parts : n;
}

static int64_t expr_cost(const KExpr *e) {
    switch (e->kind) {
    case KE_FN: {
        int64_t cost = scalar_infos[e->fn.fn].cost;
        for (int i = 0; i < scalar_infos[e->fn.fn].arity; i++)
            cost += expr_cost(e->fn.args[i]);
        return cost;
    }
    case KE_CAST:
    case KE_SPLAT:
        return expr_cost(e->operand);
    case KE_RANDOM:
        return 30;
    default:
        return 0;
    }
}

static int64_t block_cost(const KStmt *block) {
    int64_t cost = 0;
    for (const KStmt *s = block->block.first; s; s = s->next) {
        if (s->kind == KS_BLOCK)
            cost += block_cost(s);
        else if (s->kind == KS_LET)
            cost += expr_cost(s->let.value);
        else if (s->kind == KS_STORE)
            cost += 1 + expr_cost(s->store.value);
    }
    return cost;
}

int nest_row_axes(const Nest *nest) {
    const KKernel *kernel = nest->kernel;
    for (int i = kernel->block_first; i < kernel->block_end; i++)
        if (kernel->nests[i] == nest)
            return kernel->row_axes;
    return kernel->block_end ? 1 : kernel->row_axes;
}

int64_t nest_epilogue_slots(const Nest *nest) {
    return block_cost(nest->epilogue);
}

int64_t nest_slots(const Nest *nest, int64_t batch) {
    int64_t work = points(nest, batch, nest->ordered && !nest->reduction_count) * block_cost(nest->epilogue);
    if (nest->each)
        work += points(nest, batch, true) * block_cost(nest->each);
    for (int i = 0; i < nest->reduction_count; i++) {
        int64_t cost = expr_cost(nest->reductions[i].expr); /* a product and its sum are one FMA */
        work += points(nest, batch, true) * nest_cells(nest) * (cost > 1 ? cost : 1);
    }
    return work;
}

/* Comparing and choosing are no arithmetic: tiles do them once for many points. */
static double expr_flops(const KExpr *e) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    double flops = 0;
    if (e->kind == KE_FN && e->fn.fn != FN_select && e->type.base == KBASE_F32)
        flops = scalar_infos[e->fn.fn].cost;
    if (e->kind != KE_FN && e->kind != KE_CAST && e->kind != KE_SPLAT)
        return e->kind == KE_RANDOM ? (double)expr_cost(e) : 0;
    int count = kexpr_operands(e, operands);
    for (int i = 0; i < count; i++)
        flops += expr_flops(operands[i]);
    return flops;
}

static double block_flops(const KStmt *block) {
    double flops = 0;
    for (const KStmt *s = block->block.first; s; s = s->next)
        flops += s->kind == KS_BLOCK   ? block_flops(s)
                 : s->kind == KS_LET   ? expr_flops(s->let.value)
                 : s->kind == KS_STORE ? expr_flops(s->store.value)
                                       : 0;
    return flops;
}

static int64_t extent_of(const Nest *nest, const KVar *var) {
    for (int i = 0; i < nest->axis_count; i++)
        if (nest->axes[i].var == var)
            return nest->axes[i].extent.n;
    return 0;
}

/* Share of the points that lie in the triangle. */
static double part_in_triangle(const Nest *nest) {
    int64_t rows = extent_of(nest, nest->part.above), columns = extent_of(nest, nest->part.below), inside = 0;
    for (int64_t i = 0; i < rows; i++) {
        int64_t row = i + nest->part.distance + 1;
        inside += row < 0 ? 0 : row < columns ? row : columns;
    }
    return (double)inside / (double)(rows * columns);
}

/* Outside of a triangle nothing is done, and of loops that end where the data say a part of the iterations that there
 * may be. */
static double expected_part(const Nest *nest) {
    double part = nest->part.above ? part_in_triangle(nest) : 1;
    for (int i = 0; i < nest->axis_count; i++) {
        const KExpr *to = nest->axes[i].to;
        if (to && to->kind == KE_CAST && to->operand->kind == KE_LOAD)
            part /= KBUFFER_PARTS;
    }
    return part;
}

double nest_flops(const Nest *nest, int64_t batch) {
    double ends = (double)points(nest, batch, nest->ordered && !nest->reduction_count);
    double terms = (double)points(nest, batch, true) * nest_cells(nest), flops = ends * block_flops(nest->epilogue);
    for (int i = 0; i < nest->reduction_count; i++)
        flops += terms * (expr_flops(nest->reductions[i].expr) + 1);
    return flops * expected_part(nest);
}

const Nest *nest_outside(KProgram *p, const Nest *nest) {
    Nest *outside = ARENA_NEW(p->arena, Nest);
    *outside = *nest;
    outside->reduction_count = 0;
    outside->epilogue = nest->outside;
    outside->outside = NULL;
    return outside;
}

static bool block_writes(const KStmt *block, const KBuffer *b) {
    for (const KStmt *s = block->block.first; s; s = s->next)
        if ((s->kind == KS_STORE && s->store.buffer == b) || (s->kind == KS_BLOCK && block_writes(s, b)))
            return true;
    return false;
}

bool nests_write(const KKernel *kernel, const KBuffer *b) {
    for (int i = 0; i < kernel->nest_count; i++)
        if (block_writes(kernel->nests[i]->epilogue, b))
            return true;
    return false;
}

typedef struct {
    const KBuffer *buffer;
    bool met;
} Reader;

static void meet_load(void *reader, const KExpr *e) {
    Reader *r = reader;
    r->met = r->met || (e->kind == KE_LOAD && kbuffer_owner(e->load.buffer) == r->buffer);
}

bool nests_read(const KKernel *kernel, const KBuffer *b) {
    Reader reader = {b, false};
    for (int i = 0; i < kernel->nest_count; i++)
        nest_visit(kernel->nests[i], &(KVisitor){.expression = meet_load, .context = &reader});
    return reader.met;
}

/* ---- axes that nests have in common */
typedef struct {
    const KKernel *kernel;
    const Nest *nest;
    int axes;
} Shared;

static void share_index(Shared *s, const KBuffer *b, KExpr *const *index, int count) {
    if (b->space != SPACE_LOCAL && !nests_write(s->kernel, b))
        return;
    int same = 0;
    while (same < count && same < s->axes && index[same]->kind == KE_VAR && index[same]->var == s->nest->axes[same].var)
        same++;
    s->axes = same;
}

static void share_expression(void *context, const KExpr *e) {
    if (e->kind == KE_LOAD)
        share_index(context, e->load.buffer, e->load.index, e->load.index_count);
}

static void share_statement(void *context, const KStmt *s) {
    if (s->kind == KS_STORE)
        share_index(context, s->store.buffer, s->store.index, s->store.index_count);
}

int nests_shared_axes(const KKernel *kernel) {
    const Nest *first = kernel->nests[0];
    Shared shared = {.kernel = kernel, .axes = first->parallel_count};
    KVisitor visitor = {share_statement, share_expression, &shared, NULL};
    for (int i = 0; i < kernel->nest_count; i++) {
        const Nest *nest = shared.nest = kernel->nests[i];
        int same = 0;
        while (same < nest->parallel_count && same < shared.axes &&
               dim_equal(nest->axes[same].extent, first->axes[same].extent))
            same++;
        shared.axes = same;
        nest_visit(nest, &visitor);
    }
    return shared.axes;
}
