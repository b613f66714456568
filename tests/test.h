/* The tests' few words: CHECK counts, test_report prints "N passed, M failed" and gives the exit status. */
#ifndef NNC_TESTS_TEST_H
#define NNC_TESTS_TEST_H
#include <math.h>
#include <stdio.h>
#include <string.h>

static int test_passed, test_failed;

#define CHECK(condition)                                                                                              \
    do {                                                                                                              \
        if (condition)                                                                                                \
            test_passed++;                                                                                            \
        else {                                                                                                        \
            test_failed++;                                                                                            \
            printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                                            \
        }                                                                                                             \
    } while (0)

#define CHECK_TEXT(got, expected)                                                                                     \
    do {                                                                                                              \
        const char *got_ = (got), *expected_ = (expected);                                                            \
        if (strcmp(got_, expected_) == 0)                                                                             \
            test_passed++;                                                                                            \
        else {                                                                                                        \
            test_failed++;                                                                                            \
            printf("%s:%d: texts differ\n--- got\n%s\n--- expected\n%s\n", __FILE__, __LINE__, got_, expected_);      \
        }                                                                                                             \
    } while (0)

#define CHECK_NEAR(got, expected, tolerance)                                                                          \
    do {                                                                                                              \
        double got_ = (got), expected_ = (expected), tolerance_ = (tolerance);                                        \
        if (fabs(got_ - expected_) <= tolerance_)                                                                     \
            test_passed++;                                                                                            \
        else {                                                                                                        \
            test_failed++;                                                                                            \
            printf("%s:%d: %s is %.9g, expected %.9g within %g\n", __FILE__, __LINE__, #got, got_, expected_,         \
                   tolerance_);                                                                                       \
        }                                                                                                             \
    } while (0)

static inline int test_report(void) {
    printf("%d passed, %d failed\n", test_passed, test_failed);
    return test_failed != 0 || test_passed == 0;
}
#endif
