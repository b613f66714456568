/* Shared by the files that write a tile: map_tile_body.c (accumulators, epilogue), map_tile_sum.c (the loops of the sum
 * and what they fetch), map_tile_ride.c (an epilogue that rides in the sum of the next tile). */
#ifndef NNC_CODEGEN_MAP_TILE_PARTS_H
#define NNC_CODEGEN_MAP_TILE_PARTS_H
#include "codegen/map/map_tile.h"

/* An accumulator per row: a variable for one row, a register array for several. */
typedef struct {
    KVar *var;
    KBuffer *rows;
    KType type;
} Accumulator;

typedef struct {
    Accumulator sum[NEST_MAX_CELLS][MAX_VECTORS]; /* by reduction, or by cell of a window */
    Accumulator place[MAX_REDUCTIONS][MAX_VECTORS];
    KVar *carried[MAX_VECTORS]; /* of the sum that goes along */
    KVar *row;                  /* of the unrolled loop being written */
    MapLoads loads;
} Accumulators;

/* ---- rows and accumulators (map_tile_body.c) */
int tile_all_rows(const Tiles *);
/* The unrolled loop over the rows of the tile; with one row there is none. Gives the block for its statements. */
KStmt *tile_open_rows(Tiles *, Accumulators *, KStmt *out);
void tile_close_rows(Tiles *, Accumulators *, KStmt *out, KStmt *body);
KExpr *tile_accumulated(Tiles *, const Accumulators *, const Accumulator *);
KStmt *tile_set_accumulated(Tiles *, const Accumulators *, const Accumulator *, KExpr *value);
/* The place of one vector of the tile, in the row of the loop being written; reduce axes are bound by the caller. */
MapPlace tile_place_at(const Tiles *, Accumulators *, int vector, KStmt *outer, KStmt *out);
/* Adds what stands at one place of the reduce axes, or along the one on the lanes. */
void tile_accumulate(Tiles *, Accumulators *, KExpr **index, KStmt *out);
/* The results of the reductions for one vector, then the epilogue. */
void tile_finish_vector(Tiles *, Accumulators *, int vector, KStmt *outer, KStmt *body);

/* ---- the sum that goes along (map_tile_carry.c); all of it nothing where there is none */
void tile_carry_start(Tiles *, Accumulators *, KStmt *out);
/* Adds what stands at one place of the reduce axes. */
void tile_carry(Tiles *, Accumulators *, KExpr *const *index, KStmt *out);
void tile_carry_finish(Tiles *, Accumulators *, KStmt *out); /* its epilogue */

/* ---- the sum (map_tile_sum.c) */
int64_t tile_reduced_points(const Tiles *);
/* Constants of an epilogue that live across a sum cost it registers: compilers spill its operands for them. */
bool tile_long_sum(const Tiles *);
/* The outermost axis of the sum, if it can be summed in parts; -1: it cannot. */
int tile_part_axis(const Nest *);
/* The whole sum; what is read and written later is fetched between its products where that is worth it. */
void tile_sum(Tiles *, Accumulators *, KStmt *out);
/* Does anything of the tile lie in the part that counts, where that does not depend on a reduce axis? NULL: all does.
 */
KExpr *tile_meets_part(const Tiles *);
/* In a tile that does not meet it: what a short sum would fetch for the tile below, if that one meets it. */
void tile_prefetch_below(Tiles *, Accumulators *, KStmt *out);
/* A part of the sum, of as many as there are pieces. */
void tile_sum_part(Tiles *, Accumulators *, KExpr *piece, KExpr *pieces, KStmt *out);
/* Fetches what the epilogue of a row touches in far memory. */
void tile_prefetch_row(Tiles *, Accumulators *, KExpr *row, KStmt *out);

/* ---- what the sum itself reads, ahead (map_tile_ahead.c); `axis` is its last one, bound in `index` */
/* Of the next of the panels that an operand is cut in along the axis: `first`, and the place in it. */
void tile_fetch_next_panel(const Tiles *, int axis, KVar *first, KVar *place, KExpr **index, KStmt *outer, KStmt *out);
/* Of the next panel of vectors: a share of it at each turn of the loop over the panels of this axis. */
void tile_fetch_next_vectors(const Tiles *, int axis, KVar *first, int64_t panel, KStmt *out);
/* A place that is fetched before, by a name. */
KExpr *tile_next(const Tiles *, KExpr *place, int64_t multiple, KStmt *out);
/* A step further along an axis, but not beyond the last one. */
KExpr *tile_one_further(const Tiles *, KExpr *from, int64_t step, int64_t extent, KStmt *out);
/* The tile below this one; below the last one, the first at the next place of the axis around, if that may be the
 * samples: rows of the caller there are not known to exist. */
void tile_move_below(const Tiles *, bool samples, Tiles *below, KStmt *lets);
/* What the next tile along the rows reads at this place of the sum. */
void tile_fetch_next_tile(const Tiles *, int axis, KExpr **index, KStmt *out);

/* ---- the epilogue of the tile before (map_tile_ride.c) */
/* The sum of this tile with the epilogue of the one before in it; its results then wait in t->waiting. */
void tile_sum_with_rider(Tiles *, Accumulators *, KStmt *out);
#endif
