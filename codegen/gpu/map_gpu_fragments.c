/* Products of the tiles of map_gpu_tile.c on tensor cores: the eight warps of a block share the tile, each multiplies
 * fragments of 16 rows and 8 columns from the panels in shared memory. */
#include "codegen/gpu/map_gpu_tile.h"

static KExpr *binary(const GpuTile *t, char op, KExpr *e, int64_t n) {
    return kexpr_binary(t->g->p, op, e, gpu_number(t, n));
}

/* A name for a value that many places need. */
static KExpr *named(const GpuTile *t, const char *name, int64_t limit, KExpr *e, KStmt *out) {
    KVar *var = gpu_index_var(t->g, name, limit);
    kstmt_add(out, kstmt_let(t->g->p, var, e));
    return kexpr_var(t->g->p, var);
}

/* The number of a thread counts x first. */
void gpu_fragment_threads(GpuTile *t, KStmt *out) {
    const GpuTileShape *s = &t->shape;
    KProgram *p = t->g->p;
    int64_t beside = GPU_SIDE / 2 / s->warps; /* warps along the columns */
    KExpr *x = kexpr_var(p, t->x), *y = kexpr_var(p, t->y), *warp = binary(t, '/', y, 2);
    t->group =
        named(t, "group", MMA_COLUMNS, gpu_plus(t, gpu_times(t, binary(t, '%', y, 2), 4), binary(t, '/', x, 4)), out);
    t->place = named(t, "place", 4, binary(t, '%', x, 4), out);
    t->warp[0] = named(t, "warp_row", GPU_SIDE * s->rows,
                       gpu_times(t, binary(t, '/', warp, beside), s->row_fragments * MMA_ROWS), out);
    t->warp[1] = named(t, "warp_column", GPU_SIDE * s->columns,
                       gpu_times(t, binary(t, '%', warp, beside), s->column_fragments * MMA_COLUMNS), out);
}

/* Element number e of a thread in the fragment that begins at term k and at `from` in the group; `along`: 16 rows of
 * the left operand, in halves of 8, or 8 columns of the right one (codegen/kir/kir.h, KMma). */
static KExpr *element(const GpuTile *t, int which, int e, KExpr *half, KExpr *k, KExpr *from) {
    int width = kmma_depth(t->shape.precision) / 8, r = e / width, halves = which ? 1 : 2;
    KExpr *term = gpu_plus(t, gpu_times(t, t->place, width), gpu_number(t, e % width + 4 * width * (r / halves)));
    KExpr *at = gpu_plus(t, gpu_plus(t, from, t->group), gpu_number(t, 8 * (r % halves)));
    KExpr *index[] = {half, gpu_plus(t, k, term), at};
    return kexpr_load(t->g->p, t->operands[which].panel, index, 3);
}

void gpu_fragment_products(const GpuTile *t, KExpr *half, KStmt *out) {
    KProgram *p = t->g->p;
    KExpr *step, *i, *j;
    int depth = kmma_depth(t->shape.precision);
    KStmt *body = gpu_unrolled(t, "k", GPU_PANEL / depth, &step, out);
    body = gpu_unrolled(t, "i", t->shape.row_fragments, &i, body);
    body = gpu_unrolled(t, "j", t->shape.column_fragments, &j, body);
    KExpr *k = gpu_times(t, step, depth), *index[] = {i, j, gpu_number(t, 0)};
    KExpr *row = gpu_plus(t, t->warp[0], gpu_times(t, i, MMA_ROWS));
    KExpr *column = gpu_plus(t, t->warp[1], gpu_times(t, j, MMA_COLUMNS));
    KMma mma = {.precision = t->shape.precision, .sum = t->sums, .index = index, .index_count = 3};
    for (int e = 0; e < depth / 2; e++)
        mma.a[e] = element(t, 0, e, half, k, row);
    for (int e = 0; e < depth / 4; e++)
        mma.b[e] = element(t, 1, e, half, k, column);
    kstmt_add(body, kstmt_mma(p, &mma));
}

KExpr *gpu_fragment_place(const GpuTile *t, int which, KExpr *i) {
    KExpr *fragment = gpu_times(t, binary(t, '/', i, 2), which ? MMA_COLUMNS : MMA_ROWS), *rest = binary(t, '%', i, 2);
    KExpr *own = which ? gpu_plus(t, gpu_times(t, t->place, 2), rest) : gpu_plus(t, t->group, gpu_times(t, rest, 8));
    return gpu_plus(t, gpu_plus(t, t->warp[which], fragment), own);
}

KExpr *gpu_fragment_sum(const GpuTile *t, KExpr *row, KExpr *column) {
    KExpr *element = gpu_plus(t, gpu_times(t, binary(t, '%', row, 2), 2), binary(t, '%', column, 2));
    KExpr *index[] = {binary(t, '/', row, 2), binary(t, '/', column, 2), element};
    return kexpr_load(t->g->p, t->sums, index, 3);
}
