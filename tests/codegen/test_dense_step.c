/* What a training step of a Dense network is made of, counted: no gradient of a kernel in memory, updates in the kernel
 * that computes the gradient, the batch not copied, no kernel more than needed; with global_clipnorm the split form. */
#include "frontend/frontend.h"
#include "test.h"
#include "tests/codegen/kernel_compare.h"

static KProgram *compile(Arena *arena, Diag *diag, SourceFile *source, const char *text) {
    *source = (SourceFile){.name = "test.nn", .text = text, .length = strlen(text)};
    Ast *ast = ast_parse(arena, interner_new(arena), diag, source);
    Program *program = ast ? frontend_program(arena, diag, ast, &(FrontendOptions){NULL, 0, NULL}) : NULL;
    return program ? kernel_compile(arena, diag, program, "x86-64-v4", 0, true) : NULL;
}

static bool same_shape(const KBuffer *a, const KBuffer *b) {
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (!dim_equal(a->dims[i], b->dims[i]))
            return false;
    return true;
}

/* Arena buffers of the shape of a variable that are no copies of it in another order. */
static int gradient_buffers(const KProgram *p, const KBuffer *variable) {
    int count = 0;
    for (int i = 0; i < p->buffer_count; i++)
        count += p->buffers[i]->space == SPACE_ARENA && same_shape(p->buffers[i], variable) &&
                 !strstr(p->buffers[i]->name, "turned");
    return count;
}

static int writers(const KProgram *p, const KSequence *sequence, const KBuffer *buffer) {
    int count = 0;
    for (int k = 0; k < sequence->count; k++) {
        const KUse *uses;
        int n = kkernel_uses(p, sequence->kernels[k], &uses);
        for (int i = 0; i < n; i++)
            count += uses[i].buffer == buffer && uses[i].written;
    }
    return count;
}

static const KBuffer *find(const KProgram *p, const char *path) {
    for (int i = 0; i < p->buffer_count; i++)
        if (p->buffers[i]->space == SPACE_VARIABLE && strcmp(p->buffers[i]->variable->name, path) == 0)
            return p->buffers[i];
    return NULL;
}

static bool reads_argument_twin(const KProgram *p, int64_t elements) {
    for (int i = 0; i < p->buffer_count; i++)
        if (p->buffers[i]->space == SPACE_ARENA && kbuffer_elements(p->buffers[i], p->module->batch_max) == elements)
            return true;
    return false;
}

#define NETWORK                                                                                                        \
    "model m { Input(100); Dense(48, activation=relu); Dense(72, activation=relu); Dense(10, activation=softmax) }\n"
static const char *const kernels[] = {"dense/kernel", "dense_1/kernel", "dense_2/kernel"};

static void check_fused(void) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    SourceFile source;
    KProgram *p = compile(arena, diag, &source,
                          NETWORK "compile { loss = categorical_crossentropy; optimizer = Adam() }\n"
                                  "fit { batch_size = 32 }\n");
    CHECK(p && kernel_sequence(p, "train_step"));
    for (int i = 0; i < 3 && p; i++) {
        const KBuffer *kernel = find(p, kernels[i]);
        CHECK(kernel != NULL);
        CHECK(gradient_buffers(p, kernel) == 0);
        CHECK(writers(p, kernel_sequence(p, "train_step"), kernel) == 1);
    }
    if (p) {
        CHECK(!reads_argument_twin(p, 32 * 100)); /* the batch is read where the data set lies */
        /* forward, input gradients, updates of kernels and biases, loss and scalars, and copies in another order */
        CHECK(kernel_sequence(p, "train_step")->count <= 3 + 2 + 3 + 3 + 1 + 4);
        CHECK(p->arena_bytes * 10 <= p->arena_lower_bound * 11);
    }
    arena_free(arena);
}

static void check_split(void) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    SourceFile source;
    KProgram *p = compile(arena, diag, &source,
                          NETWORK "compile { loss = categorical_crossentropy; optimizer = Adam(global_clipnorm=1.0) }\n"
                                  "fit { batch_size = 32 }\n");
    CHECK(p && kernel_sequence(p, "train_step"));
    for (int i = 0; i < 3 && p; i++)
        CHECK(gradient_buffers(p, find(p, kernels[i])) >= 1); /* the norm needs all gradients before the first update */
    arena_free(arena);
}

int main(void) {
    check_fused();
    check_split();
    return test_report();
}
