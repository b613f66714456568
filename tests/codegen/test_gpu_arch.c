/* The table of GPU architectures: found by name, in order, and its limits do not contradict each other. */
#include "codegen/kir/gpu_arch.h"
#include <string.h>
#include "codegen/kir/isa.h"
#include "codegen/gpu/map_gpu.h"
#include "test.h"

static void check_row(const GpuArch *a) {
    KIsa isa;
    CHECK(gpu_arch_find(a->name) == a);
    CHECK(isa_of_gpu(a->name, &isa) && isa.gpu == a && isa.lanes == 1 && isa.registers == a->registers_thread);
    CHECK_TEXT(isa.c_flags, a->flag);
    CHECK(GPU_SHARED_BYTES <= a->shared_block && a->shared_block <= a->shared_sm);
    CHECK(GPU_BLOCK <= a->threads_sm && a->threads_sm % GPU_WARP == 0);
    CHECK(a->registers_thread <= 255 && a->registers_sm >= a->registers_thread);
    CHECK(a->version >= 80 || !a->tensor_tf32);
}

int main(void) {
    KIsa isa;
    for (int i = 0; i < gpu_arch_count; i++) {
        check_row(&gpu_archs[i]);
        CHECK(i < 2 || gpu_archs[i].version > gpu_archs[i - 1].version);
        /* native is any of them */
        CHECK(gpu_archs[0].version <= gpu_archs[i].version && gpu_archs[0].shared_block <= gpu_archs[i].shared_block);
        CHECK(gpu_archs[0].threads_sm <= gpu_archs[i].threads_sm && gpu_archs[0].blocks_sm <= gpu_archs[i].blocks_sm);
    }
    CHECK_TEXT(gpu_archs[0].name, "native");
    CHECK(isa_cuda.gpu == gpu_archs);
    CHECK(!gpu_arch_find("sm_1") && !gpu_arch_find("") && !isa_of_gpu("SM_80", &isa));
    return test_report();
}
