/* For tests: one Keras fixture (README.md), its program built by the front end, and the run that every executor of
 * programs repeats: predict, evaluate, five steps. */
#ifndef NNC_TESTS_FIXTURE_H
#define NNC_TESTS_FIXTURE_H
#include "component_harness.h"
#include "nnrt_safetensors.h"

typedef struct {
    const char *name;
    double tolerance; /* of the largest value of a tensor */
    nnrt_safetensors file;
    char *text;
    Compiled compiled;
    Program *program;
    Func *forward, *train, *evaluate;
    const nnrt_tensor *x, *y, *weight;
    int64_t rows;
    bool training; /* not a case for inference only */
    double worst;
    const char *worst_tensor;
    int wrong;
} Fixture;

/* false: the fixture cannot be read or built; says why. fixture_close in both cases. */
bool fixture_open(Fixture *, const char *name, double tolerance);
/* Says what the diagnostics are; prints the worst deviation if NNC_TEST_VERBOSE is set. */
void fixture_close(Fixture *);
/* All fixtures, or those whose names contain `part`; the number of them. */
int fixture_for_each(const char *part, void (*check)(const char *name));

void fixture_fail(Fixture *, const char *what, const char *tensor);
/* "gradient/dense/kernel" */
const char *fixture_joined(Fixture *, const char *prefix, const char *name);
/* Elements of a stored tensor, and one of them; elements of a variable. */
int64_t fixture_count(const nnrt_tensor *);
double fixture_value(const nnrt_tensor *, int64_t i);
int64_t fixture_variable_count(const Variable *);
/* Rows [first, first + rows) of a tensor with the fixture's rows; in the arena of the program. */
double *fixture_rows(Fixture *, const nnrt_tensor *, int64_t first, int64_t rows);
/* Compares one tensor of the fixture, by name. */
void fixture_compare(Fixture *, const char *tensor, const double *got, int64_t count);

/* Rows [first, first + rows) of the fixture's data. */
typedef struct {
    const double *x, *y, *weight; /* row-major; weight: class weights in it, if for training */
    int64_t rows;
} FixtureBatch;
FixtureBatch fixture_batch(Fixture *, int64_t first, bool training);

/* What runs the program. `variables`: their values by Variable.id, read and changed by each run. */
typedef struct FixtureRunner {
    double **variables;
    /* results[i]: values of result i of the function; false: it cannot be run, and said why */
    bool (*run)(struct FixtureRunner *, Fixture *, const Func *, const FixtureBatch *, double **results);
    void *state;
} FixtureRunner;
/* Weights as in the fixture, optimizer state as it begins. */
void fixture_start(Fixture *, double **variables);
/* Predicts, evaluates, and for training makes all steps; compares everything that Keras wrote down. */
void fixture_check(Fixture *, FixtureRunner *);
#endif
