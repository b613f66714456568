/* Host code: everything of an emitted C file around its kernels, and its header. */
#ifndef NNC_CODEGEN_HOST_H
#define NNC_CODEGEN_HOST_H
#include "codegen/kir/kir.h"

/* What differs between the languages of emitted files: one row each (host.c, host_cuda.c). */
typedef struct HostTarget HostTarget;
extern const HostTarget host_c, host_cuda;

typedef struct {
    const HostTarget *target; /* NULL: C */
    const char *compiler;     /* "nnc 0.1.0" */
    const char *source_file;  /* name of the .nn file, without folders */
    const char *output_stem;  /* "digits" of digits.c, for the compile line of the first comment */
    const char *header_name;  /* "digits.h", included by the source; NULL: its contents stand in the source */
    const char *runtime;      /* text that stands in for the runtime's headers and library (--bundle); NULL: included */
    bool library;             /* --lib: no main() */
    bool profile;             /* main() times the kernels of a step and prints them (host_profile.c) */
} HostOptions;

/* The compiler's flags for speed, and for the language. */
const char *host_flags(const HostTarget *);

/* Appends the C source and its header. The program is mapped and has a memory plan. false with an error in the
 * program's diag. */
bool host_emit(Text *source, Text *header, KProgram *, const HostOptions *);

/* What the linker is told beside the runtime, such as -lopenblas, words of it; NULL: nothing. */
const char *host_link(const KProgram *);

/* The public header alone. */
bool host_emit_header(Text *header, KProgram *, const HostOptions *);

/* Threads that pay for a training step (or a prediction, without training), at least 1. See host_threads.c. */
int host_default_threads(const KProgram *);
#endif
