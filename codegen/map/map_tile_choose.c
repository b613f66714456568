/* The choice of a tile and of the loops around it.
 *
 * The vector axis was chosen by layout. The row axis is a parallel axis that the vector operand does not depend on:
 * each of its elements is broadcast to all vectors of the tile. Sizes follow from the exact extents and the number of
 * registers, so that no test is left in the loops; what does not divide gets a tile of its own. */
#include "codegen/plan/cost.h"
#include "codegen/map/map_tile.h"
#include "codegen/plan/tuning.h"

enum { NEAR_BYTES = 1 << 19 }; /* what stays in the cache of a core */
enum { IN_FLIGHT = 8 };        /* additions that are on their way at a time */
enum { FIRST_CACHE = 48 << 10 };
enum { MANY_VECTORS = 5 }; /* of which one may be left */
enum { SQUARE = 4 };       /* rows of each of two axes */
enum { EVEN_PARTS = 16 };  /* iterations that threads share almost evenly */

/* ---- rows and vectors */
static bool depends(const KExpr *e, const KVar *var) {
    return kexpr_uses(e, var);
}

/* A load in e that depends on the vector axis and is the same at all places of `var` that are a period apart is used by
 * every row. */
static bool shares_vectors(const KExpr *e, const KVar *vector, const KVar *var, int64_t period) {
    switch (e->kind) {
    case KE_LOAD:
        return depends(e, vector) && !nest_uses_beyond_rest(e, var, period);
    case KE_FN:
        for (int i = 0; i < scalar_infos[e->fn.fn].arity; i++)
            if (shares_vectors(e->fn.args[i], vector, var, period))
                return true;
        return false;
    case KE_CAST:
        return shares_vectors(e->operand, vector, var, period);
    default:
        return false;
    }
}

static bool all_share_vectors(const Tiles *t, int axis, int64_t period) {
    const Nest *nest = t->nest;
    for (int i = 0; i < nest->reduction_count; i++)
        if (!shares_vectors(nest->reductions[i].expr, nest->axes[t->vector].var, nest->axes[axis].var, period))
            return false;
    return true;
}

/* How far apart rows of a tile may lie along the axis; 0: they are no rows. */
static int64_t row_period(const Tiles *t, int axis) {
    const Nest *nest = t->nest;
    if (axis == t->vector || axis < t->m->row_axis || nest->axes[axis].reduce || !nest->reduction_count ||
        t->vector < 0 || nest_leads_to_piece(nest, axis))
        return 0;
    if (!nest_bounds_use(nest, axis) && all_share_vectors(t, axis, 1))
        return 1;
    int64_t period = tile_is_in_block(t, axis) ? 0 : nest_period(nest, axis);
    return period > 1 && all_share_vectors(t, axis, period) ? period : 0;
}

static bool may_be_rows(const Tiles *t, int axis) {
    return row_period(t, axis) == 1;
}

/* The axis of which a kernel over rows takes a block at a time. */
bool tile_is_in_block(const Tiles *t, int axis) {
    return axis == t->m->row_axis && t->m->rows_from;
}

int64_t tile_extent_at_most(const Tiles *t, int axis) {
    int64_t extent = dim_size(t->nest->axes[axis].extent, t->p->module->batch_max);
    return tile_is_in_block(t, axis) && t->m->block_rows < extent ? t->m->block_rows : extent;
}

/* Rows that tiles touch beyond the whole batch: the last tile of the last block. */
int tile_rows_beyond(const Tiles *t, int axis) {
    int64_t all = dim_size(t->nest->axes[axis].extent, t->p->module->batch_max);
    int64_t last_block = (all - 1) % tile_extent_at_most(t, axis) + 1;
    return (int)((last_block + t->rows - 1) / t->rows * t->rows - last_block);
}

/* Accumulators that fit beside operands. */
static int budget(const Tiles *t) {
    int all = (t->p->isa.registers >= 32 ? 28 : 12) - (t->nest->carried.nest ? MAX_VECTORS : 0);
    int sums = t->nest->reduction_count * nest_cells(t->nest);
    return sums > 1 ? all / sums : all;
}

/* A divisor; of many vectors two, with one left. */
static int choose_vectors(int64_t whole_vectors, int most) {
    for (int c = 2; c <= 4 && c <= most; c++)
        if (whole_vectors % c == 0)
            return c;
    return whole_vectors >= MANY_VECTORS && most >= 2 ? 2 : 1;
}

/* What the tiles along an axis cost, in accumulators that are added to: a few wait for the additions before. Rows
 * beyond a batch count, other rows that are left are a tile of their own. */
static int64_t cost_of_rows(Dim axis, int64_t extent, int64_t rows, int vectors) {
    int64_t rest = axis.batch && extent % rows ? rows : extent % rows;
    int64_t whole = rows * vectors < LEAST_FULL ? LEAST_FULL : rows * vectors;
    int64_t last = rest && rest * vectors < LEAST_FULL ? LEAST_FULL : rest * vectors;
    return extent / rows * whole + last;
}

/* Rows per tile: a divisor that fills enough accumulators, at most the preferred number; else what costs least. */
static int choose_rows(Dim axis, int64_t extent, int vectors, int least_full, int preferred, int most) {
    int limit = most / vectors, best = 0;
    if (limit > MAX_TILE)
        limit = MAX_TILE;
    for (int r = 1; r <= limit; r++)
        if (extent % r == 0 && r * vectors >= least_full && (r * vectors <= preferred || !best))
            best = r;
    if (best || extent <= limit)
        return best ? best : (int)extent;
    best = 1;
    for (int r = 2; r <= limit; r++) {
        int64_t cost = cost_of_rows(axis, extent, r, vectors), least = cost_of_rows(axis, extent, best, vectors);
        if (cost < least || (cost == least && r * vectors <= preferred))
            best = r;
    }
    return best;
}

/* The vectors that a tile reads are more than the first cache holds, and no stream, for they are those of every other
 * tap: each should serve many rows. */
static bool vectors_come_from_far(const Tiles *t) {
    int64_t bytes = (int64_t)t->vectors * t->lanes * kbase_bytes(KBASE_F32);
    for (int i = t->nest->parallel_count; i < t->nest->axis_count; i++)
        bytes *= tile_extent_at_most(t, i);
    return t->period > 1 && bytes > FIRST_CACHE;
}

/* Few rows have more vectors for each element that is broadcast. */
static void choose_rows_and_widen(Tiles *t) {
    int cells = nest_cells(t->nest);
    bool may_widen = cells == 1 && t->vectors == 2 && tile_extent_at_most(t, t->vector) % (4 * t->lanes) == 0;
    int least_full = may_widen || t->p->isa.registers < 32 ? IN_FLIGHT : LEAST_FULL;
    int64_t places = (tile_extent_at_most(t, t->row) + t->period - 1) / t->period;
    t->rows = choose_rows(t->nest->axes[t->row].extent, places, t->vectors * cells, least_full,
                          vectors_come_from_far(t) ? budget(t) : PREFERRED, budget(t) * cells);
    if (may_widen && t->rows * 2 < LEAST_FULL && t->rows * 4 <= PREFERRED)
        t->vectors = 4;
}

/* Rows and vectors that were measured to be faster than those that the rules have chosen. */
static void ask_tuning(Tiles *t) {
    const NestAxis *lanes = &t->nest->axes[t->vector];
    int64_t rows = tile_extent_at_most(t, t->row) / t->period,
            vectors = (tile_extent_at_most(t, t->vector) + t->lanes - 1) / t->lanes;
    bool blocks = tile_is_in_block(t, t->row);
    if (!t->p->tuning)
        return;
    TileSeen seen = {.kernel = t->m->kernel, .accumulators = budget(t)};
    seen.choice = (TileChoice){tuning_form(t->p, t->nest, t->vector, blocks ? t->m->block_rows : 0), t->rows,
                               t->vectors, 1, false};
    seen.most_rows = rows < MAX_TILE ? (int)rows : MAX_TILE;
    seen.most_vectors = lanes->extent.batch ? t->vectors : vectors < MAX_VECTORS ? (int)vectors : MAX_VECTORS;
    tuning_ask(t->p, &seen);
    t->rows = seen.choice.rows;
    t->vectors = seen.choice.vectors;
}

/* No row shares the vectors of another one: but they may share what is broadcast to all lanes. */
static bool shares_scalars(const KExpr *e, const KVar *vector, const KVar *var) {
    if (e->kind != KE_FN || e->fn.fn != FN_mul)
        return false;
    for (int i = 0; i < 2; i++)
        if (e->fn.args[i]->kind == KE_LOAD && !depends(e->fn.args[i], vector) && !depends(e->fn.args[i], var) &&
            e->fn.args[1 - i]->kind == KE_LOAD && depends(e->fn.args[1 - i], vector))
            return true;
    return false;
}

/* Rows that share a number, from one axis or two that are taken whole. */
static void choose_spread(Tiles *t) {
    const Nest *nest = t->nest;
    int *axes[] = {&t->row, &t->row2}, *extents[] = {&t->rows, &t->rows2}, found = 0;
    if (t->vector < 0 || nest->axes[t->vector].reduce || nest->reduction_count != 1)
        return;
    for (int axis = 0; axis < nest->parallel_count && found < 2; axis++) {
        int64_t extent = tile_extent_at_most(t, axis);
        if (axis == t->vector || axis < t->m->row_axis || tile_is_in_block(t, axis) || nest->axes[axis].extent.batch ||
            nest_bounds_use(nest, axis) || nest_leads_to_piece(nest, axis) || extent < 2 ||
            !shares_scalars(nest->reductions[0].expr, nest->axes[t->vector].var, nest->axes[axis].var))
            continue;
        if (extent * t->rows > budget(t))
            continue;
        *axes[found] = axis;
        *extents[found++] = (int)extent;
    }
    while (found && t->rows * t->rows2 * t->vectors > budget(t))
        t->vectors--;
}

/* Does one operand move along both axes? */
static bool moves_along(const KExpr *e, const Nest *nest, const int axes[2]) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_LOAD)
        return depends(e, nest->axes[axes[0]].var) && depends(e, nest->axes[axes[1]].var);
    bool found = false;
    for (int i = 0, count = kexpr_operands(e, operands); i < count && !found; i++)
        found = moves_along(operands[i], nest, axes);
    return found;
}

/* No axis is of a few results: some of two axes, so that a tile loads half as many vectors as it has products. */
static void choose_square_of_lanes(Tiles *t) {
    int axes[2] = {-1, -1};
    for (int axis = 0; axis < t->nest->parallel_count; axis++)
        if (may_be_rows(t, axis) && tile_extent_at_most(t, axis) >= SQUARE) {
            bool divides = tile_extent_at_most(t, axis) % SQUARE == 0 && !t->nest->axes[axis].extent.batch &&
                           !tile_is_in_block(t, axis);
            int which = divides && (axes[1] < 0 || tile_extent_at_most(t, axis) > tile_extent_at_most(t, axes[1]));
            if (which)
                axes[0] = axes[0] < 0 ? axes[1] : axes[0];
            axes[which] = axis;
        }
    if (axes[0] < 0 || axes[1] < 0 || moves_along(t->nest->reductions[0].expr, t->nest, axes))
        return;
    t->row = axes[0];
    t->row2 = axes[1];
    t->rows = t->rows2 = SQUARE;
}

/* A sum on the lanes loads a vector of each operand: an axis of a few results is taken whole, and as many rows of the
 * longest other one as fill a tile, so that every vector serves several products. */
static void choose_rows_of_lanes(Tiles *t) {
    const Nest *nest = t->nest;
    int whole = -1, along = t->period > 1 ? t->row : -1;
    for (int axis = 0; axis < nest->parallel_count; axis++) {
        int64_t extent = tile_extent_at_most(t, axis);
        if (!may_be_rows(t, axis) || extent < 2)
            continue;
        bool few = extent <= PREFERRED / 2 && !nest->axes[axis].extent.batch && !tile_is_in_block(t, axis);
        if (few && (whole < 0 || extent > tile_extent_at_most(t, whole)))
            whole = axis;
    }
    for (int axis = 0; axis < nest->parallel_count && whole >= 0 && t->period == 1; axis++)
        if (axis != whole && may_be_rows(t, axis) && tile_extent_at_most(t, axis) > 1 &&
            (along < 0 || tile_extent_at_most(t, axis) > tile_extent_at_most(t, along)))
            along = axis;
    if (whole < 0 && t->period == 1)
        choose_square_of_lanes(t);
    if (along < 0 || whole < 0)
        return;
    t->row = along;
    t->row2 = whole;
    t->rows2 = (int)tile_extent_at_most(t, whole);
    int64_t places = (tile_extent_at_most(t, along) + t->period - 1) / t->period;
    t->rows = choose_rows(nest->axes[along].extent, places, t->rows2, LEAST_FULL, PREFERRED, budget(t));
}

/* Places of an axis that are a period apart lie near each other in memory, samples do not: they are the rows, even
 * where the additions of so few of them wait for each other. */
static void choose_periodic_rows(Tiles *t) {
    for (int axis = 0; axis < t->nest->parallel_count; axis++) {
        int64_t period = row_period(t, axis), places = period ? tile_extent_at_most(t, axis) / period : 0;
        if (period > 1 && places > 1 && (t->row < 0 || t->period > 1 || 4 * places * t->vectors >= 3 * IN_FLIGHT) &&
            (t->period == 1 || places >= tile_extent_at_most(t, t->row) / t->period)) {
            t->row = axis;
            t->period = period;
        }
    }
}

/* The innermost memory axis that moves along an axis of the nest; -1: none. */
static int innermost_along(const KExpr *load, const KVar *var) {
    int found = -1;
    for (int i = 0; i < load->load.buffer->rank; i++)
        found = depends(load->load.index[load->load.buffer->order[i]], var) ? i : found;
    return found;
}

/* Does an operand move along both axes, and along the second by less? */
static bool lies_nearer(const KExpr *e, const NestAxis *far, const NestAxis *near) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_LOAD)
        return depends(e, far->var) && innermost_along(e, near->var) > innermost_along(e, far->var);
    bool found = false;
    for (int i = 0, count = kexpr_operands(e, operands); i < count && !found; i++)
        found = lies_nearer(operands[i], far, near);
    return found;
}

/* Rows that are samples lie far apart: places of one sample, if they fill tiles. */
static int nearer_rows(const Tiles *t) {
    const Nest *nest = t->nest;
    int nearest = t->row, cells = nest_cells(nest);
    if (t->row < 0 || !nest->axes[t->row].extent.batch || t->m->rows_from || nest->axes[t->vector].reduce ||
        nest->reduction_count != 1 || nest->ordered)
        return t->row;
    for (int axis = 0; axis < nest->parallel_count; axis++) {
        int64_t extent = tile_extent_at_most(t, axis);
        if (axis == t->row || nest->axes[axis].extent.batch || !may_be_rows(t, axis) || extent < 2 ||
            !lies_nearer(nest->reductions[0].expr, &nest->axes[t->row], &nest->axes[axis]))
            continue;
        int rows =
            choose_rows(nest->axes[axis].extent, extent, t->vectors * cells, LEAST_FULL, PREFERRED, budget(t) * cells);
        if (extent % rows == 0 && rows * t->vectors * cells >= LEAST_FULL)
            nearest = axis;
    }
    return nearest;
}

void tile_choose(Tiles *t) {
    const Nest *nest = t->nest;
    t->row = t->row2 = -1;
    t->rows = t->rows2 = t->vectors = 1;
    t->period = 1;
    int cells = nest_cells(nest);
    bool reduces_lanes = t->vector >= 0 && nest->axes[t->vector].reduce;
    bool by_samples = nest->ordered && nest->parallel_count > 1 && nest->axes[0].extent.batch;
    if (t->vector >= 0 && !reduces_lanes && (nest->reduction_count || by_samples)) {
        int64_t extent = tile_extent_at_most(t, t->vector), whole = extent / t->lanes;
        if (nest->axes[t->vector].extent.batch)
            t->vectors = cost_batch(t->p) > t->lanes ? 2 : 1; /* as buffers are padded */
        else if (whole < 4 && extent % t->lanes)
            t->vectors = (int)whole + 1; /* one panel, its last vector partial */
        else if (whole)
            t->vectors = choose_vectors(whole, budget(t));
    } else
        t->vectors = map_tile_beside(t);
    for (int axis = 0; axis < nest->parallel_count; axis++)
        if (may_be_rows(t, axis) && tile_extent_at_most(t, axis) > 1 &&
            (t->row < 0 || tile_extent_at_most(t, axis) > tile_extent_at_most(t, t->row)))
            t->row = axis;
    choose_periodic_rows(t);
    if (t->period == 1)
        t->row = nearer_rows(t);
    if (t->row >= 0)
        choose_rows_and_widen(t);
    if (t->row >= 0 && reduces_lanes && nest->reduction_count == 1 && cells == 1)
        choose_rows_of_lanes(t);
    if (t->row >= 0 && cells == 1 && !reduces_lanes)
        ask_tuning(t);
    if (tile_is_in_block(t, t->row)) /* what is behind is another thread's, or behind the end of a local buffer */
        while ((tile_extent_at_most(t, t->row) + t->rows - 1) / t->rows * t->rows > t->m->block_rows)
            t->rows--;
    if (t->row < 0)
        choose_spread(t);
    for (int axis = 0; axis < nest->parallel_count && t->row >= 0 && t->rows * t->vectors * cells < 8; axis++)
        if (axis != t->row && may_be_rows(t, axis) && !tile_is_in_block(t, axis) && !nest->axes[axis].extent.batch &&
            tile_extent_at_most(t, axis) > 1 && tile_extent_at_most(t, axis) * t->rows * t->vectors <= budget(t) &&
            t->row2 < 0) {
            t->row2 = axis;
            t->rows2 = (int)tile_extent_at_most(t, axis);
        }
}

/* ---- the order of the loops */
static void add_loop(Tiles *t, LoopKind kind, int axis) {
    t->order[t->order_count] = kind;
    t->order_axis[t->order_count++] = axis;
}

/* Sums that are added to memory at points in order: what they are added to is a block that stays in the cache while the
 * points are walked through, and so does what a point reads. */
static void choose_ordered_sums(Tiles *t, bool panels) {
    const Nest *nest = t->nest;
    for (int i = 0; i < nest->parallel_count && t->block_axis < 0; i++)
        if (i != t->row && i != t->row2 && i != t->vector && tile_extent_at_most(t, i) > 1) {
            t->block_axis = i;
            add_loop(t, LOOP_BLOCKS, i);
        }
    for (int i = nest->parallel_count; i < nest->sum_from; i++)
        add_loop(t, LOOP_AXIS, i);
    for (int i = 0; i < nest->parallel_count; i++)
        if (i != t->row && i != t->row2 && !(panels && i == t->vector))
            add_loop(t, LOOP_AXIS, i);
    if (t->row >= 0)
        add_loop(t, LOOP_ROWS, t->row);
    if (panels)
        add_loop(t, LOOP_PANELS, t->vector);
    t->parallel = t->parallel && t->block_axis >= 0;
}

/* Around the loops that run in order: all others, samples or the vectors outermost, to be shared by threads. */
static void choose_ordered(Tiles *t) {
    const Nest *nest = t->nest;
    bool panels = t->vector >= 0 && !nest->axes[t->vector].reduce;
    if (nest->reduction_count) {
        choose_ordered_sums(t, panels);
        return;
    }
    bool samples = nest->parallel_count > 0 && nest->axes[0].extent.batch && t->vector != 0;
    if (samples)
        add_loop(t, LOOP_AXIS, 0);
    if (panels)
        add_loop(t, LOOP_PANELS, t->vector);
    for (int i = samples; i < nest->axis_count; i++)
        if (!panels || i != t->vector)
            add_loop(t, LOOP_AXIS, i);
    t->parallel = t->parallel && nest->parallel_count > 0;
}

/* Bytes of what the sum loads that depends on this axis. */
static int64_t loaded_bytes(const Tiles *t, const KExpr *e, const KVar *along) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_LOAD)
        return depends(e, along)
                   ? kbuffer_elements(e->load.buffer, t->p->module->batch_max) * kbase_bytes(e->load.buffer->base)
                   : 0;
    int64_t bytes = 0;
    int count = kexpr_operands(e, operands);
    for (int i = 0; i < count; i++)
        bytes += loaded_bytes(t, operands[i], along);
    return bytes;
}

/* What rows read would come from far again for every panel, while what panels read stays near. */
static bool rows_come_from_far(const Tiles *t) {
    const Nest *nest = t->nest;
    const KExpr *e = nest->reductions[0].expr;
    return nest->reduction_count == 1 && loaded_bytes(t, e, nest->axes[t->row].var) > NEAR_BYTES &&
           loaded_bytes(t, e, nest->axes[t->vector].var) <= NEAR_BYTES;
}

/* Tiles along the rows follow each other: then an epilogue that is long enough rides, and what the next tile reads from
 * far is fetched ahead. */
static bool would_ride(const Tiles *t) {
    Tiles whole = *t;
    whole.tile_rows = t->rows;
    whole.tile_vectors = t->vectors;
    return map_tile_rides(&whole);
}

/* Rows of samples outermost, if they are more even parts for threads than the first loop would be. */
static bool samples_share_better(const Tiles *t) {
    const Nest *nest = t->nest;
    if (!t->parallel || t->row < 0 || t->m->rows_from || !nest->axes[t->row].extent.batch)
        return false;
    for (int i = 0; i < nest->parallel_count; i++)
        if (i != t->row && i != t->row2 && i != t->vector && tile_extent_at_most(t, i) > 1)
            return tile_extent_at_most(t, i) < EVEN_PARTS &&
                   tile_extent_at_most(t, i) * t->rows < tile_extent_at_most(t, t->row);
    return false;
}

void tile_choose_order(Tiles *t) {
    const Nest *nest = t->nest;
    if (nest->ordered) {
        choose_ordered(t);
        return;
    }
    bool panels = t->vector >= 0 && !nest->axes[t->vector].reduce, samples = samples_share_better(t);
    if (samples)
        add_loop(t, LOOP_ROWS, t->row);
    for (int i = 0; i < nest->parallel_count; i++) {
        if (i == t->row || i == t->row2 || i < t->m->row_axis || (panels && i == t->vector))
            continue;
        if (dim_equal(nest->axes[i].extent, dim_static(1)))
            t->base[i] = kexpr_index(t->p, 0);
        else if (tile_is_in_block(t, i) && t->m->block_rows == 1)
            t->base[i] = t->m->rows_from;
        else
            add_loop(t, LOOP_AXIS, i);
    }
    if (!panels || t->row < 0 || samples) {
        if (t->row >= 0 && !samples)
            add_loop(t, LOOP_ROWS, t->row);
        if (panels)
            add_loop(t, LOOP_PANELS, t->vector);
        if (t->row2 >= 0 && t->rows2 < tile_extent_at_most(t, t->row2))
            add_loop(t, LOOP_AXIS, t->row2);
        return;
    }
    int64_t panel = (int64_t)t->vectors * t->lanes;
    int64_t panel_count = (tile_extent_at_most(t, t->vector) + panel - 1) / panel;
    int64_t row_tiles = (tile_extent_at_most(t, t->row) + t->rows - 1) / t->rows;
    bool panels_outside = (panel_count >= 4 || panel_count >= row_tiles) && (!rows_come_from_far(t) || would_ride(t));
    add_loop(t, panels_outside ? LOOP_PANELS : LOOP_ROWS, panels_outside ? t->vector : t->row);
    add_loop(t, panels_outside ? LOOP_ROWS : LOOP_PANELS, panels_outside ? t->row : t->vector);
}
