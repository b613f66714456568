/* --emit=explain: what lies in memory and when, what each kernel computes, and why. */
#include <string.h>
#include "codegen/plan/cost.h"
#include "codegen/emit/host.h"
#include "codegen/plan/memory_plan.h"
#include "driver/driver.h"

static void arena_part(Text *out, const KProgram *k) {
    double over = k->arena_lower_bound > 0
                      ? 100.0 * (double)(k->arena_bytes - k->arena_lower_bound) / (double)k->arena_lower_bound
                      : 0;
    text_format(out, "Arena: %lld bytes. At least %lld are alive at once: %.1f %% over this bound.\n",
                (long long)k->arena_bytes, (long long)k->arena_lower_bound, over);
    int64_t bytes[VARIABLE_PREPROCESS + 1] = {0};
    for (int i = 0; i < k->buffer_count; i++) {
        const KBuffer *b = k->buffers[i];
        if (b->space == SPACE_VARIABLE && !b->alias)
            bytes[b->variable->role] += kbuffer_elements(b, 1) * kbase_bytes(b->base);
    }
    text_format(
        out, "Weights: %lld bytes trainable, %lld not trainable. Optimizer: %lld bytes. Preprocessing: %lld bytes.\n",
        (long long)bytes[VARIABLE_TRAINABLE], (long long)bytes[VARIABLE_NON_TRAINABLE],
        (long long)bytes[VARIABLE_OPTIMIZER], (long long)bytes[VARIABLE_PREPROCESS]);
    text_format(out, "Vectors: %d floats (%s). Threads that pay: %d.\n", k->isa.lanes, k->isa.name,
                host_default_threads(k));
}

/* The roofline: what one core can do at most. */
static void machine_part(Text *out, const KProgram *k, const CostMachine *m) {
    text_format(out, "Machine (%s): %.2f GHz, FMA peak %.0f GFLOPS a core;",
                m->measured ? "clock, FMA and caches of this one" : m->isa, m->gigahertz, cost_peak(m, &k->isa));
    for (int i = 0; i < COST_LEVELS; i++) {
        text_format(out, "%s %s", i ? "," : "", cost_level_names[i]);
        if (i < COST_MEMORY)
            text_format(out, " %lld KB", (long long)(m->bytes[i] >> 10));
        text_format(out, " %.0f GB/s", m->bytes_per_nanosecond[i]);
    }
    text_add(out, ".\nPredicted for one core and steps one after the other; flops count a multiply-add as two, another "
                  "function by its cost.\n");
}

static void cost_part(Text *out, const KProgram *k, const CostMachine *m, const Cost *c) {
    double share = c->time > 0 ? 100 * c->flops / c->time / cost_peak(m, &k->isa) : 0;
    text_format(out, "%.2f us, %.3f Mflop, %.1f %% of the peak; reads %.1f KB, writes %.1f KB", c->time / 1e3,
                c->flops / 1e6, share, c->read / 1024, c->written / 1024);
    const char *before = ": ";
    for (int i = 0; i < COST_LEVELS; i++)
        if (c->from[i] >= 51.2) {
            text_format(out, "%s%.1f %s", before, c->from[i] / 1024, cost_level_names[i]);
            before = ", ";
        }
}

/* Of a GPU there is no prediction of times. What kernels have to move: the buffers that they read and write. */
typedef struct {
    double read, written;
} Moved;

static Moved moved_by(const KProgram *k, const KKernel *kernel) {
    const KUse *uses;
    Moved moved = {0, 0};
    int count = kkernel_uses(k, kernel, &uses);
    for (int i = 0; i < count; i++) {
        const KBuffer *b = uses[i].buffer;
        double bytes = b->scratch ? 0 : (double)kbase_bytes(b->base);
        for (int d = 0; d < b->rank; d++)
            bytes *= (double)dim_size(b->dims[d], cost_batch(k));
        moved.read += uses[i].read ? bytes : 0;
        moved.written += uses[i].written ? bytes : 0;
    }
    return moved;
}

static void moved_part(Text *out, Moved moved) {
    text_format(out, "reads %.1f KB, writes %.1f KB", moved.read / 1024, moved.written / 1024);
}

static void mapped_part(Text *out, const KProgram *k, const KKernel *kernel) {
    text_add(out, "     ");
    moved_part(out, moved_by(k, kernel));
    text_format(out, "%s%s\n", kernel->how ? "\n     mapped: " : "", kernel->how ? kernel->how : "");
}

static void lives_part(Text *out, const KProgram *k, const KSequence *sequence) {
    Lifetime *lives;
    int count = memory_lifetimes(k, sequence, &lives);
    if (count == 0)
        return;
    text_format(out, "\n  %-36s %10s %10s  %s\n", "buffer", "bytes", "offset", "from kernel .. to kernel");
    for (int i = 0; i < count; i++) {
        const KBuffer *b = lives[i].buffer;
        text_format(out, "  %-36s %10lld %10lld  %d .. %d\n", b->name, (long long)b->bytes, (long long)b->offset,
                    lives[i].first, lives[i].last);
    }
}

static const char *kind_of(const KKernel *kernel) {
    return kernel->alone ? "one thread" : kernel->rows ? "blocks of rows" : "one nest";
}

static void kernels_part(Text *out, const KProgram *k, const CostMachine *m, const KSequence *sequence,
                         const Cost *costs) {
    for (int i = 0; i < sequence->count; i++) {
        const KKernel *kernel = sequence->kernels[i];
        text_format(out, "\n  %d  %s: %s%s\n", i, kernel->name, kind_of(kernel),
                    i > 0 && kernel->needs_barrier_before ? "" : ", no barrier before it");
        if (!m)
            mapped_part(out, k, kernel);
        else {
            text_add(out, "     ");
            cost_part(out, k, m, &costs[i]);
            text_format(out, "\n     bound by %s: sums %.2f, pointwise %.2f, loads %.2f, memory %.2f us\n",
                        cost_bound_names[costs[i].bound], costs[i].sums / 1e3, costs[i].points / 1e3,
                        costs[i].loads / 1e3, costs[i].memory / 1e3);
        }
        if (kernel->comment && *kernel->comment)
            text_format(out, "     fused: %s\n", kernel->comment);
        if (kernel->shared)
            text_format(out, "     function: %s, which %d kernels share\n", kernel->shared->name,
                        kernel->shared->kernel_count);
        if (kernel->why && *kernel->why)
            text_format(out, "     not with: %s\n", kernel->why);
    }
}

/* m: NULL on a GPU. */
static void function_part(Text *out, const KProgram *k, const CostMachine *m, const KSequence *sequence) {
    Cost all = {0}, *costs = m ? cost_sequence(k, m, sequence) : NULL;
    double by[COST_BOUNDS] = {0};
    Moved moved = {0, 0};
    for (int n = 0; !costs && n < sequence->count; n++) {
        Moved one = moved_by(k, sequence->kernels[n]);
        moved.read += one.read;
        moved.written += one.written;
    }
    for (int n = 0; costs && n < sequence->count; n++) {
        cost_add(&all, &costs[n]);
        by[costs[n].bound] += costs[n].time;
    }
    text_format(out, "\n%s: %d kernel%s", sequence->func->name, sequence->count, sequence->count == 1 ? "" : "s");
    if (!m) {
        text_add(out, ", for a batch: ");
        moved_part(out, moved);
    } else {
        text_add(out, ", predicted for a batch: ");
        cost_part(out, k, m, &all);
        text_add(out, "\n  time in kernels bound by");
        for (int i = 0; i < COST_BOUNDS; i++)
            text_format(out, "%s %s %.0f %%", i ? "," : "", cost_bound_names[i],
                        all.time > 0 ? 100 * by[i] / all.time : 0);
    }
    text_add(out, "\n");
    lives_part(out, k, sequence);
    kernels_part(out, k, m, sequence, costs);
}

void emit_explain(Text *out, const Pipeline *p) {
    const KProgram *k = p->kernels;
    CostMachine machine = cost_machine(&k->isa);
    bool gpu = k->isa.lanes <= 1;
    if (strcmp(p->options->cpu, "native") == 0 && !gpu)
        cost_measure(&machine, &k->isa);
    text_format(out, "%s, batches of at most %lld samples\n\n", p->program->name, (long long)k->module->batch_max);
    arena_part(out, k);
    if (gpu)
        text_add(out, "Times are predicted for CPUs only.\n");
    else
        machine_part(out, k, &machine);
    for (int i = 0; i < k->sequence_count; i++)
        function_part(out, k, gpu ? NULL : &machine, k->sequences[i]);
}
