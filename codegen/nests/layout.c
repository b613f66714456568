/* Chooses vector axes and memory orders.
 *
 * A nest with axis v on the lanes reads well what is contiguous along v or does not depend on v. The cost of a nest is
 * its points divided by the lanes that v fills, plus a price for every access that v crosses. Orders of the program's
 * own buffers and vector axes are improved in turn until nothing gets cheaper. Contractions that still want another
 * order get a copy in that order (a twin), made once before the first of them. */
#include "codegen/nests/layout_parts.h"
#include <stdlib.h>

enum { ROUNDS = 4 };

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
                l->accesses[l->count] = layout_accesses(l->nests[l->count]);
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
        layout_vector(l->p, l->nests[n], &l->accesses[n], &cost);
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
typedef struct {
    KBuffer *of, *twin;
    int axis;
} Twin;

static void twin_kernel(KProgram *p, KSequence *sequence, int at, const Twin *twin) {
    KKernel *kernel = kkernel_new(p, sequence, arena_format(p->arena, "%s_turn", twin->of->name));
    ksequence_move(sequence, sequence->count - 1, at);
    kernel->layer = twin->of->layer ? twin->of->layer : sequence->kernels[at + 1]->layer;
    kernel->role = "turn";
    kernel->comment = arena_format(p->arena, "%s again, contiguous along axis %d", twin->of->name, twin->axis);
    kernel->needs_barrier_before = at > 0;
    sequence->kernels[at + 1]->needs_barrier_before = true;
    kernel->work = (int64_t)layout_elements(p, twin->of) * 2;
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

typedef struct {
    KProgram *p;
    KSequence *sequence;
    int at; /* the kernel of the sequence that is being looked at, behind the kernels of its twins */
    const Nest *nest;
    Twin *twins;
    int count, capacity;
} TwinMaker;

static KBuffer *twin_of(TwinMaker *t, KBuffer *of, int axis) {
    for (int i = 0; i < t->count; i++)
        if (t->twins[i].of == of && t->twins[i].axis == axis)
            return t->twins[i].twin;
    KProgram *p = t->p;
    KBuffer *buffer =
        kbuffer_new(p, SPACE_ARENA, arena_format(p->arena, "%s_turned", of->name), of->base, of->rank, of->dims);
    buffer->sequence = t->sequence;
    buffer->layer = of->layer;
    buffer->whole = of->whole;
    set_innermost(p, buffer, axis);
    Twin twin = {of, buffer, axis};
    ARENA_PUSH(p->arena, t->twins, t->count, t->capacity, twin);
    twin_kernel(p, t->sequence, t->at++, &twin);
    return buffer;
}

static void redirect(TwinMaker *t, KExpr *e, bool inner) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_LOAD) {
        Access access = {e->load.buffer, e->load.index, inner, false};
        bool rows = inner && t->nest->gemm && e->load.buffer->indirect; /* a library has no list of rows */
        int axis = rows            ? e->load.buffer->rank - 1
                   : t->nest->gemm ? -1
                                   : layout_twin_axis(t->nest, &access, t->nest->vector_axis);
        if (axis >= 0)
            e->load.buffer = twin_of(t, e->load.buffer, axis);
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
        TwinMaker t = {.p = p, .sequence = p->sequences[s]};
        for (; t.at < t.sequence->count; t.at++) {
            const KKernel *kernel = t.sequence->kernels[t.at];
            for (int n = 0; n < kernel->nest_count; n++)
                redirect_nest(&t, kernel->nests[n]);
        }
    }
}

/* ---- all of it */
static void choose_orders(Layout *l) {
    double cost;
    layout_single_places(l->p);
    collect_nests(l);
    collect_free_buffers(l);
    collect_weights(l);
    find_nests_around(l);
    for (int round = 0; round < ROUNDS && improve_orders(l); round++)
        ;
    for (int i = 0; i < l->count; i++)
        l->nests[i]->vector_axis = layout_vector(l->p, l->nests[i], &l->accesses[i], &cost);
}

void layout_program(KProgram *p) {
    Layout l = {.p = p};
    if (p->isa.lanes <= 1) {
        layout_scalar(p);
        return;
    }
    choose_orders(&l);
    if (layout_epilogues(p)) {
        l = (Layout){.p = p};
        choose_orders(&l);
    }
    layout_declared_places(p);
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
