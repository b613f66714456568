/* Small compositions and checks that several component files use. */
#include "frontend/args.h"
#include "frontend/components/components.h"

bool layer_not_built(LayerContext *ctx, const char *names) {
    bool fine = true;
    while (*names) {
        size_t length = strcspn(names, "|");
        char *name = arena_alloc(ctx->builder->module->arena, length + 1);
        memcpy(name, names, length);
        const Arg *arg = arg_get(ctx->args, name);
        bool is_false = arg->expr && arg->expr->kind == EXPR_BOOL && !arg->expr->boolean;
        if (arg->given && !arg->is_none && !is_false) {
            diag_error(ctx->diag, arg->span, "%s: `%s` is not built yet", ctx->args->component->name, name);
            diag_help(ctx->diag, "leave `%s` out", name);
            fine = false;
        }
        names += length + (names[length] == '|');
    }
    return fine;
}

bool layer_channels_last(LayerContext *ctx) {
    const Arg *arg = arg_get(ctx->args, "data_format");
    if (!arg || arg->is_none || strcmp(arg->text, "channels_first") != 0)
        return true;
    diag_error(ctx->diag, arg->span, "%s: data_format=channels_first is not built yet", ctx->args->component->name);
    diag_help(ctx->diag, "use channels_last: the channels are the last axis");
    return false;
}

int axis_of(Diag *diag, Span span, int64_t axis, int rank) {
    int64_t found = axis < 0 ? axis + rank : axis;
    if (found >= 1 && found < rank)
        return (int)found;
    if (found == 0)
        diag_error(diag, span, "axis %lld is the batch axis", (long long)axis);
    else
        diag_error(diag, span, "axis %lld is out of range for a tensor of rank %d", (long long)axis, rank);
    if (rank == 2)
        diag_help(diag, "the only axis beside the batch is 1, or -1");
    else if (rank > 2)
        diag_help(diag, "axes 1 to %d, or -1 for the last one; axis 0 is the batch", rank - 1);
    return -1;
}

bool axes_of(Diag *diag, const Arg *arg, int rank, AxesAttr *axes) {
    axes->count = 0;
    bool used[MAX_RANK] = {false};
    for (int i = 0; i < arg->ints.count; i++) {
        int axis = axis_of(diag, arg->span, arg->ints.items[i], rank);
        if (axis < 0)
            return false;
        used[axis] = true;
    }
    for (int i = 1; i < rank; i++)
        if (used[i])
            axes->axes[axes->count++] = i;
    return axes->count > 0;
}

bool layer_weight_fits(LayerContext *ctx, const char *leaf, int rank, const Dim *dims) {
    double elements = 1;
    for (int i = 0; i < rank; i++)
        elements *= (double)dims[i].n;
    if (elements <= LARGE)
        return true;
    diag_error(ctx->diag, ctx->args->span, "the %s of this %s would have %.3g elements", leaf,
               ctx->args->component->name, elements);
    diag_help(ctx->diag, "a weight has at most 2147483647 elements");
    return false;
}

Value *layer_penalise_activity(LayerContext *ctx, Value *y) {
    const Arg *arg = arg_get(ctx->args, "activity_regularizer");
    if (!y || !arg || arg->is_none || !arg->part.component)
        return y;
    Builder *b = ctx->builder;
    Value *penalty = arg->part.component->build.regularizer(b, arg->part.args, y);
    layer_add_loss(ctx, build_div(b, penalty, build_batch_size(b)));
    return y;
}

Value *layer_finish(LayerContext *ctx, Value *y, int64_t features) {
    if (!y)
        return NULL;
    if (arg_bool(ctx->args, "use_bias")) {
        Dim dims[1] = {dim_static(features)};
        y = build_add(ctx->builder, y, layer_weight(ctx, "bias", layer_type(ctx, 1, dims), true));
    }
    return layer_penalise_activity(ctx, y ? layer_activation(ctx, y) : NULL);
}

Init layer_init(LayerContext *ctx, const char *argument, double fan_in, double fan_out) {
    const Arg *arg = arg_get(ctx->args, argument);
    if (!arg || arg->is_none || !arg->part.component)
        return (Init){.kind = INIT_CONSTANT, .seed = -1};
    return arg->part.component->build.initializer(arg->part.args, fan_in, fan_out);
}

Value *layer_weight_with(LayerContext *ctx, const char *leaf, const Type *type, Init init) {
    Value *weight = layer_weight(ctx, leaf, type, true);
    if (weight)
        layer_variable(ctx, leaf)->init = init;
    return weight;
}

static Value *drop_seed(LayerContext *ctx) {
    const Arg *seed = arg_find(ctx->args, "seed");
    if (!seed || seed->is_none)
        return ctx->seed;
    return build_const(ctx->builder, type_scalar(ctx->builder->module, DTYPE_I32), (double)seed->integer);
}

Value *layer_drop(LayerContext *ctx, Value *x, double rate, const Type *noise) {
    if (!x || !ctx->training || rate == 0)
        return x;
    Builder *b = ctx->builder;
    Value *zero = build_like(b, x, 0);
    if (rate == 1)
        return zero;
    Value *number =
        build_random(b, RANDOM_UNIFORM, noise ? noise : x->type, layer_random_stream(ctx), drop_seed(ctx), ctx->step);
    Value *keep = build_map2(b, FN_ge, number, number ? build_like(b, number, rate) : NULL);
    return build_map3(b, FN_select, keep, build_scale(b, x, 1 / (1 - rate)), zero);
}

const char *type_words(Arena *arena, const Type *type) {
    const char *words = "(";
    for (int i = 0; i < type->rank; i++) {
        Dim d = type->dims[i];
        const char *comma = i + 1 < type->rank ? ", " : type->rank == 1 ? ",)" : ")";
        if (d.batch)
            words = arena_format(arena, "%s%s%s", words, d.n == 1 ? "B" : arena_format(arena, "%lldB", (long long)d.n),
                                 comma);
        else
            words = arena_format(arena, "%s%lld%s", words, (long long)d.n, comma);
    }
    return type->rank ? words : "()";
}

const Type *type_with_axis(Module *module, const Type *type, int axis, Dim dim) {
    Dim dims[MAX_RANK];
    memcpy(dims, type->dims, sizeof dims);
    dims[axis] = dim;
    return type_get(module, type->dtype, type->rank, dims);
}

Value *build_clip(Builder *b, Value *x, double low, double high) {
    if (!x)
        return NULL;
    return build_min(b, build_max(b, x, build_like(b, x, low)), build_like(b, x, high));
}

Value *build_square(Builder *b, Value *x) {
    return build_mul(b, x, x);
}

Value *build_where(Builder *b, ScalarFn compare, Value *x, double than, Value *yes, Value *no) {
    if (!x)
        return NULL;
    return build_map3(b, FN_select, build_map2(b, compare, x, build_like(b, x, than)), yes, no);
}

/* The largest value is subtracted so that exp cannot overflow; it cancels, so no gradient flows through it. */
static Value *minus_largest(Builder *b, Value *x, const AxesAttr *over) {
    Value *largest = build_reduce_keep(b, REDUCE_MAX, x, over->axes, over->count);
    return build_sub(b, x, build_stop_gradient(b, largest));
}

Value *build_softmax(Builder *b, Value *x, const AxesAttr *over) {
    Value *e = build_map1(b, FN_exp, minus_largest(b, x, over));
    return build_div(b, e, build_reduce_keep(b, REDUCE_SUM, e, over->axes, over->count));
}

Value *build_log_softmax(Builder *b, Value *x, const AxesAttr *over) {
    Value *z = minus_largest(b, x, over);
    Value *sum = build_reduce_keep(b, REDUCE_SUM, build_map1(b, FN_exp, z), over->axes, over->count);
    return build_sub(b, z, build_map1(b, FN_log, sum));
}

/* x above the threshold (cut at max_value), else negative_slope * (x - threshold): the slope's part is subtracted after
 * the cut, as Keras does. The constants stand first in max and min: their derivative goes to `a` when both are equal,
 * so that at exactly 0 (and max_value) no gradient flows to x, as in Keras. NaN stays NaN in every form. */
Value *build_relu(Builder *b, Value *x, double negative_slope, double max_value, double threshold) {
    if (!x)
        return NULL;
    Value *zero = build_like(b, x, 0);
    Value *y = threshold != 0 ? build_where(b, FN_le, x, threshold, zero, x) : build_map1(b, FN_relu, x);
    if (!isnan(max_value))
        y = build_min(b, build_like(b, x, max_value), threshold < 0 ? build_max(b, zero, y) : y);
    if (negative_slope != 0) {
        Value *below = build_max(b, zero, build_sub(b, build_like(b, x, threshold), x));
        y = build_sub(b, y, build_scale(b, below, negative_slope));
    }
    return y;
}

Value *build_leaky(Builder *b, Value *x, double slope) {
    return build_where(b, FN_gt, x, 0, x, build_scale(b, x, slope));
}

/* expm1 sees only values up to 0, so that it never overflows where it is not chosen. */
Value *build_elu(Builder *b, Value *x, double alpha) {
    if (!x)
        return NULL;
    Value *below = build_map1(b, FN_expm1, build_min(b, x, build_like(b, x, 0)));
    return build_where(b, FN_gt, x, 0, x, build_scale(b, below, alpha));
}
