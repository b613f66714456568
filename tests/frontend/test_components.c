/* Every record of the table: complete, consistent, its examples and checks build verified modules. */
#include <stdlib.h>
#include "component_harness.h"
#include "frontend/component.h"
#include "test.h"

static bool complain(const Component *component, const char *what, const char *detail) {
    printf("%s: %s %s\n", component->name, what, detail);
    return false;
}

static bool is_complete(const Component *component) {
    bool good = true;
    if (!component->summary || !*component->summary)
        good = complain(component, "has no summary", "");
    if (!component->examples || !component->examples[0])
        good = complain(component, "has no example", "");
    if (!component->checks || !component->checks[0])
        good = complain(component, "has no check", "");
    if (!component->build.layer)
        good = complain(component, "builds nothing", "");
    for (const Parameter *p = component->parameters; p->name; p++) {
        if (!p->doc || !*p->doc)
            good = complain(component, "does not document", p->name);
        if (p->type == PARAMETER_CHOICE && !p->choices)
            good = complain(component, "has no choices for", p->name);
        for (const Parameter *q = component->parameters; q < p; q++)
            if (strcmp(p->name, q->name) == 0)
                good = complain(component, "has two parameters", p->name);
    }
    return good;
}

/* Calls `visit` with the name and each alias. */
static void each_name(const Component *component, void (*visit)(const Component *, const char *)) {
    visit(component, component->name);
    for (const char *list = component->aliases; list && *list;) {
        size_t length = strcspn(list, "|");
        char name[64] = "";
        if (length < sizeof name)
            memcpy(name, list, length);
        CHECK(length > 0 && length < sizeof name);
        visit(component, name);
        list += length + (list[length] == '|');
    }
}

static void found_by_name(const Component *component, const char *name) {
    bool found = component_find(component->kind, name) == component;
    if (!found)
        complain(component, "is not the component found as", name);
    CHECK(found);
}

/* Required parameters get a value that any component of the kind takes, so that all defaults are read. */
static void defaults_are_read(const Component *component) {
    Text call = {0};
    text_format(&call, "%s(", component->name);
    const char *separator = "";
    for (const Parameter *p = component->parameters; p->name; p++) {
        if (p->default_text)
            continue;
        text_format(&call, "%s%s=", separator, p->name);
        if (p->type == PARAMETER_STRING || p->type == PARAMETER_COMPONENT)
            text_add(&call, p->type == PARAMETER_STRING       ? "\"a\""
                            : p->component == COMPONENT_LAYER ? "Flatten"
                                                              : "linear");
        else
            text_format(&call, "%d", p->minimum > 1 ? (int)p->minimum : 1);
        separator = ", ";
    }
    text_add(&call, ")");
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    char *source = arena_format(arena, "model m {\n%s\n}\n", call.data);
    SourceFile file = {component->name, source, strlen(source)};
    Ast *ast = ast_parse(arena, interner_new(arena), diag, &file);
    Args *args = NULL;
    if (ast && ast->block_count == 1 && ast->blocks[0].body.count == 1)
        args = args_bind(arena, diag, component, ast->blocks[0].body.entries[0]->value, map_new(arena));
    if (!args) {
        Text out = {0};
        diag_print(diag, &out, false);
        complain(component, "does not bind", out.data ? out.data : "");
        text_free(&out);
    }
    CHECK(args != NULL);
    arena_free(arena);
    text_free(&call);
}

static void check_builds(const Component *component, const char *text) {
    Compiled c = harness_compile(component->name, text);
    int complaints = harness_complaints(&c, component->name);
    CHECK(complaints == 0 && c.program != NULL);
    if (c.program) {
        const Module *module = c.program->module;
        CHECK(module_verify(c.program->module, "frontend"));
        CHECK(module_find_func(module, "forward") && module_find_func(module, "train_step") &&
              module_find_func(module, "evaluate_step"));
        CHECK(harness_complaints(&c, component->name) == complaints);
    }
    harness_free(&c);
}

/* Where the examples of a kind stand, and what they name there. */
static const struct {
    const char *block;
    ComponentKind named;
} homes[COMPONENT_KINDS] = {
    [COMPONENT_LAYER] = {"model", COMPONENT_LAYER},
    [COMPONENT_COMBINATOR] = {"model", COMPONENT_COMBINATOR},
    [COMPONENT_ACTIVATION] = {"model", COMPONENT_LAYER},
    [COMPONENT_LOSS] = {"compile", COMPONENT_LOSS},
    [COMPONENT_METRIC] = {"compile", COMPONENT_METRIC},
    [COMPONENT_OPTIMIZER] = {"compile", COMPONENT_OPTIMIZER},
    [COMPONENT_SCHEDULE] = {"compile", COMPONENT_OPTIMIZER},
    [COMPONENT_INITIALIZER] = {"model", COMPONENT_LAYER},
    [COMPONENT_REGULARIZER] = {"model", COMPONENT_LAYER},
    [COMPONENT_CALLBACK] = {"fit", COMPONENT_CALLBACK},
    [COMPONENT_DATA_SOURCE] = {"data", COMPONENT_DATA_SOURCE},
    [COMPONENT_DATA_STEP] = {NULL, COMPONENT_DATA_STEP}, /* whole data blocks */
};

/* Does the call (or each call of a list) name a component of the kind, with arguments that bind? */
static bool example_binds(Arena *arena, Diag *diag, ComponentKind kind, const Expr *expr) {
    bool good = true;
    if (expr->kind == EXPR_LIST) {
        for (int i = 0; i < expr->list.count; i++)
            good = example_binds(arena, diag, kind, expr->list.items[i]) && good;
        return good;
    }
    const char *name = expr->kind == EXPR_CALL ? expr->call.name : expr->kind == EXPR_NAME ? expr->text : NULL;
    if (name && kind == COMPONENT_METRIC && strcmp(name, "accuracy") == 0)
        return true; /* the front end picks the form */
    const Component *component = name ? component_find(kind, name) : NULL;
    return component && args_bind(arena, diag, component, expr, map_new(arena)) != NULL;
}

/* `nnc help` shows the examples: each must be right. */
static void examples_bind(const Component *component) {
    Text text = {0};
    const char *block = homes[component->kind].block;
    if (block)
        text_format(&text, "%s {\n", block);
    for (int i = 0; component->examples[i]; i++)
        text_format(&text, "%s\n", component->examples[i]);
    text_add(&text, block ? "}\n" : "");
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    SourceFile file = {component->name, text.data, text.length};
    Ast *ast = ast_parse(arena, interner_new(arena), diag, &file);
    bool good = ast && ast->block_count == 1 && ast->blocks[0].body.count > 0;
    for (int i = 0; good && i < ast->blocks[0].body.count; i++) {
        const Entry *entry = ast->blocks[0].body.entries[i];
        if (component->kind != COMPONENT_DATA_STEP || entry->kind == ENTRY_EXPR)
            good = example_binds(arena, diag, homes[component->kind].named, entry->value);
    }
    if (!good || diag_errors(diag)) {
        Text out = {0};
        diag_print(diag, &out, false);
        good = complain(component, "has a wrong example:", out.data ? out.data : text.data);
        text_free(&out);
    }
    CHECK(good);
    arena_free(arena);
    text_free(&text);
}

/* Does any check name the component, by name or alias? Else the check does not test it. */
static bool named_by_checks(const Component *component) {
    char names[256];
    snprintf(names, sizeof names, "%s%s%s", component->name, component->aliases ? "|" : "",
             component->aliases ? component->aliases : "");
    for (int i = 0; component->checks[i]; i++)
        for (const char *list = names; *list;) {
            size_t length = strcspn(list, "|");
            char name[64] = "";
            memcpy(name, list, length < sizeof name ? length : sizeof name - 1);
            if (strstr(component->checks[i], name))
                return true;
            list += length + (list[length] == '|');
        }
    return complain(component, "is in none of its checks", "");
}

int main(void) {
    int kinds[COMPONENT_KINDS] = {0};
    for (int i = 0; components[i]; i++) {
        const Component *component = components[i];
        kinds[component->kind]++;
        bool complete = is_complete(component);
        CHECK(complete);
        if (!complete)
            continue;
        each_name(component, found_by_name);
        CHECK(named_by_checks(component));
        defaults_are_read(component);
        examples_bind(component);
        for (int k = 0; component->checks[k]; k++)
            check_builds(component, component->checks[k]);
    }
    for (int kind = 0; kind < COMPONENT_KINDS; kind++)
        CHECK(kinds[kind] > 0);
    return test_report();
}
