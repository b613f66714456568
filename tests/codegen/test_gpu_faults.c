/* Faults sown into what map_gpu makes, one at a time, are found by the kernel-IR interpreter: a barrier that is missing
 * is a race, a condition that always holds leaves a buffer, a barrier that some threads skip is divergent, shared
 * memory that nobody wrote is not read. So that programs which it accepts have none of these. */
#include "tests/codegen/kernel_compare.h"
#include "frontend/frontend.h"
#include "test.h"
#include <stdlib.h>

enum { REPORTS = 5 };
typedef enum { FAULT_RACE, FAULT_OUTSIDE, FAULT_DIVERGENT, FAULT_UNWRITTEN, FAULTS } Fault;

static const struct {
    const char *name;
    int least_percent; /* of those that are found: others change nothing: two nests may need no barrier
                        */
    const char *reports[REPORTS];
} faults[FAULTS] = {
    [FAULT_RACE] = {"a barrier is missing", 85, {"sample ", "race: "}},
    [FAULT_OUTSIDE] = {"a condition always holds",
                       75,
                       {"its axis has", "promised", "sample ", "nobody wrote", "race: "}},
    [FAULT_DIVERGENT] = {"a thread skips a barrier", 100, {"does not come by"}},
    [FAULT_UNWRITTEN] = {"shared memory is not written", 80, {"nobody wrote"}},
};

typedef struct {
    KProgram *p;
    const KernelExpected *e;
    Arena *arena;
    int sown[FAULTS], found[FAULTS];
} Field;

/* Statements that a fault can be sown into. */
typedef struct {
    Arena *arena;
    KStmt **items;
    int count, capacity;
    Fault fault;
} Places;

/* Is it a comparison with the end of something that threads count through? */
static bool is_guard(const KExpr *e) {
    return e->kind == KE_FN && ((e->fn.fn == FN_and && is_guard(e->fn.args[0]) && is_guard(e->fn.args[1])) ||
                                (e->fn.fn == FN_lt && e->fn.args[0]->type.base == KBASE_INDEX));
}

static void note_place(void *context, const KStmt *s) {
    Places *places = context;
    bool fits = (places->fault == FAULT_RACE && s->kind == KS_BARRIER) ||
                (places->fault == FAULT_DIVERGENT && s->kind == KS_BARRIER) ||
                (places->fault == FAULT_OUTSIDE && s->kind == KS_IF && is_guard(s->branch.condition)) ||
                (places->fault == FAULT_UNWRITTEN && s->kind == KS_STORE && s->store.buffer->space == SPACE_SHARED);
    if (fits)
        ARENA_PUSH(places->arena, places->items, places->count, places->capacity, (KStmt *)s);
}

/* The thread loop around it, for its variable. */
typedef struct {
    KVar *thread;
} ThreadFinder;

static void note_thread(void *context, const KStmt *s) {
    ThreadFinder *finder = context;
    if (s->kind == KS_FOR && s->loop.axis == AXIS_THREAD_X)
        finder->thread = s->loop.var;
}

static void sow(KProgram *p, const KKernel *kernel, KStmt *s, Fault fault) {
    KStmt *next = s->next;
    if (fault == FAULT_OUTSIDE)
        s->branch.condition = kexpr_number(p, KBASE_BOOL, 1);
    else if (fault == FAULT_DIVERGENT) {
        ThreadFinder finder = {NULL};
        kstmt_visit(kernel->body, &(KVisitor){.statement = note_thread, .context = &finder});
        KExpr *not_first = kexpr_fn(p, FN_lt, kexpr_index(p, 0), kexpr_var(p, finder.thread), NULL);
        *s = *kstmt_if(p, not_first, kstmt_barrier(p), NULL);
    } else
        *s = *kstmt_comment(p, "sown");
    s->next = next;
}

static bool is_reported(Fault fault, const char *error) {
    for (int i = 0; i < REPORTS; i++)
        if (faults[fault].reports[i] && strstr(error, faults[fault].reports[i]))
            return true;
    return false;
}

/* Threads or blocks in the other order: of two that are not ordered the other one may come too early. What runs must
 * give other values, which the comparison with the tensor interpreter finds; a race must be refused. */
static bool is_found(const Field *f, Fault fault, const KKernel *kernel) {
    bool found = false, other = false;
    for (int reverse = 0; reverse < 2 && !found; reverse++) {
        Text why = {0};
        KernelValues values = kernel_run(f->arena, f->p, f->e, (KInterpOptions){.reverse = reverse}, &why);
        found = !values.ran && is_reported(fault, why.data);
        other = other || (values.ran && !kernel_check(f->e, &values, &why));
        CHECK(values.ran || found);
        if (!values.ran && !found)
            printf("%s, %s: %s\n", kernel->name, faults[fault].name, why.data);
        text_free(&why);
    }
    return found || (other && fault != FAULT_RACE);
}

static void check_place(Field *f, const KKernel *kernel, KStmt *s, Fault fault) {
    KStmt kept = *s;
    sow(f->p, kernel, s, fault);
    bool found = is_found(f, fault, kernel);
    *s = kept;
    f->sown[fault]++;
    f->found[fault] += found;
    if (!found && getenv("NNC_VERBOSE"))
        printf("%s: %s and is not found\n", kernel->name, faults[fault].name);
}

static void check_kernel(Field *f, const KKernel *kernel) {
    for (Fault fault = 0; fault < FAULTS; fault++) {
        Places places = {.arena = f->arena, .fault = fault};
        kstmt_visit(kernel->body, &(KVisitor){.statement = note_place, .context = &places});
        for (int i = 0; i < places.count; i++)
            check_place(f, kernel, places.items[i], fault);
    }
}

static void check_func(KProgram *p, const Module *oracle, const Func *func, int class_count, Arena *arena) {
    Text why = {0};
    KernelExpected e = kernel_expect(arena, oracle, func, 3, oracle->batch_max, class_count);
    Field f = {.p = p, .e = &e, .arena = arena};
    KernelValues right = kernel_run(arena, p, &e, (KInterpOptions){.threads = 1}, &why);
    CHECK(right.ran && kernel_check(&e, &right, &why));
    const KSequence *sequence = kernel_sequence(p, func->name);
    for (int k = 0; k < sequence->count; k++)
        check_kernel(&f, sequence->kernels[k]);
    for (Fault fault = 0; fault < FAULTS; fault++) {
        int least = f.sown[fault] * faults[fault].least_percent / 100;
        printf("%s: %d of %d found\n", faults[fault].name, f.found[fault], f.sown[fault]);
        CHECK(f.sown[fault] > 0 && f.found[fault] >= least);
    }
    text_free(&why);
}

static void check_source(const char *text) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    SourceFile source = {.name = "faults.nn", .text = text, .length = strlen(text)};
    Ast *ast = ast_parse(arena, interner_new(arena), diag, &source);
    Program *program = ast ? frontend_program(arena, diag, ast, &(FrontendOptions){NULL, 0, NULL}) : NULL;
    Module *oracle = program ? kernel_oracle(arena, diag, program->module) : NULL;
    KProgram *p = oracle ? kernel_program(arena, diag, program->module, "cuda", true, "faults") : NULL;
    CHECK(p != NULL);
    for (int i = 0; p && i < oracle->func_count; i++)
        if (strcmp(oracle->funcs[i]->name, "train_step") == 0)
            check_func(p, oracle, oracle->funcs[i], (int)program->class_count, arena);
    arena_free(arena);
}

int main(void) {
    check_source("model m { Input(37); Dense(21, activation=tanh); Dense(7, activation=softmax) }\n"
                 "compile { loss = categorical_crossentropy; optimizer = SGD() }\n"
                 "fit { batch_size = 19 }\n");
    check_source("model m { Input(150); LayerNormalization(); Dense(1) }\n"
                 "compile { loss = mean_squared_error; optimizer = SGD() }\n"
                 "fit { batch_size = 5 }\n");
    return test_report();
}
