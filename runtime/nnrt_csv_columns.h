/* Internal to the CSV reader: what each column of a file is for. */
#ifndef NNRT_CSV_COLUMNS_H
#define NNRT_CSV_COLUMNS_H
#include "nnrt_csv_scan.h"
#include "nnrt_table.h"

typedef enum { NNRT_CSV_INPUT, NNRT_CSV_TARGET, NNRT_CSV_WEIGHT, NNRT_CSV_SKIPPED } nnrt_csv_role;

typedef struct {
    nnrt_csv_role role;
    bool known; /* an input that the model knows by its name, or the source lists */
    nnrt_text_mode mode;
    int words;      /* index into the vocabulary, or -1: numbers */
    int64_t offset; /* of its first value within x or the target */
} nnrt_csv_column;

typedef struct {
    const char *file;
    const nnrt_data_source *source;
    const nnrt_table_request *request;
    char **names; /* of the header, or NULL */
    nnrt_csv_column *columns;
    int64_t count;
    int64_t header_line; /* line of the first row */
    bool bare;           /* for predict: the inputs and nothing else, without names */
    int64_t target;      /* its first column, or -1 */
    int64_t *order;      /* columns of the inputs that the model or the source names, in that order; NULL: file order */
    int64_t order_count;
    int64_t inputs; /* floats of one sample, set by nnrt_csv_layout */
} nnrt_csv_plan;

/* Looks at the first row: decides whether it is a header, finds the columns that the source names. */
int nnrt_csv_plan_columns(nnrt_csv_plan *, const nnrt_csv_scanner *first_row, bool *header);
/* When the words are known: which columns are inputs, and where they go. */
int nnrt_csv_layout(nnrt_csv_plan *, const nnrt_vocabulary *);
/* The names of the inputs into the vocabulary, for the next file. None without a header, and where they are not
 * distinct or not UTF-8. */
int nnrt_csv_keep_names(const nnrt_csv_plan *, nnrt_vocabulary *);
void nnrt_csv_plan_free(nnrt_csv_plan *);
/* The column's name for messages: 'age', or #2. `buffer` holds at least 80 bytes. */
const char *nnrt_csv_name(const nnrt_csv_plan *, int64_t column, char *buffer);
#endif
