/* Runs the generated libraries of one executable on their data, through the functions of their headers alone.
 * Usage: PROGRAM FOLDER LABEL THREADS. Needs in FOLDER, per case: NAME.data.safetensors (x, y, w: all rows;
 * w_evaluate) and perhaps NAME.weights.safetensors, without which the weights are fresh ones. Leaves there
 * NAME.LABEL.result.safetensors (output; evaluate: loss and metrics; losses of the steps) and
 * NAME.LABEL.step.safetensors, what `save` writes after the steps. */
#include "compiled_case.h"
#include "nnrt_safetensors.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    const CompiledCase *c;
    const char *folder, *label;
    int threads;
    nnrt_safetensors data;
    char *model, *memory[5]; /* memory: what x, y, w, w_evaluate and output lie in */
    const char *x, *y;
    const float *w, *w_evaluate;
    float *output;
    int64_t rows;
    size_t x_bytes, y_bytes; /* of one sample */
    double evaluated[64], losses[16];
    int64_t steps;
} Run;

static bool fail(const Run *run, const char *what) {
    printf("%s: %s: %s\n", run->c->name, what, run->c->error());
    return false;
}

static const char *path_of(const Run *run, char path[1024], const char *what, bool labelled) {
    snprintf(path, 1024, "%s/%s%s%s.%s.safetensors", run->folder, run->c->name, labelled ? "." : "",
             labelled ? run->label : "", what);
    return path;
}

/* Arrays of the caller need no more than the alignment of their numbers, and end where they end. */
static void *odd_memory(char **memory, size_t bytes) {
    *memory = malloc(bytes + 4);
    if (*memory)
        memset(*memory, 0xFF, bytes + 4);
    return *memory ? *memory + 4 : NULL;
}

static void *copied(Run *run, const char *name, int place) {
    const nnrt_tensor *t = nnrt_safetensors_find(&run->data, name);
    void *copy = t ? odd_memory(&run->memory[place], t->bytes) : NULL;
    if (copy)
        memcpy(copy, t->data, t->bytes);
    return copy;
}

static bool prepare(Run *run) {
    char path[1024];
    if (nnrt_safetensors_read(path_of(run, path, "data", false), &run->data))
        return fail(run, path);
    const nnrt_tensor *x = nnrt_safetensors_find(&run->data, "x"), *y = nnrt_safetensors_find(&run->data, "y");
    run->rows = x ? x->dims[0] : 0;
    if (!x || !y || run->rows == 0)
        return fail(run, "has no data");
    run->x_bytes = x->bytes / (size_t)run->rows;
    run->y_bytes = y->bytes / (size_t)run->rows;
    run->x = copied(run, "x", 0);
    run->y = copied(run, "y", 1);
    run->w = copied(run, "w", 2);
    run->w_evaluate = copied(run, "w_evaluate", 3);
    run->output = odd_memory(&run->memory[4], 4 * (size_t)(run->rows * run->c->outputs));
    run->model = aligned_alloc(64, (run->c->bytes + 63) / 64 * 64);
    return run->x && run->y && run->w && run->w_evaluate && run->output && run->model ? true : fail(run, "no memory");
}

/* The model as training begins, in memory that held something else. */
static bool start(Run *run) {
    char path[1024];
    memset(run->model, 0xFF, run->c->bytes);
    if (run->c->init(run->model, 7))
        return fail(run, "init");
    run->c->set_threads(run->model, run->threads);
    FILE *file = fopen(path_of(run, path, "weights", false), "rb");
    if (file) {
        fclose(file);
        return run->c->load(run->model, path) == 0 || fail(run, "load");
    }
    return !run->c->adapt || run->c->adapt(run->model, run->x, run->rows) == 0 || fail(run, "adapt");
}

static bool train(Run *run) {
    double metrics[64];
    for (int64_t at = 0; at < run->rows && run->steps < 16; at += run->c->batch) {
        int64_t count = run->rows - at < run->c->batch ? run->rows - at : run->c->batch;
        if (run->c->train(run->model, run->x + (size_t)at * run->x_bytes, run->y + (size_t)at * run->y_bytes,
                          run->w + at, count, metrics))
            return fail(run, "train_batch");
        run->losses[run->steps++] = metrics[0];
    }
    return true;
}

static bool save(Run *run, const char *what) {
    char path[1024];
    return run->c->save(run->model, path_of(run, path, what, true)) == 0 || fail(run, "save");
}

static bool same_files(Run *run, const char *a, const char *b) {
    char path[1024];
    FILE *first = fopen(path_of(run, path, a, true), "rb"), *second = fopen(path_of(run, path, b, true), "rb");
    bool same = first && second;
    for (int c = 0; same && c != EOF;) {
        c = getc(first);
        same = c == getc(second);
    }
    if (first)
        fclose(first);
    if (second)
        fclose(second);
    if (!same)
        printf("%s: %s leaves other weights than %s\n", run->c->name, b, a);
    return same;
}

/* Many batches in one call, and fit, do what single steps do, to the bit. */
static bool other_ways(Run *run) {
    double metrics[64];
    if (!start(run) || run->c->train(run->model, run->x, run->y, run->w, run->rows, metrics) || !save(run, "one_call"))
        return fail(run, "train_batch with all rows");
    if (!start(run) || run->c->fit(run->model, run->x, run->y, run->w, run->rows) || !save(run, "fit"))
        return fail(run, "fit");
    return same_files(run, "step", "one_call") && same_files(run, "step", "fit");
}

static bool write_results(Run *run) {
    char path[1024];
    nnrt_tensor tensors[] = {
        {"output", NNRT_TENSOR_F32, 2, {run->rows, run->c->outputs}, run->output, 0},
        {"evaluate", NNRT_TENSOR_F64, 1, {run->c->metrics}, run->evaluated, 0},
        {"losses", NNRT_TENSOR_F64, 1, {run->steps}, run->losses, 0},
    };
    return nnrt_safetensors_write(path_of(run, path, "result", true), tensors, 3, NULL, 0) == 0 || fail(run, "write");
}

static bool run_case(Run *run) {
    const CompiledCase *c = run->c;
    if (!prepare(run) || !start(run))
        return false;
    if (c->predict(run->model, run->x, run->rows, run->output))
        return fail(run, "predict");
    if (c->evaluate(run->model, run->x, run->y, run->w_evaluate, run->rows, run->evaluated))
        return fail(run, "evaluate");
    return train(run) && save(run, "step") && other_ways(run) && write_results(run);
}

int main(int argc, char **argv) {
    int failed = argc != 4;
    for (int i = 0; i < compiled_case_count && argc == 4; i++) {
        Run run = {.c = &compiled_cases[i], .folder = argv[1], .label = argv[2], .threads = atoi(argv[3])};
        failed += !run_case(&run);
        nnrt_safetensors_free(&run.data);
        for (int k = 0; k < 5; k++)
            free(run.memory[k]);
        free(run.model);
    }
    return failed != 0;
}
