/* Small pictures in a terminal, with lines of text under them. Needs: pixels as floats of any range; dark is least.
 * Leaves: text, several pictures beside each other where the terminal is wide enough. */
#ifndef NNRT_DRAW_H
#define NNRT_DRAW_H
#include "nnrt_progress.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { NNRT_CAPTION_LINES = 4, NNRT_CAPTION_WIDTH = 24 };

typedef struct {
    const float *pixels; /* height * width, row by row; NULL: only the caption */
    int height, width;
    float least, most;                    /* filled when drawing: the darkest and the brightest pixel */
    char caption[NNRT_CAPTION_LINES][96]; /* "" lines are left out at the end */
} nnrt_picture;

/* Half blocks (two pixels in one character: grey tones with colours, else light and dark), ASCII without UTF-8. */
void nnrt_draw_pictures(FILE *out, const nnrt_terminal *terminal, nnrt_picture *pictures, int count);
/* How many pictures of this width fit beside each other. */
int nnrt_draw_columns(const nnrt_terminal *terminal, int width);

#ifdef __cplusplus
}
#endif
#endif
