/* Buffers as C sees them: typed pointers at the top of a kernel, elements, parameters, calls, members of the model. */
#include "codegen/c_printer_parts.h"
#include <string.h>

static int64_t batch_max(const KProgram *p) {
    return p->module ? p->module->batch_max : 1;
}

/* Samples lie further apart than their axes say: such a buffer is a plain pointer with one computed index. */
static bool is_flat(const KBuffer *b) {
    return b->row_stride > 0 && b->rank > 2;
}

static bool in_model(const KBuffer *b) {
    return b->space == SPACE_ARENA || b->space == SPACE_VARIABLE;
}

/* ---- elements */

static int rank_zero(Text *out, const KBuffer *b) {
    if (b->space == SPACE_ARGUMENT || b->space == SPACE_LOCAL || b->space == SPACE_SHARED) {
        text_add(out, b->name); /* by value, or declared here */
        return PRECEDENCE_POSTFIX;
    }
    text_format(out, b->space == SPACE_VARIABLE ? "model->%s" : "*%s", b->name);
    return b->space == SPACE_VARIABLE ? PRECEDENCE_POSTFIX : PRECEDENCE_UNARY;
}

/* A cast to the type of indices says nothing inside brackets. */
static const KExpr *bare_index(const KExpr *e) {
    return e->kind == KE_CAST && e->operand->type.base == KBASE_I32 ? e->operand : e;
}

static void sample_index(CPrinter *p, Text *out, const KBuffer *b, const KExpr *index, int least) {
    if (!b->indirect) {
        c_expr(p, out, index, least);
        return;
    }
    text_add(out, "rows[");
    c_expr(p, out, bare_index(index), PRECEDENCE_ANY);
    text_add(out, "]");
}

static void flat_index(CPrinter *p, Text *out, const KBuffer *b, KExpr *const *index, int count) {
    int64_t stride[MAX_RANK + 1];
    kbuffer_strides(b, batch_max(p->program), stride);
    KExpr *inside = kexpr_index(p->program, 0);
    for (int i = 1; i < count; i++)
        inside = kexpr_binary(p->program, '+', inside,
                              kexpr_binary(p->program, '*', index[i], kexpr_index(p->program, stride[i])));
    int64_t value;
    bool nothing = kexpr_constant(inside, &value) && value == 0;
    text_add(out, b->indirect ? "(int64_t)" : "");
    sample_index(p, out, b, index[0], PRECEDENCE_PRODUCT);
    text_format(out, nothing ? " * %lld" : " * %lld + ", (long long)b->row_stride);
    if (!nothing)
        c_expr(p, out, inside, PRECEDENCE_SUM);
}

int c_access(CPrinter *p, Text *out, const KBuffer *b, KExpr *const *index, int count) {
    if (count == 0)
        return rank_zero(out, b);
    text_format(out, "%s[", b->name);
    if (is_flat(b))
        flat_index(p, out, b, index, count);
    for (int i = 0; i < count && !is_flat(b); i++) {
        text_add(out, i ? "][" : "");
        if (i == 0)
            sample_index(p, out, b, bare_index(index[0]), PRECEDENCE_ANY);
        else
            c_expr(p, out, bare_index(index[i]), PRECEDENCE_ANY);
    }
    text_add(out, "]");
    return PRECEDENCE_POSTFIX;
}

void c_address(CPrinter *p, Text *out, const KBuffer *b, KExpr *const *index, int count) {
    int64_t value;
    bool at_start = count > 0 && kexpr_constant(index[count - 1], &value) && value == 0;
    if (at_start && !is_flat(b) && !(b->indirect && count == 1)) {
        if (count == 1)
            text_add(out, b->name);
        else
            c_access(p, out, b, index, count - 1);
        return;
    }
    text_add(out, "&");
    c_access(p, out, b, index, count);
}

/* ---- types */

static void extents(CPrinter *p, Text *out, const KBuffer *b, int first) {
    int64_t extent[MAX_RANK + 1];
    int count = kbuffer_physical(b, batch_max(p->program), extent) - (b->lanes > 1); /* an element is a vector */
    for (int i = first; i < count && !is_flat(b); i++)
        text_format(out, "[%lld]", (long long)extent[i]);
}

static bool is_array_pointer(const KBuffer *b) {
    return !is_flat(b) && kbuffer_axes(b) > 1;
}

/* const float (*restrict x)[64], or with one axis const float *restrict x; no name: the type of a cast */
static void pointer(CPrinter *p, Text *out, const KBuffer *b, bool written, bool alone, const char *name) {
    text_format(out, "%s%s ", written ? "" : "const ", p->dialect->memory_types[b->base]);
    text_add(out, is_array_pointer(b) ? "(*" : "*");
    if (alone && name[0])
        text_format(out, "%s ", p->dialect->restrict_word);
    text_add(out, name);
    if (is_array_pointer(b)) {
        text_add(out, ")");
        extents(p, out, b, 1);
    }
}

void c_declare_array(CPrinter *p, Text *out, const KBuffer *b) {
    if (b->lanes > 1)
        c_value_type(p, out, (KType){b->base, b->lanes});
    else
        text_add(out, p->dialect->memory_types[b->base]);
    text_format(out, " %s", b->name);
    extents(p, out, b, 0);
}

/* ---- the top of a kernel */

/* Work in place gives two buffers the same memory: restrict would be a lie. */
static bool overlaps(const KUse *uses, int count, const KBuffer *b) {
    for (int i = 0; i < count; i++) {
        const KBuffer *other = uses[i].buffer;
        if (other != b && other->space == SPACE_ARENA && b->space == SPACE_ARENA &&
            other->offset < b->offset + b->bytes && b->offset < other->offset + other->bytes)
            return true;
    }
    return false;
}

/* Other axes over the elements of another buffer. */
static bool is_view(const KBuffer *b) {
    return b->alias && b->space != SPACE_ARENA;
}

static void declare_buffer(CPrinter *p, const KBuffer *b, bool written, bool alone) {
    Text line = {0};
    pointer(p, &line, b, written, alone, b->name);
    if (b->space == SPACE_VARIABLE && !b->alias)
        text_format(&line, " = model->%s;", b->name);
    else {
        text_add(&line, " = (");
        if (p->dialect->void_converts)
            text_add(&line, written ? "void *" : "const void *");
        else
            pointer(p, &line, b, written, false, "");
        if (b->space == SPACE_ARENA)
            text_format(&line, ")(model->arena + OFFSET_%s);", b->name);
        else
            text_format(&line, b->space == SPACE_VARIABLE ? ")model->%s;" : ")%s;", b->alias->name);
    }
    c_line(p, line.data);
    text_free(&line);
}

void c_declare_buffers(CPrinter *p) {
    KUse *uses;
    int count = kkernel_uses(p->program, p->kernel, &uses);
    for (int i = 0; i < count; i++)
        c_take_name(p, uses[i].buffer->name);
    for (int i = 0; i < count; i++)
        if (is_view(uses[i].buffer))
            c_take_name(p, uses[i].buffer->alias->name); /* a parameter, or taken already */
    for (int i = 0; i < p->kernel->local_count; i++)
        c_take_name(p, p->kernel->locals[i]->name);
    for (int i = 0; i < count; i++) {
        const KBuffer *b = uses[i].buffer;
        if (is_view(b) || (in_model(b) && !(b->space == SPACE_VARIABLE && b->rank == 0)))
            declare_buffer(p, b, uses[i].written, !overlaps(uses, count, b));
    }
}

/* ---- parameters and arguments */

typedef struct {
    bool model, model_written, rows, batch, share;
    KUse *uses;
    int count;
} Parameters;

/* A view of an argument is made in the kernel: what is passed is the argument. */
static void pass_whole(Parameters *need, KUse *view) {
    KUse *whole = view;
    for (int i = 0; i < need->count; i++)
        if (need->uses[i].buffer == view->buffer->alias)
            whole = &need->uses[i];
    whole->read |= view->read;
    whole->written |= view->written;
    if (whole == view)
        view->buffer = view->buffer->alias;
    else
        *view = need->uses[--need->count];
}

static Parameters parameters_of(const CPrinter *p) {
    Parameters need = {.rows = kkernel_uses_rows(p->program, p->kernel),
                       .batch = kkernel_uses_batch(p->program, p->kernel),
                       .share = p->dialect->has_shares && kkernel_parallel(p->kernel)};
    need.count = kkernel_uses(p->program, p->kernel, &need.uses);
    for (int i = need.count - 1; i >= 0; i--)
        if (need.uses[i].buffer->alias && !in_model(need.uses[i].buffer))
            pass_whole(&need, &need.uses[i]);
    for (int i = 0; i < need.count; i++) {
        need.model |= in_model(need.uses[i].buffer);
        need.model_written |= in_model(need.uses[i].buffer) && need.uses[i].written;
    }
    return need;
}

static const char *model_name(const KProgram *p) {
    if (p->info && p->info->name)
        return p->info->name;
    return p->module && p->module->name ? p->module->name : "model";
}

static void parameter(CPrinter *p, Text *out, const KBuffer *b, bool written) {
    if (b->rank == 0 && b->space == SPACE_ARGUMENT)
        text_format(out, "%s %s", p->dialect->memory_types[b->base], b->name);
    else
        pointer(p, out, b, written, true, b->name);
}

/* Arguments in the order of the function, then results. */
static void each_passed(CPrinter *p, Text *out, const Parameters *need, bool declare, const char **comma) {
    static const KSpace spaces[] = {SPACE_ARGUMENT, SPACE_RESULT};
    for (int s = 0; s < 2; s++)
        for (int i = 0; i < need->count; i++)
            if (need->uses[i].buffer->space == spaces[s]) {
                text_add(out, *comma);
                *comma = ", ";
                if (declare)
                    parameter(p, out, need->uses[i].buffer, need->uses[i].written);
                else
                    text_add(out, need->uses[i].buffer->name);
            }
}

void c_signature(CPrinter *p, Text *out) {
    Parameters need = parameters_of(p);
    const char *comma = "", *restrict_word = p->dialect->restrict_word;
    text_format(out, "%s %s(", need.batch ? p->dialect->inline_kernel : p->dialect->kernel, p->kernel->name);
    if (need.model) {
        text_format(out, "%sstruct %s *%s model", need.model_written ? "" : "const ", model_name(p->program),
                    restrict_word);
        comma = ", ";
    }
    each_passed(p, out, &need, true, &comma);
    if (need.rows) {
        text_format(out, "%sconst int32_t *%s rows", comma, restrict_word);
        comma = ", ";
    }
    if (need.batch) {
        text_format(out, "%sint64_t batch", comma);
        comma = ", ";
    }
    if (need.share) {
        text_format(out, "%sint64_t first, int64_t last", comma);
        comma = ", ";
    }
    text_add(out, comma[0] ? ")" : "void)");
}

static void call_arguments(CPrinter *p, Text *out, CallNames names) {
    Parameters need = parameters_of(p);
    const char *comma = "";
    const struct {
        bool needed;
        const char *given, *own;
    } tail[] = {{need.rows, names.rows, "rows"},
                {need.batch, names.batch, "batch"},
                {need.share, names.first, "first"},
                {need.share, names.last, "last"}};
    text_add(out, "(");
    if (need.model) {
        text_add(out, names.model ? names.model : "model");
        comma = ", ";
    }
    each_passed(p, out, &need, false, &comma);
    for (int i = 0; i < 4; i++)
        if (tail[i].needed) {
            text_format(out, "%s%s", comma, tail[i].given ? tail[i].given : tail[i].own);
            comma = ", ";
        }
    text_add(out, ")");
}

void c_print_signature(Text *out, KProgram *program, const Dialect *d, const KKernel *k) {
    CPrinter p = c_printer(out, program, d, k);
    c_signature(&p, out);
}

void c_print_call(Text *out, KProgram *program, const Dialect *d, const KKernel *k, CallNames names) {
    CPrinter p = c_printer(out, program, d, k);
    text_add(out, k->name);
    call_arguments(&p, out, names);
}

void c_print_launch(Text *out, KProgram *program, const Dialect *d, const KKernel *k, CallNames names,
                    const char *stream) {
    CPrinter p = c_printer(out, program, d, k);
    text_format(out, "%s<<<dim3(", k->name);
    c_expr(&p, out, p.launch.grid[0], PRECEDENCE_ANY);
    text_add(out, ", ");
    c_expr(&p, out, p.launch.grid[1], PRECEDENCE_ANY);
    text_format(out, "), dim3(%lld, %lld), 0, %s>>>", (long long)p.launch.block[0], (long long)p.launch.block[1],
                stream);
    call_arguments(&p, out, names);
}

void c_print_units(Text *out, KProgram *program, const Dialect *d, const KKernel *k) {
    const KStmt *parallel = kkernel_parallel(k);
    CPrinter p = c_printer(out, program, d, k);
    if (parallel)
        c_expr(&p, out, kloop_count(program, parallel), PRECEDENCE_ANY);
    else
        text_add(out, "1");
}

void c_print_index(Text *out, KProgram *program, const Dialect *d, const KExpr *e) {
    CPrinter p = {.program = program, .dialect = d, .out = out};
    c_expr(&p, out, e, PRECEDENCE_ANY);
}

/* ---- the model struct */

void c_print_member(Text *out, KProgram *program, const Dialect *d, const KBuffer *b) {
    CPrinter p = {.program = program, .dialect = d, .out = out};
    c_declare_array(&p, out, b);
}

void c_print_parameter(Text *out, KProgram *program, const Dialect *d, const KBuffer *b, bool written) {
    CPrinter p = {.program = program, .dialect = d, .out = out};
    parameter(&p, out, b, written);
}

void c_print_offsets(Text *out, KProgram *p, const KSequence *sequence) {
    bool any = false;
    for (int i = 0; i < p->buffer_count; i++) {
        const KBuffer *b = p->buffers[i];
        if (b->space != SPACE_ARENA || (sequence && b->sequence != sequence))
            continue;
        text_add(out, any ? "" : "enum {\n");
        text_format(out, "    OFFSET_%s = %lld,\n", b->name, (long long)b->offset);
        any = true;
    }
    text_add(out, any ? "};\n" : "");
}
