/* Window geometry: the rules of Keras for `valid`, `same` and `causal` padding, with both shapes in the message when a
 * window is larger than its input. */
#include "frontend/components/windows.h"

/* How messages call the axes, by the number of spatial ones. */
static const struct {
    const char *shape, *one_sample, *help;
    const char *axes[2];
} window_words[] = {
    [SPATIAL_1D] = {"(batch, steps, channels)", "(steps, channels)", "give the sequence its axes", {"length"}},
    [SPATIAL_2D] = {"(batch, height, width, channels)",
                    "(height, width, channels)",
                    "give the image its axes",
                    {"height", "width"}},
};

static int64_t window_span(const WindowAttr *w, int axis) {
    return w->dilation[axis] * (w->size[axis] - 1) + 1;
}

int64_t window_extent(const WindowAttr *w, int axis, int64_t input) {
    return (input + w->low[axis] + w->high[axis] - window_span(w, axis)) / w->stride[axis] + 1;
}

bool window_rank(LayerContext *ctx, const Type *x, int spatial) {
    if (x->rank == spatial + 2)
        return true;
    const char *sample = window_words[spatial].one_sample;
    diag_error(ctx->diag, ctx->args->span, "%s needs an input of shape %s, but it is %s", ctx->args->component->name,
               window_words[spatial].shape, type_words(ctx->builder->module->arena, x));
    diag_help(ctx->diag, "%s with Input(%s) or Reshape(%s)", window_words[spatial].help, sample, sample);
    return false;
}

bool window_fit(LayerContext *ctx, const Type *x, const char *padding, const char *what, WindowAttr *w) {
    bool same = strcmp(padding, "same") == 0, causal = strcmp(padding, "causal") == 0;
    for (int i = 0; i < w->spatial; i++) {
        int64_t input = x->dims[i + 1].n, span = window_span(w, i);
        if (same) {
            int64_t output = (input + w->stride[i] - 1) / w->stride[i];
            int64_t total = (output - 1) * w->stride[i] + span - input;
            w->low[i] = total > 0 ? total / 2 : 0;
            w->high[i] = total > 0 ? total - total / 2 : 0;
        } else if (causal) {
            w->low[i] = span - 1;
        } else if (span > input) {
            Arena *arena = ctx->builder->module->arena;
            diag_error(ctx->diag, arg_get(ctx->args, what)->span,
                       "%s: the window spans %lld cells, but the %s of the input %s is only %lld",
                       ctx->args->component->name, (long long)span, window_words[w->spatial].axes[i],
                       type_words(arena, x), (long long)input);
            diag_help(ctx->diag, "make `%s` smaller, or use padding=same", what);
            return false;
        }
    }
    return true;
}
