/* Which tiles contractions take on a GPU: every choice fits; little work is spread over the GPU, much work moves
 * little; more multiprocessors take no larger tiles. */
#include "codegen/kir/gpu_arch.h"
#include "codegen/gpu/map_gpu_tile.h"
#include "test.h"
#include <string.h>

static GpuContraction contraction(int64_t rows, int64_t columns, int64_t planes, int64_t depth, int64_t epilogue) {
    return (GpuContraction){
        .rows = rows, .columns = columns, .planes = planes, .depth = depth, .epilogue = epilogue, .parts = 1};
}

static GpuTileShape choose(Arena *arena, const char *gpu, GpuContraction c) {
    KProgram p = {.arena = arena, .isa = {.gpu = gpu_arch_find(gpu)}};
    return gpu_tile_shape(&p, &c);
}

static int64_t elements(GpuTileShape s) {
    return s.rows * s.columns;
}

static void test_small(Arena *arena) {
    for (int i = 0; i < gpu_arch_count; i++) {
        CHECK(elements(choose(arena, gpu_archs[i].name, contraction(32, 64, 1, 100, 2))) == 1);
        CHECK(elements(choose(arena, gpu_archs[i].name, contraction(16, 16, 400, 8, 2))) == 1);
    }
}

static void test_large(Arena *arena) {
    for (int i = 0; i < gpu_arch_count; i++) {
        GpuTileShape s = choose(arena, gpu_archs[i].name, contraction(8192, 8192, 1, 4096, 2));
        CHECK(elements(s) >= 32);
        s = choose(arena, gpu_archs[i].name, contraction(8192, 16, 1, 4096, 2)); /* nothing beyond the columns */
        CHECK(s.columns == 1 && s.rows >= 2);
    }
}

/* Unrolled epilogues are bounded. */
static void test_long_epilogue(Arena *arena) {
    GpuTileShape s = choose(arena, "sm_90", contraction(8192, 8192, 1, 4096, 100));
    CHECK(elements(s) > 1 && elements(s) * 100 <= 2048);
}

static void test_more_multiprocessors(Arena *arena) {
    for (int64_t side = 64; side <= 4096; side *= 2) {
        GpuContraction c = contraction(side, side, 1, 512, 4);
        CHECK(elements(choose(arena, "sm_90", c)) <= elements(choose(arena, "sm_87", c)));
    }
}

/* Shared memory: runs of four begin at 16 bytes, and both halves of any tile are within what a block may declare. */
static void test_shared_memory(void) {
    for (int64_t share = 1; share <= 8; share *= 2)
        for (int depth = 0; depth < 2; depth++) {
            int64_t row = gpu_panel_row(PRECISION_FLOAT32, share, depth);
            CHECK(row >= GPU_SIDE * share && (share < GPU_RUN || row % 4 == 0));
            CHECK(2 * 2 * GPU_PANEL * row * 4 <= GPU_SHARED_BYTES);
        }
}

static void test_explain(Arena *arena) {
    KProgram p = {.arena = arena, .isa = {.gpu = gpu_arch_find("sm_80")}};
    GpuContraction c = contraction(100, 40, 2, 20, 2);
    const char *text = gpu_tile_explain(&p, &(GpuTileShape){.rows = 2, .columns = 1}, &c);
    CHECK(strcmp(text, "24 tiles of 32 x 16 in float32, 2 x 1 for each of 256 threads, 2 panels of 16 terms; operands "
                       "move 144.0 KB "
                       "to shared memory") == 0);
}

int main(void) {
    Arena *arena = arena_new();
    test_small(arena);
    test_large(arena);
    test_long_epilogue(arena);
    test_more_multiprocessors(arena);
    test_shared_memory();
    test_explain(arena);
    arena_free(arena);
    return test_report();
}
