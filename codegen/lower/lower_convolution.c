/* Convolutions and their gradients for a library (--dnn): a kernel before the fusion that they belong to computes one
 * into memory, and the fusion reads it from there.
 *
 * A library wants tensors as they lie in memory, the same padding before and behind, and weights with the last axis
 * outermost. What is computed where it is read, or read through the order of the epoch, is copied by a kernel before;
 * so is an image with other paddings, with the zeros in place; the gradient by such an image is made with its padding,
 * and read without. Such copies are made once in a function. The kernel keeps a nest that says what it computes, for
 * all that works on nests; mapping makes KS_CONVOLUTION of it. */
#include "codegen/lower/lower.h"

/* A copy that was made in this function: weights that lie turned, samples in the order in which they are read, images
 * with their padding. */
struct LowerCopy {
    const void *of; /* the variable, or the value of the function */
    int64_t low[CONVOLUTION_SPATIAL];
    KBuffer *copy;
    struct LowerCopy *next;
};

typedef struct {
    LowerRegion *r;
    const Op *op;
    KConvolution c;
    const Type *image, *weights, *result; /* as the op has them */
    int spatial;
    bool even; /* the same padding before and behind */
} Maker;

/* ---- operands */

/* Is it computed from what a nest of this kernel makes? Then no kernel before can read it. */
static bool is_made_here(const LowerRegion *r, const Value *value) {
    if (r->home[value->id] || r->step[value->id])
        return true;
    if (r->memory[value->id] || !value->def || value->def->parent != r->fusion->region)
        return false;
    for (int i = 0; i < value->def->input_count; i++)
        if (is_made_here(r, value->def->inputs[i]))
            return true;
    return false;
}

static bool lies_in_order(const KBuffer *b) {
    for (int i = 0; i < b->rank; i++)
        if (b->order[i] != i)
            return false;
    return b->space != SPACE_LOCAL && !b->indirect && b->row_stride == 0;
}

/* A kernel before stores the value, its axes in the order that the buffer has. */
static KBuffer *copy_before(Maker *m, const Value *value, const char *suffix, KBuffer *copy) {
    KProgram *p = m->r->lower->program;
    LowerRegion r = lower_region_before(m->r, m->op, suffix);
    Nest *nest = lower_nest(&r, m->op, value->type);
    KExpr *index[MAX_RANK];
    for (int i = 0; i < value->type->rank; i++)
        index[i] = lower_axis(&r, nest, i);
    KExpr *read = lower_expr(&r, nest, value, index);
    KVar *var = kvar_new(p, r.kernel, "v", read->type, false);
    kstmt_add(nest->epilogue, kstmt_let(p, var, read));
    kstmt_add(nest->epilogue, kstmt_store(p, copy, index, copy->rank, kexpr_var(p, var), NULL));
    r.kernel->work = nest_slots(nest, p->module->batch_max);
    return copy;
}

/* The last axis outermost. */
static KBuffer *turned_buffer(Maker *m, const char *what) {
    KBuffer *b = lower_buffer(m->r, m->op, what, m->weights->rank, m->weights->dims);
    for (int i = 0; i < b->rank; i++)
        b->order[i] = (int8_t)(i == 0 ? b->rank - 1 : i - 1);
    return b;
}

/* What other regions know it by too: a variable, which all read as it was on entry, or a value of the function; NULL:
 * it is made in this region. */
static const void *known_outside(const LowerRegion *r, const Value *value) {
    const Value *known = value;
    for (int i = 0; i < r->fusion->input_count; i++)
        if (r->fusion->region->args[i] == value)
            known = r->fusion->inputs[i];
    const Variable *variable = value_variable(known);
    return variable ? (const void *)variable : known != value ? known : NULL;
}

/* One with these extents, and so many zeros before; NULL: there is none yet. */
static KBuffer *find_copy(const Maker *m, const Value *value, const Dim *dims, const int64_t *low) {
    const void *of = known_outside(m->r, value);
    for (LowerCopy *c = m->r->lower->copies; c && of; c = c->next) {
        bool same = c->of == of;
        for (int i = 0; i < value->type->rank; i++)
            same = same && dim_equal(c->copy->dims[i], dims[i]);
        for (int s = 0; s < m->spatial; s++)
            same = same && c->low[s] == low[s];
        if (same)
            return c->copy;
    }
    return NULL;
}

static KBuffer *keep_copy(const Maker *m, const Value *value, const int64_t *low, KBuffer *copy) {
    LowerCopy *c = ARENA_NEW(m->r->lower->program->arena, LowerCopy);
    *c = (LowerCopy){.of = known_outside(m->r, value), .copy = copy, .next = m->r->lower->copies};
    for (int s = 0; s < m->spatial; s++)
        c->low[s] = low[s];
    m->r->lower->copies = c;
    return copy;
}

/* By a kernel before, made once in the function. */
static KBuffer *only_copy(Maker *m, const Value *value, bool turned) {
    static const int64_t none[CONVOLUTION_SPATIAL] = {0};
    KBuffer *copy = find_copy(m, value, value->type->dims, none);
    if (copy)
        return copy;
    copy =
        turned ? turned_buffer(m, "turned") : lower_buffer(m->r, m->op, "copied", value->type->rank, value->type->dims);
    return keep_copy(m, value, none, copy_before(m, value, turned ? "turn" : "copy", copy));
}

static KBuffer *whole_operand(Maker *m, int input) {
    const Value *value = m->op->inputs[input];
    KBuffer *b = m->r->memory[value->id];
    const Op *made = value->def;
    if (b && lies_in_order(b))
        return b;
    if (!b && made && made->code == OP_UNPOOL && !lower_is_root(made))
        return lower_unpool_whole(m->r, made);
    return only_copy(m, value, false);
}

/* Extents of an image from the first cell to the last one that the taps meet. */
static void extents_met(const Maker *m, const Dim *dims, Dim *met) {
    for (int i = 0; i < m->spatial + 2; i++)
        met[i] = dims[i];
    for (int s = 0; s < m->spatial; s++)
        met[s + 1].n =
            (m->result->dims[s + 1].n - 1) * m->c.stride[s] + (m->weights->dims[s].n - 1) * m->c.dilation[s] + 1;
}

/* All of it that the taps meet, zeros in place. */
static KBuffer *padded_image(Maker *m) {
    const Value *value = m->op->inputs[0];
    const int64_t *low = m->op->attr.window.low;
    Dim met[MAX_RANK];
    extents_met(m, m->image->dims, met);
    KBuffer *copy = find_copy(m, value, met, low);
    if (copy)
        return copy;
    Contraction c = contraction_of(m->op);
    for (int s = 0; s < m->spatial; s++)
        c.a[s + 1].may_miss = true;
    return keep_copy(m, value, low, lower_affine_halo(m->r, m->op, 0, &c, c.a, c.a_rank));
}

/* ---- what is written */

static bool can_take(const KBuffer *b) {
    return b && b->space == SPACE_ARENA && !b->alias && lies_in_order(b);
}

static KBuffer *written_buffer(Maker *m) {
    const Value *result = m->op->results[0];
    KBuffer *wanted = m->r->wanted[result->id];
    Dim dims[MAX_RANK];
    if (m->c.kind == CONVOLUTION_BY_WEIGHTS)
        return turned_buffer(m, "kernel_gradient");
    if (can_take(wanted) && (m->even || m->c.kind == CONVOLUTION_FORWARD))
        return wanted;
    extents_met(m, result->type->dims, dims);
    bool padded = !m->even && m->c.kind == CONVOLUTION_BY_IMAGE;
    return lower_buffer(m->r, m->op, "convolved", result->type->rank, padded ? dims : result->type->dims);
}

/* ---- the nest */

/* Index `at` of an axis of which only 0 to extent - 1 is there; `least` and `most` are its ends. */
static KExpr *inside(KProgram *p, KExpr *at, int64_t extent, bool below, bool above, KExpr **guard) {
    KExpr *zero = kexpr_index(p, 0), *end = kexpr_index(p, extent), *tests[2] = {NULL, NULL};
    if (below)
        tests[0] = kexpr_fn(p, FN_ge, at, zero, NULL);
    if (above)
        tests[1] = kexpr_fn(p, FN_lt, at, end, NULL);
    for (int i = 0; i < 2; i++)
        if (tests[i])
            *guard = *guard ? kexpr_fn(p, FN_and, *guard, tests[i], NULL) : tests[i];
    at = below ? kexpr_binary(p, 'M', at, zero) : at;
    return above ? kexpr_binary(p, 'm', at, kexpr_index(p, extent - 1)) : at;
}

/* The cell of the image that a tap meets at a position. */
static KExpr *cell_at(KProgram *p, const KConvolution *c, int s, KExpr *position, KExpr *tap, KExpr **guard) {
    int64_t extent = c->image->dims[s + 1].n;
    KExpr *from = kexpr_binary(p, '*', position, kexpr_index(p, c->stride[s]));
    KExpr *at = kexpr_binary(p, '+', from, kexpr_binary(p, '*', tap, kexpr_index(p, c->dilation[s])));
    int64_t most = (c->result->dims[s + 1].n - 1) * c->stride[s] + (c->weights->dims[s].n - 1) * c->dilation[s];
    at = kexpr_binary(p, '-', at, kexpr_index(p, c->low[s]));
    return inside(p, at, extent, c->low[s] > 0, most - c->low[s] >= extent, guard);
}

/* The position at which a tap meets a cell. */
static KExpr *position_at(KProgram *p, const KConvolution *c, int s, KExpr *cell, KExpr *tap, KExpr **guard) {
    KExpr *stride = kexpr_index(p, c->stride[s]), *zero = kexpr_index(p, 0);
    KExpr *moved = kexpr_binary(p, '-', kexpr_binary(p, '+', cell, kexpr_index(p, c->low[s])),
                                kexpr_binary(p, '*', tap, kexpr_index(p, c->dilation[s])));
    KExpr *from = inside(p, moved, 0, true, false, guard);
    KExpr *whole = kexpr_fn(p, FN_eq, kexpr_binary(p, '%', from, stride), zero, NULL);
    if (c->stride[s] > 1)
        *guard = kexpr_fn(p, FN_and, *guard, whole, NULL);
    return inside(p, kexpr_binary(p, '/', from, stride), c->result->dims[s + 1].n, false, true, guard);
}

typedef struct {
    KExpr *image[MAX_RANK], *weights[MAX_RANK], *result[MAX_RANK], *guard;
} Places;

static void add_axes(LowerRegion *r, Nest *nest, const KBuffer *b, int from, int count, KExpr **index) {
    for (int i = 0; i < count; i++) {
        const Dim dim = b->dims[from + i];
        lower_add_axis(r, nest, dim.batch ? "m" : "k", dim, true);
        index[from + i] = lower_axis(r, nest, nest->axis_count - 1);
    }
}

/* Axes of what is written are parallel, those that only the others have are summed over. */
static void place_operands(LowerRegion *r, Nest *nest, const KConvolution *c, Places *at) {
    KProgram *p = r->lower->program;
    int n = kconvolution_spatial(c);
    KExpr **parallel[CONVOLUTIONS] = {at->result, at->image, at->weights};
    for (int i = 0; i < n + 2; i++)
        parallel[c->kind][i] = lower_axis(r, nest, i);
    if (c->kind == CONVOLUTION_FORWARD) {
        add_axes(r, nest, c->weights, 0, n + 1, at->weights);
        at->image[0] = at->result[0];
        at->weights[n + 1] = at->result[n + 1];
    } else if (c->kind == CONVOLUTION_BY_IMAGE) {
        add_axes(r, nest, c->weights, 0, n, at->weights);
        add_axes(r, nest, c->weights, n + 1, 1, at->weights);
        at->result[0] = at->image[0];
        at->weights[n] = at->image[n + 1];
        at->result[n + 1] = at->weights[n + 1];
    } else {
        add_axes(r, nest, c->result, 0, n + 1, at->result);
        at->image[0] = at->result[0];
        at->result[n + 1] = at->weights[n + 1];
    }
    at->image[n + 1] = at->weights[n];
    for (int s = 0; s < n; s++)
        if (c->kind == CONVOLUTION_BY_IMAGE)
            at->result[s + 1] = position_at(p, c, s, at->image[s + 1], at->weights[s], &at->guard);
        else
            at->image[s + 1] = cell_at(p, c, s, at->result[s + 1], at->weights[s], &at->guard);
}

static void make_nest(Maker *m) {
    KProgram *p = m->r->lower->program;
    LowerRegion r = lower_region_before(m->r, m->op, "convolution");
    const KConvolution *c = &m->c;
    const KBuffer *written = kconvolution_written(c);
    int rank = written->rank;
    Places at = {.guard = NULL};
    Nest *nest = lower_nest(&r, m->op, type_get((Module *)p->module, DTYPE_F32, rank, written->dims));
    place_operands(&r, nest, c, &at);
    KExpr *loads[] = {kexpr_load(p, c->image, at.image, rank), kexpr_load(p, c->weights, at.weights, rank),
                      kexpr_load(p, c->result, at.result, rank)};
    const int operands[CONVOLUTIONS][2] = {{0, 1}, {2, 1}, {0, 2}};
    NestReduction *sum = &nest->reductions[nest->reduction_count++];
    *sum = (NestReduction){.kind = REDUCE_SUM, .guard = at.guard};
    sum->expr = kexpr_fn(p, FN_mul, loads[operands[c->kind][0]], loads[operands[c->kind][1]], NULL);
    sum->result = kvar_new(p, r.kernel, "sum", (KType){KBASE_F32, 1}, true);
    KExpr *index[MAX_RANK];
    for (int i = 0; i < rank; i++)
        index[i] = lower_axis(&r, nest, i);
    kstmt_add(nest->epilogue, kstmt_store(p, kconvolution_written(c), index, rank, kexpr_var(p, sum->result), NULL));
    nest->convolution = arena_copy(p->arena, c, sizeof *c);
    r.kernel->work = nest_slots(nest, p->module->batch_max);
}

/* The gradient by an image whose padding was made: its inside, zeros where no tap has met it. */
static void take_inside(Maker *m) {
    LowerRegion *r = m->r;
    KProgram *p = r->lower->program;
    const Value *result = m->op->results[0];
    Nest *nest = lower_nest(r, m->op, result->type);
    KExpr *index[MAX_RANK], *guard = NULL;
    for (int i = 0; i < result->type->rank; i++)
        index[i] = lower_axis(r, nest, i);
    for (int s = 0; s < m->spatial; s++) {
        int64_t low = m->op->attr.window.low[s], extent = m->c.image->dims[s + 1].n;
        KExpr *at = kexpr_binary(p, '+', index[s + 1], kexpr_index(p, low));
        index[s + 1] = inside(p, at, extent, low < 0, result->type->dims[s + 1].n - 1 + low >= extent, &guard);
    }
    KExpr *value = kexpr_load(p, m->c.image, index, result->type->rank);
    value = guard ? kexpr_fn(p, FN_select, guard, value, kexpr_number(p, KBASE_F32, 0)) : value;
    r->var[result->id] = kvar_new(p, r->kernel, "v", value->type, false);
    r->home[result->id] = nest;
    kstmt_add(nest->epilogue, kstmt_let(p, r->var[result->id], value));
}

/* ---- all of it */

static Maker maker_of(LowerRegion *r, const Op *op) {
    const WindowAttr *w = &op->attr.window;
    const Type *a = op->inputs[0]->type, *b = op->inputs[1]->type, *out = op->results[0]->type;
    Maker m = {.r = r, .op = op, .spatial = w->spatial, .even = true};
    m.c.kind = op->code == OP_CONV              ? CONVOLUTION_FORWARD
               : op->code == OP_CONV_GRAD_INPUT ? CONVOLUTION_BY_IMAGE
                                                : CONVOLUTION_BY_WEIGHTS;
    m.image = m.c.kind == CONVOLUTION_BY_IMAGE ? out : a;
    m.weights = m.c.kind == CONVOLUTION_BY_WEIGHTS ? out : b;
    m.result = m.c.kind == CONVOLUTION_FORWARD ? out : m.c.kind == CONVOLUTION_BY_IMAGE ? a : b;
    for (int s = 0; s < w->spatial; s++) {
        m.c.stride[s] = w->stride[s];
        m.c.dilation[s] = w->dilation[s];
        m.c.low[s] = w->low[s];
        m.even = m.even && w->low[s] >= 0 &&
                 kconvolution_extent(&m.c, s, m.image->dims[s + 1].n, m.weights->dims[s].n) == m.result->dims[s + 1].n;
    }
    for (int s = 0; s < w->spatial && !m.even; s++)
        m.c.low[s] = 0;
    return m;
}

static const char *refused(const LowerRegion *r, const Op *op) {
    if (r->kernel->steps)
        return "the library's convolution: it is a step of a recurrence";
    for (int i = 0; i < op->input_count; i++)
        if (is_made_here(r, op->inputs[i]))
            return "the library's convolution: what it reads is made in this kernel";
    return NULL;
}

bool lower_convolution(LowerRegion *r, const Op *op) {
    KProgram *p = r->lower->program;
    if (p->convolution_scratch == 0 || op->code == OP_EINSUM)
        return false;
    const char *why = refused(r, op);
    if (why) {
        r->kernel->why = why;
        return false;
    }
    Maker m = maker_of(r, op);
    Dim bytes = dim_static(p->convolution_scratch / kbase_bytes(KBASE_F32));
    m.c.scratch = lower_buffer(r, op, "scratch", 1, &bytes);
    m.c.scratch->scratch = true;
    m.c.weights = m.c.kind == CONVOLUTION_BY_WEIGHTS ? written_buffer(&m) : only_copy(&m, op->inputs[1], true);
    m.c.image = m.c.kind == CONVOLUTION_BY_IMAGE ? written_buffer(&m)
                : m.even                         ? whole_operand(&m, 0)
                                                 : padded_image(&m);
    m.c.result =
        m.c.kind == CONVOLUTION_FORWARD ? written_buffer(&m) : whole_operand(&m, m.c.kind == CONVOLUTION_BY_WEIGHTS);
    make_nest(&m);
    if (m.c.kind == CONVOLUTION_BY_IMAGE && !m.even)
        take_inside(&m);
    else
        r->memory[op->results[0]->id] = kconvolution_written(&m.c);
    return true;
}
