/* The command line of nnc: what each form of an option means, and what is refused. */
#define NNC_VERSION "0.0.0"
#include "driver/options.c"
#include "driver/targets.c"
#include "test.h"

typedef struct {
    Arena *arena;
    Diag *diag;
    Options options;
    bool ok;
    char message[512];
} Parsed;

/* Words separated by blanks. */
static Parsed parse(const char *line) {
    Parsed p = {.arena = arena_new()};
    char **words = ARENA_ARRAY(p.arena, char *, 64);
    int count = 0;
    words[count++] = arena_strdup(p.arena, "nnc");
    for (char *word = strtok(arena_strdup(p.arena, line), " "); word; word = strtok(NULL, " "))
        words[count++] = word;
    p.diag = diag_new(p.arena);
    p.ok = options_parse(&p.options, p.arena, p.diag, count, words);
    Text text = {0};
    diag_print(p.diag, &text, false);
    snprintf(p.message, sizeof p.message, "%s", text.data ? text.data : "");
    text_free(&text);
    return p;
}

static void check_refused(const char *line, const char *words) {
    Parsed p = parse(line);
    CHECK(!p.ok && diag_errors(p.diag) == 1);
    CHECK(strstr(p.message, words) != NULL);
    if (!strstr(p.message, words))
        printf("    nnc %s: %s", line, p.message);
    arena_free(p.arena);
}

static void test_forms(void) {
    static const char *const lines[] = {"x.nn -o y.c --model=m", "x.nn -oy.c --model m", "-o y.c x.nn --model=m",
                                        "--output=y.c x.nn --model m", "--output y.c --model=m -- x.nn"};
    for (int i = 0; i < 5; i++) {
        Parsed p = parse(lines[i]);
        CHECK(p.ok && p.options.command == COMMAND_COMPILE);
        CHECK_TEXT(p.options.input, "x.nn");
        CHECK_TEXT(p.options.output, "y.c");
        CHECK_TEXT(p.options.model, "m");
        arena_free(p.arena);
    }
}

static void test_defaults(void) {
    Parsed p = parse("x.nn");
    CHECK(p.ok && !p.options.library && !p.options.bundle && p.options.emit == EMIT_CODE && p.options.batch_size == 0);
    CHECK_TEXT(p.options.target, "c");
    CHECK_TEXT(p.options.cpu, "native");
    CHECK(!p.options.output && !p.options.passes.skip && !p.options.passes.verify_all);
    CHECK(!p.options.direct_convolutions);
    arena_free(p.arena);
}

static void test_values(void) {
    Parsed p = parse("--lib --bundle -D a=1 -Db=2 --define c=3 --emit=explain --batch-size=64 --cpu=generic --verify "
                     "--skip=cse,dce --no-memory-plan x.nn");
    CHECK(p.ok && p.options.library && p.options.bundle && p.options.no_memory_plan && p.options.passes.verify_all);
    CHECK(p.options.define_count == 3 && p.options.batch_size == 64 && p.options.emit == EMIT_EXPLAIN);
    for (int i = 0; i < 3; i++)
        CHECK(p.options.defines[i][0] == 'a' + i && p.options.defines[i][2] == '1' + i);
    CHECK_TEXT(p.options.passes.skip, "cse,dce");
    arena_free(p.arena);
    p = parse("--convolution=direct x.nn");
    CHECK(p.ok && p.options.direct_convolutions);
    arena_free(p.arena);
    p = parse("--stop-after=fuse x.nn");
    CHECK(p.ok && p.options.emit == EMIT_IR);
    arena_free(p.arena);
    p = parse("--stop-after=lower --print-after=fuse,map --max-batch=256 x.nn");
    CHECK(p.ok && p.options.emit == EMIT_KERNELS && p.options.max_batch == 256);
    CHECK(options_list_has(p.options.passes.print_after, "map") &&
          !options_list_has(p.options.passes.print_after, "ma"));
    CHECK(options_list_has("all", "lower") && !options_list_has(NULL, "lower"));
    arena_free(p.arena);
}

static void test_commands(void) {
    Parsed p = parse("run -D a=1 x.nn fit --epochs=3 --lib");
    CHECK(p.ok && p.options.command == COMMAND_RUN && !p.options.library && p.options.rest_count == 3);
    CHECK_TEXT(p.options.rest[0], "fit");
    CHECK_TEXT(p.options.rest[2], "--lib");
    arena_free(p.arena);
    p = parse("help Dense Adam");
    CHECK(p.ok && p.options.command == COMMAND_HELP && p.options.rest_count == 2);
    arena_free(p.arena);
    p = parse("tune --cpu=generic x.nn");
    CHECK(p.ok && p.options.command == COMMAND_TUNE && !p.options.no_tune);
    CHECK_TEXT(p.options.input, "x.nn");
    arena_free(p.arena);
    p = parse("--no-tune x.nn");
    CHECK(p.ok && p.options.no_tune);
    arena_free(p.arena);
    p = parse("new digits");
    CHECK(p.ok && p.options.command == COMMAND_NEW);
    CHECK_TEXT(p.options.input, "digits");
    arena_free(p.arena);
}

static void test_refusals(void) {
    check_refused("", "no input file");
    check_refused("tune", "tune needs a file");
    check_refused("x.nn y.nn", "one file at a time");
    check_refused("--ouptut=y x.nn", "did you mean --output");
    check_refused("--lib=1 x.nn", "takes no value");
    check_refused("--convolution=fft x.nn", "convolution");
    check_refused("x.nn --model", "needs a value");
    check_refused("x.nn -o", "needs a value");
    check_refused("x.nn -z", "no option -z");
    check_refused("--cpu=navite x.nn", "did you mean native");
    check_refused("--emit=kernel x.nn", "did you mean kernels");
    check_refused("--target=fortran x.nn", "no choice fortran");
    check_refused("--batch-size=0 x.nn", "whole number");
    check_refused("--batch-size=3x x.nn", "whole number");
    check_refused("--skip=nothing x.nn", "nothing");
    check_refused("--skip=lower x.nn", "no pass `lower`");
    check_refused("--print-after=map,nothing x.nn", "no pass `nothing`");
    check_refused("--stop-after=fuse,lower x.nn", "takes one pass");
    check_refused("--max-batch=none x.nn", "whole number");
    check_refused("--lib --max-batch=64 x.nn", "--max-batch is for a trainer");
    check_refused("--cpu=generic --cpu=native x.nn", "given twice");
    check_refused("run", "run needs a file");
    check_refused("new", "new needs a name");
}

/* Each row has a name and a help text of its own, and no name begins another command. */
static void test_table(void) {
    Text help = {0};
    options_help(&help);
    for (int i = 0; i < INFO_COUNT; i++) {
        CHECK(strstr(help.data, infos[i].name) != NULL && infos[i].help[0] != 0);
        for (int j = 0; j < i; j++)
            CHECK(strcmp(infos[i].name, infos[j].name) != 0);
    }
    for (const char *line = help.data; *line; line += strcspn(line, "\n") + 1)
        CHECK(strcspn(line, "\n") <= 80);
    text_free(&help);
}

int main(void) {
    test_forms();
    test_defaults();
    test_values();
    test_commands();
    test_refusals();
    test_table();
    return test_report();
}
