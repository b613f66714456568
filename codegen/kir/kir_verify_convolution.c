/* The rules of a convolution that is left to a library: what the tensors are, and that one fits the others. */
#include "codegen/kir/kir_verify.h"

static bool lies_in_order(const KBuffer *b, bool weights) {
    for (int i = 0; i < b->rank; i++)
        if (b->order[i] != (!weights ? i : i == 0 ? b->rank - 1 : i - 1))
            return false;
    return b->base == KBASE_F32 && !b->indirect && b->lanes <= 1 && b->block == 0 && b->pad <= 1 &&
           b->row_stride == 0 && b->space != SPACE_LOCAL && b->space != SPACE_SHARED;
}

static void verify_tensor(Verifier *v, const KBuffer *b, int rank, bool weights) {
    if (b->rank != rank || !lies_in_order(b, weights))
        verify_fail(v, "%s is no tensor of f32 with %d axes that a library could read", b->name, rank);
    for (int i = 0; i < rank && !v->failed; i++)
        if (b->dims[i].batch != (i == 0 && !weights))
            verify_fail(v, "axis %d of %s %s", i, b->name, i == 0 && !weights ? "is not the batch" : "is the batch");
}

static void verify_extents(Verifier *v, const KConvolution *c) {
    int spatial = kconvolution_spatial(c);
    const Dim *image = c->image->dims, *weights = c->weights->dims, *result = c->result->dims;
    if (image[spatial + 1].n != weights[spatial].n || result[spatial + 1].n != weights[spatial + 1].n ||
        !dim_equal(image[0], result[0]))
        verify_fail(v, "the channels or samples of %s, %s and %s differ", c->image->name, c->weights->name,
                    c->result->name);
    for (int s = 0; s < spatial && !v->failed; s++)
        if (c->stride[s] < 1 || c->dilation[s] < 1 || c->low[s] < 0)
            verify_fail(v, "axis %d of a convolution has a stride, dilation or padding that cannot be", s);
        else if (kconvolution_extent(c, s, image[s + 1].n, weights[s].n) != result[s + 1].n)
            verify_fail(v, "axis %d of %s has %lld elements, but a convolution of %s has %lld there", s + 1,
                        c->result->name, (long long)result[s + 1].n, c->image->name,
                        (long long)kconvolution_extent(c, s, image[s + 1].n, weights[s].n));
}

/* All that its kernel does: the host calls the library. */
static bool is_alone(const Verifier *v, const KConvolution *c) {
    const KStmt *s = v->kernel->body, *only = s->kind == KS_BLOCK ? s->block.first : s;
    return only && !only->next && only->kind == KS_CONVOLUTION && only->convolution == c;
}

void verify_convolution(Verifier *v, const KConvolution *c) {
    int spatial = kconvolution_spatial(c);
    KBuffer *const buffers[] = {c->image, c->weights, c->result, c->scratch};
    if (spatial < 1 || spatial > CONVOLUTION_SPATIAL) {
        verify_fail(v, "a convolution has %d spatial axes", spatial);
        return;
    }
    for (int i = 0; i < 3; i++)
        verify_tensor(v, buffers[i], spatial + 2, i == 1);
    if (!v->failed)
        verify_extents(v, c);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            if (kbuffer_owner(buffers[i]) == kbuffer_owner(buffers[k]) &&
                (i == 3 || buffers[i] == kconvolution_written(c) || buffers[k] == kconvolution_written(c)))
                verify_fail(v, "a convolution reads %s, which it writes", buffers[i]->name);
    if (kconvolution_written(c)->space == SPACE_ARGUMENT)
        verify_fail(v, "the argument %s is written", kconvolution_written(c)->name);
    if (c->scratch->space != SPACE_ARENA || !c->scratch->scratch)
        verify_fail(v, "%s is no memory that a library may use", c->scratch->name);
    if (!is_alone(v, c))
        verify_fail(v, "a convolution of a library is not all that its kernel does");
}
