/* Register tiles: a nest as loops around a block of `rows` x `vectors` accumulators that are named vector variables.
 *
 * The vector axis was chosen by layout. The row axis is a parallel axis that the vector operand does not depend on: each of
 * its elements is broadcast to all vectors of the tile. Sizes follow from the exact extents and the number of registers,
 * so that no test is left in the loops; what does not divide gets a tile of its own. */
#include "codegen/map.h"
#include <math.h>

enum { MAX_TILE = 32, MAX_VECTORS = 4, MAX_REDUCTIONS = 4, PREFERRED = 20 }; /* accumulators of a tile */
typedef enum { LOOP_AXIS, LOOP_PANELS, LOOP_ROWS } LoopKind;

typedef struct {
    const MapNest *m;
    const Nest *nest;
    KProgram *p;
    int vector, lanes;        /* axis on the lanes or -1 */
    int row, rows;            /* row axis or -1, rows of a tile */
    int row2, rows2;          /* a second row axis, taken whole */
    int vectors;              /* of a full tile */
    LoopKind order[NEST_MAX_AXES + 2];
    int order_axis[NEST_MAX_AXES + 2], order_count;
    bool parallel;
    /* the tile being written */
    KExpr *base[NEST_MAX_AXES];
    int tile_rows, tile_vectors;
    KExpr *tile_count;        /* lanes of its last vector; NULL: all */
    KExpr *lanes_left;        /* samples on the lanes: how many are left from the tile's first on; NULL: other axes */
    bool failed;
} Tiles;

/* ---- choosing */
static bool depends(const KExpr *e, const KVar *var) { return kexpr_uses(e, var); }

/* A load in e that depends on the vector axis and not on `var` is used by every row. */
static bool shares_vectors(const KExpr *e, const KVar *vector, const KVar *var) {
    switch (e->kind) {
    case KE_LOAD: return depends(e, vector) && !depends(e, var);
    case KE_FN:
        for (int i = 0; i < scalar_infos[e->fn.fn].arity; i++)
            if (shares_vectors(e->fn.args[i], vector, var))
                return true;
        return false;
    case KE_CAST: return shares_vectors(e->operand, vector, var);
    default: return false;
    }
}

static bool may_be_rows(const Tiles *t, int axis) {
    if (axis == t->vector || t->nest->axes[axis].reduce || !t->nest->reduction_count || t->vector < 0)
        return false;
    for (int i = 0; i < t->nest->reduction_count; i++)
        if (!shares_vectors(t->nest->reductions[i].expr, t->nest->axes[t->vector].var, t->nest->axes[axis].var))
            return false;
    return true;
}

static int64_t extent_at_most(const Tiles *t, int axis) {
    int64_t extent = dim_size(t->nest->axes[axis].extent, t->p->module->batch_max);
    return axis == 0 && t->m->rows_from && t->m->block_rows < extent ? t->m->block_rows : extent;
}

/* Rows that tiles touch beyond the whole batch: the last tile of the last block. */
static int rows_beyond(const Tiles *t, int axis) {
    int64_t all = dim_size(t->nest->axes[axis].extent, t->p->module->batch_max);
    int64_t last_block = (all - 1) % extent_at_most(t, axis) + 1;
    return (int)((last_block + t->rows - 1) / t->rows * t->rows - last_block);
}

/* Accumulators that fit beside operands. */
static int budget(const Tiles *t) {
    int all = t->p->isa.registers >= 32 ? 28 : 12;
    return t->nest->reduction_count > 1 ? all / t->nest->reduction_count : all;
}

static int choose_vectors(int64_t whole_vectors, int most) {
    for (int c = 2; c <= 4 && c <= most; c++)
        if (whole_vectors % c == 0)
            return c;
    return 1;
}

/* Rows per tile: a divisor that fills 8 or more accumulators, at most PREFERRED; else an even split. */
static int choose_rows(int64_t extent, int vectors, int most) {
    int limit = most / vectors, best = 0;
    if (limit > MAX_TILE)
        limit = MAX_TILE;
    for (int r = 1; r <= limit; r++)
        if (extent % r == 0 && (r * vectors <= PREFERRED || best * vectors < 8))
            best = r;
    if (best * vectors >= 8 || best == extent)
        return best;
    int preferred = PREFERRED / vectors < limit ? PREFERRED / vectors : limit;
    if (extent < preferred)
        return (int)extent;
    int64_t tiles = (extent + preferred - 1) / preferred;
    return (int)((extent + tiles - 1) / tiles);
}

static void choose_tile(Tiles *t) {
    const Nest *nest = t->nest;
    t->row = t->row2 = -1;
    t->rows = t->rows2 = t->vectors = 1;
    bool reduces_lanes = t->vector >= 0 && nest->axes[t->vector].reduce;
    if (t->vector >= 0 && !reduces_lanes && nest->reduction_count) {
        int64_t extent = extent_at_most(t, t->vector), whole = extent / t->lanes;
        if (nest->axes[t->vector].extent.batch)
            t->vectors = t->p->module->batch_max > t->lanes ? 2 : 1; /* as buffers are padded */
        else if (whole < 4 && extent % t->lanes)
            t->vectors = (int)whole + 1; /* one panel, its last vector partial */
        else if (whole)
            t->vectors = choose_vectors(whole, budget(t));
    }
    for (int axis = 0; axis < nest->parallel_count; axis++)
        if (may_be_rows(t, axis) && extent_at_most(t, axis) > 1 &&
            (t->row < 0 || extent_at_most(t, axis) > extent_at_most(t, t->row)))
            t->row = axis;
    if (t->row >= 0)
        t->rows = choose_rows(extent_at_most(t, t->row), t->vectors, budget(t));
    if (t->row == 0 && t->m->rows_from) /* the next block's rows belong to another thread */
        while (t->m->block_rows % t->rows && extent_at_most(t, 0) == t->m->block_rows)
            t->rows--;
    for (int axis = 0; axis < nest->parallel_count && t->row >= 0 && t->rows * t->vectors < 8; axis++)
        if (axis != t->row && may_be_rows(t, axis) && !nest->axes[axis].extent.batch && extent_at_most(t, axis) > 1 &&
            extent_at_most(t, axis) * t->rows * t->vectors <= budget(t) && t->row2 < 0) {
            t->row2 = axis;
            t->rows2 = (int)extent_at_most(t, axis);
        }
}

/* Whole vectors in panels, and what is left of the vector axis. */
static int64_t panel_end(const Tiles *t) {
    int64_t extent = extent_at_most(t, t->vector), panel = (int64_t)t->vectors * t->lanes;
    if (extent < panel)
        return 0;
    return extent / panel * panel;
}

static void add_loop(Tiles *t, LoopKind kind, int axis) {
    t->order[t->order_count] = kind;
    t->order_axis[t->order_count++] = axis;
}

static void choose_order(Tiles *t) {
    const Nest *nest = t->nest;
    bool panels = t->vector >= 0 && !nest->axes[t->vector].reduce;
    for (int i = 0; i < nest->parallel_count; i++) {
        if (i == t->row || i == t->row2 || (panels && i == t->vector))
            continue;
        if (dim_equal(nest->axes[i].extent, dim_static(1)))
            t->base[i] = kexpr_index(t->p, 0);
        else
            add_loop(t, LOOP_AXIS, i);
    }
    if (!panels || t->row < 0) {
        if (t->row >= 0)
            add_loop(t, LOOP_ROWS, t->row);
        if (panels)
            add_loop(t, LOOP_PANELS, t->vector);
        return;
    }
    int64_t panel = (int64_t)t->vectors * t->lanes;
    int64_t panel_count = (extent_at_most(t, t->vector) + panel - 1) / panel;
    int64_t row_tiles = (extent_at_most(t, t->row) + t->rows - 1) / t->rows;
    bool panels_outside = panel_count >= 4 || panel_count >= row_tiles;
    add_loop(t, panels_outside ? LOOP_PANELS : LOOP_ROWS, panels_outside ? t->vector : t->row);
    add_loop(t, panels_outside ? LOOP_ROWS : LOOP_PANELS, panels_outside ? t->row : t->vector);
}

/* ---- one tile */
static double identity(ReduceKind kind) {
    return kind == REDUCE_SUM ? 0 : kind == REDUCE_MAX ? -(double)INFINITY : (double)INFINITY;
}

/* An accumulator per row: a variable for one row, a register array for several. */
typedef struct {
    KVar *var;
    KBuffer *rows;
    KType type;
} Accumulator;

typedef struct {
    Accumulator sum[MAX_REDUCTIONS][MAX_VECTORS], place[MAX_REDUCTIONS][MAX_VECTORS];
    KVar *row; /* of the unrolled loop being written */
    MapLoads loads;
} Accumulators;

static int all_rows(const Tiles *t) { return t->tile_rows * t->rows2; }

/* The unrolled loop over the rows of the tile; with one row there is none. */
static KStmt *open_rows(Tiles *t, Accumulators *a, KStmt *out) {
    if (all_rows(t) == 1) {
        a->row = NULL;
        return out;
    }
    a->row = kvar_new(t->p, t->m->kernel, "r", (KType){KBASE_INDEX, 1}, false);
    a->row->limit = all_rows(t);
    return kstmt_block(t->p);
}

static void close_rows(Tiles *t, Accumulators *a, KStmt *out, KStmt *body) {
    KProgram *p = t->p;
    if (a->row && body->block.first)
        kstmt_add(out, kstmt_for(p, a->row, AXIS_UNROLL, kexpr_index(p, 0), kexpr_index(p, all_rows(t)), 1, body));
    map_forget(&a->loads, false);
}

static KExpr *accumulated(Tiles *t, const Accumulators *a, const Accumulator *of) {
    if (of->var)
        return kexpr_var(t->p, of->var);
    KExpr *index[] = {kexpr_var(t->p, a->row), kexpr_index(t->p, 0)};
    KExpr *load = kexpr_load(t->p, of->rows, index, of->type.lanes > 1 ? 2 : 1);
    load->type = of->type;
    return load;
}

static KStmt *set_accumulated(Tiles *t, const Accumulators *a, const Accumulator *of, KExpr *value) {
    if (value->type.lanes < of->type.lanes)
        value = kexpr_splat(t->p, value, of->type.lanes);
    if (of->var)
        return kstmt_set(t->p, of->var, value);
    KExpr *index[] = {kexpr_var(t->p, a->row), kexpr_index(t->p, 0)};
    return kstmt_store(t->p, of->rows, index, of->type.lanes > 1 ? 2 : 1, value, NULL);
}

/* Where the base of an axis moves to in this row and vector of the tile. */
static KExpr *at_offset(const Tiles *t, const Accumulators *a, int axis, int vector) {
    KProgram *p = t->p;
    KExpr *offset = kexpr_index(p, 0);
    if (axis == t->vector && !t->nest->axes[axis].reduce)
        offset = kexpr_index(p, (int64_t)vector * t->lanes);
    else if (a->row && (axis == t->row || axis == t->row2)) {
        KExpr *rows2 = kexpr_index(p, t->rows2);
        offset = kexpr_binary(p, axis == t->row ? '/' : '%', kexpr_var(p, a->row), rows2);
    }
    return kexpr_binary(p, '+', t->base[axis], offset);
}

/* The place of one vector of the tile, in the row of the loop being written; reduce axes are bound by the caller. */
static MapPlace place_at(const Tiles *t, Accumulators *a, int vector, KStmt *outer, KStmt *out) {
    KProgram *p = t->p;
    MapPlace place = {.program = p, .kernel = t->m->kernel, .nest = t->nest, .lanes = t->lanes, .out = out};
    place.outer = outer;
    place.row = a->row;
    place.loads = &a->loads;
    place.rows_from = t->m->rows_from;
    if (a->row && t->row >= 0 && t->nest->axes[t->row].extent.batch)
        place.samples = kexpr_dim(p, t->nest->axes[t->row].extent);
    if (t->vector >= 0)
        place.vector = t->nest->axes[t->vector].var;
    if (t->lanes_left) { /* samples that are left from the first lane of the tile on */
        KExpr *left = kexpr_binary(p, '-', t->lanes_left, kexpr_index(p, (int64_t)vector * t->lanes));
        if (vector)
            left = kexpr_binary(p, 'M', left, kexpr_index(p, 0));
        place.count = kexpr_binary(p, 'm', left, kexpr_index(p, t->lanes));
    } else if (vector == t->tile_vectors - 1)
        place.count = t->tile_count;
    for (int i = 0; i < t->nest->axis_count; i++)
        if (t->base[i])
            map_bind(&place, t->nest->axes[i].var, at_offset(t, a, i, vector));
    return place;
}

static Accumulator declare(Tiles *t, const char *name, KBase base, int lanes, bool zeroed, KStmt *out) {
    Accumulator of = {.type = {base, lanes}};
    if (all_rows(t) == 1) {
        of.var = kvar_new(t->p, t->m->kernel, name, of.type, true);
        return of;
    }
    Dim rows = dim_static(all_rows(t));
    of.rows = kbuffer_local(t->p, t->m->kernel, SPACE_LOCAL, name, base, 1, &rows);
    of.rows->lanes = lanes > 1 ? lanes : 0;
    of.rows->zeroed = zeroed;
    kstmt_add(out, kstmt_alloc(t->p, of.rows));
    return of;
}

static void start_at(Tiles *t, const Accumulators *a, const Accumulator *of, double number, KStmt *out) {
    if (of->rows && of->rows->zeroed)
        return;
    KExpr *start = kexpr_number(t->p, of->type.base, number);
    if (of->type.lanes > 1)
        start = kexpr_splat(t->p, start, of->type.lanes);
    kstmt_add(out, of->var ? kstmt_let(t->p, of->var, start) : set_accumulated(t, a, of, start));
}

static void declare_accumulators(Tiles *t, Accumulators *a, KStmt *out) {
    bool across = t->vector >= 0 && t->nest->axes[t->vector].reduce;
    int lanes = t->vector >= 0 ? t->lanes : 1;
    for (int r = 0; r < t->nest->reduction_count; r++) {
        const NestReduction *reduction = &t->nest->reductions[r];
        KBase base = reduction->argument ? KBASE_F32 : reduction->result->type.base;
        t->failed = t->failed || (reduction->argument && across);
        for (int v = 0; v < t->tile_vectors; v++) {
            const char *name = reduction->argument ? "best" : reduction->result->name;
            a->sum[r][v] = declare(t, name, base, lanes, identity(reduction->kind) == 0, out);
            if (reduction->argument)
                a->place[r][v] = declare(t, reduction->result->name, KBASE_I32, lanes, true, out);
        }
    }
    KStmt *body = open_rows(t, a, out);
    for (int r = 0; r < t->nest->reduction_count; r++)
        for (int v = 0; v < t->tile_vectors; v++) {
            start_at(t, a, &a->sum[r][v], identity(t->nest->reductions[r].kind), body);
            if (t->nest->reductions[r].argument)
                start_at(t, a, &a->place[r][v], 0, body);
        }
    close_rows(t, a, out, body);
}

/* Number of this cell among the reduced ones, row-major. */
static KExpr *reduced_place(Tiles *t, MapPlace *place) {
    KProgram *p = t->p;
    KExpr *linear = kexpr_index(p, 0);
    for (int i = t->nest->parallel_count; i < t->nest->axis_count; i++) {
        linear = kexpr_binary(p, '*', linear, kexpr_dim(p, t->nest->axes[i].extent));
        linear = kexpr_binary(p, '+', linear, map_index(place, kexpr_var(p, t->nest->axes[i].var)));
    }
    return kexpr_cast(p, KBASE_I32, linear);
}

static KExpr *as_lanes(KProgram *p, KExpr *e, int lanes) { return e->type.lanes < lanes ? kexpr_splat(p, e, lanes) : e; }

static void accumulate_place(Tiles *t, Accumulators *a, int r, int v, MapPlace *place, KExpr *value, KExpr *guard) {
    KProgram *p = t->p;
    int lanes = t->vector >= 0 ? t->lanes : 1;
    KExpr *best = accumulated(t, a, &a->sum[r][v]), *better = kexpr_fn(p, FN_gt, value, best, NULL);
    if (guard)
        better = kexpr_fn(p, FN_and, guard, better, NULL);
    better = as_lanes(p, better, lanes);
    KVar *test = kvar_new(p, t->m->kernel, "better", better->type, false);
    kstmt_add(place->out, kstmt_let(p, test, better));
    KExpr *number = as_lanes(p, reduced_place(t, place), lanes), *is_better = kexpr_var(p, test);
    KExpr *old = accumulated(t, a, &a->place[r][v]);
    kstmt_add(place->out, set_accumulated(t, a, &a->place[r][v], kexpr_fn(p, FN_select, is_better, number, old)));
    value = kexpr_fn(p, FN_select, is_better, as_lanes(p, value, lanes), best);
    kstmt_add(place->out, set_accumulated(t, a, &a->sum[r][v], value));
}

static void accumulate(Tiles *t, Accumulators *a, int r, int v, MapPlace *place, KExpr *mask) {
    KProgram *p = t->p;
    const NestReduction *reduction = &t->nest->reductions[r];
    KExpr *value = map_value(place, reduction->expr);
    KExpr *guard = reduction->guard ? map_value(place, reduction->guard) : NULL;
    if (mask)
        guard = guard ? kexpr_fn(p, FN_and, mask, guard, NULL) : mask;
    if (reduction->argument) {
        accumulate_place(t, a, r, v, place, value, guard);
        return;
    }
    if (guard)
        value = kexpr_fn(p, FN_select, guard, value, kexpr_number(p, value->type.base, identity(reduction->kind)));
    ScalarFn fn = reduction->kind == REDUCE_SUM ? FN_add : reduction->kind == REDUCE_MAX ? FN_max : FN_min;
    value = kexpr_fn(p, fn, value, accumulated(t, a, &a->sum[r][v]), NULL);
    kstmt_add(place->out, set_accumulated(t, a, &a->sum[r][v], value));
}

/* Lanes that exist, as a mask; NULL: all. */
static KExpr *lane_mask(const Tiles *t, KExpr *count) {
    KProgram *p = t->p;
    if (!count)
        return NULL;
    return kexpr_fn(p, FN_lt, kexpr_lanes(p, t->lanes), kexpr_splat(p, kexpr_cast(p, KBASE_I32, count), t->lanes), NULL);
}

static void reduce_body(Tiles *t, Accumulators *a, KExpr *const *reduce_index, KExpr *count, KStmt *out) {
    map_forget(&a->loads, true);
    KStmt *body = open_rows(t, a, out);
    for (int v = 0; v < t->tile_vectors; v++) {
        MapPlace place = place_at(t, a, v, out, body);
        for (int i = t->nest->parallel_count; i < t->nest->axis_count; i++)
            map_bind(&place, t->nest->axes[i].var, reduce_index[i]);
        if (count)
            place.count = count;
        for (int r = 0; r < t->nest->reduction_count; r++)
            accumulate(t, a, r, v, &place, lane_mask(t, count));
        t->failed = t->failed || place.failed;
    }
    close_rows(t, a, out, body);
    map_forget(&a->loads, true);
}

/* Lanes along a reduced axis: whole vectors, then the rest. */
static void reduce_across(Tiles *t, Accumulators *a, KExpr **index, KStmt *out) {
    KProgram *p = t->p;
    const NestAxis *axis = &t->nest->axes[t->vector];
    KExpr *end = kexpr_dim(p, axis->extent), *lanes = kexpr_index(p, t->lanes);
    KExpr *whole = kexpr_binary(p, '*', kexpr_binary(p, '/', end, lanes), lanes);
    int64_t whole_value = 0, end_value = 0;
    bool constant = kexpr_constant(whole, &whole_value) && kexpr_constant(end, &end_value);
    if (!constant || whole_value > 0) {
        KVar *var = kvar_new(p, t->m->kernel, axis->var->name, axis->var->type, false);
        KStmt *body = kstmt_block(p);
        index[t->vector] = kexpr_var(p, var);
        reduce_body(t, a, index, NULL, body);
        kstmt_add(out, kstmt_for(p, var, AXIS_SERIAL, kexpr_index(p, 0), whole, t->lanes, body));
    }
    if (constant && whole_value == end_value)
        return;
    KExpr *rest = kexpr_binary(p, '-', end, whole);
    KStmt *body = kstmt_block(p);
    index[t->vector] = whole;
    reduce_body(t, a, index, rest, body);
    kstmt_add(out, constant ? body : kstmt_if(p, kexpr_fn(p, FN_gt, rest, kexpr_index(p, 0), NULL), body, NULL));
}

static void reduce_loops(Tiles *t, Accumulators *a, int axis, KExpr **index, KStmt *out) {
    KProgram *p = t->p;
    if (axis == t->vector)
        axis++;
    if (axis >= t->nest->axis_count) {
        if (t->vector >= 0 && t->nest->axes[t->vector].reduce)
            reduce_across(t, a, index, out);
        else
            reduce_body(t, a, index, NULL, out);
        return;
    }
    if (dim_equal(t->nest->axes[axis].extent, dim_static(1))) {
        index[axis] = kexpr_index(p, 0);
        reduce_loops(t, a, axis + 1, index, out);
        return;
    }
    KVar *var = kvar_new(p, t->m->kernel, t->nest->axes[axis].var->name, (KType){KBASE_INDEX, 1}, false);
    KStmt *body = kstmt_block(p);
    index[axis] = kexpr_var(p, var);
    reduce_loops(t, a, axis + 1, index, body);
    kstmt_add(out, kstmt_for(p, var, AXIS_SERIAL, kexpr_index(p, 0), kexpr_dim(p, t->nest->axes[axis].extent), 1, body));
}

/* The results of the reductions for one vector, then the epilogue. */
static void finish_vector(Tiles *t, Accumulators *a, int v, KStmt *outer, KStmt *body) {
    KProgram *p = t->p;
    bool across = t->vector >= 0 && t->nest->axes[t->vector].reduce;
    MapPlace place = place_at(t, a, v, outer, body);
    if (across) {
        place.vector = NULL;
        place.count = NULL;
    }
    for (int r = 0; r < t->nest->reduction_count; r++) {
        const NestReduction *reduction = &t->nest->reductions[r];
        KExpr *value = accumulated(t, a, reduction->argument ? &a->place[r][v] : &a->sum[r][v]);
        if (across || (value->kind == KE_LOAD && map_count_uses(t->nest->epilogue, reduction->result) > 1)) {
            KType type = {value->type.base, across ? 1 : value->type.lanes};
            KVar *whole = kvar_new(p, t->m->kernel, reduction->result->name, type, false);
            kstmt_add(body, kstmt_let(p, whole, across ? kexpr_across(p, reduction->kind, value) : value));
            value = kexpr_var(p, whole);
        }
        map_bind(&place, reduction->result, value);
    }
    map_epilogue(&place, t->nest->epilogue);
    t->failed = t->failed || place.failed;
}

static void finish(Tiles *t, Accumulators *a, KStmt *out) {
    map_forget(&a->loads, true);
    KStmt *body = open_rows(t, a, out);
    for (int v = 0; v < t->tile_vectors; v++)
        finish_vector(t, a, v, out, body);
    close_rows(t, a, out, body);
}

static void emit_tile(Tiles *t, KStmt *out) {
    Accumulators *a = ARENA_NEW(t->p->arena, Accumulators);
    KExpr *index[NEST_MAX_AXES] = {NULL};
    if (t->nest->reduction_count) {
        declare_accumulators(t, a, out);
        reduce_loops(t, a, t->nest->parallel_count, index, out);
    }
    finish(t, a, out);
}

/* ---- loops around the tiles */
static void emit_loops(Tiles *t, int level, KStmt *out);

static KVar *loop_var(Tiles *t, int axis) {
    return kvar_new(t->p, t->m->kernel, t->nest->axes[axis].var->name, (KType){KBASE_INDEX, 1}, false);
}

static AxisKind kind_of(const Tiles *t, int level) { return t->parallel && level == 0 ? AXIS_PARALLEL : AXIS_SERIAL; }

static KExpr *axis_from(const Tiles *t, int axis) {
    return axis == 0 && t->m->rows_from ? t->m->rows_from : kexpr_index(t->p, 0);
}
static KExpr *axis_to(const Tiles *t, int axis) {
    return axis == 0 && t->m->rows_to ? t->m->rows_to : kexpr_dim(t->p, t->nest->axes[axis].extent);
}

static void loop_axis(Tiles *t, int level, int axis, KStmt *out) {
    KProgram *p = t->p;
    KVar *var = loop_var(t, axis);
    KStmt *body = kstmt_block(p);
    t->base[axis] = kexpr_var(p, var);
    emit_loops(t, level + 1, body);
    kstmt_add(out, kstmt_for(p, var, kind_of(t, level), axis_from(t, axis), axis_to(t, axis), 1, body));
}

/* Samples on the lanes: the program's own memory is padded to whole vectors, what is the caller's is read in part. */
static void loop_batch_panels(Tiles *t, int level, int axis, KStmt *out) {
    KProgram *p = t->p;
    KVar *var = loop_var(t, axis);
    KStmt *body = kstmt_block(p);
    t->base[axis] = kexpr_var(p, var);
    t->tile_vectors = t->vectors;
    t->lanes_left = kexpr_binary(p, '-', axis_to(t, axis), t->base[axis]);
    emit_loops(t, level + 1, body);
    t->lanes_left = NULL;
    int64_t step = (int64_t)t->vectors * t->lanes;
    kstmt_add(out, kstmt_for(p, var, kind_of(t, level), axis_from(t, axis), axis_to(t, axis), step, body));
}

static void loop_panels(Tiles *t, int level, int axis, KStmt *out) {
    KProgram *p = t->p;
    if (t->nest->axes[axis].extent.batch) {
        loop_batch_panels(t, level, axis, out);
        return;
    }
    int64_t extent = extent_at_most(t, axis), panel = (int64_t)t->vectors * t->lanes, end = panel_end(t), rest = extent - end;
    KExpr *partial = rest % t->lanes ? kexpr_index(p, rest % t->lanes) : NULL;
    int rest_vectors = (int)((rest + t->lanes - 1) / t->lanes);
    if (end == 0) { /* a single panel */
        t->base[axis] = kexpr_index(p, 0);
        t->tile_vectors = rest_vectors;
        t->tile_count = partial;
        emit_loops(t, level + 1, out);
        return;
    }
    KVar *var = loop_var(t, axis);
    KStmt *body = kstmt_block(p);
    t->base[axis] = kexpr_var(p, var);
    t->tile_vectors = t->vectors;
    t->tile_count = NULL;
    emit_loops(t, level + 1, body);
    if (!rest) {
        kstmt_add(out, kstmt_for(p, var, kind_of(t, level), kexpr_index(p, 0), kexpr_index(p, end), panel, body));
        return;
    }
    KStmt *tail = kstmt_block(p);
    t->base[axis] = kexpr_index(p, end);
    t->tile_vectors = rest_vectors;
    t->tile_count = partial;
    emit_loops(t, level + 1, tail);
    if (kind_of(t, level) == AXIS_SERIAL) {
        kstmt_add(out, kstmt_for(p, var, AXIS_SERIAL, kexpr_index(p, 0), kexpr_index(p, end), panel, body));
        kstmt_add(out, tail);
        return;
    }
    KStmt *either = kstmt_block(p); /* the rest is one more unit to share */
    kstmt_add(either, kstmt_if(p, kexpr_fn(p, FN_lt, kexpr_var(p, var), kexpr_index(p, end), NULL), body, tail));
    kstmt_add(out, kstmt_for(p, var, AXIS_PARALLEL, kexpr_index(p, 0), kexpr_index(p, end + panel), panel, either));
}

/* Tiles over the rows of the batch may reach beyond it (MapPlace.samples); other rows that are left get a tile of their own. */
static void loop_rows(Tiles *t, int level, int axis, KStmt *out) {
    KProgram *p = t->p;
    bool batch = t->nest->axes[axis].extent.batch;
    int64_t extent = extent_at_most(t, axis), rest = batch ? 0 : extent % t->rows;
    KExpr *from = axis_from(t, axis), *to = axis_to(t, axis);
    t->tile_rows = t->rows;
    if (!batch && extent == t->rows) {
        t->base[axis] = from;
        emit_loops(t, level + 1, out);
        return;
    }
    if (batch && rows_beyond(t, axis) > *t->m->slack)
        *t->m->slack = rows_beyond(t, axis);
    KVar *var = loop_var(t, axis);
    KStmt *body = kstmt_block(p), *tail = kstmt_block(p);
    t->base[axis] = kexpr_var(p, var);
    emit_loops(t, level + 1, body);
    if (!rest) {
        kstmt_add(out, kstmt_for(p, var, kind_of(t, level), from, to, t->rows, body));
        return;
    }
    KExpr *whole = kexpr_index(p, extent - rest);
    t->base[axis] = whole;
    t->tile_rows = (int)rest;
    emit_loops(t, level + 1, tail);
    if (kind_of(t, level) == AXIS_SERIAL) {
        kstmt_add(out, kstmt_for(p, var, AXIS_SERIAL, from, whole, t->rows, body));
        kstmt_add(out, tail);
        return;
    }
    KStmt *either = kstmt_block(p); /* the rest is one more unit to share */
    kstmt_add(either, kstmt_if(p, kexpr_fn(p, FN_lt, kexpr_var(p, var), whole, NULL), body, tail));
    kstmt_add(out, kstmt_for(p, var, AXIS_PARALLEL, from, to, t->rows, either));
}

static void emit_loops(Tiles *t, int level, KStmt *out) {
    if (t->failed)
        return;
    if (level == t->order_count) {
        emit_tile(t, out);
        return;
    }
    int axis = t->order_axis[level];
    if (t->order[level] == LOOP_AXIS)
        loop_axis(t, level, axis, out);
    else if (t->order[level] == LOOP_PANELS)
        loop_panels(t, level, axis, out);
    else
        loop_rows(t, level, axis, out);
}

static bool try_tiles(const MapNest *m, const Nest *nest, bool parallel, int vector, KStmt *out) {
    Tiles t = {.m = m, .nest = nest, .p = m->program, .vector = vector, .parallel = parallel};
    t.lanes = vector >= 0 ? m->program->isa.lanes : 1;
    choose_tile(&t);
    choose_order(&t);
    t.tile_rows = t.tile_vectors = 1;
    if (t.row2 >= 0)
        t.base[t.row2] = kexpr_index(t.p, 0);
    emit_loops(&t, 0, out);
    return !t.failed;
}

static void splice(KStmt *out, KStmt *block) {
    for (KStmt *s = block->block.first, *next; s; s = next) {
        next = s->next;
        s->next = NULL;
        kstmt_add(out, s);
    }
}

bool map_nest_tiles(const MapNest *m, const Nest *nest, bool parallel, KStmt *out) {
    if (map_turn(m, nest, parallel, out))
        return true;
    KStmt *block = kstmt_block(m->program);
    if (nest->vector_axis >= 0 && try_tiles(m, nest, parallel, nest->vector_axis, block)) {
        splice(out, block);
        return true;
    }
    block = kstmt_block(m->program);
    if (!try_tiles(m, nest, parallel, -1, block)) {
        diag_internal(m->program->diag, nest->op ? nest->op->span : (Span){0}, "mapping failed for %s", m->kernel->name);
        return false;
    }
    splice(out, block);
    return true;
}
