/* Text and time series: what the readers make of them, every message with its place, and windows on their way to steps:
 * they must be the rows that a program would copy out of the file itself. */
#include "nnrt_characters.h"
#include "nnrt_error.h"
#include "nnrt_feed.h"
#include "nnrt_windows.h"
#include "test.h"
#include <stdlib.h>

static nnrt_table table;

static nnrt_data_source text_source(int64_t window, int64_t stride) {
    return (nnrt_data_source){
        .kind = NNRT_DATA_TEXT, .file = "play.txt", .window = window, .stride = stride, .count = -1};
}

/* The target has `values` classes of `classes`; 0 values: none is wanted. */
static nnrt_table_request class_request(int64_t input, int64_t values, int64_t classes) {
    return (nnrt_table_request){.input_size = input,
                                .need_target = values > 0,
                                .target_dtype = NNRT_I32,
                                .target_size = values,
                                .class_count = classes};
}

static int read_text(const char *text, nnrt_data_source source, nnrt_table_request request) {
    nnrt_table_free(&table);
    return nnrt_characters_parse(text, strlen(text), "play.txt", &source, &request, &table);
}

static int read_series(const char *text, nnrt_data_source source, nnrt_table_request request) {
    nnrt_table_free(&table);
    return nnrt_windows_parse(text, strlen(text), "w.csv", &source, &request, &table);
}

static bool sample_is(int64_t row, const float *x, int64_t count) {
    return table.windows && row < table.rows && table.columns == count &&
           memcmp(table.x + row * table.x_stride, x, (size_t)count * sizeof(float)) == 0;
}
#define SAMPLE(row, ...)                                                                                               \
    CHECK(sample_is(row, (float[]){__VA_ARGS__}, (int64_t)(sizeof((float[]){__VA_ARGS__}) / sizeof(float))))

static int target(int64_t row, int64_t k) {
    int64_t place = nnrt_table_target_place(&table, row) + k;
    return table.target_i32 ? table.target_i32[place] : (int)table.target_f32[place];
}

static void expect_error(int code, const char *message) {
    CHECK(code != NNRT_OK);
    CHECK_TEXT(nnrt_error_text(), message);
    CHECK(table.x == NULL && table.rows == 0 && table.vocabulary.count == 0);
}

/* ---- text */

static void check_text_windows(void) {
    /* sorted: \n 0, a 1, b 2, c 3 */
    CHECK(read_text("abcab\nc", text_source(3, 0), class_request(3, 3, 4)) == 0);
    CHECK(table.rows == 2);
    SAMPLE(0, 1, 2, 3);
    SAMPLE(1, 1, 2, 0);
    CHECK(target(0, 0) == 2 && target(0, 1) == 3 && target(0, 2) == 1);
    CHECK(target(1, 0) == 2 && target(1, 1) == 0 && target(1, 2) == 3);
    CHECK(read_text("abcab\nc", text_source(3, 1), class_request(3, 1, 9)) == 0); /* the one after the window */
    CHECK(table.rows == 4);
    SAMPLE(1, 2, 3, 1);
    CHECK(target(0, 0) == 1 && target(1, 0) == 2 && target(2, 0) == 0 && target(3, 0) == 3);
    CHECK(read_text("abcab\nc", text_source(3, 2), class_request(3, 1, 9)) == 0);
    CHECK(table.rows == 2);
    SAMPLE(1, 3, 1, 2);
    CHECK(target(1, 0) == 0);
    CHECK(read_text("abcab\n", text_source(3, 3), class_request(3, 0, 0)) == 0); /* predict: the last needs no target */
    CHECK(table.rows == 2 && !table.target_i32);
    CHECK(read_text("abcab\nc", text_source(1, 1), class_request(1, 1, 4)) == 0);
    CHECK(table.rows == 6 && target(0, 0) == 2);
}

static void check_text_characters(void) {
    nnrt_vocabulary_column *known;
    CHECK(read_text("\xEF\xBB\xBFz\xC3\xA4"
                    "a\xE2\x82\xAC\r\n",
                    text_source(2, 1), class_request(2, 1, 6)) == 0);
    known = table.vocabulary.columns;
    CHECK(table.vocabulary.count == 1 && known->count == 6);
    CHECK_TEXT(known->column, "characters");
    CHECK_TEXT(known->values[0], "\n");
    CHECK_TEXT(known->values[2], "a");
    CHECK_TEXT(known->values[4], "\xC3\xA4");
    CHECK_TEXT(known->values[5], "\xE2\x82\xAC");
    SAMPLE(0, 3, 4);
    CHECK(target(0, 0) == 2 && target(1, 0) == 5);
    CHECK(nnrt_character_number(known, "\xC3\xA4", 2) == 4 && nnrt_character_number(known, "\xC3\xA5", 2) == -1);
    nnrt_data_source part = text_source(2, 2);
    part.first = 2;
    part.count = 3;
    CHECK(read_text("xyabaz", part, class_request(2, 1, 2)) == 0); /* x, y, z are not in the chosen part */
    CHECK(table.rows == 1 && table.vocabulary.columns->count == 2);
    SAMPLE(0, 0, 1);
}

static void check_text_vocabulary(void) {
    nnrt_vocabulary known;
    CHECK(read_text("abcd", text_source(2, 1), class_request(2, 1, 4)) == 0);
    CHECK(nnrt_vocabulary_copy(&table.vocabulary, &known) == 0);
    nnrt_table_request request = class_request(2, 1, 4);
    request.vocabulary = &known;
    CHECK(read_text("ddca", text_source(2, 1), request) == 0); /* the numbers are those of training */
    SAMPLE(0, 3, 3);
    CHECK(target(0, 0) == 2 && table.vocabulary.columns->count == 4);
    expect_error(read_text("da\ncb\xC3\xA9", text_source(2, 1), request),
                 "play.txt:1:3: the character U+000A is not in the text that the model was trained on; replace it, or "
                 "train with it");
    expect_error(read_text("dacb\xC3\xA9", text_source(2, 1), request),
                 "play.txt:1:5: the character '\xC3\xA9' (U+00E9) is not in the text that the model was trained on; "
                 "replace it, or train with it");
    nnrt_vocabulary_free(&known);
    known = (nnrt_vocabulary){.input_count = 1};
    expect_error(read_text("dacb", text_source(2, 1), request),
                 "play.txt: the model was not trained on text; train it again");
}

static void check_text_errors(void) {
    nnrt_data_source late = text_source(2, 1);
    late.first = 9;
    expect_error(read_text("", text_source(2, 1), class_request(2, 1, 4)), "play.txt: the file is empty");
    expect_error(read_text("\xEF\xBB\xBF", text_source(2, 1), class_request(2, 1, 4)), "play.txt: the file is empty");
    expect_error(read_text("abc", text_source(3, 1), class_request(3, 3, 4)),
                 "play.txt: a window of 3 characters and the one after it needs 4, but there are only 3; take more "
                 "text, or shorter windows");
    expect_error(
        read_text("ab", text_source(3, 1), class_request(3, 0, 0)),
        "play.txt: a window of 3 characters needs 3, but there are only 2; take more text, or shorter windows");
    expect_error(read_text("abcde", text_source(2, 1), class_request(2, 1, 4)),
                 "play.txt: the text has 5 different characters, but the model has 4 classes; the last layer needs at "
                 "least 5 units");
    expect_error(read_text("ab\nc\xFF", text_source(2, 1), class_request(2, 1, 4)),
                 "play.txt:2:2: the text is not UTF-8; save the file as UTF-8");
    expect_error(read_text("abcd", late, class_request(2, 1, 4)),
                 "play.txt: characters from 9 on are asked for, but there are only 4");
    expect_error(read_text("abcd", text_source(3, 1), class_request(2, 1, 4)),
                 "play.txt: windows of 3 characters, but the model takes 2");
    nnrt_table_request numbers = {.input_size = 2, .need_target = true, .target_size = 1};
    expect_error(read_text("abcd", text_source(2, 1), numbers),
                 "play.txt: the model's target is not the number of a character");
    nnrt_data_source source = text_source(2, 1);
    nnrt_table_request request = class_request(2, 1, 4);
    CHECK(nnrt_characters_parse("a\n\0b", 4, "play.txt", &source, &request, &table) != 0);
    CHECK_TEXT(nnrt_error_text(), "play.txt:2:1: there is a zero byte; this is not a text file");
    source.file = "/no/such/file";
    CHECK(nnrt_table_read(&source, &request, &table) == NNRT_ERROR_FILE);
}

/* ---- time series */

static const char *const t_only[] = {"t"}, *const p_and_t[] = {"p", "t"}, *const third[] = {"#2"};
static const char weather[] = "day,t,p\n1,10,0.5\n2,11,1.5\n3,12,2.5\n4,13,3.5\n5,14,4.5\n";

static nnrt_data_source series_source(int64_t window, int64_t horizon) {
    return (nnrt_data_source){.kind = NNRT_DATA_WINDOWS,
                              .file = "w.csv",
                              .window = window,
                              .horizon = horizon,
                              .stride = 1,
                              .separator = ',',
                              .header_auto = true,
                              .count = -1};
}
#define COLUMNS(source, list) ((source).columns = (list), (source).column_count = sizeof(list) / sizeof(list)[0])
#define TARGETS(source, list) ((source).targets = (list), (source).target_count = sizeof(list) / sizeof(list)[0])

static nnrt_table_request number_request(int64_t input, int64_t values) {
    return (nnrt_table_request){.input_size = input, .need_target = values > 0, .target_size = values};
}

static void check_series_windows(void) {
    nnrt_data_source source = series_source(2, 1);
    CHECK(read_series(weather, source, number_request(6, 1)) == 0); /* all columns, the last one is the target */
    CHECK(table.rows == 3 && table.rank == 2 && table.dims[0] == 2 && table.dims[1] == 3);
    SAMPLE(0, 1, 10, 0.5f, 2, 11, 1.5f);
    SAMPLE(2, 3, 12, 2.5f, 4, 13, 3.5f);
    CHECK_NEAR(table.target_f32[nnrt_table_target_place(&table, 0)], 2.5, 0);
    CHECK_NEAR(table.target_f32[nnrt_table_target_place(&table, 2)], 4.5, 0);
    CHECK(table.vocabulary.input_count == 3);
    source.horizon = 3;
    TARGETS(source, t_only);
    CHECK(read_series(weather, source, number_request(6, 1)) == 0);
    CHECK(table.rows == 1 && target(0, 0) == 14);
    source = series_source(2, 1);
    source.stride = 2;
    COLUMNS(source, t_only);
    TARGETS(source, t_only);
    CHECK(read_series(weather, source, number_request(2, 1)) == 0); /* input and target at once */
    CHECK(table.rows == 2 && table.dims[1] == 1);
    SAMPLE(1, 12, 13);
    CHECK(target(0, 0) == 12 && target(1, 0) == 14);
}

static void check_series_columns(void) {
    nnrt_data_source source = series_source(2, 1);
    static const char *const day[] = {"day"};
    COLUMNS(source, p_and_t); /* their order is that of the list; the target is no input */
    TARGETS(source, day);
    CHECK(read_series(weather, source, number_request(4, 1)) == 0);
    CHECK(table.rows == 3);
    SAMPLE(1, 1.5f, 11, 2.5f, 12);
    CHECK(target(0, 0) == 3 && target(2, 0) == 5);
    CHECK(read_series("t,p\n1,2\n3,4\n", source, number_request(4, 0)) == 0); /* predict: no target, no column for it */
    CHECK(table.rows == 1);
    SAMPLE(0, 2, 1, 4, 3);
    TARGETS(source, p_and_t);
    CHECK(read_series(weather, source, number_request(4, 2)) == 0);
    CHECK_NEAR(table.target_f32[nnrt_table_target_place(&table, 1)], 3.5, 0);
    CHECK(target(1, 1) == 13);
    source = series_source(1, 1); /* by position; text in a column that is not listed is no harm */
    COLUMNS(source, third);
    CHECK(read_series("x,1,2\ny,3,4\nz,5,6\n", (source.header_auto = false, source), number_request(1, 1)) == 0);
    CHECK(table.rows == 2 && target(0, 0) == 4);
    SAMPLE(0, 2);
    source = series_source(3, 2);
    source.first = 1;
    source.count = 4;
    CHECK(read_series(weather, source, number_request(9, 0)) == 0); /* rows, not windows, are counted */
    CHECK(table.rows == 2);
}

/* What the model knows by name stands where it stood, in whatever order a file has it. */
static void check_series_names(void) {
    nnrt_data_source source = series_source(1, 1);
    nnrt_table_request request = number_request(3, 1);
    nnrt_vocabulary known;
    TARGETS(source, t_only);
    CHECK(read_series(weather, source, request) == 0 && nnrt_vocabulary_copy(&table.vocabulary, &known) == 0);
    request.vocabulary = &known;
    CHECK(read_series("p,new,t,day\n1,9,2,3\n4,9,5,6\n", source, request) == 0);
    SAMPLE(0, 3, 2, 1);
    CHECK(target(0, 0) == 5);
    expect_error(read_series("p,t\n1,2\n4,5\n", source, request),
                 "w.csv:1: there is no column 'day' for the inputs; the columns are p, t");
    nnrt_vocabulary_free(&known);
}

static void check_series_classes(void) {
    nnrt_data_source source = series_source(2, 1);
    COLUMNS(source, t_only);
    CHECK(read_series("t\n0\n1\n2\n0\n", source, class_request(2, 1, 3)) == 0);
    CHECK(target(0, 0) == 2 && target(1, 0) == 0);
    expect_error(read_series("t\n0\n1\n3\n0\n", source, class_request(2, 1, 3)),
                 "w.csv: row 3 of the data: the class is 3, but the model has classes 0 to 2; change the data, or the "
                 "last layer");
}

static void check_series_errors(void) {
    nnrt_data_source source = series_source(4, 2);
    static const char *const missing[] = {"temp"}, *const far[] = {"#7"}, *const twice[] = {"t", "#1"};
    expect_error(read_series(weather, source, number_request(12, 1)),
                 "w.csv: a window of 4 rows and the row to be predicted needs 6, but there are only 5; take more rows, "
                 "or shorter windows");
    source = series_source(2, 1);
    expect_error(read_series(weather, source, number_request(4, 1)),
                 "w.csv: a row has 3 input columns, the model takes windows of 2 rows and 2 columns; list the columns, "
                 "or change Input((2, 3))");
    expect_error(
        read_series("a,b\n1,x\n2,3\n", source, number_request(4, 1)),
        "w.csv:2:2: column 'b': \"x\" is not a number; list the columns of the inputs without it, or correct the cell");
    expect_error(read_series("a,b\n1,\n2,3\n", source, number_request(4, 1)),
                 "w.csv:2:2: column 'b': the cell is empty; put a number in, or leave out the row");
    expect_error(read_series(weather, source, number_request(6, 4)), "w.csv: the target takes 4 columns, there are 3");
    TARGETS(source, missing);
    expect_error(read_series(weather, source, number_request(6, 1)), "w.csv: there is no column 'temp' for the target");
    TARGETS(source, far);
    expect_error(read_series(weather, source, number_request(6, 1)), "w.csv: there is no column #7 for the target");
    source = series_source(2, 1);
    COLUMNS(source, missing);
    expect_error(read_series(weather, source, number_request(2, 1)),
                 "w.csv:1: there is no column 'temp' for the inputs; the columns are day, t, p");
    COLUMNS(source, twice);
    expect_error(read_series(weather, source, number_request(4, 1)), "w.csv:1: column #1 is listed twice, once as #1");
    source = series_source(2, 0);
    expect_error(read_series(weather, source, number_request(6, 1)),
                 "w.csv: length and horizon of windows are at least 1");
}

/* ---- windows on their way to steps */

static int doubled(void *model, const float *raw, int64_t samples, float *prepared) {
    for (int64_t i = 0; i < samples * *(const int64_t *)model; i++)
        prepared[i] = 2 * raw[i];
    return 0;
}

static bool piece_is_right(const nnrt_steps *steps, int64_t first, int64_t window, float factor) {
    for (int64_t i = 0; i < steps->samples; i++) {
        const float *x = steps->x + steps->rows[i] * window;
        const int32_t *y = (const int32_t *)steps->y + steps->rows[i] * window;
        for (int64_t k = 0; k < window; k += 1 + window / 7)
            if (fabsf(x[k] - factor * (float)((first + i + k) % 10)) > 0 || y[k] != (int)((first + i + k + 1) % 10))
                return false;
        if (fabsf(steps->w[steps->rows[i]] - (float)(first + i)) > 0)
            return false;
    }
    return true;
}

/* Digits in a circle: window i begins with i % 10. Order is reversed in the second half of the check. */
static void check_feed(int64_t window, bool prepare, int batch) {
    enum { SAMPLES = 23 };
    int64_t characters = window + SAMPLES;
    char *text = malloc((size_t)characters);
    float weight[SAMPLES];
    int32_t order[SAMPLES];
    for (int64_t i = 0; i < characters; i++)
        text[i] = (char)('0' + i % 10);
    for (int i = 0; i < SAMPLES; i++) {
        weight[i] = (float)i;
        order[i] = i;
    }
    nnrt_data_source source = text_source(window, 1);
    nnrt_table_request request = class_request(window, window, 10);
    CHECK(nnrt_characters_parse(text, (size_t)characters, "digits", &source, &request, &table) == 0);
    CHECK(table.rows == SAMPLES);
    nnrt_program program = {
        .raw_input_size = window, .input_size = window, .input_stride = window, .preprocess = prepare ? doubled : NULL};
    nnrt_samples samples = {.w = weight, .count = SAMPLES, .windows = &table};
    nnrt_feed feed;
    nnrt_steps steps;
    CHECK(nnrt_feed_begin(&feed, &program, &window, &samples, batch) == 0);
    int64_t most = nnrt_feed_steps(&feed) * batch, pieces = 0;
    for (int64_t at = 0; at < SAMPLES; at += most, pieces++) {
        int64_t count = SAMPLES - at < most ? SAMPLES - at : most;
        CHECK(nnrt_feed_next(&feed, order + at, count, &steps) == 0 && steps.samples == count);
        CHECK(piece_is_right(&steps, at, window, prepare ? 2 : 1));
    }
    CHECK(window < 1000 ? pieces == 1 : pieces > 3);
    nnrt_feed_end(&feed);
    samples.first = 20; /* the last part of the data set, as validation_split takes it, in another order */
    samples.w = NULL;
    samples.count = 3;
    CHECK(nnrt_feed_begin(&feed, &program, &window, &samples, 1) == 0);
    CHECK(nnrt_feed_next(&feed, (int32_t[]){2}, 1, &steps) == 0 && steps.w == NULL);
    CHECK_NEAR(steps.x[steps.rows[0] * window], (prepare ? 2 : 1) * 2, 0);
    nnrt_feed_end(&feed);
    nnrt_table_free(&table);
    free(text);
}

/* Rows that lie as steps want them are not touched. */
static void check_feed_plain(void) {
    float x[6] = {0};
    int32_t rows[3] = {2, 0, 1};
    nnrt_program program = {.raw_input_size = 2, .input_size = 2, .input_stride = 2};
    nnrt_samples samples = {.x = x, .count = 3};
    nnrt_feed feed;
    nnrt_steps steps;
    CHECK(nnrt_feed_begin(&feed, &program, NULL, &samples, 2) == 0 && nnrt_feed_steps(&feed) == INT64_MAX);
    CHECK(nnrt_feed_next(&feed, rows, 3, &steps) == 0 && steps.x == x && steps.rows == rows && steps.samples == 3);
    nnrt_feed_end(&feed);
}

int main(void) {
    check_text_windows();
    check_text_characters();
    check_text_vocabulary();
    check_text_errors();
    check_series_windows();
    check_series_columns();
    check_series_names();
    check_series_classes();
    check_series_errors();
    nnrt_table_free(&table);
    check_feed(4, false, 8);
    check_feed(4, true, 8);
    check_feed(1 << 20, false, 1); /* a piece holds a few of these */
    check_feed(1 << 20, true, 2);
    check_feed_plain();
    return test_report();
}
