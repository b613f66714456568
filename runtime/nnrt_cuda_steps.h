/* The loop over the batches of a data set on a device: groups of steps, recorded once as a graph and then repeated, so
 * that the host does one call for many steps and never waits for a single one.
 *
 *   nnrt_group group = nnrt_group_begin(device, steps, "train", samples, 2, results, 4, MAX_BATCH);
 *   while (nnrt_group_next(&group)) {
 *       for (int64_t i = 0; i < group.launches; i++)
 *           train_step(model, x, group.rows + i * group.size, nnrt_group_batch(&group, i), group.results + i * 4, ..);
 *       nnrt_group_end(&group);
 *   }
 *
 * Samples lie on the device for as long as it is open if they fit; else those of the next group are gathered and sent,
 * on a stream of their own, while the device works on this one. Results of a group are read when the next one has been
 * launched. Sums are made in the order of the steps. */
#ifndef NNRT_CUDA_STEPS_H
#define NNRT_CUDA_STEPS_H
#include "nnrt_cuda.h"
#include "nnrt_cuda_host.h"
#include "nnrt_program.h"

enum { NNRT_GROUP_STEPS = 32, NNRT_GROUP_SAMPLES = 4 };

/* An argument of a step that has an element per sample. */
typedef struct {
    const char *name;
    const void *host;
    size_t sample_bytes;
    void *memory[2]; /* on the device: all samples in [0], or those of a group in turn */
    void *staged[2]; /* on the host */
} nnrt_group_samples;

typedef struct {
    /* the group that is being launched */
    int64_t launches;    /* steps to launch: 0 if their graph is there */
    int64_t size;        /* samples of a batch */
    const int32_t *rows; /* on the device */
    float *results;      /* of the first step; of the others behind it */
    int side;            /* which of two buffers it uses */
    /* all groups */
    nnrt_device *device;
    const nnrt_steps *steps;
    const char *name;
    nnrt_group_samples *samples;
    int sample_count;
    const int *results_of; /* where result i is found among those of a step */
    int result_count;
    bool resident; /* all samples lie on the device */
    int64_t at, count, group_steps, done;
    int stop;
    bool recording;
    int64_t pending[2]; /* steps of a group that was launched, whose results were not read */
    float *fetched[2];
    int32_t *rows_sent[2];
} nnrt_group;

/* Do the samples fit beside what else is needed? An eighth of the memory is left alone. */
static inline bool nnrt_group_fits(nnrt_group *g, int64_t rows) {
    size_t available = 0, all = 0, bytes = 0;
    for (int i = 0; i < g->sample_count; i++) {
        nnrt_group_samples *s = &g->samples[i];
        nnrt_device_block *block = g->steps->constant ? nnrt_device_find(g->device, s->name, s->host) : NULL;
        if (!block || block->bytes < (size_t)rows * s->sample_bytes)
            bytes += (size_t)rows * s->sample_bytes;
    }
    if (bytes == 0 || g->device->error != cudaSuccess)
        return true;
    nnrt_device_check(g->device, cudaMemGetInfo(&available, &all));
    return bytes + all / 8 < available || g->steps->samples <= g->group_steps * g->size;
}

static inline void nnrt_group_place_samples(nnrt_group *g) {
    static const char *const sides[NNRT_GROUP_SAMPLES][2] = {{"samples 1a", "samples 1b"},
                                                             {"samples 2a", "samples 2b"},
                                                             {"samples 3a", "samples 3b"},
                                                             {"samples 4a", "samples 4b"}};
    int64_t rows = nnrt_device_rows(g->steps->rows, g->steps->samples), most = g->group_steps * g->size;
    g->resident = nnrt_group_fits(g, rows);
    for (int i = 0; i < g->sample_count; i++) {
        nnrt_group_samples *s = &g->samples[i];
        if (g->resident) {
            s->memory[0] = s->memory[1] =
                nnrt_device_data(g->device, s->name, s->host, (size_t)rows * s->sample_bytes, g->steps->constant);
            continue;
        }
        for (int side = 0; side < 2; side++) {
            s->memory[side] = nnrt_device_alloc(g->device, sides[i][side], (size_t)most * s->sample_bytes);
            s->staged[side] = nnrt_device_pin(g->device, sides[i][side], (size_t)most * s->sample_bytes);
        }
    }
}

/* Places for results and row numbers, the second stream, events: made once for a device. */
static inline void nnrt_group_place(nnrt_group *g) {
    static const char *const results[] = {"results a", "results b"}, *const rows[] = {"rows a", "rows b"};
    nnrt_device *device = g->device;
    size_t bytes = NNRT_GROUP_STEPS * (size_t)g->result_count * sizeof(float);
    g->results = (float *)nnrt_device_alloc(device, "results", bytes);
    for (int side = 0; side < 2; side++) {
        g->fetched[side] = (float *)nnrt_device_pin(device, results[side], bytes);
        g->rows_sent[side] =
            (int32_t *)nnrt_device_pin(device, rows[side], (size_t)(g->group_steps * g->size) * sizeof(int32_t));
        if (device->error == cudaSuccess && !device->ready[side])
            nnrt_device_check(device, cudaEventCreateWithFlags(&device->ready[side], cudaEventDisableTiming));
    }
    if (device->error == cudaSuccess && !device->sent)
        nnrt_device_check(device, cudaEventCreateWithFlags(&device->sent, cudaEventDisableTiming));
    if (device->error == cudaSuccess && !device->copies)
        nnrt_device_check(device, cudaStreamCreateWithFlags(&device->copies, cudaStreamNonBlocking));
}

/* `samples` and `results_of` must live as long as the group. results_of[i]: which result of a step is number i of
 * steps->totals. */
static inline nnrt_group nnrt_group_begin(nnrt_device *device, const nnrt_steps *steps, const char *name,
                                          nnrt_group_samples *samples, int sample_count, const int *results_of,
                                          int result_count, int64_t most_samples) {
    nnrt_group g = {};
    g.device = device;
    g.steps = steps;
    g.name = name;
    g.samples = samples;
    g.sample_count = sample_count;
    g.results_of = results_of;
    g.result_count = result_count;
    g.size = nnrt_min_index(steps->batch_size > 1 ? steps->batch_size : 1, most_samples);
    g.group_steps = nnrt_min_index(NNRT_GROUP_STEPS, steps->samples / g.size);
    g.group_steps = g.group_steps > 0 ? g.group_steps : 1;
    nnrt_group_place_samples(&g);
    nnrt_group_place(&g);
    return g;
}

/* The address of argument i for the group that is being launched. */
static inline void *nnrt_group_argument(const nnrt_group *g, int i) {
    return g->samples[i].memory[g->side];
}

/* Samples of step i of the group. */
static inline int64_t nnrt_group_batch(const nnrt_group *g, int64_t i) {
    return nnrt_min_index(g->size, g->count - i * g->size);
}

/* ---- one group */

/* Gathers the samples of the group and sends them; the stream of the steps waits for them. */
static inline void nnrt_group_stage(nnrt_group *g) {
    nnrt_device *device = g->device;
    const int32_t *rows = g->steps->rows + g->at;
    for (int i = 0; i < g->sample_count && device->error == cudaSuccess; i++) {
        nnrt_group_samples *s = &g->samples[i];
        char *to = (char *)s->staged[g->side];
        for (int64_t r = 0; r < g->count; r++)
            memcpy(to + (size_t)r * s->sample_bytes, (const char *)s->host + (size_t)rows[r] * s->sample_bytes,
                   s->sample_bytes);
        nnrt_device_check(device, cudaMemcpyAsync(s->memory[g->side], to, (size_t)g->count * s->sample_bytes,
                                                  cudaMemcpyHostToDevice, device->copies));
    }
    if (device->error == cudaSuccess && nnrt_device_check(device, cudaEventRecord(device->sent, device->copies)))
        nnrt_device_check(device, cudaStreamWaitEvent(device->stream, device->sent, 0));
}

static inline void nnrt_group_place_rows(nnrt_group *g) {
    size_t bytes = (size_t)g->count * sizeof(int32_t), room = NNRT_GROUP_STEPS * (size_t)g->size * sizeof(int32_t);
    int32_t *rows = (int32_t *)nnrt_device_alloc(g->device, g->resident ? "rows" : "rows in order", room);
    if (g->resident && g->device->error == cudaSuccess) {
        memcpy(g->rows_sent[g->side], g->steps->rows + g->at, bytes);
        nnrt_device_send(g->device, rows, g->rows_sent[g->side], bytes);
    } else if (!g->resident && g->rows != rows) { /* staged samples lie in order */
        int32_t *order = (int32_t *)malloc(room);
        for (size_t i = 0; order && i < room / sizeof(int32_t); i++)
            order[i] = (int32_t)i;
        if (!order)
            nnrt_device_check(g->device, cudaErrorMemoryAllocation);
        nnrt_device_send(g->device, rows, order, room);
        if (g->device->error == cudaSuccess)
            nnrt_device_check(g->device, cudaStreamSynchronize(g->device->stream));
        free(order);
    }
    g->rows = rows;
}

static inline void nnrt_group_keys(const nnrt_group *g, uint64_t keys[NNRT_GRAPH_KEYS]) {
    int count = 0;
    memset(keys, 0, NNRT_GRAPH_KEYS * sizeof *keys);
    keys[count++] = (uint64_t)(uintptr_t)g->name;
    keys[count++] = (uint64_t)g->size;
    keys[count++] = (uint64_t)g->group_steps;
    keys[count++] = g->steps->seed;
    keys[count++] = (uint64_t)(uintptr_t)g->rows;
    keys[count++] = (uint64_t)(uintptr_t)g->results;
    for (int i = 0; i < g->sample_count; i++)
        keys[count++] = (uint64_t)(uintptr_t)nnrt_group_argument(g, i);
}

static inline nnrt_device_graph *nnrt_group_graph(const nnrt_group *g) {
    uint64_t keys[NNRT_GRAPH_KEYS];
    nnrt_group_keys(g, keys);
    for (int i = 0; i < g->device->graph_count; i++)
        if (memcmp(g->device->graphs[i].keys, keys, sizeof keys) == 0)
            return &g->device->graphs[i];
    return NULL;
}

/* A graph pays where it is repeated: whole groups on a device that stays open. */
static inline bool nnrt_group_repeats(const nnrt_group *g) {
    return g->steps->device && !g->device->blocking && g->count == g->group_steps * g->size;
}

/* Reads the results of the group on this side, when they are there. After a stop the steps that were launched already
 * are told to the caller too: the weights have seen them. */
static inline void nnrt_group_collect(nnrt_group *g, int side) {
    const nnrt_steps *steps = g->steps;
    if (g->pending[side] > 0 && g->device->error == cudaSuccess)
        nnrt_device_check(g->device, cudaEventSynchronize(g->device->ready[side]));
    for (int64_t s = 0; s < g->pending[side] && g->device->error == cudaSuccess; s++) {
        for (int i = 0; i < g->result_count; i++)
            steps->totals[i] += g->fetched[side][s * g->result_count + g->results_of[i]];
        g->done++;
        int code = steps->after_step ? steps->after_step(steps->context, g->done) : 0;
        g->stop = g->stop ? g->stop : code;
    }
    g->pending[side] = 0;
}

/* After it the caller's samples and row numbers are read by nobody, also after an error. */
static inline void nnrt_group_finish(nnrt_group *g) {
    nnrt_group_collect(g, g->side); /* the older one first */
    nnrt_group_collect(g, 1 - g->side);
    nnrt_device_wait(g->device);
}

/* Prepares the next group; false: all is done, stopped, or there was an error. */
static inline bool nnrt_group_next(nnrt_group *g) {
    if (g->at >= g->steps->samples || g->stop || g->device->error != cudaSuccess) {
        nnrt_group_finish(g);
        return false;
    }
    g->count = nnrt_min_index(g->group_steps * g->size, g->steps->samples - g->at);
    nnrt_group_place_rows(g);
    if (!g->resident)
        nnrt_group_stage(g);
    g->launches = (g->count + g->size - 1) / g->size;
    g->recording = false;
    if (nnrt_group_repeats(g)) {
        if (nnrt_group_graph(g))
            g->launches = 0;
        else if (g->device->error == cudaSuccess && g->device->graph_count < NNRT_DEVICE_GRAPHS)
            g->recording = nnrt_device_check(
                g->device, cudaStreamBeginCapture(g->device->stream, cudaStreamCaptureModeThreadLocal));
    }
    if (g->device->error != cudaSuccess)
        nnrt_group_finish(g);
    return g->device->error == cudaSuccess;
}

static inline void nnrt_group_record(nnrt_group *g) {
    nnrt_device *device = g->device;
    cudaGraph_t graph = NULL;
    nnrt_device_graph *made = &device->graphs[device->graph_count];
    nnrt_device_check(device, cudaStreamEndCapture(device->stream, &graph));
    if (device->error == cudaSuccess && nnrt_device_check(device, cudaGraphInstantiate(&made->run, graph, 0))) {
        nnrt_group_keys(g, made->keys);
        device->graph_count++;
    }
    if (graph)
        cudaGraphDestroy(graph);
}

/* Launches the graph, if it is one; asks for the results; reads those of the group before. */
static inline void nnrt_group_end(nnrt_group *g) {
    nnrt_device *device = g->device;
    if (g->recording)
        nnrt_group_record(g);
    nnrt_device_graph *graph = nnrt_group_repeats(g) ? nnrt_group_graph(g) : NULL;
    if (graph && device->error == cudaSuccess)
        nnrt_device_check(device, cudaGraphLaunch(graph->run, device->stream));
    int64_t steps = (g->count + g->size - 1) / g->size;
    if (device->error == cudaSuccess)
        nnrt_device_check(device, cudaMemcpyAsync(g->fetched[g->side], g->results,
                                                  (size_t)(steps * g->result_count) * sizeof(float),
                                                  cudaMemcpyDeviceToHost, device->stream));
    if (device->error == cudaSuccess)
        nnrt_device_check(device, cudaEventRecord(device->ready[g->side], device->stream));
    g->pending[g->side] = steps;
    g->at += g->count;
    g->side = 1 - g->side;
    nnrt_group_collect(g, g->side);
}
#endif
