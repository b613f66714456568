/* nnc: the entry. Parses the command line, runs one command, prints what is to be said, and ends with its status. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "driver/tune.h"

static bool has_color(int file) {
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(file) && !(no_color && *no_color) && !(term && strcmp(term, "dumb") == 0);
}

/* Errors, warnings and their notes to stderr. An internal error says so and has a status of its own. */
static Status report(Diag *diag, Status status) {
    Text text = {0};
    diag_print(diag, &text, has_color(STDERR_FILENO));
    bool without_file = text.length && (strncmp(text.data, "error: ", 7) == 0 || strncmp(text.data, "\033[1;", 4) == 0);
    if (without_file)
        fputs("nnc: ", stderr);
    if (text.length)
        fputs(text.data, stderr);
    if (text.length && strstr(text.data, "internal error: "))
        status = STATUS_INTERNAL;
    text_free(&text);
    return status;
}

static Status print_text(Text *text) {
    fputs(text->data ? text->data : "", stdout);
    text_free(text);
    return fflush(stdout) == 0 ? STATUS_OK : STATUS_FILE;
}

static Status run_command(const Options *options, Arena *arena, Diag *diag) {
    switch (options->command) {
    case COMMAND_RUN:
        return run_program(options, arena, diag);
    case COMMAND_TUNE:
        return tune_program(options, arena, diag);
    case COMMAND_NEW:
        return new_program(options, diag);
    case COMMAND_HELP:
        return help_print(options, diag);
    case COMMAND_COMPILE:
        break;
    }
    return emit_run(options, arena, diag);
}

int main(int argc, char **argv) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Options options;
    Text text = {0};
    Status status = STATUS_OK;
    if (!options_parse(&options, arena, diag, argc, argv)) {
        status = report(diag, STATUS_USAGE);
    } else if (options.help) {
        options_help(&text);
        status = print_text(&text);
    } else if (options.version) {
        text_add(&text, NNC_COMPILER "\n");
        status = print_text(&text);
    } else {
        status = run_command(&options, arena, diag);
        status = report(diag, status);
    }
    arena_free(arena);
    return (int)status;
}
