/* Window geometry that convolution and pooling share. */
#ifndef NNC_FRONTEND_COMPONENTS_WINDOWS_H
#define NNC_FRONTEND_COMPONENTS_WINDOWS_H
#include "frontend/components/components.h"

enum { SPATIAL_1D = 1, SPATIAL_2D = 2 };

/* Fills padding for `same` (low = total / 2, the extra cell after), `causal` (all of it before) or `valid` from size,
 * stride, dilation and checks that x has the rank and the extents for it. `what`: the argument that gives the size.
 * False after an error in diag. */
bool window_fit(LayerContext *, const Type *x, const char *padding, const char *what, WindowAttr *);
int64_t window_extent(const WindowAttr *, int axis, int64_t input); /* of the result */
bool window_rank(LayerContext *, const Type *x, int spatial);
#endif
