/* Internal to the CSV reader: collecting and looking up the words of text columns. */
#ifndef NNRT_CSV_WORDS_H
#define NNRT_CSV_WORDS_H
#include "nnrt_csv_columns.h"

/* A set of words while it grows: open addressing, words owned by the table of the column. */
typedef struct {
    nnrt_vocabulary_column *column;
    int64_t capacity; /* of column->values */
    int64_t *slots;   /* word + 1, or 0 */
    int64_t slot_count;
} nnrt_csv_word_set;

bool nnrt_csv_words_add(nnrt_csv_word_set *, const nnrt_csv_cell *); /* false: no memory */
void nnrt_csv_words_finish(nnrt_csv_word_set *);                     /* sorts; frees the slots */
/* Code of the word, or -1. The column is sorted. */
int64_t nnrt_csv_words_find(const nnrt_vocabulary_column *, const nnrt_csv_cell *);
#endif
