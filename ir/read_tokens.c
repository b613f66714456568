/* Tokens of the text form, and the small pieces that everything else is made of: marks, numbers, words, types. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "ir/reader.h"

bool reader_error(Reader *reader, Span span, const char *format, ...) {
    Text message = {0};
    va_list arguments;
    va_start(arguments, format);
    text_vformat(&message, format, arguments);
    va_end(arguments);
    diag_error(reader->diag, span, "%s", message.data);
    text_free(&message);
    reader->failed = true;
    return false;
}

/* ---- tokens ---- */

static char peek(const Reader *reader, uint32_t ahead) {
    return reader->at + ahead < reader->file->length ? reader->file->text[reader->at + ahead] : '\0';
}

static bool skip_blanks(Reader *reader) {
    bool line_break = reader->at == 0;
    while (reader->at < reader->file->length) {
        char c = peek(reader, 0);
        if (c == '#')
            while (reader->at < reader->file->length && peek(reader, 0) != '\n')
                reader->at++;
        else if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
            line_break |= reader->file->text[reader->at++] == '\n';
        else
            break;
    }
    return line_break;
}

static bool is_name_byte(char c, bool symbol) {
    return isalnum((unsigned char)c) || c == '_' || c == '.' || (symbol && c == '/');
}

static const char *take_name(Reader *reader, bool symbol) {
    uint32_t start = reader->at;
    while (is_name_byte(peek(reader, 0), symbol))
        reader->at++;
    return intern_length(reader->module->names, reader->file->text + start, reader->at - start);
}

static int hex_digit(char c) {
    const char *digits = "0123456789abcdef", *found = c ? strchr(digits, tolower((unsigned char)c)) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* A quoted string; NULL after a message. */
static const char *take_quoted(Reader *reader) {
    Text text = {0};
    uint32_t start = reader->at++;
    const char *result = NULL;
    text_add(&text, "");
    for (;;) {
        char c = peek(reader, 0);
        if (c == '\0' || c == '\n') {
            reader_error(reader, (Span){reader->file, start, reader->at}, "this string has no end on its line");
            break;
        }
        reader->at++;
        if (c == '"') {
            result = intern(reader->module->names, text.data);
            break;
        }
        if (c == '\\' && peek(reader, 0) == 'x') {
            int high = hex_digit(peek(reader, 1)), low = high < 0 ? -1 : hex_digit(peek(reader, 2));
            if (low < 0 || high * 16 + low == 0) {
                reader_error(reader, (Span){reader->file, reader->at - 1, reader->at + 1},
                             "two hexadecimal digits, not both 0, must follow \\x");
                break;
            }
            c = (char)(high * 16 + low);
            reader->at += 3;
        } else if (c == '\\' && peek(reader, 0) != '\0' && peek(reader, 0) != '\n') {
            c = reader->file->text[reader->at++];
        }
        text_add_length(&text, &c, 1);
    }
    text_free(&text);
    return result;
}

static void take_named(Reader *reader, Token *token, TokenKind kind) {
    reader->at++;
    token->kind = kind;
    if (peek(reader, 0) == '"') {
        token->text = take_quoted(reader);
        token->kind = token->text ? kind : TOKEN_BAD;
        return;
    }
    token->text = take_name(reader, kind == TOKEN_SYMBOL);
    token->unnamed = kind == TOKEN_VALUE && token->text[strspn(token->text, "0123456789")] == '\0';
    if (!*token->text) {
        reader_error(reader, (Span){reader->file, token->span.start, reader->at}, "a name must follow `%c`",
                     kind == TOKEN_SYMBOL ? '@' : '%');
        token->kind = TOKEN_BAD;
    }
}

static void take_number(Reader *reader, Token *token) {
    const char *text = reader->file->text + reader->at;
    char *end;
    token->kind = TOKEN_NUMBER;
    token->number = strtod(text, &end);
    reader->at += (uint32_t)(end - text);
    size_t digits = strspn(text + (*text == '-'), "0123456789");
    errno = 0;
    token->integer = strtoll(text, NULL, 10);
    token->is_integer = (*text == '-') + digits == (size_t)(end - text) && errno == 0;
}

static bool at_number(const Reader *reader) {
    char c = peek(reader, 0), next = peek(reader, 1);
    if (c == '-' && next == 'i')
        return strncmp(reader->file->text + reader->at, "-inf", 4) == 0;
    return isdigit((unsigned char)c) || ((c == '-' || c == '.') && isdigit((unsigned char)next));
}

void reader_advance(Reader *reader) {
    reader->last_end = reader->token.span.end;
    Token token = {.starts_line = skip_blanks(reader)};
    token.span = (Span){reader->file, reader->at, reader->at};
    char c = peek(reader, 0);
    if (reader->at >= reader->file->length) {
        token.kind = TOKEN_END;
    } else if (c == '%' || c == '@') {
        take_named(reader, &token, c == '%' ? TOKEN_VALUE : TOKEN_SYMBOL);
    } else if (c == '"') {
        token.text = take_quoted(reader);
        token.kind = token.text ? TOKEN_STRING : TOKEN_BAD;
    } else if (at_number(reader)) {
        take_number(reader, &token);
    } else if (isalpha((unsigned char)c) || c == '_') {
        token.kind = TOKEN_WORD;
        token.text = take_name(reader, false);
    } else if (c == '-' && peek(reader, 1) == '>') {
        token.kind = TOKEN_ARROW;
        reader->at += 2;
    } else if (c && strchr("()[]{},:=*", c)) {
        token.kind = TOKEN_MARK;
        token.mark = c;
        reader->at++;
    } else {
        token.kind = TOKEN_BAD;
        reader->at++;
        reader_error(reader, (Span){reader->file, token.span.start, reader->at}, "this character has no meaning here");
    }
    token.span.end = reader->at;
    reader->token = token;
}

/* ---- pieces ---- */

bool reader_expected(Reader *reader, const char *what) {
    Span span = reader->token.span;
    reader->failed = true;
    if (reader->token.kind == TOKEN_BAD)
        return false;
    if (reader->token.kind == TOKEN_END)
        return reader_error(reader, span, "expected %s, found the end of the file", what);
    return reader_error(reader, span, "expected %s, found `%.*s`", what, (int)(span.end - span.start),
                        reader->file->text + span.start);
}

bool reader_at_mark(const Reader *reader, char mark) {
    return reader->token.kind == TOKEN_MARK && reader->token.mark == mark;
}

bool reader_at_word(const Reader *reader, const char *word) {
    return reader->token.kind == TOKEN_WORD && strcmp(reader->token.text, word) == 0;
}

bool reader_accept_mark(Reader *reader, char mark) {
    bool here = reader_at_mark(reader, mark);
    if (here)
        reader_advance(reader);
    return here;
}

bool reader_accept_word(Reader *reader, const char *word) {
    bool here = reader_at_word(reader, word);
    if (here)
        reader_advance(reader);
    return here;
}

bool reader_mark(Reader *reader, char mark) {
    return reader_accept_mark(reader, mark) || reader_expected(reader, (char[]){'`', mark, '`', '\0'});
}

bool reader_integer(Reader *reader, int64_t low, int64_t high, int64_t *integer) {
    const Token *token = &reader->token;
    if (token->kind != TOKEN_NUMBER)
        return reader_expected(reader, "a whole number");
    if (!token->is_integer || token->integer < low || token->integer > high)
        return reader_error(reader, token->span, "expected a whole number from %lld to %lld", (long long)low,
                            (long long)high);
    *integer = token->integer;
    reader_advance(reader);
    return true;
}

bool reader_number(Reader *reader, double *number) {
    if (reader->token.kind == TOKEN_NUMBER)
        *number = reader->token.number;
    else if (reader_at_word(reader, "nan") || reader_at_word(reader, "inf"))
        *number = strtod(reader->token.text, NULL);
    else
        return reader_expected(reader, "a number");
    reader_advance(reader);
    return true;
}

bool reader_keyed_integer(Reader *reader, const char *key, int64_t low, int64_t high, int64_t *integer) {
    if (!reader_accept_word(reader, key))
        return reader_expected(reader, key);
    return reader_mark(reader, '=') && reader_integer(reader, low, high, integer);
}

bool reader_choice(Reader *reader, const char *what, const char *const *names, int count, int *choice) {
    if (reader->token.kind != TOKEN_WORD)
        return reader_expected(reader, what);
    for (*choice = 0; *choice < count; ++*choice)
        if (reader_accept_word(reader, names[*choice]))
            return true;
    reader_error(reader, reader->token.span, "`%s` is no %s", reader->token.text, what);
    const char *nearest = text_nearest(reader->token.text, names, count);
    if (nearest)
        diag_help(reader->diag, "did you mean `%s`?", nearest);
    return false;
}

static bool read_dim(Reader *reader, Dim *dim) {
    *dim = dim_static(1);
    if (reader->token.kind == TOKEN_NUMBER) {
        if (!reader_integer(reader, 1, (int64_t)1 << MAX_ELEMENTS_LOG2, &dim->n))
            return false;
        if (!reader_accept_mark(reader, '*'))
            return true;
    }
    dim->batch = true;
    return reader_accept_word(reader, "B") || reader_expected(reader, "an extent (a number, B or a multiple 3*B)");
}

bool reader_type(Reader *reader, const Type **type) {
    Dim dims[MAX_RANK];
    int rank = 0, dtype;
    Span span = reader->token.span;
    if (!reader_choice(reader, "dtype (f32, i32 or bool)", dtype_names, 3, &dtype))
        return false;
    if (reader_accept_mark(reader, '[')) {
        do {
            if (rank == MAX_RANK)
                return reader_error(reader, reader->token.span, "a tensor has at most %d axes", MAX_RANK);
            if (!read_dim(reader, &dims[rank++]))
                return false;
        } while (reader_accept_mark(reader, ','));
        if (!reader_mark(reader, ']'))
            return false;
    }
    span.end = reader->last_end;
    *type = type_get(reader->module, (Dtype)dtype, rank, dims);
    if (type_is_valid(reader->module, *type))
        return true;
    for (int i = 1; i < rank; i++)
        if (dims[i].batch)
            return reader_error(reader, span, "only the first axis can be a multiple of the batch B");
    return reader_error(reader, span, "%s has more than 2^%d elements", type_text(reader->arena, *type),
                        MAX_ELEMENTS_LOG2);
}

bool reader_variable(Reader *reader, Variable **variable) {
    Module *module = reader->module;
    if (reader->token.kind != TOKEN_SYMBOL)
        return reader_expected(reader, "a variable (@name)");
    *variable = module_find_variable(module, reader->token.text);
    if (!*variable) {
        const char **names = ARENA_ARRAY(reader->arena, const char *, module->variable_count);
        for (int i = 0; i < module->variable_count; i++)
            names[i] = module->variables[i]->name;
        reader_error(reader, reader->token.span, "there is no variable @%s", reader->token.text);
        const char *nearest = text_nearest(reader->token.text, names, module->variable_count);
        if (nearest)
            diag_help(reader->diag, "did you mean @%s?", nearest);
        return false;
    }
    reader_advance(reader);
    return true;
}
