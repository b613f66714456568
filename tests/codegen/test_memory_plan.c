/* Memory of the examples, of the rows of the benchmark and of prediction alone: the planned arena is at most a tenth
 * above what is alive at once, and no buffers that live at the same time overlap unless they share memory on purpose.
 * Their kernels break no rule. */
#include "codegen/plan/memory_plan.h"
#include "test.h"
#include "tests/codegen/kernel_compare.h"

static const char *const files[] = {
    "examples/autoencoder",    "examples/breast-cancer", "examples/diabetes",        "examples/digits",
    "examples/digits-cnn",     "examples/keras-intro",   "examples/shakespeare-gpt", "examples/shakespeare-lstm",
    "examples/series-gru",     "bench/rows/seed",        "bench/rows/mnist",         "bench/rows/mlp512",
    "bench/rows/wide",         "bench/rows/conv",        "bench/rows/resnet",        "bench/rows/gru",
    "bench/rows/charrnn",      "bench/rows/gpt",         "bench/rows/odd_dense",     "bench/rows/odd_conv",
    "tests/codegen/attention", "tests/codegen/positions"};

static bool overlap(const Lifetime *a, const Lifetime *b) {
    const KBuffer *x = a->buffer, *y = b->buffer;
    bool in_time = a->first <= b->last && b->first <= a->last;
    return in_time && x->offset < y->offset + y->bytes && y->offset < x->offset + x->bytes;
}

/* Each sample's piece of the one is done with before the same thread begins with the other's. */
static bool is_piece_by_piece(const Lifetime *a, const Lifetime *b) {
    const Lifetime *first = a->last_use < b->first_use ? a : b, *second = first == a ? b : a;
    const KPieces *ends = &first->buffer->ends, *begins = &second->buffer->begins;
    return first->last_use < second->first_use && ends->bytes > 0 && ends->bytes == begins->bytes &&
           kexpr_equal(ends->units, begins->units) && a->buffer->offset == b->buffer->offset;
}

static void check_sequence(const KProgram *p, const KSequence *sequence) {
    Lifetime *lives;
    int count = memory_lifetimes(p, sequence, &lives);
    for (int i = 0; i < count; i++) {
        CHECK(lives[i].buffer->offset >= 0 && lives[i].buffer->offset + lives[i].buffer->bytes <= p->arena_bytes);
        for (int k = 0; k < i; k++)
            CHECK(!overlap(&lives[i], &lives[k]) || is_piece_by_piece(&lives[i], &lives[k]));
    }
}

int main(void) {
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        Arena *arena = arena_new();
        Diag *diag = diag_new(arena);
        Program *program = kernel_source(arena, diag, arena_format(arena, "%s.nn", files[i]), NULL);
        KProgram *p = program ? kernel_compile(arena, diag, program, "x86-64-v4", 0, true) : NULL;
        CHECK(p && p->arena_bytes >= p->arena_lower_bound && p->arena_bytes * 10 <= p->arena_lower_bound * 11);
        if (p)
            printf("%-26s %lld bytes, at least %lld\n", files[i], (long long)p->arena_bytes,
                   (long long)p->arena_lower_bound);
        CHECK(p && kprogram_verify(p, "the memory plan"));
        for (int s = 0; p && s < p->sequence_count; s++)
            check_sequence(p, p->sequences[s]);
        arena_free(arena);
    }
    return test_report();
}
