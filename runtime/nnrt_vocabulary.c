/* Vocabularies: copy, free, and their text forms in a weights file: [{"column":"color","values":["blue","red"]}] for
 * the words of text columns, ["age","color"] for the names of the inputs. */
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
    for (int64_t i = 0; i < vocabulary->input_count; i++)
        free(vocabulary->inputs[i]);
    free(vocabulary->inputs);
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

static bool copy_words(const nnrt_vocabulary *from, nnrt_vocabulary *to) {
    if (!(to->columns = calloc((size_t)from->count + 1, sizeof *to->columns)))
        return false;
    while (to->count < from->count) {
        int i = to->count++;
        if (!copy_column(&from->columns[i], &to->columns[i]))
            return false;
    }
    return true;
}

static bool copy_inputs(const nnrt_vocabulary *from, nnrt_vocabulary *to) {
    if (!(to->inputs = calloc((size_t)from->input_count + 1, sizeof *to->inputs)))
        return false;
    for (; to->input_count < from->input_count; to->input_count++)
        if (!(to->inputs[to->input_count] = strdup(from->inputs[to->input_count])))
            return false;
    return true;
}

int nnrt_vocabulary_copy(const nnrt_vocabulary *from, nnrt_vocabulary *to) {
    memset(to, 0, sizeof *to);
    if ((from->count == 0 || copy_words(from, to)) && (from->input_count == 0 || copy_inputs(from, to)))
        return NNRT_OK;
    nnrt_vocabulary_free(to);
    return nnrt_error(NNRT_ERROR_MEMORY, "no memory for the names and words of the columns");
}

const nnrt_vocabulary *nnrt_vocabulary_known(const nnrt_vocabulary *vocabulary) {
    return vocabulary->count > 0 || vocabulary->input_count > 0 ? vocabulary : NULL;
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

static void text_say_strings(Text *text, char **strings, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        text_say(text, i ? "," : "");
        nnrt_json_quote(strings[i], text_put, text);
    }
}

static char *text_end(Text *text) {
    text_say(text, "]");
    if (text->failed)
        free(text->data);
    return text->failed ? NULL : text->data;
}

char *nnrt_vocabulary_text(const nnrt_vocabulary *vocabulary) {
    Text text = {0};
    text_say(&text, "[");
    for (int i = 0; i < vocabulary->count; i++) {
        const nnrt_vocabulary_column *column = &vocabulary->columns[i];
        text_say(&text, i ? ",{\"column\":" : "{\"column\":");
        nnrt_json_quote(column->column, text_put, &text);
        text_say(&text, ",\"values\":[");
        text_say_strings(&text, column->values, column->count);
        text_say(&text, "]}");
    }
    return text_end(&text);
}

char *nnrt_vocabulary_inputs_text(const nnrt_vocabulary *vocabulary) {
    Text text = {0};
    text_say(&text, "[");
    text_say_strings(&text, vocabulary->inputs, vocabulary->input_count);
    return text_end(&text);
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

static bool read_strings(nnrt_json *json, char *scratch, char ***strings, int64_t *count) {
    int64_t capacity = 0;
    if (!nnrt_json_expect(json, '['))
        return false;
    if (nnrt_json_take(json, ']'))
        return true;
    do {
        if (*count == capacity) {
            char **grown = realloc(*strings, (size_t)(capacity = 2 * capacity + 8) * sizeof *grown);
            if (!grown)
                return json->error = "no memory", false;
            *strings = grown;
        }
        if (!read_string(json, scratch, &(*strings)[*count]))
            return false;
        ++*count;
    } while (nnrt_json_take(json, ','));
    return nnrt_json_expect(json, ']');
}

static bool read_values(nnrt_json *json, char *scratch, nnrt_vocabulary_column *column) {
    if (!read_strings(json, scratch, &column->values, &column->count))
        return false;
    for (int64_t i = 1; i < column->count; i++)
        if (strcmp(column->values[i - 1], column->values[i]) >= 0)
            return json->error = "words are not sorted", false;
    return true;
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

int nnrt_vocabulary_inputs_parse(const char *text, const char *file, nnrt_vocabulary *vocabulary) {
    nnrt_json json = {.at = text, .end = text + strlen(text)};
    char *scratch = malloc(strlen(text) + 1);
    if (!scratch)
        return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for the names of the columns", file);
    bool good = read_strings(&json, scratch, &vocabulary->inputs, &vocabulary->input_count) && nnrt_json_at_end(&json);
    free(scratch);
    if (good)
        return NNRT_OK;
    nnrt_vocabulary_free(vocabulary);
    return nnrt_error(NNRT_ERROR_FORMAT, "%s: the names of the columns cannot be read: %s; the file is damaged", file,
                      json.error ? json.error : "text after the end");
}
