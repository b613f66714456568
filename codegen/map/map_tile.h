/* A tile while it is chosen (codegen/map/map_tile_choose.c) and written (codegen/map/map_tile.c, map_tile_body.c,
 * map_tile_sum.c, map_tile_ride.c, map_tile_beside.c). */
#ifndef NNC_CODEGEN_MAP_TILE_H
#define NNC_CODEGEN_MAP_TILE_H
#include "codegen/map/map.h"

enum { MAX_TILE = 32, MAX_VECTORS = 4, MAX_REDUCTIONS = 4 };
enum { PREFERRED = 20, LEAST_FULL = 12 }; /* accumulators of a tile */
typedef enum { LOOP_AXIS, LOOP_BLOCKS, LOOP_PANELS, LOOP_ROWS } LoopKind;

typedef struct {
    const MapNest *m;
    const Nest *nest;
    KProgram *p;
    int vector, lanes; /* axis on the lanes or -1 */
    int row, rows;     /* row axis or -1, rows of a tile */
    int64_t period;    /* distance of the rows along their axis */
    int row2, rows2;   /* a second row axis, taken whole */
    int vectors;       /* of a full tile */
    LoopKind order[NEST_MAX_AXES + 2];
    int order_axis[NEST_MAX_AXES + 2], order_count;
    bool parallel;
    /* the tile being written */
    KExpr *base[NEST_MAX_AXES];
    int tile_rows, tile_vectors;
    KExpr *tile_count; /* lanes of its last vector; NULL: all */
    KExpr *lanes_left; /* samples on the lanes: how many are left from the tile's first on; NULL: other axes */
    /* the epilogue of a tile rides in the sum of the next one (map_tile_rides) */
    bool riding;
    KBuffer *waiting[MAX_VECTORS]; /* sums of the tile before, by row */
    int turn_level;                /* of the loops in which nest->turned is turned */
    int block_axis;                /* LOOP_AXIS runs over a block of it; -1: none */
    KExpr *block_from, *block_to;
    int64_t block_rows;
    KVar *block;     /* where the block begins */
    KBuffer *packed; /* a copy of a block of the caller's columns, or NULL; of what this load reads */
    const KExpr *packed_load;
    KExpr *row_from; /* of the loop over tiles along t->row */
    int part_axis;   /* reduce axis of which only a part is summed at a time; -1: none */
    KExpr *part_from, *part_to;
    bool prefetches; /* what the epilogue touches is fetched during the sum */
    bool beside;     /* the vectors of the tile are the rows of its unrolled loops (map_tile_beside.c) */
    bool failed;
} Tiles;

/* Rows, vectors and the second row axis; then the loops around, from outside (map_tile_choose.c). */
void tile_choose(Tiles *);
void tile_choose_order(Tiles *);
bool tile_is_in_block(const Tiles *, int axis);       /* a kernel over rows takes a block of it at a time */
int64_t tile_extent_at_most(const Tiles *, int axis); /* .. or of the whole, in the largest batch */
int tile_rows_beyond(const Tiles *, int axis);        /* that the last tile touches beyond it */
/* Writes the tile at t->base: accumulators, the loops that reduce, the epilogue. Sets t->failed if it cannot be done.
 */
void map_tile_body(Tiles *, KStmt *out);
/* Narrows a range of vectors, or panels of that length, along the lanes to those that meet the part that counts. */
void tile_narrow_vectors(const Tiles *, int64_t length, KExpr *range[2]);
/* Changes the order of the loops and the nest, if columns of the caller's rows are to be copied (map_tile_pack.c). */
void map_tile_pack(Tiles *);
void map_tile_copy_block(const Tiles *, KStmt *out);
/* A tile along the rows, in the loop of this level, fetches its share of what the tiles at the next place of the loops
 * around read; where that is, is named in `around` (map_tile_ahead.c). */
void tile_fetch_next_place(const Tiles *, int level, KStmt *around, KStmt *out);
/* A long epilogue (an optimizer with its roots and divisions) is put between the products of the next tile, row by row,
 * so that neither waits for the other. Is it worth that here, for tiles along t->row? */
bool map_tile_rides(const Tiles *);
void map_tile_waiting(Tiles *, KStmt *out); /* room for the sums that wait; before the loop over the tiles */
void map_tile_last(Tiles *, KStmt *out);    /* the epilogue of the last tile, at t->base */
/* How many vectors of a pointwise nest with long functions are computed side by side; 1: one after the other. The body
 * of such a tile. */
int map_tile_beside(const Tiles *);
void map_tile_body_beside(Tiles *, KStmt *out);
/* The sum of a tile fetches what the step of a recurrence needs next: in how many pieces, 0: it does not; and what is
 * to be fetched before one of them. */
int map_prefetch_pieces(const Tiles *, int reduce_axis);
void map_prefetch_piece(const Tiles *, KExpr *piece, int pieces, KStmt *out);
#endif
