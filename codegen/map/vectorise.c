/* Expressions of a nest at one place of a tile: axes replaced by loop variables and offsets, the vector axis by lanes.
 *
 * What does not depend on the vector axis stays scalar. Loads are given names, one for equal loads, so that a tile
 * reads each operand once. Where something cannot be done on lanes (an index that is not affine), `failed` is set. */
#include "codegen/map/map.h"

void map_bind(MapPlace *place, KVar *from, KExpr *to) {
    MapBinding binding = {from, to};
    ARENA_PUSH(place->program->arena, place->bound, place->bound_count, place->bound_capacity, binding);
}

static KExpr *bound_to(const MapPlace *place, const KVar *var) {
    for (int i = place->bound_count - 1; i >= 0; i--)
        if (place->bound[i].from == var)
            return place->bound[i].to;
    return NULL;
}

KExpr *map_index(MapPlace *place, const KExpr *e) {
    KProgram *p = place->program;
    switch (e->kind) {
    case KE_VAR: {
        KExpr *to = bound_to(place, e->var);
        return to ? to : (KExpr *)e;
    }
    case KE_INDEX:
        return kexpr_binary(p, e->index.op, map_index(place, e->index.left), map_index(place, e->index.right));
    case KE_CAST: { /* an id loaded as a number */
        MapPlace scalar = *place;
        scalar.vector = NULL;
        KExpr *value = map_value(&scalar, e->operand);
        return kexpr_cast(p, e->type.base, value);
    }
    default:
        return (KExpr *)e;
    }
}

static bool on_lanes(const MapPlace *place, const KExpr *e) {
    return place->vector && kexpr_uses(e, place->vector);
}

/* An index expression as an i32 vector: its value at lane 0 plus the coefficient times the lane number. */
static KExpr *index_lanes(MapPlace *place, const KExpr *e) {
    KProgram *p = place->program;
    int64_t coefficient;
    if (!kexpr_coefficient(e, place->vector, &coefficient)) {
        place->failed = true;
        return kexpr_splat(p, kexpr_number(p, KBASE_I32, 0), place->lanes);
    }
    KExpr *lanes = ARENA_NEW(p->arena, KExpr);
    *lanes = (KExpr){.kind = KE_LANES, .type = {KBASE_I32, place->lanes}};
    KExpr *first = kexpr_cast(p, KBASE_I32, map_index(place, e));
    if (coefficient != 1)
        lanes = kexpr_fn(p, FN_mul, lanes,
                         kexpr_splat(p, kexpr_number(p, KBASE_I32, (double)coefficient), place->lanes), NULL);
    return kexpr_fn(p, FN_add, lanes, kexpr_splat(p, first, place->lanes), NULL);
}

void map_forget(MapLoads *loads, bool all) {
    int kept = 0;
    for (int i = 0; i < loads->count && !all; i++)
        if (!loads->inner[i])
            loads->items[kept++] = loads->items[i];
    loads->count = kept;
}

static KExpr *named_load(MapPlace *place, KExpr *load) {
    KProgram *p = place->program;
    MapLoads *loads = place->loads;
    for (int i = 0; i < loads->count; i++)
        if (kexpr_equal(loads->items[i].to, load))
            return kexpr_var(p, loads->items[i].from);
    bool inner = !place->row || kexpr_uses(load, place->row);
    for (int i = 0; i < loads->count && !inner; i++)
        inner = loads->inner[i] && kexpr_uses(load, loads->items[i].from);
    const char *name = load->kind == KE_LOAD ? load->load.buffer->name : "v";
    KVar *var = kvar_new(p, place->kernel, name, load->type, false);
    kstmt_add(inner ? place->out : place->outer, kstmt_let(p, var, load));
    MapBinding binding = {var, load};
    if (loads->count == loads->inner_capacity)
        loads->inner = arena_grow(p->arena, loads->inner, loads->count, &loads->inner_capacity, sizeof *loads->inner);
    loads->inner[loads->count] = place->row && inner;
    ARENA_PUSH(p->arena, loads->items, loads->count, loads->capacity, binding);
    return kexpr_var(p, var);
}

/* Physical indices at lane 0; local buffers of a kernel over rows hold the rows of one block. */
static int physical(MapPlace *place, const KBuffer *buffer, KExpr *const *index, int count, KExpr **out) {
    KProgram *p = place->program;
    KExpr *logical[MAX_RANK];
    for (int i = 0; i < count; i++)
        logical[i] = map_index(place, index[i]);
    /* rows beyond the batch read the caller's last sample again; what they compute is stored nowhere that counts */
    if (place->samples && buffer->space == SPACE_ARGUMENT && count && kexpr_uses(logical[0], place->row))
        logical[0] = kexpr_binary(p, 'm', logical[0], kexpr_binary(p, '-', place->samples, kexpr_index(p, 1)));
    if (place->rows_from && buffer->space == SPACE_LOCAL && count) {
        for (int i = 0; i < place->row_axis; i++)
            logical[i] = kexpr_index(p, 0);
        logical[place->row_axis] = kexpr_binary(p, '-', logical[place->row_axis], place->rows_from);
    }
    return kbuffer_physical_index(p, buffer, logical, out);
}

/* The logical axis that the vector axis moves along, and by how much; -1: more than one, or not affine. */
static int moving_axis(const MapPlace *place, KExpr *const *index, int count, int64_t *coefficient) {
    int axis = -1;
    for (int i = 0; i < count; i++) {
        int64_t c;
        if (!kexpr_uses(index[i], place->vector))
            continue;
        if (axis >= 0 || !kexpr_coefficient(index[i], place->vector, &c))
            return -1;
        axis = i;
        *coefficient = c;
    }
    return axis;
}

/* Elements of memory between neighbours along a logical axis; 0: not constant (rows of the data set). In a panel they
 * lie side by side; vectors start at multiples of their length, so none reaches over the end of one. */
static int64_t memory_stride(const MapPlace *place, const KBuffer *buffer, int axis) {
    int64_t batch_max = place->program->module->batch_max, extent[MAX_RANK + 1], stride[MAX_RANK + 1];
    if (buffer->space == SPACE_ARGUMENT && axis == 0)
        return 0;
    if (axis == kbuffer_innermost(buffer))
        return buffer->block % place->lanes == 0 ? 1 : 0;
    kbuffer_physical(buffer, batch_max, extent);
    kbuffer_strides(buffer, batch_max, stride);
    bool settled = true; /* rows beyond the batch are added to its extent when all tiles are known */
    for (int i = buffer->rank - 1; i >= 0; i--) {
        if (buffer->order[i] == axis)
            return settled ? stride[i] : 0;
        settled = settled && !buffer->dims[buffer->order[i]].batch;
    }
    return 0;
}

/* Memory of the program's own whose innermost axis is the padded batch: lanes beyond the batch may be read and written.
 */
static bool lanes_are_padded(const KBuffer *buffer, int axis) {
    return (buffer->space == SPACE_ARENA || buffer->space == SPACE_LOCAL) && buffer->pad > 1 &&
           kbuffer_innermost(buffer) == axis;
}

static KExpr *map_load(MapPlace *place, const KExpr *e) {
    KProgram *p = place->program;
    KBuffer *buffer = e->load.buffer;
    KExpr *index[MAX_RANK + 1];
    int count = physical(place, buffer, e->load.index, e->load.index_count, index);
    KExpr *load = kexpr_load(p, buffer, index, count);
    if (on_lanes(place, e)) {
        int64_t coefficient = 0;
        int axis = moving_axis(place, e->load.index, e->load.index_count, &coefficient);
        int64_t stride = axis < 0 ? 0 : coefficient * memory_stride(place, buffer, axis);
        if (stride == 0) {
            place->failed = true;
            return kexpr_number(p, e->type.base, 0);
        }
        load->type.lanes = place->lanes;
        if (place->count && !lanes_are_padded(buffer, axis))
            load->load.count = place->count;
        if (stride != 1 || kbuffer_innermost(buffer) != axis)
            load->load.stride = kexpr_index(p, stride);
    }
    return named_load(place, load);
}

static KExpr *map_random(MapPlace *place, const KExpr *e) {
    KProgram *p = place->program;
    KExpr *seed = map_value(place, e->random.seed), *step = map_value(place, e->random.step);
    KExpr *random = kexpr_random(p, e->random.kind, e->random.stream, seed, step, map_index(place, e->random.index));
    if (on_lanes(place, e->random.index)) {
        int64_t coefficient;
        if (!kexpr_coefficient(e->random.index, place->vector, &coefficient) || coefficient != 1)
            place->failed = true;
        random->type.lanes = place->lanes;
    }
    return random;
}

/* In a sum, what all rows of the tile share is computed once. */
static KExpr *shared_by_rows(MapPlace *place, KExpr *e) {
    if (!place->sums || !place->row || e->kind != KE_FN || kexpr_uses(e, place->row))
        return e;
    for (int i = 0; i < place->loads->count; i++)
        if (place->loads->inner[i] && kexpr_uses(e, place->loads->items[i].from))
            return e;
    return named_load(place, e);
}

static KExpr *map_fn(MapPlace *place, const KExpr *e) {
    KExpr *args[3] = {NULL, NULL, NULL};
    for (int i = 0; i < scalar_infos[e->fn.fn].arity; i++) {
        KExpr *arg = e->fn.args[i];
        if (arg->type.base != KBASE_INDEX)
            args[i] = shared_by_rows(place, map_value(place, arg));
        else
            args[i] = on_lanes(place, e) ? index_lanes(place, arg) : map_index(place, arg);
    }
    return kexpr_fn(place->program, e->fn.fn, args[0], args[1], args[2]);
}

KExpr *map_value(MapPlace *place, const KExpr *e) {
    KProgram *p = place->program;
    switch (e->kind) {
    case KE_VAR: {
        KExpr *to = bound_to(place, e->var);
        return to ? to : (KExpr *)e;
    }
    case KE_LOAD:
        return map_load(place, e);
    case KE_FN:
        return map_fn(place, e);
    case KE_CAST:
        if (e->operand->type.base != KBASE_INDEX)
            return kexpr_cast(p, e->type.base, map_value(place, e->operand));
        return kexpr_cast(p, e->type.base,
                          on_lanes(place, e) ? index_lanes(place, e->operand) : map_index(place, e->operand));
    case KE_RANDOM:
        return map_random(place, e);
    case KE_INDEX:
        return map_index(place, e);
    default:
        return (KExpr *)e;
    }
}

void map_store(MapPlace *place, const KStmt *store) {
    KProgram *p = place->program;
    KBuffer *buffer = store->store.buffer;
    KExpr *value = map_value(place, store->store.value), *index[MAX_RANK + 1], *lanes_count = NULL;
    int count = physical(place, buffer, store->store.index, store->store.index_count, index);
    bool moves = false;
    for (int i = 0; i < store->store.index_count; i++)
        moves = moves || on_lanes(place, store->store.index[i]);
    if (moves) {
        int64_t coefficient = 0;
        int axis = moving_axis(place, store->store.index, store->store.index_count, &coefficient);
        if (axis < 0 || coefficient * memory_stride(place, buffer, axis) != 1 || kbuffer_innermost(buffer) != axis) {
            /* rows of a result buffer lie one after the other when it has no other axis */
            bool rows_of_scalars = axis == 0 && buffer->rank == 1 && coefficient == 1 && !buffer->indirect;
            if (!rows_of_scalars) {
                place->failed = true;
                return;
            }
        }
        if (value->type.lanes == 1)
            value = kexpr_splat(p, value, place->lanes);
        if (place->count && !lanes_are_padded(buffer, axis))
            lanes_count = place->count;
    } else if (value->type.lanes > 1) {
        place->failed = true;
        return;
    }
    KStmt *statement = kstmt_store(p, buffer, index, count, value, lanes_count);
    if (place->samples && buffer->space == SPACE_RESULT && count && kexpr_uses(index[0], place->row)) {
        KStmt *inside = kstmt_block(p);
        kstmt_add(inside, statement);
        statement = kstmt_if(p, kexpr_fn(p, FN_lt, index[0], place->samples, NULL), inside, NULL);
    }
    kstmt_add(place->out, statement);
}

static int count_in_expr(const KExpr *e, const KVar *var) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (e->kind == KE_VAR)
        return e->var == var;
    int uses = 0, count = kexpr_operands(e, operands);
    for (int i = 0; i < count; i++)
        uses += count_in_expr(operands[i], var);
    return uses;
}

int map_count_uses(const KStmt *block, const KVar *var) {
    int uses = 0;
    for (const KStmt *s = block->block.first; s; s = s->next) {
        if (s->kind == KS_BLOCK)
            uses += map_count_uses(s, var);
        else if (s->kind == KS_LET)
            uses += count_in_expr(s->let.value, var);
        else if (s->kind == KS_STORE)
            uses += count_in_expr(s->store.value, var);
    }
    return uses;
}

/* What is used once stands where it is used: shorter to read, and products meet their sums. A value that is stored too
 * is used there as well. */
static void epilogue_let(MapPlace *place, const KStmt *s, const KStmt *all) {
    KProgram *p = place->program;
    KExpr *value = map_value(place, s->let.value);
    if (map_count_uses(all, s->let.var) != 1) {
        KVar *var = kvar_new(p, place->kernel, s->let.var->name, value->type, false);
        kstmt_add(place->out, kstmt_let(p, var, value));
        value = kexpr_var(p, var);
    }
    map_bind(place, s->let.var, value);
}

static void epilogue_block(MapPlace *place, const KStmt *block, const KStmt *all) {
    for (const KStmt *s = block->block.first; s && !place->failed; s = s->next) {
        if (s->kind == KS_BLOCK)
            epilogue_block(place, s, all);
        else if (s->kind == KS_STORE)
            map_store(place, s);
        else if (s->kind == KS_LET)
            epilogue_let(place, s, all);
    }
}

void map_epilogue(MapPlace *place, const KStmt *block) {
    epilogue_block(place, block, block);
}

KExpr *map_epilogue_value(MapPlace *place, const KStmt *block, const KVar *wanted) {
    for (const KStmt *s = block->block.first; s && !place->failed; s = s->next) {
        if (s->kind == KS_LET && s->let.var == wanted)
            return map_value(place, s->let.value);
        if (s->kind == KS_LET && !bound_to(place, s->let.var))
            epilogue_let(place, s, block);
    }
    return kexpr_number(place->program, wanted->type.base, 0); /* place->failed */
}
