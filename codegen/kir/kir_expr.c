/* Kernel IR: expressions. Constructors fold index arithmetic, so that printed indices read well; substitution rebuilds
 * through the constructors and folds again. Floating point is never folded: its order of operations is the program. */
#include "codegen/kir/kir.h"
#include <string.h>

static const KType index_type = {KBASE_INDEX, 1};

static KExpr *expr_new(KProgram *p, KExprKind kind, KType type) {
    KExpr *e = ARENA_NEW(p->arena, KExpr);
    e->kind = kind;
    e->type = type;
    return e;
}

KExpr *kexpr_number(KProgram *p, KBase base, double number) {
    KExpr *e = expr_new(p, KE_CONST, (KType){base, 1});
    e->number = number;
    return e;
}

KExpr *kexpr_index(KProgram *p, int64_t number) {
    return kexpr_number(p, KBASE_INDEX, (double)number);
}

KExpr *kexpr_var(KProgram *p, KVar *var) {
    KExpr *e = expr_new(p, KE_VAR, var->type);
    e->var = var;
    return e;
}

KExpr *kexpr_batch(KProgram *p) {
    return expr_new(p, KE_BATCH, index_type);
}

KExpr *kexpr_dim(KProgram *p, Dim d) {
    return d.batch ? kexpr_binary(p, '*', kexpr_batch(p), kexpr_index(p, d.n)) : kexpr_index(p, d.n);
}

KExpr *kexpr_lanes(KProgram *p, int lanes) {
    return expr_new(p, KE_LANES, (KType){KBASE_I32, lanes});
}

/* ---- what is known of an index */

bool kexpr_constant(const KExpr *e, int64_t *value) {
    if (e->kind != KE_CONST || e->type.base == KBASE_F32)
        return false;
    *value = (int64_t)e->number;
    return true;
}

static bool is_constant(const KExpr *e, int64_t wanted) {
    int64_t value;
    return kexpr_constant(e, &value) && value == wanted;
}

bool kexpr_coefficient(const KExpr *e, const KVar *var, int64_t *coefficient) {
    int64_t left, right, factor;
    *coefficient = 0;
    if (e->kind == KE_VAR && e->var == var)
        *coefficient = 1;
    else if (e->kind == KE_INDEX && strchr("+-", e->index.op)) {
        if (!kexpr_coefficient(e->index.left, var, &left) || !kexpr_coefficient(e->index.right, var, &right))
            return false;
        *coefficient = e->index.op == '+' ? left + right : left - right;
    } else if (e->kind == KE_INDEX && e->index.op == '*' && kexpr_constant(e->index.right, &factor)) {
        if (!kexpr_coefficient(e->index.left, var, &left))
            return false;
        *coefficient = left * factor;
    } else
        return !kexpr_uses(e, var);
    return true;
}

/* ---- sums: an index as constant + coefficient * term + .. */

enum { MAX_TERMS = 16 };
typedef struct {
    KExpr *term[MAX_TERMS];
    int64_t coefficient[MAX_TERMS];
    int count;
    int64_t constant;
    int joined; /* terms that met an equal one */
} Sum;

static bool sum_term(Sum *sum, KExpr *e, int64_t scale) {
    for (int i = 0; i < sum->count; i++)
        if (kexpr_equal(sum->term[i], e)) {
            sum->coefficient[i] += scale;
            sum->joined++;
            return true;
        }
    if (sum->count == MAX_TERMS)
        return false;
    sum->term[sum->count] = e;
    sum->coefficient[sum->count++] = scale;
    return true;
}

static bool sum_add(Sum *sum, KExpr *e, int64_t scale) {
    int64_t value;
    if (kexpr_constant(e, &value)) {
        sum->constant += scale * value;
        return true;
    }
    if (e->kind == KE_INDEX && strchr("+-", e->index.op))
        return sum_add(sum, e->index.left, scale) && sum_add(sum, e->index.right, e->index.op == '+' ? scale : -scale);
    if (e->kind == KE_INDEX && e->index.op == '*' && kexpr_constant(e->index.right, &value))
        return sum_add(sum, e->index.left, scale * value);
    return sum_term(sum, e, scale);
}

static KExpr *index_new(KProgram *p, char op, KExpr *left, KExpr *right) {
    KExpr *e = expr_new(p, KE_INDEX, index_type);
    e->index.op = op;
    e->index.left = left;
    e->index.right = right;
    return e;
}

static KExpr *sum_scaled(KProgram *p, KExpr *term, int64_t factor) {
    return factor == 1 ? term : index_new(p, '*', term, kexpr_index(p, factor));
}

/* Terms with positive coefficients first, then the others, then the constant. */
static KExpr *sum_expr(KProgram *p, const Sum *sum) {
    KExpr *e = NULL;
    for (int i = 0; i < sum->count; i++)
        if (sum->coefficient[i] > 0) {
            KExpr *part = sum_scaled(p, sum->term[i], sum->coefficient[i]);
            e = e ? index_new(p, '+', e, part) : part;
        }
    int64_t constant = sum->constant;
    if (!e) {
        e = kexpr_index(p, constant);
        constant = 0;
    }
    for (int i = 0; i < sum->count; i++)
        if (sum->coefficient[i] < 0)
            e = index_new(p, '-', e, sum_scaled(p, sum->term[i], -sum->coefficient[i]));
    if (constant)
        e = index_new(p, constant > 0 ? '+' : '-', e, kexpr_index(p, constant > 0 ? constant : -constant));
    return e;
}

/* ---- folding */

static bool ends_in_constant(const KExpr *e) {
    int64_t ignored;
    return e->kind == KE_INDEX && strchr("+-", e->index.op) && kexpr_constant(e->index.right, &ignored);
}

static KExpr *fold_sum(KProgram *p, char op, KExpr *a, KExpr *b) {
    Sum sum = {.count = 0};
    int64_t value;
    if (is_constant(b, 0))
        return a;
    if (op == '+' && is_constant(a, 0))
        return b;
    if (!sum_add(&sum, a, 1) || !sum_add(&sum, b, op == '+' ? 1 : -1))
        return index_new(p, op, a, b);
    /* Written as it was asked for, unless terms cancel or a constant would stand inside. */
    if (sum.joined || sum.count == 0 || ends_in_constant(a) || ends_in_constant(b) || kexpr_constant(a, &value) ||
        (kexpr_constant(b, &value) && value < 0))
        return sum_expr(p, &sum);
    return index_new(p, op, a, b);
}

static KExpr *fold_product(KProgram *p, KExpr *a, KExpr *b) {
    int64_t x, y;
    if (kexpr_constant(a, &x)) {
        if (kexpr_constant(b, &y))
            return kexpr_index(p, x * y);
        KExpr *constant = a;
        a = b, b = constant;
    }
    if (!kexpr_constant(b, &y))
        return index_new(p, '*', a, b);
    if (y == 0 || y == 1)
        return y ? a : b;
    if (a->kind == KE_INDEX && a->index.op == '*' && kexpr_constant(a->index.right, &x))
        return fold_product(p, a->index.left, kexpr_index(p, x * y));
    return index_new(p, '*', a, b);
}

/* A variable that steps by multiples of the divisor. */
static bool is_multiple(const KExpr *term, int64_t coefficient, int64_t divisor) {
    return term->kind == KE_VAR && term->var->multiple > 0 && coefficient > 0 &&
           term->var->multiple * coefficient % divisor == 0;
}

/* a = divisor * quotient + rest, where rest holds the terms that do not divide. False if nothing is gained. */
static bool split_by(KProgram *p, KExpr *a, int64_t divisor, KExpr **quotient, KExpr **rest) {
    Sum all = {.count = 0}, whole = {.count = 0}, part = {.count = 0};
    int64_t low, high;
    if (!sum_add(&all, a, 1))
        return false;
    for (int i = 0; i < all.count; i++) {
        bool divides = all.coefficient[i] % divisor == 0;
        if (all.coefficient[i] != 0 && !divides && is_multiple(all.term[i], all.coefficient[i], divisor))
            sum_term(&whole, index_new(p, '/', sum_scaled(p, all.term[i], all.coefficient[i]), kexpr_index(p, divisor)),
                     1);
        else if (all.coefficient[i] != 0)
            sum_term(divides ? &whole : &part, all.term[i], all.coefficient[i] / (divides ? divisor : 1));
    }
    part.constant = (all.constant % divisor + divisor) % divisor;
    whole.constant = (all.constant - part.constant) / divisor;
    *quotient = sum_expr(p, &whole);
    *rest = sum_expr(p, &part);
    if (part.count && (!kexpr_range(p, *rest, &low, &high) || low < 0))
        return false; /* a negative rest would round to the other side */
    return whole.count || whole.constant || part.count == 0 || high < divisor;
}

/* Of what such a variable steps by, the largest part that divides the divisor; 0: it is no such variable. */
static int64_t step_in(const KExpr *term, int64_t coefficient, int64_t divisor) {
    bool steps = term->kind == KE_VAR && term->var->multiple > 0 && coefficient > 0;
    int64_t step = steps ? term->var->multiple * coefficient : 0;
    return steps && divisor % step == 0 ? step : 0;
}

/* a = large + small, where large is a multiple of a step that divides the divisor, and small is less than that step:
 * no sum of them reaches the next multiple of the divisor. */
static bool split_steps(KProgram *p, KExpr *a, int64_t divisor, KExpr **large, KExpr **small) {
    Sum all = {.count = 0}, steps = {.count = 0}, rest = {.count = 0};
    int64_t least_step = divisor, low, high;
    if (!sum_add(&all, a, 1))
        return false;
    for (int i = 0; i < all.count; i++) {
        int64_t step = step_in(all.term[i], all.coefficient[i], divisor);
        least_step = step && step < least_step ? step : least_step;
        sum_term(step ? &steps : &rest, all.term[i], all.coefficient[i]);
    }
    rest.constant = all.constant;
    *large = sum_expr(p, &steps);
    *small = sum_expr(p, &rest);
    return steps.count == 1 && kexpr_range(p, *small, &low, &high) && low >= 0 && high < least_step && high > 0;
}

static KExpr *fold_division(KProgram *p, char op, KExpr *a, KExpr *b) {
    int64_t divisor, x, low, high;
    KExpr *quotient, *rest;
    if (!kexpr_constant(b, &divisor) || divisor <= 0)
        return index_new(p, op, a, b);
    if (divisor == 1)
        return op == '/' ? a : kexpr_index(p, 0);
    if (op == '/' && a->kind == KE_INDEX && a->index.op == '/' && kexpr_constant(a->index.right, &x))
        return fold_division(p, '/', a->index.left, kexpr_index(p, x * divisor));
    if (split_steps(p, a, divisor, &quotient, &rest)) {
        quotient = fold_division(p, op, quotient, b);
        return op == '/' ? quotient : fold_sum(p, '+', quotient, rest);
    }
    if (!split_by(p, a, divisor, &quotient, &rest))
        return index_new(p, op, a, b);
    if (kexpr_range(p, rest, &low, &high) && low >= 0 && high < divisor)
        return op == '/' ? quotient : rest;
    if (op == '%')
        return index_new(p, '%', rest, b);
    return fold_sum(p, '+', quotient, index_new(p, '/', rest, b));
}

static KExpr *fold_extremum(KProgram *p, char op, KExpr *a, KExpr *b) {
    int64_t a_low, a_high, b_low, b_high;
    if (kexpr_equal(a, b))
        return a;
    if (kexpr_range(p, a, &a_low, &a_high) && kexpr_range(p, b, &b_low, &b_high)) {
        if (a_high <= b_low)
            return op == 'm' ? a : b;
        if (b_high <= a_low)
            return op == 'm' ? b : a;
    }
    return index_new(p, op, a, b);
}

KExpr *kexpr_binary(KProgram *p, char op, KExpr *a, KExpr *b) {
    a = kexpr_cast(p, KBASE_INDEX, a);
    b = kexpr_cast(p, KBASE_INDEX, b);
    switch (op) {
    case '+':
    case '-':
        return fold_sum(p, op, a, b);
    case '*':
        return fold_product(p, a, b);
    case '/':
    case '%':
        return fold_division(p, op, a, b);
    default:
        return fold_extremum(p, op, a, b);
    }
}

/* ---- the other kinds */

KExpr **kexpr_indices(KProgram *p, KExpr *const *index, int count) {
    KExpr **copy = ARENA_ARRAY(p->arena, KExpr *, count + 1);
    for (int i = 0; i < count; i++)
        copy[i] = kexpr_cast(p, KBASE_INDEX, index[i]);
    return copy;
}

KExpr *kexpr_load_vector(KProgram *p, KBuffer *buffer, KExpr *const *index, int count, int lanes, KExpr *lanes_count,
                         KExpr *stride) {
    KExpr *e = expr_new(p, KE_LOAD, (KType){buffer->base, lanes});
    e->load.buffer = buffer;
    e->load.index = kexpr_indices(p, index, count);
    e->load.index_count = count;
    e->load.count = lanes_count && is_constant(lanes_count, lanes) ? NULL : lanes_count;
    e->load.stride = stride && is_constant(stride, 1) ? NULL : stride;
    return e;
}

KExpr *kexpr_load(KProgram *p, KBuffer *buffer, KExpr *const *index, int count) {
    return kexpr_load_vector(p, buffer, index, count, 1, NULL, NULL);
}

KExpr *kexpr_splat(KProgram *p, KExpr *scalar, int lanes) {
    if (lanes == 1 || scalar->type.lanes > 1)
        return scalar;
    KExpr *e = expr_new(p, KE_SPLAT, (KType){scalar->type.base, lanes});
    e->operand = scalar;
    return e;
}

KExpr *kexpr_cast(KProgram *p, KBase base, KExpr *operand) {
    if (operand->type.base == base)
        return operand;
    if (operand->kind == KE_CONST && operand->type.base != KBASE_F32)
        return kexpr_number(p, base, base == KBASE_BOOL ? operand->number != 0 : operand->number);
    if (operand->kind == KE_SPLAT)
        return kexpr_splat(p, kexpr_cast(p, base, operand->operand), operand->type.lanes);
    KExpr *e = expr_new(p, KE_CAST, (KType){base, operand->type.lanes});
    e->operand = operand;
    return e;
}

static bool is_bool(const KExpr *e, bool value) {
    return e->kind == KE_CONST && e->type.base == KBASE_BOOL && (e->number != 0) == value;
}

/* What logic with a known operand comes to, or NULL. */
static KExpr *fold_logic(ScalarFn fn, KExpr **args) {
    if (fn == FN_select && args[0]->kind == KE_CONST)
        return args[0]->number != 0 ? args[1] : args[2];
    if (fn != FN_and && fn != FN_or)
        return NULL;
    for (int i = 0; i < 2; i++)
        for (int value = 0; value < 2; value++)
            if (is_bool(args[i], value))
                return value == (fn == FN_and) ? args[1 - i] : args[i];
    return NULL;
}

/* All vector arguments are splats: the function is computed once. */
static KExpr *fold_splats(KProgram *p, ScalarFn fn, KExpr **args, int lanes) {
    KExpr *scalar[3] = {NULL, NULL, NULL};
    for (int i = 0; i < scalar_infos[fn].arity; i++) {
        if (args[i]->type.lanes > 1 && args[i]->kind != KE_SPLAT)
            return NULL;
        scalar[i] = args[i]->type.lanes > 1 ? args[i]->operand : args[i];
    }
    return kexpr_splat(p, kexpr_fn(p, fn, scalar[0], scalar[1], scalar[2]), lanes);
}

KExpr *kexpr_fn(KProgram *p, ScalarFn fn, KExpr *a, KExpr *b, KExpr *c) {
    KExpr *args[3] = {a, b, c};
    int arity = scalar_infos[fn].arity, lanes = 1, first = fn == FN_select;
    for (int i = 0; i < arity; i++)
        if (args[i]->type.lanes > lanes)
            lanes = args[i]->type.lanes;
    KExpr *folded = lanes > 1 ? fold_splats(p, fn, args, lanes) : NULL;
    if (!folded)
        folded = fold_logic(fn, args);
    if (folded)
        return kexpr_splat(p, folded, lanes);
    bool has_index = false;
    for (int i = first; i < arity; i++)
        has_index |= args[i]->type.base == KBASE_INDEX;
    KExpr *e = expr_new(p, KE_FN, (KType){KBASE_BOOL, lanes});
    e->fn.fn = fn;
    for (int i = 0; i < arity; i++) {
        if (has_index && i >= first && args[i]->type.base == KBASE_I32)
            args[i] = kexpr_cast(p, KBASE_INDEX, args[i]); /* an index beside an i32 counts in 64 bits */
        e->fn.args[i] = kexpr_splat(p, args[i], lanes);
    }
    if (!scalar_infos[fn].gives_bool)
        e->type.base = e->fn.args[first]->type.base;
    return e;
}

KExpr *kexpr_across(KProgram *p, ReduceKind kind, KExpr *operand) {
    if (operand->type.lanes == 1)
        return operand;
    KExpr *e = expr_new(p, KE_ACROSS, (KType){operand->type.base, 1});
    e->across.kind = kind;
    e->across.operand = operand;
    return e;
}

KExpr *kexpr_random(KProgram *p, RandomKind kind, int stream, KExpr *seed, KExpr *step, KExpr *index) {
    KExpr *e = expr_new(p, KE_RANDOM, (KType){KBASE_F32, 1});
    e->random.kind = kind;
    e->random.stream = stream;
    e->random.seed = seed;
    e->random.step = step;
    e->random.index = index;
    return e;
}

/* ---- operands of any kind */

int kexpr_operands(const KExpr *e, KExpr *operands[KEXPR_MAX_OPERANDS]) {
    int count = 0;
    switch (e->kind) {
    case KE_LOAD:
        for (int i = 0; i < e->load.index_count; i++)
            operands[count++] = e->load.index[i];
        if (e->load.count)
            operands[count++] = e->load.count;
        if (e->load.stride)
            operands[count++] = e->load.stride;
        break;
    case KE_FN:
        for (int i = 0; i < scalar_infos[e->fn.fn].arity; i++)
            operands[count++] = e->fn.args[i];
        break;
    case KE_INDEX:
        operands[count++] = e->index.left;
        operands[count++] = e->index.right;
        break;
    case KE_CAST:
    case KE_SPLAT:
        operands[count++] = e->operand;
        break;
    case KE_ACROSS:
        operands[count++] = e->across.operand;
        break;
    case KE_RANDOM:
        operands[count++] = e->random.seed;
        operands[count++] = e->random.step;
        operands[count++] = e->random.index;
        break;
    default:
        break;
    }
    return count;
}

bool kexpr_uses(const KExpr *e, const KVar *var) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_VAR)
        return e->var == var;
    for (int i = kexpr_operands(e, operands) - 1; i >= 0; i--)
        if (kexpr_uses(operands[i], var))
            return true;
    return false;
}

static bool same_own_fields(const KExpr *a, const KExpr *b) {
    switch (a->kind) {
    case KE_CONST:
        return memcmp(&a->number, &b->number, sizeof a->number) == 0;
    case KE_VAR:
        return a->var == b->var;
    case KE_LOAD:
        return a->load.buffer == b->load.buffer && !a->load.count == !b->load.count &&
               !a->load.stride == !b->load.stride;
    case KE_FN:
        return a->fn.fn == b->fn.fn;
    case KE_INDEX:
        return a->index.op == b->index.op;
    case KE_ACROSS:
        return a->across.kind == b->across.kind;
    case KE_RANDOM:
        return a->random.kind == b->random.kind && a->random.stream == b->random.stream;
    default:
        return true;
    }
}

bool kexpr_equal(const KExpr *a, const KExpr *b) {
    KExpr *left[KEXPR_MAX_OPERANDS], *right[KEXPR_MAX_OPERANDS];
    if (a == b)
        return true;
    if (a->kind != b->kind || a->type.base != b->type.base || a->type.lanes != b->type.lanes || !same_own_fields(a, b))
        return false;
    int count = kexpr_operands(a, left);
    if (count != kexpr_operands(b, right))
        return false;
    for (int i = 0; i < count; i++)
        if (!kexpr_equal(left[i], right[i]))
            return false;
    return true;
}

/* ---- substitution */

static KExpr *with_operands(KProgram *p, const KExpr *e, KExpr **operands) {
    switch (e->kind) {
    case KE_LOAD: {
        int count = e->load.index_count;
        KExpr *lanes_count = e->load.count ? operands[count] : NULL;
        KExpr *stride = e->load.stride ? operands[count + (e->load.count != NULL)] : NULL;
        return kexpr_load_vector(p, e->load.buffer, operands, count, e->type.lanes, lanes_count, stride);
    }
    case KE_FN:
        return kexpr_fn(p, e->fn.fn, operands[0], operands[1], operands[2]);
    case KE_INDEX:
        return kexpr_binary(p, e->index.op, operands[0], operands[1]);
    case KE_CAST:
        return kexpr_cast(p, e->type.base, operands[0]);
    case KE_SPLAT:
        return kexpr_splat(p, operands[0], e->type.lanes);
    case KE_ACROSS:
        return kexpr_across(p, e->across.kind, operands[0]);
    default: {
        KExpr *random = kexpr_random(p, e->random.kind, e->random.stream, operands[0], operands[1], operands[2]);
        random->type = e->type;
        return random;
    }
    }
}

KExpr *kexpr_substitute(KProgram *p, const KExpr *e, KVar *const *from, KExpr *const *to, int count) {
    KExpr *operands[KEXPR_MAX_OPERANDS] = {NULL};
    if (e->kind == KE_VAR) {
        for (int i = 0; i < count; i++)
            if (e->var == from[i])
                return to[i];
    }
    int operand_count = kexpr_operands(e, operands);
    bool changed = false;
    for (int i = 0; i < operand_count; i++) {
        KExpr *replaced = kexpr_substitute(p, operands[i], from, to, count);
        changed |= replaced != operands[i];
        operands[i] = replaced;
    }
    /* Expressions are never changed in place, so an unchanged one may be shared. */
    return changed ? with_operands(p, e, operands) : (KExpr *)e;
}
