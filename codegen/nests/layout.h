/* Layout: which axis of each nest goes on the vector lanes, and in which order each buffer lies in memory. */
#ifndef NNC_CODEGEN_LAYOUT_H
#define NNC_CODEGEN_LAYOUT_H
#include "codegen/kir/kir.h"
#include "codegen/kir/nest.h"

/* Chooses both for all nests of the program together, and adds kernels that copy a buffer into another order (a twin)
 * where a contraction needs one. Lanes come from program->isa. */
void layout_program(KProgram *);
/* Every nest scalar, every buffer as it is: for targets without vectors. */
void layout_scalar(KProgram *);
/* May rows of n elements be cut in panels? They do not lie behind each other then. */
bool layout_cuts_rows(const KIsa *, int rank, int64_t n);

/* ---- inside the room (codegen/nests/layout_order.c): axes with one place lie outside of longer ones; sequences of
 * recurrences lie step by step; the loops of sums are put in the order in which memory lies */
void layout_single_places(KProgram *);
void layout_declared_places(KProgram *); /* .. but for buffers along which no vector moves: as the program says */
void layout_sequences(KProgram *);
void layout_heads(KProgram *); /* heads of attention lie head by head */
void layout_sums(KProgram *);
/* By KBuffer.id: some nest's vectors begin elsewhere in its rows than at multiples of their length
 * (codegen/nests/layout_lanes.c) */
const bool *layout_off_lanes(const KProgram *);
bool layout_is_aliased(const KBuffer *); /* its memory is seen through another buffer too */
#endif
