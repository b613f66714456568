/* gzip by zlib: all members of the file, one after another. Without zlib, a clear refusal. */
#include "nnrt_gzip.h"
#include "nnrt_error.h"
#include <stdlib.h>
#ifdef NNRT_HAVE_ZLIB
#include <zlib.h>
#endif

bool nnrt_gzip_is(const nnrt_bytes *bytes) {
    return bytes->size >= 2 && bytes->data[0] == 0x1F && bytes->data[1] == 0x8B;
}

#ifdef NNRT_HAVE_ZLIB
static bool grow(nnrt_bytes *out, size_t *capacity) {
    size_t wanted = *capacity ? *capacity * 2 : 1 << 16;
    unsigned char *grown = wanted > *capacity ? realloc(out->data, wanted + 1) : NULL;
    if (!grown)
        return false;
    out->data = grown;
    *capacity = wanted;
    return true;
}

/* Unpacks until the data ends. Returns Z_STREAM_END when the last member is whole. */
static int inflate_all(z_stream *stream, const nnrt_bytes *in, nnrt_bytes *out) {
    size_t taken = 0, capacity = 0;
    int status = Z_OK;
    for (;;) {
        size_t room, offered = in->size - taken;
        if (capacity - out->size == 0 && !grow(out, &capacity))
            return Z_MEM_ERROR;
        room = capacity - out->size;
        stream->next_out = out->data + out->size;
        stream->avail_out = (uInt)(room < 1 << 30 ? room : 1 << 30);
        room = stream->avail_out;
        stream->next_in = in->data + taken;
        stream->avail_in = (uInt)(offered < 1 << 30 ? offered : 1 << 30);
        offered = stream->avail_in;
        status = inflate(stream, Z_NO_FLUSH);
        taken += offered - stream->avail_in;
        out->size += room - stream->avail_out;
        if (status == Z_STREAM_END) {
            nnrt_bytes rest = {in->data + taken, in->size - taken};
            if (!nnrt_gzip_is(&rest)) /* zeros or nothing */
                return status;
            inflateReset(stream);
        } else if (status != Z_OK) {
            return status; /* Z_BUF_ERROR: the data ends too early */
        }
    }
}

int nnrt_gzip_expand(nnrt_bytes *bytes, const char *file) {
    nnrt_bytes out = {0};
    z_stream stream = {0};
    int status;
    if (!nnrt_gzip_is(bytes))
        return NNRT_OK;
    if (inflateInit2(&stream, 15 + 16) != Z_OK)
        return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory to unpack it", file);
    status = inflate_all(&stream, bytes, &out);
    inflateEnd(&stream);
    if (status != Z_STREAM_END) {
        nnrt_bytes_free(&out);
        if (status == Z_MEM_ERROR)
            return nnrt_error(NNRT_ERROR_MEMORY, "%s: no memory to unpack it", file);
        return nnrt_error(NNRT_ERROR_FORMAT, "%s: the gzip data is %s; fetch the file again", file,
                          status == Z_BUF_ERROR ? "cut off" : "damaged");
    }
    out.data[out.size] = 0;
    free(bytes->data);
    *bytes = out;
    return NNRT_OK;
}
#else
int nnrt_gzip_expand(nnrt_bytes *bytes, const char *file) {
    if (!nnrt_gzip_is(bytes))
        return NNRT_OK;
    return nnrt_error(NNRT_ERROR_UNSUPPORTED, "%s: is gzip, and this runtime was built without zlib; run gunzip on it",
                      file);
}
#endif
