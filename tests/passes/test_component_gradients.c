/* Gradients of every check program of every component: what autodiff makes of train_step against central differences
 * of its loss, in double, for every element of every trainable weight. */
#include "component_harness.h"
#include "frontend/component.h"
#include "passes/pass.h"
#include "test.h"

enum { BATCH = 3, SEED = 11 };
static const double step = 1e-5, tolerance = 2e-7;

/* A small generator of its own: the numbers only have to be everywhere different and far from kinks. */
static double random_number(uint64_t *state, double low, double high) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return low + (high - low) * (double)(*state >> 11) / 9007199254740992.0;
}

static void fill(Tensor *tensor, uint64_t *state, double low, double high) {
    for (int64_t i = 0; i < tensor->count; i++)
        tensor->data[i] = random_number(state, low, high);
}

static void fill_targets(Tensor *y, const Program *program, uint64_t *state) {
    if (y->type->dtype == DTYPE_F32) {
        fill(y, state, 0.05, 0.95);
        return;
    }
    double classes = program->class_count > 0 ? (double)program->class_count : 2;
    for (int64_t i = 0; i < y->count; i++)
        y->data[i] = floor(random_number(state, 0, classes));
}

static void fill_variables(Interp *interp, uint64_t *state) {
    for (int i = 0; i < interp->module->variable_count; i++) {
        const Variable *v = interp->module->variables[i];
        Tensor *t = &interp->variables[i];
        if (v->role == VARIABLE_TRAINABLE)
            fill(t, state, -0.9, 0.9);
        else if (v->role == VARIABLE_OPTIMIZER)
            for (int64_t k = 0; k < t->count; k++)
                t->data[k] = v->init.kind == INIT_CONSTANT ? v->init.a : 0;
        else
            fill(t, state, 0.5, 1.5);
    }
}

typedef struct {
    Interp *interp;
    const Func *train;
    HarnessData data;
    double **saved; /* variables before the step */
    int loss;
} Checked;

static bool run(Checked *c, Tensor *results) {
    for (int i = 0; i < c->interp->module->variable_count; i++)
        memcpy(c->interp->variables[i].data, c->saved[i], sizeof(double) * (size_t)c->interp->variables[i].count);
    return harness_run(c->interp, c->train, &c->data, results);
}

static double loss_with(Checked *c, int variable, int64_t k, double change) {
    Tensor results[HARNESS_RESULTS];
    double before = c->saved[variable][k];
    c->saved[variable][k] = before + change;
    bool good = run(c, results);
    c->saved[variable][k] = before;
    return good ? results[c->loss].data[0] : NAN;
}

static int compare(Checked *c, const char *component, const Variable *v, const double *gradient) {
    for (int64_t k = 0; k < c->interp->variables[v->id].count; k++) {
        double slope = (loss_with(c, v->id, k, step) - loss_with(c, v->id, k, -step)) / (2 * step);
        double size = fmax(1, fmax(fabs(slope), fabs(gradient[k])));
        if (!(fabs(slope - gradient[k]) <= tolerance * size)) {
            printf("%s: gradient of %s[%lld] is %.9g, by differences %.9g\n", component, v->name, (long long)k,
                   gradient[k], slope);
            return 1;
        }
    }
    return 0;
}

static void start(Checked *c, Compiled *compiled) {
    const Module *module = compiled->program->module;
    uint64_t state = 42;
    c->interp = interp_new(compiled->arena, module, BATCH);
    for (int i = 0; i < c->train->body.arg_count; i++) {
        Tensor t = interp_tensor(c->interp, c->train->body.args[i]->type);
        if (c->train->arg_kinds[i] == ARG_TARGET)
            fill_targets(&t, compiled->program, &state), c->data.y = t;
        else if (c->train->arg_kinds[i] == ARG_SAMPLE_WEIGHT)
            fill(&t, &state, 0.2, 2), c->data.weight = t;
        else if (c->train->arg_kinds[i] != ARG_SEED)
            fill(&t, &state, -1, 1), c->data.x = t;
    }
    c->data.seed = SEED;
    fill_variables(c->interp, &state);
    c->saved = ARENA_ARRAY(compiled->arena, double *, module->variable_count + 1);
    for (int i = 0; i < module->variable_count; i++)
        c->saved[i] = arena_copy(compiled->arena, c->interp->variables[i].data,
                                 sizeof(double) * (size_t)c->interp->variables[i].count);
}

/* Number of wrong gradients; also counts each compared tensor as a check. */
static void check_gradients(const Component *component, Compiled *compiled) {
    static const char *const names[] = {"simplify", "autodiff"};
    Module *module = compiled->program->module;
    Checked c = {.train = module_find_func(module, "train_step")};
    PassContext context = pass_context(compiled->diag, NULL, NULL);
    bool ready = c.train && harness_show_gradients(compiled, module_find_func(module, "train_step")) &&
                 passes_run(module, &context, names, 2);
    CHECK(ready);
    if (!ready)
        return;
    start(&c, compiled);
    c.loss = harness_result(c.train, "check.loss");
    Tensor results[HARNESS_RESULTS];
    bool good = run(&c, results);
    CHECK(good);
    double **gradients = ARENA_ARRAY(compiled->arena, double *, c.train->body.yield_count);
    for (int i = 0; good && i < c.train->body.yield_count; i++)
        gradients[i] = arena_copy(compiled->arena, results[i].data, sizeof(double) * (size_t)results[i].count);
    for (int i = 0; good && i < c.train->body.yield_count; i++) {
        if (strncmp(c.train->result_names[i], "gradient/", 9) != 0)
            continue;
        const Variable *v = module_find_variable(module, c.train->result_names[i] + 9);
        CHECK(v != NULL);
        if (v)
            CHECK(compare(&c, component->name, v, gradients[i]) == 0);
    }
}

int main(void) {
    for (int i = 0; components[i]; i++)
        for (int k = 0; components[i]->checks[k]; k++) {
            Compiled compiled = harness_compile(components[i]->name, components[i]->checks[k]);
            CHECK(compiled.program != NULL);
            int failed = test_failed;
            if (compiled.program)
                check_gradients(components[i], &compiled);
            if (harness_complaints(&compiled, components[i]->name) == 0 && test_failed > failed)
                printf("--- in this check of %s\n%s\n", components[i]->name, components[i]->checks[k]);
            harness_free(&compiled);
        }
    return test_report();
}
