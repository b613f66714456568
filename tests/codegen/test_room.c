/* Memory for more samples than a step has: what was chosen for small batches is right for larger ones too (against the
 * tensor interpreter, in several threads), and on a CPU gives small ones the bits that it gives without the room: on a
 * GPU a kernel that has become too large for the shared memory of a block is cut. */
#include <string.h>
#include "codegen/kir/isa.h"
#include "codegen/nests/layout.h"
#include "codegen/lower/lower.h"
#include "codegen/map/map.h"
#include "codegen/plan/memory_plan.h"
#include "codegen/nests/winograd.h"
#include "passes/pass.h"
#include "test.h"
#include "tests/codegen/kernel_compare.h"
#include "tests/passes/random_model.h"

enum { MODELS = 60 };
static const char *const targets[] = {"generic", "x86-64-v3", "x86-64-v4", "winograd", "cuda"};

/* As the driver does it. */
static KProgram *program_with_room(Arena *arena, Diag *diag, const Module *model, const char *target, int64_t room) {
    Module *module = module_clone(arena, model);
    PassContext context = pass_context(diag, NULL, NULL);
    Program *info = ARENA_NEW(arena, Program);
    bool cuda = strcmp(target, "cuda") == 0, winograd = strcmp(target, "winograd") == 0;
    KIsa isa = isa_cuda;
    if (!passes_run(module, &context, pass_pipeline, pass_pipeline_count) ||
        (!cuda && !isa_find(winograd ? "generic" : target, &isa)))
        return NULL;
    info->module = module;
    info->name = module->name;
    info->fit.batch_size = (int)module->batch_max;
    isa.barrier_work = KERNEL_BARRIER_WORK;
    KProgram *p = lower_program(arena, diag, info, isa);
    if (!p)
        return NULL;
    if (!cuda)
        winograd_program(p, winograd ? WINOGRAD_EVERYWHERE : WINOGRAD_CHEAPER);
    (cuda ? layout_scalar : layout_program)(p);
    module->batch_max = room;
    if (!(cuda ? map_gpu : map_cpu)(p))
        return NULL;
    memory_plan(p, true);
    return kprogram_verify(p, "the memory plan") ? p : NULL;
}

typedef struct {
    Arena *arena;
    const Module *oracle;
    KProgram *exact, *roomy;
    uint64_t seed;
} Case;

static void check_func(const Case *c, const Func *func, int64_t batch, bool fits) {
    Text why = {0};
    KernelExpected e = kernel_expect(c->arena, c->oracle, func, c->seed, batch, RANDOM_MODEL_CLASSES);
    KernelValues roomy = kernel_run(c->arena, c->roomy, &e, (KInterpOptions){.threads = 3, .reverse = true}, &why);
    bool right = roomy.ran && kernel_check(&e, &roomy, &why);
    CHECK(right);
    if (right && fits) {
        KernelValues exact = kernel_run(c->arena, c->exact, &e, (KInterpOptions){.threads = 1}, &why);
        right = exact.ran && kernel_same_bits(&e, &exact, &roomy, &why);
        CHECK(right);
    }
    if (!right)
        printf("seed %d, batch %d, @%s: %s\n", (int)c->seed, (int)batch, func->name, why.data ? why.data : "");
    text_free(&why);
}

static void check_model(uint64_t seed, const char *target) {
    Arena *arena = arena_new();
    Diag *diag = diag_new(arena);
    Module *model = random_model(arena, diag, seed);
    int64_t step = model->batch_max, room = seed % 2 ? 32 : 64;
    Case c = {arena, kernel_oracle(arena, diag, model), NULL, NULL, seed};
    c.exact = kernel_program(arena, diag, model, target, true, target);
    c.roomy = program_with_room(arena, diag, model, target, room);
    if (!c.roomy) {
        printf("seed %d, room %d\n", (int)seed, (int)room);
        kernel_report(diag, target);
    }
    CHECK(c.oracle && c.exact && c.roomy);
    for (int i = 0; c.roomy && i < c.oracle->func_count; i++) {
        check_func(&c, c.oracle->funcs[i], step, strcmp(target, "cuda") != 0);
        check_func(&c, c.oracle->funcs[i], step + 1, false);
        check_func(&c, c.oracle->funcs[i], room - (int64_t)(seed % 5), false);
    }
    arena_free(arena);
}

int main(void) {
    for (uint64_t seed = 0; seed < MODELS; seed++)
        for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
            check_model(seed, targets[i]);
    return test_report();
}
