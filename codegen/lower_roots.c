/* Ops that open a nest of their own: reductions, contractions, windows, concatenation, scatter.
 *
 * An operand of a contraction that is read outside its extent, or between its elements (padding, strides in a
 * gradient), is first copied into a buffer with the zeros in place, by a kernel of its own: the nest then has affine
 * accesses only. */
#include "codegen/lower.h"
#include "ir/contraction.h"

bool lower_is_root(const Op *op) {
    switch (op_infos[op->code].op_class) {
    case CLASS_REDUCE:
    case CLASS_CONTRACT:
    case CLASS_WINDOW:
        return true;
    default:
        return op->code == OP_CONCAT || op->code == OP_SCATTER_ADD;
    }
}

static KExpr *axis(LowerRegion *r, const Nest *nest, int i) {
    return kexpr_var(r->lower->program, nest->axes[i].var);
}
static KExpr *index_of(LowerRegion *r, int64_t n) {
    return kexpr_index(r->lower->program, n);
}

static NestReduction *add_reduction(LowerRegion *r, Nest *nest, const Value *result, ReduceKind kind, KExpr *expr) {
    KProgram *p = r->lower->program;
    NestReduction *reduction = &nest->reductions[nest->reduction_count++];
    const char *name = result->name ? result->name : "sum";
    KBase base = lower_base(result->type->dtype);
    reduction->kind = kind;
    reduction->expr = expr;
    reduction->result = kvar_new(p, r->kernel, name, (KType){base, 1}, true);
    r->var[result->id] = reduction->result;
    r->home[result->id] = nest;
    return reduction;
}

/* ---- reductions over axes */
static void root_reduce(LowerRegion *r, const Op *op) {
    const Value *input = op->inputs[0], *result = op->results[0];
    bool reduced[MAX_RANK] = {false};
    if (op->code == OP_ARGMAX)
        reduced[op->attr.axis] = true;
    else
        for (int i = 0; i < op->attr.reduce.over.count; i++)
            reduced[op->attr.reduce.over.axes[i]] = true;
    Nest *nest = lower_nest(r, op, result->type);
    KExpr *index[MAX_RANK];
    int parallel = 0;
    for (int i = 0; i < input->type->rank; i++) {
        if (reduced[i]) {
            lower_add_axis(r, nest, input->type->dims[i].batch ? "m" : "k", input->type->dims[i], true);
            index[i] = axis(r, nest, nest->axis_count - 1);
        } else
            index[i] = axis(r, nest, parallel++);
    }
    KExpr *expr = lower_expr(r, nest, input, index);
    NestReduction *reduction =
        add_reduction(r, nest, result, op->code == OP_ARGMAX ? REDUCE_MAX : op->attr.reduce.kind, expr);
    reduction->argument = op->code == OP_ARGMAX;
}

/* ---- contractions */
static KExpr *affine(LowerRegion *r, const Nest *nest, const AffineIndex *a, int axis_count) {
    KProgram *p = r->lower->program;
    KExpr *sum = index_of(r, a->constant);
    for (int i = 0; i < axis_count; i++)
        if (a->coefficient[i])
            sum = kexpr_binary(p, '+', sum, kexpr_binary(p, '*', axis(r, nest, i), index_of(r, a->coefficient[i])));
    return sum;
}

/* Smallest and largest value of the numerator. */
static void affine_range(const Contraction *c, const AffineIndex *a, int64_t *low, int64_t *high) {
    *low = *high = a->constant;
    for (int i = 0; i < c->axis_count; i++) {
        int64_t reach = a->coefficient[i] * (c->extent[i].n - 1);
        *(reach < 0 ? low : high) += reach;
    }
}

/* What a step of a recurrence reads cannot be prepared by another kernel. */
static bool kernel_before(LowerRegion *r, const Op *op) {
    if (!r->kernel->steps)
        return true;
    diag_error(r->lower->program->diag, op->span, "%s with padding or windows inside of a recurrence is not built yet",
               op_infos[op->code].name);
    r->failed = true;
    return false;
}

/* A kernel that copies the operand into a buffer indexed by the numerator - low, zeros where there is no element. */
static KBuffer *halo(LowerRegion *outer, const Op *op, int input, const Contraction *c, AffineIndex *access, int rank) {
    Lower *lower = outer->lower;
    KProgram *p = lower->program;
    if (!kernel_before(outer, op))
        return NULL;
    const Value *value = op->inputs[input];
    Dim dims[MAX_RANK];
    int64_t low[MAX_RANK], high;
    for (int i = 0; i < rank; i++) {
        low[i] = 0;
        dims[i] = value->type->dims[i];
        if (access[i].may_miss) {
            affine_range(c, &access[i], &low[i], &high);
            dims[i] = dim_static(high - low[i] + 1);
        }
    }
    KBuffer *padded =
        kbuffer_new(p, SPACE_ARENA, lower_name(lower, op->layer, "padded"), lower_base(value->type->dtype), rank, dims);
    padded->sequence = lower->sequence;
    padded->layer = op->layer;
    LowerRegion inner = *outer;
    inner.kernel = lower_kernel(lower, op, "pad");
    KKernel *last = outer->kernel; /* the copy comes first */
    lower->sequence->kernels[lower->sequence->count - 1] = last;
    lower->sequence->kernels[lower->sequence->count - 2] = inner.kernel;
    const Type *space = type_get((Module *)p->module, value->type->dtype, rank, dims);
    Nest *nest = lower_nest(&inner, op, space);
    KExpr *index[MAX_RANK], *place[MAX_RANK], *inside = NULL;
    for (int i = 0; i < rank; i++) {
        place[i] = index[i] = axis(&inner, nest, i);
        if (!access[i].may_miss)
            continue;
        KExpr *extent = kexpr_dim(p, value->type->dims[i]), *step = index_of(outer, access[i].divisor);
        KExpr *moved = kexpr_binary(p, '+', index[i], index_of(outer, low[i]));
        KExpr *positive = kexpr_binary(p, 'M', moved, index_of(outer, 0));
        KExpr *quotient = kexpr_binary(p, '/', positive, step);
        KExpr *test = kexpr_fn(p, FN_and, kexpr_fn(p, FN_ge, moved, index_of(outer, 0), NULL),
                               kexpr_fn(p, FN_lt, quotient, extent, NULL), NULL);
        if (access[i].divisor > 1)
            test = kexpr_fn(p, FN_and, test,
                            kexpr_fn(p, FN_eq, kexpr_binary(p, '%', positive, step), index_of(outer, 0), NULL), NULL);
        inside = inside ? kexpr_fn(p, FN_and, inside, test, NULL) : test;
        place[i] = kexpr_binary(p, 'm', quotient, kexpr_binary(p, '-', extent, index_of(outer, 1)));
        access[i].constant -= low[i];
        access[i].divisor = 1;
    }
    KExpr *read = lower_expr(&inner, nest, value, place);
    KVar *var = kvar_new(p, inner.kernel, "v", read->type, false);
    kstmt_add(nest->epilogue,
              kstmt_let(p, var, kexpr_fn(p, FN_select, inside, read, kexpr_number(p, read->type.base, 0))));
    kstmt_add(nest->epilogue, kstmt_store(p, padded, index, rank, kexpr_var(p, var), NULL));
    inner.kernel->work = type_count(space, p->module->batch_max);
    return padded;
}

/* ---- sums of which only a part lies in the operand */
enum { LEAST_BATCH = 8, PAGE = 4096 };

/* The only reduce axis that an index moves along, one cell at a time; -1: none or several. */
static int only_reduce_axis(const Contraction *c, const AffineIndex *a) {
    int found = -1;
    for (int i = c->out_rank; i < c->axis_count; i++)
        if (a->coefficient[i]) {
            bool single =
                (a->coefficient[i] == 1 || a->coefficient[i] == -1) && !c->extent[i].batch && c->extent[i].n > 1;
            if (found >= 0 || !single)
                return -1;
            found = i;
        }
    return a->divisor == 1 ? found : -1;
}

/* Where tiles are made of samples, a loop may leave out what it would multiply with the zeros of a padding: not samples
 * a multiple of a page apart, which would fall on the same lines of the cache. */
static bool can_be_bounded(const LowerRegion *r, const Contraction *c, const AffineIndex *access, const Value *value) {
    bool used[MAX_AXES] = {false};
    const Type *type = value->type;
    if (r->lower->program->isa.lanes <= 1 || r->lower->program->module->batch_max < LEAST_BATCH ||
        !type->dims[0].batch || type_count(type, 1) * (int64_t)sizeof(float) % PAGE == 0)
        return false;
    for (int i = 0; i < type->rank; i++) {
        int axis = access[i].may_miss ? only_reduce_axis(c, &access[i]) : -1;
        if (access[i].may_miss && (axis < 0 || used[axis]))
            return false;
        if (axis >= 0)
            used[axis] = true;
    }
    return true;
}

/* 0 <= rest + k < extent, or 0 <= rest - k < extent, solved for k. */
static void bound_axes(LowerRegion *r, Nest *nest, const Contraction *c, const AffineIndex *access, const Type *type) {
    KProgram *p = r->lower->program;
    for (int i = 0; i < type->rank; i++) {
        if (!access[i].may_miss)
            continue;
        int k = only_reduce_axis(c, &access[i]);
        AffineIndex others = access[i];
        others.coefficient[k] = 0;
        KExpr *rest = affine(r, nest, &others, c->axis_count), *extent = index_of(r, type->dims[i].n), *from, *to;
        if (access[i].coefficient[k] == 1) {
            from = kexpr_binary(p, '-', index_of(r, 0), rest);
            to = kexpr_binary(p, '-', extent, rest);
        } else {
            from = kexpr_binary(p, '+', kexpr_binary(p, '-', rest, extent), index_of(r, 1));
            to = kexpr_binary(p, '+', rest, index_of(r, 1));
        }
        nest->axes[k].from = kexpr_binary(p, 'M', index_of(r, 0), from);
        nest->axes[k].to = kexpr_binary(p, 'm', index_of(r, c->extent[k].n), to);
    }
}

static KExpr *operand(LowerRegion *r, Nest *nest, const Op *op, int input, const Contraction *c, KBuffer *padded,
                      const AffineIndex *access, int rank) {
    KExpr *index[MAX_RANK];
    for (int i = 0; i < rank; i++)
        index[i] = affine(r, nest, &access[i], c->axis_count);
    return padded ? kexpr_load(r->lower->program, padded, index, rank) : lower_expr(r, nest, op->inputs[input], index);
}

static bool any_miss(const AffineIndex *access, int rank) {
    for (int i = 0; i < rank; i++)
        if (access[i].may_miss)
            return true;
    return false;
}

static void root_contract(LowerRegion *r, const Op *op) {
    Contraction c = contraction_of(op);
    bool a_miss = any_miss(c.a, c.a_rank), b_miss = any_miss(c.b, c.b_rank);
    bool bounded = a_miss && !b_miss && can_be_bounded(r, &c, c.a, op->inputs[0]);
    KBuffer *a_padded = a_miss && !bounded ? halo(r, op, 0, &c, c.a, c.a_rank) : NULL;
    KBuffer *b_padded = b_miss ? halo(r, op, 1, &c, c.b, c.b_rank) : NULL;
    Nest *nest = lower_nest(r, op, op->results[0]->type);
    for (int i = c.out_rank; i < c.axis_count; i++)
        lower_add_axis(r, nest, c.extent[i].batch ? "m" : "k", c.extent[i], true);
    if (bounded)
        bound_axes(r, nest, &c, c.a, op->inputs[0]->type);
    KExpr *a = operand(r, nest, op, 0, &c, a_padded, c.a, c.a_rank);
    KExpr *b = operand(r, nest, op, 1, &c, b_padded, c.b, c.b_rank);
    add_reduction(r, nest, op->results[0], REDUCE_SUM, kexpr_fn(r->lower->program, FN_mul, a, b, NULL));
}

/* ---- windows */
/* Index of the input cell for output cell o and window cell k along spatial axis s: o * stride + k * dilation - low. */
static KExpr *window_cell(LowerRegion *r, const WindowAttr *w, int s, KExpr *o, KExpr *k) {
    KProgram *p = r->lower->program;
    KExpr *cell = kexpr_binary(p, '+', kexpr_binary(p, '*', o, index_of(r, w->stride[s])),
                               kexpr_binary(p, '*', k, index_of(r, w->dilation[s])));
    return kexpr_binary(p, '-', cell, index_of(r, w->low[s]));
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
    index[0] = axis(r, nest, 0);
    index[w->spatial + 1] = axis(r, nest, w->spatial + 1);
    *guard = NULL;
    for (int s = 0; s < w->spatial; s++) {
        lower_add_axis(r, nest, names[s], dim_static(w->size[s]), true);
        KExpr *cell = window_cell(r, w, s, axis(r, nest, s + 1), axis(r, nest, nest->axis_count - 1));
        int64_t extent = x->type->dims[s + 1].n, last = (out->dims[s + 1].n - 1) * w->stride[s];
        last += (w->size[s] - 1) * w->dilation[s] - w->low[s];
        KExpr *inside = cell;
        if (w->low[s] > 0) { /* only windows that reach over the border need tests */
            *guard = and_also(p, *guard, kexpr_fn(p, FN_ge, cell, index_of(r, 0), NULL));
            inside = kexpr_binary(p, 'M', inside, index_of(r, 0));
        }
        if (last >= extent) {
            *guard = and_also(p, *guard, kexpr_fn(p, FN_lt, cell, index_of(r, extent), NULL));
            inside = kexpr_binary(p, 'm', inside, index_of(r, extent - 1));
        }
        index[s + 1] = inside;
    }
    *expr = lower_expr(r, nest, x, index);
    return nest;
}

static void root_pool(LowerRegion *r, const Op *op) {
    KExpr *guard, *expr;
    const WindowAttr *w = &op->attr.window;
    Nest *nest = pool_nest(r, op, op->inputs[0], op->results[0]->type, w, &guard, &expr);
    add_reduction(r, nest, op->results[0], w->kind, expr)->guard = guard;
}

/* A kernel of its own that finds the first largest cell of each window of max pooling. */
static KBuffer *argmax_of_windows(LowerRegion *outer, const Op *op) {
    Lower *lower = outer->lower;
    KProgram *p = lower->program;
    if (!kernel_before(outer, op))
        return NULL;
    const Type *out = op->inputs[1]->type;
    KBuffer *place =
        kbuffer_new(p, SPACE_ARENA, lower_name(lower, op->layer, "argmax"), KBASE_I32, out->rank, out->dims);
    place->sequence = lower->sequence;
    place->layer = op->layer;
    LowerRegion inner = *outer;
    inner.kernel = lower_kernel(lower, op, "argmax");
    lower->sequence->kernels[lower->sequence->count - 1] = outer->kernel;
    lower->sequence->kernels[lower->sequence->count - 2] = inner.kernel;
    KExpr *guard, *expr, *index[MAX_RANK];
    Nest *nest = pool_nest(&inner, op, op->inputs[0], out, &op->attr.window, &guard, &expr);
    NestReduction *reduction = &nest->reductions[nest->reduction_count++];
    *reduction = (NestReduction){.kind = REDUCE_MAX, .expr = expr, .guard = guard, .argument = true};
    reduction->result = kvar_new(p, inner.kernel, "place", (KType){KBASE_I32, 1}, true);
    for (int i = 0; i < out->rank; i++)
        index[i] = axis(&inner, nest, i);
    kstmt_add(nest->epilogue, kstmt_store(p, place, index, out->rank, kexpr_var(p, reduction->result), NULL));
    inner.kernel->work = type_count(out, p->module->batch_max) * 4;
    return place;
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
    at->guard = and_also(p, at->guard, kexpr_fn(p, FN_lt, window, index_of(r, extent), NULL));
    at->window[s + 1] = kexpr_binary(p, 'm', window, index_of(r, extent - 1));
}

/* The largest index of a window, whether there or not, that the last cell of x can lie in. */
static int64_t last_window(const WindowAttr *w, const Value *x, int s) {
    return (x->type->dims[s + 1].n - 1 + w->low[s]) / w->stride[s];
}

static void count_cell(LowerRegion *r, WindowOfCell *at, const WindowAttr *w, int s, KExpr *k) {
    KProgram *p = r->lower->program;
    at->cell = kexpr_binary(p, '+', kexpr_binary(p, '*', at->cell, index_of(r, w->size[s])), k);
}

/* Windows that do not overlap: each cell lies in one window at most. */
static bool is_disjoint(const WindowAttr *w) {
    for (int s = 0; s < w->spatial; s++)
        if (w->stride[s] < w->size[s] || w->dilation[s] != 1)
            return false;
    return true;
}

static void only_window(LowerRegion *r, const Nest *nest, const Op *op, int s, WindowOfCell *at) {
    KProgram *p = r->lower->program;
    const WindowAttr *w = &op->attr.window;
    KExpr *from = kexpr_binary(p, '+', axis(r, nest, s + 1), index_of(r, w->low[s])),
          *stride = index_of(r, w->stride[s]);
    if (w->low[s] < 0) { /* cells before the first window */
        at->guard = and_also(p, at->guard, kexpr_fn(p, FN_ge, from, index_of(r, 0), NULL));
        from = kexpr_binary(p, 'M', from, index_of(r, 0));
    }
    KExpr *k = kexpr_binary(p, '%', from, stride);
    meets(r, at, op->inputs[1], s, kexpr_binary(p, '/', from, stride), last_window(w, op->inputs[0], s));
    if (w->stride[s] > w->size[s])
        at->guard = and_also(p, at->guard, kexpr_fn(p, FN_lt, k, index_of(r, w->size[s]), NULL));
    count_cell(r, at, w, s, k);
}

/* The window in which the cell is number k, for the reduce axis k. */
static void window_with_cell(LowerRegion *r, const Nest *nest, const Op *op, int s, WindowOfCell *at) {
    KProgram *p = r->lower->program;
    const WindowAttr *w = &op->attr.window;
    KExpr *k = axis(r, nest, nest->axis_count - 1), *stride = index_of(r, w->stride[s]);
    KExpr *from = kexpr_binary(p, '-', kexpr_binary(p, '+', axis(r, nest, s + 1), index_of(r, w->low[s])),
                               kexpr_binary(p, '*', k, index_of(r, w->dilation[s])));
    KExpr *positive = kexpr_binary(p, 'M', from, index_of(r, 0));
    at->guard = and_also(p, at->guard, kexpr_fn(p, FN_ge, from, index_of(r, 0), NULL));
    meets(r, at, op->inputs[1], s, kexpr_binary(p, '/', positive, stride), last_window(w, op->inputs[0], s));
    if (w->stride[s] > 1)
        at->guard =
            and_also(p, at->guard, kexpr_fn(p, FN_eq, kexpr_binary(p, '%', positive, stride), index_of(r, 0), NULL));
    count_cell(r, at, w, s, k);
}

/* dx[i] = sum over the windows o that hold cell i of g[o]; max: only where i is the first largest cell of o */
static void root_pool_grad(LowerRegion *r, const Op *op) {
    KProgram *p = r->lower->program;
    static const char *const names[] = {"ky", "kx", "kz"};
    const WindowAttr *w = &op->attr.window;
    const Value *g = op->inputs[1], *result = op->results[0];
    KBuffer *place = w->kind == REDUCE_SUM ? NULL : argmax_of_windows(r, op);
    bool disjoint = is_disjoint(w);
    Nest *nest = lower_nest(r, op, result->type);
    WindowOfCell at = {.cell = index_of(r, 0)};
    at.window[0] = axis(r, nest, 0);
    at.window[w->spatial + 1] = axis(r, nest, w->spatial + 1);
    for (int s = 0; s < w->spatial; s++) {
        if (disjoint) {
            only_window(r, nest, op, s, &at);
            continue;
        }
        lower_add_axis(r, nest, names[s], dim_static(w->size[s]), true);
        window_with_cell(r, nest, op, s, &at);
    }
    KExpr *expr = lower_expr(r, nest, g, at.window), *zero = kexpr_number(p, KBASE_F32, 0);
    if (place) {
        KExpr *winner = kexpr_load(p, place, at.window, place->rank);
        expr = kexpr_fn(p, FN_select, kexpr_fn(p, FN_eq, winner, kexpr_cast(p, KBASE_I32, at.cell), NULL), expr, zero);
    }
    if (!disjoint) {
        add_reduction(r, nest, result, REDUCE_SUM, expr)->guard = at.guard;
        return;
    }
    r->var[result->id] = kvar_new(p, r->kernel, "v", expr->type, false);
    r->home[result->id] = nest;
    if (at.guard)
        expr = kexpr_fn(p, FN_select, at.guard, expr, zero);
    kstmt_add(nest->epilogue, kstmt_let(p, r->var[result->id], expr));
}

/* ---- concatenation: each operand is stored into its part of the result */

/* Equal operands that are computed in this kernel share a nest: what they have in common is computed once. */
static Nest *shared_nest(LowerRegion *r, const Op *op) {
    for (int i = 0; i < op->input_count; i++) {
        const Value *part = op->inputs[i];
        if (part->type != op->inputs[0]->type || !part->def || r->memory[part->id])
            return NULL;
    }
    Nest *nest = lower_find_nest(r, op->inputs[0]);
    for (int i = 1; i < op->input_count; i++)
        if (lower_find_nest(r, op->inputs[i]) != nest)
            nest = NULL;
    if (nest)
        return nest;
    for (int i = 0; i < op->input_count; i++)
        if (r->var[op->inputs[i]->id])
            return NULL;
    return lower_nest(r, op, op->inputs[0]->type);
}

static void store_part(LowerRegion *r, Nest *nest, const Op *op, KBuffer *buffer, KExpr *step, int64_t offset,
                       KVar *var) {
    KProgram *p = r->lower->program;
    KExpr *index[MAX_RANK], *to[MAX_RANK + 1];
    for (int k = 0; k < nest->parallel_count; k++)
        index[k] = axis(r, nest, k);
    index[op->attr.axis] = kexpr_binary(p, '+', index[op->attr.axis], index_of(r, offset));
    int count = lower_step_index(index, op->results[0]->type, step, to);
    lower_store(r, nest, buffer, to, count, kexpr_var(p, var));
}

static void root_concat(LowerRegion *r, const Op *op) {
    KProgram *p = r->lower->program;
    const Value *result = op->results[0];
    KBuffer *buffer = r->wanted[result->id], *sequence = r->sequence ? r->sequence[result->id] : NULL;
    if (!buffer)
        buffer = kbuffer_local(p, r->kernel, SPACE_LOCAL, "joined", lower_base(result->type->dtype), result->type->rank,
                               result->type->dims);
    Nest *shared = shared_nest(r, op);
    int64_t offset = 0;
    for (int i = 0; i < op->input_count; i++) {
        const Value *part = op->inputs[i];
        Nest *nest = shared ? shared : lower_nest(r, op, part->type);
        bool here = shared && r->var[part->id] && r->home[part->id] == nest;
        KVar *var = here ? r->var[part->id] : lower_let(r, nest, part);
        store_part(r, nest, op, buffer, NULL, offset, var);
        if (sequence)
            store_part(r, nest, op, sequence, r->now, offset, var);
        offset += part->type->dims[op->attr.axis].n;
    }
    r->memory[result->id] = buffer;
    r->home[result->id] = shared ? shared : r->kernel->nests[r->kernel->nest_count - 1];
}

/* ---- scattered sums: table[n, rest] = sum over i with ids[i] == n of rows[i, rest] */
static KExpr *table_row(LowerRegion *r, Nest *nest, const Op *op, KExpr *const *index) {
    KProgram *p = r->lower->program;
    KExpr *id = kexpr_cast(p, KBASE_INDEX, lower_expr(r, nest, op->inputs[0], index));
    int64_t last = op->results[0]->type->dims[0].n - 1;
    return kexpr_binary(p, 'm', kexpr_binary(p, 'M', id, index_of(r, 0)), index_of(r, last));
}

static void add_id_axes(LowerRegion *r, Nest *nest, const Type *ids, KExpr **index) {
    for (int i = 0; i < ids->rank; i++) {
        lower_add_axis(r, nest, ids->dims[i].batch ? "m" : "k", ids->dims[i], true);
        index[i] = axis(r, nest, nest->axis_count - 1);
    }
}

/* Every element of the table looks at all rows: for targets where each element is a thread. */
static void scatter_by_element(LowerRegion *r, const Op *op) {
    KProgram *p = r->lower->program;
    const Value *ids = op->inputs[0], *table = op->results[0];
    Nest *nest = lower_nest(r, op, table->type);
    KExpr *index[MAX_RANK];
    add_id_axes(r, nest, ids->type, index);
    for (int i = 1; i < table->type->rank; i++)
        index[ids->type->rank + i - 1] = axis(r, nest, i);
    KExpr *mine = kexpr_fn(p, FN_eq, table_row(r, nest, op, index), axis(r, nest, 0), NULL);
    KExpr *row = lower_expr(r, nest, op->inputs[1], index);
    add_reduction(r, nest, table, REDUCE_SUM, kexpr_fn(p, FN_select, mine, row, kexpr_number(p, KBASE_F32, 0)));
}

/* Zeros, then each row is added to its place, in the order of the rows. */
static void scatter_by_row(LowerRegion *r, const Op *op) {
    KProgram *p = r->lower->program;
    const Value *ids = op->inputs[0], *table = op->results[0];
    KBuffer *wanted = r->wanted[table->id], *sum = wanted && wanted->space == SPACE_ARENA ? wanted : NULL;
    if (!sum)
        sum = kbuffer_local(p, r->kernel, SPACE_LOCAL, "sums", KBASE_F32, table->type->rank, table->type->dims);
    Nest *zero = lower_nest(r, op, table->type);
    KExpr *place[MAX_RANK], *index[MAX_RANK];
    for (int i = 0; i < table->type->rank; i++)
        place[i] = axis(r, zero, i);
    kstmt_add(zero->epilogue, kstmt_store(p, sum, place, table->type->rank, kexpr_number(p, KBASE_F32, 0), NULL));
    Dim rest[MAX_RANK];
    for (int i = 1; i < table->type->rank; i++)
        rest[i - 1] = table->type->dims[i];
    Nest *add = lower_nest(r, op, type_get((Module *)p->module, DTYPE_F32, table->type->rank - 1, rest));
    add->ordered = true;
    add_id_axes(r, add, ids->type, index);
    for (int i = 1; i < table->type->rank; i++)
        place[i] = index[ids->type->rank + i - 1] = axis(r, add, i - 1);
    place[0] = table_row(r, add, op, index);
    KExpr *both = kexpr_fn(p, FN_add, kexpr_load(p, sum, place, table->type->rank),
                           lower_expr(r, add, op->inputs[1], index), NULL);
    kstmt_add(add->epilogue, kstmt_store(p, sum, place, table->type->rank, both, NULL));
    r->memory[table->id] = sum;
    r->home[table->id] = add;
}

void lower_root(LowerRegion *r, const Op *op) {
    if (op->code == OP_REDUCE || op->code == OP_ARGMAX)
        root_reduce(r, op);
    else if (op->code == OP_POOL)
        root_pool(r, op);
    else if (op->code == OP_POOL_GRAD)
        root_pool_grad(r, op);
    else if (op->code == OP_CONCAT)
        root_concat(r, op);
    else if (op->code == OP_SCATTER_ADD)
        r->lower->program->isa.lanes > 1 ? scatter_by_row(r, op) : scatter_by_element(r, op);
    else
        root_contract(r, op);
}
