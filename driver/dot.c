/* --emit=dot: the layers of the model and what passes between them, for Graphviz (dot -Tsvg). The layers are those of
 * the summary; which reads which follows from the operations of the tensor IR as the front end leaves it, where each
 * one names its layer. */
#include <string.h>
#include "driver/driver.h"

enum { NODE_INPUT = -1, NODE_NONE = -2 };

typedef struct {
    const Program *program;
    const Func *func;
    bool *edges; /* [from + 1][to]: from NODE_INPUT on */
    bool *drawn; /* layers that have an operation */
} Graph;

static bool *edge(const Graph *g, int from, int to) {
    return &g->edges[(from + 1) * g->program->layer_count + to];
}

/* The layer of the summary that an operation belongs to; of a model used as a layer, the model. */
static int layer_of(const Graph *g, const char *name) {
    for (int i = 0; name && i < g->program->layer_count; i++) {
        size_t length = strlen(g->program->layers[i].name);
        if (strncmp(name, g->program->layers[i].name, length) == 0 && (name[length] == '\0' || name[length] == '/'))
            return i;
    }
    return NODE_NONE;
}

/* Where a value comes from: a layer, the input, or neither (weights, numbers). */
static int origin_of(const Graph *g, const Value *value) {
    while (value->def) {
        int layer = layer_of(g, value->def->layer);
        if (value->def->input_count == 0)
            return NODE_NONE;
        if (layer != NODE_NONE)
            return layer;
        value = value->def->inputs[0];
    }
    for (int i = 0; i < g->func->body.arg_count; i++)
        if (g->func->body.args[i] == value && g->func->arg_kinds[i] == ARG_INPUT)
            return NODE_INPUT;
    return NODE_NONE;
}

static void find_edges(Graph *g) {
    for (const Op *op = g->func->body.first; op; op = op->next) {
        int to = op->input_count ? layer_of(g, op->layer) : NODE_NONE;
        for (int i = 0; to != NODE_NONE && i < op->input_count; i++) {
            int from = origin_of(g, op->inputs[i]);
            if (from != NODE_NONE && from < to)
                *edge(g, from, to) = g->drawn[to] = true;
        }
    }
}

/* A layer that computes nothing, such as Dropout in prediction, stands behind the layer that is listed before it. */
static void place_silent_layers(Graph *g) {
    for (int i = 0; i < g->program->layer_count; i++) {
        if (g->drawn[i])
            continue;
        for (int to = i + 1; to < g->program->layer_count; to++) {
            *edge(g, i, to) = *edge(g, i - 1, to);
            *edge(g, i - 1, to) = false;
        }
        *edge(g, i - 1, i) = true;
    }
}

static void shape(Text *out, const Type *type) {
    text_add(out, "(None");
    for (int i = 1; i < type->rank; i++)
        text_format(out, ", %lld", (long long)type->dims[i].n);
    text_add(out, type->rank > 1 ? ")" : ",)");
}

static void node(Text *out, int id, const char *name, const char *type, const Type *output, int64_t parameters) {
    text_format(out, "  n%d [label=\"%s", id, name);
    if (type)
        text_format(out, " (%s)", type);
    text_add(out, "\\n");
    shape(out, output);
    if (parameters)
        text_format(out, "\\n%lld parameters", (long long)parameters);
    text_add(out, "\"];\n");
}

static const Func *function_to_draw(const Module *module) {
    const Func *func = module_find_func(module, "train_step");
    return func ? func : module_find_func(module, "forward");
}

void emit_dot(Text *out, const Pipeline *p) {
    const Program *program = p->program;
    int count = program->layer_count;
    Graph g = {program, function_to_draw(program->module), ARENA_ARRAY(p->arena, bool, (count + 1) * count + 1),
               ARENA_ARRAY(p->arena, bool, count + 1)};
    find_edges(&g);
    place_silent_layers(&g);
    text_format(out, "digraph %s {\n  node [shape=box, fontname=\"sans-serif\"];\n", program->name);
    node(out, 0, "input", NULL, program->input, 0);
    for (int i = 0; i < count; i++) {
        const Layer *layer = &program->layers[i];
        node(out, i + 1, layer->name, layer->type, layer->output, layer->parameters);
    }
    for (int from = NODE_INPUT; from < count; from++)
        for (int to = 0; to < count; to++)
            if (*edge(&g, from, to))
                text_format(out, "  n%d -> n%d;\n", from + 1, to + 1);
    text_add(out, "}\n");
}
