/* Shared by kir_verify.c (statements, nests), kir_verify_expr.c (expressions, places) and
 * kir_verify_convolution.c. */
#ifndef NNC_KIR_VERIFY_H
#define NNC_KIR_VERIFY_H
#include "codegen/kir/kir.h"

/* What is known of a variable in scope. */
typedef struct {
    const KVar *var; /* NULL: not in scope */
    bool exact;      /* takes both ends of [low, high] whatever the others do */
    int64_t low, high;
    bool differs; /* may differ between the threads of a block */
} VarFacts;

typedef struct {
    const KProgram *program;
    const KKernel *kernel;
    const char *after;
    VarFacts *facts;  /* by KVar.id */
    bool *allocated;  /* by id of the local buffer */
    bool physical;    /* indices are physical: after mapping */
    int conditions;   /* enclosing conditions: what is inside may be guarded */
    int divergent;    /* enclosing conditions and bounds that differ between threads */
    int depth_serial; /* enclosing loops and conditions other than grid and thread loops */
    int parallel_loops;
    bool failed;
} Verifier;

void verify_fail(Verifier *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void verify_expr(Verifier *, const KExpr *);
void verify_index(Verifier *, const KExpr *); /* a scalar of type INDEX */
/* Lanes that a vector touches for certain: 0 where their number is known at run time only, and may be none. */
int verify_lanes(const KExpr *count, int lanes);
void verify_place(Verifier *, const KBuffer *, KExpr *const *index, int count, int lanes);
bool verify_differs(const Verifier *, const KExpr *);      /* between the threads of a block */
void verify_convolution(Verifier *, const KConvolution *); /* kir_verify_convolution.c */
/* Both ends of an expression that are taken for some values of the loop variables; false if not provable. */
bool verify_exact_range(const Verifier *, const KExpr *, int64_t *low, int64_t *high);
#endif
