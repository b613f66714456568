/* Groups of equal kernels. Each gets one function: the body of one of its kernels, preferably of the training step,
 * with that kernel's names for buffers; and each kernel the list of what it passes. */
#include "codegen/emit/kernel_share.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    KKernel *kernel;
    KernelForm form;
    int rank; /* the place of its layer in the model */
} Member;

typedef struct {
    Member *members;
    int count, capacity;
} Group;

typedef struct {
    KProgram *program;
    Map *by_form, *ranks; /* ranks: int by name of a layer */
    Group **groups;
    int count, capacity;
} Groups;

static bool is_training(const KSequence *sequence) {
    return sequence->func && strcmp(sequence->func->name, "train_step") == 0;
}

/* The place of a kernel's layer in the model. */
static int rank_of(const Groups *g, const KKernel *k) {
    const Program *info = g->program->info;
    const int *rank = info && k->layer ? map_get(g->ranks, k->layer) : NULL;
    return rank ? *rank : info && k->layer ? info->layer_count : 0;
}

static Map *rank_layers(const KProgram *p) {
    Map *ranks = map_new(p->arena);
    for (int i = p->info ? p->info->layer_count - 1 : -1; i >= 0; i--) {
        int *rank = ARENA_NEW(p->arena, int);
        *rank = i;
        map_put(ranks, p->info->layers[i].name, rank);
    }
    return ranks;
}

/* Training steps come first; among their kernels the first layer of the model. */
static bool goes_before(const Member *a, const Member *b) {
    return a->kernel->func == b->kernel->func && a->rank < b->rank;
}

static void add_kernel(Groups *g, KKernel *k) {
    Arena *arena = g->program->arena;
    Member member = {.kernel = k, .rank = rank_of(g, k)};
    if (!k->body)
        return;
    kernel_form(&member.form, g->program, k);
    Group *group = map_get(g->by_form, member.form.text.data);
    if (!group) {
        group = ARENA_NEW(arena, Group);
        map_put(g->by_form, arena_strdup(arena, member.form.text.data), group);
        ARENA_PUSH(arena, g->groups, g->count, g->capacity, group);
    }
    text_free(&member.form.text);
    ARENA_PUSH(arena, group->members, group->count, group->capacity, member);
    for (int i = group->count - 1; i > 0 && goes_before(&member, &group->members[i - 1]); i--) {
        group->members[i] = group->members[i - 1];
        group->members[i - 1] = member;
    }
}

/* ---- names */

static bool is_taken(const KShared *shared, const char *name) {
    for (int i = 0; i < shared->parameter_count; i++)
        if (strcmp(shared->parameters[i].name, name) == 0)
            return true;
    for (int i = 0; i < shared->stream_count; i++)
        if (shared->streams[i] && strcmp(shared->streams[i], name) == 0)
            return true;
    for (int i = 0; i < shared->printed->local_count; i++)
        if (strcmp(shared->printed->locals[i]->name, name) == 0)
            return true;
    return kname_is_reserved(name);
}

static const char *parameter_name(const KProgram *p, const KShared *shared, const char *wanted) {
    const char *name = wanted;
    for (int suffix = 1; is_taken(shared, name); suffix++)
        name = arena_format(p->arena, "%s_%d", wanted, suffix);
    return name;
}

/* forward_dense is just dense in a function that belongs to no step. */
static const char *without_step(const KBuffer *b) {
    const Func *func = b->sequence ? b->sequence->func : NULL;
    if (b->space == SPACE_ARGUMENT && !b->alias && func) {
        const char *given = func->arg_names[b->argument]; /* x rather than the second function's x_1 */
        return strncmp(b->name, given, strlen(given)) == 0 ? given : b->name;
    }
    size_t length = func ? strlen(func->name) : 0;
    bool begins = length && strncmp(b->name, func->name, length) == 0 && b->name[length] == '_';
    return begins && isalpha((unsigned char)b->name[length + 1]) ? b->name + length + 1 : b->name;
}

/* The words at the end of both: kernel of dense_1_kernel and dense_2_kernel. Empty: none, or only a number. */
static const char *common_end(const char *a, const char *b) {
    size_t i = strlen(a), j = strlen(b);
    while (i > 0 && j > 0 && a[i - 1] == b[j - 1])
        i--, j--;
    const char *end = a + i;
    if (!((i == 0 || end[-1] == '_') && (j == 0 || b[j - 1] == '_')))
        end = strchr(end, '_') ? strchr(end, '_') + 1 : "";
    while (*end && !isalpha((unsigned char)*end))
        end = strchr(end, '_') ? strchr(end, '_') + 1 : "";
    return end;
}

/* What the buffers of all kernels have in common. */
static const char *buffer_name(const Group *g, int at) {
    const char *name = without_step(g->members[0].form.buffers[at]);
    for (int i = 1; i < g->count; i++)
        name = common_end(name, without_step(g->members[i].form.buffers[at]));
    return *name ? name : g->members[0].form.written[at] ? "out" : "in";
}

static const char *function_name(KProgram *p, const KKernel *k) {
    return kname_unique(p, k->layer && k->role ? arena_format(p->arena, "%s_%s", k->layer, k->role) : k->name);
}

/* ---- comments */

/* The number behind a name: 12 of dense_12, 0 of dense. *stem: the length of what stands before it. */
static int number_of(const char *name, size_t *stem) {
    size_t length = strlen(name), digits = 0;
    while (digits < length && digits < 8 && isdigit((unsigned char)name[length - 1 - digits]))
        digits++;
    bool numbered = digits > 0 && digits + 1 < length && name[length - 1 - digits] == '_';
    *stem = numbered ? length - digits - 1 : length;
    return numbered ? atoi(name + length - digits) : 0;
}

static bool follows(const char *name, const char *before) {
    size_t stem, stem_before;
    int number = number_of(name, &stem), number_before = number_of(before, &stem_before);
    return number == number_before + 1 && stem == stem_before && strncmp(name, before, stem) == 0;
}

static int by_rank(const void *a, const void *b) {
    const Member *x = *(const Member *const *)a, *y = *(const Member *const *)b;
    return x->rank != y->rank ? x->rank - y->rank : x < y ? -1 : x > y;
}

/* Layers in the order of the model, and NULL. */
static const char **sorted_layers(const KProgram *p, const Group *g) {
    const Member **members = ARENA_ARRAY(p->arena, const Member *, g->count);
    const char **layers = ARENA_ARRAY(p->arena, const char *, g->count + 1);
    for (int i = 0; i < g->count; i++)
        members[i] = &g->members[i];
    qsort(members, (size_t)g->count, sizeof *members, by_rank);
    for (int i = 0; i < g->count; i++)
        layers[i] = members[i]->kernel->layer;
    return layers;
}

/* The layers of a group, each once: "dense, dense_2, dense_4"; "dense_1 to dense_8". */
static int list_layers(const KProgram *p, Text *out, const Group *g) {
    const char *written = NULL, *last = NULL, **layers = sorted_layers(p, g);
    int count = 0;
    for (int i = 0; i <= g->count; i++) {
        const char *layer = layers[i];
        if (last && layer && (strcmp(layer, last) == 0 || follows(layer, last))) {
            count += strcmp(layer, last) != 0;
            last = layer;
            continue;
        }
        if (last != written)
            text_format(out, follows(last, written) ? ", %s" : " to %s", last);
        if (layer)
            text_format(out, "%s%s", out->length ? ", " : "", layer);
        count += layer != NULL;
        written = last = layer;
    }
    return count;
}

static int compare_lines(const void *a, const void *b) {
    return *(const int *)a - *(const int *)b;
}

/* "gpt.nn:6, 8, 12" */
static void list_lines(const KProgram *p, Text *out, const Group *g) {
    int *lines = ARENA_ARRAY(p->arena, int, g->count), count = 0, column;
    for (int i = 0; i < g->count; i++)
        if (g->members[i].kernel->span.file)
            span_locate(g->members[i].kernel->span, &lines[count++], &column);
    qsort(lines, (size_t)count, sizeof *lines, compare_lines);
    for (int i = 0; i < count; i++)
        if (i == 0)
            text_format(out, "%s:%d", g->members[0].kernel->span.file->name, lines[i]);
        else if (lines[i] != lines[i - 1])
            text_format(out, ", %d", lines[i]);
}

static bool is_in_sequence(const Group *g, const KSequence *sequence) {
    for (int i = 0; i < g->count; i++)
        if (g->members[i].kernel->func == sequence->func)
            return true;
    return false;
}

/* What the printed kernel computes, for which layers, and in which functions. */
static const char *comment_of(const KProgram *p, const Group *g) {
    Text layers = {0}, lines = {0}, steps = {0};
    for (int i = 0; i < p->sequence_count; i++)
        if (p->sequences[i]->func && is_in_sequence(g, p->sequences[i]))
            text_format(&steps, "%s%s", steps.length ? ", " : "", p->sequences[i]->func->name);
    const char *own = g->members[0].kernel->comment ? g->members[0].kernel->comment : "", *text;
    list_lines(p, &lines, g);
    if (list_layers(p, &layers, g) > 1)
        text = arena_format(p->arena, "%s\nFor %s%s%s%s; in %s", own, layers.data, lines.length ? " (" : "",
                            lines.length ? lines.data : "", lines.length ? ")" : "", steps.data);
    else
        text = steps.length ? arena_format(p->arena, "%s\nIn %s", own, steps.data) : own;
    text_free(&layers);
    text_free(&lines);
    text_free(&steps);
    return text;
}

/* ---- functions */

static bool is_alone(const KernelForm *f, int at) {
    for (int i = 0; i < f->buffer_count; i++)
        if (i != at && kbuffer_overlaps(f->buffers[i], f->buffers[at]))
            return false;
    return true;
}

static void name_buffers(const KProgram *p, const Group *g, KShared *shared) {
    const KernelForm *form = &g->members[0].form;
    shared->parameters = ARENA_ARRAY(p->arena, KParameter, form->buffer_count + 1);
    for (int i = 0; i < form->buffer_count; i++) {
        const char *name = parameter_name(p, shared, buffer_name(g, i));
        shared->parameters[shared->parameter_count++] = (KParameter){name, form->written[i], is_alone(form, i)};
    }
}

static void name_streams(const KProgram *p, const Group *g, KShared *shared) {
    shared->stream_count = g->members[0].form.stream_count;
    shared->streams = ARENA_ARRAY(p->arena, const char *, shared->stream_count + 1);
    for (int s = 0; s < shared->stream_count; s++)
        for (int i = 1; i < g->count && !shared->streams[s]; i++)
            if (g->members[i].form.streams[s] != g->members[0].form.streams[s])
                shared->streams[s] = parameter_name(p, shared, "stream");
}

static void share(KProgram *p, const Group *g) {
    KShared *shared = ARENA_NEW(p->arena, KShared);
    shared->printed = g->members[0].kernel;
    shared->kernel_count = g->count;
    shared->name = function_name(p, shared->printed);
    shared->comment = comment_of(p, g);
    name_buffers(p, g, shared);
    name_streams(p, g, shared);
    for (int i = 0; i < g->count; i++) {
        g->members[i].kernel->shared = shared;
        g->members[i].kernel->passed = g->members[i].form.buffers;
        g->members[i].kernel->streams = g->members[i].form.streams;
    }
    ARENA_PUSH(p->arena, p->shared, p->shared_count, p->shared_capacity, shared);
}

void kernel_share(KProgram *p) {
    Groups g = {.program = p, .by_form = map_new(p->arena), .ranks = rank_layers(p)};
    p->shared_count = 0;
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            p->sequences[s]->kernels[k]->shared = NULL;
    for (int training = 1; training >= 0; training--)
        for (int s = 0; s < p->sequence_count; s++)
            for (int k = 0; k < p->sequences[s]->count && is_training(p->sequences[s]) == training; k++)
                add_kernel(&g, p->sequences[s]->kernels[k]);
    for (int i = 0; i < g.count; i++)
        if (g.groups[i]->count > 1)
            share(p, g.groups[i]);
}
