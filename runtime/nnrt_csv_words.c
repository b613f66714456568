/* The words of text columns: a hash set while the file is read the first time, binary search afterwards. */
#include "nnrt_csv_words.h"
#include <stdlib.h>
#include <string.h>

/* The cell's text with doubled quotes made single, byte by byte, ended by 0. */
typedef struct {
    const char *at, *end;
    bool escaped;
} Letters;

static Letters letters_of(const nnrt_csv_cell *cell) {
    return (Letters){cell->text, cell->text + cell->length, cell->escaped};
}

static unsigned char next_letter(Letters *letters) {
    unsigned char c;
    if (letters->at == letters->end)
        return 0;
    c = (unsigned char)*letters->at++;
    if (c == '"' && letters->escaped)
        letters->at++;
    return c;
}

static int compare(const nnrt_csv_cell *cell, const char *word) {
    Letters letters = letters_of(cell);
    for (;; word++) {
        unsigned char a = next_letter(&letters), b = (unsigned char)*word;
        if (a != b)
            return a < b ? -1 : 1;
        if (a == 0)
            return 0;
    }
}

static uint64_t hash(const nnrt_csv_cell *cell) {
    Letters letters = letters_of(cell);
    uint64_t value = 14695981039346656037u;
    for (unsigned char c = next_letter(&letters); c; c = next_letter(&letters))
        value = (value ^ c) * 1099511628211u;
    return value ^ value >> 29;
}

static uint64_t hash_word(const char *word) {
    nnrt_csv_cell cell = {word, strlen(word), false};
    return hash(&cell);
}

static bool rehash(nnrt_csv_word_set *set) {
    int64_t count = set->slot_count ? set->slot_count * 2 : 64;
    int64_t *slots = calloc((size_t)count, sizeof *slots);
    if (!slots)
        return false;
    for (int64_t i = 0; i < set->column->count; i++) {
        uint64_t at = hash_word(set->column->values[i]);
        while (slots[at & (uint64_t)(count - 1)])
            at++;
        slots[at & (uint64_t)(count - 1)] = i + 1;
    }
    free(set->slots);
    set->slots = slots;
    set->slot_count = count;
    return true;
}

bool nnrt_csv_words_add(nnrt_csv_word_set *set, const nnrt_csv_cell *cell) {
    nnrt_vocabulary_column *column = set->column;
    uint64_t at = hash(cell), mask;
    if (column->count * 2 >= set->slot_count && !rehash(set))
        return false;
    mask = (uint64_t)set->slot_count - 1;
    for (; set->slots[at & mask]; at++)
        if (compare(cell, column->values[set->slots[at & mask] - 1]) == 0)
            return true;
    if (column->count == set->capacity) {
        char **grown = realloc(column->values, (size_t)(set->capacity * 2 + 16) * sizeof *grown);
        if (!grown)
            return false;
        column->values = grown;
        set->capacity = set->capacity * 2 + 16;
    }
    if (!(column->values[column->count] = nnrt_csv_word(cell)))
        return false;
    set->slots[at & mask] = ++column->count;
    return true;
}

static int compare_words(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void nnrt_csv_words_finish(nnrt_csv_word_set *set) {
    if (set->column->count > 1)
        qsort(set->column->values, (size_t)set->column->count, sizeof *set->column->values, compare_words);
    free(set->slots);
    set->slots = NULL;
}

int64_t nnrt_csv_words_find(const nnrt_vocabulary_column *column, const nnrt_csv_cell *cell) {
    int64_t low = 0, high = column->count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        int order = compare(cell, column->values[middle]);
        if (order == 0)
            return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -1;
}
