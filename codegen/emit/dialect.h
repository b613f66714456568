/* A language of the C family, as spellings and tables. The printer (codegen/emit/c_printer.c) knows no language by
 * name.
 *
 * Templates: %1 %2 .. are operands, parenthesised where their place needs it; %t is the type's suffix in the runtime
 * (f32, i32x8, f32x16, boolx16). */
#ifndef NNC_DIALECT_H
#define NNC_DIALECT_H
#include "codegen/kir/kir.h"

/* A function whose operand number `place` (0, 1, 2) is another function or a constant, spelled as one: a * b + c.
 * Operands of the template: those of the outer one, with the inner one's in its place. */
enum { FUSE_CONSTANT = FN_COUNT };
typedef struct {
    int outer, place, inner; /* ScalarFn; inner may be FUSE_CONSTANT (a number, not NaN) */
    bool vectors_only;
    const char *template;
} DialectFused;

/* A function with a scalar result that is spelled other than in scalar.def. */
typedef struct {
    ScalarFn fn;
    KBase base; /* of the operands; select: of the values */
    const char *template;
} DialectScalar;

/* A library's product of matrices. Operands of `call`: order, transposition of a and of b, rows, columns, terms of the
 * sum, then "a, distance", "b, distance" and "c, distance" of the rows, or of the columns where those lie apart. */
typedef struct {
    const char *call[2];                 /* [1]: added to c */
    const char *order[2], *transpose[2]; /* [0]: rows lie apart, as they are; [1]: columns lie apart, transposed */
    const char *size;                    /* of a number of rows, columns or terms */
    /* by what operands are rounded to; [0] NULL: bias, relu, this, and scratch memory with its bytes follow c in no
     * call */
    const char *precision[PRECISIONS];
} DialectGemm;

/* A library's convolution, of a shape that is a constant of type `shape`. Operands of `call`: shape, samples, what is
 * written, the two that are read (of image, weights and result, in this order), scratch memory; of `prepare`, which
 * comes before a step is recorded: shape, samples. */
typedef struct {
    const char *shape, *kinds[CONVOLUTIONS];
    const char *call, *prepare;
} DialectConvolution;

typedef struct Dialect {
    const char *name;
    const char *memory_types[4], *value_types[4]; /* by KBase: in memory, in expressions */
    const char *vector_type;                      /* nnrt_%t; NULL: no vectors */
    const char *restrict_word;
    const char *kernel, *inline_kernel; /* before a kernel's name: "static void" */
    const char *host_kernel;            /* .. of one that is a call of a library, made by the host; NULL: as others */
    const char *device;                 /* the parameter that it has for it, type and name */
    const char *local, *shared;         /* before an array in a kernel; NULL: not there */
    const char *aligned;                /* before one in shared memory that begins at a multiple of %d bytes */
    const char *barrier;                /* NULL: threads of a kernel cannot meet */
    const char *mma[PRECISIONS]; /* a product of fragments: its sums, then elements of a and b; NULL: there is none */
    const char *prefetch;        /* of an address that is read or written soon; NULL: nothing is written */
    const char *prefetch_read;   /* of one that is only read */
    const char *forget;          /* no vector register keeps its value; NULL: nothing is written */
    const char *axis_index[AXIS_THREAD_Y + 1]; /* blockIdx.x; NULL: the axis is a loop */
    bool has_shares;                           /* AXIS_PARALLEL runs from `first` to `last` */
    bool void_converts;                        /* void * converts to any pointer without a cast */
    const char *unroll;                        /* in front of a loop, with %d; a pragma has a line of its own */
    const char *minimum, *maximum;             /* of index expressions */
    const char *(*spelling)(ScalarFn);         /* column of scalar.def */
    const DialectScalar *scalars;
    int scalar_count;
    const DialectFused *fused;
    int fused_count;
    const DialectGemm *gemm;               /* NULL: none */
    const DialectConvolution *convolution; /* NULL: none */
    const char *uniform, *normal;          /* seed, stream, step, index; vectors: name with _%t added */
    const char *uniforms;                  /* and how many vectors, where they go; NULL: none */
} Dialect;

extern const Dialect dialect_c, dialect_cuda;
#endif
