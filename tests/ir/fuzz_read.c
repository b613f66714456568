/* Fuzzer of the IR reader: nothing that it reads may crash it; what it accepts passes the verifier, and is printed to a
 * text that reads back to the same text. A broken promise ends the process. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ir/ir.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void give_up(const char *promise, Diag *diag, const char *text) {
    Text out = {0};
    diag_print(diag, &out, false);
    fprintf(stderr, "%s\n%s\n%s\n", promise, out.data ? out.data : "", text);
    abort();
}

static Module *read_text(Arena *arena, Diag *diag, const char *text, size_t length) {
    SourceFile *file = ARENA_NEW(arena, SourceFile);
    *file = (SourceFile){"fuzz.ir", text, length};
    return module_read(arena, diag, file);
}

static void check_module(Arena *arena, Diag *diag, Module *module) {
    Text first = {0}, second = {0};
    module_print(&first, module);
    if (diag_errors(diag))
        give_up("a module with errors was accepted", diag, first.data);
    if (!module_verify(module, "reading"))
        give_up("the reader accepted what the verifier refuses", diag, first.data);
    Module *again = read_text(arena, diag, first.data, first.length);
    if (!again)
        give_up("the printed text cannot be read", diag, first.data);
    module_print(&second, again);
    if (strcmp(first.data, second.data) != 0)
        give_up("the printed text changed", diag, first.data);
    text_free(&first);
    text_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    char *text = malloc(size + 1); /* a block of its own, so that sanitizers see reads past its end */
    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    Module *module = read_text(arena, diag, text, size);
    if (module)
        check_module(arena, diag, module);
    Text out = {0};
    if (!module && !diag_errors(diag))
        give_up("a text was refused without a message", diag, text);
    diag_print(diag, &out, true);
    text_free(&out);
    free(text);
    arena_free(arena);
    return 0;
}
