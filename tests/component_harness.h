/* Programs of the components' checks and of the fixtures, compiled in memory and run by the interpreter.
 * Needs: nnc_frontend, nnc_ir; for harness_differentiate also nnc_passes. One arena per program holds everything. */
#ifndef NNC_TESTS_COMPONENT_HARNESS_H
#define NNC_TESTS_COMPONENT_HARNESS_H
#include <stdio.h>
#include <string.h>
#include "frontend/frontend.h"
#include "ir/interp.h"

typedef struct {
    Arena *arena;
    Diag *diag;
    SourceFile file;
    Program *program; /* NULL: errors are in diag */
} Compiled;

static inline Compiled harness_compile_with(const char *name, const char *text, const FrontendOptions *options) {
    Compiled c = {.arena = arena_new()};
    c.diag = diag_new(c.arena);
    c.file = (SourceFile){name, arena_strdup(c.arena, text), strlen(text)};
    SourceFile *file = arena_copy(c.arena, &c.file, sizeof c.file);
    Ast *ast = ast_parse(c.arena, interner_new(c.arena), c.diag, file);
    if (ast && !diag_errors(c.diag))
        c.program = frontend_program(c.arena, c.diag, ast, options);
    return c;
}

static inline Compiled harness_compile(const char *name, const char *text) {
    return harness_compile_with(name, text, &(FrontendOptions){0});
}

/* Prints what diag holds, under a title; returns how many errors and warnings there were. */
static inline int harness_complaints(Compiled *c, const char *title) {
    int count = diag_errors(c->diag) + diag_warnings(c->diag);
    if (count) {
        Text out = {0};
        diag_print(c->diag, &out, false);
        printf("--- %s\n%s\n%s\n", title, c->file.text, out.data ? out.data : "");
        text_free(&out);
    }
    return count;
}

static inline void harness_free(Compiled *c) {
    arena_free(c->arena);
}

/* Data of one run of a function. A tensor with data NULL is not asked for. */
typedef struct {
    Tensor x, y, weight;
    double seed;
} HarnessData;

enum { HARNESS_RESULTS = 64 };

/* Runs func; false with an error in diag. Variables change as the function says. */
static inline bool harness_run(Interp *interp, const Func *func, const HarnessData *data, Tensor *results) {
    Tensor args[HARNESS_RESULTS];
    for (int i = 0; i < func->body.arg_count; i++) {
        switch (func->arg_kinds[i]) {
        case ARG_TARGET:
            args[i] = data->y;
            break;
        case ARG_SAMPLE_WEIGHT:
            args[i] = data->weight;
            break;
        case ARG_SEED:
            args[i] = interp_tensor(interp, func->body.args[i]->type);
            args[i].data[0] = data->seed;
            break;
        case ARG_INPUT:
        case ARG_RAW_INPUT:
        case ARG_PLAIN:
            args[i] = data->x;
            break;
        }
    }
    return interp_run(interp, func, args, results);
}

/* The result of that name, -1 if there is none. */
static inline int harness_result(const Func *func, const char *name) {
    for (int i = 0; i < func->body.yield_count; i++)
        if (strcmp(func->result_names[i], name) == 0)
            return i;
    return -1;
}

/* The first grad op of a function, NULL if there is none. */
static inline Op *harness_grad(const Func *func) {
    for (Op *op = func->body.first; op; op = op->next)
        if (op->code == OP_GRAD)
            return op;
    return NULL;
}

/* Adds results to train_step: "check.loss", and "gradient/NAME" for each weight that it differentiates by. */
static inline bool harness_show_gradients(Compiled *c, Func *train) {
    Op *grad = harness_grad(train);
    if (!grad)
        return false;
    func_add_result(train, grad->inputs[0], "check.loss");
    for (int i = 1; i < grad->input_count; i++) {
        const Op *def = grad->inputs[i]->def;
        const char *name = def && def->code == OP_VARIABLE ? def->attr.variable->name : "?";
        func_add_result(train, grad->results[i - 1], arena_format(c->arena, "gradient/%s", name));
    }
    return true;
}
#endif
