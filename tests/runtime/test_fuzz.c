/* The fuzzers without libFuzzer: each replays its corpus, then works for about a second on mutations of it. The
 * mutations are a function of the seed, so a failure comes again; with NNC_FUZZ_KEEP set, each input is written to
 * fuzz_READER_last_input in the build folder before it runs. */
#include "nnrt_file.h"
#include "test.h"
#include <dirent.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/* Each fuzzer has the same entry name; here they live in one program. */
#define LLVMFuzzerTestOneInput fuzz_csv
#include "fuzz_csv.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_idx
#include "fuzz_idx.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_npy
#include "fuzz_npy.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_safetensors
#include "fuzz_safetensors.c"
#undef LLVMFuzzerTestOneInput

enum { MAXIMUM_SEEDS = 64, MAXIMUM_SIZE = 4096 };

typedef struct {
    nnrt_bytes seeds[MAXIMUM_SEEDS];
    int count;
} Corpus;

static void read_corpus(const char *reader, Corpus *corpus) {
    char path[600];
    DIR *folder;
    corpus->count = 0;
    snprintf(path, sizeof path, "%s/tests/runtime/corpus/%s", NNC_SOURCE_DIR, reader);
    folder = opendir(path);
    for (struct dirent *entry; folder && corpus->count < MAXIMUM_SEEDS && (entry = readdir(folder)) != NULL;) {
        char file[900];
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.' && nnrt_file_read(file, &corpus->seeds[corpus->count]) == 0)
            corpus->count++;
    }
    if (folder)
        closedir(folder);
}

static uint32_t draw(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

/* One step: a byte, a bit, a number, a piece moved, doubled or cut, or a piece of another seed. */
static size_t mutate(unsigned char *data, size_t size, const nnrt_bytes *other, uint64_t *state) {
    static const unsigned char liked[] = {0,   1,   255, 127,  128, '"', ',', '\n', '\r', ';', '{',  '}',
                                          '[', ']', ':', '\'', '(', ')', '9', '-',  '.',  'e', '\\', 'u'};
    size_t at = size ? draw(state) % size : 0, length = 1 + draw(state) % 16;
    switch (draw(state) % 7) {
    case 0:
        if (size)
            data[at] = (unsigned char)draw(state);
        return size;
    case 1:
        if (size)
            data[at] ^= (unsigned char)(1u << draw(state) % 8);
        return size;
    case 2:
        if (size)
            data[at] = liked[draw(state) % sizeof liked];
        return size;
    case 3: /* cut off */
        return at;
    case 4: /* take out */
        length = length < size - at ? length : size - at;
        memmove(data + at, data + at + length, size - at - length);
        return size - length;
    case 5: /* double a piece */
        length = length < size - at ? length : size - at;
        if (size + length > MAXIMUM_SIZE)
            return size;
        memmove(data + at + length, data + at, size - at);
        return size + length;
    default: /* write over from another seed */
        if (other->size == 0 || size == 0)
            return size;
        length = length < size - at ? length : size - at;
        for (size_t i = 0; i < length; i++)
            data[at + i] = other->data[(at + i) % other->size];
        return size;
    }
}

/* The input is on the heap, exactly as long as it is, so that a sanitizer sees every read behind it. */
static void run_one(const char *reader, int (*fuzz)(const uint8_t *, size_t), const unsigned char *data, size_t size) {
    unsigned char *copy = malloc(size ? size : 1);
    static char path[700];
    FILE *file;
    snprintf(path, sizeof path, "%s/fuzz_%s_last_input", NNC_BINARY_DIR, reader);
    if (getenv("NNC_FUZZ_KEEP") && (file = fopen(path, "wb")) != NULL) {
        fwrite(data, 1, size, file);
        fclose(file);
    }
    memcpy(copy, data, size);
    fuzz(copy, size);
    free(copy);
}

static void check_reader(const char *reader, int (*fuzz)(const uint8_t *, size_t)) {
    static unsigned char data[MAXIMUM_SIZE];
    static Corpus corpus;
    uint64_t state = 20240607;
    clock_t end;
    long runs = 0;
    read_corpus(reader, &corpus);
    CHECK(corpus.count >= 5);
    for (int i = 0; i < corpus.count; i++)
        run_one(reader, fuzz, corpus.seeds[i].data, corpus.seeds[i].size);
    end = clock() + CLOCKS_PER_SEC;
    for (; corpus.count > 0 && clock() < end && runs < 2000000; runs++) {
        const nnrt_bytes *seed = &corpus.seeds[draw(&state) % (uint32_t)corpus.count];
        size_t size = seed->size < MAXIMUM_SIZE ? seed->size : MAXIMUM_SIZE;
        memcpy(data, seed->data, size);
        for (uint32_t steps = 1 + draw(&state) % 5; steps > 0; steps--)
            size = mutate(data, size, &corpus.seeds[draw(&state) % (uint32_t)corpus.count], &state);
        run_one(reader, fuzz, data, size);
    }
    printf("%s: %d seeds, %ld mutations\n", reader, corpus.count, runs);
    CHECK(runs > 100);
    for (int i = 0; i < corpus.count; i++)
        nnrt_bytes_free(&corpus.seeds[i]);
}

int main(void) {
    check_reader("csv", fuzz_csv);
    check_reader("idx", fuzz_idx);
    check_reader("npy", fuzz_npy);
    check_reader("safetensors", fuzz_safetensors);
    return test_report();
}
