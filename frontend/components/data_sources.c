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

/* What every reader of a CSV file is told. */
static bool csv_file(const Args *args, Arena *arena, Diag *diag, DataSource *source) {
    (void)arena;
    const Arg *header = arg_get(args, "header");
    const char *separator = arg_text(args, "separator");
    *source = (DataSource){.kind = DATA_CSV,
                           .file = arg_text(args, "file"),
                           .header = header->is_none ? -1 : header->boolean,
                           .separator = separator[0]};
    rows(args, source);
    if (strlen(separator) == 1 && !strchr("\"\r\n", separator[0]))
        return true;
    diag_error(diag, arg_get(args, "separator")->span,
               "%s: the separator is one character, and neither a quote nor the end of a line", args->component->name);
    return false;
}

/* Names or positions; NULL after an error. */
static const char **column_list(const Args *args, const char *name, Arena *arena, Diag *diag, int *count) {
    const Arg *arg = arg_get(args, name);
    const Expr *e = arg->expr;
    bool is_list = !absent(arg) && (e->kind == EXPR_LIST || e->kind == EXPR_TUPLE);
    *count = absent(arg) ? 0 : is_list ? e->list.count : 1;
    const char **columns = ARENA_ARRAY(arena, const char *, *count + 1);
    for (int i = 0; i < *count; i++) {
        const Expr *item = is_list ? e->list.items[i] : e;
        if (!(columns[i] = column_name(arena, item))) {
            diag_error(diag, item->span, "%s: `%s` lists columns by name or position, counted from 0",
                       args->component->name, name);
            return NULL;
        }
        for (int k = 0; k < i; k++)
            if (strcmp(columns[k], columns[i]) == 0) {
                diag_error(diag, item->span, "%s: column %s is listed twice", args->component->name, columns[i]);
                return NULL;
            }
    }
    return columns;
}

/* One column, or for a model with several outputs a list of them. */
static bool target_columns(const Args *args, Arena *arena, Diag *diag, DataSource *source) {
    const Expr *e = arg_get(args, "target")->expr;
    if (!e || (e->kind != EXPR_LIST && e->kind != EXPR_TUPLE))
        return one_column(args, "target", arena, diag, &source->target);
    source->targets = column_list(args, "target", arena, diag, &source->target_count);
    if (!source->targets)
        return false;
    source->target = source->target_count ? source->targets[0] : NULL;
    if (source->target_count < 2)
        source->target_count = 0;
    return true;
}

static bool is_listed(const DataSource *source, const char *column) {
    for (int i = 0; column && i < source->column_count; i++)
        if (strcmp(source->columns[i], column) == 0)
            return true;
    return false;
}

/* The columns of the inputs, where they are listed: the target is none of them, columns of words are. */
static bool input_columns(const Args *args, Arena *arena, Diag *diag, DataSource *source) {
    Span span = arg_get(args, "columns")->span;
    source->columns = column_list(args, "columns", arena, diag, &source->column_count);
    if (!source->columns || source->column_count == 0)
        return source->columns != NULL;
    const char *const others[] = {source->target, source->weight}, *const roles[] = {"target", "sample weight"};
    for (int i = 0; i < 2; i++)
        if (is_listed(source, others[i])) {
            diag_error(diag, span, "csv: column %s is the %s, it cannot be an input", others[i], roles[i]);
            return false;
        }
    for (int i = 0; i < source->text_count; i++) {
        const char *words = source->text[i].column;
        if (is_listed(source, words) || (source->target && strcmp(source->target, words) == 0))
            continue;
        diag_error(diag, span, "csv: column %s holds words, but is not among the inputs", words);
        diag_help(diag, "add it to `columns`, or leave it out of one_hot and index");
        return false;
    }
    return true;
}

static bool csv(const Args *args, Arena *arena, Diag *diag, DataSource *source) {
    bool fine = csv_file(args, arena, diag, source);
    return target_columns(args, arena, diag, source) && one_column(args, "weight", arena, diag, &source->weight) &&
           text_columns(args, "one_hot", TEXT_ONE_HOT, arena, diag, source) &&
           text_columns(args, "index", TEXT_INDEX, arena, diag, source) && input_columns(args, arena, diag, source) &&
           fine;
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

static bool text(const Args *args, Arena *arena, Diag *diag, DataSource *source) {
    (void)arena, (void)diag;
    *source = (DataSource){.kind = DATA_TEXT, .file = arg_text(args, "file"), .header = -1, .separator = ','};
    source->window = arg_int(args, "window");
    source->stride = arg_int(args, "stride");
    rows(args, source);
    return true;
}

static bool windows(const Args *args, Arena *arena, Diag *diag, DataSource *source) {
    DataSource file;
    if (!csv_file(args, arena, diag, &file))
        return false;
    *source = file;
    source->kind = DATA_WINDOWS;
    source->window = arg_int(args, "length");
    source->horizon = arg_int(args, "horizon");
    source->stride = arg_int(args, "stride");
    source->columns = column_list(args, "columns", arena, diag, &source->column_count);
    source->targets = column_list(args, "target", arena, diag, &source->target_count);
    return source->columns && source->targets;
}

#define ROWS                                                                                                           \
    INT("first", "0", 0, 1e15, "rows before it are left out, counted from 0"),                                         \
        INT("count", "none", 1, 1e15, "how many rows are taken; none: all")
static const Parameter csv_parameters[] = {
    STRING("file", NULL, "the file"),
    ANY("target", "none",
        "the column of the target: name, or position counted from 0; a list: one column for each output; none: the "
        "last (or as many as the model has outputs)"),
    ANY("weight", "none", "the column of sample weights; none: all count the same"),
    BOOLEAN("header", "none", "whether the first row holds names; none: decided from the file"),
    STRING("separator", "\",\"", "one character"),
    ANY("one_hot", "none", "list of text columns that become one input per word"),
    ANY("index", "none", "list of text columns that become the number of the word; a target may be listed"),
    ANY("columns", "none",
        "list of the columns of the inputs, by name or position counted from 0; none: all but target and weight"),
    ROWS,
    END};
static const Parameter text_parameters[] = {
    STRING("file", NULL, "the file, UTF-8"),
    CHOICE("level", "char", "char", "what is numbered: characters"),
    INT("window", "none", 1, 1e6, "characters of a sample; none: as many as the model's Input takes"),
    INT("stride", "none", 1, 1e9, "from the beginning of one window to the next; none: windows lie side by side"),
    INT("first", "0", 0, 1e15, "characters before it are left out, counted from 0"),
    INT("count", "none", 1, 1e15, "how many characters are taken; none: all"),
    END};
static const Parameter windows_parameters[] = {
    STRING("file", NULL, "a CSV file, one row for each point in time"),
    INT("length", "none", 1, 1e6, "rows of a sample; none: the first axis of the model's Input"),
    INT("horizon", "1", 1, 1e9, "the target is so many rows behind the last one of the window"),
    ANY("target", "none", "column or list of columns to predict; none: the last of the inputs"),
    ANY("columns", "none", "list of the columns of the inputs, by name or position counted from 0; none: all"),
    INT("stride", "1", 1, 1e9, "rows from the beginning of one window to the next"),
    BOOLEAN("header", "none", "whether the first row holds names; none: decided from the file"),
    STRING("separator", "\",\"", "one character"),
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
                      "train = csv(\"cars.csv\", target=\"price\", one_hot=[brand, fuel], weight=\"w\")",
                      "train = csv(\"cars.csv\", target=\"price\", columns=[year, km, fuel], one_hot=[fuel])"),
    .checks = LINES(SOURCE_CHECK("csv(\"train.csv\", target=\"y\")"),
                    SOURCE_CHECK("csv(\"train.csv\", target=0, header=false, separator=\";\", one_hot=[\"colour\", 3], "
                                 "index=city, first=1, count=100)"),
                    SOURCE_CHECK("csv(\"train.csv\", target=y, columns=[c, \"a\", 1], index=[c])"),
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

#define CHARACTERS_CHECK(text, layers)                                                                                 \
    "model check {\nInput(3)\n" layers "}\ndata {\ntrain = " text "\nscale(1/4)\n}\ncompile {\n"                       \
    "loss = sparse_categorical_crossentropy\noptimizer = SGD(0.1)\nmetrics = [accuracy]\n}" CHECK_FIT
const Component component_text = {
    .kind = COMPONENT_DATA_SOURCE,
    .name = "text",
    .parameters = text_parameters,
    .summary = "Windows of a text as numbers of characters; the target is the next one, at each position or behind.",
    .examples = LINES("train = text(\"plays.txt\", window=64)",
                      "train = text(\"plays.txt\", level=char, window=64, stride=16, count=1000000)"),
    .checks = LINES(CHARACTERS_CHECK("text(\"plays.txt\", window=3)", "Dense(4, activation=softmax)\n"),
                    CHARACTERS_CHECK("text(\"plays.txt\", stride=1)",
                                     "Reshape((3, 1))\nDense(4, activation=tanh)\nDense(5, activation=softmax)\n")),
    .build.source = text};
const Component component_windows = {
    .kind = COMPONENT_DATA_SOURCE,
    .name = "windows",
    .parameters = windows_parameters,
    .summary = "Time series: windows of rows of a CSV file; the target is in a later row.",
    .examples = LINES("train = windows(\"weather.csv\", length=24, target=temperature)",
                      "train = windows(\"weather.csv\", length=24, horizon=6, target=temperature, "
                      "columns=[temperature, pressure], count=5000)"),
    .checks = LINES("model check {\nInput((4, 2))\nFlatten()\nDense(3, activation=tanh)\nDense(1)\n}\n"
                    "data {\ntrain = windows(\"weather.csv\", length=4, horizon=2, target=t, columns=[t, p])\n"
                    "standardize()\n}\ncompile {\nloss = mse\noptimizer = SGD(0.1)\n}" CHECK_FIT),
    .build.source = windows};
