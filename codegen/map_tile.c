/* Register tiles: a nest as loops around a block of `rows` x `vectors` accumulators that are named vector variables.
 *
 * The vector axis was chosen by layout. The row axis is a parallel axis that the vector operand does not depend on:
 * each of its elements is broadcast to all vectors of the tile. Sizes follow from the exact extents and the number of
 * registers, so that no test is left in the loops; what does not divide gets a tile of its own. */
#include "codegen/map_tile.h"
#include "codegen/cost.h"
#include "codegen/tuning.h"

enum { NEAR_BYTES = 1 << 19 }; /* what stays in the cache of a core */
enum { IN_FLIGHT = 8 };        /* additions that are on their way at a time */
enum { EVEN_PARTS = 16 };      /* iterations that threads share almost evenly */

/* ---- choosing */
static bool depends(const KExpr *e, const KVar *var) {
    return kexpr_uses(e, var);
}

/* A load in e that depends on the vector axis and not on `var` is used by every row. */
static bool shares_vectors(const KExpr *e, const KVar *vector, const KVar *var) {
    switch (e->kind) {
    case KE_LOAD:
        return depends(e, vector) && !depends(e, var);
    case KE_FN:
        for (int i = 0; i < scalar_infos[e->fn.fn].arity; i++)
            if (shares_vectors(e->fn.args[i], vector, var))
                return true;
        return false;
    case KE_CAST:
        return shares_vectors(e->operand, vector, var);
    default:
        return false;
    }
}

static bool may_be_rows(const Tiles *t, int axis) {
    if (axis == t->vector || axis < t->m->row_axis || t->nest->axes[axis].reduce || !t->nest->reduction_count ||
        t->vector < 0 || nest_bounds_use(t->nest, axis) || nest_leads_to_piece(t->nest, axis))
        return false;
    for (int i = 0; i < t->nest->reduction_count; i++)
        if (!shares_vectors(t->nest->reductions[i].expr, t->nest->axes[t->vector].var, t->nest->axes[axis].var))
            return false;
    return true;
}

/* The axis of which a kernel over rows takes a block at a time. */
static bool is_in_block(const Tiles *t, int axis) {
    return axis == t->m->row_axis && t->m->rows_from;
}

static int64_t extent_at_most(const Tiles *t, int axis) {
    int64_t extent = dim_size(t->nest->axes[axis].extent, t->p->module->batch_max);
    return is_in_block(t, axis) && t->m->block_rows < extent ? t->m->block_rows : extent;
}

/* Rows that tiles touch beyond the whole batch: the last tile of the last block. */
static int rows_beyond(const Tiles *t, int axis) {
    int64_t all = dim_size(t->nest->axes[axis].extent, t->p->module->batch_max);
    int64_t last_block = (all - 1) % extent_at_most(t, axis) + 1;
    return (int)((last_block + t->rows - 1) / t->rows * t->rows - last_block);
}

/* Accumulators that fit beside operands. */
static int budget(const Tiles *t) {
    int all = (t->p->isa.registers >= 32 ? 28 : 12) - (t->nest->carried.nest ? MAX_VECTORS : 0);
    int sums = t->nest->reduction_count * nest_cells(t->nest);
    return sums > 1 ? all / sums : all;
}

static int choose_vectors(int64_t whole_vectors, int most) {
    for (int c = 2; c <= 4 && c <= most; c++)
        if (whole_vectors % c == 0)
            return c;
    return 1;
}

/* What the tiles along an axis cost, in accumulators that are added to: a few wait for the additions before. Rows
 * beyond a batch count, other rows that are left are a tile of their own. */
static int64_t cost_of_rows(Dim axis, int64_t extent, int64_t rows, int vectors) {
    int64_t rest = axis.batch && extent % rows ? rows : extent % rows;
    int64_t whole = rows * vectors < LEAST_FULL ? LEAST_FULL : rows * vectors;
    int64_t last = rest && rest * vectors < LEAST_FULL ? LEAST_FULL : rest * vectors;
    return extent / rows * whole + last;
}

/* Rows per tile: a divisor that fills enough accumulators, at most PREFERRED; else what costs least. */
static int choose_rows(Dim axis, int64_t extent, int vectors, int least_full, int most) {
    int limit = most / vectors, best = 0;
    if (limit > MAX_TILE)
        limit = MAX_TILE;
    for (int r = 1; r <= limit; r++)
        if (extent % r == 0 && r * vectors >= least_full && (r * vectors <= PREFERRED || !best))
            best = r;
    if (best || extent <= limit)
        return best ? best : (int)extent;
    best = 1;
    for (int r = 2; r <= limit; r++) {
        int64_t cost = cost_of_rows(axis, extent, r, vectors), least = cost_of_rows(axis, extent, best, vectors);
        if (cost < least || (cost == least && r * vectors <= PREFERRED))
            best = r;
    }
    return best;
}

/* Few rows have more vectors for each element that is broadcast. */
static void choose_rows_and_widen(Tiles *t) {
    int cells = nest_cells(t->nest);
    bool may_widen = cells == 1 && t->vectors == 2 && extent_at_most(t, t->vector) % (4 * t->lanes) == 0;
    int least_full = may_widen || t->p->isa.registers < 32 ? IN_FLIGHT : LEAST_FULL;
    t->rows = choose_rows(t->nest->axes[t->row].extent, extent_at_most(t, t->row), t->vectors * cells, least_full,
                          budget(t) * cells);
    if (may_widen && t->rows * 2 < LEAST_FULL && t->rows * 4 <= PREFERRED)
        t->vectors = 4;
}

/* Rows and vectors that were measured to be faster than those that the rules have chosen. */
static void ask_tuning(Tiles *t) {
    const NestAxis *lanes = &t->nest->axes[t->vector];
    int64_t rows = extent_at_most(t, t->row), vectors = (extent_at_most(t, t->vector) + t->lanes - 1) / t->lanes;
    bool blocks = is_in_block(t, t->row);
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
        int64_t extent = extent_at_most(t, axis);
        if (axis == t->vector || axis < t->m->row_axis || is_in_block(t, axis) || nest->axes[axis].extent.batch ||
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

static void choose_tile(Tiles *t) {
    const Nest *nest = t->nest;
    t->row = t->row2 = -1;
    t->rows = t->rows2 = t->vectors = 1;
    int cells = nest_cells(nest);
    bool reduces_lanes = t->vector >= 0 && nest->axes[t->vector].reduce;
    bool by_samples = nest->ordered && nest->parallel_count > 1 && nest->axes[0].extent.batch;
    if (t->vector >= 0 && !reduces_lanes && (nest->reduction_count || by_samples)) {
        int64_t extent = extent_at_most(t, t->vector), whole = extent / t->lanes;
        if (nest->axes[t->vector].extent.batch)
            t->vectors = cost_batch(t->p) > t->lanes ? 2 : 1; /* as buffers are padded */
        else if (whole < 4 && extent % t->lanes)
            t->vectors = (int)whole + 1; /* one panel, its last vector partial */
        else if (whole)
            t->vectors = choose_vectors(whole, budget(t));
    } else
        t->vectors = map_tile_beside(t);
    for (int axis = 0; axis < nest->parallel_count; axis++)
        if (may_be_rows(t, axis) && extent_at_most(t, axis) > 1 &&
            (t->row < 0 || extent_at_most(t, axis) > extent_at_most(t, t->row)))
            t->row = axis;
    if (t->row >= 0)
        choose_rows_and_widen(t);
    if (t->row >= 0 && cells == 1 && !reduces_lanes)
        ask_tuning(t);
    if (is_in_block(t, t->row)) /* the next block's rows belong to another thread */
        while (t->m->block_rows % t->rows && extent_at_most(t, t->row) == t->m->block_rows)
            t->rows--;
    if (t->row < 0)
        choose_spread(t);
    for (int axis = 0; axis < nest->parallel_count && t->row >= 0 && t->rows * t->vectors * cells < 8; axis++)
        if (axis != t->row && may_be_rows(t, axis) && !is_in_block(t, axis) && !nest->axes[axis].extent.batch &&
            extent_at_most(t, axis) > 1 && extent_at_most(t, axis) * t->rows * t->vectors <= budget(t) && t->row2 < 0) {
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

/* Sums that are added to memory at points in order: what they are added to is a block that stays in the cache while the
 * points are walked through, and so does what a point reads. */
static void choose_ordered_sums(Tiles *t, bool panels) {
    const Nest *nest = t->nest;
    for (int i = 0; i < nest->parallel_count && t->block_axis < 0; i++)
        if (i != t->row && i != t->row2 && i != t->vector && extent_at_most(t, i) > 1) {
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

/* Rows of samples outermost, if they are more even parts for threads than the first loop would be. */
static bool samples_share_better(const Tiles *t) {
    const Nest *nest = t->nest;
    if (!t->parallel || t->row < 0 || t->m->rows_from || !nest->axes[t->row].extent.batch)
        return false;
    for (int i = 0; i < nest->parallel_count; i++)
        if (i != t->row && i != t->row2 && i != t->vector && extent_at_most(t, i) > 1)
            return extent_at_most(t, i) < EVEN_PARTS && extent_at_most(t, i) * t->rows < extent_at_most(t, t->row);
    return false;
}

static void choose_order(Tiles *t) {
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
        else
            add_loop(t, LOOP_AXIS, i);
    }
    if (!panels || t->row < 0 || samples) {
        if (t->row >= 0 && !samples)
            add_loop(t, LOOP_ROWS, t->row);
        if (panels)
            add_loop(t, LOOP_PANELS, t->vector);
        return;
    }
    int64_t panel = (int64_t)t->vectors * t->lanes;
    int64_t panel_count = (extent_at_most(t, t->vector) + panel - 1) / panel;
    int64_t row_tiles = (extent_at_most(t, t->row) + t->rows - 1) / t->rows;
    bool panels_outside = (panel_count >= 4 || panel_count >= row_tiles) && !rows_come_from_far(t);
    add_loop(t, panels_outside ? LOOP_PANELS : LOOP_ROWS, panels_outside ? t->vector : t->row);
    add_loop(t, panels_outside ? LOOP_ROWS : LOOP_PANELS, panels_outside ? t->row : t->vector);
}

/* ---- loops around the tiles */
static void emit_loops(Tiles *t, int level, KStmt *out);

static KVar *loop_var(Tiles *t, int axis) {
    return kvar_new(t->p, t->m->kernel, t->nest->axes[axis].var->name, (KType){KBASE_INDEX, 1}, false);
}

static AxisKind kind_of(const Tiles *t, int level) {
    return t->parallel && level == 0 ? AXIS_PARALLEL : AXIS_SERIAL;
}

static KExpr *axis_from(const Tiles *t, int axis) {
    return is_in_block(t, axis) ? t->m->rows_from : kexpr_index(t->p, 0);
}
static KExpr *axis_to(const Tiles *t, int axis) {
    return is_in_block(t, axis) ? t->m->rows_to : kexpr_dim(t->p, t->nest->axes[axis].extent);
}

/* Where a loop of an ordered nest ends, by the axes around it. */
static KExpr *bound_here(Tiles *t, const KExpr *bound, KStmt *out) {
    MapLoads loads = {.count = 0};
    MapPlace place = {.program = t->p, .kernel = t->m->kernel, .nest = t->nest, .lanes = 1, .out = out, .outer = out};
    place.loads = &loads;
    place.rows_from = t->m->rows_from;
    place.row_axis = t->m->row_axis;
    for (int i = 0; i < t->nest->axis_count; i++)
        if (t->base[i])
            map_bind(&place, t->nest->axes[i].var, t->base[i]);
    return map_index(&place, bound);
}

enum { BLOCK = 16, FIRST_CACHE = 48 << 10 };

/* Elements of the axis whose sums a block is: what fits the first cache, and two blocks for threads at least. What the
 * points read comes from far once for each block. */
static int64_t block_of_sums(const Tiles *t, int axis) {
    int64_t all = extent_at_most(t, axis), bytes = 4, block = BLOCK;
    for (int i = 0; i < t->nest->parallel_count; i++)
        bytes *= i == axis ? 1 : extent_at_most(t, i);
    while (4 * block <= all && 2 * block * bytes <= FIRST_CACHE)
        block *= 2;
    return block;
}

static void loop_blocks(Tiles *t, int level, int axis, KStmt *out) {
    KProgram *p = t->p;
    KVar *var = t->packed ? t->block : loop_var(t, axis);
    KStmt *body = kstmt_block(p);
    KExpr *end = axis_to(t, axis);
    int64_t step = t->packed ? t->block_rows : block_of_sums(t, axis);
    var->multiple = step;
    t->block_from = kexpr_var(p, var);
    t->block_to = kexpr_binary(p, '+', t->block_from, kexpr_index(p, step));
    if (t->packed)
        map_tile_copy_block(t, body);
    if (t->nest->axes[axis].extent.batch || t->nest->axes[axis].extent.n % step)
        t->block_to = kexpr_binary(p, 'm', t->block_to, end);
    emit_loops(t, level + 1, body);
    kstmt_add(out, kstmt_for(p, var, kind_of(t, level), axis_from(t, axis), end, step, body));
}

static void loop_axis(Tiles *t, int level, int axis, KStmt *out) {
    KProgram *p = t->p;
    const NestAxis *nest_axis = &t->nest->axes[axis];
    KVar *var = loop_var(t, axis);
    KStmt *body = kstmt_block(p);
    KExpr *from = axis_from(t, axis), *to = axis_to(t, axis);
    if (nest_axis->from) {
        from = bound_here(t, nest_axis->from, out);
        to = bound_here(t, nest_axis->to, out);
    }
    if (axis == t->block_axis) {
        from = t->block_from;
        to = t->block_to;
    }
    t->base[axis] = kexpr_var(p, var);
    emit_loops(t, level + 1, body);
    kstmt_add(out, kstmt_for(p, var, kind_of(t, level), from, to, 1, body));
}

/* Samples on the lanes: the program's own memory is padded to whole vectors, what is the caller's is read in part. */
static void loop_batch_panels(Tiles *t, int level, int axis, KStmt *out) {
    KProgram *p = t->p;
    KVar *var = loop_var(t, axis);
    var->multiple = (int64_t)t->vectors * t->lanes;
    KStmt *body = kstmt_block(p);
    t->base[axis] = kexpr_var(p, var);
    t->tile_vectors = t->vectors;
    t->lanes_left = kexpr_binary(p, '-', axis_to(t, axis), t->base[axis]);
    emit_loops(t, level + 1, body);
    t->lanes_left = NULL;
    int64_t step = (int64_t)t->vectors * t->lanes;
    kstmt_add(out, kstmt_for(p, var, kind_of(t, level), axis_from(t, axis), axis_to(t, axis), step, body));
}

/* Panels that are stored, not computed. */
static void loop_outside(Tiles *t, int level, KExpr *from, KExpr *to, KStmt *out) {
    KProgram *p = t->p;
    const Nest *nest = t->nest;
    KVar *var = loop_var(t, t->vector);
    KStmt *body = kstmt_block(p);
    if (kexpr_equal(from, to))
        return;
    var->multiple = (int64_t)t->vectors * t->lanes;
    t->base[t->vector] = kexpr_var(p, var);
    t->nest = nest_outside(p, nest);
    emit_loops(t, level + 1, body);
    t->nest = nest;
    kstmt_add(out, kstmt_for(p, var, AXIS_SERIAL, from, to, var->multiple, body));
}

/* The loop over whole panels of a nest without sums: outside of the part that counts only constants are stored. */
static bool loop_part(Tiles *t, int level, KVar *var, KExpr *first, KExpr *last, KStmt *body, KStmt *out) {
    KProgram *p = t->p;
    KExpr *range[2] = {first, last};
    if (!t->nest->outside || t->nest->reduction_count || level + 1 < t->order_count || kind_of(t, level) != AXIS_SERIAL)
        return false;
    tile_narrow_vectors(t, var->multiple, range);
    loop_outside(t, level, first, range[0], out);
    kstmt_add(out, kstmt_for(p, var, AXIS_SERIAL, range[0], range[1], var->multiple, body));
    KExpr *by = kexpr_index(p, var->multiple);
    KExpr *end = kexpr_binary(p, '/', kexpr_binary(p, '+', range[1], kexpr_index(p, var->multiple - 1)), by);
    loop_outside(t, level, kexpr_binary(p, '*', end, by), last, out);
    return true;
}

static void loop_panels(Tiles *t, int level, int axis, KStmt *out) {
    KProgram *p = t->p;
    if (t->nest->axes[axis].extent.batch) {
        loop_batch_panels(t, level, axis, out);
        return;
    }
    int64_t extent = extent_at_most(t, axis), panel = (int64_t)t->vectors * t->lanes, end = panel_end(t),
            rest = extent - end;
    KExpr *partial = rest % t->lanes ? kexpr_index(p, rest % t->lanes) : NULL;
    int rest_vectors = (int)((rest + t->lanes - 1) / t->lanes);
    KExpr *first = axis_from(t, axis), *last = kexpr_binary(p, '+', first, kexpr_index(p, end));
    bool whole = end == panel && !rest && kind_of(t, level) == AXIS_SERIAL;
    if (end == 0 || whole) { /* a single panel */
        t->base[axis] = first;
        t->tile_vectors = whole ? t->vectors : rest_vectors;
        t->tile_count = partial;
        emit_loops(t, level + 1, out);
        return;
    }
    KVar *var = loop_var(t, axis);
    var->multiple = panel;
    KStmt *body = kstmt_block(p);
    t->base[axis] = kexpr_var(p, var);
    t->tile_vectors = t->vectors;
    t->tile_count = NULL;
    emit_loops(t, level + 1, body);
    bool done = loop_part(t, level, var, first, last, body, out);
    if (!rest) {
        if (!done)
            kstmt_add(out, kstmt_for(p, var, kind_of(t, level), first, last, panel, body));
        return;
    }
    KStmt *tail = kstmt_block(p);
    t->base[axis] = last;
    t->tile_vectors = rest_vectors;
    t->tile_count = partial;
    emit_loops(t, level + 1, tail);
    if (kind_of(t, level) == AXIS_SERIAL) {
        if (!done)
            kstmt_add(out, kstmt_for(p, var, AXIS_SERIAL, first, last, panel, body));
        kstmt_add(out, tail);
        return;
    }
    KStmt *either = kstmt_block(p); /* the rest is one more unit to share */
    kstmt_add(either, kstmt_if(p, kexpr_fn(p, FN_lt, kexpr_var(p, var), kexpr_index(p, end), NULL), body, tail));
    kstmt_add(out, kstmt_for(p, var, AXIS_PARALLEL, kexpr_index(p, 0), kexpr_index(p, end + panel), panel, either));
}

/* Tiles over the rows of the batch may reach beyond it (MapPlace.samples); other rows that are left get a tile of their
 * own. */
static void loop_rows(Tiles *t, int level, int axis, KStmt *out) {
    KProgram *p = t->p;
    bool batch = t->nest->axes[axis].extent.batch;
    int64_t extent = extent_at_most(t, axis), rest = batch ? 0 : extent % t->rows;
    KExpr *from = axis_from(t, axis), *to = axis_to(t, axis);
    if (t->packed) {
        extent = t->block_rows;
        from = t->block_from;
        to = t->block_to;
    }
    t->tile_rows = t->rows;
    t->row_from = from;
    if (!batch && extent == t->rows) {
        t->base[axis] = from;
        emit_loops(t, level + 1, out);
        return;
    }
    if (batch && rows_beyond(t, axis) > *t->m->slack)
        *t->m->slack = rows_beyond(t, axis);
    KVar *var = loop_var(t, axis);
    var->multiple = is_in_block(t, axis) && t->m->block_rows % t->rows ? 0 : t->rows;
    KStmt *body = kstmt_block(p), *tail = kstmt_block(p);
    KExpr *whole = t->packed ? to : kexpr_index(p, extent - rest);
    if (level + 1 == t->order_count && kind_of(t, level) == AXIS_SERIAL && map_tile_rides(t)) {
        map_tile_waiting(t, out);
        t->riding = true;
    }
    t->base[axis] = kexpr_var(p, var);
    if (!t->riding)
        tile_fetch_next_place(t, level, out, body);
    emit_loops(t, level + 1, body);
    if (t->riding) {
        t->riding = false;
        kstmt_add(out, kstmt_for(p, var, AXIS_SERIAL, from, whole, t->rows, body));
        t->base[axis] = kexpr_binary(p, '-', whole, kexpr_index(p, t->rows));
        map_tile_last(t, out);
        body = NULL;
    }
    if (!rest) {
        if (body)
            kstmt_add(out, kstmt_for(p, var, kind_of(t, level), from, to, t->rows, body));
        return;
    }
    t->base[axis] = whole;
    t->tile_rows = (int)rest;
    emit_loops(t, level + 1, tail);
    if (kind_of(t, level) == AXIS_SERIAL) {
        if (body)
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
    if (t->nest->turned && level == t->turn_level)
        map_turn_piece(t->m, t->nest, t->base, out);
    if (level == t->order_count) {
        map_tile_body(t, out);
        return;
    }
    int axis = t->order_axis[level];
    if (t->order[level] == LOOP_BLOCKS)
        loop_blocks(t, level, axis, out);
    else if (t->order[level] == LOOP_AXIS)
        loop_axis(t, level, axis, out);
    else if (t->order[level] == LOOP_PANELS)
        loop_panels(t, level, axis, out);
    else
        loop_rows(t, level, axis, out);
}

static bool try_tiles(const MapNest *m, const Nest *nest, bool parallel, int vector, KStmt *out) {
    Tiles t = {.m = m, .nest = nest, .p = m->program, .vector = vector, .parallel = parallel, .part_axis = -1};
    t.block_axis = -1;
    t.lanes = vector >= 0 ? m->program->isa.lanes : 1;
    for (int i = 0; i < m->row_axis; i++)
        t.base[i] = m->fixed[i];
    choose_tile(&t);
    choose_order(&t);
    map_tile_pack(&t);
    for (int i = 0; i < t.order_count; i++)
        if (t.order[i] == LOOP_AXIS && nest_leads_to_piece(nest, t.order_axis[i]))
            t.turn_level = i + 1;
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
    if (map_turn(m, nest, parallel, out) || map_gemm(m, nest, parallel, out))
        return true;
    KStmt *block = kstmt_block(m->program);
    if (nest->vector_axis >= 0 && try_tiles(m, nest, parallel, nest->vector_axis, block)) {
        splice(out, block);
        return true;
    }
    block = kstmt_block(m->program);
    if (!try_tiles(m, nest, parallel, -1, block)) {
        diag_internal(m->program->diag, nest->op ? nest->op->span : (Span){0}, "mapping failed for %s",
                      m->kernel->name);
        return false;
    }
    splice(out, block);
    return true;
}
