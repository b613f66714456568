/* From functions of fusions to a program of kernels: buffers for variables, arguments, results and the values that pass
 * from kernel to kernel; one kernel per fusion, in the order of the function. */
#include "codegen/lower/lower.h"
#include "codegen/nests/sequence.h"
#include "codegen/nests/triangle.h"
#include <string.h>

const char *lower_name(Lower *lower, const char *layer, const char *what) {
    return arena_format(lower->program->arena, "%s_%s", layer ? layer : "step", what);
}

/* ---- buffers */
static KBuffer *buffer_of(Lower *lower, KSpace space, const char *name, const Type *type, const char *layer) {
    KProgram *p = lower->program;
    KBuffer *buffer = kbuffer_new(p, space, name, lower_base(type->dtype), type->rank, type->dims);
    buffer->sequence = space == SPACE_VARIABLE ? NULL : lower->sequence;
    buffer->layer = layer;
    return buffer;
}

static void lower_variables(Lower *lower) {
    const Module *module = lower->program->module;
    lower->variables = ARENA_ARRAY(lower->program->arena, KBuffer *, module->variable_count + 1);
    for (int i = 0; i < module->variable_count; i++) {
        Variable *variable = module->variables[i];
        KBuffer *buffer = buffer_of(lower, SPACE_VARIABLE, variable->name, variable->type, NULL);
        buffer->variable = variable;
        lower->variables[i] = buffer;
    }
}

static void lower_arguments(Lower *lower) {
    Func *func = lower->func;
    for (int i = 0; i < func->body.arg_count; i++) {
        KBuffer *buffer = buffer_of(lower, SPACE_ARGUMENT, func->arg_names[i], func->body.args[i]->type, NULL);
        buffer->argument = i;
        ArgKind kind = func->arg_kinds[i];
        bool sampled = kind == ARG_INPUT || kind == ARG_TARGET || kind == ARG_SAMPLE_WEIGHT;
        /* steps read the data set through the order of the epoch; forward and preprocess read rows as they lie */
        buffer->indirect = sampled && strcmp(func->name, "forward") != 0 && buffer->rank > 0 && buffer->dims[0].batch;
        lower->memory[func->body.args[i]->id] = buffer;
    }
}

/* ---- where the results of fusions go */
/* Inside its own kernel a variable may be overwritten if every reader reads the element that is being replaced. */
static bool reads_in_place(const Op *fusion, const Variable *variable) {
    for (int i = 0; i < fusion->input_count; i++)
        if (value_variable(fusion->inputs[i]) == variable)
            return false;
    for (const Op *op = fusion->region->first; op; op = op->next)
        for (int i = 0; i < op->input_count; i++) {
            const Op *from = op->inputs[i]->def;
            if (from && from->code == OP_VARIABLE && from->attr.variable == variable &&
                ((op->code != OP_MAP && op->code != OP_CAST && op->code != OP_COPY) ||
                 op->results[0]->type->rank != variable->type->rank))
                return false;
        }
    return true;
}

/* A variable is updated in place unless a later kernel, or this one at another place, still reads the old value. */
static bool may_write_in_place(const Lower *lower, const Op *fusion, const Variable *variable) {
    const Readers *readers = &lower->uses.readers[variable->id];
    int place = lower->uses.place[fusion->results[0]->id];
    for (int i = readers->count - 1; i >= 0 && readers->items[i].place > place; i--)
        if (readers->items[i].op->code != OP_ASSIGN)
            return false;
    return reads_in_place(fusion, variable);
}

static KBuffer *result_buffer(Lower *lower, const Value *value) {
    int result = lower->uses.result[value->id];
    if (result < 0)
        return NULL;
    KBuffer *buffer = buffer_of(lower, SPACE_RESULT, lower->func->result_names[result], value->type, NULL);
    buffer->argument = result;
    return buffer;
}

static KBuffer *destination(Lower *lower, const Op *fusion, const Value *value) {
    KBuffer *result = result_buffer(lower, value);
    if (result)
        return result;
    const Op *assign = lower->uses.assign[value->id];
    if (assign && may_write_in_place(lower, fusion, assign->attr.variable))
        return lower->variables[assign->attr.variable->id];
    const Op *inside = value->def->region ? NULL : value->def; /* the op of the region that makes it */
    for (int i = 0; i < fusion->result_count && fusion->region; i++)
        if (fusion->results[i] == value)
            inside = fusion->region->yields[i]->def;
    const char *layer = inside && inside->layer ? inside->layer : fusion->layer ? fusion->layer : "step";
    const char *name = value->name ? value->name : layer;
    if (strcmp(lower->func->name, "train_step") != 0)
        name = arena_format(lower->program->arena, "%s_%s", lower->func->name, name);
    return buffer_of(lower, SPACE_ARENA, name, value->type, fusion->layer);
}

/* Same elements, other axes, in the same memory. */
static void lower_reshape(Lower *lower, const Op *op) {
    KBuffer *from = op->inputs[0]->def && op->inputs[0]->def->code == OP_VARIABLE
                        ? lower->variables[op->inputs[0]->def->attr.variable->id]
                        : lower->memory[op->inputs[0]->id];
    const Type *type = op->results[0]->type;
    const char *name = arena_format(lower->program->arena, "%s_as", from->name);
    KBuffer *view = buffer_of(lower, from->space, name, type, op->layer);
    kbuffer_see(view, from);
    view->variable = from->variable;
    view->argument = from->argument;
    view->indirect = from->indirect;
    view->sequence = from->sequence;
    lower->memory[op->results[0]->id] = view;
}

/* An update that could not be done in place: copied into the variable after its last reader. */
static void lower_late_assign(Lower *lower, const Op *assign) {
    KProgram *p = lower->program;
    KBuffer *from = lower->memory[assign->inputs[0]->id], *to = lower->variables[assign->attr.variable->id];
    if (from == to)
        return;
    LowerRegion r = {.lower = lower};
    r.kernel = lower_kernel(lower, assign, "assign");
    r.kernel->comment = arena_format(p->arena, "%s = %s, which was still read until here", to->name, from->name);
    Nest *nest = lower_nest(&r, assign, assign->attr.variable->type);
    KExpr *index[MAX_RANK];
    for (int i = 0; i < nest->parallel_count; i++)
        index[i] = kexpr_var(p, nest->axes[i].var);
    KExpr *load = kexpr_load(p, from, index, nest->parallel_count);
    KVar *var = kvar_new(p, r.kernel, "v", load->type, false);
    kstmt_add(nest->epilogue, kstmt_let(p, var, load));
    kstmt_add(nest->epilogue, kstmt_store(p, to, index, nest->parallel_count, kexpr_var(p, var), NULL));
    r.kernel->work = type_count(assign->attr.variable->type, p->module->batch_max);
}

/* ---- kernels */
static void describe(Text *text, const Op *op) {
    int line = 0, column = 0, last_line = 0;
    const char *last_layer = NULL, *last_name = NULL;
    const Region *region = op->region;
    for (const Op *inner = region ? region->first : op; inner; inner = region ? inner->next : NULL) {
        OpClass c = op_infos[inner->code].op_class;
        if (c == CLASS_LEAF || inner->code == OP_BROADCAST || inner->code == OP_RESHAPE)
            continue;
        if (inner->layer && (!last_layer || strcmp(inner->layer, last_layer) != 0)) {
            text_format(text, "%s%s", text->length ? "; " : "", inner->layer);
            last_layer = inner->layer;
            if (inner->span.file) {
                span_locate(inner->span, &line, &column);
                if (line != last_line)
                    text_format(text, " (%s:%d)", inner->span.file->name, line);
                last_line = line;
            }
            text_add(text, ":");
            last_name = NULL;
        }
        const char *name = inner->code == OP_MAP ? scalar_infos[inner->attr.scalar].name : op_infos[inner->code].name;
        if (!last_name || strcmp(last_name, name) != 0)
            text_format(text, " %s", name);
        last_name = name;
    }
}

static const char *kernel_role(Lower *lower, const Op *op) {
    for (int i = 0; i < op->result_count; i++)
        if (lower->uses.assign[op->results[i]->id])
            return "update";
    return op->gradient ? "backward" : "forward";
}

KKernel *lower_kernel(Lower *lower, const Op *op, const char *suffix) {
    KProgram *p = lower->program;
    const char *func = lower->func->name;
    const char *prefix = strcmp(func, "train_step") == 0      ? "train"
                         : strcmp(func, "evaluate_step") == 0 ? "evaluate"
                         : strcmp(func, "forward") == 0       ? "predict"
                                                              : func;
    const char *role = *suffix ? suffix : kernel_role(lower, op);
    const char *name = arena_format(p->arena, "%s_%s_%s", prefix, op->layer ? op->layer : "step", role);
    KKernel *kernel = kkernel_new(p, lower->sequence, name);
    kernel->span = op->span;
    kernel->layer = op->layer ? op->layer : "step";
    kernel->role = role;
    kernel->func = lower->func;
    kernel->needs_barrier_before = lower->sequence->count > 1;
    Text text = {0};
    describe(&text, op);
    kernel->comment = arena_strdup(p->arena, text.data ? text.data : "");
    text_free(&text);
    return kernel;
}

static void lower_func(Lower *lower, Func *func) {
    KProgram *p = lower->program;
    KSequence *sequence = ARENA_NEW(p->arena, KSequence);
    sequence->func = func;
    ARENA_PUSH(p->arena, p->sequences, p->sequence_count, p->sequence_capacity, sequence);
    lower->sequence = sequence;
    lower->func = func;
    lower->memory = ARENA_ARRAY(p->arena, KBuffer *, func->value_count + 1);
    lower->blank = lower_region_blank(lower);
    lower->uses = func_uses(func, p->arena);
    lower->unpools = NULL;
    lower->copies = NULL;
    lower_arguments(lower);
    const int *uses = func_count_uses(func, p->arena);
    for (const Op *op = func->body.first; op; op = op->next) {
        if (op->code == OP_RESHAPE)
            lower_reshape(lower, op);
        if (op->code != OP_FUSION && op->code != OP_SCAN)
            continue;
        KBuffer **results = ARENA_ARRAY(p->arena, KBuffer *, op->result_count + 1);
        for (int i = 0; i < op->result_count; i++)
            if (op->code == OP_FUSION || uses[op->results[i]->id])
                results[i] = lower->memory[op->results[i]->id] = destination(lower, op, op->results[i]);
        if (op->code == OP_SCAN)
            lower_scan(lower, op, results);
        else
            lower_fusion(lower, op, results);
    }
    for (const Op *op = func->body.first; op; op = op->next)
        if (op->code == OP_ASSIGN)
            lower_late_assign(lower, op);
    for (int i = 0; i < sequence->count; i++) /* padding kernels were put before kernels that were made earlier */
        sequence->kernels[i]->needs_barrier_before = i > 0;
}

/* The order of passes is the user's too: kernels are made of what `fuse` leaves. */
static bool check_fused(const Module *module, Diag *diag) {
    for (int i = 0; i < module->func_count; i++)
        for (const Op *op = module->funcs[i]->body.first; op; op = op->next)
            if (op->code != OP_FUSION && op->code != OP_SCAN && op->code != OP_RESHAPE && op->code != OP_ASSIGN &&
                op->code != OP_VARIABLE && op->code != OP_CONST && op->code != OP_REVERSE) {
                diag_error(diag, (Span){0}, "kernels are made of fusions, and there are none: run the pass fuse");
                return false;
            }
    return true;
}

KProgram *lower_program(Arena *arena, Diag *diag, const Program *info, KIsa isa) {
    return lower_for_library(arena, diag, info, isa, 0);
}

KProgram *lower_for_library(Arena *arena, Diag *diag, const Program *info, KIsa isa, int64_t convolution_scratch) {
    if (!check_fused(info->module, diag))
        return NULL;
    KProgram *p = ARENA_NEW(arena, KProgram);
    *p = (KProgram){.arena = arena, .diag = diag, .module = info->module, .info = info, .isa = isa};
    p->convolution_scratch = convolution_scratch;
    Lower lower = {.program = p};
    int errors = diag_errors(diag);
    lower_variables(&lower);
    for (int i = 0; i < info->module->func_count; i++)
        lower_func(&lower, info->module->funcs[i]);
    if (diag_errors(diag) > errors)
        return NULL;
    triangle_program(p);
    if (!isa.gpu)
        sum_parts_program(p);
    return p;
}
