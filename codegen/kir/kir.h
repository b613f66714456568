/* Kernel IR: loops, expressions and stores between tensors and text. C and CUDA are printed from it, and
 * codegen/kir/kir_interp.c runs it, grid, block, shared memory and barriers included.
 *
 * Three levels, top down:
 *   KProgram   all kernels of a module, its buffers, and per function the sequence of kernels (KSequence)
 *   KKernel    one function of the emitted file. Before mapping it is a list of nests (codegen/kir/nest.h), after
 * mapping a body KStmt      statements over scalar or vector expressions (KExpr)
 *
 * A vector expression has `lanes` > 1. Buffers are indexed with one expression per physical axis; a vector load or
 * store covers `lanes` consecutive elements of the last physical axis. */
#ifndef NNC_KIR_H
#define NNC_KIR_H
#include "ir/ir.h"
#include "ir/program.h"

typedef enum { KBASE_F32, KBASE_I32, KBASE_BOOL, KBASE_INDEX } KBase; /* INDEX: int64_t of addresses and loops */
typedef struct {
    KBase base;
    int lanes;
} KType;

/* ---- buffers */
typedef enum {
    SPACE_ARENA,    /* in the model struct's arena, at `offset` after memory planning */
    SPACE_VARIABLE, /* a weight or state in the model struct */
    SPACE_ARGUMENT, /* x, y, w of the caller: axis 0 is the sample; row r of the batch is row rows[r] if `indirect` */
    SPACE_RESULT,   /* results of the function: scalars of the step, or the caller's output rows */
    SPACE_LOCAL,    /* on the stack of one kernel call; GPU: registers or shared memory */
    SPACE_SHARED    /* GPU: one per block */
} KSpace;

/* A copy of another buffer with zeros around it: element i is element i + low there, or 0 where there is none. */
typedef struct {
    struct KBuffer *of;
    int64_t low[MAX_RANK];
} KHalo;

/* Iteration u, of `units`, of each of some kernels touches the bytes from u * bytes on; bytes 0: that is not so. */
typedef struct {
    int64_t bytes;
    struct KExpr *units;
} KPieces;

typedef struct KBuffer {
    int id; /* index in the program, or in the kernel for LOCAL and SHARED (see `kernel`) */
    const char
        *name; /* valid C identifier, unique in the program: dense_1, dense_1_kernel, adam_dense_kernel_velocity */
    KSpace space;
    KBase base;
    int rank;           /* logical axes */
    Dim dims[MAX_RANK]; /* logical extents */
    /* Physical form: axis p of memory is logical axis order[p]; if block > 0 the logical axis block_axis is cut in
     * panels: memory axis p with order[p] == block_axis counts panels, and one more, innermost memory axis is the place
     * in the panel. The innermost axis is padded to a multiple of `pad` elements (1: none). */
    int8_t order[MAX_RANK];
    int8_t block_axis;
    int32_t block, pad;
    int lanes;    /* SPACE_LOCAL: > 1: every element is a vector (one more memory axis), kept in registers by unrolled
                     loops */
    bool zeroed;  /* SPACE_LOCAL: starts as zeros */
    int align;    /* SPACE_SHARED: it begins at a multiple of so many bytes, for vectors; 0: as one element needs */
    bool scratch; /* what a library may use: nobody reads it */
    int slack;    /* ARENA, LOCAL: rows that a tile may touch beyond the batch (axes that are multiples of it) */
    bool indirect;
    bool whole;                 /* its rows are not cut in panels: a matrix product of a library reads or makes it */
    bool odd_rows;              /* the axis before the innermost one is padded to an odd extent, or the places on those
                                   before it would be a multiple of 4 KB apart and share a few sets of the caches */
    const KHalo *halo;          /* NULL: it is no such copy */
    int64_t row_stride;         /* SPACE_ARGUMENT: distance of samples in elements, 0: dense. Avoids 4 KB multiples */
    Variable *variable;         /* SPACE_VARIABLE */
    int argument;               /* SPACE_ARGUMENT, SPACE_RESULT: index in the function */
    struct KSequence *sequence; /* the function that owns an ARENA, ARGUMENT or RESULT buffer; NULL: variables */
    struct KBuffer *alias; /* these elements in the memory of another buffer, row-major in both; NULL: own memory */
    bool viewed;           /* its memory is seen through another buffer too, of which it is the alias */
    int64_t offset;        /* bytes in the arena, after memory planning */
    int64_t bytes;         /* planned size (batch_max) */
    KPieces begins, ends;  /* of the kernels between those two barriers where its life begins, where it ends */
    int64_t most;          /* I32: the values are from 0 to this, data decide; 0: nothing is known */
    const char *layer;     /* for comments */
} KBuffer;

/* The expected value of what is from 0 to `most`, lengths of lists of non-zeros: one part of so many. It is about what
 * relu and dropout leave of the largest numbers of windows. */
enum { KBUFFER_PARTS = 3 };

/* Physical axes: those of the rank, one more with panels, one more (last) with lanes. Static extents, the batch at
 * batch_max. */
int kbuffer_axes(const KBuffer *);
int kbuffer_physical(const KBuffer *, int64_t batch_max, int64_t extent[MAX_RANK + 1]);
int kbuffer_innermost(const KBuffer *); /* logical axis along which neighbours lie side by side; -1: a scalar */
int64_t kbuffer_elements(const KBuffer *, int64_t batch_max); /* of memory, padding included */
void kbuffer_strides(const KBuffer *, int64_t batch_max,
                     int64_t stride[MAX_RANK + 1]); /* per physical axis, in elements */
void kbuffer_see(KBuffer *view, KBuffer *of);       /* `view` becomes a view of the memory of `of` */
KBuffer *kbuffer_owner(const KBuffer *);            /* whose memory it is: its own, or that of what it is a view of */
bool kbuffer_overlaps(const KBuffer *, const KBuffer *); /* after memory planning: some bytes are in both */
int64_t kbase_bytes(KBase);                              /* in memory; a bool is one byte */

/* ---- expressions */
typedef struct KVar {
    int id;           /* unique in the kernel */
    const char *name; /* hint, made unique by the printer: m, n, k, acc_0_1 */
    KType type;
    bool is_mutable;  /* changed by KS_SET */
    int64_t limit;    /* index variables: if > 0, 0 <= value < limit; folding uses it, the interpreter checks it */
    int64_t multiple; /* index variables: if > 0, the value is a multiple of it; folding uses it */
} KVar;

typedef enum {
    KE_CONST, /* number */
    KE_VAR,
    KE_BATCH, /* B, index */
    KE_LOAD,
    KE_FN,    /* a row of scalar.def, lane by lane */
    KE_INDEX, /* index arithmetic: op '+', '-', '*', '/', '%', 'm' (minimum), 'M' (maximum); '/' and '%' of non-negative
                 numbers */
    KE_CAST,  /* lane by lane; bool <-> f32 gives 0/1 */
    KE_SPLAT, /* scalar to all lanes */
    KE_LANES, /* i32 vector 0, 1, 2, .. */
    KE_ACROSS, /* reduce the lanes of a vector to a scalar, in a fixed pairwise order */
    KE_RANDOM  /* uniform or normal number by Philox: (seed, step, index); lanes: consecutive indices */
} KExprKind;

typedef struct KExpr KExpr;
struct KExpr {
    KExprKind kind;
    KType type;
    union {
        double number;
        KVar *var;
        struct {
            KBuffer *buffer;
            KExpr **index; /* logical before layout (rank), physical after mapping (see KLoadForm) */
            int index_count;
            KExpr *count;  /* only the first `count` lanes are read, the others are 0; NULL: all */
            KExpr *stride; /* lanes > 1: distance of lanes in elements of memory; NULL: 1 */
        } load;
        struct {
            ScalarFn fn;
            KExpr *args[3];
        } fn;
        struct {
            char op;
            KExpr *left, *right;
        } index;
        KExpr *operand; /* CAST, SPLAT */
        struct {
            ReduceKind kind;
            KExpr *operand;
        } across;
        struct {
            RandomKind kind;
            int stream;
            KExpr *seed, *step, *index;
        } random;
    };
};

/* ---- statements */
typedef enum {
    AXIS_SERIAL,
    AXIS_UNROLL,   /* the printer writes a pragma */
    AXIS_PARALLEL, /* outermost only: iterations are owned by threads, in fixed contiguous shares */
    AXIS_GRID_X,   /* blockIdx.x, .. : outermost loops of a GPU kernel */
    AXIS_GRID_Y,
    AXIS_THREAD_X, /* threadIdx.x: directly inside the grid loops */
    AXIS_THREAD_Y
} AxisKind;

typedef enum {
    KS_BLOCK,
    KS_FOR,
    KS_IF,
    KS_LET,
    KS_SET,
    KS_STORE,
    KS_ALLOC,
    KS_BARRIER,
    KS_TRANSPOSE,
    KS_GEMM,
    KS_MMA,
    KS_CONVOLUTION,
    KS_PREFETCH,
    KS_FORGET,
    KS_COMMENT
} KStmtKind;

/* A fragment multiply-accumulate (PTX: mma.sync.m16n8): sum, 16 x 8, += a, 16 x depth, times b, depth x 8. Every thread
 * of the warp holds some elements of each, given here as its values. With lane = 4 * group + place, width 1 of tf32 and
 * 2 of bfloat16, element number width * r + h is of a: row group + 8 * (r % 2), term width * place + h + 4 * width * (r
 * / 2) of b: term width * place + h + 4 * width * r, column group and number e of the sum is row group + 8 * (e / 2),
 * column 2 * place + e % 2. Operands are rounded, sums are f32. */
typedef enum { PRECISION_FLOAT32, PRECISION_TF32, PRECISION_BFLOAT16, PRECISIONS } KPrecision;
enum { MMA_ROWS = 16, MMA_COLUMNS = 8, MMA_SUMS = 4, MMA_MOST = 8 };
typedef struct {
    KPrecision precision;
    KExpr *a[MMA_MOST], *b[MMA_MOST / 2];
    KBuffer *sum;  /* LOCAL, its last axis are the four elements of the thread */
    KExpr **index; /* of the first of them */
    int index_count;
} KMma;
int kmma_depth(KPrecision); /* terms: 8 of tf32, 16 of bfloat16; a thread has half as many of a, a quarter of b */
extern const char *const kprecision_names[PRECISIONS];

/* A matrix in a buffer: its first element (physical indices), and the physical axes whose strides lead to the next row
 * and the next column. One of the two strides is 1; a row or column may run on from one axis into the one before it. An
 * axis of -1 leads nowhere: all rows are the same. */
typedef struct {
    KBuffer *buffer;
    KExpr **index;
    int index_count, along[2];
} KMatrix;

/* c[i][j] = sum of a[i][k] b[k][j] for row_from <= i < row_to, column_from <= j < column_to, 0 <= k < sum. On a GPU the
 * kernel is this call alone, which the host makes, and may do more. */
typedef struct {
    KMatrix a, b, c;
    KExpr *row_from, *row_to, *column_from, *column_to, *sum;
    bool accumulate;      /* added to what c holds */
    KMatrix bias;         /* then this is added: the same in all rows; without a buffer: nothing */
    bool relu;            /* last, negative results become 0 */
    KPrecision precision; /* to which operands are rounded */
    KBuffer *scratch;     /* memory that the library may use; NULL: none */
} KGemm;
int kgemm_reads(const KGemm *, KBuffer *buffers[3]); /* operands, bias; how many */

/* For all samples, with zeros outside of the image:
 *   result[m, o.., f] = sum over t.., c of image[m, o * stride + t * dilation - low, c] * weights[t.., c, f]
 * forward; by image and by weights its gradients, which write these from the other two. As many zeros count before an
 * image as behind it. The last axis of the weights, f, is outermost in memory; image and result lie in order. */
typedef enum { CONVOLUTION_FORWARD, CONVOLUTION_BY_IMAGE, CONVOLUTION_BY_WEIGHTS, CONVOLUTIONS } KConvolutionKind;
enum { CONVOLUTION_SPATIAL = 3 };
typedef struct {
    KConvolutionKind kind;
    KBuffer *image, *weights, *result;
    KBuffer *scratch; /* what is in it is lost */
    int64_t stride[CONVOLUTION_SPATIAL], dilation[CONVOLUTION_SPATIAL], low[CONVOLUTION_SPATIAL];
} KConvolution;
extern const char *const kconvolution_names[CONVOLUTIONS];
int kconvolution_spatial(const KConvolution *);
KBuffer *kconvolution_written(const KConvolution *); /* image, weights or result */
/* The result's extent along a spatial axis, of an image and a kernel with these extents. */
int64_t kconvolution_extent(const KConvolution *, int axis, int64_t cells, int64_t taps);

typedef struct KStmt KStmt;
struct KStmt {
    KStmtKind kind;
    KStmt *next; /* in its block */
    bool reads;  /* PREFETCH: no store follows */
    union {
        struct {
            KStmt *first, *last;
        } block;
        struct {
            KVar *var;
            AxisKind axis;
            KExpr *from, *to;
            int64_t step;
            KStmt *body;
        } loop; /* var = from; var < to; var += step */
        struct {
            KExpr *condition;
            KStmt *then, *otherwise;
        } branch;
        struct {
            KVar *var;
            KExpr *value;
        } let; /* LET declares, SET changes a mutable one */
        struct {
            KBuffer *buffer;
            KExpr **index;
            int index_count;
            KExpr *value, *count;
        } store;        /* count: first lanes only */
        KBuffer *alloc; /* LOCAL or SHARED, at the start of the kernel */
        /* dst[j][i] = src[i][j] for i < rows, j < columns: both places as physical indices of their first element;
         * `lanes` is the side of the square blocks it is done in */
        struct {
            KBuffer *to, *from;
            KExpr **to_index, **from_index;
            int to_count, from_count;
            int64_t rows, columns;
            int lanes;
        } transpose;
        KGemm *gemm;               /* left to a library of matrix products */
        KMma *mma;                 /* done by the 32 threads of a warp together */
        KConvolution *convolution; /* left to a library; all that its kernel does */
        KExpr *prefetch;           /* advice: this load comes soon, or a store to the same place */
        const char *comment;
    };
};

/* ---- kernels and programs */
typedef struct {
    const char *name;
    bool written;
    bool alone; /* no other parameter has a part of its memory */
} KParameter;

/* One function of the emitted file that several equal kernels call, each with its own buffers
 * (codegen/emit/kernel_share.h).
 */
typedef struct KShared {
    const char *name, *comment;
    const struct KKernel *printed; /* whose body it is */
    int kernel_count;
    KParameter *parameters; /* for buffers */
    int parameter_count;
    const char **streams; /* names by first use of parameters for random streams; NULL: it is the same for all */
    int stream_count;
} KShared;

/* What a walk over the body of a mapped kernel finds, kept from the first time that it is asked for (kir_walk.c). */
typedef struct KFacts KFacts;

typedef struct KKernel {
    int id;
    const char *name;         /* C identifier, unique: train_dense_forward, train_dense_1_update */
    const char *layer, *role; /* dense, forward: of which its name is made; NULL: none */
    const char *comment;      /* what it computes, layers and source lines */
    Span span;
    struct Nest **nests; /* before mapping */
    int nest_count, nest_capacity;
    bool rows;          /* every nest's axis 0 is the same rows of the batch (codegen/kir/nest.h) */
    int row_axes;       /* with `rows`: axes that lead to a row, the same first ones of every nest; 0, 1: the sample */
    int64_t block_rows; /* with `rows`: rows of a block, if they are decided before mapping; 0: mapping decides */
    /* Sums over blocks of rows, with row_axes > 1: the nests from block_first to block_end - 1 run for each block, and
     * may add to what the blocks before have left; the others have the first row axis only, and run before and behind
     * at each place of it. 0: all nests run for each block. */
    int block_first, block_end;
    /* A recurrence: the nests from step_first to step_end - 1 run `steps` times, with `step` 0, 1, ..; 0: none do. */
    int steps, step_first, step_end;
    KVar *step;
    KStmt *body;    /* after mapping; at most one AXIS_PARALLEL loop, outermost */
    KFacts **facts; /* a place for those of the body, also where the kernel is const */
    KBuffer **locals;
    int local_count, local_capacity;
    int var_count;
    bool needs_barrier_before; /* threads must meet before it */
    bool alone;                /* thread 0 runs all of it, whatever the number of threads */
    int64_t
        work; /* FMA-slot units: after lowering what it computes, after mapping what it takes (codegen/plan/cost.h) */
    int64_t bytes;   /* read and written, after mapping */
    const char *why; /* explain: what was fused, and why not more */
    const char *how; /* explain: the tiles that were chosen for it on a GPU; NULL: none */
    struct Func *func;
    KShared *shared;  /* the function that it has with its equals; NULL: one of its own */
    KBuffer **passed; /* with `shared`: its buffers by parameter */
    int *streams;     /* with `shared`: its random streams by first use */
} KKernel;

typedef struct KSequence { /* one function of the module */
    Func *func;
    KKernel **kernels;
    int count, capacity;
} KSequence;

typedef struct {
    const char *name; /* native, generic, x86-64-v3, x86-64-v4 */
    int lanes;        /* f32 per vector register: 1 for none */
    int registers;    /* vector registers */
    bool masks;       /* cheap partial loads and stores */
    int panel_from;   /* rows of so many elements and more are cut in panels */
    int barrier_work; /* multiply-adds of one lane in the time that a barrier takes with the lines that change hands */
    const char *c_flags;       /* advice for the C compiler: -march=x86-64-v4 */
    const char *c_macros;      /* condition of the preprocessor that the compiler has been told so; NULL: none */
    const struct GpuArch *gpu; /* what a GPU has (codegen/kir/gpu_arch.h); NULL: it is none */
} KIsa;

typedef struct KProgram {
    Arena *arena;
    Diag *diag;
    const Module *module;
    const Program *info;
    KIsa isa;
    KBuffer **buffers;
    int buffer_count, buffer_capacity;
    KSequence **sequences;
    int sequence_count, sequence_capacity;
    KShared **shared; /* kernel_share */
    int shared_count, shared_capacity;
    int64_t arena_bytes, arena_lower_bound;
    struct Tuning *tuning; /* measured choices for tiles (codegen/plan/tuning.h); NULL: none */
    KPrecision precision;  /* of the operands of contractions on a GPU that have tensor cores for them */
    const struct Library
        *products; /* who computes large products of matrices (codegen/kir/library.h); NULL: the program */
    int64_t
        scratch_bytes; /* that it may use for one of them on a GPU; 0: as many as the architecture's documents say */
    int64_t convolution_scratch; /* a library computes convolutions, with so many bytes of its own; 0: none does */
    Map *names;                  /* used C identifiers */
} KProgram;

/* ---- constructors (kir.c). Index expressions are folded as they are built: x + 0, 1 * x, constants. */
KExpr *kexpr_number(KProgram *, KBase, double);
KExpr *kexpr_index(KProgram *, int64_t);
KExpr *kexpr_var(KProgram *, KVar *);
KExpr *kexpr_batch(KProgram *);
KExpr *kexpr_load(KProgram *, KBuffer *, KExpr *const *index, int count);
KExpr *kexpr_fn(KProgram *, ScalarFn, KExpr *a, KExpr *b, KExpr *c); /* splats a scalar argument beside vectors */
KExpr *kexpr_binary(KProgram *, char op, KExpr *, KExpr *);
/* What an index operation gives; false: a quotient or a rest that is not defined for these. */
bool kindex_value(char op, int64_t a, int64_t b, int64_t *value);
KExpr *kexpr_cast(KProgram *, KBase, KExpr *);
KExpr *kexpr_splat(KProgram *, KExpr *, int lanes);
KExpr *kexpr_across(KProgram *, ReduceKind, KExpr *);
KExpr *kexpr_random(KProgram *, RandomKind, int stream, KExpr *seed, KExpr *step, KExpr *index);
/* `lanes` elements from index on; count: only so many are read; stride: distance of lanes in memory. Both may be NULL.
 */
KExpr *kexpr_load_vector(KProgram *, KBuffer *, KExpr *const *index, int count, int lanes, KExpr *lanes_count,
                         KExpr *stride);
KExpr **kexpr_indices(KProgram *, KExpr *const *index, int count); /* copied, each cast to INDEX */
KExpr *kexpr_lanes(KProgram *, int lanes);                         /* i32 vector 0, 1, 2, .. */
KExpr *kexpr_dim(KProgram *, Dim);                                 /* n, or n * B */
/* The expressions directly below e, in a fixed order (indices, then count, then stride of a load). */
enum { KEXPR_MAX_OPERANDS = MAX_RANK + 3 };
int kexpr_operands(const KExpr *, KExpr *operands[KEXPR_MAX_OPERANDS]);
/* Copies an expression with variables replaced (to[i] for from[i]). */
KExpr *kexpr_substitute(KProgram *, const KExpr *, KVar *const *from, KExpr *const *to, int count);
bool kexpr_equal(const KExpr *, const KExpr *);
bool kexpr_uses(const KExpr *, const KVar *);
/* Constant value of an index expression, or false. */
bool kexpr_constant(const KExpr *, int64_t *);
/* If e is affine in var with a constant coefficient: that coefficient, and true. */
bool kexpr_coefficient(const KExpr *, const KVar *, int64_t *);

/* Bounds of an index expression that hold for every batch, from KVar.limit and batch_max; false if unknown. */
bool kexpr_range(const KProgram *, const KExpr *, int64_t *low, int64_t *high);

KVar *kvar_new(KProgram *, KKernel *, const char *name, KType, bool is_mutable);
KStmt *kstmt_block(KProgram *);
void kstmt_add(KStmt *block, KStmt *);
KStmt *kstmt_for(KProgram *, KVar *, AxisKind, KExpr *from, KExpr *to, int64_t step, KStmt *body);
KStmt *kstmt_if(KProgram *, KExpr *, KStmt *then, KStmt *otherwise);
KStmt *kstmt_let(KProgram *, KVar *, KExpr *);
KStmt *kstmt_set(KProgram *, KVar *, KExpr *);
KStmt *kstmt_store(KProgram *, KBuffer *, KExpr *const *index, int count, KExpr *value, KExpr *lanes_count);
KStmt *kstmt_alloc(KProgram *, KBuffer *);
KStmt *kstmt_barrier(KProgram *);
/* Advice: here no vector should be in a register; what is needed behind it is loaded again. */
KStmt *kstmt_forget(KProgram *);
KStmt *kstmt_prefetch(KProgram *, KExpr *load); /* what may be written soon */
KStmt *kstmt_prefetch_read(KProgram *, KExpr *load);
KStmt *kstmt_comment(KProgram *, const char *);
KStmt *kstmt_transpose(KProgram *, KBuffer *to, KExpr *const *to_index, KBuffer *from, KExpr *const *from_index,
                       int64_t rows, int64_t columns, int lanes);
KStmt *kstmt_gemm(KProgram *, const KGemm *);                         /* copied */
KStmt *kstmt_mma(KProgram *, const KMma *);                           /* copied */
KStmt *kstmt_convolution(KProgram *, const KConvolution *);           /* copied */
int64_t kmatrix_stride(const KProgram *, const KMatrix *, int which); /* of rows (0) or columns (1), in elements */
const char *kname_unique(KProgram *, const char *wanted);             /* a C identifier that nobody has yet */
bool kname_is_reserved(const char *); /* words of C and C++, names of kernel parameters */
KBuffer *kbuffer_new(KProgram *, KSpace, const char *name, KBase, int rank, const Dim *);
KBuffer *kbuffer_local(KProgram *, KKernel *, KSpace, const char *name, KBase, int rank, const Dim *);
/* Another buffer that a mapped kernel touches, one of the program or a local one before it, with the name of this local
 * buffer; NULL: there is none. And gives new names to the local buffers of all kernels that have such a namesake: a
 * kernel may touch buffers of the program that are younger than its local ones. */
const KBuffer *kkernel_namesake(const KProgram *, const KKernel *, int local);
void kprogram_name_locals(KProgram *);
KKernel *kkernel_new(KProgram *, KSequence *, const char *name); /* the last one */
void ksequence_move(KSequence *, int from, int to);              /* a kernel to an earlier place */
void ksequence_remove(KSequence *, int at);
/* Physical indices of logical ones: reordered, panels split (index / block, index % block, folded where possible). */
int kbuffer_physical_index(KProgram *, const KBuffer *, KExpr *const *logical, KExpr **physical);
extern const char *const kspace_names[], *const kaxis_names[], *const kbase_names[];

/* ---- walking (kir_walk.c). Visits every statement and every expression below, top down, in order. `live`: by KVar.id;
 * KS_LET and KS_SET of other variables are passed over; NULL: all are visited. */
typedef struct {
    void (*statement)(void *context, const KStmt *);  /* may be NULL */
    void (*expression)(void *context, const KExpr *); /* may be NULL */
    void *context;
    const bool *live;
} KVisitor;
void kstmt_visit(const KStmt *, const KVisitor *);
void kexpr_visit(const KExpr *, const KVisitor *);

/* What follows is found once for each kernel: its body must be whole.
 * Variables, by id, whose value reaches a store, a bound or a condition. The others are not printed. */
const bool *kkernel_live(const KProgram *, const KKernel *);
/* The buffers of the program that a mapped kernel reads and writes, in order of their ids; neither: it only prefetches.
 */
typedef struct {
    KBuffer *buffer;
    bool read, written;
} KUse;
int kkernel_uses(const KProgram *, const KKernel *, const KUse **uses);
bool kkernel_calls(const KProgram *, const KKernel *, KStmtKind); /* a library, by a statement of this kind */
bool kkernel_uses_batch(const KProgram *,
                        const KKernel *); /* B itself, not only as the end of a parallel or grid loop */
bool kkernel_uses_rows(const KProgram *, const KKernel *); /* some argument is indirect */
const KStmt *kkernel_parallel(const KKernel *);            /* its AXIS_PARALLEL loop, or NULL: one thread runs it */
KExpr *kloop_count(KProgram *, const KStmt *loop);         /* iterations: (to - from + step - 1) / step */
/* Grid and block of a GPU kernel; false if it has no grid loop. block: at batch_max. */
typedef struct {
    KExpr *grid[2];
    int64_t block[2];
} KLaunch;
bool kkernel_launch(KProgram *, const KKernel *, KLaunch *);

/* kir_verify.c: types, lanes, declared before used, indices of the right number, physical and provably inside where
 * both are constant or affine over loops with constant bounds, barriers not under thread-dependent conditions. */
bool kprogram_verify(const KProgram *, const char *after);
/* kir_print.c: the text of --emit=kernels */
void kkernel_print(Text *, const KKernel *);
void kprogram_print(Text *, const KProgram *);
#endif
