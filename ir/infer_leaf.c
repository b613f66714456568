/* Result types of leaves: const, iota, variable, batch_size, random. */
#include <math.h>
#include "ir/infer.h"

static bool give_wanted(const Infer *infer) {
    return infer_give(infer, infer->wanted->dtype, infer->wanted->rank, infer->wanted->dims);
}

static bool fail_number(const Infer *infer, const char *what) {
    char number[32];
    text_number(number, infer->attr->constant);
    return infer_fail(infer, "%s is no %s", number, what);
}

bool infer_CONST(const Infer *infer) {
    double value = infer->attr->constant;
    if (!infer_needs_wanted(infer))
        return false;
    if (infer->wanted->dtype == DTYPE_I32 && !(value == floor(value) && fabs(value) <= 2147483647))
        return fail_number(infer, "32-bit integer");
    if (infer->wanted->dtype == DTYPE_BOOL && value != 0 && value != 1)
        return fail_number(infer, "truth value");
    return give_wanted(infer);
}

bool infer_IOTA(const Infer *infer) {
    if (!infer_needs_wanted(infer))
        return false;
    if (infer->attr->axis < 0 || infer->attr->axis >= infer->wanted->rank)
        return infer_fail(infer, "%s has no axis %d", infer_type(infer, infer->wanted), infer->attr->axis);
    if (infer->wanted->dtype == DTYPE_BOOL)
        return infer_fail(infer, "the result must hold numbers, not %s", infer_type(infer, infer->wanted));
    return give_wanted(infer);
}

bool infer_VARIABLE(const Infer *infer) {
    const Type *type = infer->attr->variable->type;
    return infer_give(infer, type->dtype, type->rank, type->dims);
}

bool infer_BATCH_SIZE(const Infer *infer) {
    return infer_give(infer, DTYPE_F32, 0, NULL);
}

bool infer_RANDOM(const Infer *infer) {
    if (!infer_needs_wanted(infer))
        return false;
    const Type *number = type_scalar(infer->module, DTYPE_I32);
    for (int i = 0; i < 2; i++)
        if (infer_input(infer, i) != number)
            return infer_fail(infer, "the %s must be an i32 scalar, not %s", i ? "step" : "seed",
                              infer_type(infer, infer_input(infer, i)));
    if (infer->wanted->dtype != DTYPE_F32)
        return infer_fail(infer, "the result must be f32, not %s", infer_type(infer, infer->wanted));
    if (infer->attr->random.stream < 0)
        return infer_fail(infer, "stream %d is negative", infer->attr->random.stream);
    return give_wanted(infer);
}
