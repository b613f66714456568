/* The builder, second part: shapes, reductions, contractions, windows, indexing. */
#include <ctype.h>
#include <string.h>
#include "ir/build.h"
#include "ir/infer.h"

/* Axes may be counted from the end, as in Keras: -1 is the last. */
static int axis_of(const Value *value, int axis) {
    return axis < 0 ? axis + value->type->rank : axis;
}

/* The axes counted from the start and in increasing order. */
static AxesAttr sorted_axes(const Value *x, const int *axes, int count) {
    AxesAttr sorted = {.count = 0};
    for (int i = 0; i < count && i < MAX_RANK; i++) {
        int axis = axis_of(x, axes[i]), at = sorted.count++;
        for (; at > 0 && sorted.axes[at - 1] > axis; at--)
            sorted.axes[at] = sorted.axes[at - 1];
        sorted.axes[at] = axis;
    }
    return sorted;
}

/* ---- shapes ---- */

Value *build_reshape(Builder *builder, Value *x, const Type *type) {
    if (!x || !type || x->type == type)
        return type ? x : NULL;
    return build_op(builder, OP_RESHAPE, NULL, &x, 1, type);
}

Value *build_flatten(Builder *builder, Value *x) {
    if (!x)
        return NULL;
    if (x->type->rank == 0) {
        diag_error(builder->module->diag, builder->span, "a scalar cannot be flattened");
        return NULL;
    }
    Dim dims[2] = {x->type->dims[0], dim_static(1)};
    for (int i = 1; i < x->type->rank; i++)
        dims[1].n *= x->type->dims[i].n;
    return build_reshape(builder, x, type_get(builder->module, x->type->dtype, 2, dims));
}

Value *build_transpose(Builder *builder, Value *x, const int *axes) {
    if (!x)
        return NULL;
    OpAttr attr = {.axes = {.count = x->type->rank}};
    bool moved = false;
    for (int i = 0; i < x->type->rank; i++) {
        attr.axes.axes[i] = axis_of(x, axes[i]);
        moved |= attr.axes.axes[i] != i;
    }
    return moved ? build_op(builder, OP_TRANSPOSE, &attr, &x, 1, NULL) : x;
}

Value *build_broadcast(Builder *builder, Value *x, const Type *type, const int *axes) {
    if (!x || !type || x->type == type)
        return type ? x : NULL;
    OpAttr attr = {.axes = {.count = x->type->rank}};
    for (int i = 0; i < x->type->rank; i++)
        attr.axes.axes[i] = axes[i];
    return build_op(builder, OP_BROADCAST, &attr, &x, 1, type);
}

Value *build_slice(Builder *builder, Value *x, const int64_t *start, const int64_t *stride, const Type *type) {
    if (!x || !type)
        return NULL;
    OpAttr attr = {0};
    for (int i = 0; i < x->type->rank; i++) {
        attr.slice.start[i] = start[i];
        attr.slice.stride[i] = stride[i];
    }
    return build_op(builder, OP_SLICE, &attr, &x, 1, type);
}

Value *build_pad(Builder *builder, Value *x, const PadAttr *pad) {
    return build_op(builder, OP_PAD, &(OpAttr){.pad = *pad}, &x, 1, NULL);
}

Value *build_concat(Builder *builder, Value **inputs, int count, int axis) {
    if (count == 0 || !inputs[0])
        return NULL;
    return build_op(builder, OP_CONCAT, &(OpAttr){.axis = axis_of(inputs[0], axis)}, inputs, count, NULL);
}

Value *build_reverse(Builder *builder, Value *x, const int *axes, int count) {
    if (!x || count == 0)
        return x;
    OpAttr attr = {.axes = sorted_axes(x, axes, count)};
    return build_op(builder, OP_REVERSE, &attr, &x, 1, NULL);
}

Value *build_copy(Builder *builder, Value *x) {
    return build_op(builder, OP_COPY, NULL, &x, 1, NULL);
}

/* ---- reductions ---- */

Value *build_reduce(Builder *builder, ReduceKind kind, Value *x, const int *axes, int count) {
    if (!x || count == 0)
        return x;
    OpAttr attr = {.reduce = {kind, sorted_axes(x, axes, count)}};
    return build_op(builder, OP_REDUCE, &attr, &x, 1, NULL);
}

Value *build_reduce_keep(Builder *builder, ReduceKind kind, Value *x, const int *axes, int count) {
    Value *reduced = build_reduce(builder, kind, x, axes, count);
    if (!reduced)
        return NULL;
    AxesAttr over = sorted_axes(x, axes, count);
    Dim dims[MAX_RANK];
    memcpy(dims, x->type->dims, sizeof dims);
    for (int i = 0; i < over.count; i++)
        dims[over.axes[i]] = dim_static(1);
    return build_reshape(builder, reduced, type_get(builder->module, x->type->dtype, x->type->rank, dims));
}

Value *build_sum(Builder *builder, Value *x, const int *axes, int count) {
    return build_reduce(builder, REDUCE_SUM, x, axes, count);
}

Value *build_mean(Builder *builder, Value *x, const int *axes, int count) {
    Value *sum = build_sum(builder, x, axes, count);
    if (!sum)
        return NULL;
    AxesAttr over = sorted_axes(x, axes, count);
    bool batch = false;
    double number = 1; /* of elements, for each sample where the batch axis goes */
    for (int i = 0; i < over.count; i++) {
        batch |= x->type->dims[over.axes[i]].batch;
        number *= (double)x->type->dims[over.axes[i]].n;
    }
    if (!batch)
        return number == 1 ? sum : build_scale(builder, sum, 1 / number);
    Value *divisor = build_batch_size(builder);
    return build_div(builder, sum, number == 1 ? divisor : build_scale(builder, divisor, number));
}

static const int first_axes[MAX_RANK] = {0, 1, 2, 3, 4, 5};

Value *build_sum_all(Builder *builder, Value *x) {
    return x ? build_sum(builder, x, first_axes, x->type->rank) : NULL;
}

Value *build_mean_all(Builder *builder, Value *x) {
    return x ? build_mean(builder, x, first_axes, x->type->rank) : NULL;
}

Value *build_argmax(Builder *builder, Value *x, int axis) {
    return x ? build_op(builder, OP_ARGMAX, &(OpAttr){.axis = axis_of(x, axis)}, &x, 1, NULL) : NULL;
}

/* ---- contractions, windows, indexing ---- */

typedef struct {
    char letters[MAX_LABELS + 1]; /* label number -> letter, in order of appearance */
    int count;
} Letters;

/* Reads labels up to one of `ends`; -1 if there are too many or anything else than letters. */
static int read_labels(Letters *letters, const char **text, const char *ends, int8_t *labels) {
    int rank = 0;
    for (; **text && !strchr(ends, **text); ++*text) {
        const char *known = strchr(letters->letters, **text);
        if (!isalpha((unsigned char)**text) || rank == MAX_RANK || (!known && letters->count == MAX_LABELS))
            return -1;
        labels[rank++] = (int8_t)(known ? known - letters->letters : letters->count);
        if (!known)
            letters->letters[letters->count++] = **text;
    }
    return rank;
}

/* Reads "mk,kn->mn" for inputs of the given ranks. */
static bool read_einsum(const char *text, const int ranks[2], EinsumAttr *attr, Letters *letters) {
    if (read_labels(letters, &text, ",", attr->a) != ranks[0] || *text++ != ',')
        return false;
    if (read_labels(letters, &text, "-", attr->b) != ranks[1] || strncmp(text, "->", 2) != 0)
        return false;
    text += 2;
    int rank = read_labels(letters, &text, "", attr->out);
    attr->out_rank = (int8_t)rank;
    return rank >= 0;
}

Value *build_einsum(Builder *builder, const char *labels, Value *x, Value *y) {
    if (!x || !y)
        return NULL;
    Letters letters = {{0}, 0};
    OpAttr attr = {0};
    Module *module = builder->module;
    if (!read_einsum(labels, (int[]){x->type->rank, y->type->rank}, &attr.einsum, &letters)) {
        diag_error(module->diag, builder->span, "einsum: the labels \"%s\" do not fit %s and %s", labels,
                   type_text(module->arena, x->type), type_text(module->arena, y->type));
        return NULL;
    }
    Value *inputs[2] = {x, y};
    const Type *type;
    Infer infer = {module, OP_EINSUM, &attr, inputs, 2, NULL, builder->span, &type};
    if (!infer_einsum_named(&infer, letters.letters))
        return NULL;
    return build_op(builder, OP_EINSUM, &attr, inputs, 2, NULL);
}

Value *build_conv(Builder *builder, Value *x, Value *kernel, const WindowAttr *window) {
    return build_op(builder, OP_CONV, &(OpAttr){.window = *window}, (Value *[]){x, kernel}, 2, NULL);
}

Value *build_pool(Builder *builder, Value *x, const WindowAttr *window) {
    return build_op(builder, OP_POOL, &(OpAttr){.window = *window}, &x, 1, NULL);
}

Value *build_gather(Builder *builder, Value *table, Value *ids) {
    return build_op(builder, OP_GATHER, NULL, (Value *[]){table, ids}, 2, NULL);
}
