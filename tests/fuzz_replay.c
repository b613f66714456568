/* Runs a fuzzer without libFuzzer: every file of its corpus, then about a second of mutations of them. The mutations
 * are a function of the seed, so a failure comes again.
 *
 * Usage: PROGRAM [-dict=FILE] FOLDER... NNC_FUZZ_SECONDS makes it longer; with NNC_FUZZ_KEEP=FILE each input is written
 * to FILE before it runs, so that the last one is there after a crash. Needs: a fuzzer's LLVMFuzzerTestOneInput. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include "test.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LONGEST = 1 << 14, MOST_WORDS = 200, FEWEST_RUNS = 20, MOST_RUNS = 2000000 };

typedef struct {
    uint8_t *data;
    size_t size;
} Bytes;

static Bytes *seeds, words[MOST_WORDS];
static uint32_t seed_count, word_count;
static uint64_t random_state = 20240607;

static uint32_t random_below(size_t bound) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return bound ? (uint32_t)(random_state >> 33) % (uint32_t)bound : 0;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static void add_seed(const char *path) {
    struct stat status;
    FILE *file = stat(path, &status) == 0 && S_ISREG(status.st_mode) ? fopen(path, "rb") : NULL;
    if (!file)
        return;
    Bytes seed = {malloc(LONGEST), 0};
    seed.size = fread(seed.data, 1, LONGEST, file);
    fclose(file);
    seeds = realloc(seeds, (seed_count + 1) * sizeof *seeds);
    seeds[seed_count++] = seed;
}

static int visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* In the order of the names, which is the same everywhere. */
static void read_folder(const char *folder) {
    struct dirent **names;
    int count = scandir(folder, &names, visible, alphasort);
    for (int i = 0; i < count; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]->d_name);
        add_seed(path);
        free(names[i]);
    }
    if (count >= 0)
        free(names);
}

/* libFuzzer's form: a quoted word on each line, with \\ \" and \xAB. */
static void read_dictionary(const char *path) {
    char line[256];
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    while (file && fgets(line, sizeof line, file) && word_count < MOST_WORDS) {
        Bytes word = {malloc(sizeof line), 0};
        for (const char *c = strchr(line, '"'); c && *++c && *c != '"';) {
            unsigned code = 0;
            if (c[0] == '\\' && c[1] == 'x' && sscanf(c + 2, "%2x", &code) == 1)
                c += 3;
            else if (c[0] == '\\')
                code = (unsigned char)*++c;
            else
                code = (unsigned char)*c;
            word.data[word.size++] = (uint8_t)code;
        }
        if (word.size)
            words[word_count++] = word;
        else
            free(word.data);
    }
    if (file)
        fclose(file);
}

/* `old` bytes at `at` make way for others. */
static size_t replace(uint8_t *data, size_t size, size_t at, size_t old, const uint8_t *with, size_t length) {
    old = smaller(old, size - at);
    if (size - old + length > LONGEST)
        return size;
    memmove(data + at + length, data + at + old, size - at - old);
    if (length)
        memmove(data + at, with, length);
    return size - old + length;
}

static size_t replace_piece(uint8_t *data, size_t size, size_t at, size_t old, const Bytes *from, size_t most) {
    size_t start = random_below(from->size + 1);
    return replace(data, size, at, old, from->data + start, random_below(smaller(from->size - start, most) + 1));
}

static size_t mutate(uint8_t *data, size_t size) {
    size_t at = random_below(size + 1);
    uint8_t byte = (uint8_t)random_below(256), copy[256];
    Bytes piece = {copy, smaller(size - at, sizeof copy)};
    const Bytes *word = word_count ? &words[random_below(word_count)] : &piece;
    const Bytes *other = &seeds[random_below(seed_count)];
    switch (random_below(10)) {
    case 0: /* another byte */
        return replace(data, size, at, 1, &byte, 1);
    case 1: /* another bit */
        byte = at < size ? (uint8_t)(data[at] ^ 1u << random_below(8)) : byte;
        return replace(data, size, at, 1, &byte, 1);
    case 2: /* another digit */
        while (at < size && (data[at] < '0' || data[at] > '9'))
            at++;
        byte = (uint8_t)('0' + random_below(10));
        return replace(data, size, at, 1, &byte, 1);
    case 3: /* a piece taken out */
        return replace(data, size, at, 1 + random_below(20), NULL, 0);
    case 4: /* a piece doubled */
        memcpy(copy, data + at, piece.size);
        return replace_piece(data, size, at, 0, &piece, sizeof copy);
    case 5: /* a piece of another seed, put in or written over */
    case 6:
        return replace_piece(data, size, at, random_below(2) * random_below(256), other, 256);
    case 7: /* a word, put in or written over */
    case 8:
        return word == &piece ? size : replace(data, size, at, random_below(2) * word->size, word->data, word->size);
    default: /* cut off */
        return random_below(4) ? size : at;
    }
}

/* The input is on the heap, exactly as long as it is, so that a sanitizer sees every read behind it. */
static void run(const uint8_t *data, size_t size) {
    const char *keep = getenv("NNC_FUZZ_KEEP");
    FILE *file = keep ? fopen(keep, "wb") : NULL;
    if (file) {
        fwrite(data, 1, size, file);
        fclose(file);
    }
    uint8_t *copy = malloc(size ? size : 1);
    memcpy(copy, data, size);
    CHECK(LLVMFuzzerTestOneInput(copy, size) == 0);
    free(copy);
}

static int run_mutations(double seconds) {
    static uint8_t data[LONGEST];
    clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    int runs = 0;
    for (; clock() < end && runs < MOST_RUNS; runs++) {
        const Bytes *seed = &seeds[random_below(seed_count)];
        size_t size = seed->size;
        memcpy(data, seed->data, size);
        for (uint32_t steps = 1 + random_below(5); steps > 0; steps--)
            size = mutate(data, size);
        run(data, size);
    }
    return runs;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "-dict=", 6) == 0)
            read_dictionary(argv[i] + 6);
        else
            read_folder(argv[i]);
    CHECK(seed_count >= 5);
    for (uint32_t i = 0; i < seed_count; i++)
        run(seeds[i].data, seeds[i].size);
    const char *seconds = getenv("NNC_FUZZ_SECONDS");
    int runs = seed_count ? run_mutations(seconds ? atof(seconds) : 1) : 0;
    printf("%u seeds, %u words, %d mutations\n", (unsigned)seed_count, (unsigned)word_count, runs);
    CHECK(runs > FEWEST_RUNS);
    for (uint32_t i = 0; i < seed_count; i++)
        free(seeds[i].data);
    for (uint32_t i = 0; i < word_count; i++)
        free(words[i].data);
    free(seeds);
    return test_report();
}
