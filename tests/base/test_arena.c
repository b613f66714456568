/* Arenas, growable arrays, maps and interned strings. */
#include "test.h"
#include "ir/base/text.h"
#include <stdint.h>
#include <stdlib.h>

static void test_blocks(void) {
    Arena *arena = arena_new();
    bool aligned = true, zeroed = true, apart = true;
    char *blocks[2000];
    for (int i = 0; i < 2000; i++) {
        size_t size = (size_t)(i * 37 % 500) + (i == 1000 ? 3000000 : 0);
        blocks[i] = arena_alloc(arena, size);
        aligned &= (uintptr_t)blocks[i] % 16 == 0;
        for (size_t k = 0; k < size; k++)
            zeroed &= blocks[i][k] == 0;
        memset(blocks[i], i & 0xff, size);
    }
    for (int i = 0; i < 2000; i++)
        for (int k = 0; k < i * 37 % 500; k++)
            apart &= (unsigned char)blocks[i][k] == (i & 0xff);
    CHECK(aligned);
    CHECK(zeroed);
    CHECK(apart);
    CHECK(arena_used(arena) > 3000000);
    CHECK(arena_used(arena) < 4000000);
    arena_free(arena);
    arena_free(NULL);
}

static void test_strings_and_arrays(void) {
    Arena *arena = arena_new();
    CHECK_TEXT(arena_strdup(arena, "dense"), "dense");
    CHECK_TEXT(arena_format(arena, "%s_%d", "dense", 12), "dense_12");
    CHECK_TEXT(arena_copy(arena, "abc", 4), "abc");
    int *items = NULL, count = 0, capacity = 0;
    for (int i = 0; i < 1000; i++)
        ARENA_PUSH(arena, items, count, capacity, i * i);
    int64_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += items[i];
    CHECK(count == 1000 && sum == 332833500);
    arena_free(arena);
}

static void test_maps(void) {
    Arena *arena = arena_new();
    Map *map = map_new(arena);
    CHECK(map_get(map, "absent") == NULL);
    static char values[3000];
    for (int i = 0; i < 3000; i++)
        map_put(map, arena_format(arena, "key%d", i), &values[i]);
    bool found = true;
    for (int i = 0; i < 3000; i++)
        found &= map_get(map, arena_format(arena, "key%d", i)) == &values[i];
    CHECK(found);
    CHECK(map_get(map, "key3000") == NULL);
    CHECK(map_get(map, "key") == NULL);
    map_put(map, "key7", &values[1]);
    CHECK(map_get(map, "key7") == &values[1]);
    map_put(map, "", map);
    CHECK(map_get(map, "") == map);
    arena_free(arena);
}

static void test_interning(void) {
    Arena *arena = arena_new();
    Interner *interner = interner_new(arena);
    char word[] = "kernel";
    const char *first = intern(interner, word);
    word[0] = 'X';
    CHECK_TEXT(first, "kernel");
    CHECK(intern(interner, "kernel") == first);
    CHECK(intern_length(interner, "kernels", 6) == first);
    CHECK(intern(interner, "kernels") != first);
    CHECK(intern_length(interner, "kernel\0x", 8) == first);
    bool stable = true;
    for (int i = 0; i < 1000; i++) {
        const char *a = intern(interner, arena_format(arena, "n%d", i));
        stable &= a == intern(interner, arena_format(arena, "n%d", i));
    }
    CHECK(stable);
    CHECK(intern(interner, "kernel") == first);
    arena_free(arena);
}

int main(void) {
    test_blocks();
    test_strings_and_arrays();
    test_maps();
    test_interning();
    return test_report();
}
