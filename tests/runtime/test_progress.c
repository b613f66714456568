/* The progress bar, byte for byte, under a clock and a terminal of the test's making. */
#include "runtime/nnrt_progress.h"
#include "runtime/nnrt_text.h"
#include "runtime/nnrt_draw.h"
#include "runtime/nnrt_error.h"
#include "test.h"

#include <stdlib.h>

static double now;
static double test_clock(void) {
    return now;
}

static nnrt_terminal terminal(int columns, bool color) {
    nnrt_terminal result = {.columns = columns, .dynamic = true, .color = color, .utf8 = true, .clock = test_clock};
    return result;
}

static char *text;
static size_t size;
static FILE *open_text(void) {
    free(text);
    text = NULL;
    return open_memstream(&text, &size);
}

static const nnrt_log logs[] = {{"accuracy", 0.91234}, {"loss", 0.00051}};

static void test_bar_with_colors(void) {
    nnrt_terminal screen = terminal(100, true);
    nnrt_progress progress;
    FILE *out = open_text();
    now = 10;
    nnrt_progress_begin(&progress, out, &screen, 1, 250, 0);
    now = 11; /* the first step is slow, and does not count */
    CHECK(nnrt_progress_step(&progress, 1));
    nnrt_progress_draw(&progress, 1, logs, 2);
    now = 11.04;
    CHECK(!nnrt_progress_step(&progress, 2)); /* too soon */
    now = 11.25;
    CHECK(nnrt_progress_step(&progress, 126));
    nnrt_progress_draw(&progress, 126, logs, 2);
    now = 11.6;
    nnrt_progress_finish(&progress, 250, logs, 2);
    fclose(out);
    CHECK_TEXT(text,
               "\r\x1b[1m  1/250\x1b[0m \x1b[37m━━━━━━━━━━━━━━━━━━━━\x1b[0m \x1b[1m4:09\x1b[0m 1s/step"
               " - accuracy: 0.9123 - loss: 5.1000e-04"
               "\r\x1b[1m126/250\x1b[0m \x1b[32m━━━━━━━━━━\x1b[0m\x1b[37m━━━━━━━━━━\x1b[0m \x1b[1m0s\x1b[0m 2ms/step"
               " - accuracy: 0.9123 - loss: 5.1000e-04 "
               "\r\x1b[1m250/250\x1b[0m \x1b[32m━━━━━━━━━━━━━━━━━━━━\x1b[0m\x1b[37m\x1b[0m \x1b[1m2s\x1b[0m 2ms/step"
               " - accuracy: 0.9123 - loss: 5.1000e-04\n");
}

static void test_remaining_time(void) {
    static const struct {
        double first_step;
        const char *text;
    } cases[] = {{0.5, " 5s 500ms/step"},
                 {6, " 1:00 6s/step"},
                 {6.1, " 1:01 6s/step"},
                 {400, " 1:06:40 400s/step"},
                 {0.0005, " 0s 500us/step"}};
    nnrt_terminal screen = terminal(100, false);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nnrt_progress progress;
        char expected[200];
        FILE *out = open_text();
        now = 0;
        nnrt_progress_begin(&progress, out, &screen, 1, 11, 0);
        now = cases[i].first_step;
        nnrt_progress_step(&progress, 1);
        nnrt_progress_draw(&progress, 1, NULL, 0);
        fclose(out);
        snprintf(expected, sizeof expected, "\r 1/11 ━───────────────────%s", cases[i].text);
        if (i == 1) /* 60.0 seconds are not more than 60 */
            snprintf(expected, sizeof expected, "\r 1/11 ━───────────────────%s", " 60s 6s/step");
        CHECK_TEXT(text, expected);
    }
}

/* A narrow terminal: a shorter bar, then none, then a cut line; the last line is whole. */
static void test_narrow(void) {
    static const struct {
        int columns;
        const char *expected;
    } cases[] = {{70, "\r100/250 ━━━━─────── 0s 1ms/step - accuracy: 0.9123 - loss: 5.1000e-04"},
                 {60, "\r100/250 0s 1ms/step - accuracy: 0.9123 - loss: 5.1000e-04"},
                 {40, "\r100/250 0s 1ms/step - accuracy: 0.9123"},
                 {20, "\r100/250 0s 1ms/ste"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nnrt_terminal screen = terminal(cases[i].columns, false);
        nnrt_progress progress;
        FILE *out = open_text();
        now = 0;
        nnrt_progress_begin(&progress, out, &screen, 1, 250, 0);
        now = 0.1;
        CHECK(nnrt_progress_step(&progress, 100));
        nnrt_progress_draw(&progress, 100, logs, 2);
        fclose(out);
        int width = 0;
        for (const char *c = text + 1; *c; c++)
            width += ((unsigned char)*c & 0xC0) != 0x80;
        CHECK(width < cases[i].columns);
        text[strlen(cases[i].expected)] = 0;
        CHECK_TEXT(text, cases[i].expected);
    }
}

/* Not a terminal: one line at the end, no control characters. */
static void test_pipe(void) {
    nnrt_terminal screen = {.columns = 80, .utf8 = false, .clock = test_clock};
    nnrt_progress progress;
    FILE *out = open_text();
    now = 0;
    nnrt_progress_begin(&progress, out, &screen, 1, 4, 0);
    for (int step = 1; step <= 4; step++) {
        now += 2;
        CHECK(!nnrt_progress_step(&progress, step));
    }
    nnrt_progress_finish(&progress, 4, logs, 2);
    fclose(out);
    CHECK_TEXT(text, "4/4 ==================== 8s 2s/step - accuracy: 0.9123 - loss: 5.1000e-04\n");
}

static void test_log_line(void) {
    static const nnrt_log values[] = {{"a", -2.5}, {"b", 0.001}, {"c", 12345.678}, {"d", NAN}, {"e", INFINITY}};
    nnrt_terminal screen = terminal(80, true);
    nnrt_progress progress;
    FILE *out = open_text();
    now = 0;
    nnrt_progress_begin(&progress, out, &screen, 2, 32, 0);
    now = 0.002;
    nnrt_progress_step(&progress, 1);
    now = 0.064;
    nnrt_progress_finish(&progress, 32, values, 5);
    fclose(out);
    CHECK_TEXT(text, "32/32 - 0s - 2ms/step - a: -2.5000e+00 - b: 1.0000e-03 - c: 12345.6780 - d: nan - e: inf\n");
    out = open_text();
    nnrt_progress_begin(&progress, out, &screen, 0, 32, 0);
    CHECK(!nnrt_progress_step(&progress, 1));
    nnrt_progress_finish(&progress, 32, values, 5);
    fclose(out);
    CHECK_TEXT(text, "");
}

/* Steps of an earlier run count for the bar, not for the time of a step. */
static void test_resumed(void) {
    nnrt_terminal screen = terminal(80, false);
    nnrt_progress progress;
    FILE *out = open_text();
    now = 0;
    nnrt_progress_begin(&progress, out, &screen, 1, 10, 6);
    now = 5;
    nnrt_progress_step(&progress, 7);
    now = 8;
    nnrt_progress_finish(&progress, 10, NULL, 0);
    fclose(out);
    CHECK_TEXT(text, "\r10/10 ━━━━━━━━━━━━━━━━━━━━ 8s 1s/step\n");
}

static void test_numbers(void) {
    char out[64];
    CHECK_TEXT(nnrt_shortest_number(out, sizeof out, 0.1), "0.1");
    CHECK_TEXT(nnrt_shortest_number(out, sizeof out, 0.0001f), "9.999999747378752e-05");
    CHECK_TEXT(nnrt_shortest_number(out, sizeof out, 1.0 / 3), "0.3333333333333333");
    CHECK_TEXT(nnrt_shortest_number(out, sizeof out, -NAN), "nan");
}

/* Every float of a sample over all bits, and those near powers of ten and halves of the last digit. */
static void test_floats(void) {
    static const float special[] = {
        0,        -0.0f,           1,           10,  -100,  0.1f,   0.5f,  1e-4f, 9.99999e-5f, 0.001f, 1e-5f,
        1e8f,     999999936,       1e9f,        123, 1e38f, 1e-40f, 0.25f, 2.5f,  100000008,   NAN,    INFINITY,
        16777217, 0.000244140625f, 1.000000119f};
    char ours[NNRT_FLOAT_TEXT], printed[NNRT_FLOAT_TEXT];
    int wrong = 0;
    for (uint32_t i = 0; i < 400000; i++) {
        float value;
        uint32_t bits = i * 10739u + (i >> 3);
        memcpy(&value, &bits, sizeof value);
        if (i < sizeof special / sizeof *special)
            value = special[i];
        else if (i % 4 == 0)
            value = (float)(int32_t)(bits % 2000001 - 1000000) / (i % 8 ? 1000000.0f : 1024.0f);
        size_t length = nnrt_float_text(ours, value);
        snprintf(printed, sizeof printed, "%.9g", (double)value);
        wrong += strcmp(ours, printed) != 0 || length != strlen(printed);
    }
    CHECK(wrong == 0);
}

static void test_templates(void) {
    nnrt_log integers[] = {{"epoch", 7}, {"batch", 12}}, numbers[] = {{"loss", 0.123456}, {"val_loss", 1.5}};
    nnrt_template_values values = {integers, 2, numbers, 2};
    static const struct {
        const char *pattern, *expected;
    } cases[] = {{"w-{epoch:02d}-{val_loss:.2f}.safetensors", "w-07-1.50.safetensors"},
                 {"{epoch}/{batch:4d}", "7/  12"},
                 {"{loss:.3e}|{loss:8.4f}|{loss:.2g}|{loss}", "1.235e-01|  0.1235|0.12|0.123456"},
                 {"{{{epoch}}}", "{7}"},
                 {"plain", "plain"}};
    char out[200];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CHECK(nnrt_template_format(cases[i].pattern, &values, out, sizeof out) == NNRT_OK);
        CHECK_TEXT(out, cases[i].expected);
    }
    CHECK(nnrt_template_format("{accuracy:.2f}", &values, out, sizeof out) != NNRT_OK);
    CHECK_TEXT(nnrt_error_text(),
               "file name \"{accuracy:.2f}\": {accuracy} is not available; available are epoch, batch, loss, val_loss");
    static const char *const wrong[] = {"{epoch", "{}", "{epoch:.2f}", "{loss:d}", "{loss:q}", "{loss:.f}", "{:d}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CHECK(nnrt_template_format(wrong[i], &values, out, sizeof out) != NNRT_OK);
    CHECK(nnrt_template_format("{epoch}{epoch}", &values, out, 2) != NNRT_OK);
}

static void test_pictures(void) {
    static const float pixels[] = {0, 9, 9, 0, 9, 9};
    nnrt_terminal screen = {.columns = 60, .utf8 = true, .clock = test_clock};
    nnrt_picture pictures[2] = {{pixels, 3, 2, 0, 0, {"predicted 1", "1: 99.0 %"}},
                                {pixels, 3, 2, 0, 0, {"predicted 2, is 2"}}};
    FILE *out = open_text();
    nnrt_draw_pictures(out, &screen, pictures, 2);
    fclose(out);
    CHECK_TEXT(text, "▄▀                         ▄▀\n"
                     "▀▀                         ▀▀\n"
                     "predicted 1                predicted 2, is 2\n"
                     "1: 99.0 %\n\n");
    screen.utf8 = false;
    screen.columns = 20; /* one beside the other does not fit */
    out = open_text();
    nnrt_draw_pictures(out, &screen, pictures, 2);
    fclose(out);
    CHECK_TEXT(text, "++\n++\npredicted 1\n1: 99.0 %\n\n++\n++\npredicted 2, is 2\n\n");
    screen = terminal(80, true);
    out = open_text();
    nnrt_draw_pictures(out, &screen, pictures, 1);
    fclose(out);
    CHECK(strncmp(text, "\x1b[38;5;232m\x1b[48;5;255m▀\x1b[38;5;255m\x1b[48;5;232m▀\x1b[0m\n", 52) == 0);
}

int main(void) {
    test_bar_with_colors();
    test_remaining_time();
    test_narrow();
    test_pipe();
    test_log_line();
    test_resumed();
    test_numbers();
    test_floats();
    test_templates();
    test_pictures();
    free(text);
    return test_report();
}
