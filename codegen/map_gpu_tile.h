/* The tiles of contractions on a GPU (map_gpu_tile.c), and which of them a contraction takes (map_gpu_tile_cost.c). */
#ifndef NNC_MAP_GPU_TILE_H
#define NNC_MAP_GPU_TILE_H
#include "codegen/map_gpu.h"

/* Threads of a block along each side of the tile; terms of the sum in a panel; elements of a thread that lie side by
 * side, four for one access of 16 bytes. */
enum { GPU_SIDE = 16, GPU_PANEL = 16, GPU_RUN = 4 };

/* Rows and columns of the tile that each thread computes: 1, 2, 4 or 8. */
typedef struct {
    int64_t rows, columns;
} GpuTileShape;

/* At the largest batch. */
typedef struct {
    int64_t rows, columns, planes, depth;
    int64_t epilogue; /* slots for an element */
} GpuContraction;

GpuTileShape gpu_tile_shape(const KProgram *, const GpuContraction *);
const char *gpu_tile_explain(const KProgram *, const GpuTileShape *, const GpuContraction *);
/* Elements from one term of the sum to the next in the shared memory of an operand of which each thread has `share`. */
int64_t gpu_panel_row(int64_t share, bool along_depth);
#endif
