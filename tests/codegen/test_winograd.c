/* Convolutions by Winograd's filtering: with and without windows, bias and activation, with paddings, features and
 * channels that fill no vector, images larger than a block; forward, by the image and by the weights. Values are those
 * of the tensor interpreter, for whole and partial batches; bits depend neither on threads nor on where in the batch a
 * sample lies. Products are counted as they are executed. Odd extents, strides, dilations and other kernels stay
 * direct, and so do few channels, where the transforms are more work than the products that they save. */
#include "codegen/kir/nest.h"
#include "ir/build.h"
#include "tests/codegen/compiled_kernels.h"
#include "tests/codegen/kernel_compare.h"
#include "test.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum { PLAIN, BIAS_RELU, POOLED, POOLED_RELU, AVERAGED, ADDED, BY_IMAGE, BY_WEIGHTS } Around;

typedef struct {
    const char *name;
    int64_t y, x, channels, features, taps, stride, dilation, low, high;
    Around around;
    bool filtered; /* everywhere it can be */
} Form;

static const Form forms[] = {
    {"valid", 8, 6, 4, 8, 3, 1, 1, 0, 0, PLAIN, true},
    {"same", 6, 8, 4, 4, 3, 1, 1, 1, 1, BIAS_RELU, true},
    {"no whole vectors", 6, 6, 5, 7, 3, 1, 1, 1, 1, BIAS_RELU, true},
    {"one channel", 6, 4, 1, 3, 3, 1, 1, 1, 1, PLAIN, true},
    {"channels like taps", 6, 6, 3, 3, 3, 1, 1, 0, 0, PLAIN, true},
    {"padded on one side", 5, 7, 4, 5, 3, 1, 1, 0, 1, BIAS_RELU, true},
    {"padded by two", 4, 6, 3, 4, 3, 1, 1, 2, 2, PLAIN, true},
    {"cropped", 9, 9, 3, 4, 3, 1, 1, -1, 0, PLAIN, true},
    {"pooled", 8, 6, 4, 6, 3, 1, 1, 0, 0, POOLED, true},
    {"pooled, odd", 9, 7, 4, 6, 3, 1, 1, 0, 0, POOLED_RELU, true},
    {"pooled, padded", 6, 6, 4, 5, 3, 1, 1, 1, 1, POOLED_RELU, true},
    {"averaged", 8, 6, 4, 5, 3, 1, 1, 0, 0, AVERAGED, true},
    {"with what is added", 6, 6, 6, 6, 3, 1, 1, 1, 1, ADDED, true},
    {"by the image", 8, 6, 4, 5, 3, 1, 1, 0, 0, BY_IMAGE, true},
    {"by the image, padded", 6, 8, 5, 4, 3, 1, 1, 1, 1, BY_IMAGE, true},
    {"by the image, one channel", 28, 4, 1, 32, 3, 1, 1, 0, 0, BY_IMAGE, true},
    {"rows of tiles", 18, 18, 12, 40, 3, 1, 1, 0, 0, BIAS_RELU, true},
    {"parts of rows", 4, 18, 16, 330, 3, 1, 1, 1, 1, PLAIN, true},
    {"by the weights", 8, 6, 4, 5, 3, 1, 1, 0, 0, BY_WEIGHTS, true},
    {"by the weights, padded", 6, 8, 5, 7, 3, 1, 1, 1, 1, BY_WEIGHTS, true},
    {"by the weights, padded on one side", 5, 7, 3, 4, 3, 1, 1, 0, 1, BY_WEIGHTS, true},
    {"by the weights, one channel", 6, 4, 1, 3, 3, 1, 1, 1, 1, BY_WEIGHTS, true},
    {"by the weights, one feature", 6, 4, 3, 1, 3, 1, 1, 1, 1, BY_WEIGHTS, true},
    {"by the weights, one of each", 4, 4, 1, 1, 3, 1, 1, 1, 1, BY_WEIGHTS, true},
    {"by the weights, channels like taps", 6, 6, 3, 3, 3, 1, 1, 1, 1, BY_WEIGHTS, true},
    {"by the weights, rows of tiles", 18, 18, 12, 40, 3, 1, 1, 0, 0, BY_WEIGHTS, true},
    {"by the weights, parts of rows", 4, 18, 16, 330, 3, 1, 1, 1, 1, BY_WEIGHTS, true},
    {"by the weights, odd", 7, 8, 4, 4, 3, 1, 1, 0, 0, BY_WEIGHTS, false},
    {"by the weights, strided", 9, 9, 4, 4, 3, 2, 1, 0, 0, BY_WEIGHTS, false},
    {"by the weights, dilated", 10, 10, 4, 4, 3, 1, 2, 0, 0, BY_WEIGHTS, false},
    {"odd", 7, 7, 4, 4, 3, 1, 1, 0, 0, PLAIN, false},
    {"one side odd", 8, 7, 4, 4, 3, 1, 1, 0, 0, PLAIN, false},
    {"strided", 9, 9, 4, 4, 3, 2, 1, 0, 0, PLAIN, false},
    {"dilated", 10, 10, 4, 4, 3, 1, 2, 0, 0, PLAIN, false},
    {"of five taps", 8, 8, 4, 4, 5, 1, 1, 0, 0, PLAIN, false},
};

static Value *variable(Builder *b, const char *name, const Dim *dims, int rank) {
    return build_variable(b, module_variable(b->module, name, type_get(b->module, DTYPE_F32, rank, dims),
                                             VARIABLE_TRAINABLE, (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0}));
}

static Value *surround(Builder *b, Value *y, const Form *f, Func *func) {
    WindowAttr pool = {.spatial = 2, .size = {2, 2}, .stride = {2, 2}, .dilation = {1, 1}, .kind = REDUCE_MAX};
    Dim features = dim_static(f->features);
    if (f->around == ADDED)
        y = build_add(b, y, func_add_arg(func, ARG_INPUT, y->type, "added"));
    if (f->around == BIAS_RELU || f->around == POOLED_RELU || f->around == ADDED)
        y = build_map1(b, FN_relu, build_add(b, y, variable(b, "bias", &features, 1)));
    pool.kind = f->around == AVERAGED ? REDUCE_SUM : REDUCE_MAX;
    bool pooled = f->around == POOLED || f->around == POOLED_RELU || f->around == AVERAGED;
    return pooled ? build_scale(b, build_pool(b, y, &pool), 0.25) : y;
}

/* With another convolution before, whose result lies in memory: `twice`, with as many features as channels. */
static Module *make_modules(Arena *arena, Diag *diag, const Form *f, int64_t batch, bool twice) {
    WindowAttr window = {.spatial = 2,
                         .size = {f->taps, f->taps},
                         .stride = {f->stride, f->stride},
                         .dilation = {f->dilation, f->dilation},
                         .low = {f->low, f->low},
                         .high = {f->high, f->high},
                         .kind = REDUCE_SUM};
    Module *module = module_new(arena, diag, "filter", batch);
    Func *func = module_func(module, "train_step");
    Builder b = builder_at_end(func);
    Dim dims[] = {dim_batch(1), dim_static(f->y), dim_static(f->x), dim_static(f->channels)};
    Dim taps[] = {dim_static(f->taps), dim_static(f->taps), dim_static(f->channels), dim_static(f->features)};
    b.layer = "first";
    Value *x = func_add_arg(func, ARG_INPUT, type_get(module, DTYPE_F32, 4, dims), "x"), *gradient;
    if (twice)
        x = build_map1(&b, FN_relu, build_conv(&b, x, variable(&b, "before", taps, 4), &window));
    b.layer = "one";
    Value *kernel = variable(&b, "kernel", taps, 4), *y = build_conv(&b, x, kernel, &window);
    if (f->around == BY_IMAGE || f->around == BY_WEIGHTS) {
        Value *weights = func_add_arg(func, ARG_INPUT, y->type, "weights");
        Value *loss = build_mean_all(&b, build_mul(&b, y, weights));
        build_grad(&b, loss, f->around == BY_IMAGE ? &x : &kernel, 1, &gradient);
        if (f->around == BY_IMAGE)
            func_add_result(func, gradient, "gradient");
        else
            build_assign(&b, kernel->def->attr.variable, build_sub(&b, kernel, gradient));
    } else
        func_add_result(func, surround(&b, y, f, func), "output");
    return module;
}

static Module *make_module(Arena *arena, Diag *diag, const Form *f, int64_t batch) {
    return make_modules(arena, diag, f, batch, false);
}

static const KKernel *kernel_ending(const KProgram *p, const char *end) {
    for (int k = 0; p && k < p->sequences[0]->count; k++) {
        const char *name = p->sequences[0]->kernels[k]->name;
        if (strlen(name) >= strlen(end) && strcmp(name + strlen(name) - strlen(end), end) == 0)
            return p->sequences[0]->kernels[k];
    }
    return NULL;
}

static bool is_filtered(const KProgram *p) {
    const KKernel *parts = kernel_ending(p, "_parts");
    return kernel_ending(p, "_weights") || (parts && strstr(parts->comment, "F(3x3, 2x2)"));
}

/* ---- values ---- */

static void check_form(const Form *f, int64_t batch, const char *target) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *module = make_module(arena, diag, f, batch), *oracle = kernel_oracle(arena, diag, module);
    KProgram *p = oracle ? kernel_program(arena, diag, module, target, true, f->name) : NULL;
    CHECK(p != NULL);
    CHECK(!p || is_filtered(p) == f->filtered);
    CHECK(!p || !f->filtered || !kernel_ending(p, "_pad")); /* patches take the zeros from no copy */
    CHECK(!p || kernel_right_with_threads(arena, p, oracle, batch, f->name));
    if (batch > 1)
        CHECK(!p || kernel_right_with_threads(arena, p, oracle, batch - 1, f->name));
    if (test_failed)
        printf("after %s, batch %d\n", f->name, (int)batch);
    arena_free(arena);
}

/* The same sample at two places of a batch. */
static void check_places(const Form *f) {
    enum { BATCH = 11, OTHER = 9 };
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *module = make_module(arena, diag, f, BATCH), *oracle = kernel_oracle(arena, diag, module);
    KProgram *p = kernel_program(arena, diag, module, "winograd", true, f->name);
    KernelExpected e = kernel_expect(arena, oracle, oracle->funcs[0], 3, BATCH, 2);
    Text why = {0};
    e.rows[OTHER] = e.rows[0];
    KernelValues values = kernel_run(arena, p, &e, (KInterpOptions){.threads = 2}, &why);
    CHECK(values.ran);
    int64_t size = e.results[0].count / BATCH;
    CHECK(values.ran &&
          memcmp(values.results[0], values.results[0] + OTHER * size, sizeof(double) * (size_t)size) == 0);
    text_free(&why);
    arena_free(arena);
}

/* ---- as C ---- */

static void check_compiled(const Form *f, const char *command, const char *folder) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    char stem[128];
    snprintf(stem, sizeof stem, "%s/form_%d", folder, (int)(f - forms));
    Module *module = make_module(arena, diag, f, 5), *oracle = kernel_oracle(arena, diag, module);
    KProgram *p = kernel_program(arena, diag, module, "winograd", true, f->name);
    CHECK(compiled_right(arena, p, oracle, command, stem, f->name));
    arena_free(arena);
}

static void check_some_compiled(const char *command, const char *folder, int compiler) {
    for (int i = 0; i < (int)(sizeof forms / sizeof *forms); i++)
        if (forms[i].filtered && i % (2 * COMPILERS) == 2 * compiler)
            check_compiled(&forms[i], command, folder);
}

/* ---- what it costs ---- */

static KProgram *program_for(Arena *arena, const Form *f, int64_t batch) {
    Diag *diag = diag_new(arena);
    return kernel_program(arena, diag, make_module(arena, diag, f, batch), "x86-64-v4", true, f->name);
}

static void test_choice(void) {
    static const struct {
        int64_t channels, features;
        bool filtered, by_weights;
    } sizes[] = {{1, 32, false, false}, {3, 32, false, false}, {4, 8, false, false},
                 {16, 16, true, true},  {32, 32, true, true},  {32, 64, true, true},
                 {64, 64, true, true},  {96, 96, true, true},  {512, 512, false, false}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        Arena *arena = arena_new();
        Form f = {"choice", 16, 16, sizes[i].channels, sizes[i].features, 3, 1, 1, 1, 1, BIAS_RELU, false};
        KProgram *p = program_for(arena, &f, 32);
        CHECK(p && is_filtered(p) == sizes[i].filtered);
        f.around = BY_WEIGHTS;
        p = program_for(arena, &f, 32);
        CHECK(p && is_filtered(p) == sizes[i].by_weights);
        if (test_failed)
            printf("%d channels, %d features\n", (int)f.channels, (int)f.features);
        arena_free(arena);
    }
}

/* Terms of the sums: 16 for a tile of four results, a channel and a feature, instead of 36. */
static void test_products(void) {
    Form f = {"products", 12, 12, 32, 64, 3, 1, 1, 0, 0, POOLED_RELU, true};
    Arena *arena = arena_new();
    KProgram *p = program_for(arena, &f, 8);
    const KKernel *kernel = kernel_ending(p, "_forward");
    double terms = 0;
    CHECK(kernel && kernel->nest_count == 3);
    for (int n = 0; kernel && n < kernel->nest_count; n++) {
        const Nest *nest = kernel->nests[n];
        double points = nest->reduction_count;
        for (int i = 0; i < nest->axis_count; i++)
            points *= (double)dim_size(nest->axes[i].extent, 8);
        terms += points;
    }
    CHECK(terms == 8.0 * 5 * 5 * 16 * 32 * 64);
    arena_free(arena);
}

/* A sum that reads blocks of a large image fetches it for the next block. */
static void count_fetched(void *context, const KStmt *s) {
    *(int *)context += s->kind == KS_PREFETCH && s->reads;
}

static void test_fetched(void) {
    static const struct {
        int64_t extent;
        Around around;
        const char *kernel;
        bool fetched;
    } forms_of[] = {
        {32, ADDED, "one_forward", true}, {32, BY_WEIGHTS, "_parts", true}, {6, ADDED, "one_forward", false}};
    for (size_t i = 0; i < sizeof forms_of / sizeof *forms_of; i++) {
        Arena *arena = arena_new();
        Form f = {"fetched", forms_of[i].extent, forms_of[i].extent, 32, 32, 3, 1, 1, 1, 1, forms_of[i].around, true};
        Diag *diag = diag_new(arena);
        KProgram *p = kernel_program(arena, diag, make_modules(arena, diag, &f, 512, true), "x86-64-v4", true, f.name);
        const KKernel *kernel = kernel_ending(p, forms_of[i].kernel);
        int fetched = 0;
        CHECK(kernel);
        if (kernel)
            kstmt_visit(kernel->body, &(KVisitor){.statement = count_fetched, .context = &fetched});
        CHECK((fetched > 0) == forms_of[i].fetched);
        arena_free(arena);
    }
}

int main(void) {
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        check_form(&forms[i], 1, "winograd");
        check_form(&forms[i], 3, "winograd");
        if (forms[i].channels < 10)
            check_form(&forms[i], 11, "winograd");
    }
    check_places(&forms[0]);
    check_places(&forms[9]);
    compiled_with_each(check_some_compiled);
    test_choice();
    test_products();
    test_fetched();
    return test_report();
}
