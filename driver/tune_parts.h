/* Shared by the measuring (tune.c) and the report (tune_report.c) of `nnc tune`. */
#ifndef NNC_DRIVER_TUNE_PARTS_H
#define NNC_DRIVER_TUNE_PARTS_H
#include "driver/build.h"
#include "driver/tune.h"

enum { TUNE_TRIED = 4, TUNE_ROUNDS = 3, TUNE_MOST_BUILDS = 256 };
#define TUNE_GAIN 0.98 /* less than 2 % is noise */

/* Times in nanoseconds. */
typedef struct {
    int rows, vectors, build;
    double predicted, measured;
    bool other_bits;
} Tile;

typedef struct {
    TileSeen seen; /* with the tile that the rules choose */
    bool *in;      /* by kernel of the step: it is in that */
    int turn;
    const char *kernel;
    Tile *tiles;
    int tile_count, tile_capacity;
    double predicted, measured; /* of all its kernels, with that tile */
    Tile best;
} Contraction;

typedef struct {
    const char *program;
    double *times, step; /* by kernel; all of them: no other work of the machine lies between */
    unsigned long long bits;
} Build;

typedef struct {
    const Options *given;
    Options options; /* of the program being made */
    Arena *arena;
    Diag *diag;
    CBuild build;
    const char *path, *folder, *isa, *milliseconds;
    const char **kernel_names;
    int kernel_count;
    Contraction *items;
    int count, capacity, turns;
    Build *builds; /* the first one has no tile forced */
    int builds_made, build_count;
    double *predicted;  /* by kernel */
    const Build *tuned; /* NULL: no tile is faster */
    bool kept;          /* the tuned step is faster, with the same bits */
    Status status;
} Tune;

void tune_report(const Tune *);
#endif
