/* Vocabularies of text columns: copy, free, and their text form in a weights file:
 * [{"column":"color","values":["blue","red"]}]. */
#include "nnrt_error.h"
#include "nnrt_json.h"
#include "nnrt_table.h"
#include <stdlib.h>
#include <string.h>

void nnrt_vocabulary_free(nnrt_vocabulary *vocabulary) {
    for (int i = 0; i < vocabulary->count; i++) {
        nnrt_vocabulary_column *column = &vocabulary->columns[i];
        for (int64_t k = 0; k < column->count; k++)
            free(column->values[k]);
        free(column->values);
        free(column->column);
    }
    free(vocabulary->columns);
    memset(vocabulary, 0, sizeof *vocabulary);
}

static bool copy_column(const nnrt_vocabulary_column *from, nnrt_vocabulary_column *to) {
    if (!(to->column = strdup(from->column)) || !(to->values = calloc((size_t)from->count + 1, sizeof *to->values)))
        return false;
    for (; to->count < from->count; to->count++)
        if (!(to->values[to->count] = strdup(from->values[to->count])))
            return false;
    return true;
}

int nnrt_vocabulary_copy(const nnrt_vocabulary *from, nnrt_vocabulary *to) {
    memset(to, 0, sizeof *to);
    if (from->count == 0)
        return NNRT_OK;
    to->columns = calloc((size_t)from->count, sizeof *to->columns);
    for (int i = 0; to->columns && i < from->count; i++) {
        to->count = i + 1;
        if (!copy_column(&from->columns[i], &to->columns[i]))
            break;
        if (i + 1 == from->count)
            return NNRT_OK;
    }
    nnrt_vocabulary_free(to);
    return nnrt_error(NNRT_ERROR_MEMORY, "no memory for the words of the text columns");
}

typedef struct {
    char *data;
    size_t size, capacity;
    bool failed;
} Text;

static void text_put(void *context, const char *bytes, size_t count) {
    Text *text = context;
    if (text->failed)
        return;
    if (text->size + count + 1 > text->capacity) {
        size_t capacity = (text->size + count + 64) * 2;
        char *grown = realloc(text->data, capacity);
        if (!grown) {
            text->failed = true;
            return;
        }
        text->data = grown;
        text->capacity = capacity;
    }
    memcpy(text->data + text->size, bytes, count);
    text->size += count;
    text->data[text->size] = 0;
}

static void text_say(Text *text, const char *words) {
    text_put(text, words, strlen(words));
}

char *nnrt_vocabulary_text(const nnrt_vocabulary *vocabulary) {
    Text text = {0};
    text_say(&text, "[");
    for (int i = 0; i < vocabulary->count; i++) {
        const nnrt_vocabulary_column *column = &vocabulary->columns[i];
        text_say(&text, i ? ",{\"column\":" : "{\"column\":");
        nnrt_json_quote(column->column, text_put, &text);
        text_say(&text, ",\"values\":[");
        for (int64_t k = 0; k < column->count; k++) {
            text_say(&text, k ? "," : "");
            nnrt_json_quote(column->values[k], text_put, &text);
        }
        text_say(&text, "]}");
    }
    text_say(&text, "]");
    if (text.failed)
        free(text.data);
    return text.failed ? NULL : text.data;
}

static bool read_string(nnrt_json *json, char *scratch, char **out) {
    if (!nnrt_json_string(json, scratch))
        return false;
    if (!(*out = strdup(scratch)))
        json->error = "no memory";
    return *out != NULL;
}

static bool read_key(nnrt_json *json, char *scratch, const char *key) {
    if (!nnrt_json_string(json, scratch) || !nnrt_json_expect(json, ':'))
        return false;
    if (strcmp(scratch, key) != 0)
        json->error = "an unknown key";
    return !json->error;
}

static bool read_values(nnrt_json *json, char *scratch, nnrt_vocabulary_column *column) {
    int64_t capacity = 0;
    if (!nnrt_json_expect(json, '['))
        return false;
    if (nnrt_json_take(json, ']'))
        return true;
    do {
        if (column->count == capacity) {
            char **grown = realloc(column->values, (size_t)(capacity = 2 * capacity + 8) * sizeof *grown);
            if (!grown)
                return json->error = "no memory", false;
            column->values = grown;
        }
        if (!read_string(json, scratch, &column->values[column->count]))
            return false;
        column->count++;
        if (column->count > 1 && strcmp(column->values[column->count - 2], column->values[column->count - 1]) >= 0)
            return json->error = "words are not sorted", false;
    } while (nnrt_json_take(json, ','));
    return nnrt_json_expect(json, ']');
}

static bool read_column(nnrt_json *json, char *scratch, nnrt_vocabulary *vocabulary) {
    size_t bytes = (size_t)(vocabulary->count + 1) * sizeof *vocabulary->columns;
    nnrt_vocabulary_column *grown = realloc(vocabulary->columns, bytes), *column;
    if (!grown)
        return json->error = "no memory", false;
    vocabulary->columns = grown;
    column = &grown[vocabulary->count++];
    memset(column, 0, sizeof *column);
    return nnrt_json_expect(json, '{') && read_key(json, scratch, "column") &&
           read_string(json, scratch, &column->column) && nnrt_json_expect(json, ',') &&
           read_key(json, scratch, "values") && read_values(json, scratch, column) && nnrt_json_expect(json, '}');
}

int nnrt_vocabulary_parse(const char *text, const char *file, nnrt_vocabulary *vocabulary) {
    nnrt_json json = {.at = text, .end = text + strlen(text)};
    char *scratch = malloc(strlen(text) + 1);
    bool good;
    memset(vocabulary, 0, sizeof *vocabulary);
    if (!scratch)
        return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for the words of the text columns", file);
    good = nnrt_json_expect(&json, '[');
    if (good && !nnrt_json_take(&json, ']')) {
        do
            good = read_column(&json, scratch, vocabulary);
        while (good && nnrt_json_take(&json, ','));
        good = good && nnrt_json_expect(&json, ']');
    }
    good = good && nnrt_json_at_end(&json);
    free(scratch);
    if (good)
        return NNRT_OK;
    nnrt_vocabulary_free(vocabulary);
    return nnrt_error(NNRT_ERROR_FORMAT, "%s: the words of the text columns cannot be read: %s; the file is damaged",
                      file, json.error ? json.error : "text after the end");
}
