/* Who uses what in a function, found in one walk over it. It holds until the function changes. */
#ifndef NNC_IR_USES_H
#define NNC_IR_USES_H
#include "ir/ir.h"

typedef struct {
    const Op *op;
    int place; /* of the op in the body */
} Reader;

typedef struct {
    Reader *items;
    int count, capacity;
} Readers;

typedef struct {
    int *place;        /* by Value.id: the place in the body of the op that makes it; -1: none of the body does */
    const Op **assign; /* by Value.id: the first assign that stores it; NULL: none */
    int *result;       /* by Value.id: the first result of the function that it is; -1: none */
    /* By Variable.id: the ops of the body that read it, in order: in their region, or as an input, reshaped or as it
     * is. The reshapes themselves do not count. */
    Readers *readers;
} FuncUses;

FuncUses func_uses(const Func *, Arena *);
/* The variable that a value is, reshaped or as it is; NULL: another value. */
const Variable *value_variable(const Value *);
#endif
