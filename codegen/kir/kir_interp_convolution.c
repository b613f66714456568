/* Convolutions of a library in the kernel-IR interpreter: sums of products in f32 over what lies in the image, for each
 * element that is written, in the order of the sum. (A library may add in another order; that is within the bound of a
 * sum in f32.) */
#include "codegen/kir/kir_interp_parts.h"
#include <math.h>

/* Places of the three tensors, by logical axes: image and result begin with the sample, the weights with the taps. */
typedef struct {
    KInterp *in;
    const KConvolution *c;
    const View *image, *weights, *result;
    int spatial;
    int64_t x[MAX_RANK], w[MAX_RANK], y[MAX_RANK];
    Lanes sum;
} Walk;

/* The product at this place, if its tap meets the image; an element that nobody wrote spoils the sum. */
static void add_product(Walk *walk) {
    const View *views[] = {walk->image, walk->weights, walk->result};
    const int64_t *places[] = {walk->x, walk->w, walk->y};
    float product[2];
    int count = 0;
    for (int i = 0; i < 3; i++) {
        Lanes value = {.poison = 0};
        if (views[i]->buffer == kconvolution_written(walk->c))
            continue;
        interp_read(walk->in, views[i], view_element(views[i], places[i]), &value, 0);
        product[count++] = value.f[0];
        walk->sum.poison |= value.poison;
    }
    walk->sum.f[0] = fmaf(product[0], product[1], walk->sum.f[0]);
}

/* Along one spatial axis two of cell, tap and position decide the third one; false: there is none. */
static bool find_cell(Walk *walk, int s) {
    const KConvolution *c = walk->c;
    int64_t cell = walk->y[s + 1] * c->stride[s] + walk->w[s] * c->dilation[s] - c->low[s];
    walk->x[s + 1] = cell;
    return cell >= 0 && cell < walk->image->buffer->dims[s + 1].n;
}

static bool find_position(Walk *walk, int s) {
    const KConvolution *c = walk->c;
    int64_t from = walk->x[s + 1] + c->low[s] - walk->w[s] * c->dilation[s];
    walk->y[s + 1] = from / c->stride[s];
    return from >= 0 && from % c->stride[s] == 0 && walk->y[s + 1] < walk->result->buffer->dims[s + 1].n;
}

/* The taps from axis s on, and then the channels that are summed. */
static void sum_taps(Walk *walk, int s) {
    bool forward = walk->c->kind == CONVOLUTION_FORWARD;
    if (s < walk->spatial) {
        for (walk->w[s] = 0; walk->w[s] < walk->weights->buffer->dims[s].n; walk->w[s]++)
            if (forward ? find_cell(walk, s) : find_position(walk, s))
                sum_taps(walk, s + 1);
        return;
    }
    int64_t *channel = forward ? &walk->x[s + 1] : &walk->y[s + 1], *of_weights = &walk->w[forward ? s : s + 1];
    int64_t channels = walk->weights->buffer->dims[forward ? s : s + 1].n;
    for (*channel = 0; *channel < channels && !walk->in->failed; ++*channel) {
        *of_weights = *channel;
        add_product(walk);
    }
}

/* Samples, then positions from axis s on. */
static void sum_positions(Walk *walk, int s) {
    int64_t extent = s < 0 ? walk->in->batch : walk->result->buffer->dims[s + 1].n;
    for (int64_t at = 0; at < extent && !walk->in->failed; at++) {
        walk->y[s + 1] = at;
        if (s < 0)
            walk->x[0] = at;
        else if (!find_cell(walk, s))
            continue;
        if (s + 1 < walk->spatial)
            sum_positions(walk, s + 1);
        else
            add_product(walk);
    }
}

static void sum_one(Walk *walk) {
    const KConvolution *c = walk->c;
    int last = walk->spatial;
    if (c->kind == CONVOLUTION_BY_WEIGHTS) {
        walk->x[last + 1] = walk->w[last];
        walk->y[last + 1] = walk->w[last + 1];
        sum_positions(walk, -1);
        return;
    }
    const int64_t *written = c->kind == CONVOLUTION_FORWARD ? walk->y : walk->x;
    walk->x[0] = walk->y[0] = written[0];
    walk->w[c->kind == CONVOLUTION_FORWARD ? last + 1 : last] = written[last + 1];
    sum_taps(walk, 0);
}

/* Every element of what is written, from axis `axis` on. */
static void write_all(Walk *walk, const View *view, int64_t *place, int axis) {
    const KBuffer *b = view->buffer;
    if (axis < b->rank) {
        int64_t extent = dim_size(b->dims[axis], walk->in->batch);
        for (int64_t at = 0; at < extent && !walk->in->failed; at++) {
            place[axis] = at;
            write_all(walk, view, place, axis + 1);
        }
        return;
    }
    walk->sum = (Lanes){.poison = 0};
    walk->sum.f[0] = 0;
    sum_one(walk);
    if (!walk->in->failed)
        interp_write(walk->in, view, view_element(view, place), &walk->sum, 0);
}

void interp_convolution(KInterp *in, const KConvolution *c) {
    Walk walk = {.in = in, .c = c, .spatial = kconvolution_spatial(c)};
    walk.image = find_view(in, c->image);
    walk.weights = find_view(in, c->weights);
    walk.result = find_view(in, c->result);
    int64_t *const places[CONVOLUTIONS] = {walk.y, walk.x, walk.w};
    const View *const written[CONVOLUTIONS] = {walk.result, walk.image, walk.weights};
    interp_spoil(in, c->scratch);
    if (!in->failed)
        write_all(&walk, written[c->kind], places[c->kind], 0);
}
