/* The text buffer, shortest decimals, spelling distance, files. */
#include "test.h"
#include "ir/base/text.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_buffer(void) {
    Text text = {0};
    for (int i = 0; i < 1000; i++)
        text_format(&text, "%d,", i);
    CHECK(text.length == 3890 && strlen(text.data) == text.length);
    CHECK(strncmp(text.data, "0,1,2,3,", 8) == 0);
    CHECK_TEXT(text.data + text.length - 8, "998,999,");
    text_clear(&text);
    CHECK_TEXT(text.data, "");
    text_add_length(&text, "abcdef", 3);
    text_add(&text, "!");
    CHECK_TEXT(text.data, "abc!");
    char wide[3000];
    memset(wide, 'x', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    text_format(&text, "[%s]", wide);
    CHECK(text.length == 4 + 2 + 2999 && text.data[text.length - 1] == ']');
    text_free(&text);
    CHECK(text.data == NULL);
}

static void check_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* text_print gives what vsnprintf gives, in rooms of every size. */
static void check_print(const char *format, ...) {
    for (size_t room = 0; room < 100; room++) {
        char expected[100] = "untouched", got[100] = "untouched";
        va_list arguments;
        va_start(arguments, format);
        int expected_length = vsnprintf(expected, room, format, arguments);
        va_end(arguments);
        va_start(arguments, format);
        int length = text_print(got, room, format, arguments);
        va_end(arguments);
        CHECK(length == expected_length);
        CHECK_TEXT(got, expected);
    }
}

static void test_print(void) {
    check_print("plain");
    check_print("%s, %d%%, %c: %s", "name", -12, '*', "");
    check_print("%d %d %lld %lld", INT32_MIN, 0, (long long)INT64_MIN, (long long)INT64_MAX);
    check_print("|%*s|%*s|%*s|%*s|", 8, "right", -8, "left", 40, "", 2, "longer");
    check_print("|%.*s|%.*s|%.*s|", 3, "cut", 2, "cut", -1, "whole");
    check_print("%s: %5.2f %-6s %08x %zu", "others", 1.25, "ab", 255u, (size_t)7);
}

static void check_number(double value, const char *expected) {
    char got[32];
    text_number(got, value);
    CHECK_TEXT(got, expected);
}

static void test_numbers(void) {
    check_number(0.001, "0.001");
    check_number(1e-07, "1e-07");
    check_number(3, "3");
    check_number(0, "0");
    check_number(-0.0, "-0");
    check_number(-2.5, "-2.5");
    check_number(100000, "100000");
    check_number(0.1, "0.1");
    check_number(1.0 / 3, "0.3333333333333333");
    check_number(1e300, "1e+300");
    check_number(NAN, "nan");
    check_number(INFINITY, "inf");
    check_number(-INFINITY, "-inf");
    uint64_t state = 1;
    bool exact = true;
    for (int i = 0; i < 20000; i++) {
        double value;
        char text[32];
        state = state * 6364136223846793005u + 1442695040888963407u;
        memcpy(&value, &state, sizeof value);
        if (!isfinite(value))
            continue;
        text_number(text, value);
        exact &= strtod(text, NULL) == value;
    }
    CHECK(exact);
}

static void test_distance(void) {
    CHECK(text_distance("relu", "relu") == 0);
    CHECK(text_distance("ReLU", "relu") == 0);
    CHECK(text_distance("activaton", "activation") == 1);
    CHECK(text_distance("Dnese", "Dense") == 1);
    CHECK(text_distance("", "abc") == 3);
    CHECK(text_distance("kitten", "sitting") == 3);
    char longest[200];
    memset(longest, 'a', 199);
    longest[199] = '\0';
    CHECK(text_distance(longest, "a") > 64);
    const char *names[] = {"units", "activation", "use_bias", "kernel_initializer", "relu", "x"};
    CHECK_TEXT(text_nearest("activaton", names, 6), "activation");
    CHECK_TEXT(text_nearest("kernel_initialiser", names, 6), "kernel_initializer");
    CHECK_TEXT(text_nearest("RELU", names, 6), "relu");
    CHECK(text_nearest("momentum", names, 6) == NULL);
    CHECK(text_nearest("y", names, 6) == NULL);
    CHECK(text_nearest("units", names, 0) == NULL);
}

static void test_wrap(void) {
    Text text = {0};
    text_add(&text, "/* ");
    text_wrap(&text, "one two  three four", 3, 10, " * ");
    CHECK_TEXT(text.data, "/* one two\n * three\n * four\n");
    text_clear(&text);
    text_wrap(&text, "averylongword and \xC3\xA9\xC3\xA9", 0, 6, "");
    CHECK_TEXT(text.data, "averylongword\nand \xC3\xA9\xC3\xA9\n");
    text_clear(&text);
    text_wrap(&text, " ", 0, 6, "  ");
    CHECK_TEXT(text.data, "\n");
    text_free(&text);
}

static void test_files(void) {
    char folder[] = "/tmp/nnc-text-XXXXXX", path[64], other[96];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/file", folder);
    CHECK(text_write_file(path, "one\0two", 7) == 0);
    size_t length = 0;
    char *data = text_read_file(path, &length);
    CHECK(data && length == 7 && memcmp(data, "one\0two", 8) == 0);
    free(data);
    CHECK(chmod(path, 0640) == 0 && text_write_file(path, "", 0) == 0);
    struct stat status;
    CHECK(stat(path, &status) == 0 && status.st_size == 0 && (status.st_mode & 0777) == 0640);
    snprintf(other, sizeof other, "%s/none/file", folder);
    CHECK(text_write_file(other, "x", 1) == -1 && errno == ENOENT);
    CHECK(text_read_file(other, &length) == NULL && errno == ENOENT);
    CHECK(text_write_file(folder, "x", 1) == -1 && errno == EISDIR);
    CHECK(text_read_file(folder, &length) == NULL);
    CHECK(text_write_file("/dev/null", "x", 1) == 0);
    CHECK(stat("/dev/null", &status) == 0 && S_ISCHR(status.st_mode));
    if (stat("/dev/full", &status) == 0)
        CHECK(text_write_file("/dev/full", "x", 1) == -1 && errno == ENOSPC);
    CHECK(unlink(path) == 0);
    CHECK(rmdir(folder) == 0); /* nothing else was left behind */
}

int main(void) {
    test_buffer();
    test_print();
    test_numbers();
    test_distance();
    test_wrap();
    test_files();
    return test_report();
}
