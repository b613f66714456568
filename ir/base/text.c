/* The growing text buffer, shortest decimals, and whole files. Needs only memory_resize. */
#include "ir/base/text.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void text_reserve(Text *text, size_t more) {
    size_t wanted = text->length + more + 1;
    if (wanted <= text->capacity)
        return;
    size_t capacity = text->capacity < 128 ? 256 : text->capacity * 2;
    text->capacity = capacity < wanted ? wanted : capacity;
    text->data = memory_resize(text->data, text->capacity);
}

void text_add_length(Text *text, const char *string, size_t length) {
    text_reserve(text, length);
    if (length)
        memcpy(text->data + text->length, string, length);
    text->length += length;
    text->data[text->length] = '\0';
}

void text_add(Text *text, const char *string) {
    text_add_length(text, string, strlen(string));
}

void text_vformat(Text *text, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    text_reserve(text, 127);
    size_t room = text->capacity - text->length;
    int length = vsnprintf(text->data + text->length, room, format, arguments);
    if (length > 0 && (size_t)length >= room) {
        text_reserve(text, (size_t)length);
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
    }
    va_end(again);
    text->length += length > 0 ? (size_t)length : 0;
    text->data[text->length] = '\0';
}

void text_format(Text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    text_vformat(text, format, arguments);
    va_end(arguments);
}

/* UTF-8: bytes that begin a character. */
static size_t columns_of(const char *text, size_t length) {
    size_t columns = 0;
    for (size_t i = 0; i < length; i++)
        columns += ((unsigned char)text[i] & 0xC0) != 0x80;
    return columns;
}

void text_wrap(Text *text, const char *words, size_t column, size_t width, const char *indent) {
    bool first = true;
    for (words += strspn(words, " "); *words; words += strspn(words, " ")) {
        size_t length = strcspn(words, " "), columns = columns_of(words, length);
        if (!first && column + 1 + columns > width) {
            text_add(text, "\n");
            text_add(text, indent);
            column = columns_of(indent, strlen(indent));
            first = true;
        }
        text_add(text, first ? "" : " ");
        text_add_length(text, words, length);
        column += columns + !first;
        words += length;
        first = false;
    }
    text_add(text, "\n");
}

void text_clear(Text *text) {
    text->length = 0;
    if (text->data)
        text->data[0] = '\0';
}

void text_free(Text *text) {
    free(text->data);
    *text = (Text){0};
}

void text_number(char out[32], double value) {
    if (isnan(value)) {
        strcpy(out, "nan");
    } else if (isinf(value)) {
        strcpy(out, value < 0 ? "-inf" : "inf");
    } else if (fabs(value) < 1e16 && value == (double)(int64_t)value) {
        snprintf(out, 32, "%.0f", value);
    } else {
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(out, 32, "%.*g", digits, value);
            if (strtod(out, NULL) == value)
                break;
        }
    }
}

enum { LARGEST_FILE = 256 << 20 }; /* beyond it is a device that never ends, not a text */

char *text_read_file(const char *path, size_t *length) {
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (!file)
        return NULL;
    char *data = NULL;
    size_t used = 0, capacity = 0;
    while (used < LARGEST_FILE) {
        if (capacity - used < 2) {
            capacity = capacity ? capacity * 2 : 4096;
            data = memory_resize(data, capacity);
        }
        size_t got = fread(data + used, 1, capacity - used - 1, file);
        used += got;
        if (got == 0)
            break;
    }
    int error = ferror(file) ? (errno ? errno : EIO) : used < LARGEST_FILE ? 0 : EFBIG;
    if (file != stdin)
        fclose(file);
    if (error) {
        free(data);
        errno = error;
        return NULL;
    }
    data[used] = '\0';
    if (length)
        *length = used;
    return data;
}

static int write_and_close(int file, const char *data, size_t length) {
    int error = 0;
    while (length && !error) {
        ssize_t done = write(file, data, length);
        if (done > 0) {
            data += done;
            length -= (size_t)done;
        } else if (done == 0 || errno != EINTR) {
            error = done == 0 ? EIO : errno;
        }
    }
    if (close(file) != 0 && !error)
        error = errno;
    errno = error;
    return error ? -1 : 0;
}

/* Devices, pipes and the like are written to, not replaced. */
static int write_in_place(const char *path, const char *data, size_t length) {
    int file = open(path, O_WRONLY | O_TRUNC);
    return file < 0 ? -1 : write_and_close(file, data, length);
}

int text_write_file(const char *path, const char *data, size_t length) {
    struct stat old;
    bool exists = stat(path, &old) == 0;
    if (exists && S_ISDIR(old.st_mode)) {
        errno = EISDIR;
        return -1;
    }
    if (exists && !S_ISREG(old.st_mode))
        return write_in_place(path, data, length);
    if (exists && access(path, W_OK) != 0)
        return -1; /* the folder may allow a rename over a file that the user has protected */
    size_t size = strlen(path) + 32;
    char *temporary = memory_resize(NULL, size);
    snprintf(temporary, size, "%s.new-%ld", path, (long)getpid());
    int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, exists ? old.st_mode & 0777 : 0666);
    int status = file < 0 ? -1 : write_and_close(file, data, length);
    if (status == 0)
        status = rename(temporary, path);
    int error = errno;
    if (status != 0 && file >= 0)
        unlink(temporary);
    free(temporary);
    errno = error;
    return status;
}
