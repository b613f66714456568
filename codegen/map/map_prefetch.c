/* What a step of a recurrence reads and writes of its sequences lies far away: the longest sum of the step fetches it
 * between its products, a line at a time, for the nests behind it, and for the next step what comes before them. So
 * does a sum that stands between other nests of a block of rows, if they are told (Nest.coming). */
#include "codegen/map/map_tile.h"

enum { MOST_PIECES = 16, LEAST_PIECE = 8, MOST_LINES = 8 };

/* ---- what comes */
typedef struct {
    MapComing *coming;
    const MapNest *m;
    const Nest *nest;
    bool next; /* the nest comes again in the next step only */
} Gather;

static bool is_known(const MapComing *coming, const KBuffer *buffer) {
    for (int i = 0; i < coming->count; i++)
        if (coming->items[i].buffer == buffer)
            return true;
    return false;
}

/* Sequences [B, T, n] at the row of the nest and the step. */
static void gather(const Gather *g, KBuffer *buffer, KExpr *const *index) {
    MapComing *coming = g->coming;
    KProgram *p = g->m->program;
    KVar *step = g->m->kernel->step;
    if (buffer->space != SPACE_ARENA || buffer->base != KBASE_F32 || buffer->rank != 3 || !buffer->dims[0].batch ||
        buffer->dims[2].batch || index[0]->kind != KE_VAR || index[0]->var != g->nest->axes[0].var ||
        !kexpr_uses(index[1], step) || coming->count == MAX_COMING || is_known(coming, buffer))
        return;
    KExpr *time = index[1];
    if (g->next) {
        KExpr *after = kexpr_binary(p, '+', kexpr_var(p, step), kexpr_index(p, 1));
        after = kexpr_binary(p, 'm', after, kexpr_index(p, g->m->kernel->steps - 1));
        time = kexpr_substitute(p, time, &step, &after, 1);
    }
    coming->items[coming->count++] = (MapComingLine){buffer, time};
}

static void gather_load(void *context, const KExpr *e) {
    if (e->kind == KE_LOAD)
        gather(context, e->load.buffer, e->load.index);
}

static void gather_store(void *context, const KStmt *s) {
    if (s->kind == KS_STORE)
        gather(context, s->store.buffer, s->store.index);
}

MapComing *map_coming(const MapNest *m) {
    const KKernel *kernel = m->kernel;
    MapComing *coming = ARENA_NEW(m->program->arena, MapComing);
    int longest = -1;
    int64_t most = 0;
    for (int i = kernel->step_first; i < kernel->step_end; i++) {
        int64_t slots = nest_slots(kernel->nests[i], m->program->module->batch_max);
        if (kernel->nests[i]->reduction_count && slots >= most) {
            most = slots;
            longest = i;
        }
    }
    if (longest < 0 || !m->rows_from)
        return NULL;
    coming->nest = kernel->nests[longest];
    for (int i = kernel->step_first; i < kernel->step_end; i++) {
        Gather g = {coming, m, kernel->nests[i], i <= longest};
        KVisitor visitor = {.statement = gather_store, .expression = gather_load, .context = &g};
        nest_visit(g.nest, &visitor);
    }
    return coming->count ? coming : NULL;
}

static int64_t lines_across(const KProgram *p, const MapComingLine *c) {
    return (c->buffer->dims[2].n + p->isa.lanes - 1) / p->isa.lanes;
}

/* ---- while a tile sums */
/* Tiles of a block of rows, and the number of the one at t->base; NULL: not known. */
static KExpr *tile_number(const Tiles *t, int64_t *tiles) {
    KProgram *p = t->p;
    int64_t panel = (int64_t)t->vectors * t->lanes, rows = t->m->block_rows;
    *tiles = t->nest->axes[t->vector].extent.n / panel * (rows / t->rows);
    if (t->order_count != 2 || t->row != 0 || t->nest->axes[t->vector].extent.n % panel || rows % t->rows)
        return NULL;
    KExpr *across = kexpr_binary(p, '/', t->base[t->vector], kexpr_index(p, panel));
    if (rows == t->rows)
        return across;
    KExpr *down = kexpr_binary(p, '-', t->base[0], t->m->rows_from);
    down = kexpr_binary(p, '/', down, kexpr_index(p, t->rows));
    return kexpr_binary(p, '+', kexpr_binary(p, '*', across, kexpr_index(p, rows / t->rows)), down);
}

/* ---- told */
/* Tiles of a nest at one row of a block, and the number of the one at t->base. */
static KExpr *tile_at_row(const Tiles *t, int64_t *tiles) {
    KProgram *p = t->p;
    KExpr *number = kexpr_index(p, 0);
    *tiles = 1;
    for (int i = nest_row_axes(t->nest); i < t->nest->parallel_count; i++) {
        int64_t length = i == t->vector ? (int64_t)t->vectors * t->lanes
                         : i == t->row  ? t->rows
                         : i == t->row2 ? t->rows2
                                        : 1;
        int64_t extent = t->nest->axes[i].extent.n, count = (extent + length - 1) / length;
        number = kexpr_binary(p, '*', number, kexpr_index(p, count));
        if (count > 1)
            number = kexpr_binary(p, '+', number, kexpr_binary(p, '/', t->base[i], kexpr_index(p, length)));
        *tiles *= count;
    }
    return number;
}

static bool is_told(const Tiles *t) {
    int rows = nest_row_axes(t->nest);
    return t->nest->coming_count > 0 && t->row >= rows && t->row2 != 0 && t->vector >= rows;
}

static int64_t lines_of_row(const KProgram *p, const KBuffer *b) {
    int64_t elements = 1;
    for (int i = 2; i < b->rank; i++)
        elements *= b->dims[i].n;
    return elements / p->isa.lanes;
}

/* Lines lie one behind the other, and none reaches over the end of what has the last index. */
static bool has_lines(const KProgram *p, const KBuffer *b) {
    for (int i = 0; i < b->rank; i++)
        if (b->order[i] != i)
            return false;
    return b->space == SPACE_ARENA && !b->block && b->pad <= 1 && !b->odd_rows &&
           b->dims[b->rank - 1].n % p->isa.lanes == 0;
}

/* Line number so and so of what comes. */
static KExpr *line_of(const Tiles *t, const NestComing *coming, KExpr *line, KExpr *first) {
    KProgram *p = t->p;
    KBuffer *b = coming->buffer;
    KExpr *index[MAX_RANK], *across = kexpr_index(p, lines_of_row(p, b)), *rows = kexpr_index(p, b->dims[1].n);
    KExpr *row = kexpr_binary(p, '+', first, kexpr_binary(p, '/', line, across));
    KExpr *place = kexpr_binary(p, '%', line, across), *last = kexpr_binary(p, '-', kexpr_batch(p), kexpr_index(p, 1));
    index[0] = kexpr_binary(p, 'm', kexpr_binary(p, '/', row, rows), last);
    index[1] = kexpr_binary(p, '%', row, rows);
    int64_t lanes = p->isa.lanes;
    for (int i = b->rank - 1; i >= 2; i--) {
        KExpr *extent = kexpr_index(p, b->dims[i].n / lanes);
        index[i] = kexpr_binary(p, '*', i == 2 ? place : kexpr_binary(p, '%', place, extent), kexpr_index(p, lanes));
        place = kexpr_binary(p, '/', place, extent);
        lanes = 1;
    }
    return kexpr_load(p, b, index, b->rank);
}

static void fetch_told(const Tiles *t, const NestComing *coming, KExpr *turn, int64_t turns, KStmt *out) {
    KProgram *p = t->p;
    int64_t lines = coming->rows * lines_of_row(p, coming->buffer);
    KVar *from[NEST_MAX_AXES], *line = kvar_new(p, t->m->kernel, "line", (KType){KBASE_INDEX, 1}, false);
    int axes = nest_row_axes(t->nest);
    for (int i = 0; i < axes; i++)
        from[i] = t->nest->axes[i].var;
    KExpr *first = kexpr_substitute(p, coming->first, from, t->base, axes), *all = kexpr_index(p, lines);
    KExpr *next = kexpr_binary(p, '+', turn, kexpr_index(p, 1)), *parts = kexpr_index(p, turns);
    KExpr *begin = kexpr_binary(p, '/', kexpr_binary(p, '*', turn, all), parts);
    KExpr *end = kexpr_binary(p, '/', kexpr_binary(p, '*', next, all), parts);
    KStmt *body = kstmt_block(p);
    line->limit = lines;
    KExpr *load = line_of(t, coming, kexpr_var(p, line), first);
    kstmt_add(body, (coming->written ? kstmt_prefetch : kstmt_prefetch_read)(p, load));
    kstmt_add(out, kstmt_for(p, line, AXIS_SERIAL, begin, end, 1, body));
}

static void fetch_all_told(const Tiles *t, KExpr *piece, int pieces, KStmt *out) {
    int64_t tiles;
    KExpr *number = tile_at_row(t, &tiles);
    number = kexpr_binary(t->p, '*', number, kexpr_index(t->p, pieces));
    number = kexpr_binary(t->p, '+', number, piece);
    for (int i = 0; i < t->nest->coming_count; i++)
        if (has_lines(t->p, t->nest->coming[i].buffer))
            fetch_told(t, &t->nest->coming[i], number, tiles * pieces, out);
}

/* ---- pieces of a sum */
static int pieces_of(int64_t points) {
    for (int pieces = MOST_PIECES; pieces > 1; pieces--)
        if (points % pieces == 0 && points / pieces >= LEAST_PIECE)
            return pieces;
    return 0;
}

/* As few as leave not too many lines for each; a sum on the lanes stays whole. */
static int pieces_for_told(const Tiles *t, int axis) {
    int64_t tiles, lines = 0, points = t->nest->axes[axis].extent.n;
    int best = 1, most = axis == t->vector ? 1 : MOST_PIECES;
    tile_at_row(t, &tiles);
    for (int i = 0; i < t->nest->coming_count; i++)
        if (has_lines(t->p, t->nest->coming[i].buffer))
            lines += t->nest->coming[i].rows * lines_of_row(t->p, t->nest->coming[i].buffer);
    for (int pieces = 1; pieces <= most && lines > tiles * best * MOST_LINES; pieces++)
        if (points % pieces == 0 && points / pieces >= LEAST_PIECE)
            best = pieces;
    return lines ? best : 0;
}

int map_prefetch_pieces(const Tiles *t, int reduce_axis) {
    int64_t tiles;
    if (is_told(t) && !t->nest->axes[reduce_axis].from)
        return pieces_for_told(t, reduce_axis);
    if (!t->m->coming || t->m->coming->nest != t->nest || t->vector < 0 || t->nest->axes[t->vector].reduce ||
        t->nest->axes[t->vector].extent.batch || t->nest->axes[reduce_axis].extent.batch ||
        t->nest->axes[reduce_axis].from || !tile_number(t, &tiles))
        return 0;
    return pieces_of(t->nest->axes[reduce_axis].extent.n);
}

/* Number of the line to be fetched of each sequence that has so many. */
static KExpr *line_number(const Tiles *t, KExpr *piece, int pieces, int64_t lines, KStmt *out) {
    KProgram *p = t->p;
    int64_t tiles;
    KExpr *number = kexpr_binary(p, '*', tile_number(t, &tiles), kexpr_index(p, pieces));
    number = kexpr_binary(p, '+', number, piece);
    number = kexpr_binary(p, '*', number, kexpr_index(p, lines));
    KVar *line = kvar_new(p, t->m->kernel, "line", (KType){KBASE_INDEX, 1}, false);
    line->limit = lines;
    kstmt_add(out, kstmt_let(p, line, kexpr_binary(p, '/', number, kexpr_index(p, tiles * pieces))));
    return kexpr_var(p, line);
}

static void prefetch_line(const Tiles *t, const MapComingLine *c, KExpr *line, KStmt *out) {
    KProgram *p = t->p;
    KExpr *across = kexpr_index(p, lines_across(p, c)), *lanes = kexpr_index(p, p->isa.lanes);
    KExpr *row = kexpr_binary(p, '+', t->m->rows_from, kexpr_binary(p, '/', line, across));
    KExpr *place = kexpr_binary(p, '*', kexpr_binary(p, '%', line, across), lanes);
    KExpr *index[] = {row, c->time, place}, *physical[MAX_RANK + 1];
    int count = kbuffer_physical_index(p, c->buffer, index, physical);
    kstmt_add(out, kstmt_prefetch(p, kexpr_load(p, c->buffer, physical, count)));
}

void map_prefetch_piece(const Tiles *t, KExpr *piece, int pieces, KStmt *out) {
    KProgram *p = t->p;
    const MapComing *coming = t->m->coming;
    KExpr *first[MAX_COMING];
    int64_t tiles;
    if (is_told(t)) {
        fetch_all_told(t, piece, pieces, out);
        return;
    }
    tile_number(t, &tiles);
    for (int i = 0; i < coming->count; i++) {
        int64_t across = lines_across(p, &coming->items[i]), lines = across * t->m->block_rows;
        int same = 0;
        while (lines_across(p, &coming->items[same]) != across)
            same++;
        first[i] = same < i ? first[same] : line_number(t, piece, pieces, lines, out);
        for (int64_t k = 0; k * tiles * pieces < lines; k++)
            prefetch_line(t, &coming->items[i], kexpr_binary(p, '+', first[i], kexpr_index(p, k)), out);
    }
}
