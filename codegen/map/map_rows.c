/* Kernels over rows within samples (KKernel.row_axes): positions of a sequence, lines of the scores of attention.
 * Samples are shared by the threads; a block of rows goes through all nests while it lies in the first cache. */
#include "codegen/map/map.h"

enum { BLOCK_ELEMENTS = 2048 };                                   /* of a block of rows */
enum { PRODUCT_BYTES = 1 << 15, LEAST_ROWS = 8, MOST_ROWS = 32 }; /* of one with products: what they pass on */

/* A sum with axes of its own beside the rows. */
static bool is_product(const KKernel *kernel, const Nest *nest) {
    return nest->reduction_count && nest->parallel_count > kernel->row_axes;
}

bool map_rows_hold_product(const KKernel *kernel) {
    for (int i = 0; i < kernel->nest_count; i++)
        if (is_product(kernel, kernel->nests[i]))
            return true;
    return false;
}

/* The longest row of what the nests run through. */
static int64_t row_elements(const KKernel *kernel) {
    int64_t most = 1;
    for (int i = 0; i < kernel->nest_count; i++) {
        int64_t elements = 1;
        const Nest *nest = kernel->nests[i];
        for (int k = kernel->row_axes; k < (is_product(kernel, nest) ? nest->parallel_count : nest->axis_count); k++)
            elements *= nest->axes[k].extent.n;
        most = elements > most ? elements : most;
    }
    return most;
}

static int64_t product_block(int64_t all, int64_t row) {
    int64_t most = PRODUCT_BYTES / kbase_bytes(KBASE_F32) / row;
    return largest_divisor(all, most < LEAST_ROWS ? LEAST_ROWS : most > MOST_ROWS ? MOST_ROWS : most);
}

bool map_rows_fill_tiles(int64_t all, int64_t row) {
    return product_block(all, row) >= LEAST_ROWS;
}

/* Rows within samples are taken by equal blocks that stay in the first cache; with products, by tiles of rows. */
int64_t map_long_rows_block(const KKernel *kernel) {
    if (kernel->block_rows)
        return kernel->block_rows;
    int64_t all = kernel->nests[0]->axes[kernel->row_axes - 1].extent.n, row = row_elements(kernel);
    return map_rows_hold_product(kernel) ? product_block(all, row) : largest_divisor(all, BLOCK_ELEMENTS / row);
}

/* Lanes run along a row, or along whole vectors of the block. */
bool map_long_rows_fit(const KProgram *p, const KKernel *kernel) {
    int64_t rows = map_long_rows_block(kernel);
    for (int i = 0; i < kernel->nest_count; i++) {
        int vector = kernel->nests[i]->vector_axis, axes = nest_row_axes(kernel->nests[i]);
        if (vector >= 0 && vector < axes && (vector < axes - 1 || rows % p->isa.lanes))
            return false;
    }
    return true;
}

/* The nests of a block, and those at the place of the first axis before and behind all of its blocks. */
typedef struct {
    KStmt *before, *block, *behind;
} Parts;

static bool map_parts(const MapNest *m, const Parts *parts) {
    const KKernel *kernel = m->kernel;
    if (!kernel->block_end)
        return map_nests(m, false, parts->block);
    MapNest around = *m;
    around.row_axis = 0;
    around.block_rows = 1;
    around.rows_from = m->fixed[0];
    around.rows_to = kexpr_binary(m->program, '+', m->fixed[0], kexpr_index(m->program, 1));
    for (int i = 0; i < kernel->nest_count; i++) {
        bool before = i < kernel->block_first, behind = i >= kernel->block_end;
        if (!map_nest_tiles(before || behind ? &around : m, kernel->nests[i], false,
                            before   ? parts->before
                            : behind ? parts->behind
                                     : parts->block))
            return false;
    }
    return true;
}

/* Where the places on an axis begin or end, by those on the axes before it. */
static KExpr *bound_of(KProgram *p, const Nest *nest, int axis, const KExpr *bound, KExpr *const *fixed) {
    KVar *from[MAX_RANK];
    for (int i = 0; i < axis; i++)
        from[i] = nest->axes[i].var;
    return kexpr_substitute(p, bound, from, fixed, axis);
}

/* What the first axis counts, most often samples, is shared by the threads; for each the places on the axes before the
 * rows, and there the blocks of rows. */
bool map_long_rows(KProgram *p, KKernel *kernel, int *slack, KStmt *body) {
    int64_t rows = map_long_rows_block(kernel);
    const Nest *nest = kernel->nests[kernel->block_first];
    const NestAxis *axes = nest->axes;
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
    Parts parts = {kstmt_block(p), kstmt_block(p), kstmt_block(p)};
    if (!map_parts(&m, &parts))
        return false;
    KStmt *block = parts.block;
    for (int i = last; i >= 0; i--) {
        bool some = axes[i].from != NULL;
        KStmt *around = i == 0 ? body : i == 1 ? parts.before : kstmt_block(p);
        KExpr *from = some ? bound_of(p, nest, i, axes[i].from, m.fixed) : kexpr_index(p, 0);
        KExpr *to = some ? bound_of(p, nest, i, axes[i].to, m.fixed) : kexpr_dim(p, axes[i].extent);
        kstmt_add(around, kstmt_for(p, var[i], i ? AXIS_SERIAL : AXIS_PARALLEL, from, to, i == last ? rows : 1, block));
        if (i == 1)
            kstmt_add(around, parts.behind);
        block = around;
    }
    return true;
}
