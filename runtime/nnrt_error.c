/* The message of the last error, one per thread. */
#include "nnrt_error.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[2048];

int nnrt_error(int code, const char *format, ...) {
    char text[sizeof message]; /* the arguments may point into `message` */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(message, text, sizeof text);
    return code;
}

const char *nnrt_error_text(void) {
    return message;
}
