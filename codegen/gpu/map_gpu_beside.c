/* Kernels of a GPU that do not wait for each other become one launch: its blocks are shared out among them. All of them
 * but one are small, for a launch is little beside large ones.
 *
 * A kernel waits for those before it that write what it reads or writes, or read what it writes. Counting these waits
 * from the first kernel on gives levels; kernels of a level run beside each other. So a Dense network takes a launch
 * for each layer forward, one for each layer backward, which updates the layer behind it too, and one for the first
 * layer's weights. Needs mapped kernels, and comes before memory is planned: what runs at the same time must not share
 * it. */
#include "codegen/gpu/map_gpu.h"
#include <string.h>

enum { MOST_PARTS = 16, BESIDE_LARGE = 4 * 1024 };

/* A mapped kernel taken apart: grid loops, allocations, thread loops, what a thread does. */
typedef struct {
    KKernel *kernel;
    const KStmt *grid[2], *threads[2]; /* x, y; y is NULL for one axis */
    KStmt *allocated;
    const KStmt *body;
    int64_t counts[2]; /* of threads */
    int64_t shared;    /* bytes */
    bool meets;        /* its threads do */
} Part;

/* The one statement there is beside allocations, which are noted; NULL: there are several. */
static const KStmt *only(KProgram *p, const KStmt *s, Part *part) {
    while (s && s->kind == KS_BLOCK) {
        for (s = s->block.first; s && s->kind == KS_ALLOC; s = s->next)
            kstmt_add(part->allocated, kstmt_alloc(p, s->alloc));
        if (s && s->next)
            return NULL;
    }
    return s;
}

static bool is_loop(const KStmt *s, AxisKind axis) {
    return s && s->kind == KS_FOR && s->loop.axis == axis;
}

static void count_barriers(void *context, const KStmt *s) {
    *(int *)context += s->kind == KS_BARRIER;
}

static bool constant_count(KProgram *p, const KStmt *loop, int64_t *count) {
    return kexpr_constant(kloop_count(p, loop), count);
}

static int64_t shared_bytes(const KKernel *k) {
    int64_t bytes = 0;
    for (int i = 0; i < k->local_count; i++)
        if (k->locals[i]->space == SPACE_SHARED)
            bytes += kbuffer_elements(k->locals[i], 1) * kbase_bytes(k->locals[i]->base);
    return bytes;
}

/* false: the kernel has another form. */
static bool take_apart(KProgram *p, KKernel *k, Part *part) {
    int barriers = 0;
    *part = (Part){.kernel = k, .counts = {1, 1}, .shared = shared_bytes(k), .allocated = kstmt_block(p)};
    const KStmt *s = only(p, k->body, part);
    if (!is_loop(s, AXIS_GRID_X))
        return false;
    part->grid[0] = s;
    s = only(p, s->loop.body, part);
    if (is_loop(s, AXIS_GRID_Y)) {
        part->grid[1] = s;
        s = only(p, s->loop.body, part);
    }
    if (is_loop(s, AXIS_THREAD_Y)) {
        part->threads[1] = s;
        s = only(p, s->loop.body, part);
    }
    if (!is_loop(s, AXIS_THREAD_X))
        return false;
    part->threads[0] = s;
    part->body = s->loop.body;
    kstmt_visit(part->body, &(KVisitor){.statement = count_barriers, .context = &barriers});
    part->meets = barriers > 0;
    return constant_count(p, part->threads[0], &part->counts[0]) &&
           (!part->threads[1] || constant_count(p, part->threads[1], &part->counts[1]));
}

static int64_t part_threads(const Part *part) {
    return part->counts[0] * part->counts[1];
}

/* ---- one kernel of several */

typedef struct {
    KVar **by_id;
    int count;
} Vars;

static void note_var(Vars *vars, KVar *var) {
    if (var)
        vars->by_id[var->id] = var;
}

static void note_statement(void *context, const KStmt *s) {
    if (s->kind == KS_FOR)
        note_var(context, s->loop.var);
    else if (s->kind == KS_LET || s->kind == KS_SET)
        note_var(context, s->let.var);
}

static void note_expression(void *context, const KExpr *e) {
    if (e->kind == KE_VAR)
        note_var(context, e->var);
}

/* Variables and local buffers of the part become those of the kernel. */
static void adopt(KProgram *p, KKernel *to, KKernel *from) {
    Vars vars = {ARENA_ARRAY(p->arena, KVar *, from->var_count + 1), from->var_count};
    kstmt_visit(from->body, &(KVisitor){note_statement, note_expression, &vars, NULL});
    for (int i = 0; i < vars.count; i++)
        if (vars.by_id[i])
            vars.by_id[i]->id += to->var_count;
    to->var_count += from->var_count;
    for (int i = 0; i < from->local_count; i++) {
        KBuffer *local = from->locals[i];
        local->id = to->local_count;
        ARENA_PUSH(p->arena, to->locals, to->local_count, to->local_capacity, local);
    }
}

/* The loop's variable as a value: from + step * number. */
static void declare_place(KProgram *p, const KStmt *loop, KExpr *number, KStmt *out) {
    KVar *var = loop->loop.var;
    int64_t end;
    if (!var->limit && kexpr_constant(loop->loop.to, &end))
        var->limit = end;
    KExpr *place = kexpr_binary(p, '*', number, kexpr_index(p, loop->loop.step));
    kstmt_add(out, kstmt_let(p, var, kexpr_binary(p, '+', loop->loop.from, place)));
}

static KExpr *part_blocks(KProgram *p, const Part *part) {
    KExpr *x = kloop_count(p, part->grid[0]);
    return part->grid[1] ? kexpr_binary(p, '*', x, kloop_count(p, part->grid[1])) : x;
}

/* What the part does in its block number `at`, by thread number `thread`. */
static KStmt *part_body(KProgram *p, KKernel *k, const Part *part, KExpr *at, KVar *thread, int64_t threads) {
    KStmt *out = kstmt_block(p), *work = kstmt_block(p);
    KExpr *t = kexpr_var(p, thread), *x = at;
    for (const KStmt *s = part->allocated->block.first; s; s = s->next)
        kstmt_add(out, kstmt_alloc(p, s->alloc));
    if (part->grid[1]) {
        KVar *number = kvar_new(p, k, "at", (KType){KBASE_INDEX, 1}, false);
        KExpr *columns = kloop_count(p, part->grid[1]);
        kstmt_add(work, kstmt_let(p, number, at));
        declare_place(p, part->grid[1], kexpr_binary(p, '%', kexpr_var(p, number), columns), work);
        x = kexpr_binary(p, '/', kexpr_var(p, number), columns);
    }
    declare_place(p, part->grid[0], x, work);
    if (part->threads[1]) {
        KExpr *side = kexpr_index(p, part->counts[0]);
        declare_place(p, part->threads[1], kexpr_binary(p, '/', t, side), work);
        t = kexpr_binary(p, '%', t, side);
    }
    declare_place(p, part->threads[0], t, work);
    kstmt_add(work, (KStmt *)part->body);
    if (part_threads(part) < threads)
        work =
            kstmt_if(p, kexpr_fn(p, FN_lt, kexpr_var(p, thread), kexpr_index(p, part_threads(part)), NULL), work, NULL);
    kstmt_add(out, work);
    return out;
}

static void describe(KProgram *p, KKernel *k, const Part *parts, int count) {
    Text text = {0}, how = {0};
    for (int i = 0; i < count; i++) {
        const KKernel *of = parts[i].kernel;
        if (of->how)
            text_format(&how, "%s%s", how.length ? "; beside it " : "", of->how);
        text_format(&text, "%s%s", i > 0 ? "; beside it " : "", of->comment ? of->comment : of->name);
        k->work += of->work;
        k->bytes += of->bytes;
    }
    k->comment = arena_strdup(p->arena, text.data);
    k->how = how.length ? arena_strdup(p->arena, how.data) : NULL;
    text_free(&how);
    k->span = parts[0].kernel->span;
    k->func = parts[0].kernel->func;
    k->why = "kernels that do not wait for each other share a launch";
    text_free(&text);
}

static KKernel *merge(KProgram *p, const Part *parts, int count) {
    int64_t threads = 0;
    KKernel *k = kkernel_new(p, NULL, arena_format(p->arena, "%s_and_%d_more", parts[0].kernel->name, count - 1));
    describe(p, k, parts, count);
    for (int i = 0; i < count; i++) {
        adopt(p, k, parts[i].kernel);
        threads = part_threads(&parts[i]) > threads ? part_threads(&parts[i]) : threads;
    }
    KVar *block = kvar_new(p, k, "block", (KType){KBASE_INDEX, 1}, false);
    KVar *thread = kvar_new(p, k, "thread", (KType){KBASE_INDEX, 1}, false);
    thread->limit = threads;
    KExpr *ends[MOST_PARTS], *end = kexpr_index(p, 0), *zero = kexpr_index(p, 0);
    for (int i = 0; i < count; i++)
        ends[i] = end = kexpr_binary(p, '+', end, part_blocks(p, &parts[i]));
    KStmt *body = NULL;
    for (int i = count - 1; i >= 0; i--) {
        KExpr *at = i > 0 ? kexpr_binary(p, '-', kexpr_var(p, block), ends[i - 1]) : kexpr_var(p, block);
        KStmt *part = part_body(p, k, &parts[i], at, thread, threads), *otherwise = body;
        body = kstmt_block(p);
        if (otherwise)
            kstmt_add(body, kstmt_if(p, kexpr_fn(p, FN_lt, kexpr_var(p, block), ends[i], NULL), part, otherwise));
        else
            body = part;
    }
    KStmt *loop = kstmt_for(p, thread, AXIS_THREAD_X, zero, kexpr_index(p, threads), 1, body);
    k->body = kstmt_block(p);
    kstmt_add(k->body, kstmt_for(p, block, AXIS_GRID_X, zero, end, 1, loop));
    return k;
}

/* ---- levels */

bool gpu_is_large(const KKernel *k) {
    return k->work > 1 << 26;
}

bool gpu_waits_for(const KUse *later, int later_count, const KUse *earlier, int earlier_count) {
    for (int i = 0; i < later_count; i++)
        for (int k = 0; k < earlier_count; k++) {
            const KBuffer *a = kbuffer_owner(later[i].buffer), *b = kbuffer_owner(earlier[k].buffer);
            if (a == b && (later[i].written || earlier[k].written))
                return true;
        }
    return false;
}

static int find_levels(KProgram *p, const KSequence *sequence, int *levels) {
    const KUse **uses = ARENA_ARRAY(p->arena, const KUse *, sequence->count);
    int *counts = ARENA_ARRAY(p->arena, int, sequence->count), last = 0;
    for (int i = 0; i < sequence->count; i++) {
        counts[i] = kkernel_uses(p, sequence->kernels[i], &uses[i]);
        levels[i] = 0;
        for (int k = 0; k < i; k++)
            if (levels[k] >= levels[i] && gpu_waits_for(uses[i], counts[i], uses[k], counts[k]))
                levels[i] = levels[k] + 1;
        last = levels[i] > last ? levels[i] : last;
    }
    return last + 1;
}

/* Threads that meet must be all of the block's. What stands beside a large kernel takes little shared memory from it.
 */
static bool joins(const Part *parts, int count, const Part *part) {
    int64_t shared = part->shared, large = gpu_is_large(part->kernel) ? part->shared : -1;
    for (int i = 0; i < count; i++) {
        if (gpu_is_large(parts[i].kernel)) {
            if (large >= 0)
                return false;
            large = parts[i].shared;
        }
        shared += parts[i].shared;
        bool equal = part_threads(&parts[i]) == part_threads(part);
        if (!equal && (parts[i].meets || part->meets) &&
            (parts[i].meets ? part_threads(&parts[i]) < part_threads(part) || part->meets
                            : part_threads(part) < part_threads(&parts[i])))
            return false;
    }
    return count < MOST_PARTS && shared <= GPU_SHARED_BYTES && (large < 0 || shared <= large + BESIDE_LARGE);
}

static void merge_level(KProgram *p, KSequence *sequence, KKernel **kernels, int count) {
    Part parts[MOST_PARTS], part;
    int taken = 0;
    for (int i = 0; i < count; i++) {
        if (take_apart(p, kernels[i], &part) && joins(parts, taken, &part))
            parts[taken++] = part;
        else {
            kernels[i]->id = sequence->count;
            sequence->kernels[sequence->count++] = kernels[i];
        }
    }
    if (!taken)
        return;
    KKernel *k = taken > 1 ? merge(p, parts, taken) : parts[0].kernel;
    k->id = sequence->count;
    sequence->kernels[sequence->count++] = k;
}

void map_gpu_beside(KProgram *p) {
    for (int s = 0; s < p->sequence_count; s++) {
        KSequence *sequence = p->sequences[s];
        int count = sequence->count, *levels = ARENA_ARRAY(p->arena, int, count + 1);
        KKernel **all = ARENA_ARRAY(p->arena, KKernel *, count + 1);
        KKernel **level = ARENA_ARRAY(p->arena, KKernel *, count + 1);
        int level_count = find_levels(p, sequence, levels);
        memcpy(all, sequence->kernels, sizeof *all * (size_t)count);
        sequence->count = 0;
        for (int l = 0; l < level_count; l++) {
            int n = 0;
            for (int i = 0; i < count; i++)
                if (levels[i] == l)
                    level[n++] = all[i];
            merge_level(p, sequence, level, n);
        }
    }
}
