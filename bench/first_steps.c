/* A generated trainer that takes a few training steps only and then does no more; C and CUDA alike. Needs: a generated
 * file in the place of SOURCE and its model as MODEL (seed), which gpu_build.py puts in; in the environment
 * FIRST_STEPS, how many. Its commands and options are the trainer's; there is no validation, and no callback, which would
 * stop at an epoch or put other weights back. */
#define main generated_main
#include SOURCE
#undef main
#include <stdio.h>
#include <stdlib.h>

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define PROGRAM JOIN(MODEL, _program)

static int64_t steps_left;

static int train_first_steps(void *model, const nnrt_steps *steps) {
    nnrt_steps first = *steps;
    int64_t most = steps_left * steps->batch_size;
    first.samples = first.samples < most ? first.samples : most;
    steps_left -= (first.samples + steps->batch_size - 1) / steps->batch_size;
    return first.samples > 0 ? PROGRAM.train_steps(model, &first) : 0;
}

static int evaluate_nothing(void *model, const nnrt_steps *steps) {
    (void)model, (void)steps;
    return 0;
}

int main(int argc, char **argv) {
    const char *wanted = getenv("FIRST_STEPS");
    nnrt_program program = PROGRAM;
    steps_left = wanted ? atoll(wanted) : 0;
    program.train_steps = train_first_steps;
    program.evaluate_steps = evaluate_nothing;
    program.fit.callback_count = 0;
    int status = nnrt_main(&program, argc, argv);
    if (status == 0 && argc > 1 && argv[1][0] == 'f' && steps_left > 0) {
        fprintf(stderr, "first_steps: %lld steps of %s were not reached\n", (long long)steps_left, wanted);
        return 1;
    }
    return status;
}
