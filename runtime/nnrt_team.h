/* The number of threads that work off steps together: at most as many as pay, and fewer while the machine is busy with
 * something else. Threads that meet at barriers all wait for the one that does not run: two threads on a core and a
 * half are slower than one. The bits of a step do not depend on the number, so it may change between any two steps.
 *
 *     nnrt_team_init(&team, 8, clock, processor_clock);
 *     for each call that works off steps with team.threads threads:
 *         nnrt_team_enter(&team);
 *         between its steps: if (nnrt_team_step(&team, steps_done)) end the call: team.threads has changed
 *         nnrt_team_leave(&team);
 *
 * Measured are stretches of steps. One that takes clearly longer than the best so far, or in which the process did not
 * get a processor for each thread, is a sign: the next, short stretch tries fewer threads, and what is faster stays.
 * More threads are tried again after a while, and after longer and longer whiles if that was no better. */
#ifndef NNRT_TEAM_H
#define NNRT_TEAM_H
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a function that is called between steps returns to end the call, where nnrt_team_step says so: no error. */
enum { NNRT_TEAM_CHANGED = -1 };

typedef struct {
    int most;    /* threads that pay */
    int threads; /* those of the next steps */
    /* Seconds that have passed, and that processors have worked for this process or this thread (NULL: not known). */
    double (*clock)(void), (*processor_clock)(bool thread);
    /* The stretch under way: what earlier calls have added; and where this call, or the stretch within it, began. */
    int64_t steps, first, done;
    double seconds, processor_seconds, since, processor_since;
    bool settling; /* the number has just changed: not measured yet */
    /* What has been found out; times are sums of stretches. */
    double now;
    int before;        /* in a trial the number that it is compared with; else 0 */
    double pace;       /* of a trial: seconds of a step with that number, */
    double given;      /* and how many processors worked then */
    double best;       /* least seconds of a step with this number; 0: not known */
    bool proved;       /* fewer threads have been tried */
    double rise, fall; /* when more, when fewer may be tried */
    double rise_wait, fall_wait;
    double risen; /* when the number last rose */
} nnrt_team;

/* `most` threads; without a clock they stay as many. */
void nnrt_team_init(nnrt_team *team, int most, double (*clock)(void), double (*processor_clock)(bool thread));

void nnrt_team_enter(nnrt_team *team);
/* `done`: steps since the call began. True: the number of threads has changed. */
bool nnrt_team_step(nnrt_team *team, int64_t done);
void nnrt_team_leave(nnrt_team *team);

/* The decision alone: a stretch has taken `seconds`, in which `processors` worked on average. True: another number. */
bool nnrt_team_decide(nnrt_team *team, int64_t steps, double seconds, double processors);

#ifdef __cplusplus
}
#endif
#endif
