#include "tests/reference/emitted.h"
#include "codegen/emit/host.h"
#include "codegen/emit/kernel_share.h"
#include "codegen/kir/kir_verify.h"
#include "tests/codegen/kernel_compare.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- C files */

static KProgram *emitted_kernels(const Emitted *e, Arena *arena, Diag *diag, Program *program) {
    KProgram *p = kernel_compile(arena, diag, program, e->isa, 0, e->planned);
    if (!p)
        return NULL;
    kernel_share(p);
    return kprogram_verify(p, "the memory plan") ? p : NULL;
}

static bool emitted_file(const Emitted *e, const char *name, const char *extension, const Text *text) {
    Text path = {0};
    text_format(&path, "%s/%s%s", e->folder, name, extension);
    bool written = text_write_file(path.data, text->data ? text->data : "", text->length) == 0;
    if (!written)
        printf("cannot write %s: %s\n", path.data, strerror(errno));
    text_free(&path);
    return written;
}

/* The lines of a model in the table of cases. */
static void emitted_case(Emitted *e, const Program *program, const char *stem) {
    const char *name = program->name;
    text_format(&e->includes, "#include \"%s.h\"\n", stem);
    text_format(&e->functions, "CASE_FUNCTIONS(%s, %s)\n", name,
                program->has_sample_weight ? "WITH_WEIGHTS" : "NO_WEIGHTS");
    if (program->preprocess_count)
        text_format(&e->functions, "ADAPT_FUNCTION(%s)\n", name);
    text_format(&e->rows, "    CASE(%s, %lld, %lld, %s%s),\n", name, (long long)program->module->batch_max,
                (long long)type_count(program->output, 1), program->preprocess_count ? name : "NULL",
                program->preprocess_count ? "_case_adapt" : "");
    text_format(&e->sources, " %s/%s.c", e->folder, stem);
    e->count++;
}

bool emitted_add(Emitted *e, Arena *arena, Diag *diag, Program *program) {
    Text source = {0}, header = {0};
    const char *stem = arena_format(arena, "%s_%s", e->label, program->name);
    HostOptions options = {.compiler = "nnc",
                           .source_file = arena_format(arena, "%s.nn", program->name),
                           .output_stem = stem,
                           .header_name = arena_format(arena, "%s.h", stem),
                           .library = true};
    KProgram *p = emitted_kernels(e, arena, diag, program);
    bool ok = p && host_emit(&source, &header, p, &options) && emitted_file(e, stem, ".c", &source) &&
              emitted_file(e, stem, ".h", &header);
    if (ok)
        emitted_case(e, program, stem);
    text_free(&source);
    text_free(&header);
    return ok;
}

bool emitted_write(Emitted *e) {
    Text table = {0}, name = {0};
    text_format(&table,
                "#include \"compiled_case.h\"\n%s\n%s\nconst CompiledCase compiled_cases[] = {\n%s};\n"
                "const int compiled_case_count = %d;\n",
                e->includes.data, e->functions.data, e->rows.data, e->count);
    text_format(&name, "%s_cases", e->label);
    bool written = emitted_file(e, name.data, ".c", &table);
    text_free(&table);
    text_free(&name);
    return written;
}

void emitted_free(Emitted *e) {
    text_free(&e->includes);
    text_free(&e->functions);
    text_free(&e->rows);
    text_free(&e->sources);
}

/* ---- commands */

static const char flags[] = "-std=c11 -Wall -Wextra -Werror " NNC_CFLAGS;

bool emitted_works(const char *folder, const char *compiler) {
    Text command = {0};
    text_format(
        &command,
        "cd %s && printf 'const char *nnrt_error_text(void);\\nint main(void) { return !nnrt_error_text(); }\\n'"
        " >probe.c && %s %s probe.c " NNC_NNRT " " NNC_LIBRARIES " -lm -o probe >probe.log 2>&1 && ./probe",
        folder, compiler, flags);
    bool works = system(command.data) == 0;
    text_free(&command);
    return works;
}

/* The processor's own header takes gcc longer than an emitted file: it is compiled once, and only that one, so that the
 * emitted files still have to include all that they need. Appends "CC FLAGS -include FILE". */
static void emitted_prefix(const Emitted *e, Text *command, const char *compiler) {
    text_format(command,
                "printf '#ifdef __x86_64__\\n#include <immintrin.h>\\n#endif\\n' >%s/%s_first.h && "
                "%s %s -x c-header %s/%s_first.h -o %s/%s_first.h.gch && ",
                e->folder, e->label, compiler, flags, e->folder, e->label, e->folder, e->label);
    text_format(command, "%s %s -include %s/%s_first.h", compiler, flags, e->folder, e->label);
}

void emitted_command(const Emitted *e, Text *command, const char *compiler, const int *threads, int thread_count) {
    emitted_prefix(e, command, compiler);
    text_format(command,
                " -I" NNC_SOURCE_DIR "/runtime -I" NNC_SOURCE_DIR
                "/tests/reference -I%s %s/%s_cases.c%s " NNC_SOURCE_DIR "/tests/reference/compiled_main.c " NNC_NNRT
                " " NNC_LIBRARIES " -lm -o %s/%s_program",
                e->folder, e->folder, e->label, e->sources.data, e->folder, e->label);
    for (int i = 0; i < thread_count; i++) {
        text_format(command, " && %s/%s_program %s %s", e->folder, e->label, e->folder, e->label);
        if (threads[i] != 1)
            text_format(command, "_t%d", threads[i]);
        text_format(command, " %d", threads[i]);
    }
}

static pid_t emitted_start(const Text *command) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/sh", "sh", "-c", command->data, (char *)NULL);
        _exit(127);
    }
    return child;
}

/* Waits for one of the two children; the place that is free now. */
static int emitted_wait(pid_t running[2], const int index[2], bool *succeeded) {
    for (;;) {
        int status = 0;
        pid_t done = wait(&status);
        if (done < 0 && errno != EINTR)
            return 0;
        for (int place = 0; place < 2; place++)
            if (done > 0 && running[place] == done) {
                succeeded[index[place]] = WIFEXITED(status) && WEXITSTATUS(status) == 0;
                running[place] = 0;
                return place;
            }
    }
}

void emitted_run(const Text *commands, bool *succeeded, int count) {
    pid_t running[2] = {0, 0};
    int index[2] = {0, 0};
    for (int i = 0; i < count; i++) {
        int place = !running[0] ? 0 : !running[1] ? 1 : emitted_wait(running, index, succeeded);
        succeeded[i] = false;
        index[place] = i;
        running[place] = emitted_start(&commands[i]);
        if (running[place] < 0)
            running[place] = 0;
    }
    while (running[0] || running[1])
        emitted_wait(running, index, succeeded);
}
