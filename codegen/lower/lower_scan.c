/* A scan to a kernel: nests that set the states, nests that run once per step, nests that give out the last states.
 *
 * A state has two places, one for even and one for odd steps: a step reads one and writes the other. Sequences and
 * outputs are read and written at the index of the step, a reversed sequence at that from the end. What passes on
 * inside of a step lies in local buffers. */
#include "codegen/lower/lower.h"

typedef struct {
    LowerRegion r;
    const Op *scan;
    KBuffer **states;
    KExpr *even, *odd; /* places of a state before and after the step */
} LowerScan;

static KExpr *number(const LowerScan *s, int64_t n) {
    return kexpr_index(s->r.lower->program, n);
}

/* An own nest that copies a value: `make` at each point. */
static void copy_nest(LowerScan *s, const Type *type, KBuffer *to, KExpr *to_step, KExpr *number_or_null, KBuffer *from,
                      KExpr *from_step) {
    KProgram *p = s->r.lower->program;
    Nest *nest = lower_nest(&s->r, s->scan, type);
    KExpr *index[MAX_RANK], *place[MAX_RANK + 1];
    for (int i = 0; i < type->rank; i++)
        index[i] = kexpr_var(p, nest->axes[i].var);
    KExpr *value = number_or_null;
    if (!value) {
        int count = lower_step_index(index, type, from_step, place);
        value = kexpr_load(p, from, place, count);
    }
    KVar *var = kvar_new(p, s->r.kernel, "state", value->type, false);
    kstmt_add(nest->epilogue, kstmt_let(p, var, value));
    int count = lower_step_index(index, type, to_step, place);
    lower_store(&s->r, nest, to, place, count, kexpr_var(p, var));
}

static KBuffer *memory_of(const Lower *lower, const Value *value) {
    const Op *op = value->def;
    if (op && op->code == OP_REVERSE)
        return memory_of(lower, op->inputs[0]);
    return op && op->code == OP_VARIABLE ? lower->variables[op->attr.variable->id] : lower->memory[value->id];
}

/* ---- before the first step */
static void start_states(LowerScan *s) {
    KProgram *p = s->r.lower->program;
    const Region *region = s->scan->region;
    for (int i = 0; i < s->scan->attr.scan.carried; i++) {
        const Value *arg = region->args[i], *first = s->scan->inputs[i];
        const Type *places = scan_sequence_type((Module *)p->module, arg->type, 2);
        const char *name = arena_format(p->arena, "%s_state", s->scan->layer ? s->scan->layer : "step");
        s->states[i] =
            kbuffer_local(p, s->r.kernel, SPACE_LOCAL, name, lower_base(arg->type->dtype), places->rank, places->dims);
        bool constant = first->def && first->def->code == OP_CONST;
        KExpr *value = constant ? kexpr_number(p, lower_base(arg->type->dtype), first->def->attr.constant) : NULL;
        copy_nest(s, arg->type, s->states[i], number(s, 0), value, memory_of(s->r.lower, first), NULL);
        s->r.memory[arg->id] = s->states[i];
        s->r.step[arg->id] = s->even;
    }
}

/* ---- one step */
static void place_arguments(LowerScan *s) {
    const ScanAttr *scan = &s->scan->attr.scan;
    const Region *region = s->scan->region;
    KExpr *from_end = kexpr_binary(s->r.lower->program, '-', number(s, scan->steps - 1), s->r.now);
    for (int i = scan->carried; i < region->arg_count; i++) {
        s->r.memory[region->args[i]->id] = memory_of(s->r.lower, s->scan->inputs[i]);
        const Op *made_by = s->scan->inputs[i]->def;
        if (i < scan->carried + scan->sequences)
            s->r.step[region->args[i]->id] = made_by && made_by->code == OP_REVERSE ? from_end : s->r.now;
    }
}

/* The value of this step, as a variable that can be stored. */
static Nest *yield_nest(LowerScan *s, const Value *value) {
    LowerRegion *r = &s->r;
    if (r->var[value->id])
        return r->home[value->id];
    Nest *nest = lower_find_nest(r, value);
    if (!nest)
        nest = lower_nest(r, s->scan, value->type);
    lower_let(r, nest, value);
    return nest;
}

static void store_yields(LowerScan *s, KBuffer *const *results) {
    KProgram *p = s->r.lower->program;
    const Region *region = s->scan->region;
    for (int i = 0; i < region->yield_count; i++) {
        const Value *value = region->yields[i];
        bool is_state = i < s->scan->attr.scan.carried;
        if (!is_state && (!results[i] || (value->def && value->def->code == OP_CONCAT)))
            continue; /* its parts are stored there already */
        Nest *nest = yield_nest(s, value);
        KExpr *index[MAX_RANK], *place[MAX_RANK + 1];
        for (int k = 0; k < nest->parallel_count; k++)
            index[k] = kexpr_var(p, nest->axes[k].var);
        int count = lower_step_index(index, value->type, is_state ? s->odd : s->r.now, place);
        lower_store(&s->r, nest, is_state ? s->states[i] : results[i], place, count, kexpr_var(p, s->r.var[value->id]));
    }
}

/* ---- after the last step */
static void give_states(LowerScan *s, KBuffer *const *results) {
    for (int i = 0; i < s->scan->attr.scan.carried; i++)
        if (results[i])
            copy_nest(s, s->scan->results[i]->type, results[i], NULL, NULL, s->states[i],
                      number(s, s->scan->attr.scan.steps % 2));
}

/* ---- is every row of the batch alone? */
typedef struct {
    const KVar *row;
    bool alone;
} RowCheck;

static bool is_row(const RowCheck *check, const KBuffer *buffer, KExpr *const *index) {
    return !buffer->rank || !buffer->dims[0].batch || (index[0]->kind == KE_VAR && index[0]->var == check->row);
}

static void check_load(void *context, const KExpr *e) {
    RowCheck *check = context;
    if (e->kind == KE_LOAD && !is_row(check, e->load.buffer, e->load.index))
        check->alone = false;
}

static void check_store(void *context, const KStmt *statement) {
    RowCheck *check = context;
    const KBuffer *to = statement->kind == KS_STORE ? statement->store.buffer : NULL;
    if (to && (!to->rank || !to->dims[0].batch || !is_row(check, to, statement->store.index)))
        check->alone = false;
}

static bool keeps_rows_apart(const KKernel *kernel) {
    for (int i = 0; i < kernel->nest_count; i++) {
        const Nest *nest = kernel->nests[i];
        if (!nest->parallel_count || !nest->axes[0].extent.batch)
            return false;
        RowCheck check = {nest->axes[0].var, true};
        KVisitor visitor = {.statement = check_store, .expression = check_load, .context = &check};
        nest_visit(nest, &visitor);
        if (!check.alone)
            return false;
    }
    return true;
}

static void count_work(KKernel *kernel, int64_t batch) {
    for (int i = 0; i < kernel->nest_count; i++) {
        bool in_step = i >= kernel->step_first && i < kernel->step_end;
        kernel->work += nest_slots(kernel->nests[i], batch) * (in_step ? kernel->steps : 1);
    }
}

void lower_scan(Lower *lower, const Op *scan, KBuffer *const *results) {
    KProgram *p = lower->program;
    LowerScan s = {.scan = scan};
    const ScanAttr *attr = &scan->attr.scan;
    KBuffer **nothing = ARENA_ARRAY(p->arena, KBuffer *, scan->result_count + 1);
    s.r = lower_region_start(lower, scan, nothing);
    KKernel *kernel = s.r.kernel = lower_kernel(lower, scan, "");
    kernel->steps = attr->steps;
    kernel->step = kvar_new(p, kernel, "t", (KType){KBASE_INDEX, 1}, false);
    kernel->step->limit = attr->steps;
    KExpr *t = kexpr_var(p, kernel->step);
    s.even = kexpr_binary(p, '%', t, number(&s, 2));
    s.odd = kexpr_binary(p, '%', kexpr_binary(p, '+', t, number(&s, 1)), number(&s, 2));
    s.r.now = attr->reverse ? kexpr_binary(p, '-', number(&s, attr->steps - 1), t) : t;
    s.states = ARENA_ARRAY(p->arena, KBuffer *, attr->carried + 1);
    for (int i = attr->carried; i < scan->result_count; i++)
        s.r.sequence[scan->region->yields[i]->id] = results[i];
    start_states(&s);
    kernel->step_first = kernel->step_end = kernel->nest_count;
    place_arguments(&s);
    lower_region_ops(&s.r);
    store_yields(&s, results);
    kernel->step_end = kernel->nest_count;
    give_states(&s, results);
    lower_region_end(&s.r);
    kernel->rows = keeps_rows_apart(kernel);
    count_work(kernel, p->module->batch_max);
}
