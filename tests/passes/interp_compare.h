/* For tests: fills inputs and variables of a module from a seed, runs functions on the interpreter, and compares what
 * two modules compute. */
#ifndef NNC_TESTS_PASSES_INTERP_COMPARE_H
#define NNC_TESTS_PASSES_INTERP_COMPARE_H
#include "ir/interp.h"

enum { TEST_MOST_ARGS = 8 };

typedef struct {
    uint64_t state;
} TestRandom;
uint64_t test_random_word(TestRandom *);
double test_random_number(TestRandom *, double low, double high);
int test_random_below(TestRandom *, int bound);

typedef struct {
    uint64_t seed;
    int64_t batch;
    int class_count;     /* i32 values are below it; 0: below 2 */
    double tolerance;    /* |a - b| <= tolerance * (1 + larger of |a|, |b|); NaN equals NaN */
    bool round_to_float; /* of the interpreter that runs `after` */
} CompareOptions;

/* f32 within -1..1 (optimizer slots, moving statistics and sample weights 0..1), i32 below class_count, bool 0 or 1. */
void test_fill_tensor(Tensor *, TestRandom *, double low, double high, int class_count);
void test_fill_variables(Interp *, const CompareOptions *);
Tensor *test_fill_args(Interp *, const Func *, const CompareOptions *);

/* The function's results 1, 2, ... are the derivatives of result 0 by its `count` arguments, all of them, by central
 * differences. false, and a line of output, at the first element that is not. */
bool test_differences(Interp *, const Func *, Tensor *args, int count, const char *name);

/* Runs every function of `before` and the function of `after` with its name, each on freshly filled variables;
 * compares results and variables by name. false: `why` says what differs first. */
bool test_compare_modules(const Module *before, const Module *after, const CompareOptions *, Text *why);
#endif
