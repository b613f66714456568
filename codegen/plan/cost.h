/* The cost model: how long a mapped kernel takes, and why. One model for --emit=explain, the number of threads and
 * `nnc tune`.
 *
 * A kernel is read statement by statement, each as often as its loops run it: arithmetic by the prices of scalar.def,
 * loads, stores, and what waits for the result before it (a chain of additions). What its loops touch, and touch again,
 * says how many bytes come from which cache; where they lie when the kernel begins follows from what the step has
 * touched since. The longest of these is the time. */
#ifndef NNC_CODEGEN_COST_H
#define NNC_CODEGEN_COST_H
#include "codegen/kir/kir.h"

typedef enum { COST_L1, COST_L2, COST_L3, COST_MEMORY, COST_LEVELS } CostLevel;
extern const char *const cost_level_names[COST_LEVELS];

/* One core of a machine. */
typedef struct {
    const char *isa;
    double gigahertz;
    double fma, loads, stores, operations;    /* vectors in a cycle; instructions of any kind */
    double latency;                           /* cycles until the next addition to the same sum may start */
    int64_t bytes[COST_MEMORY];               /* of the caches */
    double bytes_per_nanosecond[COST_LEVELS]; /* from a level to the core; of L1: by loads and stores */
    bool measured;                            /* clock, FMA peak and cache sizes are of this machine */
} CostMachine;

/* The assumed figures for an instruction set (a table row). */
CostMachine cost_machine(const KIsa *);
/* Clock, FMA peak (0.2 ms) and cache sizes of this machine put into it, where they can be found out. */
void cost_measure(CostMachine *, const KIsa *);
double cost_peak(const CostMachine *, const KIsa *); /* floating-point operations in a nanosecond */

typedef enum { COST_BY_SUMS, COST_BY_POINTS, COST_BY_LOADS, COST_BY_MEMORY, COST_BOUNDS } CostBound;
extern const char *const cost_bound_names[COST_BOUNDS];

typedef struct {
    double flops;               /* that the model asks for: a multiply-add is two */
    double read, written;       /* bytes, each counted once */
    double from[COST_LEVELS];   /* bytes that come from there, as often as they do */
    double sums, points, loads; /* nanoseconds: arithmetic of sums, of everything else, reading and writing L1 */
    double memory;              /* bytes from beyond L1 */
    double time;                /* nanoseconds of one core */
    CostBound bound;
} Cost;

/* The kernels of a function one after the other, as a step that is repeated: array by kernel. */
Cost *cost_sequence(const KProgram *, const CostMachine *, const KSequence *);
void cost_add(Cost *sum, const Cost *);
/* Sets work and bytes of the mapped kernels: from here on the work is the time, in multiply-adds that a lane would have
 * done in it (of the table's machine: what is emitted does not depend on where nnc runs). */
void cost_program(KProgram *);
int64_t cost_batch(const KProgram *); /* samples of a step; memory may be planned for more */

/* ---- inside the model: what a kernel does, in cycles and touched memory (cost.c), before caches (cost_memory.c) */
typedef struct {
    const KBuffer *buffer;
    KExpr *const *index; /* physical */
    int axes;
    double span[MAX_RANK + 2]; /* elements it reaches along each physical axis in one run of the loops so far */
    double rows;               /* lines of memory that it reaches with each of them: lanes that lie apart */
    double bytes;              /* it touches, whole cache lines */
    double beyond[2];          /* bytes that come from beyond L1, L2 */
    int group;                 /* accesses of one run of statements have the same */
    bool store;
} CostAccess;

typedef struct {
    const KProgram *program;
    const CostMachine *machine;
    Arena *arena;
    double *value; /* by KVar.id: what an index variable is now */
    const bool *live;
    CostAccess *accesses;
    int access_count, access_capacity, groups;
    double sums, points, loads; /* cycles */
} CostWalk;

/* `width` neighbours in each of `rows` places that lie apart. */
CostAccess cost_access(const CostWalk *, const KBuffer *, KExpr *const *index, int axes, double width, double rows,
                       bool store);
/* The accesses from `first` on have been done `trips` times by a loop over var. */
void cost_repeat(CostWalk *, int first, const KVar *var, double trips, double step);
double cost_distinct(const CostWalk *, int first); /* bytes that they touch, each once */
void cost_memory(const KProgram *, const CostMachine *, const KSequence *, const CostWalk *walks, Cost *costs);
#endif
