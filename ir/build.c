/* The builder: leaves, elementwise ops with NumPy broadcasting, state. The ops that move or combine elements are in
 * build_shape.c. Every call ends in build_op, which infers, creates and inserts. */
#include "ir/build.h"
#include <string.h>

Builder builder_at_end(Func *func) {
    return (Builder){.module = func->module, .func = func, .region = &func->body};
}

Builder builder_before(Func *func, Op *op) {
    return (Builder){.module = func->module,
                     .func = func,
                     .region = op->parent,
                     .before = op,
                     .span = op->span,
                     .layer = op->layer,
                     .gradient = op->gradient};
}

static void insert(Builder *builder, Op *op) {
    op->layer = builder->layer;
    op->gradient = builder->gradient;
    if (builder->before)
        op_insert_before(builder->before, op);
    else
        op_append(builder->region, op);
}

static bool all_present(Value *const *inputs, int count) {
    for (int i = 0; i < count; i++)
        if (!inputs[i])
            return false;
    return true;
}

static Op *new_op(Builder *builder, OpCode code, const OpAttr *attr, Value *const *inputs, int count,
                  const Type *wanted) {
    const OpAttr none = {0};
    int results = op_infos[code].results < 0 ? count - 1 : op_infos[code].results;
    if (!all_present(inputs, count))
        return NULL;
    const Type **types = ARENA_ARRAY(builder->module->arena, const Type *, results > 0 ? results : 1);
    if (!op_infer(builder->module, code, attr ? attr : &none, inputs, count, wanted, builder->span, types))
        return NULL;
    Op *op = op_new(builder->func, code, inputs, count, types, results, builder->span);
    op->attr = attr ? *attr : none;
    if (code == OP_EINSUM)
        op->attr.einsum.out_rank = (int8_t)types[0]->rank;
    return op;
}

Value *build_op(Builder *builder, OpCode code, const OpAttr *attr, Value *const *inputs, int count,
                const Type *wanted) {
    Op *op = new_op(builder, code, attr, inputs, count, wanted);
    if (!op)
        return NULL;
    insert(builder, op);
    return op->result_count ? op->results[0] : NULL;
}

/* ---- leaves ---- */

Value *build_const(Builder *builder, const Type *type, double value) {
    return type ? build_op(builder, OP_CONST, &(OpAttr){.constant = value}, NULL, 0, type) : NULL;
}

Value *build_number(Builder *builder, double value) {
    return build_const(builder, type_scalar(builder->module, DTYPE_F32), value);
}

Value *build_like(Builder *builder, Value *model, double value) {
    return model ? build_const(builder, model->type, value) : NULL;
}

Value *build_iota(Builder *builder, const Type *type, int axis) {
    return type ? build_op(builder, OP_IOTA, &(OpAttr){.axis = axis}, NULL, 0, type) : NULL;
}

typedef struct {
    Op *op;     /* NULL: the body does not read it */
    bool leads; /* only variables stand before it */
} VariableOp;

struct RegionVariables {
    VariableOp *items; /* by Variable.id */
    int capacity;
    Op *last; /* of those that lead; NULL: none does */
};

static VariableOp *variable_op(Arena *arena, RegionVariables *variables, int id) {
    if (id >= variables->capacity) {
        int known = variables->capacity, capacity = id < known * 2 ? known * 2 : id + 16;
        VariableOp *items = ARENA_ARRAY(arena, VariableOp, capacity);
        if (known)
            memcpy(items, variables->items, sizeof *items * (size_t)known);
        variables->items = items;
        variables->capacity = capacity;
    }
    return &variables->items[id];
}

static RegionVariables *find_variables(Arena *arena, const Region *body) {
    RegionVariables *variables = ARENA_NEW(arena, RegionVariables);
    bool leads = true;
    for (Op *op = body->first; op; op = op->next) {
        leads = leads && op->code == OP_VARIABLE;
        if (op->code != OP_VARIABLE)
            continue;
        VariableOp *found = variable_op(arena, variables, op->attr.variable->id);
        if (!found->op)
            *found = (VariableOp){op, leads};
        variables->last = leads ? op : variables->last;
    }
    return variables;
}

/* Behind the variables that the body begins with. */
static void lead_with(Region *body, RegionVariables *variables, Op *op) {
    Op *place = variables->last ? variables->last->next : body->first;
    if (place)
        op_insert_before(place, op);
    else
        op_append(body, op);
    variables->last = op;
    body->variables = variables; /* which it still describes */
}

/* The variables that a function reads stand at its start, each once, so that they may be used anywhere in it. */
Value *build_variable(Builder *builder, Variable *variable) {
    if (!variable)
        return NULL;
    Arena *arena = builder->module->arena;
    Region *body = &builder->func->body;
    if (!body->variables)
        body->variables = find_variables(arena, body);
    RegionVariables *variables = body->variables;
    VariableOp *found = variable_op(arena, variables, variable->id);
    if (found->op && found->leads)
        return found->op->results[0];
    if (found->op) {
        op_remove(found->op);
    } else {
        found->op = new_op(builder, OP_VARIABLE, &(OpAttr){.variable = variable}, NULL, 0, NULL);
        if (!found->op)
            return NULL;
        found->op->layer = builder->layer;
    }
    found->leads = true;
    lead_with(body, variables, found->op);
    return found->op->results[0];
}

Value *build_batch_size(Builder *builder) {
    return build_op(builder, OP_BATCH_SIZE, NULL, NULL, 0, NULL);
}

Value *build_random(Builder *builder, RandomKind kind, const Type *type, int stream, Value *seed, Value *step) {
    OpAttr attr = {.random = {kind, stream}};
    return type ? build_op(builder, OP_RANDOM, &attr, (Value *[]){seed, step}, 2, type) : NULL;
}

/* ---- elementwise ---- */

static bool has_batch(const Type *type) {
    return type->rank > 0 && type->dims[0].batch;
}

/* Axis of the result (of `rank` axes) that axis i of type lies on: the last axes are aligned, B stays first. */
static int aligned_axis(const Type *type, int rank, int i) {
    return has_batch(type) && i == 0 ? 0 : i + rank - type->rank;
}

/* Widens `dims` by one more input; NULL, or the reason why that cannot be. */
static const char *widen(Arena *arena, Dim *dims, int rank, const Type *type) {
    for (int i = 0; i < type->rank; i++) {
        int axis = aligned_axis(type, rank, i);
        Dim dim = type->dims[i];
        if (dim_equal(dims[axis], dim) || dim_equal(dim, dim_static(1)))
            continue;
        if (!dim_equal(dims[axis], dim_static(1)))
            return arena_format(arena, "axis %d is %s for one and %s for another", axis, dim_text(arena, dims[axis]),
                                dim_text(arena, dim));
        dims[axis] = dim;
    }
    return NULL;
}

/* The shape that all inputs broadcast to; false after a message. */
static bool common_dims(Builder *builder, const char *name, Value *const *inputs, int count, int *rank, Dim *dims) {
    *rank = 0;
    for (int i = 0; i < count; i++)
        if (inputs[i]->type->rank > *rank)
            *rank = inputs[i]->type->rank;
    for (int i = 0; i < *rank; i++)
        dims[i] = dim_static(1);
    for (int i = 0; i < count; i++) {
        const char *reason = widen(builder->module->arena, dims, *rank, inputs[i]->type);
        if (!reason)
            continue;
        Text shapes = {0};
        for (int k = 0; k < count; k++) {
            text_add(&shapes, k == 0 ? "" : k + 1 < count ? ", " : " and ");
            type_print(&shapes, inputs[k]->type);
        }
        diag_error(builder->module->diag, builder->span, "%s: the shapes %s do not fit together: %s", name, shapes.data,
                   reason);
        text_free(&shapes);
        return false;
    }
    return true;
}

Value *build_broadcast_to(Builder *builder, Value *value, const Type *type) {
    if (!value || !type)
        return NULL;
    int axes[MAX_RANK] = {0};
    if (value->type->rank > type->rank) {
        diag_error(builder->module->diag, builder->span, "%s cannot be broadcast to %s, which has fewer axes",
                   type_text(builder->module->arena, value->type), type_text(builder->module->arena, type));
        return NULL;
    }
    for (int i = 0; i < value->type->rank; i++)
        axes[i] = aligned_axis(value->type, type->rank, i);
    return build_broadcast(builder, value, type_with_dtype(builder->module, type, value->type->dtype), axes);
}

Value *build_map(Builder *builder, ScalarFn fn, Value **inputs, int count) {
    Value *broadcast[MAX_RANK] = {0};
    Dim dims[MAX_RANK];
    int rank;
    if (!all_present(inputs, count))
        return NULL;
    if (count > MAX_RANK || count != scalar_infos[fn].arity) {
        diag_internal(builder->module->diag, builder->span, "%s was given %d inputs", scalar_infos[fn].name, count);
        return NULL;
    }
    if (!common_dims(builder, scalar_infos[fn].name, inputs, count, &rank, dims))
        return NULL;
    for (int i = 0; i < count; i++)
        broadcast[i] =
            build_broadcast_to(builder, inputs[i], type_get(builder->module, inputs[i]->type->dtype, rank, dims));
    return build_op(builder, OP_MAP, &(OpAttr){.scalar = fn}, broadcast, count, NULL);
}

Value *build_map1(Builder *builder, ScalarFn fn, Value *x) {
    return build_map(builder, fn, (Value *[]){x}, 1);
}

Value *build_map2(Builder *builder, ScalarFn fn, Value *x, Value *y) {
    return build_map(builder, fn, (Value *[]){x, y}, 2);
}

Value *build_map3(Builder *builder, ScalarFn fn, Value *x, Value *y, Value *z) {
    return build_map(builder, fn, (Value *[]){x, y, z}, 3);
}

Value *build_scale(Builder *builder, Value *x, double number) {
    return build_mul(builder, x, build_like(builder, x, number));
}

Value *build_shift(Builder *builder, Value *x, double number) {
    return build_add(builder, x, build_like(builder, x, number));
}

Value *build_cast(Builder *builder, Value *x, Dtype dtype) {
    if (!x || x->type->dtype == dtype)
        return x;
    return build_op(builder, OP_CAST, NULL, &x, 1, type_with_dtype(builder->module, x->type, dtype));
}

Value *build_stop_gradient(Builder *builder, Value *x) {
    return build_op(builder, OP_STOP_GRADIENT, NULL, &x, 1, NULL);
}

/* ---- state and differentiation ---- */

void build_grad(Builder *builder, Value *loss, Value **by, int count, Value **gradients) {
    memset(gradients, 0, sizeof *gradients * (size_t)count);
    if (count == 0)
        return;
    Value **inputs = ARENA_ARRAY(builder->module->arena, Value *, count + 1);
    inputs[0] = loss;
    memcpy(inputs + 1, by, sizeof *by * (size_t)count);
    Op *op = new_op(builder, OP_GRAD, NULL, inputs, count + 1, NULL);
    if (!op)
        return;
    insert(builder, op);
    memcpy(gradients, op->results, sizeof *gradients * (size_t)count);
}

void build_assign(Builder *builder, Variable *variable, Value *value) {
    if (variable)
        build_op(builder, OP_ASSIGN, &(OpAttr){.variable = variable}, &value, 1, NULL);
}

/* ---- recurrence ---- */

static bool sequences_fit(Builder *builder, const ScanInputs *in) {
    for (int i = 0; i < in->sequence_count; i++) {
        const Type *type = in->sequences[i]->type;
        int axis = scan_time_axis(type);
        if (axis < type->rank && dim_equal(type->dims[axis], dim_static(in->steps)))
            continue;
        diag_error(builder->module->diag, builder->span, "scan: sequence %d is %s and has no axis of %d steps", i + 1,
                   type_text(builder->module->arena, type), in->steps);
        return false;
    }
    return true;
}

Op *build_scan_begin(Builder *builder, const ScanInputs *in) {
    Module *module = builder->module;
    if (!all_present(in->states, in->state_count) || !all_present(in->sequences, in->sequence_count) ||
        !all_present(in->whole, in->whole_count) || !sequences_fit(builder, in))
        return NULL;
    int first = in->state_count, end = first + in->sequence_count, count = end + in->whole_count;
    Value **inputs = ARENA_ARRAY(module->arena, Value *, count + 1);
    for (int i = 0; i < count; i++)
        inputs[i] = i < first ? in->states[i] : i < end ? in->sequences[i - first] : in->whole[i - end];
    const Type **types = ARENA_ARRAY(module->arena, const Type *, first + 1);
    for (int i = 0; i < first; i++)
        types[i] = inputs[i]->type;
    Op *scan = op_new(builder->func, OP_SCAN, inputs, count, types, first, builder->span);
    scan->attr.scan = (ScanAttr){in->steps, in->state_count, in->sequence_count, in->reverse};
    Region *region = region_new(builder->func, scan);
    for (int i = 0; i < count; i++) {
        bool sequence = i >= first && i < end;
        const Type *type = sequence ? scan_step_type(module, inputs[i]->type) : inputs[i]->type;
        region_add_arg(builder->func, region, type, inputs[i]->name);
    }
    insert(builder, scan);
    builder->region = region;
    builder->before = NULL;
    return scan;
}

/* The scan was inserted where the builder stood; it goes on behind it. */
bool build_scan_end(Builder *builder, Op *scan, Value *const *next_states, Value *const *outputs, int output_count) {
    if (!scan)
        return false;
    builder->region = scan->parent;
    builder->before = scan->next;
    if (!all_present(next_states, scan->attr.scan.carried) || !all_present(outputs, output_count))
        return false;
    for (int i = 0; i < scan->attr.scan.carried; i++)
        region_add_yield(builder->func, scan->region, next_states[i]);
    for (int i = 0; i < output_count; i++)
        scan_append_output(builder->func, scan, outputs[i]);
    const char *mistake = scan_mistake(builder->module, builder->module->arena, scan);
    if (mistake)
        diag_error(builder->module->diag, builder->span, "scan: %s", mistake);
    return !mistake;
}
