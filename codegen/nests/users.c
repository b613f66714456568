/* An index from buffers to the kernels whose nests touch them. */
#include "codegen/nests/sequence.h"

typedef struct {
    SequenceUsers *users;
    KKernel *kernel;
} Note;

static void note(const Note *n, KernelList *lists, const KBuffer *b) {
    if (b->space == SPACE_LOCAL || b->space == SPACE_SHARED)
        return;
    int id = kbuffer_owner(b)->id;
    if (id >= n->users->buffers) /* made after the index */
        return;
    KernelList *l = &lists[id];
    if (l->count == 0 || l->items[l->count - 1] != n->kernel)
        ARENA_PUSH(n->users->arena, l->items, l->count, l->capacity, n->kernel);
}

static void note_load(void *context, const KExpr *e) {
    const Note *n = context;
    if (e->kind == KE_LOAD)
        note(n, n->users->loads, e->load.buffer);
}

static void note_store(void *context, const KStmt *s) {
    const Note *n = context;
    if (s->kind == KS_STORE)
        note(n, n->users->stores, s->store.buffer);
}

void users_note(SequenceUsers *users, KKernel *kernel) {
    Note n = {users, kernel};
    for (int i = 0; i < kernel->nest_count; i++)
        nest_visit(kernel->nests[i], &(KVisitor){note_store, note_load, &n, NULL});
}

SequenceUsers users_of(const KProgram *p, const KSequence *sequence) {
    SequenceUsers users = {.arena = p->arena, .buffers = p->buffer_count};
    users.loads = ARENA_ARRAY(p->arena, KernelList, users.buffers + 1);
    users.stores = ARENA_ARRAY(p->arena, KernelList, users.buffers + 1);
    for (int i = 0; i < sequence->count; i++)
        users_note(&users, sequence->kernels[i]);
    return users;
}

int ksequence_place(const KSequence *sequence, const KKernel *kernel) {
    int place = sequence->count - 1;
    while (place >= 0 && sequence->kernels[place] != kernel)
        place--;
    return place;
}
