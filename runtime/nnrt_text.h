/* Small texts of the trainer: numbers as Python prints them, and file names made from a template. */
#ifndef NNRT_TEXT_H
#define NNRT_TEXT_H
#include "nnrt_progress.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The shortest decimal that reads back as the same double; "nan", "inf". Returns `text`. */
char *nnrt_shortest_number(char *text, size_t size, double value);

/* `value` as "%.9g" prints it, which reads back to the same bits, and several times as fast. Returns the length. */
enum { NNRT_FLOAT_DIGITS = 9, NNRT_FLOAT_TEXT = 24 };
size_t nnrt_float_text(char *text, float value);

/* Python's str.format for file names: {epoch:02d}, {val_loss:.2f}, {batch}, {{ and }}. Values that are whole numbers by
 * nature come as `integers`. An unknown name or a bad format is an error that lists the names. */
typedef struct {
    const nnrt_log *integers;
    int integer_count;
    const nnrt_log *numbers;
    int number_count;
} nnrt_template_values;
int nnrt_template_format(const char *pattern, const nnrt_template_values *values, char *text, size_t size);

/* The name that a mistyped word was meant to be. Begins as {word, NULL, limit}: only names in fewer than `limit` edits,
 * and fewer than the word has letters, count; upper and lower case are the same. */
typedef struct {
    const char *word, *name;
    int edits;
} nnrt_nearest;
void nnrt_nearest_consider(nnrt_nearest *, const char *name);

/* "accuracy, loss" into `text`. */
void nnrt_list_names(const nnrt_log *logs, int count, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
