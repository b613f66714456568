/* Which nests are convolutions that F(2x2, 3x3) computes with less work, and what becomes of them (winograd.h). */
#include "codegen/nests/sequence.h"
#include "codegen/nests/winograd_parts.h"

enum { BLOCK_BYTES = 192 << 10 }; /* of patches and products: what is near, and fits on a stack */
enum { MOST_SAMPLES = 8 };        /* in a block */
enum { NEAR_BYTES = 1 << 19 };    /* transformed weights above this come from far for each block */

/* Work in slots of a multiply-add for one channel or feature: a patch, the results of a tile, 3 x 3 weights; an element
 * of the weights that comes from far. */
enum { COST_PATCH = 64, COST_RESULTS = 60, COST_WEIGHTS = 160, COST_FAR = 4 };

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

/* Does the sum leave out those taps, and no others, that do not meet the image? */
static bool leaves_out_what_is_outside(const Filter *f, Side *side, int64_t extent) {
    const NestAxis *taps = &f->nest->axes[side->tap];
    const KExpr *index = f->image->load.index[side->place];
    KVar *position = winograd_var(f, side->position);
    side->taps = 0;
    for (int64_t at = 0; at < f->nest->axes[side->position].extent.n; at++) {
        int64_t from, to, cell;
        if (!index_at(f, taps->from, position, at, NULL, 0, &from) ||
            !index_at(f, taps->to, position, at, NULL, 0, &to))
            return false;
        for (int64_t k = 0; k < TAPS; k++)
            if (!index_at(f, index, position, at, taps->var, k, &cell) ||
                (k >= from && k < to) != (cell >= 0 && cell < extent))
                return false;
        side->taps += to > from ? to - from : 0;
    }
    return true;
}

/* The index moves by one with the taps and with the positions, or with windows by two and by one with their cells. */
static bool moves_evenly(const Filter *f, int number, const KExpr *index, Side *side) {
    const Nest *nest = f->nest;
    int64_t by;
    side->position = side->tap = -1;
    for (int i = 0; i < nest->axis_count; i++) {
        if (!kexpr_uses(index, nest->axes[i].var))
            continue;
        int *which = nest->axes[i].reduce ? &side->tap : &side->position;
        if (*which >= 0 || i == 0 || !kexpr_coefficient(index, nest->axes[i].var, &by))
            return false;
        *which = i;
        side->backwards = nest->axes[i].reduce && by == -1;
        if (nest->axes[i].reduce ? by != 1 && by != -1 : by != (winograd_has_windows(f) ? TILE : 1))
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
           (!tap->from || (!winograd_has_windows(f) && leaves_out_what_is_outside(f, side, f->cells->dims[place].n)));
}

/* The image is read by sample, channel, and the two axes of space. */
static bool find_image(Filter *f) {
    const Nest *nest = f->nest;
    int sides = 0, samples = 0;
    f->channel = -1;
    for (int i = 0; i < f->image->load.index_count; i++) {
        int axis = nest_axis(nest, f->image->load.index[i]);
        if (axis == 0)
            samples++;
        else if (axis >= nest->parallel_count && f->channel < 0)
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

static bool is_plain_sum(const KKernel *kernel) {
    const Nest *nest = kernel->nests[0];
    if (kernel->nest_count != 1 || kernel->steps || kernel->local_count || nest->reduction_count != 1 ||
        nest->parallel_count != 4 || nest->axis_count != 7 || nest->ordered || nest->each || nest->carried.nest ||
        nest->part.above || nest->convolution || nest->gemm || !nest->axes[0].extent.batch)
        return false;
    for (int i = 1; i < nest->axis_count; i++)
        if (nest->axes[i].extent.batch)
            return false;
    for (int i = 0; i < nest->cell_count; i++)
        if (nest->cell_count != 2 || nest->cells[i].extent.n != TILE)
            return false;
    const NestReduction *sum = &nest->reductions[0];
    return sum->kind == REDUCE_SUM && !sum->guard && !sum->argument && sum->expr->kind == KE_FN &&
           sum->expr->fn.fn == FN_mul && sum->expr->fn.args[0]->kind == KE_LOAD &&
           sum->expr->fn.args[1]->kind == KE_LOAD && sum->expr->type.base == KBASE_F32;
}

static bool find_filter(Filter *f) {
    if (!is_plain_sum(f->kernel))
        return false;
    KExpr *const *operands = f->nest->reductions[0].expr->fn.args;
    int image = kexpr_uses(operands[0], f->nest->axes[0].var) ? 0 : 1;
    f->image = operands[image];
    f->cells = f->image->load.buffer;
    f->weights = operands[1 - image];
    if (kexpr_uses(f->weights, f->nest->axes[0].var) || !find_image(f) || !find_weights(f))
        return false;
    f->channels = f->nest->axes[f->channel].extent.n;
    f->features = f->nest->axes[f->feature].extent.n;
    return true;
}

/* ---- blocks, and what it costs */

/* Whole samples, or as many rows of tiles of one as are near, or a part of a row. */
static void choose_block(Filter *f) {
    int64_t tile = PLACES * kbase_bytes(KBASE_F32) * (f->channels + f->features), most = BLOCK_BYTES / tile;
    Side *y = &f->side[0], *x = &f->side[1];
    y->block = largest_divisor(y->tiles, most / x->tiles);
    x->block = most < x->tiles ? largest_divisor(x->tiles, most) : x->tiles;
    int64_t samples = most / (y->tiles * x->tiles);
    f->samples = samples > MOST_SAMPLES ? MOST_SAMPLES : samples < 1 ? 1 : samples;
}

static int64_t whole_vectors(const Filter *f, int64_t elements) {
    int64_t lanes = f->p->isa.lanes;
    return (elements + lanes - 1) / lanes * lanes;
}

/* Samples of a step: memory may be planned for more, and the choice must not depend on that. */
static int64_t step_batch(const KProgram *p) {
    int64_t most = p->module->batch_max, step = p->info ? p->info->fit.batch_size : 0;
    return step > 0 && step < most ? step : most;
}

static bool is_cheaper(const Filter *f) {
    int64_t samples = step_batch(f->p), tiles = f->side[0].tiles * f->side[1].tiles * samples;
    int64_t tiles_in_block = f->samples * f->side[0].block * f->side[1].block;
    int64_t features = whole_vectors(f, f->features), weights = f->channels * features;
    int64_t work = PLACES * weights + COST_PATCH * whole_vectors(f, f->channels) + COST_RESULTS * features;
    int64_t direct = f->side[0].taps * f->side[1].taps * weights * samples, all = work * tiles + COST_WEIGHTS * weights;
    if (PLACES * weights * kbase_bytes(KBASE_F32) > NEAR_BYTES)
        all += COST_FAR * PLACES * weights * tiles / tiles_in_block;
    return all < direct;
}

/* ---- an image that was copied to have zeros around it */

/* The place of the kernel that makes the copy, if that is all it does and nobody else reads it; -1: that is not so. */
static int kernel_of_copy(const KSequence *sequence, int at, const KBuffer *copy) {
    int found = -1;
    for (int k = 0; k < sequence->count; k++) {
        if (k != at && nests_read(sequence->kernels[k], copy))
            return -1;
        if (sequence->kernels[k]->nest_count == 1 && nests_write(sequence->kernels[k], copy))
            found = k;
    }
    return found < at ? found : -1;
}

/* Patches take the zeros from no copy. Returns the place of the kernel, which stood at `at`. */
static int take_cells_themselves(Filter *f, KSequence *sequence, int at) {
    const KHalo *halo = f->cells->halo;
    int copy = halo ? kernel_of_copy(sequence, at, f->cells) : -1;
    if (copy < 0)
        return at;
    f->cells = halo->of;
    for (int s = 0; s < 2; s++)
        f->side[s].low += halo->low[f->side[s].place];
    ksequence_remove(sequence, copy);
    return at - 1;
}

/* ---- all of it */

static void filter_kernel(Filter *f, KSequence *sequence, int at) {
    KKernel *kernel = f->kernel;
    winograd_transform_weights(f, sequence, at);
    winograd_make_nests(f);
    kernel->rows = true;
    kernel->row_axes = 1;
    for (int s = 0; s < 2; s++)
        kernel->row_axes += f->side[s].block < f->side[s].tiles;
    kernel->block_rows = f->samples;
    kernel->comment = arena_format(f->p->arena, "%s; by Winograd F(2x2, 3x3)", kernel->comment);
    kernel->work = 0;
    for (int i = 0; i < kernel->nest_count; i++)
        kernel->work += nest_slots(kernel->nests[i], f->p->module->batch_max);
}

void winograd_program(KProgram *p, WinogradUse use) {
    for (int s = 0; s < p->sequence_count && p->isa.lanes > 1; s++)
        for (int k = 0; k < p->sequences[s]->count; k++) {
            KKernel *kernel = p->sequences[s]->kernels[k];
            if (kernel->nest_count == 0)
                continue;
            Filter f = {.p = p, .kernel = kernel, .nest = kernel->nests[0]};
            if (!find_filter(&f) || !winograd_fits_in_a_copy(f.nest))
                continue;
            choose_block(&f);
            if (use == WINOGRAD_CHEAPER && !is_cheaper(&f))
                continue;
            k = take_cells_themselves(&f, p->sequences[s], k);
            filter_kernel(&f, p->sequences[s], k++);
        }
}
