/* Libraries that a generated program calls where an option says so, one row each: all that options, emitted files,
 * builds and messages have to know of them (codegen/kir/library.c). A statement of kernel IR stands for a call; how it
 * is spelled is the dialect's. */
#ifndef NNC_CODEGEN_LIBRARY_H
#define NNC_CODEGEN_LIBRARY_H
#include "codegen/kir/kir.h"

typedef struct Library {
    const char *option, *name; /* --blas=openblas */
    const char *title;         /* OpenBLAS */
    bool on_gpu;               /* of programs for --target=cuda; else of those in C */
    KStmtKind call;            /* the statement that is a call of it */
    const char *declarations;  /* in an emitted file, before its kernels */
    const char *prepare;       /* a statement before the steps; NULL: none */
    const char *link;          /* what the linker is told */
    const char *missing[2];    /* words of a compiler or linker that does not find it; NULL: there is no other */
    const char *install;       /* what the user can do then */
} Library;

extern const Library library_infos[];
extern const int library_count;
/* --OPTION=NAME; NULL: none of that name. */
const Library *library_find(const char *option, const char *name);
/* The one that such statements call, on a GPU or not; NULL: there is none. */
const Library *library_of(KStmtKind call, bool on_gpu);
/* Some mapped kernel calls it. */
bool library_is_used(const KProgram *, const Library *);
#endif
