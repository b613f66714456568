/* Keras' progress bar (keras/src/utils/progbar.py), drawn with a carriage return instead of its backspaces, and
 * shortened where the terminal is narrow (only the last line of an epoch may wrap). Needs: POSIX isatty and
 * clock_gettime. Leaves: text. */
#include "nnrt_progress.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { PROGRESS_BAR_WIDTH = 20, PROGRESS_SMALLEST_BAR = 5, PROGRESS_TEXT_SIZE = 4096 };
static const double progress_interval = 0.05;

/* A line under construction: the bytes, and how many columns they take on the screen. */
typedef struct {
    char text[PROGRESS_TEXT_SIZE];
    size_t length;
    int width;
} ProgressLine;

static double progress_time(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double progress_clock(void) {
    return progress_time(CLOCK_MONOTONIC);
}

static double progress_processor_clock(bool thread) {
    return progress_time(thread ? CLOCK_THREAD_CPUTIME_ID : CLOCK_PROCESS_CPUTIME_ID);
}

static int progress_columns(FILE *out) {
    const char *text = getenv("COLUMNS");
    int columns = text ? atoi(text) : 0;
    if (columns > 0)
        return columns;
#ifdef TIOCGWINSZ
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
#else
    (void)out;
#endif
    return 80;
}

/* As Python does: UTF-8, unless the locale names another character set. */
static bool progress_utf8(void) {
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *locale = NULL;
    for (int i = 0; i < 3 && (!locale || !*locale); i++)
        locale = getenv(names[i]);
    const char *set = locale ? strchr(locale, '.') : NULL;
    if (!set)
        return true;
    char folded[8] = "";
    size_t length = 0;
    for (set++; *set && *set != '@' && length + 1 < sizeof folded; set++)
        if (*set != '-')
            folded[length++] = (char)tolower((unsigned char)*set);
    return strcmp(folded, "utf8") == 0;
}

nnrt_terminal nnrt_terminal_of(FILE *out) {
    const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");
    bool terminal = isatty(fileno(out)) && !(term && strcmp(term, "dumb") == 0);
    nnrt_terminal result = {.columns = progress_columns(out),
                            .dynamic = terminal,
                            .color = terminal && !(no_color && *no_color),
                            .utf8 = progress_utf8(),
                            .clock = progress_clock,
                            .processor_clock = progress_processor_clock};
    return result;
}

static void progress_line_bytes(ProgressLine *line, const char *text, size_t length) {
    if (length > sizeof line->text - 1 - line->length)
        length = sizeof line->text - 1 - line->length;
    memcpy(line->text + line->length, text, length);
    line->length += length;
}

/* Text that takes one column for each character: bytes that continue a UTF-8 sequence take none. */
static void progress_line_text(ProgressLine *line, const char *text) {
    progress_line_bytes(line, text, strlen(text));
    for (; *text; text++)
        line->width += ((unsigned char)*text & 0xC0) != 0x80;
}

/* An ANSI sequence: takes no column, left out where colours are not welcome. */
static void progress_line_style(ProgressLine *line, const nnrt_progress *progress, const char *sequence) {
    if (progress->terminal.color)
        progress_line_bytes(line, sequence, strlen(sequence));
}

void nnrt_progress_begin(nnrt_progress *progress, FILE *out, const nnrt_terminal *terminal, int verbose, int64_t target,
                         int64_t initial) {
    *progress =
        (nnrt_progress){.out = out, .terminal = *terminal, .verbose = verbose, .target = target, .initial = initial};
    progress->start = terminal->clock();
    progress->last_update = -INFINITY;
}

bool nnrt_progress_step(nnrt_progress *progress, int64_t current) {
    if (progress->verbose == 0 || (progress->verbose == 2 && progress->first_step_seen))
        return false;
    double now = progress->terminal.clock();
    if (!progress->first_step_seen && current == progress->initial + 1) {
        progress->first_step_seen = true;
        progress->after_first_step = now;
    }
    return progress->verbose == 1 && progress->terminal.dynamic && now - progress->last_update >= progress_interval;
}

/* Seconds of one step; the first one is left out, as it is not like the others. */
static double progress_step_time(const nnrt_progress *progress, int64_t current, double now) {
    int64_t done = current - progress->initial;
    if (done <= 0)
        return 0;
    if (progress->first_step_seen && done > 1)
        return (now - progress->after_first_step) / (double)(done - 1);
    return (now - progress->start) / (double)done;
}

static void line_step_time(ProgressLine *line, double seconds) {
    char text[64];
    if (seconds >= 1 || seconds == 0)
        snprintf(text, sizeof text, " %.0fs/step", seconds);
    else if (seconds >= 1e-3)
        snprintf(text, sizeof text, " %.0fms/step", seconds * 1e3);
    else
        snprintf(text, sizeof text, " %.0fus/step", seconds * 1e6);
    progress_line_text(line, text);
}

/* Keras chooses the format by the magnitude in the bar, but by the signed value in the log line. */
static void progress_line_logs(ProgressLine *line, const nnrt_log *logs, int count, bool magnitude) {
    for (int i = 0; i < count; i++) {
        char text[64];
        double value = logs[i].value;
        progress_line_text(line, " - ");
        progress_line_text(line, logs[i].name);
        if (isnan(value))
            snprintf(text, sizeof text, ": nan");
        else if ((magnitude ? fabs(value) : value) > 1e-3)
            snprintf(text, sizeof text, ": %.4f", value);
        else
            snprintf(text, sizeof text, ": %.4e", value);
        progress_line_text(line, text);
    }
}

static void progress_line_remaining(ProgressLine *line, double seconds) {
    char text[64];
    int64_t whole = seconds < 1e15 ? (int64_t)seconds : 0;
    if (seconds > 3600)
        snprintf(text, sizeof text, "%lld:%02d:%02d", (long long)(whole / 3600), (int)(whole % 3600 / 60),
                 (int)(whole % 60));
    else if (seconds > 60)
        snprintf(text, sizeof text, "%d:%02d", (int)(whole / 60), (int)(whole % 60));
    else
        snprintf(text, sizeof text, "%ds", (int)whole);
    progress_line_text(line, text);
}

static void progress_line_counter(ProgressLine *line, int64_t current, int64_t target) {
    char digits[32], text[64];
    int width = snprintf(digits, sizeof digits, "%lld", (long long)target);
    snprintf(text, sizeof text, "%*lld/%s", width, (long long)current, digits);
    progress_line_text(line, text);
}

/* What follows the bar: remaining or elapsed time, time of a step, values. */
static void progress_line_info(ProgressLine *line, const nnrt_progress *progress, int64_t current, bool last,
                               const nnrt_log *logs, int count) {
    double now = progress->terminal.clock(), step_time = progress_step_time(progress, current, now);
    char elapsed[64];
    progress_line_text(line, " ");
    progress_line_style(line, progress, "\x1b[1m");
    if (last) {
        snprintf(elapsed, sizeof elapsed, "%.0fs", now - progress->start);
        progress_line_text(line, elapsed);
    } else {
        progress_line_remaining(line, step_time * (double)(progress->target - current));
    }
    progress_line_style(line, progress, "\x1b[0m");
    line_step_time(line, step_time);
    progress_line_logs(line, logs, count, true);
}

static void progress_line_repeat(ProgressLine *line, const char *text, int times) {
    for (int i = 0; i < times; i++)
        progress_line_text(line, text);
}

static void progress_line_bar(ProgressLine *line, const nnrt_progress *progress, int64_t current, int width) {
    bool utf8 = progress->terminal.utf8, color = progress->terminal.color;
    int done = progress->target > 0 ? (int)((double)width * (double)current / (double)progress->target) : width;
    if (done > 0) {
        progress_line_style(line, progress, "\x1b[32m");
        progress_line_repeat(line, utf8 ? "━" : "=", done);
        progress_line_style(line, progress, "\x1b[0m");
    }
    progress_line_style(line, progress, "\x1b[37m");
    progress_line_repeat(line, !utf8 ? "." : color ? "━" : "─", width - done);
    progress_line_style(line, progress, "\x1b[0m");
}

/* Bytes of the longest start of the line that takes at most `columns` columns; colours are cut with the text. */
static size_t progress_line_cut(const ProgressLine *line, int columns) {
    size_t at = 0;
    for (int width = 0; at < line->length; at++) {
        unsigned char byte = (unsigned char)line->text[at];
        if (byte == 0x1b) {
            while (at < line->length && line->text[at] != 'm')
                at++;
            continue;
        }
        if ((byte & 0xC0) != 0x80 && ++width > columns)
            return at;
    }
    return line->length;
}

static void progress_bar_line(nnrt_progress *progress, int64_t current, bool last, const nnrt_log *logs, int count) {
    ProgressLine info = {.length = 0}, line = {.length = 0};
    progress_line_info(&info, progress, current, last, logs, count);
    progress_line_style(&line, progress, "\x1b[1m");
    progress_line_counter(&line, current, progress->target);
    progress_line_style(&line, progress, "\x1b[0m");
    int room = progress->terminal.columns - 1, bar = PROGRESS_BAR_WIDTH;
    if (progress->terminal.dynamic && !last && line.width + 1 + info.width + bar > room)
        bar = room - line.width - 1 - info.width;
    if (bar >= PROGRESS_SMALLEST_BAR) {
        progress_line_text(&line, " ");
        progress_line_bar(&line, progress, current, bar);
    }
    progress_line_bytes(&line, info.text, info.length);
    line.width += info.width;
    if (progress->terminal.dynamic)
        fputc('\r', progress->out);
    bool cut = !last && line.width > room;
    fwrite(line.text, 1, cut ? progress_line_cut(&line, room) : line.length, progress->out);
    if (cut) {
        line.width = room;
        fputs(progress->terminal.color ? "\x1b[0m" : "", progress->out);
    }
    for (int i = line.width; i < progress->previous_width; i++)
        fputc(' ', progress->out);
    progress->previous_width = line.width;
}

void nnrt_progress_draw(nnrt_progress *progress, int64_t current, const nnrt_log *logs, int count) {
    if (progress->verbose != 1 || !progress->terminal.dynamic)
        return;
    progress_bar_line(progress, current, false, logs, count);
    fflush(progress->out);
    progress->last_update = progress->terminal.clock();
}

static void progress_log_line(nnrt_progress *progress, int64_t current, const nnrt_log *logs, int count) {
    ProgressLine line = {.length = 0};
    double now = progress->terminal.clock();
    char elapsed[64];
    snprintf(elapsed, sizeof elapsed, " - %.0fs -", now - progress->start);
    progress_line_counter(&line, current, progress->target);
    progress_line_text(&line, elapsed);
    line_step_time(&line, progress_step_time(progress, current, now));
    progress_line_logs(&line, logs, count, false);
    fwrite(line.text, 1, line.length, progress->out);
}

void nnrt_progress_finish(nnrt_progress *progress, int64_t current, const nnrt_log *logs, int count) {
    if (progress->verbose == 1)
        progress_bar_line(progress, current, true, logs, count);
    else if (progress->verbose == 2)
        progress_log_line(progress, current, logs, count);
    else
        return;
    fputc('\n', progress->out);
    fflush(progress->out);
    progress->previous_width = 0;
}

void nnrt_progress_break_line(nnrt_progress *progress) {
    if (progress->previous_width == 0)
        return;
    fputc('\n', progress->out);
    fflush(progress->out);
    progress->previous_width = 0;
}
