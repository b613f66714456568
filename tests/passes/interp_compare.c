#include "tests/passes/interp_compare.h"
#include <math.h>
#include <string.h>

uint64_t test_random_word(TestRandom *random) { /* splitmix64 */
    uint64_t z = random->state += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
}

double test_random_number(TestRandom *random, double low, double high) {
    return low + (high - low) * ((double)(test_random_word(random) >> 11) * 0x1p-53);
}

int test_random_below(TestRandom *random, int bound) {
    return (int)(test_random_word(random) % (uint64_t)bound);
}

void test_fill_tensor(Tensor *tensor, TestRandom *random, double low, double high, int class_count) {
    for (int64_t i = 0; i < tensor->count; i++)
        switch (tensor->type->dtype) {
        case DTYPE_F32:
            tensor->data[i] = (float)test_random_number(random, low, high);
            break;
        case DTYPE_I32:
            tensor->data[i] = test_random_below(random, class_count > 0 ? class_count : 2);
            break;
        case DTYPE_BOOL:
            tensor->data[i] = test_random_below(random, 2);
            break;
        }
}

void test_fill_variables(Interp *interp, const CompareOptions *options) {
    TestRandom random = {options->seed};
    for (int i = 0; i < interp->module->variable_count; i++) {
        bool positive = interp->module->variables[i]->role != VARIABLE_TRAINABLE;
        test_fill_tensor(&interp->variables[i], &random, positive ? 0 : -1, 1, options->class_count);
    }
}

Tensor *test_fill_args(Interp *interp, const Func *func, const CompareOptions *options) {
    TestRandom random = {options->seed ^ 0x5EED};
    Tensor *args = ARENA_ARRAY(interp->arena, Tensor, func->body.arg_count + 1);
    for (int i = 0; i < func->body.arg_count; i++) {
        bool positive = func->arg_kinds[i] == ARG_SAMPLE_WEIGHT;
        args[i] = interp_tensor(interp, func->body.args[i]->type);
        test_fill_tensor(&args[i], &random, positive ? 0 : -1, 1, options->class_count);
    }
    return args;
}

static bool test_same_tensor(const Tensor *a, const Tensor *b, double tolerance, const char *name, Text *why) {
    if (a->count != b->count) {
        text_format(why, "%s has %lld and %lld elements", name, (long long)a->count, (long long)b->count);
        return false;
    }
    for (int64_t i = 0; i < a->count; i++) {
        double x = a->data[i], y = b->data[i];
        if (x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= tolerance * (1 + fmax(fabs(x), fabs(y))))
            continue;
        text_format(why, "%s[%lld]: %.17g before, %.17g after", name, (long long)i, x, y);
        return false;
    }
    return true;
}

typedef struct {
    Interp *interp;
    Tensor *results;
} TestRun;

static bool test_run_func(Arena *arena, const Module *module, const Func *func, const CompareOptions *options,
                          bool round_to_float, TestRun *run) {
    run->interp = interp_new(arena, module, options->batch);
    run->interp->round_to_float = round_to_float;
    test_fill_variables(run->interp, options);
    run->results = ARENA_ARRAY(arena, Tensor, func->body.yield_count + 1);
    return interp_run(run->interp, func, test_fill_args(run->interp, func, options), run->results);
}

static bool test_compare_variables(const TestRun *a, const TestRun *b, double tolerance, Text *why) {
    const Module *module = a->interp->module;
    for (int i = 0; i < module->variable_count; i++) {
        const Variable *other = module_find_variable(b->interp->module, module->variables[i]->name);
        if (!other) {
            text_format(why, "the variable %s is gone", module->variables[i]->name);
            return false;
        }
        if (!test_same_tensor(&a->interp->variables[i], &b->interp->variables[other->id], tolerance, other->name, why))
            return false;
    }
    return true;
}

static bool test_compare_func(Arena *arena, const Module *before, const Func *func, const Module *after,
                              const CompareOptions *options, Text *why) {
    const Func *other = module_find_func(after, func->name);
    TestRun a, b;
    if (!other || other->body.yield_count != func->body.yield_count) {
        text_format(why, "@%s is gone or has other results", func->name);
        return false;
    }
    if (!test_run_func(arena, before, func, options, false, &a) ||
        !test_run_func(arena, after, other, options, options->round_to_float, &b)) {
        text_format(why, "@%s does not run", func->name);
        return false;
    }
    for (int i = 0; i < func->body.yield_count; i++)
        if (!test_same_tensor(&a.results[i], &b.results[i], options->tolerance, func->result_names[i], why))
            return false;
    return test_compare_variables(&a, &b, options->tolerance, why);
}

bool test_compare_modules(const Module *before, const Module *after, const CompareOptions *options, Text *why) {
    Arena *arena = arena_new();
    bool same = true;
    for (int i = 0; same && i < before->func_count; i++) {
        Text reason = {0};
        same = test_compare_func(arena, before, before->funcs[i], after, options, &reason);
        if (!same)
            text_format(why, "@%s: %s", before->funcs[i]->name, reason.data);
        text_free(&reason);
    }
    arena_free(arena);
    return same;
}

static double result_at(Interp *interp, const Func *func, Tensor *args, double *element, double value) {
    Tensor results[TEST_MOST_ARGS + 1];
    *element = value;
    return interp_run(interp, func, args, results) ? results[0].data[0] : NAN;
}

bool test_differences(Interp *interp, const Func *func, Tensor *args, int count, const char *name) {
    const double step = 1e-5;
    Tensor results[TEST_MOST_ARGS + 1];
    if (!interp_run(interp, func, args, results))
        return false;
    for (int i = 0; i < count; i++)
        for (int64_t j = 0; j < args[i].count; j++) {
            double *element = &args[i].data[j], x = *element, expected = results[i + 1].data[j];
            double above = result_at(interp, func, args, element, x + step);
            double found = (above - result_at(interp, func, args, element, x - step)) / (2 * step);
            *element = x;
            if (fabs(found - expected) <= 1e-7 * (1 + fabs(expected)))
                continue;
            printf("%s: argument %d, element %d: %.9g, by differences %.9g\n", name, i, (int)j, expected, found);
            return false;
        }
    return true;
}
