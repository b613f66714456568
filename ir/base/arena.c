/* Arenas: chunks of zeroed memory, handed out from front to back and freed all at once. Needs nothing; everything the
 * compiler builds lives in one. */
#define _DEFAULT_SOURCE /* madvise */
#include "ir/base/arena.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A chunk of the largest size is one large page where the system has them: a big model touches thousands of small ones,
 * and their faults cost a quarter of its compilation. */
enum { ALIGNMENT = 16, FIRST_CHUNK = 1 << 14, LARGEST_CHUNK = 1 << 21 };

typedef struct Chunk {
    struct Chunk *next;
    size_t size, used; /* bytes after the header */
    size_t unused;     /* keeps the header a multiple of ALIGNMENT */
} Chunk;

struct Arena {
    Chunk *chunks; /* the first one is filled */
    size_t next_size, used;
};

static _Noreturn void out_of_memory(size_t bytes) {
    fprintf(stderr, "out of memory (%zu bytes wanted)\n", bytes);
    exit(70);
}

void *memory_resize(void *block, size_t bytes) {
    void *resized = realloc(block, bytes ? bytes : 1);
    if (!resized)
        out_of_memory(bytes);
    return resized;
}

static void *large_page(void) {
    void *page = NULL;
    if (posix_memalign(&page, LARGEST_CHUNK, LARGEST_CHUNK))
        return NULL;
#ifdef MADV_HUGEPAGE
    madvise(page, LARGEST_CHUNK, MADV_HUGEPAGE); /* refused: the same bytes in small pages */
#endif
    return memset(page, 0, LARGEST_CHUNK);
}

/* A chunk of `bytes` with its header. */
static Chunk *chunk_new(size_t bytes) {
    Chunk *chunk = bytes == LARGEST_CHUNK ? large_page() : calloc(1, bytes);
    if (!chunk)
        out_of_memory(bytes);
    chunk->size = bytes - sizeof(Chunk);
    return chunk;
}

Arena *arena_new(void) {
    Arena *arena = memory_resize(NULL, sizeof *arena);
    *arena = (Arena){NULL, FIRST_CHUNK, 0};
    return arena;
}

void arena_free(Arena *arena) {
    if (!arena)
        return;
    for (Chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(arena);
}

void *arena_alloc(Arena *arena, size_t bytes) {
    if (bytes > SIZE_MAX - ALIGNMENT - sizeof(Chunk))
        out_of_memory(bytes);
    bytes = (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (bytes == 0)
        bytes = ALIGNMENT;
    Chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < bytes) {
        size_t wanted = sizeof(Chunk) + bytes;
        Chunk *fresh = chunk_new(wanted > arena->next_size ? wanted : arena->next_size);
        if (arena->next_size < LARGEST_CHUNK)
            arena->next_size *= 2;
        fresh->next = chunk;
        arena->chunks = chunk = fresh;
    }
    void *block = (char *)(chunk + 1) + chunk->used;
    chunk->used += bytes;
    arena->used += bytes;
    return block;
}

void *arena_copy(Arena *arena, const void *source, size_t bytes) {
    void *copy = arena_alloc(arena, bytes);
    if (bytes)
        memcpy(copy, source, bytes);
    return copy;
}

char *arena_strdup(Arena *arena, const char *string) {
    return arena_copy(arena, string, strlen(string) + 1);
}

char *arena_format(Arena *arena, const char *format, ...) {
    char room[256];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(room, sizeof room, format, arguments);
    va_end(arguments);
    size_t bytes = length < 0 ? 1 : (size_t)length + 1;
    if (bytes <= sizeof room)
        return arena_copy(arena, length < 0 ? "" : room, bytes);
    char *string = arena_alloc(arena, bytes);
    va_start(arguments, format);
    vsnprintf(string, bytes, format, arguments);
    va_end(arguments);
    return string;
}

size_t arena_used(const Arena *arena) {
    return arena->used;
}

void *arena_grow(Arena *arena, void *items, int count, int *capacity, size_t item_bytes) {
    int wanted = *capacity < 4 ? 8 : *capacity * 2;
    void *grown = arena_alloc(arena, (size_t)wanted * item_bytes);
    if (count)
        memcpy(grown, items, (size_t)count * item_bytes);
    *capacity = wanted;
    return grown;
}
