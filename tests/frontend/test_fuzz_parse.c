/* Replays the corpus and the diagnostic cases through the fuzz target, then mutates them for about a second from a
 * fixed seed. NNC_FUZZ_SECONDS makes it longer. */
#include "test.h"
#include <dirent.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include "fuzz_parse.c"

enum { MOST_FILES = 400, LARGEST = 8192 };

typedef struct {
    uint8_t *bytes;
    size_t length;
} Seed;

static Seed seeds[MOST_FILES];
static int seed_count;
static uint64_t state = 20260101;

static uint32_t next_random(uint32_t below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 11) % below);
}

static void read_folder(const char *path) {
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        size_t length = strlen(entry->d_name);
        if (length < 4 || strcmp(entry->d_name + length - 3, ".nn") != 0 || seed_count == MOST_FILES)
            continue;
        char name[1024];
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        Seed *seed = &seeds[seed_count];
        seed->bytes = (uint8_t *)text_read_file(name, &seed->length);
        seed_count += seed->bytes != NULL && seed->length < LARGEST;
    }
    if (folder)
        closedir(folder);
}

/* One of: change a byte, delete a piece, double a piece, put in a piece of another seed, put in a word. */
static size_t mutate(uint8_t *bytes, size_t length) {
    static const char *const words[] = {
        "(",     ")",        "{",  "}",   "[",      "]",     "\n",         ",",    ";", "=",
        "-",     "**",       "\"", "#",   "model",  "let ",  "2147483647", "none", "0", "Repeat(9) {",
        "Input", "Dense(2)", ":",  "1e9", "data {", "Add {", "-1",         "true", "//"};
    uint8_t piece[256];
    size_t at = length ? next_random((uint32_t)length) : 0, size = 0;
    switch (next_random(5)) {
    case 0:
        if (length)
            bytes[at] = (uint8_t)next_random(256);
        return length;
    case 1:
        size = 1 + next_random(20);
        size = size > length - at ? length - at : size;
        memmove(bytes + at, bytes + at + size, length - at - size);
        return length - size;
    case 2:
        size = length - at < sizeof piece ? length - at : sizeof piece;
        memcpy(piece, bytes + at, size);
        break;
    case 3: {
        const Seed *other = &seeds[next_random((uint32_t)seed_count)];
        size_t from = other->length ? next_random((uint32_t)other->length) : 0;
        size = other->length - from < sizeof piece ? other->length - from : sizeof piece;
        memcpy(piece, other->bytes + from, size);
        break;
    }
    default: {
        const char *word = words[next_random(sizeof words / sizeof *words)];
        size = strlen(word);
        memcpy(piece, word, size);
    }
    }
    if (length + size > LARGEST)
        return length;
    memmove(bytes + at + size, bytes + at, length - at);
    memcpy(bytes + at, piece, size);
    return length + size;
}

int main(void) {
    static uint8_t bytes[LARGEST];
    read_folder(NNC_SOURCE_DIR "/tests/frontend/corpus");
    read_folder(NNC_SOURCE_DIR "/tests/frontend/diagnostics");
    read_folder(NNC_SOURCE_DIR "/tests/frontend/ast");
    CHECK(seed_count > 60);
    for (int i = 0; i < seed_count; i++)
        CHECK(LLVMFuzzerTestOneInput(seeds[i].bytes, seeds[i].length) == 0);
    const char *wanted = getenv("NNC_FUZZ_SECONDS");
    double seconds = wanted ? atof(wanted) : 1;
    clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    int runs = 0;
    while (clock() < end) {
        const Seed *seed = &seeds[next_random((uint32_t)seed_count)];
        size_t length = seed->length;
        memcpy(bytes, seed->bytes, length);
        for (uint32_t i = 1 + next_random(6); i > 0; i--)
            length = mutate(bytes, length);
        LLVMFuzzerTestOneInput(bytes, length);
        runs++;
    }
    CHECK(runs > 20);
    printf("%d mutations\n", runs);
    for (int i = 0; i < seed_count; i++)
        free(seeds[i].bytes);
    return test_report();
}
