/* `nnc new NAME`: a program to start from. Never overwrites. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "driver/driver.h"

/* $ is the name; what follows a tab begins in one column. */
static const char starter[] =
    "# $: a neural network, its data and its training run.\n"
    "#\n"
    "#   nnc run $.nn fit\ttrain; weights go to $.safetensors\n"
    "#   nnc run $.nn evaluate\tloss and metrics on the test data\n"
    "#   nnc run $.nn predict --input=FILE.csv\tpredictions as CSV\n"
    "#   nnc $.nn -o $.c\tthe same as one C file\n"
    "#\n"
    "# nnc help lists everything that can be written here, nnc help Dense explains one of them.\n"
    "\n"
    "let width = 64                             # nnc -D width=128 gives it another value\n"
    "\n"
    "model $ {\n"
    "    Input(4)                               # numbers in a row of data, without the target\n"
    "    Dense(width, activation=relu)\n"
    "    Dense(width, activation=relu)\n"
    "    Dense(3, activation=softmax)           # one probability for each of three classes\n"
    "}\n"
    "\n"
    "data {\n"
    "    train = csv(\"$-train.csv\", target=\"class\")\n"
    "    test  = csv(\"$-test.csv\",  target=\"class\")\n"
    "    validation_split = 0.1                 # the last tenth of the training rows is not trained on\n"
    "    standardize()                          # mean 0 and deviation 1 for each column\n"
    "}\n"
    "\n"
    "compile {\n"
    "    loss      = sparse_categorical_crossentropy\n"
    "    optimizer = Adam(learning_rate=0.001)\n"
    "    metrics   = [accuracy]\n"
    "}\n"
    "\n"
    "fit {\n"
    "    epochs     = 20\n"
    "    batch_size = 32\n"
    "    callbacks  = [EarlyStopping(monitor=val_loss, patience=5, restore_best_weights=true)]\n"
    "}\n";

static void fill_in(Text *text, const char *name) {
    size_t once = sizeof "#   nnc run .nn predict --input=FILE.csv  " - 1 + strlen(name), line = 0;
    size_t twice = sizeof "#   nnc .nn -o .c  " - 1 + 2 * strlen(name), column = once > twice ? once : twice;
    for (const char *c = starter; *c; c++) {
        if (*c == '$')
            text_add(text, name);
        else if (*c == '\t')
            text_format(text, "%*s", (int)(column - (text->length - line)), "");
        else
            text_add_length(text, c, 1);
        if (*c == '\n')
            line = text->length;
    }
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool is_identifier(const char *name) {
    if (!isalpha((unsigned char)name[0]))
        return false;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return false;
    return !kname_is_reserved(name);
}

static Status write_new(Diag *diag, const char *path, const Text *text) {
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    size_t done = 0;
    while (file >= 0 && done < text->length) {
        ssize_t some = write(file, text->data + done, text->length - done);
        if (some < 0 && errno == EINTR)
            continue;
        if (some <= 0)
            break;
        done += (size_t)some;
    }
    int error = errno;
    if (file >= 0 && close(file) == 0 && done == text->length)
        return STATUS_OK;
    diag_error(diag, (Span){0}, "cannot write %s: %s", path, strerror(error));
    if (error == EEXIST)
        diag_help(diag, "nothing was changed; choose another name");
    return STATUS_FILE;
}

Status new_program(const Options *options, Diag *diag) {
    const char *base = base_name(options->input);
    size_t length = strlen(base);
    if (length > 3 && strcmp(base + length - 3, ".nn") == 0)
        length -= 3;
    Text name = {0}, path = {0}, text = {0};
    text_add_length(&name, base, length);
    text_format(&path, "%.*s%s.nn", (int)(base - options->input), options->input, name.data);
    Status status = STATUS_USAGE;
    if (name.length == 0 || !is_identifier(name.data)) {
        diag_error(diag, (Span){0}, "%s cannot be the name of a model", options->input);
        diag_help(diag, "letters, digits and _, beginning with a letter, and no word of C: nnc new digits");
    } else {
        fill_in(&text, name.data);
        status = write_new(diag, path.data, &text);
    }
    if (status == STATUS_OK)
        printf("%s is a program to start from. Put your data into it, then: nnc run %s fit\n", path.data, path.data);
    text_free(&name);
    text_free(&path);
    text_free(&text);
    return status;
}
