/* Nests on threads: the points of the parallel axes are numbered, the last axis fastest, so that neighbouring threads
 * touch neighbouring elements. */
#include "codegen/gpu/map_gpu.h"
#include "codegen/plan/cost.h"

enum { THREAD_REDUCES = 64, MANY_POINTS = 4096 };

/* ---- axes */

GpuAxes gpu_points(const GpuNest *g) {
    GpuAxes a = {.count = 0};
    for (int i = g->row ? 1 : 0; i < g->nest->parallel_count; i++)
        a.axes[a.count++] = i;
    return a;
}

GpuAxes gpu_reduced(const GpuNest *g) {
    GpuAxes a = {.count = 0};
    for (int i = g->nest->parallel_count; i < g->nest->axis_count; i++)
        a.axes[a.count++] = i;
    return a;
}

KExpr *gpu_extent(const GpuNest *g, const GpuAxes *a) {
    KExpr *extent = kexpr_index(g->p, 1);
    for (int i = 0; i < a->count; i++)
        extent = kexpr_binary(g->p, '*', extent, kexpr_dim(g->p, g->nest->axes[a->axes[i]].extent));
    return extent;
}

bool gpu_moves_along(const KExpr *e, const KVar *var) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_LOAD && e->load.index_count)
        return kexpr_uses(e->load.index[e->load.index_count - 1], var);
    for (int i = kexpr_operands(e, operands) - 1; i >= 0; i--)
        if (gpu_moves_along(operands[i], var))
            return true;
    return false;
}

static int64_t extent_for(const GpuNest *g, const GpuAxes *a, int64_t batch) {
    int64_t extent = 1;
    for (int i = 0; i < a->count; i++)
        extent *= dim_size(g->nest->axes[a->axes[i]].extent, batch);
    return extent;
}

int64_t gpu_extent_at_most(const GpuNest *g, const GpuAxes *a) {
    return extent_for(g, a, g->p->module->batch_max);
}

int64_t gpu_extent_of_step(const GpuNest *g, const GpuAxes *a) {
    return extent_for(g, a, cost_batch(g->p));
}

KVar *gpu_index_var(const GpuNest *g, const char *name, int64_t limit) {
    KVar *var = kvar_new(g->p, g->kernel, name, (KType){KBASE_INDEX, 1}, false);
    var->limit = limit;
    return var;
}

MapPlace gpu_place(const GpuNest *g, MapLoads *loads, KStmt *out) {
    MapPlace place = {.program = g->p, .kernel = g->kernel, .nest = g->nest, .lanes = 1, .out = out, .loads = loads};
    place.rows_from = g->row;
    if (g->row)
        map_bind(&place, g->nest->axes[0].var, g->row);
    return place;
}

void gpu_bind_axes(const GpuNest *g, MapPlace *place, const GpuAxes *a, KExpr *number) {
    KProgram *p = g->p;
    int64_t constant;
    for (int i = a->count - 1; i >= 0; i--) {
        const NestAxis *axis = &g->nest->axes[a->axes[i]];
        int64_t most = dim_size(axis->extent, p->module->batch_max);
        bool outermost = true;
        for (int j = 0; j < i; j++)
            outermost = outermost && dim_equal(g->nest->axes[a->axes[j]].extent, dim_static(1));
        KExpr *extent = kexpr_dim(p, axis->extent), *at = number;
        if (!outermost)
            at = kexpr_binary(p, '%', number, extent);
        if (dim_equal(axis->extent, dim_static(1)))
            at = kexpr_index(p, 0);
        if (at->kind != KE_VAR && !kexpr_constant(at, &constant)) {
            KVar *var = gpu_index_var(g, axis->var->name, most);
            kstmt_add(place->out, kstmt_let(p, var, at));
            at = kexpr_var(p, var);
        }
        map_bind(place, axis->var, at);
        if (!outermost)
            number = kexpr_binary(p, '/', number, extent);
    }
}

/* ---- within a block */

bool gpu_wants_block(const GpuNest *g, int64_t points) {
    GpuAxes reduced = gpu_reduced(g);
    int64_t length = gpu_extent_of_step(g, &reduced);
    return g->nest->reduction_count > 0 && length > THREAD_REDUCES && points < MANY_POINTS;
}

/* Inside a block there are no other blocks to do the rest: few points for many threads. */
static bool reduces_together(const GpuNest *g) {
    GpuAxes points = gpu_points(g), reduced = gpu_reduced(g);
    int64_t length = gpu_extent_of_step(g, &reduced);
    return g->nest->reduction_count > 0 && length >= GPU_WARP && gpu_extent_of_step(g, &points) * 4 <= g->threads;
}

int64_t gpu_useful_threads(const GpuNest *g) {
    GpuAxes points = gpu_points(g), reduced = gpu_reduced(g);
    return reduces_together(g) ? gpu_extent_of_step(g, &reduced) : gpu_extent_of_step(g, &points);
}

static void finish_point(const GpuNest *g, MapPlace *place) {
    if (g->nest->reduction_count)
        gpu_reduce_in_thread(g, place);
    else
        map_epilogue(place, g->nest->epilogue);
}

/* All threads of the block on one point after the other. */
static bool points_together(const GpuNest *g, KStmt *out) {
    KProgram *p = g->p;
    GpuAxes points = gpu_points(g);
    MapLoads loads = {.count = 0};
    int64_t count = gpu_extent_at_most(g, &points);
    KVar *point = gpu_index_var(g, "point", count);
    KStmt *body = kstmt_block(p);
    MapPlace place = gpu_place(g, &loads, count > 1 ? body : out);
    gpu_bind_axes(g, &place, &points, count > 1 ? kexpr_var(p, point) : kexpr_index(p, 0));
    gpu_reduce_in_block(g, &place, count > 1);
    if (count > 1)
        kstmt_add(out, kstmt_for(p, point, AXIS_SERIAL, kexpr_index(p, 0), gpu_extent(g, &points), 1, body));
    return !place.failed;
}

bool gpu_map_in_block(const GpuNest *g, KStmt *out) {
    KProgram *p = g->p;
    GpuAxes points = gpu_points(g);
    if (reduces_together(g))
        return points_together(g, out);
    MapLoads loads = {.count = 0};
    KExpr *end = gpu_extent(g, &points), *thread = kexpr_var(p, g->thread);
    int64_t count = gpu_extent_at_most(g, &points);
    bool once = count <= g->threads;
    KVar *point = gpu_index_var(g, "point", count);
    KStmt *body = kstmt_block(p);
    MapPlace place = gpu_place(g, &loads, body);
    gpu_bind_axes(g, &place, &points, once ? thread : kexpr_var(p, point));
    finish_point(g, &place);
    int64_t constant;
    if (!once)
        kstmt_add(out, kstmt_for(p, point, AXIS_SERIAL, thread, end, g->threads, body));
    else if (kexpr_constant(end, &constant) && constant == g->threads)
        kstmt_add(out, body);
    else
        kstmt_add(out, kstmt_if(p, kexpr_fn(p, FN_lt, thread, end, NULL), body, NULL));
    return !place.failed;
}

/* ---- over a grid */

static int64_t threads_for(int64_t count) {
    int64_t threads = GPU_WARP;
    while (threads < count && threads < GPU_BLOCK)
        threads *= 2;
    return threads;
}

static KStmt *for_threads(const GpuNest *g, KStmt *body) {
    KProgram *p = g->p;
    return kstmt_for(p, g->thread, AXIS_THREAD_X, kexpr_index(p, 0), kexpr_index(p, g->threads), 1, body);
}

static KExpr *let(const GpuNest *g, const char *name, KExpr *value, KStmt *out) {
    KVar *var = gpu_index_var(g, name, 0);
    kstmt_add(out, kstmt_let(g->p, var, value));
    return kexpr_var(g->p, var);
}

void gpu_part_of_sum(const GpuNest *g, KExpr *part, KExpr *all, int64_t unit, KExpr *range[2], KStmt *out) {
    KProgram *p = g->p;
    int64_t shares = g->nest->sum_parts * unit;
    KExpr *share = kexpr_binary(p, '+', all, kexpr_index(p, shares - 1));
    share = kexpr_binary(p, '*', kexpr_binary(p, '/', share, kexpr_index(p, shares)), kexpr_index(p, unit));
    KExpr *terms = let(g, "terms", share, out);
    range[0] = let(g, "sum_from", kexpr_binary(p, '*', part, terms), out);
    range[1] = let(g, "sum_to", kexpr_binary(p, 'm', all, kexpr_binary(p, '+', range[0], terms)), out);
}

/* The first axis numbers parts of the sum: this block's. */
static void find_terms(GpuNest *g, KExpr *point, KStmt *out) {
    GpuAxes others = gpu_points(g), reduced = gpu_reduced(g);
    KExpr *range[2];
    if (!g->nest->sum_parts)
        return;
    for (int i = 1; i < others.count; i++)
        others.axes[i - 1] = others.axes[i];
    others.count--;
    KExpr *part = kexpr_binary(g->p, '/', point, gpu_extent(g, &others));
    gpu_part_of_sum(g, part, gpu_extent(g, &reduced), 1, range, out);
    g->from = range[0];
    g->to = range[1];
}

/* A block for each point or some of them; as large as those of tiles, so that it can stand beside them. */
static bool grid_of_blocks(GpuNest *g, KStmt *out) {
    KProgram *p = g->p;
    GpuAxes points = gpu_points(g);
    MapLoads loads = {.count = 0};
    g->threads = GPU_BLOCK;
    g->thread = gpu_index_var(g, "thread", g->threads);
    g->beside = gpu_beside(g);
    KVar *block = gpu_index_var(g, "point", gpu_extent_at_most(g, &points));
    KStmt *body = kstmt_block(p);
    MapPlace place = gpu_place(g, &loads, body);
    KExpr *point = kexpr_var(p, block);
    find_terms(g, point, body);
    if (g->beside > 1)
        point = kexpr_binary(p, '+', point, kexpr_binary(p, '%', kexpr_var(p, g->thread), kexpr_index(p, g->beside)));
    gpu_bind_axes(g, &place, &points, point);
    gpu_reduce_in_block(g, &place, false);
    kstmt_add(out, kstmt_for(p, block, AXIS_GRID_X, kexpr_index(p, 0), gpu_extent(g, &points), g->beside,
                             for_threads(g, body)));
    return !place.failed;
}

/* A thread for each point. */
static bool grid_of_threads(GpuNest *g, KStmt *out) {
    KProgram *p = g->p;
    GpuAxes points = gpu_points(g);
    MapLoads loads = {.count = 0};
    KExpr *end = gpu_extent(g, &points);
    g->threads = threads_for(gpu_extent_at_most(g, &points));
    g->thread = gpu_index_var(g, "thread", g->threads);
    KVar *from = gpu_index_var(g, "from", 0), *point = gpu_index_var(g, "point", 0);
    KStmt *inner = kstmt_block(p), *body = kstmt_block(p);
    kstmt_add(body, kstmt_let(p, point, kexpr_binary(p, '+', kexpr_var(p, from), kexpr_var(p, g->thread))));
    MapPlace place = gpu_place(g, &loads, inner);
    gpu_bind_axes(g, &place, &points, kexpr_var(p, point));
    finish_point(g, &place);
    int64_t constant;
    bool whole = kexpr_constant(end, &constant) && constant % g->threads == 0;
    kstmt_add(body, whole ? inner : kstmt_if(p, kexpr_fn(p, FN_lt, kexpr_var(p, point), end, NULL), inner, NULL));
    kstmt_add(out, kstmt_for(p, from, AXIS_GRID_X, kexpr_index(p, 0), end, g->threads, for_threads(g, body)));
    return !place.failed;
}

bool gpu_map_grid(GpuNest *g, KStmt *out) {
    GpuAxes points = gpu_points(g);
    bool blocks = g->nest->sum_parts || gpu_wants_block(g, gpu_extent_of_step(g, &points));
    return blocks ? grid_of_blocks(g, out) : grid_of_threads(g, out);
}
