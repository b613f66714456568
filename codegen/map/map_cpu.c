/* Kernels for a CPU: one nest becomes register tiles, its outermost loop shared by the threads; several nests over the
 * same rows run block of rows by block of rows; small ones run one after the other on one thread. */
#include "codegen/map/map.h"

enum { LEAST_ROWS = 4, MOST_ROWS = 12 };
enum { MOST_NEXT = 4 };         /* kernels behind one that soon read what it makes */
enum { STACK_BYTES = 1 << 18 }; /* that the local buffers of a kernel may take */
enum { NEAR_BYTES = 1 << 15 };  /* of the first cache */

/* Sums that are added to all over local memory stay in the cache: fewer rows if they are large. So does what scalar
 * code looks at element by element. */
static int64_t rows_of_locals(const KProgram *p, const KKernel *kernel, int64_t rows) {
    for (int i = 0; i < kernel->nest_count; i++) {
        const Nest *nest = kernel->nests[i];
        int64_t most = nest->each ? NEAR_BYTES : STACK_BYTES;
        while ((nest->ordered || nest->each) && rows > 1 && kkernel_local_bytes(p, kernel, rows) > most)
            rows /= 2;
    }
    return rows;
}

/* Rows of a block: whole vectors of samples if a nest has the samples on the lanes; else what divides the batch best,
 * an even number of blocks before more rows. */
static int64_t block_rows(const KProgram *p, const KKernel *kernel) {
    if (kernel->row_axes > 1)
        return map_long_rows_block(kernel);
    for (int i = 0; i < kernel->nest_count; i++)
        if (kernel->nests[i]->vector_axis == 0)
            return 2 * p->isa.lanes;
    if (kernel->block_rows)
        return kernel->block_rows;
    if (!kernel->steps)
        return rows_of_locals(p, kernel, 8);
    int64_t batch = p->module->batch_max, best = 8, least = batch * MOST_ROWS;
    for (int64_t rows = LEAST_ROWS; rows <= MOST_ROWS; rows++) {
        int64_t blocks = (batch + rows - 1) / rows, cost = (blocks * rows - batch) * MOST_ROWS + blocks % 2;
        if (cost <= least) {
            least = cost;
            best = rows;
        }
    }
    return best;
}

void map_locals(KProgram *p, KKernel *kernel, int64_t rows, KStmt *body) {
    for (int i = 0; i < kernel->local_count; i++) {
        KBuffer *local = kernel->locals[i];
        for (int k = 0; k + 1 < kernel->row_axes; k++)
            local->dims[k] = dim_static(1);
        if (kernel->row_axes > 1)
            local->dims[kernel->row_axes - 1] = dim_static(rows);
        else if (rows && local->rank && local->dims[0].batch)
            local->dims[0] = dim_static(rows);
        kstmt_add(body, kstmt_alloc(p, local));
    }
}

/* The nests one after the other; those of a recurrence's step in a loop over the steps. */
bool map_nests(const MapNest *m, bool parallel, KStmt *body) {
    KProgram *p = m->program;
    KKernel *kernel = m->kernel;
    KStmt *step = kstmt_block(p);
    kstmt_add(step, kstmt_forget(p)); /* a step reads what the one before has stored */
    for (int i = 0; i < kernel->nest_count; i++) {
        bool in_step = kernel->steps && i >= kernel->step_first && i < kernel->step_end;
        if (!map_nest_tiles(m, kernel->nests[i], parallel, in_step ? step : body))
            return false;
        if (in_step && i + 1 == kernel->step_end)
            kstmt_add(body, kstmt_for(p, kernel->step, AXIS_SERIAL, kexpr_index(p, 0), kexpr_index(p, kernel->steps), 1,
                                      step));
    }
    return true;
}

static bool map_rows(KProgram *p, KKernel *kernel, int *slack, KStmt *body) {
    int64_t rows = block_rows(p, kernel);
    map_locals(p, kernel, rows, body);
    KVar *from = kvar_new(p, kernel, "m0", (KType){KBASE_INDEX, 1}, false);
    from->multiple = rows;
    KVar *to = kvar_new(p, kernel, "m1", (KType){KBASE_INDEX, 1}, false);
    KStmt *block = kstmt_block(p);
    KExpr *end = kexpr_dim(p, kernel->nests[0]->axes[0].extent);
    KExpr *next = kexpr_binary(p, '+', kexpr_var(p, from), kexpr_index(p, rows));
    kstmt_add(block, kstmt_let(p, to, kexpr_binary(p, 'm', next, end)));
    MapNest m = {.program = p, .kernel = kernel, .block_rows = rows, .slack = slack};
    m.rows_from = kexpr_var(p, from);
    m.rows_to = kexpr_var(p, to);
    if (kernel->steps)
        m.coming = map_coming(&m);
    if (!map_nests(&m, false, block))
        return false;
    kstmt_add(body, kstmt_for(p, from, AXIS_PARALLEL, kexpr_index(p, 0), end, rows, block));
    return true;
}

static bool map_kernel(KProgram *p, const KSequence *sequence, int at, int *slack) {
    KKernel *kernel = sequence->kernels[at];
    kernel->body = kstmt_block(p);
    if (kernel->row_axes > 1)
        return map_long_rows(p, kernel, slack, kernel->body);
    if (kernel->rows)
        return map_rows(p, kernel, slack, kernel->body);
    map_locals(p, kernel, 0, kernel->body);
    MapNest m = {.program = p, .kernel = kernel, .slack = slack};
    m.next = sequence->kernels + at + 1;
    m.next_count = sequence->count - at - 1 < MOST_NEXT ? sequence->count - at - 1 : MOST_NEXT;
    return map_nests(&m, kernel->nest_count == 1 && !kernel->steps, kernel->body);
}

static void allow_slack(KProgram *p, int slack) {
    for (int i = 0; i < p->buffer_count; i++)
        if (p->buffers[i]->space == SPACE_ARENA && p->buffers[i]->rank && p->buffers[i]->dims[0].batch)
            p->buffers[i]->slack = slack;
    for (int s = 0; s < p->sequence_count; s++)
        for (int k = 0; k < p->sequences[s]->count; k++)
            for (int i = 0; i < p->sequences[s]->kernels[k]->local_count; i++)
                p->sequences[s]->kernels[k]->locals[i]->slack = slack;
}

bool map_cpu(KProgram *p) {
    int slack = 0;
    for (int s = 0; s < p->sequence_count; s++) {
        map_join(p, p->sequences[s]);
        ksequence_rows_behind(p, p->sequences[s]);
        map_carry(p, p->sequences[s]);
        map_pieces(p, p->sequences[s]);
        for (int i = 0; i < p->sequences[s]->count; i++) {
            KKernel *kernel = p->sequences[s]->kernels[i];
            if (kernel->row_axes > 1 && !map_long_rows_fit(p, kernel))
                kkernel_apart(p, p->sequences[s], i);
            kkernel_fit(p, p->sequences[s], i, block_rows(p, kernel), STACK_BYTES);
            if (!map_kernel(p, p->sequences[s], i, &slack))
                return false;
        }
    }
    allow_slack(p, slack);
    map_phases(p);
    kprogram_name_locals(p);
    return true;
}
