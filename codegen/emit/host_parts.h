/* Shared by the parts of the host-code emitter: host.c (the file as a whole), host_header.c (struct and declarations),
 * host_steps.c (steps as sequences of kernels, threads), host_api.c (the functions of the header), host_table.c (the
 * description for the runtime), host_threads.c (how many threads pay), host_piece.c (samples of a prediction),
 * host_cuda.c and host_cuda_library.c (the same for a GPU). */
#ifndef NNC_CODEGEN_HOST_PARTS_H
#define NNC_CODEGEN_HOST_PARTS_H
#include "codegen/emit/c_printer.h"
#include "codegen/emit/host.h"

/* One function of the module as host code sees it. */
typedef struct {
    KSequence *sequence; /* NULL: the module has no such function */
    KBuffer **arguments; /* by index of the function's argument; NULL: no kernel reads it */
    KBuffer **results;   /* by index of the result */
} HostStep;

typedef enum { HOST_PREPROCESS, HOST_FORWARD, HOST_TRAIN, HOST_EVALUATE, HOST_STEPS } HostStepKind;

typedef struct {
    KProgram *program;
    const Program *info;
    const HostTarget *target;
    const Dialect *dialect;
    const HostOptions *options;
    const char *name, *upper; /* digits, DIGITS */
    HostStep steps[HOST_STEPS];
    bool failed;
} Host;

struct HostTarget {
    const char *language, *extension;
    const Dialect *dialect;
    const char *compile;  /* compiler and flags, for the first comment */
    const char *threads;  /* a line about threads there; NULL: none */
    const char *includes; /* of the runtime */
    const char *system_includes;
    bool bundles;                  /* the runtime can stand in the file */
    void (*steps)(Host *, Text *); /* the functions of the runtime's table */
    const char *device;            /* rows of that table for the device; NULL: none */
    /* --lib: members of the struct, declarations and functions that work on the caller's device; NULL: those of C */
    void (*library_members)(const Host *, Text *);
    void (*library_header)(const Host *, Text *);
    void (*library_api)(Host *, Text *);
};

/* false with an error in diag. */
bool host_begin(Host *, KProgram *, const HostOptions *);

/* Samples of a training step, and whether memory is planned for more (a trainer's --batch-size). */
int64_t host_batch(const Host *);
bool host_has_room(const Host *);
/* Samples that prediction takes through the network at once, at most host_batch: see host_piece.c. */
int64_t host_piece(const Host *);
/* "Formatted lines" with $n for the model's name, $N for it in capitals, $b for the samples of a training step, $M for
 * the macro with the largest batch, and $$. */
void host_text(const Host *, Text *, const char *template);
/* One line, broken where it is too long. */
void host_line(Text *, int depth, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* "..." as a C string, or NULL. */
void host_string(Text *, const char *);
/* What the libraries that the program calls want before the steps. */
void host_prepare(const Host *, Text *, int depth);
/* Value as a C double: 0.1, NAN, -INFINITY. */
void host_double(Text *, double);
/* Of each step: the name of its function in the file, behind the model's. */
extern const char *const host_step_functions[HOST_STEPS];
/* Measures a loss: takes rows and gives results. */
bool host_measures(HostStepKind);
/* Result `i` is one number, not rows. */
bool host_is_scalar(const HostStep *, int i);
/* Parameters of a step: arguments that kernels read, then results that are rows; a comma behind each. */
void host_step_parameters(const Host *, Text *, const HostStep *);
/* Some kernel of the step reads or writes it. */
bool host_is_used(const Host *, const HostStep *, const KBuffer *);
/* Elements of one sample. */
int64_t host_sample_size(const Type *);
/* "const float (*x)[28][28]": a pointer to samples, for the public functions. */
void host_pointer(Text *, const Type *, bool constant, const char *name);

/* The metric as a member of the struct of metrics. */
const char *host_metric(const Host *, int metric);

bool host_has_training(const Host *);
bool host_has_preprocess(const Host *);
bool host_has_fitted(const Host *); /* preprocessing with state that is fitted to the training rows */

/* Declarations without the semicolon; `rest`: what follows the samples, as a template of host_text. */
void host_samples(const Host *, Text *);
void host_prototype_predict(const Host *, Text *);
void host_predict_comment(const Host *, Text *); /* before it: what it takes and gives */
void host_prototype_adapt(const Host *, Text *);
void host_prototype(const Host *, Text *, const char *verb, const char *rest);

void host_header(Host *, Text *);
void host_steps_c(Host *, Text *);
/* Rows of a batch that lies as it is used. */
void host_in_order(const Host *, Text *);
/* The step whose kernels are timed; what the steps need for it; the main function that times them. */
HostStepKind host_profiled(const Host *);
void host_profile_begin(Host *, Text *);
void host_profile_main(Host *, Text *);
/* On the caller's stream. */
bool host_is_on_stream(const Host *);
void host_cuda_step_call(Host *, Text *, HostStepKind, const char *batch, const char *rows, const char *results,
                         int depth);
void host_cuda_declare(Host *, Text *, int depth, const KBuffer *, bool written, const char *value);
void host_cuda_library_members(const Host *, Text *);
void host_cuda_library_header(const Host *, Text *);
void host_cuda_library_api(Host *, Text *);
/* Parts of the functions of the header: means of sums, adapt. */
void host_api_means(const Host *, Text *);
void host_api_adapt(const Host *, Text *);
void host_metrics_struct(const Host *, Text *);
const char *host_shape_text(const Host *, const Type *);
void host_steps_cuda(Host *, Text *);
void host_api(Host *, Text *);
void host_table(Host *, Text *);
#endif
