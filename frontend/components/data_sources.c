/* Where samples come from: the fields of DataSource (ir/program.h); the runtime reads the files. */
#include "frontend/components/components.h"

/* A column as the user writes it, "age", age or 3, as the runtime wants it: "age", "#3". NULL: neither. */
static const char *column_name(Arena *arena, const Expr *e) {
    if (e->kind == EXPR_STRING || e->kind == EXPR_NAME)
        return e->text;
    if (e->kind == EXPR_NUMBER && e->number.is_integer && e->number.value >= 0 && e->number.value < 1e9)
        return arena_format(arena, "#%d", (int)e->number.value);
    return NULL;
}

static bool absent(const Arg *arg) {
    return arg->is_none || !arg->expr || arg->expr->kind == EXPR_NONE;
}

static bool one_column(const Args *args, const char *name, Arena *arena, Diag *diag, const char **column) {
    const Arg *arg = arg_get(args, name);
    if (absent(arg) || (*column = column_name(arena, arg->expr)))
        return true;
    diag_error(diag, arg->span, "%s: `%s` is the name of a column or its position, counted from 0",
               args->component->name, name);
    return false;
}

static bool text_columns(const Args *args, const char *name, TextMode mode, Arena *arena, Diag *diag,
                         DataSource *source) {
    const Arg *arg = arg_get(args, name);
    if (absent(arg))
        return true;
    const Expr *e = arg->expr;
    bool is_list = e->kind == EXPR_LIST || e->kind == EXPR_TUPLE;
    int count = is_list ? e->list.count : 1, capacity = source->text_count;
    for (int i = 0; i < count; i++) {
        const Expr *item = is_list ? e->list.items[i] : e;
        TextColumn column = {column_name(arena, item), mode};
        if (!column.column) {
            diag_error(diag, item->span, "%s: `%s` lists columns by name or position, counted from 0",
                       args->component->name, name);
            return false;
        }
        for (int k = 0; k < source->text_count; k++)
            if (strcmp(source->text[k].column, column.column) == 0) {
                diag_error(diag, item->span, "%s: column %s is listed twice", args->component->name, column.column);
                return false;
            }
        ARENA_PUSH(arena, source->text, source->text_count, capacity, column);
    }
    return true;
}

static void rows(const Args *args, DataSource *source) {
    source->first = arg_int(args, "first");
    source->count = arg_is_none(args, "count") ? -1 : arg_int(args, "count");
    source->span = args->span;
}

static bool csv(const Args *args, Arena *arena, Diag *diag, DataSource *source) {
    const Arg *header = arg_get(args, "header");
    const char *separator = arg_text(args, "separator");
    *source = (DataSource){.kind = DATA_CSV,
                           .file = arg_text(args, "file"),
                           .header = header->is_none ? -1 : header->boolean,
                           .separator = separator[0]};
    rows(args, source);
    bool fine = one_column(args, "target", arena, diag, &source->target) &&
                one_column(args, "weight", arena, diag, &source->weight) &&
                text_columns(args, "one_hot", TEXT_ONE_HOT, arena, diag, source) &&
                text_columns(args, "index", TEXT_INDEX, arena, diag, source);
    if (strlen(separator) != 1 || strchr("\"\r\n", separator[0])) {
        diag_error(diag, arg_get(args, "separator")->span,
                   "csv: the separator is one character, and neither a quote nor the end of a line");
        fine = false;
    }
    return fine;
}

static bool arrays(const Args *args, DataKind kind, DataSource *source) {
    *source = (DataSource){.kind = kind, .file = arg_text(args, "file"), .header = -1, .separator = ','};
    source->target_file = arg_is_none(args, "target") ? NULL : arg_text(args, "target");
    rows(args, source);
    return true;
}
static bool idx(const Args *args, Arena *arena, Diag *diag, DataSource *source) {
    (void)arena, (void)diag;
    return arrays(args, DATA_IDX, source);
}
static bool npy(const Args *args, Arena *arena, Diag *diag, DataSource *source) {
    (void)arena, (void)diag;
    return arrays(args, DATA_NPY, source);
}

#define ROWS                                                                                                           \
    INT("first", "0", 0, 1e15, "rows before it are left out, counted from 0"),                                         \
        INT("count", "none", 1, 1e15, "how many rows are taken; none: all")
static const Parameter csv_parameters[] = {
    STRING("file", NULL, "the file"),
    ANY("target", "none",
        "the column of the target: name, or position counted from 0; none: the last (or as many as the model has "
        "outputs)"),
    ANY("weight", "none", "the column of sample weights; none: all count the same"),
    BOOLEAN("header", "none", "whether the first row holds names; none: decided from the file"),
    STRING("separator", "\",\"", "one character"),
    ANY("one_hot", "none", "list of text columns that become one input per word"),
    ANY("index", "none", "list of text columns that become the number of the word; a target may be listed"),
    ROWS,
    END};
static const Parameter idx_parameters[] = {STRING("file", NULL, "the inputs"),
                                           STRING("target", "none", "the file of the labels"), ROWS, END};
static const Parameter npy_parameters[] = {STRING("file", NULL, "the inputs; the first axis counts samples"),
                                           STRING("target", "none", "the file of the targets"), ROWS, END};

#define SOURCE_CHECK(text)                                                                                             \
    "model check {\nInput(3)\nDense(4, activation=tanh)\nDense(2, activation=softmax)\n}\ndata {\ntrain = " text       \
    "\n}\ncompile {\nloss = sparse_categorical_crossentropy\noptimizer = SGD(0.1)\n}" CHECK_FIT
const Component component_csv = {
    .kind = COMPONENT_DATA_SOURCE,
    .name = "csv",
    .parameters = csv_parameters,
    .summary = "Rows of a CSV file, one sample each.",
    .examples = LINES("train = csv(\"train.csv\", target=\"digit\")",
                      "train = csv(\"cars.csv\", target=\"price\", one_hot=[brand, fuel], weight=\"w\")"),
    .checks = LINES(SOURCE_CHECK("csv(\"train.csv\", target=\"y\")"),
                    SOURCE_CHECK("csv(\"train.csv\", target=0, header=false, separator=\";\", one_hot=[\"colour\", 3], "
                                 "index=city, first=1, count=100)"),
                    SOURCE_CHECK("csv(\"train.csv\", weight=w)")),
    .build.source = csv};
const Component component_idx = {
    .kind = COMPONENT_DATA_SOURCE,
    .name = "idx",
    .parameters = idx_parameters,
    .summary = "IDX files, the format of MNIST, also gzip.",
    .examples = LINES("train = idx(\"train-images-idx3-ubyte.gz\", \"train-labels-idx1-ubyte.gz\")"),
    .checks = LINES(SOURCE_CHECK("idx(\"images-idx3-ubyte.gz\", \"labels-idx1-ubyte.gz\", count=8000)")),
    .build.source = idx};
const Component component_npy = {.kind = COMPONENT_DATA_SOURCE,
                                 .name = "npy",
                                 .parameters = npy_parameters,
                                 .summary = "NumPy's array files.",
                                 .examples = LINES("train = npy(\"x.npy\", \"y.npy\")"),
                                 .checks = LINES(SOURCE_CHECK("npy(\"x.npy\", \"y.npy\", first=10)")),
                                 .build.source = npy};
