/* Rules for shape ops: what does nothing goes, neighbours of a kind become one. */
#include "passes/simplify.h"

/* The result has the input's type, and every element stays where it is. */
static Value *drop_same_type(Simplify *simplify, const Op *op) {
    (void)simplify;
    return op->inputs[0]->type == op->results[0]->type ? op->inputs[0] : NULL;
}

/* Moving the elements of a constant gives the constant. */
static Value *fold_moved_constant(Simplify *simplify, const Op *op) {
    double number = 0;
    for (int i = 0; i < op->input_count; i++)
        if (!is_const(op->inputs[i], &number) || !is_const(op->inputs[0], &number) || !is_number(op->inputs[i], number))
            return NULL;
    if (op->code == OP_PAD && number != 0)
        return NULL;
    return build_const(&simplify->build, op->results[0]->type, number);
}

/* ---- reshape ---- */

static Value *merge_reshapes(Simplify *simplify, const Op *op) {
    const Op *inner = defined_by(op->inputs[0], OP_RESHAPE);
    return inner ? build_reshape(&simplify->build, inner->inputs[0], op->results[0]->type) : NULL;
}

static Value *reshape_of_repeated_scalar(Simplify *simplify, const Op *op) {
    const Op *inner = defined_by(op->inputs[0], OP_BROADCAST);
    if (!inner || inner->inputs[0]->type->rank != 0)
        return NULL;
    return build_broadcast(&simplify->build, inner->inputs[0], op->results[0]->type, NULL);
}

/* ---- transpose ---- */

/* Whether axes longer than 1 keep their order: then a transpose only moves axes of extent 1. */
static bool moves_units_only(const Type *type, const AxesAttr *axes) {
    int last = -1;
    for (int i = 0; i < type->rank; i++) {
        if (is_unit(type->dims[axes->axes[i]]))
            continue;
        if (axes->axes[i] < last)
            return false;
        last = axes->axes[i];
    }
    return true;
}

static Value *transpose_of_units(Simplify *simplify, const Op *op) {
    if (!moves_units_only(op->inputs[0]->type, &op->attr.axes))
        return NULL;
    return build_reshape(&simplify->build, op->inputs[0], op->results[0]->type);
}

static Value *merge_transposes(Simplify *simplify, const Op *op) {
    const Op *inner = defined_by(op->inputs[0], OP_TRANSPOSE);
    int axes[MAX_RANK];
    if (!inner)
        return NULL;
    for (int i = 0; i < op->attr.axes.count; i++)
        axes[i] = inner->attr.axes.axes[op->attr.axes.axes[i]];
    return build_transpose(&simplify->build, inner->inputs[0], axes);
}

/* The small input is transposed instead, then broadcast to the new places of its axes. */
static Value *transpose_before_broadcast(Simplify *simplify, const Op *op) {
    const Op *inner = defined_by(op->inputs[0], OP_BROADCAST);
    int order[MAX_RANK] = {0}, places[MAX_RANK] = {0}, count = 0;
    if (!inner)
        return NULL;
    for (int i = 0; i < op->attr.axes.count; i++)
        for (int j = 0; j < inner->attr.axes.count; j++)
            if (inner->attr.axes.axes[j] == op->attr.axes.axes[i]) {
                order[count] = j;
                places[count++] = i;
            }
    Value *small = build_transpose(&simplify->build, inner->inputs[0], order);
    return build_broadcast(&simplify->build, small, op->results[0]->type, places);
}

/* ---- broadcast ---- */

static Value *merge_broadcasts(Simplify *simplify, const Op *op) {
    const Op *inner = defined_by(op->inputs[0], OP_BROADCAST);
    int axes[MAX_RANK] = {0};
    if (!inner)
        return NULL;
    for (int i = 0; i < inner->attr.axes.count; i++)
        axes[i] = op->attr.axes.axes[inner->attr.axes.axes[i]];
    return build_broadcast(&simplify->build, inner->inputs[0], op->results[0]->type, axes);
}

/* A broadcast that only adds axes of extent 1 repeats nothing. */
static Value *broadcast_of_units(Simplify *simplify, const Op *op) {
    const Type *in = op->inputs[0]->type, *out = op->results[0]->type;
    int next = 0;
    for (int i = 0; i < out->rank; i++) {
        if (next < in->rank && op->attr.axes.axes[next] == i) {
            if (!dim_equal(in->dims[next], out->dims[i]))
                return NULL;
            next++;
        } else if (!is_unit(out->dims[i])) {
            return NULL;
        }
    }
    return build_reshape(&simplify->build, op->inputs[0], out);
}

/* Axes of extent 1 are not stretched but dropped, so that a broadcast repeats over whole axes. */
static Value *drop_stretched_axes(Simplify *simplify, const Op *op) {
    const Type *in = op->inputs[0]->type;
    Dim dims[MAX_RANK];
    int axes[MAX_RANK] = {0}, count = 0;
    for (int i = 0; i < in->rank; i++) {
        if (is_unit(in->dims[i]))
            continue;
        dims[count] = in->dims[i];
        axes[count++] = op->attr.axes.axes[i];
    }
    if (count == in->rank)
        return NULL;
    Value *small = build_reshape(&simplify->build, op->inputs[0], type_of_dims(simplify, in->dtype, count, dims));
    return build_broadcast(&simplify->build, small, op->results[0]->type, axes);
}

/* ---- reverse ---- */

static Value *reverse_along(Simplify *simplify, Value *value, const bool *along) {
    int axes[MAX_RANK], count = 0;
    for (int i = 0; i < value->type->rank; i++)
        if (along[i])
            axes[count++] = i;
    return build_reverse(&simplify->build, value, axes, count);
}

/* Along an axis of extent 1, or one along which a broadcast repeats, nothing moves. */
static Value *drop_unmoved_axes(Simplify *simplify, const Op *op) {
    const Op *broadcast = defined_by(op->inputs[0], OP_BROADCAST);
    const Type *type = op->results[0]->type;
    bool along[MAX_RANK] = {false}, varies[MAX_RANK] = {false};
    for (int i = 0; broadcast && i < broadcast->attr.axes.count; i++)
        varies[broadcast->attr.axes.axes[i]] = !is_unit(broadcast->inputs[0]->type->dims[i]);
    int kept = 0;
    for (int i = 0; i < op->attr.axes.count; i++) {
        int axis = op->attr.axes.axes[i];
        along[axis] = broadcast ? varies[axis] : !is_unit(type->dims[axis]);
        kept += along[axis];
    }
    return kept < op->attr.axes.count ? reverse_along(simplify, op->inputs[0], along) : NULL;
}

static Value *merge_reverses(Simplify *simplify, const Op *op) {
    const Op *inner = defined_by(op->inputs[0], OP_REVERSE);
    bool along[MAX_RANK] = {false};
    if (!inner)
        return NULL;
    for (int i = 0; i < op->attr.axes.count; i++)
        along[op->attr.axes.axes[i]] = true;
    for (int i = 0; i < inner->attr.axes.count; i++)
        along[inner->attr.axes.axes[i]] = !along[inner->attr.axes.axes[i]];
    return reverse_along(simplify, inner->inputs[0], along);
}

/* ---- slice, pad, concat ---- */

static Value *merge_slices(Simplify *simplify, const Op *op) {
    const Op *inner = defined_by(op->inputs[0], OP_SLICE);
    SliceAttr merged = op->attr.slice;
    if (!inner)
        return NULL;
    for (int i = 0; i < op->results[0]->type->rank; i++) {
        merged.start[i] = inner->attr.slice.start[i] + merged.start[i] * inner->attr.slice.stride[i];
        merged.stride[i] *= inner->attr.slice.stride[i];
    }
    return build_slice(&simplify->build, inner->inputs[0], merged.start, merged.stride, op->results[0]->type);
}

/* A slice that takes out exactly what was padded. */
static Value *slice_of_pad(Simplify *simplify, const Op *op) {
    (void)simplify;
    const Op *inner = defined_by(op->inputs[0], OP_PAD);
    if (!inner || inner->inputs[0]->type != op->results[0]->type)
        return NULL;
    for (int i = 0; i < op->results[0]->type->rank; i++) {
        bool whole = op->results[0]->type->dims[i].n == 1 && !op->results[0]->type->dims[i].batch;
        if (op->attr.slice.start[i] != inner->attr.pad.low[i] ||
            (!whole && op->attr.slice.stride[i] != inner->attr.pad.interior[i] + 1))
            return NULL;
    }
    return inner->inputs[0];
}

/* A slice that lies in one piece of a concat. */
static Value *slice_of_concat(Simplify *simplify, const Op *op) {
    const Op *inner = defined_by(op->inputs[0], OP_CONCAT);
    if (!inner || op->results[0]->type->dims[inner->attr.axis].batch)
        return NULL;
    int axis = inner->attr.axis;
    SliceAttr slice = op->attr.slice;
    int64_t last = slice.start[axis] + (op->results[0]->type->dims[axis].n - 1) * slice.stride[axis], first = 0;
    for (int i = 0; i < inner->input_count; i++) {
        int64_t extent = inner->inputs[i]->type->dims[axis].n;
        if (slice.start[axis] >= first && last < first + extent) {
            slice.start[axis] -= first;
            return build_slice(&simplify->build, inner->inputs[i], slice.start, slice.stride, op->results[0]->type);
        }
        first += extent;
    }
    return NULL;
}

static bool is_plain_growth(const PadAttr *pad, int rank) {
    for (int i = 0; i < rank; i++)
        if (pad->low[i] < 0 || pad->high[i] < 0 || pad->interior[i] != 0)
            return false;
    return true;
}

/* Zeros around zeros, or some of the zeros taken away; nothing that the first one cuts off becomes zero. */
static Value *merge_pads(Simplify *simplify, const Op *op) {
    const Op *inner = defined_by(op->inputs[0], OP_PAD);
    if (!inner)
        return NULL;
    PadAttr merged = inner->attr.pad;
    const PadAttr *outer = &op->attr.pad;
    for (int i = 0; i < op->results[0]->type->rank; i++) {
        if (outer->interior[i] || (merged.low[i] < 0 && outer->low[i] > 0) ||
            (merged.high[i] < 0 && outer->high[i] > 0))
            return NULL;
        merged.low[i] += outer->low[i];
        merged.high[i] += outer->high[i];
    }
    return build_pad(&simplify->build, inner->inputs[0], &merged);
}

static bool varies_along_padding(const Op *broadcast, const PadAttr *pad) {
    for (int i = 0; i < broadcast->attr.axes.count; i++) {
        int axis = broadcast->attr.axes.axes[i];
        if (pad->low[axis] || pad->high[axis] || pad->interior[axis])
            return true;
    }
    return false;
}

/* A product with what is the same along all padded axes: the other factor is padded, which can be done where it is
 * read. So the gradients of products of slices are one sum, and no product is written. */
static Value *pad_before_product(Simplify *simplify, const Op *op) {
    const Op *product = defined_by_map(op->inputs[0], FN_mul);
    if (!product || !used_once(simplify, op->inputs[0]))
        return NULL;
    for (int i = 0; i < 2; i++) {
        const Op *broadcast = defined_by(product->inputs[i], OP_BROADCAST);
        if (!broadcast || varies_along_padding(broadcast, &op->attr.pad))
            continue;
        const Type *type = op->results[0]->type;
        Value *padded = build_pad(&simplify->build, product->inputs[1 - i], &op->attr.pad);
        Value *factor = build_broadcast(&simplify->build, broadcast->inputs[0], type, broadcast->attr.axes.axes);
        return build_mul(&simplify->build, padded, factor);
    }
    return NULL;
}

static Value *drop_lone_concat(Simplify *simplify, const Op *op) {
    (void)simplify;
    return op->input_count == 1 ? op->inputs[0] : NULL;
}

static Value *drop_empty_pad(Simplify *simplify, const Op *op) {
    (void)simplify;
    for (int i = 0; i < op->results[0]->type->rank; i++)
        if (op->attr.pad.low[i] || op->attr.pad.high[i] ||
            (op->attr.pad.interior[i] && !is_unit(op->inputs[0]->type->dims[i])))
            return NULL;
    return op->inputs[0];
}

/* ---- sums of paddings */
enum { MOST_PIECES = 16 };

/* The only axis that is padded, plainly; -1: there is none, or several. */
static int padded_axis(const Op *pad) {
    int found = -1;
    for (int i = 0; i < pad->results[0]->type->rank; i++)
        if (pad->attr.pad.low[i] || pad->attr.pad.high[i]) {
            if (found >= 0)
                return -1;
            found = i;
        }
    return is_plain_growth(&pad->attr.pad, pad->results[0]->type->rank) ? found : -1;
}

static bool collect_pads(const Simplify *simplify, const Value *value, const Op **pads, int *count, int depth) {
    const Op *pad = defined_by(value, OP_PAD), *sum = defined_by_map(value, FN_add);
    if (pad && *count < MOST_PIECES) {
        pads[(*count)++] = pad;
        return true;
    }
    return sum && depth < MOST_PIECES && (depth == 0 || used_once(simplify, value)) &&
           collect_pads(simplify, sum->inputs[0], pads, count, depth + 1) &&
           collect_pads(simplify, sum->inputs[1], pads, count, depth + 1);
}

/* Pieces with zeros around them that fill an axis together are a concatenation: the gradient of slices. */
static Value *concat_of_pads(Simplify *simplify, const Op *op) {
    const Op *pads[MOST_PIECES];
    Value *pieces[MOST_PIECES];
    int count = 0, axis;
    if (op->attr.scalar != FN_add || !collect_pads(simplify, op->results[0], pads, &count, 0) ||
        (axis = padded_axis(pads[0])) < 0)
        return NULL;
    int64_t end = 0;
    for (int found = 0; found < count; found++) {
        int at = 0;
        while (at < count && (padded_axis(pads[at]) != axis || pads[at]->attr.pad.low[axis] != end))
            at++;
        if (at == count)
            return NULL;
        pieces[found] = pads[at]->inputs[0];
        end += pieces[found]->type->dims[axis].n;
    }
    return end == op->results[0]->type->dims[axis].n ? build_concat(&simplify->build, pieces, count, axis) : NULL;
}

const SimplifyRule simplify_shape_rules[] = {
    {OP_MAP, concat_of_pads},
    {OP_RESHAPE, drop_same_type},
    {OP_RESHAPE, fold_moved_constant},
    {OP_RESHAPE, merge_reshapes},
    {OP_RESHAPE, reshape_of_repeated_scalar},
    {OP_TRANSPOSE, fold_moved_constant},
    {OP_TRANSPOSE, transpose_of_units},
    {OP_TRANSPOSE, merge_transposes},
    {OP_TRANSPOSE, transpose_before_broadcast},
    {OP_BROADCAST, drop_same_type},
    {OP_BROADCAST, fold_moved_constant},
    {OP_BROADCAST, merge_broadcasts},
    {OP_BROADCAST, broadcast_of_units},
    {OP_BROADCAST, drop_stretched_axes},
    {OP_REVERSE, fold_moved_constant},
    {OP_REVERSE, drop_unmoved_axes},
    {OP_REVERSE, merge_reverses},
    {OP_SLICE, drop_same_type},
    {OP_SLICE, fold_moved_constant},
    {OP_SLICE, merge_slices},
    {OP_SLICE, slice_of_pad},
    {OP_SLICE, slice_of_concat},
    {OP_PAD, drop_empty_pad},
    {OP_PAD, fold_moved_constant},
    {OP_PAD, merge_pads},
    {OP_PAD, pad_before_product},
    {OP_CONCAT, drop_lone_concat},
    {OP_CONCAT, fold_moved_constant},
};
const int simplify_shape_rule_count = sizeof simplify_shape_rules / sizeof *simplify_shape_rules;
