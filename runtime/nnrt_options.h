/* The command line of a trainer: PROGRAM VERB [--name=value | --name value]...
 *
 * One table (nnrt_options.c) declares each option once: its name, its kind, where it is stored, which verbs take it,
 * and its line of help. Needs: the program, for the defaults. Leaves: nnrt_options, or an error that names a remedy. */
#ifndef NNRT_OPTIONS_H
#define NNRT_OPTIONS_H
#include "nnrt_program.h"
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    NNRT_VERB_NONE,
    NNRT_VERB_INIT,
    NNRT_VERB_FIT,
    NNRT_VERB_EVALUATE,
    NNRT_VERB_PREDICT,
    NNRT_VERB_GENERATE,
    NNRT_VERB_SUMMARY,
    NNRT_VERBS
} nnrt_verb;

/* A bit of nnrt_options.given for each option whose origin matters (--resume must not change a run). */
enum {
    NNRT_GIVEN_EPOCHS = 1,
    NNRT_GIVEN_BATCH_SIZE = 2,
    NNRT_GIVEN_SHUFFLE = 4,
    NNRT_GIVEN_SEED = 8,
    NNRT_GIVEN_VALIDATION_SPLIT = 16,
    NNRT_GIVEN_INITIAL_EPOCH = 32
};

typedef struct {
    nnrt_verb verb;
    bool help, version;
    unsigned given;
    int epochs, batch_size, initial_epoch, validation_freq;
    int steps; /* of an epoch at most; 0: all */
    bool shuffle, resume;
    uint64_t seed;
    double validation_split;
    const char *train, *train_target, *validation, *validation_target, *test, *test_target; /* NULL: as declared */
    const char *weights, *initial_weights;
    const char *input, *input_target, *output;
    int show;           /* predict: samples to draw */
    const char *prompt; /* generate; NULL: none */
    int length;         /* generate: characters */
    double temperature;
    int threads; /* 0: not given */
    int verbose; /* -1: by what standard output is */
    char default_weights[256];
} nnrt_options;

/* Fills the options from the program's defaults and the command line. NNRT_OK, or NNRT_ERROR_ARGUMENT. */
int nnrt_options_parse(const nnrt_program *program, int argc, char **argv, nnrt_options *options);
/* The help of one verb, or of all (NNRT_VERB_NONE). */
void nnrt_options_help(const nnrt_program *program, nnrt_verb verb, FILE *out);
const char *nnrt_verb_name(nnrt_verb verb);
/* Whether help speaks of the verb for this program: generate is for text only. */
bool nnrt_verb_fits(const nnrt_program *program, nnrt_verb verb);
/* How the user calls the program, for hints: NNC_PROGRAM ("nnc run digits.nn", set by nnc run; "./digits", by
 * nnrt_main), else its name. */
const char *nnrt_command(const nnrt_program *program);
/* --threads, then NNC_THREADS, then OMP_NUM_THREADS; then (*given is false) as many as the program finds worth it and
 * the process may use. */
int nnrt_options_threads(const nnrt_program *program, const nnrt_options *options, int *threads, bool *given);

#ifdef __cplusplus
}
#endif
#endif
