/* The compiler grows with the program: what a GPT of 16 blocks adds to one of 8 is twice what 8 add to 4. Counted in
 * bytes from the source to the kernels, which every table over pairs of ops, kernels or buffers would add to. */
#include "codegen/emit/kernel_share.h"
#include "test.h"
#include "tests/codegen/kernel_compare.h"

enum { EXAMPLES = 3 };

static KProgram *compile(Arena *arena, Diag *diag, const char *blocks) {
    Program *program = kernel_source(arena, diag, "examples/shakespeare-gpt.nn", blocks);
    KProgram *p = program ? kernel_compile(arena, diag, program, "x86-64-v4", 0, true) : NULL;
    if (p)
        kernel_share(p);
    return p;
}

int main(void) {
    static const char *const blocks[EXAMPLES] = {"blocks=4", "blocks=8", "blocks=16"};
    double bytes[EXAMPLES] = {0};
    for (int i = 0; i < EXAMPLES; i++) {
        Arena *arena = arena_new();
        KProgram *p = compile(arena, diag_new(arena), blocks[i]);
        CHECK(p != NULL);
        CHECK(p && p->sequences[0]->count > 0);
        bytes[i] = (double)arena_used(arena);
        printf("%s: %.2f MB\n", blocks[i], bytes[i] / 1e6);
        arena_free(arena);
    }
    CHECK(bytes[1] - bytes[0] > 0.5 * bytes[0]);
    CHECK(bytes[2] - bytes[1] < 2.3 * (bytes[1] - bytes[0]));
    return test_report();
}
