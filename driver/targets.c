/* The targets of the compiler. */
#include <string.h>
#include "codegen/layout.h"
#include "codegen/map.h"
#include "driver/driver.h"

const Target targets[] = {
    {"c", ".c", layout_program, map_cpu, NULL},
    {"cuda", ".cu", NULL, NULL, "--target=cuda is not built yet"},
};
const int target_count = sizeof targets / sizeof *targets;

const Target *target_find(const char *name) {
    for (int i = 0; i < target_count; i++)
        if (strcmp(targets[i].name, name) == 0)
            return &targets[i];
    return NULL;
}
