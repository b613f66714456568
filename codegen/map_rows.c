/* Kernels over rows within samples (KKernel.row_axes): positions of a sequence, lines of the scores of attention.
 * Samples are shared by the threads; a block of rows goes through all nests while it lies in the first cache. */
#include "codegen/map.h"

enum { BLOCK_ELEMENTS = 2048 }; /* of a block of rows */

/* The longest row of what the nests run through. */
static int64_t row_elements(const KKernel *kernel) {
    int64_t most = 1;
    for (int i = 0; i < kernel->nest_count; i++) {
        int64_t elements = 1;
        for (int k = kernel->row_axes; k < kernel->nests[i]->axis_count; k++)
            elements *= kernel->nests[i]->axes[k].extent.n;
        most = elements > most ? elements : most;
    }
    return most;
}

/* Rows within samples are taken by equal blocks that stay in the first cache. */
int64_t map_long_rows_block(const KKernel *kernel) {
    int64_t all = kernel->nests[0]->axes[kernel->row_axes - 1].extent.n, most = BLOCK_ELEMENTS / row_elements(kernel);
    int64_t rows = most < 1 ? 1 : most < all ? most : all;
    while (all % rows)
        rows--;
    return rows;
}

/* Lanes run along a row, or along whole vectors of the block. */
bool map_long_rows_fit(const KProgram *p, const KKernel *kernel) {
    int64_t rows = map_long_rows_block(kernel);
    for (int i = 0; i < kernel->nest_count; i++) {
        int vector = kernel->nests[i]->vector_axis;
        if (vector >= 0 && vector < kernel->row_axes && (vector < kernel->row_axes - 1 || rows % p->isa.lanes))
            return false;
    }
    return true;
}

/* Samples are shared by the threads; for each the places on the axes before the rows, and there the blocks of rows. */
bool map_long_rows(KProgram *p, KKernel *kernel, int *slack, KStmt *body) {
    int64_t rows = map_long_rows_block(kernel);
    const NestAxis *axes = kernel->nests[0]->axes;
    KVar *var[MAX_RANK] = {NULL};
    int last = kernel->row_axes - 1;
    map_locals(p, kernel, rows, body);
    MapNest m = {.program = p, .kernel = kernel, .block_rows = rows, .slack = slack, .row_axis = last};
    for (int i = 0; i <= last; i++) {
        var[i] = kvar_new(p, kernel, i < last ? axes[i].var->name : "y0", (KType){KBASE_INDEX, 1}, false);
        m.fixed[i] = kexpr_var(p, var[i]);
    }
    var[last]->multiple = rows;
    m.rows_from = m.fixed[last];
    m.rows_to = kexpr_binary(p, '+', m.rows_from, kexpr_index(p, rows));
    KStmt *block = kstmt_block(p);
    if (!map_nests(&m, false, block))
        return false;
    for (int i = last; i >= 0; i--) {
        KStmt *around = i ? kstmt_block(p) : body;
        KExpr *end = kexpr_dim(p, axes[i].extent);
        kstmt_add(around, kstmt_for(p, var[i], i ? AXIS_SERIAL : AXIS_PARALLEL, kexpr_index(p, 0), end,
                                    i == last ? rows : 1, block));
        block = around;
    }
    return true;
}
