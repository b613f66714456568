/* Products around a kernel over rows within samples (KKernel.row_axes): the one that makes what it reads, and the one
 * that reads what it makes, go through the same blocks of rows. Scores of attention, and what softmax makes of them,
 * then pass on in the cache, and lie in memory only for those who read them later. That is for tensors that the cache
 * does not hold: smaller ones cost nothing to read again, and kernels of one nest have larger tiles.
 *
 * Needs layouts and vector axes; leaves kernels over rows with more nests, and buffers that have become local. */
#include "codegen/map/map.h"

enum { LEAST_BYTES = 1 << 20 }; /* what the second cache of a core does not hold */

typedef struct {
    KProgram *p;
    KSequence *sequence;
    KKernel *rows; /* the kernel over rows, at this place */
    int at;
} Join;

/* ---- who reads and writes a buffer, under any name */
typedef struct {
    const KBuffer *buffer;
    bool loads, stores;
    int axes; /* that all loads, and all stores, have in front: the parallel axes `axis` of the nest */
    int axis[MAX_RANK];
    const Nest *nest;
} Access;

static void note_index(Access *a, KExpr *const *index, int count) {
    bool first = !a->loads && !a->stores;
    int n = 0, most = first ? count : a->axes;
    while (n < most) {
        int axis = nest_parallel_axis(a->nest, index[n]);
        if (axis < 0 || (!first && axis != a->axis[n]))
            break;
        a->axis[n++] = axis;
    }
    a->axes = n;
}

static void note_load(void *context, const KExpr *e) {
    Access *a = context;
    if (e->kind != KE_LOAD || kbuffer_owner(e->load.buffer) != kbuffer_owner(a->buffer))
        return;
    note_index(a, e->load.index, e->load.index_count);
    a->loads = true;
}

static void note_store(void *context, const KStmt *s) {
    Access *a = context;
    if (s->kind != KS_STORE || kbuffer_owner(s->store.buffer) != kbuffer_owner(a->buffer))
        return;
    note_index(a, s->store.index, s->store.index_count);
    a->stores = true;
}

static Access access_of(const Nest *nest, const KBuffer *buffer) {
    Access a = {.buffer = buffer, .nest = nest};
    KVisitor visitor = {note_store, note_load, &a, NULL};
    nest_visit(nest, &visitor);
    return a;
}

static Access kernel_access(const KKernel *kernel, const KBuffer *buffer) {
    Access all = {.buffer = buffer};
    for (int i = 0; i < kernel->nest_count; i++) {
        Access a = access_of(kernel->nests[i], buffer);
        all.loads = all.loads || a.loads;
        all.stores = all.stores || a.stores;
    }
    return all;
}

/* Does the nest touch the buffer, if at all, at the places of its first axes? */
static bool touches_in_place(const Nest *nest, const KBuffer *buffer, int axes) {
    Access a = access_of(nest, buffer);
    if (!a.loads && !a.stores)
        return true;
    for (int i = 0; i < axes; i++)
        if (i >= a.axes || a.axis[i] != i)
            return false;
    return true;
}

/* ---- what may be joined */
static bool is_product(const KKernel *kernel) {
    if (kernel->nest_count != 1 || kernel->rows || kernel->steps || kernel->local_count)
        return false;
    const Nest *nest = kernel->nests[0];
    return nest->reduction_count == 1 && nest->reductions[0].kind == REDUCE_SUM && !nest->ordered && !nest->each &&
           !nest->cell_count && !nest->gemm;
}

static int64_t bytes_of(const KProgram *p, const KBuffer *b) {
    return kbuffer_elements(b, p->module->batch_max) * kbase_bytes(b->base);
}

static bool is_large(const KProgram *p, const KBuffer *b) {
    if (b->space != SPACE_ARENA || b->alias || b->base != KBASE_F32 || bytes_of(p, b) <= LEAST_BYTES)
        return false;
    for (int i = 0; i < p->buffer_count; i++)
        if (p->buffers[i]->alias == b)
            return false;
    return true;
}

/* What owns the memory that a kernel touches, each once. */
typedef struct {
    Arena *arena;
    const KBuffer **items;
    int count, capacity;
} Owners;

static void note_owner(Owners *o, const KBuffer *b) {
    const KBuffer *owner = kbuffer_owner(b);
    int i = 0;
    while (i < o->count && o->items[i] != owner)
        i++;
    if (i == o->count)
        ARENA_PUSH(o->arena, o->items, o->count, o->capacity, owner);
}

static void note_loaded(void *context, const KExpr *e) {
    if (e->kind == KE_LOAD)
        note_owner(context, e->load.buffer);
}

static void note_stored(void *context, const KStmt *s) {
    if (s->kind == KS_STORE)
        note_owner(context, s->store.buffer);
}

/* Is the buffer more than all else that the product touches, views included? Rows of scores are; those of a dense
 * layer, which shares its weights among all rows, are not. */
static bool is_most(const KProgram *p, const KKernel *product, const KBuffer *buffer) {
    Owners owners = {.arena = p->arena};
    int64_t others = 0;
    nest_visit(product->nests[0], &(KVisitor){note_stored, note_loaded, &owners, NULL});
    for (int i = 0; i < owners.count; i++) {
        const KBuffer *owner = owners.items[i];
        if (owner->space == SPACE_LOCAL || owner->space == SPACE_SHARED)
            continue;
        others += owner != buffer ? bytes_of(p, owner) : 0;
        for (int b = 0; owner->viewed && b < p->buffer_count; b++)
            others += p->buffers[b]->alias == owner && p->buffers[b] != buffer ? bytes_of(p, p->buffers[b]) : 0;
    }
    return bytes_of(p, buffer) > others;
}

/* The axes by which the product touches the buffer become its first ones; false: they cannot, for they are not those
 * of the rows, or on its lanes. */
static bool lead(const Join *j, Nest *nest, const Access *a) {
    int axes = j->rows->row_axes, to = 0;
    const NestAxis *rows = j->rows->nests[0]->axes;
    bool leads[NEST_MAX_AXES] = {false};
    NestAxis ordered[NEST_MAX_AXES];
    if (a->axes < axes)
        return false;
    for (int i = 0; i < axes; i++) {
        int axis = a->axis[i];
        if (leads[axis] || axis == nest->vector_axis || !dim_equal(nest->axes[axis].extent, rows[i].extent))
            return false;
        leads[axis] = true;
        ordered[to++] = nest->axes[axis];
    }
    int vector = nest->vector_axis;
    for (int i = 0; i < nest->axis_count; i++)
        if (!leads[i]) {
            if (i == vector)
                nest->vector_axis = to;
            ordered[to++] = nest->axes[i];
        }
    for (int i = 0; i < nest->axis_count; i++)
        nest->axes[i] = ordered[i];
    return true;
}

/* ---- joining */
static void take_comment(const Join *j, const KKernel *product, bool before) {
    const char *mine = j->rows->comment, *other = product->comment;
    if (mine && other)
        j->rows->comment = arena_format(j->p->arena, "%s; %s", before ? other : mine, before ? mine : other);
}

static void take_nest(const Join *j, Nest *nest, int place) {
    KKernel *to = j->rows;
    take_comment(j, nest->kernel, place == 0);
    kkernel_take_variables(to, nest);
    to->work += nest->kernel->work;
    nest->kernel = to;
    ARENA_PUSH(j->p->arena, to->nests, to->nest_count, to->nest_capacity, nest);
    for (int i = to->nest_count - 1; i > place; i--)
        to->nests[i] = to->nests[i - 1];
    to->nests[place] = nest;
}

/* What nobody else reads needs no memory of the program. The buffer stays the same object. */
static void make_local(const Join *j, KBuffer *b) {
    KProgram *p = j->p;
    for (int k = 0; k < j->sequence->count; k++) {
        Access a = kernel_access(j->sequence->kernels[k], b);
        if (j->sequence->kernels[k] != j->rows && (a.loads || a.stores))
            return;
    }
    p->buffer_count--;
    for (int i = b->id; i < p->buffer_count; i++) {
        p->buffers[i] = p->buffers[i + 1];
        p->buffers[i]->id = i;
    }
    b->space = SPACE_LOCAL;
    b->id = j->rows->local_count;
    ARENA_PUSH(p->arena, j->rows->locals, j->rows->local_count, j->rows->local_capacity, b);
}

/* The product that makes the buffer, number k, comes to the rows that read it. */
static bool join_before(Join *j, KBuffer *buffer, int k) {
    KKernel *product = j->sequence->kernels[k];
    Nest *nest = product->nests[0], before = *nest;
    Access made = access_of(nest, buffer);
    int axes = j->rows->row_axes;
    int64_t row = 1;
    for (int i = axes; i < buffer->rank; i++)
        row *= buffer->dims[i].n;
    for (int i = 0; i < j->rows->nest_count; i++)
        if (!touches_in_place(j->rows->nests[i], buffer, axes))
            return false;
    if (!map_rows_fill_tiles(buffer->dims[axes - 1].n, row))
        return false;
    if (made.loads || !is_most(j->p, product, buffer) || ksequence_in_the_way(j->p, j->sequence, product, k, j->at) ||
        !lead(j, nest, &made)) {
        *nest = before;
        return false;
    }
    take_nest(j, nest, 0);
    ksequence_remove(j->sequence, k);
    make_local(j, buffer);
    return true;
}

/* Does the product read all that the rows make at the places of its first axes? */
static bool reads_in_place(const Join *j, const Nest *nest) {
    for (int b = 0; b < j->p->buffer_count; b++)
        if (!touches_in_place(nest, j->p->buffers[b], j->rows->row_axes) &&
            kernel_access(j->rows, j->p->buffers[b]).stores)
            return false;
    return true;
}

/* The rows come to the product that reads what they make, number k. */
static bool join_behind(Join *j, KBuffer *buffer, int k) {
    KKernel *rows = j->rows, *product = j->sequence->kernels[k];
    Nest *nest = product->nests[0], before = *nest;
    Access read = access_of(nest, buffer);
    if (read.stores || !is_most(j->p, product, buffer) || ksequence_in_the_way(j->p, j->sequence, rows, j->at, k) ||
        !lead(j, nest, &read) || !reads_in_place(j, nest)) {
        *nest = before;
        return false;
    }
    take_nest(j, nest, rows->nest_count);
    j->sequence->kernels[k] = rows;
    ksequence_remove(j->sequence, j->at);
    make_local(j, buffer);
    return true;
}

/* Of each buffer, by id: the kernel that makes it, and the first other one that reads it. */
typedef struct {
    int makers, made, read; /* read: 0 or one more than its place */
} Users;

typedef struct {
    Users *users;
    int kernel;
} Find;

static void find_load(void *context, const KExpr *e) {
    Find *f = context;
    if (e->kind != KE_LOAD || e->load.buffer->space != SPACE_ARENA)
        return;
    Users *users = &f->users[e->load.buffer->id];
    bool own = users->makers > 0 && users->made == f->kernel;
    users->read = users->read || own ? users->read : f->kernel + 1;
}

static void find_store(void *context, const KStmt *s) {
    Find *f = context;
    if (s->kind != KS_STORE || s->store.buffer->space != SPACE_ARENA)
        return;
    Users *users = &f->users[s->store.buffer->id];
    users->makers += users->makers == 0 || users->made != f->kernel;
    users->made = f->kernel;
}

static Users *find_users(const KProgram *p, const KSequence *sequence) {
    Find f = {ARENA_ARRAY(p->arena, Users, p->buffer_count + 1), 0};
    KVisitor visitor = {find_store, find_load, &f, NULL};
    for (; f.kernel < sequence->count; f.kernel++)
        for (int i = 0; i < sequence->kernels[f.kernel]->nest_count; i++)
            nest_visit(sequence->kernels[f.kernel]->nests[i], &visitor);
    return f.users;
}

static bool is_over_rows(const KKernel *kernel) {
    return kernel->row_axes > 1 && !kernel->steps && !kernel->block_end;
}

static bool join_at(KProgram *p, KSequence *sequence, const Users *users, KBuffer *buffer) {
    int made = users->made, read = users->read - 1;
    if (users->makers != 1 || read <= made || !is_large(p, buffer))
        return false;
    KKernel *maker = sequence->kernels[made], *reader = sequence->kernels[read];
    if (is_product(maker) && is_over_rows(reader))
        return join_before(&(Join){p, sequence, reader, read}, buffer, made);
    return is_over_rows(maker) && map_rows_hold_product(maker) && is_product(reader) &&
           join_behind(&(Join){p, sequence, maker, made}, buffer, read);
}

void map_join(KProgram *p, KSequence *sequence) {
    Users *users = find_users(p, sequence);
    for (int b = 0; b < p->buffer_count; b++)
        if (p->buffers[b]->sequence == sequence && join_at(p, sequence, &users[b], p->buffers[b])) {
            users = find_users(p, sequence);
            b = -1; /* what was joined may have another neighbour */
        }
}
