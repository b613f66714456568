/* Kernels for a CPU: one nest becomes register tiles, its outermost loop shared by the threads; several nests over the
 * same rows run block of rows by block of rows; small ones run one after the other on one thread. */
#include "codegen/map.h"

/* Rows of a block: whole vectors of samples if a nest has the samples on the lanes. */
static int64_t block_rows(const KProgram *p, const KKernel *kernel) {
    for (int i = 0; i < kernel->nest_count; i++)
        if (kernel->nests[i]->vector_axis == 0)
            return 2 * p->isa.lanes;
    return 8;
}

static void allocate_locals(KProgram *p, KKernel *kernel, int64_t rows, KStmt *body) {
    for (int i = 0; i < kernel->local_count; i++) {
        KBuffer *local = kernel->locals[i];
        if (rows && local->rank && local->dims[0].batch)
            local->dims[0] = dim_static(rows);
        kstmt_add(body, kstmt_alloc(p, local));
    }
}

static bool map_rows(KProgram *p, KKernel *kernel, KStmt *body) {
    int64_t rows = block_rows(p, kernel);
    allocate_locals(p, kernel, rows, body);
    KVar *from = kvar_new(p, kernel, "m0", (KType){KBASE_INDEX, 1}, false);
    KVar *to = kvar_new(p, kernel, "m1", (KType){KBASE_INDEX, 1}, false);
    KStmt *block = kstmt_block(p);
    KExpr *end = kexpr_dim(p, kernel->nests[0]->axes[0].extent);
    KExpr *next = kexpr_binary(p, '+', kexpr_var(p, from), kexpr_index(p, rows));
    kstmt_add(block, kstmt_let(p, to, kexpr_binary(p, 'm', next, end)));
    MapNest m = {p, kernel, kexpr_var(p, from), kexpr_var(p, to)};
    for (int i = 0; i < kernel->nest_count; i++)
        if (!map_nest_tiles(&m, kernel->nests[i], false, block))
            return false;
    kstmt_add(body, kstmt_for(p, from, AXIS_PARALLEL, kexpr_index(p, 0), end, rows, block));
    return true;
}

static bool map_kernel(KProgram *p, KKernel *kernel) {
    kernel->body = kstmt_block(p);
    if (kernel->rows)
        return map_rows(p, kernel, kernel->body);
    allocate_locals(p, kernel, 0, kernel->body);
    MapNest m = {p, kernel, NULL, NULL};
    for (int i = 0; i < kernel->nest_count; i++)
        if (!map_nest_tiles(&m, kernel->nests[i], kernel->nest_count == 1, kernel->body))
            return false;
    return true;
}

bool map_cpu(KProgram *p) {
    for (int s = 0; s < p->sequence_count; s++)
        for (int i = 0; i < p->sequences[s]->count; i++)
            if (!map_kernel(p, p->sequences[s]->kernels[i]))
                return false;
    return true;
}
