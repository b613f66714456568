/* Gradients of a convolution from the gradient of max pooling, of which one cell per window at most is not zero.
 *
 * Three forms. `list`: a kernel before writes down, for each sample and channel, which numbers are not zero and where;
 * the gradients walk through these lists, with the other operand's channels on the lanes, so that the work is a number
 * per window and not per cell, and what a relu or dropout has left as zero costs nothing. `inline`: the operand is
 * computed where it is read. Else a kernel before writes all cells. A list leaves out products with zero: where the
 * other factor is infinite or NaN, the other forms give NaN. */
#include "codegen/nests/layout.h"
#include "codegen/lower/lower.h"
#include <string.h>

enum { LEAST_CELLS = 2, MOST_TAPS = 25, MOST_INLINE = 32 };

/* The cells of a convolution's input, with room for what its taps reach beside it: where the numbers of a list go. A
 * list gives a place for each axis of space; or, where a row of channels stays whole in memory, one number for all of
 * them. */
typedef struct {
    int rank;
    Dim dims[MAX_RANK];
    bool flat;
    int64_t row[3];    /* flat: distance of neighbours along an axis */
    int64_t origin[3]; /* the first cell has the number -origin */
} Grid;

/* What has been made of an unpool already: other readers use it too. */
struct LowerUnpool {
    KBuffer *cells, *g; /* its operands */
    const WindowAttr *window;
    const Type *type;
    KBuffer *whole;                  /* all cells */
    KBuffer *number, *place, *count; /* lists: by sample and channel */
    int64_t step[3];                 /* of the places, from a cell to the next one along an axis */
    struct LowerUnpool *next;
};

/* `step` NULL: it does not matter. */
static LowerUnpool *find(LowerRegion *r, const Op *unpool, const int64_t *step) {
    KBuffer *cells = r->memory[unpool->inputs[0]->id], *g = r->memory[unpool->inputs[1]->id];
    for (LowerUnpool *u = r->lower->unpools; u && cells && g; u = u->next)
        if (u->cells == cells && u->g == g && u->type == unpool->results[0]->type &&
            u->window->stride[0] == unpool->attr.window.stride[0] &&
            (!step || !u->number || memcmp(u->step, step, sizeof u->step) == 0))
            return u;
    LowerUnpool *u = ARENA_NEW(r->lower->program->arena, LowerUnpool);
    *u = (LowerUnpool){.cells = cells, .g = g, .window = &unpool->attr.window, .type = unpool->results[0]->type};
    u->next = r->lower->unpools;
    r->lower->unpools = u;
    return u;
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
    LowerUnpool *u = find(outer, unpool, NULL);
    const Type *type = unpool->results[0]->type;
    KExpr *index[MAX_RANK];
    if (u->whole)
        return u->whole;
    u->whole = new_buffer(outer, unpool, "unpooled", KBASE_F32, type->rank, type->dims);
    LowerRegion r = lower_region_before(outer, unpool, "unpool");
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
/* factor[0] * (cell / cells of a window's line, plane, ..) + .. + factor[last] * cell: divisions are sums of
 * comparisons, which lanes can do. */
static KExpr *parts_of_cell(LowerRegion *r, const WindowAttr *w, KExpr *cell, const int64_t *factor) {
    KProgram *p = r->lower->program;
    int64_t inner = 1, all = 1;
    KExpr *sum = NULL;
    for (int s = 0; s < w->spatial; s++)
        all *= w->size[s];
    for (int s = w->spatial - 1; s >= 0; inner *= w->size[s--]) {
        KExpr *by = kexpr_number(p, KBASE_I32, (double)factor[s]), *none = kexpr_number(p, KBASE_I32, 0);
        if (factor[s] && inner == 1) { /* of the last axis, and of those before it if windows are one cell wide there */
            KExpr *part = factor[s] == 1 ? cell : kexpr_fn(p, FN_mul, cell, by, NULL);
            sum = sum ? kexpr_fn(p, FN_add, sum, part, NULL) : part;
        }
        for (int64_t from = inner; factor[s] && inner > 1 && from < all; from += inner) {
            KExpr *test = kexpr_fn(p, FN_ge, cell, kexpr_number(p, KBASE_I32, (double)from), NULL);
            KExpr *part = kexpr_fn(p, FN_select, test, by, none);
            sum = sum ? kexpr_fn(p, FN_add, sum, part, NULL) : part;
        }
    }
    return sum ? sum : kexpr_number(p, KBASE_I32, 0);
}

/* Where a window's number goes: along axis s, or with `flat` by all axes. */
static KExpr *place_of(LowerRegion *r, const WindowAttr *w, const int64_t *step, bool flat, int s, KExpr *const *window,
                       KExpr *cell) {
    KProgram *p = r->lower->program;
    int64_t factor[3] = {0};
    KExpr *from = lower_index(r, 0);
    for (int i = flat ? 0 : s; i < (flat ? w->spatial : s + 1); i++) {
        KExpr *first = kexpr_binary(p, '-', kexpr_binary(p, '*', window[i + 1], lower_index(r, w->stride[i])),
                                    lower_index(r, w->low[i]));
        from = kexpr_binary(p, '+', from, kexpr_binary(p, '*', first, lower_index(r, step[i])));
        factor[i] += step[i];
        if (i)
            factor[i - 1] -= step[i] * w->size[i];
    }
    return kexpr_fn(p, FN_add, parts_of_cell(r, w, cell, factor), kexpr_cast(p, KBASE_I32, from), NULL);
}

/* For all windows at once, on the lanes: their places, of which the first one is negative if there is no number. */
static void find_places(LowerRegion *r, const Op *unpool, const LowerUnpool *u, bool flat, KBuffer **number,
                        KBuffer **place) {
    KProgram *p = r->lower->program;
    const WindowAttr *w = &unpool->attr.window;
    const Type *windows = unpool->inputs[1]->type;
    KExpr *index[MAX_RANK];
    Nest *nest = lower_nest(r, unpool, windows);
    axes_of(r, nest, windows->rank, index);
    KExpr *v = lower_expr(r, nest, unpool->inputs[1], index), *cell = lower_expr(r, nest, unpool->inputs[0], index);
    KVar *var = kvar_new(p, r->kernel, "v", v->type, false);
    kstmt_add(nest->epilogue, kstmt_let(p, var, v));
    KExpr *there = kexpr_fn(p, FN_ne, kexpr_var(p, var), kexpr_number(p, KBASE_F32, 0), NULL);
    for (int s = 0; s < (flat ? 1 : w->spatial); s++) {
        KExpr *at = place_of(r, w, u->step, flat, s, index, cell);
        place[s] = kbuffer_local(p, r->kernel, SPACE_LOCAL, "place", KBASE_I32, windows->rank, windows->dims);
        if (s == 0)
            at = kexpr_fn(p, FN_select, there, at, kexpr_number(p, KBASE_I32, -1));
        add_store(r, nest->epilogue, place[s], index, at);
    }
    *number = r->memory[unpool->inputs[1]->id];
    if (*number)
        return;
    *number = kbuffer_local(p, r->kernel, SPACE_LOCAL, "number", KBASE_F32, windows->rank, windows->dims);
    add_store(r, nest->epilogue, *number, index, kexpr_var(p, var));
}

static void new_lists(LowerRegion *r, const Op *unpool, LowerUnpool *u, bool flat) {
    const Type *windows = unpool->inputs[1]->type;
    int spatial = unpool->attr.window.spatial;
    Dim dims[] = {windows->dims[0], windows->dims[spatial + 1], dim_static(1), dim_static(spatial)};
    for (int s = 0; s < spatial; s++)
        dims[2].n *= windows->dims[s + 1].n;
    u->number = new_buffer(r, unpool, "nonzero", KBASE_F32, 3, dims);
    u->place = new_buffer(r, unpool, "nonzero_place", KBASE_I32, flat ? 3 : 4, dims);
    u->count = new_buffer(r, unpool, "nonzero_count", KBASE_I32, 2, dims);
    u->count->most = dims[2].n;
}

/* For each sample and channel, the numbers that are not zero and the places of their cells, in the order of the
 * windows. What is no number is overwritten by the next one. */
static void make_lists(LowerRegion *outer, const Op *unpool, LowerUnpool *u, bool flat) {
    KProgram *p = outer->lower->program;
    const Type *windows = unpool->inputs[1]->type;
    int spatial = unpool->attr.window.spatial, last = spatial + 1;
    KBuffer *number, *place[3];
    new_lists(outer, unpool, u, flat);
    LowerRegion r = lower_region_before(outer, unpool, "list");
    find_places(&r, unpool, u, flat, &number, place);
    Nest *nest = lower_nest(&r, unpool, type_get((Module *)p->module, DTYPE_F32, 2, u->count->dims));
    KExpr *window[MAX_RANK] = {lower_axis(&r, nest, 0)}, *index[4] = {window[0], lower_axis(&r, nest, 1)};
    window[last] = index[1];
    for (int s = 0; s < spatial; s++) {
        lower_add_axis(&r, nest, s == 0 ? "y" : s == 1 ? "x" : "z", windows->dims[s + 1], true);
        window[s + 1] = lower_axis(&r, nest, nest->axis_count - 1);
    }
    KExpr *there =
        kexpr_fn(p, FN_ge, kexpr_load(p, place[0], window, windows->rank), kexpr_number(p, KBASE_I32, 0), NULL);
    NestReduction *count = &nest->reductions[nest->reduction_count++];
    *count = (NestReduction){.kind = REDUCE_SUM};
    count->expr = kexpr_fn(p, FN_select, there, kexpr_number(p, KBASE_I32, 1), kexpr_number(p, KBASE_I32, 0));
    count->result = kvar_new(p, r.kernel, "count", (KType){KBASE_I32, 1}, true);
    nest->each = kstmt_block(p);
    index[2] = kexpr_cast(p, KBASE_INDEX, kexpr_var(p, count->result));
    add_store(&r, nest->each, u->number, index, kexpr_load(p, number, window, windows->rank));
    for (int s = 0; s < (flat ? 1 : spatial); s++) {
        index[3] = lower_index(&r, s);
        add_store(&r, nest->each, u->place, index, kexpr_load(p, place[s], window, windows->rank));
    }
    add_store(&r, nest->epilogue, u->count, index, kexpr_var(p, count->result));
    r.kernel->rows = true;
    r.kernel->row_axes = 1;
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

/* The number of a cell, at[s] along each axis, in the grid. */
static void cell_of(LowerRegion *r, const Grid *grid, int spatial, KExpr *const *at, KExpr **cell) {
    KProgram *p = r->lower->program;
    KExpr *sum = lower_index(r, 0);
    for (int s = 0; s < spatial; s++) {
        sum = kexpr_binary(p, '+', sum, kexpr_binary(p, '*', at[s], lower_index(r, grid->row[s])));
        cell[s + 1] = at[s];
    }
    if (grid->flat)
        cell[1] = sum;
}

/* The cell of the grid that tap[s] of the kernel meets at this number of a list. */
static void met_cell(LowerRegion *r, const LowerUnpool *u, const WindowAttr *w, const Grid *grid, KExpr *const *index,
                     KExpr *const *tap, KExpr **cell) {
    KProgram *p = r->lower->program;
    KExpr *place[] = {index[0], index[1], index[2], NULL}, *reach[3];
    for (int s = 0; s < w->spatial; s++)
        reach[s] = kexpr_binary(p, '+', kexpr_binary(p, '*', tap[s], lower_index(r, w->dilation[s])),
                                lower_index(r, grid->origin[s]));
    cell_of(r, grid, w->spatial, reach, cell);
    for (int s = 0; s < (grid->flat ? 1 : w->spatial); s++) {
        place[3] = lower_index(r, s);
        KExpr *from = kexpr_cast(p, KBASE_INDEX, kexpr_load(p, u->place, place, u->place->rank));
        cell[s + 1] = kexpr_binary(p, '+', from, cell[s + 1]);
    }
}

/* A memory of the grid's cells as it is indexed. */
static KBuffer *view_of(LowerRegion *r, const Grid *grid, KBuffer *b) {
    if (b->rank == grid->rank)
        return b;
    KBuffer *view =
        kbuffer_new(r->lower->program, b->space, arena_format(r->lower->program->arena, "%s_cells", b->name), b->base,
                    grid->rank, grid->dims);
    kbuffer_see(view, b);
    view->argument = b->argument;
    view->indirect = b->indirect;
    view->sequence = b->sequence;
    view->layer = b->layer;
    return view;
}

/* One number for a cell needs rows of channels that lie behind each other. */
static void set_grid(const LowerRegion *r, int spatial, const Dim *dims, Grid *grid) {
    const KProgram *p = r->lower->program;
    Dim cells = dim_static(1);
    for (int s = spatial - 1; s >= 0; s--) {
        grid->row[s] = cells.n;
        cells.n *= dims[s + 1].n;
    }
    memcpy(grid->dims, dims, (size_t)(spatial + 2) * sizeof *dims);
    grid->rank = spatial + 2;
    grid->flat = spatial == 1 || !layout_cuts_rows(&p->isa, spatial + 2, dims[spatial + 1].n);
    if (grid->flat) {
        grid->dims[1] = cells;
        grid->dims[2] = dims[spatial + 1];
        grid->rank = 3;
    }
}

/* The lists with places of this grid. */
static LowerUnpool *lists(LowerRegion *r, const Op *op, const Op *unpool, const Grid *grid) {
    const WindowAttr *w = &op->attr.window;
    int64_t step[3] = {0};
    for (int s = 0; s < w->spatial; s++)
        step[s] = w->stride[s] * (grid->flat ? grid->row[s] : 1);
    LowerUnpool *u = find(r, unpool, step);
    if (!u->number) {
        memcpy(u->step, step, sizeof step);
        make_lists(r, unpool, u, grid->flat);
    }
    return u;
}

/* The last axis of a kernel, the channels of the gradient, outermost in memory: each list has its own kernel. */
static void set_order(KBuffer *kernel) {
    for (int i = 0; i < kernel->rank; i++)
        kernel->order[i] = (int8_t)(i == 0 ? kernel->rank - 1 : i - 1);
}

/* dkernel[k, c, n] = sum over samples and their lists: x[m, place + k, c] * number, into memory by a kernel before.
 * Sample by sample, so that x and the part of the gradient at hand are in the cache. */
static void list_grad_kernel(LowerRegion *outer, const Op *op, const Op *unpool) {
    KProgram *p = outer->lower->program;
    const WindowAttr *w = &op->attr.window;
    const Value *x = op->inputs[0], *result = op->results[0];
    int spatial = w->spatial, rank = result->type->rank;
    KBuffer *sum = new_buffer(outer, op, "kernel_gradient", KBASE_F32, rank, result->type->dims);
    set_order(sum);
    Contraction c = contraction_of(op);
    bool misses = false;
    Grid grid = {0};
    for (int s = 0; s < spatial; s++)
        misses = misses || c.a[s + 1].may_miss;
    KBuffer *whole = misses ? lower_affine_halo(outer, op, 0, &c, c.a, c.a_rank) : outer->memory[x->id];
    for (int s = 0; s < spatial; s++)
        grid.origin[s] = c.a[s + 1].constant;
    set_grid(outer, spatial, whole->dims, &grid);
    KBuffer *cells = view_of(outer, &grid, whole);
    const LowerUnpool *u = lists(outer, op, unpool, &grid);
    LowerRegion r = lower_region_before(outer, op, "gradient");
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
    met_cell(&r, u, w, &grid, index, tap, cell);
    cell[0] = index[0];
    cell[grid.rank - 1] = tap[spatial];
    NestReduction *reduction = &nest->reductions[nest->reduction_count++];
    *reduction = (NestReduction){.kind = REDUCE_SUM};
    KExpr *read = kexpr_load(p, cells, cell, grid.rank);
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
    LowerRegion r = lower_region_before(outer, op, "order");
    Nest *nest = lower_nest(&r, op, kernel->type);
    KExpr *index[MAX_RANK];
    axes_of(&r, nest, kernel->type->rank, index);
    add_store(&r, nest->epilogue, copy, index, lower_expr(&r, nest, kernel, index));
    set_work(&r);
    return copy;
}

/* The grid in which dx is summed up. true: it is larger than dx. */
static bool grid_of_input(const LowerRegion *r, const Op *op, const Type *cells, Grid *grid) {
    const WindowAttr *w = &op->attr.window;
    const Type *type = op->results[0]->type;
    Dim dims[MAX_RANK];
    bool padded = false;
    memcpy(dims, type->dims, (size_t)type->rank * sizeof *dims);
    for (int s = 0; s < w->spatial; s++) {
        grid->origin[s] = w->low[s] > 0 ? 0 : -w->low[s];
        int64_t extent = dims[s + 1].n + w->low[s] + grid->origin[s];
        int64_t reach =
            (cells->dims[s + 1].n - 1) * w->stride[s] + (w->size[s] - 1) * w->dilation[s] + 1 + grid->origin[s];
        padded = padded || w->low[s] > 0 || reach > extent;
        dims[s + 1] = dim_static(reach > extent ? reach : extent);
    }
    set_grid(r, w->spatial, dims, grid);
    return padded;
}

/* dx is the inside of what has been summed up in local memory. */
static void take_inside(LowerRegion *r, const Op *op, const Grid *grid, KBuffer *sum) {
    KProgram *p = r->lower->program;
    const WindowAttr *w = &op->attr.window;
    const Value *result = op->results[0];
    Nest *inside = lower_nest(r, op, result->type);
    KExpr *place[MAX_RANK], *at[3], *cell[MAX_RANK];
    axes_of(r, inside, result->type->rank, place);
    for (int s = 0; s < w->spatial; s++)
        at[s] = kexpr_binary(p, '+', place[s + 1], lower_index(r, w->low[s] + grid->origin[s]));
    cell_of(r, grid, w->spatial, at, cell);
    cell[0] = place[0];
    cell[grid->rank - 1] = place[w->spatial + 1];
    KExpr *load = kexpr_load(p, sum, cell, grid->rank);
    r->var[result->id] = kvar_new(p, r->kernel, "v", load->type, false);
    r->home[result->id] = inside;
    kstmt_add(inside->epilogue, kstmt_let(p, r->var[result->id], load));
}

/* dx = 0; then each number of the lists is added to the cells that its place meets: dx[m, place + k, c] += number *
 * kernel[k, c, n]. By blocks of samples. */
static void list_grad_input(LowerRegion *r, const Op *op, const Op *unpool) {
    KProgram *p = r->lower->program;
    const WindowAttr *w = &op->attr.window;
    const Value *result = op->results[0];
    const Type *type = result->type;
    int spatial = w->spatial, last = spatial + 1;
    Grid grid = {0};
    bool padded = grid_of_input(r, op, unpool->results[0]->type, &grid);
    KBuffer *wanted = r->wanted[result->id], *kernel, *sum;
    const LowerUnpool *u = lists(r, op, unpool, &grid);
    kernel = ordered_kernel(r, op);
    bool direct = !padded && wanted && wanted->space == SPACE_ARENA;
    sum = direct ? view_of(r, &grid, wanted)
                 : kbuffer_local(p, r->kernel, SPACE_LOCAL, "sums", KBASE_F32, grid.rank, grid.dims);
    Nest *zero = lower_nest(r, op, type_get((Module *)p->module, DTYPE_F32, sum->rank, sum->dims));
    KExpr *place[MAX_RANK], *index[3], *tap[MAX_RANK];
    axes_of(r, zero, sum->rank, place);
    add_store(r, zero->epilogue, sum, place, kexpr_number(p, KBASE_F32, 0));
    Nest *add =
        lower_nest(r, op, type_get((Module *)p->module, DTYPE_F32, 2, (Dim[]){type->dims[0], type->dims[last]}));
    add->ordered = true;
    lower_add_axis(r, add, "n", kernel->dims[last], true);
    index[0] = lower_axis(r, add, 0);
    index[1] = lower_axis(r, add, 2);
    add_list_axis(r, add, u, index);
    for (int s = 0; s < spatial; s++) {
        lower_add_axis(r, add, "k", dim_static(w->size[s]), true);
        tap[s] = lower_axis(r, add, add->axis_count - 1);
    }
    tap[spatial] = lower_axis(r, add, 1);
    tap[last] = index[1];
    met_cell(r, u, w, &grid, index, tap, place);
    place[0] = index[0];
    place[grid.rank - 1] = tap[spatial];
    KExpr *product =
        kexpr_fn(p, FN_mul, kexpr_load(p, kernel, tap, kernel->rank), kexpr_load(p, u->number, index, 3), NULL);
    add_store(r, add->epilogue, sum, place, kexpr_fn(p, FN_add, product, kexpr_load(p, sum, place, sum->rank), NULL));
    r->by_rows = true;
    if (!direct) {
        take_inside(r, op, &grid, sum);
        return;
    }
    r->memory[result->id] = wanted;
    r->home[result->id] = add;
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
    if (x)
        list_grad_kernel(r, op, unpool);
    else
        list_grad_input(r, op, unpool);
    return true;
}

/* The operand of a kernel's gradient is read once for a tile of taps and channels. */
bool lower_unpool_inline(LowerRegion *r, const Op *op, const Op *unpool) {
    const WindowAttr *w = &op->attr.window;
    return op->code == OP_CONV_GRAD_KERNEL && !find(r, unpool, NULL)->whole &&
           area(w->size, w->spatial) * input_of(op)->dims[w->spatial + 1].n <= MOST_INLINE;
}
