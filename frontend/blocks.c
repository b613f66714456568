/* The settings of the data, compile and fit blocks as schemas, and which blocks belong to the model. */
#include <ctype.h>
#include <string.h>
#include "frontend/analyse.h"
#include "frontend/components/components.h"

static const Parameter model_settings[] = {END};
static const Parameter data_settings[] = {
    PART("train", "none", COMPONENT_DATA_SOURCE, "training data"),
    PART("test", "none", COMPONENT_DATA_SOURCE, "data for `evaluate`"),
    PART("validation", "none", COMPONENT_DATA_SOURCE, "data on which each epoch is judged"),
    FLOAT_IN("validation_split", "0.0", 0, 1,
             "this fraction of the training data, from its end, becomes validation data"),
    END};
static const Parameter compile_settings[] = {
    ANY("loss", NULL, "what is minimised: a name or a call; crossentropy is resolved by the shape of the output"),
    PART("optimizer", "RMSprop", COMPONENT_OPTIMIZER, "how weights are changed"),
    ANY("metrics", "none", "what is shown beside the loss: a list of names and calls; sample weights do not count"),
    ANY("loss_weights", "none", NOT_BUILT_YET),
    ANY("weighted_metrics", "none", NOT_BUILT_YET),
    ANY("steps_per_execution", "none", NOT_BUILT_YET),
    END};
static const Parameter fit_settings[] = {
    INT("epochs", "1", 0, LARGE, "number of the last epoch"),
    INT("batch_size", "32", 1, 16777216, "samples per step; memory is planned for it"),
    BOOLEAN("shuffle", "true", "new order of the samples in each epoch"),
    INT("seed", "0", 0, LARGE, "of initial weights, order and dropout: the same seed gives the same bits"),
    ANY("callbacks", "none", "a list: EarlyStopping(...), ModelCheckpoint(...), ..."),
    ANY("class_weight", "none", "weights of samples by class: {0: 1.0, 1: 2.5}; a class that is missing has 1"),
    FLOAT_IN("validation_split", "0.0", 0, 1, "as in the data block"),
    INT("initial_epoch", "0", 0, LARGE, "epochs that are taken as done"),
    INT("validation_freq", "1", 1, LARGE, "epochs from one validation to the next"),
    ANY("steps_per_epoch", "none", NOT_BUILT_YET "; `fit --steps=N` ends each epoch after N steps"),
    ANY("validation_steps", "none", NOT_BUILT_YET),
    ANY("validation_batch_size", "none", NOT_BUILT_YET),
    ANY("verbose", "none", NOT_BUILT_YET "; `fit --verbose=0`, 1 or 2 says it when the program runs"),
    END};

#define BLOCK_COMPONENT(NAME, SETTINGS, SUMMARY, ...)                                                                  \
    (&(const Component){.kind = COMPONENT_KINDS,                                                                       \
                        .name = NAME,                                                                                  \
                        .parameters = SETTINGS,                                                                        \
                        .summary = SUMMARY,                                                                            \
                        .examples = LINES(__VA_ARGS__)})
const Component *const block_components[4] = {
    [BLOCK_MODEL] = BLOCK_COMPONENT("model", model_settings, "The layers, one after the other. The first is Input.",
                                    "model digits {", "    Input(64)", "    Dense(10, activation=softmax)", "}"),
    [BLOCK_DATA] =
        BLOCK_COMPONENT("data", data_settings, "Where samples come from, and the steps that prepare them.", "data {",
                        "    train = csv(\"train.csv\", target=\"digit\")", "    standardize()", "}"),
    [BLOCK_COMPILE] = BLOCK_COMPONENT("compile", compile_settings, "Loss, optimizer and metrics.", "compile {",
                                      "    loss = sparse_categorical_crossentropy",
                                      "    optimizer = Adam(learning_rate=0.001)", "    metrics = [accuracy]", "}"),
    [BLOCK_FIT] = BLOCK_COMPONENT("fit", fit_settings, "How long and how a run trains.", "fit {", "    epochs = 10",
                                  "    batch_size = 32", "}"),
};

static void check_settings_built(Model *m, const Args *args) {
    for (int i = 0; args->component->parameters[i].name; i++) {
        const Parameter *p = &args->component->parameters[i];
        if (!parameter_not_built(p) || !args->values[i].given || args->values[i].is_none)
            continue;
        diag_error(m->diag, args->values[i].span, "`%s` of %s is not built yet", p->name, args->component->name);
        const char *instead = strstr(p->doc, "; ");
        if (instead)
            diag_help(m->diag, "%s", instead + 2);
    }
}

Args *block_bind(Model *m, const Block *block) {
    Expr *call = ARENA_NEW(m->arena, Expr);
    call->kind = EXPR_CALL;
    call->span = block->keyword_span;
    call->call.name = block_components[block->kind]->name;
    call->call.name_span = block->keyword_span;
    for (int i = 0; i < block->body.count; i++) {
        const Entry *entry = block->body.entries[i];
        Argument argument = {entry->name, entry->name_span, entry->value};
        if (entry->kind == ENTRY_ASSIGN)
            ARENA_PUSH(m->arena, call->call.arguments, call->call.count, call->call.capacity, argument);
    }
    bool good;
    Args *args = args_bind_most(m->arena, m->diag, block_components[block->kind], call, m->constants, &good);
    check_settings_built(m, args);
    return args;
}

const Block *block_find_model(const Model *m, const char *name) {
    for (int i = 0; i < m->ast->block_count; i++) {
        const Block *block = &m->ast->blocks[i];
        if (block->kind == BLOCK_MODEL && block->name && strcmp(block->name, name) == 0)
            return block;
    }
    return NULL;
}

static const Block *last_model(const Ast *ast, const Block *from, int *count) {
    const Block *found = NULL;
    *count = 0;
    for (int i = 0; i < ast->block_count; i++)
        if (ast->blocks[i].kind == BLOCK_MODEL && (!from || &ast->blocks[i] < from)) {
            found = &ast->blocks[i];
            ++*count;
        }
    return found;
}

static bool body_names(const Body *body, const char *name) {
    for (int i = 0; i < body->count; i++) {
        const Expr *e = body->entries[i]->value;
        if (!e || (e->kind != EXPR_NAME && e->kind != EXPR_CALL))
            continue;
        if (strcmp(e->kind == EXPR_NAME ? e->text : e->call.name, name) == 0)
            return true;
        for (int k = 0; e->kind == EXPR_CALL && k < e->call.body_count; k++)
            if (body_names(&e->call.bodies[k], name))
                return true;
    }
    return false;
}

/* The one model that no other contains; NULL: there are several, or none. */
static const Block *outermost_model(const Ast *ast) {
    const Block *found = NULL;
    for (int i = 0; i < ast->block_count; i++) {
        const Block *block = &ast->blocks[i];
        bool inner = block->kind != BLOCK_MODEL;
        for (int k = 0; k < ast->block_count && !inner; k++)
            inner = k != i && ast->blocks[k].kind == BLOCK_MODEL && block->name &&
                    body_names(&ast->blocks[k].body, block->name);
        if (inner)
            continue;
        if (found)
            return NULL;
        found = block;
    }
    return found;
}

/* The model of a block without a name: the only one, or the one that contains the others. */
static const Block *owner_of(Model *m, const Block *block) {
    int count;
    const Block *only = last_model(m->ast, NULL, &count);
    if (block->name) {
        const Block *owner = block_find_model(m, block->name);
        if (!owner) {
            diag_error(m->diag, block->name_span, "the file has no model `%s`", block->name);
            const char *nearest = text_nearest(block->name, m->model_names, m->model_count);
            if (nearest)
                diag_help(m->diag, "did you mean `%s`?", nearest);
        }
        return owner;
    }
    if (count <= 1)
        return only;
    const Block *outermost = outermost_model(m->ast);
    if (!outermost && block->kind != BLOCK_DATA) {
        const char *word = block_components[block->kind]->name;
        diag_error(m->diag, block->keyword_span, "the file has several models: which one is this `%s` for?", word);
        diag_help(m->diag, "write `%s %s { ... }`", word, m->model_count ? m->model_names[m->model_count - 1] : "NAME");
    }
    return outermost;
}

static void check_model_name(Model *m, const Block *block) {
    const char *name = block->name;
    if (strchr(name, '.')) {
        diag_error(m->diag, block->name_span, "a model's name has letters, digits and _ only");
    } else if (c_name_taken(name)) {
        diag_error(m->diag, block->name_span, "`%s` is a word of C or C++: functions of the model could not be named",
                   name);
        diag_help(m->diag, "call it `%s_model`", name);
    } else if (component_find(COMPONENT_LAYER, name) || component_find(COMPONENT_COMBINATOR, name)) {
        diag_error(m->diag, block->name_span, "`%s` is the name of a layer", name);
        diag_help(m->diag, "give the model a name of its own");
    }
    const Block *first = block_find_model(m, name);
    if (first != block) {
        diag_error(m->diag, block->name_span, "there are two models `%s`", name);
        diag_note(m->diag, first->name_span, "first here");
    }
}

static void list_models(Model *m) {
    int unnamed = 0, capacity = 0;
    for (int i = 0; i < m->ast->block_count; i++) {
        const Block *block = &m->ast->blocks[i];
        if (block->kind != BLOCK_MODEL)
            continue;
        if (!block->name && unnamed++) {
            diag_error(m->diag, block->keyword_span, "two models without a name");
            diag_help(m->diag, "write `model NAME { ... }`");
        }
        if (block->name) {
            check_model_name(m, block);
            ARENA_PUSH(m->arena, m->model_names, m->model_count, capacity, block->name);
        }
    }
}

static const Block *choose_model(Model *m) {
    int count;
    const Block *last = last_model(m->ast, NULL, &count);
    if (m->options && m->options->model) {
        const Block *found = block_find_model(m, m->options->model);
        if (!found) {
            diag_error(m->diag, (Span){m->ast->source, 0, 0}, "the file has no model `%s`", m->options->model);
            const char *nearest = text_nearest(m->options->model, m->model_names, m->model_count);
            if (nearest)
                diag_help(m->diag, "did you mean `%s`?", nearest);
        }
        return found;
    }
    if (!last) {
        diag_error(m->diag, (Span){m->ast->source, 0, 0}, "the file has no `model { ... }`");
        return NULL;
    }
    for (int i = m->ast->block_count - 1; i >= 0; i--) {
        const Block *block = &m->ast->blocks[i];
        const Block *owner = block->kind == BLOCK_COMPILE || block->kind == BLOCK_FIT ? owner_of(m, block) : NULL;
        if (owner)
            return owner;
    }
    return last;
}

bool blocks_choose(Model *m) {
    int errors = diag_errors(m->diag);
    list_models(m);
    m->block = choose_model(m);
    if (!m->block)
        return false;
    const Block **places[] = {NULL, &m->data, &m->compile_block, &m->fit};
    for (int i = 0; i < m->ast->block_count; i++) {
        const Block *block = &m->ast->blocks[i];
        if (block->kind == BLOCK_MODEL)
            continue;
        const Block *owner = owner_of(m, block);
        bool shared = block->kind == BLOCK_DATA && !block->name;
        if (owner != m->block && !shared)
            continue;
        const Block **place = places[block->kind];
        if (*place && (*place)->name && !block->name)
            continue; /* data of its own before data for all */
        if (*place && !((*place)->name == NULL && block->name)) {
            diag_error(m->diag, block->keyword_span, "a second `%s` for the same model",
                       block_components[block->kind]->name);
            diag_note(m->diag, (*place)->keyword_span, "first here");
        }
        *place = block;
    }
    return diag_errors(m->diag) == errors;
}
