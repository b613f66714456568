/* The table of options, and the help made from it. Needs: nnrt_options.h. Leaves: text within 80 columns. */
#include "nnrt_barrier.h"
#include "nnrt_options.h"
#include "nnrt_options_table.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#define INIT (1u << NNRT_VERB_INIT)
#define FIT (1u << NNRT_VERB_FIT)
#define EVALUATE (1u << NNRT_VERB_EVALUATE)
#define PREDICT (1u << NNRT_VERB_PREDICT)
#define GENERATE (1u << NNRT_VERB_GENERATE)
#define RUNS (FIT | EVALUATE | PREDICT)
#define AT(field) offsetof(nnrt_options, field)

const nnrt_verb_text nnrt_verb_table[NNRT_VERBS] = {
    {"", ""},
    {"init", "Writes a file of fresh, untrained weights."},
    {"fit", "Trains, and writes the weights. Starts from fresh weights unless --resume or --initial-weights is given. "
            "Ctrl-C finishes the step, saves, and stops; 'fit --resume' goes on to the same bits as a run that was "
            "never interrupted."},
    {"evaluate", "Measures loss and metrics on the test data. With --verbose=0 the output is one line 'name: value' "
                 "for each, for scripts."},
    {"predict", "Writes one line of comma-separated outputs for each sample. The input has the columns of the "
                "training data, with or without the target; preprocessing is part of the model."},
    {"generate", "Writes text, one character after the other, each drawn from what the model expects next. For models "
                 "of text(...)."},
    {"summary", "Prints the layers, their output shapes and sizes, and the memory that the program takes."},
};

const nnrt_option nnrt_option_table[] = {
    {"epochs", NNRT_OPTION_INTEGER, AT(epochs), FIT, NNRT_GIVEN_EPOCHS, 0, INT_MAX, "N",
     "train until N epochs are done"},
    {"batch-size", NNRT_OPTION_INTEGER, AT(batch_size), FIT | EVALUATE, NNRT_GIVEN_BATCH_SIZE, 1, INT_MAX, "N",
     "samples of one step; at most what the program was compiled for"},
    {"steps", NNRT_OPTION_INTEGER, AT(steps), FIT, 0, 1, INT_MAX, "N",
     "end each epoch after N steps; 0: after all samples"},
    {"shuffle", NNRT_OPTION_BOOLEAN, AT(shuffle), FIT, NNRT_GIVEN_SHUFFLE, 0, 0, "true|false",
     "take the samples in a new order in each epoch"},
    {"seed", NNRT_OPTION_SEED, AT(seed), INIT | FIT | GENERATE, NNRT_GIVEN_SEED, 0, 0, "N",
     "start of all random numbers; same seed, same bits"},
    {"validation-split", NNRT_OPTION_SHARE, AT(validation_split), FIT, NNRT_GIVEN_VALIDATION_SPLIT, 0, 0, "SHARE",
     "hold back this last part of the training data for validation"},
    {"validation-freq", NNRT_OPTION_INTEGER, AT(validation_freq), FIT, 0, 1, INT_MAX, "N",
     "validate after every Nth epoch"},
    {"initial-epoch", NNRT_OPTION_INTEGER, AT(initial_epoch), FIT, NNRT_GIVEN_INITIAL_EPOCH, 0, INT_MAX, "N",
     "number of the first epoch, from 0"},
    {"train", NNRT_OPTION_TEXT, AT(train), FIT, 0, 0, 0, "FILE", "training data in place of the declared file"},
    {"train-target", NNRT_OPTION_TEXT, AT(train_target), FIT, 0, 0, 0, "FILE", "its labels, for idx and npy"},
    {"validation", NNRT_OPTION_TEXT, AT(validation), FIT, 0, 0, 0, "FILE",
     "validation data; replaces --validation-split"},
    {"validation-target", NNRT_OPTION_TEXT, AT(validation_target), FIT, 0, 0, 0, "FILE", "its labels, for idx and npy"},
    {"test", NNRT_OPTION_TEXT, AT(test), EVALUATE, 0, 0, 0, "FILE", "test data in place of the declared file"},
    {"test-target", NNRT_OPTION_TEXT, AT(test_target), EVALUATE, 0, 0, 0, "FILE", "its labels, for idx and npy"},
    {"input", NNRT_OPTION_TEXT, AT(input), PREDICT, 0, 0, 0, "FILE|-",
     "samples; - reads standard input; without it: the test data"},
    {"input-target", NNRT_OPTION_TEXT, AT(input_target), PREDICT, 0, 0, 0, "FILE",
     "labels of the input (idx and npy), for --show"},
    {"output", NNRT_OPTION_TEXT, AT(output), PREDICT, 0, 0, 0, "FILE|-",
     "where the predictions go; without it: standard output"},
    {"show", NNRT_OPTION_INTEGER, AT(show), PREDICT, 0, 1, 10000, "N",
     "draw the first N samples with what was predicted, instead of writing numbers to standard output"},
    {"prompt", NNRT_OPTION_TEXT, AT(prompt), GENERATE, 0, 0, 0, "TEXT",
     "the beginning of the text; without it: the beginning of a line"},
    {"length", NNRT_OPTION_INTEGER, AT(length), GENERATE, 0, 1, 100000000, "N", "characters to add"},
    {"temperature", NNRT_OPTION_NUMBER, AT(temperature), GENERATE, 0, 0, 0, "T",
     "below 1 likely characters become likelier, above 1 less so; 0 takes the likeliest"},
    {"weights", NNRT_OPTION_TEXT, AT(weights), INIT | RUNS | GENERATE, 0, 0, 0, "FILE",
     "where weights are read and written, a .safetensors file"},
    {"initial-weights", NNRT_OPTION_TEXT, AT(initial_weights), FIT, 0, 0, 0, "FILE",
     "start from these weights, and from their preprocessing if the file holds it"},
    {"resume", NNRT_OPTION_FLAG, AT(resume), FIT, 0, 0, 0, "", "go on with the run that --weights holds"},
    {"threads", NNRT_OPTION_INTEGER, AT(threads), RUNS, 0, 1, NNRT_MAX_THREADS, "N",
     "threads; else NNC_THREADS, OMP_NUM_THREADS, or up to as many as pay, fewer on a busy machine"},
    {"verbose", NNRT_OPTION_INTEGER, AT(verbose), FIT | EVALUATE, 0, 0, 2, "0|1|2",
     "0 quiet, 1 progress bar, 2 one line for each epoch; 1 on a terminal, else 2"},
};
const int nnrt_option_count = sizeof nnrt_option_table / sizeof nnrt_option_table[0];

enum { HELP_WIDTH = 79, HELP_INDENT = 30 };

/* Words from `text` in lines of at most HELP_WIDTH columns; the first line has already reached `column`. */
static void help_wrap(FILE *out, const char *text, int column, int indent) {
    while (*text) {
        int length = (int)strcspn(text, " ");
        bool first = column == indent;
        if (!first && column + 1 + length > HELP_WIDTH) {
            fprintf(out, "\n%*s", indent, "");
            column = indent;
            first = true;
        }
        fprintf(out, "%s%.*s", first ? "" : " ", length, text);
        column += length + !first;
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void help_default(const nnrt_program *program, const nnrt_option *option, const nnrt_options *defaults,
                         char *text, size_t size) {
    const void *place = (const char *)defaults + option->offset;
    text[0] = 0;
    if (option->offset == AT(threads) || option->offset == AT(verbose) || option->offset == AT(show))
        return;
    if (option->kind == NNRT_OPTION_INTEGER)
        snprintf(text, size, " [%d]", *(const int *)place);
    else if (option->kind == NNRT_OPTION_SEED)
        snprintf(text, size, " [%llu]", (unsigned long long)*(const uint64_t *)place);
    else if (option->kind == NNRT_OPTION_SHARE || option->kind == NNRT_OPTION_NUMBER)
        snprintf(text, size, " [%g]", *(const double *)place);
    else if (option->kind == NNRT_OPTION_BOOLEAN)
        snprintf(text, size, " [%s]", *(const bool *)place ? "true" : "false");
    else if (option->offset == AT(train) && program->train.file)
        snprintf(text, size, " [%s]", program->train.file);
    else if (option->offset == AT(test) && program->test.file)
        snprintf(text, size, " [%s]", program->test.file);
    else if (option->offset == AT(weights))
        snprintf(text, size, " [%s]", defaults->weights);
}

static void help_option(const nnrt_program *program, const nnrt_option *option, const nnrt_options *defaults,
                        FILE *out) {
    char left[64], value[300], text[600];
    snprintf(left, sizeof left, "  --%s%s%s", option->name, option->value[0] ? "=" : "", option->value);
    help_default(program, option, defaults, value, sizeof value);
    snprintf(text, sizeof text, "%s%s", option->help, value);
    if ((int)strlen(left) + 2 > HELP_INDENT)
        fprintf(out, "%s\n%*s", left, HELP_INDENT, "");
    else
        fprintf(out, "%-*s", HELP_INDENT, left);
    help_wrap(out, text, HELP_INDENT, HELP_INDENT);
}

static void help_verb(const nnrt_program *program, nnrt_verb verb, const nnrt_options *defaults, FILE *out) {
    fprintf(out, "%s %s [options]\n", nnrt_command(program), nnrt_verb_name(verb));
    fprintf(out, "  ");
    help_wrap(out, nnrt_verb_table[verb].help, 2, 2);
    for (int i = 0; i < nnrt_option_count; i++)
        if (nnrt_option_table[i].verbs & (1u << verb))
            help_option(program, &nnrt_option_table[i], defaults, out);
}

void nnrt_options_help(const nnrt_program *program, nnrt_verb verb, FILE *out) {
    nnrt_options defaults;
    char *none[] = {NULL};
    nnrt_options_parse(program, 0, none, &defaults); /* only its defaults are of interest */
    if (verb != NNRT_VERB_NONE) {
        help_verb(program, verb, &defaults, out);
        return;
    }
    fprintf(out,
            "usage: %s COMMAND [--name=value | --name value]...\n"
            "The network '%s', compiled from %s by %s.\n\n",
            nnrt_command(program), program->name, program->source_file ? program->source_file : "a file",
            program->compiler ? program->compiler : "nnc");
    for (int each = 1; each < NNRT_VERBS; each++) {
        if (!nnrt_verb_fits(program, (nnrt_verb)each))
            continue;
        help_verb(program, (nnrt_verb)each, &defaults, out);
        fputc('\n', out);
    }
    fprintf(out, "%s --version\n%s [COMMAND] --help\n\n", nnrt_command(program), nnrt_command(program));
    fputs("In brackets: the value without the option.\n"
          "Exit status: 0 done, 1 the run failed, 2 wrong usage, 130 interrupted.\n"
          "Environment: NNC_THREADS, OMP_NUM_THREADS, NO_COLOR, COLUMNS.\n",
          out);
}

#undef INIT
#undef FIT
#undef EVALUATE
#undef PREDICT
#undef GENERATE
#undef RUNS
#undef AT
