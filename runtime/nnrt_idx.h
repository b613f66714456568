/* IDX, the format of MNIST: u8, i8, i16, i32, f32, f64, big-endian, rank 1 to 4, also gzip.
 * The first axis counts the samples. Values are delivered as they are (0..255 for pictures). */
#ifndef NNRT_IDX_H
#define NNRT_IDX_H
#include "nnrt_table.h"

#ifdef __cplusplus
extern "C" {
#endif

/* source->file: inputs; source->target_file: labels of the same count (only with need_target). */
int nnrt_idx_read(const nnrt_data_source *, const nnrt_table_request *, nnrt_table *);
/* The same from memory. `target` NULL: no labels. */
int nnrt_idx_parse(const void *data, size_t bytes, const void *target, size_t target_bytes, const nnrt_data_source *,
                   const nnrt_table_request *, nnrt_table *);

#ifdef __cplusplus
}
#endif
#endif
