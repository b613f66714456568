/* Shared by layout.c, which chooses vector axes and memory orders, layout_price.c, which says what they cost, and
 * layout_epilogue.c, which takes long epilogues from sums. */
#ifndef NNC_CODEGEN_LAYOUT_PARTS_H
#define NNC_CODEGEN_LAYOUT_PARTS_H
#include "codegen/nests/layout.h"

enum { LAYOUT_MOST_ACCESSES = 64 };

typedef struct {
    KBuffer *buffer;
    KExpr *const *index;
    bool inner; /* in a reduction */
    bool store;
} Access;

typedef struct {
    Access items[LAYOUT_MOST_ACCESSES];
    int count;
} Accesses;

/* What a nest touches. */
Accesses layout_accesses(const Nest *);
/* The axis that is best on the lanes, -1: none; and its cost, in vector operations. */
int layout_vector(const KProgram *, const Nest *, const Accesses *, double *cost);
/* The price of an element in scalar code. */
#define LAYOUT_SCALAR 1.5
/* A load that could read a twin instead, of a contraction or of what the caller passes by sample: the axis that the
 * twin has innermost, or -1. */
int layout_twin_axis(const Nest *, const Access *, int vector);
/* For a batch of a step: points of the parallel axes, or of all; elements of a buffer. */
double layout_points(const KProgram *, const Nest *, bool reduced);
double layout_elements(const KProgram *, const KBuffer *);

/* Long epilogues of sums that lie on the lanes become nests of their own; true if there were any: kernels and buffers
 * for which nothing is chosen yet. Needs the vector axes of all nests. */
bool layout_epilogues(KProgram *);
#endif
