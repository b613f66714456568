/* Unpacking of gzip data, where the runtime was built with zlib. */
#ifndef NNRT_GZIP_H
#define NNRT_GZIP_H
#include "nnrt_file.h"

#ifdef __cplusplus
extern "C" {
#endif

bool nnrt_gzip_is(const nnrt_bytes *);
/* Replaces gzip data by what is in it; other data is left alone. `file` names it in messages. */
int nnrt_gzip_expand(nnrt_bytes *, const char *file);

#ifdef __cplusplus
}
#endif
#endif
