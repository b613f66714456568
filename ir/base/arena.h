/* Memory belongs to arenas: allocate one by one, free all at once. Allocation never returns NULL; when the machine has
 * no memory left the process ends with a message (the only place in library code that may). Memory is zeroed. */
#ifndef NNC_BASE_ARENA_H
#define NNC_BASE_ARENA_H
#include <stddef.h>

typedef struct Arena Arena;

Arena *arena_new(void);
void arena_free(Arena *);
void *arena_alloc(Arena *, size_t bytes);               /* 16-byte aligned, zeroed */
void *arena_copy(Arena *, const void *, size_t bytes);
char *arena_strdup(Arena *, const char *);
char *arena_format(Arena *, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t arena_used(const Arena *);
void *memory_resize(void *, size_t bytes);              /* realloc that never returns NULL; for blocks outside arenas */

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_alloc((arena), sizeof(type) * (size_t)(count)))

/* Growable arrays in an arena: `T *items; int count, capacity;` pushed with ARENA_PUSH. */
void *arena_grow(Arena *, void *items, int count, int *capacity, size_t item_bytes);
#define ARENA_PUSH(arena, items, count, capacity, item)                                                               \
    do {                                                                                                              \
        if ((count) == (capacity))                                                                                    \
            (items) = arena_grow((arena), (items), (count), &(capacity), sizeof *(items));                            \
        (items)[(count)++] = (item);                                                                                  \
    } while (0)
#endif
