/* What a mapped kernel does: a walk over its statements that counts arithmetic, loads and stores as often as the loops
 * run them. A part of a kernel without loops takes as long as the unit of the core that is busiest with it. */
#include "codegen/plan/cost.h"
#include <math.h>
#include <string.h>
#include "codegen/kir/nest.h"

/* Cycles: a loop that ends, a kernel that is called, lanes that are reduced, random numbers of a vector of 16, and one
 * of a shorter vector (nnrt_kernel.h draws these with scalar code); operations of an iteration that count, compare and
 * jump. Constants fitted to measured kernels (docs/architecture.md). */
static const double loop_end = 3, call = 40, across_points = 8, random_points = 40, lane_points = 12,
                    loop_operations = 2, partial_store = 8;
enum {
    SAMPLES = 12,    /* iterations looked at where one differs from the other */
    WHOLE_DRAW = 16, /* random numbers that are drawn on lanes */
    SHORT_LOOP = 8   /* C compilers unroll loops of so few turns */
};

const char *const cost_bound_names[COST_BOUNDS] = {
    [COST_BY_SUMS] = "sums", [COST_BY_POINTS] = "pointwise", [COST_BY_LOADS] = "loads", [COST_BY_MEMORY] = "memory"};

/* One run of statements without loops. */
typedef struct {
    double arithmetic, loads, stores, others;
    bool adds; /* to accumulators, which wait for themselves */
} Part;

/* ---- values of indices */
static double value_of(const CostWalk *w, const KExpr *e) {
    switch (e->kind) {
    case KE_CONST:
        return e->number;
    case KE_BATCH:
        return (double)cost_batch(w->program);
    case KE_VAR:
        return w->value[e->var->id];
    case KE_CAST:
        return value_of(w, e->operand);
    case KE_LOAD:
        return (double)e->load.buffer->most / KBUFFER_PARTS;
    case KE_INDEX: {
        double a = value_of(w, e->index.left), b = value_of(w, e->index.right);
        switch (e->index.op) {
        case '+':
            return a + b;
        case '-':
            return a - b;
        case '*':
            return a * b;
        case '/':
            return b > 0 ? floor(a / b) : 0;
        case '%':
            return b > 0 ? a - b * floor(a / b) : 0;
        case 'm':
            return fmin(a, b);
        default:
            return fmax(a, b);
        }
    }
    default:
        return 0;
    }
}

/* What holds at one place of many is left out. */
static bool is_rare(const KExpr *e) {
    return e->kind == KE_FN && e->fn.fn == FN_eq && e->fn.args[0]->type.base == KBASE_INDEX;
}

/* 1, 0, or 0.5 if only the data know. */
static double chance_of(const CostWalk *w, const KExpr *e) {
    if (is_rare(e))
        return 0;
    if (e->kind != KE_FN || e->fn.args[0]->type.base != KBASE_INDEX || e->fn.args[0]->type.lanes > 1)
        return 0.5;
    double a = value_of(w, e->fn.args[0]), b = value_of(w, e->fn.args[1]);
    switch (e->fn.fn) {
    case FN_lt:
        return a < b;
    case FN_le:
        return a <= b;
    case FN_gt:
        return a > b;
    case FN_ge:
        return a >= b;
    default:
        return 0.5;
    }
}

/* ---- expressions */
static void count_expression(CostWalk *, Part *, const KExpr *);

/* Accumulators and what else unrolled loops keep in registers. */
static bool is_register(const KBuffer *b) {
    return b->space == SPACE_LOCAL && b->lanes > 0;
}

static void touch(CostWalk *w, const KBuffer *b, KExpr *const *index, int axes, double width, double rows, bool store) {
    CostAccess access = cost_access(w, b, index, axes, width, rows, store);
    ARENA_PUSH(w->arena, w->accesses, w->access_count, w->access_capacity, access);
}

/* Lanes that are read or written one by one: `apart` in memory, or a part of a vector without cheap masks. */
static double single_lanes(const CostWalk *w, int lanes, const KExpr *count, bool apart) {
    int64_t n = lanes;
    if (count)
        kexpr_constant(count, &n);
    return apart || (count && !w->program->isa.masks) ? (double)n : 0;
}

/* A vector that begins anywhere lies in two lines of the cache, more often the longer it is. */
static double lines_of(const CostWalk *w, const KBuffer *b, int lanes) {
    int64_t extent[MAX_RANK + 1], vector = lanes * kbase_bytes(b->base);
    int axes = kbuffer_physical(b, cost_batch(w->program), extent);
    bool aligned = lanes == 1 || axes == 0 || extent[axes - 1] * kbase_bytes(b->base) % vector == 0 || axes == 1;
    return aligned ? 1 : 1 + (double)vector / 64;
}

static void count_load(CostWalk *w, Part *part, const KExpr *e) {
    const KBuffer *b = e->load.buffer;
    if (is_register(b))
        return;
    double lanes = e->type.lanes, stride = e->load.stride ? value_of(w, e->load.stride) : 1;
    double singly = lanes > 1 ? single_lanes(w, e->type.lanes, e->load.count, stride != 1) : 0;
    part->loads += singly > 0 ? singly : lines_of(w, b, e->type.lanes);
    part->others += singly;
    bool apart = stride * (double)kbase_bytes(b->base) >= 64;
    touch(w, b, e->load.index, e->load.index_count, apart ? 1 : (lanes - 1) * stride + 1, apart ? lanes : 1, false);
}

static bool is_product(const KExpr *e) {
    return e->kind == KE_FN && e->fn.fn == FN_mul;
}

static void count_function(CostWalk *w, Part *part, const KExpr *e) {
    const ScalarInfo *info = &scalar_infos[e->fn.fn];
    bool sum = e->fn.fn == FN_add || e->fn.fn == FN_sub;
    int fused = sum && is_product(e->fn.args[0]) ? 0 : sum && is_product(e->fn.args[1]) ? 1 : -1;
    part->arithmetic += info->cost;
    for (int i = 0; i < info->arity; i++)
        if (i == fused)
            for (int k = 0; k < 2; k++)
                count_expression(w, part, e->fn.args[i]->fn.args[k]);
        else
            count_expression(w, part, e->fn.args[i]);
}

static void count_expression(CostWalk *w, Part *part, const KExpr *e) {
    if (!e)
        return;
    switch (e->kind) {
    case KE_LOAD:
        count_load(w, part, e);
        break;
    case KE_FN:
        count_function(w, part, e);
        break;
    case KE_CAST:
        part->others += e->type.base != KBASE_INDEX;
        count_expression(w, part, e->operand);
        break;
    case KE_SPLAT:
        count_expression(w, part, e->operand);
        break;
    case KE_ACROSS:
        part->arithmetic += across_points;
        count_expression(w, part, e->across.operand);
        break;
    case KE_RANDOM:
        part->arithmetic += e->type.lanes == WHOLE_DRAW ? random_points : e->type.lanes * lane_points;
        break;
    case KE_CONST:
    case KE_VAR:
    case KE_BATCH:
    case KE_INDEX:
    case KE_LANES:
        break;
    }
}

/* ---- statements */
static void count_statements(CostWalk *, Part *, const KStmt *, double times);

static bool reads_itself(const KExpr *e, const KStmt *s) {
    KExpr *operands[KEXPR_MAX_OPERANDS];
    if (s->kind == KS_SET ? e->kind == KE_VAR && e->var == s->let.var
                          : e->kind == KE_LOAD && e->load.buffer == s->store.buffer)
        return true;
    int count = kexpr_operands(e, operands);
    for (int i = 0; i < count; i++)
        if (reads_itself(operands[i], s))
            return true;
    return false;
}

static void count_store(CostWalk *w, Part *part, const KStmt *s) {
    count_expression(w, part, s->store.value);
    if (is_register(s->store.buffer)) {
        part->adds = part->adds || reads_itself(s->store.value, s);
        return;
    }
    int lanes = s->store.value->type.lanes;
    double singly = lanes > 1 ? single_lanes(w, lanes, s->store.count, false) : 0;
    part->stores += singly > 0                    ? singly
                    : s->store.count && lanes > 1 ? partial_store
                                                  : lines_of(w, s->store.buffer, lanes);
    touch(w, s->store.buffer, s->store.index, s->store.index_count, lanes, 1, true);
}

/* dst[j][i] = src[i][j]: each vector is shuffled log2(lanes) times. */
static void count_transpose(CostWalk *w, Part *part, const KStmt *s) {
    double side = s->transpose.lanes > 1 ? s->transpose.lanes : 1;
    double elements = (double)(s->transpose.rows * s->transpose.columns), vectors = elements / side;
    part->loads += vectors;
    part->stores += vectors;
    part->arithmetic += vectors * log2(side);
    double rows = (double)s->transpose.rows, columns = (double)s->transpose.columns;
    touch(w, s->transpose.from, s->transpose.from_index, s->transpose.from_count, columns, rows, false);
    touch(w, s->transpose.to, s->transpose.to_index, s->transpose.to_count, rows, columns, true);
}

/* The units of the core work side by side: the busiest one counts. */
static void add_part(CostWalk *w, const Part *part, double times) {
    const CostMachine *m = w->machine;
    double arithmetic = part->arithmetic / m->fma, loads = fmax(part->loads / m->loads, part->stores / m->stores);
    double all = (part->arithmetic + part->loads + part->stores + part->others) / m->operations;
    if (part->adds)
        arithmetic = fmax(arithmetic, m->latency);
    double most = fmax(fmax(arithmetic, loads), all);
    *(loads > arithmetic && loads >= all ? &w->loads : part->adds ? &w->sums : &w->points) += most * times;
}

/* A call of a library of matrix products: at the peak, as long as it has data. */
static void count_gemm(CostWalk *w, const KGemm *g, double times) {
    double rows = value_of(w, g->row_to) - value_of(w, g->row_from), terms = value_of(w, g->sum);
    double columns = value_of(w, g->column_to) - value_of(w, g->column_from);
    Part part = {.arithmetic = rows * columns * terms / w->program->isa.lanes, .adds = true};
    touch(w, g->a.buffer, g->a.index, g->a.index_count, terms, rows, false);
    touch(w, g->b.buffer, g->b.index, g->b.index_count, columns, terms, false);
    touch(w, g->c.buffer, g->c.index, g->c.index_count, columns, rows, true);
    add_part(w, &part, times);
}

static void count_block(CostWalk *w, const KStmt *block, double others, double times) {
    Part part = {.others = others};
    w->groups++;
    count_statements(w, &part, block, times);
    add_part(w, &part, times);
}

/* Do the loops and conditions in it depend on the variable? */
static bool bounds_use(const KStmt *s, const KVar *var) {
    for (; s; s = s->next)
        switch (s->kind) {
        case KS_BLOCK:
            if (bounds_use(s->block.first, var))
                return true;
            break;
        case KS_FOR:
            if (kexpr_uses(s->loop.from, var) || kexpr_uses(s->loop.to, var) || bounds_use(s->loop.body, var))
                return true;
            break;
        case KS_IF:
            if ((kexpr_uses(s->branch.condition, var) && !is_rare(s->branch.condition)) ||
                bounds_use(s->branch.then, var) || bounds_use(s->branch.otherwise, var))
                return true;
            break;
        case KS_LET:
            if (s->let.var->type.base == KBASE_INDEX && kexpr_uses(s->let.value, var) &&
                bounds_use(s->next, s->let.var)) /* of a loop behind it */
                return true;
            break;
        default:
            break;
        }
    return false;
}

/* Iterations that differ are looked at one by one, at most SAMPLES of them; what they touch is that of the largest. */
static void count_different(CostWalk *w, const KStmt *s, double from, double trips, double times) {
    int samples = trips < SAMPLES ? (int)trips : SAMPLES, first = w->access_count, end = first;
    double most = -1;
    for (int i = 0; i < samples; i++) {
        int start = w->access_count = end;
        w->value[s->loop.var->id] = from + floor((i + 0.5) * trips / samples) * (double)s->loop.step;
        count_block(w, s->loop.body, loop_operations, times * trips / samples);
        double bytes = cost_distinct(w, start);
        if (bytes > most) {
            size_t moved = (size_t)(w->access_count - start);
            memmove(w->accesses + first, w->accesses + start, moved * sizeof *w->accesses);
            end = first + (int)moved;
            most = bytes;
        }
    }
    w->access_count = end;
}

static void count_unrolled(CostWalk *w, Part *part, const KStmt *s, double trips, double times) {
    Part body = {0};
    count_statements(w, &body, s->loop.body, times * trips);
    part->arithmetic += body.arithmetic * trips;
    part->loads += body.loads * trips;
    part->stores += body.stores * trips;
    part->others += body.others * trips;
    part->adds = part->adds || body.adds;
}

static bool is_short(const KStmt *loop);

static bool is_straight(const KStmt *body) {
    for (const KStmt *s = body->kind == KS_BLOCK ? body->block.first : body; s; s = s->next)
        if (s->kind == KS_IF || (s->kind == KS_FOR && !is_short(s)))
            return false;
    return true;
}

/* Few turns, as many as constants say, of statements without other loops. */
static bool is_short(const KStmt *loop) {
    int64_t from, to;
    return kexpr_constant(loop->loop.from, &from) && kexpr_constant(loop->loop.to, &to) &&
           (to - from) / loop->loop.step <= SHORT_LOOP && is_straight(loop->loop.body);
}

static void count_loop(CostWalk *w, Part *part, const KStmt *s, double times) {
    double from = value_of(w, s->loop.from), to = value_of(w, s->loop.to);
    double trips = ceil((to - from) / (double)s->loop.step);
    int first = w->access_count;
    if (trips <= 0)
        return;
    w->value[s->loop.var->id] = from;
    if (s->loop.axis == AXIS_UNROLL)
        count_unrolled(w, part, s, trips, times);
    else if (is_short(s))
        count_unrolled(w, part, s, trips, times);
    else {
        w->points += loop_end * times;
        if (bounds_use(s->loop.body, s->loop.var))
            count_different(w, s, from, trips, times);
        else
            count_block(w, s->loop.body, loop_operations, times * trips);
    }
    cost_repeat(w, first, s->loop.var, trips, (double)s->loop.step);
}

static void count_branch(CostWalk *w, const KStmt *s, double times) {
    double chance = chance_of(w, s->branch.condition);
    if (chance > 0)
        count_block(w, s->branch.then, 1, times * chance);
    if (chance < 1 && s->branch.otherwise)
        count_block(w, s->branch.otherwise, 1, times * (1 - chance));
}

static void count_value(CostWalk *w, Part *part, const KStmt *s) {
    if (w->live && !w->live[s->let.var->id])
        return;
    w->value[s->let.var->id] = value_of(w, s->let.value);
    if (s->let.var->type.base != KBASE_INDEX)
        count_expression(w, part, s->let.value);
    part->adds = part->adds || (s->kind == KS_SET && reads_itself(s->let.value, s));
}

/* Adds what stands in it to the part, loops and branches apart. */
static void count_statements(CostWalk *w, Part *part, const KStmt *s, double times) {
    for (; s; s = s->next)
        switch (s->kind) {
        case KS_BLOCK:
            count_statements(w, part, s->block.first, times);
            break;
        case KS_FOR:
            count_loop(w, part, s, times);
            break;
        case KS_IF:
            count_branch(w, s, times);
            break;
        case KS_LET:
        case KS_SET:
            count_value(w, part, s);
            break;
        case KS_STORE:
            count_store(w, part, s);
            break;
        case KS_TRANSPOSE:
            count_transpose(w, part, s);
            break;
        case KS_GEMM:
            count_gemm(w, s->gemm, times);
            break;
        case KS_MMA: /* on a GPU, of which no times are predicted */
        case KS_PREFETCH:
            part->loads += 1;
            break;
        case KS_CONVOLUTION: /* on a GPU, of which no times are predicted */
        case KS_ALLOC:
        case KS_BARRIER:
        case KS_FORGET:
        case KS_COMMENT:
            break;
        }
}

/* ---- kernels */
static CostWalk walk_kernel(const KProgram *p, const CostMachine *machine, Arena *arena, const KKernel *kernel) {
    CostWalk w = {.program = p, .machine = machine, .arena = arena};
    w.value = ARENA_ARRAY(arena, double, kernel->var_count + 1);
    w.live = kkernel_live(p, kernel);
    w.points = call;
    if (kernel->body)
        count_block(&w, kernel->body, 0, 1);
    return w;
}

static double flops_of(const KProgram *p, const KKernel *kernel) {
    double flops = 0;
    for (int i = 0; i < kernel->nest_count; i++) {
        bool in_step = kernel->steps && i >= kernel->step_first && i < kernel->step_end;
        flops += nest_flops(kernel->nests[i], cost_batch(p)) * (in_step ? kernel->steps : 1);
    }
    return flops;
}

int64_t cost_batch(const KProgram *p) {
    int64_t most = p->module->batch_max, step = p->info ? p->info->fit.batch_size : 0;
    return step > 0 && step < most ? step : most;
}

Cost *cost_sequence(const KProgram *p, const CostMachine *machine, const KSequence *sequence) {
    Cost *costs = ARENA_ARRAY(p->arena, Cost, sequence->count + 1);
    CostWalk *walks = ARENA_ARRAY(p->arena, CostWalk, sequence->count + 1);
    for (int i = 0; i < sequence->count; i++) {
        walks[i] = walk_kernel(p, machine, p->arena, sequence->kernels[i]);
        costs[i].flops = flops_of(p, sequence->kernels[i]);
    }
    cost_memory(p, machine, sequence, walks, costs);
    return costs;
}

void cost_program(KProgram *p) {
    CostMachine machine = cost_machine(&p->isa);
    for (int s = 0; s < p->sequence_count; s++) {
        const KSequence *sequence = p->sequences[s];
        Cost *costs = cost_sequence(p, &machine, sequence);
        for (int i = 0; i < sequence->count; i++) {
            sequence->kernels[i]->work = (int64_t)(costs[i].time * cost_peak(&machine, &p->isa) / 2);
            sequence->kernels[i]->bytes = (int64_t)(costs[i].read + costs[i].written);
        }
    }
}

void cost_add(Cost *sum, const Cost *c) {
    sum->flops += c->flops;
    sum->read += c->read;
    sum->written += c->written;
    for (int i = 0; i < COST_LEVELS; i++)
        sum->from[i] += c->from[i];
    sum->sums += c->sums;
    sum->points += c->points;
    sum->loads += c->loads;
    sum->memory += c->memory;
    sum->time += c->time;
}
