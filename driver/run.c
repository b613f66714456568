/* `nnc run`. */
#include "driver/driver.h"
Status run_program(const Options *options, Diag *diag) {
    (void)options;
    diag_error(diag, (Span){0}, "run is not built yet");
    return STATUS_USAGE;
}
