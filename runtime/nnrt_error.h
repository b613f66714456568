/* Errors of the runtime: a code, and one message per thread. Nothing here prints or exits.
 * A message reads "FILE:ROW:COLUMN: what is wrong; what to do". */
#ifndef NNRT_ERROR_H
#define NNRT_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

enum {
    NNRT_OK = 0,
    NNRT_ERROR_FILE,        /* cannot be opened, read, written, renamed */
    NNRT_ERROR_FORMAT,      /* the file is not what it should be: foreign, truncated, unsupported variant */
    NNRT_ERROR_DATA,        /* well formed, but a value or a shape does not fit the model */
    NNRT_ERROR_MEMORY,      /* no memory */
    NNRT_ERROR_ARGUMENT,    /* a wrong option or call */
    NNRT_ERROR_NUMBER,      /* the loss is NaN or infinite */
    NNRT_ERROR_INTERRUPTED, /* stopped by the user */
    NNRT_ERROR_UNSUPPORTED  /* this build cannot do it */
};

#if defined(__GNUC__)
#define NNRT_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define NNRT_PRINTF(text, first)
#endif

/* Stores the message for this thread (cut at about 2000 bytes) and returns `code`. The arguments may come from
 * nnrt_error_text(), so a message can be wrapped: nnrt_error(code, "%s: %s", path, nnrt_error_text()). */
int nnrt_error(int code, const char *format, ...) NNRT_PRINTF(2, 3);

/* The last message of this thread; "" before the first. Valid until the next nnrt_error of the same thread. */
const char *nnrt_error_text(void);

#ifdef __cplusplus
}
#endif
#endif
