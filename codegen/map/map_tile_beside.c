/* A pointwise epilogue with several long functions (the gates of a recurrence), for the vectors of a panel side by
 * side: a long function is computed for all of them before the next one begins. One after the other they would wait for
 * each other's results, for no processor looks far enough ahead to begin with the next vector. Needs a tile of whole
 * vectors; leaves an unrolled loop over them for each long function, whose values lie in a register array, and one for
 * the rest. */
#include "codegen/map/map_tile_parts.h"

enum { LONG_FUNCTION = 12, LEAST_FUNCTIONS = 2, MOST_BESIDE = 4, MAX_FUNCTIONS = 12 };

/* ---- the epilogue with every long function as a value of its own */
static bool is_drawn(const KExpr *e) {
    return e->kind == KE_RANDOM && e->random.kind == RANDOM_UNIFORM;
}

static bool is_long(const KExpr *e) {
    return is_drawn(e) || (e->kind == KE_FN && scalar_infos[e->fn.fn].cost >= LONG_FUNCTION);
}

static int count_long(const KExpr *e) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    int count = is_drawn(e) ? 0 : kexpr_operands(e, operands), found = is_drawn(e) ? LEAST_FUNCTIONS : is_long(e);
    for (int i = 0; i < count; i++)
        found += count_long(operands[i]);
    return found;
}

static int count_long_in(const KStmt *block) {
    int found = 0;
    for (const KStmt *s = block->block.first; s; s = s->next)
        found += s->kind == KS_BLOCK   ? count_long_in(s)
                 : s->kind == KS_LET   ? count_long(s->let.value)
                 : s->kind == KS_STORE ? count_long(s->store.value)
                                       : 0;
    return found;
}

static KExpr *pull_out(Tiles *t, KExpr *e, KStmt *out);

static KExpr *with_operands_out(Tiles *t, KExpr *e, KStmt *out) {
    KExpr *args[3] = {NULL};
    if (e->kind == KE_CAST && e->operand->type.base != KBASE_INDEX)
        return kexpr_cast(t->p, e->type.base, pull_out(t, e->operand, out));
    if (e->kind != KE_FN || !count_long(e))
        return e;
    for (int i = 0; i < scalar_infos[e->fn.fn].arity; i++)
        args[i] = pull_out(t, e->fn.args[i], out);
    return kexpr_fn(t->p, e->fn.fn, args[0], args[1], args[2]);
}

static KExpr *pull_out(Tiles *t, KExpr *e, KStmt *out) {
    KExpr *value = with_operands_out(t, e, out);
    if (!is_long(e))
        return value;
    KVar *var = kvar_new(t->p, t->m->kernel, "v", e->type, false);
    kstmt_add(out, kstmt_let(t->p, var, value));
    return kexpr_var(t->p, var);
}

static void flatten(Tiles *t, const KStmt *block, KStmt *out) {
    KProgram *p = t->p;
    for (const KStmt *s = block->block.first; s; s = s->next) {
        if (s->kind == KS_BLOCK)
            flatten(t, s, out);
        else if (s->kind == KS_LET)
            kstmt_add(out, kstmt_let(p, s->let.var, with_operands_out(t, s->let.value, out)));
        else if (s->kind == KS_STORE)
            kstmt_add(out, kstmt_store(p, s->store.buffer, s->store.index, s->store.index_count,
                                       pull_out(t, s->store.value, out), NULL));
    }
}

/* ---- vectors side by side */
int map_tile_beside(const Tiles *t) {
    const Nest *nest = t->nest;
    const NestAxis *axis = t->vector >= 0 ? &nest->axes[t->vector] : NULL;
    if (!axis || axis->reduce || axis->extent.batch || t->lanes < 2 || nest->reduction_count || nest->ordered ||
        nest->cell_count || nest->each || axis->extent.n % t->lanes)
        return 1;
    int functions = count_long_in(nest->epilogue);
    if (functions < LEAST_FUNCTIONS || functions > MAX_FUNCTIONS)
        return 1;
    for (int vectors = MOST_BESIDE; vectors > 1; vectors--)
        if (axis->extent.n / t->lanes % vectors == 0 && vectors * functions < t->p->isa.registers)
            return vectors;
    return 1;
}

typedef struct {
    KVar *var;
    Accumulator values; /* by vector */
} LongValue;

static LongValue declare_value(Tiles *t, KVar *var, KStmt *out) {
    LongValue value = {var, {.type = {var->type.base, t->lanes}}};
    Dim vectors = dim_static(t->tile_vectors);
    value.values.rows = kbuffer_local(t->p, t->m->kernel, SPACE_LOCAL, var->name, var->type.base, 1, &vectors);
    value.values.rows->lanes = t->lanes;
    kstmt_add(out, kstmt_alloc(t->p, value.values.rows));
    return value;
}

static MapPlace place_in_loop(Tiles *t, Accumulators *a, const LongValue *values, int count, KStmt *out, KStmt *body) {
    MapPlace place = tile_place_at(t, a, 0, out, body);
    for (int i = 0; i < count; i++)
        map_bind(&place, values[i].var, tile_accumulated(t, a, &values[i].values));
    return place;
}

static void close_loop(Tiles *t, Accumulators *a, const MapPlace *place, KStmt *out, KStmt *body) {
    t->failed = t->failed || place->failed;
    tile_close_rows(t, a, out, body);
    map_forget(&a->loads, true);
}

static KStmt *copy_of(KProgram *p, const KStmt *s) {
    if (s->kind == KS_LET)
        return kstmt_let(p, s->let.var, s->let.value);
    return kstmt_store(p, s->store.buffer, s->store.index, s->store.index_count, s->store.value, NULL);
}

void map_tile_body_beside(Tiles *t, KStmt *out) {
    Accumulators *a = ARENA_NEW(t->p->arena, Accumulators);
    KStmt *plain = kstmt_block(t->p), *rest = kstmt_block(t->p);
    LongValue values[MAX_FUNCTIONS];
    int count = 0;
    flatten(t, t->nest->epilogue, plain);
    t->tile_rows = t->tile_vectors;
    t->beside = true;
    for (const KStmt *s = plain->block.first; s; s = s->next) {
        if (s->kind != KS_LET || !is_long(s->let.value)) {
            kstmt_add(rest, copy_of(t->p, s));
            continue;
        }
        LongValue fresh = declare_value(t, s->let.var, out);
        KStmt *body = tile_open_rows(t, a, out);
        MapPlace place = place_in_loop(t, a, values, count, out, body);
        kstmt_add(body, tile_set_accumulated(t, a, &fresh.values, map_epilogue_value(&place, plain, s->let.var)));
        close_loop(t, a, &place, out, body);
        values[count++] = fresh;
    }
    KStmt *body = tile_open_rows(t, a, out);
    MapPlace place = place_in_loop(t, a, values, count, out, body);
    map_epilogue(&place, rest);
    close_loop(t, a, &place, out, body);
    t->beside = false;
    t->tile_rows = 1;
}
