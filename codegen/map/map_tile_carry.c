/* A sum that goes along with the one of a tile (Nest.carried): one accumulator for each vector, which the first tile
 * along the axis that it lacks adds up and finishes. Needs the tile at t->base; leaves its statements in a block. */
#include "codegen/map/map_tile_parts.h"

/* Is this the first tile along the axis that the sum lacks? 1: it is, 0: it is not, -1: `test` tells. */
static int is_first(const Tiles *t, KExpr **test) {
    int64_t place;
    if (!t->nest->carried.nest)
        return 0;
    if (t->nest->carried.lacks < 0)
        return 1;
    KExpr *base = t->base[t->nest->carried.lacks];
    if (kexpr_constant(base, &place))
        return place == 0;
    *test = kexpr_fn(t->p, FN_eq, base, kexpr_index(t->p, 0), NULL);
    return -1;
}

/* A block for what only the first tile does; NULL: this one is another. */
static KStmt *open_first(const Tiles *t, KStmt *out) {
    KExpr *test = NULL;
    int first = is_first(t, &test);
    return first < 0 ? kstmt_block(t->p) : first ? out : NULL;
}

static void close_first(const Tiles *t, KStmt *out, KStmt *body) {
    KExpr *test = NULL;
    if (is_first(t, &test) < 0)
        kstmt_add(out, kstmt_if(t->p, test, body, NULL));
}

void tile_carry_start(Tiles *t, Accumulators *a, KStmt *out) {
    const Nest *nest = t->nest->carried.nest;
    if (!open_first(t, out))
        return;
    for (int v = 0; v < t->tile_vectors; v++) {
        const KVar *result = nest->reductions[0].result;
        KType type = {result->type.base, t->vector >= 0 ? t->lanes : 1};
        KExpr *zero = kexpr_number(t->p, type.base, 0);
        a->carried[v] = kvar_new(t->p, t->m->kernel, result->name, type, true);
        kstmt_add(out, kstmt_let(t->p, a->carried[v], type.lanes > 1 ? kexpr_splat(t->p, zero, type.lanes) : zero));
    }
}

/* The place of a vector, by the axes of the sum that goes along. */
static MapPlace place_of(Tiles *t, Accumulators *a, int v, KStmt *out) {
    const NestCarried *carried = &t->nest->carried;
    MapPlace place = tile_place_at(t, a, v, out, out);
    place.nest = carried->nest;
    place.vector = NULL;
    for (int i = 0; i < carried->nest->parallel_count; i++) {
        map_bind(&place, carried->nest->axes[i].var,
                 map_index(&place, kexpr_var(t->p, t->nest->axes[carried->axis[i]].var)));
        if (carried->axis[i] == t->vector)
            place.vector = carried->nest->axes[i].var;
    }
    return place;
}

void tile_carry(Tiles *t, Accumulators *a, KExpr *const *index, KStmt *out) {
    const NestCarried *carried = &t->nest->carried;
    KStmt *body = open_first(t, out);
    for (int v = 0; v < t->tile_vectors && body; v++) {
        MapPlace place = place_of(t, a, v, out);
        for (int i = carried->nest->parallel_count; i < carried->nest->axis_count; i++)
            map_bind(&place, carried->nest->axes[i].var, index[carried->axis[i]]);
        KExpr *value = map_value(&place, carried->nest->reductions[0].expr), *sum = kexpr_var(t->p, a->carried[v]);
        kstmt_add(body, kstmt_set(t->p, a->carried[v], kexpr_fn(t->p, FN_add, value, sum, NULL)));
        t->failed = t->failed || place.failed;
    }
    if (body)
        close_first(t, out, body);
}

void tile_carry_finish(Tiles *t, Accumulators *a, KStmt *out) {
    const Nest *nest = t->nest->carried.nest;
    KStmt *body = open_first(t, out);
    map_forget(&a->loads, true);
    for (int v = 0; v < t->tile_vectors && body; v++) {
        MapPlace place = place_of(t, a, v, body);
        map_bind(&place, nest->reductions[0].result, kexpr_var(t->p, a->carried[v]));
        map_epilogue(&place, nest->epilogue);
        t->failed = t->failed || place.failed;
    }
    map_forget(&a->loads, true);
    if (body)
        close_first(t, out, body);
}
