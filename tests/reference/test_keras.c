/* Parity with Keras 3: every fixture (tests/reference/README.md) built by the front end, differentiated, run by the
 * interpreter in double: outputs, evaluation, loss, gradients, five optimizer steps and everything they leave. The
 * fixtures were computed in double and stored as float32, so only their rounding lies between the two. */
#include <dirent.h>
#include <stdlib.h>
#include "component_harness.h"
#include "nnrt_safetensors.h"
#include "passes/pass.h"
#include "test.h"

#define FIXTURES NNC_SOURCE_DIR "/tests/reference/fixtures/"

/* Of the largest value of a tensor; the floor is for tensors that are nearly 0. */
static const double tolerance = 1e-6, absolute_floor = 1e-9;

typedef struct {
    const char *name;
    nnrt_safetensors file;
    Compiled compiled;
    Program *program;
    Interp *interp;
    Func *forward, *train, *evaluate;
    const nnrt_tensor *x, *y, *weight;
    int64_t rows;
    double worst;
    const char *worst_tensor;
    int wrong;
} Fixture;

static double value_at(const nnrt_tensor *t, int64_t i) {
    if (t->dtype == NNRT_TENSOR_I32) {
        int32_t integer;
        memcpy(&integer, (const char *)t->data + 4 * i, 4);
        return integer;
    }
    float number;
    memcpy(&number, (const char *)t->data + 4 * i, 4);
    return number;
}

static int64_t count_of(const nnrt_tensor *t) {
    return (int64_t)(t->bytes / 4);
}

static void fail(Fixture *f, const char *what, const char *tensor) {
    printf("%s: %s %s\n", f->name, what, tensor);
    f->wrong++;
}

/* Compares one tensor of the fixture, by name. */
static void compare(Fixture *f, const char *tensor, const double *got, int64_t count) {
    const nnrt_tensor *expected = nnrt_safetensors_find(&f->file, tensor);
    if (!expected || count_of(expected) != count) {
        fail(f, expected ? "has another number of values:" : "the fixture lacks", tensor);
        return;
    }
    double size = absolute_floor / tolerance, error = 0;
    for (int64_t i = 0; i < count; i++) {
        size = fmax(size, fabs(value_at(expected, i)));
        double difference = fabs(got[i] - value_at(expected, i));
        error = difference <= error ? error : difference; /* NaN stays */
    }
    if (!(error / size <= f->worst)) {
        f->worst = error / size;
        f->worst_tensor = expected->name;
    }
    if (error <= tolerance * size)
        return;
    printf("%s: %s is off by %.3g of %.3g", f->name, tensor, error, size);
    for (int64_t i = 0; i < count && i < 3; i++)
        printf("%s%.8g (Keras %.8g)", i ? ", " : ": ", got[i], value_at(expected, i));
    printf("\n");
    f->wrong++;
}

static const char *joined(Fixture *f, const char *prefix, const char *name) {
    return arena_format(f->compiled.arena, "%s/%s", prefix, name);
}

static void set_initial(Fixture *f) {
    const Module *module = f->program->module;
    for (int i = 0; i < module->variable_count; i++) {
        const Variable *v = module->variables[i];
        Tensor *t = &f->interp->variables[i];
        const nnrt_tensor *initial = nnrt_safetensors_find(&f->file, joined(f, "initial", v->name));
        if (v->role == VARIABLE_OPTIMIZER) {
            for (int64_t k = 0; k < t->count; k++)
                t->data[k] = v->init.a;
        } else if (!initial || count_of(initial) != t->count) {
            fail(f, "the fixture has no such weight:", v->name);
        } else {
            for (int64_t k = 0; k < t->count; k++)
                t->data[k] = value_at(initial, k);
        }
    }
}

/* Rows [first, first + count) of a tensor; all ones if there is none (sample weights). */
static Tensor rows_of(Fixture *f, const nnrt_tensor *t, const Type *type, int64_t first, int64_t count) {
    f->interp->batch = count;
    Tensor result = interp_tensor(f->interp, type);
    int64_t each = result.count / count;
    for (int64_t i = 0; i < result.count; i++)
        result.data[i] = !t ? 1 : first * each + i < count_of(t) ? value_at(t, first * each + i) : NAN;
    return result;
}

/* The class of a row, for class weights: an index, a number 0 or 1, or the place of the largest. */
static int class_of(const Tensor *y, int64_t row, int64_t batch) {
    int64_t each = y->count / batch, best = 0;
    if (each == 1)
        return (int)y->data[row];
    for (int64_t i = 1; i < each; i++)
        if (y->data[row * each + i] > y->data[row * each + best])
            best = i;
    return (int)best;
}

static HarnessData batch_of(Fixture *f, const Func *func, int64_t first, bool training) {
    HarnessData data = {.seed = 1};
    int64_t count = f->rows - first < f->program->fit.batch_size ? f->rows - first : f->program->fit.batch_size;
    const Fit *fit = &f->program->fit;
    for (int i = 0; i < func->body.arg_count; i++) {
        const Type *type = func->body.args[i]->type;
        if (func->arg_kinds[i] == ARG_TARGET)
            data.y = rows_of(f, f->y, type, first, count);
        else if (func->arg_kinds[i] == ARG_SAMPLE_WEIGHT)
            data.weight = rows_of(f, f->weight, type, first, count);
        else if (func->arg_kinds[i] == ARG_INPUT)
            data.x = rows_of(f, f->x, type, first, count);
    }
    for (int64_t i = 0; training && fit->class_weight && data.weight.data && i < count; i++) {
        int c = class_of(&data.y, i, count);
        data.weight.data[i] *= c >= 0 && c < fit->class_weight_count ? fit->class_weight[c] : 1;
    }
    return data;
}

static void compare_output(Fixture *f) {
    const nnrt_tensor *expected = nnrt_safetensors_find(&f->file, "output");
    double *all = ARENA_ARRAY(f->compiled.arena, double, count_of(expected) + 1);
    int64_t done = 0;
    set_initial(f);
    for (int64_t first = 0; first < f->rows; first += f->program->fit.batch_size) {
        Tensor results[HARNESS_RESULTS];
        HarnessData data = batch_of(f, f->forward, first, false);
        if (!harness_run(f->interp, f->forward, &data, results) || done + results[0].count > count_of(expected)) {
            fail(f, "cannot be run:", "forward");
            return;
        }
        memcpy(all + done, results[0].data, sizeof(double) * (size_t)results[0].count);
        done += results[0].count;
    }
    compare(f, "output", all, done);
}

static void compare_evaluation(Fixture *f) {
    double sums[HARNESS_RESULTS] = {0};
    set_initial(f);
    for (int64_t first = 0; first < f->rows; first += f->program->fit.batch_size) {
        Tensor results[HARNESS_RESULTS];
        HarnessData data = batch_of(f, f->evaluate, first, false);
        if (!harness_run(f->interp, f->evaluate, &data, results)) {
            fail(f, "cannot be run:", "evaluate_step");
            return;
        }
        for (int i = 0; i < f->evaluate->body.yield_count; i++)
            sums[i] += results[i].data[0];
    }
    for (int m = 0; m < f->program->metric_count; m++) {
        const Metric *metric = &f->program->metrics[m];
        int total = harness_result(f->evaluate, arena_format(f->compiled.arena, "%s.total", metric->name));
        int count = harness_result(f->evaluate, arena_format(f->compiled.arena, "%s.count", metric->name));
        double value = total < 0 || count < 0 ? NAN : sums[total] / sums[count];
        value = metric->root_mean ? sqrt(value) : value;
        compare(f, m == 0 ? "evaluate_loss" : joined(f, "metric", metric->name), &value, 1);
    }
}

static bool run_train(Fixture *f, int64_t first, Tensor *results) {
    HarnessData data = batch_of(f, f->train, first, true);
    if (harness_run(f->interp, f->train, &data, results))
        return true;
    fail(f, "cannot be run:", "train_step");
    return false;
}

static void compare_gradients(Fixture *f) {
    Tensor results[HARNESS_RESULTS];
    set_initial(f);
    if (!run_train(f, 0, results))
        return;
    for (int i = 0; i < f->train->body.yield_count; i++) {
        const char *name = f->train->result_names[i];
        if (strcmp(name, "check.loss") == 0)
            compare(f, "loss", results[i].data, results[i].count);
        else if (strncmp(name, "gradient/", 9) == 0)
            compare(f, name, results[i].data, results[i].count);
    }
}

static void compare_training(Fixture *f) {
    double losses[16] = {0};
    int steps = 0;
    int total = harness_result(f->train, "loss.total"), count = harness_result(f->train, "loss.count");
    set_initial(f);
    for (int64_t first = 0; first < f->rows && steps < 16; first += f->program->fit.batch_size) {
        Tensor results[HARNESS_RESULTS];
        if (!run_train(f, first, results))
            return;
        losses[steps++] = results[total].data[0] / results[count].data[0];
    }
    compare(f, "losses", losses, steps);
    const Module *module = f->program->module;
    for (int i = 0; i < module->variable_count; i++)
        compare(f, joined(f, "step5", module->variables[i]->name), f->interp->variables[i].data,
                f->interp->variables[i].count);
}

/* Everything that Keras has, nnc must have: weights, gradients, optimizer state and metrics by the same names. */
static void compare_names(Fixture *f, bool training) {
    const Module *module = f->program->module;
    for (int64_t i = 0; i < f->file.count; i++) {
        const char *name = f->file.tensors[i].name;
        bool known = true;
        if (strncmp(name, "initial/", 8) == 0)
            known = module_find_variable(module, name + 8) != NULL;
        else if (strncmp(name, "step5/", 6) == 0)
            known = module_find_variable(module, name + 6) != NULL;
        else if (strncmp(name, "gradient/", 9) == 0)
            known = training && harness_result(f->train, name) >= 0;
        else if (strncmp(name, "metric/", 7) == 0)
            known = harness_result(f->evaluate, arena_format(f->compiled.arena, "%s.total", name + 7)) >= 0;
        if (!known)
            fail(f, "nnc lacks", name);
    }
}

static bool prepare(Fixture *f) {
    static const char *const names[] = {"simplify", "autodiff", "simplify"};
    f->program = f->compiled.program;
    f->x = nnrt_safetensors_find(&f->file, "x");
    f->y = nnrt_safetensors_find(&f->file, "y");
    f->weight = nnrt_safetensors_find(&f->file, "sample_weight");
    if (!f->program || !f->x || !f->y || f->x->rank < 1)
        return false;
    f->rows = f->x->dims[0];
    Module *module = f->program->module;
    f->forward = module_find_func(module, "forward");
    f->train = module_find_func(module, "train_step");
    f->evaluate = module_find_func(module, "evaluate_step");
    if (!f->forward || !f->train || !f->evaluate)
        return false;
    PassContext context = pass_context(f->compiled.diag, NULL, NULL);
    if (!harness_show_gradients(&f->compiled, f->train) || !passes_run(module, &context, names, 3))
        return false;
    f->interp = interp_new(f->compiled.arena, module, f->program->fit.batch_size);
    return true;
}

/* Sample weights are an argument of the steps only where the program has some: a fixture that gives them to fit() is
 * built with a data block that names a column for them. */
static char *fixture_text(const char *name, bool weighted) {
    size_t length;
    char path[512];
    snprintf(path, sizeof path, FIXTURES "%s.nn", name);
    char *text = text_read_file(path, &length);
    if (!text || !weighted)
        return text;
    static const char data[] = "\ndata {\ntrain = csv(\"train.csv\", weight=\"w\")\n}\n";
    char *longer = realloc(text, length + sizeof data);
    if (longer)
        memcpy(longer + length, data, sizeof data);
    return longer ? longer : text;
}

static void check_fixture(const char *name) {
    Fixture f = {.name = name};
    char path[512];
    snprintf(path, sizeof path, FIXTURES "%s.safetensors", name);
    bool read = nnrt_safetensors_read(path, &f.file) == 0;
    CHECK(read);
    if (!read)
        return;
    char *text = fixture_text(name, nnrt_safetensors_find(&f.file, "sample_weight") != NULL);
    f.compiled = harness_compile(name, text ? text : "");
    if (prepare(&f)) {
        bool training = nnrt_safetensors_find(&f.file, "losses") != NULL;
        compare_names(&f, training);
        compare_output(&f);
        compare_evaluation(&f);
        if (training) {
            compare_gradients(&f);
            compare_training(&f);
        }
    } else {
        fail(&f, "cannot be built", "");
    }
    harness_complaints(&f.compiled, name);
    CHECK(f.wrong == 0);
    if (getenv("NNC_TEST_VERBOSE"))
        printf("%-50s %.1e %s\n", name, f.worst, f.worst_tensor ? f.worst_tensor : "");
    harness_free(&f.compiled);
    nnrt_safetensors_free(&f.file);
    free(text);
}

static int is_program(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > 3 && strcmp(entry->d_name + length - 3, ".nn") == 0;
}

/* All fixtures, or those whose names contain the argument. */
int main(int argc, char **argv) {
    struct dirent **entries = NULL;
    int count = scandir(FIXTURES, &entries, is_program, alphasort);
    CHECK(count > 0);
    for (int i = 0; i < count; i++) {
        entries[i]->d_name[strlen(entries[i]->d_name) - 3] = '\0';
        if (argc < 2 || strstr(entries[i]->d_name, argv[1]))
            check_fixture(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return test_report();
}
