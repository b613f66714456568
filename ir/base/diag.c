/* Collects what the user is told and prints it in source order. The drawing of source lines is in snippet.c. */
#include "ir/base/diag.h"
#include <stdlib.h>
#include <string.h>
#include "ir/base/snippet.h"

enum { KEPT_MESSAGES = 4096 }; /* more are only counted: nobody reads them, and memory stays bounded */

typedef struct Message {
    DiagKind kind;
    Span span;
    const char *text;
    int order;             /* of reporting: keeps the sort stable */
    struct Message *more;  /* notes and helps of an error or warning */
    struct Message **tail; /* where the next of them goes */
} Message;

struct Diag {
    Arena *arena;
    Message **messages;
    int count, capacity;
    int errors, warnings;
    int unkept[2]; /* errors and warnings that were only counted since the last print */
    Message *last; /* error or warning that notes and helps belong to; NULL: it was not kept */
    Map *seen;     /* texts of errors, to say nothing twice at one place */
};

Diag *diag_new(Arena *arena) {
    Diag *diag = ARENA_NEW(arena, Diag);
    diag->arena = arena;
    diag->seen = map_new(arena);
    return diag;
}

static const char *format_in_arena(Arena *arena, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    char *text = arena_alloc(arena, length < 0 ? 1 : (size_t)length + 1);
    if (length > 0)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

/* The place and the text of a message are said once. */
static bool seen_before(Diag *diag, const Message *message) {
    const char *key = arena_format(diag->arena, "%s:%u:%u:%d:%s", message->span.file ? message->span.file->name : "",
                                   message->span.start, message->span.end, (int)message->kind, message->text);
    if (map_get(diag->seen, key))
        return true;
    map_put(diag->seen, key, diag);
    return false;
}

static void diag_add(Diag *diag, DiagKind kind, Span span, const char *format, va_list arguments) {
    bool heads = kind == DIAG_ERROR || kind == DIAG_WARNING;
    if (heads ? diag->count >= KEPT_MESSAGES : !diag->last) {
        if (heads) {
            diag->last = NULL;
            diag->unkept[kind]++;
            diag->errors += kind == DIAG_ERROR;
            diag->warnings += kind == DIAG_WARNING;
        }
        return;
    }
    Message *message = ARENA_NEW(diag->arena, Message);
    *message = (Message){.kind = kind, .span = span, .order = diag->count};
    message->text = format_in_arena(diag->arena, format, arguments);
    message->tail = &message->more;
    if (!heads) {
        *diag->last->tail = message;
        diag->last->tail = &message->more;
        return;
    }
    diag->last = NULL;
    if (seen_before(diag, message))
        return;
    diag->last = message;
    diag->errors += kind == DIAG_ERROR;
    diag->warnings += kind == DIAG_WARNING;
    ARENA_PUSH(diag->arena, diag->messages, diag->count, diag->capacity, message);
}

#define DIAG_FORWARD(kind, span)                                                                                       \
    do {                                                                                                               \
        va_list arguments;                                                                                             \
        va_start(arguments, format);                                                                                   \
        diag_add(diag, kind, span, format, arguments);                                                                 \
        va_end(arguments);                                                                                             \
    } while (0)

void diag_error(Diag *diag, Span span, const char *format, ...) {
    DIAG_FORWARD(DIAG_ERROR, span);
}

void diag_warning(Diag *diag, Span span, const char *format, ...) {
    DIAG_FORWARD(DIAG_WARNING, span);
}

void diag_note(Diag *diag, Span span, const char *format, ...) {
    DIAG_FORWARD(DIAG_NOTE, span);
}

void diag_help(Diag *diag, const char *format, ...) {
    DIAG_FORWARD(DIAG_HELP, ((Span){0}));
}

void diag_internal(Diag *diag, Span span, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const char *text = format_in_arena(diag->arena, format, arguments);
    va_end(arguments);
    diag_error(diag, span, "internal error: %s", text);
    diag_help(diag, "this is a bug of nnc, not of your program; please report it with this message and the program");
}

int diag_errors(const Diag *diag) {
    return diag->errors;
}

int diag_warnings(const Diag *diag) {
    return diag->warnings;
}

/* By file, then place, then order of reporting; messages without a place come last. */
static int compare_messages(const void *left, const void *right) {
    const Message *a = *(Message *const *)left, *b = *(Message *const *)right;
    if (!a->span.file != !b->span.file)
        return a->span.file ? -1 : 1;
    if (a->span.file && a->span.file != b->span.file) {
        int names = strcmp(a->span.file->name, b->span.file->name);
        if (names)
            return names;
    }
    if (a->span.file && a->span.start != b->span.start)
        return a->span.start < b->span.start ? -1 : 1;
    return a->order - b->order;
}

static void print_message(Text *out, const Message *message, bool color) {
    static const char *const kind_names[] = {"error", "warning", "note", "help"};
    static const char *const kind_colors[] = {"\033[1;31m", "\033[1;35m", "\033[1;36m", "\033[1;32m"};
    const char *paint = color ? kind_colors[message->kind] : "", *bold = color ? "\033[1m" : "";
    const char *plain = color ? "\033[0m" : "";
    if (message->span.file) {
        int line, column;
        span_locate(message->span, &line, &column);
        text_format(out, "%s%s:%d:%d:%s ", bold, message->span.file->name, line, column, plain);
    }
    text_format(out, "%s%s:%s ", paint, kind_names[message->kind], plain);
    text_format(out, "%s%s%s\n", message->kind <= DIAG_WARNING ? bold : "", message->text,
                message->kind <= DIAG_WARNING ? plain : "");
    if (message->span.file)
        snippet_print(out, message->span, paint, plain);
}

static void print_rest(Text *out, int count, const char *what) {
    if (count > 0)
        text_format(out, "and %d more %s%s\n", count, what, count == 1 ? "" : "s");
}

void diag_print(Diag *diag, Text *out, bool color) {
    if (diag->count)
        qsort(diag->messages, (size_t)diag->count, sizeof *diag->messages, compare_messages);
    int printed[2] = {0}, left[2] = {diag->unkept[DIAG_ERROR], diag->unkept[DIAG_WARNING]};
    for (int i = 0; i < diag->count; i++) {
        const Message *message = diag->messages[i];
        if (printed[message->kind] == DIAG_LIMIT) {
            left[message->kind]++;
            continue;
        }
        printed[message->kind]++;
        for (; message; message = message->more)
            print_message(out, message, color);
    }
    print_rest(out, left[DIAG_ERROR], "error");
    print_rest(out, left[DIAG_WARNING], "warning");
    diag->messages = NULL;
    diag->count = diag->capacity = 0;
    diag->unkept[0] = diag->unkept[1] = 0;
    diag->last = NULL;
    diag->seen = map_new(diag->arena);
}
