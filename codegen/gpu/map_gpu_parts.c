/* Few results of long sums, as the gradients of weights and biases are: tiles of the results, or blocks that sum, are
 * too few for all multiprocessors. Sums are cut in parts, a fixed number of them, which other blocks take; a kernel
 * behind adds the parts in their order and does the epilogue. How many parts there are follows from the samples of a
 * step and the architecture, not from the device at run time: bits are the same run after run.
 *
 * The kernel behind is one launch more. Where nobody in the step waits for the result, it stands beside others
 * (map_gpu_beside.c). Of the others few are split, those that gain most: half as many as there are kernels that others
 * wait for, less those large ones for which nobody waits, which take a launch each. So a Dense network of n layers
 * stays within 3 n + 2 launches. Needs nests before they are mapped. */
#include "codegen/gpu/map_gpu_tile.h"
#include "codegen/plan/tuning.h"

enum { MOST_PARTS = 64 };
/* Of the time without parts, or with half as many, at most: nothing of the model is measured, while a launch for which
 * others wait is certain, and so is the memory of more parts. */
static const double worth = 0.75, worth_waiting = 0.5, worth_more = 0.85;

typedef struct {
    KKernel *kernel;
    int64_t parts, told; /* 0: nothing is told */
    bool waited_for;     /* by a later kernel, which reads what this one writes */
    double gain;         /* cycles */
} Cut;

/* ---- who waits */

static GpuUses uses_of(KProgram *p, const KKernel *kernel) {
    GpuUses uses = {.arena = p->arena};
    for (int i = 0; i < kernel->nest_count; i++)
        gpu_note_uses(kernel->nests[i], &uses);
    return uses;
}

static bool reads_what(const GpuUses *later, const GpuUses *earlier) {
    for (int i = 0; i < later->count; i++)
        for (int k = 0; k < earlier->count; k++)
            if (later->items[i].read && earlier->items[k].written &&
                kbuffer_owner(later->items[i].buffer) == kbuffer_owner(earlier->items[k].buffer))
                return true;
    return false;
}

/* By kernel; returns how many there are. */
static int find_waited_for(KProgram *p, const KSequence *sequence, bool *waited_for) {
    GpuUses *uses = ARENA_ARRAY(p->arena, GpuUses, sequence->count + 1);
    int count = 0;
    for (int i = 0; i < sequence->count; i++)
        uses[i] = uses_of(p, sequence->kernels[i]);
    for (int i = 0; i < sequence->count; i++) {
        for (int k = i + 1; k < sequence->count && !waited_for[i]; k++)
            waited_for[i] = reads_what(&uses[k], &uses[i]);
        count += waited_for[i];
    }
    return count;
}

/* ---- how many parts */

/* One sum, all of whose terms there are at every point. */
static bool can_be_cut(const KKernel *kernel) {
    const Nest *nest = kernel->nests[0];
    const NestReduction *r = &nest->reductions[0];
    if (kernel->steps || nest->convolution || nest->each || nest->cell_count || nest->ordered ||
        nest->parallel_count >= MAX_RANK || nest->axis_count >= NEST_MAX_AXES || nest->reduction_count != 1 ||
        r->kind != REDUCE_SUM || r->argument || r->guard || r->expr->type.base != KBASE_F32)
        return false;
    for (int i = nest->parallel_count; i < nest->axis_count; i++)
        if (nest->axes[i].from)
            return false;
    return true;
}

/* Even shares of whole panels may leave nothing for the last of so many parts: those are left out. */
static int64_t parts_with_terms(const GpuContraction *c, int64_t parts) {
    int64_t panels = (c->depth + GPU_PANEL - 1) / GPU_PANEL, share = (panels + parts - 1) / parts;
    return (panels + share - 1) / share;
}

static double whole_cycles(const GpuTile *t, const GpuContraction *c) {
    KProgram *p = t->g->p;
    return gpu_is_worth_tiles(t, c) ? gpu_tiles_cycles(p, c) : gpu_blocks_cycles(p, c);
}

/* The cut takes so many parts, if that is less than `best`. Where nobody waits, the kernel behind stands beside others.
 */
static void consider(Cut *cut, int64_t parts, double cycles, double whole, double *best) {
    cycles -= cut->waited_for ? 0 : GPU_LAUNCH_CYCLES;
    if (cycles >= *best)
        return;
    *best = cycles * worth_more;
    cut->parts = parts;
    cut->gain = whole - cycles;
}

/* Tiles of a contraction. */
static void cut_tiles(Cut *cut, const GpuTile *t) {
    GpuContraction c = gpu_contraction(t);
    double whole = whole_cycles(t, &c), best = whole * (cut->waited_for ? worth_waiting : worth);
    for (int64_t parts = 2; parts <= MOST_PARTS && parts * 2 * GPU_PANEL <= c.depth; parts *= 2) {
        GpuContraction part = c;
        part.parts = parts_with_terms(&c, parts);
        consider(cut, part.parts, gpu_tiles_cycles(t->g->p, &part), whole, &best);
    }
}

/* Any other sum that takes blocks. */
static void cut_blocks(Cut *cut, const GpuNest *g) {
    GpuAxes points = gpu_points(g), reduced = gpu_reduced(g);
    if (!gpu_wants_block(g, gpu_extent_of_step(g, &points)))
        return;
    double whole = gpu_sums_cycles(g, 1), best = whole * (cut->waited_for ? worth_waiting : worth);
    for (int64_t parts = 2; parts <= MOST_PARTS && parts * GPU_WARP <= gpu_extent_of_step(g, &reduced); parts *= 2)
        consider(cut, parts, gpu_sums_cycles(g, parts), whole, &best);
}

static Cut best_cut(KProgram *p, KKernel *kernel, bool waited_for) {
    Cut cut = {.kernel = kernel, .parts = 1, .waited_for = waited_for};
    if (kernel->nest_count != 1 || kernel->nests[0]->gemm || !can_be_cut(kernel))
        return cut;
    GpuNest g = {.p = p, .kernel = kernel, .nest = kernel->nests[0], .threads = GPU_BLOCK};
    GpuTile t = {.g = &g};
    bool contraction = gpu_tile_groups(&t);
    if (contraction)
        cut.told = tuning_ask_gpu(p, kernel->nests[0]);
    if (cut.told)
        cut.parts = cut.told;
    else if (contraction && gpu_has_sides(&t))
        cut_tiles(&cut, &t);
    else
        cut_blocks(&cut, &g);
    return cut;
}

/* ---- which of them */

static void split(KProgram *p, KSequence *sequence, const Cut *cut) {
    static const SumsApart apart = {"parts", "part_sums", NULL};
    for (int i = 0; i < sequence->count; i++)
        if (sequence->kernels[i] == cut->kernel) {
            KKernel *kernel = cut->kernel;
            const char *comment = kernel->comment;
            nest_sums_apart(p, sequence, i, 0, (int)cut->parts, apart);
            sequence->kernels[i]->comment =
                arena_format(p->arena, "%s (sums, in %d parts)", comment ? comment : "", (int)cut->parts);
            kernel->nests[0]->form = NULL;
            kernel->comment = arena_format(p->arena, "%s (adds %d parts)", comment ? comment : "", (int)cut->parts);
            return;
        }
}

void map_gpu_parts(KProgram *p, KSequence *sequence) {
    int count = sequence->count;
    bool *waited_for = ARENA_ARRAY(p->arena, bool, count + 1);
    Cut *cuts = ARENA_ARRAY(p->arena, Cut, count + 1);
    int left = (find_waited_for(p, sequence, waited_for) + 1) / 2;
    for (int i = 0; i < count; i++) {
        cuts[i] = best_cut(p, sequence->kernels[i], waited_for[i]);
        left -= !waited_for[i] && gpu_is_large(sequence->kernels[i]);
    }
    for (int i = 0; i < count; i++)
        if (cuts[i].parts > 1 && (!cuts[i].waited_for || cuts[i].told))
            split(p, sequence, &cuts[i]);
    for (; left > 0; left--) {
        Cut *most = NULL;
        for (int i = 0; i < count; i++)
            if (cuts[i].parts > 1 && cuts[i].waited_for && cuts[i].gain > (most ? most->gain : 0))
                most = &cuts[i];
        if (!most)
            return;
        split(p, sequence, most);
        most->parts = 1;
    }
}
