/* Whole files in, whole files out. A file is written beside its destination and renamed when it is complete and on
 * the disk, so a full disk or a crash leaves the old file as it was. */
#ifndef NNRT_FILE_H
#define NNRT_FILE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    unsigned char *data; /* malloc'ed; a zero byte follows the last */
    size_t size;
} nnrt_bytes;

/* Reads a file, or standard input for "-". */
int nnrt_file_read(const char *path, nnrt_bytes *);
/* The same, unpacked if it is gzip. */
int nnrt_file_read_data(const char *path, nnrt_bytes *);
void nnrt_bytes_free(nnrt_bytes *);

/* Writing takes no memory but this struct. A call that fails has removed the new file and closed the writer; further
 * calls, and nnrt_file_abandon, then do nothing but return the error code again. */
typedef struct {
    int descriptor, error;
    uint64_t written;
    size_t used;
    char path[1024], temporary[1040];
    unsigned char buffer[16384];
} nnrt_file_writer;

int nnrt_file_begin(nnrt_file_writer *, const char *path);
int nnrt_file_append(nnrt_file_writer *, const void *data, size_t size);
int nnrt_file_finish(nnrt_file_writer *); /* flush, fsync, rename */
void nnrt_file_abandon(nnrt_file_writer *);

#ifdef __cplusplus
}
#endif
#endif
