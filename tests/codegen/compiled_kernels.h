/* For tests: the kernels of a program as a C file with one function per sequence, compiled to a shared library and
 * called on the data of kernel_compare.h. */
#ifndef NNC_TESTS_COMPILED_KERNELS_H
#define NNC_TESTS_COMPILED_KERNELS_H
#include "tests/codegen/kernel_compare.h"

/* The whole file: struct, offsets, kernels, and `void run_FUNC(void *model, void **arguments, void **results,
 * const int32_t *rows, int64_t batch, int64_t threads)`. */
bool compiled_source(Text *, KProgram *);
typedef struct {
    KProgram *program;
    void *handle; /* of the library; NULL: it did not compile */
} Compiled;
bool compiled_has(const char *compiler);
/* Calls check for each compiler that this machine has, number `compiler` of COMPILERS: with a command for
 * compiled_build and a folder for its files, which is removed behind it. */
enum { COMPILERS = 2 };
void compiled_with_each(void (*check)(const char *command, const char *folder, int compiler));
/* `command`: the compiler with its options; `stem`: path of the files that it makes, without an ending. */
Compiled compiled_build(KProgram *, const char *command, const char *stem);
void compiled_close(Compiled *);
KernelValues compiled_run(Arena *, const Compiled *, const KernelExpected *, int threads);
/* Built with this command, the first function has the oracle's values for whole and partial batches of up to 5 samples,
 * and the same bits for 1 and 3 threads. What is wrong is printed, after `name`. */
bool compiled_right(Arena *, KProgram *, const Module *oracle, const char *command, const char *stem, const char *name);
#endif
