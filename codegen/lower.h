/* Lowering: tensor IR after fusion and scheduling to kernels made of nests (codegen/nest.h). */
#ifndef NNC_CODEGEN_LOWER_H
#define NNC_CODEGEN_LOWER_H
#include "codegen/kir.h"
#include "codegen/nest.h"

/* NULL with an error in diag if an op cannot be lowered. */
KProgram *lower_program(Arena *, Diag *, const Program *, KIsa);

/* ---- inside the room */
typedef struct {
    KProgram *program;
    KSequence *sequence;
    Func *func;
    KBuffer **memory;    /* by Value.id: where a value of the function lies */
    KBuffer **variables; /* by Variable.id */
} Lower;

/* One fusion region on its way to nests. Arrays are indexed by Value.id. */
typedef struct {
    Lower *lower;
    KKernel *kernel;
    const Op *fusion;
    KBuffer **memory; /* the value lies here once the nest that makes it has run */
    KVar **var;       /* the value is this variable of nest `home` at the point of its axes */
    Nest **home;
    KBuffer **wanted; /* a result: where it is to be stored */
    KStmt **stores;   /* by position of the nest: stores come after all lets */
    bool failed;
} LowerRegion;

void lower_fusion(Lower *, const Op *fusion, KBuffer *const *results);
/* The scalar expression of a value at an index, inside a nest. */
KExpr *lower_expr(LowerRegion *, Nest *, const Value *, KExpr *const *index);
/* Gives a value that is a variable of its nest memory too. */
KBuffer *lower_ensure_memory(LowerRegion *, const Value *);
/* Contractions, windows, concatenation (lower_roots.c). */
bool lower_is_root(const Op *);
void lower_root(LowerRegion *, const Op *);
Nest *lower_nest(LowerRegion *, const Op *, const Type *space);
void lower_add_axis(LowerRegion *, Nest *, const char *name, Dim extent, bool reduce);
KKernel *lower_kernel(Lower *, const Op *, const char *suffix);
KBase lower_base(Dtype);
/* "dense_padded" */
const char *lower_name(Lower *, const char *layer, const char *what);
#endif
