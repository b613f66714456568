/* Ctrl-C as a flag. Needs: POSIX sigaction. Leaves: the handlers as they were before. */
#include "nnrt_trainer.h"

#include <signal.h>

static volatile sig_atomic_t interrupt_flag;
static struct sigaction interrupt_old_int, interrupt_old_term;

static void interrupt_handle(int signal_number) {
    (void)signal_number;
    interrupt_flag = 1;
}

void nnrt_interrupt_begin(void) {
    struct sigaction action = {.sa_handler = interrupt_handle, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    interrupt_flag = 0;
    sigaction(SIGINT, &action, &interrupt_old_int);
    sigaction(SIGTERM, &action, &interrupt_old_term);
}

void nnrt_interrupt_end(void) {
    sigaction(SIGINT, &interrupt_old_int, NULL);
    sigaction(SIGTERM, &interrupt_old_term, NULL);
    interrupt_flag = 0;
}

bool nnrt_interrupted(void) {
    return interrupt_flag != 0;
}
