/* Text as numbers, one for each character (a Unicode code point, UTF-8 in the file; a byte order mark is skipped). The
 * number of a character is its place in the sorted list of the characters of the training text, which is kept in the
 * vocabulary as the words of the column NNRT_CHARACTERS.
 *
 * A sample is a window of source->window characters, the next one begins source->stride characters later. The target is
 * what follows: for each position the next character where the target has as many values as the window, else the one
 * character after the window. Nothing is copied for each window: see nnrt_table.windows. */
#ifndef NNRT_CHARACTERS_H
#define NNRT_CHARACTERS_H
#include "nnrt_table.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NNRT_CHARACTERS "characters"

int nnrt_characters_read(const nnrt_data_source *, const nnrt_table_request *, nnrt_table *);
/* The same from memory; `file` is the name used in messages. */
int nnrt_characters_parse(const char *text, size_t bytes, const char *file, const nnrt_data_source *,
                          const nnrt_table_request *, nnrt_table *);
/* The characters that a model knows, or NULL. */
const nnrt_vocabulary_column *nnrt_characters_known(const nnrt_vocabulary *);
/* The number of the character of `length` bytes, or -1. */
int64_t nnrt_character_number(const nnrt_vocabulary_column *, const char *character, int length);
/* "'x' (U+0078)" for messages; `text` holds at least 24 bytes. Returns it. */
const char *nnrt_character_name(const char *character, int length, char *text);

#ifdef __cplusplus
}
#endif
#endif
