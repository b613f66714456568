/* Products of fragments in the kernel-IR interpreter: the 32 threads of a warp put their elements together to matrices,
 * as the PTX ISA says who has which, and take back their elements of the sum. Operands are rounded exactly as the
 * conversions of the emitted program do; products are exact, each is added in f32, term by term. (Tensor cores may add
 * in another order and cut off; both is within the bound of a sum in f32.) */
#include "codegen/kir/kir_interp_parts.h"
#include <math.h>
#include <string.h>

enum { WARP = 32, MOST_TERMS = 16 };

/* cvt.rna.tf32: to 10 bits behind the point, ties away from zero; cvt.rn.bf16: to 7 bits, ties to even. */
float interp_round(KPrecision precision, float x) {
    uint32_t bits;
    if (isnan(x) || isinf(x) || precision == PRECISION_FLOAT32)
        return x;
    memcpy(&bits, &x, 4);
    if (precision == PRECISION_TF32)
        bits = (bits + 0x1000u) & ~0x1fffu;
    else
        bits = (bits + 0x7fffu + (bits >> 16 & 1u)) & ~0xffffu;
    memcpy(&x, &bits, 4);
    return x;
}

/* The matrices of a warp; a set bit of `poison` marks a row of a, or a column of b, that nobody wrote. */
typedef struct {
    float a[MMA_ROWS][MOST_TERMS], b[MOST_TERMS][MMA_COLUMNS];
    bool a_poison[MMA_ROWS], b_poison[MMA_COLUMNS];
} Fragments;

static float operand(KInterp *in, const KMma *m, const KExpr *e, bool *poison) {
    Lanes value;
    interp_eval(in, e, &value);
    *poison |= !in->failed && (value.poison & 1);
    return in->failed ? 0 : interp_round(m->precision, value.f[0]);
}

/* What thread number `lane` of the warp holds. */
static void collect(KInterp *in, const KMma *m, int lane, Fragments *f) {
    int depth = kmma_depth(m->precision), width = depth / 8, group = lane / 4, place = lane % 4;
    for (int e = 0; e < depth / 2 && !in->failed; e++) {
        int r = e / width, h = e % width, row = group + 8 * (r % 2), term = width * place + h + 4 * width * (r / 2);
        f->a[row][term] = operand(in, m, m->a[e], &f->a_poison[row]);
    }
    for (int e = 0; e < depth / 4 && !in->failed; e++) {
        int r = e / width, h = e % width, term = width * place + h + 4 * width * r;
        f->b[term][group] = operand(in, m, m->b[e], &f->b_poison[group]);
    }
}

static void add_products(KInterp *in, const KMma *m, int lane, const Fragments *f) {
    int depth = kmma_depth(m->precision), group = lane / 4, place = lane % 4;
    const View *view = find_view(in, m->sum);
    int64_t first = view ? interp_place(in, view, m->index, m->index_count, MMA_SUMS) : -1;
    for (int e = 0; e < MMA_SUMS && !in->failed; e++) {
        int row = group + 8 * (e / 2), column = 2 * place + e % 2;
        Lanes sum = {.poison = 0};
        interp_read(in, view, first + e, &sum, 0);
        for (int k = 0; k < depth; k++)
            sum.f[0] = fmaf(f->a[row][k], f->b[k][column], sum.f[0]);
        sum.poison |= f->a_poison[row] || f->b_poison[column];
        if (!in->failed)
            interp_write(in, view, first + e, &sum, 0);
    }
}

/* Do all threads of the warp come by? false: none does, or an error. */
static bool warp_comes(KInterp *in, int warp, const bool *mask) {
    int here = 0, missing = 0;
    for (int lane = 0; lane < WARP; lane++)
        if (mask[warp * WARP + lane])
            here++;
        else
            missing = lane;
    if (here > 0 && here < WARP)
        interp_fail(in, "mma: thread %d of a warp does not come by", missing);
    return here == WARP;
}

void interp_mma(KInterp *in, const KMma *m, const bool *mask) {
    if (!in->on_device || in->threads % WARP) {
        interp_fail(in, "mma: the threads are no whole warps");
        return;
    }
    for (int warp = 0; warp < in->threads / WARP && !in->failed; warp++) {
        Fragments f = {.a_poison = {false}};
        if (!warp_comes(in, warp, mask))
            continue;
        for (int lane = 0; lane < WARP && !in->failed; lane++) {
            in->thread = warp * WARP + lane;
            collect(in, m, lane, &f);
        }
        for (int lane = 0; lane < WARP && !in->failed; lane++) {
            in->thread = warp * WARP + lane;
            add_products(in, m, lane, &f);
        }
    }
}
