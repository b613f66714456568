/* Reductions on a GPU: serial in one thread, or by all threads of a block, which take turns over what is reduced and
 * then join their parts in a tree in shared memory, always in the same order. A block may have some points side by
 * side: then neighbouring threads have neighbouring points. */
#include "codegen/gpu/map_gpu.h"
#include <math.h>

enum { MAX_REDUCTIONS = 4 };

/* What a thread has of one reduction so far; `place` only of those that look for the place of an extremum. */
typedef struct {
    KVar *value, *place;
} Partial;

static double identity(ReduceKind kind) {
    return kind == REDUCE_SUM ? 0 : kind == REDUCE_MAX ? -(double)INFINITY : (double)INFINITY;
}

static ScalarFn join_fn(ReduceKind kind) {
    return kind == REDUCE_SUM ? FN_add : kind == REDUCE_MAX ? FN_max : FN_min;
}

static KVar *declare(const GpuNest *g, const char *name, KBase base, double start, KStmt *out) {
    KVar *var = kvar_new(g->p, g->kernel, name, (KType){base, 1}, true);
    kstmt_add(out, kstmt_let(g->p, var, kexpr_number(g->p, base, start)));
    return var;
}

static void start(const GpuNest *g, Partial *parts, KStmt *out) {
    for (int r = 0; r < g->nest->reduction_count; r++) {
        const NestReduction *reduction = &g->nest->reductions[r];
        KBase base = reduction->argument ? reduction->expr->type.base : reduction->result->type.base;
        const char *name = reduction->argument ? "best" : reduction->result->name;
        parts[r].value = declare(g, name, base, identity(reduction->kind), out);
        parts[r].place = reduction->argument ? declare(g, reduction->result->name, KBASE_I32, 0, out) : NULL;
    }
}

/* ---- one element more */

/* Number of this cell among the reduced ones, row-major. */
static KExpr *reduced_number(const GpuNest *g, MapPlace *place) {
    KProgram *p = g->p;
    KExpr *number = kexpr_index(p, 0);
    for (int i = g->nest->parallel_count; i < g->nest->axis_count; i++) {
        number = kexpr_binary(p, '*', number, kexpr_dim(p, g->nest->axes[i].extent));
        number = kexpr_binary(p, '+', number, map_index(place, kexpr_var(p, g->nest->axes[i].var)));
    }
    return kexpr_cast(p, KBASE_I32, number);
}

/* value and place become the new ones where `better` holds */
static void take_better(const GpuNest *g, const Partial *part, KExpr *better, KExpr *value, KExpr *number, KStmt *out) {
    KProgram *p = g->p;
    KVar *test = kvar_new(p, g->kernel, "better", (KType){KBASE_BOOL, 1}, false);
    kstmt_add(out, kstmt_let(p, test, better));
    KExpr *is_better = kexpr_var(p, test);
    kstmt_add(out, kstmt_set(p, part->place, kexpr_fn(p, FN_select, is_better, number, kexpr_var(p, part->place))));
    kstmt_add(out, kstmt_set(p, part->value, kexpr_fn(p, FN_select, is_better, value, kexpr_var(p, part->value))));
}

static void accumulate(const GpuNest *g, const Partial *part, const NestReduction *reduction, MapPlace *place) {
    KProgram *p = g->p;
    KExpr *value = map_value(place, reduction->expr);
    KExpr *guard = reduction->guard ? map_value(place, reduction->guard) : NULL;
    if (reduction->argument) {
        KExpr *better = kexpr_fn(p, FN_gt, value, kexpr_var(p, part->value), NULL);
        better = guard ? kexpr_fn(p, FN_and, guard, better, NULL) : better;
        take_better(g, part, better, value, reduced_number(g, place), place->out);
        return;
    }
    if (guard)
        value = kexpr_fn(p, FN_select, guard, value, kexpr_number(p, value->type.base, identity(reduction->kind)));
    value = kexpr_fn(p, join_fn(reduction->kind), value, kexpr_var(p, part->value), NULL);
    kstmt_add(place->out, kstmt_set(p, part->value, value));
}

static void accumulate_all(const GpuNest *g, const Partial *parts, MapPlace *place) {
    for (int r = 0; r < g->nest->reduction_count; r++)
        accumulate(g, &parts[r], &g->nest->reductions[r], place);
}

/* ---- by one thread */

static void serial_loops(const GpuNest *g, const Partial *parts, MapPlace *place, int axis, KStmt *out) {
    KProgram *p = g->p;
    if (axis >= g->nest->axis_count) {
        place->out = out;
        accumulate_all(g, parts, place);
        return;
    }
    const NestAxis *a = &g->nest->axes[axis];
    if (dim_equal(a->extent, dim_static(1))) {
        map_bind(place, a->var, kexpr_index(p, 0));
        serial_loops(g, parts, place, axis + 1, out);
        return;
    }
    KVar *var = gpu_index_var(g, a->var->name, dim_size(a->extent, p->module->batch_max));
    KStmt *body = kstmt_block(p);
    map_bind(place, a->var, kexpr_var(p, var));
    serial_loops(g, parts, place, axis + 1, body);
    kstmt_add(out, kstmt_for(p, var, AXIS_SERIAL, kexpr_index(p, 0), kexpr_dim(p, a->extent), 1, body));
}

static void finish(const GpuNest *g, const Partial *parts, MapPlace *place, KStmt *out) {
    map_forget(place->loads, true);
    for (int r = 0; r < g->nest->reduction_count; r++) {
        KVar *result = parts[r].place ? parts[r].place : parts[r].value;
        map_bind(place, g->nest->reductions[r].result, kexpr_var(g->p, result));
    }
    place->out = out;
    map_epilogue(place, g->nest->epilogue);
}

void gpu_reduce_in_thread(const GpuNest *g, MapPlace *place) {
    Partial parts[MAX_REDUCTIONS];
    KStmt *out = place->out;
    start(g, parts, out);
    serial_loops(g, parts, place, g->nest->parallel_count, out);
    finish(g, parts, place, out);
}

/* ---- by the threads of a block */

typedef struct {
    KBuffer *value, *place;
} Shared;

static KBuffer *shared_array(const GpuNest *g, const char *name, KBase base, KStmt *out) {
    Dim extent = dim_static(g->threads);
    KBuffer *b = kbuffer_local(g->p, g->kernel, SPACE_SHARED, name, base, 1, &extent);
    kstmt_add(out, kstmt_alloc(g->p, b));
    return b;
}

static void to_shared(const GpuNest *g, KBuffer *b, const KVar *var, KStmt *out) {
    KExpr *index[] = {kexpr_var(g->p, g->thread)};
    kstmt_add(out, kstmt_store(g->p, b, index, 1, kexpr_var(g->p, (KVar *)var), NULL));
}

static KVar *from_shared(const GpuNest *g, KBuffer *b, KExpr *at, const char *name, KStmt *out) {
    KExpr *load = kexpr_load(g->p, b, &at, 1);
    KVar *var = kvar_new(g->p, g->kernel, name, load->type, false);
    kstmt_add(out, kstmt_let(g->p, var, load));
    return var;
}

/* Joins what the thread `distance` further has; of equal extrema the first one counts. */
static void join(const GpuNest *g, int r, const Partial *part, const Shared *shared, int64_t distance, KStmt *out) {
    KProgram *p = g->p;
    const NestReduction *reduction = &g->nest->reductions[r];
    KExpr *at = kexpr_binary(p, '+', kexpr_var(p, g->thread), kexpr_index(p, distance));
    KExpr *mine = kexpr_var(p, part->value), *other = kexpr_var(p, from_shared(g, shared->value, at, "other", out));
    if (!reduction->argument) {
        kstmt_add(out, kstmt_set(p, part->value, kexpr_fn(p, join_fn(reduction->kind), mine, other, NULL)));
        to_shared(g, shared->value, part->value, out);
        return;
    }
    KExpr *place = kexpr_var(p, from_shared(g, shared->place, at, "other_place", out));
    KExpr *earlier = kexpr_fn(p, FN_and, kexpr_fn(p, FN_eq, other, mine, NULL),
                              kexpr_fn(p, FN_lt, place, kexpr_var(p, part->place), NULL), NULL);
    take_better(g, part, kexpr_fn(p, FN_or, kexpr_fn(p, FN_gt, other, mine, NULL), earlier, NULL), other, place, out);
    to_shared(g, shared->value, part->value, out);
    to_shared(g, shared->place, part->place, out);
}

static int64_t side_by_side(const GpuNest *g) {
    return g->beside > 1 ? g->beside : 1;
}

/* The first thread of each point, in its own variables. */
static KExpr *has_whole(const GpuNest *g) {
    KProgram *p = g->p;
    KExpr *thread = kexpr_var(p, g->thread);
    if (side_by_side(g) > 1)
        return kexpr_fn(p, FN_lt, thread, kexpr_index(p, g->beside), NULL);
    return kexpr_fn(p, FN_eq, thread, kexpr_index(p, 0), NULL);
}

static void join_tree(const GpuNest *g, const Partial *parts, KStmt *out) {
    KProgram *p = g->p;
    Shared shared[MAX_REDUCTIONS];
    KExpr *thread = kexpr_var(p, g->thread);
    for (int r = 0; r < g->nest->reduction_count; r++) {
        shared[r].value = shared_array(g, "part", parts[r].value->type.base, out);
        to_shared(g, shared[r].value, parts[r].value, out);
        shared[r].place = parts[r].place ? shared_array(g, "part_place", KBASE_I32, out) : NULL;
        if (parts[r].place)
            to_shared(g, shared[r].place, parts[r].place, out);
    }
    for (int64_t distance = g->threads / 2; distance >= side_by_side(g); distance /= 2) {
        KStmt *body = kstmt_block(p);
        for (int r = 0; r < g->nest->reduction_count; r++)
            join(g, r, &parts[r], &shared[r], distance, body);
        kstmt_add(out, kstmt_barrier(p));
        kstmt_add(out, kstmt_if(p, kexpr_fn(p, FN_lt, thread, kexpr_index(p, distance), NULL), body, NULL));
    }
}

void gpu_reduce_in_block(const GpuNest *g, MapPlace *place, bool again) {
    KProgram *p = g->p;
    Partial parts[MAX_REDUCTIONS];
    GpuAxes reduced = gpu_reduced(g);
    KStmt *out = place->out, *body = kstmt_block(p), *last = kstmt_block(p);
    KVar *number = gpu_index_var(g, "k", gpu_extent_at_most(g, &reduced));
    KExpr *first = kexpr_binary(p, '/', kexpr_var(p, g->thread), kexpr_index(p, side_by_side(g)));
    KExpr *from = g->from ? g->from : kexpr_index(p, 0);
    start(g, parts, out);
    place->out = body;
    gpu_bind_axes(g, place, &reduced, kexpr_var(p, number));
    accumulate_all(g, parts, place);
    kstmt_add(out, kstmt_for(p, number, AXIS_SERIAL, kexpr_binary(p, '+', from, first),
                             g->to ? g->to : gpu_extent(g, &reduced), g->threads / side_by_side(g), body));
    join_tree(g, parts, out);
    finish(g, parts, place, last);
    kstmt_add(out, kstmt_if(p, has_whole(g), last, NULL));
    if (again)
        kstmt_add(out, kstmt_barrier(p));
}
