/* `nnc run FILE --target=cuda --check`: trains some steps on the processor and on the GPU, from the same weights over
 * the same samples, and compares every variable.
 *
 * How far the two may be apart is measured: the processor trains again from weights that are moved by a little of
 * themselves (`moves`), which stands for sums that are rounded in another order. What becomes of that after the same
 * steps, times ROOM, is the bound of a variable; bench/gpu_checks.py has the same one, for programs that are built
 * beforehand. Needs: both compilers, and a device. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "driver/build.h"
#include "runtime/nnrt_error.h"
#include "runtime/nnrt_safetensors.h"

enum { RUNS_MOVED = 3, MOST_OPTIONS = 32 };
#define STEPS "10" /* unless `fit --steps=N` asks for others */
#define ROOM 4
/* 16 units in the last place, the roundings of a sum of some hundred terms; or what an operand loses on tensor cores.
 */
static const double moves[PRECISIONS] = {
    [PRECISION_FLOAT32] = 0x1p-20, [PRECISION_TF32] = 0x1p-11, [PRECISION_BFLOAT16] = 0x1p-8};

typedef struct {
    const Options *options;
    Arena *arena;
    Diag *diag;
    const char *folder, *on_processor, *on_gpu; /* programs */
    Status status;
} Check;

static bool failed(Check *c, Status status) {
    c->status = status;
    return false;
}

static const char *path_of(const Check *c, const char *name) {
    return arena_format(c->arena, "%s/%s.safetensors", c->folder, name);
}

/* ---- training */

/* The program's own messages go to stderr, what it says of itself nowhere. */
static int run(const char *const *words) {
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY);
        if (nowhere >= 0)
            dup2(nowhere, STDOUT_FILENO);
        execv(words[0], (char *const *)(uintptr_t)words);
        _exit(127);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool train(Check *c, const char *program, const char *from, const char *to) {
    const Options *o = c->options;
    const char *words[MOST_OPTIONS + 8] = {program, "fit", "--steps=" STEPS};
    int n = 3;
    for (int i = 1; i < o->rest_count; i++)
        words[n++] = o->rest[i];
    words[n++] = "--epochs=1";
    words[n++] = "--verbose=0";
    words[n++] = arena_format(c->arena, "--initial-weights=%s", path_of(c, from));
    words[n++] = arena_format(c->arena, "--weights=%s", path_of(c, to));
    words[n] = NULL;
    int status = run(words);
    if (status == 0)
        return true;
    diag_error(c->diag, (Span){0}, "training on the %s failed (exit code %d)",
               program == c->on_gpu ? "GPU" : "processor", status);
    return failed(c, STATUS_PROGRAM);
}

static bool make_first(Check *c) {
    const char *words[] = {c->on_processor, "init", "--seed=1",
                           arena_format(c->arena, "--weights=%s", path_of(c, "first")), NULL};
    if (run(words) == 0)
        return true;
    diag_error(c->diag, (Span){0}, "the program on the processor makes no weights");
    return failed(c, STATUS_PROGRAM);
}

/* ---- weights */

static bool read_weights(Check *c, const char *name, nnrt_safetensors *weights) {
    if (nnrt_safetensors_read(path_of(c, name), weights) == NNRT_OK)
        return true;
    diag_error(c->diag, (Span){0}, "%s", nnrt_error_text());
    return failed(c, STATUS_FILE);
}

static float value_at(const nnrt_tensor *tensor, size_t i) {
    float value;
    memcpy(&value, (const char *)tensor->data + i * sizeof value, sizeof value);
    return value;
}

/* In [-1, 1), the same for the same numbers. */
static double scatter(uint64_t number) {
    number = (number + 1) * 0x9e3779b97f4a7c15u;
    number = (number ^ number >> 29) * 0xbf58476d1ce4e5b9u;
    return (double)(int64_t)(number ^ number >> 32) / 0x1p63;
}

static bool move_weights(Check *c, int turn) {
    nnrt_safetensors weights;
    if (!read_weights(c, "first", &weights))
        return false;
    for (int64_t t = 0; t < weights.count; t++) {
        nnrt_tensor *tensor = &weights.tensors[t];
        if (tensor->dtype != NNRT_TENSOR_F32)
            continue;
        size_t count = tensor->bytes / sizeof(float);
        float *moved = ARENA_ARRAY(c->arena, float, (int64_t)count + 1);
        for (size_t i = 0; i < count; i++) {
            uint64_t number = (uint64_t)turn << 48 ^ (uint64_t)t << 32 ^ (uint64_t)i;
            moved[i] = (float)(value_at(tensor, i) * (1 + moves[c->options->precision] * scatter(number)));
        }
        tensor->data = moved;
    }
    int code = nnrt_safetensors_write(path_of(c, "moved"), weights.tensors, weights.count, weights.metadata,
                                      weights.metadata_count);
    nnrt_safetensors_free(&weights);
    if (code == NNRT_OK)
        return true;
    diag_error(c->diag, (Span){0}, "%s", nnrt_error_text());
    return failed(c, STATUS_FILE);
}

/* ---- comparison */

/* The largest difference of two variables; infinite if one is not a number or not there, or whole numbers differ. */
static double difference(const nnrt_tensor *a, const nnrt_tensor *b, double *largest) {
    double most = 0;
    if (!b || a->dtype != b->dtype || a->bytes != b->bytes)
        return INFINITY;
    if (a->dtype != NNRT_TENSOR_F32)
        return memcmp(a->data, b->data, a->bytes) == 0 ? 0 : INFINITY;
    for (size_t i = 0; i < a->bytes / sizeof(float); i++) {
        double x = (double)value_at(a, i), y = (double)value_at(b, i), d = fabs(x - y);
        if (isnan(d) && !(isnan(x) && isnan(y)))
            return INFINITY;
        most = d > most ? d : most;
        *largest = fabs(x) > *largest ? fabs(x) : *largest;
    }
    return most;
}

static bool bounds(Check *c, const nnrt_safetensors *weights, double *bound) {
    for (int turn = 0; turn < RUNS_MOVED; turn++) {
        nnrt_safetensors other;
        if (!move_weights(c, turn) || !train(c, c->on_processor, "moved", "other") || !read_weights(c, "other", &other))
            return false;
        for (int64_t t = 0; t < weights->count; t++) {
            const nnrt_tensor *tensor = &weights->tensors[t];
            double largest = 0, d = difference(tensor, nnrt_safetensors_find(&other, tensor->name), &largest);
            d = ROOM * d + moves[c->options->precision] * largest;
            bound[t] = d > bound[t] ? d : bound[t];
        }
        nnrt_safetensors_free(&other);
    }
    return true;
}

static bool compare(Check *c, const nnrt_safetensors *processor, const nnrt_safetensors *gpu, const double *bound,
                    Text *out) {
    int wrong = 0;
    text_format(out, "%-44s %12s %12s\n", "variable", "difference", "bound");
    for (int64_t t = 0; t < processor->count; t++) {
        const nnrt_tensor *tensor = &processor->tensors[t];
        double largest = 0, d = difference(tensor, nnrt_safetensors_find(gpu, tensor->name), &largest);
        bool beyond = !(d <= bound[t]);
        text_format(out, "%-44s %12.3g %12.3g%s\n", tensor->name, d, bound[t], beyond ? "  beyond" : "");
        wrong += beyond;
    }
    if (wrong == 0) {
        text_format(out, "The processor and the GPU agree.\n");
        return true;
    }
    diag_error(c->diag, (Span){0}, "%d variable%s %s on the GPU by more than rounding explains", wrong,
               wrong == 1 ? "" : "s", wrong == 1 ? "differs" : "differ");
    return failed(c, STATUS_PROGRAM);
}

/* ---- the whole */

static bool check_all(Check *c, Text *out) {
    nnrt_safetensors processor = {0}, gpu = {0};
    bool ok = make_first(c) && train(c, c->on_processor, "first", "processor") && train(c, c->on_gpu, "first", "gpu") &&
              read_weights(c, "processor", &processor);
    if (ok && read_weights(c, "gpu", &gpu)) {
        double *bound = ARENA_ARRAY(c->arena, double, processor.count + 1);
        ok = bounds(c, &processor, bound) && compare(c, &processor, &gpu, bound, out);
        nnrt_safetensors_free(&gpu);
    } else
        ok = false;
    nnrt_safetensors_free(&processor);
    return ok;
}

static bool check_words(Check *c) {
    const Options *o = c->options;
    if (o->rest_count > 0 && strcmp(o->rest[0], "fit") != 0)
        diag_error(c->diag, (Span){0}, "--check trains: fit is its only verb, not %s", o->rest[0]);
    else if (o->rest_count > MOST_OPTIONS)
        diag_error(c->diag, (Span){0}, "--check takes at most %d options of fit", MOST_OPTIONS - 1);
    else
        return true;
    return failed(c, STATUS_USAGE);
}

static bool make_programs(Check *c) {
    Options processor = *c->options;
    processor.target = "c";
    processor.precision = PRECISION_FLOAT32;
    processor.products = processor.convolutions = NULL;
    processor.direct_convolutions = true; /* as on the GPU */
    c->status = run_prepare(&processor, c->arena, c->diag, &c->on_processor);
    if (c->status == STATUS_OK)
        c->status = run_prepare(c->options, c->arena, c->diag, &c->on_gpu);
    return c->status == STATUS_OK;
}

static bool make_folder(Check *c) {
    c->folder = build_folder(c->arena, c->diag, "check");
    return c->folder || failed(c, STATUS_FILE);
}

Status check_program(const Options *options, Arena *arena, Diag *diag) {
    static const char *const files[] = {"first", "processor", "gpu", "moved", "other"};
    Options checked = *options;
    char *fit[] = {(char *)(uintptr_t) "fit"};
    Check c = {.options = &checked, .arena = arena, .diag = diag};
    if (options->rest_count == 0) {
        checked.rest = fit;
        checked.rest_count = 1;
    }
    if (!check_words(&c) || !make_programs(&c) || !make_folder(&c))
        return c.status;
    Text out = {0};
    check_all(&c, &out);
    if (out.length)
        write_output(diag, "-", &out);
    text_free(&out);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        unlink(path_of(&c, files[i]));
    rmdir(c.folder);
    return c.status;
}
