/* The command line of nnc: one table of options, from which parsing, its errors and --help come. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "codegen/kir/gpu_arch.h"
#include "codegen/kir/isa.h"
#include "driver/driver.h"

typedef enum { OPTION_FLAG, OPTION_TEXT, OPTION_LIST } OptionKind;
typedef struct {
    const char *name; /* --name */
    char letter;      /* -o; 0: none */
    OptionKind kind;
    const char *argument; /* as --help shows it */
    size_t place;         /* in Options */
    const char *help;
} OptionInfo;

#define AT(member) offsetof(Options, member)
static const OptionInfo infos[] = {
    {"output", 'o', OPTION_TEXT, "FILE", AT(output),
     "write FILE, and beside FILE.c its header FILE.h; - is standard output"},
    {"lib", 0, OPTION_FLAG, NULL, AT(library), "no main(): a library for another program"},
    {"bundle", 0, OPTION_FLAG, NULL, AT(bundle), "the runtime inside: one file that needs only libc and libm"},
    {"target", 0, OPTION_TEXT, "T", AT(target), "c (default) or cuda"},
    {"cpu", 0, OPTION_TEXT, "CPU", AT(cpu), "native (default), generic, x86-64-v3, x86-64-v4 or neon"},
    {"gpu", 0, OPTION_TEXT, "ARCH", AT(gpu),
     "with --target=cuda: native (default), sm_75, sm_80, sm_86, sm_89, sm_90, .."},
    {"precision", 0, OPTION_TEXT, "POLICY", AT(precision_name),
     "with --target=cuda: float32 (default), tf32 or mixed_bfloat16 operands of contractions, on tensor cores"},
    {"check", 0, OPTION_FLAG, NULL, AT(check),
     "with run --target=cuda: train a few steps on the processor and on the GPU, and compare the weights"},
    {"blas", 0, OPTION_TEXT, "LIBRARY", AT(blas),
     "who computes large products of matrices: openblas, or, with --target=cuda, cublaslt; default: none"},
    {"dnn", 0, OPTION_TEXT, "LIBRARY", AT(dnn), "who computes convolutions: with --target=cuda, cudnn; default: none"},
    {"convolution", 0, OPTION_TEXT, "FORM", AT(convolution),
     "on a processor: auto (default), by Winograd's filtering where that is less work, or direct"},
    {"model", 0, OPTION_TEXT, "NAME", AT(model), "which model of the file"},
    {"define", 'D', OPTION_LIST, "NAME=VALUE", AT(defines), "another value for a constant of the file (let NAME = ..)"},
    {"batch-size", 0, OPTION_TEXT, "N", AT(batch_size_text),
     "plan memory for batches of N instead of fit's batch_size"},
    {"max-batch", 0, OPTION_TEXT, "N", AT(max_batch_text), "the largest --batch-size that the trainer will take"},
    {"emit", 0, OPTION_TEXT, "WHAT", AT(emit_name),
     "print ast, ir, kernels, summary, dot, explain, resources or header instead"},
    {"no-memory-plan", 0, OPTION_FLAG, NULL, AT(no_memory_plan), "no two intermediate values share memory"},
    {"no-tune", 0, OPTION_FLAG, NULL, AT(no_tune), "do not read FILE.tune, which nnc tune has written"},
    {"print-after", 0, OPTION_TEXT, "PASSES", AT(passes.print_after),
     "print the program after these passes, or all; lower, layout, map and memory_plan too"},
    {"stop-after", 0, OPTION_TEXT, "PASS", AT(passes.stop_after), "stop there and print the program"},
    {"skip", 0, OPTION_TEXT, "PASSES", AT(passes.skip), "leave these passes out"},
    {"dump-dir", 0, OPTION_TEXT, "DIR", AT(passes.dump_dir), "a file with the program after every pass"},
    {"time-passes", 0, OPTION_FLAG, NULL, AT(passes.time_passes), "how long each pass took"},
    {"verify", 0, OPTION_FLAG, NULL, AT(verify), "check the IR after every pass, and the kernels"},
    {"help", 'h', OPTION_FLAG, NULL, AT(help), "this text"},
    {"version", 0, OPTION_FLAG, NULL, AT(version), "the version"},
};
enum { INFO_COUNT = sizeof infos / sizeof *infos };

const char *const emit_names[] = {
    [EMIT_CODE] = NULL,         [EMIT_AST] = "ast", [EMIT_IR] = "ir",           [EMIT_KERNELS] = "kernels",
    [EMIT_SUMMARY] = "summary", [EMIT_DOT] = "dot", [EMIT_EXPLAIN] = "explain", [EMIT_RESOURCES] = "resources",
    [EMIT_HEADER] = "header"};
enum { EMIT_COUNT = sizeof emit_names / sizeof *emit_names };

const char *const kernel_stages[KERNELS_STAGES] = {[KERNELS_LOWER] = "lower",
                                                   [KERNELS_LAYOUT] = "layout",
                                                   [KERNELS_MAP] = "map",
                                                   [KERNELS_MEMORY_PLAN] = "memory_plan"};

static const struct {
    const char *name;
    Command command;
    const char *usage, *help;
} commands[] = {
    {"run", COMMAND_RUN, "nnc run FILE.nn [options] VERB [..]",
     "compile, cached, and run: VERB is fit, evaluate, predict, .."},
    {"tune", COMMAND_TUNE, "nnc tune [options] FILE.nn",
     "measure tiles for its contractions on this machine; FILE.tune keeps the fastest"},
    {"new", COMMAND_NEW, "nnc new NAME", "write NAME.nn, a commented program to start from"},
    {"help", COMMAND_HELP, "nnc help [NAME]", "what can be written in a program; NAME: its arguments"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

/* ---- parsing */

typedef struct {
    Options *options;
    Arena *arena;
    Diag *diag;
    int argc, at;
    char **argv;
} Parser;

static const OptionInfo *find_long(const char *name, size_t length) {
    for (int i = 0; i < INFO_COUNT; i++)
        if (strlen(infos[i].name) == length && strncmp(infos[i].name, name, length) == 0)
            return &infos[i];
    return NULL;
}

static const OptionInfo *find_letter(char letter) {
    for (int i = 0; i < INFO_COUNT; i++)
        if (infos[i].letter == letter)
            return &infos[i];
    return NULL;
}

static void unknown_option(Parser *p, const char *word, const char *name) {
    const char *names[INFO_COUNT];
    for (int i = 0; i < INFO_COUNT; i++)
        names[i] = infos[i].name;
    const char *nearest = text_nearest(name, names, INFO_COUNT);
    diag_error(p->diag, (Span){0}, "there is no option %s", word);
    if (nearest)
        diag_help(p->diag, "did you mean --%s?", nearest);
    else if (p->options->command == COMMAND_RUN && p->options->input)
        diag_help(p->diag, "options of the program stand behind its verb: nnc run %s fit %s", p->options->input, word);
    else
        diag_help(p->diag, "nnc --help lists the options");
}

static bool store(Parser *p, const OptionInfo *info, const char *value) {
    char *place = (char *)p->options + info->place;
    if (info->kind == OPTION_FLAG)
        *(bool *)(void *)place = true;
    else if (info->kind == OPTION_LIST)
        ARENA_PUSH(p->arena, p->options->defines, p->options->define_count, p->options->define_capacity, value);
    else if (*(const char **)(void *)place && strcmp(*(const char **)(void *)place, value) != 0) {
        diag_error(p->diag, (Span){0}, "--%s is given twice, as %s and as %s", info->name,
                   *(const char **)(void *)place, value);
        return false;
    } else
        *(const char **)(void *)place = value;
    return true;
}

/* --name, --name=value, --name value */
static bool parse_long(Parser *p) {
    const char *word = p->argv[p->at++], *name = word + 2;
    size_t length = strcspn(name, "=");
    const OptionInfo *info = find_long(name, length);
    const char *value = name[length] ? name + length + 1 : NULL;
    if (!info) {
        unknown_option(p, word, arena_format(p->arena, "%.*s", (int)length, name));
        return false;
    }
    if (info->kind == OPTION_FLAG && value) {
        diag_error(p->diag, (Span){0}, "--%s takes no value", info->name);
        return false;
    }
    if (info->kind != OPTION_FLAG && !value) {
        if (p->at >= p->argc) {
            diag_error(p->diag, (Span){0}, "--%s needs a value: --%s=%s", info->name, info->name, info->argument);
            return false;
        }
        value = p->argv[p->at++];
    }
    return store(p, info, value);
}

/* -o value, -ovalue, -h */
static bool parse_letter(Parser *p) {
    const char *word = p->argv[p->at++];
    const OptionInfo *info = find_letter(word[1]);
    const char *value = word[2] ? word + 2 : NULL;
    if (!info || (info->kind == OPTION_FLAG && value)) {
        unknown_option(p, word, word + 1);
        return false;
    }
    if (info->kind != OPTION_FLAG && !value) {
        if (p->at >= p->argc) {
            diag_error(p->diag, (Span){0}, "-%c needs a value: -%c %s", info->letter, info->letter, info->argument);
            return false;
        }
        value = p->argv[p->at++];
    }
    return store(p, info, value);
}

/* `nnc run digits.nn --help` asks the program. */
static bool asks_program(const Options *o, const char *word) {
    return o->command == COMMAND_RUN && o->input &&
           (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "--version") == 0);
}

/* From the verb on everything belongs to the program (run), everything after `help` are names. */
static bool parse_words(Parser *p) {
    Options *o = p->options;
    bool only_words = false;
    while (p->at < p->argc) {
        const char *word = p->argv[p->at];
        if (!only_words && asks_program(o, word)) {
            only_words = true;
        } else if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
            p->at++;
        } else if (!only_words && word[0] == '-' && word[1] == '-') {
            if (!parse_long(p))
                return false;
        } else if (!only_words && word[0] == '-' && word[1]) {
            if (!parse_letter(p))
                return false;
        } else if (o->command == COMMAND_HELP || (o->command == COMMAND_RUN && o->input)) {
            o->rest = p->argv + p->at;
            o->rest_count = p->argc - p->at;
            return true;
        } else if (o->input) {
            diag_error(p->diag, (Span){0}, "one file at a time: %s and %s", o->input, word);
            return false;
        } else {
            o->input = word;
            p->at++;
        }
    }
    return true;
}

/* ---- what the words mean */

static bool check_choice(Parser *p, const char *option, const char *value, const char *const *names, int count) {
    for (int i = 0; i < count; i++)
        if (names[i] && strcmp(names[i], value) == 0)
            return true;
    diag_error(p->diag, (Span){0}, "--%s has no choice %s", option, value);
    const char *known[16];
    int known_count = 0;
    Text list = {0};
    for (int i = 0; i < count && known_count < 16; i++)
        if (names[i]) {
            text_format(&list, "%s%s", known_count ? ", " : "", names[i]);
            known[known_count++] = names[i];
        }
    const char *nearest = text_nearest(value, known, known_count);
    if (nearest)
        diag_help(p->diag, "did you mean %s?", nearest);
    else
        diag_help(p->diag, "there are: %s", list.data);
    text_free(&list);
    return false;
}

bool options_list_has(const char *list, const char *name) {
    size_t length = strlen(name);
    if (list && strcmp(list, "all") == 0)
        return true;
    for (const char *at = list; at && *at; at += strcspn(at, ","), at += *at == ',')
        if (strcspn(at, ",") == length && strncmp(at, name, length) == 0)
            return true;
    return false;
}

static bool is_kernel_stage(const char *name, size_t length) {
    for (int i = 0; i < KERNELS_STAGES; i++)
        if (strlen(kernel_stages[i]) == length && strncmp(kernel_stages[i], name, length) == 0)
            return true;
    return false;
}

/* The list without the stages of code generation: what the pass manager is to know. */
static const char *only_passes(Parser *p, const char *list) {
    const char *passes = NULL;
    for (const char *at = list; at && *at;) {
        int length = (int)strcspn(at, ",");
        if (!is_kernel_stage(at, (size_t)length))
            passes = passes ? arena_format(p->arena, "%s,%.*s", passes, length, at)
                            : arena_format(p->arena, "%.*s", length, at);
        at += length + (at[length] == ',');
    }
    return list && !*list ? list : passes;
}

static bool check_passes(Parser *p) {
    Options *o = p->options;
    PassOptions passes = o->passes;
    if (passes.stop_after && strchr(passes.stop_after, ',')) {
        diag_error(p->diag, (Span){0}, "--stop-after takes one pass, not `%s`", passes.stop_after);
        return false;
    }
    passes.print_after = only_passes(p, passes.print_after);
    if (passes.stop_after && is_kernel_stage(passes.stop_after, strlen(passes.stop_after)))
        passes.stop_after = NULL;
    if (o->passes.stop_after && !o->emit_name)
        o->emit = passes.stop_after ? EMIT_IR : EMIT_KERNELS;
    return pass_options_check(&passes, p->diag);
}

static bool read_samples(Parser *p, const char *option, const char *text, int64_t *value) {
    char *end;
    if (!text)
        return true;
    *value = strtoll(text, &end, 10);
    if (!*end && end != text && *value >= 1 && *value <= 1 << 24)
        return true;
    diag_error(p->diag, (Span){0}, "--%s=%s: expected a whole number from 1 to %d", option, text, 1 << 24);
    return false;
}

static bool check_gpu(Parser *p) {
    Options *o = p->options;
    const char *names[16];
    bool on_gpu = target_find(o->target)->on_gpu;
    for (int i = 0; i < gpu_arch_count; i++)
        names[i] = gpu_archs[i].name;
    if (o->gpu && !check_choice(p, "gpu", o->gpu, names, gpu_arch_count))
        return false;
    if (o->gpu && !on_gpu) {
        diag_error(p->diag, (Span){0}, "--gpu=%s is for --target=cuda", o->gpu);
        diag_help(p->diag, "what the C program runs on is --cpu");
        return false;
    }
    o->gpu = o->gpu ? o->gpu : gpu_archs[0].name;
    return true;
}

/* Keras' names of policies. */
static const char *const precision_names[PRECISIONS] = {
    [PRECISION_FLOAT32] = "float32", [PRECISION_TF32] = "tf32", [PRECISION_BFLOAT16] = "mixed_bfloat16"};

static bool check_precision(Parser *p) {
    Options *o = p->options;
    const char *name = o->precision_name ? o->precision_name : precision_names[PRECISION_FLOAT32];
    if (!check_choice(p, "precision", name, precision_names, PRECISIONS))
        return false;
    for (int i = 0; i < PRECISIONS; i++)
        if (strcmp(precision_names[i], name) == 0)
            o->precision = (KPrecision)i;
    if (o->precision == PRECISION_FLOAT32)
        return true;
    if (!target_find(o->target)->on_gpu) {
        diag_error(p->diag, (Span){0}, "--precision=%s is for --target=cuda", name);
        diag_help(p->diag, "a C program computes in float32");
        return false;
    }
    if (gpu_arch_find(o->gpu)->tensor_tf32)
        return true;
    diag_error(p->diag, (Span){0}, "--precision=%s needs tensor cores that --gpu=%s does not promise", name, o->gpu);
    diag_help(p->diag, "GPUs from sm_80 on have them: --gpu=sm_80, or the name of yours");
    return false;
}

static bool check_check(Parser *p) {
    const Options *o = p->options;
    if (!o->check || (o->command == COMMAND_RUN && target_find(o->target)->on_gpu))
        return true;
    diag_error(p->diag, (Span){0}, "--check compares a GPU with the processor");
    diag_help(p->diag, "nnc run %s --target=cuda --check", o->input ? o->input : "FILE.nn");
    return false;
}

/* An option that names a library, or none. */
static bool check_library(Parser *p, const char *option, const char *name, const Library **library) {
    const char *names[8] = {"none"}, *fits = "none";
    bool on_gpu = target_find(p->options->target)->on_gpu;
    int count = 1;
    for (int i = 0; i < library_count && count < 8; i++)
        if (strcmp(library_infos[i].option, option) == 0) {
            names[count++] = library_infos[i].name;
            fits = library_infos[i].on_gpu == on_gpu ? library_infos[i].name : fits;
        }
    *library = name ? library_find(option, name) : NULL;
    if (!name || (!*library && check_choice(p, option, name, names, count)))
        return true;
    if (!*library)
        return false;
    if ((*library)->on_gpu == on_gpu)
        return true;
    diag_error(p->diag, (Span){0}, "--%s=%s is not built for --target=%s", option, name, p->options->target);
    diag_help(p->diag, "there is --%s=%s", option, fits);
    return false;
}

/* run and tune compile for themselves: where to, and that it is a program, is theirs. */
static bool check_own_output(Parser *p) {
    const Options *o = p->options;
    const char *given = o->output ? "-o" : o->library ? "--lib" : o->emit_name ? "--emit" : NULL;
    if (!given || (o->command != COMMAND_RUN && o->command != COMMAND_TUNE))
        return true;
    diag_error(p->diag, (Span){0}, "%s takes no %s", o->command == COMMAND_RUN ? "run" : "tune", given);
    diag_help(p->diag, "nnc [options] %s compiles to a file, or prints", o->input ? o->input : "FILE.nn");
    return false;
}

static const char *const convolution_forms[] = {"auto", "direct"};

static bool check_values(Parser *p) {
    Options *o = p->options;
    const char *names[8];
    for (int i = 0; i < target_count; i++)
        names[i] = targets[i].name;
    o->target = o->target ? o->target : "c";
    o->cpu = o->cpu ? o->cpu : "native";
    o->convolution = o->convolution ? o->convolution : "auto";
    o->direct_convolutions = strcmp(o->convolution, "direct") == 0;
    if (!check_choice(p, "target", o->target, names, target_count) ||
        !check_choice(p, "cpu", o->cpu, isa_names, isa_count) ||
        !check_choice(p, "convolution", o->convolution, convolution_forms, 2) || !check_gpu(p) || !check_precision(p) ||
        !check_library(p, "blas", o->blas, &o->products) || !check_library(p, "dnn", o->dnn, &o->convolutions) ||
        !check_check(p) || !check_own_output(p))
        return false;
    if (o->emit_name && !check_choice(p, "emit", o->emit_name, emit_names, EMIT_COUNT))
        return false;
    for (int i = 0; i < EMIT_COUNT && o->emit_name; i++)
        if (emit_names[i] && strcmp(emit_names[i], o->emit_name) == 0)
            o->emit = (Emit)i;
    if (o->emit == EMIT_RESOURCES && !target_find(o->target)->on_gpu) {
        diag_error(p->diag, (Span){0}, "--emit=resources is for --target=cuda: registers and memory of GPU kernels");
        diag_help(p->diag, "--emit=explain says what the kernels of a C program take");
        return false;
    }
    if (!read_samples(p, "batch-size", o->batch_size_text, &o->batch_size) ||
        !read_samples(p, "max-batch", o->max_batch_text, &o->max_batch))
        return false;
    if (o->max_batch && o->library) {
        diag_error(p->diag, (Span){0}, "--max-batch is for a trainer; a library always takes steps of one size");
        diag_help(p->diag, "--batch-size=%s sets it", o->max_batch_text);
        return false;
    }
    o->passes.verify_all = o->verify;
    return check_passes(p);
}

static bool check_command(Parser *p) {
    Options *o = p->options;
    if (o->help || o->version || o->command == COMMAND_HELP || o->input)
        return true;
    if (o->command == COMMAND_NEW)
        diag_error(p->diag, (Span){0}, "new needs a name: nnc new digits");
    else if (o->command == COMMAND_TUNE)
        diag_error(p->diag, (Span){0}, "tune needs a file: nnc tune digits.nn");
    else if (o->command == COMMAND_RUN)
        diag_error(p->diag, (Span){0}, "run needs a file and a verb: nnc run digits.nn fit");
    else
        diag_error(p->diag, (Span){0}, "no input file");
    diag_help(p->diag, "nnc --help says more");
    return false;
}

bool options_parse(Options *options, Arena *arena, Diag *diag, int argc, char **argv) {
    Parser p = {options, arena, diag, argc, 1, argv};
    *options = (Options){.command = COMMAND_COMPILE};
    for (int i = 0; i < COMMAND_COUNT && argc > 1; i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            options->command = commands[i].command;
            p.at = 2;
        }
    return parse_words(&p) && check_values(&p) && check_command(&p);
}

/* ---- help */

enum { HELP_COLUMN = 26, HELP_WIDTH = 80 };

/* "  left     text", the text broken at words. */
static void help_entry(Text *out, const char *left, const char *help, int indent) {
    int column = indent + (int)strlen(left);
    text_format(out, "%*s%s", indent, "", left);
    if (column + 2 > HELP_COLUMN) {
        text_add(out, "\n");
        column = 0;
    }
    text_format(out, "%*s", HELP_COLUMN - column, "");
    column = HELP_COLUMN;
    while (*help) {
        int word = (int)strcspn(help, " ");
        if (column > HELP_COLUMN && column + 1 + word > HELP_WIDTH) {
            text_format(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        }
        bool first = column == HELP_COLUMN;
        text_format(out, "%s%.*s", first ? "" : " ", word, help);
        column += word + !first;
        help += word + (help[word] == ' ');
    }
    text_add(out, "\n");
}

void options_help(Text *out) {
    text_add(out, NNC_COMPILER " compiles a neural network, its data and its training to one C file.\n\n"
                               "Usage:\n");
    help_entry(out, "nnc [options] FILE.nn", "write FILE.c and FILE.h; - is standard input", 2);
    for (int i = 0; i < COMMAND_COUNT; i++)
        help_entry(out, commands[i].usage, commands[i].help, 2);
    text_add(out, "\nOptions:\n");
    for (int i = 0; i < INFO_COUNT; i++) {
        char left[64], letter[8] = "";
        if (infos[i].letter)
            snprintf(letter, sizeof letter, "-%c, ", infos[i].letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, infos[i].name, infos[i].argument ? "=" : "",
                 infos[i].argument ? infos[i].argument : "");
        help_entry(out, left, infos[i].help, 2);
    }
    text_add(out, "\nExit codes: 0 done, 1 the program has errors, 2 wrong usage, 3 a file cannot be\n"
                  "read or written, 4 internal error. `nnc run` ends with the code of what it ran.\n"
                  "\nExample: nnc digits.nn -o digits.c\n"
                  "         cc -O3 -march=native digits.c -lnnrt -lz -lm -o digits\n"
                  "         ./digits fit\n");
}
