/* The driver: command line, pipeline, and what nnc prints. Knows every room; holds no algorithm. */
#ifndef NNC_DRIVER_H
#define NNC_DRIVER_H
#include "codegen/emit/host.h"
#include "codegen/kir/kir.h"
#include "codegen/kir/library.h"
#include "frontend/frontend.h"
#include "passes/pass.h"

#define NNC_COMPILER "nnc " NNC_VERSION

/* Exit codes; scripts rely on them (nnc --help and docs/nnc.1 list them). */
typedef enum { STATUS_OK, STATUS_PROGRAM, STATUS_USAGE, STATUS_FILE, STATUS_INTERNAL } Status;

typedef enum { COMMAND_COMPILE, COMMAND_RUN, COMMAND_TUNE, COMMAND_NEW, COMMAND_HELP } Command;
typedef enum {
    EMIT_CODE,
    EMIT_AST,
    EMIT_IR,
    EMIT_KERNELS,
    EMIT_SUMMARY,
    EMIT_DOT,
    EMIT_EXPLAIN,
    EMIT_RESOURCES,
    EMIT_HEADER
} Emit;

typedef struct {
    Command command;
    bool help, version;
    bool library, bundle, no_memory_plan, no_tune, verify;
    bool direct_convolutions; /* --convolution=direct */
    bool check;               /* run: train on GPU and processor, and compare */
    const char *input, *output, *model, *cpu, *gpu, *precision_name, *target, *emit_name, *blas, *dnn, *convolution,
        *batch_size_text, *max_batch_text;
    KPrecision precision;
    const Library *convolutions; /* --dnn: who computes convolutions; NULL: the program itself */
    const Library *products;     /* --blas: who computes large products of matrices; NULL: the program itself */
    int64_t batch_size;          /* 0: as the fit block says */
    int64_t max_batch;           /* memory is planned for so many samples; 0: pipeline.c chooses */
    Emit emit;
    PassOptions passes;
    struct Tuning *tuning; /* tune: choices of tiles to be tried; NULL: those of the file beside the program */
    const char **defines;
    int define_count, define_capacity;
    char **rest; /* run: the verb and its options; help: names */
    int rest_count;
} Options;

/* Usage errors go to diag; false then. Strings point into argv. */
bool options_parse(Options *, Arena *, Diag *, int argc, char **argv);
void options_help(Text *);
/* The words that --emit takes, by Emit; EMIT_CODE has none. */
extern const char *const emit_names[];

/* ---- pipeline.c: from a file to mapped kernels */
typedef struct {
    const Options *options;
    Arena *arena;
    Diag *diag;
    SourceFile *source;
    Ast *ast;
    Program *program;
    KProgram *kernels;
    Text log;      /* what --print-after and --time-passes say */
    bool stopped;  /* --stop-after was reached */
    int dumps;     /* of --dump-dir so far */
    Status status; /* after a failure */
} Pipeline;

typedef enum { STAGE_AST, STAGE_PROGRAM, STAGE_PASSES, STAGE_KERNELS } Stage;
/* The stages of code generation, which --time-passes, --print-after and --stop-after name beside the passes. */
typedef enum { KERNELS_LOWER, KERNELS_LAYOUT, KERNELS_MAP, KERNELS_MEMORY_PLAN, KERNELS_STAGES } KernelStage;
extern const char *const kernel_stages[KERNELS_STAGES];
/* Whether a list such as "fuse,lower", or "all", holds the name. */
bool options_list_has(const char *list, const char *name);
/* Runs the stages up to `last`. false: errors are in diag and status says of which kind. */
bool pipeline_run(Pipeline *, const Options *, Arena *, Diag *, Stage last);
void pipeline_free(Pipeline *);
bool pipeline_read(Pipeline *); /* source.c: the text of options->input into p->source */

/* One row per --target (targets.c). */
typedef struct {
    const char *name, *extension;
    bool on_gpu; /* --gpu says what it runs on, not --cpu */
    void (*layout)(KProgram *);
    bool (*map)(KProgram *);
    const HostTarget *host;
} Target;
extern const Target targets[];
extern const int target_count;
const Target *target_find(const char *name); /* NULL: none */
bool target_isa(const Options *, KIsa *);    /* what --target, --cpu and --gpu say; false: unknown */

/* ---- what is written */
Status emit_run(const Options *, Arena *, Diag *); /* emit.c: `nnc FILE` */
bool emit_code(Text *source, Text *header, const Pipeline *, const char *output, bool with_header);
void emit_explain(Text *, const Pipeline *);     /* explain.c */
void emit_dot(Text *, const Pipeline *);         /* dot.c */
Status emit_resources(Text *, const Pipeline *); /* resources.c */
Status emit_summary(Text *, const Pipeline *, int columns, bool utf8, bool color);
bool bundle_runtime(Text *, bool library); /* bundle.c: the runtime as one text */
Status write_output(Diag *, const char *path, const Text *);

Status run_program(const Options *, Arena *, Diag *);                       /* run.c: `nnc run` */
Status run_prepare(const Options *, Arena *, Diag *, const char **program); /* its program, compiled or found */
Status check_program(const Options *, Arena *, Diag *);                     /* check.c: `nnc run --check` */
Status new_program(const Options *, Diag *);                                /* new.c: `nnc new` */
Status help_print(const Options *, Diag *);                                 /* `nnc help` */
#endif
