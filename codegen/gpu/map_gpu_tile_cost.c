/* How many rows and columns of a contraction a thread of a GPU computes: the shape with the least time by a model of
 * one streaming multiprocessor. Large tiles move less to and within shared memory, small ones give all multiprocessors
 * something to do.
 *
 * The figures are those of the architecture's documents, not measured: what counts is the order of the shapes. */
#include "codegen/kir/gpu_arch.h"
#include "codegen/gpu/map_gpu_tile.h"
#include <math.h>

/* What a kind of GPU has beside its row in gpu_arch.c; of the kinds there are several, this is a usual one. */
typedef struct {
    int version; /* compute capability; the row of the newest that is not newer counts */
    int multiprocessors;
    double products[PRECISIONS]; /* multiply-adds of a multiprocessor in a cycle; 0: no fragments of it */
} GpuMachine;

static const GpuMachine machines[] = {
    {75, 40, {64, 0, 0}},       {80, 108, {64, 512, 1024}},   {86, 72, {128, 128, 256}},     {87, 16, {128, 256, 512}},
    {89, 100, {128, 128, 256}}, {90, 132, {128, 1024, 2048}}, {100, 148, {128, 1024, 2048}}, {120, 84, {128, 128, 256}},
};

/* Of a multiprocessor in a cycle: instructions of warps, accesses of a warp to shared memory (128 bytes at most), bytes
 * from the second-level cache; cycles to global memory and back, and to meet at a barrier; bytes that are fetched where
 * one element is read. */
static const double issue = 4, shared_wave = 1, global = 64, latency = 500, sector = 32;

/* Registers of a thread beside those of the tile; instructions that bring an element, its place and the test of the
 * ends included; instructions of unrolled epilogues, above which the text of a kernel is longer than it is worth. */
enum { OTHER_REGISTERS = 40, BRING = 12, UNROLLED_SLOTS = 2048, MOST_BESIDE = 32 };

/* Banks of shared memory: where threads write along the sum, rows lie so that those of a warp meet different ones;
 * where they write along the group, the two rows of a warp do; a run of four begins at a multiple of 16 bytes. A
 * fragment takes four terms, or four pairs of terms, of eight neighbours at once: rows are 8 banks apart, or pairs of
 * rows. */
int64_t gpu_panel_row(KPrecision precision, int64_t share, bool along_depth) {
    int64_t row = GPU_SIDE * share;
    if (precision != PRECISION_FLOAT32)
        return row + (precision == PRECISION_TF32 ? 8 : 4);
    if (along_depth)
        return row + (share >= GPU_RUN ? 4 : 2);
    return row % GPU_WARP ? row : row + GPU_SIDE;
}

static const GpuMachine *machine_of(const GpuArch *arch) {
    const GpuMachine *m = machines;
    for (size_t i = 0; i < sizeof machines / sizeof *machines; i++)
        if (machines[i].version <= arch->version)
            m = &machines[i];
    return m;
}

static int64_t parts(int64_t whole, int64_t part) {
    return (whole + part - 1) / part;
}

/* Both orders of an operand in memory are possible: the longer rows. */
static int64_t longest_row(KPrecision precision, int64_t share) {
    int64_t a = gpu_panel_row(precision, share, true), b = gpu_panel_row(precision, share, false);
    return a > b ? a : b;
}

static int64_t shared_bytes(const GpuTileShape *s, const GpuContraction *c) {
    int64_t rows = longest_row(s->precision, s->rows), columns = longest_row(s->precision, s->columns);
    return (c->depth > GPU_PANEL ? 2 : 1) * GPU_PANEL * (rows + columns) * 4;
}

/* Of one part of the sum. */
static int64_t panels_of(const GpuContraction *c) {
    return parts(parts(c->depth, GPU_PANEL), c->parts);
}

static int64_t blocks_of(const GpuTileShape *s, const GpuContraction *c) {
    return parts(c->rows, GPU_SIDE * s->rows) * parts(c->columns, GPU_SIDE * s->columns) * c->planes * c->parts;
}

/* Accesses of a warp to shared memory, and instructions, for the products of one panel. */
typedef struct {
    double waves, instructions;
} Products;

static Products products_of(const GpuTileShape *s) {
    double rows = (double)s->rows, columns = (double)s->columns;
    if (s->precision != PRECISION_FLOAT32) { /* each element is loaded and rounded; one instruction a fragment */
        double elements = (double)(s->row_fragments * 8 + s->column_fragments * 4);
        double steps = (double)GPU_PANEL / kmma_depth(s->precision);
        return (Products){elements, 2 * elements + steps * (double)(s->row_fragments * s->column_fragments)};
    }
    /* for each term: two different runs of rows are a wave, sixteen runs of four columns are two */
    double waves = ceil(rows / GPU_RUN) + (columns < GPU_RUN ? 1 : 2 * columns / GPU_RUN);
    double loads = ceil(rows / GPU_RUN) + ceil(columns / GPU_RUN);
    return (Products){GPU_PANEL * waves, GPU_PANEL * (rows * columns + loads)};
}

/* Cycles that a multiprocessor is busy with one panel of a block: the busiest of its units. */
static double panel_cycles(const GpuMachine *m, const GpuTileShape *s) {
    const Products products = products_of(s);
    double warps = GPU_SIDE * GPU_SIDE / GPU_WARP, brought = (double)(s->rows + s->columns);
    double multiply = GPU_SIDE * GPU_SIDE * GPU_PANEL * (double)(s->rows * s->columns) / m->products[s->precision];
    double shared = warps * (products.waves + brought) / shared_wave;
    double instructions = warps * (products.instructions + BRING * brought) / issue;
    double bytes = brought * GPU_SIDE * GPU_PANEL * 4 / global;
    return fmax(fmax(multiply, shared), fmax(instructions, bytes));
}

/* Blocks that a multiprocessor has room for. */
static double resident(const GpuArch *arch, const GpuTileShape *s, const GpuContraction *c) {
    int64_t threads = GPU_SIDE * GPU_SIDE;
    int64_t registers = s->rows * s->columns + 2 * (s->rows + s->columns) + OTHER_REGISTERS;
    int64_t by_threads = arch->threads_sm / threads, by_registers = arch->registers_sm / (registers * threads);
    int64_t by_shared = arch->shared_sm / shared_bytes(s, c);
    int64_t least = by_threads < by_registers ? by_threads : by_registers;
    return (double)(least < by_shared ? least : by_shared);
}

/* Of the multiprocessor with the most blocks. Blocks that are there together hide each other's latency. */
static double cycles(const GpuArch *arch, const GpuTileShape *s, const GpuContraction *c) {
    const GpuMachine *m = machine_of(arch);
    double blocks = (double)parts(blocks_of(s, c), m->multiprocessors), together = fmin(blocks, resident(arch, s, c));
    double panels = (double)panels_of(c), panel = panel_cycles(m, s);
    int64_t slots = c->parts > 1 ? 1 : c->epilogue;
    double epilogue = (double)(GPU_SIDE * GPU_SIDE * s->rows * s->columns * slots) / m->products[PRECISION_FLOAT32];
    double turn = panels * fmax(together * panel, latency + panel) + together * epilogue + latency;
    return blocks / together * turn;
}

/* The kernel that adds the parts: a thread for each result. Sixteen loads of a sum are under way at a time. */
static double joining_cycles(const GpuArch *arch, int64_t results, int64_t parts, int64_t slots) {
    const GpuMachine *m = machine_of(arch);
    double elements = (double)results / m->multiprocessors, each = (double)parts;
    double bytes = elements * each * 4 / global, instructions = elements / GPU_WARP * each * 4 / issue;
    double epilogue = elements * (double)slots / m->products[PRECISION_FLOAT32];
    return GPU_LAUNCH_CYCLES + latency * (2 + each / 16) + fmax(bytes, instructions) + epilogue;
}

/* Sums by blocks: results, terms of each in this part, bytes that are fetched for a term, results side by side. The
 * threads of a block add with stride, then join their sums in as many steps as there are bits in their number. */
static double sums_cycles(const GpuArch *arch, int64_t results, int64_t terms, double bytes, int64_t beside) {
    enum { STEPS = 9 };
    double blocks = (double)parts(parts(results, beside), machine_of(arch)->multiprocessors);
    double together = fmin(blocks, (double)(arch->threads_sm / GPU_BLOCK));
    double turns = (double)parts(terms, GPU_BLOCK / beside);
    double turn = fmax(together * GPU_BLOCK * bytes / global, latency / 4);
    return blocks / together * (turns * turn + latency + STEPS * latency / 8);
}

double gpu_blocks_cycles(const KProgram *p, const GpuContraction *c) {
    double bytes = (c->along[0] ? 4 : sector) + (c->along[1] ? 4 : sector);
    return sums_cycles(p->isa.gpu, c->rows * c->columns * c->planes, c->depth, bytes, 1);
}

static double sums_beside(const GpuNest *g, int64_t count, int64_t beside) {
    GpuAxes points = gpu_points(g), reduced = gpu_reduced(g);
    const NestReduction *r = &g->nest->reductions[0];
    bool along = gpu_moves_along(r->expr, g->nest->axes[reduced.axes[reduced.count - 1]].var);
    double bytes = along ? 4 : fmax(sector / (double)beside, 4);
    int64_t results = gpu_extent_of_step(g, &points) / (g->nest->sum_parts ? g->nest->sum_parts : 1);
    double joined = count > 1 ? joining_cycles(g->p->isa.gpu, results, count, nest_epilogue_slots(g->nest)) : 0;
    return sums_cycles(g->p->isa.gpu, results * count, parts(gpu_extent_of_step(g, &reduced), count), bytes, beside) +
           joined;
}

/* Results side by side are a power of two that divides the last axis, which is what lies side by side in memory. */
static int64_t best_beside(const GpuNest *g, int64_t count) {
    GpuAxes points = gpu_points(g), reduced = gpu_reduced(g);
    int64_t best = 1;
    if (!points.count || !reduced.count)
        return best;
    const NestAxis *last = &g->nest->axes[points.axes[points.count - 1]];
    const KExpr *expr = g->nest->reductions[0].expr;
    if (last->extent.batch || !gpu_moves_along(expr, last->var) ||
        gpu_moves_along(expr, g->nest->axes[reduced.axes[reduced.count - 1]].var))
        return best;
    for (int64_t beside = 2; beside <= MOST_BESIDE && last->extent.n % beside == 0; beside *= 2)
        if (sums_beside(g, count, beside) < sums_beside(g, count, best))
            best = beside;
    return best;
}

int64_t gpu_beside(const GpuNest *g) {
    return best_beside(g, g->nest->sum_parts ? g->nest->sum_parts : 1);
}

double gpu_sums_cycles(const GpuNest *g, int64_t count) {
    return sums_beside(g, count, best_beside(g, count));
}

/* A library's product is a launch, and where more than a bias and a relu is behind it, another one, and sums in memory
 * between them. So it gets those that take the time of several launches by the model of our own tiles, and that give a
 * tile of LIBRARY_SIDE x LIBRARY_SIDE, as libraries have them, to each multiprocessor. */
bool gpu_library_is_worth(const KProgram *p, const GpuContraction *c, const char **why) {
    enum { LIBRARY_SIDE = 64, LAUNCHES = 4 };
    GpuContraction whole = *c;
    whole.parts = 1;
    whole.tile[0] = whole.tile[1] = 0;
    int64_t tiles = parts(c->rows, LIBRARY_SIDE) * parts(c->columns, LIBRARY_SIDE) * c->planes;
    int multiprocessors = machine_of(p->isa.gpu)->multiprocessors;
    double launches = gpu_tiles_cycles(p, &whole) / GPU_LAUNCH_CYCLES;
    bool wide = tiles >= multiprocessors, is_long = launches >= LAUNCHES;
    *why = arena_format(p->arena, "%lld tiles of %d x %d %s %d multiprocessors%s the time of %.1f launches is %s %d",
                        (long long)tiles, LIBRARY_SIDE, LIBRARY_SIDE, wide ? "fill" : "do not fill", multiprocessors,
                        wide == is_long ? " and" : ", but", launches,
                        is_long ? "at least that of" : "less than that of", LAUNCHES);
    return wide && is_long;
}

static bool fits(const GpuTileShape *s, const GpuContraction *c) {
    int64_t slots = c->parts > 1 ? 1 : c->epilogue;
    return shared_bytes(s, c) <= GPU_SHARED_BYTES &&
           (s->rows * s->columns == 1 || s->rows * s->columns * slots <= UNROLLED_SLOTS);
}

/* Four warps along the rows, or as many as there are fragments. false: fewer fragments than warps. */
static bool share_fragments(GpuTileShape *s) {
    if (s->precision == PRECISION_FLOAT32)
        return true;
    s->warps = s->rows < 4 ? s->rows : 4;
    s->row_fragments = s->rows / s->warps;
    s->column_fragments = s->columns * s->warps / 4;
    return s->column_fragments > 0;
}

/* What is told need not be short, and of the shape alone. */
static GpuTileShape best_shape(const KProgram *p, const GpuContraction *c, KPrecision precision) {
    GpuTileShape best = {0, 0, precision, 0, 0, 0};
    for (int64_t rows = 1; rows <= 8; rows *= 2)
        for (int64_t columns = 1; columns <= 8; columns *= 2) {
            GpuTileShape shape = {rows, columns, precision, 0, 0, 0};
            bool told = c->tile[0] > 0;
            if (told && (c->tile[0] != GPU_SIDE * rows || c->tile[1] != GPU_SIDE * columns))
                continue;
            bool possible = share_fragments(&shape) && (told || fits(&shape, c));
            if (possible && (!best.rows || cycles(p->isa.gpu, &shape, c) < cycles(p->isa.gpu, &best, c)))
                best = shape;
        }
    return best;
}

GpuTileShape gpu_tile_shape(const KProgram *p, const GpuContraction *c) {
    GpuTileShape best = best_shape(p, c, p->precision);
    return best.rows ? best : best_shape(p, c, PRECISION_FLOAT32);
}

double gpu_tiles_cycles(const KProgram *p, const GpuContraction *c) {
    GpuTileShape shape = gpu_tile_shape(p, c);
    return cycles(p->isa.gpu, &shape, c) +
           (c->parts > 1 ? joining_cycles(p->isa.gpu, c->rows * c->columns * c->planes, c->parts, c->epilogue) : 0);
}

const char *gpu_tile_explain(const KProgram *p, const GpuTileShape *s, const GpuContraction *c) {
    int64_t blocks = blocks_of(s, c), panels = panels_of(c);
    const char *of = c->parts > 1 ? arena_format(p->arena, " of each of %lld parts", (long long)c->parts) : "";
    double moved = (double)(blocks * panels * GPU_PANEL * GPU_SIDE * (s->rows + s->columns)) * 4;
    return arena_format(
        p->arena,
        "%lld tiles of %lld x %lld in %s, %lld x %lld for each of %d threads, %lld panel%s of %d terms%s; "
        "operands move %.1f KB to shared memory",
        (long long)blocks, (long long)(GPU_SIDE * s->rows), (long long)(GPU_SIDE * s->columns),
        kprecision_names[s->precision], (long long)s->rows, (long long)s->columns, GPU_SIDE * GPU_SIDE,
        (long long)panels, panels == 1 ? "" : "s", GPU_PANEL, of, moved / 1024);
}
