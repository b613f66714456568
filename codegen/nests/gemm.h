/* Products of matrices that a library shall compute (--blas). They are chosen between lowering and layout: each becomes
 * a nest of its own (Nest.gemm) that only sums products and stores the sums; what is computed from the sums is left in
 * the kernel behind it. map_gemm makes KS_GEMM of it. */
#ifndef NNC_CODEGEN_GEMM_H
#define NNC_CODEGEN_GEMM_H
#include "codegen/kir/kir.h"
#include "codegen/kir/nest.h"

enum {
    GEMM_LEAST = 32,  /* rows, columns and terms of each sum: below this a library has more work around than in it */
    GEMM_BLOCK = 128, /* rows or columns of one call, which threads share; fixed, so that bits do not depend on them */
    GEMM_BLOCK_SMALL = 64 /* .. where there are fewer than GEMM_BLOCKS of those */
};
enum { GEMM_BLOCKS = 4 };

/* Products with at least `least` rows, columns and terms. */
void gemm_program(KProgram *, int64_t least);

/* ---- inside the room: what is a product */
bool gemm_is_product(const KKernel *, const Nest *);
/* What a library can do behind a product: add a bias of the columns (NULL: none), make what is negative 0, store. */
typedef struct {
    const KExpr *bias; /* the load of it */
    bool relu;
    const KStmt *store;
} GemmEpilogue;
bool gemm_epilogue(const Nest *, GemmEpilogue *); /* false: the nest's epilogue is more than that */

/* On a GPU a product is left to a library where one call does all of it, with this epilogue, or with NULL for sums
 * apart. And the call, of a nest for which that is so. */
bool map_gemm_is_one_call(KProgram *, const Nest *, const GemmEpilogue *);
bool map_gemm_one_call(KProgram *, const Nest *, KBuffer *scratch, KStmt *out);

/* ---- inside the room: what an axis of a product is */
typedef enum { GEMM_ROWS, GEMM_COLUMNS, GEMM_SUM, GEMM_EACH, GEMM_NONE } GemmRole;
/* GEMM_EACH: another product at each point; GEMM_NONE: neither operand depends on it. */
GemmRole gemm_role(const Nest *, int axis);
const KExpr *gemm_operand(const Nest *, int which); /* the load of a (0) or b (1) */
/* The only statement of an epilogue that does nothing but to store the sum; NULL: it does more. */
const KStmt *gemm_store(const Nest *);
/* Points of all axes with this role in a batch of a training step. */
int64_t gemm_extent(const KProgram *, const Nest *, GemmRole);
#endif
