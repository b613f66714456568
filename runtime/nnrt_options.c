/* Parses the command line of a trainer by the table below; see nnrt_options.h. */
#include "nnrt_options.h"
#include "nnrt_barrier.h"
#include "nnrt_error.h"
#include "nnrt_options_table.h"
#include "nnrt_processors.h"
#include "nnrt_text.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_NEAR = 3 };

const char *nnrt_verb_name(nnrt_verb verb) {
    return nnrt_verb_table[verb].name;
}

bool nnrt_verb_fits(const nnrt_program *program, nnrt_verb verb) {
    return verb != NNRT_VERB_GENERATE || program->train.kind == NNRT_DATA_TEXT || program->test.kind == NNRT_DATA_TEXT;
}

const char *nnrt_command(const nnrt_program *program) {
    const char *given = getenv("NNC_PROGRAM");
    return given && *given ? given : program->name;
}

static int options_unknown_verb(const nnrt_program *program, const char *word) {
    nnrt_nearest nearest = {word, NULL, OPTIONS_NEAR};
    for (int verb = 1; verb < NNRT_VERBS; verb++)
        nnrt_nearest_consider(&nearest, nnrt_verb_table[verb].name);
    if (nearest.name)
        return nnrt_error(NNRT_ERROR_ARGUMENT, "unknown command '%s'; did you mean '%s'?", word, nearest.name);
    return nnrt_error(NNRT_ERROR_ARGUMENT, "unknown command '%s'; '%s --help' lists the commands", word,
                      nnrt_command(program));
}

static int options_unknown(const nnrt_program *program, nnrt_verb verb, const char *name) {
    nnrt_nearest nearest = {name, NULL, OPTIONS_NEAR + 1};
    for (int i = 0; i < nnrt_option_count; i++) {
        const nnrt_option *option = &nnrt_option_table[i];
        if (strcmp(name, option->name) == 0)
            return nnrt_error(NNRT_ERROR_ARGUMENT, "'%s' has no option --%s; '%s %s --help' lists those it has",
                              nnrt_verb_name(verb), name, nnrt_command(program), nnrt_verb_name(verb));
        if (option->verbs & (1u << verb))
            nnrt_nearest_consider(&nearest, option->name);
    }
    if (nearest.name)
        return nnrt_error(NNRT_ERROR_ARGUMENT, "unknown option --%s; did you mean --%s?", name, nearest.name);
    return nnrt_error(NNRT_ERROR_ARGUMENT, "unknown option --%s; '%s %s --help' lists the options", name,
                      nnrt_command(program), nnrt_verb_name(verb));
}

static const nnrt_option *options_find(nnrt_verb verb, const char *name, size_t length) {
    for (int i = 0; i < nnrt_option_count; i++) {
        const nnrt_option *option = &nnrt_option_table[i];
        if ((option->verbs & (1u << verb)) && strncmp(option->name, name, length) == 0 && option->name[length] == 0)
            return option;
    }
    return NULL;
}

static bool options_boolean(const char *text, bool *value) {
    static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {"false", "0", "no", "off"};
    for (int i = 0; i < 4; i++)
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *value = strcmp(text, yes[i]) == 0;
            return true;
        }
    return false;
}

static int options_store_number(const nnrt_option *option, const char *text, void *place) {
    char *end;
    errno = 0;
    if (option->kind == NNRT_OPTION_INTEGER) {
        long long value = strtoll(text, &end, 10);
        if (end == text || *end || errno || value < option->least || value > option->most)
            return nnrt_error(NNRT_ERROR_ARGUMENT, "--%s=%s: expected a whole number from %d to %d", option->name, text,
                              option->least, option->most);
        *(int *)place = (int)value;
        return NNRT_OK;
    }
    if (option->kind == NNRT_OPTION_SEED) {
        unsigned long long value = strtoull(text, &end, 10);
        if (end == text || *end || errno || strchr(text, '-'))
            return nnrt_error(NNRT_ERROR_ARGUMENT, "--%s=%s: expected a whole number from 0 to 2^64 - 1", option->name,
                              text);
        *(uint64_t *)place = value;
        return NNRT_OK;
    }
    double value = strtod(text, &end);
    if (option->kind == NNRT_OPTION_NUMBER) {
        if (end == text || *end || !(value >= 0 && value <= 1e6))
            return nnrt_error(NNRT_ERROR_ARGUMENT, "--%s=%s: expected a number from 0 on", option->name, text);
        *(double *)place = value;
        return NNRT_OK;
    }
    if (end == text || *end || !(value >= 0 && value < 1))
        return nnrt_error(NNRT_ERROR_ARGUMENT, "--%s=%s: expected a number from 0 to less than 1", option->name, text);
    *(double *)place = value;
    return NNRT_OK;
}

static int options_store(const nnrt_option *option, const char *text, nnrt_options *options) {
    void *place = (char *)options + option->offset;
    options->given |= option->given;
    switch (option->kind) {
    case NNRT_OPTION_TEXT:
        if (!*text)
            return nnrt_error(NNRT_ERROR_ARGUMENT, "--%s: expected %s after '='", option->name, option->value);
        *(const char **)place = text;
        return NNRT_OK;
    case NNRT_OPTION_FLAG:
    case NNRT_OPTION_BOOLEAN:
        if (options_boolean(text, (bool *)place))
            return NNRT_OK;
        return nnrt_error(NNRT_ERROR_ARGUMENT, "--%s=%s: expected true or false", option->name, text);
    default:
        return options_store_number(option, text, place);
    }
}

/* One option at argv[*at]; takes argv[*at + 1] too where that is its value. */
static int options_parse_one(const nnrt_program *program, int argc, char **argv, int *at, nnrt_options *options) {
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const nnrt_option *option = options_find(options->verb, name, length);
    if (!option) {
        char copy[128];
        snprintf(copy, sizeof copy, "%.*s", (int)(length < 100 ? length : 100), name);
        return options_unknown(program, options->verb, copy);
    }
    if (equals)
        return options_store(option, equals + 1, options);
    if (option->kind == NNRT_OPTION_FLAG || option->kind == NNRT_OPTION_BOOLEAN)
        return options_store(option, "true", options);
    if (*at + 1 >= argc)
        return nnrt_error(NNRT_ERROR_ARGUMENT, "--%s: expected %s", option->name, option->value);
    return options_store(option, argv[++*at], options);
}

static void options_defaults(const nnrt_program *program, nnrt_options *options) {
    const nnrt_fit_defaults *fit = &program->fit;
    *options = (nnrt_options){.epochs = fit->epochs,
                              .batch_size = fit->batch_size > 0 ? fit->batch_size : 32,
                              .initial_epoch = fit->initial_epoch,
                              .validation_freq = fit->validation_freq > 0 ? fit->validation_freq : 1,
                              .shuffle = fit->shuffle,
                              .seed = fit->seed,
                              .validation_split = fit->validation_split,
                              .length = 200,
                              .temperature = 1,
                              .verbose = -1};
    if (options->batch_size > program->maximum_batch)
        options->batch_size = program->maximum_batch;
    snprintf(options->default_weights, sizeof options->default_weights, "%s.safetensors", program->name);
    options->weights = options->default_weights;
}

/* What no single option can check. */
static int options_check(const nnrt_program *program, const nnrt_options *options) {
    const char *source = program->source_file ? program->source_file : program->name;
    if (options->batch_size > program->maximum_batch)
        return nnrt_error(NNRT_ERROR_ARGUMENT,
                          "--batch-size=%d is more than the %d samples that this program was compiled for; compile it "
                          "again with nnc --max-batch=%d %s, or do so in one go: nnc run %s %s --batch-size=%d",
                          options->batch_size, program->maximum_batch, options->batch_size, source, source,
                          nnrt_verb_name(options->verb), options->batch_size);
    if (options->verb != NNRT_VERB_FIT)
        return NNRT_OK;
    if (options->validation && (options->given & NNRT_GIVEN_VALIDATION_SPLIT) && options->validation_split > 0)
        return nnrt_error(NNRT_ERROR_ARGUMENT, "--validation names the validation data, --validation-split takes them "
                                               "from the training data; leave out one of the two");
    if (options->resume && options->initial_weights)
        return nnrt_error(NNRT_ERROR_ARGUMENT, "--resume goes on from --weights; it cannot be combined with "
                                               "--initial-weights");
    if (options->resume && (options->given & NNRT_GIVEN_INITIAL_EPOCH))
        return nnrt_error(NNRT_ERROR_ARGUMENT, "--resume knows the epoch it goes on from; leave out --initial-epoch");
    return NNRT_OK;
}

static int options_find_verb(const nnrt_program *program, const char *word, nnrt_options *options) {
    for (int verb = 1; verb < NNRT_VERBS; verb++)
        if (strcmp(word, nnrt_verb_table[verb].name) == 0) {
            options->verb = (nnrt_verb)verb;
            return NNRT_OK;
        }
    return options_unknown_verb(program, word);
}

int nnrt_options_parse(const nnrt_program *program, int argc, char **argv, nnrt_options *options) {
    options_defaults(program, options);
    for (int i = 1; i < argc; i++) {
        int code = NNRT_OK;
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "help") == 0)
            options->help = true;
        else if (strcmp(argv[i], "--version") == 0)
            options->version = true;
        else if (strncmp(argv[i], "--", 2) == 0 && argv[i][2] && options->verb != NNRT_VERB_NONE)
            code = options_parse_one(program, argc, argv, &i, options);
        else if (argv[i][0] == '-')
            code = options->verb == NNRT_VERB_NONE
                       ? nnrt_error(NNRT_ERROR_ARGUMENT, "expected a command before %s; '%s --help' lists them",
                                    argv[i], nnrt_command(program))
                       : nnrt_error(NNRT_ERROR_ARGUMENT, "unknown option %s; options begin with --", argv[i]);
        else if (options->verb != NNRT_VERB_NONE)
            code = nnrt_error(NNRT_ERROR_ARGUMENT, "unexpected argument '%s' after '%s'", argv[i],
                              nnrt_verb_name(options->verb));
        else
            code = options_find_verb(program, argv[i], options);
        if (code != NNRT_OK)
            return code;
    }
    if (options->help || options->version)
        return NNRT_OK;
    if (options->verb == NNRT_VERB_NONE)
        return nnrt_error(NNRT_ERROR_ARGUMENT,
                          "expected a command: init, fit, evaluate, predict%s or summary; "
                          "'%s --help' says more",
                          nnrt_verb_fits(program, NNRT_VERB_GENERATE) ? ", generate" : "", nnrt_command(program));
    return options_check(program, options);
}

/* The first number of an environment variable; 0: not set. OMP_NUM_THREADS may be a list. */
static int options_threads_of(const char *variable, int *threads) {
    const char *text = getenv(variable);
    char *end;
    *threads = 0;
    if (!text || !*text)
        return NNRT_OK;
    long value = strtol(text, &end, 10);
    if (end == text || (*end && *end != ',') || value < 1 || value > NNRT_MAX_THREADS)
        return nnrt_error(NNRT_ERROR_ARGUMENT, "%s=%s: expected a whole number from 1 to %d", variable, text,
                          NNRT_MAX_THREADS);
    *threads = (int)value;
    return NNRT_OK;
}

int nnrt_options_threads(const nnrt_program *program, const nnrt_options *options, int *threads, bool *given) {
    *threads = options->threads;
    int code = NNRT_OK;
    if (*threads == 0)
        code = options_threads_of("NNC_THREADS", threads);
    if (code == NNRT_OK && *threads == 0)
        code = options_threads_of("OMP_NUM_THREADS", threads);
    *given = *threads > 0;
    if (code != NNRT_OK || *given)
        return code;
    *threads = program->default_threads > 0 ? program->default_threads : 1;
    int most = *threads > 1 ? nnrt_processors() : 1;
    most = most < NNRT_MAX_THREADS ? most : NNRT_MAX_THREADS;
    if (*threads > most)
        *threads = most;
    return NNRT_OK;
}
