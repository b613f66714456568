/* Statistics of the initializers against Keras' (fixtures/initializers.txt): the record gives the distribution from the
 * fans of the shape, the runtime draws the values; mean, deviation, extremes and fourth moment must agree. */
#include <stdlib.h>
#include "frontend/component.h"
#include "nnrt_init.h"
#include "test.h"

enum { COLUMNS = 10 }; /* mean, std, min, max, m4, each followed by its tolerance */

typedef struct {
    char name[64], arguments[128], shape[64];
    long samples;
    double expected[COLUMNS];
    int rank;
    int64_t dims[NNRT_MAX_RANK], count;
} Row;

static bool parse_row(const char *line, Row *row) {
    int used = 0;
    if (sscanf(line, "%63s %127s %63s %ld%n", row->name, row->arguments, row->shape, &row->samples, &used) != 4)
        return false;
    char *end = (char *)line + used;
    for (int i = 0; i < COLUMNS; i++)
        row->expected[i] = strtod(end, &end);
    row->count = 1;
    row->rank = 0;
    for (char *c = row->shape; *c && row->rank < NNRT_MAX_RANK; c += *c == 'x')
        row->count *= row->dims[row->rank++] = strtol(c, &c, 10);
    return row->count > 0;
}

/* fan_in and fan_out as Keras counts them. */
static void fans(const Row *row, double *in, double *out) {
    double field = 1;
    for (int i = 0; i + 2 < row->rank; i++)
        field *= (double)row->dims[i];
    *in = row->rank == 1 ? (double)row->dims[0] : field * (double)row->dims[row->rank - 2];
    *out = row->rank == 1 ? (double)row->dims[0] : field * (double)row->dims[row->rank - 1];
}

static bool initializer_of(const Row *row, nnrt_init *out) {
    static const nnrt_init_kind kinds[] = {
        [INIT_CONSTANT] = NNRT_INIT_CONSTANT,     [INIT_UNIFORM] = NNRT_INIT_UNIFORM,
        [INIT_NORMAL] = NNRT_INIT_NORMAL,         [INIT_TRUNCATED_NORMAL] = NNRT_INIT_TRUNCATED_NORMAL,
        [INIT_ORTHOGONAL] = NNRT_INIT_ORTHOGONAL, [INIT_IDENTITY] = NNRT_INIT_IDENTITY,
        [INIT_FORGET] = NNRT_INIT_FORGET};
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    const char *arguments = strcmp(row->arguments, "-") == 0 ? "" : row->arguments;
    char *text = arena_format(arena, "model m {\n%s(%s)\n}\n", row->name, arguments);
    SourceFile file = {row->name, text, strlen(text)};
    Ast *ast = ast_parse(arena, interner_new(arena), diag, &file);
    const Component *component = component_find(COMPONENT_INITIALIZER, row->name);
    Args *args = NULL;
    if (ast && component && ast->block_count == 1 && ast->blocks[0].body.count == 1)
        args = args_bind(arena, diag, component, ast->blocks[0].body.entries[0]->value, map_new(arena));
    if (args) {
        double in, out_fan;
        fans(row, &in, &out_fan);
        Init init = component->build.initializer(args, in, out_fan);
        *out = (nnrt_init){kinds[init.kind], init.a, init.b, init.seed};
    }
    arena_free(arena);
    return args != NULL;
}

/* Q's columns, or rows where there are fewer of them, have length gain and are orthogonal. */
static double orthogonality(const Row *row, const float *values, double gain) {
    int64_t columns = row->dims[row->rank - 1], rows = row->count / columns, n = rows < columns ? rows : columns;
    double worst = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double dot = 0;
            for (int64_t k = 0; k < (rows < columns ? columns : rows); k++)
                dot += rows < columns ? (double)values[i * columns + k] * values[j * columns + k]
                                      : (double)values[k * columns + i] * values[k * columns + j];
            worst = fmax(worst, fabs(dot - (i == j ? gain * gain : 0)));
        }
    return worst;
}

typedef struct {
    double sum, squares, fourth, low, high;
    long count;
} Statistics;

static void add(Statistics *s, double value) {
    s->sum += value;
    s->squares += value * value;
    s->fourth += value * value * value * value;
    s->low = s->count && s->low < value ? s->low : value;
    s->high = s->count && s->high > value ? s->high : value;
    s->count++;
}

static void check_row(const Row *row) {
    static const char *const names[] = {"mean", "std", "min", "max", "m4"};
    nnrt_init init;
    bool found = initializer_of(row, &init);
    CHECK(found);
    if (!found)
        return;
    float *values = malloc(sizeof(float) * (size_t)row->count);
    Statistics s = {0};
    for (uint64_t draw = 0; values && s.count < row->samples; draw++) {
        nnrt_init_fill(&init, 1000 + draw, (uint32_t)draw, row->rank, row->dims, values);
        for (int64_t i = 0; i < row->count; i++)
            add(&s, values[i]);
        if (init.kind == NNRT_INIT_ORTHOGONAL && draw < 20)
            CHECK_NEAR(orthogonality(row, values, init.a), 0, 2e-6);
    }
    free(values);
    double mean = s.sum / (double)s.count;
    double got[] = {mean, sqrt(fmax(0, s.squares / (double)s.count - mean * mean)), s.low, s.high,
                    s.fourth / (double)s.count};
    for (int i = 0; i < 5; i++) {
        bool near = fabs(got[i] - row->expected[2 * i]) <= row->expected[2 * i + 1] + 1e-7;
        if (!near)
            printf("%s %s %s: %s is %.6g, Keras has %.6g within %.2g\n", row->name, row->arguments, row->shape,
                   names[i], got[i], row->expected[2 * i], row->expected[2 * i + 1]);
        CHECK(near);
    }
}

int main(void) {
    FILE *file = fopen(NNC_SOURCE_DIR "/tests/reference/fixtures/initializers.txt", "r");
    CHECK(file != NULL);
    if (!file)
        return test_report();
    char line[1024];
    int rows = 0;
    while (fgets(line, sizeof line, file)) {
        Row row;
        if (line[0] == '#')
            continue;
        bool parsed = parse_row(line, &row);
        CHECK(parsed);
        if (parsed)
            check_row(&row);
        rows += parsed;
    }
    fclose(file);
    CHECK(rows > 20);
    return test_report();
}
