/* Time series: windows of consecutive rows of a CSV file (read as nnrt_csv.h says).
 *
 * A sample is source->window rows of the input columns, [window, columns]; the next one begins source->stride rows
 * later. The target are the columns source->targets in the row source->horizon rows behind the last one of the window
 * (none listed: the last columns of the inputs). A column may be input and target. Nothing is copied for each window:
 * see nnrt_table.windows. Without need_target there are as many windows as the rows allow, the last one ends with the
 * file. */
#ifndef NNRT_WINDOWS_H
#define NNRT_WINDOWS_H
#include "nnrt_table.h"

#ifdef __cplusplus
extern "C" {
#endif

int nnrt_windows_read(const nnrt_data_source *, const nnrt_table_request *, nnrt_table *);
/* The same from memory; `file` is the name used in messages. */
int nnrt_windows_parse(const char *text, size_t bytes, const char *file, const nnrt_data_source *,
                       const nnrt_table_request *, nnrt_table *);

#ifdef __cplusplus
}
#endif
#endif
