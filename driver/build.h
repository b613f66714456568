/* Emitted C to a program, by the user's C compiler, and CUDA by nvcc: for `nnc run` and `nnc tune`. */
#ifndef NNC_DRIVER_BUILD_H
#define NNC_DRIVER_BUILD_H
#include "driver/driver.h"

typedef struct {
    Arena *arena;
    Diag *diag;
    const Target *target;
    const char *compiler; /* the words of $CC or $NVCC */
    const char *flags;
    const char *include, *library; /* folder of nnrt.h, libnnrt.a; NULL: left to the compiler */
    const char *zlib;              /* -lz, or nothing */
    const char *link;              /* -lopenblas: other libraries; NULL: none */
} CBuild;

/* A new folder for files on their way, /tmp/nnc-PURPOSE-.., or in $TMPDIR; NULL with an error. */
const char *build_folder(Arena *, Diag *, const char *purpose);
CBuild build_start(const Options *, Arena *, Diag *);
/* With `openmp`: with it if the compiler of C has it. Errors go to diag; nothing is left at `program` then. */
Status build_program(const CBuild *, const char *source, const char *program, bool openmp);
/* What nvcc says of the registers and memory of each kernel; `object` is where it may write in the meantime. */
Status build_resources(const CBuild *, const char *source, const char *object, Text *said);
/* The exit status of the program, and what it prints; -1: it could not be run, or a signal ended it. */
int build_run(const char *program, const char *argument, Text *out);
#endif
