/* The emitted C itself, compiled with all warnings as errors and run through the functions of its header.
 *
 *   parity     every Keras fixture, by gcc and clang: output, evaluation, five steps and everything they leave
 *   bits       some fixtures and all examples: with and without memory plan under AddressSanitizer and
 *              UndefinedBehaviorSanitizer, and by 1, 2, 3 and 8 threads, give the same bits; ThreadSanitizer sees no
 *              race
 *
 * Usage: test_compiled [PART of the names]. NNC_KEEP keeps the folder, NNC_TEST_VERBOSE prints the worst deviations. */
#include "tests/reference/emitted.h"
#include "tests/reference/fixture.h"
#include "tests/passes/interp_compare.h"
#include "test.h"
#include <glob.h>
#include <stdlib.h>

/* Half of the 1e-5 that is promised; the worst fixture is off by 1.3e-6. */
static const double tolerance = 5e-6;

enum { GROUP = 16, SMALL_GROUP = 4 }; /* models of an executable */
enum { MOST_JOBS = 256 };

static char folder[] = "/tmp/nnc-parity-XXXXXX";
static const char *part; /* of the names; NULL: all */

/* ---- data for the executables */

static nnrt_tensor data_tensor(Arena *arena, const char *name, Dtype dtype, const double *values, int64_t rows,
                               int64_t each) {
    nnrt_tensor t = {
        .name = name, .dtype = dtype == DTYPE_F32 ? NNRT_TENSOR_F32 : NNRT_TENSOR_I32, .rank = 2, .dims = {rows, each}};
    float *numbers = ARENA_ARRAY(arena, float, rows *each + 1);
    int32_t *integers = (int32_t *)(void *)numbers;
    for (int64_t i = 0; i < rows * each; i++)
        if (dtype == DTYPE_F32)
            numbers[i] = (float)values[i];
        else
            integers[i] = (int32_t)values[i];
    t.data = numbers;
    return t;
}

static bool write_tensors(const char *name, const char *what, const nnrt_tensor *tensors, int64_t count) {
    Text path = {0};
    text_format(&path, "%s/%s.%s.safetensors", folder, name, what);
    bool written = nnrt_safetensors_write(path.data, tensors, count, NULL, 0) == 0;
    text_free(&path);
    return written;
}

typedef struct {
    const double *x, *y, *w, *w_evaluate;
    int64_t rows;
} Data;

static bool write_data(Arena *arena, const Program *program, const Data *d) {
    const Type *x = program->raw_input, *y = program->target;
    nnrt_tensor tensors[] = {
        data_tensor(arena, "x", x->dtype, d->x, d->rows, type_count(x, 1)),
        data_tensor(arena, "y", y->dtype, d->y, d->rows, type_count(y, 1)),
        data_tensor(arena, "w", DTYPE_F32, d->w, d->rows, 1),
        data_tensor(arena, "w_evaluate", DTYPE_F32, d->w_evaluate, d->rows, 1),
    };
    return write_tensors(program->name, "data", tensors, 4);
}

/* All rows of a fixture; weights as for training or evaluation. */
static const double *fixture_weights(Fixture *f, bool training) {
    double *all = ARENA_ARRAY(f->compiled.arena, double, f->rows + 1);
    for (int64_t first = 0; first < f->rows;) {
        FixtureBatch b = fixture_batch(f, first, training);
        memcpy(all + first, b.weight, sizeof(double) * (size_t)b.rows);
        first += b.rows;
    }
    return all;
}

static bool write_fixture(Fixture *f) {
    Arena *arena = f->compiled.arena;
    const Module *module = f->program->module;
    Data d = {fixture_rows(f, f->x, 0, f->rows), fixture_rows(f, f->y, 0, f->rows), fixture_weights(f, true),
              fixture_weights(f, false), f->rows};
    double **variables = ARENA_ARRAY(arena, double *, module->variable_count + 1);
    nnrt_tensor *weights = ARENA_ARRAY(arena, nnrt_tensor, module->variable_count + 1);
    fixture_start(f, variables);
    for (int i = 0; i < module->variable_count; i++) {
        const Variable *v = module->variables[i];
        weights[i] = data_tensor(arena, v->name, v->type->dtype, variables[i], fixture_variable_count(v), 1);
        weights[i].rank = v->type->rank;
        for (int k = 0; k < v->type->rank; k++)
            weights[i].dims[k] = v->type->dims[k].n;
    }
    return write_data(arena, f->program, &d) && write_tensors(f->name, "weights", weights, module->variable_count);
}

/* A batch and three samples at random; targets are classes, 0 or 1, or one of several. */
static bool write_random(Arena *arena, const Program *program) {
    TestRandom random = {41};
    int64_t rows = program->module->batch_max + 3, x = type_count(program->raw_input, 1);
    int64_t y = type_count(program->target, 1), classes = program->class_count > 0 ? program->class_count : y;
    double *values = ARENA_ARRAY(arena, double, rows *x + 1), *targets = ARENA_ARRAY(arena, double, rows *y + 1);
    double *ones = ARENA_ARRAY(arena, double, rows + 1);
    for (int64_t i = 0; i < rows * x; i++)
        values[i] = test_random_number(&random, -1, 1);
    for (int64_t i = 0; i < rows; i++) {
        int c = test_random_below(&random, classes > 1 ? (int)classes : 2);
        ones[i] = 1;
        if (y == 1)
            targets[i] = c;
        else
            targets[i * y + c] = 1;
    }
    return write_data(arena, program, &(Data){values, targets, ones, ones, rows});
}

/* ---- what came out */

static bool read_result(const char *name, const char *label, const char *what, nnrt_safetensors *file) {
    Text path = {0};
    text_format(&path, "%s/%s.%s.%s.safetensors", folder, name, label, what);
    bool read = nnrt_safetensors_read(path.data, file) == 0;
    text_free(&path);
    return read;
}

static double *result_values(Fixture *f, const nnrt_safetensors *file, const char *name, int64_t *count) {
    const nnrt_tensor *t = nnrt_safetensors_find(file, name);
    bool wide = t && t->dtype == NNRT_TENSOR_F64;
    *count = !t ? 0 : wide ? (int64_t)(t->bytes / 8) : fixture_count(t);
    double *values = ARENA_ARRAY(f->compiled.arena, double, *count + 1);
    if (wide)
        memcpy(values, t->data, t->bytes);
    for (int64_t i = 0; i < *count && !wide; i++)
        values[i] = fixture_value(t, i);
    return values;
}

static void compare_result(Fixture *f, const nnrt_safetensors *file, const char *name, const char *in_file) {
    int64_t count;
    double *values = result_values(f, file, in_file, &count);
    fixture_compare(f, name, values, count);
}

static void compare_results(Fixture *f, const nnrt_safetensors *result, const nnrt_safetensors *step) {
    int64_t count;
    double *evaluated = result_values(f, result, "evaluate", &count);
    compare_result(f, result, "output", "output");
    if (count != f->program->metric_count)
        fixture_fail(f, "has another number of metrics", "");
    for (int m = 0; m < f->program->metric_count && m < count; m++)
        fixture_compare(f, m == 0 ? "evaluate_loss" : fixture_joined(f, "metric", f->program->metrics[m].name),
                        &evaluated[m], 1);
    if (!f->training)
        return;
    compare_result(f, result, "losses", "losses");
    for (int64_t i = 0; i < f->file.count; i++)
        if (strncmp(f->file.tensors[i].name, "step5/", 6) == 0)
            compare_result(f, step, f->file.tensors[i].name, f->file.tensors[i].name + 6);
}

static void check_results(const char *name, const char *label) {
    Fixture f;
    nnrt_safetensors result = {.count = 0}, step = {.count = 0};
    if (fixture_open(&f, name, tolerance)) {
        if (read_result(name, label, "result", &result) && read_result(name, label, "step", &step))
            compare_results(&f, &result, &step);
        else
            fixture_fail(&f, "left no results as", label);
    }
    CHECK(f.wrong == 0);
    if (f.wrong)
        printf("^ %s, %s\n", name, label);
    nnrt_safetensors_free(&result);
    nnrt_safetensors_free(&step);
    fixture_close(&f);
}

/* ---- models */

typedef struct {
    char *name; /* of the case: a C identifier */
    char *path; /* of an example; NULL: a fixture */
} Model;
static Model models[1024];
static int model_count;

static void add_model(const char *name, const char *path) {
    bool fits = model_count < (int)(sizeof models / sizeof *models);
    CHECK(fits);
    if (!fits)
        return;
    Model *m = &models[model_count++];
    *m = (Model){strdup(name), path ? strdup(path) : NULL};
    for (char *c = m->name; *c; c++)
        *c = *c == '-' ? '_' : *c;
}

static void note_fixture(const char *name) {
    add_model(name, NULL);
}

static void note_examples(void) {
    glob_t found;
    if (glob(NNC_SOURCE_DIR "/examples/*.nn", 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++) {
            char name[64];
            const char *base = strrchr(found.gl_pathv[i], '/') + 1;
            snprintf(name, sizeof name, "%.*s", (int)strcspn(base, "."), base);
            if (!part || strstr(name, part))
                add_model(name, found.gl_pathv[i]);
        }
    globfree(&found);
}

/* A fixture becomes a model of its own name, so that many fit in one executable. */
static bool emit_fixture(Emitted *e, const char *name) {
    Fixture f;
    bool ok = fixture_open(&f, name, tolerance);
    if (ok) {
        f.program->name = name;
        ok = write_fixture(&f) && emitted_add(e, f.compiled.arena, f.compiled.diag, f.program);
    }
    fixture_close(&f);
    return ok;
}

/* Large examples are smaller here, by their own constants: each is compiled six times. */
static const struct {
    const char *name, *defines[3];
} smaller[] = {
    {"shakespeare_gpt", {"context=24", "width=32", "blocks=2"}},
    {"shakespeare_lstm", {"context=24", "width=32"}},
};

static FrontendOptions example_options(Arena *arena, const char *name) {
    const char **defines = ARENA_ARRAY(arena, const char *, 3);
    FrontendOptions options = {.defines = defines};
    for (size_t i = 0; i < sizeof smaller / sizeof *smaller; i++)
        for (int k = 0; k < 3 && strcmp(smaller[i].name, name) == 0 && smaller[i].defines[k]; k++)
            defines[options.define_count++] = smaller[i].defines[k];
    return options;
}

static bool emit_example(Emitted *e, const Model *m) {
    size_t length;
    char *text = text_read_file(m->path, &length);
    Arena *arena = arena_new();
    FrontendOptions options = example_options(arena, m->name);
    Compiled c = harness_compile_with(m->name, text ? text : "", &options);
    bool ok = c.program != NULL;
    if (ok) {
        c.program->name = m->name;
        ok = write_random(c.arena, c.program) && emitted_add(e, c.arena, c.diag, c.program);
    }
    harness_complaints(&c, m->name);
    harness_free(&c);
    arena_free(arena);
    free(text);
    return ok;
}

/* ---- jobs: some models, one executable, some runs of it */

typedef struct {
    const char *label, *compiler, *isa;
    bool unplanned;
    int threads[4], thread_count;
} Configuration;

typedef struct {
    const Configuration *configuration;
    char *label;
    int first, count; /* models */
    bool emitted, succeeded;
} Job;
static Job jobs[MOST_JOBS];
static Text commands[MOST_JOBS];
static int job_count;

static void add_job(const Configuration *c, int first, int count) {
    Text label = {0};
    text_format(&label, "%s_%d", c->label, first);
    Job *job = &jobs[job_count];
    *job = (Job){c, label.data, first, count, true, false};
    Emitted e = {.folder = folder, .label = job->label, .isa = c->isa, .planned = !c->unplanned};
    for (int i = first; i < first + count; i++) {
        bool emitted = models[i].path ? emit_example(&e, &models[i]) : emit_fixture(&e, models[i].name);
        if (!emitted)
            printf("%s: no C for %s\n", models[i].name, c->label);
        job->emitted = emitted && job->emitted;
    }
    job->emitted = e.count > 0 && emitted_write(&e) && job->emitted;
    emitted_command(&e, &commands[job_count++], c->compiler, c->threads, c->thread_count);
    emitted_free(&e);
}

static void add_jobs(const Configuration *c, int first, int end, int size) {
    for (; first < end && job_count < MOST_JOBS; first += size)
        add_job(c, first, end - first < size ? end - first : size);
    CHECK(first >= end);
}

static void run_jobs(void) {
    bool succeeded[MOST_JOBS];
    emitted_run(commands, succeeded, job_count);
    for (int i = 0; i < job_count; i++) {
        jobs[i].succeeded = succeeded[i];
        CHECK(jobs[i].emitted && succeeded[i]);
        if (!succeeded[i])
            printf("^ %s\n", commands[i].data);
    }
}

/* The label of a model's results under a configuration; NULL: there are none. */
static const char *label_of(const Configuration *c, int model) {
    for (int i = 0; i < job_count; i++)
        if (jobs[i].configuration == c && model >= jobs[i].first && model < jobs[i].first + jobs[i].count)
            return jobs[i].succeeded ? jobs[i].label : NULL;
    return NULL;
}

/* ---- the checks */

/* All fixtures. */
static const Configuration parity[] = {
    {"gcc", "gcc -O1 -march=native", "native", false, {1}, 1},
    {"clang", "clang -O1 -march=native", "native", false, {1}, 1},
};

/* Some fixtures, chosen for their shapes, and all examples. The first compiles for any processor. */
#define SANITISED "gcc -O1 -march=native -fsanitize=address,undefined -fno-sanitize-recover=all"
static const Configuration portable = {"portable", "gcc -O1", "generic", false, {1}, 1};
static const Configuration same[] = {
    {"planned", SANITISED, "native", false, {1}, 1},
    {"unplanned", SANITISED, "native", true, {1}, 1},
    {"threads", "gcc -O1 -march=native -fopenmp", "native", false, {1, 2, 3, 8}, 4},
    {"races",
     "gcc -O1 -march=native -fsanitize=thread -D_OPENMP=201511 -Wno-unknown-pragmas -pthread -I" NNC_SOURCE_DIR
     "/tests/reference/plain_threads",
     "native",
     false,
     {1, 3},
     2},
};
static const char *const chosen[] = {
    "bidirectional_concat_masked",
    "lstm_masked_sequences",
    "network_attention",
    "class_weight_sparse",
    "concatenate_conv2d",
    "dense_wide_panels",
    "layer_normalization_rank3",
    "max_pooling2d_same",
    "network_convolution",
    "network_dense",
    "network_regression",
    "residual_nested",
    "short_last_batch",
};
enum {
    PARITY = sizeof parity / sizeof *parity,
    SAME = sizeof same / sizeof *same,
    CHOSEN = sizeof chosen / sizeof *chosen
};

static void check_parity(const Configuration *c, int first, int end) {
    for (int i = first; i < end; i++)
        if (!models[i].path && label_of(c, i))
            check_results(models[i].name, label_of(c, i));
}

static void check_same_bits(int model, const char *a, const char *b) {
    static const char *const files[] = {"result", "step"};
    for (int i = 0; i < 2; i++) {
        Text command = {0};
        const char *name = models[model].name;
        text_format(&command, "cd %s && cmp %s.%s.%s.safetensors %s.%s.%s.safetensors", folder, name, a, files[i], name,
                    b, files[i]);
        bool equal = system(command.data) == 0;
        CHECK(equal);
        if (!equal)
            printf("%s: other bits by %s than by %s\n", name, b, a);
        text_free(&command);
    }
}

/* Where a sanitizer is missing, what is left is compared. */
static void check_model(int model) {
    const char *first = NULL;
    for (int k = 0; k < SAME; k++) {
        const char *label = label_of(&same[k], model);
        if (label && first)
            check_same_bits(model, first, label);
        first = first ? first : label;
        for (int t = 1; label && t < same[k].thread_count; t++) {
            char other[64];
            snprintf(other, sizeof other, "%.40s_t%d", label, same[k].threads[t]);
            check_same_bits(model, label, other);
        }
    }
}

static void add_all(const Configuration *configurations, int count, int first, int end, int size) {
    for (int k = 0; k < count; k++)
        if (emitted_works(folder, configurations[k].compiler))
            add_jobs(&configurations[k], first, end, size);
        else
            printf("skipped: %s does not work here\n", configurations[k].compiler);
}

static void check_all(int fixtures) {
    add_all(parity, PARITY, 0, fixtures, GROUP);
    add_all(same, SAME, fixtures, model_count, SMALL_GROUP);
    add_all(&portable, 1, fixtures, model_count, SMALL_GROUP);
    CHECK(job_count > 0);
    run_jobs();
    for (int k = 0; k < PARITY; k++)
        check_parity(&parity[k], 0, fixtures);
    check_parity(&portable, fixtures, model_count);
    for (int i = fixtures; i < model_count; i++)
        check_model(i);
}

static void clean_up(void) {
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (getenv("NNC_KEEP"))
        printf("kept: %s\n", folder);
    else
        CHECK(system(command) == 0);
    for (int i = 0; i < model_count; i++) {
        free(models[i].name);
        free(models[i].path);
    }
    for (int i = 0; i < job_count; i++) {
        free(jobs[i].label);
        text_free(&commands[i]);
    }
}

int main(int argc, char **argv) {
    part = argc > 1 ? argv[1] : NULL;
    if (!mkdtemp(folder)) {
        printf("no folder for the compiled files\n");
        return 1;
    }
    int fixtures = fixture_for_each(part, note_fixture);
    CHECK(part || fixtures > 0);
    for (int i = 0; i < CHOSEN; i++)
        if (!part || strstr(chosen[i], part))
            note_fixture(chosen[i]);
    note_examples();
    check_all(fixtures);
    clean_up();
    return test_report();
}
