/* Result types of ops that move elements: reshape, transpose, broadcast, slice, pad, concat, reverse, copy. */
#include <stdlib.h>
#include "ir/infer.h"

enum { FAR = 1 << 30 }; /* bound on starts, strides and paddings: sums of them cannot overflow */

static bool has_batch(const Type *type) {
    return type->rank > 0 && type->dims[0].batch;
}

static bool expect_rank(const Infer *infer, const Type *type, int rank) {
    return type->rank == rank || infer_fail(infer, "%s has not %d axes", infer_type(infer, type), rank);
}

bool infer_RESHAPE(const Infer *infer) {
    if (!infer_needs_wanted(infer))
        return false;
    const Type *from = infer_input(infer, 0), *to = infer->wanted;
    if (type_is_valid(infer->module, to) &&
        (has_batch(from) != has_batch(to) || type_count(from, 1) != type_count(to, 1)))
        return infer_fail(infer, "%s and %s have different numbers of elements (%lld%s and %lld%s)",
                          infer_type(infer, from), infer_type(infer, to), (long long)type_count(from, 1),
                          has_batch(from) ? " per sample" : "", (long long)type_count(to, 1),
                          has_batch(to) ? " per sample" : "");
    return infer_give(infer, from->dtype, to->rank, to->dims);
}

bool infer_TRANSPOSE(const Infer *infer) {
    const Type *from = infer_input(infer, 0);
    const AxesAttr *attr = &infer->attr->axes;
    Dim dims[MAX_RANK];
    bool seen[MAX_RANK] = {false};
    if (attr->count != from->rank)
        return infer_fail(infer, "%d axes are given for %s", attr->count, infer_type(infer, from));
    for (int i = 0; i < from->rank; i++) {
        int axis = attr->axes[i];
        if (axis < 0 || axis >= from->rank || seen[axis])
            return infer_fail(infer, "the axes are no permutation of those of %s", infer_type(infer, from));
        seen[axis] = true;
        dims[i] = from->dims[axis];
    }
    return infer_give(infer, from->dtype, from->rank, dims);
}

bool infer_BROADCAST(const Infer *infer) {
    if (!infer_needs_wanted(infer))
        return false;
    const Type *from = infer_input(infer, 0), *to = infer->wanted;
    const AxesAttr *attr = &infer->attr->axes;
    if (attr->count != from->rank)
        return infer_fail(infer, "%d axes are given for %s", attr->count, infer_type(infer, from));
    for (int i = 0; i < from->rank; i++) {
        int axis = attr->axes[i];
        if (axis < 0 || axis >= to->rank || (i > 0 && axis <= attr->axes[i - 1]))
            return infer_fail(infer, "the axes must increase and be axes of %s", infer_type(infer, to));
        Dim dim = from->dims[i];
        if (!dim_equal(dim, to->dims[axis]) && !dim_equal(dim, dim_static(1)))
            return infer_fail(infer, "%s does not become %s: axis %d of the result is %s, the input has %s",
                              infer_type(infer, from), infer_type(infer, to), axis, infer_dim(infer, to->dims[axis]),
                              infer_dim(infer, dim));
    }
    return infer_give(infer, from->dtype, to->rank, to->dims);
}

bool infer_SLICE(const Infer *infer) {
    if (!infer_needs_wanted(infer))
        return false;
    const Type *from = infer_input(infer, 0), *to = infer->wanted;
    if (!expect_rank(infer, to, from->rank))
        return false;
    for (int i = 0; i < from->rank; i++) {
        int64_t start = infer->attr->slice.start[i], stride = infer->attr->slice.stride[i], extent = to->dims[i].n;
        if (from->dims[i].batch || to->dims[i].batch) {
            if (!dim_equal(from->dims[i], to->dims[i]) || start != 0 || stride != 1)
                return infer_fail(infer, "the batch axis can only be taken whole (%s from %s)", infer_type(infer, to),
                                  infer_type(infer, from));
            continue;
        }
        bool fits = start >= 0 && stride >= 1 && extent >= 1 && start < from->dims[i].n &&
                    (extent == 1 || (from->dims[i].n - 1 - start) / stride >= extent - 1);
        if (!fits)
            return infer_fail(infer, "%lld elements from %lld by %lld do not lie within axis %d of %s",
                              (long long)extent, (long long)start, (long long)stride, i, infer_type(infer, from));
    }
    return infer_give(infer, from->dtype, to->rank, to->dims);
}

bool infer_PAD(const Infer *infer) {
    const Type *from = infer_input(infer, 0);
    const PadAttr *attr = &infer->attr->pad;
    Dim dims[MAX_RANK];
    for (int i = 0; i < from->rank; i++) {
        int64_t low = attr->low[i], high = attr->high[i], interior = attr->interior[i];
        dims[i] = from->dims[i];
        if (llabs(low) > FAR || llabs(high) > FAR || interior > FAR || interior < 0)
            return infer_fail(infer, "a padding of %lld, %lld, %lld of axis %d is not possible", (long long)low,
                              (long long)high, (long long)interior, i);
        if (dims[i].batch && (low || high || interior))
            return infer_fail(infer, "the batch axis of %s cannot be padded", infer_type(infer, from));
        if (dims[i].batch)
            continue;
        if (interior > 0 && dims[i].n > ((int64_t)1 << MAX_ELEMENTS_LOG2) / (interior + 1))
            return infer_fail(infer, "axis %d of %s would become too long", i, infer_type(infer, from));
        dims[i].n += low + high + (dims[i].n - 1) * interior;
    }
    return infer_give(infer, from->dtype, from->rank, dims);
}

bool infer_CONCAT(const Infer *infer) {
    const Type *first = infer_input(infer, 0);
    int axis = infer->attr->axis;
    if (axis < 0 || axis >= first->rank)
        return infer_fail(infer, "%s has no axis %d", infer_type(infer, first), axis);
    Dim dims[MAX_RANK];
    for (int i = 0; i < first->rank; i++)
        dims[i] = first->dims[i];
    for (int k = 1; k < infer->input_count; k++) {
        const Type *other = infer_input(infer, k);
        bool fits = other->rank == first->rank && other->dtype == first->dtype;
        for (int i = 0; fits && i < first->rank; i++)
            fits = i == axis ? first->dims[i].batch == other->dims[i].batch : dim_equal(first->dims[i], other->dims[i]);
        if (!fits)
            return infer_fail(infer, "%s and %s differ in more than the length of axis %d", infer_type(infer, first),
                              infer_type(infer, other), axis);
        if (dims[axis].n <= (int64_t)1 << MAX_ELEMENTS_LOG2)
            dims[axis].n += other->dims[axis].n;
    }
    return infer_give(infer, first->dtype, first->rank, dims);
}

bool infer_REVERSE(const Infer *infer) {
    const Type *from = infer_input(infer, 0);
    const AxesAttr *attr = &infer->attr->axes;
    for (int i = 0; i < attr->count; i++) {
        int axis = attr->axes[i];
        if (axis < 0 || axis >= from->rank || (i > 0 && axis <= attr->axes[i - 1]))
            return infer_fail(infer, "the axes must increase and be axes of %s", infer_type(infer, from));
        if (from->dims[axis].batch)
            return infer_fail(infer, "the batch axis of %s cannot be reversed", infer_type(infer, from));
    }
    return infer_same(infer);
}

bool infer_COPY(const Infer *infer) {
    return infer_same(infer);
}
