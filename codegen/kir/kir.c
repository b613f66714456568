/* Kernel IR: names, buffers, variables, statements, kernels. Expressions are made in codegen/kir/kir_expr.c.
 * Everything lives in the program's arena; nothing here can fail. */
#include "codegen/kir/kir.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

const char *const kspace_names[] = {"arena", "variable", "argument", "result", "local", "shared"};
const char *const kaxis_names[] = {"serial", "unroll", "parallel", "grid_x", "grid_y", "thread_x", "thread_y"};
const char *const kbase_names[] = {"f32", "i32", "bool", "index"};

int64_t kbase_bytes(KBase base) {
    static const int8_t bytes[] = {[KBASE_F32] = 4, [KBASE_I32] = 4, [KBASE_BOOL] = 1, [KBASE_INDEX] = 8};
    return bytes[base];
}

/* ---- names */

/* The words that C and C++ keep for themselves, and the parameters of every kernel; sorted. */
static const char *const reserved[] = {
    "alignas", "alignof", "and",      "asm",      "auto",    "batch",   "bool",   "break",   "case",     "catch",
    "char",    "class",   "const",    "continue", "default", "delete",  "do",     "double",  "else",     "enum",
    "export",  "extern",  "false",    "first",    "float",   "for",     "friend", "goto",    "if",       "inline",
    "int",     "last",    "long",     "main",     "model",   "mutable", "new",    "not",     "operator", "or",
    "private", "public",  "register", "restrict", "return",  "rows",    "short",  "signed",  "sizeof",   "static",
    "struct",  "switch",  "template", "this",     "throw",   "true",    "try",    "typedef", "union",    "unsigned",
    "using",   "virtual", "void",     "volatile", "while",   "xor"};

static int compare_word(const void *name, const void *word) {
    return strcmp(name, *(const char *const *)word);
}

bool kname_is_reserved(const char *name) {
    return bsearch(name, reserved, sizeof reserved / sizeof *reserved, sizeof *reserved, compare_word) != NULL;
}

/* A C identifier from any text: dense/kernel becomes dense_kernel. */
static char *identifier(Arena *arena, const char *text) {
    char *name = arena_format(arena, "%s%s", isdigit((unsigned char)text[0]) || !text[0] ? "_" : "", text);
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c))
            *c = '_';
    return name;
}

const char *kname_unique(KProgram *p, const char *wanted) {
    if (!p->names)
        p->names = map_new(p->arena);
    const char *base = identifier(p->arena, wanted), *name = base;
    for (int suffix = 1; kname_is_reserved(name) || map_get(p->names, name); suffix++)
        name = arena_format(p->arena, "%s_%d", base, suffix);
    map_put(p->names, name, p);
    return name;
}

/* ---- buffers */

int kbuffer_axes(const KBuffer *b) {
    return b->rank + (b->block > 0 && b->rank > 0) + (b->lanes > 1);
}

int kbuffer_physical(const KBuffer *b, int64_t batch_max, int64_t extent[MAX_RANK + 1]) {
    int count = b->rank;
    for (int p = 0; p < b->rank; p++) {
        Dim dim = b->dims[b->order[p]];
        int64_t size = dim_size(dim, batch_max) + (dim.batch ? b->slack : 0);
        extent[p] = b->block > 0 && b->order[p] == b->block_axis ? (size + b->block - 1) / b->block : size;
    }
    if (b->block > 0 && count > 0)
        extent[count++] = b->block;
    if (b->pad > 1 && count > 0)
        extent[count - 1] = (extent[count - 1] + b->pad - 1) / b->pad * b->pad;
    if (b->odd_rows && count > 1)
        extent[count - 2] |= 1;
    if (b->row_stride > 0 && count == 2)
        extent[1] = b->row_stride;
    if (b->lanes > 1)
        extent[count++] = b->lanes;
    return count;
}

int kbuffer_innermost(const KBuffer *b) {
    return b->rank == 0 ? -1 : b->block > 0 ? b->block_axis : b->order[b->rank - 1];
}

int64_t kbuffer_elements(const KBuffer *b, int64_t batch_max) {
    int64_t extent[MAX_RANK + 1], elements = 1;
    int count = kbuffer_physical(b, batch_max, extent);
    for (int p = 0; p < count; p++)
        elements *= extent[p];
    return b->row_stride > 0 && count > 2 ? extent[0] * b->row_stride : elements;
}

void kbuffer_strides(const KBuffer *b, int64_t batch_max, int64_t stride[MAX_RANK + 1]) {
    int64_t extent[MAX_RANK + 1], step = 1;
    for (int p = kbuffer_physical(b, batch_max, extent) - 1; p >= 0; p--) {
        stride[p] = p == 0 && b->row_stride > 0 ? b->row_stride : step;
        step *= extent[p];
    }
}

int kbuffer_physical_index(KProgram *p, const KBuffer *b, KExpr *const *logical, KExpr **physical) {
    int count = b->rank;
    if (b->block == 0 || b->rank == 0) {
        for (int i = 0; i < b->rank; i++)
            physical[i] = logical[b->order[i]];
        return count;
    }
    KExpr *block = kexpr_index(p, b->block), *place = logical[b->block_axis];
    for (int i = 0; i < b->rank; i++)
        physical[i] = b->order[i] == b->block_axis ? kexpr_binary(p, '/', place, block) : logical[b->order[i]];
    physical[count++] = kexpr_binary(p, '%', place, block);
    return count;
}

static KBuffer *buffer_make(KProgram *p, KSpace space, const char *name, KBase base, int rank, const Dim *dims) {
    KBuffer *b = ARENA_NEW(p->arena, KBuffer);
    b->name = name;
    b->space = space;
    b->base = base;
    b->rank = rank;
    b->pad = 1;
    for (int i = 0; i < rank; i++) {
        b->dims[i] = dims[i];
        b->order[i] = (int8_t)i;
    }
    return b;
}

KBuffer *kbuffer_new(KProgram *p, KSpace space, const char *name, KBase base, int rank, const Dim *dims) {
    KBuffer *b = buffer_make(p, space, kname_unique(p, name), base, rank, dims);
    b->id = p->buffer_count;
    ARENA_PUSH(p->arena, p->buffers, p->buffer_count, p->buffer_capacity, b);
    return b;
}

KBuffer *kbuffer_owner(const KBuffer *b) {
    return b->alias ? b->alias : (KBuffer *)b;
}

void kbuffer_see(KBuffer *view, KBuffer *of) {
    view->alias = kbuffer_owner(of);
    view->alias->viewed = true;
}

bool kbuffer_overlaps(const KBuffer *a, const KBuffer *b) {
    if (a->space == SPACE_ARENA && b->space == SPACE_ARENA)
        return a->sequence == b->sequence && a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
    return kbuffer_owner(a) == kbuffer_owner(b);
}

static bool local_name_taken(KProgram *p, const KKernel *k, const char *name) {
    if (kname_is_reserved(name) || (p->names && map_get(p->names, name)))
        return true;
    for (int i = 0; i < k->local_count; i++)
        if (strcmp(k->locals[i]->name, name) == 0)
            return true;
    return false;
}

static const char *local_name(KProgram *p, const KKernel *k, const char *wanted) {
    const char *name = wanted;
    for (int suffix = 1; local_name_taken(p, k, name); suffix++)
        name = arena_format(p->arena, "%s_%d", wanted, suffix);
    return name;
}

/* A name that is in no other's way: younger buffers of the program may have it, but where they meet, it is changed. */
KBuffer *kbuffer_local(KProgram *p, KKernel *k, KSpace space, const char *name, KBase base, int rank, const Dim *dims) {
    KBuffer *b = buffer_make(p, space, local_name(p, k, identifier(p->arena, name)), base, rank, dims);
    b->id = k->local_count;
    ARENA_PUSH(p->arena, k->locals, k->local_count, k->local_capacity, b);
    return b;
}

const KBuffer *kkernel_namesake(const KProgram *p, const KKernel *k, int local) {
    const char *name = k->locals[local]->name;
    const KUse *uses;
    for (int i = kkernel_uses(p, k, &uses); i-- > 0;)
        if (strcmp(uses[i].buffer->name, name) == 0)
            return uses[i].buffer;
    for (int i = 0; i < local; i++)
        if (strcmp(k->locals[i]->name, name) == 0)
            return k->locals[i];
    return NULL;
}

void kprogram_name_locals(KProgram *p) {
    for (int s = 0; s < p->sequence_count; s++)
        for (int i = 0; i < p->sequences[s]->count; i++) {
            KKernel *k = p->sequences[s]->kernels[i];
            for (int local = 0; local < k->local_count; local++)
                if (kkernel_namesake(p, k, local))
                    k->locals[local]->name = local_name(p, k, k->locals[local]->name);
        }
}

/* ---- kernels and variables */

KKernel *kkernel_new(KProgram *p, KSequence *sequence, const char *name) {
    KKernel *k = ARENA_NEW(p->arena, KKernel);
    k->name = kname_unique(p, name);
    k->facts = ARENA_NEW(p->arena, KFacts *);
    if (sequence) {
        k->id = sequence->count;
        k->func = sequence->func;
        ARENA_PUSH(p->arena, sequence->kernels, sequence->count, sequence->capacity, k);
    }
    return k;
}

void ksequence_move(KSequence *sequence, int from, int to) {
    KKernel *moved = sequence->kernels[from];
    for (int i = from; i > to; i--)
        sequence->kernels[i] = sequence->kernels[i - 1];
    sequence->kernels[to] = moved;
}

void ksequence_remove(KSequence *sequence, int at) {
    sequence->count--;
    for (int i = at; i < sequence->count; i++)
        sequence->kernels[i] = sequence->kernels[i + 1];
}

KVar *kvar_new(KProgram *p, KKernel *k, const char *name, KType type, bool is_mutable) {
    KVar *var = ARENA_NEW(p->arena, KVar);
    *var = (KVar){.id = k->var_count++, .name = identifier(p->arena, name), .type = type, .is_mutable = is_mutable};
    return var;
}

/* ---- statements */

static KStmt *stmt_new(KProgram *p, KStmtKind kind) {
    KStmt *s = ARENA_NEW(p->arena, KStmt);
    s->kind = kind;
    return s;
}

KStmt *kstmt_block(KProgram *p) {
    return stmt_new(p, KS_BLOCK);
}

void kstmt_add(KStmt *block, KStmt *s) {
    if (!s)
        return;
    if (block->block.last)
        block->block.last->next = s;
    else
        block->block.first = s;
    block->block.last = s;
}

KStmt *kstmt_for(KProgram *p, KVar *var, AxisKind axis, KExpr *from, KExpr *to, int64_t step, KStmt *body) {
    KStmt *s = stmt_new(p, KS_FOR);
    s->loop.var = var;
    s->loop.axis = axis;
    s->loop.from = from;
    s->loop.to = to;
    s->loop.step = step;
    s->loop.body = body;
    return s;
}

KStmt *kstmt_if(KProgram *p, KExpr *condition, KStmt *then, KStmt *otherwise) {
    KStmt *s = stmt_new(p, KS_IF);
    s->branch.condition = condition;
    s->branch.then = then;
    s->branch.otherwise = otherwise;
    return s;
}

KStmt *kstmt_let(KProgram *p, KVar *var, KExpr *value) {
    KStmt *s = stmt_new(p, KS_LET);
    s->let.var = var;
    s->let.value = value;
    return s;
}

KStmt *kstmt_set(KProgram *p, KVar *var, KExpr *value) {
    KStmt *s = stmt_new(p, KS_SET);
    s->let.var = var;
    s->let.value = value;
    return s;
}

KStmt *kstmt_store(KProgram *p, KBuffer *buffer, KExpr *const *index, int count, KExpr *value, KExpr *lanes_count) {
    KStmt *s = stmt_new(p, KS_STORE);
    s->store.buffer = buffer;
    s->store.index = kexpr_indices(p, index, count);
    s->store.index_count = count;
    s->store.value = value;
    s->store.count = lanes_count;
    return s;
}

KStmt *kstmt_transpose(KProgram *p, KBuffer *to, KExpr *const *to_index, KBuffer *from, KExpr *const *from_index,
                       int64_t rows, int64_t columns, int lanes) {
    KStmt *s = stmt_new(p, KS_TRANSPOSE);
    s->transpose.to = to;
    s->transpose.from = from;
    s->transpose.to_count = kbuffer_axes(to);
    s->transpose.from_count = kbuffer_axes(from);
    s->transpose.to_index = kexpr_indices(p, to_index, s->transpose.to_count);
    s->transpose.from_index = kexpr_indices(p, from_index, s->transpose.from_count);
    s->transpose.rows = rows;
    s->transpose.columns = columns;
    s->transpose.lanes = lanes;
    return s;
}

static KMatrix matrix_copy(KProgram *p, const KMatrix *m) {
    KMatrix copy = *m;
    copy.index = kexpr_indices(p, m->index, m->index_count);
    return copy;
}

KStmt *kstmt_gemm(KProgram *p, const KGemm *given) {
    KStmt *s = stmt_new(p, KS_GEMM);
    s->gemm = ARENA_NEW(p->arena, KGemm);
    *s->gemm = *given;
    s->gemm->a = matrix_copy(p, &given->a);
    s->gemm->b = matrix_copy(p, &given->b);
    s->gemm->c = matrix_copy(p, &given->c);
    if (given->bias.buffer)
        s->gemm->bias = matrix_copy(p, &given->bias);
    return s;
}

int kgemm_reads(const KGemm *g, KBuffer *buffers[3]) {
    buffers[0] = g->a.buffer;
    buffers[1] = g->b.buffer;
    buffers[2] = g->bias.buffer;
    return g->bias.buffer ? 3 : 2;
}

const char *const kprecision_names[PRECISIONS] = {"float32", "tf32", "bfloat16"};

int kmma_depth(KPrecision precision) {
    return precision == PRECISION_TF32 ? 8 : 16;
}

KStmt *kstmt_mma(KProgram *p, const KMma *mma) {
    KStmt *s = stmt_new(p, KS_MMA);
    s->mma = ARENA_NEW(p->arena, KMma);
    *s->mma = *mma;
    s->mma->index = kexpr_indices(p, mma->index, mma->index_count);
    return s;
}

const char *const kconvolution_names[CONVOLUTIONS] = {"forward", "by image", "by weights"};

int kconvolution_spatial(const KConvolution *c) {
    return c->image->rank - 2;
}

KBuffer *kconvolution_written(const KConvolution *c) {
    KBuffer *const written[CONVOLUTIONS] = {c->result, c->image, c->weights};
    return written[c->kind];
}

int64_t kconvolution_extent(const KConvolution *c, int axis, int64_t cells, int64_t taps) {
    int64_t room = cells + 2 * c->low[axis] - c->dilation[axis] * (taps - 1) - 1;
    return room < 0 ? 0 : room / c->stride[axis] + 1;
}

KStmt *kstmt_convolution(KProgram *p, const KConvolution *convolution) {
    KStmt *s = stmt_new(p, KS_CONVOLUTION);
    s->convolution = ARENA_NEW(p->arena, KConvolution);
    *s->convolution = *convolution;
    return s;
}

int64_t kmatrix_stride(const KProgram *p, const KMatrix *m, int which) {
    int64_t stride[MAX_RANK + 1];
    if (m->along[which] < 0)
        return 0;
    kbuffer_strides(m->buffer, p->module ? p->module->batch_max : 1, stride);
    return stride[m->along[which]];
}

KStmt *kstmt_alloc(KProgram *p, KBuffer *buffer) {
    KStmt *s = stmt_new(p, KS_ALLOC);
    s->alloc = buffer;
    return s;
}

KStmt *kstmt_barrier(KProgram *p) {
    return stmt_new(p, KS_BARRIER);
}

KStmt *kstmt_prefetch(KProgram *p, KExpr *load) {
    KStmt *s = stmt_new(p, KS_PREFETCH);
    s->prefetch = load;
    return s;
}

KStmt *kstmt_prefetch_read(KProgram *p, KExpr *load) {
    KStmt *s = kstmt_prefetch(p, load);
    s->reads = true;
    return s;
}

KStmt *kstmt_forget(KProgram *p) {
    return stmt_new(p, KS_FORGET);
}

KStmt *kstmt_comment(KProgram *p, const char *text) {
    KStmt *s = stmt_new(p, KS_COMMENT);
    s->comment = text;
    return s;
}
