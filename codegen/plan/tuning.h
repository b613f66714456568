/* Choices for the tiles of contractions that were found by measuring (`nnc tune`; on a GPU, where it does not measure,
 * by whoever writes the file), instead of by the rules of map_tile.c and map_gpu_tile_cost.c. A contraction is known by
 * its form: extents, which axis is on the lanes, how its operands move and lie. Rows and vectors change which results
 * are computed together, never the order in which one of them is summed: bits stay. Parts of a sum are summed apart:
 * other parts, other bits. */
#ifndef NNC_CODEGEN_TUNING_H
#define NNC_CODEGEN_TUNING_H
#include "codegen/kir/nest.h"

typedef struct {
    const char *form;  /* "a32Bb64v.x100:ax*xb:12"; on a GPU "*" are all */
    int rows, vectors; /* of a tile; on a GPU, where a vector is one number, columns */
    int parts;         /* of the sum, on a GPU */
    bool library;      /* on a GPU: no tile, but the library that --blas names; without one nothing is told */
} TileChoice;

/* A contraction as it was mapped. */
typedef struct {
    TileChoice choice;
    int most_rows, most_vectors, accumulators; /* what could be chosen */
    const KKernel *kernel;
} TileSeen;

typedef struct Tuning {
    TileChoice *wanted;
    int wanted_count, wanted_capacity;
    const SourceFile *file; /* where they are from; NULL: no file */
    int *places;            /* of the choices: their lines in it */
    int place_count, place_capacity;
    TileSeen *seen; /* in the order in which they are mapped; a form stands there for each nest */
    int seen_count, seen_capacity;
} Tuning;

/* Of a nest with lanes along `vector`, in a kernel that takes `block` rows at a time (0: all). */
const char *tuning_form(const KProgram *, const Nest *, int vector, int64_t block);
/* map_tile asks with what its rules have chosen: sets what was measured to be faster, and notes the contraction. */
void tuning_ask(const KProgram *, TileSeen *);
/* The mapping to a GPU asks of each contraction: sets the nest's form and, if they are told, rows and columns of its
 * tiles. Returns in how many parts its sum is taken then; 0: nothing is told. */
int tuning_ask_gpu(const KProgram *, Nest *);
/* And before that of each product that a library could compute. */
typedef enum { TUNING_NOTHING, TUNING_TILES, TUNING_LIBRARY } TuningLibrary;
TuningLibrary tuning_ask_library(const KProgram *, Nest *);
enum { TUNING_GPU_LEAST = 16, TUNING_GPU_MOST = 128 }; /* sides are powers of two */
#endif
