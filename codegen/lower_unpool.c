/* Gradients of a convolution from the gradient of max pooling, of which one cell per window at most is not zero.
 *
 * Three forms. `list`: a kernel before writes down, for each sample and channel, which numbers are not zero and where;
 * the gradients walk through these lists, with the other operand's channels on the lanes, so that the work is a number
 * per window and not per cell, and what a relu or dropout has left as zero costs nothing. `inline`: the operand is
 * computed where it is read. Else a kernel before writes all cells. A list leaves out products with zero: where the
 * other factor is infinite or NaN, the other forms give NaN. */
#include "codegen/lower.h"

enum { LEAST_CELLS = 2, MOST_TAPS = 25, MOST_INLINE = 32 };

/* What has been made of an unpool already: other readers use it too. */
struct LowerUnpool {
    KBuffer *cells, *g; /* its operands */
    const WindowAttr *window;
    const Type *type;
    KBuffer *whole;                  /* all cells */
    KBuffer *number, *place, *count; /* lists: by sample and channel */
    struct LowerUnpool *next;
};

static LowerUnpool *find(LowerRegion *r, const Op *unpool) {
    KBuffer *cells = r->memory[unpool->inputs[0]->id], *g = r->memory[unpool->inputs[1]->id];
    for (LowerUnpool *u = r->lower->unpools; u && cells && g; u = u->next)
        if (u->cells == cells && u->g == g && u->type == unpool->results[0]->type &&
            u->window->stride[0] == unpool->attr.window.stride[0])
            return u;
    LowerUnpool *u = ARENA_NEW(r->lower->program->arena, LowerUnpool);
    *u = (LowerUnpool){.cells = cells, .g = g, .window = &unpool->attr.window, .type = unpool->results[0]->type};
    u->next = r->lower->unpools;
    r->lower->unpools = u;
    return u;
}

/* A kernel that runs before the one being made. */
static LowerRegion region_before(LowerRegion *outer, const Op *op, const char *suffix) {
    KSequence *sequence = outer->lower->sequence;
    LowerRegion inner = *outer;
    inner.kernel = lower_kernel(outer->lower, op, suffix);
    sequence->kernels[sequence->count - 1] = outer->kernel;
    sequence->kernels[sequence->count - 2] = inner.kernel;
    return inner;
}

static KBuffer *new_buffer(LowerRegion *r, const Op *op, const char *what, KBase base, int rank, const Dim *dims) {
    Lower *lower = r->lower;
    KBuffer *b = kbuffer_new(lower->program, SPACE_ARENA, lower_name(lower, op->layer, what), base, rank, dims);
    b->sequence = lower->sequence;
    b->layer = op->layer;
    return b;
}

static void add_store(LowerRegion *r, KStmt *block, KBuffer *b, KExpr *const *index, KExpr *value) {
    kstmt_add(block, kstmt_store(r->lower->program, b, index, b->rank, value, NULL));
}

static void axes_of(LowerRegion *r, const Nest *nest, int count, KExpr **index) {
    for (int i = 0; i < count; i++)
        index[i] = lower_axis(r, nest, i);
}

static void set_work(LowerRegion *r) {
    r->kernel->work = 0;
    for (int i = 0; i < r->kernel->nest_count; i++)
        r->kernel->work += nest_slots(r->kernel->nests[i], r->lower->program->module->batch_max);
}

/* ---- all cells */
KBuffer *lower_unpool_whole(LowerRegion *outer, const Op *unpool) {
    KProgram *p = outer->lower->program;
    LowerUnpool *u = find(outer, unpool);
    const Type *type = unpool->results[0]->type;
    KExpr *index[MAX_RANK];
    if (u->whole)
        return u->whole;
    u->whole = new_buffer(outer, unpool, "unpooled", KBASE_F32, type->rank, type->dims);
    LowerRegion r = region_before(outer, unpool, "unpool");
    Nest *nest = lower_nest(&r, unpool, type);
    axes_of(&r, nest, type->rank, index);
    KExpr *value = lower_unpool_expr(&r, nest, unpool, index);
    KVar *var = kvar_new(p, r.kernel, "v", value->type, false);
    kstmt_add(nest->epilogue, kstmt_let(p, var, value));
    add_store(&r, nest->epilogue, u->whole, index, kexpr_var(p, var));
    set_work(&r);
    return u->whole;
}

/* ---- lists */
/* For each sample and channel, the numbers that are not zero and the indices of their cells along space, in the order
 * of the windows. */
static void make_lists(LowerRegion *outer, const Op *unpool, LowerUnpool *u) {
    KProgram *p = outer->lower->program;
    const WindowAttr *w = &unpool->attr.window;
    const Type *windows = unpool->inputs[1]->type;
    int spatial = w->spatial, last = spatial + 1;
    Dim dims[] = {windows->dims[0], windows->dims[last], dim_static(1), dim_static(spatial)};
    for (int s = 0; s < spatial; s++)
        dims[2].n *= windows->dims[s + 1].n;
    u->number = new_buffer(outer, unpool, "nonzero", KBASE_F32, 3, dims);
    u->place = new_buffer(outer, unpool, "nonzero_place", KBASE_I32, 4, dims);
    u->count = new_buffer(outer, unpool, "nonzero_count", KBASE_I32, 2, dims);
    u->count->most = dims[2].n;
    LowerRegion r = region_before(outer, unpool, "list");
    Nest *nest = lower_nest(&r, unpool, type_get((Module *)p->module, DTYPE_F32, 2, dims));
    KExpr *window[MAX_RANK] = {lower_axis(&r, nest, 0)}, *index[4] = {window[0], lower_axis(&r, nest, 1)};
    window[last] = index[1];
    for (int s = 0; s < spatial; s++) {
        lower_add_axis(&r, nest, s == 0 ? "y" : s == 1 ? "x" : "z", windows->dims[s + 1], true);
        window[s + 1] = lower_axis(&r, nest, nest->axis_count - 1);
    }
    KExpr *number = lower_expr(&r, nest, unpool->inputs[1], window);
    KExpr *there = kexpr_fn(p, FN_ne, number, kexpr_number(p, KBASE_F32, 0), NULL);
    NestReduction *count = &nest->reductions[nest->reduction_count++];
    *count = (NestReduction){.kind = REDUCE_SUM};
    count->expr = kexpr_fn(p, FN_select, there, kexpr_number(p, KBASE_I32, 1), kexpr_number(p, KBASE_I32, 0));
    count->result = kvar_new(p, r.kernel, "count", (KType){KBASE_I32, 1}, true);
    nest->each = kstmt_block(p); /* what is no number is overwritten by the next one */
    index[2] = kexpr_cast(p, KBASE_INDEX, kexpr_var(p, count->result));
    add_store(&r, nest->each, u->number, index, number);
    KExpr *cell = kexpr_cast(p, KBASE_INDEX, lower_expr(&r, nest, unpool->inputs[0], window));
    for (int s = spatial - 1; s >= 0; s--) {
        KExpr *size = lower_index(&r, w->size[s]), *k = s ? kexpr_binary(p, '%', cell, size) : cell;
        KExpr *from = kexpr_binary(p, '-', kexpr_binary(p, '*', window[s + 1], lower_index(&r, w->stride[s])),
                                   lower_index(&r, w->low[s]));
        index[3] = lower_index(&r, s);
        add_store(&r, nest->each, u->place, index, kexpr_cast(p, KBASE_I32, kexpr_binary(p, '+', from, k)));
        cell = kexpr_binary(p, '/', cell, size);
    }
    add_store(&r, nest->epilogue, u->count, index, kexpr_var(p, count->result));
    set_work(&r);
}

/* A walk through the list of sample index[0] and channel index[1]: another axis of the nest; index[2] is the place in
 * the list. */
static void add_list_axis(LowerRegion *r, Nest *nest, const LowerUnpool *u, KExpr **index) {
    lower_add_axis(r, nest, "e", u->number->dims[2], true);
    NestAxis *axis = &nest->axes[nest->axis_count - 1];
    axis->from = lower_index(r, 0);
    axis->to = kexpr_cast(r->lower->program, KBASE_INDEX, kexpr_load(r->lower->program, u->count, index, 2));
    index[2] = lower_axis(r, nest, nest->axis_count - 1);
}

/* The cell of the convolution's input that tap[s] of the kernel meets at this number of a list; the first cell has the
 * number -origin[s]. */
static void met_cell(LowerRegion *r, const LowerUnpool *u, const WindowAttr *w, KExpr *const *index, KExpr *const *tap,
                     const int64_t *origin, KExpr **cell) {
    KProgram *p = r->lower->program;
    KExpr *place[] = {index[0], index[1], index[2], NULL};
    for (int s = 0; s < w->spatial; s++) {
        place[3] = lower_index(r, s);
        KExpr *o = kexpr_cast(p, KBASE_INDEX, kexpr_load(p, u->place, place, 4));
        KExpr *from = kexpr_binary(p, '*', o, lower_index(r, w->stride[s]));
        KExpr *reach = kexpr_binary(p, '*', tap[s], lower_index(r, w->dilation[s]));
        cell[s + 1] = kexpr_binary(p, '+', kexpr_binary(p, '+', from, reach), lower_index(r, origin[s]));
    }
}

/* The last axis of a kernel, the channels of the gradient, outermost in memory: each list has its own kernel. */
static void set_order(KBuffer *kernel) {
    for (int i = 0; i < kernel->rank; i++)
        kernel->order[i] = (int8_t)(i == 0 ? kernel->rank - 1 : i - 1);
}

/* dkernel[k, c, n] = sum over samples and their lists: x[m, place + k, c] * number, into memory by a kernel before.
 * Sample by sample, so that x and the part of the gradient at hand are in the cache. */
static void list_grad_kernel(LowerRegion *outer, const Op *op, const LowerUnpool *u) {
    KProgram *p = outer->lower->program;
    const WindowAttr *w = &op->attr.window;
    const Value *x = op->inputs[0], *result = op->results[0];
    int spatial = w->spatial, rank = result->type->rank;
    KBuffer *sum = new_buffer(outer, op, "kernel_gradient", KBASE_F32, rank, result->type->dims);
    set_order(sum);
    Contraction c = contraction_of(op);
    bool misses = false;
    int64_t origin[3];
    for (int s = 0; s < spatial; s++)
        misses = misses || c.a[s + 1].may_miss;
    KBuffer *padded = misses ? lower_halo(outer, op, 0, &c, c.a, c.a_rank) : NULL;
    for (int s = 0; s < spatial; s++)
        origin[s] = c.a[s + 1].constant;
    LowerRegion r = region_before(outer, op, "gradient");
    Nest *zero = lower_nest(&r, op, result->type), *nest = lower_nest(&r, op, result->type);
    KExpr *place[MAX_RANK];
    axes_of(&r, zero, rank, place);
    add_store(&r, zero->epilogue, sum, place, kexpr_number(p, KBASE_F32, 0));
    nest->ordered = true;
    lower_add_axis(&r, nest, "m", x->type->dims[0], true);
    KExpr *index[3] = {lower_axis(&r, nest, rank), lower_axis(&r, nest, rank - 1)}, *tap[MAX_RANK], *cell[MAX_RANK];
    nest->sum_from = nest->axis_count;
    add_list_axis(&r, nest, u, index);
    axes_of(&r, nest, rank, tap);
    met_cell(&r, u, w, index, tap, origin, cell);
    cell[0] = index[0];
    cell[spatial + 1] = tap[spatial];
    NestReduction *reduction = &nest->reductions[nest->reduction_count++];
    *reduction = (NestReduction){.kind = REDUCE_SUM};
    KExpr *read = padded ? kexpr_load(p, padded, cell, padded->rank) : lower_expr(&r, nest, x, cell);
    reduction->expr = kexpr_fn(p, FN_mul, read, kexpr_load(p, u->number, index, 3), NULL);
    reduction->result = kvar_new(p, r.kernel, "sum", (KType){KBASE_F32, 1}, true);
    KExpr *more = kexpr_fn(p, FN_add, kexpr_load(p, sum, tap, rank), kexpr_var(p, reduction->result), NULL);
    add_store(&r, nest->epilogue, sum, tap, more);
    set_work(&r);
    outer->memory[result->id] = sum;
}

/* The convolution's kernel with the order of set_order, made by a kernel before. */
static KBuffer *ordered_kernel(LowerRegion *outer, const Op *op) {
    const Value *kernel = op->inputs[1];
    KBuffer *copy = new_buffer(outer, op, "kernel_ordered", KBASE_F32, kernel->type->rank, kernel->type->dims);
    set_order(copy);
    LowerRegion r = region_before(outer, op, "order");
    Nest *nest = lower_nest(&r, op, kernel->type);
    KExpr *index[MAX_RANK];
    axes_of(&r, nest, kernel->type->rank, index);
    add_store(&r, nest->epilogue, copy, index, lower_expr(&r, nest, kernel, index));
    set_work(&r);
    return copy;
}

/* Where dx is summed up: itself, or local memory with room for the padding. */
static KBuffer *sums_of_input(LowerRegion *r, const Op *op, const Type *cells, int64_t *origin) {
    const WindowAttr *w = &op->attr.window;
    const Value *result = op->results[0];
    KBuffer *wanted = r->wanted[result->id];
    Dim dims[MAX_RANK];
    bool padded = false;
    for (int i = 0; i < result->type->rank; i++)
        dims[i] = result->type->dims[i];
    for (int s = 0; s < w->spatial; s++) {
        origin[s] = w->low[s] > 0 ? 0 : -w->low[s];
        int64_t reach = (cells->dims[s + 1].n - 1) * w->stride[s] + (w->size[s] - 1) * w->dilation[s] + 1 + origin[s];
        int64_t extent = dims[s + 1].n + w->low[s] + origin[s];
        padded = padded || w->low[s] > 0 || reach > extent;
        dims[s + 1] = dim_static(reach > extent ? reach : extent);
    }
    if (!padded && wanted && wanted->space == SPACE_ARENA)
        return wanted;
    return kbuffer_local(r->lower->program, r->kernel, SPACE_LOCAL, "sums", KBASE_F32, result->type->rank, dims);
}

static bool has_room(const KBuffer *sum, const Type *type) {
    for (int i = 0; i < type->rank; i++)
        if (!dim_equal(sum->dims[i], type->dims[i]))
            return true;
    return false;
}

/* dx = 0; then each number of the lists is added to the cells that its place meets: dx[m, place + k, c] += number *
 * kernel[k, c, n]. By blocks of samples. */
static void list_grad_input(LowerRegion *r, const Op *op, const LowerUnpool *u) {
    KProgram *p = r->lower->program;
    const WindowAttr *w = &op->attr.window;
    const Value *result = op->results[0];
    const Type *type = result->type;
    int spatial = w->spatial, last = spatial + 1;
    int64_t origin[3];
    KBuffer *kernel = ordered_kernel(r, op), *sum = sums_of_input(r, op, u->type, origin);
    Nest *zero = lower_nest(r, op, type_get((Module *)p->module, DTYPE_F32, sum->rank, sum->dims));
    KExpr *place[MAX_RANK], *index[3], *tap[MAX_RANK];
    axes_of(r, zero, type->rank, place);
    add_store(r, zero->epilogue, sum, place, kexpr_number(p, KBASE_F32, 0));
    Nest *add =
        lower_nest(r, op, type_get((Module *)p->module, DTYPE_F32, 2, (Dim[]){type->dims[0], type->dims[last]}));
    add->ordered = true;
    lower_add_axis(r, add, "n", kernel->dims[last], true);
    index[0] = place[0] = lower_axis(r, add, 0);
    index[1] = lower_axis(r, add, 2);
    place[last] = lower_axis(r, add, 1);
    add_list_axis(r, add, u, index);
    for (int s = 0; s < spatial; s++) {
        lower_add_axis(r, add, "k", dim_static(w->size[s]), true);
        tap[s] = lower_axis(r, add, add->axis_count - 1);
    }
    tap[spatial] = place[last];
    tap[last] = index[1];
    met_cell(r, u, w, index, tap, origin, place);
    KExpr *product =
        kexpr_fn(p, FN_mul, kexpr_load(p, kernel, tap, kernel->rank), kexpr_load(p, u->number, index, 3), NULL);
    add_store(r, add->epilogue, sum, place, kexpr_fn(p, FN_add, product, kexpr_load(p, sum, place, type->rank), NULL));
    r->by_rows = true;
    if (!has_room(sum, type)) {
        r->memory[result->id] = sum;
        r->home[result->id] = add;
        return;
    }
    Nest *inside = lower_nest(r, op, type);
    axes_of(r, inside, type->rank, place);
    for (int s = 0; s < spatial; s++)
        place[s + 1] = kexpr_binary(p, '+', place[s + 1], lower_index(r, w->low[s] + origin[s]));
    KExpr *load = kexpr_load(p, sum, place, type->rank);
    r->var[result->id] = kvar_new(p, r->kernel, "v", load->type, false);
    r->home[result->id] = inside;
    kstmt_add(inside->epilogue, kstmt_let(p, r->var[result->id], load));
}

/* ---- choosing */
/* The convolution's input: it is read, or its gradient is made. */
static const Type *input_of(const Op *op) {
    return op->code == OP_CONV_GRAD_INPUT ? op->results[0]->type : op->inputs[0]->type;
}

static int64_t area(const int64_t *size, int spatial) {
    int64_t n = 1;
    for (int s = 0; s < spatial; s++)
        n *= size[s];
    return n;
}

/* Lists pay if the windows leave out more than the lanes do that the channels do not fill. */
static bool lists_pay(const LowerRegion *r, const Op *op, const Op *unpool) {
    const WindowAttr *w = &op->attr.window, *pool = &unpool->attr.window;
    int64_t lanes = r->lower->program->isa.lanes, channels = input_of(op)->dims[w->spatial + 1].n;
    int64_t filled = (channels + lanes - 1) / lanes * lanes, cells = area(pool->stride, pool->spatial);
    return lanes > 1 && !r->kernel->steps && area(w->size, w->spatial) <= MOST_TAPS && cells >= LEAST_CELLS &&
           cells * channels >= LEAST_CELLS * filled;
}

bool lower_unpool_lists(LowerRegion *r, const Op *op, const Op *unpool) {
    const Value *x = op->code == OP_CONV_GRAD_KERNEL ? op->inputs[0] : NULL;
    if (!lists_pay(r, op, unpool) || (x && !r->memory[x->id]))
        return false;
    LowerUnpool *u = find(r, unpool);
    if (!u->number)
        make_lists(r, unpool, u);
    if (x)
        list_grad_kernel(r, op, u);
    else
        list_grad_input(r, op, u);
    return true;
}

/* The operand of a kernel's gradient is read once for a tile of taps and channels. */
bool lower_unpool_inline(LowerRegion *r, const Op *op, const Op *unpool) {
    const WindowAttr *w = &op->attr.window;
    return op->code == OP_CONV_GRAD_KERNEL && !find(r, unpool)->whole &&
           area(w->size, w->spatial) * input_of(op)->dims[w->spatial + 1].n <= MOST_INLINE;
}
