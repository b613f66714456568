/* Two bundled libraries in one program: their runtimes do not meet. */
#include "first.h"
#include "second.h"
#include <math.h>
#include <stdio.h>

static first a;
static second b;

int main(void) {
    const float x[2][4] = {{1, 12, 20, 31}, {3, 10, 22, 30}};
    float p[2][3], q[2][3];
    if (first_init(&a, 1) || second_init(&b, 1) || second_adapt(&b, x, 2))
        return 1;
    if (first_load(&a, "missing.safetensors") == 0 || first_error()[0] == 0 || second_error()[0] != 0)
        return 2; /* each has its own message */
    if (first_predict(&a, x, 2, p) || second_predict(&b, x, 2, q))
        return 3;
    for (int i = 0; i < 6; i++)
        if (!isfinite(p[i / 3][i % 3]) || !isfinite(q[i / 3][i % 3]))
            return 4;
    printf("%g %g\n", p[0][0], q[0][0]);
    return 0;
}
