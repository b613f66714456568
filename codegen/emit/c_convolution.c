/* Convolutions as calls of the runtime, in the words of a dialect: the shape as a constant in front of the kernel's
 * function, and the call. */
#include "codegen/emit/c_printer_parts.h"

const KConvolution *c_convolution_of(const KKernel *k) {
    const KStmt *s = k->body && k->body->kind == KS_BLOCK ? k->body->block.first : k->body;
    return s && s->kind == KS_CONVOLUTION ? s->convolution : NULL;
}

static const char *shape_name(CPrinter *p) {
    return arena_format(p->program->arena, "%s_shape", c_function_name(p->kernel));
}

static void add_list(Text *out, const char *name, int count, const int64_t *values) {
    text_format(out, ", .%s = {", name);
    for (int i = 0; i < count; i++)
        text_format(out, "%s%lld", i ? ", " : "", (long long)values[i]);
    text_add(out, "}");
}

static void add_extents(Text *out, const char *name, int count, const Dim *dims) {
    int64_t extents[CONVOLUTION_SPATIAL] = {0};
    for (int i = 0; i < count; i++)
        extents[i] = dims[i].n;
    add_list(out, name, count, extents);
}

void c_convolution_shape(CPrinter *p, const KConvolution *c) {
    const DialectConvolution *d = p->dialect->convolution;
    Text line = {0};
    int n = kconvolution_spatial(c);
    if (!d) {
        c_fail(p, "there is no library of convolutions");
        return;
    }
    text_format(&line, "static const %s %s = {.kind = %s, .spatial = %d, .tensor_cores = %d, .workspace = %lld",
                d->shape, shape_name(p), d->kinds[c->kind], n, p->program->precision != PRECISION_FLOAT32,
                (long long)(kbuffer_elements(c->scratch, 1) * kbase_bytes(c->scratch->base)));
    text_format(&line, ", .channels = %lld, .features = %lld", (long long)c->weights->dims[n].n,
                (long long)c->weights->dims[n + 1].n);
    add_extents(&line, "cells", n, c->image->dims + 1);
    add_extents(&line, "taps", n, c->weights->dims);
    add_extents(&line, "positions", n, c->result->dims + 1);
    add_list(&line, "stride", n, c->stride);
    add_list(&line, "dilation", n, c->dilation);
    add_list(&line, "low", n, c->low);
    text_add(&line, "};");
    c_line(p, line.data);
    text_free(&line);
}

static const char *samples_text(CPrinter *p, const KConvolution *c) {
    Text text = {0};
    c_expr(p, &text, kexpr_dim(p->program, c->image->dims[0]), PRECEDENCE_ANY);
    const char *copy = arena_strdup(p->program->arena, text.data);
    text_free(&text);
    return copy;
}

void c_convolution(CPrinter *p, const KConvolution *c) {
    const DialectConvolution *d = p->dialect->convolution;
    const KBuffer *written = kconvolution_written(c), *operands[] = {c->image, c->weights, c->result};
    const char *texts[6] = {shape_name(p), samples_text(p, c), c_buffer_name(p, written)};
    Text line = {0};
    int count = 3;
    for (int i = 0; i < 3; i++)
        if (operands[i] != written)
            texts[count++] = c_buffer_name(p, operands[i]);
    texts[count++] = c_buffer_name(p, c->scratch);
    if (!d) {
        c_fail(p, "there is no library of convolutions");
        return;
    }
    c_template(p, &line, d->call, (KType){KBASE_F32, 1}, texts, count);
    c_line(p, line.data);
    text_free(&line);
}

bool c_print_prepare(Text *out, KProgram *program, const Dialect *d, const KKernel *k) {
    const KConvolution *c = c_convolution_of(k);
    CPrinter p = {.program = program, .dialect = d, .kernel = k, .out = out};
    if (!c || !d->convolution)
        return false;
    c_template(&p, out, d->convolution->prepare, (KType){KBASE_F32, 1},
               (const char *const[]){shape_name(&p), samples_text(&p, c)}, 2);
    return true;
}
