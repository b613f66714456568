/* Depthwise convolutions behind each other: a training step and a prediction are those of the tensor interpreter with
 * the same bits for any number of threads, each keeps few images in memory (no product for a cell of the window lies
 * there), and no layer is computed again for the cells of the next. */
#include "codegen/kir/nest.h"
#include "test.h"
#include "tests/codegen/kernel_compare.h"

enum { BATCH = 4, CHANNELS = 16, LAYERS = 3, CELLS = 9 };
enum { SLOTS = 8 }; /* for a cell of a window at most: the product, and where its zeros are */

/* Of all nests, in slots of a multiply-add. */
static int64_t work_of(const KSequence *sequence) {
    int64_t work = 0;
    for (int k = 0; k < sequence->count; k++)
        for (int n = 0; n < sequence->kernels[k]->nest_count; n++)
            work += nest_slots(sequence->kernels[k]->nests[n], BATCH);
    return work;
}

static void check_side(const char *define, int64_t side, const char *target) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Program *program = kernel_source(arena, diag, "tests/codegen/depthwise.nn", define);
    const Module *oracle = program ? kernel_oracle(arena, diag, program->module) : NULL;
    KProgram *p = oracle ? kernel_program(arena, diag, program->module, target, true, define) : NULL;
    CHECK(p != NULL);
    if (p) {
        int64_t image = BATCH * side * side * CHANNELS;
        CHECK(p->arena_bytes < (2 * LAYERS + 1) * image * (int64_t)sizeof(float));
        CHECK(work_of(kernel_sequence(p, "forward")) < LAYERS * CELLS * SLOTS * image);
        CHECK(kernel_function_right(arena, p, oracle, "forward", BATCH, 4));
        CHECK(kernel_function_right(arena, p, oracle, "train_step", BATCH, 4));
    }
    kernel_report(diag, define);
    arena_free(arena);
}

int main(void) {
    check_side("side=6", 6, "x86-64-v4");
    check_side("side=20", 20, "x86-64-v4");
    check_side("side=6", 6, "cuda");
    return test_report();
}
