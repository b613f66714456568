/* Statements of the kernel-IR interpreter: all threads of a block in lockstep, each statement for the threads whose
 * mask is set. A CPU kernel is a block of one thread. */
#include "codegen/kir/kir_interp_parts.h"
#include <math.h>
#include <string.h>

/* The next level of masks and loop ends. */
static bool *push_level(KInterp *in) {
    if (in->depth + 1 >= INTERP_DEPTH) {
        interp_fail(in, "loops and conditions are nested too deep");
        return NULL;
    }
    return in->masks + (int64_t)++in->depth * in->threads;
}

static int64_t *level_bounds(KInterp *in) {
    return in->bounds + (int64_t)in->depth * in->threads;
}

static Lanes *variable(KInterp *in, int thread, const KVar *var) {
    return &in->variables[thread * in->kernel->var_count + var->id];
}

/* Threads take turns in either order: nothing may depend on it. */
static int thread_at(const KInterp *in, int turn) {
    return in->options.reverse ? in->threads - 1 - turn : turn;
}

static void set_index(KInterp *in, int thread, const KVar *var, int64_t value) {
    Lanes *lanes = variable(in, thread, var);
    if (var->limit > 0 && (value < 0 || value >= var->limit))
        interp_fail(in, "%s is %lld, it was promised to be below %lld", var->name, (long long)value,
                    (long long)var->limit);
    lanes->index = value;
    lanes->poison = 0;
}

/* ---- loops */

/* Where a loop starts and ends for this thread: all of it, or its share. */
static void loop_bounds(KInterp *in, const KStmt *s, int64_t *from, int64_t *to) {
    int64_t start = interp_index(in, s->loop.from), end = interp_index(in, s->loop.to), step = s->loop.step;
    *from = start;
    *to = end;
    if (s->loop.axis != AXIS_PARALLEL || in->failed)
        return;
    int64_t units = end > start ? (end - start + step - 1) / step : 0, shares = in->shares;
    int64_t size = units / shares, rest = units % shares; /* as nnrt_thread_share: the first ones get one more */
    int64_t first = size * in->share + (in->share < rest ? in->share : rest);
    int64_t share_end = start + (first + size + (in->share < rest)) * step;
    *from = start + first * step;
    *to = share_end < end ? share_end : end;
}

static void run_serial(KInterp *in, const KStmt *s, const bool *mask) {
    bool *inner = push_level(in), any = false;
    if (!inner)
        return;
    int64_t *end = level_bounds(in);
    for (int t = 0; t < in->threads && !in->failed; t++) {
        int64_t from = 0;
        end[t] = 0;
        in->thread = t;
        if (mask[t])
            loop_bounds(in, s, &from, &end[t]);
        inner[t] = mask[t] && from < end[t];
        if (inner[t])
            set_index(in, t, s->loop.var, from);
        any |= inner[t];
    }
    while (any && !in->failed) {
        interp_stmt(in, s->loop.body, inner);
        any = false;
        for (int t = 0; t < in->threads && !in->failed; t++) {
            int64_t next = variable(in, t, s->loop.var)->index + s->loop.step;
            inner[t] = inner[t] && next < end[t];
            if (inner[t])
                set_index(in, t, s->loop.var, next);
            any |= inner[t];
        }
    }
    in->depth--;
}

static int64_t device_place(const KInterp *in, AxisKind axis, int thread) {
    switch (axis) {
    case AXIS_GRID_X:
        return in->block_at[0];
    case AXIS_GRID_Y:
        return in->block_at[1];
    case AXIS_THREAD_X:
        return thread % in->launch.block[0];
    default:
        return thread / in->launch.block[0];
    }
}

/* Each thread runs the body once, if its place lies within the loop. */
static void run_device_axis(KInterp *in, const KStmt *s, const bool *mask) {
    bool *inner = push_level(in), any = false;
    for (int t = 0; inner && t < in->threads && !in->failed; t++) {
        in->thread = t;
        inner[t] = false;
        if (!mask[t])
            continue;
        int64_t at = interp_index(in, s->loop.from) + device_place(in, s->loop.axis, t) * s->loop.step;
        inner[t] = at < interp_index(in, s->loop.to);
        if (inner[t])
            set_index(in, t, s->loop.var, at);
        any |= inner[t];
    }
    if (any && !in->failed)
        interp_stmt(in, s->loop.body, inner);
    in->depth -= inner != NULL;
}

static void run_if(KInterp *in, const KStmt *s, const bool *mask) {
    bool *inner = push_level(in);
    if (!inner)
        return;
    bool any_then = false, any_otherwise = false;
    for (int t = 0; t < in->threads && !in->failed; t++) {
        in->thread = t;
        inner[t] = mask[t] && interp_condition(in, s->branch.condition);
        any_then |= inner[t];
        any_otherwise |= mask[t] && !inner[t];
    }
    if (any_then && s->branch.then && !in->failed)
        interp_stmt(in, s->branch.then, inner);
    for (int t = 0; t < in->threads; t++)
        inner[t] = mask[t] && !inner[t];
    if (any_otherwise && s->branch.otherwise && !in->failed)
        interp_stmt(in, s->branch.otherwise, inner);
    in->depth--;
}

/* ---- assignments, one thread each */

static void run_let(KInterp *in, const KStmt *s) {
    Lanes value;
    interp_eval(in, s->let.value, &value);
    *variable(in, in->thread, s->let.var) = value;
    if (s->let.var->limit > 0 && !in->failed)
        set_index(in, in->thread, s->let.var, value.index);
}

static void run_store(KInterp *in, const KStmt *s) {
    Lanes value;
    int64_t lanes = s->store.value->type.lanes, count = lanes;
    const View *view = find_view(in, s->store.buffer);
    interp_eval(in, s->store.value, &value);
    if (!in->failed && s->store.count)
        count = interp_index(in, s->store.count);
    if (!in->failed && (count < 0 || count > lanes))
        interp_fail(in, "%lld of %lld lanes of %s are stored", (long long)count, (long long)lanes, view->buffer->name);
    if (in->failed || count == 0)
        return;
    int64_t element = interp_place(in, view, s->store.index, s->store.index_count, count);
    for (int i = 0; i < count && !in->failed; i++)
        interp_write(in, view, element + i, &value, i);
}

/* All is read before anything is written, block by block. */
static void run_transpose(KInterp *in, const KStmt *s) {
    const View *from = find_view(in, s->transpose.from), *to = find_view(in, s->transpose.to);
    if (in->failed)
        return;
    int64_t rows = s->transpose.rows, columns = s->transpose.columns;
    int64_t source = interp_place(in, from, s->transpose.from_index, s->transpose.from_count, columns);
    int64_t target = interp_place(in, to, s->transpose.to_index, s->transpose.to_count, rows);
    int64_t from_row = in->failed ? 0 : from->stride[from->count - 2],
            to_row = in->failed ? 0 : to->stride[to->count - 2];
    for (int64_t i = 0; i < rows && !in->failed; i++)
        for (int64_t j = 0; j < columns && !in->failed; j++) {
            Lanes value = {.poison = 0};
            interp_read(in, from, source + i * from_row + j, &value, 0);
            if (!in->failed)
                interp_write(in, to, target + j * to_row + i, &value, 0);
        }
}

/* A matrix of this run: element [i][j] lies at first + i * stride[0] + j * stride[1]. */
typedef struct {
    const View *view;
    int64_t first, stride[2];
} Matrix;

static Matrix matrix_of(KInterp *in, const KMatrix *m) {
    Matrix matrix = {.view = find_view(in, m->buffer)};
    if (in->failed)
        return matrix;
    matrix.first = interp_place(in, matrix.view, m->index, m->index_count, 1);
    for (int i = 0; i < 2; i++)
        matrix.stride[i] = m->along[i] < 0 ? 0 : matrix.view->stride[m->along[i]];
    return matrix;
}

static int64_t matrix_at(const Matrix *m, int64_t i, int64_t j) {
    return m->first + i * m->stride[0] + j * m->stride[1];
}

static void add_element(KInterp *in, const Matrix *m, int64_t i, int64_t j, Lanes *total) {
    Lanes more = {.poison = 0};
    interp_read(in, m->view, matrix_at(m, i, j), &more, 0);
    total->f[0] += more.f[0];
    total->poison |= more.poison;
}

/* One element, in the order of the sum; an element that comes from memory that nobody wrote spoils it. */
static void run_product(KInterp *in, const KGemm *g, const Matrix m[4], int64_t i, int64_t j, int64_t sum) {
    Lanes total = {.poison = 0};
    total.f[0] = 0;
    if (g->accumulate)
        interp_read(in, m[2].view, matrix_at(&m[2], i, j), &total, 0);
    for (int64_t k = 0; k < sum && !in->failed; k++) {
        Lanes a = {.poison = 0}, b = {.poison = 0};
        interp_read(in, m[0].view, matrix_at(&m[0], i, k), &a, 0);
        interp_read(in, m[1].view, matrix_at(&m[1], k, j), &b, 0);
        total.f[0] = fmaf(interp_round(g->precision, a.f[0]), interp_round(g->precision, b.f[0]), total.f[0]);
        total.poison |= a.poison | b.poison;
    }
    if (g->bias.buffer && !in->failed)
        add_element(in, &m[3], i, j, &total);
    if (g->relu && total.f[0] < 0)
        total.f[0] = 0;
    if (!in->failed)
        interp_write(in, m[2].view, matrix_at(&m[2], i, j), &total, 0);
}

void interp_spoil(KInterp *in, KBuffer *b) {
    const View *view = find_view(in, b);
    Lanes nothing = {.poison = 0};
    nothing.f[0] = NAN;
    for (int64_t i = 0; !in->failed && i < view->elements; i++)
        interp_write(in, view, i, &nothing, 0);
}

static void run_gemm(KInterp *in, const KStmt *s) {
    const KGemm *g = s->gemm;
    Matrix m[4] = {matrix_of(in, &g->a), matrix_of(in, &g->b), matrix_of(in, &g->c), {.view = NULL}};
    if (g->bias.buffer)
        m[3] = matrix_of(in, &g->bias);
    if (g->scratch)
        interp_spoil(in, g->scratch);
    int64_t rows = interp_index(in, g->row_to), columns = interp_index(in, g->column_to),
            sum = interp_index(in, g->sum), from = interp_index(in, g->column_from);
    for (int64_t i = interp_index(in, g->row_from); i < rows && !in->failed; i++)
        for (int64_t j = from; j < columns && !in->failed; j++)
            run_product(in, g, m, i, j, sum);
}

/* ---- for the whole block */

static void run_alloc(KInterp *in, const KBuffer *b, const bool *mask) {
    bool shared = b->space == SPACE_SHARED;
    for (int t = 0; t < (shared ? 1 : in->threads); t++) {
        View *view = &in->locals[t * in->kernel->local_count + b->id];
        if (!mask[t] && !shared)
            continue;
        if (!view->memory) {
            Memory *memory = ARENA_NEW(in->scratch, Memory);
            *view = view_of(in, b, memory, in->batch);
            *memory = memory_new(in->scratch, view->elements * kbase_bytes(b->base), (int)kbase_bytes(b->base));
        } else
            memory_forget(view->memory);
        if (b->zeroed)
            memory_zero(view->memory, b->id);
    }
}

static void run_barrier(KInterp *in, const bool *mask) {
    if (!in->on_device) {
        interp_fail(in, "a barrier in a kernel whose threads cannot meet");
        return;
    }
    for (int t = 0; t < in->threads; t++)
        if (!mask[t]) {
            interp_fail(in, "barrier: thread %d of the block does not come by", t);
            return;
        }
    in->phase++;
}

static void run_block(KInterp *in, const KStmt *s, const bool *mask) {
    for (const KStmt *child = s->block.first; child && !in->failed; child = child->next)
        interp_stmt(in, child, mask);
}

static void run_each(KInterp *in, const KStmt *s, const bool *mask, void (*run)(KInterp *, const KStmt *)) {
    for (int turn = 0; turn < in->threads && !in->failed; turn++) {
        in->thread = thread_at(in, turn);
        if (mask[in->thread])
            run(in, s);
    }
}

void interp_stmt(KInterp *in, const KStmt *s, const bool *mask) {
    if (!s || in->failed)
        return;
    switch (s->kind) {
    case KS_BLOCK:
        run_block(in, s, mask);
        break;
    case KS_FOR:
        if (in->on_device && s->loop.axis >= AXIS_GRID_X)
            run_device_axis(in, s, mask);
        else
            run_serial(in, s, mask);
        break;
    case KS_IF:
        run_if(in, s, mask);
        break;
    case KS_LET:
    case KS_SET:
        run_each(in, s, mask, run_let);
        break;
    case KS_STORE:
        run_each(in, s, mask, run_store);
        break;
    case KS_TRANSPOSE:
        run_each(in, s, mask, run_transpose);
        break;
    case KS_GEMM:
        run_each(in, s, mask, run_gemm);
        break;
    case KS_MMA:
        interp_mma(in, s->mma, mask);
        break;
    case KS_CONVOLUTION:
        interp_convolution(in, s->convolution);
        break;
    case KS_ALLOC:
        run_alloc(in, s->alloc, mask);
        break;
    case KS_BARRIER:
        run_barrier(in, mask);
        break;
    case KS_PREFETCH:
    case KS_FORGET:
    case KS_COMMENT:
        break;
    }
}
