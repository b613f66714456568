/* For tests: emitted C in a folder of its own, compiled into executables that compiled_main.c makes of many models, and
 * run. */
#ifndef NNC_TESTS_EMITTED_H
#define NNC_TESTS_EMITTED_H
#include "ir/base/arena.h"
#include "ir/base/diag.h"
#include "ir/base/text.h"
#include "ir/program.h"

/* Models of one executable, under one set of decisions. */
typedef struct {
    const char *folder; /* holds the emitted files and the data */
    const char *label;  /* unique in the folder: "gcc_3" */
    const char *isa;
    bool planned;
    Text includes, functions, rows, sources; /* parts of the file with the table of cases; names of the C files */
    int count;
} Emitted;

/* Does this compiler, with these options, make programs with the runtime that run here? Sanitizers are packages of
 * their own on some systems, and do not go together with every other. */
bool emitted_works(const char *folder, const char *compiler);
/* What `nnc --lib` does with a program that the front end has made: passes, kernels, FOLDER/LABEL_NAME.c and .h. */
bool emitted_add(Emitted *, Arena *, Diag *, Program *);
/* Writes the table of cases. false: said why. */
bool emitted_write(Emitted *);
/* Appends shell commands that compile it (`compiler`: with options) and run it once per number of threads: results are
 * labelled LABEL and, for other numbers than 1, LABEL_tN. */
void emitted_command(const Emitted *, Text *command, const char *compiler, const int *threads, int thread_count);
void emitted_free(Emitted *);

/* Runs shell commands, two at a time; succeeded[i]. */
void emitted_run(const Text *commands, bool *succeeded, int count);
#endif
