/* The text reader: checks the encoding, takes the chosen characters, collects or looks up their numbers. */
#include "nnrt_characters.h"
#include "nnrt_error.h"
#include "nnrt_file.h"
#include "nnrt_json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHARACTER_CODES = 0x110000 };

typedef struct {
    const char *text, *end, *file; /* the whole */
    const char *from, *to;         /* what is chosen */
    int64_t count;                 /* characters of it */
    const nnrt_data_source *source;
    const nnrt_table_request *request;
    nnrt_table *table;
} CharacterReader;

const nnrt_vocabulary_column *nnrt_characters_known(const nnrt_vocabulary *vocabulary) {
    for (int i = 0; vocabulary && i < vocabulary->count; i++)
        if (strcmp(vocabulary->columns[i].column, NNRT_CHARACTERS) == 0)
            return &vocabulary->columns[i];
    return NULL;
}

/* UTF-8 sorts as its code points do. */
int64_t nnrt_character_number(const nnrt_vocabulary_column *known, const char *character, int length) {
    int64_t low = 0, high = known->count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = strncmp(known->values[middle], character, (size_t)length);
        if (order == 0)
            return middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

const char *nnrt_character_name(const char *character, int length, char *text) {
    uint32_t code = 0;
    nnrt_utf8_decode(character, character + length, &code);
    if (code < 0x20 || (code >= 0x7f && code < 0xa0))
        snprintf(text, 24, "U+%04X", (unsigned)code);
    else
        snprintf(text, 24, "'%.*s' (U+%04X)", length, character, (unsigned)code);
    return text;
}

/* Puts FILE:LINE:COLUMN in front; columns count characters. */
static int character_error(const CharacterReader *reader, const char *at, int code, const char *message) {
    long long line = 1, column = 1;
    for (const char *c = reader->text; c < at; c++) {
        column = *c == '\n' ? 1 : column + (((unsigned char)*c & 0xC0) != 0x80);
        line += *c == '\n';
    }
    return nnrt_error(code, "%s:%lld:%lld: %s", reader->file, line, column, message);
}

/* Checks all of the text, and finds the chosen part. */
static int choose_characters(CharacterReader *reader) {
    int64_t first = reader->source->first > 0 ? reader->source->first : 0, wanted = reader->source->count, present = 0;
    if (reader->end - reader->text >= 3 && memcmp(reader->text, "\xEF\xBB\xBF", 3) == 0)
        reader->text += 3;
    reader->from = reader->to = reader->end;
    if (reader->text == reader->end)
        return nnrt_error(NNRT_ERROR_DATA, "%s: the file is empty", reader->file);
    for (const char *at = reader->text; at < reader->end; present++) {
        int length = nnrt_utf8_decode(at, reader->end, NULL);
        if (length == 0)
            return character_error(reader, at, NNRT_ERROR_FORMAT, "the text is not UTF-8; save the file as UTF-8");
        if (!*at)
            return character_error(reader, at, NNRT_ERROR_FORMAT, "there is a zero byte; this is not a text file");
        if (present == first)
            reader->from = at;
        if (wanted >= 0 && present - first == wanted)
            reader->to = at;
        at += length;
    }
    if (first >= present || wanted == 0)
        return nnrt_error(NNRT_ERROR_DATA, "%s: characters from %lld on are asked for, but there are only %lld",
                          reader->file, (long long)first, (long long)present);
    reader->count = wanted >= 0 && wanted < present - first ? wanted : present - first;
    return NNRT_OK;
}

static int add_character(const CharacterReader *reader, nnrt_vocabulary_column *column, uint32_t code) {
    char *value = calloc(1, 5);
    if (!value)
        return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for its characters", reader->file);
    nnrt_utf8_encode(value, code);
    column->values[column->count++] = value;
    return NNRT_OK;
}

static int collect_codes(const CharacterReader *reader, bool *seen, nnrt_vocabulary_column *column) {
    int64_t different = 0;
    int code = NNRT_OK;
    for (const char *at = reader->from; at < reader->to;) {
        uint32_t character;
        at += nnrt_utf8_decode(at, reader->to, &character);
        different += !seen[character];
        seen[character] = true;
    }
    if (!(column->values = calloc((size_t)different + 1, sizeof *column->values)))
        return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for its characters", reader->file);
    for (uint32_t character = 0; character < CHARACTER_CODES && !code; character++)
        if (seen[character])
            code = add_character(reader, column, character);
    return code;
}

/* The characters of the text become the vocabulary of the table. */
static int collect_characters(const CharacterReader *reader) {
    nnrt_vocabulary *vocabulary = &reader->table->vocabulary;
    bool *seen = calloc(CHARACTER_CODES, sizeof *seen);
    vocabulary->columns = calloc(1, sizeof *vocabulary->columns);
    if (vocabulary->columns && seen && (vocabulary->columns[0].column = strdup(NNRT_CHARACTERS)))
        vocabulary->count = 1;
    int code = vocabulary->count ? collect_codes(reader, seen, &vocabulary->columns[0])
                                 : nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory for its characters", reader->file);
    free(seen);
    return code;
}

static int take_vocabulary(const CharacterReader *reader) {
    const nnrt_table_request *request = reader->request;
    nnrt_vocabulary *vocabulary = &reader->table->vocabulary;
    int code;
    if (!request->vocabulary)
        code = collect_characters(reader);
    else if (!nnrt_characters_known(request->vocabulary))
        return nnrt_error(NNRT_ERROR_DATA, "%s: the model was not trained on text; train it again", reader->file);
    else
        code = nnrt_vocabulary_copy(request->vocabulary, vocabulary);
    if (code)
        return code;
    int64_t count = nnrt_characters_known(vocabulary)->count;
    if (request->class_count > 0 && count > request->class_count)
        return nnrt_error(NNRT_ERROR_DATA,
                          "%s: the text has %lld different characters, but the model has %lld classes; the last layer "
                          "needs at least %lld units",
                          reader->file, (long long)count, (long long)request->class_count, (long long)count);
    return NNRT_OK;
}

static int fill_numbers(const CharacterReader *reader) {
    const nnrt_vocabulary_column *known = nnrt_characters_known(&reader->table->vocabulary);
    nnrt_table *table = reader->table;
    int64_t i = 0;
    for (const char *at = reader->from; at < reader->to; i++) {
        int length = nnrt_utf8_decode(at, reader->to, NULL);
        int64_t number = nnrt_character_number(known, at, length);
        if (number < 0) {
            char name[24], message[160];
            snprintf(message, sizeof message,
                     "the character %s is not in the text that the model was trained on; replace it, or train with it",
                     nnrt_character_name(at, length, name));
            return character_error(reader, at, NNRT_ERROR_DATA, message);
        }
        table->x[i] = (float)number;
        if (table->target_i32)
            table->target_i32[i] = (int32_t)number;
        at += length;
    }
    return NNRT_OK;
}

/* How many windows there are, and where their targets lie. */
static int lay_windows(const CharacterReader *reader) {
    const nnrt_table_request *request = reader->request;
    nnrt_table *table = reader->table;
    int64_t window = reader->source->window, stride = reader->source->stride > 0 ? reader->source->stride : window;
    int64_t needed = window + (request->need_target ? 1 : 0);
    if (window < 1 || (request->input_size > 0 && request->input_size != window))
        return nnrt_error(NNRT_ERROR_ARGUMENT, "%s: windows of %lld characters, but the model takes %lld", reader->file,
                          (long long)window, (long long)request->input_size);
    if (request->need_target && (request->target_dtype != NNRT_I32 || request->target_one_hot ||
                                 (request->target_size > 1 && request->target_size != window)))
        return nnrt_error(NNRT_ERROR_ARGUMENT, "%s: the model's target is not the number of a character", reader->file);
    if (reader->count < needed)
        return nnrt_error(NNRT_ERROR_DATA,
                          "%s: a window of %lld characters%s needs %lld, but there are only %lld; take more text, or "
                          "shorter windows",
                          reader->file, (long long)window, request->need_target ? " and the one after it" : "",
                          (long long)needed, (long long)reader->count);
    bool each = request->target_size == window;
    table->windows = true;
    table->rows = (reader->count - needed) / stride + 1;
    table->rank = 1;
    table->columns = table->dims[0] = window;
    table->x_stride = table->target_stride = stride;
    table->target_first = each ? 1 : window;
    table->target_dtype = NNRT_I32;
    table->target_size = each ? window : 1;
    return NNRT_OK;
}

static int read_characters(CharacterReader *reader) {
    nnrt_table *table = reader->table;
    int code = choose_characters(reader);
    if (!code)
        code = lay_windows(reader);
    if (!code)
        code = take_vocabulary(reader);
    if (!code)
        table->x = nnrt_table_memory(reader->file, reader->count, 1, &code);
    if (!code && reader->request->need_target)
        table->target_i32 = nnrt_table_memory(reader->file, reader->count, 1, &code);
    return code ? code : fill_numbers(reader);
}

int nnrt_characters_parse(const char *text, size_t bytes, const char *file, const nnrt_data_source *source,
                          const nnrt_table_request *request, nnrt_table *table) {
    CharacterReader reader = {
        .text = text, .end = text + bytes, .file = file, .source = source, .request = request, .table = table};
    memset(table, 0, sizeof *table);
    int code = read_characters(&reader);
    if (code)
        nnrt_table_free(table);
    return code;
}

int nnrt_characters_read(const nnrt_data_source *source, const nnrt_table_request *request, nnrt_table *table) {
    return nnrt_table_read_text(nnrt_characters_parse, source, request, table);
}
