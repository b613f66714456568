/* Dispatches op_infer to the function of the op and holds what these functions share. Messages are meant for users:
 * they name the shapes that disagree. */
#include "ir/infer.h"

static InferFn *const rules[OP_COUNT] = {
#define OP(code, ...) [OP_##code] = infer_##code,
#include "ir/ops.def"
#undef OP
};

static const char *op_name(const Infer *infer) {
    return infer->code == OP_MAP ? scalar_infos[infer->attr->scalar].name : op_infos[infer->code].name;
}

bool infer_fail(const Infer *infer, const char *format, ...) {
    Text message = {0};
    va_list arguments;
    va_start(arguments, format);
    text_vformat(&message, format, arguments);
    va_end(arguments);
    diag_error(infer->module->diag, infer->span, "%s: %s", op_name(infer), message.data);
    text_free(&message);
    return false;
}

const char *infer_type(const Infer *infer, const Type *type) {
    return type_text(infer->module->arena, type);
}

const char *infer_dim(const Infer *infer, Dim dim) {
    return dim_text(infer->module->arena, dim);
}

static bool check_result(const Infer *infer, const Type *type) {
    if (type_is_valid(infer->module, type))
        return true;
    for (int i = 0; i < type->rank; i++) {
        if (type->dims[i].n < 1)
            return infer_fail(infer, "axis %d of the result %s would be empty", i, infer_type(infer, type));
        if (type->dims[i].batch && i > 0)
            return infer_fail(infer, "the batch axis of the result %s is not the first", infer_type(infer, type));
    }
    return infer_fail(infer, "the result %s has more than 2^%d elements", infer_type(infer, type), MAX_ELEMENTS_LOG2);
}

bool infer_give(const Infer *infer, Dtype dtype, int rank, const Dim *dims) {
    if (rank > MAX_RANK)
        return infer_fail(infer, "the result would have %d axes; at most %d are possible", rank, MAX_RANK);
    const Type *type = type_get(infer->module, dtype, rank, dims);
    if (!type || !check_result(infer, type))
        return false;
    if (infer->wanted && infer->wanted != type)
        return infer_fail(infer, "the result is %s, not %s", infer_type(infer, type), infer_type(infer, infer->wanted));
    infer->result[0] = type;
    return true;
}

bool infer_needs_wanted(const Infer *infer) {
    return infer->wanted ? true : infer_fail(infer, "the type of the result must be given");
}

bool infer_same(const Infer *infer) {
    const Type *type = infer_input(infer, 0);
    return infer_give(infer, type->dtype, type->rank, type->dims);
}

bool infer_expect_dtype(const Infer *infer, int i, Dtype dtype) {
    if (infer_input(infer, i)->dtype == dtype)
        return true;
    return infer_fail(infer, "input %d must be %s, not %s", i + 1, dtype_names[dtype],
                      infer_type(infer, infer_input(infer, i)));
}

bool op_infer(Module *module, OpCode code, const OpAttr *attr, Value *const *inputs, int input_count,
              const Type *wanted, Span span, const Type **result) {
    Infer infer = {module, code, attr, inputs, input_count, wanted, span, result};
    int count = op_infos[code].inputs;
    if (count >= 0 ? input_count != count : input_count < 1)
        return infer_fail(&infer, "takes %s%d input%s, not %d", count < 0 ? "at least " : "", count < 0 ? 1 : count,
                          count == 1 || count < 0 ? "" : "s", input_count);
    return (!wanted || check_result(&infer, wanted)) && rules[code](&infer);
}
