/* Products of fragments on tensor cores, for the emulation of CUDA in cuda_runtime.h, which includes this. The threads
 * of a warp lay their elements down, meet, and take their elements of the sum. Two places in turn, so that nobody lays
 * down what others still read. */
#ifndef EMULATED_FRAGMENTS_H
#define EMULATED_FRAGMENTS_H
#define NNRT_MMA
inline float emulated_operands[2][EMULATED_THREADS][12];
inline unsigned emulated_turn[EMULATED_THREADS];

inline float emulated_round(float x, unsigned half, unsigned even, unsigned mask) {
    unsigned bits;
    if (x != x || x - x != x - x)
        return x;
    memcpy(&bits, &x, 4);
    bits = (bits + half + (even ? bits >> even & 1 : 0)) & mask;
    memcpy(&x, &bits, 4);
    return x;
}

/* width: 1 of tf32, 2 of bf16; which thread has which element says the PTX ISA. */
inline void emulated_mma(float *sum, const float *own, int width) {
    unsigned me = emulated_now, turn = emulated_turn[me]++ & 1, lane = me % 32, group = lane / 4, place = lane % 4;
    float(*warp)[12] = emulated_operands[turn] + (me - lane);
    for (int i = 0; i < 6 * width; i++)
        emulated_operands[turn][me][i] =
            width == 1 ? emulated_round(own[i], 0x1000, 0, ~0x1fffu) : emulated_round(own[i], 0x7fff, 16, ~0xffffu);
    __syncthreads();
    for (int e = 0; e < 4; e++) {
        int row = group + 8 * (e / 2), column = 2 * place + e % 2;
        for (int k = 0; k < 8 * width; k++) {
            int part = k % (4 * width) / width, h = k % width, high = k / (4 * width);
            float a = warp[row % 8 * 4 + part][width * (row / 8 + 2 * high) + h];
            float b = warp[column * 4 + part][4 * width + width * high + h];
            sum[e] = fmaf(a, b, sum[e]);
        }
    }
}
inline void nnrt_mma_tf32(float *sum, float a0, float a1, float a2, float a3, float b0, float b1) {
    const float own[] = {a0, a1, a2, a3, b0, b1};
    emulated_mma(sum, own, 1);
}
inline void nnrt_mma_bf16(float *sum, float a0, float a1, float a2, float a3, float a4, float a5, float a6, float a7,
                          float b0, float b1, float b2, float b3) {
    const float own[] = {a0, a1, a2, a3, a4, a5, a6, a7, b0, b1, b2, b3};
    emulated_mma(sum, own, 2);
}
#endif
