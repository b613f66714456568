/* How many rows and columns of a contraction a thread of a GPU computes: the shape with the least time by a model of
 * one streaming multiprocessor. Large tiles move less to and within shared memory, small ones give all multiprocessors
 * something to do.
 *
 * The figures are those of the architecture's documents, not measured: what counts is the order of the shapes. */
#include "codegen/gpu_arch.h"
#include "codegen/map_gpu_tile.h"
#include <math.h>

/* What a kind of GPU has beside its row in gpu_arch.c; of the kinds there are several, this is a usual one. */
typedef struct {
    int version; /* compute capability; the row of the newest that is not newer counts */
    int multiprocessors;
    double fma; /* of a multiprocessor in a cycle */
} GpuMachine;

static const GpuMachine machines[] = {
    {75, 40, 64},   {80, 108, 64},  {86, 72, 128},   {87, 16, 128},
    {89, 100, 128}, {90, 132, 128}, {100, 148, 128}, {120, 84, 128},
};

/* Of a multiprocessor in a cycle: instructions of warps, accesses of a warp to shared memory (128 bytes at most), bytes
 * from the second-level cache; cycles to global memory and back, and to meet at a barrier. */
static const double issue = 4, shared_wave = 1, global = 64, latency = 500;

/* Registers of a thread beside those of the tile; instructions that bring an element, its place and the test of the
 * ends included; instructions of unrolled epilogues, above which the text of a kernel is longer than it is worth. */
enum { OTHER_REGISTERS = 40, BRING = 12, UNROLLED_SLOTS = 2048 };

/* Where threads write along the sum, rows lie so that those of a warp meet different banks; where they write along the
 * group, the two rows of a warp do. A run of four begins at a multiple of 16 bytes. */
int64_t gpu_panel_row(int64_t share, bool along_depth) {
    int64_t row = GPU_SIDE * share;
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

static int64_t shared_bytes(const GpuTileShape *s, const GpuContraction *c) {
    int64_t rows = gpu_panel_row(s->rows, true) > gpu_panel_row(s->rows, false) ? gpu_panel_row(s->rows, true)
                                                                                : gpu_panel_row(s->rows, false);
    int64_t columns = gpu_panel_row(s->columns, true) > gpu_panel_row(s->columns, false)
                          ? gpu_panel_row(s->columns, true)
                          : gpu_panel_row(s->columns, false);
    return (c->depth > GPU_PANEL ? 2 : 1) * GPU_PANEL * (rows + columns) * 4;
}

static int64_t blocks_of(const GpuTileShape *s, const GpuContraction *c) {
    return parts(c->rows, GPU_SIDE * s->rows) * parts(c->columns, GPU_SIDE * s->columns) * c->planes;
}

/* Cycles that a multiprocessor is busy with one panel of a block: the busiest of its units. */
static double panel_cycles(const GpuMachine *m, const GpuTileShape *s) {
    double warps = GPU_SIDE * GPU_SIDE / GPU_WARP, rows = (double)s->rows, columns = (double)s->columns;
    /* for each term: two different rows of runs are a wave, sixteen runs of four columns are two */
    double row_waves = ceil(rows / GPU_RUN), column_waves = columns < GPU_RUN ? 1 : 2 * columns / GPU_RUN;
    double loads = row_waves + ceil(columns / GPU_RUN);
    double fma = warps * GPU_PANEL * rows * columns * GPU_WARP / m->fma;
    double shared = warps * (GPU_PANEL * (row_waves + column_waves) + rows + columns) / shared_wave;
    double instructions = warps * (GPU_PANEL * (rows * columns + loads) + BRING * (rows + columns)) / issue;
    double bytes = (rows + columns) * GPU_SIDE * GPU_PANEL * 4 / global;
    return fmax(fmax(fma, shared), fmax(instructions, bytes));
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
    double panels = (double)parts(c->depth, GPU_PANEL), panel = panel_cycles(m, s);
    double epilogue = (double)(GPU_SIDE * GPU_SIDE * s->rows * s->columns * c->epilogue) / m->fma;
    double turn = panels * fmax(together * panel, latency + panel) + together * epilogue + latency;
    return blocks / together * turn;
}

static bool fits(const GpuTileShape *s, const GpuContraction *c) {
    return shared_bytes(s, c) <= GPU_SHARED_BYTES &&
           (s->rows * s->columns == 1 || s->rows * s->columns * c->epilogue <= UNROLLED_SLOTS);
}

GpuTileShape gpu_tile_shape(const KProgram *p, const GpuContraction *c) {
    GpuTileShape best = {1, 1};
    if (p->gpu_tile)
        return (GpuTileShape){p->gpu_tile / 10, p->gpu_tile % 10};
    for (int64_t rows = 1; rows <= 8; rows *= 2)
        for (int64_t columns = 1; columns <= 8; columns *= 2) {
            GpuTileShape shape = {rows, columns};
            if (fits(&shape, c) && cycles(p->isa.gpu, &shape, c) < cycles(p->isa.gpu, &best, c))
                best = shape;
        }
    return best;
}

const char *gpu_tile_explain(const KProgram *p, const GpuTileShape *s, const GpuContraction *c) {
    int64_t blocks = blocks_of(s, c), panels = parts(c->depth, GPU_PANEL);
    double moved = (double)(blocks * panels * GPU_PANEL * GPU_SIDE * (s->rows + s->columns)) * 4;
    return arena_format(p->arena,
                        "%lld tiles of %lld x %lld, %lld x %lld for each of %d threads, %lld panel%s of %d terms; "
                        "operands move %.1f KB to shared memory",
                        (long long)blocks, (long long)(GPU_SIDE * s->rows), (long long)(GPU_SIDE * s->columns),
                        (long long)s->rows, (long long)s->columns, GPU_SIDE * GPU_SIDE, (long long)panels, panels == 1 ? "" : "s", GPU_PANEL,
                        moved / 1024);
}
