/* Whatever the bytes, the front end answers with a program or with diagnostics. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "frontend/frontend.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    char *text = arena_alloc(arena, size + 1);
    memcpy(text, data, size);
    SourceFile source = {"fuzz.nn", text, size};
    Text out = {0};
    Ast *ast = ast_parse(arena, interner_new(arena), diag, &source);
    bool parsed = ast && diag_errors(diag) == 0;
    if (ast)
        ast_print(&out, ast);
    Program *program = frontend_program(arena, diag, ast, NULL);
    if ((program == NULL) != (diag_errors(diag) > 0))
        abort();
    if (program && !module_verify(program->module, "frontend"))
        abort();
    if (parsed) { /* what is printed parses to the same */
        SourceFile printed = {"printed.nn", out.data ? out.data : "", out.length};
        Text again = {0};
        Diag *quiet = diag_new(arena);
        ast_print(&again, ast_parse(arena, interner_new(arena), quiet, &printed));
        if (diag_errors(quiet) || (out.length && strcmp(out.data, again.data) != 0))
            abort();
        text_free(&again);
    }
    text_clear(&out);
    diag_print(diag, &out, false);
    text_free(&out);
    arena_free(arena);
    return 0;
}
