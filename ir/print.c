/* Prints modules, functions and ops in the text form that ir/read.c reads back without loss:
 *
 *   module @digits batch_max=32 random_streams=0
 *   variable @dense/kernel : f32[64, 10] trainable init=uniform(-0.28, 0.28)
 *   func @forward(%x : f32[B, 64] input) -> (%0 "output") {
 *     %w = variable @dense/kernel : f32[64, 10]
 *     %0 = einsum %x, %w "ab,bc->ac" : f32[B, 10] layer "dense"
 *   }
 *
 * An op is: results, name (of the scalar function for a map), inputs, attributes, result types, layer, region. Names
 * of values are made unique in the function; values without a name are numbered in the order of definition. */
#include <ctype.h>
#include <string.h>
#include "ir/ir.h"
#include "ir/names.h"

typedef struct {
    Text *out;
    const char **names; /* printed name of each value, by id; NULL: take the hint or the id */
} Printer;

/* ---- names ---- */

static bool is_bare(char prefix, const char *name) {
    if (!*name)
        return false;
    if (prefix == '%' && isdigit((unsigned char)*name))
        return false; /* that is a value without a name */
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && *name != '_' && *name != '.' && !(prefix == '@' && *name == '/'))
            return false;
    return true;
}

static void print_quoted(Text *out, const char *string) {
    text_add(out, "\"");
    for (; *string; string++) {
        unsigned char c = (unsigned char)*string;
        if (c == '"' || c == '\\')
            text_format(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            text_format(out, "\\x%02x", c);
        else
            text_add_length(out, string, 1);
    }
    text_add(out, "\"");
}

static void print_symbol(Text *out, char prefix, const char *name) {
    text_add_length(out, &prefix, 1);
    if (is_bare(prefix, name))
        text_add(out, name);
    else
        print_quoted(out, name);
}

typedef struct {
    Arena *arena;
    Map *taken; /* name -> itself */
    const char **names;
    int next_number;
} Namer;

static void name_value(Namer *namer, const Value *value) {
    if (!value->name) {
        namer->names[value->id] = arena_format(namer->arena, "%%%d", namer->next_number++);
        return;
    }
    const char *name = value->name;
    for (int i = 1; map_get(namer->taken, name); i++)
        name = arena_format(namer->arena, "%s_%d", value->name, i);
    map_put(namer->taken, name, namer);
    Text text = {0};
    print_symbol(&text, '%', name);
    namer->names[value->id] = arena_strdup(namer->arena, text.data);
    text_free(&text);
}

static void name_region(Namer *namer, const Region *region) {
    for (int i = 0; i < region->arg_count; i++)
        name_value(namer, region->args[i]);
    for (const Op *op = region->first; op; op = op->next) {
        for (int i = 0; i < op->result_count; i++)
            name_value(namer, op->results[i]);
        if (op->region)
            name_region(namer, op->region);
    }
}

static void print_value(Printer *printer, const Value *value) {
    if (!value)
        text_add(printer->out, "%?");
    else if (printer->names)
        text_add(printer->out, printer->names[value->id]);
    else if (value->name)
        print_symbol(printer->out, '%', value->name);
    else
        text_format(printer->out, "%%%d", value->id);
}

static void print_values(Printer *printer, Value *const *values, int count) {
    for (int i = 0; i < count; i++) {
        text_add(printer->out, i ? ", " : "");
        print_value(printer, values[i]);
    }
}

/* ---- attributes ---- */

static void print_list(Text *out, const char *key, const int64_t *numbers, int count) {
    text_format(out, " %s=[", key);
    for (int i = 0; i < count; i++)
        text_format(out, "%s%lld", i ? ", " : "", (long long)numbers[i]);
    text_add(out, "]");
}

static void print_axis_list(Text *out, const AxesAttr *axes) {
    int64_t numbers[MAX_RANK];
    for (int i = 0; i < axes->count; i++)
        numbers[i] = axes->axes[i];
    print_list(out, "axes", numbers, axes->count);
}

static void print_labels(Text *out, const int8_t *labels, const Type *type) {
    for (int i = 0; i < type->rank; i++)
        text_format(out, "%c", 'a' + labels[i]);
}

typedef void PrintFn(Text *, const Op *);

static void print_none(Text *out, const Op *op) {
    (void)out, (void)op;
}

static void print_constant(Text *out, const Op *op) {
    char number[32];
    text_number(number, op->attr.constant);
    text_format(out, " %s", number);
}

static void print_axis(Text *out, const Op *op) {
    text_format(out, " axis=%d", op->attr.axis);
}

static void print_variable(Text *out, const Op *op) {
    text_add(out, " ");
    print_symbol(out, '@', op->attr.variable ? op->attr.variable->name : "?");
}

static void print_scalar(Text *out, const Op *op) {
    (void)out, (void)op;
} /* it is the name of the op */

static void print_axes(Text *out, const Op *op) {
    print_axis_list(out, &op->attr.axes);
}

static void print_slice(Text *out, const Op *op) {
    int rank = op->inputs[0]->type->rank;
    print_list(out, "start", op->attr.slice.start, rank);
    print_list(out, "stride", op->attr.slice.stride, rank);
}

static void print_pad(Text *out, const Op *op) {
    int rank = op->inputs[0]->type->rank;
    print_list(out, "low", op->attr.pad.low, rank);
    print_list(out, "high", op->attr.pad.high, rank);
    print_list(out, "interior", op->attr.pad.interior, rank);
}

static void print_reduce(Text *out, const Op *op) {
    text_format(out, " %s", reduce_names[op->attr.reduce.kind]);
    print_axis_list(out, &op->attr.reduce.over);
}

static void print_random(Text *out, const Op *op) {
    text_format(out, " %s stream=%d", random_names[op->attr.random.kind], op->attr.random.stream);
}

static void print_einsum(Text *out, const Op *op) {
    text_add(out, " \"");
    print_labels(out, op->attr.einsum.a, op->inputs[0]->type);
    text_add(out, ",");
    print_labels(out, op->attr.einsum.b, op->inputs[1]->type);
    text_add(out, "->");
    print_labels(out, op->attr.einsum.out, op->results[0]->type);
    text_add(out, "\"");
}

static void print_window(Text *out, const Op *op) {
    const WindowAttr *window = &op->attr.window;
    if (op_infos[op->code].op_class == CLASS_WINDOW)
        text_format(out, " %s", reduce_names[window->kind]);
    print_list(out, "size", window->size, window->spatial);
    print_list(out, "stride", window->stride, window->spatial);
    print_list(out, "dilation", window->dilation, window->spatial);
    print_list(out, "low", window->low, window->spatial);
    print_list(out, "high", window->high, window->spatial);
}

static void print_scan(Text *out, const Op *op) {
    const ScanAttr *scan = &op->attr.scan;
    text_format(out, " steps=%d carried=%d sequences=%d reverse=%d", scan->steps, scan->carried, scan->sequences,
                scan->reverse);
}

static void print_fusion(Text *out, const Op *op) {
    text_format(out, " kind=%d", op->attr.fusion.kind);
}

static PrintFn *const printers[OP_COUNT] = {
#define OP(code, text, inputs, results, op_class, attributes, flags) [OP_##code] = print_##attributes,
#include "ir/ops.def"
#undef OP
};

/* ---- ops and functions ---- */

static void print_region_body(Printer *printer, const Region *region, int indent);

static void print_args(Printer *printer, const Region *region, const ArgKind *kinds) {
    text_add(printer->out, "(");
    for (int i = 0; i < region->arg_count; i++) {
        text_add(printer->out, i ? ", " : "");
        print_value(printer, region->args[i]);
        text_add(printer->out, " : ");
        type_print(printer->out, region->args[i]->type);
        if (kinds && kinds[i] != ARG_PLAIN)
            text_format(printer->out, " %s", arg_kind_names[kinds[i]]);
    }
    text_add(printer->out, ")");
}

static void print_op(Printer *printer, const Op *op, int indent) {
    Text *out = printer->out;
    print_values(printer, op->results, op->result_count);
    text_format(out, "%s%s%s", op->result_count ? " = " : "",
                op->code == OP_MAP ? scalar_infos[op->attr.scalar].name : op_infos[op->code].name,
                op->input_count ? " " : "");
    print_values(printer, op->inputs, op->input_count);
    printers[op->code](out, op);
    for (int i = 0; i < op->result_count; i++) {
        text_add(out, i ? ", " : " : ");
        type_print(out, op->results[i]->type);
    }
    if (op->layer) {
        text_add(out, " layer ");
        print_quoted(out, op->layer);
    }
    if (!op->region)
        return;
    text_add(out, " ");
    print_args(printer, op->region, NULL);
    text_add(out, " {\n");
    print_region_body(printer, op->region, indent + 2);
    text_format(out, "%*syield ", indent + 2, "");
    print_values(printer, op->region->yields, op->region->yield_count);
    text_format(out, "\n%*s}", indent, "");
}

static void print_region_body(Printer *printer, const Region *region, int indent) {
    for (const Op *op = region->first; op; op = op->next) {
        text_format(printer->out, "%*s", indent, "");
        print_op(printer, op, indent);
        text_add(printer->out, "\n");
    }
}

void op_print(Text *out, const Op *op) {
    Printer printer = {out, NULL};
    print_op(&printer, op, 0);
}

void func_print(Text *out, const Func *func) {
    Arena *arena = arena_new();
    Namer namer = {arena, map_new(arena), ARENA_ARRAY(arena, const char *, func->value_count), 0};
    name_region(&namer, &func->body);
    Printer printer = {out, namer.names};
    text_add(out, "func ");
    print_symbol(out, '@', func->name);
    print_args(&printer, &func->body, func->arg_kinds);
    text_add(out, " -> (");
    for (int i = 0; i < func->body.yield_count; i++) {
        text_add(out, i ? ", " : "");
        print_value(&printer, func->body.yields[i]);
        text_add(out, " ");
        print_quoted(out, func->result_names[i]);
    }
    text_add(out, ") {\n");
    print_region_body(&printer, &func->body, 2);
    text_add(out, "}\n");
    arena_free(arena);
}

static void print_module_variable(Text *out, const Variable *variable) {
    const Init *init = &variable->init;
    const double arguments[2] = {init->a, init->b};
    text_add(out, "variable ");
    print_symbol(out, '@', variable->name);
    text_add(out, " : ");
    type_print(out, variable->type);
    text_format(out, " %s init=%s(", role_names[variable->role], init_names[init->kind].name);
    for (int i = 0; i < init_names[init->kind].arguments; i++) {
        char number[32];
        text_number(number, arguments[i]);
        text_format(out, "%s%s", i ? ", " : "", number);
    }
    text_add(out, ")");
    if (init->seed != -1)
        text_format(out, " seed=%lld", (long long)init->seed);
    if (variable->fit != FIT_NONE)
        text_format(out, " fit=%s", fit_names[variable->fit]);
    text_add(out, "\n");
}

void module_print(Text *out, const Module *module) {
    text_add(out, "module ");
    print_symbol(out, '@', module->name);
    text_format(out, " batch_max=%lld random_streams=%d\n", (long long)module->batch_max, module->random_streams);
    for (int i = 0; i < module->variable_count; i++)
        print_module_variable(out, module->variables[i]);
    for (int i = 0; i < module->func_count; i++)
        func_print(out, module->funcs[i]);
}
