/* How many threads the machine really gives: times of stretches in, a number of threads out. */
#include "nnrt_team.h"

/* Seconds. */
static const double team_stretch = 0.025;  /* that are measured together; */
static const double team_settle = 0.006;   /* at least a step, not measured: caches change hands, idle threads spin; */
static const double team_trial = 0.01;     /* of the trial after it; */
static const double team_first_wait = 0.5; /* from a trial that was no better to the next one, */
static const double team_last_wait = 4;    /* at most */
static const double team_longest = 8;      /* a busy machine makes these stretches longer, by this factor at most */

static const double team_gain = 0.9;      /* a number is better whose steps take less than this of the other's time */
static const double team_lost = 0.2;      /* so much less than a processor for each thread is a sign of others' work, */
static const double team_slow = 1.5;      /* and a step that takes longer than the best one by this factor; */
static const double team_very_slow = 2.5; /* by this one it does not wait for the next trial to be due */
static const double team_trial_share = 0.05; /* of the time may go into trials that were no better, */
static const double team_proof_share = 0.01; /* and into the one without a sign */

void nnrt_team_init(nnrt_team *team, int most, double (*clock)(void), double (*processor_clock)(bool thread)) {
    *team = (nnrt_team){.most = most,
                        .threads = most,
                        .clock = most > 1 ? clock : (double (*)(void))0,
                        .processor_clock = processor_clock,
                        .rise_wait = team_first_wait,
                        .fall_wait = team_first_wait,
                        .risen = -team_last_wait};
}

/* ---- decisions */

static double team_least(double a, double b) {
    return a < b ? a : b;
}

static double team_most(double a, double b) {
    return a > b ? a : b;
}

/* Where a machine is busy, a stretch of some milliseconds says by chance alone how much of it was given to the process.
 * What a step costs in the time of processors is sure; and fewer threads get at least as much each as more did. */
static double team_expected(const nnrt_team *team, double pace, double processors) {
    double given = team->given * team->threads / team->before;
    return given > processors && team->threads < team->before ? pace * processors / given : pace;
}

/* The trial is over: the number that was tried stays, or the one before comes back. */
static void team_judge(nnrt_team *team, double pace, double seconds) {
    bool up = team->threads > team->before, better = pace < team_gain * team->pace;
    team->best = better ? pace : team->pace;
    if (!better) {
        double least = 2 * seconds / team_trial_share; /* as much was not measured */
        double *wait = up ? &team->rise_wait : &team->fall_wait;
        *(up ? &team->rise : &team->fall) = team->now + team_most(*wait, least);
        *wait = team_least(2 * *wait, team_last_wait);
        team->threads = team->before;
    } else if (up) {
        team->rise = team->fall = team->risen = team->now;
        team->fall_wait = team_first_wait;
    } else { /* a rise that did not last makes the next one later */
        bool soon = team->now - team->risen < team_last_wait;
        team->rise_wait = soon ? team_least(2 * team->rise_wait, team_last_wait) : team_first_wait;
        team->rise = team->now + team->rise_wait;
        team->fall = team->now;
    }
    team->before = 0;
}

/* Is this pace a sign that fewer threads would do better? */
static bool team_is_held_up(const nnrt_team *team, double pace, double processors) {
    if (pace > team_very_slow * team->best)
        return true;
    return team->now >= team->fall && (pace > team_slow * team->best || processors < team->threads - team_lost);
}

/* Once fewer are tried without a sign, when that is little of the time: others may hold up a processor unseen. */
static bool team_is_unproved(const nnrt_team *team, double pace) {
    return !team->proved && team->now * team_proof_share >= team_most(2 * pace, team_trial);
}

/* As many as there were processors for; where that says nothing, half as many. */
static int team_fewer(const nnrt_team *team, double processors) {
    int given = (int)(processors + 0.25);
    given = given < team->threads ? given : team->threads / 2;
    return given < 1 ? 1 : given;
}

static void team_try(nnrt_team *team, int threads, double pace, double processors) {
    team->before = team->threads;
    team->threads = threads;
    team->pace = pace;
    team->given = processors;
}

bool nnrt_team_decide(nnrt_team *team, int64_t steps, double seconds, double processors) {
    int threads = team->threads;
    double pace = seconds / (double)steps;
    team->now += seconds;
    if (team->before > 0) {
        team_judge(team, team_expected(team, pace, processors), seconds);
        return team->threads != threads;
    }
    team->best = team->best > 0 ? team_least(team->best, pace) : pace;
    if (threads > 1 && (team_is_held_up(team, pace, processors) || team_is_unproved(team, pace))) {
        team->proved = true;
        team_try(team, team_fewer(team, processors), pace, processors);
    } else if (threads < team->most && team->now >= team->rise) {
        team_try(team, (int)team_least(2 * threads, team->most), pace, processors);
    }
    return team->threads != threads;
}

/* ---- times */

/* Seconds that processors have worked for the threads. One thread knows its own: those that have nothing to do may
 * spin. */
static double team_processor_clock(const nnrt_team *team) {
    return team->processor_clock ? team->processor_clock(team->threads == 1) : 0;
}

void nnrt_team_enter(nnrt_team *team) {
    if (!team->clock)
        return;
    team->first = team->done = 0;
    team->since = team->clock();
    team->processor_since = team_processor_clock(team);
}

/* What has been measured since the call, or the stretch, began. */
static void team_add(nnrt_team *team) {
    double now = team->clock(), processors = team_processor_clock(team);
    team->steps += team->done - team->first;
    team->seconds += now - team->since;
    team->processor_seconds += processors - team->processor_since;
    team->first = team->done;
    team->since = now;
    team->processor_since = processors;
}

void nnrt_team_leave(nnrt_team *team) {
    if (team->clock)
        team_add(team);
}

/* Where a machine is busy, a stretch goes on until the threads have had as much of it. */
static bool team_is_long_enough(nnrt_team *team) {
    double length = team->settling ? team_settle : team->before > 0 ? team_trial : team_stretch;
    if (team->seconds + team->clock() - team->since < length)
        return false;
    team_add(team);
    return !team->processor_clock || team->processor_seconds >= length * (team->threads - team_lost) ||
           team->seconds >= team_longest * length;
}

bool nnrt_team_step(nnrt_team *team, int64_t done) {
    if (!team->clock)
        return false;
    team->done = done;
    if (!team_is_long_enough(team))
        return false;
    double seconds = team->seconds;
    double processors = team->processor_clock ? team->processor_seconds / seconds : team->threads;
    bool changed = !team->settling && nnrt_team_decide(team, team->steps, seconds, processors);
    team->settling = changed;
    team->steps = 0;
    team->seconds = team->processor_seconds = 0;
    team->processor_since = team_processor_clock(team);
    return changed;
}
