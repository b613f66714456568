/* What the fixtures of Keras do not reach of recurrent layers and embeddings, by formulas: dropout in training (one
 * mask for all steps, one per gate with recurrent dropout, none drawn inside of a scan), and ids outside of the table.
 */
#include "component_harness.h"
#include "passes/pass.h"
#include "test.h"

enum { UNITS = 50, ROWS = 8 };

typedef struct {
    Compiled compiled;
    Interp *interp; /* NULL: something went wrong */
    const Func *func;
    HarnessData data;
} Example;

static void begin(Example *e, const char *layers, const char *function) {
    static const char *const passes[] = {"simplify", "autodiff"};
    char text[512];
    snprintf(text, sizeof text,
             "model m {\n%s\n}\ncompile {\nloss = mse\noptimizer = SGD(0.0)\n}\nfit { batch_size = 8 }\n", layers);
    *e = (Example){.compiled = harness_compile("example", text)};
    Program *program = e->compiled.program;
    PassContext context = pass_context(e->compiled.diag, NULL, NULL);
    bool good = program && passes_run(program->module, &context, passes, 2);
    CHECK(good);
    if (!good)
        return;
    e->func = module_find_func(program->module, function);
    e->interp = interp_new(e->compiled.arena, program->module, ROWS);
    e->data.x = interp_tensor(e->interp, program->input);
    e->data.y = interp_tensor(e->interp, program->target);
}

static void end(Example *e) {
    CHECK(harness_complaints(&e->compiled, "example") == 0);
    harness_free(&e->compiled);
}

static Tensor *variable(Example *e, const char *name) {
    const Variable *found = module_find_variable(e->compiled.program->module, name);
    CHECK(found != NULL);
    return found ? &e->interp->variables[found->id] : NULL;
}

static void set_identity(Tensor *t) {
    for (int64_t i = 0; t && i < t->count; i++)
        t->data[i] = i / UNITS == i % UNITS;
}

/* The loss in training, against targets of 0, of a linear SimpleRNN with identities as kernels, on three steps: the
 * input is 1 in the first one and `later` in the others. */
static double linear_loss(const char *arguments, double later, double seed) {
    char layers[128];
    double loss = NAN;
    Tensor results[HARNESS_RESULTS];
    Example e;
    snprintf(layers, sizeof layers, "Input((3, %d))\nSimpleRNN(%d, activation=none, %s)", UNITS, UNITS, arguments);
    begin(&e, layers, "train_step");
    if (e.interp) {
        set_identity(variable(&e, "simple_rnn/simple_rnn_cell/kernel"));
        set_identity(variable(&e, "simple_rnn/simple_rnn_cell/recurrent_kernel"));
        for (int64_t i = 0; i < e.data.x.count; i++)
            e.data.x.data[i] = i / UNITS % 3 == 0 ? 1 : later;
        e.data.seed = seed;
        if (harness_run(e.interp, e.func, &e.data, results))
            loss = results[0].data[0] / results[1].data[0];
    }
    end(&e);
    return loss;
}

/* Each of the ROWS * UNITS elements adds the same square or nothing. */
static bool is_share(double loss, double square) {
    double elements = loss * ROWS * UNITS / square;
    return fabs(elements - round(elements)) < 1e-6;
}

/* Half of the features are dropped in all steps together: the rest sums to 3 steps * 2. */
static void test_input_dropout(void) {
    double first = linear_loss("dropout=0.5", 1, 1), second = linear_loss("dropout=0.5", 1, 2);
    CHECK(is_share(first, 36) && is_share(second, 36) && first != second);
    CHECK_NEAR((first + second) / 2, 18, 3);
    CHECK(linear_loss("dropout=0.5, seed=3", 1, 1) == linear_loss("dropout=0.5, seed=3", 1, 2));
    CHECK_NEAR(linear_loss("dropout=1", 1, 1), 0, 0);
    CHECK_NEAR(linear_loss("dropout=0", 1, 1), 9, 1e-9);
}

/* The state goes through the mask in both later steps: 2 * 2 is left, of half of the units. */
static void test_recurrent_dropout(void) {
    double first = linear_loss("recurrent_dropout=0.5", 0, 1), second = linear_loss("recurrent_dropout=0.5", 0, 2);
    CHECK(is_share(first, 16) && is_share(second, 16) && first != second);
    CHECK_NEAR((first + second) / 2, 8, 2);
    CHECK_NEAR(linear_loss("recurrent_dropout=0", 0, 1), 1, 1e-9);
}

static int count_random(const Region *region, bool inside) {
    int count = 0;
    for (const Op *op = region->first; op; op = op->next) {
        CHECK(!inside || op->code != OP_RANDOM);
        count += op->code == OP_RANDOM;
        if (op->region)
            count += count_random(op->region, true);
    }
    return count;
}

/* How many masks Keras draws for a batch. */
static void test_masks(void) {
    static const struct {
        const char *layer;
        int masks;
    } layers[] = {
        {"SimpleRNN(2, dropout=0.3, recurrent_dropout=0.4)", 2},
        {"LSTM(2, dropout=0.3)", 1},
        {"LSTM(2, recurrent_dropout=0.3)", 4},
        {"LSTM(2, dropout=0.3, recurrent_dropout=0.4)", 8},
        {"LSTM(2, dropout=1, recurrent_dropout=1)", 0},
        {"GRU(2, dropout=0.3)", 1},
        {"GRU(2, dropout=0.3, recurrent_dropout=0.4, reset_after=false)", 6},
        {"Bidirectional(GRU(2, dropout=0.3, recurrent_dropout=0.4))", 12},
        {"TimeDistributed(Dropout(0.5))", 1},
    };
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        static const char *const functions[] = {"forward", "evaluate_step", "train_step"};
        for (int k = 0; k < 3; k++) {
            char text[128];
            Example e;
            snprintf(text, sizeof text, "Input((3, 2))\nDense(2)\n%s", layers[i].layer);
            begin(&e, text, functions[k]);
            if (e.interp)
                CHECK(count_random(&e.func->body, false) == (k == 2 ? layers[i].masks : 0));
            end(&e);
        }
    }
}

static void test_forget_bias(void) {
    Example e;
    begin(&e, "Input((3, 2))\nLSTM(2, bias_initializer=Constant(0.25))\nDense(2)", "forward");
    if (e.interp) {
        const Variable *bias = module_find_variable(e.compiled.program->module, "lstm/lstm_cell/bias");
        CHECK(bias && bias->init.kind == INIT_FORGET && bias->init.a == 0.25 && bias->init.b == 1);
    }
    end(&e);
}

/* Numbers lose their fraction; beyond the table the first and the last row are meant. */
static void test_ids(void) {
    Example e;
    begin(&e, "Input(5)\nEmbedding(3, 2)", "forward");
    Tensor *table = e.interp ? variable(&e, "embedding/embeddings") : NULL;
    if (table) {
        static const double ids[] = {0, 1.75, 2, 7, -3}, rows[] = {0, 1, 2, 2, 0};
        Tensor output;
        for (int i = 0; i < 6; i++)
            table->data[i] = 10 + i;
        for (int64_t i = 0; i < e.data.x.count; i++)
            e.data.x.data[i] = ids[i % 5];
        bool good = harness_run(e.interp, e.func, &e.data, &output);
        CHECK(good);
        for (int i = 0; good && i < 10; i++)
            CHECK_NEAR(output.data[i], 10 + 2 * rows[i / 2] + i % 2, 0);
    }
    end(&e);
}

int main(void) {
    test_input_dropout();
    test_recurrent_dropout();
    test_masks();
    test_forget_bias();
    test_ids();
    return test_report();
}
