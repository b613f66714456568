/* Expressions of the kernel-IR interpreter, lane by lane, in the arithmetic of the emitted program. */
#include "codegen/kir/kir_interp_parts.h"
#include "ir/interp.h"
#include <math.h>

int64_t interp_index(KInterp *in, const KExpr *e) {
    Lanes value;
    interp_eval(in, e, &value);
    if (!in->failed && value.poison)
        interp_fail(in, "an index comes from memory of %s that nobody wrote", in->poisoner ? in->poisoner->name : "?");
    return in->failed ? 0 : value.index;
}

bool interp_condition(KInterp *in, const KExpr *e) {
    Lanes value;
    interp_eval(in, e, &value);
    if (!in->failed && value.poison)
        interp_fail(in, "a condition comes from memory of %s that nobody wrote",
                    in->poisoner ? in->poisoner->name : "?");
    return !in->failed && value.i[0] != 0;
}

/* ---- lanes as double, the common type of conversions and scalar functions */

static double lane_number(const Lanes *value, KBase base, int lane) {
    return base == KBASE_F32 ? (double)value->f[lane] : base == KBASE_INDEX ? (double)value->index : value->i[lane];
}

static void set_lane(Lanes *value, KBase base, int lane, double number) {
    if (base == KBASE_F32)
        value->f[lane] = (float)number;
    else if (base == KBASE_BOOL)
        value->i[lane] = number != 0;
    else if (!(fabs(number) < 9e18))
        value->index = 0, value->i[lane] = 0; /* undefined in C */
    else if (base == KBASE_INDEX)
        value->index = (int64_t)number;
    else
        value->i[lane] = (int32_t)(int64_t)number;
}

/* ---- loads */

static void eval_load(KInterp *in, const KExpr *e, Lanes *out) {
    int64_t lanes = e->type.lanes, stride = 1, count = lanes;
    const View *view = find_view(in, e->load.buffer);
    for (int i = 0; i < lanes; i++)
        set_lane(out, e->type.base, i, 0);
    out->poison = 0;
    if (view && e->load.count)
        count = interp_index(in, e->load.count);
    if (view && e->load.stride)
        stride = interp_index(in, e->load.stride);
    if (!view || in->failed)
        return;
    if (count < 0 || count > lanes)
        interp_fail(in, "%lld of %lld lanes of %s are loaded", (long long)count, (long long)lanes, view->buffer->name);
    bool own = view->buffer->space == SPACE_ARENA || view->buffer->space == SPACE_LOCAL;
    if (in->failed || (count == 0 && !own)) /* of no lane C still forms the address, in an array whose size it knows */
        return;
    int64_t element = interp_place(in, view, e->load.index, e->load.index_count, e->load.stride ? 1 : count);
    for (int i = 0; i < count && !in->failed; i++)
        interp_read(in, view, element + i * stride, out, i);
}

/* ---- functions */

/* a * b + c in one rounding, where the printer of C writes it so. */
static bool eval_fused(KInterp *in, const KExpr *e, Lanes *out) {
    Lanes a, b, c;
    ScalarFn fn = e->fn.fn;
    if (!in->options.fused_multiply_add || e->type.base != KBASE_F32 || (fn != FN_add && fn != FN_sub))
        return false;
    int place = e->fn.args[0]->kind == KE_FN && e->fn.args[0]->fn.fn == FN_mul ? 0 : 1;
    const KExpr *product = e->fn.args[place];
    if (product->kind != KE_FN || product->fn.fn != FN_mul)
        return false;
    interp_eval(in, product->fn.args[0], &a);
    interp_eval(in, product->fn.args[1], &b);
    interp_eval(in, e->fn.args[1 - place], &c);
    float product_sign = fn == FN_sub && place == 1 ? -1.0f : 1.0f,
          sum_sign = fn == FN_sub && place == 0 ? -1.0f : 1.0f;
    for (int i = 0; i < e->type.lanes; i++)
        out->f[i] = fmaf(product_sign * a.f[i], b.f[i], sum_sign * c.f[i]);
    out->poison = a.poison | b.poison | c.poison;
    return true;
}

/* The branch that is not taken is not computed, as in C: it may read outside. */
static bool eval_scalar_logic(KInterp *in, const KExpr *e, Lanes *out) {
    ScalarFn fn = e->fn.fn;
    if (e->type.lanes > 1 || (fn != FN_select && fn != FN_and && fn != FN_or))
        return false;
    Lanes first = {0};
    interp_eval(in, e->fn.args[0], &first);
    bool holds = first.i[0] != 0;
    if (fn == FN_select)
        interp_eval(in, e->fn.args[holds ? 1 : 2], out);
    else if (holds == (fn == FN_or))
        *out = first;
    else
        interp_eval(in, e->fn.args[1], out);
    out->poison |= first.poison;
    return true;
}

static int64_t whole_number(ScalarFn fn, int64_t a, int64_t b, bool *known) {
    *known = true;
    switch (fn) {
    case FN_add:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case FN_sub:
        return (int64_t)((uint64_t)a - (uint64_t)b);
    case FN_mul:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case FN_div:
        return b ? a / b : 0;
    default:
        *known = false;
        return 0;
    }
}

static void eval_lane(const KExpr *e, const Lanes *args, int lane, Lanes *out) {
    KBase base = e->fn.args[e->fn.fn == FN_select]->type.base;
    double number[3] = {0};
    for (int i = 0; i < scalar_infos[e->fn.fn].arity; i++)
        number[i] = lane_number(&args[i], e->fn.args[i]->type.base, lane);
    bool known = false;
    if (base != KBASE_F32) {
        bool index = base == KBASE_INDEX;
        int64_t whole = whole_number(e->fn.fn, index ? args[0].index : args[0].i[lane],
                                     index ? args[1].index : args[1].i[lane], &known);
        if (known && index)
            out->index = whole;
        else if (known)
            out->i[lane] = (int32_t)whole;
    }
    if (!known)
        set_lane(out, e->type.base, lane, scalar_eval(e->fn.fn, number[0], number[1], number[2]));
}

static void eval_fn(KInterp *in, const KExpr *e, Lanes *out) {
    Lanes args[3];
    if (eval_fused(in, e, out) || eval_scalar_logic(in, e, out))
        return;
    int arity = scalar_infos[e->fn.fn].arity;
    args[1].index = args[1].poison = 0;
    for (int i = 0; i < arity; i++)
        interp_eval(in, e->fn.args[i], &args[i]);
    if (in->failed)
        return;
    for (int i = 0; i < e->type.lanes; i++)
        eval_lane(e, args, i, out);
    out->poison = args[0].poison;
    if (e->fn.fn == FN_select) { /* only the chosen lanes matter */
        for (int i = 0; i < e->type.lanes; i++)
            out->poison |= args[args[0].i[i] ? 1 : 2].poison & 1u << i;
        return;
    }
    for (int i = 1; i < arity; i++)
        out->poison |= args[i].poison;
}

/* ---- the other kinds */

static int64_t eval_binary(KInterp *in, const KExpr *e) {
    int64_t a = interp_index(in, e->index.left), b = interp_index(in, e->index.right);
    int64_t value = 0;
    if (!kindex_value(e->index.op, a, b, &value) && !in->failed)
        interp_fail(in, "%lld %c %lld is not defined for indices", (long long)a, e->index.op, (long long)b);
    return value;
}

static void eval_cast(KInterp *in, const KExpr *e, Lanes *out) {
    Lanes value;
    interp_eval(in, e->operand, &value);
    out->poison = value.poison;
    for (int i = 0; i < e->type.lanes && !in->failed; i++)
        set_lane(out, e->type.base, i, lane_number(&value, e->operand->type.base, i));
}

/* Lane i meets lane i + half: the order of the runtime's nnrt_reduce functions. */
static void eval_across(KInterp *in, const KExpr *e, Lanes *out) {
    static const ScalarFn combine[] = {[REDUCE_SUM] = FN_add, [REDUCE_MAX] = FN_max, [REDUCE_MIN] = FN_min};
    const KExpr *operand = e->across.operand;
    Lanes value;
    interp_eval(in, operand, &value);
    for (int half = operand->type.lanes / 2; half > 0 && !in->failed; half /= 2)
        for (int i = 0; i < half; i++)
            set_lane(&value, e->type.base, i,
                     scalar_eval(combine[e->across.kind], lane_number(&value, e->type.base, i),
                                 lane_number(&value, e->type.base, i + half), 0));
    *out = value;
    out->poison = value.poison != 0;
}

static void eval_random(KInterp *in, const KExpr *e, Lanes *out) {
    Lanes seed = {0}, step = {0};
    interp_eval(in, e->random.seed, &seed);
    interp_eval(in, e->random.step, &step);
    int64_t index = interp_index(in, e->random.index);
    out->poison = seed.poison | step.poison;
    uint32_t seed_bits = (uint32_t)(int64_t)lane_number(&seed, e->random.seed->type.base, 0);
    uint32_t step_bits = (uint32_t)(int64_t)lane_number(&step, e->random.step->type.base, 0);
    for (int i = 0; i < e->type.lanes && !in->failed; i++)
        out->f[i] = (float)interp_random(e->random.kind, seed_bits, e->random.stream, step_bits, (uint64_t)(index + i));
}

static void eval_splat(KInterp *in, const KExpr *e, Lanes *out) {
    Lanes value;
    interp_eval(in, e->operand, &value);
    for (int i = 0; i < e->type.lanes && !in->failed; i++)
        out->i[i] = value.i[0]; /* f32 has the same bits */
    out->poison = value.poison ? UINT32_MAX : 0;
}

void interp_eval(KInterp *in, const KExpr *e, Lanes *out) {
    out->poison = 0;
    out->index = 0;
    if (in->failed)
        return;
    switch (e->kind) {
    case KE_CONST:
        set_lane(out, e->type.base, 0, e->number);
        break;
    case KE_VAR:
        *out = in->variables[in->thread * in->kernel->var_count + e->var->id];
        break;
    case KE_BATCH:
        out->index = in->batch;
        break;
    case KE_LOAD:
        eval_load(in, e, out);
        break;
    case KE_FN:
        eval_fn(in, e, out);
        break;
    case KE_INDEX:
        out->index = eval_binary(in, e);
        break;
    case KE_CAST:
        eval_cast(in, e, out);
        break;
    case KE_SPLAT:
        eval_splat(in, e, out);
        break;
    case KE_LANES:
        for (int i = 0; i < e->type.lanes; i++)
            out->i[i] = i;
        break;
    case KE_ACROSS:
        eval_across(in, e, out);
        break;
    case KE_RANDOM:
        eval_random(in, e, out);
        break;
    }
}
