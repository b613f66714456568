/* nnrt_random.h: the published vectors of Philox4x32-10, the contract of counters and keys, moments, permutations;
 * nnrt_barrier.h: shares and a barrier under threads. */
#include "nnrt_barrier.h"
#include "nnrt_random.h"
#include "test.h"
#include <pthread.h>
#include <stdlib.h>

static void check_vector(const uint32_t in[6], const uint32_t expected[4]) {
    uint32_t out[4];
    nnrt_philox(in, in + 4, out);
    CHECK(memcmp(out, expected, sizeof out) == 0);
}

/* From the kat_vectors file of Random123. */
static void check_known_answers(void) {
    check_vector((uint32_t[]){0, 0, 0, 0, 0, 0}, (uint32_t[]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    check_vector((uint32_t[]){~0u, ~0u, ~0u, ~0u, ~0u, ~0u},
                 (uint32_t[]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    check_vector((uint32_t[]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0},
                 (uint32_t[]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

/* The words by hand, from the contract. */
static void check_contract(void) {
    uint64_t seed = 0x0123456789ABCDEFu, index = 0x500000007u;
    uint32_t counter[4] = {(uint32_t)(index / 4), (uint32_t)(index / 4 >> 32), 9, 0};
    uint32_t key[2] = {0x89ABCDEFu, 0x01234567u ^ 42u}, out[4];
    double radius, angle;
    nnrt_philox(counter, key, out);
    CHECK(index % 4 == 3 && counter[1] == 1);
    for (int i = 0; i < 4; i++) {
        CHECK(nnrt_random_word(seed, 42, 9, index - 3 + (uint64_t)i) == out[i]);
        CHECK(nnrt_uniform(seed, 42, 9, index - 3 + (uint64_t)i) == (float)(out[i] >> 8) / 16777216.0f);
    }
    radius = sqrt(-2.0 * log(((out[2] >> 8) + 1.0) / 16777216.0));
    angle = 2.0 * 3.14159265358979323846 * ((out[3] >> 8) / 16777216.0);
    CHECK_NEAR(nnrt_normal(seed, 42, 9, index - 1), radius * cos(angle), 3e-7);
    CHECK_NEAR(nnrt_normal(seed, 42, 9, index), radius * sin(angle), 3e-7);
    CHECK(nnrt_uniform_of_word(~0u) < 1.0f && nnrt_uniform_of_word(255u) == 0.0f);
}

/* Sixteen or 64 at once are the single ones. */
static void check_sixteen(void) {
    static const uint64_t groups[] = {0, 1, 77, 0x3FFFFFFFu, 0x40000000u, 0x123456789ABu};
    for (int g = 0; g < 6; g++) {
        float out[16], more[64];
        int bad = 0;
        nnrt_uniform_16(0xFEDCBA9876543210u, 3, 4, groups[g], out);
        nnrt_uniform_64(0xFEDCBA9876543210u, 3, 4, groups[g], more);
        for (uint64_t i = 0; i < 64; i++) {
            float single = nnrt_uniform(0xFEDCBA9876543210u, 3, 4, groups[g] * 16 + i);
            bad += (i < 16 && out[i] != single) || more[i] != single;
        }
        CHECK(bad == 0);
    }
}

/* The functions in double that the normal numbers are made of: nearly all of their last bits are right. */
static void check_functions(void) {
    double worst_log = 0, worst_turn = 0;
    for (uint32_t m = 1; m <= 1u << 24; m += 1 + m / 5000) {
        double truth = log(m / 16777216.0), turn = 2 * 3.14159265358979323846 * m / 16777216.0;
        worst_log = fmax(worst_log, truth == 0 ? fabs(nnrt_random_log(m)) : fabs(nnrt_random_log(m) / truth - 1.0));
        worst_turn = fmax(worst_turn, fabs(nnrt_random_turn(m & 0xFFFFFF, 0) - cos(turn)));
        worst_turn = fmax(worst_turn, fabs(nnrt_random_turn(m & 0xFFFFFF, 1) - sin(turn)));
    }
    CHECK_NEAR(worst_log, 0, 1e-15);
    CHECK_NEAR(worst_turn, 0, 2e-15);
    CHECK(nnrt_random_log(1u << 24) == 0.0);
    CHECK(nnrt_random_turn(0, 0) == 1.0 && nnrt_random_turn(0, 1) == 0.0);
    CHECK(nnrt_random_turn(1u << 22, 1) == 1.0 && nnrt_random_turn(1u << 23, 0) == -1.0);
}

static void check_moments(void) {
    enum { COUNT = 1 << 18 };
    double sum = 0, squares = 0, fourth = 0, uniform = 0, product = 0, before = 0;
    int buckets[16] = {0};
    double chi = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        double z = (double)nnrt_normal(7, 3, 1, i), u = (double)nnrt_uniform(7, 4, 1, i);
        sum += z;
        squares += z * z;
        fourth += z * z * z * z;
        uniform += u;
        buckets[(int)(u * 16)]++;
        product += z * before;
        before = z;
    }
    for (int i = 0; i < 16; i++)
        chi += (buckets[i] - COUNT / 16.0) * (buckets[i] - COUNT / 16.0) / (COUNT / 16.0);
    CHECK_NEAR(sum / COUNT, 0, 0.008);
    CHECK_NEAR(squares / COUNT, 1, 0.012);
    CHECK_NEAR(fourth / COUNT, 3, 0.08);
    CHECK_NEAR(product / COUNT, 0, 0.008);
    CHECK_NEAR(uniform / COUNT, 0.5, 0.003);
    CHECK(chi < 37.7); /* 15 degrees of freedom, 0.1 % */
}

static void check_permutation(void) {
    enum { N = 1000 };
    int32_t order[N], again[N], other[N], fixed[8];
    int seen[N] = {0}, differs = 0, counts[24] = {0};
    double chi = 0;
    nnrt_permutation(5, 2, order, N);
    nnrt_permutation(5, 2, again, N);
    nnrt_permutation(5, 3, other, N);
    CHECK(memcmp(order, again, sizeof order) == 0);
    for (int i = 0; i < N; i++) {
        seen[order[i]]++;
        differs += order[i] != other[i];
    }
    for (int i = 0; i < N; i++)
        CHECK(seen[i] == 1);
    CHECK(differs > N - 20);
    for (int epoch = 0; epoch < 24000; epoch++) { /* each of the 24 orders of four equally often */
        int32_t p[4];
        int code = 0;
        nnrt_permutation(1, epoch, p, 4);
        for (int i = 0; i < 4; i++) {
            int smaller = 0;
            for (int k = i + 1; k < 4; k++)
                smaller += p[k] < p[i];
            code = code * (4 - i) + smaller;
        }
        counts[code]++;
    }
    for (int i = 0; i < 24; i++)
        chi += (counts[i] - 1000.0) * (counts[i] - 1000.0) / 1000.0;
    CHECK(chi < 49.7); /* 23 degrees of freedom, 0.1 % */
    nnrt_permutation(1, 0, fixed, 0);
    nnrt_permutation(1, 0, fixed, 1);
    CHECK(fixed[0] == 0);
    nnrt_permutation(1, 0, fixed, 8);
    CHECK(memcmp(fixed, (int32_t[]){5, 2, 6, 0, 4, 3, 7, 1}, sizeof fixed) == 0); /* on every machine */
}

enum { THREADS = 3, ROUNDS = 2000 };
static nnrt_barrier barrier;
static int slots[THREADS], mistakes[THREADS];

static void *run_thread(void *argument) {
    int thread = (int)(intptr_t)argument;
    for (int round = 1; round <= ROUNDS; round++) {
        slots[thread] = round;
        nnrt_barrier_wait(&barrier, thread, THREADS);
        for (int i = 0; i < THREADS; i++)
            mistakes[thread] += slots[i] != round;
        nnrt_barrier_wait(&barrier, thread, THREADS);
    }
    return NULL;
}

static void check_threads(void) {
    pthread_t threads[THREADS];
    nnrt_barrier_init(&barrier, THREADS);
    for (int i = 0; i < THREADS; i++) /* the epochs wrap around within the test */
        atomic_init(&barrier.flags[i].epoch, 0u - ROUNDS);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, run_thread, (void *)(intptr_t)i) == 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(mistakes[i] == 0);
    }
    for (int64_t total = 0; total < 40; total++) {
        for (int count = 1; count <= 9; count++) {
            int64_t expected = 0;
            for (int i = 0; i < count; i++) {
                int64_t first = nnrt_share_start(total, i, count), last = nnrt_share_start(total, i + 1, count);
                CHECK(first == expected && last - first >= total / count && last - first <= total / count + 1);
                expected = last;
            }
            CHECK(expected == total);
        }
    }
}

int main(void) {
    check_known_answers();
    check_contract();
    check_sixteen();
    check_functions();
    check_moments();
    check_permutation();
    check_threads();
    return test_report();
}
