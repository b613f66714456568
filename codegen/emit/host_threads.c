/* How many threads pay. With 2.5 microseconds of work between two barriers for each of them two threads gain about 1.3
 * times; with half of that they lose what they gain:
 *
 *   time    = work / (3 GHz * lanes)      one fused multiply-add in each lane of one vector per cycle
 *   threads = time of the kernels that are shared / barriers of a step / 2.5 microseconds
 *
 * work is what the cost model expects of a kernel (codegen/plan/cost.h), one unit for each scalar multiply-add that
 * could be done in that time. More threads than pieces of the largest parallel loop have nothing to do. */
#include "codegen/emit/host_parts.h"
#include <string.h>

enum { UNITS_PER_NANOSECOND_AND_LANE = 3, NANOSECONDS_PER_THREAD = 2500, MOST_THREADS = 256 };

static int64_t pieces_at_most(KProgram *p, const KKernel *kernel) {
    int64_t low, high;
    const KStmt *loop = kkernel_parallel(kernel);
    return loop && kexpr_range(p, kloop_count(p, loop), &low, &high) ? high : 1;
}

static int threads_of(KProgram *p, const KSequence *sequence) {
    int64_t work = 0, barriers = 1, pieces = 1;
    for (int i = 0; i < sequence->count; i++) {
        const KKernel *kernel = sequence->kernels[i];
        barriers += kernel->needs_barrier_before;
        if (kernel->alone)
            continue;
        int64_t here = pieces_at_most(p, kernel);
        work += kernel->work;
        pieces = here > pieces ? here : pieces;
    }
    int64_t threads = work / UNITS_PER_NANOSECOND_AND_LANE / p->isa.lanes / barriers / NANOSECONDS_PER_THREAD;
    threads = threads < pieces ? threads : pieces;
    return threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : (int)threads;
}

int host_default_threads(const KProgram *program) {
    KProgram *p = (KProgram *)program; /* loop counts are made in its arena */
    const KSequence *chosen = NULL;
    for (int i = 0; i < p->sequence_count; i++) {
        const char *name = p->sequences[i]->func->name;
        if (strcmp(name, "train_step") == 0 || (!chosen && strcmp(name, "forward") == 0))
            chosen = p->sequences[i];
    }
    return chosen ? threads_of(p, chosen) : 1;
}
