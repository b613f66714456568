/* Result types of elementwise ops: map, cast, stop_gradient. */
#include "ir/infer.h"

/* Functions of floats that integers have too, with the same meaning; the others take only floats. Comparisons take
 * any dtype, logic takes bool, select picks from any. */
static const bool accepts_integers[FN_COUNT] = {
    [FN_add] = true, [FN_sub] = true, [FN_mul] = true, [FN_neg] = true,
    [FN_max] = true, [FN_min] = true, [FN_abs] = true, [FN_sign] = true,
};
static const bool is_logic[FN_COUNT] = {[FN_and] = true, [FN_or] = true, [FN_not] = true};

static bool check_dtype(const Infer *infer, ScalarFn fn, Dtype dtype) {
    if (fn == FN_select || scalar_infos[fn].gives_bool)
        return true;
    if (is_logic[fn])
        return dtype == DTYPE_BOOL || infer_fail(infer, "needs truth values, not %s", dtype_names[dtype]);
    if (dtype == DTYPE_F32 || (dtype == DTYPE_I32 && accepts_integers[fn]))
        return true;
    return infer_fail(infer, "is not defined for %s; cast to f32 first", dtype_names[dtype]);
}

static bool check_same_dims(const Infer *infer, int i) {
    const Type *first = infer_input(infer, 0), *other = infer_input(infer, i);
    if (type_equal_dims(first, other))
        return true;
    return infer_fail(infer, "the shapes %s and %s differ", infer_type(infer, first), infer_type(infer, other));
}

bool infer_MAP(const Infer *infer) {
    ScalarFn fn = infer->attr->scalar;
    if (infer->input_count != scalar_infos[fn].arity)
        return infer_fail(infer, "takes %d input%s, not %d", scalar_infos[fn].arity,
                          scalar_infos[fn].arity == 1 ? "" : "s", infer->input_count);
    int first = fn == FN_select; /* of the inputs with the dtype that matters */
    if (fn == FN_select && !infer_expect_dtype(infer, 0, DTYPE_BOOL))
        return false;
    const Type *type = infer_input(infer, first);
    for (int i = 0; i < infer->input_count; i++) {
        if (!check_same_dims(infer, i))
            return false;
        if (i > first && infer_input(infer, i)->dtype != type->dtype)
            return infer_fail(infer, "the inputs are of different kinds: %s and %s", infer_type(infer, type),
                              infer_type(infer, infer_input(infer, i)));
    }
    if (!check_dtype(infer, fn, type->dtype))
        return false;
    return infer_give(infer, scalar_infos[fn].gives_bool ? DTYPE_BOOL : type->dtype, type->rank, type->dims);
}

bool infer_CAST(const Infer *infer) {
    const Type *type = infer_input(infer, 0);
    if (!infer_needs_wanted(infer))
        return false;
    return infer_give(infer, infer->wanted->dtype, type->rank, type->dims);
}

bool infer_STOP_GRADIENT(const Infer *infer) {
    return infer_same(infer);
}
