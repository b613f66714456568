/* nnrt_init: moments and bounds of each kind, orthogonality, and the same bits everywhere. */
#include "nnrt_init.h"
#include "nnrt_random.h"
#include "test.h"
#include <stdlib.h>

static float values[1 << 18];

static void moments(int64_t count, double *mean, double *deviation, double *least, double *most) {
    double sum = 0, squares = 0;
    *least = INFINITY;
    *most = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
        *least = fmin(*least, (double)values[i]);
        *most = fmax(*most, (double)values[i]);
    }
    *mean = sum / (double)count;
    *deviation = sqrt(squares / (double)count - *mean * *mean);
}

static void check_kind(nnrt_init_kind kind, double a, double b, double mean, double deviation, double least,
                       double most) {
    nnrt_init init = {kind, a, b, -1};
    double m, d, low, high;
    nnrt_init_fill(&init, 11, 5, 2, (int64_t[]){512, 512}, values);
    moments(512 * 512, &m, &d, &low, &high);
    CHECK_NEAR(m, mean, 0.01 * (deviation + 1e-9));
    CHECK_NEAR(d, deviation, 0.01 * deviation);
    CHECK(low >= least && high <= most);
}

static void check_orthogonal(int64_t rows, int64_t columns, double gain) {
    nnrt_init init = {NNRT_INIT_ORTHOGONAL, gain, 0, -1};
    int64_t small = rows < columns ? rows : columns, large = rows + columns - small;
    double worst = 0, first = 0, projected = 0;
    nnrt_init_fill(&init, 3, 8, 2, (int64_t[]){rows, columns}, values);
    for (int64_t a = 0; a < small; a++) {
        for (int64_t b = a; b < small; b++) {
            double dot = 0;
            for (int64_t i = 0; i < large; i++)
                dot += rows < columns ? (double)values[a * columns + i] * (double)values[b * columns + i]
                                      : (double)values[i * columns + a] * (double)values[i * columns + b];
            worst = fmax(worst, fabs(dot - (a == b ? gain * gain : 0)));
        }
    }
    CHECK_NEAR(worst, 0, 2e-6 * gain * gain);
    /* R's diagonal is positive: the first column is the drawn one, made shorter but not turned around. */
    for (int64_t i = 0; i < large; i++) {
        double drawn = (double)nnrt_normal(3, 8, 0, (uint64_t)(i * small));
        first += drawn * drawn;
        projected += drawn * (double)values[rows < columns ? i : i * columns];
    }
    CHECK_NEAR(projected, gain * sqrt(first), 1e-4 * gain * sqrt(first));
}

static uint64_t hash_values(int64_t count) {
    uint64_t hash = 14695981039346656037u;
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], 4);
        hash = (hash ^ bits) * 1099511628211u;
    }
    return hash;
}

static void check_bits(void) {
    static const struct {
        nnrt_init init;
        uint64_t hash;
    } cases[] = {
        {{NNRT_INIT_UNIFORM, -0.05, 0.05, -1}, 0x37508730a079b0bu},
        {{NNRT_INIT_NORMAL, 0, 0.05, -1}, 0x3fbfd464f197ee9au},
        {{NNRT_INIT_TRUNCATED_NORMAL, 0, 0.05, -1}, 0x6bed25a925912007u},
        {{NNRT_INIT_ORTHOGONAL, 1, 0, -1}, 0xa358ba39641fce28u},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t hash;
        nnrt_init_fill(&cases[i].init, 1234, 2, 2, (int64_t[]){100, 64}, values);
        hash = hash_values(6400);
        if (hash != cases[i].hash)
            printf("case %zu: 0x%llx\n", i, (unsigned long long)hash);
        CHECK(hash == cases[i].hash);
    }
}

static void check_streams(void) {
    nnrt_init init = {NNRT_INIT_NORMAL, 0, 1, -1}, seeded = {NNRT_INIT_NORMAL, 0, 1, 77};
    float a[4], b[4];
    nnrt_init_fill(&init, 1, 0, 1, (int64_t[]){4}, a);
    nnrt_init_fill(&init, 1, 1, 1, (int64_t[]){4}, b);
    CHECK(memcmp(a, b, sizeof a) != 0); /* another variable */
    nnrt_init_fill(&init, 2, 0, 1, (int64_t[]){4}, b);
    CHECK(memcmp(a, b, sizeof a) != 0); /* another seed */
    nnrt_init_fill(&seeded, 1, 0, 1, (int64_t[]){4}, a);
    nnrt_init_fill(&seeded, 2, 0, 1, (int64_t[]){4}, b);
    CHECK(memcmp(a, b, sizeof a) == 0); /* its own seed rules */
    init = (nnrt_init){NNRT_INIT_CONSTANT, 0.25, 0, -1};
    nnrt_init_fill(&init, 1, 0, 0, NULL, a);
    CHECK(a[0] == 0.25f);
    init = (nnrt_init){NNRT_INIT_FORGET, 0.25, 1, -1}; /* the bias of an LSTM with one unit */
    nnrt_init_fill(&init, 1, 0, 1, (int64_t[]){4}, a);
    CHECK(a[0] == 0.25f && a[1] == 1 && a[2] == 0.25f && a[3] == 0.25f);
    init = (nnrt_init){NNRT_INIT_IDENTITY, 2, 0, -1};
    nnrt_init_fill(&init, 1, 0, 2, (int64_t[]){2, 2}, a);
    CHECK(a[0] == 2 && a[1] == 0 && a[2] == 0 && a[3] == 2);
}

int main(void) {
    check_kind(NNRT_INIT_UNIFORM, -2, 3, 0.5, 5 / sqrt(12), -2, nextafter(3, 0));
    check_kind(NNRT_INIT_NORMAL, 1, 2, 1, 2, -20, 20);
    check_kind(NNRT_INIT_TRUNCATED_NORMAL, 1, 2, 1, 2 * 0.87962566103423978, -3.0000001, 5.0000001);
    check_kind(NNRT_INIT_CONSTANT, 0.5, 0, 0.5, 0, 0.5, 0.5);
    check_orthogonal(64, 64, 1);
    check_orthogonal(128, 512, 1);
    check_orthogonal(200, 37, 1.5);
    check_orthogonal(1, 50, 1);
    check_orthogonal(1, 1, 1);
    check_streams();
    check_bits();
    return test_report();
}
