/* Statements and kernels in the words of a dialect. Needs mapped kernels that pass kprogram_verify. */
#include "codegen/emit/c_printer_parts.h"
#include <string.h>

enum { UNROLL_LIMIT = 64 };

CPrinter c_printer(Text *out, KProgram *program, const Dialect *d, const KKernel *k) {
    CPrinter p = {.program = program, .dialect = d, .kernel = k, .out = out};
    p.live = kkernel_live(program, k);
    p.names = ARENA_ARRAY(program->arena, const char *, k->var_count + 2); /* two more for loops of a transpose */
    kkernel_launch(program, k, &p.launch);
    return p;
}

void c_fail(CPrinter *p, const char *format, ...) {
    va_list arguments;
    Text text = {0};
    va_start(arguments, format);
    text_vformat(&text, format, arguments);
    va_end(arguments);
    if (!p->failed && p->program->diag)
        diag_internal(p->program->diag, p->kernel ? p->kernel->span : (Span){0}, "printing %s as %s: %s",
                      p->kernel ? p->kernel->name : "", p->dialect->name, text.data);
    p->failed = true;
    text_free(&text);
}

/* ---- names */

static bool is_taken(const CPrinter *p, const char *name) {
    for (int i = 0; i < p->taken_count; i++)
        if (strcmp(p->taken[i], name) == 0)
            return true;
    return kname_is_reserved(name);
}

const char *c_take_name(CPrinter *p, const char *wanted) {
    const char *name = wanted;
    for (int suffix = 1; is_taken(p, name); suffix++)
        name = arena_format(p->program->arena, "%s_%d", wanted, suffix);
    ARENA_PUSH(p->program->arena, p->taken, p->taken_count, p->taken_capacity, name);
    return name;
}

static const char *declare(CPrinter *p, const KVar *var) {
    p->names[var->id] = c_take_name(p, c_hint(p, var->name));
    return p->names[var->id];
}

/* Parameters stand below each other, unless that takes more lines than two levels in. */
static void print_signature(CPrinter *p) {
    Text signature = {0};
    c_signature(p, &signature);
    text_add(&signature, " {");
    c_line_short(p, signature.data);
    text_free(&signature);
}

/* ---- what is printed at all */

static bool is_printed(const CPrinter *p, const KStmt *s) {
    if (!s)
        return false;
    switch (s->kind) {
    case KS_BLOCK:
        for (const KStmt *child = s->block.first; child; child = child->next)
            if (is_printed(p, child) && child->kind != KS_COMMENT && child->kind != KS_FORGET &&
                (child->kind != KS_PREFETCH || p->dialect->prefetch_read))
                return true;
        return false;
    case KS_FOR:
        return is_printed(p, s->loop.body);
    case KS_IF:
        return is_printed(p, s->branch.then) || is_printed(p, s->branch.otherwise);
    case KS_LET:
    case KS_SET:
        return p->live[s->let.var->id];
    default:
        return true;
    }
}

static int count_printed(const CPrinter *p, const KStmt *s, const KStmt **only) {
    int count = 0;
    if (s && s->kind == KS_BLOCK)
        for (const KStmt *child = s->block.first; child; child = child->next)
            count += count_printed(p, child, only);
    else if (is_printed(p, s)) {
        *only = s;
        count = 1;
    }
    return count;
}

/* One line needs no braces, nor does a loop as all that another loop has in it. */
static bool needs_braces(const CPrinter *p, const KStmt *body, bool of_loop) {
    const KStmt *only = NULL;
    if (count_printed(p, body, &only) != 1)
        return true;
    if (of_loop && only->kind == KS_FOR && only->loop.axis == AXIS_SERIAL)
        return false;
    bool block = only->kind == KS_TRANSPOSE && only->transpose.lanes > 1;
    return !block && only->kind != KS_SET && only->kind != KS_STORE && only->kind != KS_BARRIER;
}

static void print_stmt(CPrinter *p, const KStmt *s);

/* The statements of a scope, one level deeper. */
static void print_scope(CPrinter *p, const KStmt *body) {
    int names = p->taken_count;
    p->depth++;
    print_stmt(p, body);
    p->depth--;
    p->taken_count = names;
}

static void print_body(CPrinter *p, const char *head, const KStmt *body, bool of_loop) {
    bool braces = needs_braces(p, body, of_loop);
    c_line_format(p, "%s%s", head, braces ? " {" : "");
    print_scope(p, body);
    if (braces)
        c_line(p, "}");
}

/* ---- loops */

/* Before the head of a loop. */
static void print_unroll(CPrinter *p, Text *head, const KStmt *s) {
    int64_t count;
    if (s->loop.axis != AXIS_UNROLL || !kexpr_constant(kloop_count(p->program, s), &count))
        return;
    char unroll[64];
    snprintf(unroll, sizeof unroll, p->dialect->unroll, (int)(count < UNROLL_LIMIT ? count : UNROLL_LIMIT));
    if (unroll[0] == '#')
        c_line(p, unroll);
    else
        text_format(head, "%s ", unroll);
}

/* from + name * step, with name a parameter or a built-in index */
static void scaled(CPrinter *p, Text *out, const KExpr *from, const char *name, int64_t step) {
    int64_t value;
    if (!kexpr_constant(from, &value) || value != 0) {
        c_expr(p, out, from, PRECEDENCE_SUM);
        text_add(out, " + ");
    }
    text_add(out, name);
    if (step != 1)
        text_format(out, " * %lld", (long long)step);
}

/* A loop that fills a register array with uniform numbers that lie behind each other: one call draws them all. */
static const KExpr *drawn_at_once(const CPrinter *p, const KStmt *s, int64_t *vectors) {
    const KStmt *only = NULL;
    int64_t from, step;
    if (!p->dialect->uniforms || s->loop.axis != AXIS_UNROLL || s->loop.step != 1 ||
        !kexpr_constant(s->loop.from, &from) || from != 0 || !kexpr_constant(s->loop.to, vectors) ||
        count_printed(p, s->loop.body, &only) != 1 || only->kind != KS_STORE)
        return NULL;
    const KExpr *value = only->store.value;
    bool array = only->store.buffer->lanes > 1 && only->store.index_count == 2 &&
                 only->store.index[0]->kind == KE_VAR && only->store.index[0]->var == s->loop.var;
    bool drawn = value->kind == KE_RANDOM && value->random.kind == RANDOM_UNIFORM && value->type.lanes > 1;
    return array && drawn && kexpr_coefficient(value->random.index, s->loop.var, &step) && step == value->type.lanes
               ? value
               : NULL;
}

static bool print_drawn(CPrinter *p, const KStmt *s) {
    int64_t vectors;
    const KExpr *value = drawn_at_once(p, s, &vectors);
    const KStmt *store = NULL;
    if (!value)
        return false;
    count_printed(p, s->loop.body, &store);
    KExpr *none = kexpr_index(p->program, 0);
    KExpr *index = kexpr_substitute(p->program, value->random.index, &s->loop.var, &none, 1);
    Text texts[3] = {{0}}, template = {0}, line = {0};
    c_expr(p, &texts[0], value->random.seed, PRECEDENCE_UNARY);
    c_expr(p, &texts[1], value->random.step, PRECEDENCE_UNARY);
    c_expr(p, &texts[2], index, PRECEDENCE_UNARY);
    text_format(&template, "%s_%%t((uint32_t)%%1, %s, (uint32_t)%%2, (uint64_t)%%3, %d, ", p->dialect->uniforms,
                c_stream(p, value->random.stream), (int)vectors);
    c_template(p, &line, template.data, value->type, (const char *const[]){texts[0].data, texts[1].data, texts[2].data},
               3);
    c_access(p, &line, store->store.buffer, NULL, 0);
    text_add(&line, ");");
    c_line(p, line.data);
    for (int i = 0; i < 3; i++)
        text_free(&texts[i]);
    text_free(&template);
    text_free(&line);
    return true;
}

static void print_loop(CPrinter *p, const KStmt *s) {
    bool shared_out = s->loop.axis == AXIS_PARALLEL;
    int names = p->taken_count;
    Text head = {0}, from = {0}, to = {0};
    if (shared_out && !p->dialect->has_shares)
        c_fail(p, "threads cannot share a loop");
    if (shared_out) {
        scaled(p, &from, s->loop.from, "first", s->loop.step);
        scaled(p, &to, s->loop.from, "last", s->loop.step);
    } else {
        c_expr(p, &from, s->loop.from, PRECEDENCE_ANY);
        c_expr(p, &to, s->loop.to, PRECEDENCE_SUM);
    }
    const char *name = declare(p, s->loop.var);
    const KVar *around = p->unrolled;
    print_unroll(p, &head, s);
    text_format(&head, "for (%s %s = %s; %s < %s; ", p->dialect->value_types[KBASE_INDEX], name, from.data, name,
                to.data);
    if (s->loop.step == 1)
        text_format(&head, "%s++)", name);
    else
        text_format(&head, "%s += %lld)", name, (long long)s->loop.step);
    p->unrolled = s->loop.axis == AXIS_UNROLL && p->dialect->has_shares ? s->loop.var : around;
    print_body(p, head.data, s->loop.body, true);
    p->unrolled = around;
    p->taken_count = names;
    text_free(&head);
    text_free(&from);
    text_free(&to);
}

/* Every thread runs a thread loop once; threads beyond its end must skip it. */
static bool needs_guard(CPrinter *p, const KStmt *s) {
    int64_t low, high;
    if (s->loop.axis == AXIS_GRID_X || s->loop.axis == AXIS_GRID_Y)
        return false; /* the grid has as many blocks as the loop has turns */
    return !kexpr_range(p->program, kloop_count(p->program, s), &low, &high) || low != high ||
           high != p->launch.block[s->loop.axis - AXIS_THREAD_X];
}

static bool is_last_printed(const CPrinter *p, const KStmt *s) {
    for (const KStmt *later = s->next; later; later = later->next)
        if (is_printed(p, later))
            return false;
    return true;
}

typedef struct {
    const KVar *var;
    bool found;
} VarFinder;

static void find_var(void *context, const KExpr *e) {
    VarFinder *finder = context;
    finder->found |= e->kind == KE_VAR && e->var == finder->var;
}

static bool is_used(const CPrinter *p, const KVar *var, const KStmt *body) {
    VarFinder finder = {var, false};
    kstmt_visit(body, &(KVisitor){NULL, find_var, &finder, p->live});
    return finder.found;
}

/* A loop over blocks or threads: its variable is this thread's place. */
static void print_device_axis(CPrinter *p, const KStmt *s) {
    bool guard = needs_guard(p, s), braces = !guard && !is_last_printed(p, s);
    int names = p->taken_count;
    Text value = {0}, to = {0};
    scaled(p, &value, s->loop.from, p->dialect->axis_index[s->loop.axis], s->loop.step);
    c_expr(p, &to, s->loop.to, PRECEDENCE_SUM);
    if (braces) {
        c_line(p, "{");
        p->depth++;
    }
    const char *name = "";
    if (guard || is_used(p, s->loop.var, s->loop.body)) {
        name = declare(p, s->loop.var);
        c_line_format(p, "%s %s = %s;", p->dialect->value_types[KBASE_INDEX], name, value.data);
    }
    if (guard) {
        Text head = {0};
        text_format(&head, "if (%s < %s)", name, to.data);
        print_body(p, head.data, s->loop.body, false);
        text_free(&head);
    } else
        print_stmt(p, s->loop.body);
    if (braces) {
        p->depth--;
        c_line(p, "}");
        p->taken_count = names;
    }
    text_free(&value);
    text_free(&to);
}

/* ---- branches */

static void print_if(CPrinter *p, const KStmt *s) {
    Text condition = {0};
    bool has_then = is_printed(p, s->branch.then), has_otherwise = is_printed(p, s->branch.otherwise);
    c_expr(p, &condition, s->branch.condition, has_then ? PRECEDENCE_ANY : PRECEDENCE_UNARY);
    if (!has_then || !has_otherwise) {
        Text head = {0};
        text_format(&head, has_then ? "if (%s)" : "if (!%s)", condition.data);
        print_body(p, head.data, has_then ? s->branch.then : s->branch.otherwise, false);
        text_free(&head);
    } else {
        c_line_format(p, "if (%s) {", condition.data);
        print_scope(p, s->branch.then);
        c_line(p, "} else {");
        print_scope(p, s->branch.otherwise);
        c_line(p, "}");
    }
    text_free(&condition);
}

/* ---- assignments */

static bool is_same_place(const KExpr *e, const KStmt *store) {
    if (e->kind != KE_LOAD || (e->type.lanes > 1 && e->load.buffer->lanes <= 1) ||
        e->load.buffer != store->store.buffer)
        return false;
    for (int i = 0; i < store->store.index_count; i++)
        if (!kexpr_equal(e->load.index[i], store->store.index[i]))
            return false;
    return true;
}

/* `=`, or `+=` and its like with *value reduced to the right side. */
static const char *assignment(CPrinter *p, const KStmt *s, const KExpr **value) {
    static const struct {
        ScalarFn fn;
        const char *text;
    } compound[] = {{FN_add, "+="}, {FN_sub, "-="}, {FN_mul, "*="}, {FN_div, "/="}};
    const KExpr *e = *value;
    if (e->kind != KE_FN)
        return "=";
    const KExpr *left = e->fn.args[0], *right = e->fn.args[1];
    bool same = s->kind == KS_SET ? left->kind == KE_VAR && left->var == s->let.var : is_same_place(left, s);
    for (size_t i = 0; i < sizeof compound / sizeof *compound && same; i++)
        if (e->fn.fn == compound[i].fn && !c_is_fused(p, e)) {
            *value = right->kind == KE_SPLAT ? right->operand : right;
            return compound[i].text;
        }
    return "=";
}

static void print_let(CPrinter *p, const KStmt *s) {
    Text line = {0};
    const KExpr *value = s->let.value;
    if (s->kind == KS_LET) {
        Text right = {0};
        c_expr(p, &right, value, PRECEDENCE_ANY); /* before its own name is taken */
        c_value_type(p, &line, s->let.var->type);
        text_format(&line, " %s = %s;", declare(p, s->let.var), right.data);
        text_free(&right);
    } else {
        const char *sign = assignment(p, s, &value);
        text_format(&line, "%s %s ", p->names[s->let.var->id], sign);
        c_expr(p, &line, value, PRECEDENCE_ANY);
        text_add(&line, ";");
    }
    c_line(p, line.data);
    text_free(&line);
}

static void print_store(CPrinter *p, const KStmt *s) {
    Text line = {0}, texts[3] = {{0}};
    const KExpr *value = s->store.value;
    bool registers = s->store.buffer->lanes > 1;
    if (value->type.lanes == 1 || registers) {
        const char *sign = assignment(p, s, &value);
        c_access(p, &line, s->store.buffer, s->store.index, s->store.index_count - registers);
        text_format(&line, " %s ", sign);
        c_expr(p, &line, value, PRECEDENCE_ANY);
        text_add(&line, ";");
    } else {
        c_address(p, &texts[0], s->store.buffer, s->store.index, s->store.index_count);
        c_expr(p, &texts[1], value, PRECEDENCE_ANY);
        if (s->store.count)
            c_expr(p, &texts[2], s->store.count, PRECEDENCE_ANY);
        c_template(p, &line, s->store.count ? "nnrt_store_part_%t(%1, %2, %3);" : "nnrt_store_%t(%1, %2);", value->type,
                   (const char *const[]){texts[0].data, texts[1].data, texts[2].data}, 3);
    }
    c_line(p, line.data);
    text_free(&line);
    for (int i = 0; i < 3; i++)
        text_free(&texts[i]);
}

/* ---- transposes */

static int64_t row_distance(CPrinter *p, const KBuffer *b) {
    int64_t stride[MAX_RANK + 1];
    kbuffer_strides(b, p->program->module ? p->program->module->batch_max : 1, stride);
    return stride[kbuffer_axes(b) - 2];
}

/* The place i rows and j columns on. */
static KExpr **moved(CPrinter *p, KExpr *const *index, int count, KExpr *i, KExpr *j) {
    KExpr **copy = kexpr_indices(p->program, index, count);
    copy[count - 2] = kexpr_binary(p->program, '+', copy[count - 2], i);
    copy[count - 1] = kexpr_binary(p->program, '+', copy[count - 1], j);
    return copy;
}

static void print_block_transpose(CPrinter *p, const KStmt *s) {
    Text from = {0}, to = {0};
    c_address(p, &from, s->transpose.from, s->transpose.from_index, s->transpose.from_count);
    c_address(p, &to, s->transpose.to, s->transpose.to_index, s->transpose.to_count);
    c_line_format(p, "nnrt_transpose_f32x%d(%s, %lld, %s, %lld);", s->transpose.lanes, from.data,
                  (long long)row_distance(p, s->transpose.from), to.data, (long long)row_distance(p, s->transpose.to));
    text_free(&from);
    text_free(&to);
}

/* Loops over the blocks; a block of one element is an assignment. */
static void print_transpose(CPrinter *p, const KStmt *s) {
    int lanes = s->transpose.lanes;
    KProgram *program = p->program;
    if (lanes > 1 && s->transpose.rows == lanes && s->transpose.columns == lanes) {
        print_block_transpose(p, s);
        return;
    }
    KVar *var[2];
    KExpr *place[2], *zero = kexpr_index(program, 0);
    for (int i = 0; i < 2; i++) {
        int64_t extent = i ? s->transpose.columns : s->transpose.rows;
        var[i] = ARENA_NEW(program->arena, KVar);
        *var[i] =
            (KVar){.id = p->kernel->var_count + i, .name = i ? "j" : "i", .type = {KBASE_INDEX, 1}, .limit = extent};
        place[i] = extent == lanes ? zero : kexpr_var(program, var[i]);
    }
    KExpr **to = moved(p, s->transpose.to_index, s->transpose.to_count, place[1], place[0]);
    KExpr **from = moved(p, s->transpose.from_index, s->transpose.from_count, place[0], place[1]);
    KStmt *inner = lanes > 1
                       ? kstmt_transpose(program, s->transpose.to, to, s->transpose.from, from, lanes, lanes, lanes)
                       : kstmt_store(program, s->transpose.to, to, s->transpose.to_count,
                                     kexpr_load(program, s->transpose.from, from, s->transpose.from_count), NULL);
    for (int i = 1; i >= 0; i--)
        if (place[i] != zero)
            inner = kstmt_for(program, var[i], AXIS_SERIAL, zero, kexpr_index(program, var[i]->limit), lanes, inner);
    print_stmt(p, inner);
}

/* ---- the kinds */

static void alloc_type(CPrinter *p, Text *out, const KBuffer *b) {
    if (b->space == SPACE_SHARED)
        text_add(out, p->dialect->shared ? p->dialect->shared : "");
    else if (b->lanes <= 1)
        text_add(out, p->dialect->local ? p->dialect->local : "");
    if (b->align && p->dialect->aligned) {
        char aligned[64];
        snprintf(aligned, sizeof aligned, p->dialect->aligned, b->align);
        text_add(out, aligned);
    }
    c_array_type(p, out, b);
}

/* Neighbours of one type stand in one declaration; gives the last of them. */
static const KStmt *print_alloc(CPrinter *p, const KStmt *s) {
    Text line = {0}, type = {0}, next = {0};
    if (s->alloc->space == SPACE_SHARED ? !p->dialect->shared : s->alloc->lanes <= 1 && !p->dialect->local)
        c_fail(p, "no %s memory", kspace_names[s->alloc->space]);
    alloc_type(p, &type, s->alloc);
    text_format(&line, "%s ", type.data);
    for (bool more = true; more;) {
        const KBuffer *b = s->alloc;
        c_array_name(p, &line, b);
        text_add(&line, !b->zeroed ? "" : b->lanes > 1 ? " = {{0}}" : " = {0}");
        text_clear(&next);
        if (s->next && s->next->kind == KS_ALLOC)
            alloc_type(p, &next, s->next->alloc);
        more = next.length && strcmp(next.data, type.data) == 0 && s->next->alloc->space == b->space;
        text_add(&line, more ? ", " : ";");
        s = more ? s->next : s;
    }
    c_line(p, line.data);
    text_free(&line);
    text_free(&type);
    text_free(&next);
    return s;
}

static void print_prefetch(CPrinter *p, const KStmt *s) {
    const KExpr *load = s->prefetch;
    const char *template = s->reads ? p->dialect->prefetch_read : p->dialect->prefetch;
    Text line = {0}, address = {0};
    if (!template)
        return;
    c_address(p, &address, load->load.buffer, load->load.index, load->load.index_count);
    c_template(p, &line, template, load->type, (const char *const[]){address.data}, 1);
    c_line(p, line.data);
    text_free(&line);
    text_free(&address);
}

/* A call: the thread's sums, then its elements of both operands. */
static void print_mma(CPrinter *p, const KMma *m) {
    int a = kmma_depth(m->precision) / 2, b = a / 2;
    Text line = {0};
    if (!p->dialect->mma[m->precision]) {
        c_fail(p, "no fragments of %s", kprecision_names[m->precision]);
        return;
    }
    text_format(&line, "%s(", p->dialect->mma[m->precision]);
    c_address(p, &line, m->sum, m->index, m->index_count);
    for (int i = 0; i < a + b; i++) {
        text_add(&line, ", ");
        c_expr(p, &line, i < a ? m->a[i] : m->b[i - a], PRECEDENCE_ANY);
    }
    text_add(&line, ");");
    c_line(p, line.data);
    text_free(&line);
}

static void print_barrier(CPrinter *p) {
    if (p->dialect->barrier)
        c_line(p, p->dialect->barrier);
    else
        c_fail(p, "the threads of a kernel cannot meet");
}

static void print_stmt(CPrinter *p, const KStmt *s) {
    if (!is_printed(p, s))
        return;
    switch (s->kind) {
    case KS_BLOCK:
        for (const KStmt *child = s->block.first; child; child = child->next)
            if (child->kind == KS_ALLOC)
                child = print_alloc(p, child);
            else
                print_stmt(p, child);
        break;
    case KS_FOR:
        if (p->dialect->axis_index[s->loop.axis])
            print_device_axis(p, s);
        else if (!print_drawn(p, s))
            print_loop(p, s);
        break;
    case KS_IF:
        print_if(p, s);
        break;
    case KS_LET:
    case KS_SET:
        print_let(p, s);
        break;
    case KS_STORE:
        print_store(p, s);
        break;
    case KS_ALLOC:
        print_alloc(p, s);
        break;
    case KS_BARRIER:
        print_barrier(p);
        break;
    case KS_TRANSPOSE:
        print_transpose(p, s);
        break;
    case KS_GEMM:
        c_gemm(p, s->gemm);
        break;
    case KS_MMA:
        print_mma(p, s->mma);
        break;
    case KS_CONVOLUTION:
        c_convolution(p, s->convolution);
        break;
    case KS_PREFETCH:
        print_prefetch(p, s);
        break;
    case KS_FORGET:
        if (p->dialect->forget)
            c_line(p, p->dialect->forget);
        break;
    case KS_COMMENT:
        c_comment(p, s->comment);
        break;
    }
}

bool c_print_kernel(Text *out, KProgram *program, const Dialect *d, const KKernel *k) {
    CPrinter p = c_printer(out, program, d, k);
    if (k->shared && k->shared->printed != k)
        return true;
    if (!k->body) {
        c_fail(&p, "it is not mapped");
        return false;
    }
    if (c_convolution_of(k))
        c_convolution_shape(&p, c_convolution_of(k));
    const char *comment = k->shared ? k->shared->comment : k->comment;
    if (comment)
        c_comment(&p, comment);
    print_signature(&p);
    p.depth = 1;
    c_declare_buffers(&p);
    print_stmt(&p, k->body);
    text_add(out, "}\n");
    return !p.failed;
}
