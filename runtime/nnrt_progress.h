/* Progress of a run on a terminal: Keras' bar (verbose=1) and log line (verbose=2).
 *
 * Needs: an open FILE and a description of the terminal behind it (nnrt_terminal_of, or made up by a test).
 * Leaves: text on that FILE. The bar is redrawn in place only where the terminal can; elsewhere only the last line
 * of each epoch is written, without colours. */
#ifndef NNRT_PROGRESS_H
#define NNRT_PROGRESS_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int columns;                            /* width in characters */
    bool dynamic;                           /* a line can be drawn over: a terminal, and not a dumb one */
    bool color;                             /* ANSI colours are welcome */
    bool utf8;                              /* the locale is not known to be anything else */
    double (*clock)(void);                  /* seconds, from an arbitrary start */
    double (*processor_clock)(bool thread); /* that processors have worked for this process, or thread; NULL: unknown */
} nnrt_terminal;

/* What lies behind a FILE, from isatty, TERM, NO_COLOR, COLUMNS and the locale's variables. */
nnrt_terminal nnrt_terminal_of(FILE *out);

/* One named value to show, and a list of them in the order of display. */
typedef struct {
    const char *name;
    double value;
} nnrt_log;

typedef struct {
    FILE *out;
    nnrt_terminal terminal;
    int verbose;
    int64_t target, initial; /* steps of the epoch; steps that an earlier run has already done */
    double start, last_update, after_first_step;
    bool first_step_seen;
    int previous_width;
} nnrt_progress;

void nnrt_progress_begin(nnrt_progress *progress, FILE *out, const nnrt_terminal *terminal, int verbose, int64_t target,
                         int64_t initial);
/* To be called after each step. True: a redraw is due (at most every 0.05 s), call nnrt_progress_draw. */
bool nnrt_progress_step(nnrt_progress *progress, int64_t current);
void nnrt_progress_draw(nnrt_progress *progress, int64_t current, const nnrt_log *logs, int count);
/* The last line of the epoch, with a newline. `current` is less than the target only where the epoch broke off. */
void nnrt_progress_finish(nnrt_progress *progress, int64_t current, const nnrt_log *logs, int count);
/* Ends a half-drawn line, so that a message can follow. */
void nnrt_progress_break_line(nnrt_progress *progress);

#ifdef __cplusplus
}
#endif
#endif
