/* A prediction of many samples is the same, to the bit, as one sample at a time; also with three threads. */
#include "pieces.h"
#include <stdio.h>
#include <string.h>

enum { SAMPLES = 2 * PIECES_BATCH + 13, VALUES = SAMPLES * 28 * 28 };

int main(void) {
    static pieces model;
    static float x[SAMPLES][28][28][1], together[SAMPLES][5], alone[SAMPLES][5];
    for (int i = 0; i < VALUES; i++)
        (&x[0][0][0][0])[i] = (float)(i * 7919L % 2003) / 1000 - 1;
    if (pieces_init(&model, 4))
        return 1;
    for (int i = 0; i < SAMPLES; i++)
        if (pieces_predict(&model, &x[i], 1, &alone[i]))
            return 1;
    for (model.threads = 1; model.threads <= 3; model.threads += 2) {
        memset(together, 0, sizeof together);
        if (pieces_predict(&model, x, SAMPLES, together) || memcmp(together, alone, sizeof alone) != 0)
            return fprintf(stderr, "pieces: %d threads give other numbers\n", model.threads), 1;
    }
    return memcmp(alone[0], alone[1], sizeof alone[0]) == 0; /* samples differ */
}
