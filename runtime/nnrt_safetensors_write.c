/* Writing .safetensors files: the header, then the tensors' bytes, through nnrt_file's writer. Takes no memory. */
#include "nnrt_error.h"
#include "nnrt_json.h"
#include "nnrt_safetensors.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The header is made twice: first counted (file NULL), then written. */
typedef struct {
    nnrt_file_writer *file;
    uint64_t count;
} Sink;

static void sink_put(void *context, const char *text, size_t size) {
    Sink *sink = context;
    sink->count += size;
    if (sink->file)
        nnrt_file_append(sink->file, text, size); /* its error stays in the writer */
}

static void sink_say(Sink *sink, const char *format, ...) NNRT_PRINTF(2, 3);
static void sink_say(Sink *sink, const char *format, ...) {
    char text[80];
    va_list arguments;
    int length;
    va_start(arguments, format);
    length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sink_put(sink, text, (size_t)length);
}

static uint64_t tensor_bytes(const nnrt_tensor *tensor) {
    uint64_t bytes = nnrt_tensor_dtype_size(tensor->dtype);
    for (int i = 0; i < tensor->rank; i++)
        bytes *= (uint64_t)tensor->dims[i];
    return bytes;
}

static void put_header(Sink *sink, const nnrt_tensor *tensors, int64_t count, const nnrt_metadata *metadata,
                       int64_t metadata_count) {
    uint64_t offset = 0;
    sink_say(sink, "{");
    for (int64_t i = 0; i < metadata_count; i++) {
        sink_say(sink, i ? "," : "\"__metadata__\":{");
        nnrt_json_quote(metadata[i].key, sink_put, sink);
        sink_say(sink, ":");
        nnrt_json_quote(metadata[i].value, sink_put, sink);
    }
    if (metadata_count > 0)
        sink_say(sink, count > 0 ? "}," : "}");
    for (int64_t i = 0; i < count; i++) {
        uint64_t end = offset + tensor_bytes(&tensors[i]);
        sink_say(sink, i ? "," : "");
        nnrt_json_quote(tensors[i].name, sink_put, sink);
        sink_say(sink, ":{\"dtype\":\"%s\",\"shape\":[", nnrt_tensor_dtype_name(tensors[i].dtype));
        for (int axis = 0; axis < tensors[i].rank; axis++)
            sink_say(sink, axis ? ",%" PRId64 : "%" PRId64, tensors[i].dims[axis]);
        sink_say(sink, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", offset, end);
        offset = end;
    }
    sink_say(sink, "}");
}

/* Everything that would make a file that cannot be read back. */
static int check_names(const char *path, const nnrt_tensor *tensors, int64_t count, const nnrt_metadata *metadata,
                       int64_t metadata_count) {
    const char *wrong = NULL;
    for (int64_t i = 0; i < count; i++) {
        if (!nnrt_json_is_utf8(tensors[i].name) || strcmp(tensors[i].name, "__metadata__") == 0 ||
            tensors[i].rank > NNRT_TENSOR_MAX_RANK)
            wrong = tensors[i].name;
        for (int64_t k = 0; k < i; k++)
            if (strcmp(tensors[i].name, tensors[k].name) == 0)
                wrong = tensors[i].name;
    }
    for (int64_t i = 0; i < metadata_count; i++) {
        if (!nnrt_json_is_utf8(metadata[i].key) || !nnrt_json_is_utf8(metadata[i].value))
            wrong = metadata[i].key;
        for (int64_t k = 0; k < i; k++)
            if (strcmp(metadata[i].key, metadata[k].key) == 0)
                wrong = metadata[i].key;
    }
    return wrong ? nnrt_error(NNRT_ERROR_ARGUMENT,
                              "%s: \"%.100s\" cannot be written: a name stands twice, or is not UTF-8", path, wrong)
                 : NNRT_OK;
}

int nnrt_safetensors_begin(nnrt_safetensors_writer *writer, const char *path, const nnrt_tensor *tensors, int64_t count,
                           const nnrt_metadata *metadata, int64_t metadata_count) {
    Sink counted = {0}, written = {&writer->file, 0};
    uint64_t length, data = 0;
    char prefix[8];
    int code = check_names(path, tensors, count, metadata, metadata_count);
    writer->file.descriptor = -1;
    writer->file.temporary[0] = 0;
    if (code)
        return writer->file.error = code;
    put_header(&counted, tensors, count, metadata, metadata_count);
    length = (counted.count + 7) / 8 * 8;
    for (int64_t i = 0; i < count; i++)
        data += tensor_bytes(&tensors[i]);
    writer->end = 8 + length + data;
    code = nnrt_file_begin(&writer->file, path);
    if (code)
        return code;
    for (int i = 0; i < 8; i++)
        prefix[i] = (char)(length >> (8 * i));
    nnrt_file_append(&writer->file, prefix, sizeof prefix);
    put_header(&written, tensors, count, metadata, metadata_count);
    return nnrt_file_append(&writer->file, "       ", (size_t)(length - counted.count));
}

int nnrt_safetensors_append(nnrt_safetensors_writer *writer, const void *data, size_t bytes) {
    return nnrt_file_append(&writer->file, data, bytes);
}

int nnrt_safetensors_finish(nnrt_safetensors_writer *writer) {
    if (!writer->file.error && writer->file.written != writer->end) {
        nnrt_file_abandon(&writer->file);
        return writer->file.error =
                   nnrt_error(NNRT_ERROR_ARGUMENT, "%s: %" PRIu64 " bytes were written, the header says %" PRIu64,
                              writer->file.path, writer->file.written, writer->end);
    }
    return nnrt_file_finish(&writer->file);
}

void nnrt_safetensors_abandon(nnrt_safetensors_writer *writer) {
    nnrt_file_abandon(&writer->file);
}

int nnrt_safetensors_write(const char *path, const nnrt_tensor *tensors, int64_t count, const nnrt_metadata *metadata,
                           int64_t metadata_count) {
    nnrt_safetensors_writer writer;
    int code = nnrt_safetensors_begin(&writer, path, tensors, count, metadata, metadata_count);
    for (int64_t i = 0; i < count && !code; i++)
        code = nnrt_safetensors_append(&writer, tensors[i].data, (size_t)tensor_bytes(&tensors[i]));
    return code ? code : nnrt_safetensors_finish(&writer);
}
