#include "tests/codegen/kernel_compare.h"
#include "codegen/nests/gemm.h"
#include "codegen/kir/isa.h"
#include "codegen/nests/layout.h"
#include "codegen/kir/library.h"
#include "codegen/lower/lower.h"
#include "codegen/map/map.h"
#include "codegen/plan/memory_plan.h"
#include "codegen/plan/tuning.h"
#include "codegen/nests/winograd.h"
#include "frontend/frontend.h"
#include "ir/contraction.h"
#include "passes/pass.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- source ---- */

Program *kernel_source_with(Arena *arena, Diag *diag, const char *file, const char *const *defines, int count) {
    size_t length = 0;
    char *text = text_read_file(arena_format(arena, "%s/%s", NNC_SOURCE_DIR, file), &length);
    SourceFile *source = ARENA_NEW(arena, SourceFile);
    if (!text) {
        printf("cannot read %s\n", file);
        return NULL;
    }
    *source = (SourceFile){.name = file, .text = arena_copy(arena, text, length + 1), .length = length};
    free(text);
    Ast *ast = ast_parse(arena, interner_new(arena), diag, source);
    FrontendOptions options = {defines, count, NULL};
    Program *program = ast && !diag_errors(diag) ? frontend_program(arena, diag, ast, &options) : NULL;
    if (program && !diag_errors(diag))
        return program;
    kernel_report(diag, file);
    return NULL;
}

Program *kernel_source(Arena *arena, Diag *diag, const char *file, const char *define) {
    return kernel_source_with(arena, diag, file, &define, define != NULL);
}

KProgram *kernel_compile(Arena *arena, Diag *diag, Program *program, const char *target, int barrier_work,
                         bool planned) {
    PassContext context = pass_context(diag, NULL, NULL);
    KIsa isa;
    if (!passes_run(program->module, &context, pass_pipeline, pass_pipeline_count) || !isa_find(target, &isa))
        return NULL;
    isa.barrier_work = barrier_work ? barrier_work : isa.barrier_work;
    KProgram *p = lower_program(arena, diag, program, isa);
    if (!p)
        return NULL;
    winograd_program(p, WINOGRAD_CHEAPER);
    layout_program(p);
    if (!map_cpu(p))
        return NULL;
    memory_plan(p, planned);
    return p;
}

/* ---- the two forms of a module ---- */

void kernel_report(Diag *diag, const char *what) {
    Text text = {0};
    diag_print(diag, &text, false);
    printf("%s: %s\n", what, text.data ? text.data : "");
    text_free(&text);
}

static bool kernel_passes(Module *module, Diag *diag, const char *const *names, int count, const char *what) {
    PassContext context = pass_context(diag, NULL, NULL);
    bool ok = passes_run(module, &context, names, count);
    if (!ok)
        kernel_report(diag, what);
    return ok;
}

Module *kernel_oracle(Arena *arena, Diag *diag, const Module *module) {
    Module *plain = module_clone(arena, module);
    const char *names[] = {"autodiff", "dce"};
    return kernel_passes(plain, diag, names, 2, "autodiff") ? plain : NULL;
}

/* RCxPARTS:PRECISION, without the end of it: 16 times R rows and C columns in every tile; "library" instead of RCxPARTS
 */
static void kernel_gpu_options(KProgram *p, const char *text) {
    const char *precision = strchr(text, ':');
    int tile = atoi(text);
    const char *parts = strchr(text, 'x');
    TileChoice choice = {"*", 16 * (tile / 10), 16 * (tile % 10), parts ? atoi(parts + 1) : 1, false};
    p->tuning = ARENA_NEW(p->arena, Tuning);
    choice.library = strncmp(text, "library", 7) == 0;
    if (choice.library) {
        p->products = library_find("blas", "cublaslt");
        p->scratch_bytes = 1024;
    }
    if (tile || choice.library)
        ARENA_PUSH(p->arena, p->tuning->wanted, p->tuning->wanted_count, p->tuning->wanted_capacity, choice);
    for (int i = 0; precision && i < PRECISIONS; i++)
        if (strcmp(kprecision_names[i], precision + 1) == 0)
            p->precision = (KPrecision)i;
    if (p->precision != PRECISION_FLOAT32)
        isa_of_gpu("sm_80", &p->isa);
}

KProgram *kernel_program(Arena *arena, Diag *diag, const Module *module, const char *target, bool planned,
                         const char *what) {
    Module *optimised = module_clone(arena, module);
    bool dnn = strcmp(target, "dnn") == 0, cuda = dnn || strncmp(target, "cuda", 4) == 0;
    KIsa isa = isa_cuda;
    Program *info = ARENA_NEW(arena, Program);
    if (!kernel_passes(optimised, diag, pass_pipeline, pass_pipeline_count, what))
        return NULL;
    bool panels = strcmp(target, "panels") == 0, blas = strcmp(target, "blas") == 0;
    bool winograd = strcmp(target, "winograd") == 0;
    if (!cuda && !isa_find(panels || blas || winograd ? "generic" : target, &isa)) {
        printf("%s: no instruction set %s\n", what, target);
        return NULL;
    }
    if (panels)
        isa.panel_from = 8;
    isa.barrier_work = KERNEL_BARRIER_WORK;
    info->module = optimised;
    info->name = optimised->name;
    enum { SCRATCH = 256 };
    KProgram *p = lower_for_library(arena, diag, info, isa, dnn ? SCRATCH : 0);
    if (p && cuda && !dnn && target[4])
        kernel_gpu_options(p, target + 5);
    if (p && blas)
        gemm_program(p, 2);
    if (p && !cuda && !blas)
        winograd_program(p, winograd ? WINOGRAD_EVERYWHERE : WINOGRAD_CHEAPER);
    if (p)
        layout_program(p);
    if (!p || !(cuda ? map_gpu(p) : map_cpu(p))) {
        kernel_report(diag, what);
        return NULL;
    }
    memory_plan(p, planned);
    if (!kprogram_verify(p, "the memory plan")) {
        kernel_report(diag, what);
        return NULL;
    }
    return p;
}

/* ---- what the tensor interpreter says ---- */

/* May Winograd's filtering compute it (codegen/nests/winograd.h)? */
static bool kernel_may_be_filtered(const Op *op) {
    const WindowAttr *w = &op->attr.window;
    bool may =
        (op->code == OP_CONV || op->code == OP_CONV_GRAD_INPUT || op->code == OP_CONV_GRAD_KERNEL) && w->spatial == 2;
    for (int i = 0; may && i < 2; i++)
        may = w->size[i] == 3 && w->stride[i] == 1 && w->dilation[i] == 1;
    return may;
}

/* Where no cell is larger than d and no weight than g, the direct form adds terms of 9 d g for each channel. F(2x2,
 * 3x3) computes A^T [(G g G^T) (B^T d B)] A. Row by row |B^T| adds up to (2, 2, 2, 2), |G| to (1, 3/2, 3/2, 1), and a
 * row of |A^T| takes in three of their products: (1, 1, 1, 0) gives 2 + 3 + 3 = 8, as (0, 1, 1, 1) does; both axes 64 d
 * g for each channel. A number goes through 2 roundings in a patch, 2 on each axis in the weights (products with 1/2
 * are exact), channels + 1 in the sum and 2 on each axis in the results. In roundings of terms as large as those of the
 * direct form that is 64/9 as many. */
static int64_t kernel_filtered_roundings(int64_t channels) {
    int64_t roundings = 2 + 2 * 2 + channels + 1 + 2 * 2;
    return (roundings * 64 + 8) / 9;
}

/* Of a gradient by the weights with n terms, where nothing that comes in is larger than g: a tile adds terms of 4 d g
 * to a result of the direct form. F(3x3, 2x2) computes A^T [(G g G^T) (B^T d B)] A, with the halves of G in A. |B^T|
 * adds up to (2, 2, 2, 2), |G| to (1, 2, 2, 1), and the rows of |A^T| are (1, 1/2, 1/2, 0), (0, 1/2, 1/2, 0) and (0,
 * 1/2, 1/2, 1): at most 2 + 2 + 2 = 6, both axes 36 d g for each tile, 9 times as many. A number goes through 2
 * roundings in a patch, 2 in what comes in, one for each of n / 4 tiles, one more where a block or a part is added to
 * those before, of which there are at most as many as tiles, and 2 on each axis in the results. */
static int64_t kernel_filtered_weight_roundings(int64_t terms) {
    int64_t tiles = terms / 4;
    return (2 + 2 + 2 * (tiles + 1) + 2 * 2) * 9;
}

static int64_t kernel_roundings(const Op *op, int64_t batch) {
    int64_t inputs = op->input_count ? type_count(op->inputs[0]->type, batch) : 0;
    int64_t outputs = op->result_count ? type_count(op->results[0]->type, batch) : 1;
    switch (op->code) {
    case OP_MAP:
        return scalar_infos[op->attr.scalar].cost > 1 ? 4 : 1;
    case OP_REDUCE:
        return op->attr.reduce.kind == REDUCE_SUM ? inputs / (outputs ? outputs : 1) : 0;
    case OP_SCATTER_ADD:
        return inputs;
    case OP_POOL:
    case OP_POOL_GRAD:
    case OP_UNPOOL: {
        int64_t cells = 1;
        for (int i = 0; i < op->attr.window.spatial; i++)
            cells *= op->attr.window.size[i];
        return op->attr.window.kind == REDUCE_SUM ? cells : op->code == OP_POOL ? 0 : cells;
    }
    default:
        break;
    }
    if (op_infos[op->code].op_class != CLASS_CONTRACT)
        return 0;
    Contraction c = contraction_of(op);
    int64_t length = 1;
    for (int i = c.out_rank; i < c.axis_count; i++)
        length *= dim_size(c.extent[i], batch);
    int64_t filtered = !kernel_may_be_filtered(op)       ? 0
                       : op->code == OP_CONV_GRAD_KERNEL ? kernel_filtered_weight_roundings(length)
                                                         : kernel_filtered_roundings(length / 9);
    return length + 1 > filtered ? length + 1 : filtered;
}

/* The longest chain of roundings that leads to a result: a sum of n terms is n of them. */
static int64_t kernel_longest_chain(Arena *arena, const Func *func, int64_t batch) {
    int64_t *chain = ARENA_ARRAY(arena, int64_t, func->value_count + 1), longest = 1;
    for (const Op *op = func->body.first; op; op = op->next) {
        int64_t before = 0;
        for (int i = 0; i < op->input_count; i++)
            before = chain[op->inputs[i]->id] > before ? chain[op->inputs[i]->id] : before;
        before += kernel_roundings(op, batch);
        for (int i = 0; i < op->result_count; i++)
            chain[op->results[i]->id] = before;
        longest = before > longest ? before : longest;
    }
    return longest;
}

/* The samples of the batch, gathered from the data set; forward and preprocess read their rows as they lie. */
static Tensor kernel_batch_of(Interp *interp, const KernelExpected *e, const Tensor *all, const Type *type) {
    Tensor tensor = interp_tensor(interp, type);
    if (type->rank == 0 || !type->dims[0].batch) {
        memcpy(tensor.data, all->data, sizeof(double) * (size_t)tensor.count);
        return tensor;
    }
    int64_t size = tensor.count / e->batch;
    bool direct = strcmp(e->func->name, "forward") == 0 || strcmp(e->func->name, "preprocess") == 0;
    for (int64_t i = 0; i < e->batch; i++)
        memcpy(tensor.data + i * size, all->data + (direct ? i : e->rows[i]) * size, sizeof(double) * (size_t)size);
    return tensor;
}

static Tensor *kernel_copies(Arena *arena, const Tensor *tensors, int count) {
    Tensor *copies = ARENA_ARRAY(arena, Tensor, count + 1);
    for (int i = 0; i < count; i++) {
        copies[i] = tensors[i];
        copies[i].data = ARENA_ARRAY(arena, double, tensors[i].count + 1);
        memcpy(copies[i].data, tensors[i].data, sizeof(double) * (size_t)tensors[i].count);
    }
    return copies;
}

static Interp *kernel_interpret(Arena *arena, const Module *oracle, const KernelExpected *e, bool rounded,
                                const CompareOptions *options, Tensor **results) {
    Interp *interp = interp_new(arena, oracle, e->batch);
    int count = e->func->body.arg_count;
    interp->round_to_float = rounded;
    test_fill_variables(interp, options);
    Tensor *args = ARENA_ARRAY(arena, Tensor, count + 1);
    for (int i = 0; i < count; i++)
        args[i] = kernel_batch_of(interp, e, &e->arguments[i], e->func->body.args[i]->type);
    *results = ARENA_ARRAY(arena, Tensor, e->func->body.yield_count + 1);
    return interp_run(interp, e->func, args, *results) ? interp : NULL;
}

KernelExpected kernel_expect(Arena *arena, const Module *oracle, const Func *func, uint64_t seed, int64_t batch,
                             int class_count) {
    KernelExpected e = {.func = func, .batch = batch, .samples = batch + 3};
    CompareOptions options = {.seed = seed, .class_count = class_count};
    Interp *whole = interp_new(arena, oracle, e.samples);
    TestRandom random = {seed + 77};
    test_fill_variables(whole, &options);
    e.variables = kernel_copies(arena, whole->variables, oracle->variable_count);
    e.arguments = test_fill_args(whole, func, &options);
    e.rows = ARENA_ARRAY(arena, int32_t, e.samples);
    for (int32_t i = 0; i < e.samples; i++) { /* inside-out shuffle */
        int at = test_random_below(&random, i + 1);
        e.rows[i] = e.rows[at];
        e.rows[at] = i;
    }
    e.interp = kernel_interpret(arena, oracle, &e, false, &options, &e.results);
    Interp *rounded = kernel_interpret(arena, oracle, &e, true, &options, &e.rounded_results);
    e.rounded_variables = rounded ? rounded->variables : NULL;
    e.bound = 0x1p-23 * (double)kernel_longest_chain(arena, func, batch);
    return e;
}

/* ---- kernels on their interpreter ---- */

KSequence *kernel_sequence(const KProgram *p, const char *name) {
    for (int i = 0; i < p->sequence_count; i++)
        if (strcmp(p->sequences[i]->func->name, name) == 0)
            return p->sequences[i];
    return NULL;
}

static bool kernel_give(KInterp *in, KProgram *p, const KSequence *sequence, const KernelExpected *e) {
    bool ok = true;
    for (int i = 0; i < p->buffer_count && ok; i++) {
        const KBuffer *b = p->buffers[i];
        const Tensor *from = NULL;
        if (b->space == SPACE_VARIABLE && !b->alias)
            from = &e->variables[module_find_variable(e->interp->module, b->variable->name)->id];
        else if (b->space == SPACE_ARGUMENT && b->sequence == sequence && !b->alias)
            from = &e->arguments[b->argument];
        if (from)
            ok = kinterp_set(in, b, from->data, from->count);
    }
    kinterp_set_rows(in, e->rows);
    return ok;
}

static void kernel_take(Arena *arena, KInterp *in, const KProgram *p, const KSequence *sequence,
                        const KernelExpected *e, KernelValues *values) {
    values->results = ARENA_ARRAY(arena, double *, e->func->body.yield_count + 1);
    values->variables = ARENA_ARRAY(arena, double *, e->interp->module->variable_count + 1);
    for (int i = 0; i < p->buffer_count; i++) {
        const KBuffer *b = p->buffers[i];
        double **to = NULL;
        if (b->alias)
            continue;
        if (b->space == SPACE_VARIABLE)
            to = &values->variables[module_find_variable(e->interp->module, b->variable->name)->id];
        else if (b->space == SPACE_RESULT && b->sequence == sequence)
            to = &values->results[b->argument];
        if (!to)
            continue;
        *to = ARENA_ARRAY(arena, double, kbuffer_elements(b, p->module->batch_max) + 1);
        kinterp_get(in, b, *to);
    }
}

KernelValues kernel_run(Arena *arena, KProgram *p, const KernelExpected *e, KInterpOptions options, Text *why) {
    KernelValues values = {.ran = false};
    KSequence *sequence = kernel_sequence(p, e->func->name);
    if (!sequence) {
        text_format(why, "there are no kernels for @%s", e->func->name);
        return values;
    }
    KInterp *in = kinterp_new(p, e->batch, options);
    values.ran = kernel_give(in, p, sequence, e) && kinterp_run(in, sequence);
    if (values.ran)
        kernel_take(arena, in, p, sequence, e, &values);
    else
        text_add(why, kinterp_error(in));
    kinterp_free(in);
    return values;
}

/* ---- comparisons ---- */

/* How far rounding every operation of the oracle moves this tensor: ill-conditioned values move in any program. */
static double kernel_condition(const Tensor *exact, const Tensor *rounded) {
    double most = 0;
    for (int64_t i = 0; i < exact->count; i++) {
        double moved = fabs(exact->data[i] - rounded->data[i]);
        most = moved > most ? moved : most;
    }
    return most;
}

static bool kernel_near(const KernelExpected *e, const Tensor *expected, const Tensor *rounded, const double *got,
                        const char *name, Text *why) {
    if (!got) {
        text_format(why, "%s is written nowhere", name);
        return false;
    }
    double moved = kernel_condition(expected, rounded);
    for (int64_t i = 0; i < expected->count; i++) {
        double x = expected->data[i], y = got[i];
        if (x == y || (isnan(x) && isnan(y)) || fabs(x - y) <= e->bound * (1 + fabs(x)) + 4 * moved)
            continue;
        text_format(why, "%s[%lld] is %.9g, expected %.9g within %.3g", name, (long long)i, y, x,
                    e->bound * (1 + fabs(x)) + 4 * moved);
        return false;
    }
    return true;
}

bool kernel_check(const KernelExpected *e, const KernelValues *values, Text *why) {
    const Module *module = e->interp->module;
    for (int i = 0; i < e->func->body.yield_count; i++)
        if (!kernel_near(e, &e->results[i], &e->rounded_results[i], values->results[i], e->func->result_names[i], why))
            return false;
    for (int i = 0; i < module->variable_count; i++)
        if (!kernel_near(e, &e->interp->variables[i], &e->rounded_variables[i], values->variables[i],
                         module->variables[i]->name, why))
            return false;
    return true;
}

static bool kernel_equal(const double *a, const double *b, int64_t count, const char *name, Text *why) {
    for (int64_t i = 0; i < count; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0) {
            text_format(why, "%s[%lld]: %.9g and %.9g", name, (long long)i, a[i], b[i]);
            return false;
        }
    return true;
}

bool kernel_same_bits(const KernelExpected *e, const KernelValues *a, const KernelValues *b, Text *why) {
    const Module *module = e->interp->module;
    for (int i = 0; i < e->func->body.yield_count; i++)
        if (!kernel_equal(a->results[i], b->results[i], e->results[i].count, e->func->result_names[i], why))
            return false;
    for (int i = 0; i < module->variable_count; i++)
        if (!kernel_equal(a->variables[i], b->variables[i], e->variables[i].count, module->variables[i]->name, why))
            return false;
    return true;
}

static bool right_with_threads(Arena *arena, KProgram *p, const Module *oracle, const Func *func, int64_t batch,
                               int classes, const char *what) {
    Text why = {0};
    KernelExpected e = kernel_expect(arena, oracle, func, 5, batch, classes);
    KernelValues one = kernel_run(arena, p, &e, (KInterpOptions){.threads = 1}, &why);
    bool right = one.ran && kernel_check(&e, &one, &why);
    for (int threads = 2; right && threads <= 5; threads += 3) {
        KernelValues other = kernel_run(arena, p, &e, (KInterpOptions){.threads = threads, .reverse = true}, &why);
        right = other.ran && kernel_same_bits(&e, &one, &other, &why);
    }
    if (!right)
        printf("%s, batch %d: %s\n", what, (int)batch, why.data ? why.data : "");
    text_free(&why);
    return right;
}

bool kernel_right_with_threads(Arena *arena, KProgram *p, const Module *oracle, int64_t batch, const char *what) {
    return right_with_threads(arena, p, oracle, oracle->funcs[0], batch, 2, what);
}

bool kernel_function_right(Arena *arena, KProgram *p, const Module *oracle, const char *function, int64_t batch,
                           int classes) {
    for (int i = 0; i < oracle->func_count; i++)
        if (strcmp(oracle->funcs[i]->name, function) == 0)
            return right_with_threads(arena, p, oracle, oracle->funcs[i], batch, classes, function);
    return false;
}
