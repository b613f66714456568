/* Products of matrices as calls of a library, in the words of a dialect. */
#include "codegen/emit/c_printer_parts.h"

/* Its first element, and the distance of rows, or of columns where those lie apart. `from`: of rows and columns. */
static const char *matrix_text(CPrinter *p, const KMatrix *m, const KExpr *row_from, const KExpr *column_from) {
    const KExpr *from[] = {row_from, column_from};
    int64_t distance = 1, value;
    Text text = {0};
    c_address(p, &text, m->buffer, m->index, m->index_count);
    for (int i = 0; i < 2; i++) {
        int64_t stride = kmatrix_stride(p->program, m, i);
        distance = stride > distance ? stride : distance;
        if (!from[i] || (kexpr_constant(from[i], &value) && value == 0))
            continue;
        text_add(&text, " + ");
        c_expr(p, &text, from[i], PRECEDENCE_PRODUCT);
        if (stride != 1)
            text_format(&text, " * %lld", (long long)stride);
    }
    text_format(&text, ", %lld", (long long)distance);
    const char *copy = arena_strdup(p->program->arena, text.data);
    text_free(&text);
    return copy;
}

static const char *size_text(CPrinter *p, KExpr *from, KExpr *to) {
    Text number = {0}, text = {0};
    int64_t value;
    KExpr *size = kexpr_binary(p->program, '-', to, from);
    c_expr(p, &number, size, PRECEDENCE_ANY);
    c_template(p, &text, kexpr_constant(size, &value) ? "%1" : p->dialect->gemm->size, (KType){KBASE_INDEX, 1},
               (const char *const[]){number.data}, 1);
    const char *copy = arena_strdup(p->program->arena, text.data);
    text_free(&number);
    text_free(&text);
    return copy;
}

/* "c, distance", and what is behind the product. */
static const char *result_text(CPrinter *p, const KGemm *g) {
    const char *const *precision = p->dialect->gemm->precision;
    const char *c = matrix_text(p, &g->c, g->row_from, g->column_from);
    Text text = {0};
    if (!precision[0])
        return c;
    text_format(&text, "%s, ", c);
    if (g->bias.buffer)
        c_address(p, &text, g->bias.buffer, g->bias.index, g->bias.index_count);
    else
        text_add(&text, "NULL");
    text_format(&text, ", %s, %s, ", g->relu ? "true" : "false", precision[g->precision]);
    if (g->scratch) {
        KExpr *zero = kexpr_index(p->program, 0);
        c_address(p, &text, g->scratch, &zero, 1);
        text_format(&text, ", %lld", (long long)(kbuffer_elements(g->scratch, 1) * kbase_bytes(g->scratch->base)));
    } else
        text_add(&text, "NULL, 0");
    const char *copy = arena_strdup(p->program->arena, text.data);
    text_free(&text);
    return copy;
}

/* If columns of c lie apart, a matrix is as it is where its columns do. */
void c_gemm(CPrinter *p, const KGemm *g) {
    const DialectGemm *d = p->dialect->gemm;
    KExpr *zero = kexpr_index(p->program, 0);
    Text line = {0};
    if (!d || !d->call[g->accumulate]) {
        c_fail(p, "there is no library of such matrix products");
        return;
    }
    bool by_columns = kmatrix_stride(p->program, &g->c, 1) != 1;
    const char *texts[] = {d->order[by_columns],
                           d->transpose[kmatrix_stride(p->program, &g->a, !by_columns) != 1],
                           d->transpose[kmatrix_stride(p->program, &g->b, !by_columns) != 1],
                           size_text(p, g->row_from, g->row_to),
                           size_text(p, g->column_from, g->column_to),
                           size_text(p, zero, g->sum),
                           matrix_text(p, &g->a, g->row_from, NULL),
                           matrix_text(p, &g->b, NULL, g->column_from),
                           result_text(p, g)};
    c_template(p, &line, d->call[g->accumulate], (KType){KBASE_F32, 1}, texts, 9);
    c_line(p, line.data);
    text_free(&line);
}
