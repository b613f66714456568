/* What is turned for one product alone, as the keys of attention, is turned in its loops, piece by piece: it is in the
 * first cache when it is read, and in no memory of the program. A piece is what the product reads at one place of the
 * axes that the twin has and its tile has not.
 *
 * Needs layouts, vector axes and the kernels that turn; leaves products with Nest.turned, and fewer of those kernels.
 */
#include "codegen/map/map.h"

enum { PIECE_BYTES = 1 << 14 }; /* of the first cache, beside what a product streams */

typedef struct {
    KKernel *kernel; /* that turns */
    KBuffer *from, *twin;
    KKernel *reader; /* of the twin; NULL: none */
    int loads;       /* of it, in all nests */
} Turned;

typedef struct {
    KKernel *kernel;    /* that is looked at */
    Turned *const *all; /* by KBuffer.id of the twin; NULL: it is none */
} Find;

static void find_load(void *context, const KExpr *e) {
    const Find *f = context;
    Turned *turned = e->kind == KE_LOAD && e->load.buffer->space == SPACE_ARENA ? f->all[e->load.buffer->id] : NULL;
    if (turned) {
        turned->reader = f->kernel;
        turned->loads++;
    }
}

static int find_turned(KProgram *p, const KSequence *sequence, Turned *list) {
    Turned **all = ARENA_ARRAY(p->arena, Turned *, p->buffer_count + 1);
    int count = 0;
    for (int k = 0; k < sequence->count; k++) {
        KKernel *kernel = sequence->kernels[k];
        Turned *turned = &list[count];
        if (kernel->nest_count != 1 || kernel->rows || kernel->steps ||
            !map_is_turn(p, kernel->nests[0], &turned->from, &turned->twin) || turned->from->space != SPACE_ARENA ||
            turned->twin->space != SPACE_ARENA)
            continue;
        turned->kernel = kernel;
        all[turned->twin->id] = turned;
        count++;
    }
    Find f = {NULL, all};
    for (int k = 0; k < sequence->count && count; k++)
        for (int i = 0; i < sequence->kernels[k]->nest_count; i++) {
            f.kernel = sequence->kernels[k];
            nest_visit(f.kernel->nests[i], &(KVisitor){.expression = find_load, .context = &f});
        }
    return count;
}

/* ---- may it be turned in pieces? */
static bool is_product(const KKernel *kernel) {
    const Nest *nest = kernel->nests[0];
    const KExpr *e = nest->reductions[0].expr;
    return kernel->nest_count == 1 && !kernel->rows && !kernel->steps && !nest->ordered && !nest->each &&
           !nest->cell_count && !nest->gemm && !nest->turned && nest->reduction_count == 1 && nest->vector_axis >= 0 &&
           nest->vector_axis < nest->parallel_count && e->kind == KE_FN && e->fn.fn == FN_mul;
}

static int factor_of(const Nest *nest, const KBuffer *buffer) {
    const KExpr *e = nest->reductions[0].expr;
    for (int i = 0; i < 2; i++)
        if (e->fn.args[i]->kind == KE_LOAD && e->fn.args[i]->load.buffer == buffer)
            return i;
    return -1;
}

/* Bytes of a piece; 0: there is none. The axes that lead to one, as nest_leads_to_piece finds them, are the first ones
 * in memory, and all parallel ones but those of the tile, so that no piece is turned twice. */
static int64_t piece_bytes(const KProgram *p, const Nest *nest, const KBuffer *from, const KExpr *load) {
    int64_t bytes = kbase_bytes(from->base);
    int leading = 0, others = 0;
    for (int i = 0; i < from->rank; i++) {
        const KExpr *index = load->load.index[from->order[i]];
        int axis = nest_parallel_axis(nest, index);
        bool leads = axis >= 0 && axis != nest->vector_axis;
        if (index->kind != KE_VAR || (leads && leading < i) || (!leads && from->dims[from->order[i]].batch))
            return 0;
        leading += leads;
        bytes *= leads ? 1 : from->dims[from->order[i]].n;
    }
    for (int i = 0; i < nest->parallel_count; i++)
        others += i != nest->vector_axis && dim_size(nest->axes[i].extent, p->module->batch_max) > 1 &&
                  !kexpr_uses(load, nest->axes[i].var);
    return leading > 0 && others == 1 && from->block == 0 ? bytes : 0;
}

/* Does the reader find what the kernel that turns would have read? */
static bool is_kept(const KProgram *p, const KSequence *sequence, const Turned *turned) {
    int from = ksequence_place(sequence, turned->kernel), to = ksequence_place(sequence, turned->reader);
    return from < to && !ksequence_in_the_way(p, sequence, turned->kernel, from, to);
}

/* ---- doing it */

/* Room for a piece, with the innermost axis of the twin. */
static KBuffer *room_for_piece(KProgram *p, KKernel *kernel, const KBuffer *twin, const KExpr *load) {
    const Nest *nest = kernel->nests[0];
    Dim dims[MAX_RANK];
    int rank = 0, inner = 0, n = 0;
    for (int i = 0; i < twin->rank; i++) {
        int axis = nest_parallel_axis(nest, load->load.index[i]);
        inner = i == kbuffer_innermost(twin) ? rank : inner;
        if (axis < 0 || !nest_leads_to_piece(nest, axis))
            dims[rank++] = twin->dims[i];
    }
    KBuffer *piece = kbuffer_local(p, kernel, SPACE_LOCAL, "turned", twin->base, rank, dims);
    for (int i = 0; i < rank; i++)
        if (i != inner)
            piece->order[n++] = (int8_t)i;
    piece->order[n] = (int8_t)inner;
    return piece;
}

static void read_piece(KProgram *p, const Turned *turned, int factor) {
    Nest *nest = turned->reader->nests[0];
    KExpr *e = nest->reductions[0].expr, *args[2] = {e->fn.args[0], e->fn.args[1]}, *load = args[factor];
    KExpr *index[MAX_RANK];
    int count = 0;
    nest->turned = kexpr_load(p, turned->from, load->load.index, load->load.index_count);
    nest->piece = room_for_piece(p, turned->reader, turned->twin, load);
    for (int i = 0; i < turned->twin->rank; i++) {
        int axis = nest_parallel_axis(nest, load->load.index[i]);
        if (axis < 0 || !nest_leads_to_piece(nest, axis))
            index[count++] = load->load.index[i];
    }
    args[factor] = kexpr_load(p, nest->piece, index, count);
    nest->reductions[0].expr = kexpr_fn(p, FN_mul, args[0], args[1], NULL);
}

static void remove_turn(KProgram *p, KSequence *sequence, const Turned *turned) {
    ksequence_remove(sequence, ksequence_place(sequence, turned->kernel));
    p->buffer_count--;
    for (int i = turned->twin->id; i < p->buffer_count; i++) {
        p->buffers[i] = p->buffers[i + 1];
        p->buffers[i]->id = i;
    }
}

void map_pieces(KProgram *p, KSequence *sequence) {
    Turned *list = ARENA_ARRAY(p->arena, Turned, sequence->count + 1);
    int count = find_turned(p, sequence, list);
    for (int i = 0; i < count; i++) {
        const Turned *turned = &list[i];
        KKernel *reader = turned->reader;
        int factor = turned->loads == 1 && is_product(reader) ? factor_of(reader->nests[0], turned->twin) : -1;
        if (factor < 0 || !is_kept(p, sequence, turned))
            continue;
        const Nest *nest = reader->nests[0];
        int64_t bytes = piece_bytes(p, nest, turned->from, nest->reductions[0].expr->fn.args[factor]);
        if (bytes == 0 || bytes > PIECE_BYTES)
            continue;
        read_piece(p, turned, factor);
        reader->work += turned->kernel->work;
        remove_turn(p, sequence, turned);
    }
}
