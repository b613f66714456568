/* The loops of a tile's sum and what is fetched between its products: what the tile's own epilogue touches, or what the
 * step of a recurrence needs next (chosen in map_prefetch.c). Needs declared accumulators; leaves the sums in them. */
#include "codegen/map/map_tile_parts.h"

enum { LONG_SUM = 24 };
enum { FAR_BYTES = 1 << 16 };                    /* a buffer that does not stay near */
enum { FAR_PRODUCTS = 1 << 10 };                 /* of vectors, while a line comes from memory */
enum { LEAST_PIECE = 4, LEAST_BATCH_PIECE = 8 }; /* turns of a loop between prefetches */

int64_t tile_reduced_points(const Tiles *t) {
    int64_t points = 1;
    for (int i = t->nest->parallel_count; i < t->nest->axis_count; i++)
        points *= dim_size(t->nest->axes[i].extent, t->p->module->batch_max);
    return points;
}

bool tile_long_sum(const Tiles *t) {
    return t->vector >= 0 && tile_reduced_points(t) >= LONG_SUM &&
           tile_all_rows(t) * t->tile_vectors * nest_cells(t->nest) >= 8;
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

int tile_part_axis(const Nest *nest) {
    int axis = first_reduce_axis(nest);
    bool whole = axis >= nest->axis_count || nest->axes[axis].from;
    return whole || panel_along(nest->reductions[0].expr, &nest->axes[axis]) ? -1 : axis;
}

/* Is there no loop over an axis behind this one? */
static bool is_last(const Nest *nest, int axis) {
    for (int i = axis + 1; i < nest->axis_count; i++)
        if (!dim_equal(nest->axes[i].extent, dim_static(1)))
            return false;
    return true;
}

/* Does the loop over this axis of a sum stand around another one? */
static bool is_around(const Nest *nest, int axis) {
    return !is_last(nest, axis) || panel_along(nest->reductions[0].expr, &nest->axes[axis]) > 0;
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

/* What the next kernel, one over rows, reads or writes at the places at which it reads b: it lies alike. */
typedef struct {
    const Tiles *t;
    const KBuffer *made;
    KExpr *const *index; /* at which the next kernel reads it; NULL: it does not */
    const KStmt *store;
    const KVar *row;
    KStmt *out;
} Beside;

static bool lies_alike(const KBuffer *a, const KBuffer *b) {
    bool alike = a->space == b->space && a->base == b->base && a->rank == b->rank && a->block == b->block &&
                 a->block_axis == b->block_axis && a->pad == b->pad && !a->alias && !b->alias;
    for (int i = 0; alike && i < a->rank; i++)
        alike = a->order[i] == b->order[i] && dim_equal(a->dims[i], b->dims[i]);
    return alike;
}

static void find_made(void *context, const KExpr *e) {
    Beside *b = context;
    if (e->kind == KE_LOAD && e->load.buffer == b->made)
        b->index = e->load.index;
}

static void fetch_beside(Beside *b, KBuffer *other, KExpr *const *index) {
    if (other == b->made || !lies_alike(other, b->made))
        return;
    for (int i = 0; i < other->rank; i++)
        if (!kexpr_equal(index[i], b->index[i]))
            return;
    KExpr *place = kexpr_load(b->t->p, other, b->store->store.index, b->store->store.index_count);
    place->type.lanes = b->store->store.value->type.lanes;
    add_prefetch(b->t, place, b->row, b->out);
}

static void beside_load(void *context, const KExpr *e) {
    if (e->kind == KE_LOAD)
        fetch_beside(context, e->load.buffer, e->load.index);
}

static void beside_store(void *context, const KStmt *s) {
    if (s->kind == KS_STORE)
        fetch_beside(context, s->store.buffer, s->store.index);
}

/* What the next kernel takes with the rows that this one makes. */
static void prefetch_beside(const Tiles *t, const KStmt *store, const KVar *row, KStmt *out) {
    Beside b = {t, store->store.buffer, NULL, store, row, out};
    for (int k = 0; k < t->m->next_count && !b.index; k++) {
        const KKernel *next = t->m->next[k];
        for (int i = 0; next->row_axes > 1 && i < next->nest_count; i++) {
            nest_visit(next->nests[i], &(KVisitor){NULL, find_made, &b, NULL});
            if (b.index)
                nest_visit(next->nests[i], &(KVisitor){beside_store, beside_load, &b, NULL});
        }
    }
}

static void prefetch_vectors(Tiles *t, KVar *row, const KStmt *epilogue, KStmt *out) {
    for (const KStmt *s = epilogue->block.first; s; s = s->next)
        if (s->kind == KS_LET)
            add_prefetch(t, s->let.value, row, out);
        else if (s->kind == KS_STORE && s->store.value->type.lanes > 1) {
            KExpr *place = kexpr_load(t->p, s->store.buffer, s->store.index, s->store.index_count);
            place->type.lanes = s->store.value->type.lanes;
            add_prefetch(t, place, row, out);
            prefetch_beside(t, s, row, out);
        }
}

void tile_prefetch_row(Tiles *t, Accumulators *a, KExpr *row, KStmt *out) {
    KStmt *epilogue = kstmt_block(t->p), *found = kstmt_block(t->p);
    KVar *at = kvar_new(t->p, t->m->kernel, "row", (KType){KBASE_INDEX, 1}, false);
    at->limit = tile_all_rows(t);
    a->row = at;
    for (int v = 0; v < t->tile_vectors; v++)
        tile_finish_vector(t, a, v, epilogue, epilogue);
    a->row = NULL;
    map_forget(&a->loads, true);
    prefetch_vectors(t, at, epilogue, found);
    for (const KStmt *s = found->block.first; s; s = s->next)
        kstmt_add(out, kstmt_prefetch(t->p, kexpr_substitute(t->p, s->prefetch, &at, &row, 1)));
}

/* At each turn of the outer loop of a sum, its share of what the epilogue will read and write. */
static void prefetch_at_turn(Tiles *t, Accumulators *a, KExpr *turn, int64_t turns, KStmt *out) {
    KProgram *p = t->p;
    int64_t rows = tile_all_rows(t), share = (rows + turns - 1) / turns;
    KExpr *first = rows % turns == 0
                       ? kexpr_binary(p, '*', turn, kexpr_index(p, share))
                       : kexpr_binary(p, '/', kexpr_binary(p, '*', turn, kexpr_index(p, rows)), kexpr_index(p, turns));
    for (int64_t i = 0; i < share; i++) {
        KExpr *row = kexpr_binary(p, '+', first, kexpr_index(p, i));
        tile_prefetch_row(t, a, rows % turns && share > 1 ? kexpr_binary(p, 'm', row, kexpr_index(p, rows - 1)) : row,
                          out);
    }
}

/* ---- of a triangle only the part that meets the tile */
static int axis_of(const Nest *nest, const KVar *var) {
    int axis = 0;
    while (nest->axes[axis].var != var)
        axis++;
    return axis;
}

static KExpr *first_of(const Tiles *t, const KVar *var) {
    return t->base[axis_of(t->nest, var)];
}

static KExpr *last_of(const Tiles *t, const KVar *var) {
    int axis = axis_of(t->nest, var);
    int64_t length = axis == t->row      ? t->tile_rows
                     : axis == t->row2   ? t->rows2
                     : axis == t->vector ? (int64_t)t->tile_vectors * t->lanes
                                         : 1;
    int64_t extent = t->nest->axes[axis].extent.n;
    KExpr *last = kexpr_binary(t->p, '+', t->base[axis], kexpr_index(t->p, length - 1));
    return extent % length ? kexpr_binary(t->p, 'm', last, kexpr_index(t->p, extent - 1)) : last;
}

/* Narrows the range of a reduce axis to what adds more than zeros to some row or lane of the tile. */
static void narrow(const Tiles *t, int axis, KExpr *range[2]) {
    KProgram *p = t->p;
    const KTriangle *part = &t->nest->part;
    const KVar *var = t->nest->axes[axis].var;
    if (part->below == var && first_of(t, part->above)) {
        KExpr *end = kexpr_binary(p, '+', last_of(t, part->above), kexpr_index(p, part->distance + 1));
        int64_t most = t->nest->axes[axis_of(t->nest, part->above)].extent.n + part->distance;
        range[1] = most <= t->nest->axes[axis].extent.n ? end : kexpr_binary(p, 'm', range[1], end);
    } else if (part->above == var && first_of(t, part->below)) {
        KExpr *start = kexpr_binary(p, '-', first_of(t, part->below), kexpr_index(p, part->distance));
        range[0] = part->distance <= 0 ? start : kexpr_binary(p, 'M', range[0], start);
    }
}

void tile_narrow_vectors(const Tiles *t, int64_t length, KExpr *range[2]) {
    KProgram *p = t->p;
    KExpr *by = kexpr_index(p, length), *last = range[1];
    if (!t->nest->part.above)
        return;
    narrow(t, t->vector, range);
    range[0] = kexpr_binary(p, '*', kexpr_binary(p, '/', range[0], by), by);
    if (t->nest->axes[t->vector].extent.n % length)
        range[1] = kexpr_binary(p, 'm', range[1], last);
}

KExpr *tile_meets_part(const Tiles *t) {
    KProgram *p = t->p;
    const KTriangle *part = &t->nest->part;
    if (!part->above || !first_of(t, part->above) || !first_of(t, part->below))
        return NULL;
    KExpr *end = kexpr_binary(p, '+', last_of(t, part->above), kexpr_index(p, part->distance));
    return kexpr_fn(p, FN_ge, end, first_of(t, part->below), NULL);
}

/* ---- the loops */
static void reduce_loops(Tiles *, Accumulators *, int axis, KExpr **index, KStmt *out);

static KVar *loop_var(Tiles *t, int axis) {
    return kvar_new(t->p, t->m->kernel, t->nest->axes[axis].var->name, (KType){KBASE_INDEX, 1}, false);
}

/* Are rows fetched at the turns of the loop over this axis? */
static bool prefetches_along(const Tiles *t, int axis) {
    return t->prefetches && axis == first_reduce_axis(t->nest) && !t->nest->axes[axis].from && is_around(t->nest, axis);
}

/* Or, where that has few turns or none, a row before each part of the loop over this axis? Rows that are a period apart
 * are no stream that the processor foresees. */
static bool prefetches_in_parts(const Tiles *t, int axis) {
    const NestAxis *first = &t->nest->axes[first_reduce_axis(t->nest)], *of = &t->nest->axes[axis];
    return t->period > 1 && first->from && is_last(t->nest, axis) && !of->from && !of->extent.batch &&
           of->extent.n >= tile_all_rows(t);
}

/* Panels that an operand is cut in along the axis, and the places in them. */
static void reduce_panels(Tiles *t, Accumulators *a, int axis, int64_t panel, KExpr **index, KStmt *out) {
    KProgram *p = t->p;
    const Dim *extent = &t->nest->axes[axis].extent;
    KVar *place = loop_var(t, axis), *first = loop_var(t, axis);
    KStmt *body = kstmt_block(p), *panels = kstmt_block(p);
    KExpr *zero = kexpr_index(p, 0), *length = kexpr_index(p, panel);
    place->limit = panel;
    first->multiple = panel;
    index[axis] = kexpr_binary(p, '+', kexpr_var(p, first), kexpr_var(p, place));
    if (is_last(t->nest, axis))
        tile_fetch_next_panel(t, axis, first, place, index, panels, body);
    reduce_loops(t, a, axis + 1, index, body);
    tile_fetch_next_vectors(t, axis, first, panel, panels);
    if (prefetches_along(t, axis))
        prefetch_at_turn(t, a, kexpr_binary(p, '/', kexpr_var(p, first), length), extent->n / panel, panels);
    kstmt_add(panels, kstmt_for(p, place, AXIS_SERIAL, zero, length, 1, body));
    KExpr *range[2] = {zero, kexpr_dim(p, *extent)};
    narrow(t, axis, range);
    range[0] = kexpr_binary(p, '*', kexpr_binary(p, '/', range[0], length), length);
    kstmt_add(out, kstmt_for(p, first, AXIS_SERIAL, range[0], range[1], panel, panels));
}

/* Where the loop over an axis begins and ends: a range of the axis' own, or the part that is summed at this time. */
static void find_range(Tiles *t, Accumulators *a, int axis, KExpr **index, KExpr *range[2], KStmt *out) {
    const NestAxis *of = &t->nest->axes[axis];
    range[0] = kexpr_index(t->p, 0);
    range[1] = kexpr_dim(t->p, of->extent);
    if (of->from) {
        MapPlace place = tile_place_at(t, a, 0, out, out);
        for (int i = t->nest->parallel_count; i < axis; i++)
            if (index[i])
                map_bind(&place, t->nest->axes[i].var, index[i]);
        range[0] = map_index(&place, of->from);
        range[1] = map_index(&place, of->to);
    }
    if (axis == t->part_axis) {
        range[0] = t->part_from;
        range[1] = t->part_to;
    } else if (!of->from)
        narrow(t, axis, range);
}

/* The loop over an axis in as many parts as the tile has rows, each with the prefetches for a row before it. */
static bool reduce_in_parts(Tiles *t, Accumulators *a, int axis, KExpr **index, KStmt *out) {
    KProgram *p = t->p;
    KExpr *rows = kexpr_index(p, tile_all_rows(t)), *length = kexpr_dim(p, t->nest->axes[axis].extent);
    KVar *part = kvar_new(p, t->m->kernel, "piece", (KType){KBASE_INDEX, 1}, false), *var = loop_var(t, axis);
    KStmt *body = kstmt_block(p), *loop = kstmt_block(p);
    part->limit = tile_all_rows(t);
    if (!t->prefetches || !prefetches_in_parts(t, axis))
        return false;
    tile_prefetch_row(t, a, kexpr_var(p, part), body);
    if (!body->block.first)
        return false;
    KExpr *ends[2] = {kexpr_var(p, part), kexpr_binary(p, '+', kexpr_var(p, part), kexpr_index(p, 1))};
    for (int i = 0; i < 2; i++)
        ends[i] = kexpr_binary(p, '/', kexpr_binary(p, '*', ends[i], length), rows);
    index[axis] = kexpr_var(p, var);
    reduce_loops(t, a, axis + 1, index, loop);
    kstmt_add(body, kstmt_for(p, var, AXIS_SERIAL, ends[0], ends[1], 1, loop));
    kstmt_add(out, kstmt_for(p, part, AXIS_SERIAL, kexpr_index(p, 0), rows, 1, body));
    return true;
}

static void reduce_loop(Tiles *t, Accumulators *a, int axis, KExpr **index, KStmt *out) {
    KProgram *p = t->p;
    const NestAxis *of = &t->nest->axes[axis];
    int64_t panel = of->from ? 0 : panel_along(t->nest->reductions[0].expr, of);
    if (panel) {
        reduce_panels(t, a, axis, panel, index, out);
        return;
    }
    if (reduce_in_parts(t, a, axis, index, out))
        return;
    KVar *var = loop_var(t, axis);
    KStmt *body = kstmt_block(p);
    KExpr *range[2];
    find_range(t, a, axis, index, range, out);
    index[axis] = kexpr_var(p, var);
    if (prefetches_along(t, axis))
        prefetch_at_turn(t, a, index[axis], dim_size(of->extent, p->module->batch_max), body);
    if (is_last(t->nest, axis) && !of->from)
        tile_fetch_next_tile(t, axis, index, body);
    reduce_loops(t, a, axis + 1, index, body);
    kstmt_add(out, kstmt_for(p, var, AXIS_SERIAL, range[0], range[1], 1, body));
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
        tile_accumulate(t, a, index, out);
        return;
    }
    if (dim_equal(t->nest->axes[axis].extent, dim_static(1)) && !t->nest->axes[axis].from) {
        index[axis] = kexpr_index(t->p, 0);
        reduce_loops(t, a, axis + 1, index, out);
    } else
        reduce_loop(t, a, axis, index, out);
}

/* ---- the sum in parts */
static void sum_range(Tiles *t, Accumulators *a, int axis, KExpr *from, KExpr *to, KStmt *out) {
    KExpr *index[NEST_MAX_AXES] = {NULL};
    t->part_axis = axis;
    t->part_from = from;
    t->part_to = to;
    reduce_loops(t, a, t->nest->parallel_count, index, out);
    t->part_axis = -1;
}

void tile_sum_part(Tiles *t, Accumulators *a, KExpr *piece, KExpr *pieces, KStmt *out) {
    KProgram *p = t->p;
    int axis = first_reduce_axis(t->nest);
    KExpr *end = kexpr_dim(p, t->nest->axes[axis].extent), *next = kexpr_binary(p, '+', piece, kexpr_index(p, 1));
    KExpr *from = kexpr_binary(p, '/', kexpr_binary(p, '*', end, piece), pieces);
    sum_range(t, a, axis, from, kexpr_binary(p, '/', kexpr_binary(p, '*', end, next), pieces), out);
}

static void sum_whole(Tiles *t, Accumulators *a, KStmt *out) {
    KExpr *index[NEST_MAX_AXES] = {NULL};
    reduce_loops(t, a, t->nest->parallel_count, index, out);
}

/* A few products, then a line of what a recurrence needs next; and so on. */
static bool sum_with_prefetch(Tiles *t, Accumulators *a, KStmt *out) {
    KProgram *p = t->p;
    int axis = tile_part_axis(t->nest), pieces = axis >= 0 ? map_prefetch_pieces(t, axis) : 0;
    if (!pieces)
        return false;
    if (pieces == 1) {
        map_prefetch_piece(t, kexpr_index(p, 0), 1, out);
        sum_whole(t, a, out);
        return true;
    }
    KVar *number = kvar_new(p, t->m->kernel, "piece", (KType){KBASE_INDEX, 1}, false);
    KStmt *piece = kstmt_block(p);
    KExpr *length = kexpr_index(p, t->nest->axes[axis].extent.n / pieces);
    KExpr *from = kexpr_binary(p, '*', kexpr_var(p, number), length);
    number->limit = pieces;
    map_prefetch_piece(t, kexpr_var(p, number), pieces, piece);
    sum_range(t, a, axis, from, kexpr_binary(p, '+', from, length), piece);
    kstmt_add(out, kstmt_for(p, number, AXIS_SERIAL, kexpr_index(p, 0), kexpr_index(p, pieces), 1, piece));
    return true;
}

/* Are there rows to fetch, and turns of a loop to put that between? */
static bool prefetches(const Tiles *t) {
    int first = first_reduce_axis(t->nest);
    if (!tile_long_sum(t) || t->nest->axes[t->vector].reduce || t->lanes_left || tile_all_rows(t) == 1 ||
        first >= t->nest->axis_count)
        return false;
    const NestAxis *axis = &t->nest->axes[first];
    int64_t turns = dim_size(axis->extent, t->p->module->batch_max);
    for (int i = 0; i < t->nest->reduction_count; i++)
        if (t->nest->reductions[i].argument)
            return false;
    int64_t least = axis->extent.batch ? LEAST_BATCH_PIECE : LEAST_PIECE;
    if (axis->from)
        return prefetches_in_parts(t, t->nest->axis_count - 1);
    return is_around(t->nest, first) || turns >= least * tile_all_rows(t);
}

/* Of so many equal parts of the sum those that are more than zeros. */
static void narrow_pieces(const Tiles *t, int64_t pieces, KExpr *range[2]) {
    KProgram *p = t->p;
    int axis = first_reduce_axis(t->nest);
    int64_t extent = t->nest->axes[axis].extent.n;
    KExpr *points[2] = {kexpr_index(p, 0), kexpr_index(p, extent)}, *length = kexpr_index(p, extent / pieces);
    if (t->nest->axes[axis].extent.batch || extent % pieces)
        return;
    narrow(t, axis, points);
    range[0] = kexpr_binary(p, '/', points[0], length);
    range[1] = kexpr_binary(p, '/', kexpr_binary(p, '+', points[1], kexpr_index(p, extent / pieces - 1)), length);
}

/* Is the sum over before memory answers, and is there a tile below this one? */
static bool is_short(const Tiles *t) {
    if (t->row < 0 || t->row2 >= 0 || t->period > 1 || t->m->rows_from || t->nest->axes[t->row].extent.batch)
        return false;
    return tile_reduced_points(t) * tile_all_rows(t) * t->tile_vectors < FAR_PRODUCTS &&
           t->nest->axes[t->row].extent.n >= 2 * t->rows;
}

void tile_move_below(const Tiles *t, bool samples, Tiles *below, KStmt *lets) {
    KProgram *p = t->p;
    int64_t extent = t->nest->axes[t->row].extent.n;
    int around = -1;
    for (int i = 0; i < t->order_count; i++)
        if (t->order[i] == LOOP_AXIS && (samples || !t->nest->axes[t->order_axis[i]].extent.batch))
            around = t->order_axis[i];
    if (around < 0 || extent % t->rows) {
        below->base[t->row] = tile_one_further(t, t->base[t->row], t->rows, extent, lets);
        return;
    }
    KExpr *end = kexpr_binary(p, '+', t->base[t->row], kexpr_index(p, t->rows)), *length = kexpr_index(p, extent);
    KExpr *place = kexpr_binary(p, '+', t->base[around], kexpr_binary(p, '/', end, length));
    KExpr *last = kexpr_index(p, dim_size(t->nest->axes[around].extent, p->module->batch_max) - 1);
    below->base[t->row] = tile_next(t, kexpr_binary(p, '%', end, length), 0, lets);
    below->base[around] = tile_next(t, kexpr_binary(p, 'm', place, last), 0, lets);
}

/* A row of this tile; during a short sum, of the tile below it, whose place is named in `around`. */
static void prefetch_row_in_time(Tiles *t, Accumulators *a, KExpr *row, KStmt *around, KStmt *out) {
    Tiles below = *t;
    KStmt *lets = kstmt_block(t->p), *next;
    if (is_short(t))
        tile_move_below(t, false, &below, lets);
    tile_prefetch_row(&below, a, row, out);
    for (KStmt *s = lets->block.first; s && out->block.first; s = next) {
        next = s->next;
        s->next = NULL;
        kstmt_add(around, s);
    }
}

void tile_prefetch_below(Tiles *t, Accumulators *a, KStmt *out) {
    KProgram *p = t->p;
    Tiles below = *t;
    if (!prefetches(t) || is_around(t->nest, first_reduce_axis(t->nest)) || !is_short(t))
        return;
    KVar *row = kvar_new(p, t->m->kernel, "piece", (KType){KBASE_INDEX, 1}, false);
    KStmt *lets = kstmt_block(p), *body = kstmt_block(p);
    row->limit = tile_all_rows(t);
    tile_move_below(t, false, &below, lets);
    tile_prefetch_row(&below, a, kexpr_var(p, row), body);
    if (!body->block.first)
        return;
    KStmt *rows = kstmt_block(p);
    kstmt_add(rows, kstmt_for(p, row, AXIS_SERIAL, kexpr_index(p, 0), kexpr_index(p, row->limit), 1, body));
    kstmt_add(lets, kstmt_if(p, tile_meets_part(&below), rows, NULL));
    kstmt_add(out, lets);
}

/* A part of the sum for each row of the tile. */
static void sum_in_pieces(Tiles *t, Accumulators *a, KStmt *out) {
    KProgram *p = t->p;
    KExpr *rows = kexpr_index(p, tile_all_rows(t));
    KVar *piece = kvar_new(p, t->m->kernel, "piece", (KType){KBASE_INDEX, 1}, false);
    KStmt *body = kstmt_block(p);
    piece->limit = tile_all_rows(t);
    prefetch_row_in_time(t, a, kexpr_var(p, piece), out, body);
    if (!body->block.first) {
        sum_whole(t, a, out);
        return;
    }
    tile_sum_part(t, a, kexpr_var(p, piece), rows, body);
    KExpr *range[2] = {kexpr_index(p, 0), rows};
    narrow_pieces(t, tile_all_rows(t), range);
    kstmt_add(out, kstmt_for(p, piece, AXIS_SERIAL, range[0], range[1], 1, body));
}

void tile_sum(Tiles *t, Accumulators *a, KStmt *out) {
    if (sum_with_prefetch(t, a, out))
        return;
    t->prefetches = prefetches(t);
    if (t->prefetches && !is_around(t->nest, first_reduce_axis(t->nest)))
        sum_in_pieces(t, a, out);
    else
        sum_whole(t, a, out);
    t->prefetches = false;
}
