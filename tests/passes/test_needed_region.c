/* The pass needed_region on 200 random models and on all examples: the interpreter computes the same results and
 * gradients before and after, the gradients agree with central differences, a second run changes nothing, and no
 * convolution becomes more work. For the MNIST convnet the work of every contraction is known. */
#include "tests/passes/interp_compare.h"
#include "tests/passes/region_model.h"
#include <dirent.h>
#include <stdlib.h>
#include "component_harness.h"
#include "ir/contraction.h"
#include "passes/pass.h"
#include "test.h"

enum { MODELS = 200 };
static const PassOptions checked = {.verify_all = true};

#define RUN(module, diag, ...)                                                                                         \
    run(module, diag, (const char *[]){__VA_ARGS__}, (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)))

static bool run(Module *module, Diag *diag, const char *const *names, int count) {
    PassContext context = pass_context(diag, NULL, &checked);
    Text text = {0};
    bool ok = passes_run(module, &context, names, count);
    CHECK(ok);
    if (!ok) {
        diag_print(diag, &text, false);
        printf("%s: %s\n", module->name, text.data ? text.data : "");
    }
    text_free(&text);
    return ok;
}

static int64_t work_of(const Func *func, OpCode code) {
    int64_t work = 0;
    for (const Op *op = func->body.first; op; op = op->next)
        if (op->code == code) {
            Contraction c = contraction_of(op);
            work += contraction_work(&c, 1);
        }
    return work;
}

static bool has_crop(const Func *func, OpCode code) {
    for (const Op *op = func->body.first; op; op = op->next)
        for (int s = 0; op->code == code && s < op->attr.window.spatial; s++)
            if (op->attr.window.low[s] < 0 || op->attr.window.high[s] < 0)
                return true;
    return false;
}

static void compare(const Module *before, const Module *after, const CompareOptions *options) {
    Text why = {0};
    bool same = test_compare_modules(before, after, options, &why);
    CHECK(same);
    if (!same)
        printf("%s: %s\n", before->name, why.data);
    text_free(&why);
}

static void check_runs_once(Diag *diag, Module *after) {
    Text once = {0}, twice = {0};
    module_print(&once, after);
    if (RUN(after, diag, "needed_region")) {
        module_print(&twice, after);
        CHECK_TEXT(twice.data, once.data);
    }
    text_free(&once);
    text_free(&twice);
}

/* ---- gradients of random models against central differences along a random direction ---- */

typedef struct {
    Interp *interp;
    const Func *func;
    Tensor *args, *results, *direction; /* direction: of x, then of the variables */
} Slope;

static void move(Slope *s, double by) {
    for (int64_t j = 0; j < s->args[0].count; j++)
        s->args[0].data[j] += by * s->direction[0].data[j];
    for (int i = 0; i < s->interp->module->variable_count; i++)
        for (int64_t j = 0; j < s->interp->variables[i].count; j++)
            s->interp->variables[i].data[j] += by * s->direction[i + 1].data[j];
}

static double loss_at(Slope *s, double by) {
    move(s, by);
    bool ok = interp_run(s->interp, s->func, s->args, s->results);
    move(s, -by);
    return ok ? s->results[0].data[0] : NAN;
}

static void check_gradient(Arena *arena, const Module *module, const CompareOptions *options) {
    const double step = 1e-6;
    Slope s = {.interp = interp_new(arena, module, options->batch), .func = module_find_func(module, "gradients")};
    int count = module->variable_count + 1;
    test_fill_variables(s.interp, options);
    s.args = test_fill_args(s.interp, s.func, options);
    s.results = ARENA_ARRAY(arena, Tensor, count + 1);
    s.direction = ARENA_ARRAY(arena, Tensor, count);
    TestRandom random = {options->seed + 1000};
    for (int i = 0; i < count; i++) {
        s.direction[i] = interp_tensor(s.interp, s.func->body.yields[i + 1]->type);
        test_fill_tensor(&s.direction[i], &random, -1, 1, 2);
    }
    double loss = loss_at(&s, 0), expected = 0;
    for (int i = 0; i < count; i++)
        for (int64_t j = 0; j < s.direction[i].count; j++)
            expected += s.direction[i].data[j] * s.results[i + 1].data[j];
    double found = (loss_at(&s, step) - loss_at(&s, -step)) / (2 * step);
    double tolerance = 1e-6 * (1 + fabs(expected) + fabs(loss));
    CHECK_NEAR(found, expected, tolerance);
    if (!(fabs(found - expected) <= tolerance))
        printf("%s\n", module->name);
}

/* ---- random models ---- */

typedef struct {
    int smaller, conv_crops, pool_crops; /* models with them */
} Seen;

static void check_model(uint64_t seed, Seen *seen) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *model = region_model(arena, diag, seed);
    CompareOptions options = {.seed = seed, .batch = 1 + (int64_t)(seed % 3), .tolerance = 1e-11};
    Module *plain = module_clone(arena, model), *after = module_clone(arena, model);
    /* a layer that the generator could not build (a crop of everything) leaves an error and is left out */
    Diag *passes_diag = diag_new(arena);
    plain->diag = after->diag = passes_diag;
    CHECK(module_verify(plain, "the generator"));
    if (RUN(plain, passes_diag, "dce") && RUN(after, passes_diag, "dce", "needed_region")) {
        const Func *slow = module_find_func(plain, "forward"), *fast = module_find_func(after, "forward");
        CHECK(work_of(fast, OP_CONV) <= work_of(slow, OP_CONV));
        seen->smaller += work_of(fast, OP_CONV) < work_of(slow, OP_CONV);
        seen->conv_crops += has_crop(fast, OP_CONV);
        seen->pool_crops += has_crop(fast, OP_POOL);
        check_runs_once(passes_diag, after);
    }
    if (RUN(plain, passes_diag, "autodiff") && RUN(after, passes_diag, "autodiff")) {
        compare(plain, after, &options);
        check_gradient(arena, after, &options);
    }
    arena_free(arena);
}

/* ---- examples ---- */

static Module *example(Compiled *c, const char *name) {
    char path[256];
    size_t length = 0;
    snprintf(path, sizeof path, NNC_SOURCE_DIR "/examples/%s", name);
    char *text = text_read_file(path, &length);
    CHECK(text != NULL);
    *c = harness_compile(name, text ? text : "");
    free(text);
    bool ok = c->program && harness_complaints(c, name) == 0;
    CHECK(ok);
    return ok ? c->program->module : NULL;
}

static void check_example(const char *name) {
    Compiled c;
    Module *module = example(&c, name);
    if (module) {
        CompareOptions options = {.seed = 9, .batch = 2, .class_count = 2, .tolerance = 1e-11};
        Module *plain = module_clone(c.arena, module), *after = module_clone(c.arena, module);
        if (RUN(plain, c.diag, "autodiff", "dce") && RUN(after, c.diag, "simplify", "needed_region", "autodiff", "dce"))
            compare(plain, after, &options);
    }
    harness_free(&c);
}

static int check_examples(void) {
    DIR *folder = opendir(NNC_SOURCE_DIR "/examples");
    int count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        if (strlen(entry->d_name) > 3 && strcmp(entry->d_name + strlen(entry->d_name) - 3, ".nn") == 0) {
            check_example(entry->d_name);
            count++;
        }
    if (folder)
        closedir(folder);
    return count;
}

/* Pooling 11 x 11 reads 10 x 10 of the second convolution, which reads 12 x 12 of the first pooling, which reads
 * 24 x 24 of the first convolution: multiply-adds per sample. */
static void test_convnet_work(void) {
    enum { FIRST = 3 * 3 * 1 * 32, SECOND = 3 * 3 * 32 * 64 };
    Compiled c;
    Module *module = example(&c, "digits-cnn.nn");
    if (module && RUN(module, c.diag, "simplify")) {
        Module *plain = module_clone(c.arena, module);
        const char *const rest[] = {"autodiff", "cse", "simplify", "dce"};
        CHECK(run(plain, c.diag, rest, 4) && RUN(module, c.diag, "needed_region") && run(module, c.diag, rest, 4));
        const Func *slow = module_find_func(plain, "train_step"), *fast = module_find_func(module, "train_step");
        CHECK(work_of(slow, OP_CONV) == 26 * 26 * FIRST + 11 * 11 * SECOND);
        CHECK(work_of(fast, OP_CONV) == 24 * 24 * FIRST + 10 * 10 * SECOND);
        CHECK(work_of(slow, OP_CONV_GRAD_KERNEL) == 26 * 26 * FIRST + 11 * 11 * SECOND);
        CHECK(work_of(fast, OP_CONV_GRAD_KERNEL) == 24 * 24 * FIRST + 10 * 10 * SECOND);
        CHECK(work_of(slow, OP_CONV_GRAD_INPUT) == 13 * 13 * SECOND);
        CHECK(work_of(fast, OP_CONV_GRAD_INPUT) == 12 * 12 * SECOND);
        CHECK(work_of(fast, OP_EINSUM) == work_of(slow, OP_EINSUM));
    }
    harness_free(&c);
}

int main(void) {
    Seen seen = {0};
    for (uint64_t seed = 0; seed < MODELS; seed++)
        check_model(seed, &seen);
    printf("%d models with less work, %d with crops in convolutions, %d in pooling\n", seen.smaller, seen.conv_crops,
           seen.pool_crops);
    CHECK(seen.smaller >= 50 && seen.conv_crops >= 20 && seen.pool_crops >= 20); /* else the models prove little */
    CHECK(check_examples() >= 6);
    test_convnet_work();
    return test_report();
}
