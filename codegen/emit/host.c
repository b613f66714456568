/* The emitted file as a whole: first comment, includes, offsets, kernels, and the parts in the other host_*.c files.
 * Needs: a mapped program with a memory plan. Leaves: the text of the C source and of its header. */
#include "codegen/kir/gpu_arch.h"
#include "codegen/emit/host_parts.h"
#include "codegen/kir/library.h"
#include <ctype.h>
#include <math.h>
#include <string.h>

int64_t host_batch(const Host *h) {
    int64_t most = h->program->module->batch_max, asked = h->info->fit.batch_size;
    return asked > 0 && asked < most ? asked : most;
}

bool host_has_room(const Host *h) {
    return host_batch(h) < h->program->module->batch_max;
}

/* ---- text */

void host_text(const Host *h, Text *out, const char *template) {
    for (const char *c = template; *c; c++) {
        if (*c != '$') {
            text_add_length(out, c, 1);
            continue;
        }
        switch (*++c) {
        case 'n':
            text_add(out, h->name);
            break;
        case 'N':
            text_add(out, h->upper);
            break;
        case 'b':
            text_format(out, "%lld", (long long)host_batch(h));
            break;
        case 'M':
            text_format(out, host_has_room(h) ? "%s_MAX_BATCH" : "%s_BATCH", h->upper);
            break;
        default:
            text_add_length(out, c, 1);
        }
    }
}

enum { LINE_WIDTH = 120, INDENT = 4, DEEPEST = 16 };

/* The last place in the first `width` characters where a line may be broken, or else the first one behind them: after a
 * comma, the less deep the better. 0: none. *column: where the next line begins, below what the innermost open bracket
 * holds. */
static int find_break(const char *text, int width, int first_column, int *column) {
    int depth = 0, best = 0, best_depth = DEEPEST, open[DEEPEST] = {INDENT};
    for (int i = 0; text[i] && (i <= width || best == 0); i++) {
        if (strchr("([{", text[i]) && depth + 1 < DEEPEST)
            open[++depth] = first_column + i + 1;
        if (strchr(")]}", text[i]) && depth > 0)
            depth--;
        if (i > 0 && text[i] == ' ' && text[i - 1] == ',' && depth <= best_depth) {
            best = i;
            best_depth = depth;
            *column = open[depth];
        }
    }
    return best;
}

void host_line(Text *out, int depth, const char *format, ...) {
    Text line = {0};
    va_list arguments;
    va_start(arguments, format);
    text_vformat(&line, format, arguments);
    va_end(arguments);
    const char *text = line.data;
    int indent = depth * INDENT, column = indent + INDENT;
    for (int at = 1; at > 0;) {
        bool long_line = indent + (int)strlen(text) > LINE_WIDTH;
        int wanted = column;
        at = long_line ? find_break(text, LINE_WIDTH - indent, indent, &wanted) : 0;
        text_format(out, "%*s%.*s\n", indent, "", at > 0 ? at : (int)strlen(text), text);
        if (indent == depth * INDENT) /* the bracket that the first line left open holds for all */
            column = wanted;
        indent = column;
        text += at + 1;
    }
    text_free(&line);
}

void host_string(Text *out, const char *s) {
    if (!s) {
        text_add(out, "NULL");
        return;
    }
    text_add(out, "\"");
    for (const unsigned char *c = (const unsigned char *)s; *c; c++) {
        if (*c == '"' || *c == '\\' || *c == '?') /* ? could begin a trigraph */
            text_format(out, "\\%c", *c);
        else if (*c < 0x20 || *c >= 0x7f)
            text_format(out, "\\%03o", *c);
        else
            text_format(out, "%c", *c);
    }
    text_add(out, "\"");
}

void host_double(Text *out, double value) {
    char number[32];
    if (isnan(value) || isinf(value)) {
        text_add(out, isnan(value) ? "NAN" : value < 0 ? "-INFINITY" : "INFINITY");
        return;
    }
    text_number(number, value);
    text_add(out, number);
}

int64_t host_sample_size(const Type *type) {
    return type ? type_count(type, 1) : 0;
}

void host_pointer(Text *out, const Type *type, bool constant, const char *name) {
    text_format(out, "%s%s ", constant ? "const " : "", type->dtype == DTYPE_F32 ? "float" : "int32_t");
    text_format(out, type->rank > 1 ? "(*%s)" : "*%s", name);
    for (int i = 1; i < type->rank; i++)
        text_format(out, "[%lld]", (long long)type->dims[i].n);
}

/* ---- what there is */

static const char *const step_names[HOST_STEPS] = {"preprocess", "forward", "train_step", "evaluate_step"};

bool host_is_on_stream(const Host *h) {
    return h->options->library && h->target->library_api;
}

bool host_has_training(const Host *h) {
    return h->steps[HOST_TRAIN].sequence && h->steps[HOST_EVALUATE].sequence && h->info->target;
}

bool host_has_preprocess(const Host *h) {
    return h->steps[HOST_PREPROCESS].sequence != NULL;
}

bool host_has_fitted(const Host *h) {
    const Module *module = h->program->module;
    for (int i = 0; i < module->variable_count; i++)
        if (module->variables[i]->role == VARIABLE_PREPROCESS && module->variables[i]->fit != FIT_NONE)
            return host_has_preprocess(h);
    return false;
}

const char *const host_step_functions[HOST_STEPS] = {"preprocess_step", "forward_step", "train_step", "evaluate_step"};

bool host_measures(HostStepKind kind) {
    return kind == HOST_TRAIN || kind == HOST_EVALUATE;
}

bool host_is_scalar(const HostStep *step, int i) {
    return step->results[i]->rank == 0;
}

void host_step_parameters(const Host *h, Text *out, const HostStep *step) {
    const Func *func = step->sequence->func;
    for (int i = 0; i < func->body.arg_count; i++)
        if (step->arguments[i]) {
            c_print_parameter(out, h->program, h->dialect, step->arguments[i], false);
            text_add(out, ", ");
        }
    for (int i = 0; i < func->body.yield_count; i++)
        if (!host_is_scalar(step, i)) {
            c_print_parameter(out, h->program, h->dialect, step->results[i], true);
            text_add(out, ", ");
        }
}

bool host_is_used(const Host *h, const HostStep *step, const KBuffer *buffer) {
    for (int k = 0; k < step->sequence->count; k++) {
        const KUse *uses;
        int count = kkernel_uses(h->program, step->sequence->kernels[k], &uses);
        for (int i = 0; i < count; i++)
            if (uses[i].buffer == buffer)
                return true;
    }
    return false;
}

/* A value that is several results has one buffer; the others are copied from it. */
static void share_results(HostStep *step, const Func *func) {
    for (int i = 0; i < func->body.yield_count; i++)
        for (int j = 0; j < func->body.yield_count && !step->results[i]; j++)
            if (func->body.yields[i] == func->body.yields[j])
                step->results[i] = step->results[j];
}

static void find_step(Host *h, HostStep *step, KSequence *sequence) {
    KProgram *p = h->program;
    const Func *func = sequence->func;
    step->sequence = sequence;
    step->arguments = ARENA_ARRAY(p->arena, KBuffer *, func->body.arg_count + 1);
    step->results = ARENA_ARRAY(p->arena, KBuffer *, func->body.yield_count + 1);
    for (int i = 0; i < p->buffer_count; i++) {
        KBuffer *b = p->buffers[i];
        if (b->sequence != sequence || b->alias)
            continue;
        if (b->space == SPACE_RESULT)
            step->results[b->argument] = b;
        if (b->space == SPACE_ARGUMENT)
            step->arguments[b->argument] = b;
    }
    share_results(step, func);
    for (int i = 0; i < func->body.yield_count; i++)
        if (!step->results[i] || !host_is_used(h, step, step->results[i])) {
            diag_internal(p->diag, (Span){0}, "host code: no kernel of %s computes its result %s", func->name,
                          func->result_names[i]);
            h->failed = true;
        }
}

static bool is_among(const char *name, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* Names of a form that the C library, OpenMP or the runtime library keeps for itself. */
static bool is_kept(const char *name) {
    size_t length = strlen(name);
    return name[0] == '_' || strncmp(name, "omp_", 4) == 0 || strncmp(name, "nnrt", 4) == 0 ||
           (length > 2 && strcmp(name + length - 2, "_t") == 0);
}

/* A word of C or C++, or a name that the headers of an emitted file declare. Names of parameters are no harm. */
static bool is_taken(const char *name) {
    static const char *const parameters[] = {"batch", "first", "last", "model", "rows"};
    static const char *const declared[] = {
        "EOF",    "EXIT_FAILURE", "EXIT_SUCCESS", "FILE",   "INFINITY", "M_E",   "M_PI",   "NAN",
        "NULL",   "RAND_MAX",     "abs",          "acos",   "asin",     "atan",  "atof",   "atoi",
        "bcmp",   "bcopy",        "bzero",        "cbrt",   "ceil",     "clock", "cos",    "cosh",
        "div",    "drand48",      "drem",         "erf",    "erfc",     "exit",  "exp",    "expm1",
        "fabs",   "ffs",          "floor",        "fma",    "fmax",     "fmin",  "fmod",   "free",
        "frexp",  "gamma",        "hypot",        "index",  "isinf",    "isnan", "j0",     "j1",
        "jn",     "labs",         "ldiv",         "lgamma", "linux",    "log",   "logb",   "malloc",
        "memchr", "memcpy",       "memset",       "modf",   "nan",      "pow",   "printf", "rand",
        "random", "read",         "remove",       "rename", "rindex",   "rint",  "round",  "scalb",
        "select", "signal",       "sin",          "sinh",   "sleep",    "sqrt",  "std",    "strdup",
        "strlen", "system",       "tan",          "tanh",   "time",     "trunc", "unix",   "wait",
        "write",  "y0",           "y1",           "yn"};
    if (is_among(name, parameters, sizeof parameters / sizeof *parameters))
        return false;
    return kname_is_reserved(name) || is_among(name, declared, sizeof declared / sizeof *declared) || is_kept(name);
}

/* Metrics may have any name; two of them may become the same identifier. */
const char *host_metric(const Host *h, int metric) {
    Arena *arena = h->program->arena;
    char *name = arena_format(arena, "%s", h->info->metrics[metric].name);
    for (char *c = name; *c; c++)
        *c = isalnum((unsigned char)*c) ? *c : '_';
    if (!isalpha((unsigned char)name[0]) || kname_is_reserved(name))
        name = arena_format(arena, "metric_%s", name);
    for (int i = 0; i < metric; i++)
        if (strcmp(host_metric(h, i), name) == 0)
            return arena_format(arena, "%s_%d", name, metric);
    return name;
}

bool host_begin(Host *h, KProgram *p, const HostOptions *options) {
    const HostTarget *target = options->target ? options->target : &host_c;
    *h = (Host){.program = p, .info = p->info, .target = target, .dialect = target->dialect, .options = options};
    h->name = p->info->name;
    char *upper = arena_strdup(p->arena, h->name);
    for (char *c = upper; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    h->upper = upper;
    if (is_taken(h->name)) {
        diag_error(p->diag, (Span){0}, "a model called `%s` cannot become C: the word is taken", h->name);
        diag_help(p->diag, "give the model another name");
        return false;
    }
    for (int s = 0; s < p->sequence_count; s++)
        for (int i = 0; i < HOST_STEPS; i++)
            if (strcmp(p->sequences[s]->func->name, step_names[i]) == 0)
                find_step(h, &h->steps[i], p->sequences[s]);
    return !h->failed;
}

/* ---- the file */

static void first_comment(const Host *h, Text *out) {
    const Program *info = h->info;
    const char *stem = h->options->output_stem;
    const char *words = arena_format(h->program->arena,
                                     "The model %s of %s, compiled to %s by %s. Do not edit: change %s and compile it "
                                     "again.",
                                     h->name, h->options->source_file, h->target->language, h->options->compiler,
                                     h->options->source_file);
    text_add(out, "/* ");
    text_wrap(out, words, 3, 120, " * ");
    text_add(out, " *\n");
    int64_t parameters = 0;
    for (int i = 0; i < info->layer_count; i++) {
        const char *shape = info->layers[i].output ? type_text(h->program->arena, info->layers[i].output) : "";
        text_format(out, " *   %-24s %-24s %-20s %8lld parameters\n", info->layers[i].name, info->layers[i].type, shape,
                    (long long)info->layers[i].parameters);
        parameters += info->layers[i].parameters;
    }
    text_format(out, " *   %lld parameters, batches of at most %lld samples, %lld bytes for intermediate values\n",
                (long long)parameters, (long long)h->program->module->batch_max, (long long)h->program->arena_bytes);
    if (h->program->isa.gpu)
        text_format(out, " *   For %s, %s; contractions in %s%s\n", h->program->isa.gpu->name,
                    h->program->isa.gpu->title, kprecision_names[h->program->precision],
                    h->program->precision == PRECISION_FLOAT32 ? "" : ", everything else in float32");
    text_add(out, " *\n");
    const char *march = strcmp(h->program->isa.c_flags, "") == 0 ? "" : h->program->isa.c_flags;
    const char *space = *march ? " " : "";
    const char *link = host_link(h->program), *runtime = h->options->runtime ? "" : " -lnnrt -lz";
    if (h->options->library)
        text_format(out, " * Compile:  %s %s%s-c %s%s", h->target->compile, march, space, stem, h->target->extension);
    else
        text_format(out, " * Compile:  %s %s%s%s%s%s%s%s -lm -o %s", h->target->compile, march, space, stem,
                    h->target->extension, runtime, link ? " " : "", link ? link : "", stem);
    if (link && h->options->library)
        text_format(out, "\n * Link what uses it with %s -lm.", link);
    text_format(out, "%s%s */\n", h->target->threads ? "\n * " : "", h->target->threads ? h->target->threads : "");
}

/* Compiled as C++, or for an instruction set that lacks the vectors of the kernels: one message, not hundreds. */
static void guard_begin(const Host *h, Text *out) {
    if (h->target != &host_c)
        return;
    text_add(out, "#ifdef __cplusplus\n#error \"compile this file as C; its header is for C++ too\"\n");
    if (h->program->isa.c_macros)
        text_format(out,
                    "#elif !(%s)\n"
                    "#error \"compile this file with %s, or make it for any machine with nnc --cpu=generic\"\n",
                    h->program->isa.c_macros, h->program->isa.c_flags);
    text_add(out, "#else\n");
}

static void guard_end(const Host *h, Text *out) {
    if (h->target == &host_c)
        text_add(out, "#endif\n");
}

static void includes(Host *h, Text *out, const Text *header) {
    if (h->options->runtime)
        text_add(out, "#ifndef _POSIX_C_SOURCE\n#define _POSIX_C_SOURCE 200809L\n#endif\n");
    if (h->options->header_name)
        text_format(out, "#include \"%s\"\n", h->options->header_name);
    else
        text_add(out, header->data);
    if (h->program->isa.lanes > 1)
        text_format(out, "#define NNRT_MATH_WIDTH %d /* lanes of a vector */\n", h->program->isa.lanes);
    if (h->options->runtime)
        text_add(out, h->options->runtime);
    else
        text_format(out, "%s%s", h->target->includes, host_has_fitted(h) ? "#include \"nnrt_adapt.h\"\n" : "");
    text_add(out, h->target->system_includes);
    for (int i = 0; i < library_count; i++)
        if (library_is_used(h->program, &library_infos[i]))
            text_add(out, library_infos[i].declarations);
}

const HostTarget host_c = {
    .language = "C",
    .extension = ".c",
    .dialect = &dialect_c,
    .compile = "cc -O3",
    .threads = "With -fopenmp it uses several threads; the results are the same to the bit.",
    .includes = "#include \"nnrt.h\"\n#include \"nnrt_kernel.h\"\n",
    .system_includes =
        "#include <math.h>\n#include <stddef.h>\n#include <string.h>\n#ifdef _OPENMP\n#include <omp.h>\n#endif\n"
        "#pragma GCC diagnostic ignored \"-Wpedantic\" /* C23 makes pointers to arrays constant by itself */\n\n",
    .bundles = true,
    .steps = host_steps_c,
};

const char *host_flags(const HostTarget *target) {
    return strchr(target->compile, ' ') + 1;
}

const char *host_link(const KProgram *p) {
    const char *link = NULL;
    for (int i = 0; i < library_count; i++)
        if (library_is_used(p, &library_infos[i]))
            link = link ? arena_format(p->arena, "%s %s", link, library_infos[i].link) : library_infos[i].link;
    return link;
}

void host_prepare(const Host *h, Text *out, int depth) {
    for (int i = 0; i < library_count; i++)
        if (library_infos[i].prepare && library_is_used(h->program, &library_infos[i]))
            host_line(out, depth, "%s", library_infos[i].prepare);
}

static const char *const step_titles[HOST_STEPS] = {
    "Preprocessing of raw rows.",
    "Prediction.",
    "One training step: forward, gradients, optimizer.",
    "One evaluation step: loss and metrics.",
};

static void print_kernel(Host *h, Text *out, const KKernel *kernel) {
    if (h->failed)
        return;
    h->failed = !c_print_kernel(out, h->program, h->dialect, kernel);
    text_add(out, "\n");
}

static void kernels(Host *h, Text *out) {
    if (h->program->shared_count)
        text_add(out, "/* ---- Kernels that serve several layers or steps. */\n\n");
    for (int i = 0; i < h->program->shared_count; i++)
        print_kernel(h, out, h->program->shared[i]->printed);
    for (int i = 0; i < HOST_STEPS; i++) {
        KSequence *sequence = h->steps[i].sequence;
        if (!sequence)
            continue;
        text_format(out, "/* ---- %s */\n\n", step_titles[i]);
        size_t before = out->length;
        text_add(out, "/* Places in the arena, in bytes. */\n");
        size_t title = out->length;
        c_print_offsets(out, h->program, sequence);
        if (out->length == title)
            out->data[out->length = before] = '\0';
        else
            text_add(out, "\n");
        for (int k = 0; k < sequence->count; k++)
            if (!sequence->kernels[k]->shared)
                print_kernel(h, out, sequence->kernels[k]);
    }
}

static void main_function(Host *h, Text *out) {
    if (h->options->profile)
        host_profile_main(h, out);
    else if (!h->options->library)
        host_text(h, out, "\nint main(int argc, char **argv) {\n    return nnrt_main(&$n_program, argc, argv);\n}\n");
}

bool host_emit(Text *source, Text *header, KProgram *p, const HostOptions *options) {
    Host host, *h = &host;
    if (!host_begin(h, p, options))
        return false;
    if (options->runtime && !h->target->bundles) {
        diag_error(p->diag, (Span){0}, "--bundle is not built for %s: the runtime is C", h->target->language);
        return false;
    }
    host_header(h, header);
    first_comment(h, source);
    guard_begin(h, source);
    includes(h, source, header);
    kernels(h, source);
    h->target->steps(h, source);
    host_table(h, source);
    (host_is_on_stream(h) ? h->target->library_api : host_api)(h, source);
    main_function(h, source);
    guard_end(h, source);
    return !h->failed;
}

bool host_emit_header(Text *header, KProgram *p, const HostOptions *options) {
    Host host;
    if (!host_begin(&host, p, options))
        return false;
    host_header(&host, header);
    return !host.failed;
}
