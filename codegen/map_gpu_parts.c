/* Contractions with few results and long sums, as the gradients of weights are: tiles of the results are too few for
 * all multiprocessors. Their sums are cut in parts of whole panels, a fixed number of them, which other blocks take; a
 * kernel behind adds the parts in their order and does the epilogue. How many parts there are follows from the samples
 * of a step and the architecture, not from the device at run time: bits are the same run after run.
 *
 * The kernel behind is one launch more. Where nobody in the step waits for the result, it stands beside others
 * (map_gpu_beside.c). Of the others few are split, those that gain most: half as many as there are kernels that others
 * wait for, less those large ones for which nobody waits, which take a launch each. So a Dense network of n layers
 * stays within 3 n + 2 launches. Needs nests before they are mapped. */
#include "codegen/map_gpu_tile.h"
#include "codegen/tuning.h"

enum { MOST_PARTS = 64 };
/* Of the time without parts, at most: nothing of the model is measured, and a launch for which others wait is certain.
 */
static const double worth = 0.75, worth_waiting = 0.5;

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

/* One sum of products, which may be taken in any part. */
static bool can_be_cut(GpuTile *t, const KKernel *kernel) {
    const Nest *nest = t->g->nest;
    if (kernel->nest_count != 1 || kernel->steps || nest->each || nest->cell_count ||
        nest->parallel_count >= MAX_RANK || nest->axis_count >= NEST_MAX_AXES || !gpu_tile_groups(t))
        return false;
    for (int i = nest->parallel_count; i < nest->axis_count; i++)
        if (nest->axes[i].from)
            return false;
    return true;
}

static double whole_cycles(const GpuTile *t, const GpuContraction *c) {
    KProgram *p = t->g->p;
    return gpu_is_worth_tiles(t, c) ? gpu_tiles_cycles(p, c) : gpu_blocks_cycles(p, c);
}

/* Even shares of whole panels may leave nothing for the last of so many parts: those are left out. */
static int64_t parts_with_terms(const GpuContraction *c, int64_t parts) {
    int64_t panels = (c->depth + GPU_PANEL - 1) / GPU_PANEL, share = (panels + parts - 1) / parts;
    return (panels + share - 1) / share;
}

static Cut best_cut(KProgram *p, KKernel *kernel, bool waited_for) {
    GpuNest g = {.p = p, .kernel = kernel, .nest = kernel->nests[0], .threads = GPU_BLOCK};
    GpuTile t = {.g = &g};
    Cut cut = {.kernel = kernel, .parts = 1, .waited_for = waited_for};
    if (!can_be_cut(&t, kernel))
        return cut;
    cut.told = tuning_ask_gpu(p, kernel->nests[0]);
    GpuContraction c = gpu_contraction(&t);
    if (cut.told) {
        cut.parts = cut.told;
        return cut;
    }
    double whole = whole_cycles(&t, &c), best = whole * (waited_for ? worth_waiting : worth);
    if (c.rows < GPU_LEAST_EXTENT || c.columns < GPU_LEAST_EXTENT)
        return cut;
    for (int64_t parts = 2; parts <= MOST_PARTS && parts * 2 * GPU_PANEL <= c.depth; parts *= 2) {
        GpuContraction part = c;
        part.parts = parts_with_terms(&c, parts);
        double cycles = gpu_tiles_cycles(p, &part);
        if (cycles < best) {
            best = cycles;
            cut.parts = part.parts;
            cut.gain = whole - cycles;
        }
    }
    return cut;
}

/* ---- which of them */

static void split(KProgram *p, KSequence *sequence, const Cut *cut) {
    static const MapApart apart = {"parts", "part_sums", NULL};
    for (int i = 0; i < sequence->count; i++)
        if (sequence->kernels[i] == cut->kernel) {
            KKernel *kernel = cut->kernel;
            const char *comment = kernel->comment;
            map_sums_apart(p, sequence, i, 0, (int)cut->parts, apart);
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
