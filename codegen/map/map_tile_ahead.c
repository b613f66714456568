/* What a sum reads is fetched ahead where it comes from far and does not follow what was read before: the processor
 * foresees a stream, not its jumps. Of what is broadcast to all lanes that is the next panel or the next tile, of the
 * vectors the panel of the tiles that come later, or what the tiles at the next place of the axes around read. Needs
 * the loop of the sum, or over its tiles, at hand; leaves prefetches in it, or nothing.
 */
#include "codegen/map/map_tile_parts.h"

enum { AHEAD_BYTES = 1 << 16, AGAIN_BYTES = 1 << 15, LATER_BYTES = 1 << 21 }; /* least */
enum { LINE = 16, MOST_SHARE = 2, MOST_LINES = 4 }; /* a line in elements; points and lines fetched at a turn */
enum { PIECE_BYTES = 1 << 14 };                     /* most */

/* The load of a product that depends on this one of the axes of the rows and the vectors, in the program's own memory
 * or, if asked for, in the caller's; NULL: none. */
static const KExpr *operand_along(const Tiles *t, const KExpr *e, int axis, int64_t least, bool argument) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_LOAD) {
        const KBuffer *b = e->load.buffer;
        bool place = b->space == SPACE_ARENA || b->space == SPACE_VARIABLE || (argument && b->space == SPACE_ARGUMENT);
        return place && e->type.base == KBASE_F32 && kexpr_uses(e, t->nest->axes[t->row].var) == (axis == t->row) &&
                       kexpr_uses(e, t->nest->axes[t->vector].var) == (axis == t->vector) &&
                       kbuffer_elements(b, t->p->module->batch_max) * kbase_bytes(b->base) >= least
                   ? e
                   : NULL;
    }
    int count = kexpr_operands(e, operands);
    const KExpr *found = NULL;
    for (int i = 0; i < count && !found; i++)
        found = operand_along(t, operands[i], axis, least, argument);
    return found;
}

/* Is it a long sum of products in a tile like the others? */
static bool is_regular(const Tiles *t) {
    const Nest *nest = t->nest;
    bool tile = t->row >= 0 && t->row2 < 0 && t->vector >= 0 && !nest->axes[t->vector].reduce && !nest->ordered;
    return tile && nest->reduction_count == 1 && !nest->cell_count && t->tile_rows == t->rows && t->rows <= LINE &&
           t->rows > 1 && t->period == 1 && !t->lanes_left && !t->m->rows_from && tile_long_sum(t);
}

static const KExpr *broadcast_load(const Tiles *t, bool argument) {
    return is_regular(t) ? operand_along(t, t->nest->reductions[0].expr, t->row, AHEAD_BYTES, argument) : NULL;
}

/* Do neighbours along this axis of the nest lie side by side? */
static bool lies_along(const KExpr *load, const NestAxis *axis) {
    const KBuffer *b = load->load.buffer;
    int inner = kbuffer_innermost(b);
    int64_t coefficient;
    return inner >= 0 && kexpr_coefficient(load->load.index[inner], axis->var, &coefficient) && coefficient == 1;
}

/* Is the loop over rows within that over panels? Then all rows are read again for each panel. */
static bool rows_within(const Tiles *t) {
    return t->order_count > 0 && t->order[t->order_count - 1] == LOOP_ROWS;
}

/* The load at this place of the sum, in the tile at t->base. */
static void fetch(const Tiles *t, const KExpr *load, KExpr *const *index, KStmt *out) {
    KProgram *p = t->p;
    KVar *vars[NEST_MAX_AXES];
    KExpr *places[NEST_MAX_AXES], *logical[MAX_RANK], *physical[MAX_RANK + 1];
    for (int i = 0; i < t->nest->axis_count; i++) {
        vars[i] = t->nest->axes[i].var;
        places[i] = t->base[i] ? t->base[i] : index[i] ? index[i] : kexpr_index(p, 0);
    }
    for (int i = 0; i < load->load.index_count; i++)
        logical[i] = kexpr_substitute(p, load->load.index[i], vars, places, t->nest->axis_count);
    int count = kbuffer_physical_index(p, load->load.buffer, logical, physical);
    kstmt_add(out, kstmt_prefetch_read(p, kexpr_load(p, load->load.buffer, physical, count)));
}

/* Bytes that the tiles along the rows read of what is broadcast. */
static int64_t all_rows_bytes(const Tiles *t) {
    int64_t rows = dim_size(t->nest->axes[t->row].extent, t->p->module->batch_max);
    return rows * tile_reduced_points(t) * kbase_bytes(KBASE_F32);
}

KExpr *tile_next(const Tiles *t, KExpr *place, int64_t multiple, KStmt *out) {
    KVar *next = kvar_new(t->p, t->m->kernel, "next", (KType){KBASE_INDEX, 1}, false);
    next->multiple = multiple;
    kstmt_add(out, kstmt_let(t->p, next, place));
    return kexpr_var(t->p, next);
}

KExpr *tile_one_further(const Tiles *t, KExpr *from, int64_t step, int64_t extent, KStmt *out) {
    KProgram *p = t->p;
    KExpr *further = kexpr_binary(p, '+', from, kexpr_index(p, step));
    return tile_next(t, kexpr_binary(p, 'm', further, kexpr_index(p, extent - step)), extent % step ? 0 : step, out);
}

/* Tiles along the vectors read the same rows: each fetches, at each panel of the sum, its share of the rows below. */
static void fetch_rows_below(const Tiles *t, const KExpr *load, int axis, KVar *first, int64_t panel, KExpr **index,
                             KStmt *out) {
    KProgram *p = t->p;
    int64_t step = (int64_t)t->vectors * t->lanes, tiles = t->nest->axes[t->vector].extent.n / step;
    int64_t lines = t->rows * panel / LINE, share = tiles ? lines / tiles : 0;
    if (t->order_count < 2 || t->order[t->order_count - 2] != LOOP_ROWS || t->nest->axes[t->row].extent.batch ||
        t->nest->axes[t->row].extent.n % t->rows || share < 1 || share > MOST_LINES || lines % tiles)
        return;
    Tiles below = *t;
    KExpr *here = index[axis], *part = kexpr_binary(p, '/', t->base[t->vector], kexpr_index(p, step));
    tile_move_below(t, true, &below, out);
    KExpr *row = below.base[t->row];
    for (int64_t i = 0; i < share; i++) {
        KExpr *line = kexpr_binary(p, '+', kexpr_binary(p, '*', part, kexpr_index(p, share)), kexpr_index(p, i));
        KExpr *at = kexpr_binary(p, '*', line, kexpr_index(p, LINE)), *length = kexpr_index(p, panel);
        below.base[t->row] = kexpr_binary(p, '+', row, kexpr_binary(p, '/', at, length));
        index[axis] = kexpr_binary(p, '+', kexpr_var(p, first), kexpr_binary(p, '%', at, length));
        fetch(&below, load, index, out);
    }
    index[axis] = here;
}

void tile_fetch_next_panel(const Tiles *t, int axis, KVar *first, KVar *place, KExpr **index, KStmt *outer,
                           KStmt *out) {
    KProgram *p = t->p;
    const KExpr *load = broadcast_load(t, false);
    int64_t extent = t->nest->axes[axis].extent.n, panel = place->limit, rows = t->rows;
    if (!load || panel % LINE || extent < 2 * panel || !lies_along(load, &t->nest->axes[axis]) ||
        all_rows_bytes(t) <= AGAIN_BYTES)
        return;
    if (!rows_within(t)) {
        fetch_rows_below(t, load, axis, first, panel, index, outer);
        return;
    }
    /* in each turn as many elements as the tile has rows: after a panel, a panel of each row */
    Tiles later = *t;
    KExpr *here = index[axis], *done = kexpr_binary(p, '*', kexpr_var(p, place), kexpr_index(p, rows));
    KExpr *next = tile_one_further(t, kexpr_var(p, first), panel, extent, outer);
    later.base[t->row] = kexpr_binary(p, '+', t->base[t->row], kexpr_binary(p, '/', done, kexpr_index(p, panel)));
    index[axis] = kexpr_binary(p, '+', next, kexpr_binary(p, '%', done, kexpr_index(p, panel)));
    fetch(&later, load, index, out);
    index[axis] = here;
}

void tile_fetch_next_tile(const Tiles *t, int axis, KExpr **index, KStmt *out) {
    KProgram *p = t->p;
    const KExpr *load = broadcast_load(t, true);
    const NestAxis *rows = &t->nest->axes[t->row >= 0 ? t->row : 0];
    if (!load || rows->extent.batch || rows->extent.n < 2 * t->rows || !lies_along(load, rows) ||
        all_rows_bytes(t) < AGAIN_BYTES)
        return;
    Tiles later = *t;
    KExpr *here = index[axis];
    int64_t step = (int64_t)t->vectors * t->lanes;
    int64_t panels = (t->nest->axes[t->vector].extent.n + step - 1) / step;
    later.base[t->row] = tile_one_further(t, t->base[t->row], t->rows, rows->extent.n, out);
    if (!rows_within(t) && panels > 1) { /* a share of it for each of the panels that read the same rows */
        KExpr *before = kexpr_binary(p, '/', t->base[t->vector], kexpr_index(p, step));
        before = kexpr_binary(p, '*', before, kexpr_dim(p, t->nest->axes[axis].extent));
        index[axis] = kexpr_binary(p, '/', kexpr_binary(p, '+', before, here), kexpr_index(p, panels));
    }
    fetch(&later, load, index, out);
    index[axis] = here;
}

/* Number of the turn of the loop over panels in all tiles of a panel of vectors; how many there are. */
static KExpr *turn_number(const Tiles *t, int axis, KVar *first, int64_t panel, int64_t *all) {
    KProgram *p = t->p;
    int64_t turns = t->nest->axes[axis].extent.n / panel;
    int64_t rows = dim_size(t->nest->axes[t->row].extent, p->module->batch_max);
    KExpr *tile = kexpr_binary(p, '/', t->base[t->row], kexpr_index(p, t->rows));
    KExpr *turn = kexpr_binary(p, '/', kexpr_var(p, first), kexpr_index(p, panel));
    *all = (rows + t->rows - 1) / t->rows * turns;
    return kexpr_binary(p, '+', kexpr_binary(p, '*', tile, kexpr_index(p, turns)), turn);
}

void tile_fetch_next_vectors(const Tiles *t, int axis, KVar *first, int64_t panel, KStmt *out) {
    KProgram *p = t->p;
    int64_t points = t->nest->axes[axis].extent.n, step = (int64_t)t->vectors * t->lanes, all;
    const NestAxis *lanes = &t->nest->axes[t->vector >= 0 ? t->vector : 0];
    if (!is_regular(t) || !rows_within(t) || t->order_count < 2 || t->order[t->order_count - 2] != LOOP_PANELS ||
        lanes->extent.n < 2 * step || lanes->extent.n % step || tile_reduced_points(t) != points)
        return;
    const KExpr *load = operand_along(t, t->nest->reductions[0].expr, t->vector, LATER_BYTES, false);
    if (!load || !lies_along(load, lanes) || load->load.buffer->block != step)
        return;
    Tiles later = *t;
    KExpr *index[NEST_MAX_AXES] = {NULL}, *point = turn_number(t, axis, first, panel, &all);
    int64_t share = points > all ? points / all : 1;
    if (share > MOST_SHARE)
        return;
    point = points < all
                ? kexpr_binary(p, '/', kexpr_binary(p, '*', point, kexpr_index(p, points)), kexpr_index(p, all))
                : kexpr_binary(p, '*', point, kexpr_index(p, share));
    KExpr *next = tile_one_further(t, t->base[t->vector], step, lanes->extent.n, out);
    for (int64_t i = 0; i < share * t->vectors; i++) {
        index[axis] = kexpr_binary(p, '+', point, kexpr_index(p, i / t->vectors));
        later.base[t->vector] = kexpr_binary(p, '+', next, kexpr_index(p, i % t->vectors * t->lanes));
        fetch(&later, load, index, out);
    }
}

/* ---- pieces: what all tiles along the rows read at one place of the axes around them, as the keys of a head */

/* The loop over this index around those of the level; -1: there is none. */
static int loop_over(const Tiles *t, int level, const KExpr *index) {
    for (int i = 0; i < level; i++)
        if (index->kind == KE_VAR && t->nest->axes[t->order_axis[i]].var == index->var)
            return i;
    return -1;
}

/* Memory axes that lead to a piece of the load, one for each loop around; -1: it does not lie in one place, is not the
 * same for all rows, or comes again in another turn of the loops. */
static int piece_axes(const Tiles *t, int level, const KExpr *load) {
    const KBuffer *b = load->load.buffer;
    int axes = 0;
    if (load->kind != KE_LOAD || b->space != SPACE_ARENA || b->base != KBASE_F32 || b->block > 0)
        return -1;
    for (int i = 0; i < b->rank; i++) {
        const KExpr *index = load->load.index[b->order[i]];
        int loop = loop_over(t, level, index);
        if (index->kind != KE_VAR || index->var == t->nest->axes[t->row].var || (loop >= 0 && axes < i) ||
            (loop < 0 && b->dims[b->order[i]].batch))
            return -1;
        axes += loop >= 0;
    }
    return axes == level && axes < b->rank ? axes : -1;
}

static int64_t size_of(const Tiles *t, int axis) {
    return dim_size(t->nest->axes[axis].extent, t->p->module->batch_max);
}

/* The next place of the two innermost of the loops around. */
static void move_on(const Tiles *t, int level, Tiles *later, KStmt *out) {
    KProgram *p = t->p;
    int inner = t->order_axis[level - 1], outer = level > 1 ? t->order_axis[level - 2] : -1;
    KExpr *one = kexpr_index(p, 1), *after = kexpr_binary(p, '+', t->base[inner], one);
    KExpr *end = kexpr_index(p, size_of(t, inner));
    if (outer < 0) {
        later->base[inner] = tile_next(t, kexpr_binary(p, 'm', after, kexpr_binary(p, '-', end, one)), 0, out);
        return;
    }
    KExpr *last = kexpr_index(p, size_of(t, outer) - 1);
    KExpr *place = kexpr_binary(p, '+', t->base[outer], kexpr_binary(p, '/', after, end));
    later->base[inner] = tile_next(t, kexpr_binary(p, '%', after, end), 0, out);
    later->base[outer] = tile_next(t, kexpr_binary(p, 'm', place, last), 0, out);
}

/* The share of one tile, by the rows of the piece in memory. */
static void fetch_share(const Tiles *t, const Tiles *later, const KExpr *load, int axes, KStmt *out) {
    KProgram *p = t->p;
    const KBuffer *b = load->load.buffer;
    int64_t rows = 1, length = b->dims[b->order[b->rank - 1]].n, extent = t->nest->axes[t->row].extent.n;
    for (int i = axes; i < b->rank - 1; i++)
        rows *= b->dims[b->order[i]].n;
    if (rows % extent || length % LINE || length / LINE > MOST_LINES)
        return;
    KVar *row = kvar_new(p, t->m->kernel, "r", (KType){KBASE_INDEX, 1}, false);
    KStmt *body = kstmt_block(p);
    row->limit = rows / extent * t->rows;
    KExpr *place = kexpr_binary(p, '*', t->base[t->row], kexpr_index(p, rows / extent)), *index[MAX_RANK];
    place = kexpr_binary(p, '+', place, kexpr_var(p, row));
    for (int i = b->rank - 2; i >= 0; i--) {
        KExpr *dim = kexpr_dim(p, b->dims[b->order[i]]);
        int loop = i < axes ? loop_over(t, t->order_count, load->load.index[b->order[i]]) : -1;
        index[i] = loop >= 0 ? later->base[t->order_axis[loop]] : i == axes ? place : kexpr_binary(p, '%', place, dim);
        place = i > axes ? kexpr_binary(p, '/', place, dim) : place;
    }
    for (int64_t i = 0; i < length; i += LINE) {
        index[b->rank - 1] = kexpr_index(p, i);
        kstmt_add(body, kstmt_prefetch_read(p, kexpr_load(p, load->load.buffer, index, b->rank)));
    }
    kstmt_add(out, kstmt_for(p, row, AXIS_UNROLL, kexpr_index(p, 0), kexpr_index(p, row->limit), 1, body));
}

static bool fetches_piece(const Tiles *t, int level, const KExpr *load, int *axes) {
    *axes = load ? piece_axes(t, level, load) : -1;
    if (*axes < 0)
        return false;
    const KBuffer *b = load->load.buffer;
    int64_t bytes = kbase_bytes(KBASE_F32);
    for (int i = *axes; i < b->rank; i++)
        bytes *= b->dims[b->order[i]].n;
    return bytes <= PIECE_BYTES && kbuffer_elements(b, t->p->module->batch_max) * kbase_bytes(b->base) >= AHEAD_BYTES;
}

void tile_fetch_next_place(const Tiles *t, int level, KStmt *around, KStmt *out) {
    const Nest *nest = t->nest;
    bool whole = level > 0 && t->row2 < 0 && t->period == 1 && !nest->axes[t->row].extent.batch && t->vector >= 0 &&
                 !nest->axes[t->vector].reduce && !t->m->rows_from && !t->packed;
    for (int i = 0; i < level; i++)
        whole = whole && t->order[i] == LOOP_AXIS && !nest->axes[t->order_axis[i]].reduce;
    if (!whole || nest->reduction_count != 1 || nest->cell_count || nest->ordered || tile_reduced_points(t) < LINE)
        return;
    const KExpr *e = nest->reductions[0].expr;
    bool product = e->kind == KE_FN && e->fn.fn == FN_mul;
    const KExpr *loads[] = {nest->turned, product ? e->fn.args[0] : NULL, product ? e->fn.args[1] : NULL};
    for (int i = 0; i < 3; i++) {
        Tiles later = *t;
        int axes;
        if (fetches_piece(t, level, loads[i], &axes)) {
            move_on(t, level, &later, around);
            fetch_share(t, &later, loads[i], axes, out);
        }
    }
}
