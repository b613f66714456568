/* The plan of a CSV file: header or not, where target, weight and text columns are, where each value goes. */
#include "nnrt_csv_columns.h"
#include "nnrt_error.h"
#include "nnrt_json.h"
#include "nnrt_text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *nnrt_csv_name(const nnrt_csv_plan *plan, int64_t column, char *buffer) {
    if (plan->names)
        snprintf(buffer, 80, "'%.70s'", plan->names[column]);
    else
        snprintf(buffer, 80, "#%lld", (long long)column);
    return buffer;
}

void nnrt_csv_plan_free(nnrt_csv_plan *plan) {
    for (int64_t i = 0; plan->names && i < plan->count; i++)
        free(plan->names[i]);
    free(plan->names);
    free(plan->columns);
    free(plan->order);
    plan->order = NULL;
    plan->names = NULL;
    plan->columns = NULL;
}

static bool is_number(const char *text) {
    char *end;
    strtod(text, &end);
    return end > text && !*end;
}

/* The first row holds numbers where the names of the columns should stand. */
static bool names_are_numbers(const nnrt_csv_plan *plan) {
    for (int64_t i = 0; i < plan->count; i++)
        if (!is_number(plan->names[i]))
            return false;
    return true;
}

/* "no such column": lists those that there are, and the nearest. */
static int no_such_column(const nnrt_csv_plan *plan, const char *what, const char *name) {
    if (names_are_numbers(plan))
        return nnrt_error(NNRT_ERROR_DATA,
                          "%s:%lld: the first row holds numbers, not the names of the columns, and the %s need%s '%s'; "
                          "put a row of names first, or give exactly the inputs in the order of the training data",
                          plan->file, (long long)plan->header_line, what, what[strlen(what) - 1] == 's' ? "" : "s",
                          name);
    char list[600] = "";
    size_t used = 0;
    nnrt_nearest nearest = {name, NULL, 4};
    for (int64_t i = 0; i < plan->count; i++) {
        nnrt_nearest_consider(&nearest, plan->names[i]);
        if (used < 400)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%.100s", i ? ", " : "", plan->names[i]);
        else if (i == plan->count - 1)
            snprintf(list + used, sizeof list - used, ", ... (%lld in all)", (long long)plan->count);
    }
    return nnrt_error(NNRT_ERROR_DATA, "%s:%lld: there is no column '%s' for the %s; the columns are %s%s%.70s%s",
                      plan->file, (long long)plan->header_line, name, what, list,
                      nearest.name ? "; did you mean '" : "", nearest.name ? nearest.name : "",
                      nearest.name ? "'?" : "");
}

/* Position of a column by "#3" or by name; -1 if it is not there and need not be; -2 with an error. */
static int64_t find_column(const nnrt_csv_plan *plan, const char *what, const char *name, bool needed) {
    int64_t found = -1;
    if (name[0] == '#') {
        char *end;
        long long index = strtoll(name + 1, &end, 10);
        if (name[1] >= '0' && name[1] <= '9' && !*end && index < plan->count)
            return index;
        if (!needed)
            return -1;
        return nnrt_error(NNRT_ERROR_DATA, "%s:%lld: there is no column %s for the %s; the columns are #0 to #%lld",
                          plan->file, (long long)plan->header_line, name, what, (long long)plan->count - 1),
               -2;
    }
    for (int64_t i = 0; plan->names && i < plan->count; i++) {
        if (strcmp(plan->names[i], name) != 0)
            continue;
        if (found >= 0)
            return nnrt_error(NNRT_ERROR_DATA,
                              "%s:%lld: two columns are called '%s' (#%lld and #%lld); give the position instead",
                              plan->file, (long long)plan->header_line, name, (long long)found, (long long)i),
                   -2;
        found = i;
    }
    if (found >= 0 || !needed)
        return found;
    if (!plan->names)
        return nnrt_error(
                   NNRT_ERROR_DATA,
                   "%s: has no header, so there is no column '%s' for the %s; write \"#0\" to \"#%lld\" by position",
                   plan->file, name, what, (long long)plan->count - 1),
               -2;
    return no_such_column(plan, what, name), -2;
}

static bool by_name(const char *column) {
    return column && column[0] != '#';
}

static bool all_numbers(const nnrt_csv_scanner *row) {
    double value;
    for (int64_t i = 0; i < row->count; i++)
        if (nnrt_csv_number(&row->cells[i], &value) != NNRT_CSV_NUMBER)
            return false;
    return true;
}

/* predict: nothing but the inputs, in the order of the training data, needs no names. Where the names themselves are
 * numbers, a row of numbers may be they. */
static bool is_bare_inputs(const nnrt_csv_plan *plan, const nnrt_csv_scanner *row) {
    const nnrt_table_request *request = plan->request;
    const nnrt_vocabulary *known = request->vocabulary;
    return !request->need_target && !(known && known->input_count && is_number(known->inputs[0])) &&
           plan->source->text_count == 0 && row->count == request->input_size && all_numbers(row);
}

/* A header, where a column is called by name, or a cell of a column of numbers is not a number. */
static bool first_row_is_header(const nnrt_data_source *source, const nnrt_csv_scanner *row) {
    bool named = by_name(source->target) || by_name(source->weight);
    for (int i = 0; i < source->text_count; i++)
        named = named || by_name(source->text[i].column);
    for (int i = 0; i < source->column_count; i++)
        named = named || by_name(source->columns[i]);
    for (int i = 0; i < source->target_count; i++)
        named = named || by_name(source->targets[i]);
    for (int64_t i = 0; i < row->count && !named; i++) {
        char position[32];
        double value;
        bool text = false;
        snprintf(position, sizeof position, "#%lld", (long long)i);
        for (int k = 0; k < source->text_count; k++)
            text = text || strcmp(source->text[k].column, position) == 0;
        named = !text && nnrt_csv_number(&row->cells[i], &value) == NNRT_CSV_TEXT;
    }
    return named;
}

static int take_names(nnrt_csv_plan *plan, const nnrt_csv_scanner *row) {
    plan->names = calloc((size_t)plan->count, sizeof *plan->names);
    for (int64_t i = 0; plan->names && i < plan->count; i++) {
        char *name = nnrt_csv_word(&row->cells[i]), *start = name, *end;
        if (!name)
            return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for its header", plan->file);
        while (*start == ' ' || *start == '\t')
            start++;
        end = start + strlen(start);
        while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
            *--end = 0;
        memmove(name, start, (size_t)(end - start) + 1);
        plan->names[i] = name;
    }
    return plan->names ? NNRT_OK : nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for its header", plan->file);
}

/* One column for each output, named one by one. */
static int plan_target_list(nnrt_csv_plan *plan, int64_t width) {
    const nnrt_data_source *source = plan->source;
    bool needed = plan->request->need_target;
    if (needed && source->target_count != width)
        return nnrt_error(NNRT_ERROR_DATA, "%s:%lld: %d columns are named for the target, the model takes %lld",
                          plan->file, (long long)plan->header_line, source->target_count, (long long)width);
    for (int k = 0; k < source->target_count; k++) {
        int64_t column = find_column(plan, "target", source->targets[k], needed);
        if (column == -2)
            return NNRT_ERROR_DATA;
        if (column < 0)
            continue;
        plan->columns[column].role = needed ? NNRT_CSV_TARGET : NNRT_CSV_SKIPPED;
        plan->columns[column].offset = k;
        plan->target = plan->target < 0 ? column : plan->target;
    }
    return NNRT_OK;
}

static int target_too_wide(const nnrt_csv_plan *plan, int64_t column, int64_t width) {
    char name[80] = "", from[100] = "";
    if (column >= 0)
        snprintf(from, sizeof from, ", from %s on", nnrt_csv_name(plan, column, name));
    return nnrt_error(NNRT_ERROR_DATA,
                      "%s:%lld: the model and its loss take %lld columns as target%s, but there are only %lld; change "
                      "the last layer or the loss, or name the columns",
                      plan->file, (long long)plan->header_line, (long long)width, from,
                      (long long)(column < 0 ? plan->count : plan->count - column));
}

static int plan_target(nnrt_csv_plan *plan) {
    int64_t width = nnrt_table_file_targets(plan->request);
    bool needed = plan->request->need_target;
    int64_t column = plan->count - width;
    plan->target = -1;
    if (plan->request->all_inputs)
        return NNRT_OK;
    if (plan->source->target_count > 1)
        return plan_target_list(plan, width);
    if (plan->source->target)
        column = find_column(plan, "target", plan->source->target, needed);
    if (column == -2 && plan->source->target)
        return NNRT_ERROR_DATA;
    if (column < 0 || column + width > plan->count)
        return needed ? target_too_wide(plan, column, width) : NNRT_OK;
    plan->target = column;
    for (int64_t k = 0; k < width; k++) {
        plan->columns[column + k].role = needed ? NNRT_CSV_TARGET : NNRT_CSV_SKIPPED;
        plan->columns[column + k].offset = k;
    }
    return NNRT_OK;
}

static int plan_weight(nnrt_csv_plan *plan) {
    const char *name = plan->source->weight;
    bool needed = plan->request->need_weight;
    int64_t column;
    if (!name)
        return !needed ? NNRT_OK
                       : nnrt_error(NNRT_ERROR_ARGUMENT, "%s: no column is named for the sample weights", plan->file);
    column = find_column(plan, "sample weight", name, needed);
    if (column == -2)
        return NNRT_ERROR_DATA;
    if (column < 0)
        return NNRT_OK;
    if (plan->columns[column].role == NNRT_CSV_TARGET)
        return nnrt_error(NNRT_ERROR_DATA, "%s:%lld: column %s is the target and the sample weight; name the target",
                          plan->file, (long long)plan->header_line, name);
    plan->columns[column].role = needed ? NNRT_CSV_WEIGHT : NNRT_CSV_SKIPPED;
    return NNRT_OK;
}

static int plan_text(nnrt_csv_plan *plan) {
    for (int i = 0; i < plan->source->text_count; i++) {
        const nnrt_text_column *text = &plan->source->text[i];
        bool is_target = plan->source->target && strcmp(plan->source->target, text->column) == 0;
        int64_t column = find_column(plan, "text", text->column, !is_target);
        if (column == -2)
            return NNRT_ERROR_DATA;
        if (column < 0)
            continue;
        plan->columns[column].mode = text->mode;
        plan->columns[column].words = text->mode == NNRT_TEXT_ERROR ? -1 : i;
    }
    return NNRT_OK;
}

/* ---- inputs by name: the model knows what the columns of its training data were called */

typedef struct {
    const char *name;
    int64_t column;
} NamedColumn;

static int compare_named(const void *a, const void *b) {
    const NamedColumn *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order ? order : (left->column > right->column) - (left->column < right->column);
}

/* The columns of the file sorted by name; malloc'ed, NULL if there is no memory. */
static NamedColumn *sort_names(const nnrt_csv_plan *plan) {
    NamedColumn *sorted = malloc((size_t)plan->count * sizeof *sorted);
    for (int64_t i = 0; sorted && i < plan->count; i++)
        sorted[i] = (NamedColumn){plan->names[i], i};
    if (sorted)
        qsort(sorted, (size_t)plan->count, sizeof *sorted, compare_named);
    return sorted;
}

/* The first place in `sorted` with this name, or plan->count. */
static int64_t find_sorted(const nnrt_csv_plan *plan, const NamedColumn *sorted, const char *name) {
    int64_t low = 0, high = plan->count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (strcmp(sorted[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < plan->count && strcmp(sorted[low].name, name) == 0 ? low : plan->count;
}

/* An input that is the target or the sample weight at the same time. */
static int input_has_role(const nnrt_csv_plan *plan, const char *name, int64_t column) {
    return nnrt_error(NNRT_ERROR_DATA,
                      "%s:%lld: column '%s' (#%lld) is an input of the model, but would be read as the %s; name the "
                      "right column",
                      plan->file, (long long)plan->header_line, name, (long long)column,
                      plan->columns[column].role == NNRT_CSV_TARGET ? "target" : "sample weight");
}

static int order_inputs(nnrt_csv_plan *plan, const nnrt_vocabulary *known, const NamedColumn *sorted) {
    for (int64_t i = 0; i < known->input_count; i++) {
        int64_t at = find_sorted(plan, sorted, known->inputs[i]);
        if (at == plan->count)
            return no_such_column(plan, "inputs", known->inputs[i]);
        int64_t column = sorted[at].column;
        if (at + 1 < plan->count && strcmp(sorted[at + 1].name, known->inputs[i]) == 0)
            return nnrt_error(NNRT_ERROR_DATA,
                              "%s:%lld: two columns are called '%s' (#%lld and #%lld), which is an input of the model; "
                              "leave out one",
                              plan->file, (long long)plan->header_line, known->inputs[i], (long long)column,
                              (long long)sorted[at + 1].column);
        if (plan->columns[column].role == NNRT_CSV_TARGET || plan->columns[column].role == NNRT_CSV_WEIGHT)
            return input_has_role(plan, known->inputs[i], column);
        plan->order[i] = column;
    }
    return NNRT_OK;
}

/* Columns that are known are inputs, the others none. The first of these, or -1. */
static int64_t skip_unknown(nnrt_csv_plan *plan) {
    int64_t stranger = -1;
    for (int64_t i = 0; i < plan->count; i++) {
        nnrt_csv_column *column = &plan->columns[i];
        if (column->known)
            column->role = NNRT_CSV_INPUT;
        else if (column->role == NNRT_CSV_INPUT) {
            column->role = NNRT_CSV_SKIPPED;
            stranger = stranger < 0 ? i : stranger;
        }
    }
    return stranger;
}

/* What is called by position must stand where it stood: then no other column may, nor may a text column move. */
static int check_positions(const nnrt_csv_plan *plan, int64_t inputs, int64_t stranger) {
    bool target = plan->request->need_target && !by_name(plan->source->target), text = false, moved = stranger >= 0;
    for (int64_t i = 1; i < inputs; i++)
        moved = moved || plan->order[i] < plan->order[i - 1];
    for (int i = 0; i < plan->source->text_count; i++)
        text = text || !by_name(plan->source->text[i].column);
    if (target && stranger >= 0)
        return nnrt_error(
            NNRT_ERROR_DATA,
            "%s:%lld: the model does not know column '%s', and the target is given by position: leave out "
            "the column, or name the target",
            plan->file, (long long)plan->header_line, plan->names[stranger]);
    if (text && moved)
        return nnrt_error(NNRT_ERROR_DATA,
                          "%s:%lld: the columns are not those of the training data in their order, and a text column "
                          "is given by position; name it",
                          plan->file, (long long)plan->header_line);
    return NNRT_OK;
}

/* The inputs that the source lists, in its order; other columns are the target, the sample weight, or skipped. */
static int plan_listed(nnrt_csv_plan *plan) {
    const nnrt_data_source *source = plan->source;
    plan->order = malloc((size_t)source->column_count * sizeof *plan->order);
    if (!plan->order)
        return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for its columns", plan->file);
    for (int i = 0; i < source->column_count; i++) {
        int64_t at = find_column(plan, "inputs", source->columns[i], true);
        if (at < 0)
            return NNRT_ERROR_DATA;
        nnrt_csv_column *column = &plan->columns[at];
        if (column->known)
            return nnrt_error(NNRT_ERROR_DATA, "%s:%lld: column #%lld is listed twice, once as %s", plan->file,
                              (long long)plan->header_line, (long long)at, source->columns[i]);
        if (column->role == NNRT_CSV_TARGET || column->role == NNRT_CSV_WEIGHT)
            return input_has_role(plan, source->columns[i], at);
        column->known = true;
        plan->order[plan->order_count++] = at;
    }
    skip_unknown(plan);
    return NNRT_OK;
}

/* The inputs in the order of the training data. Columns that it did not have are skipped. */
static int plan_inputs(nnrt_csv_plan *plan) {
    const nnrt_vocabulary *known = plan->request->vocabulary;
    if (plan->source->column_count > 0 && !plan->bare)
        return plan_listed(plan);
    if (!known || known->input_count == 0 || !plan->names)
        return NNRT_OK;
    plan->order_count = known->input_count;
    plan->order = malloc((size_t)known->input_count * sizeof *plan->order);
    NamedColumn *sorted = plan->order ? sort_names(plan) : NULL;
    if (!sorted)
        return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for its columns", plan->file);
    int code = order_inputs(plan, known, sorted);
    free(sorted);
    if (code)
        return code;
    for (int64_t i = 0; i < known->input_count; i++)
        plan->columns[plan->order[i]].known = true;
    int64_t stranger = skip_unknown(plan);
    return check_positions(plan, known->input_count, stranger);
}

int nnrt_csv_keep_names(const nnrt_csv_plan *plan, nnrt_vocabulary *vocabulary) {
    NamedColumn *sorted = plan->names ? sort_names(plan) : NULL;
    bool distinct = sorted != NULL, copied = true;
    for (int64_t i = 1; distinct && i < plan->count; i++)
        distinct = strcmp(sorted[i - 1].name, sorted[i].name) != 0;
    for (int64_t i = 0; distinct && i < plan->count; i++)
        distinct = nnrt_json_is_utf8(plan->names[i]);
    free(sorted);
    if (plan->names && !sorted)
        return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for the names of its columns", plan->file);
    if (!distinct)
        return NNRT_OK;
    vocabulary->inputs = calloc((size_t)plan->count, sizeof *vocabulary->inputs);
    int64_t listed = plan->order ? plan->order_count : plan->count;
    for (int64_t i = 0; vocabulary->inputs && copied && i < listed; i++) {
        int64_t column = plan->order ? plan->order[i] : i;
        if (plan->columns[column].role == NNRT_CSV_INPUT) {
            char *name = strdup(plan->names[column]);
            copied = name != NULL;
            if (copied)
                vocabulary->inputs[vocabulary->input_count++] = name;
        }
    }
    return vocabulary->inputs && copied
               ? NNRT_OK
               : nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for the names of its columns", plan->file);
}

/* A row of one cell that would be several with another separator. */
static int check_separator(const nnrt_csv_plan *plan, const nnrt_csv_scanner *row) {
    static const char *const others[] = {";", "\t", "|", ","}, *const spellings[] = {";", "\\t", "|", ","};
    const nnrt_table_request *request = plan->request;
    if (row->count != 1 || (request->input_size <= 1 && !request->need_target))
        return NNRT_OK;
    for (int i = 0; i < 4; i++)
        if (others[i][0] != plan->source->separator && memchr(row->cells[0].text, others[i][0], row->cells[0].length))
            return nnrt_error(NNRT_ERROR_DATA,
                              "%s:%lld: the row is a single cell, \"%.*s\"; if its columns are separated by %s, write "
                              "csv(..., separator=\"%s\") in the program",
                              plan->file, (long long)row->row_line,
                              (int)(row->cells[0].length < 60 ? row->cells[0].length : 60), row->cells[0].text,
                              i == 1 ? "tabs" : others[i], spellings[i]);
    return NNRT_OK;
}

int nnrt_csv_plan_columns(nnrt_csv_plan *plan, const nnrt_csv_scanner *first_row, bool *header) {
    const nnrt_data_source *source = plan->source;
    int code = check_separator(plan, first_row);
    if (code)
        return code;
    plan->bare = source->header_auto && is_bare_inputs(plan, first_row);
    *header = source->header_auto ? !plan->bare && first_row_is_header(source, first_row) : source->header;
    plan->count = first_row->count;
    plan->header_line = first_row->row_line;
    plan->columns = plan->count > 0 ? calloc((size_t)plan->count, sizeof *plan->columns) : NULL;
    if (!plan->columns)
        return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for its columns", plan->file);
    for (int64_t i = 0; i < plan->count; i++)
        plan->columns[i].words = -1;
    if (*header && (code = take_names(plan, first_row)) != 0)
        return code;
    code = plan_target(plan);
    if (!code)
        code = plan_text(plan);
    if (!code)
        code = plan_weight(plan);
    return code ? code : plan_inputs(plan);
}

static int64_t column_width(const nnrt_csv_column *column, const nnrt_vocabulary *vocabulary) {
    return column->words >= 0 && column->mode == NNRT_TEXT_ONE_HOT ? vocabulary->columns[column->words].count : 1;
}

/* The words of a target are classes, of which the model has so many. */
static int check_target_words(const nnrt_csv_plan *plan, const nnrt_vocabulary *vocabulary) {
    const nnrt_table_request *request = plan->request;
    if (!request->need_target || request->class_count <= 0 || request->vocabulary)
        return NNRT_OK;
    for (int64_t i = 0; i < plan->count; i++) {
        const nnrt_csv_column *column = &plan->columns[i];
        if (column->role != NNRT_CSV_TARGET || column->words < 0)
            continue;
        const nnrt_vocabulary_column *words = &vocabulary->columns[column->words];
        char name[80], list[600] = "";
        size_t used = 0;
        if (words->count <= request->class_count)
            continue;
        for (int64_t k = 0; k < words->count && used < 400; k++)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s\"%.60s\"", k ? ", " : "", words->values[k]);
        return nnrt_error(
            NNRT_ERROR_DATA,
            "%s: column %s has %lld different words, but the model has %lld classes: %s; correct the data, "
            "or the last layer",
            plan->file, nnrt_csv_name(plan, i, name), (long long)words->count, (long long)request->class_count, list);
    }
    return NNRT_OK;
}

int nnrt_csv_layout(nnrt_csv_plan *plan, const nnrt_vocabulary *vocabulary) {
    int64_t all = 0, expected = plan->request->input_size;
    bool counted = !plan->source->target || plan->source->target[0] == '#';
    for (int64_t i = 0; i < plan->count; i++)
        if (__builtin_add_overflow(all, column_width(&plan->columns[i], vocabulary), &all))
            return nnrt_error(NNRT_ERROR_DATA, "%s: has too many columns", plan->file);
    /* A file for predict may lack the target. If that is known by position only, the width tells. */
    if (counted && !plan->order && !plan->request->need_target && expected > 0 && all == expected)
        for (int64_t i = 0; i < plan->count; i++)
            plan->columns[i].role = NNRT_CSV_INPUT;
    int64_t listed = plan->order ? plan->order_count : plan->count;
    plan->inputs = 0;
    for (int64_t i = 0; i < listed; i++) {
        nnrt_csv_column *column = &plan->columns[plan->order ? plan->order[i] : i];
        if (column->role != NNRT_CSV_INPUT)
            continue;
        column->offset = plan->inputs;
        plan->inputs += column_width(column, vocabulary);
    }
    return check_target_words(plan, vocabulary);
}
