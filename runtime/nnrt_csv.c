/* The CSV reader. The text is gone through twice: once to count rows, check their length and collect words, once to
 * fill the table. */
#include "nnrt_csv.h"
#include "nnrt_csv_columns.h"
#include "nnrt_csv_words.h"
#include "nnrt_error.h"
#include "nnrt_file.h"
#include "nnrt_json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *text, *file;
    size_t bytes;
    nnrt_csv_plan plan;
    bool header;
    int64_t first, rows; /* the chosen ones */
    nnrt_vocabulary words;
    nnrt_csv_word_set *sets; /* one per text column, or NULL: words were given */
    nnrt_table *table;
} Reader;

/* Puts FILE:ROW:COLUMN in front of a message about a cell. */
static int cell_error(const Reader *reader, const nnrt_csv_scanner *row, int64_t column, const char *message) {
    char name[80], kept[1200];
    snprintf(kept, sizeof kept, "%s", message);
    return nnrt_error(NNRT_ERROR_DATA, "%s:%lld:%lld: column %s: %s", reader->file, (long long)row->row_line,
                      (long long)column + 1, nnrt_csv_name(&reader->plan, column, name), kept);
}

static int number_error(const Reader *reader, const nnrt_csv_scanner *row, int64_t column, nnrt_csv_kind kind) {
    static const char *const remedies[] = {
        [NNRT_CSV_EMPTY] = "the cell is empty; put a number in, or leave out the row",
        [NNRT_CSV_NOT_FINITE] = "is not a finite number; replace it, or leave out the row",
        [NNRT_CSV_TOO_LARGE] = "is too large for 32-bit floats; rescale the column",
        [NNRT_CSV_TEXT] = "is not a number; correct the cell, name the column in one_hot= or index=, or leave it out "
                          "of columns=",
    };
    const nnrt_csv_cell *cell = &row->cells[column];
    char message[300];
    const char *remedy = remedies[kind];
    if (kind == NNRT_CSV_TEXT && reader->plan.request->all_inputs)
        remedy = "is not a number; list the columns of the inputs without it, or correct the cell";
    if (kind == NNRT_CSV_EMPTY)
        snprintf(message, sizeof message, "%s", remedy);
    else
        snprintf(message, sizeof message, "\"%.*s\" %s", (int)(cell->length < 60 ? cell->length : 60), cell->text,
                 remedy);
    return cell_error(reader, row, column, message);
}

static int word_error(const Reader *reader, const nnrt_csv_scanner *row, int64_t column) {
    const nnrt_csv_cell *cell = &row->cells[column];
    const nnrt_vocabulary_column *words = &reader->words.columns[reader->plan.columns[column].words];
    char message[900];
    size_t used = (size_t)snprintf(message, sizeof message, "the model does not know \"%.*s\"; it knows",
                                   (int)(cell->length < 60 ? cell->length : 60), cell->text);
    for (int64_t i = 0; i < words->count && used < 600; i++)
        used += (size_t)snprintf(message + used, sizeof message - used, "%s \"%.60s\"", i ? "," : "", words->values[i]);
    snprintf(message + used, sizeof message - used, " (%lld in all)", (long long)words->count);
    return cell_error(reader, row, column, message);
}

static int check_length(const Reader *reader, const nnrt_csv_scanner *row) {
    if (row->count == reader->plan.count)
        return NNRT_OK;
    return nnrt_error(NNRT_ERROR_DATA, "%s:%lld:%lld: the row has %lld cells, the first row (line %lld) has %lld; %s",
                      reader->file, (long long)row->row_line,
                      (long long)(row->count < reader->plan.count ? row->count : reader->plan.count) + 1,
                      (long long)row->count, (long long)reader->plan.header_line, (long long)reader->plan.count,
                      row->count == 1 ? "is the separator right?" : "correct the row");
}

static int collect_words(Reader *reader, const nnrt_csv_scanner *row) {
    for (int64_t i = 0; i < row->count; i++) {
        int words = reader->plan.columns[i].words;
        const nnrt_vocabulary_column *known = words >= 0 ? &reader->words.columns[words] : NULL;
        int64_t before = known ? known->count : 0;
        if (!known)
            continue;
        if (!nnrt_csv_words_add(&reader->sets[words], &row->cells[i]))
            return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for the words of its text columns", reader->file);
        if (known->count > before && !nnrt_json_is_utf8(known->values[before]))
            return cell_error(reader, row, i, "the text is not UTF-8; save the file as UTF-8");
    }
    return NNRT_OK;
}

/* Either all words from the request, in the source's order, or empty sets to be filled. */
static int prepare_words(Reader *reader) {
    const nnrt_data_source *source = reader->plan.source;
    const nnrt_vocabulary *given = reader->plan.request->vocabulary;
    if (source->text_count == 0)
        return NNRT_OK;
    if (given) {
        bool same = given->count == source->text_count;
        for (int i = 0; same && i < given->count; i++)
            same = strcmp(given->columns[i].column, source->text[i].column) == 0;
        if (!same)
            return nnrt_error(NNRT_ERROR_DATA, "%s: the model was trained with other text columns; train it again",
                              reader->file);
        return nnrt_vocabulary_copy(given, &reader->words);
    }
    reader->words.columns = calloc((size_t)source->text_count, sizeof *reader->words.columns);
    reader->sets = calloc((size_t)source->text_count, sizeof *reader->sets);
    for (int i = 0; reader->words.columns && reader->sets && i < source->text_count; i++) {
        reader->words.count = i + 1;
        reader->sets[i].column = &reader->words.columns[i];
        if (!(reader->words.columns[i].column = strdup(source->text[i].column)))
            break;
        if (i + 1 == source->text_count)
            return NNRT_OK;
    }
    return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for the words of its text columns", reader->file);
}

/* First time through. */
static int survey(Reader *reader, nnrt_csv_scanner *row) {
    const nnrt_data_source *source = reader->plan.source;
    int64_t first = source->first > 0 ? source->first : 0, present = 0;
    int status = nnrt_csv_row(row), code;
    if (status < 0)
        return NNRT_ERROR_FORMAT;
    if (status == 0)
        return nnrt_error(NNRT_ERROR_DATA, "%s: the file is empty", reader->file);
    code = nnrt_csv_plan_columns(&reader->plan, row, &reader->header);
    if (!code)
        code = prepare_words(reader);
    if (!code && reader->header)
        status = nnrt_csv_row(row);
    for (; !code && status > 0; status = nnrt_csv_row(row)) {
        bool chosen = present >= first && (source->count < 0 || present - first < source->count);
        code = check_length(reader, row);
        if (!code && reader->sets && chosen)
            code = collect_words(reader, row);
        present++;
        if (code)
            return code;
    }
    if (status < 0)
        return NNRT_ERROR_FORMAT;
    for (int i = 0; reader->sets && i < reader->words.count; i++)
        nnrt_csv_words_finish(&reader->sets[i]);
    return code ? code : nnrt_table_choose_rows(source, reader->file, present, &reader->first, &reader->rows);
}

static void fill_input(Reader *reader, const nnrt_csv_column *column, double value, int64_t sample) {
    float *x = reader->table->x + sample * reader->table->x_stride + column->offset;
    if (column->words >= 0 && column->mode == NNRT_TEXT_ONE_HOT)
        x[(int64_t)value] = 1.0f;
    else
        *x = (float)value;
}

static int fill_cell(Reader *reader, const nnrt_csv_scanner *row, int64_t i, int64_t sample) {
    const nnrt_csv_column *column = &reader->plan.columns[i];
    double value;
    if (column->words >= 0) {
        int64_t word = nnrt_csv_words_find(&reader->words.columns[column->words], &row->cells[i]);
        if (word < 0)
            return word_error(reader, row, i);
        value = (double)word;
    } else {
        nnrt_csv_kind kind = nnrt_csv_number(&row->cells[i], &value);
        if (kind != NNRT_CSV_NUMBER)
            return number_error(reader, row, i, kind);
    }
    if (column->role == NNRT_CSV_INPUT) {
        if (column->words < 0 && nnrt_table_check_class(reader->plan.request, column->offset, value))
            return cell_error(reader, row, i, nnrt_error_text());
        fill_input(reader, column, value, sample);
        return NNRT_OK;
    }
    if (column->role == NNRT_CSV_TARGET)
        return nnrt_table_set_target(reader->table, reader->plan.request, sample, column->offset, value)
                   ? cell_error(reader, row, i, nnrt_error_text())
                   : NNRT_OK;
    if (value < 0)
        return cell_error(reader, row, i, "a sample weight is negative; weights are 0 or more");
    reader->table->weight[sample] = (float)value;
    return NNRT_OK;
}

/* Second time through. */
static int fill(Reader *reader, nnrt_csv_scanner *row) {
    int64_t last = reader->first + reader->rows;
    int code = NNRT_OK;
    if (reader->header)
        nnrt_csv_row(row);
    for (int64_t n = 0; n < last && !code; n++) {
        nnrt_csv_row(row); /* went well the first time */
        for (int64_t i = 0; n >= reader->first && i < row->count && !code; i++)
            if (reader->plan.columns[i].role != NNRT_CSV_SKIPPED)
                code = fill_cell(reader, row, i, n - reader->first);
    }
    return code;
}

static int pass(Reader *reader, int (*work)(Reader *, nnrt_csv_scanner *)) {
    nnrt_csv_scanner row;
    int code = nnrt_csv_open(&row, reader->text, reader->bytes, reader->file, reader->plan.source->separator);
    if (!code)
        code = work(reader, &row);
    nnrt_csv_close(&row);
    return code;
}

int nnrt_csv_parse(const char *text, size_t bytes, const char *file, const nnrt_data_source *source,
                   const nnrt_table_request *request, nnrt_table *table) {
    Reader reader = {.text = text, .file = file, .bytes = bytes, .table = table};
    int code;
    memset(table, 0, sizeof *table);
    reader.plan = (nnrt_csv_plan){.file = file, .source = source, .request = request, .target = -1};
    code = pass(&reader, survey);
    if (!code)
        code = nnrt_csv_layout(&reader.plan, &reader.words);
    if (!code && !request->vocabulary)
        code = nnrt_csv_keep_names(&reader.plan, &reader.words);
    if (!code && reader.plan.inputs == 0)
        code = nnrt_error(NNRT_ERROR_DATA, "%s: has no column for the inputs", file);
    if (!code)
        code = nnrt_table_allocate(table, request, file, reader.rows, reader.plan.inputs);
    if (!code)
        code = pass(&reader, fill);
    for (int i = 0; reader.sets && i < reader.words.count; i++)
        free(reader.sets[i].slots);
    free(reader.sets);
    nnrt_csv_plan_free(&reader.plan);
    table->vocabulary = reader.words;
    table->rank = 1;
    table->dims[0] = table->columns;
    if (code)
        nnrt_table_free(table);
    return code;
}

int nnrt_csv_read(const nnrt_data_source *source, const nnrt_table_request *request, nnrt_table *table) {
    return nnrt_table_read_text(nnrt_csv_parse, source, request, table);
}
