/* Window geometry: the rules of Keras for `valid` and `same` padding, with both shapes in the message when a window is
 * larger than its input. */
#include "frontend/components/windows.h"

static int64_t window_span(const WindowAttr *w, int axis) {
    return w->dilation[axis] * (w->size[axis] - 1) + 1;
}

int64_t window_extent(const WindowAttr *w, int axis, int64_t input) {
    return (input + w->low[axis] + w->high[axis] - window_span(w, axis)) / w->stride[axis] + 1;
}

bool window_rank(LayerContext *ctx, const Type *x, int spatial) {
    if (x->rank == spatial + 2)
        return true;
    diag_error(ctx->diag, ctx->args->span, "%s needs an input of shape (batch, height, width, channels), but it is %s",
               ctx->args->component->name, type_words(ctx->builder->module->arena, x));
    diag_help(ctx->diag,
              "give the image its axes with Input((height, width, channels)) or Reshape((height, width, channels))");
    return false;
}

bool window_fit(LayerContext *ctx, const Type *x, const char *padding, const char *what, WindowAttr *w) {
    bool same = strcmp(padding, "same") == 0;
    for (int i = 0; i < w->spatial; i++) {
        int64_t input = x->dims[i + 1].n, span = window_span(w, i);
        if (same) {
            int64_t output = (input + w->stride[i] - 1) / w->stride[i];
            int64_t total = (output - 1) * w->stride[i] + span - input;
            w->low[i] = total > 0 ? total / 2 : 0;
            w->high[i] = total > 0 ? total - total / 2 : 0;
        } else if (span > input) {
            Arena *arena = ctx->builder->module->arena;
            diag_error(ctx->diag, arg_get(ctx->args, what)->span,
                       "%s: the window spans %lld cells, but the %s of the input %s is only %lld",
                       ctx->args->component->name, (long long)span, i == 0 ? "height" : "width", type_words(arena, x),
                       (long long)input);
            diag_help(ctx->diag, "make `%s` smaller, or use padding=same", what);
            return false;
        }
    }
    return true;
}
