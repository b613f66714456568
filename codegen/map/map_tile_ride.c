/* A long epilogue rides in the sum of the next tile, a row between two parts of it. Needs tiles along t->row that
 * follow each other; leaves the sums of each in t->waiting, until the next tile, or map_tile_last, finishes them. */
#include "codegen/map/map_tile_parts.h"

enum { LONG_EPILOGUE = 16, LEAST_RIDING_ROWS = 4 };
enum { RIDING_POINTS = 16, RIDING_POINTS_FAR = 4 }; /* least, of the sum between two rows */
enum { FAR_BYTES = 1 << 21, MOST_BUFFERS = 16 };    /* more than what the second cache keeps from step to step */

/* What an epilogue reads. */
typedef struct {
    const KProgram *p;
    const KBuffer *known[MOST_BUFFERS];
    int count;
    int64_t bytes;
} Read;

static void add_read(void *context, const KExpr *e) {
    Read *read = context;
    if (e->kind != KE_LOAD || read->count == MOST_BUFFERS)
        return;
    for (int i = 0; i < read->count; i++)
        if (read->known[i] == e->load.buffer)
            return;
    read->known[read->count++] = e->load.buffer;
    read->bytes += kbuffer_elements(e->load.buffer, read->p->module->batch_max) * kbase_bytes(e->load.buffer->base);
}

/* Where the epilogue waits for memory, it pays to fetch that a tile ahead even beside a short sum. */
static int64_t least_points(const Tiles *t) {
    Read read = {.p = t->p};
    kstmt_visit(t->nest->epilogue, &(KVisitor){NULL, add_read, &read, NULL});
    return (int64_t)(read.bytes >= FAR_BYTES ? RIDING_POINTS_FAR : RIDING_POINTS) * t->rows;
}

bool map_tile_rides(const Tiles *t) {
    const Nest *nest = t->nest;
    if (t->vector < 0 || nest->axes[t->vector].reduce || t->p->isa.registers < 32 || nest->reduction_count != 1 ||
        nest->reductions[0].argument || nest->cell_count || t->row < 0 || t->row2 >= 0 || t->period > 1 ||
        t->rows < LEAST_RIDING_ROWS || nest->axes[t->row].extent.batch || nest->axes[t->row].extent.n < 2 * t->rows ||
        t->lanes_left)
        return false;
    return tile_part_axis(nest) >= 0 && tile_long_sum(t) && tile_reduced_points(t) >= least_points(t) &&
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
        tile_finish_vector(t, a, v, out, out);
}

void map_tile_last(Tiles *t, KStmt *out) {
    KVar *row = kvar_new(t->p, t->m->kernel, "r", (KType){KBASE_INDEX, 1}, false);
    KStmt *body = kstmt_block(t->p);
    row->limit = t->rows;
    finish_row(t, row, body);
    kstmt_add(out, kstmt_for(t->p, row, AXIS_SERIAL, kexpr_index(t->p, 0), kexpr_index(t->p, t->rows), 1, body));
}

static void keep_sums(Tiles *t, Accumulators *a, KStmt *out) {
    Accumulators *kept = waiting_sums(t);
    KStmt *body = tile_open_rows(t, a, out);
    kept->row = a->row;
    for (int v = 0; v < t->tile_vectors; v++)
        kstmt_add(body, tile_set_accumulated(t, kept, &kept->sum[0][v], tile_accumulated(t, a, &a->sum[0][v])));
    tile_close_rows(t, a, out, body);
}

/* A part of the sum, then a row of the tile before; and so on. */
void tile_sum_with_rider(Tiles *t, Accumulators *a, KStmt *out) {
    KProgram *p = t->p;
    KExpr *rows = kexpr_index(p, t->rows), *base = t->base[t->row];
    KVar *row = kvar_new(p, t->m->kernel, "before", (KType){KBASE_INDEX, 1}, false);
    KStmt *piece = kstmt_block(p), *late = kstmt_block(p);
    row->limit = t->rows;
    tile_prefetch_row(t, waiting_sums(t), kexpr_var(p, row), piece);
    tile_sum_part(t, a, kexpr_var(p, row), rows, piece);
    t->base[t->row] = kexpr_binary(p, '-', base, rows);
    finish_row(t, row, late);
    t->base[t->row] = base;
    kstmt_add(piece, kstmt_if(p, kexpr_fn(p, FN_gt, base, t->row_from, NULL), late, NULL));
    kstmt_add(out, kstmt_for(p, row, AXIS_SERIAL, kexpr_index(p, 0), rows, 1, piece));
    keep_sums(t, a, out);
}
