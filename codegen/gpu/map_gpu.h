/* Shared by the parts of the GPU mapping: map_gpu.c (which form a kernel takes), map_gpu_nest.c (nests within a block
 * or over a grid of threads), map_gpu_reduce.c (reductions in a thread and across a block), map_gpu_tile.c
 * (contractions), map_gpu_parts.c (sums that several blocks share), map_gpu_library.c (products of a library). */
#ifndef NNC_MAP_GPU_H
#define NNC_MAP_GPU_H
#include "codegen/kir/gpu_arch.h"
#include "codegen/map/map.h"

enum { GPU_BLOCK = 256, GPU_WARP = 32 };

/* The threads that work on a nest. */
typedef struct {
    KProgram *p;
    KKernel *kernel;
    const Nest *nest;
    KVar *thread;    /* threadIdx.x */
    int64_t threads; /* of a block: a power of two */
    KExpr *row;      /* kernels over rows: axis 0 of the nest is this row; NULL otherwise */
    /* A block that reduces together: */
    int64_t beside;   /* points that it has side by side, in neighbouring threads; 0: one */
    KExpr *from, *to; /* terms of the sum; NULL: all */
} GpuNest;

/* Axes that are counted through together, the last one fastest. */
typedef struct {
    int axes[NEST_MAX_AXES];
    int count;
} GpuAxes;

GpuAxes gpu_points(const GpuNest *);                          /* parallel axes, without the row */
GpuAxes gpu_reduced(const GpuNest *);                         /* reduce axes */
KExpr *gpu_extent(const GpuNest *, const GpuAxes *);          /* at this batch */
int64_t gpu_extent_at_most(const GpuNest *, const GpuAxes *); /* at batch_max */
/* For the samples of a step, which decide how a sum is taken: memory may have room for more. */
int64_t gpu_extent_of_step(const GpuNest *, const GpuAxes *);
MapPlace gpu_place(const GpuNest *, MapLoads *, KStmt *out);
/* Binds the axes to their places at the given number, by variables declared in place->out. */
void gpu_bind_axes(const GpuNest *, MapPlace *, const GpuAxes *, KExpr *number);
KVar *gpu_index_var(const GpuNest *, const char *name, int64_t limit); /* limit 0: none */

/* Every thread reduces all by itself, then does the epilogue. `place` has its parallel axes bound. */
void gpu_reduce_in_thread(const GpuNest *, MapPlace *);
/* The threads of the block reduce together; the first one does the epilogue. Ends with a barrier if `again`. */
void gpu_reduce_in_block(const GpuNest *, MapPlace *, bool again);
bool gpu_wants_block(const GpuNest *, int64_t points); /* many to reduce, few results */
/* A block for each result, or for some of them side by side where these are what lies side by side in memory: so many.
 * And the cycles of that, the sums in so many parts. */
int64_t gpu_beside(const GpuNest *);
double gpu_sums_cycles(const GpuNest *, int64_t parts);
/* The terms, of all, that this part of the sum takes: an even share of whole units. */
void gpu_part_of_sum(const GpuNest *, KExpr *part, KExpr *all, int64_t unit, KExpr *range[2], KStmt *out);
/* Does a step along the axis move along the last axis of a buffer that is read? */
bool gpu_moves_along(const KExpr *, const KVar *);

/* One nest as a whole kernel: grid and block of its own. */
bool gpu_map_grid(GpuNest *, KStmt *out);
/* One nest by the threads of one block, which have met before it. */
bool gpu_map_in_block(const GpuNest *, KStmt *out);
/* Threads that a nest can use within a block. */
int64_t gpu_useful_threads(const GpuNest *);
/* What nests read and write. */
typedef struct {
    Arena *arena;
    KUse *items;
    int count, capacity;
} GpuUses;
void gpu_note_uses(const Nest *, GpuUses *);
/* Does one of them write what the other one touches? */
bool gpu_waits_for(const KUse *later, int later_count, const KUse *earlier, int earlier_count);
/* Kernels that do not wait for each other become one launch, with one large one at most: so many multiply-adds that a
 * launch is little beside them. */
bool gpu_is_large(const KKernel *);
enum { GPU_LAUNCH_CYCLES = 2000 }; /* from the end of a kernel to the start of the next one in a graph */
void map_gpu_beside(KProgram *);
/* Long sums with few results become a kernel that takes them in parts and one that adds these (map_gpu_parts.c). */
void map_gpu_parts(KProgram *, KSequence *);
/* Wide products of matrices are left to the library that p->products names, if any (map_gpu_library.c), and the call.
 */
void map_gpu_library(KProgram *, KSequence *);
bool map_gpu_call(KProgram *, KKernel *, const Nest *, KStmt *out);
/* A contraction in tiles of shared memory. false: it is none, or too small. */
bool gpu_map_tiles(GpuNest *, KStmt *out);
#endif
