/* How many samples prediction takes through the network at once. A prediction of many samples is worked off in pieces,
 * so that what one kernel leaves is still in the second-level cache when the next one reads it. Weights are read again
 * for each piece: where they do not fit beside the values, a piece is a whole batch. */
#include "codegen/emit/host_parts.h"
#include "codegen/plan/memory_plan.h"

enum { CACHE_BYTES = 1 << 20, LEAST_PIECE = 8, LARGEST_TILE = 4096, SMALL_PART = 16, SHARERS = 8 };

static void find_batch(void *found, const KExpr *e) {
    if (e->kind == KE_BATCH)
        *(bool *)found = true;
}

static int64_t common_multiple(int64_t a, int64_t b) {
    int64_t x = a, y = b;
    while (y) {
        int64_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

/* Loops over samples in tiles: a piece is whole tiles of all of them, one for each of some threads where they share the
 * tiles. Kernels with little of the work do not count. */
static void take_tile(void *context, const KStmt *s) {
    int64_t *tiles = context;
    bool over_samples = false;
    if (s->kind != KS_FOR || s->loop.step < 2 || *tiles > LARGEST_TILE)
        return;
    kexpr_visit(s->loop.to, &(KVisitor){.expression = find_batch, .context = &over_samples});
    if (over_samples)
        *tiles = common_multiple(*tiles, s->loop.step * (s->loop.axis == AXIS_PARALLEL ? SHARERS : 1));
}

/* Bytes of the weights that the kernels read. */
static int64_t bytes_of_variables(const KProgram *p, const KSequence *sequence) {
    bool *seen = ARENA_ARRAY(p->arena, bool, p->buffer_count + 1);
    int64_t bytes = 0;
    for (int k = 0; k < sequence->count; k++) {
        const KUse *uses;
        int count = kkernel_uses(p, sequence->kernels[k], &uses);
        for (int i = 0; i < count; i++) {
            const KBuffer *b = uses[i].buffer;
            if (b->space == SPACE_VARIABLE && !seen[b->id])
                bytes += kbuffer_elements(b, 1) * kbase_bytes(b->base);
            seen[b->id] = true;
        }
    }
    return bytes;
}

static int64_t bytes_of_values(const KProgram *p, const KSequence *sequence) {
    Lifetime *lifetimes;
    int count = memory_lifetimes(p, sequence, &lifetimes);
    int64_t end = 0;
    for (int i = 0; i < count; i++) {
        int64_t after = lifetimes[i].buffer->offset + lifetimes[i].buffer->bytes;
        end = after > end ? after : end;
    }
    return end;
}

int64_t host_piece(const Host *h) {
    const KProgram *p = h->program;
    const KSequence *forward = h->steps[HOST_FORWARD].sequence;
    int64_t batch = host_batch(h), piece = batch, tiles = LEAST_PIECE, work = 0;
    int64_t values = bytes_of_values(p, forward) / p->module->batch_max, weights = bytes_of_variables(p, forward);
    for (int k = 0; k < forward->count; k++)
        work += forward->kernels[k]->work;
    for (int k = 0; k < forward->count; k++)
        if (forward->kernels[k]->work >= work / SMALL_PART)
            kstmt_visit(forward->kernels[k]->body, &(KVisitor){.statement = take_tile, .context = &tiles});
    if (weights > CACHE_BYTES / 2)
        return batch;
    while (weights + piece * values > CACHE_BYTES && piece % (2 * tiles) == 0)
        piece /= 2;
    return weights + piece * values > CACHE_BYTES ? batch : piece;
}
