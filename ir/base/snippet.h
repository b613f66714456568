/* Source lines with carets under a span, and places in a file. */
#ifndef NNC_BASE_SNIPPET_H
#define NNC_BASE_SNIPPET_H
#include "ir/base/diag.h"

/* Appends the lines of the span (first and last if it has many), each underlined; `paint` and `plain` begin and end the
 * colour of the carets. */
void snippet_print(Text *out, Span, const char *paint, const char *plain);
#endif
