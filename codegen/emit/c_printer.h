/* Prints kernels as functions of a C-family language; all spellings come from a Dialect (codegen/emit/dialect.h).
 *
 * A kernel's parameters, each only if the kernel uses it, in this order and with these names, so that host code which
 * has variables of the same names can call it:
 *   model               pointer to the model struct (const if nothing in it is written)
 *   <argument>, ..      arguments of the function by buffer name, then results: pointers; scalar arguments by value
 *   rows                const int32_t *: sample i of the batch is row rows[i] of indirect arguments
 *   batch               int64_t: samples in this batch
 *   first, last         int64_t: share of the AXIS_PARALLEL loop, in units of its iterations (see c_print_units)
 *   device              on a GPU, of a kernel that is a call of a library: the runtime's description of the device
 *
 * A function that several kernels share (KShared) has parameters for all their buffers instead of model, arguments and
 * results, and for the random streams that differ.
 *
 * The model struct has one member per variable (c_print_member) and `arena`, bytes aligned to 64; places in the arena
 * are the constants AT_<buffer> of c_print_offsets. */
#ifndef NNC_C_PRINTER_H
#define NNC_C_PRINTER_H
#include "codegen/emit/dialect.h"
#include "codegen/kir/kir.h"

/* The kernel with its comment; nothing where another kernel's function serves it (KShared). false with an error in the
 * program's diag: the dialect lacks something it needs. */
bool c_print_kernel(Text *, KProgram *, const Dialect *, const KKernel *);
/* "dense_forward(model, x, rows, batch, first, last)"; each NULL text stands for the parameter's own name */
typedef struct {
    const char *model, *rows, *batch, *first, *last;
    const char *share;  /* instead of first and last */
    const char *device; /* of a kernel that is a call of a library */
} CallNames;
void c_print_call(Text *, KProgram *, const Dialect *, const KKernel *, CallNames);
/* "dense_forward<<<dim3((batch + 7) / 8, 1), dim3(32, 1), 0, stream>>>(model, x, rows, batch)"; a call of a library is
 * "dense_forward_product(model, batch, device)" */
void c_print_launch(Text *, KProgram *, const Dialect *, const KKernel *, CallNames, const char *stream);
/* What a call of a library wants before the step is recorded; false: nothing. */
bool c_print_prepare(Text *, KProgram *, const Dialect *, const KKernel *);
/* Units of the AXIS_PARALLEL loop for host code to share out, such as "(batch + 7) / 8"; "1" without such a loop. */
void c_print_units(Text *, KProgram *, const Dialect *, const KKernel *);

/* "float dense_kernel[2][64][32]" in physical shape: member of the model struct, without semicolon */
void c_print_member(Text *, KProgram *, const Dialect *, const KBuffer *);
/* "enum { AT_dense = 0, .. };" for all arena buffers of a sequence, or of the program if it is NULL */
void c_print_offsets(Text *, KProgram *, const KSequence *);
/* Adds text that goes on at `column`, broken behind commas where lines become too long; the next lines begin at
 * `indent`. */
void c_fill(Text *, int column, int indent, const char *text);
/* "#define AT(buffer) .." in front of calls of functions that several kernels share */
void c_print_places(Text *, KProgram *, const Dialect *);
/* "const float (*restrict x)[64]": parameter for an argument or result buffer */
void c_print_parameter(Text *, KProgram *, const Dialect *, const KBuffer *, bool written);
/* 0.1f, 1e-07f, 3.0f, -INFINITY, NAN: the shortest that reads back to the same float */
void c_float_text(char out[32], double value);
#endif
