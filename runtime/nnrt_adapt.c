/* Fitting of preprocessing to raw rows; see nnrt_adapt.h. */
#include "nnrt_adapt.h"
#include "nnrt_error.h"
#include "nnrt_storage.h"

#include <float.h>
#include <stdlib.h>

/* Statistics of `groups` columns, in double. Raw column c belongs to group c % groups (the last axis of the input). */
typedef struct {
    double *mean, *variance, *minimum, *maximum;
} AdaptStatistics;

static void statistics_first_pass(const nnrt_raw_rows *raw, int64_t groups, AdaptStatistics *all) {
    for (int64_t g = 0; g < groups; g++) {
        all->mean[g] = all->variance[g] = 0;
        all->minimum[g] = DBL_MAX;
        all->maximum[g] = -DBL_MAX;
    }
    for (int64_t row = 0; row < raw->rows; row++)
        for (int64_t first = 0; first < raw->columns; first += groups)
            for (int64_t g = 0; g < groups; g++) {
                double value = raw->x[row * raw->stride + first + g];
                all->mean[g] += value;
                all->minimum[g] = value < all->minimum[g] ? value : all->minimum[g];
                all->maximum[g] = value > all->maximum[g] ? value : all->maximum[g];
            }
}

/* Population variance around the mean, in a second pass: no cancellation. */
static void statistics_of(const nnrt_raw_rows *raw, int64_t groups, AdaptStatistics *all) {
    double count = (double)raw->rows * (double)(raw->columns / groups);
    statistics_first_pass(raw, groups, all);
    for (int64_t g = 0; g < groups; g++)
        all->mean[g] /= count;
    for (int64_t row = 0; row < raw->rows; row++)
        for (int64_t first = 0; first < raw->columns; first += groups)
            for (int64_t g = 0; g < groups; g++) {
                double away = raw->x[row * raw->stride + first + g] - all->mean[g];
                all->variance[g] += away * away;
            }
    for (int64_t g = 0; g < groups; g++)
        all->variance[g] /= count;
}

static const double *statistics_pick(const AdaptStatistics *all, nnrt_fit_kind kind) {
    const double *by_kind[] = {
        [NNRT_FIT_MEAN] = all->mean,
        [NNRT_FIT_VARIANCE] = all->variance,
        [NNRT_FIT_MINIMUM] = all->minimum,
        [NNRT_FIT_MAXIMUM] = all->maximum,
    };
    return by_kind[kind];
}

static int adapt_variable(const nnrt_raw_rows *raw, const nnrt_variable *variable, void *model) {
    int64_t groups = nnrt_variable_elements(variable);
    if (groups < 1 || raw->columns % groups != 0)
        return nnrt_error(NNRT_ERROR_DATA, "%s has %lld values, which do not fit %lld columns", variable->name,
                          (long long)groups, (long long)raw->columns);
    double *memory = malloc(4 * (size_t)groups * sizeof(double));
    float *values = malloc((size_t)groups * sizeof(float));
    if (memory && values) {
        AdaptStatistics all = {memory, memory + groups, memory + 2 * groups, memory + 3 * groups};
        statistics_of(raw, groups, &all);
        for (int64_t g = 0; g < groups; g++)
            values[g] = (float)statistics_pick(&all, variable->fit)[g];
        nnrt_storage_scatter(variable, values, (char *)model + variable->offset);
    }
    int code = memory && values ? NNRT_OK : nnrt_error(NNRT_ERROR_MEMORY, "no memory to fit %s", variable->name);
    free(memory);
    free(values);
    return code;
}

int nnrt_adapt(const nnrt_program *program, void *model, const nnrt_raw_rows *raw) {
    for (int i = 0; i < program->variable_count; i++) {
        const nnrt_variable *variable = &program->variables[i];
        if (variable->role != NNRT_PREPROCESS || variable->fit == NNRT_FIT_NONE)
            continue;
        int code = adapt_variable(raw, variable, model);
        if (code != NNRT_OK)
            return code;
    }
    return NNRT_OK;
}
