/* --emit=explain: what lies in memory and when, what each kernel computes, and why. */
#include <string.h>
#include "codegen/host.h"
#include "codegen/memory_plan.h"
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
    text_format(out,
                "Vectors: %d floats (%s). Threads that pay: %d.\n"
                "Work counts multiply-adds of single floats, other operations by what they cost beside them.\n",
                k->isa.lanes, k->isa.name, host_default_threads(k));
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

static void kernels_part(Text *out, const KSequence *sequence) {
    for (int i = 0; i < sequence->count; i++) {
        const KKernel *kernel = sequence->kernels[i];
        text_format(out, "\n  %d  %s: %s, work %.1f thousand", i, kernel->name, kind_of(kernel),
                    (double)kernel->work / 1e3);
        if (kernel->bytes > 0)
            text_format(out, ", %lld bytes", (long long)kernel->bytes);
        text_format(out, "%s\n", i > 0 && kernel->needs_barrier_before ? "" : ", no barrier before it");
        if (kernel->comment && *kernel->comment)
            text_format(out, "     fused: %s\n", kernel->comment);
        if (kernel->shared)
            text_format(out, "     function: %s, which %d kernels share\n", kernel->shared->name,
                        kernel->shared->kernel_count);
        if (kernel->why && *kernel->why)
            text_format(out, "     not with: %s\n", kernel->why);
    }
}

void emit_explain(Text *out, const Pipeline *p) {
    const KProgram *k = p->kernels;
    text_format(out, "%s, batches of at most %lld samples\n\n", p->program->name, (long long)k->module->batch_max);
    arena_part(out, k);
    for (int i = 0; i < k->sequence_count; i++) {
        const KSequence *sequence = k->sequences[i];
        int64_t work = 0;
        for (int n = 0; n < sequence->count; n++)
            work += sequence->kernels[n]->work;
        text_format(out, "\n%s: %d kernel%s, work %.1f thousand for a batch\n", sequence->func->name, sequence->count,
                    sequence->count == 1 ? "" : "s", (double)work / 1e3);
        lives_part(out, k, sequence);
        kernels_part(out, sequence);
    }
}
