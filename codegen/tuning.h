/* Choices for the tiles of contractions that were found by measuring (`nnc tune`), instead of by the rules of
 * map_tile.c. A contraction is known by its form: extents, which axis is on the lanes, how its operands move and lie.
 * A choice changes which results are computed together, never the order in which one of them is summed: bits stay. */
#ifndef NNC_CODEGEN_TUNING_H
#define NNC_CODEGEN_TUNING_H
#include "codegen/nest.h"

typedef struct {
    const char *form; /* "a32Bb64v.x100:ax*xb:12" */
    int rows, vectors;
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
#endif
