/* Register tiles: a nest as loops around a block of `rows` x `vectors` accumulators that are named vector variables.
 * Needs what map_tile_choose.c chose; the tile itself is written by map_tile_body.c. */
#include "codegen/map/map_tile.h"

/* Whole vectors in panels, and what is left of the vector axis. */
static int64_t panel_end(const Tiles *t) {
    int64_t extent = tile_extent_at_most(t, t->vector), panel = (int64_t)t->vectors * t->lanes;
    if (extent < panel)
        return 0;
    return extent / panel * panel;
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
    return tile_is_in_block(t, axis) ? t->m->rows_from : kexpr_index(t->p, 0);
}
static KExpr *axis_to(const Tiles *t, int axis) {
    return tile_is_in_block(t, axis) ? t->m->rows_to : kexpr_dim(t->p, t->nest->axes[axis].extent);
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
    int64_t all = tile_extent_at_most(t, axis), bytes = 4, block = BLOCK;
    for (int i = 0; i < t->nest->parallel_count; i++)
        bytes *= i == axis ? 1 : tile_extent_at_most(t, i);
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
    int64_t step = axis == t->row2 ? t->rows2 : 1;
    var->multiple = step > 1 ? step : 0;
    t->base[axis] = kexpr_var(p, var);
    emit_loops(t, level + 1, body);
    kstmt_add(out, kstmt_for(p, var, kind_of(t, level), from, to, step, body));
}

/* Samples on the lanes: the program's own memory is padded to whole vectors, what is the caller's is read in part.
 * Where samples are no innermost axis, there is room for the first of each vector, so that its place exists. */
static void loop_batch_panels(Tiles *t, int level, int axis, KStmt *out) {
    KProgram *p = t->p;
    KVar *var = loop_var(t, axis);
    int64_t all = dim_size(t->nest->axes[axis].extent, p->module->batch_max), panel = (int64_t)t->vectors * t->lanes;
    int64_t last_vector = (all - 1) / panel * panel + panel - t->lanes;
    if (last_vector + 1 - all > *t->m->slack)
        *t->m->slack = (int)(last_vector + 1 - all);
    var->multiple = panel;
    KStmt *body = kstmt_block(p);
    t->base[axis] = kexpr_var(p, var);
    t->tile_vectors = t->vectors;
    t->lanes_left = kexpr_binary(p, '-', axis_to(t, axis), t->base[axis]);
    emit_loops(t, level + 1, body);
    t->lanes_left = NULL;
    kstmt_add(out, kstmt_for(p, var, kind_of(t, level), axis_from(t, axis), axis_to(t, axis), panel, body));
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
    int64_t extent = tile_extent_at_most(t, axis), panel = (int64_t)t->vectors * t->lanes, end = panel_end(t),
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

/* Tiles along the `count` places that begin with this one, a period apart. */
static void loop_places(Tiles *t, int level, int axis, KExpr *first, int64_t count, KStmt *out) {
    KProgram *p = t->p;
    int64_t rest = count % t->rows, whole = count - rest;
    t->tile_rows = t->rows;
    t->base[axis] = first;
    if (whole == t->rows)
        emit_loops(t, level + 1, out);
    else if (whole) {
        KVar *var = loop_var(t, axis);
        KStmt *body = kstmt_block(p);
        var->multiple = t->rows;
        t->base[axis] = kexpr_binary(p, '+', first, kexpr_binary(p, '*', kexpr_var(p, var), kexpr_index(p, t->period)));
        emit_loops(t, level + 1, body);
        kstmt_add(out, kstmt_for(p, var, AXIS_SERIAL, kexpr_index(p, 0), kexpr_index(p, whole), t->rows, body));
    }
    if (!rest)
        return;
    t->tile_rows = (int)rest;
    t->base[axis] = kexpr_binary(p, '+', first, kexpr_index(p, whole * t->period));
    emit_loops(t, level + 1, out);
}

/* Rows that are a period apart: the places with one rest after those with another. The first rests have one place more,
 * if the period does not divide the extent. */
static void loop_rests(Tiles *t, int level, int axis, KStmt *out) {
    KProgram *p = t->p;
    int64_t extent = t->nest->axes[axis].extent.n, more = extent % t->period;
    const int64_t ends[] = {0, more, extent < t->period ? more : t->period};
    for (int i = 0; i < 2; i++) {
        if (ends[i] == ends[i + 1])
            continue;
        KVar *rest = loop_var(t, axis);
        KStmt *body = kstmt_block(p);
        bool single = ends[i] + 1 == ends[i + 1];
        rest->limit = ends[i + 1];
        loop_places(t, level, axis, single ? kexpr_index(p, ends[i]) : kexpr_var(p, rest),
                    extent / t->period + (i == 0), single ? out : body);
        if (!single)
            kstmt_add(out, kstmt_for(p, rest, more ? AXIS_SERIAL : kind_of(t, level), kexpr_index(p, ends[i]),
                                     kexpr_index(p, ends[i + 1]), 1, body));
    }
}

/* Tiles over the rows of the batch may reach beyond it (MapPlace.samples); other rows that are left get a tile of their
 * own. */
static void loop_rows(Tiles *t, int level, int axis, KStmt *out) {
    KProgram *p = t->p;
    bool batch = t->nest->axes[axis].extent.batch;
    int64_t extent = tile_extent_at_most(t, axis), rest = batch ? 0 : extent % t->rows;
    KExpr *from = axis_from(t, axis), *to = axis_to(t, axis);
    if (t->period > 1) {
        loop_rests(t, level, axis, out);
        return;
    }
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
    if (batch && tile_rows_beyond(t, axis) > *t->m->slack)
        *t->m->slack = tile_rows_beyond(t, axis);
    KVar *var = loop_var(t, axis);
    var->multiple = tile_is_in_block(t, axis) && t->m->block_rows % t->rows ? 0 : t->rows;
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
    tile_choose(&t);
    tile_choose_order(&t);
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
    if (map_turn(m, nest, parallel, out) || map_edges(m, nest, parallel, out) || map_gemm(m, nest, parallel, out))
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
