/* Kernel IR: what index expressions can be: the value of an operation, bounds of an expression. */
#include "codegen/kir/kir.h"

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}

bool kindex_value(char op, int64_t a, int64_t b, int64_t *value) {
    switch (op) {
    case '+':
        *value = a + b;
        return true;
    case '-':
        *value = a - b;
        return true;
    case '*':
        *value = a * b;
        return true;
    case 'm':
        *value = least(a, b);
        return true;
    case 'M':
        *value = most(a, b);
        return true;
    default:
        if (a < 0 || b <= 0)
            return false;
        *value = op == '/' ? a / b : a % b;
        return true;
    }
}

static bool range_of_index(const KProgram *p, const KExpr *e, int64_t *low, int64_t *high) {
    int64_t a, b, c, d;
    if (!kexpr_range(p, e->index.left, &a, &b) || !kexpr_range(p, e->index.right, &c, &d))
        return false;
    switch (e->index.op) {
    case '+':
        *low = a + c, *high = b + d;
        return true;
    case '-':
        *low = a - d, *high = b - c;
        return true;
    case '*':
        *low = least(least(a * c, a * d), least(b * c, b * d));
        *high = most(most(a * c, a * d), most(b * c, b * d));
        return true;
    case '/':
        *low = a >= 0 && d > 0 ? a / d : 0, *high = c > 0 ? b / c : b;
        return a >= 0 && c > 0;
    case '%':
        *low = 0, *high = least(b, d - 1);
        return a >= 0 && c > 0;
    case 'm':
        *low = least(a, c), *high = least(b, d);
        return true;
    default:
        *low = most(a, c), *high = most(b, d);
        return true;
    }
}

bool kexpr_range(const KProgram *p, const KExpr *e, int64_t *low, int64_t *high) {
    switch (e->kind) {
    case KE_CONST:
        *high = (int64_t)e->number;
        *low = *high;
        return e->type.base != KBASE_F32;
    case KE_BATCH:
        *low = 1, *high = p->module ? p->module->batch_max : 0;
        return *high > 0;
    case KE_VAR:
        *low = 0, *high = e->var->limit - 1;
        return e->var->limit > 0;
    case KE_INDEX:
        return range_of_index(p, e, low, high);
    default:
        return false;
    }
}
