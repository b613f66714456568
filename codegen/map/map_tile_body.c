/* The statements of one register tile: its accumulators, what one place of the sum adds to them, the epilogue. Needs
 * the tile at t->base (codegen/map/map_tile.c); leaves its statements in a block. Rows are an unrolled loop: what does
 * not depend on the row is loaded outside it; nothing invariant lives across the sum, whose loops are map_tile_sum.c's.
 */
#include "codegen/map/map_tile_parts.h"
#include <math.h>

static double identity(ReduceKind kind) {
    return kind == REDUCE_SUM ? 0 : kind == REDUCE_MAX ? -(double)INFINITY : (double)INFINITY;
}

/* Sums of a row and vector: of each reduction, or of each cell of a window. */
static int sums(const Tiles *t) {
    return t->nest->cell_count ? nest_cells(t->nest) : t->nest->reduction_count;
}

static const NestReduction *reduction_of(const Tiles *t, int sum) {
    return &t->nest->reductions[t->nest->cell_count ? 0 : sum];
}

int tile_all_rows(const Tiles *t) {
    return t->tile_rows * t->rows2;
}

KStmt *tile_open_rows(Tiles *t, Accumulators *a, KStmt *out) {
    if (tile_all_rows(t) == 1) {
        a->row = NULL;
        return out;
    }
    a->row = kvar_new(t->p, t->m->kernel, "r", (KType){KBASE_INDEX, 1}, false);
    a->row->limit = tile_all_rows(t);
    return kstmt_block(t->p);
}

void tile_close_rows(Tiles *t, Accumulators *a, KStmt *out, KStmt *body) {
    KProgram *p = t->p;
    if (a->row && body->block.first)
        kstmt_add(out, kstmt_for(p, a->row, AXIS_UNROLL, kexpr_index(p, 0), kexpr_index(p, tile_all_rows(t)), 1, body));
    map_forget(&a->loads, false);
}

KExpr *tile_accumulated(Tiles *t, const Accumulators *a, const Accumulator *of) {
    if (of->var)
        return kexpr_var(t->p, of->var);
    KExpr *index[] = {kexpr_var(t->p, a->row), kexpr_index(t->p, 0)};
    KExpr *load = kexpr_load(t->p, of->rows, index, of->type.lanes > 1 ? 2 : 1);
    load->type = of->type;
    return load;
}

KStmt *tile_set_accumulated(Tiles *t, const Accumulators *a, const Accumulator *of, KExpr *value) {
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
    if (axis == t->vector && t->beside)
        offset = kexpr_binary(p, '*', kexpr_var(p, a->row), kexpr_index(p, t->lanes));
    else if (axis == t->vector && !t->nest->axes[axis].reduce)
        offset = kexpr_index(p, (int64_t)vector * t->lanes);
    else if (a->row && (axis == t->row || axis == t->row2)) {
        bool row_inside = t->vector >= 0 && t->nest->axes[t->vector].reduce; /* fewer of it stay in registers */
        KExpr *inside = kexpr_index(p, row_inside ? t->tile_rows : t->rows2);
        offset = kexpr_binary(p, (axis == t->row) == row_inside ? '%' : '/', kexpr_var(p, a->row), inside);
        if (axis == t->row)
            offset = kexpr_binary(p, '*', offset, kexpr_index(p, t->period));
    }
    return kexpr_binary(p, '+', t->base[axis], offset);
}

MapPlace tile_place_at(const Tiles *t, Accumulators *a, int vector, KStmt *outer, KStmt *out) {
    KProgram *p = t->p;
    MapPlace place = {.program = p, .kernel = t->m->kernel, .nest = t->nest, .lanes = t->lanes, .out = out};
    place.outer = outer;
    place.row = a->row;
    place.loads = &a->loads;
    place.rows_from = t->m->rows_from;
    place.row_axis = t->m->row_axis;
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
    if (tile_all_rows(t) == 1) {
        of.var = kvar_new(t->p, t->m->kernel, name, of.type, true);
        return of;
    }
    Dim rows = dim_static(tile_all_rows(t));
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
    kstmt_add(out, of->var ? kstmt_let(t->p, of->var, start) : tile_set_accumulated(t, a, of, start));
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
    KStmt *body = tile_open_rows(t, a, out);
    for (int r = 0; r < sums(t); r++)
        for (int v = 0; v < t->tile_vectors; v++) {
            start_at(t, a, &a->sum[r][v], identity(reduction_of(t, r)->kind), body);
            if (reduction_of(t, r)->argument)
                start_at(t, a, &a->place[r][v], 0, body);
        }
    tile_close_rows(t, a, out, body);
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
    KExpr *best = tile_accumulated(t, a, &a->sum[r][v]), *better = kexpr_fn(p, FN_gt, value, best, NULL);
    if (guard)
        better = kexpr_fn(p, FN_and, guard, better, NULL);
    better = as_lanes(p, better, lanes);
    KVar *test = kvar_new(p, t->m->kernel, "better", better->type, false);
    kstmt_add(place->out, kstmt_let(p, test, better));
    KExpr *number = as_lanes(p, reduced_place(t, place), lanes), *is_better = kexpr_var(p, test);
    KExpr *old = tile_accumulated(t, a, &a->place[r][v]);
    kstmt_add(place->out, tile_set_accumulated(t, a, &a->place[r][v], kexpr_fn(p, FN_select, is_better, number, old)));
    value = kexpr_fn(p, FN_select, is_better, as_lanes(p, value, lanes), best);
    kstmt_add(place->out, tile_set_accumulated(t, a, &a->sum[r][v], value));
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
    value = kexpr_fn(p, fn, value, tile_accumulated(t, a, &a->sum[r][v]), NULL);
    kstmt_add(place->out, tile_set_accumulated(t, a, &a->sum[r][v], value));
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
        map_bind(place, t->nest->reductions[r].result, tile_accumulated(t, a, &a->sum[r][0]));
    for (const KStmt *s = t->nest->each->block.first; s; s = s->next)
        map_store(place, s);
}

static void reduce_body(Tiles *t, Accumulators *a, KExpr *const *reduce_index, KExpr *count, KStmt *out) {
    map_forget(&a->loads, true);
    tile_carry(t, a, reduce_index, out);
    KStmt *body = tile_open_rows(t, a, out);
    for (int v = 0; v < t->tile_vectors; v++) {
        MapPlace place = tile_place_at(t, a, v, out, body);
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
    tile_close_rows(t, a, out, body);
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
        KExpr *range[2] = {kexpr_index(p, 0), whole};
        tile_narrow_vectors(t, t->lanes, range);
        kstmt_add(out, kstmt_for(p, var, AXIS_SERIAL, range[0], range[1], t->lanes, body));
    }
    if (constant && whole_value == end_value)
        return;
    KExpr *rest = kexpr_binary(p, '-', end, whole);
    KStmt *body = kstmt_block(p);
    index[t->vector] = whole;
    reduce_body(t, a, index, rest, body);
    kstmt_add(out, constant ? body : kstmt_if(p, kexpr_fn(p, FN_gt, rest, kexpr_index(p, 0), NULL), body, NULL));
}

void tile_accumulate(Tiles *t, Accumulators *a, KExpr **index, KStmt *out) {
    if (t->vector >= 0 && t->nest->axes[t->vector].reduce)
        reduce_across(t, a, index, out);
    else
        reduce_body(t, a, index, NULL, out);
}

/* ---- the epilogue */
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
        KExpr *sum = tile_accumulated(t, a, &a->sum[n][v]);
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

void tile_finish_vector(Tiles *t, Accumulators *a, int v, KStmt *outer, KStmt *body) {
    KProgram *p = t->p;
    bool across = t->vector >= 0 && t->nest->axes[t->vector].reduce;
    MapPlace place = tile_place_at(t, a, v, outer, body);
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
        KExpr *value = tile_accumulated(t, a, reduction->argument ? &a->place[r][v] : &a->sum[r][v]);
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
    KStmt *body = tile_open_rows(t, a, out);
    for (int v = 0; v < t->tile_vectors; v++)
        tile_finish_vector(t, a, v, out, body);
    tile_close_rows(t, a, out, body);
}

/* The sum, if anything of the tile lies in the part that counts, and the epilogue; where only constants are stored
 * outside, neither. */
static void sum_and_finish(Tiles *t, Accumulators *a, KStmt *out) {
    KExpr *meets = tile_meets_part(t);
    KStmt *inside = meets ? kstmt_block(t->p) : out, *outside = meets ? kstmt_block(t->p) : NULL;
    const Nest *nest = t->nest;
    bool apart = meets && nest->outside;
    tile_sum(t, a, inside);
    if (meets)
        tile_prefetch_below(t, a, outside);
    if (apart) {
        finish(t, a, inside);
        t->nest = nest_outside(t->p, nest);
        finish(t, ARENA_NEW(t->p->arena, Accumulators), outside);
        t->nest = nest;
    }
    if (meets)
        kstmt_add(out, kstmt_if(t->p, meets, inside, outside));
    if (!apart)
        finish(t, a, out);
}

void map_tile_body(Tiles *t, KStmt *out) {
    Accumulators *a = ARENA_NEW(t->p->arena, Accumulators);
    if (!t->nest->reduction_count) {
        if (t->vectors > 1 && map_tile_beside(t) == t->tile_vectors)
            map_tile_body_beside(t, out);
        else
            finish(t, a, out);
        return;
    }
    if (tile_long_sum(t))
        kstmt_add(out, kstmt_forget(t->p));
    declare_accumulators(t, a, out);
    tile_carry_start(t, a, out);
    if (t->riding)
        tile_sum_with_rider(t, a, out);
    else
        sum_and_finish(t, a, out);
    tile_carry_finish(t, a, out);
}
