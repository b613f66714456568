/* The form of a kernel: its statements in numbers, variables and buffers by their first use, then what is known of the
 * buffers. Statements whose value nobody needs are left out, as in print. */
#include "codegen/emit/kernel_share.h"
#include <string.h>

typedef struct {
    KBuffer *buffer;
    bool written;
} Seen;

typedef struct {
    const KProgram *program;
    const bool *live;
    KernelForm *form;
    Text *text;
    int *variables; /* by KVar.id: number, counted from 1 */
    Seen *seen;     /* by number; with the kernel's own */
    int variable_count, seen_count, seen_capacity, stream_capacity;
} Writer;

static int64_t batch_max(const Writer *w) {
    return w->program->module ? w->program->module->batch_max : 1;
}

/* ---- numbers by first use */

static int number_of_variable(Writer *w, const KVar *var) {
    if (!w->variables[var->id])
        w->variables[var->id] = ++w->variable_count;
    return w->variables[var->id];
}

static int number_of_buffer(Writer *w, KBuffer *b, bool written) {
    int i = 0;
    while (i < w->seen_count && w->seen[i].buffer != b)
        i++;
    if (i == w->seen_count)
        ARENA_PUSH(w->program->arena, w->seen, w->seen_count, w->seen_capacity, ((Seen){b, false}));
    w->seen[i].written |= written;
    return i;
}

static int number_of_stream(Writer *w, int stream) {
    KernelForm *f = w->form;
    int i = 0;
    while (i < f->stream_count && f->streams[i] != stream)
        i++;
    if (i == f->stream_count)
        ARENA_PUSH(w->program->arena, f->streams, f->stream_count, w->stream_capacity, stream);
    return i;
}

/* ---- numbers of the form */

enum { NONE = -1, END = -2 };

/* Six bits a byte, no byte 0; the last byte of a number is below 128. */
static void put(Writer *w, int64_t number) {
    enum { DIGIT = 6, MORE = 128, NOT_ZERO = 64 };
    uint64_t left = number < 0 ? ~((uint64_t)number << 1) : (uint64_t)number << 1;
    char bytes[64 / DIGIT + 1];
    size_t length = 0;
    for (; left >> DIGIT; left >>= DIGIT)
        bytes[length++] = (char)(MORE | NOT_ZERO | (left & (NOT_ZERO - 1)));
    bytes[length++] = (char)(NOT_ZERO | left);
    text_add_length(w->text, bytes, length);
}

static void put_double(Writer *w, double number) {
    int64_t bits; /* the sign of a zero counts */
    memcpy(&bits, &number, sizeof bits);
    put(w, bits);
}

static void put_type(Writer *w, KType type) {
    put(w, type.base);
    put(w, type.lanes);
}

/* ---- expressions */

static void write_expr(Writer *w, const KExpr *e);

static void write_indices(Writer *w, KExpr *const *index, int count) {
    put(w, count);
    for (int i = 0; i < count; i++)
        write_expr(w, index[i]);
}

static void write_own(Writer *w, const KExpr *e) {
    switch (e->kind) {
    case KE_CONST:
        put_double(w, e->number);
        break;
    case KE_VAR:
        put(w, number_of_variable(w, e->var));
        break;
    case KE_LOAD:
        put(w, number_of_buffer(w, e->load.buffer, false));
        put(w, (e->load.count != NULL) + 2 * (e->load.stride != NULL));
        break;
    case KE_FN:
        put(w, e->fn.fn);
        break;
    case KE_INDEX:
        put(w, e->index.op);
        break;
    case KE_ACROSS:
        put(w, e->across.kind);
        break;
    case KE_RANDOM:
        put(w, e->random.kind);
        put(w, number_of_stream(w, e->random.stream));
        break;
    case KE_BATCH:
    case KE_CAST:
    case KE_SPLAT:
    case KE_LANES:
        break;
    }
}

static void write_expr(Writer *w, const KExpr *e) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (!e) {
        put(w, NONE);
        return;
    }
    put(w, e->kind);
    put_type(w, e->type);
    write_own(w, e);
    write_indices(w, operands, kexpr_operands(e, operands));
}

/* ---- statements */

static void write_stmt(Writer *w, const KStmt *s);

static void write_scope(Writer *w, const KStmt *s) {
    if (s)
        write_stmt(w, s);
    put(w, END);
}

static void write_variable(Writer *w, const KVar *var) {
    put(w, number_of_variable(w, var));
    put_type(w, var->type);
    put(w, var->is_mutable);
    put(w, var->limit);
    put(w, var->multiple);
}

static void write_loop(Writer *w, const KStmt *s) {
    put(w, s->loop.axis);
    put(w, s->loop.step);
    write_expr(w, s->loop.from);
    write_expr(w, s->loop.to);
    write_variable(w, s->loop.var);
    write_scope(w, s->loop.body);
}

static void write_store(Writer *w, const KStmt *s) {
    write_expr(w, s->store.value); /* first: what is read is numbered before what is written */
    write_expr(w, s->store.count);
    put(w, number_of_buffer(w, s->store.buffer, true));
    write_indices(w, s->store.index, s->store.index_count);
}

static void write_transpose(Writer *w, const KStmt *s) {
    put(w, s->transpose.rows);
    put(w, s->transpose.columns);
    put(w, s->transpose.lanes);
    put(w, number_of_buffer(w, s->transpose.from, false));
    write_indices(w, s->transpose.from_index, s->transpose.from_count);
    put(w, number_of_buffer(w, s->transpose.to, true));
    write_indices(w, s->transpose.to_index, s->transpose.to_count);
}

static bool is_written_out(const Writer *w, const KStmt *s) {
    bool assigns = s->kind == KS_LET || s->kind == KS_SET;
    return s->kind != KS_BLOCK && s->kind != KS_COMMENT && (!assigns || w->live[s->let.var->id]);
}

static void write_matrix(Writer *w, const KMatrix *m, bool written) {
    text_format(w->text, " b%d along %d %d", number_of_buffer(w, m->buffer, written), m->along[0], m->along[1]);
    write_indices(w, m->index, m->index_count);
}

static void write_gemm(Writer *w, const KGemm *g) {
    const KExpr *bounds[] = {g->row_from, g->row_to, g->column_from, g->column_to, g->sum};
    text_add(w->text, g->accumulate ? "gemm more" : "gemm");
    write_matrix(w, &g->a, false);
    write_matrix(w, &g->b, false);
    if (g->bias.buffer)
        write_matrix(w, &g->bias, false);
    write_matrix(w, &g->c, true);
    put(w, g->relu);
    put(w, g->precision);
    if (g->scratch)
        put(w, number_of_buffer(w, g->scratch, true));
    for (int i = 0; i < 5; i++)
        write_expr(w, bounds[i]);
    text_add(w->text, "\n");
}

static void write_mma(Writer *w, const KMma *m) {
    put(w, m->precision);
    write_indices(w, m->a, kmma_depth(m->precision) / 2);
    write_indices(w, m->b, kmma_depth(m->precision) / 4);
    put(w, number_of_buffer(w, m->sum, true));
    write_indices(w, m->index, m->index_count);
}

/* With the extents that a pointer does not know. */
static void write_convolution(Writer *w, const KConvolution *c) {
    KBuffer *const operands[] = {c->image, c->weights, c->result, c->scratch};
    put(w, c->kind);
    for (int i = 0; i < 4; i++) {
        put(w, number_of_buffer(w, operands[i], operands[i] == kconvolution_written(c) || i == 3));
        for (int axis = 0; axis < operands[i]->rank; axis++)
            put(w, operands[i]->dims[axis].n);
    }
    for (int s = 0; s < kconvolution_spatial(c); s++) {
        put(w, c->stride[s]);
        put(w, c->dilation[s]);
        put(w, c->low[s]);
    }
}

static void write_stmt(Writer *w, const KStmt *s) {
    if (is_written_out(w, s))
        put(w, s->kind);
    switch (s->kind) {
    case KS_BLOCK:
        for (const KStmt *child = s->block.first; child; child = child->next)
            write_stmt(w, child);
        break;
    case KS_FOR:
        write_loop(w, s);
        break;
    case KS_IF:
        write_expr(w, s->branch.condition);
        write_scope(w, s->branch.then);
        write_scope(w, s->branch.otherwise);
        break;
    case KS_LET:
    case KS_SET:
        if (is_written_out(w, s)) {
            write_expr(w, s->let.value);
            write_variable(w, s->let.var);
        }
        break;
    case KS_STORE:
        write_store(w, s);
        break;
    case KS_ALLOC:
        put(w, number_of_buffer(w, s->alloc, true));
        break;
    case KS_TRANSPOSE:
        write_transpose(w, s);
        break;
    case KS_GEMM:
        write_gemm(w, s->gemm);
        break;
    case KS_MMA:
        write_mma(w, s->mma);
        break;
    case KS_CONVOLUTION:
        write_convolution(w, s->convolution);
        break;
    case KS_PREFETCH:
        put(w, s->reads);
        write_expr(w, s->prefetch);
        break;
    case KS_BARRIER:
    case KS_FORGET:
    case KS_COMMENT:
        break;
    }
}

/* ---- buffers */

static bool is_own(const KBuffer *b) {
    return b->space == SPACE_LOCAL || b->space == SPACE_SHARED;
}

/* How an index becomes an address; how many rows there are is nothing that a pointer knows. */
static void write_shape(Writer *w, const KBuffer *b) {
    int64_t extent[MAX_RANK + 1];
    int axes = kbuffer_physical(b, batch_max(w), extent);
    put(w, b->base);
    put(w, axes);
    for (int i = is_own(b) ? 0 : 1; i < axes; i++)
        put(w, extent[i]);
    put(w, b->lanes);
    put(w, b->row_stride);
    put(w, b->indirect);
}

static void write_buffer(Writer *w, int number) {
    const KBuffer *b = w->seen[number].buffer;
    write_shape(w, b);
    put(w, is_own(b) ? (int)b->space : NONE);
    put(w, is_own(b) ? b->zeroed : b->rank == 0 && b->space == SPACE_ARGUMENT); /* passed by value */
    for (int i = 0; i < number && !is_own(b); i++)
        if (!is_own(w->seen[i].buffer) && kbuffer_overlaps(b, w->seen[i].buffer))
            put(w, i);
    put(w, END);
}

static void list_buffers(Writer *w, bool written) {
    KernelForm *f = w->form;
    for (int i = 0; i < w->seen_count; i++)
        if (!is_own(w->seen[i].buffer) && w->seen[i].written == written) {
            f->written[f->buffer_count] = written;
            f->buffers[f->buffer_count++] = w->seen[i].buffer;
        }
}

void kernel_form(KernelForm *f, const KProgram *p, const KKernel *k) {
    *f = (KernelForm){.buffer_count = 0};
    Writer w = {.program = p, .form = f, .text = &f->text, .live = kkernel_live(p, k)};
    w.variables = ARENA_ARRAY(p->arena, int, k->var_count + 1);
    write_stmt(&w, k->body);
    for (int i = 0; i < w.seen_count; i++)
        write_buffer(&w, i);
    f->buffers = ARENA_ARRAY(p->arena, KBuffer *, w.seen_count + 1);
    f->written = ARENA_ARRAY(p->arena, bool, w.seen_count + 1);
    list_buffers(&w, false);
    list_buffers(&w, true);
}
