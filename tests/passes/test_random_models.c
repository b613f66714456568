/* 200 random models: every pass alone (where its level allows) and the whole pipeline leave what the interpreter
 * computes; simplify, run again, changes nothing; the gradient of the loss agrees with central differences along a
 * random direction. */
#include "tests/passes/interp_compare.h"
#include "tests/passes/random_model.h"
#include "passes/pass.h"
#include "test.h"

enum { MODELS = 200 };
static const PassOptions checked = {.verify_all = true};

static CompareOptions options_for(uint64_t seed) {
    return (CompareOptions){
        .seed = seed, .batch = 1 + (int64_t)(seed % 3), .class_count = RANDOM_MODEL_CLASSES, .tolerance = 1e-9};
}

static void report_diag(Diag *diag, const char *what, uint64_t seed) {
    Text text = {0};
    if (!diag_errors(diag))
        return;
    diag_print(diag, &text, false);
    printf("seed %d, %s: %s\n", (int)seed, what, text.data ? text.data : "");
    text_free(&text);
}

static bool run(Module *module, Diag *diag, const char *const *names, int count, uint64_t seed) {
    PassContext context = pass_context(diag, NULL, &checked);
    bool ok = passes_run(module, &context, names, count);
    if (!ok)
        report_diag(diag, names[0], seed);
    return ok;
}

static void check_same(const Module *before, const Module *after, const char *what, uint64_t seed) {
    Text why = {0};
    CompareOptions options = options_for(seed);
    bool same = test_compare_modules(before, after, &options, &why);
    CHECK(same);
    if (!same)
        printf("seed %d, after %s: %s\n", (int)seed, what, why.data);
    text_free(&why);
}

/* Each pass on its own, on the module with its gradients expanded by autodiff alone. */
static void check_passes(Arena *arena, Diag *diag, const Module *model, uint64_t seed) {
    Module *plain = module_clone(arena, model);
    CHECK(run(plain, diag, (const char *[]){"autodiff"}, 1, seed));
    for (int i = 0; i < pass_count; i++) {
        if (pass_infos[i].first > LEVEL_PRIMITIVES || strcmp(pass_infos[i].name, "autodiff") == 0)
            continue;
        Module *changed = module_clone(arena, plain);
        const char *names[] = {pass_infos[i].name, "dce", pass_infos[i].name};
        bool wants_clean = pass_infos[i].first >= LEVEL_PRIMITIVES; /* fuse and later ones */
        bool ran = run(changed, diag, wants_clean ? names + 1 : names, wants_clean ? 2 : 1, seed);
        CHECK(ran);
        if (ran)
            check_same(plain, changed, pass_infos[i].name, seed);
    }
    Module *whole = module_clone(arena, model);
    bool ran = run(whole, diag, pass_pipeline, pass_pipeline_count, seed);
    CHECK(ran);
    if (ran)
        check_same(plain, whole, "the pipeline", seed);
}

static void check_simplify_ends(Arena *arena, Diag *diag, const Module *model, uint64_t seed) {
    Module *module = module_clone(arena, model);
    const char *names[] = {"simplify"};
    Text once = {0}, twice = {0};
    CHECK(run(module, diag, (const char *[]){"autodiff", "simplify"}, 2, seed));
    module_print(&once, module);
    CHECK(run(module, diag, names, 1, seed));
    module_print(&twice, module);
    CHECK_TEXT(twice.data, once.data);
    text_free(&once);
    text_free(&twice);
}

static double dot_gradient(const Interp *interp, const Tensor *results, const Tensor *direction) {
    double sum = 0;
    for (int i = 0, next = 1; i < interp->module->variable_count; i++) {
        if (interp->module->variables[i]->role != VARIABLE_TRAINABLE)
            continue;
        for (int64_t j = 0; j < direction[i].count; j++)
            sum += direction[i].data[j] * results[next].data[j];
        next++;
    }
    return sum;
}

/* The loss after a step along the direction. */
static double loss_at(Interp *interp, const Func *func, const Tensor *args, const Tensor *direction, double step,
                      Tensor *results) {
    const Module *module = interp->module;
    for (int sign = 1; sign >= -1; sign -= 2) {
        for (int i = 0; i < module->variable_count; i++)
            for (int64_t j = 0; module->variables[i]->role == VARIABLE_TRAINABLE && j < direction[i].count; j++)
                interp->variables[i].data[j] += sign * step * direction[i].data[j];
        if (sign == 1 && !interp_run(interp, func, args, results))
            return NAN;
    }
    return results[0].data[0];
}

static void check_gradient(Arena *arena, Diag *diag, const Module *model, uint64_t seed) {
    const double step = 1e-6;
    Module *module = module_clone(arena, model);
    if (!run(module, diag, (const char *[]){"autodiff", "dce"}, 2, seed)) {
        CHECK(false);
        return;
    }
    const Func *func = module_find_func(module, "gradients");
    CompareOptions options = options_for(seed);
    Interp *interp = interp_new(arena, module, options.batch);
    test_fill_variables(interp, &options);
    Tensor *args = test_fill_args(interp, func, &options),
           *results = ARENA_ARRAY(arena, Tensor, func->body.yield_count);
    Tensor *direction = ARENA_ARRAY(arena, Tensor, module->variable_count);
    TestRandom random = {seed + 1000};
    for (int i = 0; i < module->variable_count; i++) {
        direction[i] = interp_tensor(interp, module->variables[i]->type);
        test_fill_tensor(&direction[i], &random, -1, 1, 2);
    }
    loss_at(interp, func, args, direction, 0, results);
    double expected = dot_gradient(interp, results, direction);
    double above = loss_at(interp, func, args, direction, step, results);
    double below = loss_at(interp, func, args, direction, -step, results);
    double found = (above - below) / (2 * step);
    CHECK_NEAR(found, expected, 1e-6 * (1 + fabs(expected) + fabs(above)));
    if (!(fabs(found - expected) <= 1e-6 * (1 + fabs(expected) + fabs(above))))
        printf("seed %d\n", (int)seed);
}

int main(void) {
    int op_count[OP_COUNT] = {0};
    for (uint64_t seed = 0; seed < MODELS; seed++) {
        Arena *arena = arena_new();
        Diag *diag = diag_new(arena);
        Module *model = random_model(arena, diag, seed);
        bool ok = diag_errors(diag) == 0 && module_verify(model, "the generator");
        CHECK(ok);
        report_diag(diag, "the generator", seed);
        if (ok) {
            for (const Op *op = module_find_func(model, "gradients")->body.first; op; op = op->next)
                op_count[op->code]++;
            check_passes(arena, diag, model, seed);
            check_simplify_ends(arena, diag, model, seed);
            check_gradient(arena, diag, model, seed);
        }
        arena_free(arena);
    }
    /* What these models hold: else they prove little. */
    const OpCode expected[] = {OP_EINSUM, OP_CONV,   OP_POOL,      OP_REDUCE, OP_GATHER, OP_RANDOM,        OP_SLICE,
                               OP_PAD,    OP_CONCAT, OP_TRANSPOSE, OP_ARGMAX, OP_IOTA,   OP_STOP_GRADIENT, OP_REVERSE};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        CHECK(op_count[expected[i]] >= 10);
    return test_report();
}
