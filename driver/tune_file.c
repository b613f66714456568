/* The file that `nnc tune` keeps beside a model, one line for each contraction:
 *
 *   nnc-tune 1 x86-64-v4
 *   tile a32Bb64v.. rows=8 vectors=2 default=4x2 ns=1860 default_ns=1990 kernel=train_dense_forward
 *
 * Lines that begin with # are comments. For a GPU it is written by hand: --emit=explain names the forms, * are all.
 *
 *   nnc-tune 1 sm_90
 *   tile a32Bb64.. rows=32 columns=64 parts=4
 *   tile a4096Bb1024.. library
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "codegen/kir/gpu_arch.h"
#include "driver/tune.h"

enum { MOST = 64 }; /* rows, vectors, parts */

const char *tune_path(Arena *arena, const char *input, bool on_gpu) {
    size_t length = strlen(input);
    if (strcmp(input, "-") == 0)
        return NULL;
    if (length > 3 && strcmp(input + length - 3, ".nn") == 0)
        length -= 3;
    return arena_format(arena, "%.*s%s.tune", (int)length, input, on_gpu ? ".gpu" : "");
}

/* ---- writing */
Status tune_write(Arena *arena, Diag *diag, const char *path, const char *input, const char *isa, const TuneLine *lines,
                  int count) {
    const char *fresh = arena_format(arena, "%s.new-%ld", path, (long)getpid());
    Text out = {0};
    text_format(
        &out,
        "# Tiles of the contractions of %s, measured by nnc tune. nnc reads this file where it lies beside the\n"
        "# program; --no-tune does without it. rows x vectors of a tile, nanoseconds of its kernels in a step.\n"
        "nnc-tune 1 %s\n",
        strrchr(input, '/') ? strrchr(input, '/') + 1 : input, isa);
    for (int i = 0; i < count; i++)
        text_format(&out, "tile %s rows=%d vectors=%d default=%dx%d ns=%.0f default_ns=%.0f kernel=%s\n",
                    lines[i].choice.form, lines[i].choice.rows, lines[i].choice.vectors, lines[i].default_rows,
                    lines[i].default_vectors, lines[i].nanoseconds, lines[i].default_nanoseconds, lines[i].kernel);
    Status status = write_output(diag, fresh, &out);
    text_free(&out);
    if (status == STATUS_OK && rename(fresh, path) != 0) {
        diag_error(diag, (Span){0}, "cannot write %s: %s", path, strerror(errno));
        unlink(fresh);
        status = STATUS_FILE;
    }
    return status;
}

/* ---- reading */
typedef struct {
    Pipeline *p;
    SourceFile *file;
    const char *isa;
    bool on_gpu;
    const char *at; /* of the line */
    Tuning *tuning;
    bool other_isa;
} Reader;

static Span span_of(const Reader *r, const char *from, size_t length) {
    uint32_t start = (uint32_t)(from - r->file->text);
    return (Span){r->file, start, start + (uint32_t)(length ? length : 1)};
}

static bool refuse(Reader *r, const char *from, size_t length, const char *expected) {
    diag_error(r->p->diag, span_of(r, from, length), "expected %s", expected);
    if (r->on_gpu)
        diag_help(r->p->diag, "--no-tune does without the file");
    else
        diag_help(r->p->diag, "nnc tune %s writes the file anew, --no-tune does without it", r->p->options->input);
    r->p->status = STATUS_PROGRAM;
    return false;
}

/* The next word of the line; its length. */
static size_t next_word(const char **at) {
    *at += strspn(*at, " \t\r");
    return strcspn(*at, " \t\r\n");
}

static bool read_number(const char *word, size_t length, const char *key, int most, int *value) {
    size_t skip = strlen(key);
    char *end;
    if (length <= skip || strncmp(word, key, skip) != 0)
        return false;
    long number = strtol(word + skip, &end, 10);
    *value = (int)number;
    return end == word + length && number >= 1 && number <= most;
}

static bool is_note(const char *word, size_t length) {
    static const char *const notes[] = {"default=", "ns=", "default_ns=", "kernel="};
    for (int i = 0; i < 4; i++)
        if (length > strlen(notes[i]) && strncmp(word, notes[i], strlen(notes[i])) == 0)
            return true;
    return false;
}

/* "rows=8" */
static bool read_choice(Reader *r, const char **at, const char *key, int *value) {
    size_t length = next_word(at);
    if (!read_number(*at, length, key, MOST, value))
        return refuse(r, *at, length, arena_format(r->p->arena, "%sN with N from 1 to %d", key, MOST));
    *at += length;
    return true;
}

static bool read_side(Reader *r, const char **at, const char *key, int *value) {
    size_t length = next_word(at);
    if (!read_number(*at, length, key, TUNING_GPU_MOST, value) || *value < TUNING_GPU_LEAST || (*value & (*value - 1)))
        return refuse(r, *at, length, arena_format(r->p->arena, "%sN with N of 16, 32, 64 or 128", key));
    *at += length;
    return true;
}

/* What a line says of a tile. */
static bool read_sizes(Reader *r, const char **at, TileChoice *choice) {
    choice->parts = 1;
    if (!r->on_gpu)
        return read_choice(r, at, "rows=", &choice->rows) && read_choice(r, at, "vectors=", &choice->vectors);
    size_t length = next_word(at);
    if (length == 7 && strncmp(*at, "library", length) == 0) {
        choice->library = true;
        *at += length;
        return true;
    }
    if (!read_side(r, at, "rows=", &choice->rows) || !read_side(r, at, "columns=", &choice->vectors))
        return false;
    return next_word(at) == 0 || is_note(*at, next_word(at)) || read_choice(r, at, "parts=", &choice->parts);
}

static bool read_tile(Reader *r, const char *at) {
    TileChoice choice = {0};
    size_t length = next_word(&at);
    if (!length)
        return refuse(r, at, length, "the form of a contraction");
    choice.form = arena_format(r->p->arena, "%.*s", (int)length, at);
    at += length;
    if (!read_sizes(r, &at, &choice))
        return false;
    for (; (length = next_word(&at)); at += length)
        if (!is_note(at, length))
            return refuse(r, at, length, "default=, ns=, default_ns= or kernel=");
    ARENA_PUSH(r->p->arena, r->tuning->wanted, r->tuning->wanted_count, r->tuning->wanted_capacity, choice);
    ARENA_PUSH(r->p->arena, r->tuning->places, r->tuning->place_count, r->tuning->place_capacity,
               (int)(r->at - r->file->text));
    return true;
}

/* "nnc-tune 1 x86-64-v4" */
static bool read_head(Reader *r, const char *at) {
    size_t length = next_word(&at);
    if (length != 8 || strncmp(at, "nnc-tune", length) != 0)
        return refuse(r, at, length, "`nnc-tune 1 ISA` as the first line of a file made by nnc tune");
    at += length;
    length = next_word(&at);
    if (length != 1 || *at != '1')
        return refuse(r, at, length, "version 1 of the file");
    at += length;
    length = next_word(&at);
    if (!length)
        return refuse(r, at, length, "the instruction set of the measurements");
    r->other_isa = strlen(r->isa) != length || strncmp(at, r->isa, length) != 0;
    if (r->other_isa)
        diag_warning(r->p->diag, span_of(r, at, length),
                     "measured for %.*s and not used for %s: tiles are chosen by rule", (int)length, at, r->isa);
    return true;
}

static bool read_lines(Reader *r) {
    bool head = false;
    for (r->at = r->file->text; *r->at && !r->other_isa; r->at += strcspn(r->at, "\n"), r->at += *r->at == '\n') {
        const char *at = r->at;
        size_t length = next_word(&at);
        if (!length || *at == '#')
            continue;
        if (!head) {
            head = true;
            if (!read_head(r, at))
                return false;
        } else if (length != 4 || strncmp(at, "tile", 4) != 0)
            return refuse(r, at, length,
                          r->on_gpu ? "a line `tile FORM rows=N columns=N parts=N` or `tile FORM library`"
                                    : "a line `tile FORM rows=N vectors=N`");
        else if (!read_tile(r, at + length))
            return false;
    }
    return head || refuse(r, r->file->text, 1, "`nnc-tune 1 ISA` as the first line of a file made by nnc tune");
}

Tuning *tune_read(Pipeline *p, const KIsa *isa) {
    bool on_gpu = isa->gpu != NULL;
    const char *path = tune_path(p->arena, p->options->input, on_gpu);
    size_t length = 0;
    char *text = path ? text_read_file(path, &length) : NULL;
    if (!text) {
        if (path && errno != ENOENT) {
            diag_error(p->diag, (Span){0}, "cannot read %s: %s", path, strerror(errno));
            diag_help(p->diag, "--no-tune does without it");
            p->status = STATUS_FILE;
        }
        return NULL;
    }
    Reader r = {.p = p, .isa = on_gpu ? isa->gpu->name : isa->name, .on_gpu = on_gpu};
    r.file = ARENA_NEW(p->arena, SourceFile);
    *r.file = (SourceFile){.name = path, .text = arena_copy(p->arena, text, length + 1), .length = length};
    free(text);
    r.tuning = ARENA_NEW(p->arena, Tuning);
    r.tuning->file = r.file;
    return read_lines(&r) && !r.other_isa ? r.tuning : NULL;
}

void tune_check(Pipeline *p) {
    const Tuning *t = p->kernels->tuning;
    for (int i = 0; t && t->file && i < t->wanted_count; i++) {
        bool found = false;
        for (int k = 0; k < t->seen_count; k++)
            found =
                found || strcmp(t->seen[k].choice.form, t->wanted[i].form) == 0 || strcmp(t->wanted[i].form, "*") == 0;
        const char *line = t->file->text + t->places[i];
        if (found)
            continue;
        uint32_t start = (uint32_t)t->places[i];
        Span span = {t->file, start, start + (uint32_t)strcspn(line, "\n")};
        if (p->kernels->isa.gpu) { /* written by hand: a slip must not go unseen */
            diag_error(p->diag, span, "no contraction of this program has the form %s", t->wanted[i].form);
            diag_help(p->diag,
                      "nnc %s --target=cuda --no-tune --emit=explain names the forms; --no-tune does without the file",
                      p->options->input);
            p->status = STATUS_PROGRAM;
            return;
        }
        diag_warning(p->diag, span, "no contraction of this program has the form %s: the line is not used",
                     t->wanted[i].form);
        diag_help(p->diag, "nnc tune %s measures anew", p->options->input);
    }
}
