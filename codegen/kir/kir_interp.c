/* The interface of the kernel-IR interpreter, and the order in which threads, blocks and kernels run. */
#include "codegen/kir/kir_interp_parts.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

void interp_fail(KInterp *in, const char *format, ...) {
    va_list arguments;
    if (in->failed)
        return;
    in->failed = true;
    int used = in->kernel ? snprintf(in->error, sizeof in->error, "%s: ", in->kernel->name) : 0;
    if (used < 0 || used >= (int)sizeof in->error)
        used = 0;
    va_start(arguments, format);
    vsnprintf(in->error + used, sizeof in->error - (size_t)used, format, arguments);
    va_end(arguments);
}

const char *kinterp_error(const KInterp *in) {
    return in->error;
}

/* ---- memory */

static int arena_granule(const KProgram *p) {
    for (int i = 0; i < p->buffer_count; i++)
        if (p->buffers[i]->space == SPACE_ARENA && p->buffers[i]->base == KBASE_BOOL)
            return 1;
    return 4;
}

static int64_t arena_size(const KInterp *in) {
    int64_t size = in->program->arena_bytes;
    for (int i = 0; i < in->program->buffer_count; i++) {
        const View *view = &in->views[i];
        int64_t end = view->offset + view->elements * kbase_bytes(view->buffer->base);
        if (view->buffer->space == SPACE_ARENA && end > size)
            size = end;
    }
    return size;
}

static void give_memory(KInterp *in, View *view) {
    int64_t bytes = kbase_bytes(view->buffer->base);
    view->memory = ARENA_NEW(in->arena, Memory);
    *view->memory = memory_new(in->arena, view->elements * bytes, (int)bytes);
}

KInterp *kinterp_new(KProgram *p, int64_t batch, KInterpOptions options) {
    Arena *arena = arena_new();
    KInterp *in = ARENA_NEW(arena, KInterp);
    *in = (KInterp){.program = p, .batch = batch, .options = options, .arena = arena};
    in->views = ARENA_ARRAY(arena, View, p->buffer_count + 1);
    in->rows = ARENA_ARRAY(arena, int64_t, batch + 1);
    for (int64_t i = 0; i < batch; i++)
        in->rows[i] = i;
    for (int i = 0; i < p->buffer_count; i++) {
        const KBuffer *b = p->buffers[i];
        in->views[i] = view_of(in, b, b->space == SPACE_ARENA ? &in->memory : NULL, batch);
        if ((b->space == SPACE_VARIABLE || b->space == SPACE_RESULT) && !b->alias)
            give_memory(in, &in->views[i]);
    }
    in->memory = memory_new(arena, arena_size(in), arena_granule(p));
    in->options.threads = options.threads > 0 ? options.threads : 1;
    return in;
}

void kinterp_free(KInterp *in) {
    if (in)
        arena_free(in->arena);
}

/* Elements of a buffer with so many samples, and the extents to count through them. */
static int64_t logical_extents(const KBuffer *b, int64_t samples, int64_t extent[MAX_RANK]) {
    int64_t count = 1;
    for (int i = 0; i < b->rank; i++) {
        extent[i] = dim_size(b->dims[i], samples);
        count *= extent[i];
    }
    return count;
}

static void next_index(int64_t *at, const int64_t *extent, int rank) {
    for (int i = rank - 1; i >= 0; i--) {
        if (++at[i] < extent[i])
            return;
        at[i] = 0;
    }
}

/* Arguments are as long as what is given. */
static bool fit_argument(KInterp *in, View *view, int64_t count, int64_t *samples) {
    const KBuffer *b = view->buffer;
    int64_t extent[MAX_RANK], one = logical_extents(b, 1, extent);
    bool by_sample = b->rank > 0 && b->dims[0].batch;
    *samples = by_sample && one > 0 ? count / one : 1;
    if (!view->memory || (by_sample && view->extent[0] != *samples * b->dims[0].n)) {
        *view = view_of(in, b, NULL, *samples);
        give_memory(in, view);
    }
    return *samples >= 1 && (b->indirect || !by_sample || *samples >= in->batch);
}

bool kinterp_set(KInterp *in, const KBuffer *b, const double *values, int64_t count) {
    int64_t extent[MAX_RANK], at[MAX_RANK] = {0}, samples = in->batch;
    if (b->space == SPACE_LOCAL || b->space == SPACE_SHARED || b->alias) {
        interp_fail(in, b->alias ? "%s is a view of another buffer" : "%s is local to a kernel", b->name);
        return false;
    }
    View *view = &in->views[b->id];
    bool fits = b->space != SPACE_ARGUMENT || fit_argument(in, view, count, &samples);
    if (!fits || logical_extents(b, samples, extent) != count) {
        interp_fail(in, "%lld values do not fit %s", (long long)count, b->name);
        return false;
    }
    for (int64_t i = 0; i < count; i++, next_index(at, extent, b->rank)) {
        uint8_t *place = view->memory->bytes + view->offset + view_element(view, at) * kbase_bytes(b->base);
        float number = (float)values[i];
        int32_t whole = b->base == KBASE_F32 ? 0 : (int32_t)values[i];
        if (b->base == KBASE_BOOL)
            *place = whole != 0;
        else
            memcpy(place, b->base == KBASE_F32 ? (void *)&number : (void *)&whole, 4);
        view->memory->cells[(place - view->memory->bytes) / view->memory->granule].writer = b->id + 1;
        for (int j = 1; j < kbase_bytes(b->base) / view->memory->granule; j++)
            view->memory->cells[(place - view->memory->bytes) / view->memory->granule + j].writer = b->id + 1;
    }
    return true;
}

int64_t kinterp_get(KInterp *in, const KBuffer *b, double *values) {
    int64_t extent[MAX_RANK], at[MAX_RANK] = {0}, count = logical_extents(b, in->batch, extent);
    const View *view = &in->views[b->id];
    if (b->space == SPACE_LOCAL || b->space == SPACE_SHARED || !view->memory)
        return 0;
    for (int64_t i = 0; i < count; i++, next_index(at, extent, b->rank)) {
        const uint8_t *place = view->memory->bytes + view->offset + view_element(view, at) * kbase_bytes(b->base);
        float number;
        int32_t whole;
        memcpy(&number, place, b->base == KBASE_BOOL ? 1 : 4);
        memcpy(&whole, place, b->base == KBASE_BOOL ? 1 : 4);
        values[i] = b->base == KBASE_F32 ? (double)number : b->base == KBASE_BOOL ? *place != 0 : whole;
        if (!view->memory->cells[(place - view->memory->bytes) / view->memory->granule].writer)
            values[i] = NAN;
    }
    return count;
}

void kinterp_set_rows(KInterp *in, const int32_t *rows) {
    for (int64_t i = 0; i < in->batch; i++)
        in->rows[i] = rows[i];
}

/* ---- kernels */

static void run_body(KInterp *in) {
    for (int t = 0; t < in->threads; t++)
        in->masks[t] = true;
    in->depth = 0;
    in->phase++;
    interp_stmt(in, in->kernel->body, in->masks);
}

/* Block after block; the last first if so asked. */
static void run_grid(KInterp *in) {
    int64_t size[2];
    for (int i = 0; i < 2; i++)
        size[i] = interp_index(in, in->launch.grid[i]);
    int64_t blocks = size[0] * size[1];
    for (int64_t turn = 0; turn < blocks && !in->failed; turn++) {
        int64_t block = in->options.reverse ? blocks - 1 - turn : turn;
        in->block = (int)block;
        in->block_at[0] = block % size[0];
        in->block_at[1] = block / size[0];
        run_body(in);
    }
}

/* Share after share; a kernel without a parallel loop is run by the first thread. */
static void run_shares(KInterp *in) {
    int threads = in->kernel->alone || !kkernel_parallel(in->kernel) ? 1 : in->options.threads;
    for (int turn = 0; turn < threads && !in->failed; turn++) {
        in->block = in->options.reverse ? threads - 1 - turn : turn;
        in->share = in->block;
        in->shares = threads;
        run_body(in);
    }
}

static bool prepare(KInterp *in, const KKernel *k) {
    in->on_device = kkernel_launch(in->program, k, &in->launch);
    int64_t threads = in->launch.block[0] * in->launch.block[1];
    if (!k->body || threads > INTERP_BLOCK) {
        interp_fail(in, k->body ? "a block of %lld threads is too big" : "the kernel is not mapped",
                    (long long)threads);
        return false;
    }
    in->threads = (int)threads;
    in->variables = ARENA_ARRAY(in->scratch, Lanes, threads * (k->var_count + 1));
    in->locals = ARENA_ARRAY(in->scratch, View, threads * (k->local_count + 1));
    in->masks = ARENA_ARRAY(in->scratch, bool, threads *INTERP_DEPTH);
    in->bounds = ARENA_ARRAY(in->scratch, int64_t, threads * INTERP_DEPTH);
    in->thread = 0;
    return true;
}

static bool run_kernel(KInterp *in, const KKernel *k) {
    if (in->failed)
        return false;
    in->kernel = k;
    in->scratch = arena_new();
    if (prepare(in, k)) {
        if (in->on_device)
            run_grid(in);
        else
            run_shares(in);
    }
    arena_free(in->scratch);
    in->scratch = NULL;
    in->kernel = NULL;
    in->locals = NULL;
    return !in->failed;
}

/* Threads meet before a kernel only if it says so, so that a barrier that is missing is a race; a launch on a device
 * waits for the one before. */
bool kinterp_run(KInterp *in, const KSequence *sequence) {
    in->epoch++;
    for (int i = 0; i < sequence->count && !in->failed; i++) {
        KLaunch ignored;
        if (sequence->kernels[i]->needs_barrier_before || in->program->isa.gpu ||
            kkernel_launch(in->program, sequence->kernels[i], &ignored))
            in->epoch++;
        run_kernel(in, sequence->kernels[i]);
    }
    return !in->failed;
}
