/* The kernels of a recurrence fetch what their steps read and write of sequences before they need it, and what only its
 * steps touch lies in whole rows; the products with the input are made in the steps, so nobody else stores a sequence;
 * the gates of a panel are computed side by side, in register arrays. All that changes no number. A sequence that is
 * read or handed on from its other end is an index, not a kernel. */
#include "tests/codegen/kernel_compare.h"
#include "ir/build.h"
#include "test.h"
#include <string.h>

enum { BATCH = 10, STEPS = 3, FEATURES = 8, UNITS = 32 };

static Value *half(Builder *b, Value *x, int which) {
    Dim dims[2] = {dim_batch(1), dim_static(UNITS)};
    return build_slice(b, x, (int64_t[]){0, which * UNITS}, (int64_t[]){1, 1}, type_get(b->module, DTYPE_F32, 2, dims));
}

static Value *recurrence(Builder *b, Value *x, Value *kernel) {
    Dim dims[2] = {dim_batch(1), dim_static(UNITS)};
    Value *start = build_const(b, type_get(b->module, DTYPE_F32, 2, dims), 0);
    ScanInputs in = {STEPS, false, &start, &x, &kernel, 1, 1, 1};
    Op *scan = build_scan_begin(b, &in);
    Value **args = scan->region->args;
    Value *z = build_add(b, args[1], build_einsum(b, "bk,kn->bn", args[0], args[2]));
    Value *gate = build_map1(b, FN_sigmoid, half(b, z, 0)), *candidate = build_map1(b, FN_tanh, half(b, z, 1));
    Value *next = build_add(b, args[0], build_mul(b, gate, build_sub(b, candidate, args[0])));
    build_scan_end(b, scan, &next, &next, 1);
    return scan->results[1];
}

/* `turned`: the recurrence reads its input from the end, and what it gives is read from the end too. */
static Module *model_of(Arena *arena, Diag *diag, bool turned) {
    Module *module = module_new(arena, diag, "sequences", BATCH);
    Func *func = module_func(module, "train_step");
    Dim rows[3] = {dim_batch(1), dim_static(STEPS), dim_static(FEATURES)};
    Dim input[2] = {dim_static(FEATURES), dim_static(2 * UNITS)}, inner[2] = {dim_static(UNITS), dim_static(2 * UNITS)};
    Value *x = func_add_arg(func, ARG_INPUT, type_get(module, DTYPE_F32, 3, rows), "x");
    Init init = {INIT_UNIFORM, -1, 1, -1};
    Variable *variables[2] = {
        module_variable(module, "kernel", type_get(module, DTYPE_F32, 2, input), VARIABLE_TRAINABLE, init, (Span){0}),
        module_variable(module, "recurrent_kernel", type_get(module, DTYPE_F32, 2, inner), VARIABLE_TRAINABLE, init,
                        (Span){0})};
    Builder b = builder_at_end(func);
    Value *weights[2] = {build_variable(&b, variables[0]), build_variable(&b, variables[1])}, *gradients[2];
    x = build_reverse(&b, x, (int[]){1}, turned);
    Value *y = recurrence(&b, build_einsum(&b, "btk,kn->btn", x, weights[0]), weights[1]);
    y = build_reverse(&b, y, (int[]){1}, turned);
    Value *step = build_shift(&b, build_iota(&b, y->type, 1), 1);
    Value *loss = build_mean_all(&b, build_mul(&b, build_mul(&b, y, y), step));
    build_grad(&b, loss, weights, 2, gradients);
    for (int i = 0; i < 2; i++)
        build_assign(&b, variables[i], build_sub(&b, weights[i], gradients[i]));
    func_add_result(func, loss, "loss");
    return module;
}

/* ---- sequences that a kernel loads or stores, and those that it fetches */
enum { MOST = 64 };
typedef struct {
    const KBuffer *used[MOST], *fetched[MOST];
    int use_count, fetch_count;
} Sequences;

static void note(const KBuffer **list, int *count, const KBuffer *b) {
    for (int i = 0; i < *count; i++)
        if (list[i] == b)
            return;
    if (b->space == SPACE_ARENA && b->rank == 3 && *count < MOST)
        list[(*count)++] = b;
}

static void note_statement(void *context, const KStmt *s) {
    Sequences *all = context;
    if (s->kind == KS_PREFETCH)
        note(all->fetched, &all->fetch_count, s->prefetch->load.buffer);
    if (s->kind == KS_STORE)
        note(all->used, &all->use_count, s->store.buffer);
}

static void note_load(void *context, const KExpr *e) {
    Sequences *all = context;
    if (e->kind == KE_LOAD)
        note(all->used, &all->use_count, e->load.buffer);
}

/* ---- who stores sequences, and where the gates are put */
typedef struct {
    int sequences, gates, in_registers;
} Stores;

static bool is_gate(const KExpr *e) {
    return e->kind == KE_FN && (e->fn.fn == FN_sigmoid || e->fn.fn == FN_tanh);
}

static void count_store(void *context, const KStmt *s) {
    Stores *all = context;
    if (s->kind != KS_STORE)
        return;
    const KBuffer *to = s->store.buffer;
    all->sequences += to->space == SPACE_ARENA && to->rank == 3 && to->dims[2].n == 2 * UNITS;
    all->in_registers += is_gate(s->store.value) && to->space == SPACE_LOCAL && to->lanes == 16 && to->dims[0].n == 2;
}

static void count_gate(void *context, const KExpr *e) {
    ((Stores *)context)->gates += is_gate(e);
}

static void check_stores(const KProgram *p) {
    Stores steps = {0, 0, 0}, others = {0, 0, 0};
    for (int i = 0; i < p->sequences[0]->count; i++) {
        const KKernel *kernel = p->sequences[0]->kernels[i];
        KVisitor visitor = {.statement = count_store, .expression = count_gate};
        visitor.context = kernel->steps ? &steps : &others;
        kstmt_visit(kernel->body, &visitor);
    }
    CHECK(steps.sequences > 0 && others.sequences == 0);
    CHECK(steps.gates == 2 && steps.in_registers == 2 && others.gates == 0);
}

static void check_fetches(const KProgram *p) {
    int recurrences = 0;
    for (int i = 0; i < p->sequences[0]->count; i++) {
        const KKernel *kernel = p->sequences[0]->kernels[i];
        Sequences all = {.use_count = 0};
        kstmt_visit(kernel->body, &(KVisitor){.statement = note_statement, .expression = note_load, .context = &all});
        recurrences += kernel->steps > 0;
        CHECK(all.fetch_count == (kernel->steps ? all.use_count : 0));
        CHECK(!kernel->steps || all.use_count >= 4);
    }
    CHECK(recurrences == 2);
}

/* Gives the number of its kernels. */
static int check_model(bool turned) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *model = model_of(arena, diag, turned), *oracle = kernel_oracle(arena, diag, model);
    KProgram *p = oracle ? kernel_program(arena, diag, model, "x86-64-v4", true, "sequences") : NULL;
    CHECK(p != NULL);
    for (int64_t batch = 3; batch <= BATCH && p; batch += 7) {
        Text why = {0};
        KernelExpected e = kernel_expect(arena, oracle, oracle->funcs[0], 1, batch, 2);
        KernelValues values = kernel_run(arena, p, &e, (KInterpOptions){.threads = 2}, &why);
        bool right = values.ran && kernel_check(&e, &values, &why);
        CHECK(right);
        if (!right)
            printf("batch %d: %s\n", (int)batch, why.data ? why.data : "");
        text_free(&why);
    }
    if (p) {
        check_fetches(p);
        check_stores(p);
    }
    int kernels = p ? p->sequences[0]->count : 0;
    arena_free(arena);
    return kernels;
}

int main(void) {
    int kernels = check_model(false);
    CHECK(check_model(true) == kernels);
    return test_report();
}
