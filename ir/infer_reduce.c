/* Result types of reductions, indexing, state and differentiation. Ops with regions get their types from the region,
 * see ir/verify.c. */
#include "ir/infer.h"

/* ---- reductions ---- */

bool infer_REDUCE(const Infer *infer) {
    const Type *from = infer_input(infer, 0);
    const AxesAttr *over = &infer->attr->reduce.over;
    bool gone[MAX_RANK] = {false};
    Dim dims[MAX_RANK];
    int rank = 0;
    if (from->dtype == DTYPE_BOOL)
        return infer_fail(infer, "needs numbers, not %s", infer_type(infer, from));
    for (int i = 0; i < over->count; i++) {
        int axis = over->axes[i];
        if (axis < 0 || axis >= from->rank)
            return infer_fail(infer, "%s has no axis %d", infer_type(infer, from), axis);
        if (i > 0 && axis <= over->axes[i - 1])
            return infer_fail(infer, "the axes over %s must increase", infer_type(infer, from));
        gone[axis] = true;
    }
    for (int i = 0; i < from->rank; i++)
        if (!gone[i])
            dims[rank++] = from->dims[i];
    return infer_give(infer, from->dtype, rank, dims);
}

bool infer_ARGMAX(const Infer *infer) {
    const Type *from = infer_input(infer, 0);
    int axis = infer->attr->axis;
    Dim dims[MAX_RANK];
    int rank = 0;
    if (axis < 0 || axis >= from->rank)
        return infer_fail(infer, "%s has no axis %d", infer_type(infer, from), axis);
    for (int i = 0; i < from->rank; i++)
        if (i != axis)
            dims[rank++] = from->dims[i];
    return infer_give(infer, DTYPE_I32, rank, dims);
}

/* ---- indexing ---- */

bool infer_GATHER(const Infer *infer) {
    const Type *table = infer_input(infer, 0), *ids = infer_input(infer, 1);
    Dim dims[2 * MAX_RANK];
    if (!infer_expect_dtype(infer, 1, DTYPE_I32))
        return false;
    if (table->rank == 0)
        return infer_fail(infer, "the table %s has no rows", infer_type(infer, table));
    int rank = 0;
    for (int i = 0; i < ids->rank; i++)
        dims[rank++] = ids->dims[i];
    for (int i = 1; i < table->rank; i++)
        dims[rank++] = table->dims[i];
    return infer_give(infer, table->dtype, rank, dims);
}

bool infer_SCATTER_ADD(const Infer *infer) {
    if (!infer_needs_wanted(infer) || !infer_expect_dtype(infer, 0, DTYPE_I32))
        return false;
    const Type *ids = infer_input(infer, 0), *rows = infer_input(infer, 1), *to = infer->wanted;
    bool fits = to->rank >= 1 && rows->rank == ids->rank + to->rank - 1;
    for (int i = 0; fits && i < rows->rank; i++)
        fits = dim_equal(rows->dims[i], i < ids->rank ? ids->dims[i] : to->dims[i - ids->rank + 1]);
    if (!fits)
        return infer_fail(infer, "rows %s for ids %s do not fit into a table %s", infer_type(infer, rows),
                          infer_type(infer, ids), infer_type(infer, to));
    if (rows->dtype == DTYPE_BOOL)
        return infer_fail(infer, "needs numbers, not %s", infer_type(infer, rows));
    return infer_give(infer, rows->dtype, to->rank, to->dims);
}

/* ---- state and differentiation ---- */

bool infer_GRAD(const Infer *infer) {
    const Type *loss = infer_input(infer, 0);
    if (loss != type_scalar(infer->module, DTYPE_F32))
        return infer_fail(infer, "the loss must be an f32 scalar, not %s", infer_type(infer, loss));
    for (int i = 1; i < infer->input_count; i++) {
        if (!infer_expect_dtype(infer, i, DTYPE_F32))
            return false;
        infer->result[i - 1] = infer_input(infer, i);
    }
    return true;
}

bool infer_ASSIGN(const Infer *infer) {
    const Variable *variable = infer->attr->variable;
    const Type *type = infer_input(infer, 0);
    return type == variable->type || infer_fail(infer, "%s is %s and cannot become %s", variable->name,
                                                infer_type(infer, variable->type), infer_type(infer, type));
}

/* ---- regions ---- */

static bool infer_region(const Infer *infer) {
    diag_internal(infer->module->diag, infer->span, "the results of %s come from its region",
                  op_infos[infer->code].name);
    return false;
}

bool infer_SCAN(const Infer *infer) {
    return infer_region(infer);
}

bool infer_FUSION(const Infer *infer) {
    return infer_region(infer);
}
