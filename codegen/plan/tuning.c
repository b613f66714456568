/* The form of a contraction as a word, and the table of choices by form. */
#include "codegen/plan/tuning.h"
#include <string.h>
#include "codegen/plan/cost.h"

/* Parallel axes are a, b, .., reduced ones z, y, .. */
static char letter_of(const Nest *nest, int axis) {
    return (char)(axis < nest->parallel_count ? 'a' + axis : 'z' - (axis - nest->parallel_count));
}

static void add_index(Text *out, const Nest *nest, const KExpr *index) {
    bool any = false;
    for (int axis = 0; axis < nest->axis_count; axis++) {
        int64_t c;
        if (!kexpr_uses(index, nest->axes[axis].var))
            continue;
        if (any)
            text_add(out, "+");
        if (!kexpr_coefficient(index, nest->axes[axis].var, &c))
            text_add(out, "?");
        else if (c != 1)
            text_format(out, "%lld", (long long)c);
        text_format(out, "%c", letter_of(nest, axis));
        any = true;
    }
    if (!any)
        text_add(out, "0");
}

/* "a,x": indices in memory order; "|32": in panels along the first one. Rows that the caller shuffles are read as
 * others are. */
static void add_operands(Text *out, const Nest *nest, const KExpr *e) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind != KE_LOAD) {
        int count = kexpr_operands(e, operands);
        for (int i = 0; i < count; i++)
            add_operands(out, nest, operands[i]);
        return;
    }
    const KBuffer *b = e->load.buffer;
    text_add(out, ":");
    for (int i = 0; i < b->rank; i++) {
        if (i)
            text_add(out, ",");
        add_index(out, nest, e->load.index[b->order[i]]);
    }
    if (b->block)
        text_format(out, "|%d", b->block);
}

const char *tuning_form(const KProgram *p, const Nest *nest, int vector, int64_t block) {
    Text out = {0};
    for (int i = 0; i < nest->axis_count; i++)
        text_format(&out, "%c%lld%s%s", letter_of(nest, i), (long long)dim_size(nest->axes[i].extent, cost_batch(p)),
                    nest->axes[i].extent.batch ? "B" : "", i == vector ? "v" : "");
    if (block)
        text_format(&out, "/%lld", (long long)block);
    for (int i = 0; i < nest->reduction_count; i++)
        add_operands(&out, nest, nest->reductions[i].expr);
    text_format(&out, ":%lld", (long long)nest_epilogue_slots(nest));
    const char *form = arena_strdup(p->arena, out.data);
    text_free(&out);
    return form;
}

void tuning_ask(const KProgram *p, TileSeen *seen) {
    Tuning *t = p->tuning;
    if (!t)
        return;
    for (int i = 0; i < t->wanted_count; i++)
        if (strcmp(t->wanted[i].form, seen->choice.form) == 0) {
            int rows = t->wanted[i].rows, vectors = t->wanted[i].vectors;
            if (rows <= seen->most_rows && vectors <= seen->most_vectors && rows * vectors <= seen->accumulators) {
                seen->choice.rows = rows;
                seen->choice.vectors = vectors;
            }
        }
    ARENA_PUSH(p->arena, t->seen, t->seen_count, t->seen_capacity, *seen);
}

/* What is told of the nest's form, the last line first; NULL: nothing. */
static const TileChoice *told_of(const KProgram *p, const Nest *nest) {
    const Tuning *t = p->tuning;
    for (int i = t ? t->wanted_count - 1 : -1; i >= 0; i--)
        if (strcmp(t->wanted[i].form, nest->form) == 0 || strcmp(t->wanted[i].form, "*") == 0)
            return &t->wanted[i];
    return NULL;
}

/* Sets the form, and notes that there is such a contraction. */
static void note_form(const KProgram *p, Nest *nest) {
    Tuning *t = p->tuning;
    TileSeen seen = {.choice = {.form = tuning_form(p, nest, -1, 0)}};
    nest->form = seen.choice.form;
    if (t)
        ARENA_PUSH(p->arena, t->seen, t->seen_count, t->seen_capacity, seen);
}

int tuning_ask_gpu(const KProgram *p, Nest *nest) {
    note_form(p, nest);
    const TileChoice *told = told_of(p, nest);
    if (!told || told->library)
        return 0;
    nest->tile[0] = told->rows;
    nest->tile[1] = told->vectors;
    return told->parts;
}

TuningLibrary tuning_ask_library(const KProgram *p, Nest *nest) {
    note_form(p, nest);
    const TileChoice *told = told_of(p, nest);
    return !told ? TUNING_NOTHING : told->library ? TUNING_LIBRARY : TUNING_TILES;
}
