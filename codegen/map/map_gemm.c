/* Products of matrices for a library: KS_GEMM in loops over what is no row, column or term, shared by the threads. */
#include "codegen/nests/gemm.h"
#include "codegen/map/map.h"

enum { A, B, C, BIAS, MATRICES };

typedef struct {
    const MapNest *m;
    const Nest *nest;
    KProgram *p;
    KBuffer *buffer[MATRICES];     /* NULL: there is no bias */
    KExpr *const *index[MATRICES]; /* logical */
    bool taken[NEST_MAX_AXES];     /* axes that the product itself runs through */
    int inner[3];                  /* by role: the axis whose neighbours are neighbouring rows, columns, terms */
    Dim extent[3];
    KExpr *at[NEST_MAX_AXES]; /* where the axes stand that are no part of it */
} Gemm;

/* ---- which axes */

/* The physical axis of a matrix that an axis of the nest moves along; -1: none. */
static int place_of(const Gemm *g, int matrix, int axis) {
    const KBuffer *b = g->buffer[matrix];
    for (int i = 0; i < b->rank; i++)
        if (g->index[matrix][b->order[i]]->var == g->nest->axes[axis].var)
            return i;
    return -1;
}

static bool has(GemmRole role, int matrix) {
    return matrix == A      ? role != GEMM_COLUMNS
           : matrix == B    ? role != GEMM_ROWS
           : matrix == BIAS ? role == GEMM_COLUMNS
                            : role != GEMM_SUM;
}

/* The axis of this role that lies innermost; all matrices must agree, or there is a loop around. */
static int innermost(const Gemm *g, GemmRole role) {
    int best = -1, matrix = role == GEMM_SUM ? A : C;
    for (int i = 0; i < g->nest->axis_count; i++)
        if (gemm_role(g->nest, i) == role && !dim_equal(g->nest->axes[i].extent, dim_static(1)) &&
            (best < 0 || place_of(g, matrix, i) > place_of(g, matrix, best)))
            best = i;
    return best;
}

/* In every matrix, the elements along `outer` follow those along `inner` without a gap. */
static bool runs_on(const Gemm *g, GemmRole role, int outer, int inner) {
    if (g->nest->axes[inner].extent.batch)
        return false;
    for (int i = 0; i < MATRICES; i++) {
        const KBuffer *b = g->buffer[i];
        int place = b && has(role, i) ? place_of(g, i, inner) : -1;
        if (place < 0)
            continue;
        if (place_of(g, i, outer) != place - 1 || (place == b->rank - 1 && b->pad > 1) ||
            (place == 1 && b->row_stride > 0))
            return false;
    }
    return true;
}

/* Takes the axes of a role that run on into each other. */
static void take(Gemm *g, GemmRole role) {
    int last = g->inner[role];
    g->extent[role] = g->nest->axes[last].extent;
    g->taken[last] = true;
    for (int i = 0; i < g->nest->axis_count; i++)
        if (!g->taken[i] && gemm_role(g->nest, i) == role && runs_on(g, role, i, last)) {
            Dim outer = g->nest->axes[i].extent;
            g->extent[role] = (Dim){g->extent[role].n * outer.n, outer.batch};
            g->taken[i] = true;
            last = i;
            i = -1; /* what runs on into this one */
        }
}

static bool lies_as_matrix(const Gemm *g, int matrix, GemmRole rows, GemmRole columns) {
    const KBuffer *b = g->buffer[matrix];
    int last = b->rank - 1;
    return b->block == 0 && !b->indirect && b->lanes <= 1 && b->space != SPACE_LOCAL && b->rank >= 2 &&
           (place_of(g, matrix, g->inner[rows]) == last || place_of(g, matrix, g->inner[columns]) == last);
}

static bool choose(Gemm *g) {
    for (GemmRole role = GEMM_ROWS; role <= GEMM_SUM; role++)
        if ((g->inner[role] = innermost(g, role)) < 0)
            return false;
    if (!lies_as_matrix(g, A, GEMM_ROWS, GEMM_SUM) || !lies_as_matrix(g, B, GEMM_SUM, GEMM_COLUMNS) ||
        !lies_as_matrix(g, C, GEMM_ROWS, GEMM_COLUMNS))
        return false;
    for (GemmRole role = GEMM_ROWS; role <= GEMM_SUM; role++)
        take(g, role);
    int sums = 0;
    for (int i = g->nest->parallel_count; i < g->nest->axis_count; i++)
        sums += !g->taken[i];
    return sums <= 1;
}

/* ---- statements */

static KMatrix matrix_of(Gemm *g, int matrix, GemmRole rows, GemmRole columns) {
    KBuffer *b = g->buffer[matrix];
    KExpr *logical[MAX_RANK], **physical = ARENA_ARRAY(g->p->arena, KExpr *, MAX_RANK + 1);
    for (int i = 0; i < b->rank; i++)
        logical[i] = kexpr_index(g->p, 0);
    for (int axis = 0; axis < g->nest->axis_count; axis++) {
        int place = has(gemm_role(g->nest, axis), matrix) ? place_of(g, matrix, axis) : -1;
        if (place >= 0 && !g->taken[axis])
            logical[b->order[place]] = g->at[axis];
    }
    int count = kbuffer_physical_index(g->p, b, logical, physical);
    return (KMatrix){b, physical, count, {place_of(g, matrix, g->inner[rows]), place_of(g, matrix, g->inner[columns])}};
}

typedef struct {
    KExpr *from[2], *to[2]; /* of rows and columns */
} Part;

static KStmt *product(Gemm *g, const Part *part, bool accumulate) {
    KGemm gemm = {.a = matrix_of(g, A, GEMM_ROWS, GEMM_SUM),
                  .b = matrix_of(g, B, GEMM_SUM, GEMM_COLUMNS),
                  .c = matrix_of(g, C, GEMM_ROWS, GEMM_COLUMNS),
                  .row_from = part->from[0],
                  .row_to = part->to[0],
                  .column_from = part->from[1],
                  .column_to = part->to[1],
                  .sum = kexpr_dim(g->p, g->extent[GEMM_SUM]),
                  .accumulate = accumulate};
    return kstmt_gemm(g->p, &gemm);
}

static KVar *loop_var(Gemm *g, const char *name, Dim extent) {
    KVar *var = kvar_new(g->p, g->m->kernel, name, (KType){KBASE_INDEX, 1}, false);
    var->limit = dim_size(extent, g->p->module->batch_max);
    return var;
}

/* Terms that do not run on into each other are added product by product. */
static void all_terms(Gemm *g, const Part *part, KStmt *out) {
    int axis = g->nest->parallel_count;
    while (axis < g->nest->axis_count && g->taken[axis])
        axis++;
    if (axis == g->nest->axis_count) {
        kstmt_add(out, product(g, part, false));
        return;
    }
    Dim extent = g->nest->axes[axis].extent;
    KVar *var = loop_var(g, g->nest->axes[axis].var->name, extent);
    g->at[axis] = kexpr_index(g->p, 0);
    kstmt_add(out, product(g, part, false));
    g->at[axis] = kexpr_var(g->p, var);
    kstmt_add(out, kstmt_for(g->p, var, AXIS_SERIAL, kexpr_index(g->p, 1), kexpr_dim(g->p, extent), 1,
                             product(g, part, true)));
}

/* Blocks of the rows, or of the columns if there are more of those. */
static void blocks(Gemm *g, bool parallel, KStmt *out) {
    KProgram *p = g->p;
    Part part;
    for (int i = 0; i < 2; i++) {
        part.from[i] = kexpr_index(p, 0);
        part.to[i] = kexpr_dim(p, g->extent[i]);
    }
    int64_t rows = gemm_extent(p, g->nest, GEMM_ROWS), columns = gemm_extent(p, g->nest, GEMM_COLUMNS);
    int split = columns >= rows ? GEMM_COLUMNS : GEMM_ROWS;
    int64_t extent = split == GEMM_ROWS ? rows : columns;
    int64_t block = extent >= GEMM_BLOCKS * GEMM_BLOCK ? GEMM_BLOCK : GEMM_BLOCK_SMALL;
    if (!parallel) {
        all_terms(g, &part, out);
        return;
    }
    KVar *var = loop_var(g, g->nest->axes[g->inner[split]].var->name, g->extent[split]);
    KExpr *end = part.to[split], *next = kexpr_binary(p, '+', kexpr_var(p, var), kexpr_index(p, block));
    var->multiple = block;
    bool even = !g->extent[split].batch && extent % block == 0;
    if (even)
        var->limit = extent - block + 1;
    part.from[split] = kexpr_var(p, var);
    part.to[split] = even ? next : kexpr_binary(p, 'm', next, end);
    KStmt *body = kstmt_block(p);
    all_terms(g, &part, body);
    kstmt_add(out, kstmt_for(p, var, AXIS_PARALLEL, kexpr_index(p, 0), end, block, body));
}

/* Loops over what is left: the outermost one is shared by the threads. */
static void loops(Gemm *g, int axis, bool parallel, KStmt *out) {
    while (axis < g->nest->parallel_count && g->taken[axis])
        axis++;
    if (axis == g->nest->parallel_count) {
        blocks(g, parallel, out);
        return;
    }
    Dim extent = g->nest->axes[axis].extent;
    KVar *var = loop_var(g, g->nest->axes[axis].var->name, extent);
    KStmt *body = kstmt_block(g->p);
    g->at[axis] = kexpr_var(g->p, var);
    loops(g, axis + 1, false, body);
    kstmt_add(out, kstmt_for(g->p, var, parallel ? AXIS_PARALLEL : AXIS_SERIAL, kexpr_index(g->p, 0),
                             kexpr_dim(g->p, extent), 1, body));
}

bool map_gemm(const MapNest *m, const Nest *nest, bool parallel, KStmt *out) {
    const KStmt *store = nest->gemm ? gemm_store(nest) : NULL;
    if (!store || m->rows_from)
        return false;
    Gemm g = {.m = m, .nest = nest, .p = m->program};
    for (int i = 0; i < 2; i++) {
        g.buffer[i] = gemm_operand(nest, i)->load.buffer;
        g.index[i] = gemm_operand(nest, i)->load.index;
    }
    g.buffer[C] = store->store.buffer;
    g.index[C] = store->store.index;
    if (!choose(&g))
        return false;
    loops(&g, 0, parallel, out);
    return true;
}

/* ---- one call, on a GPU */

/* As a buffer of the program lies there: its axes in their order. */
static KBuffer *plain_buffer(KProgram *p, int rank, const Dim *dims) {
    KBuffer *b = ARENA_NEW(p->arena, KBuffer);
    *b = (KBuffer){.space = SPACE_ARENA, .base = KBASE_F32, .rank = rank, .pad = 1, .lanes = 1};
    for (int i = 0; i < rank; i++) {
        b->dims[i] = dims[i];
        b->order[i] = (int8_t)i;
    }
    return b;
}

static void place_matrix(Gemm *g, int matrix, KBuffer *b, KExpr *const *index) {
    g->buffer[matrix] = b->indirect ? plain_buffer(g->p, b->rank, b->dims) : b; /* as gathered */
    g->index[matrix] = index;
}

/* Sums apart would lie as the nest's axes do. */
static void place_sums(Gemm *g) {
    Dim dims[MAX_RANK];
    KExpr **index = ARENA_ARRAY(g->p->arena, KExpr *, MAX_RANK);
    for (int i = 0; i < g->nest->parallel_count; i++) {
        dims[i] = g->nest->axes[i].extent;
        index[i] = kexpr_var(g->p, g->nest->axes[i].var);
    }
    place_matrix(g, C, plain_buffer(g->p, g->nest->parallel_count, dims), index);
}

static bool is_one_call(Gemm *g, const GemmEpilogue *epilogue) {
    for (int i = 0; i < 2; i++) {
        const KExpr *load = gemm_operand(g->nest, i);
        place_matrix(g, i, load->load.buffer, load->load.index);
    }
    if (epilogue)
        place_matrix(g, C, epilogue->store->store.buffer, epilogue->store->store.index);
    else
        place_sums(g);
    if (epilogue && epilogue->bias)
        place_matrix(g, BIAS, epilogue->bias->load.buffer, epilogue->bias->load.index);
    if (!choose(g))
        return false;
    for (int i = 0; i < g->nest->axis_count; i++)
        if (!g->taken[i] && !dim_equal(g->nest->axes[i].extent, dim_static(1)))
            return false;
    const KBuffer *bias = g->buffer[BIAS];
    return !bias || (place_of(g, BIAS, g->inner[GEMM_COLUMNS]) == bias->rank - 1 &&
                     place_of(g, C, g->inner[GEMM_COLUMNS]) == g->buffer[C]->rank - 1);
}

bool map_gemm_is_one_call(KProgram *p, const Nest *nest, const GemmEpilogue *epilogue) {
    return is_one_call(&(Gemm){.nest = nest, .p = p}, epilogue);
}

/* All rows are the same. */
static KMatrix bias_of(Gemm *g) {
    KMatrix bias = matrix_of(g, BIAS, GEMM_COLUMNS, GEMM_COLUMNS);
    bias.along[0] = -1;
    return bias;
}

bool map_gemm_one_call(KProgram *p, const Nest *nest, KBuffer *scratch, KStmt *out) {
    GemmEpilogue epilogue;
    Gemm g = {.nest = nest, .p = p};
    if (!gemm_epilogue(nest, &epilogue) || !is_one_call(&g, &epilogue))
        return false;
    for (int i = 0; i < nest->axis_count; i++)
        g.at[i] = kexpr_index(p, 0);
    Part all = {{kexpr_index(p, 0), kexpr_index(p, 0)},
                {kexpr_dim(p, g.extent[GEMM_ROWS]), kexpr_dim(p, g.extent[GEMM_COLUMNS])}};
    KStmt *s = product(&g, &all, false);
    if (epilogue.bias)
        s->gemm->bias = bias_of(&g);
    s->gemm->relu = epilogue.relu;
    s->gemm->precision = p->precision;
    s->gemm->scratch = scratch;
    kstmt_add(out, s);
    return true;
}
