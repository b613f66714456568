/* Gradients of convolutions with strides by their input, as transposed convolutions are too: values are those of the
 * tensor interpreter, with the same bits for any number of threads, as kernels that are interpreted and as C. The sums
 * run over the taps that meet results, and nothing is multiplied with zeros between them; rows of tiles are cells with
 * the same rest by the stride. Odd sizes, taps fewer than the stride and no multiple of it, paddings and cropped
 * images, one to three axes of space, few channels and many samples. */
#include "codegen/kir/nest.h"
#include "ir/build.h"
#include "test.h"
#include "tests/codegen/compiled_kernels.h"
#include "tests/codegen/kernel_compare.h"
#include "tests/codegen/windows.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const char *name;
    WindowAttr window;
    int64_t extent[3], channels, features; /* of the image whose gradient is made */
    bool direct;                           /* the sum leaves out what is between the results */
} Form;

static const Form forms[] = {
    {"3 by 2, padded behind", TWO(3, 2, 1, 0, 1), {8, 16}, 5, 3, true},
    {"3 by 2, odd", TWO(3, 2, 1, 0, 0), {9, 15}, 4, 3, true},
    {"3 by 2, padded, odd", TWO(3, 2, 1, 1, 1), {7, 17}, 4, 5, true},
    {"3 by 2, last cells not met", TWO(3, 2, 1, 0, 0), {8, 10}, 8, 2, true},
    {"2 by 2", TWO(2, 2, 1, 0, 0), {8, 18}, 4, 3, true},
    {"4 by 2, padded", TWO(4, 2, 1, 1, 1), {6, 12}, 3, 4, true},
    {"1 by 2", TWO(1, 2, 1, 0, 0), {7, 12}, 4, 6, true},
    {"2 by 3", TWO(2, 3, 1, 0, 0), {11, 14}, 2, 3, true},
    {"3 by 3", TWO(3, 3, 1, 1, 1), {7, 28}, 3, 2, true},
    {"5 by 3", TWO(5, 3, 1, 2, 2), {13, 20}, 4, 2, true},
    {"5 by 2, cropped", TWO(5, 2, 1, -1, -2), {13, 16}, 4, 3, true},
    {"by more than the image", TWO(2, 5, 1, 1, 1), {4, 3}, 4, 3, true},
    {"one channel", TWO(3, 2, 1, 0, 1), {6, 14}, 1, 16, true},
    {"few channels, many features", TWO(3, 2, 1, 0, 1), {6, 10}, 3, 32, true},
    {"few features", TWO(3, 2, 1, 1, 0), {5, 6}, 17, 1, true},
    {"strides and dilations", TWO(2, 2, 3, 1, 1), {9, 11}, 2, 3, false},
    {"line", ONE(5, 3, 1, 2, 1), {31}, 4, 3, true},
    {"line of one sample's length", ONE(4, 4, 1, 0, 0), {12}, 6, 5, true},
    {"sides differ",
     {.spatial = 2, .size = {3, 2}, .stride = {1, 2}, .dilation = {2, 1}, .low = {2, 0}, .high = {2, 1}},
     {6, 13},
     4,
     3,
     true},
    {"rows differ",
     {.spatial = 2, .size = {3, 3}, .stride = {3, 1}, .dilation = {1, 1}, .low = {0, 1}, .high = {0, 1}},
     {10, 12},
     4,
     3,
     true},
    {"space",
     {.spatial = 3, .size = {2, 3, 3}, .stride = {1, 2, 2}, .dilation = {2, 1, 1}, .low = {0, 1, 0}, .high = {0, 1, 1}},
     {4, 5, 8},
     2,
     3,
     true},
};
enum { FORMS = sizeof forms / sizeof *forms };

/* The gradient by x of the mean of the convolution's squares times x's exponential, behind a relu's: a long epilogue.
 */
static Module *module_of(Arena *arena, Diag *diag, const Form *f, int64_t batch) {
    Module *module = module_new(arena, diag, "strides", batch);
    Func *func = module_func(module, "train_step");
    Builder b = builder_at_end(func);
    int spatial = f->window.spatial;
    Dim dims[MAX_RANK] = {dim_batch(1)}, taps[MAX_RANK];
    for (int s = 0; s < spatial; s++) {
        dims[s + 1] = dim_static(f->extent[s]);
        taps[s] = dim_static(f->window.size[s]);
    }
    dims[spatial + 1] = taps[spatial] = dim_static(f->channels);
    taps[spatial + 1] = dim_static(f->features);
    b.layer = "layer";
    Value *x = func_add_arg(func, ARG_INPUT, type_get(module, DTYPE_F32, spatial + 2, dims), "x"), *gradient;
    Variable *kernel = module_variable(module, "kernel", type_get(module, DTYPE_F32, spatial + 2, taps),
                                       VARIABLE_TRAINABLE, (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0});
    Value *y = build_conv(&b, build_map1(&b, FN_relu, x), build_variable(&b, kernel), &f->window);
    build_grad(&b, build_mean_all(&b, build_mul(&b, y, y)), &x, 1, &gradient);
    func_add_result(func, gradient, "gradient");
    return module;
}

static const KKernel *gradient_kernel(const KProgram *p) {
    for (int k = 0; k < p->sequences[0]->count; k++)
        if (strstr(p->sequences[0]->kernels[k]->name, "_backward"))
            return p->sequences[0]->kernels[k];
    return NULL;
}

/* Taps of all cells together that meet a place of the grid of results, whether a result is there or not. */
static double taps_met(const Form *f, int s) {
    const WindowAttr *w = &f->window;
    int64_t met = 0;
    for (int64_t cell = 0; cell < f->extent[s]; cell++)
        for (int64_t tap = 0; tap < w->size[s]; tap++)
            met += w->stride[s] == 1 || (cell + w->low[s] - tap + 16 * w->stride[s]) % w->stride[s] == 0;
    return (double)met;
}

/* Multiply-adds of the nest that makes the gradient. */
static void check_terms(const Form *f, const KKernel *kernel, int64_t batch) {
    double terms = (double)(batch * f->channels * f->features), all = 1;
    const Nest *nest = kernel->nests[0];
    for (int s = 0; s < f->window.spatial; s++)
        terms *= taps_met(f, s);
    for (int i = 0; i < nest->axis_count; i++)
        all *= (double)dim_size(nest->axes[i].extent, batch) * (nest->axes[i].part > 0 ? nest->axes[i].part : 1);
    bool direct = all < terms * 1.001; /* of cells that nothing meets, none */
    CHECK(direct == f->direct);
    if (direct != f->direct)
        printf("%s: %g terms, not %g\n", f->name, all, terms);
}

static void check_form(const Form *f, int64_t batch, const char *target) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *module = module_of(arena, diag, f, batch), *oracle = kernel_oracle(arena, diag, module);
    KProgram *p = oracle ? kernel_program(arena, diag, module, target, true, f->name) : NULL;
    CHECK(p != NULL);
    if (p && strcmp(target, "cuda") != 0) {
        const KKernel *kernel = gradient_kernel(p);
        CHECK(kernel != NULL);
        if (kernel)
            check_terms(f, kernel, batch);
    }
    CHECK(!p || kernel_right_with_threads(arena, p, oracle, batch, f->name));
    if (batch > 1)
        CHECK(!p || kernel_right_with_threads(arena, p, oracle, batch - 1, f->name));
    if (test_failed)
        printf("after %s for %s, batch %d\n", f->name, target, (int)batch);
    arena_free(arena);
}

/* ---- as C ---- */

static void check_compiled(const Form *f, const char *command, const char *folder) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    char stem[128];
    snprintf(stem, sizeof stem, "%s/form_%d", folder, (int)(f - forms));
    Module *module = module_of(arena, diag, f, 5), *oracle = kernel_oracle(arena, diag, module);
    KProgram *p = kernel_program(arena, diag, module, "panels", true, f->name);
    CHECK(compiled_right(arena, p, oracle, command, stem, f->name));
    arena_free(arena);
}

static void check_some_compiled(const char *command, const char *folder, int compiler) {
    for (int i = 0; i < FORMS; i++)
        if (i % (2 * COMPILERS) == 2 * compiler)
            check_compiled(&forms[i], command, folder);
}

/* ---- tiles ---- */

typedef struct {
    int64_t rows;
    bool fetches;
} Tile;

static void meet_loop(void *context, const KStmt *s) {
    Tile *tile = context;
    int64_t rows;
    if (s->kind == KS_FOR && s->loop.axis == AXIS_UNROLL && kexpr_constant(s->loop.to, &rows) && rows > tile->rows)
        tile->rows = rows;
    tile->fetches = tile->fetches || s->kind == KS_PREFETCH;
}

/* Accumulators enough that none waits, from one image: the cells of a line with one rest. */
static void test_tiles(void) {
    Form f = {"tiles", TWO(3, 2, 1, 0, 1), {32, 32}, 16, 32, true};
    Arena *arena = arena_new();
    KProgram *p =
        kernel_program(arena, diag_new(arena), module_of(arena, diag_new(arena), &f, 32), "x86-64-v4", true, f.name);
    const KKernel *kernel = p ? gradient_kernel(p) : NULL;
    Tile tile = {0};
    CHECK(kernel != NULL);
    if (kernel) {
        kstmt_visit(kernel->body, &(KVisitor){.statement = meet_loop, .context = &tile});
        CHECK(nest_period(kernel->nests[0], 2) == 2 && nest_period(kernel->nests[0], 0) == 0);
        CHECK(tile.rows == 16 && tile.fetches);
    }
    arena_free(arena);
}

int main(void) {
    static const char *const targets[] = {"x86-64-v4", "x86-64-v3", "generic", "panels", "cuda"};
    for (int i = 0; i < FORMS; i++)
        for (size_t t = 0; t < sizeof targets / sizeof *targets; t++) {
            check_form(&forms[i], t == 0 ? 20 : 3, targets[t]);
            if (t == 3)
                check_form(&forms[i], 1, targets[t]);
        }
    compiled_with_each(check_some_compiled);
    test_tiles();
    return test_report();
}
