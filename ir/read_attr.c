/* Reads the attributes of an op, one function per kind of ops.def. */
#include <string.h>
#include "ir/names.h"
#include "ir/reader.h"

enum { FAR = 1 << 30 };

static bool read_none(Reader *reader, OpText *op) {
    (void)reader, (void)op;
    return true;
}

static bool read_constant(Reader *reader, OpText *op) {
    return reader_number(reader, &op->attr.constant);
}

static bool read_axis(Reader *reader, OpText *op) {
    int64_t axis;
    if (!reader_keyed_integer(reader, "axis", 0, MAX_RANK - 1, &axis))
        return false;
    op->attr.axis = (int)axis;
    return true;
}

static bool read_variable(Reader *reader, OpText *op) {
    return reader_variable(reader, &op->attr.variable);
}

static bool read_scalar(Reader *reader, OpText *op) {
    (void)reader, (void)op; /* the name of the op said it */
    return true;
}

/* KEY = [1, 2]; at most `most` numbers. */
static bool read_list(Reader *reader, const char *key, int64_t low, int most, int64_t *numbers, int *count) {
    *count = 0;
    if (!reader_accept_word(reader, key))
        return reader_expected(reader, arena_format(reader->arena, "`%s=[...]`", key));
    if (!reader_mark(reader, '=') || !reader_mark(reader, '['))
        return false;
    if (reader_accept_mark(reader, ']'))
        return true;
    do {
        if (*count == most)
            return reader_error(reader, reader->token.span, "`%s` has more than %d numbers", key, most);
        if (!reader_integer(reader, low, FAR, &numbers[(*count)++]))
            return false;
    } while (reader_accept_mark(reader, ','));
    return reader_mark(reader, ']');
}

/* The same with one number for each of `count` axes. */
static bool read_per_axis(Reader *reader, const char *key, int64_t low, int count, int64_t *numbers) {
    Span span = reader->token.span;
    int found;
    int64_t list[MAX_RANK];
    if (!read_list(reader, key, low, MAX_RANK, list, &found))
        return false;
    if (found != count)
        return reader_error(reader, span, "`%s` has %d number%s for %d ax%s", key, found, found == 1 ? "" : "s", count,
                            count == 1 ? "is" : "es");
    memcpy(numbers, list, sizeof *list * (size_t)count);
    return true;
}

static bool read_axis_list(Reader *reader, AxesAttr *axes) {
    int64_t numbers[MAX_RANK];
    if (!read_list(reader, "axes", 0, MAX_RANK, numbers, &axes->count))
        return false;
    for (int i = 0; i < axes->count; i++)
        axes->axes[i] = (int)numbers[i];
    return true;
}

static bool read_axes(Reader *reader, OpText *op) {
    return read_axis_list(reader, &op->attr.axes);
}

static int input_rank(const OpText *op) {
    return op->inputs[0]->type->rank;
}

static bool read_slice(Reader *reader, OpText *op) {
    return read_per_axis(reader, "start", 0, input_rank(op), op->attr.slice.start) &&
           read_per_axis(reader, "stride", 1, input_rank(op), op->attr.slice.stride);
}

static bool read_pad(Reader *reader, OpText *op) {
    return read_per_axis(reader, "low", -FAR, input_rank(op), op->attr.pad.low) &&
           read_per_axis(reader, "high", -FAR, input_rank(op), op->attr.pad.high) &&
           read_per_axis(reader, "interior", 0, input_rank(op), op->attr.pad.interior);
}

static bool read_reduce_kind(Reader *reader, ReduceKind *kind) {
    int choice;
    if (!reader_choice(reader, "reduction (sum, max or min)", reduce_names, 3, &choice))
        return false;
    *kind = (ReduceKind)choice;
    return true;
}

static bool read_reduce(Reader *reader, OpText *op) {
    return read_reduce_kind(reader, &op->attr.reduce.kind) && read_axis_list(reader, &op->attr.reduce.over);
}

static bool read_random(Reader *reader, OpText *op) {
    int choice;
    int64_t stream;
    if (!reader_choice(reader, "kind of random numbers (uniform or normal)", random_names, 2, &choice) ||
        !reader_keyed_integer(reader, "stream", 0, INT32_MAX, &stream))
        return false;
    op->attr.random = (RandomAttr){(RandomKind)choice, (int)stream};
    return true;
}

/* Labels up to the first other character; their number, or -1 if there are too many. */
static int take_labels(const char **text, int8_t *labels) {
    int count = 0;
    for (; **text >= 'a' && **text < 'a' + MAX_LABELS; ++*text) {
        if (count == MAX_RANK)
            return -1;
        labels[count++] = (int8_t)(**text - 'a');
    }
    return count;
}

static bool read_einsum(Reader *reader, OpText *op) {
    EinsumAttr *attr = &op->attr.einsum;
    Token token = reader->token;
    if (token.kind != TOKEN_STRING)
        return reader_expected(reader, "labels such as \"ab,bc->ac\"");
    const char *text = token.text;
    bool fits = take_labels(&text, attr->a) == op->inputs[0]->type->rank && *text == ',';
    text += fits;
    fits = fits && take_labels(&text, attr->b) == op->inputs[1]->type->rank && strncmp(text, "->", 2) == 0;
    text += fits ? 2 : 0;
    attr->out_rank = (int8_t)take_labels(&text, attr->out);
    if (!fits || attr->out_rank < 0 || *text)
        return reader_error(reader, token.span,
                            "the labels must look like \"ab,bc->ac\", letters a to %c, for %s and %s",
                            'a' + MAX_LABELS - 1, type_text(reader->arena, op->inputs[0]->type),
                            type_text(reader->arena, op->inputs[1]->type));
    reader_advance(reader);
    return true;
}

static bool read_window(Reader *reader, OpText *op) {
    WindowAttr *window = &op->attr.window;
    if (op_infos[op->code].op_class == CLASS_WINDOW && !read_reduce_kind(reader, &window->kind))
        return false;
    if (!read_list(reader, "size", 1, 3, window->size, &window->spatial))
        return false;
    return read_per_axis(reader, "stride", 1, window->spatial, window->stride) &&
           read_per_axis(reader, "dilation", 1, window->spatial, window->dilation) &&
           read_per_axis(reader, "low", -FAR, window->spatial, window->low) &&
           read_per_axis(reader, "high", -FAR, window->spatial, window->high);
}

static bool read_scan(Reader *reader, OpText *op) {
    int64_t steps, carried, sequences, reverse;
    if (!reader_keyed_integer(reader, "steps", 1, INT32_MAX, &steps) ||
        !reader_keyed_integer(reader, "carried", 0, INT16_MAX, &carried) ||
        !reader_keyed_integer(reader, "sequences", 0, INT16_MAX, &sequences) ||
        !reader_keyed_integer(reader, "reverse", 0, 1, &reverse))
        return false;
    op->attr.scan = (ScanAttr){(int)steps, (int)carried, (int)sequences, reverse != 0};
    return true;
}

static bool read_fusion(Reader *reader, OpText *op) {
    int64_t kind;
    if (!reader_keyed_integer(reader, "kind", 0, INT32_MAX, &kind))
        return false;
    op->attr.fusion.kind = (int)kind;
    return true;
}

typedef bool ReadFn(Reader *, OpText *);
static ReadFn *const readers[OP_COUNT] = {
#define OP(code, text, inputs, results, op_class, attributes, flags) [OP_##code] = read_##attributes,
#include "ir/ops.def"
#undef OP
};

bool reader_attr(Reader *reader, OpText *op) {
    return readers[op->code](reader, op);
}
