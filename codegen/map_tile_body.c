/* The statements of one register tile: accumulators, the reduction over them in an unrolled loop of rows, the epilogue.
 * What does not depend on the row is loaded outside that loop; nothing invariant lives across the reduction. */
#include "codegen/map_tile.h"
#include <math.h>

enum { LONG_SUM = 24, LONG_EPILOGUE = 16, LEAST_RIDING_ROWS = 4, RIDING_POINTS = 16 };
enum {
    FAR_BYTES = 1 << 16,
    LEAST_PIECE = 8
}; /* a buffer that does not stay near; turns of a loop between prefetches */

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
    Accumulator sum[NEST_MAX_CELLS][MAX_VECTORS]; /* by reduction, or by cell of a window */
    Accumulator place[MAX_REDUCTIONS][MAX_VECTORS];
    KVar *row; /* of the unrolled loop being written */
    MapLoads loads;
} Accumulators;

/* Sums of a row and vector: of each reduction, or of each cell of a window. */
static int sums(const Tiles *t) {
    return t->nest->cell_count ? nest_cells(t->nest) : t->nest->reduction_count;
}
static const NestReduction *reduction_of(const Tiles *t, int sum) {
    return &t->nest->reductions[t->nest->cell_count ? 0 : sum];
}

static int all_rows(const Tiles *t) {
    return t->tile_rows * t->rows2;
}

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

/* With windows: cell number n of the window. */
static void bind_cell(const Tiles *t, MapPlace *place, int n) {
    for (int i = t->nest->cell_count - 1; i >= 0; i--) {
        int extent = (int)t->nest->cells[i].extent.n;
        map_bind(place, t->nest->cells[i].var, kexpr_index(t->p, n % extent));
        n /= extent;
    }
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
    for (int r = 0; r < sums(t); r++) {
        const NestReduction *reduction = reduction_of(t, r);
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
    for (int r = 0; r < sums(t); r++)
        for (int v = 0; v < t->tile_vectors; v++) {
            start_at(t, a, &a->sum[r][v], identity(reduction_of(t, r)->kind), body);
            if (reduction_of(t, r)->argument)
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

static KExpr *as_lanes(KProgram *p, KExpr *e, int lanes) {
    return e->type.lanes < lanes ? kexpr_splat(p, e, lanes) : e;
}

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
    const NestReduction *reduction = reduction_of(t, r);
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
    return kexpr_fn(p, FN_lt, kexpr_lanes(p, t->lanes), kexpr_splat(p, kexpr_cast(p, KBASE_I32, count), t->lanes),
                    NULL);
}

static void store_each(Tiles *t, const Accumulators *a, MapPlace *place) {
    for (int r = 0; r < t->nest->reduction_count; r++)
        map_bind(place, t->nest->reductions[r].result, accumulated(t, a, &a->sum[r][0]));
    for (const KStmt *s = t->nest->each->block.first; s; s = s->next)
        map_store(place, s);
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
        place.sums = true;
        if (t->nest->each)
            store_each(t, a, &place);
        for (int r = 0; r < sums(t); r++) {
            bind_cell(t, &place, r);
            accumulate(t, a, r, v, &place, lane_mask(t, count));
        }
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
        var->multiple = t->lanes;
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

static int first_reduce_axis(const Nest *nest) {
    int axis = nest->parallel_count;
    while (axis < nest->axis_count && dim_equal(nest->axes[axis].extent, dim_static(1)))
        axis++;
    return axis;
}

/* Panels that an operand is cut in along a reduce axis: the elements of one, or 0. */
static int64_t panel_along(const KExpr *e, const NestAxis *axis) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    int64_t coefficient;
    if (e->kind == KE_LOAD) {
        const KBuffer *b = e->load.buffer;
        bool cut = b->block > 0 && kexpr_coefficient(e->load.index[b->block_axis], axis->var, &coefficient) &&
                   coefficient == 1;
        return cut && !axis->extent.batch && axis->extent.n % b->block == 0 ? b->block : 0;
    }
    int count = kexpr_operands(e, operands);
    for (int i = 0; i < count; i++) {
        int64_t panel = panel_along(operands[i], axis);
        if (panel)
            return panel;
    }
    return 0;
}

static void reduce_loops(Tiles *, Accumulators *, int axis, KExpr **index, KStmt *out);
static void prefetch_row(Tiles *, Accumulators *, KExpr *row, KStmt *out);

/* Does the loop over this axis of a sum stand around another one? */
static bool is_around(const Nest *nest, int axis) {
    for (int i = axis + 1; i < nest->axis_count; i++)
        if (!dim_equal(nest->axes[i].extent, dim_static(1)))
            return true;
    return panel_along(nest->reductions[0].expr, &nest->axes[axis]) > 0;
}

/* At each turn of the outer loop of a sum, its share of what the epilogue will read and write. */
static void prefetch_at_turn(Tiles *t, Accumulators *a, KExpr *turn, int64_t turns, KStmt *out) {
    KProgram *p = t->p;
    int64_t rows = all_rows(t), share = (rows + turns - 1) / turns;
    KExpr *first = rows % turns == 0
                       ? kexpr_binary(p, '*', turn, kexpr_index(p, share))
                       : kexpr_binary(p, '/', kexpr_binary(p, '*', turn, kexpr_index(p, rows)), kexpr_index(p, turns));
    for (int64_t i = 0; i < share; i++) {
        KExpr *row = kexpr_binary(p, '+', first, kexpr_index(p, i));
        prefetch_row(t, a, rows % turns && share > 1 ? kexpr_binary(p, 'm', row, kexpr_index(p, rows - 1)) : row, out);
    }
}

/* One loop; over panels and the places in them, if an operand is cut in panels along the axis. */
static void reduce_loop(Tiles *t, Accumulators *a, int axis, KExpr **index, KStmt *out) {
    KProgram *p = t->p;
    const NestAxis *nest_axis = &t->nest->axes[axis];
    int64_t panel = panel_along(t->nest->reductions[0].expr, nest_axis);
    KVar *var = kvar_new(p, t->m->kernel, nest_axis->var->name, (KType){KBASE_INDEX, 1}, false), *outer = NULL;
    KStmt *body = kstmt_block(p);
    KExpr *from = kexpr_index(p, 0), *to = kexpr_dim(p, nest_axis->extent);
    index[axis] = kexpr_var(p, var);
    if (nest_axis->from) {
        MapPlace place = place_at(t, a, 0, out, out);
        for (int i = t->nest->parallel_count; i < axis; i++)
            if (index[i])
                map_bind(&place, t->nest->axes[i].var, index[i]);
        from = map_index(&place, nest_axis->from);
        to = map_index(&place, nest_axis->to);
        panel = 0;
    }
    if (axis == t->part_axis) {
        from = t->part_from;
        to = t->part_to;
    }
    if (panel) {
        var->limit = panel;
        outer = kvar_new(p, t->m->kernel, nest_axis->var->name, (KType){KBASE_INDEX, 1}, false);
        outer->multiple = panel;
        index[axis] = kexpr_binary(p, '+', kexpr_var(p, outer), kexpr_var(p, var));
    }
    bool prefetches = t->prefetches && axis == first_reduce_axis(t->nest) && is_around(t->nest, axis);
    if (prefetches && !panel)
        prefetch_at_turn(t, a, kexpr_var(p, var), dim_size(nest_axis->extent, p->module->batch_max), body);
    reduce_loops(t, a, axis + 1, index, body);
    KStmt *loop = kstmt_for(p, var, AXIS_SERIAL, from, panel ? kexpr_index(p, panel) : to, 1, body);
    if (panel) {
        KStmt *panels = kstmt_block(p);
        if (prefetches)
            prefetch_at_turn(t, a, kexpr_binary(p, '/', kexpr_var(p, outer), kexpr_index(p, panel)),
                             nest_axis->extent.n / panel, panels);
        kstmt_add(panels, loop);
        loop = kstmt_for(p, outer, AXIS_SERIAL, from, to, panel, panels);
    }
    kstmt_add(out, loop);
}

static void reduce_loops(Tiles *t, Accumulators *a, int axis, KExpr **index, KStmt *out) {
    if (axis == t->vector)
        axis++;
    if (axis < t->nest->axis_count && t->base[axis]) { /* walked through around the tile */
        index[axis] = t->base[axis];
        reduce_loops(t, a, axis + 1, index, out);
        return;
    }
    if (axis >= t->nest->axis_count) {
        if (t->vector >= 0 && t->nest->axes[t->vector].reduce)
            reduce_across(t, a, index, out);
        else
            reduce_body(t, a, index, NULL, out);
        return;
    }
    if (dim_equal(t->nest->axes[axis].extent, dim_static(1))) {
        index[axis] = kexpr_index(t->p, 0);
        reduce_loops(t, a, axis + 1, index, out);
    } else
        reduce_loop(t, a, axis, index, out);
}

static KExpr *named(Tiles *t, MapPlace *place, const char *name, KExpr *value) {
    KVar *var = kvar_new(t->p, t->m->kernel, name, value->type, false);
    kstmt_add(place->out, kstmt_let(t->p, var, value));
    return kexpr_var(t->p, var);
}

/* A pool takes in cell n: for a place, `best` is the largest value so far. */
static void take_cell(Tiles *t, MapPlace *place, const NestReduction *pool, int n, KExpr **best, KExpr **number) {
    KProgram *p = t->p;
    int lanes = t->vector >= 0 ? t->lanes : 1;
    KExpr *value = map_value(place, pool->expr), *here = as_lanes(p, kexpr_number(p, KBASE_I32, n), lanes);
    if (n == 0) {
        *best = value;
        *number = here;
        return;
    }
    if (pool->argument) {
        KExpr *better = named(t, place, "better", kexpr_fn(p, FN_gt, value, *best, NULL));
        *number = named(t, place, pool->result->name, kexpr_fn(p, FN_select, better, here, *number));
    }
    ScalarFn fn = pool->kind == REDUCE_SUM ? FN_add : pool->kind == REDUCE_MAX ? FN_max : FN_min;
    *best = named(t, place, "best", kexpr_fn(p, fn, value, *best, NULL));
}

/* The cells of a window, its pools, then the epilogue. */
static void finish_window(Tiles *t, Accumulators *a, int v, MapPlace *place) {
    const Nest *nest = t->nest;
    KExpr *best[2] = {NULL}, *number[2] = {NULL};
    for (int n = 0; n < sums(t); n++) {
        bind_cell(t, place, n);
        KExpr *sum = accumulated(t, a, &a->sum[n][v]);
        if (sum->kind == KE_LOAD && map_count_uses(nest->cell, nest->reductions[0].result) > 1)
            sum = named(t, place, nest->reductions[0].result->name, sum);
        map_bind(place, nest->reductions[0].result, sum);
        map_epilogue(place, nest->cell);
        for (int i = 0; i < nest->pool_count; i++)
            take_cell(t, place, &nest->pools[i], n, &best[i], &number[i]);
    }
    for (int i = 0; i < nest->pool_count; i++)
        map_bind(place, nest->pools[i].result, nest->pools[i].argument ? number[i] : best[i]);
    map_epilogue(place, nest->epilogue);
    t->failed = t->failed || place->failed;
}

/* The results of the reductions for one vector, then the epilogue. */
static void finish_vector(Tiles *t, Accumulators *a, int v, KStmt *outer, KStmt *body) {
    KProgram *p = t->p;
    bool across = t->vector >= 0 && t->nest->axes[t->vector].reduce;
    MapPlace place = place_at(t, a, v, outer, body);
    if (t->nest->cell_count) {
        finish_window(t, a, v, &place);
        return;
    }
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

static int64_t reduced_points(const Tiles *t) {
    int64_t points = 1;
    for (int i = t->nest->parallel_count; i < t->nest->axis_count; i++)
        points *= dim_size(t->nest->axes[i].extent, t->p->module->batch_max);
    return points;
}

/* Constants of an epilogue that live across a sum cost it registers: compilers spill its operands for them. */
static bool long_sum(const Tiles *t) {
    return t->vector >= 0 && reduced_points(t) >= LONG_SUM && all_rows(t) * t->tile_vectors * nest_cells(t->nest) >= 8;
}

/* ---- the epilogue of a tile between the products of the next one */
bool map_tile_rides(const Tiles *t) {
    const Nest *nest = t->nest;
    if (t->vector < 0 || nest->axes[t->vector].reduce || t->p->isa.registers < 32 || nest->reduction_count != 1 ||
        nest->reductions[0].argument || nest->cell_count || t->row < 0 || t->row2 >= 0 || t->rows < LEAST_RIDING_ROWS ||
        nest->axes[t->row].extent.batch || nest->axes[t->row].extent.n < 2 * t->rows || t->lanes_left)
        return false;
    int first = first_reduce_axis(nest);
    return first < nest->axis_count && reduced_points(t) >= (int64_t)RIDING_POINTS * t->rows &&
           !nest->axes[first].from && !panel_along(nest->reductions[0].expr, &nest->axes[first]) && long_sum(t) &&
           nest_epilogue_slots(nest) >= LONG_EPILOGUE;
}

void map_tile_waiting(Tiles *t, KStmt *out) {
    Dim rows = dim_static(t->rows);
    for (int v = 0; v < t->tile_vectors; v++) {
        const NestReduction *reduction = &t->nest->reductions[0];
        t->waiting[v] =
            kbuffer_local(t->p, t->m->kernel, SPACE_LOCAL, "waiting", reduction->result->type.base, 1, &rows);
        t->waiting[v]->lanes = t->lanes;
        kstmt_add(out, kstmt_alloc(t->p, t->waiting[v]));
    }
}

/* The accumulators that wait, as those of a tile. */
static Accumulators *waiting_sums(Tiles *t) {
    Accumulators *a = ARENA_NEW(t->p->arena, Accumulators);
    KType type = {t->nest->reductions[0].result->type.base, t->lanes};
    for (int v = 0; v < t->tile_vectors; v++)
        a->sum[0][v] = (Accumulator){.rows = t->waiting[v], .type = type};
    return a;
}

static void finish_row(Tiles *t, KVar *row, KStmt *out) {
    Accumulators *a = waiting_sums(t);
    a->row = row;
    for (int v = 0; v < t->tile_vectors; v++)
        finish_vector(t, a, v, out, out);
}

void map_tile_last(Tiles *t, KStmt *out) {
    KVar *row = kvar_new(t->p, t->m->kernel, "r", (KType){KBASE_INDEX, 1}, false);
    KStmt *body = kstmt_block(t->p);
    row->limit = t->rows;
    finish_row(t, row, body);
    kstmt_add(out, kstmt_for(t->p, row, AXIS_SERIAL, kexpr_index(t->p, 0), kexpr_index(t->p, t->rows), 1, body));
}

/* ---- what an epilogue touches comes from far, where it has left the cache since it was made: it is fetched row by row
 * during the sum */
static bool is_far(const KProgram *p, const KBuffer *b) {
    return b->space != SPACE_LOCAL && kbuffer_elements(b, p->module->batch_max) * kbase_bytes(b->base) >= FAR_BYTES;
}

/* Vectors of this row, in far memory. */
static bool is_prefetched(const Tiles *t, const KExpr *load, const KVar *row) {
    return load->kind == KE_LOAD && load->type.lanes > 1 && !load->load.stride && is_far(t->p, load->load.buffer) &&
           kexpr_uses(load, row);
}

static void add_prefetch(const Tiles *t, const KExpr *load, const KVar *row, KStmt *out) {
    bool known = false;
    for (const KStmt *s = out->block.first; s; s = s->next)
        known = known || (s->kind == KS_PREFETCH && kexpr_equal(s->prefetch, load));
    if (!known && is_prefetched(t, load, row))
        kstmt_add(out, kstmt_prefetch(t->p, (KExpr *)load));
}

static void prefetch_vectors(Tiles *t, KVar *row, const KStmt *epilogue, KStmt *out) {
    for (const KStmt *s = epilogue->block.first; s; s = s->next)
        if (s->kind == KS_LET)
            add_prefetch(t, s->let.value, row, out);
        else if (s->kind == KS_STORE && s->store.value->type.lanes > 1) {
            KExpr *place = kexpr_load(t->p, s->store.buffer, s->store.index, s->store.index_count);
            place->type.lanes = s->store.value->type.lanes;
            add_prefetch(t, place, row, out);
        }
}

static void prefetch_row(Tiles *t, Accumulators *a, KExpr *row, KStmt *out) {
    KStmt *epilogue = kstmt_block(t->p), *found = kstmt_block(t->p);
    bool named = row->kind == KE_VAR;
    KVar *at = named ? row->var : kvar_new(t->p, t->m->kernel, "far", (KType){KBASE_INDEX, 1}, false);
    at->limit = all_rows(t);
    a->row = at;
    for (int v = 0; v < t->tile_vectors; v++)
        finish_vector(t, a, v, epilogue, epilogue);
    a->row = NULL;
    map_forget(&a->loads, true);
    prefetch_vectors(t, at, epilogue, found);
    if (!found->block.first)
        return;
    if (!named)
        kstmt_add(out, kstmt_let(t->p, at, row));
    for (KStmt *s = found->block.first, *next; s; s = next) {
        next = s->next;
        s->next = NULL;
        kstmt_add(out, s);
    }
}

/* A part of the sum, then a row of the tile before; and so on. */
static void sum_with_rider(Tiles *t, Accumulators *a, KStmt *out) {
    KProgram *p = t->p;
    KExpr *index[NEST_MAX_AXES] = {NULL}, *rows = kexpr_index(p, t->rows), *base = t->base[t->row];
    KVar *row = kvar_new(p, t->m->kernel, "before", (KType){KBASE_INDEX, 1}, false);
    KStmt *piece = kstmt_block(p), *late = kstmt_block(p);
    row->limit = t->rows;
    t->part_axis = first_reduce_axis(t->nest);
    KExpr *end = kexpr_dim(p, t->nest->axes[t->part_axis].extent), *r = kexpr_var(p, row);
    t->part_from = kexpr_binary(p, '/', kexpr_binary(p, '*', end, r), rows);
    t->part_to = kexpr_binary(p, '/', kexpr_binary(p, '*', end, kexpr_binary(p, '+', r, kexpr_index(p, 1))), rows);
    prefetch_row(t, waiting_sums(t), r, piece);
    reduce_loops(t, a, t->nest->parallel_count, index, piece);
    t->part_axis = -1;
    t->base[t->row] = kexpr_binary(p, '-', base, rows);
    finish_row(t, row, late);
    t->base[t->row] = base;
    kstmt_add(piece, kstmt_if(p, kexpr_fn(p, FN_gt, base, kexpr_index(p, 0), NULL), late, NULL));
    kstmt_add(out, kstmt_for(p, row, AXIS_SERIAL, kexpr_index(p, 0), rows, 1, piece));
}

static void keep_sums(Tiles *t, Accumulators *a, KStmt *out) {
    Accumulators *kept = waiting_sums(t);
    KStmt *body = open_rows(t, a, out);
    kept->row = a->row;
    for (int v = 0; v < t->tile_vectors; v++)
        kstmt_add(body, set_accumulated(t, kept, &kept->sum[0][v], accumulated(t, a, &a->sum[0][v])));
    close_rows(t, a, out, body);
}

/* A few products, then a line of what comes next; and so on. */
static bool sum_with_prefetch(Tiles *t, Accumulators *a, KStmt *out) {
    KProgram *p = t->p;
    KExpr *index[NEST_MAX_AXES] = {NULL};
    int axis = first_reduce_axis(t->nest), pieces = 0;
    if (axis < t->nest->axis_count && !panel_along(t->nest->reductions[0].expr, &t->nest->axes[axis]))
        pieces = map_prefetch_pieces(t, axis);
    if (!pieces)
        return false;
    KVar *number = kvar_new(p, t->m->kernel, "piece", (KType){KBASE_INDEX, 1}, false);
    KStmt *piece = kstmt_block(p);
    KExpr *length = kexpr_index(p, t->nest->axes[axis].extent.n / pieces), *n = kexpr_var(p, number);
    number->limit = pieces;
    t->part_axis = axis;
    t->part_from = kexpr_binary(p, '*', n, length);
    t->part_to = kexpr_binary(p, '+', t->part_from, length);
    map_prefetch_piece(t, number, pieces, piece);
    reduce_loops(t, a, t->nest->parallel_count, index, piece);
    t->part_axis = -1;
    kstmt_add(out, kstmt_for(p, number, AXIS_SERIAL, kexpr_index(p, 0), kexpr_index(p, pieces), 1, piece));
    return true;
}

/* Are there rows to fetch, and turns of a loop to put that between? */
static bool prefetches(const Tiles *t) {
    int first = first_reduce_axis(t->nest);
    if (!long_sum(t) || t->nest->axes[t->vector].reduce || t->lanes_left || all_rows(t) == 1 ||
        first >= t->nest->axis_count)
        return false;
    const NestAxis *axis = &t->nest->axes[first];
    int64_t turns = dim_size(axis->extent, t->p->module->batch_max);
    for (int i = 0; i < t->nest->reduction_count; i++)
        if (t->nest->reductions[i].argument)
            return false;
    return !axis->from && (is_around(t->nest, first) || turns >= (int64_t)LEAST_PIECE * all_rows(t));
}

/* A part of the sum for each row of the tile. */
static void sum_in_pieces(Tiles *t, Accumulators *a, KStmt *out) {
    KProgram *p = t->p;
    KExpr *index[NEST_MAX_AXES] = {NULL}, *rows = kexpr_index(p, all_rows(t));
    KVar *piece = kvar_new(p, t->m->kernel, "piece", (KType){KBASE_INDEX, 1}, false);
    KStmt *body = kstmt_block(p), *found = kstmt_block(p);
    piece->limit = all_rows(t);
    KExpr *r = kexpr_var(p, piece);
    prefetch_row(t, a, r, found);
    if (!found->block.first) {
        reduce_loops(t, a, t->nest->parallel_count, index, out);
        return;
    }
    kstmt_add(body, found);
    t->part_axis = first_reduce_axis(t->nest);
    KExpr *end = kexpr_dim(p, t->nest->axes[t->part_axis].extent);
    t->part_from = kexpr_binary(p, '/', kexpr_binary(p, '*', end, r), rows);
    t->part_to = kexpr_binary(p, '/', kexpr_binary(p, '*', end, kexpr_binary(p, '+', r, kexpr_index(p, 1))), rows);
    reduce_loops(t, a, t->nest->parallel_count, index, body);
    t->part_axis = -1;
    kstmt_add(out, kstmt_for(p, piece, AXIS_SERIAL, kexpr_index(p, 0), rows, 1, body));
}

void map_tile_body(Tiles *t, KStmt *out) {
    Accumulators *a = ARENA_NEW(t->p->arena, Accumulators);
    KExpr *index[NEST_MAX_AXES] = {NULL};
    if (t->nest->reduction_count) {
        if (long_sum(t))
            kstmt_add(out, kstmt_forget(t->p));
        declare_accumulators(t, a, out);
        if (t->riding) {
            sum_with_rider(t, a, out);
            keep_sums(t, a, out);
            return;
        }
        bool fetched = sum_with_prefetch(t, a, out);
        t->prefetches = !fetched && prefetches(t);
        if (t->prefetches && !is_around(t->nest, first_reduce_axis(t->nest)))
            sum_in_pieces(t, a, out);
        else if (!fetched)
            reduce_loops(t, a, t->nest->parallel_count, index, out);
        t->prefetches = false;
    }
    finish(t, a, out);
}
