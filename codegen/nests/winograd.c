/* Which nests are convolutions, or gradients by their weights, that Winograd's minimal filtering computes with less
 * work, and what becomes of them (winograd.h). */
#include "codegen/nests/sequence.h"
#include "codegen/nests/winograd_parts.h"

enum { BLOCK_BYTES = 192 << 10 }; /* of patches and products: what is near, and fits on a stack */
enum { MOST_SAMPLES = 8 };        /* in a block */
enum { NEAR_BYTES = 1 << 19 };    /* transformed weights above this come from far for each block */

enum { MOST_PARTS = 8 }; /* of the samples, in a gradient by the weights */

/* Work in slots of a multiply-add for one channel or feature: a patch, the results of a tile, 3 x 3 weights; an element
 * of the weights that comes from far. */
enum { COST_PATCH = 64, COST_RESULTS = 60, COST_WEIGHTS = 160, COST_FAR = 4 };

/* By the weights: a patch, which nobody else reads, a tile of what comes in, the results of a part; an element of the
 * sums that a block adds to, near or, if there are more, far. */
enum { COST_LONE_PATCH = 100, COST_INCOMING = 85, COST_PART = 90, COST_ADDED = 2, COST_ADDED_FAR = 9 };
enum { NEAR_SUMS = 1 << 20 };

/* ---- is it one? */

KVar *winograd_var(const Filter *f, int axis) {
    return f->nest->axes[axis].var;
}

bool winograd_has_windows(const Filter *f) {
    return f->nest->cell_count > 0;
}

/* The index where all axes and cells are 0, but for two of them. */
static bool index_at(const Filter *f, const KExpr *e, KVar *position, int64_t at, KVar *tap, int64_t k,
                     int64_t *value) {
    KVar *from[NEST_MAX_AXES + 3];
    KExpr *to[NEST_MAX_AXES + 3];
    int count = 0;
    for (int i = 0; i < f->nest->axis_count + f->nest->cell_count; i++) {
        const NestAxis *axes = f->nest->axes, *cells = f->nest->cells;
        from[count] = i < f->nest->axis_count ? axes[i].var : cells[i - f->nest->axis_count].var;
        to[count] = kexpr_index(f->p, from[count] == position ? at : from[count] == tap ? k : 0);
        count++;
    }
    return kexpr_constant(kexpr_substitute(f->p, e, from, to, count), value);
}

static const NestAxis *summed_axis(const Filter *f, const Side *side) {
    return &f->nest->axes[f->by_weights ? side->position : side->tap];
}

/* Does the sum leave out those taps, and no others, that do not meet the image? */
static bool leaves_out_what_is_outside(const Filter *f, Side *side, int64_t extent) {
    const NestAxis *summed = summed_axis(f, side);
    const KExpr *index = f->image->load.index[side->place];
    KVar *position = winograd_var(f, side->position), *tap = winograd_var(f, side->tap);
    side->taps = 0;
    for (int64_t at = 0; at < f->nest->axes[side->position].extent.n; at++)
        for (int64_t k = 0; k < TAPS; k++) {
            int64_t from, to, cell, here = f->by_weights ? at : k;
            if (!index_at(f, summed->from, position, at, tap, k, &from) ||
                !index_at(f, summed->to, position, at, tap, k, &to) ||
                !index_at(f, index, position, at, tap, k, &cell) ||
                (here >= from && here < to) != (cell >= 0 && cell < extent))
                return false;
            side->taps += here >= from && here < to;
        }
    return true;
}

/* The index moves by one with the taps and with the positions, or with windows by two and by one with their cells. */
static bool moves_evenly(const Filter *f, int number, const KExpr *index, Side *side) {
    const Nest *nest = f->nest;
    int64_t by;
    side->position = side->tap = -1;
    side->backwards = false;
    for (int i = 0; i < nest->axis_count; i++) {
        if (!kexpr_uses(index, nest->axes[i].var))
            continue;
        bool tap = nest->axes[i].reduce != f->by_weights;
        int *which = tap ? &side->tap : &side->position;
        if (*which >= 0 || i == f->sample || !kexpr_coefficient(index, nest->axes[i].var, &by))
            return false;
        *which = i;
        side->backwards = tap ? by == -1 : side->backwards;
        if (tap ? by != 1 && by != -1 : by != (winograd_has_windows(f) ? TILE : 1))
            return false;
    }
    for (int i = 0; i < nest->cell_count; i++)
        if (kexpr_uses(index, nest->cells[i].var) != (i == number) ||
            (i == number && (!kexpr_coefficient(index, nest->cells[i].var, &by) || by != 1)))
            return false;
    return side->position >= 0 && side->tap >= 0;
}

static bool find_side(Filter *f, int number, int place) {
    Side *side = &f->side[number];
    const KExpr *index = f->image->load.index[place];
    if (!moves_evenly(f, number, index, side) || !index_at(f, index, NULL, 0, NULL, 0, &side->low))
        return false;
    const NestAxis *position = &f->nest->axes[side->position], *tap = &f->nest->axes[side->tap];
    side->place = place;
    side->low -= side->backwards ? TAPS - 1 : 0;
    side->tiles = winograd_has_windows(f) ? position->extent.n : position->extent.n / TILE;
    side->taps = TAPS * TILE * side->tiles;
    return tap->extent.n == TAPS && (winograd_has_windows(f) || position->extent.n % TILE == 0) &&
           (!summed_axis(f, side)->from ||
            (!winograd_has_windows(f) && leaves_out_what_is_outside(f, side, f->cells->dims[place].n)));
}

/* The image is read by sample, channel, and the two axes of space. */
static bool find_image(Filter *f) {
    const Nest *nest = f->nest;
    int sides = 0, samples = 0;
    f->channel = -1;
    for (int i = 0; i < f->image->load.index_count; i++) {
        int axis = nest_axis(nest, f->image->load.index[i]);
        if (axis == f->sample)
            samples++;
        else if (axis >= 0 && nest->axes[axis].reduce != f->by_weights && f->channel < 0)
            f->channel = axis;
        else if (sides == 2 || !find_side(f, sides++, i))
            return false;
    }
    return sides == 2 && samples == 1 && f->channel >= 0 && !nest->axes[f->channel].from;
}

/* The weights by both taps, channel and feature, in any order. */
static bool find_weights(Filter *f) {
    const Nest *nest = f->nest;
    bool met[NEST_MAX_AXES] = {false};
    f->feature = -1;
    for (int i = 0; i < f->weights->load.index_count; i++) {
        int axis = nest_axis(nest, f->weights->load.index[i]);
        if (axis < 0 || met[axis])
            return false;
        met[axis] = true;
        if (axis < nest->parallel_count)
            f->feature = axis;
    }
    return f->weights->load.index_count == 4 && f->feature > 0 && met[f->side[0].tap] && met[f->side[1].tap] &&
           met[f->channel] && f->feature != f->side[0].position && f->feature != f->side[1].position;
}

/* Of a gradient by the weights, what comes in: by sample, both positions, and feature, in any order. */
static bool find_incoming(Filter *f) {
    bool met[NEST_MAX_AXES] = {false};
    f->feature = -1;
    for (int i = 0; i < f->weights->load.index_count; i++) {
        int axis = nest_axis(f->nest, f->weights->load.index[i]);
        if (axis < 0 || met[axis])
            return false;
        met[axis] = true;
        if (!f->nest->axes[axis].reduce)
            f->feature = axis;
    }
    return f->weights->load.index_count == 4 && f->feature >= 0 && met[f->sample] && met[f->side[0].position] &&
           met[f->side[1].position] && f->feature != f->channel && f->feature != f->side[0].tap &&
           f->feature != f->side[1].tap;
}

/* The samples are the first axis, or the sum is over them. */
static bool find_samples(Filter *f) {
    const Nest *nest = f->nest;
    int found = 0;
    for (int i = 0; i < nest->axis_count; i++)
        if (nest->axes[i].extent.batch) {
            f->sample = i;
            found++;
        }
    f->by_weights = found == 1 && nest->axes[f->sample].reduce;
    return found == 1 && (f->by_weights ? !nest->axes[f->sample].from && !winograd_has_windows(f) : f->sample == 0);
}

static bool is_plain_sum(const KKernel *kernel) {
    const Nest *nest = kernel->nests[0];
    if (kernel->nest_count != 1 || kernel->steps || kernel->local_count || nest->reduction_count != 1 ||
        nest->parallel_count != 4 || nest->axis_count != 7 || nest->ordered || nest->each || nest->carried.nest ||
        nest->part.above || nest->convolution || nest->gemm)
        return false;
    for (int i = 0; i < nest->cell_count; i++)
        if (nest->cell_count != 2 || nest->cells[i].extent.n != TILE)
            return false;
    const NestReduction *sum = &nest->reductions[0];
    return sum->kind == REDUCE_SUM && !sum->guard && !sum->argument && sum->expr->kind == KE_FN &&
           sum->expr->fn.fn == FN_mul && sum->expr->fn.args[0]->kind == KE_LOAD &&
           sum->expr->fn.args[1]->kind == KE_LOAD && sum->expr->type.base == KBASE_F32;
}

static bool find_operands(Filter *f, int image) {
    KExpr *const *operands = f->nest->reductions[0].expr->fn.args;
    f->image = operands[image];
    f->cells = f->image->load.buffer;
    f->weights = operands[1 - image];
    if (!f->by_weights && kexpr_uses(f->weights, winograd_var(f, f->sample)))
        return false;
    return find_image(f) && (f->by_weights ? find_incoming(f) : find_weights(f));
}

static bool find_filter(Filter *f) {
    if (!is_plain_sum(f->kernel) || !find_samples(f) || (!find_operands(f, 0) && !find_operands(f, 1)))
        return false;
    f->channels = f->nest->axes[f->channel].extent.n;
    f->features = f->nest->axes[f->feature].extent.n;
    return true;
}

/* ---- blocks, and what it costs */

/* Samples of a step: memory may be planned for more, and the choice must not depend on that. */
static int64_t step_batch(const KProgram *p) {
    int64_t most = p->module->batch_max, step = p->info ? p->info->fit.batch_size : 0;
    return step > 0 && step < most ? step : most;
}

/* Whole samples, or as many rows of tiles of one as are near, or a part of a row; false: not even one is. */
static bool choose_block(Filter *f) {
    int64_t tile = PLACES * kbase_bytes(KBASE_F32) * (f->channels + f->features), most = BLOCK_BYTES / tile;
    Side *y = &f->side[0], *x = &f->side[1];
    y->block = largest_divisor(y->tiles, most / x->tiles);
    x->block = most < x->tiles ? largest_divisor(x->tiles, most) : x->tiles;
    int64_t samples = f->by_weights ? 1 : most / (y->tiles * x->tiles), all = step_batch(f->p);
    f->parts = all > MOST_PARTS ? MOST_PARTS : all < 2 ? 2 : (int)all;
    f->samples = samples > MOST_SAMPLES ? MOST_SAMPLES : samples < 1 ? 1 : samples;
    return most >= 1;
}

static int64_t whole_vectors(const Filter *f, int64_t elements) {
    int64_t lanes = f->p->isa.lanes;
    return (elements + lanes - 1) / lanes * lanes;
}

/* Results that are sums over all channels at so many taps, with the features on the lanes, or, but for windows, with
 * the channels, where each sum is at last added up across them. */
static int64_t products_work(const Filter *f, int64_t taps, int64_t results) {
    int64_t by_features = taps * f->channels * whole_vectors(f, f->features);
    int64_t across = results * NEST_ACROSS * f->p->isa.lanes;
    int64_t by_channels = f->features * (taps * whole_vectors(f, f->channels) + across);
    return winograd_has_windows(f) || by_features < by_channels ? by_features : by_channels;
}

/* For a tile, for all; what moves for each block. */
static int64_t forward_work(const Filter *f, int64_t weights, int64_t features, int64_t tiles, int64_t blocks) {
    int64_t bytes = PLACES * weights * kbase_bytes(KBASE_F32);
    int64_t work = products_work(f, PLACES, PLACES) + COST_PATCH * whole_vectors(f, f->channels);
    int64_t moved = bytes > NEAR_BYTES ? COST_FAR * PLACES * weights * blocks : 0;
    return (work + COST_RESULTS * features) * tiles + COST_WEIGHTS * weights + moved;
}

static int64_t gradient_work(const Filter *f, int64_t weights, int64_t features, int64_t tiles, int64_t blocks) {
    int64_t bytes = PLACES * weights * kbase_bytes(KBASE_F32);
    int64_t work = PLACES * weights + COST_LONE_PATCH * whole_vectors(f, f->channels) + COST_INCOMING * features;
    int64_t moved = (bytes > NEAR_SUMS ? COST_ADDED_FAR : COST_ADDED) * PLACES * weights * blocks;
    return work * tiles + f->parts * COST_PART * weights + moved;
}

static bool is_cheaper(const Filter *f) {
    int64_t samples = step_batch(f->p), tiles = f->side[0].tiles * f->side[1].tiles * samples;
    int64_t blocks = tiles / (f->samples * f->side[0].block * f->side[1].block);
    int64_t features = whole_vectors(f, f->features), taps = f->side[0].taps * f->side[1].taps * samples;
    int64_t weights = f->channels * features;
    if (!f->by_weights)
        return forward_work(f, weights, features, tiles, blocks) < products_work(f, taps, TILE * TILE * tiles);
    if (f->features == 1) /* sums of all channels lie side by side */
        weights = whole_vectors(f, f->channels);
    return gradient_work(f, weights, features, tiles, blocks) < taps * weights;
}

/* ---- an image that was copied to have zeros around it */

/* The place of the kernel that makes the copy, if that is all it does and nobody else reads it; -1: that is not so. */
static int kernel_of_copy(const KSequence *sequence, const SequenceUsers *users, int at, const KBuffer *copy) {
    const KernelList *loads = &users->loads[copy->id], *stores = &users->stores[copy->id];
    int found = -1;
    for (int i = 0; i < loads->count; i++)
        if (loads->items[i] != sequence->kernels[at] && nests_read(loads->items[i], copy) &&
            ksequence_place(sequence, loads->items[i]) >= 0)
            return -1;
    for (int i = 0; i < stores->count; i++) {
        int place = ksequence_place(sequence, stores->items[i]);
        if (place > found && stores->items[i]->nest_count == 1 && nests_write(stores->items[i], copy))
            found = place;
    }
    return found < at ? found : -1;
}

/* Patches take the zeros from no copy. Returns the place of the kernel, which stood at `at`. */
static int take_cells_themselves(Filter *f, KSequence *sequence, const SequenceUsers *users, int at) {
    const KHalo *halo = f->cells->halo;
    int copy = halo ? kernel_of_copy(sequence, users, at, f->cells) : -1;
    if (copy < 0)
        return at;
    f->cells = halo->of;
    for (int s = 0; s < 2; s++)
        f->side[s].low += halo->low[f->side[s].place];
    ksequence_remove(sequence, copy);
    return at - 1;
}

/* ---- all of it */

static void over_blocks(Filter *f, int axes, int64_t rows, const char *form) {
    KKernel *kernel = f->kernel;
    kernel->rows = true;
    kernel->row_axes = axes;
    for (int s = 0; s < 2; s++)
        kernel->row_axes += f->side[s].block < f->side[s].tiles;
    kernel->block_rows = rows;
    kernel->comment = arena_format(f->p->arena, "%s; by Winograd %s", kernel->comment, form);
    kernel->work = 0;
    for (int i = 0; i < kernel->nest_count; i++)
        kernel->work += nest_slots(kernel->nests[i], f->p->module->batch_max);
}

static int filter_kernel(Filter *f, KSequence *sequence, SequenceUsers *users, int at) {
    at = take_cells_themselves(f, sequence, users, at);
    winograd_transform_weights(f, sequence, at);
    winograd_make_nests(f);
    over_blocks(f, 1, f->samples, "F(2x2, 3x3)");
    return at + 1;
}

/* The sums of each part of the samples become a kernel of their own. */
static int gradient_kernel(Filter *f, KSequence *sequence, SequenceUsers *users, int at) {
    static const SumsApart apart = {"parts", "part_sums", "parts of a sum over the samples"};
    f->nest = nest_sums_apart(f->p, sequence, at, 0, f->parts, apart);
    f->kernel = f->nest->kernel;
    users_note(users, f->kernel);
    int *axes[] = {&f->sample,      &f->channel,          &f->feature,    &f->side[0].position,
                   &f->side[0].tap, &f->side[1].position, &f->side[1].tap};
    for (size_t i = 0; i < sizeof axes / sizeof *axes; i++)
        ++*axes[i]; /* behind the parts */
    at = take_cells_themselves(f, sequence, users, at);
    winograd_make_gradient(f, sequence);
    over_blocks(f, 2, 1, "F(3x3, 2x2)");
    return at + 1;
}

static void winograd_sequence(KProgram *p, KSequence *sequence, WinogradUse use) {
    SequenceUsers users = users_of(p, sequence);
    for (int k = 0; k < sequence->count; k++) {
        KKernel *kernel = sequence->kernels[k];
        if (kernel->nest_count == 0)
            continue;
        Filter f = {.p = p, .kernel = kernel, .nest = kernel->nests[0], .use = use};
        if (!find_filter(&f) || !winograd_fits_in_a_copy(f.nest))
            continue;
        if (!choose_block(&f) || (use == WINOGRAD_CHEAPER && !is_cheaper(&f)))
            continue;
        k = (f.by_weights ? gradient_kernel : filter_kernel)(&f, sequence, &users, k);
    }
}

void winograd_program(KProgram *p, WinogradUse use) {
    for (int s = 0; s < p->sequence_count && p->isa.lanes > 1; s++)
        winograd_sequence(p, p->sequences[s], use);
}
