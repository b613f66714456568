/* Follows the indices of a mapped kernel through its loops, as bounds that are affine in the number u of the parallel
 * loop's iteration: unit * u + at. */
#include "codegen/kir/kernel_parts.h"

typedef struct {
    bool known;
    int64_t unit, at;
} Bound;

typedef struct {
    Bound low, high; /* both belong to the range */
} Range;

/* Along one memory axis of one buffer. */
typedef struct {
    enum { TOUCH_NONE, TOUCH_OWN, TOUCH_ANY } state;
    int64_t unit, low, high;
} Touch;

typedef struct {
    KProgram *p;
    const bool *live;
    Range *ranges;    /* by KVar.id */
    const KUse *uses; /* in order of their buffers' ids */
    int use_count;
    Touch (*touches)[MAX_RANK + 1]; /* by use */
    const KStmt *parallel;          /* loop */
    int64_t fixed;                  /* in what runs only in this iteration: its number; else -1 */
} Follow;

/* ---- bounds */
static Bound bound(int64_t unit, int64_t at) {
    return (Bound){true, unit, at};
}

static Bound sum(Bound a, Bound b, int sign) {
    return (Bound){a.known && b.known, a.unit + sign * b.unit, a.at + sign * b.at};
}

static int64_t floor_of(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

static bool is_exact(Range r) {
    return r.low.known && r.high.known && r.low.unit == r.high.unit && r.low.at == r.high.at;
}

static Range scaled(Range r, int64_t factor) {
    Range result = {{r.low.known, r.low.unit * factor, r.low.at * factor},
                    {r.high.known, r.high.unit * factor, r.high.at * factor}};
    return factor >= 0 ? result : (Range){result.high, result.low};
}

static Range product(Range a, Range b) {
    if (is_exact(b) && b.low.unit == 0)
        return scaled(a, b.low.at);
    if (is_exact(a) && a.low.unit == 0)
        return scaled(b, a.low.at);
    return (Range){{false, 0, 0}, {false, 0, 0}};
}

/* Only of numbers that are not negative. */
static Range quotient(Range r, int64_t divisor) {
    Range result = {bound(0, 0), {false, 0, 0}};
    if (r.low.known && r.low.unit % divisor == 0)
        result.low = bound(r.low.unit / divisor, floor_of(r.low.at, divisor));
    if (r.high.known && r.high.unit % divisor == 0)
        result.high = bound(r.high.unit / divisor, floor_of(r.high.at, divisor));
    return result;
}

static Range remainder_of(Range r, int64_t divisor) {
    Range whole = quotient(r, divisor);
    if (r.low.known && r.high.known && whole.high.known && is_exact(whole) && r.low.unit == r.high.unit) {
        int64_t before = whole.low.at * divisor;
        return (Range){bound(0, r.low.at - before), bound(0, r.high.at - before)};
    }
    return (Range){bound(0, 0), bound(0, divisor - 1)};
}

/* The bound that holds for the smaller (larger) of both from that side, and one that holds from the other. */
static Bound either(Bound a, Bound b) {
    return a.known && (!b.known || a.unit > b.unit) ? a : b;
}

static Bound both(Bound a, Bound b, bool smaller) {
    Bound result = {a.known && b.known && a.unit == b.unit, a.unit, a.at};
    if (smaller ? b.at < a.at : b.at > a.at)
        result.at = b.at;
    return result;
}

static Range range_of(const Follow *f, const KExpr *e);

static Range range_of_index(const Follow *f, const KExpr *e) {
    Range a = range_of(f, e->index.left), b = range_of(f, e->index.right);
    int64_t divisor = is_exact(b) && b.low.unit == 0 ? b.low.at : 0;
    switch (e->index.op) {
    case '+':
        return (Range){sum(a.low, b.low, 1), sum(a.high, b.high, 1)};
    case '-':
        return (Range){sum(a.low, b.high, -1), sum(a.high, b.low, -1)};
    case '*':
        return product(a, b);
    case '/':
        return divisor > 0 ? quotient(a, divisor) : (Range){{false, 0, 0}, {false, 0, 0}};
    case '%':
        return divisor > 0 ? remainder_of(a, divisor) : (Range){{false, 0, 0}, {false, 0, 0}};
    case 'm':
        return (Range){both(a.low, b.low, true), either(a.high, b.high)};
    default:
        return (Range){either(a.low, b.low), both(a.high, b.high, false)};
    }
}

static Range range_of(const Follow *f, const KExpr *e) {
    int64_t low, high;
    if (e->kind == KE_INDEX)
        return range_of_index(f, e);
    Range r = e->kind == KE_VAR && e->type.base == KBASE_INDEX ? f->ranges[e->var->id]
                                                               : (Range){{false, 0, 0}, {false, 0, 0}};
    if (e->type.base != KBASE_INDEX || !kexpr_range(f->p, e, &low, &high))
        return r;
    if (!r.low.known)
        r.low = bound(0, low);
    if (!r.high.known)
        r.high = bound(0, high);
    return r;
}

/* ---- touches */
static Touch *touches_of(const Follow *f, const KBuffer *b) {
    int from = 0, to = f->use_count - 1;
    while (from < to) {
        int middle = (from + to) / 2;
        if (f->uses[middle].buffer->id < b->id)
            from = middle + 1;
        else
            to = middle;
    }
    return f->touches[from];
}

/* Where only one iteration runs, its number may be put in. */
static Bound with_unit(const Follow *f, Bound b, int64_t unit) {
    return f->fixed < 0 || !b.known ? b : bound(unit, b.at + (b.unit - unit) * f->fixed);
}

static void touch(const Follow *f, Touch *t, Range r) {
    if (t->state == TOUCH_OWN) {
        r.low = with_unit(f, r.low, t->unit);
        r.high = with_unit(f, r.high, t->unit);
    }
    if (!r.low.known || !r.high.known || r.low.unit != r.high.unit ||
        (t->state != TOUCH_NONE && (t->state == TOUCH_ANY || t->unit != r.low.unit))) {
        t->state = TOUCH_ANY;
        return;
    }
    if (t->state == TOUCH_NONE)
        *t = (Touch){TOUCH_OWN, r.low.unit, r.low.at, r.high.at};
    t->low = r.low.at < t->low ? r.low.at : t->low;
    t->high = r.high.at > t->high ? r.high.at : t->high;
}

/* `span`: so many elements of the last axis, `rows` of the one before it. */
static void touch_place(Follow *f, const KBuffer *b, KExpr *const *index, int count, int64_t rows, int64_t span) {
    if (b->space == SPACE_LOCAL || b->space == SPACE_SHARED)
        return;
    for (int i = 0; i < count; i++) {
        Range r = range_of(f, index[i]);
        r.high.at += i == count - 1 ? span - 1 : i == count - 2 ? rows - 1 : 0;
        touch(f, &touches_of(f, b)[i], r);
    }
}

static void touch_anywhere(const Follow *f, const KBuffer *b) {
    if (b->space == SPACE_LOCAL || b->space == SPACE_SHARED)
        return;
    for (int i = 0; i < kbuffer_axes(b); i++)
        touches_of(f, b)[i].state = TOUCH_ANY;
}

static int64_t lanes_at_most(const Follow *f, int lanes, const KExpr *count) {
    int64_t low, high;
    return count && kexpr_range(f->p, count, &low, &high) && high < lanes ? high : lanes;
}

static void touch_load(void *context, const KExpr *e) {
    Follow *f = context;
    if (e->kind != KE_LOAD || e->load.buffer->space == SPACE_LOCAL || e->load.buffer->space == SPACE_SHARED)
        return;
    touch_place(f, e->load.buffer, e->load.index, e->load.index_count, 1,
                lanes_at_most(f, e->type.lanes, e->load.count));
    if (e->load.stride)
        touch_anywhere(f, e->load.buffer);
}

static void follow_values(Follow *f, const KExpr *e) {
    if (e)
        kexpr_visit(e, &(KVisitor){.expression = touch_load, .context = f});
}

/* ---- statements */
static void follow(Follow *f, const KStmt *s);

static void follow_loop(Follow *f, const KStmt *s) {
    Range from = range_of(f, s->loop.from), to = range_of(f, s->loop.to), r = {from.low, sum(to.high, bound(0, 1), -1)};
    int64_t step = s->loop.step;
    if (s->loop.axis == AXIS_PARALLEL) {
        r.low.known = is_exact(from) && from.low.unit == 0;
        r.low.unit = step;
        r.high = r.low;
        f->parallel = s;
    } else if (is_exact(from) && r.high.known && r.high.unit == from.low.unit && r.high.at >= from.low.at)
        r.high.at = from.low.at + (r.high.at - from.low.at) / step * step;
    f->ranges[s->loop.var->id] = r;
    follow_values(f, s->loop.from);
    follow_values(f, s->loop.to);
    follow(f, s->loop.body);
}

/* "if (n < 64) .. else ..", where n is the parallel loop's and 64 its last value: `else` is one iteration. */
static int64_t only_iteration(const Follow *f, const KExpr *condition) {
    int64_t end, low, high;
    if (!f->parallel || condition->kind != KE_FN || condition->fn.fn != FN_lt ||
        condition->fn.args[0]->kind != KE_VAR || condition->fn.args[0]->var != f->parallel->loop.var ||
        !kexpr_constant(condition->fn.args[1], &end) || !kexpr_constant(f->parallel->loop.from, &low) || low != 0 ||
        end % f->parallel->loop.step || !kexpr_range(f->p, kloop_count(f->p, f->parallel), &low, &high))
        return -1;
    return high == end / f->parallel->loop.step + 1 ? high - 1 : -1;
}

static void follow_branches(Follow *f, const KStmt *s) {
    int64_t before = f->fixed, iteration = only_iteration(f, s->branch.condition);
    follow_values(f, s->branch.condition);
    follow(f, s->branch.then);
    f->fixed = iteration >= 0 ? iteration : before;
    follow(f, s->branch.otherwise);
    f->fixed = before;
}

static void follow_store(Follow *f, const KStmt *s) {
    touch_place(f, s->store.buffer, s->store.index, s->store.index_count, 1,
                lanes_at_most(f, s->store.value->type.lanes, s->store.count));
    for (int i = 0; i < s->store.index_count; i++)
        follow_values(f, s->store.index[i]);
    follow_values(f, s->store.value);
    follow_values(f, s->store.count);
}

static void follow_turn(Follow *f, const KStmt *s) {
    touch_place(f, s->transpose.from, s->transpose.from_index, s->transpose.from_count, s->transpose.rows,
                s->transpose.columns);
    touch_place(f, s->transpose.to, s->transpose.to_index, s->transpose.to_count, s->transpose.columns,
                s->transpose.rows);
}

static void follow(Follow *f, const KStmt *s) {
    if (!s)
        return;
    if (s->kind == KS_BLOCK)
        for (const KStmt *child = s->block.first; child; child = child->next)
            follow(f, child);
    else if (s->kind == KS_FOR)
        follow_loop(f, s);
    else if (s->kind == KS_IF)
        follow_branches(f, s);
    else if (s->kind == KS_STORE)
        follow_store(f, s);
    else if (s->kind == KS_TRANSPOSE)
        follow_turn(f, s);
    else if (s->kind == KS_GEMM) {
        touch_anywhere(f, s->gemm->a.buffer);
        touch_anywhere(f, s->gemm->b.buffer);
        touch_anywhere(f, s->gemm->c.buffer);
    } else if (s->kind == KS_CONVOLUTION) {
        touch_anywhere(f, s->convolution->image);
        touch_anywhere(f, s->convolution->weights);
        touch_anywhere(f, s->convolution->result);
        touch_anywhere(f, s->convolution->scratch);
    } else if ((s->kind == KS_LET || s->kind == KS_SET) && f->live[s->let.var->id]) {
        if (s->kind == KS_LET && !s->let.var->is_mutable && s->let.var->type.base == KBASE_INDEX)
            f->ranges[s->let.var->id] = range_of(f, s->let.value);
        follow_values(f, s->let.value);
    }
}

/* ---- kernels */
static KernelPart part_of(const Follow *f, const KUse *use) {
    KernelPart part = {use->buffer, use->written, -1, 0};
    const Touch *touches = touches_of(f, use->buffer);
    for (int i = kbuffer_axes(use->buffer) - 1; i >= 0; i--)
        if (touches[i].state == TOUCH_OWN && touches[i].unit > 0 && touches[i].low >= 0 &&
            touches[i].high < touches[i].unit) {
            part.axis = i;
            part.size = touches[i].unit;
        }
    return part;
}

KernelParts kernel_parts(KProgram *p, const KKernel *kernel) {
    const KUse *uses;
    const KStmt *loop = kkernel_parallel(kernel);
    KernelParts parts = {.count = kkernel_uses(p, kernel, &uses)};
    Follow f = {.p = p, .live = kkernel_live(p, kernel), .uses = uses, .use_count = parts.count, .fixed = -1};
    f.ranges = ARENA_ARRAY(p->arena, Range, kernel->var_count + 1);
    f.touches = arena_alloc(p->arena, sizeof *f.touches * (size_t)(parts.count + 1));
    follow(&f, kernel->body);
    parts.units = loop ? kloop_count(p, loop) : NULL;
    parts.parts = ARENA_ARRAY(p->arena, KernelPart, parts.count + 1);
    parts.count = 0;
    for (int i = 0; i < f.use_count; i++)
        if (uses[i].read || uses[i].written)
            parts.parts[parts.count++] = part_of(&f, &uses[i]);
    return parts;
}

/* Views of other shapes agree in their outermost axis, if that is cut in pieces of as many elements. */
static bool is_same_part(const KProgram *p, const KernelPart *a, const KernelPart *b) {
    int64_t stride_a[MAX_RANK + 1], stride_b[MAX_RANK + 1], batch = p->module->batch_max;
    if (a->axis < 0 || b->axis < 0)
        return false;
    if (a->buffer == b->buffer && a->axis == b->axis)
        return a->size == b->size;
    kbuffer_strides(a->buffer, batch, stride_a);
    kbuffer_strides(b->buffer, batch, stride_b);
    return a->axis == 0 && b->axis == 0 && a->size * stride_a[0] == b->size * stride_b[0];
}

PartsMeeting kernel_parts_meeting(const KProgram *p, const KernelParts *a, const KernelParts *b) {
    PartsMeeting meeting = PARTS_APART;
    bool same_units = a->units && b->units && kexpr_equal(a->units, b->units);
    for (int i = 0; i < a->count; i++)
        for (int j = 0; j < b->count; j++) {
            const KernelPart *x = &a->parts[i], *y = &b->parts[j];
            if (kbuffer_owner(x->buffer) != kbuffer_owner(y->buffer) || !(x->written || y->written))
                continue;
            if (!same_units || !is_same_part(p, x, y))
                return PARTS_MIXED;
            meeting = PARTS_ALIKE;
        }
    return meeting;
}
