/* What the fuse pass leaves: every op that computes stands in a `fusion` region, one per kernel; shape views and leaves
 * are copied into the regions that use them. Outside stay variables, reshapes between memory forms, and assigns. */
#ifndef NNC_PASSES_FUSE_H
#define NNC_PASSES_FUSE_H
#include "ir/ir.h"

/* Ops that cost little by themselves: leaves, views, comparisons, products of narrower values. They are repeated in
 * every kernel that reads them, and never have memory of their own. */
bool fuse_is_inline(const Op *);
/* A reshape that only adds or drops axes of extent 1. */
bool fuse_is_unit_reshape(const Op *);
#endif
