/* Kernels that change their places in a sequence before they are mapped. Needs nests; leaves every buffer as it was
 * found by those who read it. */
#include "codegen/nests/sequence.h"

enum { LOADED = 1, STORED = 2 };

/* How kernels touch buffers, by the id of what owns the memory. */
typedef struct {
    unsigned char *touched;
    int meets; /* bits of what another kernel has in common with it: LOADED by it and stored there, STORED by it */
    bool marks;
} Touch;

static void touch(Touch *t, const KBuffer *b, int how) {
    if (b->space == SPACE_LOCAL)
        return;
    int id = kbuffer_owner(b)->id;
    if (t->marks)
        t->touched[id] |= (unsigned char)how;
    else
        t->meets |= how == STORED ? t->touched[id] : t->touched[id] & STORED;
}

static void touch_load(void *context, const KExpr *e) {
    if (e->kind == KE_LOAD)
        touch(context, e->load.buffer, LOADED);
}

static void touch_store(void *context, const KStmt *s) {
    if (s->kind == KS_STORE)
        touch(context, s->store.buffer, STORED);
}

static void visit(Touch *t, const KKernel *kernel) {
    KVisitor visitor = {touch_store, touch_load, t, NULL};
    for (int i = 0; i < kernel->nest_count; i++) {
        const Nest *nest = kernel->nests[i];
        nest_visit(nest, &visitor);
        for (int axis = 0; axis < nest->axis_count; axis++) {
            kexpr_visit(nest->axes[axis].from, &visitor);
            kexpr_visit(nest->axes[axis].to, &visitor);
        }
    }
}

static Touch touch_of(const KProgram *p, const KKernel *kernel) {
    Touch t = {ARENA_ARRAY(p->arena, unsigned char, p->buffer_count + 1), 0, true};
    visit(&t, kernel);
    t.marks = false;
    return t;
}

static int meets(Touch *t, const KKernel *other) {
    t->meets = 0;
    visit(t, other);
    return t->meets;
}

bool ksequence_in_the_way(const KProgram *p, const KSequence *sequence, const KKernel *moved, int from, int to) {
    Touch t = touch_of(p, moved);
    for (int k = from + 1; k < to; k++)
        if (meets(&t, sequence->kernels[k]))
            return true;
    return false;
}

static void take_variable(KKernel *to, KVar *var, int base) {
    var->id += base;
    to->var_count = var->id >= to->var_count ? var->id + 1 : to->var_count;
}

static void take_lets(KKernel *to, const KStmt *block, int base) {
    for (const KStmt *s = block->block.first; s; s = s->next)
        if (s->kind == KS_LET)
            take_variable(to, s->let.var, base);
        else if (s->kind == KS_BLOCK)
            take_lets(to, s, base);
}

void kkernel_take_variables(KKernel *to, Nest *nest) {
    int base = to->var_count;
    for (int i = 0; i < nest->axis_count; i++)
        take_variable(to, nest->axes[i].var, base);
    for (int i = 0; i < nest->reduction_count; i++)
        take_variable(to, nest->reductions[i].result, base);
    take_lets(to, nest->epilogue, base);
}

/* What a kernel over rows reads is near as long as nothing else has been computed: it comes right behind the last
 * kernel that makes some of it, if nothing keeps it. */
void ksequence_rows_behind(const KProgram *p, KSequence *sequence) {
    for (int i = 0; i < sequence->count; i++) {
        KKernel *rows = sequence->kernels[i];
        if (rows->row_axes < 2 || rows->steps)
            continue;
        Touch t = touch_of(p, rows);
        int behind = i, met = 0;
        while (behind > 0 && !(met = meets(&t, sequence->kernels[behind - 1])))
            behind--;
        if (!(met & LOADED))
            continue;
        ksequence_move(sequence, i, behind);
    }
}
