/* The driver of recurrent layers: the input times the kernel for all steps at once, then a scan over the steps. Needs
 * the cell's description; leaves the layer's result, its weights named as Keras does (lstm/lstm_cell/kernel), its mask.
 * Dropout masks are drawn once per batch, outside of the scan: all steps share them, as in Keras. */
#include "frontend/components/recurrent.h"

/* What the parts of one layer share while it is built. */
typedef struct {
    LayerContext *ctx;
    const RecurrentCell *cell;
    const RecurrentOptions *options;
    int64_t units;
    Value *x, *kernel, *recurrent, *bias, *recurrent_bias;
    GateColumns columns[MAX_GATES]; /* values outside of the scan */
    int column_count;
} Recurrence;

const RecurrentCell *recurrent_cell(const Component *component) {
    for (int i = 0; i < RECURRENT_CELLS; i++)
        if (recurrent_cells[i].component == component)
            return &recurrent_cells[i];
    return NULL;
}

/* Columns of gates first .. first + count - 1 of a value whose last axis holds `of` gates. */
static Value *gate_slice(Builder *b, Value *v, int64_t units, int first, int count, int of) {
    if (!v || count == of)
        return v;
    int64_t start[MAX_RANK] = {0}, stride[MAX_RANK] = {1, 1, 1, 1, 1, 1};
    int last = v->type->rank - 1;
    start[last] = first * units;
    return build_slice(b, v, start, stride, type_with_axis(b->module, v->type, last, dim_static(count * units)));
}

/* ---- inside the step ---- */

static int step_gates(const RecurrentStep *step) {
    return (int)(step->x->type->dims[1].n / step->units);
}

Value *recurrent_input(RecurrentStep *step, int gate) {
    return gate_slice(step->builder, step->x, step->units, gate, 1, step_gates(step));
}

void recurrent_gates(RecurrentStep *step, Value *h, int first, int count, bool with_input, Value **out) {
    Builder *b = step->builder;
    for (int i = 0; i < step->column_count; i++) {
        const GateColumns *c = &step->columns[i];
        if (c->first < first || c->first >= first + count)
            continue;
        Value *sum = build_einsum(b, "bk,kn->bn", c->mask ? build_mul(b, h, c->mask) : h, c->kernel);
        if (c->bias)
            sum = build_add(b, sum, c->bias);
        if (with_input)
            sum = build_add(b, sum, gate_slice(b, step->x, step->units, c->first, c->count, step_gates(step)));
        for (int gate = 0; gate < c->count; gate++)
            out[c->first + gate - first] = gate_slice(b, sum, step->units, gate, 1, c->count);
    }
}

Value *recurrent_apply(RecurrentStep *step, const char *activation, Value *x) {
    const Arg *arg = arg_get(step->args, activation);
    if (!x || arg->is_none || !arg->part.component)
        return x;
    return arg->part.component->build.activation(step->builder, arg->part.args, x);
}

/* ---- weights ---- */

static const char *weight_path(const Recurrence *l, const char *leaf) {
    Arena *arena = l->ctx->builder->module->arena;
    return arena_format(arena, "%s_cell/%s", component_snake(arena, l->cell->component->name), leaf);
}

static bool has_unit_forget_bias(const Recurrence *l) {
    return component_parameter(l->cell->component, "unit_forget_bias") >= 0 &&
           arg_bool(l->ctx->args, "unit_forget_bias");
}

/* Two rows where the recurrent product has a bias of its own (GRU with reset_after). */
static bool make_bias(Recurrence *l) {
    LayerContext *ctx = l->ctx;
    Builder *b = ctx->builder;
    int64_t width = l->cell->gates * l->units;
    bool two = component_parameter(l->cell->component, "reset_after") >= 0 && arg_bool(ctx->args, "reset_after");
    Dim dims[2] = {dim_static(2), dim_static(width)};
    const Type *row = layer_type(ctx, 1, dims + 1), *wide = layer_type(ctx, 2, (Dim[]){dim_static(1), dims[1]});
    Value *bias;
    if (has_unit_forget_bias(l)) {
        Init init = layer_init(ctx, "bias_initializer", (double)width, (double)width);
        if (init.kind != INIT_CONSTANT) {
            diag_error(ctx->diag, arg_get(ctx->args, "bias_initializer")->span,
                       "LSTM: unit_forget_bias with random initial values of `bias` is not built yet");
            diag_help(ctx->diag, "add unit_forget_bias=false, or use a constant such as zeros");
            return false;
        }
        init.kind = INIT_FORGET;
        init.b = 1;
        bias = layer_weight_with(ctx, weight_path(l, "bias"), row, init);
    } else {
        bias = layer_weight(ctx, weight_path(l, "bias"), two ? layer_type(ctx, 2, dims) : row, true);
    }
    l->bias = bias;
    if (two) {
        const int64_t stride[2] = {1, 1};
        l->bias = build_reshape(b, build_slice(b, bias, (int64_t[2]){0, 0}, stride, wide), row);
        l->recurrent_bias = build_reshape(b, build_slice(b, bias, (int64_t[2]){1, 0}, stride, wide), row);
    }
    return bias != NULL;
}

static bool make_weights(Recurrence *l) {
    LayerContext *ctx = l->ctx;
    Dim width = dim_static(l->cell->gates * l->units);
    Dim kernel[2] = {l->x->type->dims[2], width}, recurrent[2] = {dim_static(l->units), width};
    if (!layer_weight_fits(ctx, "kernel", 2, kernel) || !layer_weight_fits(ctx, "recurrent kernel", 2, recurrent))
        return false;
    l->kernel = layer_weight(ctx, weight_path(l, "kernel"), layer_type(ctx, 2, kernel), true);
    l->recurrent = layer_weight(ctx, weight_path(l, "recurrent_kernel"), layer_type(ctx, 2, recurrent), true);
    if (!l->kernel || !l->recurrent)
        return false;
    return !arg_bool(ctx->args, "use_bias") || make_bias(l);
}

/* ---- dropout ---- */

/* The rate that is used: 0 outside of training. */
static double drop_rate(const Recurrence *l, const char *name) {
    double rate = arg_float(l->ctx->args, name);
    return !l->ctx->training || (rate == 1 && !l->cell->whole_dropout) ? 0 : rate;
}

static Value *drop_mask(const Recurrence *l, const char *name, int64_t features) {
    Dim dims[2] = {l->x->type->dims[0], dim_static(features)};
    Value *ones = build_const(l->ctx->builder, layer_type(l->ctx, 2, dims), 1);
    return layer_drop(l->ctx, ones, drop_rate(l, name), NULL);
}

static Value *dropped_input(const Recurrence *l) {
    const Type *type = l->x->type;
    if (drop_rate(l, "dropout") == 0)
        return l->x;
    Dim dims[3] = {type->dims[0], dim_static(1), type->dims[2]};
    Value *mask = build_reshape(l->ctx->builder, drop_mask(l, "dropout", dims[2].n), layer_type(l->ctx, 3, dims));
    return build_mul(l->ctx->builder, l->x, mask);
}

/* With recurrent dropout each gate has masks of its own. */
static bool drops_by_gate(const Recurrence *l) {
    return l->cell->gates > 1 && arg_float(l->ctx->args, "recurrent_dropout") != 0;
}

/* ---- around the scan ---- */

/* All steps of the input times the kernel: [B, T, gates * units]. */
static Value *project(const Recurrence *l) {
    Builder *b = l->ctx->builder;
    Value *y, *parts[MAX_GATES];
    if (drops_by_gate(l) && drop_rate(l, "dropout") != 0) {
        for (int i = 0; i < l->cell->gates; i++)
            parts[i] = build_einsum(b, "abk,kn->abn", dropped_input(l),
                                    gate_slice(b, l->kernel, l->units, i, 1, l->cell->gates));
        y = build_concat(b, parts, l->cell->gates, 2);
    } else {
        y = build_einsum(b, "abk,kn->abn", dropped_input(l), l->kernel);
    }
    return l->bias ? build_add(b, y, l->bias) : y;
}

/* How the gates share products: one each where their dropout masks differ. */
static void split_columns(Recurrence *l) {
    LayerContext *ctx = l->ctx;
    int gates = l->cell->gates, reset = l->cell->reset ? l->cell->reset(ctx->args) : 0;
    bool each = drops_by_gate(l) && ctx->training;
    for (int first = 0, end; first < gates; first = end) {
        end = each ? first + 1 : first < reset ? reset : gates;
        GateColumns *c = &l->columns[l->column_count++];
        c->first = first;
        c->count = end - first;
        c->kernel = gate_slice(ctx->builder, l->recurrent, l->units, first, c->count, gates);
        c->bias = gate_slice(ctx->builder, l->recurrent_bias, l->units, first, c->count, gates);
        c->mask = drop_rate(l, "recurrent_dropout") != 0 ? drop_mask(l, "recurrent_dropout", l->units) : NULL;
    }
}

/* The values that every step reads whole, and, on the way back (args given), their names inside of the region. */
static int whole_values(const Recurrence *l, Value **whole, Value *const *args, GateColumns *inside) {
    int count = 0;
    for (int i = 0; i < l->column_count; i++) {
        const GateColumns *c = &l->columns[i];
        GateColumns *in = &inside[i];
        *in = *c;
        Value *const outside[3] = {c->kernel, c->bias, c->mask};
        Value **const places[3] = {&in->kernel, &in->bias, &in->mask};
        for (int k = 0; k < 3; k++)
            if (outside[k]) {
                *places[k] = args ? args[count] : outside[k];
                whole[count++] = outside[k];
            }
    }
    return count;
}

/* Masked samples keep their state. */
static void keep_masked(Builder *b, Value *counts, const RecurrentCell *cell, Value *const *states, Value **next) {
    for (int i = 0; i < cell->states; i++)
        next[i] = build_map3(b, FN_select, counts, next[i], states[i]);
}

/* The mask of one step, f32[B], as bool[B, units]. */
static Value *step_counts(Builder *b, Value *mask, const Type *type) {
    Value *wide = build_broadcast(b, mask, type, (const int[]){0});
    return build_map2(b, FN_gt, wide, build_like(b, wide, 0));
}

/* Builds the region; gives the step's output. */
static Value *build_step(const Recurrence *l, Op *scan, bool masked, Value **next) {
    Builder *b = l->ctx->builder;
    Value *const *states = scan->region->args, *const *sequences = states + l->cell->states;
    Value *unused[3 * MAX_GATES];
    RecurrentStep step = {.builder = b, .args = l->ctx->args, .units = l->units, .x = sequences[0]};
    step.column_count = l->column_count;
    whole_values(l, unused, sequences + 1 + masked, step.columns);
    l->cell->step(&step, states, next);
    Value *output = next[0];
    if (!masked || !output)
        return output;
    Value *counts = step_counts(b, sequences[1], states[0]->type);
    keep_masked(b, counts, l->cell, states, next);
    return l->options->zero_masked ? build_map3(b, FN_select, counts, output, build_like(b, output, 0)) : next[0];
}

/* The mask as f32[B, T]: a step of several parts counts if any of them does. */
static Value *mask_of_steps(Builder *b, Value *mask) {
    static const int parts[] = {2, 3, 4, 5};
    Value *counts = build_cast(b, mask, DTYPE_F32);
    return counts ? build_reduce(b, REDUCE_MAX, counts, parts, counts->type->rank - 2) : NULL;
}

/* The layer's states after the last step or the outputs of all steps. */
static Value *build_scan(Recurrence *l, Value *mask, bool sequences) {
    Builder *b = l->ctx->builder;
    Value *states[MAX_STATES], *inputs[2] = {project(l), mask_of_steps(b, mask)}, *whole[3 * MAX_GATES];
    Dim dims[2] = {l->x->type->dims[0], dim_static(l->units)};
    split_columns(l);
    for (int i = 0; i < l->cell->states; i++)
        states[i] = build_const(b, layer_type(l->ctx, 2, dims), 0);
    GateColumns ignored[MAX_GATES];
    ScanInputs in = {.steps = (int)l->x->type->dims[1].n,
                     .reverse = l->options->backwards,
                     .states = states,
                     .state_count = l->cell->states,
                     .sequences = inputs,
                     .sequence_count = mask ? 2 : 1,
                     .whole = whole,
                     .whole_count = whole_values(l, whole, NULL, ignored)};
    Op *scan = build_scan_begin(b, &in);
    if (!scan)
        return NULL;
    Value *next[MAX_STATES] = {0}, *output = build_step(l, scan, mask != NULL, next);
    if (!build_scan_end(b, scan, next, &output, sequences ? 1 : 0))
        return NULL;
    return scan->results[sequences ? l->cell->states : 0];
}

static bool fits(LayerContext *ctx, const Value *x) {
    Arena *arena = ctx->builder->module->arena;
    const char *name = ctx->args->component->name;
    if (x->type->rank == 3 && x->type->dims[1].n <= INT32_MAX)
        return true;
    diag_error(ctx->diag, ctx->args->span, "%s needs an input of shape (batch, steps, features), but it is %s", name,
               type_words(arena, x->type));
    diag_help(ctx->diag, x->type->rank == 2
                             ? "give the sequence its axes with Input((steps, features)), or give a recurrent "
                               "layer before this one return_sequences=true"
                             : "bring it into shape with Reshape((steps, features))");
    return false;
}

Value *recurrent_layer(LayerContext *ctx, Value *x, const RecurrentOptions *options) {
    if (!layer_not_built(ctx, "kernel_constraint|recurrent_constraint|bias_constraint|return_state|stateful") ||
        !fits(ctx, x))
        return NULL;
    Recurrence l = {.ctx = ctx,
                    .cell = recurrent_cell(ctx->args->component),
                    .options = options,
                    .units = arg_int(ctx->args, "units"),
                    .x = x};
    Value *mask = layer_mask(ctx);
    bool sequences = arg_bool(ctx->args, "return_sequences");
    Value *y = make_weights(&l) ? build_scan(&l, mask, sequences) : NULL;
    if (!y)
        return NULL;
    if (sequences && options->backwards && !options->in_time_order)
        y = build_reverse(ctx->builder, y, (int[]){1}, 1);
    if (sequences)
        layer_set_mask(ctx, y, mask);
    return layer_penalise_activity(ctx, y);
}
