#include "tests/reference/fixture.h"
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#define FIXTURES NNC_SOURCE_DIR "/tests/reference/fixtures/"
enum { FIXTURE_STEPS = 16 };

/* For tensors that are nearly 0. */
static const double fixture_floor = 1e-9;

/* ---- the file */

double fixture_value(const nnrt_tensor *t, int64_t i) {
    if (t->dtype == NNRT_TENSOR_I32) {
        int32_t integer;
        memcpy(&integer, (const char *)t->data + 4 * i, 4);
        return integer;
    }
    float number;
    memcpy(&number, (const char *)t->data + 4 * i, 4);
    return number;
}

int64_t fixture_count(const nnrt_tensor *t) {
    return (int64_t)(t->bytes / 4);
}

const char *fixture_joined(Fixture *f, const char *prefix, const char *name) {
    return arena_format(f->compiled.arena, "%s/%s", prefix, name);
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

bool fixture_open(Fixture *f, const char *name, double tolerance) {
    char path[512];
    *f = (Fixture){.name = name, .tolerance = tolerance};
    snprintf(path, sizeof path, FIXTURES "%s.safetensors", name);
    bool read = nnrt_safetensors_read(path, &f->file) == 0;
    f->text = fixture_text(name, read && nnrt_safetensors_find(&f->file, "sample_weight") != NULL);
    f->compiled = harness_compile(name, f->text ? f->text : "");
    f->program = f->compiled.program;
    if (read && f->program) {
        Module *module = f->program->module;
        f->x = nnrt_safetensors_find(&f->file, "x");
        f->y = nnrt_safetensors_find(&f->file, "y");
        f->weight = nnrt_safetensors_find(&f->file, "sample_weight");
        f->training = nnrt_safetensors_find(&f->file, "losses") != NULL;
        f->forward = module_find_func(module, "forward");
        f->train = module_find_func(module, "train_step");
        f->evaluate = module_find_func(module, "evaluate_step");
    }
    bool good = f->x && f->y && f->x->rank > 0 && f->forward && f->train && f->evaluate;
    f->rows = good ? f->x->dims[0] : 0;
    if (!good)
        fixture_fail(f, "cannot be built", "");
    return good;
}

void fixture_close(Fixture *f) {
    harness_complaints(&f->compiled, f->name);
    if (getenv("NNC_TEST_VERBOSE"))
        printf("%-50s %.1e %s\n", f->name, f->worst, f->worst_tensor ? f->worst_tensor : "");
    harness_free(&f->compiled);
    nnrt_safetensors_free(&f->file);
    free(f->text);
}

static int fixture_is_program(const struct dirent *entry) {
    size_t length = strlen(entry->d_name);
    return length > 3 && strcmp(entry->d_name + length - 3, ".nn") == 0;
}

int fixture_for_each(const char *part, void (*check)(const char *name)) {
    struct dirent **entries = NULL;
    int count = scandir(FIXTURES, &entries, fixture_is_program, alphasort), checked = 0;
    for (int i = 0; i < count; i++) {
        entries[i]->d_name[strlen(entries[i]->d_name) - 3] = '\0';
        if (!part || strstr(entries[i]->d_name, part)) {
            check(entries[i]->d_name);
            checked++;
        }
        free(entries[i]);
    }
    free(entries);
    return checked;
}

/* ---- comparison */

void fixture_fail(Fixture *f, const char *what, const char *tensor) {
    printf("%s: %s %s\n", f->name, what, tensor);
    f->wrong++;
}

void fixture_compare(Fixture *f, const char *tensor, const double *got, int64_t count) {
    const nnrt_tensor *expected = nnrt_safetensors_find(&f->file, tensor);
    if (!expected || fixture_count(expected) != count) {
        fixture_fail(f, expected ? "has another number of values:" : "the fixture lacks", tensor);
        return;
    }
    double size = fixture_floor / f->tolerance, error = 0;
    for (int64_t i = 0; i < count; i++) {
        size = fmax(size, fabs(fixture_value(expected, i)));
        double difference = fabs(got[i] - fixture_value(expected, i));
        error = difference <= error ? error : difference; /* NaN stays */
    }
    if (!(error / size <= f->worst)) {
        f->worst = error / size;
        f->worst_tensor = expected->name;
    }
    if (error <= f->tolerance * size)
        return;
    printf("%s: %s is off by %.3g of %.3g", f->name, tensor, error, size);
    for (int64_t i = 0; i < count && i < 3; i++)
        printf("%s%.8g (Keras %.8g)", i ? ", " : ": ", got[i], fixture_value(expected, i));
    printf("\n");
    f->wrong++;
}

/* ---- data */

double *fixture_rows(Fixture *f, const nnrt_tensor *t, int64_t first, int64_t rows) {
    int64_t each = fixture_count(t) / f->rows;
    double *values = ARENA_ARRAY(f->compiled.arena, double, rows *each + 1);
    for (int64_t i = 0; i < rows * each; i++)
        values[i] = fixture_value(t, first * each + i);
    return values;
}

/* The class of a row, for class weights: an index, a number 0 or 1, or the place of the largest. */
static int fixture_class(const double *y, int64_t each) {
    int64_t best = 0;
    if (each == 1)
        return (int)y[0];
    for (int64_t i = 1; i < each; i++)
        if (y[i] > y[best])
            best = i;
    return (int)best;
}

FixtureBatch fixture_batch(Fixture *f, int64_t first, bool training) {
    const Fit *fit = &f->program->fit;
    FixtureBatch b = {.rows = f->rows - first < fit->batch_size ? f->rows - first : fit->batch_size};
    double *weight = ARENA_ARRAY(f->compiled.arena, double, b.rows + 1);
    int64_t each = fixture_count(f->y) / f->rows;
    b.x = fixture_rows(f, f->x, first, b.rows);
    b.y = fixture_rows(f, f->y, first, b.rows);
    b.weight = weight;
    for (int64_t i = 0; i < b.rows; i++) {
        weight[i] = f->weight ? fixture_value(f->weight, first + i) : 1;
        int c = training && fit->class_weight ? fixture_class(b.y + i * each, each) : -1;
        if (c >= 0 && c < fit->class_weight_count)
            weight[i] *= fit->class_weight[c];
    }
    return b;
}

int64_t fixture_variable_count(const Variable *v) {
    return type_count(v->type, 1);
}

void fixture_start(Fixture *f, double **variables) {
    const Module *module = f->program->module;
    for (int i = 0; i < module->variable_count; i++) {
        const Variable *v = module->variables[i];
        const nnrt_tensor *initial = nnrt_safetensors_find(&f->file, fixture_joined(f, "initial", v->name));
        int64_t count = fixture_variable_count(v);
        variables[i] = ARENA_ARRAY(f->compiled.arena, double, count + 1);
        if (v->role != VARIABLE_OPTIMIZER && (!initial || fixture_count(initial) != count))
            fixture_fail(f, "the fixture has no such weight:", v->name);
        else
            for (int64_t k = 0; k < count; k++)
                variables[i][k] = v->role == VARIABLE_OPTIMIZER ? v->init.a : fixture_value(initial, k);
    }
}

/* ---- the run */

static bool fixture_run(Fixture *f, FixtureRunner *runner, const Func *func, int64_t first, double **results,
                        int64_t *rows) {
    FixtureBatch batch = fixture_batch(f, first, func == f->train);
    *rows = batch.rows;
    if (runner->run(runner, f, func, &batch, results))
        return true;
    fixture_fail(f, "cannot be run:", func->name);
    return false;
}

static void fixture_check_output(Fixture *f, FixtureRunner *runner) {
    const nnrt_tensor *expected = nnrt_safetensors_find(&f->file, "output");
    const Type *type = f->forward->body.yields[0]->type;
    double *all = ARENA_ARRAY(f->compiled.arena, double, type_count(type, f->rows) + 1), *results[HARNESS_RESULTS];
    fixture_start(f, runner->variables);
    for (int64_t first = 0, rows; first < f->rows; first += rows) {
        if (!expected || !fixture_run(f, runner, f->forward, first, results, &rows))
            return;
        memcpy(all + type_count(type, 1) * first, results[0], sizeof(double) * (size_t)type_count(type, rows));
    }
    fixture_compare(f, "output", all, type_count(type, f->rows));
}

static void fixture_check_evaluation(Fixture *f, FixtureRunner *runner) {
    double sums[HARNESS_RESULTS] = {0}, *results[HARNESS_RESULTS];
    fixture_start(f, runner->variables);
    for (int64_t first = 0, rows; first < f->rows; first += rows) {
        if (!fixture_run(f, runner, f->evaluate, first, results, &rows))
            return;
        for (int i = 0; i < f->evaluate->body.yield_count; i++)
            sums[i] += results[i][0];
    }
    for (int m = 0; m < f->program->metric_count; m++) {
        const Metric *metric = &f->program->metrics[m];
        int total = harness_result(f->evaluate, arena_format(f->compiled.arena, "%s.total", metric->name));
        int count = harness_result(f->evaluate, arena_format(f->compiled.arena, "%s.count", metric->name));
        double value = total < 0 || count < 0 ? NAN : sums[total] / sums[count];
        value = metric->root_mean ? sqrt(value) : value;
        fixture_compare(f, m == 0 ? "evaluate_loss" : fixture_joined(f, "metric", metric->name), &value, 1);
    }
}

static void fixture_check_training(Fixture *f, FixtureRunner *runner) {
    double losses[FIXTURE_STEPS] = {0}, *results[HARNESS_RESULTS];
    int total = harness_result(f->train, "loss.total"), count = harness_result(f->train, "loss.count"), steps = 0;
    fixture_start(f, runner->variables);
    for (int64_t first = 0, rows; first < f->rows && steps < FIXTURE_STEPS; first += rows) {
        if (!fixture_run(f, runner, f->train, first, results, &rows))
            return;
        losses[steps++] = results[total][0] / results[count][0];
    }
    fixture_compare(f, "losses", losses, steps);
    const Module *module = f->program->module;
    for (int i = 0; i < module->variable_count; i++)
        fixture_compare(f, fixture_joined(f, "step5", module->variables[i]->name), runner->variables[i],
                        fixture_variable_count(module->variables[i]));
}

void fixture_check(Fixture *f, FixtureRunner *runner) {
    runner->variables = ARENA_ARRAY(f->compiled.arena, double *, f->program->module->variable_count + 1);
    fixture_check_output(f, runner);
    fixture_check_evaluation(f, runner);
    if (f->training)
        fixture_check_training(f, runner);
}
