/* NPY, NumPy's array file, versions 1 to 3: float32/64, signed and unsigned integers, bool, either byte order,
 * C or Fortran order. The first axis counts the samples. */
#ifndef NNRT_NPY_H
#define NNRT_NPY_H
#include "nnrt_table.h"

#ifdef __cplusplus
extern "C" {
#endif

/* source->file: inputs; source->target_file: targets of the same count (only with need_target). */
int nnrt_npy_read(const nnrt_data_source *, const nnrt_table_request *, nnrt_table *);
/* The same from memory. `target` NULL: no targets. */
int nnrt_npy_parse(const void *data, size_t bytes, const void *target, size_t target_bytes, const nnrt_data_source *,
                   const nnrt_table_request *, nnrt_table *);

#ifdef __cplusplus
}
#endif
#endif
