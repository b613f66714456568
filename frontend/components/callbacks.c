/* What happens between epochs: the fields of Callback (ir/program.h); the runtime does it. */
#include "frontend/components/components.h"

static const char *const modes[] = {"min", "auto", "max"};

static void watch(const Args *args, Callback *callback, CallbackKind kind) {
    *callback = (Callback){
        .kind = kind, .min_delta = NAN, .baseline = NAN, .factor = NAN, .min_lr = NAN, .initial_value_threshold = NAN};
    callback->monitor = arg_text(args, "monitor");
    callback->verbose = (int)arg_int(args, "verbose");
    for (int i = 0; i < 3; i++)
        if (strcmp(arg_text(args, "mode"), modes[i]) == 0)
            callback->mode = i - 1;
}

static double float_or_nan(const Args *args, const char *name) {
    return arg_is_none(args, name) ? NAN : arg_float(args, name);
}

static bool early_stopping(const Args *args, Diag *diag, Callback *callback) {
    (void)diag;
    watch(args, callback, CALLBACK_EARLY_STOPPING);
    callback->min_delta = fabs(arg_float(args, "min_delta"));
    callback->patience = (int)arg_int(args, "patience");
    callback->baseline = float_or_nan(args, "baseline");
    callback->restore_best_weights = arg_bool(args, "restore_best_weights");
    callback->start_from_epoch = (int)arg_int(args, "start_from_epoch");
    return true;
}

static bool save_frequency(const Expr *e, int64_t *batches) {
    *batches = 0;
    if (!e || ((e->kind == EXPR_NAME || e->kind == EXPR_STRING) && strcmp(e->text, "epoch") == 0))
        return true;
    if (e->kind != EXPR_NUMBER || !e->number.is_integer || e->number.value < 1 || e->number.value > 1e15)
        return false;
    *batches = (int64_t)e->number.value;
    return true;
}

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), part = strlen(end);
    return length >= part && strcmp(text + length - part, end) == 0;
}

static bool model_checkpoint(const Args *args, Diag *diag, Callback *callback) {
    watch(args, callback, CALLBACK_MODEL_CHECKPOINT);
    callback->file = arg_text(args, "filepath");
    callback->save_best_only = arg_bool(args, "save_best_only");
    callback->save_weights_only = arg_bool(args, "save_weights_only");
    callback->initial_value_threshold = float_or_nan(args, "initial_value_threshold");
    const char *const foreign[] = {".keras", ".h5", ".hdf5"};
    for (int i = 0; i < 3; i++)
        if (ends_with(callback->file, foreign[i])) {
            diag_error(diag, arg_get(args, "filepath")->span,
                       "ModelCheckpoint writes files of the safetensors format, none that Keras would read as %s",
                       foreign[i]);
            diag_help(diag, "let the name end in .safetensors");
            return false;
        }
    if (save_frequency(arg_get(args, "save_freq")->expr, &callback->save_freq))
        return true;
    diag_error(diag, arg_get(args, "save_freq")->span,
               "ModelCheckpoint: save_freq is epoch or a positive number of batches");
    return false;
}

static bool reduce_lr_on_plateau(const Args *args, Diag *diag, Callback *callback) {
    watch(args, callback, CALLBACK_REDUCE_LR_ON_PLATEAU);
    callback->factor = arg_float(args, "factor");
    callback->patience = (int)arg_int(args, "patience");
    callback->min_delta = arg_float(args, "min_delta");
    callback->cooldown = (int)arg_int(args, "cooldown");
    callback->min_lr = arg_float(args, "min_lr");
    if (callback->factor < 1)
        return true;
    diag_error(diag, arg_get(args, "factor")->span,
               "ReduceLROnPlateau: factor must be below 1, or the learning rate is not reduced");
    return false;
}

static bool csv_logger(const Args *args, Diag *diag, Callback *callback) {
    (void)diag;
    *callback = (Callback){.kind = CALLBACK_CSV_LOGGER,
                           .min_delta = NAN,
                           .baseline = NAN,
                           .factor = NAN,
                           .min_lr = NAN,
                           .initial_value_threshold = NAN};
    callback->file = arg_text(args, "filename");
    callback->separator = arg_text(args, "separator");
    callback->append = arg_bool(args, "append");
    return true;
}

static bool terminate_on_nan(const Args *args, Diag *diag, Callback *callback) {
    (void)args, (void)diag;
    *callback = (Callback){.kind = CALLBACK_TERMINATE_ON_NAN,
                           .min_delta = NAN,
                           .baseline = NAN,
                           .factor = NAN,
                           .min_lr = NAN,
                           .initial_value_threshold = NAN};
    return true;
}

#define MONITOR STRING("monitor", "val_loss", "the value that is watched: loss, val_loss, val_accuracy, ...")
#define MODE CHOICE("mode", "auto", "auto|min|max", "whether smaller or larger is better; auto: from the metric")
#define VERBOSE INT("verbose", "0", 0, 1, "1: say when it acts")
#define COUNT(NAME, DEFAULT, DOC) INT(NAME, DEFAULT, 0, LARGE, DOC)
static const Parameter early_parameters[] = {
    MONITOR,
    FLOAT("min_delta", "0", "smaller changes do not count as better"),
    COUNT("patience", "0", "epochs without a better value before it stops"),
    VERBOSE,
    MODE,
    FLOAT("baseline", "none", "value that must be reached to count as better"),
    BOOLEAN("restore_best_weights", "false", "end with the weights of the best epoch"),
    COUNT("start_from_epoch", "0", "epochs that are not watched"),
    END};
static const Parameter checkpoint_parameters[] = {
    STRING("filepath", NULL, "file to write; may hold {epoch:02d}, {batch}, {val_loss:.2f}"),
    MONITOR,
    VERBOSE,
    BOOLEAN("save_best_only", "false", "only when the watched value is better than ever"),
    BOOLEAN("save_weights_only", "false", "without the state of the optimizer"),
    MODE,
    ANY("save_freq", "epoch", "epoch, or every so many batches"),
    FLOAT("initial_value_threshold", "none", "value that the first file must beat"),
    END};
static const Parameter plateau_parameters[] = {
    MONITOR,
    FLOAT_ABOVE("factor", "0.1", 0, 1, "factor of the learning rate"),
    COUNT("patience", "10", "epochs without a better value before it acts"),
    VERBOSE,
    MODE,
    FLOAT_IN("min_delta", "0.0001", 0, LARGE, "smaller changes do not count as better"),
    COUNT("cooldown", "0", "epochs of rest after it acted"),
    FLOAT_IN("min_lr", "0.0", 0, LARGE, "the learning rate does not go below"),
    END};
static const Parameter logger_parameters[] = {STRING("filename", NULL, "file to write"),
                                              STRING("separator", "\",\"", "between two values"),
                                              BOOLEAN("append", "false", "true: add to an existing file"), END};
static const Parameter no_parameters[] = {END};

#define CALLBACK_CHECK(text)                                                                                           \
    "model check {\nInput(3)\nDense(2)\n}\ndata {\ntrain = csv(\"check.csv\", target=\"y\")\nvalidation_split = "      \
    "0.2\n}\ncompile {\nloss = mse\noptimizer = SGD(0.1)\n}\nfit {\nbatch_size = 3\ncallbacks = [" text "]\n}\n"
#define CALLBACK(RECORD, NAME, PARAMETERS, SUMMARY, BUILD, EXAMPLE, ...)                                               \
    const Component component_##RECORD = {.kind = COMPONENT_CALLBACK,                                                  \
                                          .name = NAME,                                                                \
                                          .parameters = PARAMETERS,                                                    \
                                          .summary = SUMMARY,                                                          \
                                          .examples = LINES("callbacks = [" EXAMPLE "]"),                              \
                                          .checks = LINES(CALLBACK_CHECK(EXAMPLE), __VA_ARGS__),                       \
                                          .build.callback = BUILD}
CALLBACK(early_stopping, "EarlyStopping", early_parameters, "Ends training when a value has stopped getting better.",
         early_stopping, "EarlyStopping(monitor=val_loss, patience=3, restore_best_weights=true)",
         CALLBACK_CHECK(
             "EarlyStopping(monitor=\"loss\", min_delta=0.01, mode=min, baseline=0.5, start_from_epoch=2, verbose=1)"));
CALLBACK(model_checkpoint, "ModelCheckpoint", checkpoint_parameters,
         "Writes the weights to a file as training goes on.", model_checkpoint,
         "ModelCheckpoint(\"best.safetensors\", save_best_only=true)",
         CALLBACK_CHECK("ModelCheckpoint(\"at-{epoch:02d}.safetensors\", save_freq=10, save_weights_only=true)"));
CALLBACK(reduce_lr_on_plateau, "ReduceLROnPlateau", plateau_parameters,
         "Reduces the learning rate when a value has stopped getting better.", reduce_lr_on_plateau,
         "ReduceLROnPlateau(factor=0.2, patience=5, min_lr=1e-5)",
         CALLBACK_CHECK("ReduceLROnPlateau(monitor=loss, mode=min, cooldown=2)"));
CALLBACK(csv_logger, "CSVLogger", logger_parameters, "Writes the values of each epoch to a file.", csv_logger,
         "CSVLogger(\"log.csv\")", CALLBACK_CHECK("CSVLogger(\"log.csv\", separator=\";\", append=true)"));
CALLBACK(terminate_on_nan, "TerminateOnNaN", no_parameters, "Ends training when the loss is not a number.",
         terminate_on_nan, "TerminateOnNaN()", CALLBACK_CHECK("TerminateOnNaN()"));
