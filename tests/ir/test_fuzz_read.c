/* Replays the corpus of the reader's fuzzer and mutates it for about a second, always in the same way from one seed. */
#include "fuzz_read.c"
#include <dirent.h>
#include <time.h>
#include "every_op.h"
#include "test.h"

enum { MOST_FILES = 256, LONGEST = 1 << 16 };

static char *files[MOST_FILES];
static size_t lengths[MOST_FILES];
static int file_count;

static uint64_t random_state = 20240607;

static uint32_t random_below(uint32_t bound) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % bound;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* All files of the corpus in the order of their names. */
static void load_corpus(const char *folder) {
    DIR *directory = opendir(folder);
    char *names[MOST_FILES];
    int count = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory)) && count < MOST_FILES - 1;)
        if (entry->d_name[0] != '.')
            names[count++] = strdup(entry->d_name);
    if (directory)
        closedir(directory);
    qsort(names, (size_t)count, sizeof *names, compare_names);
    for (int i = 0; i < count; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        files[file_count] = text_read_file(path, &lengths[file_count]);
        file_count += files[file_count] != NULL;
        free(names[i]);
    }
}

/* The text with every op belongs to the corpus, made fresh so that it never gets old. */
static void add_every_op(void) {
    Arena *arena = arena_new();
    Text text = {0};
    module_print(&text, every_op_module(arena, diag_new(arena)));
    files[file_count] = text.data;
    lengths[file_count++] = text.length;
    arena_free(arena);
}

static size_t replace(char *text, size_t length, size_t at, size_t old, const char *with, size_t with_length) {
    if (at + old > length || length - old + with_length > LONGEST)
        return length;
    memmove(text + at + with_length, text + at + old, length - at - old);
    memcpy(text + at, with, with_length);
    return length - old + with_length;
}

static size_t mutate(char *text, size_t length) {
    static const char *const words[] = {"B",     "0",        "-1",      "9223372036854775807",
                                        "1e999", "nan",      "[",       "]",
                                        "{",     "}",        "(",       ")",
                                        "%x",    "%0",       "f32",     "i32",
                                        "bool",  "tanh",     "add",     ", ",
                                        " : ",   "\n",       "\"",      "yield",
                                        "->",    "axes=[0]", "fusion",  "6*B",
                                        "@a/b",  "layer",    "func @g", "variable"};
    size_t at = random_below((uint32_t)length + 1), end;
    const char *word = words[random_below(sizeof words / sizeof *words)];
    int other = (int)random_below((uint32_t)file_count);
    char byte = (char)random_below(256);
    switch (random_below(7)) {
    case 0:
        return replace(text, length, at, 1, &byte, 1);
    case 1:
        return replace(text, length, at, random_below(12), "", 0);
    case 2:
        return replace(text, length, at, 0, word, strlen(word));
    case 3: /* a token for a token */
        end = at + strcspn(text + at, " ,:[]()\n");
        return replace(text, length, at, end - at, word, strlen(word));
    case 4: /* a piece of another text */
        if (lengths[other] < 2)
            return length;
        end = random_below((uint32_t)lengths[other]);
        return replace(text, length, at, 0, files[other] + end,
                       random_below((uint32_t)(lengths[other] - end < 120 ? lengths[other] - end : 120)));
    case 5: /* one digit for another */
        at += strcspn(text + at, "0123456789");
        byte = (char)('0' + random_below(10));
        return replace(text, length, at, 1, &byte, 1);
    default: /* cut off */
        return random_below(8) ? length : at;
    }
}

static void run(const char *text, size_t length) {
    LLVMFuzzerTestOneInput((const uint8_t *)text, length);
}

int main(void) {
    load_corpus(NNC_SOURCE_DIR "/tests/ir/corpus");
    CHECK(file_count >= 8);
    add_every_op();
    for (int i = 0; i < file_count; i++)
        run(files[i], lengths[i]);
    char *text = malloc(LONGEST + 1);
    int runs = 0;
    for (clock_t start = clock(); clock() - start < CLOCKS_PER_SEC && runs < 200000; runs++) {
        int i = (int)random_below((uint32_t)file_count);
        size_t length = lengths[i] < LONGEST ? lengths[i] : LONGEST;
        memcpy(text, files[i], length);
        for (uint32_t k = random_below(4) + 1; k > 0; k--) {
            text[length] = '\0';
            length = mutate(text, length);
        }
        text[length] = '\0';
        run(text, length);
    }
    printf("%d mutations\n", runs);
    CHECK(runs > 100);
    free(text);
    for (int i = 0; i < file_count; i++)
        free(files[i]);
    return test_report();
}
