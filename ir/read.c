/* Reads the text form of ir/print.c. Errors are collected: after one the reader goes on with the next line, and values
 * that an erroneous op would have defined are known but poisoned, so that they cause no further errors. */
#include <string.h>
#include "ir/names.h"
#include "ir/reader.h"

enum { DEEPEST_REGION = 16, DEFAULT_BATCH_MAX = 32 };

static Value poison; /* only its address counts */

/* Values by name; regions see only their own. */
typedef struct {
    Map *values;
} Scope;

typedef struct {
    const Token *tokens; /* of the names of the results */
    int count;
} Results;

/* "0" for %0 and "%x" for %x, so that %"0" is another. */
static const char *scope_key(Reader *reader, const Token *token) {
    return token->unnamed ? token->text : arena_format(reader->arena, "%%%s", token->text);
}

static bool scope_define(Reader *reader, Scope *scope, const Token *token, Value *value) {
    const char *key = scope_key(reader, token);
    if (map_get(scope->values, key))
        return reader_error(reader, token->span, "%%%s is defined twice", token->text);
    map_put(scope->values, key, value);
    return true;
}

/* NULL after a message. */
static Value *scope_find(Reader *reader, const Scope *scope, const Token *token) {
    Value *value = map_get(scope->values, scope_key(reader, token));
    if (!value)
        reader_error(reader, token->span, "%%%s is not defined before this place%s", token->text,
                     reader->depth ? " in this region" : "");
    return value;
}

/* Names that programs use must not be empty. */
static bool check_name(Reader *reader, const Token *token) {
    return *token->text || reader_error(reader, token->span, "this name is empty");
}

static const char *value_name(const Token *token) {
    return token->unnamed ? NULL : token->text;
}

/* Comma-separated %names. */
static bool read_value_tokens(Reader *reader, const Token **tokens, int *count) {
    Token *list = NULL;
    int capacity = 0;
    *count = 0;
    do {
        if (reader->token.kind != TOKEN_VALUE)
            return reader_expected(reader, "a value (%name)");
        ARENA_PUSH(reader->arena, list, *count, capacity, reader->token);
        reader_advance(reader);
        *tokens = list;
    } while (reader_accept_mark(reader, ','));
    return true;
}

/* ---- ops ---- */

static bool read_inputs(Reader *reader, const Scope *scope, OpText *op) {
    const Token *tokens;
    int count;
    bool found = true;
    if (op_infos[op->code].inputs == 0 || (op->code == OP_FUSION && reader->token.kind != TOKEN_VALUE))
        return true;
    if (!read_value_tokens(reader, &tokens, &count))
        return false;
    for (int i = 0; i < count; i++) {
        Value *value = scope_find(reader, scope, &tokens[i]);
        found &= value != NULL;
        op->poisoned |= value == &poison;
        ARENA_PUSH(reader->arena, op->inputs, op->input_count, op->input_capacity, value);
    }
    return found;
}

/* The op or scalar function of this name. */
static bool read_code(Reader *reader, OpText *op) {
    const char *names[OP_COUNT + FN_COUNT];
    if (reader->token.kind != TOKEN_WORD)
        return reader_expected(reader, "the name of an op");
    for (int code = 0; code < OP_COUNT; code++)
        names[code] = op_infos[code].name;
    for (int fn = 0; fn < FN_COUNT; fn++)
        names[OP_COUNT + fn] = scalar_infos[fn].name;
    names[OP_MAP] = "add"; /* a map is written as its function */
    int choice;
    if (!reader_choice(reader, "op", names, OP_COUNT + FN_COUNT, &choice))
        return false;
    if (choice == OP_MAP || choice >= OP_COUNT) {
        op->code = OP_MAP;
        op->attr.scalar = choice == OP_MAP ? FN_add : (ScalarFn)(choice - OP_COUNT);
    } else {
        op->code = (OpCode)choice;
    }
    return true;
}

static bool read_types(Reader *reader, int count, const Type **types) {
    for (int i = 0; i < count; i++)
        if (!reader_mark(reader, i ? ',' : ':') || !reader_type(reader, &types[i]))
            return false;
    return true;
}

static bool read_layer(Reader *reader, const char **layer) {
    if (!reader_accept_word(reader, "layer"))
        return true;
    if (reader->token.kind != TOKEN_STRING)
        return reader_expected(reader, "the name of the layer as a string");
    *layer = reader->token.text;
    reader_advance(reader);
    return true;
}

static bool check_result_count(Reader *reader, const OpText *op, const Results *results, Span span) {
    const OpInfo *info = &op_infos[op->code];
    int wanted = op->code == OP_GRAD ? op->input_count - 1 : info->results;
    if (wanted >= 0 ? results->count == wanted : results->count >= 1)
        return true;
    const char *name = op->code == OP_MAP ? scalar_infos[op->attr.scalar].name : info->name;
    return reader_error(reader, span, "%s has %d result%s, %d %s named", name, wanted < 0 ? 1 : wanted,
                        wanted == 1 || wanted < 0 ? "" : "s", results->count, results->count == 1 ? "is" : "are");
}

/* Rules that are no business of op_infer. */
static bool check_state(Reader *reader, const OpText *op, Span span) {
    if (op->code != OP_ASSIGN)
        return true;
    const Variable *variable = op->attr.variable;
    if (reader->depth)
        return reader_error(reader, span, "assign cannot stand in a region");
    if (reader->assigned[variable->id])
        return reader_error(reader, span, "@%s is assigned twice in this function", variable->name);
    reader->assigned[variable->id] = true;
    return true;
}

static bool check_types(Reader *reader, const OpText *op, const Type *const *types, int count, Span span) {
    const Type **inferred = ARENA_ARRAY(reader->arena, const Type *, count + 1);
    if (op->code == OP_EINSUM && types[0]->rank != op->attr.einsum.out_rank)
        return reader_error(reader, span, "einsum: the labels give %d axes, the result %s has %d",
                            op->attr.einsum.out_rank, type_text(reader->arena, types[0]), types[0]->rank);
    const Type *wanted = op_infos[op->code].results == 1 ? types[0] : NULL;
    if (!op_infer(reader->module, op->code, &op->attr, op->inputs, op->input_count, wanted, span, inferred)) {
        reader->failed = true;
        return false;
    }
    for (int i = 0; i < count; i++)
        if (inferred[i] != types[i])
            return reader_error(reader, span, "%s: result %d is %s, not %s", op_infos[op->code].name, i + 1,
                                type_text(reader->arena, inferred[i]), type_text(reader->arena, types[i]));
    return true;
}

static bool read_region(Reader *reader, Op *op);

/* All of an op after its results; creates it. NULL after a message, or silently if an input is poisoned. */
static Op *read_op_body(Reader *reader, Region *region, const Scope *scope, const Results *results, Span start) {
    OpText text = {0};
    const char *layer = NULL;
    const Type **types = ARENA_ARRAY(reader->arena, const Type *, results->count);
    if (!read_code(reader, &text) || !read_inputs(reader, scope, &text))
        return NULL;
    int inputs = op_infos[text.code].inputs;
    if (inputs >= 0 && text.code != OP_MAP && text.input_count != inputs) {
        reader_error(reader, start, "%s takes %d input%s, not %d", op_infos[text.code].name, inputs,
                     inputs == 1 ? "" : "s", text.input_count);
        return NULL;
    }
    if (text.poisoned || !reader_attr(reader, &text) || !read_types(reader, results->count, types) ||
        !read_layer(reader, &layer))
        return NULL;
    Span span = {reader->file, start.start, reader->last_end};
    bool has_region = op_infos[text.code].op_class == CLASS_REGION;
    if (!check_result_count(reader, &text, results, span) || !check_state(reader, &text, span) ||
        (!has_region && !check_types(reader, &text, types, results->count, span)))
        return NULL;
    Op *op = op_new(reader->func, text.code, text.inputs, text.input_count, types, results->count, span);
    op->attr = text.attr;
    op->layer = layer;
    if (has_region && !read_region(reader, op))
        return NULL;
    op_append(region, op);
    return op;
}

/* To the next line that may begin an op or end a body, past the bodies that are opened on the way. */
static void skip_line(Reader *reader) {
    int open = 0;
    do {
        open += reader_at_mark(reader, '{') - reader_at_mark(reader, '}');
        reader_advance(reader);
    } while (reader->token.kind != TOKEN_END && (open > 0 || !reader->token.starts_line));
}

/* Past the end of a body whose `{` is consumed. */
static void skip_body(Reader *reader) {
    for (int open = 1; open > 0 && reader->token.kind != TOKEN_END; reader_advance(reader))
        open += reader_at_mark(reader, '{') - reader_at_mark(reader, '}');
}

static void read_op(Reader *reader, Region *region, Scope *scope) {
    Results results = {NULL, 0};
    Span start = reader->token.span;
    bool ok = reader->token.kind != TOKEN_VALUE ||
              (read_value_tokens(reader, &results.tokens, &results.count) && reader_mark(reader, '='));
    Op *op = ok ? read_op_body(reader, region, scope, &results, start) : NULL;
    for (int i = 0; i < results.count; i++) {
        Value *value = op ? op->results[i] : &poison;
        scope_define(reader, scope, &results.tokens[i], value);
        if (op && value_name(&results.tokens[i]))
            value->name = value_name(&results.tokens[i]);
    }
    bool stuck = reader->token.span.start == start.start;
    if (!op && (stuck || !reader->token.starts_line))
        skip_line(reader);
}

static void read_ops(Reader *reader, Region *region, Scope *scope, const char *end_word) {
    while (reader->token.kind != TOKEN_END && !reader_at_mark(reader, '}') &&
           !(end_word && reader_at_word(reader, end_word)) && !reader_at_word(reader, "func"))
        read_op(reader, region, scope);
}

/* ---- regions ---- */

/* (%a : f32[2], ...): gives the tokens of the names. */
static bool read_args(Reader *reader, Region *region, Scope *scope, bool of_func) {
    if (!reader_mark(reader, '('))
        return false;
    if (reader_accept_mark(reader, ')'))
        return true;
    do {
        Token name = reader->token;
        const Type *type;
        int kind = ARG_PLAIN;
        if (name.kind != TOKEN_VALUE)
            return reader_expected(reader, "an argument (%name : type)");
        reader_advance(reader);
        if (!reader_mark(reader, ':') || !reader_type(reader, &type))
            return false;
        if (of_func && reader->token.kind == TOKEN_WORD &&
            !reader_choice(reader, "kind of argument", arg_kind_names, ARG_PLAIN + 1, &kind))
            return false;
        if (of_func && name.unnamed)
            return reader_error(reader, name.span, "arguments of functions need names");
        if (of_func && !check_name(reader, &name))
            return false;
        Value *value = of_func ? func_add_arg(reader->func, (ArgKind)kind, type, name.text)
                               : region_add_arg(reader->func, region, type, value_name(&name));
        scope_define(reader, scope, &name, value);
    } while (reader_accept_mark(reader, ','));
    return reader_mark(reader, ')');
}

static bool read_yields(Reader *reader, Region *region, const Scope *scope) {
    const Token *tokens;
    int count;
    if (!reader_accept_word(reader, "yield"))
        return reader_expected(reader, "`yield`");
    if (!read_value_tokens(reader, &tokens, &count))
        return false;
    for (int i = 0; i < count; i++) {
        Value *value = scope_find(reader, scope, &tokens[i]);
        if (!value || value == &poison)
            return false;
        region_add_yield(reader->func, region, value);
    }
    return true;
}

static bool check_region_types(Reader *reader, const Op *op) {
    const Region *region = op->region;
    if (op->code == OP_SCAN) {
        const char *mistake = scan_mistake(reader->module, reader->arena, op);
        return !mistake || reader_error(reader, op->span, "scan: %s", mistake);
    }
    if (region->arg_count != op->input_count)
        return reader_error(reader, op->span, "the region takes %d values and is given %d", region->arg_count,
                            op->input_count);
    if (region->yield_count != op->result_count)
        return reader_error(reader, op->span, "the region yields %d values for %d results", region->yield_count,
                            op->result_count);
    for (int i = 0; i < op->input_count; i++)
        if (region->args[i]->type != op->inputs[i]->type)
            return reader_error(reader, op->span, "argument %d of the region is %s, the input is %s", i + 1,
                                type_text(reader->arena, region->args[i]->type),
                                type_text(reader->arena, op->inputs[i]->type));
    for (int i = 0; i < op->result_count; i++)
        if (region->yields[i]->type != op->results[i]->type)
            return reader_error(reader, op->span, "the region yields %s for result %d, which is %s",
                                type_text(reader->arena, region->yields[i]->type), i + 1,
                                type_text(reader->arena, op->results[i]->type));
    return true;
}

static bool read_region(Reader *reader, Op *op) {
    Scope scope = {map_new(reader->arena)};
    Region *region = region_new(reader->func, op);
    if (reader->depth == DEEPEST_REGION)
        return reader_error(reader, op->span, "regions are nested more than %d deep", DEEPEST_REGION);
    reader->depth++;
    bool opened = read_args(reader, region, &scope, false) && reader_mark(reader, '{'), closed = false;
    if (opened) {
        read_ops(reader, region, &scope, "yield");
        closed = read_yields(reader, region, &scope) && reader_mark(reader, '}');
        if (!closed)
            skip_body(reader);
    }
    reader->depth--;
    return closed && check_region_types(reader, op);
}

/* ---- functions ---- */

typedef struct {
    Token value;
    const char *name;
} ResultText;

static bool read_result_list(Reader *reader, ResultText **results, int *count) {
    int capacity = 0;
    *results = NULL;
    *count = 0;
    if (reader->token.kind != TOKEN_ARROW)
        return reader_expected(reader, "`->` and the results");
    reader_advance(reader);
    if (!reader_mark(reader, '('))
        return false;
    if (reader_accept_mark(reader, ')'))
        return true;
    do {
        ResultText result = {.value = reader->token};
        if (result.value.kind != TOKEN_VALUE)
            return reader_expected(reader, "a result (%value \"name\")");
        reader_advance(reader);
        if (reader->token.kind != TOKEN_STRING)
            return reader_expected(reader, "the name of the result as a string");
        if (!check_name(reader, &reader->token))
            return false;
        result.name = reader->token.text;
        for (int i = 0; i < *count; i++)
            if ((*results)[i].name == result.name)
                return reader_error(reader, reader->token.span, "two results are named \"%s\"", result.name);
        reader_advance(reader);
        ARENA_PUSH(reader->arena, *results, *count, capacity, result);
    } while (reader_accept_mark(reader, ','));
    return reader_mark(reader, ')');
}

static bool read_func(Reader *reader) {
    ResultText *results;
    int count;
    if (reader->token.kind != TOKEN_SYMBOL)
        return reader_expected(reader, "the name of the function (@name)");
    if (!check_name(reader, &reader->token))
        return false;
    if (module_find_func(reader->module, reader->token.text))
        return reader_error(reader, reader->token.span, "there are two functions @%s", reader->token.text);
    Func *func = reader->func = module_func(reader->module, reader->token.text);
    Scope scope = {map_new(reader->arena)};
    reader->assigned = ARENA_ARRAY(reader->arena, bool, reader->module->variable_count);
    reader_advance(reader);
    if (!read_args(reader, &func->body, &scope, true) || !read_result_list(reader, &results, &count) ||
        !reader_mark(reader, '{'))
        return false;
    read_ops(reader, &func->body, &scope, NULL);
    if (!reader_mark(reader, '}'))
        return false;
    for (int i = 0; i < count; i++) {
        Value *value = scope_find(reader, &scope, &results[i].value);
        if (value && value != &poison)
            func_add_result(func, value, results[i].name);
    }
    return true;
}

/* ---- variables and the module ---- */

static bool read_init(Reader *reader, Init *init) {
    const char *names[INIT_KINDS];
    double *arguments[2] = {&init->a, &init->b};
    int kind;
    for (int i = 0; i < INIT_KINDS; i++)
        names[i] = init_names[i].name;
    if (!reader_choice(reader, "initial value", names, INIT_KINDS, &kind) || !reader_mark(reader, '('))
        return false;
    init->kind = (InitKind)kind;
    for (int i = 0; i < init_names[kind].arguments; i++)
        if ((i && !reader_mark(reader, ',')) || !reader_number(reader, arguments[i]))
            return false;
    return reader_mark(reader, ')');
}

static bool read_variable_options(Reader *reader, Variable *variable) {
    int choice;
    while (reader->token.kind == TOKEN_WORD && !reader->token.starts_line) {
        if (reader_accept_word(reader, "init")) {
            if (!reader_mark(reader, '=') || !read_init(reader, &variable->init))
                return false;
        } else if (reader_at_word(reader, "seed")) {
            if (!reader_keyed_integer(reader, "seed", INT64_MIN, INT64_MAX, &variable->init.seed))
                return false;
        } else if (reader_accept_word(reader, "fit")) {
            if (!reader_mark(reader, '=') || !reader_choice(reader, "statistic", fit_names, FIT_MAXIMUM + 1, &choice))
                return false;
            variable->fit = (FitKind)choice;
        } else {
            if (!reader_choice(reader, "role of a variable", role_names, VARIABLE_PREPROCESS + 1, &choice))
                return false;
            variable->role = (VariableRole)choice;
        }
    }
    return true;
}

static bool read_module_variable(Reader *reader) {
    Token name = reader->token;
    const Type *type;
    if (name.kind != TOKEN_SYMBOL)
        return reader_expected(reader, "the name of the variable (@name)");
    if (!check_name(reader, &name))
        return false;
    if (module_find_variable(reader->module, name.text))
        return reader_error(reader, name.span, "there are two variables @%s", name.text);
    if (reader->module->func_count)
        return reader_error(reader, name.span, "variables must stand before the functions");
    reader_advance(reader);
    if (!reader_mark(reader, ':') || !reader_type(reader, &type))
        return false;
    if (type->rank > 0 && type->dims[0].batch)
        return reader_error(reader, name.span, "the type %s of @%s depends on the batch",
                            type_text(reader->arena, type), name.text);
    Variable *variable = module_variable(reader->module, name.text, type, VARIABLE_TRAINABLE,
                                         (Init){INIT_CONSTANT, 0, 0, -1}, name.span);
    return read_variable_options(reader, variable);
}

static bool read_header(Reader *reader) {
    Module *module = reader->module;
    int64_t streams;
    if (reader->token.kind != TOKEN_SYMBOL)
        return reader_expected(reader, "the name of the module (@name)");
    if (module->variable_count || module->func_count)
        return reader_error(reader, reader->token.span, "the module must be named first");
    module->name = reader->token.text;
    reader_advance(reader);
    if (!reader_keyed_integer(reader, "batch_max", 1, INT32_MAX, &module->batch_max) ||
        !reader_keyed_integer(reader, "random_streams", 0, INT32_MAX, &streams))
        return false;
    module->random_streams = (int)streams;
    return true;
}

Module *module_read(Arena *arena, Diag *diag, const SourceFile *file) {
    Reader reader = {.arena = arena, .diag = diag, .file = file};
    reader.module = module_new(arena, diag, "module", DEFAULT_BATCH_MAX);
    reader_advance(&reader);
    while (reader.token.kind != TOKEN_END) {
        bool ok = reader_accept_word(&reader, "module")     ? read_header(&reader)
                  : reader_accept_word(&reader, "variable") ? read_module_variable(&reader)
                  : reader_accept_word(&reader, "func")     ? read_func(&reader)
                                                            : reader_expected(&reader, "`variable` or `func`");
        while (!ok && reader.token.kind != TOKEN_END &&
               !(reader.token.starts_line && (reader_at_word(&reader, "variable") || reader_at_word(&reader, "func"))))
            reader_advance(&reader);
    }
    return reader.failed ? NULL : reader.module;
}
