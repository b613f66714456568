/* From the text of a .nn file to programs in tensor IR. */
#ifndef NNC_FRONTEND_H
#define NNC_FRONTEND_H
#include "frontend/ast.h"
#include "ir/program.h"

typedef struct {
    const char *const *defines; /* "name=value" of -D */
    int define_count;
    const char *model; /* --model: which one; NULL: the one with a fit or compile block, else the last */
} FrontendOptions;

/* Builds the program of one model of the file: functions preprocess (if data has steps), forward, and with a compile
 * block train_step and evaluate_step; `grad` not yet expanded. NULL after errors in diag. */
Program *frontend_program(Arena *, Diag *, const Ast *, const FrontendOptions *);

/* `nnc help NAME`, and the whole language reference as Markdown. */
bool frontend_help(Text *, const char *name, Text *nearest);
void frontend_list(Text *);
void frontend_reference(Text *);
#endif
