/* The text of kernel IR, as --emit=kernels shows it: nests before mapping, statements after. For reading and for
 * goldens; it is not read back. Variables are written name.id, so that equal hints stay apart. */
#include "codegen/kir/nest.h"
#include <math.h>
#include <string.h>

static void print_expr(Text *out, const KExpr *e);

static void print_type(Text *out, KType type) {
    text_add(out, kbase_names[type.base]);
    if (type.lanes > 1)
        text_format(out, "x%d", type.lanes);
}

static void print_var(Text *out, const KVar *var) {
    text_format(out, "%s.%d", var->name, var->id);
}

static void print_list(Text *out, KExpr *const *items, int count) {
    for (int i = 0; i < count; i++) {
        text_add(out, i ? ", " : "");
        print_expr(out, items[i]);
    }
}

static void print_place(Text *out, const KBuffer *buffer, KExpr *const *index, int count) {
    text_format(out, "%s[", buffer->name);
    print_list(out, index, count);
    text_add(out, "]");
}

static void print_number(Text *out, KType type, double number) {
    char digits[32];
    text_number(digits, number);
    text_add(out, type.base == KBASE_BOOL ? number != 0 ? "true" : "false" : digits);
    if (type.base == KBASE_F32 && !strpbrk(digits, ".en"))
        text_add(out, ".0");
}

static void print_index(Text *out, const KExpr *e) {
    if (e->index.op == 'm' || e->index.op == 'M') {
        text_add(out, e->index.op == 'm' ? "min(" : "max(");
        print_list(out, (KExpr *const[]){e->index.left, e->index.right}, 2);
        text_add(out, ")");
        return;
    }
    bool outer = e->index.op == '+' || e->index.op == '-';
    for (int side = 0; side < 2; side++) {
        const KExpr *operand = side ? e->index.right : e->index.left;
        bool sum = operand->kind == KE_INDEX && strchr("+-", operand->index.op);
        bool product = operand->kind == KE_INDEX && strchr("*/%", operand->index.op);
        bool parentheses = outer ? sum && side : sum || (product && (side || operand->index.op != e->index.op));
        if (side)
            text_format(out, " %c ", e->index.op);
        text_add(out, parentheses ? "(" : "");
        print_expr(out, operand);
        text_add(out, parentheses ? ")" : "");
    }
}

static void print_load(Text *out, const KExpr *e) {
    print_place(out, e->load.buffer, e->load.index, e->load.index_count);
    if (e->type.lanes > 1)
        text_format(out, ":%d", e->type.lanes);
    if (e->load.count) {
        text_add(out, " count ");
        print_expr(out, e->load.count);
    }
    if (e->load.stride) {
        text_add(out, " stride ");
        print_expr(out, e->load.stride);
    }
}

static void print_call(Text *out, const char *name, const KExpr *e) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    text_format(out, "%s(", name);
    print_list(out, operands, kexpr_operands(e, operands));
    text_add(out, ")");
}

static const char *const reduce_names[] = {"sum", "max", "min"};

static void print_expr(Text *out, const KExpr *e) {
    switch (e->kind) {
    case KE_CONST:
        print_number(out, e->type, e->number);
        break;
    case KE_VAR:
        print_var(out, e->var);
        break;
    case KE_BATCH:
        text_add(out, "B");
        break;
    case KE_LOAD:
        print_load(out, e);
        break;
    case KE_FN:
        print_call(out, scalar_infos[e->fn.fn].name, e);
        break;
    case KE_INDEX:
        print_index(out, e);
        break;
    case KE_CAST:
        print_call(out, kbase_names[e->type.base], e);
        break;
    case KE_SPLAT:
        print_call(out, "splat", e);
        break;
    case KE_LANES:
        text_format(out, "lanes(%d)", e->type.lanes);
        break;
    case KE_ACROSS:
        text_add(out, "across_");
        print_call(out, reduce_names[e->across.kind], e);
        break;
    case KE_RANDOM:
        text_format(out, "%s<%d>", e->random.kind == RANDOM_UNIFORM ? "uniform" : "normal", e->random.stream);
        print_call(out, "", e);
        break;
    }
}

static void indent(Text *out, int depth) {
    text_format(out, "%*s", 2 * depth, "");
}

static void print_stmt(Text *out, const KStmt *s, int depth);

static void print_for(Text *out, const KStmt *s, int depth) {
    text_format(out, "%s ", kaxis_names[s->loop.axis]);
    print_var(out, s->loop.var);
    text_add(out, " = ");
    print_expr(out, s->loop.from);
    text_add(out, " to ");
    print_expr(out, s->loop.to);
    if (s->loop.step != 1)
        text_format(out, " step %lld", (long long)s->loop.step);
    text_add(out, "\n");
    print_stmt(out, s->loop.body, depth + 1);
}

static void print_if(Text *out, const KStmt *s, int depth) {
    text_add(out, "if ");
    print_expr(out, s->branch.condition);
    text_add(out, "\n");
    print_stmt(out, s->branch.then, depth + 1);
    if (s->branch.otherwise) {
        indent(out, depth);
        text_add(out, "else\n");
        print_stmt(out, s->branch.otherwise, depth + 1);
    }
}

static void print_let(Text *out, const KStmt *s) {
    print_var(out, s->let.var);
    if (s->kind == KS_LET) {
        text_add(out, s->let.var->is_mutable ? " : mutable " : " : ");
        print_type(out, s->let.var->type);
    }
    text_add(out, " = ");
    print_expr(out, s->let.value);
    text_add(out, "\n");
}

static void print_store(Text *out, const KStmt *s) {
    print_place(out, s->store.buffer, s->store.index, s->store.index_count);
    if (s->store.count) {
        text_add(out, " count ");
        print_expr(out, s->store.count);
    }
    text_add(out, " = ");
    print_expr(out, s->store.value);
    text_add(out, "\n");
}

static void print_dims(Text *out, const KBuffer *b) {
    text_format(out, "%s[", kbase_names[b->base]);
    for (int i = 0; i < b->rank; i++)
        text_format(out, b->dims[i].batch ? b->dims[i].n == 1 ? "%sB" : "%s%lld * B" : "%s%lld", i ? ", " : "",
                    (long long)b->dims[i].n);
    text_add(out, "]");
    if (b->lanes > 1)
        text_format(out, " of %d lanes", b->lanes);
}

static void print_range(Text *out, const KExpr *from, const KExpr *to) {
    text_add(out, " ");
    print_expr(out, from);
    text_add(out, "..");
    print_expr(out, to);
}

/* c[0, 0] along 0 1 = a[0, 0] along 0 1 * b[0, 0] along 0 1 rows 0..64 columns 0..128 sum 784 */
static void print_gemm(Text *out, const KGemm *g) {
    const KMatrix *m[] = {&g->c, &g->a, &g->b};
    const char *const before[] = {"", g->accumulate ? " += " : " = ", " * "};
    for (int i = 0; i < 3; i++) {
        text_add(out, before[i]);
        print_place(out, m[i]->buffer, m[i]->index, m[i]->index_count);
        text_format(out, " along %d %d", m[i]->along[0], m[i]->along[1]);
    }
    text_add(out, " rows");
    print_range(out, g->row_from, g->row_to);
    text_add(out, " columns");
    print_range(out, g->column_from, g->column_to);
    text_add(out, " sum ");
    print_expr(out, g->sum);
    if (g->bias.buffer) {
        text_add(out, " bias ");
        print_place(out, g->bias.buffer, g->bias.index, g->bias.index_count);
        text_format(out, " along %d", g->bias.along[1]);
    }
    text_format(out, "%s%s%s", g->relu ? " relu" : "", g->precision == PRECISION_FLOAT32 ? "" : " in ",
                g->precision == PRECISION_FLOAT32 ? "" : kprecision_names[g->precision]);
    if (g->scratch)
        text_format(out, " scratch %s", g->scratch->name);
    text_add(out, "\n");
}

static void print_operands(Text *out, KExpr *const *e, int count) {
    for (int i = 0; i < count; i++) {
        text_add(out, i ? ", " : "");
        print_expr(out, e[i]);
    }
}

static void print_mma(Text *out, const KMma *m) {
    int depth = kmma_depth(m->precision);
    text_format(out, "mma m16n8k%d %s %s[", depth, kprecision_names[m->precision], m->sum->name);
    print_operands(out, m->index, m->index_count);
    text_add(out, "..] += (");
    print_operands(out, m->a, depth / 2);
    text_add(out, ") * (");
    print_operands(out, m->b, depth / 4);
    text_add(out, ")\n");
}

/* y = convolution forward x, w; stride 2 2, dilation 1 1, low 1 1; scratch w */
static void print_convolution(Text *out, const KConvolution *c) {
    const KBuffer *written = kconvolution_written(c);
    const KBuffer *const operands[] = {c->image, c->weights, c->result};
    const struct {
        const char *name;
        const int64_t *of;
    } sizes[] = {{"stride", c->stride}, {"dilation", c->dilation}, {"low", c->low}};
    const char *comma = "";
    text_format(out, "%s = convolution %s ", written->name, kconvolution_names[c->kind]);
    for (int i = 0; i < 3; i++)
        if (operands[i] != written) {
            text_format(out, "%s%s", comma, operands[i]->name);
            comma = ", ";
        }
    for (int i = 0; i < 3; i++) {
        text_format(out, "%s %s", i ? "," : ";", sizes[i].name);
        for (int s = 0; s < kconvolution_spatial(c); s++)
            text_format(out, " %lld", (long long)sizes[i].of[s]);
    }
    text_format(out, "; scratch %s\n", c->scratch->name);
}

static void print_stmt(Text *out, const KStmt *s, int depth) {
    if (!s)
        return;
    if (s->kind == KS_BLOCK) {
        for (const KStmt *child = s->block.first; child; child = child->next)
            print_stmt(out, child, depth);
        return;
    }
    indent(out, depth);
    switch (s->kind) {
    case KS_FOR:
        print_for(out, s, depth);
        break;
    case KS_IF:
        print_if(out, s, depth);
        break;
    case KS_LET:
    case KS_SET:
        print_let(out, s);
        break;
    case KS_STORE:
        print_store(out, s);
        break;
    case KS_ALLOC:
        text_format(out, "alloc %s %s : ", kspace_names[s->alloc->space], s->alloc->name);
        print_dims(out, s->alloc);
        text_add(out, s->alloc->zeroed ? " zeroed\n" : "\n");
        break;
    case KS_TRANSPOSE:
        print_place(out, s->transpose.to, s->transpose.to_index, s->transpose.to_count);
        text_add(out, " = transpose ");
        print_place(out, s->transpose.from, s->transpose.from_index, s->transpose.from_count);
        text_format(out, " %lld x %lld by %d\n", (long long)s->transpose.rows, (long long)s->transpose.columns,
                    s->transpose.lanes);
        break;
    case KS_GEMM:
        print_gemm(out, s->gemm);
        break;
    case KS_MMA:
        print_mma(out, s->mma);
        break;
    case KS_CONVOLUTION:
        print_convolution(out, s->convolution);
        break;
    case KS_PREFETCH:
        text_add(out, s->reads ? "prefetch, read " : "prefetch ");
        print_expr(out, s->prefetch);
        text_add(out, "\n");
        break;
    case KS_FORGET:
        text_add(out, "forget registers\n");
        break;
    case KS_COMMENT:
        text_format(out, "# %s\n", s->comment);
        break;
    default:
        text_add(out, "barrier\n");
    }
}

/* ---- nests */

static void print_reduction(Text *out, const NestReduction *r) {
    indent(out, 2);
    print_var(out, r->result);
    text_format(out, " = %s%s ", r->argument ? "arg" : "", reduce_names[r->kind]);
    print_expr(out, r->expr);
    if (r->guard) {
        text_add(out, " where ");
        print_expr(out, r->guard);
    }
    text_add(out, "\n");
}

static void print_nest(Text *out, const Nest *nest) {
    text_add(out, "  nest");
    if (nest->layer)
        text_format(out, " # %s", nest->layer);
    text_add(out, "\n");
    for (int i = 0; i < nest->axis_count; i++) {
        const NestAxis *axis = &nest->axes[i];
        text_add(out, axis->reduce ? "    reduce " : "    each ");
        print_var(out, axis->var);
        text_format(out, axis->extent.batch ? " < %lld * B\n" : " < %lld\n", (long long)axis->extent.n);
    }
    for (int i = 0; i < nest->reduction_count; i++)
        print_reduction(out, &nest->reductions[i]);
    print_stmt(out, nest->epilogue, 2);
}

void kkernel_print(Text *out, const KKernel *k) {
    text_format(out, "kernel %s%s\n", k->name, k->needs_barrier_before ? " after barrier" : "");
    if (k->comment)
        text_format(out, "  # %s\n", k->comment);
    for (int i = 0; i < k->nest_count && !k->body; i++)
        print_nest(out, k->nests[i]);
    print_stmt(out, k->body, 1);
}

static void print_buffer(Text *out, const KBuffer *b) {
    text_format(out, "buffer %s : ", b->name);
    print_dims(out, b);
    text_format(out, " %s", kspace_names[b->space]);
    bool in_order = true;
    for (int i = 0; i < b->rank; i++)
        in_order = in_order && b->order[i] == i;
    for (int i = 0; i < b->rank && !in_order; i++)
        text_format(out, "%s%d", i ? "," : " order ", b->order[i]);
    if (b->block > 0)
        text_format(out, " panels of %d along axis %d", b->block, b->block_axis);
    if (b->pad > 1)
        text_format(out, " padded to %d", b->pad);
    if (b->row_stride > 0)
        text_format(out, " row stride %lld", (long long)b->row_stride);
    if (b->indirect)
        text_add(out, " by rows");
    if (b->space == SPACE_ARENA)
        text_format(out, " at %lld", (long long)b->offset);
    text_add(out, "\n");
}

void kprogram_print(Text *out, const KProgram *p) {
    for (int i = 0; i < p->buffer_count; i++)
        print_buffer(out, p->buffers[i]);
    for (int i = 0; i < p->sequence_count; i++) {
        text_format(out, "\nfunction %s\n", p->sequences[i]->func ? p->sequences[i]->func->name : "");
        for (int j = 0; j < p->sequences[i]->count; j++)
            kkernel_print(out, p->sequences[i]->kernels[j]);
    }
}
