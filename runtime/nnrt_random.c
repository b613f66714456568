/* The shuffling of samples. Needs nnrt_random.h; leaves a permutation that depends on seed and epoch only. */
#include "nnrt_random.h"

#define PERMUTATION_STREAM 0xFFFFFFFFu /* no variable has this index */

typedef struct {
    uint64_t seed, index;
    uint32_t step, words[4];
} WordSource;

static uint32_t next_word(WordSource *source) {
    if (source->index % 4 == 0)
        nnrt_random_block(source->seed, PERMUTATION_STREAM, source->step, source->index / 4, source->words);
    return source->words[source->index++ % 4];
}

/* Unbiased in [0, bound): the high half of word * bound, redrawn where the low half falls into the short part. */
static uint32_t draw_below(WordSource *source, uint32_t bound) {
    uint64_t product = (uint64_t)next_word(source) * bound;
    if ((uint32_t)product < bound) {
        uint32_t threshold = (0u - bound) % bound;
        while ((uint32_t)product < threshold)
            product = (uint64_t)next_word(source) * bound;
    }
    return (uint32_t)(product >> 32);
}

void nnrt_permutation(uint64_t seed, int64_t epoch, int32_t *order, int64_t n) {
    WordSource source = {.seed = seed, .step = (uint32_t)epoch};
    for (int64_t i = 0; i < n; i++)
        order[i] = (int32_t)i;
    for (int64_t i = n - 1; i > 0; i--) {
        uint32_t j = draw_below(&source, (uint32_t)(i + 1));
        int32_t held = order[i];
        order[i] = order[j];
        order[j] = held;
    }
}
