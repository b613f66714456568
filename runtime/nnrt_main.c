/* The entry of a generated trainer: parses the command line, prepares the model's memory, runs one command, and turns
 * its result into an exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted. */
#include "nnrt_error.h"
#include "nnrt_model.h"
#include "nnrt_run.h"
#include "nnrt_summary.h"
#include "nnrt_trainer.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

void nnrt_trainer_warn(const nnrt_trainer *trainer, const char *text) {
    fflush(trainer->out);
    fprintf(trainer->err, "%s: warning: %s\n", trainer->program->name, text);
}

double nnrt_metric_value(const nnrt_metric *metric, const double totals[2]) {
    double mean = totals[1] != 0 ? totals[0] / totals[1] : 0;
    return metric->show == NNRT_SHOW_ROOT_MEAN ? sqrt(mean) : mean;
}

void nnrt_trainer_logs(const nnrt_trainer *trainer, const double *totals, bool validation, nnrt_logs *logs) {
    const nnrt_program *program = trainer->program;
    for (int i = 0; i < program->metric_count && logs->count < logs->capacity; i++) {
        int metric = trainer->sorted[i];
        nnrt_log *log = &logs->items[logs->count++];
        log->name = validation ? trainer->validation_names[metric] : program->metrics[metric].name;
        log->value = nnrt_metric_value(&program->metrics[metric], totals + 2 * metric);
    }
}

int32_t *nnrt_identity_rows(int64_t count) {
    int32_t *rows = malloc(4 * (size_t)count + 4);
    for (int64_t i = 0; rows && i < count; i++)
        rows[i] = (int32_t)i;
    return rows;
}

int nnrt_trainer_load(nnrt_trainer *trainer) {
    const char *path = trainer->options.weights;
    nnrt_safetensors file = {.count = 0};
    nnrt_model_found found;
    int code = nnrt_safetensors_read(path, &file);
    if (code != NNRT_OK)
        return nnrt_error(code, "%s; '%s fit' makes the weights, --weights=FILE names others", nnrt_error_text(),
                          nnrt_command(trainer->program));
    code = nnrt_model_load_from(trainer->program, trainer->model, &file, path, NNRT_PREPROCESSING_REQUIRED, &found);
    if (code == NNRT_OK)
        code = nnrt_checkpoint_vocabulary(&file, path, &trainer->vocabulary);
    trainer->fitted = code == NNRT_OK && found.preprocessing;
    nnrt_safetensors_free(&file);
    return code;
}

int nnrt_run_init(nnrt_trainer *trainer) {
    int code = nnrt_model_fill(trainer->program, trainer->model, trainer->options.seed);
    if (code == NNRT_OK)
        code = nnrt_checkpoint_save(trainer->program, trainer->model, trainer->options.weights, NNRT_NOT_FITTED, NULL,
                                    NULL, NULL);
    if (code == NNRT_OK)
        fprintf(trainer->out, "Fresh weights are in %s.\n", trainer->options.weights);
    return code;
}

int nnrt_run_summary(nnrt_trainer *trainer) {
    nnrt_summary summary = nnrt_summary_of(trainer->program);
    nnrt_summary_style style = {trainer->terminal.columns, trainer->terminal.utf8, trainer->terminal.color};
    nnrt_summary_print(trainer->out, &summary, &style);
    return NNRT_OK;
}

static int (*const main_commands[NNRT_VERBS])(nnrt_trainer *) = {
    [NNRT_VERB_INIT] = nnrt_run_init,         [NNRT_VERB_FIT] = nnrt_run_fit,
    [NNRT_VERB_EVALUATE] = nnrt_run_evaluate, [NNRT_VERB_PREDICT] = nnrt_run_predict,
    [NNRT_VERB_GENERATE] = nnrt_run_generate, [NNRT_VERB_SUMMARY] = nnrt_run_summary,
};

int nnrt_trainer_device(nnrt_trainer *trainer) {
    if (!trainer->program->open_device || trainer->device)
        return NNRT_OK;
    return trainer->program->open_device(&trainer->device);
}

static int main_report(const nnrt_trainer *trainer, int code, int status) {
    if (code == NNRT_OK)
        return EXIT_DONE;
    fflush(trainer->out);
    fprintf(trainer->err, "%s: %s\n", trainer->program->name, nnrt_error_text());
    return code == NNRT_ERROR_INTERRUPTED ? EXIT_INTERRUPTED : status;
}

/* Order of the metrics by name, and their names in validation. */
static bool main_name_metrics(nnrt_trainer *trainer) {
    const nnrt_program *program = trainer->program;
    size_t count = (size_t)program->metric_count + 1;
    trainer->sorted = malloc(count * sizeof *trainer->sorted);
    trainer->validation_names = malloc(count * sizeof *trainer->validation_names);
    if (!trainer->sorted || !trainer->validation_names)
        return false;
    for (int i = 0; i < program->metric_count; i++) {
        int at = i;
        for (; at > 0 && strcmp(program->metrics[trainer->sorted[at - 1]].name, program->metrics[i].name) > 0; at--)
            trainer->sorted[at] = trainer->sorted[at - 1];
        trainer->sorted[at] = i;
        snprintf(trainer->validation_names[i], sizeof trainer->validation_names[i], "val_%s", program->metrics[i].name);
    }
    return true;
}

static bool main_reserve(nnrt_trainer *trainer) {
    const nnrt_program *program = trainer->program;
    size_t alignment = program->model_alignment > 64 ? program->model_alignment : 64;
    if (alignment < NNRT_LARGE_PAGE && program->model_bytes >= NNRT_LARGE_PAGE)
        alignment = NNRT_LARGE_PAGE;
    size_t bytes = (program->model_bytes + alignment - 1) / alignment * alignment;
    trainer->model = aligned_alloc(alignment, bytes ? bytes : alignment);
    if (!trainer->model || !main_name_metrics(trainer))
        return false;
    nnrt_model_large_pages(trainer->model, program->model_bytes);
    memset(trainer->model, 0, program->model_bytes);
    return true;
}

/* Threads that the user has asked for stay as many; the program's own choice goes by what the machine gives. */
static int main_teams(nnrt_trainer *trainer) {
    int threads;
    bool given;
    int code = nnrt_options_threads(trainer->program, &trainer->options, &threads, &given);
    if (code != NNRT_OK)
        return code;
    bool stays = given || trainer->program->open_device;
    nnrt_team_init(&trainer->training, threads, stays ? NULL : trainer->terminal.clock,
                   trainer->terminal.processor_clock);
    trainer->measuring = trainer->training;
    return NNRT_OK;
}

static int main_run(nnrt_trainer *trainer) {
    int code = main_teams(trainer);
    if (code != NNRT_OK)
        return main_report(trainer, code, EXIT_USAGE);
    trainer->verbose = trainer->options.verbose;
    if (trainer->verbose < 0)
        trainer->verbose = trainer->terminal.dynamic ? 1 : 2;
    if (main_reserve(trainer))
        code = main_commands[trainer->options.verb](trainer);
    else
        code = nnrt_error(NNRT_ERROR_MEMORY, "no memory for the model (%zu bytes)", trainer->program->model_bytes);
    if ((fflush(trainer->out) != 0 || ferror(trainer->out)) && code == NNRT_OK)
        code = nnrt_error(NNRT_ERROR_FILE, "standard output cannot be written");
    bool usage = code == NNRT_ERROR_ARGUMENT;
    return main_report(trainer, code, usage ? EXIT_USAGE : EXIT_FAILED);
}

int nnrt_main_with(const nnrt_program *program, int argc, char **argv, FILE *out, FILE *err,
                   const nnrt_terminal *terminal) {
    nnrt_trainer trainer = {.program = program, .out = out, .err = err, .terminal = *terminal};
    int code = nnrt_options_parse(program, argc, argv, &trainer.options);
    if (code != NNRT_OK)
        return main_report(&trainer, code, EXIT_USAGE);
    if (trainer.options.help) {
        nnrt_options_help(program, trainer.options.verb, out);
        return EXIT_DONE;
    }
    if (trainer.options.version) {
        fprintf(out, "%s (%s), compiled by %s\n", program->name, program->source_file ? program->source_file : "?",
                program->compiler ? program->compiler : "nnc");
        return EXIT_DONE;
    }
    int status = main_run(&trainer);
    if (trainer.device)
        program->close_device(trainer.device);
    nnrt_vocabulary_free(&trainer.vocabulary);
    free(trainer.model);
    free(trainer.sorted);
    free(trainer.validation_names);
    return status;
}

int nnrt_main(const nnrt_program *program, int argc, char **argv) {
    nnrt_terminal terminal = nnrt_terminal_of(stdout);
    if (argc > 0 && argv[0][0] && !strpbrk(argv[0], " \t\n'\"\\$`*?[&;|<>(){}"))
        setenv("NNC_PROGRAM", argv[0], 0); /* hints that can be pasted */
#ifdef SIGXFSZ
    signal(SIGXFSZ, SIG_IGN); /* a file-size limit is an error of write(), not the end of the program */
#endif
    return nnrt_main_with(program, argc, argv, stdout, stderr, &terminal);
}
