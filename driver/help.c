/* `nnc help [NAME]`: the language, from the records of the front end. */
#include "driver/driver.h"

Status help_print(const Options *options, Diag *diag) {
    Text text = {0}, nearest = {0};
    Status status = STATUS_OK;
    if (options->help || options->rest_count == 0)
        frontend_list(&text);
    for (int i = 0; i < options->rest_count; i++) {
        text_clear(&nearest);
        if (frontend_help(&text, options->rest[i], &nearest))
            continue;
        diag_error(diag, (Span){0}, "there is no help on %s", options->rest[i]);
        if (nearest.length)
            diag_help(diag, "did you mean %s?", nearest.data);
        else
            diag_help(diag, "nnc help lists what there is");
        status = STATUS_USAGE;
    }
    if (text.length && write_output(diag, "-", &text) != STATUS_OK)
        status = STATUS_FILE;
    text_free(&text);
    text_free(&nearest);
    return status;
}
