/* Parity with Keras 3: every fixture (tests/reference/README.md) built by the front end, differentiated, run by the
 * interpreter in double: outputs, evaluation, loss, gradients, five optimizer steps and everything they leave. The
 * fixtures were computed in double and stored as float32, so only their rounding lies between the two. */
#include "tests/reference/fixture.h"
#include "passes/pass.h"
#include "test.h"

static const double tolerance = 1e-6;

static Tensor tensor_of(Interp *interp, const Type *type, const double *values) {
    Tensor t = interp_tensor(interp, type);
    memcpy(t.data, values, sizeof(double) * (size_t)t.count);
    return t;
}

static void copy_variables(Interp *interp, double **variables, bool in) {
    for (int i = 0; i < interp->module->variable_count; i++) {
        Tensor *t = &interp->variables[i];
        memcpy(in ? t->data : variables[i], in ? variables[i] : t->data, sizeof(double) * (size_t)t->count);
    }
}

static bool run_interpreter(FixtureRunner *runner, Fixture *f, const Func *func, const FixtureBatch *batch,
                            double **results) {
    Interp *interp = runner->state;
    HarnessData data = {.seed = 1};
    Tensor tensors[HARNESS_RESULTS];
    (void)f;
    interp->batch = batch->rows;
    for (int i = 0; i < func->body.arg_count; i++) {
        const Type *type = func->body.args[i]->type;
        if (func->arg_kinds[i] == ARG_TARGET)
            data.y = tensor_of(interp, type, batch->y);
        else if (func->arg_kinds[i] == ARG_SAMPLE_WEIGHT)
            data.weight = tensor_of(interp, type, batch->weight);
        else if (func->arg_kinds[i] == ARG_INPUT)
            data.x = tensor_of(interp, type, batch->x);
    }
    copy_variables(interp, runner->variables, true);
    if (!harness_run(interp, func, &data, tensors))
        return false;
    copy_variables(interp, runner->variables, false);
    for (int i = 0; i < func->body.yield_count; i++)
        results[i] = tensors[i].data;
    return true;
}

/* The first batch with the initial weights, in training mode. */
static void compare_gradients(Fixture *f, FixtureRunner *runner) {
    double *results[HARNESS_RESULTS];
    FixtureBatch batch = fixture_batch(f, 0, true);
    fixture_start(f, runner->variables);
    if (!run_interpreter(runner, f, f->train, &batch, results)) {
        fixture_fail(f, "cannot be run:", "train_step");
        return;
    }
    for (int i = 0; i < f->train->body.yield_count; i++) {
        const char *name = f->train->result_names[i];
        int64_t count = type_count(f->train->body.yields[i]->type, batch.rows);
        if (strcmp(name, "check.loss") == 0)
            fixture_compare(f, "loss", results[i], count);
        else if (strncmp(name, "gradient/", 9) == 0)
            fixture_compare(f, name, results[i], count);
    }
}

/* Everything that Keras has, nnc must have: weights, gradients, optimizer state and metrics by the same names. */
static void compare_names(Fixture *f) {
    const Module *module = f->program->module;
    for (int64_t i = 0; i < f->file.count; i++) {
        const char *name = f->file.tensors[i].name;
        bool known = true;
        if (strncmp(name, "initial/", 8) == 0)
            known = module_find_variable(module, name + 8) != NULL;
        else if (strncmp(name, "step5/", 6) == 0)
            known = module_find_variable(module, name + 6) != NULL;
        else if (strncmp(name, "gradient/", 9) == 0)
            known = f->training && harness_result(f->train, name) >= 0;
        else if (strncmp(name, "metric/", 7) == 0)
            known = harness_result(f->evaluate, arena_format(f->compiled.arena, "%s.total", name + 7)) >= 0;
        if (!known)
            fixture_fail(f, "nnc lacks", name);
    }
}

static bool differentiate(Fixture *f) {
    static const char *const names[] = {"simplify", "autodiff", "simplify"};
    PassContext context = pass_context(f->compiled.diag, NULL, NULL);
    bool ok = harness_show_gradients(&f->compiled, f->train) && passes_run(f->program->module, &context, names, 3);
    if (!ok)
        fixture_fail(f, "cannot be differentiated", "");
    return ok;
}

static void check_fixture(const char *name) {
    Fixture f;
    if (fixture_open(&f, name, tolerance) && differentiate(&f)) {
        Interp *interp = interp_new(f.compiled.arena, f.program->module, f.program->fit.batch_size);
        FixtureRunner runner = {.run = run_interpreter, .state = interp};
        compare_names(&f);
        fixture_check(&f, &runner);
        if (f.training)
            compare_gradients(&f, &runner);
    }
    CHECK(f.wrong == 0);
    fixture_close(&f);
}

/* All fixtures, or those whose names contain the argument. */
int main(int argc, char **argv) {
    int count = fixture_for_each(argc > 1 ? argv[1] : NULL, check_fixture);
    CHECK(count > 0);
    return test_report();
}
