/* --emit=dot: the kernels of each function and what passes between them, for Graphviz (dot -Tsvg). */
#include "driver/driver.h"

static const KBuffer *memory_of(const KBuffer *b) {
    return b->alias ? b->alias : b;
}

static int64_t bytes_of(const KProgram *k, const KBuffer *b) {
    return kbuffer_elements(b, k->module->batch_max) * kbase_bytes(b->base);
}

static bool uses(const KProgram *k, const KKernel *kernel, const KBuffer *buffer, bool written) {
    KUse *all;
    int count = kkernel_uses(k, kernel, &all);
    for (int i = 0; i < count; i++)
        if (memory_of(all[i].buffer) == buffer && (written ? all[i].written : all[i].read))
            return true;
    return false;
}

/* The kernel before `at` that wrote the buffer last, or -1. */
static int writer_before(const KProgram *k, const KSequence *sequence, const KBuffer *buffer, int at) {
    for (int i = at - 1; i >= 0; i--)
        if (uses(k, sequence->kernels[i], buffer, true))
            return i;
    return -1;
}

static void edges(Text *out, const KProgram *k, const KSequence *sequence, int s) {
    for (int i = 0; i < sequence->count; i++) {
        KUse *all;
        int count = kkernel_uses(k, sequence->kernels[i], &all);
        for (int u = 0; u < count; u++) {
            const KBuffer *b = memory_of(all[u].buffer);
            if (all[u].written && b->space == SPACE_RESULT)
                text_format(out, "    k%d_%d -> r%d_%d;\n    r%d_%d [label=\"%s\", shape=oval];\n", s, i, s, b->id, s,
                            b->id, b->name);
            if (!all[u].read)
                continue;
            int from = writer_before(k, sequence, b, i);
            if (b->space == SPACE_ARGUMENT)
                text_format(out, "    a%d_%d -> k%d_%d;\n    a%d_%d [label=\"%s\", shape=oval];\n", s, b->id, s, i, s,
                            b->id, b->name);
            else if (from >= 0)
                text_format(out, "    k%d_%d -> k%d_%d [label=\"%s\\n%lld B\"];\n", s, from, s, i, b->name,
                            (long long)bytes_of(k, b));
        }
    }
}

void emit_dot(Text *out, const Pipeline *p) {
    const KProgram *k = p->kernels;
    text_format(
        out,
        "digraph %s {\n  node [shape=box, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n",
        p->program->name);
    for (int s = 0; s < k->sequence_count; s++) {
        const KSequence *sequence = k->sequences[s];
        text_format(out, "  subgraph cluster_%d {\n    label=\"%s\";\n", s, sequence->func->name);
        for (int i = 0; i < sequence->count; i++)
            text_format(out, "    k%d_%d [label=\"%s\"];\n", s, i, sequence->kernels[i]->name);
        edges(out, k, sequence, s);
        text_add(out, "  }\n");
    }
    text_add(out, "}\n");
}
