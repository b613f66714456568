/* Constants of a file: `let`, -D, and arithmetic on them. */
#ifndef NNC_FRONTEND_CONSTANTS_H
#define NNC_FRONTEND_CONSTANTS_H
#include "frontend/ast.h"

/* Name -> value (Expr, folded) of every `let`, with the values of "name=value" definitions in place of the file's.
 * Mistakes are in diag; the map holds what could be understood. */
Map *constants_read(Arena *, Interner *, Diag *, const Ast *, const char *const *defines, int define_count);
/* The expression with constants put in and arithmetic done, as deep as lists go; calls stay as they are (their
 * arguments are folded when they are bound). A name that is no constant stays a name, but not inside arithmetic. NULL
 * after an error. */
const Expr *constants_fold(Arena *, Diag *, const Expr *, Map *constants);
/* The constant whose name is nearest to the word; NULL: none is near. */
const char *constants_nearest(Map *constants, const char *word);
#endif
