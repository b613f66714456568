/* Rows of the caller that lie a multiple of 4 KB apart share a few sets of the caches: what a tile broadcasts of them
 * drives itself out, and is fetched from far again for every panel of vectors. A block of their columns is then copied
 * once and all panels read that. Needs a chosen tile and order; leaves another order, and t->packed. */
#include "codegen/plan/cost.h"
#include "codegen/map/map_tile_parts.h"

enum { PAGE = 4096, COLUMNS = 32, LEAST_SAMPLES = 16, LEAST_PANELS = 4, MOST_BYTES = 1 << 17 };

/* Does the load walk through the samples in the sum, with the rows of the tile side by side, pages apart? */
static bool is_apart(const Tiles *t, const KExpr *load, const NestAxis *samples) {
    const KBuffer *b = load->load.buffer;
    int64_t stride[MAX_RANK + 1], coefficient;
    if (load->kind != KE_LOAD || b->space != SPACE_ARGUMENT || b->base != KBASE_F32 || b->rank != 2 || b->block > 0)
        return false;
    kbuffer_strides(b, t->p->module->batch_max, stride);
    return stride[0] * kbase_bytes(b->base) % PAGE == 0 && kbuffer_innermost(b) == 1 &&
           kexpr_coefficient(load->load.index[0], samples->var, &coefficient) && coefficient == 1 &&
           kexpr_coefficient(load->load.index[1], t->nest->axes[t->row].var, &coefficient) && coefficient == 1 &&
           !kexpr_uses(load->load.index[0], t->nest->axes[t->row].var) &&
           !kexpr_uses(load, t->nest->axes[t->vector].var);
}

/* The factor of the product that is to be copied; -1: none. */
static int find_factor(const Tiles *t) {
    const Nest *nest = t->nest;
    const KExpr *e = nest->reductions[0].expr;
    if (nest->reduction_count != 1 || nest->cell_count || nest->ordered ||
        nest->axis_count != nest->parallel_count + 1 || e->kind != KE_FN || e->fn.fn != FN_mul)
        return -1;
    const NestAxis *samples = &nest->axes[nest->parallel_count];
    if (!samples->extent.batch || samples->from || cost_batch(t->p) < LEAST_SAMPLES)
        return -1;
    for (int i = 0; i < 2; i++)
        if (is_apart(t, e->fn.args[i], samples))
            return i;
    return -1;
}

void map_tile_pack(Tiles *t) {
    KProgram *p = t->p;
    bool tiles = t->row >= 0 && t->row2 < 0 && t->period == 1 && t->vector >= 0 && t->order_count == 2 &&
                 t->order[0] == LOOP_PANELS && t->order[1] == LOOP_ROWS && !t->m->rows_from &&
                 !t->nest->axes[t->row].extent.batch && !t->nest->axes[t->vector].reduce &&
                 !t->nest->axes[t->vector].extent.batch;
    int factor = tiles ? find_factor(t) : -1;
    int64_t columns = COLUMNS / t->rows * t->rows;
    if (factor < 0 || columns % t->lanes || t->nest->axes[t->row].extent.n % columns ||
        t->nest->axes[t->vector].extent.n < LEAST_PANELS * t->vectors * t->lanes ||
        p->module->batch_max * columns * kbase_bytes(KBASE_F32) > MOST_BYTES)
        return;
    Nest *nest = ARENA_NEW(p->arena, Nest);
    *nest = *t->nest;
    KExpr *e = nest->reductions[0].expr, *args[2] = {e->fn.args[0], e->fn.args[1]}, *load = args[factor];
    Dim dims[] = {dim_static(p->module->batch_max), dim_static(columns)};
    t->packed = kbuffer_local(p, t->m->kernel, SPACE_LOCAL, "packed", KBASE_F32, 2, dims);
    t->packed_load = load;
    t->block_axis = t->row;
    t->block_rows = columns;
    t->block = kvar_new(p, t->m->kernel, nest->axes[t->row].var->name, (KType){KBASE_INDEX, 1}, false);
    KExpr *index[] = {load->load.index[0], kexpr_binary(p, '-', load->load.index[1], kexpr_var(p, t->block))};
    args[factor] = kexpr_load(p, t->packed, index, 2);
    nest->reductions[0].expr = kexpr_fn(p, FN_mul, args[0], args[1], NULL);
    t->nest = nest;
    t->order[t->order_count] = t->order[1];
    t->order_axis[t->order_count++] = t->row;
    t->order[1] = LOOP_PANELS;
    t->order_axis[1] = t->vector;
    t->order[0] = LOOP_BLOCKS;
    t->order_axis[0] = t->row;
}

void map_tile_copy_block(const Tiles *t, KStmt *out) {
    KProgram *p = t->p;
    const NestAxis *samples = &t->nest->axes[t->nest->parallel_count];
    KVar *sample = kvar_new(p, t->m->kernel, samples->var->name, (KType){KBASE_INDEX, 1}, false);
    KVar *vars[] = {samples->var, t->nest->axes[t->row].var};
    KStmt *body = kstmt_block(p);
    kstmt_add(out, kstmt_alloc(p, t->packed));
    for (int64_t column = 0; column < t->block_rows; column += t->lanes) {
        KExpr *place = kexpr_index(p, column), *to[] = {kexpr_var(p, sample), place}, *logical[2],
              *physical[MAX_RANK + 1];
        KExpr *at[] = {kexpr_var(p, sample), kexpr_binary(p, '+', kexpr_var(p, t->block), place)};
        for (int i = 0; i < 2; i++)
            logical[i] = kexpr_substitute(p, t->packed_load->load.index[i], vars, at, 2);
        int count = kbuffer_physical_index(p, t->packed_load->load.buffer, logical, physical);
        KExpr *load = kexpr_load(p, t->packed_load->load.buffer, physical, count);
        load->type.lanes = t->lanes;
        kstmt_add(body, kstmt_store(p, t->packed, to, 2, load, NULL));
    }
    kstmt_add(out, kstmt_for(p, sample, AXIS_SERIAL, kexpr_index(p, 0), kexpr_dim(p, samples->extent), 1, body));
}
