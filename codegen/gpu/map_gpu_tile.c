/* Contractions on a GPU: each block of 16 x 16 threads computes a tile of the result, some rows x columns of it per
 * thread, in panels of the sum: while the threads multiply one panel in shared memory, the next one comes from global
 * memory to their registers; then it goes to the other half of the shared memory, and they meet. How many rows and
 * columns a thread takes is decided in map_gpu_tile_cost.c; every element is summed in the same order in any tile.
 *
 * The parallel axes fall in three groups: those that only the left operand depends on (rows), those of the right one
 * (columns), and those of both (planes). Each group is counted through as one axis, so that products of matrices,
 * batched products, convolutions and their gradients are all the same here. */
#include "codegen/kir/library.h"
#include "codegen/gpu/map_gpu_tile.h"

enum { LEAST_DEPTH = 8, FEW_TILES = 32, DEEP = 1024 };

static void add_axis(GpuAxes *a, int axis) {
    a->axes[a->count++] = axis;
}

bool gpu_tile_groups(GpuTile *t) {
    const Nest *nest = t->g->nest;
    const NestReduction *reduction = &nest->reductions[0];
    if (nest->reduction_count != 1 || nest->ordered || reduction->argument || reduction->guard ||
        reduction->kind != REDUCE_SUM || reduction->expr->kind != KE_FN || reduction->expr->fn.fn != FN_mul ||
        reduction->expr->type.base != KBASE_F32)
        return false;
    t->left = reduction->expr->fn.args[0];
    t->right = reduction->expr->fn.args[1];
    for (int i = 0; i < nest->parallel_count; i++) {
        bool left = kexpr_uses(t->left, nest->axes[i].var), right = kexpr_uses(t->right, nest->axes[i].var);
        bool part = nest->sum_parts && i == 0;
        add_axis((left && right) || part ? &t->planes : right ? &t->columns : &t->rows, i);
    }
    t->depth = gpu_reduced(t->g);
    return true;
}

GpuContraction gpu_contraction(const GpuTile *t) {
    const Nest *nest = t->g->nest;
    const KVar *last = nest->axes[t->depth.axes[t->depth.count - 1]].var;
    int64_t parts = nest->sum_parts ? nest->sum_parts : 1;
    return (GpuContraction){.rows = gpu_extent_of_step(t->g, &t->rows),
                            .columns = gpu_extent_of_step(t->g, &t->columns),
                            .planes = gpu_extent_of_step(t->g, &t->planes) / parts,
                            .depth = gpu_extent_of_step(t->g, &t->depth),
                            .epilogue = nest_epilogue_slots(nest),
                            .parts = parts,
                            .along = {gpu_moves_along(t->left, last), gpu_moves_along(t->right, last)},
                            .tile = {nest->tile[0], nest->tile[1]}};
}

bool gpu_has_sides(const GpuTile *t) {
    return gpu_extent_of_step(t->g, &t->rows) >= GPU_LEAST_EXTENT &&
           gpu_extent_of_step(t->g, &t->columns) >= GPU_LEAST_EXTENT;
}

/* Few tiles with a long way to go leave most of the GPU idle: a block for each result may be better. */
bool gpu_is_worth_tiles(const GpuTile *t, const GpuContraction *c) {
    int64_t tiles = (c->rows + GPU_SIDE - 1) / GPU_SIDE * ((c->columns + GPU_SIDE - 1) / GPU_SIDE) * c->planes;
    if (c->tile[0])
        return true;
    if (!gpu_has_sides(t) || c->depth < LEAST_DEPTH)
        return false;
    return c->parts > 1 || tiles >= FEW_TILES || c->depth < DEEP ||
           gpu_tiles_cycles(t->g->p, c) < gpu_blocks_cycles(t->g->p, c);
}

/* ---- numbers and loops */

KExpr *gpu_number(const GpuTile *t, int64_t n) {
    return kexpr_index(t->g->p, n);
}

KExpr *gpu_plus(const GpuTile *t, KExpr *a, KExpr *b) {
    return kexpr_binary(t->g->p, '+', a, b);
}

KExpr *gpu_times(const GpuTile *t, KExpr *a, int64_t n) {
    return kexpr_binary(t->g->p, '*', a, gpu_number(t, n));
}

static KExpr *value(const GpuTile *t, const KVar *var) {
    return kexpr_var(t->g->p, (KVar *)var);
}

static KExpr *below(const GpuTile *t, KExpr *a, KExpr *b) {
    return kexpr_fn(t->g->p, FN_lt, a, b, NULL);
}

KStmt *gpu_unrolled(const GpuTile *t, const char *name, int64_t count, KExpr **at, KStmt *out) {
    KProgram *p = t->g->p;
    *at = gpu_number(t, 0);
    if (count == 1)
        return out;
    KVar *var = gpu_index_var(t->g, name, count);
    KStmt *body = kstmt_block(p);
    *at = value(t, var);
    kstmt_add(out, kstmt_for(p, var, AXIS_UNROLL, gpu_number(t, 0), gpu_number(t, count), 1, body));
    return body;
}

/* Is the group's extent a multiple of what blocks take? Then nothing lies beyond its end. */
static bool is_whole(const GpuTile *t, const GpuAxes *group, int64_t multiple) {
    int64_t extent;
    return kexpr_constant(gpu_extent(t->g, group), &extent) && extent % multiple == 0;
}

/* Where the statements go that need `at` to be below the end of the group. */
static KStmt *inside(const GpuTile *t, KExpr *at, const GpuAxes *group, int64_t multiple, KStmt *out) {
    if (is_whole(t, group, multiple))
        return out;
    KStmt *body = kstmt_block(t->g->p);
    kstmt_add(out, kstmt_if(t->g->p, below(t, at, gpu_extent(t->g, group)), body, NULL));
    return body;
}

/* Place in the tile of element number i of a thread: runs of four lie side by side, for one access to shared memory. */
static KExpr *place_of(const GpuTile *t, const Operand *o, KExpr *i) {
    KProgram *p = t->g->p;
    int64_t run = o->share < GPU_RUN ? o->share : GPU_RUN;
    KExpr *runs = gpu_times(t, kexpr_binary(p, '/', i, gpu_number(t, run)), GPU_SIDE * run);
    KExpr *first = gpu_plus(t, runs, gpu_times(t, value(t, o->thread), run));
    return gpu_plus(t, first, kexpr_binary(p, '%', i, gpu_number(t, run)));
}

/* ---- panels */

/* Element number i of those that a thread brings: neighbouring threads run along the axis that lies together in
 * memory. */
static KExpr *brought_place(const GpuTile *t, const Operand *o, KExpr *i) {
    return gpu_plus(t, value(t, o->along_depth ? t->y : t->x), gpu_times(t, i, GPU_SIDE));
}

static KExpr *brought_depth(const GpuTile *t, const Operand *o) {
    return value(t, o->along_depth ? t->x : t->y);
}

static void set_next(const GpuTile *t, const Operand *o, KExpr *i, KExpr *element, KStmt *out) {
    KProgram *p = t->g->p;
    kstmt_add(out, o->nexts ? kstmt_store(p, o->nexts, &i, 1, element, NULL) : kstmt_set(p, o->next, element));
}

/* From global memory to registers: zero beyond the ends. */
static void bring(const GpuTile *t, const Operand *o, KExpr *depth_from, KStmt *out) {
    const GpuNest *g = t->g;
    KProgram *p = g->p;
    KExpr *i;
    KVar *k = gpu_index_var(g, "k", 0), *at = gpu_index_var(g, "at", 0);
    kstmt_add(out, kstmt_let(p, k, gpu_plus(t, depth_from, brought_depth(t, o))));
    KStmt *body = gpu_unrolled(t, "i", o->share, &i, out);
    kstmt_add(body, kstmt_let(p, at, gpu_plus(t, o->from, brought_place(t, o, i))));
    if (!is_whole(t, o->group, GPU_SIDE * o->share) || !is_whole(t, &t->depth, GPU_PANEL))
        set_next(t, o, i, kexpr_number(p, KBASE_F32, 0), body);
    KStmt *there = inside(t, value(t, at), o->group, GPU_SIDE * o->share, body);
    there = inside(t, value(t, k), &t->depth, GPU_PANEL, there);
    MapLoads loads = {.count = 0};
    MapPlace place = gpu_place(g, &loads, there);
    gpu_bind_axes(g, &place, &t->planes, t->plane);
    gpu_bind_axes(g, &place, o->group, value(t, at));
    gpu_bind_axes(g, &place, &t->depth, value(t, k));
    set_next(t, o, i, map_value(&place, o->value), there);
}

/* From registers to shared memory. */
static void keep(const GpuTile *t, const Operand *o, KExpr *half, KStmt *out) {
    KProgram *p = t->g->p;
    KExpr *i;
    KStmt *body = gpu_unrolled(t, "i", o->share, &i, out);
    KExpr *element = o->nexts ? kexpr_load(p, o->nexts, &i, 1) : value(t, o->next);
    KExpr *index[] = {half, brought_depth(t, o), brought_place(t, o, i)};
    kstmt_add(body, kstmt_store(p, o->panel, index, 3, element, NULL));
}

static void multiply(const GpuTile *t, KExpr *half, KStmt *out) {
    if (t->shape.precision != PRECISION_FLOAT32) {
        gpu_fragment_products(t, half, out);
        return;
    }
    KProgram *p = t->g->p;
    KExpr *k, *i, *j, *factors[2];
    KStmt *body = gpu_unrolled(t, "k", GPU_PANEL, &k, out);
    body = gpu_unrolled(t, "i", t->shape.rows, &i, body);
    body = gpu_unrolled(t, "j", t->shape.columns, &j, body);
    for (int n = 0; n < 2; n++) {
        KExpr *index[] = {half, k, place_of(t, &t->operands[n], n ? j : i)};
        factors[n] = kexpr_load(p, t->operands[n].panel, index, 3);
    }
    KExpr *product = kexpr_fn(p, FN_mul, factors[0], factors[1], NULL), *index[] = {i, j};
    KExpr *sum = t->sums ? kexpr_load(p, t->sums, index, 2) : value(t, t->sum);
    sum = kexpr_fn(p, FN_add, product, sum, NULL);
    kstmt_add(body, t->sums ? kstmt_store(p, t->sums, index, 2, sum, NULL) : kstmt_set(p, t->sum, sum));
}

/* Between panels the threads meet once: what they write then is not what they have just read. */
static void panel_loop(const GpuTile *t, KStmt *out) {
    const GpuNest *g = t->g;
    KProgram *p = g->p;
    KVar *from = gpu_index_var(g, "k_from", 0), *half = gpu_index_var(g, "half", 2);
    KExpr *at = value(t, from), *now = value(t, half);
    KStmt *body = kstmt_block(p), *more = kstmt_block(p), *arrive = kstmt_block(p), *work = kstmt_block(p);
    for (int n = 0; n < 2; n++) {
        bring(t, &t->operands[n], at, more);
        keep(t, &t->operands[n], now, arrive);
    }
    multiply(t, kexpr_binary(p, '-', gpu_number(t, 1), now), work);
    kstmt_add(
        body,
        kstmt_let(p, half, kexpr_binary(p, '%', kexpr_binary(p, '/', at, gpu_number(t, GPU_PANEL)), gpu_number(t, 2))));
    kstmt_add(body, kstmt_if(p, below(t, at, t->depth_to), more, NULL));
    kstmt_add(body, kstmt_if(p, below(t, t->depth_from, at), work, NULL));
    kstmt_add(body, kstmt_if(p, below(t, at, t->depth_to), arrive, NULL));
    kstmt_add(body, kstmt_barrier(p));
    kstmt_add(out, kstmt_for(p, from, AXIS_SERIAL, t->depth_from, gpu_plus(t, t->depth_to, gpu_number(t, GPU_PANEL)),
                             GPU_PANEL, body));
}

static void one_panel(const GpuTile *t, KStmt *out) {
    KExpr *zero = gpu_number(t, 0);
    for (int n = 0; n < 2; n++)
        bring(t, &t->operands[n], zero, out);
    for (int n = 0; n < 2; n++)
        keep(t, &t->operands[n], zero, out);
    kstmt_add(out, kstmt_barrier(t->g->p));
    multiply(t, zero, out);
}

static bool has_one_panel(const GpuTile *t) {
    return gpu_extent_at_most(t->g, &t->depth) <= GPU_PANEL && !t->g->nest->sum_parts;
}

static void allocate_operand(const GpuTile *t, Operand *o, KStmt *out) {
    KProgram *p = t->g->p;
    KKernel *kernel = t->g->kernel;
    int64_t halves = has_one_panel(t) ? 1 : 2, row = gpu_panel_row(t->shape.precision, o->share, o->along_depth);
    Dim share = dim_static(o->share), dims[] = {dim_static(halves), dim_static(GPU_PANEL), dim_static(row)};
    const char *name = arena_format(p->arena, "next_%s", o->name);
    o->panel = kbuffer_local(p, kernel, SPACE_SHARED, o->name, KBASE_F32, 3, dims);
    o->panel->align = o->share >= GPU_RUN ? GPU_RUN * 4 : 0;
    kstmt_add(out, kstmt_alloc(p, o->panel));
    if (o->share > 1) {
        o->nexts = kbuffer_local(p, kernel, SPACE_LOCAL, name, KBASE_F32, 1, &share);
        kstmt_add(out, kstmt_alloc(p, o->nexts));
    } else {
        o->next = kvar_new(p, kernel, name, (KType){KBASE_F32, 1}, true);
        kstmt_add(out, kstmt_let(p, o->next, kexpr_number(p, KBASE_F32, 0)));
    }
}

static void allocate_sums(GpuTile *t, KStmt *out) {
    KProgram *p = t->g->p;
    const char *name = t->g->nest->reductions[0].result->name;
    const GpuTileShape *shape = &t->shape;
    if (shape->precision != PRECISION_FLOAT32) {
        Dim dims[] = {dim_static(shape->row_fragments), dim_static(shape->column_fragments), dim_static(MMA_SUMS)};
        t->sums = kbuffer_local(p, t->g->kernel, SPACE_LOCAL, name, KBASE_F32, 3, dims);
    } else if (shape->rows * shape->columns > 1) {
        Dim dims[] = {dim_static(shape->rows), dim_static(shape->columns)};
        t->sums = kbuffer_local(p, t->g->kernel, SPACE_LOCAL, name, KBASE_F32, 2, dims);
    }
    if (t->sums) {
        t->sums->zeroed = true;
        kstmt_add(out, kstmt_alloc(p, t->sums));
    } else {
        t->sum = kvar_new(p, t->g->kernel, name, (KType){KBASE_F32, 1}, true);
        kstmt_add(out, kstmt_let(p, t->sum, kexpr_number(p, KBASE_F32, 0)));
    }
}

static void sum_up(GpuTile *t, KStmt *out) {
    if (t->shape.precision != PRECISION_FLOAT32)
        gpu_fragment_threads(t, out);
    for (int n = 0; n < 2; n++)
        allocate_operand(t, &t->operands[n], out);
    allocate_sums(t, out);
    if (has_one_panel(t))
        one_panel(t, out);
    else
        panel_loop(t, out);
}

/* ---- results */

/* How many rows (0) or columns (1) a thread has results in, and where they are in the tile. */
static int64_t results_of(const GpuTile *t, int which) {
    if (t->shape.precision == PRECISION_FLOAT32)
        return t->operands[which].share;
    return 2 * (which ? t->shape.column_fragments : t->shape.row_fragments);
}

static KExpr *result_place(const GpuTile *t, int which, KExpr *i) {
    bool fragments = t->shape.precision != PRECISION_FLOAT32;
    return fragments ? gpu_fragment_place(t, which, i) : place_of(t, &t->operands[which], i);
}

static KExpr *result_of(const GpuTile *t, KExpr *i, KExpr *j) {
    KExpr *index[] = {i, j};
    if (t->shape.precision != PRECISION_FLOAT32)
        return gpu_fragment_sum(t, i, j);
    return t->sums ? kexpr_load(t->g->p, t->sums, index, 2) : value(t, t->sum);
}

static bool finish(const GpuTile *t, KStmt *out) {
    const GpuNest *g = t->g;
    KProgram *p = g->p;
    KExpr *i, *j;
    MapLoads loads = {.count = 0};
    KVar *row = gpu_index_var(g, "row", 0), *column = gpu_index_var(g, "column", 0);
    const Operand *left = &t->operands[0], *right = &t->operands[1];
    KStmt *body = gpu_unrolled(t, "i", results_of(t, 0), &i, out);
    kstmt_add(body, kstmt_let(p, row, gpu_plus(t, left->from, result_place(t, 0, i))));
    body = inside(t, value(t, row), &t->rows, GPU_SIDE * t->shape.rows, body);
    MapPlace place = gpu_place(g, &loads, body);
    gpu_bind_axes(g, &place, &t->planes, t->plane);
    gpu_bind_axes(g, &place, &t->rows, value(t, row));
    body = gpu_unrolled(t, "j", results_of(t, 1), &j, body);
    kstmt_add(body, kstmt_let(p, column, gpu_plus(t, right->from, result_place(t, 1, j))));
    place.out = inside(t, value(t, column), &t->columns, GPU_SIDE * t->shape.columns, body);
    gpu_bind_axes(g, &place, &t->columns, value(t, column));
    map_bind(&place, g->nest->reductions[0].result, result_of(t, i, j));
    map_epilogue(&place, g->nest->epilogue);
    return !place.failed;
}

static KStmt *thread_loops(const GpuTile *t, KStmt *body) {
    KProgram *p = t->g->p;
    KExpr *zero = gpu_number(t, 0), *side = gpu_number(t, GPU_SIDE);
    return kstmt_for(p, t->y, AXIS_THREAD_Y, zero, side, 1, kstmt_for(p, t->x, AXIS_THREAD_X, zero, side, 1, body));
}

static void make_operands(GpuTile *t, KExpr *row_from, KExpr *column_from) {
    const KVar *last = t->g->nest->axes[t->depth.axes[t->depth.count - 1]].var;
    t->x = gpu_index_var(t->g, "x", GPU_SIDE);
    t->y = gpu_index_var(t->g, "y", GPU_SIDE);
    t->operands[0] = (Operand){"left", t->left, &t->rows, t->shape.rows, row_from, t->y, gpu_moves_along(t->left, last),
                               NULL,   NULL,    NULL};
    t->operands[1] =
        (Operand){"right", t->right, &t->columns, t->shape.columns, column_from, t->x, gpu_moves_along(t->right, last),
                  NULL,    NULL,     NULL};
}

/* Parts of the sum are whole panels; the first axis of the planes numbers them. */
static void find_depth(GpuTile *t, KStmt *out) {
    GpuNest *g = t->g;
    KProgram *p = g->p;
    KExpr *range[2] = {gpu_number(t, 0), gpu_extent(g, &t->depth)}, *others = gpu_number(t, 1);
    for (int i = 1; i < t->planes.count; i++)
        others = kexpr_binary(p, '*', others, kexpr_dim(p, g->nest->axes[t->planes.axes[i]].extent));
    if (g->nest->sum_parts)
        gpu_part_of_sum(g, kexpr_binary(p, '/', t->plane, others), range[1], GPU_PANEL, range, out);
    t->depth_from = range[0];
    t->depth_to = range[1];
}

/* Blocks: tiles of rows of all planes along x, tiles of columns along y; the other way round where those are too many.
 */
static bool emit_tiles(GpuTile *t, KStmt *out) {
    GpuNest *g = t->g;
    KProgram *p = g->p;
    int64_t tile_rows = GPU_SIDE * t->shape.rows, tile_columns = GPU_SIDE * t->shape.columns;
    KExpr *zero = gpu_number(t, 0), *rows = gpu_extent(g, &t->rows);
    KExpr *row_tiles = kexpr_binary(p, '/', gpu_plus(t, rows, gpu_number(t, tile_rows - 1)), gpu_number(t, tile_rows));
    bool planes = t->planes.count > 0;
    KVar *block = gpu_index_var(g, planes ? "block" : "row_from", 0), *column = gpu_index_var(g, "column_from", 0);
    KVar *plane = gpu_index_var(g, "plane", 0), *row = gpu_index_var(g, "row_from", 0);
    KStmt *body = kstmt_block(p);
    make_operands(t, value(t, planes ? row : block), value(t, column));
    t->plane = planes ? value(t, plane) : zero;
    if (planes) {
        KExpr *at = value(t, block);
        kstmt_add(body, kstmt_let(p, plane, kexpr_binary(p, '/', at, row_tiles)));
        kstmt_add(body, kstmt_let(p, row, gpu_times(t, kexpr_binary(p, '%', at, row_tiles), tile_rows)));
    }
    find_depth(t, body);
    sum_up(t, body);
    if (!finish(t, body))
        return false;
    bool many = gpu_extent_at_most(g, &t->columns) > GPU_MOST_BLOCKS_Y * tile_columns;
    AxisKind along = many ? AXIS_GRID_Y : AXIS_GRID_X, across = many ? AXIS_GRID_X : AXIS_GRID_Y;
    KExpr *end = planes ? kexpr_binary(p, '*', gpu_extent(g, &t->planes), row_tiles) : rows;
    KStmt *threads = thread_loops(t, body), *by_rows = kstmt_block(p), *by_columns = kstmt_block(p);
    kstmt_add(by_columns,
              kstmt_for(p, column, across, zero, gpu_extent(g, &t->columns), tile_columns, many ? by_rows : threads));
    kstmt_add(by_rows, kstmt_for(p, block, along, zero, end, planes ? 1 : tile_rows, many ? threads : by_columns));
    kstmt_add(out, many ? by_columns : by_rows);
    return true;
}

bool gpu_map_tiles(GpuNest *g, KStmt *out) {
    GpuTile t = {.g = g};
    if (!gpu_tile_groups(&t))
        return false;
    GpuContraction c = gpu_contraction(&t);
    const char *form = g->nest->form ? g->nest->form : "none";
    if (g->nest->library)
        form = arena_format(g->p->arena, "%s; not by %s: %s", form, g->p->products->title, g->nest->library);
    if (!gpu_is_worth_tiles(&t, &c)) {
        g->kernel->how = arena_format(g->p->arena, "no tiles; form %s", form);
        return false;
    }
    t.shape = gpu_tile_shape(g->p, &c);
    g->kernel->how = arena_format(g->p->arena, "%s; form %s", gpu_tile_explain(g->p, &t.shape, &c), form);
    return emit_tiles(&t, out);
}
