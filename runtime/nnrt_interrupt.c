/* Ctrl-C, SIGTERM and the end of the terminal (SIGHUP) as a flag. A signal that the process was told to ignore (nohup,
 * a background job of a script) stays ignored. Needs: POSIX sigaction. Leaves: the handlers as they were before. */
#include "nnrt_trainer.h"

#include <signal.h>

enum { INTERRUPT_SIGNALS = 3 };
static const int interrupt_signals[INTERRUPT_SIGNALS] = {SIGINT, SIGTERM, SIGHUP};
static struct sigaction interrupt_before[INTERRUPT_SIGNALS];
static volatile sig_atomic_t interrupt_flag;

static void interrupt_handle(int signal_number) {
    (void)signal_number;
    interrupt_flag = 1;
}

void nnrt_interrupt_begin(void) {
    struct sigaction action = {.sa_handler = interrupt_handle, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    interrupt_flag = 0;
    for (int i = 0; i < INTERRUPT_SIGNALS; i++) {
        sigaction(interrupt_signals[i], NULL, &interrupt_before[i]);
        if (interrupt_before[i].sa_handler != SIG_IGN)
            sigaction(interrupt_signals[i], &action, NULL);
    }
}

void nnrt_interrupt_end(void) {
    for (int i = 0; i < INTERRUPT_SIGNALS; i++)
        sigaction(interrupt_signals[i], &interrupt_before[i], NULL);
    interrupt_flag = 0;
}

bool nnrt_interrupted(void) {
    return interrupt_flag != 0;
}
