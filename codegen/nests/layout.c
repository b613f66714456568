/* Chooses vector axes and memory orders.
 *
 * A nest with axis v on the lanes reads well what is contiguous along v or does not depend on v. The cost of a nest is
 * its points divided by the lanes that v fills, plus a price for every access that v crosses. Orders of the program's
 * own buffers and vector axes are improved in turn until nothing gets cheaper. Contractions that still want another
 * order get a copy in that order (a twin), made once before the first of them. */
#include "codegen/nests/layout.h"
#include <stdlib.h>

enum { ROUNDS = 4, MAX_ACCESSES = 64 };

/* Prices in vector operations: an element in scalar code, an element gathered into or scattered from lanes, an element
 * of a twin turned in registers or copied one by one, a reduction across the lanes. */
static const double price_scalar = 1.5, price_strided = 1.2, price_turned = 0.25, price_copied = 1.5, price_across = 8;

typedef struct {
    KBuffer *buffer;
    KExpr *const *index;
    bool inner; /* in a reduction */
    bool store;
} Access;

typedef struct {
    Access items[MAX_ACCESSES];
    int count;
} Accesses;

/* ---- what a nest touches */
static void add_access(Accesses *a, KBuffer *buffer, KExpr *const *index, bool inner, bool store) {
    if (a->count < MAX_ACCESSES)
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

static Accesses accesses_of(const Nest *nest) {
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

static double points(const KProgram *p, const Nest *nest, bool reduced) {
    double n = 1;
    for (int i = 0; i < nest->axis_count; i++)
        if (reduced || !nest->axes[i].reduce)
            n *= (double)size(p, nest->axes[i].extent) * (nest->axes[i].part > 0 ? nest->axes[i].part : 1);
    return nest_has_shares(nest, reduced) ? n / nest->sum_parts : n;
}

static double elements(const KProgram *p, const KBuffer *b) {
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

/* A load that could read a twin instead, of a contraction or of what the caller passes by sample: the axis that the
 * twin has innermost, or -1. */
static int twin_axis(const Nest *nest, const Access *a, int vector) {
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
    double all = points(p, nest, true), outer = points(p, nest, false);
    double work = (double)nest_slots(nest, p->module->batch_max);
    if (vector < 0)
        return work * price_scalar;
    const NestAxis *axis = &nest->axes[vector];
    int64_t extent = size(p, axis->extent), lanes = p->isa.lanes;
    double cost = work * (double)((extent + lanes - 1) / lanes) / (double)extent;
    if (axis->reduce) {
        for (int i = 0; i < nest->reduction_count; i++)
            if (nest->reductions[i].argument)
                return work * price_scalar * 2;
        cost += outer * price_across;
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
            price = work * price_scalar * 2;
        bool copied = access->buffer->space == SPACE_ARGUMENT;
        double twin = elements(p, access->buffer) * (copied ? price_copied : price_turned);
        cost += twin_axis(nest, access, vector) >= 0 && twin < price ? twin : price;
    }
    return cost;
}

static int best_vector(const KProgram *p, const Nest *nest, const Accesses *a, double *cost) {
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

/* ---- all nests together */
typedef struct {
    int *items; /* rising */
    int count, capacity;
} NumberList;

typedef struct {
    KProgram *p;
    Nest **nests;
    Accesses *accesses;
    int count;
    KBuffer **free_buffers; /* their order may be chosen */
    int free_count, free_capacity;
    int first_local;              /* the first of these that is local to a kernel */
    KBuffer **group;              /* by free buffer: a variable's is the first of those that lie alike; NULL: others */
    NumberList *members, *around; /* by free buffer: its group, and the nests that touch one of them */
} Layout;

static void note_number(const KProgram *p, NumberList *list, int number) {
    if (list->count == 0 || list->items[list->count - 1] != number)
        ARENA_PUSH(p->arena, list->items, list->count, list->capacity, number);
}

static void collect_nests(Layout *l) {
    KProgram *p = l->p;
    int total = 0;
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            total += p->sequences[s]->kernels[k]->nest_count;
    l->nests = ARENA_ARRAY(p->arena, Nest *, total + 1);
    l->accesses = ARENA_ARRAY(p->arena, Accesses, total + 1);
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            for (int n = 0; n < p->sequences[s]->kernels[k]->nest_count; n++) {
                l->nests[l->count] = p->sequences[s]->kernels[k]->nests[n];
                l->accesses[l->count] = accesses_of(l->nests[l->count]);
                l->count++;
            }
}

bool layout_is_aliased(const KBuffer *b) {
    return b->viewed || b->alias;
}

/* Puts `axis` innermost, the others in their own order. The batch innermost is padded to whole vectors. */
static void set_innermost(const KProgram *p, KBuffer *b, int axis) {
    int n = 0;
    for (int i = 0; i < b->rank; i++)
        if (i != axis)
            b->order[n++] = (int8_t)i;
    b->order[n] = (int8_t)axis;
    b->pad = b->dims[axis].batch ? p->isa.lanes * (p->module->batch_max > p->isa.lanes ? 2 : 1) : 1;
}

static void collect_free_buffers(Layout *l) {
    KProgram *p = l->p;
    for (int i = 0; i < p->buffer_count; i++)
        if (p->buffers[i]->space == SPACE_ARENA && p->buffers[i]->rank == 2 && !layout_is_aliased(p->buffers[i]))
            ARENA_PUSH(p->arena, l->free_buffers, l->free_count, l->free_capacity, p->buffers[i]);
        else if (p->buffers[i]->space == SPACE_ARENA && p->buffers[i]->rank == 1 && !layout_is_aliased(p->buffers[i]))
            set_innermost(p, p->buffers[i], 0);
    l->first_local = l->free_count;
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            for (int n = 0; n < p->sequences[s]->kernels[k]->local_count; n++)
                if (p->sequences[s]->kernels[k]->locals[n]->rank == 2)
                    ARENA_PUSH(p->arena, l->free_buffers, l->free_count, l->free_capacity,
                               p->sequences[s]->kernels[k]->locals[n]);
                else if (p->sequences[s]->kernels[k]->locals[n]->rank == 1)
                    set_innermost(p, p->sequences[s]->kernels[k]->locals[n], 0);
}

/* ---- groups: a weight and what its optimizer keeps for it lie alike */
static bool may_turn(const KBuffer *b) {
    return b->space == SPACE_VARIABLE && b->rank == 2 && b->base == KBASE_F32 && !layout_is_aliased(b);
}

/* By KBuffer.id: the numbers of the nests that store to it. */
static NumberList *find_stores(const Layout *l) {
    KProgram *p = l->p;
    NumberList *stores = ARENA_ARRAY(p->arena, NumberList, p->buffer_count + 1);
    for (int n = 0; n < l->count; n++)
        for (int i = 0; i < l->accesses[n].count; i++) {
            const Access *a = &l->accesses[n].items[i];
            if (a->store && a->buffer->space != SPACE_LOCAL && a->buffer->space != SPACE_SHARED)
                note_number(p, &stores[a->buffer->id], n);
        }
    return stores;
}

/* The weight that is updated with b, the first of them; b itself if there is none. */
static KBuffer *first_of_group(const Layout *l, const NumberList *stores, KBuffer *b) {
    for (int n = 0; n < stores[b->id].count; n++) {
        const Accesses *a = &l->accesses[stores[b->id].items[n]];
        for (int i = 0; i < a->count; i++) {
            KBuffer *other = a->items[i].buffer;
            if (a->items[i].store && other->id < b->id && may_turn(other) && dim_equal(other->dims[0], b->dims[0]) &&
                dim_equal(other->dims[1], b->dims[1]))
                return first_of_group(l, stores, other);
        }
    }
    return b;
}

/* For leader_of. */
typedef struct {
    const int *number; /* by KBuffer.id: 1 + its place among the free buffers; local buffers have none */
    int locals, next;  /* local buffers of the kernel at hand among the free ones, and of the one behind it */
} FreePlaces;

static int place_of(const Layout *l, const FreePlaces *places, const KBuffer *b) {
    if (b->space != SPACE_LOCAL && b->space != SPACE_SHARED)
        return places->number[b->id] - 1;
    for (int i = places->locals; i < places->next; i++)
        if (l->free_buffers[i] == b)
            return i;
    return -1;
}

/* The free buffer that stands for the group of b; -1: its order is not chosen. */
static int leader_of(const Layout *l, const FreePlaces *places, const KBuffer *b) {
    int i = place_of(l, places, b);
    return i >= 0 && l->group[i] ? places->number[l->group[i]->id] - 1 : i;
}

static const int *number_free_buffers(const Layout *l) {
    int *number = ARENA_ARRAY(l->p->arena, int, l->p->buffer_count + 1);
    for (int i = 0; i < l->free_count; i++)
        if (l->free_buffers[i]->space != SPACE_LOCAL && l->free_buffers[i]->space != SPACE_SHARED)
            number[l->free_buffers[i]->id] = i + 1;
    return number;
}

static void find_members(Layout *l, const int *number) {
    l->members = ARENA_ARRAY(l->p->arena, NumberList, l->free_count + 1);
    for (int i = 0; i < l->free_count; i++)
        note_number(l->p, &l->members[l->group[i] ? number[l->group[i]->id] - 1 : i], i);
}

static void note_kernel(Layout *l, FreePlaces *places, const KKernel *kernel, int first_nest) {
    places->locals = places->next;
    for (int i = 0; i < kernel->local_count; i++)
        places->next += kernel->locals[i]->rank == 2;
    for (int n = first_nest; n < first_nest + kernel->nest_count; n++)
        for (int i = 0; i < l->accesses[n].count; i++) {
            int leader = leader_of(l, places, l->accesses[n].items[i].buffer);
            if (leader >= 0)
                note_number(l->p, &l->around[leader], n);
        }
}

static void find_nests_around(Layout *l) {
    KProgram *p = l->p;
    FreePlaces places = {.number = number_free_buffers(l), .next = l->first_local};
    find_members(l, places.number);
    l->around = ARENA_ARRAY(p->arena, NumberList, l->free_count + 1);
    for (int s = 0, nests = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++) {
            note_kernel(l, &places, p->sequences[s]->kernels[k], nests);
            nests += p->sequences[s]->kernels[k]->nest_count;
        }
}

static double cost_around(Layout *l, int leader) {
    double total = 0, cost;
    for (int i = 0; i < l->around[leader].count; i++) {
        int n = l->around[leader].items[i];
        if (l->nests[n]->gemm)
            continue; /* a library reads rows and columns alike */
        best_vector(l->p, l->nests[n], &l->accesses[n], &cost);
        total += cost;
    }
    return total;
}

static void turn_group(Layout *l, int leader, int axis) {
    for (int i = 0; i < l->members[leader].count; i++)
        set_innermost(l->p, l->free_buffers[l->members[leader].items[i]], axis);
}

static void collect_weights(Layout *l) {
    KProgram *p = l->p;
    for (int i = 0; i < p->buffer_count; i++)
        if (may_turn(p->buffers[i]))
            ARENA_PUSH(p->arena, l->free_buffers, l->free_count, l->free_capacity, p->buffers[i]);
    l->group = ARENA_ARRAY(p->arena, KBuffer *, l->free_count + 1);
    const NumberList *stores = find_stores(l);
    for (int i = 0; i < l->free_count; i++)
        if (l->free_buffers[i]->space == SPACE_VARIABLE)
            l->group[i] = first_of_group(l, stores, l->free_buffers[i]);
}

static bool improve_orders(Layout *l) {
    bool changed = false;
    for (int i = 0; i < l->free_count; i++) {
        KBuffer *b = l->free_buffers[i];
        if (l->group[i] && l->group[i] != b)
            continue;
        int now = kbuffer_innermost(b), best = now;
        double least = cost_around(l, i);
        for (int axis = 0; axis < b->rank; axis++) {
            if (axis == now)
                continue;
            turn_group(l, i, axis);
            double cost = cost_around(l, i);
            if (cost < least * 0.999) {
                least = cost;
                best = axis;
            }
        }
        turn_group(l, i, best);
        changed = changed || best != now;
    }
    return changed;
}

/* ---- panels */
static void note_load(void *meets, const KExpr *e) {
    if (e->kind == KE_LOAD && e->load.buffer->space != SPACE_LOCAL)
        ((bool *)meets)[e->load.buffer->id] = true;
}
static void note_store(void *meets, const KStmt *s) {
    if (s->kind == KS_STORE && s->store.buffer->space != SPACE_LOCAL)
        ((bool *)meets)[s->store.buffer->id] = true;
}

/* By KBuffer.id: does a sum read it, or does a nest with sums make it? Only tiles go down columns. */
static const bool *find_met_by_tiles(const Layout *l) {
    bool *meets = ARENA_ARRAY(l->p->arena, bool, l->p->buffer_count + 1);
    KVisitor loads = {.expression = note_load, .context = meets}, stores = {.statement = note_store, .context = meets};
    for (int i = 0; i < l->count; i++) {
        const Nest *nest = l->nests[i];
        for (int r = 0; r < nest->reduction_count; r++)
            kexpr_visit(nest->reductions[r].expr, &loads);
        if (nest->reduction_count)
            kstmt_visit(nest->epilogue, &stores);
    }
    return meets;
}

bool layout_cuts_rows(const KIsa *isa, int rank, int64_t n) {
    return n >= (rank == 3 ? isa->panel_from / 2 : isa->panel_from) && n % (2 * isa->lanes) == 0;
}

/* Long rows (KIsa.panel_from) are cut in panels of two vectors: what a tile reads is then one stream, and never rows a
 * multiple of 4 KB apart. */
static void make_panels(const KProgram *p, KBuffer *b) {
    int inner = kbuffer_innermost(b), panel = 2 * p->isa.lanes;
    bool own = b->space == SPACE_ARENA || b->space == SPACE_VARIABLE;
    if (!own || b->whole || b->rank < 2 || b->base != KBASE_F32 || b->dims[inner].batch ||
        !layout_cuts_rows(&p->isa, b->rank, b->dims[inner].n) || layout_is_aliased(b))
        return;
    for (int i = b->rank - 1; i > 0; i--)
        b->order[i] = b->order[i - 1];
    b->order[0] = (int8_t)inner;
    b->block_axis = (int8_t)inner;
    b->block = panel;
    b->pad = 1;
}

/* ---- twins */
enum { MAX_TWINS = 256 };
typedef struct {
    KBuffer *of, *twin;
    int axis;
    const KKernel *kernel;
} Twin;

static void twin_kernel(KProgram *p, KSequence *sequence, int at, Twin *twin) {
    KKernel *kernel = kkernel_new(p, sequence, arena_format(p->arena, "%s_turn", twin->of->name));
    ksequence_move(sequence, sequence->count - 1, at);
    twin->kernel = kernel;
    kernel->layer = twin->of->layer ? twin->of->layer : sequence->kernels[at + 1]->layer;
    kernel->role = "turn";
    kernel->comment = arena_format(p->arena, "%s again, contiguous along axis %d", twin->of->name, twin->axis);
    kernel->needs_barrier_before = at > 0;
    sequence->kernels[at + 1]->needs_barrier_before = true;
    kernel->work = (int64_t)elements(p, twin->of) * 2;
    Nest *nest = ARENA_NEW(p->arena, Nest);
    nest->kernel = kernel;
    KExpr *index[MAX_RANK];
    for (int i = 0; i < twin->of->rank; i++) {
        KVar *var = kvar_new(p, kernel, i == 0 ? "i" : i == 1 ? "j" : "k", (KType){KBASE_INDEX, 1}, false);
        nest->axes[i] = (NestAxis){.var = var, .extent = twin->of->dims[i]};
        index[i] = kexpr_var(p, var);
    }
    nest->axis_count = nest->parallel_count = twin->of->rank;
    nest->epilogue = kstmt_block(p);
    nest->vector_axis = kbuffer_innermost(twin->of); /* lanes along what is read; map_cpu turns blocks in registers */
    KExpr *load = kexpr_load(p, twin->of, index, twin->of->rank);
    KVar *value = kvar_new(p, kernel, "v", load->type, false);
    kstmt_add(nest->epilogue, kstmt_let(p, value, load));
    kstmt_add(nest->epilogue, kstmt_store(p, twin->twin, index, twin->of->rank, kexpr_var(p, value), NULL));
    ARENA_PUSH(p->arena, kernel->nests, kernel->nest_count, kernel->nest_capacity, nest);
}

static KBuffer *twin_of(KProgram *p, KSequence *sequence, int *at, Twin *twins, int *count, KBuffer *of, int axis) {
    for (int i = 0; i < *count; i++)
        if (twins[i].of == of && twins[i].axis == axis)
            return twins[i].twin;
    if (*count == MAX_TWINS)
        return of; /* read as it lies */
    KBuffer *twin =
        kbuffer_new(p, SPACE_ARENA, arena_format(p->arena, "%s_turned", of->name), of->base, of->rank, of->dims);
    twin->sequence = sequence;
    twin->layer = of->layer;
    twin->whole = of->whole;
    set_innermost(p, twin, axis);
    twins[*count] = (Twin){of, twin, axis, NULL};
    twin_kernel(p, sequence, *at, &twins[(*count)++]);
    (*at)++;
    return twin;
}

static bool is_twin(const Twin *twins, int count, const KKernel *kernel) {
    for (int i = 0; i < count; i++)
        if (twins[i].kernel == kernel)
            return true;
    return false;
}

typedef struct {
    KProgram *p;
    KSequence *sequence;
    int *at; /* kernel of the sequence that is being looked at */
    Twin *twins;
    int count;
    const Nest *nest;
} TwinMaker;

static void redirect(TwinMaker *t, KExpr *e, bool inner) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_LOAD) {
        Access access = {e->load.buffer, e->load.index, inner, false};
        bool rows = inner && t->nest->gemm && e->load.buffer->indirect; /* a library has no list of rows */
        int axis = rows            ? e->load.buffer->rank - 1
                   : t->nest->gemm ? -1
                                   : twin_axis(t->nest, &access, t->nest->vector_axis);
        if (axis >= 0)
            e->load.buffer = twin_of(t->p, t->sequence, t->at, t->twins, &t->count, e->load.buffer, axis);
        return;
    }
    int count = kexpr_operands(e, operands);
    for (int i = 0; i < count; i++)
        redirect(t, operands[i], inner);
}

static void redirect_block(TwinMaker *t, const KStmt *block) {
    for (const KStmt *s = block->block.first; s; s = s->next) {
        if (s->kind == KS_BLOCK)
            redirect_block(t, s);
        else if (s->kind == KS_LET)
            redirect(t, s->let.value, false);
        else if (s->kind == KS_STORE)
            redirect(t, s->store.value, false);
    }
}

static void redirect_nest(TwinMaker *t, const Nest *nest) {
    t->nest = nest;
    for (int i = 0; i < nest->reduction_count; i++) {
        redirect(t, nest->reductions[i].expr, true);
        if (nest->reductions[i].guard)
            redirect(t, nest->reductions[i].guard, true);
    }
    if (nest->cell)
        redirect_block(t, nest->cell);
    redirect_block(t, nest->epilogue);
}

static void make_twins(KProgram *p) {
    for (int s = 0; s < p->sequence_count; s++) {
        KSequence *sequence = p->sequences[s];
        int k = 0;
        TwinMaker t = {.p = p, .sequence = sequence, .at = &k, .twins = ARENA_ARRAY(p->arena, Twin, MAX_TWINS)};
        for (; k < sequence->count; k++) {
            const KKernel *kernel = sequence->kernels[k];
            if (!is_twin(t.twins, t.count, kernel))
                for (int n = 0; n < kernel->nest_count; n++)
                    redirect_nest(&t, kernel->nests[n]);
        }
    }
}

void layout_program(KProgram *p) {
    Layout l = {.p = p};
    double cost;
    if (p->isa.lanes <= 1) {
        layout_scalar(p);
        return;
    }
    collect_nests(&l);
    collect_free_buffers(&l);
    collect_weights(&l);
    find_nests_around(&l);
    for (int round = 0; round < ROUNDS && improve_orders(&l); round++)
        ;
    for (int i = 0; i < l.count; i++)
        l.nests[i]->vector_axis = best_vector(p, l.nests[i], &l.accesses[i], &cost);
    layout_sequences(p);
    layout_heads(p);
    const bool *met_by_tiles = find_met_by_tiles(&l), *off_lanes = layout_off_lanes(p);
    for (int i = 0; i < p->buffer_count; i++)
        if (!off_lanes[i] && (p->buffers[i]->space != SPACE_ARENA || p->buffers[i]->rank < 3 || met_by_tiles[i]))
            make_panels(p, p->buffers[i]);
    int first_twin = p->buffer_count;
    make_twins(p);
    off_lanes = layout_off_lanes(p); /* of the twins, which nests read now */
    for (int i = first_twin; i < p->buffer_count; i++)
        if (!off_lanes[i])
            make_panels(p, p->buffers[i]);
    layout_sums(p);
}

void layout_scalar(KProgram *p) {
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            for (int n = 0; n < p->sequences[s]->kernels[k]->nest_count; n++)
                p->sequences[s]->kernels[k]->nests[n]->vector_axis = -1;
}
