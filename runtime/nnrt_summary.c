/* Keras' summary (keras/src/utils/summary_utils.py) as the rich library draws it: a table with a heavy header, a rule
 * between rows, cells wrapped at words; then the sums, and what memory the program takes. Needs: nnrt_summary.h. */
#include "nnrt_summary.h"
#include "nnrt_storage.h"

#include <string.h>

enum { SUMMARY_COLUMNS = 3, SUMMARY_WIDEST = 88, SUMMARY_NARROWEST = 24, SUMMARY_CELL = 512 };

/* The pieces of a horizontal line: left end, stroke, crossing, right end. */
typedef struct {
    const char *left, *stroke, *cross, *right;
} SummaryRule;
enum { SUMMARY_TOP, SUMMARY_UNDER_HEADER, SUMMARY_BETWEEN, SUMMARY_BOTTOM, SUMMARY_RULES };
static const SummaryRule summary_utf8_rules[SUMMARY_RULES] = {
    {"┏", "━", "┳", "┓"}, {"┡", "━", "╇", "┩"}, {"├", "─", "┼", "┤"}, {"└", "─", "┴", "┘"}};
static const SummaryRule summary_ascii_rules[SUMMARY_RULES] = {
    {"+", "-", "-", "+"}, {"|", "-", "+", "|"}, {"|", "-", "+", "|"}, {"+", "-", "-", "+"}};

typedef struct {
    FILE *out;
    const nnrt_summary_style *style;
    int width[SUMMARY_COLUMNS]; /* of the text; a blank stands on either side */
} SummaryTable;

char *nnrt_grouped_number(char *text, int64_t number) {
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)number), used = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = 0;
    return text;
}

nnrt_summary nnrt_summary_of(const nnrt_program *program) {
    nnrt_summary summary = {.name = program->name,
                            .layers = program->layers,
                            .layer_count = program->layer_count,
                            .arena_bytes = program->arena_bytes,
                            .model_bytes = program->model_bytes};
    int64_t sums[NNRT_PREPROCESS + 1] = {0};
    for (int i = 0; i < program->variable_count; i++)
        sums[program->variables[i].role] += nnrt_variable_elements(&program->variables[i]);
    summary.trainable = sums[NNRT_TRAINABLE];
    summary.non_trainable = sums[NNRT_NON_TRAINABLE];
    summary.optimizer = sums[NNRT_OPTIMIZER];
    summary.preprocessing = sums[NNRT_PREPROCESS];
    return summary;
}

/* Columns take 45, 35 and 20 % of the line. Rich adds two blanks to each and then takes the excess away evenly, half
 * to even; so the shares here look odd. */
static void summary_widths(int columns, int width[SUMMARY_COLUMNS]) {
    int line = columns - 4 < SUMMARY_WIDEST ? columns - 4 : SUMMARY_WIDEST;
    if (line < SUMMARY_NARROWEST)
        line = SUMMARY_NARROWEST;
    int first = (int)(0.45 * line), second = (int)(0.80 * line);
    width[0] = first;
    width[1] = second - first;
    width[2] = line - second;
    width[0] -= 3; /* 3 + 4 + 3: the blanks beside three cells, and four lines */
    width[1] -= 4;
    width[2] -= 3;
}

static void summary_rule(const SummaryTable *table, int which) {
    const SummaryRule *rule = &(table->style->utf8 ? summary_utf8_rules : summary_ascii_rules)[which];
    for (int i = 0; i < SUMMARY_COLUMNS; i++) {
        fputs(i == 0 ? rule->left : rule->cross, table->out);
        for (int k = 0; k < table->width[i] + 2; k++)
            fputs(rule->stroke, table->out);
    }
    fprintf(table->out, "%s\n", rule->right);
}

/* The length of the next line of a cell: as many whole words as fit, or a piece of a word that is too long. Names and
 * shapes are ASCII. */
static int summary_line_length(const char *text, int width) {
    int length = (int)strlen(text);
    if (length <= width)
        return length;
    for (int i = width; i > 0; i--)
        if (text[i] == ' ')
            return i;
    return width;
}

static void summary_row(const SummaryTable *table, const char *const cells[SUMMARY_COLUMNS], const char *line_mark) {
    const char *rest[SUMMARY_COLUMNS] = {cells[0], cells[1], cells[2]};
    do {
        for (int i = 0; i < SUMMARY_COLUMNS; i++) {
            int length = summary_line_length(rest[i], table->width[i]), blanks = table->width[i] - length;
            int before = i == SUMMARY_COLUMNS - 1 ? blanks : 0;
            fprintf(table->out, "%s %*s%.*s%*s ", line_mark, before, "", length, rest[i], blanks - before, "");
            rest[i] += length;
            rest[i] += strspn(rest[i], " ");
        }
        fprintf(table->out, "%s\n", line_mark);
    } while (*rest[0] || *rest[1] || *rest[2]);
}

static void summary_layer(const SummaryTable *table, const nnrt_layer *layer) {
    char name[SUMMARY_CELL], parameters[32];
    snprintf(name, sizeof name, "%s (%s)", layer->name, layer->type);
    const char *cells[SUMMARY_COLUMNS] = {name, layer->output_shape,
                                          nnrt_grouped_number(parameters, layer->parameters)};
    summary_row(table, cells, table->style->utf8 ? "│" : "|");
}

static void summary_memory_text(char *text, size_t size, double bytes) {
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB"};
    int unit = 0;
    for (; bytes / 1024 >= 1 && unit < 5; unit++)
        bytes /= 1024;
    snprintf(text, size, "%.2f %s", bytes, units[unit]);
}

static void summary_sum(const SummaryTable *table, const char *title, int64_t number, double bytes) {
    char digits[32], memory[64];
    summary_memory_text(memory, sizeof memory, bytes);
    bool color = table->style->color;
    fprintf(table->out, "%s %s: %s%s (%s)\n", color ? "\x1b[1m" : "", title, color ? "\x1b[0m" : "",
            nnrt_grouped_number(digits, number), memory);
}

static void summary_sums(const SummaryTable *table, const nnrt_summary *summary) {
    int64_t total = summary->trainable + summary->non_trainable + summary->preprocessing + summary->optimizer;
    summary_sum(table, "Total params", total, 4.0 * (double)total);
    summary_sum(table, "Trainable params", summary->trainable, 4.0 * (double)summary->trainable);
    summary_sum(table, "Non-trainable params", summary->non_trainable, 4.0 * (double)summary->non_trainable);
    if (summary->preprocessing > 0)
        summary_sum(table, "Preprocessing params", summary->preprocessing, 4.0 * (double)summary->preprocessing);
    if (summary->optimizer > 0)
        summary_sum(table, "Optimizer params", summary->optimizer, 4.0 * (double)summary->optimizer);
    if (summary->arena_bytes > 0)
        summary_sum(table, "Arena bytes", (int64_t)summary->arena_bytes, (double)summary->arena_bytes);
    if (summary->model_bytes > 0)
        summary_sum(table, "Bytes in all", (int64_t)summary->model_bytes, (double)summary->model_bytes);
}

void nnrt_summary_print(FILE *out, const nnrt_summary *summary, const nnrt_summary_style *style) {
    static const char *const header[SUMMARY_COLUMNS] = {"Layer (type)", "Output Shape", "Param #"};
    SummaryTable table = {.out = out, .style = style};
    summary_widths(style->columns, table.width);
    fprintf(out, "%sModel: \"%s\"%s\n", style->color ? "\x1b[1m" : "", summary->name, style->color ? "\x1b[0m" : "");
    summary_rule(&table, SUMMARY_TOP);
    summary_row(&table, header, style->utf8 ? "┃" : "|");
    summary_rule(&table, SUMMARY_UNDER_HEADER);
    for (int i = 0; i < summary->layer_count; i++) {
        if (i > 0)
            summary_rule(&table, SUMMARY_BETWEEN);
        summary_layer(&table, &summary->layers[i]);
    }
    summary_rule(&table, SUMMARY_BOTTOM);
    summary_sums(&table, summary);
}
