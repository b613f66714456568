/* `nnc help`: one component or block, the list of all, and the reference as Markdown; all from the records. */
#include <string.h>
#include "frontend/analyse.h"

static const char *const kind_titles[COMPONENT_KINDS] = {
    [COMPONENT_LAYER] = "Layers",
    [COMPONENT_COMBINATOR] = "Combinators",
    [COMPONENT_ACTIVATION] = "Activations",
    [COMPONENT_LOSS] = "Losses",
    [COMPONENT_METRIC] = "Metrics",
    [COMPONENT_OPTIMIZER] = "Optimizers",
    [COMPONENT_SCHEDULE] = "Learning-rate schedules",
    [COMPONENT_INITIALIZER] = "Initializers",
    [COMPONENT_REGULARIZER] = "Regularizers",
    [COMPONENT_CALLBACK] = "Callbacks",
    [COMPONENT_DATA_SOURCE] = "Data sources",
    [COMPONENT_DATA_STEP] = "Data steps",
};

/* "valid|same" -> "valid, same" */
static void add_list(Text *out, const char *list) {
    for (const char *c = list; c && *c; c++)
        if (*c == '|')
            text_add(out, ", ");
        else
            text_add_length(out, c, 1);
}

static void add_type(Text *out, const Parameter *p) {
    static const char *const words[] = {
        [PARAMETER_INT] = "whole number", [PARAMETER_FLOAT] = "number", [PARAMETER_BOOL] = "true or false",
        [PARAMETER_STRING] = "string",    [PARAMETER_CHOICE] = "",      [PARAMETER_INTS] = "whole numbers",
        [PARAMETER_COMPONENT] = "",       [PARAMETER_ANY] = "value",
    };
    if (p->type == PARAMETER_CHOICE)
        add_list(out, p->choices);
    else if (p->type == PARAMETER_COMPONENT)
        text_add(out, component_kind_words[p->component].one);
    else if (p->type == PARAMETER_INTS && p->length)
        text_format(out, "whole number or %d of them", p->length);
    else
        text_add(out, words[p->type]);
}

enum { HELP_COLUMNS = 80, LIST_INDENT = 33 };

/* Words to the end of the line, which has reached column `indent`; further lines begin there. */
static void add_words(Text *out, const char *words, int indent) {
    char blanks[HELP_COLUMNS];
    snprintf(blanks, sizeof blanks, "%*s", indent, "");
    text_wrap(out, words ? words : "", (size_t)indent, HELP_COLUMNS, blanks);
}

static int name_width(const Component *component) {
    int width = 0;
    for (const Parameter *p = component->parameters; p->name; p++)
        if ((int)strlen(p->name) > width)
            width = (int)strlen(p->name);
    return width;
}

static void help_parameter(Text *out, const Parameter *p, int width) {
    Text type = {0};
    add_type(&type, p);
    text_format(&type, " (%s)", p->default_text ? p->default_text : "required");
    text_format(out, "  %-*s  ", width, p->name);
    add_words(out, type.data, width + 4);
    text_format(out, "%*s", width + 4, "");
    add_words(out, p->doc, width + 4);
    text_free(&type);
}

static void help_component(Text *out, const Component *component) {
    bool block = component->kind == COMPONENT_KINDS;
    text_format(out, "%s: %s\n", component->name, block ? "a block" : component_kind_words[component->kind].one);
    add_words(out, component->summary, 0);
    if (component->aliases) {
        text_add(out, "Also called: ");
        add_list(out, component->aliases);
        text_add(out, "\n");
    }
    if (component->formula) {
        text_add(out, "\n    ");
        add_words(out, component->formula, 4);
    }
    int width = name_width(component);
    if (component->parameters[0].name)
        text_add(out, block ? "\nSettings (default):\n" : "\nArguments (default):\n");
    for (const Parameter *p = component->parameters; p->name; p++)
        help_parameter(out, p, width);
    if (component->examples && component->examples[0])
        text_add(out, "\nExamples:\n");
    for (int i = 0; component->examples && component->examples[i]; i++) {
        int depth = 4 + (int)strspn(component->examples[i], " "); /* of blocks */
        text_format(out, "%*s", depth, "");
        text_wrap(out, component->examples[i], (size_t)depth, HELP_COLUMNS, depth == 4 ? "        " : "            ");
    }
}

static bool answers_to(const Component *component, const char *name) {
    return strcmp(component->name, name) == 0 ||
           (component->kind < COMPONENT_KINDS && component_find(component->kind, name) == component);
}

bool frontend_help(Text *out, const char *name, Text *nearest) {
    bool found = false;
    for (int i = 0; i < 4; i++)
        if (strcmp(block_components[i]->name, name) == 0) {
            help_component(out, block_components[i]);
            found = true;
        }
    for (int i = 0; components[i]; i++)
        if (answers_to(components[i], name)) {
            text_add(out, found ? "\n" : "");
            help_component(out, components[i]);
            found = true;
        }
    const char *best = NULL;
    for (int i = 0; components[i] && !found; i++) {
        const char *pair[2] = {best ? best : components[i]->name, components[i]->name};
        const char *near = text_nearest(name, pair, 2);
        best = near ? near : best;
    }
    if (best && nearest)
        text_add(nearest, best);
    return found;
}

static void list_component(Text *out, const Component *component) {
    text_format(out, "  %-*s ", LIST_INDENT - 3, component->name);
    add_words(out, component->summary, LIST_INDENT);
}

void frontend_list(Text *out) {
    for (int kind = 0; kind < COMPONENT_KINDS; kind++) {
        bool any = false;
        for (int i = 0; components[i]; i++) {
            if (components[i]->kind != (ComponentKind)kind)
                continue;
            if (!any)
                text_format(out, "%s%s\n", out->length ? "\n" : "", kind_titles[kind]);
            any = true;
            list_component(out, components[i]);
        }
    }
    text_add(out, "\nBlocks\n");
    for (int i = 0; i < 4; i++)
        list_component(out, block_components[i]);
}

/* `|` would end a cell of a Markdown table. */
static void add_cell(Text *out, const char *text) {
    for (const char *c = text ? text : ""; *c; c++)
        if (*c == '|')
            text_add(out, "\\|");
        else
            text_add_length(out, c, 1);
}

static void reference_component(Text *out, const Component *component) {
    text_format(out, "### %s\n\n%s\n", component->name, component->summary ? component->summary : "");
    if (component->aliases) {
        text_add(out, "\nAlso called: ");
        add_list(out, component->aliases);
        text_add(out, ".\n");
    }
    if (component->formula)
        text_format(out, "\n`%s`\n", component->formula);
    if (component->parameters[0].name)
        text_format(out, "\n| %s | default | type | meaning |\n|---|---|---|---|\n",
                    component->kind == COMPONENT_KINDS ? "setting" : "argument");
    for (const Parameter *p = component->parameters; p->name; p++) {
        text_format(out, "| `%s` | ", p->name);
        text_format(out, p->default_text ? "`%s` | " : "%s | ", p->default_text ? p->default_text : "required");
        add_type(out, p);
        text_add(out, " | ");
        add_cell(out, p->doc);
        text_add(out, " |\n");
    }
    if (component->examples && component->examples[0]) {
        text_add(out, "\n```\n");
        for (int i = 0; component->examples[i]; i++)
            text_format(out, "%s\n", component->examples[i]);
        text_add(out, "```\n");
    }
    text_add(out, "\n");
}

void frontend_reference(Text *out) {
    text_add(out, "# Language reference\n\nEverything that a `.nn` file can name, made from the component records by "
                  "`nnc help`. Names, arguments, defaults and meaning are those of Keras 3.\n\n## Blocks\n\n");
    for (int i = 0; i < 4; i++)
        reference_component(out, block_components[i]);
    for (int kind = 0; kind < COMPONENT_KINDS; kind++) {
        bool any = false;
        for (int i = 0; components[i]; i++) {
            if (components[i]->kind != (ComponentKind)kind)
                continue;
            if (!any)
                text_format(out, "## %s\n\n", kind_titles[kind]);
            any = true;
            reference_component(out, components[i]);
        }
    }
}
