/* Passes: tensor IR to tensor IR. A pass is a function `bool pass_x(Module *, PassContext *)` and one row of
 * passes.def.
 *
 * The manager runs them by name. After every pass it verifies the module; in debug builds, and where `verify_all` asks
 * for it, it also prints and reads the module back, and checks that a pass that says "unchanged" speaks the truth. */
#ifndef NNC_PASSES_PASS_H
#define NNC_PASSES_PASS_H
#include "ir/ir.h"

/* What a module may hold. Each level allows what the earlier ones allow, but for `grad`. */
typedef enum {
    LEVEL_ANY,        /* in a row of passes.def: the pass leaves the level as it is */
    LEVEL_GRADIENTS,  /* `grad` ops: as the front end leaves it */
    LEVEL_PRIMITIVES, /* no `grad` */
    LEVEL_FUSED       /* `fusion` ops */
} PassLevel;

/* Names in lists are separated by commas; "all" is every pass; NULL none. */
typedef struct {
    const char *print_after; /* print the module to the log after these passes */
    const char *skip;
    const char *stop_after; /* one name: the run ends after its first appearance */
    const char *dump_dir;   /* a file NN-NAME.ir after every pass */
    bool time_passes;       /* a line per pass in the log */
    bool verify_all;
} PassOptions;

typedef struct PassContext {
    Arena *arena; /* scratch, given back after the pass */
    Diag *diag;
    Text *log;                  /* never NULL while a pass runs */
    const PassOptions *options; /* never NULL while a pass runs */
    bool stopped;               /* stop_after was reached: later runs with this context do nothing */
    int passes_run;
} PassContext;

/* True: changed something. After an error in diag the result does not matter. */
typedef bool (*PassFunction)(Module *, PassContext *);

typedef struct {
    const char *name;
    PassFunction run;
    PassLevel first, last; /* levels that it takes */
    PassLevel out;         /* level of the module after it, at most; LEVEL_ANY: as before */
    const char *help;
} PassInfo;

extern const PassInfo pass_infos[];
extern const int pass_count;
/* The passes of a compilation, in order; autodiff included. */
extern const char *const pass_pipeline[];
extern const int pass_pipeline_count;

const PassInfo *pass_find(const char *name); /* NULL: none */
PassLevel module_level(const Module *);

/* `diag`: where errors go; `log`, `options` may be NULL. */
PassContext pass_context(Diag *, Text *log, const PassOptions *);
/* Checks the names in the options; false with an error in diag. */
bool pass_options_check(const PassOptions *, Diag *);
/* Runs the passes in order. false: an error is in diag, and the module is not to be used. */
bool passes_run(Module *, PassContext *, const char *const *names, int count);

#define PASS(name, ...) bool pass_##name(Module *, PassContext *);
#include "passes/passes.def"
#undef PASS
#endif
