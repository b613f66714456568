/* Contractions on a GPU: each block computes a square tile of the result, one element per thread, from tiles of both
 * operands that its threads have brought to shared memory together.
 *
 * The parallel axes fall in three groups: those that only the left operand depends on (rows), those of the right one
 * (columns), and those of both (planes). Each group is counted through as one axis, so that products of matrices,
 * batched products, convolutions and their gradients are all the same here. */
#include "codegen/map_gpu.h"

enum { TILE = 16, LEAST_EXTENT = 4, LEAST_DEPTH = 8, FEW_TILES = 32, DEEP = 1024 };

typedef struct {
    GpuNest *g;
    const KExpr *left, *right;
    GpuAxes rows, columns, planes, depth;
    KVar *x, *y;                   /* of the thread in the tile */
    KExpr *row_from, *column_from; /* the tile's first element */
    KExpr *plane;
    KVar *sum;
} GpuTile;

static void add_axis(GpuAxes *a, int axis) {
    a->axes[a->count++] = axis;
}

static bool find_groups(GpuTile *t) {
    const Nest *nest = t->g->nest;
    const NestReduction *reduction = &nest->reductions[0];
    if (nest->reduction_count != 1 || reduction->argument || reduction->guard || reduction->kind != REDUCE_SUM ||
        reduction->expr->kind != KE_FN || reduction->expr->fn.fn != FN_mul || reduction->expr->type.base != KBASE_F32)
        return false;
    t->left = reduction->expr->fn.args[0];
    t->right = reduction->expr->fn.args[1];
    for (int i = 0; i < nest->parallel_count; i++) {
        bool left = kexpr_uses(t->left, nest->axes[i].var), right = kexpr_uses(t->right, nest->axes[i].var);
        add_axis(left && right ? &t->planes : right ? &t->columns : &t->rows, i);
    }
    t->depth = gpu_reduced(t->g);
    return true;
}

/* Few tiles with a long way to go leave most of the GPU idle: a block for each result is better. */
static bool is_worth_tiles(const GpuTile *t) {
    int64_t rows = gpu_extent_at_most(t->g, &t->rows), columns = gpu_extent_at_most(t->g, &t->columns);
    int64_t depth = gpu_extent_at_most(t->g, &t->depth), planes = gpu_extent_at_most(t->g, &t->planes);
    int64_t tiles = (rows + TILE - 1) / TILE * ((columns + TILE - 1) / TILE) * planes;
    if (rows < LEAST_EXTENT || columns < LEAST_EXTENT || depth < LEAST_DEPTH)
        return false;
    return tiles >= FEW_TILES || depth < DEEP;
}

/* Does a step along the group's last axis move along a buffer's last axis? */
static bool moves_along(const KExpr *e, const KVar *var) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_LOAD && e->load.index_count)
        return kexpr_uses(e->load.index[e->load.index_count - 1], var);
    for (int i = kexpr_operands(e, operands) - 1; i >= 0; i--)
        if (moves_along(operands[i], var))
            return true;
    return false;
}

static KExpr *plus(const GpuTile *t, KExpr *a, const KVar *b) {
    return kexpr_binary(t->g->p, '+', a, kexpr_var(t->g->p, (KVar *)b));
}

static KExpr *below(const GpuTile *t, KExpr *a, KExpr *b) {
    return kexpr_fn(t->g->p, FN_lt, a, b, NULL);
}

/* One element of an operand per thread: tile[place in group][place in depth], zero beyond the ends. Neighbouring
 * threads run along the axis that lies together in memory. */
static KBuffer *load_tile(const GpuTile *t, const char *name, const KExpr *operand, const GpuAxes *group,
                          KExpr *group_from, KExpr *depth_from, KStmt *out, KStmt *top) {
    const GpuNest *g = t->g;
    KProgram *p = g->p;
    Dim dims[] = {dim_static(TILE), dim_static(TILE + 1)}; /* one more: columns lie in different banks */
    KBuffer *tile = kbuffer_local(p, g->kernel, SPACE_SHARED, name, KBASE_F32, 2, dims);
    const KVar *last = g->nest->axes[t->depth.axes[t->depth.count - 1]].var;
    bool along_depth = moves_along(operand, last);
    const KVar *in_group = along_depth ? t->y : t->x, *in_depth = along_depth ? t->x : t->y;
    KVar *element = kvar_new(p, g->kernel, "element", (KType){KBASE_F32, 1}, true);
    MapLoads loads = {.count = 0};
    KStmt *inside = kstmt_block(p);
    MapPlace place = gpu_place(g, &loads, inside);
    KVar *at = gpu_index_var(g, "at", 0), *k = gpu_index_var(g, "k", 0);
    kstmt_add(top, kstmt_alloc(p, tile));
    kstmt_add(out, kstmt_let(p, at, plus(t, group_from, in_group)));
    kstmt_add(out, kstmt_let(p, k, plus(t, depth_from, in_depth)));
    gpu_bind_axes(g, &place, &t->planes, t->plane);
    gpu_bind_axes(g, &place, group, kexpr_var(p, at));
    gpu_bind_axes(g, &place, &t->depth, kexpr_var(p, k));
    kstmt_add(inside, kstmt_set(p, element, map_value(&place, operand)));
    KExpr *exists = kexpr_fn(p, FN_and, below(t, kexpr_var(p, at), gpu_extent(g, group)),
                             below(t, kexpr_var(p, k), gpu_extent(g, &t->depth)), NULL);
    kstmt_add(out, kstmt_let(p, element, kexpr_number(p, KBASE_F32, 0)));
    kstmt_add(out, kstmt_if(p, exists, inside, NULL));
    KExpr *index[] = {kexpr_var(p, (KVar *)in_group), kexpr_var(p, (KVar *)in_depth)};
    kstmt_add(out, kstmt_store(p, tile, index, 2, kexpr_var(p, element), NULL));
    return tile;
}

static KStmt *multiply(const GpuTile *t, KBuffer *left, KBuffer *right) {
    KProgram *p = t->g->p;
    KVar *i = gpu_index_var(t->g, "i", TILE);
    KExpr *a_index[] = {kexpr_var(p, t->y), kexpr_var(p, i)}, *b_index[] = {kexpr_var(p, t->x), kexpr_var(p, i)};
    KExpr *product = kexpr_fn(p, FN_mul, kexpr_load(p, left, a_index, 2), kexpr_load(p, right, b_index, 2), NULL);
    KStmt *add = kstmt_set(p, t->sum, kexpr_fn(p, FN_add, product, kexpr_var(p, t->sum), NULL));
    KStmt *body = kstmt_block(p);
    kstmt_add(body, add);
    return kstmt_for(p, i, AXIS_UNROLL, kexpr_index(p, 0), kexpr_index(p, TILE), 1, body);
}

static void depth_loop(GpuTile *t, KStmt *out) {
    const GpuNest *g = t->g;
    KProgram *p = g->p;
    t->sum = kvar_new(p, g->kernel, g->nest->reductions[0].result->name, (KType){KBASE_F32, 1}, true);
    KVar *from = gpu_index_var(g, "k", gpu_extent_at_most(g, &t->depth));
    KStmt *body = kstmt_block(p);
    KBuffer *left = load_tile(t, "left", t->left, &t->rows, t->row_from, kexpr_var(p, from), body, out);
    KBuffer *right = load_tile(t, "right", t->right, &t->columns, t->column_from, kexpr_var(p, from), body, out);
    kstmt_add(body, kstmt_barrier(p));
    kstmt_add(body, multiply(t, left, right));
    kstmt_add(body, kstmt_barrier(p));
    kstmt_add(out, kstmt_let(p, t->sum, kexpr_number(p, KBASE_F32, 0)));
    kstmt_add(out, kstmt_for(p, from, AXIS_SERIAL, kexpr_index(p, 0), gpu_extent(g, &t->depth), TILE, body));
}

static bool finish(const GpuTile *t, KStmt *out) {
    const GpuNest *g = t->g;
    KProgram *p = g->p;
    MapLoads loads = {.count = 0};
    KStmt *inside = kstmt_block(p);
    MapPlace place = gpu_place(g, &loads, inside);
    KVar *row = gpu_index_var(g, "row", 0), *column = gpu_index_var(g, "column", 0);
    kstmt_add(out, kstmt_let(p, row, plus(t, t->row_from, t->y)));
    kstmt_add(out, kstmt_let(p, column, plus(t, t->column_from, t->x)));
    gpu_bind_axes(g, &place, &t->planes, t->plane);
    gpu_bind_axes(g, &place, &t->rows, kexpr_var(p, row));
    gpu_bind_axes(g, &place, &t->columns, kexpr_var(p, column));
    map_bind(&place, g->nest->reductions[0].result, kexpr_var(p, t->sum));
    map_epilogue(&place, g->nest->epilogue);
    KExpr *exists = kexpr_fn(p, FN_and, below(t, kexpr_var(p, row), gpu_extent(g, &t->rows)),
                             below(t, kexpr_var(p, column), gpu_extent(g, &t->columns)), NULL);
    kstmt_add(out, kstmt_if(p, exists, inside, NULL));
    return !place.failed;
}

static KStmt *thread_loops(const GpuTile *t, KStmt *body) {
    KProgram *p = t->g->p;
    KExpr *zero = kexpr_index(p, 0), *side = kexpr_index(p, TILE);
    return kstmt_for(p, t->y, AXIS_THREAD_Y, zero, side, 1, kstmt_for(p, t->x, AXIS_THREAD_X, zero, side, 1, body));
}

/* Blocks: tiles of rows of all planes along x, tiles of columns along y. */
static bool emit_tiles(GpuTile *t, KStmt *out) {
    GpuNest *g = t->g;
    KProgram *p = g->p;
    KExpr *zero = kexpr_index(p, 0), *side = kexpr_index(p, TILE), *rows = gpu_extent(g, &t->rows);
    KExpr *row_tiles = kexpr_binary(p, '/', kexpr_binary(p, '+', rows, kexpr_index(p, TILE - 1)), side);
    bool planes = t->planes.count > 0;
    KVar *block = gpu_index_var(g, planes ? "block" : "row_from", 0), *column = gpu_index_var(g, "column_from", 0);
    KVar *plane = gpu_index_var(g, "plane", 0), *row = gpu_index_var(g, "row_from", 0);
    KStmt *body = kstmt_block(p);
    t->x = gpu_index_var(g, "x", TILE);
    t->y = gpu_index_var(g, "y", TILE);
    t->column_from = kexpr_var(p, column);
    t->row_from = kexpr_var(p, planes ? row : block);
    t->plane = planes ? kexpr_var(p, plane) : zero;
    if (planes) {
        KExpr *at = kexpr_var(p, block);
        kstmt_add(body, kstmt_let(p, plane, kexpr_binary(p, '/', at, row_tiles)));
        kstmt_add(body, kstmt_let(p, row, kexpr_binary(p, '*', kexpr_binary(p, '%', at, row_tiles), side)));
    }
    depth_loop(t, body);
    if (!finish(t, body))
        return false;
    KStmt *inner = kstmt_for(p, column, AXIS_GRID_Y, zero, gpu_extent(g, &t->columns), TILE, thread_loops(t, body));
    KExpr *end = planes ? kexpr_binary(p, '*', gpu_extent(g, &t->planes), row_tiles) : rows;
    kstmt_add(out, kstmt_for(p, block, AXIS_GRID_X, zero, end, planes ? 1 : TILE, inner));
    return true;
}

bool gpu_map_tiles(GpuNest *g, KStmt *out) {
    GpuTile t = {.g = g};
    return find_groups(&t) && is_worth_tiles(&t) && emit_tiles(&t, out);
}
