/* Shared by winograd.c, which finds convolutions, and winograd_nests.c, which makes the nests of F(2x2, 3x3). */
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
    const KExpr *image, *weights; /* loads */
    KBuffer *cells;               /* what patches are taken from */
    Side side[2];
    int channel, feature;                /* axes of the nest */
    int64_t channels, features, samples; /* samples of a block */
    KBuffer *transformed, *patches, *products;
} Filter;

/* A kernel before `at`, which computes f->transformed. */
void winograd_transform_weights(Filter *, KSequence *, int at);
/* The nests of f->kernel instead of f->nest. */
void winograd_make_nests(Filter *);
/* Has the epilogue few enough variables to be there for each result of a tile? */
bool winograd_fits_in_a_copy(const Nest *);
bool winograd_has_windows(const Filter *);
KVar *winograd_var(const Filter *, int axis);
#endif
