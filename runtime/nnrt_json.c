/* The strict JSON reader, and the writer of strings. Needs nothing; takes no memory. */
#include "nnrt_json.h"
#include <stdio.h>
#include <string.h>

static bool fail(nnrt_json *json, const char *error) {
    if (!json->error)
        json->error = error;
    return false;
}

static void skip_space(nnrt_json *json) {
    while (json->at < json->end && (*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r'))
        json->at++;
}

bool nnrt_json_take(nnrt_json *json, char c) {
    skip_space(json);
    if (json->error || json->at >= json->end || *json->at != c)
        return false;
    json->at++;
    return true;
}

bool nnrt_json_expect(nnrt_json *json, char c) {
    return nnrt_json_take(json, c) ||
           fail(json, c == '"' ? "a string is missing" : "a bracket, colon or comma is missing");
}

bool nnrt_json_at_end(nnrt_json *json) {
    skip_space(json);
    return !json->error && json->at == json->end;
}

bool nnrt_json_integer(nnrt_json *json, uint64_t *value) {
    const char *first;
    skip_space(json);
    first = json->at;
    *value = 0;
    while (!json->error && json->at < json->end && *json->at >= '0' && *json->at <= '9') {
        if (__builtin_mul_overflow(*value, (uint64_t)10, value) ||
            __builtin_add_overflow(*value, (uint64_t)(*json->at - '0'), value))
            return fail(json, "a number is too large");
        json->at++;
    }
    if (json->at == first || (*first == '0' && json->at - first > 1))
        return fail(json, "a whole number is missing");
    return !json->error;
}

int nnrt_utf8_decode(const char *at, const char *end, uint32_t *character) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)*at;
    int length = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    uint32_t code = length == 1 ? first : first & (0x7Fu >> length);
    if (length == 0 || end - at < length)
        return 0;
    for (int i = 1; i < length; i++) {
        if (((unsigned char)at[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | ((unsigned char)at[i] & 0x3Fu);
    }
    if (character)
        *character = code;
    return code < least[length] || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000) ? 0 : length;
}

char *nnrt_utf8_encode(char *out, uint32_t code) {
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xC0 | code >> 6);
        *out++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        *out++ = (char)(0xE0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    } else {
        *out++ = (char)(0xF0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 0x3F));
        *out++ = (char)(0x80 | (code >> 6 & 0x3F));
        *out++ = (char)(0x80 | (code & 0x3F));
    }
    return out;
}

static bool take_hex4(nnrt_json *json, uint32_t *code) {
    *code = 0;
    if (json->end - json->at < 4)
        return fail(json, "a string ends within \\u");
    for (int i = 0; i < 4; i++, json->at++) {
        char c = *json->at;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return fail(json, "\\u needs four hexadecimal digits");
        *code = *code << 4 | (uint32_t)digit;
    }
    return true;
}

/* After "\u": one unit, or a surrogate pair. */
static char *take_unicode(nnrt_json *json, char *out) {
    uint32_t code, low;
    if (!take_hex4(json, &code))
        return NULL;
    if (code >= 0xD800 && code < 0xDC00) {
        if (json->end - json->at < 6 || json->at[0] != '\\' || json->at[1] != 'u')
            return fail(json, "half a surrogate pair"), NULL;
        json->at += 2;
        if (!take_hex4(json, &low))
            return NULL;
        if (low < 0xDC00 || low >= 0xE000)
            return fail(json, "half a surrogate pair"), NULL;
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code == 0 || (code >= 0xDC00 && code < 0xE000)) {
        return fail(json, "a character that cannot be in a string"), NULL;
    }
    return nnrt_utf8_encode(out, code);
}

static char *take_escape(nnrt_json *json, char *out) {
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char *found;
    char c;
    if (json->at >= json->end)
        return fail(json, "a string does not end"), NULL;
    c = *json->at++;
    if (c == 'u')
        return take_unicode(json, out);
    found = c ? strchr(letters, c) : NULL;
    if (!found)
        return fail(json, "an unknown escape in a string"), NULL;
    *out = meanings[found - letters];
    return out + 1;
}

char *nnrt_json_string(nnrt_json *json, char *out) {
    if (!nnrt_json_expect(json, '"'))
        return NULL;
    while (json->at < json->end) {
        unsigned char c = (unsigned char)*json->at;
        int length;
        if (c == '"') {
            json->at++;
            *out = 0;
            return out + 1;
        }
        if (c < 0x20)
            return fail(json, "a control character in a string"), NULL;
        if (c == '\\') {
            json->at++;
            if (!(out = take_escape(json, out)))
                return NULL;
            continue;
        }
        length = nnrt_utf8_decode(json->at, json->end, NULL);
        if (length == 0)
            return fail(json, "a string is not UTF-8"), NULL;
        while (length-- > 0)
            *out++ = *json->at++;
    }
    return fail(json, "a string does not end"), NULL;
}

void nnrt_json_quote(const char *text, void (*put)(void *context, const char *, size_t), void *context) {
    const char *plain = text;
    put(context, "\"", 1);
    for (;; text++) {
        unsigned char c = (unsigned char)*text;
        char escape[8];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        put(context, plain, (size_t)(text - plain));
        if (c == 0)
            break;
        plain = text + 1;
        if (c >= 0x20)
            put(context, escape, (size_t)snprintf(escape, sizeof escape, "\\%c", c));
        else
            put(context, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", c));
    }
    put(context, "\"", 1);
}

bool nnrt_json_is_utf8(const char *text) {
    const char *end = text + strlen(text);
    while (text < end) {
        int length = nnrt_utf8_decode(text, end, NULL);
        if (length == 0)
            return false;
        text += length;
    }
    return true;
}
