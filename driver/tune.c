/* `nnc tune FILE`: times tiles for the contractions of a step on this machine.
 *
 * All tiles that fit the registers are ranked by the cost model. The best few of each contraction are built into
 * programs that time their kernels (codegen/emit/host_profile.c); contractions that share no kernel change in the same
 * program. What was fastest, and computes the same bits, goes to the file beside the model. */
#include "driver/tune.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "codegen/plan/cost.h"
#include "driver/tune_parts.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
    (void)number;
    interrupted = 1;
}

/* ---- what there is to choose */
static const KSequence *timed_sequence(const KProgram *k) {
    const KSequence *found = NULL;
    for (int i = 0; i < k->sequence_count; i++) {
        const char *name = k->sequences[i]->func->name;
        if (strcmp(name, "train_step") == 0 || (!found && strcmp(name, "forward") == 0))
            found = k->sequences[i];
    }
    return found;
}

static int kernel_number(const KSequence *sequence, const KKernel *kernel) {
    for (int i = 0; i < sequence->count; i++)
        if (sequence->kernels[i] == kernel)
            return i;
    return -1;
}

static Contraction *find_contraction(Tune *t, const char *form) {
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->items[i].seen.choice.form, form) == 0)
            return &t->items[i];
    return NULL;
}

static void add_tiles(Tune *t, Contraction *c) {
    int whole = c->seen.most_rows * c->seen.most_vectors, least = whole < 8 ? whole : 8;
    for (int vectors = 1; vectors <= c->seen.most_vectors; vectors++)
        for (int rows = 1; rows <= c->seen.most_rows && rows * vectors <= c->seen.accumulators; rows++)
            if (rows * vectors >= least && (rows != c->seen.choice.rows || vectors != c->seen.choice.vectors)) {
                Tile tile = {.rows = rows, .vectors = vectors};
                ARENA_PUSH(t->arena, c->tiles, c->tile_count, c->tile_capacity, tile);
            }
}

static void collect(Tune *t, const KProgram *k) {
    const KSequence *sequence = timed_sequence(k);
    t->kernel_count = sequence->count;
    t->kernel_names = ARENA_ARRAY(t->arena, const char *, sequence->count + 1);
    for (int i = 0; i < sequence->count; i++)
        t->kernel_names[i] = arena_strdup(t->arena, sequence->kernels[i]->name);
    for (int i = 0; i < k->tuning->seen_count; i++) {
        const TileSeen *seen = &k->tuning->seen[i];
        int kernel = kernel_number(sequence, seen->kernel);
        if (kernel < 0)
            continue;
        Contraction *c = find_contraction(t, seen->choice.form);
        if (!c) {
            Contraction fresh = {.seen = *seen, .in = ARENA_ARRAY(t->arena, bool, sequence->count + 1)};
            fresh.seen.choice.form = arena_strdup(t->arena, seen->choice.form);
            fresh.kernel = t->kernel_names[kernel];
            ARENA_PUSH(t->arena, t->items, t->count, t->capacity, fresh);
            c = &t->items[t->count - 1];
            add_tiles(t, c);
        }
        c->in[kernel] = true;
    }
}

/* Contractions of one kernel take turns: only one of them differs from the default in a program. */
static void take_turns(Tune *t) {
    t->turns = 0;
    for (int i = 0; i < t->count; i++) {
        for (int before = 0; before < i; before++)
            for (int k = 0; k < t->kernel_count; k++)
                if (t->items[i].in[k] && t->items[before].in[k] && t->items[before].turn >= t->items[i].turn)
                    t->items[i].turn = t->items[before].turn + 1;
        t->turns = t->items[i].turn + 1 > t->turns ? t->items[i].turn + 1 : t->turns;
    }
}

/* ---- one program: the model with some tiles forced */
static bool compile_with(Tune *t, Pipeline *p, Arena *arena, Diag *diag, Tuning *tuning) {
    t->options = *t->given;
    t->options.tuning = tuning;
    t->options.library = true;
    t->options.bundle = false;
    t->options.emit = EMIT_CODE;
    bool ok = pipeline_run(p, &t->options, arena, diag, STAGE_KERNELS);
    t->status = p->status;
    if (!ok && diag != t->diag) {
        diag_internal(t->diag, (Span){0}, "other tiles could not be made");
        t->status = STATUS_INTERNAL;
    }
    return ok;
}

static void want(Arena *arena, Tuning *tuning, const Contraction *c, const Tile *tile) {
    TileChoice choice = {c->seen.choice.form, tile->rows, tile->vectors, 1, false};
    ARENA_PUSH(arena, tuning->wanted, tuning->wanted_count, tuning->wanted_capacity, choice);
}

static double sum_of(const Contraction *c, const double *times, int count) {
    double sum = 0;
    for (int k = 0; k < count; k++)
        sum += c->in[k] ? times[k] : 0;
    return sum;
}

static void predict(const KProgram *k, double *times) {
    CostMachine machine = cost_machine(&k->isa);
    const KSequence *sequence = timed_sequence(k);
    Cost *costs = cost_sequence(k, &machine, sequence);
    for (int i = 0; i < sequence->count; i++)
        times[i] = costs[i].time;
}

/* Tile number `n` of every contraction whose turn it is: what the cost model says. */
static bool predict_tiles(Tune *t, int turn, int n) {
    Arena *arena = arena_new();
    Tuning tuning = {0};
    Pipeline p;
    double *times = ARENA_ARRAY(arena, double, t->kernel_count + 1);
    for (int i = 0; i < t->count; i++)
        if (t->items[i].turn == turn && n < t->items[i].tile_count)
            want(arena, &tuning, &t->items[i], &t->items[i].tiles[n]);
    bool ok = !tuning.wanted_count || compile_with(t, &p, arena, diag_new(arena), &tuning);
    if (ok && tuning.wanted_count) {
        predict(p.kernels, times);
        for (int i = 0; i < t->count; i++)
            if (t->items[i].turn == turn && n < t->items[i].tile_count)
                t->items[i].tiles[n].predicted = sum_of(&t->items[i], times, t->kernel_count);
    }
    if (tuning.wanted_count)
        pipeline_free(&p);
    arena_free(arena);
    return ok;
}

static int by_prediction(const void *a, const void *b) {
    double x = ((const Tile *)a)->predicted, y = ((const Tile *)b)->predicted;
    return (x > y) - (x < y);
}

static bool rank(Tune *t) {
    int most = 0;
    for (int i = 0; i < t->count; i++)
        most = t->items[i].tile_count > most ? t->items[i].tile_count : most;
    for (int turn = 0; turn < t->turns; turn++)
        for (int n = 0; n < most && !interrupted; n++)
            if (!predict_tiles(t, turn, n))
                return false;
    for (int i = 0; i < t->count; i++) {
        Contraction *c = &t->items[i];
        qsort(c->tiles, (size_t)c->tile_count, sizeof *c->tiles, by_prediction);
        c->tile_count = c->tile_count < TUNE_TRIED ? c->tile_count : TUNE_TRIED;
    }
    return !interrupted;
}

/* ---- timing */
static bool read_times(Tune *t, Build *b, const char *text) {
    int kernel;
    double time;
    char bits[32];
    bool has_bits = false;
    for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n')
        if (sscanf(at, "bits %31s", bits) == 1) {
            b->bits = strtoull(bits, NULL, 16);
            has_bits = true;
        } else if (sscanf(at, "%d %lf", &kernel, &time) == 2 && kernel >= 0 && kernel < t->kernel_count)
            b->times[kernel] = b->times[kernel] <= 0 || time < b->times[kernel] ? time : b->times[kernel];
    b->step = 0;
    for (int i = 0; i < t->kernel_count; i++)
        b->step += b->times[i];
    return has_bits;
}

static bool time_program(Tune *t, Build *b) {
    Text out = {0};
    int status = build_run(b->program, t->milliseconds, &out);
    bool ok = !interrupted && status == 0 && read_times(t, b, out.data ? out.data : "");
    if (!ok && !interrupted) {
        diag_error(t->diag, (Span){0}, "the program that times the kernels ended with %d", status);
        diag_help(t->diag, "it was compiled for --cpu=%s: does this machine run that?", t->given->cpu);
        t->status = STATUS_FILE;
    }
    text_free(&out);
    return ok;
}

/* Compilers take their time; who sits there wants to see that something happens. */
static void tell(const char *what, int number) {
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s %d ", what, number);
}

/* Emits and compiles the model with these tiles. */
static bool make_program(Tune *t, Build *b, Tuning *tuning, bool first) {
    Arena *arena = arena_new();
    Pipeline p;
    Text source = {0}, header = {0};
    const char *path = arena_format(t->arena, "%s/%d.c", t->folder, t->build_count);
    tell("compiling program", t->build_count + 1);
    b->program = arena_format(t->arena, "%s/%d", t->folder, t->build_count++);
    b->times = ARENA_ARRAY(t->arena, double, t->kernel_count + 1);
    bool ok = compile_with(t, &p, arena, first ? t->diag : diag_new(arena), tuning);
    if (ok && first) {
        t->isa = arena_strdup(t->arena, p.kernels->isa.name);
        t->predicted = ARENA_ARRAY(t->arena, double, t->kernel_count + 1);
        predict(p.kernels, t->predicted);
    }
    if (ok)
        t->status =
            emit_code(&source, &header, &p, path, false) ? write_output(t->diag, path, &source) : STATUS_PROGRAM;
    if (ok)
        t->build.link = host_link(p.kernels);
    if (ok && t->status == STATUS_OK)
        t->status = build_program(&t->build, path, b->program, false);
    text_free(&source);
    text_free(&header);
    pipeline_free(&p);
    arena_free(arena);
    return ok && t->status == STATUS_OK && !interrupted;
}

static bool make_builds(Tune *t) {
    Tuning none = {0};
    Arena *arena = t->arena;
    t->builds = ARENA_ARRAY(arena, Build, 2 + t->turns * TUNE_TRIED);
    t->builds_made = 1;
    if (!make_program(t, &t->builds[0], &none, true))
        return false;
    for (int turn = 0; turn < t->turns; turn++)
        for (int n = 0; n < TUNE_TRIED; n++) {
            Tuning tuning = {0};
            for (int i = 0; i < t->count; i++)
                if (t->items[i].turn == turn && n < t->items[i].tile_count) {
                    want(arena, &tuning, &t->items[i], &t->items[i].tiles[n]);
                    t->items[i].tiles[n].build = t->builds_made;
                }
            if (tuning.wanted_count && !make_program(t, &t->builds[t->builds_made++], &tuning, false))
                return false;
        }
    return true;
}

/* In turns, so that all of them see the same of what else the machine does. */
static bool time_builds(Tune *t, const int *builds, int count) {
    for (int round = 0; round < TUNE_ROUNDS; round++)
        for (int i = 0; i < count; i++)
            if (!time_program(t, &t->builds[builds[i]]))
                return false;
    return true;
}

/* ---- choosing */
static void choose(Tune *t) {
    for (int i = 0; i < t->count; i++) {
        Contraction *c = &t->items[i];
        c->best = (Tile){.rows = c->seen.choice.rows, .vectors = c->seen.choice.vectors, .predicted = 0};
        c->best.measured = c->measured = sum_of(c, t->builds[0].times, t->kernel_count);
        c->predicted = sum_of(c, t->predicted, t->kernel_count);
        for (int n = 0; n < c->tile_count; n++) {
            const Build *b = &t->builds[c->tiles[n].build];
            c->tiles[n].measured = sum_of(c, b->times, t->kernel_count);
            c->tiles[n].other_bits = b->bits != t->builds[0].bits;
            if (!c->tiles[n].other_bits && c->tiles[n].measured < TUNE_GAIN * c->measured &&
                c->tiles[n].measured < c->best.measured)
                c->best = c->tiles[n];
        }
    }
}

static void keep_defaults(Tune *t) {
    for (int i = 0; i < t->count; i++) {
        Contraction *c = &t->items[i];
        c->best = (Tile){.rows = c->seen.choice.rows, .vectors = c->seen.choice.vectors, .measured = c->measured};
    }
}

/* All choices together against none. */
static bool confirm(Tune *t) {
    Tuning tuning = {0};
    int last = t->builds_made, both[] = {0, last};
    for (int i = 0; i < t->count; i++)
        if (t->items[i].best.rows != t->items[i].seen.choice.rows ||
            t->items[i].best.vectors != t->items[i].seen.choice.vectors)
            want(t->arena, &tuning, &t->items[i], &t->items[i].best);
    if (!tuning.wanted_count)
        return true;
    t->builds_made++;
    memset(t->builds[0].times, 0, (size_t)t->kernel_count * sizeof *t->builds[0].times); /* both from now on */
    if (!make_program(t, &t->builds[last], &tuning, false) || !time_builds(t, both, 2))
        return false;
    t->tuned = &t->builds[last];
    t->kept = t->tuned->bits == t->builds[0].bits && t->tuned->step < t->builds[0].step;
    return true;
}

static Status write_file(Tune *t) {
    TuneLine *lines = ARENA_ARRAY(t->arena, TuneLine, t->count + 1);
    if (t->tuned && !t->kept)
        keep_defaults(t);
    for (int i = 0; i < t->count; i++) {
        const Contraction *c = &t->items[i];
        lines[i] = (TuneLine){{c->seen.choice.form, c->best.rows, c->best.vectors, 1, false},
                              c->seen.choice.rows,
                              c->seen.choice.vectors,
                              c->best.measured,
                              c->measured,
                              c->kernel};
    }
    return tune_write(t->arena, t->diag, t->path, t->given->input, t->isa, lines, t->count);
}

/* ---- the whole */
static bool check(Tune *t) {
    const Options *o = t->given;
    t->path = tune_path(t->arena, o->input, false);
    if (!t->path)
        diag_error(t->diag, (Span){0}, "tune needs a file: what it measures is kept beside it");
    else if (strcmp(o->target, "c") != 0) {
        diag_error(t->diag, (Span){0}, "tune times C programs, not those of --target=%s", o->target);
        diag_help(t->diag, "for a GPU %s is written by hand: nnc %s --target=cuda --emit=explain names the forms",
                  tune_path(t->arena, o->input, true), o->input);
    } else if (o->passes.stop_after)
        diag_error(t->diag, (Span){0}, "tune needs what comes after --stop-after=%s", o->passes.stop_after);
    t->status = STATUS_USAGE;
    return diag_errors(t->diag) == 0;
}

/* Measuring takes a while: first see whether its result can be written. */
static bool can_write(Tune *t) {
    const char *slash = strrchr(t->path, '/');
    const char *folder = slash ? arena_format(t->arena, "%.*s", (int)(slash - t->path) + 1, t->path) : ".";
    if (access(folder, W_OK) == 0)
        return true;
    diag_error(t->diag, (Span){0}, "cannot write %s: %s", t->path, strerror(errno));
    t->status = STATUS_FILE;
    return false;
}

static bool start(Tune *t) {
    Tuning none = {0};
    Pipeline p;
    if (!check(t))
        return false;
    bool ok = compile_with(t, &p, t->arena, t->diag, &none);
    if (ok) {
        collect(t, p.kernels);
        take_turns(t);
    }
    pipeline_free(&p);
    return ok && can_write(t);
}

static bool make_folder(Tune *t) {
    t->folder = build_folder(t->arena, t->diag, "tune");
    t->status = t->folder ? t->status : STATUS_FILE;
    return t->folder != NULL;
}

static void remove_folder(Tune *t) {
    for (int i = 0; i < t->build_count; i++) {
        unlink(arena_format(t->arena, "%s/%d.c", t->folder, i));
        unlink(arena_format(t->arena, "%s/%d.log", t->folder, i));
        unlink(arena_format(t->arena, "%s/%d", t->folder, i));
    }
    rmdir(t->folder);
}

static bool measure(Tune *t) {
    int all[TUNE_MOST_BUILDS];
    bool ok = rank(t) && make_builds(t);
    for (int i = 0; i < t->builds_made; i++)
        all[i] = i;
    ok = ok && time_builds(t, all, t->builds_made);
    if (!ok)
        return false;
    choose(t);
    return confirm(t);
}

Status tune_program(const Options *options, Arena *arena, Diag *diag) {
    Tune t = {.given = options, .arena = arena, .diag = diag, .build = build_start(options, arena, diag)};
    t.milliseconds = "60";
    if (!start(&t))
        return t.status;
    if (t.count == 0) {
        printf("%s has no contraction whose tile could be chosen: there is nothing to tune\n", options->input);
        return STATUS_OK;
    }
    if (!make_folder(&t))
        return t.status;
    struct sigaction action = {.sa_handler = on_interrupt}, before;
    sigaction(SIGINT, &action, &before);
    bool ok = measure(&t);
    remove_folder(&t);
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%*s\r", 40, "");
    if (!interrupted && ok)
        t.status = write_file(&t);
    sigaction(SIGINT, &before, NULL);
    if (interrupted) {
        fprintf(stderr, "nnc: interrupted; %s is as it was\n", t.path);
        raise(SIGINT);
        return STATUS_FILE;
    }
    if (ok && t.status == STATUS_OK)
        tune_report(&t);
    return t.status;
}
