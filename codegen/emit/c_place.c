/* Buffers as C sees them: typed pointers at the top of a kernel, elements, parameters, calls, members of the model. */
#include "codegen/emit/c_printer_parts.h"
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

static bool by_value(const KBuffer *b) {
    return b->rank == 0 && b->space == SPACE_ARGUMENT;
}

/* In a function of several kernels a buffer of the program is a parameter. */
const char *c_buffer_name(const CPrinter *p, const KBuffer *b) {
    const KKernel *k = p->kernel;
    for (int i = 0; k && k->shared && i < k->shared->parameter_count; i++)
        if (k->passed[i] == b)
            return k->shared->parameters[i].name;
    return b->name;
}

const char *c_hint(const CPrinter *p, const char *name) {
    const KShared *shared = p->kernel ? p->kernel->shared : NULL;
    for (int i = 0; shared && i < shared->parameter_count; i++)
        if (strcmp(p->kernel->passed[i]->name, name) == 0)
            return shared->parameters[i].name;
    return name;
}

const char *c_stream(const CPrinter *p, int stream) {
    const KKernel *k = p->kernel;
    for (int i = 0; k && k->shared && i < k->shared->stream_count; i++)
        if (k->streams[i] == stream && k->shared->streams[i])
            return k->shared->streams[i];
    return arena_format(p->program->arena, "%d", stream);
}

/* ---- elements */

static int rank_zero(const CPrinter *p, Text *out, const KBuffer *b) {
    if (by_value(b) || b->space == SPACE_LOCAL || b->space == SPACE_SHARED) {
        text_add(out, c_buffer_name(p, b)); /* or declared here */
        return PRECEDENCE_POSTFIX;
    }
    bool member = b->space == SPACE_VARIABLE && !(p->kernel && p->kernel->shared);
    text_format(out, member ? "model->%s" : "*%s", c_buffer_name(p, b));
    return member ? PRECEDENCE_POSTFIX : PRECEDENCE_UNARY;
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

/* What an unrolled loop reads side by side of one of the caller's rows, which lie anywhere: from an address of the
 * first all are displacements. Compilers that see [k + r] keep a register for each k + r. */
static bool is_beside(const CPrinter *p, const KBuffer *b, const KExpr *last) {
    return p->unrolled && b->indirect && last->kind == KE_INDEX && last->index.op == '+' &&
           last->index.right->kind == KE_VAR && last->index.right->var == p->unrolled &&
           !kexpr_uses(last->index.left, p->unrolled);
}

/* (&x[rows[m]][k])[r] */
static void beside_access(CPrinter *p, Text *out, const KBuffer *b, KExpr *const *index, int count) {
    KExpr *first[MAX_RANK + 1];
    const KExpr *last = index[count - 1];
    memcpy(first, index, sizeof *first * (size_t)count);
    first[count - 1] = last->index.left;
    text_add(out, "(&");
    c_access(p, out, b, first, count);
    text_add(out, ")[");
    c_expr(p, out, last->index.right, PRECEDENCE_ANY);
    text_add(out, "]");
}

int c_access(CPrinter *p, Text *out, const KBuffer *b, KExpr *const *index, int count) {
    if (count == 0)
        return rank_zero(p, out, b);
    if (count > 1 && is_beside(p, b, index[count - 1])) {
        beside_access(p, out, b, index, count);
        return PRECEDENCE_POSTFIX;
    }
    text_format(out, "%s[", c_buffer_name(p, b));
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
            text_add(out, c_buffer_name(p, b));
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

void c_array_type(CPrinter *p, Text *out, const KBuffer *b) {
    if (b->lanes > 1)
        c_value_type(p, out, (KType){b->base, b->lanes});
    else
        text_add(out, p->dialect->memory_types[b->base]);
}

void c_array_name(CPrinter *p, Text *out, const KBuffer *b) {
    text_add(out, b->name);
    extents(p, out, b, 0);
}

void c_declare_array(CPrinter *p, Text *out, const KBuffer *b) {
    c_array_type(p, out, b);
    text_add(out, " ");
    c_array_name(p, out, b);
}

/* ---- the top of a kernel */

/* Work in place gives two buffers the same memory: restrict would be a lie. */
static bool overlaps(const KUse *uses, int count, const KBuffer *b) {
    for (int i = 0; i < count; i++)
        if (uses[i].buffer != b && kbuffer_overlaps(uses[i].buffer, b))
            return true;
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
            text_add(&line, "void *");
        else
            pointer(p, &line, b, written, false, "");
        if (b->space == SPACE_ARENA)
            text_format(&line, ")(model->arena + AT_%s);", b->name);
        else
            text_format(&line, b->space == SPACE_VARIABLE ? ")model->%s;" : ")%s;", b->alias->name);
    }
    c_line(p, line.data);
    text_free(&line);
}

/* Parameters and local memory have their names already. */
static void take_shared_names(CPrinter *p) {
    const KShared *shared = p->kernel->shared;
    for (int i = 0; i < shared->parameter_count; i++)
        c_take_name(p, shared->parameters[i].name);
    for (int i = 0; i < shared->stream_count; i++)
        if (shared->streams[i])
            c_take_name(p, shared->streams[i]);
    for (int i = 0; i < p->kernel->local_count; i++)
        c_take_name(p, p->kernel->locals[i]->name);
}

void c_declare_buffers(CPrinter *p) {
    const KUse *uses;
    if (p->kernel->shared) {
        take_shared_names(p);
        return;
    }
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
    bool model, model_written, rows, batch, share, device;
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

/* A call of a library that the host makes, and no launch. */
static bool is_by_host(KProgram *program, const Dialect *d, const KKernel *k) {
    KLaunch launch;
    return d->host_kernel && !kkernel_launch(program, k, &launch);
}

static Parameters parameters_of(const CPrinter *p) {
    Parameters need = {.rows = kkernel_uses_rows(p->program, p->kernel),
                       .batch = kkernel_uses_batch(p->program, p->kernel),
                       .share = p->dialect->has_shares && kkernel_parallel(p->kernel),
                       .device = is_by_host(p->program, p->dialect, p->kernel)};
    const KUse *uses;
    need.count = kkernel_uses(p->program, p->kernel, &uses);
    need.uses = arena_copy(p->program->arena, uses, sizeof *uses * (size_t)need.count);
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

static void parameter(CPrinter *p, Text *out, const KBuffer *b, bool written, bool alone, const char *name) {
    if (by_value(b))
        text_format(out, "%s %s", p->dialect->memory_types[b->base], name);
    else
        pointer(p, out, b, written, alone, name);
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
                    parameter(p, out, need->uses[i].buffer, need->uses[i].written, true, need->uses[i].buffer->name);
                else
                    text_add(out, need->uses[i].buffer->name);
            }
}

/* Buffers and random streams of a function that several kernels call. */
static void shared_parameters(CPrinter *p, Text *out, const char **comma) {
    const KShared *shared = p->kernel->shared;
    for (int i = 0; i < shared->parameter_count; i++) {
        const KParameter *given = &shared->parameters[i];
        text_add(out, *comma);
        *comma = ", ";
        parameter(p, out, p->kernel->passed[i], given->written, given->alone, given->name);
    }
    for (int i = 0; i < shared->stream_count; i++)
        if (shared->streams[i]) {
            text_format(out, "%s%s %s", *comma, p->dialect->value_types[KBASE_I32], shared->streams[i]);
            *comma = ", ";
        }
}

static void own_parameters(CPrinter *p, Text *out, const Parameters *need, const char **comma) {
    if (need->model) {
        text_format(out, "%sstruct %s *%s model", need->model_written ? "" : "const ", model_name(p->program),
                    p->dialect->restrict_word);
        *comma = ", ";
    }
    each_passed(p, out, need, true, comma);
}

const char *c_function_name(const KKernel *k) {
    return k->shared ? k->shared->name : k->name;
}

void c_signature(CPrinter *p, Text *out) {
    Parameters need = parameters_of(p);
    const char *comma = "";
    text_format(out, "%s %s(",
                need.device  ? p->dialect->host_kernel
                : need.batch ? p->dialect->inline_kernel
                             : p->dialect->kernel,
                c_function_name(p->kernel));
    if (p->kernel->shared)
        shared_parameters(p, out, &comma);
    else
        own_parameters(p, out, &need, &comma);
    const struct {
        bool needed;
        const char *type, *name;
    } tail[] = {{need.rows, "const int32_t *", "rows"},
                {need.batch, "int64_t", "batch"},
                {need.share, "int64_t", "first"},
                {need.share, "int64_t", "last"}};
    for (int i = 0; i < 4; i++)
        if (tail[i].needed) {
            text_format(out, "%s%s%s %s", comma, tail[i].type, i == 0 ? p->dialect->restrict_word : "", tail[i].name);
            comma = ", ";
        }
    if (need.device)
        text_format(out, "%s%s", comma, p->dialect->device);
    text_add(out, comma[0] || need.device ? ")" : "void)");
}

void c_print_places(Text *out, KProgram *program, const Dialect *d) {
    if (program->shared_count && d->void_converts)
        text_add(out, "/* What lies at a place in the arena. */\n"
                      "#define AT(buffer) ((void *)(model->arena + AT_##buffer))\n\n");
}

/* What a kernel passes for a buffer: its place in the model, or what the step got. */
static void shared_argument(CPrinter *p, Text *out, const KBuffer *b, bool written, const char *model) {
    if (b->space == SPACE_ARENA && p->dialect->void_converts && strcmp(model, "model") == 0) {
        text_format(out, "AT(%s)", b->name);
        return;
    }
    const char *whole = b->alias && b->space != SPACE_ARENA ? b->alias->name : b->name;
    bool cast = b->space == SPACE_ARENA || b->alias;
    if (cast) {
        text_add(out, "(");
        if (p->dialect->void_converts)
            text_add(out, "void *");
        else
            pointer(p, out, b, written, false, "");
        text_add(out, ")");
    }
    if (b->space == SPACE_ARENA)
        text_format(out, "(%s->arena + AT_%s)", model, b->name);
    else if (b->space == SPACE_VARIABLE)
        text_format(out, "%s%s->%s", (b->alias ? b->alias : b)->rank == 0 ? "&" : "", model, whole);
    else
        text_add(out, whole);
}

static void shared_arguments(CPrinter *p, Text *out, const char *model, const char **comma) {
    const KKernel *k = p->kernel;
    for (int i = 0; i < k->shared->parameter_count; i++) {
        text_add(out, *comma);
        *comma = ", ";
        shared_argument(p, out, k->passed[i], k->shared->parameters[i].written, model);
    }
    for (int i = 0; i < k->shared->stream_count; i++)
        if (k->shared->streams[i]) {
            text_format(out, "%s%d", *comma, k->streams[i]);
            *comma = ", ";
        }
}

static void own_arguments(CPrinter *p, Text *out, const Parameters *need, const char *model, const char **comma) {
    if (need->model) {
        text_add(out, model);
        *comma = ", ";
    }
    each_passed(p, out, need, false, comma);
}

static void call_arguments(CPrinter *p, Text *out, CallNames names) {
    Parameters need = parameters_of(p);
    const char *comma = "", *model = names.model ? names.model : "model";
    const struct {
        bool needed;
        const char *given, *own;
    } tail[] = {{need.rows, names.rows, "rows"},
                {need.batch, names.batch, "batch"},
                {need.share && !names.share, names.first, "first"},
                {need.share && !names.share, names.last, "last"},
                {need.share && names.share, names.share, ""}};
    text_add(out, "(");
    if (p->kernel->shared)
        shared_arguments(p, out, model, &comma);
    else
        own_arguments(p, out, &need, model, &comma);
    for (size_t i = 0; i < sizeof tail / sizeof *tail; i++)
        if (tail[i].needed) {
            text_format(out, "%s%s", comma, tail[i].given ? tail[i].given : tail[i].own);
            comma = ", ";
        }
    if (need.device)
        text_format(out, "%s%s", comma, names.device);
    text_add(out, ")");
}

void c_print_call(Text *out, KProgram *program, const Dialect *d, const KKernel *k, CallNames names) {
    CPrinter p = c_printer(out, program, d, k);
    text_add(out, c_function_name(k));
    call_arguments(&p, out, names);
}

void c_print_launch(Text *out, KProgram *program, const Dialect *d, const KKernel *k, CallNames names,
                    const char *stream) {
    CPrinter p = c_printer(out, program, d, k);
    text_add(out, c_function_name(k));
    if (is_by_host(program, d, k)) {
        call_arguments(&p, out, names);
        return;
    }
    text_add(out, "<<<dim3(");
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

/* ---- the model struct */

void c_print_member(Text *out, KProgram *program, const Dialect *d, const KBuffer *b) {
    CPrinter p = {.program = program, .dialect = d, .out = out};
    c_declare_array(&p, out, b);
}

void c_print_parameter(Text *out, KProgram *program, const Dialect *d, const KBuffer *b, bool written) {
    CPrinter p = {.program = program, .dialect = d, .out = out};
    parameter(&p, out, b, written, true, b->name);
}

void c_print_offsets(Text *out, KProgram *p, const KSequence *sequence) {
    enum { INDENT = 4, LINE_WIDTH = 120 };
    int column = 0;
    for (int i = 0; i < p->buffer_count; i++) {
        const KBuffer *b = p->buffers[i];
        if (b->space != SPACE_ARENA || (sequence && b->sequence != sequence))
            continue;
        const char *place = arena_format(p->arena, "AT_%s = %lld,", b->name, (long long)b->offset);
        int length = (int)strlen(place);
        bool fits = column > 0 && column + 1 + length <= LINE_WIDTH;
        text_format(out, "%s%*s%s", fits ? "" : column ? "\n" : "enum {\n", fits ? 1 : INDENT, "", place);
        column = fits ? column + 1 + length : INDENT + length;
    }
    text_add(out, column ? "\n};\n" : "");
}
