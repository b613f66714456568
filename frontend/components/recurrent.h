/* Recurrent layers: one driver (recurrent.c) makes the scan of a layer, its weights, dropout and masks; a cell
 * (recurrent_cells.c) says what one step makes of the gates. */
#ifndef NNC_FRONTEND_RECURRENT_H
#define NNC_FRONTEND_RECURRENT_H
#include "frontend/args.h"
#include "frontend/components/components.h"

enum { MAX_GATES = 4, MAX_STATES = 2 };

/* The columns of the recurrent kernel for gates first .. first + count - 1, multiplied by one einsum a step. The bias
 * and the dropout mask of the state may be NULL. All of them are values of the scan's region. */
typedef struct {
    int first, count;
    Value *kernel, *bias, *mask;
} GateColumns;

/* One step inside the region of the scan. */
typedef struct {
    Builder *builder;
    const Args *args;
    int64_t units;
    Value *x; /* the input of the step times the kernel, bias added: [B, gates * units] */
    GateColumns columns[MAX_GATES];
    int column_count;
} RecurrentStep;

typedef struct {
    const Component *component;
    int gates, states;
    bool whole_dropout; /* a dropout rate of 1 drops everything (SimpleRNN); for the others Keras reads it as none */
    /* Gates before `reset` come from one product, those from it on from another (GRU without reset_after); 0: one
     * product */
    int (*reset)(const Args *);
    void (*step)(RecurrentStep *, Value *const *states, Value **next);
} RecurrentCell;
extern const RecurrentCell recurrent_cells[];
enum { RECURRENT_CELLS = 3 };

/* The cell of a layer, NULL: it is not recurrent. */
const RecurrentCell *recurrent_cell(const Component *);

typedef struct {
    bool backwards;     /* from the last step to the first */
    bool in_time_order; /* outputs of all steps in the order of the input, also backwards */
    bool zero_masked;   /* masked steps give 0 instead of the output before them */
} RecurrentOptions;
Value *recurrent_layer(LayerContext *, Value *x, const RecurrentOptions *);

/* For cells. Products of the state h with the columns of gates first .. first + count - 1, biases added, plus the part
 * of the input if `with_input`: one value [B, units] for each gate. */
void recurrent_gates(RecurrentStep *, Value *h, int first, int count, bool with_input, Value **out);
Value *recurrent_input(RecurrentStep *, int gate);
Value *recurrent_apply(RecurrentStep *, const char *activation, Value *);
#endif
