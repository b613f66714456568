/* Reading whole files, and writing through a temporary file that is renamed when it is complete. */
#include "nnrt_file.h"
#include "nnrt_error.h"
#include "nnrt_gzip.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void nnrt_bytes_free(nnrt_bytes *bytes) {
    free(bytes->data);
    bytes->data = NULL;
    bytes->size = 0;
}

/* Half of the machine's memory: what comes from a pipe may be more, or never end (/dev/zero). */
static size_t most_unasked(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (size_t)pages / 2 * (size_t)page : SIZE_MAX / 2;
}

/* Reads to the end. `expected` is a guess of the size. */
static int read_all(int descriptor, const char *path, size_t expected, nnrt_bytes *bytes) {
    size_t capacity = 0, most = most_unasked();
    for (;;) {
        ssize_t count;
        if (bytes->size == capacity) {
            size_t wanted = capacity ? capacity * 2 : expected + 1;
            bool fits = wanted > capacity && wanted < SIZE_MAX && (capacity == 0 || wanted <= most);
            unsigned char *grown = fits ? realloc(bytes->data, wanted + 1) : NULL;
            if (!grown)
                return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory to read it", path);
            bytes->data = grown;
            capacity = wanted;
        }
        count = read(descriptor, bytes->data + bytes->size, capacity - bytes->size);
        if (count == 0)
            break;
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return nnrt_error(NNRT_ERROR_FILE, "%s: cannot read: %s", path, strerror(errno));
        bytes->size += (size_t)count;
    }
    bytes->data[bytes->size] = 0;
    return NNRT_OK;
}

int nnrt_file_read(const char *path, nnrt_bytes *bytes) {
    bool standard = strcmp(path, "-") == 0;
    struct stat status;
    int code, descriptor;
    bytes->data = NULL;
    bytes->size = 0;
    descriptor = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return nnrt_error(NNRT_ERROR_FILE, "%s: cannot open: %s%s", path, strerror(errno),
                          errno == ENOENT ? "; check the path" : "");
    if (fstat(descriptor, &status) != 0)
        code = nnrt_error(NNRT_ERROR_FILE, "%s: cannot read: %s", path, strerror(errno));
    else if (S_ISDIR(status.st_mode))
        code = nnrt_error(NNRT_ERROR_FILE, "%s: is a folder; name a file in it", path);
    else
        code = read_all(descriptor, standard ? "standard input" : path,
                        S_ISREG(status.st_mode) && status.st_size > 0 ? (size_t)status.st_size : 1 << 16, bytes);
    if (!standard)
        close(descriptor);
    if (code)
        nnrt_bytes_free(bytes);
    return code;
}

int nnrt_file_read_data(const char *path, nnrt_bytes *bytes) {
    int code = nnrt_file_read(path, bytes);
    if (!code)
        code = nnrt_gzip_expand(bytes, path);
    if (code)
        nnrt_bytes_free(bytes);
    return code;
}

/* Closes, removes the new file, and remembers the error. */
static int give_up(nnrt_file_writer *writer, const char *doing, int number) {
    if (writer->descriptor >= 0)
        close(writer->descriptor);
    writer->descriptor = -1;
    if (writer->temporary[0])
        unlink(writer->temporary);
    bool full = number == ENOSPC || number == EDQUOT || number == EFBIG;
    writer->error = nnrt_error(NNRT_ERROR_FILE, "%s: cannot %s: %s%s", writer->path, doing, strerror(number),
                               full               ? "; make room, the old file is unchanged"
                               : number == ENOENT ? "; make its folder first"
                                                  : "");
    return writer->error;
}

/* The file that a chain of links ends at, so that the rename replaces the file and not the link. */
static bool set_path(nnrt_file_writer *writer, const char *path) {
    char target[sizeof writer->path];
    if (strlen(path) >= sizeof writer->path)
        return false;
    strcpy(writer->path, path);
    for (int links = 0; links < 40; links++) {
        ssize_t length = readlink(writer->path, target, sizeof target);
        char *slash = strrchr(writer->path, '/');
        size_t folder = length > 0 && target[0] != '/' && slash ? (size_t)(slash - writer->path) + 1 : 0;
        if (length < 0)
            return true; /* no link */
        if (folder + (size_t)length >= sizeof writer->path)
            return false;
        memcpy(writer->path + folder, target, (size_t)length);
        writer->path[folder + (size_t)length] = 0;
    }
    return true; /* a circle: opening it will say so */
}

int nnrt_file_begin(nnrt_file_writer *writer, const char *path) {
    struct stat status;
    bool exists;
    writer->descriptor = -1;
    writer->error = 0;
    writer->written = 0;
    writer->used = 0;
    writer->path[0] = writer->temporary[0] = 0;
    if (!set_path(writer, path))
        return writer->error = nnrt_error(NNRT_ERROR_FILE, "%.200s...: the path is too long", path);
    exists = stat(writer->path, &status) == 0;
    if (exists && !S_ISREG(status.st_mode)) { /* a device or pipe: there is nothing to protect */
        writer->descriptor = open(writer->path, O_WRONLY | O_CLOEXEC);
        return writer->descriptor < 0 ? give_up(writer, "write", errno) : NNRT_OK;
    }
    if (exists && access(writer->path, W_OK) != 0)
        return give_up(writer, "write", errno);
    for (int attempt = 0; attempt < 100 && writer->descriptor < 0; attempt++) {
        snprintf(writer->temporary, sizeof writer->temporary, "%s.%d", writer->path,
                 (int)(getpid() % 100000) * 100 + attempt);
        writer->descriptor = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (writer->descriptor < 0 && errno != EEXIST) {
            writer->temporary[0] = 0;
            return give_up(writer, "write", errno);
        }
    }
    if (writer->descriptor < 0) {
        writer->temporary[0] = 0;
        return give_up(writer, "write", EEXIST);
    }
    if (exists)
        (void)!fchmod(writer->descriptor, status.st_mode & 07777);
    return NNRT_OK;
}

static int write_out(nnrt_file_writer *writer, const unsigned char *data, size_t size) {
    while (size > 0) {
        ssize_t count = write(writer->descriptor, data, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return give_up(writer, "write", errno);
        data += count;
        size -= (size_t)count;
    }
    return NNRT_OK;
}

static int flush(nnrt_file_writer *writer) {
    size_t used = writer->used;
    writer->used = 0;
    return write_out(writer, writer->buffer, used);
}

int nnrt_file_append(nnrt_file_writer *writer, const void *data, size_t size) {
    if (writer->error)
        return writer->error;
    writer->written += size;
    if (size > sizeof writer->buffer - writer->used && flush(writer))
        return writer->error;
    if (size >= sizeof writer->buffer)
        return write_out(writer, data, size);
    if (size > 0)
        memcpy(writer->buffer + writer->used, data, size);
    writer->used += size;
    return NNRT_OK;
}

/* Makes the rename itself durable, where folders can be synchronised. */
static void sync_folder(const char *path) {
    char folder[sizeof((nnrt_file_writer *)0)->path];
    char *slash;
    int descriptor;
    strcpy(folder, path);
    slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    descriptor = open(slash ? folder : ".", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return;
    fsync(descriptor);
    close(descriptor);
}

int nnrt_file_finish(nnrt_file_writer *writer) {
    int descriptor;
    if (writer->error || flush(writer))
        return writer->error;
    if (writer->temporary[0] && fsync(writer->descriptor) != 0)
        return give_up(writer, "write", errno);
    descriptor = writer->descriptor;
    writer->descriptor = -1;
    if (close(descriptor) != 0)
        return give_up(writer, "write", errno);
    if (!writer->temporary[0])
        return NNRT_OK;
    if (rename(writer->temporary, writer->path) != 0)
        return give_up(writer, "replace", errno);
    writer->temporary[0] = 0;
    sync_folder(writer->path);
    return NNRT_OK;
}

void nnrt_file_abandon(nnrt_file_writer *writer) {
    if (writer->descriptor >= 0)
        close(writer->descriptor);
    writer->descriptor = -1;
    if (writer->temporary[0] && !writer->error)
        unlink(writer->temporary);
    writer->temporary[0] = 0;
    if (!writer->error)
        writer->error = NNRT_ERROR_FILE;
}
