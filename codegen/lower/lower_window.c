/* Windows: pooling, the cells that maxima come from, and the gradients of both kinds of pooling. */
#include "codegen/lower/lower.h"

/* Index of the input cell for output cell o and window cell k along spatial axis s: o * stride + k * dilation - low. */
static KExpr *window_cell(LowerRegion *r, const WindowAttr *w, int s, KExpr *o, KExpr *k) {
    KProgram *p = r->lower->program;
    KExpr *cell = kexpr_binary(p, '+', kexpr_binary(p, '*', o, lower_index(r, w->stride[s])),
                               kexpr_binary(p, '*', k, lower_index(r, w->dilation[s])));
    return kexpr_binary(p, '-', cell, lower_index(r, w->low[s]));
}

static KExpr *and_also(KProgram *p, KExpr *a, KExpr *b) {
    return a ? kexpr_fn(p, FN_and, a, b, NULL) : b;
}

/* pool of x over its windows; with `argument` the number of the first largest cell of each window */
static Nest *pool_nest(LowerRegion *r, const Op *op, const Value *x, const Type *out, const WindowAttr *w,
                       KExpr **guard, KExpr **expr) {
    KProgram *p = r->lower->program;
    static const char *const names[] = {"ky", "kx", "kz"};
    Nest *nest = lower_nest(r, op, out);
    KExpr *index[MAX_RANK];
    index[0] = lower_axis(r, nest, 0);
    index[w->spatial + 1] = lower_axis(r, nest, w->spatial + 1);
    *guard = NULL;
    for (int s = 0; s < w->spatial; s++) {
        lower_add_axis(r, nest, names[s], dim_static(w->size[s]), true);
        KExpr *cell = window_cell(r, w, s, lower_axis(r, nest, s + 1), lower_axis(r, nest, nest->axis_count - 1));
        int64_t extent = x->type->dims[s + 1].n, last = (out->dims[s + 1].n - 1) * w->stride[s];
        last += (w->size[s] - 1) * w->dilation[s] - w->low[s];
        KExpr *inside = cell;
        if (w->low[s] > 0) { /* only windows that reach over the border need tests */
            *guard = and_also(p, *guard, kexpr_fn(p, FN_ge, cell, lower_index(r, 0), NULL));
            inside = kexpr_binary(p, 'M', inside, lower_index(r, 0));
        }
        if (last >= extent) {
            *guard = and_also(p, *guard, kexpr_fn(p, FN_lt, cell, lower_index(r, extent), NULL));
            inside = kexpr_binary(p, 'm', inside, lower_index(r, extent - 1));
        }
        index[s + 1] = inside;
    }
    *expr = lower_expr(r, nest, x, index);
    return nest;
}

/* A nest over windows computes what is pooled cell by cell. */
void lower_window_cells(LowerRegion *r, Nest *nest) {
    KProgram *p = r->lower->program;
    const WindowAttr *w = &r->windows->attr.window;
    nest->cell = kstmt_block(p);
    nest->point = ARENA_ARRAY(p->arena, KExpr *, MAX_RANK);
    for (int i = 0; i < nest->parallel_count; i++)
        nest->point[i] = lower_axis(r, nest, i);
    for (int s = 0; s < w->spatial; s++) {
        KVar *var = kvar_new(p, r->kernel, "w", (KType){KBASE_INDEX, 1}, false);
        nest->cells[nest->cell_count++] = (NestAxis){.var = var, .extent = dim_static(w->size[s])};
        nest->point[s + 1] = window_cell(r, w, s, nest->point[s + 1], kexpr_var(p, var));
    }
}

/* Pooling of what a nest over its windows computes. */
static bool pool_cells(LowerRegion *r, const Op *op) {
    const Value *x = op->inputs[0], *result = op->results[0];
    Nest *nest = r->home[x->id];
    if (!r->windows || !nest || !nest->point || !r->var[x->id])
        return false;
    NestReduction *pool = &nest->pools[nest->pool_count++];
    *pool = (NestReduction){.kind = op->attr.window.kind, .argument = op->code == OP_POOL_ARGMAX};
    pool->expr = kexpr_var(r->lower->program, r->var[x->id]);
    KType type = {lower_base(result->type->dtype), 1};
    pool->result = kvar_new(r->lower->program, r->kernel, result->name ? result->name : "pooled", type, true);
    r->var[result->id] = pool->result;
    r->home[result->id] = nest;
    return true;
}

void lower_pool(LowerRegion *r, const Op *op) {
    if (pool_cells(r, op))
        return;
    KExpr *guard, *expr;
    const WindowAttr *w = &op->attr.window;
    Nest *nest = pool_nest(r, op, op->inputs[0], op->results[0]->type, w, &guard, &expr);
    lower_reduction(r, nest, op->results[0], w->kind, expr)->guard = guard;
}

void lower_pool_argmax(LowerRegion *r, const Op *op) {
    if (pool_cells(r, op))
        return;
    KExpr *guard, *expr;
    Nest *nest = pool_nest(r, op, op->inputs[0], op->results[0]->type, &op->attr.window, &guard, &expr);
    NestReduction *reduction = lower_reduction(r, nest, op->results[0], REDUCE_MAX, expr);
    reduction->guard = guard;
    reduction->argument = true;
}

/* Where a cell of the input of a pooling meets its windows. */
typedef struct {
    KExpr *window[MAX_RANK]; /* index of the window, clamped */
    KExpr *guard;            /* whether there is one, NULL: always */
    KExpr *cell;             /* number of the cell in the window, row-major */
} WindowOfCell;

/* `last`: the largest value of `window`; cells behind the last window get a test. */
static void meets(LowerRegion *r, WindowOfCell *at, const Value *g, int s, KExpr *window, int64_t last) {
    KProgram *p = r->lower->program;
    int64_t extent = g->type->dims[s + 1].n;
    at->window[s + 1] = window;
    if (last < extent)
        return;
    at->guard = and_also(p, at->guard, kexpr_fn(p, FN_lt, window, lower_index(r, extent), NULL));
    at->window[s + 1] = kexpr_binary(p, 'm', window, lower_index(r, extent - 1));
}

/* The largest index of a window, whether there or not, that the last cell of x can lie in. */
static int64_t last_window(const WindowAttr *w, const Type *x, int s) {
    return (x->dims[s + 1].n - 1 + w->low[s]) / w->stride[s];
}

static void count_cell(LowerRegion *r, WindowOfCell *at, const WindowAttr *w, int s, KExpr *k) {
    KProgram *p = r->lower->program;
    at->cell = kexpr_binary(p, '+', kexpr_binary(p, '*', at->cell, lower_index(r, w->size[s])), k);
}

/* The window with this cell of spatial axis s, where windows do not overlap. */
static void only_window(LowerRegion *r, const Op *op, int s, KExpr *cell, WindowOfCell *at) {
    KProgram *p = r->lower->program;
    const WindowAttr *w = &op->attr.window;
    KExpr *from = kexpr_binary(p, '+', cell, lower_index(r, w->low[s])), *stride = lower_index(r, w->stride[s]);
    if (w->low[s] < 0) { /* cells before the first window */
        at->guard = and_also(p, at->guard, kexpr_fn(p, FN_ge, from, lower_index(r, 0), NULL));
        from = kexpr_binary(p, 'M', from, lower_index(r, 0));
    }
    KExpr *k = kexpr_binary(p, '%', from, stride);
    meets(r, at, op->inputs[1], s, kexpr_binary(p, '/', from, stride), last_window(w, op->results[0]->type, s));
    if (w->stride[s] > w->size[s])
        at->guard = and_also(p, at->guard, kexpr_fn(p, FN_lt, k, lower_index(r, w->size[s]), NULL));
    count_cell(r, at, w, s, k);
}

/* The window in which the cell is number k, for the reduce axis k. */
static void window_with_cell(LowerRegion *r, const Op *op, int s, KExpr *cell, KExpr *k, WindowOfCell *at) {
    KProgram *p = r->lower->program;
    const WindowAttr *w = &op->attr.window;
    KExpr *stride = lower_index(r, w->stride[s]);
    KExpr *from = kexpr_binary(p, '-', kexpr_binary(p, '+', cell, lower_index(r, w->low[s])),
                               kexpr_binary(p, '*', k, lower_index(r, w->dilation[s])));
    KExpr *positive = kexpr_binary(p, 'M', from, lower_index(r, 0));
    at->guard = and_also(p, at->guard, kexpr_fn(p, FN_ge, from, lower_index(r, 0), NULL));
    meets(r, at, op->inputs[1], s, kexpr_binary(p, '/', positive, stride), last_window(w, op->results[0]->type, s));
    if (w->stride[s] > 1)
        at->guard =
            and_also(p, at->guard, kexpr_fn(p, FN_eq, kexpr_binary(p, '%', positive, stride), lower_index(r, 0), NULL));
    count_cell(r, at, w, s, k);
}

/* What window `at` gives the cell: its number, or for a maximum its number if the maximum is in the cell. */
static KExpr *window_gives(LowerRegion *r, Nest *nest, const Op *op, const WindowOfCell *at) {
    KProgram *p = r->lower->program;
    KExpr *expr = lower_expr(r, nest, op->inputs[1], at->window);
    if (op->code != OP_UNPOOL)
        return expr;
    KExpr *winner = lower_expr(r, nest, op->inputs[0], at->window), *cell = kexpr_cast(p, KBASE_I32, at->cell);
    return kexpr_fn(p, FN_select, kexpr_fn(p, FN_eq, winner, cell, NULL), expr, kexpr_number(p, KBASE_F32, 0));
}

KExpr *lower_unpool_expr(LowerRegion *r, Nest *nest, const Op *op, KExpr *const *index) {
    KProgram *p = r->lower->program;
    int spatial = op->attr.window.spatial;
    WindowOfCell at = {.cell = lower_index(r, 0)};
    at.window[0] = index[0];
    at.window[spatial + 1] = index[spatial + 1];
    for (int s = 0; s < spatial; s++)
        only_window(r, op, s, index[s + 1], &at);
    KExpr *expr = window_gives(r, nest, op, &at);
    return at.guard ? kexpr_fn(p, FN_select, at.guard, expr, kexpr_number(p, KBASE_F32, 0)) : expr;
}

/* dx[i] = sum over the windows o that hold cell i of what they give it */
static void overlapping(LowerRegion *r, const Op *op) {
    static const char *const names[] = {"ky", "kx", "kz"};
    const WindowAttr *w = &op->attr.window;
    Nest *nest = lower_nest(r, op, op->results[0]->type);
    WindowOfCell at = {.cell = lower_index(r, 0)};
    at.window[0] = lower_axis(r, nest, 0);
    at.window[w->spatial + 1] = lower_axis(r, nest, w->spatial + 1);
    for (int s = 0; s < w->spatial; s++) {
        lower_add_axis(r, nest, names[s], dim_static(w->size[s]), true);
        window_with_cell(r, op, s, lower_axis(r, nest, s + 1), lower_axis(r, nest, nest->axis_count - 1), &at);
    }
    KExpr *expr = window_gives(r, nest, op, &at);
    lower_reduction(r, nest, op->results[0], REDUCE_SUM, expr)->guard = at.guard;
}

/* Overlapping windows only: else it is an expression. */
void lower_unpool(LowerRegion *r, const Op *op) {
    overlapping(r, op);
}

void lower_pool_grad(LowerRegion *r, const Op *op) {
    KProgram *p = r->lower->program;
    const Value *result = op->results[0];
    if (!window_is_disjoint(&op->attr.window)) {
        overlapping(r, op);
        return;
    }
    Nest *nest = lower_nest(r, op, result->type);
    KExpr *index[MAX_RANK];
    for (int i = 0; i < result->type->rank; i++)
        index[i] = lower_axis(r, nest, i);
    KExpr *expr = lower_unpool_expr(r, nest, op, index);
    r->var[result->id] = kvar_new(p, r->kernel, "v", expr->type, false);
    r->home[result->id] = nest;
    kstmt_add(nest->epilogue, kstmt_let(p, r->var[result->id], expr));
}
