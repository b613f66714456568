/* Types are interned in the module: equal types are one pointer. */
#include <string.h>
#include "ir/ir.h"

typedef struct {
    const Type **slots;
    size_t count, capacity; /* capacity: a power of two, at most half full */
} TypeTable;

const char *const dtype_names[3] = {"f32", "i32", "bool"};

static size_t type_hash(const Type *type) {
    uint64_t hash = (uint64_t)type->dtype * 8 + (uint64_t)type->rank;
    for (int i = 0; i < type->rank; i++)
        hash = (hash ^ ((uint64_t)type->dims[i].n * 2 + type->dims[i].batch)) * 1099511628211u;
    return (size_t)(hash ^ hash >> 29);
}

bool type_equal_dims(const Type *a, const Type *b) {
    bool equal = a->rank == b->rank;
    for (int i = 0; equal && i < a->rank; i++)
        equal = dim_equal(a->dims[i], b->dims[i]);
    return equal;
}

static const Type **type_slot(const TypeTable *table, const Type *type) {
    size_t mask = table->capacity - 1;
    for (size_t i = type_hash(type) & mask;; i = (i + 1) & mask) {
        const Type *found = table->slots[i];
        if (!found || (found->dtype == type->dtype && type_equal_dims(found, type)))
            return &table->slots[i];
    }
}

static void table_grow(Arena *arena, TypeTable *table) {
    TypeTable old = *table;
    table->capacity = old.capacity ? old.capacity * 2 : 64;
    table->slots = ARENA_ARRAY(arena, const Type *, table->capacity);
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i])
            *type_slot(table, old.slots[i]) = old.slots[i];
}

const Type *type_get(Module *module, Dtype dtype, int rank, const Dim *dims) {
    if (rank < 0 || rank > MAX_RANK) {
        diag_internal(module->diag, (Span){0}, "a tensor of %d axes was asked for; at most %d are possible", rank,
                      MAX_RANK);
        return NULL;
    }
    Type wanted = {.dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++)
        wanted.dims[i] = dims[i];
    TypeTable *table = module->types;
    if (!table)
        module->types = table = ARENA_NEW(module->arena, TypeTable);
    if (table->count * 2 >= table->capacity)
        table_grow(module->arena, table);
    const Type **slot = type_slot(table, &wanted);
    if (!*slot) {
        *slot = arena_copy(module->arena, &wanted, sizeof wanted);
        table->count++;
    }
    return *slot;
}

const Type *type_with_dtype(Module *module, const Type *type, Dtype dtype) {
    return type_get(module, dtype, type->rank, type->dims);
}

const Type *type_scalar(Module *module, Dtype dtype) {
    return type_get(module, dtype, 0, NULL);
}

int64_t type_count(const Type *type, int64_t batch) {
    int64_t count = 1;
    for (int i = 0; i < type->rank; i++)
        count *= dim_size(type->dims[i], batch);
    return count;
}

bool type_is_valid(const Module *module, const Type *type) {
    const int64_t most = (int64_t)1 << MAX_ELEMENTS_LOG2;
    int64_t count = 1;
    for (int i = 0; i < type->rank; i++) {
        Dim dim = type->dims[i];
        if (dim.n < 1 || dim.n > most / count || (dim.batch && i != 0))
            return false;
        count *= dim.n;
        if (dim.batch && module->batch_max > most / count)
            return false;
        if (dim.batch)
            count *= module->batch_max;
    }
    return true;
}

const char *dim_text(Arena *arena, Dim dim) {
    if (!dim.batch)
        return arena_format(arena, "%lld", (long long)dim.n);
    return dim.n == 1 ? "B" : arena_format(arena, "%lld*B", (long long)dim.n);
}

void type_print(Text *out, const Type *type) {
    text_add(out, dtype_names[type->dtype]);
    if (type->rank == 0)
        return;
    for (int i = 0; i < type->rank; i++) {
        text_add(out, i ? ", " : "[");
        Dim dim = type->dims[i];
        if (!dim.batch)
            text_format(out, "%lld", (long long)dim.n);
        else if (dim.n == 1)
            text_add(out, "B");
        else
            text_format(out, "%lld*B", (long long)dim.n);
    }
    text_add(out, "]");
}

const char *type_text(Arena *arena, const Type *type) {
    Text text = {0};
    type_print(&text, type);
    const char *copy = arena_strdup(arena, text.data);
    text_free(&text);
    return copy;
}
