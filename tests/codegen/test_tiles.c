/* Tiles fit any number of samples: in the rows of the benchmark a batch of one sample less has tiles as full as the
 * whole one, and costs a sample about as much; so has a forward pass of one sample, whose rows are cells of the
 * picture. Tiles are counted in the loops that add products. Where the sum lies on the lanes, tiles have rows of two
 * axes: each vector of either operand serves several products. */
#include "test.h"
#include "tests/codegen/kernel_compare.h"

enum { LEAST_FULL = 12, PART = 20 }; /* accumulators of a full tile; kernels of 1/PART of the work are looked at */

/* A row of the benchmark, or another file with a path; batch 0: its own. */
static KProgram *compile(Arena *arena, const char *row, int batch) {
    char define[32], file[64];
    Diag *diag = diag_new(arena);
    snprintf(define, sizeof define, "batch=%d", batch);
    snprintf(file, sizeof file, strchr(row, '/') ? "%s.nn" : "bench/rows/%s.nn", row);
    Program *program = kernel_source(arena, diag, file, batch ? define : NULL);
    return program ? kernel_compile(arena, diag, program, "x86-64-v4", 0, true) : NULL;
}

/* Products that one turn of this body adds to accumulators of its own; -1: there are loops in it. */
static int products_of(const KStmt *body) {
    int products = 0;
    for (const KStmt *s = body->kind == KS_BLOCK ? body->block.first : NULL; s; s = s->next) {
        const KExpr *value = s->kind == KS_SET ? s->let.value : s->kind == KS_STORE ? s->store.value : NULL;
        bool accumulator = s->kind == KS_SET || (s->kind == KS_STORE && s->store.buffer->lanes > 0);
        if (accumulator && value->type.lanes > 1 && value->kind == KE_FN && value->fn.fn == FN_add &&
            value->fn.args[0]->kind == KE_FN && value->fn.args[0]->fn.fn == FN_mul)
            products++;
        if (s->kind != KS_FOR)
            continue;
        int64_t from, to;
        int inside = products_of(s->loop.body);
        if (s->loop.axis != AXIS_UNROLL || inside < 0 || !kexpr_constant(s->loop.from, &from) ||
            !kexpr_constant(s->loop.to, &to))
            return -1;
        products += inside * (int)((to - from) / s->loop.step);
    }
    return products;
}

static void fullest(void *most, const KStmt *s) {
    int products = s->kind == KS_FOR && s->loop.axis == AXIS_SERIAL ? products_of(s->loop.body) : 0;
    if (products > *(int *)most)
        *(int *)most = products;
}

/* Work of a sample in slots; every kernel with a share of the work must have a full tile, if it adds products. */
static double check_row(const char *row, int batch, const char *name) {
    Arena *arena = arena_new();
    KProgram *p = compile(arena, row, batch);
    const KSequence *sequence = p ? kernel_sequence(p, name) : NULL;
    double work = 0;
    CHECK(sequence != NULL);
    for (int k = 0; sequence && k < sequence->count; k++)
        work += (double)sequence->kernels[k]->work;
    for (int k = 0; sequence && k < sequence->count; k++) {
        const KKernel *kernel = sequence->kernels[k];
        int products = 0;
        kstmt_visit(kernel->body, &(KVisitor){.statement = fullest, .context = &products});
        bool full = !products || products >= LEAST_FULL || (double)kernel->work * PART < work;
        CHECK(full);
        if (!full)
            printf("%s, batch %d: %s has tiles of %d accumulators\n", row, batch, kernel->name, products);
    }
    arena_free(arena);
    return work / batch;
}

/* Loads of vectors whose place is that of an axis of its own in the unrolled loop: by / or by %. */
typedef struct {
    int over, within;
} Shared;

static bool divides(const KExpr *e, char op) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_INDEX && e->index.op == op && e->index.left->kind == KE_VAR && e->index.left->var->limit > 0)
        return true;
    int count = kexpr_operands(e, operands);
    for (int i = 0; i < count; i++)
        if (divides(operands[i], op))
            return true;
    return false;
}

static void count_shared(void *shared, const KExpr *e) {
    Shared *s = shared;
    if (e->kind == KE_LOAD && e->type.lanes > 1) {
        s->over += divides(e, '/');
        s->within += divides(e, '%');
    }
}

/* The last layer of 10 classes: two samples by all classes. A wide layer: some samples by as many results. */
static void check_sum_on_lanes(const char *row, int batch, const char *kernel, int all) {
    Arena *arena = arena_new();
    KProgram *p = compile(arena, row, batch);
    const KSequence *sequence = p ? kernel_sequence(p, "train_step") : NULL;
    Shared shared = {0, 0};
    int products = 0, found = 0;
    for (int k = 0; sequence && k < sequence->count; k++)
        if (strcmp(sequence->kernels[k]->name, kernel) == 0) {
            found++;
            kstmt_visit(sequence->kernels[k]->body, &(KVisitor){.statement = fullest, .context = &products});
            kstmt_visit(sequence->kernels[k]->body, &(KVisitor){.expression = count_shared, .context = &shared});
        }
    CHECK(found == 1);
    CHECK(products == all);
    CHECK(shared.over == 1);
    CHECK(shared.within == 1);
    arena_free(arena);
}

/* The optimizer rides in the sum of the next tile, whether the rows of the tile come from far or not. */
static void check_rides(const char *row, int batch, const char *kernel) {
    Arena *arena = arena_new();
    KProgram *p = compile(arena, row, batch);
    const KSequence *sequence = p ? kernel_sequence(p, "train_step") : NULL;
    int found = 0, waiting = 0;
    for (int k = 0; sequence && k < sequence->count; k++) {
        const KKernel *at = sequence->kernels[k];
        if (strcmp(at->name, kernel) != 0)
            continue;
        found++;
        for (int i = 0; i < at->local_count; i++)
            waiting += strncmp(at->locals[i]->name, "waiting", 7) == 0;
    }
    CHECK(found == 1);
    CHECK(waiting == 2); /* a vector of sums each */
    arena_free(arena);
}

typedef struct {
    int most, vectors; /* products of the fullest loop, vectors that it loads for each row */
} Widest;

static void find_widest(void *widest, const KStmt *s) {
    Widest *w = widest;
    int products = s->kind == KS_FOR && s->loop.axis == AXIS_SERIAL ? products_of(s->loop.body) : 0, vectors = 0;
    if (products <= w->most)
        return;
    for (const KStmt *in = s->loop.body->block.first; in; in = in->next)
        vectors += in->kind == KS_LET && in->let.value->kind == KE_LOAD && in->let.value->type.lanes > 1;
    *w = (Widest){products, vectors};
}

/* A layer of 784 results, 49 vectors: tiles are of two, and what is left is of one. */
static void check_uneven(const char *file, const char *kernel) {
    Arena *arena = arena_new();
    KProgram *p = compile(arena, file, 0);
    const KSequence *sequence = p ? kernel_sequence(p, "train_step") : NULL;
    Widest widest = {0, 0};
    for (int k = 0; sequence && k < sequence->count; k++)
        if (strcmp(sequence->kernels[k]->name, kernel) == 0)
            kstmt_visit(sequence->kernels[k]->body, &(KVisitor){.statement = find_widest, .context = &widest});
    CHECK(widest.most == 16);
    CHECK(widest.vectors == 2);
    arena_free(arena);
}

/* Rows are places of one sample, whose cells lie side by side: threads share the samples. */
static void check_places(const char *file, int batch, const char *kernel) {
    Arena *arena = arena_new();
    KProgram *p = compile(arena, file, batch);
    const KSequence *sequence = p ? kernel_sequence(p, "train_step") : NULL;
    const KStmt *shared = NULL;
    for (int k = 0; sequence && k < sequence->count; k++)
        if (strcmp(sequence->kernels[k]->name, kernel) == 0)
            shared = kkernel_parallel(sequence->kernels[k]);
    CHECK(shared && shared->loop.to->kind == KE_BATCH && shared->loop.step == 1);
    arena_free(arena);
}

int main(void) {
    static const struct {
        const char *row;
        int batch;
    } rows[] = {{"seed", 32},  {"mnist", 32}, {"mlp512", 128}, {"wide", 256},
                {"conv", 128}, {"gru", 64},   {"charrnn", 50}, {"gpt", 12}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double whole = check_row(rows[i].row, rows[i].batch, "train_step");
        double less = check_row(rows[i].row, rows[i].batch - 1, "train_step");
        printf("%-8s a sample of %d takes %.3f of what one of %d takes\n", rows[i].row, rows[i].batch - 1, less / whole,
               rows[i].batch);
        CHECK(less < 1.1 * whole);
    }
    check_row("conv", 1, "forward");
    check_sum_on_lanes("conv", 128, "train_dense_forward", 20);
    check_sum_on_lanes("conv", 127, "train_dense_forward", 20);
    check_sum_on_lanes("mlp512", 128, "train_dense_2_forward", 20);
    check_sum_on_lanes("tests/codegen/flatten", 32, "train_dense_forward", 16);
    check_sum_on_lanes("tests/codegen/flatten", 31, "train_dense_forward", 16);
    check_rides("gpt", 12, "train_dense_update_1");
    check_rides("gpt", 12, "train_dense_1_update");
    check_rides("tests/codegen/flatten", 32, "train_dense_update_1"); /* a short sum, slots from far */
    check_places("tests/codegen/flatten", 32, "train_conv2d_1_forward");
    check_uneven("examples/autoencoder", "train_decoder_dense_1_forward");
    return test_report();
}
