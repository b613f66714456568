/* The nests that compute a convolution by F(2x2, 3x3), and the kernel before that transforms its weights (winograd.h).
 */
#include "codegen/nests/winograd_parts.h"

/* ---- expressions */

static KExpr *number(const Filter *f, int64_t n) {
    return kexpr_index(f->p, n);
}

KExpr *winograd_named(const Filter *f, KKernel *kernel, KStmt *block, const char *name, KExpr *value) {
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
    KExpr *ends = winograd_named(f, kernel, block, "ends", kexpr_fn(f->p, FN_mul, sum(f, g[0], g[2]), half, NULL));
    KExpr *middle = winograd_named(f, kernel, block, "middle", kexpr_fn(f->p, FN_mul, g[1], half, NULL));
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

Nest *winograd_nest(const Filter *f, KKernel *kernel) {
    Nest *nest = ARENA_NEW(f->p->arena, Nest);
    nest->kernel = kernel;
    nest->op = f->nest->op;
    nest->layer = f->nest->layer;
    nest->vector_axis = -1;
    nest->epilogue = kstmt_block(f->p);
    ARENA_PUSH(f->p->arena, kernel->nests, kernel->nest_count, kernel->nest_capacity, nest);
    return nest;
}

KExpr *winograd_axis(const Filter *f, Nest *nest, const char *name, Dim extent, bool reduce) {
    KVar *var = kvar_new(f->p, nest->kernel, name, (KType){KBASE_INDEX, 1}, false);
    nest->axes[nest->axis_count++] = (NestAxis){.var = var, .extent = extent, .reduce = reduce};
    nest->parallel_count += !reduce;
    return kexpr_var(f->p, var);
}

static KExpr *begin_of_part(const Filter *f, KExpr *part, int next, Dim samples) {
    KExpr *number_of_part = kexpr_binary(f->p, '+', part, number(f, next));
    return kexpr_binary(f->p, '/', kexpr_binary(f->p, '*', number_of_part, kexpr_dim(f->p, samples)),
                        number(f, f->parts));
}

/* Each part has its share of the samples. */
static void over_parts(const Filter *f, Blocks *b) {
    KExpr *part = winograd_axis(f, b->nest, "part", dim_static(f->parts), false);
    b->nest->sum_parts = f->parts;
    b->block[b->block_axes++] = part;
}

Blocks winograd_over_blocks(const Filter *f) {
    Blocks b = {.nest = winograd_nest(f, f->kernel)};
    static const char *const names[] = {"y0", "x0"};
    Dim samples = f->nest->axes[f->sample].extent;
    if (f->by_weights)
        over_parts(f, &b);
    b.sample = b.block[b.block_axes++] = winograd_axis(f, b.nest, "m", samples, false);
    if (f->by_weights) {
        b.nest->axes[1].from = begin_of_part(f, b.block[0], 0, samples);
        b.nest->axes[1].to = begin_of_part(f, b.block[0], 1, samples);
    }
    for (int s = 0; s < 2; s++) {
        const Side *side = &f->side[s];
        b.tile[s] = NULL;
        if (side->block == side->tiles)
            continue;
        KExpr *number_of_block = winograd_axis(f, b.nest, names[s], dim_static(side->tiles / side->block), false);
        b.block[b.block_axes++] = number_of_block;
        b.tile[s] = kexpr_binary(f->p, '*', number_of_block, number(f, side->block));
    }
    return b;
}

void winograd_over_tiles(const Filter *f, Blocks *b) {
    static const char *const names[] = {"y", "x"};
    b->in_block = number(f, 0);
    for (int s = 0; s < 2; s++) {
        KExpr *tile = winograd_axis(f, b->nest, names[s], dim_static(f->side[s].block), false);
        b->in_block = kexpr_binary(f->p, '*', b->in_block, number(f, f->side[s].block));
        b->in_block = kexpr_binary(f->p, '+', b->in_block, tile);
        b->tile[s] = b->tile[s] ? kexpr_binary(f->p, '+', b->tile[s], tile) : tile;
    }
}

/* All 16 places are touched together: they are an odd number of rows apart. By the weights, where more axes lead to a
 * block, places and tiles are one axis. */
static int64_t rows_of_place(const Filter *f) {
    return (f->side[0].block * f->side[1].block) | 1;
}

int winograd_local_index(const Filter *f, const Blocks *b, KExpr *place, KExpr *tile, KExpr *last, KExpr **index) {
    int count = 0;
    while (count < b->block_axes) {
        index[count] = b->block[count];
        count++;
    }
    if (f->by_weights)
        index[count++] = kexpr_binary(f->p, '+', kexpr_binary(f->p, '*', place, number(f, rows_of_place(f))), tile);
    else {
        index[count++] = place;
        index[count++] = tile;
    }
    index[count++] = last;
    return count;
}

KBuffer *winograd_local(const Filter *f, const Blocks *b, const char *name, int64_t last) {
    Dim dims[MAX_RANK];
    int rank = 0;
    for (; rank < b->block_axes; rank++)
        dims[rank] = b->nest->axes[rank].extent;
    if (f->by_weights)
        dims[rank++] = dim_static(PLACES * rows_of_place(f));
    else {
        dims[rank++] = dim_static(PLACES);
        dims[rank++] = dim_static(f->side[0].block * f->side[1].block);
    }
    dims[rank++] = dim_static(last);
    KBuffer *local = kbuffer_local(f->p, f->kernel, SPACE_LOCAL, name, KBASE_F32, rank, dims);
    local->odd_rows = !f->by_weights;
    return local;
}

/* A cell of the image: zero outside of it. */
static KExpr *cell_of_patch(const Filter *f, const Blocks *b, KExpr *channel, const int64_t at[2], KStmt *out) {
    KProgram *p = f->p;
    KExpr *index[MAX_RANK], *inside = NULL;
    const KExpr *load = f->image;
    for (int i = 0; i < load->load.index_count; i++)
        index[i] = nest_axis(f->nest, load->load.index[i]) == f->sample ? b->sample : channel;
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
    return inside ? winograd_named(f, f->kernel, out, "cell",
                                   kexpr_fn(p, FN_select, inside, cell, kexpr_number(p, KBASE_F32, 0)))
                  : cell;
}

void winograd_make_patches(Filter *f) {
    Blocks b = winograd_over_blocks(f);
    winograd_over_tiles(f, &b);
    KExpr *channel = winograd_axis(f, b.nest, "c", dim_static(f->channels), false), *index[MAX_RANK];
    f->patches = winograd_local(f, &b, "patches", f->channels);
    KExpr *half[PATCH][PATCH], *column[PATCH], *row[PATCH];
    for (int64_t j = 0; j < PATCH; j++) {
        KExpr *cells[PATCH];
        for (int64_t i = 0; i < PATCH; i++)
            cells[i] = cell_of_patch(f, &b, channel, (int64_t[]){i, j}, b.nest->epilogue);
        transform_cells(f, cells, column);
        for (int i = 0; i < PATCH; i++)
            half[i][j] = winograd_named(f, f->kernel, b.nest->epilogue, "b", column[i]);
    }
    for (int i = 0; i < PATCH; i++) {
        transform_cells(f, half[i], row);
        for (int j = 0; j < PATCH; j++) {
            int count = winograd_local_index(f, &b, number(f, PATCH * i + j), b.in_block, channel, index);
            kstmt_add(b.nest->epilogue, kstmt_store(f->p, f->patches, index, count, row[j], NULL));
        }
    }
}

/* ---- what comes soon, fetched while the products are summed */

enum { FAR_BYTES = 1 << 19 }; /* smaller ones stay in the second cache */
enum { FAR_STEP = 1 << 26 };  /* a function that makes more than this leaves nothing in the third one */

static bool lies_far(const Filter *f, const KBuffer *buffer) {
    const KProgram *p = f->p;
    int64_t batch = p->module->batch_max, all = 0;
    if (f->use == WINOGRAD_EVERYWHERE)
        return true;
    for (int i = 0; i < p->buffer_count; i++)
        if (p->buffers[i]->space == SPACE_ARENA && !p->buffers[i]->alias && p->buffers[i]->sequence == buffer->sequence)
            all += kbuffer_elements(p->buffers[i], batch) * kbase_bytes(p->buffers[i]->base);
    return all >= FAR_STEP && kbuffer_elements(buffer, batch) * kbase_bytes(KBASE_F32) >= FAR_BYTES;
}

static void fetch(const Filter *f, const Blocks *b, KBuffer *buffer, KExpr *first, int64_t rows, bool written) {
    Nest *nest = b->nest;
    if (buffer->space == SPACE_ARENA && buffer->base == KBASE_F32 && buffer->rank == 4 && buffer->dims[0].batch &&
        nest->coming_count < NEST_MAX_COMING && lies_far(f, buffer))
        nest->coming[nest->coming_count++] = (NestComing){buffer, first, rows, written};
}

/* Number of a row, that of the first tile of the block times so many rows and then some more; blocks of whole samples
 * are so many samples further. */
static KExpr *number_of_row(const Filter *f, const Blocks *b, int64_t extent, int64_t by, int64_t more, bool next) {
    KProgram *p = f->p;
    bool whole = f->side[0].block == f->side[0].tiles;
    KExpr *sample = next && whole ? kexpr_binary(p, '+', b->sample, number(f, f->samples)) : b->sample;
    KExpr *row = kexpr_binary(p, '*', sample, number(f, extent));
    if (whole)
        return row;
    row = kexpr_binary(p, '+', row, kexpr_binary(p, '*', b->tile[0], number(f, by)));
    return kexpr_binary(p, '+', row, number(f, more + (next ? f->side[0].block * by : 0)));
}

static bool has_whole_rows(const Filter *f) {
    return f->side[1].block == f->side[1].tiles;
}

static int64_t rows_of_block(const Filter *f, int64_t extent, int64_t rows_of_tile) {
    return f->side[0].block == f->side[0].tiles ? extent : f->side[0].block * rows_of_tile;
}

void winograd_fetch_image(const Filter *f, const Blocks *b) {
    const KExpr *load = f->image;
    bool in_order =
        nest_axis(f->nest, load->load.index[0]) == f->sample && f->side[0].place == 1 && f->side[1].place == 2;
    int64_t extent = f->cells->dims[1].n;
    if (in_order && has_whole_rows(f)) /* the last two rows of a block's patches are the first ones of the next */
        fetch(f, b, f->cells, number_of_row(f, b, extent, TILE, f->side[0].low + PATCH - TILE, true),
              rows_of_block(f, extent, TILE), false);
}

void winograd_fetch_rows(const Filter *f, const Blocks *b, KBuffer *buffer, int64_t rows_of_tile, bool written) {
    if (buffer->rank == 4 && has_whole_rows(f))
        fetch(f, b, buffer, number_of_row(f, b, buffer->dims[1].n, rows_of_tile, 0, f->by_weights),
              rows_of_block(f, buffer->dims[1].n, rows_of_tile), written);
}

typedef struct {
    const Filter *f;
    const Blocks *b;
} Touched;

static void touch(const Touched *t, KBuffer *buffer, KExpr *const *index, int count, bool written) {
    const Filter *f = t->f;
    const int axes[] = {f->sample, f->side[0].position, f->side[1].position, f->feature};
    for (int i = 0; i < t->b->nest->coming_count; i++)
        if (t->b->nest->coming[i].buffer == buffer)
            return;
    for (int i = 0; i < count; i++)
        if (count != 4 || nest_axis(f->nest, index[i]) != axes[i])
            return;
    if (count == 4)
        winograd_fetch_rows(f, t->b, buffer, winograd_has_windows(f) ? 1 : TILE, written);
}

static void touch_store(void *context, const KStmt *s) {
    if (s->kind == KS_STORE)
        touch(context, s->store.buffer, s->store.index, s->store.index_count, true);
}

static void touch_load(void *context, const KExpr *e) {
    if (e->kind == KE_LOAD)
        touch(context, e->load.buffer, e->load.index, e->load.index_count, false);
}

static void fetch_for_epilogue(const Filter *f, const Blocks *b) {
    Touched touched = {f, b};
    kstmt_visit(f->nest->epilogue, &(KVisitor){touch_store, touch_load, &touched, NULL});
}

static void make_products(Filter *f) {
    KProgram *p = f->p;
    Blocks b = winograd_over_blocks(f);
    KExpr *place = winograd_axis(f, b.nest, "ij", dim_static(PLACES), false), *index[MAX_RANK];
    KExpr *tile = winograd_axis(f, b.nest, "t", dim_static(f->side[0].block * f->side[1].block), false);
    KExpr *feature = winograd_axis(f, b.nest, "n", dim_static(f->features), false);
    KExpr *channel = winograd_axis(f, b.nest, "c", dim_static(f->channels), true);
    f->products = winograd_local(f, &b, "products", f->features);
    NestReduction *total = &b.nest->reductions[b.nest->reduction_count++];
    int count = winograd_local_index(f, &b, place, tile, channel, index);
    KExpr *of_weights[] = {place, channel, feature};
    total->kind = REDUCE_SUM;
    total->expr = kexpr_fn(p, FN_mul, kexpr_load(p, f->patches, index, count),
                           kexpr_load(p, f->transformed, of_weights, 3), NULL);
    total->result = kvar_new(p, f->kernel, "sum", (KType){KBASE_F32, 1}, true);
    winograd_local_index(f, &b, place, tile, feature, index);
    kstmt_add(b.nest->epilogue, kstmt_store(p, f->products, index, count, kexpr_var(p, total->result), NULL));
    winograd_fetch_image(f, &b);
    fetch_for_epilogue(f, &b);
}

/* ---- the epilogue, for each result of a tile */

void winograd_replace(Copy *c, KVar *from, KExpr *to) {
    c->from[c->count] = from;
    c->to[c->count++] = to;
}

static KExpr *replaced(const Copy *c, const KExpr *e) {
    return kexpr_substitute(c->f->p, e, c->from, c->to, c->count);
}

void winograd_copy_block(Copy *c, const KStmt *block) {
    for (const KStmt *s = block->block.first; s; s = s->next) {
        KExpr *index[MAX_RANK];
        if (s->kind == KS_BLOCK)
            winograd_copy_block(c, s);
        else if (s->kind == KS_LET)
            winograd_replace(c, s->let.var,
                             winograd_named(c->f, c->f->kernel, c->out, s->let.var->name, replaced(c, s->let.value)));
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
        KExpr *better = winograd_named(c->f, c->f->kernel, c->out, "better", kexpr_fn(p, FN_gt, value, *best, NULL));
        *at = winograd_named(c->f, c->f->kernel, c->out, pool->result->name, kexpr_fn(p, FN_select, better, here, *at));
    }
    ScalarFn fn = pool->kind == REDUCE_SUM ? FN_add : pool->kind == REDUCE_MAX ? FN_max : FN_min;
    *best = winograd_named(c->f, c->f->kernel, c->out, "best", kexpr_fn(p, fn, value, *best, NULL));
}

/* The tile is a window: its cells, its pools, then the epilogue. */
static void finish_window(Copy *c, KExpr *const results[PLACES]) {
    const Nest *nest = c->f->nest;
    KExpr *best[2] = {NULL}, *at[2] = {NULL};
    int before = c->count;
    for (int n = 0; n < TILE * TILE; n++) {
        c->count = before;
        winograd_replace(c, nest->reductions[0].result, results[n]);
        for (int i = 0; i < 2; i++)
            winograd_replace(c, nest->cells[i].var, number(c->f, i == 0 ? n / TILE : n % TILE));
        winograd_copy_block(c, nest->cell);
        for (int i = 0; i < nest->pool_count; i++)
            take_cell(c, &nest->pools[i], n, &best[i], &at[i]);
    }
    c->count = before;
    for (int i = 0; i < nest->pool_count; i++)
        winograd_replace(c, nest->pools[i].result, nest->pools[i].argument ? at[i] : best[i]);
    winograd_copy_block(c, nest->epilogue);
}

static void finish_results(Copy *c, const Blocks *b, KExpr *const results[PLACES]) {
    const Filter *f = c->f;
    int before = c->count;
    for (int n = 0; n < TILE * TILE; n++) {
        c->count = before;
        for (int s = 0; s < 2; s++) {
            KExpr *first = kexpr_binary(f->p, '*', b->tile[s], number(f, TILE));
            winograd_replace(c, winograd_var(f, f->side[s].position),
                             kexpr_binary(f->p, '+', first, number(f, s == 0 ? n / TILE : n % TILE)));
        }
        winograd_replace(c, f->nest->reductions[0].result, results[n]);
        winograd_copy_block(c, f->nest->epilogue);
    }
}

static void make_results(Filter *f) {
    Blocks b = winograd_over_blocks(f);
    winograd_over_tiles(f, &b);
    KExpr *feature = winograd_axis(f, b.nest, "n", dim_static(f->features), false), *index[MAX_RANK];
    KExpr *half[TILE][PATCH], *results[PLACES], *column[TILE];
    KStmt *out = b.nest->epilogue;
    for (int j = 0; j < PATCH; j++) {
        KExpr *m[PATCH];
        for (int i = 0; i < PATCH; i++) {
            int count = winograd_local_index(f, &b, number(f, PATCH * i + j), b.in_block, feature, index);
            m[i] = kexpr_load(f->p, f->products, index, count);
        }
        transform_products(f, m, column);
        for (int i = 0; i < TILE; i++)
            half[i][j] = winograd_named(f, f->kernel, out, "a", column[i]);
    }
    for (int i = 0; i < TILE; i++) {
        transform_products(f, half[i], column);
        for (int j = 0; j < TILE; j++)
            results[TILE * i + j] = winograd_named(f, f->kernel, out, f->nest->reductions[0].result->name, column[j]);
    }
    Copy c = {.f = f, .out = out};
    winograd_replace(&c, winograd_var(f, 0), b.block[0]);
    winograd_replace(&c, winograd_var(f, f->feature), feature);
    if (winograd_has_windows(f)) {
        for (int s = 0; s < 2; s++)
            winograd_replace(&c, winograd_var(f, f->side[s].position), b.tile[s]);
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
    Nest *nest = winograd_nest(f, kernel);
    KExpr *channel = winograd_axis(f, nest, "c", dims[1], false),
          *feature = winograd_axis(f, nest, "n", dims[2], false);
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
            half[i][j] = winograd_named(f, kernel, nest->epilogue, "h", column[i]);
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
    winograd_make_patches(f);
    make_products(f);
    make_results(f);
}
