/* Emitted C to a program, by the user's C compiler: for `nnc run` and `nnc tune`. */
#ifndef NNC_DRIVER_BUILD_H
#define NNC_DRIVER_BUILD_H
#include "driver/driver.h"

typedef struct {
    Arena *arena;
    Diag *diag;
    const char *compiler;          /* the words of $CC */
    const char *cpu;               /* of --cpu */
    const char *include, *library; /* folder of nnrt.h, libnnrt.a; NULL: left to the compiler */
    const char *zlib;              /* -lz, or nothing */
    const char *blas;              /* -lopenblas, or NULL */
} CBuild;

CBuild build_start(const Options *, Arena *, Diag *);
const char *build_flags(const CBuild *);
/* With `openmp`: with it if the compiler has it. Errors go to diag; nothing is left at `program` then. */
Status build_program(const CBuild *, const char *source, const char *program, bool openmp);
/* The exit status of the program, and what it prints; -1: it could not be run, or a signal ended it. */
int build_run(const char *program, const char *argument, Text *out);
#endif
