/* The targets of the compiler. */
#include <string.h>
#include "codegen/emit/host.h"
#include "codegen/kir/isa.h"
#include "codegen/nests/layout.h"
#include "codegen/map/map.h"
#include "driver/driver.h"

const Target targets[] = {
    {"c", ".c", false, layout_program, map_cpu, &host_c},
    {"cuda", ".cu", true, layout_scalar, map_gpu, &host_cuda},
};
const int target_count = sizeof targets / sizeof *targets;

bool target_isa(const Options *o, KIsa *isa) {
    return target_find(o->target)->on_gpu ? isa_of_gpu(o->gpu, isa) : isa_find(o->cpu, isa);
}

const Target *target_find(const char *name) {
    for (int i = 0; i < target_count; i++)
        if (strcmp(targets[i].name, name) == 0)
            return &targets[i];
    return NULL;
}
