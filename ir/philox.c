/* Random numbers of the `random` op: Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011), a pure function of seed, stream,
 * step and element index. Written apart from the runtime's, from the same contract, so that each checks the other:
 *
 *   key = {seed low, seed high ^ stream}, counter = {index / 4 low, index / 4 high, step, 0}, word = index % 4
 *   uniform = (word >> 8) 2^-24; normal by Box and Muller from the words index & ~1 and index | 1 */
#include <math.h>
#include "ir/interp.h"

typedef struct {
    uint32_t word[4];
} Block;

static Block philox(Block counter, uint32_t key0, uint32_t key1) {
    for (int round = 0; round < 10; round++) {
        uint64_t even = 0xD2511F53ull * counter.word[0], odd = 0xCD9E8D57ull * counter.word[2];
        counter = (Block){{(uint32_t)(odd >> 32) ^ counter.word[1] ^ key0, (uint32_t)odd,
                           (uint32_t)(even >> 32) ^ counter.word[3] ^ key1, (uint32_t)even}};
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return counter;
}

static double uniform(uint32_t word) {
    return ldexp((double)(word >> 8), -24);
}

double interp_random(RandomKind kind, uint64_t seed, int stream, uint64_t step, uint64_t index) {
    uint64_t block = index / 4;
    int word = (int)(index % 4);
    Block b = philox((Block){{(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)step, 0}}, (uint32_t)seed,
                     (uint32_t)(seed >> 32) ^ (uint32_t)stream);
    if (kind == RANDOM_UNIFORM)
        return uniform(b.word[word]);
    double u1 = uniform(b.word[word & ~1]) + ldexp(1, -24), u2 = uniform(b.word[word | 1]);
    double radius = sqrt(-2 * log(u1)), angle = 2 * acos(-1.0) * u2;
    return radius * (word & 1 ? sin(angle) : cos(angle));
}
