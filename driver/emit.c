/* What `nnc FILE` writes: the C file and its header, or what --emit asks for. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "codegen/emit/host.h"
#include "driver/driver.h"

static bool is_standard_output(const char *path) {
    return strcmp(path, "-") == 0;
}

Status write_output(Diag *diag, const char *path, const Text *text) {
    const char *data = text->data ? text->data : "";
    bool ok = is_standard_output(path) ? fwrite(data, 1, text->length, stdout) == text->length && fflush(stdout) == 0
                                       : text_write_file(path, data, text->length) == 0;
    if (ok)
        return STATUS_OK;
    diag_error(diag, (Span){0}, "cannot write %s: %s", is_standard_output(path) ? "standard output" : path,
               strerror(errno));
    return STATUS_FILE;
}

/* ---- names of files */

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Length without the extension of the last part. */
static int stem_length(const char *path) {
    const char *base = base_name(path), *dot = strrchr(base, '.');
    return dot && dot > base ? (int)(dot - path) : (int)strlen(path);
}

static const char *default_output(const Pipeline *p, const char *extension) {
    const char *base = strcmp(p->options->input, "-") == 0 ? p->program->name : base_name(p->options->input);
    return arena_format(p->arena, "%.*s%s", stem_length(base), base, extension);
}

static const char *header_path(const Pipeline *p, const char *output) {
    return arena_format(p->arena, "%.*s.h", stem_length(output), output);
}

/* ---- code */

static HostOptions host_options(const Pipeline *p, const char *output) {
    const Options *o = p->options;
    const char *stem = is_standard_output(output) ? p->program->name : base_name(output);
    return (HostOptions){.target = target_find(o->target)->host,
                         .compiler = NNC_COMPILER,
                         .source_file = p->source->name,
                         .output_stem = arena_format(p->arena, "%.*s", stem_length(stem), stem),
                         .header_name =
                             is_standard_output(output) || o->bundle ? NULL : base_name(header_path(p, output)),
                         .library = o->library,
                         .profile = o->command == COMMAND_TUNE};
}

bool emit_code(Text *source, Text *header, const Pipeline *p, const char *output, bool with_header) {
    HostOptions options = host_options(p, output);
    Text runtime = {0};
    if (!with_header)
        options.header_name = NULL;
    if (p->options->bundle) {
        if (!bundle_runtime(&runtime, p->options->library)) {
            diag_internal(p->diag, (Span){0}, "the runtime in this nnc cannot be put into one file");
            return false;
        }
        options.runtime = runtime.data;
    }
    bool ok = host_emit(source, header, p->kernels, &options);
    text_free(&runtime);
    return ok;
}

static Status write_code(const Pipeline *p) {
    Text source = {0}, header = {0};
    const Target *target = target_find(p->options->target);
    const char *output = p->options->output ? p->options->output : default_output(p, target->extension);
    Status status = STATUS_PROGRAM;
    if (!is_standard_output(output) && strcmp(header_path(p, output), output) == 0) {
        diag_error(p->diag, (Span){0}, "-o names the C file: %s would be overwritten by its header", output);
        status = STATUS_USAGE;
    } else if (strcmp(output, p->options->input) == 0 && !is_standard_output(output)) {
        diag_error(p->diag, (Span){0}, "%s would overwrite its own source", output);
        status = STATUS_USAGE;
    } else if (emit_code(&source, &header, p, output, !is_standard_output(output))) {
        status = write_output(p->diag, output, &source);
        if (status == STATUS_OK && !is_standard_output(output))
            status = write_output(p->diag, header_path(p, output), &header);
    }
    text_free(&source);
    text_free(&header);
    return status;
}

/* ---- --emit */

static bool is_utf8(void) {
    const char *names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (int i = 0; i < 3; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return strstr(value, "UTF-8") || strstr(value, "utf8") || strstr(value, "UTF8");
    }
    return false;
}

static int terminal_columns(void) {
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static Status make_text(Text *out, const Pipeline *p) {
    HostOptions header_options;
    switch (p->options->emit) {
    case EMIT_AST:
        ast_print(out, p->ast);
        break;
    case EMIT_IR:
        module_print(out, p->program->module);
        break;
    case EMIT_KERNELS:
        kprogram_print(out, p->kernels);
        break;
    case EMIT_SUMMARY:
        return emit_summary(out, p, terminal_columns(), is_utf8(), isatty(STDOUT_FILENO));
    case EMIT_DOT:
        emit_dot(out, p);
        break;
    case EMIT_EXPLAIN:
        emit_explain(out, p);
        break;
    case EMIT_RESOURCES:
        return emit_resources(out, p);
    case EMIT_HEADER:
        header_options = host_options(p, default_output(p, ".c"));
        return host_emit_header(out, p->kernels, &header_options) ? STATUS_OK : STATUS_PROGRAM;
    case EMIT_CODE:
        break;
    }
    return STATUS_OK;
}

static Status write_text(const Pipeline *p) {
    Text text = {0};
    Status status = make_text(&text, p);
    if (status == STATUS_OK)
        status = write_output(p->diag, p->options->output ? p->options->output : "-", &text);
    text_free(&text);
    return status;
}

static Stage stage_for(Emit emit) {
    return emit == EMIT_AST   ? STAGE_AST
           : emit == EMIT_DOT ? STAGE_PROGRAM
           : emit == EMIT_IR  ? STAGE_PASSES
                              : STAGE_KERNELS;
}

Status emit_run(const Options *options, Arena *arena, Diag *diag) {
    Pipeline p;
    Status status;
    if (!pipeline_run(&p, options, arena, diag, stage_for(options->emit)))
        status = p.status;
    else if (p.stopped && options->emit != (p.kernels ? EMIT_KERNELS : EMIT_IR)) {
        diag_error(diag, (Span){0}, "--emit=%s needs what comes after --stop-after=%s", options->emit_name,
                   options->passes.stop_after);
        status = STATUS_USAGE;
    } else
        status = options->emit == EMIT_CODE ? write_code(&p) : write_text(&p);
    if (p.log.length)
        fputs(p.log.data, stderr);
    pipeline_free(&p);
    return status;
}
