/* Products of matrices that a library computes on a GPU (--blas=cublaslt): which ones, and what is around a call.
 *
 * A product goes to the library if one call does all of it, and if it is wide (gpu_library_is_worth). What is behind it
 * is done in the call where that is a bias and a relu at most; else the sums go to the arena, and the kernel that it
 * was for reads them there. A library knows no list of rows: samples that a step reads by `rows` are gathered before.
 * Needs nests, kernels as they will be; leaves nests that are marked, which map_gpu_call maps. */
#include "codegen/nests/gemm.h"
#include "codegen/kir/gpu_arch.h"
#include "codegen/kir/library.h"
#include "codegen/gpu/map_gpu_tile.h"
#include "codegen/plan/tuning.h"

/* ---- samples in order */

static void gather_kernel(KProgram *p, KSequence *sequence, const KBuffer *from, KBuffer *to) {
    KKernel *kernel = kkernel_new(p, sequence, arena_format(p->arena, "gather_%s", from->name));
    ksequence_move(sequence, sequence->count - 1, 0);
    kernel->comment = arena_format(p->arena, "%s: the samples of the batch, for the library", from->name);
    kernel->span = sequence->kernels[1]->span;
    Nest *nest = ARENA_NEW(p->arena, Nest);
    KExpr *index[MAX_RANK];
    *nest = (Nest){.kernel = kernel, .vector_axis = -1, .axis_count = from->rank, .parallel_count = from->rank};
    for (int i = 0; i < from->rank; i++) {
        KVar *var = kvar_new(p, kernel, i == 0 ? "m" : "k", (KType){KBASE_INDEX, 1}, false);
        nest->axes[i] = (NestAxis){.var = var, .extent = from->dims[i]};
        index[i] = kexpr_var(p, var);
    }
    nest->epilogue = kstmt_block(p);
    kstmt_add(nest->epilogue,
              kstmt_store(p, to, index, from->rank, kexpr_load(p, (KBuffer *)from, index, from->rank), NULL));
    ARENA_PUSH(p->arena, kernel->nests, kernel->nest_count, kernel->nest_capacity, nest);
    kernel->work = nest_slots(nest, p->module->batch_max);
}

typedef struct {
    KProgram *p;
    KSequence *sequence;
    KBuffer *gathered[4], *of[4];
    int gathered_count, at; /* kernel of the sequence that is looked at */
} Chooser;

/* The same samples once for all products of the function. */
static void gather(Chooser *c, KExpr *load) {
    KBuffer *from = load->load.buffer;
    int i = 0;
    while (i < c->gathered_count && c->of[i] != from)
        i++;
    if (i == c->gathered_count) {
        KBuffer *to = kbuffer_new(c->p, SPACE_ARENA, arena_format(c->p->arena, "%s_in_order", from->name), from->base,
                                  from->rank, from->dims);
        to->sequence = c->sequence;
        to->layer = from->layer;
        gather_kernel(c->p, c->sequence, from, to);
        c->of[i] = from;
        c->gathered[c->gathered_count++] = to;
        c->at++;
    }
    load->load.buffer = c->gathered[i];
}

static int gathers(const Chooser *c, const Nest *nest) {
    int count = c->gathered_count;
    for (int i = 0; i < 2; i++)
        count += gemm_operand(nest, i)->load.buffer->indirect;
    return count;
}

/* ---- which products */

/* Is the product wide enough, or is it told? */
static bool is_wanted(KProgram *p, KKernel *kernel, Nest *nest) {
    GpuNest g = {.p = p, .kernel = kernel, .nest = nest, .threads = GPU_BLOCK};
    GpuTile t = {.g = &g};
    if (!gpu_tile_groups(&t))
        return false;
    GpuContraction c = gpu_contraction(&t);
    bool worth = gpu_library_is_worth(p, &c, &nest->library);
    switch (tuning_ask_library(p, nest)) {
    case TUNING_LIBRARY:
        nest->library = "told";
        return true;
    case TUNING_TILES:
        nest->library = "told otherwise";
        return false;
    default:
        return worth;
    }
}

static bool leave_nest(Chooser *c, KKernel *kernel, int number) {
    Nest *nest = kernel->nests[number];
    GemmEpilogue epilogue;
    if (!gemm_is_product(kernel, nest) || gathers(c, nest) > 4 || !is_wanted(c->p, kernel, nest))
        return false;
    bool alone =
        kernel->nest_count == 1 && gemm_epilogue(nest, &epilogue) && map_gemm_is_one_call(c->p, nest, &epilogue);
    if (!alone && !map_gemm_is_one_call(c->p, nest, NULL)) {
        nest->library = "its matrices do not lie so that one call does it";
        return false;
    }
    for (int i = 0; i < 2; i++)
        if (gemm_operand(nest, i)->load.buffer->indirect)
            gather(c, (KExpr *)gemm_operand(nest, i));
    if (!alone) {
        SumsApart apart = {"product", "sums",
                           arena_format(c->p->arena, "matrix product, by %s", c->p->products->title)};
        nest = nest_sums_apart(c->p, c->sequence, c->at++, number, 1, apart);
    }
    nest->gemm = true;
    return true;
}

void map_gpu_library(KProgram *p, KSequence *sequence) {
    Chooser c = {.p = p, .sequence = sequence};
    for (c.at = 0; p->products && c.at < sequence->count; c.at++) {
        KKernel *kernel = sequence->kernels[c.at];
        for (int n = 0; n < kernel->nest_count && !kernel->steps && !kernel->nests[n]->gemm; n++)
            leave_nest(&c, kernel, n);
    }
}

/* ---- the call */

static KBuffer *scratch_of(KProgram *p, const KKernel *kernel) {
    int64_t bytes = p->scratch_bytes ? p->scratch_bytes : p->isa.gpu->library_scratch;
    Dim extent = dim_static(bytes / kbase_bytes(KBASE_F32));
    KBuffer *b = kbuffer_new(p, SPACE_ARENA, arena_format(p->arena, "%s_scratch", kernel->name), KBASE_F32, 1, &extent);
    b->scratch = true;
    for (int s = 0; s < p->sequence_count; s++)
        if (p->sequences[s]->func == kernel->func)
            b->sequence = p->sequences[s];
    return b;
}

bool map_gpu_call(KProgram *p, KKernel *kernel, const Nest *nest, KStmt *out) {
    KBuffer *scratch = scratch_of(p, kernel);
    kernel->how = arena_format(
        p->arena, "%lld x %lld, %lld terms in %s, by %s: %s; form %s", (long long)gemm_extent(p, nest, GEMM_ROWS),
        (long long)gemm_extent(p, nest, GEMM_COLUMNS), (long long)gemm_extent(p, nest, GEMM_SUM),
        kprecision_names[p->precision], p->products->title, nest->library, nest->form ? nest->form : "none");
    return map_gemm_one_call(p, nest, scratch, out);
}
