/* Windows taken out of their array; see nnrt_feed.h. */
#include "nnrt_feed.h"
#include "nnrt_error.h"

#include <stdlib.h>
#include <string.h>

enum { FEED_BYTES = 1 << 24 }; /* of one piece: large enough that a call costs nothing, small beside the data */

static void *feed_reserve(int64_t samples, int64_t width) {
    size_t bytes = ((size_t)samples * (size_t)width * 4 + 127) / 64 * 64; /* 64 readable bytes after the last */
    void *block = aligned_alloc(64, bytes);
    if (block)
        memset(block, 0, bytes);
    return block;
}

/* Whole batches, at least one, as many as fit into FEED_BYTES. */
static int64_t feed_capacity(const nnrt_program *program, const nnrt_samples *samples, int64_t batch_size) {
    int64_t bytes = 4 * (program->raw_input_size + program->input_stride + samples->windows->target_size + 2);
    int64_t batches = FEED_BYTES / bytes / batch_size, all = (samples->count + batch_size - 1) / batch_size;
    batches = batches < all ? batches : all;
    return (batches > 0 ? batches : 1) * batch_size;
}

int nnrt_feed_begin(nnrt_feed *feed, const nnrt_program *program, void *model, const nnrt_samples *samples,
                    int batch_size) {
    *feed = (nnrt_feed){.program = program, .model = model, .samples = *samples, .batch_size = batch_size};
    if (!samples->windows)
        return NNRT_OK;
    feed->capacity = feed_capacity(program, samples, batch_size);
    feed->x = feed_reserve(feed->capacity, program->input_stride);
    feed->y = feed_reserve(feed->capacity, samples->windows->target_size);
    feed->w = feed_reserve(feed->capacity, 1);
    feed->rows = feed_reserve(feed->capacity, 1);
    feed->raw = program->preprocess ? feed_reserve(feed->capacity, program->raw_input_size) : NULL;
    if (!feed->x || !feed->y || !feed->w || !feed->rows || (program->preprocess && !feed->raw))
        return nnrt_error(NNRT_ERROR_MEMORY, "no memory for a batch of windows");
    for (int64_t i = 0; i < feed->capacity; i++)
        feed->rows[i] = (int32_t)i;
    return NNRT_OK;
}

void nnrt_feed_end(nnrt_feed *feed) {
    free(feed->raw);
    free(feed->x);
    free(feed->y);
    free(feed->w);
    free(feed->rows);
    *feed = (nnrt_feed){.capacity = 0};
}

int64_t nnrt_feed_steps(const nnrt_feed *feed) {
    return feed->capacity > 0 ? feed->capacity / feed->batch_size : INT64_MAX;
}

void nnrt_feed_window(const nnrt_table *table, int64_t row, float *raw) {
    memcpy(raw, table->x + row * table->x_stride, (size_t)table->columns * sizeof(float));
}

int nnrt_feed_next(nnrt_feed *feed, const int32_t *rows, int64_t count, nnrt_steps *steps) {
    const nnrt_samples *samples = &feed->samples;
    const nnrt_table *table = samples->windows;
    steps->samples = count;
    steps->constant = !table;
    if (!table) {
        steps->x = samples->x;
        steps->y = samples->y;
        steps->w = samples->w;
        steps->rows = rows;
        return NNRT_OK;
    }
    const char *targets = nnrt_table_target(table);
    size_t target_bytes = 4 * (size_t)table->target_size;
    float *raw = feed->raw ? feed->raw : feed->x;
    int64_t raw_stride = feed->raw ? feed->program->raw_input_size : feed->program->input_stride;
    for (int64_t i = 0; i < count; i++) {
        int64_t row = samples->first + rows[i];
        nnrt_feed_window(table, row, raw + i * raw_stride);
        memcpy(feed->y + (size_t)i * target_bytes, targets + 4 * nnrt_table_target_place(table, row), target_bytes);
        if (samples->w)
            feed->w[i] = samples->w[rows[i]];
    }
    steps->x = feed->x;
    steps->y = feed->y;
    steps->w = samples->w ? feed->w : NULL;
    steps->rows = feed->rows;
    return feed->raw ? feed->program->preprocess(feed->model, feed->raw, count, feed->x) : NNRT_OK;
}
