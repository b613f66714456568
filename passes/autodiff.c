/* Reverse-mode differentiation: replaces each `grad` op by the ops of the gradients that it asks for.
 *
 * Needs verified IR; leaves none of the `grad` ops. Only ops on a path from an asked value to the loss are
 * differentiated. A value that is used several times gets the sum of the gradients of its uses. Expansion goes in
 * program order, so a gradient of a gradient meets primitives only. */
#include "passes/autodiff.h"

static const GradientRule rules[OP_COUNT] = {
#define OP(code, ...) [OP_##code] = gradient_##code,
#include "ir/ops.def"
#undef OP
};

void gradient_refuse(Gradient *gradient, const Op *op, const char *why, const char *remedy) {
    gradient->failed = true;
    diag_error(gradient->context->diag, op->span, "%s has no gradient%s%s", op_infos[op->code].name, why ? ": " : "",
               why ? why : "");
    if (op->layer)
        diag_note(gradient->context->diag, op->span, "it belongs to %s", op->layer);
    if (remedy)
        diag_help(gradient->context->diag, "%s", remedy);
}

void gradient_mark(Gradient *gradient, const Op *op) {
    if (op_infos[op->code].flags & OP_NO_GRADIENT)
        return;
    bool depends = false;
    for (int i = 0; i < op->input_count; i++)
        depends = depends || gradient->depends[op->inputs[i]->id];
    for (int i = 0; depends && i < op->result_count; i++)
        if (op->results[i]->type->dtype == DTYPE_F32)
            gradient->depends[op->results[i]->id] = true;
}

/* Marks the values that depend on an asked one, following the ops up to `grad`. */
static void mark_dependence(Gradient *gradient, const Op *grad) {
    for (int i = 1; i < grad->input_count; i++)
        gradient->depends[grad->inputs[i]->id] = true;
    for (const Op *op = grad->parent->first; op != grad; op = op->next)
        gradient_mark(gradient, op);
}

void gradient_accumulate(Gradient *gradient, const Op *op, const Value *value, Value *part) {
    Value **sum = &gradient->adjoint[value->id];
    if (part->type != value->type) {
        gradient->failed = true;
        diag_internal(gradient->context->diag, op->span, "the gradient of %s has another type than the value",
                      op_infos[op->code].name);
        return;
    }
    *sum = *sum ? build_add(&gradient->build, *sum, part) : part;
}

/* A value that is several inputs of one op gets the sum of their gradients at once: g x + g x simplifies to 2 g x. */
static void join_equal_inputs(Gradient *gradient, const Op *op, Value **out) {
    for (int i = 0; i < op->input_count; i++)
        for (int j = i + 1; j < op->input_count; j++)
            if (out[i] && out[j] && op->inputs[i] == op->inputs[j]) {
                out[i] = build_add(&gradient->build, out[i], out[j]);
                out[j] = NULL;
            }
}

static const Value *active_result(const Gradient *gradient, const Op *op) {
    for (int i = 0; i < op->result_count; i++) {
        int id = op->results[i]->id;
        if (gradient->adjoint[id] && gradient->depends[id])
            return op->results[i];
    }
    return NULL;
}

void gradient_differentiate(Gradient *gradient, const Op *op) {
    const Value *result = active_result(gradient, op);
    if (!result)
        return;
    Arena *arena = gradient->context->arena;
    bool *wanted = ARENA_ARRAY(arena, bool, op->input_count + 1), any = false;
    Value **out = ARENA_ARRAY(arena, Value *, op->input_count + 1);
    for (int i = 0; i < op->input_count; i++)
        any |= wanted[i] = gradient->depends[op->inputs[i]->id];
    if (!any)
        return;
    if (op_infos[op->code].flags & OP_REFUSES_GRADIENT) {
        gradient_refuse(gradient, op, NULL, NULL);
        return;
    }
    gradient->build.span = op->span;
    gradient->build.layer = op->layer;
    rules[op->code](gradient, op, gradient->adjoint[result->id], wanted, out);
    join_equal_inputs(gradient, op, out);
    for (int i = 0; i < op->input_count && !gradient->failed; i++)
        if (wanted[i] && out[i])
            gradient_accumulate(gradient, op, op->inputs[i], out[i]);
}

/* The results of `grad` become the gradients; where no path leads to the loss, zeros. */
static void replace_grad(Gradient *gradient, Func *func, Op *grad) {
    gradient->build.span = grad->span;
    gradient->build.layer = grad->layer;
    Replacements gradients = replacements_new(func, gradient->context->arena);
    for (int i = 1; i < grad->input_count; i++) {
        Value *by = grad->inputs[i], *found = gradient->adjoint[by->id];
        gradients.by_id[grad->results[i - 1]->id] = found ? found : build_const(&gradient->build, by->type, 0);
    }
    region_replace(&func->body, &gradients);
    op_remove(grad);
}

static bool check_grad(PassContext *context, const Op *grad) {
    const Type *loss = grad->inputs[0]->type;
    if (loss->rank != 0 || loss->dtype != DTYPE_F32) {
        Text type = {0};
        type_print(&type, loss);
        diag_error(context->diag, grad->span, "grad needs a scalar f32 to differentiate, not %s", type.data);
        text_free(&type);
        return false;
    }
    for (int i = 1; i < grad->input_count; i++)
        if (grad->inputs[i]->type->dtype != DTYPE_F32) {
            diag_error(context->diag, grad->span, "grad by input %d: only f32 values have a gradient", i);
            return false;
        }
    return true;
}

static bool expand_grad(PassContext *context, Func *func, Op *grad) {
    if (!check_grad(context, grad))
        return false;
    Gradient gradient = {.context = context, .build = builder_before(func, grad)};
    gradient.depends = ARENA_ARRAY(context->arena, bool, func->value_count);
    gradient.adjoint = ARENA_ARRAY(context->arena, Value *, func->value_count);
    gradient.build.gradient = true;
    mark_dependence(&gradient, grad);
    const Value *loss = grad->inputs[0];
    Op *last = grad->previous;
    gradient.build.span = grad->span;
    gradient.build.layer = grad->layer;
    if (gradient.depends[loss->id])
        gradient.adjoint[loss->id] = build_const(&gradient.build, loss->type, 1);
    for (Op *op = last; op && !gradient.failed; op = op->previous)
        gradient_differentiate(&gradient, op);
    if (!gradient.failed)
        replace_grad(&gradient, func, grad);
    return !gradient.failed;
}

bool pass_autodiff(Module *module, PassContext *context) {
    bool changed = false;
    for (int i = 0; i < module->func_count; i++) {
        Func *func = module->funcs[i];
        for (Op *op = func->body.first, *next; op; op = next) {
            next = op->next;
            if (op->code != OP_GRAD)
                continue;
            if (!expand_grad(context, func, op))
                return changed;
            changed = true;
        }
    }
    return changed;
}
