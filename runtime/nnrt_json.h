/* A small strict JSON reader, for headers and vocabularies: no numbers but whole ones, no values that nobody asked
 * for. A reader stops at its first error and says it in `error`. */
#ifndef NNRT_JSON_H
#define NNRT_JSON_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *at, *end;
    const char *error; /* NULL: none so far */
} nnrt_json;

/* Skips white space; if `c` is next, takes it. */
bool nnrt_json_take(nnrt_json *, char c);
/* The same, but its absence is an error. */
bool nnrt_json_expect(nnrt_json *, char c);
/* Decodes a string to `out` and ends it with a zero byte. It needs at most as many bytes as the text with its quotes.
 * UTF-8 and escapes are checked; the character 0 is refused. Returns the first byte after it, NULL on error. */
char *nnrt_json_string(nnrt_json *, char *out);
bool nnrt_json_integer(nnrt_json *, uint64_t *);
bool nnrt_json_at_end(nnrt_json *);

/* Passes the text of a JSON string, quotes included, to `put`. */
void nnrt_json_quote(const char *text, void (*put)(void *context, const char *, size_t), void *context);
/* Valid UTF-8 up to the zero byte? */
bool nnrt_json_is_utf8(const char *text);
/* Bytes of the UTF-8 character at `at`; 0 if it is broken, overlong, a surrogate or beyond U+10FFFF. The code may be
 * NULL.
 */
int nnrt_utf8_decode(const char *at, const char *end, uint32_t *character);
/* Writes 1 to 4 bytes, returns the end. */
char *nnrt_utf8_encode(char *out, uint32_t character);
#endif
