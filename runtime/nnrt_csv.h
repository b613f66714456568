/* CSV (RFC 4180): quotes, embedded separators, quotes and newlines, LF or CRLF, a UTF-8 byte order mark.
 *
 * Columns. `source->target` names the first of target_size neighbouring columns ("name", "#0" by position; NULL: the
 * last target_size columns); with target_one_hot or class indices it is one column. `source->weight` is one column.
 * All others are inputs, in file order, or those of `source->columns`, in its order; a text column takes as many inputs
 * as it has words (one-hot) or one (index).
 * A target that is listed among the text columns holds class names; their position is the class index.
 * With need_target false, a target that is not in the file is no error.
 * A vocabulary in the request that holds names of inputs finds them by name where the file has a header: in its order,
 * other columns are skipped.
 * header_auto: the first row is a header if a cell of a numeric column is not a number. A blank line is skipped. */
#ifndef NNRT_CSV_H
#define NNRT_CSV_H
#include "nnrt_table.h"

#ifdef __cplusplus
extern "C" {
#endif

int nnrt_csv_read(const nnrt_data_source *, const nnrt_table_request *, nnrt_table *);
/* The same from memory; `file` is the name used in messages. */
int nnrt_csv_parse(const char *text, size_t bytes, const char *file, const nnrt_data_source *,
                   const nnrt_table_request *, nnrt_table *);

#ifdef __cplusplus
}
#endif
#endif
