/* What every data reader delivers: samples as rows of floats, with targets and weights beside them. */
#ifndef NNRT_TABLE_H
#define NNRT_TABLE_H
#include "nnrt_program.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The words of one categorical text column, sorted by bytes; the code of a word is its position. */
typedef struct {
    char *column; /* the header's name, or "#3" where there is none */
    char **values;
    int64_t count;
} nnrt_vocabulary_column;

/* What a model knows of the columns of its training data: words, and with a header the names of the inputs. */
typedef struct {
    nnrt_vocabulary_column *columns;
    int count;
    char **inputs; /* names in the order of the inputs; NULL: they are known by position */
    int64_t input_count;
} nnrt_vocabulary;

/* How the reader is to deliver. All zero: inputs only, packed rows, any width. */
typedef struct {
    int64_t input_size; /* floats of one sample; 0: as many as there are. A mismatch is an error */
    int input_rank;     /* shape of one sample, for arrays; 0: any of that size */
    const int64_t *input_dims;
    int64_t x_stride; /* distance of samples in x; 0: input_size. Padding is zero */
    bool need_target; /* false (predict): no target in the table; a target column that is there is skipped */
    nnrt_dtype target_dtype;
    int64_t target_size; /* values of one target; 0 counts as 1 */
    int64_t class_count; /* > 0 and targets are class indices: checked to be integers in [0, class_count) */
    bool target_one_hot; /* the file holds a class index, the table gets target_size floats, one of them 1 */
    bool need_weight;    /* read the weight column of the source (else it is skipped) */
    bool all_inputs;     /* csv: no column is a target or a weight */
    const nnrt_class_column *class_columns; /* inputs that are checked to be whole and below their classes */
    int class_column_count;
    /* Words and names known to the model (from its file). NULL: the vocabulary is built from this file. */
    const nnrt_vocabulary *vocabulary;
} nnrt_table_request;

typedef struct {
    int64_t rows, columns; /* columns: floats of one sample */
    int rank;              /* the shape of one sample as the file has it; csv: rank 1 */
    int64_t dims[NNRT_MAX_RANK];
    float *x; /* rows * x_stride floats, 64-byte aligned, followed by 64 readable bytes */
    int64_t x_stride;
    /* Samples are windows of one array, which may overlap: sample r is the `columns` floats from x[r * x_stride] on,
     * its target the target_size values from place target_first + r * target_stride on. nnrt_feed.h takes them out. */
    bool windows;
    int64_t target_first, target_stride;
    nnrt_dtype target_dtype;
    int64_t target_size;
    float *target_f32;          /* rows * target_size if target_dtype is NNRT_F32, else NULL */
    int32_t *target_i32;        /* the same for NNRT_I32 */
    float *weight;              /* rows, or NULL */
    nnrt_vocabulary vocabulary; /* of the text columns, in the source's order; a copy if it was given */
} nnrt_table;

/* Reads source->file (and source->target_file) by source->kind; "-" is standard input. Rows outside
 * [first, first + count) are left out; count -1 takes all. On error the table is empty. */
int nnrt_table_read(const nnrt_data_source *, const nnrt_table_request *, nnrt_table *);
void nnrt_table_free(nnrt_table *); /* also right for an all-zero table and twice */
/* The targets as nnrt_steps.y wants them: target_f32 or target_i32. */
const void *nnrt_table_target(const nnrt_table *);
/* Where the target of a row begins in them. */
int64_t nnrt_table_target_place(const nnrt_table *, int64_t row);

/* rows * width zeroed elements of 4 bytes, aligned, with 64 bytes after them. NULL, and an error, if it is too much. */
void *nnrt_table_memory(const char *file, int64_t rows, int64_t width, int *code);
/* Allocates x, targets and weight (as requested) for these rows and columns, after checking the sizes. */
int nnrt_table_allocate(nnrt_table *, const nnrt_table_request *, const char *file, int64_t rows, int64_t columns);
/* Stores target value `k` of a row after checking it. The error message has no place in it: the caller puts its
 * FILE:ROW:COLUMN in front. */
int nnrt_table_set_target(nnrt_table *, const nnrt_table_request *, int64_t row, int64_t k, double value);
/* Checks the value of an input by request->class_columns; the message has no place in it. */
int nnrt_table_check_class(const nnrt_table_request *, int64_t column, double value);
/* Values of a target in the file: one for a class index, else target_size. */
int64_t nnrt_table_file_targets(const nnrt_table_request *);
/* Clips [first, first + count) to the rows present. An empty choice is an error. */
int nnrt_table_choose_rows(const nnrt_data_source *, const char *file, int64_t present, int64_t *first, int64_t *rows);

/* Reads a source of text, a file or standard input, with the parser of its kind. */
typedef int nnrt_table_parser(const char *text, size_t bytes, const char *file, const nnrt_data_source *,
                              const nnrt_table_request *, nnrt_table *);
int nnrt_table_read_text(nnrt_table_parser *, const nnrt_data_source *, const nnrt_table_request *, nnrt_table *);

/* The words as text (JSON) for the metadata of a weights file; malloc'ed, NULL if there is no memory. */
char *nnrt_vocabulary_text(const nnrt_vocabulary *);
int nnrt_vocabulary_parse(const char *text, const char *file, nnrt_vocabulary *);
/* The same for the names of the inputs; parsing adds them to a vocabulary. */
char *nnrt_vocabulary_inputs_text(const nnrt_vocabulary *);
int nnrt_vocabulary_inputs_parse(const char *text, const char *file, nnrt_vocabulary *);
/* The vocabulary itself, or NULL if it holds nothing: for a request. */
const nnrt_vocabulary *nnrt_vocabulary_known(const nnrt_vocabulary *);
int nnrt_vocabulary_copy(const nnrt_vocabulary *from, nnrt_vocabulary *to);
void nnrt_vocabulary_free(nnrt_vocabulary *);

#ifdef __cplusplus
}
#endif
#endif
