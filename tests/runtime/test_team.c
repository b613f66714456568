/* The number of threads on machines of the test's making: what a stretch takes is given, what is decided is checked. */
#include "nnrt_team.h"
#include "test.h"

/* A machine with some processors, of which others take a part. Threads that wait for one that does not run make each
 * other slow. */
typedef struct {
    int processors;
    double others;   /* processors that others keep busy */
    double parallel; /* part of a step that threads share */
    double storm;    /* how much slower steps are if threads must wait for each other */
    double noise;    /* +- this part of each time */
    bool blind;      /* the time of processors is not known */
    unsigned state;
} Machine;

typedef struct {
    double seconds, at_most, steps; /* all; with as many threads as pay, not in a trial */
    int trials, changes;            /* changes: decisions for another number, trials left out */
    int wrong;                      /* decisions that no machine asks for */
} Course;

static const double step_seconds = 1e-4; /* with one thread */

static double draw(Machine *machine) {
    machine->state = machine->state * 1664525u + 1013904223u;
    return (double)(machine->state >> 8) / (1 << 24);
}

static double given(const Machine *machine, int threads) {
    double left = machine->processors - machine->others;
    left = left < machine->processors / 2.0 ? machine->processors / 2.0 : left; /* others get no more than their half */
    return threads < left ? threads : left;
}

static double pace(Machine *machine, int threads) {
    double work = step_seconds * (1 - machine->parallel + machine->parallel / threads);
    if (given(machine, threads) < threads)
        work *= machine->storm;
    return work * (1 + machine->noise * (2 * draw(machine) - 1));
}

/* One stretch, and the decision after it. */
static void stretch(nnrt_team *team, Machine *machine, Course *course) {
    static int kept;
    int threads = team->threads, before = team->before;
    double one = pace(machine, threads), length = before > 0 ? 0.01 : 0.025;
    int64_t steps = (int64_t)(length / one) + 1;
    double seconds = (double)steps * one;
    kept = before > 0 ? kept : threads;
    nnrt_team_decide(team, steps, seconds, machine->blind ? threads : given(machine, threads));
    course->trials += before > 0;
    course->changes += before > 0 && team->threads != kept;
    course->seconds += seconds;
    course->steps += (double)steps;
    if (before == 0 && threads == team->most)
        course->at_most += seconds;
    course->wrong += team->threads < 1 || team->threads > team->most || team->before == team->threads;
}

static Course run(nnrt_team *team, Machine *machine, double seconds) {
    Course course = {0};
    while (course.seconds < seconds)
        stretch(team, machine, &course);
    CHECK(course.wrong == 0);
    return course;
}

static nnrt_team team_of(int most) {
    nnrt_team team;
    nnrt_team_init(&team, most, NULL, NULL);
    return team;
}

static void test_quiet(void) {
    for (int most = 2; most <= 64; most *= 2) {
        nnrt_team team = team_of(most);
        Machine machine = {.processors = 64, .parallel = 0.9, .storm = 3};
        Course course = run(&team, &machine, 120);
        CHECK(course.changes == 0 && course.trials == 1 && team.threads == most);
        CHECK(course.at_most > 0.999 * course.seconds);
    }
}

/* With noise a stretch may look bad; what is tried is not better, and is tried more and more seldom. */
static void test_noise(void) {
    for (unsigned seed = 0; seed < 20; seed++) {
        nnrt_team team = team_of(2);
        Machine machine = {.processors = 2, .parallel = 0.9, .storm = 3, .noise = 0.3, .state = seed};
        Course course = run(&team, &machine, 600);
        CHECK(course.changes == 0 && course.trials < 600 / 4 + 10);
        CHECK(course.at_most > 0.99 * course.seconds);
    }
}

/* Two threads hardly gain, so either number is right, but they shall not take turns. */
static void test_equal(void) {
    for (unsigned seed = 0; seed < 20; seed++) {
        nnrt_team team = team_of(2);
        Machine machine = {.processors = 2, .parallel = 0.1, .storm = 1, .noise = 0.3, .state = seed};
        Course course = run(&team, &machine, 600);
        CHECK(course.changes < 600 / 4);
        CHECK(course.seconds / course.steps < 1.02 * step_seconds);
    }
}

static void test_loaded(void) {
    static const struct {
        int most, processors, becomes;
        double others;
    } cases[] = {{2, 2, 1, 1}, {2, 2, 1, 0.5}, {8, 2, 2, 0}, {4, 2, 1, 0.6}, {64, 64, 63, 0.5}, {64, 64, 32, 40}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nnrt_team team = team_of(cases[i].most);
        Machine machine = {.processors = cases[i].processors, .others = cases[i].others, .parallel = 0.95, .storm = 8};
        Course course = {0};
        stretch(&team, &machine, &course);
        stretch(&team, &machine, &course);
        CHECK(team.threads == cases[i].becomes && team.before == 0);
        double alone = step_seconds * (0.05 + 0.95 / cases[i].becomes);
        course = run(&team, &machine, 60);
        CHECK(course.seconds / course.steps < 1.05 * alone);
    }
}

/* Each wait for the next rise is longer, to a limit: little time is lost to trials. */
static void test_loaded_with_noise(void) {
    for (unsigned seed = 0; seed < 20; seed++) {
        nnrt_team team = team_of(2);
        Machine machine = {.processors = 2, .others = 1, .parallel = 0.9, .storm = 20, .noise = 0.3, .state = seed};
        Course course = run(&team, &machine, 60);
        CHECK(course.seconds / course.steps < 1.1 * step_seconds);
        CHECK(course.changes == 1);
    }
}

static void test_load_that_comes_and_goes(bool blind) {
    nnrt_team team = team_of(4);
    Machine machine = {.processors = 4, .parallel = 0.95, .storm = 10, .blind = blind};
    for (int times = 0; times < 5; times++) {
        machine.others = 0;
        run(&team, &machine, 20);
        CHECK(team.threads == 4);
        machine.others = 0.75;
        Course course = {0};
        stretch(&team, &machine, &course);
        stretch(&team, &machine, &course);
        CHECK(team.threads < 4 && team.before == 0);
        run(&team, &machine, 20);
        CHECK(team.threads < 4 || team.before > 0);
        machine.others = 0;
        course = run(&team, &machine, 5);
        CHECK(team.threads == 4 && course.at_most > 0);
    }
}

/* More processors work for a process whose threads are more, where the scheduler is fair to threads. */
static void test_share_of_a_thread(void) {
    nnrt_team team = team_of(2);
    CHECK(nnrt_team_decide(&team, 100, 0.1, 1.0) && team.threads == 1);
    /* By chance a trial got a tenth of a processor. A step takes 0.4 ms of one, of which a thread gets half: 0.8 ms. */
    CHECK(!nnrt_team_decide(&team, 10, 0.04, 0.1) && team.threads == 1 && team.before == 0);
    team = team_of(2);
    CHECK(nnrt_team_decide(&team, 100, 0.1, 1.0) && team.threads == 1);
    CHECK(nnrt_team_decide(&team, 10, 0.055, 0.1) && team.threads == 2 && team.before == 0);
}

static void test_the_same_again(void) {
    nnrt_team teams[2] = {team_of(8), team_of(8)};
    Machine machines[2] = {{.processors = 8, .others = 1, .parallel = 0.9, .storm = 3, .noise = 0.3}};
    int differ = 0, most = 0;
    machines[1] = machines[0];
    for (int i = 0; i < 2000; i++) {
        Course course = {0};
        for (int k = 0; k < 2; k++) {
            machines[k].others = i / 300 % 2;
            stretch(&teams[k], &machines[k], &course);
        }
        differ += teams[0].threads != teams[1].threads || teams[0].before != teams[1].before;
        most += teams[0].threads == 8;
    }
    CHECK(differ == 0 && most > 0 && most < 2000);
}

/* ---- times */

static double now, worked, rate = 2; /* rate: processors that work */

static double clock_of_test(void) {
    return now;
}

static double processor_clock_of_test(bool thread) {
    return thread ? worked / rate : worked;
}

static bool pass(nnrt_team *team, int64_t done, double seconds) {
    now += seconds;
    worked += rate * seconds;
    return nnrt_team_step(team, done);
}

/* A stretch goes over calls; what passes between them does not count. */
static void test_times(void) {
    nnrt_team team;
    nnrt_team_init(&team, 2, clock_of_test, processor_clock_of_test);
    rate = 1;
    int calls = 0;
    for (bool changed = false; !changed && calls < 100; calls++) {
        now += 1000;
        nnrt_team_enter(&team);
        for (int64_t done = 1; done <= 5 && !changed; done++)
            changed = pass(&team, done, 0.001);
        nnrt_team_leave(&team);
    }
    CHECK(calls >= 5 && calls <= 10); /* 25 ms for each of two threads, of one processor */
    CHECK(team.threads == 1 && team.before == 2);
    CHECK_NEAR(team.pace, 0.001, 1e-9);
    CHECK_NEAR(team.given, 1, 1e-9);
    CHECK_NEAR(team.now, 0.045, 0.006);
}

static void test_fixed(void) {
    nnrt_team fixed, single;
    nnrt_team_init(&fixed, 2, NULL, NULL);
    nnrt_team_init(&single, 1, clock_of_test, processor_clock_of_test);
    bool changed = false;
    rate = 0.01;
    nnrt_team_enter(&fixed);
    nnrt_team_enter(&single);
    for (int64_t done = 1; done <= 1000; done++)
        changed = pass(&fixed, done, 0.01) || nnrt_team_step(&single, done) || changed;
    nnrt_team_leave(&fixed);
    nnrt_team_leave(&single);
    CHECK(!changed && fixed.threads == 2 && single.threads == 1);
}

int main(void) {
    test_quiet();
    test_noise();
    test_equal();
    test_loaded();
    test_loaded_with_noise();
    test_load_that_comes_and_goes(false);
    test_load_that_comes_and_goes(true);
    test_share_of_a_thread();
    test_the_same_again();
    test_times();
    test_fixed();
    return test_report();
}
