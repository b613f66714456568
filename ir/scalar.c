/* Reads the derivative texts of scalar.def: prefix calls of scalar functions over a, b, c, y, g and numbers. */
#include "ir/scalar.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 32 };

static void skip_blanks(const char **text) {
    while (**text == ' ')
        ++*text;
}

static bool accept(const char **text, char c) {
    skip_blanks(text);
    if (**text != c)
        return false;
    ++*text;
    return true;
}

static ScalarTree *parse(Arena *arena, const char **text, int depth);

static ScalarTree *parse_call(Arena *arena, const char **text, ScalarTree *tree, int depth) {
    for (int i = 0; i < scalar_infos[tree->fn].arity; i++) {
        if (!accept(text, i ? ',' : '('))
            return NULL;
        tree->children[i] = parse(arena, text, depth + 1);
        if (!tree->children[i])
            return NULL;
        tree->child_count++;
    }
    return accept(text, ')') ? tree : NULL;
}

static ScalarTree *parse(Arena *arena, const char **text, int depth) {
    ScalarTree *tree = ARENA_NEW(arena, ScalarTree);
    tree->fn = FN_COUNT;
    skip_blanks(text);
    if (depth > DEEPEST)
        return NULL;
    if (!isalpha((unsigned char)**text)) {
        char *end;
        tree->leaf = '#';
        tree->number = strtod(*text, &end);
        bool is_number = end != *text;
        *text = end;
        return is_number ? tree : NULL;
    }
    char word[32] = {0};
    size_t length = 0;
    while (isalnum((unsigned char)**text) && length < sizeof word - 1)
        word[length++] = *(*text)++;
    if (length == 1 && strchr("abcyg", word[0])) {
        tree->leaf = word[0];
        return tree;
    }
    tree->fn = scalar_find(word);
    return tree->fn == FN_COUNT ? NULL : parse_call(arena, text, tree, depth);
}

const ScalarTree *scalar_parse(Arena *arena, const char *text) {
    ScalarTree *tree = parse(arena, &text, 0);
    skip_blanks(&text);
    return *text == '\0' ? tree : NULL;
}

const ScalarTree *scalar_derivative(Arena *arena, ScalarFn fn, int argument) {
    const ScalarTree *tree = scalar_parse(arena, scalar_infos[fn].derivatives[argument]);
    bool zero = tree && tree->leaf == '#' && tree->number == 0;
    return zero ? NULL : tree;
}

double scalar_tree_eval(const ScalarTree *tree, double a, double b, double c, double y, double g) {
    if (tree->fn == FN_COUNT)
        return tree->leaf == 'a'   ? a
               : tree->leaf == 'b' ? b
               : tree->leaf == 'c' ? c
               : tree->leaf == 'y' ? y
               : tree->leaf == 'g' ? g
                                   : tree->number;
    double values[3] = {0};
    for (int i = 0; i < tree->child_count; i++)
        values[i] = scalar_tree_eval(tree->children[i], a, b, c, y, g);
    return scalar_eval(tree->fn, values[0], values[1], values[2]);
}
