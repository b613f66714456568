/* The form of a kernel: its statements as text, variables and buffers by number of their first use, then what is known
 * of the buffers. Statements whose value nobody needs are left out, as in print. */
#include "codegen/kernel_share.h"
#include <string.h>

typedef struct {
    const KProgram *program;
    const bool *live;
    KernelForm *form;
    Text *text;
    int *variables; /* by KVar.id: number, counted from 1 */
    KBuffer **seen; /* by number; with the kernel's own */
    bool *written;
    int variable_count, seen_count, seen_capacity, stream_capacity;
} Writer;

static int64_t batch_max(const Writer *w) {
    return w->program->module ? w->program->module->batch_max : 1;
}

/* ---- numbers */

static int number_of_variable(Writer *w, const KVar *var) {
    if (!w->variables[var->id])
        w->variables[var->id] = ++w->variable_count;
    return w->variables[var->id];
}

static int number_of_buffer(Writer *w, KBuffer *b, bool written) {
    int i = 0;
    while (i < w->seen_count && w->seen[i] != b)
        i++;
    if (i == w->seen_count)
        ARENA_PUSH(w->program->arena, w->seen, w->seen_count, w->seen_capacity, b);
    if (written && b->space != SPACE_LOCAL && b->space != SPACE_SHARED)
        w->written[b->id] = true;
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

/* ---- expressions */

static void write_expr(Writer *w, const KExpr *e);

static void write_indices(Writer *w, KExpr *const *index, int count) {
    for (int i = 0; i < count; i++)
        write_expr(w, index[i]);
}

static void write_number(Writer *w, double number) {
    uint64_t bits; /* the sign of a zero counts */
    memcpy(&bits, &number, sizeof bits);
    text_format(w->text, "%llx", (unsigned long long)bits);
}

static void write_own(Writer *w, const KExpr *e) {
    switch (e->kind) {
    case KE_CONST:
        write_number(w, e->number);
        break;
    case KE_VAR:
        text_format(w->text, "v%d", number_of_variable(w, e->var));
        break;
    case KE_LOAD:
        text_format(w->text, "b%d%s%s", number_of_buffer(w, e->load.buffer, false), e->load.count ? " part" : "",
                    e->load.stride ? " apart" : "");
        break;
    case KE_FN:
        text_add(w->text, scalar_infos[e->fn.fn].name);
        break;
    case KE_INDEX:
        text_format(w->text, "%c", e->index.op);
        break;
    case KE_ACROSS:
        text_format(w->text, "across%d", e->across.kind);
        break;
    case KE_RANDOM:
        text_format(w->text, "random%d s%d", e->random.kind, number_of_stream(w, e->random.stream));
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
        text_add(w->text, "()");
        return;
    }
    text_format(w->text, "(%d %s%d ", e->kind, kbase_names[e->type.base], e->type.lanes);
    write_own(w, e);
    int count = kexpr_operands(e, operands);
    write_indices(w, operands, count);
    text_add(w->text, ")");
}

/* ---- statements */

static void write_stmt(Writer *w, const KStmt *s);

static void write_scope(Writer *w, const KStmt *s) {
    text_add(w->text, "{\n");
    if (s)
        write_stmt(w, s);
    text_add(w->text, "}\n");
}

static void write_variable(Writer *w, const KVar *var) {
    text_format(w->text, "v%d %s%d%s %lld %lld", number_of_variable(w, var), kbase_names[var->type.base],
                var->type.lanes, var->is_mutable ? " mutable" : "", (long long)var->limit, (long long)var->multiple);
}

static void write_loop(Writer *w, const KStmt *s) {
    text_format(w->text, "for %s by %lld ", kaxis_names[s->loop.axis], (long long)s->loop.step);
    write_expr(w, s->loop.from);
    write_expr(w, s->loop.to);
    write_variable(w, s->loop.var);
    write_scope(w, s->loop.body);
}

static void write_assignment(Writer *w, const KStmt *s) {
    if (!w->live[s->let.var->id])
        return;
    text_add(w->text, s->kind == KS_LET ? "let " : "set ");
    write_expr(w, s->let.value);
    write_variable(w, s->let.var);
    text_add(w->text, "\n");
}

static void write_store(Writer *w, const KStmt *s) {
    write_expr(w, s->store.value); /* first: what is read is numbered before what is written */
    write_expr(w, s->store.count);
    text_format(w->text, " to b%d", number_of_buffer(w, s->store.buffer, true));
    write_indices(w, s->store.index, s->store.index_count);
    text_add(w->text, "\n");
}

static void write_transpose(Writer *w, const KStmt *s) {
    text_format(w->text, "transpose %lld %lld %d b%d", (long long)s->transpose.rows, (long long)s->transpose.columns,
                s->transpose.lanes, number_of_buffer(w, s->transpose.from, false));
    write_indices(w, s->transpose.from_index, s->transpose.from_count);
    text_format(w->text, " to b%d", number_of_buffer(w, s->transpose.to, true));
    write_indices(w, s->transpose.to_index, s->transpose.to_count);
    text_add(w->text, "\n");
}

static void write_stmt(Writer *w, const KStmt *s) {
    switch (s->kind) {
    case KS_BLOCK:
        for (const KStmt *child = s->block.first; child; child = child->next)
            write_stmt(w, child);
        break;
    case KS_FOR:
        write_loop(w, s);
        break;
    case KS_IF:
        text_add(w->text, "if ");
        write_expr(w, s->branch.condition);
        write_scope(w, s->branch.then);
        write_scope(w, s->branch.otherwise);
        break;
    case KS_LET:
    case KS_SET:
        write_assignment(w, s);
        break;
    case KS_STORE:
        write_store(w, s);
        break;
    case KS_ALLOC:
        text_format(w->text, "alloc b%d\n", number_of_buffer(w, s->alloc, true));
        break;
    case KS_BARRIER:
        text_add(w->text, "barrier\n");
        break;
    case KS_TRANSPOSE:
        write_transpose(w, s);
        break;
    case KS_PREFETCH:
        text_add(w->text, "prefetch ");
        write_expr(w, s->prefetch);
        text_add(w->text, "\n");
        break;
    case KS_FORGET:
        text_add(w->text, "forget\n");
        break;
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
    text_format(w->text, "%s%d", kbase_names[b->base], axes);
    for (int i = is_own(b) ? 0 : 1; i < axes; i++)
        text_format(w->text, " %lld", (long long)extent[i]);
    text_format(w->text, " %d %lld%s", b->lanes, (long long)b->row_stride, b->indirect ? " indirect" : "");
}

static void write_buffer(Writer *w, int number) {
    const KBuffer *b = w->seen[number];
    text_format(w->text, "b%d ", number);
    write_shape(w, b);
    if (is_own(b))
        text_format(w->text, " %s%s", kspace_names[b->space], b->zeroed ? " zeroed" : "");
    else if (b->rank == 0 && b->space == SPACE_ARGUMENT)
        text_add(w->text, " by value");
    for (int i = 0; i < number && !is_own(b); i++)
        if (!is_own(w->seen[i]) && kbuffer_overlaps(b, w->seen[i]))
            text_format(w->text, " overlaps b%d", i);
    text_add(w->text, "\n");
}

static void list_buffers(Writer *w, bool written) {
    KernelForm *f = w->form;
    for (int i = 0; i < w->seen_count; i++)
        if (!is_own(w->seen[i]) && w->written[w->seen[i]->id] == written) {
            f->written[f->buffer_count] = written;
            f->buffers[f->buffer_count++] = w->seen[i];
        }
}

void kernel_form(KernelForm *f, const KProgram *p, const KKernel *k) {
    *f = (KernelForm){.buffer_count = 0};
    Writer w = {.program = p, .form = f, .text = &f->text, .live = kkernel_live(p, k)};
    w.variables = ARENA_ARRAY(p->arena, int, k->var_count + 1);
    w.written = ARENA_ARRAY(p->arena, bool, p->buffer_count + 1);
    write_stmt(&w, k->body);
    for (int i = 0; i < w.seen_count; i++)
        write_buffer(&w, i);
    f->buffers = ARENA_ARRAY(p->arena, KBuffer *, w.seen_count + 1);
    f->written = ARENA_ARRAY(p->arena, bool, w.seen_count + 1);
    list_buffers(&w, false);
    list_buffers(&w, true);
}
