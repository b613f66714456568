/* Shared by winograd.c, which finds convolutions, winograd_nests.c, which makes the nests of F(2x2, 3x3), and
 * winograd_gradient.c, which makes those of F(3x3, 2x2). */
#ifndef NNC_CODEGEN_WINOGRAD_PARTS_H
#define NNC_CODEGEN_WINOGRAD_PARTS_H
#include "codegen/kir/nest.h"
#include "codegen/nests/winograd.h"

enum { TAPS = 3, TILE = 2, PATCH = 4, PLACES = PATCH * PATCH };

/* One of the two axes of space. */
typedef struct {
    int place;      /* of the image's indices */
    int position;   /* axis of the nest: of the results, or of the windows */
    int tap;        /* axis of the nest */
    bool backwards; /* the taps lie the other way round, as in a gradient by the image */
    int64_t low;    /* cell of the image that the first patch begins with */
    int64_t tiles, block;
    int64_t taps; /* that meet the image, over all positions */
} Side;

typedef struct {
    KProgram *p;
    KKernel *kernel;
    Nest *nest;                   /* the direct form */
    const KExpr *image, *weights; /* loads; in a gradient by the weights what comes in is in their place */
    KBuffer *cells;               /* what patches are taken from */
    Side side[2];
    WinogradUse use;
    bool by_weights;
    int sample, channel, feature;        /* axes of the nest */
    int64_t channels, features, samples; /* samples of a block */
    int parts;                           /* by_weights: of the samples */
    KBuffer *transformed, *patches, *products;
} Filter;

/* ---- what nests are made of (winograd_nests.c) */
Nest *winograd_nest(const Filter *, KKernel *);
KExpr *winograd_axis(const Filter *, Nest *, const char *name, Dim extent, bool reduce);
/* A let in the block. */
KExpr *winograd_named(const Filter *, KKernel *, KStmt *block, const char *name, KExpr *value);

/* A nest over blocks: sample, and which block of its tiles; by the weights, which part of the samples before. */
typedef struct {
    Nest *nest;
    KExpr *block[4]; /* what leads to a block */
    int block_axes;
    KExpr *sample;
    KExpr *tile[2];  /* number of the tile at hand along each side */
    KExpr *in_block; /* .. in the block */
} Blocks;
Blocks winograd_over_blocks(const Filter *);
void winograd_over_tiles(const Filter *, Blocks *);
/* Local memory for all places of the tiles of a block, `last` elements each; the index of one of them. */
KBuffer *winograd_local(const Filter *, const Blocks *, const char *name, int64_t last);
int winograd_local_index(const Filter *, const Blocks *, KExpr *place, KExpr *tile, KExpr *last, KExpr **index);
void winograd_make_patches(Filter *);

/* Rows of the image for the next block, for the sum of this nest to fetch; of a buffer that is by sample, both
 * positions, and feature, those of this block, or by the weights of the next one, where a tile has so many. */
void winograd_fetch_image(const Filter *, const Blocks *);
void winograd_fetch_rows(const Filter *, const Blocks *, KBuffer *, int64_t rows_of_tile, bool written);

/* Statements of an epilogue with variables replaced. */
enum { MOST_VARIABLES = 64 };
typedef struct {
    const Filter *f;
    KStmt *out;
    KVar *from[MOST_VARIABLES]; /* variables of the direct form */
    KExpr *to[MOST_VARIABLES];
    int count;
} Copy;
void winograd_replace(Copy *, KVar *from, KExpr *to);
void winograd_copy_block(Copy *, const KStmt *block);

/* ---- all of it */

/* A kernel before `at`, which computes f->transformed. */
void winograd_transform_weights(Filter *, KSequence *, int at);
/* The nests of f->kernel instead of f->nest. */
void winograd_make_nests(Filter *);
/* The same for a gradient by the weights, whose parts are cut already. */
void winograd_make_gradient(Filter *, KSequence *);
/* Has the epilogue few enough variables to be there for each result of a tile? */
bool winograd_fits_in_a_copy(const Nest *);
bool winograd_has_windows(const Filter *);
KVar *winograd_var(const Filter *, int axis);
#endif
