/* Lowering: tensor IR after fusion and scheduling to kernels made of nests (codegen/kir/nest.h). */
#ifndef NNC_CODEGEN_LOWER_H
#define NNC_CODEGEN_LOWER_H
#include "codegen/kir/kir.h"
#include "codegen/kir/nest.h"
#include "ir/contraction.h"
#include "ir/uses.h"

/* NULL with an error in diag if an op cannot be lowered. */
KProgram *lower_program(Arena *, Diag *, const Program *, KIsa);
/* The same; convolutions are left to a library that may use so many bytes (codegen/lower/lower_convolution.c). */
KProgram *lower_for_library(Arena *, Diag *, const Program *, KIsa, int64_t convolution_scratch);

/* ---- inside the room */
typedef struct LowerUnpool LowerUnpool;
typedef struct LowerCopy LowerCopy;
typedef struct {
    KProgram *program;
    KSequence *sequence;
    Func *func;
    FuncUses uses;
    LowerUnpool *unpools;            /* what kernels of this function have made of them */
    LowerCopy *copies;               /* of operands of a library's convolutions */
    KBuffer **memory;                /* by Value.id: where a value of the function lies */
    KBuffer **variables;             /* by Variable.id */
    const struct LowerRegion *blank; /* what each region of the function starts from */
} Lower;

/* One fusion region on its way to nests. Arrays are indexed by Value.id; all regions of a function use the same, as
 * each has values of its own. */
typedef struct LowerRegion {
    Lower *lower;
    KKernel *kernel;
    const Op *fusion;  /* or scan */
    bool single;       /* one nest: nothing is computed twice */
    const Op *windows; /* the nest of the contraction has the cells of this pooling's windows; NULL: none does */
    bool by_rows;      /* an op has become several nests over the same rows */
    KBuffer **memory;  /* the value lies here once the nest that makes it has run */
    KExpr **step;      /* the value is this step of the sequence that lies there; NULL: it is all of it */
    KVar **var;        /* the value is this variable of nest `home` at the point of its axes */
    Nest **home;
    struct LowerNeed *needs; /* which nest an expression of it needs, as it was found last */
    int *terms;         /* ops that its expression has where it is no variable and lies nowhere; at most MANY_TERMS */
    KBuffer **wanted;   /* a result: where it is to be stored */
    KBuffer **sequence; /* scans: an output: every step of it is stored here, at `now` */
    KExpr *now;
    KStmt **stores; /* by position of the nest: stores come after all lets */
    bool failed;
} LowerRegion;

void lower_fusion(Lower *, const Op *fusion, KBuffer *const *results);
/* results[i] NULL: nobody reads it */
void lower_scan(Lower *, const Op *scan, KBuffer *const *results);
const LowerRegion *lower_region_blank(Lower *); /* for the function */
LowerRegion lower_region_start(Lower *, const Op *fusion, KBuffer *const *results);
/* A kernel that runs before the one being made; memory for what it makes. */
LowerRegion lower_region_before(LowerRegion *, const Op *, const char *suffix);
KBuffer *lower_buffer(LowerRegion *, const Op *, const char *what, int rank, const Dim *);
void lower_region_ops(LowerRegion *);
void lower_region_end(LowerRegion *); /* the stores that were put off */
/* What lies in memory, at an index of the value; a store of a variable of the nest to it. */
KExpr *lower_load(LowerRegion *, const Value *, KExpr *const *index);
void lower_store(LowerRegion *, Nest *, KBuffer *, KExpr *const *index, int count, KExpr *value);
/* The value becomes a variable of the nest, at the point of its axes. */
KVar *lower_let(LowerRegion *, Nest *, const Value *);
/* The index at which a nest has a value of this type: its axes, or its cells. true: cells. */
bool lower_point(LowerRegion *, const Nest *, const Type *, KExpr **index);
/* The index of a value, with the step of its sequence; returns its rank. */
int lower_step_index(KExpr *const *index, const Type *, KExpr *step, KExpr **with_step);
/* The last nest over these axes that may compute the value; NULL: none. */
Nest *lower_find_nest(LowerRegion *, const Value *);
/* The scalar expression of a value at an index, inside a nest. */
KExpr *lower_expr(LowerRegion *, Nest *, const Value *, KExpr *const *index);
/* Gives a value that is a variable of its nest memory too. */
KBuffer *lower_ensure_memory(LowerRegion *, const Value *);
/* Windows (lower_window.c). */
void lower_pool(LowerRegion *, const Op *);
void lower_window_cells(LowerRegion *, Nest *); /* the cells of r->windows */
void lower_pool_argmax(LowerRegion *, const Op *);
void lower_pool_grad(LowerRegion *, const Op *);
void lower_unpool(LowerRegion *, const Op *); /* windows that overlap */
KExpr *lower_unpool_expr(LowerRegion *, Nest *, const Op *, KExpr *const *index);
/* The gradient of a convolution, from the gradient of max pooling (lower_unpool.c): from lists of what is not zero, if
 * that pays; or shall it compute the operand where it reads it? Else it reads all cells from memory. */
bool lower_unpool_lists(LowerRegion *, const Op *, const Op *unpool);
bool lower_unpool_inline(LowerRegion *, const Op *, const Op *unpool);
KBuffer *lower_unpool_whole(LowerRegion *, const Op *unpool);
/* A convolution, or a gradient of one, left to a library (lower_convolution.c). false: the program's own kernels. */
bool lower_convolution(LowerRegion *, const Op *);
/* Contractions, concatenation (lower_roots.c). */
/* From where to where an axis of an operand is read, by index * divisor; divisor 0: only where it is. */
typedef struct {
    int64_t low, high, divisor;
} LowerReach;
/* A kernel before copies an operand of a contraction into a buffer with zeros where there is no element: what is read
 * at `low` lies at 0. With affine accesses that miss the operand: they then read that buffer. */
KBuffer *lower_halo(LowerRegion *, const Op *, int input, const LowerReach *);
KBuffer *lower_affine_halo(LowerRegion *, const Op *, int input, const Contraction *, AffineIndex *access, int rank);
/* A sum over the taps that meet elements, not over zeros between them (lower_stride.c); unpool: the operand, if it is
 * the gradient of max pooling. false: it is no gradient with strides by the input. */
bool lower_strided(LowerRegion *, const Op *, const Op *unpool);
bool lower_is_root(const Op *);
void lower_root(LowerRegion *, const Op *);
Nest *lower_nest(LowerRegion *, const Op *, const Type *space);
void lower_add_axis(LowerRegion *, Nest *, const char *name, Dim extent, bool reduce);
KExpr *lower_axis(LowerRegion *, const Nest *, int axis); /* its variable */
KExpr *lower_index(LowerRegion *, int64_t);
NestReduction *lower_reduction(LowerRegion *, Nest *, const Value *result, ReduceKind, KExpr *);
KKernel *lower_kernel(Lower *, const Op *, const char *suffix);
KBase lower_base(Dtype);
/* "dense_padded" */
const char *lower_name(Lower *, const char *layer, const char *what);
#endif
