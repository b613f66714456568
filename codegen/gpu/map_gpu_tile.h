/* The tiles of contractions on a GPU (map_gpu_tile.c, map_gpu_fragments.c), and which of them a contraction takes
 * (map_gpu_tile_cost.c). */
#ifndef NNC_MAP_GPU_TILE_H
#define NNC_MAP_GPU_TILE_H
#include "codegen/gpu/map_gpu.h"

/* Threads of a block along each side of the tile; terms of the sum in a panel; elements of a thread that lie side by
 * side, four for one access of 16 bytes; rows and columns below which there are no tiles. */
enum { GPU_SIDE = 16, GPU_PANEL = 16, GPU_RUN = 4, GPU_LEAST_EXTENT = 4 };

/* A tile has 16 times so many rows and columns: 1, 2, 4 or 8, which is what each thread computes. Of fragments the
 * eight warps of a block do as many, `warps` of them along the rows. */
typedef struct {
    int64_t rows, columns;
    KPrecision precision;                           /* float32: no fragments */
    int64_t warps, row_fragments, column_fragments; /* of a warp */
} GpuTileShape;

/* For the samples of a step. */
typedef struct {
    int64_t rows, columns, planes, depth;
    int64_t epilogue; /* slots for an element */
    int64_t parts;    /* of the sum, which other blocks take */
    bool along[2];    /* neighbours of the left, right operand in memory are neighbours in the sum */
    int64_t tile[2];  /* rows and columns that are told; 0: by cost */
} GpuContraction;

GpuTileShape gpu_tile_shape(const KProgram *, const GpuContraction *);
const char *gpu_tile_explain(const KProgram *, const GpuTileShape *, const GpuContraction *);
/* Cycles of a contraction: in tiles of the best shape, its sum in c->parts parts and a kernel that adds them; with a
 * block for each result. */
double gpu_tiles_cycles(const KProgram *, const GpuContraction *);
double gpu_blocks_cycles(const KProgram *, const GpuContraction *);
/* Is it so wide that it goes to the library? `why`: for explain. */
bool gpu_library_is_worth(const KProgram *, const GpuContraction *, const char **why);
/* Elements from one term of the sum to the next in the shared memory of an operand of which each thread has `share`. */
int64_t gpu_panel_row(KPrecision, int64_t share, bool along_depth);

/* ---- inside the mapping */

/* One of the operands of the product. */
typedef struct {
    const char *name;
    const KExpr *value;
    const GpuAxes *group; /* rows or columns */
    int64_t share;        /* of them, by thread */
    KExpr *from;          /* the tile's first one */
    KVar *thread;         /* place of the thread along the group: y or x */
    bool along_depth;     /* neighbours in memory are neighbours in the sum */
    KBuffer *panel;       /* in shared memory: half, place in the sum, place in the group */
    KVar *next;           /* the part of the next panel that this thread has brought */
    KBuffer *nexts;       /* the same, if it is more than one element */
} Operand;

typedef struct {
    GpuNest *g;
    const KExpr *left, *right;
    GpuAxes rows, columns, planes, depth;
    KExpr *depth_from, *depth_to; /* the terms of this block's part of the sum */
    GpuTileShape shape;
    Operand operands[2];
    KVar *x, *y;
    KExpr *plane;
    KVar *sum;            /* one element */
    KBuffer *sums;        /* several; of fragments: by row, column, element */
    KExpr *group, *place; /* of fragments: a quarter of the thread's number in its warp, and the rest */
    KExpr *warp[2];       /* the first row and column of its warp in the tile */
} GpuTile;

/* Finds operands and groups of axes in t->g->nest; false: it is no sum of products. */
bool gpu_tile_groups(GpuTile *);
GpuContraction gpu_contraction(const GpuTile *);
bool gpu_has_sides(const GpuTile *); /* rows and columns enough */
bool gpu_is_worth_tiles(const GpuTile *, const GpuContraction *);
KExpr *gpu_number(const GpuTile *, int64_t);
KExpr *gpu_plus(const GpuTile *, KExpr *, KExpr *);
KExpr *gpu_times(const GpuTile *, KExpr *, int64_t);
/* The body of an unrolled loop, or `out` itself for a single turn. */
KStmt *gpu_unrolled(const GpuTile *, const char *name, int64_t count, KExpr **at, KStmt *out);

/* ---- fragments of tensor cores (map_gpu_fragments.c) */
void gpu_fragment_threads(GpuTile *, KStmt *out); /* which part of the tile is whose */
void gpu_fragment_products(const GpuTile *, KExpr *half, KStmt *out);
/* Place in the tile of the thread's row (0) or column (1) number i, and where its sum lies. */
KExpr *gpu_fragment_place(const GpuTile *, int which, KExpr *i);
KExpr *gpu_fragment_sum(const GpuTile *, KExpr *row, KExpr *column);
#endif
