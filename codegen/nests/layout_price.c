/* What a nest costs with one of its axes on the lanes: its points divided by the lanes that the axis fills, plus a
 * price for every access that the axis crosses. */
#include "codegen/nests/layout_parts.h"

/* Prices in vector operations: an element gathered into or scattered from lanes, an element of a twin turned in
 * registers or copied one by one. */
static const double price_strided = 1.2, price_turned = 0.25, price_copied = 1.5;

/* ---- what a nest touches */
static void add_access(Accesses *a, KBuffer *buffer, KExpr *const *index, bool inner, bool store) {
    if (a->count < LAYOUT_MOST_ACCESSES)
        a->items[a->count++] = (Access){buffer, index, inner, store};
}

static void accesses_of_expr(Accesses *a, const KExpr *e, bool inner) {
    if (e->kind == KE_LOAD)
        add_access(a, e->load.buffer, e->load.index, inner, false);
    else if (e->kind == KE_FN)
        for (int i = 0; i < scalar_infos[e->fn.fn].arity; i++)
            accesses_of_expr(a, e->fn.args[i], inner);
    else if (e->kind == KE_CAST)
        accesses_of_expr(a, e->operand, inner);
}

static void accesses_of_block(Accesses *a, const KStmt *block) {
    for (const KStmt *s = block->block.first; s; s = s->next) {
        if (s->kind == KS_BLOCK)
            accesses_of_block(a, s);
        else if (s->kind == KS_LET)
            accesses_of_expr(a, s->let.value, false);
        else if (s->kind == KS_STORE) {
            add_access(a, s->store.buffer, s->store.index, false, true);
            accesses_of_expr(a, s->store.value, false);
        }
    }
}

Accesses layout_accesses(const Nest *nest) {
    Accesses a = {.count = 0};
    if (nest->each)
        accesses_of_block(&a, nest->each);
    for (int i = 0; i < nest->reduction_count; i++) {
        accesses_of_expr(&a, nest->reductions[i].expr, true);
        if (nest->reductions[i].guard)
            accesses_of_expr(&a, nest->reductions[i].guard, true);
    }
    if (nest->cell)
        accesses_of_block(&a, nest->cell);
    accesses_of_block(&a, nest->epilogue);
    return a;
}

/* ---- prices */
typedef enum { MOVE_NONE, MOVE_CONTIGUOUS, MOVE_STRIDED, MOVE_IRREGULAR } Move;

/* How the address moves along an axis; `along`: the buffer axis that moves. */
static Move move_of(const Access *a, const KVar *var, int *along) {
    *along = -1;
    int64_t coefficient = 0;
    for (int i = 0; i < a->buffer->rank; i++) {
        int64_t c;
        if (!kexpr_uses(a->index[i], var))
            continue;
        if (*along >= 0 || !kexpr_coefficient(a->index[i], var, &c))
            return MOVE_IRREGULAR;
        *along = i;
        coefficient = c;
    }
    if (*along < 0)
        return MOVE_NONE;
    if (a->buffer->indirect && *along == 0)
        return MOVE_IRREGULAR;
    return coefficient == 1 && kbuffer_innermost(a->buffer) == *along ? MOVE_CONTIGUOUS : MOVE_STRIDED;
}

static int64_t size(const KProgram *p, Dim d) {
    return dim_size(d, p->module->batch_max);
}

double layout_points(const KProgram *p, const Nest *nest, bool reduced) {
    double n = 1;
    for (int i = 0; i < nest->axis_count; i++)
        if (reduced || !nest->axes[i].reduce)
            n *= (double)size(p, nest->axes[i].extent) * (nest->axes[i].part > 0 ? nest->axes[i].part : 1);
    return nest_has_shares(nest, reduced) ? n / nest->sum_parts : n;
}

double layout_elements(const KProgram *p, const KBuffer *b) {
    double n = 1;
    for (int i = 0; i < b->rank; i++)
        n *= (double)size(p, b->dims[i]);
    return n;
}

static bool is_product(const Nest *nest) {
    if (nest->reduction_count != 1 || nest->reductions[0].argument)
        return false;
    const KExpr *e = nest->reductions[0].expr;
    return e->kind == KE_FN && e->fn.fn == FN_mul && e->fn.args[0]->kind == KE_LOAD && e->fn.args[1]->kind == KE_LOAD;
}

int layout_twin_axis(const Nest *nest, const Access *a, int vector) {
    int along;
    if (vector < 0 || a->buffer->alias || a->buffer->space == SPACE_LOCAL || a->buffer->space == SPACE_RESULT)
        return -1;
    if (a->buffer->space != SPACE_ARGUMENT && (!a->inner || !is_product(nest)))
        return -1;
    if (nests_write(nest->kernel, a->buffer))
        return -1;
    int64_t c;
    Move move = move_of(a, nest->axes[vector].var, &along);
    if (along < 0 || move == MOVE_CONTIGUOUS || !kexpr_coefficient(a->index[along], nest->axes[vector].var, &c) ||
        c != 1)
        return -1;
    for (int i = 0; i < a->buffer->rank; i++)
        if (i != along && kexpr_uses(a->index[i], nest->axes[vector].var))
            return -1;
    return along;
}

static double nest_cost(const KProgram *p, const Nest *nest, const Accesses *a, int vector) {
    double all = layout_points(p, nest, true), outer = layout_points(p, nest, false);
    double work = (double)nest_slots(nest, p->module->batch_max);
    if (vector < 0)
        return work * LAYOUT_SCALAR;
    const NestAxis *axis = &nest->axes[vector];
    int64_t extent = size(p, axis->extent), lanes = p->isa.lanes;
    double cost = work * (double)((extent + lanes - 1) / lanes) / (double)extent;
    if (axis->reduce) {
        for (int i = 0; i < nest->reduction_count; i++)
            if (nest->reductions[i].argument)
                return work * LAYOUT_SCALAR * 2;
        cost += outer * NEST_ACROSS;
    }
    for (int i = 0; i < a->count; i++) {
        const Access *access = &a->items[i];
        int along;
        Move move = move_of(access, axis->var, &along);
        if ((axis->reduce && !access->inner) || move == MOVE_NONE || move == MOVE_CONTIGUOUS)
            continue;
        double price = access->inner ? all * price_strided : outer * price_strided;
        bool scattered = access->store && !axis->reduce && !(along == 0 && access->buffer->rank == 1);
        if (move == MOVE_IRREGULAR || scattered) /* cannot be done on lanes */
            price = work * LAYOUT_SCALAR * 2;
        bool copied = access->buffer->space == SPACE_ARGUMENT;
        double twin = layout_elements(p, access->buffer) * (copied ? price_copied : price_turned);
        cost += layout_twin_axis(nest, access, vector) >= 0 && twin < price ? twin : price;
    }
    return cost;
}

int layout_vector(const KProgram *p, const Nest *nest, const Accesses *a, double *cost) {
    int best = -1;
    *cost = nest_cost(p, nest, a, -1);
    if (nest->each)
        return -1;
    int rows = nest->kernel->block_end ? nest_row_axes(nest) : 0; /* blocks of them follow each other */
    for (int v = nest->axis_count - 1; v >= rows; v--) {
        if (size(p, nest->axes[v].extent) < 2 || nest_bounds_use(nest, v) || (nest->cell_count && nest->axes[v].reduce))
            continue;
        double c = nest_cost(p, nest, a, v);
        if (c < *cost) {
            *cost = c;
            best = v;
        }
    }
    return best;
}
