/* Interned strings, a growing text buffer, and spelling distance for "did you mean". */
#ifndef NNC_BASE_TEXT_H
#define NNC_BASE_TEXT_H
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include "ir/base/arena.h"

/* Interned strings compare by pointer and live as long as the table. */
typedef struct Interner Interner;
Interner *interner_new(Arena *);
const char *intern(Interner *, const char *);
const char *intern_length(Interner *, const char *, size_t length);

typedef struct {
    char *data; /* always ends with '\0' */
    size_t length, capacity;
} Text;
void text_add(Text *, const char *);
void text_add_length(Text *, const char *, size_t);
void text_format(Text *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vformat(Text *, const char *format, va_list);
/* vsnprintf, faster (ir/base/format.c). */
int text_print(char *out, size_t room, const char *format, va_list);
/* Adds words with one blank between them and ends the line, which has already reached `column`. No line goes past
 * `width` columns, unless a word alone does; the further ones begin with `indent`. */
void text_wrap(Text *, const char *words, size_t column, size_t width, const char *indent);
void text_clear(Text *);
void text_free(Text *);

/* Hash map from interned or plain strings to pointers; compares contents; keeps no copy of the key. */
typedef struct Map Map;
Map *map_new(Arena *);
void *map_get(const Map *, const char *key); /* NULL: absent */
void map_put(Map *, const char *key, void *value);

/* Edits (insert, delete, replace, swap neighbours) between two words, case ignored. */
int text_distance(const char *, const char *);
/* The nearest of `names` if it is near enough to be meant, else NULL. */
const char *text_nearest(const char *word, const char *const *names, int count);
/* The shortest decimal that reads back to the same double: 0.001, 1e-07, 3. */
void text_number(char out[32], double value);
/* Whole file as a '\0'-terminated heap block, NULL if unreadable (errno set). "-" is standard input. */
char *text_read_file(const char *path, size_t *length);
/* Writes a new file beside `path`, then renames. 0, or -1 with errno set and `path` untouched. */
int text_write_file(const char *path, const char *data, size_t length);
#endif
