/* A generated trainer whose number of threads changes every few steps, in the middle of epochs and of evaluations, as
 * it does on a busy machine. Needs: a generated file as SOURCE ("digits.c") and its table as PROGRAM (digits_program).
 * Its commands and options are the trainer's. */
#define main generated_main
#include SOURCE
#undef main
#include <stdio.h>

static const int thread_counts[] = {2, 1, 3, 8, 1, 2, 8};
enum { COUNTS = sizeof thread_counts / sizeof thread_counts[0], CHANGED = -1 };
static int turn, changes;

typedef struct {
    const nnrt_steps *all;
    int64_t before, length; /* steps done by earlier pieces, steps of this one */
    int code;               /* with which the trainer wants to stop */
} Piece;

static int between_steps(void *context, int64_t done) {
    Piece *piece = context;
    if (piece->all->after_step)
        piece->code = piece->all->after_step(piece->all->context, piece->before + done);
    return piece->code ? piece->code : done == piece->length ? CHANGED : 0;
}

static int in_pieces(int (*work)(void *model, const nnrt_steps *), void *model, const nnrt_steps *all) {
    Piece piece = {.all = all};
    for (int64_t at = 0; at < all->samples; at += piece.length * all->batch_size) {
        nnrt_steps steps = *all;
        piece.before += piece.length;
        piece.length = 1 + turn % 4;
        steps.threads = thread_counts[turn++ % COUNTS];
        steps.rows += at;
        steps.samples -= at;
        steps.after_step = between_steps;
        steps.context = &piece;
        int code = work(model, &steps);
        if (code != CHANGED || piece.code)
            return code;
        changes++;
    }
    return 0;
}

static int train_in_pieces(void *model, const nnrt_steps *steps) {
    return in_pieces(PROGRAM.train_steps, model, steps);
}

static int evaluate_in_pieces(void *model, const nnrt_steps *steps) {
    return in_pieces(PROGRAM.evaluate_steps, model, steps);
}

int main(int argc, char **argv) {
    nnrt_program program = PROGRAM;
    program.train_steps = train_in_pieces;
    program.evaluate_steps = evaluate_in_pieces;
    int status = nnrt_main(&program, argc, argv);
    return changes == 0 ? fprintf(stderr, "changing: nothing has changed\n"), 1 : status;
}
