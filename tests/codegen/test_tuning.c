/* Tiles chosen by measuring: whatever fits may be chosen, and gives the bits of the tile that the rules choose, in any
 * number of threads. And what the cost model says of the kernels: times and bytes of everything that computes. */
#include "codegen/plan/cost.h"
#include "codegen/kir/isa.h"
#include "codegen/nests/layout.h"
#include "codegen/lower/lower.h"
#include "codegen/map/map.h"
#include "codegen/plan/memory_plan.h"
#include "codegen/plan/tuning.h"
#include "codegen/nests/winograd.h"
#include "passes/pass.h"
#include "test.h"
#include "tests/codegen/kernel_compare.h"
#include "tests/passes/random_model.h"

enum { MODELS = 60, CHOICES = 3 };
static const char *const targets[] = {"generic", "x86-64-v3", "x86-64-v4"};

/* As the driver does it. */
static KProgram *tuned_program(Arena *arena, Diag *diag, const Module *model, const char *target, Tuning *tuning) {
    Module *module = module_clone(arena, model);
    PassContext context = pass_context(diag, NULL, NULL);
    Program *info = ARENA_NEW(arena, Program);
    KIsa isa;
    if (!passes_run(module, &context, pass_pipeline, pass_pipeline_count) || !isa_find(target, &isa))
        return NULL;
    info->module = module;
    info->name = module->name;
    info->fit.batch_size = (int)module->batch_max;
    KProgram *p = lower_program(arena, diag, info, isa);
    if (!p)
        return NULL;
    winograd_program(p, WINOGRAD_EVERYWHERE);
    layout_program(p);
    p->tuning = tuning;
    if (!map_cpu(p))
        return NULL;
    cost_program(p);
    memory_plan(p, true);
    return kprogram_verify(p, "the memory plan") ? p : NULL;
}

static void check_costs(const KProgram *p) {
    CostMachine machine = cost_machine(&p->isa);
    for (int s = 0; s < p->sequence_count; s++) {
        const KSequence *sequence = p->sequences[s];
        Cost *costs = cost_sequence(p, &machine, sequence);
        for (int k = 0; k < sequence->count; k++) {
            const Cost *c = &costs[k];
            double from = 0;
            for (int i = 0; i < COST_LEVELS; i++)
                from += c->from[i];
            CHECK(isfinite(c->time) && c->time > 0 && c->time < 1e9);
            CHECK(c->written > 0 && from >= c->written && c->read >= 0);
            CHECK(c->flops >= 0 && c->bound < COST_BOUNDS && sequence->kernels[k]->work > 0);
            CHECK(c->flops <= c->time * cost_peak(&machine, &p->isa));
        }
    }
}

/* Another tile for every contraction. */
static Tuning *other_tiles(Arena *arena, const Tuning *seen, unsigned choice) {
    Tuning *t = ARENA_NEW(arena, Tuning);
    for (int i = 0; i < seen->seen_count; i++) {
        const TileSeen *s = &seen->seen[i];
        TileChoice tile = {s->choice.form, 1, 1, 1, false};
        tile.vectors = 1 + (int)((choice * 7 + (unsigned)i) % (unsigned)s->most_vectors);
        int most = s->accumulators / tile.vectors < s->most_rows ? s->accumulators / tile.vectors : s->most_rows;
        tile.rows = most > 0 ? 1 + (int)((choice * 5 + (unsigned)i * 3) % (unsigned)most) : 1;
        ARENA_PUSH(arena, t->wanted, t->wanted_count, t->wanted_capacity, tile);
    }
    return t;
}

static int compared, followed;

static void compare(Arena *arena, const Module *oracle, const Func *func, KProgram *rules, KProgram *tuned,
                    uint64_t seed) {
    Text why = {0};
    KernelExpected e = kernel_expect(arena, oracle, func, seed, oracle->batch_max, RANDOM_MODEL_CLASSES);
    KernelValues a = kernel_run(arena, rules, &e, (KInterpOptions){.threads = 1}, &why);
    KernelValues b = kernel_run(arena, tuned, &e, (KInterpOptions){.threads = 3, .reverse = true}, &why);
    bool right = a.ran && b.ran && kernel_check(&e, &b, &why) && kernel_same_bits(&e, &a, &b, &why);
    CHECK(right);
    compared++;
    if (!right)
        printf("seed %d, @%s: %s\n", (int)seed, func->name, why.data ? why.data : "");
    text_free(&why);
}

static void check_model(uint64_t seed, const char *target) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *model = random_model(arena, diag, seed), *oracle = kernel_oracle(arena, diag, model);
    Tuning none = {0};
    KProgram *rules = tuned_program(arena, diag, model, target, &none);
    CHECK(rules && oracle);
    if (rules)
        check_costs(rules);
    for (unsigned choice = 0; rules && choice < CHOICES; choice++) {
        Tuning *tuning = other_tiles(arena, &none, choice);
        KProgram *tuned = tuned_program(arena, diag, model, target, tuning);
        CHECK(tuned != NULL);
        for (int i = 0; tuned && i < tuning->seen_count && i < none.seen_count; i++) {
            CHECK_TEXT(tuning->seen[i].choice.form, none.seen[i].choice.form);
            followed += tuning->seen[i].choice.rows != none.seen[i].choice.rows ||
                        tuning->seen[i].choice.vectors != none.seen[i].choice.vectors;
        }
        for (int i = 0; tuned && i < oracle->func_count; i++)
            compare(arena, oracle, oracle->funcs[i], rules, tuned, seed);
    }
    arena_free(arena);
}

/* Rows of the table: every instruction set has figures, and a wider one a higher peak. */
static void test_machines(void) {
    double last = 0;
    for (int i = 0; i < 3; i++) {
        KIsa isa;
        CHECK(isa_find(targets[i], &isa));
        CostMachine m = cost_machine(&isa);
        CHECK_TEXT(m.isa, targets[i]);
        CHECK(cost_peak(&m, &isa) > last);
        last = cost_peak(&m, &isa);
        for (int level = COST_L2; level < COST_LEVELS; level++)
            CHECK(m.bytes_per_nanosecond[level] < m.bytes_per_nanosecond[level - 1]);
    }
    KIsa native;
    CHECK(isa_find("native", &native));
    CostMachine m = cost_machine(&native);
    cost_measure(&m, &native);
    CHECK(m.gigahertz > 0.1 && m.gigahertz < 20 && m.fma > 0.1 && m.fma < 10);
    CHECK(m.bytes[COST_L1] >= 4096 && m.bytes[COST_L2] >= m.bytes[COST_L1]);
}

int main(void) {
    test_machines();
    for (uint64_t seed = 1; seed <= MODELS; seed++)
        check_model(seed, targets[seed % 3]);
    CHECK(compared > MODELS && followed > MODELS);
    return test_report();
}
