/* Long epilogues of sums that lie on the lanes themselves, as those of a last layer with one output. A sum that goes
 * across the lanes leaves a single number, so that all that is computed from it would be computed element by element:
 * activation, loss, its gradient. Where that costs more than a store and a load of each sum, the sums go to memory and
 * the rest is a nest and a kernel of its own, with vectors of results. */
#include "codegen/nests/layout_parts.h"
#include "codegen/nests/sequence.h"

/* In vector operations: a sum that is stored and read again. And barriers that another kernel costs where as many
 * threads share the work. */
enum { PRICE_STORED = 4, BARRIERS = 8 };

/* Does it pay to have the sums in memory, where the rest, a nest of its own, reads vectors of them? */
static bool pays_apart(const KProgram *p, const Nest *nest) {
    const KKernel *kernel = nest->kernel;
    bool across = nest->vector_axis >= 0 && nest->axes[nest->vector_axis].reduce;
    if (!across || kernel->nest_count != 1 || kernel->rows || kernel->steps || kernel->local_count ||
        nest->reduction_count != 1 || nest->ordered || nest->each || nest->cell_count || nest->part.above ||
        nest->reductions[0].argument || nest->reductions[0].result->type.base != KBASE_F32)
        return false;
    Nest rest = *nest;
    rest.reduction_count = 0;
    rest.axis_count = nest->parallel_count;
    Accesses accesses = layout_accesses(&rest);
    double sums = layout_points(p, &rest, false), apart;
    layout_vector(p, &rest, &accesses, &apart);
    apart += sums * PRICE_STORED + (double)BARRIERS * p->isa.barrier_work;
    return apart < sums * (double)nest_epilogue_slots(nest) * LAYOUT_SCALAR;
}

bool layout_epilogues(KProgram *p) {
    static const SumsApart apart = {"sums", "sum", "sums, of which the kernel behind reads vectors"};
    bool found = false;
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            if (p->sequences[s]->kernels[k]->nest_count && pays_apart(p, p->sequences[s]->kernels[k]->nests[0])) {
                nest_sums_apart(p, p->sequences[s], k++, 0, 1, apart);
                found = true;
            }
    return found;
}
