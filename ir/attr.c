/* Equality of attributes, one function per kind, so that unused array elements never count. */
#include <string.h>
#include "ir/ir.h"

typedef bool EqualFn(const Op *, const Op *);

static bool equal_none(const Op *a, const Op *b) {
    return a->code == b->code;
}

/* Bits, not values: 0 and -0 differ, one NaN equals itself. */
static bool equal_constant(const Op *a, const Op *b) {
    return memcmp(&a->attr.constant, &b->attr.constant, sizeof(double)) == 0;
}

static bool equal_axis(const Op *a, const Op *b) {
    return a->attr.axis == b->attr.axis;
}

static bool equal_variable(const Op *a, const Op *b) {
    return a->attr.variable == b->attr.variable;
}

static bool equal_scalar(const Op *a, const Op *b) {
    return a->attr.scalar == b->attr.scalar;
}

static bool same_axes(const AxesAttr *a, const AxesAttr *b) {
    return a->count == b->count && memcmp(a->axes, b->axes, sizeof *a->axes * (size_t)a->count) == 0;
}

static bool equal_axes(const Op *a, const Op *b) {
    return same_axes(&a->attr.axes, &b->attr.axes);
}

static bool same_numbers(const int64_t *a, const int64_t *b, int count) {
    return memcmp(a, b, sizeof *a * (size_t)count) == 0;
}

static int rank_of(const Op *op) {
    return op->inputs[0]->type->rank;
}

static bool equal_slice(const Op *a, const Op *b) {
    int rank = rank_of(a);
    return rank == rank_of(b) && same_numbers(a->attr.slice.start, b->attr.slice.start, rank) &&
           same_numbers(a->attr.slice.stride, b->attr.slice.stride, rank);
}

static bool equal_pad(const Op *a, const Op *b) {
    int rank = rank_of(a);
    return rank == rank_of(b) && same_numbers(a->attr.pad.low, b->attr.pad.low, rank) &&
           same_numbers(a->attr.pad.high, b->attr.pad.high, rank) &&
           same_numbers(a->attr.pad.interior, b->attr.pad.interior, rank);
}

static bool equal_reduce(const Op *a, const Op *b) {
    return a->attr.reduce.kind == b->attr.reduce.kind && same_axes(&a->attr.reduce.over, &b->attr.reduce.over);
}

static bool equal_random(const Op *a, const Op *b) {
    return a->attr.random.kind == b->attr.random.kind && a->attr.random.stream == b->attr.random.stream;
}

static bool same_labels(const int8_t *a, const int8_t *b, const Value *x, const Value *y) {
    return x->type->rank == y->type->rank && memcmp(a, b, (size_t)x->type->rank) == 0;
}

static bool equal_einsum(const Op *a, const Op *b) {
    const EinsumAttr *x = &a->attr.einsum, *y = &b->attr.einsum;
    return same_labels(x->a, y->a, a->inputs[0], b->inputs[0]) && same_labels(x->b, y->b, a->inputs[1], b->inputs[1]) &&
           same_labels(x->out, y->out, a->results[0], b->results[0]);
}

static bool equal_window(const Op *a, const Op *b) {
    const WindowAttr *x = &a->attr.window, *y = &b->attr.window;
    int count = x->spatial;
    bool pools = op_infos[a->code].op_class == CLASS_WINDOW;
    return count == y->spatial && (!pools || x->kind == y->kind) && same_numbers(x->size, y->size, count) &&
           same_numbers(x->stride, y->stride, count) && same_numbers(x->dilation, y->dilation, count) &&
           same_numbers(x->low, y->low, count) && same_numbers(x->high, y->high, count);
}

static bool equal_scan(const Op *a, const Op *b) {
    const ScanAttr *x = &a->attr.scan, *y = &b->attr.scan;
    return x->steps == y->steps && x->carried == y->carried && x->sequences == y->sequences && x->reverse == y->reverse;
}

static bool equal_fusion(const Op *a, const Op *b) {
    return a->attr.fusion.kind == b->attr.fusion.kind;
}

static EqualFn *const equals[OP_COUNT] = {
#define OP(code, text, inputs, results, op_class, attributes, flags) [OP_##code] = equal_##attributes,
#include "ir/ops.def"
#undef OP
};

bool op_attr_equal(const Op *a, const Op *b) {
    return a->code == b->code && equals[a->code](a, b);
}

bool window_is_disjoint(const WindowAttr *w) {
    for (int s = 0; s < w->spatial; s++)
        if (w->stride[s] < w->size[s] || w->dilation[s] != 1)
            return false;
    return true;
}
