/* The GPU mapping, proved without a GPU: 200 random models on the kernel-IR interpreter, which runs grid, blocks,
 * threads, shared memory and barriers and refuses races and divergent barriers, agree with the tensor interpreter, for
 * whole and partial batches; blocks in any order change no bit. So do they with every contraction in tiles of any
 * shape, and its sum in any number of parts. Hand-made contractions and reductions take the forms that small models do
 * not: tiles, blocks that reduce together, kernels that are split. Some programs are compiled by nvcc. */
#include "tests/codegen/kernel_compare.h"
#include "tests/passes/interp_compare.h"
#include "tests/passes/random_model.h"
#include "codegen/emit/c_printer.h"
#include "codegen/emit/kernel_share.h"
#include "test.h"
#include <unistd.h>
#include <stdlib.h>

enum { MODELS = 200, EVERY = 4, SMALL_SHAPES = 4, PARTS = 3 };

/* Rows and columns of a thread; the small ones are quick enough for random models. */
static const char *const shapes[] = {"cuda:11", "cuda:12", "cuda:41", "cuda:22", "cuda:18",
                                     "cuda:82", "cuda:44", "cuda:48", "cuda:88"};

/* .. and sums in parts, some of which are empty. */
static const char *const parts[PARTS] = {"cuda:11x2", "cuda:11x3", "cuda:21x7"};

/* ---- kernels against the oracle ---- */

typedef struct {
    const char *what;
    uint64_t seed;
    const Module *oracle;
    Arena *arena;
    int class_count;
} Case;

static void check_func(const Case *c, KProgram *p, const Func *func, int64_t batch) {
    Text why = {0};
    KernelExpected e = kernel_expect(c->arena, c->oracle, func, c->seed, batch, c->class_count);
    KernelValues first = kernel_run(c->arena, p, &e, (KInterpOptions){.threads = 1}, &why);
    bool right = first.ran && kernel_check(&e, &first, &why);
    CHECK(right);
    if (right) {
        KernelValues reverse = kernel_run(c->arena, p, &e, (KInterpOptions){.threads = 1, .reverse = true}, &why);
        right = reverse.ran && kernel_same_bits(&e, &first, &reverse, &why);
        CHECK(right);
    }
    if (!right)
        printf("%s, batch %d, @%s: %s\n", c->what, (int)batch, func->name, why.data ? why.data : "");
    text_free(&why);
}

/* What kernels there are: a test of forms that never appear proves nothing. */
typedef struct {
    int kernels, tiles, barriers, rows, split, parts, beside;
} Forms;

static void count_statement(void *context, const KStmt *s) {
    Forms *forms = context;
    forms->barriers += s->kind == KS_BARRIER;
    forms->beside +=
        s->kind == KS_FOR && s->loop.axis == AXIS_GRID_X && s->loop.step > 1 && strcmp(s->loop.var->name, "point") == 0;
    forms->tiles += s->kind == KS_FOR && s->loop.axis == AXIS_THREAD_Y;
}

static void count_forms(const KProgram *p, Forms *forms) {
    for (int s = 0; s < p->sequence_count; s++)
        for (int i = 0; i < p->sequences[s]->count; i++) {
            const KKernel *kernel = p->sequences[s]->kernels[i];
            forms->kernels++;
            forms->rows += kernel->rows;
            forms->parts += kernel->comment && strstr(kernel->comment, "(adds ") != NULL;
            forms->split += kernel->comment && strstr(kernel->comment, "(part 2)") != NULL;
            kstmt_visit(kernel->body, &(KVisitor){.statement = count_statement, .context = forms});
        }
}

static void check_module(const Module *model, Arena *arena, Diag *diag, const char *what, const char *target,
                         uint64_t seed, Forms *forms) {
    Module *oracle = kernel_oracle(arena, diag, model);
    KProgram *p = oracle ? kernel_program(arena, diag, model, target, true, what) : NULL;
    CHECK(p != NULL);
    if (!p)
        return;
    count_forms(p, forms);
    Case c = {what, seed, oracle, arena, RANDOM_MODEL_CLASSES};
    for (int i = 0; i < oracle->func_count; i++) {
        check_func(&c, p, oracle->funcs[i], model->batch_max);
        check_func(&c, p, oracle->funcs[i], 1 + (int64_t)(seed % (uint64_t)(model->batch_max - 1)));
    }
}

static void check_random(uint64_t seed, const char *target, Forms *forms) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    char what[64];
    snprintf(what, sizeof what, "seed %d, %s", (int)seed, target);
    check_module(random_model(arena, diag, seed), arena, diag, what, target, seed, forms);
    arena_free(arena);
}

/* ---- forms ---- */

typedef struct {
    Arena *arena;
    Diag *diag;
    Module *module;
    Builder b;
    Func *func;
} Form;

static Form form_new(const char *name, int64_t batch_max) {
    Form f = {.arena = arena_new()};
    f.diag = diag_new(f.arena);
    f.module = module_new(f.arena, f.diag, name, batch_max);
    f.func = module_func(f.module, "forward");
    f.b = builder_at_end(f.func);
    return f;
}

static const Type *form_type(const Form *f, int rank, const int64_t *extents, bool batch) {
    Dim dims[MAX_RANK];
    for (int i = 0; i < rank; i++)
        dims[i] = i == 0 && batch ? dim_batch(extents[0]) : dim_static(extents[i]);
    return type_get(f->module, DTYPE_F32, rank, dims);
}

static Value *form_input(Form *f, int rank, const int64_t *extents) {
    return func_add_arg(f->func, ARG_INPUT, form_type(f, rank, extents, true), "x");
}

static Value *form_weights(Form *f, const char *name, int rank, const int64_t *extents) {
    return build_variable(&f->b, module_variable(f->module, name, form_type(f, rank, extents, false),
                                                 VARIABLE_TRAINABLE, (Init){INIT_UNIFORM, -1, 1, -1}, (Span){0}));
}

/* A tile decides which results are computed together, not in which order one of them is summed. */
static void check_shapes(const Form *f) {
    Text why = {0};
    const Module *oracle = kernel_oracle(f->arena, f->diag, f->module);
    KernelExpected e = kernel_expect(f->arena, oracle, oracle->funcs[0], 5, f->module->batch_max, 0);
    KernelValues first = {.ran = false};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        KProgram *p = kernel_program(f->arena, f->diag, f->module, shapes[i], true, shapes[i]);
        KernelValues values = kernel_run(f->arena, p, &e, (KInterpOptions){.reverse = i % 2}, &why);
        bool right = values.ran && kernel_check(&e, &values, &why);
        right = right && (i == 0 || kernel_same_bits(&e, &first, &values, &why));
        CHECK(right);
        if (!right)
            printf("%s, %s: %s\n", f->module->name, shapes[i], why.data);
        first = i == 0 ? values : first;
    }
    for (size_t i = 0; i < PARTS; i++) { /* other sums, each of them right */
        KProgram *p = kernel_program(f->arena, f->diag, f->module, parts[i], true, parts[i]);
        KernelValues values = kernel_run(f->arena, p, &e, (KInterpOptions){.reverse = i % 2}, &why);
        bool right = values.ran && kernel_check(&e, &values, &why);
        CHECK(right);
        if (!right)
            printf("%s, %s: %s\n", f->module->name, parts[i], why.data);
    }
    text_free(&why);
}

static Forms form_check(Form *f, Value *result) {
    Forms forms = {0};
    func_add_result(f->func, result, "output");
    check_module(f->module, f->arena, f->diag, f->module->name, "cuda", 5, &forms);
    if (forms.tiles)
        check_shapes(f);
    arena_free(f->arena);
    return forms;
}

static void test_product_in_tiles(void) {
    Form f = form_new("product", 40);
    Value *x = form_input(&f, 2, (int64_t[]){1, 37}), *w = form_weights(&f, "w", 2, (int64_t[]){37, 21});
    Value *bias = form_weights(&f, "bias", 1, (int64_t[]){21});
    Value *y = build_map1(&f.b, FN_tanh, build_add(&f.b, build_einsum(&f.b, "bk,kn->bn", x, w), bias));
    CHECK(form_check(&f, y).tiles == 1);
}

static void test_batched_product_in_tiles(void) {
    Form f = form_new("batched", 6);
    Value *x = form_input(&f, 3, (int64_t[]){1, 18, 9});
    CHECK(form_check(&f, build_einsum(&f.b, "bik,bjk->bij", x, x)).tiles == 1);
}

static void test_convolution_in_tiles(void) {
    Form f = form_new("convolution", 4);
    Value *x = form_input(&f, 4, (int64_t[]){1, 9, 8, 3}), *w = form_weights(&f, "w", 4, (int64_t[]){3, 3, 3, 6});
    WindowAttr window = {
        .spatial = 2, .size = {3, 3}, .stride = {2, 1}, .dilation = {1, 1}, .low = {1, 1}, .high = {1, 1}};
    CHECK(form_check(&f, build_conv(&f.b, x, w, &window)).tiles == 1);
}

/* As the gradient of a weight: many samples, few results, of which the epilogue is done once. */
static void test_long_sum_in_parts(void) {
    Form f = form_new("gradient", 64);
    Value *x = form_input(&f, 3, (int64_t[]){1, 24, 20});
    Value *old = form_weights(&f, "w", 2, (int64_t[]){20, 20});
    Value *sum = build_einsum(&f.b, "bti,btj->ij", x, x);
    Forms forms = form_check(&f, build_sub(&f.b, old, build_map1(&f.b, FN_tanh, sum)));
    CHECK(forms.tiles == 1 && forms.parts == 1 && forms.kernels == 2);
}

/* As the gradient of a bias: neighbouring threads take neighbouring columns, and blocks share the samples. */
static void test_columns_side_by_side(void) {
    static const int64_t columns[] = {24, 7};
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        Form f = form_new("columns", 60);
        Value *x = form_input(&f, 3, (int64_t[]){1, 150, columns[i]});
        Value *sum = build_reduce(&f.b, REDUCE_SUM, x, (int[]){0, 1}, 2);
        Forms forms = form_check(&f, build_map1(&f.b, FN_tanh, sum));
        CHECK(forms.tiles == 0 && forms.parts == 1 && forms.barriers > 2 && forms.beside == (columns[i] % 2 == 0));
    }
}

/* Tiles of the results are enough for all multiprocessors, or the sum is short: it stays whole. */
static void test_sums_that_stay_whole(void) {
    static const int64_t sides[][3] = {{4096, 4096, 128}, {1024, 2048, 256}, {64, 64, 32}, {20, 20, 8}};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
        Form f = form_new("whole", sides[i][2]);
        Value *x = form_input(&f, 2, (int64_t[]){1, sides[i][0]});
        Value *y = func_add_arg(f.func, ARG_TARGET, form_type(&f, 2, (int64_t[]){1, sides[i][1]}, true), "y");
        Forms forms = {0};
        func_add_result(f.func, build_einsum(&f.b, "bi,bj->ij", x, y), "output");
        KProgram *p = kernel_program(f.arena, f.diag, f.module, "cuda", true, "whole");
        CHECK(p != NULL);
        count_forms(p, &forms);
        CHECK(forms.tiles == 1 && forms.parts == 0);
        arena_free(f.arena);
    }
}

/* Few results of much: a block for each. */
static void test_reduction_by_blocks(void) {
    Form f = form_new("reduction", 5);
    Value *x = form_input(&f, 2, (int64_t[]){1, 700});
    int last = 1;
    CHECK(form_check(&f, build_reduce(&f.b, REDUCE_MAX, x, &last, 1)).barriers >= 8);
}

static void test_argmax_by_blocks(void) {
    Form f = form_new("argmax", 5);
    Value *x = form_input(&f, 2, (int64_t[]){1, 300});
    /* many equal values: the first one counts */
    Value *steps = build_cast(&f.b, build_map2(&f.b, FN_gt, x, build_like(&f.b, x, 0.5)), DTYPE_F32);
    CHECK(form_check(&f, build_cast(&f.b, build_argmax(&f.b, steps, 1), DTYPE_F32)).barriers >= 8);
}

static Value *softmax_of(Builder *b, Value *x) {
    int last = x->type->rank - 1;
    Value *largest = build_reduce_keep(b, REDUCE_MAX, x, &last, 1);
    Value *exponential = build_map1(b, FN_exp, build_sub(b, x, largest));
    return build_div(b, exponential, build_reduce_keep(b, REDUCE_SUM, exponential, &last, 1));
}

static void test_rows_by_blocks(void) {
    Form f = form_new("softmax", 7);
    Value *x = form_input(&f, 2, (int64_t[]){1, 300});
    Forms forms = form_check(&f, softmax_of(&f.b, x));
    CHECK(forms.rows == 1 && forms.kernels == 1 && forms.barriers > 8);
}

/* Too much for one block, which would have to do all nests of the concatenation. */
static void test_split_kernels(void) {
    Form f = form_new("join", 40);
    Value *x = form_input(&f, 2, (int64_t[]){1, 1700}), *twice = build_scale(&f.b, x, 2);
    Value *y = build_map1(&f.b, FN_tanh, build_concat(&f.b, (Value *[]){x, twice}, 2, 1));
    Forms forms = form_check(&f, y);
    CHECK(forms.split == 1 && forms.rows == 0);
}

/* ---- nvcc ---- */

static void cuda_model(Text *out, KProgram *p) {
    text_format(out, "#include \"nnrt_cuda.h\"\n#include <stdio.h>\nnamespace model_%s {\nstruct %s {\n", p->info->name,
                p->info->name);
    for (int i = 0; i < p->buffer_count; i++)
        if (p->buffers[i]->space == SPACE_VARIABLE && !p->buffers[i]->alias) {
            text_add(out, "    ");
            c_print_member(out, p, &dialect_cuda, p->buffers[i]);
            text_add(out, ";\n");
        }
    text_format(out, "    unsigned char arena[%lld];\n};\n", (long long)p->arena_bytes + 64);
    c_print_offsets(out, p, NULL);
}

/* Every kernel is launched by a function, so that nothing is left out. */
static bool cuda_source(Text *out, KProgram *p) {
    bool ok = true;
    kernel_share(p);
    cuda_model(out, p);
    for (int s = 0; s < p->sequence_count; s++)
        for (int i = 0; i < p->sequences[s]->count; i++)
            ok = c_print_kernel(out, p, &dialect_cuda, p->sequences[s]->kernels[i]) && ok;
    for (int s = 0; s < p->sequence_count; s++) {
        const KSequence *sequence = p->sequences[s];
        text_format(out, "void run_%s(struct %s *model, cudaStream_t stream, const int32_t *rows, int64_t batch",
                    sequence->func->name, p->info->name);
        for (int i = 0; i < p->buffer_count; i++) {
            const KBuffer *b = p->buffers[i];
            if (b->alias || b->sequence != sequence || (b->space != SPACE_ARGUMENT && b->space != SPACE_RESULT))
                continue;
            text_add(out, ", ");
            c_print_parameter(out, p, &dialect_cuda, b, b->space == SPACE_RESULT);
        }
        text_add(out, ") {\n");
        for (int i = 0; i < sequence->count; i++) {
            text_add(out, "    ");
            c_print_launch(out, p, &dialect_cuda, sequence->kernels[i], (CallNames){.model = NULL}, "stream");
            text_add(out, ";\n");
        }
        text_add(out, "}\n");
    }
    text_add(out, "}\n");
    return ok;
}

/* All models in one file and one call: nvcc is slow. */
static void test_nvcc(void) {
    static const uint64_t seeds[] = {3, 17, 44, 124};
    char folder[] = "/tmp/nnc-cuda-XXXXXX", command[512];
    if (system("command -v nvcc >/dev/null 2>&1") != 0) {
        printf("skipped: there is no nvcc, the CUDA programs are not compiled\n");
        return;
    }
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Text source = {0};
    for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
        KProgram *p = kernel_program(arena, diag, random_model(arena, diag, seeds[i]), "cuda", true, "nvcc");
        CHECK(p && cuda_source(&source, p));
    }
    text_add(&source, "int main() { return 0; }\n");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(command, sizeof command, "%s/models.cu", folder);
    FILE *file = fopen(command, "w");
    CHECK(file && fwrite(source.data, 1, source.length, file) == source.length && fclose(file) == 0);
    snprintf(command, sizeof command,
             "nvcc -arch=sm_75 -O1 -Werror all-warnings --diag-suppress 177 -I" NNC_SOURCE_DIR
             "/runtime %s/models.cu -o %s/models",
             folder, folder);
    CHECK(system(command) == 0);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK(getenv("NNC_KEEP") || system(command) == 0);
    text_free(&source);
    arena_free(arena);
}

int main(int argc, char **argv) {
    uint64_t from = argc > 1 ? strtoull(argv[1], NULL, 10) : 0, to = argc > 2 ? strtoull(argv[2], NULL, 10) : MODELS;
    Forms forms = {0}, tiled = {0};
    for (uint64_t seed = from; seed < to; seed++)
        check_random(seed, "cuda", &forms);
    CHECK(forms.rows > 0 && forms.barriers > 0);
    for (uint64_t seed = from; seed < to; seed += EVERY)
        check_random(seed, shapes[seed / EVERY % SMALL_SHAPES], &tiled);
    for (uint64_t seed = from; seed < to; seed += 2 * EVERY)
        check_random(seed, parts[seed / (2 * EVERY) % PARTS], &tiled);
    CHECK(tiled.tiles > 0 && tiled.parts > 0);
    test_product_in_tiles();
    test_batched_product_in_tiles();
    test_convolution_in_tiles();
    test_long_sum_in_parts();
    test_columns_side_by_side();
    test_sums_that_stay_whole();
    test_reduction_by_blocks();
    test_argmax_by_blocks();
    test_rows_by_blocks();
    test_split_kernels();
    test_nvcc();
    return test_report();
}
