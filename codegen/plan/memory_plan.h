/* Memory plan: places in one arena for everything that passes from kernel to kernel. */
#ifndef NNC_CODEGEN_MEMORY_PLAN_H
#define NNC_CODEGEN_MEMORY_PLAN_H
#include "codegen/kir/kir.h"

enum { ARENA_ALIGNMENT = 64 };

/* Gives every arena buffer its `bytes` and `offset`, and the program its arena_bytes and arena_lower_bound (the most
 * bytes that are alive at once). Runs after mapping. `planned` false: no two buffers share memory. */
void memory_plan(KProgram *, bool planned);

/* Which kernels of its sequence a buffer lives through: from the first that writes to the last that touches it, and
 * what stands between the same barriers as these. */
typedef struct {
    KBuffer *buffer;
    int first, last;
    int first_use, last_use;
} Lifetime;
int memory_lifetimes(const KProgram *, const KSequence *, Lifetime **);
#endif
