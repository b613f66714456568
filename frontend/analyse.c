/* frontend_program: from the syntax tree to the program of one model. Reads the blocks, walks the model once to find
 * every mistake, then builds the functions of docs/architecture.md. */
#include <string.h>
#include "frontend/analyse.h"
#include "frontend/constants.h"

static void build_forward(Model *m) {
    Program *program = m->program;
    Func *func = module_func(m->module, "forward");
    Value *x = program->input ? func_add_arg(func, ARG_INPUT, program->input, "x") : NULL;
    model_begin(m, func, false);
    Value *y = model_walk(m, x);
    program->output = y ? y->type : NULL;
    if (y)
        func_add_result(func, y, "output");
}

/* Variables of the optimizer that every program has: they are there before the first step is built. */
static void make_counters(Model *m) {
    Program *program = m->program;
    Init zero = {.kind = INIT_CONSTANT, .seed = -1},
         rate = {.kind = INIT_CONSTANT, .a = m->compile.learning_rate, .seed = -1};
    Span span = m->compile_block->keyword_span;
    const char *name = m->compile.optimizer_name;
    program->iteration = module_variable(m->module, arena_format(m->arena, "%s/iteration", name),
                                         type_scalar(m->module, DTYPE_I32), VARIABLE_OPTIMIZER, zero, span);
    if (!m->compile.schedule)
        program->learning_rate = module_variable(m->module, arena_format(m->arena, "%s/learning_rate", name),
                                                 type_scalar(m->module, DTYPE_F32), VARIABLE_OPTIMIZER, rate, span);
}

static void read_blocks(Model *m) {
    data_read(m);
    compile_read(m);
}

static Program *finish(Model *m, int errors) {
    return diag_errors(m->diag) == errors ? m->program : NULL;
}

static void model_start(Model *m) {
    const char *name = m->block->name ? m->block->name : "model";
    m->module = module_new(m->arena, m->diag, name, m->program->fit.batch_size);
    m->program->module = m->module;
    m->program->source = m->ast->source;
    m->program->name = name;
}

Program *frontend_program(Arena *arena, Diag *diag, const Ast *ast, const FrontendOptions *options) {
    int errors = diag_errors(diag);
    if (!ast || errors)
        return NULL;
    Model model = {.arena = arena, .diag = diag, .ast = ast, .options = options}, *m = &model;
    m->names = interner_new(arena);
    m->bound = map_new(arena);
    m->visited = map_new(arena);
    m->program = ARENA_NEW(arena, Program);
    m->constants = constants_read(arena, m->names, diag, ast, options ? options->defines : NULL,
                                  options ? options->define_count : 0);
    if (!blocks_choose(m))
        return NULL;
    fit_read(m);
    model_start(m);
    read_blocks(m);
    m->program->input = model_input_type(m, m->block, 0);
    build_forward(m);
    model_check_unused(m);
    data_preprocess(m);
    bool compiled = m->compile.optimizer && !m->compile.loss_wrong && m->program->output;
    bool resolved = compiled && diag_errors(diag) == errors && target_resolve(m);
    fit_finish(m);
    if (!resolved || diag_errors(diag) != errors)
        return finish(m, errors);
    make_counters(m);
    step_build(m, true);
    if (diag_errors(diag) == errors)
        step_build(m, false);
    return finish(m, errors);
}
