/* Nests: what one loop nest computes, before it is decided how. Lowering makes them, map_cpu and map_gpu turn them
 * into statements. All expressions are scalar, loads and stores have logical indices, whatever the buffer's layout.
 *
 *   for each point of the parallel axes:
 *       r0 = reduce over the reduce axes of expression 0, ...
 *       epilogue: lets and stores that use the axes and r0, ..
 *
 * Statements of `each` run at every point before the reductions take it in; they see what is reduced so far.
 * A nest with cells is one of windows: the reductions and the lets of `cell` are there for each cell of the window at a
 * point, the pools take in what the cells give, and the epilogue sees the pools.
 * In an `ordered` nest the epilogue adds to memory at each point of the reduce axes; reductions, if there are any, run
 * over those from `sum_from` on, and the epilogue adds what they give.
 *
 * A kernel with several nests runs them one after the other; what they pass on lies in local buffers if `rows` is set:
 * then every nest's axis 0 is the same parallel axis (rows of the batch), and the kernel may be done by blocks of it.
 */
#ifndef NNC_NEST_H
#define NNC_NEST_H
#include "codegen/kir/kir.h"

enum { NEST_MAX_AXES = 12, NEST_MAX_CELLS = 9 };

typedef struct {
    KVar *var;
    Dim extent;
    bool reduce;
    KExpr *from, *to; /* a reduce axis of which only this part counts, by axes before it; NULL: all of it */
    double part;      /* the share of the terms that it is on average; 0: not known */
} NestAxis;

typedef struct {
    ReduceKind kind;
    KExpr *expr;  /* over all axes */
    KExpr *guard; /* bool: only where true (padding); NULL: everywhere */
    KVar *result;
    bool argument; /* result is the index (i32) of the first extremum along the single reduce axis */
} NestReduction;

/* Where axes.above + distance >= axes.below; above NULL: everywhere. */
typedef struct {
    KVar *above, *below;
    int64_t distance;
} KTriangle;

/* A nest without loops of its own: a sum over the same axes of something that the sum of the nest that carries it reads
 * too. It may lack one parallel axis: then it is added up at the first place of that. */
typedef struct {
    const struct Nest *nest; /* in the same kernel; NULL: none is carried */
    int axis[NEST_MAX_AXES]; /* by its axes: that of the nest that carries it */
    int lacks;               /* -1: none */
} NestCarried;

/* Rows of a buffer [B, rows, .., n] that a kernel over rows will touch after this nest, in the same block or in the
 * next one: so many, side by side in memory, numbered through all samples. */
typedef struct {
    KBuffer *buffer;
    KExpr *first; /* over the axes that lead to a row */
    int64_t rows;
    bool written;
} NestComing;
enum { NEST_MAX_COMING = 6 };

typedef struct Nest {
    NestAxis axes[NEST_MAX_AXES]; /* parallel axes first */
    int axis_count, parallel_count;
    NestReduction reductions[4];
    int reduction_count;
    NestAxis cells[3];                  /* of a window, row-major */
    int cell_count;                     /* 0: no windows */
    NestCarried carried;                /* a sum that goes along (codegen/map/map_carry.c) */
    NestComing coming[NEST_MAX_COMING]; /* its sum fetches them between its products (codegen/map/map_prefetch.c) */
    int coming_count;
    KTriangle part;         /* elsewhere the sum adds zeros, or nobody asks for it (codegen/nests/triangle.h) */
    KStmt *outside;         /* what is stored outside of the part, block of STORE of constants; NULL: not known */
    KStmt *cell;            /* block of LET */
    NestReduction pools[2]; /* over the cells; `argument`: the number of the first largest */
    int pool_count;
    KExpr **point;   /* index of the cell at hand, by parallel axes; NULL: no windows */
    KStmt *each;     /* block of STORE, in scalar code; NULL: none */
    KStmt *epilogue; /* block of LET and STORE */
    KExpr *turned;   /* load that its product reads in another order, from a local buffer, turned in the loops over the
                        axes of the nest that lead to a piece (map_piece.c); NULL: none */
    KBuffer *piece;  /* that buffer: the axes of the load that the product runs through at such a place */
    bool gemm;       /* a product of matrices that is left to a library, where memory allows (codegen/nests/gemm.h) */
    const char *library; /* on a GPU: why it is, or is not, the library's; NULL: nobody has asked */
    bool ordered;        /* the epilogue runs at every point of the reduce axes too, in order, on one thread */
    int sum_from;        /* ordered, with reductions: the first axis that they run over */
    int sum_parts;       /* > 1: axis 0 numbers parts of the sum, even shares of its terms (nest_sums_apart), or of
                            axis 1, if that has bounds; 0: all */
    int64_t tile[2];  /* rows and columns of its tiles on a GPU, if they are told (codegen/plan/tuning.h); 0: by cost */
    const char *form; /* on a GPU: how a contraction is named there; NULL: it is none */
    int vector_axis;  /* axis on the vector lanes, chosen by layout; -1: none */
    struct KKernel *kernel; /* the kernel that it belongs to */
    Op *op;                 /* the op it is named after */
    const char *layer;
    const KConvolution
        *convolution; /* which is left to a library (codegen/lower/lower_convolution.c); NULL: it is none */
} Nest;

/* Cells of a window, 1 without. */
int nest_cells(const Nest *);
/* The axis, the parallel axis that this index is; -1: it is none. */
int nest_axis(const Nest *, const KExpr *index);
int nest_parallel_axis(const Nest *, const KExpr *index);
/* Is it one of the axes that lead to a piece of what is turned? */
bool nest_leads_to_piece(const Nest *, int axis);
/* Does the part of a reduce axis that counts depend on this axis? Then it is on no lane, and not a row of tiles. */
bool nest_bounds_use(const Nest *, int axis);
/* What reduce axes run over, and some of what is summed, depends on the parallel axis by its rest by the period only;
 * 0: by no rest, or in other ways too. Does an expression depend on the variable in another way? */
int64_t nest_period(const Nest *, int axis);
bool nest_uses_beyond_rest(const KExpr *, const KVar *, int64_t period);
/* All that the nest reads and stores: its reductions with their guards, those over cells, and its statements. */
void nest_visit(const Nest *, const KVisitor *);
/* Does a nest of the kernel store to the buffer; load from it, or from a part of it? */
bool nests_write(const struct KKernel *, const KBuffer *);
bool nests_read(const struct KKernel *, const KBuffer *);
/* The parallel axes that all nests of the kernel start with and use in the same way for what they pass on to each
 * other: nothing passes from one place on them to another one. */
int nests_shared_axes(const struct KKernel *);
/* The nest that stores what lies outside of the part that counts. */
const Nest *nest_outside(KProgram *, const Nest *);
/* The largest divisor of `all` that is at most `most`; at least 1. */
int64_t largest_divisor(int64_t all, int64_t most);
/* Of a kernel over rows: the axes that lead to a row, those at the front of this nest. */
int nest_row_axes(const Nest *);
/* Do the parts that axis 0 numbers (sum_parts) share the points of the nest, or with `reduced` its terms? */
bool nest_has_shares(const Nest *, bool reduced);
/* Vector operations that add up a vector across its lanes. */
enum { NEST_ACROSS = 8 };
/* Work for a batch, in slots of a vector FMA times its lanes. */
int64_t nest_slots(const Nest *, int64_t batch);
int64_t nest_epilogue_slots(const Nest *); /* for one element */
/* Floating-point operations: a multiply-add is two, another function what it costs beside an addition (scalar.def). */
double nest_flops(const Nest *, int64_t batch);
#endif
