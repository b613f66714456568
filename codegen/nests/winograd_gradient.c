/* The nests of a gradient by the weights by F(3x3, 2x2) (winograd.h): what comes in stands for the weights of 2 x 2
 * taps, the taps are the results, and the products of all tiles of a part of the samples are summed before they are
 * transformed. Leaves f->kernel over the blocks of each part (KKernel.block_first). */
#include "codegen/nests/winograd_parts.h"

static KExpr *number(const Filter *f, int64_t n) {
    return kexpr_index(f->p, n);
}

static KExpr *sum(const Filter *f, KExpr *a, KExpr *b) {
    return kexpr_fn(f->p, FN_add, a, b, NULL);
}

static KExpr *difference(const Filter *f, KExpr *a, KExpr *b) {
    return kexpr_fn(f->p, FN_sub, a, b, NULL);
}

/* What is computed gets a name, what is loaded has one. */
static KExpr *named(const Filter *f, const Nest *nest, const char *name, KExpr *value) {
    return value->kind == KE_LOAD ? value : winograd_named(f, f->kernel, nest->epilogue, name, value);
}

/* G g of one column; its halves are left to the sums. */
static void transform_incoming(const Filter *f, KExpr *const g[TILE], KExpr *to[PATCH]) {
    to[0] = g[0];
    to[1] = sum(f, g[0], g[1]);
    to[2] = difference(f, g[0], g[1]);
    to[3] = g[1];
}

/* A^T m of one column. */
static void transform_sums(const Filter *f, const Nest *nest, KExpr *const m[PATCH], KExpr *to[TAPS]) {
    KExpr *half = kexpr_number(f->p, KBASE_F32, 0.5);
    KExpr *middle = kexpr_fn(f->p, FN_mul, sum(f, m[1], m[2]), half, NULL);
    middle = named(f, nest, "middle", middle);
    to[0] = sum(f, m[0], middle);
    to[1] = kexpr_fn(f->p, FN_mul, difference(f, m[1], m[2]), half, NULL);
    to[2] = difference(f, middle, m[3]);
}

/* ---- nests for each part: its sums begin as zero, and end as results */

static Nest *over_sums(const Filter *f, bool places, KExpr **index) {
    Nest *nest = winograd_nest(f, f->kernel);
    int count = 0;
    index[count++] = winograd_axis(f, nest, "part", dim_static(f->parts), false);
    index[count++] = places ? winograd_axis(f, nest, "ij", dim_static(PLACES), false) : NULL;
    index[count++] = winograd_axis(f, nest, "c", dim_static(f->channels), false);
    index[count++] = winograd_axis(f, nest, "n", dim_static(f->features), false);
    return nest;
}

static void make_zeros(Filter *f, KSequence *sequence) {
    Dim dims[] = {dim_static(f->parts), dim_static(PLACES), dim_static(f->channels), dim_static(f->features)};
    KExpr *index[MAX_RANK];
    Nest *nest = over_sums(f, true, index);
    f->products =
        kbuffer_new(f->p, SPACE_ARENA, arena_format(f->p->arena, "%s_products", f->kernel->name), KBASE_F32, 4, dims);
    f->products->sequence = sequence;
    f->products->layer = f->nest->layer;
    f->products->odd_rows = true;
    kstmt_add(nest->epilogue, kstmt_store(f->p, f->products, index, 4, kexpr_number(f->p, KBASE_F32, 0), NULL));
}

/* The epilogue of the direct form, for each tap. */
static void finish_tap(const Filter *f, Nest *nest, KExpr *const *index, KExpr *result, const int64_t tap[2]) {
    Copy c = {.f = f, .out = nest->epilogue};
    winograd_replace(&c, winograd_var(f, 0), index[0]);
    winograd_replace(&c, winograd_var(f, f->channel), index[2]);
    winograd_replace(&c, winograd_var(f, f->feature), index[3]);
    for (int s = 0; s < 2; s++) {
        const Side *side = &f->side[s];
        winograd_replace(&c, winograd_var(f, side->tap), number(f, side->backwards ? TAPS - 1 - tap[s] : tap[s]));
    }
    winograd_replace(&c, f->nest->reductions[0].result, result);
    winograd_copy_block(&c, f->nest->epilogue);
}

static void make_results(Filter *f) {
    KExpr *index[MAX_RANK], *half[TAPS][PATCH], *column[TAPS];
    Nest *nest = over_sums(f, false, index);
    for (int j = 0; j < PATCH; j++) {
        KExpr *m[PATCH];
        for (int i = 0; i < PATCH; i++) {
            index[1] = number(f, PATCH * i + j);
            m[i] = kexpr_load(f->p, f->products, index, 4);
        }
        transform_sums(f, nest, m, column);
        for (int i = 0; i < TAPS; i++)
            half[i][j] = named(f, nest, "a", column[i]);
    }
    for (int i = 0; i < TAPS; i++) {
        transform_sums(f, nest, half[i], column);
        for (int j = 0; j < TAPS; j++)
            finish_tap(f, nest, index, named(f, nest, "g", column[j]), (int64_t[]){i, j});
    }
}

/* ---- nests for each block */

static KExpr *incoming_at(const Filter *f, const Blocks *b, KExpr *feature, const int64_t at[2]) {
    KVar *from[] = {winograd_var(f, f->sample), winograd_var(f, f->feature), winograd_var(f, f->side[0].position),
                    winograd_var(f, f->side[1].position)};
    KExpr *to[] = {b->sample, feature, NULL, NULL};
    for (int s = 0; s < 2; s++)
        to[2 + s] = kexpr_binary(f->p, '+', kexpr_binary(f->p, '*', b->tile[s], number(f, TILE)), number(f, at[s]));
    return kexpr_substitute(f->p, f->weights, from, to, 4);
}

static void make_incoming(Filter *f) {
    Blocks b = winograd_over_blocks(f);
    winograd_over_tiles(f, &b);
    KExpr *feature = winograd_axis(f, b.nest, "n", dim_static(f->features), false), *index[MAX_RANK];
    KExpr *half[PATCH][TILE], *row[PATCH];
    f->transformed = winograd_local(f, &b, "incoming", f->features);
    for (int64_t j = 0; j < TILE; j++) {
        KExpr *g[TILE];
        for (int64_t i = 0; i < TILE; i++)
            g[i] = incoming_at(f, &b, feature, (int64_t[]){i, j});
        transform_incoming(f, g, row);
        for (int i = 0; i < PATCH; i++)
            half[i][j] = named(f, b.nest, "h", row[i]);
    }
    for (int i = 0; i < PATCH; i++) {
        transform_incoming(f, half[i], row);
        for (int j = 0; j < PATCH; j++) {
            int count = winograd_local_index(f, &b, number(f, PATCH * i + j), b.in_block, feature, index);
            kstmt_add(b.nest->epilogue, kstmt_store(f->p, f->transformed, index, count, row[j], NULL));
        }
    }
}

/* What comes in for the next block, too, if it lies like the image. */
static void fetch_incoming(const Filter *f, const Blocks *b) {
    const KExpr *load = f->weights;
    const int axes[] = {f->sample, f->side[0].position, f->side[1].position, f->feature};
    for (int i = 0; i < load->load.index_count; i++)
        if (nest_axis(f->nest, load->load.index[i]) != axes[i])
            return;
    winograd_fetch_rows(f, b, load->load.buffer, TILE, false);
}

/* Added to those of the blocks before, place by place. */
static void make_products(Filter *f) {
    KProgram *p = f->p;
    Blocks b = winograd_over_blocks(f);
    KExpr *place = winograd_axis(f, b.nest, "ij", dim_static(PLACES), false), *index[MAX_RANK];
    KExpr *channel = winograd_axis(f, b.nest, "c", dim_static(f->channels), false);
    KExpr *feature = winograd_axis(f, b.nest, "n", dim_static(f->features), false);
    KExpr *tile = winograd_axis(f, b.nest, "t", dim_static(f->side[0].block * f->side[1].block), true);
    KExpr *at[] = {b.block[0], place, channel, feature};
    NestReduction *total = &b.nest->reductions[b.nest->reduction_count++];
    int count = winograd_local_index(f, &b, place, tile, channel, index);
    KExpr *patch = kexpr_load(p, f->patches, index, count);
    winograd_local_index(f, &b, place, tile, feature, index);
    total->kind = REDUCE_SUM;
    total->expr = kexpr_fn(p, FN_mul, patch, kexpr_load(p, f->transformed, index, count), NULL);
    total->result = kvar_new(p, f->kernel, "sum", (KType){KBASE_F32, 1}, true);
    KExpr *before = named(f, b.nest, "before", kexpr_load(p, f->products, at, 4));
    kstmt_add(b.nest->epilogue, kstmt_store(p, f->products, at, 4, sum(f, before, kexpr_var(p, total->result)), NULL));
    winograd_fetch_image(f, &b);
    fetch_incoming(f, &b);
}

void winograd_make_gradient(Filter *f, KSequence *sequence) {
    KKernel *kernel = f->kernel;
    kernel->nest_count = 0;
    make_zeros(f, sequence);
    kernel->block_first = kernel->nest_count;
    winograd_make_patches(f);
    make_incoming(f);
    make_products(f);
    kernel->block_end = kernel->nest_count;
    make_results(f);
}
