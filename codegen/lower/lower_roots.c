/* Ops that open a nest of their own: reductions, contractions, windows, concatenation, scatter.
 *
 * An operand of a contraction that is read outside its extent (padding), or on a GPU between its elements (strides in a
 * gradient), is first copied into a buffer with the zeros in place, by a kernel of its own: the nest then has affine
 * accesses only. */
#include "codegen/lower/lower.h"
#include "ir/contraction.h"

bool lower_is_root(const Op *op) {
    switch (op_infos[op->code].op_class) {
    case CLASS_REDUCE:
    case CLASS_CONTRACT:
        return true;
    case CLASS_WINDOW: /* windows that do not overlap: an expression */
        return op->code != OP_UNPOOL || !window_is_disjoint(&op->attr.window);
    default:
        return op->code == OP_CONCAT || op->code == OP_SCATTER_ADD;
    }
}

KExpr *lower_axis(LowerRegion *r, const Nest *nest, int i) {
    return kexpr_var(r->lower->program, nest->axes[i].var);
}
KExpr *lower_index(LowerRegion *r, int64_t n) {
    return kexpr_index(r->lower->program, n);
}

NestReduction *lower_reduction(LowerRegion *r, Nest *nest, const Value *result, ReduceKind kind, KExpr *expr) {
    KProgram *p = r->lower->program;
    NestReduction *reduction = &nest->reductions[nest->reduction_count++];
    static const char *const names[] = {[REDUCE_SUM] = "sum", [REDUCE_MAX] = "largest", [REDUCE_MIN] = "smallest"};
    const char *name = result->name ? result->name : names[kind];
    KBase base = lower_base(result->type->dtype);
    reduction->kind = kind;
    reduction->expr = expr;
    reduction->result = kvar_new(p, r->kernel, name, (KType){base, 1}, true);
    r->var[result->id] = reduction->result;
    r->home[result->id] = nest;
    return reduction;
}

/* ---- reductions over axes */
static void root_reduce(LowerRegion *r, const Op *op) {
    const Value *input = op->inputs[0], *result = op->results[0];
    bool reduced[MAX_RANK] = {false};
    if (op->code == OP_ARGMAX)
        reduced[op->attr.axis] = true;
    else
        for (int i = 0; i < op->attr.reduce.over.count; i++)
            reduced[op->attr.reduce.over.axes[i]] = true;
    Nest *nest = lower_nest(r, op, result->type);
    KExpr *index[MAX_RANK];
    int parallel = 0;
    for (int i = 0; i < input->type->rank; i++) {
        if (reduced[i]) {
            lower_add_axis(r, nest, input->type->dims[i].batch ? "m" : "k", input->type->dims[i], true);
            index[i] = lower_axis(r, nest, nest->axis_count - 1);
        } else
            index[i] = lower_axis(r, nest, parallel++);
    }
    KExpr *expr = lower_expr(r, nest, input, index);
    NestReduction *reduction =
        lower_reduction(r, nest, result, op->code == OP_ARGMAX ? REDUCE_MAX : op->attr.reduce.kind, expr);
    reduction->argument = op->code == OP_ARGMAX;
}

/* ---- contractions */
/* An axis of a contraction: of the nest, or with windows the cell at hand. */
static KExpr *axis_at(LowerRegion *r, const Nest *nest, int i) {
    return nest->point && i < nest->parallel_count ? nest->point[i] : lower_axis(r, nest, i);
}

static KExpr *affine(LowerRegion *r, const Nest *nest, const AffineIndex *a, int axis_count) {
    KProgram *p = r->lower->program;
    KExpr *sum = lower_index(r, a->constant);
    for (int i = 0; i < axis_count; i++)
        if (a->coefficient[i])
            sum =
                kexpr_binary(p, '+', sum, kexpr_binary(p, '*', axis_at(r, nest, i), lower_index(r, a->coefficient[i])));
    return sum;
}

/* Smallest and largest value of the numerator. */
static void affine_range(const Contraction *c, const AffineIndex *a, int64_t *low, int64_t *high) {
    *low = *high = a->constant;
    for (int i = 0; i < c->axis_count; i++) {
        int64_t reach = a->coefficient[i] * (c->extent[i].n - 1);
        *(reach < 0 ? low : high) += reach;
    }
}

/* What a step of a recurrence reads cannot be prepared by another kernel. */
static bool kernel_before(LowerRegion *r, const Op *op) {
    if (!r->kernel->steps)
        return true;
    diag_error(r->lower->program->diag, op->span, "%s with padding or windows inside of a recurrence is not built yet",
               op_infos[op->code].name);
    r->failed = true;
    return false;
}

/* What the copy is, if it is one of memory. */
static const KHalo *halo_of(LowerRegion *r, const KExpr *read, int rank, const int64_t *low) {
    KHalo *halo = ARENA_NEW(r->lower->program->arena, KHalo);
    if (read->kind != KE_LOAD || read->load.index_count != rank)
        return NULL;
    halo->of = read->load.buffer;
    for (int i = 0; i < rank; i++)
        halo->low[i] = low[i];
    return halo;
}

/* A kernel that copies the operand into a buffer indexed by the numerator - low, zeros where there is no element. */
KBuffer *lower_halo(LowerRegion *outer, const Op *op, int input, const LowerReach *reach) {
    Lower *lower = outer->lower;
    KProgram *p = lower->program;
    if (!kernel_before(outer, op))
        return NULL;
    const Value *value = op->inputs[input];
    int rank = value->type->rank;
    Dim dims[MAX_RANK];
    int64_t low[MAX_RANK];
    bool plain = true;
    for (int i = 0; i < rank; i++) {
        low[i] = reach[i].divisor ? reach[i].low : 0;
        dims[i] = reach[i].divisor ? dim_static(reach[i].high - reach[i].low + 1) : value->type->dims[i];
    }
    KBuffer *padded =
        kbuffer_new(p, SPACE_ARENA, lower_name(lower, op->layer, "padded"), lower_base(value->type->dtype), rank, dims);
    padded->sequence = lower->sequence;
    padded->layer = op->layer;
    LowerRegion inner = *outer;
    inner.kernel = lower_kernel(lower, op, "pad");
    KKernel *last = outer->kernel; /* the copy comes first */
    lower->sequence->kernels[lower->sequence->count - 1] = last;
    lower->sequence->kernels[lower->sequence->count - 2] = inner.kernel;
    const Type *space = type_get((Module *)p->module, value->type->dtype, rank, dims);
    Nest *nest = lower_nest(&inner, op, space);
    KExpr *index[MAX_RANK], *place[MAX_RANK], *inside = NULL;
    for (int i = 0; i < rank; i++) {
        place[i] = index[i] = lower_axis(&inner, nest, i);
        if (!reach[i].divisor)
            continue;
        KExpr *extent = kexpr_dim(p, value->type->dims[i]), *step = lower_index(outer, reach[i].divisor);
        KExpr *moved = kexpr_binary(p, '+', index[i], lower_index(outer, low[i]));
        KExpr *positive = kexpr_binary(p, 'M', moved, lower_index(outer, 0));
        KExpr *quotient = kexpr_binary(p, '/', positive, step);
        KExpr *test = kexpr_fn(p, FN_and, kexpr_fn(p, FN_ge, moved, lower_index(outer, 0), NULL),
                               kexpr_fn(p, FN_lt, quotient, extent, NULL), NULL);
        if (reach[i].divisor > 1)
            test =
                kexpr_fn(p, FN_and, test,
                         kexpr_fn(p, FN_eq, kexpr_binary(p, '%', positive, step), lower_index(outer, 0), NULL), NULL);
        inside = inside ? kexpr_fn(p, FN_and, inside, test, NULL) : test;
        place[i] = kexpr_binary(p, 'm', quotient, kexpr_binary(p, '-', extent, lower_index(outer, 1)));
        plain = plain && reach[i].divisor == 1;
    }
    KExpr *read = lower_expr(&inner, nest, value, place);
    KVar *var = kvar_new(p, inner.kernel, "v", read->type, false);
    kstmt_add(nest->epilogue,
              kstmt_let(p, var, kexpr_fn(p, FN_select, inside, read, kexpr_number(p, read->type.base, 0))));
    kstmt_add(nest->epilogue, kstmt_store(p, padded, index, rank, kexpr_var(p, var), NULL));
    inner.kernel->work = type_count(space, p->module->batch_max);
    padded->halo = plain ? halo_of(&inner, read, rank, low) : NULL;
    return padded;
}

KBuffer *lower_affine_halo(LowerRegion *outer, const Op *op, int input, const Contraction *c, AffineIndex *access,
                           int rank) {
    LowerReach reach[MAX_RANK] = {{0}};
    for (int i = 0; i < rank; i++) {
        if (!access[i].may_miss)
            continue;
        affine_range(c, &access[i], &reach[i].low, &reach[i].high);
        reach[i].divisor = access[i].divisor;
        access[i].constant -= reach[i].low;
        access[i].divisor = 1;
    }
    return lower_halo(outer, op, input, reach);
}

/* ---- sums of which only a part lies in the operand */
enum { LEAST_BATCH = 8, PAGE = 4096 };

/* The only reduce axis that an index moves along, one cell at a time; -1: none or several. */
static int only_reduce_axis(const Contraction *c, const AffineIndex *a) {
    int found = -1;
    for (int i = c->out_rank; i < c->axis_count; i++)
        if (a->coefficient[i]) {
            bool single =
                (a->coefficient[i] == 1 || a->coefficient[i] == -1) && !c->extent[i].batch && c->extent[i].n > 1;
            if (found >= 0 || !single)
                return -1;
            found = i;
        }
    return a->divisor == 1 ? found : -1;
}

/* Where tiles are made of samples, a loop may leave out what it would multiply with the zeros of a padding: not samples
 * a multiple of a page apart, which would fall on the same lines of the cache. */
static bool can_be_bounded(const LowerRegion *r, const Contraction *c, const AffineIndex *access, const Value *value) {
    bool used[MAX_AXES] = {false};
    const Type *type = value->type;
    if (r->lower->program->isa.lanes <= 1 || r->lower->program->module->batch_max < LEAST_BATCH ||
        !type->dims[0].batch || type_count(type, 1) * (int64_t)sizeof(float) % PAGE == 0)
        return false;
    for (int i = 0; i < type->rank; i++) {
        int axis = access[i].may_miss ? only_reduce_axis(c, &access[i]) : -1;
        if (access[i].may_miss && (axis < 0 || used[axis]))
            return false;
        if (axis >= 0)
            used[axis] = true;
    }
    return true;
}

/* The gradient by a kernel: are the sums of one tap, at which the bounds are the same, so few that each addition would
 * wait for the one before? The sums of all taps together are not. */
static bool wait_for_each_other(const LowerRegion *r, const Op *op) {
    enum { IN_FLIGHT = 8 };
    const Type *type = op->results[0]->type;
    int64_t lanes = r->lower->program->isa.lanes, channels = type->dims[type->rank - 2].n;
    int64_t filters = type->dims[type->rank - 1].n;
    int64_t by_filters = channels * ((filters + lanes - 1) / lanes),
            by_channels = filters * ((channels + lanes - 1) / lanes);
    return op->code == OP_CONV_GRAD_KERNEL && (by_filters < by_channels ? by_filters : by_channels) < IN_FLIGHT;
}

/* 0 <= rest + k < extent, or 0 <= rest - k < extent, solved for k. */
static void bound_axes(LowerRegion *r, Nest *nest, const Contraction *c, const AffineIndex *access, const Type *type) {
    KProgram *p = r->lower->program;
    for (int i = 0; i < type->rank; i++) {
        if (!access[i].may_miss)
            continue;
        int k = only_reduce_axis(c, &access[i]);
        AffineIndex others = access[i];
        others.coefficient[k] = 0;
        KExpr *rest = affine(r, nest, &others, c->axis_count), *extent = lower_index(r, type->dims[i].n), *from, *to;
        if (access[i].coefficient[k] == 1) {
            from = kexpr_binary(p, '-', lower_index(r, 0), rest);
            to = kexpr_binary(p, '-', extent, rest);
        } else {
            from = kexpr_binary(p, '+', kexpr_binary(p, '-', rest, extent), lower_index(r, 1));
            to = kexpr_binary(p, '+', rest, lower_index(r, 1));
        }
        nest->axes[k].from = kexpr_binary(p, 'M', lower_index(r, 0), from);
        nest->axes[k].to = kexpr_binary(p, 'm', lower_index(r, c->extent[k].n), to);
    }
}

static KExpr *operand(LowerRegion *r, Nest *nest, const Op *op, int input, const Contraction *c, KBuffer *padded,
                      const AffineIndex *access, int rank) {
    KExpr *index[MAX_RANK];
    for (int i = 0; i < rank; i++)
        index[i] = affine(r, nest, &access[i], c->axis_count);
    return padded ? kexpr_load(r->lower->program, padded, index, rank) : lower_expr(r, nest, op->inputs[input], index);
}

static bool any_miss(const AffineIndex *access, int rank) {
    for (int i = 0; i < rank; i++)
        if (access[i].may_miss)
            return true;
    return false;
}

/* The operand that is the gradient of max pooling; NULL: none. */
static const Op *unpool_of(const Op *op) {
    const Op *made = op->code == OP_CONV_GRAD_INPUT    ? op->inputs[0]->def
                     : op->code == OP_CONV_GRAD_KERNEL ? op->inputs[1]->def
                                                       : NULL;
    return made && made->code == OP_UNPOOL && !lower_is_root(made) ? made : NULL;
}

static void root_contract(LowerRegion *r, const Op *op) {
    if (lower_convolution(r, op))
        return;
    const Op *unpool = unpool_of(op);
    if ((unpool && lower_unpool_lists(r, op, unpool)) || lower_strided(r, op, unpool))
        return;
    Contraction c = contraction_of(op);
    bool a_miss = any_miss(c.a, c.a_rank), b_miss = any_miss(c.b, c.b_rank);
    bool bounded =
        a_miss && !b_miss && !r->windows && !wait_for_each_other(r, op) && can_be_bounded(r, &c, c.a, op->inputs[0]);
    KBuffer *a_padded = a_miss && !bounded ? lower_affine_halo(r, op, 0, &c, c.a, c.a_rank) : NULL;
    KBuffer *b_padded = b_miss ? lower_affine_halo(r, op, 1, &c, c.b, c.b_rank) : NULL;
    KBuffer **whole = op->code == OP_CONV_GRAD_INPUT ? &a_padded : &b_padded;
    if (unpool && !*whole && !lower_unpool_inline(r, op, unpool))
        *whole = lower_unpool_whole(r, unpool);
    Nest *nest = lower_nest(r, op, r->windows ? r->windows->results[0]->type : op->results[0]->type);
    if (r->windows)
        lower_window_cells(r, nest);
    for (int i = c.out_rank; i < c.axis_count; i++)
        lower_add_axis(r, nest, c.extent[i].batch ? "m" : "k", c.extent[i], true);
    if (bounded)
        bound_axes(r, nest, &c, c.a, op->inputs[0]->type);
    KExpr *a = operand(r, nest, op, 0, &c, a_padded, c.a, c.a_rank);
    KExpr *b = operand(r, nest, op, 1, &c, b_padded, c.b, c.b_rank);
    lower_reduction(r, nest, op->results[0], REDUCE_SUM, kexpr_fn(r->lower->program, FN_mul, a, b, NULL));
}

/* ---- concatenation: each operand is stored into its part of the result */

/* Equal operands that are computed in this kernel share a nest: what they have in common is computed once. */
static Nest *shared_nest(LowerRegion *r, const Op *op) {
    for (int i = 0; i < op->input_count; i++) {
        const Value *part = op->inputs[i];
        if (part->type != op->inputs[0]->type || !part->def || r->memory[part->id])
            return NULL;
    }
    Nest *nest = lower_find_nest(r, op->inputs[0]);
    for (int i = 1; i < op->input_count; i++)
        if (lower_find_nest(r, op->inputs[i]) != nest)
            nest = NULL;
    if (nest)
        return nest;
    for (int i = 0; i < op->input_count; i++)
        if (r->var[op->inputs[i]->id])
            return NULL;
    return lower_nest(r, op, op->inputs[0]->type);
}

static void store_part(LowerRegion *r, Nest *nest, const Op *op, KBuffer *buffer, KExpr *step, int64_t offset,
                       KVar *var) {
    KProgram *p = r->lower->program;
    KExpr *index[MAX_RANK], *to[MAX_RANK + 1];
    for (int k = 0; k < nest->parallel_count; k++)
        index[k] = lower_axis(r, nest, k);
    index[op->attr.axis] = kexpr_binary(p, '+', index[op->attr.axis], lower_index(r, offset));
    int count = lower_step_index(index, op->results[0]->type, step, to);
    lower_store(r, nest, buffer, to, count, kexpr_var(p, var));
}

static bool is_read_inside(const LowerRegion *r, const Value *value) {
    for (const Op *op = r->fusion->region->first; op; op = op->next)
        for (int i = 0; i < op->input_count; i++)
            if (op->inputs[i] == value)
                return true;
    return false;
}

static void root_concat(LowerRegion *r, const Op *op) {
    KProgram *p = r->lower->program;
    const Value *result = op->results[0];
    KBuffer *buffer = r->wanted[result->id], *sequence = r->sequence ? r->sequence[result->id] : NULL;
    bool only_sequence = !buffer && sequence && !is_read_inside(r, result);
    if (!buffer && !only_sequence)
        buffer = kbuffer_local(p, r->kernel, SPACE_LOCAL, "joined", lower_base(result->type->dtype), result->type->rank,
                               result->type->dims);
    Nest *shared = shared_nest(r, op);
    int64_t offset = 0;
    for (int i = 0; i < op->input_count; i++) {
        const Value *part = op->inputs[i];
        Nest *nest = shared ? shared : lower_nest(r, op, part->type);
        bool here = shared && r->var[part->id] && r->home[part->id] == nest;
        KVar *var = here ? r->var[part->id] : lower_let(r, nest, part);
        if (buffer)
            store_part(r, nest, op, buffer, NULL, offset, var);
        if (sequence)
            store_part(r, nest, op, sequence, r->now, offset, var);
        offset += part->type->dims[op->attr.axis].n;
    }
    r->memory[result->id] = only_sequence ? sequence : buffer;
    r->step[result->id] = only_sequence ? r->now : NULL;
    r->home[result->id] = shared ? shared : r->kernel->nests[r->kernel->nest_count - 1];
}

/* ---- scattered sums: table[n, rest] = sum over i with ids[i] == n of rows[i, rest] */
static KExpr *table_row(LowerRegion *r, Nest *nest, const Op *op, KExpr *const *index) {
    KProgram *p = r->lower->program;
    KExpr *id = kexpr_cast(p, KBASE_INDEX, lower_expr(r, nest, op->inputs[0], index));
    int64_t last = op->results[0]->type->dims[0].n - 1;
    return kexpr_binary(p, 'm', kexpr_binary(p, 'M', id, lower_index(r, 0)), lower_index(r, last));
}

static void add_id_axes(LowerRegion *r, Nest *nest, const Type *ids, KExpr **index) {
    for (int i = 0; i < ids->rank; i++) {
        lower_add_axis(r, nest, ids->dims[i].batch ? "m" : "k", ids->dims[i], true);
        index[i] = lower_axis(r, nest, nest->axis_count - 1);
    }
}

/* Every element of the table looks at all rows: for targets where each element is a thread. */
static void scatter_by_element(LowerRegion *r, const Op *op) {
    KProgram *p = r->lower->program;
    const Value *ids = op->inputs[0], *table = op->results[0];
    Nest *nest = lower_nest(r, op, table->type);
    KExpr *index[MAX_RANK];
    add_id_axes(r, nest, ids->type, index);
    for (int i = 1; i < table->type->rank; i++)
        index[ids->type->rank + i - 1] = lower_axis(r, nest, i);
    KExpr *mine = kexpr_fn(p, FN_eq, table_row(r, nest, op, index), lower_axis(r, nest, 0), NULL);
    KExpr *row = lower_expr(r, nest, op->inputs[1], index);
    lower_reduction(r, nest, table, REDUCE_SUM, kexpr_fn(p, FN_select, mine, row, kexpr_number(p, KBASE_F32, 0)));
}

/* Zeros, then each row is added to its place, in the order of the rows. */
static void scatter_by_row(LowerRegion *r, const Op *op) {
    KProgram *p = r->lower->program;
    const Value *ids = op->inputs[0], *table = op->results[0];
    KBuffer *wanted = r->wanted[table->id], *sum = wanted && wanted->space == SPACE_ARENA ? wanted : NULL;
    if (!sum)
        sum = kbuffer_local(p, r->kernel, SPACE_LOCAL, "sums", KBASE_F32, table->type->rank, table->type->dims);
    Nest *zero = lower_nest(r, op, table->type);
    KExpr *place[MAX_RANK], *index[MAX_RANK];
    for (int i = 0; i < table->type->rank; i++)
        place[i] = lower_axis(r, zero, i);
    kstmt_add(zero->epilogue, kstmt_store(p, sum, place, table->type->rank, kexpr_number(p, KBASE_F32, 0), NULL));
    Dim rest[MAX_RANK];
    for (int i = 1; i < table->type->rank; i++)
        rest[i - 1] = table->type->dims[i];
    Nest *add = lower_nest(r, op, type_get((Module *)p->module, DTYPE_F32, table->type->rank - 1, rest));
    add->ordered = true;
    add_id_axes(r, add, ids->type, index);
    for (int i = 1; i < table->type->rank; i++)
        place[i] = index[ids->type->rank + i - 1] = lower_axis(r, add, i - 1);
    place[0] = table_row(r, add, op, index);
    KExpr *both = kexpr_fn(p, FN_add, kexpr_load(p, sum, place, table->type->rank),
                           lower_expr(r, add, op->inputs[1], index), NULL);
    kstmt_add(add->epilogue, kstmt_store(p, sum, place, table->type->rank, both, NULL));
    r->memory[table->id] = sum;
    r->home[table->id] = add;
}

void lower_root(LowerRegion *r, const Op *op) {
    if (op->code == OP_REDUCE || op->code == OP_ARGMAX)
        root_reduce(r, op);
    else if (op->code == OP_POOL)
        lower_pool(r, op);
    else if (op->code == OP_POOL_ARGMAX)
        lower_pool_argmax(r, op);
    else if (op->code == OP_UNPOOL)
        lower_unpool(r, op);
    else if (op->code == OP_POOL_GRAD)
        lower_pool_grad(r, op);
    else if (op->code == OP_CONCAT)
        root_concat(r, op);
    else if (op->code == OP_SCATTER_ADD)
        r->lower->program->isa.lanes > 1 ? scatter_by_row(r, op) : scatter_by_element(r, op);
    else
        root_contract(r, op);
}
