/* Interned strings, the map from strings to pointers, and spelling distance. Both tables use open addressing, at most
 * half full; nothing is ever removed. */
#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include "ir/base/text.h"

typedef struct {
    const char *key; /* NULL: free */
    void *value;
    uint64_t hash;
} Slot;

struct Map {
    Arena *arena;
    Slot *slots;
    size_t count, capacity; /* capacity: a power of two */
};

struct Interner {
    Map strings;
};

/* FNV-1a */
static uint64_t hash_bytes(const char *bytes, size_t length) {
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211u;
    return hash ^ hash >> 32;
}

/* The slot of the key, or the free one where it belongs. */
static Slot *map_slot(const Map *map, const char *key, size_t length, uint64_t hash) {
    size_t mask = map->capacity - 1;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        Slot *slot = &map->slots[i];
        if (!slot->key)
            return slot;
        if (slot->hash == hash && strncmp(slot->key, key, length) == 0 && slot->key[length] == '\0')
            return slot;
    }
}

static void map_grow(Map *map) {
    Slot *old = map->slots;
    size_t old_capacity = map->capacity;
    map->capacity = old_capacity ? old_capacity * 2 : 32;
    map->slots = arena_alloc(map->arena, map->capacity * sizeof(Slot));
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].key)
            *map_slot(map, old[i].key, strlen(old[i].key), old[i].hash) = old[i];
}

Map *map_new(Arena *arena) {
    Map *map = ARENA_NEW(arena, Map);
    map->arena = arena;
    return map;
}

void *map_get(const Map *map, const char *key) {
    if (!map->count)
        return NULL;
    size_t length = strlen(key);
    return map_slot(map, key, length, hash_bytes(key, length))->value;
}

void map_put(Map *map, const char *key, void *value) {
    if (map->count * 2 >= map->capacity)
        map_grow(map);
    size_t length = strlen(key);
    uint64_t hash = hash_bytes(key, length);
    Slot *slot = map_slot(map, key, length, hash);
    if (!slot->key) {
        map->count++;
        *slot = (Slot){key, NULL, hash};
    }
    slot->value = value;
}

Interner *interner_new(Arena *arena) {
    Interner *interner = ARENA_NEW(arena, Interner);
    interner->strings.arena = arena;
    return interner;
}

const char *intern_length(Interner *interner, const char *string, size_t length) {
    Map *map = &interner->strings;
    const char *end = memchr(string, '\0', length);
    if (end)
        length = (size_t)(end - string);
    if (map->count * 2 >= map->capacity)
        map_grow(map);
    uint64_t hash = hash_bytes(string, length);
    Slot *slot = map_slot(map, string, length, hash);
    if (!slot->key) {
        char *copy = arena_alloc(map->arena, length + 1);
        memcpy(copy, string, length);
        *slot = (Slot){copy, NULL, hash};
        map->count++;
    }
    return slot->key;
}

const char *intern(Interner *interner, const char *string) {
    return intern_length(interner, string, strlen(string));
}

enum { LONGEST_WORD = 64 };

static int minimum(int a, int b) {
    return a < b ? a : b;
}

static int lower(const char *word, int i) {
    return tolower((unsigned char)word[i]);
}

int text_distance(const char *a, const char *b) {
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > LONGEST_WORD || b_length > LONGEST_WORD)
        return strcmp(a, b) == 0 ? 0 : LONGEST_WORD + 1;
    int rows[3][LONGEST_WORD + 1]; /* of the table of prefixes: this one and the two before */
    for (int j = 0; j <= (int)b_length; j++)
        rows[0][j] = j;
    for (int i = 1; i <= (int)a_length; i++) {
        int *row = rows[i % 3], *before = rows[(i + 2) % 3], *two_before = rows[(i + 1) % 3];
        row[0] = i;
        for (int j = 1; j <= (int)b_length; j++) {
            bool same = lower(a, i - 1) == lower(b, j - 1);
            row[j] = minimum(before[j - 1] + !same, minimum(before[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && lower(a, i - 1) == lower(b, j - 2) && lower(a, i - 2) == lower(b, j - 1))
                row[j] = minimum(row[j], two_before[j - 2] + 1);
        }
    }
    return rows[a_length % 3][b_length];
}

const char *text_nearest(const char *word, const char *const *names, int count) {
    const char *nearest = NULL;
    int least = 0;
    int word_length = (int)strlen(word);
    for (int i = 0; i < count; i++) {
        int distance = text_distance(word, names[i]);
        int name_length = (int)strlen(names[i]);
        int longer = word_length > name_length ? word_length : name_length;
        bool near = distance <= (longer + 1) / 3 && distance < minimum(word_length, name_length);
        if ((near || distance == 0) && (!nearest || distance < least)) {
            nearest = names[i];
            least = distance;
        }
    }
    return nearest;
}
