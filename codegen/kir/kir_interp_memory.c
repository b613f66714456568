/* Memory of the kernel-IR interpreter: places in buffers, who wrote and read what, and what that forbids. */
#include "codegen/kir/kir_interp_parts.h"
#include <math.h>
#include <string.h>

enum { NOBODY = -1, SEVERAL = -2 };

/* All bits set: NaN for f32, so that even without checks nobody takes it for a result. */
Memory memory_new(Arena *arena, int64_t bytes, int granule) {
    Memory m = {.size = bytes, .granule = granule};
    m.bytes = arena_alloc(arena, (size_t)bytes + 1);
    m.cells = ARENA_ARRAY(arena, Cell, bytes / granule + 1);
    memory_forget(&m);
    return m;
}

void memory_forget(Memory *m) {
    memset(m->bytes, 0xFF, (size_t)m->size);
    memset(m->cells, 0, sizeof *m->cells * (size_t)(m->size / m->granule + 1));
}

void memory_zero(Memory *m, int buffer) {
    memset(m->bytes, 0, (size_t)m->size);
    for (int64_t i = 0; i < m->size / m->granule; i++)
        m->cells[i].writer = buffer + 1;
}

View view_of(const KInterp *in, const KBuffer *b, Memory *memory, int64_t samples) {
    int64_t batch_max = in->program->module ? in->program->module->batch_max : in->batch;
    View view = {.buffer = b, .memory = memory, .offset = b->space == SPACE_ARENA ? b->offset : 0};
    view.count = kbuffer_physical(b, batch_max, view.extent);
    kbuffer_strides(b, batch_max, view.stride);
    view.elements = kbuffer_elements(b, batch_max);
    bool of_caller = b->space == SPACE_ARGUMENT || b->space == SPACE_RESULT;
    if (of_caller && b->rank > 0 && b->dims[0].batch) { /* as long as the caller made it, not as planned */
        view.extent[0] = samples * b->dims[0].n;
        view.elements = view.extent[0] * view.stride[0];
    }
    return view;
}

/* Other axes over the elements of another buffer, once that has memory. */
static void share_view(KInterp *in, const KBuffer *b) {
    const View *whole = &in->views[b->alias->id];
    View *view = &in->views[b->id];
    if (b->space == SPACE_ARENA || view->memory == whole->memory)
        return;
    bool by_sample = b->alias->rank > 0 && b->alias->dims[0].batch;
    *view = view_of(in, b, whole->memory, by_sample ? whole->extent[0] / b->alias->dims[0].n : in->batch);
}

const View *find_view(KInterp *in, const KBuffer *b) {
    bool local = b->space == SPACE_LOCAL || b->space == SPACE_SHARED;
    const View *view;
    if (local) {
        int owner = b->space == SPACE_SHARED ? 0 : in->thread;
        view = in->locals ? &in->locals[owner * in->kernel->local_count + b->id] : NULL;
    } else {
        if (b->alias)
            share_view(in, b);
        view = &in->views[b->id];
    }
    if (view && view->memory)
        return view;
    interp_fail(in, local ? "%s is not allocated" : "the argument %s was not given", b->name);
    return NULL;
}

/* ---- places */

static int64_t sample_row(KInterp *in, const View *view, int64_t sample) {
    if (!view->buffer->indirect)
        return sample;
    if (sample < 0 || sample >= in->batch) {
        interp_fail(in, "%s: sample %lld of a batch of %lld", view->buffer->name, (long long)sample,
                    (long long)in->batch);
        return -1;
    }
    return in->rows[sample];
}

int64_t interp_place(KInterp *in, const View *view, KExpr *const *index, int count, int64_t span) {
    int64_t element = 0;
    if (count != view->count)
        interp_fail(in, "%s has %d axes, but %d indices", view->buffer->name, view->count, count);
    for (int i = 0; i < count && !in->failed; i++) {
        int64_t at = interp_index(in, index[i]);
        if (i == 0 && !in->failed)
            at = sample_row(in, view, at);
        int64_t end = at + (i == count - 1 ? span : 1);
        if (!in->failed && (at < 0 || end > view->extent[i]))
            interp_fail(in, "index %d of %s is %lld%s%s, its axis has %lld", i, view->buffer->name, (long long)at,
                        span > 1 && i == count - 1 ? " and on" : "", in->thread ? " (not in the first thread)" : "",
                        (long long)view->extent[i]);
        element += at * view->stride[i];
    }
    return in->failed ? -1 : element;
}

int64_t view_element(const View *view, const int64_t *logical) {
    const KBuffer *b = view->buffer;
    int64_t element = 0;
    for (int p = 0; p < b->rank; p++) {
        int64_t at = logical[b->order[p]];
        bool panels = b->block > 0 && b->order[p] == b->block_axis;
        element += (panels ? at / b->block : at) * view->stride[p];
    }
    return b->block > 0 && b->rank > 0 ? element + logical[b->block_axis] % b->block : element;
}

bool view_is_inside(const KInterp *in, const View *view, int64_t element) {
    const KBuffer *b = view->buffer;
    int64_t at[MAX_RANK + 1];
    for (int p = 0; p < view->count; p++) {
        at[p] = element / view->stride[p];
        element %= view->stride[p];
    }
    for (int p = 0; p < b->rank; p++) {
        bool panels = b->block > 0 && b->order[p] == b->block_axis;
        int64_t logical = panels ? at[p] * b->block + at[view->count - 1] : at[p];
        if (logical >= dim_size(b->dims[b->order[p]], in->batch))
            return false;
    }
    return true;
}

/* ---- who may touch what */

/* Two accesses of one epoch are in order if one agent made both, or one block with a barrier between. */
static bool is_unordered(const KInterp *in, int32_t block, int32_t thread, int32_t phase) {
    if (block == NOBODY)
        return false;
    return block != in->block || (phase == in->phase && thread != in->thread);
}

static void start_epoch(const KInterp *in, Cell *cell) {
    if (cell->epoch == in->epoch)
        return;
    cell->epoch = in->epoch;
    cell->write_block = cell->read_block = NOBODY;
}

static void race(KInterp *in, const View *view, const char *what) {
    interp_fail(in, "race: %s %d %s %s, which another one %s without a barrier between",
                in->on_device ? "block" : "thread", in->block, what[0] == 'r' ? "reads" : "writes", view->buffer->name,
                strcmp(what, "write after read") == 0 ? "reads" : "writes");
}

static void check_read(KInterp *in, const View *view, Cell *cell) {
    start_epoch(in, cell);
    if (is_unordered(in, cell->write_block, cell->write_thread, cell->write_phase))
        race(in, view, "read after write");
    bool same_block = cell->read_block == in->block, first = cell->read_block == NOBODY;
    bool same_phase = same_block && cell->read_phase == in->phase;
    if (!first && !same_block)
        cell->read_block = SEVERAL;
    else
        cell->read_block = in->block;
    cell->read_thread = same_phase && cell->read_thread != in->thread ? SEVERAL : in->thread;
    cell->read_phase = in->phase;
}

static void check_write(KInterp *in, const View *view, Cell *cell) {
    start_epoch(in, cell);
    if (is_unordered(in, cell->write_block, cell->write_thread, cell->write_phase))
        race(in, view, "write after write");
    if (is_unordered(in, cell->read_block, cell->read_thread, cell->read_phase))
        race(in, view, "write after read");
    cell->write_block = in->block;
    cell->write_thread = in->thread;
    cell->write_phase = in->phase;
}

static Cell *cells_of(const View *view, int64_t element, int *count) {
    int64_t bytes = kbase_bytes(view->buffer->base), start = view->offset + element * bytes;
    *count = bytes > view->memory->granule ? (int)bytes / view->memory->granule : 1;
    return &view->memory->cells[start / view->memory->granule];
}

static bool is_private(const View *view) {
    return view->buffer->space == SPACE_LOCAL;
}

/* ---- elements */

/* What a cell remembers of who wrote it: a view writes for the buffer that it shows. */
static int writer_of(const KBuffer *b) {
    return kbuffer_owner(b)->id + 1;
}

static void note_read(KInterp *in, const View *view, int64_t element, Lanes *value, int lane) {
    int count, mine = writer_of(view->buffer);
    Cell *cell = cells_of(view, element, &count);
    for (int i = 0; i < count; i++, cell++) {
        if (!in->options.allow_races && !is_private(view))
            check_read(in, view, cell);
        bool foreign = in->options.strict_arena && view->buffer->space == SPACE_ARENA && cell->writer != mine;
        if (foreign && cell->writer)
            interp_fail(in, "%s finds what was written to %s", view->buffer->name,
                        in->program->buffers[cell->writer - 1]->name);
        if (!cell->writer && !in->options.allow_uninitialised) {
            value->poison |= 1u << lane;
            in->poisoner = view->buffer;
        }
    }
}

void interp_read(KInterp *in, const View *view, int64_t element, Lanes *value, int lane) {
    if (element < 0 || element >= view->elements) {
        interp_fail(in, "a lane of %s lies outside", view->buffer->name);
        return;
    }
    const uint8_t *at = view->memory->bytes + view->offset + element * kbase_bytes(view->buffer->base);
    if (view->buffer->base == KBASE_F32)
        memcpy(&value->f[lane], at, 4);
    else if (view->buffer->base == KBASE_I32)
        memcpy(&value->i[lane], at, 4);
    else
        value->i[lane] = *at != 0;
    note_read(in, view, element, value, lane);
}

void interp_write(KInterp *in, const View *view, int64_t element, const Lanes *value, int lane) {
    bool poisoned = value->poison >> lane & 1;
    if (element < 0 || element >= view->elements) {
        interp_fail(in, "a lane of %s lies outside", view->buffer->name);
        return;
    }
    if (poisoned && !is_private(view) && view_is_inside(in, view, element)) /* locals: where it matters is seen later */
        interp_fail(in, "%s gets a value that comes from memory of %s that nobody wrote", view->buffer->name,
                    in->poisoner ? in->poisoner->name : "?");
    uint8_t *at = view->memory->bytes + view->offset + element * kbase_bytes(view->buffer->base);
    if (view->buffer->base == KBASE_F32)
        memcpy(at, &value->f[lane], 4);
    else if (view->buffer->base == KBASE_I32)
        memcpy(at, &value->i[lane], 4);
    else
        *at = value->i[lane] != 0;
    int count;
    Cell *cell = cells_of(view, element, &count);
    for (int i = 0; i < count; i++, cell++) {
        if (!in->options.allow_races && !is_private(view))
            check_write(in, view, cell);
        cell->writer = poisoned ? 0 : writer_of(view->buffer);
    }
}
