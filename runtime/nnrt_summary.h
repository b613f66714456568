/* Keras' summary() table, from a list of layers and a few sums. The compiler uses it too (--emit=summary). */
#ifndef NNRT_SUMMARY_H
#define NNRT_SUMMARY_H
#include "nnrt_program.h"
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Numbers of stored values; each has 4 bytes. */
typedef struct {
    const char *name; /* of the model */
    const nnrt_layer *layers;
    int layer_count;
    int64_t trainable, non_trainable, preprocessing, optimizer;
    size_t arena_bytes, model_bytes; /* 0: not known, no line */
} nnrt_summary;

/* `columns`: width of the terminal; the table is min(88, columns - 4) wide, as Keras'. */
typedef struct {
    int columns;
    bool utf8, color;
} nnrt_summary_style;

nnrt_summary nnrt_summary_of(const nnrt_program *program);
void nnrt_summary_print(FILE *out, const nnrt_summary *summary, const nnrt_summary_style *style);
/* "1,234,567". Returns `text`, which has room for 32 bytes. */
char *nnrt_grouped_number(char *text, int64_t number);

#ifdef __cplusplus
}
#endif
#endif
