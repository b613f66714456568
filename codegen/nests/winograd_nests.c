/* The nests that compute a convolution by F(2x2, 3x3), and the kernel before that transforms its weights (winograd.h).
 */
#include "codegen/nests/winograd_parts.h"

/* ---- expressions */

static KExpr *number(const Filter *f, int64_t n) {
    return kexpr_index(f->p, n);
}

static KExpr *named(const Filter *f, KKernel *kernel, KStmt *block, const char *name, KExpr *value) {
    KVar *var = kvar_new(f->p, kernel, name, value->type, false);
    kstmt_add(block, kstmt_let(f->p, var, value));
    return kexpr_var(f->p, var);
}

static KExpr *sum(const Filter *f, KExpr *a, KExpr *b) {
    return kexpr_fn(f->p, FN_add, a, b, NULL);
}

static KExpr *difference(const Filter *f, KExpr *a, KExpr *b) {
    return kexpr_fn(f->p, FN_sub, a, b, NULL);
}

/* B^T d of one column. */
static void transform_cells(const Filter *f, KExpr *const d[PATCH], KExpr *to[PATCH]) {
    to[0] = difference(f, d[0], d[2]);
    to[1] = sum(f, d[1], d[2]);
    to[2] = difference(f, d[2], d[1]);
    to[3] = difference(f, d[1], d[3]);
}

/* G g of one column. */
static void transform_taps(const Filter *f, KKernel *kernel, KStmt *block, KExpr *const g[TAPS], KExpr *to[PATCH]) {
    KExpr *half = kexpr_number(f->p, KBASE_F32, 0.5);
    KExpr *ends = named(f, kernel, block, "ends", kexpr_fn(f->p, FN_mul, sum(f, g[0], g[2]), half, NULL));
    KExpr *middle = named(f, kernel, block, "middle", kexpr_fn(f->p, FN_mul, g[1], half, NULL));
    to[0] = g[0];
    to[1] = sum(f, ends, middle);
    to[2] = difference(f, ends, middle);
    to[3] = g[2];
}

/* A^T m of one column. */
static void transform_products(const Filter *f, KExpr *const m[PATCH], KExpr *to[TILE]) {
    to[0] = sum(f, sum(f, m[0], m[1]), m[2]);
    to[1] = difference(f, difference(f, m[1], m[2]), m[3]);
}

/* ---- nests */

static Nest *new_nest(const Filter *f, KKernel *kernel) {
    Nest *nest = ARENA_NEW(f->p->arena, Nest);
    nest->kernel = kernel;
    nest->op = f->nest->op;
    nest->layer = f->nest->layer;
    nest->vector_axis = -1;
    nest->epilogue = kstmt_block(f->p);
    ARENA_PUSH(f->p->arena, kernel->nests, kernel->nest_count, kernel->nest_capacity, nest);
    return nest;
}

static KExpr *add_axis(const Filter *f, Nest *nest, const char *name, Dim extent, bool reduce) {
    KVar *var = kvar_new(f->p, nest->kernel, name, (KType){KBASE_INDEX, 1}, false);
    nest->axes[nest->axis_count++] = (NestAxis){.var = var, .extent = extent, .reduce = reduce};
    nest->parallel_count += !reduce;
    return kexpr_var(f->p, var);
}

/* A nest over blocks: sample, and which block of its tiles. */
typedef struct {
    Nest *nest;
    KExpr *block[3]; /* what leads to a block */
    int block_axes;
    KExpr *tile[2];  /* number of the tile at hand along each side */
    KExpr *in_block; /* .. in the block */
} Blocks;

static Blocks over_blocks(const Filter *f) {
    Blocks b = {.nest = new_nest(f, f->kernel)};
    static const char *const names[] = {"y0", "x0"};
    b.block[b.block_axes++] = add_axis(f, b.nest, "m", f->nest->axes[0].extent, false);
    for (int s = 0; s < 2; s++) {
        const Side *side = &f->side[s];
        b.tile[s] = NULL;
        if (side->block == side->tiles)
            continue;
        KExpr *number_of_block = add_axis(f, b.nest, names[s], dim_static(side->tiles / side->block), false);
        b.block[b.block_axes++] = number_of_block;
        b.tile[s] = kexpr_binary(f->p, '*', number_of_block, number(f, side->block));
    }
    return b;
}

static void over_tiles(const Filter *f, Blocks *b) {
    static const char *const names[] = {"y", "x"};
    b->in_block = number(f, 0);
    for (int s = 0; s < 2; s++) {
        KExpr *tile = add_axis(f, b->nest, names[s], dim_static(f->side[s].block), false);
        b->in_block = kexpr_binary(f->p, '*', b->in_block, number(f, f->side[s].block));
        b->in_block = kexpr_binary(f->p, '+', b->in_block, tile);
        b->tile[s] = b->tile[s] ? kexpr_binary(f->p, '+', b->tile[s], tile) : tile;
    }
}

static int local_index(const Blocks *b, KExpr *place, KExpr *tile, KExpr *last, KExpr **index) {
    for (int i = 0; i < b->block_axes; i++)
        index[i] = b->block[i];
    index[b->block_axes] = place;
    index[b->block_axes + 1] = tile;
    index[b->block_axes + 2] = last;
    return b->block_axes + 3;
}

static KBuffer *local_buffer(const Filter *f, const Blocks *b, const char *name, int64_t last) {
    Dim dims[MAX_RANK];
    for (int i = 0; i < b->block_axes; i++)
        dims[i] = b->nest->axes[i].extent;
    dims[b->block_axes] = dim_static(PLACES);
    dims[b->block_axes + 1] = dim_static(f->side[0].block * f->side[1].block);
    dims[b->block_axes + 2] = dim_static(last);
    KBuffer *local = kbuffer_local(f->p, f->kernel, SPACE_LOCAL, name, KBASE_F32, b->block_axes + 3, dims);
    local->odd_rows = true; /* all 16 places are touched together */
    return local;
}

/* A cell of the image: zero outside of it. */
static KExpr *cell_of_patch(const Filter *f, const Blocks *b, KExpr *channel, const int64_t at[2], KStmt *out) {
    KProgram *p = f->p;
    KExpr *index[MAX_RANK], *inside = NULL;
    const KExpr *load = f->image;
    for (int i = 0; i < load->load.index_count; i++)
        index[i] = nest_axis(f->nest, load->load.index[i]) == 0 ? b->block[0] : channel;
    for (int s = 0; s < 2; s++) {
        const Side *side = &f->side[s];
        int64_t extent = f->cells->dims[side->place].n, first = at[s] + side->low;
        KExpr *cell = kexpr_binary(p, '+', kexpr_binary(p, '*', b->tile[s], number(f, TILE)), number(f, first));
        KExpr *tests[2] = {NULL, NULL}, *place = cell;
        if (first < 0) {
            tests[0] = kexpr_fn(p, FN_ge, cell, number(f, 0), NULL);
            place = kexpr_binary(p, 'M', place, number(f, 0));
        }
        if (TILE * (side->tiles - 1) + first >= extent) {
            tests[1] = kexpr_fn(p, FN_lt, cell, number(f, extent), NULL);
            place = kexpr_binary(p, 'm', place, number(f, extent - 1));
        }
        for (int i = 0; i < 2; i++)
            if (tests[i])
                inside = inside ? kexpr_fn(p, FN_and, inside, tests[i], NULL) : tests[i];
        index[side->place] = place;
    }
    KExpr *cell = kexpr_load(p, f->cells, index, load->load.index_count);
    return inside
               ? named(f, f->kernel, out, "cell", kexpr_fn(p, FN_select, inside, cell, kexpr_number(p, KBASE_F32, 0)))
               : cell;
}

static void make_patches(Filter *f) {
    Blocks b = over_blocks(f);
    over_tiles(f, &b);
    KExpr *channel = add_axis(f, b.nest, "c", dim_static(f->channels), false), *index[MAX_RANK];
    f->patches = local_buffer(f, &b, "patches", f->channels);
    KExpr *half[PATCH][PATCH], *column[PATCH], *row[PATCH];
    for (int64_t j = 0; j < PATCH; j++) {
        KExpr *cells[PATCH];
        for (int64_t i = 0; i < PATCH; i++)
            cells[i] = cell_of_patch(f, &b, channel, (int64_t[]){i, j}, b.nest->epilogue);
        transform_cells(f, cells, column);
        for (int i = 0; i < PATCH; i++)
            half[i][j] = named(f, f->kernel, b.nest->epilogue, "b", column[i]);
    }
    for (int i = 0; i < PATCH; i++) {
        transform_cells(f, half[i], row);
        for (int j = 0; j < PATCH; j++) {
            int count = local_index(&b, number(f, PATCH * i + j), b.in_block, channel, index);
            kstmt_add(b.nest->epilogue, kstmt_store(f->p, f->patches, index, count, row[j], NULL));
        }
    }
}

static void make_products(Filter *f) {
    KProgram *p = f->p;
    Blocks b = over_blocks(f);
    KExpr *place = add_axis(f, b.nest, "ij", dim_static(PLACES), false), *index[MAX_RANK];
    KExpr *tile = add_axis(f, b.nest, "t", dim_static(f->side[0].block * f->side[1].block), false);
    KExpr *feature = add_axis(f, b.nest, "n", dim_static(f->features), false);
    KExpr *channel = add_axis(f, b.nest, "c", dim_static(f->channels), true);
    f->products = local_buffer(f, &b, "products", f->features);
    NestReduction *total = &b.nest->reductions[b.nest->reduction_count++];
    int count = local_index(&b, place, tile, channel, index);
    KExpr *of_weights[] = {place, channel, feature};
    total->kind = REDUCE_SUM;
    total->expr = kexpr_fn(p, FN_mul, kexpr_load(p, f->patches, index, count),
                           kexpr_load(p, f->transformed, of_weights, 3), NULL);
    total->result = kvar_new(p, f->kernel, "sum", (KType){KBASE_F32, 1}, true);
    local_index(&b, place, tile, feature, index);
    kstmt_add(b.nest->epilogue, kstmt_store(p, f->products, index, count, kexpr_var(p, total->result), NULL));
}

/* ---- the epilogue, for each result of a tile */

enum { MOST_VARIABLES = 64 };
typedef struct {
    const Filter *f;
    KStmt *out;
    KVar *from[MOST_VARIABLES]; /* variables of the direct form */
    KExpr *to[MOST_VARIABLES];
    int count;
} Copy;

static void replace(Copy *c, KVar *from, KExpr *to) {
    c->from[c->count] = from;
    c->to[c->count++] = to;
}

static KExpr *replaced(const Copy *c, const KExpr *e) {
    return kexpr_substitute(c->f->p, e, c->from, c->to, c->count);
}

static void copy_block(Copy *c, const KStmt *block) {
    for (const KStmt *s = block->block.first; s; s = s->next) {
        KExpr *index[MAX_RANK];
        if (s->kind == KS_BLOCK)
            copy_block(c, s);
        else if (s->kind == KS_LET)
            replace(c, s->let.var, named(c->f, c->f->kernel, c->out, s->let.var->name, replaced(c, s->let.value)));
        else {
            for (int i = 0; i < s->store.index_count; i++)
                index[i] = replaced(c, s->store.index[i]);
            kstmt_add(c->out, kstmt_store(c->f->p, s->store.buffer, index, s->store.index_count,
                                          replaced(c, s->store.value), NULL));
        }
    }
}

static int count_lets(const KStmt *block) {
    int count = 0;
    for (const KStmt *s = block->block.first; s; s = s->next)
        count += s->kind == KS_BLOCK ? count_lets(s) : s->kind == KS_LET;
    return count;
}

/* Axes and cells, sums and pools are replaced too. */
bool winograd_fits_in_a_copy(const Nest *nest) {
    int lets = count_lets(nest->epilogue) + (nest->cell ? count_lets(nest->cell) : 0);
    return lets + NEST_MAX_AXES + 8 <= MOST_VARIABLES;
}

/* A pool takes in cell number n: the number of the first largest, or what is largest, or the sum. */
static void take_cell(Copy *c, const NestReduction *pool, int n, KExpr **best, KExpr **at) {
    KProgram *p = c->f->p;
    KExpr *value = replaced(c, pool->expr), *here = kexpr_number(p, KBASE_I32, n);
    if (n == 0) {
        *best = value;
        *at = here;
        return;
    }
    if (pool->argument) {
        KExpr *better = named(c->f, c->f->kernel, c->out, "better", kexpr_fn(p, FN_gt, value, *best, NULL));
        *at = named(c->f, c->f->kernel, c->out, pool->result->name, kexpr_fn(p, FN_select, better, here, *at));
    }
    ScalarFn fn = pool->kind == REDUCE_SUM ? FN_add : pool->kind == REDUCE_MAX ? FN_max : FN_min;
    *best = named(c->f, c->f->kernel, c->out, "best", kexpr_fn(p, fn, value, *best, NULL));
}

/* The tile is a window: its cells, its pools, then the epilogue. */
static void finish_window(Copy *c, KExpr *const results[PLACES]) {
    const Nest *nest = c->f->nest;
    KExpr *best[2] = {NULL}, *at[2] = {NULL};
    int before = c->count;
    for (int n = 0; n < TILE * TILE; n++) {
        c->count = before;
        replace(c, nest->reductions[0].result, results[n]);
        for (int i = 0; i < 2; i++)
            replace(c, nest->cells[i].var, number(c->f, i == 0 ? n / TILE : n % TILE));
        copy_block(c, nest->cell);
        for (int i = 0; i < nest->pool_count; i++)
            take_cell(c, &nest->pools[i], n, &best[i], &at[i]);
    }
    c->count = before;
    for (int i = 0; i < nest->pool_count; i++)
        replace(c, nest->pools[i].result, nest->pools[i].argument ? at[i] : best[i]);
    copy_block(c, nest->epilogue);
}

static void finish_results(Copy *c, const Blocks *b, KExpr *const results[PLACES]) {
    const Filter *f = c->f;
    int before = c->count;
    for (int n = 0; n < TILE * TILE; n++) {
        c->count = before;
        for (int s = 0; s < 2; s++) {
            KExpr *first = kexpr_binary(f->p, '*', b->tile[s], number(f, TILE));
            replace(c, winograd_var(f, f->side[s].position),
                    kexpr_binary(f->p, '+', first, number(f, s == 0 ? n / TILE : n % TILE)));
        }
        replace(c, f->nest->reductions[0].result, results[n]);
        copy_block(c, f->nest->epilogue);
    }
}

static void make_results(Filter *f) {
    Blocks b = over_blocks(f);
    over_tiles(f, &b);
    KExpr *feature = add_axis(f, b.nest, "n", dim_static(f->features), false), *index[MAX_RANK];
    KExpr *half[TILE][PATCH], *results[PLACES], *column[TILE];
    KStmt *out = b.nest->epilogue;
    for (int j = 0; j < PATCH; j++) {
        KExpr *m[PATCH];
        for (int i = 0; i < PATCH; i++) {
            int count = local_index(&b, number(f, PATCH * i + j), b.in_block, feature, index);
            m[i] = kexpr_load(f->p, f->products, index, count);
        }
        transform_products(f, m, column);
        for (int i = 0; i < TILE; i++)
            half[i][j] = named(f, f->kernel, out, "a", column[i]);
    }
    for (int i = 0; i < TILE; i++) {
        transform_products(f, half[i], column);
        for (int j = 0; j < TILE; j++)
            results[TILE * i + j] = named(f, f->kernel, out, f->nest->reductions[0].result->name, column[j]);
    }
    Copy c = {.f = f, .out = out};
    replace(&c, winograd_var(f, 0), b.block[0]);
    replace(&c, winograd_var(f, f->feature), feature);
    if (winograd_has_windows(f)) {
        for (int s = 0; s < 2; s++)
            replace(&c, winograd_var(f, f->side[s].position), b.tile[s]);
        finish_window(&c, results);
    } else
        finish_results(&c, &b, results);
}

/* ---- the weights */

static KKernel *kernel_of_weights(const Filter *f, KSequence *sequence, int at) {
    KProgram *p = f->p;
    const KKernel *of = f->kernel;
    KKernel *kernel = kkernel_new(p, sequence, arena_format(p->arena, "%s_weights", of->name));
    ksequence_move(sequence, sequence->count - 1, at);
    kernel->span = of->span;
    kernel->layer = of->layer;
    kernel->role = of->role ? arena_format(p->arena, "%s_weights", of->role) : NULL;
    kernel->comment = arena_format(p->arena, "%s, transformed for F(2x2, 3x3)", f->weights->load.buffer->name);
    kernel->needs_barrier_before = of->needs_barrier_before;
    f->kernel->needs_barrier_before = true;
    return kernel;
}

static KExpr *tap_of_weights(const Filter *f, KExpr *channel, KExpr *feature, const int64_t at[2]) {
    KVar *from[] = {winograd_var(f, f->channel), winograd_var(f, f->feature), winograd_var(f, f->side[0].tap),
                    winograd_var(f, f->side[1].tap)};
    KExpr *to[] = {channel, feature, NULL, NULL};
    for (int s = 0; s < 2; s++)
        to[2 + s] = number(f, f->side[s].backwards ? TAPS - 1 - at[s] : at[s]);
    return kexpr_substitute(f->p, f->weights, from, to, 4);
}

void winograd_transform_weights(Filter *f, KSequence *sequence, int at) {
    KProgram *p = f->p;
    const char *name = arena_format(p->arena, "%s_transformed", f->weights->load.buffer->name);
    Dim dims[] = {dim_static(PLACES), dim_static(f->channels), dim_static(f->features)};
    KKernel *kernel = kernel_of_weights(f, sequence, at);
    Nest *nest = new_nest(f, kernel);
    KExpr *channel = add_axis(f, nest, "c", dims[1], false), *feature = add_axis(f, nest, "n", dims[2], false);
    KExpr *half[PATCH][TAPS], *column[PATCH];
    f->transformed = kbuffer_new(p, SPACE_ARENA, name, KBASE_F32, 3, dims);
    f->transformed->sequence = sequence;
    f->transformed->layer = f->nest->layer;
    f->transformed->odd_rows = true;
    for (int64_t j = 0; j < TAPS; j++) {
        KExpr *g[TAPS];
        for (int64_t i = 0; i < TAPS; i++)
            g[i] = tap_of_weights(f, channel, feature, (int64_t[]){i, j});
        transform_taps(f, kernel, nest->epilogue, g, column);
        for (int i = 0; i < PATCH; i++)
            half[i][j] = named(f, kernel, nest->epilogue, "h", column[i]);
    }
    for (int i = 0; i < PATCH; i++) {
        transform_taps(f, kernel, nest->epilogue, half[i], column);
        for (int j = 0; j < PATCH; j++) {
            KExpr *index[] = {number(f, PATCH * i + j), channel, feature};
            kstmt_add(nest->epilogue, kstmt_store(p, f->transformed, index, 3, column[j], NULL));
        }
    }
    kernel->work = nest_slots(nest, p->module->batch_max);
}

void winograd_make_nests(Filter *f) {
    f->kernel->nest_count = 0;
    make_patches(f);
    make_products(f);
    make_results(f);
}
