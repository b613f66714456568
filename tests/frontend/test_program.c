/* Programs made of .nn texts: names, sharing, arguments of the functions, targets, resolved words, options. */
#include "test.h"
#include <stdlib.h>
#include "frontend/args.h"
#include "frontend/frontend.h"

static Arena *arena;

/* The program of a text; prints what went wrong. */
static Program *compile(const char *text, const FrontendOptions *options) {
    Diag *diag = diag_new(arena);
    SourceFile *source = ARENA_NEW(arena, SourceFile);
    *source = (SourceFile){"test.nn", text, strlen(text)};
    Program *program = frontend_program(arena, diag, ast_parse(arena, interner_new(arena), diag, source), options);
    CHECK(program != NULL);
    CHECK(program && module_verify(program->module, "frontend"));
    if (diag_errors(diag)) {
        Text told = {0};
        diag_print(diag, &told, false);
        printf("%s", told.data);
        text_free(&told);
        exit(1);
    }
    return program;
}

static const char *variable_names(const Program *program, VariableRole role) {
    const char *names = "";
    for (int i = 0; i < program->module->variable_count; i++)
        if (program->module->variables[i]->role == role)
            names = arena_format(arena, "%s%s%s", names, *names ? " " : "", program->module->variables[i]->name);
    return names;
}

static const char *layer_names(const Program *program) {
    const char *names = "";
    for (int i = 0; i < program->layer_count; i++)
        names = arena_format(arena, "%s%s%s:%lld", names, i ? " " : "", program->layers[i].name,
                             (long long)program->layers[i].parameters);
    return names;
}

static const char *signature(const Program *program, const char *name) {
    const Func *func = module_find_func(program->module, name);
    const char *text = "";
    for (int i = 0; func && i < func->body.arg_count; i++)
        text = arena_format(arena, "%s%s ", text, func->arg_names[i]);
    text = arena_format(arena, "%s->", text);
    for (int i = 0; func && i < func->body.yield_count; i++)
        text = arena_format(arena, "%s %s", text, func->result_names[i]);
    return func ? text : "none";
}

static const char *shape(const Type *type) {
    return type ? type_text(arena, type) : "none";
}

static int count_ops(const Program *program, const char *name, OpCode code) {
    int count = 0;
    for (const Op *op = module_find_func(program->module, name)->body.first; op; op = op->next)
        count += op->code == code;
    return count;
}

static const Variable *variable(const Program *program, const char *name) {
    const Variable *found = module_find_variable(program->module, name);
    CHECK(found != NULL);
    return found ? found : program->module->variables[0];
}

static void test_names(void) {
    const Program *p = compile("model net { Input(8), Dense(4), Dense(4, name=\"dense_1\"), Dense(4), ReLU(), Dense(2, "
                               "name=\"out\"), LeakyReLU }",
                               NULL);
    CHECK_TEXT(layer_names(p), "dense:36 dense_1:20 dense_2:20 re_lu:0 out:10 leaky_re_lu:0");
    CHECK_TEXT(variable_names(p, VARIABLE_TRAINABLE),
               "dense/kernel dense/bias dense_1/kernel dense_1/bias dense_2/kernel dense_2/bias out/kernel out/bias");
    p = compile(
        "model net { Input((8, 8, 1)), Conv2D(2, 3), MaxPooling2D(), GlobalAveragePooling2D(), BatchNormalization() }",
        NULL);
    CHECK_TEXT(layer_names(p), "conv2d:20 max_pooling2d:0 global_average_pooling2d:0 batch_normalization:8");
    CHECK_TEXT(variable_names(p, VARIABLE_NON_TRAINABLE),
               "batch_normalization/moving_mean batch_normalization/moving_variance");
    p = compile("model net { Input(4), Repeat(3) { Dense(4, use_bias=false) }, Residual { Dense(4) } }", NULL);
    CHECK_TEXT(layer_names(p), "dense:16 dense_1:16 dense_2:16 repeat:0 dense_3:20 residual:0");
}

static void test_sharing(void) {
    const char *text = "model half { Dense(4), BatchNormalization() }\nmodel net { Input(4), half, half, Dense(1) }\n"
                       "compile net { loss = mse }";
    const Program *p = compile(text, NULL);
    CHECK_TEXT(variable_names(p, VARIABLE_TRAINABLE),
               "half/dense/kernel half/dense/bias half/batch_normalization/gamma "
               "half/batch_normalization/beta dense/kernel dense/bias");
    CHECK_TEXT(layer_names(p), "half:36 half:36 dense:5");
    CHECK(count_ops(p, "forward", OP_EINSUM) == 3);
    CHECK(count_ops(p, "forward", OP_VARIABLE) == 8); /* read once each */
    CHECK_TEXT(p->name, "net");
    FrontendOptions other = {.model = "encoder"};
    p = compile("model encoder { Input(4), Dense(3) }\nmodel net { encoder, Dense(1) }", &other);
    CHECK_TEXT(variable_names(p, VARIABLE_TRAINABLE), "dense/kernel dense/bias");
    CHECK_TEXT(shape(p->output), "f32[B, 3]");
    p = compile("model encoder { Input(4), Dense(3) }\nmodel net { encoder, Dense(1) }", NULL);
    CHECK_TEXT(shape(p->input), "f32[B, 4]");
}

static void test_functions(void) {
    const char *layers = "model net { Input(4), Dense(3, activation=softmax) }\n";
    const Program *p = compile(layers, NULL);
    CHECK_TEXT(signature(p, "forward"), "x -> output");
    CHECK_TEXT(signature(p, "train_step"), "none");
    CHECK(p->target == NULL && p->iteration == NULL && p->metric_count == 0);
    p = compile(
        arena_format(arena, "%scompile { loss = sparse_categorical_crossentropy, metrics = [accuracy] }", layers),
        NULL);
    CHECK_TEXT(signature(p, "train_step"), "x y -> loss.total loss.count accuracy.total accuracy.count");
    CHECK_TEXT(signature(p, "evaluate_step"), "x y -> loss.total loss.count accuracy.total accuracy.count");
    CHECK_TEXT(signature(p, "preprocess"), "none");
    CHECK_TEXT(variable_names(p, VARIABLE_OPTIMIZER),
               "rm_sprop/iteration rm_sprop/learning_rate rm_sprop/dense_kernel_velocity rm_sprop/dense_bias_velocity");
    CHECK(count_ops(p, "evaluate_step", OP_ASSIGN) == 0 && count_ops(p, "train_step", OP_GRAD) == 1);
    p = compile(
        "model net { Input(4), Dropout(0.5), Dense(1) }\ncompile { loss = mse }\nfit { class_weight = {1: 3.0} }\n"
        "data { minmax() }",
        NULL);
    CHECK_TEXT(signature(p, "train_step"), "x y w seed -> loss.total loss.count");
    CHECK_TEXT(signature(p, "evaluate_step"), "x y w -> loss.total loss.count");
    CHECK_TEXT(signature(p, "preprocess"), "raw -> output");
    CHECK(p->preprocess_count == 2 && p->fit.class_weight_count == 2 && p->fit.class_weight[1] == 3);
    CHECK_TEXT(variable_names(p, VARIABLE_PREPROCESS), "minmax/minimum minmax/maximum");
    CHECK(count_ops(p, "train_step", OP_RANDOM) == 1 && count_ops(p, "evaluate_step", OP_RANDOM) == 0);
}

static const Program *with_loss(const char *activation, int units, const char *compile_block, const char *rest) {
    return compile(arena_format(arena, "model net { Input(4), Dense(%d, activation=%s) }\ncompile { %s }\n%s", units,
                                activation, compile_block, rest),
                   NULL);
}

static void test_targets(void) {
    const Program *p = with_loss("softmax", 3, "loss = crossentropy, metrics = [acc]", "");
    CHECK_TEXT(shape(p->target), "i32[B]");
    CHECK(p->class_count == 3 && !p->target_one_hot);
    CHECK_TEXT(p->metrics[1].name, "acc");
    CHECK(p->metrics[1].higher_is_better && !p->metrics[0].higher_is_better);
    p = with_loss("sigmoid", 1, "loss = ce, metrics = [accuracy]", "");
    CHECK_TEXT(shape(p->target), "f32[B, 1]");
    CHECK(count_ops(p, "evaluate_step", OP_ARGMAX) == 0);
    const char *categorical =
        "loss = categorical_crossentropy, metrics = [accuracy, RootMeanSquaredError(), mae(name=\"far\")]";
    p = with_loss("softmax", 3, categorical, "");
    CHECK_TEXT(shape(p->target), "f32[B, 3]");
    CHECK(!p->target_one_hot && count_ops(p, "evaluate_step", OP_ARGMAX) == 2);
    CHECK(p->metrics[2].root_mean);
    CHECK_TEXT(p->metrics[2].name, "root_mean_squared_error");
    CHECK_TEXT(p->metrics[3].name, "far");
    p = with_loss("softmax", 3, categorical, "data { train = csv(\"a.csv\", target=\"y\") }");
    CHECK(p->target_one_hot && p->class_count == 3);
    p = with_loss("linear", 2, "loss = mse", "data { train = csv(\"a.csv\", target=\"y\"), one_hot(1, classes=2) }");
    CHECK(!p->target_one_hot);
    CHECK_TEXT(shape(p->raw_input), "f32[B, 3]");
}

/* With the logits of a final softmax the loss needs no division; with probabilities it has one more. */
static void test_fused_loss(void) {
    const char *loss = "loss = sparse_categorical_crossentropy";
    const Program *fused = with_loss("softmax", 3, loss, "");
    const Program *apart = compile(
        arena_format(arena, "model net { Input(4), Dense(3, activation=softmax), Rescaling(1.0) }\ncompile { %s }",
                     loss),
        NULL);
    CHECK(count_ops(apart, "evaluate_step", OP_MAP) > count_ops(fused, "evaluate_step", OP_MAP));
}

static void test_settings(void) {
    const char *text =
        "let width = 3 let rate = 1e-2\nmodel net { Input(4), Dense(width, trainable=false), Dense(1) }\n"
        "compile { loss = mse, optimizer = Adam(rate) }\n"
        "fit { epochs = 2 * 3, batch_size = 7, shuffle = false, seed = 9, validation_split = 0.25, callbacks = "
        "[TerminateOnNaN()] }";
    const char *const defines[] = {"width=2 ** 3", "rate=0.5"};
    FrontendOptions options = {.defines = defines, .define_count = 2};
    const Program *p = compile(text, &options);
    CHECK(variable(p, "dense/kernel")->type->dims[1].n == 8);
    CHECK(variable(p, "dense/kernel")->role == VARIABLE_NON_TRAINABLE);
    CHECK_NEAR(variable(p, "adam/learning_rate")->init.a, 0.5, 0);
    CHECK(p->learning_rate == variable(p, "adam/learning_rate") && p->iteration == variable(p, "adam/iteration"));
    CHECK(p->fit.epochs == 6 && p->fit.batch_size == 7 && !p->fit.shuffle && p->fit.seed == 9);
    CHECK(p->module->batch_max == 7 && p->fit.callback_count == 1);
    CHECK_NEAR(p->fit.validation_split, 0.25, 0);
    p = with_loss("linear", 1, "loss = mse, optimizer = SGD(ExponentialDecay(0.1, 10, 0.5), name=\"down\")", "");
    CHECK(p->learning_rate == NULL && p->iteration == variable(p, "down/iteration"));
    CHECK(p->fit.epochs == 1 && p->fit.batch_size == 32 && p->fit.shuffle && p->fit.validation_freq == 1);
}

static void test_initial_values(void) {
    const Program *p = compile(
        "model net { Input((6, 6, 2)), Conv2D(4, 3, kernel_initializer=he_uniform), Flatten(), Dense(5) }", NULL);
    CHECK_NEAR(variable(p, "conv2d/kernel")->init.b, sqrt(6.0 / 18), 1e-12); /* fan_in 3 * 3 * 2 */
    CHECK_NEAR(variable(p, "dense/kernel")->init.b, sqrt(6.0 / (64 + 5)), 1e-12);
    CHECK(variable(p, "dense/bias")->init.kind == INIT_CONSTANT && variable(p, "dense/bias")->init.a == 0);
}

static void test_penalties(void) {
    const Program *plain = with_loss("linear", 1, "loss = mse", "");
    const Program *shared = compile("model head { Dense(4, kernel_regularizer=l2) }\nmodel net { Input(4), head, head, "
                                    "Dense(1) }\ncompile net { loss = mse }",
                                    NULL);
    const Program *frozen = compile(
        "model net { Input(4), Dense(1, kernel_regularizer=l2, trainable=false) }\ncompile { loss = mse }", NULL);
    int base = count_ops(plain, "evaluate_step", OP_REDUCE);
    CHECK(count_ops(shared, "evaluate_step", OP_REDUCE) == base + 1); /* once per weight, not per use */
    CHECK(count_ops(frozen, "evaluate_step", OP_REDUCE) == base);
    CHECK(count_ops(shared, "forward", OP_REDUCE) == 0);
}

static void test_tables(void) {
    static const struct {
        ComponentKind kind;
        const char *name;
    } rows[] = {
#define NOT_BUILT(kind, name) {COMPONENT_##kind, #name},
#include "frontend/not_built.def"
#undef NOT_BUILT
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK(component_find(rows[i].kind, rows[i].name) == NULL);
    CHECK_TEXT(component_snake(arena, "GlobalAveragePooling2D"), "global_average_pooling2d");
    CHECK_TEXT(component_snake(arena, "PReLU"), "p_re_lu");
    CHECK_TEXT(component_snake(arena, "Conv2DTranspose"), "conv2d_transpose");
    CHECK_TEXT(component_snake(arena, "LSTM"), "lstm");
}

/* Help is wrapped to the width of a terminal: every run of white space counts as one blank. */
static const char *unwrapped(const char *text) {
    char *out = arena_strdup(arena, text), *to = out;
    for (const char *c = text; *c; c++)
        if (*c != ' ' && *c != '\n')
            *to++ = *c;
        else if (to == out || to[-1] != ' ')
            *to++ = ' ';
    *to = '\0';
    return out;
}

static void test_help(void) {
    Text reference = {0}, list = {0}, help = {0}, nearest = {0};
    frontend_reference(&reference);
    frontend_list(&list);
    for (int i = 0; components[i]; i++) {
        text_clear(&help);
        CHECK(frontend_help(&help, components[i]->name, NULL));
        for (char *c = help.data; (c = strchr(c, '\n'));)
            *c = ' '; /* long lines are wrapped */
        CHECK(strstr(unwrapped(help.data), unwrapped(components[i]->summary)) != NULL);
        CHECK(strstr(reference.data, arena_format(arena, "### %s\n", components[i]->name)) != NULL);
        CHECK(strstr(list.data, arena_format(arena, "  %s ", components[i]->name)) != NULL);
    }
    text_clear(&help);
    CHECK(frontend_help(&help, "compile", NULL) && strstr(help.data, "optimizer"));
    CHECK(!frontend_help(&help, "Dens", &nearest));
    CHECK_TEXT(nearest.data, "Dense");
    text_free(&reference);
    text_free(&list);
    text_free(&help);
    text_free(&nearest);
}

int main(void) {
    arena = arena_new();
    test_names();
    test_sharing();
    test_functions();
    test_targets();
    test_fused_loss();
    test_settings();
    test_initial_values();
    test_penalties();
    test_tables();
    test_help();
    arena_free(arena);
    return test_report();
}
