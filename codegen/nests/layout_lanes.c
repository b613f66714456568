/* Which buffers may be cut in panels of vectors: not those that some nest meets with vectors that begin elsewhere than
 * at multiples of their length. Needs the vector axes of nests, logical indices. */
#include "codegen/nests/layout.h"
#include "codegen/kir/nest.h"
#include <string.h>

/* Is it a multiple of the lanes for every multiple of them in place of the vector axis? */
static bool is_at_lanes(const KExpr *e, const KVar *vector, int lanes) {
    int64_t n;
    if (kexpr_constant(e, &n))
        return n % lanes == 0;
    if (e->kind == KE_VAR)
        return e->var == vector || (e->var->multiple > 0 && e->var->multiple % lanes == 0);
    if (e->kind != KE_INDEX)
        return false;
    bool left = is_at_lanes(e->index.left, vector, lanes), right = is_at_lanes(e->index.right, vector, lanes);
    return e->index.op == '*' ? left || right : strchr("+-", e->index.op) && left && right;
}

/* The buffers whose innermost axis vectors of some nest meet at other places than multiples of their length: a part of
 * what is joined or cut. In panels these vectors would reach over the end of one. */
typedef struct {
    const Nest *nest;
    int lanes;
    bool *off; /* by KBuffer.id */
} Alignment;

static void note_alignment(Alignment *a, const KBuffer *b, KExpr *const *index) {
    int inner = b->rank > 0 && b->space != SPACE_LOCAL ? kbuffer_innermost(b) : -1;
    const KVar *vector = a->nest->axes[a->nest->vector_axis].var;
    if (inner >= 0 && kexpr_uses(index[inner], vector) && !is_at_lanes(index[inner], vector, a->lanes))
        a->off[b->id] = true;
}

static void note_aligned_load(void *context, const KExpr *e) {
    if (e->kind == KE_LOAD)
        note_alignment(context, e->load.buffer, e->load.index);
}

static void note_aligned_store(void *context, const KStmt *s) {
    if (s->kind == KS_STORE)
        note_alignment(context, s->store.buffer, s->store.index);
}

const bool *layout_off_lanes(const KProgram *p) {
    Alignment a = {.lanes = p->isa.lanes, .off = ARENA_ARRAY(p->arena, bool, p->buffer_count + 1)};
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            for (int n = 0; n < p->sequences[s]->kernels[k]->nest_count; n++) {
                a.nest = p->sequences[s]->kernels[k]->nests[n];
                if (a.nest->vector_axis >= 0)
                    nest_visit(a.nest, &(KVisitor){note_aligned_store, note_aligned_load, &a, NULL});
            }
    return a.off;
}
