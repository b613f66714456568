/* Initial values: constant, uniform, normal, truncated normal, orthogonal, identity.
 * Element i is drawn at index i of the variable's stream; a redraw takes the next step of the same index. */
#include "nnrt_init.h"
#include "nnrt_random.h"

typedef struct {
    uint64_t seed;
    uint32_t stream;
} Source;

static float draw_uniform(Source source, uint64_t i, double a, double b) {
    float value = (float)fma(b - a, (double)nnrt_uniform(source.seed, source.stream, 0, i), a);
    return value >= (float)b && a < b ? nextafterf((float)b, (float)a) : value; /* rounding may have reached b */
}

static float draw_truncated(Source source, uint64_t i, double mean, double deviation) {
    uint32_t attempt = 0;
    float value;
    do
        value = nnrt_normal(source.seed, source.stream, attempt++, i);
    while (!(fabsf(value) <= 2.0f));
    return (float)fma(deviation, (double)value, mean);
}

/* A tall matrix in place: element (i, k), i < height, k < width <= height, at i * down + k * across. */
typedef struct {
    float *values;
    int64_t height, width, down, across;
} Tall;

/* Sets column j to length 1. A column that is nothing but rounding error cannot occur with random values. */
static void normalise(const Tall *m, int64_t j) {
    double sum = 0.0, scale;
    for (int64_t i = 0; i < m->height; i++) {
        double v = m->values[i * m->down + j * m->across];
        sum += v * v; /* a product of two floats is exact in double: no contraction can change it */
    }
    scale = sum > 0.0 ? 1.0 / sqrt(sum) : 0.0;
    for (int64_t i = 0; i < m->height; i++)
        m->values[i * m->down + j * m->across] *= (float)scale;
}

/* Takes the part along column j out of columns [first, last), at most 64. */
static void project(const Tall *m, int64_t j, int64_t first, int64_t last) {
    double dot[64] = {0};
    for (int64_t i = 0; i < m->height; i++) {
        double q = m->values[i * m->down + j * m->across];
        const float *row = m->values + i * m->down;
        for (int64_t k = first; k < last; k++)
            dot[k - first] += q * (double)row[k * m->across];
    }
    for (int64_t k = first; k < last; k++)
        dot[k - first] = (float)dot[k - first]; /* so that the next product is exact too */
    for (int64_t i = 0; i < m->height; i++) {
        double q = m->values[i * m->down + j * m->across];
        float *row = m->values + i * m->down;
        for (int64_t k = first; k < last; k++)
            row[k * m->across] = (float)((double)row[k * m->across] - q * dot[k - first]);
    }
}

/* Keras: Q of the QR decomposition with a positive diagonal of R, which is what Gram and Schmidt's method gives. The
 * second round takes out what rounding left in the first. */
static void orthogonalise(const Tall *m, double gain) {
    for (int round = 0; round < 2; round++) {
        for (int64_t j = 0; j < m->width; j++) {
            normalise(m, j);
            for (int64_t first = j + 1; first < m->width; first += 64)
                project(m, j, first, first + 64 < m->width ? first + 64 : m->width);
        }
    }
    for (int64_t i = 0; i < m->height * m->width; i++)
        m->values[i] = (float)((double)m->values[i] * gain);
}

static void fill_orthogonal(Source source, int64_t rows, int64_t columns, double gain, float *values) {
    Tall tall = {values, rows, columns, columns, 1};
    if (rows < columns)
        tall = (Tall){values, columns, rows, 1, columns};
    for (int64_t i = 0; i < tall.height; i++)
        for (int64_t k = 0; k < tall.width; k++)
            values[i * tall.down + k * tall.across] =
                nnrt_normal(source.seed, source.stream, 0, (uint64_t)(i * tall.width + k));
    orthogonalise(&tall, gain);
}

void nnrt_init_fill(const nnrt_init *init, uint64_t seed, uint32_t stream, int rank, const int64_t *dims,
                    float *values) {
    Source source = {init->seed == -1 ? seed : (uint64_t)init->seed, stream};
    int64_t rows = 1, columns = rank > 0 ? dims[rank - 1] : 1, count;
    for (int i = 0; i < rank - 1; i++)
        rows *= dims[i];
    count = rows * columns;
    if (init->kind == NNRT_INIT_ORTHOGONAL) {
        fill_orthogonal(source, rows, columns, init->a, values);
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        switch (init->kind) {
        case NNRT_INIT_UNIFORM:
            values[i] = draw_uniform(source, (uint64_t)i, init->a, init->b);
            break;
        case NNRT_INIT_NORMAL:
            values[i] = (float)fma(init->b, (double)nnrt_normal(source.seed, source.stream, 0, (uint64_t)i), init->a);
            break;
        case NNRT_INIT_TRUNCATED_NORMAL:
            values[i] = draw_truncated(source, (uint64_t)i, init->a, init->b);
            break;
        case NNRT_INIT_IDENTITY:
            values[i] = i / columns == i % columns ? (float)init->a : 0.0f;
            break;
        case NNRT_INIT_CONSTANT:
        case NNRT_INIT_ORTHOGONAL:
            values[i] = (float)init->a;
            break;
        case NNRT_INIT_FORGET:
            values[i] = (float)(i >= count / 4 && i < count / 2 ? init->b : init->a);
            break;
        }
    }
}
