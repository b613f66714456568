/* Shared by the parts of the kernel-IR interpreter: kir_interp.c (interface, threads and blocks), kir_interp_memory.c
 * (memory and its rules), kir_interp_eval.c (expressions), kir_interp_run.c (statements),
 * kir_interp_mma.c (fragments of matrices), kir_interp_convolution.c. */
#ifndef NNC_KIR_INTERP_PARTS_H
#define NNC_KIR_INTERP_PARTS_H
#include "codegen/kir/kir_interp.h"

enum { INTERP_LANES = 32, INTERP_DEPTH = 64, INTERP_BLOCK = 1024 };

/* f32 in f, i32 and bool (0 or 1) in i, index in index. A set bit of `poison` marks a lane that was computed from
 * memory that nobody wrote: that is an error only where the value matters. */
typedef struct {
    uint32_t poison;
    union {
        float f[INTERP_LANES];
        int32_t i[INTERP_LANES];
        int64_t index;
    };
} Lanes;

/* Who touched a piece of memory. Agents are (block, thread): block is the thread of a CPU kernel or the block of a
 * grid. Accesses of one block in different phases (between barriers) are in order; of one epoch (between kernels) else
 * not. */
typedef struct {
    uint32_t epoch;
    int32_t writer; /* id of the buffer that wrote it, plus one; 0: nobody */
    int32_t write_block, write_thread, write_phase;
    int32_t read_block, read_thread, read_phase; /* SEVERAL: more than one */
} Cell;

typedef struct {
    uint8_t *bytes;
    int64_t size;
    Cell *cells;
    int granule; /* bytes per cell */
} Memory;

/* A buffer as it lies in memory in this run. */
typedef struct {
    const KBuffer *buffer;
    Memory *memory; /* NULL: argument not given */
    int64_t offset; /* bytes */
    int count;
    int64_t extent[MAX_RANK + 1], stride[MAX_RANK + 1], elements;
} View;

struct KInterp {
    KProgram *program;
    int64_t batch;
    KInterpOptions options;
    Arena *arena;  /* of the interpreter */
    Memory memory; /* the model's arena */
    View *views;   /* by buffer id */
    int64_t *rows;
    char error[512];
    bool failed;
    uint32_t epoch;
    const KBuffer *poisoner; /* the buffer that poison came from last */
    /* of one kernel */
    Arena *scratch;
    const KKernel *kernel;
    KLaunch launch;
    bool on_device;
    int threads; /* in lockstep: those of a block; 1 on a CPU */
    int block, phase, thread;
    int64_t block_at[2];
    int64_t share, shares; /* of the parallel loop */
    Lanes *variables;      /* [thread][KVar.id] */
    View *locals;          /* [thread][id of the local buffer] */
    bool *masks;           /* stack of active masks */
    int64_t *bounds;       /* stack of loop ends */
    int depth;
};

void interp_fail(KInterp *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* kir_interp_memory.c */
Memory memory_new(Arena *, int64_t bytes, int granule);
void memory_zero(Memory *, int buffer); /* as if this buffer had written zeros everywhere */
void memory_forget(Memory *);           /* as if nobody had written it */
View view_of(const KInterp *, const KBuffer *, Memory *, int64_t samples);
const View *find_view(KInterp *, const KBuffer *);
/* Element of a place and how many elements follow it in its row; -1 with an error if it lies outside. */
int64_t interp_place(KInterp *, const View *, KExpr *const *index, int count, int64_t span);
void interp_read(KInterp *, const View *, int64_t element, Lanes *, int lane);
void interp_write(KInterp *, const View *, int64_t element, const Lanes *, int lane);
bool view_is_inside(const KInterp *, const View *, int64_t element); /* no padding, a sample of this batch */
int64_t view_element(const View *, const int64_t *logical);

/* kir_interp_eval.c */
void interp_eval(KInterp *, const KExpr *, Lanes *);
int64_t interp_index(KInterp *, const KExpr *); /* poison is an error */
bool interp_condition(KInterp *, const KExpr *);

/* kir_interp_run.c: runs a statement for all threads of the block whose mask is set */
void interp_stmt(KInterp *, const KStmt *, const bool *mask);
void interp_spoil(KInterp *, KBuffer *scratch); /* a library writes anywhere in its memory */

/* kir_interp_mma.c: a product of fragments, warp by warp */
void interp_mma(KInterp *, const KMma *, const bool *mask);
float interp_round(KPrecision, float); /* an operand as tensor cores take it */

/* kir_interp_convolution.c: as if one thread did all of it */
void interp_convolution(KInterp *, const KConvolution *);
#endif
