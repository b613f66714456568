/* From nests to statements. map_cpu: register tiles over vectors, loops, one parallel loop. map_gpu: grid and threads.
 */
#ifndef NNC_CODEGEN_MAP_H
#define NNC_CODEGEN_MAP_H
#include "codegen/kir/kir.h"
#include "codegen/kir/nest.h"
#include "codegen/nests/sequence.h"

/* Fills kernel->body of every kernel. false with an error in the program's diag. */
bool map_cpu(KProgram *);
bool map_gpu(KProgram *);

/* Sums of what a product reads go along with it (codegen/map/map_carry.c). */
void map_carry(KProgram *, KSequence *);

/* ---- inside the room: the order of the kernels, and the barriers between them (codegen/map/map_phases.c) */
void map_phases(KProgram *);

/* ---- inside the room: one instance of a nest's expressions at a place (codegen/map/vectorise.c) */
typedef struct {
    KVar *from;
    KExpr *to;
} MapBinding;

typedef struct {
    MapBinding *items; /* from: the variable, to: the load */
    bool *inner;       /* named inside the unrolled loop */
    int count, capacity, inner_capacity;
} MapLoads;

typedef struct {
    KProgram *program;
    KKernel *kernel;
    const Nest *nest;
    KVar *vector; /* the axis on the lanes; NULL: scalar code */
    int lanes;
    KExpr *count;      /* lanes that exist; NULL: all */
    KExpr *samples;    /* rows of the tile may lie beyond the batch: how many there are; NULL: none does */
    KExpr *rows_from;  /* kernels over rows: local buffers hold rows from here on; NULL otherwise */
    int row_axis;      /* of local buffers, which have one place on the axes before it */
    MapBinding *bound; /* axes and variables of the nest: what stands for them here */
    int bound_count, bound_capacity;
    KStmt *out; /* statements go here */
    KVar *row;  /* variable of the unrolled loop around `out`, NULL: none; what does not use it goes to `outer` */
    KStmt *outer;
    bool sums;       /* in a sum: what the rows share is computed once, there */
    MapLoads *loads; /* loads that have a name already */
    bool failed;     /* cannot be done on lanes */
} MapPlace;

void map_bind(MapPlace *, KVar *, KExpr *);
/* The expression at this place: a vector if it depends on the vector axis, else a scalar. Loads become variables. */
KExpr *map_value(MapPlace *, const KExpr *);
/* An index expression at this place (lane 0). */
KExpr *map_index(MapPlace *, const KExpr *);
void map_store(MapPlace *, const KStmt *store);
/* Forgets the names given inside the unrolled loop, or all. */
void map_forget(MapLoads *, bool all);
/* How often an epilogue reads a variable. */
int map_count_uses(const KStmt *block, const KVar *);
/* Lets and stores of the epilogue. */
void map_epilogue(MapPlace *, const KStmt *block);
/* The value of one of its variables, with those lets before it that are not bound yet. */
KExpr *map_epilogue_value(MapPlace *, const KStmt *block, const KVar *);

/* Sequences that the step of a recurrence will read or write soon (codegen/map/map_prefetch.c). */
enum { MAX_COMING = 24 };
typedef struct {
    KBuffer *buffer;
    KExpr *time;
} MapComingLine;
typedef struct {
    const Nest *nest; /* whose sum fetches them */
    MapComingLine items[MAX_COMING];
    int count;
} MapComing;

/* One nest over given ranges of its axes: appends to `out`. `parallel`: the outermost loop may be shared by threads. */
typedef struct {
    KProgram *program;
    KKernel *kernel;
    KExpr *rows_from, *rows_to; /* range of the row axis in a kernel over rows; NULL: all */
    int64_t block_rows;         /* rows of such a range at most */
    int *slack;                 /* grows to the rows that tiles touch beyond the batch */
    const MapComing *coming;    /* NULL: nothing is fetched before it is used */
    KKernel *const *next;       /* the kernels behind this one */
    int next_count;
    int row_axis; /* rows lie along this axis, not 0: places on those before it are fixed */
    KExpr *fixed[MAX_RANK];
} MapNest;
/* The nests of the kernel one after the other; its local buffers, with so many rows. */
bool map_nests(const MapNest *, bool parallel, KStmt *body);
void map_locals(KProgram *, KKernel *, int64_t rows, KStmt *body);
/* Products before and behind kernels over rows join them, where what passes on between them is large
 * (codegen/map/map_join.c). */
void map_join(KProgram *, KSequence *);
/* What is turned for one product alone is turned there, piece by piece (codegen/map/map_piece.c). */
void map_pieces(KProgram *, KSequence *);
/* Kernels over rows within samples (codegen/map/map_rows.c): rows of a block; do the lanes that layout chose fit? */
int64_t map_long_rows_block(const KKernel *);
bool map_rows_hold_product(const KKernel *);
/* Do blocks of so many rows with that many elements, which a product makes, fill its tiles? */
bool map_rows_fill_tiles(int64_t all, int64_t row);
bool map_long_rows_fit(const KProgram *, const KKernel *);
bool map_long_rows(KProgram *, KKernel *, int *slack, KStmt *body);
MapComing *map_coming(const MapNest *); /* of a kernel with steps; NULL: nothing */
/* The store of an epilogue that is a value and its store, NULL: it is more. */
const KStmt *map_only_store(const KStmt *block, const KExpr **value);
/* A nest that copies with a constant around: loops that end where a condition changes. false: it is no such nest. */
bool map_edges(const MapNest *, const Nest *, bool parallel, KStmt *out);
/* A nest that only copies, and in another order: blocks turned in registers. false: it is no such nest. */
bool map_turn(const MapNest *, const Nest *, bool parallel, KStmt *out);
/* Is it one? What it reads and what it makes, by the same axes. */
bool map_is_turn(const KProgram *, const Nest *, KBuffer **from, KBuffer **to);
/* nest->turned, at these places of the axes that lead to a piece, into nest->piece. */
void map_turn_piece(const MapNest *, const Nest *, KExpr *const *place, KStmt *out);
/* A product of matrices for a library, if nest->gemm and all matrices lie so. */
bool map_gemm(const MapNest *, const Nest *, bool parallel, KStmt *out);
bool map_nest_tiles(const MapNest *, const Nest *, bool parallel, KStmt *out);
#endif
