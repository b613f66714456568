/* Pictures as characters; see nnrt_draw.h. */
#include "nnrt_draw.h"

#include <math.h>
#include <string.h>

enum { DRAW_GAP = 3, DRAW_GREYS = 24, DRAW_FIRST_GREY = 232 };

static void draw_measure(nnrt_picture *picture) {
    int count = picture->pixels ? picture->height * picture->width : 0;
    picture->least = INFINITY;
    picture->most = -INFINITY;
    for (int i = 0; i < count; i++) {
        picture->least = picture->pixels[i] < picture->least ? picture->pixels[i] : picture->least;
        picture->most = picture->pixels[i] > picture->most ? picture->pixels[i] : picture->most;
    }
}

/* Brightness of a pixel in [0, 1] between the darkest and the brightest of its picture; 0 below the last row. */
static double draw_brightness(const nnrt_picture *picture, int row, int column) {
    if (row >= picture->height || !(picture->most > picture->least))
        return 0;
    double value = picture->pixels[row * picture->width + column];
    double share = (value - picture->least) / ((double)picture->most - picture->least);
    return share >= 0 && share <= 1 ? share : 0; /* NaN is dark */
}

static int draw_grey(double brightness) {
    return DRAW_FIRST_GREY + (int)(brightness * (DRAW_GREYS - 1) + 0.5);
}

/* One character for the pixels (row, column) and (row + 1, column). */
static void draw_cell(FILE *out, const nnrt_terminal *terminal, const nnrt_picture *picture, int row, int column) {
    static const char ramp[] = " .:-=+*#%@";
    double upper = draw_brightness(picture, row, column), lower = draw_brightness(picture, row + 1, column);
    if (!terminal->utf8)
        fputc(ramp[(int)((upper + lower) / 2 * 9 + 0.5)], out);
    else if (terminal->color)
        fprintf(out, "\x1b[38;5;%dm\x1b[48;5;%dm▀", draw_grey(upper), draw_grey(lower));
    else
        fputs(upper >= 0.5 ? (lower >= 0.5 ? "█" : "▀") : (lower >= 0.5 ? "▄" : " "), out);
}

static void draw_blanks(FILE *out, int count) {
    for (int i = 0; i < count; i++)
        fputc(' ', out);
}

static int draw_slot(int width) {
    return width > NNRT_CAPTION_WIDTH ? width : NNRT_CAPTION_WIDTH;
}

int nnrt_draw_columns(const nnrt_terminal *terminal, int width) {
    int fit = (terminal->columns + DRAW_GAP) / (draw_slot(width) + DRAW_GAP);
    return fit < 1 ? 1 : fit;
}

static void draw_pixel_line(FILE *out, const nnrt_terminal *terminal, const nnrt_picture *pictures, int count,
                            int row) {
    for (int i = 0; i < count; i++) {
        for (int column = 0; column < pictures[i].width; column++)
            draw_cell(out, terminal, &pictures[i], row, column);
        if (terminal->color && terminal->utf8)
            fputs("\x1b[0m", out);
        if (i + 1 < count)
            draw_blanks(out, draw_slot(pictures[i].width) + DRAW_GAP - pictures[i].width);
    }
    fputc('\n', out);
}

static void draw_caption_line(FILE *out, const nnrt_picture *pictures, int count, int line) {
    int last = -1;
    for (int i = 0; i < count; i++)
        if (pictures[i].caption[line][0])
            last = i;
    for (int i = 0; i <= last; i++) {
        fputs(pictures[i].caption[line], out);
        int blanks = draw_slot(pictures[i].width) + DRAW_GAP - (int)strlen(pictures[i].caption[line]);
        if (i < last)
            draw_blanks(out, blanks > 1 ? blanks : 1);
    }
    if (last >= 0)
        fputc('\n', out);
}

/* One line of pictures of the same size. */
static void draw_beside(FILE *out, const nnrt_terminal *terminal, const nnrt_picture *pictures, int count) {
    for (int row = 0; pictures[0].pixels && row < pictures[0].height; row += 2)
        draw_pixel_line(out, terminal, pictures, count, row);
    for (int line = 0; line < NNRT_CAPTION_LINES; line++)
        draw_caption_line(out, pictures, count, line);
    fputc('\n', out);
}

void nnrt_draw_pictures(FILE *out, const nnrt_terminal *terminal, nnrt_picture *pictures, int count) {
    for (int i = 0; i < count; i++)
        draw_measure(&pictures[i]);
    int beside = count > 0 ? nnrt_draw_columns(terminal, pictures[0].width) : 1;
    for (int first = 0; first < count; first += beside)
        draw_beside(out, terminal, pictures + first, count - first < beside ? count - first : beside);
}
