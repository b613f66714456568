/* Binding of arguments, beyond args_bind of component.h: for the parts of the front end that read whole blocks. */
#ifndef NNC_FRONTEND_ARGS_H
#define NNC_FRONTEND_ARGS_H
#include "frontend/component.h"

typedef struct {
    const char *one, *many; /* "a layer", "layers" */
} KindWords;
extern const KindWords component_kind_words[COMPONENT_KINDS];

/* As args_bind, but gives the arguments in any case; those that are missing or wrong are none. */
Args *args_bind_most(Arena *, Diag *, const Component *, const Expr *call, Map *constants, bool *good);
/* The component of the kind that the expression (a name, a string or a call) names, with its arguments bound, in
 * out->part. False after an error. */
bool args_part(Arena *, Diag *, ComponentKind, const Expr *, Map *constants, Arg *out);
/* The name in a name, string or call; NULL: the expression is something else. */
const char *expr_callee(const Expr *, Span *span);
/* A setting of a block that Keras has and nnc has not: its text begins so; behind "; " it may say what to do instead. */
#define NOT_BUILT_YET "not built yet, only none"
bool parameter_not_built(const Parameter *);
/* Index of the parameter in the component's schema, -1: none. */
int component_parameter(const Component *, const char *name);
/* As arg_get, but NULL where the schema has no such parameter. */
const Arg *arg_find(const Args *, const char *name);
/* "Dense(units, activation=none, ...)" with at most `limit` parameters beyond the required ones. */
void component_signature(Text *, const Component *, int limit);
/* Reports a name that is no component of the kind: not built yet, of another kind, or misspelled. `others`: names that
 * would do as well (models of the file). */
void component_unknown(Diag *, ComponentKind, const char *name, Span, const char *const *others, int other_count);
/* Keras' name for a class: MaxPooling2D -> max_pooling2d. */
const char *component_snake(Arena *, const char *name);

/* args_value.c: reads a folded expression into `arg` as the parameter's type says. `owner` is whom messages name. */
typedef struct {
    Arena *arena;
    Diag *diag;
    Map *constants;
    const Component *component;
} Binder;
bool arg_read(Binder *, const Parameter *, const Expr *, Arg *);
#endif
