/* Removal of dead ops, for passes that leave some behind. */
#ifndef NNC_PASSES_DCE_H
#define NNC_PASSES_DCE_H
#include "ir/ir.h"

/* True: something was removed. */
bool func_remove_dead(Func *, Arena *scratch);
#endif
