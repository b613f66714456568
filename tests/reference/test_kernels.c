/* Parity with Keras 3 of what is compiled: every fixture through the whole pipeline to CPU kernels for three widths of
 * vectors, run in float by the kernel-IR interpreter. Output, evaluation, and five steps with everything they leave.
 * Then every check program of every component: its kernels against the tensor interpreter in double. */
#include "tests/codegen/kernel_compare.h"
#include "tests/passes/interp_compare.h"
#include "tests/reference/fixture.h"
#include "frontend/component.h"
#include "test.h"

static const char *const targets[] = {"generic", "x86-64-v3", "x86-64-v4"};
enum { TARGETS = sizeof targets / sizeof *targets };

/* Half of the 1e-5 that is promised; the worst fixture is off by 6e-7. */
static const double tolerance = 5e-6;

/* ---- fixtures */

/* The values that an argument of func is given. */
static const double *argument(const Func *func, int index, const FixtureBatch *batch, const double *seed) {
    switch (func->arg_kinds[index]) {
    case ARG_TARGET:
        return batch->y;
    case ARG_SAMPLE_WEIGHT:
        return batch->weight;
    case ARG_SEED:
        return seed;
    default:
        return batch->x;
    }
}

static bool give(KInterp *in, KProgram *p, const KSequence *sequence, const Module *module, double **variables,
                 const FixtureBatch *batch) {
    static const double seed = 1;
    bool ok = true;
    for (int i = 0; i < p->buffer_count && ok; i++) {
        const KBuffer *b = p->buffers[i];
        const double *from = NULL;
        if (b->alias)
            continue;
        if (b->space == SPACE_VARIABLE)
            from = variables[module_find_variable(module, b->variable->name)->id];
        else if (b->space == SPACE_ARGUMENT && b->sequence == sequence)
            from = argument(sequence->func, b->argument, batch, &seed);
        int64_t count = 1;
        for (int a = 0; a < b->rank; a++)
            count *= dim_size(b->dims[a], batch->rows);
        if (from)
            ok = kinterp_set(in, b, from, count);
    }
    return ok;
}

static void take(KInterp *in, KProgram *p, const KSequence *sequence, const Module *module, double **variables,
                 Arena *arena, double **results) {
    for (int i = 0; i < p->buffer_count; i++) {
        const KBuffer *b = p->buffers[i];
        if (b->alias)
            continue;
        if (b->space == SPACE_VARIABLE)
            kinterp_get(in, b, variables[module_find_variable(module, b->variable->name)->id]);
        else if (b->space == SPACE_RESULT && b->sequence == sequence) {
            results[b->argument] = ARENA_ARRAY(arena, double, kbuffer_elements(b, p->module->batch_max) + 1);
            kinterp_get(in, b, results[b->argument]);
        }
    }
}

static bool run_kernels(FixtureRunner *runner, Fixture *f, const Func *func, const FixtureBatch *batch,
                        double **results) {
    KProgram *p = runner->state;
    KSequence *sequence = kernel_sequence(p, func->name);
    if (!sequence)
        return false;
    KInterp *in = kinterp_new(p, batch->rows, (KInterpOptions){.threads = 2, .fused_multiply_add = true});
    bool ran = give(in, p, sequence, f->program->module, runner->variables, batch) && kinterp_run(in, sequence);
    for (int i = 0; i < func->body.yield_count; i++)
        results[i] = NULL;
    if (ran)
        take(in, p, sequence, f->program->module, runner->variables, f->compiled.arena, results);
    else
        printf("%s: %s\n", f->name, kinterp_error(in));
    kinterp_free(in);
    for (int i = 0; i < func->body.yield_count && ran; i++)
        if (!results[i]) {
            printf("%s: %s is written nowhere\n", f->name, func->result_names[i]);
            ran = false;
        }
    return ran;
}

static void check_fixture(const char *name) {
    for (int t = 0; t < TARGETS; t++) {
        Fixture f;
        if (fixture_open(&f, name, tolerance)) {
            FixtureRunner runner = {.run = run_kernels};
            runner.state = kernel_program(f.compiled.arena, f.compiled.diag, f.program->module, targets[t], true, name);
            if (runner.state)
                fixture_check(&f, &runner);
            else
                fixture_fail(&f, "has no kernels for", targets[t]);
        }
        if (f.wrong)
            printf("^ %s, %s\n", name, targets[t]);
        CHECK(f.wrong == 0);
        fixture_close(&f);
    }
}

/* ---- components */

enum { SEED = 5 };

typedef struct {
    const Component *component;
    Compiled *compiled;
    const Module *oracle;
    const char *target;
} Checked;

/* A tensor of nothing but NaN, which compare as equal, proves nothing. Some may be there: slots of optimizers are
 * filled at random, and no gradients lead to a variance below 0. */
static bool proves_nothing(const Tensor *t) {
    int64_t numbers = 0;
    for (int64_t k = 0; k < t->count; k++)
        numbers += !isnan(t->data[k]);
    return numbers == 0;
}

static const char *without_numbers(const KernelExpected *e) {
    const Module *module = e->interp->module;
    for (int i = 0; i < e->func->body.yield_count; i++)
        if (proves_nothing(&e->results[i]))
            return e->func->result_names[i];
    for (int i = 0; i < module->variable_count; i++)
        if (proves_nothing(&e->interp->variables[i]))
            return module->variables[i]->name;
    return NULL;
}

static void check_func(const Checked *c, KProgram *p, const Func *func, int64_t batch) {
    Text why = {0};
    int classes = (int)c->compiled->program->class_count;
    KernelExpected e = kernel_expect(c->compiled->arena, c->oracle, func, SEED, batch, classes);
    KernelValues values = kernel_run(c->compiled->arena, p, &e, (KInterpOptions){.fused_multiply_add = true}, &why);
    bool right = values.ran && kernel_check(&e, &values, &why);
    if (without_numbers(&e))
        text_format(&why, "there is no number in %s", without_numbers(&e));
    CHECK(right && !without_numbers(&e));
    if (why.length)
        printf("%s, %s, batch %d, @%s: %s\n--- in this check\n%s\n", c->component->name, c->target, (int)batch,
               func->name, why.data ? why.data : "", c->compiled->file.text);
    text_free(&why);
}

static void check_program(const Component *component, Compiled *compiled, const char *target) {
    const Module *module = compiled->program->module;
    Checked c = {component, compiled, kernel_oracle(compiled->arena, compiled->diag, module), target};
    KProgram *p = kernel_program(compiled->arena, compiled->diag, module, target, true, component->name);
    CHECK(c.oracle && p);
    for (int i = 0; c.oracle && p && i < c.oracle->func_count; i++) {
        check_func(&c, p, c.oracle->funcs[i], module->batch_max);
        check_func(&c, p, c.oracle->funcs[i], module->batch_max / 2 + 1);
        check_func(&c, p, c.oracle->funcs[i], 1);
    }
}

static void check_component(const Component *component) {
    for (int k = 0; component->checks[k]; k++)
        for (int t = 0; t < TARGETS; t++) {
            Compiled compiled = harness_compile(component->name, component->checks[k]);
            CHECK(compiled.program != NULL);
            if (compiled.program)
                check_program(component, &compiled, targets[t]);
            harness_complaints(&compiled, component->name);
            harness_free(&compiled);
        }
}

/* All fixtures and components, or those whose names contain the argument. */
int main(int argc, char **argv) {
    const char *part = argc > 1 ? argv[1] : NULL;
    int fixtures = fixture_for_each(part, check_fixture);
    CHECK(part || fixtures > 0);
    for (int i = 0; components[i]; i++)
        if (!part || strstr(components[i]->name, part))
            check_component(components[i]);
    return test_report();
}
