/* Row-major values to and from permuted, panelled memory. Needs: the nnrt_storage of a variable. Leaves: copies. */
#include "nnrt_storage.h"

#include <string.h>

/* Memory strides of the axes in elements; the panelled axis has one for its panels, its place in the panel has 1. */
typedef struct {
    int64_t stride[NNRT_MAX_RANK];
    int64_t elements;
    int block_axis, block; /* block == 0: no panels */
} StorageLayout;

int64_t nnrt_variable_elements(const nnrt_variable *variable) {
    int64_t elements = 1;
    for (int i = 0; i < variable->rank; i++)
        elements *= variable->dims[i];
    return elements;
}

/* An order that is no permutation (all zero: not given) stands for 0, 1, 2, ... */
static void storage_order(const nnrt_variable *variable, int order[NNRT_MAX_RANK]) {
    unsigned seen = 0;
    for (int i = 0; i < variable->rank; i++) {
        order[i] = variable->storage.order[i];
        if (order[i] >= 0 && order[i] < variable->rank)
            seen |= 1u << order[i];
    }
    if (seen != (1u << variable->rank) - 1)
        for (int i = 0; i < variable->rank; i++)
            order[i] = i;
}

static StorageLayout storage_layout(const nnrt_variable *variable) {
    StorageLayout layout = {.block_axis = variable->storage.block_axis, .block = variable->storage.block};
    int order[NNRT_MAX_RANK];
    storage_order(variable, order);
    layout.elements = layout.block > 0 ? layout.block : 1;
    for (int i = variable->rank - 1; i >= 0; i--) {
        int axis = order[i];
        int64_t extent = variable->dims[axis];
        if (layout.block > 0 && axis == layout.block_axis)
            extent = (extent + layout.block - 1) / layout.block;
        layout.stride[axis] = layout.elements;
        layout.elements *= extent;
    }
    return layout;
}

int64_t nnrt_storage_elements(const nnrt_variable *variable) {
    return storage_layout(variable).elements;
}

bool nnrt_storage_is_plain(const nnrt_variable *variable) {
    int order[NNRT_MAX_RANK];
    storage_order(variable, order);
    for (int i = 0; i < variable->rank; i++)
        if (order[i] != i)
            return false;
    return variable->storage.block == 0;
}

static int64_t storage_offset(const StorageLayout *layout, int rank, const int64_t *index) {
    int64_t offset = 0;
    for (int i = 0; i < rank; i++) {
        if (layout->block > 0 && i == layout->block_axis)
            offset += index[i] / layout->block * layout->stride[i] + index[i] % layout->block;
        else
            offset += index[i] * layout->stride[i];
    }
    return offset;
}

static void storage_next(const nnrt_variable *variable, int64_t *index) {
    for (int i = variable->rank - 1; i >= 0; i--) {
        if (++index[i] < variable->dims[i])
            return;
        index[i] = 0;
    }
}

static void storage_index_of(const nnrt_variable *variable, int64_t element, int64_t *index) {
    for (int i = variable->rank - 1; i >= 0; i--) {
        index[i] = variable->dims[i] > 0 ? element % variable->dims[i] : 0;
        element = variable->dims[i] > 0 ? element / variable->dims[i] : 0;
    }
}

void nnrt_storage_gather(const nnrt_variable *variable, const void *memory, int64_t first, int64_t count, void *out) {
    if (nnrt_storage_is_plain(variable)) {
        memcpy(out, (const char *)memory + 4 * first, 4 * (size_t)count);
        return;
    }
    StorageLayout layout = storage_layout(variable);
    int64_t index[NNRT_MAX_RANK];
    storage_index_of(variable, first, index);
    for (int64_t i = 0; i < count; i++) {
        memcpy((char *)out + 4 * i, (const char *)memory + 4 * storage_offset(&layout, variable->rank, index), 4);
        storage_next(variable, index);
    }
}

void nnrt_storage_scatter(const nnrt_variable *variable, const void *values, void *memory) {
    int64_t count = nnrt_variable_elements(variable), index[NNRT_MAX_RANK] = {0};
    if (nnrt_storage_is_plain(variable)) {
        memcpy(memory, values, 4 * (size_t)count);
        return;
    }
    StorageLayout layout = storage_layout(variable);
    memset(memory, 0, 4 * (size_t)layout.elements);
    for (int64_t i = 0; i < count; i++) {
        memcpy((char *)memory + 4 * storage_offset(&layout, variable->rank, index), (const char *)values + 4 * i, 4);
        storage_next(variable, index);
    }
}
