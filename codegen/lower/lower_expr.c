/* Expressions of lowering: what a value is at an index, as loads from memory and scalar functions. Views become index
 * arithmetic, pointwise ops become functions of their operands at the same index. */
#include "codegen/lower/lower.h"

KBase lower_base(Dtype dtype) {
    return dtype == DTYPE_F32 ? KBASE_F32 : dtype == DTYPE_I32 ? KBASE_I32 : KBASE_BOOL;
}

static bool is_here(const Nest *nest, const Value *value, KExpr *const *index) {
    if (value->type->rank != nest->parallel_count)
        return false;
    bool cell = nest->point != NULL;
    for (int i = 0; i < value->type->rank && cell; i++)
        cell = index[i] == nest->point[i];
    for (int i = 0; i < value->type->rank && !cell; i++)
        if (index[i]->kind != KE_VAR || index[i]->var != nest->axes[i].var)
            return false;
    return true;
}

static KExpr *number(LowerRegion *r, double n) {
    return kexpr_index(r->lower->program, (int64_t)n);
}

static KExpr *linear_index(LowerRegion *r, const Type *type, KExpr *const *index) {
    KProgram *p = r->lower->program;
    KExpr *sum = number(r, 0);
    for (int i = 0; i < type->rank; i++) {
        sum = kexpr_binary(p, '*', sum, kexpr_dim(p, type->dims[i]));
        sum = kexpr_binary(p, '+', sum, index[i]);
    }
    return sum;
}

static KExpr *expr_broadcast(LowerRegion *r, Nest *nest, const Op *op, KExpr *const *index) {
    const Type *from = op->inputs[0]->type, *to = op->results[0]->type;
    KExpr *inner[MAX_RANK];
    for (int i = 0; i < from->rank; i++) {
        int axis = op->attr.axes.axes[i];
        bool stretched = !dim_equal(from->dims[i], to->dims[axis]);
        inner[i] = stretched ? number(r, 0) : index[axis];
    }
    return lower_expr(r, nest, op->inputs[0], inner);
}

/* Only axes of extent 1 come and go. */
static KExpr *expr_reshape(LowerRegion *r, Nest *nest, const Op *op, KExpr *const *index) {
    const Type *from = op->inputs[0]->type, *to = op->results[0]->type;
    KExpr *inner[MAX_RANK];
    int j = 0;
    for (int i = 0; i < from->rank; i++) {
        if (dim_equal(from->dims[i], dim_static(1))) {
            inner[i] = number(r, 0);
            continue;
        }
        while (j < to->rank && dim_equal(to->dims[j], dim_static(1)))
            j++;
        inner[i] = index[j++];
    }
    return lower_expr(r, nest, op->inputs[0], inner);
}

static KExpr *expr_transpose(LowerRegion *r, Nest *nest, const Op *op, KExpr *const *index) {
    KExpr *inner[MAX_RANK];
    for (int i = 0; i < op->results[0]->type->rank; i++)
        inner[op->attr.axes.axes[i]] = index[i];
    return lower_expr(r, nest, op->inputs[0], inner);
}

static KExpr *expr_slice(LowerRegion *r, Nest *nest, const Op *op, KExpr *const *index) {
    KProgram *p = r->lower->program;
    KExpr *inner[MAX_RANK];
    for (int i = 0; i < op->results[0]->type->rank; i++)
        inner[i] = kexpr_binary(p, '+', kexpr_binary(p, '*', index[i], number(r, (double)op->attr.slice.stride[i])),
                                number(r, (double)op->attr.slice.start[i]));
    return lower_expr(r, nest, op->inputs[0], inner);
}

static KExpr *expr_reverse(LowerRegion *r, Nest *nest, const Op *op, KExpr *const *index) {
    KProgram *p = r->lower->program;
    const Type *type = op->results[0]->type;
    KExpr *inner[MAX_RANK];
    for (int i = 0; i < type->rank; i++)
        inner[i] = index[i];
    for (int i = 0; i < op->attr.axes.count; i++) {
        int axis = op->attr.axes.axes[i];
        inner[axis] = kexpr_binary(p, '-', number(r, (double)type->dims[axis].n - 1), index[axis]);
    }
    return lower_expr(r, nest, op->inputs[0], inner);
}

static KExpr *both(KProgram *p, KExpr *a, KExpr *b) {
    return a ? kexpr_fn(p, FN_and, a, b, NULL) : b;
}

/* Inside the operand: its value; in the padding: zero. The index is clamped, so that the load is always legal. At an
 * end that is cropped there is nothing to test. */
static KExpr *expr_pad(LowerRegion *r, Nest *nest, const Op *op, KExpr *const *index) {
    KProgram *p = r->lower->program;
    const Type *from = op->inputs[0]->type;
    const PadAttr *pad = &op->attr.pad;
    KExpr *inner[MAX_RANK], *inside = NULL;
    for (int i = 0; i < from->rank; i++) {
        if (!pad->low[i] && !pad->high[i] && !pad->interior[i]) {
            inner[i] = index[i];
            continue;
        }
        int64_t step = pad->interior[i] + 1;
        KExpr *moved = kexpr_binary(p, '-', index[i], number(r, (double)pad->low[i]));
        KExpr *positive = pad->low[i] > 0 ? kexpr_binary(p, 'M', moved, number(r, 0)) : moved;
        KExpr *place = kexpr_binary(p, '/', positive, number(r, (double)step));
        KExpr *extent = kexpr_dim(p, from->dims[i]);
        if (pad->low[i] > 0)
            inside = both(p, inside, kexpr_fn(p, FN_ge, moved, number(r, 0), NULL));
        if (pad->high[i] > 0)
            inside = both(p, inside, kexpr_fn(p, FN_lt, place, extent, NULL));
        if (step > 1)
            inside =
                both(p, inside,
                     kexpr_fn(p, FN_eq, kexpr_binary(p, '%', positive, number(r, (double)step)), number(r, 0), NULL));
        inner[i] = pad->high[i] > 0 ? kexpr_binary(p, 'm', place, kexpr_binary(p, '-', extent, number(r, 1))) : place;
    }
    KExpr *value = lower_expr(r, nest, op->inputs[0], inner);
    return inside ? kexpr_fn(p, FN_select, inside, value, kexpr_number(p, value->type.base, 0)) : value;
}

/* Row ids[i..] of the table; ids are clamped to the table. */
static KExpr *expr_gather(LowerRegion *r, Nest *nest, const Op *op, KExpr *const *index) {
    KProgram *p = r->lower->program;
    const Type *table = op->inputs[0]->type;
    int id_rank = op->inputs[1]->type->rank;
    KExpr *id = kexpr_cast(p, KBASE_INDEX, lower_expr(r, nest, op->inputs[1], index));
    KExpr *inner[MAX_RANK];
    inner[0] = kexpr_binary(p, 'm', kexpr_binary(p, 'M', id, number(r, 0)), number(r, (double)table->dims[0].n - 1));
    for (int i = 1; i < table->rank; i++)
        inner[i] = index[id_rank + i - 1];
    return lower_expr(r, nest, op->inputs[0], inner);
}

static KExpr *expr_map(LowerRegion *r, Nest *nest, const Op *op, KExpr *const *index) {
    KExpr *args[3] = {NULL, NULL, NULL};
    for (int i = 0; i < op->input_count; i++)
        args[i] = lower_expr(r, nest, op->inputs[i], index);
    return kexpr_fn(r->lower->program, op->attr.scalar, args[0], args[1], args[2]);
}

static KExpr *expr_random(LowerRegion *r, Nest *nest, const Op *op, KExpr *const *index) {
    KExpr *seed = lower_expr(r, nest, op->inputs[0], NULL), *step = lower_expr(r, nest, op->inputs[1], NULL);
    return kexpr_random(r->lower->program, op->attr.random.kind, op->attr.random.stream, seed, step,
                        linear_index(r, op->results[0]->type, index));
}

static KExpr *expr_op(LowerRegion *r, Nest *nest, const Op *op, KExpr *const *index) {
    KProgram *p = r->lower->program;
    KBase base = lower_base(op->results[0]->type->dtype);
    switch (op->code) {
    case OP_CONST:
        return kexpr_number(p, base, op->attr.constant);
    case OP_IOTA:
        return kexpr_cast(p, base, index[op->attr.axis]);
    case OP_BATCH_SIZE:
        return kexpr_cast(p, base, kexpr_batch(p));
    case OP_VARIABLE:
        return kexpr_load(p, r->lower->variables[op->attr.variable->id], index, op->results[0]->type->rank);
    case OP_MAP:
        return expr_map(r, nest, op, index);
    case OP_CAST:
        return kexpr_cast(p, base, lower_expr(r, nest, op->inputs[0], index));
    case OP_STOP_GRADIENT:
    case OP_COPY:
        return lower_expr(r, nest, op->inputs[0], index);
    case OP_BROADCAST:
        return expr_broadcast(r, nest, op, index);
    case OP_RESHAPE:
        return expr_reshape(r, nest, op, index);
    case OP_TRANSPOSE:
        return expr_transpose(r, nest, op, index);
    case OP_SLICE:
        return expr_slice(r, nest, op, index);
    case OP_REVERSE:
        return expr_reverse(r, nest, op, index);
    case OP_PAD:
        return expr_pad(r, nest, op, index);
    case OP_UNPOOL:
        return lower_unpool_expr(r, nest, op, index);
    case OP_GATHER:
        return expr_gather(r, nest, op, index);
    case OP_RANDOM:
        return expr_random(r, nest, op, index);
    default:
        diag_internal(p->diag, op->span, "lowering: %s inside an expression", op_infos[op->code].name);
        r->failed = true;
        return kexpr_number(p, base, 0);
    }
}

int lower_step_index(KExpr *const *index, const Type *type, KExpr *step, KExpr **with_step) {
    int axis = scan_time_axis(type), count = 0;
    for (int i = 0; i <= type->rank; i++) {
        if (i == axis && step)
            with_step[count++] = step;
        if (i < type->rank)
            with_step[count++] = index[i];
    }
    return count;
}

KExpr *lower_load(LowerRegion *r, const Value *value, KExpr *const *index) {
    KExpr *all[MAX_RANK + 1];
    int count = lower_step_index(index, value->type, r->step[value->id], all);
    return kexpr_load(r->lower->program, r->memory[value->id], all, count);
}

KExpr *lower_expr(LowerRegion *r, Nest *nest, const Value *value, KExpr *const *index) {
    int id = value->id;
    if (r->var[id] && r->home[id] == nest && is_here(nest, value, index))
        return kexpr_var(r->lower->program, r->var[id]);
    if (r->var[id] && !r->memory[id])
        lower_ensure_memory(r, value);
    if (r->memory[id])
        return lower_load(r, value, index);
    return expr_op(r, nest, value->def, index);
}
