/* The rules of expressions and of places in buffers; see kir_verify.h. */
#include "codegen/kir/kir_verify.h"
#include <string.h>

bool verify_exact_range(const Verifier *v, const KExpr *e, int64_t *low, int64_t *high) {
    int64_t a, b, c, d;
    if (kexpr_constant(e, low)) {
        *high = *low;
        return true;
    }
    if (e->kind == KE_VAR) {
        const VarFacts *facts = &v->facts[e->var->id];
        *low = facts->low, *high = facts->high;
        return facts->exact;
    }
    if (e->kind != KE_INDEX || !strchr("+-*", e->index.op) || !verify_exact_range(v, e->index.left, &a, &b) ||
        !verify_exact_range(v, e->index.right, &c, &d))
        return false;
    if (e->index.op == '*') {
        *low = c >= 0 ? a * c : b * c, *high = c >= 0 ? b * c : a * c;
        return c == d; /* a product of two variables is not affine */
    }
    *low = e->index.op == '+' ? a + c : a - d;
    *high = e->index.op == '+' ? b + d : b - c;
    return true; /* equal terms were joined when the sum was built */
}

bool verify_differs(const Verifier *v, const KExpr *e) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_VAR)
        return v->facts[e->var->id].differs;
    for (int i = kexpr_operands(e, operands) - 1; i >= 0; i--)
        if (verify_differs(v, operands[i]))
            return true;
    return false;
}

void verify_index(Verifier *v, const KExpr *e) {
    if (!e)
        verify_fail(v, "an index is missing");
    else if (e->type.base != KBASE_INDEX || e->type.lanes != 1)
        verify_fail(v, "an index has type %s, %d lanes", kbase_names[e->type.base], e->type.lanes);
    else
        verify_expr(v, e);
}

int verify_lanes(const KExpr *count, int lanes) {
    int64_t known;
    return !count ? lanes : kexpr_constant(count, &known) && known > 0 ? 1 : 0;
}

void verify_place(Verifier *v, const KBuffer *b, KExpr *const *index, int count, int lanes) {
    int64_t extent[MAX_RANK + 1], low, high;
    int64_t batch_max = v->program->module ? v->program->module->batch_max : 1;
    int axes = v->physical ? kbuffer_physical(b, batch_max, extent) : b->rank;
    if (count != axes) {
        verify_fail(v, "%s has %d axes, but %d indices", b->name, axes, count);
        return;
    }
    if (b->lanes > 1 && v->physical && lanes && lanes != b->lanes)
        verify_fail(v, "%s holds vectors of %d lanes, %d are taken", b->name, b->lanes, lanes);
    if ((b->space == SPACE_LOCAL || b->space == SPACE_SHARED) && v->physical &&
        (b->id >= v->kernel->local_count || v->kernel->locals[b->id] != b || !v->allocated[b->id]))
        verify_fail(v, "%s is used before it is allocated", b->name);
    for (int i = 0; i < count; i++) {
        verify_index(v, index[i]);
        if (!v->physical)
            extent[i] = dim_size(b->dims[i], batch_max);
        int64_t span = i == count - 1 ? lanes - 1 : 0;
        if (v->failed || v->conditions || !lanes || !verify_exact_range(v, index[i], &low, &high))
            continue;
        if (low < 0 || high + span >= extent[i])
            verify_fail(v, "index %d of %s runs from %lld to %lld, its axis has %lld", i, b->name, (long long)low,
                        (long long)(high + span), (long long)extent[i]);
    }
}

static void verify_load(Verifier *v, const KExpr *e) {
    bool partial = e->load.count || e->load.stride;
    if (e->type.base != e->load.buffer->base)
        verify_fail(v, "a load of %s has type %s, the buffer %s", e->load.buffer->name, kbase_names[e->type.base],
                    kbase_names[e->load.buffer->base]);
    if (partial && e->type.lanes == 1)
        verify_fail(v, "a scalar load of %s has a count or a stride", e->load.buffer->name);
    if (e->type.lanes > 1 && e->load.index_count == 0)
        verify_fail(v, "a vector load of the scalar %s", e->load.buffer->name);
    int lanes = verify_lanes(e->load.count, e->load.stride ? 1 : e->type.lanes);
    verify_place(v, e->load.buffer, e->load.index, e->load.index_count, lanes);
    if (e->load.count)
        verify_index(v, e->load.count);
    if (e->load.stride)
        verify_index(v, e->load.stride);
}

/* Whether a scalar function is defined on a type. */
static bool fn_takes(ScalarFn fn, KBase base) {
    switch (fn) {
    case FN_and:
    case FN_or:
    case FN_not:
        return base == KBASE_BOOL;
    case FN_eq:
    case FN_ne:
    case FN_select:
        return true;
    case FN_add:
    case FN_sub:
    case FN_mul:
    case FN_div:
    case FN_neg:
    case FN_max:
    case FN_min:
    case FN_abs:
    case FN_sign:
    case FN_lt:
    case FN_le:
    case FN_gt:
    case FN_ge:
        return base != KBASE_BOOL;
    default:
        return base == KBASE_F32;
    }
}

static void verify_fn(Verifier *v, const KExpr *e) {
    const ScalarInfo *info = &scalar_infos[e->fn.fn];
    int first = e->fn.fn == FN_select;
    for (int i = 0; i < info->arity; i++) {
        const KExpr *arg = e->fn.args[i];
        if (!arg) {
            verify_fail(v, "%s lacks an operand", info->name);
            return;
        }
        KBase wanted = i < first ? KBASE_BOOL : e->fn.args[first]->type.base;
        if (arg->type.base != wanted || arg->type.lanes != e->type.lanes)
            verify_fail(v, "operand %d of %s is %s, %d lanes; wanted is %s, %d lanes", i, info->name,
                        kbase_names[arg->type.base], arg->type.lanes, kbase_names[wanted], e->type.lanes);
        else if (i >= first && !fn_takes(e->fn.fn, arg->type.base))
            verify_fail(v, "%s is not defined for %s", info->name, kbase_names[arg->type.base]);
        v->conditions += e->fn.fn == FN_select && i > 0; /* only one of both is computed, or used */
        verify_expr(v, arg);
        v->conditions -= e->fn.fn == FN_select && i > 0;
    }
    KBase result = info->gives_bool ? KBASE_BOOL : e->fn.args[first]->type.base;
    if (e->type.base != result)
        verify_fail(v, "%s gives %s, not %s", info->name, kbase_names[result], kbase_names[e->type.base]);
}

static void verify_var(Verifier *v, const KVar *var) {
    if (var->id < 0 || var->id >= v->kernel->var_count || v->facts[var->id].var != var)
        verify_fail(v, "variable %s is used where it is not declared", var->name);
}

static void verify_operand(Verifier *v, const KExpr *e, const KExpr *operand) {
    int lanes = e->kind == KE_CAST ? e->type.lanes : 1;
    bool wrong_lanes = e->kind == KE_ACROSS ? operand->type.lanes < 2 : operand->type.lanes != lanes;
    bool wrong_base = e->kind != KE_CAST && e->kind != KE_RANDOM && operand->type.base != e->type.base;
    if (wrong_lanes || wrong_base)
        verify_fail(v, "an operand is %s, %d lanes, where the result is %s, %d lanes", kbase_names[operand->type.base],
                    operand->type.lanes, kbase_names[e->type.base], e->type.lanes);
}

void verify_expr(Verifier *v, const KExpr *e) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (v->failed)
        return;
    switch (e->kind) {
    case KE_VAR:
        verify_var(v, e->var);
        break;
    case KE_LOAD:
        verify_load(v, e);
        break;
    case KE_FN:
        verify_fn(v, e);
        break;
    case KE_INDEX:
        verify_index(v, e->index.left);
        verify_index(v, e->index.right);
        break;
    case KE_CONST:
        if (e->type.lanes != 1)
            verify_fail(v, "a number with %d lanes", e->type.lanes);
        break;
    case KE_BATCH:
    case KE_LANES:
        break;
    default:
        for (int i = kexpr_operands(e, operands) - 1; i >= 0 && !v->failed; i--) {
            verify_operand(v, e, operands[i]);
            verify_expr(v, operands[i]);
        }
    }
}
