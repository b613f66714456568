/* The CSV reader: what it accepts, where each value goes, and every message with its row and column. */
#include "nnrt_csv.h"
#include "nnrt_error.h"
#include "test.h"
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static nnrt_table table;

static nnrt_data_source plain(const char *target) {
    nnrt_data_source source = {.kind = NNRT_DATA_CSV,
                               .file = "data.csv",
                               .target = target,
                               .header_auto = true,
                               .separator = ',',
                               .count = -1};
    return source;
}

static int parse(const char *text, nnrt_data_source source, nnrt_table_request request) {
    nnrt_table_free(&table);
    return nnrt_csv_parse(text, strlen(text), "data.csv", &source, &request, &table);
}

#define WITH_TARGET                                                                                                    \
    (nnrt_table_request) {                                                                                             \
        .need_target = true                                                                                            \
    }
#define WITH_CLASS(n)                                                                                                  \
    (nnrt_table_request) {                                                                                             \
        .need_target = true, .target_dtype = NNRT_I32, .class_count = n                                                \
    }

static bool row_is(int64_t row, const float *expected, int64_t count) {
    return table.columns == count && row < table.rows &&
           memcmp(table.x + row * table.x_stride, expected, (size_t)count * sizeof(float)) == 0;
}
#define ROW(row, ...)                                                                                                  \
    CHECK(row_is(row, (float[]){__VA_ARGS__}, (int64_t)(sizeof((float[]){__VA_ARGS__}) / sizeof(float))))

static void expect_error(int code, const char *message) {
    CHECK(code != NNRT_OK);
    CHECK_TEXT(nnrt_error_text(), message);
    CHECK(table.x == NULL && table.rows == 0);
}

static void check_plain(void) {
    CHECK(parse("a,b,y\n1,2,3\n4,5,6\n", plain("y"), WITH_TARGET) == 0);
    CHECK(table.rows == 2 && table.columns == 2 && table.rank == 1 && table.dims[0] == 2);
    ROW(0, 1, 2);
    ROW(1, 4, 5);
    CHECK(table.target_f32[0] == 3 && table.target_f32[1] == 6);
    CHECK(parse("y,a,b\r\n1,2,3\r\n4,5,6", plain("y"), WITH_CLASS(5)) == 0);
    ROW(1, 5, 6);
    CHECK(table.target_i32[0] == 1 && table.target_i32[1] == 4 && table.target_f32 == NULL);
    CHECK(parse("1,2,3\n4,5,6\n", plain(NULL), WITH_TARGET) == 0); /* no header, last column */
    ROW(0, 1, 2);
    CHECK(parse("1,2,3\n4,5,6\n", plain("#1"), WITH_TARGET) == 0);
    ROW(1, 4, 6);
    CHECK(table.target_f32[1] == 5);
    CHECK(parse("\xEF\xBB\xBF"
                "y,a\n\n1,2\n\n\n3,4\n\n",
                plain("y"), WITH_TARGET) == 0); /* mark, blank lines */
    CHECK(table.rows == 2);
    ROW(1, 4);
    CHECK(parse(" a ; y \n 1.5 ;2\n", (nnrt_data_source){.target = "y", .header = true, .separator = ';', .count = -1},
                WITH_TARGET) == 0);
    ROW(0, 1.5f);
}

static void check_quotes(void) {
    CHECK(parse("\"a,\"\"x\"\"\",\"y\n2\"\n\"1.25\",\"2\"\n", plain("y\n2"), WITH_TARGET) == 0);
    ROW(0, 1.25f);
    CHECK(parse("\"a\",\"y\"\r\n\"1\",\"2\"", plain("y"), WITH_TARGET) == 0);
    ROW(0, 1);
    expect_error(parse("a,y\n1,\"2\n3,4\n", plain("y"), WITH_TARGET),
                 "data.csv:2:2: a quote is opened and never closed; close it, or double it");
    expect_error(parse("a,y\n\"1\"x,2\n", plain("y"), WITH_TARGET),
                 "data.csv:2:1: there is text behind the closing quote; double the quotes within a cell");
}

static void check_numbers(void) {
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"0", 0},
                 {"-0.5", -0.5},
                 {"+3", 3},
                 {".5", 0.5},
                 {"5.", 5},
                 {"1e3", 1000},
                 {"1.5E-3", 1.5e-3},
                 {"1e+2", 100},
                 {"0.1", 0.1},
                 {"3.4028235e38", 3.4028235e38},
                 {"1e-45", 1e-45},
                 {"1e-400", 0},
                 {"00012", 12},
                 {"16777217", 16777217},
                 {"123456789012345678901234567890", 123456789012345678901234567890.0},
                 {"0.000000000000000000000000000000000000012345678901234567890", 1.2345678901234568e-38},
                 {"0.3333333333333333333333333333", 1.0 / 3},
                 {"2.2250738585072014e-308", 0}};
    char text[200];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "a,y\n%s,0\n", cases[i].text);
        CHECK(parse(text, plain("y"), WITH_TARGET) == 0);
        CHECK(table.x && table.x[0] == (float)cases[i].value);
    }
    for (int i = 0; i < 20000; i++) { /* what printf writes comes back, as strtof would read it */
        uint32_t bits = (uint32_t)i * 2654435761u;
        float value;
        bits = (bits & 0x807FFFFFu) | (i % 250 + 1u) << 23;
        memcpy(&value, &bits, 4);
        snprintf(text, sizeof text, "a,y\n%.9g,0\n", (double)value);
        if (parse(text, plain("y"), WITH_TARGET) != 0 || table.x[0] != value) {
            printf("%.9g became %.9g\n", (double)value, table.x ? (double)table.x[0] : 0);
            CHECK(0);
        }
    }
    expect_error(parse("a,y\n1,2\n1e39,3\n", plain("y"), WITH_TARGET),
                 "data.csv:3:1: column 'a': \"1e39\" is too large for 32-bit floats; rescale the column");
    expect_error(parse("a,y\nnan,2\n", plain("y"), WITH_TARGET),
                 "data.csv:2:1: column 'a': \"nan\" is not a finite number; replace it, or leave out the row");
    expect_error(parse("a,y\n1,-Infinity\n", plain("y"), WITH_TARGET),
                 "data.csv:2:2: column 'y': \"-Infinity\" is not a finite number; replace it, or leave out the row");
    expect_error(parse("a,y\n ,2\n", plain("y"), WITH_TARGET),
                 "data.csv:2:1: column 'a': the cell is empty; put a number in, or leave out the row");
    expect_error(parse("a,b,y\n1,two,2\n", plain("y"), WITH_TARGET),
                 "data.csv:2:2: column 'b': \"two\" is not a number; correct the cell, name the column in one_hot= or "
                 "index=, or leave it out of columns=");
    expect_error(parse("1,2\n1,0x10\n", plain(NULL), WITH_TARGET),
                 "data.csv:2:2: column #1: \"0x10\" is not a number; correct the cell, name the column in one_hot= or "
                 "index=, or leave it out of columns=");
    CHECK(parse("a,y\n1e,2\n", plain("y"), WITH_TARGET) != 0 && parse("a,y\n-,2\n", plain("y"), WITH_TARGET) != 0 &&
          parse("a,y\n1.2.3,2\n", plain("y"), WITH_TARGET) != 0 && parse("a,y\n.,2\n", plain("y"), WITH_TARGET) != 0);
}

static void check_shape_errors(void) {
    expect_error(parse("", plain("y"), WITH_TARGET), "data.csv: the file is empty");
    expect_error(parse("\n\n", plain("y"), WITH_TARGET), "data.csv: the file is empty");
    expect_error(parse("a,y\n", plain("y"), WITH_TARGET), "data.csv: there are no samples in the file");
    expect_error(parse("a,b,y\n1,2,3\n1,2\n", plain("y"), WITH_TARGET),
                 "data.csv:3:3: the row has 2 cells, the first row (line 1) has 3; correct the row");
    expect_error(parse("a,b,y\n1,2,3\n1,2,3,4\n", plain("y"), WITH_TARGET),
                 "data.csv:3:4: the row has 4 cells, the first row (line 1) has 3; correct the row");
    expect_error(
        parse("width,height,digit\n1,2,3\n", plain("digits"), WITH_TARGET),
        "data.csv:1: there is no column 'digits' for the target; the columns are width, height, digit; did you mean "
        "'digit'?");
    expect_error(parse("a,b\n1,2\n", plain("#2"), WITH_TARGET),
                 "data.csv:1: there is no column #2 for the target; the columns are #0 to #1");
    expect_error(parse("a,a,y\n1,2,3\n", plain("a"), WITH_TARGET),
                 "data.csv:1: two columns are called 'a' (#0 and #1); give the position instead");
    expect_error(
        parse("1,2\n", (nnrt_data_source){.target = "y", .count = -1}, WITH_TARGET),
        "data.csv: has no header, so there is no column 'y' for the target; write \"#0\" to \"#1\" by position");
    expect_error(parse("y\n1\n", plain("y"), WITH_TARGET), "data.csv: has no column for the inputs");
    expect_error(parse("a,b,y\n1,2,3\n", plain("y"), (nnrt_table_request){.need_target = true, .input_size = 3}),
                 "data.csv: a sample has 2 input values, the model takes 3; columns are missing, or change Input(...)");
    expect_error(parse("\xFF\xFE"
                       "a",
                       plain("y"), WITH_TARGET),
                 "data.csv: is UTF-16; save it as UTF-8");
}

static void check_other_files(void) {
    static const char zip[] = "PK\003\004abc", zero[] = "a,y\n1,2\n\0";
    nnrt_data_source source = plain("y");
    expect_error(nnrt_csv_parse(zip, sizeof zip - 1, "data.csv", &source, &WITH_TARGET, &table),
                 "data.csv: is a zip archive, as spreadsheets are; export it as CSV");
    expect_error(nnrt_csv_parse(zero, sizeof zero - 1, "data.csv", &source, &WITH_TARGET, &table),
                 "data.csv: is no text: it has a zero byte; export it as CSV");
}

static void check_target_width(void) {
    nnrt_table_request three = {.need_target = true, .target_size = 3};
    expect_error(
        parse("a,y\n1,2\n", plain("y"), three),
        "data.csv:1: the model and its loss take 3 columns as target, from 'y' on, but there are only 1; change "
        "the last layer or the loss, or name the columns");
    expect_error(parse("1,2\n", plain(NULL), three),
                 "data.csv:1: the model and its loss take 3 columns as target, but there are only 2; change the last "
                 "layer or the loss, or name the columns");
}

static void check_classes(void) {
    expect_error(parse("a,y\n1,2\n1,10\n", plain("y"), WITH_CLASS(10)),
                 "data.csv:3:2: column 'y': the class is 10, but the model has classes 0 to 9; change the data, or the "
                 "last layer");
    expect_error(parse("a,y\n1,-1\n", plain("y"), WITH_CLASS(10)),
                 "data.csv:2:2: column 'y': the class is -1, but the model has classes 0 to 9; change the data, or the "
                 "last layer");
    expect_error(parse("a,y\n1,1.5\n", plain("y"), WITH_CLASS(10)),
                 "data.csv:2:2: column 'y': the class is 1.5, which is not a whole number; classes count from 0");
    CHECK(parse("a,y\n1,2\n1,0\n", plain("y"),
                (nnrt_table_request){
                    .need_target = true, .target_size = 3, .class_count = 3, .target_one_hot = true}) == 0);
    CHECK(table.target_size == 3 && memcmp(table.target_f32, (float[]){0, 0, 1, 1, 0, 0}, 24) == 0);
    CHECK(parse("a,u,v\n1,2,3\n4,5,6\n", plain("u"), (nnrt_table_request){.need_target = true, .target_size = 2}) == 0);
    CHECK(memcmp(table.target_f32, (float[]){2, 3, 5, 6}, 16) == 0);
    ROW(1, 4);
    static const char *const names[] = {"v", "u"};
    nnrt_data_source source = plain("v");
    source.targets = names;
    source.target_count = 2;
    CHECK(parse("u,a,v\n1,2,3\n4,5,6\n", source, (nnrt_table_request){.need_target = true, .target_size = 2}) == 0);
    CHECK(memcmp(table.target_f32, (float[]){3, 1, 6, 4}, 16) == 0);
    ROW(1, 5);
    expect_error(parse("u,a,w\n1,2,3\n", source, (nnrt_table_request){.need_target = true, .target_size = 2}),
                 "data.csv:1: there is no column 'v' for the target; the columns are u, a, w");
    expect_error(parse("u,a,v\n1,2,3\n", source, (nnrt_table_request){.need_target = true, .target_size = 3}),
                 "data.csv:1: 2 columns are named for the target, the model takes 3");
    CHECK(parse("a\n2\n", source, (nnrt_table_request){.input_size = 1}) == 0); /* predict */
    ROW(0, 2);
    static const nnrt_class_column columns[] = {{1, 3}};
    expect_error(
        parse("1,2\n5,3\n", plain("y"),
              (nnrt_table_request){.input_size = 2, .class_columns = columns, .class_column_count = 1}),
        "data.csv:2:2: column #1: the class is 3, but one_hot takes whole numbers from 0 to 2; correct the data, "
        "or the classes of one_hot");
    CHECK(parse("1,2,3\n", plain(NULL), (nnrt_table_request){.need_target = true, .target_size = 2}) == 0);
    ROW(0, 1);
}

static void check_weights_and_rows(void) {
    nnrt_data_source source = plain("y");
    source.weight = "w";
    CHECK(parse("a,w,y\n1,0.5,3\n4,2,6\n", source, (nnrt_table_request){.need_target = true, .need_weight = true}) ==
          0);
    CHECK(table.weight[0] == 0.5f && table.weight[1] == 2);
    ROW(1, 4);
    CHECK(parse("a,w,y\n1,oops,3\n", source, WITH_TARGET) == 0); /* not asked for: not read */
    CHECK(table.weight == NULL && table.columns == 1);
    expect_error(parse("a,w,y\n1,-1,3\n", source, (nnrt_table_request){.need_target = true, .need_weight = true}),
                 "data.csv:2:2: column 'w': a sample weight is negative; weights are 0 or more");
    source = plain("y");
    source.first = 1;
    source.count = 2;
    CHECK(parse("a,y\n1,1\n2,2\n3,3\n4,4\n", source, (nnrt_table_request){.need_target = true, .x_stride = 4}) == 0);
    CHECK(table.rows == 2 && table.x_stride == 4 && table.x[0] == 2 && table.x[4] == 3 && table.x[1] == 0 &&
          table.x[7] == 0);
    CHECK(((uintptr_t)table.x & 63) == 0);
    source.first = 9;
    expect_error(parse("a,y\n1,1\n", source, WITH_TARGET),
                 "data.csv: rows from 9 on are asked for, but there are only 1");
}

static void check_words(void) {
    static const nnrt_text_column text[] = {
        {"color", NNRT_TEXT_ONE_HOT}, {"size", NNRT_TEXT_INDEX}, {"kind", NNRT_TEXT_INDEX}};
    static const char *data = "a,color,size,kind\n1,red,L,cat\n2,blue,S,dog\n3,\"dark \"\"red\"\"\",M,cat\n";
    nnrt_data_source source = plain("kind");
    nnrt_vocabulary kept, copied;
    nnrt_table_request later = WITH_CLASS(2);
    char *written;
    source.text = text;
    source.text_count = 3;
    expect_error(parse(data, source, WITH_CLASS(1)),
                 "data.csv: column 'kind' has 2 different words, but the model has "
                 "1 classes: \"cat\", \"dog\"; correct the data, or the last layer");
    CHECK(parse(data, source, WITH_CLASS(2)) == 0);
    ROW(0, 1, 0, 0, 1, 0);
    ROW(1, 2, 1, 0, 0, 2);
    ROW(2, 3, 0, 1, 0, 1);
    CHECK(memcmp(table.target_i32, (int32_t[]){0, 1, 0}, 12) == 0);
    CHECK(table.vocabulary.count == 3 && table.vocabulary.columns[0].count == 3);
    CHECK_TEXT(table.vocabulary.columns[0].values[1], "dark \"red\"");
    written = nnrt_vocabulary_text(&table.vocabulary);
    CHECK_TEXT(written, "[{\"column\":\"color\",\"values\":[\"blue\",\"dark "
                        "\\\"red\\\"\",\"red\"]},{\"column\":\"size\",\"values\":[\"L\","
                        "\"M\",\"S\"]},{\"column\":\"kind\",\"values\":[\"cat\",\"dog\"]}]");
    CHECK(nnrt_vocabulary_parse(written, "model", &kept) == 0);
    CHECK(nnrt_vocabulary_parse("[{\"column\":\"a\",\"values\":[\"x\"}]", "m.safetensors", &copied) != 0);
    CHECK_TEXT(nnrt_error_text(), "m.safetensors: the words of the text columns cannot be read: a bracket, colon or "
                                  "comma is missing; the file is damaged");
    free(written);
    later.vocabulary = &kept;
    CHECK(parse("kind,size,color,a\ndog,M,red,7\n", source, later) == 0); /* another order of columns and words */
    ROW(0, 1, 0, 0, 1, 7);
    CHECK(table.target_i32[0] == 1);
    expect_error(parse("a,color,size,kind\n1,purple,L,cat\n", source, later),
                 "data.csv:2:2: column 'color': the model does not know \"purple\"; it knows \"blue\", \"dark "
                 "\"red\"\", \"red\" (3 in all)");
    later.need_target = false; /* predict: the file may lack the target */
    CHECK(parse("a,color,size\n1,red,L\n", source, later) == 0);
    ROW(0, 1, 0, 0, 1, 0);
    CHECK(parse(data, source, later) == 0 && table.columns == 5 && table.target_i32 == NULL);
    expect_error(
        parse("a,colour,size\n1,red,L\n", source, later),
        "data.csv:1: there is no column 'color' for the text; the columns are a, colour, size; did you mean 'colour'?");
    expect_error(parse("a,color,size,kind\n1,r\xE9,L,cat\n", source, WITH_CLASS(2)),
                 "data.csv:2:2: column 'color': the text is not UTF-8; save the file as UTF-8");
    nnrt_vocabulary_free(&kept);
}

/* A target that is known by position: the width of the file decides whether it is there. */
static void check_predict(void) {
    nnrt_table_request request = {.input_size = 2};
    CHECK(parse("1,2\n3,4\n", plain(NULL), request) == 0 && table.columns == 2);
    CHECK(parse("1,2,9\n3,4,9\n", plain(NULL), request) == 0 && table.columns == 2);
    ROW(1, 3, 4);
    CHECK(parse("9,1,2\n9,3,4\n", plain("#0"), request) == 0);
    ROW(1, 3, 4);
    CHECK(parse("1,2\n3,4\n", plain("#0"), request) == 0);
    ROW(1, 3, 4);
    CHECK(parse("a,b\n3,4\n", plain("y"), request) == 0);
    ROW(0, 3, 4);
}

/* A model that knows its inputs by name takes them in its order, wherever they stand. */
static void check_names(void) {
    nnrt_vocabulary kept, again;
    nnrt_table_request by_name = {.vocabulary = &kept}, measure = {.need_target = true, .vocabulary = &kept};
    char *written;
    CHECK(parse("a,y,\"b \"\"q\"\"\",c\n1,9,2,3\n", plain("y"), WITH_TARGET) == 0);
    CHECK(table.vocabulary.count == 0 && table.vocabulary.input_count == 3);
    CHECK(nnrt_vocabulary_copy(&table.vocabulary, &again) == 0 && nnrt_vocabulary_known(&again) == &again);
    written = nnrt_vocabulary_inputs_text(&again);
    CHECK_TEXT(written, "[\"a\",\"b \\\"q\\\"\",\"c\"]");
    nnrt_vocabulary_free(&again);
    CHECK(nnrt_vocabulary_known(&again) == NULL);
    CHECK(nnrt_vocabulary_inputs_parse("[\"a\",", "m.safetensors", &again) != 0 && again.input_count == 0);
    CHECK(strncmp(nnrt_error_text(), "m.safetensors: the names of the columns cannot be read: ", 56) == 0);
    memset(&kept, 0, sizeof kept);
    CHECK(nnrt_vocabulary_inputs_parse(written, "model", &kept) == 0 && kept.input_count == 3);
    free(written);
    CHECK(parse("y,c,\"b \"\"q\"\"\",a\n9,3,2,1\n", plain("y"), measure) == 0 && table.target_f32[0] == 9);
    ROW(0, 1, 2, 3);
    CHECK(parse("c,id,\"b \"\"q\"\"\",a\n3,7,2,1\n", plain("y"), by_name) == 0); /* no target, one more column */
    ROW(0, 1, 2, 3);
    CHECK(parse("y,c,a,\"b \"\"q\"\"\"\n9,3,1,2\n", plain(NULL), by_name) ==
          0); /* the last is an input, not the target */
    ROW(0, 1, 2, 3);
    CHECK(parse("3,2,1,9\n", plain(NULL), measure) == 0); /* no header: as the columns stand */
    ROW(0, 3, 2, 1);
    expect_error(
        parse("y,c,\"b \"\"p\"\"\",a\n9,3,2,1\n", plain("y"), measure),
        "data.csv:1: there is no column 'b \"q\"' for the inputs; the columns are y, c, b \"p\", a; did you mean "
        "'b \"p\"'?");
    expect_error(
        parse("y,c,a,\"b \"\"q\"\"\"\n9,3,1,2\n", plain(NULL), measure),
        "data.csv:1: column 'b \"q\"' (#3) is an input of the model, but would be read as the target; name the "
        "right column");
    expect_error(parse("c,id,\"b \"\"q\"\"\",a,y\n3,7,2,1,9\n", plain(NULL), measure),
                 "data.csv:1: the model does not know column 'id', and the target is given by position: leave out the "
                 "column, or name the target");
    expect_error(parse("a,c,\"b \"\"q\"\"\",a,y\n1,3,2,1,9\n", plain("y"), measure),
                 "data.csv:1: two columns are called 'a' (#0 and #3), which is an input of the model; leave out one");
    nnrt_vocabulary_free(&kept);
    CHECK(parse("a,a,y\n1,2,3\n", plain("y"), WITH_TARGET) == 0 && table.vocabulary.input_count == 0);
    CHECK(parse("a\xE9,b,y\n1,2,3\n", plain("y"), WITH_TARGET) == 0 && table.vocabulary.input_count == 0);
    CHECK(parse("1,2,3\n", plain(NULL), WITH_TARGET) == 0 && table.vocabulary.input_count == 0);
}

/* Words and names together; a text column that is given by position may not move. */
static void check_names_and_words(void) {
    static const nnrt_text_column named[] = {{"color", NNRT_TEXT_ONE_HOT}}, placed[] = {{"#1", NNRT_TEXT_ONE_HOT}};
    nnrt_data_source source = plain("y");
    nnrt_vocabulary kept;
    nnrt_table_request later = {.need_target = true, .vocabulary = &kept};
    source.text = named;
    source.text_count = 1;
    CHECK(parse("a,color,b,y\n1,red,2,9\n3,blue,4,8\n", source, WITH_TARGET) == 0);
    CHECK(nnrt_vocabulary_copy(&table.vocabulary, &kept) == 0 && kept.count == 1 && kept.input_count == 3);
    CHECK(parse("b,y,a,color\n4,8,3,blue\n", source, later) == 0);
    ROW(0, 3, 1, 0, 4);
    CHECK(table.target_f32[0] == 8);
    nnrt_vocabulary_free(&kept);
    source.text = placed;
    CHECK(parse("a,color,b,y\n1,red,2,9\n3,blue,4,8\n", source, WITH_TARGET) == 0);
    CHECK(nnrt_vocabulary_copy(&table.vocabulary, &kept) == 0 && kept.count == 1 && kept.input_count == 3);
    CHECK(parse("a,color,b,y\n3,blue,4,8\n", source, later) == 0);
    ROW(0, 3, 1, 0, 4);
    expect_error(
        parse("b,color,a,y\n4,blue,3,8\n", source, later),
        "data.csv:1: the columns are not those of the training data in their order, and a text column is given "
        "by position; name it");
    nnrt_vocabulary_free(&kept);
}

/* Inputs that the source lists: in its order, wherever they stand, and nothing else of the file is read. */
static void check_listed(void) {
    static const char *const columns[] = {"km", "#1", "fuel"}, *const numbers[] = {"km", "year"},
                             *const wrong[] = {"km", "price"};
    static const nnrt_text_column text[] = {{"fuel", NNRT_TEXT_ONE_HOT}};
    nnrt_data_source source = plain("price");
    source.columns = columns;
    source.column_count = 3;
    source.text = text;
    source.text_count = 1;
    const char *cars = "name,year,fuel,price,km\nA,1999,gas,7,50\nB,2001,oil,8,\"40\"\n";
    CHECK(parse(cars, source, WITH_TARGET) == 0);
    ROW(0, 50, 1999, 1, 0);
    ROW(1, 40, 2001, 0, 1);
    CHECK(table.target_f32[0] == 7 && table.target_f32[1] == 8);
    CHECK(table.vocabulary.input_count == 3);
    for (int i = 0; i < 3 && i < table.vocabulary.input_count; i++)
        CHECK_TEXT(table.vocabulary.inputs[i], i == 0 ? "km" : i == 1 ? "year" : "fuel");
    CHECK(parse("fuel,year,km\noil,1,2\n", source, (nnrt_table_request){.input_size = 3}) == 0);
    ROW(0, 2, 1, 1);
    source.columns = numbers;
    source.column_count = 2;
    source.text_count = 0;
    CHECK(parse("3,4\n", source, (nnrt_table_request){.input_size = 2}) == 0); /* predict: the inputs alone */
    ROW(0, 3, 4);
    expect_error(parse("year,price\n3,4\n", source, (nnrt_table_request){.input_size = 2}),
                 "data.csv:1: there is no column 'km' for the inputs; the columns are year, price");
    source.columns = wrong;
    expect_error(parse(cars, source, WITH_TARGET),
                 "data.csv:1: column 'price' (#3) is an input of the model, but would "
                 "be read as the target; name the right column");
}

static int read_file(const nnrt_data_source *source) {
    nnrt_table_free(&table);
    return nnrt_table_read(source, &WITH_TARGET, &table);
}

static void check_files(void) {
    char path[] = "/tmp/nnrt-test-csv-XXXXXX", message[200];
    int descriptor = mkstemp(path);
    nnrt_data_source source = plain("y");
    source.file = "/nonexistent/data.csv";
    CHECK(read_file(&source) == NNRT_ERROR_FILE);
    CHECK_TEXT(nnrt_error_text(), "/nonexistent/data.csv: cannot open: No such file or directory; check the path");
    source.file = "/tmp";
    CHECK(read_file(&source) == NNRT_ERROR_FILE);
    CHECK_TEXT(nnrt_error_text(), "/tmp: is a folder; name a file in it");
    CHECK(descriptor >= 0 && write(descriptor, "a,y\n1,2\nx,3\n", 12) == 12);
    source.file = path;
    CHECK(read_file(&source) == NNRT_ERROR_DATA);
    snprintf(message, sizeof message,
             "%s:3:1: column 'a': \"x\" is not a number; correct the cell, name the column in one_hot= or index=, or "
             "leave it out of columns=",
             path);
    CHECK_TEXT(nnrt_error_text(), message);
    source.count = 1; /* the bad row is not taken */
    CHECK(read_file(&source) == 0 && table.rows == 1);
    source.count = -1;
    CHECK(freopen(path, "r", stdin) != NULL); /* standard input */
    source.file = "-";
    CHECK(read_file(&source) == NNRT_ERROR_DATA);
    CHECK(strncmp(nnrt_error_text(), "standard input:3:1: ", 20) == 0);
    close(descriptor);
    unlink(path);
}

static void check_speed(void) {
    enum { ROWS = 20000, COLUMNS = 65 };
    char *text = malloc(ROWS * COLUMNS * 12), *at = text;
    struct timespec start, end;
    double seconds, megabytes;
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < COLUMNS; k++)
            at += sprintf(at, "%.5f%c", (i * 31 + k * 17) % 1000 / 137.0, k + 1 < COLUMNS ? ',' : '\n');
    clock_gettime(CLOCK_MONOTONIC, &start);
    CHECK(parse(text, plain(NULL), WITH_TARGET) == 0 && table.rows == ROWS);
    clock_gettime(CLOCK_MONOTONIC, &end);
    seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    megabytes = (double)(at - text) * 1e-6;
    printf("%.1f MB in %.3f s: %.0f MB/s\n", megabytes, seconds, megabytes / seconds);
    CHECK(megabytes / seconds > 2); /* sanitizers and busy machines included */
    free(text);
}

int main(void) {
    check_plain();
    check_quotes();
    check_numbers();
    check_shape_errors();
    check_other_files();
    check_target_width();
    check_classes();
    check_weights_and_rows();
    check_words();
    check_predict();
    check_names();
    check_names_and_words();
    check_listed();
    check_files();
    check_speed();
    nnrt_table_free(&table);
    return test_report();
}
