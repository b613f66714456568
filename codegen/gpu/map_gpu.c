/* Kernels for a GPU. One nest becomes a grid of its own: a thread or a block for each result, or tiles of a
 * contraction. Several nests over the same rows of the batch take a block for each row; several small ones one block;
 * between nests the block's threads meet, and what passes on lies in shared memory. Kernels that are too big for this
 * are split into one kernel per nest, and what passes on goes to the arena; so are long sums with few results, in
 * parts, and products that a library computes. Last, small kernels that do not wait for each other share a launch.
 * Needs layout_scalar; leaves bodies of every kernel. */
#include "codegen/kir/gpu_arch.h"
#include "codegen/kir/library.h"
#include "codegen/gpu/map_gpu.h"

/* Shared memory that reductions across the block take. */
static int64_t reduction_bytes(const KKernel *kernel) {
    int64_t bytes = 0;
    for (int i = 0; i < kernel->nest_count; i++)
        bytes += (int64_t)kernel->nests[i]->reduction_count * GPU_BLOCK * 8;
    return bytes;
}

/* ---- forms */

static void allocate_locals(KProgram *p, KKernel *kernel, KStmt *body) {
    for (int i = 0; i < kernel->local_count; i++) {
        KBuffer *local = kernel->locals[i];
        if (kernel->rows && local->rank && local->dims[0].batch)
            local->dims[0] = dim_static(1);
        kstmt_add(body, kstmt_alloc(p, local));
    }
}

/* What the nests pass on is written by one thread and read by another. */
static void share_locals(KKernel *kernel, int count) {
    for (int i = 0; i < count; i++)
        kernel->locals[i]->space = SPACE_SHARED;
}

static int64_t threads_of_block(KProgram *p, KKernel *kernel, KExpr *row) {
    int64_t most = 1, threads = GPU_WARP;
    for (int i = 0; i < kernel->nest_count; i++) {
        int64_t useful = gpu_useful_threads(
            &(GpuNest){.p = p, .kernel = kernel, .nest = kernel->nests[i], .threads = GPU_BLOCK, .row = row});
        most = useful > most ? useful : most;
    }
    while (threads < most && threads < GPU_BLOCK)
        threads *= 2;
    return threads;
}

static void note_load(void *context, const KExpr *e) {
    GpuUses *uses = context;
    if (e->kind == KE_LOAD) {
        KUse use = {e->load.buffer, true, false};
        ARENA_PUSH(uses->arena, uses->items, uses->count, uses->capacity, use);
    }
}

static void note_store(void *context, const KStmt *s) {
    GpuUses *uses = context;
    if (s->kind == KS_STORE) {
        KUse use = {s->store.buffer, false, true};
        ARENA_PUSH(uses->arena, uses->items, uses->count, uses->capacity, use);
    }
}

void gpu_note_uses(const Nest *nest, GpuUses *uses) {
    nest_visit(nest, &(KVisitor){note_store, note_load, uses, NULL});
}

/* Must the threads meet before the next nest? `since` are the uses since they last did. In a recurrence they always do:
 * what comes before is the step before, too. */
static bool must_meet(const KKernel *kernel, const Nest *next, GpuUses *since) {
    GpuUses uses = {.arena = since->arena};
    gpu_note_uses(next, &uses);
    bool meet = kernel->steps > 0 || gpu_waits_for(uses.items, uses.count, since->items, since->count);
    since->count = meet ? 0 : since->count;
    gpu_note_uses(next, since);
    return meet;
}

static bool map_nests_in_block(KProgram *p, KKernel *kernel, KExpr *row, KStmt *out) {
    GpuNest g = {.p = p, .kernel = kernel, .row = row, .threads = threads_of_block(p, kernel, row)};
    GpuUses since = {.arena = p->arena};
    int locals = kernel->local_count;
    KStmt *body = kstmt_block(p);
    g.thread = gpu_index_var(&g, "thread", g.threads);
    KStmt *step = kstmt_block(p);
    for (int i = 0; i < kernel->nest_count; i++) {
        bool in_step = kernel->steps && i >= kernel->step_first && i < kernel->step_end;
        KStmt *place = in_step ? step : body;
        if (must_meet(kernel, kernel->nests[i], &since) && i > 0)
            kstmt_add(place, kstmt_barrier(p));
        g.nest = kernel->nests[i];
        if (!gpu_map_in_block(&g, place))
            return false;
        if (in_step && i + 1 == kernel->step_end)
            kstmt_add(body, kstmt_for(p, kernel->step, AXIS_SERIAL, kexpr_index(p, 0), kexpr_index(p, kernel->steps), 1,
                                      step));
    }
    share_locals(kernel, locals);
    kstmt_add(out, kstmt_for(p, g.thread, AXIS_THREAD_X, kexpr_index(p, 0), kexpr_index(p, g.threads), 1, body));
    return true;
}

/* A block for each row, or one block. */
static bool map_blocks(KProgram *p, KKernel *kernel) {
    GpuNest g = {.p = p, .kernel = kernel};
    KVar *row = gpu_index_var(&g, kernel->rows ? "m" : "block", 0);
    KExpr *end = kernel->rows ? kexpr_dim(p, kernel->nests[0]->axes[0].extent) : kexpr_index(p, 1);
    KStmt *body = kstmt_block(p);
    allocate_locals(p, kernel, kernel->body);
    if (!map_nests_in_block(p, kernel, kernel->rows ? kexpr_var(p, row) : NULL, body))
        return false;
    kstmt_add(kernel->body, kstmt_for(p, row, AXIS_GRID_X, kexpr_index(p, 0), end, 1, body));
    return true;
}

static bool map_kernel(KProgram *p, KKernel *kernel) {
    kernel->body = kstmt_block(p);
    if (kernel->nest_count == 1 && kernel->nests[0]->gemm)
        return map_gpu_call(p, kernel, kernel->nests[0], kernel->body);
    if (kernel->nest_count == 1 && kernel->nests[0]->convolution) {
        kernel->how =
            arena_format(p->arena, "convolution %s, by %s", kconvolution_names[kernel->nests[0]->convolution->kind],
                         library_of(KS_CONVOLUTION, true)->title);
        kstmt_add(kernel->body, kstmt_convolution(p, kernel->nests[0]->convolution));
        return true;
    }
    if (kernel->nest_count > 1 || kernel->steps)
        return map_blocks(p, kernel);
    allocate_locals(p, kernel, kernel->body);
    GpuNest g = {.p = p, .kernel = kernel, .threads = GPU_BLOCK};
    for (int i = 0; i < kernel->nest_count; i++) {
        g.nest = kernel->nests[i];
        if (!gpu_map_tiles(&g, kernel->body) && !gpu_map_grid(&g, kernel->body))
            return false;
    }
    return true;
}

static bool map_sequence(KProgram *p, KSequence *sequence) {
    map_gpu_library(p, sequence);
    map_gpu_parts(p, sequence);
    for (int i = 0; i < sequence->count; i++)
        if (!map_kernel(p, sequence->kernels[i])) {
            diag_internal(p->diag, sequence->kernels[i]->span, "no GPU mapping for %s", sequence->kernels[i]->name);
            return false;
        }
    return true;
}

/* A launch waits for the one before. */
static void wait_for_launches(KProgram *p) {
    for (int s = 0; s < p->sequence_count; s++)
        for (int i = 1; i < p->sequences[s]->count; i++)
            p->sequences[s]->kernels[i]->needs_barrier_before = true;
}

static bool has_precision(const KProgram *p) {
    if (p->precision == PRECISION_FLOAT32 || p->isa.gpu->tensor_tf32)
        return true;
    diag_error(p->diag, (Span){0}, "%s has no tensor cores for contractions in %s, which GPUs from sm_80 on have",
               p->isa.gpu->name, kprecision_names[p->precision]);
    return false;
}

bool map_gpu(KProgram *p) {
    if (!has_precision(p))
        return false;
    for (int s = 0; s < p->sequence_count; s++)
        for (int i = 0; i < p->sequences[s]->count; i++) {
            KKernel *kernel = p->sequences[s]->kernels[i];
            if (kernel->row_axes > 1) /* a block for each sample would be too few */
                kkernel_apart(p, p->sequences[s], i);
            kkernel_fit(p, p->sequences[s], i, 1, GPU_SHARED_BYTES - reduction_bytes(kernel));
        }
    for (int s = 0; s < p->sequence_count; s++)
        if (!map_sequence(p, p->sequences[s]))
            return false;
    map_gpu_beside(p);
    kprogram_name_locals(p);
    wait_for_launches(p);
    return true;
}
