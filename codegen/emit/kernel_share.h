/* Kernels that are equal but for the buffers they work on are printed as one function with the buffers as parameters.
 */
#ifndef NNC_CODEGEN_KERNEL_SHARE_H
#define NNC_CODEGEN_KERNEL_SHARE_H
#include "codegen/kir/kir.h"

/* Finds the equal kernels of a program, of all its functions together, and sets their `shared`, `passed` and `streams`.
 * Runs after memory planning: which buffers of a kernel overlap is a part of what must be equal. */
void kernel_share(KProgram *);

/* Everything that the emitted function of a mapped kernel depends on, as a string of numbers, with the buffers and the
 * random streams that it uses left open. Two kernels with the same form may share a function. Names and comments are no
 * part of it. */
typedef struct {
    Text text;
    KBuffer **buffers; /* of the program, the ones that are only read first, each in order of their first use */
    bool *written;
    int buffer_count;
    int *streams; /* in order of their first use */
    int stream_count;
} KernelForm;
void kernel_form(KernelForm *, const KProgram *, const KKernel *); /* text_free(&form->text) afterwards */
#endif
